"""How messages look: text in a terminal, HTML in Jupyter; differences by colour and by a sign."""

import html
import io
import pydoc
import re
import sys
import types

import numpy as np
import pytest
from exercises.answers import function_of, read_wrong_answers
from hypothesis import given
from hypothesis import strategies as st

from neo_np.errors import NeoError
from neo_np.exercises import check, display, show_source
from neo_np.exercises.course import EXERCISES, find
from neo_np.exercises.diagnosis import examine
from neo_np.exercises.display import DIFFERS, WIDTH, as_html, as_text, show
from neo_np.exercises.grids import argument_grids, result_grids
from neo_np.exercises.messages import BAD, Code, Question, Text, Title, message_of
from neo_np.exercises.outcomes import outcome_of
from neo_np.exercises.source import source_with
from neo_np.gpt_neo import forward


class Terminal(io.StringIO):
    """A place to print that says that it is a terminal."""

    def isatty(self):
        return True


class OldConsole(io.StringIO):
    """A place to print that knows ASCII only."""

    encoding = "ascii"


def grids_of(yours, expected, tolerance=(1e-4, 1e-5)):
    """Return the grids of two results."""
    return result_grids(outcome_of(yours, expected, lambda x: x), expected, tolerance)


def marks(grid):
    """Return the marks of a grid as 0 and 1."""
    return [[int(differs) for _, differs in row] for row in grid.rows]


def cells(grid):
    """Return the texts of a grid."""
    return [[text for text, _ in row] for row in grid.rows]


def parts_of(exercise, source):
    """Return the parts of the message about an answer."""
    return message_of(examine(find(exercise), function_of(exercise, source)))


def test_tuple_of_arrays_shows_only_the_parts_that_differ():
    right = np.array([[1.0, 2.0]]), np.array([3.0, 4.0]), np.array([5.0])
    shown = grids_of((right[0], np.array([3.0, 9.0]), right[2]), right)
    assert [(grid.label, marks(grid)) for grid in shown] == [("yours[1]", [[0, 1]]), ("expected[1]", [[0, 0]])]


def test_tuple_with_a_part_of_another_shape_shows_both_shapes():
    right = np.array([[1.0, 2.0]]), np.array([3.0, 4.0])
    shown = grids_of((right[0], np.array([[3.0, 4.0]])), right)
    assert [grid.label for grid in shown] == ["yours[1] (1, 2)", "expected[1] (2,)"]


def test_arrays_of_different_shapes_in_the_place_of_one_array_are_shown_as_they_are():
    shown = grids_of((np.array([1.0, 2.0]), np.array([[3.0, 4.0]])), np.array([1.0, 2.0]))
    assert [grid.label for grid in shown] == ["yours", "expected (2,)"]


def test_entries_that_differ_are_marked_and_equal_ones_are_not():
    expected = np.array([[1, 2], [3, 4]], np.float32)
    yours, right = grids_of(np.array([[1, 2.5], [3.00001, -4]]), expected)
    assert marks(yours) == [[0, 1], [0, 1]] and marks(right) == [[0, 0], [0, 0]]
    assert cells(yours)[0] == ["1.0", "2.5"] or cells(yours)[0] == ["1.000", "2.500"]


def test_marked_pairs_never_look_the_same():
    yours, right = grids_of(np.array([0.12345]), np.array([0.12349], np.float32), (1e-6, 1e-6))
    assert cells(yours) != cells(right)


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20))
def test_numbers_are_short(values):
    (grid,) = argument_grids("x", np.array(values, np.float32))
    assert all(len(text) <= 12 for row in cells(grid) for text in row)


def test_large_array_is_cropped_around_the_first_difference():
    expected = np.zeros((20, 20), np.float32)
    wrong = expected.copy()
    wrong[15, 17] = 1
    yours, right = grids_of(wrong, expected)
    assert len(yours.rows) <= 8 and sum(map(sum, marks(yours))) == 1
    assert [len(row) for row in yours.rows] == [len(row) for row in right.rows]


def test_three_axes_are_shown_head_by_head():
    labels = [grid.label for grid in grids_of(np.ones((2, 1, 2), np.float32), np.zeros((2, 1, 2), np.float32))]
    assert labels == ["yours[0]", "yours[1]", "expected[0]", "expected[1]"]


@pytest.mark.parametrize(
    ("yours", "expected", "yours_marks"),
    [
        (["a", "b"], ["a", "c"], [[0, 1]]),
        (["a"], ["a", "b"], [[0]]),
        ([], ["a"], [[1]]),
        (["a", "b", "c"], ["a"], [[0, 1, 1]]),
    ],
)
def test_lists_are_compared_item_by_item(yours, expected, yours_marks):
    assert marks(grids_of(yours, expected)[0]) == yours_marks


def test_dicts_show_only_keys_that_differ():
    yours, right = grids_of({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4})
    assert cells(yours) == [["'b'", "2"], ["'c'", "missing"]] and cells(right) == [["'b'", "3"], ["'c'", "4"]]


def test_large_arguments_are_told_by_their_shape():
    assert cells(argument_grids("x", np.zeros((40, 40)))[0]) == [["an array of shape (40, 40)"]]


@pytest.mark.slow
def test_text_lines_fit_a_terminal_and_columns_are_aligned():
    for exercise, _, source in read_wrong_answers():
        lines = as_text(parts_of(exercise, source)).split("\n")
        assert all(len(line) <= WIDTH + 20 for line in lines), lines
    text = as_text(parts_of("softmax", "def softmax(x):\n    return np.exp(x - x.max()) / np.exp(x - x.max()).sum()"))
    yours = next(line for line in text.split("\n") if line.strip().startswith("yours"))
    expected = next(line for line in text.split("\n") if line.strip().startswith("expected"))
    ends = [[match.end() for match in re.finditer(r"[\d.]+", line)] for line in (yours, expected)]
    assert ends[0] == ends[1]


def test_sign_stands_in_text_and_html_and_colour_only_in_a_terminal(monkeypatch):
    parts = parts_of("linear", "def linear(x, weight, bias):\n    return x @ weight.T")
    assert DIFFERS in as_text(parts) and "\033" not in as_text(parts)
    assert DIFFERS in as_html(parts) and "background:" in as_html(parts)
    for stream, colourful in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.delenv("NO_COLOR", raising=False)
        show(parts)
        assert ("\033[" in stream.getvalue()) is colourful
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", Terminal())
    show(parts)
    assert "\033[" not in sys.stdout.getvalue()


def test_old_console_gets_plain_signs(monkeypatch):
    monkeypatch.setattr(sys, "stdout", OldConsole())
    show(parts_of("linear", "def linear(x, weight, bias):\n    return x @ weight.T"))
    shown = sys.stdout.getvalue()
    assert shown.isascii() and shown.startswith("x linear: not yet.") and "!" in shown


def test_text_from_students_is_escaped_in_html():
    bad = "<script>alert(1)</script>&amp;"
    parts = [Title(BAD, bad), Text(bad), Question(bad), Code(bad, bad)]
    assert "<script" not in as_html(parts) and as_html(parts).count(html.escape(bad, quote=False)) == 5
    source = f"def softmax(x):\n    print('{bad}')\n    raise ValueError('{bad}')"
    assert "<script" not in as_html(parts_of("softmax", source))
    answer = f"def decode(ids, token_bytes):\n    return '{bad}'"
    assert "<script" not in as_html(parts_of("decode", answer))


def test_code_between_backticks_is_code_in_html_and_is_not_broken_in_text():
    long = "word " * 18 + "`one piece of code that is not broken` end"
    assert "<code>one piece of code that is not broken</code>" in as_html([Text(long)])
    assert "`one piece of code that is not broken`" in as_text([Text(long)])


class Kernel:
    """What the display asks of IPython in a notebook."""

    def __init__(self):
        self.shown = []
        self.kernel = True


def test_notebook_gets_html_and_text(monkeypatch, capsys):
    """IPython is found in sys.modules and is never imported."""
    shell = Kernel()
    package = types.ModuleType("IPython")
    package.get_ipython = lambda: shell
    part = types.ModuleType("IPython.display")
    part.display = lambda bundle, raw: shell.shown.append((bundle, raw))
    monkeypatch.setitem(sys.modules, "IPython", package)
    monkeypatch.setitem(sys.modules, "IPython.display", part)
    check(function_of("linear", "def linear(x, weight, bias):\n    return x @ weight.T + bias"))
    ((bundle, raw),) = shell.shown
    assert raw and bundle["text/plain"].startswith("✓ linear: right.") and bundle["text/html"].startswith("<div ")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("shell", [None, object()])
def test_ipython_without_a_kernel_gets_text(monkeypatch, capsys, shell):
    package = types.ModuleType("IPython")
    package.get_ipython = lambda: shell
    monkeypatch.setitem(sys.modules, "IPython", package)
    show([Text("hello")])
    assert capsys.readouterr().out == "  hello\n"


def test_html_is_well_formed():
    """Every tag that is opened is closed, in the right order."""
    for exercise, _, source in read_wrong_answers():
        opened = []
        for closing, tag in re.findall(r"<(/?)([a-z]+)[^>]*>", as_html(parts_of(exercise, source))):
            if closing:
                assert opened.pop() == tag
            else:
                opened.append(tag)
        assert opened == []


def test_show_source_puts_each_remark_below_its_piece(capsys):
    show_source(forward.softmax, {"x.max(axis=-1, keepdims=True)": "The largest score.", "e.sum": "The sum."})
    lines = capsys.readouterr().out.split("\n")
    place = next(i for i, line in enumerate(lines) if "x.max(axis=-1" in line)
    assert lines[place + 1].strip() == "└ The largest score."
    assert lines[place + 1].index("└") == lines[place].index("x.max(axis")
    assert any(line.strip() == "└ The sum." for line in lines)
    html_source = as_html([source_with(forward.softmax, {"e.sum": "The sum."})])
    assert ">e.sum</span>" in html_source and "The sum." in html_source


def test_show_source_puts_a_remark_into_the_code_if_the_docstring_has_the_piece_too():
    lines = source_with(forward.linear, {"x @ weight.T": "The product."}).lines
    [line] = [line for line, remarks in lines if remarks]
    assert line.strip().startswith("return")


def test_show_source_refuses_a_piece_that_does_not_occur():
    with pytest.raises(NeoError, match=r"has no 'e\.summ'"):
        show_source(forward.softmax, {"e.summ": "gone"})


@pytest.mark.parametrize("name", [name for name, exercise in EXERCISES.items() if exercise.notes])
def test_every_remark_has_its_piece_in_the_source_of_the_package(name):
    assert source_with(pydoc.locate(find(name).package_name), find(name).notes).lines


def test_colours_have_enough_contrast_on_white_and_on_black():
    """At least 3 to 1, as WCAG asks for large or bold signs; the text itself has the page's own colour."""

    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        parts = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]

    for colour in display.COLOURS.values():
        light = luminance(colour)
        assert 1.05 / (light + 0.05) >= 3 and (light + 0.05) / 0.05 >= 3
