"""The folder of a run: one process at a time, runs that were killed before their first checkpoint, which folder was meant."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from importlib import import_module

import pytest
from helpers import ROOT
from train_helpers import (
    LEARNING,
    SMALL,
    WORDS,
    assert_every_step_is_whole,
    assert_refused,
    assert_same_run,
    process_arguments,
    started,
)

from neo_np import NeoError
from neo_np.folders.find import find_checkpoint
from neo_np.train import command, lock
from neo_np.train.lock import locked, read_lock
from neo_np.train.runs import checkpoints

LONG = [*SMALL, "--steps", "100000", "--save-every", "50"]


def stop(process):
    """End a run with Ctrl-C and return what it printed."""
    process.send_signal(signal.SIGINT)
    return process.communicate(timeout=60)[0]


def held_in_another_process(folder):
    """Return a process that holds the lock of a folder until its input ends."""
    code = (
        "import sys; from pathlib import Path; from neo_np.train.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"
    )
    arguments = [sys.executable, "-c", code, str(folder)]
    process = subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


# The lock


def test_locked_refuses_a_folder_that_another_process_holds(tmp_path):
    process = held_in_another_process(tmp_path)
    assert read_lock(tmp_path)["process"] == process.pid
    with pytest.raises(NeoError, match=rf"another process \(id {process.pid}\) is training in {tmp_path}: wait"):
        with locked(tmp_path):
            pass
    assert read_lock(tmp_path)["process"] == process.pid  # the refused one has left everything as it was
    process.communicate("")
    assert os.listdir(tmp_path) == []
    with locked(tmp_path):
        assert os.listdir(tmp_path) == [lock.LOCK]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("contents", ["", "{", "[]", '{"process": "x"}', f'{{"process": {os.getpid()}}}'])
def test_locked_takes_a_file_that_nobody_holds(tmp_path, contents):
    """Whatever is in it, even the id of a process that lives: ids are used again."""
    (tmp_path / lock.LOCK).write_text(contents)
    with locked(tmp_path, {"arguments": ["a"]}):
        pass
    assert os.listdir(tmp_path) == []


def test_locked_takes_the_lock_of_a_killed_process(tmp_path):
    process = held_in_another_process(tmp_path)
    process.kill()
    process.communicate()
    assert os.listdir(tmp_path) == [lock.LOCK]
    with locked(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_locked_is_not_held_by_forked_processes(tmp_path):
    """Processes that tokenize are forked; the lock of a killed run must not live on in one of them."""
    code = (
        "import os, sys; from pathlib import Path; from neo_np.train.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    if os.fork():\n        os.kill(os.getpid(), 9)\n    print('child', flush=True)\n"
        "    sys.stdin.read()\n    os._exit(0)"
    )
    arguments = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path)]
    process = subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "child\n"
    assert process.wait(timeout=60) == -signal.SIGKILL
    with locked(tmp_path):
        pass
    process.communicate("")


def test_locked_when_the_file_was_removed_meanwhile_locks_the_new_one(tmp_path, monkeypatch):
    """The process that held the lock removes its file between our opening and our locking of it."""
    original, calls = lock.try_lock, []

    def remove_first(descriptor):
        if not calls:
            (tmp_path / lock.LOCK).unlink()
        calls.append(descriptor)
        return original(descriptor)

    monkeypatch.setattr(lock, "try_lock", remove_first)
    with locked(tmp_path):
        assert len(calls) == 2 and os.listdir(tmp_path) == [lock.LOCK]


def test_locked_on_a_full_disk_is_refused_and_leaves_nothing(tmp_path, monkeypatch):
    def fail(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(NeoError, match="cannot be written: No space left on device"):
        with locked(tmp_path):
            pass
    assert not os.listdir(tmp_path)


def test_locked_folder_that_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(NeoError, match=r"gone cannot be written: No such file"):
        with locked(tmp_path / "gone"):
            pass


# Two runs in one folder


def test_train_into_the_folder_of_a_running_run_is_refused(text, tmp_path, train):
    """Before its first checkpoint, after it, and by --resume. The first run notices nothing."""
    folder = tmp_path / "run"
    process = started(text, "--out", folder, *LONG)
    before = (folder / "train.npy").read_bytes()
    for arguments in ([text, "--out", folder, *SMALL], ["--resume", folder]) * 2:
        result = train(*arguments)
        assert_refused(result, f"another process (id {process.pid}) is training in {folder}")
    assert (folder / "train.npy").read_bytes() == before
    assert stop(process).splitlines()[-1].startswith("stopped; saved ") and process.returncode == 130
    assert_every_step_is_whole(folder)
    assert not (folder / lock.LOCK).exists()
    process = started("--resume", folder)
    assert_refused(train("--resume", folder), f"another process (id {process.pid})")
    assert_refused(train(text, "--out", folder, *SMALL), f"another process (id {process.pid})")
    stop(process)
    assert process.returncode == 130


@pytest.mark.slow
def test_train_started_twice_at_once_trains_once(text, tmp_path):
    folder = tmp_path / "run"
    arguments = process_arguments(text, "--out", folder, *SMALL)
    pipe = subprocess.PIPE
    processes = [subprocess.Popen(arguments, cwd=ROOT, stdout=pipe, stderr=pipe, text=True) for _ in range(3)]
    results = [(*process.communicate(timeout=120), process.returncode) for process in processes]
    assert sorted(status for _, _, status in results) == [0, 2, 2]
    for _, err, status in results:
        if status:
            assert err.splitlines()[-1].startswith("error: ")
            assert "is training in" in err or "has a run already" in err
    assert sorted(os.listdir(folder)) == ["log.jsonl", "step-12", "step-14", "train.npy"]


# Runs that were stopped before their first checkpoint

MOMENTS = {  # where the process kills itself
    "learning the tokenizer": "neo_np.train.command.pieces_to_learn_from",
    "tokenizing": "neo_np.train.data.write_header",
    "beginning": "neo_np.train.command.make_steps",
    "the first checkpoint": "neo_np.train.runs.write_json",
}


def killed(moment, *arguments, cwd=ROOT):
    """Run the command in a forked process that kills itself when it calls a function."""
    module, _, name = MOMENTS[moment].rpartition(".")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python 3.12 warns of forks beside threads
        process = os.fork()
    if process == 0:
        try:
            os.chdir(cwd)
            setattr(import_module(module), name, lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL))
            command.main([str(argument) for argument in arguments])
        finally:
            os._exit(1)  # it was not killed
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("moment", "how"),
    [
        pytest.param(moment, how, marks=[] if (moment == "tokenizing") == (how == "--out") else [pytest.mark.slow])
        for moment in MOMENTS
        for how in ("--out", "--resume")
    ],
)
def test_run_killed_before_its_first_checkpoint_starts_over(whole, tmp_path, train, moment, how):
    folder, text = tmp_path / "run", whole.parent / "text.txt"
    killed(moment, text, "--out", folder, *SMALL)
    assert folder.exists() and not checkpoints(folder)
    status, _, err = train("--resume", folder) if how == "--resume" else train(text, "--out", folder, *SMALL)
    assert status == 0
    begins = f"the run in {folder} was stopped before its first checkpoint: it starts from the beginning\n"
    assert err == begins + LEARNING
    assert_same_run(folder, whole)


@pytest.mark.slow
def test_run_killed_twice_before_its_first_checkpoint_starts_over_from_another_directory(whole, tmp_path, train, monkeypatch):
    """Its text was given as a relative path, and its options again after the second kill."""
    shutil.copy(whole.parent / "text.txt", tmp_path)
    killed("tokenizing", "text.txt", "--out", "run", *SMALL, cwd=tmp_path)
    (tmp_path / "elsewhere").mkdir()
    killed("the first checkpoint", "--resume", "../run", cwd=tmp_path / "elsewhere")
    assert not checkpoints(tmp_path / "run")
    monkeypatch.chdir(ROOT)
    assert train("--resume", tmp_path / "run")[0] == 0
    assert_same_run(tmp_path / "run", whole)


def test_run_that_fails_before_its_first_checkpoint_leaves_nothing(text, tmp_path, train, monkeypatch):
    """A full disk at the first checkpoint: not even the folders stay that the run has made, so it can start again."""

    def full(tensors, file):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("neo_np.train.runs.save_file", full)
    status, _, err = train(text, "--out", tmp_path / "a" / "b" / "run", *SMALL)
    assert status == 2 and "step-0 cannot be written" in err and "No checkpoint has been saved yet." in err
    assert os.listdir(tmp_path) == ["text.txt"]
    monkeypatch.undo()
    assert train(text, "--out", tmp_path / "a" / "b" / "run", *SMALL)[0] == 0


@pytest.mark.parametrize("name", ["train.npy", "log.jsonl", "notes.txt", ".step-1.part"])
def test_train_never_removes_files_that_no_run_wrote(text, tmp_path, train, name):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / name).write_text("precious")
    assert_refused(train(text, "--out", folder, *SMALL), "is not empty", name)
    assert_refused(train("--resume", folder), "holds no checkpoint")
    assert (folder / name).read_text() == "precious" and os.listdir(folder) == [name]


def test_train_never_trusts_a_lock_of_another_program(text, tmp_path, train):
    (tmp_path / "run").mkdir()
    for name in (lock.LOCK, "train.npy"):
        (tmp_path / "run" / name).write_text("precious")
    assert_refused(train(text, "--out", tmp_path / "run", *SMALL), "is not empty (it has train.npy)")
    assert (tmp_path / "run" / "train.npy").read_text() == "precious"


def test_train_after_a_killed_run_never_removes_other_files(text, tmp_path, train):
    killed("tokenizing", text, "--out", tmp_path / "run", *SMALL)
    (tmp_path / "run" / "notes.txt").write_text("precious")
    assert_refused(train(text, "--out", tmp_path / "run", *SMALL), "is not empty (it has notes.txt)")
    assert (tmp_path / "run" / "notes.txt").read_text() == "precious"


@pytest.mark.parametrize(
    "contents", ["{}", "[]", '{"directory": "/", "arguments": []}', '{"directory": 1, "arguments": ["a"]}', "\udcff"]
)
def test_resume_of_a_damaged_lock_is_refused(tmp_path, train, contents):
    (tmp_path / lock.LOCK).write_text(contents, errors="surrogateescape")
    assert_refused(train("--resume", tmp_path), "holds no checkpoint step-N to resume from")


# Which folder was meant


@pytest.fixture
def run_folder(whole, tmp_path):
    """A copy of a run, at runs/mine of the temporary folder."""
    shutil.copytree(whole, tmp_path / "runs" / "mine")
    return tmp_path / "runs" / "mine"


@pytest.mark.parametrize(
    "inside", ["step-14", "step-14/", "step-99", "step-14/model.safetensors", "log.jsonl", "train.npy", "nowhere/else"]
)
def test_resume_of_something_inside_a_run_names_the_run(run_folder, train, inside):
    assert_refused(train("--resume", f"{run_folder}/{inside}"), f"use --resume {run_folder}.")


def test_resume_inside_a_checkpoint_names_the_run(run_folder, train, monkeypatch):
    monkeypatch.chdir(run_folder / "step-14")
    assert_refused(train("--resume", "."), f"use --resume {run_folder.resolve()}.")


def test_resume_of_a_folder_of_runs_names_them(run_folder, train):
    shutil.copytree(run_folder, run_folder.parent / "other")
    (run_folder.parent / "empty").mkdir()
    assert_refused(
        train("--resume", run_folder.parent), f"one of the runs in it ({run_folder}, {run_folder.parent / 'other'})."
    )


def test_resume_of_a_checkpoint_that_is_no_run_says_so(run_folder, train):
    shutil.copytree(run_folder / "step-14", run_folder.parent.parent / "my model")
    path = run_folder.parent.parent / "my model"
    assert_refused(train("--resume", path), "it is a checkpoint, not a run", f'--init "{path}"')  # quoted for the shell


@pytest.mark.parametrize(("name", "part"), [("nowhere", "does not exist"), ("text.txt", "is a file"), ("empty", "--out")])
def test_resume_of_something_else_says_what_it_is(text, tmp_path, train, name, part):
    (tmp_path / "empty").mkdir()
    assert_refused(train("--resume", tmp_path / name), "holds no checkpoint step-N to resume from", part)


def test_resume_of_this_folder_shows_a_whole_command(tmp_path, train, monkeypatch):
    """Not "--out ..", which would be the folder above."""
    monkeypatch.chdir(tmp_path)
    assert_refused(train("--resume", "."), "'python -m neo_np.train TEXT --out .'.")


def test_resume_of_a_folder_that_a_run_must_not_use_says_to_empty_it(text, tmp_path, train):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "train.npy").write_bytes(b"x")
    assert_refused(train(text, "--out", tmp_path / "old"), "is not empty")
    assert_refused(train("--resume", tmp_path / "old"), "empty it, then start a run there")


def test_train_inside_the_folder_of_its_text_reads_no_checkpoints(tmp_path, train):
    """Two runs into the folder of the text: the second has the same tokens as the first."""
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "text.txt").write_text(" ".join(random.Random(0).choices(WORDS, k=1500)))
    for name in ("first", "second"):
        assert train(texts, "--out", texts / name, *SMALL)[0] == 0
    assert (texts / "first" / "train.npy").read_bytes() == (texts / "second" / "train.npy").read_bytes()
    assert_same_run(texts / "first", texts / "second")


@pytest.mark.parametrize("which", ["", "/", "/log.jsonl", "/step-99", "/.."])
def test_checkpoint_named_by_a_run_names_the_newest_step(run_folder, which):
    """As --model, --init or --tokenizer, in every command."""
    (run_folder / "step-9").mkdir()  # not a checkpoint, whatever its name
    (run_folder / "step-x").mkdir()
    with pytest.raises(NeoError, match=re.escape(str((run_folder / "step-14").relative_to(run_folder.parent))) + r"[.?]$"):
        find_checkpoint(f"{run_folder}{which}")
    assert find_checkpoint(run_folder / "step-14") == run_folder / "step-14"


# Signals


@pytest.mark.parametrize("name", [pytest.param("SIGTERM", marks=pytest.mark.slow), "SIGHUP"])
def test_train_process_ended_by_a_signal_saves(text, tmp_path, train, name):
    """A terminal that is closed sends SIGHUP more than once: only a second Ctrl-C ends a run without saving."""
    process = started(text, "--out", tmp_path / "run", *LONG)
    for _ in range(3):
        process.send_signal(getattr(signal, name))
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and out.splitlines()[-1].startswith("stopped; saved ")
    assert_every_step_is_whole(tmp_path / "run")


@pytest.mark.slow
def test_train_under_nohup_ignores_hangups(text, tmp_path):
    code = (
        "import signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from neo_np.train.command import main; main(sys.argv[1:])"
    )
    arguments = [sys.executable, "-c", code, *map(str, [text, "--out", tmp_path / "run", *LONG])]
    with subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        while "; step " not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGHUP)
        first = process.stdout.readline()
        time.sleep(0.2)
        assert process.poll() is None and first
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=60)
    assert out.splitlines()[-1].startswith("stopped; saved ")


def test_locked_file_names_the_process_and_its_arguments(text, tmp_path):
    process = started(text, "--out", tmp_path / "run", *LONG)
    contents = json.loads((tmp_path / "run" / lock.LOCK).read_text())
    assert contents == {
        "process": process.pid,
        "directory": str(ROOT),
        "arguments": [str(text), "--out", str(tmp_path / "run"), *LONG],
    }
    stop(process)
