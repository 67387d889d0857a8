"""special_tokens."""

import regex

from neo_np.errors import NeoError
from neo_np.tokenizer.byte_alphabet import CHAR_TO_BYTE

END_OF_TEXT = "<|endoftext|>"


def _any_of(tokens):
    """Return a pattern that finds any of the tokens, the longest first, or None where there are none."""
    return regex.compile("|".join(map(regex.escape, sorted(tokens, key=len, reverse=True)))) if tokens else None


def _cut(text, find, ids):
    """Yield (token, id) for the tokens that a pattern finds and (part, None) for what lies between, in order."""
    end = 0
    for match in find.finditer(text) if find else ():
        yield text[end : match.start()], None
        yield match[0], ids[match[0]]
        end = match.end()
    yield text[end:], None


def _check_special_tokens(tokens):
    """Raise NeoError for special tokens that could not be told from each other or from ordinary ones."""
    if not isinstance(tokens, list | tuple) or not all(isinstance(token, str) and token for token in tokens):
        raise NeoError(f"special_tokens must be a list of texts, none of them empty, and are {tokens!r:.80}.")
    for token in tokens:
        _check_text(token)
        if token in CHAR_TO_BYTE:
            raise NeoError(f"the special token {token!r} is how the tables spell a byte: choose a longer one.")
    if len(set(tokens)) < len(tokens):
        raise NeoError(f"special_tokens has a token twice: {tokens!r:.80}.")


def _check_text(text):
    if not isinstance(text, str):
        raise NeoError(f"the tokenizer wants one str, and got {type(text).__name__}: take the texts of a list one by one.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NeoError(
            f"the text holds a lone surrogate, U+{ord(text[error.start]):04X}, at position {error.start}, which is not "
            "a character: clean it first, for example with text.encode('utf-8', 'replace').decode()."
        ) from None
