"""What tests share: small random models, distances, padding, the smallest tokenizer."""

from pathlib import Path

import numpy as np
from hypothesis import settings

from neo_np import Config, Model, Params, Tokenizer
from neo_np.gpt_neo.params import parameter_shapes
from neo_np.tokenizer.byte_alphabet import BYTE_TO_CHAR
from neo_np.tokenizer.special_tokens import END_OF_TEXT

ROOT = Path(__file__).resolve().parent.parent

SMALL = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_layers": 2,
    "num_heads": 3,
    "max_position_embeddings": 32,
    "attention_layers": ["global", "local"],
    "window_size": 4,
    "bos_token_id": 0,
    "eos_token_id": 0,
}


def examples(times):
    """Return a decorator for a property that needs more examples than others: a multiple of the profile's number."""
    return settings(max_examples=times * settings.default.max_examples)


def random_model(seed=0, std=0.1, dtype=np.float32, tokenizer=None, **changes):
    """Return a model with normal random weights around 0 (layer norm gains: around 1)."""
    config = Config(**SMALL | changes)
    rng = np.random.default_rng(seed)
    named = {}
    for name, shape in parameter_shapes(config).items():
        mean = 1.0 if ".ln_" in f".{name}" and name.endswith("weight") else 0.0
        named[name] = (mean + std * rng.standard_normal(shape)).astype(dtype)
    return Model(config, Params(named), tokenizer)


def in_float64(model):
    """Return the model with its weights in float64: what the definition says, almost without rounding."""
    params = Params({name: array.astype(np.float64) for name, array in model.params.flat().items()})
    return Model(model.config, params, model.tokenizer)


def distance(found, expected):
    """Return the largest distance of two rows, as a share of the expected row's norm."""
    return (np.linalg.norm(found - expected, axis=-1) / np.linalg.norm(expected, axis=-1)).max()


def pad_left(rows, filler=0):
    """Return rows of different length as ids and mask, (B, T) both."""
    longest = max(map(len, rows))
    ids = [[filler] * (longest - len(row)) + list(row) for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return np.array(ids), np.array(mask)


def byte_tokenizer(*longer_tokens):
    """Return a tokenizer that encodes every byte as one token; the longer tokens are for models to write."""
    tokens = [*(BYTE_TO_CHAR[byte] for byte in range(256)), END_OF_TEXT, *longer_tokens]
    return Tokenizer({token: id for id, token in enumerate(tokens)}, merges=[])


# In the letters of vocab.json: Ġ is a space, Ã© the two bytes of é.
BYTES = byte_tokenizer("ab", "bca", "Ġa", "cĠb", "Ã©a", "aÃ", "abab")
END = 256  # the id of `<|endoftext|>` in it


def byte_model(**changes):
    """Return a random model over bytes: most of what it generates is broken UTF-8."""
    of_bytes = {"vocab_size": len(BYTES), "bos_token_id": END, "eos_token_id": END, "max_position_embeddings": 48}
    return random_model(**{"tokenizer": BYTES} | of_bytes | changes)


WORDS = """the a king queen prince princess old little girl boy man woman and was said had went came saw then but so when to of
in by with for his her their house tree forest dog cat bird horse gold ring bread water fire door road hill sea ship night day
morning good bad poor rich happy sad long once who what where never always very""".split()
WORD_TOKENIZER = byte_tokenizer(*(f"Ġ{word}" for word in WORDS), "ing", "ly")


def word_model(seed=20, **changes):
    """Return a random model; it writes English words in any order, reads a prompt as bytes and hardly ever writes a byte."""
    sizes = {"vocab_size": len(WORD_TOKENIZER), "bos_token_id": END, "eos_token_id": END, "max_position_embeddings": 256}
    model = random_model(seed, 0.3, tokenizer=WORD_TOKENIZER, tie_word_embeddings=False, **sizes | changes)
    model.params.ln_f.bias += 1
    model.params.lm_head.weight[END + 1 :] += 1
    return model


def forced(ids, after):
    """Return a logits processor that makes any model generate these ids after a prompt of `after` tokens."""

    def processor(logits, so_far):
        logits[:] = -np.inf
        logits[ids[len(so_far) - after]] = 0.0
        return logits

    return processor
