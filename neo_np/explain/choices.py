"""How each token was chosen: the logits processors one after the other, and the draw, replayed on the logits of the step."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.logits_processors import LogitsProcessor, apply_users_processor
from neo_np.gpt_neo.forward import softmax

MOST_LIKELY, SHOWN = 10, 12  # tokens in the panel: the likeliest of the model, and all tokens together


@dataclass(frozen=True, eq=False)
class Draw:
    """How the token was taken from the final distribution.

    Sampling: `uniform` is the random number from [0, 1), and [low, high) the interval of the token in the cumulative
    distribution. Greedy decoding: `margin` is how far its logit is above that of `runner_up`, after the processors.
    """

    uniform: float = np.nan
    low: float = np.nan
    high: float = np.nan
    margin: float = np.nan
    runner_up: int = -1


@dataclass(frozen=True, eq=False)
class Choice:
    """One choice. P columns: the model's own distribution, then after each logits processor. N tokens are shown.

    token: the token that follows. shown: (N,) ids; -1 if the vocabulary has fewer. probabilities: (P, N). kept: (P, N)
    whether a token can still be chosen. counts: (P,) tokens that can be chosen. masses: (P,) the probability that they had
    in the column before. rank, probability: of the token, in the model's own distribution. removed: whether a processor removed
    the token.
    """

    token: int
    shown: np.ndarray
    probabilities: np.ndarray
    kept: np.ndarray
    counts: np.ndarray
    masses: np.ndarray
    rank: int
    probability: float
    removed: bool
    draw: Draw


def column_names(processors: Sequence[LogitsProcessor], without_token: Sequence[int] = ()) -> list[str]:
    """Return the names of the P columns: "model", then each processor with its numbers, such as "top_k 50".

    without_token: the ids that have no token; the first processor removes them, if there are any.
    """
    names = [processor_name(processor) for processor in processors]
    return ["model", *(["ids without a token", *names[1:]] if without_token else names)]


def function_and_arguments(processor: LogitsProcessor) -> tuple[Callable, dict[str, Any]]:
    """Return the function of a logits processor, and the arguments that are fixed in it: `partial(f, k=5)` -> f, {"k": 5}."""
    return (processor.func, processor.keywords) if isinstance(processor, partial) else (processor, {})


def processor_name(processor: LogitsProcessor) -> str:
    """Return the name of a logits processor and the numbers that it was given."""
    function, arguments = function_and_arguments(processor)
    if function is apply_users_processor:
        return getattr(arguments["processor"], "__name__", "your processor")
    numbers = [str(value) for name, value in arguments.items() if name != "keep" and isinstance(value, int | float)]
    return " ".join([function.__name__, *numbers])


def replay(
    logits: np.ndarray,
    ids: Sequence[int],
    processors: Sequence[LogitsProcessor],
    token: int,
    rng: np.random.Generator | None = None,
    given: bool = False,
) -> Choice:
    """Return the `Choice` of a token from the logits (V,) that follow the ids.

    rng: the generator in the state before the draw; None if decoding was greedy. given: the token was not chosen but given.
    Raises NeoError if the replay leads to another token, because a processor of the user's gave another result this time.
    """
    stages = process_in_stages(logits, ids, processors)
    distributions = [softmax(stage) for stage in stages]
    draw = Draw() if given else replay_draw(stages[-1], token, rng)
    shown = shown_tokens(logits, distributions[-1], token)
    exists = shown >= 0
    before = [distributions[0], *distributions]
    return Choice(
        token=token,
        shown=shown,
        probabilities=np.array([np.where(exists, p[shown], 0) for p in distributions]),
        kept=np.array([exists & (stage[shown] > -np.inf) for stage in stages]),
        counts=np.array([(stage > -np.inf).sum() for stage in stages]),
        masses=np.array([p[stage > -np.inf].sum(dtype=float) for p, stage in zip(before, stages)]),
        rank=1 + int((logits > logits[token]).sum()),
        probability=float(distributions[0][token]),
        removed=bool(stages[-1][token] == -np.inf),
        draw=draw,
    )


def process_in_stages(logits: np.ndarray, ids: Sequence[int], processors: Sequence[LogitsProcessor]) -> list[np.ndarray]:
    """Return the logits before and after each processor: P arrays (V,)."""
    stages = [logits]
    with np.errstate(all="ignore"):  # as in `process_logits`
        for processor in processors:
            stages.append(processor(stages[-1], ids))
    return stages


def replay_draw(logits: np.ndarray, token: int, rng: np.random.Generator | None) -> Draw:
    """Return how a token was taken from the final logits: the steps of `neo_np/generate/sampling.py`, with what they saw."""
    if rng is None:
        chosen = int(logits.argmax())
        others = logits.copy()
        others[chosen] = -np.inf
        draw = Draw(margin=float(logits[chosen] - others.max()), runner_up=int(others.argmax()))
    else:
        cdf = np.cumsum(softmax(logits), dtype=float)
        cdf, uniform = cdf / cdf[-1], rng.random()
        chosen = int(np.searchsorted(cdf, uniform, side="right"))
        draw = Draw(uniform, float(cdf[chosen - 1]) if chosen else 0.0, float(cdf[chosen]))
    if chosen != token:
        raise NeoError(
            f"the replay of the choice gives token {chosen} and generation chose {token}: one of the functions in "
            "logits_processor gives another result for the same logits and ids, so its work cannot be shown."
        )
    return draw


def shown_tokens(logits: np.ndarray, final: np.ndarray, token: int) -> np.ndarray:
    """Return the ids (N,) to show: the model's likeliest, the token itself, then the likeliest after all processors.

    logits: the model's. final: the probabilities after all processors. A token with the probability 0 is not among the
    likeliest: there are many of them, and their order says nothing.
    """
    first, last = (np.argsort(-numbers, kind="stable")[:SHOWN].tolist() for numbers in (logits, final))
    ids = list(dict.fromkeys([*first[:MOST_LIKELY], token, *(id for id in last if final[id] > 0), *first]))[:SHOWN]
    return np.array(ids + [-1] * (SHOWN - len(ids)))
