"""What the commands share: numbers given as arguments, and the progress bar."""

import argparse
import io
import sys

import pytest

from neo_np import terminal


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("positive", {"1": 1, "200": 200}, ["0", "-1", "1.5", "x", ""]),
        ("whole", {"0": 0, "7": 7}, ["-1", "0.5", "x"]),
        ("number", {"0": 0.0, "2.5": 2.5, "1e-4": 1e-4}, ["-1", "nan", "inf", "x"]),
        ("share", {"0": 0.0, "0.99": 0.99}, ["1", "-0.1", "nan", "x"]),
    ],
)
def test_numbers_given_as_arguments(kind, good, bad):
    convert = getattr(terminal, kind)
    assert {text: convert(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a (whole )?number"):
            convert(text)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_bar_grows_on_a_terminal_and_ends_its_line(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with terminal.progress_bar("reading") as progress:
        progress(0, 200)
        progress(100, 200)
        progress(200, 200)
    *drawn, last = sys.stderr.getvalue().split("\r")[1:]
    assert [line.count("#") for line in (*drawn, last)] == [0, terminal.BAR_WIDTH // 2, terminal.BAR_WIDTH]
    assert drawn[1] == f"reading [{'#' * 15}{'.' * 15}]  50%"
    assert last.endswith("100%\n")


def test_there_is_no_progress_bar_where_nobody_looks(capsys):
    with terminal.progress_bar("reading") as progress:
        assert progress is None
    assert capsys.readouterr() == ("", "")
