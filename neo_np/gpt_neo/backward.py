"""The backward pass: a function for each one of the forward pass, by the same name, in the same order.

Each takes dy, the derivative of the loss by what its forward function returns, and gives the derivatives by what that
function takes. This is the chain rule and nothing else: what a function needs to know of the forward pass was recorded
there by a tap (see `Model.logits`), and where a value was used twice, its two derivatives are added.

Rumelhart et al. 1986, "Learning representations by back-propagating errors". Shapes and letters as in the forward pass;
gradients have the shapes and names of the parameters, and everything keeps the precision it comes in.
"""

import math

import numpy as np

from neo_np.gpt_neo.activations import SQRT_2_OVER_PI, erf
from neo_np.gpt_neo.forward import block_name, forward, merge_heads, output_embedding, query_blocks, split_heads
from neo_np.gpt_neo.loss import log_softmax


def embed_backward(dy, ids, positions, wte, wpe):
    """Return dwte (V, C) and dwpe (P, C): each row of dy (B, T, C) is added to the rows it was looked up from.

    y = wte[ids] + wpe[positions]  =>  dwte[i] = sum of dy where ids == i, and the same for dwpe.
    """
    return add_rows(dy, ids, wte), add_rows(dy, positions, wpe)


def add_rows(dy, indices, table):
    """Return an array like table whose row i is the sum of dy's rows that have the index i."""
    indices, dy = indices.reshape(-1), dy.reshape(-1, dy.shape[-1])
    order = np.argsort(indices, kind="stable")  # equal indices side by side, so that each run can be added up
    found, starts = np.unique(indices[order], return_index=True)
    sums = np.zeros_like(table)
    sums[found] = np.add.reduceat(dy[order], starts, axis=0)
    return sums


def layer_norm_backward(dy, x, weight, eps):
    """Return dx (..., C), dweight (C,), dbias (C,).

    y = n weight + bias with n = (x - mean) / s. The mean and s depend on every x, which takes from dn its own mean
    and its part along n:  dx = (dn - mean(dn) - n mean(dn n)) / s, with dn = dy weight.
    """
    n = x - x.mean(axis=-1, keepdims=True)
    s = np.sqrt(np.square(n).mean(axis=-1, keepdims=True) + eps)  # (..., 1)
    n /= s
    rows = tuple(range(dy.ndim - 1))
    dweight, dbias = (dy * n).sum(axis=rows), dy.sum(axis=rows)
    dx = dy * weight
    along_n = (dx * n).mean(axis=-1, keepdims=True)
    dx -= dx.mean(axis=-1, keepdims=True)
    n *= along_n
    dx -= n
    dx /= s
    return dx, dweight, dbias


def linear_backward(dy, x, weight, bias=None):
    """Return dx (..., in), dweight (out, in), dbias (out,) or None where there was no bias.

    y = x weight^T + bias  =>  dx = dy weight, dweight = dy^T x and dbias = sum of dy, both over all rows.
    """
    rows = dy.reshape(-1, dy.shape[-1])
    dx = (rows @ weight).reshape(x.shape)
    dweight = rows.T @ x.reshape(-1, x.shape[-1])
    return dx, dweight, None if bias is None else rows.sum(axis=0)


def gelu_new_backward(dy, x):
    """Return dx. y = x (1 + t) / 2, t = tanh(u), u = sqrt(2/pi) (x + 0.044715 x^3).

    tanh' = 1 - t^2  =>  dx = dy ((1 + t) + x (1 - t^2) u') / 2, u' = sqrt(2/pi) (1 + 3 0.044715 x^2).
    """
    square = x * x
    t = square * (0.044715 * SQRT_2_OVER_PI)
    t += SQRT_2_OVER_PI
    t *= x
    t = np.tanh(t)
    square *= 3 * 0.044715 * SQRT_2_OVER_PI
    square += SQRT_2_OVER_PI
    square *= x  # x u'
    square *= 1.0 - t
    square += 1.0  # now (1 + t) (1 + x (1 - t) u') is what dy / 2 is multiplied by, for 1 - t^2 = (1 + t) (1 - t)
    t += 1.0
    square *= t
    square *= 0.5
    square *= dy
    return square


def gelu_backward(dy, x):
    """Return dx. y = x P(x), P the normal distribution, p its density  =>  dx = dy (P + x p)."""
    density = np.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))
    return dy * (0.5 * (1.0 + erf(x * math.sqrt(0.5))) + x * density)


def relu_backward(dy, x):
    """Return dx: dy where x is positive, else 0."""
    return dy * (x > 0)


def silu_backward(dy, x):
    """Return dx. y = x s, s = sigmoid(x), s' = s (1 - s)  =>  dx = dy s (1 + x (1 - s))."""
    s = 0.5 * (1.0 + np.tanh(0.5 * x))
    return dy * s * (1.0 + x * (1.0 - s))


ACTIVATIONS_BACKWARD = {
    "gelu_new": gelu_new_backward,
    "gelu": gelu_backward,
    "relu": relu_backward,
    "silu": silu_backward,
}


def mlp_backward(dy, x, p, activation_function, seen, at=""):
    """Return dx (..., C) and the gradients of p, {"c_fc.weight": ..., ...}; seen: what the forward pass recorded."""
    dhidden, dweight, dbias = linear_backward(dy, seen[at + "mlp.hidden"], p.c_proj.weight, p.c_proj.bias)
    gradients = {"c_proj.weight": dweight, "c_proj.bias": dbias}
    dpre = ACTIVATIONS_BACKWARD[activation_function](dhidden, seen[at + "mlp.pre"])
    dx, dweight, dbias = linear_backward(dpre, x, p.c_fc.weight, p.c_fc.bias)
    return dx, gradients | {"c_fc.weight": dweight, "c_fc.bias": dbias}


def softmax_backward(dy, y):
    """Return dx from y = softmax(x), over the last axis.

    dy_i/dx_j = y_i ([i = j] - y_j)  =>  dx = y (dy - sum(dy y)). Where y is 0, as behind a mask, dx is 0 too.
    """
    dx = dy * y
    dx -= y * dx.sum(axis=-1, keepdims=True)
    return dx


def cross_entropy_backward(log_probabilities, targets):
    """Return the derivative of the summed cross-entropy by the logits, from log_softmax(logits): (..., V), (...) -> (..., V).

    loss = -log softmax(logits)[target]  =>  dlogits = softmax(logits) - [1 at the target, else 0].
    """
    dlogits = np.exp(log_probabilities)
    rows = dlogits.reshape(-1, dlogits.shape[-1])  # a view: what is taken off in it is taken off dlogits
    rows[np.arange(len(rows)), targets.reshape(-1)] -= 1.0
    return dlogits


def attention_backward(dy, q, k, v, window_size, seen, at=""):
    """Return dq, dk, dv, (B, H, T, D) each, from dy of the heads, (B, H, T, D).

    heads = weights v, weights = softmax(scores), scores = q k^T (GPT-Neo does not divide them)  =>
    dv = weights^T dy;  dweights = dy v^T;  dq = dscores k;  dk = dscores^T q. Both masks need no line of their own: what a
    query does not see has the weight 0, and so has its derivative.
    """
    dq, dk, dv = np.empty_like(q), np.zeros_like(k), np.zeros_like(v)
    T = q.shape[2]
    for queries, keys in query_blocks(T, T, window_size):
        name = f"{at}attn.weights{block_name(queries, keys, T, T)}"
        weights, dy_block = seen[name], dy[:, :, queries]
        dv[:, :, keys] += weights.swapaxes(2, 3) @ dy_block
        dweights = dropout_backward(dy_block @ v[:, :, keys].swapaxes(2, 3), seen, name)
        dscores = softmax_backward(dweights, seen.get(name + ".whole", weights))  # (B, H, block, keys)
        dq[:, :, queries] = dscores @ k[:, :, keys]
        dk[:, :, keys] += dscores.swapaxes(2, 3) @ q[:, :, queries]
    return dq, dk, dv


def self_attention_backward(dy, x, p, num_heads, window_size, seen, at=""):
    """Return dx (B, T, C) and the gradients of p, {"q_proj.weight": ..., ...}. x went into q, k and v, so dx is a sum."""
    dmerged, dweight, dbias = linear_backward(dy, merge_heads(seen[at + "attn.heads"]), p.out_proj.weight, p.out_proj.bias)
    gradients = {"out_proj.weight": dweight, "out_proj.bias": dbias}
    q, k, v = (seen[at + name] for name in ("attn.q", "attn.k", "attn.v"))
    dq, dk, dv = attention_backward(split_heads(dmerged, num_heads), q, k, v, window_size, seen, at)
    dx = 0.0
    for name, dheads in {"q_proj": dq, "k_proj": dk, "v_proj": dv}.items():
        dpart, gradients[f"{name}.weight"], _ = linear_backward(merge_heads(dheads), x, getattr(p, name).weight)
        dx += dpart
    return dx, gradients


def block_backward(dy, x, p, config, layer, seen):
    """Return dx (B, T, C) and the gradients of p. Each part was added to x, so dy reaches x twice: past it and through it."""
    at, eps = f"h.{layer}.", config.layer_norm_epsilon
    dmlp = dropout_backward(dy, seen, at + "mlp.out")
    dnormed, dp_mlp = mlp_backward(dmlp, seen[at + "ln_2"], p.mlp, config.activation_function, seen, at)
    dpart, dln_2, dln_2_bias = layer_norm_backward(dnormed, seen[at + "mid"], p.ln_2.weight, eps)
    dmid = dy + dpart

    dattention = dropout_backward(dmid, seen, at + "attn.out")
    dnormed, dp_attention = self_attention_backward(
        dattention, seen[at + "ln_1"], p.attn.attention, config.num_heads, config.window(layer), seen, at
    )
    dpart, dln_1, dln_1_bias = layer_norm_backward(dnormed, x, p.ln_1.weight, eps)
    gradients = {"ln_1.weight": dln_1, "ln_1.bias": dln_1_bias, "ln_2.weight": dln_2, "ln_2.bias": dln_2_bias}
    gradients |= {f"attn.attention.{name}": array for name, array in dp_attention.items()}
    gradients |= {f"mlp.{name}": array for name, array in dp_mlp.items()}
    return dmid + dpart, gradients


def transformer_backward(dy, params, config, ids, seen):
    """Return the gradients of all parameters from dy (B, T, C) of what `transformer` returns."""
    last = f"h.{config.num_layers - 1}"
    dx, dln_f, dln_f_bias = layer_norm_backward(dy, seen[last], params.ln_f.weight, config.layer_norm_epsilon)
    gradients = {"ln_f.weight": dln_f, "ln_f.bias": dln_f_bias}
    for layer in reversed(range(config.num_layers)):
        x = seen[f"h.{layer - 1}" if layer else "embed"]
        dx, dp = block_backward(dx, x, params.h[layer], config, layer, seen)
        gradients |= {f"h.{layer}.{name}": array for name, array in dp.items()}
    dx = dropout_backward(dx, seen, "embed")
    positions = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
    dwte, dwpe = embed_backward(dx, ids, positions, params.wte.weight, params.wpe.weight)
    return gradients | {"wte.weight": dwte, "wpe.weight": dwpe}


def forward_backward(dlogits, params, config, ids, seen):
    """Return the gradients of all parameters, {name: array}, from dlogits (B, T, V).

    The output embedding turned x into logits; where it is the token embedding, its gradient is added to that one's.
    """
    dx, doutput, _ = linear_backward(dlogits, seen["ln_f"], output_embedding(params))
    gradients = transformer_backward(dx, params, config, ids, seen)
    if config.tie_word_embeddings:
        gradients["wte.weight"] += doutput
    else:
        gradients["lm_head.weight"] = doutput
    return gradients


def loss_and_gradients(params, config, ids, targets, dropout=None, of=None):
    """Return the mean cross-entropy in nats, a float, and its gradients {name: array}: ids and targets (B, T).

    targets: the token that follows each one of ids. dropout: a `Dropout`, or None. of: how many predictions the mean is
    taken over where these are only some of them (B T by default); then losses and gradients of the parts add up.
    """
    seen = {}

    def record(name, array):
        if dropout:
            array = dropout.drop(name, array, seen)
        if ".scores" not in name:  # no backward function looks at them, and they are large
            seen[name] = array
        return array

    logits = forward(params, config, ids, tap=record)
    log_probabilities = log_softmax(logits)
    of = of or targets.size
    loss = -np.take_along_axis(log_probabilities, targets[..., None], axis=-1).sum(dtype=float) / of
    dlogits = cross_entropy_backward(log_probabilities, targets)
    dlogits *= 1.0 / of
    return float(loss), forward_backward(dlogits, params, config, ids, seen)


def dropout_backward(dy, seen, name):
    """Return dx. y = x keep  =>  dx = dy keep; without dropout at this point dy itself."""
    keep = seen.get(name + ".dropout")
    return dy if keep is None else dy * keep
