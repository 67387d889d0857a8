"""Runs that are killed or stopped at any moment: what they leave, and how they resume."""

import random
import signal
import time
from pathlib import Path

import pytest
from train_helpers import (
    FILES,
    LEARNING,
    SMALL,
    assert_every_step_is_whole,
    assert_same_run,
    read_log,
    signalling,
    started,
)

from neo_np.train import environment
from neo_np.train.runs import checkpoints


@pytest.mark.slow
def test_train_killed_at_random_moments_resumes_bit_for_bit(text, tmp_path, train):
    """SIGKILL, again and again: in steps, validations, samples, saving. What comes out is equal to the last bit."""
    longer, folder, kills = [*SMALL, "--steps", 80], tmp_path / "run", 0
    arguments = [text, "--out", folder, *longer]
    for _ in range(4):
        process = started(*arguments)
        time.sleep(random.uniform(0, 0.2))
        process.kill()
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        assert_every_step_is_whole(folder)
        arguments = ["--resume", folder]
    assert kills
    if max(checkpoints(folder), default=0) < 80:  # the last kill may have come before the first checkpoint
        assert train("--resume", folder)[0] == 0
    assert train(text, "--out", tmp_path / "whole", *longer)[0] == 0
    assert_same_run(folder, tmp_path / "whole")


MOMENTS = {  # (function, its call, at which step the run then stops); a step has three micro-batches
    "a step": ("neo_np.train.trainer.loss_and_gradients", 16, {5, 6}),  # the last one may have begun by then
    "a validation": ("neo_np.train.command.validate", 3, {9}),
    "a sample": ("neo_np.train.command.show_sample", 2, {10}),
    "saving": ("neo_np.train.runs.write_checkpoint", 2, {4}),
    "saving the beginning": ("neo_np.train.runs.write_checkpoint", 1, {0}),
    "showing": ("neo_np.train.command.line_of", 2, {10}),
}
QUICK = {("a step", signal.SIGINT), ("saving", signal.SIGTERM), ("a validation", signal.SIGINT)}  # the others are slow tests


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        pytest.param(moment, number, marks=[pytest.mark.slow] if (moment, number) not in QUICK else [])
        for moment in MOMENTS
        for number in (signal.SIGINT, signal.SIGTERM)
    ],
)
def test_train_stopped_at_any_moment_saves_and_resumes(whole, tmp_path, train, monkeypatch, moment, number):
    folder, handlers = tmp_path / "run", [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    target, call, possible = MOMENTS[moment]
    signalling(monkeypatch, target, [number], call)
    status, out, err = train(whole.parent / "text.txt", "--out", folder, *SMALL)
    assert (status, err) == (130, LEARNING)
    assert handlers == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    stopped_at = max(checkpoints(folder))
    assert stopped_at in possible
    path = folder / f"step-{stopped_at}"
    assert out.endswith(f"stopped; saved {path}. Continue with python -m neo_np.train --resume {folder}\n")
    assert stopped_at == max((entry["step"] for entry in read_log(folder)), default=0)
    assert_every_step_is_whole(folder)
    monkeypatch.undo()
    status, out, err = train("--resume", folder)
    assert (status, err) == (0, "") and f"step {stopped_at} of 14" in out
    assert_same_run(folder, whole)


@pytest.mark.parametrize("moment", ["pieces_to_learn_from", "tokenize_files", "load_texts"])
@pytest.mark.parametrize("there", [False, True])
def test_train_interrupted_before_the_first_step_leaves_nothing(text, tmp_path, train, monkeypatch, moment, there):
    if there:
        (tmp_path / "run").mkdir()
    signalling(monkeypatch, f"neo_np.train.command.{moment}", [signal.SIGINT], 1)
    status, out, _ = train(text, "--out", tmp_path / "run", *SMALL)
    assert (status, out) == (130, "")
    assert (tmp_path / "run").exists() == there and not list(tmp_path.glob("run/*"))


def test_train_interrupted_twice_ends_at_once_and_says_so(whole, tmp_path, train, monkeypatch):
    folder = tmp_path / "run"
    signalling(monkeypatch, "neo_np.train.command.show_sample", [signal.SIGINT] * 2, 1)
    status, _, err = train(whole.parent / "text.txt", "--out", folder, *SMALL)
    assert status == 130 and list(checkpoints(folder)) == [0, 4]
    assert err.splitlines()[-1] == (
        f"stopped at once, without saving. The newest complete checkpoint is {folder / 'step-4'}. "
        f"Continue with python -m neo_np.train --resume {folder}"
    )
    monkeypatch.undo()
    assert train("--resume", folder)[0] == 0
    assert_same_run(folder, whole)


def test_train_whose_reader_is_gone_saves(whole, tmp_path, train):
    """As at Ctrl-C in `| tee`, or in `| head`: the next line cannot be printed, and what was done by then is saved."""
    process = started(whole.parent / "text.txt", "--out", tmp_path / "run", *SMALL, "--save-every", 1000)
    process.stdout.close()
    assert process.wait(timeout=60) == 0
    assert 0 < max(checkpoints(tmp_path / "run")) == read_log(tmp_path / "run")[-1]["step"]
    assert_every_step_is_whole(tmp_path / "run")
    if max(checkpoints(tmp_path / "run")) < 14:
        assert train("--resume", tmp_path / "run")[0] == 0
    for name in FILES[:2]:
        assert (tmp_path / "run" / "step-14" / name).read_bytes() == (whole / "step-14" / name).read_bytes()


def test_train_process_interrupted_saves(whole, tmp_path):
    process = started(whole.parent / "text.txt", "--out", tmp_path / "run", *SMALL, "--steps", 100_000)
    variables = Path(f"/proc/{process.pid}/environ").read_text().split("\0")
    assert {entry.partition("=")[0] for entry in variables} >= environment.ENVIRONMENT.keys()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and out.splitlines()[-1].startswith("stopped; saved ")
    assert_every_step_is_whole(tmp_path / "run")
