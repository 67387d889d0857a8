"""loop."""

from collections.abc import Iterator

import numpy as np

from neo_np.generate import sampling
from neo_np.generate.sequence import Step
from neo_np.generate.stop_strings import update_finished


def loop_steps(model, sequences, options) -> Iterator[Step]:
    """Write all sequences to their ends, side by side, and yield each `Step` when its token has been chosen."""
    longest, positions = max(s.longest for s in sequences), model.config.max_position_embeddings
    capacity = min(longest, positions)
    running, cache = list(sequences), model.new_cache(len(sequences), capacity)
    while running:
        logits = next_logits(model, [s.ids for s in running], cache)  # (B, V)
        for sequence, row in zip(running, logits):
            scores = sampling.apply_rules(row, sequence.ids, sequence.rules)
            token = sampling.choose(scores, sequence.rng)
            sequence.ids.append(token)
            update_finished(model.tokenizer, sequence, options)
            yield Step(sequence, row, scores, token)
        going_on = [i for i, s in enumerate(running) if not s.finished]
        if len(going_on) < len(running):
            running = [running[i] for i in going_on]
            cache.reorder(going_on)


def next_logits(model, rows, cache):
    """Return the logits (B, V) of what follows each row of ids, giving the model only what the cache has not seen."""
    batch, mask = pad_left(unseen(rows, cache))
    return model.logits(batch, mask=mask, cache=cache, logits_to_keep=1)[:, -1]


def unseen(rows, cache):
    """Return what of each row of ids the cache has not seen.

    When the cache is full, the rows slide: it is emptied and takes in the last half of what would fit. Positions
    count from the first token that is left, so nothing of the old cache could be kept.
    """
    if 0 < cache.length < cache.capacity:
        return [ids[-1:] for ids in rows]
    longest = max(map(len, rows))
    kept = longest if longest <= cache.capacity else max(1, cache.capacity // 2)
    cache.crop(0)
    return [ids[-kept:] for ids in rows]


def pad_left(rows):
    """Return rows of ids as one array (B, T), shorter ones filled up on the left, and the mask that says where (or None)."""
    longest = max(map(len, rows))
    batch = np.array([[0] * (longest - len(ids)) + list(ids) for ids in rows])
    mask = np.array([[0] * (longest - len(ids)) + [1] * len(ids) for ids in rows])
    return batch, None if mask.all() else mask
