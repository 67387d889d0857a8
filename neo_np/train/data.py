"""Training data: from text files to one file of token ids, and from that to random windows.

The token file is a NumPy .npy file with the tokens of all documents, one after the other. It is mapped into memory: the
operating system reads only the parts that are used, so the text may be larger than memory.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np

from neo_np.errors import NeoError
from neo_np.files import open_file, unreadable
from neo_np.tokenizer.corpus import read_pieces
from neo_np.tokenizer.special_tokens import END_OF_TEXT
from neo_np.tokenizer.tokenizer import Tokenizer
from neo_np.train.environment import processors
from neo_np.train.workers import Job, encoder

JOB_SIZE = 2**20  # characters that a process gets at a time
WORTH_PROCESSES = 2**22  # bytes of text; with less, starting processes takes longer than it saves
SHORTEST_PASSAGE = 4  # tokens, see `repeat_passages`


def tokenize_files(
    files: Sequence[str | os.PathLike],
    tokenizer: Tokenizer,
    out: str | os.PathLike,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> np.ndarray:
    """Write the tokens of text files into one token file, and return them as `load_tokens` does.

    files: paths, as `text_files` returns them. out: the .npy file, uint16 if every id fits, else uint32.
    processes: None uses one for each processor; the result is the same. progress(bytes done, bytes in all) is called often.
    Each document begins with `<|endoftext|>`, GPT-Neo's bos token, so a model learns to start from it.
    The file has the name out + ".part" until it is complete. Raises NeoError if there is no text, if a file cannot be read or
    written, and for a tokenizer without `<|endoftext|>`.
    """
    if END_OF_TEXT not in tokenizer.special_tokens:
        raise NeoError(f"the tokenizer has no special token {END_OF_TEXT}, with which each document begins: train another.")
    if processes is not None and processes < 1:
        raise NeoError(f"processes must be at least 1, and is {processes}.")
    if (largest := max(tokenizer.id_to_token)) >= 2**32:
        raise NeoError(f"the tokenizer has the id {largest}, and ids have at most 32 bits: its vocabulary is damaged.")
    total, done, length = total_size(files), 0, 0
    if total < WORTH_PROCESSES:
        processes = 1
    dtype = np.dtype("<u2" if largest < 2**16 else "<u4")
    out = Path(out)
    part = out.with_name(out.name + ".part")
    try:
        with open(part, "wb") as f, encoder(tokenizer, processes or processors()) as encode_in_order:
            write_header(f, dtype, length)
            for job, ids in encode_in_order(jobs(files)):
                f.write(ids.astype(dtype).tobytes())
                length += len(ids)
                done += sum(len(piece.encode("utf-8")) for piece, _ in job)
                if progress:
                    progress(done, total)
            if not length:
                raise NeoError(f"there is no text in {', '.join(map(str, files)):.200}.")
            f.seek(0)
            write_header(f, dtype, length)
        os.replace(part, out)
    except (EOFError, ConnectionError):
        raise NeoError(
            "a process that tokenizes came to a sudden end (out of memory? or a script without "
            'if __name__ == "__main__"?): use no such processes, with processes=1.'
        ) from None
    except OSError as error:
        raise NeoError(f"{out} cannot be written: {error.strerror}.") from None
    finally:
        with suppress(OSError):
            part.unlink()
    if progress:
        progress(total, total)  # the separators between documents were not counted
    return load_tokens(out)


def load_tokens(file: str | os.PathLike) -> np.ndarray:
    """Return the token ids of a file that `tokenize_files` wrote, (N,) uint16 or uint32, mapped into memory."""
    open_file(file).close()  # refuses what is missing or no ordinary file
    try:
        tokens = np.lib.format.open_memmap(file, mode="r")
    except Exception as error:  # NumPy reads the header as Python, so a damaged one raises errors of many kinds
        raise NeoError(f"{file} is not a complete token file ({error}): write it again.") from None
    if tokens.ndim != 1 or not len(tokens) or tokens.dtype not in (np.uint16, np.uint32):
        raise NeoError(f"{file} is not a token file: it holds {tokens.dtype} numbers of shape {tokens.shape}.")
    return tokens


def random_windows(tokens: np.ndarray, batch: int, length: int, rng: np.random.Generator) -> np.ndarray:
    """Return windows of the tokens that start at random places, (B, T) int64.

    tokens: (N,). batch, length: B and T. Every place where a window fits is equally likely. Raises NeoError if a window is
    longer than the text.
    """
    if len(tokens) < length:
        raise NeoError(f"the text has {len(tokens)} tokens, and one window takes {length}: take more text or a shorter window.")
    starts = rng.integers(len(tokens) - length + 1, size=batch)
    return np.lib.stride_tricks.sliding_window_view(tokens, length)[starts].astype(np.int64)


def repeat_passages(windows: np.ndarray, share: float, vocab_size: int, rng: np.random.Generator) -> None:
    """Overwrite a share of the windows (B, T) in place: each with one short passage, repeated until the window is full.

    Half of the passages are the window's own beginning, the others random ids. Their lengths are 4 to T / 3 tokens, short
    ones more often (the logarithm of the length is uniform). The tokens before tell which token comes next, so such windows
    teach the model to copy (the induction heads of Olsson et al. 2022, arXiv 2209.11895).
    """
    B, T = windows.shape
    for row in np.flatnonzero(rng.random(B) < share):
        length = max(1, int(SHORTEST_PASSAGE * (T / 3 / SHORTEST_PASSAGE) ** rng.random()))
        passage = windows[row, :length] if rng.random() < 0.5 else rng.integers(vocab_size, size=length)
        windows[row] = np.resize(passage, T)


def total_size(files: Sequence[str | os.PathLike]) -> int:
    """Return the size of all files in bytes."""
    try:
        return sum(os.path.getsize(file) for file in files)
    except OSError as error:
        raise unreadable(error.filename, error) from None


def write_header(f: BinaryIO, dtype: np.dtype, length: int) -> None:
    """Write the header of a .npy file. Its size is the same for every length, because NumPy leaves room for more digits."""
    header = {"descr": dtype.str, "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(f, header)


def jobs(files: Sequence[str | os.PathLike]) -> Iterator[Job]:
    """Yield the text of all files in order, in lists of pieces that have about JOB_SIZE characters together."""
    job, size = [], 0
    for file in files:
        for piece, starts in read_pieces(file):
            job.append((piece, starts))
            size += len(piece)
            if size >= JOB_SIZE:
                yield job
                job, size = [], 0
    if job:
        yield job
