"""The weights of a checkpoint folder: which files have them, whether they are those of the config, and reading them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from neo_np.checkpoint.safetensors_file import DTYPES, Entry, map_file, read_header, read_tensor, same_numbers
from neo_np.errors import NeoError, warn
from neo_np.files import is_there, read_entries
from neo_np.folders.find import SHARD_INDEX, WEIGHTS, how_to_get_weights
from neo_np.gpt_neo.config import CAUSAL_LM, Config
from neo_np.gpt_neo.params import Params, parameter_shapes

# Causal masks that old versions of transformers saved with the weights.
OLD_BUFFERS = ".attn.attention.bias", ".attn.attention.masked_bias"
TOKEN_EMBEDDING, OUTPUT_EMBEDDING = "wte.weight", "lm_head.weight"
# What the names of a GPT-Neo's tensors begin with. Any other tensor belongs to another head, such as a classifier's.
PARTS = {"wte", "wpe", "h", "ln_f", "lm_head"}

Tensors = dict[str, tuple[Path, Entry]]  # for each name: the file that holds the tensor, and its entry in the header


def load_params(folder: Path, config: Config) -> tuple[Params, Config]:
    """Read the weights of a folder and return (params, config).

    The config comes back tied or untied as the weights are. Weights are never held twice: float32 weights stay in the file,
    which is mapped into memory, and others are read piece by piece into an array that is allocated once.
    """
    headers = {file: read_header(file) for file in weight_files(folder)}
    mapped = {file: map_file(file, header) for file, header in headers.items()}
    tensors, ignored = collect_tensors(headers)
    where = next(iter(headers)) if len(headers) == 1 else folder
    config = resolve_output_embedding(tensors, config, where)
    shapes = parameter_shapes(config)
    check_tensors(tensors, shapes, where, ignored)
    if ignored:
        shown = ", ".join(ignored[:4]) + (", ..." if len(ignored) > 4 else "")
        warn(f"{where}: the tensors {shown} are ignored: they belong to another head than a language model's.")
    return Params({name: read_tensor(name, *tensors[name], mapped[tensors[name][0]]) for name in shapes}), config


def resolve_output_embedding(tensors: Tensors, config: Config, where: Path) -> Config:
    """Return the config, with `tie_word_embeddings` changed if the weights contradict it.

    Where the embeddings are tied, only the token embedding stays in `tensors`.
    """
    head, embedding = tensors.get(OUTPUT_EMBEDDING), tensors.get(TOKEN_EMBEDDING)
    if not config.tie_word_embeddings:
        if head or not is_without_head(config):
            return config
        warn(f"{where}: there is no lm_head.weight, so the hidden states are right and the logits mean nothing.")
        return replace(config, tie_word_embeddings=True)
    if head and embedding is None:  # `safetensors.torch.save_model` stores arrays that share memory once, under either name
        tensors[TOKEN_EMBEDDING] = tensors.pop(OUTPUT_EMBEDDING)
    elif head and embedding:
        shape = parameter_shapes(config)[TOKEN_EMBEDDING]
        check_tensors(
            {TOKEN_EMBEDDING: embedding, OUTPUT_EMBEDDING: head}, {TOKEN_EMBEDDING: shape, OUTPUT_EMBEDDING: shape}, where
        )
        if not same_numbers(head, embedding):
            warn(f"{head[0]}: lm_head.weight differs from wte.weight though config.json ties them; lm_head.weight is used.")
            return replace(config, tie_word_embeddings=False)
        del tensors[OUTPUT_EMBEDDING]
    return config


def is_without_head(config: Config) -> bool:
    """Return whether config.json names only architectures that have no language-model head."""
    named = config.other.get("architectures")
    return isinstance(named, list) and bool(named) and CAUSAL_LM not in named


def weight_files(folder: Path) -> list[Path]:
    """Return the safetensors files of a checkpoint folder: the one, or the shards that its index names."""
    if is_there(folder / WEIGHTS):
        return [folder / WEIGHTS]
    index_file = folder / SHARD_INDEX
    if not is_there(index_file):
        raise NeoError(f"{folder / WEIGHTS} is missing{how_to_get_weights(folder)}")
    names = read_entries(index_file).get("weight_map")
    if not isinstance(names, dict) or not names or not all(isinstance(name, str) for name in names.values()):
        raise NeoError(f"{index_file} must have a weight_map {{tensor: file}}, and has none: download or copy it again.")
    files = sorted(set(names.values()))
    for name in files:
        if not name or Path(name).name != name or name == "..":
            raise NeoError(f"{index_file} points to {name!r}, which is outside the folder, or no file at all: refused.")
        if not is_there(folder / name):
            raise NeoError(f"{folder / name} is missing, and {SHARD_INDEX} names it: fetch that file too.")
        held = read_header(folder / name)
        promised = (tensor for tensor, file in names.items() if file == name and not may_be_left_out(tensor))
        if lost := next((tensor for tensor in promised if tensor not in held), None):
            raise NeoError(f"{folder / name} has no tensor {lost}, and {SHARD_INDEX} says it has: download both files again.")
    return [folder / name for name in files]


def may_be_left_out(stored_name: str) -> bool:
    """Return whether an index may name a tensor that no file has: a mask, or an output embedding that may be tied."""
    return stored_name == OUTPUT_EMBEDDING or stored_name.endswith(OLD_BUFFERS)


def collect_tensors(headers: dict[Path, dict[str, Entry]]) -> tuple[Tensors, list[str]]:
    """Return the tensors of all files under their names in the model, and the names of those that it has no use for."""
    tensors: Tensors = {}
    ignored = []
    for file, header in headers.items():
        for stored_name, entry in header.items():
            name = stored_name.removeprefix("transformer.")
            if name.partition(".")[0] not in PARTS:
                ignored.append(stored_name)
            elif name in tensors:
                raise NeoError(f"{file}: the tensor {stored_name} is there twice; {tensors[name][0]} has it too.")
            elif not name.endswith(OLD_BUFFERS):
                tensors[name] = file, entry
    return tensors, ignored


def check_tensors(tensors: Tensors, shapes: dict[str, tuple[int, ...]], where: Path, ignored: Sequence[str] = ()) -> None:
    """Raise NeoError for the first tensor that is missing, misshapen, of an unknown dtype or has no place in the model.

    ignored: names of other tensors in the files. With a prefix such as "module.", a missing tensor may be among them.
    """
    for name, shape in shapes.items():
        if name not in tensors:
            hint = " (config.json unties it from wte.weight, so it must be there)" if name == OUTPUT_EMBEDDING else ""
            if other := next((stored for stored in ignored if stored.endswith(f".{name}")), None):
                hint = f"; {other} may be it: remove the prefix of all names, so that they are those of transformers"
            raise NeoError(f"{where}: the tensor {name} is missing{hint}.")
        file, entry = tensors[name]
        if tuple(entry["shape"]) != tuple(shape):
            raise NeoError(
                f"{file}: the tensor {name} has shape {tuple(entry['shape'])}, and config.json asks for {shape}: use the "
                f"config.json that belongs to these weights."
            )
        if entry["dtype"] not in DTYPES:
            raise NeoError(f"{file}: the tensor {name} is of type {entry['dtype']}: save it as one of {', '.join(DTYPES)}.")
    if extra := next((name for name in tensors if name not in shapes), None):
        raise NeoError(
            f"{tensors[extra][0]}: the tensor {extra} has no place in a GPT-Neo of this config.json: use the config.json that "
            "belongs to these weights."
        )
