"""Beam search: continue the `num_beams` best texts so far at once, and return the best of those that have ended.

Sutskever et al. 2014 (arXiv 1409.3215), section 3.2. The length penalty is that of Wu et al. 2016 (arXiv 1609.08144),
section 7, in the simpler form of transformers: sum of log-probabilities / (number of new tokens)**length_penalty.

Course: notebook 11.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate.language_model import LanguageModel
from neo_np.generate.loop import new_cache, next_logits
from neo_np.generate.options import Options
from neo_np.generate.sampling import draw_without_replacement, process_logits
from neo_np.generate.sequence import GeneratedSequence
from neo_np.gpt_neo.cache import KVCache
from neo_np.gpt_neo.loss import log_softmax


class Beam(NamedTuple):
    """One of the texts that are compared.

    score: the sum of its log-probabilities. parent: which beam of the previous step it continues, as an index.
    """

    sequence: GeneratedSequence
    score: np.float32
    parent: int


def beam_search(
    model: LanguageModel,
    start: GeneratedSequence,
    options: Options,
    progress: Callable[[int, int], None] | None = None,
) -> list[GeneratedSequence]:
    """Return the num_return_sequences best continuations of a sequence, the best first.

    Each step extends every beam by one token and sorts all these candidates by score. A candidate that ends is a result if it
    is among the first num_beams. The best ones that do not end are the beams of the next step.
    progress: a function (length so far, greatest length), called after each step.
    """
    beams, cache = [Beam(start, np.float32(0), 0)], new_cache(model, [start])
    results: list[tuple[float, GeneratedSequence]] = []
    while True:
        continued = continuations(model, beams, cache, options)
        length = len(continued[0].sequence.new_ids)
        if progress:
            progress(length, start.max_length - len(start.prompt.ids))
        ended = [beam for beam in continued[: options.num_beams] if beam.sequence.finished]
        results += [(length_normalized(beam.score, length, options), beam.sequence) for beam in ended]
        results = sorted(results, key=lambda result: -result[0])[: options.num_beams]
        beams = [beam for beam in continued if not beam.sequence.finished][: options.num_beams]
        if not beams or is_decided(results, beams[0].score, length, start, options):
            break
        cache.reorder([beam.parent for beam in beams])  # row i becomes a copy of the row of beam i's parent
    if len(results) < options.num_return_sequences:
        raise NeoError(
            f"num_return_sequences is {options.num_return_sequences}, and the other options allow only {len(results)} texts."
        )
    return [sequence for _, sequence in results[: options.num_return_sequences]]


def continuations(model: LanguageModel, beams: list[Beam], cache: KVCache, options: Options) -> list[Beam]:
    """Return the best continuations of all beams by one token, the best first.

    With E end tokens, at most E candidates of each beam end. So num_beams (1 + E) candidates contain at least num_beams that do
    not end. (As in transformers, it is at least twice num_beams.) With do_sample they are drawn without replacement from the
    distribution over all candidates.
    """
    log_probs = log_softmax(next_logits(model, [beam.sequence.ids for beam in beams], cache))  # (beams, V)
    scores = np.concatenate(
        [
            beam.score + process_logits(row, beam.sequence.ids, beam.sequence.logits_processors)
            for beam, row in zip(beams, log_probs)
        ]
    )  # (beams * V,)
    count = max(2, 1 + len(options.eos_ids)) * options.num_beams
    rng = beams[0].sequence.rng  # all beams share it
    if rng is not None:
        chosen = draw_without_replacement(scores, count, rng)
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    else:
        chosen = np.argsort(-scores, kind="stable")[:count]
    chosen = chosen[scores[chosen] > -np.inf]
    parents, tokens = np.divmod(chosen, model.config.vocab_size)  # the index in scores is parent * V + token
    return [
        Beam(beams[parent].sequence.longer_by(token), score, parent)
        for parent, token, score in zip(parents.tolist(), tokens.tolist(), scores[chosen])
    ]


def length_normalized(score: np.float32, length: int, options: Options) -> float:
    """Return score / length**length_penalty, by which results of different length are compared."""
    return float(score) / length**options.length_penalty


def is_decided(
    results: list[tuple[float, GeneratedSequence]],
    best_running: np.float32,
    length: int,
    start: GeneratedSequence,
    options: Options,
) -> bool:
    """Return whether the search is over, as early_stopping says.

    True: as soon as there are num_beams results. False: if the best running beam, ended at this length, would not be a result.
    "never": if it could not become a result at any length, even if each further token had the probability 1.
    """
    if len(results) < options.num_beams:
        return False
    if options.early_stopping is True:
        return True
    if options.early_stopping == "never" and options.length_penalty > 0:
        # The score is negative, so a greater length brings it closer to 0.
        length = start.max_length - len(start.prompt.ids)
    return length_normalized(best_running, length, options) <= results[-1][0]
