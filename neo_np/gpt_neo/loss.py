"""loss."""

import numpy as np


def log_softmax(x):
    """Return log(softmax(x)) over the last axis, without the logarithm of a rounded zero."""
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def cross_entropy(logits, targets):
    """Return -log softmax(logits)[target] for each position, in nats: (..., V), (...) -> (...)."""
    return -np.take_along_axis(log_softmax(logits), targets[..., None], axis=-1)[..., 0]
