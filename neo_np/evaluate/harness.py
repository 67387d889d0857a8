"""An adapter through which lm-evaluation-harness runs a model of neo_np on any of its tasks.

>>> import lm_eval, neo_np
>>> from neo_np.evaluate.harness import harness_model
>>> lm_eval.simple_evaluate(model=harness_model(neo_np.load()), tasks=["lambada_openai", "wikitext"])["results"]

It gives the numbers of the harness's own `hf` model with batch size 1, request by request. Nothing else needs lm_eval, so it
is imported only when the adapter is made: pip install lm_eval.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neo_np.errors import NeoError
from neo_np.evaluate.likelihood import (
    BATCH_SIZE,
    Row,
    Score,
    begin_token,
    continuation_row,
    encode,
    log_likelihoods,
    model_tokenizer,
)
from neo_np.evaluate.text import text_windows
from neo_np.model import Model
from neo_np.terminal import progress_bar
from neo_np.tokenizer.tokenizer import Tokenizer

NEW_TOKENS = 256  # if a task does not say how many, as in the harness's own models
NAMES_OF_LENGTH = "max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens"
LOOK_BACK = 2  # a stop text of n tokens is searched in the newest n + LOOK_BACK tokens


def harness_model(model: Model, batch_size: int = BATCH_SIZE) -> Any:
    """Return a model as an `lm_eval.api.model.LM`; raises NeoError if lm_eval is not installed."""
    try:
        from lm_eval.api.model import LM
    except ImportError:
        raise NeoError("lm_eval is not installed: pip install lm_eval.") from None

    class NeoLM(LM):
        """What the harness asks for; each request carries the arguments of its kind in `args`."""

        def loglikelihood(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[Score]:
            """Return (log-likelihood, greedy) for each (context, continuation)."""
            rows = [continuation_row(model, *request.args) for request in requests]
            with progress_bar("log-likelihoods") as progress:
                return log_likelihoods(model, rows, batch_size, progress)

        def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
            """Return the log-likelihood of each text, in windows of all the model's positions, side by side."""
            texts = [whole_text_rows(model, *request.args) for request in requests]  # a list of rows for each
            with progress_bar("log-likelihoods of texts") as progress:
                scores = iter(log_likelihoods(model, [row for rows in texts for row in rows], batch_size, progress))
            return [sum(next(scores)[0] for _ in rows) for rows in texts]

        def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
            """Return what the model writes after each (context, options), up to the first stop text."""
            texts = []
            with progress_bar("texts") as progress:
                for request in requests:
                    texts.append(continue_until(model, *request.args))
                    progress(len(texts), len(requests))
            return texts

    return NeoLM()


def whole_text_rows(model: Model, text: str) -> list[Row]:
    """Return the rows that predict every token of a text once, the first after the `begin_token`."""
    begin = begin_token(model)
    if begin is None:
        raise NeoError("the harness scores every token of a text, and this model has no bos_token_id to begin with.")
    positions = model.config.max_position_embeddings
    return text_windows([begin, *encode(model, text)], window=positions, stride=positions)


def continue_until(model: Model, context: str, options: dict) -> str:
    """Return what the model writes after a context, without the stop texts.

    options: `until` (a text or a list of texts), a length under one of NAMES_OF_LENGTH, `do_sample`, `temperature` and other
    options of `generate`. A context that is too long loses its beginning, so that there is room for the new tokens.
    """
    tokenizer, options = model_tokenizer(model), dict(options)
    stops = stop_texts(options.pop("until", None), tokenizer)
    lengths = [options.pop(name, None) for name in NAMES_OF_LENGTH]
    new_tokens = int(next((length for length in lengths if length is not None), NEW_TOKENS))
    positions = model.config.max_position_embeddings
    if new_tokens >= positions:
        raise NeoError(f"the task wants {new_tokens} new tokens, and the model has {positions} positions: set max_gen_toks.")
    ids = encode(model, context)[new_tokens - positions :] or [begin_token(model)]
    limit = {} if "max_length" in options else {"max_new_tokens": new_tokens}
    new_ids = write_until(model, ids, stops, sampling_options(options) | limit)
    text = tokenizer.decode(new_ids, skip_special_tokens=True)
    for stop in stops:  # the harness cuts in this order
        text = text.split(stop)[0]
    return text


def stop_texts(until: str | Sequence[str] | None, tokenizer: Tokenizer) -> list[str]:
    """Return the stop texts of a task, and last the text of the token that ends every text."""
    stops = [until] if isinstance(until, str) else list(until or [])
    if tokenizer.eos_token_id is not None:
        stops.append(tokenizer.decode([tokenizer.eos_token_id]))
    return [stop for stop in dict.fromkeys(stops) if stop]


def sampling_options(options: dict) -> dict:
    """Return options of `generate` for those of the harness, in which temperature 0 means greedy."""
    options, temperature = dict(options), float(options.get("temperature") or 0)
    options.pop("temperature", None)
    if options.setdefault("do_sample", temperature > 0):
        options["temperature"] = temperature or 1.0
    return options


class StopTextFound(Exception):
    """Raised in the middle of `generate`, with the ids so far."""


def write_until(model: Model, prompt: list[int], stops: Sequence[str], options: dict) -> list[int]:
    """Return the new ids after a prompt, up to the token that completes a stop text. The prompt is not searched.

    The stop strings of `generate` are no help: as in transformers, they may begin in the prompt. So a logits processor, which
    is called before each token and changes nothing, looks for the stop texts. Beam search writes to its end.
    """
    tokenizer = model_tokenizer(model)
    look_back = {stop: len(tokenizer.encode(stop, add_special_tokens=False)) + LOOK_BACK for stop in stops}

    def look_for_stops(logits: np.ndarray, ids: Sequence[int]) -> np.ndarray:
        new_ids = list(ids[len(prompt) :])
        if any(stop in tokenizer.decode(new_ids[-count:]) for stop, count in look_back.items()):
            raise StopTextFound(new_ids)
        return logits

    if options.get("num_beams", 1) == 1:
        options = options | {"logits_processor": [*options.get("logits_processor", ()), look_for_stops]}
    try:
        return model.generate(prompt, **options)[len(prompt) :]
    except StopTextFound as found:
        return found.args[0]
