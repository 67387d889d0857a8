"""Training that fails: a loss that is NaN, parameters that are NaN, a full disk."""

import json
import os
import re
import signal

import numpy as np
import pytest
from train_helpers import SMALL, signalling

import neo_np
from neo_np.train import runs
from neo_np.train.runs import checkpoints


def test_train_that_diverges_keeps_the_good_checkpoint(text, tmp_path, train):
    status, _, err = train(text, "--out", tmp_path / "run", *SMALL, "--learning-rate", "1e30", "--warmup-steps", 0)
    assert status == 2
    assert re.fullmatch(
        r"learning the tokenizer from 1 files \.\.\.\n"  # and no warning
        r"error: at step 2 the loss is nan.*: training has diverged\. .* with a lower learning rate or a longer warm-up\. "
        r"The newest complete checkpoint is \S+step-0\.\n",
        err,
    )
    assert list(checkpoints(tmp_path / "run")) == [0]


@pytest.mark.parametrize("option", ["--learning-rate", "--weight-decay"])
@pytest.mark.parametrize("value", ["1e38", "1e300"])  # the second is itself beyond float32
def test_train_never_saves_nan(text, tmp_path, train, option, value):
    """The step that ruins the parameters had a fine loss itself; it is saved, validated and sampled from at once."""
    every = "--save-every 1 --validate-every 1 --sample-every 1 --keep 1 --warmup-steps 0".split()
    status, _, err = train(text, "--out", tmp_path / "run", *SMALL, *every, option, value)
    assert status == 2 and re.fullmatch(r"learning the tokenizer .*\nerror: .* training has diverged\. .*\n", err)  # no warning
    for path in checkpoints(tmp_path / "run").values():
        for array in neo_np.load(path).params.flat().values():  # its warning about such numbers would be an error here
            assert np.isfinite(array).all()
    for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)  # NaN is no JSON


def test_train_interrupted_never_saves_nan(text, tmp_path, train, monkeypatch):
    signalling(monkeypatch, "neo_np.train.command.line_of", [signal.SIGINT], 1)
    status, _, err = train(text, "--out", tmp_path / "run", *SMALL, "--warmup-steps", 0, "--learning-rate", "1e38")
    assert status == 2 and re.search(r"training has diverged\. .* The newest complete checkpoint is \S+step-0\.\n$", err)
    assert list(checkpoints(tmp_path / "run")) == [0]


def test_train_on_a_full_disk_ends_with_one_sentence(text, tmp_path, train, monkeypatch):
    original = runs.save_file

    def full(tensors, file):
        if "step-8" in str(file):
            raise OSError(28, "No space left on device")
        original(tensors, file)

    monkeypatch.setattr("neo_np.train.runs.save_file", full)
    status, _, err = train(text, "--out", tmp_path / "run", *SMALL)
    assert status == 2
    assert re.fullmatch(
        r"error: the checkpoint \S+step-8 cannot be written: .*No space left on device\. "
        r"The newest complete checkpoint is \S+step-4\.",
        err.splitlines()[-1],
    )
    assert sorted(os.listdir(tmp_path / "run")) == ["log.jsonl", "step-0", "step-4", "train.npy"]
    monkeypatch.undo()
    assert train("--resume", tmp_path / "run")[0] == 0
