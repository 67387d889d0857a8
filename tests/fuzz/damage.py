"""Ways to damage a file: its bytes, the values of its JSON, its header, or the file as a whole."""

import dataclasses
import json
import os

from neo_np import Config, Options
from neo_np.checkpoint.loading import GENERATION_ENTRIES

WORDS = [b"", b"\0", b"\n", b"\r\n", b" ", b'"', b"{", b"}", b"[", b"]", b",", b":", b"-1", b"1e999", b"NaN", b"null", b"true"]
WORDS += [
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\xc3",
    b"\\ud800",
    b"<|endoftext|>",
    b"9" * 30,
    b"version https://git-lfs.github.com/spec/v1",
]
NUMBERS = [
    0,
    -1,
    1,
    2,
    3,
    7,
    0.5,
    -0.5,
    1.5,
    1e-30,
    1e300,
    255,
    256,
    257,
    2**15,
    2**16,
    2**31 - 1,
    2**31,
    2**63,
    2**64,
    10**9,
    10**30,
]
NUMBERS += [float("nan"), float("inf"), float("-inf")]
VALUES = [
    None,
    True,
    False,
    "",
    "x",
    "\ud800",
    "\0",
    "ü🙂",
    "global",
    "never",
    "a" * 999,
    [],
    {},
    [[]],
    [{}],
    {"": None},
    *NUMBERS,
]
# Names of entries that some file may have.
KEYS = [field.name for kind in (Config, Options) for field in dataclasses.fields(kind)] + GENERATION_ENTRIES
KEYS += "attention_types num_hidden_layers architectures dtype resid_dropout pad_token_id bos_token pad_token eos_token".split()
KEYS += "add_prefix_space add_bos_token add_eos_token split_special_tokens added_tokens_decoder model_max_length".split()
KEYS += "additional_special_tokens extra_special_tokens chat_template tokenizer_class post_processor truncation".split()
SPECIAL_FILES = ["missing", "empty", "folder", "pipe", "link to itself", "other file"]


def damage(path, rng):
    """Damage a file up to three times and return what was done, in words. rng: the `Random` that all choices come from."""
    done = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        if not path.is_file() or path.is_symlink():
            break
        ways = [damage_bytes, damage_bytes, damage_whole] if rng.random() < 0.3 else fitting(path)
        done.append(rng.choice(ways)(path, rng))
    return f"{path.name}: {', '.join(done)}"


def fitting(path):
    """Return the ways that fit the format of a file."""
    ways = {".json": [damage_json], ".jsonl": [damage_json_lines], ".safetensors": [damage_header], ".npy": [damage_start]}
    return ways.get(path.suffix, [damage_bytes])


def damage_bytes(path, rng, end=None):
    """Change some bytes before `end`, or take some out, or put some in, or cut the file off."""
    data = bytearray(path.read_bytes())
    end = min(end or len(data), len(data))
    way = rng.choice(["change", "change", "insert", "delete", "repeat", "cut"])
    for _ in range(rng.choice([1, 1, 2, 8])):
        place, length = rng.randint(0, end), rng.choice([1, 1, 2, 7, 64])
        if way == "change" and data:
            data[min(place, len(data) - 1)] = rng.choice([rng.randrange(256), *b'0123456789{}[]",:.-'])
        elif way == "insert":
            data[place:place] = rng.choice([*WORDS, bytes(rng.randrange(256) for _ in range(length))])
        elif way == "delete":
            del data[place : place + length]
        elif way == "repeat":
            data[place:place] = data[place : place + length]
        elif way == "cut":
            del data[place:]
            break
    path.write_bytes(data)
    return f"{way} bytes"


def damage_start(path, rng):
    """Change bytes where a binary format has its header."""
    return damage_bytes(path, rng, end=128)


def damage_whole(path, rng):
    """Put something else in the place of a file."""
    way = rng.choice(SPECIAL_FILES)
    other = rng.choice(sorted(file for file in path.parent.iterdir() if file.is_file()))
    content = other.read_bytes()
    path.unlink()
    if way == "empty":
        path.touch()
    elif way == "folder":
        path.mkdir()
    elif way == "pipe":
        os.mkfifo(path)
    elif way == "link to itself":
        path.symlink_to(path.name)
    elif way == "other file":
        path.write_bytes(content)
        way = f"the bytes of {other.name}"
    return way


def damage_json(path, rng):
    """Change a value, a key or an element of a JSON file."""
    try:
        entries = json.loads(path.read_bytes())
    except ValueError:  # it was damaged before
        return damage_bytes(path, rng)
    entries, done = damage_value(entries, rng)
    path.write_text(json.dumps(entries))
    return done


def damage_json_lines(path, rng):
    """Change one line of a file that has a JSON value on each."""
    lines = path.read_bytes().split(b"\n")
    place = rng.randrange(len(lines))
    try:
        entries, done = damage_value(json.loads(lines[place]), rng)
        lines[place] = json.dumps(entries).encode()
    except ValueError:
        return damage_bytes(path, rng)
    path.write_bytes(b"\n".join(lines))
    return f"line {place + 1}, {done}"


def damage_value(entries, rng):
    """Return a JSON value with something changed in it, and what, in words."""
    holders = []  # (container, key)

    def walk(value):
        for key in value if isinstance(value, dict) else range(len(value)):
            holders.append((value, key))
            if isinstance(value[key], dict | list) and len(holders) < 5000:
                walk(value[key])

    if isinstance(entries, dict | list):
        walk(entries)
    if not holders or rng.random() < 0.02:
        value = rng.choice(VALUES)
        return value, f"all -> {value!r:.20}"
    if isinstance(entries, dict) and rng.random() < 0.15:
        key, value = rng.choice(KEYS), rng.choice(VALUES)
        return entries | {key: value}, f"{key!r} -> {value!r:.20}"
    top = [(holder, key) for holder, key in holders if holder is entries]
    holder, key = rng.choice(rng.choice([top, holders]))
    way = rng.choice(["value", "value", "value", "delete", "rename", "copy", "nest", "neighbour"])
    if way == "delete":
        del holder[key]
    elif way == "rename" and isinstance(holder, dict):
        holder[rng.choice(["x", "", key + "s", key.upper(), "\ud800"])] = holder.pop(key)
    elif way == "copy" and isinstance(holder, list):
        holder.insert(key, holder[key])
    elif way == "nest":
        holder[key] = rng.choice([[holder[key]], {"a": holder[key]}, [[holder[key]] * 3]])
    elif way == "neighbour":
        other, other_key = rng.choice(holders)
        holder[key] = json.loads(json.dumps(other[other_key]))  # a copy, or a value could come to hold itself
    else:
        holder[key] = rng.choice(VALUES)
    return entries, f"{way} of {key!r:.30}"


def damage_header(path, rng):
    """Change the JSON header of a safetensors file and keep its length right; or change bytes of the header, or tensors."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    if rng.random() < 0.3 or length > len(data):
        return damage_bytes(path, rng, end=8 + length)
    try:
        header, done = damage_value(json.loads(data[8 : 8 + length]), rng)
    except ValueError:
        return damage_bytes(path, rng)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
    return f"header, {done}"
