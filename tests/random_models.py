"""Random models for tests: small, with random biases and gains too, so that a forgotten one shows."""

import numpy as np

from neo_np import Config, Model, Params
from neo_np.params import parameter_shapes

SMALL = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_layers": 2,
    "num_heads": 3,
    "max_position_embeddings": 32,
    "attention_layers": ["global", "local"],
    "window_size": 4,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def random_model(seed=0, std=0.1, dtype=np.float32, tokenizer=None, **changes):
    """Return a model with normal random weights around 0 (layer norm gains: around 1)."""
    config = Config(**SMALL | changes)
    rng = np.random.default_rng(seed)
    named = {}
    for name, shape in parameter_shapes(config).items():
        mean = 1.0 if ".ln_" in f".{name}" and name.endswith("weight") else 0.0
        named[name] = (mean + std * rng.standard_normal(shape)).astype(dtype)
    return Model(config, Params(named), tokenizer)
