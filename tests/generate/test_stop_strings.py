"""Stop strings against a slow search."""

import pytest
from helpers import BYTES, END, byte_model, forced
from hypothesis import given, settings
from hypothesis import strategies as st

BYTE_MODEL = byte_model()

some_text = st.text("aabbc \u00e9", min_size=1, max_size=6)
written_ids = st.lists(
    st.sampled_from([*b"aabbcc ", *"\u00e9".encode(), END, *range(END + 1, len(BYTES))]), min_size=1, max_size=16
)


def slow_stop(prompt, pieces, stops):
    """Return (how many pieces until a stop string ends in the newest one, where in all the bytes the first of them begins)."""
    text = prompt
    for number, piece in enumerate(pieces, start=1):
        text += piece
        ends = range(len(text) - len(piece) + 1, len(text) + 1)
        if begins := [end - len(stop) for stop in stops for end in ends if text[:end].endswith(stop)]:
            return number, min(begins)
    return len(pieces), len(text)


@settings(max_examples=200)
@given(some_text, written_ids, st.booleans(), st.data())
def test_stop_strings_random_texts_equal_slow_search(prompt, ids, cut, data):
    """And stream gives the same text, so it prints no part of a stop string that is to be cut, and no half characters."""
    prompt_ids = BYTES.encode(prompt)
    pieces = [BYTES.decode_bytes([id], skip_special_tokens=True) for id in ids]
    whole = (prompt.encode() + b"".join(pieces)).decode("utf-8", "ignore")
    inside = st.builds(lambda start, length: whole[start : start + length], st.integers(0, len(whole) - 1), st.integers(1, 9))
    stops = data.draw(st.lists(inside | some_text, min_size=1, max_size=3))
    options = {
        "logits_processor": [forced(ids, len(prompt_ids))],
        "max_new_tokens": len(ids),
        "eos_token_id": [],
        "stop_strings": stops,
        "cut_stop_string": cut,
    }

    number, begin = slow_stop(prompt.encode(), pieces, [stop.encode() for stop in stops])
    written = b"".join(pieces[:number])
    if cut:
        written = written[: max(0, begin - len(prompt.encode()))]

    assert BYTE_MODEL.generate(prompt_ids, **options) == prompt_ids + ids[:number]
    assert BYTE_MODEL.generate(prompt, **options) == prompt + written.decode("utf-8", "replace")
    streamed = list(BYTE_MODEL.stream(prompt, **options))
    assert "".join(streamed) == prompt + written.decode("utf-8", "replace")
    assert "" not in streamed


@pytest.mark.parametrize(
    "stop, whole, cut",
    [
        ("dog", "The dog", "The "),
        ("og s", "The dog s", "The d"),
        ("Hen: The d", "The d", ""),  # begins in the prompt, which is never cut
        ("Hen", "The dog sat on a dogma", "The dog sat on a dogma"),  # one in the prompt alone ends nothing
        (["sat", "dog "], "The dog ", "The "),
        (["g", "he dog", "dog"], "The dog", "T"),  # of several at once, the one that begins first
        ("cat", "The dog sat on a dogma", "The dog sat on a dogma"),
    ],
)
def test_stop_strings_examples_end_and_cut_the_text(stop, whole, cut):
    prompt = "Hen: "
    options = {"logits_processor": [forced(b"The dog sat on a dogma", len(prompt))], "max_new_tokens": 22, "stop_strings": stop}
    assert BYTE_MODEL.generate(prompt, **options) == prompt + whole
    assert BYTE_MODEL.generate(prompt, cut_stop_string=True, **options) == prompt + cut
    assert "".join(BYTE_MODEL.stream(prompt, cut_stop_string=True, **options)) == prompt + cut


def test_stop_string_twice_in_one_token_is_cut_at_the_first():
    options = {"logits_processor": [forced([120, BYTES.vocab["abab"]], 1)], "max_new_tokens": 2, "stop_strings": "ab"}
    assert BYTE_MODEL.generate("?", cut_stop_string=True, **options) == "?x"
    assert BYTE_MODEL.generate("?", **options) == "?xabab"


def test_stop_strings_batch_rows_stop_independently(tales):
    prompts = ["Once upon a time", "The king said", "A princess"]
    options = {"stop_strings": [" the", ","], "max_new_tokens": 30}
    together = tales.generate(prompts, **options)
    assert together == [tales.generate(prompt, **options) for prompt in prompts]
    assert len({len(text) for text in together}) == 3
