"""text."""

import math

import numpy as np

from neo_np.errors import NeoError
from neo_np.evaluate.likelihood import BATCH_SIZE, begin_token, log_likelihoods, model_tokenizer


def text_windows(ids, window, stride):
    """Return the rows (ids, scored) that predict each of the ids but the first exactly once.

    The first window predicts as many tokens as it can; each after it the next `stride`, from the `window` tokens before
    each one's last: so a token has at least window - stride + 1 tokens of context, or all that there are.
    With window 4, stride 2, a to h (^ stands under what is scored):

        a b c d e        c d e f g        d e f g h
          ^ ^ ^ ^              ^ ^                ^
    """
    rows, scored = [], 1  # the first token has no context
    while scored < len(ids):
        end = min(scored + (window if scored == 1 else stride), len(ids))
        rows.append((ids[max(0, end - window - 1) : end], end - scored))
        scored = end
    return rows


def evaluate_text(model, documents, window=None, stride=None, batch_size=BATCH_SIZE, progress=None):
    """Return a dict that says how well the model predicts documents: how few nats or bits it needs for what is there.

    documents: texts, or lists of token ids, each scored by itself, as lm-evaluation-harness's `loglikelihood_rolling`
        does it: the `begin_token` stands before it as context; a model without one leaves the first token unscored.
    window, stride: see `text_windows`; by default all the model's positions, and half the window.
    documents (those not empty), tokens (scored), unscored, bytes (UTF-8, of what was scored), loss (nats per token, the
    mean over all), perplexity (e to the loss), bits_per_byte (all nats / ln 2 / bytes: the one number that can be
    compared between models with different tokenizers), window, stride.
    Raises NeoError where there is nothing to score, and for a window or stride that does not fit.
    """
    positions = model.config.max_position_embeddings
    window = positions if window is None else window
    if type(window) is not int or not 1 <= window <= positions:
        raise NeoError(f"window is {window!r}, and it must be a whole number from 1 to the model's {positions} positions.")
    stride = max(1, window // 2) if stride is None else stride
    if type(stride) is not int or not 1 <= stride <= window:
        raise NeoError(f"stride is {stride!r}, and it must be a whole number from 1 to the window of {window} tokens.")
    tokenizer, begin = model_tokenizer(model), [] if begin_token(model) is None else [begin_token(model)]
    rows, tokens, unscored, size = [], 0, 0, 0
    texts = [tokenizer.encode(document) if isinstance(document, str) else document for document in documents]
    texts = [np.array([*begin, *ids]) for ids in texts if len(ids)]
    for ids in texts:
        rows += text_windows(ids, window, stride)
        tokens += len(ids) - 1
        unscored += 0 if begin else 1
        size += len(tokenizer.decode_bytes(ids[1:].tolist()))
    if not tokens:
        raise NeoError("there is no text to score: the documents are empty, or too short for a model without bos_token_id.")
    nats = -sum(log_likelihood for log_likelihood, _ in log_likelihoods(model, rows, batch_size, progress))
    return {
        "documents": len(texts),
        "tokens": tokens,
        "unscored": unscored,
        "bytes": size,
        "loss": nats / tokens,
        "perplexity": exp(nats / tokens),
        "bits_per_byte": nats / math.log(2) / size,
        "window": window,
        "stride": stride,
    }


def exp(nats):
    """Return e to so many nats, infinite where no float can hold it."""
    return math.exp(nats) if nats < 700 else math.inf
