"""Cutting a text into pre-tokens: the published pattern by example, and its faster twin against it."""

import re

import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_cases import TEXTS

from neo_np.tokenizer.pretokenize import CHUNK, PRE_TOKEN, SPACE


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("I'll say we've  20% more!!", ["I", "'ll", " say", " we", "'ve", " ", " 20", "%", " more", "!!"]),
        ("It'S 'tis o'clock's", ["It", "'", "S", " '", "tis", " o", "'", "clock", "'s"]),  # only lower case; anywhere
        ("'m'd't're", ["'m", "'d", "'t", "'re"]),
        ("a1b²_½", ["a", "1", "b", "²", "_", "½"]),  # numbers of every kind, but not the underscore
        ("a \n\n b\n", ["a", " \n\n", " b", "\n"]),  # the last white space goes with the word, if it is a space
        ("a\n\nb\tc", ["a", "\n", "\n", "b", "\t", "c"]),
        ("x   ", ["x", "   "]),
        ("a\xa0b\u3000c\x85d", ["a", "\xa0", "b", "\u3000", "c", "\x85", "d"]),  # white space that is not the space
        ("a\x1cb\x00\u200b", ["a", "\x1c", "b", "\x00\u200b"]),  # Python's str.isspace counts U+001C, Unicode does not
        ("naïve e\u0301t 日本語", ["naïve", " e", "\u0301", "t", " 日本語"]),  # a combining mark is no letter
        ("<|endoftext|>", ["<|", "endoftext", "|>"]),
    ],
)
def test_pre_token_example_is_cut_as_by_hand(text, pieces):
    assert PRE_TOKEN.findall(text) == pieces


@given(text=TEXTS)
def test_pre_token_pieces_joined_are_the_text(text):
    assert "".join(PRE_TOKEN.findall(text)) == text


@given(TEXTS | st.text("ab1'!\n\t \x1c\xa0"))
def test_chunk_pieces_are_whole_pre_tokens(text):
    assert [word for chunk in CHUNK.findall(text) for word in PRE_TOKEN.findall(chunk)] == PRE_TOKEN.findall(text)


def test_space_every_character_is_white_space_as_for_the_regex_package():
    every = [chr(code) for code in range(0x110000)]
    space, white = re.compile(SPACE), regex.compile(r"\s")
    assert [char for char in every if space.match(char)] == [char for char in every if white.match(char)]
