"""The process of a backend, as the command sees it: ask it for measurements, and stop it."""

import contextlib
import dataclasses
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from typing import Any

from neo_np.bench.benchmarks import BENCHMARKS, NEO, PEERS
from neo_np.bench.job import Job
from neo_np.errors import NeoError
from neo_np.train.environment import ENVIRONMENT

PAUSE = 0.2  # seconds before a measurement: threads of the backend before may still be waiting in a busy loop
PEERS_ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TORCHINDUCTOR_COMPILE_THREADS": "1",  # torch.compile starts no processes of its own
}


class NoAnswer(Exception):
    """A peer took longer than its time limit, and its process was ended."""


class BackendProcess:
    """One backend of a benchmark, in its own process, which starts at the first question.

    time_limit: the seconds that a peer may take for one answer. failure: None, or the sentence that says why it was stopped.
    """

    def __init__(self, benchmark: str, name: str, job: Job, time_limit: float = math.inf):
        self.benchmark, self.name, self.job = benchmark, name, job
        self.time_limit = min(time_limit if name in PEERS else math.inf, threading.TIMEOUT_MAX)
        self.process: Any = None  # a Popen with three pipes, while it runs
        self.failure: str | None = None

    def start(self) -> None:
        """Start the process; for training, neo_np gets the environment that `python -m neo_np.train` gives itself."""
        command = [sys.executable, "-m", "neo_np.bench.worker", self.benchmark, self.name]
        environment = PEERS_ENVIRONMENT
        if self.name == NEO:
            environment = ENVIRONMENT if self.benchmark == "train" else {}
        self.errors = tempfile.TemporaryFile()  # a pipe that nobody reads would block the process when it is full
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment | dict(os.environ),
            text=True,
            start_new_session=True,  # so that the processes that it starts end with it
        )
        self.send(dataclasses.asdict(self.job))

    def send(self, message) -> None:
        """Send one line of JSON; if the process has died, reading its answer will tell."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()

    def ask(self, *arguments) -> dict:
        """Return the answer {"value", "peak_mb", ...} to run(*arguments).

        Raises NoAnswer after the time limit, and NeoError with the last words of a process that has died.
        """
        time.sleep(PAUSE)
        if self.process is None:
            self.start()
        self.send(arguments)
        line = self.read_line()
        if not line:
            raise NeoError(f"{self.name} cannot be measured in {self.benchmark}: {self.last_words()}")
        if BENCHMARKS[self.benchmark].fresh_process:
            self.stop()
        return json.loads(line)

    def read_line(self) -> str:
        """Return the next line that the process writes, "" if it has died; raises NoAnswer after the time limit."""
        late = threading.Event()

        def give_up():
            late.set()
            self.kill()  # ends the reading below

        timer = threading.Timer(self.time_limit, give_up)
        timer.daemon = True
        timer.start()
        try:
            line = self.process.stdout.readline()
        finally:
            timer.cancel()
        if late.is_set():
            self.stop()
            self.failure = f"no answer within {self.time_limit:g} s"
            raise NoAnswer(self.failure)
        return line

    def last_words(self) -> str:
        """Return the last error that the process has written on standard error, else the last line."""
        self.process.wait()
        self.errors.seek(0)
        lines = self.errors.read().decode("utf-8", "replace").strip().splitlines()
        errors = [line for line in lines if re.match(r"(error|[\w.]+Error): ", line)]
        return (errors or lines or ["its process was killed."])[-1].removeprefix("error: ")

    def kill(self) -> None:
        """Kill the process and all that it has started."""
        if os.name == "posix":
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()

    def stop(self) -> None:
        """End the process, if there is one."""
        if self.process is None:
            return
        self.kill()
        with contextlib.suppress(BrokenPipeError):
            self.process.communicate()
        self.errors.close()
        self.process = None
