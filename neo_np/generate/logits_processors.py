"""Logits processors: functions f(logits (V,), ids) -> logits that change how likely each token is.

Their meaning and their order are those of transformers' `generate`. A processor returns new logits and never changes the
array that it is given. A token that must not be chosen gets the logit -inf, and softmax makes that probability 0.
(`float(x)` makes a Python number of an option: a NumPy number could turn logits of float32 into float64.)

Course: notebook 10.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.options import Options, as_list
from neo_np.gpt_neo.forward import softmax
from neo_np.gpt_neo.loss import log_softmax

LogitsProcessor = Callable[[np.ndarray, Sequence[int]], np.ndarray]


# The processors that depend on the text so far.


def sequence_bias(logits: np.ndarray, ids: Sequence[int], biases: Sequence[tuple[Sequence[int], float]]) -> np.ndarray:
    """Add a bias to each token that would complete one of these sequences of token ids: [(sequence, bias), ...]."""
    total = np.zeros_like(logits)
    for sequence, bias in biases:
        if ends_with(ids, sequence[:-1]):
            total[sequence[-1]] += bias
    return logits + total


def repetition_penalty(logits: np.ndarray, ids: Sequence[int], penalty: float) -> np.ndarray:
    """Make each token of the text less likely (penalty above 1): divide positive logits, multiply negative ones.

    Keskar et al. 2019, "CTRL" (arXiv 1909.05858), section 4.1, only divide. That would make a token with a negative logit
    more likely, so transformers multiplies there.
    """
    used = np.unique(np.asarray(ids, int))
    penalty, logits = float(penalty), logits.copy()
    logits[used] = np.where(logits[used] < 0, logits[used] * penalty, logits[used] / penalty)
    return logits


def encoder_repetition_penalty(logits: np.ndarray, ids: Sequence[int], penalty: float, prompt_ids: Sequence[int]) -> np.ndarray:
    """Make the tokens of the prompt more likely (penalty above 1): the opposite of `repetition_penalty`.

    "Encoder" is transformers' name: GPT-Neo has none, and its prompt takes that place.
    """
    return repetition_penalty(logits, prompt_ids, 1 / float(penalty))


def no_repeat_ngram(logits: np.ndarray, ids: Sequence[int], size: int, earlier: Sequence[int] | None = None) -> np.ndarray:
    """Mask each token that would complete a run of `size` tokens that is already in the text, or in the ids `earlier`.

    Paulus et al. 2017 (arXiv 1705.04304), section 2.5.
    """
    earlier = ids if earlier is None else earlier
    if len(earlier) < size:
        return logits
    ngrams = np.lib.stride_tricks.sliding_window_view(np.asarray(earlier), size)  # all runs of `size` tokens, (runs, size)
    beginning = np.asarray(ids)[len(ids) - size + 1 :]  # the last size - 1 tokens
    repeats = (ngrams[:, :-1] == beginning).all(axis=1)
    return mask_tokens(logits, ngrams[repeats, -1])


def bad_words(logits: np.ndarray, ids: Sequence[int], bad_words_ids: Sequence[Sequence[int]]) -> np.ndarray:
    """Mask each token that would complete one of these sequences of token ids."""
    return mask_tokens(logits, [word[-1] for word in bad_words_ids if ends_with(ids, word[:-1])])


def min_length(logits: np.ndarray, ids: Sequence[int], length: int, eos_ids: Sequence[int]) -> np.ndarray:
    """Mask the end tokens while the text has fewer than `length` tokens."""
    return mask_tokens(logits, eos_ids) if len(ids) < length else logits


def forced_tokens(logits: np.ndarray, ids: Sequence[int], length: int, tokens: Sequence[int]) -> np.ndarray:
    """Mask all but these tokens when the text has `length` tokens."""
    if len(ids) != length:
        return logits
    forced = np.full_like(logits, -np.inf)
    forced[list(tokens)] = 0.0
    return forced


def exponential_decay_length_penalty(
    logits: np.ndarray, ids: Sequence[int], start: int, factor: float, eos_ids: Sequence[int]
) -> np.ndarray:
    """Raise the logits of the end tokens, more with each token beyond `start`: logit + |logit| (factor**beyond - 1)."""
    beyond = len(ids) - start
    if beyond <= 0:
        return logits
    logits, ends = logits.copy(), np.unique(np.asarray(eos_ids, int))
    ends = ends[np.isfinite(logits[ends])]  # a masked token stays masked: -inf + inf would be NaN
    growth = np.float64(factor) ** beyond - 1  # a NumPy number overflows to inf; a Python number would raise
    logits[ends] += np.abs(logits[ends]) * growth.astype(logits.dtype)
    return logits


def suppress_tokens(logits: np.ndarray, ids: Sequence[int], tokens: Sequence[int], at_length: int | None = None) -> np.ndarray:
    """Mask these tokens, at any length of the text or only at one."""
    return mask_tokens(logits, tokens) if at_length is None or at_length == len(ids) else logits


# The processors that shape the distribution to draw from. Those with an argument `keep` leave at least that many tokens.


def temperature(logits: np.ndarray, ids: Sequence[int], value: float) -> np.ndarray:
    """Divide the logits by the temperature: below 1 the likely tokens gain, above 1 the unlikely ones."""
    return logits / float(value)


def top_k(logits: np.ndarray, ids: Sequence[int], k: int, keep: int = 1) -> np.ndarray:
    """Keep the k highest logits, and those equal to the k-th (Fan et al. 2018, arXiv 1805.04833)."""
    return np.where(logits < kth_highest(logits, max(k, keep)), -np.inf, logits)


def top_p(logits: np.ndarray, ids: Sequence[int], p: float, keep: int = 1) -> np.ndarray:
    """Keep the smallest set of most likely tokens whose probability reaches p (Holtzman et al. 2019, arXiv 1904.09751, 3.1).

    As in transformers, it is computed from the other end: remove the least likely tokens while their sum is at most 1 - p.
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
    """Keep the tokens whose surprise, -log(probability), is closest to the expected one, until their probabilities sum to p.

    Meister et al. 2022, "Locally Typical Sampling" (arXiv 2202.00666). The expected surprise is the entropy.
    """
    surprise = -log_softmax(logits)
    probabilities = np.exp(-surprise)
    distance = np.abs(surprise - entropy_terms(probabilities).sum())
    order = np.argsort(distance, kind="stable")  # the most typical first
    reached = np.flatnonzero(np.cumsum(probabilities[order]) >= p)  # empty if rounding keeps the sum below p
    last = order[reached[0] if len(reached) else -1]  # with this token the sum reaches p
    removed = distance > distance[last]
    removed[order[:keep]] = False
    return np.where(removed, -np.inf, logits)


def top_h(logits: np.ndarray, ids: Sequence[int], h: float) -> np.ndarray:
    """Keep the most likely tokens while the sum of their entropy terms, -p log p, is at most h times the entropy.

    As in transformers, only the 100 most likely tokens count. Potraghloo et al. 2025, "Top-H Decoding" (arXiv 2509.02510).
    """
    order = np.argsort(-logits, kind="stable")[:100]
    terms = entropy_terms(softmax(logits[order]))
    kept = np.cumsum(terms) <= h * terms.sum()
    kept[0] = True
    removed = np.ones(logits.size, bool)
    removed[order[kept]] = False
    return np.where(removed, -np.inf, logits)


def epsilon_cutoff(logits: np.ndarray, ids: Sequence[int], epsilon: float, keep: int = 1) -> np.ndarray:
    """Keep the tokens with at least the probability epsilon (Hewitt et al. 2022, arXiv 2210.15191)."""
    removed = (softmax(logits) < epsilon) & (logits < kth_highest(logits, keep))
    return np.where(removed, -np.inf, logits)


def eta_cutoff(logits: np.ndarray, ids: Sequence[int], epsilon: float, keep: int = 1) -> np.ndarray:
    """Keep the tokens with at least the probability eta = min(epsilon, sqrt(epsilon) * exp(-entropy)).

    Hewitt et al. 2022, "Truncation Sampling as Language Model Desmoothing" (arXiv 2210.15191), section 4.
    """
    probabilities = softmax(logits)
    eta = min(epsilon, np.sqrt(epsilon) * np.exp(-entropy_terms(probabilities).sum()))
    removed = (probabilities < eta) & (logits < kth_highest(logits, keep))
    return np.where(removed, -np.inf, logits)


def renormalize(logits: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """Turn the logits into log-probabilities: the probabilities, exp(logits), sum to 1 again."""
    return log_softmax(logits) if logits.max() > -np.inf else logits  # if all are masked, `process_logits` says so


# What they share.


def mask_tokens(logits: np.ndarray, ids: Sequence[int] | np.ndarray) -> np.ndarray:
    """Return logits in which these token ids have -inf."""
    logits = logits.copy()
    logits[np.asarray(ids, int)] = -np.inf
    return logits


def ends_with(ids: Sequence[int], ending: Sequence[int]) -> bool:
    """Return whether the text so far ends with these ids."""
    return len(ending) == 0 or list(ids[-len(ending) :]) == list(ending)


def kth_highest(logits: np.ndarray, k: int) -> np.floating:
    """Return the k-th highest logit, or the lowest if there are fewer."""
    k = min(k, logits.size)
    return np.partition(logits, -k)[-k]  # partition puts it there without sorting all logits


def entropy_terms(probabilities: np.ndarray) -> np.ndarray:
    """Return -p log p for each probability (natural logarithm), with 0 log 0 = 0. Their sum is the entropy."""
    return -probabilities * np.log(np.where(probabilities > 0, probabilities, 1))


# From the options to the list of processors.


def make_logits_processors(
    options: Options, prompt_ids: Sequence[int], shortest: int, longest: int, without_token: Sequence[int] = ()
) -> list[LogitsProcessor]:
    """Return the processors that the options ask for, in the order of transformers.

    shortest, longest: the limits of the length in tokens, prompt included. without_token: ids of the model that the tokenizer
    does not have. (`partial(f, k=5)` is the function f with k fixed to 5.)
    """
    found: list[LogitsProcessor] = []
    if without_token:
        found.append(partial(suppress_tokens, tokens=without_token))
    if options.biases:
        found.append(partial(sequence_bias, biases=options.biases))
    if options.encoder_repetition_penalty != 1:
        penalty = options.encoder_repetition_penalty
        found.append(partial(encoder_repetition_penalty, penalty=penalty, prompt_ids=prompt_ids))
    if options.repetition_penalty != 1:
        found.append(partial(repetition_penalty, penalty=options.repetition_penalty))
    if options.no_repeat_ngram_size:
        found.append(partial(no_repeat_ngram, size=options.no_repeat_ngram_size))
    if options.encoder_no_repeat_ngram_size:
        found.append(partial(no_repeat_ngram, size=options.encoder_no_repeat_ngram_size, earlier=prompt_ids))
    # A bad word that is an end token by itself is allowed, as in transformers: otherwise no text could end.
    words = [word for word in options.bad_words_ids or [] if list(word) not in [[id] for id in options.eos_ids]]
    if words:
        found.append(partial(bad_words, bad_words_ids=words))
    if shortest and options.eos_ids:
        found.append(partial(min_length, length=shortest, eos_ids=options.eos_ids))
    if options.forced_bos_token_id is not None:
        found.append(partial(forced_tokens, length=1, tokens=[options.forced_bos_token_id]))
    if options.forced_eos_token_id is not None:
        found.append(partial(forced_tokens, length=longest - 1, tokens=as_list(options.forced_eos_token_id)))
    if options.exponential_decay_length_penalty and options.eos_ids:
        start, factor = options.exponential_decay_length_penalty
        start += len(prompt_ids)
        found.append(partial(exponential_decay_length_penalty, start=start, factor=factor, eos_ids=options.eos_ids))
    if options.suppress_tokens:
        found.append(partial(suppress_tokens, tokens=options.suppress_tokens))
    if options.begin_suppress_tokens:
        # If the first new token is forced, they are suppressed at the second.
        is_forced = len(prompt_ids) == 1 and options.forced_bos_token_id is not None
        first_free = len(prompt_ids) + 1 if is_forced else len(prompt_ids)
        found.append(partial(suppress_tokens, tokens=options.begin_suppress_tokens, at_length=first_free))
    found += [partial(apply_users_processor, processor=processor) for processor in options.logits_processor]
    found += sampling_processors(options) if options.do_sample else []
    return [*found, renormalize] if options.renormalize_logits else found


def sampling_processors(options: Options) -> list[LogitsProcessor]:
    """Return the processors that shape the distribution to draw from.

    Beam search keeps one token more than there are end tokens, so that each text can also continue, and at least two tokens,
    as in transformers.
    """
    keep = max(2, len(options.eos_ids) + 1) if options.num_beams > 1 else 1
    found: list[LogitsProcessor] = []
    if options.temperature != 1:
        found.append(partial(temperature, value=options.temperature))
    if options.top_h is not None:
        found.append(partial(top_h, h=options.top_h))
    if options.top_k:
        found.append(partial(top_k, k=options.top_k, keep=keep))
    if options.top_p < 1:
        found.append(partial(top_p, p=options.top_p, keep=keep))
    if options.min_p is not None:
        found.append(partial(min_p, p=options.min_p, keep=keep))
    if options.typical_p < 1:
        found.append(partial(typical_p, p=options.typical_p, keep=keep))
    if 0 < options.epsilon_cutoff < 1:
        found.append(partial(epsilon_cutoff, epsilon=options.epsilon_cutoff, keep=keep))
    if 0 < options.eta_cutoff < 1:
        found.append(partial(eta_cutoff, epsilon=options.eta_cutoff, keep=keep))
    return found


def apply_users_processor(logits: np.ndarray, ids: Sequence[int], processor: LogitsProcessor) -> np.ndarray:
    """Apply a processor that the user wrote; raises NeoError naming it if it does not return logits."""
    changed = processor(logits.copy(), list(ids))
    if not isinstance(changed, np.ndarray) or changed.shape != logits.shape or changed.dtype.kind != "f":
        name = getattr(processor, "__name__", repr(processor))
        raise NeoError(
            f"logits_processor {name} must return the logits, an array of shape {logits.shape}; got {changed!r:.60}."
        )
    return changed
