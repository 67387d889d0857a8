"""The key/value cache. A later token needs the keys and values of all earlier tokens, so each is computed once and kept.

Course: notebook 11.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neo_np.errors import NeoError


class KVCache:
    """Keys and values of every layer, in arrays that are allocated once for `capacity` tokens.

    k, v: (layers, B, H, capacity, D); the first `length` slots are filled.
    padding: (B,) the number of slots at the start of each row that hold padding, which no query sees.
    """

    def __init__(
        self,
        num_layers: int,
        batch: int,
        num_heads: int,
        capacity: int,
        head_size: int,
        dtype: np.typing.DTypeLike = np.float32,
    ):
        shape = (num_layers, batch, num_heads, capacity, head_size)
        self.k, self.v = np.empty(shape, dtype), np.empty(shape, dtype)
        self.length = 0
        self.padding = np.zeros(batch, int)

    def __repr__(self) -> str:
        layers, batch, heads, capacity, size = self.k.shape
        return f"KVCache({self.length} of {capacity} tokens, batch {batch}, {layers} layers, {heads} heads of {size})"

    @property
    def batch(self) -> int:
        """B, the number of rows."""
        return self.k.shape[1]

    @property
    def capacity(self) -> int:
        """The number of tokens that the cache has room for."""
        return self.k.shape[3]

    def append(self, layer: int, k: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Store the keys and values (B, H, T, D) of new tokens in a layer; return those of all tokens, (B, H, S, D) each.

        The model has checked before that they fit (`check_cache`).
        `length` changes only after the last layer (in `Model.logits`), so an interrupted pass leaves the cache as it was.
        """
        stop = self.length + k.shape[2]
        self.k[layer, :, :, self.length : stop] = k
        self.v[layer, :, :, self.length : stop] = v
        return self.k[layer, :, :, :stop], self.v[layer, :, :, :stop]

    def crop(self, length: int) -> None:
        """Keep only the first `length` slots; the next tokens continue from there. Raises NeoError if there are fewer."""
        if not isinstance(length, int | np.integer) or not 0 <= length <= self.length:
            raise NeoError(f"the cache holds {self.length} tokens and cannot be cropped to {length!r}.")
        self.length = length
        self.padding = np.minimum(self.padding, length)

    def reorder(self, rows: Sequence[int]) -> None:
        """Replace row i by a copy of row rows[i]. Rows may repeat or be left out, and there may be more than before."""
        chosen = np.asarray(rows, int)
        if len(chosen) == self.batch:  # without new arrays, and only the filled slots
            for array in (self.k, self.v):
                array[:, :, :, : self.length] = array[:, chosen, :, : self.length]
        else:
            self.k, self.v = self.k[:, chosen], self.v[:, chosen]
        self.padding = self.padding[chosen]
