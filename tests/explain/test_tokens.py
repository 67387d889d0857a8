"""The readable form of tokens: visible characters, offsets, words and their merges."""

import pytest
from explain_helpers import HOSTILE, hostile_ids, hostile_model
from helpers import byte_tokenizer
from hypothesis import given
from hypothesis import strategies as st

from neo_np.explain.tokens import characters_of_bytes, offsets, visible, visible_token, whole_characters, words

PIECES = [b"a", "é".encode(), "€".encode(), "😀".encode(), b"\xe2", b"\x82", b"\xf0\x9f", b"\xff", b"\xc3", "\ufffd".encode()]


@given(st.lists(st.sampled_from(PIECES), max_size=8).map(b"".join))
def test_characters_of_bytes_agree_with_the_decoded_text(data):
    """Every prefix that ends with a whole character decodes to the characters that are counted for it."""
    text, found = data.decode("utf-8", "replace"), characters_of_bytes(data)
    assert len(found) == len(data)
    assert sorted(set(found)) == list(range(len(text)))
    assert found == sorted(found)
    for end in range(len(data) + 1):
        if end == len(data) or found[end] != found[end - 1 if end else 0] or end == 0:
            expected = text[: found[end - 1] + 1] if end else ""
            assert data[:end].decode("utf-8", "replace") == expected


def test_offsets_of_parts_of_a_character_are_the_whole_character():
    assert offsets([b"a", b"\xc3", b"\xa9", b"", b"bc"]) == [(0, 1), (1, 2), (1, 2), (2, 2), (2, 4)]
    assert offsets([b"\xf0\x9f", b"\x98\x80x", b"\xc3"]) == [(0, 1), (0, 2), (2, 3)]
    assert offsets([b"", b"a"]) == [(0, 0), (0, 1)]


def test_offsets_equal_those_of_the_tokenizer(tales):
    text = "Once upon a time, é😀 中文 there was…\n\nA king."
    ids, expected = tales.tokenizer.encode_with_offsets(text)
    assert offsets([tales.tokenizer.token_bytes(id) for id in ids]) == expected


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" the", "␣the"),
        ("a\n\tb", "a↵⇥b"),
        ("\x00\x1b\x7f", "␀␛␡"),
        ("\u202ex\u2066", "⟨U+202E⟩x⟨U+2066⟩"),
        ("\u2028\u200b\xa0\x85", "⟨U+2028⟩⟨U+200B⟩⟨U+00A0⟩⟨U+0085⟩"),
        ("\u0301a", "◌\u0301a"),
        ("\udce2\udc82", "⟨E2⟩⟨82⟩"),
        ("<b>é😀", "<b>é😀"),
    ],
)
def test_visible_shows_what_cannot_be_seen(text, shown):
    assert visible(text) == shown


def test_visible_token_of_an_id_without_a_token_says_so():
    model = hostile_model()
    last = model.config.vocab_size - 1
    assert visible_token(model.tokenizer, last) == f"id {last} (no text)"
    assert visible_token(None, 5) == "id 5 (no text)"


def test_words_cover_all_tokens_and_end_with_the_merged_tokens(tales):
    tokenizer = tales.tokenizer
    ids = tokenizer.encode("Once upon a time<|endoftext|> the kingdom's 12 mice… é")
    found = words(tokenizer, ids)
    covered = [position for word in found for position in range(word["first"], word["last"] + 1)]
    assert covered == list(range(len(ids)))
    for word in found:
        tokens = [visible_token(tokenizer, id) for id in ids[word["first"] : word["last"] + 1]]
        if "⟨" not in "".join(tokens):
            assert not word["steps"] or word["steps"][-1][1] == tokens
    [special] = [word for word in found if word["shown"] == "<|endoftext|>"]
    assert special["steps"] == [] and "taken whole" in special["note"]


def test_words_of_added_tokens_are_taken_whole():
    model = hostile_model()
    ids = hostile_ids(model)
    found = words(model.tokenizer, ids)
    shown = [word["shown"] for word in found if "taken whole" in word["note"]]
    assert shown == [visible(text) for text in HOSTILE]
    [without] = [word for word in found if "no token" in word["note"]]
    assert ids[without["first"]] not in model.tokenizer.id_to_token
    assert any("no complete character" in word["note"] for word in found)


def test_words_that_the_model_spelled_in_its_own_way_are_marked(tales):
    tokenizer = tales.tokenizer
    letters = [id for letter in " time" for id in tokenizer.encode(letter)]
    [word] = words(tokenizer, letters)
    assert word["note"].startswith("The model wrote this word in other tokens")
    assert len(word["steps"]) > 1


def test_words_joined_by_a_token_across_their_border_have_no_steps():
    tokenizer = byte_tokenizer("ab", "bca", "Ġa", "cĠb")
    across = tokenizer.vocab["cĠb"]
    [word] = words(tokenizer, [across])
    assert word["steps"] == [] and "border of two words" in word["note"]


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        ([b"a", b"\xf0", b"\x9f", b"\x98", b"\x80", b"b"], ["", "😀", "😀", "😀", "😀", ""]),
        ([b" \xf0\x9f", b"\x98\x80!"], ["␣😀", "😀!"]),
        (["😀".encode(), "é".encode()], ["", ""]),  # whole in one token
        ([b"\xe2", b"a", b"\xff"], ["", "", ""]),  # no character
        (["\ufffd".encode()], [""]),
        ([b"", b"\xc3", b"\xa9"], ["", "é", "é"]),
    ],
)
def test_token_that_is_part_of_a_character_knows_the_character(pieces, whole):
    assert whole_characters(pieces) == whole
