"""The tokenizers: ours, two libraries, and the algorithm of GPT-2's original `encoder.py`, all with the same tables.

Each function takes our `Tokenizer`, for its tables, and returns (encode, decode) of a new tokenizer that has met no text yet.
"""

from itertools import pairwise
from pathlib import Path

from neo_np.bench.measure import seconds_per_call, timed
from neo_np.tokenizer.byte_alphabet import BYTE_TO_CHAR, CHAR_TO_BYTE
from neo_np.tokenizer.pretokenize import PRE_TOKEN
from neo_np.tokenizer.tokenizer import Tokenizer


def backend(make):
    """Return the backend of a tokenizer: it measures the MB (10^6 bytes) of text per second.

    Cold is a new tokenizer, warm is one that has met the same text before. The time to make a tokenizer does not count.
    """

    def setup(job):
        tables, text = Tokenizer.load(Path(job.folder)), job.text()
        encode, decode = make(tables)
        ids = encode(text)

        def run(case):
            if case == "encode, cold":
                new_encode, _ = make(tables)
                seconds = timed(lambda: new_encode(text))
            elif case == "encode, warm":
                seconds = seconds_per_call(lambda: encode(text), job.seconds)
            else:
                seconds = seconds_per_call(lambda: decode(ids), job.seconds)
            return len(text.encode("utf-8")) / 1e6 / seconds

        return run

    return setup


def neo(tables):
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
    """Return encode and decode of tiktoken, which uses a token's id as the rank of its merge (true of GPT-2's tables)."""
    import tiktoken

    ordinary = {id: token for token, id in tables.vocab.items() if token not in tables.special_tokens}
    ranks = {bytes(CHAR_TO_BYTE[char] for char in token): id for id, token in ordinary.items()}
    new = tiktoken.Encoding("gpt2", pat_str=PRE_TOKEN.pattern, mergeable_ranks=ranks, special_tokens=tables.special_tokens)
    return new.encode_ordinary, new.decode


def encoder_py(tables):
    """Return encode and decode as in OpenAI's gpt-2/src/encoder.py: merge the word's lowest-ranked pair until none is left."""
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
    """Return the parts with every occurrence of a pair merged, from left to right."""
    merged, i = [], 0
    while i < len(parts):
        is_pair = tuple(parts[i : i + 2]) == pair
        merged.append("".join(pair) if is_pair else parts[i])
        i += 2 if is_pair else 1
    return merged
