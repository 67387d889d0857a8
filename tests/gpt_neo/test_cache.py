"""The cache: whatever way the tokens come to the model, the logits are those of the whole text at once."""

import numpy as np
import pytest
from helpers import distance, random_model
from hypothesis import given
from hypothesis import strategies as st

from neo_np import NeoError

MODEL = random_model(num_layers=3, attention_layers=["global", "local", "local"])  # a window of 4
LENGTH = 24
IDS = np.random.default_rng(1).integers(50, size=(3, LENGTH))
PADDING = np.array([5, 0, 11])
MASK = (np.arange(LENGTH) >= PADDING[:, None]).astype(int)


def feed(cache, ids, mask=None, cuts=()):
    """Return the logits of ids (B, T), given to the model in the pieces between the cuts."""
    pieces = np.split(ids, cuts, axis=1)
    masks = [None] * len(pieces) if mask is None else np.split(mask, cuts, axis=1)
    logits = [MODEL.logits(piece, mask=part, cache=cache) for piece, part in zip(pieces, masks, strict=True)]
    return np.concatenate(logits, axis=1)


CUTS = st.sets(st.integers(1, LENGTH - 1)).map(sorted)


@given(CUTS)
def test_every_split_of_a_text_gives_the_same_logits(cuts):
    cache = MODEL.new_cache(batch=3, capacity=LENGTH)
    assert distance(feed(cache, IDS, cuts=cuts), MODEL.logits(IDS)) < 1e-5
    assert cache.length == LENGTH


@given(CUTS)
def test_every_split_of_a_padded_batch_gives_each_row_what_it_gives_alone(cuts):
    """Even a split within the padding, where a piece holds no token of some row."""
    cache = MODEL.new_cache(batch=3)
    found = feed(cache, IDS, MASK, cuts)
    for row, (ids, padding) in enumerate(zip(IDS, PADDING, strict=True)):
        assert distance(found[row, padding:], MODEL.logits(ids[padding:])) < 1e-5
    assert cache.padding.tolist() == PADDING.tolist()


def test_without_a_mask_the_text_goes_on_after_its_padding():
    cache = MODEL.new_cache(batch=3)
    feed(cache, IDS[:, :15], MASK[:, :15])
    found = feed(cache, IDS[:, 15:], cuts=[1, 4])
    for row, (ids, padding) in enumerate(zip(IDS, PADDING, strict=True)):
        assert distance(found[row], MODEL.logits(ids[padding:])[15 - padding :]) < 1e-5


@given(st.integers(0, LENGTH - 2))
def test_a_cropped_cache_goes_on_as_if_the_rest_had_never_been(length):
    """Even one that is cropped within the padding; a row that had only padding there may get more of it, or its text."""
    cache = MODEL.new_cache(batch=3)
    feed(cache, IDS, MASK)
    cache.crop(length)
    ids = np.concatenate([IDS[:, :length], (IDS[:, length:] + 1) % 50], axis=1)
    begins = np.where(PADDING < length, PADDING, [length, length, length + 1])
    mask = (np.arange(LENGTH) >= begins[:, None]).astype(int)
    found = feed(cache, ids[:, length:], mask[:, length:])
    assert cache.length == LENGTH
    for row, begin in enumerate(begins):
        after = max(length, begin)
        assert distance(found[row, after - length :], MODEL.logits(ids[row, begin:])[after - begin :]) < 1e-5


@pytest.mark.parametrize("length", [-1, 6, 2.0, None])
def test_a_cache_is_not_cropped_to_what_it_does_not_hold(length):
    cache = MODEL.new_cache()
    feed(cache, IDS[:1, :5])
    with pytest.raises(NeoError, match=f"the cache holds 5 tokens and cannot be cropped to {length}"):
        cache.crop(length)


@given(st.lists(st.integers(0, 2), min_size=1, max_size=5))
def test_reordered_rows_go_on_each_by_itself(rows):
    """Rows that change places, repeat, are left out or become more, as beam search needs them."""
    cache = MODEL.new_cache(batch=3)
    feed(cache, IDS[:, :15], MASK[:, :15])
    cache.reorder(rows)
    assert cache.batch == len(rows)
    new_ids = np.random.default_rng(2).integers(50, size=(len(rows), 6))  # different ones for copies of one row
    found = feed(cache, new_ids, cuts=[1])
    for i, row in enumerate(rows):
        alone = np.concatenate([IDS[row, PADDING[row] : 15], new_ids[i]])
        assert distance(found[i], MODEL.logits(alone)[-6:]) < 1e-5


def test_a_cache_is_allocated_once_in_the_precision_of_the_model():
    model = random_model(dtype=np.float64)
    cache = model.new_cache(batch=2, capacity=9)
    assert cache.k.shape == cache.v.shape == (2, 2, 3, 9, 8)  # (layers, batch, heads, capacity, head size)
    assert cache.k.dtype == cache.v.dtype == np.float64
    assert (cache.batch, cache.capacity, cache.length, cache.padding.tolist()) == (2, 9, 0, [0, 0])
    k, v = cache.k, cache.v
    model.logits([[1, 2], [3, 4]], cache=cache)
    assert cache.k is k and cache.v is v
    assert model.new_cache().capacity == model.config.max_position_embeddings
    assert repr(cache) == "KVCache(2 of 9 tokens, batch 2, 2 layers, 3 heads of 8)"
