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
    arguments = list(case.arguments)
    for number in {number for number, _ in entries(case.arguments)}:
        factors = rng.uniform(0.5, 1.5, arguments[number].shape)
        arguments[number] = (arguments[number] * factors).astype(arguments[number].dtype)
    return Case(tuple(arguments), random=True)


def agreed(exercise, case):
    """Return whether all right functions give the same for a case."""
    expected = exercise.compare_as(exercise.reference(*case.arguments))
    outcomes = [call(function, case.arguments, expected, exercise.compare_as) for function in exercise.also_right]
    return all(right(outcome, expected, exercise.tolerance) for outcome in outcomes)
