"""From logits to the next token: each rule one function of (logits (V,), ids so far), and the choice at the end.

The rules, their meaning and their order are those of transformers' `generate`. A rule returns new logits and never
changes those it is given; a forbidden token gets -inf, which softmax turns into probability 0.
"""

import numpy as np

from neo_np.errors import NeoError
from neo_np.gpt_neo.forward import softmax


def apply_rules(logits, ids, rules):
    """Return the logits (V,) after all rules; raises NeoError where they leave no token at all."""
    with np.errstate(all="ignore"):  # said below in words
        for rule in rules:
            logits = rule(logits, ids)
    if np.isnan(logits).any() or logits.max() == np.inf:
        raise NeoError(
            "the logits are infinite or no numbers: the temperature or penalty is too extreme, a logits_processor "
            "made them so, or the weights are damaged."
        )
    if logits.max() == -np.inf:
        raise NeoError(
            "the options forbid every token, so the text cannot go on: loosen bad_words_ids, the n-gram size or the length."
        )
    return logits


def choose(logits, rng=None):
    """Return the id of the next token: the likeliest, or with a random generator one drawn from softmax(logits)."""
    if rng is None:
        return int(logits.argmax())
    cumulative = np.cumsum(softmax(logits), dtype=float)
    # A draw below 1 falls into the one step of the cumulative sum that rises past it; forbidden tokens have no step.
    return int(np.searchsorted(cumulative / cumulative[-1], rng.random(), side="right"))


def draw_without_replacement(logits, number, rng):
    """Return so many different ids, drawn one after the other from softmax(logits), by the Gumbel-top-k trick.

    Kool et al. 2019 (arXiv 1903.06059), section 2.3: the order of logits plus Gumbel noise is such a draw.
    """
    return np.argsort(-(logits + rng.gumbel(size=logits.size)), kind="stable")[:number]
