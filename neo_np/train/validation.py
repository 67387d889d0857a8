"""validation."""

import math

import numpy as np

from neo_np.gpt_neo.loss import cross_entropy

VALIDATION_BATCH = 2


def validation_windows(tokens, length, most):
    """Return up to `most` windows spread evenly over the tokens, (B, T) int64; none where the tokens are too few."""
    count = min(most, len(tokens) // length)
    starts = np.linspace(0, len(tokens) - length, count).astype(int)
    return np.array([tokens[start : start + length] for start in starts], np.int64).reshape(count, length)


def validate(model, windows):
    """Return {"valid_loss": nats per token, "bits_per_byte"} of windows (B, T + 1), the first token of each not scored.

    A quick look while training goes on: a window's first tokens have little context. `neo_np.evaluate` gives every token
    some, and so finds a lower loss.
    """
    nats, targets, special = 0.0, windows[:, 1:], model.tokenizer.special_tokens.values()
    for start in range(0, len(windows), VALIDATION_BATCH):
        batch = windows[start : start + VALIDATION_BATCH]
        nats += float(cross_entropy(model.logits(batch[:, :-1]), batch[:, 1:]).sum(dtype=float))
    size = sum(len(model.tokenizer.token_bytes(id)) for id in targets.flat if id not in special)
    return {"valid_loss": nats / targets.size, "bits_per_byte": nats / math.log(2) / size}
