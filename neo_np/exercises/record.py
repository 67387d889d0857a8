"""What is kept between sessions: `.progress.json` and the answers that passed, both in the folder of the notebooks.

NEO_NP_PROGRESS names another file for the progress; the answers lie in `.answers/` beside it. Both are ignored by git.
"""

import os
from contextlib import suppress
from pathlib import Path

from neo_np.errors import NeoError
from neo_np.exercises.beginning import source_of
from neo_np.exercises.diagnosis import RIGHT
from neo_np.files import read_json, read_text, write_json, write_text

CLONE = Path(__file__).resolve().parents[2]
PASSED, TRIED = "passed", "tried"


def progress_file():
    """Return the file of the progress: NEO_NP_PROGRESS, or the one in notebooks/, or one in the current folder."""
    if os.environ.get("NEO_NP_PROGRESS"):
        return Path(os.environ["NEO_NP_PROGRESS"])
    notebooks = CLONE / "notebooks"
    return (notebooks if notebooks.is_dir() else Path.cwd()) / ".progress.json"


def read_record():
    """Return the record: {"exercises": {name: {...}}, "guesses": {name: {...}}}; an empty one if there is none."""
    record = {"exercises": {}, "guesses": {}}
    try:
        found = read_json(progress_file())
        return {part: {name: dict(kept) for name, kept in found.get(part, {}).items()} for part in record}
    except (NeoError, AttributeError, TypeError, ValueError):  # missing or damaged
        return record


def update(part, name, **entries):
    """Add entries to what is kept about an exercise or a guess. A folder that cannot be written to is no error."""
    record = read_record()
    record[part][name] = record[part].get(name, {}) | entries
    file = progress_file()
    beside = file.with_name(f"{file.name}.{os.getpid()}")  # two notebooks may write at the same time
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(beside, record)
        os.replace(beside, file)
    except OSError:
        pass


def exercise_record(name):
    """Return what is kept about an exercise: state, ran (a check ran to numbers), hints (how many were shown)."""
    return read_record()["exercises"].get(name, {})


def keep_check(finding, function):
    """Keep the result of a check; an exercise that was passed once stays passed. Keep the source of an answer that passed."""
    name, passed = finding.exercise.name, finding.verdict == RIGHT
    before = exercise_record(name)
    state = PASSED if passed or before.get("state") == PASSED else TRIED
    update("exercises", name, state=state, ran=bool(before.get("ran")) or finding.ran_to_numbers)
    source = source_of(function) if passed else None
    if source is not None:
        try:
            folder = answers_folder()
            folder.mkdir(parents=True, exist_ok=True)
            write_text(folder / f"{name}.py", source)
        except OSError:
            pass


def answers_folder():
    """Return the folder in which the answers lie that passed."""
    return progress_file().with_name(".answers")


def read_answers():
    """Return {name: source} of the answers that passed."""
    answers = {}
    for file in sorted(answers_folder().glob("*.py")):
        with suppress(NeoError):
            answers[file.stem] = read_text(file)
    return answers
