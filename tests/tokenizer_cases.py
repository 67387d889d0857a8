"""What the tests of the tokenizer share: hard texts, small tables, files as transformers writes them."""

import json

from hypothesis import strategies as st

from neo_np import Tokenizer

END = "<|endoftext|>"
HALF_EMOJI = 47249  # GPT-2's token of the first three of the four bytes of U+1F600; 222 is the fourth

# How the tables spell bytes: as the Latin-1 character, or, for the 68 that do not print, by U+0100 and what follows.
UNPRINTABLE = [*range(33), *range(127, 161), 173]
SPELLED = {byte: chr(256 + UNPRINTABLE.index(byte)) if byte in UNPRINTABLE else chr(byte) for byte in range(256)}

SPICE = [END, END[:-1], " ", "  ", " the", " 4", "\n", "\r\n", "\t", "\xa0", "\u3000", "\u200b", "\x00", "\x1c", "\x7f", "\x85"]
SPICE += "'s 'S ' don't Hello 123 ² ½ ٣ ! _ \xad é e\u0301 日本語 שלום \ufffd \ufeff \uffff 🇩🇪 👩\u200d👩\u200d👧".split()
SPICE += ["\U0001d518", "\U0001f600", "\U00020000", "\U000e0041", "\U000f0000", "\U0010ffff"]
TEXTS = st.lists(st.sampled_from(SPICE) | st.text(max_size=5), max_size=12).map("".join)
# The ids below 256 are GPT-2's single bytes: a list of them is most often broken UTF-8.
ID_LISTS = st.lists(st.integers(0, 255) | st.integers(0, 50256) | st.sampled_from([50256, HALF_EMOJI, 222]), max_size=20)


def bytes_vocab(more=()):
    """Return a vocabulary of the 256 bytes and more tokens."""
    return {token: id for id, token in enumerate([*SPELLED.values(), *more])}


def tiny_tokenizer():
    """Return a tokenizer of the 256 bytes, five merges (256 "he" ... 260 " hello") and `<|endoftext|>` (261)."""
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "hello")]
    return Tokenizer(bytes_vocab(["".join(pair) for pair in merges] + [END]), merges)


def tokenizer_json(tokenizer):
    """Return what transformers 5 writes for such a tokenizer."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    added = [(t, id, True) for t, id in tokenizer.special_tokens.items()]
    added += [(t, id, False) for t, id in tokenizer.added_tokens.items()]
    only_the_text = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id, "content": t, **flags, "normalized": not s, "special": s} for t, id, s in added],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": only_the_text,
        "decoder": byte_level | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": tokenizer.vocab,
            "merges": [list(pair) for pair in tokenizer.merges],
        },
    }


def write_json(file, content):
    """Write a JSON file."""
    file.write_text(json.dumps(content), encoding="utf-8")


def tables(tokenizer):
    """Return everything that makes two tokenizers equal."""
    return tokenizer.vocab, tokenizer.merges, tokenizer.special_tokens, tokenizer.added_tokens


def changed(nested, path, value):
    """Return a copy of nested dicts and lists with another value at a path such as `model.merges.0`."""
    nested = copy = json.loads(json.dumps(nested))
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in parents:
        nested = nested[key]
    nested[last] = value
    return copy
