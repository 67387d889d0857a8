"""Checkpoints: what is read, in all its forms; what is written; and what is refused, in words that help."""

import ast
import dataclasses
import hashlib
import json
import math
import os
import re
import shlex
import shutil
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from helpers import ROOT, random_model
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

import neo_np
from neo_np import NeoError, Params, Tokenizer
from neo_np.checkpoint import find, safetensors_file, saving
from neo_np.checkpoint import loading as checkpoint
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.params import parameter_shapes
from neo_np.tokenizer.byte_alphabet import byte_to_char

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture
def model(tales):
    return random_model(vocab_size=2048, tokenizer=tales.tokenizer)


@pytest.fixture
def folder(model, tmp_path):
    """A checkpoint folder, for the tests to change."""
    neo_np.save(model, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="module")
def small_folder(tmp_path_factory):
    """One for all the examples of a property, which must leave it as it was."""
    folder = tmp_path_factory.mktemp("small")
    neo_np.save(random_model(vocab_size=256, hidden_size=6, tokenizer=byte_tokenizer()), folder)
    return folder


def byte_tokenizer():
    """Return the smallest tokenizer there is: the 256 bytes."""
    return Tokenizer({char: byte for byte, char in byte_to_char().items()}, [])


def edit_json(file, **changes):
    """Change entries of a JSON file; `...` takes one out."""
    entries = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    entries = {name: value for name, value in (entries | changes).items() if value is not ...}
    file.write_text(json.dumps(entries), encoding="utf-8")


def edit_tensors(folder, change):
    """Rewrite the weights of a folder as what `change` makes of {name: array}."""
    tensors = load_file(folder / WEIGHTS)
    save_file(change(tensors), folder / WEIGHTS)


def without(name):
    return lambda tensors: {other: array for other, array in tensors.items() if other != name}


def replace_tensor(name, array):
    return lambda tensors: tensors | {name: array}


def write_by_hand(file, header, data=b"", length=None):
    """Write a file as the safetensors format has it: the header's length, the header, the bytes of all tensors."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(header) if length is None else length
    file.write_bytes(length.to_bytes(8, "little") + header + data)


def shard(folder, number=3, directory="", **changes):
    """Spread the weights of a folder over shards with an index; `directory` is put before the names in the index."""
    tensors = load_file(folder / WEIGHTS)
    names = [f"model-{i + 1:05}-of-{number:05}.safetensors" for i in range(number)]
    weight_map = {tensor: directory + names[i % number] for i, tensor in enumerate(tensors)}
    for name in names:
        held = {tensor: tensors[tensor] for tensor, file in weight_map.items() if file == directory + name}
        save_file(held, folder / name)
    (folder / WEIGHTS).unlink()
    edit_json(folder / INDEX, metadata={"total_size": 1}, weight_map=weight_map | changes)


def assert_same_arrays(found, expected):
    found, expected = found.flat(), expected.flat()
    assert list(found) == list(expected)
    for name, array in found.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


# What is read


def test_the_default_is_found_from_any_working_directory(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert neo_np.load().config == neo_np.load("tales-2M").config == neo_np.load(ROOT / "weights" / "tales-2M").config


def test_the_shipped_half_precision_weights_come_out_as_float32(tales):
    stored = load_file(ROOT / "weights" / "tales-2M" / WEIGHTS)
    for name, array in tales.params.flat().items():
        assert array.dtype == np.float32
        assert array.tolist() == stored[f"transformer.{name}"].tolist()


def float16_value(bits):
    return struct.unpack("<e", bits.to_bytes(2, "little"))[0]


def bfloat16_value(bits):
    """The number by the definition of the format: 1 bit of sign, 8 of exponent, 7 of fraction."""
    sign, exponent, fraction = (-1.0 if bits >> 15 else 1.0), bits >> 7 & 0xFF, bits & 0x7F
    if exponent == 0xFF:
        return math.nan if fraction else sign * math.inf
    if exponent == 0:
        return sign * math.ldexp(fraction, -126 - 7)
    return sign * math.ldexp(128 + fraction, exponent - 127 - 7)


@pytest.mark.parametrize(("dtype", "value"), [("F16", float16_value), ("BF16", bfloat16_value)])
def test_every_16_bit_number_becomes_the_float32_it_stands_for(dtype, value, tales, tmp_path, monkeypatch):
    monkeypatch.setattr(safetensors_file, "CHUNK", 1000)  # so that small tensors are read in several pieces, too
    model = random_model(vocab_size=2048, hidden_size=32, num_heads=4, tokenizer=tales.tokenizer)
    neo_np.save(model, tmp_path)
    header, data = {}, bytearray()
    for name, array in model.params.flat().items():
        raw = np.arange(2**16, dtype="<u2").tobytes() if name == "wte.weight" else array.tobytes()
        stored = dtype if name == "wte.weight" else "F32"
        header[name] = {"dtype": stored, "shape": array.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    write_by_hand(tmp_path / WEIGHTS, header, data)

    with pytest.warns(UserWarning, match=r"wte\.weight"):  # NaN and infinity are among the numbers
        found = neo_np.load(tmp_path).params
    expected = np.array([value(bits) for bits in range(2**16)])
    assert found.wte.weight.dtype == np.float32
    np.testing.assert_array_equal(found.wte.weight.ravel(), expected)
    assert np.signbit(found.wte.weight.ravel()[2**15])  # minus zero equals zero, but for its sign
    model.params.wte.weight = found.wte.weight
    assert_same_arrays(found, model.params)


def test_names_may_have_the_prefix_or_not(model, folder):
    assert all(name.startswith("transformer.") for name in load_file(folder / WEIGHTS))
    edit_tensors(folder, lambda tensors: {name.removeprefix("transformer."): array for name, array in tensors.items()})
    assert_same_arrays(neo_np.load(folder).params, model.params)


def test_masks_that_old_versions_saved_are_skipped(model, folder):
    def add_buffers(tensors):
        for layer in range(2):
            at = f"transformer.h.{layer}.attn.attention."
            tensors[at + "bias"] = np.tril(np.ones((1, 1, 32, 32), bool))
            tensors[at + "masked_bias"] = np.array(-1e9, np.float32)
        return tensors

    edit_tensors(folder, add_buffers)
    assert_same_arrays(neo_np.load(folder).params, model.params)


@pytest.mark.parametrize("number", [1, 3])
def test_shards(model, folder, number):
    shard(folder, number)
    assert_same_arrays(neo_np.load(folder).params, model.params)


def test_an_equal_output_embedding_stays_tied(model, folder):
    edit_tensors(folder, replace_tensor("lm_head.weight", model.params.wte.weight))
    loaded = neo_np.load(folder)
    assert loaded.config.tie_word_embeddings
    assert_same_arrays(loaded.params, model.params)


def test_an_output_embedding_that_differs_wins_with_a_warning_and_is_saved(model, folder, tmp_path):
    head = model.params.wte.weight.copy()
    head[-1, -1] += 1
    edit_tensors(folder, replace_tensor("lm_head.weight", head))
    with pytest.warns(UserWarning, match=r"model\.safetensors.*lm_head\.weight differs.*config\.json") as caught:
        loaded = neo_np.load(folder)
    assert [warning.filename for warning in caught] == [__file__]  # it points to the line that called load
    ids = [5, 6, 7]
    np.testing.assert_allclose(loaded.logits(ids), loaded.hidden_states(ids)[-1] @ head.T, atol=1e-5)

    neo_np.save(loaded, tmp_path / "untied")
    assert json.loads((tmp_path / "untied" / "config.json").read_text())["tie_word_embeddings"] is False
    again = neo_np.load(tmp_path / "untied")
    assert np.array_equal(again.params.lm_head.weight, head)
    assert_same_arrays(again.params, loaded.params)


def test_an_untied_output_embedding(tales, tmp_path):
    model = random_model(vocab_size=2048, tokenizer=tales.tokenizer, tie_word_embeddings=False)
    neo_np.save(model, tmp_path)
    assert_same_arrays(neo_np.load(tmp_path).params, model.params)
    edit_tensors(tmp_path, without("lm_head.weight"))
    with pytest.raises(NeoError, match=r"model\.safetensors.*lm_head\.weight is missing.*config\.json"):
        neo_np.load(tmp_path)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("name", ["h.1.mlp.c_fc.bias", "h.0.mlp.c_proj.weight", "wte.weight"])
def test_weights_that_are_not_finite_are_warned_of(model, folder, monkeypatch, name, number, place):
    monkeypatch.setattr(safetensors_file, "CHUNK", 7)

    def damage(tensors):
        tensors[f"transformer.{name}"].reshape(-1)[place] = number
        return tensors

    edit_tensors(folder, damage)
    with pytest.warns(UserWarning, match=rf"model\.safetensors.*{name}.*NaN or infinite") as caught:
        loaded = neo_np.load(folder)
    assert [warning.filename for warning in caught] == [__file__]
    np.testing.assert_equal(loaded.params.flat()[name].reshape(-1)[place], np.float32(number))


@pytest.mark.filterwarnings("error")
def test_large_weights_are_not_taken_for_infinite_ones(folder):
    """3e38 is a float32, and the sum of two of them is none any more."""

    def enlarge(tensors):
        tensors["transformer.wte.weight"][:] = 3e38
        tensors["transformer.h.0.ln_1.bias"][:] = -3e38
        return tensors

    edit_tensors(folder, enlarge)
    assert neo_np.load(folder).params.wte.weight.min() > 2.9e38


def test_the_tokenizer_may_come_from_elsewhere(tales, tmp_path):
    neo_np.save(random_model(vocab_size=2048), tmp_path / "model")
    with pytest.raises(NeoError, match=r"vocab\.json.*tokenizer=FOLDER"):
        neo_np.load(tmp_path / "model")
    shutil.copytree(ROOT / "weights" / "tales-2M", tmp_path / "tables", ignore=shutil.ignore_patterns("*.safetensors"))
    for source in (tmp_path / "tables", str(tmp_path / "tables"), "tales-2M"):
        assert neo_np.load(tmp_path / "model", tokenizer=source).tokenizer.vocab == tales.tokenizer.vocab
    assert neo_np.load(tmp_path / "model", tokenizer=tales.tokenizer).tokenizer is tales.tokenizer


def test_ids_of_a_padded_vocabulary_are_never_written(tales, tmp_path):
    model = random_model(vocab_size=2050, tokenizer=tales.tokenizer, tie_word_embeddings=False)
    head = model.params.lm_head.weight
    head[:2048], head[2049] = 0, -head[2048]  # one of the two ids without a token has the highest logit, always
    neo_np.save(model, tmp_path)
    loaded = neo_np.load(tmp_path)
    assert loaded.logits([1, 2, 3]).argmax(axis=-1).min() >= 2048
    for options in ({}, {"do_sample": True, "seed": 0}, {"num_beams": 2}):
        assert max(loaded.generate([1, 2, 3], max_new_tokens=20, min_new_tokens=20, **options)) < 2048


def test_generation_config_gives_defaults_and_is_kept(folder, tmp_path):
    entries = {"max_new_tokens": 3, "eos_token_id": [7, 9], "_from_model_config": True, "transformers_version": "4.0"}
    edit_json(folder / "generation_config.json", **entries)
    loaded = neo_np.load(folder)
    assert loaded.generation_config == entries
    assert len(loaded.generate([1, 2], min_new_tokens=3)) == 2 + 3
    neo_np.save(loaded, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "generation_config.json").read_text()) == entries


def test_entries_of_config_json_that_play_no_part_are_kept(folder, tmp_path):
    entries = {"attention_dropout": 0.1, "initializer_range": 0.02, "task_specific_params": {"größe": [1, None]}}
    edit_json(folder / "config.json", **entries)
    loaded = neo_np.load(folder)
    neo_np.save(loaded, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text(encoding="utf-8")).items() >= entries.items()
    assert neo_np.load(tmp_path / "again").config == dataclasses.replace(loaded.config, other=loaded.config.other)


# What is written


def test_layout_of_a_saved_folder(model, folder):
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "merges.txt", WEIGHTS, "vocab.json"]
    with safe_open(folder / WEIGHTS, framework="numpy") as file:
        assert file.metadata() == {"format": "pt"}
        assert set(file.keys()) == {f"transformer.{name}" for name in parameter_shapes(model.config)}
    entries = json.loads((folder / "config.json").read_text())
    assert entries["model_type"] == "gpt_neo" and entries["dtype"] == "float32"
    assert [kind for kinds, times in entries["attention_types"] for kind in kinds * times] == ["global", "local"]


@st.composite
def configs(draw):
    heads = draw(st.integers(1, 4))
    layers = draw(st.lists(st.sampled_from(["global", "local"]), min_size=1, max_size=3))
    end = st.integers(0, 255)
    return {
        "vocab_size": draw(st.integers(256, 260)),
        "hidden_size": heads * draw(st.integers(1, 5)),
        "num_heads": heads,
        "num_layers": len(layers),
        "attention_layers": layers,
        "max_position_embeddings": draw(st.integers(1, 9)),
        "window_size": draw(st.integers(1, 9)),
        "intermediate_size": draw(st.none() | st.integers(1, 9)),
        "activation_function": draw(st.sampled_from(["gelu_new", "gelu", "relu", "silu"])),
        "layer_norm_epsilon": draw(st.floats(1e-9, 0.1)),
        "tie_word_embeddings": draw(st.booleans()),
        "bos_token_id": draw(st.none() | end),
        "eos_token_id": draw(st.none() | end | st.lists(end)),
    }


@given(configs(), st.sampled_from([np.float16, np.float32]), st.integers(0, 2**32 - 1))
def test_save_then_load_gives_the_same_model(tmp_path_factory, config, dtype, seed):
    folder = tmp_path_factory.mktemp("saved")
    model = random_model(seed, dtype=dtype, tokenizer=byte_tokenizer(), **config)
    neo_np.save(model, folder)
    loaded = neo_np.load(folder)
    assert_same_arrays(loaded.params, model.params)
    assert dataclasses.replace(loaded.config, other={}) == model.config
    assert (loaded.tokenizer.vocab, loaded.tokenizer.merges) == (model.tokenizer.vocab, model.tokenizer.merges)
    shutil.rmtree(folder)


def test_a_float64_model_can_be_saved_and_loaded(tales, tmp_path):
    model = random_model(vocab_size=2048, tokenizer=tales.tokenizer, dtype=np.float64)
    neo_np.save(model, tmp_path)
    rounded = Params({name: array.astype(np.float32) for name, array in model.params.flat().items()})
    assert_same_arrays(neo_np.load(tmp_path).params, rounded)


LAYOUTS = {
    "column by column": np.asfortranarray,
    "every second number": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "backwards": lambda array: array[::-1].copy()[::-1],
    "big-endian": lambda array: array.astype(">f4"),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_arrays_of_any_memory_layout_are_saved_in_order(model, tmp_path, layout):
    expected = model.params
    model.params = Params({name: layout(array) for name, array in expected.flat().items()})
    neo_np.save(model, tmp_path)
    assert_same_arrays(neo_np.load(tmp_path).params, expected)


def test_saving_over_an_old_checkpoint_leaves_nothing_of_it(tales, model, tmp_path):
    old_tokenizer = Tokenizer(tales.tokenizer.vocab, tales.tokenizer.merges, added_tokens={"<old>": 2048})
    old = random_model(1, vocab_size=2049, tokenizer=old_tokenizer, num_layers=1, attention_layers=["global"])
    old.generation_config = {"max_new_tokens": 1}
    neo_np.save(old, tmp_path)
    assert neo_np.load(tmp_path).tokenizer.added_tokens == {"<old>": 2048}
    neo_np.save(model, tmp_path)
    loaded = neo_np.load(tmp_path)
    assert_same_arrays(loaded.params, model.params)
    assert (loaded.generation_config, loaded.tokenizer.added_tokens) == ({}, {})


def test_a_home_folder_is_meant_by_a_tilde(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # where Windows looks
    monkeypatch.chdir(ROOT)
    neo_np.save(model, "~/mine")
    assert_same_arrays(neo_np.load("~/mine").params, neo_np.load(tmp_path / "mine").params)


@pytest.mark.parametrize("stale", ["tokenizer.json", INDEX])
def test_save_refuses_a_folder_with_files_that_would_contradict_it(model, tmp_path, stale):
    (tmp_path / stale).write_text("{}")
    with pytest.raises(NeoError, match=f"{re.escape(str(tmp_path))}.*{stale}"):
        neo_np.save(model, tmp_path)
    assert os.listdir(tmp_path) == [stale]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), SafetensorError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("over_an_old_one", [False, True])
def test_a_save_that_fails_leaves_all_as_it_was(model, tmp_path, monkeypatch, failure, over_an_old_one):
    if over_an_old_one:
        neo_np.save(random_model(1, vocab_size=2048, tokenizer=model.tokenizer), tmp_path / "model")
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}

    def write_half(tensors, file, metadata):
        file.write_bytes(b"half")
        raise failure

    monkeypatch.setattr(saving, "save_file", write_half)
    with pytest.raises(KeyboardInterrupt if isinstance(failure, KeyboardInterrupt) else NeoError, match=r"model|^$"):
        neo_np.save(model, tmp_path / "model")
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == before
    assert os.listdir(tmp_path) == (["model"] if over_an_old_one else [])


@pytest.mark.parametrize("name", ["file", "file/model", "x" * 300, "a\0b"], ids=["file", "below-file", "long", "zero-byte"])
def test_a_place_that_cannot_be_written_is_refused(model, tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NeoError, match="cannot be written"):
        neo_np.save(model, tmp_path / name)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "in the way"


# What is refused: always a NeoError, which is a ValueError, of one line


def refused(match, *arguments, **options):
    """Load what must not load, and look for the words that the error must have."""
    with pytest.raises(NeoError, match=match) as caught:
        neo_np.load(*arguments, **options)
    assert "\n" not in str(caught.value)


REQUIRED = ["vocab_size", "hidden_size", "num_layers", "num_heads", "max_position_embeddings", "attention_layers"]
ONE_LAYER = {"num_layers": 1, "attention_layers": ["global"], "attention_types": [[["global"], 1]]}
BAD_CONFIGS = [
    ({"hidden_size": 25}, r"config\.json.*hidden_size 25.*num_heads 3"),
    ({"hidden_size": 48}, r"model\.safetensors.*wte\.weight.*\(2048, 24\).*config\.json.*\(2048, 48\)"),
    ({"vocab_size": 2047}, r"model\.safetensors.*wte\.weight.*\(2048, 24\).*config\.json.*\(2047, 24\)"),
    ({"max_position_embeddings": 31}, r"model\.safetensors.*wpe\.weight.*\(32, 24\).*config\.json.*\(31, 24\)"),
    ({"intermediate_size": 95}, r"model\.safetensors.*h\.0\.mlp\.c_fc\.weight.*\(96, 24\).*config\.json.*\(95, 24\)"),
    ({"num_layers": 3}, r"config\.json.*2 layers.*num_layers is 3"),
    (ONE_LAYER, r"model\.safetensors.*h\.1\.\S+ has no place.*config\.json"),
    (ONE_LAYER | {"attention_types": [[["global"], 2]]}, r"config\.json.*attention_types.*\b2\b"),
    ({"attention_types": [[["local", "global"], 1]]}, r"config\.json.*attention_layers.*attention_types"),
    ({"attention_types": [["global", "local"]]}, r"config\.json.*attention_types.*'global', 'local'"),
    ({"attention_types": ..., "attention_layers": ["global", "sliding"]}, r"config\.json.*'sliding'.*'global'.*'local'"),
    ({"attention_types": [[["sliding"], 2]], "attention_layers": ...}, r"config\.json.*'sliding'.*'global'.*'local'"),
    ({"activation_function": "tanh"}, r"config\.json.*'tanh'.*gelu_new.*gelu.*relu.*silu"),
    ({"model_type": "gpt2"}, r"config\.json.*'gpt2'.*'gpt_neo'"),
    ({"model_type": "gpt_neox"}, r"config\.json.*'gpt_neox'.*'gpt_neo'"),
    ({"model_type": None}, r"config\.json.*None.*'gpt_neo'"),
    ({"window_size": 0}, r"config\.json.*window_size is 0"),
    ({"num_heads": 3.0}, r"config\.json.*num_heads is 3\.0"),
    ({"vocab_size": True}, r"config\.json.*vocab_size is True"),
    ({"layer_norm_epsilon": 0}, r"config\.json.*layer_norm_epsilon is 0"),
    ({"layer_norm_epsilon": "1e-5"}, r"config\.json.*layer_norm_epsilon is '1e-5'"),
    ({"layer_norm_epsilon": math.nan}, r"config\.json.*layer_norm_epsilon is nan"),
    ({"tie_word_embeddings": "yes"}, r"config\.json.*tie_word_embeddings is 'yes'"),
    ({"eos_token_id": 2048}, r"config\.json.*eos_token_id is 2048.*vocab_size 2048"),
    ({"eos_token_id": [0, -1]}, r"config\.json.*eos_token_id.*-1.*vocab_size 2048"),
    ({"bos_token_id": "0"}, r"config\.json.*bos_token_id is '0'"),
    *(({name: None}, rf"config\.json.*{name}") for name in [*REQUIRED[:-1], "window_size", "layer_norm_epsilon"]),
    *(({name: ..., "attention_types": ...}, rf"config\.json.*'{name}' is missing") for name in REQUIRED),
]


@pytest.mark.parametrize(("changes", "match"), BAD_CONFIGS)
def test_a_config_that_makes_no_model(folder, changes, match):
    edit_json(folder / "config.json", **changes)
    refused(match, folder)


def test_a_huge_number_of_layers_is_refused_before_they_are_counted_out(folder):
    entries = json.loads((folder / "config.json").read_text()) | {"attention_types": [[["global"], 10**6]]}
    tracemalloc.start()
    with pytest.raises(NeoError, match="attention"):
        Config.from_dict(entries)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**6


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
ENTRIES = [field.name for field in dataclasses.fields(Config)] + ["model_type", "attention_types", "dtype"]


@settings(max_examples=300)
@given(st.sampled_from([*ENTRIES, "num_hidden_layers", "num_attention_heads"]), any_json)
@example("attention_layers", 5)
@example("attention_layers", ["global", []])
@example("attention_types", {"ab": 1})
@example("attention_types", [[[["global"]], 2]])
@example("activation_function", [])
@example("activation_function", {})
@example("model_type", ["gpt_neo"])
@example("eos_token_id", [[1]])
@example("window_size", 2**70)
@example("x", "\ud800")
def test_any_entry_of_config_json_makes_a_model_or_a_clear_error(small_folder, name, value):
    file = small_folder / "config.json"
    whole = file.read_bytes()
    edit_json(file, **{name: value})
    try:
        model = neo_np.load(small_folder)
        model.logits([1, 2, 3])
        neo_np.save(model, small_folder / "again")
    except NeoError:
        pass
    finally:
        file.write_bytes(whole)


JSON_FILES = ["config.json", "generation_config.json", INDEX, "vocab.json"]
NO_OBJECTS = {
    "empty": b"",
    "cut off": b'{"vocab_size": 2048, "hid',
    "latin-1": '{"größe": 1}'.encode("latin-1"),
    "a list": b"[]",
    "a text": b'"config"',
    "null": b"null",
    "a number": b"5",
    "deep": b"[" * 10**5,
    "deep object": b'{"a":' * 10**5,
    "a long number": b'{"a": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("name", JSON_FILES)
@pytest.mark.parametrize("content", NO_OBJECTS.values(), ids=NO_OBJECTS)
def test_a_json_file_that_holds_no_object(folder, name, content):
    if name == INDEX:
        shard(folder)
    (folder / name).write_bytes(content)
    refused(re.escape(str(folder / name)), folder)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    refused(re.escape(str(folder / name)), folder)
    (folder / name).mkdir()  # nor is a folder of that name a file
    refused(re.escape(str(folder / name)), folder)


BAD_TENSORS = {
    "missing": (without("transformer.h.1.ln_2.bias"), r"tensor h\.1\.ln_2\.bias is missing"),
    "extra layer": (replace_tensor("transformer.h.2.ln_1.bias", np.zeros(24)), r"h\.2\.ln_1\.bias has no place.*config\.json"),
    "extra": (replace_tensor("score.weight", np.zeros((2, 24))), r"score\.weight has no place.*config\.json"),
    "transposed": (
        replace_tensor("transformer.h.0.mlp.c_fc.weight", np.zeros((24, 96), np.float32)),
        r"h\.0\.mlp\.c_fc\.weight.*\(24, 96\).*config\.json.*\(96, 24\)",
    ),
    "flat": (replace_tensor("transformer.wpe.weight", np.zeros(768, np.float32)), r"wpe\.weight.*\(768,\).*\(32, 24\)"),
    "whole numbers": (
        replace_tensor("transformer.h.0.ln_1.weight", np.ones(24, np.int32)),
        r"h\.0\.ln_1\.weight.*I32.*F32, F16, BF16",
    ),
    "twice": (replace_tensor("ln_f.bias", np.zeros(24, np.float32)), r"ln_f\.bias is there twice"),
    "misshapen head": (
        replace_tensor("lm_head.weight", np.zeros((2048, 23), np.float32)),
        r"lm_head.*\(2048, 23\).*\(2048, 24\)",
    ),
    "head of whole numbers": (replace_tensor("lm_head.weight", np.zeros((2048, 24), np.int8)), r"lm_head\.weight.*I8"),
}


@pytest.mark.parametrize(("change", "match"), BAD_TENSORS.values(), ids=BAD_TENSORS)
def test_tensors_that_do_not_fit(folder, change, match):
    edit_tensors(folder, change)
    refused(rf"model\.safetensors.*{match}", folder)


@pytest.mark.parametrize(
    "kept", ["nothing", "half a length", "length", "half a header", "header", "half the data", "all but a byte"]
)
def test_a_file_that_was_cut_off(folder, kept):
    file = folder / WEIGHTS
    whole = file.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    sizes = [0, 4, 8, start // 2, start, (start + len(whole)) // 2, len(whole) - 1]
    places = ["nothing", "half a length", "length", "half a header", "header", "half the data", "all but a byte"]
    file.write_bytes(whole[: dict(zip(places, sizes))[kept]])
    refused(re.escape(str(file)), folder)


def test_a_file_with_bytes_to_spare(folder):
    with open(folder / WEIGHTS, "ab") as file:
        file.write(b"\0")
    refused(re.escape(str(folder / WEIGHTS)), folder)


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


BAD_HEADERS = {
    "no JSON": b"not JSON",
    "no UTF-8": b'{"\xff":1}',
    "unfinished": b'{"a":',
    "a list": [],
    "a number": 5,
    "no entry": {"a": 1},
    "empty entry": {"a": {}},
    "unknown dtype": {"a": entry("X9")},
    "negative shape": {"a": entry(shape=[-2])},
    "fractional shape": {"a": entry(shape=[2.5])},
    "huge shape": {"a": entry(shape=[2**62, 2**62])},
    "shape and bytes differ": {"a": entry(shape=[3])},
    "beyond the end": {"a": entry(offsets=[8, 16])},
    "backwards": {"a": entry(offsets=[8, 0])},
    "negative offset": {"a": entry(offsets=[-8, 0])},
    "one offset": {"a": entry(offsets=[0])},
    "overlapping": {"a": entry(), "b": entry()},
    "hole": {"a": entry(shape=[1], offsets=[4, 8])},
    "odd metadata": {"__metadata__": {"format": 1}, "a": entry()},
    "deep": b"[" * 10**5,
    "twice": b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_a_header_that_makes_no_sense(folder, header):
    write_by_hand(folder / WEIGHTS, header, bytes(8))
    refused(re.escape(str(folder / WEIGHTS)), folder)


@pytest.mark.parametrize("length", [0, 1, 10**8, 10**9, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_header_length_that_is_wrong(folder, length):
    write_by_hand(folder / WEIGHTS, {"a": entry()}, bytes(8), length=length)
    refused(re.escape(str(folder / WEIGHTS)), folder)


likely_bytes = st.sampled_from(list(b'0123456789{}[]",:.-_abcdeF')) | st.integers(0, 255)


@settings(max_examples=300)
@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), likely_bytes), min_size=1, max_size=3), st.none() | st.floats(0, 1)
)
def test_a_damaged_file_loads_or_makes_a_clear_error(small_folder, changes, cut):
    file = small_folder / WEIGHTS
    whole = file.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    damaged = bytearray(whole)
    for place, byte in changes:
        damaged[int(place * start)] = byte  # in the header: any other byte is a number as good as the one before
    file.write_bytes(damaged[: None if cut is None else int(cut * len(whole))])
    try:
        neo_np.load(small_folder)
    except NeoError as error:
        assert str(file) in str(error)
    finally:
        file.write_bytes(whole)


BAD_INDEXES = {
    "no weight_map": {"weight_map": ...},
    "weight_map is a list": {"weight_map": ["model-00001-of-00003.safetensors"]},
    "weight_map is empty": {"weight_map": {}},
    "weight_map of numbers": {"weight_map": {"transformer.wte.weight": 1}},
}


@pytest.mark.parametrize("changes", BAD_INDEXES.values(), ids=BAD_INDEXES)
def test_a_shard_index_without_a_map(folder, changes):
    shard(folder)
    edit_json(folder / INDEX, **changes)
    refused(rf"{INDEX}.*weight_map", folder)


@pytest.mark.parametrize("directory", ["../", "{folder}/../", "../model/", "./sub/../", "sub/", "sub/../../"])
def test_a_shard_index_that_points_elsewhere_is_refused_though_the_files_are_there(folder, directory):
    directory = directory.format(folder=folder)
    shard(folder, directory=directory)
    (folder / "sub").mkdir()
    for file in folder.glob("model-*"):
        shutil.copy(file, folder.parent)
        shutil.copy(file, folder / "sub")
    refused(rf"{INDEX} points to '{re.escape(directory)}model-00001.*outside the folder", folder)


@pytest.mark.parametrize("name", ["..\\x.safetensors", "C:\\x", "\\\\server\\x", "", ".", "..", "a\0", "x" * 300])
def test_a_shard_name_that_is_none(folder, name):
    shard(folder, **{"transformer.wte.weight": name})
    refused(INDEX, folder)


def test_shards_that_do_not_hold_what_the_index_says(folder):
    shard(folder)
    second = folder / "model-00002-of-00003.safetensors"
    tensors = load_file(second)
    lost = next(iter(tensors))
    save_file({name: array for name, array in tensors.items() if name != lost}, second)
    refused(rf"{second.name}.*{re.escape(lost)}.*{INDEX}", folder)
    save_file(tensors | load_file(folder / "model-00001-of-00003.safetensors"), second)
    refused(rf"{second.name}.*there twice.*model-00001-of-00003\.safetensors", folder)
    second.write_bytes(second.read_bytes()[:-1])
    refused(second.name, folder)
    second.unlink()
    refused(rf"{second.name} is missing.*{INDEX}", folder)


def test_a_pickle_is_never_read_and_the_lines_that_convert_it_are_shown(folder):
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(NeoError, match=r"model\.safetensors is missing.*pytorch_model\.bin.*pickle") as caught:
        neo_np.load(folder)
    lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert len(ast.parse("\n".join(lines)).body) == 3
    assert lines[0] == "from transformers import GPTNeoForCausalLM"
    assert f"from_pretrained({str(folder)!r}" in lines[1]
    assert f"save_pretrained({str(folder)!r}" in lines[2]


def test_what_ships_for_gpt_neo_125m():
    """The tables of GPT-2, by their published checksums, and a config with the numbers of the model."""
    folder = ROOT / "weights" / "gpt-neo-125M"
    checksums = {
        "vocab.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    }
    for name, checksum in checksums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum
    config = checkpoint.load_config(folder / "config.json")
    assert (config.num_layers, config.num_heads, config.head_size, config.hidden_size) == (12, 12, 64, 768)
    assert (config.intermediate_size, config.vocab_size, config.max_position_embeddings) == (3072, 50257, 2048)
    assert (config.window_size, config.layer_norm_epsilon, config.tie_word_embeddings) == (256, 1e-5, True)
    assert (config.bos_token_id, config.eos_token_id) == (50256, 50256)
    assert config.activation_function == "gelu_new"
    assert config.attention_layers == ("global", "local") * 6


@pytest.mark.parametrize(
    "name", ["gpt-neo-125M", "EleutherAI/gpt-neo-125M", "weights/gpt-neo-125M", "weights/../weights/gpt-neo-125M/"]
)
def test_gpt_neo_without_its_weights_shows_the_commands_that_fetch_them(name, tmp_path, monkeypatch):
    place = tmp_path / "weights" / "gpt-neo-125M"
    shutil.copytree(ROOT / "weights" / "gpt-neo-125M", place, ignore=shutil.ignore_patterns("*.safetensors*", ".cache"))
    monkeypatch.setattr(find, "WEIGHTS_FOLDER", tmp_path / "weights")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as where it is not installed
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NeoError, match=r"model\.safetensors is missing") as caught:
        neo_np.load(name)
    install, fetch = re.findall("'(.*?)'", str(caught.value))
    assert install == "pip install huggingface_hub"
    *command, target = shlex.split(fetch)
    assert command == "hf download EleutherAI/gpt-neo-125M model.safetensors --local-dir".split()
    assert os.path.samefile(target, place)


# Memory

PEAK = """
import sys
import neo_np

def memory(field):
    with open("/proc/self/status") as status:
        return 1024 * int(next(line for line in status if line.startswith(field)).split()[1])

before = memory("VmRSS")
model = neo_np.load(sys.argv[1])
print(memory("VmHWM") - before, sum(array.nbytes for array in model.params.flat().values()))
"""


@pytest.mark.parametrize(("dtype", "head"), [("F32", True), ("F16", False)], ids=["F32 with equal head", "F16"])
def test_weights_are_never_held_twice(tmp_path, dtype, head):
    """The peak of resident memory, mapped pages counted, of loading the 125M shape: at most 1.3 x its float32 size."""
    for name in ("config.json", "vocab.json", "merges.txt"):
        shutil.copy(ROOT / "weights" / "gpt-neo-125M" / name, tmp_path)
    shapes = parameter_shapes(checkpoint.load_config(tmp_path / "config.json"))
    shapes |= {"lm_head.weight": shapes["wte.weight"]} if head else {}
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * (4 if dtype == "F32" else 2)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    write_by_hand(tmp_path / WEIGHTS, header)
    os.truncate(tmp_path / WEIGHTS, (tmp_path / WEIGHTS).stat().st_size + end)  # zeros, which take no disk
    found = subprocess.run([sys.executable, "-c", PEAK, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    peak, size = map(int, found.stdout.split())
    assert size == 4 * 125_198_592
    assert peak <= 1.3 * size


def test_float32_weights_can_be_changed_and_the_file_stays(model, tmp_path):
    neo_np.save(model, tmp_path / "saved")
    before = (tmp_path / "saved" / WEIGHTS).read_bytes()
    loaded = neo_np.load(tmp_path / "saved")
    for array in loaded.params.flat().values():
        array += 1.0
    assert (tmp_path / "saved" / WEIGHTS).read_bytes() == before
    neo_np.save(loaded, tmp_path / "saved")  # over the very file that is mapped
    again = neo_np.load(tmp_path / "saved").params.flat()
    assert all(np.array_equal(again[name], array) for name, array in loaded.params.flat().items())
