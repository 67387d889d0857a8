"""Exercises of notebook 02, tokens: byte_table, count_pairs, merge, encode_word, decode."""

import itertools
import random

from neo_np.exercises.exercise import Case, Exercise, mistake
from neo_np.tokenizer.learn import learn_merges

# byte_table


def byte_table():
    """Return {byte: character}: printable bytes are their own character, the others get chr(256), chr(257), ... in order."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table, shifted = {}, 256
    for byte in range(256):
        if byte in printable:
            table[byte] = chr(byte)
        else:
            table[byte] = chr(shifted)
            shifted += 1
    return table


PRINTABLE = {
    "right": [*range(33, 127), *range(161, 173), *range(174, 256)],
    "all": list(range(256)),
    "space": [*range(32, 127), *range(161, 173), *range(174, 256)],
    "no_tilde": [*range(33, 126), *range(161, 173), *range(174, 256)],
    "soft_hyphen": [*range(33, 127), *range(161, 256)],
    "ascii": list(range(33, 127)),
    "between": [*range(34, 126), *range(162, 172), *range(175, 255)],
    "ends_left_out": [*range(33, 126), *range(161, 172), *range(174, 255)],
}


def byte_table_variant(printable="right", start=256, counter=True, missing=(), turned=False, numbers=False):
    """byte_table with a switch for each mistake."""
    own = PRINTABLE[printable]
    others = [byte for byte in range(256) if byte not in own]
    table = {byte: byte for byte in own} | {
        byte: start + {True: n, False: byte, "stays": 0}[counter] for n, byte in enumerate(others)
    }
    table = {byte: code if numbers else chr(code) for byte, code in table.items() if byte not in missing}
    return {char: byte for byte, char in table.items()} if turned else table


BYTE_TABLE = Exercise(
    name="byte_table",
    notebook="02",
    minutes=12,
    signature="byte_table()",
    task="Return {byte: character} for all 256 bytes. The printable bytes (33 to 126, 161 to 172, 174 to 255) are shown as the "
    "character with the same code. All others, in increasing order, get the characters with the codes 256, 257, 258, and so "
    "on.",
    reference=byte_table,
    variant=byte_table_variant,
    package_name="neo_np.tokenizer.byte_alphabet.byte_to_char",
    cases=lambda: [Case(())],
    mistakes=(
        mistake(
            "identity",
            {"printable": "all"},
            "every byte is its own character, also those that cannot be printed.",
            "What does chr(10) look like in a file that has one token on each line?",
        ),
        mistake(
            "space_left_out",
            ({"printable": "space"}, {"missing": (32,)}),
            "the space (byte 32) is left out of the shifting: it stays a space or has no entry.",
            "A space separates the two halves of a merge in merges.txt. Which character should stand for the byte 32?",
        ),
        mistake(
            "wrong_start",
            ({"start": 255}, {"start": 257}, {"start": 0}, {"start": 1}, {"start": 128}),
            "the shifted bytes start at the wrong code.",
            "Which is the first code that no byte has?",
        ),
        mistake(
            "byte_added",
            {"counter": False},
            "each shifted byte gets the code 256 + byte, and there are gaps.",
            "The shifted bytes get codes one after the other. What has to count them?",
        ),
        mistake(
            "end_left_out",
            ({"printable": "no_tilde"}, {"printable": "ends_left_out"}, {"printable": "between"}, {"missing": (255,)}),
            "the last byte of a range is missing (and maybe the first one too): `range(a, b)` ends at b - 1.",
            "Which is the last number of range(33, 126)? Is 33 < 33?",
        ),
        mistake(
            "soft_hyphen",
            {"printable": "soft_hyphen"},
            "byte 173 stays as it is. It is the soft hyphen, which is invisible.",
            "Which number between 161 and 255 is not in the list of printable bytes?",
        ),
        mistake(
            "only_ascii",
            {"printable": "ascii"},
            "only the bytes 33 to 126 keep their character, and those from 161 on are shifted too.",
            "How many ranges of printable bytes does the task name?",
        ),
        mistake(
            "turned",
            {"turned": True},
            "the table leads from characters to bytes.",
            "Which of the two is the key of the dict?",
        ),
        mistake(
            "codes",
            {"numbers": True},
            "the values are codes (numbers) and not characters.",
            "Which function of Python makes a character of a code?",
        ),
        mistake(
            "others_left_out",
            {"missing": tuple(set(PRINTABLE["all"]) - set(PRINTABLE["right"]))},
            "only the printable bytes have an entry.",
            "A text can have any byte. How many entries must the table have?",
        ),
        mistake(
            "not_counted",
            {"counter": "stays"},
            "all the other bytes get the same character, chr(256).",
            "Which line makes the next code larger?",
        ),
    ),
    hints=(
        "Go through the bytes from 0 to 255. A printable byte keeps its character; any other takes the next free code from "
        "256 on.",
        "The dict has 256 entries: 188 bytes keep their character, and 68 get the codes 256 to 323. `chr(code)` is the "
        "character.",
        "table, free = {}, 256\n"
        "for byte in range(256):\n"
        "    if ...:  # 33 to 126, 161 to 172, or 174 to 255\n"
        "        table[byte] = ...\n"
        "    else:\n"
        "        table[byte] = ...\n"
        "        free += 1\n"
        "return table",
    ),
)


# count_pairs


def count_pairs(words):
    """Return {(left, right): count}: how often each pair of neighbours occurs in all words together."""
    counts = {}
    for tokens, times in words.items():
        for pair in zip(tokens, tokens[1:]):
            counts[pair] = counts.get(pair, 0) + times
    return counts


def count_pairs_variant(
    words,
    unordered=False,
    across=False,
    weighted=True,
    once_a_word=False,
    last=True,
    first=True,
    overlap=True,
    joined=False,
    wrap=False,
    loop="items",
    add=True,
    of="neighbours",
    step=1,
    only=None,
    turned=False,
):
    """count_pairs with a switch for each mistake."""
    counts, items = {}, list(words.items())
    words = dict({"first": items[:1], "last": items[-1:]}.get(only, items))
    if loop == "keys":
        for tokens, times in words:
            for pair in zip(tokens, tokens[1:]):
                counts[pair] = counts.get(pair, 0) + times
        return counts
    if across in ("left", "right"):
        row = [(token, times) for tokens, times in words.items() for token in tokens]
        for (left, left_times), (right, right_times) in zip(row, row[1:]):
            times = left_times if across == "left" else right_times
            counts[left, right] = counts.get((left, right), 0) + times
        return counts
    if across == "repeated":
        words = {sum((tokens * times for tokens, times in words.items()), ()): 1}
    elif across:
        words = {sum(words, ()): 1}
    for tokens, times in words.items():
        pairs = {
            "neighbours": zip(tokens, tokens[1:]),
            "combinations": itertools.combinations(tokens, 2),
            "permutations": itertools.permutations(tokens, 2),
            "tokens": tokens,
            "slices": [tokens[i : i + 2] for i in range(len(tokens))],
            "twins": zip(tokens, tokens),
        }[of]
        pairs = list(pairs)[::step]
        pairs = [(tokens[-1], tokens[0]), *pairs] if wrap else pairs
        pairs = pairs[(not first) : len(pairs) - (not last)]
        pairs = apart(pairs) if not overlap else pairs
        for pair in dict.fromkeys(pairs) if once_a_word else pairs:
            key = pair[::-1] if turned else tuple(sorted(pair)) if unordered else "".join(pair) if joined else pair
            once = weighted is False or (weighted == "at first" and key in counts)
            counts[key] = (counts.get(key, 0) if add else 0) + (1 if once else times)
            if only == "first pair":
                return counts
    return None if only == "first pair" else counts  # a `return` inside the loop is not reached if there is no pair


def apart(pairs):
    """Return pairs so that "aaa" counts as one pair: a token is used once if both pairs are the same."""
    kept = []
    for i, pair in enumerate(pairs):
        if not (kept and kept[-1] == (i - 1, pair)):
            kept.append((i, pair))
    return [pair for _, pair in kept]


def count_pairs_cases():
    """Return small collections of words, then random ones."""
    rng = random.Random(2)
    words = [
        {("a", "b"): 1},
        {("a", "b", "a"): 3},
        {("a", "b"): 2, ("b", "a"): 5},
        {("l", "o", "w"): 5, ("l", "o", "w", "e", "r"): 2},
        {("a", "b", "c"): 1, ("c", "a"): 4, ("b",): 7},
        {("th", "e"): 9, ("th", "i", "s"): 4, ("th", "e", "n"): 2},
    ]
    for _ in range(20):
        words.append({tuple(rng.choices("abcd", k=rng.randint(1, 6))): rng.randint(2, 9) for _ in range(rng.randint(1, 5))})
    return [
        *(Case((w,)) for w in words),
        Case(({("a", "a", "a"): 2},), extreme=True),
        Case(({("a",): 3},), extreme=True),
        Case(({},), extreme=True),
    ]


COUNT_PAIRS = Exercise(
    name="count_pairs",
    notebook="02",
    minutes=10,
    core=True,
    signature="count_pairs(words)",
    task="Count how often each pair of neighbouring tokens occurs. words is {tuple of tokens: how often the word occurs}; the "
    'result is {(left, right): count}, such as {("l", "o"): 7}. No pair reaches from one word into the next.',
    reference=count_pairs,
    variant=count_pairs_variant,
    cases=count_pairs_cases,
    mistakes=(
        mistake(
            "unordered",
            {"unordered": True},
            "the pairs (a, b) and (b, a) are counted together.",
            "Is the merge of t + h the same token as the merge of h + t?",
        ),
        mistake(
            "across_words",
            ({"across": True}, {"across": "repeated"}, {"across": "left"}, {"across": "right"}),
            "pairs are counted from the end of one word to the beginning of the next.",
            "Which two tokens of two different words are neighbours in your row? Should they be?",
        ),
        mistake(
            "word_counts_ignored",
            ({"weighted": False}, {"weighted": "at first"}),
            "each word counts once, however often it occurs (or its own count is used for a new pair only).",
            'In {("l", "o", "w"): 5}, what does the 5 say about the pair (l, o)?',
        ),
        mistake(
            "once_a_word",
            {"once_a_word": True},
            "a pair that occurs twice in one word is counted once.",
            "How often does (a, n) occur in b a n a n a s?",
        ),
        mistake(
            "last_pair_missing",
            {"last": False},
            "the last pair of each word is missing.",
            "A word of n tokens has how many pairs? Where does your loop end?",
        ),
        mistake(
            "first_pair_missing",
            {"first": False},
            "the first pair of each word is missing.",
            "Python counts from 0. Where does your loop begin?",
        ),
        mistake(
            "wrap_around",
            {"wrap": True},
            "the last token and the first are counted as neighbours: the index -1 is the end of a word.",
            "For i = 0, what is word[i - 1]?",
        ),
        mistake(
            "joined_keys",
            {"joined": True},
            "the keys are joined texts such as 'lo', and tuples such as ('l', 'o') were asked for.",
            "How would you tell the pair (l, ow) from the pair (lo, w)?",
        ),
        mistake(
            "keys_only",
            {"loop": "keys"},
            "a loop over a dict gives its keys only: the two names then take a word of two tokens apart.",
            "Which method of a dict gives each key together with its value?",
        ),
        mistake(
            "overwritten",
            {"add": False},
            "each occurrence overwrites the count of the pair and does not add to it.",
            "What was in counts[pair] before, and where does it go?",
        ),
        mistake(
            "no_overlap",
            {"overlap": False},
            "in a row such as a a a, the pair (a, a) is counted once; it occurs twice.",
            "How many neighbours do three tokens have?",
        ),
        mistake(
            "every_second_pair",
            {"step": 2},
            "only every second pair is counted: after a pair, both of its tokens are skipped.",
            "Which pairs of neighbours has a b c? To how many of them does b belong?",
        ),
        mistake(
            "single_tokens",
            {"of": "tokens"},
            "single tokens are counted, and not pairs.",
            "What are the keys of your dict, and what are those of the example?",
        ),
        mistake(
            "not_neighbours",
            ({"of": "combinations"}, {"of": "permutations"}),
            "tokens that are not neighbours are counted as a pair too.",
            "Are a and c neighbours in a b c? How far may the second index be from the first?",
        ),
        mistake(
            "one_word_only",
            ({"only": "first"}, {"only": "last"}, {"only": "first pair"}),
            "only one word is counted, the first or the last one, or only one pair.",
            "Is your `return` inside the loop? Is the dict made again in each round?",
        ),
        mistake(
            "single_at_the_end",
            {"of": "slices"},
            "the last token of each word is counted by itself, as a tuple of one token.",
            "What is word[i : i + 2] at the last i?",
        ),
        mistake(
            "turned",
            {"turned": True},
            "the pairs have the wrong order, (right, left).",
            "Which of the two tokens comes first in the word?",
        ),
        mistake(
            "with_itself",
            {"of": "twins"},
            "each token is paired with itself and not with the next one.",
            "What does zip('abc', 'abc') give? Which of the two must begin one token later?",
        ),
    ),
    blanks=(
        "counts = {}\n"
        "for tokens, times in words.items():\n"
        "    for pair in zip(...):\n"
        "        counts[pair] = counts.get(pair, 0) + ...\n"
        "return counts"
    ),
    hints=(
        "Go through the words, and in each word through its pairs of neighbours. Each occurrence adds the word's own count.",
        "zip(tokens, tokens[1:]) gives the pairs of neighbours. A key is a tuple (left, right), a value is an int.",
        "counts = {}\n"
        "for tokens, times in words.items():\n"
        "    for pair in zip(tokens, ...):  # each token with the next one\n"
        "        counts[pair] = counts.get(pair, 0) + ...\n"
        "return counts",
    ),
)


# merge


def merge(tokens, pair):
    """Return the tokens with every pair of neighbours (left, right) joined into one token, from left to right."""
    merged, i = [], 0
    while i < len(tokens):
        if tuple(tokens[i : i + 2]) == pair:
            merged.append(pair[0] + pair[1])
            i += 2
        else:
            merged.append(tokens[i])
            i += 1
    return merged


def merge_variant(
    tokens,
    pair,
    from_right=False,
    only_first=False,
    jump=2,
    put="joined",
    drop_last=False,
    turned=False,
    match="tokens",
    separator="",
    only_last=False,
    as_text=None,
):
    """Merge with a switch for each mistake."""
    if as_text:
        text = " ".join(tokens).replace(" ".join(pair), "".join(pair))
        return text.split() if as_text == "words" else text.split(" ")
    left, right = pair[::-1] if turned else pair
    new = {"joined": left + separator + right, "left": left, "right": right, "tuple": (left, right), "found": ""}[put]
    merged, rest, done = [], list(tokens), 0
    if from_right:
        for i in range(len(rest) - 2, -1, -1):
            if rest[i : i + 2] == [left, right]:
                rest[i : i + 2] = [new]
        return rest[: len(rest) - drop_last] if drop_last else rest
    places = [i for i in range(len(rest) - 1) if fits(rest[i : i + 2], left, right, match)]
    places = places[-1:] if only_last else places
    i = 0
    while i < len(rest) - drop_last:
        if i in places and not (only_first and done):
            merged.append(rest[i] + rest[i + 1] if put == "found" else new)
            done += 1
            i += jump
        else:
            merged.append(rest[i])
            i += 1
    return merged


def fits(two, left, right, match):
    """Return whether two tokens are the pair; match: what is compared."""
    return {
        "tokens": two == [left, right],
        "any order": two in ([left, right], [right, left]),
        "members": two[0] in (left, right) and two[1] in (left, right),
        "text": "".join(two) == left + right,
        "one of them": two[0] == left or two[1] == right,
        "nothing": False,
    }[match]


def merge_cases():
    """Return short rows by hand, rows of one repeated token, then random ones."""
    rng = random.Random(22)
    by_hand = [
        (["a", "b"], ("a", "b")),
        (["a", "b", "c"], ("a", "b")),
        (["c", "a", "b"], ("a", "b")),
        (["a", "b", "a", "b"], ("a", "b")),
        (["b", "a"], ("a", "b")),
        (["t", "h", "e", " t", "h", "i", "s"], ("t", "h")),
        (["th", "e", "n", "th", "e"], ("th", "e")),
        (["th", "e", "n"], ("h", "e")),
        (["h", "en", "h", "e"], ("h", "e")),
        (["ab", "c", "a", "bc"], ("ab", "c")),
        (["a", "b", "b", "a", "a", "b", "c"], ("a", "b")),
        (["c", "c"], ("a", "b")),
    ]
    same = [(["a"] * 3, ("a", "a")), (["a"] * 4, ("a", "a")), (["b", "a", "a", "a"], ("a", "a")), (["a"] * 5, ("a", "a"))]
    borders = [(["a"], ("a", "b")), ([], ("a", "b"))]
    mixed = [(rng.choices("abc", k=rng.randint(2, 9)), tuple(rng.sample("abc", 2))) for _ in range(25)]
    return [Case(c) for c in by_hand] + [Case(c, extreme=True) for c in same + borders] + [Case(c) for c in mixed]


MERGE = Exercise(
    name="merge",
    notebook="02",
    minutes=12,
    core=True,
    signature="merge(tokens, pair)",
    task="Return a new list in which each pair of neighbours (left, right) of tokens is joined into one token left + right, "
    "from "
    "left to right. tokens is a list of str, pair is a tuple of two str.",
    reference=merge,
    variant=merge_variant,
    package_name="neo_np.tokenizer.merge.merge_pair",
    cases=merge_cases,
    mistakes=(
        mistake(
            "from_the_right",
            {"from_right": True},
            "the merging goes from right to left: of three equal tokens, the last two are joined.",
            "What becomes of [a, a, a] if you begin on the left?",
        ),
        mistake(
            "first_place_only",
            {"only_first": True},
            "only the first place is merged.",
            "What happens in your loop after the first merge?",
        ),
        mistake(
            "keeps_second_half",
            {"jump": 1},
            "after a merge the right half is looked at once more, so it stays in the list too.",
            "After a merge, how many tokens of the old list are used up?",
        ),
        mistake(
            "changes_input",
            (),
            "your function changes the list that it gets.",
            "The caller still needs the old list. Which line writes into `tokens`, and where could it write instead?",
        ),
        mistake(
            "last_token_lost",
            {"drop_last": True},
            "the last token gets lost if it is not part of a merge.",
            "At the last token there is no neighbour to the right. Does your loop still copy it?",
        ),
        mistake(
            "half_put",
            ({"put": "left"}, {"put": "right"}),
            "one half of the pair is put where the joined token belongs.",
            "What is the new token called, if the halves are t and h?",
        ),
        mistake(
            "tuple_put",
            {"put": "tuple"},
            "the pair itself, a tuple, is put into the list, and a joined token was asked for.",
            "What does Python give for 't' + 'h'?",
        ),
        mistake(
            "inside_tokens",
            ({"as_text": "pieces"}, {"as_text": "words"}),
            "you replace in a joined text, so an end or a beginning of a longer token is taken for a token of the pair.",
            "Tokens [th, e] and the pair (h, e): is there an h in the list?",
        ),
        mistake(
            "order_ignored",
            ({"match": "any order"}, {"match": "any order", "put": "found"}, {"match": "members", "put": "found"}),
            "the tokens (right, left) are merged as well (and maybe two equal ones).",
            "Is `h t` the same pair as `t h`?",
        ),
        mistake(
            "turned",
            {"turned": True},
            "the pair is looked for in the wrong order, (right, left).",
            "Which of the two tokens comes first in the list?",
        ),
        mistake(
            "space_between",
            {"separator": " "},
            "the halves are joined with a space between them.",
            "What does Python give for 't' + 'h'?",
        ),
        mistake(
            "last_place_only",
            {"only_last": True},
            "only the last place is merged.",
            "Where do you begin with a new list? Does each merge start again from the old one?",
        ),
        mistake(
            "joined_text_compared",
            {"match": "text"},
            "you compare the joined texts, so two other tokens with the same text are merged too.",
            "Is (a, bc) the pair (ab, c)?",
        ),
        mistake(
            "nothing_merged",
            {"match": "nothing"},
            "nothing is merged: your comparison is never true.",
            "What is on each side of your `==`? A list is never equal to a tuple: [1, 2] == (1, 2) is False.",
        ),
        mistake(
            "one_half_is_enough",
            ({"match": "one of them", "put": "found"}, {"match": "one of them"}),
            "two tokens are merged if only one of them fits.",
            "Should it be `and` or `or`?",
        ),
    ),
    hints=(
        "Walk through the list with an index. If this token and the next one are the pair, put the joined token into the new "
        "list "
        "and move on by two; else copy the token and move on by one.",
        "The new list is at most as long as the old one. At the last token there is no next one: look out for the end of the "
        "list.",
        "merged, i = [], 0\n"
        "while i < len(tokens):\n"
        "    if tuple(tokens[i : i + 2]) == pair:\n"
        "        merged.append(...)\n"
        "        i += ...\n"
        "    else:\n"
        "        merged.append(...)\n"
        "        i += ...\n"
        "return merged",
    ),
    notes={"result[-1] == left": "It looks back at the new list: a token that was merged is not the left half any more."},
)


# encode_word


def encode_word(word, merges):
    """Return the tokens of a word: as long as some pair of neighbours is a merge, do the one that was learnt first."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    tokens = list(word)
    while True:
        pairs = [pair for pair in zip(tokens, tokens[1:]) if pair in ranks]
        if not pairs:
            return tokens
        tokens = merge(tokens, min(pairs, key=ranks.get))


def encode_word_in_order(word, merges):
    """Do every merge once, in the order of learning: right for learned merges."""
    tokens = list(word)
    for pair in merges:
        tokens = merge(tokens, pair)
    return tokens


def encode_word_variant(word, merges, choose="first_learnt", rounds=None, how="merges", places="all"):
    """encode_word with a switch for each mistake."""
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    other_ways = {
        "longest": lambda: longest_pieces(word, {*word, *(left + right for left, right in merges)}),
        "whole_word": lambda: [word] if word in {left + right for left, right in merges} else list(word),
        "uncut": lambda: [word],
        "until_a_miss": lambda: merged_until_a_miss(list(word), merges),
        "first_merge": lambda: encode_word_in_order(word, merges[:1]),
        "in_turned_order": lambda: encode_word_in_order(word, merges[::-1]),
        "sweep": lambda: swept(list(word), merges),
        "old_pairs": lambda: encode_word_in_order(word, [pair for pair in merges if pair in zip(word, word[1:])]),
    }
    if how in other_ways:
        return other_ways[how]()
    tokens = list(word)
    while rounds is None or rounds > 0:
        pairs = [pair for pair in zip(tokens, tokens[1:]) if pair in ranks]
        if not pairs:
            break
        chosen = {
            "first_learnt": min(pairs, key=ranks.__getitem__),
            "last_learnt": max(pairs, key=ranks.__getitem__),
            "alphabet": min(pairs),
            "leftmost": pairs[0],
            "rightmost": pairs[-1],
            "most_frequent": max(pairs, key=pairs.count),
            "most_frequent_by_rank": max(pairs, key=lambda pair: (pairs.count(pair), -ranks[pair])),
        }
        tokens = merge_variant(tokens, chosen[choose], only_first=places == "first", only_last=places == "last")
        rounds = None if rounds is None else rounds - 1
    return tokens


def merged_until_a_miss(tokens, merges):
    """Do the merges in their order, up to the first one that the tokens do not have."""
    for pair in merges:
        if pair not in zip(tokens, tokens[1:]):
            break
        tokens = merge(tokens, pair)
    return tokens


def swept(tokens, merges):
    """Go through the tokens once and join each pair that is a merge."""
    pieces = []
    while tokens:
        number = 2 if tuple(tokens[:2]) in merges else 1
        pieces.append("".join(tokens[:number]))
        tokens = tokens[number:]
    return pieces


def longest_pieces(word, vocabulary):
    """Cut a word from the left, each time the longest piece that is a token."""
    pieces = []
    while word:
        length = max(n for n in range(1, len(word) + 1) if word[:n] in vocabulary or n == 1)
        pieces.append(word[:length])
        word = word[length:]
    return pieces


TEXT = """
once upon a time there was a king who had a daughter and she was the most beautiful of all the maidens in the land the king
loved her more than his own life and when the time came that she should be married he let it be known in all the lands
thereabout that whoever would win her hand must first bring him the golden apple from the garden at the end of the world
""".split()


def learned_merges(words, number):
    """Return the merges that these words teach."""
    return learn_merges({word: words.count(word) for word in sorted(set(words))}, number)


def encode_word_cases():
    """Return words with merges that were learned from other words."""
    tiny = learned_merges(["aab", "ab", "ab", "aa", "aab", "abab"], 4)
    low = learned_merges(["low"] * 5 + ["lowest"] * 2 + ["newest"] * 6 + ["widest"] * 3, 10)
    tale = learned_merges(TEXT, 60)
    small = [("ab", tiny), ("aab", tiny), ("abab", tiny), ("low", low), ("lowest", low), ("newer", low), ("xyz", low)]
    words = "the there other whether maiden golden gathered thousand weather heaven handle tomorrow then another hen".split()
    words += ["wherever", "hereafter"]  # the pair (e, r) occurs twice, and the merge of (h, e) comes first
    borders = [("a", tale), ("", tale), ("apple", [])]
    return [Case(c) for c in small] + [Case((word, tale)) for word in words] + [Case(c, extreme=True) for c in borders]


ENCODE_WORD = Exercise(
    name="encode_word",
    notebook="02",
    minutes=15,
    core=True,
    signature="encode_word(word, merges)",
    task="Cut a word into tokens. Begin with its characters. As long as some pair of neighbours is in the list merges, merge "
    "the "
    "pair that comes first in the list (it was learnt first). You may call merge(tokens, pair). Returns a list of str.",
    reference=encode_word,
    variant=encode_word_variant,
    package_name="neo_np.tokenizer.merge.merge_steps",
    given=("merge",),
    also_right=(encode_word_in_order,),
    cases=encode_word_cases,
    mistakes=(
        mistake(
            "longest_match",
            {"how": "longest"},
            "you take the longest known piece from the left. Some other tokenizers do that.",
            "Byte-pair encoding never looks for whole pieces. What does it look for, again and again?",
        ),
        mistake(
            "leftmost_first",
            ({"choose": "leftmost"}, {"choose": "leftmost", "places": "first"}),
            "you merge the leftmost pair that is in the list, and not the one that was learnt first.",
            "If two pairs of the word are in the list, which of them decides: its place in the word or its place in the list?",
        ),
        mistake(
            "stops_after_one",
            ({"rounds": 1}, {"rounds": 1, "places": "first"}, {"how": "first_merge"}),
            "you stop after one merge.",
            "After a merge there are new pairs. What has to happen again?",
        ),
        mistake(
            "last_learnt_first",
            ({"choose": "last_learnt"}, {"how": "in_turned_order"}),
            "you merge the pair that was learnt last.",
            "Which is more frequent in the text, the pair learnt first or the pair learnt last? `min` or `max`?",
        ),
        mistake(
            "rightmost_first",
            ({"choose": "rightmost"}, {"choose": "rightmost", "places": "last"}),
            "you merge the rightmost pair that is in the list, and not the one that was learnt first.",
            "If two pairs of the word are in the list, which of them decides: its place in the word or its place in the list?",
        ),
        mistake(
            "no_merges",
            {"rounds": 0},
            "nothing is merged: the result is the word's characters.",
            "When does your loop begin? Are the pairs that you look up tuples of two str, as in the list?",
        ),
        mistake(
            "whole_word",
            {"how": "whole_word"},
            "you look up the whole word only.",
            "Most words are not tokens. What happens to their parts?",
        ),
        mistake(
            "most_frequent_first",
            ({"choose": "most_frequent"}, {"choose": "most_frequent_by_rank"}),
            "you merge the pair that occurs most often in the word. Counting belongs to learning.",
            "The list has the merges in which order? Where do you use that order?",
        ),
        mistake(
            "ends_at_a_miss",
            {"how": "until_a_miss"},
            "your loop ends at the first merge of the list that the word does not have.",
            "The first merge does not fit the word. May a later one fit?",
        ),
        mistake(
            "not_cut",
            {"how": "uncut"},
            "the word is not cut: your list begins with the whole word as one token.",
            "What is list('abc'), and what is ['abc']?",
        ),
        mistake(
            "one_sweep",
            {"how": "sweep"},
            "you go through the word once and join each pair that is in the list.",
            "Which pair of the word must be merged first? And which new pairs are there afterwards?",
        ),
        mistake(
            "old_pairs",
            {"how": "old_pairs"},
            "you list the pairs of the word once, before the first merge, and each merge makes new pairs.",
            "Which pairs does the word have after the first merge? When must they be listed?",
        ),
        mistake(
            "alphabetical",
            {"choose": "alphabet"},
            "`min` compares the letters of the pairs, so the first pair of the alphabet is merged.",
            "Which argument of `min` says what is compared? Which number belongs to a pair of the list?",
        ),
    ),
    hints=(
        "Repeat: list the pairs of neighbours that are in merges; if there is none, you are done; else merge the pair with the "
        "smallest place in the list.",
        "tokens is a list of str, at first list(word). {pair: place} makes the look-up simple: `ranks[pair]` is the place.",
        "ranks = {pair: rank for rank, pair in enumerate(merges)}\n"
        "tokens = list(word)\n"
        "while True:\n"
        "    pairs = [pair for pair in zip(tokens, tokens[1:]) if ...]\n"
        "    if not pairs:\n"
        "        return tokens\n"
        "    tokens = merge(tokens, min(pairs, key=...))",
    ),
    notes={
        "if pair in ranks]": "Only pairs that have a rule; without one, the loop ends.",
        "yield pair, ids": "It yields every step, so that one can watch.",
    },
)


# decode


def decode(ids, token_bytes):
    """Return the text of token ids: all bytes joined, then read as UTF-8; bytes that are no character become U+FFFD."""
    return b"".join(token_bytes[id] for id in ids).decode("utf-8", errors="replace")


def decode_variant(
    ids,
    token_bytes,
    each=False,
    errors="replace",
    separator="",
    encoding="utf-8",
    turned=False,
    strip=False,
    spelled=False,
    lost=None,
    ids_as_bytes=False,
):
    """Decode with a switch for each mistake."""
    pieces = [bytes([id]) if ids_as_bytes else token_bytes[id] for id in (ids[::-1] if turned else ids)]
    whole = separator.encode().join(pieces)
    if spelled:
        return "".join(map(str, pieces)) if each else str(whole)
    if lost is not None and "\ufffd" in whole.decode(encoding, "replace"):
        return lost
    if each:
        texts = (piece.decode(encoding, errors) for piece in pieces)
        text = separator.join("\ufffd" if each == "one sign" and "\ufffd" in part else part for part in texts)
    else:
        text = whole.decode(encoding, errors)
    return text.strip() if strip else text


def decode_cases():
    """Return texts of whole characters, of characters cut into tokens, and with bytes that are no character."""
    words = {0: b"Once", 1: b" upon", 2: b" a", 3: b" time", 4: b"\n", 5: b"!"}
    umlaut = {0: b"K", 1: b"\xc3", 2: b"\xb6", 3: b"nig", 4: "ö".encode(), 5: b" "}
    gaps = {70: b"!", 12: b"Once", 7: b" upon"}  # the ids are no places in the dict
    emoji = {0: b"\xf0\x9f", 1: b"\x98\x80", 2: b"ha", 3: " \U0001f600".encode(), 4: b"\xe2\x82", 5: b"\xac"}
    return [
        Case(([0], words)),
        Case(([0, 1], words)),
        Case(([0, 1, 2, 3], words)),
        Case(([3, 5, 4], words)),
        Case(([0, 4, 3], umlaut)),
        Case(([2, 2, 2], emoji)),
        Case(([2, 3, 5, 2][:2], emoji)),
        Case(([12, 7, 70], gaps)),
        Case(([0, 1, 2, 3], umlaut)),
        Case(([2, 0, 1], emoji)),
        Case(([4, 5, 2], emoji)),
        Case(([0, 1], umlaut), extreme=True),
        Case(([2, 0], emoji), extreme=True),
        Case(([1, 3], umlaut), extreme=True),
        Case(([], words), extreme=True),
    ]


DECODE = Exercise(
    name="decode",
    notebook="02",
    minutes=8,
    core=True,
    signature="decode(ids, token_bytes)",
    task="Return the text of token ids as a str. token_bytes is {id: bytes}. Some tokens are only a part of a character. "
    "Bytes that "
    'are no UTF-8 become the replacement character, as with errors="replace".',
    reference=decode,
    variant=decode_variant,
    cases=decode_cases,
    mistakes=(
        mistake(
            "each_by_itself",
            ({"each": True}, {"each": "one sign"}),
            "each token is read as UTF-8 by itself, so a character that is cut into two tokens gets lost.",
            "One token has the first byte of ö, the next token has the second. When are they a character again?",
        ),
        mistake(
            "strict",
            {"errors": "strict"},
            "half a character at the end stops your function with an error.",
            "A model may stop in the middle of a character. Which value of `errors` puts a replacement character there?",
        ),
        mistake(
            "joined_with_spaces",
            {"separator": " "},
            "the tokens are joined with spaces. They bring their own: b' upon'.",
            "Which text do the tokens b'Once' and b' upon' make together?",
        ),
        mistake(
            "ignored",
            {"errors": "ignore"},
            "bytes that are no character are dropped, and a replacement character was asked for.",
            "Which value of `errors` shows the reader that something is missing?",
        ),
        mistake(
            "latin_1",
            {"encoding": "latin-1"},
            "each byte is read as one character (Latin-1).",
            "In UTF-8, how many bytes does ö have?",
        ),
        mistake(
            "ascii",
            {"encoding": "ascii"},
            "the bytes are read as ASCII, which has no ö.",
            "Which encoding does the task name?",
        ),
        mistake(
            "backwards", {"turned": True}, "the tokens are joined in the wrong order.", "Which token of the text comes first?"
        ),
        mistake(
            "stripped",
            {"strip": True},
            "spaces or line ends at the beginning or the end are removed.",
            "Is a space at the beginning part of the text?",
        ),
        mistake(
            "spelled",
            ({"spelled": True}, {"spelled": True, "each": True}),
            "`str` shows how Python writes bytes, as b'...', and does not decode them.",
            "Which method of bytes makes text of them?",
        ),
        mistake(
            "all_lost",
            ({"lost": ""}, {"lost": "\ufffd"}),
            "if one byte is no UTF-8, the whole text is lost.",
            "Which value of `errors` replaces only the bytes that are wrong?",
        ),
        mistake(
            "ids_as_bytes",
            {"ids_as_bytes": True},
            "the ids themselves are read as bytes.",
            "Which argument says what bytes an id stands for? Where do you use it?",
        ),
    ),
    hints=(
        "Join the bytes of all tokens first. Read them as UTF-8 only then, because a character may be cut into several tokens.",
        'b"".join(...) makes one `bytes` of many; `.decode("utf-8", errors="replace")` makes a `str` of it.',
        'whole = b"".join(...)  # the bytes of all ids\nreturn whole.decode("utf-8", errors=...)',
    ),
)

EXERCISES = (COUNT_PAIRS, MERGE, ENCODE_WORD, DECODE, BYTE_TABLE)
