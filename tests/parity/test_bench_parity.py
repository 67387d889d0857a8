"""`python -m neo_np.bench train --against torch` runs the two on the same work."""

import json
import math
from types import SimpleNamespace

import pytest
import torch

from neo_np import bench

SIZES = {"layers": 2, "hidden_size": 24, "heads": 3, "window_size": 4, "vocab_size": 50, "sequence_length": 32, "batch_size": 2}


def test_both_sides_are_measured(capsys):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SIZES.items()]
    assert bench.main(["train", *options, "--rounds=2", "--steps=2", "--against=torch", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert list(result["sides"]) == ["neo_np", "torch"]
    assert all(len(found["tokens_per_second"]) == 2 for found in result["sides"].values())
    assert f"torch {torch.__version__}" in result["sides"]["torch"]["about"]


def test_both_sides_make_steps_that_learn():
    """Both see random tokens, of which nothing can be learned but that each of the fifty comes as often: ln 50 nats."""
    args, threads = SimpleNamespace(**SIZES), torch.get_num_threads()
    ours, theirs = bench.neo_trainer(args)[0], bench.torch_trainer(args)[0]
    torch.set_num_threads(threads)
    for _ in range(20):
        losses = ours()["loss"], theirs()
    assert losses == pytest.approx([math.log(50)] * 2, abs=0.1)
