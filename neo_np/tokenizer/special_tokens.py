"""Special and added tokens: found in a text before anything else, and never cut."""

from collections.abc import Iterable, Iterator

import regex

from neo_np.errors import NeoError
from neo_np.tokenizer.byte_alphabet import CHAR_TO_BYTE, check_text

END_OF_TEXT = "<|endoftext|>"


def any_of(tokens: Iterable[str]) -> regex.Pattern | None:
    """Return a pattern that finds any of the tokens, the longest first, or None if there are none."""
    longest_first = sorted(tokens, key=len, reverse=True)
    return regex.compile("|".join(map(regex.escape, longest_first))) if longest_first else None


def cut(text: str, find: regex.Pattern | None, ids: dict[str, int]) -> Iterator[tuple[str, int | None]]:
    """Yield (token, id) for each token that a pattern finds and (part, None) for the text between them, in order."""
    end = 0
    for match in find.finditer(text) if find else ():
        yield text[end : match.start()], None
        yield match[0], ids[match[0]]
        end = match.end()
    yield text[end:], None


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
