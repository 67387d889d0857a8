"""The time of each part of the model."""

import time
from collections import Counter

import numpy as np
import pytest

from neo_np.bench.backends import parts
from neo_np.bench.job import Job
from neo_np.gpt_neo import fast

PARTS = {"linear", "attention", "layer norm", "activation", "the rest"}


def test_parts_count_every_call_once_and_add_up_to_the_whole(tiny, monkeypatch):
    calls, timed_function = Counter(), parts.timed_function

    def counted(function, spent, part):
        timed = timed_function(function, spent, part)
        return lambda *arguments: calls.update([part]) or timed(*arguments)

    monkeypatch.setattr(parts, "timed_function", counted)
    before = dict(vars(fast.inference))
    run = parts.parts(Job(str(tiny), seconds=0.0))
    for kind, tokens, passes in (("prefill", 32, 1), ("decode", 8, 16), ("decode", 24, 8)):
        calls.clear()
        result = run([kind, tokens])
        passes *= 2  # one call that does not count, and one that does
        assert calls["linear"] == passes * (2 * 6 + 1)  # two layers of six matrices, and the output embedding
        assert calls["attention"] == calls["activation"] == passes * 2
        assert calls["layer norm"] == passes * (2 * 2 + 1)
        assert set(result["parts"]) == PARTS
        assert min(result["parts"].values()) > 0
        assert sum(result["parts"].values()) == pytest.approx(result["value"])
    assert dict(vars(fast.inference)) == before


def test_parts_are_milliseconds_of_one_step(monkeypatch):
    monkeypatch.setattr(parts, "seconds_per_call", lambda function, seconds: (function(), 2.0)[1])
    clock = iter(range(100))  # every look at the clock is a second later
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    x = np.ones((1, 24))
    result = parts.milliseconds(lambda: [fast.inference.linear(x, x) for _ in range(9)], steps=4, seconds=0.0)
    assert result["value"] == 500.0
    assert result["parts"]["linear"] == 500.0 * 9 / 19  # nine calls of a second, and ten seconds between them
    assert result["parts"]["attention"] == 0
