"""Speculative decoding: draft several tokens cheaply, verify them with one pass of the model, commit those that it accepts.

To generate one token, all weights are read from memory, and this takes most of the time. A pass over several tokens reads the
weights once too, so it takes less time than that many single passes. Drafts come from the text itself (`prompt_lookup`) or
from a smaller model (`AssistantDraft`). The result is what the model would have written without drafts: the same tokens in
greedy decoding (unless two logits are equal up to rounding), the same distribution in sampling.

Leviathan et al. 2022, "Fast Inference from Transformers via Speculative Decoding" (arXiv 2211.17192).

Course: notebook 11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import NamedTuple

import numpy as np

from neo_np.generate.language_model import LanguageModel
from neo_np.generate.loop import new_cache, tokens_to_feed
from neo_np.generate.options import Options
from neo_np.generate.sampling import draw, process_logits, sample
from neo_np.generate.sequence import GeneratedSequence, Step
from neo_np.gpt_neo.forward import softmax

MATCH_LENGTH = 3  # prompt lookup searches for an earlier occurrence of this many last tokens
WORTHWHILE = 1.5  # accepted tokens of a draft; with fewer, a pass with a draft costs more time than it saves
SHORTEST_PAUSE, LONGEST_PAUSE = 8, 64  # passes


class DraftToken(NamedTuple):
    """A proposed token, and the distribution (V,) it was drawn from; None if it was not drawn."""

    id: int
    probabilities: np.ndarray | None = None


def speculative_loop(model: LanguageModel, sequence: GeneratedSequence, options: Options) -> Iterator[Step]:
    """Generate one sequence to its end and yield each new token as a `Step`.

    options: with prompt_lookup_num_tokens, or with assistant_model and num_assistant_tokens.
    """
    propose, draft_length = drafting(options)
    cache, backoff = new_cache(model, [sequence]), DraftBackoff(draft_length)
    while not sequence.finished:
        # 1. Draft: propose some tokens, not more than fit. (-1: the pass adds a token of its own.)
        [fed] = tokens_to_feed([sequence.ids], cache)  # a batch of one; this empties a full cache
        room = min(sequence.max_length - len(sequence.ids) - 1, cache.capacity - cache.length - len(fed))
        draft = propose(sequence, min(draft_length, room)) if backoff.allows_draft() else []
        # 2. Verify: one pass gives the logits that follow the text and each drafted token.
        rows = model.logits(fed + [token.id for token in draft], cache=cache, logits_to_keep=len(draft) + 1)
        accepted = 0
        for logits, drafted in zip(rows, [*draft, None]):  # one more row: the model's own token after the draft
            scores = process_logits(logits, sequence.ids, sequence.logits_processors)
            token = verify(scores, drafted, sequence.rng)
            text = sequence.append(token)
            yield Step(sequence, logits, scores, token, text)
            if drafted is None or token != drafted.id:
                break
            accepted += 1
            if sequence.finished:
                break
        # 3. Commit: the cache holds the whole draft; it keeps the accepted tokens and forgets the others.
        cache.crop(cache.length - len(draft) + accepted)
        sequence.drafted += len(draft)
        sequence.accepted += accepted
        if draft:
            backoff.record(accepted)


def drafting(options: Options) -> tuple[Callable[[GeneratedSequence, int], list[DraftToken]], int]:
    """Return (a function that proposes tokens for a sequence, how many it proposes at most)."""
    if options.assistant_model is not None:
        return AssistantDraft(options.assistant_model), options.num_assistant_tokens
    return prompt_lookup, options.prompt_lookup_num_tokens or 0


def verify(scores: np.ndarray, drafted: DraftToken | None, rng: np.random.Generator | None) -> int:
    """Return the token that the model chooses: the drafted one if it is accepted.

    Greedy decoding (rng None) accepts a drafted token if it is the most likely one. For sampling see `accept_or_resample`.
    """
    if drafted is None or rng is None:
        return sample(scores, rng)
    q = drafted.probabilities
    if q is None:  # not drawn: its probability was 1
        q = np.zeros(len(scores))
        q[drafted.id] = 1.0
    return accept_or_resample(softmax(scores.astype(float)), q, drafted.id, rng)


def accept_or_resample(p: np.ndarray, q: np.ndarray, drafted: int, rng: np.random.Generator) -> int:
    """Return a token with the distribution p (V,), given a drafted token with the distribution q: often the same token.

    Accept it with probability min(1, p/q). Otherwise draw from max(p - q, 0), scaled so that it sums to 1.
    Proof (Leviathan et al. 2022, appendix A.1): x is drafted and accepted with q(x) min(1, p(x)/q(x)) = min(p(x), q(x)).
    Let r be the probability of a rejection, 1 - sum of min(p, q). It is also the sum of max(p - q, 0), because
    p = min(p, q) + max(p - q, 0) and p sums to 1. So a rejection gives x with r max(p(x) - q(x), 0) / r, and in total x has
    min(p(x), q(x)) + max(p(x) - q(x), 0) = p(x).
    """
    if rng.random() < min(1.0, p[drafted] / q[drafted]):
        return drafted
    return draw(np.maximum(p - q, 0.0), rng)


def prompt_lookup(sequence: GeneratedSequence, count: int) -> list[DraftToken]:
    """Find the latest earlier occurrence of the last 3 tokens; propose the `count` tokens that followed it.

    If fewer tokens followed it, they are repeated, as in a periodic text: a b c d a b c -> d a b c d a ...
    Saxena 2023, "Prompt Lookup Decoding" (https://github.com/apoorvumang/prompt-lookup-decoding).
    """
    ids = np.asarray(sequence.ids)
    if len(ids) <= MATCH_LENGTH:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(ids[:-1], MATCH_LENGTH)  # (places, 3), without the end itself
    places = np.flatnonzero((windows == ids[-MATCH_LENGTH:]).all(axis=1))
    if len(places) == 0:
        return []
    followers = cycle(sequence.ids[places[-1] + MATCH_LENGTH :])
    return [DraftToken(id) for id in islice(followers, max(0, count))]


class AssistantDraft:
    """Proposes the tokens that a smaller model with the same tokenizer generates, under the same logits processors."""

    def __init__(self, model: LanguageModel):
        self.model, self.cache = model, model.new_cache()

    def __call__(self, sequence: GeneratedSequence, count: int) -> list[DraftToken]:
        """Return `count` proposed tokens, fewer if the smaller model has no positions left."""
        ids, draft = list(sequence.ids), []
        for _ in range(min(count, self.cache.capacity - len(ids))):
            logits = self.model.logits(ids[self.cache.length :], cache=self.cache, logits_to_keep=1)[-1]
            scores = process_logits(logits, ids, sequence.logits_processors)
            token = sample(scores, sequence.rng)
            draft.append(DraftToken(token, None if sequence.rng is None else softmax(scores.astype(float))))
            ids.append(token)
        self.cache.crop(min(self.cache.length, len(sequence.ids)))  # forget the draft: some of it may be rejected
        return draft


class DraftBackoff:
    """Decides whether to draft: a pass with a wrong draft takes longer than one without, so bad drafts cause pauses.

    After each draft, mean = (mean + accepted tokens) / 2, so old drafts count less and less. If the mean falls below
    `worthwhile`, the next 8 passes have no draft, then 16, 32, 64 after each further failure. When a draft lifts the mean to
    `worthwhile` again, the pauses end. Only tokens are counted, not time, so that the same seed gives the same text.
    """

    def __init__(self, draft_length: int):
        self.worthwhile = min(WORTHWHILE, 0.75 * draft_length)  # a draft of one token can't have 1.5 accepted
        self.mean, self.pause, self.passes_to_wait = self.worthwhile, 0, 0

    def allows_draft(self) -> bool:
        """Count a pass, and return whether it should have a draft."""
        self.passes_to_wait -= 1
        return self.passes_to_wait < 0

    def record(self, accepted: int) -> None:
        """Update the mean with the number of accepted tokens of a draft."""
        self.mean = (self.mean + accepted) / 2
        self.pause = 0 if self.mean >= self.worthwhile else min(2 * self.pause or SHORTEST_PAUSE, LONGEST_PAUSE)
        self.passes_to_wait = self.pause
