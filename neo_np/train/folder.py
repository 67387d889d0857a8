"""The folder of a new run: created, locked, and cleaned up if the run ends before its first checkpoint."""

import argparse
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from neo_np.errors import NeoError
from neo_np.files import for_shell
from neo_np.folders.find import CONFIG
from neo_np.train.lock import LOCK, locked, read_lock
from neo_np.train.runs import checkpoints

# What a run writes before its first checkpoint.
LEFTOVER = re.compile(r"(train|valid)\.npy(\.part)?|log\.jsonl|\.log\.jsonl\.part|\.step-\d+\.(part|old)")
MOST_NAMED = 5  # runs in one sentence


@contextmanager
def new_run_folder(folder: Path, origin: dict[str, Any]) -> Iterator[bool]:
    """Create and lock the folder of a new run; remove what the run wrote if it ends without a checkpoint.

    The folder may have the leftovers of a run that was killed before its first checkpoint; the value is True if so. Raises
    NeoError if there is anything else in it, or if another process trains in it.
    """
    created = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        was_killed = "arguments" in read_lock(folder)
        make(folder)
        with locked(folder, origin):
            check_empty(folder, was_killed)
            remove_leftovers(folder)
            try:
                yield was_killed
            finally:
                if not checkpoints(folder):
                    remove_leftovers(folder)
    finally:
        for path in created:  # only empty folders can be removed
            with suppress(OSError):
                path.rmdir()


def make(folder: Path) -> None:
    """Create a folder and those above it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise NeoError(f"the folder {folder} cannot be written: {folder} is no folder; choose another --out.") from None
    except OSError as error:
        raise NeoError(f"the folder {folder} cannot be written: {error.strerror}.") from None


def check_empty(folder: Path, was_killed: bool) -> None:
    """Raise NeoError if the folder has a run, or anything that is not a leftover of a run that was killed."""
    if checkpoints(folder):
        raise NeoError(f"{folder} has a run already: continue it with --resume {for_shell(folder)}, or choose another --out.")
    for path in folder.iterdir():
        if path.name != LOCK and not (was_killed and LEFTOVER.fullmatch(path.name)):
            raise NeoError(f"the folder {folder} is not empty (it has {path.name}): empty it, or choose another --out.")


def remove_leftovers(folder: Path) -> None:
    """Remove what a run writes before its first checkpoint."""
    for path in folder.iterdir():
        if LEFTOVER.fullmatch(path.name):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def first_arguments(parser: argparse.ArgumentParser, folder: Path) -> tuple[argparse.Namespace, dict[str, Any]]:
    """Return the arguments of a run that was killed before its first checkpoint, with absolute paths; and its origin.

    Raises NeoError if there is no such run in the folder.
    """
    left = read_lock(folder)
    directory, arguments = left.get("directory"), left.get("arguments")
    if not isinstance(directory, str) or not isinstance(arguments, list) or not all(isinstance(a, str) for a in arguments):
        raise NeoError(not_a_run(folder))
    args = parser.parse_args(arguments)
    if not args.text or not args.out:
        raise NeoError(not_a_run(folder))
    args.out = str(folder)
    args.text = [absolute(directory, path) for path in args.text]
    args.valid = args.valid and [absolute(directory, path) for path in args.valid]
    for name in ("init", "tokenizer"):  # a path, or a name
        value = getattr(args, name)
        if value and os.path.exists(absolute(directory, value)):
            setattr(args, name, absolute(directory, value))
    return args, {"directory": directory, "arguments": arguments}


def absolute(directory: str, path: str) -> str:
    """Return the path as seen from a directory."""
    return os.path.join(directory, os.path.expanduser(path))


def not_a_run(folder: Path) -> str:
    """Return a sentence that says that a path is not the folder of a run, and which folder was probably meant."""
    sentence = f"{folder} holds no checkpoint step-N to resume from"
    parents = [*folder.parents, *Path(os.path.abspath(folder)).parents]
    if run := next((path for path in parents if checkpoints(path)), None):
        return f"{sentence}: it is inside the run {run}, so use --resume {for_shell(run)}."
    if not os.path.isdir(folder):
        return f"{sentence}: it {'is a file' if os.path.exists(folder) else 'does not exist'}. Name the folder of a run."
    if runs := sorted({str(path.parent) for path in folder.glob("*/step-*") if checkpoints(path.parent)}):
        more = ", ..." if len(runs) > MOST_NAMED else ""
        return f"{sentence}: name one of the runs in it ({', '.join(runs[:MOST_NAMED])}{more})."
    if (folder / CONFIG).exists():
        return f"{sentence}: it is a checkpoint, not a run. To train it further, start a run with --init {for_shell(folder)}."
    empty = "" if set(os.listdir(folder)) <= {LOCK} else "empty it, then "
    return f"{sentence}: {empty}start a run there, as in 'python -m neo_np.train TEXT --out {for_shell(folder)}'."
