"""What the tests of explain share: random models with a trace, hostile tokens, and a reader of the page."""

import base64
import json
import re

import numpy as np
from helpers import byte_tokenizer, random_model

from neo_np import Tokenizer
from neo_np.explain.trace import record
from neo_np.generate.sequence import ids_without_token
from neo_np.tokenizer.byte_alphabet import spell

LENGTH = 12
CHANGES = {
    "two_layers": {},
    "window_1": {"window_size": 1, "attention_layers": ["local", "local"]},
    "one_head": {"num_heads": 1},
    "untied": {"tie_word_embeddings": False},
    "relu_narrow": {"activation_function": "relu", "intermediate_size": 10},
    "deep": {"num_layers": 5, "attention_layers": ["global", "local", "local", "global", "local"]},
    "float64": {"dtype": np.float64},
    "float64_untied_window_1": {"dtype": np.float64, "tie_word_embeddings": False, "window_size": 1},
    "float64_one_head": {"dtype": np.float64, "num_heads": 1},
    # Added tokens, and ids without a token.
    "padded": {},
    "float64_padded": {"dtype": np.float64, "tie_word_embeddings": False},
}


def make(name):
    """Return (model, trace) of one of the random models."""
    if "padded" in name:
        model = hostile_model(**CHANGES[name])
        return model, record(model, hostile_ids(model), ids_without_token(model))
    model = random_model(seed=3, std=0.3, **CHANGES[name])
    ids = np.random.default_rng(4).integers(0, model.config.vocab_size, LENGTH).tolist()
    return model, record(model, ids)


def of_text(model, text="Once upon a time there was a little boy who had a little dog."):
    """Return the trace of a text."""
    return record(model, model.tokenizer.encode(text))


# Texts that would do harm in a page that trusts its tokens.
HOSTILE = [
    "</script><script>document.title='harm'</script>",
    "<img src=x onerror=\"document.title='harm'\">",
    "]]>",
    "<!--",
    "\u2028",
    "\u202eabc\u202c",
    "{{data}}",
    "\x00\x1b[31m",
    "&lt;b&gt;",
    "'\"`${1}`",
    "e\u0301",
]


def hostile_model(padding=7, **changes):
    """Return a random model over bytes whose added tokens are hostile texts; its vocabulary is padded at the end."""
    plain = byte_tokenizer(*map(spell, ("ab", " a")))
    added = {text: len(plain) + i for i, text in enumerate(HOSTILE)}
    tokenizer = Tokenizer(plain.vocab, [], added_tokens=added)
    sizes = {"vocab_size": len(tokenizer) + padding, "bos_token_id": 256, "eos_token_id": 256, "max_position_embeddings": 64}
    return random_model(seed=1, std=0.3, tokenizer=tokenizer, **sizes | changes)


def hostile_ids(model):
    """Return ids with every hostile token, half a character, an id without a token, and ordinary text."""
    tokenizer = model.tokenizer
    without_token = max(tokenizer.id_to_token) + 1
    half = tokenizer.encode("é")[:1]
    return [*tokenizer.encode("a" + "".join(HOSTILE) + "b é"), *half, without_token, *tokenizer.encode(" ab")]


# Reading the page as its script does.


def page_data(html):
    """Return what the page's JSON holds, with every block as an array."""
    [text] = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    return {
        name: unpack(value) if isinstance(value, dict) and "base64" in value else value
        for name, value in json.loads(text).items()
    }


def unpack(block):
    """Return the numbers of a block; codes become weights in [0, 1] or signed numbers."""
    codes = np.frombuffer(base64.b64decode(block["base64"]), "u1" if block["type"] == "u1" else "<" + block["type"])
    codes = codes.reshape(block["shape"])
    if "scales" in block:
        return square(codes.astype(float)) * unpack(block["scales"])[..., None]
    return square(codes.astype(float)) / 65535 if block["type"] == "u2" else codes


def square(rows):
    """Return lower triangles as matrices: (..., T (T + 1) / 2) -> (..., T, T), 0 above the diagonal."""
    T = int((2 * rows.shape[-1]) ** 0.5)
    matrices = np.zeros((*rows.shape[:-1], T, T))
    start = 0
    for query in range(T):
        matrices[..., query, : query + 1] = rows[..., start : start + query + 1]
        start += query + 1
    return matrices
