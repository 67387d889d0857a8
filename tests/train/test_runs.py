"""The folder of a run: whole checkpoints or none, whatever stops the writing; resuming; the log."""

import errno
import json
import os
import resource
import shutil
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest
from helpers import random_model

import neo_np
from neo_np import NeoError, Tokenizer
from neo_np.train import runs
from neo_np.train.log import Log
from neo_np.train.runs import Intervals, checkpoints, newest_sentence, resume, save_step
from neo_np.train.trainer import Trainer, TrainingOptions

TOKENS = np.random.default_rng(0).integers(256, size=400).astype(np.uint16)
DROPOUT = dict.fromkeys(["embed_dropout", "attention_dropout", "resid_dropout"], 0.2)
FILES = "config.json merges.txt model.safetensors optimizer.safetensors training.json vocab.json".split()
INTERVALS = Intervals(validate_every=3, sample_every=4, sample_prompt="a", save_every=5, keep=2)


def intervals(keep):
    return replace(INTERVALS, keep=keep)


def new_trainer(threads=2):
    model = random_model(vocab_size=257, tokenizer=Tokenizer.train("", 257), other=DROPOUT)
    options = TrainingOptions(
        steps=9, batch_size=4, sequence_length=8, learning_rate=0.01, warmup_steps=2, micro_batch_size=1, threads=threads
    )
    return Trainer(model, TOKENS, options)


def assert_equal_trainers(trainer, other):
    """Two trainers are the same to the last bit, and stay so over the steps that are left."""
    while True:
        for of in (lambda t: t.params, lambda t: t.optimizer.m, lambda t: t.optimizer.v):
            for name in of(trainer):
                np.testing.assert_array_equal(of(trainer)[name], of(other)[name], err_msg=name)
        assert (trainer.step, trainer.smoothed_loss, trainer.options) == (other.step, other.smoothed_loss, other.options)
        assert trainer.rng.bit_generator.state == other.rng.bit_generator.state
        if trainer.step == trainer.options.steps:
            return
        first, second = trainer.train_step(), other.train_step()
        assert first | {"tokens_per_second": 0} == second | {"tokens_per_second": 0}


def trainer_at(step, threads=2):
    trainer = new_trainer(threads)
    for _ in range(step):
        trainer.train_step()
    return trainer


# Saving and resuming


@pytest.mark.parametrize("step", [0, 3])
def test_resume_gives_the_same_trainer(tmp_path, step):
    trainer = trainer_at(step)
    path = save_step(trainer, tmp_path, INTERVALS)
    assert path == tmp_path / f"step-{step}" and os.listdir(tmp_path) == [path.name]
    assert sorted(os.listdir(path)) == FILES
    resumed, found = resume(tmp_path, TOKENS)
    assert found == INTERVALS
    assert_equal_trainers(resumed, trainer)


def test_save_step_writes_a_checkpoint_that_loads(tmp_path):
    trainer = trainer_at(1)
    model = neo_np.load(save_step(trainer, tmp_path, intervals(keep=1)))
    assert repr(model.config) == repr(trainer.model.config)
    for name, array in model.params.flat().items():
        np.testing.assert_array_equal(array, trainer.params[name])
    assert model.tokenizer.encode("a b") == trainer.model.tokenizer.encode("a b")


def test_save_step_keeps_the_newest_by_number(tmp_path):
    trainer, kept = new_trainer(), []
    for step in (7, 8, 9, 10, 11, 100):
        trainer.optimizer.step = step
        save_step(trainer, tmp_path, intervals(keep=3))
        kept.append(list(checkpoints(tmp_path)))
    assert kept == [[7], [7, 8], [7, 8, 9], [8, 9, 10], [9, 10, 11], [10, 11, 100]]
    assert sorted(os.listdir(tmp_path)) == ["step-10", "step-100", "step-11"]  # nothing else either
    assert newest_sentence(tmp_path) == f"The newest complete checkpoint is {tmp_path / 'step-100'}."


def test_steps_counts_only_complete_names(tmp_path):
    for name in (".step-9.part", ".step-8.old", "step-x", "step-", "step-7.bak", "my-step-6", "step-5"):
        (tmp_path / name).mkdir()
    assert checkpoints(tmp_path) == {5: tmp_path / "step-5"}
    assert checkpoints(tmp_path / "nowhere") == {}
    assert newest_sentence(tmp_path / "nowhere") == "No checkpoint has been saved yet."


def test_save_step_renames_when_all_files_are_on_the_disk(tmp_path, monkeypatch):
    happened, rename = [], os.rename
    monkeypatch.setattr(os, "fsync", lambda descriptor: happened.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    monkeypatch.setattr(os, "rename", lambda old, new: happened.append(new) or rename(old, new))
    path = save_step(trainer_at(1), tmp_path, intervals(keep=1))
    assert sorted(os.path.basename(file) for file in happened[:-1]) == FILES and happened[-1] == path


def test_save_step_of_the_same_step_changes_nothing(tmp_path):
    trainer = trainer_at(1)
    path = save_step(trainer, tmp_path, intervals(keep=1))
    before = {file.name: file.stat().st_mtime_ns for file in path.iterdir()}
    assert save_step(trainer, tmp_path, intervals(keep=1)) == path
    assert {file.name: file.stat().st_mtime_ns for file in path.iterdir()} == before


# Whatever stops the writing


def killed_before_line(count, function):
    """Call a function in a forked process that is killed before the count-th line of runs.py; return whether it was killed."""

    def trace(frame, event, argument):
        if frame.f_code.co_filename != runs.__file__:
            return None
        if event == "line":
            left.pop()
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    left = [None] * count
    process = os.fork()
    if process == 0:
        status = 1
        try:
            sys.settrace(trace)
            function()
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status in (0, -signal.SIGKILL)
    return status != 0


@pytest.mark.slow
def test_save_step_killed_before_any_line_leaves_a_whole_checkpoint(tmp_path):
    """keep=1, so that the old checkpoint is deleted meanwhile: the most that can go wrong."""
    trainer, count, found, was_killed = trainer_at(2, threads=1), 0, [], True  # a process with threads must not fork
    (tmp_path / "before").mkdir()
    save_step(trainer, tmp_path / "before", intervals(keep=1))
    trainer.train_step()
    while was_killed:
        count += 1
        folder = tmp_path / str(count)
        shutil.copytree(tmp_path / "before", folder)
        was_killed = killed_before_line(count, lambda folder=folder: save_step(trainer, folder, intervals(keep=1)))
        found.append(max(checkpoints(folder)))
        for path in checkpoints(folder).values():
            assert sorted(os.listdir(path)) == FILES
        resumed, _ = resume(folder, TOKENS)
        assert resumed.step == found[-1] and not list(folder.glob(".*"))
        if resumed.step == 3:
            assert_equal_trainers_now(resumed, trainer)
        shutil.rmtree(folder)
    assert count > 25 and found == sorted(found) and set(found) == {2, 3}


def assert_equal_trainers_now(trainer, other):
    assert trainer.rng.bit_generator.state == other.rng.bit_generator.state
    for name, p in trainer.params.items():
        np.testing.assert_array_equal(p, other.params[name])


@pytest.mark.parametrize("what", ["write_checkpoint", "save_file", "write_json", "os.fsync", "os.rename"])
def test_save_step_on_a_full_disk_leaves_only_the_old_checkpoint(tmp_path, monkeypatch, what):
    trainer = trainer_at(1)
    save_step(trainer, tmp_path, intervals(keep=1))
    trainer.train_step()

    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(f"neo_np.train.runs.{what}", full)
    with pytest.raises(NeoError) as caught:
        save_step(trainer, tmp_path, intervals(keep=1))
    message = str(caught.value)
    assert str(tmp_path / "step-2") in message and "No space left on device" in message and "\n" not in message
    assert os.listdir(tmp_path) == ["step-1"]
    monkeypatch.undo()
    assert resume(tmp_path, TOKENS)[0].step == 1
    assert save_step(trainer, tmp_path, intervals(keep=1)) == tmp_path / "step-2"  # once there is room again


@pytest.mark.parametrize("limit", [0, 1, 1000, 10_000, 100_000])
def test_save_step_beyond_a_file_size_limit_leaves_only_the_old_checkpoint(tmp_path, limit):
    """A real failure to write, in whichever library: the system lets no file grow beyond the limit."""
    trainer = trainer_at(1)
    save_step(trainer, tmp_path, intervals(keep=1))
    trainer.train_step()
    sizes = [file.stat().st_size for file in (tmp_path / "step-1").iterdir()]
    assert max(sizes) > 100_000
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(NeoError, match=r"step-2 cannot be written: .*File too large"):
            save_step(trainer, tmp_path, intervals(keep=1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["step-1"]
    assert resume(tmp_path, TOKENS)[0].step == 1


# Checkpoints that cannot be resumed


def test_resume_without_a_checkpoint_is_refused(tmp_path):
    (tmp_path / ".step-3.part").mkdir()
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(NeoError, match="holds no checkpoint step-N to resume from"):
            resume(folder, TOKENS)


def cut(file):
    file.write_bytes(file.read_bytes()[:100])


def with_entry(name, value):
    def change(file):
        file.write_text(json.dumps(json.loads(file.read_text()) | {name: value}))

    return change


def without_entry(name):
    def change(file):
        entries = json.loads(file.read_text())
        del entries[name]
        file.write_text(json.dumps(entries))

    return change


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [cut, os.unlink], ids=["cut", "missing"])
def test_resume_names_a_damaged_checkpoint(tmp_path, name, damage):
    path = save_step(trainer_at(1), tmp_path, intervals(keep=1))
    if name == "merges.txt":
        (path / name).write_text("a\n" * 100)  # there are no merges: what was cut off would not be missed
    damage(path / name)
    with pytest.raises(NeoError) as caught:
        resume(tmp_path, TOKENS)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert "it is the only one, so start the run again" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        *[without_entry(name) for name in ("step", "smoothed_loss", "options", "generator")],
        *[with_entry("options", value) for value in ({}, {"steps": 3}, {"unknown": 1}, 7, None)],
        *[with_entry("generator", value) for value in ({}, 7, {"bit_generator": "none"})],
        lambda file: file.write_text("[]"),
        lambda file: file.write_text("{}"),
    ],
)
def test_resume_names_a_nonsensical_training_json(tmp_path, change):
    path = save_step(trainer_at(1), tmp_path, intervals(keep=1))
    change(path / "training.json")
    with pytest.raises(NeoError, match="it is the only one, so start the run again"):
        resume(tmp_path, TOKENS)


def test_resume_of_a_damaged_checkpoint_advises_the_one_before_if_there_is_one(tmp_path):
    save_step(trainer_at(1), tmp_path, intervals(keep=2))
    path = save_step(trainer_at(2), tmp_path, intervals(keep=2))
    (path / "training.json").write_text("{}")
    with pytest.raises(NeoError, match="delete it to continue with the one before"):
        resume(tmp_path, TOKENS)
    shutil.rmtree(path)
    assert resume(tmp_path, TOKENS)[0].step == 1


# The log


def test_log_drops_the_lines_of_later_steps(tmp_path):
    log = Log(tmp_path)
    assert (tmp_path / "log.jsonl").read_text() == ""
    entries = [{"step": 1, "loss": 0.1}, {"step": 2, "loss": 1 / 3}, {"step": 2, "sample": "é\n"}, {"step": 3, "loss": 2.0}]
    for entry in entries:
        log.write(entry)
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == entries
    with open(tmp_path / "log.jsonl", "a") as f:
        f.write('{"step": 2, "lo')  # killed while it wrote
    log = Log(tmp_path, step=2)
    log.write({"step": 3})
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == [*entries[:3], {"step": 3}]
    assert os.listdir(tmp_path) == ["log.jsonl"]
    Log(tmp_path, step=0)
    assert (tmp_path / "log.jsonl").read_text() == ""


def test_log_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    log = Log(tmp_path)
    (tmp_path / "log.jsonl").unlink()
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(NeoError, match=r"the log .*log\.jsonl cannot be written: Is a directory\.$"):
        log.write({"step": 1})
    with pytest.raises(NeoError, match=r"log\.jsonl is a folder"):
        Log(tmp_path)
    assert os.listdir(tmp_path) == ["log.jsonl"]
