"""Causal self-attention, global and local (sliding window), in GPT-Neo's form.

Vaswani et al. 2017 (arXiv 1706.03762), section 3.2; the window of local layers as in Beltagy et al. 2020
(arXiv 2004.05150), section 3.1. Three quirks of GPT-Neo: scores are *not* divided by sqrt(D); the projections to
q, k and v have no bias, while the output projection has one; a local layer sees the last `window_size` tokens, the
present one included.
"""

import numpy as np

from neo_np.layers import linear, softmax, tapped

# Queries are taken this many at a time: so the scores (B, H, 64, S) stay small however long the text is, and most keys
# that a block's queries may not see are never multiplied at all.
QUERY_BLOCK = 64


def split_heads(x, num_heads):
    """Cut the channels into heads: (B, T, C) -> (B, H, T, D)."""
    batch, time, channels = x.shape
    return x.reshape(batch, time, num_heads, channels // num_heads).swapaxes(1, 2)


def merge_heads(x):
    """Put the heads side by side again: (B, H, T, D) -> (B, T, C)."""
    batch, heads, time, size = x.shape
    return x.swapaxes(1, 2).reshape(batch, time, heads * size)


def global_mask(queries, keys):
    """Return which keys each query may see in a global layer: all up to itself. (T,), (S,) positions -> (T, S) bool."""
    return keys[None, :] <= queries[:, None]


def local_mask(queries, keys, window_size):
    """Return which keys each query may see in a local layer: the last `window_size`, itself included."""
    return global_mask(queries, keys) & (keys[None, :] > queries[:, None] - window_size)


def query_blocks(T, S, window_size=None):
    """Yield (queries, keys) for blocks of the last T of S positions: slices of positions, keys that no query sees left out."""
    for start in range(S - T, S, QUERY_BLOCK):
        stop = min(start + QUERY_BLOCK, S)
        first_key = 0 if window_size is None else max(0, start - window_size + 1)
        yield slice(start, stop), slice(first_key, stop)


def block_name(queries, keys, T, S):
    """Return what a tap's name says of a block: nothing where it is the whole (T, S), else "[queries, keys]"."""
    whole = queries.stop - queries.start == T and keys.stop - keys.start == S
    return "" if whole else f"[{queries.start}:{queries.stop}, {keys.start}:{keys.stop}]"


def attention(q, k, v, window_size=None, padding=None, tap=None):
    """Return for each query the average of the values it may see, weighted by softmax(q k^T).

    q: (B, H, T, D), the last T of the S positions that k and v have; k, v: (B, H, S, D) -> (B, H, T, D).
    window_size: None for a global layer. padding: (B,) first slots of each row that no query sees, or None.
    Taps, once for each block of queries: attn.scores (before the mask) and attn.weights, (B, H, block, keys). Where a
    block is not the whole (T, S), the name says which positions it has: "attn.weights[64:128, 0:128]" (queries, keys).
    """
    T, S = q.shape[2], k.shape[2]
    heads = np.empty_like(q)
    for queries, keys in query_blocks(T, S, window_size):
        rows, part = slice(queries.start - (S - T), queries.stop - (S - T)), block_name(queries, keys, T, S) if tap else ""
        scores = q[:, :, rows] @ k[:, :, keys].swapaxes(2, 3)  # (B, H, block, keys)
        scores = tapped(tap, "attn.scores" + part, scores)
        if queries.stop - queries.start > 1 or padding is not None:  # a lone query may see every key that is left
            at_query, at_key = np.arange(queries.start, queries.stop), np.arange(keys.start, keys.stop)
            seen = global_mask(at_query, at_key) if window_size is None else local_mask(at_query, at_key, window_size)
            if padding is not None:
                seen = seen & (at_key >= padding[:, None])[:, None, None, :]  # (B, 1, block, keys)
            # The lowest number and not -inf: a padding token sees nothing at all, and -inf would make its row NaN.
            # Added to a score it is still itself, for it swallows all that is so much smaller.
            scores = scores + np.where(seen, 0.0, np.finfo(scores.dtype).min)
        weights = tapped(tap, "attn.weights" + part, softmax(scores))
        heads[:, :, rows] = weights @ v[:, :, keys]
    return heads


def self_attention(x, p, num_heads, window_size=None, padding=None, cache=None, layer=0, tap=None, keep=0):
    """Return the attention part of a block: (B, T, C) -> (B, T, C), or of its last `keep` positions alone (0: of all).

    p: the checkpoint's `attn.attention` (q_proj, k_proj, v_proj without bias, out_proj with one). cache: a `KVCache` to
    which layer `layer` adds its keys and values. Taps: attn.q, attn.k, attn.v (of the new tokens), attn.scores,
    attn.weights, attn.heads, attn.out.
    """
    q = tapped(tap, "attn.q", split_heads(linear(x[:, -keep:], p.q_proj.weight), num_heads))  # (B, T, C) -> (B, H, T, D)
    k = tapped(tap, "attn.k", split_heads(linear(x, p.k_proj.weight), num_heads))
    v = tapped(tap, "attn.v", split_heads(linear(x, p.v_proj.weight), num_heads))
    if cache is not None:
        k, v = cache.append(layer, k, v)  # (B, H, T, D) -> (B, H, S, D)
    heads = tapped(tap, "attn.heads", attention(q, k, v, window_size, padding, tap))
    return tapped(tap, "attn.out", linear(merge_heads(heads), p.out_proj.weight, p.out_proj.bias))
