"""The process of a backend."""

import os
import sys
import time
from pathlib import Path

import pytest

from neo_np.bench.benchmarks import NEO
from neo_np.bench.job import Job
from neo_np.bench.process import BackendProcess, NoAnswer
from neo_np.errors import NeoError

ON_LINUX = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")


def worker(monkeypatch, tmp_path, body):
    """Make every backend a shell script instead."""
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))


def test_ask_answers_with_the_value_and_the_memory(tiny):
    process = BackendProcess("prefill", NEO, Job(str(tiny), seconds=0.001))
    try:
        answer = process.ask(8)
    finally:
        process.stop()
    assert answer["value"] > 0
    assert answer["peak_mb"] > 10


@pytest.mark.slow
def test_ask_of_a_process_that_dies_tells_its_last_words(tiny, tmp_path):
    (tmp_path / "config.json").write_bytes((tiny / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    process = BackendProcess("prefill", NEO, Job(str(tmp_path)))
    with pytest.raises(NeoError, match=r"^neo_np cannot be measured in prefill: .*model\.safetensors"):
        process.ask(8)
    process.stop()


@pytest.mark.skipif(os.name != "posix", reason="the worker is a shell script")
@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("first", "first"),
        ("error: no such model", "no such model"),
        ("Traceback\ntorch.Boom.SomeError: what happened\nSet A=1 for more information", "what happened"),
        ("", "its process was killed"),
    ],
)
def test_last_words_are_the_last_error(written, words, tiny, tmp_path, monkeypatch):
    (tmp_path / "words").write_text(written, encoding="utf-8")
    worker(monkeypatch, tmp_path, f"cat {tmp_path}/words >&2")
    process = BackendProcess("prefill", NEO, Job(str(tiny)))
    with pytest.raises(NeoError, match=words):
        process.ask(8)
    process.stop()


@ON_LINUX
def test_ask_after_the_time_limit_ends_the_process_and_all_that_it_started(tiny, tmp_path, monkeypatch):
    worker(monkeypatch, tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; wait")
    process = BackendProcess("prefill", "transformers", Job(str(tiny)), time_limit=1)
    with pytest.raises(NoAnswer):
        process.ask(8)
    assert process.failure == "no answer within 1 s"
    assert process.process is None
    child = Path("/proc") / (tmp_path / "child").read_text(encoding="utf-8").strip()
    while child.is_dir() and "\nState:\tZ" not in (child / "status").read_text(encoding="utf-8"):
        time.sleep(0.01)  # the system takes a moment


def test_time_limit_is_for_peers_only(tiny):
    job = Job(str(tiny))
    assert BackendProcess("prefill", "transformers", job, time_limit=1).time_limit == 1
    assert BackendProcess("prefill", NEO, job, time_limit=1).time_limit > 10**6
