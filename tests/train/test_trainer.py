"""The training loop: gradients in parts, one step and what it reports, steps that must change nothing, validation."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import random_model

from neo_np import NeoError
from neo_np.gpt_neo.backward import loss_and_gradients
from neo_np.train import trainer as trainer_module
from neo_np.train.data import random_windows
from neo_np.train.trainer import Interrupted, Trainer, TrainingOptions
from neo_np.train.validation import validate, validation_windows

TOKENS = np.random.default_rng(0).integers(50, size=400).astype(np.uint16)
DROPOUT = dict.fromkeys(["embed_dropout", "attention_dropout", "resid_dropout"], 0.2)


def new_trainer(dtype=np.float32, dropout=None, **changes):
    options = dict(steps=20, batch_size=5, sequence_length=16, learning_rate=0.01, warmup_steps=4)
    return Trainer(random_model(dtype=dtype, other=dropout or {}), TOKENS, TrainingOptions(**options | changes))


def state_of(trainer):
    """Return copies of all that changes from step to step."""
    arrays = [a.copy() for named in (trainer.params, trainer.optimizer.m, trainer.optimizer.v) for a in named.values()]
    return arrays, trainer.step, trainer.smoothed_loss, trainer.rng.bit_generator.state


def assert_same_state(state, other):
    for a, b in zip(state[0], other[0], strict=True):
        np.testing.assert_array_equal(a, b)
    assert state[1:] == other[1:]


def test_trainer_options_reach_the_optimizer():
    optimizer = new_trainer(betas=(0.7, 0.8), weight_decay=0.3, decay_embeddings=False).optimizer
    assert optimizer.betas == (0.7, 0.8)
    assert (optimizer.decay["wte.weight"], optimizer.decay["h.0.mlp.c_fc.weight"]) == (0, 0.3)
    assert new_trainer().optimizer.decay["wte.weight"] == 0.1


# Gradients of a batch


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [None, 1, 2, 3, 5, 9])
def test_batch_gradients_do_not_depend_on_micro_batches_and_threads(size, threads):
    """In float64, so that the order of additions changes only the 15th digit; 5 windows, which no other size divides."""
    trainer = new_trainer(np.float64, micro_batch_size=size, threads=threads)
    windows = np.random.default_rng(1).integers(50, size=(5, 17))
    loss, gradients = trainer.batch_gradients(windows)
    model = trainer.model
    whole = loss_and_gradients(model.params, model.config, windows[:, :-1], windows[:, 1:])[1]
    assert loss == pytest.approx(model.loss(windows), rel=1e-13)
    assert gradients.keys() == trainer.params.keys()
    for name, g in gradients.items():
        np.testing.assert_allclose(g, whole[name], rtol=0, atol=1e-13 * np.abs(whole[name]).max(), err_msg=name)


@pytest.mark.parametrize(("length", "size"), [(16, 32), (31, 16), (512, 1), (600, 1)])
def test_batch_gradients_by_default_take_512_tokens_at_a_time(length, size, monkeypatch):
    seen = []

    def record(params, config, ids, targets, dropout, of):
        seen.append(len(ids))
        return 0.0, {}

    monkeypatch.setattr(trainer_module, "loss_and_gradients", record)
    new_trainer(sequence_length=length).batch_gradients(np.zeros((size * 2 + 1, length + 1), int))
    assert seen == [size, size, 1]


def test_batch_gradients_with_dropout_and_threads_are_reproducible():
    results = []
    for _ in range(3):
        trainer = new_trainer(dropout=DROPOUT, micro_batch_size=1, threads=3)
        loss, gradients = trainer.batch_gradients(np.tile(TOKENS[:17], (7, 1)).astype(int))
        results.append((loss, [g.tobytes() for g in gradients.values()]))
    assert results[0] == results[1] == results[2]


def test_batch_gradients_draw_dropout_for_each_micro_batch():
    trainer, losses = new_trainer(dropout=DROPOUT, micro_batch_size=1), []
    original = trainer.micro_batch_gradients
    trainer.micro_batch_gradients = lambda *args: losses.append(original(*args)) or losses[-1]
    trainer.batch_gradients(np.tile(TOKENS[:17], (4, 1)).astype(int))  # four times the same window
    trainer.batch_gradients(np.tile(TOKENS[:17], (4, 1)).astype(int))
    assert len({loss for loss, _ in losses}) == 8


# A step


def test_train_step_reports_loss_norm_rate_and_speed(monkeypatch):
    monkeypatch.setattr(trainer_module, "time", SimpleNamespace(perf_counter=iter([10.0, 10.5]).__next__))
    trainer, twin = new_trainer(), new_trainer()
    windows = random_windows(TOKENS, 5, 17, twin.rng)
    gradients = loss_and_gradients(twin.model.params, twin.model.config, windows[:, :-1], windows[:, 1:])[1]
    entry = trainer.train_step()
    assert entry == {
        "step": 1,
        "loss": pytest.approx(twin.model.loss(windows), rel=1e-6),
        "smoothed_loss": entry["loss"],
        "learning_rate": pytest.approx(0.01 / 4),
        "norm": pytest.approx(np.linalg.norm(np.concatenate([g.ravel() for g in gradients.values()])), rel=1e-5),
        "tokens_per_second": 5 * 16 / 0.5,
    }
    assert entry["norm"] > 1  # as it was before clipping


def test_train_step_uses_the_learning_rate_schedule(monkeypatch):
    """Without gradients, only weight decay moves a matrix: p (1 - rate decay)."""
    trainer = new_trainer(np.float64, steps=12, learning_rate=0.3, min_learning_rate=0.1, weight_decay=0.5)
    zeros = {name: np.zeros_like(p) for name, p in trainer.params.items()}
    monkeypatch.setattr(trainer, "batch_gradients", lambda windows: (1.0, zeros))
    rates = []
    for _ in range(12):
        before = {name: p.copy() for name, p in trainer.params.items()}
        rates.append(trainer.train_step()["learning_rate"])
        for name, p in trainer.params.items():
            np.testing.assert_allclose(p, before[name] * (1 - rates[-1] * 0.5 * (p.ndim > 1)), rtol=1e-12)
    cosine = [0.2 + 0.1 * np.cos(np.pi * k / 8) for k in range(1, 9)]  # from 0.3 to 0.1, half-way at 0.2
    assert rates == pytest.approx([0.075, 0.15, 0.225, 0.3, *cosine])
    assert rates[7] == pytest.approx(0.2) and rates[11] == pytest.approx(0.1)


def test_train_step_smooths_the_loss(monkeypatch):
    trainer, losses = new_trainer(steps=200), np.random.default_rng(2).uniform(1, 5, 150)
    monkeypatch.setattr(trainer, "batch_gradients", lambda windows: (losses[trainer.step], {}))
    smoothed = [trainer.train_step()["smoothed_loss"] for _ in losses]
    for i in range(50):
        assert smoothed[i] == pytest.approx(losses[: i + 1].mean())
    for i in range(50, 150):
        assert smoothed[i] == pytest.approx(0.98 * smoothed[i - 1] + 0.02 * losses[i])


# Steps that change nothing


@pytest.mark.parametrize("loss", [np.nan, np.inf, 1.0])
def test_train_step_with_nan_changes_nothing(loss, monkeypatch):
    trainer = new_trainer()
    trainer.train_step()
    before = state_of(trainer)

    def diverged(windows):
        trainer.rng.integers(2**63)  # as the seeds of dropout
        return loss, {name: np.full_like(p, np.nan) for name, p in trainer.params.items()}

    monkeypatch.setattr(trainer, "batch_gradients", diverged)
    with pytest.raises(NeoError, match=r"^at step 2 the (loss|norm) .* a lower learning rate or a longer warm-up\.$"):
        trainer.train_step()
    assert_same_state(state_of(trainer), before)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_train_step_interrupted_changes_nothing(after, monkeypatch):
    trainer, twin = (new_trainer(dropout=DROPOUT, micro_batch_size=2, threads=2) for _ in range(2))
    for t in (trainer, twin):
        t.train_step()
    before, calls = state_of(trainer), []

    def stop_after(*args):
        calls.append(args)
        if len(calls) == after:
            trainer.stop.set()
        return loss_and_gradients(*args)

    monkeypatch.setattr(trainer_module, "loss_and_gradients", stop_after)
    if after == 0:
        trainer.stop.set()
    with pytest.raises(Interrupted):
        trainer.train_step()
    assert len(calls) <= after + 1  # the other thread may be at work
    assert_same_state(state_of(trainer), before)
    monkeypatch.undo()
    trainer.stop.clear()
    trainer.train_step()
    twin.train_step()
    assert_same_state(state_of(trainer), state_of(twin))


# Validation


@pytest.mark.parametrize("size", [5, 9, 10, 11, 57, 1000])
def test_validation_windows_are_spread_evenly(size):
    windows = validation_windows(np.arange(size).astype(np.uint16), 10, 8)
    assert windows.shape == (min(8, size // 10), 10) and windows.dtype == np.int64
    if len(windows):
        starts = windows[:, 0]
        np.testing.assert_array_equal(windows, starts[:, None] + np.arange(10))
        assert starts[0] == 0 and (np.diff(starts) >= 10).all()
        assert np.ptp(np.diff(starts)) <= 1 if len(windows) > 1 else True
        assert windows[-1, -1] == size - 1 or len(windows) == 1


def test_validate_equals_the_loss_of_each_window(tales):
    """A slow loop: `Model.loss` of each window, and the bytes of its text."""
    text = "Once upon a time there was a queen — ü 日本.<|endoftext|>The king said: " * 20
    windows = validation_windows(np.array(tales.tokenizer.encode(text)), 33, 7)
    assert len(windows) == 7  # the last one is a batch of its own
    nats, size = 0.0, 0
    for window in windows:
        nats += tales.loss(window) * 32
        size += sum(len(tales.tokenizer.token_bytes(id)) for id in window[1:] if id != tales.config.eos_token_id)
    found = validate(tales, windows)
    assert found == {
        "valid_loss": pytest.approx(nats / 7 / 32, rel=1e-6),
        "bits_per_byte": pytest.approx(nats / size / np.log(2), rel=1e-6),
    }


def test_trainer_with_a_dropout_of_1_is_refused():
    with pytest.raises(NeoError, match=r"a dropout rate of the config is 1, .* --dropout"):
        new_trainer(dropout={"resid_dropout": 1})
