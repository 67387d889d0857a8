"""Saving a model as a checkpoint folder in the Hugging Face format, which transformers loads too."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from neo_np.checkpoint.loading import GENERATION_ENTRIES
from neo_np.checkpoint.tensors import OUTPUT_EMBEDDING, TOKEN_EMBEDDING
from neo_np.errors import NeoError
from neo_np.files import write_json
from neo_np.folders.find import CONFIG, GENERATION_CONFIG, SHARD_INDEX, TOKENIZER_FILES, WEIGHTS
from neo_np.gpt_neo.config import Config
from neo_np.model import Model
from neo_np.other_names import with_advice

# A file among these that the new checkpoint does not have belongs to an older one, and is deleted.
SAVED_FILES = WEIGHTS, CONFIG, GENERATION_CONFIG, *TOKENIZER_FILES
# These contradict what is saved. They may be somebody's only copy, so they are never deleted.
FOREIGN_FILES = "tokenizer.json", SHARD_INDEX


@with_advice("save")
def save(model: Model, folder: str | os.PathLike) -> None:
    """Write a model as a checkpoint folder; transformers loads it too.

    The files are written beside the folder and moved in when all are complete, so a failure to write them leaves no file
    behind. An older checkpoint there is replaced. Raises NeoError if the folder cannot be written.
    """
    if not isinstance(model, Model):
        raise NeoError(f"save wants a Model and a folder, in this order; got {type(model).__name__} first.")
    if not isinstance(folder, str | os.PathLike) or not os.fspath(folder):
        raise NeoError(f"save wants the folder to write into, and got {folder!r:.40}.")
    folder = Path(os.path.expanduser(folder))
    if os.path.isfile(folder):
        raise NeoError(f"{folder} cannot be written: it is a file, and a checkpoint is a folder. Choose another name.")
    for other in FOREIGN_FILES:
        if os.path.exists(folder / other):
            raise NeoError(f"{folder} holds {other}, which would contradict the files saved there: choose another folder.")
    temporary = folder.parent / f".neo_np-{os.urandom(8).hex()}"
    try:
        temporary.mkdir(parents=True)
        write_checkpoint(model, temporary)
        folder.mkdir(exist_ok=True)
        for name in SAVED_FILES:
            if (temporary / name).exists():
                os.replace(temporary / name, folder / name)
            else:
                (folder / name).unlink(missing_ok=True)
    except (OSError, TypeError, ValueError, SafetensorError) as error:  # TypeError: an entry of a type that JSON does not have
        raise NeoError(f"{folder} cannot be written: {getattr(error, 'strerror', None) or error}.") from None
    finally:
        delete_folder(temporary)


def write_checkpoint(model: Model, folder: Path) -> None:
    """Write config.json, model.safetensors, the tokenizer's files and generation_config.json into a folder."""
    named = {name if name == OUTPUT_EMBEDDING else f"transformer.{name}": array for name, array in model.params.flat().items()}
    # safetensors writes the memory of an array as it is: a transposed view would come back in the wrong order.
    named = {name: np.ascontiguousarray(array) for name, array in named.items()}
    save_file(named, folder / WEIGHTS, metadata={"format": "pt"})
    write_json(folder / CONFIG, config_entries(model.config, named[f"transformer.{TOKEN_EMBEDDING}"].dtype))
    os.chmod(folder / WEIGHTS, (folder / CONFIG).stat().st_mode)  # safetensors would let only the owner read it
    if model.generation_config:
        write_json(folder / GENERATION_CONFIG, model.generation_config)
    if model.tokenizer:
        model.tokenizer.save(folder)


def delete_folder(folder: Path) -> None:
    """Delete a folder of files. `shutil` can do it too, but importing it would make every start slower."""
    with suppress(OSError):
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()


def config_entries(config: Config, dtype: np.dtype) -> dict[str, Any]:
    """Return the entries of config.json: each fact once, in the place where transformers looks for it.

    Until version 4.56, transformers called the precision "torch_dtype". Generation parameters are in generation_config.json.
    """
    elsewhere = {"torch_dtype", *GENERATION_ENTRIES}
    kept = {name: value for name, value in config.to_dict().items() if name not in elsewhere}
    return kept | {"dtype": dtype.name}
