"""The command `python -m neo_np.train` from beginning to end: what it writes, shows and logs."""

import io
import json
import math
import os
import random
import re
import threading

import numpy as np
import pytest
from train_helpers import LEARNING, SMALL, assert_every_step_is_whole, read_log

import neo_np
import neo_np.train
from neo_np.folders.find import DEFAULT_CHECKPOINT
from neo_np.gpt_neo.params import random_params, sinusoids
from neo_np.train import arguments, command, environment
from neo_np.train.runs import checkpoints
from neo_np.train.trainer import Trainer, TrainingOptions


def test_train_writes_checkpoints_and_log(whole):
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


def test_train_validates_on_the_text_that_was_held_out(whole):
    """The last twentieth of the tokens: no window to train on ever reaches it, and the log's numbers are of it."""
    tokens, (train, valid) = np.load(whole / "train.npy"), command.load_texts(whole)
    assert len(valid) == len(tokens) // 20 and np.array_equal(np.concatenate([train, valid]), tokens)
    model, last = neo_np.load(checkpoints(whole)[14]), [entry for entry in read_log(whole) if "valid_loss" in entry][-1]
    losses = [
        model.loss(valid[int(start) :][:17].astype(int))
        for start in np.linspace(0, len(valid) - 17, min(128, len(valid) // 17))
    ]
    assert last["valid_loss"] == pytest.approx(np.mean(losses), rel=1e-5)


def test_train_shows_what_the_log_says(text, tmp_path, train):
    """The lines of the first step, every tenth and the last one say what the log says."""
    status, out, err = train(text, "--out", tmp_path / "run", *SMALL, "--sample-prompt", "the king")
    assert (status, err) == (0, LEARNING)
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
def test_time_text_gives_seconds_minutes_or_hours(seconds, text):
    assert command.time_text(seconds) == text


def test_train_with_init_starts_from_that_checkpoint(text, tmp_path, train):
    """The first loss is that of the checkpoint on the windows that the seed draws, worked out by `Model.loss`."""
    options = "--steps 2 --batch-size 3 --sequence-length 20 --seed 5 --threads 1 --keep 3 --save-every 1".split()
    status, _, err = train(text, "--out", tmp_path / "run", "--init", DEFAULT_CHECKPOINT, *options)
    assert (status, err) == (0, "")
    model, (tokens, _) = neo_np.load(DEFAULT_CHECKPOINT), command.load_texts(tmp_path / "run")
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


def test_train_shows_one_sample_whatever_the_checkpoint_asks_for(whole, text, tmp_path, train):
    model = neo_np.load(whole / "step-14")
    model.generation_config = {"num_return_sequences": 3, "num_beams": 4}
    neo_np.save(model, tmp_path / "many")
    options = "--steps 1 --batch-size 1 --sequence-length 8 --threads 1".split()
    assert train(text, "--out", tmp_path / "run", "--init", tmp_path / "many", *options)[0] == 0
    assert isinstance(read_log(tmp_path / "run")[-1]["sample"], str)


def test_train_options_reach_model_and_run(text, tmp_path, train):
    (tmp_path / "valid.txt").write_text("the cat " * 50)
    options = """--layers 3 --hidden-size 12 --heads 3 --attention local,local,global --window-size 5 --positions 70
    --activation silu --untied --vocab-size 280 --steps 1 --batch-size 2 --sequence-length 8 --micro-batch-size 1
    --learning-rate 0.5 --min-learning-rate 0.25 --warmup-steps 2 --weight-decay 0.3 --no-decay-embeddings --beta1 0.8
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
        repeated_windows=0.0,
    )  # fmt: skip
    assert training["intervals"] == dict(save_every=7, keep=5, validate_every=6, sample_every=4, sample_prompt="cat")
    beginning = neo_np.load(tmp_path / "run" / "step-0")
    for name, array in random_params(beginning.config, seed=9).flat().items():
        np.testing.assert_array_equal(beginning.params.flat()[name], array)
    tokens, valid = command.load_texts(tmp_path / "run")
    tokenizer = neo_np.load(tmp_path / "run" / "step-1").tokenizer
    assert tokenizer.decode(tokens.tolist()) == "<|endoftext|>" + text.read_text()  # nothing is held out of it
    assert tokenizer.decode(valid.tolist()) == "<|endoftext|>" + "the cat " * 50


@pytest.mark.parametrize(("init", "rate"), [([], 2e-3), (["--init", DEFAULT_CHECKPOINT], 1e-4)])
def test_training_options_without_arguments_are_the_defaults(init, rate):
    args = arguments.build_parser().parse_args(init)
    expected = TrainingOptions(2000, 16, 256, rate, warmup_steps=40, threads=environment.default_threads())
    assert arguments.training_options(args, arguments.new_config(args)) == expected


@pytest.mark.parametrize(("option", "rate"), [([], 0.1), (["--dropout", "0"], 0), (["--dropout", "0.3"], 0.3)])
def test_train_takes_dropout_from_the_checkpoint_unless_given(whole, text, tmp_path, train, option, rate):
    options = ["--init", whole / "step-14", "--sequence-length", 8, "--batch-size", 1, "--steps", 1, *option]
    assert train(text, "--out", tmp_path / "run", *options)[0] == 0
    entries = json.loads((tmp_path / "run" / "step-1" / "config.json").read_text())
    assert {entries[name] for name in ("embed_dropout", "attention_dropout", "resid_dropout")} == {rate}


@pytest.mark.parametrize("positions", [1, 8, 60])
def test_train_with_few_positions_writes_samples(text, tmp_path, train, positions):
    options = (
        f"--positions {positions} --layers 1 --hidden-size 8 --heads 1 --vocab-size 257 --steps 1 --batch-size 1 --threads 1"
    )
    status, _, _ = train(text, "--out", tmp_path / "run", *options.split())
    assert status == 0 and "sample" in read_log(tmp_path / "run")[-1]


@pytest.mark.slow
def test_train_on_a_markov_chain_reaches_its_entropy(tmp_path, train):
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


def test_help_shows_every_option_with_its_default_and_two_examples(capsys):
    with pytest.raises(SystemExit) as end:
        command.main(["--help"])
    out = capsys.readouterr().out
    assert end.value.code == 0 and "the last 5% of the text" in " ".join(out.split())
    without_default = {"text", "out", "resume"}
    for action in arguments.build_parser()._actions:
        assert all(name in out for name in action.option_strings if name != "--last-learning-rate")
        assert action.dest in ({"help"} | without_default) or "(default: " in action.help, action.dest
    assert len(re.findall(r"^  python -m neo_np\.train .*$", out, re.M)) == 2


@pytest.mark.parametrize("line", re.findall(r"^  python -m neo_np\.train (.*)$", arguments.EXAMPLES, re.M))
def test_examples_of_help_have_options_that_exist(line):
    arguments.build_parser().parse_args(line.split())


def test_old_name_of_min_learning_rate_stays():
    args = arguments.build_parser().parse_args(["--last-learning-rate", "0.25"])
    assert args.min_learning_rate == 0.25


@pytest.mark.parametrize(
    ("options", "ignored"),
    [
        ("--tokenizer tales-6M --vocab-size 300 --positions 64", "--vocab-size is ignored"),
        ("--attention global --window-size 5", "--window-size is ignored"),
        ("--weight-decay 0 --no-decay-embeddings", "--no-decay-embeddings is ignored"),
        ("--min-learning-rate 0.1 --warmup-steps 2", "--min-learning-rate is ignored"),
        ("--attention global", None),
        ("--window-size 5", None),
        ("--min-learning-rate 0.1 --warmup-steps 1", None),
    ],
)
def test_train_with_an_option_that_is_ignored_says_so(text, tmp_path, train, options, ignored):
    small = "--layers 1 --hidden-size 8 --heads 1 --sequence-length 8 --batch-size 1 --steps 2 --threads 1".split()
    status, _, err = train(text, "--out", tmp_path / "run", *small, *options.split())
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert status == 0 and len(warnings) == (ignored is not None)
    assert ignored is None or warnings[0].startswith(f"warning: {ignored}")


def test_sinusoidal_positions_begin_as_sinusoids(text, tmp_path, train):
    """The first checkpoint has the sine and the cosine of each place, here written out for place 5; all else is random."""
    small = "--layers 1 --hidden-size 4 --heads 1 --positions 64 --vocab-size 260 --sequence-length 8 --batch-size 1 --steps 1"
    assert train(text, "--out", tmp_path / "sines", *small.split(), "--sinusoidal-positions")[0] == 0
    assert train(text, "--out", tmp_path / "random", *small.split())[0] == 0
    sines, others = (neo_np.load(tmp_path / name / "step-0").params for name in ("sines", "random"))
    slow, fast = math.pi * 5 / 128**0.5, math.pi * 5
    expected = 0.03 * np.array([math.sin(fast), math.sin(slow), math.cos(fast), math.cos(slow)])
    np.testing.assert_allclose(sines.wpe.weight[5], expected, atol=1e-6)
    assert others.wpe.weight.std() == pytest.approx(0.02, rel=0.2)
    np.testing.assert_array_equal(sines.wte.weight, others.wte.weight)


@pytest.mark.parametrize(("positions", "channels"), [(64, 8), (512, 256), (10, 6)])
def test_sinusoids_make_the_score_of_two_places_depend_on_their_distance_only(positions, channels):
    """So one matrix of products looks at the token before from every place."""
    table = sinusoids(positions, channels).astype(float)
    products = table @ table.T
    for distance in (0, 1, 2, positions // 2):
        diagonal = np.diagonal(products, distance)
        np.testing.assert_allclose(diagonal, diagonal[0], atol=1e-5)
    assert (np.argmax(products, axis=1) == np.arange(positions)).all()
    assert table.dtype == float and sinusoids(positions, channels).dtype == np.float32


def test_repeated_windows_train_on_repeated_passages(text, tmp_path, train, monkeypatch):
    """The option reaches the batches: about half of the windows have a period of a third of their length at most."""
    windows, original = [], Trainer.batch_gradients
    monkeypatch.setattr(Trainer, "batch_gradients", lambda self, batch: windows.extend(batch) or original(self, batch))
    small = "--layers 1 --hidden-size 8 --heads 1 --positions 64 --vocab-size 300 --sequence-length 48 --batch-size 40".split()
    status, *_ = train(text, "--out", tmp_path / "run", *small, "--steps", 2, "--repeated-windows", 0.5, "--threads", 1)
    repeated = sum(any(np.array_equal(row[p:], row[:-p]) for p in range(1, 17)) for row in windows)
    assert status == 0 and len(windows) == 80 and 20 < repeated < 60


class JupyterStream(io.TextIOBase):
    """Like the standard output of a notebook: it takes text, and is no file."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text
        return len(text)


@pytest.mark.parametrize("in_thread", [False, True])
def test_main_in_a_notebook_trains(text, tmp_path, monkeypatch, in_thread):
    """Also in a thread, where no signal can be handled."""
    stream, statuses = JupyterStream(), []
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", stream)
    thread = threading.Thread(
        target=lambda: statuses.append(neo_np.train.main([str(text), "--out", str(tmp_path / "run"), *SMALL]))
    )
    thread.start() if in_thread else thread.run()
    if in_thread:
        thread.join()
    assert statuses == [0] and "done: " in stream.text
