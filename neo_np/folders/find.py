"""Finding the folder of a checkpoint: by its path, in the weights folder, in the Hugging Face cache, on the hub."""

import os
import re
from pathlib import Path

from neo_np.errors import NeoError
from neo_np.files import for_shell, is_there
from neo_np.folders.hub import cache_folder, can_download, download, find_folder, find_in_cache, repository_name

DEFAULT_CHECKPOINT = "tales-6M"

CONFIG, GENERATION_CONFIG = "config.json", "generation_config.json"
WEIGHTS, SHARD_INDEX = "model.safetensors", "model.safetensors.index.json"
SHARDS = "model-*.safetensors"
ADAPTER = "adapter_config.json"  # of peft: LoRA weights, which change another model
STEP = r"(?:step|checkpoint)-([0-9]+)"  # folders of checkpoints, of neo_np.train and of transformers' Trainer
TOKENIZER_FILES = (
    "vocab.json",
    "merges.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
MORE_TEMPLATES = "additional_chat_templates"  # a folder

PACKAGE = Path(__file__).resolve().parent.parent
INSTALLED_WEIGHTS = PACKAGE / "weights"  # a wheel has the weights inside the package, a clone beside it
WEIGHTS_FOLDER = INSTALLED_WEIGHTS if INSTALLED_WEIGHTS.is_dir() else PACKAGE.parent / "weights"

HUB_NAME = r"(?:(?P<owner>[\w-][\w.-]*)/)?(?P<name>[\w-][\w.-]*)/?"
HUB_PAGE = r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/(?P<name>[\w.-]+/[\w.-]+).*"
GPT_NEO_OWNER = "EleutherAI"
# Who owns the names that ship in the weights folder. The default checkpoint is not on the hub.
OWNERS = {"gpt-neo-125m": GPT_NEO_OWNER.lower(), DEFAULT_CHECKPOINT.lower(): None}

CONVERSION = """
    from transformers import GPTNeoForCausalLM
    model = GPTNeoForCausalLM.from_pretrained({source!r})
    model.save_pretrained({target!r})"""


def find_checkpoint(name: str | os.PathLike | None = None, weights_wanted: bool = True) -> Path:
    """Return the folder of a checkpoint.

    name: None for the default checkpoint; the path of a folder; the name of a folder in the weights folder; or the name of a
        repository on the Hugging Face hub.
    weights_wanted: False if only the tokenizer is needed.
    Raises NeoError that says where it was looked for.
    """
    if name is None:
        name = WEIGHTS_FOLDER / DEFAULT_CHECKPOINT
    if not isinstance(name, str | os.PathLike) or not os.fspath(name):
        raise NeoError(f"a checkpoint is named by a folder or a hub name; got {name!r}.")
    folder = Path(os.path.expanduser(name))
    if is_there(folder):
        return check_folder(folder, weights_wanted)
    return find_by_name(name, weights_wanted)


def check_folder(folder: Path, weights_wanted: bool) -> Path:
    """Return a folder if it holds a checkpoint; raises NeoError for a file, and for a folder without one."""
    if not folder.is_dir():
        meant = newest_step(folder.parent) or (folder.parent if is_there(folder.parent / CONFIG) else None)
        raise NeoError(f"{folder} is a file, and a checkpoint is a folder{f': did you mean {meant}?' if meant else '.'}")
    files = [CONFIG] if weights_wanted and is_there(folder / ADAPTER) else [CONFIG, *TOKENIZER_FILES]
    if not any(is_there(folder / file) for file in files):
        raise NeoError(f"the folder {folder} holds no checkpoint: {which_was_meant(folder)}.")
    return folder


def which_was_meant(folder: Path) -> str:
    """Return the end of a sentence about a folder that is no checkpoint: a training run, or a folder of runs."""
    if is_there(folder / ADAPTER):
        return "it is a LoRA adapter, which changes another model: merge them with peft (merge_and_unload) and save the result"
    if newest := newest_step(folder):
        return f"it is the folder of a training run, and its newest checkpoint is {newest}"
    if runs := sorted({path.parent for path in folder.glob("*/step-*") if newest_step(path.parent)}):
        return f"it has training runs, and the newest checkpoint of {runs[0].name} is {newest_step(runs[0])}"
    return f"there is no {CONFIG} in it"


def newest_step(folder: Path) -> Path | None:
    """Return the newest checkpoint, step-N or checkpoint-N, in the folder of a training run; None if there is none."""
    paths = folder.glob("*-*") if os.path.isdir(folder) else ()
    steps = ((re.fullmatch(STEP, path.name), path) for path in paths)
    found = {int(step[1]): path for step, path in steps if step and is_there(path / CONFIG)}
    return found[max(found)] if found else None


def find_by_name(name: str | os.PathLike, weights_wanted: bool) -> Path:
    """Return the folder of a checkpoint that is no path: in the weights folder, in the cache, or downloaded."""
    match = re.fullmatch(HUB_NAME, name) if isinstance(name, str) else None
    owner, short_name = match.groups() if match else (None, None)
    in_weights = find_in_weights(owner, short_name) if short_name else None
    cached = find_in_cache(owner, short_name) if owner and short_name else None
    for place in (in_weights, cached):
        if place and (has_weights(place) or not weights_wanted):
            return place
    is_run = owner and newest_step(Path(owner))  # "runs/step-9" looks like a name on the hub
    if owner and not is_run and can_download():
        of_tokenizer = *TOKENIZER_FILES, f"{MORE_TEMPLATES}/*.jinja"
        wanted = (CONFIG, GENERATION_CONFIG, *of_tokenizer, *((WEIGHTS, SHARDS, SHARD_INDEX) if weights_wanted else ()))
        return download(f"{owner}/{short_name}", wanted)
    if not is_run and (place := in_weights or cached):
        return place  # loading it says what is missing, and how to get it
    raise not_found(name, owner)


def not_found(name: str | os.PathLike, owner: str | None) -> NeoError:
    """Return the NeoError that says where a checkpoint was looked for, or what was probably meant.

    owner: the part before the slash, if the name can be one on the hub.
    """
    if name == WEIGHTS_FOLDER / DEFAULT_CHECKPOINT:
        return NeoError(
            f"the default checkpoint is not in {name}: install neo_np from its clone ('pip install -e .' there), or restore "
            "that folder."
        )
    if newest := newest_step(Path(name).parent):
        return NeoError(f"there is no {name}: the newest checkpoint of that training run is {newest}.")
    if page := re.fullmatch(HUB_PAGE, str(name)):
        return NeoError(f"{name!r} is the address of a page: give only the name of the model, {page['name']!r}.")
    there = ", ".join(sorted(file.parent.name for file in WEIGHTS_FOLDER.glob(f"*/{CONFIG}"))) or "nothing"
    install = "; to download from the hub, 'pip install huggingface_hub' first" if owner else ""
    if not isinstance(name, str) and re.fullmatch(HUB_NAME, Path(name).as_posix()):
        install = "; a Path is only a folder, and a name on the hub is given as a str"
    return NeoError(
        f"no checkpoint {os.fspath(name)!r}: it is no folder, not in {WEIGHTS_FOLDER} (which has {there}) "
        f"and not in the Hugging Face cache {cache_folder()}{install}."
    )


def find_in_weights(owner: str | None, name: str) -> Path | None:
    """Return the folder of this name in the weights folder, or None; one that ships is found only under its own owner."""
    if owner and OWNERS.get(name.lower(), owner.lower()) != owner.lower():
        return None
    return find_folder(WEIGHTS_FOLDER, name)


def has_tokenizer(folder: Path) -> bool:
    """Return whether a folder has any file of a tokenizer."""
    return any(is_there(folder / name) for name in TOKENIZER_FILES)


def has_weights(folder: Path) -> bool:
    """Return whether a folder has safetensors weights, whole or in shards."""
    return is_there(folder / WEIGHTS) or is_there(folder / SHARD_INDEX)


def how_to_get_weights(folder: Path) -> str:
    """Return the end of a sentence that says how to get the weights that a checkpoint's folder lacks."""
    if name := repository_name(folder):
        code = CONVERSION.format(source=name, target=f"weights/{name.split('/')[-1]}")
        return f"; if {name} has only pytorch_model.bin, a pickle, which is never read, convert it with transformers:{code}"
    if pickles := sorted(folder.glob("pytorch_model*.bin")):
        code = CONVERSION.format(source=str(folder), target=str(folder))
        return f", and {pickles[0].name}, a pickle, is never read; convert it with transformers:{code}"
    folder = folder.resolve()
    if folder.parent == WEIGHTS_FOLDER.resolve() and folder.name.startswith("gpt-neo"):
        name = f"{GPT_NEO_OWNER}/{folder.name}"
        if WEIGHTS_FOLDER == INSTALLED_WEIGHTS:
            return f": fetch it with 'pip install huggingface_hub', then give the model's whole name, {name}."
        place = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
        return (
            ": fetch it with 'pip install huggingface_hub', then "
            f"'hf download {name} {WEIGHTS} --local-dir {for_shell(place)}'."
        )
    return f": a checkpoint folder needs it (or shards with {SHARD_INDEX})."
