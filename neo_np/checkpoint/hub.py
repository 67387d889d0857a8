"""Where checkpoints are found: in weights/, in the local Hugging Face cache, or on the hub."""

import os
from pathlib import Path

from neo_np.errors import NeoError

WEIGHTS_FOLDER = Path(__file__).resolve().parent.parent.parent / "weights"
TOKENIZER_FILES = "vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "added_tokens.json"
NEEDED_FILES = ("config.json", "generation_config.json", *TOKENIZER_FILES)
WEIGHT_FILES = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
CONVERSION = """
    from transformers import GPTNeoForCausalLM
    model = GPTNeoForCausalLM.from_pretrained({source!r})
    model.save_pretrained({target!r})"""


def find_folder(folder, name):
    """Return the folder of this name, in any case, or None."""
    inside = sorted(folder.iterdir()) if folder.is_dir() else []
    return next((inner for inner in inside if inner.is_dir() and inner.name.lower() == name.lower()), None)


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
