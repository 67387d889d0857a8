"""Saving: what is written, that it comes back, and what happens if it cannot be written."""

import dataclasses
import json
import os
import re
import shutil

import numpy as np
import pytest
from checkpoint_files import assert_same_arrays, edit_json
from helpers import ROOT, byte_tokenizer, random_model
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open

import neo_np
from neo_np import NeoError, Params, Tokenizer
from neo_np.checkpoint import saving
from neo_np.folders.find import SHARD_INDEX, WEIGHTS
from neo_np.gpt_neo.params import parameter_shapes


def test_save_keeps_entries_of_config_json_that_are_not_used(folder, tmp_path):
    entries = {"attention_dropout": 0.1, "initializer_range": 0.02, "task_specific_params": {"größe": [1, None]}}
    edit_json(folder / "config.json", **entries)
    loaded = neo_np.load(folder)
    neo_np.save(loaded, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "config.json").read_text(encoding="utf-8")).items() >= entries.items()
    assert neo_np.load(tmp_path / "again").config == dataclasses.replace(loaded.config, other=loaded.config.other)


def test_save_of_a_model_writes_these_files(model, folder):
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
        "vocab_size": draw(st.integers(257, 260)),
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


def test_save_of_a_float64_model_then_load_rounds_to_float32(tmp_path):
    model = random_model(vocab_size=2048, tokenizer=byte_tokenizer(), dtype=np.float64)
    neo_np.save(model, tmp_path)
    rounded = Params({name: array.astype(np.float32) for name, array in model.params.flat().items()})
    assert_same_arrays(neo_np.load(tmp_path).params, rounded)


@pytest.mark.parametrize("entries", [{"torch_dtype": "float16"}, {"torch_dtype": "bfloat16", "dtype": "float16"}])
def test_save_writes_the_precision_of_the_weights_and_no_other(folder, tmp_path, entries):
    edit_json(folder / "config.json", **{"dtype": ...} | entries)
    neo_np.save(neo_np.load(folder), tmp_path / "again")
    written = json.loads((tmp_path / "again" / "config.json").read_text())
    assert {name: written[name] for name in written if "dtype" in name} == {"dtype": "float32"}


def test_save_moves_generation_parameters_out_of_config_json(folder, tmp_path):
    edit_json(folder / "config.json", temperature=0.5, suppress_tokens=[1, 2], use_cache=True)
    model = neo_np.load(folder)
    neo_np.save(model, tmp_path / "again")
    config, generation = (
        json.loads((tmp_path / "again" / name).read_text()) for name in ("config.json", "generation_config.json")
    )
    assert config["use_cache"] is True and not {"temperature", "suppress_tokens"} & set(config)
    assert generation == {"bos_token_id": 0, "eos_token_id": 0, "temperature": 0.5, "suppress_tokens": [1, 2]}
    assert neo_np.load(tmp_path / "again").generation_config == model.generation_config


def test_save_of_what_json_does_not_have_is_refused(model, tmp_path):
    model.generation_config = {"eos_token_id": np.int64(3)}
    with pytest.raises(NeoError, match=r"cannot be written.*int64"):
        neo_np.save(model, tmp_path / "model")
    assert os.listdir(tmp_path) == []


LAYOUTS = {
    "column by column": np.asfortranarray,
    "every second number": lambda array: np.repeat(array, 2, axis=-1)[..., ::2],
    "backwards": lambda array: array[::-1].copy()[::-1],
    "big-endian": lambda array: array.astype(">f4"),
}


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_save_of_arrays_in_any_memory_layout_keeps_their_order(model, tmp_path, layout):
    expected = model.params
    model.params = Params({name: layout(array) for name, array in expected.flat().items()})
    neo_np.save(model, tmp_path)
    assert_same_arrays(neo_np.load(tmp_path).params, expected)


def test_save_over_an_older_checkpoint_leaves_nothing_of_it(model, tmp_path):
    old_tokenizer = Tokenizer(byte_tokenizer().vocab, [], added_tokens={"<old>": 257})
    old = random_model(1, vocab_size=258, tokenizer=old_tokenizer, num_layers=1, attention_layers=["global"])
    old.generation_config = {"max_new_tokens": 1}
    neo_np.save(old, tmp_path)
    assert neo_np.load(tmp_path).tokenizer.added_tokens == {"<old>": 257}
    neo_np.save(model, tmp_path)
    loaded = neo_np.load(tmp_path)
    assert_same_arrays(loaded.params, model.params)
    assert (loaded.generation_config, loaded.tokenizer.added_tokens) == ({}, {})


def test_save_and_load_of_a_tilde_mean_the_home_folder(model, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))  # where Windows looks
    monkeypatch.chdir(ROOT)
    neo_np.save(model, "~/mine")
    assert_same_arrays(neo_np.load("~/mine").params, neo_np.load(tmp_path / "mine").params)


@pytest.mark.parametrize("stale", ["tokenizer.json", SHARD_INDEX])
def test_save_into_a_folder_with_contradicting_files_is_refused(model, tmp_path, stale):
    (tmp_path / stale).write_text("{}")
    with pytest.raises(NeoError, match=f"{re.escape(str(tmp_path))}.*{stale}"):
        neo_np.save(model, tmp_path)
    assert os.listdir(tmp_path) == [stale]


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), SafetensorError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("over_an_old_one", [False, True])
def test_save_that_fails_leaves_everything_as_it_was(model, tmp_path, monkeypatch, failure, over_an_old_one):
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


def test_save_into_a_file_is_refused_in_words(model, tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(NeoError, match=r"file cannot be written: it is a file, and a checkpoint is a folder\."):
        neo_np.save(model, tmp_path / "file")
    with pytest.raises(NeoError, match=r"file/below cannot be written: Not a directory\.$"):
        neo_np.save(model, tmp_path / "file" / "below")


@pytest.mark.parametrize("name", ["file", "file/model", "x" * 300, "a\0b"], ids=["file", "below-file", "long", "zero-byte"])
def test_save_to_a_place_that_cannot_be_written_is_refused(model, tmp_path, name):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(NeoError, match="cannot be written"):
        neo_np.save(model, tmp_path / name)
    assert os.listdir(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "in the way"
