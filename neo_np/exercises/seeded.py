"""More random cases for an exercise, so that a table of the known results does not pass."""

from dataclasses import replace

import numpy as np

from neo_np.exercises.calls import call, kept_apart
from neo_np.exercises.exercise import Case, Exercise
from neo_np.exercises.outcomes import right
from neo_np.exercises.readable import entries


def seeded(exercise: Exercise, seed: int | None) -> Exercise:
    """Return the exercise with one more case for each random one, made from a seed; None adds nothing.

    A case is left out if the right functions in other styles do not agree on it, as they may not on a near tie.
    """
    if seed is None:
        return exercise
    rng = np.random.default_rng(seed)
    cases = exercise.cases()
    more = [scaled(case, rng) for case in cases if case.random]
    with kept_apart():
        return replace(exercise, cases=lambda: cases + [case for case in more if agreed(exercise, case)])


def scaled(case, rng):
    """Return a case whose random arrays are multiplied, each entry by another factor; zeros and signs stay."""
    return Case(tuple(scaled_argument(argument, rng) for argument in case.arguments), random=True)


def scaled_argument(argument, rng):
    """Return an argument with other numbers if it is an array of random ones or a tuple of such arrays, else itself."""
    if isinstance(argument, tuple):
        return tuple(scaled_argument(part, rng) for part in argument)
    if not any(entries((argument,))):
        return argument
    return (argument * rng.uniform(0.5, 1.5, argument.shape)).astype(argument.dtype)


def agreed(exercise, case):
    """Return whether all right functions give the same for a case."""
    expected = exercise.compare_as(exercise.reference(*case.arguments))
    outcomes = [call(function, case.arguments, expected, exercise.compare_as) for function in exercise.also_right]
    return all(right(outcome, expected, exercise.tolerance) for outcome in outcomes)
