"""Where checkpoints are found: in weights/, in the local Hugging Face cache, or on the hub."""

import os
import re
from pathlib import Path

from neo_np.errors import NeoError

DEFAULT = "tales-2M"
WEIGHTS_FOLDER = Path(__file__).resolve().parent.parent / "weights"
HUB_NAME = re.compile(r"(?:(?P<owner>[\w-][\w.-]*)/)?(?P<name>[\w-][\w.-]*)")
SHIPPED_OWNERS = {"gpt-neo-125m": "eleutherai", "tales-2m": ""}  # tales-2M has none
TOKENIZER_FILES = "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "added_tokens.json"
NEEDED_FILES = ("config.json", "generation_config.json", *TOKENIZER_FILES)
WEIGHT_FILES = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
CONVERSION = """
    from transformers import GPTNeoForCausalLM
    model = GPTNeoForCausalLM.from_pretrained({source!r})
    model.save_pretrained({target!r})"""


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


def find_folder(folder, name):
    """Return the folder of this name, in any case, or None."""
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return next((inner for inner in inside if inner.is_dir() and inner.name.lower() == name.lower()), None)


def has_weights(folder):
    """Return whether a folder has safetensors weights, whole or in shards."""
    return (folder / "model.safetensors").exists() or (folder / "model.safetensors.index.json").exists()


def cache_folder():
    """Return where the Hugging Face libraries keep downloads, by their own environment variables."""
    home = os.environ.get("HF_HOME")
    if not home:
        home = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    return Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()


def find_in_cache(owner, name):
    """Return the newest snapshot of a hub repository in the local cache, or None.

    The cache's layout: models--OWNER--NAME/refs/main names the commit, and snapshots/COMMIT holds its files.
    """
    repository = find_folder(cache_folder(), f"models--{owner}--{name}")
    if repository is None:
        return None
    main = repository / "refs" / "main"
    snapshots = [repository / "snapshots" / main.read_text().strip()] if main.is_file() else []
    snapshots += sorted(repository.glob("snapshots/*"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    return next((folder for folder in snapshots if (folder / "config.json").exists()), None)


def can_download():
    """Return whether huggingface_hub is installed."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        return False
    return True


def download(name, weights_wanted):
    """Fetch the files that are needed with huggingface_hub, which shows its own progress bar, and return the folder."""
    from huggingface_hub import snapshot_download

    wanted = NEEDED_FILES + WEIGHT_FILES if weights_wanted else NEEDED_FILES
    try:
        return Path(snapshot_download(name, allow_patterns=list(wanted)))
    except Exception as error:  # the library raises errors of many kinds: network, names, permissions, disk
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NeoError(f"{name!r} is not on this machine and could not be downloaded: {reason}") from None


def how_to_fetch(folder):
    """Return the end of a sentence that says how missing weights are had."""
    folder = folder.resolve()
    if folder.parent.name == "snapshots" and folder.is_relative_to(cache_folder().resolve()):
        name = folder.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
        how = CONVERSION.format(source=name, target=f"weights/{name.split('/')[-1]}")
        return (
            f"; if {name} has pytorch_model.bin alone, a pickle, which is never read, convert it once with transformers:{how}"
        )
    if pickles := sorted(folder.glob("pytorch_model*.bin")):
        how = CONVERSION.format(source=str(folder), target=str(folder))
        return f", and {pickles[0].name}, a pickle, is never read; convert it once with transformers:{how}"
    if folder.parent == WEIGHTS_FOLDER and folder.name.startswith("gpt-neo"):
        place = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        return (
            ": fetch it with 'pip install huggingface_hub', then "
            f"'hf download EleutherAI/{folder.name} model.safetensors --local-dir {place}'."
        )
    return ": a checkpoint folder needs it (or shards with model.safetensors.index.json)."
