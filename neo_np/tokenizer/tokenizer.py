"""Byte-level byte-pair encoding: text to token ids and back.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2, after
Sennrich et al. 2016 (arXiv 1508.07909). Three steps lead from text to ids:

    "Hello world"  ->  pre-tokens  ["Hello", " world"]       a regular expression cuts the text
                   ->  bytes       [72, 101, 108, ...]        UTF-8, so that no character is unknown
                   ->  ids         [15496, 995]               merges, most frequent pair first
"""

import json
from collections import Counter
from collections.abc import Iterable
from heapq import heappop, heappush
from itertools import chain
from operator import index
from pathlib import Path

from neo_np.errors import NeoError
from neo_np.files import read_json, write_text
from neo_np.tokenizer.byte_alphabet import BYTE_TO_CHAR, CHAR_TO_BYTE
from neo_np.tokenizer.files import _check_vocab, _named, _read_added_tokens, _read_merges, _read_tokenizer_json
from neo_np.tokenizer.learn import learn_merges
from neo_np.tokenizer.merge import MERGED_AWAY, Remembered
from neo_np.tokenizer.pretokenize import CHUNK, PRE_TOKEN
from neo_np.tokenizer.special_tokens import END_OF_TEXT, _any_of, _check_special_tokens, _check_text, _cut
from neo_np.tokenizer.stream import StreamDecoder


class Tokenizer:
    """A byte-level BPE tokenizer from its two tables.

    vocab: {token: id}, tokens spelled in the characters of `byte_to_char`.
    merges: [(left, right), ...], the earlier the pair, the sooner it is merged.
    special_tokens: {token: id}, found in the text before anything else and never cut. None takes
        `<|endoftext|>` where the vocabulary has it.
    added_tokens: {token: id}, ordinary tokens that are found the same way (some fine-tuned models add such).
    Raises NeoError where the tables contradict each other or a byte has no token.
    """

    def __init__(self, vocab, merges, special_tokens=None, added_tokens=None):
        if special_tokens is None:
            special_tokens = {END_OF_TEXT: vocab[END_OF_TEXT]} if END_OF_TEXT in vocab else {}
        self.vocab = vocab
        self.merges = list(merges)
        self.special_tokens = dict(special_tokens)
        self.added_tokens = dict(added_tokens or {})
        all_tokens = vocab | self.added_tokens | self.special_tokens
        self.id_to_token = {id: token for token, id in all_tokens.items()}
        if len(self.id_to_token) < len(all_tokens):
            raise NeoError("the tables give one id to several tokens: they are damaged, or not of one model.")
        for token, id in (self.added_tokens | self.special_tokens).items():
            if vocab.get(token, id) != id:
                raise NeoError(f"the added token {token!r} has the id {id}, and the vocabulary gives it {vocab[token]}.")
        missing = [byte for byte, char in BYTE_TO_CHAR.items() if char not in vocab]
        if missing:
            raise NeoError(
                f"the vocabulary has no token for {len(missing)} of the 256 bytes (the first is {missing[0]:#04x}), "
                "so this is not a byte-level BPE table as GPT-2 and GPT-Neo use it."
            )
        self._byte_ids = [vocab[BYTE_TO_CHAR[byte]] for byte in range(256)]
        try:
            self._merge_ids = [(vocab[left], vocab[right], vocab[left + right]) for left, right in self.merges]
        except KeyError as error:
            rank = next(i for i, (left, right) in enumerate(self.merges) if not {left, right, left + right} <= vocab.keys())
            left, right = self.merges[rank]
            raise NeoError(
                f"merge number {rank + 1} ({left!r} + {right!r}) needs the token {error}, which the vocabulary "
                "lacks: the vocabulary and the merges are not of one model."
            ) from None
        self._ranks = {(left, right): rank for rank, (left, right, _) in enumerate(self._merge_ids)}
        self._special_ids = set(self.special_tokens.values())
        self._find_special = _any_of(self.special_tokens)
        self._find_added = _any_of(self.added_tokens)
        self._ids_of_chunk = Remembered(self._encode_chunk)

    @classmethod
    def train(cls, texts, vocab_size, special_tokens=(END_OF_TEXT,), min_frequency=0):
        """Learn the merges from text and return a `Tokenizer` of vocab_size tokens.

        texts: str, or an iterable of str that may be larger than memory together; no merge crosses from one to the next.
        The special tokens get the ids 0, 1, ... in their order, then come the 256 bytes by the code point of their
        character, then the merges. Special tokens in the texts are not learned from, and no merge reaches across them.
        The vocabulary stays smaller where no pair of tokens is left that occurs at least min_frequency times (and
        once). The same texts give the same tokenizer, and the same as `BpeTrainer` of Hugging Face tokenizers.
        Raises NeoError for a vocab_size without room for the special tokens and the bytes, and for wrong arguments.
        """
        if not isinstance(vocab_size, int):
            raise NeoError(f"vocab_size must be a whole number, and is {vocab_size!r:.40}.")
        _check_special_tokens(special_tokens)
        vocab = {token: id for id, token in enumerate([*special_tokens, *sorted(CHAR_TO_BYTE)])}
        if vocab_size < len(vocab):
            raise NeoError(
                f"a vocab_size of {vocab_size} is too small: the 256 bytes and {len(special_tokens)} special tokens "
                f"take {len(vocab)}, and each further token is one merge."
            )
        words = _count_words([texts] if isinstance(texts, str) else texts, _any_of(special_tokens))
        merges = learn_merges(words, vocab_size - len(vocab), min_frequency)
        for left, right in merges:
            if left + right in special_tokens:
                raise NeoError(f"the text has the bytes that the tables spell {left + right!r}, a special token: rename it.")
            vocab[left + right] = len(vocab)
        return cls(vocab, merges, {token: vocab[token] for token in special_tokens})

    @classmethod
    def load(cls, folder):
        """Read the tokenizer of a checkpoint folder: vocab.json with merges.txt, or else tokenizer.json.

        Tokens that were added later are read from where transformers keeps them beside the two tables: tokenizer_config.json
        (`added_tokens_decoder`), in older versions added_tokens.json. Raises NeoError naming the file that is missing or
        broken.
        """
        folder = Path(folder)
        tables = [folder / "vocab.json", folder / "merges.txt"]
        if all(file.exists() for file in tables):
            vocab = _check_vocab(read_json(tables[0]), tables[0])
            special, added, added_file = _read_added_tokens(folder)
            if END_OF_TEXT in vocab:
                special = {END_OF_TEXT: vocab[END_OF_TEXT]} | special
            return _named(cls, tables + added_file, vocab, _read_merges(tables[1]), special, added)
        whole = folder / "tokenizer.json"
        if whole.exists():
            return _named(cls, [whole], *_read_tokenizer_json(whole))
        missing = " and ".join(file.name for file in tables if not file.exists())
        raise NeoError(
            f"{folder} holds no tokenizer ({missing} missing, and no tokenizer.json): copy the two files "
            "there, or load the model with tokenizer=FOLDER to take them from another checkpoint."
        )

    def save(self, folder):
        """Write vocab.json and merges.txt into a folder, and tokenizer_config.json where there are added tokens."""
        folder = Path(folder)
        write_text(folder / "vocab.json", json.dumps(self.vocab, ensure_ascii=False))
        write_text(folder / "merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in self.merges))
        (folder / "added_tokens.json").unlink(missing_ok=True)
        (folder / "tokenizer_config.json").unlink(missing_ok=True)
        if list(self.special_tokens) != [END_OF_TEXT] or self.added_tokens:
            flags = {"single_word": False, "lstrip": False, "rstrip": False}
            special = self.special_tokens  # transformers looks for tokens with "normalized" only between the others
            added = {
                id: {"content": token, "special": token in special, "normalized": token not in special, **flags}
                for token, id in (self.special_tokens | self.added_tokens).items()
            }
            config = {"tokenizer_class": "GPT2Tokenizer", "added_tokens_decoder": added}
            write_text(folder / "tokenizer_config.json", json.dumps(config, indent=2))

    def __len__(self):
        """Return the number of tokens."""
        return len(self.id_to_token)

    def __repr__(self):
        return f"Tokenizer({len(self)} tokens, {len(self.merges)} merges, special: {list(self.special_tokens)})"

    # text -> ids

    def encode(self, text, split_special_tokens=False):
        """Return the token ids of a text, a list of int.

        By default `<|endoftext|>` in the text becomes its one special token, as in transformers: prompts and training
        text that mark the borders of documents mean them. With split_special_tokens=True it is plain text like any
        other: choose this for text from strangers, who could otherwise end a document in your name.
        Raises NeoError for anything but a str, and for lone surrogates, which UTF-8 cannot hold.
        """
        _check_text(text)
        ids = []
        for part, special_id in self._split_special(text, split_special_tokens):
            if special_id is not None:
                ids.append(special_id)
            else:
                ids.extend(chain.from_iterable(map(self._ids_of_chunk.__getitem__, CHUNK.findall(part))))
        return ids

    def encode_with_offsets(self, text, split_special_tokens=False):
        """Return (ids, offsets): offsets[i] = (start, end) says that token i stands for text[start:end].

        Where the bytes of one character fall into several tokens, each of them gets the whole character.
        """
        ids = self.encode(text, split_special_tokens)
        char_of_byte = [i for i, char in enumerate(text) for _ in char.encode("utf-8")]
        offsets, start = [], 0
        for id in ids:
            end = start + len(self.token_bytes(id))
            offsets.append((char_of_byte[start], char_of_byte[end - 1] + 1))
            start = end
        return ids, offsets

    def pre_tokenize(self, text):
        """Return the pieces that a text is cut into before merging; no merge ever crosses their borders."""
        _check_text(text)
        return PRE_TOKEN.findall(text)

    def watch(self, word):
        """Return how one pre-token is merged: a list of (rule, tokens), first the bytes, then a step per merge rule.

        rule: None for the first step, else {"rank", "left", "right"}; tokens: list of display strings.

        >>> for rule, tokens in tokenizer.watch(" king"): print(tokens)
        [' ', 'k', 'i', 'n', 'g']
        [' ', 'k', 'in', 'g'] ...
        """
        pieces = self.pre_tokenize(word)
        if len(pieces) != 1:
            raise NeoError(f"{word!r} is cut into {len(pieces)} pre-tokens, {pieces}: watch one of them at a time.")
        start = [self._byte_ids[byte] for byte in word.encode("utf-8")]
        steps = [(None, self.token_strings(start))]

        def on_merge(rank, ids):
            left, right, _ = self._merge_ids[rank]
            rule = {"rank": rank, "left": self.token_string(left), "right": self.token_string(right)}
            steps.append((rule, self.token_strings(ids)))

        self._merge(word, on_merge)
        return steps

    def _split_special(self, text, split_special_tokens):
        """Yield (part, None) for ordinary text and (token, id) for special and added tokens, in order."""
        for part, id in _cut(text, None if split_special_tokens else self._find_special, self.special_tokens):
            yield from [(part, id)] if id is not None else _cut(part, self._find_added, self.added_tokens)

    def _encode_chunk(self, chunk):
        words = PRE_TOKEN.findall(chunk)
        if len(words) == 1:
            return self._merge(chunk)
        return [id for word in words for id in self._ids_of_chunk[word]]

    def _merge(self, word, on_merge=None):
        """Return the ids of one pre-token: of all neighbours, merge the pair of lowest rank, everywhere; repeat.

        Searching all pairs before every merge would take quadratic time (100,000 spaces are one pre-token). So the
        places where a rule applies wait under its rank, and a heap holds the ranks. The ids stay where they are:
        `after` and `before` link those still alive, and a place whose pair has changed meanwhile is passed over.
        """
        ids = [self._byte_ids[byte] for byte in word.encode("utf-8")]
        end = len(ids)
        after, before = list(range(1, end + 1)), list(range(-1, end - 1))
        waiting, heap, rank_of = {}, [], self._ranks.get

        def wait(place, next_place):
            rank = rank_of((ids[place], ids[next_place]))
            if rank is None:
                return
            if rank in waiting:
                waiting[rank].append(place)
            else:
                waiting[rank] = [place]
                heappush(heap, rank)

        for place in range(end - 1):
            wait(place, place + 1)
        while heap:
            rank = heappop(heap)
            left, right, merged = self._merge_ids[rank]
            applied = False
            for place in sorted(waiting.pop(rank)):  # from left to right: "aaa" is "aa" + "a"
                gone = after[place]
                if ids[place] != left or gone == end or ids[gone] != right:
                    continue
                ids[place], ids[gone] = merged, MERGED_AWAY
                applied = True
                after[place] = after[gone]
                if after[place] < end:
                    before[after[place]] = place
                    wait(place, after[place])
                if before[place] >= 0:
                    wait(before[place], place)
            if on_merge and applied:
                on_merge(rank, [id for id in ids if id != MERGED_AWAY])
        return [id for id in ids if id != MERGED_AWAY]

    # ids -> text

    def decode(self, ids, skip_special_tokens=False, errors="replace"):
        """Return the text of token ids.

        ids: iterable of int. errors: what to do where the bytes are no UTF-8, as in `bytes.decode`; "replace"
        gives U+FFFD, as transformers does. Raises NeoError for an id that has no token.
        """
        return self.decode_bytes(ids, skip_special_tokens).decode("utf-8", errors)

    def decode_bytes(self, ids, skip_special_tokens=False):
        """Return the bytes of token ids, which need not end between two characters."""
        try:
            ids = [index(id) for id in ids]
        except TypeError:
            raise NeoError(f"decode wants a flat list of token ids, and got {ids!r:.80}.") from None
        skipped = self._special_ids if skip_special_tokens else ()
        return b"".join(self.token_bytes(id) for id in ids if id not in skipped)

    def token_bytes(self, id):
        """Return the bytes that one token stands for; they may be only a part of a character."""
        try:
            token = self.id_to_token.get(index(id))
        except TypeError:
            raise NeoError(f"a token id is a whole number, and got {id!r:.40}.") from None
        if token is None:
            raise NeoError(f"{id} is not the id of a token: this tokenizer has {len(self)}, up to {max(self.id_to_token)}.")
        if id in self._special_ids or token in self.added_tokens:
            return token.encode("utf-8")
        try:
            return bytes(CHAR_TO_BYTE[char] for char in token)
        except KeyError:  # a token that was added by hand, in its own characters
            return token.encode("utf-8")

    def token_string(self, id):
        r"""Return one token for display: its text, with bytes that are only part of a character as \xNN."""
        return self.token_bytes(id).decode("utf-8", "backslashreplace")

    def token_strings(self, ids):
        """Return `token_string` of each id."""
        return [self.token_string(id) for id in ids]

    def stream_decoder(self, skip_special_tokens=False):
        """Return a `StreamDecoder`, which turns ids into text one by one."""
        return StreamDecoder(self, skip_special_tokens)


def _count_words(texts, find_special):
    """Return {pre-token, spelled in the characters of the tables: how often it occurs}, what `find_special` finds left out."""
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise NeoError(f"train wants a text or an iterable of texts, and got {type(texts).__name__}.")
    words = Counter()
    for text in texts:
        _check_text(text)
        for part in find_special.splititer(text) if find_special else [text]:
            words.update(PRE_TOKEN.findall(part))
    return {"".join(BYTE_TO_CHAR[byte] for byte in word.encode("utf-8")): count for word, count in words.items()}
