"""Byte-pair encoding of one word: merge the neighbours whose rule has the lowest rank, everywhere; repeat.

A rule says: replace these two neighbours by one token. The rules are the lines of merges.txt, and the number of a line, from
0, is its rank. The example shows the tokens as text; the functions work with their ids. Sennrich et al. 2016 (arXiv
1508.07909), section 3.2.

    [' ', 't', 'h', 'e']  ->  [' t', 'h', 'e']  ->  [' t', 'he']  ->  [' the']

Course: notebook 02.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import pairwise
from typing import TypeVar

from neo_np.errors import NeoError
from neo_np.tokenizer.chain import BORDER, Chain

Symbol = TypeVar("Symbol", int, str)
Pair = tuple[int, int]
Rule = tuple[Pair, int]  # replace the two neighbours by this id

SHORT_WORD = 16  # bytes; up to here the simple loop is the faster one
CACHED_WORDS = 2**16
LONGEST_CACHED_WORD = 64  # characters; longer words rarely come twice


def merge_pair(symbols: list[Symbol], pair: tuple[Symbol, Symbol], merged: Symbol) -> list[Symbol]:
    """Return the symbols with every occurrence of a pair merged, from left to right: "aaa" becomes "aa", "a"."""
    left, right = pair
    result: list[Symbol] = []
    for symbol in symbols:
        if symbol == right and result and result[-1] == left:
            result[-1] = merged
        else:
            result.append(symbol)
    return result


def merge_steps(ids: list[int], ranks: dict[Pair, int], rules: list[Rule]) -> Iterator[tuple[Pair | None, list[int]]]:
    """Yield the steps of merging one word: (None, its ids), then (pair, the ids after merging this pair) for each merge.

    `merge` needs only the last step; `Tokenizer.watch` shows all of them.
    ids: one for each byte. ranks: {pair: rank of its rule}. rules: the rule of each rank: (pair, the id that replaces it).
    """
    yield None, ids
    while found := [ranks[pair] for pair in pairwise(ids) if pair in ranks]:
        pair, merged_id = rules[min(found)]
        ids = merge_pair(ids, pair, merged_id)
        yield pair, ids


def merge(ids: list[int], ranks: dict[Pair, int], rules: list[Rule]) -> list[int]:
    """Return the ids of a word after all merges."""
    if len(ids) > SHORT_WORD:
        return merge_long(ids, ranks, rules)
    _, last_ids = list(merge_steps(ids, ranks, rules))[-1]
    return last_ids


def merge_long(ids: list[int], ranks: dict[Pair, int], rules: list[Rule]) -> list[int]:
    """Return what `merge` returns, without a search through all pairs for every merge.

    A text of 100,000 letters without white space is one word, and needs thousands of merges. Here each pair with a rule has
    a list of its places, a heap finds the pair with the lowest rank, and a merge looks only at the two new pairs beside it.
    The ids are in a linked list (`Chain`): a place is an index into it, which never changes. BORDER and the ids that were
    merged away are negative.
    """
    chain = Chain([BORDER, *ids, BORDER])
    heap: list[int] = []  # ranks
    places: defaultdict[int, list[int]] = defaultdict(list)  # rank: places

    def note(place: int) -> None:
        """Remember the pair at a place if it has a rule."""
        pair = chain.pair(place)
        if pair in ranks:
            rank = ranks[pair]
            if rank not in places:
                heappush(heap, rank)
            places[rank].append(place)

    for place in range(len(ids) + 1):
        note(place)
    while heap:
        rank = heappop(heap)
        pair, merged_id = rules[rank]
        for place in sorted(places.pop(rank)):  # from left to right; out of order if two rules added to it
            if chain.pair(place) == pair:  # otherwise another merge has taken one of the two
                chain.merge(place, merged_id)
                note(chain.before[place])
                note(place)
    return [id for id in chain.symbols if id >= 0]


def merge_rules(merges: list[tuple[str, str]], vocab: dict[str, int]) -> tuple[dict[Pair, int], list[Rule]]:
    """Return ({pair of ids: rank of its rule}, the rules by rank); raises NeoError if the vocabulary lacks a token."""
    try:
        rules = [((vocab[left], vocab[right]), vocab[left + right]) for left, right in merges]
    except KeyError as error:
        token = error.args[0]
        index = next(i for i, (left, right) in enumerate(merges) if token in (left, right, left + right))
        left, right = merges[index]
        raise NeoError(
            f"merge number {index + 1} ({left!r} + {right!r}) needs the token {token!r}, which the vocabulary "
            "lacks: the vocabulary and the merges are not of one model."
        ) from None
    return {pair: rank for rank, (pair, _) in enumerate(rules)}, rules


class WordCache(dict[str, list[int]]):
    """The ids of words, computed at the first use of a word and kept while there is room.

    `dict` calls `__missing__` for a key that it does not have.
    """

    def __init__(self, ids_of_word: Callable[[str], list[int]]):
        self.ids_of_word = ids_of_word

    def __missing__(self, word: str) -> list[int]:
        ids = self.ids_of_word(word)
        if len(self) < CACHED_WORDS and len(word) <= LONGEST_CACHED_WORD:
            self[word] = ids
        return ids
