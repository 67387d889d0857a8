"""The checkpoints of a training run: step-N, each complete or absent.

The folder of a run has
- train.npy, valid.npy: the token ids of the text,
- log.jsonl: one line of JSON for each step, each validation and each sample,
- step-1000: a checkpoint that `neo_np.load` takes, with optimizer.safetensors and training.json in it.
"""

import dataclasses
import os
import re
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from neo_np.checkpoint.loading import load
from neo_np.checkpoint.saving import write_checkpoint
from neo_np.errors import NeoError
from neo_np.files import read_json, write_json
from neo_np.train.trainer import Trainer, TrainingOptions

OPTIMIZER, TRAINING = "optimizer.safetensors", "training.json"


def steps(folder: str | os.PathLike) -> dict[int, Path]:
    """Return {N: path} of the complete checkpoints step-N in a run's folder, in ascending order."""
    found = {}
    for path in Path(folder).glob("step-*"):
        if match := re.fullmatch(r"step-(\d+)", path.name):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def save_step(trainer: Trainer, folder: str | os.PathLike, extra: dict, keep: int) -> Path:
    """Write a checkpoint of the current step, then delete all but the newest `keep`; return its path.

    The checkpoint gets its name when all its files are on the disk, so a run that is killed at any moment leaves no incomplete
    one. extra: more entries for training.json. Raises NeoError if it cannot be written; older checkpoints stay.
    """
    path = Path(folder) / f"step-{trainer.step}"
    if path.exists():
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
            "generator": trainer.rng.bit_generator.state,
        }
        write_json(part / TRAINING, state | extra)
        for file in part.iterdir():
            with open(file, "rb+") as f:
                os.fsync(f.fileno())
        os.rename(part, path)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(part, ignore_errors=True)
        raise NeoError(f"the checkpoint {path} cannot be written: {error}.") from None
    for old in list(steps(folder).values())[:-keep]:
        discard(old)
    return path


def discard(path: Path) -> None:
    """Delete a checkpoint. It loses its name first, so a deletion that is interrupted leaves no incomplete checkpoint."""
    gone = path.with_name(f".{path.name}.old")
    os.rename(path, gone)
    shutil.rmtree(gone, ignore_errors=True)


def newest_sentence(folder: str | os.PathLike) -> str:
    """Return a sentence that names the newest complete checkpoint of a run."""
    found = steps(folder)
    return f"The newest complete checkpoint is {found[max(found)]}." if found else "No checkpoint has been saved yet."


def resume(folder: str | os.PathLike, tokens) -> tuple[Trainer, dict]:
    """Return (trainer, training.json) as they were when the newest complete checkpoint of a run was saved.

    Raises NeoError if there is none, or if it is damaged.
    """
    found = steps(folder)
    if not found:
        raise NeoError(f"{folder} holds no checkpoint step-N to resume from: start the run without --resume.")
    path = found[max(found)]
    try:
        state, model = read_json(path / TRAINING), load(path)
        trainer = Trainer(model, tokens, TrainingOptions(**state["options"] | {"betas": tuple(state["options"]["betas"])}))
        moments = load_file(path / OPTIMIZER)
        for name in trainer.params:
            trainer.optimizer.m[name][:], trainer.optimizer.v[name][:] = moments[f"m.{name}"], moments[f"v.{name}"]
        trainer.optimizer.step, trainer.smoothed_loss = state["step"], state["smoothed_loss"]
        trainer.rng.bit_generator.state = state["generator"]
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise NeoError(
            f"{path} is no checkpoint to resume from ({error}): delete it to continue with the one before."
        ) from None
    for leftover in Path(folder).glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return trainer, state
