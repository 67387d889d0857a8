"""The environment of the training command: BLAS with one thread, and memory that the process keeps."""

import os

from neo_np.terminal import ONE_BLAS_THREAD

# Threads of BLAS would compete with the threads that share a batch. The other variables are for the GNU C library: without
# them, it returns the memory of each large array to the system, which must clear it again.
ENVIRONMENT = ONE_BLAS_THREAD | {
    "MALLOC_MMAP_THRESHOLD_": str(2**30),
    "MALLOC_TRIM_THRESHOLD_": str(2**32),
    "MALLOC_TOP_PAD_": str(2**26),
}


def processors() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def default_threads() -> int:
    """Return one thread for each processor if BLAS itself uses only one, else 1."""
    return processors() if os.environ.get("OPENBLAS_NUM_THREADS") == "1" else 1
