"""Speculative decoding: nothing may change but the number of passes."""

import numpy as np
import pytest
from helpers import random_model
from hypothesis import given
from hypothesis import strategies as st

from neo_np import NeoError, Tokenizer
from neo_np.generate import speculative
from neo_np.generate.options import read_options
from neo_np.generate.sequence import Sequence, start_sequences
from neo_np.generate.speculative import Assistant, Patience, accept_or_resample, look_up, speculative_steps
from neo_np.gpt_neo.forward import softmax

# In float64 no two logits are so close that a pass over several tokens could swap them.
MODEL = random_model(std=0.5, dtype=np.float64, eos_token_id=None)
ONE_LAYER = {"num_layers": 1, "attention_layers": ["local"], "eos_token_id": None}
SMALL = random_model(seed=1, std=0.5, dtype=np.float64, **ONE_LAYER)
CHI_SQUARE_0_999 = {7: 24.3, 35: 66.6}  # of that many degrees of freedom
IDS = st.lists(st.integers(0, 49), min_size=1, max_size=12)
GUESSING = st.one_of(
    st.builds(lambda k: {"prompt_lookup_num_tokens": k}, st.integers(1, 12)),
    st.builds(
        lambda k, model: {"assistant_model": model, "num_assistant_tokens": k},
        st.integers(1, 7),
        st.sampled_from([SMALL, MODEL]),
    ),
)
RULES = st.sampled_from(
    [
        {},
        {"repetition_penalty": 1.3},
        {"no_repeat_ngram_size": 3},
        {"eos_token_id": [3, 7, 20, 31]},
        {"eos_token_id": list(range(0, 50, 3)), "min_new_tokens": 9},
        {"max_new_tokens": 60, "slide": True},
    ]
)


@given(IDS, GUESSING, RULES, st.integers(1, 3))
def test_the_likeliest_tokens_stay_the_same(ids, guessing, rules, times):
    prompts = [ids * times if len(ids) * times <= 12 else ids, ids[:1]]
    options = {"max_new_tokens": 20, **rules}
    assert MODEL.generate(prompts, **options, **guessing) == MODEL.generate(prompts, **options)


def test_stop_strings_end_it_at_the_same_place(tales):
    for guessing in ({"prompt_lookup_num_tokens": 6}, {"assistant_model": tales}):
        options = {"max_new_tokens": 60, "stop_strings": ["wa", " said the boy"], "cut_stop_string": True}
        assert tales.generate("Once upon a time", **options, **guessing) == tales.generate("Once upon a time", **options)
        assert "".join(tales.stream("The King", max_new_tokens=30, **guessing)) == tales.generate("The King", max_new_tokens=30)


def passes_and_sequence(model, prompt, monkeypatch, **options):
    """Return how often the model was asked, and the finished sequence."""
    options = read_options(options, {}, model.config)
    [sequence] = start_sequences(model, [prompt], options, 1)
    asked, logits = [], type(model).logits
    monkeypatch.setattr(type(model), "logits", lambda self, *a, **k: asked.append(self) or logits(self, *a, **k))
    for _ in speculative_steps(model, sequence, options):
        pass
    return sum(one is model for one in asked), sequence


def test_a_text_that_repeats_itself_takes_few_passes(monkeypatch):
    model = random_model(std=0.1, max_position_embeddings=200, eos_token_id=None)  # falls into loops
    passes, sequence = passes_and_sequence(model, [1, 2, 3], monkeypatch, max_new_tokens=100, prompt_lookup_num_tokens=9)
    assert len(sequence.new_ids) == 100
    assert sequence.accepted > 50
    assert passes == 100 - sequence.accepted  # each pass gives one token that was not guessed


def test_a_model_that_is_its_own_assistant_is_always_right(monkeypatch):
    passes, sequence = passes_and_sequence(
        MODEL, [5], monkeypatch, max_new_tokens=24, assistant_model=MODEL, num_assistant_tokens=5
    )
    assert (sequence.guessed, sequence.accepted) == (20, 20)
    assert passes == 24 / 6 + 20  # of its own and as the assistant


def test_guesses_that_are_never_right_are_given_up(monkeypatch):
    monkeypatch.setattr(speculative, "look_up", lambda sequence, number: [(0, None)] * number)
    model = random_model(std=0.1, max_position_embeddings=200, eos_token_id=None)
    options = {"max_new_tokens": 150, "prompt_lookup_num_tokens": 4, "bad_words_ids": [[0]]}
    passes, sequence = passes_and_sequence(model, [1, 2, 3], monkeypatch, **options)
    assert (passes, len(sequence.new_ids), sequence.accepted) == (150, 150, 0)
    assert 0 < sequence.guessed <= 4 * 8  # at passes 0, 9, 26, 59, 124: see the next test


def test_patience_against_its_definition():
    """Always right: every pass guesses. Always wrong: pauses of 8, 16, 32, 64, 64 ... passes."""
    patience = Patience(4)
    for _ in range(50):
        assert patience.lets_guess()
        patience.learn(4)
    patience, guessed = Patience(4), []
    for i in range(300):
        if patience.lets_guess():
            guessed.append(i)
            patience.learn(0)
    assert np.diff(guessed).tolist() == [9, 17, 33, 65, 65, 65]
    patience.learn(20)  # a good one ends it
    assert patience.lets_guess()
    one_at_a_time = Patience(1)
    one_at_a_time.learn(1)
    assert one_at_a_time.lets_guess()  # one of one is as good as it gets


def slow_look_up(ids, number):
    for place in range(len(ids) - 4, -1, -1):
        if ids[place : place + 3] == ids[-3:]:
            guess = []
            while len(guess) < number:
                guess.append([*ids, *guess][place + 3 + len(guess)])
            return guess
    return []


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30), st.integers(-2, 9))
def test_look_up_against_a_slow_loop(ids, number):
    found = look_up(Sequence(ids, 1, 99, []), number)
    assert [token for token, _ in found] == slow_look_up(ids, number)


@pytest.mark.parametrize("seed", range(3))
def test_accepting_and_resampling_gives_the_distribution_wanted(seed):
    rng = np.random.default_rng(seed)
    p, q = softmax(rng.normal(size=8) * 2), softmax(rng.normal(size=8) * 2)
    certain = np.eye(8)[3]
    for guessed_by in (q, certain, p):
        drawn = [accept_or_resample(p, guessed_by, guess, rng) for guess in rng.choice(8, p=guessed_by, size=20_000)]
        assert (np.square(np.bincount(drawn, minlength=8) - 20_000 * p) / (20_000 * p)).sum() < CHI_SQUARE_0_999[7]
    assert all(accept_or_resample(p, p, guess, rng) == guess for guess in range(8))  # nothing to reject


@pytest.mark.parametrize("guessing", ["look up", "assistant"])
def test_texts_are_drawn_as_often_as_without_guesses(guessing):
    """All 36 texts of two tokens against their probabilities; the prompt has its last tokens twice, so there are guesses."""
    model = random_model(std=0.3, vocab_size=6, eos_token_id=None)
    small = random_model(seed=4, std=0.3, vocab_size=6, **ONE_LAYER)
    given = {"prompt_lookup_num_tokens": 3} if guessing == "look up" else {"assistant_model": small, "num_assistant_tokens": 2}
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


def test_the_same_seed_gives_the_same_text():
    options = {"do_sample": True, "max_new_tokens": 20, "assistant_model": SMALL}
    assert MODEL.generate([1, 2], seed=3, **options) == MODEL.generate([1, 2], seed=3, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"assistant_model": "small"}, "must be a Model"),
        ({"assistant_model": SMALL, "prompt_lookup_num_tokens": 2}, "choose one"),
        ({"prompt_lookup_num_tokens": 2, "num_beams": 2}, "leave num_beams out"),
        ({"prompt_lookup_num_tokens": 0}, "above 0"),
        ({"assistant_model": random_model(vocab_size=51)}, "51 tokens and the model 50"),
    ],
)
def test_what_makes_no_sense_is_said(options, said):
    with pytest.raises(NeoError, match=said):
        MODEL.generate([1, 2], **options)


def test_an_assistant_with_another_tokenizer_is_refused(tales):
    other = random_model(vocab_size=2048, tokenizer=Tokenizer.train(["other text " * 9], 300))
    with pytest.raises(NeoError, match="other tokens"):
        tales.generate("The King", assistant_model=other)


def test_an_idle_option_is_said():
    with pytest.warns(UserWarning, match="num_assistant_tokens changes nothing"):
        MODEL.generate([1, 2], num_assistant_tokens=3)


def test_an_assistant_with_fewer_positions_guesses_while_it_can():
    short = random_model(seed=1, std=0.5, dtype=np.float64, max_position_embeddings=8, eos_token_id=None)
    ids = [1, 2, 3]
    assert MODEL.generate(ids, max_new_tokens=25, assistant_model=short) == MODEL.generate(ids, max_new_tokens=25)


def test_an_assistant_forgets_guesses_that_did_not_stand():
    """After any other text has been written, it guesses what one that has never guessed would."""
    assistant, sequence = Assistant(SMALL), Sequence([1, 2, 3], 3, 32, [])
    wrong = assistant(sequence, 4)
    sequence.ids += [(wrong[0][0] + 1) % 50, 7, 8, 9, 10]
    fresh = Assistant(SMALL)(sequence, 4)
    assert [token for token, _ in assistant(sequence, 4)] == [token for token, _ in fresh]
