"""Stop strings: find them in text that arrives token by token, and release the text that is certain.

The text is searched as symbols: a string with one character for each byte, and one for each special token. So a stop string is
found even if it begins or ends inside a token, and a special token cannot be confused with the bytes of its name.
"""

import codecs
import sys
from collections.abc import Iterable, Mapping, Sequence

from neo_np.tokenizer.tokenizer import Tokenizer

FIRST_SPECIAL = 256  # the characters 0 to 255 are the bytes; a special token is the character 256 + its id
SPECIAL_SYMBOLS = sys.maxunicode + 1 - FIRST_SPECIAL  # 1,113,856: more than any vocabulary needs


def byte_symbols(data: bytes) -> str:
    """Return one symbol for each byte."""
    return data.decode("latin-1")


def special_symbol(id: int) -> str:
    """Return the symbol of a special token, or of an id without a token."""
    return chr(FIRST_SPECIAL + id % SPECIAL_SYMBOLS)  # a file can give a token an id that is larger than its vocabulary


def prompt_symbols(tokenizer: Tokenizer, ids: Iterable[int]) -> str:
    """Return the symbols of the tokens of a prompt."""
    special_ids = set(tokenizer.special_tokens.values())

    def symbols(id: int) -> str:
        is_text = id in tokenizer.id_to_token and id not in special_ids
        return byte_symbols(tokenizer.token_bytes(id)) if is_text else special_symbol(id)

    return "".join(map(symbols, ids))


def stop_symbols(stop: str, special_tokens: Mapping[str, int]) -> set[str]:
    """Return the symbols of a stop string: as bytes only, and with the special tokens that it names."""
    plain = with_special = byte_symbols(stop.encode("utf-8"))
    for token in sorted(special_tokens, key=len, reverse=True):
        with_special = with_special.replace(byte_symbols(token.encode("utf-8")), special_symbol(special_tokens[token]))
    return {plain, with_special}


class StopStrings:
    """Finds stop strings and turns tokens into text, without special tokens.

    "<|endoftext|>" can be a stop string, or part of one. "en<|endoftext|>d" does not contain the stop string "end".
    If `cut` is true, a stop string is left out of the text. Then text that may be the beginning of one is held back until
    the next tokens decide. Otherwise, only unfinished characters are held back.

    stops: the stop strings. special_tokens: {token: id}. before: the symbols of the prompt; a stop string may begin there.
    found: whether a stop string is complete.
    """

    def __init__(
        self, stops: Sequence[str] = (), cut: bool = False, special_tokens: Mapping[str, int] | None = None, before: str = ""
    ):
        self.stops = {symbols for stop in stops for symbols in stop_symbols(stop, special_tokens or {})}
        self.cut = cut
        self.found = False
        self._seen = before
        self._held = ""
        self._character = b""  # the bytes of an unfinished character

    def push(self, piece: bytes) -> str:
        """Take the bytes of the next token and return the text that is certain now."""
        return self._push(byte_symbols(piece))

    def push_special(self, id: int) -> str:
        """Take a special token and return the text that is certain now."""
        return self._push(special_symbol(id))

    def flush(self) -> str:
        """Return the text that is still held back, because no token follows; an unfinished character becomes U+FFFD."""
        return self._release(len(self._held), final=True)

    def _push(self, symbols: str) -> str:
        self._held += symbols
        if not self.stops:
            return self._release(len(self._held))
        self._seen += symbols
        length = self._length_from_stop(len(symbols))
        self.found = length > 0
        if not self.cut:
            return self._release(len(self._held))
        if not self.found:
            return self._release(len(self._held) - self._length_of_unfinished_stop())
        text = self._release(len(self._held) - length)
        self._held = ""
        return text

    def _release(self, count: int, final: bool = False) -> str:
        """Return the first `count` held symbols as text. An unfinished character waits for its other bytes, unless final."""
        count = max(0, count)
        released, self._held = self._held[:count], self._held[count:]
        data = self._character + "".join(symbol for symbol in released if ord(symbol) < FIRST_SPECIAL).encode("latin-1")
        text, used = codecs.utf_8_decode(data, "replace", final)
        self._character = data[used:]
        return text

    def _length_from_stop(self, newest: int) -> int:
        """Return the length of the text from its first stop string on; 0 if there is none.

        Only one that ends within the last `newest` symbols counts: a stop string inside the prompt does not end the text.
        """
        begins = [self._seen.find(stop, max(0, len(self._seen) - newest - len(stop) + 1)) for stop in self.stops]
        return max((len(self._seen) - begin for begin in begins if begin >= 0), default=0)

    def _length_of_unfinished_stop(self) -> int:
        """Return the length of the longest suffix of the text that is a prefix of a stop string: "the e" with "end" gives 1."""
        lengths = (n for stop in self.stops for n in range(1, len(stop)) if self._seen.endswith(stop[:n]))
        return max(lengths, default=0)
