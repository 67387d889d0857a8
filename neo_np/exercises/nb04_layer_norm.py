"""Exercises of notebook 04, layer norm: layer_norm, linear."""

import math

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, array, mistake, random_numbers

# layer_norm


def layer_norm(x, weight, bias, eps):
    """Bring each row to mean 0 and variance 1, then multiply by weight and add bias."""
    centered = x - x.mean(axis=-1, keepdims=True)
    variance = (centered**2).mean(axis=-1, keepdims=True)
    return centered / np.sqrt(variance + eps) * weight + bias


def layer_norm_loop(x, weight, bias, eps):
    """Work out one row at a time."""
    rows = []
    for row in x:
        mean = sum(row) / len(row)
        variance = sum((value - mean) ** 2 for value in row) / len(row)
        rows.append([(value - mean) / math.sqrt(variance + eps) * g + b for value, g, b in zip(row, weight, bias)])
    return np.array(rows, np.float32)


def layer_norm_variant(
    x,
    weight,
    bias,
    eps,
    axis=-1,
    keepdims=True,
    keep_variance=True,
    center="mean",
    squares_of="centered",
    squares="mean",
    ddof=0,
    eps_at="inside",
    root=True,
    divide=True,
    affine="both",
    fixed_eps=None,
):
    """Layer norm with a switch for each mistake."""
    eps = fixed_eps or eps
    count = x.size if axis is None else x.shape[axis]
    number = len(x) if squares == "other_length" else count - ddof
    total = x.sum(axis, keepdims=keepdims)
    middle = {"mean": total / count, "sum": total, "none": 0.0, "whole": x.mean()}[center]
    distance = {"centered": x - middle, "true_centered": x - x.mean(axis, keepdims=True), "x": x}[squares_of]
    powers = np.abs(distance) if squares == "absolute" else distance**2
    variance = powers.sum(axis, keepdims=keepdims and keep_variance) / (1 if squares == "sum" else number)
    if squares in ("whole", "whole_centered"):
        variance = x.var() if squares == "whole" else powers.mean()
    if squares == "square_of_mean":
        variance = distance.mean(axis, keepdims=keepdims and keep_variance) ** 2
    size = np.sqrt(variance + (eps if eps_at == "inside" else 0)) if root and squares != "absolute" else variance
    size = np.sqrt(np.sqrt(variance) + eps) if root == "twice" else size
    size = size + eps if eps_at == "outside" or (eps_at == "inside" and size is variance) else size
    y = {
        True: lambda: (x - middle) / size,
        False: lambda: x - middle,
        "mean only": lambda: x - middle / size,
        "multiply": lambda: (x - middle) * size,
    }[divide]()
    y = y + eps if eps_at == "after" else y
    return {
        "both": lambda: y * weight + bias,
        "bias_first": lambda: (y + bias) * weight,
        "none": lambda: y,
        "gain": lambda: y * weight,
        "bias": lambda: y + bias,
        "one_plus": lambda: y * (1 + weight) + bias,
        "exchanged": lambda: y * bias + weight,
        "mean only": lambda: x - middle / size * weight + bias,
        "product": lambda: y @ weight + bias,
    }[affine]()


def layer_norm_cases():
    """Return small rows by hand with a large eps, rows that are constant or far from 0, then random ones."""
    rng = np.random.default_rng(4)

    def plain(rows, eps):
        C = len(rows[0])
        return Case((array(rows), array([1.0] * C), array([0.0] * C), eps))

    def random(T, C, eps):
        weight, bias = (1 + random_numbers(rng, C) / 4).astype(np.float32), random_numbers(rng, C) / 2
        return Case((random_numbers(rng, T, C), weight, bias, eps), random=True)

    sizes = [(2, 2), (3, 3), (4, 4), (2, 3), (3, 2), (2, 5), (5, 3), (4, 6), (1, 4), (6, 4)] * 3
    return [
        plain([[1, 3]], 0.5),
        plain([[1, 3], [2, 8]], 0.25),
        plain([[1, 2, 6], [0, 4, 5]], 0.5),
        Case((array([[1, 2, 6], [0, 4, 5]]), array([1, 2, 3]), array([1, 0, -1]), 0.5)),
        Case((array([[1, 2, 6], [0, 4, 5], [3, 3, 9]]), array([2, 1, -1]), array([0, 1, 2]), 0.01)),
        Case((array([[3, 3, 3], [1, 2, 3]]), array([1, 1, 1]), array([0, 2, 0]), 0.5), extreme=True),
        Case((array([[100, 101, 103], [-50, -50, -52]]), array([1, 2, 1]), array([0, 0, 1]), 1e-5), extreme=True),
        Case((array([[0.001, 0.002, 0.004]]), array([1, 1, 1]), array([0, 0, 0]), 1e-5), extreme=True),
        *(random(T, C, eps) for (T, C), eps in zip(sizes, [0.1, 1.0, 1e-5, 0.3, 0.5] * 6)),
    ]


LAYER_NORM = Exercise(
    name="layer_norm",
    notebook="04",
    minutes=15,
    core=True,
    signature="layer_norm(x, weight, bias, eps)",
    task="Bring each row of x, (T, C), to mean 0 and variance 1, then multiply by weight, (C,), and add bias, (C,). eps is "
    "added "
    "to the variance, so that a constant row does not divide by 0.",
    reference=layer_norm,
    variant=layer_norm_variant,
    package_name="neo_np.gpt_neo.forward.layer_norm",
    also_right=(layer_norm_loop,),
    cases=layer_norm_cases,
    mistakes=(
        mistake(
            "n_minus_1",
            {"ddof": 1},
            "the variance is divided by C - 1 and not by C.",
            "C - 1 is for estimating from a sample. Here the row is everything there is. How many squares do you add up?",
        ),
        mistake(
            "eps_outside",
            {"eps_at": "outside"},
            "eps is added to the standard deviation, outside the root.",
            "The formula has sqrt(variance + eps). What is under your root?",
        ),
        mistake(
            "eps_fixed",
            ({"fixed_eps": 1e-5}, {"fixed_eps": 1e-6}, {"fixed_eps": 1e-8}),
            "you use an eps of your own and not the argument.",
            "Where does `eps` occur in your function?",
        ),
        mistake(
            "no_eps",
            {"eps_at": "none"},
            "eps is forgotten, so a row of equal numbers divides 0 by 0.",
            "What is the variance of the row [3, 3, 3], and what do you divide by then?",
        ),
        mistake(
            "eps_after",
            {"eps_at": "after"},
            "eps is added to the result of the division and not to the variance: a bracket is missing.",
            "Which comes first in your line, the division or the `+ eps`?",
        ),
        mistake(
            "sum_for_mean",
            (
                {"center": "sum"},
                {"center": "sum", "squares_of": "true_centered"},
                {"squares": "sum"},
                {"center": "sum", "squares": "sum"},
            ),
            "a sum is used in the place of a mean (in the mean itself or in the variance).",
            "How large would the sum be if the row had a thousand numbers? What must it be divided by?",
        ),
        mistake(
            "time_axis",
            {"axis": 0},
            "mean and variance go down the columns (axis 0), over the tokens.",
            "Each token is normalized by itself, even if it is the only one. Which axis holds the numbers of one token?",
        ),
        mistake(
            "everything",
            (
                {"axis": None},
                {"squares": "whole"},
                {"squares": "whole_centered"},
                {"center": "whole", "squares_of": "true_centered"},
            ),
            "the mean or the variance is that of the whole array.",
            "Each token is normalized by itself. How many means do you need for T tokens?",
        ),
        mistake(
            "no_root",
            {"root": False},
            "you divide by the variance and not by its root, the standard deviation.",
            "If all numbers of a row double, the variance becomes four times as large. What must you divide by, to undo the "
            "doubling?",
        ),
        mistake(
            "bias_first",
            {"affine": "bias_first"},
            "the bias is added before the multiplication by weight, so it is multiplied too.",
            "In which order do scale and shift happen: y * weight + bias, or (y + bias) * weight?",
        ),
        mistake(
            "no_gain",
            {"affine": "bias"},
            "the multiplication by weight is missing.",
            "Which of the four arguments do you not use?",
        ),
        mistake(
            "no_bias",
            {"affine": "gain"},
            "the bias is not added.",
            "Which of the four arguments do you not use?",
        ),
        mistake(
            "no_gain_and_bias",
            {"affine": "none"},
            "weight and bias are not used.",
            "After the normalization, each channel gets its own size and its own centre back. Which two arguments hold them?",
        ),
        mistake(
            "weight_plus_1",
            {"affine": "one_plus"},
            "you multiply by 1 + weight.",
            "In this model a weight of 1 leaves a channel as it is. What does yours do with a weight of 1?",
        ),
        mistake(
            "no_keepdims",
            ({"keepdims": False}, {"keepdims": False, "squares_of": "true_centered"}, {"keep_variance": False}),
            "mean and variance have shape (T,), and NumPy lines that up with the columns.",
            "What shape must they have, so that each one meets its own row? (`keepdims` is the word to look up.)",
        ),
        mistake(
            "not_centered",
            {"center": "none", "squares_of": "true_centered"},
            "the mean is not subtracted from the result (it is used for the variance only).",
            "After layer norm each row has the mean 0, before weight and bias. Where do you subtract it?",
        ),
        mistake(
            "rms_norm",
            {"center": "none"},
            "the mean is never subtracted. This is RMS norm, which newer models use.",
            "Layer norm sets two things of a row: its size, and what else?",
        ),
        mistake(
            "variance_not_centered",
            {"squares_of": "x"},
            "the variance is the mean of x squared: the mean is not subtracted before squaring.",
            "Variance is the mean squared distance. Distance from what?",
        ),
        mistake(
            "square_of_mean",
            ({"squares": "square_of_mean"}, {"squares": "square_of_mean", "squares_of": "x"}),
            "you square the mean; the variance is the mean of the squares.",
            "Which comes first in the variance: squaring each distance, or taking the mean?",
        ),
        mistake(
            "gain_and_bias_exchanged",
            {"affine": "exchanged"},
            "weight and bias are exchanged.",
            "Which of the two multiplies, and which is added?",
        ),
        mistake(
            "absolute_distance",
            {"squares": "absolute"},
            "you divide by the mean absolute distance and not by the root of the mean squared distance.",
            "What is squared in the variance?",
        ),
        mistake(
            "not_divided",
            {"divide": False},
            "the row is centered, and the division by the standard deviation is missing.",
            "Layer norm sets two things of a row: its mean, and what else?",
        ),
        mistake(
            "bracket",
            ({"divide": "mean only"}, {"affine": "mean only"}),
            "only the mean is divided: without brackets, Python divides before it subtracts.",
            "Which does Python do first in a - b / c? What should be done first here?",
        ),
        mistake(
            "matrix_product",
            {"affine": "product"},
            "`@` adds up the channels of a row, and each channel must be multiplied by its own weight.",
            "How many numbers does a row have after your product, and how many should it have?",
        ),
        mistake(
            "multiplied_by_root",
            {"divide": "multiply"},
            "you multiply by the standard deviation and do not divide by it.",
            "A row of large numbers: should it become smaller or larger?",
        ),
        mistake(
            "root_twice",
            {"root": "twice"},
            "the root is taken twice: the standard deviation is the root of the variance already.",
            "`std` or `var`: which of them belongs under the root of the formula?",
        ),
        mistake(
            "wrong_length",
            {"squares": "other_length"},
            "the squares are divided by the number of rows, and a row has as many numbers as there are columns.",
            "How many numbers are in one row: x.shape[0] or x.shape[1]?",
        ),
    ),
    blanks=(
        "centered = x - ...  # (T, C), mean 0\n"
        "variance = ...  # (T, 1), the mean of the squares\n"
        "normed = centered / ...  # the root of variance + eps\n"
        "return normed * ... + ..."
    ),
    hints=(
        "Three steps for each row: subtract its mean; divide by the root of (variance + eps); multiply by weight and add "
        "bias. The "
        "variance is the mean of the squared distances from the mean.",
        "x is (T, C). Mean and variance must be (T, 1): `keepdims=True` over the last axis. weight and bias are (C,) and meet "
        "every row.",
        "centered = x - x.mean(axis=-1, keepdims=True)  # (T, C), mean 0\n"
        "variance = (...).mean(axis=-1, keepdims=True)  # (T, 1), the mean of the squares\n"
        "normed = centered / np.sqrt(...)\n"
        "return normed * ... + ...",
    ),
    notes={
        "/ C": "A mean, written as sum / C: divided by C, not by C - 1.",
        "np.sqrt(variance + eps)": "eps lies inside the root.",
        "* weight + bias": "First the gain, then the bias: each channel has its own.",
    },
)


# linear


def linear(x, weight, bias=0.0):
    """Return x @ weight.T + bias: each output is the dot product of a row of x with a row of weight."""
    return x @ weight.T + bias


def linear_loop(x, weight, bias):
    """Work out each output by itself."""
    return np.array([[row @ w + b for w, b in zip(weight, bias)] for row in x])


def linear_variant(x, weight, bias, transposed=True, biases=1, bias_sign=1, bias_axis="out", turned=False, product="matrix"):
    """Linear with a switch for each mistake."""
    w = weight.T if transposed else weight
    biases = x.shape[1] if biases == "for each input" else biases
    y = {
        "matrix": lambda: x @ w,
        "elements": lambda: x * w,
        "rows": lambda: x[: len(weight)] * weight[: len(x)],
        "x_turned": lambda: x.T @ w,
        "last": lambda: np.outer(x[:, -1], weight[:, -1]),
        "reshaped": lambda: x @ weight.reshape(weight.shape[::-1]),
        "x_plus_bias": lambda: (x + bias) @ w,
        "weight_first": lambda: weight @ x,
        "first_row": lambda: x[0] @ w,
        "last_row": lambda: x[-1] @ w,
    }[product]()
    if turned == "before_bias":
        return y.T + biases * bias_sign * bias
    bias = bias if bias_axis == "out" else bias[:, None]
    y = y + biases * bias_sign * bias
    return y.T if turned else y


def linear_cases():
    """Return products with in = out, with T = in = out, and with all sizes different."""
    rng = np.random.default_rng(44)
    sizes = [(2, 2, 2), (3, 3, 3), (2, 3, 3), (3, 2, 2), (4, 4, 4), (2, 3, 4), (1, 4, 2), (4, 3, 5), (5, 2, 3), (3, 5, 4)] * 3
    return [
        Case((array([[1, 2]]), array([[1, 3], [0, 2]]), array([5, 7]))),
        Case((array([[1, 2], [0, 1]]), array([[1, 3], [5, 2]]), array([10, 20]))),
        Case((array([[1, 0, 2]]), array([[1, 2, 3], [4, 5, 6]]), array([100, 200]))),
        Case((array([[0, 0]]), array([[1, 2], [3, 4]]), array([5, 6]))),
        *(
            Case((random_numbers(rng, T, i), random_numbers(rng, o, i), random_numbers(rng, o)), random=True)
            for T, i, o in sizes
        ),
    ]


LINEAR = Exercise(
    name="linear",
    notebook="04",
    minutes=8,
    core=True,
    signature="linear(x, weight, bias)",
    task="Apply a linear layer: each output is the dot product of a row of x with a row of weight, plus that output's bias. "
    "x (T, in), weight (out, in) as in the checkpoint, bias (out,) -> (T, out).",
    reference=linear,
    variant=linear_variant,
    package_name="neo_np.gpt_neo.forward.linear",
    also_right=(linear_loop,),
    cases=linear_cases,
    mistakes=(
        mistake(
            "untransposed",
            {"transposed": False},
            "the weight is not transposed: x meets its columns and not its rows.",
            "weight is (out, in). Which shape must be on the right of (T, in), so that the result is (T, out)?",
        ),
        mistake(
            "no_bias",
            {"biases": 0},
            "the bias is not added.",
            "What does the layer give for a row of zeros, and what should it give?",
        ),
        mistake(
            "bias_twice",
            ({"biases": 2}, {"biases": "for each input"}),
            "the bias is added more than once.",
            "What does the layer give for a row of zeros? Is there a second place, or is the bias inside a loop?",
        ),
        mistake(
            "bias_subtracted",
            {"bias_sign": -1},
            "the bias is subtracted.",
            "What does the layer give for a row of zeros, and what should it give?",
        ),
        mistake(
            "bias_by_row",
            {"bias_axis": "rows"},
            "the bias goes down the rows: every token gets its own, and every output of a token the same.",
            "Does a bias belong to a token or to an output? Which shape meets every row, (out,) or (out, 1)?",
        ),
        mistake(
            "elementwise",
            ({"product": "elements"}, {"product": "elements", "transposed": False}, {"product": "rows"}),
            "`*` multiplies entry by entry, and nothing is summed.",
            "Which operator of Python is the matrix product?",
        ),
        mistake(
            "turned",
            ({"turned": True}, {"turned": "before_bias"}),
            "the product is transposed: outputs are rows and tokens are columns.",
            "The result must be (T, out). Which of x and weight comes first in the product?",
        ),
        mistake(
            "x_transposed",
            {"product": "x_turned"},
            "x is transposed too.",
            "Rows of x are tokens and stay rows. Which of the two has to be turned?",
        ),
        mistake(
            "reshaped",
            {"product": "reshaped"},
            "`reshape` keeps the order of the numbers and only cuts them into other rows; it exchanges no rows and columns.",
            "w is [[1, 2, 3], [4, 5, 6]]. What is w.reshape(3, 2), and what is w.T?",
        ),
        mistake(
            "bias_first",
            {"product": "x_plus_bias", "biases": 0},
            "the bias is added to x before the product, so it is multiplied too.",
            "There is one bias for each output. Which array has outputs: x or the product?",
        ),
        mistake(
            "overwritten",
            {"product": "last"},
            "each product overwrites the one before, so only the last one remains.",
            "What was in the sum before, and where does it go: `=` or `+=`?",
        ),
        mistake(
            "weight_first",
            {"product": "weight_first"},
            "`weight @ x` takes the columns of x, which are channels and no tokens.",
            "The formula y = W x is for one column x. Here each token is a row: which side of `@` must x be on?",
        ),
        mistake(
            "one_row",
            ({"product": "last_row"}, {"product": "first_row"}),
            "only one token comes back, the first or the last one.",
            "How many rows should the result have? Is your `return` inside the loop?",
        ),
    ),
    hints=(
        "An output is a dot product: a row of x with a row of weight. A matrix product makes dot products of rows with "
        "columns, so "
        "the weight has to be turned first.",
        "x is (T, in), weight.T is (in, out), the product is (T, out). bias is (out,) and meets every row.",
        "product = x @ ...  # (T, out)\nreturn product + ...  # one bias for each output",
    ),
    notes={"weight.T": "The checkpoint has one row for each output, (out, in)."},
)

EXERCISES = (LAYER_NORM, LINEAR)
