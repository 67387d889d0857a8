"""The checkpoints of a training run: step-N, each complete or absent.

The folder of a run has
- train.npy, valid.npy: the token ids of the text,
- log.jsonl: one line of JSON for each step, each validation and each sample,
- step-1000: a checkpoint that `neo_np.load` takes, with optimizer.safetensors and training.json in it,
- .lock: while a process trains in it (see lock.py).
"""

import dataclasses
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from neo_np.checkpoint.loading import load_for_text
from neo_np.checkpoint.saving import write_checkpoint
from neo_np.errors import NeoError
from neo_np.files import open_file, read_json, write_json
from neo_np.train.optimizer import AdamW
from neo_np.train.trainer import Trainer, TrainingOptions, check_number, check_whole

OPTIMIZER, TRAINING = "optimizer.safetensors", "training.json"


@dataclass(frozen=True)
class Intervals:
    """How often a run validates, samples and saves, in steps; how its samples begin; how many checkpoints it keeps."""

    validate_every: int
    sample_every: int
    sample_prompt: str
    save_every: int
    keep: int

    def __post_init__(self) -> None:
        for name in ("validate_every", "sample_every", "save_every", "keep"):
            check_whole(name, getattr(self, name), 1)
        if not isinstance(self.sample_prompt, str):
            raise NeoError(f"sample_prompt is {self.sample_prompt!r:.40}, and it must be a text.")


def checkpoints(folder: str | os.PathLike) -> dict[int, Path]:
    """Return {N: path} of the complete checkpoints step-N in a run's folder, in ascending order."""
    found = {}
    for path in Path(folder).glob("step-*") if os.path.isdir(folder) else ():
        if match := re.fullmatch(r"step-(\d+)", path.name):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def save_step(trainer: Trainer, folder: str | os.PathLike, intervals: Intervals) -> Path:
    """Write a checkpoint of the current step, then delete all but the newest `intervals.keep`; return its path.

    The checkpoint gets its name when all its files are on the disk, so a run that is killed at any moment leaves no incomplete
    one. Raises NeoError if it cannot be written; older checkpoints stay.
    """
    path = Path(folder) / f"step-{trainer.step}"
    if path.exists():  # the beginning of a run that resumes, or Ctrl-C after a step that was saved
        return path
    part = path.with_name(f".{path.name}.part")
    try:
        part.mkdir()
        write_checkpoint(trainer.model, part)
        moments = {"m": trainer.optimizer.m, "v": trainer.optimizer.v}
        save_file({f"{key}.{name}": a for key, named in moments.items() for name, a in named.items()}, part / OPTIMIZER)
        state = {
            "step": trainer.step,
            "smoothed_loss": trainer.smoothed_loss,
            "options": dataclasses.asdict(trainer.options),
            "intervals": dataclasses.asdict(intervals),
            "generator": trainer.rng.bit_generator.state,
        }
        write_json(part / TRAINING, state)
        for file in part.iterdir():
            with open(file, "rb+") as f:
                os.fsync(f.fileno())
        os.rename(part, path)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise NeoError(f"the checkpoint {path} cannot be written: {error}.") from None
    for old in list(checkpoints(folder).values())[: -intervals.keep]:
        discard(old)
    return path


def discard(path: Path) -> None:
    """Delete a checkpoint. It loses its name first, so a deletion that is interrupted leaves no incomplete checkpoint."""
    gone = path.with_name(f".{path.name}.old")
    os.rename(path, gone)
    shutil.rmtree(gone, ignore_errors=True)


def newest_sentence(folder: str | os.PathLike) -> str:
    """Return a sentence that names the newest complete checkpoint of a run."""
    found = checkpoints(folder)
    return f"The newest complete checkpoint is {found[max(found)]}." if found else "No checkpoint has been saved yet."


def resume(folder: str | os.PathLike, tokens: np.ndarray) -> tuple[Trainer, Intervals]:
    """Return the trainer and the intervals as they were when the newest complete checkpoint of a run was saved.

    Raises NeoError if there is none, or if it is damaged.
    """
    found = checkpoints(folder)
    if not found:
        raise NeoError(f"{folder} holds no checkpoint step-N to resume from: start the run without --resume.")
    step = max(found)
    path = found[step]
    try:
        state = read_json(path / TRAINING)
        check_state(state, step)
        model, options = load_for_text(path), read_options(state["options"])
        if options.steps < step:
            raise NeoError(f"{TRAINING} has fewer steps than {step}")
        if options.sequence_length > model.config.max_position_embeddings:
            raise NeoError(f"the sequence_length {options.sequence_length} is more than the model has positions")
        trainer = Trainer(model, tokens, options)
        load_moments(trainer.optimizer, path / OPTIMIZER)
        trainer.optimizer.step, trainer.smoothed_loss = step, state["smoothed_loss"]
        set_generator(trainer.rng, state["generator"])
        intervals = Intervals(**check_entries(state["intervals"], Intervals))
    except (OSError, SafetensorError, ValueError, TypeError, LookupError, ArithmeticError) as error:
        advice = "delete it to continue with the one before" if len(found) > 1 else "it is the only one, so start the run again"
        raise NeoError(f"{path} is no checkpoint to resume from ({error}): {advice}.") from None
    for leftover in Path(folder).glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return trainer, intervals


def check_state(state: Any, step: int) -> None:
    """Raise NeoError if what training.json holds cannot be the state of a run after this step."""
    for name in ("options", "intervals", "generator"):
        if not isinstance(state, dict) or not isinstance(state.get(name), dict):
            raise NeoError(f"{TRAINING} must have an object {name!r}")
    if state.get("step") != step or isinstance(state["step"], bool):
        raise NeoError(f"{TRAINING} has the step {state.get('step')!r:.40}, not {step}")
    check_number("smoothed_loss", state.get("smoothed_loss"))


def set_generator(rng: np.random.Generator, state: dict[str, Any]) -> None:
    """Set the state of the random numbers. An even increment would make the generator repeat itself, and so hang."""
    rng.bit_generator.state = state
    if state["state"]["inc"] % 2 == 0:
        raise NeoError(f"{TRAINING} has a generator with an even increment")


def read_options(entries: dict[str, Any]) -> TrainingOptions:
    """Return the options of a training.json; version 0.1 called min_learning_rate last_learning_rate."""
    entries = dict(entries)
    if "last_learning_rate" in entries:
        entries["min_learning_rate"] = entries.pop("last_learning_rate")
    return TrainingOptions(**check_entries(entries, TrainingOptions))


def check_entries(entries: dict[str, Any], kind: type[TrainingOptions] | type[Intervals]) -> dict[str, Any]:
    """Return the entries of a training.json for one kind of settings; raises NeoError if one is missing or unknown."""
    fields = {field.name: field for field in dataclasses.fields(kind)}
    for name in entries:
        if name not in fields:
            raise NeoError(f"{TRAINING} has an unknown entry {name!r:.40}")
    for name, field in fields.items():
        if name not in entries and field.default is dataclasses.MISSING:
            raise NeoError(f"{TRAINING} has no entry {name!r}")
    return entries


def load_moments(optimizer: AdamW, file: Path) -> None:
    """Read m and v of AdamW; raises NeoError if an array is missing or misshapen, or if its numbers are impossible."""
    open_file(file).close()  # refuses what is no ordinary file
    moments = load_file(file)
    for key, named in (("m", optimizer.m), ("v", optimizer.v)):
        for name, array in named.items():
            found = moments[f"{key}.{name}"]
            if found.shape != array.shape or found.dtype != array.dtype:
                raise NeoError(f"{OPTIMIZER}: {key}.{name} is {found.dtype} {found.shape}, not {array.dtype} {array.shape}")
            if not np.isfinite(found).all() or (key == "v" and (found < 0).any()):
                raise NeoError(f"{OPTIMIZER}: {key}.{name} has impossible numbers")
            array[:] = found
