"""What the attention heads of a model look at, measured on random tokens that are repeated once.

Random tokens have no meaning, so a head can only use the places of tokens and the repetition. Olsson et al. 2022,
"In-context Learning and Induction Heads" (arXiv 2209.11895), measure previous-token heads and induction heads in this way.

Course: notebook 15.
"""

from collections.abc import Callable

import numpy as np

from neo_np.errors import NeoError, warn
from neo_np.evaluate.likelihood import begin_token
from neo_np.gpt_neo.fast import inference
from neo_np.gpt_neo.loss import token_log_probs
from neo_np.model import Model

SEQUENCES, LENGTH = 20, 64
SHORTEST = 2  # random tokens: with only one, the token after its first occurrence is the token itself


def previous_token_score(weights: np.ndarray) -> np.ndarray:
    """Return the mean weight that a token gives to the token before it: (H, S, S) -> (H,)."""
    return np.diagonal(weights, -1, axis1=1, axis2=2).mean(axis=-1)


def induction_score(weights: np.ndarray, length: int) -> np.ndarray:
    """Return the mean weight that a token of the second copy gives to the token after its first occurrence: (H, S, S) -> (H,).

    The copies have `length` tokens, so that token is length - 1 places before.
    """
    return np.diagonal(weights, 1 - length, axis1=1, axis2=2)[:, -length:].mean(axis=-1)


def first_token_attention(weights: np.ndarray) -> np.ndarray:
    """Return the mean weight that later tokens give to the first token of the sequence: (H, S, S) -> (H,)."""
    return weights[:, 1:, 0].mean(axis=-1)


def distance_looked_back(weights: np.ndarray) -> np.ndarray:
    """Return the mean distance, in tokens, between a token and those it looks at: (H, S, S) -> (H,). 0 is the token itself."""
    places = np.arange(weights.shape[-1])
    distances = places[:, None] - places  # (S, S)
    return (weights * distances).sum(axis=-1)[:, 1:].mean(axis=-1)


def evaluate_heads(model: Model, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> dict:
    """Return the four scores of every head, and the loss of the first and the second copy of the random tokens.

    A sequence is `<|endoftext|>` (the `begin_token`, if there is one), 64 ids drawn uniformly from the ordinary tokens, and the
    same 64 ids again; there are 20 sequences. If the model has too few positions, the copies are shorter, with a warning. The
    scores are means over the sequences and over all tokens but the first, which sees only itself; the induction score is a mean
    over the tokens of the second copy.
    Returns a dict of sequences, length (of one copy), seed, first_copy_loss, second_copy_loss (mean nats per token), and heads:
    a list of dicts with layer, head, attention (global or local), previous_token, induction, first_token and distance.
    """
    begin, length, ids = begin_token(model), copy_length(model), ordinary_ids(model)
    rng = np.random.default_rng(seed)
    scores, losses = [], []
    for count in range(1, SEQUENCES + 1):
        copy = rng.choice(ids, length).tolist()
        sequence = np.array([*copy, *copy] if begin is None else [begin, *copy, *copy])
        scores.append([head_scores(weights, length) for weights in model.attentions(sequence)])
        losses.append(copy_losses(model, sequence, length))
        if progress:
            progress(count, SEQUENCES)
    first, second = np.mean(losses, axis=0)
    return {
        "sequences": SEQUENCES,
        "length": length,
        "seed": seed,
        "first_copy_loss": float(first),
        "second_copy_loss": float(second),
        "heads": table(model, np.mean(scores, axis=0)),
    }


def copy_length(model: Model) -> int:
    """Return the number of random tokens: 64, or as many as fit twice after the first token."""
    positions = model.config.max_position_embeddings
    length = min(LENGTH, (positions - 1) // 2)
    if length < SHORTEST:
        raise NeoError(f"the model has {positions} positions, and the shortest sequence has {1 + 2 * SHORTEST} tokens.")
    if length < LENGTH:
        warn(f"the model has only {positions} positions: a copy has {length} tokens, not {LENGTH}.")
    return length


def ordinary_ids(model: Model) -> np.ndarray:
    """Return the ids of the ordinary tokens: those that are in the vocabulary and not special."""
    size = model.config.vocab_size
    if model.tokenizer is None:
        special = {begin_token(model), *model.config.eos_token_ids}
        return np.array([id for id in range(size) if id not in special])
    special = set(model.tokenizer.special_tokens.values())
    return np.array([id for id in sorted(model.tokenizer.id_to_token) if id < size and id not in special])


def head_scores(weights: np.ndarray, length: int) -> np.ndarray:
    """Return the four scores of the heads of one layer: (H, S, S) -> (H, 4)."""
    scores = previous_token_score(weights), induction_score(weights, length)
    return np.stack([*scores, first_token_attention(weights), distance_looked_back(weights)], axis=1)


def copy_losses(model: Model, sequence: np.ndarray, length: int) -> tuple[float, float]:
    """Return the mean loss, in nats, of the first and of the second copy, which has `length` tokens: (S,) -> two numbers."""
    [hidden] = inference.transformer(model.params, model.config, sequence[None, :-1])  # (S - 1, C)
    log_probs, _ = token_log_probs(hidden, sequence[1:], model.params)
    return -log_probs[:-length].mean(), -log_probs[-length:].mean()


def table(model: Model, scores: np.ndarray) -> list[dict]:
    """Return the scores (layers, H, 4) as one dict for each head."""
    names = "previous_token", "induction", "first_token", "distance"
    return [
        {"layer": layer, "head": head, "attention": model.config.attention_layers[layer]}
        | {name: float(score) for name, score in zip(names, scores[layer, head])}
        for layer, head in np.ndindex(scores.shape[:2])
    ]
