"""The key/value cache: what attention has computed for past tokens, kept so that it need not be computed again."""

import numpy as np

from neo_np.errors import NeoError


class KVCache:
    """Keys and values of every layer, with room for `capacity` tokens set aside at once.

    k, v: (layers, B, H, capacity, D); the first `length` slots are filled.
    padding: (B,) how many of the first slots of each row are left padding, which nothing may attend to.
    """

    def __init__(self, num_layers, batch, num_heads, capacity, head_size, dtype=np.float32):
        shape = (num_layers, batch, num_heads, capacity, head_size)
        self.k, self.v = np.empty(shape, dtype), np.empty(shape, dtype)
        self.length = 0
        self.padding = np.zeros(batch, int)

    def __repr__(self):
        layers, batch, heads, capacity, size = self.k.shape
        return f"KVCache({self.length} of {capacity} tokens, batch {batch}, {layers} layers, {heads} heads of {size})"

    @property
    def batch(self):
        """The number of rows."""
        return self.k.shape[1]

    @property
    def capacity(self):
        """The number of tokens that fit."""
        return self.k.shape[3]

    def append(self, layer, k, v):
        """Store one layer's new keys and values and return all of them: (B, H, T, D) -> (B, H, S, D), twice.

        `length` stays as it is until the model has passed every layer, so an interrupted pass leaves no trace.
        """
        stop = self.length + k.shape[2]
        self.k[layer, :, :, self.length : stop] = k
        self.v[layer, :, :, self.length : stop] = v
        return self.k[layer, :, :, :stop], self.v[layer, :, :, :stop]

    def crop(self, length):
        """Forget all but the first `length` slots; the next tokens continue from there."""
        if not isinstance(length, int | np.integer) or not 0 <= length <= self.length:
            raise NeoError(f"the cache holds {self.length} tokens and cannot be cut back to {length!r}.")
        self.length = length
        self.padding = np.minimum(self.padding, length)

    def reorder(self, rows):
        """Make row i a copy of the present row rows[i]; rows may repeat, be left out, or be more than before."""
        if len(rows) == self.batch:
            for array in (self.k, self.v):
                array[:, :, :, : self.length] = array[:, rows, :, : self.length]
        else:
            self.k, self.v = self.k[:, rows], self.v[:, rows]
        self.padding = self.padding[rows]
