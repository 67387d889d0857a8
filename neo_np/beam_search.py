"""Beam search: go on with the several best texts so far at once, and return the best that have ended.

Sutskever et al. 2014 (arXiv 1409.3215), section 3.2; the length penalty as in Wu et al. 2016 (arXiv 1609.08144),
section 7, in transformers' simpler form: sum of log probabilities / length**length_penalty, new tokens counted.
"""

from dataclasses import replace

import numpy as np

from neo_np import sampling
from neo_np.errors import NeoError
from neo_np.generate import next_logits, update_finished
from neo_np.layers import log_softmax


def beam_search(model, start, options):
    """Return the num_return_sequences best continuations of one `Sequence`, the best first.

    Each step looks at the best tokens after all beams together, twice as many as there are beams (and more where several
    ids end a text), so that enough remain that go on. Those that end the text and are among the first num_beams become
    results; the best of the others are the beams of the next step. With do_sample, candidates are drawn from the
    distribution over all beams' tokens, without replacement, instead of taken from its top.
    """
    n = options.num_beams
    candidates_wanted = max(2, 1 + len(options.eos_ids)) * n
    beams, beam_scores, results = [start], np.zeros(1, np.float32), []
    cache = model.new_cache(1, min(start.longest, model.config.max_position_embeddings))
    while True:
        log_probs = log_softmax(next_logits(model, [beam.ids for beam in beams], cache))  # (beams, V)
        scores = [sampling.apply_rules(row, beam.ids, beam.rules) for row, beam in zip(log_probs, beams)]
        totals = (np.array(scores, np.float32) + beam_scores[:, None]).ravel()  # (beams * V,)
        if options.do_sample:
            best = sampling.draw_without_replacement(totals, candidates_wanted, start.rng)
        else:
            best = np.argsort(-totals, kind="stable")[:candidates_wanted]
        best = best[totals[best] > -np.inf]
        candidates = [extend(model, beams, place, options) for place in best.tolist()]

        length = len(beams[0].ids) + 1 - start.prompt_length
        ended = [
            (score / length**options.length_penalty, sequence)
            for (sequence, _), score in zip(candidates[:n], totals[best])
            if sequence.finished
        ]
        if not (options.early_stopping is True and len(results) == n):
            results = sorted(results + ended, key=lambda result: -result[0])[:n]

        going_on = [i for i, (sequence, _) in enumerate(candidates) if not sequence.finished]
        going_on = sorted(going_on, key=lambda i: -totals[best[i]])[:n]
        if not going_on or is_decided(results, totals[best[going_on[0]]], length, start, options):
            break
        beams, beam_scores = [candidates[i][0] for i in going_on], totals[best[going_on]]
        cache.reorder([candidates[i][1] for i in going_on])
    if len(results) < options.num_return_sequences:
        raise NeoError(
            f"num_return_sequences is {options.num_return_sequences}, and the options leave {len(results)} texts alone."
        )
    return [sequence for _, sequence in results[: options.num_return_sequences]]


def extend(model, beams, place, options):
    """Return (the beam and token that a place in the flat scores stands for, as one sequence; the beam's number)."""
    number, token = divmod(place, model.config.vocab_size)
    sequence = replace(beams[number], ids=[*beams[number].ids, token])
    update_finished(model.tokenizer, sequence, options)
    return sequence, number


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
    return best_running / length**options.length_penalty <= results[-1][0]
