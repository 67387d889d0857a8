"""The files of a tokenizer: vocab.json with merges.txt, or tokenizer.json, and the tokens that were added later."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from neo_np.errors import NeoError
from neo_np.files import read_json, read_text, write_text
from neo_np.tokenizer.special_tokens import END_OF_TEXT

FLAGS = "single_word", "lstrip", "rstrip"


class Tables(NamedTuple):
    """What a tokenizer is made of, in the order of the arguments of `Tokenizer`, and the files it was read from."""

    vocab: dict[str, int]
    merges: list[tuple[str, str]]
    special_tokens: dict[str, int]
    added_tokens: dict[str, int]
    files: list[Path]


def read_tokenizer(folder: Path) -> Tables:
    """Return the tables of a checkpoint folder: vocab.json with merges.txt, or else tokenizer.json.

    Raises NeoError naming the file that is missing or damaged.
    """
    tables, whole = [folder / "vocab.json", folder / "merges.txt"], folder / "tokenizer.json"
    if all(file.exists() for file in tables):
        vocab = check_vocab(read_json(tables[0]), tables[0])
        special, added, files = read_added_tokens(folder)
        if END_OF_TEXT in vocab:
            special = {END_OF_TEXT: vocab[END_OF_TEXT]} | special
        return Tables(vocab, read_merges(tables[1]), special, added, tables + files)
    if whole.exists():
        return read_tokenizer_json(whole)
    missing = " and ".join(file.name for file in tables if not file.exists())
    raise NeoError(
        f"{folder} holds no tokenizer ({missing} missing, and no tokenizer.json): copy the two files "
        "there, or load the model with tokenizer=FOLDER to take them from another checkpoint."
    )


def check_vocab(vocab: Any, file: Path) -> dict[str, int]:
    """Return {token: id} as it is; raises NeoError if it is something else."""
    if not isinstance(vocab, dict) or not all(type(id) is int and id >= 0 for id in vocab.values()):
        raise NeoError(f"{file} is not a vocabulary: expected one JSON object {{token: id}} with ids from 0 on.")
    return vocab


def read_merges(file: Path) -> list[tuple[str, str]]:
    """Return the merge rules of merges.txt: two tokens a line, the first rule first."""
    merges = []
    for number, line in enumerate(read_text(file).replace("\r\n", "\n").split("\n"), start=1):
        if not line or (number == 1 and line.startswith("#version")):
            continue
        left, _, right = line.partition(" ")
        if not left or not right or " " in right:
            raise NeoError(f"{file}, line {number}: expected two tokens with one space between, found {line!r}.")
        merges.append((left, right))
    return merges


def read_added_tokens(folder: Path) -> tuple[dict[str, int], dict[str, int], list[Path]]:
    """Return ({special token: id}, {ordinary added token: id}, the files that hold them)."""
    config_file, old_file = folder / "tokenizer_config.json", folder / "added_tokens.json"
    config = read_json(config_file) if config_file.exists() else {}
    if isinstance(config, dict) and "added_tokens_decoder" in config:
        try:
            tokens = [{"id": int(id), **token} for id, token in config["added_tokens_decoder"].items()]
        except (AttributeError, TypeError, ValueError) as error:
            raise NeoError(f"{config_file}: added_tokens_decoder must be {{id: {{'content': token}}}}: {error}.") from None
        return *split_added_tokens(tokens, config_file), [config_file]
    if old_file.exists():
        added = check_vocab(read_json(old_file), old_file)
        special = {token: id for token, id in added.items() if token == END_OF_TEXT}
        return special, {token: id for token, id in added.items() if token not in special}, [old_file]
    return {}, {}, []


def split_added_tokens(tokens: Any, file: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Return ({special token: id}, {ordinary token: id}) from entries as tokenizer.json has them."""
    try:
        for token in tokens:
            for flag in FLAGS:
                if token.get(flag, False):
                    raise NeoError(
                        f"{file}: the added token {token['content']!r} has {flag}, which GPT-Neo's tokenizer has not."
                    )
        special = {token["content"]: token["id"] for token in tokens if token.get("special")}
        plain = {token["content"]: token["id"] for token in tokens if not token.get("special")}
    except (KeyError, TypeError, AttributeError) as error:
        raise NeoError(f"{file} is not a byte-level BPE {file.name}: {error!r} while reading its added tokens.") from None
    if not all(isinstance(token, str) for token in [*special, *plain]):
        raise NeoError(f"{file} is not a vocabulary: an added token must be a text.")
    return check_vocab(special, file), check_vocab(plain, file)


def read_tokenizer_json(file: Path) -> Tables:
    """Return the tables of a tokenizer.json, the format of Hugging Face tokenizers.

    The format has many options that GPT-2's tokenizer has not; raises NeoError for each that would change the ids.
    """
    whole = read_json(file)
    try:
        model, pre, post = whole["model"], whole["pre_tokenizer"] or {}, whole.get("post_processor") or {}
        adds_tokens = any("SpecialToken" in part for part in post.get("single") or [])
        expected = [
            ("model.type", model.get("type", "BPE"), "BPE"),
            ("model.dropout", model.get("dropout") or None, None),
            ("model.byte_fallback", model.get("byte_fallback", False), False),
            ("model.ignore_merges", model.get("ignore_merges", False), False),
            ("model.continuing_subword_prefix", model.get("continuing_subword_prefix") or "", ""),
            ("model.end_of_word_suffix", model.get("end_of_word_suffix") or "", ""),
            ("normalizer", whole.get("normalizer"), None),
            ("pre_tokenizer.type", pre.get("type"), "ByteLevel"),
            ("pre_tokenizer.add_prefix_space", pre.get("add_prefix_space", False), False),
            ("pre_tokenizer.use_regex", pre.get("use_regex", True), True),
            ("the adding of special tokens by post_processor", adds_tokens, False),
        ]
        vocab = check_vocab(model["vocab"], file)
        merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise NeoError(f"{file} is not a byte-level BPE tokenizer.json: {error!r} while reading it.") from None
    for what, found, wanted in expected:
        if found != wanted:
            raise NeoError(f"{file}: {what} is {found!r}, and GPT-Neo's tokenizer wants {wanted!r}.")
    for pair in merges:
        if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
            raise NeoError(f"{file}: a merge must be a pair of tokens, found {pair!r}.")
    return Tables(vocab, merges, *split_added_tokens(whole.get("added_tokens") or [], file), [file])


def write_tokenizer(
    folder: Path,
    vocab: dict[str, int],
    merges: list[tuple[str, str]],
    special_tokens: dict[str, int],
    added_tokens: dict[str, int],
) -> None:
    """Write vocab.json and merges.txt into a folder, and tokenizer_config.json if there are added tokens."""
    write_text(folder / "vocab.json", json.dumps(vocab, ensure_ascii=False))
    write_text(folder / "merges.txt", "#version: 0.2\n" + "".join(f"{left} {right}\n" for left, right in merges))
    (folder / "added_tokens.json").unlink(missing_ok=True)
    (folder / "tokenizer_config.json").unlink(missing_ok=True)
    if list(special_tokens) != [END_OF_TEXT] or added_tokens:
        flags = {"single_word": False, "lstrip": False, "rstrip": False}
        added = {  # transformers finds the tokens with "normalized" only between the others
            id: {"content": token, "special": token in special_tokens, "normalized": token not in special_tokens, **flags}
            for token, id in (special_tokens | added_tokens).items()
        }
        config = {"tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": added}
        write_text(folder / "tokenizer_config.json", json.dumps(config, indent=2))
