"""Stopwatches, and the peak memory of a process."""

import subprocess
import sys
import time
from collections.abc import Callable

from neo_np.errors import NeoError


def timed(function: Callable) -> float:
    """Return the seconds that one call takes."""
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def seconds_per_call(function: Callable, seconds: float) -> float:
    """Return the mean seconds of a call, repeated until the calls have taken `seconds`, but at least once.

    One call before them does not count: it loads the data into the processor's cache, and gives the threads of the backend
    that was measured before time to go to sleep.
    """
    function()
    calls, total = 0, 0.0
    while not calls or total < seconds:
        total += timed(function)
        calls += 1
    return total / calls


def seconds_to_output(command: list[str], length: int) -> float:
    """Start a process, return the seconds until it has written more than `length` bytes, and wait for its end."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(length + 1)
        seconds = time.perf_counter() - start
        process.stdout.read()
    if process.returncode:
        raise NeoError(f"{' '.join(command[:3])} ended with status {process.returncode}.")
    return seconds


def peak_mb() -> float | None:
    """Return the peak memory of this process in MB of 2^20 bytes, or None if the system does not tell (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)
