"""hooks."""

import numpy as np

from neo_np.errors import NeoError


def tapped(tap, name, array):
    """Show a named array to the tap, if there is one, and return what goes on in its place (see `Model.logits`)."""
    if tap is None:
        return array
    changed = tap(name, array)
    if changed is None:
        return array
    if not isinstance(changed, np.ndarray) or changed.shape != array.shape:
        found = changed.shape if isinstance(changed, np.ndarray) else type(changed).__name__
        raise NeoError(f"tap must return None or an array of shape {array.shape} for {name!r}; got {found}.")
    return changed


def under(prefix, tap):
    """Return the tap for a part of the model, which need not know where it stands: `prefix` goes before all its names."""
    return None if tap is None else lambda name, array: tapped(tap, prefix + name, array)
