"""likelihood."""

import numpy as np

from neo_np.errors import NeoError
from neo_np.gpt_neo.fast import inference
from neo_np.gpt_neo.loss import token_log_probs

BATCH_SIZE = 8


def log_likelihoods(model, rows, batch_size=BATCH_SIZE, progress=None):
    """Return for each row (log-likelihood, greedy): a float in nats, and whether each scored token is the likeliest one.

    rows: list of (ids, scored): token ids, of which the last `scored` are predicted, each from all that stand before it.
        A row longer than the model's positions + 1 loses its beginning (the last token is predicted, never looked at).
    progress: f(tokens done, tokens in all), called after each batch. Rows of like length share a batch; the results
        are the same for every batch_size, but for rounding.
    Raises NeoError where a row has no room for what is scored, and where the model gives NaN.
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
    results, done, total = [None] * len(rows), 0, sum(len(ids) for ids, _ in rows)
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        for i, result in zip(batch, batch_log_likelihoods(model, [rows[i] for i in batch])):
            results[i] = result
            done += len(rows[i][0])
        if progress:
            progress(done, total)
    return results


def batch_log_likelihoods(model, rows):
    """Return `log_likelihoods` of rows that fit the model, from one forward pass.

    Shorter rows are padded at the end: no token ever looks at one after it, so that padding changes nothing.
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
        raise NeoError("the model's scores are not numbers (NaN): its weights are damaged, or its training has diverged.")
    borders = np.cumsum([count for _, count in rows])[:-1]
    rows = zip(np.split(log_probs, borders), np.split(is_likeliest, borders))
    return [(float(of_row.sum()), bool(likeliest.all())) for of_row, likeliest in rows]


def begin_token(model):
    """Return the id that stands before a text as its only context: bos_token_id, else the first eos id, else None."""
    ids = [model.config.bos_token_id, *model.config.eos_token_ids]
    return next((id for id in ids if id is not None), None)


def continuation_row(model, context, continuation):
    """Return (ids, scored) for the tokens of a text that continues another, as lm-evaluation-harness cuts them.

    White space at the end of the context goes over to the continuation (GPT-2's tokens begin with their space); both
    are encoded as one text, and what is longer than the context alone is scored. An empty context becomes the
    `begin_token`, unless the continuation begins with it.
    """
    encode = model_tokenizer(model).encode
    bare = context.rstrip()
    whole, first = encode(context + continuation), len(encode(bare))
    begin = begin_token(model)
    if first == 0 and whole[:1] != [begin]:
        if begin is None:
            raise NeoError(f"{continuation!r:.40} has no context, and the model has no bos_token_id to begin with.")
        whole = [begin, *whole]
    first = first or 1
    if len(whole) <= first:
        raise NeoError(f"{continuation!r:.40} after {context[-40:]!r} adds no token of its own that could be scored.")
    return whole, len(whole) - first


def model_tokenizer(model):
    """Return the tokenizer; raises NeoError where the model has none."""
    if model.tokenizer is None:
        raise NeoError("this model has no tokenizer, and evaluating texts needs it: load it with tokenizer=FOLDER.")
    return model.tokenizer
