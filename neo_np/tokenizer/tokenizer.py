"""Byte-level byte-pair encoding: text to token ids and back.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2. Three steps lead from text to ids:

    "Hello world"  ->  words  ["Hello", " world"]      a regular expression cuts the text     pretokenize.py
                   ->  bytes  [72, 101, 108, ...]      UTF-8, so that no character is unknown
                   ->  ids    [15496, 995]             the lowest-ranked merge first           merge.py
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from operator import index
from os import PathLike
from pathlib import Path
from typing import Any

from neo_np.errors import NeoError
from neo_np.tokenizer.byte_alphabet import CHAR_TO_BYTE, byte_ids, check_text, unspell
from neo_np.tokenizer.files import read_tokenizer, write_tokenizer
from neo_np.tokenizer.learn import count_words, learn_merges_fast
from neo_np.tokenizer.merge import WordCache, merge, merge_rules, merge_steps
from neo_np.tokenizer.pretokenize import CHUNK, PRE_TOKEN
from neo_np.tokenizer.special_tokens import END_OF_TEXT, any_of, check_special_tokens, cut
from neo_np.tokenizer.stream import StreamDecoder


class Tokenizer:
    """A byte-level BPE tokenizer from its two tables.

    vocab: {token: id}, tokens spelled in the byte alphabet.
    merges: [(left, right), ...], the rule with the lowest rank first.
    special_tokens: {token: id}, found in the text before anything else and never cut. None means
        `<|endoftext|>` if the vocabulary has it.
    added_tokens: {token: id}, ordinary tokens that are found the same way (some fine-tuned models have them).
    Raises NeoError if the tables contradict each other or a byte has no token.
    """

    def __init__(
        self,
        vocab: dict[str, int],
        merges: Iterable[tuple[str, str]],
        special_tokens: dict[str, int] | None = None,
        added_tokens: dict[str, int] | None = None,
    ):
        if special_tokens is None:
            special_tokens = {END_OF_TEXT: vocab[END_OF_TEXT]} if END_OF_TEXT in vocab else {}
        self.vocab = vocab
        self.merges = list(merges)
        self.special_tokens = dict(special_tokens)
        self.added_tokens = dict(added_tokens or {})
        self.id_to_token = self._names_of_ids()
        self._byte_ids = byte_ids(vocab)
        self._ranks, self._merged = merge_rules(self.merges, vocab)
        self._find_special = any_of(self.special_tokens)
        self._find_added = any_of(self.added_tokens)
        self._special_ids = set(self.special_tokens.values())
        self._ids_of_chunk = WordCache(self._encode_chunk)
        self._bytes_of_id = TokenBytes(self)

    def _names_of_ids(self) -> dict[int, str]:
        added = self.added_tokens | self.special_tokens
        tokens = self.vocab | added
        names = {id: token for token, id in tokens.items()}
        if len(names) < len(tokens):
            raise NeoError("the tables give one id to several tokens: they are damaged, or not of one model.")
        for token, id in added.items():
            if self.vocab.get(token, id) != id:
                raise NeoError(f"the added token {token!r} has the id {id}, and the vocabulary gives it {self.vocab[token]}.")
        return names

    @classmethod
    def train(
        cls,
        texts: str | Iterable[str],
        vocab_size: int,
        special_tokens: list[str] | tuple[str, ...] = (END_OF_TEXT,),
        min_frequency: int = 0,
    ) -> "Tokenizer":
        """Learn the merges from text and return a `Tokenizer` of vocab_size tokens.

        texts: str, or an iterable of str; together they may be larger than memory. No token crosses from one to the next.
        The special tokens get the ids 0, 1, ... in their order. Then come the 256 bytes, by the code point of their
        character, and then the merges. Special tokens in the texts teach nothing, and no token contains a part of one.
        The vocabulary is smaller than vocab_size if no pair of tokens occurs at least min_frequency times (and once).
        The same texts give the same tokenizer, and the same as `BpeTrainer` of Hugging Face tokenizers.
        Raises NeoError for a vocab_size without room for the special tokens and the bytes, and for wrong arguments.
        """
        if not isinstance(vocab_size, int):
            raise NeoError(f"vocab_size must be a whole number, and is {vocab_size!r:.40}.")
        check_special_tokens(special_tokens)
        vocab = {token: id for id, token in enumerate([*special_tokens, *sorted(CHAR_TO_BYTE)])}
        if vocab_size < len(vocab):
            raise NeoError(
                f"a vocab_size of {vocab_size} is too small: the 256 bytes and {len(special_tokens)} special tokens "
                f"take {len(vocab)}, and each further token is one merge."
            )
        merges = learn_merges_fast(count_words(texts, special_tokens), vocab_size - len(vocab), min_frequency)
        for left, right in merges:
            if left + right in special_tokens:
                raise NeoError(f"the text has the bytes that the tables spell {left + right!r}, a special token: rename it.")
            vocab[left + right] = len(vocab)
        return cls(vocab, merges, {token: vocab[token] for token in special_tokens})

    @classmethod
    def load(cls, folder: str | PathLike[str]) -> "Tokenizer":
        """Read the tokenizer of a checkpoint folder: vocab.json with merges.txt, or else tokenizer.json.

        Raises NeoError naming the file that is missing or damaged.
        """
        *tables, files = read_tokenizer(Path(folder))
        try:
            return cls(*tables)
        except NeoError as error:
            raise NeoError(f"{', '.join(map(str, files))}: {error}") from None

    def save(self, folder: str | PathLike[str]) -> None:
        """Write vocab.json and merges.txt into a folder, and tokenizer_config.json if there are added tokens."""
        write_tokenizer(Path(folder), self.vocab, self.merges, self.special_tokens, self.added_tokens)

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.id_to_token)

    def __repr__(self) -> str:
        return f"Tokenizer({len(self)} tokens, {len(self.merges)} merges, special: {list(self.special_tokens)})"

    # text -> ids

    def encode(self, text: str, split_special_tokens: bool = False) -> list[int]:
        """Return the token ids of a text.

        By default `<|endoftext|>` in the text becomes its one special token, as in transformers: prompts and training
        text use it between documents. With split_special_tokens=True it is plain text like any other: use this for
        text from strangers, who could otherwise end a document in your name.
        Raises NeoError for anything but a str, and for lone surrogates, which UTF-8 cannot encode.
        """
        check_text(text)
        ids: list[int] = []
        for part, special_id in self._split_special(text, split_special_tokens):  # 1. Special tokens are whole.
            if special_id is not None:
                ids.append(special_id)
            else:
                chunks = CHUNK.findall(part)  # 2. Other text is cut into words.
                ids.extend(chain.from_iterable(map(self._ids_of_chunk.__getitem__, chunks)))  # 3. The bytes of each are merged.
        return ids

    def _split_special(self, text: str, split_special_tokens: bool) -> Iterator[tuple[str, int | None]]:
        """Yield (part, None) for ordinary text and (token, id) for special and added tokens, in order."""
        for part, id in cut(text, None if split_special_tokens else self._find_special, self.special_tokens):
            yield from [(part, id)] if id is not None else cut(part, self._find_added, self.added_tokens)

    def _encode_chunk(self, chunk: str) -> list[int]:
        words = PRE_TOKEN.findall(chunk)
        if len(words) == 1:
            return merge([self._byte_ids[byte] for byte in chunk.encode("utf-8")], self._ranks, self._merged)
        return [id for word in words for id in self._ids_of_chunk[word]]

    def encode_with_offsets(self, text: str, split_special_tokens: bool = False) -> tuple[list[int], list[tuple[int, int]]]:
        """Return (ids, offsets): offsets[i] = (start, end) says that token i is text[start:end].

        If the bytes of one character are in several tokens, each of them gets the whole character.
        """
        ids = self.encode(text, split_special_tokens)
        char_of_byte = [i for i, char in enumerate(text) for _ in char.encode("utf-8")]
        offsets, start = [], 0
        for id in ids:
            end = start + len(self.token_bytes(id))
            offsets.append((char_of_byte[start], char_of_byte[end - 1] + 1))
            start = end
        return ids, offsets

    def pre_tokenize(self, text: str) -> list[str]:
        """Return the words that a text is cut into before merging; no token crosses their borders."""
        check_text(text)
        return PRE_TOKEN.findall(text)

    def watch(self, word: str) -> list[tuple[dict[str, Any] | None, list[str]]]:
        """Return how one word is merged: a list of (rule, tokens), first the bytes, then one step for each rule.

        rule: None for the first step, else {"rank", "left", "right"}; tokens: list of display strings.

        >>> for rule, tokens in tokenizer.watch(" king"): print(tokens)
        [' ', 'k', 'i', 'n', 'g']
        [' ', 'k', 'in', 'g'] ...
        """
        words = self.pre_tokenize(word)
        if len(words) != 1:
            raise NeoError(f"{word!r} is cut into {len(words)} pre-tokens, {words}: watch one of them at a time.")
        ids = [self._byte_ids[byte] for byte in word.encode("utf-8")]
        steps: list[tuple[dict[str, Any] | None, list[str]]] = [(None, self.token_strings(ids))]
        for pair, ids in merge_steps(ids, self._ranks, self._merged):
            left, right = self.token_strings(pair)
            steps.append(({"rank": self._ranks[pair], "left": left, "right": right}, self.token_strings(ids)))
        return steps

    # ids -> text

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = False, errors: str = "replace") -> str:
        """Return the text of token ids.

        ids: iterable of int. errors: what to do with bytes that are not UTF-8, as in `bytes.decode`; "replace"
        gives U+FFFD, as transformers does. Raises NeoError for an id that has no token.
        """
        return self.decode_bytes(ids, skip_special_tokens).decode("utf-8", errors)

    def decode_bytes(self, ids: Iterable[int], skip_special_tokens: bool = False) -> bytes:
        """Return the bytes of token ids; they may end inside a character."""
        try:
            wanted: Iterable[int] = map(index, ids)
            if skip_special_tokens:
                wanted = (id for id in wanted if id not in self._special_ids)
            return b"".join(map(self._bytes_of_id.__getitem__, wanted))
        except TypeError:
            raise NeoError(f"decode wants a flat list of token ids, and got {ids!r:.80}.") from None

    def token_bytes(self, id: int) -> bytes:
        """Return the bytes of one token; they may be a part of a character."""
        try:
            return self._bytes_of_id[index(id)]
        except TypeError:
            raise NeoError(f"a token id is a whole number, and got {id!r:.40}.") from None

    def token_string(self, id: int) -> str:
        r"""Return one token for display: its text, with bytes that are only part of a character as \xNN."""
        return self.token_bytes(id).decode("utf-8", "backslashreplace")

    def token_strings(self, ids: Iterable[int]) -> list[str]:
        """Return `token_string` of each id."""
        return [self.token_string(id) for id in ids]

    def stream_decoder(self, skip_special_tokens: bool = False) -> StreamDecoder:
        """Return a `StreamDecoder`, which turns ids into text one by one."""
        return StreamDecoder(lambda id: self.decode_bytes([id], skip_special_tokens))


class TokenBytes(dict[int, bytes]):
    """The bytes of each token by its id, computed at their first use."""

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer

    def __missing__(self, id: int) -> bytes:
        known, added = self.tokenizer.id_to_token, self.tokenizer.added_tokens | self.tokenizer.special_tokens
        if id not in known:
            raise NeoError(f"{id} is not the id of a token: this tokenizer has {len(known)}, up to {max(known)}.")
        token = known[id]
        self[id] = token.encode("utf-8") if token in added else unspell(token)
        return self[id]
