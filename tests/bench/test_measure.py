"""The stopwatch."""

import sys
from types import SimpleNamespace

import pytest

from neo_np.bench import measure
from neo_np.errors import NeoError


def test_seconds_per_call_is_the_mean_of_the_calls_that_fill_the_time(monkeypatch):
    clock = SimpleNamespace(now=0.0, calls=0)
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock.now)

    def call():
        clock.calls += 1
        clock.now += 5.0 if clock.calls == 1 else clock.calls

    assert measure.seconds_per_call(call, seconds=8.0) == (2 + 3 + 4) / 3  # the first, slow, does not count
    clock.calls = 0
    assert measure.seconds_per_call(call, seconds=0.0) == 2.0  # at least one counts


def test_seconds_to_output_of_a_command_that_fails_is_an_error():
    with pytest.raises(NeoError, match="ended with status 3"):
        measure.seconds_to_output([sys.executable, "-c", "import sys; print('a lot'); sys.exit(3)"], 2)
