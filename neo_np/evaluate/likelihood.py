"""Log-likelihoods: how probable is the end of a text after its beginning? Every evaluation of texts rests on this.

Course: notebook 16.
"""

from collections.abc import Callable, Sequence

import numpy as np

from neo_np.errors import NeoError
from neo_np.gpt_neo.fast import inference
from neo_np.gpt_neo.loss import token_log_probs
from neo_np.model import Model
from neo_np.tokenizer.tokenizer import Tokenizer

BATCH_SIZE = 8

Row = tuple[Sequence[int], int]  # (token ids, how many of the last ones are scored)
Score = tuple[float, bool]  # (log-likelihood, greedy)
Progress = Callable[[int, int], None]  # f(done, total)


def log_likelihoods(
    model: Model, rows: Sequence[Row], batch_size: int = BATCH_SIZE, progress: Progress | None = None
) -> list[Score]:
    """Return (log-likelihood, greedy) for each row: nats, and whether every scored token is the likeliest one at its place.

    rows: list of (ids, scored). The last `scored` ids are predicted, each from all ids before it. A row longer than the
        model's positions + 1 loses its beginning (the last id is predicted and never fed to the model).
    progress: f(tokens done, tokens in all), called after each batch. Rows of similar length share a batch; the results do not
        depend on batch_size, except for rounding.
    Raises NeoError if a row has no room for what is scored, and if the model gives NaN.
    """
    if type(batch_size) is not int or batch_size < 1:
        raise NeoError(f"batch_size is {batch_size!r}, and it must be a whole number above 0.")
    rows = [(np.asarray(ids)[-model.config.max_position_embeddings - 1 :], scored) for ids, scored in rows]
    for ids, scored in rows:
        if not 0 < scored < len(ids):
            raise NeoError(
                f"{scored} tokens are to be scored after at least one other, and there is room for {len(ids)} in all: "
                f"the model has {model.config.max_position_embeddings} positions."
            )
    order = sorted(range(len(rows)), key=lambda i: -len(rows[i][0]))
    scores, done, total = {}, 0, sum(len(ids) for ids, _ in rows)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        scores |= zip(batch, batch_log_likelihoods(model, [rows[i] for i in batch]))
        done += sum(len(rows[i][0]) for i in batch)
        if progress:
            progress(done, total)
    return [scores[i] for i in range(len(rows))]


def batch_log_likelihoods(model: Model, rows: Sequence[Row]) -> list[Score]:
    """Return the `log_likelihoods` of rows that fit the model, from one forward pass.

    Shorter rows are padded at the end. No token sees a later one, so the padding changes nothing.
    """
    shape = len(rows), max(len(ids) for ids, _ in rows) - 1
    inputs, targets, scored = np.zeros(shape, int), np.zeros(shape, int), np.zeros(shape, bool)  # (B, T)
    for i, (ids, count) in enumerate(rows):
        last = len(ids) - 1
        inputs[i, :last], targets[i, :last] = ids[:-1], ids[1:]
        scored[i, last - count : last] = True
    hidden = inference.transformer(model.params, model.config, model.check_ids(inputs))[scored]  # (B, T, C) -> (N, C)
    log_probs, is_likeliest = token_log_probs(hidden, model.check_ids(targets)[scored], model.params)
    if np.isnan(log_probs).any():
        raise NeoError("the model's scores are NaN: its weights are damaged, or its training has diverged.")
    ends = np.cumsum([count for _, count in rows])[:-1]
    parts = zip(np.split(log_probs, ends), np.split(is_likeliest, ends))
    return [(float(nats.sum()), bool(likeliest.all())) for nats, likeliest in parts]


def begin_token(model: Model) -> int | None:
    """Return the id that a text begins with: the tokenizer's bos or eos token, else the config's; None if the config has none.

    lm-evaluation-harness asks the tokenizer first too. An id outside the vocabulary is passed over.
    """
    config, tokenizer = model.config, model.tokenizer
    ids = [config.bos_token_id, *config.eos_token_ids]
    if tokenizer and (config.bos_token_id, config.eos_token_id) != (None, None):
        ids = [tokenizer.bos_token_id, tokenizer.eos_token_id, *ids]
    return next((id for id in ids if id is not None and id < config.vocab_size), None)


def encode(model: Model, text: str) -> list[int]:
    """Return the token ids of a text. A tokenizer that begins each text with a bos token does not repeat it."""
    tokenizer, begin = model_tokenizer(model), begin_token(model)
    has_begin = begin in tokenizer.id_to_token and text.startswith(tokenizer.decode([begin]))
    return tokenizer.encode(text, add_special_tokens=not has_begin)


def continuation_row(model: Model, context: str, continuation: str) -> Row:
    """Return (ids, scored) for a context and its continuation, split as in lm-evaluation-harness.

    White space at the end of the context moves to the continuation (GPT-2's tokens begin with their space). The ids are those
    of the context, of which there are n, and then those of the whole text without its first n, even if a token of the whole
    text lies across the end of the context. An empty context becomes the `begin_token`, unless the continuation begins with it.
    """
    bare = context.rstrip()
    continuation = context[len(bare) :] + continuation
    if context:
        first = encode(model, bare)
        rest = encode(model, bare + continuation)[len(first) :]
    else:
        first, rest = [], model_tokenizer(model).encode(continuation, add_special_tokens=False)
    if not first:
        begin = begin_token(model)
        if begin is None:
            raise NeoError(f"{continuation!r:.40} has no context, and the model has no bos_token_id to begin with.")
        first, rest = [begin], rest[1:] if rest[:1] == [begin] else rest
    if not rest:
        raise NeoError(f"{continuation!r:.40} after {context[-40:]!r} adds no token of its own that could be scored.")
    return [*first, *rest], len(rest)


def model_tokenizer(model: Model) -> Tokenizer:
    """Return the tokenizer; raises NeoError if the model has none."""
    if model.tokenizer is None:
        raise NeoError("this model has no tokenizer, and evaluating texts needs one: load it with tokenizer=FOLDER.")
    return model.tokenizer
