"""Learning merges: how byte-pair encoding finds its rules in a text.

Sennrich et al. 2016 (arXiv 1508.07909), section 3.2: begin with words as lists of characters, merge the most frequent pair of
neighbours into one symbol, everywhere, and repeat. Each merged pair is a rule; its position in the list is its rank.

Course: notebook 02.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from itertools import pairwise

from neo_np.errors import NeoError
from neo_np.tokenizer.byte_alphabet import check_text, spell
from neo_np.tokenizer.chain import BORDER, Chain
from neo_np.tokenizer.merge import Pair, merge_pair
from neo_np.tokenizer.pretokenize import PRE_TOKEN
from neo_np.tokenizer.special_tokens import any_of


def learn_merges(words: dict[str, int], number: int, min_frequency: int = 0) -> list[tuple[str, str]]:
    """Return the merge rules learned from words, [(left, right), ...], the first one first.

    words: {word: how often it occurs}. number: how many rules to learn. It stops early if no pair occurs at least
    max(1, min_frequency) times.

    >>> learn_merges({"low": 5, "lower": 2, "newest": 6, "widest": 3}, 4)
    [('e', 's'), ('es', 't'), ('l', 'o'), ('lo', 'w')]

    This is the definition. `learn_merges_fast` finds the same rules without counting all pairs again for each of them.
    """
    # The numbers of the symbols: first the characters, by code point, then the merged symbols in their order. Of two pairs that
    # are equally frequent, the one with the lower left number wins; if the left symbols are equal, with the lower right number.
    number_of = {char: i for i, char in enumerate(sorted(set("".join(words))))}
    split_words = [(list(word), count) for word, count in words.items()]
    merges: list[tuple[str, str]] = []
    while len(merges) < number:
        counts: Counter[tuple[str, str]] = Counter()
        for symbols, count in split_words:
            for pair in pairwise(symbols):
                counts[pair] += count
        best = min(counts, key=lambda pair: (-counts[pair], number_of[pair[0]], number_of[pair[1]]), default=None)
        if best is None or counts[best] < max(min_frequency, 1):
            break
        merged = best[0] + best[1]
        number_of[merged] = len(number_of)
        merges.append(best)
        split_words = [(merge_pair(symbols, best, merged), count) for symbols, count in split_words]
    return merges


def learn_merges_fast(words: dict[str, int], number: int, min_frequency: int = 0) -> list[tuple[str, str]]:
    """Return what `learn_merges` returns, without counting all pairs again for every merge.

    A merge changes only the counts of the pairs beside it, so `PairCounts` corrects these. A heap finds the most frequent
    pair. A count in the heap may be too high, because later merges made the pair rarer; it is corrected when it comes up.
    """
    symbols = sorted(set("".join(words)))  # the number of a symbol is its index here
    pairs = PairCounts(words, {char: i for i, char in enumerate(symbols)})
    heap = [(-count, pair) for pair, count in pairs.counts.items()]  # heapq gives the smallest item first, so -count
    heapify(heap)
    merges: list[tuple[str, str]] = []
    while heap and len(merges) < number:
        negative_count, pair = heappop(heap)
        count = pairs.counts[pair]
        if -negative_count > count:
            heappush(heap, (-count, pair))
            continue
        if count < max(min_frequency, 1):
            break
        for new_pair in pairs.merge(pair, len(symbols)):
            heappush(heap, (-pairs.counts[new_pair], new_pair))
        left, right = symbols[pair[0]], symbols[pair[1]]
        merges.append((left, right))
        symbols.append(left + right)
    return merges


class PairCounts:
    """All words in one chain, with the count and the places of every pair of neighbours.

    counts: {pair: how often it occurs}. places: {pair: the places of its left symbol, ascending}; some are out of date.
    """

    def __init__(self, words: dict[str, int], number_of: dict[str, int]):
        symbols, self.weights = [BORDER], [0]  # the weight of a place is how often its word occurs
        for word, count in words.items():
            symbols += [number_of[char] for char in word] + [BORDER]
            self.weights += [count] * (len(word) + 1)
        self.chain = Chain(symbols)
        self.counts: defaultdict[Pair, int] = defaultdict(int)
        self.places: defaultdict[Pair, list[int]] = defaultdict(list)
        for place in range(len(symbols) - 1):
            self.add(place)

    def add(self, place: int) -> Pair:
        """Count the pair at a place and return it. Pairs with a BORDER do not count."""
        pair = self.chain.pair(place)
        if BORDER not in pair:
            self.counts[pair] += self.weights[place]
            self.places[pair].append(place)
        return pair

    def remove(self, place: int) -> None:
        """Subtract the pair at a place from its count."""
        pair = self.chain.pair(place)
        if BORDER not in pair:
            self.counts[pair] -= self.weights[place]

    def merge(self, pair: Pair, merged: int) -> set[Pair]:
        """Replace a pair by one symbol, everywhere from left to right, and return the new pairs."""
        chain, new_pairs = self.chain, set()
        for place in self.places.pop(pair):
            if chain.pair(place) != pair:
                continue  # another merge has taken one of the two
            self.remove(chain.before[place])  # these two pairs with the neighbours are about to disappear
            self.remove(chain.after[place])
            chain.merge(place, merged)
            new_pairs |= {self.add(chain.before[place]), self.add(place)}
        del self.counts[pair]
        return {new_pair for new_pair in new_pairs if BORDER not in new_pair}


def count_words(texts: Iterable[str], special_tokens: Iterable[str]) -> dict[str, int]:
    """Return {pre-token in the byte alphabet: how often it occurs}; special tokens in the texts do not count."""
    if isinstance(texts, bytes) or not isinstance(texts, Iterable):
        raise NeoError(f"train wants a text or an iterable of texts, and got {type(texts).__name__}.")
    find_special = any_of(special_tokens)
    words: Counter[str] = Counter()
    for text in [texts] if isinstance(texts, str) else texts:
        check_text(text)
        for part in find_special.splititer(text) if find_special else [text]:
            words.update(PRE_TOKEN.findall(part))
    return {spell(word): count for word, count in words.items()}
