"""Making a random case readable: entries of its arrays are set to 0 as long as it shows the same mistake."""

import time
from dataclasses import replace

import numpy as np

from neo_np.exercises.calls import call
from neo_np.exercises.naming import EXACT, agreement
from neo_np.exercises.outcomes import VALUE, equal, is_float

CALLS, SECONDS, LEAST_DIFFERENCE, VERY_LARGE = 100, 0.2, 0.05, 1e5


def simplified(exercise, function, shown, candidates):
    """Return the shown case with more zeros; candidates: the ways to make the mistakes that were named."""
    deadline, best = time.monotonic() + SECONDS, shown
    for tries, place in enumerate(entries(shown.case.arguments)):
        if tries == CALLS or time.monotonic() > deadline:
            break
        smaller = attempt(exercise, function, best, place, candidates)
        best = smaller or best
    return best


def entries(arguments):
    """Yield (argument, index) of each entry of the float arrays that may become 0; not of masks, which say what is hidden."""
    for number, argument in enumerate(arguments):
        if isinstance(argument, np.ndarray) and is_float(argument) and np.abs(argument).max(initial=0) < VERY_LARGE:
            for index in np.argwhere(argument):
                yield number, tuple(index)


def attempt(exercise, function, shown, place, candidates):
    """Return the shown case with one more entry set to 0, or None if it no longer shows the same mistake."""
    number, index = place
    arguments = [argument.copy() if isinstance(argument, np.ndarray) else argument for argument in shown.case.arguments]
    arguments[number][index] = 0
    arguments = tuple(arguments)
    expected = exercise.compare_as(exercise.reference(*arguments))
    for also_right in exercise.also_right:
        other = call(also_right, arguments, expected, exercise.compare_as)
        if other.kind != VALUE or not equal(other.value, expected, exercise.tolerance):
            return None
    yours = call(function, arguments, expected, exercise.compare_as)
    if yours.kind != VALUE or not far_apart(yours.value, expected):
        return None
    same = [agreement(yours, candidate.call(arguments, expected), expected, exercise.tolerance) for candidate in candidates]
    if candidates and EXACT not in same:
        return None
    return replace(shown, case=replace(shown.case, arguments=arguments), yours=yours, expected=expected)


def far_apart(yours, expected):
    """Return whether two results differ enough to be seen; False if one is not finite."""
    if isinstance(expected, tuple):
        return any(map(far_apart, yours, expected))
    if not is_float(expected):
        return not equal(yours, expected, (0, 0))
    difference = np.abs(np.subtract(yours, expected, dtype=float)).max(initial=0)
    return bool(np.isfinite(difference) and difference >= LEAST_DIFFERENCE)
