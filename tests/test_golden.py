"""Every component against what transformers computed: tests/golden/, made by tests/parity/make_golden.py."""

import json
from pathlib import Path

import numpy as np
import pytest

from neo_np import Model
from neo_np.checkpoint.loading import load_config, load_params
from neo_np.generate.logits_processors import make_logits_processors
from neo_np.generate.options import Options
from neo_np.generate.sampling import process_logits

GOLDEN = Path(__file__).parent / "golden"
PROCESSED = json.loads((GOLDEN / "processed_logits.json").read_text(encoding="utf-8"))


def distance(found, expected):
    """Return the norm of the difference over the norm."""
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module", params=sorted(file.parent.name for file in GOLDEN.glob("*/config.json")))
def folder(request):
    return GOLDEN / request.param


@pytest.fixture(scope="module")
def model(folder):
    params, config = load_params(folder, load_config(folder / "config.json"))
    return Model(config, params)


@pytest.fixture(scope="module")
def arrays(folder):
    with np.load(folder / "expected.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def texts(folder):
    return json.loads((folder / "expected.json").read_text(encoding="utf-8"))


def test_there_are_golden_models_of_many_shapes():
    configs = [load_config(file) for file in GOLDEN.glob("*/config.json")]
    assert {"gelu_new", "gelu", "relu", "silu"} == {config.activation_function for config in configs}
    assert {1, 3, 5, 7} < {config.window_size for config in configs}
    assert {("global",), ("local",), ("global", "local")} == {tuple(sorted(set(c.attention_layers))) for c in configs}
    assert {True, False} == {config.tie_word_embeddings for config in configs}
    assert {True, False} == {config.intermediate_size == 4 * config.hidden_size for config in configs}
    assert {1e-5, 1e-3} == {config.layer_norm_epsilon for config in configs}
    assert {1, 2, 3, 4} == {config.num_heads for config in configs}


def test_each_hidden_state(model, arrays):
    found = model.hidden_states(arrays["ids"])
    assert len(found) == len(arrays["hidden_states"]) == model.config.num_layers + 2
    for state, expected in zip(found, arrays["hidden_states"], strict=True):
        assert distance(state, expected) < 1e-5


def test_attention_map_of_each_layer(model, arrays):
    seen = {}
    model.logits(arrays["ids"], hook=seen.__setitem__)
    for layer, expected in enumerate(arrays["attention_weights"]):
        np.testing.assert_allclose(seen[f"h.{layer}.attn.weights"], expected, rtol=1e-4, atol=1e-6)


def test_logits(model, arrays):
    np.testing.assert_allclose(model.logits(arrays["ids"]), arrays["logits"], rtol=0, atol=1e-4)


def test_logits_token_by_token_with_a_cache(model, arrays):
    cache = model.new_cache(batch=len(arrays["ids"]))
    found = np.concatenate([model.logits(column[:, None], cache=cache) for column in arrays["ids"].T], axis=1)
    np.testing.assert_allclose(found, arrays["logits"], rtol=0, atol=1e-4)


def test_loss(model, arrays):
    assert model.loss(arrays["ids"]) == pytest.approx(float(arrays["loss"]), abs=1e-5)


def test_logits_of_texts_padded_on_the_left(model, arrays):
    mask = arrays["padded_mask"]
    found = model.logits(arrays["padded_ids"], mask=mask)
    np.testing.assert_allclose(found[mask == 1], arrays["padded_logits"][mask == 1], rtol=0, atol=1e-4)


def test_greedy_text_over_200_tokens(model, texts):
    for expected in texts["greedy"]:
        assert model.generate(expected["prompt"], max_new_tokens=200, **expected["options"]) == expected["ids"]


def test_beam_search(model, texts):
    for expected in texts["beams"]:
        found = model.generate(expected["prompt"], max_new_tokens=24, **expected["options"])
        assert found == (expected["ids"] if "num_return_sequences" in expected["options"] else expected["ids"][0])


@pytest.mark.parametrize("name", PROCESSED)
def test_processed_logits(name):
    options = Options(**PROCESSED[name])
    with np.load(GOLDEN / "processed_logits.npz") as arrays:
        expected, ids = arrays[name], arrays["ids"].tolist()
        given = arrays["log_probs" if options.num_beams > 1 else "logits"]
    limits = options.limits(len(ids[0]), positions=256)
    for row, text, wanted in zip(given, ids, expected, strict=True):
        processors = make_logits_processors(options, text, *limits)
        before = row.copy()
        np.testing.assert_array_equal(process_logits(row, text, processors), wanted)
        np.testing.assert_array_equal(row, before)  # a processor does not change the array that it gets
