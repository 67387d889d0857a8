"""GPT-Neo's backward pass. For a function f of `forward.py`, f_backward computes the derivatives; the order is the same.

Each takes dy, the derivative of the loss with respect to the output of f, and returns the derivatives of the loss with respect
to the inputs of f (the chain rule). If a value was used twice, its two derivatives are added. `seen` holds the arrays that a
hook recorded in the forward pass. Shape letters as in `forward.py`, P positions; a gradient has the shape and the name of its
parameter. dx always means dloss/dx.

Rumelhart et al. 1986, "Learning representations by back-propagating errors", Nature 323.

Course: notebook 13.
"""

import math

import numpy as np

from neo_np.gpt_neo import forward as formulas
from neo_np.gpt_neo.activations import OTHER_ACTIVATIONS_BACKWARD
from neo_np.gpt_neo.fast import gelu_new_backward as fast_gelu_new_backward
from neo_np.gpt_neo.fast import training
from neo_np.gpt_neo.forward import merge_heads, output_embedding, split_heads
from neo_np.gpt_neo.loss import log_softmax


def embed_backward(dy, ids, positions, wte, wpe):
    """Return dwte (V, C) and dwpe (P, C) from dy (B, T, C).

    y = wte[ids] + wpe[positions], so row i of dwte is the sum of the rows of dy where ids == i.
    """
    dwte, dwpe = np.zeros_like(wte), np.zeros_like(wpe)
    np.add.at(dwte, ids, dy)  # unlike dwte[ids] += dy, it adds every row of an id that occurs several times
    np.add.at(dwpe, positions, dy)
    return dwte, dwpe


def layer_norm_backward(dy, x, weight, eps):
    """Return dx (..., C), dweight (C,), dbias (C,).

    y = n weight + bias, n = (x - mean) / s, s = sqrt(variance + eps), so dn = dy weight. Every x of a row changes n in three
    ways: directly, through the mean and through s. The derivative of n_i with respect to x_j is (e - 1/C - n_i n_j / C) / s,
    e = 1 if i = j, else 0. Multiplied by dn_i and summed over i, this gives dx = (dn - mean(dn) - n mean(dn n)) / s.
    """
    C = x.shape[-1]
    centered = x - x.sum(axis=-1, keepdims=True) / C
    s = np.sqrt((centered * centered).sum(axis=-1, keepdims=True) / C + eps)  # (..., 1)
    n = centered / s
    dn = dy * weight
    dx = (dn - dn.sum(axis=-1, keepdims=True) / C - n * ((dn * n).sum(axis=-1, keepdims=True) / C)) / s
    return dx, sum_over_rows(dy * n), sum_over_rows(dy)


def sum_over_rows(x):
    """Add up the rows: (..., C) -> (C,)."""
    return x.reshape(-1, x.shape[-1]).sum(axis=0)


def linear_backward(dy, x, weight):
    """Return dx (..., in) and dweight (out, in).

    y = x weight^T + bias, so dx = dy weight and dweight = dy^T x, over all rows. The bias has dbias = `sum_over_rows`(dy).
    """
    # All rows in one matrix, so that each gradient is one product.
    rows, x_rows = dy.reshape(-1, dy.shape[-1]), x.reshape(-1, x.shape[-1])
    return (rows @ weight).reshape(x.shape), rows.T @ x_rows


def gelu_new_backward(dy, x):
    """Return dx. y = 0.5 x (1 + t), t = tanh(u), u = sqrt(2/pi) (x + 0.044715 x^3); tanh' = 1 - tanh^2.

    Training uses the twin in `fast.py`.
    """
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x))
    du_dx = math.sqrt(2 / math.pi) * (1.0 + 3 * 0.044715 * (x * x))
    t = np.tanh(u)
    return dy * (0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * du_dx)


ACTIVATIONS_BACKWARD = {"gelu_new": fast_gelu_new_backward, **OTHER_ACTIVATIONS_BACKWARD}


def activate_backward(dy, x, name):
    """Return dx for the activation function that the config names."""
    return ACTIVATIONS_BACKWARD[name](dy, x)


def mlp_backward(dy, x, p, activation_function, seen, prefix=""):
    """Return dx (B, T, C) and the gradients of p, {"c_fc.weight": ..., ...}. prefix: what the names in `seen` begin with."""
    dpost, dproj_weight = linear_backward(dy, seen[prefix + "mlp.post"], p.c_proj.weight)
    dpre = activate_backward(dpost, seen[prefix + "mlp.pre"], activation_function)
    dx, dfc_weight = linear_backward(dpre, x, p.c_fc.weight)
    gradients = {"c_fc.weight": dfc_weight, "c_fc.bias": sum_over_rows(dpre)}
    return dx, gradients | {"c_proj.weight": dproj_weight, "c_proj.bias": sum_over_rows(dy)}


def softmax_backward(dy, y):
    """Return dx (..., S) from y = softmax(x) (..., S).

    The derivative of y_i with respect to x_j is y_i (1 - y_i) if i = j, else -y_i y_j. Multiplied by dy_i and summed over i,
    this gives dx = y (dy - sum(dy y)). A masked entry has y = 0, so its dx is 0.
    """
    return y * (dy - (dy * y).sum(axis=-1, keepdims=True))


def attention_backward(dz, q, k, v, weights, multiplier=1.0):
    """Return dq (B, H, T, D), dk and dv (B, H, S, D) from dz (B, H, T, D) and the weights (B, H, T, S).

    z = (multiplier weights) v, weights = softmax(scores + mask), scores = q k^T. The mask needs no code: the weight of a masked
    key is 0, so `softmax_backward` gives 0 for its score. multiplier: see `dropout_backward`; 1.0 without dropout.
    """
    dv = (multiplier * weights).swapaxes(-1, -2) @ dz
    dweights = multiplier * (dz @ v.swapaxes(-1, -2))
    dscores = softmax_backward(dweights, weights)
    return dscores @ k, dscores.swapaxes(-1, -2) @ q, dv


def attention_in_parts_backward(dz, q, k, v, parts):
    """Like `attention_backward`, if the forward pass computed the weights for some queries at a time (see `fast.py`).

    parts: [(weights (B, H, queries, keys), multiplier), ...] for all queries in order. Training has no cache, so query i and
    key i belong to the same token. The keys of a part end at its last query, and their number says at which key they begin.
    """
    dq, dk, dv = np.empty_like(q), np.zeros_like(k), np.zeros_like(v)
    start = 0
    for weights, multiplier in parts:
        stop = start + weights.shape[2]
        queries, keys = slice(start, stop), slice(stop - weights.shape[3], stop)
        arrays = dz[:, :, queries], q[:, :, queries], k[:, :, keys], v[:, :, keys]
        dq[:, :, queries], dk_part, dv_part = attention_backward(*arrays, weights, multiplier)
        dk[:, :, keys] += dk_part
        dv[:, :, keys] += dv_part
        start = stop
    return dq, dk, dv


def self_attention_backward(dy, x, p, num_heads, seen, prefix=""):
    """Return dx (B, T, C) and the gradients of p, {"q_proj.weight": ..., ...}.

    x went into q, k and v, so dx is a sum. `split_heads` and `merge_heads` only move the numbers, and each undoes the other:
    so the backward function of each is the other one.
    """
    dmerged, dout_weight = linear_backward(dy, merge_heads(seen[prefix + "attn.z"]), p.out_proj.weight)
    q, k, v, parts = (seen[prefix + name] for name in ("attn.q", "attn.k", "attn.v", "attn.weights"))
    dq, dk, dv = attention_in_parts_backward(split_heads(dmerged, num_heads), q, k, v, parts)
    dx_q, dq_weight = linear_backward(merge_heads(dq), x, p.q_proj.weight)
    dx_k, dk_weight = linear_backward(merge_heads(dk), x, p.k_proj.weight)
    dx_v, dv_weight = linear_backward(merge_heads(dv), x, p.v_proj.weight)
    gradients = {"q_proj.weight": dq_weight, "k_proj.weight": dk_weight, "v_proj.weight": dv_weight}
    return dx_q + dx_k + dx_v, gradients | {"out_proj.weight": dout_weight, "out_proj.bias": sum_over_rows(dy)}


def dropout_backward(dy, seen, name):
    """Return dx. y = multiplier x, so dx = multiplier dy; without dropout at this point, dx = dy.

    multiplier: 0 for each number that dropout removed, 1 / (1 - rate) for the others.
    """
    return seen[name + ".multiplier"] * dy if name + ".multiplier" in seen else dy


def block_backward(dy, x, p, config, seen, prefix=""):
    """Return dx (B, T, C) and the gradients of p.

    x + f(x) has two paths from x to the loss: directly, and through f. Their derivatives are added.
    """
    eps, heads = config.layer_norm_epsilon, config.num_heads
    dmlp_out = dropout_backward(dy, seen, prefix + "mlp.out")
    dnormed, mlp_gradients = mlp_backward(dmlp_out, seen[prefix + "ln_2"], p.mlp, config.activation_function, seen, prefix)
    dpart, dln_2, dln_2_bias = layer_norm_backward(dnormed, seen[prefix + "resid_mid"], p.ln_2.weight, eps)
    dmid = dy + dpart

    dattn_out = dropout_backward(dmid, seen, prefix + "attn.out")
    dnormed, attention_gradients = self_attention_backward(
        dattn_out, seen[prefix + "ln_1"], p.attn.attention, heads, seen, prefix
    )
    dpart, dln_1, dln_1_bias = layer_norm_backward(dnormed, x, p.ln_1.weight, eps)
    gradients = {"ln_1.weight": dln_1, "ln_1.bias": dln_1_bias, "ln_2.weight": dln_2, "ln_2.bias": dln_2_bias}
    gradients |= with_prefix("attn.attention.", attention_gradients) | with_prefix("mlp.", mlp_gradients)
    return dmid + dpart, gradients


def with_prefix(prefix, gradients):
    """Return the gradients with `prefix` before every name."""
    return {prefix + name: gradient for name, gradient in gradients.items()}


def transformer_backward(dy, params, config, ids, seen):
    """Return the gradients of all parameters, {name: array}, from dy (B, T, C) for the output of `transformer`."""
    last = seen[f"h.{config.num_layers - 1}"]
    dx, dln_f, dln_f_bias = layer_norm_backward(dy, last, params.ln_f.weight, config.layer_norm_epsilon)
    gradients = {"ln_f.weight": dln_f, "ln_f.bias": dln_f_bias}
    for layer in reversed(range(config.num_layers)):
        x = seen[f"h.{layer - 1}" if layer else "embed"]
        dx, block_gradients = block_backward(dx, x, params.h[layer], config, seen, f"h.{layer}.")
        gradients |= with_prefix(f"h.{layer}.", block_gradients)
    dx = dropout_backward(dx, seen, "embed")
    positions = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    dwte, dwpe = embed_backward(dx, ids, positions, params.wte.weight, params.wpe.weight)
    return gradients | {"wte.weight": dwte, "wpe.weight": dwpe}


def backward(dlogits, params, config, ids, seen):
    """Return the gradients of all parameters, {name: array}, from dlogits (B, T, V).

    A tied output embedding is the token embedding used a second time, so the two gradients are added.
    """
    dx, doutput = linear_backward(dlogits, seen["ln_f"], output_embedding(params))
    gradients = transformer_backward(dx, params, config, ids, seen)
    if hasattr(params, "lm_head"):
        gradients["lm_head.weight"] = doutput
    else:
        gradients["wte.weight"] += doutput
    return gradients


def cross_entropy_backward(log_probs, targets):
    """Return dlogits (..., V) of the summed loss -log softmax(logits)[target], from log_probs = log_softmax(logits).

    dlogits = softmax(logits) - [1 at the target, else 0].
    """
    dlogits = np.exp(log_probs)
    rows = dlogits.reshape(-1, dlogits.shape[-1])  # a view: changing rows changes dlogits
    rows[np.arange(len(rows)), targets.reshape(-1)] -= 1.0  # the target of each row
    return dlogits


def recorder(seen, dropout=None):
    """Return a hook that records the activations in the dict `seen`, and applies dropout.

    "attn.weights" is recorded as a list of (weights before dropout, multiplier): attention may compute some queries at a time.
    """

    def record(name, array):
        multiplier = dropout.draw(name, array) if dropout else None
        dropped = array if multiplier is None else multiplier * array
        if name.endswith("attn.weights"):
            seen.setdefault(name, []).append((array, 1.0 if multiplier is None else multiplier))
        elif not name.endswith(("attn.scores", "attn.mask", "logits")):  # large, and the backward pass does not need them
            seen[name] = dropped
            if multiplier is not None:
                seen[name + ".multiplier"] = multiplier
        return dropped

    return record


def loss_and_gradients(params, config, ids, targets, dropout=None, count=None, fast=True):
    """Return the mean cross-entropy in nats, a float, and its gradients {name: array}.

    ids, targets: (B, T), targets the token that follows each of ids. dropout: a `Dropout` or None.
    count: divide the sum over all predictions by this number (default: B T). To split a large batch into parts, give each part
    the count of the whole batch, and add up the losses and the gradients.
    fast: False runs the forward pass without the fast twins.
    """
    seen = {}
    forward = training.forward if fast else formulas.forward
    logits = forward(params, config, ids, hook=recorder(seen, dropout))
    log_probs = log_softmax(logits)
    count = count or targets.size
    target_log_probs = np.take_along_axis(log_probs, targets[..., None], axis=-1)  # (B, T, 1)
    loss = -target_log_probs.sum(dtype=float) / count
    dlogits = cross_entropy_backward(log_probs, targets) * (1.0 / count)
    return float(loss), backward(dlogits, params, config, ids, seen)
