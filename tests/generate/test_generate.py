"""The generation loop against loops that are slow and obvious, and what stream and stop strings promise."""

import numpy as np
import pytest
from helpers import random_model
from hypothesis import given, settings
from hypothesis import strategies as st

from neo_np import NeoError, Tokenizer
from neo_np.gpt_neo.forward import softmax
from neo_np.tokenizer.byte_alphabet import BYTE_TO_CHAR
from neo_np.tokenizer.special_tokens import END_OF_TEXT

END = 256
LONGER_TOKENS = ["ab", "bca", "Ġa", "cĠb", "Ã©a", "aÃ", "abab"]  # in the letters of vocab.json: Ġ is a space, Ã© the bytes of é


def byte_tokenizer(*longer_tokens):
    """Return a tokenizer that encodes every byte as one token; the longer tokens are for models to write."""
    tokens = [*(BYTE_TO_CHAR[byte] for byte in range(256)), END_OF_TEXT, *longer_tokens]
    return Tokenizer({token: id for id, token in enumerate(tokens)}, merges=[])


BYTES = byte_tokenizer(*LONGER_TOKENS)


def byte_model(**changes):
    """Return a random model over bytes: what it writes is mostly broken UTF-8."""
    of_bytes = {"vocab_size": len(BYTES), "bos_token_id": END, "eos_token_id": END, "max_position_embeddings": 48}
    return random_model(tokenizer=BYTES, **of_bytes | changes)


BYTE_MODEL = byte_model()


def writes(ids, after):
    """Return a rule that makes any model write these ids after a prompt of so many tokens."""

    def rule(logits, so_far):
        logits[:] = -np.inf
        logits[ids[len(so_far) - after]] = 0.0
        return logits

    return rule


def slow_greedy(model, ids, number, eos_ids=()):
    """Feed the whole text, take the likeliest token, append it; repeat."""
    ids = list(ids)
    for _ in range(number):
        ids.append(int(np.argmax(model.logits(ids)[-1])))
        if ids[-1] in eos_ids:
            break
    return ids


# one text


@pytest.mark.parametrize("seed", range(5))
def test_greedy_is_the_slow_loop(seed):
    model = random_model(seed)
    prompt = np.random.default_rng(seed).integers(0, 50, 5).tolist()
    found = model.generate(prompt, max_new_tokens=27, eos_token_id=[])
    assert found == slow_greedy(model, prompt, 27)
    assert len(set(found)) > 5


def test_greedy_on_the_checkpoint_that_ships_is_the_slow_loop(tales):
    prompt = "Once upon a time there was a king"
    ids = slow_greedy(tales, tales.tokenizer.encode(prompt), 30, tales.config.eos_token_ids)
    assert tales.generate(prompt, max_new_tokens=30) == tales.tokenizer.decode(ids)
    assert len(ids) > 30


def test_sampling_is_the_slow_loop_drawing_from_the_probabilities():
    """A draw is where a random number falls in the cumulative probabilities; row i takes its numbers from (seed, i)."""
    model, prompts, new = random_model(std=0.3), [[1, 2, 3], [4, 5]], 20
    texts = model.generate(prompts, max_new_tokens=new, do_sample=True, top_k=0, temperature=0.7, seed=5, eos_token_id=[])
    for row, prompt in enumerate(prompts):
        rng, ids = np.random.default_rng([5, row]), list(prompt)
        for _ in range(new):
            probabilities = softmax(model.logits(ids)[-1].astype(float) / 0.7)
            number, token = rng.random(), 0
            while number >= probabilities[token]:
                number -= probabilities[token]
                token += 1
            ids.append(token)
        assert texts[row] == ids


def test_the_same_seed_gives_the_same_text_and_others_give_others():
    model, options = random_model(), {"do_sample": True, "max_new_tokens": 20, "eos_token_id": []}
    texts = [model.generate([1, 2], seed=seed, **options) for seed in (0, 0, 1, None, None)]
    assert texts[0] == texts[1]
    assert len({tuple(text) for text in texts}) == 4


# batches

PROMPTS = [[7], [1, 2, 3, 4, 5, 6, 7, 8, 9], [3, 1], [49, 20, 20, 4, 11], [1, 2, 3]]


@pytest.mark.parametrize("limit", [{"max_new_tokens": 12}, {"max_length": 20}])
@pytest.mark.parametrize("eos_ids", [[], [5, 9, 12, 23, 30, 31, 35, 40, 44, 47]])
def test_rows_of_a_batch_are_what_each_is_alone(limit, eos_ids):
    """However many tokens their neighbours began with, and whenever those end."""
    model = random_model(3, std=0.2)
    together = model.generate(PROMPTS, eos_token_id=eos_ids, **limit)
    longest = [len(prompt) + 12 if "max_new_tokens" in limit else 20 for prompt in PROMPTS]
    for prompt, length, text in zip(PROMPTS, longest, together):
        assert text == slow_greedy(model, prompt, length - len(prompt), eos_ids)
    lengths = {len(text) - len(prompt) for text, prompt in zip(together, PROMPTS)}
    assert len(lengths) > 2 or (limit == {"max_new_tokens": 12} and not eos_ids)  # they do end at different times


def test_a_sampled_row_does_not_change_with_its_neighbours():
    model, options = random_model(3, std=0.2), {"do_sample": True, "seed": 1, "max_new_tokens": 12, "eos_token_id": [5, 9, 12]}
    first = model.generate(PROMPTS[0], **options)
    assert model.generate(PROMPTS, **options)[0] == first
    assert model.generate(PROMPTS[:1] * 4, **options)[0] == first
    fourth = [model.generate([*others, PROMPTS[3]], **options)[3] for others in (PROMPTS[:3], PROMPTS[2::-1], [[8] * 20] * 3)]
    assert fourth[0] == fourth[1] == fourth[2]


def test_equal_prompts_get_different_draws():
    options = {"do_sample": True, "seed": 0, "max_new_tokens": 12, "eos_token_id": []}
    texts = random_model().generate([[1, 2]] * 4, **options)
    assert len({tuple(text) for text in texts}) == 4
    assert random_model().generate([1, 2], num_return_sequences=4, **options) == texts


def test_sequences_of_one_prompt_stand_together():
    texts = BYTE_MODEL.generate(["one", "two"], do_sample=True, num_return_sequences=3, seed=0, max_new_tokens=4)
    assert [text[:3] for text in texts] == ["one"] * 3 + ["two"] * 3
    assert len(set(texts)) == 6


# forms of prompts and results


def test_text_gives_text_and_ids_give_ids():
    model = random_model()
    alone = [model.generate(ids, max_new_tokens=2) for ids in ([1, 2], [3, 4])]
    assert [len(ids) for ids in alone] == [4, 4]
    for rows in ([[1, 2], [3, 4]], ([1, 2], (3, 4)), np.array([[1, 2], [3, 4]]), [np.array([1, 2]), np.array([3, 4])]):
        assert model.generate(rows, max_new_tokens=2) == alone
    for ids in ((1, 2), np.array([1, 2]), np.array([1, 2], np.uint8)):
        found = model.generate(ids, max_new_tokens=2)
        assert found == alone[0] and all(type(id) is int for id in found)
    assert model.generate([[1, 2]], max_new_tokens=2) == alone[:1]


def test_a_list_of_texts_gives_a_flat_list_and_may_hold_ids_too():
    text = BYTE_MODEL.generate("ab", max_new_tokens=3)
    assert isinstance(text, str) and text.startswith("ab")
    ids = BYTE_MODEL.generate([97, 98], max_new_tokens=3)
    assert BYTES.decode(ids) == text
    assert BYTE_MODEL.generate(["ab"], max_new_tokens=3) == [text]
    assert BYTE_MODEL.generate(["ab", [97, 98]], max_new_tokens=3) == [text, ids]
    several = BYTE_MODEL.generate("ab", max_new_tokens=3, do_sample=True, num_return_sequences=2)
    assert isinstance(several, list) and len(several) == 2


def test_prompt_ids_are_not_changed():
    prompt = [1, 2]
    random_model().generate(prompt, max_new_tokens=3)
    assert prompt == [1, 2]


def test_the_prompt_is_kept_to_the_letter_and_special_tokens_are_left_out_of_new_text():
    prompt = f"  a\r\n\u00e9\u0301{END_OF_TEXT}\ufffd "
    after = len(BYTES.encode(prompt))
    options = {"logits_processor": [writes([97, END, 98, 97], after)], "max_new_tokens": 4}
    assert BYTE_MODEL.generate(prompt, eos_token_id=[], **options) == prompt + "aba"
    assert BYTE_MODEL.generate(prompt, **options) == prompt + "a"
    assert "".join(BYTE_MODEL.stream(prompt, eos_token_id=[], **options)) == prompt + "aba"


def test_an_empty_prompt_begins_with_bos():
    ids = BYTE_MODEL.generate([END], max_new_tokens=5)
    assert BYTE_MODEL.generate("", max_new_tokens=5) == BYTES.decode(ids, skip_special_tokens=True)
    assert "".join(BYTE_MODEL.stream("", max_new_tokens=5)) == BYTE_MODEL.generate("", max_new_tokens=5)
    assert BYTE_MODEL.generate(["", "abc"], max_new_tokens=5)[0] == BYTE_MODEL.generate("", max_new_tokens=5)
    with pytest.raises(NeoError, match=r"prompt is empty.*bos_token_id"):
        byte_model(bos_token_id=None).generate("")


@pytest.mark.parametrize("prompt", [None, 5, {"a": 1}, [], (), np.zeros((0, 3), int), np.array(3)])
def test_what_is_no_prompt_is_refused(prompt):
    with pytest.raises(NeoError, match="prompt must be a text, token ids, or a list of either"):
        BYTE_MODEL.generate(prompt)


@pytest.mark.parametrize("prompt", [["a", 5], [["a"]], [[1], []], [1.5], np.array([0.5]), [None], [[[1]]]])
def test_what_is_no_prompt_in_a_list_is_refused(prompt):
    with pytest.raises(NeoError, match="each prompt must be a text or a list of token ids"):
        BYTE_MODEL.generate(prompt)


@pytest.mark.parametrize("prompt", [[1, 5000], [[1], [-1]], [True, False], np.zeros(0, int)])
def test_ids_that_the_model_does_not_have_are_refused(prompt):
    with pytest.raises(NeoError, match="id"):
        BYTE_MODEL.generate(prompt)


def test_text_without_a_tokenizer_is_refused():
    with pytest.raises(NeoError, match="no tokenizer, so prompts must be token ids"):
        random_model().generate("text")
    with pytest.raises(NeoError, match=r"stop_strings.*no tokenizer"):
        random_model().generate([1], stop_strings="a")


# the end


def test_a_text_ends_with_the_token_that_ends_it():
    model, ids = random_model(), list(range(10, 20))
    options = {"logits_processor": [writes(ids, 2)], "max_new_tokens": 10}
    assert model.generate([1, 2], **options) == [1, 2, *ids]
    assert model.generate([1, 2], eos_token_id=12, **options) == [1, 2, 10, 11, 12]
    assert model.generate([1, 2], eos_token_id=[17, 14], **options) == [1, 2, 10, 11, 12, 13, 14]
    assert model.generate([1, 12], eos_token_id=12, **options) == [1, 12, 10, 11, 12]  # one in the prompt ends nothing
    model.generation_config["eos_token_id"] = 11
    assert model.generate([1, 2], **options) == [1, 2, 10, 11]
    assert model.generate([1, 2], eos_token_id=[], **options) == [1, 2, *ids]


@pytest.mark.parametrize("given, length", [({}, 24), ({"max_new_tokens": 3}, 7), ({"max_length": 9}, 9)])
def test_a_text_ends_at_its_greatest_length(given, length):
    assert len(random_model().generate([1, 2, 3, 4], eos_token_id=[], **given)) == length


@pytest.mark.parametrize("given, forced", [({}, 0), ({"min_length": 9}, 5), ({"min_new_tokens": 7}, 7), ({"min_length": 3}, 0)])
def test_a_text_does_not_end_before_its_least_length(given, forced):
    """All tokens but one would end this one; that one is all there is until the least length is reached."""
    ends = [id for id in range(50) if id != 33]
    text = random_model().generate([1, 2, 3, 4], max_new_tokens=20, eos_token_id=ends, **given)
    assert text[4:-1] == [33] * forced and text[-1] != 33


def test_a_padded_vocabulary_never_gives_an_id_without_a_token():
    """Rows for such ids are in the weights, and here they would win by far."""
    model = byte_model(vocab_size=len(BYTES) + 43)
    model.params.wte.weight[len(BYTES) :] = model.params.wte.weight[:43] * 5
    assert model.logits([97])[-1].argmax() >= len(BYTES)
    for options in ({}, {"do_sample": True, "temperature": 5.0, "top_k": 0}, {"num_beams": 3}):
        ids = model.generate([[97], [98]], max_new_tokens=30, eos_token_id=[], **options)
        assert max(max(row) for row in ids) < len(BYTES)


# sliding past the last position


def slow_slide(model, prompt, number):
    """Greedy; a full model goes on with the last half of what fits, from position 0 on."""
    positions = model.config.max_position_embeddings
    ids, seen = list(prompt), list(prompt)
    for _ in range(number):
        if len(seen) > positions:
            seen = seen[-max(1, positions // 2) :]
        ids.append(int(np.argmax(model.logits(seen)[-1])))
        seen.append(ids[-1])
    return ids


@pytest.mark.parametrize("positions", [1, 2, 7, 16])
@pytest.mark.parametrize("prompt_length", [1, 7, 40])
def test_sliding_goes_on_with_the_last_half(positions, prompt_length):
    model = random_model(max_position_embeddings=positions)
    prompt = np.random.default_rng(positions).integers(0, 50, prompt_length).tolist()
    assert model.generate(prompt, max_new_tokens=30, slide=True, eos_token_id=[]) == slow_slide(model, prompt, 30)


def test_sliding_rows_of_a_batch_are_what_each_is_alone():
    model = random_model(1, std=0.3, max_position_embeddings=16)
    prompts = [[1, 2, 3], [5, 6, 7] * 4, [9] * 40]
    together = model.generate(prompts, max_new_tokens=40, slide=True, eos_token_id=[])
    assert together == [slow_slide(model, prompt, 40) for prompt in prompts]


def test_beams_slide_too():
    """One beam that is always far ahead is the greedy text."""
    model = random_model(max_position_embeddings=8)
    ids = np.random.default_rng(0).integers(0, 50, 30).tolist()
    options = {"logits_processor": [writes(ids, 1)], "max_new_tokens": 30, "slide": True, "eos_token_id": []}
    assert model.generate([1], num_beams=2, **options) == [1, *ids]


def test_without_sliding_the_last_position_is_the_end():
    with pytest.raises(NeoError, match=r"32 positions.*slide=True"):
        random_model().generate([1, 2], max_new_tokens=31)
    assert len(random_model().generate([1, 2], max_new_tokens=30, eos_token_id=[])) == 32


# stop strings

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
def test_stop_strings_end_the_text_wherever_tokens_begin_and_end(prompt, ids, cut, data):
    """And stream gives the same text, so it prints no part of a stop string that is to be cut, and no half characters."""
    prompt_ids = BYTES.encode(prompt)
    pieces = [BYTES.decode_bytes([id], skip_special_tokens=True) for id in ids]
    whole = (prompt.encode() + b"".join(pieces)).decode("utf-8", "ignore")
    inside = st.builds(lambda start, length: whole[start : start + length], st.integers(0, len(whole) - 1), st.integers(1, 9))
    stops = data.draw(st.lists(inside | some_text, min_size=1, max_size=3))
    options = {
        "logits_processor": [writes(ids, len(prompt_ids))],
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
def test_examples_of_stop_strings(stop, whole, cut):
    prompt = "Hen: "
    options = {"logits_processor": [writes(b"The dog sat on a dogma", len(prompt))], "max_new_tokens": 22, "stop_strings": stop}
    assert BYTE_MODEL.generate(prompt, **options) == prompt + whole
    assert BYTE_MODEL.generate(prompt, cut_stop_string=True, **options) == prompt + cut
    assert "".join(BYTE_MODEL.stream(prompt, cut_stop_string=True, **options)) == prompt + cut


def test_a_token_that_holds_a_stop_string_twice_is_cut_at_the_first():
    options = {"logits_processor": [writes([120, BYTES.vocab["abab"]], 1)], "max_new_tokens": 2, "stop_strings": "ab"}
    assert BYTE_MODEL.generate("?", cut_stop_string=True, **options) == "?x"
    assert BYTE_MODEL.generate("?", **options) == "?xabab"


def test_rows_stop_each_at_its_own_stop_string(tales):
    prompts = ["Once upon a time", "The king said", "A princess"]
    options = {"stop_strings": [" the", ","], "max_new_tokens": 30}
    together = tales.generate(prompts, **options)
    assert together == [tales.generate(prompt, **options) for prompt in prompts]
    assert len({len(text) for text in together}) == 3


# streaming


@settings(max_examples=25)
@given(
    st.integers(0, 2**32),
    st.lists(st.sampled_from([" the", "e", "he ", ", and", ".", "qu", "n the", "\n\n"]), max_size=3),
    st.booleans(),
)
def test_stream_gives_the_text_of_generate(tales, seed, stops, cut):
    options = {"do_sample": True, "seed": seed, "max_new_tokens": 25, "stop_strings": stops, "cut_stop_string": cut}
    pieces = list(tales.stream("The prince asked th", **options))
    assert pieces[0] == "The prince asked th"
    assert "".join(pieces) == tales.generate("The prince asked th", **options)


@pytest.mark.parametrize("seed", range(10))
def test_stream_gives_no_half_characters(seed):
    """Of random bytes: what is broken in the end shows as U+FFFD, just as often as in the whole text."""
    options = {"do_sample": True, "seed": seed, "max_new_tokens": 40, "temperature": 2.0, "top_k": 0}
    text = BYTE_MODEL.generate("a", **options)
    assert "".join(BYTE_MODEL.stream("a", **options)) == text
    assert "\ufffd" in text


def test_stream_gives_a_character_when_its_last_byte_is_there():
    said = "\u00e9\U0001f600a"  # of two, four and one byte
    options = {"logits_processor": [writes([*said.encode()], 1)], "max_new_tokens": 7}
    assert list(BYTE_MODEL.stream("x", **options)) == ["x", *said]
    options["max_new_tokens"] = 4  # in the middle of the second
    assert list(BYTE_MODEL.stream("x", **options)) == ["x", "\u00e9", "\ufffd"]


def test_stream_gives_each_piece_before_the_next_token_is_chosen():
    chosen = []

    def watch(logits, ids):
        chosen.append(len(ids))
        return writes(b"abcabc", 1)(logits, ids)

    stream = BYTE_MODEL.stream("x", logits_processor=[watch], max_new_tokens=6, stop_strings="caba", cut_stop_string=True)
    seen = [(piece, len(chosen)) for piece in stream]
    assert seen == [("x", 0), ("a", 1), ("b", 2), ("cabc", 6)]  # "cab" might have been the stop string


@pytest.mark.parametrize("prompt", [["a"], [97, 98], [[97], [98]], np.array([97])])
def test_stream_refuses_what_is_not_one_text(prompt):
    with pytest.raises(NeoError, match="stream wants one text"):
        BYTE_MODEL.stream(prompt)


@pytest.mark.parametrize("options", [{"num_beams": 2}, {"do_sample": True, "num_return_sequences": 2}])
def test_stream_refuses_more_than_one_sequence(options):
    with pytest.raises(NeoError, match="stream follows one sequence"):
        BYTE_MODEL.stream("a", **options)


@pytest.mark.parametrize("call", ["generate", "stream"])
def test_options_are_checked_before_anything_is_written(call):
    with pytest.raises(NeoError, match=r"top_p is 1\.5"):
        getattr(BYTE_MODEL, call)("a", do_sample=True, top_p=1.5)
    with pytest.raises(NeoError, match="48 positions"):
        getattr(BYTE_MODEL, call)("a", max_new_tokens=100)
