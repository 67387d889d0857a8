"""The tables of a tokenizer: its tokens and its merges, in vocab.json and merges.txt."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from neo_np.errors import NeoError
from neo_np.files import read_json, read_text, write_text
from neo_np.tokenizer.special_tokens import AddedToken

VOCAB, MERGES = "vocab.json", "merges.txt"


Around = tuple[tuple[int, ...], tuple[int, ...]]  # the ids that are put before and after each text


class Tables(NamedTuple):
    """The tables of a tokenizer, and what tokenizer.json has besides: see `AddedToken` and `Settings`.

    around: None if tokenizer_config.json decides. entries: what tokenizer_config.json has unless it says otherwise.
    """

    vocab: dict[str, int]
    merges: list[tuple[str, str]]
    added: list[AddedToken]
    add_prefix_space: bool = False
    around: Around | None = None
    entries: Mapping[str, Any] = {}


def read_tables(folder: Path) -> Tables:
    """Return the tables in vocab.json and merges.txt."""
    return Tables(check_vocab(read_json(folder / VOCAB), folder / VOCAB), read_merges(folder / MERGES), [])


def check_vocab(vocab: Any, file: Path) -> dict[str, int]:
    """Return {token: id} as it is; raises NeoError if it is something else."""
    if not isinstance(vocab, dict) or not all(type(id) is int and id >= 0 for id in vocab.values()):
        raise NeoError(f"{file} is not a vocabulary: expected one JSON object {{token: id}} with ids from 0 on.")
    return vocab


def read_merges(file: Path) -> list[tuple[str, str]]:
    """Return the merge rules of merges.txt: two tokens a line, the rule with the lowest rank first."""
    text = read_text(file).replace("\r\n", "\n").replace("\r", "\n")
    merges = []
    for number, line in enumerate(text.split("\n"), start=1):  # str.splitlines cuts at other characters too
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            raise NeoError(f"{file}, line {number}: expected two tokens with one space between, found {line!r:.80}.")
        merges.append((left, right))
    return merges


def write_tables(folder: Path, vocab: dict[str, int], merges: list[tuple[str, str]]) -> None:
    """Write vocab.json and merges.txt."""
    write_text(folder / VOCAB, json.dumps(vocab, ensure_ascii=False))
    write_text(folder / MERGES, "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges))
