"""The models that the tests of explain share, each with a text of random ids and its trace."""

import numpy as np
from helpers import random_model

from neo_np.explain.trace import record

LENGTH = 12
CHANGES = {
    "two_layers": {},
    "window_1": {"window_size": 1, "attention_layers": ["local", "local"]},
    "one_head": {"num_heads": 1},
    "untied": {"tie_word_embeddings": False},
    "relu_narrow": {"activation_function": "relu", "intermediate_size": 10},
    "deep": {"num_layers": 5, "attention_layers": ["global", "local", "local", "global", "local"]},
    "float64": {"dtype": np.float64},
    "float64_untied_window_1": {"dtype": np.float64, "tie_word_embeddings": False, "window_size": 1},
    "float64_one_head": {"dtype": np.float64, "num_heads": 1},
}


def make(name):
    """Return (model, trace) of one of the random models."""
    model = random_model(seed=3, std=0.3, **CHANGES[name])
    ids = np.random.default_rng(4).integers(0, model.config.vocab_size, LENGTH).tolist()
    return model, record(model, ids)


def of_text(model, text="Once upon a time there was a little boy who had a little dog."):
    """Return the trace of a text."""
    return record(model, model.tokenizer.encode(text))
