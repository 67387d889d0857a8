"""The log of a run: log.jsonl, one JSON object on each line."""

import json
import math
import os
from contextlib import suppress
from pathlib import Path

from neo_np.errors import NeoError, warn
from neo_np.files import is_there, open_file

LOG = "log.jsonl"


class Log:
    """The log of a run. When a run resumes, the lines of steps after its checkpoint are removed: they will be made again.

    Damaged lines are removed too, with a warning (but the last line may be half written, if the run was killed).
    """

    def __init__(self, folder: str | os.PathLike, step: int = 0):
        self.path = Path(folder) / LOG
        lines = read_lines(self.path)
        numbers = [step_of(line) for line in lines]
        if damaged := sum(number is None for number in numbers[:-1]):
            warn(f"{self.path}: {damaged} damaged lines are left out.")
        kept = [line for line, number in zip(lines, numbers) if number is not None and number <= step]
        part = self.path.with_name(f".{LOG}.part")
        try:
            part.write_bytes(b"".join(line + b"\n" for line in kept))
            os.replace(part, self.path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise self.unwritable(error) from None

    def write(self, entry: dict) -> None:
        """Add a line: a dict that has a "step"."""
        try:
            with open(self.path, "a", encoding="utf-8") as f:
                f.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise self.unwritable(error) from None

    def unwritable(self, error: OSError) -> NeoError:
        """Return the NeoError for a log that cannot be written."""
        return NeoError(f"the log {self.path} cannot be written: {error.strerror}.")


def read_lines(path: Path) -> list[bytes]:
    """Return the lines of a log, none if there is no log."""
    if not is_there(path):
        return []
    with open_file(path) as f:
        return f.read().splitlines()


def step_of(line: bytes) -> float | None:
    """Return the step that a line of the log belongs to, None for a damaged line."""
    try:
        step = json.loads(line)["step"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return step if isinstance(step, int | float) and math.isfinite(step) else None
