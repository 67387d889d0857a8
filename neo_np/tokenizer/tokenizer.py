"""Byte-level byte-pair encoding: text to token ids and back.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2. Three steps lead from text to ids:

    "Hello world"  ->  words  ["Hello", " world"]      a regular expression cuts the text     pretokenize.py
                   ->  bytes  [72, 101, 108, ...]      UTF-8, so that no character is unknown
                   ->  ids    [15496, 995]             the lowest-ranked merge first           merge.py
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from numbers import Integral
from operator import index
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from neo_np.errors import NeoError
from neo_np.files import is_there
from neo_np.folders.find import TOKENIZER_FILES, find_checkpoint
from neo_np.other_names import OtherNames, check_assigned, no_attribute, with_advice
from neo_np.tokenizer.byte_alphabet import CHAR_TO_BYTE, byte_ids, check_text, is_text, unspell
from neo_np.tokenizer.files import read_tokenizer, write_tokenizer
from neo_np.tokenizer.learn import count_words, learn_merges_fast
from neo_np.tokenizer.merge import WordCache, merge, merge_rules, merge_steps
from neo_np.tokenizer.pretokenize import CHUNK, PRE_TOKEN
from neo_np.tokenizer.settings import Settings
from neo_np.tokenizer.special_tokens import END_OF_TEXT, AddedToken, AddedTokens, check_special_tokens
from neo_np.tokenizer.stream import StreamDecoder
from neo_np.tokenizer.tables import Around


class Tokenizer(metaclass=OtherNames):
    """A byte-level BPE tokenizer from its two tables.

    vocab: {token: id}, tokens spelled in the byte alphabet.
    merges: [(left, right), ...], the rule with the lowest rank first.
    special_tokens: {token: id}, found in the text before anything else and never cut. None means
        `<|endoftext|>` if the vocabulary has it.
    added_tokens: {token: id}, ordinary tokens that are found the same way (some fine-tuned models have them).
    settings: what else the files of a checkpoint say; None means GPT-2's settings.
    Raises NeoError if the tables contradict each other or a byte has no token.
    """

    def __init__(
        self,
        vocab: dict[str, int],
        merges: Iterable[tuple[str, str]],
        special_tokens: dict[str, int] | None = None,
        added_tokens: dict[str, int] | None = None,
        settings: Settings | None = None,
    ):
        if special_tokens is None:
            special_tokens = {END_OF_TEXT: vocab[END_OF_TEXT]} if END_OF_TEXT in vocab else {}
        self.vocab = vocab
        self.merges = list(merges)
        self.special_tokens = dict(special_tokens)
        self.added_tokens = dict(added_tokens or {})
        self.settings = settings or Settings()
        self.id_to_token = names_of_ids(vocab, self.added_tokens | self.special_tokens)
        for id in (*self.settings.before, *self.settings.after):
            if id not in self.id_to_token:
                raise NeoError(f"the id {id} is put around each text, and no token has it.")
        self._byte_ids = byte_ids(vocab)
        self._ranks, self._rules = merge_rules(self.merges, vocab)
        self._added = AddedTokens(self._list_added_tokens())
        self._special_ids = set(self.special_tokens.values())
        self._ids_of_chunk = WordCache(self._encode_chunk)
        self._bytes_of_id = TokenBytes(self.id_to_token, self._special_ids | set(self.added_tokens.values()))

    def _list_added_tokens(self) -> list[AddedToken]:
        """Return the special and the other added tokens, with their flags, in the order of their ids."""
        tokens = []
        for content, id in (self.added_tokens | self.special_tokens).items():
            special = content in self.special_tokens
            tokens.append(AddedToken(content, id, special, **self.settings.flags.get(content, {})))
        return sorted(tokens, key=lambda token: token.id)

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
        character in the byte alphabet, and then the merges. Special tokens in the texts are left out of the learning.
        The vocabulary stays smaller than vocab_size if too few pairs occur at least max(1, min_frequency) times.
        The same texts give the same tokenizer, and the same as `BpeTrainer` of Hugging Face tokenizers.
        Raises NeoError for a vocab_size without room for the special tokens and the bytes, and for wrong arguments.
        """
        if not isinstance(vocab_size, Integral):
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
    @with_advice("load")
    def load(cls, name: str | PathLike[str] | None = None) -> "Tokenizer":
        """Read the tokenizer of a checkpoint: tokenizer.json, or else vocab.json with merges.txt.

        name: a folder, or any other name of a checkpoint that `neo_np.load` takes; None for the default checkpoint.
        Added tokens, their roles and other settings are read from all the places where transformers keeps them.
        Raises NeoError naming the file that is missing or damaged.
        """
        if isinstance(name, PathLike) or (isinstance(name, str) and Path(name).is_dir()):
            folder = Path(name)
        else:
            folder = find_checkpoint(name, weights_wanted=False)
        found = read_tokenizer(folder)
        try:
            return cls(*found)
        except NeoError as error:
            files = [str(folder / name) for name in TOKENIZER_FILES if is_there(folder / name)]
            raise NeoError(f"{', '.join(files)}: {error}") from None

    def save(self, folder: str | PathLike[str]) -> None:
        """Write vocab.json and merges.txt into a folder, and tokenizer_config.json unless all settings are GPT-2's.

        transformers reads the same tokenizer from them. What was loaded from tokenizer_config.json is written again.
        """
        write_tokenizer(Path(folder), self.vocab, self.merges, self._list_added_tokens(), self.settings)

    @property
    def bos_token_id(self) -> int | None:
        """Return the id of the token that marks the beginning of a text, or None."""
        return self.role_id("bos_token")

    @property
    def eos_token_id(self) -> int | None:
        """Return the id of the token that marks the end of a text, or None."""
        return self.role_id("eos_token")

    @property
    def pad_token_id(self) -> int | None:
        """Return the id of the token that fills short rows of a batch, or None."""
        return self.role_id("pad_token")

    def role_id(self, role: str) -> int | None:
        """Return the id of the special token with a role such as "unk_token", or None."""
        return self.special_tokens.get(self.settings.roles.get(role, ""))

    def __len__(self) -> int:
        """Return the number of tokens."""
        return len(self.id_to_token)

    def __repr__(self) -> str:
        return f"Tokenizer({len(self)} tokens, {len(self.merges)} merges, special: {list(self.special_tokens)})"

    def __call__(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Raise TypeError that names the call which is meant."""
        raise TypeError("a Tokenizer is no function: tokenizer.encode(text) returns the ids of one text, as a list of int.")

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            """Raise AttributeError with the name to use."""
            raise no_attribute("tokenizer", "a Tokenizer", name, dir(self))

        def __setattr__(self, name, value):
            """Set an attribute; raises AttributeError for one of another library, which nothing here would read."""
            if type(self) is Tokenizer:  # a subclass can have attributes of its own
                check_assigned("tokenizer", "a Tokenizer", name)
            super().__setattr__(name, value)

    # text -> ids

    @with_advice("encode")
    def encode(
        self,
        text: str,
        split_special_tokens: bool | None = None,
        add_special_tokens: bool = True,
        add_prefix_space: bool | None = None,
    ) -> list[int]:
        """Return the token ids of a text.

        split_special_tokens: False: `<|endoftext|>` in the text becomes its one special token; prompts and training text
            use it between documents. True: it is plain text like any other; use this for text that you do not trust,
            because it could contain a false end of a document. None: as the checkpoint says, which for GPT-Neo is False.
        add_special_tokens: whether to add the tokens that the checkpoint wants around each text; GPT-Neo wants none.
        add_prefix_space: whether to put a space before text that does not begin with one; None: as the checkpoint says,
            which for GPT-Neo is False.
        Raises NeoError for anything but a str, and for lone surrogates, which UTF-8 cannot encode.
        """
        check_text(text)
        before, after = self._around(add_special_tokens)
        ids = [*before]
        for _, _, part, token in self._split(text, split_special_tokens, add_prefix_space):  # 1. Added tokens are found.
            if token:
                ids.append(token.id)
            else:
                chunks = CHUNK.findall(part)  # 2. The text between them is cut into chunks, each one or more words.
                ids += self._ids_of_chunks(chunks)  # 3. The bytes of each word are merged.
        ids += after
        return ids

    def _split(
        self, text: str, split_special_tokens: bool | None, add_prefix_space: bool | None
    ) -> Iterator[tuple[int, int, str, AddedToken | None]]:
        """Yield (start, end, part of the text to encode, the added token there or None)."""
        if isinstance(split_special_tokens, str | list | tuple):
            raise NeoError(f"encode takes one text; the second one, {split_special_tokens!r:.40}, needs its own call.")
        split = self.settings.split_special_tokens if split_special_tokens is None else split_special_tokens
        prefix = self.settings.add_prefix_space if add_prefix_space is None else add_prefix_space
        for start, end, token in self._added.split(text, split):
            space = " " if prefix and not token and text[start] != " " else ""
            yield start, end, space + text[start:end], token

    def _ids_of_chunks(self, chunks: list[str]) -> Iterator[int]:
        """Return an iterator over the ids of chunks; most are in the cache, so this loop runs in C."""
        return chain.from_iterable(map(self._ids_of_chunk.__getitem__, chunks))

    def _encode_chunk(self, chunk: str) -> list[int]:
        """Return the ids of a chunk that is not in the cache: one word, or several without white space between them."""
        words = PRE_TOKEN.findall(chunk)
        if len(words) == 1:
            return merge(self._ids_of_bytes(chunk), self._ranks, self._rules)
        return [id for word in words for id in self._ids_of_chunk[word]]

    def _ids_of_bytes(self, word: str) -> list[int]:
        """Return the ids of the bytes of a word."""
        return [self._byte_ids[byte] for byte in word.encode("utf-8")]

    def _around(self, add_special_tokens: bool) -> Around:
        """Return the ids to put before and after a text."""
        return (self.settings.before, self.settings.after) if add_special_tokens else ((), ())

    def encode_with_offsets(
        self,
        text: str,
        split_special_tokens: bool | None = None,
        add_special_tokens: bool = True,
        add_prefix_space: bool | None = None,
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Return (ids, offsets): offsets[i] = (start, end) says that token i is text[start:end].

        The arguments are those of `encode`. If the bytes of one character are in several tokens, each of them gets the
        whole character. Tokens that are added around the text have the offsets (0, 0).
        """
        check_text(text)
        before, after = self._around(add_special_tokens)
        ids, offsets = [*before], [(0, 0)] * len(before)
        for start, end, part, token in self._split(text, split_special_tokens, add_prefix_space):
            if token:
                ids.append(token.id)
                offsets.append((start, end))
                continue
            # An added space belongs to the first character: of " a", both bytes have the offsets of "a".
            first = end - len(part)  # start, or start - 1
            char_of_byte = [max(start, first + i) for i, char in enumerate(part) for _ in char.encode("utf-8")]
            begin = 0
            for id in self._ids_of_chunks(CHUNK.findall(part)):
                stop = begin + len(self.token_bytes(id))
                ids.append(id)
                offsets.append((char_of_byte[begin], char_of_byte[stop - 1] + 1))
                begin = stop
        return [*ids, *after], offsets + [(0, 0)] * len(after)

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
        steps: list[tuple[dict[str, Any] | None, list[str]]] = []
        for pair, ids in merge_steps(self._ids_of_bytes(word), self._ranks, self._rules):
            rule = None
            if pair:
                left, right = self.token_strings(pair)
                rule = {"rank": self._ranks[pair], "left": left, "right": right}
            steps.append((rule, self.token_strings(ids)))
        return steps

    # ids -> text

    @with_advice("decode")
    def decode(
        self,
        ids: Iterable[int],
        skip_special_tokens: bool = False,
        errors: str = "replace",
    ) -> str:
        """Return the text of token ids.

        ids: iterable of int. errors: what to do with bytes that are not UTF-8, as in `bytes.decode`; "replace"
        gives U+FFFD, as transformers does. Raises NeoError for an id that has no token.
        """
        return self.decode_bytes(ids, skip_special_tokens).decode("utf-8", errors)

    def decode_bytes(self, ids: Iterable[int], skip_special_tokens: bool = False) -> bytes:
        """Return the bytes of token ids; they may end inside a character."""
        try:
            wanted: Iterable[int] = map(index, ids)  # `index` takes int and NumPy integers, and refuses 3.0 and "3"
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
    """The bytes of each token by its id, computed at their first use; added tokens are not spelled in the byte alphabet.

    `dict` calls `__missing__` for a key that it does not have.
    """

    def __init__(self, id_to_token: dict[int, str], added_ids: set[int]):
        self.id_to_token, self.added_ids = id_to_token, added_ids

    def __missing__(self, id: int) -> bytes:
        if id not in self.id_to_token:
            count, highest = len(self.id_to_token), max(self.id_to_token)
            raise NeoError(f"{id} is not the id of a token: this tokenizer has {count}, up to {highest}.")
        token = self.id_to_token[id]
        self[id] = token.encode("utf-8") if id in self.added_ids else unspell(token)
        return self[id]


def names_of_ids(vocab: dict[str, int], added: dict[str, int]) -> dict[int, str]:
    """Return {id: token}; raises NeoError for tokens that are no text, and if the tables contradict each other."""
    tokens = vocab | added
    names = {id: token for token, id in tokens.items()}
    if len(names) < len(tokens):
        raise NeoError("the tables give one id to several tokens: they are damaged, or not of one model.")
    for token, id in added.items():
        if vocab.get(token, id) != id:
            raise NeoError(f"the added token {token!r} has the id {id}, and the vocabulary gives it {vocab[token]}.")
        if not token:
            raise NeoError(f"the added token with the id {id} is empty: it must have at least one character.")
    if not is_text("".join(tokens)):
        bad = next(token for token in tokens if not is_text(token))
        raise NeoError(f"the token {bad!r} has a lone surrogate, which is not a character: the tables are damaged.")
    return names
