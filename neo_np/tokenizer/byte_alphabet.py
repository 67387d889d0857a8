"""byte_alphabet."""


def byte_to_char():
    """Return the 256 printable characters that stand for the 256 bytes in vocab.json and merges.txt.

    Bytes that print as themselves in Latin-1 keep their character; the others (controls, the space, ...) get
    the characters from U+0100 on, in order: the space becomes "Ġ". So the files hold no white space but their own.
    """
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + n) for n, byte in enumerate(others)}


BYTE_TO_CHAR = byte_to_char()
CHAR_TO_BYTE = {char: byte for byte, char in BYTE_TO_CHAR.items()}
