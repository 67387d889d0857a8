"""environment."""

import os
import sys

# BLAS reads its variables when NumPy loads it. Its own threads would get in the way of those that share out the batch; and
# without the other three (of the GNU C library) each large array is memory that the system has to clear anew.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}


def start_anew_with_environment():
    """Start this very command again with `ENVIRONMENT` set, where it is not; Windows goes on without."""
    if os.name == "posix" and not all(name in os.environ for name in ENVIRONMENT):
        sys.stdout.flush()
        os.execve(sys.executable, sys.orig_argv, ENVIRONMENT | dict(os.environ))


def default_threads():
    """Return one thread for each processor where BLAS uses but one itself, else 1."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if os.environ.get("OPENBLAS_NUM_THREADS") == "1" else 1
