"""Hints, solutions, predictions, line puzzles, progress and kept answers."""

import itertools
import json
import math
import textwrap

import numpy as np
import pytest
from exercises.answers import function_of

from neo_np.errors import NeoError
from neo_np.exercises import check, hint, order_lines, predict, progress, reveal, solution, write_with_answers
from neo_np.exercises.course import EXERCISES, NOTEBOOKS, find
from neo_np.exercises.own_model import NAMES
from neo_np.exercises.puzzles import body_lines, shuffled_lines
from neo_np.exercises.record import answers_folder, progress_file, read_answers

RIGHT = "def linear(x, weight, bias):\n    return x @ weight.T + bias\n"
WRONG = "def linear(x, weight, bias):\n    return x @ weight.T\n"
BROKEN = "def linear(x, weight, bias):\n    return y\n"
BLANK = "def linear(x, weight, bias):\n    ...\n"
NOTEBOOKS_FIRST = {}  # {notebook: name of its first exercise}, whose stub has blanks
for exercise in EXERCISES.values():
    NOTEBOOKS_FIRST.setdefault(exercise.notebook, exercise.name)


def shown(capsys):
    """Return what was printed, with single spaces."""
    return " ".join(capsys.readouterr().out.split())


def checked(source, capsys, name="linear"):
    """Check an answer and forget what was printed."""
    check(function_of(name, source))
    capsys.readouterr()


def test_hint_shows_idea_then_shapes_then_skeleton_which_repeats(capsys):
    stages = []
    for _ in range(4):
        hint("linear")
        stages.append(shown(capsys))
    assert [text.split(":")[0][2:] for text in stages] == [f"linear, hint {n} of 3" for n in (1, 2, 3, 3)]
    for text, piece in zip(stages, find("linear").hints):
        assert " ".join(piece.split()) in text


def test_hint_takes_a_function_and_keeps_its_stage(capsys):
    hint(function_of("linear", RIGHT))
    capsys.readouterr()
    hint("linear")
    assert "hint 2 of 3" in shown(capsys)


def test_hint_for_an_unknown_name_raises():
    with pytest.raises(NeoError, match="Did you mean 'linear'"):
        hint("linaer")


@pytest.mark.parametrize(("source", "opens"), [(None, False), (BLANK, False), (BROKEN, False), (WRONG, True), (RIGHT, True)])
def test_solution_opens_after_one_check_with_a_result(source, opens, capsys):
    if source:
        checked(source, capsys)
    solution("linear")
    text = shown(capsys)
    assert ("return x @ weight.T + bias" in text) is opens
    assert ("neo_np.gpt_neo.forward.linear" in text) is opens


def test_solution_of_an_exercise_that_is_not_in_the_package_shows_the_reference(capsys):
    checked("def attend(q, k, v, mask):\n    return v\n", capsys, "attend")
    solution("attend")
    assert "return weights @ v" in shown(capsys)


@pytest.mark.parametrize("guess", [..., None])
def test_predict_without_a_guess_asks_for_one(guess, capsys, progress_file):
    predict("05.2", guess)
    assert "put your guess in the place of `...`" in shown(capsys)
    assert not progress_file.exists()


def test_reveal_without_a_guess_keeps_the_answer_hidden(capsys):
    reveal("05.2", 1234.5)
    text = shown(capsys)
    assert "first guess, then look" in text and "1234" not in text


@pytest.mark.parametrize(
    ("guess", "value", "words"),
    [
        (3, 5, "you guessed 3. It is 5."),
        (" king", " queen", "you guessed “ king”. It is “ queen”."),
        (2.5, np.float32(1.23456), "you guessed 2.5. It is 1.235."),
        ([1, 2], np.array([2, 1]), "you guessed 1, 2. It is 2, 1."),
        (True, False, "you guessed True. It is False."),
        ((3,), (4,), "you guessed (3,). It is (4,)."),
        (" cat", [" queen", " king"], "you guessed “ cat”. It is “ queen”, “ king”."),
        (1, np.array([1, 2]), "you guessed 1. It is 1, 2."),
        (100.0, 99, "you guessed 100. It is 99."),
    ],
)
def test_reveal_sets_guess_and_answer_side_by_side(guess, value, words, capsys):
    predict("05.2", guess)
    capsys.readouterr()
    reveal("05.2", value)
    text = shown(capsys)
    assert words in text and "teaches more" in text


def test_reveal_of_a_right_guess_is_glad(capsys):
    predict("05.2", 3)
    capsys.readouterr()
    reveal("05.2", np.int64(3))
    assert shown(capsys) == "✓ Prediction 05.2: you guessed 3, and it is 3."


@pytest.mark.parametrize(
    ("guess", "value"),
    [
        ("queen", " queen"),
        ("HIGHER", "higher"),
        (True, np.True_),
        ("true", True),
        ("(3,)", (3,)),
        ((3,), "(3,)"),
        ("(3, )", (3,)),
        (4.0, 4),
        ([1, 2], np.array([1, 2])),
    ],
)
def test_reveal_forgives_spaces_and_case(guess, value, capsys):
    predict("05.2", guess)
    reveal("05.2", value)
    assert ", and it is" in shown(capsys)


@pytest.mark.parametrize(
    ("guess", "value"),
    [
        (7.39, np.exp(2)),
        (7.389, np.exp(2)),
        (7.4, np.exp(2)),
        ("7.39", np.float32(7.389)),
        (np.log(2), 0.69),
        (0.69, np.log(2)),
        (0.7, np.log(2)),
        ("2/3", 2 / 3),
        ("41%", 0.4096),
        ("41 %", 0.41),
        (0.41, 0.4096),
        ("41%", 41),
        (41, "41%"),
        (0.41, "41%"),
        (41.3, "41%"),
        ("41%", "41%"),
        (0, 0.0),
        (-0.004, 0.0),
        ([2], [1.999, 3.5]),
        ("3.50", [1.999, 3.5]),
    ],
)
def test_reveal_takes_a_number_that_is_rounded_or_a_percentage(guess, value, capsys):
    predict("10.1", guess)
    reveal("10.1", value)
    assert ", and it is" in shown(capsys)


@pytest.mark.parametrize(
    ("guess", "value"),
    [
        (7, np.exp(2)),
        (7.5, np.exp(2)),
        (7.3, np.exp(2)),
        (0.0, 0.04),
        (0.1, 0.05),
        ("41%", 0.43),
        ("41%", 40),
        (0.41, 41),
        (41.3, 41),
        (41, 0.41),
        (43, "41%"),
        (0.43, "41%"),
        ("0.41%", "41%"),
        (1, True),
        ("1/0", 1.0),
        (".", 0.0),
        ("", 0.0),
        ("higher", 0.5),
        (0.5, "higher"),
        (0.5, (0.5,)),
    ],
)
def test_reveal_refuses_another_number(guess, value, capsys):
    predict("10.1", guess)
    reveal("10.1", value)
    assert ", and it is" not in shown(capsys)


@pytest.mark.parametrize(("guess", "words"), [(1e10, "10000000000"), (0.1234, "0.123"), (-0.0001, "0"), (250.0, "250")])
def test_predict_writes_a_float_with_three_decimals_at_most(guess, words, capsys):
    predict("10.1", guess)
    assert f"your guess is {words}." in shown(capsys)


@pytest.mark.parametrize("guess", [" queen", "Queen", " king"])
def test_reveal_takes_each_member_of_a_list(guess, capsys):
    predict("05.2", guess)
    capsys.readouterr()
    reveal("05.2", [" queen", " king"])
    assert shown(capsys) == f"✓ Prediction 05.2: you guessed “{guess}”, and it is one of “ queen”, “ king”."


def test_progress_counts_what_was_passed_tried_and_compared(capsys):
    checked(RIGHT, capsys)
    checked("def softmax(x):\n    return x\n", capsys, "softmax")
    predict("05.2", 3)
    reveal("05.2", 3)
    capsys.readouterr()
    progress()
    text = shown(capsys)
    core = sum(exercise.core for exercise in EXERCISES.values())
    assert f"passed 1 of {len(EXERCISES)} exercises (1 of {core} core) and compared 1 prediction." in text
    assert "✓ linear*" in text and "✗ softmax*" in text and "○ attend*" in text and "○ mlp" in text
    with_exercises = {exercise.notebook for exercise in EXERCISES.values()}
    assert all(NOTEBOOKS[number] in text for number in with_exercises)
    assert "Next: `next_token` in notebook 00" in text


def test_exercise_that_was_passed_once_stays_passed(capsys):
    checked(RIGHT, capsys)
    checked(WRONG, capsys)
    progress()
    assert "✓ linear*" in shown(capsys)


def test_blank_answer_is_not_tried(capsys):
    checked(BLANK, capsys)
    progress()
    assert "○ linear*" in shown(capsys)


def test_progress_without_a_folder_to_write_to_still_checks(capsys, monkeypatch, tmp_path):
    file = tmp_path / "a file"
    file.write_text("")
    monkeypatch.setenv("NEO_NP_PROGRESS", str(file / "progress.json"))
    check(function_of("linear", RIGHT))
    assert "✓ linear: right" in shown(capsys)


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"exercises": 3}', "\ufeff{}"])
def test_damaged_progress_begins_again(content, capsys, progress_file):
    progress_file.write_text(content, encoding="utf-8")
    checked(RIGHT, capsys)
    assert json.loads(progress_file.read_text(encoding="utf-8"))["exercises"]["linear"]["state"] == "passed"


def test_progress_lies_in_the_notebooks_unless_the_variable_says_otherwise(monkeypatch, tmp_path):
    assert progress_file().name == "progress.json" and answers_folder() == progress_file().parent / ".answers"
    monkeypatch.delenv("NEO_NP_PROGRESS")
    monkeypatch.setattr("neo_np.exercises.record.CLONE", tmp_path)
    (tmp_path / "notebooks").mkdir()
    assert progress_file() == tmp_path / "notebooks" / ".progress.json"


def test_kept_files_are_ignored_by_git():
    from helpers import ROOT

    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    assert "notebooks/.progress.json*" in ignored and "notebooks/.answers/" in ignored


def test_answer_that_passed_is_kept_without_its_decorator(capsys):
    source = "from neo_np.exercises import check\n@check\n" + RIGHT
    function_of("linear", source)
    assert read_answers() == {"linear": RIGHT}
    checked(WRONG, capsys)
    assert read_answers() == {"linear": RIGHT}


def test_write_with_answers_uses_them_and_says_which(capsys):
    checked(RIGHT, capsys)
    checked(
        "def gelu_new(x):\n    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))\n",
        capsys,
        "gelu_new",
    )
    (answers_folder() / "softmax.py").write_text("def softmax(x):\n    return helper(x)\n")
    write_with_answers("Once upon a time", 5)
    text = shown(capsys)
    assert f"2 of {len(NAMES)} functions of this model are yours." in text
    assert "It writes: “Once upon a time" in text and "`linear`" in text.split("Yours:")[1].split(".")[0]
    assert "was not kept" in text and "`softmax`" in text.split("was not kept")[1]
    assert "`block`" in text.split("From the course:")[1]


def test_write_with_answers_really_calls_them(capsys):
    """An answer that is right on the cases and odd on long inputs changes the text."""
    write_with_answers("Once upon a time", 5, seed=0)
    before = shown(capsys).split("It writes:")[1].split("”")[0]
    odd = "def linear(x, weight, bias):\n    y = x @ weight.T + bias\n    return y if y.size < 100 else -3 * y\n"
    checked(odd, capsys)
    write_with_answers("Once upon a time", 5, seed=0)
    assert shown(capsys).split("It writes:")[1].split("”")[0] != before


def test_write_with_answers_gives_a_new_text_for_each_further_function(capsys):
    texts = []
    for source, name in [(None, None), (RIGHT, "linear"), ("def merge_heads(x):\n    return np.hstack(x)\n", "merge_heads")]:
        if source:
            checked(source, capsys, name)
        for _ in range(2):
            write_with_answers("Once upon a time", 12)
            texts.append(shown(capsys).split("It writes:")[1].split("”")[0])
    assert texts[0::2] == texts[1::2] and len(set(texts)) == 3


def test_order_lines_shows_them_in_a_wrong_order_and_takes_the_right_one(capsys):
    def verdict(name, order):
        order_lines(name, "".join(order))
        return capsys.readouterr().out[0]

    for name, exercise in EXERCISES.items():
        lines = shuffled_lines(exercise)
        if len(lines) > 6:
            continue
        order_lines(name)
        text = capsys.readouterr().out
        assert all(f"{letter}  {line}" in text for letter, line in lines.items())
        letters = sorted(lines, key=lines.get)  # equal lines come one after the other, so each letter is taken once
        right = [letters.pop(next(i for i, x in enumerate(letters) if lines[x] == line)) for line in body_lines(exercise)]
        assert verdict(name, right) == "✓", name
        others = itertools.islice(itertools.permutations(lines), 24)
        assert len(lines) == 1 or any(verdict(name, order) == "✗" for order in others), name


def test_order_lines_takes_every_order_that_works(capsys):
    letters = {line.strip(): letter for letter, line in shuffled_lines(find("local_mask")).items()}
    first = next(letter for line, letter in letters.items() if line.startswith("distance"))
    last = next(letter for line, letter in letters.items() if line.startswith("return"))
    order_lines("local_mask", f"{first}, {last}".lower())
    assert "this order is right" in shown(capsys)
    order_lines("local_mask", last + first)
    assert "uses `distance`, which line" in shown(capsys)


@pytest.mark.parametrize("order", ["A", "AAB", "ABZ", "ABCD"])
def test_order_lines_asks_for_each_letter_once(order, capsys):
    order_lines("layer_norm", order)
    assert "Use each of the letters ABC once" in shown(capsys)


def test_minutes_of_the_course_are_plausible():
    by_notebook = {}
    for exercise in EXERCISES.values():
        by_notebook.setdefault(exercise.notebook, []).append(exercise.minutes)
    assert set(NOTEBOOKS) - set(by_notebook) == {"16", "17"}  # these have predictions only
    assert list(by_notebook) == sorted(by_notebook)
    assert all(5 <= sum(minutes) <= 60 for minutes in by_notebook.values())
    assert math.fsum(sum(minutes) for minutes in by_notebook.values()) < 36 * len(NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS_FIRST.values())
def test_third_hint_shows_more_than_the_stub_with_blanks(name):
    exercise = EXERCISES[name]
    assert exercise.blanks and exercise.blanks in textwrap.dedent(exercise.stub(blanks=True).partition('"""\n')[2])
    assert exercise.hints[2] != exercise.blanks
    assert 1 <= exercise.hints[2].count("...") <= exercise.blanks.count("...")
    compile("def answer():\n" + textwrap.indent(exercise.hints[2], "    "), name, "exec")


def test_only_the_first_exercise_of_a_notebook_has_a_stub_with_blanks():
    assert {name for name, exercise in EXERCISES.items() if exercise.blanks} == set(NOTEBOOKS_FIRST.values())
