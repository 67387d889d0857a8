"""The order of the measurements, and the time that a slow peer gets."""

import math
from types import SimpleNamespace

import pytest

from neo_np.bench import rounds
from neo_np.bench.benchmarks import NEO, ROOFLINE
from neo_np.bench.job import Job
from neo_np.bench.process import NoAnswer
from neo_np.bench.rounds import Measurement, measure
from neo_np.errors import NeoError

CASES = [(1, 8), (1, 24), (8, 8), (8, 24)]  # of decode, with 32 positions


class FakeProcess:
    """Answers with 10 tokens per second for each thread, in `seconds[name]` seconds; notes who was asked for what."""

    order, seconds, clock, at_end = (), {}, SimpleNamespace(now=0.0), lambda *asked: None

    def __init__(self, benchmark, name, job=None, time_limit=math.inf):
        self.benchmark, self.name, self.time_limit, self.failure = benchmark, name, time_limit, None

    def ask(self, case, threads=None):
        self.order.append((self.name, case, threads))
        FakeProcess.at_end(self.name, len(self.order))
        self.clock.now += self.seconds.get(self.name, 0.0)
        if self.seconds.get(self.name, 0.0) > self.time_limit:
            self.failure = "no answer"
            raise NoAnswer
        return {"value": 10.0 * (threads or 3), "peak_mb": 5.0}

    def stop(self):
        self.order.append((self.name, "stopped", None))


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(rounds, "BackendProcess", FakeProcess)
    monkeypatch.setattr(rounds, "processors", lambda: 4)
    monkeypatch.setattr(rounds, "time", SimpleNamespace(monotonic=lambda: FakeProcess.clock.now))
    FakeProcess.order, FakeProcess.seconds, FakeProcess.at_end = [], {}, lambda *asked: None


def test_measure_asks_every_backend_in_each_round_after_a_warm_up(tiny):
    found = dict(measure("decode", Job(str(tiny)), [NEO, "transformers", ROOFLINE], rounds=2))
    expected = []
    for case in CASES:
        expected += [(NEO, case, None), *[("transformers", case, n) for n in (4, 1, 4, 1)], (ROOFLINE, case, None)]
        expected += [(NEO, case, None), ("transformers", case, 4), (ROOFLINE, case, None)] * 2
    assert FakeProcess.order == expected + [(name, "stopped", None) for name in (ROOFLINE, "transformers", NEO)]
    entry = {"rounds": [40.0, 40.0], "median": 40.0, "threads": 4, "peak_mb": 5.0}
    assert found["batch 8 after 24 tokens"]["transformers"] == entry


def test_measure_yields_a_case_before_the_next_one_begins(tiny):
    cases = measure("decode", Job(str(tiny)), [NEO], rounds=2)
    label, entries = next(cases)
    assert (label, len(entries[NEO]["rounds"])) == ("batch 1 after 8 tokens", 2)
    assert FakeProcess.order == [(NEO, (1, 8), None)] * 3


@pytest.mark.parametrize("error", [KeyboardInterrupt, NeoError])
def test_measure_yields_the_rounds_so_far_after_an_interruption(error, tiny):
    def interrupt(name, asked):
        if asked == 8:
            raise error

    FakeProcess.at_end = interrupt
    cases = measure("decode", Job(str(tiny)), [NEO, "tiktoken"], rounds=9)
    assert next(cases)[1] == {
        NEO: {"rounds": [30.0] * 3, "median": 30.0, "threads": None, "peak_mb": 5.0, "note": "3 of 9 rounds"},
        "tiktoken": {"rounds": [30.0] * 2, "median": 30.0, "threads": None, "peak_mb": 5.0, "note": "2 of 9 rounds"},
    }
    with pytest.raises(error):
        next(cases)
    assert FakeProcess.order[-2:] == [("tiktoken", "stopped", None), (NEO, "stopped", None)]


def test_slow_peer_gets_fewer_rounds_and_a_note(tiny):
    FakeProcess.seconds = {"transformers": 6.0, NEO: 100.0}
    _, entries = next(measure("decode", Job(str(tiny)), [NEO, "transformers"], rounds=9, peer_seconds=30.0))
    assert len(entries[NEO]["rounds"]) == 9
    assert "note" not in entries[NEO]
    # The first answer is free; 3 more for the threads take 18 s, 2 rounds reach 30 s.
    assert len(entries["transformers"]["rounds"]) == 2
    assert entries["transformers"]["note"] == "2 of 9 rounds"


def test_very_slow_peer_still_tries_both_threads_and_one_round(tiny):
    FakeProcess.seconds = {"transformers": 50.0}
    _, entries = next(measure("decode", Job(str(tiny)), [NEO, "transformers"], rounds=9, peer_seconds=30.0))
    asked = [threads for name, case, threads in FakeProcess.order if name == "transformers" and case != "stopped"]
    assert asked == [4, 1, 4]
    assert entries["transformers"]["note"] == "1 of 9 rounds"


def test_peer_that_does_not_answer_is_left_out_of_all_further_cases(tiny):
    FakeProcess.seconds = {"transformers": 301.0}
    found = dict(measure("decode", Job(str(tiny)), [NEO, "transformers"], rounds=2, peer_seconds=30.0))
    assert len([name for name, case, _ in FakeProcess.order if name == "transformers" and case != "stopped"]) == 1
    for entries in found.values():
        assert len(entries[NEO]["rounds"]) == 2
        assert (entries["transformers"]["rounds"], entries["transformers"]["note"]) == ([], "no answer")


@pytest.mark.parametrize(("benchmark", "best"), [("decode", 4), ("memory", 1)])  # more tokens, less memory
def test_warm_up_finds_the_better_number_of_threads(benchmark, best):
    measurement = Measurement(FakeProcess(benchmark, "transformers"), None, math.inf)
    measurement.warm_up()
    assert measurement.entry["threads"] == best


def test_warm_up_of_a_backend_without_threads_asks_once():
    measurement = Measurement(FakeProcess("tokenizer", "tiktoken"), None, math.inf)
    measurement.warm_up()
    assert FakeProcess.order == [("tiktoken", None, None)]
    assert measurement.entry["threads"] is None


def test_parts_of_all_rounds_are_kept(monkeypatch):
    answers = iter([{"value": 3.0, "parts": {"linear": 2.0}}, {"value": 5.0, "parts": {"linear": 4.0}}])
    monkeypatch.setattr(FakeProcess, "ask", lambda self, case: next(answers))
    measurement = Measurement(FakeProcess("parts", NEO), None, math.inf)
    measurement.one_round()
    measurement.one_round()
    assert (measurement.entry["rounds"], measurement.entry["parts"]) == ([3.0, 5.0], {"linear": [2.0, 4.0]})


def test_check_peers_names_what_to_install(monkeypatch):
    monkeypatch.setattr(rounds, "find_spec", lambda name: None)
    for peer, command in (("transformers", "pip install transformers torch"), ("tiktoken", "pip install tiktoken")):
        with pytest.raises(NeoError, match=command):
            rounds.check_peers([peer])


def test_check_peers_without_a_compiler_refuses_torch_compile(monkeypatch):
    monkeypatch.setattr(rounds, "find_spec", lambda name: "found")
    monkeypatch.setenv("CXX", "/nowhere/g++")
    with pytest.raises(NeoError, match=r"torch.compile needs a C\+\+ compiler, and there is no /nowhere/g\+\+"):
        rounds.check_peers(["torch.compile"])
    rounds.check_peers(["transformers"])
