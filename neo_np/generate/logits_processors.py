"""logits_processors."""

from functools import partial

import numpy as np

from neo_np.errors import NeoError
from neo_np.gpt_neo.forward import softmax
from neo_np.gpt_neo.loss import log_softmax


def repetition_penalty(logits, ids, penalty):
    """Make every token that is in the text already less likely (penalty > 1): positive logits / penalty, negative * penalty.

    Keskar et al. 2019, "CTRL" (arXiv 1909.05858), section 4.1, divide alone; dividing a negative logit would raise it,
    which is why transformers multiplies there.
    """
    used, penalty = np.unique(ids), float(penalty)
    logits = logits.copy()
    logits[used] = np.where(logits[used] < 0, logits[used] * penalty, logits[used] / penalty)
    return logits


def no_repeat_ngram(logits, ids, size):
    """Forbid each token that would complete a run of `size` tokens which is in the text already.

    Paulus et al. 2017 (arXiv 1705.04304), section 2.5.
    """
    if len(ids) < size:
        return logits
    ngrams = np.lib.stride_tricks.sliding_window_view(np.asarray(ids), size)  # (number of n-grams, size)
    begun = np.asarray(ids)[len(ids) - size + 1 :]
    repeats = (ngrams[:, :-1] == begun).all(axis=1)
    return forbid(logits, ngrams[repeats, -1])


def bad_words(logits, ids, bad_words_ids):
    """Forbid each token that would complete one of these sequences of token ids."""
    completing = [word[-1] for word in bad_words_ids if len(word) == 1 or list(ids[1 - len(word) :]) == list(word[:-1])]
    return forbid(logits, completing)


def min_length(logits, ids, length, eos_ids):
    """Forbid the tokens that end a text while it has fewer than `length` tokens."""
    return forbid(logits, eos_ids) if len(ids) < length else logits


def temperature(logits, ids, value):
    """Divide the logits: below 1 the likely tokens gain, above 1 the unlikely ones do."""
    return logits / float(value)


def top_k(logits, ids, k, keep=1):
    """Keep the k highest logits, and those equal to the last of them (Fan et al. 2018, arXiv 1805.04833)."""
    k = min(max(k, keep), logits.size)
    return np.where(logits < np.partition(logits, -k)[-k], -np.inf, logits)


def top_p(logits, ids, p, keep=1):
    """Keep the smallest set of likeliest tokens whose probability reaches p (Holtzman et al. 2019, arXiv 1904.09751, 3.1).

    Counted from the other end, as transformers does: those go that make up no more than 1 - p together.
    """
    order = np.argsort(logits, kind="stable")  # the least likely first
    removed = np.cumsum(softmax(logits[order])) <= 1 - p
    removed[-keep:] = False
    return forbid(logits, order[removed])


def min_p(logits, ids, p, keep=1):
    """Keep the tokens that have at least p times the probability of the likeliest (Nguyen et al. 2024, arXiv 2407.01082)."""
    probabilities = softmax(logits)
    removed = probabilities < p * probabilities.max()
    removed[np.argsort(probabilities)[-keep:]] = False
    return np.where(removed, -np.inf, logits)


def typical_p(logits, ids, p, keep=1):
    """Keep the tokens whose surprise is nearest to the expected one, until their probability reaches p.

    Meister et al. 2022, "Locally Typical Sampling" (arXiv 2202.00666). Surprise is -log probability.
    """
    surprise = -log_softmax(logits)
    probabilities = np.exp(-surprise)
    possible = probabilities > 0
    expected = (probabilities[possible] * surprise[possible]).sum()  # the entropy of the distribution
    distance = np.abs(surprise - expected)
    order = np.argsort(distance, kind="stable")  # the most typical first
    last = min((np.cumsum(probabilities[order]) < p).sum(), logits.size - 1)
    removed = distance > distance[order[last]]
    removed[order[:keep]] = False
    return np.where(removed, -np.inf, logits)


def forbid(logits, ids, *_):
    """Give these token ids the logit -inf."""
    logits = logits.copy()
    logits[np.asarray(ids, int)] = -np.inf
    return logits


def rules(options, shortest, without_token=()):
    """Return the list of rules f(logits, ids) -> logits that options ask for, in the order of transformers.

    shortest: the least total length in tokens. without_token: ids of a padded vocabulary that stand for no token.
    """
    found = []
    if len(without_token):
        found.append(lambda logits, ids: forbid(logits, without_token))
    if options.repetition_penalty != 1:
        found.append(partial(repetition_penalty, penalty=options.repetition_penalty))
    if options.no_repeat_ngram_size:
        found.append(partial(no_repeat_ngram, size=options.no_repeat_ngram_size))
    words = [word for word in options.bad_words_ids or [] if list(word) not in [[id] for id in options.eos_ids]]
    if words:
        found.append(partial(bad_words, bad_words_ids=words))
    if shortest and options.eos_ids:
        found.append(partial(min_length, length=shortest, eos_ids=options.eos_ids))
    found += [partial(users_own, rule=rule) for rule in options.logits_processor]
    return found + (warpers(options) if options.do_sample else [])


def warpers(options):
    """Return the rules that shape the distribution to draw from; beam search keeps at least one token that goes on."""
    keep = max(2, len(options.eos_ids) + 1) if options.num_beams > 1 else 1
    found = []
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


def users_own(logits, ids, rule):
    """Apply a rule of the user's, and say so plainly where it does not return logits."""
    changed = rule(logits.copy(), list(ids))
    if not isinstance(changed, np.ndarray) or changed.shape != logits.shape or changed.dtype.kind != "f":
        name = getattr(rule, "__name__", repr(rule))
        raise NeoError(
            f"logits_processor {name} must return the logits, an array of shape {logits.shape}; got {changed!r:.60}."
        )
    return changed
