"""Speculative decoding changes only the number of passes, not the text."""

from copy import copy
from dataclasses import replace

import numpy as np
import pytest
from helpers import random_model, word_model
from hypothesis import given
from hypothesis import strategies as st

from neo_np import NeoError, Tokenizer
from neo_np.generate.options import read_options
from neo_np.generate.prompts import Prompt
from neo_np.generate.sequence import GeneratedSequence, start_sequences
from neo_np.generate.speculative import AssistantDraft, DraftBackoff, accept_or_resample, prompt_lookup, speculative_loop
from neo_np.gpt_neo.forward import softmax

# In float64 no two logits are so close that a pass over several tokens could swap them.
MODEL = random_model(std=0.5, dtype=np.float64, eos_token_id=None)
ONE_LAYER = {"num_layers": 1, "attention_layers": ["local"], "eos_token_id": None}
SMALL = random_model(seed=1, std=0.5, dtype=np.float64, **ONE_LAYER)
CHI_SQUARE_0_999 = {7: 24.3, 35: 66.6}  # by degrees of freedom
IDS = st.lists(st.integers(0, 49), min_size=1, max_size=12)
DRAFTING = st.one_of(
    st.builds(lambda k: {"prompt_lookup_num_tokens": k}, st.integers(1, 12)),
    st.builds(
        lambda k, model: {"assistant_model": model, "num_assistant_tokens": k},
        st.integers(1, 7),
        st.sampled_from([SMALL, MODEL]),
    ),
)
PROCESSORS = st.sampled_from(
    [
        {},
        {"repetition_penalty": 1.3},
        {"no_repeat_ngram_size": 3},
        {"eos_token_id": [3, 7, 20, 31]},
        {"eos_token_id": list(range(0, 50, 3)), "min_new_tokens": 9},
        {"max_new_tokens": 60, "slide": True},
    ]
)


@given(IDS, DRAFTING, PROCESSORS, st.integers(1, 3))
def test_greedy_with_drafts_equals_greedy_without(ids, drafting, processors, times):
    prompts = [ids * times if len(ids) * times <= 12 else ids, ids[:1]]
    options = {"max_new_tokens": 20, **processors}
    assert MODEL.generate(prompts, **options, **drafting) == MODEL.generate(prompts, **options)


def test_stop_strings_with_drafts_end_at_the_same_place():
    model = word_model(seed=11)  # it repeats itself
    whole = model.generate("Once upon a time", max_new_tokens=60)
    options = {"max_new_tokens": 60, "stop_strings": [whole[-40:-20]], "cut_stop_string": True}
    expected = model.generate("Once upon a time", **options)
    assert whole.startswith(expected) and expected != whole
    for drafting in ({"prompt_lookup_num_tokens": 6}, {"assistant_model": model}):
        assert model.generate("Once upon a time", **options, **drafting) == expected
        assert "".join(model.stream("The King", max_new_tokens=30, **drafting)) == model.generate("The King", max_new_tokens=30)


def sequence_of(ids):
    """Return an unfinished greedy sequence with these ids."""
    return GeneratedSequence(Prompt(ids), ids, max_length=32, eos_ids=[], logits_processors=[])


def passes_and_sequence(model, prompt, **options):
    """Return how many passes of the model it took to finish a sequence, and the sequence. Passes of an assistant count too."""
    counted, options = copy(model), read_options(options, {}, model.config)
    calls = []

    def logits(*arguments, **settings):
        calls.append(arguments)
        return model.logits(*arguments, **settings)

    counted.logits = logits
    if options.assistant_model is model:
        options = replace(options, assistant_model=counted)
    [sequence] = start_sequences(counted, [Prompt(prompt)], options, 1)
    for _ in speculative_loop(counted, sequence, options):
        pass
    return len(calls), sequence


def test_prompt_lookup_repeating_text_takes_few_passes():
    model = random_model(std=0.1, max_position_embeddings=200, eos_token_id=None)  # falls into loops
    passes, sequence = passes_and_sequence(model, [1, 2, 3], max_new_tokens=100, prompt_lookup_num_tokens=9)
    assert len(sequence.new_ids) == 100
    assert sequence.accepted > 50
    assert passes == 100 - sequence.accepted  # each pass gives one token that was not drafted


def test_assistant_equal_to_the_model_is_always_accepted():
    passes, sequence = passes_and_sequence(MODEL, [5], max_new_tokens=24, assistant_model=MODEL, num_assistant_tokens=5)
    assert (sequence.drafted, sequence.accepted) == (20, 20)
    assert passes == 24 / 6 + 20  # of its own and as the assistant


def test_drafts_never_accepted_stop_soon():
    """The text repeats its last tokens at every step, but what followed them before is masked."""
    model = random_model(std=0.1, max_position_embeddings=400, vocab_size=8, eos_token_id=None)

    def never_as_before(logits, ids):
        logits[[token.id for token in prompt_lookup(sequence_of(ids), 1)]] = -np.inf
        return logits

    options = {"max_new_tokens": 300, "prompt_lookup_num_tokens": 4, "logits_processor": [never_as_before], "eos_token_id": []}
    passes, sequence = passes_and_sequence(model, [1, 2, 3], **options)
    assert (passes, len(sequence.new_ids), sequence.accepted) == (300, 300, 0)
    assert 0 < sequence.drafted <= 4 * 8


def test_backoff_good_drafts_make_no_pause():
    backoff = DraftBackoff(4)
    for _ in range(50):
        assert backoff.allows_draft()
        backoff.record(4)
    one_at_a_time = DraftBackoff(1)
    one_at_a_time.record(1)
    assert one_at_a_time.allows_draft()  # one of one is the best there is


def test_backoff_bad_drafts_make_pauses_of_8_16_32_64_passes():
    backoff, passes = DraftBackoff(4), []
    for i in range(300):
        if backoff.allows_draft():
            passes.append(i)
            backoff.record(0)
    assert np.diff(passes).tolist() == [9, 17, 33, 65, 65, 65]
    backoff.record(20)  # a good one ends that
    assert backoff.allows_draft()


def slow_prompt_lookup(ids, number):
    for place in range(len(ids) - 4, -1, -1):
        if ids[place : place + 3] == ids[-3:]:
            guess = []
            while len(guess) < number:
                guess.append([*ids, *guess][place + 3 + len(guess)])
            return guess
    return []


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(-2, 9))
def test_prompt_lookup_random_ids_equals_slow_search(ids, number):
    found = prompt_lookup(sequence_of(ids), number)
    assert [token.id for token in found] == slow_prompt_lookup(ids, number)


@pytest.mark.parametrize("seed", range(3))
def test_accept_or_resample_gives_the_distribution_p(seed):
    rng = np.random.default_rng(seed)
    p, q = softmax(rng.normal(size=8) * 2), softmax(rng.normal(size=8) * 2)
    certain = np.eye(8)[3]
    for q_of_draft in (q, certain, p):
        drawn = [accept_or_resample(p, q_of_draft, drafted, rng) for drafted in rng.choice(8, p=q_of_draft, size=20_000)]
        assert (np.square(np.bincount(drawn, minlength=8) - 20_000 * p) / (20_000 * p)).sum() < CHI_SQUARE_0_999[7]
    assert all(accept_or_resample(p, p, drafted, rng) == drafted for drafted in range(8))  # nothing to reject


@pytest.mark.slow
@pytest.mark.parametrize("drafting", ["prompt lookup", "assistant"])
def test_sampling_with_drafts_keeps_the_distribution(drafting):
    """All 36 texts of two tokens against their probabilities; the prompt has its last tokens twice, so there are drafts."""
    model = random_model(std=0.3, vocab_size=6, eos_token_id=None)
    small = random_model(seed=4, std=0.3, vocab_size=6, **ONE_LAYER)
    given = (
        {"prompt_lookup_num_tokens": 3}
        if drafting == "prompt lookup"
        else {"assistant_model": small, "num_assistant_tokens": 2}
    )
    prompt, times = [1, 2, 3, 4, 1, 2, 3], 3_000
    options = {"do_sample": True, "temperature": 1.5, "top_k": 5, "max_new_tokens": 2, "seed": 0}
    texts = model.generate([prompt] * times, **options, **given)
    counts = np.bincount([6 * ids[-2] + ids[-1] for ids in texts], minlength=36)

    def probabilities(ids):
        logits = model.logits(ids)[-1] / 1.5
        logits[logits.argmin()] = -np.inf  # top_k of 5
        return softmax(logits)

    first = probabilities(prompt)
    expected = times * np.concatenate([first[token] * probabilities([*prompt, token]) for token in range(6)])
    assert not counts[expected == 0].any()
    possible = expected > 0
    assert (np.square(counts - expected)[possible] / expected[possible]).sum() < CHI_SQUARE_0_999[35]


def test_sampling_with_drafts_same_seed_repeats():
    options = {"do_sample": True, "max_new_tokens": 20, "assistant_model": SMALL}
    assert MODEL.generate([1, 2], seed=3, **options) == MODEL.generate([1, 2], seed=3, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"assistant_model": "small"}, "must be a Model"),
        ({"assistant_model": SMALL, "prompt_lookup_num_tokens": 2}, "choose one"),
        ({"prompt_lookup_num_tokens": 2, "num_beams": 2}, "leave out num_beams"),
        ({"prompt_lookup_num_tokens": 0}, "above 0"),
        ({"assistant_model": random_model(vocab_size=51)}, "51 tokens and the model 50"),
    ],
)
def test_options_of_drafts_that_contradict_raise(options, said):
    with pytest.raises(NeoError, match=said):
        MODEL.generate([1, 2], **options)


def test_assistant_with_another_tokenizer_raises():
    model, other = (random_model(vocab_size=300, tokenizer=Tokenizer.train([text * 9], 300)) for text in ("a text ", "other "))
    with pytest.raises(NeoError, match="different tokens"):
        model.generate("The King", assistant_model=other)


def test_num_assistant_tokens_without_assistant_warns():
    with pytest.warns(UserWarning, match="num_assistant_tokens changes nothing"):
        MODEL.generate([1, 2], num_assistant_tokens=3)


def test_assistant_with_fewer_positions_drafts_while_it_can():
    short = random_model(seed=1, std=0.5, dtype=np.float64, max_position_embeddings=8, eos_token_id=None)
    ids = [1, 2, 3]
    assert MODEL.generate(ids, max_new_tokens=25, assistant_model=short) == MODEL.generate(ids, max_new_tokens=25)


def test_assistant_after_rejected_drafts_equals_a_fresh_one():
    """Whatever text was committed, it drafts what an assistant without a past would."""
    assistant, sequence = AssistantDraft(SMALL), sequence_of([1, 2, 3])
    wrong = assistant(sequence, 4)
    sequence.ids += [(wrong[0].id + 1) % 50, 7, 8, 9, 10]
    fresh = AssistantDraft(SMALL)(sequence, 4)
    assert assistant(sequence, 4) == fresh
