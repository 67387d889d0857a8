"""Loading: what is read, in all its forms, and what is refused: always with a NeoError, a ValueError of one line."""

import ast
import dataclasses
import hashlib
import importlib
import json
import math
import os
import re
import shlex
import shutil
import sys
import tempfile
import tracemalloc
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from checkpoint_files import assert_same_arrays, edit_json, edit_tensors, refused, replace_tensor, shard, without
from helpers import ROOT, byte_tokenizer, examples, random_model
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import neo_np
from neo_np import Config, NeoError, Tokenizer
from neo_np.checkpoint.loading import load_config
from neo_np.folders import find
from neo_np.folders.find import DEFAULT_CHECKPOINT, SHARD_INDEX, TOKENIZER_FILES, WEIGHTS


def test_load_without_a_name_from_any_folder_gives_the_default_checkpoint(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert (
        neo_np.load().config
        == neo_np.load(DEFAULT_CHECKPOINT).config
        == neo_np.load(ROOT / "weights" / DEFAULT_CHECKPOINT).config
    )


def test_load_of_half_precision_gives_the_same_numbers_in_float32(tales):
    stored = load_file(ROOT / "weights" / DEFAULT_CHECKPOINT / WEIGHTS)
    for name, array in tales.params.flat().items():
        assert array.dtype == np.float32
        assert array.tolist() == stored[f"transformer.{name}"].tolist()


def test_load_of_a_folder_without_tokenizer_gives_a_model_of_ids_and_a_warning(model, folder):
    for name in TOKENIZER_FILES:
        (folder / name).unlink(missing_ok=True)
    with pytest.warns(UserWarning, match=r"no tokenizer.*tokenizer=FOLDER") as caught:
        bare = neo_np.load(folder)
    assert len(caught) == 1 and caught[0].filename == __file__
    assert bare.tokenizer is None
    assert bare.logits([1, 2, 3]).tolist() == model.logits([1, 2, 3]).tolist()
    assert bare.generate([1, 2], max_new_tokens=1, do_sample=False) == [1, 2, int(model.logits([1, 2])[-1].argmax())]
    with pytest.raises(NeoError, match="token ids"):
        bare.generate("text")


@pytest.mark.parametrize("name", ["generate", "explain", "evaluate", "train"])
def test_command_that_needs_text_refuses_a_folder_without_tokenizer(folder, tmp_path, capsys, name):
    for file in TOKENIZER_FILES:
        (folder / file).unlink(missing_ok=True)
    (tmp_path / "text.txt").write_text("some words")
    arguments = {
        "generate": ["some words", "--model", folder],
        "explain": ["some words", "--model", folder, "--out", tmp_path / "run.html"],
        "evaluate": ["text", tmp_path / "text.txt", "--model", folder],
        "train": [tmp_path / "text.txt", "--init", folder, "--out", tmp_path / "run", "--steps", "1", "--threads", "1"],
    }
    before = set(tmp_path.iterdir())
    assert importlib.import_module(f"neo_np.{name}.command").main([str(one) for one in arguments[name]]) == 2
    assert re.fullmatch(r"error: \S+ holds no tokenizer \(.*\n", capsys.readouterr().err)
    assert set(tmp_path.iterdir()) == before


def test_load_of_a_folder_with_a_part_of_a_tokenizer_is_refused(folder):
    (folder / "merges.txt").unlink()
    with pytest.raises(NeoError, match=r"merges\.txt missing"):
        neo_np.load(folder)


def test_load_of_names_without_the_prefix_gives_the_same_arrays(model, folder):
    assert all(name.startswith("transformer.") for name in load_file(folder / WEIGHTS))
    edit_tensors(folder, lambda tensors: {name.removeprefix("transformer."): array for name, array in tensors.items()})
    assert_same_arrays(neo_np.load(folder).params, model.params)


def test_load_of_masks_saved_by_old_versions_skips_them(model, folder):
    def add_buffers(tensors):
        for layer in range(2):
            at = f"transformer.h.{layer}.attn.attention."
            tensors[at + "bias"] = np.tril(np.ones((1, 1, 32, 32), bool))
            tensors[at + "masked_bias"] = np.array(-1e9, np.float32)
        return tensors

    edit_tensors(folder, add_buffers)
    assert_same_arrays(neo_np.load(folder).params, model.params)


@pytest.mark.parametrize("number", [1, 3])
def test_load_of_shards_gives_the_same_arrays(model, folder, number):
    shard(folder, number)
    assert_same_arrays(neo_np.load(folder).params, model.params)


def test_load_of_an_equal_output_embedding_stays_tied(model, folder):
    edit_tensors(folder, replace_tensor("lm_head.weight", model.params.wte.weight))
    loaded = neo_np.load(folder)
    assert loaded.config.tie_word_embeddings
    assert_same_arrays(loaded.params, model.params)


def test_load_of_a_different_output_embedding_warns_and_unties(model, folder, tmp_path):
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


def test_load_of_an_untied_model_needs_its_output_embedding(tmp_path):
    model = random_model(vocab_size=2048, tokenizer=byte_tokenizer(), tie_word_embeddings=False)
    neo_np.save(model, tmp_path)
    assert_same_arrays(neo_np.load(tmp_path).params, model.params)
    edit_tensors(tmp_path, without("lm_head.weight"))
    with pytest.raises(NeoError, match=r"model\.safetensors.*lm_head\.weight is missing.*config\.json"):
        neo_np.load(tmp_path)


def test_load_with_a_tokenizer_takes_it_from_there(tales, tmp_path):
    neo_np.save(random_model(vocab_size=len(tales.tokenizer)), tmp_path / "model")
    shutil.copytree(ROOT / "weights" / DEFAULT_CHECKPOINT, tmp_path / "tables", ignore=shutil.ignore_patterns("*.safetensors"))
    for source in (tmp_path / "tables", str(tmp_path / "tables"), DEFAULT_CHECKPOINT):
        assert neo_np.load(tmp_path / "model", tokenizer=source).tokenizer.vocab == tales.tokenizer.vocab
    assert neo_np.load(tmp_path / "model", tokenizer=tales.tokenizer).tokenizer is tales.tokenizer


def test_generate_with_a_padded_vocabulary_never_writes_ids_without_a_token(tmp_path):
    model = random_model(vocab_size=259, tokenizer=byte_tokenizer(), tie_word_embeddings=False)
    head = model.params.lm_head.weight
    head[:257], head[258] = 0, -head[257]  # one of the two ids without a token always has the highest logit
    neo_np.save(model, tmp_path)
    loaded = neo_np.load(tmp_path)
    assert loaded.logits([1, 2, 3]).argmax(axis=-1).min() >= 257
    for options in ({}, {"do_sample": True, "seed": 0}, {"num_beams": 2}):
        assert max(loaded.generate([1, 2, 3], max_new_tokens=20, min_new_tokens=20, **options)) < 257


def test_load_of_generation_config_json_gives_defaults_and_save_keeps_it(folder, tmp_path):
    entries = {"max_new_tokens": 3, "eos_token_id": [7, 9], "_from_model_config": True, "transformers_version": "4.0"}
    edit_json(folder / "generation_config.json", **entries)
    loaded = neo_np.load(folder)
    assert loaded.generation_config == entries
    assert len(loaded.generate([1, 2], min_new_tokens=3)) == 2 + 3
    neo_np.save(loaded, tmp_path / "again")
    assert json.loads((tmp_path / "again" / "generation_config.json").read_text()) == entries


SPECIAL_IDS = {
    "both": {"bos_token_id": 50256, "eos_token_id": 50256},
    "bos": {"bos_token_id": 50256, "eos_token_id": 7},
    "eos is vocab_size": {"bos_token_id": 0, "eos_token_id": 2048},
    "list": {"bos_token_id": 0, "eos_token_id": [7, 50256]},
    "list of such": {"bos_token_id": 0, "eos_token_id": [2048, 50256]},
    "negative": {"bos_token_id": -1, "eos_token_id": -1},
}


@pytest.mark.parametrize("ids", SPECIAL_IDS.values(), ids=SPECIAL_IDS)
def test_load_of_special_ids_outside_the_vocabulary_ignores_and_keeps_them(folder, tmp_path, ids):
    edit_json(folder / "config.json", **ids)
    model = neo_np.load(folder)
    assert model.config.eos_token_ids == ([7] if 7 in np.ravel(ids["eos_token_id"]) else [])
    assert len(model.generate([1, 2, 3], max_new_tokens=9, min_new_tokens=9)) == 3 + 9
    neo_np.save(model, tmp_path / "again")
    entries = json.loads((tmp_path / "again" / "config.json").read_text())
    assert {name: entries[name] for name in ids} == ids


def test_load_of_a_tied_embedding_stored_as_the_output_embedding_gives_the_same_arrays(model, folder):
    """`safetensors.torch.save_model` stores arrays that share memory once, under the first of their names."""

    def rename(tensors):
        return {"lm_head.weight" if name == "transformer.wte.weight" else name: array for name, array in tensors.items()}

    edit_tensors(folder, rename)
    loaded = neo_np.load(folder)
    assert loaded.config.tie_word_embeddings
    assert_same_arrays(loaded.params, model.params)
    shard(folder)
    assert_same_arrays(neo_np.load(folder).params, model.params)
    edit_json(folder / "config.json", tie_word_embeddings=False)
    refused(r"wte\.weight is missing", folder)


HEADS = {
    "sequence classification": {"score.weight": np.zeros((2, 24))},
    "token classification": {"classifier.weight": np.zeros((2, 24)), "classifier.bias": np.zeros(2)},
    "question answering": {"qa_outputs.weight": np.zeros((2, 24), np.int8), "qa_outputs.bias": np.zeros(2, np.int8)},
    "value": {"v_head.summary.weight": np.zeros((1, 24)), "v_head.summary.bias": np.zeros(1)},
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_load_of_another_head_ignores_it_with_a_warning(model, folder, head):
    edit_tensors(folder, lambda tensors: tensors | head)
    with pytest.warns(UserWarning, match="ignored") as caught:
        loaded = neo_np.load(folder)
    [warning] = caught
    assert warning.filename == __file__
    assert all(name in str(warning.message) for name in head)
    assert_same_arrays(loaded.params, model.params)


def test_load_of_an_untied_classifier_gives_its_hidden_states(tmp_path):
    model = random_model(vocab_size=2048, tokenizer=byte_tokenizer(), tie_word_embeddings=False)
    neo_np.save(model, tmp_path)
    edit_tensors(tmp_path, without("lm_head.weight"))
    edit_json(tmp_path / "config.json", architectures=["GPTNeoForSequenceClassification"])
    with pytest.warns(UserWarning, match=r"no lm_head\.weight.*hidden states"):
        loaded = neo_np.load(tmp_path)
    extract = neo_np.pipeline("feature-extraction", model=loaded)
    np.testing.assert_array_equal(extract("a text", return_tensors=True)[0], model.hidden_states(list(b"a text"))[-1])


def test_load_of_a_tokenizer_with_more_tokens_than_the_model_refuses_only_their_use(tmp_path):
    tokenizer = Tokenizer(byte_tokenizer().vocab, [], {"<|endoftext|>": 256, "[PAD]": 257}, {"<x>": 300})
    neo_np.save(random_model(vocab_size=257), tmp_path)
    model = neo_np.load(tmp_path, tokenizer=tokenizer)
    assert len(model.generate("a text", max_new_tokens=5).encode()) > len("a text")
    for text in ("[PAD]", "a <x>"):
        ids = model.tokenizer.encode(text)
        for call in (model.logits, model.loss, model.hidden_states):
            with pytest.raises(NeoError, match=rf"id {ids[-1]} .*0 to 256"):
                call([1, *ids])
        with pytest.raises(NeoError, match=rf"id {ids[-1]} .*0 to 256"):
            model.generate(text)


def test_load_of_generation_parameters_in_config_json_gives_defaults_unless_generation_config_json_is_there(folder):
    edit_json(folder / "config.json", max_new_tokens=3, do_sample=None, repetition_penalty=1.5, eos_token_id=[256, 50256])
    model = neo_np.load(folder)
    expected = {"bos_token_id": 0, "eos_token_id": [256, 50256], "max_new_tokens": 3, "repetition_penalty": 1.5}
    assert model.generation_config == expected
    edit_json(folder / "generation_config.json", max_new_tokens=4)
    assert neo_np.load(folder).generation_config == {"max_new_tokens": 4}


# Files that cannot be read

READ_FILES = ["config.json", "generation_config.json", "vocab.json", "merges.txt", WEIGHTS]


@pytest.mark.parametrize("name", [*READ_FILES, SHARD_INDEX])
def test_load_of_a_git_lfs_pointer_says_what_it_is(folder, name):
    if name == SHARD_INDEX:
        shard(folder)
    (folder / name).write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12345\n")
    refused(rf"{re.escape(str(folder / name))} is a pointer of Git LFS.*git lfs pull", folder)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a named pipe is a thing of Unix")
@pytest.mark.parametrize("name", [*READ_FILES, SHARD_INDEX])
def test_load_of_a_pipe_in_place_of_a_file_does_not_wait(folder, name):
    if name == SHARD_INDEX:
        shard(folder)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refused(rf"{re.escape(str(folder / name))} is no ordinary file", folder)


@pytest.fixture
def shared_folder(folder):
    """The folder, in a place that every user of the machine can see."""
    place = Path(tempfile.mkdtemp())
    place.chmod(0o755)
    shutil.copytree(folder, place / "model")
    yield place / "model"
    shutil.rmtree(place)


@contextmanager
def as_nobody():
    """Work as a user whom permissions bind, if the tests run as root."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.skipif(os.name != "posix", reason="permissions as Unix has them")
@pytest.mark.parametrize("name", [*READ_FILES, "", ".."])
def test_load_of_a_file_without_permission_names_it(shared_folder, name):
    edit_json(shared_folder / "generation_config.json", max_new_tokens=3)
    place = shared_folder / name
    place.chmod(0)
    try:
        with as_nobody():
            refused(rf"{re.escape(str(shared_folder))}.* cannot be read: permission denied", shared_folder)
    finally:
        place.chmod(0o755)


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
    ({"eos_token_id": [0, "1"]}, r"config\.json.*eos_token_id is '1'"),
    ({"num_layers": 10**9}, r"config\.json.*num_layers is 1000000000.*up to"),
    ({"num_layers": 10**9, "attention_types": [[["global"], 10**9]]}, r"config\.json.*num_layers is 1000000000.*up to"),
    ({"vocab_size": 10**9}, r"model\.safetensors.*wte\.weight.*\(2048, 24\).*config\.json.*\(1000000000, 24\)"),
    ({"hidden_size": 3 * 10**8}, r"model\.safetensors.*wte\.weight.*\(2048, 24\).*config\.json.*\(2048, 300000000\)"),
    ({"resid_dropout": "x"}, r"config\.json.*resid_dropout is 'x'"),
    ({"initializer_range": []}, r"config\.json.*initializer_range is \[\]"),
    ({"bos_token_id": "0"}, r"config\.json.*bos_token_id is '0'"),
    *(({name: None}, rf"config\.json.*{name}") for name in [*REQUIRED[:-1], "window_size", "layer_norm_epsilon"]),
    *(({name: ..., "attention_types": ...}, rf"config\.json.*'{name}' is missing") for name in REQUIRED),
]


@pytest.mark.parametrize(("changes", "match"), BAD_CONFIGS)
def test_load_of_a_config_that_makes_no_model_is_refused(folder, changes, match):
    edit_json(folder / "config.json", **changes)
    refused(match, folder)


def test_config_with_a_huge_number_of_layers_is_refused_before_they_are_listed(folder):
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


@examples(3)
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
def test_load_of_any_config_entry_gives_a_model_or_a_clear_error(small_folder, name, value):
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


JSON_FILES = ["config.json", "generation_config.json", SHARD_INDEX, "vocab.json"]


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
def test_load_of_a_json_file_without_an_object_is_refused(folder, name, content):
    if name == SHARD_INDEX:
        shard(folder)
    (folder / name).write_bytes(content)
    refused(re.escape(str(folder / name)), folder)


@pytest.mark.parametrize("name", ["config.json", WEIGHTS])
def test_load_without_a_needed_file_is_refused(folder, name):
    (folder / name).unlink()
    refused(re.escape(str(folder / name)), folder)
    (folder / name).mkdir()  # nor is a folder of that name a file
    refused(re.escape(str(folder / name)), folder)


BAD_TENSORS = {
    "missing": (without("transformer.h.1.ln_2.bias"), r"tensor h\.1\.ln_2\.bias is missing"),
    "extra layer": (replace_tensor("transformer.h.2.ln_1.bias", np.zeros(24)), r"h\.2\.ln_1\.bias has no place.*config\.json"),
    "extra bias": (
        replace_tensor("transformer.h.0.attn.attention.q_proj.bias", np.zeros(24)),
        r"h\.0\.attn\.attention\.q_proj\.bias has no place.*config\.json",
    ),
    "head with a bias": (replace_tensor("lm_head.bias", np.zeros(2048)), r"lm_head\.bias has no place"),
    "prefix of PyTorch": (
        lambda tensors: {f"module.{name}": array for name, array in tensors.items()},
        r"wte\.weight is missing; module\.transformer\.wte\.weight may be it: remove the prefix",
    ),
    "misnamed": (
        lambda tensors: {name.replace("transformer.wpe", "transformers.wpe"): array for name, array in tensors.items()},
        r"wpe\.weight is missing",
    ),
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
def test_load_of_tensors_that_do_not_fit_is_refused(folder, change, match):
    edit_tensors(folder, change)
    refused(rf"model\.safetensors.*{match}", folder)


BAD_INDEXES = {
    "no weight_map": {"weight_map": ...},
    "weight_map is a list": {"weight_map": ["model-00001-of-00003.safetensors"]},
    "weight_map is empty": {"weight_map": {}},
    "weight_map of numbers": {"weight_map": {"transformer.wte.weight": 1}},
}


@pytest.mark.parametrize("changes", BAD_INDEXES.values(), ids=BAD_INDEXES)
def test_load_of_a_shard_index_without_a_map_is_refused(folder, changes):
    shard(folder)
    edit_json(folder / SHARD_INDEX, **changes)
    refused(rf"{SHARD_INDEX}.*weight_map", folder)


@pytest.mark.parametrize("directory", ["../", "{folder}/../", "../model/", "./sub/../", "sub/", "sub/../../"])
def test_load_of_a_shard_index_that_points_elsewhere_is_refused(folder, directory):
    directory = directory.format(folder=folder)
    shard(folder, directory=directory)
    (folder / "sub").mkdir()
    for file in folder.glob("model-*"):
        shutil.copy(file, folder.parent)
        shutil.copy(file, folder / "sub")
    refused(rf"{SHARD_INDEX} points to '{re.escape(directory)}model-00001.*outside the folder", folder)


@pytest.mark.parametrize("name", ["..\\x.safetensors", "C:\\x", "\\\\server\\x", "", ".", "..", "a\0", "x" * 300])
def test_load_of_a_shard_with_an_impossible_name_is_refused(folder, name):
    shard(folder, **{"transformer.wte.weight": name})
    refused(SHARD_INDEX, folder)


def test_load_of_shards_that_lack_what_the_index_says_is_refused(folder):
    shard(folder)
    second = folder / "model-00002-of-00003.safetensors"
    tensors = load_file(second)
    lost = next(iter(tensors))
    save_file({name: array for name, array in tensors.items() if name != lost}, second)
    refused(rf"{second.name}.*{re.escape(lost)}.*{SHARD_INDEX}", folder)
    save_file(tensors | load_file(folder / "model-00001-of-00003.safetensors"), second)
    refused(rf"{second.name}.*there twice.*model-00001-of-00003\.safetensors", folder)
    second.write_bytes(second.read_bytes()[:-1])
    refused(second.name, folder)
    second.unlink()
    refused(rf"{second.name} is missing.*{SHARD_INDEX}", folder)


def test_load_of_a_pickle_is_refused_with_the_lines_that_convert_it(folder):
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(NeoError, match=r"model\.safetensors is missing.*pytorch_model\.bin.*pickle") as caught:
        neo_np.load(folder)
    lines = [line.strip() for line in str(caught.value).splitlines()[1:]]
    assert len(ast.parse("\n".join(lines)).body) == 3
    assert lines[0] == "from transformers import GPTNeoForCausalLM"
    assert f"from_pretrained({str(folder)!r}" in lines[1]
    assert f"save_pretrained({str(folder)!r}" in lines[2]


def test_tables_and_config_of_gpt_neo_125m_are_the_published_ones():
    """The tables of GPT-2, by their published checksums, and a config with the numbers of the model."""
    folder = ROOT / "weights" / "gpt-neo-125M"
    checksums = {
        "vocab.json": "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783",
        "merges.txt": "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5",
    }
    for name, checksum in checksums.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum
    config = load_config(folder / "config.json")
    assert (config.num_layers, config.num_heads, config.head_size, config.hidden_size) == (12, 12, 64, 768)
    assert (config.intermediate_size, config.vocab_size, config.max_position_embeddings) == (3072, 50257, 2048)
    assert (config.window_size, config.layer_norm_epsilon, config.tie_word_embeddings) == (256, 1e-5, True)
    assert (config.bos_token_id, config.eos_token_id) == (50256, 50256)
    assert config.activation_function == "gelu_new"
    assert config.attention_layers == ("global", "local") * 6


@pytest.mark.parametrize(
    "name", ["gpt-neo-125M", "EleutherAI/gpt-neo-125M", "weights/gpt-neo-125M", "weights/../weights/gpt-neo-125M/"]
)
def test_load_of_gpt_neo_without_weights_shows_the_commands_that_fetch_them(name, tmp_path, monkeypatch):
    tmp_path = tmp_path / "a folder with $HOME"  # in a command it needs quotes
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
