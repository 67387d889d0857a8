"""Decoding id by id: the joined pieces, characters as soon as they are whole, and what is held back."""

from hypothesis import given
from hypothesis import strategies as st
from tokenizer_cases import HALF_EMOJI, ID_LISTS, TEXTS


@given(ids=ID_LISTS, skip=st.booleans())
def test_stream_pieces_joined_are_the_decoded_text(gpt2_tokenizer, ids, skip):
    decoder = gpt2_tokenizer.stream_decoder(skip_special_tokens=skip)
    streamed = "".join([decoder.push(id) for id in ids] + [decoder.flush()])
    assert streamed == gpt2_tokenizer.decode(ids, skip_special_tokens=skip)


@given(text=TEXTS)
def test_stream_whole_character_appears_at_once(gpt2_tokenizer, text):
    decoder, streamed, data = gpt2_tokenizer.stream_decoder(), "", b""
    for id in gpt2_tokenizer.encode(text):
        streamed += decoder.push(id)
        data += gpt2_tokenizer.token_bytes(id)
        assert streamed == data.decode(errors="ignore")  # the text is sound: only its end can be unfinished
    assert decoder.flush() == ""


def test_stream_half_a_character_is_held_back_until_flush(gpt2_tokenizer):
    decoder = gpt2_tokenizer.stream_decoder()
    assert [decoder.push(HALF_EMOJI), decoder.push(222)] == ["", "\U0001f600"]
    assert [decoder.push(HALF_EMOJI), decoder.flush(), decoder.push(0), decoder.flush()] == ["", "\ufffd", "!", ""]
    assert [decoder.push_bytes(b"\xc3"), decoder.push_bytes(b"\xa9")] == ["", "é"]
