"""The backward pass against central differences of our own forward pass, in float64: (f(x + h) - f(x - h)) / 2h, h = 1e-5."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from neo_np.gpt_neo import backward
from neo_np.gpt_neo.backward import loss_and_gradients, recorder
from neo_np.gpt_neo.fast import training
from neo_np.gpt_neo.forward import (
    ACTIVATIONS,
    attention,
    block,
    embed,
    forward,
    layer_norm,
    linear,
    mlp,
    self_attention,
    softmax,
    transformer,
)
from neo_np.gpt_neo.hooks import under
from neo_np.gpt_neo.loss import cross_entropy, log_softmax
from neo_np.train.dropout import Dropout

H = 1e-5
SIZES = st.integers(1, 4)
SEEDS = st.integers(0, 10**6)


def draw(seed, *shapes):
    """Return normal random arrays in float64."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in shapes]


def central_difference(f, x):
    """Return the derivative of a number, f(), by each number of an array x, which f reads."""
    derivative = np.empty_like(x)
    for place in np.ndindex(x.shape):
        value = x[place]
        x[place] = value + H
        above = f()
        x[place] = value - H
        derivative[place] = (above - f()) / (2 * H)
        x[place] = value
    return derivative


def assert_gradients(f, pairs):
    """Hold gradients against central differences of f(), 1e-7 relative; pairs: (array that f reads, its gradient)."""
    for x, gradient in pairs:
        expected = central_difference(f, x)
        assert gradient.shape == x.shape
        assert gradient.dtype == np.float64
        # Where all of a gradient is zero, or nothing but rounding (f is not far from 1), there is nothing to be relative to.
        assert np.linalg.norm(gradient - expected) <= 1e-7 * max(np.linalg.norm(expected), 1e-2)


@given(SIZES, SIZES, st.integers(2, 5), SEEDS)
def test_embeddings_with_repeated_ids(batch, time, channels, seed):
    wte, wpe, dy = draw(seed, (3, channels), (time + 2, channels), (batch, time, channels))
    ids = np.random.default_rng(seed).integers(0, 2, (batch, time))  # two ids: repeated more often than not; 2 never occurs
    positions = np.broadcast_to(np.arange(time), (batch, time))
    dwte, dwpe = backward.embed_backward(dy, ids, positions, wte, wpe)
    assert_gradients(lambda: np.vdot(embed(ids, positions, wte, wpe), dy), [(wte, dwte), (wpe, dwpe)])


@given(SIZES, SIZES, st.integers(2, 6), SEEDS)
def test_layer_norm(batch, time, channels, seed):
    x, dy, weight, bias = draw(seed, *[(batch, time, channels)] * 2, (channels,), (channels,))
    eps = 0.1  # a large one, so that a forgotten one shows
    dx, dweight, dbias = backward.layer_norm_backward(dy, x, weight, eps)
    assert_gradients(lambda: np.vdot(layer_norm(x, weight, bias, eps), dy), [(x, dx), (weight, dweight), (bias, dbias)])


@given(SIZES, SIZES, SIZES, SIZES, SEEDS)
def test_linear(batch, time, width_in, width_out, seed):
    x, weight, bias, dy = draw(seed, (batch, time, width_in), (width_out, width_in), (width_out,), (batch, time, width_out))
    dx, dweight = backward.linear_backward(dy, x, weight)
    dbias = backward.sum_over_rows(dy)
    assert_gradients(lambda: np.vdot(linear(x, weight, bias), dy), [(x, dx), (weight, dweight), (bias, dbias)])


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(SIZES, SEEDS)
def test_activations(name, size, seed):
    x, dy = draw(seed, (2, size), (2, size))
    x = 3 * x + np.sign(x) * 10 * H  # beside the corner of relu
    dx = backward.ACTIVATIONS_BACKWARD[name](dy, x)
    assert_gradients(lambda: np.vdot(ACTIVATIONS[name](x), dy), [(x, dx)])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_far_from_zero_are_flat_or_straight(name):
    x = np.array([-3e4, -50.0, 0.0, 50.0, 3e4], np.float32)
    dx = backward.ACTIVATIONS_BACKWARD[name](np.ones_like(x), x)
    assert dx.dtype == np.float32
    np.testing.assert_allclose(dx, [0, 0, 0 if name == "relu" else 0.5, 1, 1], atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
@given(SIZES, SIZES, SEEDS)
def test_mlp(name, channels, width, seed):
    x, dy = draw(seed, (2, 3, channels), (2, 3, channels))
    w1, b1, w2, b2 = draw(seed + 1, (width, channels), (width,), (channels, width), (channels,))
    p = SimpleNamespace(c_fc=SimpleNamespace(weight=w1, bias=b1), c_proj=SimpleNamespace(weight=w2, bias=b2))
    seen = {}
    mlp(x, p, name, hook=recorder(seen))
    dx, dp = backward.mlp_backward(dy, x, p, name, seen)
    named = {"c_fc.weight": w1, "c_fc.bias": b1, "c_proj.weight": w2, "c_proj.bias": b2}
    assert dp.keys() == named.keys()
    if name == "relu" and np.abs(seen["mlp.pre"]).min() < 1e-3:
        return  # too near the corner for differences
    assert_gradients(lambda: np.vdot(mlp(x, p, name), dy), [(x, dx), *((named[key], dp[key]) for key in named)])


@given(SIZES, st.integers(1, 6), SEEDS)
def test_softmax(rows, width, seed):
    x, dy = draw(seed, (rows, width), (rows, width))
    assert_gradients(lambda: np.vdot(softmax(x), dy), [(x, backward.softmax_backward(dy, softmax(x)))])


@given(SIZES, SIZES, st.integers(1, 6), SEEDS)
def test_cross_entropy(batch, time, vocabulary, seed):
    [logits] = draw(seed, (batch, time, vocabulary))
    targets = np.random.default_rng(seed).integers(0, vocabulary, (batch, time))
    dlogits = backward.cross_entropy_backward(log_softmax(logits), targets)
    assert_gradients(lambda: cross_entropy(logits, targets).sum(), [(logits, dlogits)])
    np.testing.assert_allclose(dlogits.sum(axis=-1), 0, atol=1e-12)  # what is added to every logit changes nothing


@given(st.integers(1, 3), st.integers(1, 7), st.none() | st.integers(1, 8), st.sampled_from([None, 1, 2, 3, 64]), SEEDS)
def test_attention_with_both_masks(heads, time, window, query_block, seed):
    """The weights come whole from the formula (query_block None) or in blocks from the fast twin."""
    q, k, v, dz = draw(seed, *[(2, heads, time, 2)] * 4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neo_np.gpt_neo.fast.QUERY_BLOCK", query_block)
        seen = {}
        (attention if query_block is None else training.attention)(q, k, v, window, hook=recorder(seen))
    dq, dk, dv = backward.attention_in_parts_backward(dz, q, k, v, seen["attn.weights"])
    assert_gradients(lambda: np.vdot(attention(q, k, v, window), dz), [(q, dq), (k, dk), (v, dv)])
    if query_block is None:
        [(weights, kept)] = seen["attn.weights"]
        for found, expected in zip(backward.attention_backward(dz, q, k, v, weights, kept), (dq, dk, dv), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


@given(st.integers(1, 3), st.integers(1, 5), st.none() | st.integers(1, 6), SEEDS)
def test_self_attention(heads, time, window_size, seed):
    channels = 2 * heads
    x, dy, bias = draw(seed, *[(2, time, channels)] * 2, (channels,))
    named = dict(zip(["q_proj", "k_proj", "v_proj", "out_proj"], draw(seed + 1, *[(channels, channels)] * 4)))
    p = SimpleNamespace(**{name: SimpleNamespace(weight=weight) for name, weight in named.items()})
    p.out_proj.bias = bias
    seen = {}
    self_attention(x, p, heads, window_size, hook=recorder(seen))
    dx, dp = backward.self_attention_backward(dy, x, p, heads, seen)
    pairs = [(x, dx), (bias, dp.pop("out_proj.bias")), *((named[name], dp.pop(f"{name}.weight")) for name in named)]
    assert not dp
    assert_gradients(lambda: np.vdot(self_attention(x, p, heads, window_size), dy), pairs)


def small_model(seed, layers=("global", "local"), **changes):
    """Return a random model in float64, with small weights and a large eps.

    A layer norm bends sharply where a row hardly varies, and large weights multiply that: the error of a central difference,
    which grows with the third derivative, would be larger than what is asked of the gradients.
    """
    sizes = {"vocab_size": 7, "hidden_size": 4, "num_heads": 2, "max_position_embeddings": 6, "window_size": 2}
    sizes |= {"num_layers": len(layers), "attention_layers": list(layers), "intermediate_size": 5, "layer_norm_epsilon": 0.1}
    return random_model(seed, std=0.2, dtype=np.float64, **sizes | changes)


@settings(max_examples=20)
@given(st.sampled_from(["global", "local"]), st.integers(1, 4), st.sampled_from([1, 2, 64]), SEEDS)
def test_block(kind, time, query_block, seed):
    model = small_model(seed, [kind])
    x, dy = draw(seed, (2, time, 4), (2, time, 4))
    p, seen = model.params.h[0], {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("neo_np.gpt_neo.fast.QUERY_BLOCK", query_block)
        training.block(x, p, model.config, 0, hook=under("h.0.", recorder(seen)))
        dx, dp = backward.block_backward(dy, x, p, model.config, seen, "h.0.")
        named = p.flat()
        assert dp.keys() == named.keys()
        pairs = [(x, dx), *((named[name], dp[name]) for name in named)]
        assert_gradients(lambda: np.vdot(block(x, p, model.config, 0), dy), pairs)


@settings(max_examples=5)
@given(st.integers(1, 4), SEEDS)
def test_transformer(time, seed):
    model = small_model(seed)
    ids = np.random.default_rng(seed).integers(0, 7, (2, time))
    [dy], seen = draw(seed, (2, time, 4)), {}
    transformer(model.params, model.config, ids, hook=recorder(seen))
    gradients = backward.transformer_backward(dy, model.params, model.config, ids, seen)
    named = model.params.flat()
    assert gradients.keys() == named.keys()
    assert_gradients(
        lambda: np.vdot(transformer(model.params, model.config, ids), dy), [(named[name], gradients[name]) for name in named]
    )


@settings(max_examples=5)
@given(st.booleans(), st.integers(1, 5), SEEDS)
def test_the_whole_model_with_tied_and_untied_output_embedding(tied, time, seed):
    model = small_model(seed, tie_word_embeddings=tied)
    windows = np.random.default_rng(seed).integers(0, 7, (2, time + 1))
    ids, targets = windows[:, :-1], windows[:, 1:]

    def mean_loss():
        return cross_entropy(forward(model.params, model.config, ids), targets).mean()

    loss, gradients = loss_and_gradients(model.params, model.config, ids, targets)
    assert loss == pytest.approx(mean_loss(), rel=1e-14)
    named = model.params.flat()
    assert gradients.keys() == named.keys()
    assert_gradients(mean_loss, [(named[name], gradients[name]) for name in named])


def test_with_dropout_the_gradients_are_those_of_what_was_left():
    rates = {"embed_dropout": 0.3, "attention_dropout": 0.4, "resid_dropout": 0.5}
    model = small_model(0, other=rates)
    ids, targets = np.random.default_rng(0).integers(0, 7, (2, 2, 6))

    def loss_and_gradients_with_dropout():  # the same seed drops the same numbers each time
        return loss_and_gradients(model.params, model.config, ids, targets, Dropout(model.config, seed=5))

    loss, gradients = loss_and_gradients_with_dropout()
    assert loss != loss_and_gradients(model.params, model.config, ids, targets)[0]
    named = model.params.flat()
    assert_gradients(lambda: loss_and_gradients_with_dropout()[0], [(named[name], gradients[name]) for name in named])


def test_dropout_drops_its_share_and_keeps_the_mean_at_the_four_places_of_gpt_neo():
    model = random_model(0, other={"embed_dropout": 0.25, "attention_dropout": 0.5, "resid_dropout": 0.1})
    dropout, ones = Dropout(model.config, seed=0), np.ones((100, 1000), np.float32)
    for name, rate in {"embed": 0.25, "h.0.attn.weights": 0.5, "h.0.attn.out": 0.1, "h.0.mlp.out": 0.1}.items():
        kept = dropout.draw(name, ones)
        assert kept.dtype == np.float32
        assert np.mean(kept == 0) == pytest.approx(rate, abs=0.01)
        np.testing.assert_allclose(kept[kept != 0], 1 / (1 - rate), rtol=1e-6)
    everywhere = {}
    model.logits(np.arange(8), hook=everywhere.__setitem__)
    kinds = {"embed": 1, "attn.weights": 2, "attn.out": 2, "mlp.out": 2}
    places = [name for name in everywhere if dropout.draw(name, everywhere[name]) is not None]
    assert len(places) == sum(kinds.values())
    assert all(name.endswith(tuple(kinds)) for name in places)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_have_the_precision_of_the_parameters(dtype):
    model = random_model(0, dtype=dtype, other={"resid_dropout": 0.1, "embed_dropout": 0.1, "attention_dropout": 0.1})
    ids = np.arange(20).reshape(2, 10)
    _, gradients = loss_and_gradients(model.params, model.config, ids, ids + 1, Dropout(model.config, 0))
    assert {gradient.dtype for gradient in gradients.values()} == {np.dtype(dtype)}


def test_the_loss_of_many_tokens_is_added_up_in_float64():
    model = random_model(0)
    ids, targets = np.random.default_rng(0).integers(0, 50, (2, 40, 32))
    losses = cross_entropy(training.forward(model.params, model.config, ids), targets)
    assert losses.dtype == np.float32
    assert loss_and_gradients(model.params, model.config, ids, targets)[0] == pytest.approx(
        math.fsum(losses.flat) / 1280, rel=1e-12
    )


def test_scores_are_not_kept_for_the_backward_pass(monkeypatch):
    """They are as large as the weights that come of them."""
    kept = []
    monkeypatch.setattr(backward, "backward", lambda dlogits, params, config, ids, seen: kept.extend(seen))
    model, ids = random_model(0), np.arange(20).reshape(2, 10)
    loss_and_gradients(model.params, model.config, ids, ids)
    assert "h.0.attn.weights" in kept and not [name for name in kept if "scores" in name]


@given(st.integers(1, 5), SEEDS)
def test_losses_and_gradients_of_parts_add_up(first, seed):
    model = small_model(seed)
    ids, targets = np.random.default_rng(seed).integers(0, 7, (2, 6, 4))
    whole = loss_and_gradients(model.params, model.config, ids, targets)
    parts = [
        loss_and_gradients(model.params, model.config, ids[part], targets[part], count=ids.size)
        for part in (slice(first), slice(first, None))
    ]
    assert parts[0][0] + parts[1][0] == pytest.approx(whole[0], rel=1e-12)
    for name, gradient in whole[1].items():
        np.testing.assert_allclose(parts[0][1][name] + parts[1][1][name], gradient, rtol=1e-9, atol=1e-12)
