"""What `stream` yields, and when."""

import numpy as np
import pytest
from helpers import byte_model, forced, word_model
from hypothesis import given, settings
from hypothesis import strategies as st

from neo_np import NeoError

BYTE_MODEL = byte_model()
WORD_MODEL = word_model()


@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from([" the", "e", "he ", "ing", "ly ", "qu", "n the", "came then"]), max_size=3),
    st.booleans(),
)
def test_stream_random_options_equals_generate(seed, stops, cut):
    options = {"do_sample": True, "seed": seed, "max_new_tokens": 25}
    if stops:
        options |= {"stop_strings": stops, "cut_stop_string": cut}
    pieces = list(WORD_MODEL.stream("The prince asked th", **options))
    assert pieces[0] == "The prince asked th"
    assert "".join(pieces) == WORD_MODEL.generate("The prince asked th", **options)


@pytest.mark.parametrize("seed", range(10))
def test_stream_random_bytes_has_no_half_characters(seed):
    """Of random bytes: what is broken in the end shows as U+FFFD, just as often as in the whole text."""
    options = {"do_sample": True, "seed": seed, "max_new_tokens": 40, "temperature": 2.0, "top_k": 0}
    text = BYTE_MODEL.generate("a", **options)
    assert "".join(BYTE_MODEL.stream("a", **options)) == text
    assert "\ufffd" in text


def test_stream_yields_a_character_with_its_last_byte():
    said = "\u00e9\U0001f600a"  # of two, four and one byte
    options = {"logits_processor": [forced([*said.encode()], 1)], "max_new_tokens": 7}
    assert list(BYTE_MODEL.stream("x", **options)) == ["x", *said]
    options["max_new_tokens"] = 4  # in the middle of the second
    assert list(BYTE_MODEL.stream("x", **options)) == ["x", "\u00e9", "\ufffd"]


def test_stream_yields_each_piece_before_the_next_token_is_chosen():
    chosen = []

    def watch(logits, ids):
        chosen.append(len(ids))
        return forced(b"abcabc", 1)(logits, ids)

    stream = BYTE_MODEL.stream("x", logits_processor=[watch], max_new_tokens=6, stop_strings="caba", cut_stop_string=True)
    seen = [(piece, len(chosen)) for piece in stream]
    assert seen == [("x", 0), ("a", 1), ("b", 2), ("cabc", 6)]  # "cab" might have been the stop string


@pytest.mark.parametrize("prompt", [["a"], [97, 98], [[97], [98]], np.array([97])])
def test_stream_prompt_other_than_one_text_raises(prompt):
    with pytest.raises(NeoError, match="stream takes one text"):
        BYTE_MODEL.stream(prompt)


@pytest.mark.parametrize("options", [{"num_beams": 2}, {"do_sample": True, "num_return_sequences": 2}])
def test_stream_several_sequences_raises(options):
    with pytest.raises(NeoError, match="stream follows one sequence"):
        BYTE_MODEL.stream("a", **options)


@pytest.mark.parametrize("call", ["generate", "stream"])
def test_options_wrong_raise_before_the_first_token(call):
    with pytest.raises(NeoError, match=r"top_p is 1\.5"):
        getattr(BYTE_MODEL, call)("a", do_sample=True, top_p=1.5)
    with pytest.raises(NeoError, match="48 positions"):
        getattr(BYTE_MODEL, call)("a", max_new_tokens=100)
