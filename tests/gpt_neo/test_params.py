"""What a checkpoint's config must say, what it may leave out, and the tree of the weights."""

import json

import numpy as np
import pytest
from helpers import SMALL, random_model
from hypothesis import given
from hypothesis import strategies as st

from neo_np import Config, NeoError, Params
from neo_np.gpt_neo.params import count, parameter_shapes, random_params

# A config.json of the hub's, shortened.
FILE = {
    "activation_function": "gelu_new",
    "architectures": ["GPTNeoForCausalLM"],
    "attention_layers": ["global", "local", "global", "local"],
    "attention_types": [[["global", "local"], 2]],
    "bos_token_id": 50256,
    "eos_token_id": 50256,
    "hidden_size": 12,
    "initializer_range": 0.02,
    "intermediate_size": None,
    "layer_norm_epsilon": 1e-05,
    "max_position_embeddings": 16,
    "model_type": "gpt_neo",
    "num_heads": 3,
    "num_layers": 4,
    "transformers_version": "4.9.0.dev0",
    "vocab_size": 50257,
    "window_size": 8,
}


def without(*names):
    return {name: value for name, value in FILE.items() if name not in names}


def test_a_config_file_is_read():
    config = Config.from_dict(FILE)
    assert (config.vocab_size, config.hidden_size, config.num_layers, config.num_heads) == (50257, 12, 4, 3)
    assert config.attention_layers == ("global", "local", "global", "local")
    assert [config.window(layer) for layer in range(4)] == [None, 8, None, 8]
    assert config.intermediate_size == 4 * 12
    assert config.head_size == 4
    assert config.other["initializer_range"] == 0.02


def test_what_a_config_file_may_leave_out():
    names = "activation_function window_size layer_norm_epsilon intermediate_size bos_token_id eos_token_id model_type".split()
    config = Config.from_dict(without(*names, "attention_layers"))
    assert config.window_size == 256
    assert config.activation_function == "gelu_new"
    assert config.layer_norm_epsilon == 1e-5
    assert config.tie_word_embeddings is True
    assert config.attention_layers == ("global", "local", "global", "local")


def test_other_names_that_transformers_knows():
    renamed = without("num_layers", "num_heads") | {"num_hidden_layers": 4, "num_attention_heads": 3}
    assert Config.from_dict(renamed) == Config.from_dict(FILE)


@pytest.mark.parametrize(
    ("types", "layers"),
    [
        ([[["global"], 4]], ["global"] * 4),
        ([[["local", "local", "global", "local"], 1]], ["local", "local", "global", "local"]),
        ([[["global"], 1], [["local", "global"], 1], [["local"], 1]], ["global", "local", "global", "local"]),
        ([[["local"], 0], [["global", "local"], 2]], ["global", "local", "global", "local"]),
    ],
)
def test_attention_types_say_kinds_and_how_often(types, layers):
    assert Config.from_dict(without("attention_layers") | {"attention_types": types}).attention_layers == tuple(layers)


@pytest.mark.parametrize(
    ("eos", "ids"),
    [(None, []), (7, [7]), ([7, 9], [7, 9]), ([], []), (50257, []), ([7, 50257], [7]), (-1, []), ([0, -1], [0]), (10**30, [])],
)
def test_ids_that_end_a_text(eos, ids):
    config = Config.from_dict(FILE | {"eos_token_id": eos})
    assert config.eos_token_ids == ids
    assert config.to_dict()["eos_token_id"] == eos


@pytest.mark.parametrize(("bos", "start"), [(None, None), (0, 0), (50256, 50256), (50257, None), (-1, None)])
def test_start_id_of_a_bos_outside_the_vocabulary_is_none(bos, start):
    config = Config.from_dict(FILE | {"bos_token_id": bos})
    assert config.start_id == start
    assert config.to_dict()["bos_token_id"] == bos


def test_config_of_a_classifier_is_written_as_that_of_a_language_model():
    entries = FILE | {"architectures": ["GPTNeoForSequenceClassification"]}
    assert Config.from_dict(entries).to_dict()["architectures"] == ["GPTNeoForCausalLM"]


SIZES = "vocab_size hidden_size num_layers num_heads max_position_embeddings window_size intermediate_size".split()


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("value", [0, -1, 2.0, "12", True, 2**31, [12]])
def test_sizes_are_whole_numbers_above_0(name, value):
    with pytest.raises(NeoError) as error:
        Config(**SMALL | {name: value})
    assert str(error.value).startswith(f"{name} is {value!r}, and it must be a whole number above 0")


@pytest.mark.parametrize("name", ["vocab_size", "hidden_size", "num_layers", "num_heads", "max_position_embeddings"])
def test_a_missing_entry_is_named(name):
    with pytest.raises(NeoError, match=f"the entry '{name}' is missing"):
        Config.from_dict(without(name, "attention_types"))


def test_missing_attention_layers_are_named():
    with pytest.raises(NeoError, match="the entry 'attention_layers' is missing"):
        Config.from_dict(without("attention_layers", "attention_types"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hidden_size": 13}, "hidden_size 13 is not divisible by num_heads 3"),
        ({"model_type": "gpt2"}, "model_type is 'gpt2', and neo_np runs only 'gpt_neo'"),
        ({"model_type": "gpt_neox"}, "model_type is 'gpt_neox', and neo_np runs only 'gpt_neo'"),
        ({"activation_function": "tanh"}, "activation_function is 'tanh', and neo_np knows gelu_new, gelu, relu, silu"),
        ({"activation_function": None}, "activation_function is None, and neo_np knows gelu_new, gelu, relu, silu"),
        ({"num_layers": 5}, "attention_types .* name 4 layers, and num_layers is 5"),
        ({"num_layers": 5, "attention_types": None}, "attention_layers has 4 entries, and num_layers is 5"),
        ({"attention_types": [[["local", "global"], 2]]}, "attention_layers .* and attention_types .* contradict each other"),
        (
            {"attention_types": [[["global", "sparse"], 2]], "attention_layers": ["global", "sparse"] * 2},
            "type 'sparse' is unknown",
        ),
        ({"attention_types": ["global", "local"]}, "attention_types is .* must look like .*'global', 'local'.*how often"),
        ({"attention_types": 4}, "attention_types is 4, and it must look like"),
        ({"attention_types": [[["global", "local"], "2"]]}, "attention_types is .*, and it must look like|name .* layers"),
        ({"attention_types": None, "attention_layers": "global"}, "attention_layers is 'global', and it must be a list"),
        ({"layer_norm_epsilon": 0}, "layer_norm_epsilon is 0, and it must be a small number above 0"),
        ({"layer_norm_epsilon": -1e-5}, "layer_norm_epsilon is -1e-05, and it must be a small number above 0"),
        ({"layer_norm_epsilon": "1e-5"}, "layer_norm_epsilon is '1e-5', and it must be a small number above 0"),
        ({"layer_norm_epsilon": float("nan")}, "layer_norm_epsilon is nan, and it must be a small number above 0"),
        ({"layer_norm_epsilon": True}, "layer_norm_epsilon is True, and it must be a small number above 0"),
        ({"tie_word_embeddings": "yes"}, "tie_word_embeddings is 'yes', and it must be true or false"),
        ({"eos_token_id": [0, 1.5]}, "eos_token_id is 1.5, and it must be a token id"),
        ({"eos_token_id": [[0]]}, r"eos_token_id is \[0\], and it must be a token id"),
        ({"eos_token_id": True}, "eos_token_id is True, and it must be a token id"),
        ({"eos_token_id": "end"}, "eos_token_id is 'end', and it must be a token id"),
        ({"bos_token_id": 1.5}, "bos_token_id is 1.5, and it must be a token id"),
        ({"bos_token_id": [1]}, r"bos_token_id is \[1\], and it must be a token id"),
        ({"num_layers": 10**9}, "num_layers is 1000000000, and neo_np takes up to 10000 layers"),
        ({"num_layers": 10**9, "attention_types": [[["global"], 10**9]]}, "num_layers is 1000000000, and neo_np takes up to"),
        ({"resid_dropout": "x"}, "resid_dropout is 'x', and it must be a number from 0 to 1"),
        ({"embed_dropout": None}, "embed_dropout is None, and it must be a number from 0 to 1"),
        ({"attention_dropout": 1.01}, "attention_dropout is 1.01, and it must be a number from 0 to 1"),
        ({"attention_dropout": True}, "attention_dropout is True, and it must be a number from 0 to 1"),
        ({"resid_dropout": float("nan")}, "resid_dropout is nan, and it must be a number from 0 to 1"),
        ({"resid_dropout": [0.1]}, r"resid_dropout is \[0.1\], and it must be a number from 0 to 1"),
        ({"initializer_range": "x"}, "initializer_range is 'x', and it must be a number"),
        ({"initializer_range": float("inf")}, "initializer_range is inf, and it must be a number"),
    ],
)
def test_a_config_that_makes_no_model_is_refused_in_one_sentence(changes, sentence):
    with pytest.raises(NeoError, match=sentence):
        Config.from_dict(FILE | changes)


def test_reading_leaves_the_entries_alone():
    before = json.dumps(FILE)
    Config.from_dict(FILE)
    assert json.dumps(FILE) == before


@st.composite
def configs(draw):
    layers = draw(st.lists(st.sampled_from(["global", "local"]), min_size=1, max_size=6))
    vocab_size, num_heads = draw(st.integers(1, 99)), draw(st.integers(1, 5))
    ids = st.none() | st.integers(0, vocab_size - 1)
    return Config(
        vocab_size=vocab_size,
        hidden_size=num_heads * draw(st.integers(1, 9)),
        num_layers=len(layers),
        num_heads=num_heads,
        max_position_embeddings=draw(st.integers(1, 99)),
        attention_layers=layers,
        window_size=draw(st.integers(1, 99)),
        intermediate_size=draw(st.none() | st.integers(1, 99)),
        activation_function=draw(st.sampled_from(["gelu_new", "gelu", "relu", "silu"])),
        layer_norm_epsilon=draw(st.floats(1e-12, 0.5)),
        tie_word_embeddings=draw(st.booleans()),
        bos_token_id=draw(ids),
        eos_token_id=draw(ids | st.lists(st.integers(0, vocab_size - 1), max_size=3)),
        other=draw(st.dictionaries(st.just("initializer_range") | st.just("summary_type"), st.integers())),
    )


@given(configs())
def test_a_config_written_as_json_and_read_again_is_the_same(config):
    read = Config.from_dict(json.loads(json.dumps(config.to_dict())))
    extra = {"architectures": ["GPTNeoForCausalLM"]}  # written for transformers
    assert read.to_dict() == config.to_dict()
    assert {**vars(read), "other": None} == {**vars(config), "other": None}
    assert read.other == config.other | extra


@given(configs())
def test_params_are_a_tree_and_flat_again(config):
    named = {name: np.empty(shape, np.float16) for name, shape in parameter_shapes(config).items()}
    params = Params(named)
    assert {name: id(array) for name, array in params.flat().items()} == {name: id(array) for name, array in named.items()}
    assert list(params.flat()) == list(named)
    assert len(params.h) == config.num_layers
    last = params.h[config.num_layers - 1]
    assert last.attn.attention.q_proj.weight is named[f"h.{config.num_layers - 1}.attn.attention.q_proj.weight"]
    assert last.mlp.c_fc.bias is named[f"h.{config.num_layers - 1}.mlp.c_fc.bias"]
    assert params.wte.weight is named["wte.weight"]
    assert hasattr(params, "lm_head") is not config.tie_word_embeddings


def test_layers_stand_in_the_order_of_their_numbers():
    named = {f"h.{layer}.ln_1.bias": np.array([layer]) for layer in (10, 2, 0, 1, 11, 3, 4, 5, 6, 7, 8, 9)}
    assert [int(layer.ln_1.bias[0]) for layer in Params(named).h] == list(range(12))


def test_gpt_neo_125m_has_as_many_parameters_as_published():
    config = Config(50257, 768, 12, 12, 2048, ["global", "local"] * 6)
    assert sum(np.prod(shape) for shape in parameter_shapes(config).values()) == 125_198_592


def test_count_counts_every_number():
    params = random_model().params
    assert count(params) == sum(array.size for array in params.flat().values())
    assert f"{count(params):,} numbers" in repr(params)


@pytest.mark.parametrize(("entries", "std"), [({}, 0.02), ({"initializer_range": 0.1}, 0.1)])
def test_random_params_are_normal_weights_zero_biases_and_gains_of_one(entries, std):
    config = Config(**SMALL | {"hidden_size": 96, "tie_word_embeddings": False, "other": entries})
    named = random_params(config, seed=3).flat()
    assert {name: array.shape for name, array in named.items()} == parameter_shapes(config)
    for name, array in named.items():
        assert array.dtype == np.float32
        if name.endswith("bias"):
            assert not array.any()
        elif array.ndim == 1:
            assert (array == 1).all()
        else:  # within four standard errors
            assert array.mean() == pytest.approx(0, abs=4 * std / np.sqrt(array.size))
            assert array.std() == pytest.approx(std, rel=4 / np.sqrt(2 * array.size))
    again, other = random_params(config, seed=3).flat(), random_params(config, seed=4).flat()
    assert all(np.array_equal(array, again[name]) for name, array in named.items())
    assert not np.array_equal(named["wte.weight"], other["wte.weight"])
