"""The Hugging Face hub: repositories in the local cache, and downloads."""

import os
from collections.abc import Iterable
from pathlib import Path

from neo_np.errors import NeoError

REPOSITORY_PREFIX = "models--"  # then owner--name


def cache_folder() -> Path:
    """Return where the Hugging Face libraries keep downloads, by their own environment variables."""
    home = os.environ.get("HF_HOME") or os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    place = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return Path(os.path.expandvars(os.path.expanduser(place)))


def find_in_cache(owner: str, name: str) -> Path | None:
    """Return a snapshot of a hub repository in the local cache: that of its main branch, else the newest; None without one.

    The layout of the cache: models--OWNER--NAME/refs/main names a commit, and snapshots/COMMIT holds its files.
    """
    repository = find_folder(cache_folder(), f"{REPOSITORY_PREFIX}{owner}--{name}")
    if repository is None:
        return None
    try:
        snapshots = sorted((repository / "snapshots").iterdir(), key=os.path.getmtime, reverse=True)
        main = repository / "refs" / "main"
        if os.path.isfile(main):
            snapshots.insert(0, repository / "snapshots" / main.read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):  # a damaged cache is no reason to stop: the files can be downloaded again
        return None
    return next((folder for folder in snapshots if os.path.exists(folder / "config.json")), None)


def find_folder(folder: Path, name: str) -> Path | None:
    """Return the folder of this name inside a folder, in any case, or None."""
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return None
    return next((inner for inner in inside if inner.name.lower() == name.lower() and os.path.isdir(inner)), None)


def repository_name(folder: Path) -> str | None:
    """Return "OWNER/NAME" for a snapshot's folder in the cache, else None."""
    repository = folder.resolve().parent.parent
    if repository.parent != cache_folder().resolve() or not repository.name.startswith(REPOSITORY_PREFIX):
        return None
    return repository.name.removeprefix(REPOSITORY_PREFIX).replace("--", "/", 1)


def can_download() -> bool:
    """Return whether huggingface_hub is installed."""
    try:
        import huggingface_hub  # noqa: F401
    except ImportError:
        return False
    return True


def download(name: str, patterns: Iterable[str]) -> Path:
    """Download the files of a repository that match the patterns, and return their folder.

    huggingface_hub does it, and shows its own progress bar. Raises NeoError with the reason if it fails.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(patterns)))
    except Exception as error:  # the library raises errors of many kinds: network, names, permissions, disk
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise NeoError(f"{name!r} is not on this machine and could not be downloaded: {reason}") from None
