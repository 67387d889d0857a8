"""Damaged files of a run, and absurd sizes: one sentence, at once."""

import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from helpers import ROOT, random_model
from safetensors.numpy import load_file, save_file
from train_helpers import SMALL, assert_refused, read_log

from neo_np import NeoError
from neo_np.gpt_neo import checks
from neo_np.train import command
from neo_np.train.log import Log
from neo_np.train.memory import bytes_needed, check_memory
from neo_np.train.trainer import Trainer, TrainingOptions

GOOD = dict(steps=10, batch_size=2, sequence_length=4, learning_rate=0.1, warmup_steps=1)


@pytest.fixture
def run(whole, tmp_path):
    """A copy of a run whose newest checkpoint is step 12 of 14."""
    shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "step-14")
    return tmp_path / "run"


# Options

WRONG = {
    "steps": [0, -1, 1.5, "5", None, True, 2**31, 10**30],
    "batch_size": [0, 2.0, 10**9 * 10],
    "sequence_length": [0, "x"],
    "threads": [0, None],
    "warmup_steps": [-1, 0.5],
    "seed": [-1, 1.0, "0"],
    "micro_batch_size": [0, 1.5],
    "learning_rate": [-0.1, float("nan"), float("inf"), "x", None, False, 10**400],
    "min_learning_rate": [-1, [0]],
    "clip": [-1, {}],
    "weight_decay": [float("nan")],
    "repeated_windows": [1, -0.1, "x"],
    "betas": [None, 0.9, [0.9], [0.9, 1], [0.9, "x"], "ab"],
    "decay_embeddings": [0, None, "true"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
def test_training_options_refuse_wrong_values_by_name(name, value):
    with pytest.raises(NeoError, match=rf"^{name} is .*, and it must be "):
        TrainingOptions(**GOOD | {name: value})


def test_training_options_take_lists_and_large_seeds():
    """Lists come from JSON; NumPy takes a seed of any size."""
    options = TrainingOptions(**GOOD, betas=[0.5, 0.6], seed=10**30, micro_batch_size=3)
    assert options.betas == (0.5, 0.6) and options.seed == 10**30


# training.json


def set_entry(state, path, value):
    """Set an entry of nested objects: options.steps. The value ... deletes it."""
    *outer, last = path.split(".")
    for name in outer:
        state = state[name]
    if value is ...:
        del state[last]
    else:
        state[last] = value


DAMAGED = [(name, ...) for name in ("step", "smoothed_loss", "options", "intervals", "generator")]
DAMAGED += [(name, value) for name in ("options", "intervals", "generator") for value in (None, 7, [], "x", {}, {"x": 1})]
DAMAGED += [("step", value) for value in (None, "12", 11, 13, -1, 12.5, True, 10**30)]
DAMAGED += [("smoothed_loss", value) for value in (None, "x", [], -1, float("nan"))]
DAMAGED += [("options.steps", value) for value in (None, "x", 11, 10**30)]
DAMAGED += [("options.sequence_length", 65), ("options.betas", 3), ("options.unknown", 1), ("options.batch_size", "many")]
DAMAGED += [(f"intervals.{name}", value) for name in ("save_every", "keep") for value in (0, None, "x", ...)]
DAMAGED += [("intervals.sample_prompt", None), ("intervals.sample_prompt", ["a"]), ("intervals.unknown", 3)]
BAD_GENERATORS = [None, "x", {}, {"state": -1, "inc": 1}, {"state": "x", "inc": 1}, {"state": 0, "inc": 0}]
DAMAGED += [("generator.state", value) for value in BAD_GENERATORS]
DAMAGED += [("generator.bit_generator", value) for value in (None, "MT19937", ...)]


@pytest.mark.parametrize(("path", "value"), DAMAGED)
def test_resume_names_a_checkpoint_with_a_damaged_training_json(run, train, path, value):
    file = run / "step-12" / "training.json"
    state = json.loads(file.read_text())
    set_entry(state, path, value)
    file.write_text(json.dumps(state))
    result = train("--resume", run)
    assert_refused(result, f"{run / 'step-12'} is no checkpoint to resume from (", "it is the only one")
    if not path.startswith("generator"):
        assert not re.search(r"__init__|argument|supported|instance", result[2])  # no sentence of Python


def test_resume_with_an_impossible_prompt_is_refused(run, train):
    file = run / "step-12" / "training.json"
    state = json.loads(file.read_text())
    state["intervals"]["sample_prompt"] = "\ud800"
    file.write_text(json.dumps(state))
    status, _, err = train("--resume", run)
    assert status == 2 and err.count("\n") == 1 and "surrogate" in err


def test_resume_takes_the_old_name_of_min_learning_rate(run, whole, train):
    """The option of version 0.1."""
    file = run / "step-12" / "training.json"
    state = json.loads(file.read_text())
    state["options"]["last_learning_rate"] = state["options"].pop("min_learning_rate")
    file.write_text(json.dumps(state))
    assert train("--resume", run)[0] == 0
    for name in ("model.safetensors", "optimizer.safetensors"):
        assert (run / "step-14" / name).read_bytes() == (whole / "step-14" / name).read_bytes()


# optimizer.safetensors


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.pop("m.wte.weight"),
        lambda m: m.pop("v.ln_f.bias"),
        lambda m: m.update({"m.wte.weight": np.zeros((1, 16), np.float32)}),  # it could be broadcast
        lambda m: m.update({"m.ln_f.bias": np.zeros(16)}),
        lambda m: m.update({"v.ln_f.bias": np.full(16, np.nan, np.float32)}),
        lambda m: m.update({"v.ln_f.bias": np.full(16, -1, np.float32)}),
        lambda m: m.update({"m.ln_f.bias": np.full(16, np.inf, np.float32)}),
    ],
)
def test_resume_names_a_checkpoint_with_impossible_moments(run, train, change):
    file = run / "step-12" / "optimizer.safetensors"
    moments = load_file(file)
    change(moments)
    save_file(moments, file)
    assert_refused(train("--resume", run), f"{run / 'step-12'} is no checkpoint to resume from (", "it is the only one")


# Special files


@pytest.mark.parametrize("name", ["step-12/optimizer.safetensors", "step-12/training.json", "train.npy", "log.jsonl"])
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_resume_refuses_what_is_no_ordinary_file(run, train, name, kind):
    """Reading a pipe would wait for ever."""
    (run / name).unlink()
    os.mkfifo(run / name) if kind == "pipe" else (run / name).mkdir()
    assert_refused(train("--resume", run), name.split("/")[-1])


# train.npy


def header_of(shape="(10,)", dtype="<u2", extra=""):
    """Return a .npy file with this header and 40 bytes of zeros."""
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}{extra}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(40)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00v\x00",
        header_of("(10"),
        header_of("(-1,)"),
        header_of("(10**30,)"),
        header_of(f"({10**30},)"),
        header_of("'x'"),
        header_of("(0,)"),
        header_of(dtype="<u999999999999"),
        header_of(dtype="O"),
        header_of(dtype="<f4"),
        header_of(dtype=">u2"),
        header_of("(5, 2)"),
        header_of(extra=", 'x': 1"),
        header_of(extra=")" * 20),
        header_of("(" * 5000),
    ],
    ids=range(17),
)
def test_resume_names_a_damaged_token_file(run, train, content):
    (run / "train.npy").write_bytes(content)
    assert_refused(train("--resume", run), f"{run / 'train.npy'} is not a")


@pytest.mark.parametrize("name", ["train.npy", "valid.npy"])
def test_resume_refuses_ids_that_the_model_does_not_have(run, train, name):
    tokens = np.load(run / "train.npy")
    size = json.loads((run / "step-12" / "config.json").read_text())["vocab_size"]
    tokens[len(tokens) // 2] = size
    np.save(run / name, tokens)
    assert_refused(train("--resume", run), f"have the id {size}, and the model has {size} tokens")


def test_resume_with_a_text_shorter_than_a_window_is_refused(run, train):
    np.save(run / "train.npy", np.load(run / "train.npy")[:15])
    status, _, err = train("--resume", run)
    assert status == 2 and "the text has 15 tokens, and one window takes 17" in err and err.count("\n") == 1


# log.jsonl

LINES = [b'{"step": 2, "lo\xff\xfe": 1}', b"{}", b"[]", b"3", b"null", b'"x"', b"{", b"\x00", b"[" * 100_000]
LINES += [b'{"step": "1"}', b'{"step": null}', b'{"step": NaN}', b'{"step": [1]}', b'{"step": ' + b"9" * 5000 + b"}"]


@pytest.mark.parametrize("line", LINES, ids=range(len(LINES)))
def test_log_with_a_damaged_line_loses_only_that_line(tmp_path, line):
    (tmp_path / "log.jsonl").write_bytes(b'{"step": 1}\n' + line + b'\n{"step": 2}\n{"step": 9}\n')
    with pytest.warns(UserWarning, match=r"log\.jsonl: 1 damaged lines are left out"):
        Log(tmp_path, step=5)
    assert (tmp_path / "log.jsonl").read_bytes() == b'{"step": 1}\n{"step": 2}\n'


def test_log_that_ends_in_a_half_written_line_loses_it_without_a_warning(tmp_path):
    """The run was killed while it wrote."""
    for end in (b'{"step": 2, "lo', b"\xff", b"{}"):
        (tmp_path / "log.jsonl").write_bytes(b'{"step": 1}\n' + end)
        Log(tmp_path, step=5)
        assert (tmp_path / "log.jsonl").read_bytes() == b'{"step": 1}\n'


def test_resume_with_a_damaged_log_warns_and_trains(run, whole, train):
    log = (run / "log.jsonl").read_bytes().splitlines(keepends=True)
    (run / "log.jsonl").write_bytes(b"".join([*log[:5], b"\xff\n", b"{}\n", *log[5:]]))
    status, _, err = train("--resume", run)
    assert (status, err) == (0, f"warning: {run / 'log.jsonl'}: 2 damaged lines are left out.\n")
    assert len(read_log(run)) == len(read_log(whole))


def test_resume_without_a_log_trains(run, train):
    (run / "log.jsonl").unlink()
    assert train("--resume", run)[0] == 0
    assert [entry["step"] for entry in read_log(run) if "loss" in entry] == [13, 14]


# Absurd sizes

ABSURD = ["--layers 100000", "--layers 1000000000", "--layers 10000 --hidden-size 9000", "--hidden-size 9000000"]
ABSURD += ["--positions 2000000000", "--vocab-size 2000000000", "--batch-size 2000000000", "--steps 99999999999"]
ABSURD += ["--window-size 99999999999", "--keep 99999999999", "--hidden-size 99999999999", "--micro-batch-size 99999999999"]


@pytest.mark.parametrize("options", ABSURD)
def test_train_with_absurd_sizes_is_refused_at_once(text, tmp_path, train, options):
    assert_refused(train(text, "--out", tmp_path / "run", "--heads", 1, *options.split()))
    assert os.listdir(tmp_path) == ["text.txt"]


def test_train_with_more_threads_than_micro_batches(text, tmp_path, train):
    options = [*SMALL, "--threads", 2_000_000_000, "--steps", 2]
    assert train(text, "--out", tmp_path / "run", *options)[0] == 0


@pytest.mark.parametrize(("size", "threads", "batch"), [(None, 1, 2), (2, 3, 8), (8, 3, 4)])
def test_bytes_needed_counts_parameters_batch_and_logits(size, threads, batch):
    model = random_model()
    options = TrainingOptions(**GOOD | dict(batch_size=batch, micro_batch_size=size, threads=threads))
    working = {(None, 1, 2): 1, (2, 3, 8): 3, (8, 3, 4): 1}[size, threads, batch]
    windows = {(None, 1, 2): 2, (2, 3, 8): 2, (8, 3, 4): 4}[size, threads, batch]
    parameters = sum(array.nbytes for array in model.params.flat().values())
    expected = parameters * (3 + working) + batch * 5 * 8 + working * windows * 4 * 50 * 4 * 3
    assert bytes_needed(model.config, options) == expected


@pytest.mark.parametrize("there", [None, 10**15])
def test_check_memory_lets_pass_what_fits_or_cannot_be_known(monkeypatch, there):
    monkeypatch.setattr(checks, "bytes_of_machine", lambda: there)
    check_memory(random_model().config, TrainingOptions(**GOOD))


def test_check_memory_says_what_is_needed_and_what_there_is(monkeypatch):
    monkeypatch.setattr(checks, "bytes_of_machine", lambda: 2 * 10**9)
    options = TrainingOptions(**GOOD | dict(batch_size=10**8))
    with pytest.raises(NeoError, match=r"at least 4 GB of memory, and this machine has 2 GB: choose smaller sizes"):
        check_memory(random_model().config, options)


@pytest.mark.parametrize("where", ["prepare", "make_steps"])
def test_train_that_exhausts_the_memory_says_so(text, tmp_path, train, monkeypatch, where):
    def exhaust(*args):
        raise MemoryError

    monkeypatch.setattr(command, where, exhaust)
    status, _, err = train(text, "--out", tmp_path / "run", *SMALL)
    assert status == 2 and err.splitlines()[-1].startswith("error: the memory is exhausted")
    assert os.listdir(tmp_path) == ["text.txt"]


# A second Ctrl-C


def test_train_interrupted_in_its_first_save_twice_leaves_nothing(text, tmp_path, train, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "save_step", interrupted)
    status, _, err = train(text, "--out", tmp_path / "run", *SMALL)
    assert status == 130
    assert err.splitlines()[-1].startswith("stopped at once, without saving. No checkpoint has been saved yet.")
    assert os.listdir(tmp_path) == ["text.txt"]


# Threads


def test_trainer_with_one_thread_works_where_no_thread_can_start(monkeypatch):
    """As in a browser."""

    def no_thread(*args, **kwargs):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", no_thread)
    tokens = np.random.default_rng(0).integers(50, size=100)
    trainer = Trainer(random_model(), tokens, TrainingOptions(**GOOD))
    assert trainer.train_step()["step"] == 1
    with pytest.raises(RuntimeError):
        Trainer(random_model(), tokens, TrainingOptions(**GOOD, micro_batch_size=1, threads=2)).train_step()


def test_train_imports_where_modules_of_the_system_are_missing():
    """A browser has neither processes nor locks of files."""
    code = (
        "import sys\nfor name in ('fcntl', 'msvcrt', '_multiprocessing', 'resource', 'termios'): sys.modules[name] = None\n"
        "from neo_np.train.trainer import Trainer\nimport neo_np.train, neo_np.evaluate\nprint('imported')"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "imported\n"
