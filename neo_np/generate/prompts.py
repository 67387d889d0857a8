"""Read the prompt that a user gives: a text or token ids, or a list of either."""

from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.options import LanguageModel


@dataclass(frozen=True)
class Prompt:
    """A prompt as token ids, with its text if it was given as text."""

    ids: list[int]
    text: str | None = None


def read_prompts(model: LanguageModel, prompt: Any) -> tuple[list[Prompt], bool]:
    """Return (prompts, whether the user gave a single one and not a list)."""
    if isinstance(prompt, np.ndarray):
        prompt = prompt.tolist()
    single = isinstance(prompt, str) or is_row_of_ids(prompt)
    prompts = [prompt] if single else prompt
    if not isinstance(prompts, list | tuple) or len(prompts) == 0:
        raise NeoError(f"the prompt must be a text, token ids, or a list of either that is not empty; got {prompt!r:.60}.")
    return [read_prompt(model, one) for one in prompts], single


def read_prompt(model: LanguageModel, prompt: Any) -> Prompt:
    """Return one prompt as a `Prompt`. An empty text becomes the token that begins texts, bos_token_id."""
    if isinstance(prompt, str):
        if model.tokenizer is None:
            raise NeoError("this model has no tokenizer, so prompts must be token ids; or load it with tokenizer=FOLDER.")
        ids = model.tokenizer.encode(prompt)
        if not ids and model.config.bos_token_id is None:
            raise NeoError("the prompt is empty and the model has no bos_token_id to begin with.")
        return Prompt(ids or [model.config.bos_token_id], prompt)
    if not is_row_of_ids(prompt):
        raise NeoError(f"each prompt must be a text or a list of token ids; got {prompt!r:.60}.")
    model.check_ids(prompt)
    return Prompt([int(id) for id in prompt])


def is_row_of_ids(prompt: Any) -> bool:
    """Return whether a prompt is one sequence of token ids, and not a text or several sequences."""
    if isinstance(prompt, np.ndarray):
        return prompt.ndim == 1 and prompt.dtype.kind in "iu"
    return isinstance(prompt, list | tuple) and len(prompt) > 0 and all(isinstance(id, Integral) for id in prompt)
