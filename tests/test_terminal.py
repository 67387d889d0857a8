"""What the commands share: arguments, exit statuses, progress."""

import argparse
import errno
import io
import os
import re
import runpy
import signal
import subprocess
import sys
from types import SimpleNamespace

import pytest
from helpers import ROOT

import neo_np
from neo_np import NeoError, terminal
from neo_np.generate import command as generate_command


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("positive", {"1": 1, "200": 200}, ["0", "-1", "1.5", "x", ""]),
        ("whole", {"0": 0, "7": 7}, ["-1", "0.5", "x"]),
        ("number", {"0": 0.0, "2.5": 2.5, "1e-4": 1e-4}, ["-1", "nan", "inf", "x"]),
        ("share", {"0": 0.0, "0.99": 0.99}, ["1", "-0.1", "nan", "x"]),
    ],
)
def test_checked_number_converts_or_raises(kind, good, bad):
    convert = getattr(terminal, kind)
    assert {text: convert(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError, match=f"'{text}' is not a (whole )?number"):
            convert(text)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_progress_on_a_terminal_draws_a_bar_and_erases_it(monkeypatch):
    monkeypatch.setattr("sys.stderr", Terminal())
    with terminal.progress_bar("reading") as progress:
        progress(0, 200)
        progress(100, 200)
        progress(200, 200)
    *drawn, erased, rest = sys.stderr.getvalue().split("\r")[1:]
    assert [line.count("#") for line in drawn] == [0, terminal.BAR_WIDTH // 2, terminal.BAR_WIDTH]
    assert drawn[1] == f"reading [{'#' * 15}{'.' * 15}]  50%"
    assert (erased, rest) == (" " * len(drawn[-1]), "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds=3"], "unrecognized arguments: --seeds=3: did you mean --seed?"),
        (["--Max_New_Tokens=3"], "did you mean --max-new-tokens?"),
        (["--max-new=3"], "did you mean --max-new-tokens?"),  # abbreviations are no options
        (["--zzz"], "unrecognized arguments: --zzz (--help shows the options)"),
        (["--nonsense"], "unrecognized arguments: --nonsense (--help shows the options)"),  # not --seed
        (["--reed"], "did you mean --seed?"),
        (["--seed-value"], "did you mean --seed?"),
        (["text", "--contxt", "3"], "did you mean --context?"),
        (["text", "more"], "unrecognized arguments: more (--help shows the options)"),  # there is no prompt to quote
        (["other", "--context", "3"], "--context belongs to text: write it after that word"),
        (["text", "--fp16"], "--fp16: leave it out: NumPy computes in float32, on the CPU"),
        (["--version"], "python -m neo_np --version prints the version"),
        (["texts", "a"], "the first word must be text or other, and it is 'texts' ("),
        (["--context=3", "text"], "--context comes too early: --context belongs to text: write it after that word"),
    ],
)
def test_unknown_option_is_one_line_with_the_one_that_was_meant(arguments, words, capsys):
    parser = terminal.OneLineParser(prog="test")
    parser.add_argument("--seed")
    parser.add_argument("--max-new-tokens")
    commands = parser.add_subparsers(metavar="text | other")
    commands.add_parser("text").add_argument("--context")
    commands.add_parser("other")
    with pytest.raises(SystemExit) as left:
        parser.parse_args(arguments)
    assert left.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert words in error


def test_given_names_arguments_even_if_their_value_is_the_default():
    parser = terminal.OneLineParser(prog="test")
    parser.add_argument("files", nargs="*")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--stop", action="append")
    parser.add_argument("--json", action="store_true")
    assert parser.given([]) == []
    assert sorted(parser.given(["--seed=0", "--json"])) == ["json", "seed"]
    assert sorted(parser.given(["a", "--stop", ""])) == ["files", "stop"]


def test_any_text_decodes_what_python_without_a_locale_has_not():
    assert [terminal.any_text(text) for text in ("", "größe", os.fsdecode(b"gr\xc3\xb6\xc3\x9fe"))] == ["", "größe", "größe"]
    for text in ("\udcff", "\ud800"):
        with pytest.raises(argparse.ArgumentTypeError, match="is not UTF-8 text"):
            terminal.any_text(text)


class FullDisk(io.StringIO):
    def write(self, text):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_error_that_cannot_be_printed_is_status_2(monkeypatch):
    def fail():
        raise NeoError("this is wrong")

    monkeypatch.setattr("sys.stderr", FullDisk())
    assert terminal.run_command(fail) == 2


def test_error_of_the_system_names_its_file(tmp_path, capsys):
    assert terminal.run_command(lambda: open(tmp_path / "nowhere").close() or 0) == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'nowhere'} cannot be used: No such file or directory.\n"


def test_restart_with_a_closed_output_restarts(monkeypatch):
    seen = []
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr(os, "name", "posix")
    monkeypatch.setattr(os, "execve", lambda program, arguments, environment: seen.append(environment["NEO_TEST"]))
    terminal.restart_with({"NEO_TEST": "1"})
    assert seen == ["1"]


def test_restart_in_jupyter_keeps_the_process(monkeypatch):
    """It has the user's variables."""
    monkeypatch.setattr("builtins.get_ipython", lambda: None, raising=False)
    monkeypatch.setattr(os, "execve", lambda *_: pytest.fail("the process was replaced"))
    terminal.restart_with({"NEO_TEST": "1"})


COMMANDS = ["neo_np", *sorted(f"neo_np.{file.parent.name}" for file in (ROOT / "neo_np").glob("*/__main__.py"))]


@pytest.mark.parametrize("module", COMMANDS)
@pytest.mark.parametrize("in_jupyter", [False, True])
def test_command_with_a_mistake_ends_the_process_but_not_jupyter(module, in_jupyter, monkeypatch, capsys):
    """%run would show a traceback."""
    monkeypatch.setattr("sys.argv", [module, "--nonsense"])
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(os, "execve", lambda *_: None)
    if in_jupyter:
        monkeypatch.setattr("builtins.get_ipython", lambda: None, raising=False)
        runpy.run_module(module, run_name="__main__")
    else:
        with pytest.raises(SystemExit) as left:
            runpy.run_module(module, run_name="__main__")
        assert left.value.code == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.parametrize("arguments", [["--nonsense"], "The king --greedy"])
def test_main_with_a_mistake_returns_2_in_jupyter(arguments, monkeypatch, capsys):
    """SystemExit would show advice of Jupyter below the error."""
    with pytest.raises(SystemExit) as left:
        generate_command.main(arguments)
    monkeypatch.setattr("builtins.get_ipython", lambda: None, raising=False)
    assert generate_command.main(arguments) == left.value.code == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == second
    assert isinstance(arguments, list) or "the arguments must be a list of texts" in first


def test_progress_without_terminal_prints_a_line_every_ten_seconds(monkeypatch, capsys):
    clock = iter([0, 5, 11, 15, 22])
    monkeypatch.setattr(terminal, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with terminal.progress_bar("reading") as progress:
        for done in (10, 30, 40, 80):
            progress(done, 100)
    assert capsys.readouterr() == ("", "reading: 30%\nreading: 80%\n")


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("num_heads is 0, and it must be above 0.", "--heads is 0, and it must be above 0."),
        ("hidden_size 10 is not divisible by num_heads 3.", "--hidden-size 10 is not divisible by --heads 3."),
        ("steps is 0.", "--steps is 0."),
        ("steps.txt is not UTF-8.", "steps.txt is not UTF-8."),
        ("the text has few steps.", "the text has few steps."),
        *[(same, same) for same in ("/tmp/num_heads/a.txt", "--num_heads", "my.num_heads", "num_heads2")],
    ],
)
def test_naming_options_changes_only_names_of_settings(sentence, expected):
    with pytest.raises(NeoError) as caught:
        with terminal.naming_options({"num_heads": "--heads", "hidden_size": "--hidden-size", "steps": "--steps"}):
            raise NeoError(sentence)
    assert str(caught.value) == expected


def run_package(*arguments):
    """Return (exit status, output, errors) of `python -m neo_np` with these arguments."""
    done = subprocess.run([sys.executable, "-m", "neo_np", *arguments], cwd=ROOT, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def test_package_as_command_lists_every_command():
    status, output, errors = run_package()
    assert (status, errors) == (0, "")
    commands = sorted(file.parent.name for file in (ROOT / "neo_np").glob("*/__main__.py"))
    assert sorted(re.findall(r"python -m neo_np\.([a-z]+)", output)) == commands
    assert run_package("--help") == (0, output, "")


def test_package_as_command_shows_the_version():
    assert run_package("--version") == (0, f"neo_np {neo_np.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["generate", "Once upon", "--seed", "0"], "python -m neo_np.generate 'Once upon' --seed 0"),
        (["train", "texts"], "python -m neo_np.train texts"),
        (["Once upon"], "python -m neo_np.generate 'Once upon'"),
        (["--sed"], "unrecognized arguments: --sed"),
    ],
)
def test_package_as_command_with_arguments_names_the_right_form(arguments, wanted):
    status, output, errors = run_package(*arguments)
    assert (status, output) == (2, "") and wanted in errors and errors.count("\n") == 1
