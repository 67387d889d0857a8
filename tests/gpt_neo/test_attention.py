"""Attention against a slow loop that says query by query which keys it sees, and the properties that follow from that."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neo_np import Params
from neo_np.gpt_neo import fast, forward
from neo_np.gpt_neo.fast import QUERY_BLOCK
from neo_np.gpt_neo.forward import LOWEST, causal_mask, merge_heads, self_attention, split_heads

WINDOWS = st.none() | st.integers(1, 12)


def random_qkv(T, S, seed=0, B=2, H=3, D=4, dtype=np.float64):
    """Return q (B, H, T, D), k and v (B, H, S, D)."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((B, H, length, D)).astype(dtype) for length in (T, S, S)]


def seen_keys(query, window_size, first=0):
    """Return the positions that the query at a position sees; those before `first` are padding."""
    return [key for key in range(first, query + 1) if window_size is None or query - key < window_size]


def slow_attention(q, k, v, window=None, padding=None):
    """Attention by its definition, one query at a time; NaN where a query is padding and sees nothing."""
    B, H, T, D = q.shape
    S = k.shape[2]
    out = np.full(q.shape, np.nan)
    for b, h, t in np.ndindex(B, H, T):
        keys = seen_keys(S - T + t, window, 0 if padding is None else padding[b])
        scores = [sum(q[b, h, t, d] * k[b, h, s, d] for d in range(D)) for s in keys]
        total = sum(math.exp(score) for score in scores)
        if keys:
            out[b, h, t] = sum(math.exp(score) / total * v[b, h, s] for score, s in zip(scores, keys, strict=True))
    return out


def attend(*qkv, block=None, **how):
    """Run the formula, or its fast twin with this many queries in each block."""
    if block is None:
        return forward.attention(*qkv, **how)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast, "QUERY_BLOCK", block)
        return fast.attention(*qkv, **how)


BLOCKS = st.sampled_from([None, 1, 2, 3, QUERY_BLOCK])  # None: the formula


@given(st.integers(1, 8), st.integers(0, 6), WINDOWS, BLOCKS, st.integers(0, 99))
def test_attention_against_the_loop(T, past, window_size, block, seed):
    qkv = random_qkv(T, past + T, seed)
    found = attend(*qkv, block=block, window=window_size)
    np.testing.assert_allclose(found, slow_attention(*qkv, window_size), rtol=1e-9)


@given(st.integers(1, 8), st.integers(0, 6), WINDOWS, BLOCKS, st.tuples(*[st.integers(0, 5)] * 2))
def test_attention_with_padding_against_the_loop(T, past, window_size, block, padding):
    qkv = random_qkv(T, past + T)
    found = attend(*qkv, block=block, window=window_size, padding=np.array(padding)[:, None])
    expected = slow_attention(*qkv, window_size, padding)
    text = ~np.isnan(expected)  # what a padding token gets is never looked at, but must be a number
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[text], expected[text], rtol=1e-9)


@pytest.mark.parametrize("window_size", [None, 1, 100, 300])
def test_attention_over_several_real_blocks_against_the_loop(window_size):
    T = 2 * QUERY_BLOCK + 9
    qkv = random_qkv(T, T + 5, B=1, H=1, D=2)
    np.testing.assert_allclose(fast.attention(*qkv, window=window_size), slow_attention(*qkv, window_size), rtol=1e-9)


def test_scores_are_not_divided_by_the_root_of_the_head_size():
    q, k, v = random_qkv(5, 5, D=16)
    seen = {}
    attend(q, k, v, hook=lambda name, array: seen.setdefault(name, array))
    np.testing.assert_allclose(seen["attn.scores"], np.einsum("bhtd,bhsd->bhts", q, k))


def test_a_window_of_one_sees_only_itself():
    q, k, v = random_qkv(6, 9)
    np.testing.assert_allclose(attend(q, k, v, window=1), v[:, :, 3:])


def test_what_is_hidden_stays_hidden_however_low_the_scores_are():
    _, k, v = random_qkv(6, 6)
    np.testing.assert_allclose(attend(-1e8 * k, k, v, window=1), v)


@given(WINDOWS, st.integers(1, 4), st.data())
def test_a_token_reaches_exactly_the_later_ones_in_whose_window_it_is(window_size, block, data):
    """Never an earlier one; in a local layer none that is `window_size` or more behind; in a global layer all later ones."""
    T = data.draw(st.integers(1, 14))
    changed = data.draw(st.integers(0, T - 1))
    qkv = random_qkv(T, T)
    others = [array.copy() for array in qkv]
    for array in others:
        array[:, :, changed] += 1.0
    before, after = (attend(*arrays, block=block, window=window_size) for arrays in (qkv, others))
    touched = [t for t in range(T) if np.abs(after - before)[:, :, t].max() > 1e-12]
    assert touched == [t for t in range(T) if changed in seen_keys(t, window_size)]


@given(st.integers(1, 8), st.integers(0, 4), WINDOWS, st.none() | st.lists(st.integers(0, 12), min_size=1, max_size=3))
def test_causal_mask_against_the_loop(T, past, window, padding):
    queries, keys = np.arange(past, past + T), np.arange(past + T)
    column = 0 if padding is None else np.array(padding)[:, None]
    mask = causal_mask(queries, keys, window, column)
    rows = mask[None] if padding is None else mask[:, 0]  # (B, T, S)
    for row, first in zip(rows, [0] if padding is None else padding, strict=True):
        assert (row == 0).tolist() == [[key in seen_keys(query, window, first) for key in keys] for query in queries]
        assert set(row.flat) <= {0.0, LOWEST}


@pytest.mark.parametrize("window", [None, 1, 3, 50])
@pytest.mark.parametrize(("T", "S"), [(10, 10), (10, 13), (4, 4), (1, 9)])
def test_fast_attention_shows_each_query_and_the_keys_it_needs_once(T, S, window):
    q, k, v = random_qkv(T, S)
    blocks, stop, weights = [], S - T, np.zeros((2, 3, T, S))
    attend(q, k, v, block=4, window=window, hook=lambda name, array: blocks.append((name, array)) or array)
    assert [name for name, _ in blocks] == ["attn.weights"] * math.ceil(T / 4)
    for _, block in blocks:
        start, stop = stop, stop + block.shape[2]
        weights[:, :, start - (S - T) : stop - (S - T), stop - block.shape[3] : stop] += block
    np.testing.assert_allclose(weights.sum(axis=-1), 1)
    np.testing.assert_allclose(weights @ v, slow_attention(q, k, v, window))


def test_formula_attention_shows_scores_mask_and_weights_whole():
    seen = {}
    q, k, v = random_qkv(70, 75)
    attend(q, k, v, window=2, hook=lambda name, array: seen.setdefault(name, array))
    assert {name: array.shape for name, array in seen.items()} == {
        "attn.scores": (2, 3, 70, 75),
        "attn.mask": (70, 75),
        "attn.weights": (2, 3, 70, 75),
    }
    total = seen["attn.scores"] + seen["attn.mask"]
    np.testing.assert_allclose(seen["attn.weights"], np.exp(total) / np.exp(total).sum(axis=-1, keepdims=True))


@pytest.mark.parametrize(("window", "most_keys"), [(None, 1000), (10, QUERY_BLOCK + 10 - 1)])
def test_scores_are_held_for_a_block_of_queries_at_a_time(window, most_keys):
    shapes = []
    fast.attention(
        *random_qkv(1000, 1000, B=1, H=1, D=1), window=window, hook=lambda name, array: shapes.append(array.shape) or array
    )
    assert max(queries for *_, queries, _ in shapes) == QUERY_BLOCK
    assert max(keys for *_, keys in shapes) == most_keys


def test_attention_goes_on_with_the_weights_that_a_hook_returns():
    q, k, v = random_qkv(4, 4)
    last = np.zeros((2, 3, 4, 4))
    last[..., 3] = 1  # every query looks at the last key, even those that may not see it
    found = attend(q, k, v, hook=lambda name, array: last if name == "attn.weights" else array)
    np.testing.assert_allclose(found, np.broadcast_to(v[:, :, 3:], v.shape))


def test_heads_are_neighbouring_channels():
    x = np.arange(2 * 3 * 8).reshape(2, 3, 8)
    heads = split_heads(x, 4)
    assert all(heads[b, h, t].tolist() == x[b, t, 2 * h : 2 * h + 2].tolist() for b, h, t in np.ndindex(2, 4, 3))
    np.testing.assert_array_equal(merge_heads(heads), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_self_attention_against_its_parts_and_its_hooks(dtype):
    """q, k and v are plain products without a bias; the output projection has one."""
    rng = np.random.default_rng(0)
    names = [*(f"{part}_proj.weight" for part in ("q", "k", "v", "out")), "out_proj.bias"]
    p = Params({name: rng.standard_normal((6, 6) if name.endswith("weight") else 6).astype(dtype) for name in names})
    x = rng.standard_normal((2, 5, 6)).astype(dtype)
    seen = {}
    found = self_attention(x, p, num_heads=3, window=2, hook=lambda name, array: seen.setdefault(name, array))
    qkv = [split_heads(x @ part.weight.T, 3) for part in (p.q_proj, p.k_proj, p.v_proj)]
    heads = slow_attention(*qkv, window=2)
    expected = merge_heads(heads) @ p.out_proj.weight.T + p.out_proj.bias
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert list(seen) == ["attn." + name for name in ("q", "k", "v", "scores", "mask", "weights", "z", "out")]
    for name, array in zip(("q", "k", "v", "z", "out"), [*qkv, heads, expected], strict=True):
        np.testing.assert_allclose(seen[f"attn.{name}"], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("padding", [0, np.array([[1], [0]])])
def test_precision_stays(dtype, padding):
    assert attend(*random_qkv(3, 5, dtype=dtype), window=2, padding=padding).dtype == dtype
