"""Speculative decoding: guess several tokens cheaply, let the model check all of them in one pass, keep those that stand.

To write one token, all weights are read from memory, and that is what decoding waits for; a pass over several tokens
reads them once as well. Guesses come from the text itself (`look_up`) or from a smaller model (`Assistant`). What is
written is what the model would have written without them: the same tokens where it takes the likeliest (but for ties
within rounding), the same distribution where it draws.

Leviathan et al. 2022, "Fast Inference from Transformers via Speculative Decoding" (arXiv 2211.17192).
"""

import numpy as np

from neo_np.generate import sampling
from neo_np.generate.loop import unseen
from neo_np.generate.sequence import Step
from neo_np.generate.stop_strings import update_finished
from neo_np.gpt_neo.forward import softmax

MATCH = 3  # how many of the last tokens are looked for in the text before them
WORTHWHILE = 1.5  # accepted guesses: a pass over several tokens takes about as much longer than one over a single token
SHORTEST_PAUSE, LONGEST_PAUSE = 8, 64  # passes


def speculative_steps(model, sequence, options):
    """Write one sequence to its end and yield each `Step`, as `generate_steps` does.

    options: with prompt_lookup_num_tokens, or with assistant_model and num_assistant_tokens. The sequence counts what was
    `guessed` and `accepted`.
    """
    cache = model.new_cache(1, min(sequence.longest, model.config.max_position_embeddings))
    most = options.num_assistant_tokens if options.assistant_model else options.prompt_lookup_num_tokens
    guesser = Assistant(options.assistant_model) if options.assistant_model else look_up
    patience = Patience(most)
    while not sequence.finished:
        fed = unseen([sequence.ids], cache)[0]
        room = min(sequence.longest - len(sequence.ids) - 1, cache.capacity - cache.length - len(fed))
        guesses = guesser(sequence, min(most, room)) if patience.lets_guess() else []
        rows = model.logits(fed + [token for token, _ in guesses], cache=cache, logits_to_keep=len(guesses) + 1)
        accepted = 0
        for logits, guess in zip(rows, [*guesses, None]):  # after the last guess one more token is free
            scores = sampling.apply_rules(logits, sequence.ids, sequence.rules)
            token = choose(scores, guess, sequence.rng)
            stands = guess is not None and token == guess[0]
            accepted += stands
            sequence.ids.append(token)
            update_finished(model.tokenizer, sequence, options)
            yield Step(sequence, logits, scores, token)
            if not stands or sequence.finished:
                break
        cache.crop(cache.length - len(guesses) + accepted)  # what came after a wrong guess was never written
        sequence.guessed += len(guesses)
        sequence.accepted += accepted
        if guesses:
            patience.learn(accepted)


def choose(scores, guess, rng):
    """Return the next token, given a guess (token, q) or None: from softmax(scores), or the likeliest where rng is None."""
    if guess is None or rng is None:
        return sampling.choose(scores, rng)
    token, q = guess
    if q is None:
        q = np.zeros(len(scores))
        q[token] = 1.0
    return accept_or_resample(softmax(scores.astype(float)), q, token, rng)


def accept_or_resample(p, q, guess, rng):
    """Return a token that is distributed by p, (V,), from a guess that is distributed by q: as often as can be, the guess.

    It is accepted with probability min(1, p/q); otherwise the token is drawn from max(p - q, 0), scaled to a sum of 1.
    Proof (Leviathan et al. 2022, appendix A.1): x is guessed and accepted with q(x) min(1, p(x)/q(x)) = min(p(x), q(x)).
    What the sum of that lacks to 1, call it r, is the chance of a rejection, and it is also the sum of max(p - q, 0), since
    p = min(p, q) + max(p - q, 0). So x comes after a rejection with r max(p(x) - q(x), 0) / r, and in all with
    min(p(x), q(x)) + max(p(x) - q(x), 0) = p(x).
    """
    if rng.random() * q[guess] < p[guess]:
        return guess
    rest = np.cumsum(np.maximum(p - q, 0.0))
    return int(np.searchsorted(rest / rest[-1], rng.random(), side="right"))


def look_up(sequence, number):
    """Return as guesses what followed the last tokens of the text at the newest place before where they stand as well.

    Where the text ends before there are enough, the guess goes round from that place on: a b c d a b c -> d a b c d a ...
    Saxena 2023, "Prompt Lookup Decoding" (https://github.com/apoorvumang/prompt-lookup-decoding).
    """
    ids = np.asarray(sequence.ids)
    if len(ids) <= MATCH:
        return []
    windows = np.lib.stride_tricks.sliding_window_view(ids[:-1], MATCH)  # (places, MATCH)
    places = np.flatnonzero((windows == ids[-MATCH:]).all(axis=1))
    follows = sequence.ids[places[-1] + MATCH :] if len(places) else []
    return [(token, None) for token in (follows * number)[:number]]


class Assistant:
    """A smaller model with the same tokenizer, which guesses by going on with the text under the same rules."""

    def __init__(self, model):
        self.model, self.cache = model, model.new_cache()

    def __call__(self, sequence, number):
        """Return so many guesses, fewer where the smaller model has no positions left."""
        ids, guesses = list(sequence.ids), []
        for _ in range(min(number, self.cache.capacity - len(ids))):
            logits = self.model.logits(ids[self.cache.length :], cache=self.cache, logits_to_keep=1)[-1]
            scores = sampling.apply_rules(logits, ids, sequence.rules)
            token = sampling.choose(scores, sequence.rng)
            guesses.append((token, None if sequence.rng is None else softmax(scores.astype(float))))
            ids.append(token)
        self.cache.crop(min(self.cache.length, len(sequence.ids)))  # which of the guesses stand, it is not told
        return guesses


class Patience:
    """Whether to guess at all: a pass with wrong guesses takes longer than one without, so bad guessers get fewer turns.

    After a pass whose guesses bring the running mean of those accepted below what is worthwhile, the next 8 passes go
    without guesses, then 16, 32 and 64; a good guess ends that. It looks at tokens and not at the clock, so that the
    same seed gives the same text.
    """

    def __init__(self, most):
        self.worthwhile = min(WORTHWHILE, 0.75 * most)
        self.mean, self.pause, self.left = self.worthwhile, 0, 0

    def lets_guess(self):
        """Return whether the next pass should have guesses."""
        self.left -= 1
        return self.left < 0

    def learn(self, accepted):
        """Take note of how many guesses of a pass were accepted."""
        self.mean = (self.mean + accepted) / 2
        self.pause = 0 if self.mean >= self.worthwhile else min(2 * self.pause or SHORTEST_PAUSE, LONGEST_PAUSE)
        self.left = self.pause
