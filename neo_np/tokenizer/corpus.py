"""Reading a corpus: its text files, the documents in them, and pieces of them that fit into memory.

A text file has one document, or several with `<|endoftext|>` between them. Corpus files give this separator a line of its
own, so the line breaks around it are layout and do not belong to the documents.
"""

import os
from collections.abc import Iterable, Iterator
from itertools import chain
from os import PathLike
from pathlib import Path

import regex

from neo_np.errors import NeoError
from neo_np.files import read_chunks

SEPARATOR = regex.compile(r"[\r\n]*<\|endoftext\|>[\r\n]*")
NOT_BLANK = regex.compile(r"\S")
# The last place where a text may be cut; (?r) searches from the end. In GPT-2's pattern white space only ever begins a
# pre-token, and nothing looks back. So a pre-token always ends before white space that follows other text, and the next one
# is found as at the start of a text.
CUT = regex.compile(r"(?r)\S(?=\s)")


def text_files(paths: str | PathLike[str] | Iterable[str | PathLike[str]]) -> list[Path]:
    """Return the text files that a path or a list of paths means.

    A folder means the *.txt files in it and in its subfolders, sorted by name, without those of training runs and checkpoints.
    Raises NeoError for a path that does not exist, for a folder without such files, and if there is no path.
    """
    files = []
    for given in [paths] if isinstance(paths, str | PathLike) else paths:
        path = Path(given).expanduser()
        if os.path.isdir(path):
            found = sorted(text_files_below(path))
            if not found:
                raise NeoError(f"the folder {path} holds no *.txt file: name the files themselves, or rename them.")
            files += found
        elif os.path.isfile(path):
            files.append(path)
        elif "://" in str(given):
            raise NeoError(f"{given} is an address, and only files are read: download it first.")
        else:
            raise NeoError(
                f"{path} {'is no ordinary file' if os.path.exists(path) else 'does not exist'}: name a text file or a folder."
            )
    if not files:
        raise NeoError("no text files were named: name at least one file or folder.")
    return files


def text_files_below(folder: Path) -> Iterator[Path]:
    """Yield the *.txt files in a folder and its subfolders, without those of training runs and checkpoints."""
    for path, subfolders, files in os.walk(folder):
        if is_run_or_checkpoint(Path(path)):
            subfolders.clear()
        else:
            yield from (file for file in map(Path(path).joinpath, files) if file.suffix.lower() == ".txt" and file.is_file())


def is_run_or_checkpoint(folder: Path) -> bool:
    """Return whether a folder is that of a training run or of a checkpoint, whose merges.txt is no text to read."""
    names = ("train.npy", "log.jsonl"), ("config.json", "merges.txt")
    return any(all((folder / name).exists() for name in pair) for pair in names)


def read_pieces(file: str | PathLike[str]) -> Iterator[tuple[str, bool]]:
    """Yield the text of a file as (piece, starts): pieces of about 1 MB or less; starts is True if a document begins there.

    The pieces of a document, joined, are the document, and their tokens, joined, are its tokens (unless a special token has
    white space inside). A piece is longer only if no white space follows a word for so long. Line breaks stay as they are in
    the file; a byte order mark at its beginning and documents of nothing but white space are left out.
    Raises NeoError naming the file, and the byte that is not UTF-8.
    """
    text, starts = "", True
    for chunk in chain(read_chunks(file), [None]):
        is_last = chunk is None
        text += chunk or ""
        begin = 0
        for separator in SEPARATOR.finditer(text):
            if separator.end() == len(text) and not is_last:
                break  # more line breaks may follow
            piece = text[begin : separator.start()]
            if NOT_BLANK.search(piece) or not starts:
                yield piece, starts
            begin, starts = separator.end(), True
        else:
            if not is_last and (cut := CUT.search(text, begin)):
                yield text[begin : cut.end()], starts
                begin, starts = cut.end(), False
        text = text[begin:]
    if NOT_BLANK.search(text) or not starts:
        yield text, starts


def documents(file: str | PathLike[str]) -> Iterator[str]:
    """Yield the documents of a file; only one at a time is in memory. Raises what `read_pieces` raises."""
    pieces: list[str] = []
    for piece, starts in read_pieces(file):
        if starts and pieces:
            yield "".join(pieces)
            pieces = []
        pieces.append(piece)
    if pieces:
        yield "".join(pieces)
