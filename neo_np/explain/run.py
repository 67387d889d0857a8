"""`explain`: generate or take a text, run the model over it, and gather every number of the page."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from neo_np.errors import NeoError, warn
from neo_np.explain.attribution import (
    ablate_heads,
    contributions_by_source,
    direct_contributions,
    gradient_times_embedding,
    part_names,
    strongest_neurons,
)
from neo_np.explain.choices import Choice, Draw, column_names, replay
from neo_np.explain.lens import logit_lens, top_tokens
from neo_np.explain.pack import weights_bytes
from neo_np.explain.page import BUDGET, THEMES, check_opening, complete_opening, notebook_html, page_html, read_opening
from neo_np.explain.patterns import PATTERNS, attention_patterns
from neo_np.explain.residual import embedding_norms, nearest_tokens, residual_stream
from neo_np.explain.rules import column_rules
from neo_np.explain.tokens import has_text, offsets, token_bytes, visible_token, whole_characters, words
from neo_np.explain.trace import CHOSEN, RUNNER_UP, Trace, record
from neo_np.files import write_text
from neo_np.generate.loop import generation_loop
from neo_np.generate.options import Options, read_options, without_none
from neo_np.generate.prompts import Prompt, read_prompt
from neo_np.generate.sequence import GeneratedSequence, ids_without_token, start_sequences
from neo_np.gpt_neo.loss import cross_entropy
from neo_np.gpt_neo.params import count
from neo_np.model import Model

SAMPLING = {"temperature": 0.9, "top_p": 0.95}  # the defaults of `python -m neo_np.generate`
ABOUT = 96  # tokens of prompt and new text together, if no length is given
FEWEST_NEW = 8
SMALL_MODEL = 10_000_000  # parameters; below it, gradients of all positions and ablation take seconds
TOP_TOKENS = 10

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Explanation:
    """A run of the model. data: {name: NumPy array or plain value}. It shows itself in Jupyter."""

    data: dict[str, Any] = field(repr=False)
    theme: str = "auto"
    opening: dict[str, Any] = field(default_factory=dict)
    path: Path | None = None
    inline: bool = True

    def html(self) -> str:
        """Return the page: one self-contained HTML file."""
        return page_html(self.data, self.theme, self.opening)

    def save(self, path: str | Path) -> None:
        """Write the page into a file. If it cannot be written, an older file there stays as it was."""
        file, html = Path(path), self.html()
        is_there = file.is_file()  # /dev/stdout is no file that could be replaced
        written = Path(f"{os.path.realpath(file)}.part") if is_there else file
        try:
            write_text(written, html)
            if is_there:
                os.replace(written, os.path.realpath(file))
        except OSError as error:
            if written.is_file():
                written.unlink()
            raise NeoError(f"{path} cannot be written: {error.strerror}.") from None

    def _repr_html_(self) -> str:
        return notebook_html(self.data, self.html() if self.inline else None, self.path)


def explain(
    model: Model,
    prompt: Any,
    continuation: Any = None,
    out: str | Path | None = None,
    theme: str = "auto",
    open: str | None = None,
    ablate: bool | None = None,
    timings: bool = False,
    *,
    inline: bool = True,
    progress: Progress | None = None,
    **options: Any,
) -> Explanation:
    """Generate from a prompt and return everything about the run as an `Explanation`.

    prompt: a text or token ids. continuation: a text or token ids to explain instead of generating; a text is tokenized by
    itself. out: a file to write the page to. theme: "auto", "light" or "dark". open: what the page shows first, such as
    "attention" or "attention,position=5,layer=1,head=2,candidate=runner-up". ablate: run the model without each head; None
    does so below 10 million parameters. timings: note how long each part took. inline: False shows only the path in Jupyter.
    progress: a function (done, total). options: those of `neo_np.Options`; by default those of `python -m neo_np.generate`
    with seed 0, and new tokens up to about 96 tokens in all, the prompt included.
    Raises NeoError for what `generate` refuses, for several sequences, and for a run too long for one file.
    """
    if theme not in THEMES:
        raise NeoError(f"theme is {theme!r}, and it must be one of {', '.join(THEMES)}.")
    if not inline and out is None:
        raise NeoError("inline=False shows only the path of the page: say with out= where to write it.")
    opening = read_opening(open, timings)
    check_opening(opening, layer=model.config.num_layers, head=model.config.num_heads)
    start = read_prompt(model, prompt, model.config.start_id)
    given = None if continuation is None else read_continuation(model, continuation, start)
    settings = read_settings(model, start, given, options)
    check_size(model, start, given, settings)
    work = Work(progress)
    data = explain_run(model, start, given, settings, ablate, work)
    if timings:
        data["timings"] = work.seconds
    run = Explanation(data, theme, complete_opening(opening, data), None if out is None else Path(out), inline)
    if out is not None:
        run.save(out)
    return run


# What the user asks for.


def read_continuation(model: Model, continuation: Any, prompt: Prompt) -> list[int]:
    """Return the ids of a given continuation; raises NeoError if it does not fit behind the prompt."""
    prompt_length = len(prompt.ids)
    if prompt.text and isinstance(continuation, str) and joins_words(prompt.text, continuation):
        warn(
            f"continuation does not begin with a space, so the text reads '{prompt.text[-12:]}{continuation[:12]}': "
            "if it begins a new word, put a space before it."
        )
    is_empty = isinstance(continuation, str | list | tuple) and len(continuation) == 0
    ids = [] if is_empty else read_prompt(model, continuation, None).ids
    if prompt_length + len(ids) > model.config.max_position_embeddings:
        raise NeoError(
            f"prompt and continuation have {prompt_length} + {len(ids)} tokens, and the model has "
            f"{model.config.max_position_embeddings} positions: shorten one of them."
        )
    return ids


def joins_words(before: str, after: str) -> bool:
    """Return whether a word of `after` follows a word or a punctuation mark without a space (of a script that has spaces)."""
    last, first = before[-1:], after[:1]
    return is_of_word(first) and (is_of_word(last) or last in tuple(".,;:!?"))


def is_of_word(char: str) -> bool:
    """Return whether a character is a letter of a script that has capitals, or a digit."""
    return char.isdigit() or char.lower() != char.upper()


def read_settings(model: Model, prompt: Prompt, given: Sequence[int] | None, options: dict[str, Any]) -> Options:
    """Return the options of the run; raises NeoError for those that make more than one sequence."""
    chosen = {"do_sample": True} | without_none(options)
    room = max(1, model.config.max_position_embeddings - len(prompt.ids))
    chosen.setdefault("default_new_tokens", min(room, max(FEWEST_NEW, ABOUT - len(prompt.ids))))
    if given is not None:
        chosen |= {"max_new_tokens": max(1, len(given)), "max_length": None}
    if chosen["do_sample"]:
        chosen = {name: value for name, value in SAMPLING.items() if name not in model.generation_config} | {"seed": 0} | chosen
    settings = read_options(chosen, model.generation_config, model.config)
    if settings.num_beams > 1 or settings.num_return_sequences > 1 or settings.is_speculative or settings.slide:
        raise NeoError(
            "a page explains one text, chosen token by token: leave out num_beams, num_return_sequences, slide, "
            "prompt_lookup_num_tokens and assistant_model."
        )
    return settings


def check_size(model: Model, prompt: Prompt, given: Sequence[int] | None, settings: Options) -> None:
    """Raise NeoError if the longest possible text does not fit into the model, or its attention weights into the page."""
    config, length = model.config, len(prompt.ids)
    longest = longest_text(length, config.max_position_embeddings, settings) if given is None else length + len(given)
    if (needed := weights_bytes(config.num_layers, config.num_heads, longest)) > BUDGET:
        fits = next(T for T in range(longest, 0, -1) if weights_bytes(config.num_layers, config.num_heads, T) <= BUDGET)
        raise NeoError(
            f"the attention weights of {longest} tokens take {needed / 1e6:.1f} MB, and a page has at most "
            f"{BUDGET / 1e6:.0f} MB, which is {fits} tokens of this model: shorten the text, or set max_new_tokens."
        )


def longest_text(length: int, positions: int, settings: Options) -> int:
    """Return how many tokens a text can have whose prompt has `length` tokens; raises NeoError if the model has fewer."""
    if length >= positions:
        raise NeoError(
            f"the prompt has {length} tokens and the model {positions} positions, so there is no room for new ones: "
            "shorten the prompt."
        )
    longest = replace(settings, slide=True).limits(length, positions)[1]  # with slide, the model's positions are no limit
    if longest > positions:
        raise NeoError(
            f"the prompt's {length} tokens and {longest - length} new ones make {longest}, and the model has {positions} "
            "positions: ask for fewer, or shorten the prompt."
        )
    return longest


# The run.


class Work:
    """What was done so far: calls progress(done, total) and measures the seconds of each part."""

    def __init__(self, progress: Progress | None = None):
        self.progress = progress
        self.done = self.total = 0
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Measure the seconds of one part."""
        began = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - began

    def advance(self, units: int = 1) -> None:
        """Note that some units of work are done."""
        self.done += units
        if self.progress:
            self.progress(min(self.done, self.total), self.total)


def explain_run(
    model: Model, prompt: Prompt, given: list[int] | None, settings: Options, ablate: bool | None, work: Work
) -> dict[str, Any]:
    """Return every number of the page, {name: NumPy array or plain value}."""
    config, without_token = model.config, ids_without_token(model)
    small = count(model.params) < SMALL_MODEL
    ablate = small if ablate is None else ablate
    [sequence] = start_sequences(model, [prompt], settings, 1)
    work.total = 2 * sequence.max_length + (2 * config.num_layers + 1) + config.num_layers * config.num_heads * ablate
    with work.part("generation"):
        choices = [] if given is not None else generate_choices(model, sequence, work)
    ids = sequence.ids if given is None else [*prompt.ids, *given]
    with work.part("forward pass with hooks"):
        trace = record(model, ids, without_token)
    if given is not None:
        choices = given_choices(trace, len(prompt.ids), sequence)
    data = {
        **describe(model, prompt, ids),
        "mode": "given" if given is not None else "sampled" if settings.do_sample else "greedy",
        "options": describe_options(settings, given is not None),
        **choice_arrays(choices),
        "columns": column_names(sequence.logits_processors, without_token),
        "rules": column_rules(sequence.logits_processors, without_token),
    }
    with work.part("logit lens"):
        data |= prefixed("lens", logit_lens(trace, work.advance))
        data["top.ids"], data["top.probabilities"] = top_tokens(trace.logits, TOP_TOKENS)
        data["loss"] = cross_entropy(trace.logits[:-1], trace.ids[1:]) if len(ids) > 1 else np.zeros(0)
    with work.part("residual stream and neighbours"):
        data |= prefixed("residual", residual_stream(trace)) | {"embedding.norms": embedding_norms(trace)}
        data["neighbours"], data["neighbours.cosine"] = nearest_tokens(model.params, trace.ids, without_token)
    data |= attention_arrays(trace)
    with work.part("direct contributions"):
        data |= direct_arrays(trace)
    positions = list(range(0 if small else len(prompt.ids) - 1, len(ids)))
    with work.part("gradients"):
        data["gradient.positions"] = np.array(positions)
        data["gradient"] = gradient_times_embedding(trace, positions, work.advance)
    if ablate:
        with work.part("ablation"):
            data |= prefixed("ablation", ablate_heads(trace, work.advance))
    return data | shown_texts(model, data)


def generate_choices(model: Model, sequence: GeneratedSequence, work: Work) -> list[Choice]:
    """Generate the sequence to its end and return the choice of each new token."""
    rng, choices = deepcopy(sequence.rng), []
    for step in generation_loop(model, [sequence]):
        choices.append(replay(step.logits, sequence.ids[:-1], sequence.logits_processors, step.token, rng))
        work.advance()
    return choices


def given_choices(trace: Trace, prompt_length: int, sequence: GeneratedSequence) -> list[Choice]:
    """Return for each token of a given continuation what the processors would have done."""
    ids = trace.ids.tolist()
    return [
        replay(trace.logits[position - 1], ids[:position], sequence.logits_processors, ids[position], given=True)
        for position in range(prompt_length, len(ids))
    ]


# The numbers, by name.


def describe(model: Model, prompt: Prompt, ids: list[int]) -> dict[str, Any]:
    """Return what the run is about: the model, the text and its tokens."""
    config, tokenizer = model.config, model.tokenizer
    pieces = [token_bytes(tokenizer, id) for id in ids]
    return {
        "model": repr(model),
        "layers": list(config.attention_layers),
        "windows": [config.window(layer) for layer in range(config.num_layers)],
        "heads": config.num_heads,
        "channels": config.hidden_size,
        "neurons": config.intermediate_size,
        "vocabulary": config.vocab_size,
        "prompt_length": len(prompt.ids),
        "prompt_is_empty": prompt.text == "",
        "text": b"".join(pieces).decode("utf-8", "replace"),
        "ids": np.array(ids),
        "bytes": [piece.hex(" ") for piece in pieces],
        "offsets": np.array(offsets(pieces)),
        "characters": whole_characters(pieces),
        "words": words(tokenizer, ids),
    }


def describe_options(settings: Options, is_given: bool) -> dict[str, str]:
    """Return {name: value} of the options that had an effect: those not at their default, and top_k, whose default has one too.

    is_given: the continuation was given, so nothing was drawn, and no length was asked for.
    """
    unspoken = {"default_new_tokens", "bos_token_id", "eos_token_id", "logits_processor"}
    unspoken |= {"do_sample", "seed", "max_new_tokens"} if is_given else set()
    return {
        field.name: str(value)
        for field in fields(Options)
        if (value := getattr(settings, field.name)) != field.default or (field.name == "top_k" and value)
        if settings.is_used(field.metadata["needs"]) and field.name not in unspoken
    }


def choice_arrays(choices: Sequence[Choice]) -> dict[str, Any]:
    """Return the S choices as arrays with S rows; see `Choice` and `Draw` for the other axes."""
    names = [field.name for field in fields(Choice) if field.name != "draw"]
    arrays = {f"choice.{name}": np.array([getattr(choice, name) for choice in choices]) for name in names}
    draws = {f"choice.{f.name}": np.array([getattr(choice.draw, f.name) for choice in choices]) for f in fields(Draw)}
    return arrays | draws


def attention_arrays(trace: Trace) -> dict[str, Any]:
    """Return the attention weights and what each head looks at on average."""
    attention = trace.attention
    return {"attention": attention, "pattern_names": PATTERNS, "patterns": attention_patterns(attention, trace.ids)}


def direct_arrays(trace: Trace) -> dict[str, Any]:
    """Return the candidates and what each part, each source token and the strongest neurons add to their m."""
    direct = np.stack([direct_contributions(trace, tokens) for tokens in trace.candidates.T], axis=1)  # (T, 2, P)
    return {
        "candidates": trace.candidates,
        "parts": part_names(trace.config),
        "direct": direct,
        "source.chosen": contributions_by_source(trace, trace.candidates[:, CHOSEN]),
        "source.runner_up": contributions_by_source(trace, trace.candidates[:, RUNNER_UP]),
        **prefixed("neurons", strongest_neurons(trace)),
    }


def prefixed(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays with "prefix." before every name."""
    return {f"{prefix}.{name}": array for name, array in arrays.items()}


def shown_texts(model: Model, data: dict[str, Any]) -> dict[str, Any]:
    """Return the visible text of every token id that the page names, {id: text}."""
    named = ("ids", "candidates", "lens.top", "top.ids", "choice.shown", "choice.runner_up", "choice.token", "neighbours")
    ids = sorted({int(id) for name in named for id in np.ravel(data[name])} - {-1})
    return {
        "texts": {id: visible_token(model.tokenizer, id) for id in ids},
        "without_text": [id for id in ids if not has_text(model.tokenizer, id)],
    }
