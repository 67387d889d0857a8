"""A model of transformers and neo_np's over the same weights, and how far apart two results are."""

import make_golden
import numpy as np

from neo_np import Config, Model, Params


def distance(found, expected):
    """Return the norm of the difference over the norm."""
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def random_pair(seed=0, std=0.1, **changes):
    """Return a random model of transformers, and neo_np's over the same weights."""
    reference = make_golden.random_model(seed, std, **changes)
    named = {name.removeprefix("transformer."): p.detach().numpy() for name, p in reference.named_parameters()}
    return reference, Model(Config.from_dict(reference.config.to_dict()), Params(named))
