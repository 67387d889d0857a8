"""Stopwatches, the memory of a process, and the name of the machine."""

import ctypes
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from neo_np.errors import NeoError


def timed(function):
    """Return the seconds that a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def seconds_per_call(function, turn):
    """Return the seconds of a call: the mean of as many as fill a turn (seconds), after one that does not count.

    The one before brings the data near again, and gives the threads of the side before time to go to sleep.
    """
    function()
    calls, total = 0, 0.0
    while not calls or total < turn:
        total += timed(function)
        calls += 1
    return total / calls


def seconds_to_output(command, length):
    """Start a process and return the seconds until it has written more than `length` bytes; then let it end."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.read(length + 1)
        seconds = time.perf_counter() - began
        process.stdout.read()
    if process.returncode:
        raise NeoError(f"{' '.join(command[:3])} ended with status {process.returncode}.")
    return seconds


def peak_mb():
    """Return the most memory that this process has held, in MB of 2^20 bytes; None where the system does not say (Windows)."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def cores():
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine():
    """Return what to say of the machine beside a measurement.

    {"system", "processor", "cores", "python", "numpy", "blas", "environment"}: all str, the last one the variables
    that BLAS looks at, where they are set.
    """
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    settings = [f"{name}={os.environ[name]}" for name in sorted(os.environ) if name.startswith(("OPENBLAS_", "OMP_", "MKL_"))]
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor_name(),
        "cores": cores(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": " ".join(filter(None, [blas.get("name"), blas.get("version"), openblas_kernel()])),
        "environment": " ".join(settings),
    }


def processor_name():
    """Return the name that the processor gives itself, as far as the system tells."""
    try:
        if sys.platform == "darwin":
            return subprocess.check_output(["sysctl", "-n", "machdep.cpu.brand_string"], text=True).strip()
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, subprocess.CalledProcessError):
        return platform.processor() or "unknown processor"


def openblas_kernel():
    """Return which processor the OpenBLAS inside NumPy's wheel computes for, such as SkylakeX; None for any other BLAS."""
    for file in (Path(np.__file__).parent.parent / "numpy.libs").glob("*openblas*"):
        name = getattr(ctypes.CDLL(str(file)), "scipy_openblas_get_corename64_", None)
        if name:
            name.restype = ctypes.c_char_p
            return name().decode()
    return None
