"""The folder of a training run: checkpoints `step-N`, each complete or not there at all, and the log.

- train.npy, valid.npy: the token ids of the text
- log.jsonl: one line of JSON for each step, each validation and each sample
- step-1000: a checkpoint that `neo_np.load` takes, with optimizer.safetensors and training.json beside
"""

import dataclasses
import json
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from neo_np.checkpoint.loading import load
from neo_np.checkpoint.saving import write_checkpoint
from neo_np.errors import NeoError
from neo_np.files import read_json, write_json
from neo_np.train.trainer import Trainer, TrainingOptions

OPTIMIZER, TRAINING, LOG = "optimizer.safetensors", "training.json", "log.jsonl"


def steps(folder):
    """Return {N: path} of the complete checkpoints step-N in a run's folder, in ascending order."""
    found = {}
    for path in Path(folder).glob("step-*"):
        if match := re.fullmatch(r"step-(\d+)", path.name):
            found[int(match[1])] = path
    return dict(sorted(found.items()))


def save_step(trainer, folder, extra, keep):
    """Write the checkpoint of the present step, then delete all but the newest `keep`; return its path.

    It is written under another name, and gets its own when everything is on the disk: so a run that is killed at any
    moment leaves no half checkpoint. extra: a dict for training.json. Raises NeoError where it cannot be written; what
    was there before stays.
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


def discard(path):
    """Delete a checkpoint, first its name, so that none that is half deleted looks complete."""
    gone = path.with_name(f".{path.name}.old")
    os.rename(path, gone)
    shutil.rmtree(gone, ignore_errors=True)


def newest_sentence(folder):
    """Return a sentence that says which checkpoint of a run is the newest complete one."""
    found = steps(folder)
    return f"The newest complete one is {found[max(found)]}." if found else "None has been saved yet."


def resume(folder, tokens):
    """Return (trainer, training.json) as they were when the newest complete checkpoint of a run was saved.

    Raises NeoError where there is none, or where it is damaged.
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
        raise NeoError(f"{path} is no checkpoint to resume from ({error}): delete it to go on from the one before.") from None
    for leftover in Path(folder).glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    return trainer, state


class Log:
    """The log of a run, one JSON object a line; on resuming, the lines of steps that were lost are taken out again."""

    def __init__(self, folder, step=0):
        self.path = Path(folder) / LOG
        part = self.path.with_name(f".{LOG}.part")
        try:
            kept = []
            if self.path.exists():
                kept = [line for line in self.path.read_text(encoding="utf-8").splitlines() if step_of(line) <= step]
            part.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            os.replace(part, self.path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise NeoError(f"the log {self.path} cannot be written: {error.strerror}.") from None

    def write(self, entry):
        """Add a line: a dict that has a "step"."""
        try:
            with open(self.path, "a", encoding="utf-8") as f:
                f.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise NeoError(f"the log {self.path} cannot be written: {error.strerror}.") from None


def step_of(line):
    """Return the step that a line of the log tells of; infinity for one that was only half written."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")
