"""The checker as a student meets it: guards, messages, cases that are shown, right answers in unusual dress."""

import inspect
import linecache
import re
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from exercises.answers import function_of
from helpers import ROOT

from neo_np.exercises import Case, Exercise, check, diagnose, mistake, register
from neo_np.exercises.course import EXERCISES, find
from neo_np.exercises.diagnosis import EXTREME, RAISED, examine
from neo_np.exercises.own_model import NAMES, prompt_for
from neo_np.exercises.readable import LEAST_DIFFERENCE


def written(exercise, body, first_line=None):
    """Return a function with this body, as an answer to an exercise."""
    first_line = first_line or f"def {find(exercise).signature}:"
    return function_of(exercise, f"{first_line}\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n")


def message(exercise, body, first_line=None):
    """Return the message about a function with this body."""
    return diagnose(exercise, written(exercise, body, first_line)).message


def after(exercise, body):
    """Return what `examine` finds out about a function with this body."""
    return examine(find(exercise), written(exercise, body))


RIGHT_SOFTMAX = "e = np.exp(x - x.max(axis=-1, keepdims=True))\nreturn e / e.sum(axis=-1, keepdims=True)"


def test_right_answer_passes_in_one_honest_line():
    verdict = diagnose("softmax", written("softmax", RIGHT_SOFTMAX))
    assert (verdict.passed, verdict.mistakes, verdict.case) == (True, (), None)
    assert verdict.message == f"✓ softmax: right. It agrees with the reference on {len(find('softmax').cases())} cases."


def test_message_has_verdict_then_mistake_then_question_then_case_then_hint():
    lines = message("softmax", "return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)").split("\n")
    starts = [
        "✗ softmax: not yet.",
        "Probable mistake:",
        "Question:",
        "Case ",
        "x ",
        "yours ",
        "expected ",
        '`hint("softmax")`',
    ]
    places = [next(i for i, line in enumerate(lines) if line.strip().startswith(start)) for start in starts]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "body",
    [
        "...",
        "return ...",
        find("softmax").blanks,
        '"""A text."""\n' + find("softmax").blanks,
        "pass",
        '"""Only a docstring."""',
        "raise NotImplementedError",
        "raise NotImplementedError('to do')",
    ],
)
def test_blank_left_in_the_source_is_not_begun(body):
    verdict = diagnose("softmax", written("softmax", body))
    assert verdict.message.startswith("○ softmax: not begun yet.")
    assert not verdict.passed and verdict.mistakes == () and "Error" not in verdict.message


@pytest.mark.parametrize(
    ("body", "left"),
    [
        ("e = np.exp(x)\n\nreturn e / ...", "One `...` is left in line 4."),
        ("return x.sum(axis=...)", "One `...` is left in line 2."),
        ("return x / x.sum(axis=..., keepdims=...)", "2 `...` are left in line 2."),
        ("return x[...]", "One `...` is left in line 2."),
        ("y = ... if True else x\nreturn y + ...", "2 `...` are left in line 2 and line 3."),
        ("largest = x.max()\n" + find("softmax").blanks.partition("\n")[2], "2 `...` are left in line 3 and line 4."),
    ],
)
def test_blank_left_after_the_beginning_is_told_with_its_line(body, left):
    verdict = diagnose("softmax", written("softmax", body))
    assert verdict.message.startswith(f"○ softmax: not finished yet. {left}")
    assert not verdict.passed and verdict.mistakes == () and "Error" not in verdict.message


def test_line_of_a_blank_counts_from_the_cell_as_python_does():
    """The decorator and what comes before it count, as in the lines of error messages."""
    source = "import math\n\n@check\ndef softmax(x):\n    e = np.exp(x)\n    return e / ...\n"
    function = function_of("softmax", f"from neo_np.exercises.checker import diagnose\ncheck = lambda f: f\n{source}")
    assert "One `...` is left in line 8." in diagnose("softmax", function).message
    assert "line 8: return e / ..." in diagnose("softmax", function).message


@pytest.mark.parametrize(
    "body",
    [
        "e = np.exp(x - x.max(-1)[..., None])\nreturn e / e.sum(-1)[..., None]",
        "e = np.exp(x - x.max(-1)[..., np.newaxis])\ny = np.empty_like(e)\ny[...] = e / e.sum(-1)[..., np.newaxis]\nreturn y",
        'e = np.exp(x - x.max(-1, keepdims=True))\nreturn e / np.einsum("...s->...", e)[:, None]',
    ],
)
def test_ellipsis_of_numpy_is_no_blank(body):
    assert diagnose("softmax", written("softmax", body)).passed


def test_stubs_of_all_exercises_are_not_begun():
    for exercise in EXERCISES.values():
        for blanks in (False, True):
            source = exercise.stub(blanks).replace("@check\n", "")
            verdict = diagnose(exercise.name, function_of(exercise.name, source))
            assert "not begun" in verdict.message, exercise.stub(blanks)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("x.sum()", "returns None. Does it end with a `return` line?"),
        ("return list(x)", "returns a list of 1 item, and an array of floats of shape (1, 3) was expected."),
        ("return x.sum()", "returns a float, and an array of floats of shape (1, 3) was expected."),
        ("return np.exp(x)[0]", "returns an array of floats of shape (3,), and an array of floats of shape (1, 3)"),
        ("return np.exp(x).round().astype(int)", "returns an array of integers of shape (1, 3), and an array of floats"),
        ("return x > 0", "returns an array of booleans of shape (1, 3)"),
        ("return x.astype(object)", "returns an array of objects of shape (1, 3)"),
        ("return x + 0j", "returns an array of complex numbers of shape (1, 3)"),
        ("return (value for value in x)", "returns a generator"),
        ("return np.log(x - x)", "numbers that are not finite (inf or nan)"),
    ],
)
def test_wrong_type_or_shape_is_said_first(body, said):
    assert said in " ".join(message("softmax", body).split("Case")[0].split())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return dy @ weight, dy.T @ x", "returns a tuple of 2 arrays of shapes (1, 2), (2, 2), and a tuple of 3 arrays"),
        (
            "return dy @ weight, dy.T @ x, dy",
            "of shapes (1, 2), (2, 2), (1, 2), and a tuple of 3 arrays of shapes (1, 2), (2, 2), (2,)",
        ),
        ("return dy @ weight, dy.T @ x, np.log(0 * dy.sum(0))", "numbers that are not finite (inf or nan)"),
        ("return dy @ weight", "returns an array of floats of shape (1, 2), and a tuple of 3 arrays"),
        ("return dy @ weight, dy.T @ x, dy.sum(0).astype(int)", "`result[2]` is an array of integers of shape (2,)"),
        ("return [dy @ weight, dy.T @ x, dy.sum(0)]", "right. It agrees"),
    ],
)
def test_several_results_are_checked_one_by_one(body, said):
    assert said in " ".join(message("linear_backward", body).split("Case")[0].split())


def test_changed_input_that_spoils_the_result_is_not_called_right():
    body = """
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        x[place] += h
        above = f(x)
        x[place] -= 2 * h
        gradient[place] = (above - f(x)) / (2 * h)
    return gradient
    """
    text = message("numerical_gradient", body)
    assert "The result is wrong" in text and "changes the array" in text and "results are right" not in text


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.longdouble])
def test_float_types_are_all_right(dtype):
    assert diagnose("softmax", lambda x: find("softmax").reference(x.astype(dtype))).passed


@pytest.mark.parametrize("tokens", [list, tuple, np.array])
def test_list_of_ids_may_be_a_list_a_tuple_or_an_array(tokens):
    assert diagnose("nearest", lambda id, wte, k: tokens(find("nearest").reference(id, wte, k))).passed


@pytest.mark.parametrize("number", [int, np.int32, np.int64, np.array])
def test_id_may_be_any_integer(number):
    assert diagnose("next_token", lambda logits: number(int(logits[-1].argmax()))).passed


@pytest.mark.parametrize("hidden", [-1e9, -1e5, -np.inf, float(np.finfo(np.float64).min)])
def test_mask_may_hide_with_any_very_low_number(hidden):
    assert diagnose("causal_mask", lambda queries, keys: np.where(keys > queries[:, None], hidden, 0.0)).passed


def test_small_rounding_errors_pass_and_larger_ones_do_not():
    reference = find("softmax").reference
    assert diagnose("softmax", lambda x: reference(x) * (1 + 5e-5)).passed
    assert not diagnose("softmax", lambda x: reference(x) * (1 + 5e-4)).passed


def test_input_changed_in_place_is_named_and_shown():
    verdict = diagnose("softmax", written("softmax", "x -= x.max(axis=-1, keepdims=True)\n" + RIGHT_SOFTMAX))
    assert verdict.mistakes == ("changes_input",) and not verdict.passed
    assert "results are right, but the input is changed" in verdict.message and "x afterwards" in verdict.message


def test_input_changed_beside_another_mistake_names_both():
    body = "x -= x.max(axis=0)\ne = np.exp(x)\nreturn e / e.sum(axis=0)"
    assert diagnose("softmax", written("softmax", body)).mistakes == ("axis", "changes_input")


def test_random_result_is_told():
    assert "Called twice with the same input" in message("softmax", "return np.random.rand(*x.shape)")


def test_result_that_depends_on_earlier_calls_is_told():
    first_line = "def softmax(x, seen=[]):"
    assert "two different results" in message("softmax", "seen.append(1)\nreturn x * len(seen)", first_line)


def test_printing_is_kept_apart(capsys):
    verdict = diagnose("softmax", written("softmax", 'print("shape", x.shape)\n' + RIGHT_SOFTMAX))
    assert verdict.passed and verdict.message.endswith("Your function printed:\n    shape (1, 3)")
    assert capsys.readouterr() == ("", "")


def test_endless_printing_does_not_fill_the_message():
    said = message("softmax", "for i in range(1000):\n    print('x' * 1000)\nreturn x")
    assert len(said) < 6000


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ("e = np.expp(x)\nreturn e", "`AttributeError: module 'numpy' has no attribute 'expp'` in line 2: `e = np.expp(x)`."),
        ("y = 1\nreturn x[7]", "IndexError: index 7 is out of bounds for axis 0 with size 1` in line 3: `return x[7]`."),
        ("return nothing", "`NameError: name 'nothing' is not defined` in line 2: `return nothing`."),
        ("exit()", "`SystemExit"),
        ("assert False", "`AssertionError` in line 2: `assert False`."),
        (
            "def inner(n):\n    return 1 / n\nreturn inner(0)",
            "`ZeroDivisionError: division by zero` in line 3: `return 1 / n`.",
        ),
    ],
)
def test_exception_shows_the_line_of_the_student(body, place):
    said = " ".join(message("softmax", body).split())
    assert place in said
    assert "Traceback" not in said and "neo_np" not in said and ".py" not in said


@pytest.mark.parametrize("body", ["return nothing", "return x.nothing", "import nothing_at_all"])
def test_typing_errors_name_no_mistake(body):
    assert diagnose("softmax", written("softmax", body)).mistakes == ()


def test_wrong_first_line_is_told():
    said = message("softmax", "return x", "def softmax(x, axis):")
    assert "must be `softmax(x)`, and yours is `softmax(x, axis)`" in " ".join(said.split())


def test_additional_parameters_with_defaults_are_fine():
    assert diagnose("softmax", written("softmax", RIGHT_SOFTMAX, "def softmax(x, axis=-1):")).passed


@pytest.mark.parametrize("answer", [3, None, "softmax"])
def test_something_that_is_no_function_is_told(answer):
    assert "must be a function" in diagnose("softmax", answer).message


def test_endless_loop_is_stopped_and_its_line_is_shown(monkeypatch):
    monkeypatch.setattr("neo_np.exercises.diagnosis.SECONDS", 0.5)
    began = time.monotonic()
    said = " ".join(message("softmax", "total = 0\nwhile True:\n    total += 1").split())
    assert "stopped after 0.5 seconds. Is there a loop that never ends? Look at line" in said
    assert time.monotonic() - began < 30


def test_function_that_calls_itself_finds_itself():
    """At the time of the check the name of a decorated function is not bound yet."""
    body = """
    if len(tokens) < 2:
        return list(tokens)
    if tuple(tokens[:2]) == pair:
        return [tokens[0] + tokens[1]] + merge(tokens[2:], pair)
    return tokens[:1] + merge(tokens[1:], pair)
    """
    function = written("merge", body)
    del function.__globals__["merge"]
    assert diagnose("merge", function).passed


def test_given_functions_are_the_references_and_not_the_students_own():
    function = written("attend", "return softmax(q @ k.T + mask) @ v")
    function.__globals__["softmax"] = None
    assert diagnose("attend", function).passed
    assert function.__globals__["softmax"] is None


def test_partial_explanation_says_that_there_is_something_else():
    """On ordinary rows the axis explains all; very large scores fail in a way of their own."""
    found = after("softmax", "return np.where(abs(x) > 500, 7.0, np.exp(x) / np.exp(x).sum(axis=0))")
    assert [m.name for m in found.mistakes] == ["axis"] and found.partly == EXTREME
    body = """
    i = next(i for i in range(len(tokens)) if tuple(tokens[i : i + 2]) == pair)
    return tokens[:i] + ["".join(pair)] + tokens[i + 2 :]
    """
    found = after("merge", body)
    assert [m.name for m in found.mistakes] == ["first_place_only"] and found.partly == RAISED
    said = message("merge", body)
    said = " ".join(said.split())
    assert "In other cases your function stops with an error. This may be the same mistake or another one." in said
    assert "In other cases your function stops with `StopIteration` in line 2: `i = next(" in said


def test_wrong_answer_that_no_mistake_explains_names_none():
    verdict = diagnose("softmax", written("softmax", "return np.cos(x) + 3"))
    assert verdict.mistakes == () and "Probabl" not in verdict.message


def test_random_case_is_shown_with_zeros_while_the_mistake_shows():
    """Right on all cases made by hand, wrong on the random ones: so a random one is shown, and it is made readable."""
    body = """
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    right = e / e.sum(axis=-1, keepdims=True)
    return right if x.size <= 9 else right / 2 + right.mean() / 2
    """
    found = after("softmax", body)
    random_case = find("softmax").cases()[found.shown.number - 1]
    assert random_case.random and found.shown.case.random
    before, now = random_case.arguments[0], found.shown.case.arguments[0]
    assert np.count_nonzero(now == 0) > np.count_nonzero(before == 0)
    assert np.array_equal(now[now != 0], before[now != 0])
    assert np.abs(found.shown.yours.value - found.shown.expected).max() >= LEAST_DIFFERENCE


def test_random_case_with_a_named_mistake_still_shows_this_mistake():
    exercise = find("attend")
    found = after("attend", "if q.shape == k.shape == (2, 2) or len(q) == 3:\n    return softmax(q @ k.T + mask) @ v\n"
                            "return softmax(q @ k.T / np.sqrt(q.shape[1]) + mask) @ v")  # fmt: skip
    assert found.shown.case.random
    wrong = exercise.variant(*found.shown.case.arguments, scale="sqrt")
    np.testing.assert_allclose(found.shown.yours.value, wrong, rtol=1e-4, atol=1e-5)
    assert np.array_equal(found.shown.case.arguments[3], exercise.cases()[found.shown.number - 1].arguments[3])  # the mask


def test_random_case_is_not_simplified_beyond_the_named_mistake():
    """With more than two zeros this answer is wrong in another way; the message must show the mistake that it names."""
    exercise = Exercise(
        name="row_sums", notebook="99", minutes=1, signature="row_sums(x)", task="Sum the rows.",
        reference=lambda x: x.sum(axis=1), variant=lambda x, axis=1: x.sum(axis=axis),
        cases=lambda: [Case((np.array([[1, 2, 3], [4, 5, 6], [7, 8, 8]], np.float32),), random=True)],
        mistakes=(mistake("axis", {"axis": 0}, "the columns are summed.", "Which axis?"),),
        hints=("Sum.", "(T, C) -> (T,)", "return ..."),
    )  # fmt: skip
    found = examine(exercise, lambda x: x.sum(axis=0) if (x == 0).sum() <= 2 else x.sum(axis=1) + 1)
    (x,) = found.shown.case.arguments
    assert [m.name for m in found.mistakes] == ["axis"] and np.count_nonzero(x == 0) == 2
    assert np.array_equal(found.shown.yours.value, x.sum(axis=0))


def test_cases_made_by_hand_are_shown_as_they_are():
    found = after("softmax", "return np.exp(x) / np.exp(x).sum(axis=0)")
    assert found.shown.case is find("softmax").cases()[0] or repr(found.shown.case) == repr(find("softmax").cases()[0])


def test_check_returns_the_function_and_shows_the_message(capsys):
    @check
    def softmax(x):
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    assert softmax(np.zeros((1, 2))).tolist() == [[0.5, 0.5]]
    shown = capsys.readouterr().out
    assert shown.startswith("✓ softmax: right.") and f"shipped model writes: “{prompt_for('softmax')}" in shown


def test_check_of_a_wrong_answer_tells_the_surprise_of_the_shipped_model(capsys):
    check(written("attend", "return softmax(q @ k.T / np.sqrt(q.shape[1]) + mask) @ v"))
    shown = " ".join(capsys.readouterr().out.split())
    right, wrong = re.search(r"by ([\d.]+) nats per token instead of ([\d.]+)\.", shown).groups()[::-1]
    assert float(wrong) > float(right) + 0.1
    assert shown.endswith('`hint("attend")` shows the next hint.')


def test_check_of_a_mistake_that_helps_by_chance_says_that_one_sentence_is_little(capsys, monkeypatch):
    values = iter([2.0, 1.5])
    monkeypatch.setattr("neo_np.exercises.effects.surprise", lambda functions: next(values))
    check(written("attend", "return softmax(q @ k.T / np.sqrt(q.shape[1]) + mask) @ v"))
    assert "1.50 nats per token instead of 2.00. One sentence is a small sample" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_texts_after_right_answers_differ_and_are_the_same_every_time(capsys):
    def lines():
        for name in NAMES:
            check(find(name).reference)
        return [line for line in capsys.readouterr().out.split("\n") if "shipped model writes" in line]

    first = lines()
    assert first == lines() and len(first) == len(NAMES)
    assert len({line.partition("“")[2] for line in first}) == len(NAMES)


def test_check_of_an_unknown_name_suggests_one(capsys):
    def sofmax(x):
        return x

    assert check(sofmax) is sofmax
    assert capsys.readouterr().out == "✗ There is no exercise 'sofmax'. Did you mean 'softmax'?\n"


def test_check_after_an_interrupt_shows_no_traceback(capsys, monkeypatch):
    def softmax(x):
        raise KeyboardInterrupt

    check(softmax)
    assert "you stopped it" in capsys.readouterr().out


def test_check_of_a_slow_right_answer_says_so(capsys, monkeypatch):
    """Each case is quick; with the whole model the time runs out."""
    monkeypatch.setattr("neo_np.exercises.effects.SECONDS", 0.2)
    right = "return 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))"
    body = f"if x.size > 30:\n    while True:\n        pass\n{right}"
    check(written("gelu_new", body))
    said = capsys.readouterr().out
    assert "so this try was stopped" in said and "busy computer" in said


@pytest.mark.parametrize("name", EXERCISES)
def test_every_right_answer_has_an_effect_to_show(name, capsys, monkeypatch):
    monkeypatch.setattr("neo_np.exercises.effects.TOKENS", 2)  # a text of two tokens is one as well
    monkeypatch.setattr("neo_np.exercises.effects_generation.NEW_TOKENS", 2)
    exercise = find(name)
    function = exercise.reference
    source = inspect.getsource(function)
    linecache.cache[f"<{name}>"] = (len(source), None, source.splitlines(keepends=True), f"<{name}>")
    check(function)
    lines = capsys.readouterr().out.strip().split("\n")
    assert lines[0].startswith(f"✓ {name}: right.") and len(lines) >= 2 and lines[1].startswith("  ")
    assert "nan" not in lines[1] and "gets no points" not in lines[1]  # a reference belongs to neo_np: that is told below


def test_diagnose_keeps_and_shows_nothing(progress_file, capsys):
    diagnose("softmax", written("softmax", RIGHT_SOFTMAX))
    assert not progress_file.exists() and capsys.readouterr().out == ""


def test_diagnose_in_many_threads_at_once_is_right_and_gives_the_screen_back():
    verdicts, screen = [], sys.stdout
    answers = [written("linear", "return x @ weight.T + bias"), written("linear", "print(1)\nreturn x @ weight.T")] * 6
    threads = [threading.Thread(target=lambda f=f: verdicts.append(diagnose("linear", f).mistakes)) for f in answers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(verdicts) == [()] * 6 + [("no_bias",)] * 6
    assert sys.stdout is screen


def test_answer_that_replaces_the_screen_is_harmless(monkeypatch):
    screen = sys.stdout
    verdict = diagnose("softmax", written("softmax", f"import io, sys\nsys.stdout = io.StringIO()\n{RIGHT_SOFTMAX}"))
    assert verdict.passed and sys.stdout is screen


def test_teacher_registers_an_exercise():
    def rms(x):
        return np.sqrt((x**2).mean(axis=-1, keepdims=True))

    def variant(x, root=True):
        return rms(x) if root else rms(x) ** 2

    register(
        Exercise(
            name="rms", notebook="99", minutes=5, signature="rms(x)", task="Return the root of the mean square of each row.",
            reference=rms, variant=variant, cases=lambda: [Case((np.array([[3.0, 4.0]], np.float32),))],
            mistakes=(mistake("no_root", {"root": False}, "the root is missing.", "What is the R of RMS?"),),
            hints=("Square, mean, root.", "(T, C) -> (T, 1)", "return ..."),
        )
    )  # fmt: skip
    try:
        assert diagnose("rms", rms).passed
        assert diagnose("rms", lambda x: (x**2).mean(axis=-1, keepdims=True)).mistakes == ("no_root",)
    finally:
        del EXERCISES["rms"]


def test_import_of_the_exercises_loads_neither_ipython_nor_test_libraries():
    code = "import sys, neo_np.exercises; print(*({'IPython', 'hypothesis', 'pytest', 'matplotlib'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (found.stdout.strip(), found.stderr) == ("", "")


def test_no_function_has_the_name_of_a_module_beside_it():
    modules = {file.stem for file in (ROOT / "neo_np" / "exercises").glob("*.py")}
    import neo_np.exercises as package

    assert not modules & set(package.__all__)


def test_all_cases_of_an_exercise_take_milliseconds():
    for exercise in EXERCISES.values():
        cases = exercise.cases()
        began = time.perf_counter()
        for case in cases:
            exercise.reference(*case.arguments)
        assert time.perf_counter() - began < 0.5, exercise.name  # usually about 1 ms; the limit allows for a busy machine
