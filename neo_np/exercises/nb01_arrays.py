"""Exercises of notebook 01, arrays: center_rows, pairwise_dots, pick_targets."""

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, array, mistake, random_numbers

# center_rows


def center_rows(x):
    """Return x minus the mean of each row."""
    return x - x.mean(axis=-1, keepdims=True)


def center_rows_loop(x):
    """Center one row at a time."""
    return np.array([[value - sum(row) / len(row) for value in row] for row in x], np.float32)


def center_rows_variant(x, axis=-1, keepdims=True, middle="mean", give="centered", sign=-1, divide=False, only=None):
    """center_rows with a switch for each mistake."""
    total = x.sum(axis, keepdims=keepdims)
    mean = {
        "mean": lambda: x.mean(axis, keepdims=keepdims),
        "sum": lambda: total,
        "median": lambda: np.median(x, axis, keepdims=keepdims),
        "max": lambda: x.max(axis, keepdims=keepdims),
        "min": lambda: x.min(axis, keepdims=keepdims),
        "first": lambda: x[:, :1],
        "other_length": lambda: total / x.shape[0],
        "rounded_down": lambda: total // x.shape[1],
        "rounded": lambda: np.round(total / x.shape[1]),
        "rounded_in_float64": lambda: np.round(x.mean(axis, np.float64, keepdims=keepdims)),  # another side of -1.5
        "cut": lambda: np.trunc(total / x.shape[1]),
    }[middle]()
    if give == "mean":
        return mean
    y = x + sign * mean
    y = mean - x if give == "turned" else y
    y = y.T if give == "transposed" else y
    y = y / x.std(axis, keepdims=True) if divide else y
    return {
        None: lambda: y,
        "first": lambda: np.concatenate([y[:1], x[1:]]),
        "first_and_zeros": lambda: np.concatenate([y[:1], 0 * x[1:]]),
        "first_row": lambda: y[0],
        "first_rows": lambda: y[:1],
        "last_row": lambda: y[-1],
    }[only]()


def center_rows_cases():
    """Return small arrays by hand, then random ones, square and not."""
    rng = np.random.default_rng(1)
    by_hand = [[[1, 3]], [[1, 3], [2, 8]], [[1, 2, 6], [0, 4, 5]], [[1, 2, 6], [0, 4, 5], [7, 9, 5]], [[1, 2], [5, 3], [4, 0]]]
    sizes = [(2, 2), (3, 3), (2, 4), (4, 3), (3, 5), (1, 4), (5, 2), (4, 4)] * 3
    return [Case((array(rows),)) for rows in by_hand] + [Case((random_numbers(rng, *size),), random=True) for size in sizes]


CENTER_ROWS = Exercise(
    name="center_rows",
    notebook="01",
    minutes=6,
    core=True,
    signature="center_rows(x)",
    task="Subtract from each row of x, (T, C), the mean of that row. Return a new array and leave x as it is.",
    reference=center_rows,
    variant=center_rows_variant,
    also_right=(center_rows_loop,),
    cases=center_rows_cases,
    mistakes=(
        mistake(
            "axis_0",
            {"axis": 0},
            "the means are taken down the columns (axis 0).",
            "Which axis gets shorter by `mean(axis=0)`: do you get one number for each row or for each column?",
        ),
        mistake(
            "no_keepdims",
            {"keepdims": False},
            "the means have shape (T,), and NumPy lines that up with the columns.",
            "What shape must the means have, so that each one meets its own row? (`keepdims` is the word to look up.)",
        ),
        mistake(
            "changes_input",
            (),
            "your function changes the array that it gets.",
            "`x -= ...` writes into x itself. How do you make a new array?",
        ),
        mistake(
            "everything",
            {"axis": None},
            "you subtract the mean of the whole array.",
            "How many different means does an array of T rows need?",
        ),
        mistake(
            "sum_for_mean",
            {"middle": "sum"},
            "you subtract the sum of each row and not its mean.",
            "What must a sum be divided by to become a mean?",
        ),
        mistake(
            "wrong_length",
            {"middle": "other_length"},
            "you divide by the number of rows, and a row's mean needs the number of columns.",
            "How many numbers are in one row: x.shape[0] or x.shape[1]?",
        ),
        mistake(
            "mean_returned",
            ({"give": "mean"}, {"give": "mean", "keepdims": False}),
            "the result is the means.",
            "What should be done with each row's mean?",
        ),
        mistake(
            "mean_added",
            {"sign": 1},
            "the mean is added.",
            "After centering, the mean of each row is 0. What is it in your result?",
        ),
        mistake(
            "turned",
            {"give": "turned"},
            "you subtract the numbers from the mean, so the signs are wrong.",
            "A number larger than the mean: is it positive or negative after centering?",
        ),
        mistake(
            "transposed",
            {"give": "transposed"},
            "the result is transposed.",
            "Did you turn x to make the shapes fit? Then the result has to be turned back.",
        ),
        mistake(
            "divided_too",
            {"divide": True},
            "each row is also divided by its standard deviation. That comes later, in layer norm.",
            "Which of your lines changes the distances between the numbers of a row?",
        ),
        mistake("median", {"middle": "median"}, "you subtract the median.", "The mean is the sum divided by what?"),
        mistake(
            "maximum",
            ({"middle": "max"}, {"middle": "min"}),
            "you subtract the largest or the smallest number.",
            "The mean is the sum divided by what?",
        ),
        mistake(
            "first_number",
            {"middle": "first"},
            "you subtract the first number of the row.",
            "The mean is the sum divided by what?",
        ),
        mistake(
            "mean_rounded",
            ({"middle": "rounded_down"}, {"middle": "rounded"}, {"middle": "rounded_in_float64"}, {"middle": "cut"}),
            "the mean is rounded to a whole number: `//`, `round` and `int` do that.",
            "What do 7 / 2, 7 // 2, round(3.5) and int(3.5) give?",
        ),
        mistake(
            "one_row",
            (
                {"only": "first"},
                {"only": "first_and_zeros"},
                {"only": "first_row"},
                {"only": "first_rows"},
                {"only": "last_row"},
            ),
            "only one row is centered or returned.",
            "Is your `return` inside the loop or after it? And what becomes of a name that the loop sets again and again?",
        ),
    ),
    blanks="mean = x.mean(axis=..., keepdims=...)  # (T, 1)\nreturn x - ...",
    hints=(
        "Work out the mean of each row, then subtract it from all numbers of that row.",
        "x is (T, C). The means must be (T, 1), so that NumPy stretches each one along its own row: `keepdims=True`.",
        "mean = x.mean(axis=-1, keepdims=...)  # (T, 1): along the last axis, one mean for each row\nreturn x - ...",
    ),
)


# pairwise_dots


def pairwise_dots(x, y):
    """Return the dot product of each row of x with each row of y: (T, C), (S, C) -> (T, S)."""
    return x @ y.T


def pairwise_dots_loop(x, y):
    """Work out each dot product by itself."""
    return np.array([[sum(a * b for a, b in zip(row, other)) for other in y] for row in x])


def pairwise_dots_variant(x, y, product="dots", turned=False, first="x", second="y"):
    """pairwise_dots with a switch for each mistake."""
    x, y = {"x": x, "y": y}[first], {"x": x, "y": y}[second]
    table = {
        "dots": lambda: x @ y.T,
        "elements": lambda: x * y,
        "elements_turned": lambda: x * y.T,
        "both_upright": lambda: x @ y,
        "left_turned": lambda: x.T @ y,
        "pairs": lambda: (x * y).sum(axis=1),
        "pairs_as_far_as_they_go": lambda: (x[: len(y)] * y[: len(x)]).sum(axis=1),
        "everything": lambda: (x * y).sum(),
        "axis_0": lambda: (x[:, None] * y[None]).sum(axis=0),
        "axis_1": lambda: (x[:, None] * y[None]).sum(axis=1),
        "sums": lambda: x.sum(axis=1, keepdims=True) * y.sum(axis=1),
        "distance": lambda: np.sqrt(((x[:, None] - y) ** 2).sum(axis=-1)),
        "squared_distance": lambda: ((x[:, None] - y) ** 2).sum(axis=-1),
        "cosine": lambda: x @ y.T / np.linalg.norm(x, axis=1, keepdims=True) / np.linalg.norm(y, axis=1),
        "mean": lambda: x @ y.T / x.shape[1],
        "reshaped": lambda: x @ y.reshape(y.shape[::-1]),
        "outer": lambda: np.outer(x, y),
        "one_row": lambda: (x @ y.T).ravel(),
        "not_summed": lambda: x[:, None] * y,
        "last_product": lambda: np.outer(x[:, -1], y[:, -1]),
    }[product]()
    return table.T if turned else table


def pairwise_dots_cases():
    """Return small tables by hand, then random ones: with T = S, with T = S = C, with all sizes different."""
    rng = np.random.default_rng(11)
    sizes = [(2, 2, 2), (3, 3, 3), (2, 2, 3), (3, 3, 2), (2, 3, 4), (4, 2, 3), (3, 4, 3), (1, 3, 2), (5, 3, 3), (3, 5, 2)] * 3
    return [
        Case((array([[1, 2]]), array([[3, 1]]))),
        Case((array([[1, 2], [0, 1]]), array([[3, 1], [1, 4]]))),
        Case((array([[1, 2, 0], [0, 1, 5]]), array([[3, 1, 1], [1, 4, 0]]))),
        Case((array([[1, 2, 0], [0, 1, 5], [2, 1, 1]]), array([[3, 1, 1], [1, 4, 0], [0, 2, 6]]))),
        *(Case((random_numbers(rng, T, C), random_numbers(rng, S, C)), random=True) for T, S, C in sizes),
    ]


PAIRWISE_DOTS = Exercise(
    name="pairwise_dots",
    notebook="01",
    minutes=8,
    signature="pairwise_dots(x, y)",
    task="Return a table with the dot product of each row of x with each row of y: x (T, C), y (S, C) -> (T, S).",
    reference=pairwise_dots,
    variant=pairwise_dots_variant,
    also_right=(pairwise_dots_loop,),
    cases=pairwise_dots_cases,
    mistakes=(
        mistake(
            "star_for_at",
            ({"product": "elements"}, {"product": "elements_turned"}),
            "`*` multiplies entry by entry, and nothing is summed.",
            "Which operator of Python is the matrix product?",
        ),
        mistake(
            "transposed_partner",
            ({"product": "left_turned"}, {"turned": True}),
            "rows and columns are exchanged: the rows of the table must belong to x, and y must be transposed.",
            "(T, C) @ (?, ?) must give (T, S). Which of x and y comes first, and which of the two must be transposed?",
        ),
        mistake(
            "wrong_axis",
            ({"product": "axis_0"}, {"product": "axis_1"}),
            "the products are summed over rows and not over the C numbers of a row.",
            "A dot product adds up how many numbers: T, S or C?",
        ),
        mistake(
            "not_transposed",
            {"product": "both_upright"},
            "nothing is transposed: `@` takes the columns of y.",
            "`a @ b` makes dot products of rows of a with what of b?",
        ),
        mistake(
            "same_number_only",
            ({"product": "pairs"}, {"product": "pairs_as_far_as_they_go"}, {"product": "everything"}),
            "each row of x meets only the row of y with the same number.",
            "How many pairs can you make of T rows and S rows?",
        ),
        mistake(
            "with_itself",
            ({"second": "x"}, {"first": "y"}),
            "one of the two arguments is used twice.",
            "Where do x and y occur in your line?",
        ),
        mistake(
            "product_of_sums",
            {"product": "sums"},
            "you multiply the sum of a row by the sum of the other.",
            "Which comes first in a dot product, multiplying or adding?",
        ),
        mistake(
            "cosine",
            {"product": "cosine"},
            "the table has cosines: dot products divided by both lengths.",
            "Is anything divided in a dot product?",
        ),
        mistake(
            "mean", {"product": "mean"}, "the products are averaged and not added.", "Is anything divided in a dot product?"
        ),
        mistake(
            "distance",
            ({"product": "distance"}, {"product": "squared_distance"}),
            "the table has distances (or their squares).",
            "A dot product multiplies and then adds. What does yours do?",
        ),
        mistake(
            "reshaped",
            {"product": "reshaped"},
            "`reshape` keeps the order of the numbers and only cuts them into other rows; it exchanges no rows and columns.",
            "y is [[1, 2, 3], [4, 5, 6]]. What is y.reshape(3, 2), and what is y.T?",
        ),
        mistake(
            "not_summed",
            ({"product": "outer"}, {"product": "not_summed"}),
            "the products are not added up.",
            "A dot product is one number. How many numbers does your code make of one pair of rows?",
        ),
        mistake(
            "overwritten",
            {"product": "last_product"},
            "each product overwrites the one before, so only the last one remains.",
            "What was in the table before, and where does it go: `=` or `+=`?",
        ),
        mistake(
            "one_row",
            {"product": "one_row"},
            "all dot products are in one long row, and a table was asked for.",
            "Which shape has a table with a row for each row of x and a column for each row of y?",
        ),
    ),
    hints=(
        "A dot product multiplies number by number and adds up. The matrix product does this for each row of the left side "
        "with "
        "each column of the right side.",
        "(T, C) @ (C, S) is (T, S). y is (S, C), so it has to be turned: y.T is (C, S).",
        "return x @ ...  # (T, C) @ (C, S) -> (T, S)",
    ),
)


# pick_targets


def pick_targets(table, ids):
    """Return table[t, ids[t]] for each t."""
    return table[np.arange(len(ids)), ids]


def pick_targets_variant(table, ids, pick="right", shift=0, roll=0, axis_kept=False, log=0, left_out=None):
    """pick_targets with a switch for each mistake."""
    rows, ids = np.arange(len(ids)), np.roll(ids, roll) + shift
    picked = {
        "right": lambda: table[rows, ids],
        "columns": lambda: table[:, ids],
        "columns_in_a_row": lambda: table[:, ids].ravel(),
        "rows": lambda: table[ids],
        "flattened": lambda: table.ravel()[ids],
        "flattened_by_T": lambda: table.ravel()[rows * len(table) + ids],
        "last_row": lambda: table[-1, ids],
        "exchanged": lambda: table[ids, rows],
        "diagonal": lambda: table[rows, rows],
        "largest": lambda: table.max(axis=1),
        "sum": lambda: table[rows, ids].sum(),
        "mean": lambda: table[rows, ids].mean(),
        "one_hot": lambda: table * (np.arange(table.shape[1]) == ids[:, None]),
    }[pick]()
    picked = picked if log == 0 else log * np.log(picked)
    kept = {"first": slice(1, None), "last": slice(-1), "rest": slice(1)}
    picked = picked if left_out is None else picked[kept[left_out]]
    return picked[:, None] if axis_kept else picked


def pick_targets_cases():
    """Return tables without equal entries: permutations of whole numbers, by hand and random, square and not."""
    rng = np.random.default_rng(111)

    def table(T, V):
        return rng.permutation(T * V).reshape(T, V).astype(np.float32)

    sizes = [(2, 2), (3, 3), (2, 4), (4, 4), (3, 5), (5, 3), (1, 4), (4, 6), (6, 4), (5, 5)] * 3
    return [
        Case((array([[5, 7]]), np.array([1]))),
        Case((array([[1, 2], [3, 4]]), np.array([1, 0]))),
        Case((array([[1, 2, 3], [4, 5, 6]]), np.array([2, 0]))),
        Case((array([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), np.array([1, 1, 0]))),
        *(Case((table(T, V), rng.integers(0, V, T)), random=True) for T, V in sizes),
    ]


PICK_TARGETS = Exercise(
    name="pick_targets",
    notebook="01",
    minutes=8,
    signature="pick_targets(table, ids)",
    task="Return one number from each row of the table: table[t, ids[t]] for each t. table (T, V), ids (T,) whole numbers -> "
    "(T,).",
    reference=pick_targets,
    variant=pick_targets_variant,
    cases=pick_targets_cases,
    mistakes=(
        mistake(
            "whole_columns",
            ({"pick": "columns"}, {"pick": "columns_in_a_row"}),
            "`table[:, ids]` takes whole columns: T numbers for each id.",
            "`:` means all rows. What must be there instead, so that row 0 meets ids[0], row 1 meets ids[1], and so on?",
        ),
        mistake(
            "off_by_one",
            ({"shift": 1}, {"shift": -1}, {"roll": 1}, {"roll": -1}),
            "you are off by one: the neighbour of the right column or row is taken.",
            "Take t = 0. Which entry does your code read?",
        ),
        mistake(
            "flattened",
            ({"pick": "flattened"}, {"pick": "flattened_by_T"}),
            "the table is read as one long row, and the places in it are wrong.",
            "If the table is one long row, where does row t begin?",
        ),
        mistake(
            "whole_rows",
            {"pick": "rows"},
            "`table[ids]` picks rows.",
            "Which axis do the ids count along, the rows or the columns?",
        ),
        mistake(
            "one_row",
            {"pick": "last_row"},
            "all numbers come from the last row.",
            "Which row does ids[t] belong to?",
        ),
        mistake(
            "exchanged",
            {"pick": "exchanged"},
            "rows and columns are exchanged: you read table[ids[t], t].",
            "Which index comes first in table[row, column]?",
        ),
        mistake(
            "diagonal",
            {"pick": "diagonal"},
            "you read table[t, t], so the ids are not used.",
            "Where does `ids` occur in your line?",
        ),
        mistake(
            "axis_kept",
            {"axis_kept": True},
            "the result has one axis too many: (T, 1) and not (T,).",
            "How do you take the only column of an array?",
        ),
        mistake(
            "summed",
            ({"pick": "sum"}, {"pick": "mean"}),
            "the picked numbers are added up (or averaged).",
            "How many numbers should come back?",
        ),
        mistake(
            "zeros_left",
            {"pick": "one_hot"},
            "the other entries are set to 0, and the table still has its shape.",
            "If only one number of a row is not 0, what is the row's sum?",
        ),
        mistake(
            "largest", {"pick": "largest"}, "you take the largest number of each row.", "Where does `ids` occur in your line?"
        ),
        mistake(
            "logarithm",
            ({"log": -1}, {"log": 1}),
            "the logarithm is taken too, as for the surprise of notebook 00.",
            "Which numbers of the table should come back, and which step of yours changes them?",
        ),
        mistake(
            "one_left_out",
            ({"left_out": "first"}, {"left_out": "last"}),
            "one number is missing: the first or the last row is left out.",
            "Which is the first t of your loop, and which is the last one?",
        ),
        mistake(
            "first_only",
            {"left_out": "rest"},
            "only the number of the first row comes back.",
            "How many numbers should come back? Is your `return` inside the loop?",
        ),
    ),
    hints=(
        "NumPy takes two arrays as an index: one with the rows, one with the columns. It reads them in pairs.",
        "The rows are 0, 1, ..., T - 1, which is np.arange(T). The columns are ids. Both are (T,), and so is the result.",
        "rows = np.arange(...)  # (T,)\nreturn table[..., ...]",
    ),
)

EXERCISES = (CENTER_ROWS, PAIRWISE_DOTS, PICK_TARGETS)
