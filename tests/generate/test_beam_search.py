"""Beam search against a search over all texts, for small vocabularies."""

from itertools import pairwise

import numpy as np
import pytest
from helpers import random_model

from neo_np import NeoError
from neo_np.generate.beam_search import beam_search
from neo_np.generate.options import Options
from neo_np.generate.prompts import Prompt
from neo_np.generate.sequence import start_sequences
from neo_np.gpt_neo.loss import log_softmax

PROMPT = [1, 2, 0]
ENOUGH = 4**4  # as many beams as there are texts of four tokens: none is ever dropped


def tiny_model(seed=0, **changes):
    """Return a model of four tokens."""
    return random_model(seed, std=0.5, vocab_size=4, **changes)


def score_of(model, ids, length_penalty):
    """Return the sum of the new tokens' log-probabilities, divided by their number to the power of length_penalty."""
    log_probs = log_softmax(model.logits(ids[:-1]).astype(float))
    new = range(len(PROMPT), len(ids))
    return sum(log_probs[i - 1, ids[i]] for i in new) / len(new) ** length_penalty


def every_text(tokens, longest, ended):
    """Return all texts that continue PROMPT until they end or have `longest` new tokens."""
    texts, growing = [], [PROMPT]
    while growing:
        longer = [[*ids, token] for ids in growing for token in tokens]
        growing = [ids for ids in longer if not ended(ids) and len(ids) - len(PROMPT) < longest]
        texts += [ids for ids in longer if ids not in growing]
    return texts


def best_texts(model, length_penalty=1.0, tokens=range(4), longest=4, ended=lambda ids: False):
    texts = every_text(tokens, longest, ended)
    return sorted(texts, key=lambda ids: score_of(model, ids, length_penalty), reverse=True)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("length_penalty", [0.0, 1.0, 2.0, -1.0])
@pytest.mark.parametrize("eos_ids", [[], [3], [3, 1]])
@pytest.mark.parametrize("early_stopping", [False, "never"])
def test_beams_as_many_as_texts_find_the_best_of_all_texts_in_order(seed, length_penalty, eos_ids, early_stopping):
    model = tiny_model(seed)
    expected = best_texts(model, length_penalty, ended=lambda ids: ids[-1] in eos_ids)
    number = min(20, len(expected))
    found = model.generate(
        PROMPT,
        num_beams=ENOUGH,
        num_return_sequences=number,
        max_new_tokens=4,
        eos_token_id=eos_ids,
        length_penalty=length_penalty,
        early_stopping=early_stopping,
    )
    assert found == expected[:number]


def test_stop_strings_end_beams_like_end_tokens(tales):
    """With a processor that allows three letters; the probability of the masked ones is not distributed."""
    model = random_model(std=0.3, vocab_size=len(tales.tokenizer), tokenizer=tales.tokenizer)
    letters = tales.tokenizer.encode("a") + tales.tokenizer.encode("b") + tales.tokenizer.encode("c")

    def three_letters(logits, ids):
        others = np.setdiff1d(np.arange(len(logits)), letters)
        logits[others] = -np.inf
        return logits

    def stopped(ids):
        return tales.tokenizer.decode(ids[len(PROMPT) :]).endswith(("ab", "c"))

    expected = best_texts(model, tokens=letters, ended=stopped)
    options = {"stop_strings": ["ab", "c"], "eos_token_id": [], "logits_processor": [three_letters], "max_new_tokens": 4}
    found = model.generate(PROMPT, num_beams=81, num_return_sequences=15, **options)
    assert found == expected[:15]
    assert len({len(ids) for ids in found}) > 1


def test_cut_stop_string_of_beams_cuts_the_text(tales):
    options = {"num_beams": 3, "num_return_sequences": 3, "stop_strings": [" the", ","], "max_new_tokens": 20}
    whole = tales.generate("Once upon a time", **options)
    cut = tales.generate("Once upon a time", cut_stop_string=True, **options)
    assert any(long.startswith((short + " the", short + ",")) for long, short in zip(whole, cut))
    assert not any(" the" in text or "," in text for text in cut)


@pytest.mark.parametrize("num_beams", [2, 3, 5])
def test_few_beams_continue_the_best_texts_so_far(num_beams):
    """Without an end before the last token: of all texts one token longer than the beams, the best are the beams."""
    model = random_model(std=0.3)
    beams = [PROMPT]
    for _ in range(7):
        longer = [[*ids, token] for ids in beams for token in range(50)]
        beams = sorted(longer, key=lambda ids: score_of(model, ids, 0.0), reverse=True)[:num_beams]
    found = model.generate(PROMPT, num_beams=num_beams, num_return_sequences=num_beams, max_new_tokens=7, eos_token_id=[])
    assert found == beams


@pytest.mark.parametrize("seed", range(3))
def test_one_beam_equals_greedy(seed):
    model, options = random_model(seed), Options(max_new_tokens=20, eos_token_id=[7, 30])
    [start] = start_sequences(model, [Prompt(PROMPT)], options, copies=1)
    [best] = beam_search(model, start, options)
    assert best.ids == model.generate(PROMPT, max_new_tokens=20, eos_token_id=[7, 30])


def test_results_are_sorted_best_first():
    model = random_model(std=0.3)
    options = {"num_beams": 6, "num_return_sequences": 6, "max_new_tokens": 8, "eos_token_id": [3, 17, 21]}
    for length_penalty in (-1.0, 0.0, 1.0, 3.0):
        found = model.generate(PROMPT, length_penalty=length_penalty, **options)
        scores = [score_of(model, ids, length_penalty) for ids in found]
        assert all(better >= worse for better, worse in pairwise(scores))
        assert len({tuple(ids) for ids in found}) == 6


def test_length_penalty_higher_prefers_longer_texts():
    model = tiny_model(1)
    options = {"num_beams": ENOUGH, "max_new_tokens": 4, "eos_token_id": [3], "early_stopping": "never"}
    lengths = [len(model.generate(PROMPT, length_penalty=penalty, **options)) for penalty in (-3.0, 0.0, 5.0)]
    assert lengths[0] < lengths[-1] and lengths == sorted(lengths)


@pytest.mark.parametrize(
    "early_stopping, length_penalty, lengths",
    [
        (True, 1.0, [2, 1]),  # the first two that end are enough
        (True, -1.0, [1, 2]),
        (False, 0.0, [1, 3]),
        (False, 1.0, [3, 2]),  # what runs on has a mean of -1.06 after three tokens, and the second result -0.86
        ("never", 1.0, [12, 3]),  # but over twelve tokens it could yet come to -0.26, and it does
        ("never", -1.0, [1, 3]),  # where longer is worse, the present length is the most that can be hoped for
    ],
)
def test_early_stopping_examples_end_when_they_should(early_stopping, length_penalty, lengths):
    """Of the two tokens 0 ends the text; its chances at each step are such that every variant finds something else.

    Logarithms of the chance to end after 1, 2, 3, 12 tokens: -0.92, -1.72, -0.97, -3.18; to run on: -0.51, -0.87, -3.17, ...
    """
    chances_of_the_end, steps = [0.4, 0.3, 0.9, *[0.001] * 8, 0.999], []

    def processor(log_probs, ids):
        steps.append(len(ids))
        chance = chances_of_the_end[len(ids) - 1]
        return np.log(np.array([chance, 1 - chance], log_probs.dtype))

    texts = random_model(vocab_size=2).generate(
        [1],
        max_new_tokens=12,
        num_beams=2,
        num_return_sequences=2,
        early_stopping=early_stopping,
        length_penalty=length_penalty,
        logits_processor=[processor],
    )
    assert [len(ids) - 1 for ids in texts] == lengths
    assert all(ids == [1] * (len(ids) - 1) + [0] for ids in texts)
    assert max(steps) == max(lengths)  # and then the search is over


def test_several_end_tokens_leave_enough_beams_that_continue():
    """With two such tokens, always the likeliest, more candidates are looked at; here the longest texts are the best."""
    log_probs = np.log(np.array([0.46, 0.36, 0.12, 0.06], np.float32))
    options = {
        "eos_token_id": [0, 1],
        "length_penalty": 5.0,
        "early_stopping": "never",
        "logits_processor": [lambda *_: log_probs],
    }
    found = tiny_model().generate(PROMPT, num_beams=2, num_return_sequences=2, max_new_tokens=6, **options)
    assert found == [[*PROMPT, 2, 2, 2, 2, 2, 0], [*PROMPT, 2, 2, 2, 2, 2, 1]]


@pytest.mark.parametrize("seed", range(5))
def test_sampled_beams_all_candidates_drawn_continue_the_best(seed):
    """Two beams of two tokens have four candidates, and four are drawn; only the last token is random."""
    model, options = random_model(std=0.3, vocab_size=2), {"num_beams": 2, "num_return_sequences": 2, "eos_token_id": []}
    best = model.generate([1], max_new_tokens=7, **options)
    sampled = model.generate([1], max_new_tokens=8, do_sample=True, seed=seed, **options)
    assert all(ids[:-1] in best for ids in sampled)


def test_sampled_beams_same_seed_repeats_and_others_differ():
    model, options = random_model(), {"num_beams": 3, "do_sample": True, "max_new_tokens": 10, "eos_token_id": []}
    texts = [model.generate([PROMPT, PROMPT], seed=seed, **options) for seed in (0, 0, 1)]
    assert texts[0] == texts[1]
    assert len({tuple(text) for pair in texts[1:] for text in pair}) == 4
    assert model.generate([PROMPT, [4]], seed=0, **options)[0] == texts[0][0]
    assert texts[0][0] != model.generate(PROMPT, num_beams=3, max_new_tokens=10, eos_token_id=[])


def test_list_of_prompts_equals_each_by_itself():
    model, prompts = random_model(std=0.3), [[1], [2, 3, 4, 5], [6, 7]]
    options = {"num_beams": 4, "num_return_sequences": 2, "max_new_tokens": 8}
    alone = [ids for prompt in prompts for ids in model.generate(prompt, **options)]
    assert model.generate(prompts, **options) == alone


def test_fewer_texts_than_num_return_sequences_raises():
    """Three tokens that are not forbidden, one to write: there are no five texts."""
    forbidden = [[id] for id in range(50) if id not in (4, 5, 6)]
    options = {"num_beams": 5, "max_new_tokens": 1, "bad_words_ids": forbidden, "eos_token_id": []}
    with pytest.raises(NeoError, match=r"num_return_sequences.* 5"):
        random_model().generate([1], num_return_sequences=5, **options)
    assert sorted(ids[-1] for ids in random_model().generate([1], num_return_sequences=3, **options)) == [4, 5, 6]
