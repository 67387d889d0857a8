"""Measure a benchmark: in each round, every backend measures the case once, so all of them meet the same machine."""

import contextlib
import math
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec

from neo_np.bench.benchmarks import BENCHMARKS, PEERS, THREADED
from neo_np.bench.job import Job
from neo_np.bench.process import BackendProcess, NoAnswer
from neo_np.errors import NeoError
from neo_np.terminal import progress_bar
from neo_np.train.environment import processors

ANSWER_LIMIT = 10  # a single answer of a peer, which may first load, export or compile, may take this many `peer_seconds`


class Measurement:
    """What one backend measures in one case.

    A peer takes no further round once it has used its `peer_seconds`, which count from its first answer in the case on.
    """

    def __init__(self, process: BackendProcess, case, peer_seconds: float):
        self.process, self.case = process, case
        self.seconds_left = peer_seconds if process.name in PEERS else math.inf
        self.has_answered = False
        self.entry: dict = {"rounds": [], "threads": None}

    def ask(self, *threads: int) -> dict:
        """Return the answer of the backend; all but the first answer use up the seconds left."""
        start = time.monotonic()
        answer = self.process.ask(self.case, *threads)
        if self.has_answered:
            self.seconds_left -= time.monotonic() - start
        self.has_answered = True
        return answer

    def warm_up(self) -> None:
        """Measure without counting; a peer with threads finds out whether all processors or one thread are better."""
        if self.process.name not in THREADED:
            self.ask()
            return
        better = min if BENCHMARKS[self.process.benchmark].less_is_better else max
        found: dict[int, list[float]] = {processors(): [], 1: []}
        for attempt in range(2):
            for threads, values in found.items():
                if attempt == 0 or self.seconds_left > 0:
                    values.append(self.ask(threads)["value"])
        self.entry["threads"] = better(found, key=lambda threads: better(found[threads]))

    def one_round(self) -> None:
        """Measure and add the result to the entry."""
        answer = self.ask(*filter(None, [self.entry["threads"]]))
        self.entry["rounds"].append(answer.pop("value"))
        for part, value in answer.pop("parts", {}).items():
            self.entry.setdefault("parts", {}).setdefault(part, []).append(value)
        self.entry.update(answer)

    def step(self) -> None:
        """Warm up at the first call, measure a round at each later one; do nothing if the peer has used its time."""
        if self.process.failure or (self.entry["rounds"] and self.seconds_left <= 0):
            return
        with contextlib.suppress(NoAnswer):  # the process remembers its failure
            if self.has_answered:
                self.one_round()
            else:
                self.warm_up()


def measure(
    name: str, job: Job, backends: list[str], rounds: int, peer_seconds: float = math.inf
) -> Iterator[tuple[str, dict[str, dict]]]:
    """Yield (label, {backend: {"rounds", "median", "threads", "peak_mb", "note", ...}}) of each case when it is done.

    After Ctrl-C or an error, the rounds measured so far of the unfinished case are yielded too. Before the rounds, every
    backend measures once without counting it.
    """
    benchmark = BENCHMARKS[name]
    with contextlib.ExitStack() as at_end:
        processes = [BackendProcess(name, backend, job, ANSWER_LIMIT * peer_seconds) for backend in backends]
        for process in processes:
            at_end.callback(process.stop)
        for label, case in benchmark.cases(benchmark.config(job)).items():
            measurements = [Measurement(process, case, peer_seconds) for process in processes]
            try:
                with progress_bar(f"{name} {label}".strip()) as progress:
                    measure_case(measurements, rounds, progress)
            except (KeyboardInterrupt, NeoError):
                yield label, entries(measurements, rounds)
                raise
            yield label, entries(measurements, rounds)


def measure_case(measurements: list[Measurement], rounds: int, progress: Callable | None) -> None:
    """Measure a warm-up and all rounds; every backend takes its turn in each."""
    total = (rounds + 1) * len(measurements)
    for done in range(total):
        measurements[done % len(measurements)].step()
        if progress:
            progress(done + 1, total)


def entries(measurements: list[Measurement], rounds: int) -> dict[str, dict]:
    """Return {backend: entry} of those that have rounds, with their median, and of those that gave no answer."""
    found = {}
    for measurement in measurements:
        entry, failure = measurement.entry, measurement.process.failure
        count = len(entry["rounds"])
        if count:
            entry["median"] = statistics.median(entry["rounds"])
        if failure or count < rounds:
            entry["note"] = failure or f"{count} of {rounds} rounds"
        if count or failure:
            found[measurement.process.name] = entry
    return found


def check_peers(names: list[str]) -> None:
    """Raise NeoError for a peer that is not installed."""
    for name in names:
        if any(find_spec(package) is None for package in PEERS[name]):
            raise NeoError(f"{name} is not installed: pip install {' '.join(PEERS[name])}.")
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
    if "torch.compile" in names and sys.platform != "win32" and not shutil.which(compiler):
        raise NeoError(f"torch.compile needs a C++ compiler, and there is no {compiler}: install one, or name it in CXX.")


def versions(names: list[str]) -> dict[str, str]:
    """Return {peer: the versions of its packages}."""
    return {name: ", ".join(f"{package} {version(package)}" for package in PEERS[name]) for name in names}
