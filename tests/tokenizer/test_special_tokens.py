"""Finding added tokens in a text: by example, each flag; by property, the spans. Live against tokenizers in tests/parity."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_cases import END, tiny_tokenizer

from neo_np import Tokenizer
from neo_np.tokenizer.special_tokens import AddedToken, AddedTokens


def spans(text, *tokens, split=False):
    """Return the parts of a text, added tokens in angle brackets."""
    added = AddedTokens(tokens)
    return [f"<{text[a:b]}>" if token else text[a:b] for a, b, token in added.split(text, split)]


@pytest.mark.parametrize(
    ("text", "tokens", "expected"),
    [
        ("", [AddedToken("x", 0)], []),
        ("abc", [], ["abc"]),
        ("x", [AddedToken("x", 0)], ["<x>"]),
        ("axb", [AddedToken("x", 0)], ["a", "<x>", "b"]),
        ("xxxx", [AddedToken("xx", 0), AddedToken("xxx", 1)], ["<xxx>", "x"]),  # the longest of those that begin here
        ("abcd", [AddedToken("ab", 0), AddedToken("bcd", 1)], ["<ab>", "cd"]),  # the leftmost, even if shorter
        ("a.c|a.c", [AddedToken("a.c|", 0)], ["<a.c|>", "a.c"]),  # no regular expression
        ("axb x", [AddedToken("x", 0, single_word=True)], ["axb ", "<x>"]),
        ("_x x_ 5x xé -x-", [AddedToken("x", 0, single_word=True)], ["_x x_ 5x xé -", "<x>", "-"]),
        ("a \n x b", [AddedToken("x", 0, lstrip=True)], ["a", "< \n x>", " b"]),
        ("a x \n b", [AddedToken("x", 0, rstrip=True)], ["a ", "<x \n >", "b"]),
        ("x  x", [AddedToken("x", 0, lstrip=True, rstrip=True)], ["<x  >", "<x>"]),
        ("x\x1cx", [AddedToken("x", 0, rstrip=True)], ["<x>", "\x1c", "<x>"]),  # white space as Unicode has it
    ],
)
def test_split_example_gives_the_spans_of_the_tokenizers_library(text, tokens, expected):
    assert spans(text, *tokens) == expected


def test_split_token_that_is_not_normalized_wins():
    """ "abc<|" begins first, but it is looked for only in what the first pass leaves."""
    text, added = f"abc{END}", AddedToken("abc<|", 1)
    assert spans(text, AddedToken(END, 0, special=True), added) == ["abc", f"<{END}>"]
    assert spans(text, AddedToken(END, 0, special=True, normalized=True), added) == ["<abc<|>", END[2:]]
    assert spans(text, AddedToken(END, 0, special=True), AddedToken("abc<|", 1, normalized=False)) == ["<abc<|>", END[2:]]


def test_split_special_tokens_makes_them_text_in_which_the_second_pass_searches():
    end, added = AddedToken(END, 0, special=True), AddedToken("end", 1)
    assert spans(f"a{END}b", end, added, split=True) == ["a<|", "<end>", "oftext|>b"]
    # in its own pass a special token still hides what overlaps with it, as in the tokenizers library
    assert spans(f"a{END}b", end, AddedToken("end", 1, normalized=False), split=True) == [f"a{END}b"]


TOKENS = st.builds(
    AddedToken,
    content=st.text("ab <", min_size=1, max_size=4),
    id=st.integers(0, 9),
    special=st.booleans(),
    single_word=st.booleans(),
    lstrip=st.booleans(),
    rstrip=st.just(False),
    normalized=st.booleans(),
)


@given(st.text("ab <", max_size=20), st.lists(TOKENS, max_size=4), st.booleans())
def test_split_any_tokens_without_rstrip_cut_the_text_without_gaps(text, tokens, split):
    """With rstrip, two tokens may take the same white space, as in the tokenizers library."""
    end = 0
    for start, stop, token in AddedTokens(tokens).split(text, split):
        assert start == end < stop
        assert not token or text[start:stop].endswith(token.content)
        end = stop
    assert end == len(text)


def test_encode_added_tokens_are_found_longest_first_and_only_special_ones_split():
    tiny = tiny_tokenizer()
    tokenizer = Tokenizer(tiny.vocab, tiny.merges, {END: 261, "[PAD]": 1000, "[PAD][PAD]": 1001}, {"日本": 1002, " x": 1003})
    text = f"[PAD][PAD][PAD]日本 x{END}"
    assert tokenizer.encode(text) == [1001, 1000, 1002, 1003, 261]
    plain = [*tiny.encode("[PAD][PAD][PAD]", True), 1002, 1003, *tiny.encode(END, True)]
    assert tokenizer.encode(text, split_special_tokens=True) == plain
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == "日本 x"
    assert len(tokenizer) == len(tiny.vocab) + 4
