"""What the page holds, decoded again, against the numbers of the run."""

import json

import numpy as np
import pytest
from explain_helpers import hostile_ids, hostile_model, page_data, unpack
from helpers import random_model

from neo_np.explain import explain
from neo_np.explain.pack import block, signed_block, weights_block, weights_bytes

HALF_A_CODE = 7.7e-6


def test_weights_decoded_are_within_half_a_code():
    weights = np.tril(np.random.default_rng(0).random((2, 3, 9, 9))).astype(np.float32)
    weights[0, 0, 0, 0], weights[0, 0, 1, 0] = 1, 0
    found = unpack(weights_block(weights))
    assert found.shape == weights.shape
    assert np.abs(found - weights).max() <= HALF_A_CODE
    assert found[0, 0, 0, 0] == 1 and found[0, 0, 1, 0] == 0


def test_signed_rows_decoded_are_within_half_a_code_of_their_row():
    rows = np.tril(np.random.default_rng(0).standard_normal((2, 2, 7, 7)))
    rows[0, 0, 3] *= 1e6
    rows[1, 1, 2] = 0
    found = unpack(signed_block(rows))
    assert (np.abs(found - rows) <= 0.51 / 32767 * np.abs(rows).max(axis=-1, keepdims=True)).all()
    assert not found[1, 1, 2].any()


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (np.array([[1.5, -2.25]]), "f4"),
        (np.array([3, -1]), "i4"),
        (np.array([True, False]), "u1"),
        (np.zeros((0, 4)), "f4"),
    ],
)
def test_block_of_an_array_gives_it_back(array, kind):
    found = block(array)
    assert found["type"] == kind
    assert unpack(found).tolist() == array.tolist()


def test_block_is_little_endian_whatever_the_array_was():
    big = np.array([1, 258], ">i8")
    assert unpack(block(big)).tolist() == [1, 258]
    assert block(big)["base64"] == block(big.astype("<i4"))["base64"]


def test_weights_bytes_is_the_size_of_the_block():
    for T in (1, 5, 16):
        size = len(weights_block(np.zeros((3, 2, T, T)))["base64"])
        assert abs(size - weights_bytes(3, 2, T)) <= 4


@pytest.fixture(params=["tales", "random", "one_head", "hostile"])
def page(request):
    if request.param == "tales":
        return explain(request.getfixturevalue("tales"), "Once upon a time", max_new_tokens=20)
    if request.param == "hostile":
        model = hostile_model()
        return explain(model, hostile_ids(model), max_new_tokens=6, eos_token_id=[])
    heads = 1 if request.param == "one_head" else 3
    return explain(random_model(std=0.3, num_heads=heads), [3, 1, 4, 1, 5], max_new_tokens=9, eos_token_id=[])


def test_page_decoded_equals_the_data(page):
    found = page_data(page.html())
    for name, value in page.data.items():
        if not isinstance(value, np.ndarray):
            assert found[name] == json.loads(json.dumps(value)), name
            continue
        if name == "attention":
            assert np.abs(found[name] - value).max() <= HALF_A_CODE
        elif name.startswith("source."):
            assert (np.abs(found[name] - value) <= 0.51 / 32767 * np.abs(value).max(axis=-1, keepdims=True)).all()
        elif value.dtype.kind == "f":
            assert found[name].tobytes() == value.astype("<f4").tobytes(), name
        else:
            assert found[name].tolist() == value.astype(int).tolist(), name


def test_page_attention_equals_the_model(page):
    found = page_data(page.html())
    assert np.abs(found["attention"].sum(axis=-1) - 1).max() <= HALF_A_CODE * len(page.data["ids"])


def test_attention_in_the_page_equals_the_models_own(tales):
    page = explain(tales, "Once upon a time there was", max_new_tokens=8)
    found = page_data(page.html())["attention"]
    assert np.abs(found - np.stack(tales.attentions(page.data["ids"]))).max() <= HALF_A_CODE
