"""The residual stream and the embeddings: how long the vectors are, where they point, which tokens are near."""

from collections.abc import Collection
from itertools import pairwise

import numpy as np

from neo_np.explain.trace import Trace, stream_names
from neo_np.gpt_neo.params import Params

NEIGHBOURS = 5


def residual_stream(trace: Trace) -> dict[str, np.ndarray]:
    """Return three numbers at each of the R = 2 L + 1 stations of the residual stream, each array (R, T).

    norm: the length of the vector. update: the length of what the part before the station added to it. cosine: between the
    vector and the final one.
    """
    stations = [trace.seen[name].astype(float) for name in stream_names(trace.config)]  # (T, C) each
    updates = [stations[0], *(after - before for before, after in pairwise(stations))]
    norms = np.stack([np.linalg.norm(x, axis=-1) for x in stations])
    products = np.stack([(x * stations[-1]).sum(axis=-1) for x in stations])
    return {
        "norm": norms,
        "update": np.stack([np.linalg.norm(x, axis=-1) for x in updates]),
        "cosine": products / np.maximum(norms * norms[-1], np.finfo(float).tiny),
    }


def embedding_norms(trace: Trace) -> np.ndarray:
    """Return the lengths of the token embedding and of the position embedding of each position: (2, T)."""
    wte, wpe = trace.params.wte.weight[trace.ids], trace.params.wpe.weight[: len(trace.ids)]
    return np.stack([np.linalg.norm(wte, axis=-1), np.linalg.norm(wpe, axis=-1)])


def nearest_tokens(params: Params, ids: np.ndarray, without_token: Collection[int] = ()) -> tuple[np.ndarray, np.ndarray]:
    """Return the other tokens whose embeddings have the largest cosine with that of each id, and the cosines: (T, 5) each.

    ids of a padded vocabulary that have no token are never neighbours.
    """
    wte = params.wte.weight
    unit = wte / np.maximum(np.linalg.norm(wte, axis=-1, keepdims=True), np.finfo(wte.dtype).tiny)
    cosines = unit[ids] @ unit.T  # (T, V)
    cosines[np.arange(len(ids)), ids] = -np.inf
    cosines[:, list(without_token)] = -np.inf
    nearest = np.argsort(-cosines, axis=-1, kind="stable")[:, :NEIGHBOURS]
    return nearest, np.take_along_axis(cosines, nearest, axis=-1)
