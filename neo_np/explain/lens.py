"""The logit lens: what the model would predict if it stopped after each part of each layer.

nostalgebraist 2020, "interpreting GPT: the logit lens". The last layer norm and the output embedding are applied to the
residual stream at a station in the middle of the model. The last station is the model's own prediction.
"""

from collections.abc import Callable

import numpy as np

from neo_np.explain.trace import CHOSEN, Trace, stream_names
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.fast import linear
from neo_np.gpt_neo.forward import layer_norm, output_embedding
from neo_np.gpt_neo.loss import log_softmax
from neo_np.gpt_neo.params import Params


def lens_logits(x: np.ndarray, params: Params, config: Config) -> np.ndarray:
    """Return the logits that the model's end makes of a residual stream: (T, C) -> (T, V)."""
    normed = layer_norm(x, params.ln_f.weight, params.ln_f.bias, config.layer_norm_epsilon)
    return linear(normed, output_embedding(params))


def logit_lens(trace: Trace, progress: Callable[[int], None] | None = None) -> dict[str, np.ndarray]:
    """Return what the lens sees at each of the R = 2 L + 1 stations, each array (R, T).

    top: the likeliest token. probability: of that token. rank: of the token that came, 1 is the likeliest. came: its
    probability. entropy: in nats. kl: KL(station || final), in nats.
    One station at a time: the logits of all stations of GPT-Neo 125M would be 643 MB for 128 tokens.
    """
    final, rows = log_softmax(trace.logits), []
    for name in stream_names(trace.config):
        log_probs = log_softmax(lens_logits(trace.seen[name], trace.params, trace.config))
        rows.append(station(log_probs, trace.candidates[:, CHOSEN], final))
        if progress:
            progress(1)
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def station(log_probs: np.ndarray, came: np.ndarray, final: np.ndarray) -> dict[str, np.ndarray]:
    """Return the numbers of one station: log_probs (T, V), came (T,) the token that came, final (T, V) -> (T,) each."""
    probabilities = np.exp(log_probs)
    of_came = np.take_along_axis(log_probs, came[:, None], axis=-1)  # (T, 1)
    return {
        "top": log_probs.argmax(axis=-1),
        "probability": probabilities.max(axis=-1),
        "rank": 1 + (log_probs > of_came).sum(axis=-1),
        "came": np.exp(of_came[:, 0]),
        "entropy": -(probabilities * log_probs).sum(axis=-1, dtype=float),
        "kl": (probabilities * (log_probs - final)).sum(axis=-1, dtype=float),
    }


def top_tokens(logits: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids and the probabilities of the likeliest tokens of each row: (T, V) -> (T, count), twice."""
    ids = np.argsort(-logits, axis=-1, kind="stable")[:, :count]
    return ids, np.exp(np.take_along_axis(log_softmax(logits), ids, axis=-1))
