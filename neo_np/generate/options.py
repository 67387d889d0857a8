"""The options of `generate`: each with its default, the check of its value, and its meaning.

Names, defaults and meanings are those of transformers, except for the last group.
"""

# ruff: noqa: RUF009  (`option` returns a dataclass field, as `dataclasses.field` does)

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from neo_np.errors import NeoError, warn
from neo_np.generate.foreign_options import absent_settings, leave_out_foreign
from neo_np.generate.language_model import LanguageModel
from neo_np.generate.prompts import as_lists
from neo_np.generate.value_checks import (
    BIASES,
    DECAY,
    EARLY_STOPPING,
    EXPONENT,
    FACTOR,
    FROM_0,
    FROM_1,
    FUNCTIONS,
    ID,
    ID_LIST,
    IDS,
    MODEL,
    SHARE,
    SHARE_ABOVE_0,
    SWITCH,
    TEMPERATURE,
    TEXTS,
    WORDS,
    Check,
    is_whole,
    pairs,
)
from neo_np.gpt_neo.config import Config

# What an option can need to have an effect.
SAMPLING, BEAMS, ASSISTANT, STOPS = "do_sample=True", "num_beams above 1", "an assistant_model", "stop_strings"


def option(default: Any, check: Check, meaning: str, needs: str = "") -> Any:
    """Return a field of `Options`. needs: the option has an effect only with this one (SAMPLING, BEAMS, ...)."""
    return dataclasses.field(default=default, metadata={"check": check, "meaning": meaning, "needs": needs})


@dataclass(frozen=True)
class Options:
    """The options of `generate`. None is the same as not given.

    Raises NeoError for a value that makes no sense, or for values that contradict each other.
    """

    # How long the text may become, and where it ends.
    max_length: int | None = option(None, FROM_1, "most tokens of prompt and new text together")
    max_new_tokens: int | None = option(None, FROM_1, "most new tokens; excludes the prompt and overrides max_length")
    min_length: int = option(0, FROM_0, "no end token before this many tokens, prompt included")
    min_new_tokens: int | None = option(None, FROM_0, "no end token before this many new tokens; overrides min_length")
    eos_token_id: int | list | None = option(None, IDS, "the id or ids that end a text; None: the checkpoint's own, []: none")
    bos_token_id: int | None = option(None, ID, "the id that an empty prompt starts from; None: the checkpoint's own")
    stop_strings: str | list | None = option(None, TEXTS, "text or texts; the text ends with the token that completes one")
    # How a token is chosen.
    do_sample: bool = option(False, SWITCH, "draw tokens at random; otherwise take the most likely one")
    temperature: float = option(1.0, TEMPERATURE, "below 1 favours likely tokens, above 1 unlikely ones", SAMPLING)
    top_h: float | None = option(None, SHARE_ABOVE_0, "keep the most likely tokens up to h times the entropy", SAMPLING)
    top_k: int = option(50, FROM_0, "keep only the k most likely tokens (0: all)", SAMPLING)
    top_p: float = option(1.0, SHARE, "keep the most likely tokens until their probabilities reach p (1: all)", SAMPLING)
    min_p: float | None = option(None, SHARE, "keep tokens with at least p times the highest probability", SAMPLING)
    typical_p: float = option(1.0, SHARE_ABOVE_0, "keep the most typical tokens until they reach p (1: all)", SAMPLING)
    epsilon_cutoff: float = option(0.0, SHARE, "keep tokens with at least this probability (0: all)", SAMPLING)
    eta_cutoff: float = option(0.0, SHARE, "the same, with a lower limit if the entropy is high (0: all)", SAMPLING)
    # Logits processors.
    sequence_bias: dict | list | None = option(None, BIASES, "{(id, ...): bias}, added to the token that completes the ids")
    encoder_repetition_penalty: float = option(1.0, FACTOR, "above 1 makes tokens of the prompt more likely (1: off)")
    repetition_penalty: float = option(1.0, FACTOR, "above 1 makes tokens of the text so far less likely (1: off)")
    no_repeat_ngram_size: int = option(0, FROM_0, "never repeat a run of n tokens (0: off)")
    encoder_no_repeat_ngram_size: int = option(0, FROM_0, "never repeat a run of n tokens of the prompt (0: off)")
    bad_words_ids: list | None = option(None, WORDS, "lists of token ids that must not be generated")
    forced_bos_token_id: int | None = option(None, ID, "the second token of the text, if the prompt is one token")
    forced_eos_token_id: int | list | None = option(None, IDS, "the last token of a text that reaches its maximum length")
    exponential_decay_length_penalty: tuple | list | None = option(
        None, DECAY, "(start, factor): after start new tokens, end tokens become more likely by the factor at each step"
    )
    suppress_tokens: list | None = option(None, ID_LIST, "token ids that must not be generated")
    begin_suppress_tokens: list | None = option(None, ID_LIST, "token ids that must not be the first new token")
    logits_processor: Sequence = option((), FUNCTIONS, "your own functions f(logits (V,), ids) -> logits")
    renormalize_logits: bool = option(False, SWITCH, "make log-probabilities of the logits after all processors")
    # Several texts for a prompt.
    num_return_sequences: int = option(1, FROM_1, "texts for each prompt")
    num_beams: int = option(1, FROM_1, "beam search with n beams (1: off)")
    length_penalty: float = option(1.0, EXPONENT, "above 0 beam search prefers longer texts, below 0 shorter ones", BEAMS)
    early_stopping: bool | str = option(
        False,
        EARLY_STOPPING,
        "end with num_beams texts (true), if a better one is unlikely (false) or impossible (never)",
        BEAMS,
    )
    # Speculative decoding.
    prompt_lookup_num_tokens: int | None = option(None, FROM_1, "draft up to k tokens from the text itself")
    assistant_model: LanguageModel | None = option(None, MODEL, "smaller model with the same tokenizer that drafts tokens")
    num_assistant_tokens: int = option(5, FROM_1, "tokens that the assistant drafts at a time", ASSISTANT)
    # Not in transformers.
    default_new_tokens: int = option(20, FROM_1, "most new tokens if no limit is set; fewer if the model has no room")
    seed: int | None = option(None, FROM_0, "the same seed gives the same text")
    cut_stop_string: bool = option(False, SWITCH, "leave the stop string out of the text", STOPS)
    slide: bool = option(False, SWITCH, "continue past the model's last position with only the last tokens")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, check = getattr(self, field.name), field.metadata["check"]
            if not check.holds(value) and not (value is None and field.default is None):
                raise NeoError(f"{field.name} is {value!r:.80}, and it must be {check.wanted}.")
        if self.do_sample and self.temperature == 0:
            raise NeoError(
                f"temperature is {self.temperature!r}, and it must be a number above 0: for the most likely token use "
                "do_sample=False."
            )
        if self.num_return_sequences > 1 and self.num_beams == 1 and not self.do_sample:
            raise NeoError(
                f"num_return_sequences {self.num_return_sequences} without sampling gives the same text several times: "
                "set do_sample=True, or num_beams to at least as many."
            )
        if 1 < self.num_beams < self.num_return_sequences:
            raise NeoError(
                f"num_beams {self.num_beams} cannot give num_return_sequences {self.num_return_sequences}: raise num_beams."
            )
        if self.assistant_model is not None and self.prompt_lookup_num_tokens:
            raise NeoError("assistant_model and prompt_lookup_num_tokens are two ways to draft tokens: choose one.")
        if self.is_speculative and self.num_beams > 1:
            raise NeoError("speculative decoding follows one text at a time: leave out num_beams, or what drafts tokens.")

    @property
    def is_speculative(self) -> bool:
        """Whether tokens are drafted and then verified."""
        return self.prompt_lookup_num_tokens is not None or self.assistant_model is not None

    @property
    def eos_ids(self) -> list[int]:
        """The ids that end a text, as a list."""
        return as_list(self.eos_token_id)

    @property
    def stops(self) -> list[str]:
        """The stop strings, as a list."""
        return as_list(self.stop_strings)

    @property
    def biases(self) -> list[tuple[tuple[int, ...], float]]:
        """The pairs (token ids, bias) of sequence_bias; of two with the same ids, the last one."""
        return list({tuple(ids): bias for ids, bias in pairs(self.sequence_bias) or []}.items())

    def is_used(self, needs: str) -> bool:
        """Return whether options that need SAMPLING, BEAMS, ... have an effect."""
        return {
            "": True,
            SAMPLING: self.do_sample,
            BEAMS: self.num_beams > 1,
            ASSISTANT: self.assistant_model is not None,
            STOPS: bool(self.stops),
        }[needs]

    def check_ids(self, vocab_size: int) -> None:
        """Raise NeoError if an option has a token id that a model with this vocabulary does not have."""
        found = {
            "eos_token_id": self.eos_ids,
            "bos_token_id": as_list(self.bos_token_id),
            "bad_words_ids": [id for word in self.bad_words_ids or [] for id in word],
            "sequence_bias": [id for sequence, _ in self.biases for id in sequence],
            "forced_bos_token_id": as_list(self.forced_bos_token_id),
            "forced_eos_token_id": as_list(self.forced_eos_token_id),
            "suppress_tokens": as_list(self.suppress_tokens),
            "begin_suppress_tokens": as_list(self.begin_suppress_tokens),
        }
        for name, ids in found.items():
            if wrong := [id for id in ids if id >= vocab_size]:
                raise NeoError(f"{name} has the id {wrong[0]} and the last id of this model is {vocab_size - 1}.")

    def check_assistant(self, model: LanguageModel) -> None:
        """Raise NeoError if assistant_model and model do not have the same tokens."""
        assistant = self.assistant_model
        if assistant is None:
            return
        sizes = assistant.config.vocab_size, model.config.vocab_size
        if sizes[0] != sizes[1]:
            raise NeoError(f"assistant_model has {sizes[0]} tokens and the model {sizes[1]}: use two with the same tokenizer.")
        if assistant.tokenizer and model.tokenizer and assistant.tokenizer.id_to_token != model.tokenizer.id_to_token:
            raise NeoError("assistant_model and the model have different tokens: use two with the same tokenizer.")

    def limits(self, prompt_length: int, positions: int) -> tuple[int, int]:
        """Return (min_length, max_length) in tokens, prompt included, for a model with this many positions.

        Raises NeoError if the prompt leaves no room, or if a limit that was set does not fit. With slide, the number of
        positions is no limit.
        """
        room = max(1, positions - prompt_length)
        if self.max_new_tokens is not None:
            max_length = prompt_length + self.max_new_tokens
        elif self.max_length is not None:
            max_length = self.max_length
        else:
            max_length = prompt_length + (self.default_new_tokens if self.slide else min(self.default_new_tokens, room))
        if max_length <= prompt_length:
            raise NeoError(
                f"the prompt has {prompt_length} tokens and max_length is {max_length}, so there is no room for new ones: "
                "raise max_length, or set max_new_tokens."
            )
        if prompt_length >= positions and not self.slide:
            raise NeoError(
                f"the prompt has {prompt_length} tokens and the model {positions} positions, so there is no room for new ones: "
                "shorten the prompt, or continue with only the last tokens (slide=True)."
            )
        if max_length > positions and not self.slide:
            raise NeoError(
                f"the prompt's {prompt_length} tokens and {max_length - prompt_length} new ones make {max_length}, and the "
                f"model has {positions} positions: ask for fewer, shorten the prompt, or continue with only the last tokens "
                "(slide=True)."
            )
        min_length = self.min_length if self.min_new_tokens is None else prompt_length + self.min_new_tokens
        if min_length > max_length:
            warn(
                f"at least {min_length} tokens were asked for and at most {max_length}, prompt included: the text ends after "
                f"{max_length}."
            )
        return min_length, max_length


Options.__doc__ = f"{Options.__doc__}\n" + "\n".join(
    f"    {field.name}: {field.metadata['meaning']}" for field in dataclasses.fields(Options)
)


def read_options(given: dict, generation_config: dict, config: Config) -> Options:
    """Return the `Options` that a user gave by name, completed from a checkpoint's generation_config and config.

    Raises NeoError for a name that is unknown or a value that makes no sense. Warns of options that have no effect.
    """
    given = {name: as_lists(value) for name, value in without_none(known_options(given)).items()}
    from_file = options_of_file(generation_config, config.vocab_size)
    ids: dict[str, Any] = {"bos_token_id": config.start_id}
    if not generation_config:  # as in transformers, a checkpoint's own settings without end tokens mean none
        ids["eos_token_id"] = config.eos_token_ids
    try:
        options = Options(**ids | from_file | given)
        options.check_ids(config.vocab_size)
    except NeoError as error:
        is_from_file = any(str(error).startswith(f"{name} ") for name in from_file if name not in given)
        raise NeoError(f"generation_config.json: {error}") if is_from_file else error from None
    if absent := absent_settings(generation_config):
        warn(f"generation_config.json sets {', '.join(absent)}, which neo_np does not have: ignored.")
    for name, reason in without_effect(options, given).items():
        warn(f"{name} changes nothing here: {reason}.")
    return options


def known_options(given: dict) -> dict:
    """Return the options without those of other libraries that change nothing here; raises NeoError for unknown names."""
    names, given = [field.name for field in dataclasses.fields(Options)], leave_out_foreign(given)
    for name in given:
        if name not in names:
            import difflib  # only this message needs it, and each import makes the start slower

            close = difflib.get_close_matches(name, names, 1, cutoff=0.7)
            meant = f"; did you mean {close[0]!r}?" if close else ": help(neo_np.Options) lists all options."
            raise NeoError(f"unknown option {name!r}{meant}")
    return given


def options_of_file(entries: dict, vocab_size: int) -> dict:
    """Return the options among a file's entries, without None and without ids that the model cannot generate.

    Such an id never occurs, so it never ends a text, and there is no need to suppress it.
    """
    names = {field.name for field in dataclasses.fields(Options)}
    options = {name: value for name, value in without_none(entries).items() if name in names}
    for name in ("eos_token_id", "suppress_tokens", "begin_suppress_tokens"):
        if name in options and all(map(is_whole, as_list(options[name]))):
            options[name] = [id for id in as_list(options[name]) if 0 <= id < vocab_size]
    if is_whole(options.get("bos_token_id")) and not 0 <= options["bos_token_id"] < vocab_size:
        del options["bos_token_id"]
    return options


def without_effect(options: Options, given: dict) -> dict[str, str]:
    """Return {name: reason} for the given options that have no effect, unless they have their default value."""
    found = {
        field.name: f"it needs {field.metadata['needs']}"
        for field in dataclasses.fields(Options)
        if given.get(field.name, field.default) != field.default and not options.is_used(field.metadata["needs"])
    }
    for name, stronger in (("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")):
        if name in given and stronger in given:
            found[name] = f"{stronger} overrides it"
    return found


def without_none(options: dict) -> dict:
    """Return the options without those that are None, which is the same as not given."""
    return {name: value for name, value in options.items() if value is not None}


def as_list(value: Any) -> list:
    """Return a list or tuple as a list, one value as a list of it, and None as an empty list."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
