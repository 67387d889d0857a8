"""Training data: text files to one file of token ids on disk, and random windows of it.

The token file is a plain NumPy .npy with the tokens of all documents one after the other. It is memory-mapped: the operating
system reads the parts that are used, so a corpus may be larger than memory.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from contextlib import contextmanager, suppress
from itertools import cycle
from pathlib import Path

import numpy as np

from neo_np.corpus import read_pieces
from neo_np.errors import NeoError
from neo_np.tokenizer.special_tokens import END_OF_TEXT

JOB = 2**20  # characters that a process gets at a time
SHORTEST_PASSAGE = 4  # tokens, see `repeat_passages`
WORTH_PROCESSES = 2**22  # bytes of text; for less, starting processes takes longer than it saves


def tokenize_files(files, tokenizer, out, processes=None, progress=None):
    """Write the tokens of text files into one file and return them as `load_tokens` does.

    files: list of paths, as `text_files` returns it. out: the .npy file, uint16 where the vocabulary fits, else uint32.
    Each document begins with `<|endoftext|>`, GPT-Neo's bos token, so that a model learns to start from it. The result
    does not depend on processes (None: one per CPU core). progress(done_bytes, total_bytes) is called as it goes.
    The file is written as out + ".part" and renamed when it is complete. Raises NeoError where there is no text, where a
    file cannot be read or written, and for a tokenizer without `<|endoftext|>`.
    """
    if END_OF_TEXT not in tokenizer.special_tokens:
        raise NeoError(f"the tokenizer has no special token {END_OF_TEXT}, with which each document begins: train another.")
    if processes is not None and processes < 1:
        raise NeoError(f"processes must be at least 1, and is {processes}.")
    total, done, length = _total_size(files), 0, 0
    if total < WORTH_PROCESSES:
        processes = 1
    dtype = np.dtype("<u2" if max(tokenizer.id_to_token) < 2**16 else "<u4")
    out = Path(out)
    part = out.with_name(out.name + ".part")
    try:
        with open(part, "wb") as f, _encoder(tokenizer, processes or os.cpu_count() or 1) as encode_in_order:
            _write_header(f, dtype, length)
            for job, ids in encode_in_order(_jobs(files)):
                f.write(ids.astype(dtype).tobytes())
                length += len(ids)
                done += sum(len(piece.encode("utf-8")) for piece, _ in job)
                if progress:
                    progress(done, total)
            if not length:
                raise NeoError(f"there is no text in {', '.join(map(str, files)):.200}.")
            f.seek(0)
            _write_header(f, dtype, length)
        os.replace(part, out)
    except (EOFError, ConnectionError):
        raise NeoError(
            "a process that tokenizes came to a sudden end (out of memory? or a script without "
            'if __name__ == "__main__"?): go without such processes, with processes=1.'
        ) from None
    except OSError as error:
        raise NeoError(f"{out} cannot be written: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            part.unlink()
    if progress:
        progress(total, total)  # separators of documents were not counted
    return load_tokens(out)


def load_tokens(file):
    """Return the token ids of a file that `tokenize_files` wrote, (T,) uint16 or uint32, memory-mapped."""
    try:
        tokens = np.lib.format.open_memmap(file, mode="r")
    except OSError as error:
        raise NeoError(f"{file} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise NeoError(f"{file} is no whole token file ({error}): write it anew.") from None
    if tokens.ndim != 1 or tokens.dtype not in (np.uint16, np.uint32):
        raise NeoError(f"{file} is no token file: it holds {tokens.dtype} numbers of shape {tokens.shape}.")
    return tokens


def random_windows(tokens, batch, length, rng):
    """Return windows of the tokens that start at random places, (B, T) int64.

    tokens: (N,), as `load_tokens` returns them. batch, length: B and T. rng: np.random.Generator; every place where a window
    fits is equally likely. Raises NeoError where there are fewer tokens than one window takes.
    """
    if len(tokens) < length:
        raise NeoError(f"the text has {len(tokens)} tokens, and one window takes {length}: take more text or a shorter window.")
    starts = rng.integers(len(tokens) - length + 1, size=batch)
    return np.stack([tokens[start : start + length] for start in starts]).astype(np.int64)


def repeat_passages(windows, share, vocab_size, rng):
    """Overwrite a share of the windows (B, T) with one short passage, repeated until the window is full.

    Half of these passages are the window's own beginning, the others random ids. Their lengths are 4 to T / 3 tokens, short
    ones more often (the logarithm of the length is uniform). What came before tells the model what comes next, so training
    on them teaches it to copy (the induction heads of Olsson et al. 2022, arXiv 2209.11895).
    """
    B, T = windows.shape
    for row in np.flatnonzero(rng.random(B) < share):
        length = int(SHORTEST_PASSAGE * (T / 3 / SHORTEST_PASSAGE) ** rng.random())
        passage = windows[row, :length] if rng.random() < 0.5 else rng.integers(vocab_size, size=length)
        windows[row] = np.resize(passage, T)


def _total_size(files):
    try:
        return sum(os.path.getsize(file) for file in files)
    except OSError as error:
        raise NeoError(f"{error.filename} cannot be read: {error.strerror}.") from None


def _write_header(f, dtype, length):
    """Write the header of a .npy file. It has the same size for every length: NumPy leaves room for it to grow."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(f, header)


def _jobs(files):
    """Yield lists of pieces as `read_pieces` has them, together about JOB characters, from all files in order."""
    job, size = [], 0
    for file in files:
        for piece, starts in read_pieces(file):
            job.append((piece, starts))
            size += len(piece)
            if size >= JOB:
                yield job
                job, size = [], 0
    if job:
        yield job


def _encode(job, tokenizer):
    ids = []
    for piece, starts in job:
        if starts:
            ids.append(tokenizer.special_tokens[END_OF_TEXT])
        ids += tokenizer.encode(piece)
    return np.array(ids, np.uint32)


@contextmanager
def _encoder(tokenizer, processes):
    """Give a function that turns jobs into (job, ids), in order, by processes that live as long as the context."""
    if processes == 1:
        yield lambda jobs: ((job, _encode(job, tokenizer)) for job in jobs)
        return
    workers = []
    try:
        for _ in range(processes):
            ours, theirs = multiprocessing.Pipe()
            process = multiprocessing.Process(target=_work, args=(theirs, tokenizer), daemon=True)
            with _interrupt_held_back():
                process.start()
                workers.append((process, ours))
            theirs.close()
        yield lambda jobs: _encode_in_order(jobs, [connection for _, connection in workers])
    finally:
        for process, connection in workers:
            process.terminate()
            process.join()
            connection.close()


def _encode_in_order(jobs, connections):
    """Yield (job, ids). The processes take turns, one job each at a time: so the order is kept and little is in memory."""
    waiting = deque()
    for job, connection in zip(jobs, cycle(connections)):
        if len(waiting) == len(connections):
            earlier_job, _ = waiting.popleft()
            yield earlier_job, connection.recv()
        connection.send(job)
        waiting.append((job, connection))
    for job, connection in waiting:
        yield job, connection.recv()


@contextmanager
def _interrupt_held_back():
    """Let Ctrl-C wait. Processes that start meanwhile never see it: this one alone answers it, and ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(connection, tokenizer):
    """Answer each job with its ids: what a process does until it is ended."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        connection.send(_encode(connection.recv(), tokenizer))


def _end_with_parent():
    """End this process when the one that started it has ended, even killed: it would wait for work for ever."""
    multiprocessing.parent_process().join()
    os._exit(1)
