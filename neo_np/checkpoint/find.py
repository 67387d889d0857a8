"""find."""

import os
import re
from pathlib import Path

from neo_np.checkpoint.hub import (
    TOKENIZER_FILES,
    WEIGHTS_FOLDER,
    cache_folder,
    can_download,
    download,
    find_folder,
    find_in_cache,
)
from neo_np.errors import NeoError

DEFAULT = "tales-2M"
HUB_NAME = re.compile(r"(?:(?P<owner>[\w-][\w.-]*)/)?(?P<name>[\w-][\w.-]*)")
SHIPPED_OWNERS = {"gpt-neo-125m": "eleutherai", "tales-2m": ""}  # tales-2M has none


def find_checkpoint(name=None, weights_wanted=True):
    """Return the folder of a checkpoint by its path, its name in weights/ or its name on the Hugging Face hub.

    weights_wanted: False where the tokenizer alone is needed. Raises NeoError that says where it was looked for.
    """
    if name is None:
        name = WEIGHTS_FOLDER / DEFAULT
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        raise NeoError(f"a checkpoint is named by a folder or a hub name, and got {name!r}.")
    folder = Path(os.path.expanduser(name))
    if os.path.isdir(folder):
        if not any((folder / file).exists() for file in ("config.json", *TOKENIZER_FILES)):
            raise NeoError(f"the folder {folder} holds no checkpoint: there is no config.json in it.")
        return folder
    if os.path.exists(folder):
        raise NeoError(f"{folder} is a file, and a checkpoint is a folder: did you mean {folder.parent}?")
    hub_name = HUB_NAME.fullmatch(name) if isinstance(name, str) else None
    in_weights = find_in_weights(*hub_name.groups()) if hub_name else None
    is_repository = hub_name and hub_name["owner"]
    cached = find_in_cache(hub_name["owner"], hub_name["name"]) if is_repository else None
    for place in (in_weights, cached):
        if place and (has_weights(place) or not weights_wanted):
            return place
    if is_repository and can_download():
        return download(name, weights_wanted)
    if in_weights or cached:
        return in_weights or cached  # loading it says what is missing there, with the command that fetches it
    if name == WEIGHTS_FOLDER / DEFAULT:
        raise NeoError(f"the checkpoint that ships is not in {folder}: use neo_np from its clone ('pip install -e .' there).")
    there = ", ".join(sorted(file.parent.name for file in WEIGHTS_FOLDER.glob("*/config.json"))) or "nothing"
    install = "; to download from the hub, 'pip install huggingface_hub' first" if is_repository else ""
    raise NeoError(
        f"no checkpoint {os.fspath(name)!r}: it is no folder, not in {WEIGHTS_FOLDER} (which has {there}) "
        f"and not in the Hugging Face cache {cache_folder()}{install}."
    )


def find_in_weights(owner, name):
    """Return the folder of weights/ with this name, or None; what ships there is found under its own owner alone."""
    if owner and SHIPPED_OWNERS.get(name.lower(), owner.lower()) != owner.lower():
        return None
    return find_folder(WEIGHTS_FOLDER, name)


def has_weights(folder):
    """Return whether a folder has safetensors weights, whole or in shards."""
    return (folder / "model.safetensors").exists() or (folder / "model.safetensors.index.json").exists()
