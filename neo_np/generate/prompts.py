"""Read the prompt that a user gives: a text or token ids, or a list of either."""

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.language_model import LanguageModel


class Prompt(NamedTuple):
    """A prompt as token ids, with its text if it was given as text."""

    ids: list[int]
    text: str | None = None


def read_prompts(model: LanguageModel, prompt: Any, bos_token_id: int | None) -> tuple[list[Prompt], bool]:
    """Return (prompts, whether the user gave a single one and not a list)."""
    prompt = as_lists(prompt)
    single = isinstance(prompt, str) or is_row_of_ids(prompt)
    prompts = [prompt] if single else prompt
    if not isinstance(prompts, list) or len(prompts) == 0:
        hint = " It is the first argument: model.generate(prompt)." if prompt is None else ""
        hint = " Give its input_ids." if isinstance(prompt, Mapping) and "input_ids" in prompt else hint
        raise NeoError(
            f"the prompt must be a text, token ids, or a list of either that is not empty; got {prompt!r:.60}.{hint}"
        )
    return [read_prompt(model, one, bos_token_id) for one in prompts], single


def read_prompt(model: LanguageModel, prompt: Any, bos_token_id: int | None) -> Prompt:
    """Return one prompt as a `Prompt`. An empty text becomes the token that texts begin with, bos_token_id."""
    if isinstance(prompt, str):
        if model.tokenizer is None:
            raise NeoError("this model has no tokenizer, so prompts must be token ids; or load it with tokenizer=FOLDER.")
        ids = model.tokenizer.encode(prompt)
        if ids:
            model.check_ids(ids)  # a tokenizer may have more tokens than the model
        elif bos_token_id is not None:
            ids = [bos_token_id]
        else:
            raise NeoError("the prompt is empty and the model has no bos_token_id to begin with.")
        return Prompt(ids, prompt)
    prompt = as_lists(prompt)
    if not is_row_of_ids(prompt):
        raise NeoError(f"each prompt must be a text or a list of token ids; got {prompt!r:.60}.")
    model.check_ids(prompt)
    return Prompt([int(id) for id in prompt])


def as_lists(prompt: Any) -> Any:
    """Return any array-like as lists: arrays of NumPy, PyTorch and others, ranges, lists of them.

    A text stays a text, and a number of NumPy or PyTorch becomes one of Python.
    """
    if isinstance(prompt, str | bytes | Mapping):
        return prompt
    if hasattr(prompt, "tolist"):
        return prompt.tolist()
    if hasattr(prompt, "__array__"):
        return np.asarray(prompt).tolist()
    return [as_lists(one) for one in prompt] if isinstance(prompt, Sequence) else prompt


def is_row_of_ids(prompt: Any) -> bool:
    """Return whether a prompt is one sequence of token ids, and not a text or several sequences."""
    return isinstance(prompt, list) and len(prompt) > 0 and all(isinstance(id, Integral) for id in prompt)
