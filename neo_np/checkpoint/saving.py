"""saving."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import save_file

from neo_np.checkpoint.loading import SHARD_INDEX, WEIGHTS
from neo_np.errors import NeoError
from neo_np.files import write_json
from neo_np.model import Model

TOKENIZER_FILES = "vocab.json", "merges.txt", "tokenizer_config.json", "added_tokens.json"
SAVED_FILES = WEIGHTS, "config.json", "generation_config.json", *TOKENIZER_FILES


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
