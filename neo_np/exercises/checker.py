"""`check`, the decorator of the notebooks, `passes`, for the tests of a course, and `diagnose`, the same for programs."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from neo_np.errors import NeoError
from neo_np.exercises.borrowed import why_refused
from neo_np.exercises.course import find
from neo_np.exercises.diagnosis import NOT_BEGUN, RIGHT, WRONG, examine
from neo_np.exercises.display import as_text, show, warning_on
from neo_np.exercises.effects import effect_of
from neo_np.exercises.exercise import Case
from neo_np.exercises.messages import BAD, Text, Title, message_of
from neo_np.exercises.record import keep_check

Function = TypeVar("Function", bound=Callable)


@dataclass(frozen=True)
class Verdict:
    """The result of `diagnose`: mistakes are names from the exercise's list, case is the one that the message shows."""

    passed: bool
    mistakes: tuple[str, ...]
    message: str
    case: Case | None


def check(function: Function) -> Function:
    """Check the answer to the exercise that has the function's name, show what was found, and return the function.

    @check
    def softmax(x): ...
    """
    try:
        exercise = find(getattr(function, "__name__", function))
    except NeoError as error:
        show([Title(BAD, str(error)[0].upper() + str(error)[1:])])
        return function
    finding = examine(exercise, function, on_stuck=warning_on(sys.stdout))
    if finding.verdict != NOT_BEGUN:
        keep_check(finding, function)
    parts = message_of(finding)
    effect = effect_of(finding, function) if finding.verdict in (RIGHT, WRONG) else None
    if effect:
        parts.insert(len(parts) - (finding.verdict == WRONG), Text(effect))  # before the line about hints
    refused = why_refused(function, exercise.given) if finding.verdict == RIGHT else ""
    if refused:
        parts.append(Text(f"But it gets no points. {refused}"))
    show(parts)
    return function


def passes(name: str, function: Callable) -> bool:
    """Return whether a function is a right answer to an exercise; if it is not, show why.

    An answer that uses neo_np or another library is not right.

    assert passes("layer_norm", layer_norm)
    """
    exercise = find(name)
    refused = why_refused(function, exercise.given)
    if refused:
        show([Title(BAD, f"{name}: {refused}")])
        return False
    finding = examine(exercise, function, on_stuck=warning_on(sys.stdout))
    if finding.verdict != RIGHT:
        show(message_of(finding))
    return finding.verdict == RIGHT


def diagnose(name: str, function: Callable) -> Verdict:
    """Check a function as the answer to an exercise and return the `Verdict`, without showing or keeping anything."""
    finding = examine(find(name), function)
    case = finding.shown.case if finding.shown else None
    names = tuple(mistake.name for mistake in finding.mistakes)
    return Verdict(finding.verdict == RIGHT, names, as_text(message_of(finding)), case)
