"""Loading a checkpoint: a folder in the Hugging Face format becomes a `Model`, and every file is checked."""

import os
from pathlib import Path
from typing import Any

from neo_np.checkpoint.find import CONFIG, GENERATION_CONFIG, SHARD_INDEX, WEIGHTS, find_checkpoint, how_to_get_weights
from neo_np.checkpoint.safetensors_file import DTYPES, Entry, holds, map_file, read_header, read_tensor
from neo_np.errors import NeoError, warn
from neo_np.files import is_there, read_json
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.params import Params, parameter_shapes
from neo_np.model import Model
from neo_np.tokenizer.tokenizer import Tokenizer

# Causal masks that old versions of transformers saved with the weights.
OLD_BUFFERS = ".attn.attention.bias", ".attn.attention.masked_bias"
TOKEN_EMBEDDING, OUTPUT_EMBEDDING = "wte.weight", "lm_head.weight"

Tensors = dict[str, tuple[Path, Entry]]  # for each name: the file that holds the tensor, and its entry in the header


def load(name: str | os.PathLike | None = None, tokenizer: str | os.PathLike | Tokenizer | None = None) -> Model:
    """Load a checkpoint and return a `Model`, with its weights in float32.

    name: None for the checkpoint that ships; a folder; the name of a folder in the weights folder; or a name on the
        Hugging Face hub such as "EleutherAI/gpt-neo-125M" (looked for in the weights folder, then in the local Hugging Face
        cache, then downloaded if huggingface_hub is installed).
    tokenizer: None for the checkpoint's own; else a `Tokenizer`, or the folder or name of the checkpoint that has it.
    Raises NeoError, with the file and the tensor, for anything missing, damaged or contradictory.
    """
    folder = find_checkpoint(name)
    config = load_config(folder / CONFIG)
    params, config = load_params(folder, config)
    if tokenizer is None:
        tokenizer = Tokenizer.load(folder)
    elif not isinstance(tokenizer, Tokenizer):
        tokenizer = Tokenizer.load(find_checkpoint(tokenizer, weights_wanted=False))
    return Model(config, params, tokenizer, load_generation_config(folder))


def load_config(file: Path) -> Config:
    """Read a config.json; raises NeoError naming the file and the entry that is missing or wrong."""
    try:
        return Config.from_dict(read_entries(file))
    except NeoError as error:
        raise error if str(file) in str(error) else NeoError(f"{file}: {error}") from None


def load_generation_config(folder: Path) -> dict[str, Any]:
    """Read the checkpoint's own defaults for `generate`."""
    file = folder / GENERATION_CONFIG
    return read_entries(file) if is_there(file) else {}


def read_entries(file: Path) -> dict[str, Any]:
    """Read a JSON file that must hold one object."""
    entries = read_json(file)
    if not isinstance(entries, dict):
        raise NeoError(f"{file} must hold one JSON object, and holds a {type(entries).__name__}.")
    return entries


def load_params(folder: Path, config: Config) -> tuple[Params, Config]:
    """Read the weights of a folder and return (params, config).

    The config comes back untied if the file has an `lm_head.weight` that differs from the token embedding. Weights
    are never held twice: float32 weights stay in the file, which is mapped into memory, and others are read piece by
    piece into an array that is allocated once.
    """
    headers = {file: read_header(file) for file in weight_files(folder)}
    mapped = {file: map_file(file, header) for file, header in headers.items()}
    tensors = collect_tensors(headers)
    where = next(iter(headers)) if len(headers) == 1 else folder

    def read(name: str, file: Path, entry: Entry):
        return read_tensor(name, file, entry, mapped[file])

    head = tensors.pop(OUTPUT_EMBEDDING, None) if config.tie_word_embeddings else None
    shapes = parameter_shapes(config)
    check_tensors(tensors, shapes, where)
    named = {name: read(name, *tensors[name]) for name in shapes}
    if head is not None:
        check_tensors({OUTPUT_EMBEDDING: head}, {OUTPUT_EMBEDDING: shapes[TOKEN_EMBEDDING]}, where)
        if not holds(*head, named[TOKEN_EMBEDDING]):
            warn(f"{head[0]}: lm_head.weight differs from wte.weight though config.json ties them; it is used.")
            named[OUTPUT_EMBEDDING] = read(OUTPUT_EMBEDDING, *head)
            config = Config.from_dict(config.to_dict() | {"tie_word_embeddings": False})
    return Params(named), config


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a checkpoint folder: the one, or the shards that its index names."""
    if is_there(folder / WEIGHTS):
        return [folder / WEIGHTS]
    index_file = folder / SHARD_INDEX
    if not is_there(index_file):
        raise NeoError(f"{folder / WEIGHTS} is missing{how_to_get_weights(folder)}")
    names = read_entries(index_file).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise NeoError(f"{index_file} must have a weight_map {{tensor: file}}, and has none.")
    files = sorted(set(names.values()))
    for name in files:
        if not name or Path(name).name != name or name == "..":
            raise NeoError(f"{index_file} points to {name!r}, which is outside the folder, or no file at all: refused.")
        if not is_there(folder / name):
            raise NeoError(f"{folder / name} is missing, and {SHARD_INDEX} names it: fetch that file too.")
        held = read_header(folder / name)
        if lost := next((tensor for tensor, file in names.items() if file == name and tensor not in held), None):
            raise NeoError(f"{folder / name} has no tensor {lost}, and {SHARD_INDEX} says it has.")
    return [folder / name for name in files]


def collect_tensors(headers: dict[Path, dict[str, Entry]]) -> Tensors:
    """Return the tensors of all files under their names in the model: without the prefix, without old buffers."""
    tensors: Tensors = {}
    for file, header in headers.items():
        for stored_name, entry in header.items():
            name = stored_name.removeprefix("transformer.")
            if name.endswith(OLD_BUFFERS):
                continue
            if name in tensors:
                raise NeoError(f"{file}: the tensor {stored_name} is there twice; {tensors[name][0]} has it too.")
            tensors[name] = file, entry
    return tensors


def check_tensors(tensors: Tensors, shapes: dict[str, tuple[int, ...]], where: Path) -> None:
    """Raise NeoError for the first tensor that is missing, misshapen, of an unknown dtype or has no place in the model."""
    for name, shape in shapes.items():
        if name not in tensors:
            hint = " (config.json unties it from wte.weight, so it must be there)" if name == OUTPUT_EMBEDDING else ""
            raise NeoError(f"{where}: the tensor {name} is missing{hint}.")
        file, entry = tensors[name]
        if tuple(entry["shape"]) != tuple(shape):
            raise NeoError(f"{file}: the tensor {name} has shape {tuple(entry['shape'])}; by config.json it is {shape}.")
        if entry["dtype"] not in DTYPES:
            raise NeoError(f"{file}: the tensor {name} is of type {entry['dtype']}; known are {', '.join(DTYPES)}.")
    if extra := next((name for name in tensors if name not in shapes), None):
        raise NeoError(f"{tensors[extra][0]}: the tensor {extra} has no place in a GPT-Neo of this config.json.")
