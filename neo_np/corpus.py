"""Reading text: files and folders, the documents in them, and pieces of them that fit into memory.

A text file holds one document, or several with `<|endoftext|>` between them. The line breaks around that separator belong to
it, for corpus files give it a line of its own: they are layout, not text.
"""

import codecs
import os
from pathlib import Path

import regex

from neo_np.errors import NeoError

CHUNK = 2**20  # bytes read at a time
SEPARATOR = regex.compile(r"[\r\n]*<\|endoftext\|>[\r\n]*")
NOT_BLANK = regex.compile(r"\S")
# The last place where text may be cut, searched from the end (?r). In GPT-2's regular expression white space only ever
# begins a pre-token, and nothing looks back: so before white space that follows other text one pre-token always ends, and
# the next is found as at the start of a text.
CUT = regex.compile(r"(?r)\S(?=\s)")


def text_files(paths):
    """Return the text files, as a list of Path, that a path or a list of paths stands for.

    A folder stands for the *.txt files in it and in its subfolders, sorted by name. Raises NeoError for a path that does not
    exist, for a folder without such files, and where there is no path at all.
    """
    files = []
    for path in [paths] if isinstance(paths, str | os.PathLike) else paths:
        path = Path(path).expanduser()
        if path.is_dir():
            found = sorted(file for file in path.rglob("*.txt") if file.is_file())
            if not found:
                raise NeoError(f"the folder {path} holds no *.txt file: name the files themselves, or rename them.")
            files += found
        elif path.is_file():
            files.append(path)
        else:
            raise NeoError(
                f"{path} {'is no ordinary file' if path.exists() else 'does not exist'}: name a text file or a folder."
            )
    if not files:
        raise NeoError("no text files were named: name at least one file or folder.")
    return files


def read_pieces(file):
    """Yield the text of a file as (piece, starts): pieces of about 1 MB or less, starts true where a document begins.

    The pieces of a document, joined, are the document, and their tokens, joined, are its tokens (unless a special token has
    white space inside). Only a word without any white space after it makes a piece longer. Line breaks come as they are in
    the file; a byte order mark at its beginning and documents of nothing but white space are left out.
    Raises NeoError naming the file, and the byte where it is not UTF-8.
    """
    text, starts = "", True
    for chunk, is_last in _read_chunks(file):
        text += chunk
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


def documents(file):
    """Yield the documents of a file, one str each; only one at a time is held in memory. Raises what `read_pieces` does."""
    pieces = []
    for piece, starts in read_pieces(file):
        if starts and pieces:
            yield "".join(pieces)
            pieces = []
        pieces.append(piece)
    if pieces:
        yield "".join(pieces)


def _read_chunks(file):
    """Yield the text of a UTF-8 file as (chunk, is_last)."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    offset = 0
    try:
        with open(file, "rb") as f:
            data = True
            while data:
                data = f.read(CHUNK)
                offset += len(data)
                yield decoder.decode(data, final=not data), not data
    except UnicodeDecodeError as error:  # its object is what of the file, up to offset, was still to be decoded
        place = offset - len(error.object) + error.start
        raise NeoError(f"{file} is not UTF-8 ({error.reason} at byte {place}): convert it to UTF-8 first.") from None
    except OSError as error:
        raise NeoError(f"{file} cannot be read: {error.strerror}.") from None
