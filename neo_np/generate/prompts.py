"""prompts."""

from numbers import Integral

import numpy as np

from neo_np.errors import NeoError


def read_prompts(model, prompt):
    """Return ([(text or None, ids), ...], whether it was a single prompt)."""
    if isinstance(prompt, np.ndarray):
        prompt = prompt.tolist()
    single = isinstance(prompt, str) or is_row_of_ids(prompt)
    prompts = [prompt] if single else prompt
    if not isinstance(prompts, list | tuple) or len(prompts) == 0:
        raise NeoError(f"the prompt must be a text, token ids, or a list of either that is not empty; got {prompt!r:.60}.")
    return [read_prompt(model, one) for one in prompts], single


def is_row_of_ids(prompt):
    """Return whether this is one sequence of token ids, rather than a text or several sequences."""
    if isinstance(prompt, np.ndarray):
        return prompt.ndim == 1 and prompt.dtype.kind in "iu"
    return isinstance(prompt, list | tuple) and len(prompt) > 0 and all(isinstance(id, Integral) for id in prompt)


def read_prompt(model, prompt):
    """Return (text or None, ids) for one prompt."""
    if isinstance(prompt, str):
        if model.tokenizer is None:
            raise NeoError("this model has no tokenizer, so prompts must be token ids; or load it with tokenizer=FOLDER.")
        ids = model.tokenizer.encode(prompt)
        if not ids and model.config.bos_token_id is None:
            raise NeoError("the prompt is empty and the model has no bos_token_id to begin with.")
        return prompt, ids or [model.config.bos_token_id]
    if not is_row_of_ids(prompt):
        raise NeoError(f"each prompt must be a text or a list of token ids; got {prompt!r:.60}.")
    model.check_ids(prompt)
    return None, [int(id) for id in prompt]
