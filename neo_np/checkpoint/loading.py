"""Checkpoints: folders in the Hugging Face format, read with every check and written so that transformers reads them."""

import os
import warnings
from pathlib import Path

from neo_np.checkpoint.find import find_checkpoint
from neo_np.checkpoint.hub import how_to_fetch
from neo_np.checkpoint.safetensors_file import DTYPES, holds, map_file, read_header, read_tensor
from neo_np.errors import NeoError
from neo_np.files import read_json
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.params import Params, parameter_shapes
from neo_np.model import Model
from neo_np.tokenizer.tokenizer import Tokenizer

WEIGHTS, SHARD_INDEX = "model.safetensors", "model.safetensors.index.json"
# Causal masks that old versions of transformers saved among the weights.
OLD_BUFFERS = ".attn.attention.bias", ".attn.attention.masked_bias"


def load(name=None, tokenizer=None):
    """Load a checkpoint and return a `Model`, its weights in float32.

    name: None for the checkpoint that ships in weights/; a folder; the name of a folder in weights/; or a name on the
    Hugging Face hub such as "EleutherAI/gpt-neo-125M" (looked for in weights/, then in the local Hugging Face cache,
    then downloaded if huggingface_hub is installed).
    tokenizer: where to take the tokenizer from instead: a name or folder likewise, or a `Tokenizer`.
    Raises NeoError, with the file and the tensor, for anything missing, damaged or contradictory.
    """
    folder = find_checkpoint(name)
    config = load_config(folder / "config.json")
    params, config = load_params(folder, config)
    if tokenizer is None:
        tokenizer = Tokenizer.load(folder)
    elif not isinstance(tokenizer, Tokenizer):
        tokenizer = Tokenizer.load(find_checkpoint(tokenizer, weights_wanted=False))
    if max(tokenizer.id_to_token) >= config.vocab_size:
        raise NeoError(
            f"the tokenizer has ids up to {max(tokenizer.id_to_token)} and {folder / 'config.json'} a vocab_size of "
            f"{config.vocab_size}: they are not of one model."
        )
    generation_file = folder / "generation_config.json"
    generation_config = read_json(generation_file) if generation_file.exists() else {}
    if not isinstance(generation_config, dict):
        raise NeoError(f"{generation_file} must hold one JSON object; delete it to go without.")
    return Model(config, params, tokenizer, generation_config)


def load_config(file):
    """Read a config.json; raises NeoError naming the file and the entry that is missing or wrong."""
    entries = read_json(file)
    if not isinstance(entries, dict):
        raise NeoError(f"{file} must hold one JSON object, and holds a {type(entries).__name__}.")
    try:
        return Config.from_dict(entries)
    except NeoError as error:
        raise NeoError(f"{file}: {error}") from None


def load_params(folder, config):
    """Read the weights of a folder and return (params, config).

    The config comes back untied where the file has an `lm_head.weight` that differs from the token embedding. Weights
    are never held twice: those in float32 stay in the file, which is mapped into memory, and others are read piece by
    piece into an array that is allocated once.
    """
    files = {file: read_header(file) for file in weight_files(folder)}
    mapped = {file: map_file(file) for file in files}
    tensors = {}
    for file, header in files.items():
        for stored_name, entry in header.items():
            name = stored_name.removeprefix("transformer.")
            if name.endswith(OLD_BUFFERS):
                continue
            if name in tensors:
                raise NeoError(f"{file}: the tensor {stored_name} is there twice; {tensors[name][0]} has it too.")
            tensors[name] = file, entry
    head = tensors.pop("lm_head.weight", None) if config.tie_word_embeddings else None
    where = next(iter(files)) if len(files) == 1 else folder
    shapes, named = parameter_shapes(config), {}
    check_shapes(tensors, shapes, where)
    for name in shapes:
        named[name] = read_tensor(name, *tensors[name], mapped)
    if head is not None:
        check_shapes({"lm_head.weight": head}, {"lm_head.weight": named["wte.weight"].shape}, where)
        if not holds(*head, named["wte.weight"]):
            warnings.warn(
                f"{head[0]}: lm_head.weight differs from wte.weight though config.json ties them; it is used.", stacklevel=3
            )
            named["lm_head.weight"] = read_tensor("lm_head.weight", *head, mapped)
            config = Config.from_dict(config.to_dict() | {"tie_word_embeddings": False})
    return Params(named), config


def weight_files(folder):
    """Return the safetensors files of a checkpoint folder: the one, or the shards that its index names."""
    if (folder / WEIGHTS).exists():
        return [folder / WEIGHTS]
    index_file = folder / SHARD_INDEX
    if not index_file.exists():
        raise NeoError(f"{folder / WEIGHTS} is missing{how_to_fetch(folder)}")
    index = read_json(index_file)
    names = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise NeoError(f"{index_file} must have a weight_map {{tensor: file}}, and has none.")
    files = sorted(set(names.values()))
    for name in files:
        if not name or Path(name).name != name or name == "..":
            raise NeoError(f"{index_file} points to {name!r}, which is outside the folder, or no file at all: refused.")
        if not os.path.isfile(folder / name):
            raise NeoError(f"{folder / name} is missing, and {SHARD_INDEX} names it: fetch that file too.")
    for name in files:
        held = read_header(folder / name)
        if lost := next((tensor for tensor, file in names.items() if file == name and tensor not in held), None):
            raise NeoError(f"{folder / name} has no tensor {lost}, and {SHARD_INDEX} says it has.")
    return [folder / name for name in files]


def check_shapes(tensors, shapes, where):
    """Raise NeoError for the first tensor that is missing, misshapen, of an unknown dtype or has no place in the model."""
    for name, shape in shapes.items():
        if name not in tensors:
            hint = " (config.json unties it from wte.weight, so it must be there)" if name == "lm_head.weight" else ""
            raise NeoError(f"{where}: the tensor {name} is missing{hint}.")
        file, entry = tensors[name]
        if tuple(entry["shape"]) != tuple(shape):
            raise NeoError(f"{file}: the tensor {name} has shape {tuple(entry['shape'])}; by config.json it is {shape}.")
        if entry["dtype"] not in DTYPES:
            raise NeoError(f"{file}: the tensor {name} is of type {entry['dtype']}; known are {', '.join(DTYPES)}.")
    if extra := next((name for name in tensors if name not in shapes), None):
        raise NeoError(f"{tensors[extra][0]}: the tensor {extra} has no place in a GPT-Neo of this config.json.")
