"""Encode text in several processes and keep its order."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np

from neo_np.tokenizer.special_tokens import END_OF_TEXT
from neo_np.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:  # a browser has no processes, and so no such module
    from multiprocessing.connection import Connection

Job = list[tuple[str, bool]]  # pieces of text as `corpus.read_pieces` yields them: (piece, whether a document starts there)
Encoder = Callable[[Iterable[Job]], Iterator[tuple[Job, np.ndarray]]]


def encode(job: Job, tokenizer: Tokenizer) -> np.ndarray:
    """Return the token ids of a job, (T,) uint32. Each document begins with `<|endoftext|>`, and with nothing else added."""
    ids = []
    for piece, starts in job:
        if starts:
            ids.append(tokenizer.special_tokens[END_OF_TEXT])
        ids += tokenizer.encode(piece, add_special_tokens=False, add_prefix_space=None if starts else False)
    return np.array(ids, np.uint32)


@contextmanager
def encoder(tokenizer: Tokenizer, processes: int) -> Iterator[Encoder]:
    """Give a function that takes jobs and yields (job, ids) in their order. The processes end with the context."""
    if processes == 1:
        yield lambda jobs: ((job, encode(job, tokenizer)) for job in jobs)
        return
    workers = []
    try:
        for _ in range(processes):
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.Process(target=work, args=(theirs, tokenizer), daemon=True)
            with blocked_interrupt():
                process.start()
                workers.append((process, ours))
            theirs.close()
        yield lambda jobs: encode_in_order(jobs, [connection for _, connection in workers])
    finally:
        for process, connection in workers:
            process.terminate()
            process.join()
            connection.close()


def encode_in_order(jobs: Iterable[Job], connections: "list[Connection]") -> Iterator[tuple[Job, np.ndarray]]:
    """Yield (job, ids). The processes take turns and have one job each, so the order is kept and little is in memory."""
    waiting: deque[tuple[Job, Connection]] = deque()
    for job, connection in zip(jobs, cycle(connections)):
        if len(waiting) == len(connections):
            earlier_job, _ = waiting.popleft()
            yield earlier_job, connection.recv()
        connection.send(job)
        waiting.append((job, connection))
    for job, connection in waiting:
        yield job, connection.recv()


@contextmanager
def blocked_interrupt() -> Iterator[None]:
    """Block Ctrl-C for a moment. A process that starts meanwhile never sees it; this process answers it and ends the others."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def work(connection: "Connection", tokenizer: Tokenizer) -> None:
    """Answer each job with its ids, until the process is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=end_with_parent, daemon=True).start()
    while True:
        connection.send(encode(connection.recv(), tokenizer))


def end_with_parent() -> None:
    """End this process when its parent has ended, even if the parent was killed."""
    multiprocessing.parent_process().join()
    os._exit(1)
