"""A hook: a function hook(name, array) that sees, and may replace, every named array of the forward pass.

A researcher reads and changes activations with it. In a forward pass it is called once with each name of `hook_names`:

    embed, h.0.ln_1, h.0.resid_mid, h.0.ln_2, h.0.attn.out, h.0.mlp.out, h.0, ln_f    (B, T, C)
    h.0.attn.q, h.0.attn.k, h.0.attn.v (of the new tokens), h.0.attn.z                 (B, H, T, D)
    h.0.attn.scores (q k^T), h.0.attn.weights (softmax(scores + mask))                 (B, H, T, S)
    h.0.attn.mask (0, or the lowest float32 for a masked key)                          (T, S) or (B, 1, T, S)
    h.0.mlp.pre, h.0.mlp.post (before and after the activation function)               (B, T, F)
    logits                                                                             (B, T, V)

With logits_to_keep=n, T is n from the last block on, but not in its ln_1, attn.k and attn.v: queries that nobody needs are
not computed.

Course: notebook 15.
"""

from collections.abc import Callable
from itertools import chain

import numpy as np

from neo_np.errors import NeoError
from neo_np.gpt_neo.config import Config

Hook = Callable[[str, np.ndarray], np.ndarray | None]

ATTENTION = "attn.q attn.k attn.v attn.scores attn.mask attn.weights attn.z attn.out"
BLOCK = f"ln_1 {ATTENTION} resid_mid ln_2 mlp.pre mlp.post mlp.out".split()


def hook_names(config: Config) -> list[str]:
    """Return every name that a hook is called with, in the order of the calls."""
    blocks = [[*(f"h.{layer}.{name}" for name in BLOCK), f"h.{layer}"] for layer in range(config.num_layers)]
    return ["embed", *chain.from_iterable(blocks), "ln_f", "logits"]


def no_hook(name, array):
    """Return the array as it is."""
    return array


def under(prefix, hook):
    """Return the hook for a part of the model: it puts `prefix` before every name."""
    # no_hook does not use the name: without a wrapper its calls cost less.
    return hook if hook is no_hook else lambda name, array: hook(prefix + name, array)


def checked(hook):
    """Return a user's hook as a function that always returns an array of the same shape.

    If the user's hook returns an array, it replaces the activation. If it returns None, the activation stays, with the changes
    that the hook made in place. Raises NeoError if the hook is not callable, and for a returned value that is not an array of
    the same shape.
    """
    if not callable(hook):
        raise NeoError(f"hook must be a function f(name, array), and it is {hook!r:.40}.")

    def call(name, array):
        changed = hook(name, array)
        if changed is None:
            return array
        if not isinstance(changed, np.ndarray) or changed.shape != array.shape:
            found = changed.shape if isinstance(changed, np.ndarray) else type(changed).__name__
            raise NeoError(f"hook must return None or an array of shape {array.shape} for {name!r}; it returned {found}.")
        return changed

    return call
