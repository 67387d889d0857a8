"""The transfer exercises: right answers pass, mistakes are named, and the package has no solution."""

import ast
import itertools
import json

import numpy as np
import pytest
from exercises.answers import function_of, read_styles
from helpers import ROOT

from neo_np import NeoError
from neo_np.exercises import check, diagnose, hint, load_registry, progress, register_solution, solution
from neo_np.exercises.calls import kept_apart
from neo_np.exercises.course import EXERCISES, TRANSFER, find
from neo_np.exercises.naming import candidates, is_wrong
from neo_np.exercises.outcomes import BROKEN, equal
from neo_np.exercises.prepared import prepared_cases
from neo_np.exercises.transfer import RESULTS

ANSWERS = read_styles("transfer")
IDS = [f"{answer.exercise} {answer.style} {answer.mistake}" for answer in ANSWERS]
NAMES = ["rms_norm", "scaled_attend", "sink_mask", "min_p_probabilities", "smoothed_cross_entropy", "momentum_step"]


def test_transfer_exercises_are_six_and_in_no_notebook():
    assert list(TRANSFER) == NAMES and not TRANSFER.keys() & EXERCISES.keys()


@pytest.mark.parametrize("answer", ANSWERS, ids=IDS)
def test_transfer_answer_passes_or_gets_the_name_of_its_mistake(answer):
    verdict = diagnose(answer.exercise, function_of(answer.exercise, answer.source))
    assert (verdict.passed, verdict.mistakes) == (answer.mistake is None, (answer.mistake,) if answer.mistake else ())


@pytest.mark.parametrize("name", NAMES)
def test_every_transfer_mistake_is_written_down(name):
    written = {answer.mistake for answer in ANSWERS if answer.exercise == name}
    assert written == {None, *(mistake.name for mistake in find(name).mistakes)}


@pytest.mark.parametrize("name", NAMES)
def test_transfer_mistakes_are_wrong_in_two_cases_and_told_apart(name):
    exercise = find(name)
    prepared = prepared_cases(exercise)
    with kept_apart():
        outcomes = {c.mistakes[0].name: [c.outcome(i, *p) for i, p in enumerate(prepared)] for c in candidates(exercise)}
    for found in outcomes.values():
        assert sum(is_wrong(outcome, expected, exercise.tolerance) for outcome, (_, expected) in zip(found, prepared)) >= 2
    for one, other in itertools.combinations(outcomes.values(), 2):
        pairs = zip(one, other)
        assert any(a.kind != b.kind or (a.kind != BROKEN and not equal(a.value, b.value, exercise.tolerance)) for a, b in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_transfer_sentences_are_short_and_end_as_sentences_do(name):
    exercise = find(name)
    for mistake in exercise.mistakes:
        assert mistake.says[-1] == "." and len(mistake.says) <= 150 and mistake.asks[-1] in "?.)" and len(mistake.asks) <= 160
    assert len(exercise.hints) == 3 and "..." in exercise.hints[2] and len(exercise.task) <= 450
    compile(exercise.stub(), "stub", "exec")
    compile(exercise.stub(blanks=True), "stub", "exec")


def test_package_has_no_code_of_a_transfer_solution():
    """No function has the name of one, and the file of results has only numbers."""
    for file in (ROOT / "neo_np").rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert not {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)} & set(NAMES), file
    whole = json.loads(RESULTS.read_text(encoding="utf-8"))

    def numbers_only(value):
        if isinstance(value, list):
            return all(map(numbers_only, value))
        if isinstance(value, dict):
            return value.keys() <= {"float32", "int64"} and all(map(numbers_only, value.values()))
        return value is None or isinstance(value, bool | int | float)

    assert all(
        numbers_only(part) for exercise in whole.values() for part in (exercise["arguments"], *exercise["results"].values())
    )


def test_results_are_for_no_other_arguments():
    with pytest.raises(ValueError, match="no result is stored"):
        find("rms_norm").reference(np.ones((2, 2), np.float32), np.ones(2, np.float32), 0.5)


def test_check_and_hint_of_a_transfer_exercise_work_and_solution_asks_for_the_lecturer(capsys):
    check(function_of("rms_norm", "def rms_norm(x, weight, eps):\n    return x * weight"))
    assert "rms_norm: not yet. The result is wrong" in capsys.readouterr().out
    for _ in range(3):
        hint("rms_norm")
    out = capsys.readouterr().out
    assert "hint 3 of 3" in out and "solution(" not in out
    solution("rms_norm")
    assert "Ask your lecturer" in capsys.readouterr().out
    progress()
    assert "rms_norm" not in capsys.readouterr().out


def test_registered_solution_is_shown_after_an_attempt(own_registry, tmp_path, capsys):
    text = "import numpy as np\nfrom neo_np.exercises import register_solution\n\n\n@register_solution\n"
    text += next(a.source for a in ANSWERS if (a.exercise, a.style, a.mistake) == ("rms_norm", "arrays", None))
    (tmp_path / "lecturer.py").write_text(text, encoding="utf-8")
    load_registry(tmp_path / "lecturer.py")
    solution("rms_norm")
    assert "opens after one check" in capsys.readouterr().out
    check(function_of("rms_norm", "def rms_norm(x, weight, eps):\n    return x"))
    capsys.readouterr()
    solution("rms_norm")
    assert "np.mean(np.square(x)" in capsys.readouterr().out


def test_wrong_solution_is_refused(own_registry):
    with pytest.raises(NeoError, match=r"this solution is not right\. min_p_probabilities: not yet\."):
        register_solution(function_of("min_p_probabilities", "def min_p_probabilities(logits, p):\n    return logits"))
    with pytest.raises(NeoError, match="softmax is no transfer exercise"):
        register_solution(find("softmax").reference)


def test_unknown_name_suggests_a_transfer_exercise():
    with pytest.raises(NeoError, match="Did you mean 'sink_mask'"):
        find("sinks_mask")
