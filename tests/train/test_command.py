"""The command `python -m neo_np.train`: what it does, shows and logs; killed and stopped at any moment; what it refuses."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

import neo_np
import neo_np.train.command as command
from neo_np.gpt_neo.params import random_params
from neo_np.train import environment
from neo_np.train.runs import steps
from neo_np.train.trainer import TrainingOptions

SMALL = """--layers 2 --hidden-size 16 --heads 2 --positions 64 --vocab-size 300 --sequence-length 16 --batch-size 5
--micro-batch-size 2 --threads 2 --dropout 0.1 --learning-rate 0.01 --last-learning-rate 0.001 --warmup-steps 4 --steps 14
--validate-every 3 --sample-every 5 --save-every 4 --keep 2""".split()
FILES = "model.safetensors", "optimizer.safetensors", "training.json"
WORDS = "the king and queen went to a big old house of cats".split()


@pytest.fixture
def text(tmp_path):
    """A file of 1,500 random words."""
    (tmp_path / "text.txt").write_text(" ".join(random.Random(0).choices(WORDS, k=1500)))
    return tmp_path / "text.txt"


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """What is tested is killed processes, not lost power, after which alone it matters."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def train(capsys):
    """Run the command here; gives (status, standard output, standard error)."""

    def run(*arguments):
        status = command.main([str(argument) for argument in arguments])
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a run of `SMALL` that nothing ever stopped."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "text.txt").write_text(" ".join(random.Random(0).choices(WORDS, k=1500)))
    arguments = process_arguments(folder / "text.txt", "--out", folder / "run", *SMALL)
    subprocess.run(arguments, cwd=ROOT, capture_output=True, check=True)
    return folder / "run"


def process_arguments(*arguments):
    return [sys.executable, "-m", "neo_np.train", *map(str, arguments)]


def read_log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def without_speed(entries):
    return [{key: value for key, value in entry.items() if key != "tokens_per_second"} for entry in entries]


def assert_same_run(folder, other):
    """The newest checkpoints of two runs have the same bytes, and their logs the same lines but for the speed."""
    path, other_path = (steps(f)[max(steps(f))] for f in (folder, other))
    assert path.name == other_path.name
    for name in FILES:
        assert (path / name).read_bytes() == (other_path / name).read_bytes(), name
    assert without_speed(read_log(folder)) == without_speed(read_log(other))
    assert sorted(os.listdir(folder)) == sorted(os.listdir(other))


def assert_every_step_is_whole(folder):
    for number, path in steps(folder).items():
        assert set(os.listdir(path)) >= {*FILES, "config.json", "vocab.json", "merges.txt"}
        neo_np.load(path)
        assert json.loads((path / "training.json").read_text())["step"] == number


# A run from its beginning to its end


def test_what_a_run_writes(whole):
    assert sorted(os.listdir(whole)) == ["log.jsonl", "step-12", "step-14", "train.npy"]
    assert_every_step_is_whole(whole)
    log = read_log(whole)
    made = [entry for entry in log if "loss" in entry]
    keys = {"step", "loss", "smoothed_loss", "learning_rate", "norm", "tokens_per_second"}
    assert [entry["step"] for entry in made] == list(range(1, 15)) and all(entry.keys() == keys for entry in made)
    validations = [entry for entry in log if "valid_loss" in entry]
    assert [entry["step"] for entry in validations] == [3, 6, 9, 12, 14]
    assert all(entry.keys() == {"step", "valid_loss", "bits_per_byte"} for entry in validations)
    samples = [entry for entry in log if "sample" in entry]
    assert [entry["step"] for entry in samples] == [5, 10, 14] and all(entry.keys() == {"step", "sample"} for entry in samples)
    assert len(log) == 14 + 5 + 3 and [entry["step"] for entry in log] == sorted(entry["step"] for entry in log)
    options = dict(max_new_tokens=60, do_sample=True, seed=14, slide=True)  # each sample has a seed of its own
    assert samples[-1]["sample"] == neo_np.load(whole / "step-14").generate("", **options)
    rates = [0.01 * step / 4 for step in range(1, 5)]
    rates += [0.001 + 0.009 * (1 + np.cos(np.pi * k / 10)) / 2 for k in range(1, 11)]
    assert [entry["learning_rate"] for entry in made] == pytest.approx(rates)
    np.testing.assert_allclose(
        [entry["smoothed_loss"] for entry in made], np.cumsum([entry["loss"] for entry in made]) / np.arange(1, 15)
    )
    assert made[-1]["loss"] < made[0]["loss"]


def test_the_last_validation_is_of_the_text_that_was_held_out(whole):
    """The last twentieth of the tokens: no window to train on ever reaches it, and the log's numbers are of it."""
    tokens, (train, valid) = np.load(whole / "train.npy"), command.load_texts(whole)
    assert len(valid) == len(tokens) // 20 and np.array_equal(np.concatenate([train, valid]), tokens)
    model, last = neo_np.load(steps(whole)[14]), [entry for entry in read_log(whole) if "valid_loss" in entry][-1]
    losses = [
        model.loss(valid[int(start) :][:17].astype(int))
        for start in np.linspace(0, len(valid) - 17, min(128, len(valid) // 17))
    ]
    assert last["valid_loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_what_a_run_shows(text, tmp_path, train):
    """The lines of the first step, every tenth and the last one say what the log says."""
    status, out, err = train(text, "--out", tmp_path / "run", *SMALL, "--sample-prompt", "the king")
    assert (status, err) == (0, "learning the tokenizer from 1 files ...\n")
    log = read_log(tmp_path / "run")
    by_step = {entry["step"]: entry for entry in log if "loss" in entry}
    lines = re.findall(
        r"^step +(\d+)/14  loss ([\d.]+)  smoothed ([\d.]+)  ([\d,]+) tokens/s  rate (\S+)  norm ([\d.]+)  left \d+ s$",
        out,
        re.M,
    )
    assert [int(line[0]) for line in lines] == [1, 10, 14]
    for step, *shown in lines:
        e = by_step[int(step)]
        expected = (
            f"{e['loss']:.4f} {e['smoothed_loss']:.4f} {e['tokens_per_second']:,.0f} {e['learning_rate']:.2e} {e['norm']:.2f}"
        )
        assert shown == expected.split()
    for entry in log:
        if "valid_loss" in entry:
            assert (
                f"validation: loss {entry['valid_loss']:.4f} nats per token, {entry['bits_per_byte']:.4f} bits per byte\n"
                in out
            )
        if "sample" in entry:
            assert f"sample: {entry['sample']}\n" in out and entry["sample"].startswith("the king")
    assert out.splitlines()[0].startswith("Model(GPT-Neo, ") and out.splitlines()[0].endswith("2 threads; step 0 of 14")
    assert out.splitlines()[-1].startswith(f"done: {tmp_path / 'run' / 'step-14'}. Try python -m neo_np.generate --model")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "1 h 00 min"), (3900, "1 h 05 min"), (90_000, "25 h 00 min")],
)
def test_times_are_said_as_a_person_would(seconds, text):
    assert command.time_text(seconds) == text


def test_fine_tuning_starts_where_the_checkpoint_stands(text, tmp_path, train):
    """The first loss is that of the checkpoint on the windows that the seed draws, worked out by `Model.loss`."""
    arguments = "--steps 2 --batch-size 3 --sequence-length 20 --seed 5 --threads 1 --keep 3 --save-every 1".split()
    status, _, err = train(text, "--out", tmp_path / "run", "--init", "tales-2M", *arguments)
    assert (status, err) == (0, "")
    model, (tokens, _) = neo_np.load("tales-2M"), command.load_texts(tmp_path / "run")
    assert tokens[:50].tolist() == model.tokenizer.encode("<|endoftext|>" + text.read_text())[:50]
    starts = np.random.default_rng(5).integers(len(tokens) - 20, size=3)
    windows = np.stack([tokens[start : start + 21] for start in starts]).astype(int)
    first = read_log(tmp_path / "run")[0]
    assert first["loss"] == pytest.approx(model.loss(windows), rel=1e-5)
    assert first["learning_rate"] < 1e-4
    beginning = neo_np.load(tmp_path / "run" / "step-0")
    for name, array in beginning.params.flat().items():
        np.testing.assert_array_equal(array, model.params.flat()[name])
    assert neo_np.load(tmp_path / "run" / "step-2").loss(windows) < beginning.loss(windows)


def test_options_reach_the_model_and_the_run(text, tmp_path, train):
    (tmp_path / "valid.txt").write_text("the cat " * 50)
    options = """--layers 3 --hidden-size 12 --heads 3 --attention local,local,global --window-size 5 --positions 70
    --activation silu --untied --vocab-size 280 --steps 1 --batch-size 2 --sequence-length 8 --micro-batch-size 1
    --learning-rate 0.5 --last-learning-rate 0.25 --warmup-steps 2 --weight-decay 0.3 --no-decay-embeddings --beta1 0.8
    --beta2 0.9 --clip 0.7 --dropout 0.2 --seed 9 --threads 1 --save-every 7 --keep 5 --validate-every 6 --sample-every 4
    --sample-prompt cat"""
    status, _, _ = train(text, "--valid", tmp_path / "valid.txt", "--out", tmp_path / "run", *options.split())
    assert status == 0
    config = json.loads((tmp_path / "run" / "step-1" / "config.json").read_text())
    expected = dict(num_layers=3, hidden_size=12, num_heads=3, window_size=5, max_position_embeddings=70, vocab_size=280)
    expected |= dict(attention_layers=["local", "local", "global"], activation_function="silu", tie_word_embeddings=False)
    expected |= dict(embed_dropout=0.2, attention_dropout=0.2, resid_dropout=0.2, eos_token_id=0, bos_token_id=0)
    assert config | expected == config
    training = json.loads((tmp_path / "run" / "step-1" / "training.json").read_text())
    assert training["options"] == dict(
        steps=1, batch_size=2, sequence_length=8, micro_batch_size=1, learning_rate=0.5, min_learning_rate=0.25,
        warmup_steps=2, weight_decay=0.3, decay_embeddings=False, betas=[0.8, 0.9], clip=0.7, seed=9, threads=1,
    )  # fmt: skip
    assert training["intervals"] == dict(save_every=7, keep=5, validate_every=6, sample_every=4, sample_prompt="cat")
    beginning = neo_np.load(tmp_path / "run" / "step-0")
    for name, array in random_params(beginning.config, seed=9).flat().items():
        np.testing.assert_array_equal(beginning.params.flat()[name], array)
    tokens, valid = command.load_texts(tmp_path / "run")
    tokenizer = neo_np.load(tmp_path / "run" / "step-1").tokenizer
    assert tokenizer.decode(tokens.tolist()) == "<|endoftext|>" + text.read_text()  # nothing is held out of it
    assert tokenizer.decode(valid.tolist()) == "<|endoftext|>" + "the cat " * 50


@pytest.mark.parametrize(("init", "rate"), [([], 2e-3), (["--init", "tales-2M"], 1e-4)])
def test_the_defaults_of_the_command_are_those_of_the_package(init, rate):
    args = command.build_parser().parse_args(init)
    expected = TrainingOptions(2000, 16, 256, rate, warmup_steps=40, threads=environment.default_threads())
    assert command.training_options(args, command.new_config(args)) == expected


@pytest.mark.parametrize(("option", "rate"), [([], 0.1), (["--dropout", "0"], 0), (["--dropout", "0.3"], 0.3)])
def test_dropout_is_the_checkpoint_s_unless_another_is_given(whole, text, tmp_path, train, option, rate):
    options = ["--init", whole / "step-14", "--sequence-length", 8, "--batch-size", 1, "--steps", 1, *option]
    assert train(text, "--out", tmp_path / "run", *options)[0] == 0
    entries = json.loads((tmp_path / "run" / "step-1" / "config.json").read_text())
    assert {entries[name] for name in ("embed_dropout", "attention_dropout", "resid_dropout")} == {rate}


@pytest.mark.parametrize("positions", [1, 8, 60])
def test_a_model_with_few_positions_writes_short_samples(text, tmp_path, train, positions):
    options = (
        f"--positions {positions} --layers 1 --hidden-size 8 --heads 1 --vocab-size 257 --steps 1 --batch-size 1 --threads 1"
    )
    status, _, _ = train(text, "--out", tmp_path / "run", *options.split())
    assert status == 0 and "sample" in read_log(tmp_path / "run")[-1]


def test_a_tiny_model_learns_all_there_is_to_learn_within_seconds(tmp_path, train):
    """Each letter is followed by one of two, with equal chances: 1 bit a byte, which no model can beat; at random it is 8."""
    rng, letters = random.Random(0), "abcdefghijklmno "
    followers, text = {letter: rng.sample(letters, 2) for letter in letters}, "a"
    for _ in range(40_000):
        text += rng.choice(followers[text[-1]])
    (tmp_path / "letters.txt").write_text(text)
    options = """--layers 2 --hidden-size 32 --heads 2 --positions 64 --sequence-length 32 --vocab-size 257 --batch-size 16
    --steps 120 --learning-rate 0.01 --validate-every 120 --threads 2"""
    status, _, _ = train(tmp_path / "letters.txt", "--out", tmp_path / "run", *options.split())
    log = read_log(tmp_path / "run")
    assert status == 0 and log[0]["loss"] == pytest.approx(np.log(257), abs=0.1)
    found = next(entry for entry in log if "valid_loss" in entry)
    assert 0.99 < found["bits_per_byte"] < 1.1
    assert found["valid_loss"] == pytest.approx(found["bits_per_byte"] * np.log(2))  # a token is a byte here


# Killed, stopped


def started(*arguments):
    """Return the process of a command that has begun to train."""
    process = subprocess.Popen(
        process_arguments(*arguments), cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    line = process.stdout.readline()
    while line and "; step " not in line:
        line = process.stdout.readline()
    return process


def test_killed_at_random_moments_a_run_ends_as_if_never_stopped(text, tmp_path, train):
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
    if max(steps(folder)) < 80:
        assert train("--resume", folder)[0] == 0
    assert train(text, "--out", tmp_path / "whole", *longer)[0] == 0
    assert_same_run(folder, tmp_path / "whole")


MOMENTS = {  # (function, its call, at which step the run then stops); a step has three micro-batches
    "a step": ("neo_np.train.trainer.loss_and_gradients", 16, {5, 6}),  # the last one may have begun by then
    "a validation": ("neo_np.train.validate", 3, {9}),
    "a sample": ("neo_np.train.command.show_sample", 2, {10}),
    "saving": ("neo_np.train.runs.write_checkpoint", 2, {4}),
    "saving the beginning": ("neo_np.train.runs.write_checkpoint", 1, {0}),
    "showing": ("neo_np.train.command.line_of", 2, {10}),
}


def signalling(monkeypatch, target, numbers, call):
    """Let the call-th call of a function send signals to this process first."""
    module, _, name = target.rpartition(".")
    original, calls = getattr(sys.modules[module], name), []

    def function(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            for number in numbers:
                os.kill(os.getpid(), number)
                time.sleep(0.05)
        return original(*args, **kwargs)

    monkeypatch.setattr(target, function)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", MOMENTS)
def test_stopped_at_any_moment_a_run_saves_and_goes_on(whole, tmp_path, train, monkeypatch, moment, number):
    folder, handlers = tmp_path / "run", [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    target, call, possible = MOMENTS[moment]
    signalling(monkeypatch, target, [number], call)
    status, out, err = train(whole.parent / "text.txt", "--out", folder, *SMALL)
    assert (status, err) == (130, "learning the tokenizer from 1 files ...\n")
    assert handlers == [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    stopped_at = max(steps(folder))
    assert stopped_at in possible
    path = folder / f"step-{stopped_at}"
    assert out.endswith(f"stopped; saved {path}. Go on with python -m neo_np.train --resume {folder}\n")
    assert stopped_at == max((entry["step"] for entry in read_log(folder)), default=0)
    assert_every_step_is_whole(folder)
    monkeypatch.undo()
    status, out, err = train("--resume", folder)
    assert (status, err) == (0, "") and f"step {stopped_at} of 14" in out
    assert_same_run(folder, whole)


@pytest.mark.parametrize("moment", ["pieces_to_learn_from", "tokenize_files", "load_texts"])
@pytest.mark.parametrize("there", [False, True])
def test_ctrl_c_before_the_first_step_leaves_nothing(text, tmp_path, train, monkeypatch, moment, there):
    if there:
        (tmp_path / "run").mkdir()
    signalling(monkeypatch, f"neo_np.train.{moment}", [signal.SIGINT], 1)
    status, out, _ = train(text, "--out", tmp_path / "run", *SMALL)
    assert (status, out) == (130, "")
    assert (tmp_path / "run").exists() == there and not list(tmp_path.glob("run/*"))


def test_a_second_ctrl_c_ends_at_once_and_saves_nothing(whole, tmp_path, train, monkeypatch):
    folder = tmp_path / "run"
    signalling(monkeypatch, "neo_np.train.command.show_sample", [signal.SIGINT] * 2, 1)
    status, _, _ = train(whole.parent / "text.txt", "--out", folder, *SMALL)
    assert status == 130 and list(steps(folder)) == [0, 4]
    monkeypatch.undo()
    assert train("--resume", folder)[0] == 0
    assert_same_run(folder, whole)


def test_a_reader_that_goes_away_takes_no_steps_with_it(whole, tmp_path, train):
    """As at Ctrl-C in `| tee`, or in `| head`: the next line cannot be printed, and what was done by then is saved."""
    process = started(whole.parent / "text.txt", "--out", tmp_path / "run", *SMALL, "--save-every", 1000)
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert 0 < max(steps(tmp_path / "run")) == read_log(tmp_path / "run")[-1]["step"]
    assert_every_step_is_whole(tmp_path / "run")
    if max(steps(tmp_path / "run")) < 14:
        assert train("--resume", tmp_path / "run")[0] == 0
    for name in FILES[:2]:
        assert (tmp_path / "run" / "step-14" / name).read_bytes() == (whole / "step-14" / name).read_bytes()


def test_ctrl_c_to_the_command_itself(whole, tmp_path):
    process = started(whole.parent / "text.txt", "--out", tmp_path / "run", *SMALL, "--steps", 100_000)
    environment = Path(f"/proc/{process.pid}/environ").read_text().split("\0")
    assert {entry.partition("=")[0] for entry in environment} >= environment.ENVIRONMENT.keys()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 130 and out.splitlines()[-1].startswith("stopped; saved ")
    assert_every_step_is_whole(tmp_path / "run")


# Training that fails


def test_training_that_diverges_says_so_and_keeps_the_good_checkpoint(text, tmp_path, train):
    status, _, err = train(text, "--out", tmp_path / "run", *SMALL, "--learning-rate", "1e30", "--warmup-steps", 0)
    assert status == 2
    assert re.fullmatch(
        r"learning the tokenizer from 1 files \.\.\.\n"  # and no warning
        r"error: at step 2 the loss is nan.*: training has diverged\. .* with a lower learning rate or a longer warm-up\. "
        r"The newest complete one is \S+step-0\.\n",
        err,
    )
    assert list(steps(tmp_path / "run")) == [0]


@pytest.mark.parametrize("option", ["--learning-rate", "--weight-decay"])
@pytest.mark.parametrize("value", ["1e38", "1e300"])  # the second is itself beyond float32
def test_parameters_that_are_no_numbers_are_never_saved(text, tmp_path, train, option, value):
    """The step that ruins the parameters had a fine loss itself; it is saved, validated and sampled from at once."""
    every = "--save-every 1 --validate-every 1 --sample-every 1 --keep 1 --warmup-steps 0".split()
    status, _, err = train(text, "--out", tmp_path / "run", *SMALL, *every, option, value)
    assert status == 2 and re.fullmatch(r"learning the tokenizer .*\nerror: .* training has diverged\. .*\n", err)  # no warning
    for path in steps(tmp_path / "run").values():
        for array in neo_np.load(path).params.flat().values():  # its warning about such numbers would be an error here
            assert np.isfinite(array).all()
    for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)  # NaN is no JSON


def test_parameters_that_are_no_numbers_are_not_saved_at_ctrl_c_either(text, tmp_path, train, monkeypatch):
    signalling(monkeypatch, "neo_np.train.command.line_of", [signal.SIGINT], 1)
    status, _, err = train(text, "--out", tmp_path / "run", *SMALL, "--warmup-steps", 0, "--learning-rate", "1e38")
    assert status == 2 and re.search(r"training has diverged\. .* The newest complete one is \S+step-0\.\n$", err)
    assert list(steps(tmp_path / "run")) == [0]


def test_a_full_disk_ends_the_run_with_one_sentence(text, tmp_path, train, monkeypatch):
    original = neo_np.train.runs.save_file

    def full(tensors, file):
        if "step-8" in str(file):
            raise OSError(28, "No space left on device")
        original(tensors, file)

    monkeypatch.setattr("neo_np.train.runs.save_file", full)
    status, _, err = train(text, "--out", tmp_path / "run", *SMALL)
    assert status == 2
    assert re.fullmatch(
        r"error: the checkpoint \S+step-8 cannot be written: .*No space left on device\. "
        r"The newest complete one is \S+step-4\.",
        err.splitlines()[-1],
    )
    assert sorted(os.listdir(tmp_path / "run")) == ["log.jsonl", "step-0", "step-4", "train.npy"]
    monkeypatch.undo()
    assert train("--resume", tmp_path / "run")[0] == 0


# What the command refuses


def assert_refused(result, *parts):
    """One line of error, and nothing else."""
    status, out, err = result
    assert (status, out) == (2, "")
    assert re.fullmatch(r"error: [^\n]+\n", err), err
    for part in parts:
        assert str(part) in err


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
def test_nonsense_is_refused_before_anything_is_done(text, tmp_path, train, monkeypatch, option, value):
    try:
        result = train(text, "--out", tmp_path / "run", *SMALL, f"--{option}={value}")
    except SystemExit as end:  # argparse's way
        result = (end.code, "", None)
    if result[2] is not None:
        assert_refused(result)
    assert result[0] == 2 and os.listdir(tmp_path) == ["text.txt"]


MISTAKES = {
    "no text": ("", "TEXT"),
    "no folder": ("{text}", "--out"),
    "a text that is not there": ("{text}x --out {out}", "text.txtx does not exist"),
    "validation text that is not there": ("{text} --out {out} --valid {text}x", "text.txtx does not exist"),
    "a folder without text": ("{empty_folder} --out {out}", "no *.txt file"),
    "a file where the folder should be": ("{text} --out {text}", "text.txt cannot be written"),
    "a folder with something else in it": ("{text} --out {parent}", "is not empty"),
    "a folder inside a file": ("{text} --out {text}/run", "cannot be written"),
    "init with layers": (
        "{text} --out {out} --init tales-2M --layers 2 --hidden-size 8",
        "--init takes model",
    ),
    "init with a tokenizer": (
        "{text} --out {out} --init tales-2M --tokenizer tales-2M",
        "--init takes model",
    ),
    "init with untied": ("{text} --out {out} --init tales-2M --untied", "--init takes model"),
    "more than init has positions": ("{text} --out {out} --init tales-2M --sequence-length 257", "256 positions"),
    "a run that is there": ("{text} --out {run}", "--resume"),
    "resume with options": ("--resume {run} --steps 99 --batch-size 3", "leave out"),
    "resume with text": ("{text} --resume {run}", "leave out"),
    "resume and out": ("--resume {run} --out {out}", "leave out"),
    "resume of what is complete": ("--resume {run}", "is complete"),
    "resume of no folder": ("--resume {out}", "holds no checkpoint"),
    "resume of a file": ("--resume {text}", "holds no checkpoint"),
    "resume of an empty folder": ("--resume {empty_folder}", "holds no checkpoint"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_changes_nothing(text, tmp_path, whole, train, mistake):
    (tmp_path / "empty").mkdir()
    arguments, part = MISTAKES[mistake]
    before = {path: path.stat().st_mtime_ns for folder in (tmp_path, whole) for path in folder.rglob("*")}
    names = dict(text=text, out=tmp_path / "run", empty_folder=tmp_path / "empty", parent=tmp_path, run=whole)
    assert_refused(train(*arguments.format(**names).split()), part)
    assert {path: path.stat().st_mtime_ns for folder in (tmp_path, whole) for path in folder.rglob("*")} == before


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("", "there is no text in"),
        (" \n\n", "there is no text in"),
        ("<|endoftext|>\n" * 3, "there is no text in"),
        ("the end", "tokens to train on"),
    ],
)
@pytest.mark.parametrize("tokenizer", ["--vocab-size=257", "--tokenizer=tales-2M"])
def test_text_that_is_too_little_leaves_nothing(tmp_path, train, content, part, tokenizer):
    (tmp_path / "text.txt").write_text(content)
    status, out, err = train(tmp_path / "text.txt", "--out", tmp_path / "run", tokenizer)
    assert (status, out) == (2, "") and err.splitlines()[-1].startswith("error: ") and part in err.splitlines()[-1]
    assert not list(tmp_path.glob("run/*"))


@pytest.mark.parametrize("prompt", ["\udcff", "the \ud800"])
def test_a_prompt_that_no_sample_can_begin_with_is_refused_before_training(text, tmp_path, train, prompt):
    """A byte that is not UTF-8 comes to a command as a lone surrogate."""
    status, out, err = train(text, "--out", tmp_path / "run", *SMALL, "--sample-prompt", prompt)
    assert (status, out) == (2, "") and "lone surrogate" in err.splitlines()[-1]
    assert os.listdir(tmp_path) == ["text.txt"]


def test_the_shortest_text_that_can_be_trained_on(tmp_path, train):
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


def test_a_run_whose_token_file_is_gone_or_cut_says_so(whole, tmp_path, train):
    shutil.copytree(whole, tmp_path / "run")
    (tmp_path / "run" / "train.npy").write_bytes((whole / "train.npy").read_bytes()[:1000])
    assert_refused(train("--resume", tmp_path / "run"), "train.npy")
    (tmp_path / "run" / "train.npy").unlink()
    assert_refused(train("--resume", tmp_path / "run"), "train.npy")


def test_help_shows_every_option(capsys):
    with pytest.raises(SystemExit) as end:
        command.main(["--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0 and "the last 5% of the text" in out
    for option in vars(command.build_parser().parse_args([])).keys() - {"text"}:
        assert f"--{option.replace('_', '-')}" in out


def test_the_command_sets_its_environment_and_starts_anew():
    """In an environment without the variables BLAS would use threads of its own: the process replaces itself, once."""
    environment = {name: value for name, value in os.environ.items() if name not in environment.ENVIRONMENT}
    environment["OMP_NUM_THREADS"] = "3"  # what a user has set stays
    code = (
        "import os\nimport neo_np.train as t\n"
        "print(os.getpid(), *(os.environ.get(name, '-') for name in t.ENVIRONMENT), flush=True)\n"
        "t.start_anew_with_environment()\nprint('goes on')"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    ).stdout
    first, second, last = out.splitlines()
    values = environment.ENVIRONMENT | {"OMP_NUM_THREADS": "3"}
    assert first.split()[0] == second.split()[0] and last == "goes on"
    assert second.split()[1:] == list(values.values())
