"""A program as outside code writes it, with the type of every result. mypy checks it in its strict mode; it is not run."""

from pathlib import Path

import numpy as np

import neo_np
from neo_np import Config, Model, NeoError, Options, Params, Tokenizer


def double(name: str, array: np.ndarray) -> np.ndarray | None:
    """A hook."""
    return 2 * array if name == "embed" else None


def lower(logits: np.ndarray, ids: list[int]) -> np.ndarray:
    """A logits processor."""
    return logits - len(ids)


def use(folder: Path) -> None:
    model: Model = neo_np.load()
    model = neo_np.load("EleutherAI/gpt-neo-125M", tokenizer=folder)
    config: Config = model.config
    params: Params = model.params
    named: dict[str, np.ndarray] = params.flat()
    size: int = config.vocab_size + config.head_size + len(named)
    tokenizer = Tokenizer.load(folder)
    ids: list[int] = tokenizer.encode("Once upon a time")
    text: str = tokenizer.decode(ids, skip_special_tokens=True)
    learned: Tokenizer = Tokenizer.train([text], size)
    logits: np.ndarray = model.logits(ids, mask=None, cache=None, hook=double, logits_to_keep=0, fast=True)
    hidden: list[np.ndarray] = model.hidden_states(ids)
    loss: float = model.loss(ids)
    cache = model.new_cache(batch=1, capacity=256)
    model.logits(ids, cache=cache)
    for piece in model.stream("Once upon a time", max_new_tokens=40):
        text += piece
    names: list[str] = neo_np.hook_names(config)
    options: Options = Options(max_new_tokens=5, logits_processor=[lower])
    generator = neo_np.pipeline("text-generation", model=model)
    generator("The king", do_sample=True)
    try:
        neo_np.save(Model(config, params, learned), folder / "mine")
    except NeoError as error:
        print(model.generate("The king", seed=0), logits, hidden, loss, names, options, error)
