"""Logits processors: functions f(logits (V,), ids) -> logits that change how likely each token is.

Their meaning and their order are those of transformers' `generate`. A processor returns new logits and never changes the
array that it is given. A token that must not be chosen gets the logit -inf, and softmax makes that probability 0.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.options import Options
from neo_np.gpt_neo.forward import softmax
from neo_np.gpt_neo.loss import log_softmax

LogitsProcessor = Callable[[np.ndarray, Sequence[int]], np.ndarray]


# The processors that depend on the text so far.


def repetition_penalty(logits: np.ndarray, ids: Sequence[int], penalty: float) -> np.ndarray:
    """Make every token of the text so far less likely (penalty above 1): divide positive logits, multiply negative ones.

    Keskar et al. 2019, "CTRL" (arXiv 1909.05858), section 4.1, only divide. That would make a token with a negative logit
    more likely, so transformers multiplies there.
    """
    used, penalty = np.unique(ids), float(penalty)
    logits = logits.copy()
    logits[used] = np.where(logits[used] < 0, logits[used] * penalty, logits[used] / penalty)
    return logits


def no_repeat_ngram(logits: np.ndarray, ids: Sequence[int], size: int) -> np.ndarray:
    """Mask each token that would complete a run of `size` tokens that is already in the text.

    Paulus et al. 2017 (arXiv 1705.04304), section 2.5.
    """
    if len(ids) < size:
        return logits
    ngrams = np.lib.stride_tricks.sliding_window_view(np.asarray(ids), size)  # (number of n-grams, size)
    beginning = np.asarray(ids)[len(ids) - size + 1 :]  # the last size - 1 tokens
    repeats = (ngrams[:, :-1] == beginning).all(axis=1)
    return mask_tokens(logits, ngrams[repeats, -1])


def bad_words(logits: np.ndarray, ids: Sequence[int], bad_words_ids: Sequence[Sequence[int]]) -> np.ndarray:
    """Mask each token that would complete one of these sequences of token ids."""
    return mask_tokens(logits, [word[-1] for word in bad_words_ids if ends_with(ids, word[:-1])])


def min_length(logits: np.ndarray, ids: Sequence[int], length: int, eos_ids: Sequence[int]) -> np.ndarray:
    """Mask the end tokens while the text has fewer than `length` tokens."""
    return mask_tokens(logits, eos_ids) if len(ids) < length else logits


# The processors that shape the distribution to draw from. Each keeps at least `keep` tokens.


def temperature(logits: np.ndarray, ids: Sequence[int], value: float) -> np.ndarray:
    """Divide the logits by the temperature: below 1 the likely tokens gain, above 1 the unlikely ones."""
    return logits / float(value)


def top_k(logits: np.ndarray, ids: Sequence[int], k: int, keep: int = 1) -> np.ndarray:
    """Keep the k highest logits, and those equal to the k-th (Fan et al. 2018, arXiv 1805.04833)."""
    k = min(max(k, keep), logits.size)
    return np.where(logits < np.partition(logits, -k)[-k], -np.inf, logits)


def top_p(logits: np.ndarray, ids: Sequence[int], p: float, keep: int = 1) -> np.ndarray:
    """Keep the smallest set of most likely tokens whose probability reaches p (Holtzman et al. 2019, arXiv 1904.09751, 3.1).

    As in transformers, it is computed from the other end: remove the least likely tokens that together have at most 1 - p.
    """
    order = np.argsort(logits, kind="stable")  # the least likely first
    removed = np.cumsum(softmax(logits[order])) <= 1 - p
    removed[-keep:] = False
    return mask_tokens(logits, order[removed])


def min_p(logits: np.ndarray, ids: Sequence[int], p: float, keep: int = 1) -> np.ndarray:
    """Keep the tokens with at least p times the highest probability (Nguyen et al. 2024, arXiv 2407.01082)."""
    probabilities = softmax(logits)
    removed = probabilities < p * probabilities.max()
    removed[np.argsort(probabilities)[-keep:]] = False
    return np.where(removed, -np.inf, logits)


def typical_p(logits: np.ndarray, ids: Sequence[int], p: float, keep: int = 1) -> np.ndarray:
    """Keep the tokens whose surprise, -log(probability), is closest to the expected surprise, until they reach p.

    Meister et al. 2022, "Locally Typical Sampling" (arXiv 2202.00666). The expected surprise is the entropy.
    """
    surprise = -log_softmax(logits)
    probabilities = np.exp(-surprise)
    distance = np.abs(surprise - entropy(probabilities))
    order = np.argsort(distance, kind="stable")  # the most typical first
    last = min((np.cumsum(probabilities[order]) < p).sum(), logits.size - 1)
    removed = distance > distance[order[last]]
    removed[order[:keep]] = False
    return np.where(removed, -np.inf, logits)


# What they share.


def mask_tokens(logits: np.ndarray, ids: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return logits in which these token ids have -inf."""
    logits = logits.copy()
    logits[np.asarray(ids, int)] = -np.inf
    return logits


def ends_with(ids: Sequence[int], ending: Sequence[int]) -> bool:
    """Return whether the text so far ends with these ids."""
    return len(ending) == 0 or list(ids[-len(ending) :]) == list(ending)


def entropy(probabilities: np.ndarray) -> np.floating:
    """Return -sum p log p, in nats, with 0 log 0 = 0."""
    possible = probabilities[probabilities > 0]
    return -(possible * np.log(possible)).sum()


# From the options to the list of processors.


def make_logits_processors(options: Options, shortest: int, without_token: Sequence[int] = ()) -> list[LogitsProcessor]:
    """Return the processors that the options ask for, in the order of transformers.

    shortest: the least length in tokens, prompt included. without_token: ids of a padded vocabulary that have no token.
    """
    found: list[LogitsProcessor] = []
    if without_token:
        found.append(lambda logits, ids: mask_tokens(logits, without_token))
    if options.repetition_penalty != 1:
        found.append(partial(repetition_penalty, penalty=options.repetition_penalty))
    if options.no_repeat_ngram_size:
        found.append(partial(no_repeat_ngram, size=options.no_repeat_ngram_size))
    # A bad word that is an end token by itself is allowed, as in transformers: otherwise no text could end.
    words = [word for word in options.bad_words_ids or [] if list(word) not in [[id] for id in options.eos_ids]]
    if words:
        found.append(partial(bad_words, bad_words_ids=words))
    if shortest and options.eos_ids:
        found.append(partial(min_length, length=shortest, eos_ids=options.eos_ids))
    found += [partial(users_own, processor=processor) for processor in options.logits_processor]
    return found + (sampling_processors(options) if options.do_sample else [])


def sampling_processors(options: Options) -> list[LogitsProcessor]:
    """Return the processors that shape the distribution to draw from.

    Beam search keeps more tokens: at least one that continues the text beside all end tokens.
    """
    keep = max(2, len(options.eos_ids) + 1) if options.num_beams > 1 else 1
    found: list[LogitsProcessor] = []
    if options.temperature != 1:
        found.append(partial(temperature, value=options.temperature))
    if options.top_k:
        found.append(partial(top_k, k=options.top_k, keep=keep))
    if options.top_p < 1:
        found.append(partial(top_p, p=options.top_p, keep=keep))
    if options.min_p is not None:
        found.append(partial(min_p, p=options.min_p, keep=keep))
    if options.typical_p < 1:
        found.append(partial(typical_p, p=options.typical_p, keep=keep))
    return found


def users_own(logits: np.ndarray, ids: Sequence[int], processor: LogitsProcessor) -> np.ndarray:
    """Apply a processor that the user wrote; raises NeoError naming it if it does not return logits."""
    changed = processor(logits.copy(), list(ids))
    if not isinstance(changed, np.ndarray) or changed.shape != logits.shape or changed.dtype.kind != "f":
        name = getattr(processor, "__name__", repr(processor))
        raise NeoError(
            f"logits_processor {name} must return the logits, an array of shape {logits.shape}; got {changed!r:.60}."
        )
    return changed
