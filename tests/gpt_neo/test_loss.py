"""The log-probabilities and their precision."""

import numpy as np
import pytest

from neo_np.gpt_neo.loss import log_softmax


@pytest.mark.parametrize("order", ["C", "F"])
def test_log_softmax_in_float32_is_the_definition_to_six_digits_in_any_order_of_memory(order):
    """Beside the likeliest token thousands of small terms count: added one by one to 1, each of them would be rounded."""
    logits = np.random.default_rng(0).normal(-15, 1, (16, 4096)).astype(np.float32)
    logits[:, 7] = 0
    exact = logits.astype(float) - np.log(np.exp(logits.astype(float)).sum(axis=-1, keepdims=True))
    found = log_softmax(np.asarray(logits, order=order))
    assert found.dtype == np.float32
    assert np.abs(found[:, 7] - exact[:, 7]).max() <= 1e-6
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-6)
