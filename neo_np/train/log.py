"""The log of a run: log.jsonl, one JSON object on each line."""

import json
import os
from contextlib import suppress
from pathlib import Path

from neo_np.errors import NeoError

LOG = "log.jsonl"


class Log:
    """The log of a run. When a run resumes, the lines of steps after its checkpoint are removed: they will be made again."""

    def __init__(self, folder: str | os.PathLike, step: int = 0):
        self.path = Path(folder) / LOG
        part = self.path.with_name(f".{LOG}.part")
        try:
            kept = []
            if self.path.exists():
                kept = [line for line in self.path.read_text(encoding="utf-8").splitlines() if step_of(line) <= step]
            part.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
            os.replace(part, self.path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise NeoError(f"the log {self.path} cannot be written: {error.strerror}.") from None

    def write(self, entry: dict) -> None:
        """Add a line: a dict that has a "step"."""
        try:
            with open(self.path, "a", encoding="utf-8") as f:
                f.write(json.dumps(entry) + "\n")
        except OSError as error:
            raise NeoError(f"the log {self.path} cannot be written: {error.strerror}.") from None


def step_of(line: str) -> float:
    """Return the step that a line of the log belongs to; infinity for a line that was only half written."""
    try:
        return json.loads(line)["step"]
    except ValueError:
        return float("inf")
