"""The whole model from the functions of the exercises: the references, some of them replaced by the student's own.

The references of notebooks 03 to 09 call each other and make up a GPT-Neo for one text at a time.
"""

import functools
import zlib
from types import FunctionType

import numpy as np

from neo_np.checkpoint.loading import load
from neo_np.exercises import (
    nb03_embeddings,
    nb04_layer_norm,
    nb05_one_head,
    nb06_many_heads,
    nb07_local_attention,
    nb08_mlp,
    nb09_stream,
)
from neo_np.exercises.calls import with_names

FILES = nb03_embeddings, nb04_layer_norm, nb05_one_head, nb06_many_heads, nb07_local_attention, nb08_mlp, nb09_stream
NAMES = (
    "embed",
    "layer_norm",
    "linear",
    "softmax",
    "causal_mask",
    "attend",
    "split_heads",
    "merge_heads",
    "self_attention",
    "local_mask",
    "gelu_new",
    "mlp",
    "block",
    "forward",
)
PROMPT = "Once upon a time there was a"
PROMPTS = (
    PROMPT,
    "There was once a king who",
    "In a deep forest there lived",
    "One day the little girl",
    "A poor miller had",
    "Long ago there was an old",
    "The youngest son went",
    "In the night the wolf",
)
TEMPERATURE = 0.8
SENTENCE = "Once upon a time there was a king who had three sons, and he loved them all very much."


@functools.cache
def shipped_model():
    """Return the checkpoint that ships."""
    return load()


def functions_with(own):
    """Return {name: function} of the whole model in which the student's functions take the place of the references.

    A function finds the names that it calls in the dict of its module: each one is given a common dict instead.
    """
    names = {}
    for file in FILES:
        names |= vars(file)
    for name in NAMES:
        reference = names[name]
        names[name] = FunctionType(reference.__code__, names, name, reference.__defaults__)
    for name, function in own.items():
        names[name] = with_names(function, {other: names[other] for other in NAMES if other != name})
    return {name: names[name] for name in NAMES}


def logits_of(functions, ids):
    """Return the logits (T, V) that the model made of these functions gives for the shipped checkpoint."""
    model = shipped_model()
    return functions["forward"](model.params, model.config, np.array(ids))


def surprise(functions):
    """Return the mean of -log p over the tokens of a sentence, in nats."""
    ids = shipped_model().tokenizer.encode(SENTENCE)
    logits = np.asarray(logits_of(functions, ids), float)[:-1]
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return float(-log_p[np.arange(len(ids) - 1), ids[1:]].mean())


def prompt_for(name):
    """Return the beginning of the text that an exercise's function continues: always the same one for a name."""
    return PROMPTS[zlib.crc32(name.encode()) % len(PROMPTS)]


def drawing(seed):
    """Return a function that draws the next id from logits (T, V). seed: an int, or a name; equal seeds draw equally."""
    rng = np.random.default_rng(zlib.crc32(str(seed).encode()))

    def choose(logits):
        scores = np.asarray(logits[-1], float) / TEMPERATURE
        cumulative = np.exp(scores - scores.max()).cumsum()
        return int(np.searchsorted(cumulative, rng.random() * cumulative[-1]))

    return choose


def continue_text(functions, prompt, number, written, choose):
    """Append the ids of the next tokens to the list `written`. choose: a function that takes the next id from logits (T, V)."""
    ids = shipped_model().tokenizer.encode(prompt)
    for _ in range(number):
        written.append(choose(logits_of(functions, ids + written)))
