"""Processing logits and drawing tokens: errors, and frequencies against probabilities by chi-square."""

from functools import partial
from math import exp, inf

import numpy as np
import pytest

from neo_np import NeoError
from neo_np.generate import logits_processors
from neo_np.generate.logits_processors import make_logits_processors
from neo_np.generate.options import Options
from neo_np.generate.sampling import draw_without_replacement, process_logits, sample

# Chi-square values that a random statistic exceeds once in a thousand times, by degrees of freedom.
CHI_SQUARE_0_999 = {2: 13.816, 3: 16.266, 4: 18.467, 5: 20.515, 11: 31.264}


def kept(logits):
    """Return the set of ids that are not masked."""
    return {i for i, logit in enumerate(logits.tolist()) if logit > -inf}


def probabilities_of(logits):
    weights = [exp(logit) for logit in logits.tolist()]
    return [weight / sum(weights) for weight in weights]


def test_process_logits_every_token_masked_raises():
    processors = make_logits_processors(Options(bad_words_ids=[[id] for id in range(4)]), [0], 0, 99)
    with pytest.raises(NeoError, match="forbid every token"):
        process_logits(np.zeros(4, np.float32), [0], processors)


@pytest.mark.parametrize("logit", [np.nan, inf])
def test_process_logits_infinite_or_nan_raises(logit):
    with pytest.raises(NeoError, match="infinite or not numbers"):
        process_logits(np.array([0, logit], np.float32), [0], [])


def test_process_logits_temperature_too_small_for_float32_raises():
    processors = make_logits_processors(Options(do_sample=True, temperature=1e-40, top_k=0), [0], 0, 99)
    with pytest.raises(NeoError, match="temperature"):
        process_logits(np.array([1, 2], np.float32), [0], processors)


# the draw

LOGITS = np.array([1.0, -1.5, -inf, 0.2, 2.0, 0.9, -inf], np.float32)


def chi_square(counts, probabilities):
    """Return the chi-square statistic of counts, given the probabilities."""
    expected = sum(counts) * np.array(probabilities)
    return (np.square(counts - expected) / expected).sum()


def test_sample_greedy_takes_the_most_likely():
    assert sample(LOGITS) == 4


@pytest.mark.parametrize(
    "processors", [[], [partial(logits_processors.temperature, value=0.5), partial(logits_processors.top_k, k=4)]]
)
def test_sample_many_draws_have_the_frequencies_of_the_probabilities(processors):
    logits = process_logits(LOGITS, [0], processors)
    rng, draws = np.random.default_rng(0), 20_000
    counts = np.bincount([sample(logits, rng) for _ in range(draws)], minlength=len(logits))
    possible = sorted(kept(logits))
    assert counts.sum() == counts[possible].sum()  # no masked token is ever drawn
    probabilities = np.array(probabilities_of(logits))[possible]
    assert chi_square(counts[possible], probabilities) < CHI_SQUARE_0_999[len(possible) - 1]


@pytest.mark.parametrize("number, token", [(0.0, 1), (np.nextafter(1, 0), 3)])
def test_sample_extreme_random_numbers_draw_no_masked_token(number, token):
    class Rng:
        def random(self):
            return number

    assert sample(np.array([-inf, 0, -inf, 0, -inf], np.float32), Rng()) == token


def test_draw_without_replacement_has_the_frequencies_of_draws_in_turn():
    logits = np.array([0.0, 1.0, -0.5, -inf, 0.5], np.float32)
    p, possible = probabilities_of(logits), [0, 1, 2, 4]
    rng = np.random.default_rng(1)
    draws = [tuple(draw_without_replacement(logits, 2, rng).tolist()) for _ in range(20_000)]
    first = [sum(draw[0] == i for draw in draws) for i in possible]
    assert chi_square(first, [p[i] for i in possible]) < CHI_SQUARE_0_999[3]
    pairs = [(i, j) for i in possible for j in possible if i != j]
    counts = [draws.count(pair) for pair in pairs]
    assert sum(counts) == len(draws)  # never the same twice, never a masked one
    assert chi_square(counts, [p[i] * p[j] / (1 - p[i]) for i, j in pairs]) < CHI_SQUARE_0_999[11]


def test_draw_without_replacement_masked_tokens_come_last():
    drawn = draw_without_replacement(LOGITS, len(LOGITS), np.random.default_rng(0)).tolist()
    assert sorted(drawn) == list(range(len(LOGITS))) and set(drawn[-2:]) == {2, 6}
