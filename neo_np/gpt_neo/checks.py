"""Checks of what a user gives the model: token ids, mask, labels, cache. Each raises NeoError with one sentence."""

import os
from numbers import Integral

import numpy as np

from neo_np.errors import NeoError
from neo_np.gpt_neo.cache import KVCache

NOT_SCORED = -100  # the label that transformers and PyTorch ignore


def check_input(config, ids, mask=None, cache=None):
    """Return (ids (B, T), padding (B,)) for a forward pass, padding the number of padding slots at the start of each row."""
    ids = check_ids(ids, config.vocab_size)
    mask = check_mask(mask, ids.shape)
    ids = np.atleast_2d(ids)
    B, T = ids.shape
    if mask is not None and (np.diff(mask, axis=1) < 0).any():
        raise NeoError("mask has a 0 after a 1: pad on the left. (loss takes rows that are padded on the right too.)")
    if cache is not None:
        check_cache(cache, config, B, T, mask)
    elif mask is not None and not mask.any(axis=1).all():
        raise NeoError("mask leaves a row without a single token.")
    past, padding = (cache.length, cache.padding) if cache is not None else (0, np.zeros(B, int))
    if mask is not None:  # only a row that has been all padding so far can get more of it
        padding = padding + np.where(padding == past, (mask == 0).sum(axis=1), 0)
    check_length(past + T - padding.min(), config.max_position_embeddings)
    return ids, padding


def check_ids(ids, vocab_size):
    """Return token ids as an integer array, (T,) or (B, T). Any array-like is taken, a torch tensor too."""
    if isinstance(ids, str):
        raise NeoError("the model takes token ids, not text: use model.tokenizer.encode(text).")
    try:
        array = np.asarray(ids)
    except ValueError:
        raise NeoError("the rows of ids differ in length: pad the short ones on the left and give a mask.") from None
    if array.ndim not in (1, 2) or array.size == 0 or not np.issubdtype(array.dtype, np.integer):
        raise NeoError(f"ids must be whole numbers, (T,) or (B, T), at least one; got {array.dtype} of shape {array.shape}.")
    wrong = array[(array < 0) | (array >= vocab_size)]
    if wrong.size:
        raise NeoError(f"id {wrong[0]} is not a token of this model: its ids are 0 to {vocab_size - 1}.")
    return array


def check_mask(mask, shape):
    """Return mask as an array of 0 (padding) and 1 (text) of this shape, or None."""
    if mask is None:
        return None
    try:
        mask = np.asarray(mask)
    except ValueError:
        raise NeoError("mask must be 0 or 1 for each id; its rows differ in length.") from None
    if mask.shape != shape:
        raise NeoError(f"mask must be 0 or 1 for each id: shape {shape}; got {mask.dtype} of shape {mask.shape}.")
    if not np.isin(mask, (0, 1)).all():
        raise NeoError(f"mask must be 0 or 1 for each id; it has {mask[~np.isin(mask, (0, 1))][0]}.")
    return np.atleast_2d(mask).astype(int)


def check_labels(labels, ids, vocab_size):
    """Return labels as an array like ids (B, T): a token id, or NOT_SCORED. None stands for the ids themselves."""
    if labels is None:
        return ids
    labels = np.atleast_2d(np.asarray(labels))
    if labels.shape != ids.shape or not np.issubdtype(labels.dtype, np.integer):
        raise NeoError(f"labels must be whole numbers, one for each id: shape {ids.shape}; got {labels.dtype} {labels.shape}.")
    if (scored := labels[labels != NOT_SCORED]).size:
        check_ids(scored, vocab_size)
    return labels


def check_cache(cache, config, batch, length, mask):
    """Raise NeoError if a cache cannot take `length` more tokens of `batch` rows."""
    if not isinstance(cache, KVCache):
        raise NeoError(f"cache must come from model.new_cache(); got {cache!r:.40}.")
    found = (cache.k.shape[0], cache.batch, cache.k.shape[2], cache.k.shape[4])
    expected = (config.num_layers, batch, config.num_heads, config.head_size)
    if found != expected:
        raise NeoError(f"the cache is for (layers, batch, heads, head size) {found}, and this call needs {expected}.")
    if cache.length + length > cache.capacity:
        raise NeoError(
            f"the cache has room for {cache.capacity} tokens: it holds {cache.length}, and {length} more do not fit. "
            "Make it larger with new_cache(capacity=...)."
        )
    if mask is not None and ((mask == 0).any(axis=1) & (cache.padding < cache.length)).any():
        raise NeoError("mask marks padding in a row whose text has begun: padding must come before all of the text.")


def check_length(length, positions):
    """Raise NeoError if a text has more tokens than the model has positions."""
    if length > positions:
        raise NeoError(
            f"the text is {length} tokens long and the model has {positions} positions: shorten it "
            "(generate can continue with only the last tokens: slide=True)."
        )


def check_logits_to_keep(count):
    """Raise NeoError for a number of positions that makes no sense."""
    if not isinstance(count, Integral) or isinstance(count, bool) or count < 0:
        raise NeoError(f"logits_to_keep is {count!r}, and it must be a whole number; 0 keeps all positions.")


def check_bytes(needed: float, task: str, advice: str) -> None:
    """Raise NeoError if a task surely needs more memory than this machine has. needed: a lower bound in bytes."""
    there = bytes_of_machine()
    if there is not None and needed > there:
        raise NeoError(
            f"{task} needs at least {needed / 1e9:,.0f} GB of memory, and this machine has {there / 1e9:,.0f} GB: {advice}."
        )


def bytes_of_machine() -> int | None:
    """Return the bytes of memory that this machine has, or None if the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
