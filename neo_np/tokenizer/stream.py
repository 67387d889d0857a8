"""Decoding a stream of token ids: text appears as soon as its characters are complete."""

import codecs
from collections.abc import Callable


class StreamDecoder:
    """Decodes token ids one by one and never returns half a character.

    bytes_of: a function that returns the bytes of one token id.
    The texts that `push` and `flush` return, joined, are what `decode` of all the ids returns.
    """

    def __init__(self, bytes_of: Callable[[int], bytes]):
        self._bytes_of = bytes_of
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, id: int) -> str:
        """Return the text that this id completes: "" while a character is unfinished."""
        return self.push_bytes(self._bytes_of(id))

    def push_bytes(self, data: bytes) -> str:
        """Return the text that these bytes complete."""
        return self._utf8.decode(data)

    def flush(self) -> str:
        """Return U+FFFD if a character was never finished, else ""."""
        return self._utf8.decode(b"", final=True)
