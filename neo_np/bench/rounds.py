"""The sides of a work take turns, each in a process of its own."""

import contextlib
import dataclasses
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from importlib.util import find_spec

from neo_np.bench.measure import cores
from neo_np.bench.works import NEO, PACKAGES, THREADED, WORKS
from neo_np.errors import NeoError
from neo_np.train.environment import ENVIRONMENT

PAUSE = 0.2  # seconds between turns: the threads of the side before may still be waiting in a loop
PEERS_ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}


class Side:
    """One side of a work: its process, started when first asked, and in works that want it anew for every turn."""

    def __init__(self, work, name, job):
        self.work, self.name, self.job = work, name, job
        self.process = None

    def start(self):
        """Start the process: ours for training in the environment that `python -m neo_np.train` gives itself."""
        command = [sys.executable, "-m", "neo_np.bench.worker", self.work, self.name]
        environment = {NEO: ENVIRONMENT if self.work == "train" else {}}.get(self.name, PEERS_ENVIRONMENT) | dict(os.environ)
        self.errors = tempfile.TemporaryFile()  # a pipe that nobody empties would stop the process when it is full
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.errors}
        # In a session of its own, so that what it has started itself ends with it.
        self.process = subprocess.Popen(command, env=environment, text=True, start_new_session=True, **pipes)
        self.send(dataclasses.asdict(self.job))

    def send(self, message):
        """Send one line of JSON; a process that has died is noticed when its answer is read."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def ask(self, *arguments):
        """Return {"value", "peak_mb", ...} of one turn; raises NeoError with the last words of a process that has died."""
        time.sleep(PAUSE)
        if self.process is None:
            self.start()
        self.send(arguments)
        line = self.process.stdout.readline()
        if not line:
            raise NeoError(f"{self.name} cannot be measured in {self.work}: {self.last_words()}")
        if WORKS[self.work].anew:
            self.stop()
        return json.loads(line)

    def last_words(self):
        """Return the last line that the process has written on standard error."""
        self.process.wait()
        self.errors.seek(0)
        words = self.errors.read().decode("utf-8", "replace").strip().splitlines() or ["its process was killed."]
        return words[-1].removeprefix("error: ")

    def stop(self):
        """End the process and all that it has started."""
        if self.process is None:
            return
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()
        self.errors.close()
        self.process = None


def measure(work, job, names, rounds, progress=None):
    """Return {case: {side: {"rounds", "median", "threads", "peak_mb", ...}}} of a work, the sides taking turns.

    Before the rounds everyone has a turn that does not count; in it a peer finds its best number of threads.
    """
    cases = WORKS[work].cases(None if work in ("train", "tokenizer") else job.config)
    sides = [Side(work, name, job) for name in names]
    found = {label: {side.name: {"rounds": []} for side in sides} for label in cases}
    with contextlib.ExitStack() as at_end:
        for side in sides:
            at_end.callback(side.stop)
        for turn in range(rounds + 1):
            for number, (label, case) in enumerate(cases.items()):
                for side in sides:
                    entry = found[label][side.name]
                    if turn == 0:
                        entry["threads"] = best_threads(side, case)
                        continue
                    answer = side.ask(case, *filter(None, [entry["threads"]]))
                    entry["rounds"].append(answer.pop("value"))
                    entry.update(answer)
                if progress:
                    progress(turn * len(cases) + number + 1, (rounds + 1) * len(cases))
    for entry in (entry for sides in found.values() for entry in sides.values()):
        entry["median"] = statistics.median(entry["rounds"])
    return found


def best_threads(side, case):
    """Return the better of one thread and one for each processor, by two turns each; None for a side that has no choice."""
    if side.name not in THREADED:
        side.ask(case)
        return None
    better = min if WORKS[side.work].less_is_better else max
    tried = {threads: better(side.ask(case, threads)["value"] for _ in range(2)) for threads in sorted({1, cores()})}
    return better(tried, key=tried.get)


def check_peers(names):
    """Raise NeoError for a peer that is not installed."""
    for name in names:
        if any(find_spec(package) is None for package in PACKAGES[name]):
            raise NeoError(f"{name} is not installed: pip install {' '.join(PACKAGES[name])}.")


def versions(names):
    """Return {peer: the versions of what it is made of}."""
    return {name: ", ".join(f"{package} {version(package)}" for package in PACKAGES.get(name, ())) for name in names}
