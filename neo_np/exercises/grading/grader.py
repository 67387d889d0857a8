"""Grading files: which exercises, the process of each answer, its points."""

import os
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from neo_np.errors import NeoError
from neo_np.exercises.borrowed import USES_LIBRARY, USES_PACKAGE, refusal, refusal_of_library
from neo_np.exercises.course import EXERCISES, NOTEBOOKS, TRANSFER, find
from neo_np.exercises.diagnosis import SLOW
from neo_np.exercises.exercise import Exercise
from neo_np.exercises.grading.left_out import left_out
from neo_np.exercises.grading.needed import answer_index, libraries_in, needed_by
from neo_np.exercises.grading.process import Workers
from neo_np.exercises.grading.submission import Cell, Definition, definitions_of, read_cells
from neo_np.exercises.registry import LOADED

SECONDS = 4.0  # for all cases of an exercise; a worker has more, because it must start
CPU_SECONDS, WORKER_SECONDS = 10, 20.0
TRIES = 2  # a loaded computer may be slow once
MISSING, UNREADABLE, SYNTAX, NO_RESULT = "missing", "unreadable", "syntax", "no result"
SUFFIXES = ".py", ".ipynb"


@dataclass(frozen=True)
class Grade:
    """The result of one exercise. points: 1 or 0. mistake: names joined by +, or another reason for no points; "" if right."""

    file: str
    exercise: str
    points: int
    mistake: str = ""
    remark: str = ""
    seconds: float = 0.0


@dataclass
class Submission:
    """A file of a student: the definitions in it, and the cells that do not parse, with the reason.

    unreadable: why nothing of it can be read, or "". notes: sentences about what could not be read.
    """

    file: Path
    cells: list[Cell] = field(default_factory=list)
    definitions: list[Definition] = field(default_factory=list)
    skipped: list[tuple[Cell, str]] = field(default_factory=list)
    unreadable: str = ""
    notes: list[str] = field(default_factory=list)


def read_submission(file: Path) -> Submission:
    """Return a submission; one that cannot be read has no definitions and a note that says why."""
    try:
        cells = read_cells(file)
    except NeoError as error:
        return Submission(file, unreadable=str(error), notes=[str(error)])
    definitions, skipped = definitions_of(cells)
    notes = [f"{cell.name}{what_happened(file)}, because it does not parse: {why}." for cell, why in skipped]
    return Submission(file, cells, definitions, skipped, notes=notes)


def what_happened(file: Path) -> str:
    """Return what is done with code that does not parse: a cell is left out, a script only loses the function."""
    return " was skipped" if file.suffix.lower() == ".ipynb" else " was cut at its functions, and one of them was skipped"


def find_files(paths: Sequence[str]) -> list[Path]:
    """Return the files that paths name, a folder for all .py and .ipynb files in it, each once.

    Raises NeoError for a path that does not exist, and for a file of another kind.
    """
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
            found = [file for file in found if str(file.resolve()) not in map(os.path.realpath, LOADED)]
            if not found:
                raise NeoError(f"the folder {path} has no .py and no .ipynb file: name the folder with the submissions.")
            files += found
        elif not path.exists():
            raise NeoError(f"{path} does not exist: name .py or .ipynb files, or a folder of them.")
        elif path.suffix.lower() not in SUFFIXES:
            raise NeoError(f"{path} is neither a .py nor a .ipynb file: name files of these kinds.")
        else:
            files.append(path)
    return list(dict.fromkeys(files))


def chosen_exercises(only: Sequence[str], submissions: Sequence[Submission]) -> list[Exercise]:
    """Return the exercises to grade: those in `only`, which has names and numbers of notebooks, else all that a file answers.

    Raises NeoError for an unknown name, or if there is nothing to grade.
    """
    known = [*EXERCISES.values(), *TRANSFER.values()]
    if only:
        numbers = {exercise.notebook for exercise in EXERCISES.values()}
        without = next((name for name in only if name in NOTEBOOKS and name not in numbers), None)
        if without:
            raise NeoError(f"notebook {without} has no exercises. Those with exercises are {', '.join(sorted(numbers))}.")
        number = next((name for name in only if name.isdigit() and name not in numbers), None)
        if number:
            raise NeoError(f"there is no notebook {number} with exercises. There are {', '.join(sorted(numbers))}.")
        wanted = {find(name).name for name in only if name not in numbers}
        return [e for e in known if e.name in wanted or (e.notebook in only and e.name in EXERCISES)]
    found = [e for e in known if any(answer_index(e.name, s.definitions) is not None for s in submissions)]
    if not found and len(submissions) == 1:
        raise NeoError(" ".join([f"{submissions[0].file} has no function of an exercise.", *submissions[0].notes]))
    if not found:
        raise NeoError("none of the files has a function of an exercise: are these the right files?")
    return found


def notes_on_choice(exercises: Sequence[Exercise], submissions: Sequence[Submission]) -> list[str]:
    """Return a note for each exercise that is graded because of one file: its function may be a helper of that name.

    In a class all files answer the exercises of a notebook, so one file with one exercise of another notebook is suspicious.
    """
    files = {e.name: [s.file for s in submissions if answer_index(e.name, s.definitions) is not None] for e in exercises}
    answered = Counter(exercise.notebook for exercise in exercises)
    return [
        f"only {files[e.name][0]} has a function {e.name} of notebook {e.notebook}. If that is a helper, use --only."
        for e in exercises
        if len(submissions) > 2 and len(files[e.name]) == 1 and answered[e.notebook] == 1 and len(exercises) > 1
    ]


def earlier_answers(exercise: Exercise, definitions: Sequence[Definition]) -> list[str]:
    """Return the names that the course provides to an answer: what the exercise gives, and the file's answers to others.

    So a wrong answer harms no other one. A function with the name of an exercise and other parameters is a helper.
    """
    others = []
    for definition in definitions:
        other, arguments = EXERCISES.get(definition.names[0]), getattr(definition.node, "args", None)
        if other and other is not exercise and arguments and [arg.arg for arg in arguments.args] == other.parameters:
            others.append(other.name)
    return list(dict.fromkeys([*exercise.given, *others]))


def why_missing(submission: Submission, name: str) -> tuple[str, str]:
    """Return mistake and remark for an answer that is not there: maybe the file or its cell cannot be read."""
    if submission.unreadable:
        return UNREADABLE, f"The file cannot be read: {submission.unreadable}"
    for cell, why in submission.skipped:
        if re.search(rf"^\s*(async )?def {name}\b", cell.source, re.M):
            return SYNTAX, f"Python cannot read the function: {why} of {cell.name}."
    return MISSING, f"There is no function {name} in this file."


def grade_answer(submission: Submission, exercise: Exercise, workers: Workers, seed: int | None = None) -> Grade:
    """Return the grade of one exercise of a submission, checked in a process of its own."""

    def grade(mistake, remark, seconds=0.0):
        return Grade(str(submission.file), exercise.name, int(not mistake), mistake, remark, seconds)

    if answer_index(exercise.name, submission.definitions) is None:
        return grade(*why_missing(submission, exercise.name))
    given = earlier_answers(exercise, submission.definitions)
    needed = needed_by(exercise.name, submission.definitions, set(given))
    if needed.borrowed:
        return grade(USES_PACKAGE, refusal(needed.borrowed))
    libraries = libraries_in(needed.definitions)
    if libraries:
        return grade(USES_LIBRARY, refusal_of_library(libraries[0]))
    job = {
        "exercise": exercise.name,
        "cells": [(cell.name, cell.source) for cell in submission.cells],
        "given": given,
        "seed": seed,
        "registry": LOADED,
        "seconds": SECONDS,
        "cpu_seconds": CPU_SECONDS,
    }
    begin, result = time.perf_counter(), None
    for _ in range(TRIES):
        result = workers.answer(job, WORKER_SECONDS) or result
        if result and result["mistake"] != SLOW:
            break
    if result is None:
        says = "The answer ended its process or used up its time or memory, so there is no result."
        return grade(NO_RESULT, says, round(time.perf_counter() - begin, 3))
    more = left_out(submission.cells, needed.definitions) if result["mistake"] else ""
    return grade(result["mistake"], f"{result['remark']} {more}".strip(), result["seconds"])


def grade_all(
    submissions: Sequence[Submission],
    exercises: Sequence[Exercise],
    seed: int | None = None,
    jobs: int = 1,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Grade]:
    """Return the grades of all exercises of all submissions in their order. jobs: processes at the same time."""
    workers, pool = Workers(), ThreadPoolExecutor(jobs)
    try:
        futures = [pool.submit(grade_answer, s, e, workers, seed) for s in submissions for e in exercises]
        for done, _ in enumerate(as_completed(futures), 1):
            progress(done, len(futures))
        return [future.result() for future in futures]
    finally:
        workers.stop()  # after Ctrl-C
        pool.shutdown(cancel_futures=True)


def grade(file: str, exercise: str, seed: int | None = None) -> Grade:
    """Return the `Grade` of one exercise of a file, .py or .ipynb: points, mistake, remark, seconds."""
    [path] = find_files([file])
    return grade_all([read_submission(path)], [find(exercise)], seed)[0]
