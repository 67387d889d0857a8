"""Naming a mistake: finding the switches of the variant that give what the student's function gave.

Candidates are each way of making one mistake and each pair of ways of two mistakes. Those that change the inputs as the
student's function does come first. The smallest set that fits is named; if two different sets fit equally well, none is.
"""

import functools
import itertools

from neo_np.exercises.calls import call
from neo_np.exercises.exercise import Mistake
from neo_np.exercises.outcomes import BROKEN, VALUE, equal

NO, LOOSE, BY_SHAPE, EXACT = 0, 1, 2, 3


class Candidate:
    """One or two mistakes made together; the outcome for each case is computed when it is first needed."""

    def __init__(self, exercise, mistakes, switches):
        self.exercise, self.mistakes, self.switches = exercise, mistakes, switches
        self.outcomes = {}

    def outcome(self, index, case, expected):
        """Return what the variant with these switches gives for a case."""
        if index not in self.outcomes:
            self.outcomes[index] = self.call(case.arguments, expected)
        return self.outcomes[index]

    def call(self, arguments, expected):
        """Call the variant with these switches."""
        function = functools.partial(self.exercise.variant, **self.switches)
        return call(function, arguments, expected, self.exercise.compare_as)


@functools.cache
def candidates(exercise):
    """Return all candidates of an exercise, single mistakes first."""
    ways = [(mistake, way) for mistake in exercise.mistakes for way in mistake.ways]
    single = [Candidate(exercise, (mistake,), way) for mistake, way in ways]
    pairs = [
        Candidate(exercise, (first, second), way | other)
        for (first, way), (second, other) in itertools.combinations(ways, 2)
        if first is not second and not way.keys() & other.keys()
    ]
    return single + pairs


def agreement(yours, candidate, expected, tolerance):
    """Return how well two outcomes agree: EXACT, BY_SHAPE (both have the same wrong shape), LOOSE or NO.

    LOOSE: both are wrong in different ways. What raises in NumPy, or is broadcast, may give another shape in a loop.
    """
    if yours.kind == candidate.kind:
        if yours.kind == BROKEN or equal(yours.value, candidate.value, tolerance):
            return EXACT
        if yours.kind == VALUE:
            return NO
        return BY_SHAPE if yours.found == candidate.found else LOOSE
    both_wrong = is_wrong(yours, expected, tolerance) and is_wrong(candidate, expected, tolerance)
    return LOOSE if both_wrong else NO


def is_wrong(outcome, expected, tolerance):
    """Return whether an outcome is not the expected value; changed inputs do not count."""
    return outcome.kind != VALUE or not equal(outcome.value, expected, tolerance)


def fit(candidate, outcomes, prepared, indices, tolerance):
    """Return how well a candidate fits the outcomes of these cases: the worst agreement.

    NO if the function raised on all cases, if two mistakes fit only LOOSE, or if one that fits LOOSE agrees with fewer than two
    wrong results: that would be a guess.
    """
    worst, seen, wrong_and_equal = EXACT, False, 0
    for index in indices:
        case, expected = prepared[index]
        yours, other = outcomes[index], candidate.outcome(index, case, expected)
        quality = agreement(yours, other, expected, tolerance)
        if quality == NO or (quality == LOOSE and len(candidate.mistakes) > 1):
            return NO
        worst = min(worst, quality)
        seen |= yours.kind != BROKEN
        wrong_and_equal += quality == EXACT and yours.kind != BROKEN and is_wrong(yours, expected, tolerance)
    if not seen or (worst == LOOSE and wrong_and_equal < 2):
        return NO
    return worst


def named(exercise, outcomes, prepared, indices) -> tuple[Mistake, ...]:
    """Return the smallest set of mistakes that explains the outcomes of these cases, or ()."""
    found = {}
    for candidate in candidates(exercise):
        if len(candidate.mistakes) > 1 and (EXACT, True, -1) in found:
            break  # no pair can fit better than one mistake
        quality = fit(candidate, outcomes, prepared, indices, exercise.tolerance)
        if quality != NO:
            alike = all(candidate.outcome(i, *prepared[i]).changed == outcomes[i].changed for i in indices)
            found.setdefault((quality, alike, -len(candidate.mistakes)), set()).add(candidate.mistakes)
    best = found[max(found)] if found else [()]
    return next(iter(best)) if len(best) == 1 else ()
