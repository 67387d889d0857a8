"""A run as arrays: one forward pass over all tokens of the finished text, with a hook that records every activation."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.params import Params
from neo_np.model import Model

CHOSEN, RUNNER_UP = 0, 1  # the two candidate tokens of each position


@dataclass(eq=False)
class Trace:
    """What one forward pass over T tokens computed.

    ids: (T,). seen: {name of the hook: array without the batch axis}. candidates: (T, 2) for each position the chosen token,
    which is the one that follows in the text (after the last token: the likeliest), and the runner-up, the likeliest other.
    """

    config: Config
    params: Params
    ids: np.ndarray
    candidates: np.ndarray
    seen: dict[str, np.ndarray] = field(repr=False)

    @property
    def logits(self) -> np.ndarray:
        """The logits of each position, (T, V)."""
        return self.seen["logits"]

    @property
    def attention(self) -> np.ndarray:
        """The attention weights, (L, H, T, T): row = query, column = key."""
        return np.stack([self.seen[f"h.{layer}.attn.weights"] for layer in range(self.config.num_layers)])

    def until(self, length: int) -> dict[str, np.ndarray]:
        """Return `seen` for the first `length` tokens only. Nothing changes for them, because no token sees a later one."""
        return {name: cut(name, array, length) for name, array in self.seen.items()}


def cut(name: str, array: np.ndarray, length: int) -> np.ndarray:
    """Return the part of an activation that belongs to the first `length` tokens."""
    if name.endswith("attn.weights"):
        return array[:, :length, :length]  # (H, T, T)
    return array[:, :length] if ".attn." in name and not name.endswith("attn.out") else array[:length]  # (H, T, D), (T, ...)


def record(model: Model, ids: Sequence[int], without_token: Collection[int] = ()) -> Trace:
    """Run the model over the ids and return its `Trace`.

    without_token: ids of a padded vocabulary that have no token. They are never candidates.
    """
    seen: dict[str, np.ndarray] = {}

    def keep(name: str, array: np.ndarray) -> None:
        if not name.endswith(("attn.scores", "attn.mask")):  # large, and the weights say the same
            seen[name] = array[0]

    model.logits(list(ids), hook=keep)
    return Trace(model.config, model.params, np.array(ids), find_candidates(ids, seen["logits"], without_token), seen)


def find_candidates(ids: Sequence[int], logits: np.ndarray, without_token: Collection[int] = ()) -> np.ndarray:
    """Return for each position the token that follows (after the last one the likeliest) and the likeliest other: (T, 2)."""
    logits = logits.copy()
    logits[:, list(without_token)] = -np.inf
    chosen = np.append(ids[1:], logits[-1].argmax()).astype(int)
    logits[np.arange(len(ids)), chosen] = -np.inf
    return np.stack([chosen, logits.argmax(axis=-1)], axis=1)


def stream_names(config: Config) -> list[str]:
    """Return the names of the residual stream at its 2 L + 1 stations: after the embedding, each attention and each MLP."""
    return ["embed", *(name for layer in range(config.num_layers) for name in (f"h.{layer}.resid_mid", f"h.{layer}"))]
