"""The byte alphabet: one printable character for each of the 256 bytes.

vocab.json and merges.txt are text files, but tokens are bytes. GPT-2 therefore writes each byte as one printable character.

Course: notebook 02.
"""

from neo_np.errors import NeoError


def byte_to_char() -> dict[int, str]:
    """Return the character for each byte in vocab.json and merges.txt.

    A byte that is a visible Latin-1 character is written as that character. The other 68 bytes (control characters, the
    space, ...) get the characters from U+0100 on, in order: the space (0x20) is "Ġ", the line feed (0x0a) is "Ċ".
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = sorted(set(range(256)) - set(printable))
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


BYTE_TO_CHAR = byte_to_char()
CHAR_TO_BYTE = {char: byte for byte, char in BYTE_TO_CHAR.items()}


def spell(text: str) -> str:
    """Return the UTF-8 bytes of a text in the byte alphabet: " the" -> "Ġthe"."""
    return "".join(BYTE_TO_CHAR[byte] for byte in text.encode("utf-8"))


def unspell(token: str) -> bytes:
    """Return the bytes of a token of the vocabulary: "Ġthe" -> b" the".

    A token with a character outside the byte alphabet was added by hand and is its own text.
    """
    try:
        return bytes(CHAR_TO_BYTE[char] for char in token)
    except KeyError:
        return token.encode("utf-8")


def byte_ids(vocab: dict[str, int]) -> list[int]:
    """Return the token id of each byte; raises NeoError if the vocabulary lacks one."""
    missing = [byte for byte, char in BYTE_TO_CHAR.items() if char not in vocab]
    if missing:
        raise NeoError(
            f"the vocabulary has no token for {len(missing)} of the 256 bytes (the first is {missing[0]:#04x}), "
            "so this is not a byte-level BPE table as GPT-2 and GPT-Neo use it."
        )
    return [vocab[BYTE_TO_CHAR[byte]] for byte in range(256)]


def is_text(value: object) -> bool:
    """Return whether a value is a str that UTF-8 can encode."""
    try:
        return isinstance(value, str) and value.encode("utf-8") is not None
    except UnicodeEncodeError:  # half of a pair, as in "\ud83d"
        return False


def check_text(text: object) -> None:
    """Raise NeoError if a value is not a str that UTF-8 can encode."""
    if not isinstance(text, str):
        kind, one_by_one = type(text).__name__, ": encode its texts one by one"
        advice = {"list": one_by_one, "tuple": one_by_one, "bytes": ": use text.decode()"}.get(kind, "")
        raise NeoError(f"the tokenizer wants one str, and got {kind}{advice}.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NeoError(
            f"the text holds a lone surrogate, U+{ord(text[error.start]):04X}, at position {error.start}, which is not "
            "a character: clean it first, for example with text.encode('utf-8', 'replace').decode()."
        ) from None
