"""The loss on text that the model was not trained on, measured while training continues."""

import math

import numpy as np

from neo_np.gpt_neo.fast import inference
from neo_np.gpt_neo.loss import token_log_probs
from neo_np.model import Model

VALIDATION_BATCH = 2  # windows at a time


def validation_windows(tokens: np.ndarray, length: int, most: int) -> np.ndarray:
    """Return up to `most` windows spread evenly over the tokens, (B, T) int64; none if the text is shorter than one."""
    count = min(most, len(tokens) // length)
    starts = np.linspace(0, len(tokens) - length, count).astype(int)
    return np.array([tokens[start : start + length] for start in starts], np.int64).reshape(count, length)


def validate(model: Model, windows: np.ndarray) -> dict[str, float]:
    """Return {"valid_loss": nats per token, "bits_per_byte"} of windows (B, T + 1). The first token of each is not scored.

    This is a quick estimate: the first tokens of a window have little context. `neo_np.evaluate` gives every token more, and
    so its loss is lower. Special tokens have no bytes.
    """
    nats = 0.0
    for start in range(0, len(windows), VALIDATION_BATCH):
        batch = windows[start : start + VALIDATION_BATCH]
        hidden = inference.transformer(model.params, model.config, batch[:, :-1])  # (B, T, C)
        log_probs, _ = token_log_probs(hidden.reshape(-1, hidden.shape[-1]), batch[:, 1:].reshape(-1), model.params)
        nats -= log_probs.sum()
    targets, special = windows[:, 1:], model.tokenizer.special_tokens.values()
    size = sum(len(model.tokenizer.token_bytes(id)) for id in targets.flat if id not in special)
    return {"valid_loss": float(nats / targets.size), "bits_per_byte": float(nats / math.log(2) / max(size, 1))}
