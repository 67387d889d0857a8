"""The file of a lecturer with solutions and exercises of their own, and the version of all exercises together."""

import hashlib
import inspect
import os
import traceback
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from neo_np.errors import NeoError
from neo_np.exercises.calls import call, kept_apart
from neo_np.exercises.course import EXERCISES, TRANSFER, find, register
from neo_np.exercises.diagnosis import RIGHT, examine
from neo_np.exercises.exercise import Exercise
from neo_np.exercises.messages import title_of
from neo_np.exercises.outcomes import right
from neo_np.exercises.prepared import prepared_cases
from neo_np.exercises.transfer import RESULTS
from neo_np.files import read_text


def register_solution(function: Callable) -> Callable:
    """Let `solution` show this function for the transfer exercise with its name, and return it.

    @register_solution
    def rms_norm(x, weight, eps): ...

    Raises NeoError if the function is not right.
    """
    exercise = find(function)
    if exercise.name not in TRANSFER:
        raise NeoError(f"{exercise.name} is no transfer exercise and has its solution: register(...) replaces the exercise.")
    finding = examine(exercise, function)
    if finding.verdict != RIGHT:
        raise NeoError(f"this solution is not right. {title_of(finding).text}")
    register(replace(exercise, reference=function))
    return function


LOADED: list[str] = []  # the processes that check answers load the same files


def load_registry(file: str | os.PathLike) -> None:
    """Run a lecturer's Python file, which calls `register_solution` and `register`.

    Raises NeoError if it stops, if it registers nothing, or if the parts of an exercise do not fit together.
    """
    file = os.path.abspath(file)
    names = {"__name__": "registry", "__file__": file}
    before = EXERCISES | TRANSFER
    try:
        exec(compile(read_text(file), file, "exec"), names)
        new = [exercise for name, exercise in (EXERCISES | TRANSFER).items() if exercise is not before.get(name)]
        if not new:
            raise NeoError(
                "it registers nothing: call `register(Exercise(...))`, or put `@register_solution` above a function."
            )
        for exercise in new:
            if exercise.name not in TRANSFER:
                require_consistent(exercise)
    except (Exception, SystemExit) as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
        where = f" in line {lines[-1]}" if lines else ""
        what = str(error) if isinstance(error, NeoError) else f"it stops with {type(error).__name__}: {error}"
        raise NeoError(f"the registry file {file} cannot be used{where}: {what}") from error
    LOADED.append(file)


def require_consistent(exercise: Exercise) -> None:
    """Raise NeoError unless the variant without switches is the reference, and each mistake changes a result."""
    prepared = prepared_cases(exercise)

    def wrong_cases(**switches):
        with kept_apart():
            outcomes = [
                call(partial(exercise.variant, **switches), case.arguments, e, exercise.compare_as) for case, e in prepared
            ]
        return [i for i, (_, e) in enumerate(prepared) if not right(outcomes[i], e, exercise.tolerance)]

    if not prepared:
        raise NeoError(f"{exercise.name} has no cases.")
    wrong = wrong_cases()
    if wrong:
        raise NeoError(
            f"the reference and the variant of {exercise.name} differ in case {wrong[0] + 1}: "
            "without switches, the variant must be right too."
        )
    for mistake in exercise.mistakes:
        for way in mistake.ways:
            try:
                inspect.signature(exercise.variant).bind(*prepared[0][0].arguments, **way)
            except TypeError as error:
                raise NeoError(f"the variant of {exercise.name} cannot make the mistake {mistake.name!r}: {error}.") from None
            if not wrong_cases(**way):
                raise NeoError(
                    f"the mistake {mistake.name!r} of {exercise.name} changes no result: add a case in which it does."
                )


def registry_version() -> str:
    """Return eight letters that change whenever a file that defines exercises changes."""
    exercises = [*EXERCISES.values(), *TRANSFER.values()]
    files = {Path(inspect.getfile(exercise.cases)) for exercise in exercises} | {RESULTS}
    texts = sorted(read_text(file).replace("\r\n", "\n") for file in files if file.is_file())  # a cell of Jupyter is no file
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:8]
