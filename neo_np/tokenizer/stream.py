"""stream."""

import codecs


class StreamDecoder:
    """Decodes token ids as they come and never gives out half a character.

    The pieces that `push` and `flush` return, joined, are what `decode` of all the ids returns.
    """

    def __init__(self, tokenizer, skip_special_tokens=False):
        self._tokenizer = tokenizer
        self._skipped = tokenizer._special_ids if skip_special_tokens else ()
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, id):
        """Return the text that this id completes, "" while a character is still unfinished."""
        return "" if id in self._skipped else self.push_bytes(self._tokenizer.token_bytes(id))

    def push_bytes(self, data):
        """Return the text that these bytes complete."""
        return self._utf8.decode(data)

    def flush(self):
        """Return U+FFFD for a character that never got finished, else ""."""
        return self._utf8.decode(b"", final=True)
