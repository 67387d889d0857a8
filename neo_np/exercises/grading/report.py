"""The grades as a table to read, as CSV and as JSON."""

import csv
import io
import json
import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import Any

from neo_np.exercises.course import EXERCISES, TRANSFER
from neo_np.exercises.grading.grader import Grade, Submission
from neo_np.exercises.registry import registry_version

COLUMNS = "file", "exercise", "points", "mistake", "seconds"
WIDTH = 100


def registry_line() -> str:
    """Return the version of the exercises in words."""
    return f"registry {registry_version()}: {len(EXERCISES)} exercises and {len(TRANSFER)} transfer exercises"


def as_table(submissions: Sequence[Submission], grades: Sequence[Grade]) -> str:
    """Return one paragraph for each file: its points, then each exercise, then its notes."""
    width = max(len(grade.exercise) for grade in grades)
    lines = [registry_line()]
    for submission in submissions:
        own = [grade for grade in grades if grade.file == str(submission.file)]
        lines += ["", f"{submission.file}: {sum(grade.points for grade in own)} of {len(own)} points"]
        for grade in own:
            says = f"[{grade.mistake}] {grade.remark}" if grade.mistake else "right"
            begin = f"  {grade.points}  {grade.exercise:{width}}  "
            lines += textwrap.wrap(" ".join(says.split()), WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin))
        for note in [] if submission.unreadable and own else submission.notes:
            lines += textwrap.wrap(f"note: {note}", WIDTH, initial_indent="  ", subsequent_indent="  ")
    return "\n".join(lines + (summary(grades, width) if len(submissions) > 1 else []))


def summary(grades: Sequence[Grade], width: int) -> list[str]:
    """Return a line for each exercise: how many files are right, and how often each mistake occurs, the most frequent first."""
    lines = ["", "all files:"]
    for name in dict.fromkeys(grade.exercise for grade in grades):
        mistakes = [grade.mistake for grade in grades if grade.exercise == name]
        counts = Counter(mistake for mistake in mistakes if mistake).most_common()
        says = f"{mistakes.count('')} of {len(mistakes)} right" + "".join(f", {number} {mistake}" for mistake, number in counts)
        begin = f"  {name:{width}}  "
        lines += textwrap.wrap(says, WIDTH, initial_indent=begin, subsequent_indent=" " * len(begin))
    return lines


def as_csv(grades: Sequence[Grade]) -> str:
    """Return a line for each exercise of each file, below the names of the columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(grade, column) for column in COLUMNS] for grade in grades)
    return text.getvalue()


def as_json(submissions: Sequence[Submission], grades: Sequence[Grade]) -> str:
    """Return one JSON object: the registry's version, and for each file its points, notes and exercises."""
    files: list[dict[str, Any]] = []
    for submission in submissions:
        own = [grade for grade in grades if grade.file == str(submission.file)]
        exercises = [
            {"exercise": g.exercise, "points": g.points, "mistake": g.mistake, "remark": g.remark, "seconds": g.seconds}
            for g in own
        ]
        points = sum(grade.points for grade in own)
        files.append(
            {"file": str(submission.file), "points": points, "of": len(own), "notes": submission.notes, "exercises": exercises}
        )
    return json.dumps({"registry": registry_version(), "files": files}, indent=2)
