"""Each rule against its definition, written as a slow loop, and the draws against the probabilities, by chi-square."""

from functools import partial
from itertools import pairwise
from math import exp, inf, log

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from neo_np import NeoError
from neo_np.generate import logits_processors, sampling
from neo_np.generate.options import Options
from neo_np.gpt_neo.forward import softmax

# Values that a random statistic exceeds once in a thousand times: the chi-square table's 0.999 column, by degrees of freedom.
CHI_SQUARE_0_999 = {2: 13.816, 3: 16.266, 4: 18.467, 5: 20.515, 11: 31.264}
NEAR = 1e-4  # sums this close to a threshold may fall on either side of it by rounding, and are left out

VOCABULARY = 8
ids_so_far = st.lists(st.integers(0, 3), min_size=1, max_size=12)  # of a few tokens, so that runs of them repeat
sizes = st.integers(1, 4) | st.just(14)
keeps = st.integers(1, 3)
shares = st.floats(0.01, 0.99)


@st.composite
def some_logits(draw):
    """Logits of a small vocabulary, often tied, some forbidden already by an earlier rule.

    Hypothesis draws the seed alone: numbers that it draws itself are too often all the same.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.integers(-8, 9, VOCABULARY) / 2
    forbidden = rng.random(VOCABULARY) < draw(st.sampled_from([0.0, 0.3]))
    forbidden[rng.integers(VOCABULARY)] = False
    return np.where(forbidden, -inf, logits).astype(np.float32)


def kept(logits):
    """Return the set of ids that are not forbidden."""
    return {i for i, logit in enumerate(logits.tolist()) if logit > -inf}


def probabilities_of(logits):
    weights = [exp(logit) for logit in logits.tolist()]
    return [weight / sum(weights) for weight in weights]


def only(logits, ids):
    """Return logits with all but these ids forbidden."""
    return np.array([logit if i in ids else -inf for i, logit in enumerate(logits.tolist())], np.float32)


def ranked(logits):
    """Return the ids, the likeliest first; of equal ones the later first."""
    return sorted(range(len(logits)), key=lambda i: (logits[i], i), reverse=True)


# rules that forbid or weigh single tokens


@given(some_logits(), ids_so_far, st.floats(0.1, 5))
def test_repetition_penalty_pushes_used_tokens_down_whatever_their_sign(logits, ids, penalty):
    expected = logits.copy()
    for id in set(ids):
        expected[id] = logits[id] * penalty if logits[id] < 0 else logits[id] / penalty
    np.testing.assert_allclose(logits_processors.repetition_penalty(logits, ids, penalty), expected, rtol=1e-6)


@given(some_logits(), ids_so_far, sizes)
def test_no_repeat_ngram_forbids_what_would_repeat_a_run(logits, ids, size):
    runs = [ids[i : i + size] for i in range(len(ids) - size + 1)]
    allowed = {id for id in range(VOCABULARY) if [*ids, id][-size:] not in runs}
    np.testing.assert_array_equal(logits_processors.no_repeat_ngram(logits, ids, size), only(logits, allowed))


@given(some_logits(), ids_so_far, st.data())
def test_bad_words_forbids_the_token_that_would_complete_one(logits, ids, data):
    begun = st.integers(0, len(ids) - 1).map(lambda start: ids[start:])
    words = st.builds(lambda start, last: [*start, last], begun | st.just([]) | ids_so_far, st.integers(0, VOCABULARY - 1))
    words = data.draw(st.lists(words, min_size=1, max_size=4))
    allowed = {id for id in range(VOCABULARY) if not any([*ids, id][-len(word) :] == word for word in words)}
    np.testing.assert_array_equal(logits_processors.bad_words(logits, ids, words), only(logits, allowed))


def test_a_bad_word_that_is_the_end_of_the_text_itself_is_passed_over():
    """As in transformers: else a text could never end."""
    logits = np.zeros(VOCABULARY, np.float32)
    rules = logits_processors.rules(Options(eos_token_id=[2, 3], bad_words_ids=[[2], [5], [1, 3]]), shortest=0)
    assert kept(sampling.apply_rules(logits, [1], rules)) == set(range(VOCABULARY)) - {5, 3}


@given(some_logits(), ids_so_far, st.integers(0, 14), st.lists(st.integers(0, VOCABULARY - 1), min_size=1))
def test_min_length_forbids_the_end_while_the_text_is_shorter(logits, ids, length, eos_ids):
    allowed = set(range(VOCABULARY)) - (set(eos_ids) if len(ids) < length else set())
    np.testing.assert_array_equal(logits_processors.min_length(logits, ids, length, eos_ids), only(logits, allowed))


# rules that shape the distribution


@given(some_logits(), st.floats(0.1, 10))
def test_temperature_scales_the_log_of_every_ratio_of_probabilities(logits, value):
    expected = [logit / value for logit in logits.tolist()]
    np.testing.assert_allclose(logits_processors.temperature(logits, [], value), expected, rtol=1e-6)


@given(some_logits(), st.integers(1, 10), keeps)
def test_top_k_keeps_the_tokens_with_fewer_than_k_better_ones(logits, k, keep):
    values = logits.tolist()
    allowed = {i for i in range(VOCABULARY) if sum(other > values[i] for other in values) < max(k, keep)}
    np.testing.assert_array_equal(logits_processors.top_k(logits, [], k, keep), only(logits, allowed))


@given(some_logits(), shares, keeps)
def test_top_p_keeps_the_likeliest_tokens_until_they_make_up_p(logits, p, keep):
    probabilities, allowed, better = probabilities_of(logits), set(), 0.0
    for rank, i in enumerate(ranked(logits)):
        assume(abs(better - p) > NEAR)
        if better < p or rank < keep:
            allowed.add(i)
        better += probabilities[i]
    np.testing.assert_array_equal(logits_processors.top_p(logits, [], p, keep), only(logits, allowed))


def test_top_p_counts_from_the_unlikely_end():
    """As transformers: of four equal tokens two make up 0.5, and the other two, which make up 1 - 0.5, go."""
    logits = np.zeros(4, np.float32)
    assert [len(kept(logits_processors.top_p(logits, [], p))) for p in (0.0, 0.2, 0.5, 0.51, 1.0)] == [1, 1, 2, 3, 4]


@example(np.zeros(VOCABULARY, np.float32), 1.0, 1)
@given(some_logits(), st.floats(0, 1), keeps)
def test_min_p_keeps_the_tokens_with_p_times_the_highest_probability(logits, p, keep):
    probabilities = probabilities_of(logits)
    assume(all(x == max(probabilities) or abs(x / max(probabilities) - p) > NEAR for x in probabilities))
    likely = {i for i in kept(logits) if probabilities[i] >= p * max(probabilities)}
    result = logits_processors.min_p(logits, [], p, keep)
    allowed = kept(result)
    np.testing.assert_array_equal(result, only(logits, allowed))
    assert likely <= allowed
    assert len(allowed) == max(len(likely), min(keep, len(kept(logits))))
    assert all(logits[i] >= logits[j] for i in allowed for j in kept(logits) - allowed)


@given(some_logits(), shares, keeps)
def test_typical_p_keeps_the_tokens_of_nearly_expected_surprise_until_they_make_up_p(logits, p, keep):
    probabilities = probabilities_of(logits)
    surprise = [-log(x) if x > 0 else inf for x in probabilities]
    expected = sum(x * s for x, s in zip(probabilities, surprise) if x > 0)
    distance = [abs(s - expected) for s in surprise]
    order = sorted(range(VOCABULARY), key=lambda i: distance[i])
    assume(all(logits[i] == logits[j] or distance[j] - distance[i] > NEAR for i, j in pairwise(order)))
    allowed, mass, last = set(order[:keep]), 0.0, 0.0
    for i in order:
        assume(abs(mass - p) > NEAR)
        if mass < p:
            last = distance[i]
        mass += probabilities[i]
    allowed |= {i for i in range(VOCABULARY) if distance[i] <= last}  # those that tie with the last one stay too
    np.testing.assert_array_equal(logits_processors.typical_p(logits, [], p, keep), only(logits, allowed))


def test_typical_p_can_forbid_the_likeliest_token():
    """Probability 0.4 is a surprise of 0.92 nats and 0.15 one of 1.90; 1.50 is expected, and the four are nearer to it."""
    logits = np.log(np.array([0.4, 0.15, 0.15, 0.15, 0.15], np.float32))
    assert kept(logits_processors.typical_p(logits, [], 0.3)) == {1, 2, 3, 4}


# what holds for every rule

EVERY_RULE = {
    "repetition_penalty": partial(logits_processors.repetition_penalty, penalty=np.float64(1.3)),
    "no_repeat_ngram": partial(logits_processors.no_repeat_ngram, size=1),
    "bad_words": partial(logits_processors.bad_words, bad_words_ids=[[2], [1, 3]]),
    "min_length": partial(logits_processors.min_length, length=5, eos_ids=[0]),
    "temperature": partial(logits_processors.temperature, value=np.float64(0.7)),
    "top_k": partial(logits_processors.top_k, k=3),
    "top_p": partial(logits_processors.top_p, p=np.float64(0.8)),
    "min_p": partial(logits_processors.min_p, p=np.float64(0.1)),
    "typical_p": partial(logits_processors.typical_p, p=np.float64(0.8)),
}


@pytest.mark.parametrize("name", EVERY_RULE)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_rule_leaves_its_input_alone_and_keeps_the_precision(name, dtype):
    """Also with values from np.linspace, which are float64 and would widen float32."""
    logits = np.linspace(-2, 3, VOCABULARY).astype(dtype)
    before, ids = logits.copy(), [1, 4]
    changed = EVERY_RULE[name](logits, ids)
    assert changed.dtype == dtype and changed.shape == logits.shape
    assert not np.array_equal(changed, before)
    np.testing.assert_array_equal(logits, before)
    assert ids == [1, 4]


options_of_rules = st.fixed_dictionaries(
    {"do_sample": st.booleans(), "num_beams": st.sampled_from([1, 3]), "eos_token_id": st.sampled_from([None, 0, [0, 5]])},
    optional={
        "repetition_penalty": st.floats(0.5, 2),
        "no_repeat_ngram_size": st.integers(1, 3),
        "bad_words_ids": st.lists(st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=3), max_size=3),
        "temperature": st.floats(0.2, 3),
        "top_k": st.integers(0, VOCABULARY),
        "top_p": st.floats(0, 1),
        "min_p": st.floats(0, 1),
        "typical_p": shares,
    },
)


@settings(max_examples=300)
@given(some_logits(), ids_so_far, options_of_rules, st.integers(0, 14))
def test_rules_apply_in_the_order_of_transformers(logits, ids, given_options, shortest):
    """The order of `_get_logits_processor` in transformers' generation/utils.py, a user's own rule before the sampling ones."""
    options = Options(**given_options, logits_processor=[lambda logits, ids: logits + np.float32(len(ids)) * (logits > 0)])
    eos_ids = options.eos_ids
    expected = logits
    if options.repetition_penalty != 1:
        expected = logits_processors.repetition_penalty(expected, ids, options.repetition_penalty)
    if options.no_repeat_ngram_size:
        expected = logits_processors.no_repeat_ngram(expected, ids, options.no_repeat_ngram_size)
    if options.bad_words_ids:
        words = [word for word in options.bad_words_ids if word not in [[id] for id in eos_ids]]
        expected = logits_processors.bad_words(expected, ids, words)
    expected = logits_processors.min_length(expected, ids, shortest, eos_ids)
    expected = options.logits_processor[0](expected, ids)
    assume(expected.max() > -inf)
    if options.do_sample:
        keep = max(1, len(eos_ids)) + 1 if options.num_beams > 1 else 1  # beams need one that goes on beside each that ends
        expected = expected / np.float32(options.temperature)
        if options.top_k:
            expected = logits_processors.top_k(expected, ids, options.top_k, keep)
        if options.top_p < 1:
            expected = logits_processors.top_p(expected, ids, options.top_p, keep)
        if options.min_p is not None:
            expected = logits_processors.min_p(expected, ids, options.min_p, keep)
        if options.typical_p < 1:
            expected = logits_processors.typical_p(expected, ids, options.typical_p, keep)
    found = sampling.apply_rules(logits, ids, logits_processors.rules(options, shortest))
    np.testing.assert_array_equal(found, expected)
    assert softmax(found).sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("eos_token_id, fewest", [(None, 2), (0, 2), ([0, 5], 3)])
@pytest.mark.parametrize("rule", [{"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}, {"typical_p": 0.01}])
def test_sampling_beams_keep_a_token_that_goes_on_beside_all_that_end(rule, eos_token_id, fewest):
    """min_tokens_to_keep of transformers: two at least, also where no token ends the text."""
    logits = np.arange(VOCABULARY, dtype=np.float32)
    for num_beams, number in ((3, fewest), (1, 1)):
        options = Options(do_sample=True, num_beams=num_beams, eos_token_id=eos_token_id, **rule)
        assert len(kept(sampling.apply_rules(logits, [1], logits_processors.rules(options, shortest=0)))) == number


def test_ids_without_a_token_are_forbidden():
    rules = logits_processors.rules(Options(), shortest=0, without_token=[3, 6, 7])
    assert kept(sampling.apply_rules(np.zeros(VOCABULARY, np.float32), [0], rules)) == {0, 1, 2, 4, 5}


def test_a_users_rule_gets_the_logits_and_the_ids_as_its_own_copies():
    seen = []

    def spoil(logits, ids):
        seen.append((logits.copy(), list(ids)))
        logits[:] = 0
        ids.clear()
        return logits

    logits, ids = np.arange(4, dtype=np.float32), [2, 1]
    rules = logits_processors.rules(Options(logits_processor=[spoil]), shortest=0)
    np.testing.assert_array_equal(sampling.apply_rules(logits, ids, rules), np.zeros(4))
    np.testing.assert_array_equal(seen[0][0], np.arange(4))
    assert seen[0][1] == [2, 1]
    assert logits.tolist() == [0, 1, 2, 3] and ids == [2, 1]


@pytest.mark.parametrize("wrong", [None, 5, [1.0] * 4, np.zeros(3), np.zeros((1, 4))])
def test_a_users_rule_that_returns_no_logits_is_named(wrong):
    def careless(logits, ids):
        return wrong

    rules = logits_processors.rules(Options(logits_processor=[careless]), shortest=0)
    with pytest.raises(NeoError, match=r"careless must return the logits, an array of shape \(4,\); got"):
        sampling.apply_rules(np.zeros(4, np.float32), [0], rules)


def test_forbidding_every_token_is_an_error():
    rules = logits_processors.rules(Options(bad_words_ids=[[id] for id in range(4)]), shortest=0)
    with pytest.raises(NeoError, match="forbid every token"):
        sampling.apply_rules(np.zeros(4, np.float32), [0], rules)


@pytest.mark.parametrize("logit", [np.nan, inf])
def test_logits_that_are_infinite_or_no_numbers_are_an_error(logit):
    with pytest.raises(NeoError, match="infinite or no numbers"):
        sampling.apply_rules(np.array([0, logit], np.float32), [0], [])


def test_a_temperature_too_small_for_float32_is_an_error():
    rules = logits_processors.rules(Options(do_sample=True, temperature=1e-40, top_k=0), shortest=0)
    with pytest.raises(NeoError, match="temperature"):
        sampling.apply_rules(np.array([1, 2], np.float32), [0], rules)


# the draw

LOGITS = np.array([1.0, -1.5, -inf, 0.2, 2.0, 0.9, -inf], np.float32)


def chi_square(counts, probabilities):
    """Return the statistic: how far counts are from what probabilities let us expect."""
    expected = sum(counts) * np.array(probabilities)
    return (np.square(counts - expected) / expected).sum()


def test_greedy_choice_takes_the_likeliest():
    assert sampling.choose(LOGITS) == 4


@pytest.mark.parametrize(
    "rules", [[], [partial(logits_processors.temperature, value=0.5), partial(logits_processors.top_k, k=4)]]
)
def test_draws_have_the_frequencies_of_the_probabilities(rules):
    logits = sampling.apply_rules(LOGITS, [0], rules)
    rng, draws = np.random.default_rng(0), 20_000
    counts = np.bincount([sampling.choose(logits, rng) for _ in range(draws)], minlength=len(logits))
    possible = sorted(kept(logits))
    assert counts.sum() == counts[possible].sum()  # no forbidden token is ever drawn
    probabilities = np.array(probabilities_of(logits))[possible]
    assert chi_square(counts[possible], probabilities) < CHI_SQUARE_0_999[len(possible) - 1]


@pytest.mark.parametrize("number, token", [(0.0, 1), (np.nextafter(1, 0), 3)])
def test_the_ends_of_the_random_numbers_draw_no_forbidden_token(number, token):
    class Rng:
        def random(self):
            return number

    assert sampling.choose(np.array([-inf, 0, -inf, 0, -inf], np.float32), Rng()) == token


def test_draws_without_replacement_have_the_frequencies_of_drawing_one_after_the_other():
    logits = np.array([0.0, 1.0, -0.5, -inf, 0.5], np.float32)
    p, possible = probabilities_of(logits), [0, 1, 2, 4]
    rng = np.random.default_rng(1)
    draws = [tuple(sampling.draw_without_replacement(logits, 2, rng).tolist()) for _ in range(20_000)]
    first = [sum(draw[0] == i for draw in draws) for i in possible]
    assert chi_square(first, [p[i] for i in possible]) < CHI_SQUARE_0_999[3]
    pairs = [(i, j) for i in possible for j in possible if i != j]
    counts = [draws.count(pair) for pair in pairs]
    assert sum(counts) == len(draws)  # never the same twice, never a forbidden one
    assert chi_square(counts, [p[i] * p[j] / (1 - p[i]) for i, j in pairs]) < CHI_SQUARE_0_999[11]


def test_forbidden_tokens_come_last_in_a_draw_without_replacement():
    drawn = sampling.draw_without_replacement(LOGITS, len(LOGITS), np.random.default_rng(0)).tolist()
    assert sorted(drawn) == list(range(len(LOGITS))) and set(drawn[-2:]) == {2, 6}
