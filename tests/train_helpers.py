"""What tests of the training command share: a small run, its files, and how two runs are compared."""

import json
import os
import subprocess
import sys
import time

from helpers import ROOT

import neo_np
from neo_np.train.runs import checkpoints

SMALL = """--layers 2 --hidden-size 16 --heads 2 --positions 64 --vocab-size 300 --sequence-length 16 --batch-size 5
--micro-batch-size 2 --threads 2 --dropout 0.1 --learning-rate 0.01 --min-learning-rate 0.001 --warmup-steps 4 --steps 14
--validate-every 3 --sample-every 5 --save-every 4 --keep 2""".split()
FILES = "model.safetensors", "optimizer.safetensors", "training.json"
WORDS = "the king and queen went to a big old house of cats".split()
LEARNING = "learning the tokenizer from 1 files ...\n"


def process_arguments(*arguments):
    """Return the arguments of a process that runs the command."""
    return [sys.executable, "-m", "neo_np.train", *map(str, arguments)]


def started(*arguments):
    """Return the process of a command that has begun to train."""
    process = subprocess.Popen(
        process_arguments(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    line = process.stdout.readline()
    while line and "; step " not in line:
        line = process.stdout.readline()
    return process


def read_log(folder):
    """Return the entries of a run's log."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def without_speed(entries):
    """Return entries of a log without what differs from run to run."""
    return [{key: value for key, value in entry.items() if key != "tokens_per_second"} for entry in entries]


def assert_same_run(folder, other):
    """The newest checkpoints of two runs have the same bytes, and their logs the same lines except for the speed."""
    path, other_path = (checkpoints(f)[max(checkpoints(f))] for f in (folder, other))
    assert path.name == other_path.name
    for name in FILES:
        assert (path / name).read_bytes() == (other_path / name).read_bytes(), name
    assert without_speed(read_log(folder)) == without_speed(read_log(other))
    assert sorted(os.listdir(folder)) == sorted(os.listdir(other))


def assert_every_step_is_whole(folder):
    """Every checkpoint of a run has all its files and loads."""
    for number, path in checkpoints(folder).items():
        assert set(os.listdir(path)) >= {*FILES, "config.json", "vocab.json", "merges.txt"}
        neo_np.load(path)
        assert json.loads((path / "training.json").read_text())["step"] == number


def assert_refused(result, *parts):
    """A command printed one line of error, with these parts, and nothing else."""
    status, out, err = result
    assert (status, out) == (2, ""), err
    assert err.startswith("error: ") and err.count("\n") == 1 and err.endswith("\n"), err
    for part in parts:
        assert str(part) in err


def signalling(monkeypatch, target, numbers, call):
    """Make the call-th call of a function send signals to this process first."""
    module, _, name = target.rpartition(".")
    original, calls = getattr(sys.modules[module], name), []

    def function(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            for number in numbers:
                os.kill(os.getpid(), number)
                time.sleep(0.05)
        return original(*args, **kwargs)

    monkeypatch.setattr(target, function)
