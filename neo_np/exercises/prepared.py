"""The cases of an exercise with the expected results, computed once."""

import functools

from neo_np.exercises.course import find


def given_functions(exercise):
    """Return {name: reference} of the functions that an answer may call."""
    return {name: find(name).reference for name in exercise.given}


@functools.cache
def prepared_cases(exercise):
    """Return [(case, expected result), ...], smallest case first."""
    return [(case, exercise.compare_as(exercise.reference(*case.arguments))) for case in exercise.cases()]
