"""The exercise of notebook 00, the whole model: next_token."""

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, array, mistake


def next_token(logits):
    """Return the id with the largest logit in the last row."""
    return int(np.argmax(logits[-1]))


def next_token_variant(logits, row=-1, axis="vocabulary", give="id", largest=True, shift=0, lowest_best=None):
    """next_token with a switch for each mistake."""
    logits = logits if largest else -logits
    if axis == "all":
        return int(logits.argmax())
    if axis == "time":
        best = logits.argmax(axis=0)
        return best if give == "all" else int(best[-1])
    row = (len(logits) - 2) % len(logits) if row == "before" else row
    scores = logits.sum(axis=0) if row == "sum" else logits[row]
    scores = scores if lowest_best is None else np.maximum(scores, lowest_best)
    e = np.exp(scores - scores.max())
    return {
        "id": lambda: int(scores.argmax()) + shift,
        "score": lambda: scores.max(),
        "score_as_int": lambda: int(scores.max()),
        "probability": lambda: e.max() / e.sum(),
        "probability_as_int": lambda: int(e.max() / e.sum()),
        "all": lambda: logits.argmax(axis=-1),
        "place_in_sorted": lambda: len(scores) - 1,
    }[give]()


def next_token_cases():
    """Return tables of logits by hand, and random ones without ties: permutations of whole numbers."""
    rng = np.random.default_rng(0)
    by_hand = [
        [[1, 5, 2]],
        [[4, 1, 0], [0, 1, 3]],
        [[9, 1, 0, 2], [0, 1, 3, 2]],
        [[0, 7, 1], [8, 2, 3], [1, 2, 6]],
        [[-5, -1], [-2, -3], [-7, -4]],
        [[-9, -3, -5, -4], [-1, -6, -8, -7]],
    ]
    sizes = [(2, 4), (3, 3), (3, 5), (5, 3), (4, 6), (6, 4), (2, 7), (4, 4)] * 3
    return [Case((array(rows),)) for rows in by_hand] + [
        Case((rng.permutation(T * V).reshape(T, V).astype(np.float32) - T * V // 2,)) for T, V in sizes
    ]


NEXT_TOKEN = Exercise(
    name="next_token",
    notebook="00",
    minutes=5,
    core=True,
    signature="next_token(logits)",
    task="Return the id of the likeliest next token, an int. logits is (T, V): row t has a score for each of the V tokens "
    "that could "
    "follow token t. The next token of the whole text follows the last one.",
    reference=next_token,
    variant=next_token_variant,
    cases=next_token_cases,
    mistakes=(
        mistake(
            "first_row",
            {"row": 0},
            "you look at the first row: it predicts what follows the first token.",
            "Which row has seen the whole text?",
        ),
        mistake(
            "flattened",
            {"axis": "all"},
            "`argmax` counts through the whole table as if it were one long row.",
            "Which part of the table should `argmax` look at?",
        ),
        mistake(
            "wrong_axis",
            ({"axis": "time", "give": "all"}, {"axis": "time"}),
            "you compare tokens of the text (axis 0), and the candidates for the next token lie along axis 1.",
            "Which axis is as long as the vocabulary?",
        ),
        mistake(
            "all_rows",
            {"give": "all"},
            "the result has one id for each row; only the one after the whole text was asked for.",
            "Which of these ids follows the last token?",
        ),
        mistake(
            "score",
            ({"give": "score"}, {"give": "score_as_int"}, {"give": "probability"}, {"give": "probability_as_int"}),
            "you return the largest score itself (or its probability), not its place.",
            "`max` gives the score. Which function gives the place of the largest score?",
        ),
        mistake(
            "row_before",
            ({"row": -2}, {"row": "before"}),
            "you look at the last row but one.",
            "Python counts from the end with -1, -2, ... Which of them is the last row?",
        ),
        mistake(
            "second_row",
            {"row": 1},
            "you look at the row with index 1, the second one.",
            "A text may have any number of tokens. Which index is the last row of every table?",
        ),
        mistake(
            "smallest",
            {"largest": False},
            "you take the token with the smallest score.",
            "Does a likely token have a high or a low score?",
        ),
        mistake(
            "off_by_one",
            ({"shift": 1}, {"shift": -1}),
            "the id is off by one.",
            "Ids count from 0. What does `argmax` count from?",
        ),
        mistake(
            "summed_rows",
            {"row": "sum"},
            "you add the scores of all rows.",
            "Row t predicts what follows token t. Do the other rows say anything about the end of the text?",
        ),
        mistake(
            "search_from_0",
            {"lowest_best": 0},
            "your search for the largest score begins with 0, and all scores of a row may be negative.",
            "Which score of the row can the search begin with, so that it is right for negative scores too?",
        ),
        mistake(
            "sorted_first",
            {"give": "place_in_sorted"},
            "you sort the scores before you look for the largest one, so its place is not its id any more.",
            "After sorting, at which place is the largest score of every row?",
        ),
    ),
    blanks="scores = logits[...]  # (V,), the row of the last token\nreturn int(...)  # the place of the largest score",
    hints=(
        "Only the last row matters: it has seen the whole text. The likeliest token is the one with the largest score there.",
        "logits[-1] is (V,). The place of its largest score is the id, one whole number.",
        "scores = logits[-1]  # (V,), the row of the last token\n"
        "return int(...)  # np.max gives the largest score: which function gives its place?",
    ),
)

EXERCISES = (NEXT_TOKEN,)
