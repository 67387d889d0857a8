"""Loss, perplexity and bits per byte of texts.

Course: notebook 12.
"""

import math
from collections.abc import Sequence

import numpy as np

from neo_np.errors import NeoError
from neo_np.evaluate.likelihood import BATCH_SIZE, Progress, Row, begin_token, log_likelihoods, model_tokenizer
from neo_np.model import Model


def text_windows(ids: Sequence[int], window: int, stride: int) -> list[Row]:
    """Return the rows (ids, scored) that predict each id except the first exactly once.

    The first row predicts as many tokens as fit. Each later row predicts the next `stride` tokens and sees the tokens before
    them that fit. So a token has at least window - stride + 1 tokens of context, or all that exist.
    With window 4 and stride 2, for the tokens a to h (^ marks what is scored):

        a b c d e        c d e f g        d e f g h
          ^ ^ ^ ^              ^ ^                ^
    """
    rows, scored = [], 1  # the first token has no context
    while scored < len(ids):
        end = min(scored + (window if scored == 1 else stride), len(ids))
        rows.append((ids[max(0, end - window - 1) : end], end - scored))
        scored = end
    return rows


def evaluate_text(
    model: Model,
    documents: Sequence[str | Sequence[int]],
    window: int | None = None,
    stride: int | None = None,
    batch_size: int = BATCH_SIZE,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Return how well the model predicts documents: the nats or bits that it needs for them.

    documents: texts, or lists of token ids. Each is scored by itself after the `begin_token`, like `loglikelihood_rolling` of
        lm-evaluation-harness; a model without a begin token leaves the first token unscored.
    window, stride: see `text_windows`; by default all the model's positions, and half the window.
    Returns a dict of documents (not empty), tokens (scored), unscored, bytes (UTF-8, of what was scored), loss (mean nats per
    token), perplexity (e to the loss), bits_per_byte (all nats / ln 2 / bytes, the only number to compare models with different
    tokenizers by), window and stride. Raises NeoError if there is nothing to score, and for a window or stride that does not
    fit.
    """
    positions = model.config.max_position_embeddings
    window = positions if window is None else window
    if type(window) is not int or not 1 <= window <= positions:
        raise NeoError(f"window is {window!r}, and it must be a whole number from 1 to the model's {positions} positions.")
    stride = max(1, window // 2) if stride is None else stride
    if type(stride) is not int or not 1 <= stride <= window:
        raise NeoError(f"stride is {stride!r}, and it must be a whole number from 1 to the window of {window} tokens.")
    tokenizer, begin = model_tokenizer(model), begin_token(model)
    texts = [tokenizer.encode(text, add_special_tokens=False) if isinstance(text, str) else text for text in documents]
    texts = [np.array([*ids] if begin is None else [begin, *ids]) for ids in texts if len(ids)]
    tokens = sum(len(ids) - 1 for ids in texts)
    if not tokens:
        raise NeoError("there is no text to score: the documents are empty, or too short for a model without bos_token_id.")
    rows = [row for ids in texts for row in text_windows(ids, window, stride)]
    nats = -sum(score for score, _ in log_likelihoods(model, rows, batch_size, progress))
    size = sum(len(tokenizer.decode_bytes(ids[1:].tolist())) for ids in texts)
    return {
        "documents": len(texts),
        "tokens": tokens,
        "unscored": len(texts) if begin is None else 0,
        "bytes": size,
        "loss": nats / tokens,
        "perplexity": exp(nats / tokens),
        "bits_per_byte": nats / math.log(2) / size,
        "window": window,
        "stride": stride,
    }


def exp(nats: float) -> float:
    """Return e to the power of `nats`, or infinity if no float is large enough."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf
