"""From logits to the loss: log-probabilities and cross-entropy, in nats (natural logarithms).

Course: notebook 12.
"""

import numpy as np

from neo_np.gpt_neo.fast import linear
from neo_np.gpt_neo.forward import output_embedding

POSITIONS_AT_A_TIME = 256  # the logits of a whole batch could take gigabytes


def log_softmax(x):
    """Return log(softmax(x)) over the last axis.

    A softmax can round to 0, and log(0) is -inf. Here the result is finite, because the sum contains exp(0) = 1.
    """
    shifted = x - x.max(axis=-1, keepdims=True)
    exp = np.exp(shifted, order="C")  # NumPy sums contiguous rows in pairs, which rounds less
    return shifted - np.log(exp.sum(axis=-1, keepdims=True))


def cross_entropy(logits, targets):
    """Return -log softmax(logits)[target] for each position, in nats: (..., V), (...) -> (...)."""
    return -np.take_along_axis(log_softmax(logits), targets[..., None], axis=-1)[..., 0]  # the entry of each target


def token_log_probs(hidden, targets, params):
    """Return (log_probs, is_likeliest), (N,) each: the log-probability of each target, and whether it has the highest logit.

    hidden: (N, C), the output of `transformer` at N positions. targets: (N,) the token that follows each position.
    """
    log_probs, is_likeliest = np.empty(len(hidden)), np.empty(len(hidden), bool)
    for start in range(0, len(hidden), POSITIONS_AT_A_TIME):
        part = slice(start, start + POSITIONS_AT_A_TIME)
        logits = linear(hidden[part], output_embedding(params))  # (up to 256, V)
        log_probs[part] = -cross_entropy(logits, targets[part])
        is_likeliest[part] = logits.argmax(axis=-1) == targets[part]
    return log_probs, is_likeliest
