"""AdamW against its algorithm written out for one number; clipping and schedule against their definitions."""

import math

import numpy as np
import pytest
from helpers import random_model
from hypothesis import given
from hypothesis import strategies as st

from neo_np.train.optimizer import AdamW, adamw, clip_gradients, decays, learning_rate


def adamw_of_one_number(p, gradients, rates, b1, b2, eps, decay):
    """Algorithm 2 of Loshchilov and Hutter (arXiv 1711.05101), line by line."""
    m = v = 0.0
    for t, (g, rate) in enumerate(zip(gradients, rates), start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * g**2
        m_hat = m / (1 - b1**t)
        v_hat = v / (1 - b2**t)
        p = p - rate * (m_hat / (math.sqrt(v_hat) + eps)) - rate * decay * p
    return p


RATES = st.lists(st.floats(0, 0.1), min_size=1, max_size=8)


@given(RATES, st.integers(0, 99), st.floats(0, 0.99), st.floats(0, 0.999), st.sampled_from([1e-8, 0.1]), st.floats(0, 1))
def test_adamw_equals_the_algorithm_for_each_number(rates, seed, b1, b2, eps, decay):
    rng = np.random.default_rng(seed)
    start, gradients = rng.standard_normal((2, 3)), rng.standard_normal((len(rates), 2, 3))
    params = {"h.0.mlp.c_fc.weight": start.copy()}
    optimizer = AdamW(params, (b1, b2), eps, decay)
    for g, rate in zip(gradients, rates):
        optimizer.update(params, {"h.0.mlp.c_fc.weight": g.copy()}, rate)
    assert optimizer.step == len(rates)
    for place in np.ndindex(2, 3):
        expected = adamw_of_one_number(start[place], gradients[:, place[0], place[1]], rates, b1, b2, eps, decay)
        assert params["h.0.mlp.c_fc.weight"][place] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_decays_is_true_for_matrices_and_optionally_not_for_embeddings():
    params = random_model(tie_word_embeddings=False).params.flat()
    matrices = {name for name in params if name.endswith("weight") and ".ln_" not in f".{name}"}
    assert {name for name, array in params.items() if decays(name, array)} == matrices
    without = {name for name, array in params.items() if decays(name, array, decay_embeddings=False)}
    assert matrices - without == {"wte.weight", "wpe.weight"}
    assert AdamW(params, weight_decay=0.3).decay == {name: 0.3 if name in matrices else 0.0 for name in params}


def test_adamw_keeps_precision_and_arrays():
    params = random_model().params.flat()
    arrays = dict(params)
    optimizer = AdamW(params)
    optimizer.update(params, {name: np.ones_like(array) for name, array in params.items()}, np.float64(1e-3))
    for name, array in params.items():
        assert array is arrays[name]
        assert array.dtype == optimizer.m[name].dtype == optimizer.v[name].dtype == np.float32


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.floats(0.01, 10), st.integers(0, 99))
def test_clip_gradients_scales_all_to_the_greatest_norm(sizes, max_norm, seed):
    rng = np.random.default_rng(seed)
    gradients = {str(i): rng.standard_normal((size, 2)) for i, size in enumerate(sizes)}
    before = np.concatenate([g.ravel() for g in gradients.values()])
    norm = clip_gradients(gradients, max_norm)
    after = np.concatenate([g.ravel() for g in gradients.values()])
    assert norm == pytest.approx(np.linalg.norm(before), rel=1e-12)
    np.testing.assert_allclose(after, before * min(1, max_norm / norm), rtol=1e-12)
    assert clip_gradients(gradients, max_norm) <= max_norm * (1 + 1e-12)


def test_clip_gradients_of_zeros_and_of_nan():
    assert clip_gradients({"a": np.zeros(3)}, 1.0) == 0
    assert math.isnan(clip_gradients({"a": np.array([1.0, np.nan])}, 1.0))


@given(st.integers(1, 200), st.integers(0, 50), st.floats(0, 0.5))
def test_learning_rate_rises_to_the_peak_and_falls_to_the_minimum(steps, warmup_steps, minimum):
    warmup_steps = min(warmup_steps, steps)
    rates = [learning_rate(step, steps, 1.0, warmup_steps, minimum) for step in range(1, steps + 1)]
    assert rates[:warmup_steps] == pytest.approx([(step + 1) / warmup_steps for step in range(warmup_steps)])
    falling = rates[max(0, warmup_steps - 1) :]
    assert falling == sorted(falling, reverse=True)
    assert all(minimum - 1e-12 <= rate <= 1 for rate in falling)
    if warmup_steps < steps:
        assert rates[-1] == pytest.approx(minimum)
    if (steps + warmup_steps) % 2 == 0 and warmup_steps < steps:  # half-way the cosine is at half the height
        assert rates[(steps + warmup_steps) // 2 - 1] == pytest.approx((1 + minimum) / 2)


@pytest.mark.parametrize("shape", [(1,), (7,), (300, 400), (3, 5, 70_000), (1, 100_000)])
def test_adamw_in_blocks_of_rows_equals_one_formula(shape):
    """Arrays of many blocks, of one, of rows longer than a block, and transposed ones."""
    rng = np.random.default_rng(0)
    p, g, m = rng.standard_normal((3, *shape))
    v = rng.random(shape)
    expected = adamw(p, g, m, v, 3, 0.1, 0.2, (0.9, 0.99), 1e-8)
    for array in (p, p.T.copy().T):
        params = {"h.0.mlp.c_fc.weight": array}
        optimizer = AdamW(params, (0.9, 0.99), 1e-8, 0.2 if len(shape) > 1 else 0)
        optimizer.step, optimizer.m, optimizer.v = 2, {"h.0.mlp.c_fc.weight": m.copy()}, {"h.0.mlp.c_fc.weight": v.copy()}
        optimizer.decay = {"h.0.mlp.c_fc.weight": 0.2}
        optimizer.update(params, {"h.0.mlp.c_fc.weight": g}, 0.1)
        found = (params["h.0.mlp.c_fc.weight"], *optimizer.m.values(), *optimizer.v.values())
        for a, b in zip(found, expected):
            np.testing.assert_array_equal(a, b)
