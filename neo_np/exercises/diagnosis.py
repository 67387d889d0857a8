"""Checking a function: run it on all cases, find out what is wrong, choose the case to show."""

import copy
import inspect
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np

from neo_np.exercises.beginning import blanks_left, not_begun
from neo_np.exercises.calls import Place, call, kept_apart, outside_names, place_of, with_names
from neo_np.exercises.exercise import Case, Exercise, Mistake
from neo_np.exercises.naming import BY_SHAPE, agreement, candidates, is_wrong, named
from neo_np.exercises.outcomes import BROKEN, SHAPE, TYPE, VALUE, Outcome, cut_to_integers, equal, right, right_in_another_type
from neo_np.exercises.prepared import given_functions, prepared_cases
from neo_np.exercises.readable import simplified
from neo_np.exercises.timeout import Overtime, within
from neo_np.exercises.unkept import first_unkept

SECONDS = 4.0  # for all cases together
# Errors that say what is wrong by themselves; no usual mistake raises them.
PLAIN_ERRORS = NameError, AttributeError, ImportError, SyntaxError, NotImplementedError, SystemExit, RecursionError

EXTREME, RAISED = "the extreme cases", "the cases in which it raised"
SHOWN_FIRST = {SHAPE: 0, VALUE: 1, TYPE: 2, BROKEN: 4}  # a wrong shape explains wrong numbers, and both say more than an error
SPECIAL = 3  # an extreme case says less than an ordinary one

RIGHT, WRONG, NOT_BEGUN, ARGUMENTS, SLOW, RANDOM, INTERRUPTED = (
    "right",
    "wrong",
    "not begun",
    "arguments",
    "slow",
    "random",
    "interrupted",
)

CHANGES_INPUT = Mistake(
    "changes_input",
    (),
    "your function changes the array or list that it gets, so the caller's data are no longer what they were.",
    "Which line writes into an argument (such as `x -= ...` or `x[0] = ...`), and how can it make a new array instead?",
)

ANOTHER_TYPE = Mistake(
    "another_type",
    (),
    "the numbers are right, and their type is another one: the first line of this message names both types.",
    "Which of your lines decides the type? (`1` is an integer and `1.0` a float; `np.array(...)` makes an array of a list.)",
)

CUT_TO_INTEGERS = Mistake(
    "cut_to_integers",
    (),
    "the digits after the point are lost: your results are written into an array of integers.",
    "Which line makes this array? (`np.zeros(shape)` holds floats; `np.zeros(shape, int)` and `np.full(shape, 0)` do not.)",
)


@dataclass(frozen=True)
class Shown:
    """The case that the message shows: number (from 1), arguments, the student's outcome, the expected result."""

    number: int
    case: Case
    yours: Outcome
    expected: object


@dataclass(frozen=True)
class Finding:
    """All that a check found out. verdict: RIGHT, WRONG, ...; total and failing: numbers of cases.

    partly: what the mistakes do not explain, EXTREME or RAISED, or "". place: where an error happened or the time ran out.
    only_changed: all results are right, and inputs are changed. blanks: (line number, line) of each `...` that is left.
    outside: names of the notebook that the function uses and that are not its arguments. extreme: the extreme cases that fail
    and that the mistakes do not explain.
    unkept: (line number, line) of a wrong answer that makes a new value and keeps it nowhere, or None.
    """

    exercise: Exercise
    verdict: str
    mistakes: tuple[Mistake, ...] = ()
    partly: str = ""
    total: int = 0
    failing: int = 0
    shown: Shown | None = None
    place: Place | None = None
    printed: str = ""
    detail: str = ""
    only_changed: bool = False
    blanks: tuple = ()
    outside: tuple = ()
    extreme: tuple = ()
    unkept: tuple[int, str] | None = None

    @property
    def ran_to_numbers(self):
        """Whether the function returned at least one result to compare."""
        return self.verdict in (RIGHT, RANDOM) or (self.shown is not None and self.shown.yours.kind != BROKEN)


def examine(exercise, function, seconds=None, on_stuck=lambda: None):
    """Check a function and return the `Finding`.

    seconds: the time limit of all cases together, None for SECONDS. on_stuck: called if the function cannot be stopped then.
    """
    seconds = SECONDS if seconds is None else seconds
    if not callable(function):
        return Finding(exercise, ARGUMENTS, detail=f"`{exercise.name}` must be a function, and it is {function!r:.60}.")
    if not_begun(function):
        return Finding(exercise, NOT_BEGUN, blanks=tuple(blanks_left(exercise, function)))
    detail = wrong_parameters(exercise, function)
    if detail:
        return Finding(exercise, ARGUMENTS, detail=detail)
    outside = outside_names(function, exercise.given)
    own = with_names(function, given_functions(exercise))
    with kept_apart() as printed:
        try:
            finding = run(exercise, own, printed, lambda calls: within(seconds, calls, on_stuck))
        except Overtime as error:
            finding = Finding(exercise, SLOW, place=place_of(error, function), detail=f"{seconds:g}")
        except KeyboardInterrupt as error:
            finding = Finding(exercise, INTERRUPTED, place=place_of(error, function))
    if finding.verdict in (SLOW, INTERRUPTED):
        finding = replace(finding, printed=printed.getvalue())
    unkept = first_unkept(function, exercise.given) if finding.verdict in (WRONG, SLOW) else None
    return replace(finding, outside=outside, unkept=unkept)


def wrong_parameters(exercise, function):
    """Return a sentence if the function cannot be called with the exercise's arguments, else ""."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*exercise.parameters)
    except TypeError:
        return (
            f"The function must be `{exercise.signature}`, and yours is `{exercise.name}{signature}`: "
            f"write the first line as it was given."
        )
    return ""


def run(exercise, function, printed, limited):
    """Run a function on all cases and return the `Finding`.

    printed: a `Printed`, to which sys.stdout leads. limited: calls a function within the time limit.
    """
    prepared = prepared_cases(exercise)

    def outcome(index):
        case, expected = prepared[index]
        return call(function, case.arguments, expected, exercise.compare_as)

    def all_outcomes():
        outcomes, texts = [], []
        for index in range(len(prepared)):
            printed.begin()
            outcomes.append(outcome(index))
            texts.append(printed.getvalue())
        return outcomes, texts

    outcomes, texts = limited(all_outcomes)
    failing = [i for i, (_, expected) in enumerate(prepared) if not right(outcomes[i], expected, exercise.tolerance)]
    finding = Finding(exercise, WRONG if failing else RIGHT, total=len(prepared), failing=len(failing))
    twice = failing[:3] or range(len(prepared))
    again = limited(lambda: [outcome(i) for i in twice])
    other = next((other for i, other in zip(twice, again) if differ(other, outcomes[i], exercise.tolerance)), None)
    if other:
        detail = f" The second call stops with `{place_of(other.error, function).what}`." if other.error else ""
        return replace(finding, verdict=RANDOM, detail=detail)
    if not failing:
        return replace(finding, printed=texts[0])
    only_changed = [not is_wrong(outcomes[i], prepared[i][1], exercise.tolerance) for i in range(len(prepared))]

    def priority(i):
        special = prepared[i][0].extreme and outcomes[i].kind != BROKEN
        return SPECIAL if special else SHOWN_FIRST[outcomes[i].kind], only_changed[i], i

    index = min(failing, key=priority)
    finding = replace(finding, printed=texts[index], only_changed=all(only_changed))
    return explained(finding, function, outcomes, failing, prepared, index)


def differ(again, first, tolerance):
    """Return whether two calls with the same arguments gave different results."""
    if again.kind != first.kind or again.kind == BROKEN:
        return again.kind != first.kind
    if again.kind == TYPE:
        return again.found != first.found
    return not equal(again.value, first.value, tolerance)


def explained(finding, function, outcomes, failing, prepared, index):
    """Return a finding of a wrong answer with the mistakes and the case to show, the one with this index."""
    exercise = finding.exercise
    mistakes, partly = find_mistakes(exercise, outcomes, failing, prepared)
    others = unexplained_extremes(exercise, mistakes, outcomes, failing, prepared)
    if any(outcome.changed for outcome in outcomes):
        own = [m for m in exercise.mistakes if m.name == CHANGES_INPUT.name]
        mistakes += tuple(m for m in own[:1] or [CHANGES_INPUT] if m not in mistakes)
    case, expected = prepared[index]
    shown = Shown(index + 1, case, outcomes[index], expected)
    if case.random and outcomes[index].kind == VALUE and not outcomes[index].changed:
        with suppress(Overtime):
            shown = within(SECONDS, lambda: simplified(exercise, function, shown, named_candidates(exercise, mistakes)))
    errors = [shown.yours.error, *(outcomes[i].error for i in failing)]
    error = next((error for error in errors if error is not None), None)
    if shown.yours.kind == BROKEN and error is None:
        with suppress(Overtime):
            error = within(SECONDS, lambda: first_not_finite(function, shown.case.arguments))
    place = place_of(error, function) if error is not None else None
    partly = "" if partly == EXTREME and not others else partly
    extreme = tuple(prepared[i][0] for i in others)
    return replace(finding, mistakes=mistakes, partly=partly, shown=shown, place=place, extreme=extreme)


def unexplained_extremes(exercise, mistakes, outcomes, failing, prepared):
    """Return the numbers of the failing extreme cases for which no way to make these mistakes gives the same result."""

    def explains(candidate, i):
        case, expected = prepared[i]
        return agreement(outcomes[i], candidate.outcome(i, case, expected), expected, exercise.tolerance) >= BY_SHAPE

    ways = named_candidates(exercise, mistakes)
    return [i for i in failing if prepared[i][0].extreme and not any(explains(way, i) for way in ways)]


def first_not_finite(function, arguments):
    """Return the error that NumPy raises, if asked to, where a result stops being finite; None if it raises none."""
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        try:
            function(*copy.deepcopy(arguments))
        except FloatingPointError as error:
            return error
        except Exception:  # the function stops where NumPy now does
            return None
    return None


def find_mistakes(exercise, outcomes, failing, prepared):
    """Return (mistakes, what they do not explain): of all cases, or of the ordinary ones, or of those that did not raise."""
    wrong = {i for i in failing if is_wrong(outcomes[i], prepared[i][1], exercise.tolerance)}
    if not wrong or any(is_plain(outcomes[i].error) for i in failing):
        return (), ""
    if all(right_in_another_type(outcomes[i], prepared[i][1], exercise.compare_as, exercise.tolerance) for i in wrong):
        return (ANOTHER_TYPE,), ""
    # The failing cases come first: they rule out most candidates.
    everything = sorted(range(len(prepared)), key=lambda i: i not in wrong)
    if all(cut_to_integers(outcomes[i], prepared[i][1]) for i in wrong):
        return named(exercise, outcomes, prepared, everything) or (CUT_TO_INTEGERS,), ""
    ordinary = [i for i in everything if not prepared[i][0].extreme]
    finished = [i for i in everything if outcomes[i].kind != BROKEN]
    for indices, unexplained in ((everything, ""), (ordinary, EXTREME), (finished, RAISED)):
        if wrong & set(indices) and 3 * len(indices) >= len(everything):  # a name from a few cases would be a guess
            mistakes = named(exercise, outcomes, prepared, indices)
            if mistakes:
                return mistakes, unexplained
    return (), ""


def is_plain(error):
    """Return whether an error says by itself what is wrong; a name without a value may come from a loop without `break`."""
    return isinstance(error, PLAIN_ERRORS) and not isinstance(error, UnboundLocalError)


def named_candidates(exercise, mistakes):
    """Return the candidates that make exactly these mistakes."""
    return [candidate for candidate in candidates(exercise) if candidate.mistakes == mistakes]
