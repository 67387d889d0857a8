"""What tests of evaluation share: a small tokenizer and model, and slow loops over single tokens."""

import math

import numpy as np
from helpers import random_model

from neo_np import Tokenizer
from neo_np.tokenizer.byte_alphabet import BYTE_TO_CHAR
from neo_np.tokenizer.special_tokens import END_OF_TEXT

# Bytes, two merged tokens and the end of text, so that tokens, characters and bytes are three different lengths.
VOCAB = {char: byte for byte, char in BYTE_TO_CHAR.items()} | {"th": 256, "the": 257, END_OF_TEXT: 258}
TOKENIZER = Tokenizer(VOCAB, [("t", "h"), ("th", "e")])
END = VOCAB[END_OF_TEXT]


def small_model(**changes):
    """Return a random model in float64, so that results of different batches differ by tiny rounding errors only."""
    entries = {"vocab_size": 259, "bos_token_id": END, "eos_token_id": END, "dtype": np.float64, "tokenizer": TOKENIZER}
    return random_model(**entries | changes)


MODEL = small_model(std=0.3)
ROOMY = small_model(max_position_embeddings=129)  # room for two copies of 64 tokens and a first token
NO_BEGIN = small_model(std=0.3, bos_token_id=None, eos_token_id=None)


def token_log_probability(model, before, id):
    """Return log p(id | the ids before it), from the logits of the last position only."""
    logits = model.logits(np.array(before))[-1].astype(float)
    return logits[id] - math.log(np.exp(logits - logits.max()).sum()) - logits.max()


def slow_continuation(model, ids, scored):
    """Return (log-likelihood, greedy) of the last `scored` ids, token by token."""
    ids = ids[-model.config.max_position_embeddings - 1 :]
    places = range(len(ids) - scored, len(ids))
    greedy = all(model.logits(np.array(ids[:t]))[-1].argmax() == ids[t] for t in places)
    return sum(token_log_probability(model, ids[:t], ids[t]) for t in places), greedy
