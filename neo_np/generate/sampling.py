"""From logits to the next token: apply the logits processors, then take the most likely token or draw one.

Course: notebook 10.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.logits_processors import LogitsProcessor
from neo_np.gpt_neo.forward import softmax


def process_logits(logits: np.ndarray, ids: Sequence[int], processors: Iterable[LogitsProcessor]) -> np.ndarray:
    """Return the logits (V,) after all logits processors, applied in order.

    ids: the text so far. Raises NeoError if a logit is +inf or NaN, or if all are -inf, which forbids every token.
    """
    with np.errstate(all="ignore"):  # an overflow is reported below, as a sentence
        for processor in processors:
            logits = processor(logits, ids)
        highest = logits.max()  # NaN if any logit is NaN
    if np.isnan(highest) or highest == np.inf:
        raise NeoError(
            "the logits are infinite or not numbers: the temperature or a penalty is too extreme, a logits processor "
            "made them so, or the weights are damaged."
        )
    if highest == -np.inf:
        raise NeoError(
            "the options forbid every token, so the text cannot continue: loosen bad_words_ids, suppress_tokens, the n-gram "
            "size or the minimum length."
        )
    return logits


def sample(logits: np.ndarray, rng: np.random.Generator | None = None) -> int:
    """Return the id of the next token: the most likely one, or, if there is an rng, a draw from softmax(logits)."""
    return int(logits.argmax()) if rng is None else draw(softmax(logits), rng)


def draw(weights: np.ndarray, rng: np.random.Generator) -> int:
    """Return an index, drawn with a probability in proportion to its weight.

    Inverse-CDF sampling (CDF: cumulative distribution function, the running sum of the probabilities): the first index whose
    running sum exceeds a uniform random number from [0, 1).
    """
    cdf = np.cumsum(weights, dtype=float)
    return int(np.searchsorted(cdf / cdf[-1], rng.random(), side="right"))


def draw_without_replacement(logits: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return `count` different ids, drawn one after the other from softmax(logits): the Gumbel-top-k trick.

    Add independent Gumbel noise to each logit and sort, the largest first: the first `count` ids have the distribution of
    draws without replacement (Kool et al. 2019, arXiv 1903.06059, section 2.3). (N,) -> (count,).
    """
    return np.argsort(-(logits + rng.gumbel(size=logits.size)), kind="stable")[:count]
