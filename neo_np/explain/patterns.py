"""What a head looks at on average over the whole text, in four numbers."""

import numpy as np

PATTERNS = ["itself", "token before", "first token", "after a copy"]


def attention_patterns(attention: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Return the mean weight of each head on four kinds of keys: (L, H, T, T), (T,) -> (L, H, 4).

    0: the query itself. 1: the token before. 2: the first token. 3: tokens that follow an earlier copy of the query's token
    (what an induction head looks at, Olsson et al. 2022, arXiv 2209.11895). Each mean is over the queries that have such a
    key, for 0 to 2 from the third token on, so that the three are different keys; 0 if there are none.
    """
    T = len(ids)
    query, key = np.arange(T)[:, None], np.arange(T)
    late = query >= 2
    copies = np.zeros((T, T), bool)
    copies[:, 1:] = (ids[:, None] == ids[:-1]) & (query > key[1:])  # key k follows a copy if ids[k - 1] is the query's token
    kinds = [late & (key == query), late & (key == query - 1), late & (key == 0), copies]
    return np.stack([mean_weight(attention, kind) for kind in kinds], axis=-1)


def mean_weight(attention: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Return the weight that queries give to keys of a kind, (T, T) of bool, as the mean over the queries that have one."""
    queries = kind.any(axis=1)
    return (attention * kind).sum(axis=-1)[..., queries].sum(axis=-1) / max(1, queries.sum())
