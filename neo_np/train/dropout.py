"""Dropout: in training, set a random share of the activations to 0."""

import numpy as np

from neo_np.errors import NeoError


class Dropout:
    """Dropout at GPT-Neo's four places: after the embeddings, on the attention weights, on what attention and the MLP add.

    config: its entries embed_dropout, attention_dropout and resid_dropout are the shares that are set to 0 (all 0 in the
    released GPT-Neo models). Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting".
    """

    def __init__(self, config, seed):
        names = {"embed": "embed_dropout", "weights": "attention_dropout", "out": "resid_dropout"}
        self.rates = {point: config.other.get(entry, 0.0) for point, entry in names.items()}
        if 1 in self.rates.values():
            raise NeoError("a dropout rate of the config is 1, which leaves nothing to train: set a lower one with --dropout.")
        self.rng = np.random.default_rng(seed)

    def draw(self, name, array):
        """Return what to multiply a named array by, an array of its shape, or None if it has no dropout.

        The numbers are 0 for the dropped share and 1 / (1 - rate) for the others, which keeps the mean the same.
        """
        rate = self.rates.get(name.rpartition(".")[2], 0.0)
        if not rate:
            return None
        stays = (self.rng.random(array.shape, np.float32) >= rate).astype(array.dtype)
        return stays / (1.0 - rate)
