"""Special and added tokens: found in a text before anything else, and never cut into pieces."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import regex

from neo_np.errors import NeoError
from neo_np.tokenizer.byte_alphabet import CHAR_TO_BYTE, check_text

END_OF_TEXT = "<|endoftext|>"
FLAGS = "single_word", "lstrip", "rstrip", "normalized"

# Few tokenizers need these patterns, so `regex` compiles them where they are used, and remembers them.
WORD_CHARACTER = r"\w"
SPACES_BEFORE, SPACES_AFTER = r"(?r)\s*", r"\s*"  # (?r) searches to the left


class AddedToken(NamedTuple):
    """A token that is found in a text by its characters, with the flags of the tokenizers library.

    special: it marks something, such as the end of a text, and `decode` can leave it out.
    single_word: it is found only if no letter, digit or underscore touches it.
    lstrip, rstrip: it takes the white space before or after it along.
    normalized: it is found in a second pass, in the text between the tokens of the first pass. None means: if not special.
    """

    content: str
    id: int
    special: bool = False
    single_word: bool = False
    lstrip: bool = False
    rstrip: bool = False
    normalized: bool | None = None

    @classmethod
    def from_entry(cls, entry: Any, id: Any, file: Path) -> "AddedToken":
        """Return the token of an entry {"content": token, "special": ..., ...}; raises NeoError naming the file."""
        try:
            content, special = entry["content"], bool(entry.get("special"))
            flags = {flag: entry[flag] for flag in FLAGS if entry.get(flag) is not None}
        except (KeyError, TypeError, AttributeError) as error:
            raise NeoError(f"{file}: an added token must be an object with a 'content': {error!r} in {entry!r:.60}.") from None
        if not isinstance(content, str) or type(id) is not int or id < 0:
            raise NeoError(
                f"{file} is not a vocabulary: expected added tokens that are texts, with ids from 0 on, "
                f"and found {content!r:.40} with the id {id!r:.40}."
            )
        for flag, value in flags.items():
            if not isinstance(value, bool):
                raise NeoError(f"{file}: the added token {content!r:.40} has {flag} {value!r:.40}, expected true or false.")
        return cls(content, id, special, **flags)

    @property
    def is_normalized(self) -> bool:
        """Return whether the token is found in the second pass."""
        return not self.special if self.normalized is None else self.normalized

    @property
    def flags(self) -> dict[str, bool]:
        """Return the flags that are not as usual."""
        normalized = {} if self.is_normalized != self.special else {"normalized": self.is_normalized}
        return {flag: True for flag in ("single_word", "lstrip", "rstrip") if getattr(self, flag)} | normalized

    def to_entry(self) -> dict[str, Any]:
        """Return the entry of the token: all of it but the id."""
        return {name: value for name, value in self._asdict().items() if name != "id"} | {"normalized": self.is_normalized}


Span = tuple[int, int, AddedToken | None]  # start, end, and the added token there; None for ordinary text


class AddedTokens:
    """All added tokens of a tokenizer, found in a text as the tokenizers library finds them: in two passes."""

    def __init__(self, tokens: Iterable[AddedToken]):
        tokens = list(tokens)
        self.first = Finder(token for token in tokens if not token.is_normalized)
        self.second = Finder(token for token in tokens if token.is_normalized)

    def split(self, text: str, split_special_tokens: bool) -> Iterator[Span]:
        """Yield the spans of a text, in order. With split_special_tokens, special tokens are ordinary text."""
        for start, end, token in self.first.split(text, 0, len(text), split_special_tokens):
            if token:
                yield start, end, token
            else:
                yield from self.second.split(text, start, end, split_special_tokens)


class Finder:
    """Finds added tokens in one pass: the leftmost first, and the longest of those that begin at one place."""

    def __init__(self, tokens: Iterable[AddedToken]):
        self.tokens = {token.content: token for token in tokens}
        self.pattern = any_of(self.tokens)

    def split(self, text: str, start: int, end: int, split_special_tokens: bool) -> Iterator[Span]:
        """Yield the spans of text[start:end], in order."""
        done = start
        for match in self.pattern.finditer(text, start, end) if self.pattern else ():
            token, (left, right) = self.tokens[match[0]], match.span()
            if token.special and split_special_tokens:
                continue
            if token.single_word and touches_word(text, start, left, right, end):
                continue
            if token.lstrip:
                left = max(done, regex.match(SPACES_BEFORE, text, pos=start, endpos=left).start())
            if token.rstrip:
                right = regex.match(SPACES_AFTER, text, pos=right, endpos=end).end()
            if done < left:
                yield done, left, None
            if left < right:  # not if the token before it has taken this white space along
                yield left, right, token
            done = right
        if done < end:
            yield done, end, None


def touches_word(text: str, start: int, left: int, right: int, end: int) -> bool:
    """Return whether text[left:right] has a letter, digit or underscore beside it in text[start:end]."""
    before = left > start and regex.match(WORD_CHARACTER, text, pos=left - 1)
    return bool(before or regex.match(WORD_CHARACTER, text, pos=right, endpos=end))


def any_of(tokens: Iterable[str]) -> regex.Pattern | None:
    """Return a pattern that finds any of the tokens, the longest first, or None if there are none."""
    longest_first = sorted(tokens, key=len, reverse=True)
    return regex.compile("|".join(map(regex.escape, longest_first))) if longest_first else None


def check_special_tokens(tokens: object) -> None:
    """Raise NeoError for special tokens that could not be told from each other or from ordinary ones."""
    if not isinstance(tokens, list | tuple) or not all(isinstance(token, str) and token for token in tokens):
        raise NeoError(f"special_tokens must be a list of texts, none of them empty, and are {tokens!r:.80}.")
    for token in tokens:
        check_text(token)
        if token in CHAR_TO_BYTE:
            raise NeoError(f"the special token {token!r} is how the tables spell a byte: choose a longer one.")
    if len(set(tokens)) < len(tokens):
        raise NeoError(f"special_tokens has a token twice: {tokens!r:.80}.")
