"""The model: blocks stacked between the embeddings and the logits, and `Model`, which holds all that belongs to one."""

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.api import generate, stream
from neo_np.gpt_neo.cache import KVCache
from neo_np.gpt_neo.fast import keep_freed_memory
from neo_np.gpt_neo.forward import forward, linear, output_embedding, transformer
from neo_np.gpt_neo.loss import cross_entropy
from neo_np.gpt_neo.params import count

LOSS_BLOCK = 256


class Model:
    """A GPT-Neo with all that belongs to it: `config`, `params`, `tokenizer` (or None) and `generation_config`.

    generation_config: a dict, the checkpoint's own defaults for `generate`.
    """

    def __init__(self, config, params, tokenizer=None, generation_config=None):
        self.config = config
        self.params = params
        self.tokenizer = tokenizer
        self.generation_config = generation_config or {}
        keep_freed_memory()

    def __repr__(self):
        c = self.config
        return (
            f"Model(GPT-Neo, {count(self.params):,} parameters, {c.num_layers} layers, C={c.hidden_size}, {c.num_heads} heads, "
            f"{c.vocab_size} tokens, {c.max_position_embeddings} positions)"
        )

    def logits(self, ids, mask=None, cache=None, tap=None, logits_to_keep=0):
        """Return the logits of token ids: (T,) -> (T, V), (B, T) -> (B, T, V), in the precision of the weights.

        mask: like ids, 0 for left padding and 1 for tokens; each row then gives what it gives alone.
        cache: from `new_cache`; the ids continue what it has seen, and it takes them in.
        tap: f(name, array), called at every named point of the forward pass: "embed", "h.0.ln_1", "h.0.attn.q", ...,
            "ln_f", "logits". What it returns goes on in the array's place; with None the array itself goes on, and what
            was changed in it counts. `seen = {}; model.logits(ids, tap=seen.__setitem__)` records everything, and
            list(seen) tells the names. Attention over more than 64 tokens goes block by block, and a local layer
            leaves out keys that no query sees: such blocks say in the name which part they are, as in
            "h.1.attn.weights[64:128, 32:128]" (queries, keys); see `neo_np.attention.attention`.
        logits_to_keep: compute those of the last so many positions alone (0: all). In the blocks, a tap is still shown all.
        Raises NeoError for ids, mask or cache that do not fit the model or each other.
        """
        batch, mask = self._check(ids, mask, cache)
        if tap is not None and not callable(tap):
            raise NeoError(f"tap must be a function f(name, array), and got {tap!r:.40}.")
        if not (type(logits_to_keep) is int and logits_to_keep >= 0):
            raise NeoError(f"logits_to_keep is {logits_to_keep!r}, and it must be a whole number, 0 for all positions.")
        logits = forward(self.params, self.config, batch, mask, cache, tap, logits_to_keep)
        return logits[0] if np.ndim(ids) == 1 else logits

    def hidden_states(self, ids, mask=None):
        """Return the list of hidden states, (T, C) or (B, T, C) each: after the embeddings, each block, the last layer norm.

        transformers' `hidden_states` are the same but for the one after the last block, which it leaves out.
        """
        batch, mask = self._check(ids, mask)
        names = ["embed", *(f"h.{layer}" for layer in range(self.config.num_layers)), "ln_f"]
        seen = {}
        transformer(
            self.params, self.config, batch, mask, tap=lambda name, x: seen.update({name: x}) if name in names else None
        )
        return [seen[name][0] if np.ndim(ids) == 1 else seen[name] for name in names]

    def loss(self, ids, mask=None):
        """Return the mean cross-entropy, in nats, of predicting each token from those before it: a float.

        ids: (T,) or (B, T), two tokens at least; equal to transformers' loss with labels=ids. mask: padding is not scored.
        """
        batch, mask = self._check(ids, mask)
        scored = np.ones(batch.shape, bool) if mask is None else mask != 0
        scored = scored[:, :-1] & scored[:, 1:]  # a token is predicted from the one before it
        if not scored.any():
            raise NeoError("the loss needs two tokens at least: one to look at and one to predict.")
        x = transformer(self.params, self.config, batch, mask)
        total = 0.0
        for start in range(0, scored.shape[1], LOSS_BLOCK):  # the logits of a long text would take gigabytes
            part = slice(start, start + LOSS_BLOCK)
            logits = linear(x[:, :-1][:, part], output_embedding(self.params))  # (B, block, V)
            total += cross_entropy(logits, batch[:, 1:][:, part])[scored[:, part]].sum(dtype=float)
        return float(total / scored.sum())

    def new_cache(self, batch=1, capacity=None):
        """Return an empty `KVCache` for so many rows and tokens (by default all the model's positions)."""
        c = self.config
        capacity = c.max_position_embeddings if capacity is None else capacity
        if not all(isinstance(size, int) and size > 0 for size in (batch, capacity)):
            raise NeoError(f"a cache needs room for something, and batch is {batch!r}, capacity {capacity!r}.")
        dtype = self.params.wte.weight.dtype
        return KVCache(c.num_layers, batch, c.num_heads, capacity, c.head_size, dtype)

    def generate(self, prompt, **options):
        """Continue a prompt, or a list of them, and return what was given with what was written to it.

        prompt: a text, or token ids; or a list of either, which makes the result a list.
        options: those of `neo_np.Options`, such as max_new_tokens=40, do_sample=True, temperature=0.8, seed=0.
        """
        return generate(self, prompt, **options)

    def stream(self, prompt, **options):
        """Yield the text of `generate` piece by piece, as it is written; one text alone, with the same options."""
        return stream(self, prompt, **options)

    def check_ids(self, ids):
        """Return token ids as an array; raises NeoError where they are not (T,) or (B, T) ids of this model."""
        if isinstance(ids, str):
            raise NeoError("the model wants token ids, and got a text: use model.tokenizer.encode(text).")
        try:
            batch = np.asarray(ids)
        except ValueError:
            raise NeoError("the rows of ids differ in length: pad them on the left and say so with mask.") from None
        if batch.ndim not in (1, 2) or batch.size == 0 or not np.issubdtype(batch.dtype, np.integer):
            raise NeoError(f"ids must be whole numbers, (T,) or (B, T) and at least one; got {batch.dtype} {batch.shape}.")
        wrong = batch[(batch < 0) | (batch >= self.config.vocab_size)]
        if wrong.size:
            raise NeoError(f"id {wrong[0]} is no token of this model: its ids go from 0 to {self.config.vocab_size - 1}.")
        return batch

    def _check(self, ids, mask=None, cache=None):
        """Return ids as (B, T) and mask as (B, T) or None; raises NeoError where something does not fit."""
        batch = self.check_ids(ids)
        if mask is not None:
            try:
                mask = np.asarray(mask)
            except ValueError:
                raise NeoError("mask must be 0 or 1 for each id; its rows differ in length.") from None
            if mask.shape != batch.shape:
                raise NeoError(f"mask must be 0 or 1 for each id: shape {batch.shape}; got {mask.dtype} {mask.shape}.")
            if not np.isin(mask, (0, 1)).all():
                raise NeoError(f"mask must be 0 or 1 for each id; it has {mask[~np.isin(mask, (0, 1))][0]}.")
            mask = np.atleast_2d(mask)
            if (np.diff(mask.astype(int), axis=1) < 0).any():
                raise NeoError("mask has a 0 after a 1: padding belongs on the left.")
        batch = np.atleast_2d(batch)
        if cache is not None:
            self._check_cache(cache, batch, mask)
        elif mask is not None and not mask.any(axis=1).all():
            raise NeoError("mask leaves a row without a single token.")
        return batch, mask

    def _check_cache(self, cache, batch, mask):
        c = self.config
        if not isinstance(cache, KVCache):
            raise NeoError(f"cache must come from model.new_cache(), and got {cache!r:.40}.")
        found = (cache.k.shape[0], cache.batch, cache.k.shape[2], cache.k.shape[4])
        wanted = (c.num_layers, len(batch), c.num_heads, c.head_size)
        if found != wanted:
            raise NeoError(f"the cache is for (layers, batch, heads, head size) {found}, and this call needs {wanted}.")
        if cache.length + batch.shape[1] > cache.capacity:
            raise NeoError(
                f"the cache has room for {cache.capacity} tokens: {cache.length} are in it and {batch.shape[1]} more do not "
                "fit; make it larger with new_cache(capacity=...)."
            )
        if mask is not None and ((mask == 0).any(axis=1) & (cache.padding < cache.length)).any():
            raise NeoError("mask marks padding in a row whose text has begun: padding belongs before all of it.")
