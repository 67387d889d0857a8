"""The options of `generate`, by the names and with the defaults of transformers, checked in one place."""

import dataclasses
import difflib
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Protocol, runtime_checkable

from neo_np.errors import NeoError

SAMPLING_ONLY = "temperature", "top_k", "top_p", "min_p", "typical_p"
BEAMS_ONLY = "length_penalty", "early_stopping"
ASSISTANT_ONLY = ("num_assistant_tokens",)


@runtime_checkable
class Assistant(Protocol):
    """What `assistant_model` must be: a `Model`, which this module can not import because `Model` imports it."""

    config: object
    params: object
    tokenizer: object

    def logits(self, ids):
        """Return the logits of token ids."""

    def new_cache(self):
        """Return an empty cache."""


@dataclass(frozen=True)
class Options:
    """What `generate` can be asked for.

    Length: max_length and min_length count the prompt, max_new_tokens and min_new_tokens do not and win over the
    others; without either limit, default_new_tokens, or as many as the model has positions for. eos_token_id: id or ids
    that end a text ([] for none).
    Choice: greedy, or at random with do_sample; temperature, top_k (0: off), top_p, min_p and typical_p then shape the
    distribution. Beam search with num_beams, length_penalty, early_stopping (True, False or "never").
    Rules: repetition_penalty, no_repeat_ngram_size (0: off), bad_words_ids, and logits_processor, a list of functions
    f(logits, ids) -> logits for (V,) logits and the list of ids so far. num_return_sequences: texts for each prompt.
    stop_strings: one or several; the text ends with the token that completes one.
    Speculative decoding (see `neo_np.speculative`): prompt_lookup_num_tokens=k guesses up to k tokens from the text itself;
    assistant_model, a smaller `Model` with the same tokenizer, guesses num_assistant_tokens at a time.
    Ours alone: default_new_tokens; seed (same seed, same text); cut_stop_string removes the stop string from the text;
    slide goes on past the model's last position with the last tokens alone, forgetting half of them when it is full.
    """

    max_length: int | None = None
    max_new_tokens: int | None = None
    min_length: int = 0
    min_new_tokens: int | None = None
    eos_token_id: int | list | None = None
    do_sample: bool = False
    temperature: float = 1.0
    top_k: int = 50
    top_p: float = 1.0
    min_p: float | None = None
    typical_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    bad_words_ids: list | None = None
    logits_processor: Sequence = ()
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    num_return_sequences: int = 1
    stop_strings: str | list | None = None
    prompt_lookup_num_tokens: int | None = None
    assistant_model: object = None
    num_assistant_tokens: int = 5
    default_new_tokens: int = 20
    seed: int | None = None
    cut_stop_string: bool = False
    slide: bool = False

    def __post_init__(self):
        above_0 = "max_length max_new_tokens default_new_tokens num_beams num_return_sequences "
        for name in (above_0 + "prompt_lookup_num_tokens num_assistant_tokens").split():
            self._check_number(name, Integral, "a whole number above 0", lambda n: n >= 1)
        for name in ("min_length", "min_new_tokens", "top_k", "no_repeat_ngram_size", "seed"):
            self._check_number(name, Integral, "a whole number, 0 or more", lambda n: n >= 0)
        for name in ("top_p", "min_p"):
            self._check_number(name, Real, "a number from 0 to 1", lambda x: 0 <= x <= 1)
        self._check_number("typical_p", Real, "a number above 0 and up to 1", lambda x: 0 < x <= 1)
        self._check_number("repetition_penalty", Real, "a number above 0 (1 is off)", lambda x: 0 < x < math.inf)
        self._check_number("length_penalty", Real, "a number from -50 to 50", lambda x: -50 <= x <= 50)
        if self.do_sample:
            wanted = "a number above 0 (for the likeliest token each time, sample nothing: do_sample=False, --greedy)"
            self._check_number("temperature", Real, wanted, lambda x: 0 < x < math.inf)
        for name in ("do_sample", "cut_stop_string", "slide"):
            if not isinstance(getattr(self, name), bool):
                raise NeoError(f"{name} is {getattr(self, name)!r}, and it must be True or False.")
        if not isinstance(self.early_stopping, bool) and self.early_stopping != "never":
            raise NeoError(f"early_stopping is {self.early_stopping!r}, and it must be True, False or 'never'.")
        if not all(map(_is_id, self.eos_ids)):
            raise NeoError(f"eos_token_id is {self.eos_token_id!r}, and it must be a token id or a list of them.")
        words = [] if self.bad_words_ids is None else self.bad_words_ids
        if not isinstance(words, list) or not all(_is_list(word) and word and all(map(_is_id, word)) for word in words):
            raise NeoError(f"bad_words_ids is {words!r}, and it must be a list of lists of token ids, none empty.")
        if not _is_list(self.logits_processor) or not all(map(callable, self.logits_processor)):
            raise NeoError(
                f"logits_processor is {self.logits_processor!r}, and it must be a list of functions f(logits, ids) -> logits."
            )
        for stop in self.stops:
            if not isinstance(stop, str) or not stop:
                raise NeoError(f"stop_strings is {self.stop_strings!r}, and it must be a text or a list of texts, none empty.")
            if any("\ud800" <= char <= "\udfff" for char in stop):
                raise NeoError(f"stop_strings has {stop!r}, and a lone surrogate is not a character that a text can have.")
        if self.num_return_sequences > 1 and self.num_beams == 1 and not self.do_sample:
            raise NeoError(
                f"num_return_sequences {self.num_return_sequences} without sampling would give one text several times: "
                "set do_sample=True, or as many num_beams."
            )
        if self.assistant_model is not None and not isinstance(self.assistant_model, Assistant):
            raise NeoError(
                f"assistant_model is {self.assistant_model!r:.40}, and it must be a Model, as neo_np.load gives one."
            )
        if self.assistant_model and self.prompt_lookup_num_tokens:
            raise NeoError("assistant_model and prompt_lookup_num_tokens are two ways to guess: choose one.")
        if self.is_speculative and self.num_beams > 1:
            raise NeoError("speculative decoding follows one text at a time: leave num_beams out, or the guessing.")
        if 1 < self.num_beams < self.num_return_sequences:
            raise NeoError(f"num_beams {self.num_beams} cannot give num_return_sequences {self.num_return_sequences}.")

    def _check_number(self, name, kind, wanted, holds):
        value = getattr(self, name)
        if value is None and getattr(Options, name) is None:
            return
        if isinstance(value, bool) or not isinstance(value, kind) or not holds(value):
            raise NeoError(f"{name} is {value!r}, and it must be {wanted}.")

    def check_ids(self, vocab_size):
        """Raise NeoError where an option holds a token id that a model with this vocabulary does not have."""
        held = {"eos_token_id": self.eos_ids, "bad_words_ids": [id for word in self.bad_words_ids or [] for id in word]}
        for name, ids in held.items():
            if wrong := [id for id in ids if id >= vocab_size]:
                raise NeoError(f"{name} holds the id {wrong[0]} and this model's last is {vocab_size - 1}.")

    def check_assistant(self, model):
        """Raise NeoError where the assistant_model has other tokens than the model."""
        if self.assistant_model is None:
            return
        small, sizes = self.assistant_model, [one.config.vocab_size for one in (self.assistant_model, model)]
        if sizes[0] != sizes[1]:
            raise NeoError(f"assistant_model has {sizes[0]} tokens and the model {sizes[1]}: take two with the same tokenizer.")
        if small.tokenizer and model.tokenizer and small.tokenizer.id_to_token != model.tokenizer.id_to_token:
            raise NeoError("assistant_model has other tokens than the model: take two with the same tokenizer.")

    @property
    def is_speculative(self):
        """Whether tokens are to be guessed and then checked."""
        return bool(self.prompt_lookup_num_tokens or self.assistant_model)

    @property
    def eos_ids(self):
        """The ids that end a text, as a list."""
        if self.eos_token_id is None:
            return []
        return list(self.eos_token_id) if _is_list(self.eos_token_id) else [self.eos_token_id]

    @property
    def stops(self):
        """The stop strings, as a list."""
        if self.stop_strings is None:
            return []
        return list(self.stop_strings) if _is_list(self.stop_strings) else [self.stop_strings]

    def limits(self, prompt_length, positions):
        """Return (shortest, longest) total length of a text, in tokens; raises NeoError where the prompt leaves no room.

        positions: how many the model has. default_new_tokens shrinks to what fits; a limit that was asked for and does
        not fit is an error, unless slide lifts it.
        """
        if self.max_new_tokens:
            longest = prompt_length + self.max_new_tokens
        elif self.max_length:
            longest = self.max_length
        else:
            room = max(1, positions - prompt_length)
            longest = prompt_length + (self.default_new_tokens if self.slide else min(self.default_new_tokens, room))
        if longest <= prompt_length:
            raise NeoError(
                f"the prompt has {prompt_length} tokens and max_length is {longest}, which leaves nothing to write: "
                "raise max_length, or set max_new_tokens."
            )
        if prompt_length >= positions and not self.slide:
            raise NeoError(
                f"the prompt has {prompt_length} tokens and the model {positions} positions, which leaves no room to write: "
                "shorten the prompt, or let the text slide (slide=True, --slide)."
            )
        if longest > positions and not self.slide:
            raise NeoError(
                f"the prompt's {prompt_length} tokens and {longest - prompt_length} new ones make {longest}, and the model has "
                f"{positions} positions: ask for fewer, shorten the prompt, or let the text slide (slide=True, --slide)."
            )
        shortest = self.min_length if self.min_new_tokens is None else prompt_length + self.min_new_tokens
        if shortest > longest:
            warnings.warn(
                f"at least {shortest} tokens were asked for and at most {longest}: the text ends there.", stacklevel=4
            )
        return shortest, longest


def read_options(given, generation_config, config):
    """Return the `Options` that a user gave by name, completed from a checkpoint's generation_config and config.

    A value of None is the same as none given. Raises NeoError for a name that is unknown or a value that makes no sense.
    """
    names = [f.name for f in dataclasses.fields(Options)]
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1, cutoff=0.7)
            raise NeoError(f"unknown option {name!r}{f'; did you mean {close[0]!r}?' if close else ''}")
    given = without_none(given)
    defaults = {name: value for name, value in without_none(generation_config).items() if name in names}
    try:
        options = Options(**{"eos_token_id": config.eos_token_ids} | defaults | given)
        options.check_ids(config.vocab_size)
    except NeoError as error:
        from_file = [name for name in defaults if name not in given and str(error).startswith(name)]
        raise NeoError(f"generation_config.json: {error}") if from_file else error from None
    for group, used, condition in (
        (SAMPLING_ONLY, options.do_sample, "do_sample=True"),
        (BEAMS_ONLY, options.num_beams > 1, "num_beams above 1"),
        (ASSISTANT_ONLY, options.assistant_model is not None, "an assistant_model"),
    ):
        for name in group:
            if name in given and not used:
                warnings.warn(f"{name} changes nothing here: it takes {condition}.", stacklevel=4)
    return options


def without_none(options):
    """Return the options without those that are None, which is the same as none given."""
    return {name: value for name, value in options.items() if value is not None}


def _is_id(value):
    return isinstance(value, Integral) and not isinstance(value, bool) and value >= 0


def _is_list(value):
    return isinstance(value, list | tuple)
