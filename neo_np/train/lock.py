"""The lock of a run's folder: only one process at a time trains in it.

The locked file, .lock, has the process id, and the working directory and the arguments of a new run. The operating system
releases the lock when the process ends, even if it is killed, so a file that is left over locks nothing.
"""

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from neo_np.errors import NeoError

try:
    import fcntl
except ImportError:  # Windows has msvcrt; Python in a browser has neither, and only one process
    fcntl = None  # type: ignore[assignment]
try:
    import msvcrt
except ImportError:
    msvcrt = None  # type: ignore[assignment]

LOCK = ".lock"
FAR = 2**30  # on Windows a locked byte cannot be read, so one behind the text is locked
HELD_BY_ANOTHER = errno.EACCES, errno.EAGAIN, errno.EDEADLK


@contextmanager
def locked(folder: Path, origin: dict[str, Any] | None = None) -> Iterator[None]:
    """Hold the lock of a folder, and remove its file at the end.

    origin: {"directory", "arguments"} of a new run. Raises NeoError if another process holds the lock.
    """
    descriptor = acquire(folder)
    try:
        try:
            os.ftruncate(descriptor, 0)
            os.write(descriptor, json.dumps({"process": os.getpid()} | (origin or {})).encode("utf-8"))
        except OSError as error:
            raise NeoError(f"the folder {folder} cannot be written: {error.strerror}.") from None
        yield
    finally:
        if os.name == "nt":  # Windows does not remove an open file
            os.close(descriptor)
        with suppress(OSError):
            (folder / LOCK).unlink()
        if os.name != "nt":
            os.close(descriptor)


def acquire(folder: Path) -> int:
    """Return the descriptor of the locked file."""
    file = folder / LOCK
    while True:
        try:
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise NeoError(f"the folder {folder} cannot be written: {error.strerror}.") from None
        if not try_lock(descriptor):
            os.close(descriptor)
            process = read_lock(folder).get("process", "unknown")
            raise NeoError(
                f"another process (id {process}) is training in {folder}: wait until it has ended, or use another folder."
            )
        if is_open(file, descriptor):
            return descriptor
        os.close(descriptor)  # the process that held the lock has removed the file meanwhile


def try_lock(descriptor: int) -> bool:
    """Lock a file, and return whether no other process holds the lock. A file system without locks protects nothing."""
    try:
        if fcntl:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # processes that this one forks do not hold it
        elif msvcrt:
            os.lseek(descriptor, FAR, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            os.lseek(descriptor, 0, os.SEEK_SET)
    except OSError as error:
        return error.errno not in HELD_BY_ANOTHER
    return True


def is_open(file: Path, descriptor: int) -> bool:
    """Return whether the descriptor is that of the file with this name."""
    try:
        return os.path.samestat(os.stat(file), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def read_lock(folder: Path) -> dict[str, Any]:
    """Return what the file of a lock says; {} if there is none, or if it is damaged.

    A process that holds the lock must not call this: closing the file would release the lock.
    """
    try:
        contents = json.loads((folder / LOCK).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return contents if isinstance(contents, dict) else {}
