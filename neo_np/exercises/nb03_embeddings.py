"""Exercises of notebook 03, embeddings: embed, nearest."""

import math

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, array, mistake, random_numbers

# embed


def embed(ids, wte, wpe):
    """Return the token's row of wte plus the position's row of wpe, for each token."""
    return wte[ids] + wpe[np.arange(len(ids))]


def embed_loop(ids, wte, wpe):
    """Add two rows for each token."""
    return np.array([wte[id] + wpe[position] for position, id in enumerate(ids)])


def embed_variant(ids, wte, wpe, positions="right", tokens="right", join="add", scaled=False):
    """Embed with a switch for each mistake."""
    T = len(ids)
    at = {
        "right": np.arange(T),
        "none": np.arange(T),
        "from_1": np.arange(1, T + 1),
        "by_id": ids,
        "same": np.zeros(T, int),
        "last": np.full(T, T - 1),
        "behind": np.full(T, T),
        "backwards": np.arange(T)[::-1],
        "first_place": [list(ids).index(id) for id in ids],
        "one_number": T - 1,
        "all": slice(None),
    }[positions]
    ids = {"right": ids, "by_position": np.arange(T), "none": ids, "next": ids + 1, "before": ids - 1}[tokens]
    token, position = wte[ids] * (math.sqrt(wte.shape[1]) if scaled else 1), wpe[at]
    if positions == "none":
        return token
    if tokens == "none":
        return position
    return {
        "add": lambda: token + position,
        "join": lambda: np.concatenate([token, position], axis=-1),
        "below": lambda: np.concatenate([token, position]),
        "multiply": lambda: token * position,
        "mean": lambda: (token + position) / 2,
        "subtract": lambda: token - position,
        "stack": lambda: np.stack([token, position]),
        "sum": lambda: (token + position).sum(axis=0),
        "number": lambda: token + np.arange(T)[:, None],
    }[join]()


def embed_cases():
    """Return texts with repeated tokens; tables with as many tokens as positions, and with fewer or more."""
    rng = np.random.default_rng(3)
    wte, wpe = array([[1, 2], [3, 4], [5, 6]]), array([[10, 20], [30, 40], [50, 60], [70, 80]])
    sizes = [
        (4, 5, 4, 3),
        (3, 6, 3, 2),
        (2, 5, 5, 3),
        (3, 6, 6, 3),
        (4, 7, 5, 2),
        (3, 4, 9, 5),
        (5, 6, 7, 4),
        (1, 3, 4, 2),
        (4, 9, 6, 4),
        (6, 5, 8, 3),
    ] * 3
    random = [(rng.integers(0, V, T), random_numbers(rng, V, C), random_numbers(rng, P, C)) for T, V, P, C in sizes]
    by_hand = [([2], wte), ([1, 0], wte), ([2, 2], wte), ([0, 2, 1], wte), ([1, 1, 0], wte)]
    return [Case((np.array(ids), table, wpe)) for ids, table in by_hand] + [Case(c, random=True) for c in random]


EMBED = Exercise(
    name="embed",
    notebook="03",
    minutes=8,
    core=True,
    signature="embed(ids, wte, wpe)",
    task="Turn token ids, (T,), into rows of numbers, (T, C): the row of wte, (V, C), that belongs to the token, plus the "
    "row of "
    "wpe, (P, C), that belongs to its position. The first position is 0.",
    reference=embed,
    variant=embed_variant,
    package_name="neo_np.gpt_neo.forward.embed",
    also_right=(embed_loop,),
    cases=embed_cases,
    mistakes=(
        mistake(
            "no_positions",
            {"positions": "none"},
            "the positions are missing: the same word is the same row wherever it occurs.",
            "How could the model tell 'dog bites man' from 'man bites dog'?",
        ),
        mistake(
            "from_1",
            {"positions": "from_1"},
            "the positions count from 1.",
            "Which row of wpe belongs to the first token?",
        ),
        mistake(
            "position_by_id",
            {"positions": "by_id"},
            "the row of wpe is looked up by the token's id and not by its position.",
            "Which numbers count the places of a text, whatever words are there?",
        ),
        mistake(
            "all_positions",
            {"positions": "all"},
            "all rows of wpe are added, and the text may be shorter.",
            "How many rows of wpe does a text of T tokens need?",
        ),
        mistake(
            "one_position",
            ({"positions": "same"}, {"positions": "last"}, {"positions": "one_number"}, {"positions": "behind"}),
            "all tokens get the same position.",
            "How many different positions does a text of T tokens have?",
        ),
        mistake(
            "no_tokens",
            {"tokens": "none"},
            "the tokens' own rows are missing.",
            "Which table knows what a word is?",
        ),
        mistake(
            "token_by_position",
            {"tokens": "by_position"},
            "the row of wte is looked up by the position and not by the token's id.",
            "Which numbers say which word it is?",
        ),
        mistake(
            "id_off_by_one",
            ({"tokens": "next"}, {"tokens": "before"}),
            "the row of wte is off by one.",
            "Ids count from 0, and so do rows. Is anything to be added?",
        ),
        mistake(
            "joined",
            ({"join": "join"}, {"join": "below"}, {"join": "stack"}),
            "both rows are put side by side or one below the other, and not added.",
            "The result has C numbers for each token. What happens to the two rows of C numbers?",
        ),
        mistake("multiplied", {"join": "multiply"}, "the two rows are multiplied.", "Which operation does the task name?"),
        mistake("averaged", {"join": "mean"}, "the sum of the two rows is halved.", "Is anything divided?"),
        mistake("subtracted", {"join": "subtract"}, "the position's row is subtracted.", "Which operation does the task name?"),
        mistake(
            "backwards",
            {"positions": "backwards"},
            "the positions count backwards.",
            "Which position has the first token?",
        ),
        mistake("summed", {"join": "sum"}, "all tokens are added up to one row.", "How many rows should come back?"),
        mistake(
            "first_place",
            {"positions": "first_place"},
            "a token that occurs twice gets the position of its first place, because `index` stops there.",
            "What is [5, 7, 5].index(5) for the second 5? What else can count the places of a loop?",
        ),
        mistake(
            "scaled",
            {"scaled": True},
            "the token's row is multiplied by the root of C. Some transformers do that; GPT-Neo does not.",
            "Which operation does the task name?",
        ),
        mistake(
            "number_added",
            {"join": "number"},
            "the number of the position is added and not its row of wpe.",
            "How many numbers has a row of wpe? Which of the rows belongs to position 3?",
        ),
    ),
    blanks="positions = np.arange(...)  # (T,)\nreturn wte[...] + wpe[...]",
    hints=(
        "Two look-ups and one sum: the token's row of wte, the position's row of wpe.",
        "An array as index takes many rows at once: wte[ids] is (T, C). The positions are 0, 1, ..., T - 1.",
        "positions = np.arange(len(ids))  # (T,)\nreturn wte[...] + wpe[...]  # which of the two tables takes ids?",
    ),
    notes={
        "wte[ids]": "Rows of the token table, by id.",
        "wpe[positions]": "Rows of the position table, by place in the text.",
    },
)


# nearest


def nearest(id, wte, k):
    """Return the ids of the k tokens with the largest cosine to token id, the largest first, without the token itself."""
    unit = wte / np.linalg.norm(wte, axis=-1, keepdims=True)
    cosines = unit @ unit[id]
    order = [int(other) for other in np.argsort(-cosines) if other != id]
    return order[:k]


def nearest_variant(id, wte, k, by="cosine", itself="left_out", order="descending", give="ids", norm_axis=-1, cut="after"):
    """Nearest with a switch for each mistake."""
    lengths = np.linalg.norm(wte, axis=norm_axis, keepdims=True)
    scores = {
        "cosine": lambda: (wte / lengths) @ (wte / lengths)[id],
        "dot": lambda: wte @ wte[id],
        "squared_lengths": lambda: (wte / lengths**2) @ wte[id],
        "distance": lambda: -np.linalg.norm(wte - wte[id], axis=-1),
        "absolute": lambda: np.abs((wte / lengths) @ (wte / lengths)[id]),
    }[by]()
    if itself == "zero":
        scores = np.where(np.arange(len(wte)) == id, 0, scores)
    if itself == "deleted":
        scores = np.delete(scores, id)
    best = [int(other) for other in np.argsort(scores if order == "ascending" else -scores)]
    if cut == "before":
        best = best[:k]
    if itself == "left_out":
        best = [other for other in best if other != id]
    if itself == "first_dropped":
        best = [int(other) for other in np.argsort(scores)[::-1]] if order == "reversed" else best
        best = best[1:]
    best = best[: k + (cut == "one_more")]
    best = best[::-1] if order == "nearest_last" else best
    return {"ids": lambda: best, "scores": lambda: [float(scores[other]) for other in best], "one": lambda: best[0]}[give]()


def nearest_cases():
    """Return tables of tokens whose cosines have no ties; the longest tokens are not the nearest.

    Extreme cases have two equal rows: the token itself may then be at the second place of the sorted list.
    """
    rng = np.random.default_rng(33)
    by_hand = [
        (0, [[1, 0], [1, 1], [0, 3]], 1),
        (0, [[1, 0], [5, 5], [2, 1], [-1, 0]], 2),
        (2, [[3, 1], [0, 1], [1, 2], [-2, -3], [9, -1]], 2),
        (1, [[1, 1, 0], [1, 2, 2], [0, 1, 1], [6, 0, 1], [-1, -2, -1]], 3),
    ]
    sizes = [(5, 2, 2), (6, 3, 3), (7, 4, 2), (4, 4, 1), (8, 3, 4), (6, 6, 3), (9, 5, 5), (7, 2, 4)] * 3
    twins = [
        (3, [[1, 2], [3, 1], [0, 1], [1, 2], [-1, 1]], 2),
        (0, [[1, 2], [3, 1], [0, 1], [1, 2], [-1, 1]], 2),
        (2, [[2, 1, 0], [0, 1, 1], [2, 1, 0], [1, 0, 3]], 1),
        (1, [[0, 1, 1], [2, 1, 0], [1, 0, 3], [2, 1, 0]], 1),
    ]
    random = []
    for V, C, k in sizes:
        wte = (random_numbers(rng, V, C) + 0.05) * rng.uniform(0.3, 3, (V, 1)).astype(np.float32)
        random.append((int(rng.integers(V)), wte, k))
    return [
        *(Case((id, array(wte), k)) for id, wte, k in by_hand),
        *(Case((id, array(wte), k), extreme=True) for id, wte, k in twins),
        *(Case(c) for c in random),
    ]


NEAREST = Exercise(
    name="nearest",
    notebook="03",
    minutes=12,
    signature="nearest(id, wte, k)",
    task="Return the ids of the k tokens that are most similar to token id, a list of int, the most similar first, without "
    "the token "
    "itself. Similarity is the cosine: the dot product of two rows of wte, (V, C), divided by their lengths.",
    reference=nearest,
    variant=nearest_variant,
    cases=nearest_cases,
    mistakes=(
        mistake(
            "dot_for_cosine",
            {"by": "dot"},
            "the similarity is the dot product (maybe divided by one number for all tokens), so tokens with long rows win.",
            "Each dot product must be divided by the lengths of its own two rows. Which function computes a length?",
        ),
        mistake(
            "returns_itself",
            {"itself": "kept"},
            "the token itself is in the list: nothing is more similar to it.",
            "Where do you leave out the token itself?",
        ),
        mistake(
            "ascending",
            {"order": "ascending"},
            "the list begins with the least similar tokens: argsort sorts from small to large.",
            "At which end of argsort's result are the largest cosines?",
        ),
        mistake(
            "nearest_last",
            {"order": "nearest_last"},
            "these are the right tokens in the wrong order: the most similar one comes last.",
            "argsort sorts from small to large. What turns a list round?",
        ),
        mistake(
            "one_too_few",
            {"cut": "before"},
            "you take k tokens and leave out the token itself after that, so only k - 1 remain.",
            "What should happen first: leave out the token, or take k?",
        ),
        mistake(
            "first_dropped",
            {"itself": "first_dropped", "order": "ascending"},
            "the list runs from small to large, and the first entry is dropped as if it were the token itself.",
            "At which end of argsort's result is the token itself?",
        ),
        mistake(
            "first_place_dropped",
            ({"itself": "first_dropped"}, {"itself": "first_dropped", "order": "reversed"}),
            "the first entry is dropped, whatever it is. With two equal rows it may be the other token.",
            "How can you leave out the token by its id and not by its place?",
        ),
        mistake(
            "distance",
            {"by": "distance"},
            "the similarity is the distance between two rows, so their lengths count.",
            "Two rows with the same direction and different lengths: what is their cosine, and what is their distance?",
        ),
        mistake(
            "absolute",
            {"by": "absolute"},
            "the sign of the cosine is dropped: rows that point the opposite way count as similar.",
            "What does a cosine of -1 say about two rows?",
        ),
        mistake(
            "length_of_columns",
            {"norm_axis": 0},
            "you divide by the lengths of the columns (axis 0).",
            "A token is a row. Which axis does its length run along?",
        ),
        mistake(
            "cosines_returned",
            {"give": "scores"},
            "the result is the cosines and not the ids.",
            "Which function gives the places of sorted numbers?",
        ),
        mistake("one_only", {"give": "one"}, "the result is a single id.", "How many ids does the argument k ask for?"),
        mistake(
            "itself_set_to_0",
            {"itself": "zero"},
            "the cosine of the token itself is set to 0, which is more than a negative cosine.",
            "Between which numbers do cosines lie? Which number is certainly lower?",
        ),
        mistake(
            "places_shifted",
            {"itself": "deleted"},
            "the token itself is deleted before the sorting, so each later token gets an id that is 1 too small.",
            "After np.delete(cosines, 2), whose cosine is at place 2?",
        ),
        mistake(
            "root_missing",
            {"by": "squared_lengths"},
            "you divide by the squared length: its root is missing.",
            "What is the length of the row (3, 4): 5 or 25?",
        ),
        mistake(
            "one_too_many",
            {"cut": "one_more"},
            "k + 1 ids are returned.",
            "The token itself is left out already. How many of the others should be in the list?",
        ),
    ),
    hints=(
        "Divide each row of wte by its length. Then a dot product is a cosine. Sort, leave out the token itself, take k.",
        "np.linalg.norm(wte, axis=-1, keepdims=True) is (V, 1). The cosines are (V,). np.argsort(-cosines) lists the ids, "
        "largest "
        "cosine first.",
        "unit = wte / ...  # each row has the length 1\n"
        "cosines = unit @ ...  # (V,)\n"
        "order = [int(i) for i in np.argsort(...) if ...]\n"
        "return order[:k]",
    ),
)

EXERCISES = (EMBED, NEAREST)
