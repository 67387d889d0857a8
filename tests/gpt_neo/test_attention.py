"""Attention against a slow loop that says query by query which keys it sees, and the properties that follow from that."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neo_np import Params
from neo_np.gpt_neo import forward as attention
from neo_np.gpt_neo.forward import QUERY_BLOCK, merge_heads, self_attention, split_heads

WINDOWS = st.none() | st.integers(1, 12)


def random_qkv(T, S, seed=0, B=2, H=3, D=4, dtype=np.float64):
    """Return q (B, H, T, D), k and v (B, H, S, D)."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal((B, H, length, D)).astype(dtype) for length in (T, S, S)]


def seen_keys(query, window_size, first=0):
    """Return the positions that the query at a position sees; those before `first` are padding."""
    return [key for key in range(first, query + 1) if window_size is None or query - key < window_size]


def slow_attention(q, k, v, window_size=None, padding=None):
    """Attention by its definition, one query at a time; NaN where a query is padding and sees nothing."""
    B, H, T, D = q.shape
    S = k.shape[2]
    out = np.full(q.shape, np.nan)
    for b, h, t in np.ndindex(B, H, T):
        keys = seen_keys(S - T + t, window_size, 0 if padding is None else padding[b])
        scores = [sum(q[b, h, t, d] * k[b, h, s, d] for d in range(D)) for s in keys]
        total = sum(math.exp(score) for score in scores)
        if keys:
            out[b, h, t] = sum(math.exp(score) / total * v[b, h, s] for score, s in zip(scores, keys, strict=True))
    return out


def attend(*qkv, block=QUERY_BLOCK, **how):
    """Run `attention`, with another number of queries for each block if wanted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "QUERY_BLOCK", block)
        return attention.attention(*qkv, **how)


@given(st.integers(1, 8), st.integers(0, 6), WINDOWS, st.sampled_from([1, 2, 3, QUERY_BLOCK]), st.integers(0, 99))
def test_attention_against_the_loop(T, past, window_size, block, seed):
    qkv = random_qkv(T, past + T, seed)
    found = attend(*qkv, block=block, window_size=window_size)
    np.testing.assert_allclose(found, slow_attention(*qkv, window_size), rtol=1e-9)


@given(st.integers(1, 8), st.integers(0, 6), WINDOWS, st.sampled_from([1, 3, QUERY_BLOCK]), st.tuples(*[st.integers(0, 5)] * 2))
def test_attention_with_padding_against_the_loop(T, past, window_size, block, padding):
    qkv = random_qkv(T, past + T)
    found = attend(*qkv, block=block, window_size=window_size, padding=np.array(padding))
    expected = slow_attention(*qkv, window_size, padding)
    text = ~np.isnan(expected)  # what a padding token gets is never looked at, but must be a number
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[text], expected[text], rtol=1e-9)


@pytest.mark.parametrize("window_size", [None, 1, 100, 300])
def test_attention_over_several_real_blocks_against_the_loop(window_size):
    T = 2 * QUERY_BLOCK + 9
    qkv = random_qkv(T, T + 5, B=1, H=1, D=2)
    np.testing.assert_allclose(attend(*qkv, window_size=window_size), slow_attention(*qkv, window_size), rtol=1e-9)


def test_scores_are_not_divided_by_the_root_of_the_head_size():
    q, k, v = random_qkv(5, 5, D=16)
    seen = {}
    attend(q, k, v, tap=seen.__setitem__)
    np.testing.assert_allclose(seen["attn.scores"], np.einsum("bhtd,bhsd->bhts", q, k))


def test_a_window_of_one_sees_itself_alone():
    q, k, v = random_qkv(6, 9)
    np.testing.assert_allclose(attend(q, k, v, window_size=1), v[:, :, 3:])


def test_what_is_hidden_stays_hidden_however_low_the_scores_are():
    _, k, v = random_qkv(6, 6)
    np.testing.assert_allclose(attend(-1e8 * k, k, v, window_size=1), v)


@given(WINDOWS, st.integers(1, 4), st.data())
def test_a_token_reaches_exactly_the_later_ones_in_whose_window_it_is(window_size, block, data):
    """Never an earlier one; in a local layer none that is `window_size` or more behind; in a global layer all later ones."""
    T = data.draw(st.integers(1, 14))
    changed = data.draw(st.integers(0, T - 1))
    qkv = random_qkv(T, T)
    others = [array.copy() for array in qkv]
    for array in others:
        array[:, :, changed] += 1.0
    before, after = (attend(*arrays, block=block, window_size=window_size) for arrays in (qkv, others))
    touched = [t for t in range(T) if np.abs(after - before)[:, :, t].max() > 1e-12]
    assert touched == [t for t in range(T) if changed in seen_keys(t, window_size)]


@given(st.integers(1, 8), st.integers(0, 4), WINDOWS)
def test_masks_against_the_loop(T, past, window_size):
    queries, keys = np.arange(past, past + T), np.arange(past + T)
    mask = attention.global_mask(queries, keys) if window_size is None else attention.local_mask(queries, keys, window_size)
    assert mask.tolist() == [[key in seen_keys(query, window_size) for key in keys] for query in queries]


@pytest.mark.parametrize("window_size", [None, 1, 3, 50])
@pytest.mark.parametrize(("T", "S"), [(10, 10), (10, 13), (4, 4), (1, 9)])
def test_taps_name_each_block_and_cover_everything_once(T, S, window_size):
    q, k, v = random_qkv(T, S)
    seen = []
    attend(q, k, v, block=4, window_size=window_size, tap=lambda *named: seen.append(named))
    names = [re.fullmatch(r"attn\.(scores|weights)(?:\[(\d+):(\d+), (\d+):(\d+)\])?", name).groups() for name, _ in seen]
    assert [kind for kind, *_ in names] == ["scores", "weights"] * math.ceil(T / 4)
    weights = np.zeros((2, 3, T, S))
    for (kind, *ranges), (_, array) in zip(names, seen, strict=True):
        first_query, last_query, first_key, last_key = map(int, ranges) if ranges[0] else (S - T, S, 0, S)
        assert array.shape == (2, 3, last_query - first_query, last_key - first_key)
        if kind == "weights":
            weights[:, :, first_query - (S - T) : last_query - (S - T), first_key:last_key] += array
    np.testing.assert_allclose(weights.sum(axis=-1), 1)
    np.testing.assert_allclose(weights @ v, slow_attention(q, k, v, window_size))


def test_taps_have_plain_names_where_one_block_is_the_whole():
    seen = {}
    attend(*random_qkv(5, 5), window_size=2, tap=seen.__setitem__)
    assert list(seen) == ["attn.scores", "attn.weights"]


@pytest.mark.parametrize(("window_size", "most_keys"), [(None, 1000), (10, QUERY_BLOCK + 10 - 1)])
def test_scores_are_held_for_a_block_of_queries_at_a_time(window_size, most_keys):
    shapes = []
    attend(
        *random_qkv(1000, 1000, B=1, H=1, D=1),
        window_size=window_size,
        tap=lambda name, array: shapes.append(array.shape),
    )
    assert max(queries for *_, queries, _ in shapes) == QUERY_BLOCK
    assert max(keys for *_, keys in shapes) == most_keys


def test_what_a_tap_returns_goes_on():
    q, k, v = random_qkv(4, 4)
    last = np.zeros((2, 3, 4, 4))
    last[..., 3] = 1  # every query looks at the last key, even those that may not see it
    found = attend(q, k, v, tap=lambda name, array: last if name == "attn.weights" else None)
    np.testing.assert_allclose(found, np.broadcast_to(v[:, :, 3:], v.shape))


def test_heads_are_neighbouring_channels():
    x = np.arange(2 * 3 * 8).reshape(2, 3, 8)
    heads = split_heads(x, 4)
    assert all(heads[b, h, t].tolist() == x[b, t, 2 * h : 2 * h + 2].tolist() for b, h, t in np.ndindex(2, 4, 3))
    np.testing.assert_array_equal(merge_heads(heads), x)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_self_attention_against_its_parts_and_its_taps(dtype):
    """q, k and v are plain products without a bias; the output projection has one."""
    rng = np.random.default_rng(0)
    names = [*(f"{part}_proj.weight" for part in ("q", "k", "v", "out")), "out_proj.bias"]
    p = Params({name: rng.standard_normal((6, 6) if name.endswith("weight") else 6).astype(dtype) for name in names})
    x = rng.standard_normal((2, 5, 6)).astype(dtype)
    seen = {}
    found = self_attention(x, p, num_heads=3, window_size=2, tap=seen.__setitem__)
    qkv = [split_heads(x @ part.weight.T, 3) for part in (p.q_proj, p.k_proj, p.v_proj)]
    heads = slow_attention(*qkv, window_size=2)
    expected = merge_heads(heads) @ p.out_proj.weight.T + p.out_proj.bias
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert list(seen) == ["attn." + name for name in ("q", "k", "v", "scores", "weights", "heads", "out")]
    for name, array in zip(("q", "k", "v", "heads", "out"), [*qkv, heads, expected], strict=True):
        np.testing.assert_allclose(seen[f"attn.{name}"], array, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("padding", [None, np.array([1, 0])])
def test_precision_stays(dtype, padding):
    assert attend(*random_qkv(3, 5, dtype=dtype), window_size=2, padding=padding).dtype == dtype
