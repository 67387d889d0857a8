"""Checkpoints against transformers: what it saves loads here, what is saved here loads there, and the same is found."""

import inspect
import json
import os
import subprocess
import sys
import textwrap
import warnings
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from helpers import distance, random_model
from huggingface_hub.utils import filter_repo_objects
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    GPT2TokenizerFast,
    GPTNeoConfig,
    GPTNeoForCausalLM,
    GPTNeoForQuestionAnswering,
    GPTNeoForSequenceClassification,
    GPTNeoForTokenClassification,
    GPTNeoModel,
)

import neo_np
from neo_np import Config, NeoError, Tokenizer
from neo_np.checkpoint.loading import GENERATION_ENTRIES
from neo_np.folders import find, hub
from neo_np.gpt_neo.config import SAME_ACTIVATIONS
from neo_np.gpt_neo.params import parameter_shapes

TALES, GPT_NEO = find.WEIGHTS_FOLDER / find.DEFAULT_CHECKPOINT, find.WEIGHTS_FOLDER / "gpt-neo-125M"
TEXTS = ["", "Once upon a time", " 'tis the king's 1st  daughter\n\n", "Größe 🙂 <|endoftext|> x"]

# Shapes that differ in all that names and shapes depend on.
SHAPES = {
    "tied": {},
    "untied": {"tie_word_embeddings": False},
    "narrow feed-forward": {"intermediate_size": 17, "activation_function": "relu"},
    "all global": {"attention_types": [[["global"], 3]], "num_layers": 3, "num_heads": 1},
    "mixed": {"attention_types": [[["global", "local"], 1], [["local"], 2]], "num_layers": 4, "window_size": 1},
}


def make_reference(**changes):
    """Return a small GPT-Neo of transformers with all weights random, biases and gains too."""
    small = {
        "vocab_size": 2048,
        "hidden_size": 24,
        "num_layers": 2,
        "num_heads": 3,
        "attention_types": [[["global", "local"], 1]],
        "max_position_embeddings": 32,
        "window_size": 4,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    torch.manual_seed(0)
    reference = GPTNeoForCausalLM(GPTNeoConfig(**small | changes)).eval()
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            parameter.normal_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0, 0.1)
    return reference


def weights_of(reference):
    """Return {name: float32 array} as neo_np names them."""
    state = {name.removeprefix("transformer."): tensor.float().numpy() for name, tensor in reference.state_dict().items()}
    if reference.config.tie_word_embeddings:
        np.testing.assert_array_equal(state.pop("lm_head.weight"), state["wte.weight"])
    return state


def assert_same(model, reference):
    """The same arrays, and the same logits from them."""
    found, expected = model.params.flat(), weights_of(reference)
    assert set(found) == set(expected)
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
    ids = np.random.default_rng(0).integers(0, model.config.vocab_size, 32)
    with torch.no_grad():
        logits = reference.float()(torch.tensor(ids)[None]).logits[0].numpy()
    np.testing.assert_allclose(model.logits(ids), logits, atol=1e-4, rtol=0)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("max_shard_size", ["5GB", "50KB"])
def test_load_of_what_transformers_saves_gives_the_same_model(tmp_path, shape, dtype, max_shard_size):
    reference = make_reference(**shape).to(dtype)
    reference.save_pretrained(tmp_path, max_shard_size=max_shard_size)
    AutoTokenizer.from_pretrained(TALES).save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors.index.json").exists() == (max_shard_size == "50KB")
    assert not (tmp_path / "vocab.json").exists()  # transformers 5 writes only tokenizer.json
    model = neo_np.load(tmp_path)
    assert_same(model, reference)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert [model.tokenizer.encode(text) for text in TEXTS] == [theirs(text).input_ids for text in TEXTS]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_save_then_load_in_transformers_gives_the_same_model(tmp_path, tales, shape):
    config = Config.from_dict(make_reference(**shape).config.to_dict())
    shape = {name: getattr(config, name) for name in Config.__dataclass_fields__ if name != "other"}
    model = random_model(tokenizer=tales.tokenizer, **shape)
    neo_np.save(model, tmp_path)
    reference, info = GPTNeoForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info.values()), info  # no missing, unexpected or mismatched keys
    assert reference.dtype == torch.float32
    assert_same(model, reference.eval())
    assert type(AutoModelForCausalLM.from_pretrained(tmp_path)) is GPTNeoForCausalLM
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert [theirs(text).input_ids for text in TEXTS] == [model.tokenizer.encode(text) for text in TEXTS]


def test_save_of_added_tokens_then_load_in_transformers_finds_them(tmp_path, tales):
    tables = tales.tokenizer.vocab, tales.tokenizer.merges
    V = len(tales.tokenizer)
    tokenizer = Tokenizer(*tables, {"<|endoftext|>": 0, "<|sep|>": V}, {"nevermore": V + 1})
    neo_np.save(random_model(vocab_size=V + 2, tokenizer=tokenizer), tmp_path)
    theirs, again = AutoTokenizer.from_pretrained(tmp_path), neo_np.load(tmp_path).tokenizer
    for text in [*TEXTS, "never <|sep|>nevermore, nevermores<|endoftext|>"]:
        assert theirs(text).input_ids == again.encode(text) == tokenizer.encode(text)
        ids = tokenizer.encode(text)
        for skip in (False, True):
            assert theirs.decode(ids, skip_special_tokens=skip) == again.decode(ids, skip_special_tokens=skip)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_load_then_save_then_load_in_transformers_gives_the_same_model(tmp_path, tales, shape):
    reference = make_reference(attention_dropout=0.25, pad_token_id=5, **shape)
    reference.save_pretrained(tmp_path / "theirs")
    neo_np.save(neo_np.load(tmp_path / "theirs", tokenizer=tales.tokenizer), tmp_path / "ours")
    again = GPTNeoForCausalLM.from_pretrained(tmp_path / "ours").eval()
    assert_same(neo_np.load(tmp_path / "ours"), again)
    other_words = {"attention_types", "intermediate_size", "dtype", "_name_or_path"}
    here, there = (
        {name: value for name, value in model.config.to_dict().items() if name not in other_words}
        for model in (again, reference)
    )
    assert here == there


@pytest.mark.parametrize("key", ["torch_dtype", "dtype"])
def test_save_of_what_was_in_half_precision_says_the_precision_it_has(tmp_path, tales, key):
    make_reference().half().save_pretrained(tmp_path / "half")
    file = tmp_path / "half" / "config.json"
    entries = json.loads(file.read_text())
    entries.pop("dtype")
    file.write_text(json.dumps(entries | {key: "float16"}))  # "torch_dtype" until transformers 4.56
    neo_np.save(neo_np.load(tmp_path / "half", tokenizer=tales.tokenizer), tmp_path / "saved")
    entries = json.loads((tmp_path / "saved" / "config.json").read_text())
    assert {name: entries[name] for name in entries if "dtype" in name} == {"dtype": "float32"}
    for dtype in ("auto", None):
        again = GPTNeoForCausalLM.from_pretrained(tmp_path / "saved", dtype=dtype)
        assert again.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_load_of_every_half_precision_number_widens_as_in_torch(tmp_path, tales, dtype):
    reference = make_reference(hidden_size=32, num_heads=4).to(dtype)
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int16)
    with torch.no_grad():
        reference.transformer.wte.weight.copy_(bits.view(dtype).reshape(2048, 32))
    reference.save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match="NaN or infinite"):
        found = neo_np.load(tmp_path, tokenizer=tales.tokenizer).params.wte.weight.ravel()
    expected = bits.view(dtype).float().numpy()
    numbers = ~np.isnan(expected)  # the payload of NaN is nobody's business
    assert np.array_equal(found[numbers].view(np.uint32), expected[numbers].view(np.uint32))
    assert np.isnan(found[~numbers]).all()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_parameter_shapes_of_a_config_are_those_of_the_state_dict(shape):
    reference = make_reference(**shape)
    shapes = parameter_shapes(Config.from_dict(reference.config.to_dict()))
    assert shapes == {name: array.shape for name, array in weights_of(reference).items()}


def test_load_of_masks_that_old_versions_saved_gives_the_same_model(tmp_path, tales):
    reference = make_reference()
    reference.save_pretrained(tmp_path)
    state = safetensors.torch.load_file(tmp_path / "model.safetensors")
    for layer in range(2):
        at = f"transformer.h.{layer}.attn.attention."
        state[at + "bias"] = torch.tril(torch.ones(1, 1, 32, 32, dtype=torch.uint8))
        state[at + "masked_bias"] = torch.tensor(-1e9)
    safetensors.torch.save_file(state, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert_same(neo_np.load(tmp_path, tokenizer=tales.tokenizer), reference)


def test_load_of_a_pickle_shows_lines_that_convert_it(tmp_path, tales):
    reference = make_reference()
    reference.config.save_pretrained(tmp_path)
    torch.save(reference.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(NeoError, match=r"pytorch_model\.bin") as caught:
        neo_np.load(tmp_path, tokenizer=tales.tokenizer)
    exec(textwrap.dedent(str(caught.value).split("\n", 1)[1]), {})
    assert_same(neo_np.load(tmp_path, tokenizer=tales.tokenizer), reference)


def test_load_then_save_of_generation_config_gives_the_same_defaults(tmp_path, tales):
    reference = make_reference()
    options = GenerationConfig(max_new_tokens=7, do_sample=True, top_k=5, temperature=0.5, eos_token_id=[0, 3], bos_token_id=0)
    reference.generation_config = options
    reference.save_pretrained(tmp_path / "theirs")
    model = neo_np.load(tmp_path / "theirs", tokenizer=tales.tokenizer)
    assert len(model.generate([1, 2], seed=0, min_new_tokens=7)) == 2 + 7
    neo_np.save(model, tmp_path / "ours")
    assert GenerationConfig.from_pretrained(tmp_path / "ours").to_diff_dict() == options.to_diff_dict()


IDS_OUTSIDE = {
    "both": {"bos_token_id": 50256, "eos_token_id": 50256},
    "bos": {"bos_token_id": 50256, "eos_token_id": 0},
    "eos is vocab_size": {"bos_token_id": 0, "eos_token_id": 2048},
    "list": {"bos_token_id": 0, "eos_token_id": [0, 50256]},
    "negative": {"bos_token_id": -1, "eos_token_id": -1},
    "pad": {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 50256},
}


@pytest.mark.parametrize("generation_config_too", [False, True])
@pytest.mark.parametrize("ids", IDS_OUTSIDE.values(), ids=IDS_OUTSIDE)
def test_load_of_special_ids_outside_the_vocabulary_writes_what_transformers_writes(
    tmp_path, tales, ids, generation_config_too
):
    make_reference(**ids).save_pretrained(tmp_path)
    if not generation_config_too:
        (tmp_path / "generation_config.json").unlink()
    reference = AutoModelForCausalLM.from_pretrained(tmp_path)
    model = neo_np.load(tmp_path, tokenizer=tales.tokenizer)
    prompt = [5, 6, 7]
    expected = reference.generate(torch.tensor([prompt]), max_new_tokens=20, do_sample=False)[0].tolist()
    assert model.generate(prompt, max_new_tokens=20) == expected


@pytest.mark.parametrize("generation_config", [None, {}, {"eos_token_id": None}, {"top_k": 5}, {"eos_token_id": [3, 1038]}])
def test_load_of_end_tokens_in_two_files_ends_where_transformers_ends(tmp_path, tales, generation_config):
    prompt, length = [5, 6, 7], 12
    reference = make_reference()
    ids = reference.generate(torch.tensor([prompt]), max_new_tokens=length, do_sample=False)[0].tolist()
    reference = make_reference(eos_token_id=ids[5])  # a token that it writes
    reference.save_pretrained(tmp_path)
    (tmp_path / "generation_config.json").unlink()
    if generation_config is not None:
        (tmp_path / "generation_config.json").write_text(json.dumps(generation_config))
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path)
    expected = theirs.generate(torch.tensor([prompt]), max_new_tokens=length, do_sample=False)[0].tolist()
    model = neo_np.load(tmp_path, tokenizer=tales.tokenizer)
    assert model.generate(prompt, max_new_tokens=length) == expected
    neo_np.save(model, tmp_path / "again")
    assert neo_np.load(tmp_path / "again").generate(prompt, max_new_tokens=length) == expected
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "again")
    assert theirs.generate(torch.tensor([prompt]), max_new_tokens=length, do_sample=False)[0].tolist() == expected


def test_load_of_a_window_that_no_layer_uses_gives_the_same_model(tmp_path, tales):
    reference = make_reference(window_size=0, attention_types=[[["global"], 2]])
    reference.save_pretrained(tmp_path)
    model = neo_np.load(tmp_path, tokenizer=tales.tokenizer)
    assert_same(model, GPTNeoForCausalLM.from_pretrained(tmp_path).eval())
    neo_np.save(model, tmp_path / "again")
    assert_same(model, GPTNeoForCausalLM.from_pretrained(tmp_path / "again").eval())


def test_load_of_an_index_that_names_the_tied_embedding_gives_the_same_model(tmp_path, tales):
    make_reference().save_pretrained(tmp_path, max_shard_size="50KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    files = index["weight_map"]
    files["lm_head.weight"] = files["transformer.h.0.attn.attention.masked_bias"] = files["transformer.wte.weight"]
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    reference = GPTNeoForCausalLM.from_pretrained(tmp_path).eval()
    assert_same(neo_np.load(tmp_path, tokenizer=tales.tokenizer), reference)


@pytest.mark.parametrize("tied", [True, False])
def test_load_of_what_safetensors_save_model_writes_gives_the_same_model(tmp_path, tales, tied):
    reference = make_reference(tie_word_embeddings=tied)
    reference.config.save_pretrained(tmp_path)
    safetensors.torch.save_model(reference, str(tmp_path / "model.safetensors"), metadata={"format": "pt"})
    with safetensors.safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert ("transformer.wte.weight" in file.keys()) is not tied  # one name of two for what shares memory
    assert_same(neo_np.load(tmp_path, tokenizer=tales.tokenizer), reference)
    assert_same(neo_np.load(tmp_path, tokenizer=tales.tokenizer), GPTNeoForCausalLM.from_pretrained(tmp_path))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "kind", [GPTNeoForSequenceClassification, GPTNeoForTokenClassification, GPTNeoForQuestionAnswering, GPTNeoModel]
)
def test_load_of_other_heads_gives_the_hidden_states_of_transformers(tmp_path, tales, kind, tied):
    torch.manual_seed(1)
    kind(make_reference(tie_word_embeddings=tied).config).save_pretrained(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = neo_np.load(tmp_path, tokenizer=tales.tokenizer)
    assert any("ignored" in str(warning.message) for warning in caught) == (kind is not GPTNeoModel)
    assert any("logits mean nothing" in str(warning.message) for warning in caught) == (not tied)
    ids = np.random.default_rng(0).integers(0, 2048, 32)
    with torch.no_grad():
        expected = AutoModel.from_pretrained(tmp_path)(torch.tensor(ids)[None]).last_hidden_state[0].numpy()
    assert distance(model.hidden_states(ids)[-1], expected) < 1e-5


def test_load_of_a_tokenizer_with_more_tokens_than_the_model_writes_what_transformers_writes(tmp_path):
    theirs = AutoTokenizer.from_pretrained(TALES)
    V = len(theirs)
    make_reference(vocab_size=V).save_pretrained(tmp_path)
    theirs.add_special_tokens({"pad_token": "[PAD]"})
    theirs.add_tokens(["nevermore"])
    theirs.save_pretrained(tmp_path)
    model, reference = neo_np.load(tmp_path), AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = theirs("Once upon a time").input_ids
    assert model.tokenizer.encode("Once upon a time") == ids
    expected = reference.generate(torch.tensor([ids]), max_new_tokens=9, do_sample=False)[0].tolist()
    assert model.generate(ids, max_new_tokens=9) == expected
    for text in ("[PAD]", "Once nevermore"):
        assert max(theirs(text).input_ids) >= V
        with pytest.raises(IndexError):
            reference(torch.tensor([theirs(text).input_ids]))
        with pytest.raises(NeoError, match=r"id \d+ is not a token of this model"):
            model.logits(model.tokenizer.encode(text))


@pytest.mark.parametrize("name", SAME_ACTIVATIONS)
def test_load_of_another_name_of_an_activation_gives_the_same_logits(tmp_path, tales, name):
    reference = make_reference(activation_function=name)
    reference.save_pretrained(tmp_path)
    assert_same(neo_np.load(tmp_path, tokenizer=tales.tokenizer), reference)


def test_generation_entries_are_those_of_transformers():
    of_every_model = {"bos_token_id", "eos_token_id", "pad_token_id", "use_cache", "output_attentions", "output_hidden_states"}
    names = {name for name in GenerationConfig().to_dict() if not name.startswith("_")} - {"transformers_version"}
    assert set(GENERATION_ENTRIES) == names - of_every_model


@pytest.mark.parametrize("generation_config", [None, {}, {"temperature": 0.25}])
def test_load_then_save_of_generation_parameters_in_config_json_gives_the_defaults_of_transformers(
    tmp_path, tales, generation_config
):
    make_reference().save_pretrained(tmp_path / "theirs")
    file = tmp_path / "theirs" / "config.json"
    old = {"do_sample": True, "temperature": 0.5, "suppress_tokens": [1, 2], "max_length": 9, "num_beams": None, "top_k": 7}
    file.write_text(json.dumps(json.loads(file.read_text()) | old))
    (tmp_path / "theirs" / "generation_config.json").unlink()
    if generation_config is not None:
        (tmp_path / "theirs" / "generation_config.json").write_text(json.dumps(generation_config))
    reference = AutoModelForCausalLM.from_pretrained(tmp_path / "theirs")
    model = neo_np.load(tmp_path / "theirs", tokenizer=tales.tokenizer)
    theirs = reference.generation_config.to_dict()
    assert {name: theirs[name] for name in GENERATION_ENTRIES if theirs[name] is not None} == {
        name: value for name, value in model.generation_config.items() if name in GENERATION_ENTRIES
    }
    neo_np.save(model, tmp_path / "ours")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "ours").generation_config.to_dict()
    assert {name: again[name] for name in GENERATION_ENTRIES} == {name: theirs[name] for name in GENERATION_ENTRIES}


def test_config_of_gpt_neo_125m_is_its_architecture():
    config = GPTNeoConfig.from_pretrained(GPT_NEO)
    facts = {"num_layers": 12, "num_heads": 12, "hidden_size": 768, "vocab_size": 50257, "max_position_embeddings": 2048}
    facts |= {"window_size": 256, "layer_norm_epsilon": 1e-5, "tie_word_embeddings": True, "activation_function": "gelu_new"}
    facts |= {
        "bos_token_id": 50256,
        "eos_token_id": 50256,
        "attention_layers": ["global", "local"] * 6,
        "model_type": "gpt_neo",
    }
    assert {name: getattr(config, name) for name in facts} == facts
    with torch.device("meta"):  # only shapes
        reference = GPTNeoForCausalLM(config)
    assert reference.transformer.h[0].mlp.c_fc.weight.shape == (3072, 768)
    assert sum(parameter.numel() for parameter in reference.parameters()) == 125_198_592
    state = {name.removeprefix("transformer."): tuple(tensor.shape) for name, tensor in reference.state_dict().items()}
    del state["lm_head.weight"]  # tied
    assert parameter_shapes(Config.from_dict(json.loads((GPT_NEO / "config.json").read_text()))) == state


@pytest.mark.parametrize("folder", [TALES, GPT_NEO], ids=lambda folder: folder.name)
def test_tokenizer_of_the_tables_that_ship_is_what_transformers_reads(folder):
    ours, theirs = neo_np.Tokenizer.load(folder), GPT2TokenizerFast.from_pretrained(folder)
    assert ours.vocab | ours.special_tokens == theirs.get_vocab()


ENVIRONMENTS = [
    {},
    {"XDG_CACHE_HOME": "/tmp/xdg"},
    {"XDG_CACHE_HOME": "/tmp/xdg", "HF_HOME": "/tmp/hf"},
    {"HF_HOME": "~/hf"},
    {"HF_HOME": "/tmp/hf", "HF_HUB_CACHE": "/tmp/cache"},
    {"HF_HOME": "/tmp/hf", "HUGGINGFACE_HUB_CACHE": "/tmp/old"},
    {"HF_HUB_CACHE": "$HF_HOME/cache", "HUGGINGFACE_HUB_CACHE": "/tmp/old", "HF_HOME": "~/hf"},
    {"HF_HOME": "$HOME/hf"},
]


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: " ".join(environment) or "none")
def test_cache_folder_is_where_huggingface_hub_has_it(monkeypatch, environment):
    for variable in ("XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    code = "from huggingface_hub.constants import HF_HUB_CACHE; print(HF_HUB_CACHE)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert hub.cache_folder() == Path(found.stdout.strip())


def test_find_of_several_snapshots_gives_the_one_of_huggingface_hub(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(find, "WEIGHTS_FOLDER", tmp_path / "none")
    repository = tmp_path / huggingface_hub.file_download.repo_folder_name(repo_id="Owner/a-Name.1", repo_type="model")
    commits = [letter * 40 for letter in "abc"]
    for age, commit in enumerate(commits):
        snapshot = repository / "snapshots" / commit
        snapshot.mkdir(parents=True)
        for name in ("config.json", "model.safetensors"):
            (snapshot / name).write_text("{}")
        os.utime(snapshot, (10**9 - age, 10**9 - age))
    (repository / "refs").mkdir()
    for commit in commits:
        (repository / "refs" / "main").write_text(commit)
        theirs = huggingface_hub.snapshot_download("Owner/a-Name.1", cache_dir=tmp_path, local_files_only=True)
        assert find.find_checkpoint("Owner/a-Name.1") == Path(theirs) == repository / "snapshots" / commit


def test_find_downloads_with_arguments_that_huggingface_hub_understands(tmp_path, monkeypatch):
    signature = inspect.signature(huggingface_hub.snapshot_download)
    calls = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda *a, **k: calls.append(signature.bind(*a, **k)) or tmp_path)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    assert find.find_checkpoint("someone/else") == tmp_path
    arguments = calls[0].arguments
    assert arguments["repo_id"] == "someone/else"
    files = [file.name for file in TALES.iterdir()] + [
        "pytorch_model.bin",
        "onnx/model.onnx",
        "model-00001-of-00002.safetensors",
    ]
    asked = list(filter_repo_objects(files, allow_patterns=arguments["allow_patterns"]))
    assert sorted(asked) == sorted(set(files) - {"MODEL.md", "SOURCES.md", "loss.png", "pytorch_model.bin", "onnx/model.onnx"})
