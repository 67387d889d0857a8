"""One text that is being generated: its token ids, how the next one is chosen, and where the text ends."""

import secrets
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.logits_processors import LogitsProcessor, make_logits_processors
from neo_np.generate.options import LanguageModel, Options
from neo_np.generate.prompts import Prompt
from neo_np.generate.stop_strings import StopStrings
from neo_np.tokenizer.tokenizer import Tokenizer


@dataclass(eq=False)
class GeneratedSequence:
    """One text that is being generated.

    prompt: the prompt it continues. ids: the token ids of the prompt and of the new text. max_length: the most ids it may have.
    eos_ids: ids that end it. logits_processors: functions f(logits, ids) -> logits, in order. rng: draws the tokens; None
    takes the most likely one. tokenizer, stop_strings: make text of the new tokens; None if nobody needs the text.
    text: the new text that is certain. drafted, accepted: tokens that speculative decoding proposed, and those it kept.
    """

    prompt: Prompt
    ids: list[int]
    max_length: int
    eos_ids: Sequence[int]
    logits_processors: list[LogitsProcessor]
    rng: np.random.Generator | None = None
    tokenizer: Tokenizer | None = None
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
        text = self.stop_strings.push(self.tokenizer.decode_bytes([token], skip_special_tokens=True))
        self.finished = self.finished or self.stop_strings.found
        if self.finished:
            text += self.stop_strings.flush()
        self.text += text
        return text

    def longer_by(self, token: int) -> "GeneratedSequence":
        """Return a copy with one more token."""
        longer = replace(self, ids=list(self.ids), stop_strings=copy(self.stop_strings))
        longer.append(token)
        return longer


@dataclass
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
    """Return `copies` sequences for each prompt, side by side, without new tokens.

    Sequence i draws from random numbers of its own, made from (seed, i), so its text does not depend on the others.
    """
    if options.stops and model.tokenizer is None:
        raise NeoError("stop_strings are searched in text, and this model has no tokenizer.")
    options.check_assistant(model)
    without_token = ids_without_token(model)
    seed = secrets.randbits(128) if options.seed is None else options.seed
    sequences: list[GeneratedSequence] = []
    for prompt in prompts:
        min_length, max_length = options.limits(len(prompt.ids), model.config.max_position_embeddings)
        processors = make_logits_processors(options, min_length, without_token)
        for _ in range(copies):
            sequence = GeneratedSequence(prompt, list(prompt.ids), max_length, options.eos_ids, processors)
            if options.do_sample:
                sequence.rng = np.random.default_rng([seed, len(sequences)])
            if model.tokenizer is not None and (prompt.text is not None or options.stops):
                before = model.tokenizer.decode_bytes(prompt.ids, skip_special_tokens=True) if options.stops else b""
                sequence.tokenizer = model.tokenizer
                sequence.stop_strings = StopStrings(options.stops, options.cut_stop_string, before)
            sequences.append(sequence)
    return sequences


def ids_without_token(model: LanguageModel) -> list[int]:
    """Return the ids of a padded vocabulary for which the tokenizer has no token."""
    if model.tokenizer is None or len(model.tokenizer) == model.config.vocab_size:
        return []
    return [id for id in range(model.config.vocab_size) if id not in model.tokenizer.id_to_token]
