"""The generation loop: run the model, process the logits, choose a token, append it; repeat until every text has ended.

Course: notebook 11.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from neo_np.generate.language_model import LanguageModel
from neo_np.generate.sampling import process_logits, sample
from neo_np.generate.sequence import GeneratedSequence, Step
from neo_np.gpt_neo.cache import KVCache


def generation_loop(model: LanguageModel, sequences: Sequence[GeneratedSequence]) -> Iterator[Step]:
    """Generate all sequences to their ends, side by side in one batch, and yield each new token as a `Step`.

    As in transformers, "logits" are those of the model, and "scores" are the logits after the processors.
    """
    running, cache = list(sequences), new_cache(model, sequences)
    while running:
        logits = next_logits(model, [sequence.ids for sequence in running], cache)  # (B, V)
        for sequence, row in zip(running, logits):
            scores = process_logits(row, sequence.ids, sequence.logits_processors)
            token = sample(scores, sequence.rng)
            text = sequence.append(token)
            yield Step(sequence, row, scores, token, text)
        running = drop_finished(running, cache)


def new_cache(model: LanguageModel, sequences: Sequence[GeneratedSequence]) -> KVCache:
    """Return an empty cache for all sequences, with room for the longest one, up to the number of positions of the model."""
    longest = max(sequence.max_length for sequence in sequences)
    return model.new_cache(len(sequences), min(longest, model.config.max_position_embeddings))


def drop_finished(running: list[GeneratedSequence], cache: KVCache) -> list[GeneratedSequence]:
    """Return the sequences that have not ended, and keep only their rows in the cache."""
    unfinished = [row for row, sequence in enumerate(running) if not sequence.finished]
    if len(unfinished) < len(running):
        cache.reorder(unfinished)
    return [running[row] for row in unfinished]


def next_logits(model: LanguageModel, rows: Sequence[list[int]], cache: KVCache) -> np.ndarray:
    """Return the logits (B, V) of the token that follows each row of ids. The cache then holds all ids of the rows."""
    ids, mask = pad_left(tokens_to_feed(rows, cache))
    return model.logits(ids, mask=mask, cache=cache, logits_to_keep=1)[:, -1]  # (B, 1, V) -> (B, V)


def tokens_to_feed(rows: Sequence[list[int]], cache: KVCache) -> list[list[int]]:
    """Return the ids of each row that the cache does not hold: the last one, or all ids for an empty cache.

    A full cache is emptied first (this happens only with the option slide=True), and the rows begin again with their last
    capacity // 2 ids, which leaves room for more. These tokens get new positions, from 0, so their old keys and values would
    be wrong.
    """
    if cache.length == cache.capacity:
        cache.crop(0)
    if cache.length > 0:
        return [ids[-1:] for ids in rows]
    if max(map(len, rows)) > cache.capacity:
        return [ids[-max(1, cache.capacity // 2) :] for ids in rows]
    return [list(ids) for ids in rows]


def pad_left(rows: Sequence[list[int]]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return rows of ids as one array (B, T) and the mask: 0 padding, 1 text, None if all 1.

    Short rows are padded on the left, so that the last column has the last token of every text. After the first pass the cache
    remembers the padding.
    """
    longest = max(map(len, rows))
    if all(len(ids) == longest for ids in rows):
        return np.array(rows), None
    ids = [[0] * (longest - len(ids)) + ids for ids in rows]
    mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in rows]
    return np.array(ids), np.array(mask)
