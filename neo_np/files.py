"""Reading and writing files. Every file that a user names is first opened by `open_file`, which checks what it is."""

import codecs
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

from neo_np.errors import NeoError

CHUNK = 2**20  # bytes read at a time
LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def open_file(file: str | os.PathLike) -> IO[bytes]:
    """Open a file for reading bytes.

    Raises NeoError for what is no ordinary file (a pipe would block for ever), for a missing file or permission, and for a
    Git LFS pointer, the text that a clone without Git LFS has in place of a large file.
    """
    try:
        if not stat.S_ISREG(os.stat(file).st_mode):
            raise NeoError(f"{file} is {'a folder' if os.path.isdir(file) else 'no ordinary file'}: a file was expected there.")
        opened = open(file, "rb")
        begin = opened.read(len(LFS_POINTER))
        opened.seek(0)
    except NeoError:  # it is a ValueError too
        raise
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise unreadable(file, error) from None
    if begin == LFS_POINTER:
        opened.close()
        raise NeoError(f"{file} is a pointer of Git LFS, not the file itself: install git-lfs and run 'git lfs pull' there.")
    return opened


def unreadable(file: str | os.PathLike, error: Exception) -> NeoError:
    """Return the NeoError that says why the system does not let us read a file."""
    if isinstance(error, PermissionError):
        return NeoError(f"{file} cannot be read: permission denied. Change its permissions (chmod), or ask its owner.")
    return NeoError(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}.")


def is_there(path: str | os.PathLike) -> bool:
    """Return whether a file or folder exists; raises NeoError if the permission to look is missing."""
    try:
        os.stat(path)
    except PermissionError as error:
        raise unreadable(path, error) from None
    except (OSError, ValueError):
        return False
    return True


def for_shell(path: str | os.PathLike) -> str:
    """Return a path as it is typed in a shell: as it is, or in double quotes if it needs quotes."""
    import shlex  # only messages need it, and each import makes the start slower

    text = os.fspath(path)
    return text if shlex.quote(text) == text else '"' + re.sub(r'(["\\$`])', r"\\\1", text) + '"'


def read_text(file: str | os.PathLike) -> str:
    """Return the text of a UTF-8 file, its line breaks as they are, without a byte order mark.

    Raises NeoError naming the file, and the byte that is not UTF-8.
    """
    return "".join(read_chunks(file))


def read_chunks(file: str | os.PathLike) -> Iterator[str]:
    """Yield what `read_text` returns in pieces of about 1 MB, so that the file may be larger than memory."""
    with open_file(file) as opened:
        try:
            yield from decode_chunks(iter(lambda: opened.read(CHUNK), b""), file)
        except OSError as error:
            raise unreadable(file, error) from None


def decode_chunks(chunks: Iterable[bytes], source: str | os.PathLike) -> Iterator[str]:
    """Yield the text of UTF-8 bytes that come in pieces, without a byte order mark.

    source: where the bytes come from, for the message: a file, or "standard input". Raises NeoError for what is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    count = 0
    try:
        for data in chain(chunks, [b""]):
            count += len(data)
            yield decoder.decode(data, final=not data)
    except UnicodeDecodeError as error:  # error.object is what was not decoded yet of the first `count` bytes
        place = count - len(error.object) + error.start
        reason = f"{error.reason} at byte {place}"
        if place == 0 and error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            reason = "it is UTF-16, which Windows PowerShell writes"
        raise NeoError(f"{source} is not UTF-8 ({reason}): convert it to UTF-8 first.") from None


def read_json(file: str | os.PathLike) -> Any:
    """Return what a JSON file holds; raises NeoError naming the file if it cannot be read."""
    text = read_text(file)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NeoError(f"{file} is not valid JSON ({error}): the file is damaged, download or copy it again.") from None


def read_entries(file: str | os.PathLike) -> dict[str, Any]:
    """Read a JSON file that must hold one object."""
    entries = read_json(file)
    if not isinstance(entries, dict):
        raise NeoError(f"{file} must hold one JSON object, and holds a {type(entries).__name__}.")
    return entries


def write_text(file: Path, text: str) -> None:
    """Write a text file as UTF-8, with line feeds on every system."""
    file.write_text(text, encoding="utf-8", newline="\n")


def write_json(file: Path, entries: Any) -> None:
    """Write a JSON file, indented like those on the hub."""
    write_text(file, json.dumps(entries, indent=2) + "\n")
