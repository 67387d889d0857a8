"""Three answers to "why this token?". They ask different questions, so they give different numbers.

Direct contributions: how much did each part add to the logit?    Gradient: how would the logit react to each input token?
Ablation: what would change without a head?

The first two explain m, the logit of a token minus the mean logit of the V rows of the output embedding: a number that is
added to all logits changes neither softmax nor m. m = d . y with d = W[token] - mean(W), y the output of the last layer norm.
Ablation gives the change of the log-probability, and that of m.

Course: notebook 15.
"""

from collections.abc import Callable, Sequence

import numpy as np

from neo_np.explain.trace import CHOSEN, Trace
from neo_np.gpt_neo.backward import ACTIVATIONS_BACKWARD, attention_backward, layer_norm_backward
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.fast import hooked, inference, linear
from neo_np.gpt_neo.forward import layer_norm, merge_heads, output_embedding, split_heads
from neo_np.gpt_neo.loss import log_softmax
from neo_np.gpt_neo.params import Params

Progress = Callable[[int], None]  # takes the number of units of work that were done

NEURONS = 8  # shown for each layer and position
POSITIONS_AT_ONCE = 8  # gradients that are computed as one batch


def centered_logit(logits: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Return m for each position: (..., T, V), (T,) -> (..., T)."""
    return logits[..., np.arange(len(tokens)), tokens] - logits.mean(axis=-1, dtype=float)


def output_direction(params: Params, tokens: np.ndarray) -> np.ndarray:
    """Return d = W[token] - mean(W) in float64: (T,) -> (T, C)."""
    W = output_embedding(params)
    return W[tokens] - W.mean(axis=0, dtype=float)


# Direct contributions.


def stream_direction(trace: Trace, tokens: np.ndarray) -> np.ndarray:
    """Return u (T, C): x . u is what a vector x, added to the residual stream at a position, adds to m there.

    The last layer norm is y = (x - mean(x)) / s * g + b. With s as it was in this run, y is linear in x, and so
    m = x . u + b . d with u = (g d - mean(g d)) / s.
    """
    x = trace.seen[f"h.{trace.config.num_layers - 1}"].astype(float)
    s = np.sqrt(x.var(axis=-1, keepdims=True) + trace.config.layer_norm_epsilon)  # (T, 1)
    gd = trace.params.ln_f.weight * output_direction(trace.params, tokens)
    return (gd - gd.mean(axis=-1, keepdims=True)) / s


def part_names(config: Config) -> list[str]:
    """Return the names of the P parts whose contributions add up to m, in the order of the model."""
    names = ["token embedding", "position embedding"]
    for layer in range(config.num_layers):
        names += [f"layer {layer} head {head}" for head in range(config.num_heads)]
        names += [f"layer {layer} attention bias", f"layer {layer} MLP"]
    return [*names, "final layer norm bias"]


def direct_contributions(trace: Trace, tokens: np.ndarray) -> np.ndarray:
    """Return what each part adds to m of the token of each position: (T,) -> (T, P) float64. Their sum is m."""
    u, params, seen = stream_direction(trace, tokens), trace.params, trace.seen
    parts = [(params.wte.weight[trace.ids] * u).sum(axis=-1), (params.wpe.weight[: len(u)] * u).sum(axis=-1)]
    for layer, p in enumerate(params.h):
        of_heads = (seen[f"h.{layer}.attn.z"] * head_directions(u, p, trace.config)).sum(axis=-1)  # (H, T)
        parts += [*of_heads, u @ p.attn.attention.out_proj.bias, (seen[f"h.{layer}.mlp.out"] * u).sum(axis=-1)]
    return np.stack([*parts, output_direction(params, tokens) @ params.ln_f.bias], axis=-1)


def head_directions(u: np.ndarray, p: Params, config: Config) -> np.ndarray:
    """Return W_o^T u, cut into heads: z . that is what a head's output z adds to m. (T, C) -> (H, T, D)."""
    return split_heads((u @ p.attn.attention.out_proj.weight)[None], config.num_heads)[0]


def contributions_by_source(trace: Trace, tokens: np.ndarray) -> np.ndarray:
    """Return each head's contribution, split by the token that it looked at: (L, H, T, T), row = query, column = key.

    A head's output is a weighted sum of values, so the share of key k at query q is weights[q, k] * (v[k] W_o^T u[q]).
    """
    u = stream_direction(trace, tokens)
    return np.stack(
        [
            trace.seen[f"h.{layer}.attn.weights"]
            * (head_directions(u, p, trace.config) @ trace.seen[f"h.{layer}.attn.v"].swapaxes(-1, -2))
            for layer, p in enumerate(trace.params.h)
        ]
    )


def strongest_neurons(trace: Trace) -> dict[str, np.ndarray]:
    """Return the neurons of each MLP with the largest activations.

    index, activation: (L, T, 8). adds: (L, T, 8, 2) what each adds directly to m of the two candidates. above_0: (L, T) the
    share of all neurons whose activation is above 0.
    """
    directions = [stream_direction(trace, tokens) for tokens in trace.candidates.T]
    found: dict[str, list[np.ndarray]] = {"index": [], "activation": [], "adds": [], "above_0": []}
    for layer, p in enumerate(trace.params.h):
        post = trace.seen[f"h.{layer}.mlp.post"]  # (T, F)
        index = np.argsort(-np.abs(post), axis=-1, kind="stable")[:, :NEURONS]
        activation = np.take_along_axis(post, index, axis=-1)
        effects = [np.take_along_axis(u @ p.mlp.c_proj.weight, index, axis=-1) for u in directions]
        found["index"].append(index)
        found["activation"].append(activation)
        found["adds"].append(activation[..., None] * np.stack(effects, axis=-1))
        found["above_0"].append((post > 0).mean(axis=-1))
    return {name: np.stack(arrays) for name, arrays in found.items()}


# Gradient x embedding.


def gradient_times_embedding(trace: Trace, positions: Sequence[int], progress: Progress | None = None) -> np.ndarray:
    """Return (N, T): how m of the chosen token at each position reacts to each input token, to first order.

    It is the gradient of m with respect to the array of the hook "embed" (token + position embedding), times that array,
    summed over the channels.
    """
    result = np.zeros((len(positions), len(trace.ids)))
    for start in range(0, len(positions), POSITIONS_AT_ONCE):
        batch = positions[start : start + POSITIONS_AT_ONCE]
        stop = max(batch) + 1
        product = embedding_gradients(trace, batch) * trace.seen["embed"][:stop]
        result[start : start + len(batch), :stop] = product.sum(axis=-1)
        if progress:
            progress(len(batch))
    return result


def embedding_gradients(trace: Trace, positions: Sequence[int]) -> np.ndarray:
    """Return the gradients of m at N positions with respect to the embeddings: (N, T, C), T up to the last of the positions.

    It is the backward pass of `gpt_neo/backward.py` without the gradients of the parameters. The last layer norm's scale is
    not frozen.
    """
    params, config, stop = trace.params, trace.config, max(positions) + 1
    seen, last = trace.until(stop), f"h.{config.num_layers - 1}"
    dy = np.zeros((len(positions), *seen[last].shape), seen[last].dtype)
    dy[np.arange(len(positions)), positions] = output_direction(params, trace.candidates[positions, CHOSEN])
    dx, _, _ = layer_norm_backward(dy, seen[last], params.ln_f.weight, config.layer_norm_epsilon)
    for layer in reversed(range(config.num_layers)):
        x = seen[f"h.{layer - 1}" if layer else "embed"]
        dx = block_dx(dx, x, params.h[layer], config, seen, f"h.{layer}.")
    return dx


def block_dx(dy: np.ndarray, x: np.ndarray, p: Params, config: Config, seen: dict, at: str) -> np.ndarray:
    """Return dx of a block for a batch of dy (N, T, C), in which one forward pass is shared by all rows."""
    eps, attn = config.layer_norm_epsilon, p.attn.attention
    dpre = ACTIVATIONS_BACKWARD[config.activation_function](linear_dx(dy, p.mlp.c_proj.weight), seen[at + "mlp.pre"])
    dmid = dy + layer_norm_backward(linear_dx(dpre, p.mlp.c_fc.weight), seen[at + "resid_mid"], p.ln_2.weight, eps)[0]
    dz = split_heads(linear_dx(dmid, attn.out_proj.weight), config.num_heads)
    heads = attention_backward(dz, *(seen[at + name] for name in ("attn.q", "attn.k", "attn.v", "attn.weights")))
    weights = attn.q_proj.weight, attn.k_proj.weight, attn.v_proj.weight
    dnormed = sum(linear_dx(merge_heads(dhead), weight) for dhead, weight in zip(heads, weights))
    return dmid + layer_norm_backward(dnormed, x, p.ln_1.weight, eps)[0]


def linear_dx(dy: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return dx of y = x @ weight.T, as one matrix product over all rows: (N, T, out) -> (N, T, in)."""
    return (dy.reshape(-1, dy.shape[-1]) @ weight).reshape(*dy.shape[:-1], weight.shape[1])


# Ablation.


def ablate_heads(trace: Trace, progress: Progress | None = None) -> dict[str, np.ndarray]:
    """Return what changes without each head, (L, H, T) each: log_prob and m of the chosen token, ablated minus original.

    The head's output z is set to 0 at all positions; the bias of out_proj stays.
    """
    config, tokens = trace.config, trace.candidates[:, CHOSEN]
    before = scores_of(trace.logits, tokens)
    changes = []
    for layer in range(config.num_layers):
        for x in without_each_head(trace, layer):  # (T, C)
            y = layer_norm(x, trace.params.ln_f.weight, trace.params.ln_f.bias, config.layer_norm_epsilon)
            changes.append(scores_of(linear(y, output_embedding(trace.params)), tokens) - before)
            if progress:
                progress(1)
    log_prob, m = np.stack(changes, axis=1).reshape(2, config.num_layers, config.num_heads, len(tokens))
    return {"log_prob": log_prob, "m": m}


def without_each_head(trace: Trace, layer: int) -> np.ndarray:
    """Return the last residual stream of H runs from this layer on, as one batch: run h lacks head h. (H, T, C)."""
    params, config = trace.params, trace.config
    x = trace.seen[f"h.{layer - 1}" if layer else "embed"]
    x = np.broadcast_to(x, (config.num_heads, *x.shape))
    kept = 1 - np.eye(config.num_heads, dtype=x.dtype)[:, :, None, None]  # (run, head, 1, 1)
    x = hooked.block(x, params.h[layer], config, layer, hook=lambda name, z: z * kept if name == "attn.z" else z)
    for later in range(layer + 1, config.num_layers):
        x = inference.block(x, params.h[later], config, later)
    return x


def scores_of(logits: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """Return the log-probability and m of the token of each position: (T, V), (T,) -> (2, T)."""
    log_probs = log_softmax(logits)[np.arange(len(tokens)), tokens]
    return np.stack([log_probs, centered_logit(logits, tokens)])
