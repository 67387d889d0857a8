"""Learned merges against BpeTrainer of Hugging Face tokenizers: prose, code, every alphabet, many ties, overlapping pairs."""

import json
import random
from itertools import pairwise

import pytest
from helpers import ROOT
from tokenizers import AddedToken, models, pre_tokenizers, trainers
from tokenizers import Tokenizer as TheirTokenizer
from transformers import AutoTokenizer

from neo_np import Tokenizer

END = "<|endoftext|>"


def their_tables(texts, vocab_size, special_tokens, min_frequency=0):
    tokenizer = TheirTokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[AddedToken(token, special=True) for token in special_tokens],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def assert_same(texts, vocab_size, special_tokens=(END,), min_frequency=0):
    """Their trainer does not know special tokens in a text, so it gets the text between them."""
    ours = Tokenizer.train(texts, vocab_size, special_tokens, min_frequency)
    parts = texts
    for token in special_tokens:
        parts = [part for text in parts for part in text.split(token)]
    vocab, merges = their_tables(parts, vocab_size, special_tokens, min_frequency)
    assert ours.merges == merges
    assert ours.vocab == vocab


def generated(kind, rng):
    """Return a text; the fewer letters there are to choose from, the more pairs are equally frequent."""
    alphabet = {
        "one": "a",
        "two": "ab",
        "ties": "abcdefghij",
        "spaces": " \n\ta",
        "dots": ".-= ",
        "unicode": "aé日本שλ😀\u0301²½ \x00",
    }[kind]
    return "".join(rng.choices(alphabet, k=rng.randint(0, 400))) + END * rng.randint(0, 2)


@pytest.mark.parametrize("min_frequency", [0, 1, 2, 10])
@pytest.mark.parametrize("vocab_size", [258, 500, 3000])
def test_train_prose_and_code_gives_the_same_merges(vocab_size, min_frequency):
    files = [ROOT / "README.md", ROOT / "LICENSE", *sorted((ROOT / "neo_np").rglob("*.py"))]
    assert_same([file.read_text(encoding="utf-8") for file in files], vocab_size, (END,), min_frequency)


@pytest.mark.parametrize("kind", ["one", "two", "ties", "spaces", "dots", "unicode"])
def test_train_generated_texts_gives_the_same_merges(kind):
    rng = random.Random(kind)
    for _ in range(100):
        texts = [generated(kind, rng) for _ in range(rng.randint(0, 5))]
        assert_same(texts, rng.choice([257, 270, 400, 10_000]), (END,), rng.choice([0, 2]))


def test_train_every_character_gives_the_same_merges():
    """Each character of Unicode but the surrogates, in words of up to 20, each text with some words of the one before."""
    rng = random.Random(0)
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    texts = ["".join(rng.choices(characters, k=20)) for _ in range(2000)]
    assert_same([text + other[:7] for text, other in pairwise(texts)], 2000)


@pytest.mark.parametrize("special_tokens", [[], ["<pad>", END], ["[Ende]", END, "<a b>"]])
def test_train_special_tokens_gives_the_same_merges(special_tokens):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert_same([f"{text[:2000]}{''.join(special_tokens)}{text[2000:]}"], 600, special_tokens)


def test_save_learned_tokenizer_is_read_by_transformers(tmp_path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    ours = Tokenizer.train(text, 700, [END, "<pad>"])
    ours.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for sample in (text, f"{END}Once<pad>upon {END} a time", "日本 😀"):
        assert theirs(sample)["input_ids"] == ours.encode(sample)
