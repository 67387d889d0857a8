"""Grading files: which exercises, the process of each answer, its points."""

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from neo_np.errors import NeoError
from neo_np.exercises.borrowed import PACKAGE, USES_PACKAGE
from neo_np.exercises.course import EXERCISES, TRANSFER, find
from neo_np.exercises.diagnosis import SLOW
from neo_np.exercises.exercise import Exercise
from neo_np.exercises.grading.needed import answer_index, needed_by
from neo_np.exercises.grading.process import Workers
from neo_np.exercises.grading.submission import Cell, Definition, definitions_of, read_cells
from neo_np.exercises.registry import LOADED

SECONDS = 4.0  # for all cases of an exercise; a worker has more, because it must start
CPU_SECONDS, WORKER_SECONDS = 10, 20.0
TRIES = 2  # a loaded computer may be slow once
MISSING, SYNTAX, NO_RESULT = "missing", "syntax", "no result"
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

    notes: sentences about what could not be read.
    """

    file: Path
    cells: list[Cell] = field(default_factory=list)
    definitions: list[Definition] = field(default_factory=list)
    skipped: list[tuple[Cell, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def read_submission(file: Path) -> Submission:
    """Return a submission; one that cannot be read has no definitions and a note that says why."""
    try:
        cells = read_cells(file)
    except NeoError as error:
        return Submission(file, notes=[str(error)])
    definitions, skipped = definitions_of(cells)
    notes = [f"{cell.name} was skipped, because it does not parse: {why}." for cell, why in skipped]
    return Submission(file, cells, definitions, skipped, notes)


def find_files(paths: Sequence[str]) -> list[Path]:
    """Return the files that paths name, a folder for all .py and .ipynb files in it, each once.

    Raises NeoError for a path that does not exist, and for a file of another kind.
    """
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
            found = [file for file in found if not any(part.startswith(".") for part in file.relative_to(path).parts)]
            if not found:
                raise NeoError(f"the folder {path} has no .py and no .ipynb file: name the folder with the submissions.")
            files += found
        elif not path.exists():
            raise NeoError(f"{path} does not exist: name .py or .ipynb files, or a folder of them.")
        elif path.suffix.lower() not in SUFFIXES:
            raise NeoError(f"{path} is neither a .py nor a .ipynb file.")
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
        wanted = {find(name).name for name in only if name not in numbers}
        return [e for e in known if e.name in wanted or (e.notebook in only and e.name in EXERCISES)]
    found = [e for e in known if any(answer_index(e.name, s.definitions) is not None for s in submissions)]
    if not found and len(submissions) == 1:
        raise NeoError(" ".join([f"{submissions[0].file} has no function of an exercise.", *submissions[0].notes]))
    if not found:
        raise NeoError("none of the files has a function of an exercise: are these the right files?")
    return found


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
    """Return mistake and remark for an answer that is not there: maybe it is in a cell that does not parse."""
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
    borrowed = needed_by(exercise.name, submission.definitions, set(given)).borrowed
    if borrowed:
        names = " and ".join(f"`{name}`" for name in borrowed)
        comes = "" if borrowed == [PACKAGE] else f", which {'comes' if len(borrowed) == 1 else 'come'} from neo_np"
        return grade(USES_PACKAGE, f"The answer uses {names}{comes}. Write it yourself, with NumPy.")
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
    return grade(result["mistake"], result["remark"], result["seconds"])


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
