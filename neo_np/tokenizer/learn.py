"""Learning merges: how byte-pair encoding finds its rules in a text.

Sennrich et al. 2016 (arXiv 1508.07909), section 3.2: begin with words cut into characters; join the most frequent pair of
neighbours into one new symbol, everywhere; repeat. Each pair so joined is a merge rule, and their order is their rank.
"""

from collections import defaultdict
from heapq import heapify, heappop, heappush

BORDER, MERGED_AWAY = -1, -2  # what stands between two words, and what is left of the right half of a merged pair


def learn_merges(words, number, min_frequency=0):
    """Return the merge rules that words teach, [(left, right), ...] in the order of their learning.

    words: {word: how often it occurs}. number: how many rules are wanted; there are fewer where no pair is left that
    occurs at least min_frequency times (and once).

    >>> learn_merges({"low": 5, "lowest": 2, "newest": 6, "widest": 3}, 4)
    [('e', 's'), ('es', 't'), ('l', 'o'), ('lo', 'w')]

    Symbols are numbered, the characters by code point and then the merged ones as they come; of two pairs that are
    equally frequent, the one with the lower numbers wins, as in Hugging Face tokenizers.

    Counting all pairs anew for each merge would take minutes. But a merge changes only the pairs beside it: so every pair
    remembers its places, and a heap brings up the most frequent. A count in the heap may meanwhile be too high, never
    too low: it is corrected when it comes up.
    """
    symbols = sorted(set("".join(words)))
    chain = Chain(words, {char: number for number, char in enumerate(symbols)})
    heap = [(-count, pair) for pair, count in chain.counts.items()]
    heapify(heap)
    merges = []
    while heap and len(merges) < number:
        count, pair = heappop(heap)
        true_count = chain.counts[pair]
        if -count > true_count:
            heappush(heap, (-true_count, pair))
            continue
        if true_count < max(min_frequency, 1):
            break
        for new_pair in chain.merge(pair, len(symbols)):
            heappush(heap, (-chain.counts[new_pair], new_pair))
        left, right = pair
        merges.append((symbols[left], symbols[right]))
        # This string is new: two ways to it would both be open within it at the earlier merge, which took them all.
        symbols.append(symbols[left] + symbols[right])
    return merges


class Chain:
    """All words one after the other as numbered symbols, with the count and the places of every pair of neighbours.

    symbols: list of int, a BORDER after each word. The symbols stay where they are: `after` and `before` link those still
    alive. counts: {pair: how often}; places: {pair: where its left symbol stands, ascending}, some of them out of date.
    """

    def __init__(self, words, number_of):
        self.symbols, self.weights = [BORDER], [0]  # a weight is how often the word around a place occurs
        for word, count in words.items():
            self.symbols += [number_of[char] for char in word] + [BORDER]
            self.weights += [count] * (len(word) + 1)
        self.after = list(range(1, len(self.symbols) + 1))
        self.before = list(range(-1, len(self.symbols) - 1))
        self.counts, self.places = defaultdict(int), defaultdict(list)
        for place in range(len(self.symbols) - 1):
            self._count(place, place + 1, +1)

    def merge(self, pair, new):
        """Put the new symbol for a pair, everywhere from left to right, and return the pairs that this made."""
        made = set()
        for place in self.places.pop(pair):
            gone = self.after[place]
            if (self.symbols[place], self.symbols[gone]) != pair:
                continue  # one of the two has been merged with another neighbour
            before, after = self.before[place], self.after[gone]
            self._count(before, place, -1)
            self._count(gone, after, -1)
            self.symbols[place], self.symbols[gone] = new, MERGED_AWAY
            self.after[place], self.before[after] = after, place
            made.add(self._count(before, place, +1))
            made.add(self._count(place, after, +1))
        del self.counts[pair]
        return made - {None}

    def _count(self, left, right, sign):
        """Count the pair at two places (sign +1), or no more (-1), and return it; None where a word ends between them."""
        pair = self.symbols[left], self.symbols[right]
        if BORDER in pair:
            return None
        self.counts[pair] += sign * self.weights[left]
        if sign > 0:
            self.places[pair].append(left)
        return pair
