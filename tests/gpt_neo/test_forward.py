"""The layers against slow formulas in pure Python, and against what mathematics says of them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from neo_np import Config, NeoError, Params
from neo_np.gpt_neo import activations, loss
from neo_np.gpt_neo import forward as layers
from neo_np.gpt_neo.config import ACTIVATION_NAMES

GRID = np.linspace(-12, 12, 48_001)
FORMULAS = {
    "gelu_new": lambda x: 0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "relu": lambda x: max(x, 0.0),
    "silu": lambda x: x / (1 + math.exp(-x)),
}


def numbers(shape=None, size=50, smallest=1):
    """Strategy: arrays of float64 between -size and size, by default of one to three axes."""
    shape = array_shapes(min_dims=1, max_dims=3, max_side=6, min_side=smallest) if shape is None else shape
    return arrays(np.float64, shape, elements=st.floats(-size, size))


def random_numbers(*shape):
    return np.random.default_rng(0).standard_normal(shape)


def mlp_params(dtype=np.float64):
    """Weights of an MLP from 3 channels to 5 and back."""
    shapes = {"c_fc.weight": (5, 3), "c_fc.bias": (5,), "c_proj.weight": (3, 5), "c_proj.bias": (3,)}
    return Params({name: random_numbers(*shape).astype(dtype) for name, shape in shapes.items()})


# Softmax, log-softmax, cross-entropy


@given(numbers())
def test_softmax_against_the_formula(x):
    for row, result in zip(x.reshape(-1, x.shape[-1]), layers.softmax(x).reshape(-1, x.shape[-1]), strict=True):
        total = math.fsum(math.exp(number) for number in row)
        np.testing.assert_allclose(result, [math.exp(number) / total for number in row], rtol=1e-12)


@given(numbers())
def test_softmax_rows_sum_to_one(x):
    np.testing.assert_allclose(layers.softmax(x).sum(axis=-1), 1, rtol=1e-12)


@given(numbers(), st.floats(-1000, 1000))
def test_softmax_does_not_notice_a_shift(x, shift):
    np.testing.assert_allclose(layers.softmax(x + shift), layers.softmax(x), rtol=1e-9)


@pytest.mark.parametrize("largest", [1e4, 1e30])
def test_softmax_does_not_overflow(largest):
    x = np.array([largest, largest, 0, -largest / 4], np.float32)
    np.testing.assert_array_equal(layers.softmax(x), [0.5, 0.5, 0, 0])


def test_softmax_gives_a_forbidden_entry_nothing():
    np.testing.assert_array_equal(layers.softmax(np.array([1.0, -np.inf, 1.0])), [0.5, 0, 0.5])


@given(numbers())
def test_log_softmax_is_the_logarithm_of_softmax(x):
    np.testing.assert_allclose(loss.log_softmax(x), np.log(layers.softmax(x)), rtol=1e-9, atol=1e-12)


def test_log_softmax_is_finite_where_softmax_rounds_to_zero():
    np.testing.assert_allclose(loss.log_softmax(np.array([0.0, -2000.0])), [0, -2000])


@given(numbers((4, 3, 7)), arrays(np.int64, (4, 3), elements=st.integers(0, 6)))
def test_cross_entropy_against_the_formula(logits, targets):
    found = loss.cross_entropy(logits, targets)
    assert found.shape == (4, 3)
    for place, target in np.ndenumerate(targets):
        total = math.fsum(math.exp(number) for number in logits[place])
        assert found[place] == pytest.approx(math.log(total) - logits[place][target], rel=1e-9, abs=1e-9)


# Layer norm


@given(numbers(), st.sampled_from([1e-5, 1e-3, 0.1]))
def test_layer_norm_against_the_formula(x, eps):
    C = x.shape[-1]
    weight, bias = random_numbers(C), random_numbers(2, C)[1]
    found = layers.layer_norm(x, weight, bias, eps).reshape(-1, C)
    for row, result in zip(x.reshape(-1, C), found, strict=True):
        mean = math.fsum(row) / C
        variance = math.fsum((number - mean) ** 2 for number in row) / C
        expected = [w * (number - mean) / math.sqrt(variance + eps) + b for number, w, b in zip(row, weight, bias, strict=True)]
        np.testing.assert_allclose(result, expected, rtol=1e-9, atol=1e-9)


def plain_layer_norm(x, eps=1e-12):
    """Layer norm without gain and bias."""
    return layers.layer_norm(x, np.ones(x.shape[-1]), np.zeros(x.shape[-1]), eps)


def spread_rows(x):
    """Return x with rows that are no constants: layer norm divides by their spread."""
    return x + 10 * np.arange(x.shape[-1]) * (1 + np.abs(x).max())


@given(numbers(smallest=2))
def test_layer_norm_makes_mean_0_and_variance_1(x):
    normed = plain_layer_norm(spread_rows(x))
    np.testing.assert_allclose(normed.mean(axis=-1), 0, atol=1e-9)
    np.testing.assert_allclose(normed.var(axis=-1), 1, rtol=1e-9)


@given(numbers(smallest=2), st.floats(-100, 100), st.floats(0.01, 100))
def test_layer_norm_does_not_notice_shift_and_scale(x, shift, scale):
    x = spread_rows(x)
    np.testing.assert_allclose(plain_layer_norm(scale * x + shift), plain_layer_norm(x), atol=1e-6)


# Linear, embeddings, MLP


@pytest.mark.parametrize("shape", [(3,), (4, 3), (2, 4, 3)])
def test_linear_against_a_loop(shape):
    x, weight, bias = random_numbers(*shape), random_numbers(5, 3), random_numbers(5)
    for b in ([], [bias]):
        found = layers.linear(x, weight, *b)
        assert found.shape == (*shape[:-1], 5)
        for place in np.ndindex(found.shape):
            *row, out = place
            expected = sum(x[(*row, i)] * weight[out, i] for i in range(3)) + (b[0][out] if b else 0)
            assert found[place] == pytest.approx(expected)


def test_embed_adds_the_row_of_the_token_and_the_row_of_the_position():
    wte, wpe = random_numbers(7, 3), random_numbers(2, 5, 3)[1]
    ids, positions = np.array([[6, 0, 6], [2, 2, 1]]), np.array([[0, 1, 2], [0, 0, 4]])
    found = layers.embed(ids, positions, wte, wpe)
    for b, t in np.ndindex(2, 3):
        assert found[b, t].tolist() == [wte[ids[b, t], c] + wpe[positions[b, t], c] for c in range(3)]


@pytest.mark.parametrize("name", FORMULAS)
def test_mlp_against_the_formula_and_its_hooks(name):
    x, p, seen = random_numbers(2, 4, 3), mlp_params(), {}
    found = layers.mlp(x, p, name, hook=lambda name, array: seen.setdefault(name, array))
    pre = x @ p.c_fc.weight.T + p.c_fc.bias
    hidden = np.vectorize(FORMULAS[name])(pre)
    expected = hidden @ p.c_proj.weight.T + p.c_proj.bias
    assert list(seen) == ["mlp.pre", "mlp.post", "mlp.out"]
    for array, formula in zip(seen.values(), [pre, hidden, expected], strict=True):
        np.testing.assert_allclose(array, formula, atol=1e-8)
    np.testing.assert_array_equal(found, seen["mlp.out"])


# Activations


@pytest.mark.parametrize("name", FORMULAS)
def test_activation_against_the_formula(name):
    expected = [FORMULAS[name](x) for x in GRID]
    np.testing.assert_allclose(layers.ACTIVATIONS[name](GRID), expected, rtol=0, atol=1e-13)
    short = GRID.astype(np.float32)
    expected = [FORMULAS[name](float(x)) for x in short]
    np.testing.assert_allclose(layers.ACTIVATIONS[name](short), expected, rtol=1e-6, atol=1e-6)


def test_gelu_new_is_not_gelu():
    """The tanh form differs by at most 5e-4."""
    assert 1e-4 < np.abs(layers.gelu_new(GRID) - activations.gelu(GRID)).max() < 1e-3


def test_erf_is_off_by_less_than_1e_15():
    x = np.concatenate([GRID, np.linspace(0.468, 0.47, 2001), [-1e30, 1e-30, 1e30, -np.inf, np.inf]])
    np.testing.assert_allclose(activations.erf(x), [math.erf(number) for number in x], rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", FORMULAS)
def test_activation_of_large_numbers(name):
    found = layers.ACTIVATIONS[name](np.array([-1e4, 0, 1e4], np.float32))
    np.testing.assert_array_equal(found, [0, 0, 1e4])


def test_activation_names_of_config_are_those_of_the_functions():
    assert list(ACTIVATION_NAMES) == list(layers.ACTIVATIONS)


@pytest.mark.parametrize("name", ["mish", "GELU", "", None, ["gelu"]])
def test_config_with_an_unknown_activation_is_refused(name):
    with pytest.raises(NeoError, match=r"activation_function is .*neo_np knows gelu_new, gelu, relu, silu") as error:
        Config(9, 4, 1, 1, 8, ["global"], activation_function=name, bos_token_id=0, eos_token_id=0)
    assert repr(name) in str(error.value)


# What holds for all of them


CALLS = {
    "softmax": lambda x: layers.softmax(x),
    "log_softmax": lambda x: loss.log_softmax(x),
    "cross_entropy": lambda x: loss.cross_entropy(x, np.zeros(x.shape[:-1], int)),
    "layer_norm": lambda x: layers.layer_norm(x, x[0, 0], x[0, 1], 1e-5),
    "linear": lambda x: layers.linear(x, x[0], x[0, :, 0]),
    "embed": lambda x: layers.embed(np.array([[0, 1]]), np.array([[0, 1]]), x[0], x[1]),
    "mlp": lambda x: layers.mlp(x, mlp_params(x.dtype), "gelu_new"),
    "erf": lambda x: activations.erf(x),
} | layers.ACTIVATIONS


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", CALLS)
def test_precision_stays_and_what_goes_in_is_left_alone(name, dtype):
    x = random_numbers(2, 4, 3).astype(dtype)
    before = x.copy()
    assert CALLS[name](x).dtype == dtype
    np.testing.assert_array_equal(x, before)
