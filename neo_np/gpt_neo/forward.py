"""The layers that know nothing of attention: embeddings, layer norm, linear, activations, MLP, softmax, loss.

Shape letters, here and everywhere: B batch, T time (tokens), S keys seen so far, C channels (hidden size), H heads,
D head size, F feed-forward size, V vocabulary. Arrays keep the precision they come in: constants are Python floats,
because a NumPy float64 scalar would widen float32.
"""

import numpy as np

from neo_np.errors import NeoError
from neo_np.gpt_neo.activations import activation
from neo_np.gpt_neo.hooks import tapped, under

FEW_ROWS, WEIGHT_ROWS = 256, 4096  # see `linear`
ROWS_IN_CACHE = 32  # see `mlp`


def embed(ids, positions, wte, wpe):
    """Return token embedding plus position embedding: (B, T), (B, T), (V, C), (P, C) -> (B, T, C).

    Radford et al. 2018, "Improving Language Understanding by Generative Pre-Training", section 3.1.
    """
    return wte[ids] + wpe[positions]


def layer_norm(x, weight, bias, eps):
    """Return x with mean 0 and variance 1 over its last axis, then scaled and shifted: (..., C) -> (..., C).

    Ba et al. 2016 (arXiv 1607.06450). The variance is the biased one (divided by C, not C - 1).
    """
    channels = x.shape[-1]
    centered = x - x.sum(axis=-1, keepdims=True) / channels
    variance = np.vecdot(centered, centered)[..., None] / channels  # (..., 1)
    centered /= np.sqrt(variance + eps)
    centered *= weight
    centered += bias
    return centered


def linear(x, weight, bias=None):
    """Return x @ weight.T + bias: (..., in) -> (..., out), weight (out, in) as the checkpoint has it, bias (out,).

    All rows of a batch go into one matrix product: row by row, the weights would be read from memory once for each.
    """
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) > FEW_ROWS:
        y = rows @ weight.T
    elif len(rows) == 1 or len(weight) <= WEIGHT_ROWS:  # the same product turned round: BLAS is faster at it for a few rows
        y = weight.dot(rows.T).T  # for matrices `dot` is `@`, without what `@` does to take stacks of them
    else:  # and the largest weights, (V, C), in parts
        y = np.concatenate([weight[i : i + WEIGHT_ROWS] @ rows.T for i in range(0, len(weight), WEIGHT_ROWS)]).T
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], weight.shape[0])


def mlp(x, p, activation_function, tap=None):
    """Return the feed-forward part of a block: (..., C) -> (..., F) -> (..., C).

    p: the checkpoint's `mlp` (`c_fc` widens, `c_proj` narrows). Taps: mlp.pre, mlp.hidden, mlp.out.
    """
    hidden = tapped(tap, "mlp.pre", linear(x, p.c_fc.weight, p.c_fc.bias))  # (..., C) -> (..., F)
    function = activation(activation_function)
    if tap is None:  # nobody holds the array: the result takes its place, some rows at a time that stay in the cache
        rows = hidden.reshape(-1, hidden.shape[-1])
        for start in range(0, len(rows), ROWS_IN_CACHE):
            rows[start : start + ROWS_IN_CACHE] = function(rows[start : start + ROWS_IN_CACHE])
    else:
        hidden = tapped(tap, "mlp.hidden", function(hidden))
    return tapped(tap, "mlp.out", linear(hidden, p.c_proj.weight, p.c_proj.bias))  # (..., F) -> (..., C)


def softmax(x):
    """Return exp(x) / sum(exp(x)) over the last axis; the maximum is taken off first so that exp cannot overflow."""
    e = x - x.max(axis=-1, keepdims=True)
    np.exp(e, out=e)
    e /= e.sum(axis=-1, keepdims=True)
    return e


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


def block(x, p, config, layer, padding=None, cache=None, tap=None, keep=0):
    """Return x with what attention and MLP add to it, each from a normalised copy: (B, T, C) -> (B, T, C).

    p: the checkpoint's `h.{layer}`. The layer norms stand before the parts ("pre-norm"), as in GPT-2 (Radford et al.
    2019, section 2.3), so that the residual stream x itself is never normalised.
    keep: only the last so many positions go on (0: all); the others give attention their keys and values.
    Taps: ln_1, those of `self_attention`, mid for x between the two parts, ln_2, and those of `mlp`.
    """
    eps = config.layer_norm_epsilon
    normed = tapped(tap, "ln_1", layer_norm(x, p.ln_1.weight, p.ln_1.bias, eps))
    attended = self_attention(
        normed, p.attn.attention, config.num_heads, config.window(layer), padding, cache, layer, tap, keep
    )
    x = tapped(tap, "mid", x[:, -keep:] + attended)  # [-0:] is all of it
    normed = tapped(tap, "ln_2", layer_norm(x, p.ln_2.weight, p.ln_2.bias, eps))
    return x + mlp(normed, p.mlp, config.activation_function, tap)


def transformer(params, config, ids, mask=None, cache=None, tap=None, keep=0):
    """Return what the last layer norm makes of the last block, for the last `keep` positions (0: all): (B, T) -> (B, T, C).

    mask (B, T): 0 for left padding, 1 for tokens. cache: a `KVCache` to go on from, which takes the new keys and values.
    Taps: embed, those of each `block` as h.0.ln_1 and so on, its result as h.0, ln_f.
    """
    seen = cache.length if cache else 0
    positions, padding = position_ids(ids, mask, cache)
    if positions.max() >= config.max_position_embeddings:
        raise NeoError(
            f"the text is {positions.max() + 1} tokens long and the model has {config.max_position_embeddings} positions: "
            "shorten it (generate can go on with the last tokens alone: slide=True)."
        )
    x = tapped(tap, "embed", embed(ids, positions, params.wte.weight, params.wpe.weight))  # (B, T) -> (B, T, C)
    for layer, p in enumerate(params.h):
        kept = keep if layer == config.num_layers - 1 else 0  # before the last block, all positions are looked at
        x = block(x, p, config, layer, padding, cache, under(f"h.{layer}.", tap), kept)
        x = tapped(tap, f"h.{layer}", x)
    if cache:
        cache.length = seen + ids.shape[1]
        cache.padding = cache.padding if padding is None else padding
    return tapped(tap, "ln_f", layer_norm(x, params.ln_f.weight, params.ln_f.bias, config.layer_norm_epsilon))


def position_ids(ids, mask, cache):
    """Return each token's position in its own text, (B, T), and how many padding slots each row begins with, (B,).

    The second is None where there is no padding. Padding gets position 0; nothing ever looks at it. A mask of
    [[0, 0, 1, 1]] has the positions [[0, 0, 0, 1]] and the padding [2].
    """
    seen = cache.length if cache else 0
    padding = cache.padding if cache else np.zeros(len(ids), int)
    if mask is not None:
        # Only a row that has been all padding so far can have more of it.
        padding = padding + np.where(padding == seen, (mask == 0).sum(axis=1), 0)
    slots = np.arange(seen, seen + ids.shape[1])
    positions = np.maximum(slots - padding[:, None], 0)  # (B, T)
    return positions, padding if padding.any() else None


def forward(params, config, ids, mask=None, cache=None, tap=None, logits_to_keep=0):
    """Return the logits, for each position the score of every token to come next: ids (B, T) -> (B, T, V).

    logits_to_keep: only those of the last so many positions (0: of all). A tied model uses the token embedding as
    output embedding (Press and Wolf 2017, arXiv 1608.05859). Tap: logits.
    """
    # A tap is shown all positions of the last block too.
    x = transformer(params, config, ids, mask, cache, tap, keep=logits_to_keep if tap is None else 0)
    x = x[:, -logits_to_keep:]  # (B, T, C)
    return tapped(tap, "logits", linear(x, output_embedding(params)))  # -> (B, T, V)


def output_embedding(params):
    """Return `lm_head.weight` where the model has one, else the token embedding it is tied to: (V, C)."""
    return getattr(params, "lm_head", params.wte).weight
