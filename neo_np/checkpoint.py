"""Checkpoints: folders in the Hugging Face format, read with every check and written so that transformers reads them."""

import json
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from neo_np.errors import NeoError
from neo_np.hub import find_checkpoint, how_to_fetch
from neo_np.model import Model
from neo_np.params import Config, Params, parameter_shapes
from neo_np.tokenizer import Tokenizer, read_json

WEIGHTS, SHARD_INDEX = "model.safetensors", "model.safetensors.index.json"
TOKENIZER_FILES = "vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json"
SAVED_FILES = WEIGHTS, "config.json", "generation_config.json", *TOKENIZER_FILES
CHUNK = 2**20  # numbers converted at a time
FLOAT_SIZE = 4  # bytes of a float32, at a multiple of which it must lie in memory
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


# Hugging Face safetensors, README.md, "Format": 8 bytes with the length of a JSON header (little-endian), the header
# {name: {"dtype", "shape", "data_offsets"}}, then the bytes of all tensors. The library checks the file; its own
# `get_tensor` would map the file into memory beside the arrays and so hold the weights twice.


def read_header(file):
    """Return {name: entry} for the tensors of a safetensors file, data_offsets counted from its start."""
    try:
        with safe_open(file, framework="numpy"):
            pass  # opening checks the header against itself and against the size of the file
        with open(file, "rb") as f:
            length = int.from_bytes(f.read(8), "little")
            header = json.loads(f.read(length))
    except (OSError, SafetensorError) as error:
        raise NeoError(f"{file} is not a whole safetensors file ({error}): it is cut off or damaged, fetch it anew.") from None
    header.pop("__metadata__", None)
    for entry in header.values():
        entry["data_offsets"] = [8 + length + offset for offset in entry["data_offsets"]]
    return header


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


def widen_bfloat16(bits):
    """Return float32 numbers from bfloat16 bits: bfloat16 is the upper half of a float32, and the lower half is zero."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


# For each dtype of the file: how NumPy reads it and how it becomes float32.
DTYPES = {
    "F64": ("<f8", lambda numbers: numbers.astype(np.float32)),
    "F32": ("<f4", lambda numbers: numbers),
    "F16": ("<f2", lambda numbers: numbers.astype(np.float32)),
    "BF16": ("<u2", widen_bfloat16),
}


def read_chunks(file, entry):
    """Yield (slice, float32 numbers) until the whole tensor, laid flat, has been read."""
    stored, to_float32 = DTYPES[entry["dtype"]]
    size = int(np.prod(entry["shape"]))
    with open(file, "rb") as f:
        f.seek(entry["data_offsets"][0])
        for start in range(0, size, CHUNK):
            numbers = np.fromfile(f, stored, min(CHUNK, size - start))
            yield slice(start, start + numbers.size), to_float32(numbers)


def read_tensor(name, file, entry, mapped):
    """Return one tensor as float32, with a warning where numbers are NaN or infinite; mapped: {file: its bytes or None}."""
    begin, end = entry["data_offsets"]
    if mapped[file] is not None and entry["dtype"] == "F32" and begin % FLOAT_SIZE == 0:
        array = mapped[file][begin:end].view(np.float32).reshape(entry["shape"])
    else:
        array = np.empty(entry["shape"], np.float32)
        for part, numbers in read_chunks(file, entry):
            array.reshape(-1)[part] = numbers
    if not all_finite(array):
        warnings.warn(f"{file}: the tensor {name} has numbers that are NaN or infinite; expect nonsense.", stacklevel=4)
    return array


def all_finite(array):
    """Return whether no number is NaN or infinite.

    Sums of rows tell it fast, and as a product BLAS makes them on all processors; where one overflows, all is looked at.
    """
    with np.errstate(all="ignore"):
        sums = array @ np.ones(array.shape[-1], array.dtype)
        return bool(np.isfinite(sums).all() or np.isfinite(array).all())


def map_file(file):
    """Return the bytes of a file mapped into memory, or None where float32 numbers could not be used as they lie there.

    The system reads each part when it is first looked at, and what is changed in the array stays out of the file ("c").
    Windows would not let a mapped file be replaced, as `save` does.
    """
    return np.asarray(np.memmap(file, mode="c")) if sys.byteorder == "little" and os.name == "posix" else None


def holds(file, entry, array):
    """Return whether a tensor in a file equals an array, without holding it in memory."""
    flat = array.reshape(-1)
    return all(np.array_equal(flat[part], numbers) for part, numbers in read_chunks(file, entry))


def save(model, folder):
    """Write a model as a checkpoint folder that transformers loads too; raises NeoError where that cannot be done.

    The files are written beside the folder and moved in when all are complete, so that a failure to write them leaves
    nothing behind. An older checkpoint there is replaced.
    """
    if not isinstance(model, Model):
        raise NeoError(f"save wants a Model and a folder, in this order; got {type(model).__name__} first.")
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise NeoError(f"save wants the folder to write into, and got {folder!r:.40}.")
    folder = Path(os.path.expanduser(folder))
    for other in ("tokenizer.json", SHARD_INDEX):
        if os.path.exists(folder / other):
            raise NeoError(f"{folder} holds {other}, which would contradict the files saved there: choose another folder.")
    written = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        written = Path(tempfile.mkdtemp(prefix=".neo_np-", dir=folder.parent))
        write_checkpoint(model, written)
        folder.mkdir(exist_ok=True)
        for name in SAVED_FILES:
            if (written / name).exists():
                os.replace(written / name, folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    except (OSError, ValueError, SafetensorError) as error:
        raise NeoError(f"{folder} cannot be written: {error}.") from None
    finally:
        if written:
            shutil.rmtree(written, ignore_errors=True)


def write_checkpoint(model, folder):
    """Write config.json, model.safetensors, the tokenizer's files and generation_config.json into a folder."""
    dtype = model.params.wte.weight.dtype.name
    named = {name if name == "lm_head.weight" else f"transformer.{name}": a for name, a in model.params.flat().items()}
    # safetensors writes the memory of an array as it lies there: a transposed view would come back scrambled.
    named = {name: np.ascontiguousarray(array) for name, array in named.items()}
    save_file(named, folder / WEIGHTS, metadata={"format": "pt"})
    write_json(folder / "config.json", model.config.to_dict() | {"dtype": dtype})
    shutil.copymode(folder / "config.json", folder / WEIGHTS)  # safetensors would let nobody but its owner read it
    if model.generation_config:
        write_json(folder / "generation_config.json", model.generation_config)
    if model.tokenizer:
        model.tokenizer.save(folder)


def write_json(file, entries):
    """Write a JSON file, indented as the hub's are."""
    file.write_text(json.dumps(entries, indent=2) + "\n", encoding="utf-8")
