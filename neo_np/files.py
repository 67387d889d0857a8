"""files."""

import json
from pathlib import Path

from neo_np.errors import NeoError


def read_json(file):
    """Return what a JSON file holds; raises NeoError naming the file where it cannot be read."""
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise NeoError(f"{file} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise NeoError(f"{file} is not valid JSON ({error}): it is damaged, fetch it anew.") from None


def write_text(file, text):
    """Write a text file as UTF-8 with line feeds on every system."""
    file.write_text(text, encoding="utf-8", newline="\n")


def write_json(file, entries):
    """Write a JSON file, indented as the hub's are."""
    file.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
