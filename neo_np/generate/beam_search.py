"""Beam search: go on with the several best texts so far at once, and return the best that have ended.

Sutskever et al. 2014 (arXiv 1409.3215), section 3.2; the length penalty as in Wu et al. 2016 (arXiv 1609.08144),
section 7, in transformers' simpler form: sum of log probabilities / length**length_penalty, new tokens counted.
"""

from dataclasses import dataclass, replace

import numpy as np

from neo_np.errors import NeoError
from neo_np.generate import sampling
from neo_np.generate.loop import next_logits
from neo_np.generate.sequence import Sequence
from neo_np.generate.stop_strings import update_finished
from neo_np.gpt_neo.loss import log_softmax


@dataclass
class Beam:
    """One text in the race: its sequence, the sum of its log probabilities, and the number of the beam it grew from."""

    sequence: Sequence
    score: np.float32
    parent: int


def beam_search(model, start, options):
    """Return the num_return_sequences best continuations of one `Sequence`, the best first.

    Each step looks at the best tokens after all beams together, twice as many as there are beams (and more where several
    ids end a text), so that enough remain that go on. Those that end the text and are among the first num_beams become
    results; the best of the others are the beams of the next step.
    """
    n = options.num_beams
    beams, results = [Beam(start, np.float32(0), 0)], []
    cache = model.new_cache(1, min(start.longest, model.config.max_position_embeddings))
    while True:
        candidates = propose(model, beams, cache, options)
        length = len(candidates[0].sequence.new_ids)
        ended = [beam for beam in candidates[:n] if beam.sequence.finished]
        results += [(penalised(beam.score, length, options), beam.sequence) for beam in ended]
        results = sorted(results, key=lambda result: -result[0])[:n]
        running = [beam for beam in candidates if not beam.sequence.finished]
        beams = sorted(running, key=lambda beam: -beam.score)[:n]
        if not beams or is_decided(results, beams[0].score, length, start, options):
            break
        cache.reorder([beam.parent for beam in beams])
    if len(results) < options.num_return_sequences:
        raise NeoError(
            f"num_return_sequences is {options.num_return_sequences}, and the options leave {len(results)} texts alone."
        )
    return [sequence for _, sequence in results[: options.num_return_sequences]]


def propose(model, beams, cache, options):
    """Return the candidates of one step, the best first: beams longer by one token.

    With do_sample they are drawn from the distribution over all beams' tokens, without replacement, instead of taken
    from its top.
    """
    wanted = max(2, 1 + len(options.eos_ids)) * options.num_beams
    log_probs = log_softmax(next_logits(model, [beam.sequence.ids for beam in beams], cache))  # (beams, V)
    scores = [
        beam.score + sampling.apply_rules(row, beam.sequence.ids, beam.sequence.rules) for row, beam in zip(log_probs, beams)
    ]
    scores = np.concatenate(scores)  # (beams * V,)
    if options.do_sample:
        chosen = sampling.draw_without_replacement(scores, wanted, beams[0].sequence.rng)
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")]
    else:
        chosen = np.argsort(-scores, kind="stable")[:wanted]
    candidates = []
    for i in chosen[scores[chosen] > -np.inf].tolist():
        parent, token = divmod(i, model.config.vocab_size)
        sequence = beams[parent].sequence
        sequence = replace(sequence, ids=[*sequence.ids, token])
        update_finished(model.tokenizer, sequence, options)
        candidates.append(Beam(sequence, scores[i], parent))
    return candidates


def penalised(score, length, options):
    """Return the score of a text of so many new tokens, by which results are compared."""
    return float(score) / length**options.length_penalty


def is_decided(results, best_running, length, start, options):
    """Return whether the beams that still run can no longer change the results, as far as `early_stopping` looks.

    True: as soon as there are num_beams results. False: when the best beam, ended here, would not be among them. "never":
    when it would not even if it went on to the greatest length at no cost.
    """
    if len(results) < options.num_beams:
        return False
    if options.early_stopping is True:
        return True
    if options.early_stopping == "never" and options.length_penalty > 0:
        length = start.longest - start.prompt_length
    return penalised(best_running, length, options) <= results[-1][0]
