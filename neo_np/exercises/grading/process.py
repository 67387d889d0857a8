"""Starting and ending the process that checks one answer."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from neo_np.terminal import ONE_BLAS_THREAD

ROOT = Path(__file__).resolve().parents[3]  # the folder that neo_np is in
WORKER = [sys.executable, "-m", "neo_np.exercises.grading.worker"]
LONGEST = 100_000  # bytes of a result
ROUNDS = 100  # attempts to kill what starts further processes meanwhile
MARK = "NEO_NP_GRADING"  # a variable by which the processes that an answer leaves behind are found
ENVIRONMENT = ONE_BLAS_THREAD | {"PYTHONIOENCODING": "utf-8"}  # each further thread of BLAS would take memory


class Workers:
    """The processes that run at present. Several threads may call `answer`; `stop` ends all and lets none begin."""

    def __init__(self):
        self.running, self.lock, self.stopped = set(), threading.Lock(), False

    def answer(self, job, seconds, command=WORKER):
        """Return the result of a worker for a job, or None if it gives none in these seconds. All that it has started ends."""
        mark, word = secrets.token_hex(8), secrets.token_hex(8)
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            process = self.start(command, folder, mark)
            if process is None:
                return None
            timer = threading.Timer(seconds, kill, [process, mark])
            timer.daemon = True
            timer.start()
            try:
                with contextlib.suppress(OSError):
                    process.stdin.write(json.dumps({**job, "word": word}).encode() + b"\n")
                    process.stdin.flush()
                return result_of(process.stdout.readline(LONGEST), word)
            finally:
                timer.cancel()
                kill(process, mark)
                with self.lock:
                    self.running.remove((process, mark))
                process.wait()
                process.stdout.close()
                with contextlib.suppress(OSError):
                    process.stdin.close()

    def start(self, command, folder, mark):
        """Start a process in a group of its own, or return None after `stop`."""
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with self.lock:
            if self.stopped:
                return None
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=folder,
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": path, MARK: mark},
                start_new_session=True,
            )
            self.running.add((process, mark))
            return process

    def stop(self):
        """End all processes."""
        with self.lock:
            self.stopped = True
            for process, mark in self.running:
                kill(process, mark)


def result_of(line, word):
    """Return the result in a line that a worker has written, or None if it is no result of this job."""
    try:
        result = json.loads(line)
        return result if result["word"] == word else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def kill(process, mark):
    """Kill a process, its group, and on Linux also those that it has started and that have left the group."""
    if os.name != "posix":
        process.kill()
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for _ in range(ROUNDS):
        numbers = marked(mark)
        if not numbers:
            return
        for number in numbers:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(number, signal.SIGKILL)


def marked(mark):
    """Return the numbers of the living processes whose environment has the mark. Only Linux lists them in /proc."""
    variable, numbers = f"{MARK}={mark}".encode(), []
    for file in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if variable in file.read_bytes():
                numbers.append(int(file.parent.name))
    return numbers
