"""The tokens of a text as a person can read them: visible characters, bytes, places in the text, merge steps."""

import unicodedata
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from neo_np.tokenizer.pretokenize import PRE_TOKEN
from neo_np.tokenizer.tokenizer import Tokenizer

VISIBLE = {" ": "␣", "\n": "↵", "\t": "⇥"}
# Categories of characters that are invisible, change the direction of other text, or have no picture of their own.
INVISIBLE = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}
LONGEST_WORD = 64  # bytes; the merge steps of longer words are not shown


def token_bytes(tokenizer: Tokenizer | None, id: int) -> bytes:
    """Return the bytes of a token, or none for an id without a token."""
    return b"" if tokenizer is None or id not in tokenizer.id_to_token else tokenizer.token_bytes(id)


def has_text(tokenizer: Tokenizer | None, id: int) -> bool:
    """Return whether an id has a token. A padded vocabulary has ids without one; a model without a tokenizer has only such."""
    return tokenizer is not None and id in tokenizer.id_to_token


def visible_token(tokenizer: Tokenizer | None, id: int) -> str:
    """Return one token in visible characters; bytes that are part of a character look like ⟨E2⟩."""
    if not has_text(tokenizer, id):
        return f"id {id} (no text)"
    return visible(token_bytes(tokenizer, id).decode("utf-8", "surrogateescape"))


def visible(text: str) -> str:
    """Return a text with a visible sign for every space, line end, control character and mark of direction."""
    shown = "".join(map(visible_character, text))
    return f"◌{shown}" if text and unicodedata.combining(text[0]) else shown  # an accent needs a character to sit on


def visible_line(text: str) -> str:
    """Return a text like `visible`, but with plain spaces: for a line that is read as text."""
    return " ".join(map(visible, text.split(" ")))


def visible_character(char: str) -> str:
    """Return a sign for a character: itself if it is visible."""
    if char in VISIBLE:
        return VISIBLE[char]
    code = ord(char)
    if code < 0x20 or code == 0x7F:
        return chr(0x2421 if code == 0x7F else 0x2400 + code)  # Unicode's pictures of control characters
    if 0xDC80 <= code <= 0xDCFF:  # how "surrogateescape" decodes a byte that is part of a character
        return f"⟨{code - 0xDC00:02X}⟩"
    return f"⟨U+{code:04X}⟩" if unicodedata.category(char) in INVISIBLE else char


def offsets(pieces: Sequence[bytes]) -> list[tuple[int, int]]:
    """Return (start, end) of each token in the characters of the decoded text.

    A token that is only a part of a character has the span of that character.
    """
    char_of_byte = characters_of_bytes(b"".join(pieces))
    spans, byte = [], 0
    for piece in pieces:
        inside = char_of_byte[byte : byte + len(piece)]
        start = char_of_byte[byte - 1] + 1 if byte else 0  # of a token without bytes
        spans.append((inside[0], inside[-1] + 1) if inside else (start, start))
        byte += len(piece)
    return spans


def whole_characters(pieces: Sequence[bytes]) -> list[str]:
    """Return for each token the visible characters of its span if it has only a part of one of them, else "".

    "" too if the bytes of the text make no character there.
    """
    text, found = b"".join(pieces).decode("utf-8", "replace"), []
    for piece, (start, end) in zip(pieces, offsets(pieces)):
        is_part = "\ufffd" in piece.decode("utf-8", "replace") and "\ufffd" not in text[start:end]
        found.append(visible(text[start:end]) if is_part else "")
    return found


def characters_of_bytes(data: bytes) -> list[int]:
    """Return for each byte the index of its character in data.decode("utf-8", "replace")."""
    sizes: list[int] = []  # of the characters, in bytes
    while data:
        try:
            good, bad, rest = data.decode("utf-8"), 0, b""
        except UnicodeDecodeError as error:  # these bytes become one U+FFFD
            good, bad, rest = data[: error.start].decode("utf-8"), error.end - error.start, data[error.end :]
        sizes += [len(char.encode("utf-8")) for char in good] + [bad] * (bad > 0)
        data = rest
    return [char for char, size in enumerate(sizes) for _ in range(size)]


def words(tokenizer: Tokenizer | None, ids: Sequence[int]) -> list[dict[str, Any]]:
    """Return the words of a text, each with its tokens' positions and how the tokenizer merges it.

    Each is {"first", "last": positions, "shown": the word, "steps": [(rule or "", tokens)], "note": why there are no steps}.
    """
    found = []
    for first, last, word in word_spans(tokenizer, ids):
        steps, note = merge_steps(tokenizer, list(ids[first : last + 1]), word)
        found.append({"first": first, "last": last, "shown": visible(word), "steps": steps, "note": note})
    return found


def word_spans(tokenizer: Tokenizer | None, ids: Sequence[int]) -> Iterable[tuple[int, int, str]]:
    """Yield (first position, last position, text) of each word. A token that was added by hand is a word by itself."""
    start = 0
    for position, id in enumerate([*ids, None]):
        if id is None or is_added(tokenizer, id):
            yield from ordinary_words(tokenizer, ids, start, position)
            if id is not None:
                yield position, position, token_bytes(tokenizer, id).decode("utf-8", "surrogateescape")
            start = position + 1


def ordinary_words(tokenizer: Tokenizer | None, ids: Sequence[int], start: int, stop: int) -> Iterable[tuple[int, int, str]]:
    """Yield the words of ordinary tokens. A token that the model wrote across the border of two words joins them."""
    pieces = [token_bytes(tokenizer, id) for id in ids[start:stop]]
    data = b"".join(pieces)
    words = PRE_TOKEN.findall(data.decode("utf-8", "surrogateescape"))
    borders = set(accumulate(len(word.encode("utf-8", "surrogateescape")) for word in words))
    first, begin = 0, 0
    for position, end in enumerate(accumulate(map(len, pieces))):
        if end in borders:
            yield start + first, start + position, data[begin:end].decode("utf-8", "surrogateescape")
            first, begin = position + 1, end


def is_added(tokenizer: Tokenizer | None, id: int) -> bool:
    """Return whether a token is special or was added by hand, or has no text: no merge makes it."""
    if tokenizer is None or id not in tokenizer.id_to_token:
        return True
    return tokenizer.id_to_token[id] in tokenizer.special_tokens | tokenizer.added_tokens


def merge_steps(tokenizer: Tokenizer | None, ids: list[int], word: str) -> tuple[list, str]:
    """Return (steps, note) for one word: the merges that lead from its bytes to tokens, and what else there is to say."""
    if tokenizer is None or ids[0] not in tokenizer.id_to_token:
        return [], "This id has no token, so there is no text to merge."
    if is_added(tokenizer, ids[0]):
        return [], "This token is taken whole: it was added to the vocabulary, and no merge makes it."
    if any("\udc80" <= char <= "\udcff" for char in word):
        return [], "The bytes of these tokens are no complete character, so the tokenizer has no merge steps for them."
    if len(word.encode("utf-8")) > LONGEST_WORD:
        return [], f"The word has more than {LONGEST_WORD} bytes, too many to show its merge steps."
    if len(tokenizer.pre_tokenize(word)) > 1:
        return (
            [],
            "The model wrote a token across the border of two words; the tokenizer never does, so there are no merge steps.",
        )
    steps = [
        (
            f"rule {rule['rank']}: {visible(rule['left'])} + {visible(rule['right'])}" if rule else "bytes",
            list(map(visible, tokens)),
        )
        for rule, tokens in tokenizer.watch(word)
    ]
    same = tokenizer.encode(word, split_special_tokens=True) == ids
    return steps, "" if same else "The model wrote this word in other tokens than the tokenizer would."
