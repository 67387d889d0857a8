"""Stop strings against a slow search."""

from copy import copy

import pytest
from helpers import BYTES, END, byte_model, examples, forced
from hypothesis import given
from hypothesis import strategies as st

from neo_np import Tokenizer
from neo_np.generate.stop_strings import StopStrings

BYTE_MODEL = byte_model()

some_text = st.text("aabbc \u00e9", min_size=1, max_size=6)
written_ids = st.lists(
    st.sampled_from([*b"aabbcc ", *"\u00e9".encode(), END, *range(END + 1, len(BYTES))]), min_size=1, max_size=16
)


def slow_stop(prompt, tokens, stops):
    """Return (number of tokens until a stop string ends in the last one, place in all symbols where the first one begins).

    prompt: list of symbols. tokens, stops: lists of such lists.
    """
    text = list(prompt)
    for number, token in enumerate(tokens, start=1):
        text += token
        ends = range(len(text) - len(token) + 1, len(text) + 1)
        if begins := [end - len(stop) for stop in stops for end in ends if text[max(0, end - len(stop)) : end] == stop]:
            return number, min(begins)
    return len(tokens), len(text)


def symbols_of(text):
    """Return the bytes of a text as a list, each `<|endoftext|>` as one entry."""
    first, *others = text.split("<|endoftext|>")
    return [*first.encode(), *(symbol for other in others for symbol in ("special", *other.encode()))]


@examples(2)
@given(some_text, written_ids, st.booleans(), st.data())
def test_stop_strings_random_texts_equal_slow_search(prompt, ids, cut, data):
    """Special tokens are searched too, but not shown. `stream` gives the same text: no part of a stop that is cut."""
    prompt_ids = BYTES.encode(prompt)
    tokens = [["special"] if id == END else list(BYTES.token_bytes(id)) for id in ids]
    whole = (prompt.encode() + BYTES.decode_bytes(ids)).decode("utf-8", "ignore")
    inside = st.builds(lambda start, length: whole[start : start + length], st.integers(0, len(whole) - 1), st.integers(1, 20))
    stops = data.draw(st.lists(inside | some_text, min_size=1, max_size=3))
    options = {
        "logits_processor": [forced(ids, len(prompt_ids))],
        "max_new_tokens": len(ids),
        "eos_token_id": [],
        "stop_strings": stops,
        "cut_stop_string": cut,
    }

    number, begin = slow_stop(prompt.encode(), tokens, [symbols_of(stop) for stop in stops])
    written = [symbol for token in tokens[:number] for symbol in token]
    if cut:
        written = written[: max(0, begin - len(prompt.encode()))]
    written = bytes(symbol for symbol in written if symbol != "special")

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
        ("Hen", "The dog sat on a dogma", "The dog sat on a dogma"),  # one that is only in the prompt ends nothing
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


def turn_model():
    """Return a model over bytes with the special token <|turn|>, and its id."""
    tokens = {**BYTES.vocab, "<|turn|>": len(BYTES)}
    tokenizer = Tokenizer(tokens, [], {"<|endoftext|>": END, "<|turn|>": len(BYTES)})
    return byte_model(vocab_size=len(tokens), tokenizer=tokenizer), len(BYTES)


@pytest.mark.parametrize(
    "stop, text, cut_text",
    [
        ("<|turn|>", "in the end", "in the end"),
        (["xyz", "<|turn|>"], "in the end", "in the end"),
        ("the end<|turn|>", "in the end", "in "),
        ("<|turn|> y", "in the end y", "in the end"),
        ("d<|turn|> ", "in the end ", "in the en"),
        ("end yes", "in the end yes", "in the end yes"),  # interrupted by the special token
    ],
)
def test_stop_strings_with_special_tokens_end_the_text(stop, text, cut_text):
    model, turn = turn_model()
    ids = [*b"in the end", turn, *b" yes"]
    options = {"logits_processor": [forced(ids, 1)], "max_new_tokens": len(ids), "stop_strings": stop}
    assert model.generate("?", **options) == "?" + text
    assert model.generate("?", cut_stop_string=True, **options) == "?" + cut_text
    assert "".join(model.stream("?", cut_stop_string=True, **options)) == "?" + cut_text
    assert model.generate("?", num_beams=2, cut_stop_string=True, **options) == "?" + cut_text


def test_stop_strings_interrupted_by_a_special_token_do_not_match():
    """Nor does "end" match inside the name of the special token, `<|endoftext|>`."""
    options = {"logits_processor": [forced([*b"en", END, *b"d!"], 1)], "max_new_tokens": 5, "eos_token_id": []}
    assert BYTE_MODEL.generate("?", stop_strings="end", cut_stop_string=True, **options) == "?end!"
    assert BYTE_MODEL.generate("?", stop_strings=["|end", "text"], **options) == "?end!"


def test_stop_strings_name_of_a_special_token_in_bytes_matches():
    ids = [*b"a<|endoftext|>b"]
    options = {"logits_processor": [forced(ids, 1)], "max_new_tokens": len(ids), "stop_strings": "<|endoftext|>"}
    assert BYTE_MODEL.generate("?", **options) == "?a<|endoftext|>"
    assert BYTE_MODEL.generate("?", cut_stop_string=True, **options) == "?a"


def test_stop_strings_prompt_id_without_token_separates_like_no_text():
    model = byte_model(vocab_size=len(BYTES) + 3)
    options = {"logits_processor": [forced([*b"ndend!"], 3)], "max_new_tokens": 6, "stop_strings": "end"}
    prompt = [*b"e", len(BYTES) + 1, *b"e"]
    assert model.generate(prompt, **options) == [*prompt, *b"nd"]
    prompt = [*b"ee", len(BYTES) + 1]
    assert model.generate(prompt, **options) == [*prompt, *b"ndend"]


@pytest.mark.parametrize("id", [2**21, 2**32 - 1, 2**63, 10**30])
def test_stop_strings_special_token_with_an_id_beyond_unicode_is_found(id):
    """Characters end at 1,114,111, but a damaged or strange tokenizer file can give a token any id."""
    found = StopStrings(["e<|far|>"], special_tokens={"<|far|>": id})
    assert [found.push(b"e"), found.push_special(id), found.found] == ["e", "", True]
    apart = StopStrings(["en"], special_tokens={"<|far|>": id})
    assert [apart.push(b"e"), apart.push_special(id), apart.push(b"n"), apart.found] == ["e", "", "n", False]


def test_stop_strings_copy_is_independent():
    """Beams copy the state in the middle of a character and of a stop string."""
    first = StopStrings(["stop"], cut=True)
    assert first.push(b"\xc3") + first.push(b"\xa9 st") == "\u00e9 "
    second = copy(first)
    assert (second.push(b"op"), second.found) == ("", True)
    assert (first.push(b"ay") + first.flush(), first.found) == ("stay", False)
