"""sequence."""

from dataclasses import dataclass, field

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.logits_processors import rules


@dataclass
class Sequence:
    """One text in the making.

    ids: the prompt's token ids and the new ones. longest: how many they may become. rules: f(logits, ids) -> logits.
    rng: None for greedy choice. text: its bytes, special tokens left out, where stop strings are looked for; from_stop:
    how many of them stand from the beginning of a stop string on, once one is complete. log_probs: the model's own
    log-probability of each new token, where somebody notes them down. guessed, accepted: how many tokens were guessed in
    speculative decoding, and how many of those stood.
    """

    ids: list
    prompt_length: int
    longest: int
    rules: list
    rng: np.random.Generator | None = None
    finished: bool = False
    text: bytes = b""
    from_stop: int = 0
    log_probs: list = field(default_factory=list)
    guessed: int = 0
    accepted: int = 0

    @property
    def new_ids(self):
        """The ids that were generated."""
        return self.ids[self.prompt_length :]


@dataclass
class Step:
    """One token of one sequence: the model's own logits (V,), those after the rules, and the token chosen."""

    sequence: Sequence
    logits: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    token: int


def start_sequences(model, prompts, options, copies):
    """Return so many `Sequence`s for each prompt's ids, nothing written to them yet."""
    if options.stops and model.tokenizer is None:
        raise NeoError("stop_strings are looked for in text, and this model has no tokenizer.")
    options.check_assistant(model)
    without_token = ids_without_token(model)
    seed = np.random.SeedSequence(options.seed).entropy  # a fresh one where options.seed is None
    sequences = []
    for ids in prompts:
        shortest, longest = options.limits(len(ids), model.config.max_position_embeddings)
        own_rules = rules(options, shortest, without_token)
        text = model.tokenizer.decode_bytes(ids, skip_special_tokens=True) if options.stops else b""
        for _ in range(copies):
            rng = np.random.default_rng([seed, len(sequences)]) if options.do_sample else None
            sequences.append(Sequence(list(ids), len(ids), longest, own_rules, rng, text=text))
    return sequences


def ids_without_token(model):
    """Return the ids of a padded vocabulary for which the tokenizer has no token."""
    if model.tokenizer is None or len(model.tokenizer) == model.config.vocab_size:
        return []
    return [id for id in range(model.config.vocab_size) if id not in model.tokenizer.id_to_token]
