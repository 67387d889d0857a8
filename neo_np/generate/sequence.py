"""One text that is being generated: its token ids, how the next one is chosen, and where the text ends."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.language_model import LanguageModel
from neo_np.generate.logits_processors import LogitsProcessor, make_logits_processors
from neo_np.generate.options import Options
from neo_np.generate.prompts import Prompt
from neo_np.generate.stop_strings import StopStrings, prompt_symbols
from neo_np.gpt_neo.checks import check_bytes
from neo_np.gpt_neo.config import Config
from neo_np.tokenizer.tokenizer import Tokenizer

OBJECT_BYTES = 1000  # of one GeneratedSequence, roughly
FLOAT_BYTES = 4


@dataclass(eq=False)
class GeneratedSequence:
    """One text that is being generated.

    prompt: the prompt it continues. ids: the token ids of the prompt and of the new text. max_length: the most ids it may have.
    eos_ids: ids that end it. logits_processors: functions f(logits, ids) -> logits, in order. rng: draws the tokens; None
    takes the most likely one. tokenizer, special_ids, stop_strings: make text of the new tokens; None if nobody needs the text.
    text: the new text that is certain. finished: no token follows. drafted, accepted: the numbers of tokens that speculative
    decoding proposed and kept.
    """

    prompt: Prompt
    ids: list[int]
    max_length: int
    eos_ids: Sequence[int]
    logits_processors: list[LogitsProcessor]
    rng: np.random.Generator | None = None
    tokenizer: Tokenizer | None = None
    special_ids: frozenset[int] = frozenset()
    stop_strings: StopStrings | None = None
    text: str = ""
    finished: bool = False
    drafted: int = 0
    accepted: int = 0

    @property
    def new_ids(self) -> list[int]:
        """The ids that were generated."""
        return self.ids[len(self.prompt.ids) :]

    def append(self, token: int) -> str:
        """Add a token, note whether the text ends with it, and return the new text that is certain now."""
        self.ids.append(token)
        self.finished = token in self.eos_ids or len(self.ids) >= self.max_length
        if self.tokenizer is None or self.stop_strings is None:
            return ""
        if token in self.special_ids:
            text = self.stop_strings.push_special(token)
        else:
            text = self.stop_strings.push(self.tokenizer.token_bytes(token))
        self.finished = self.finished or self.stop_strings.found
        if self.finished:
            text += self.stop_strings.flush()
        self.text += text
        return text

    def longer_by(self, token: int) -> GeneratedSequence:
        """Return a copy with one more token."""
        longer = replace(self, ids=list(self.ids), stop_strings=copy(self.stop_strings))
        longer.append(token)
        return longer


@dataclass(eq=False)
class Step:
    """One new token of a sequence.

    logits: (V,), those of the model. scores: the logits after the processors. text: the new text that is certain now.
    """

    sequence: GeneratedSequence
    logits: np.ndarray = field(repr=False)
    scores: np.ndarray = field(repr=False)
    token: int
    text: str


def start_sequences(model: LanguageModel, prompts: Sequence[Prompt], options: Options, copies: int) -> list[GeneratedSequence]:
    """Return `copies` sequences for each prompt, one after the other, without new tokens.

    Sequence i draws from random numbers of its own, made from (seed, i), so its text does not depend on the others.
    """
    if options.stops and model.tokenizer is None:
        raise NeoError("stop_strings are searched in text, and this model has no tokenizer.")
    options.check_assistant(model)
    check_rows(model.config, max(options.num_beams, len(prompts) * copies), options)
    without_token, tokenizer = ids_without_token(model), model.tokenizer
    special_ids = frozenset(tokenizer.special_tokens.values()) if tokenizer else frozenset()
    seed: Any = np.random.SeedSequence().entropy if options.seed is None else options.seed
    sequences: list[GeneratedSequence] = []
    for prompt in prompts:
        min_length, max_length = options.limits(len(prompt.ids), model.config.max_position_embeddings)
        processors = make_logits_processors(options, prompt.ids, min_length, max_length, without_token)
        for _ in range(copies):
            sequence = GeneratedSequence(prompt, list(prompt.ids), max_length, options.eos_ids, processors)
            if options.do_sample:
                sequence.rng = np.random.default_rng([seed, len(sequences)])
            if tokenizer and (prompt.text is not None or options.stops):
                before = prompt_symbols(tokenizer, prompt.ids) if options.stops else ""
                sequence.tokenizer, sequence.special_ids = tokenizer, special_ids
                sequence.stop_strings = StopStrings(options.stops, options.cut_stop_string, tokenizer.special_tokens, before)
            sequences.append(sequence)
    return sequences


def check_rows(config: Config, rows: int, options: Options) -> None:
    """Raise NeoError if this number of sequences needs more memory than this machine has."""
    each = OBJECT_BYTES
    if not options.is_speculative and not options.slide:  # side by side: the logits, and keys and values of one token
        each += FLOAT_BYTES * (config.vocab_size + 2 * config.num_layers * config.hidden_size)
    check_bytes(rows * each, f"generating {rows:,} sequences", "lower num_beams or num_return_sequences")


def ids_without_token(model: LanguageModel) -> list[int]:
    """Return the ids of the model's vocabulary for which the tokenizer has no token, such as those of a padded vocabulary."""
    tokens, vocab_size = model.tokenizer.id_to_token if model.tokenizer else {}, model.config.vocab_size
    if not tokens or (len(tokens) == vocab_size and max(tokens) < vocab_size):
        return []
    return [id for id in range(vocab_size) if id not in tokens]
