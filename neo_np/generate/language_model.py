"""What generation needs of a model, as a type."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from neo_np.gpt_neo.cache import KVCache
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.params import Params
from neo_np.tokenizer.tokenizer import Tokenizer


@runtime_checkable
class LanguageModel(Protocol):
    """A model that can generate. `neo_np.Model` is one; it imports this package, so this package cannot import it."""

    config: Config
    params: Params
    tokenizer: Tokenizer | None
    generation_config: dict

    def logits(
        self,
        ids: np.typing.ArrayLike,
        mask: np.typing.ArrayLike | None = None,
        cache: KVCache | None = None,
        *,
        logits_to_keep: int = 0,
    ) -> np.ndarray:
        """Return the logits of token ids: (T,) -> (T, V), (B, T) -> (B, T, V)."""

    def new_cache(self, batch: int = 1, capacity: int | None = None) -> KVCache:
        """Return an empty cache for `batch` rows of `capacity` tokens."""

    def check_ids(self, ids: np.typing.ArrayLike) -> np.ndarray:
        """Return token ids as an array; raises NeoError if the model does not have them."""
