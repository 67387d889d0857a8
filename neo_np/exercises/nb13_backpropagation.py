"""Exercises of notebook 13: numerical_gradient, cross_entropy_backward, linear_backward, layer_norm_backward."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neo_np.exercises.exercise import DEEP_TOLERANCE, Case, Exercise, array, mistake, random_numbers
from neo_np.exercises.nb05_one_head import softmax
from neo_np.exercises.nb12_loss import AXIS_0, EVERYTHING, NO_KEEPDIMS

OTHER_ORDER = mistake(
    "other_order",
    ({"order": (1, 2, 0)}, {"order": (1, 0, 2)}),
    "the gradients are returned in another order.",
    "Which of the three does the task name first?",
)

# numerical_gradient


@dataclass(frozen=True)
class Formula:
    """A function of an array that shows its formula."""

    text: str
    function: Callable

    def __call__(self, x):
        """Return the value of the function."""
        return self.function(x)

    def __repr__(self):
        """Return the formula."""
        return self.text


def numerical_gradient(f, x, h):
    """Return (f(x + h) - f(x - h)) / 2h for each entry of x, with h added to this entry only."""
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[place] += h
        below[place] -= h
        gradient[place] = (f(above) - f(below)) / (2 * h)
    return gradient


def numerical_gradient_in_place(f, x, h):
    """Move each entry of one copy, and move it back."""
    moved, slopes = x.copy(), []
    for i, value in enumerate(x.flat):
        moved.flat[i] = value + h
        above = f(moved)
        moved.flat[i] = value - h
        slopes.append((above - f(moved)) / h / 2)
        moved.flat[i] = value
    return np.array(slopes).reshape(x.shape)


def numerical_gradient_variant(
    f,
    x,
    h,
    points="both",
    divide="2h",
    sign=1,
    copy=True,
    restore=True,
    move="each",
    own_h=None,
    step=1.0,
    first_only=False,
    added=False,
    entry="moved",
):
    """numerical_gradient with a switch for each mistake."""
    h = own_h or h
    up, down = step * h * (points != "below"), step * h * (points != "above")

    def other(value, h):
        return {"moved": value + h, "replaced": h, "scaled": value * (1 + h)}[entry]

    def slope(above, below):
        below = -below if added else below
        distance = 2 * h if points == "both" else h
        return (
            sign
            * {
                "2h": (above - below) / distance,
                "h": (above - below) / h,
                "nothing": above - below,
                "2": (above - below) / 2,
                "4h": (above - below) / (4 * h),
                "no bracket": (above - below) / 2 * h,
                "only the second": above - below / (2 * h),
            }[divide]
        )

    if move in ("all", "all, one number"):
        together = slope(f(x + up), f(x - down))
        return together if move == "all, one number" else np.full(x.shape, together)
    gradient, moved, higher, lower = np.zeros_like(x), x.copy() if copy else x, x.copy(), x.copy()
    for place in range(len(x)) if move == "rows" else np.ndindex(x.shape):
        value = np.copy(moved[place])
        if move == "entry":
            above, below = f(value + up), f(value - down)
        elif restore == "copies_before":
            higher[place] += up
            lower[place] -= down
            above, below = f(higher), f(lower)
        else:
            moved[place] = other(value, up)
            above = f(moved)
            moved[place] = other(value, -down)
            below = above if move == "same_array" else f(moved)
            left = value + up if points == "above" else value - down
            moved[place] = value if restore else left
        gradient[place] = slope(above, below)
        if first_only:
            return gradient[place] if first_only == "a number" else gradient
    return gradient


def numerical_gradient_cases():
    """Return functions of few numbers, in float64; all numbers are whole quarters, so moving there and back is exact."""
    rng = np.random.default_rng(13)
    cube, square = Formula("sum of x ** 3", lambda x: (x**3).sum()), Formula("sum of x ** 2", lambda x: (x**2).sum())
    product = Formula("x[0] * x[1] ** 2", lambda x: x[0] * x[1] ** 2)
    power = Formula("(sum of x) ** 3", lambda x: x.sum() ** 3)
    dots = Formula("sum of x @ x.T @ x", lambda x: (x @ x.T @ x).sum())
    surprise = Formula("-log softmax(x)[0]", lambda x: np.log(np.exp(x).sum()) - x[0])

    def random(f, *shape, h=0.125):
        return Case((f, np.round(4 * rng.normal(size=shape)) / 4, h), random=True)

    return [
        Case((square, np.array([1.0, 3.0]), 0.125)),
        Case((cube, np.array([1.0, -2.0]), 0.125)),
        Case((product, np.array([2.0, 1.0]), 0.125)),
        Case((cube, np.array([[1.0, 0.5], [2.0, -1.0]]), 0.125)),
        Case((surprise, np.array([1.0, 2.0, 0.0]), 0.125)),
        *(
            random(f, *shape, h=h)
            for h in (0.125, 0.0625)
            for f, shape in [(cube, (3,)), (power, (2,)), (power, (2, 3)), (surprise, (4,)), (dots, (2, 2)), (dots, (2, 3))]
        ),
        *(random(f, *shape) for f, shape in [(product, (2,)), (surprise, (2,)), (power, (4,)), (dots, (3, 2)), (cube, (3, 2))]),
    ]


NUMERICAL_GRADIENT = Exercise(
    name="numerical_gradient",
    notebook="13",
    minutes=12,
    core=True,
    signature="numerical_gradient(f, x, h)",
    task="Return an array of the shape of x: for each entry, the slope of f if only this entry moves. Take "
    "(f(x with the entry + h) - f(x with the entry - h)) / 2h. f is a function of an array and returns one number; x has any "
    "shape and must not be changed.",
    reference=numerical_gradient,
    variant=numerical_gradient_variant,
    also_right=(numerical_gradient_in_place,),
    cases=numerical_gradient_cases,
    mistakes=(
        mistake(
            "one_sided",
            ({"points": "above"}, {"points": "below"}),
            "you compare one point with f(x) itself, on one side only. With a large h this is far less exact.",
            "The task names two points, one above x and one below. Which one do you not use, and how far apart are they?",
        ),
        mistake(
            "not_divided",
            ({"divide": "nothing"}, {"divide": "2"}),
            "the difference is not divided by the distance of the two points.",
            "A slope is the height divided by what?",
        ),
        mistake(
            "changes_input",
            {"copy": False, "restore": False},
            "your function changes the array that it gets, and an entry that was moved stays moved.",
            "Does your line write into x or into a copy of x? What does x look like after the first entry?",
        ),
        mistake(
            "not_moved_back",
            ({"restore": False}, {"restore": "copies_before"}),
            "an entry that was moved stays moved while the next entries are tried.",
            "When the second entry moves, where should the first one be?",
        ),
        mistake(
            "divided_by_h",
            {"divide": "h"},
            "you divide by h, and the two points are 2h apart.",
            "How far is it from x - h to x + h?",
        ),
        mistake(
            "bracket_missing",
            {"divide": "no bracket"},
            "`/ 2 * h` divides by 2 and then multiplies by h.",
            "In which order does Python compute a / 2 * h? What does a bracket change?",
        ),
        mistake(
            "only_second_divided",
            {"divide": "only the second"},
            "only f at the lower point is divided: `/` comes before `-`.",
            "In which order does Python compute a - b / c? What does a bracket change?",
        ),
        mistake(
            "values_added",
            {"added": True},
            "the two values of f are added and not subtracted.",
            "A slope is the difference of the heights, divided by the distance. Which operator makes a difference?",
        ),
        mistake(
            "entry_replaced",
            ({"entry": "replaced"}, {"entry": "scaled"}),
            "the entry becomes another number than x + h and x - h: h itself, or a multiple of what it was.",
            "What is the difference between `above[place] = h` and `above[place] += h`?",
        ),
        mistake(
            "half_steps",
            ({"step": 0.5}, {"step": 0.5, "divide": "h"}, {"step": 2.0}, {"step": 2.0, "divide": "4h"}),
            "the entry moves by h / 2 or by 2h, and not by h.",
            "The task names the points x + h and x - h. How far apart are they, and how far apart are yours?",
        ),
        mistake(
            "returns_too_early",
            ({"first_only": True}, {"first_only": "a number"}),
            "only the first entry gets a slope: the function returns in the first round of its loop.",
            "How far is your `return` indented, and when should it be reached?",
        ),
        mistake(
            "rows_moved",
            {"move": "rows"},
            "in an array with two axes, whole rows move together.",
            "`range(len(x))` counts rows. What gives the place of each single entry, whatever the shape?",
        ),
        mistake(
            "entry_for_array",
            {"move": "entry"},
            "f gets only the entry that moves, and not the whole array.",
            "f is a function of an array. What are the other entries while this one moves?",
        ),
        mistake(
            "sign",
            {"sign": -1},
            "the difference has the wrong sign: lower minus upper point.",
            "f grows if you go to x + h. Should the slope be positive or negative?",
        ),
        mistake(
            "all_at_once",
            ({"move": "all"}, {"move": "all, one number"}),
            "all entries move at the same time.",
            "The slope for one entry says what happens if only this entry moves. How many entries does `x + h` move?",
        ),
        mistake(
            "own_h",
            ({"own_h": 1e-5}, {"own_h": 0.01}),
            "you use a step of your own and not the argument h.",
            "Where does `h` occur in your function?",
        ),
        mistake(
            "same_array",
            {"move": "same_array"},
            "both values of f are computed at the same point, so every difference is 0.",
            "`b = a` gives an array a second name and copies nothing. How do you make a copy?",
        ),
    ),
    blanks=(
        "gradient = np.zeros_like(x)\n"
        "for place in np.ndindex(x.shape):\n"
        "    above, below = x.copy(), x.copy()\n"
        "    above[place] += ...\n"
        "    below[place] -= ...\n"
        "    gradient[place] = ...  # the height, divided by the distance of the two points\n"
        "return gradient"
    ),
    hints=(
        "For each entry: make two copies of x, move the entry by h, up in one and down in the other, and compare f of both.",
        "`np.ndindex(x.shape)` gives the place of each entry, whatever the shape: `copy[place] += h`.",
        "gradient = np.zeros_like(x)\n"
        "for place in np.ndindex(x.shape):\n"
        "    above, below = x.copy(), x.copy()\n"
        "    above[place] += h\n"
        "    below[place] -= h\n"
        "    gradient[place] = (f(above) - ...) / ...  # the height, divided by the distance of the two points\n"
        "return gradient",
    ),
)


# cross_entropy_backward


def cross_entropy_backward(logits, targets):
    """Return (softmax(logits) - [1 at the target, else 0]) / T."""
    dlogits = softmax(logits)
    dlogits[np.arange(len(targets)), targets] -= 1
    return dlogits / len(targets)


def cross_entropy_backward_by_rows(logits, targets):
    """Work out one row at a time, with a table of ones at the targets."""
    rows = []
    for row, target in zip(logits.astype(float), targets):
        p = np.exp(row - np.logaddexp.reduce(row))
        rows.append((p - np.eye(len(row))[target]) / len(targets))
    return np.array(rows)


def cross_entropy_backward_variant(
    logits,
    targets,
    sign=1,
    divide="T",
    axis=-1,
    keepdims=True,
    shift=True,
    values="probabilities",
    ones="targets",
    early=False,
    rows_mean=False,
    keep="all",
):
    """cross_entropy_backward with a switch for each mistake."""
    T, V = logits.shape
    e = np.exp(logits - (logits.max(axis, keepdims=keepdims) if shift else 0))
    total = e.sum(axis, keepdims=keepdims)
    lower = logits - np.eye(V, dtype=logits.dtype)[targets]
    p = {
        "probabilities": lambda: e / total,
        "of lower scores": lambda: softmax(lower),
        "scores": lambda: logits,
        "nothing": lambda: np.zeros_like(logits),
        "logs": lambda: logits - logits.max(axis, keepdims=True) - np.log(total),
    }[values]()
    count = {"T": T, "nothing": 1, "V": V, "T V": T * V, "2": 2}[divide]
    p = p / count if early else p
    hit = np.eye(V, dtype=p.dtype)[targets]  # 1 at the target of each row, else 0
    dlogits = {
        "targets": lambda: p - hit,
        "nowhere": lambda: p,
        "likeliest": lambda: p - np.eye(V)[logits.argmax(axis=-1)],
        "columns": lambda: p - hit.max(axis=0),
        "columns, each time": lambda: p - hit.sum(axis=0),
        "everywhere": lambda: p - 1,
        "added": lambda: p + hit,
        "rows": lambda: p - np.eye(T)[targets].max(axis=0)[:, None],
        "ids": lambda: p - targets[:, None],
        "assigned": lambda: np.where(hit, -1, p),
        "4 columns": lambda: p - np.eye(4)[targets],
        "divided": lambda: p - hit / T,
    }[ones]()
    dlogits = np.where(hit, dlogits, 0) if keep == "target" else dlogits
    dlogits = sign * (dlogits if early else dlogits / count)
    if keep == "log":
        return np.where(np.arange(V) == targets[:, None], sign * -total / e / count, 0)
    if keep == "target only":
        return dlogits[np.arange(T), targets]
    if keep == "loss":
        return -np.log((e / total)[np.arange(T), targets]).mean()
    return dlogits.sum(axis=0) if rows_mean else dlogits


def cross_entropy_backward_cases():
    """Return tables with T = V and with T and V different, then large scores."""
    rng = np.random.default_rng(131)

    def random(T, V):
        return Case((random_numbers(rng, T, V), rng.integers(0, V, T)), random=True)

    sizes = [(2, 2), (3, 3), (4, 4), (2, 3), (3, 2), (4, 3), (2, 5), (5, 4), (3, 6), (5, 3)] * 2
    return [
        Case((array([[0, 0], [1, 0]]), np.array([0, 0]))),
        Case((array([[0, 1, 2], [2, 1, 0]]), np.array([0, 1]))),
        Case((array([[1, 0, 3], [0, 2, 1], [4, 1, 0]]), np.array([0, 2, 1]))),
        Case((array([[0, 1], [3, 1], [2, -1]]), np.array([0, 1, 0]))),
        Case((array([[2000, 1, 0], [0, 1, 3000]]), np.array([0, 1])), extreme=True),
        *(random(*size) for size in sizes),
    ]


CROSS_ENTROPY_BACKWARD = Exercise(
    name="cross_entropy_backward",
    notebook="13",
    minutes=12,
    core=True,
    signature="cross_entropy_backward(logits, targets)",
    task="Return the gradient of the loss, (T, V): how the mean surprise of all T positions changes with each score. It is "
    "the probability (softmax of the row), minus 1 at the target, all divided by T. logits is (T, V); targets (T,) has the id "
    "of the token that came after each position. You may call softmax(x), which takes (T, V).",
    reference=cross_entropy_backward,
    variant=cross_entropy_backward_variant,
    package_name="neo_np.gpt_neo.backward.cross_entropy_backward",
    given=("softmax",),
    also_right=(cross_entropy_backward_by_rows,),
    cases=cross_entropy_backward_cases,
    mistakes=(
        mistake(
            "of_the_mean",
            {"rows_mean": True},
            "you take the mean over the rows, so the result is (V,). Only the loss is a mean, not its gradient.",
            "Each of the T V scores has a slope of its own. Which shape must a gradient have?",
        ),
        mistake(
            "sign",
            {"sign": -1},
            "all signs are wrong: this is the direction in which the loss falls.",
            "If the score of the target grows, the surprise falls. Which sign must its slope have?",
        ),
        mistake(
            "no_mean",
            {"divide": "nothing"},
            "the division by T is missing: this belongs to the sum of all surprises.",
            "The loss is a mean over T positions. How much does one of them count?",
        ),
        mistake(
            "probabilities_only",
            {"ones": "nowhere"},
            "the result has only probabilities: the 1 at the target is not subtracted.",
            "Where does your result depend on `targets`?",
        ),
        mistake(
            "targets_only",
            {"values": "nothing"},
            "only the target counts: the probabilities are missing.",
            "If the score of another token grows, the target becomes less likely. Does your result say so?",
        ),
        mistake(
            "divided_by_V",
            {"divide": "V"},
            "you divide by V, the number of tokens in the vocabulary.",
            "The loss is a mean of how many surprises?",
        ),
        mistake(
            "mean_over_everything",
            {"divide": "T V"},
            "you divide by T V, the number of all scores.",
            "The loss is a mean of how many surprises?",
        ),
        mistake(
            "divided_too_early",
            {"early": True},
            "only the probabilities are divided by T, and 1 is subtracted after that.",
            "What belongs inside the bracket that is divided by T?",
        ),
        mistake(
            "only_1_divided",
            {"ones": "divided", "divide": "nothing"},
            "only the 1 is divided by T, and not the probabilities.",
            "What belongs inside the bracket that is divided by T?",
        ),
        mistake(
            "numbers_of_the_example",
            ({"divide": "2"}, {"ones": "4 columns"}, {"divide": "2", "ones": "4 columns"}),
            "the sizes 2 or 4 of an example are written into the function. Other inputs have another T and V.",
            "Which attribute of logits holds T and V?",
        ),
        mistake(
            "whole_rows",
            {"ones": "rows"},
            "`p[targets]` means whole rows: 1 is subtracted from each entry of them.",
            "Which two lists of indices pick one entry in each row? (Notebook 01.)",
        ),
        mistake(
            "id_subtracted",
            {"ones": "ids"},
            "the id of the target is subtracted from its whole row, as if it were an amount.",
            "targets[t] says in which column something happens. What happens there?",
        ),
        mistake(
            "set_to_minus_1",
            {"ones": "assigned"},
            "the entry of the target becomes -1, and its probability is lost.",
            "What is the difference between `= -1` and `-= 1`?",
        ),
        mistake(
            "subtracted_before_softmax",
            {"values": "of lower scores", "ones": "nowhere"},
            "1 is subtracted from the score of the target, and the softmax comes after it.",
            "The task subtracts 1 from a probability. Which step must come first, then?",
        ),
        mistake(
            "only_the_target",
            ({"keep": "target"}, {"keep": "target only"}),
            "only the slope of the target is worked out, and not those of the other tokens.",
            "If the score of another token grows, the target becomes less likely. Does your result say so?",
        ),
        mistake(
            "slope_of_the_log",
            {"keep": "log"},
            "the result has -1 / p at the target: the slope for the probability, and not for the scores.",
            "A score changes the probabilities through softmax. What does the chain rule do with its slope?",
        ),
        mistake(
            "loss_returned",
            {"keep": "loss"},
            "you return the loss itself and not its gradient.",
            "Each of the T V scores has a slope of its own. Which shape must a gradient have?",
        ),
        mistake(
            "scores_for_probabilities",
            {"values": "scores"},
            "you take the scores themselves and not their softmax.",
            "The formula begins with probabilities. Which function makes them from scores?",
        ),
        mistake(
            "log_probabilities",
            {"values": "logs"},
            "you take the logs of the probabilities.",
            "The formula begins with probabilities. Is there a logarithm in it?",
        ),
        mistake(
            "argmax_as_target",
            {"ones": "likeliest"},
            "1 is subtracted at the likeliest token and not at the one that came.",
            "The score of which token should rise?",
        ),
        mistake(
            "whole_columns",
            ({"ones": "columns"}, {"ones": "columns, each time"}),
            "1 is subtracted from whole columns.",
            "`table[:, ids]` means columns. Which two lists of indices pick one entry in each row? (Notebook 01.)",
        ),
        mistake(
            "subtracted_everywhere",
            {"ones": "everywhere"},
            "1 is subtracted from every entry.",
            "In how many entries of each row does the 1 belong?",
        ),
        mistake(
            "one_added",
            {"ones": "added"},
            "1 is added at the target and not subtracted.",
            "Each row of the result adds up to 0. What does yours add up to?",
        ),
        AXIS_0,
        EVERYTHING,
        NO_KEEPDIMS,
        mistake(
            "overflow",
            {"shift": False},
            "exp of a large score is infinite.",
            "What may you subtract from all scores of a row without changing the probabilities?",
        ),
    ),
    hints=(
        "Three steps: the probabilities of each row; minus 1 at the target of each row; divided by the number of rows.",
        "The probabilities are (T, V). `dlogits[rows, targets] -= 1` with rows = 0, 1, 2, ... changes one entry in each row.",
        "dlogits = ...  # (T, V), the probabilities\ndlogits[np.arange(len(targets)), ...] -= ...\nreturn dlogits / ...",
    ),
    notes={
        "np.exp(log_probs)": "The probabilities: the package gets their logs.",
        "-= 1.0": "Minus 1 at the target of each row. The division by the number of positions comes later.",
    },
)


# linear_backward


def linear_backward(dy, x, weight):
    """Return dx = dy weight, dweight = dy^T x, and dbias, the sum of the rows of dy."""
    return dy @ weight, dy.T @ x, dy.sum(axis=0)


def linear_backward_loop(dy, x, weight):
    """Add up what each product x[t, i] weight[o, i] gives to its two factors."""
    dx, dweight, dbias = np.zeros_like(x), np.zeros_like(weight), np.zeros(len(weight), dy.dtype)
    for t, row in enumerate(dy):
        for o, slope in enumerate(row):
            dx[t] += slope * weight[o]
            dweight[o] += slope * x[t]
            dbias[o] += slope
    return dx, dweight, dbias


def linear_backward_variant(
    dy, x, weight, dx_as="dy weight", dweight_as="dy^T x", dbias_as="rows", mean=False, order=(0, 1, 2), dy_used=True
):
    """linear_backward with a switch for each mistake."""
    dy = dy if dy_used else np.ones_like(dy)
    dx = {
        "dy weight": lambda: dy @ weight,
        "turned": lambda: weight.T @ dy.T,
        "dy weight^T": lambda: dy @ weight.T,
        "x weight": lambda: x @ weight,
        "x weight^T": lambda: x @ weight.T,
        "dy x": lambda: dy @ x,
        "dy x^T x": lambda: dy @ x.T @ x,
        "y weight": lambda: x @ weight.T @ weight,
        "dy * weight": lambda: dy * weight,
        "weight": lambda: np.ones_like(dy) @ weight,
    }[dx_as]()
    dweight = {
        "dy^T x": lambda: dy.T @ x,
        "x^T dy": lambda: x.T @ dy,
        "dy x": lambda: dy @ x,
        "dy weight": lambda: dy.T @ (dy @ weight),
        "dx^T x": lambda: (dy @ weight).T @ x,
        "dy * x": lambda: dy * x,
        "x": lambda: np.ones_like(dy).T @ x,
        "mean": lambda: dy.T @ x / len(x),
        "last": lambda: dy[-1:].T @ x[-1:],
    }[dweight_as]()
    dbias = {
        "rows": lambda: dy.sum(axis=0),
        "last": lambda: dy[-1].copy(),
        "unsummed": lambda: dy.copy(),
        "outputs": lambda: dy.sum(axis=1),
        "everything": lambda: np.full(dy.shape[1], dy.sum(), dy.dtype),
        "kept": lambda: dy.sum(axis=0, keepdims=True),
        "x": lambda: x.sum(axis=0),
        "mean": lambda: dy.mean(axis=0),
        "ones": lambda: np.ones(dy.shape[1], dy.dtype),
        "one number": lambda: np.array(dy.sum()),
        "for each input": lambda: dy.sum(axis=0) * x.shape[1],
    }[dbias_as]()
    dweight, dbias = (dweight / len(x), dbias / len(x)) if mean else (dweight, dbias)
    return tuple((dx, dweight, dbias)[i] for i in order)


def linear_backward_cases():
    """Return products with T = in = out, with two of them equal, and with all sizes different."""
    rng = np.random.default_rng(132)
    sizes = [(2, 2, 2), (3, 3, 3), (2, 3, 3), (3, 2, 2), (3, 3, 2), (2, 3, 4), (4, 2, 3), (3, 4, 2), (4, 4, 4), (1, 2, 3)] * 2

    def random(T, i, o):
        return Case((random_numbers(rng, T, o), random_numbers(rng, T, i), random_numbers(rng, o, i)), random=True)

    return [
        Case((array([[1, 2]]), array([[3, 5]]), array([[1, 0], [4, 2]]))),
        Case((array([[1, 2], [0, 1]]), array([[3, 5], [1, 2]]), array([[1, 0], [4, 2]]))),
        Case((array([[1, 2, 0], [0, 1, 3]]), array([[3, 5], [1, 2]]), array([[1, 0], [4, 2], [5, 1]]))),
        Case((array([[1, 2], [0, 1], [3, 0]]), array([[3], [1], [2]]), array([[4], [5]]))),
        *(random(*size) for size in sizes),
    ]


LINEAR_BACKWARD = Exercise(
    name="linear_backward",
    notebook="13",
    minutes=12,
    core=True,
    signature="linear_backward(dy, x, weight)",
    task="The forward pass was y = x @ weight.T + bias. dy, (T, out), is the gradient of the loss for y. Return the gradients "
    "(dx, dweight, dbias), with the shapes of x (T, in), weight (out, in) and bias (out,). The same weight and bias were used "
    "for all T rows.",
    reference=linear_backward,
    variant=linear_backward_variant,
    package_name="neo_np.gpt_neo.backward.linear_backward",
    also_right=(linear_backward_loop,),
    cases=linear_backward_cases,
    mistakes=(
        mistake(
            "transposed",
            {"dweight_as": "x^T dy"},
            "dweight is transposed: it has the shape (in, out).",
            "dweight has the shape of weight. Which of the two factors, dy or x, must be turned, so that out comes first?",
        ),
        mistake(
            "dx_turned",
            {"dx_as": "turned"},
            "dx is transposed: it has the shape (in, T).",
            "dx has the shape of x. Which of the two factors, dy or weight, comes first, so that T comes first?",
        ),
        mistake(
            "weight_transposed",
            {"dx_as": "dy weight^T"},
            "in dx the weight is transposed, as in the forward pass.",
            "(T, out) @ (?, ?) must give (T, in). Which shape does weight have?",
        ),
        mistake(
            "bias_not_summed",
            {"dbias_as": "unsummed"},
            "dbias is dy itself: the rows are not summed.",
            "The same bias was added to each of the T rows. How many slopes does one number of it collect?",
        ),
        mistake(
            "dx_uses_x",
            tuple({"dx_as": way} for way in ("x weight", "x weight^T", "dy x", "dy x^T x", "y weight")),
            "dx is computed from x. In a product, the slope for one factor is the other factor.",
            "y = x * w: if x grows by 1, by how much does y grow?",
        ),
        mistake(
            "dweight_uses_weight",
            ({"dweight_as": "dy weight"}, {"dweight_as": "dx^T x"}),
            "dweight is computed from weight or dx. In a product, the slope for one factor is the other factor.",
            "y = x * w: if w grows by 1, by how much does y grow?",
        ),
        mistake(
            "rows_not_turned",
            {"dweight_as": "dy x"},
            "in dweight nothing is transposed.",
            "(?, ?) @ (T, in) must give (out, in). Which of the two factors must be turned?",
        ),
        mistake(
            "bias_over_outputs",
            {"dbias_as": "outputs"},
            "dbias is summed over the outputs, so it has one number for each row.",
            "dbias has the shape of bias, (out,). Which axis must disappear?",
        ),
        mistake(
            "bias_over_everything",
            ({"dbias_as": "everything"}, {"dbias_as": "one number"}),
            "dbias is the sum of everything.",
            "dbias has one number for each output. Which axis must disappear?",
        ),
        mistake(
            "bias_keeps_rows",
            {"dbias_as": "kept"},
            "dbias has the shape (1, out).",
            "dbias has the shape of bias, (out,). What does keepdims do?",
        ),
        mistake(
            "bias_averaged",
            {"dbias_as": "mean"},
            "dbias is the mean of the rows and not their sum.",
            "A value that is used T times collects T slopes. Are they added or averaged?",
        ),
        mistake(
            "bias_from_x",
            {"dbias_as": "x"},
            "dbias is the sum of the rows of x.",
            "y = x * w + b: if b grows by 1, by how much does y grow? Does x play a part in it?",
        ),
        mistake(
            "bias_is_1",
            {"dbias_as": "ones"},
            "dbias is 1 everywhere: the slope of y, and not of the loss.",
            "The chain rule multiplies the slope of y by the gradient that arrives at y. Which argument is that?",
        ),
        mistake(
            "dweight_averaged",
            {"dweight_as": "mean"},
            "dweight is divided by T.",
            "A value that is used T times collects T slopes. Are they added or averaged?",
        ),
        mistake(
            "last_row_only",
            ({"dweight_as": "last"}, {"dbias_as": "last"}, {"dweight_as": "last", "dbias_as": "last"}),
            "dweight or dbias has only the slopes of the last row: each row writes over the one before.",
            "What is the difference between `=` and `+=` in a loop over the rows?",
        ),
        mistake(
            "bias_in_inner_loop",
            {"dbias_as": "for each input"},
            "dbias is `in` times as large as it should be: its line runs once for each input.",
            "bias[o] was added once for each t and o. In which of your loops does its line belong?",
        ),
        mistake(
            "star_for_at",
            ({"dx_as": "dy * weight"}, {"dweight_as": "dy * x"}, {"dx_as": "dy * weight", "dweight_as": "dy * x"}),
            "`*` multiplies entry by entry, and a sum of products is needed.",
            "dx[t, i] adds up products over all outputs o. Which operator multiplies and adds?",
        ),
        mistake(
            "averaged",
            {"mean": True},
            "dweight and dbias are divided by T.",
            "A value that is used T times collects T slopes. Are they added or averaged?",
        ),
        mistake(
            "dy_ignored",
            ({"dy_used": False}, {"dx_as": "weight"}, {"dweight_as": "x"}),
            "dy is missing in a gradient: it is the slope of the sum of y, and not of the loss.",
            "The chain rule multiplies the slope of y by the gradient that arrives at y. Which argument is that?",
        ),
        OTHER_ORDER,
    ),
    hints=(
        "y[t, o] is a sum of products x[t, i] weight[o, i], plus bias[o]. In a product, the slope for one factor is the other "
        "factor, times dy. A value that was used several times collects the sum of its slopes.",
        "dx: (T, out) @ (out, in) -> (T, in). dweight: (out, T) @ (T, in) -> (out, in). dbias: the T rows of dy added up, "
        "(out,).",
        "dx = dy @ ...  # (T, in)\n"
        "dweight = ... @ x  # (out, in)\n"
        "dbias = dy.sum(axis=...)  # (out,)\n"
        "return dx, dweight, dbias",
    ),
    notes={
        "rows @ weight": "dx: not transposed, because in the forward pass the weight was transposed.",
        "rows.T @ x_rows": "dweight: summed over all rows. dbias has a function of its own, sum_over_rows(dy).",
    },
)


# layer_norm_backward


def layer_norm_backward(dy, x, weight, eps):
    """Return dx, dweight and dbias: an entry changes its row directly, through the mean, and through the deviation s."""
    centered = x - x.mean(axis=-1, keepdims=True)
    s = np.sqrt((centered**2).mean(axis=-1, keepdims=True) + eps)
    n = centered / s
    dn = dy * weight
    through_mean = dn.mean(axis=-1, keepdims=True)
    through_s = n * (dn * n).mean(axis=-1, keepdims=True)
    dx = (dn - through_mean - through_s) / s
    return dx, (dy * n).sum(axis=0), dy.sum(axis=0)


def layer_norm_backward_by_matrix(dy, x, weight, eps):
    """Build the whole table of slopes dn[i] / dx[j] of each row."""
    C = x.shape[1]
    dx, dweight = np.zeros_like(x), np.zeros_like(weight)
    for t, row in enumerate(x):
        s = np.sqrt(row.var() + eps)
        n = (row - row.mean()) / s
        slopes = (np.eye(C) - 1 / C - np.outer(n, n) / C) / s
        dx[t] = slopes @ (dy[t] * weight)
        dweight += dy[t] * n
    return dx, dweight, dy.sum(axis=0)


def layer_norm_backward_variant(
    dy,
    x,
    weight,
    eps,
    mean=True,
    variance=True,
    signs=(-1, -1),
    gain="once",
    use_eps="under the root",
    root=True,
    over_s="all",
    axis=-1,
    norm_axis=-1,
    average=True,
    n_in_s="n",
    dweight_of="n",
    params_of="dy",
    dbias_of="dy",
    summed=True,
    order=(0, 1, 2),
    freedom=0,
):
    """layer_norm_backward with a switch for each mistake."""
    centered = x - x.mean(axis=norm_axis, keepdims=True)
    s = x.var(axis=norm_axis, keepdims=True, ddof=freedom) + (eps if use_eps == "under the root" else 0)
    s = (np.sqrt(s) if root else s) + (eps if use_eps == "outside" else 0)
    n = centered / s
    dn = dy * weight if gain == "once" else dy
    axis = norm_axis if norm_axis == 0 else axis
    count = 1 if average else dn.size if axis is None else dn.shape[axis]
    through_mean = signs[0] * dn.mean(axis=axis, keepdims=True) * count if mean else 0
    inner = {"n": n, "nothing": n, "one": 1, "centered": n, "centered twice": centered, "centered inside": centered}[n_in_s]
    outer = {"n": n, "nothing": 1, "one": n, "centered": centered, "centered twice": centered, "centered inside": n}[n_in_s]
    product = (dn * inner).mean(axis=axis, keepdims=True) * count
    through_s = signs[1] * outer * product if variance else 0
    dx = {
        "all": lambda: (dn + through_mean + through_s) / s,
        "nothing": lambda: dn + through_mean + through_s,
        "third": lambda: dn + through_mean + through_s / s,
        "times": lambda: (dn + through_mean + through_s) * s,
    }[over_s]()
    dx = dx * weight if gain == "after" else dx
    dweight = (dy if params_of == "dy" else dy * weight) * {"n": n, "x": x, "centered": centered, "one": 1}[dweight_of]
    dbias = dy * weight if "dn" in (params_of, dbias_of) else dy
    if summed is True:
        dweight, dbias = dweight.sum(axis=0), dbias.sum(axis=0)
    elif summed == "mean":
        dweight, dbias = dweight.mean(axis=0), dbias.mean(axis=0)
    elif summed == "channels":
        dweight, dbias = dweight.sum(axis=1), dbias.sum(axis=1)
    return tuple((dx, dweight, dbias)[i] for i in order)


def layer_norm_backward_cases():
    """Return rows with T = C and with T and C different; eps is large, so that a forgotten one shows."""
    rng = np.random.default_rng(133)

    def random(T, C, eps):
        weight, x = (1 + random_numbers(rng, C) / 4).astype(np.float32), random_numbers(rng, T, C)
        while x.std(axis=-1).min() < 0.3:  # without eps, a row of nearly equal numbers is nothing but rounding
            x = random_numbers(rng, T, C)
        return Case((random_numbers(rng, T, C), x, weight, eps), random=True)

    sizes = [(2, 2), (3, 3), (4, 4), (2, 3), (3, 2), (2, 5), (5, 3), (4, 6), (1, 4), (6, 4)] * 2
    return [
        Case((array([[1, 0, 2]]), array([[1, 2, 6]]), array([1, 1, 1]), 0.5)),
        Case((array([[1, 0, 2], [0, 3, 1]]), array([[1, 2, 6], [0, 4, 5]]), array([1, 2, 3]), 0.5)),
        Case((array([[1, 0, 2], [0, 3, 1], [2, 2, 0]]), array([[1, 2, 6], [0, 4, 5], [3, 1, 9]]), array([2, 1, -1]), 0.25)),
        Case((array([[1, 0, 2], [0, 3, 1]]), array([[3, 3, 3], [1, 2, 3]]), array([1, 2, 1]), 0.5)),
        *(random(T, C, eps) for (T, C), eps in zip(sizes, [0.25, 1.0, 0.5, 0.3, 2.0] * 4)),
    ]


LAYER_NORM_BACKWARD = Exercise(
    name="layer_norm_backward",
    notebook="13",
    minutes=18,
    signature="layer_norm_backward(dy, x, weight, eps)",
    task="The forward pass was y = n weight + bias, n = (x - mean) / s, s = sqrt(variance + eps), row by row. dy, (T, C), is "
    "the gradient of the loss for y. Return (dx, dweight, dbias), with the shapes of x (T, C), weight (C,) and bias (C,). Mean "
    "and s depend on x too.",
    reference=layer_norm_backward,
    variant=layer_norm_backward_variant,
    package_name="neo_np.gpt_neo.backward.layer_norm_backward",
    also_right=(layer_norm_backward_by_matrix,),
    tolerance=DEEP_TOLERANCE,
    cases=layer_norm_backward_cases,
    mistakes=(
        mistake(
            "mean_constant",
            {"mean": False},
            "the mean is treated as a constant: the way through the mean is missing.",
            "If one entry of the row grows, what happens to the mean, and so to all other entries of n?",
        ),
        mistake(
            "variance_constant",
            {"variance": False},
            "the variance is treated as a constant: the way through s is missing, or it comes out as 0.",
            "If one entry of the row grows, what happens to s? (mean(dn * n) is not mean(dn) times mean(n), which is 0.)",
        ),
        mistake(
            "gain_forgotten",
            {"gain": "never"},
            "dx does not use weight.",
            "y = n weight + bias. What must dy be multiplied by, to become the gradient for n?",
        ),
        mistake(
            "gain_at_the_end",
            {"gain": "after"},
            "dx is multiplied by weight at the end. Going backwards, the gain comes first.",
            "The gain was the last step of the forward pass. Which step is it in the backward pass?",
        ),
        mistake(
            "no_eps",
            {"use_eps": "nowhere"},
            "eps is missing in s.",
            "s must be the same number as in the forward pass. What was under the root?",
        ),
        mistake(
            "eps_outside",
            {"use_eps": "outside"},
            "eps is added to the root and not under it.",
            "s must be the same number as in the forward pass. What was under the root?",
        ),
        mistake(
            "no_root",
            {"root": False},
            "s is the variance: the root is missing.",
            "s must be the same number as in the forward pass. What did it do after variance + eps?",
        ),
        mistake(
            "n_minus_1",
            {"freedom": 1},
            "in s the sum of the squares is divided by C - 1 and not by C.",
            "How many squares are there in a row, and what is their mean? (`ddof=1` divides by one less.)",
        ),
        mistake(
            "plus_for_minus",
            ({"signs": (1, 1)}, {"signs": (1, -1)}, {"signs": (-1, 1)}),
            "the way through the mean or through s is added and not subtracted.",
            "If the mean of the row grows, does n become larger or smaller?",
        ),
        mistake(
            "not_divided",
            ({"over_s": "nothing"}, {"over_s": "times"}),
            "dx is not divided by s.",
            "n = (x - mean) / s. If s is large, does a change of x move n much or little?",
        ),
        mistake(
            "dx_is_dn",
            {"over_s": "nothing", "mean": False, "variance": False},
            "dx is dn itself: the way back ends at the gain, and does not lead through n = (x - mean) / s.",
            "dn is the gradient for n. What must it become, to be the gradient for x?",
        ),
        mistake(
            "bracket_missing",
            {"over_s": "third"},
            "only the last of the three terms is divided by s.",
            "In which order does Python compute a - b - c / s? What does a bracket change?",
        ),
        mistake(
            "columns_levelled",
            {"norm_axis": 0},
            "all means go down the columns (axis 0), those of n and s too.",
            "Layer norm levels each row by itself. Which axis has the C entries of a row?",
        ),
        mistake(
            "everything",
            ({"axis": None}, {"axis": None, "norm_axis": None}),
            "the means go over all rows together.",
            "Each row was levelled by itself. How many means does a table of T rows need?",
        ),
        mistake(
            "time_axis",
            {"axis": 0},
            "the two means go down the columns (axis 0).",
            "Each row was levelled by itself. Which entries can an entry of x change?",
        ),
        mistake(
            "sum_for_mean",
            {"average": False},
            "the two ways are sums over the row and not means.",
            "The mean is the sum divided by C. How much does it move if one entry grows by 1?",
        ),
        mistake(
            "n_missing",
            ({"n_in_s": "nothing"}, {"n_in_s": "one"}),
            "in the way through s a factor n is missing: it occurs twice, inside the mean and before it.",
            "If s grows, all entries of n shrink towards 0. Which ones shrink most, the large or the small ones?",
        ),
        mistake(
            "centered_for_n",
            ({"n_in_s": "centered"}, {"n_in_s": "centered twice"}, {"n_in_s": "centered inside"}),
            "the way through s uses x - mean and not n.",
            "n is (x - mean) / s. In which places of the formula does n occur?",
        ),
        mistake(
            "dweight_from_x",
            ({"dweight_of": "x"}, {"dweight_of": "centered"}),
            "dweight is made from x and not from n.",
            "y = n weight + bias. In a product, the slope for one factor is the other factor. Which one is it here?",
        ),
        mistake(
            "dweight_without_n",
            {"dweight_of": "one"},
            "dweight is the sum of dy: the factor n is missing.",
            "y = n weight + bias. If weight grows by 1, by how much does y grow?",
        ),
        mistake(
            "gradients_from_dn",
            ({"params_of": "dn"}, {"params_of": "dn, dweight only"}),
            "dweight is made from dn and not from dy.",
            "dn is the gradient behind the gain. Which gradient arrives at the gain itself?",
        ),
        mistake(
            "dbias_with_gain",
            {"dbias_of": "dn"},
            "dbias is multiplied by weight.",
            "The bias was added after the gain. Does the gain lie on its way to the loss?",
        ),
        mistake(
            "not_summed",
            {"summed": False},
            "dweight and dbias are not summed over the rows.",
            "The same weight and bias were used for each of the T rows. Which shape must their gradients have?",
        ),
        mistake(
            "summed_over_channels",
            {"summed": "channels"},
            "dweight and dbias are summed over the channels, so they have one number for each row.",
            "They have the shape of weight and bias, (C,). Which axis must disappear?",
        ),
        mistake(
            "averaged",
            {"summed": "mean"},
            "dweight and dbias are means over the rows.",
            "A value that is used T times collects T slopes. Are they added or averaged?",
        ),
        OTHER_ORDER,
    ),
    hints=(
        "Work out n and s as in the forward pass. Then three ways lead from an entry of x to the loss: directly, through the "
        "mean, and through s.",
        "dn = dy * weight is (T, C). From it subtract its mean over the row, (T, 1), and n times the mean of dn * n, (T, 1). "
        "Then divide by s. dweight and dbias are sums over the rows.",
        "centered = ...\n"
        "s = np.sqrt(... + eps)  # (T, 1)\n"
        "n = centered / s\n"
        "dn = ...\n"
        "through_mean = dn.mean(axis=-1, keepdims=True)\n"
        "through_s = n * (...).mean(axis=-1, keepdims=True)\n"
        "dx = (...) / s\n"
        "return dx, (dy * ...).sum(axis=0), ...",
    ),
    notes={
        "dn = dy * weight": "First back through the gain.",
        "dn.sum(axis=-1, keepdims=True) / C": "The way through the mean.",
        "n * ((dn * n).sum(axis=-1, keepdims=True) / C)": "The way through s.",
    },
)

EXERCISES = (NUMERICAL_GRADIENT, CROSS_ENTROPY_BACKWARD, LINEAR_BACKWARD, LAYER_NORM_BACKWARD)
