"""fast."""

import numpy as np

MOST_KEPT = 2**25 - 2**16  # bytes; see `keep_freed_memory`


def keep_freed_memory():
    """Let the C library keep the memory of freed arrays for the next ones, up to 64 MiB of it.

    glibc gives the memory of a large array back to the system as soon as it is freed, and for the next array the system
    has to clear every page anew. But having seen an array freed, of 32 MiB at most, it serves arrays up to that size from
    memory of which it keeps twice as much (mallopt(3), M_MMAP_THRESHOLD). So it is shown one, which is never written to.
    In other C libraries this changes nothing.
    """
    np.empty(MOST_KEPT, np.uint8)
