"""A linked list of symbols: merging two neighbours takes the same time in a list of any length.

Both fast versions use it: `merge_long` for encoding and `learn_merges_fast` for learning.
"""

from collections.abc import Iterable

BORDER, MERGED_AWAY = -1, -2  # the end of a word; the old place of the right half of a merged pair


class Chain:
    """Symbols in a row, each linked to its neighbours.

    symbols: list of int; each word begins after a BORDER and ends before a BORDER. A symbol never moves to another place.
    after, before: the place of the next and of the previous symbol, for each place.
    """

    def __init__(self, symbols: Iterable[int]):
        self.symbols = list(symbols)
        self.after = list(range(1, len(self.symbols) + 1))
        self.before = list(range(-1, len(self.symbols) - 1))

    def pair(self, place: int) -> tuple[int, int]:
        """Return the symbol at a place and its right neighbour."""
        return self.symbols[place], self.symbols[self.after[place]]

    def merge(self, place: int, merged: int) -> None:
        """Replace the symbol at a place and its right neighbour by one symbol, at this place."""
        right = self.after[place]
        self.symbols[place], self.symbols[right] = merged, MERGED_AWAY
        self.after[place] = self.after[right]
        self.before[self.after[right]] = place
