"""Every fast twin against its formula, on random shapes, and whole models both ways."""

import inspect
from unittest import mock

import numpy as np
import pytest
from helpers import pad_left, random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from neo_np.gpt_neo import backward, fast, forward
from neo_np.gpt_neo.backward import loss_and_gradients

SIZES = st.integers(1, 5)
SEEDS = st.integers(0, 10**6)


def draw(seed, *shapes, dtype=np.float64):
    """Return normal random arrays."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in shapes]


@pytest.mark.parametrize("rows", [1, 2, 256, 257])
@pytest.mark.parametrize("outputs", [5, 4096, 4097, 9000])
def test_linear_in_every_order_of_computation_equals_the_formula(rows, outputs):
    x, weight, bias = draw(0, (rows, 6), (outputs, 6), (outputs,))
    for given_bias in ([], [bias]):
        expected = forward.linear(x, weight, *given_bias)
        np.testing.assert_allclose(fast.linear(x, weight, *given_bias), expected, rtol=0, atol=1e-12)
        np.testing.assert_allclose(fast.linear(x[None], weight, *given_bias), expected[None], rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", forward.ACTIVATIONS)
@given(st.integers(1, 100), SIZES, st.integers(1, 300), SEEDS)
def test_activate_in_blocks_of_rows_equals_the_formula(name, rows, width, numbers, seed):
    [x] = draw(seed, (2, rows, width))
    x *= 4
    expected = forward.activate(x, name)
    with mock.patch.object(fast, "CACHED_NUMBERS", numbers):
        np.testing.assert_allclose(fast.activate(x, name), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("rows", "width", "blocks"), [(1, 3072, [1]), (70, 3072, [32, 32, 6]), (2, 200_000, [1, 1])])
def test_activate_takes_at_most_100_000_numbers_at_a_time(rows, width, blocks, monkeypatch):
    seen = []
    monkeypatch.setitem(fast.ACTIVATIONS, "relu", lambda x: seen.append(len(x)) or x)
    fast.activate(np.ones((rows, 1, width)), "relu")
    assert seen == blocks


@given(SIZES, SIZES, SEEDS)
def test_gelu_new_in_place_equals_the_formula(rows, width, seed):
    [x] = draw(seed, (rows, width))
    x *= 4
    x_before = x.copy()
    np.testing.assert_allclose(fast.gelu_new(x), forward.gelu_new(x), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(x, x_before)


@given(SIZES, SIZES, SEEDS)
def test_gelu_new_backward_in_place_equals_the_formula(rows, width, seed):
    dy, several, x = draw(seed, (rows, width), (3, rows, width), (rows, width))
    x *= 4
    before = x.copy(), dy.copy()
    for dy_of_one_or_more in (dy, several):  # several derivatives of the same x, as for attribution
        found = fast.gelu_new_backward(dy_of_one_or_more, x)
        np.testing.assert_allclose(found, backward.gelu_new_backward(dy_of_one_or_more, x), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal((x, dy), before)


@given(SIZES, SIZES, SEEDS)
def test_softmax_in_place_equals_the_formula(rows, width, seed):
    [x] = draw(seed, (rows, width))
    expected = forward.softmax(x)
    assert fast.softmax(x) is x
    np.testing.assert_array_equal(x, expected)


@settings(max_examples=30)
@given(st.integers(1, 150), st.integers(0, 80), st.none() | st.integers(1, 90), st.booleans(), SEEDS)
def test_attention_in_blocks_equals_the_formula(T, past, window, padded, seed):
    q, k, v = draw(seed, (2, 2, T, 3), (2, 2, past + T, 3), (2, 2, past + T, 3))
    padding = np.array([[0], [min(past, 7)]]) if padded else 0
    expected = forward.attention(q, k, v, window, padding)
    np.testing.assert_allclose(fast.attention(q, k, v, window, padding), expected, rtol=1e-9, atol=1e-12)


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 49), min_size=1, max_size=90), min_size=1, max_size=3), st.integers(1, 99), SEEDS)
def test_logits_of_whole_models_are_equal_both_ways(rows, window, seed):
    model = random_model(seed, max_position_embeddings=90, window_size=window)
    ids, mask = pad_left(rows)
    seen = {}
    expected = model.logits(ids, mask=mask, fast=False)
    for found in (model.logits(ids, mask=mask), model.logits(ids, mask=mask, hook=seen.__setitem__)):
        np.testing.assert_allclose(found[mask == 1], expected[mask == 1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_are_equal_both_ways(dtype):
    model = random_model(0, dtype=dtype, max_position_embeddings=150, window_size=20)
    ids, targets = np.random.default_rng(0).integers(50, size=(2, 2, 150))
    (loss, gradients), (expected_loss, expected) = (
        loss_and_gradients(model.params, model.config, ids, targets, fast=fast) for fast in (True, False)
    )
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    assert loss == pytest.approx(expected_loss, rel=tolerance)
    for name, gradient in gradients.items():
        assert np.linalg.norm(gradient - expected[name]) <= tolerance * np.linalg.norm(expected[name])


def test_twins_have_the_arguments_of_their_formulas():
    for module, names in ((forward, "linear attention activate gelu_new softmax"), (backward, "gelu_new_backward")):
        for name in names.split():
            formula, twin = (list(inspect.signature(getattr(place, name)).parameters) for place in (module, fast))
            assert twin == formula, name


def test_with_twins_replaces_what_the_other_functions_call():
    called = []
    copy = fast.with_twins(linear=lambda *args: called.append("linear") or forward.linear(*args))
    model = random_model()
    expected = forward.forward(model.params, model.config, np.array([[1, 2]]))
    np.testing.assert_array_equal(copy.forward(model.params, model.config, np.array([[1, 2]])), expected)
    assert len(called) == 2 * 6 + 1  # q, k, v, out, c_fc, c_proj in two layers, and the logits
    assert forward.linear is not copy.linear
    called.clear()
    forward.forward(model.params, model.config, np.array([[1, 2]]))
    assert not called
