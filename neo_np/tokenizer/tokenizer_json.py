"""tokenizer.json: the format of Hugging Face tokenizers, with tables, added tokens and settings in one file."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neo_np.errors import NeoError
from neo_np.files import read_json, write_text
from neo_np.tokenizer.special_tokens import AddedToken
from neo_np.tokenizer.tables import Around, Tables, check_vocab


def read_tokenizer_json(file: Path) -> Tables:
    """Return the tables of a tokenizer.json.

    The format has many options that GPT-2's tokenizer does not have; raises NeoError for each that would change the ids.
    """
    whole = read_json(file)
    try:
        model, pre = whole["model"], without_sequence(whole["pre_tokenizer"], "pretokenizers") or {}
        for option, found, wanted in [
            ("model.type", model.get("type", "BPE"), "BPE"),
            ("model.dropout", model.get("dropout") or None, None),
            ("model.byte_fallback", model.get("byte_fallback", False), False),
            ("model.ignore_merges", model.get("ignore_merges", False), False),
            ("model.continuing_subword_prefix", model.get("continuing_subword_prefix") or "", ""),
            ("model.end_of_word_suffix", model.get("end_of_word_suffix") or "", ""),
            ("normalizer", without_sequence(whole.get("normalizer"), "normalizers"), None),
            ("pre_tokenizer.type", pre.get("type"), "ByteLevel"),
            ("pre_tokenizer.use_regex", pre.get("use_regex", True), True),
        ]:
            if found != wanted:
                raise NeoError(f"{file}: {option} is {found!r:.80}, and GPT-Neo's tokenizer wants {wanted!r}.")
        vocab = check_vocab(model["vocab"], file)
        merges = [read_merge(entry, file) for entry in model["merges"]]
        added = [AddedToken.from_entry(entry, entry["id"], file) for entry in whole.get("added_tokens") or []]
        around = read_post_processor(whole.get("post_processor"), file)
        return Tables(vocab, merges, added, pre.get("add_prefix_space", False) is True, around, read_sides(whole))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise NeoError(f"{file} is not a byte-level BPE tokenizer.json: {error!r} while reading it.") from None


def without_sequence(entry: Any, parts: str) -> Any:
    """Return the only part of a Sequence, None for one without parts, and any other entry as it is."""
    if entry and entry["type"] == "Sequence" and len(entry[parts]) < 2:
        return entry[parts][0] if entry[parts] else None
    return entry


def read_sides(whole: Any) -> dict[str, str]:
    """Return the sides on which the file pads and truncates, as tokenizer_config.json calls them."""
    return {f"{name}_side": whole[name]["direction"].lower() for name in ("padding", "truncation") if whole.get(name)}


def read_merge(entry: Any, file: Path) -> tuple[str, str]:
    """Return one merge rule, written as "left right" or as ["left", "right"]."""
    pair = tuple(entry.split(" ") if isinstance(entry, str) else entry)
    if len(pair) != 2 or not all(isinstance(part, str) for part in pair):
        raise NeoError(f"{file}: a merge must be a pair of tokens, found {pair!r:.80}.")
    return pair


def read_post_processor(entry: Any, file: Path) -> Around:
    """Return the ids that a post-processor puts before and after a text."""
    kind = entry["type"] if entry else "ByteLevel"
    around: Around = (), ()  # ByteLevel changes only offsets
    if kind == "Sequence":
        for part in entry["processors"]:
            before, after = read_post_processor(part, file)
            around = before + around[0], around[1] + after
    elif kind == "TemplateProcessing":
        around = read_template(entry["single"], entry["special_tokens"], file)
    elif kind in ("BertProcessing", "RobertaProcessing"):
        around = (entry["cls"][1],), (entry["sep"][1],)
    elif kind != "ByteLevel":
        raise NeoError(f"{file}: post_processor.type is {kind!r:.40}, and GPT-Neo's tokenizer wants 'TemplateProcessing'.")
    if wrong := [value for value in around[0] + around[1] if type(value) is not int]:
        raise NeoError(f"{file}: post_processor has {wrong[0]!r:.80} where an id should be.")
    return around


def read_template(parts: Any, special_tokens: Any, file: Path) -> Around:
    """Return the ids before and after the text in a template such as <s> $A </s>."""
    is_text = ["Sequence" in part for part in parts]
    if sum(is_text) != 1:
        raise NeoError(f"{file}: post_processor has the text {sum(is_text)} times, and GPT-Neo's tokenizer wants it once.")
    text = is_text.index(True)

    def ids(parts: Any) -> tuple[int, ...]:
        return tuple(id for part in parts for id in special_tokens[part["SpecialToken"]["id"]]["ids"])

    return ids(parts[:text]), ids(parts[text + 1 :])


def write_tokenizer_json(file: Path, tables: Tables) -> None:
    """Write a tokenizer.json, which `read_tokenizer_json` and Hugging Face tokenizers read."""
    token_of = {id: token for token, id in tables.vocab.items()} | {token.id: token.content for token in tables.added}

    def parts(ids: Iterable[int]) -> list[dict[str, Any]]:
        return [{"SpecialToken": {"id": token_of[id], "type_id": 0}} for id in ids]

    before, after = tables.around or ((), ())
    single = [*parts(before), {"Sequence": {"id": "A", "type_id": 0}}, *parts(after)]
    byte_level = {"type": "ByteLevel", "add_prefix_space": tables.add_prefix_space, "trim_offsets": True, "use_regex": True}
    whole = {
        "version": "1.0",
        "added_tokens": [{"id": token.id} | token.to_entry() for token in tables.added],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": {
            "type": "TemplateProcessing",
            "single": single,
            "pair": [*single, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {
                token_of[id]: {"id": token_of[id], "ids": [id], "tokens": [token_of[id]]} for id in before + after
            },
        },
        "decoder": byte_level,
        "model": {"type": "BPE", "vocab": tables.vocab, "merges": [" ".join(pair) for pair in tables.merges]},
    }
    write_text(file, json.dumps(whole, ensure_ascii=False) + "\n")
