"""The tokenizers: ours, those of two libraries, and the algorithm of the original GPT-2 `encoder.py`, over the same tables.

A side's function takes our `Tokenizer`, for its tables, and returns (encode, decode) of a new tokenizer that has seen no text.
"""

from itertools import pairwise
from pathlib import Path

from neo_np.bench.measure import seconds_per_call, timed
from neo_np.tokenizer.byte_alphabet import BYTE_TO_CHAR, CHAR_TO_BYTE
from neo_np.tokenizer.pretokenize import PRE_TOKEN
from neo_np.tokenizer.tokenizer import Tokenizer

CASES = "encode, cold", "encode, warm", "decode"


def side(make):
    """Return the function of a side: it measures the MB (10^6 bytes) of text per second that a tokenizer turns over.

    Cold is a new tokenizer, warm is one that has met this very text before; reading the tables is not counted.
    """

    def measure(job):
        tables, text = Tokenizer.load(Path(job.folder)), job.text()
        encode, decode = make(tables)
        ids = encode(text)

        def run(case):
            if case == "encode, cold":
                new_encode, _ = make(tables)
                seconds = timed(lambda: new_encode(text))
            else:
                seconds = seconds_per_call(
                    (lambda: encode(text)) if case == "encode, warm" else (lambda: decode(ids)), job.turn
                )
            return len(text.encode("utf-8")) / 1e6 / seconds

        return run

    return measure


def ours(tables):
    """Return encode and decode of a new `Tokenizer`."""
    new = Tokenizer(tables.vocab, tables.merges, tables.special_tokens, tables.added_tokens)
    return new.encode, new.decode


def hugging_face(tables):
    """Return encode and decode of Hugging Face tokenizers."""
    import tokenizers

    new = tokenizers.Tokenizer(tokenizers.models.BPE(tables.vocab, tables.merges))
    new.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    new.decoder = tokenizers.decoders.ByteLevel()
    return lambda text: new.encode(text).ids, new.decode


def tiktoken(tables):
    """Return encode and decode of tiktoken, which takes a token's id for the rank of its merge: so it is in GPT-2's tables."""
    import tiktoken

    ordinary = {id: token for token, id in tables.vocab.items() if token not in tables.special_tokens}
    ranks = {bytes(CHAR_TO_BYTE[char] for char in token): id for id, token in ordinary.items()}
    new = tiktoken.Encoding("gpt2", pat_str=PRE_TOKEN.pattern, mergeable_ranks=ranks, special_tokens=tables.special_tokens)
    return new.encode_ordinary, new.decode


def encoder_py(tables):
    """Return encode and decode as OpenAI's gpt-2/src/encoder.py has them: lowest-ranked pair of the whole word, until none."""
    ranks = {pair: rank for rank, pair in enumerate(tables.merges)}
    tokens, cache = {id: token for token, id in tables.vocab.items()}, {}

    def merge(word):
        if word not in cache:
            parts = list(word)
            while len(parts) > 1:
                lowest = min(pairwise(parts), key=lambda pair: ranks.get(pair, len(ranks)))
                if lowest not in ranks:
                    break
                parts = merge_everywhere(parts, lowest)
            cache[word] = parts
        return cache[word]

    def encode(text):
        words = ("".join(BYTE_TO_CHAR[byte] for byte in word.encode("utf-8")) for word in PRE_TOKEN.findall(text))
        return [tables.vocab[token] for word in words for token in merge(word)]

    def decode(ids):
        return bytes(CHAR_TO_BYTE[char] for char in "".join(tokens[id] for id in ids)).decode("utf-8", "replace")

    return encode, decode


def merge_everywhere(parts, pair):
    """Return the parts with every occurrence of a pair put together, from left to right."""
    merged, place = [], 0
    while place < len(parts):
        found = tuple(parts[place : place + 2]) == pair
        merged.append("".join(pair) if found else parts[place])
        place += 2 if found else 1
    return merged
