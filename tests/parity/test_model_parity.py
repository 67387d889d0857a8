"""The model against transformers and torch, on fresh random models of many shapes, up to GPT-Neo 125M's with 2048 tokens."""

import subprocess
import sys
from pathlib import Path

import make_golden
import numpy as np
import pytest
import torch
from pairs import distance, random_pair

from neo_np.gpt_neo import forward as layers
from neo_np.gpt_neo import loss
from neo_np.gpt_neo.params import parameter_shapes

ACTIVATIONS = {
    "gelu_new": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "gelu": torch.nn.functional.gelu,
    "relu": torch.nn.functional.relu,
    "silu": torch.nn.functional.silu,
}


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


def random_shape(rng):
    """Return random entries for a config: up to 4 layers, any pattern, any window, any activation."""
    kinds = rng.choice(["global", "local"], size=rng.integers(1, 5)).tolist()
    num_heads = int(rng.integers(1, 6))
    return {
        "num_layers": len(kinds),
        "attention_types": [[kinds, 1]],
        "num_heads": num_heads,
        "hidden_size": num_heads * int(rng.integers(1, 13)) + num_heads,
        "intermediate_size": [None, int(rng.integers(1, 100))][rng.integers(2)],
        "window_size": int(rng.integers(1, 40)),
        "vocab_size": int(rng.integers(5, 200)),
        "activation_function": rng.choice(list(ACTIVATIONS)).item(),
        "layer_norm_epsilon": float(rng.choice([1e-5, 1e-6, 1e-3, 0.1])),
        "tie_word_embeddings": bool(rng.integers(2)),
    }


@pytest.fixture(params=range(24))
def case(request):
    """A pair of models in a random shape, and a generator of random numbers."""
    rng = np.random.default_rng(request.param)
    return *random_pair(request.param, **random_shape(rng)), rng


def random_ids(model, rng, *shape):
    return rng.integers(model.config.vocab_size, size=shape)


def check_forward_pass(reference, model, ids):
    """Hold hidden states, logits and loss of ids (B, T) against the reference's; return what was recorded there."""
    expected = make_golden.record(reference, torch.from_numpy(ids))
    for state, wanted in zip(model.hidden_states(ids), expected["hidden_states"], strict=True):
        assert distance(state, wanted) < 1e-5
    np.testing.assert_allclose(model.logits(ids), expected["logits"], rtol=0, atol=1e-4)
    assert model.loss(ids) == pytest.approx(expected["loss"].item(), abs=1e-5)
    return expected


def test_forward_pass(case):
    reference, model, rng = case
    ids = random_ids(model, rng, 3, rng.integers(2, 80))
    expected = check_forward_pass(reference, model, ids)
    np.testing.assert_allclose(np.array(model.attentions(ids)), expected["attention_weights"], rtol=1e-4, atol=1e-6)


def test_batch_with_left_padding(case):
    reference, model, rng = case
    mask = (np.arange(30) >= rng.integers(30, size=(5, 1))).astype(int)
    ids = random_ids(model, rng, 5, 30)
    given = torch.from_numpy(mask)
    expected = reference(torch.from_numpy(ids), attention_mask=given, position_ids=make_golden.positions_from(given)).logits
    found = model.logits(ids, mask=mask)
    np.testing.assert_allclose(found[mask == 1], expected.numpy()[mask == 1], rtol=0, atol=1e-4)


def test_cache(case):
    """The same pieces of a text through both caches give the same logits and leave the same keys and values."""
    reference, model, rng = case
    ids = random_ids(model, rng, 2, 60)
    cuts = np.sort(rng.choice(np.arange(1, 60), size=6, replace=False))
    cache, theirs = model.new_cache(batch=2), None
    for piece in np.split(ids, cuts, axis=1):
        out = reference(torch.from_numpy(piece), past_key_values=theirs, use_cache=True)
        theirs = out.past_key_values
        np.testing.assert_allclose(model.logits(piece, cache=cache), out.logits.numpy(), rtol=0, atol=1e-4)
    assert cache.length == theirs.get_seq_length() == 60
    for layer, their_layer in enumerate(theirs.layers):
        assert distance(cache.k[layer, :, :, :60], their_layer.keys.numpy()) < 1e-5
        assert distance(cache.v[layer, :, :, :60], their_layer.values.numpy()) < 1e-5


def test_parameter_shapes(case):
    reference, model, _ = case
    theirs = {name.removeprefix("transformer."): tuple(p.shape) for name, p in reference.named_parameters()}
    assert parameter_shapes(model.config) == theirs


@pytest.mark.parametrize("seed", range(3))
def test_greedy_text_over_200_tokens(seed):
    reference, model = random_pair(seed)
    rng = np.random.default_rng(seed)
    for options in make_golden.GREEDY:
        expected = make_golden.greedy(reference, rng, options)
        assert model.generate(expected["prompt"], max_new_tokens=200, **options) == expected["ids"]


@pytest.mark.parametrize("options", make_golden.BEAMS)
def test_beam_search(options):
    reference, model = random_pair(len(options))
    expected = make_golden.beams(reference, np.random.default_rng(1), options, attempts=5)
    found = model.generate(expected["prompt"], max_new_tokens=24, **options)
    assert found == (expected["ids"] if "num_return_sequences" in options else expected["ids"][0])


@pytest.mark.parametrize("window_size", [1, 100, 255, 256, 257, 600])
def test_texts_longer_than_a_block_of_queries(window_size):
    reference, model = random_pair(num_layers=2, window_size=window_size, max_position_embeddings=1024)
    ids = random_ids(model, np.random.default_rng(0), 2, 700)
    expected = check_forward_pass(reference, model, ids)
    np.testing.assert_allclose(np.array(model.attentions(ids)), expected["attention_weights"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("depth", [12, 24])
def test_deep_models_with_small_weights(depth):
    reference, model = random_pair(std=0.02, num_layers=depth, attention_types=[[["global", "local"], depth // 2]])
    check_forward_pass(reference, model, random_ids(model, np.random.default_rng(0), 2, 100))


def test_the_shape_of_gpt_neo_125m_at_2048_tokens():
    attention_types = [[["global", "local"], 6]]
    shape = {"vocab_size": 50257, "hidden_size": 768, "num_heads": 12, "num_layers": 12, "attention_types": attention_types}
    reference, model = random_pair(std=0.02, **shape, window_size=256, max_position_embeddings=2048)
    ids = random_ids(model, np.random.default_rng(0), 1, 2048)
    names, seen = ["embed", *(f"h.{layer}" for layer in range(11)), "ln_f"], {}  # transformers leaves out h.11
    logits = model.logits(ids, hook=lambda name, x: seen.update({name: x}) if name in names else None)
    expected = reference(torch.from_numpy(ids), output_hidden_states=True)
    for name, state in zip(names, expected.hidden_states, strict=True):
        assert distance(seen[name], state.numpy()) < 1e-5
    np.testing.assert_allclose(logits, expected.logits.numpy(), rtol=0, atol=1e-4)


# Resident memory, in a process of its own: the weights are made, then a prompt is read in as generate does it.
PREFILL = """
import resource, sys
import numpy as np
from neo_np import Config, Model, Params
from neo_np.gpt_neo.params import parameter_shapes

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

config = Config(50257, 768, 12, 12, 2048, ["global", "local"] * 6)
named = {name: np.full(shape, 0.01, np.float32) for name, shape in parameter_shapes(config).items()}
model, before = Model(config, Params(named)), peak()
model.logits(np.arange(2048), cache=model.new_cache(), logits_to_keep=1)
print(sum(array.nbytes for array in named.values()), before, peak())
"""


def test_a_prompt_of_2048_tokens_takes_less_than_400_megabytes_above_the_weights():
    root = Path(__file__).resolve().parent.parent.parent
    run = subprocess.run([sys.executable, "-c", PREFILL], cwd=root, capture_output=True, text=True, check=True)
    weights, before, after = map(int, run.stdout.split())
    assert weights <= before  # the weights were really there
    assert after - before < 400e6


# Layers against torch, in float64 so that nothing hides in rounding

GRID = np.linspace(-30, 30, 60_001)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_against_torch(name):
    found, expected = layers.ACTIVATIONS[name](GRID), ACTIVATIONS[name](torch.from_numpy(GRID)).numpy()
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("eps", [1e-5, 1e-3])
def test_layer_norm_against_torch(eps):
    x, weight, bias = make_random(7, 33), make_random(33), make_random(2, 33)[1]
    given, w, b = map(torch.from_numpy, (x, weight, bias))
    expected = torch.nn.functional.layer_norm(given, [33], w, b, eps)
    np.testing.assert_allclose(layers.layer_norm(x, weight, bias, eps), expected.numpy(), rtol=1e-12, atol=1e-12)


def test_softmax_and_cross_entropy_against_torch():
    x, targets = 10 * make_random(6, 40), np.arange(6)
    given = torch.from_numpy(x)
    np.testing.assert_allclose(layers.softmax(x), given.softmax(-1).numpy(), rtol=1e-12)
    np.testing.assert_allclose(loss.log_softmax(x), given.log_softmax(-1).numpy(), rtol=1e-12, atol=1e-14)
    expected = torch.nn.functional.cross_entropy(given, torch.from_numpy(targets), reduction="none")
    np.testing.assert_allclose(loss.cross_entropy(x, targets), expected.numpy(), rtol=1e-12)


def make_random(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)
