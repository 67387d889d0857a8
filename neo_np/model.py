"""`Model`: a GPT-Neo with its config, params and tokenizer, and the calls that a user makes."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.api import generate, stream
from neo_np.gpt_neo import fast as twins
from neo_np.gpt_neo import forward as formulas
from neo_np.gpt_neo.cache import KVCache
from neo_np.gpt_neo.checks import NOT_SCORED, check_ids, check_input, check_labels, check_logits_to_keep, check_mask
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.hooks import Hook, checked, no_hook
from neo_np.gpt_neo.loss import token_log_probs
from neo_np.gpt_neo.params import Params, count
from neo_np.other_names import OtherNames, check_assigned, no_attribute, with_advice
from neo_np.tokenizer.tokenizer import Tokenizer


class Model(metaclass=OtherNames):
    """A GPT-Neo: `config`, `params`, `tokenizer` (or None) and `generation_config`.

    generation_config: a dict, the checkpoint's own defaults for `generate`.
    """

    def __init__(
        self, config: Config, params: Params, tokenizer: Tokenizer | None = None, generation_config: dict | None = None
    ):
        self.config = config
        self.params = params
        self.tokenizer = tokenizer
        self.generation_config = generation_config or {}
        twins.keep_freed_memory()  # saves time in every later pass

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise TypeError that names the call to use."""
        raise TypeError("a Model is not a function: model.logits(ids) returns logits, model.generate(prompt) continues a text.")

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise AttributeError with the name to use."""
            raise no_attribute("model", "a Model", name, dir(self))

        def __setattr__(self, name, value):
            """Set an attribute; raises AttributeError for one of another library, which nothing here would read."""
            if type(self) is Model:  # a subclass can have attributes of its own
                check_assigned("model", "a Model", name)
            super().__setattr__(name, value)

    def __repr__(self) -> str:
        c = self.config
        return (
            f"Model(GPT-Neo, {count(self.params):,} parameters, {c.num_layers} layers, C={c.hidden_size}, {c.num_heads} heads, "
            f"{c.vocab_size} tokens, {c.max_position_embeddings} positions)"
        )

    @with_advice("forward")
    def logits(
        self,
        ids: np.typing.ArrayLike,
        mask: np.typing.ArrayLike | None = None,
        cache: KVCache | None = None,
        hook: Hook | None = None,
        logits_to_keep: int = 0,
        fast: bool = True,
        tap: Hook | None = None,
    ) -> np.ndarray:
        """Return the logits of token ids: (T,) -> (T, V), (B, T) -> (B, T, V), in the precision of the weights.

        mask: 0 for padding on the left of a row, 1 for text. Each row then gives the same logits as without padding.
        cache: from `new_cache`. The ids continue the text in the cache; their keys and values are added to it.
        hook: f(name, array), called at every named point of the forward pass (`neo_np.hook_names(config)` lists them). If
            it returns an array, that replaces the activation. `seen = {}; model.logits(ids, hook=seen.__setitem__)` records
            everything. With a hook, attention is computed for all queries at once, not in blocks: at 2048 tokens of GPT-Neo
            125M this takes 2.5 times as long and about 0.9 GB more memory. `tap` is the old name of this argument.
        logits_to_keep: compute the logits of only the last positions (0: all).
        fast: False uses only the formulas of `gpt_neo/forward.py`, without their fast twins in `gpt_neo/fast`.
        Raises NeoError if ids, mask or cache do not fit the model or each other.
        """
        check_logits_to_keep(logits_to_keep)
        hook = tap if hook is None else hook
        if not fast:
            functions = formulas
        else:
            functions = twins.inference if hook is None else twins.hooked
        hook = no_hook if hook is None else checked(hook)
        logits = self._run(functions.forward, ids, mask, cache, hook, logits_to_keep)
        return logits[0] if np.ndim(ids) == 1 else logits

    @with_advice("forward")
    def hidden_states(self, ids: np.typing.ArrayLike, mask: np.typing.ArrayLike | None = None) -> list[np.ndarray]:
        """Return the residual stream after the embeddings and after each block, and what the last layer norm returns.

        Each is (T, C) or (B, T, C). Hugging Face transformers returns the same list without the output of the last block.
        """
        names = ["embed", *(f"h.{layer}" for layer in range(self.config.num_layers)), "ln_f"]
        seen = self._record(twins.inference, ids, mask, names)
        return [seen[name] for name in names]

    @with_advice("forward")
    def attentions(self, ids: np.typing.ArrayLike, mask: np.typing.ArrayLike | None = None) -> list[np.ndarray]:
        """Return the attention weights of each layer, (H, T, T) or (B, H, T, T): row = query, column = key."""
        names = [f"h.{layer}.attn.weights" for layer in range(self.config.num_layers)]
        seen = self._record(twins.hooked, ids, mask, names)
        return [seen[name] for name in names]

    @with_advice("forward")
    def loss(
        self,
        ids: np.typing.ArrayLike,
        mask: np.typing.ArrayLike | None = None,
        labels: np.typing.ArrayLike | None = None,
    ) -> float:
        """Return the mean cross-entropy, in nats, of predicting each token from those before it.

        ids: (T,) or (B, T), at least two tokens. mask: 0 for padding, on either side, which is not scored. labels: like ids,
        the token to predict at each place, or -100 for a place that is not scored (default: ids). It equals the loss of
        Hugging Face transformers.
        """
        array = self.check_ids(ids)
        text = check_mask(mask, array.shape)
        batch = np.atleast_2d(array)
        targets = check_labels(labels, batch, self.config.vocab_size)[:, 1:]
        scored = targets != NOT_SCORED
        if text is not None:
            scored &= (text[:, 1:] == 1) & (text[:, :-1] == 1)
            text = np.maximum.accumulate(text, axis=1)  # padding on the right counts as text: no earlier token sees it
        if not scored.any():
            raise NeoError("nothing is scored: the loss needs a token to predict and one before it, in ids, mask and labels.")
        hidden = self._run(twins.inference.transformer, batch, text)[:, :-1]
        log_probs, _ = token_log_probs(hidden[scored], targets[scored], self.params)
        return -float(log_probs.mean())

    @with_advice("new_cache")
    def new_cache(self, batch: int = 1, capacity: int | None = None) -> KVCache:
        """Return an empty `KVCache` for `batch` rows of `capacity` tokens (default: all the model's positions)."""
        c = self.config
        capacity = c.max_position_embeddings if capacity is None else capacity
        if not all(isinstance(size, Integral) and size > 0 for size in (batch, capacity)):
            raise NeoError(f"batch and capacity of a cache must be whole numbers above 0; got {batch!r} and {capacity!r}.")
        dtype = self.params.wte.weight.dtype
        return KVCache(c.num_layers, batch, c.num_heads, capacity, c.head_size, dtype)

    def generate(self, prompt: Any = None, **options: Any) -> Any:
        """Continue a prompt and return it with the new text.

        prompt: a text or token ids, or a list of either, which makes the result a list.
        options: those of `neo_np.Options`, such as max_new_tokens=40, do_sample=True, temperature=0.8, seed=0.
        """
        return generate(self, prompt, **options)

    def stream(self, prompt: Any = None, **options: Any) -> Iterator[str]:
        """Yield the text of `generate` piece by piece while it is written. One text only, with the same options."""
        return stream(self, prompt, **options)

    def check_ids(self, ids: np.typing.ArrayLike) -> np.ndarray:
        """Return token ids as an array; raises NeoError if they are not (T,) or (B, T) ids of this model."""
        return check_ids(ids, self.config.vocab_size)

    def _run(self, function, ids, mask=None, cache=None, hook=no_hook, keep=0):
        """Check the input, call `forward` or `transformer`, and update the cache when the pass is complete."""
        ids, padding = check_input(self.config, ids, mask, cache)
        column = padding[:, None] if padding.any() else 0  # (B, 1), or 0 if no row is padded
        result = function(self.params, self.config, ids, column, cache, hook, keep)
        if cache:
            cache.length, cache.padding = cache.length + ids.shape[1], padding
        return result

    def _record(self, functions, ids, mask, names):
        """Run a forward pass and return {name: array} for these names; for ids (T,) without the batch axis."""
        seen = {}

        def record(name, array):
            if name in names:
                seen[name] = array[0] if np.ndim(ids) == 1 else array
            return array

        self._run(functions.transformer, ids, mask, hook=record)
        return seen
