"""Forms of prompts and of results."""

import array

import numpy as np
import pytest
from helpers import BYTES, END, END_OF_TEXT, byte_model, forced, random_model

from neo_np import NeoError, Tokenizer

BYTE_MODEL = byte_model()


def test_prompt_of_ids_in_any_form_gives_lists_of_int():
    model = random_model()
    alone = [model.generate(ids, max_new_tokens=2) for ids in ([1, 2], [3, 4])]
    assert [len(ids) for ids in alone] == [4, 4]
    for rows in ([[1, 2], [3, 4]], ([1, 2], (3, 4)), np.array([[1, 2], [3, 4]]), [np.array([1, 2]), np.array([3, 4])]):
        assert model.generate(rows, max_new_tokens=2) == alone
    for ids in ((1, 2), np.array([1, 2]), np.array([1, 2], np.uint8)):
        found = model.generate(ids, max_new_tokens=2)
        assert found == alone[0] and all(type(id) is int for id in found)
    assert model.generate([[1, 2]], max_new_tokens=2) == alone[:1]


def test_prompt_list_of_texts_and_ids_gives_flat_list():
    text = BYTE_MODEL.generate("ab", max_new_tokens=3)
    assert isinstance(text, str) and text.startswith("ab")
    ids = BYTE_MODEL.generate([97, 98], max_new_tokens=3)
    assert BYTES.decode(ids) == text
    assert BYTE_MODEL.generate(["ab"], max_new_tokens=3) == [text]
    assert BYTE_MODEL.generate(["ab", [97, 98]], max_new_tokens=3) == [text, ids]
    several = BYTE_MODEL.generate("ab", max_new_tokens=3, do_sample=True, num_return_sequences=2)
    assert isinstance(several, list) and len(several) == 2


class ArrayLike:
    """An array of another library."""

    def __init__(self, values, with_list=True):
        self.values = values
        if with_list:
            self.tolist = lambda: values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype)


@pytest.mark.parametrize(
    "wrap",
    [ArrayLike, lambda ids: ArrayLike(ids, with_list=False), lambda ids: array.array("q", ids), lambda ids: range(1, 3)],
)
def test_prompt_array_like_is_taken_as_ids(wrap):
    model = random_model()
    expected = model.generate([1, 2], max_new_tokens=3)
    assert model.generate(wrap([1, 2]), max_new_tokens=3) == expected
    assert model.generate([wrap([1, 2]), [1, 2]], max_new_tokens=3) == [expected] * 2


def test_prompt_array_like_of_two_axes_is_a_list_of_rows():
    model = random_model()
    expected = [model.generate([1, 2], max_new_tokens=3)]
    assert model.generate(ArrayLike([[1, 2]]), max_new_tokens=3) == expected
    assert model.generate(ArrayLike([[1, 2]], with_list=False), max_new_tokens=3) == expected
    assert model.generate([ArrayLike(1), ArrayLike(2)], max_new_tokens=3) == expected[0]


@pytest.mark.parametrize("prompt, hint", [({"input_ids": [[1]]}, "Give its input_ids"), (None, "first argument")])
def test_prompt_of_a_tokenizer_or_missing_has_a_hint(prompt, hint):
    with pytest.raises(NeoError, match=hint):
        BYTE_MODEL.generate(prompt)


def test_prompt_by_name_has_a_hint():
    for call in (BYTE_MODEL.generate, BYTE_MODEL.stream):
        with pytest.raises(NeoError, match="input_ids is not an option of neo_np: the prompt is the first argument"):
            call(input_ids=[1, 2])


def test_prompt_with_ids_beyond_the_model_raises():
    """The tokenizer may have more tokens than the model."""
    model = byte_model(vocab_size=END + 1)
    assert model.generate("ab", max_new_tokens=1).startswith("ab")
    model.tokenizer = Tokenizer({**BYTES.vocab, "<pad>": 300}, [], {"<pad>": 300})
    with pytest.raises(NeoError, match="300"):
        model.generate("a<pad>")


def test_bos_token_id_of_the_call_starts_an_empty_prompt():
    expected = BYTE_MODEL.generate([98], max_new_tokens=5, eos_token_id=[])
    assert BYTE_MODEL.generate("", max_new_tokens=5, bos_token_id=98, eos_token_id=[]) == BYTES.decode(
        expected[1:], skip_special_tokens=True
    )


def test_prompt_ids_stay_unchanged():
    prompt = [1, 2]
    random_model().generate(prompt, max_new_tokens=3)
    assert prompt == [1, 2]


def test_text_keeps_the_prompt_exactly_and_leaves_special_tokens_out():
    prompt = f"  a\r\n\u00e9\u0301{END_OF_TEXT}\ufffd "
    after = len(BYTES.encode(prompt))
    options = {"logits_processor": [forced([97, END, 98, 97], after)], "max_new_tokens": 4}
    assert BYTE_MODEL.generate(prompt, eos_token_id=[], **options) == prompt + "aba"
    assert BYTE_MODEL.generate(prompt, **options) == prompt + "a"
    assert "".join(BYTE_MODEL.stream(prompt, eos_token_id=[], **options)) == prompt + "aba"


def test_prompt_empty_starts_from_bos():
    ids = BYTE_MODEL.generate([END], max_new_tokens=5)
    assert BYTE_MODEL.generate("", max_new_tokens=5) == BYTES.decode(ids, skip_special_tokens=True)
    assert "".join(BYTE_MODEL.stream("", max_new_tokens=5)) == BYTE_MODEL.generate("", max_new_tokens=5)
    assert BYTE_MODEL.generate(["", "abc"], max_new_tokens=5)[0] == BYTE_MODEL.generate("", max_new_tokens=5)
    with pytest.raises(NeoError, match=r"prompt is empty.*bos_token_id"):
        byte_model(bos_token_id=None).generate("")


@pytest.mark.parametrize("prompt", [None, 5, {"a": 1}, [], (), np.zeros((0, 3), int), np.array(3)])
def test_prompt_of_another_type_raises(prompt):
    with pytest.raises(NeoError, match="prompt must be a text, token ids, or a list of either"):
        BYTE_MODEL.generate(prompt)


@pytest.mark.parametrize("prompt", [["a", 5], [["a"]], [[1], []], [1.5], np.array([0.5]), [None], [[[1]]]])
def test_prompt_of_another_type_in_a_list_raises(prompt):
    with pytest.raises(NeoError, match="each prompt must be a text or a list of token ids"):
        BYTE_MODEL.generate(prompt)


@pytest.mark.parametrize("prompt", [[1, 5000], [[1], [-1]], [True, False], np.zeros(0, int)])
def test_prompt_ids_outside_the_vocabulary_raise(prompt):
    with pytest.raises(NeoError, match="id"):
        BYTE_MODEL.generate(prompt)


def test_prompt_text_without_tokenizer_raises():
    with pytest.raises(NeoError, match="no tokenizer, so prompts must be token ids"):
        random_model().generate("text")
    with pytest.raises(NeoError, match=r"stop_strings.*no tokenizer"):
        random_model().generate([1], stop_strings="a")
