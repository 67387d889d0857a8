"""dropout."""

import numpy as np


class Dropout:
    """Dropout, where GPT-Neo has it: after the embeddings, on the attention weights, on what attention and MLP add.

    config: its entries embed_dropout, attention_dropout and resid_dropout are the shares that are set to 0 (0 in every
    released GPT-Neo). Srivastava et al. 2014, "Dropout: A Simple Way to Prevent Neural Networks from Overfitting"; what
    is left is divided by the share that stays, so that the mean is the same.
    """

    def __init__(self, config, seed):
        names = {"embed": "embed_dropout", "weights": "attention_dropout", "out": "resid_dropout"}
        self.rates = {point: config.other.get(entry, 0.0) for point, entry in names.items()}
        self.rng = np.random.default_rng(seed)

    def drop(self, name, array, seen):
        """Return the array with a random share set to 0; seen gets it whole, and what each number was multiplied by."""
        rate = self.rates.get(name.partition("[")[0].rpartition(".")[2], 0.0)
        if not rate:
            return array
        keep = (self.rng.random(array.shape, np.float32) >= rate).astype(array.dtype)
        keep /= 1.0 - rate
        seen[name + ".whole"], seen[name + ".dropout"] = array, keep
        return array * keep
