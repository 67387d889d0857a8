"""More random cases from a seed: right answers pass, and the cases differ from seed to seed."""

import numpy as np
import pytest
from exercises.answers import function_of, read_styles

from neo_np.exercises.course import EXERCISES, find
from neo_np.exercises.diagnosis import RIGHT, WRONG, examine
from neo_np.exercises.prepared import prepared_cases
from neo_np.exercises.seeded import seeded

WITH_RANDOM_CASES = [name for name, exercise in EXERCISES.items() if any(case.random for case in exercise.cases())]
ANSWERS = [answer for answer in read_styles() if answer.mistake is None]


@pytest.mark.parametrize("name", WITH_RANDOM_CASES)
def test_seeded_right_answers_in_every_style_pass(name):
    for seed in (0, 1):
        exercise = seeded(find(name), seed)
        for answer in ANSWERS:
            if answer.exercise == name:
                finding = examine(exercise, function_of(name, answer.source))
                assert finding.verdict == RIGHT, (answer.style, finding)


@pytest.mark.parametrize("name", WITH_RANDOM_CASES)
def test_seeded_cases_are_new_and_as_many_as_the_random_ones(name):
    exercise = find(name)
    known = exercise.cases()
    added = [seeded(exercise, seed).cases()[len(known) :] for seed in (1, 1, 2)]
    random = [case for case in known if case.random]
    assert len(random) >= len(added[0]) >= 0.9 * len(random)
    same, again, other = ([repr(case.arguments) for case in cases] for cases in added)
    assert same == again and same != other and not set(same) & {repr(case.arguments) for case in known}


def test_seeded_case_keeps_shapes_zeros_signs_and_masks():
    exercise = find("attend")
    known = exercise.cases()
    random = [case for case in known if case.random]
    for before, after in zip(random, seeded(exercise, 3).cases()[len(known) :]):
        *changed, mask = zip(before.arguments, after.arguments)
        assert np.array_equal(*mask)
        for one, other in changed:
            assert one.dtype == other.dtype and np.array_equal(np.sign(one), np.sign(other)) and not np.array_equal(one, other)


def test_seeded_without_a_seed_is_the_exercise():
    assert seeded(find("softmax"), None) is find("softmax")


def test_seeded_table_of_known_results_does_not_pass():
    table = {repr(case.arguments[0].tolist()): expected for case, expected in prepared_cases(find("center_rows"))}

    def center_rows(x):
        return table[repr(x.tolist())]

    assert examine(find("center_rows"), center_rows).verdict == RIGHT
    assert examine(seeded(find("center_rows"), 1), center_rows).verdict == WRONG
