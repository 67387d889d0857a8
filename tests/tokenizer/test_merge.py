"""Merging one word: small examples, the heap version against the simple loop, the cache of words, speed."""

import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_cases import bytes_vocab

from neo_np import Tokenizer
from neo_np.tokenizer import merge as merging
from neo_np.tokenizer.byte_alphabet import byte_ids
from neo_np.tokenizer.merge import SHORT_WORD, WordCache, merge, merge_long, merge_pair, merge_rules, merge_steps


@pytest.mark.parametrize(
    ("symbols", "merged"),
    [
        ("", []),
        ("a", ["a"]),
        ("aa", ["aa"]),
        ("aaa", ["aa", "a"]),
        ("aaaa", ["aa", "aa"]),
        ("baab", ["b", "aa", "b"]),
        ("abab", ["a", "b", "a", "b"]),
    ],
)
def test_merge_pair_overlapping_occurrences_are_taken_from_the_left(symbols, merged):
    assert merge_pair(list(symbols), ("a", "a"), "aa") == merged


def test_merge_steps_show_the_lowest_rank_first():
    """Rank 0 wins although rank 1 is further to the left, and its product gives rank 2 a place."""
    ranks, rules = {(3, 4): 0, (1, 2): 1, (2, 9): 2}, [((3, 4), 9), ((1, 2), 8), ((2, 9), 7)]
    assert list(merge_steps([1, 2, 3, 4], ranks, rules)) == [
        (None, [1, 2, 3, 4]),
        ((3, 4), [1, 2, 9]),
        ((1, 2), [8, 9]),
    ]
    assert list(merge_steps([], ranks, rules)) == [(None, [])]


# Stranger than what is ever learned: a rule may come before the rules that make its parts, and two rules make one token.
RULES = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=30)
WORDS = st.text("abc", max_size=40)


@given(pairs=RULES, words=st.lists(WORDS, max_size=10), order=st.randoms(use_true_random=False))
def test_merge_long_any_rules_gives_what_the_simple_loop_gives(pairs, words, order):
    tokens, merges = ["a", "b", "c"], []
    for left, right in pairs:
        pair = tokens[left % len(tokens)], tokens[right % len(tokens)]
        if pair not in merges and len("".join(pair)) <= 40:
            merges.append(pair)
            tokens.append("".join(pair))
    order.shuffle(merges)
    vocab = bytes_vocab(dict.fromkeys(tokens[3:]))
    rules, id_of_byte = merge_rules(merges, vocab), byte_ids(vocab)
    for word in words:
        ids = [id_of_byte[byte] for byte in word.encode()]
        *_, (_, expected) = merge_steps(ids, *rules)
        assert merge_long(ids, *rules) == merge(ids, *rules) == expected


def test_merge_word_of_any_length_uses_no_rule_that_is_left(gpt2_tokenizer):
    """By definition merging ends when no two neighbours have a rule."""
    ranks = {pair: rank for rank, pair in enumerate(gpt2_tokenizer.merges)}
    for length in (1, SHORT_WORD, SHORT_WORD + 1, 500):
        word = "".join(map(chr, np.random.default_rng(length).integers(97, 123, length)))
        tokens = [gpt2_tokenizer.id_to_token[id] for id in gpt2_tokenizer.encode(word)]
        assert "".join(tokens) == word
        assert not any(pair in ranks for pair in pairwise(tokens))


def test_word_cache_is_bounded_and_changes_no_ids(gpt2_tokenizer, monkeypatch):
    monkeypatch.setattr(merging, "CACHED_WORDS", 5)
    monkeypatch.setattr(merging, "LONGEST_CACHED_WORD", 8)
    calls = []
    cache = WordCache(lambda word: calls.append(word) or [len(word)])
    for word in ["a", "longwordindeed", "b", "a", "longwordindeed", "c", "d", "e", "f", "f"]:
        assert cache[word] == [len(word)]
    assert calls == ["a", "longwordindeed", "b", "longwordindeed", "c", "d", "e", "f", "f"]
    assert list(cache) == ["a", "b", "c", "d", "e"]
    tokenizer = Tokenizer(gpt2_tokenizer.vocab, gpt2_tokenizer.merges)
    text = "a longwordindeed is merged each time, and only five of the short words of this sentence are kept"
    for _ in range(2):
        ids = tokenizer.encode(text)
        assert ids == gpt2_tokenizer.encode(text)
        ids.clear()  # the caller's list is not the cache's


def test_word_cache_bounds_are_small():
    assert merging.CACHED_WORDS * merging.LONGEST_CACHED_WORD < 10**7  # characters


LONG_RUNS = {
    "spaces": lambda n: " " * n,
    "spaces before a word": lambda n: " " * (n - 1) + "x",
    "newlines": lambda n: "\n" * n,
    "letters": lambda n: "a" * n,
    "alternating letters": lambda n: "ab" * (n // 2),
    "random letters": lambda n: "".join(map(chr, np.random.default_rng(0).integers(97, 123, n))),
    "digits": lambda n: "0" * n,
    "dashes": lambda n: "-" * n,
    "emoji": lambda n: "\U0001f600" * n,
    "white space and apostrophes": lambda n: " '" * (n // 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("run", LONG_RUNS.values(), ids=LONG_RUNS)
def test_encode_long_run_takes_linear_time(gpt2_tokenizer, run):
    """Four times the text may take ten times the time, for slow caches; quadratic merging would take sixteen."""

    def seconds(text):
        times = []
        for _ in range(3):
            start = time.process_time()
            gpt2_tokenizer.encode(text)
            times.append(time.process_time() - start)
        return min(times)

    short, long = seconds(run(25_000)), seconds(run(100_000))
    assert long < 0.8
    assert long < 10 * short


@pytest.mark.parametrize("run", LONG_RUNS.values(), ids=LONG_RUNS)
def test_encode_long_run_comes_back(gpt2_tokenizer, run):
    """With quadratic merging, this would take minutes."""
    text = run(50_000)
    assert gpt2_tokenizer.decode(gpt2_tokenizer.encode(text)) == text
