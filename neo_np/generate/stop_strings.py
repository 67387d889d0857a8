"""Stop strings: find them in text that arrives token by token, and release the text that is certain."""

import codecs
from collections.abc import Sequence


class StopStrings:
    """Finds stop strings and turns the bytes of tokens into text.

    Tokens may begin and end anywhere: with the stop string "end", the tokens "the e" and "nd." contain it. So the search is
    in bytes, across tokens. If `cut` is true, a stop string is left out of the text; then bytes that may be the beginning
    of one are held back until the next tokens decide. Without stop strings, only unfinished characters are held back.

    stops: the stop strings. before: the bytes of the prompt; a stop string may begin there. found: whether one is complete.
    """

    def __init__(self, stops: Sequence[str] = (), cut: bool = False, before: bytes = b""):
        self.stops = [stop.encode("utf-8") for stop in stops]
        self.cut = cut
        self.found = False
        self._seen = before
        self._held = b""
        self._character = b""  # the bytes of an unfinished character

    def push(self, piece: bytes) -> str:
        """Take the bytes of the next token and return the text that is certain now."""
        self._held += piece
        if not self.stops:
            return self._release(len(self._held))
        self._seen += piece
        stop = self._first_stop(len(piece))  # bytes from the beginning of a stop string to the end, 0 if there is none
        self.found = stop > 0
        if not self.cut:
            return self._release(len(self._held))
        if not self.found:
            return self._release(len(self._held) - self._unfinished_stop())
        text = self._release(len(self._held) - stop)
        self._held = b""
        return text

    def flush(self) -> str:
        """Return the text that is still held back, because no token follows; an unfinished character becomes U+FFFD."""
        return self._release(len(self._held), final=True)

    def _release(self, count: int, final: bool = False) -> str:
        """Return the first `count` held bytes as text. An unfinished character waits for its other bytes, unless final."""
        count = max(0, count)
        released, self._held = self._character + self._held[:count], self._held[count:]
        text, used = codecs.utf_8_decode(released, "replace", final)
        self._character = released[used:]
        return text

    def _first_stop(self, newest: int) -> int:
        """Return how many bytes the text has from the first stop string that ends in its `newest` last bytes, or 0."""
        begins = [self._seen.find(stop, max(0, len(self._seen) - newest - len(stop) + 1)) for stop in self.stops]
        return max((len(self._seen) - begin for begin in begins if begin >= 0), default=0)

    def _unfinished_stop(self) -> int:
        """Return the length of the longest end of the text that begins a stop string: b"the e" and b"end" give 1."""
        lengths = (n for stop in self.stops for n in range(1, len(stop)) if self._seen.endswith(stop[:n]))
        return max(lengths, default=0)
