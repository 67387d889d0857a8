"""merge."""

MERGED_AWAY = -1
CACHED_WORDS = 2**16
LONGEST_CACHED_WORD = 64


class Remembered(dict):
    """The results of a function of one word, each computed when first asked for; it keeps as many as there is room for."""

    def __init__(self, function):
        self.function = function

    def __missing__(self, word):
        result = self.function(word)
        if len(self) < CACHED_WORDS and len(word) <= LONGEST_CACHED_WORD:
            self[word] = result
        return result
