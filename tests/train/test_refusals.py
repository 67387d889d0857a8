"""What the training command refuses, with one line and without changing anything."""

import os
import shutil

import pytest
from train_helpers import SMALL, assert_refused, read_log

from neo_np.folders.find import DEFAULT_CHECKPOINT
from neo_np.terminal import option_names
from neo_np.train.arguments import ADVICE, MEANT, build_parser

NONSENSE = [
    *[
        (option, value)
        for option in """layers hidden-size heads window-size positions vocab-size steps batch-size sequence-length
        micro-batch-size threads validate-every sample-every save-every keep""".split()
        for value in ("0", "-1", "nan", "1.5", "many", "")
    ],
    *[
        (option, value)
        for option in "learning-rate last-learning-rate weight-decay beta1 beta2 clip dropout".split()
        for value in ("-0.1", "nan", "inf", "many", "")
    ],
    *[("warmup-steps", value) for value in ("-1", "1.5", "nan")],
    *[("seed", value) for value in ("-1", "1.5", "nan")],
    *[(option, value) for option in ("beta1", "beta2", "dropout") for value in ("1", "2")],
    ("heads", "3"),
    ("vocab-size", "256"),
    ("sequence-length", "65"),
    ("activation", "sin"),
    ("attention", "global,sideways"),
    ("attention", ","),
    ("tokenizer", "nowhere"),
    ("init", "nowhere"),
    ("colour", "red"),
]


@pytest.mark.parametrize(("option", "value"), NONSENSE)
def test_train_with_a_nonsensical_value_is_refused_at_once(text, tmp_path, train, option, value):
    assert_refused(train(text, "--out", tmp_path / "run", *SMALL, f"--{option}={value}"))
    assert os.listdir(tmp_path) == ["text.txt"]


MISTAKES = {
    "no text": ("", "TEXT"),
    "no folder": ("{text}", "--out"),
    "a text that is not there": ("{text}x --out {out}", "text.txtx does not exist"),
    "validation text that is not there": ("{text} --out {out} --valid {text}x", "text.txtx does not exist"),
    "a folder without text": ("{empty_folder} --out {out}", "no *.txt file"),
    "a file where the folder should be": ("{text} --out {text}", "text.txt is no folder"),
    "a folder with something else in it": ("{text} --out {parent}", "is not empty"),
    "a folder inside a file": ("{text} --out {text}/run", "cannot be written"),
    "init with layers": (
        "{text} --out {out} --init {shipped} --layers 2 --hidden-size 8",
        "--init takes model",
    ),
    "init with a tokenizer": (
        "{text} --out {out} --init {shipped} --tokenizer {shipped}",
        "--init takes model",
    ),
    "init with untied": ("{text} --out {out} --init {shipped} --untied", "--init takes model"),
    "more than init has positions": ("{text} --out {out} --init {shipped} --sequence-length 9999", "positions"),
    "a run that is there": ("{text} --out {run}", "--resume"),
    "resume with options": ("--resume {run} --steps 99 --batch-size 3", "leave out"),
    "resume with text": ("{text} --resume {run}", "leave out the text."),
    "resume with an option that has its default": ("--resume {run} --steps 2000", "leave out --steps."),
    "resume and out": ("--resume {run} --out {out}", "leave out"),
    "resume of what is complete": ("--resume {run}", "is complete"),
    "a folder whose name is too long": ("{text} --out " + "a" * 300, "cannot be written: File name too long"),
    "a text whose name is too long": ("a" * 300 + " --out {out}", "does not exist"),
    "resume of a name that is too long": ("--resume " + "a" * 300, "does not exist"),
    "resume of no folder": ("--resume {out}", "holds no checkpoint"),
    "resume of a file": ("--resume {text}", "holds no checkpoint"),
    "resume of an empty folder": ("--resume {empty_folder}", "holds no checkpoint"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_train_with_a_mistake_prints_one_line_and_changes_nothing(text, tmp_path, whole, train, mistake):
    (tmp_path / "empty").mkdir()
    arguments, part = MISTAKES[mistake]
    before = {path: path.stat().st_mtime_ns for folder in (tmp_path, whole) for path in folder.rglob("*")}
    names = dict(
        shipped=DEFAULT_CHECKPOINT, text=text, out=tmp_path / "run", empty_folder=tmp_path / "empty", parent=tmp_path, run=whole
    )
    assert_refused(train(*arguments.format(**names).split()), part)
    assert {path: path.stat().st_mtime_ns for folder in (tmp_path, whole) for path in folder.rglob("*")} == before


@pytest.mark.parametrize("option", ["out", "resume", "valid", "init", "tokenizer", "attention", "activation"])
def test_train_with_an_empty_value_is_refused(text, tmp_path, train, option):
    """A variable of the shell that is not set gives an empty value."""
    assert_refused(train(text, "--out", tmp_path / "run", f"--{option}="), f"argument --{option}: it is empty")


def test_train_takes_the_home_folder_where_the_shell_leaves_it(text, tmp_path, train, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert train(text, "--out=~/run", *SMALL, "--steps=1")[0] == 0
    assert (tmp_path / "run" / "step-1").is_dir()


def test_train_from_a_folder_that_was_deleted_says_so(text, tmp_path, train, monkeypatch):
    def fail():
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", fail)
    assert_refused(train(text, "--out", tmp_path / "run"), "the current folder does not exist any more")


@pytest.mark.parametrize(
    ("option", "hint"),
    [
        ("--lr", "did you mean --learning-rate?"),
        ("--epochs", "did you mean --steps?"),
        ("--n_embd", "did you mean --hidden-size?"),
        ("--block-size", "did you mean --sequence-length?"),
        ("--model", "did you mean --init?"),
        ("--output-dir", "did you mean --out?"),
        ("--data", "the text has no option"),
        ("--device", "leave it out"),
    ],
)
def test_train_with_an_option_of_other_programs_names_its_own(train, option, hint):
    assert_refused(train(option, "3"), f"unrecognized arguments: {option}", hint)


def test_advice_of_train_is_for_options_that_do_not_exist_and_names_some_that_do():
    there = option_names(build_parser())
    assert not set(ADVICE) & set(there)
    assert set(MEANT) <= set(there)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "there is no text in"),
        (" \n\n", "there is no text in"),
        ("<|endoftext|>\n" * 3, "there is no text in"),
        ("the end", "tokens to train on"),
    ],
)
@pytest.mark.parametrize("tokenizer", ["--vocab-size=257", f"--tokenizer={DEFAULT_CHECKPOINT}"])
def test_train_on_too_little_text_leaves_nothing(tmp_path, train, content, part, tokenizer):
    (tmp_path / "text.txt").write_text(content)
    status, out, err = train(tmp_path / "text.txt", "--out", tmp_path / "run", tokenizer)
    assert (status, out) == (2, "") and err.splitlines()[-1].startswith("error: ") and part in err.splitlines()[-1]
    assert not list(tmp_path.glob("run/*"))


@pytest.mark.parametrize("prompt", ["\udcff", "the \ud800"])
def test_train_with_an_impossible_prompt_is_refused_at_once(text, tmp_path, train, prompt):
    """A byte that is not UTF-8 comes to a command as a lone surrogate."""
    status, out, err = train(text, "--out", tmp_path / "run", *SMALL, "--sample-prompt", prompt)
    assert (status, out) == (2, "") and "is not UTF-8 text" in err
    assert os.listdir(tmp_path) == ["text.txt"]


def test_train_on_the_shortest_text(tmp_path, train):
    """One window, and nothing to validate on."""
    (tmp_path / "text.txt").write_text("abcdefgh")  # with the end token 9 tokens, 8 to look at and 8 to predict
    options = "--vocab-size 257 --layers 1 --hidden-size 8 --heads 1 --positions 64 --sequence-length 8 --steps 2".split()
    assert train(tmp_path / "text.txt", "--out", tmp_path / "run", *options)[0] == 0
    assert not [entry for entry in read_log(tmp_path / "run") if "valid_loss" in entry]
    (tmp_path / "text.txt").write_text("abcdefg")
    assert train(tmp_path / "text.txt", "--out", tmp_path / "other", *options)[0] == 2
    assert not (tmp_path / "other").exists()  # it was seen before the run began
    (tmp_path / "valid.txt").write_text("abcdefg")
    (tmp_path / "text.txt").write_text("abcdefgh")
    status, _, err = train(tmp_path / "text.txt", "--valid", tmp_path / "valid.txt", "--out", tmp_path / "other", *options)
    assert status == 2 and "the text of --valid has 8 tokens: give more than 8." in err and not (tmp_path / "other").exists()


def test_resume_without_a_whole_token_file_is_refused(whole, tmp_path, train):
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "train.npy").write_bytes((whole / "train.npy").read_bytes()[:1000])
    assert_refused(train("--resume", tmp_path / "run"), "train.npy")
    (tmp_path / "run" / "train.npy").unlink()
    assert_refused(train("--resume", tmp_path / "run"), "train.npy")
