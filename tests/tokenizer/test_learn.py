"""Learning merges: published examples, the fast version against the definition, special tokens, files, speed."""

import doctest
import random
import time

import pytest
from helpers import ROOT
from hypothesis import example, given
from hypothesis import strategies as st

from neo_np import NeoError, Tokenizer
from neo_np.tokenizer import learn
from neo_np.tokenizer.learn import PairCounts, learn_merges, learn_merges_fast

END = "<|endoftext|>"
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Few letters and few counts: many ties, and pairs that overlap, as in "aaa".
WORDS = st.dictionaries(st.text("ab", max_size=12) | st.text("abcdé", max_size=6), st.integers(1, 3), max_size=12)
BOTH = pytest.mark.parametrize("learn", [learn_merges, learn_merges_fast])

# The definition


@BOTH
def test_learn_merges_example_of_wikipedia_gives_its_merges(learn):
    """Byte-pair encoding of "aaabdaaabac": aa, then (of ties the older symbols) ab, then aaab."""
    assert learn({"aaabdaaabac": 1}, 3) == [("a", "a"), ("a", "b"), ("aa", "ab")]


@BOTH
@pytest.mark.parametrize(
    ("words", "min_frequency", "merges"),
    [
        ({}, 0, []),
        ({"a": 9}, 0, []),
        ({"ab": 1}, 2, []),
        ({"ab": 1, "cab": 1}, 2, [("a", "b")]),
        ({"ba": 1, "ab": 1}, 0, [("a", "b"), ("b", "a")]),  # a tie: the lower code point wins
        ({"abx": 2, "cdx": 2, "xx": 3}, 3, [("x", "x")]),
        ({"aaa": 1}, 0, [("a", "a"), ("aa", "a")]),
    ],
)
def test_learn_merges_small_words_give_the_merges_counted_by_hand(learn, words, min_frequency, merges):
    assert learn(words, 10, min_frequency) == merges


@given(WORDS, st.integers(0, 30), st.integers(0, 4))
@example({"aaaaaaa": 1, "aaa": 1}, 9, 0)
def test_learn_merges_fast_any_words_gives_what_the_definition_gives(words, number, min_frequency):
    assert learn_merges_fast(words, number, min_frequency) == learn_merges(words, number, min_frequency)


@given(WORDS)
def test_learn_merges_any_words_makes_no_token_twice(words):
    made = [left + right for left, right in learn_merges(words, 1000)]
    assert len(set(made)) == len(made)


def test_pair_counts_after_a_merge_are_those_of_the_merged_words():
    pairs = PairCounts({"abab": 2, "aab": 1}, {"a": 0, "b": 1})
    assert pairs.counts == {(0, 1): 5, (1, 0): 2, (0, 0): 1}
    assert pairs.merge((0, 1), 2) >= {(2, 2), (0, 2)}
    assert {pair: count for pair, count in pairs.counts.items() if count} == {(2, 2): 2, (0, 2): 1}


# Tokenizer.train


def test_train_with_room_makes_each_word_a_token():
    tokenizer = Tokenizer.train("the king and the queen and the king", 1000)
    assert tokenizer.token_strings(tokenizer.encode("the king and the queen")) == ["the", " king", " and", " the", " queen"]
    assert len(tokenizer) == 257 + len(tokenizer.merges) < 1000


def test_train_ids_are_special_tokens_then_bytes_then_merges():
    tokenizer = Tokenizer.train("low lower lowest", 260, ["<pad>", END, "<bos>"])
    ids = tokenizer.vocab
    assert (ids["<pad>"], ids[END], ids["<bos>"], ids["!"], ids["Ń"]) == (0, 1, 2, 3, 258)
    assert [ids[left + right] for left, right in tokenizer.merges] == [259]
    assert sorted(ids.values()) == list(range(260))
    assert tokenizer.special_tokens == {"<pad>": 0, END: 1, "<bos>": 2}


def test_train_min_frequency_leaves_rare_pairs_out():
    assert Tokenizer.train("ab ab cd", 300, min_frequency=2).merges == [("a", "b")]
    assert Tokenizer.train("ab ab", 257).merges == []


def test_train_empty_text_still_encodes_every_character():
    tokenizer = Tokenizer.train("", 5000)
    everything = "".join(map(chr, range(0xD800))) + "\U0010ffff"
    assert len(tokenizer) == 257
    assert tokenizer.decode(tokenizer.encode(everything)) == everything


def test_train_special_tokens_in_the_text_teach_nothing():
    """No merge reaches across them, and the longer one is found first."""
    special = [END, "xy", "xyxy"]
    with_them = Tokenizer.train([f"ab{END}ab{END * 9}abxyxyc"] * 3, 300, special)
    without = Tokenizer.train(["ab", "ab", "ab", "c"] * 3, 300, special)
    assert (with_them.vocab, with_them.merges) == (without.vocab, without.merges)
    assert with_them.encode("xyxyxy") == [2, 1]


def test_train_iterator_of_texts_is_read_text_by_text():
    parts = ["once upon", " a time", "", " there was"]
    assert Tokenizer.train(iter(parts), 290).merges == Tokenizer.train("".join(parts), 290).merges
    assert Tokenizer.train(["ab"] * 5, 300).merges == [("a", "b")]  # and never "ba"


@pytest.mark.parametrize("special", [[END], [], ["<pad>"], [END, "<a b>"], ["<pad>", END, "Grüße"]])
def test_train_saved_and_loaded_gives_an_equal_tokenizer(special, tmp_path):
    trained = Tokenizer.train(README, 400, special)
    trained.save(tmp_path)
    loaded = Tokenizer.load(tmp_path)
    text = README + "".join(special)
    assert (loaded.vocab, loaded.merges, loaded.special_tokens) == (trained.vocab, trained.merges, trained.special_tokens)
    assert loaded.encode(text) == trained.encode(text)
    assert loaded.decode(loaded.encode(text)) == text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("text", 256), "vocab_size of 256 is too small.* 1 special tokens take 257"),
        (("text", 257, ["a1", "b2"]), "take 258"),
        (("text", "300"), "vocab_size must be a whole number"),
        (("text", 300.0), "vocab_size must be a whole number"),
        ((b"text", 300), "text or an iterable of texts, and got bytes"),
        ((7, 300), "got int"),
        ((["text", b"text"], 300), "one str, and got bytes"),
        (("\ud800", 300), "lone surrogate"),
        (("text", 300, END), "special_tokens must be a list"),
        (("text", 300, [""]), "none of them empty"),
        (("text", 300, [END, None]), "special_tokens must be a list"),
        (("text", 300, None), "special_tokens must be a list"),
        (("text", 300, [END, END]), "twice"),
        (("text", 300, ["é"]), "'é' is how the tables spell a byte"),
        (("text", 300, ["\udfff\udfff"]), "lone surrogate"),
        ((" t t t", 300, ["Ġt"]), "'Ġt', a special token"),
    ],
)
def test_train_wrong_arguments_raise_with_their_name(arguments, message):
    with pytest.raises(NeoError, match=message):
        Tokenizer.train(*arguments)


# Speed


@pytest.mark.slow
@pytest.mark.parametrize(("size", "vocab_size", "seconds"), [(130_000, 500, 1.5), (8_000_000, 2048, 60)])
def test_train_text_like_a_language_takes_seconds(size, vocab_size, seconds):
    """Words as frequent as in a language (Zipf's law). Counting all pairs for every merge would take ten times as long."""
    rng = random.Random(0)
    words = ["".join(rng.choices("etaoinshrdlu", k=rng.randint(1, 10))) for _ in range(size // 100)]
    weights = [1 / rank for rank in range(1, len(words) + 1)]
    text = " ".join(rng.choices(words, weights, k=size // 5))[:size]
    assert len(text) == size
    begin = time.perf_counter()
    assert len(Tokenizer.train(text, vocab_size)) == vocab_size
    assert time.perf_counter() - begin < seconds


@pytest.mark.slow
def test_train_one_endless_word_takes_no_quadratic_time():
    text = "".join(random.Random(0).choices("abcdefgh", k=100_000))
    begin = time.perf_counter()
    assert len(Tokenizer.train(text, 1000)) == 1000
    assert time.perf_counter() - begin < 5


def test_learn_merges_example_of_the_docstring_is_true():
    failed, tried = doctest.testmod(learn)
    assert (failed, tried) == (0, 1)
