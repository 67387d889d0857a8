"""Each logits processor against its definition, written as a slow loop."""

from functools import partial
from itertools import pairwise
from math import exp, inf, log

import numpy as np
import pytest
from helpers import examples
from hypothesis import assume, example, given
from hypothesis import strategies as st

from neo_np import NeoError
from neo_np.generate import logits_processors
from neo_np.generate.logits_processors import make_logits_processors
from neo_np.generate.options import Options
from neo_np.generate.sampling import process_logits
from neo_np.gpt_neo.forward import softmax

NEAR = 1e-4  # sums this close to a threshold may fall on either side of it by rounding, and are left out

VOCABULARY = 8
ids_so_far = st.lists(st.integers(0, 3), min_size=1, max_size=12)  # of a few tokens, so that runs of them repeat
sizes = st.integers(1, 4) | st.just(14)
keeps = st.integers(1, 3)
shares = st.floats(0.01, 0.99)


@st.composite
def some_logits(draw):
    """Logits of a small vocabulary, often tied, some masked already by an earlier processor.

    Hypothesis draws only the seed: the numbers that it draws itself are too often all the same.
    """
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.integers(-8, 9, VOCABULARY) / 2
    forbidden = rng.random(VOCABULARY) < draw(st.sampled_from([0.0, 0.3]))
    forbidden[rng.integers(VOCABULARY)] = False
    return np.where(forbidden, -inf, logits).astype(np.float32)


def kept(logits):
    """Return the set of ids that are not masked."""
    return {i for i, logit in enumerate(logits.tolist()) if logit > -inf}


def probabilities_of(logits):
    weights = [exp(logit) for logit in logits.tolist()]
    return [weight / sum(weights) for weight in weights]


def only(logits, ids):
    """Return logits with all but these ids masked."""
    return np.array([logit if i in ids else -inf for i, logit in enumerate(logits.tolist())], np.float32)


def ranked(logits):
    """Return the ids, the most likely first; of equal ones the later first."""
    return sorted(range(len(logits)), key=lambda i: (logits[i], i), reverse=True)


# processors that mask or change single tokens


@given(some_logits(), ids_so_far, st.floats(0.1, 5))
def test_repetition_penalty_any_sign_equals_definition(logits, ids, penalty):
    expected = logits.copy()
    for id in set(ids):
        expected[id] = logits[id] * penalty if logits[id] < 0 else logits[id] / penalty
    np.testing.assert_allclose(logits_processors.repetition_penalty(logits, ids, penalty), expected, rtol=1e-6)


@given(some_logits(), ids_so_far, sizes)
def test_no_repeat_ngram_masks_what_would_repeat_a_run(logits, ids, size):
    runs = [ids[i : i + size] for i in range(len(ids) - size + 1)]
    allowed = {id for id in range(VOCABULARY) if [*ids, id][-size:] not in runs}
    np.testing.assert_array_equal(logits_processors.no_repeat_ngram(logits, ids, size), only(logits, allowed))


@given(some_logits(), ids_so_far, st.data())
def test_bad_words_masks_the_token_that_would_complete_one(logits, ids, data):
    begun = st.integers(0, len(ids) - 1).map(lambda start: ids[start:])
    words = st.builds(lambda start, last: [*start, last], begun | st.just([]) | ids_so_far, st.integers(0, VOCABULARY - 1))
    words = data.draw(st.lists(words, min_size=1, max_size=4))
    allowed = {id for id in range(VOCABULARY) if not any([*ids, id][-len(word) :] == word for word in words)}
    np.testing.assert_array_equal(logits_processors.bad_words(logits, ids, words), only(logits, allowed))


def test_bad_words_end_token_by_itself_stays_allowed():
    """As in transformers: otherwise a text could never end."""
    logits = np.zeros(VOCABULARY, np.float32)
    processors = make_logits_processors(Options(eos_token_id=[2, 3], bad_words_ids=[[2], [5], [1, 3]]), [0], 0, 99)
    assert kept(process_logits(logits, [1], processors)) == set(range(VOCABULARY)) - {5, 3}


@given(some_logits(), ids_so_far, st.integers(0, 14), st.lists(st.integers(0, VOCABULARY - 1), min_size=1))
def test_min_length_shorter_text_masks_the_end_tokens(logits, ids, length, eos_ids):
    allowed = set(range(VOCABULARY)) - (set(eos_ids) if len(ids) < length else set())
    np.testing.assert_array_equal(logits_processors.min_length(logits, ids, length, eos_ids), only(logits, allowed))


@given(some_logits(), ids_so_far, st.data())
def test_sequence_bias_is_added_to_the_token_that_would_complete_a_sequence(logits, ids, data):
    prefixes = st.integers(0, len(ids) - 1).map(lambda start: ids[start:]) | st.just([]) | ids_so_far
    sequences = st.builds(lambda start, last: (*start, last), prefixes, st.integers(0, VOCABULARY - 1))
    biases = data.draw(st.dictionaries(sequences, st.sampled_from([-2.0, 0.5, 1.0, -inf]), min_size=1, max_size=4))
    expected = logits.copy()
    for sequence, bias in biases.items():
        if [*ids, sequence[-1]][-len(sequence) :] == list(sequence):
            expected[sequence[-1]] += np.float32(bias)
    np.testing.assert_allclose(logits_processors.sequence_bias(logits, ids, list(biases.items())), expected, rtol=1e-6)


@given(some_logits(), ids_so_far, ids_so_far, st.floats(0.1, 5))
def test_encoder_repetition_penalty_is_the_inverse_penalty_on_the_prompt(logits, ids, prompt, penalty):
    expected = logits.copy()
    for id in set(prompt):
        expected[id] = logits[id] / penalty if logits[id] < 0 else logits[id] * penalty
    found = logits_processors.encoder_repetition_penalty(logits, ids, penalty, prompt)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@given(some_logits(), ids_so_far, ids_so_far, st.integers(1, 4))
def test_no_repeat_ngram_of_the_prompt_masks_what_would_repeat_a_run_of_it(logits, prompt, new, size):
    ids = prompt + new
    runs = [prompt[i : i + size] for i in range(len(prompt) - size + 1)]
    allowed = {id for id in range(VOCABULARY) if [*ids, id][-size:] not in runs}
    np.testing.assert_array_equal(logits_processors.no_repeat_ngram(logits, ids, size, prompt), only(logits, allowed))


@given(some_logits(), ids_so_far, st.integers(1, 14), st.sets(st.integers(0, VOCABULARY - 1), min_size=1))
def test_forced_tokens_are_the_only_ones_at_their_length(logits, ids, length, tokens):
    found = logits_processors.forced_tokens(logits, ids, length, sorted(tokens))
    expected = [0.0 if id in tokens else -inf for id in range(VOCABULARY)] if len(ids) == length else logits
    np.testing.assert_array_equal(found, expected)


@given(some_logits(), ids_so_far, st.integers(-2, 12), st.floats(0.5, 2), st.lists(st.integers(0, VOCABULARY - 1), min_size=1))
def test_exponential_decay_raises_end_tokens_more_with_each_token(logits, ids, start, factor, eos_ids):
    expected = logits.astype(float)
    for id in set(eos_ids):
        if len(ids) > start and expected[id] > -inf:
            expected[id] += abs(expected[id]) * (factor ** (len(ids) - start) - 1)
    found = logits_processors.exponential_decay_length_penalty(logits, ids, start, factor, eos_ids)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)  # the difference of two float32 numbers up to 4


@given(some_logits(), ids_so_far, st.sets(st.integers(0, VOCABULARY - 1)), st.none() | st.integers(1, 12))
def test_suppress_tokens_masks_them_always_or_at_one_length(logits, ids, tokens, at_length):
    allowed = set(range(VOCABULARY)) - (tokens if at_length in (None, len(ids)) else set())
    found = logits_processors.suppress_tokens(logits, ids, sorted(tokens), at_length)
    np.testing.assert_array_equal(found, only(logits, allowed))


@pytest.mark.parametrize("prompt, forced_bos, first_free", [([5], None, 1), ([5], 3, 2), ([5, 6], 3, 2), ([5, 6], None, 2)])
def test_begin_suppress_tokens_mask_the_first_token_that_is_not_forced(prompt, forced_bos, first_free):
    options = Options(begin_suppress_tokens=[4], forced_bos_token_id=forced_bos)
    processors = make_logits_processors(options, prompt, 0, 99)
    for length in range(len(prompt), 5):
        scores = process_logits(np.zeros(VOCABULARY, np.float32), [5] * length, processors)
        assert (scores[4] == -inf) == (length == first_free or (forced_bos is not None and length == 1))


# processors that shape the distribution


@given(some_logits(), st.floats(0.1, 10))
def test_temperature_divides_the_logits(logits, value):
    expected = [logit / value for logit in logits.tolist()]
    np.testing.assert_allclose(logits_processors.temperature(logits, [], value), expected, rtol=1e-6)


@given(some_logits(), st.integers(1, 10), keeps)
def test_top_k_keeps_tokens_with_fewer_than_k_better_ones(logits, k, keep):
    values = logits.tolist()
    allowed = {i for i in range(VOCABULARY) if sum(other > values[i] for other in values) < max(k, keep)}
    np.testing.assert_array_equal(logits_processors.top_k(logits, [], k, keep), only(logits, allowed))


@given(some_logits(), shares, keeps)
def test_top_p_keeps_most_likely_tokens_until_they_reach_p(logits, p, keep):
    probabilities, allowed, better = probabilities_of(logits), set(), 0.0
    for rank, i in enumerate(ranked(logits)):
        assume(abs(better - p) > NEAR)
        if better < p or rank < keep:
            allowed.add(i)
        better += probabilities[i]
    np.testing.assert_array_equal(logits_processors.top_p(logits, [], p, keep), only(logits, allowed))


def test_top_p_equal_tokens_are_counted_from_the_unlikely_end():
    """As transformers: of four equal tokens two make up 0.5, and the other two, which make up 1 - 0.5, go."""
    logits = np.zeros(4, np.float32)
    assert [len(kept(logits_processors.top_p(logits, [], p))) for p in (0.0, 0.2, 0.5, 0.51, 1.0)] == [1, 1, 2, 3, 4]


@example(np.zeros(VOCABULARY, np.float32), 1.0, 1)
@given(some_logits(), st.floats(0, 1), keeps)
def test_min_p_keeps_tokens_with_p_times_the_highest_probability(logits, p, keep):
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
def test_typical_p_keeps_tokens_of_expected_surprise_until_they_reach_p(logits, p, keep):
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
    allowed |= {i for i in range(VOCABULARY) if distance[i] <= last}  # those equal to the last one stay too
    np.testing.assert_array_equal(logits_processors.typical_p(logits, [], p, keep), only(logits, allowed))


def test_typical_p_can_mask_the_most_likely_token():
    """Probability 0.4 is a surprise of 0.92 nats and 0.15 one of 1.90; 1.50 is expected, and the four are nearer to it."""
    logits = np.log(np.array([0.4, 0.15, 0.15, 0.15, 0.15], np.float32))
    assert kept(logits_processors.typical_p(logits, [], 0.3)) == {1, 2, 3, 4}


def entropy_of(probabilities):
    return -sum(p * log(p) for p in probabilities if p > 0)


@given(some_logits(), shares)
def test_top_h_keeps_most_likely_tokens_up_to_a_share_of_the_entropy(logits, h):
    probabilities = probabilities_of(logits)
    order = sorted(range(VOCABULARY), key=lambda i: -probabilities[i])
    terms = [entropy_of([probabilities[i]]) for i in order]
    limit = h * sum(terms)
    assume(all(abs(sum(terms[: n + 1]) - limit) > NEAR for n in range(VOCABULARY)))
    count = max(1, sum(sum(terms[: n + 1]) <= limit for n in range(VOCABULARY)))
    found = kept(logits_processors.top_h(logits, [], h))
    assert sorted(logits[i] for i in found) == sorted(logits[i] for i in order[:count] if logits[i] > -inf)


def test_top_h_looks_at_the_100_most_likely_tokens():
    logits = np.linspace(0, -0.2, 300, dtype=np.float32)
    assert kept(logits_processors.top_h(logits, [], 1 - 1e-6)) <= set(range(100))


@given(some_logits(), shares, keeps)
def test_epsilon_cutoff_keeps_tokens_with_this_probability(logits, epsilon, keep):
    probabilities, values = probabilities_of(logits), logits.tolist()
    assume(all(abs(p - epsilon) > NEAR for p in probabilities))
    best = sorted(values)[-keep]
    allowed = {i for i in range(VOCABULARY) if probabilities[i] >= epsilon or values[i] >= best}
    np.testing.assert_array_equal(logits_processors.epsilon_cutoff(logits, [], epsilon, keep), only(logits, allowed))


@given(some_logits(), shares, keeps)
def test_eta_cutoff_lowers_the_limit_if_the_entropy_is_high(logits, epsilon, keep):
    probabilities, values = probabilities_of(logits), logits.tolist()
    eta = min(epsilon, epsilon**0.5 * exp(-entropy_of(probabilities)))
    assume(all(abs(p - eta) > NEAR for p in probabilities))
    best = sorted(values)[-keep]
    allowed = {i for i in range(VOCABULARY) if probabilities[i] >= eta or values[i] >= best}
    np.testing.assert_array_equal(logits_processors.eta_cutoff(logits, [], epsilon, keep), only(logits, allowed))


@given(some_logits())
def test_renormalize_gives_log_probabilities(logits):
    np.testing.assert_allclose(np.exp(logits_processors.renormalize(logits, [])), probabilities_of(logits), atol=1e-6)


# what holds for every processor

EVERY_PROCESSOR = {
    "repetition_penalty": partial(logits_processors.repetition_penalty, penalty=np.float64(1.3)),
    "no_repeat_ngram": partial(logits_processors.no_repeat_ngram, size=1),
    "bad_words": partial(logits_processors.bad_words, bad_words_ids=[[2], [1, 3]]),
    "min_length": partial(logits_processors.min_length, length=5, eos_ids=[0]),
    "temperature": partial(logits_processors.temperature, value=np.float64(0.7)),
    "top_k": partial(logits_processors.top_k, k=3),
    "top_p": partial(logits_processors.top_p, p=np.float64(0.8)),
    "min_p": partial(logits_processors.min_p, p=np.float64(0.1)),
    "typical_p": partial(logits_processors.typical_p, p=np.float64(0.8)),
    "sequence_bias": partial(logits_processors.sequence_bias, biases=[((2,), np.float64(0.7))]),
    "encoder_repetition_penalty": partial(
        logits_processors.encoder_repetition_penalty, penalty=np.float64(1.3), prompt_ids=[1, 4]
    ),
    "forced_tokens": partial(logits_processors.forced_tokens, length=2, tokens=[3]),
    "exponential_decay_length_penalty": partial(
        logits_processors.exponential_decay_length_penalty, start=1, factor=np.float64(1.3), eos_ids=[1]
    ),
    "suppress_tokens": partial(logits_processors.suppress_tokens, tokens=[2]),
    "top_h": partial(logits_processors.top_h, h=np.float64(0.5)),
    "epsilon_cutoff": partial(logits_processors.epsilon_cutoff, epsilon=np.float64(0.1)),
    "eta_cutoff": partial(logits_processors.eta_cutoff, epsilon=np.float64(0.1)),
    "renormalize": logits_processors.renormalize,
}


@pytest.mark.parametrize("name", EVERY_PROCESSOR)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_processor_keeps_its_input_and_the_precision(name, dtype):
    """Also with values from np.linspace, which are float64 and would widen float32."""
    logits = np.linspace(-2, 3, VOCABULARY).astype(dtype)
    before, ids = logits.copy(), [1, 4]
    changed = EVERY_PROCESSOR[name](logits, ids)
    assert changed.dtype == dtype and changed.shape == logits.shape
    assert not np.array_equal(changed, before)
    np.testing.assert_array_equal(logits, before)
    assert ids == [1, 4]


options_of_processors = st.fixed_dictionaries(
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


@examples(3)
@given(some_logits(), ids_so_far, options_of_processors, st.integers(0, 14))
def test_processors_apply_in_the_order_of_transformers(logits, ids, given_options, shortest):
    """The order of `_get_logits_processor` in transformers' generation/utils.py, a user's own before the sampling ones."""
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
        keep = (
            max(1, len(eos_ids)) + 1 if options.num_beams > 1 else 1
        )  # beams need one token that does not end the text for each that ends it
        expected = expected / np.float32(options.temperature)
        if options.top_k:
            expected = logits_processors.top_k(expected, ids, options.top_k, keep)
        if options.top_p < 1:
            expected = logits_processors.top_p(expected, ids, options.top_p, keep)
        if options.min_p is not None:
            expected = logits_processors.min_p(expected, ids, options.min_p, keep)
        if options.typical_p < 1:
            expected = logits_processors.typical_p(expected, ids, options.typical_p, keep)
    found = process_logits(logits, ids, make_logits_processors(options, ids, shortest, 99))
    np.testing.assert_array_equal(found, expected)
    assert softmax(found).sum() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("eos_token_id, fewest", [(None, 2), (0, 2), ([0, 5], 3)])
@pytest.mark.parametrize("processor", [{"top_k": 1}, {"top_p": 0.0}, {"min_p": 1.0}, {"typical_p": 0.01}])
def test_processors_for_sampling_beams_keep_a_token_beside_all_end_tokens(processor, eos_token_id, fewest):
    """transformers' min_tokens_to_keep: at least two, even if no token ends the text."""
    logits = np.arange(VOCABULARY, dtype=np.float32)
    for num_beams, number in ((3, fewest), (1, 1)):
        options = Options(do_sample=True, num_beams=num_beams, eos_token_id=eos_token_id, **processor)
        assert len(kept(process_logits(logits, [1], make_logits_processors(options, [0], 0, 99)))) == number


def test_processors_mask_ids_without_token():
    processors = make_logits_processors(Options(), [0], 0, 99, without_token=[3, 6, 7])
    assert kept(process_logits(np.zeros(VOCABULARY, np.float32), [0], processors)) == {0, 1, 2, 4, 5}


def test_users_processor_gets_copies():
    seen = []

    def spoil(logits, ids):
        seen.append((logits.copy(), list(ids)))
        logits[:] = 0
        ids.clear()
        return logits

    logits, ids = np.arange(4, dtype=np.float32), [2, 1]
    processors = make_logits_processors(Options(logits_processor=[spoil]), [0], 0, 99)
    np.testing.assert_array_equal(process_logits(logits, ids, processors), np.zeros(4))
    np.testing.assert_array_equal(seen[0][0], np.arange(4))
    assert seen[0][1] == [2, 1]
    assert logits.tolist() == [0, 1, 2, 3] and ids == [2, 1]


@pytest.mark.parametrize("wrong", [None, 5, [1.0] * 4, np.zeros(3), np.zeros((1, 4))])
def test_users_processor_that_returns_no_logits_raises_its_name(wrong):
    def careless(logits, ids):
        return wrong

    processors = make_logits_processors(Options(logits_processor=[careless]), [0], 0, 99)
    with pytest.raises(NeoError, match=r"careless must return the logits, an array of shape \(4,\); got"):
        process_logits(np.zeros(4, np.float32), [0], processors)
