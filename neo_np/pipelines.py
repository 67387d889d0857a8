"""Pipelines, called as in transformers: `pipeline("text-generation", model=...)`."""

import os
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, overload

import numpy as np

from neo_np.checkpoint.loading import load
from neo_np.errors import NeoError
from neo_np.generate.foreign_options import leave_out_foreign
from neo_np.generate.options import without_none
from neo_np.model import Model
from neo_np.tokenizer.tokenizer import Tokenizer

# The defaults of transformers' text-generation pipeline.
DEFAULT_NEW_TOKENS, DEFAULT_TEMPERATURE = 256, 0.7


class TextGeneration:
    """Continues texts; the result has the form of transformers' text-generation pipeline."""

    def __init__(self, model: Model, tokenizer: Tokenizer):
        self.model, self.tokenizer = model, tokenizer

    def __call__(self, texts: str | Sequence[str] | None = None, return_full_text: bool = True, **options: Any) -> list:
        """Return [{"generated_text": ...}, ...] for one text, and a list of such lists for a list of texts.

        return_full_text: False leaves the prompt out. options: those of `generate`. If neither the call nor the
        checkpoint's generation_config.json sets them, do_sample is True, temperature 0.7 and max_new_tokens 256 (fewer if
        the model has no room).
        """
        options = leave_out_foreign(options)
        prompts = check_texts(texts)
        continued = self.model.generate(prompts, **self._with_defaults(options))
        groups = in_groups(continued, len(prompts))
        if not return_full_text:
            groups = [[text[len(prompt) :] for text in group] for prompt, group in zip(prompts, groups)]
        results = [[{"generated_text": text} for text in group] for group in groups]
        return results[0] if isinstance(texts, str) else results

    def _with_defaults(self, options: dict) -> dict:
        """Return the options of a call, with the pipeline's defaults for what neither it nor the checkpoint sets."""
        given = without_none(options)
        already = without_none(self.model.generation_config) | given
        defaults: dict[str, Any] = {"default_new_tokens": DEFAULT_NEW_TOKENS, "do_sample": True}
        if already.get("do_sample", True):
            defaults["temperature"] = DEFAULT_TEMPERATURE
        return {name: value for name, value in defaults.items() if name not in already} | given


class FeatureExtraction:
    """Returns the hidden states of texts after the last layer norm."""

    def __init__(self, model: Model, tokenizer: Tokenizer):
        self.model, self.tokenizer = model, tokenizer

    def __call__(
        self, texts: str | Sequence[str] | None = None, return_tensors: bool = False, **options: Any
    ) -> list | np.ndarray:
        """Return nested lists (1, T, C) for one text and a list of them for a list; arrays with return_tensors=True.

        options: only those of transformers that change nothing here.
        """
        refuse(leave_out_foreign(options))
        rows = check_texts(texts)
        if not isinstance(texts, str):
            return [self(text, return_tensors) for text in rows]
        ids = self.tokenizer.encode(texts)
        if not ids:
            raise NeoError("the text is empty, so there is nothing to extract features from.")
        features = self.model.hidden_states([ids])[-1]
        return features if return_tensors else features.tolist()


TASKS: dict[str, Any] = {"text-generation": TextGeneration, "feature-extraction": FeatureExtraction}


AnyModel: TypeAlias = Model | str | os.PathLike | None
AnyTokenizer: TypeAlias = Tokenizer | str | os.PathLike | None


@overload
def pipeline(
    task: Literal["text-generation"], model: AnyModel = None, tokenizer: AnyTokenizer = None, **options: Any
) -> TextGeneration: ...
@overload
def pipeline(
    task: Literal["feature-extraction"], model: AnyModel = None, tokenizer: AnyTokenizer = None, **options: Any
) -> FeatureExtraction: ...
def pipeline(
    task: str, model: AnyModel = None, tokenizer: AnyTokenizer = None, **options: Any
) -> TextGeneration | FeatureExtraction:
    """Return a function that does a task for one text or a list of texts.

    task: "text-generation" or "feature-extraction". model, tokenizer: as in `load`, or a `Model`. options: only those of
    transformers that change nothing here, such as device="cpu".

    >>> generator = pipeline("text-generation", model="EleutherAI/gpt-neo-125M")
    >>> generator("EleutherAI has", do_sample=True, min_length=20)
    [{'generated_text': 'EleutherAI has ...'}]
    """
    if not isinstance(task, str) or task not in TASKS:
        raise NeoError(f"unknown task {task!r}: there are {' and '.join(TASKS)}.")
    refuse(leave_out_foreign(options))
    if isinstance(model, Model) and tokenizer not in (None, model.tokenizer):
        raise NeoError("a loaded model has its own tokenizer: leave tokenizer out, or give it to neo_np.load.")
    loaded = model if isinstance(model, Model) else load(model, tokenizer)
    if loaded.tokenizer is None:
        raise NeoError("a pipeline reads text, and this model has no tokenizer: load it with tokenizer=FOLDER.")
    return TASKS[task](loaded, loaded.tokenizer)


def refuse(options: dict) -> None:
    """Raise NeoError if there is an option."""
    for name in options:
        raise NeoError(f"unknown option {name!r}: give options of generate in the call of a text-generation pipeline.")


def check_texts(texts: Any) -> list[str]:
    """Return one text or several as a list of them; raises NeoError for anything else and for an empty list."""
    if isinstance(texts, str):
        return [texts]
    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(text, str) for text in texts):
        raise NeoError(f"a pipeline takes one text or a list of texts; got {texts!r:.60}.")
    return list(texts)


def in_groups(results: list, number: int) -> list[list]:
    """Return the results in `number` lists of equal length."""
    size = len(results) // number
    return [results[i * size : (i + 1) * size] for i in range(number)]
