"""Exercises of notebook 05, one head: softmax, causal_mask, attend."""

import math

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, array, mistake, random_numbers

LOWEST = np.finfo(np.float32).min
FACTOR = mistake(
    "factor",
    {"form": "factor"},
    "the mask has 1 for visible and 0 for hidden, as if the scores were multiplied by it.",
    "The mask is added. What must you add to a score so that its weight becomes 0?",
)
VISIBLE_IS_1 = mistake(
    "visible_is_1",
    {"form": "visible_is_1"},
    "visible places have 1 and not 0.",
    "Which number changes nothing when it is added?",
)
HIGH = mistake(
    "high",
    {"form": "high"},
    "hidden places have a very high number: they would get all the weight.",
    "What is exp of a very high number, and what is exp of a very low one?",
)
BOOLEANS = mistake(
    "booleans",
    ({"form": "bool"}, {"form": "int"}),
    "the mask says True and False (or 1 and 0), and numbers to add were asked for.",
    "`np.where(condition, a, b)` makes numbers of a condition. What are a and b here?",
)
TRANSPOSED = mistake(
    "transposed",
    {"transposed": True},
    "rows and columns are exchanged: the rows should be queries.",
    "Which of the two needs a new axis at the end, `queries[:, None]` or `keys[:, None]`?",
)
NO_NEW_AXIS = mistake(
    "no_new_axis",
    {"pairs": True},
    "each query is compared only with the key of the same number, and not with all keys.",
    "What shape must the queries have, so that each one meets all keys? (`queries[:, None]` is worth a look.)",
)
NOT_LOW_ENOUGH = mistake(
    "not_low_enough",
    tuple({"form": hidden} for hidden in (-1.0, -10.0, -100.0, -1000.0, -10000.0, "minus_1")),
    "hidden places get a number that is not low enough: scores can be large too.",
    "What is a score of 20000 plus your number, and how much weight would it get beside a score of 0?",
)

# softmax


def softmax(x):
    """Return exp(x) / sum(exp(x)) of each row; subtracting the row's maximum avoids overflow and cancels out."""
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_loop(x):
    """Compute each weight by itself."""
    weights = np.zeros_like(x)
    for t, row in enumerate(x):
        powers = [math.exp(score - max(row)) for score in row]
        weights[t] = [power / sum(powers) for power in powers]
    return weights


def softmax_variant(
    x,
    axis=-1,
    sum_axis=None,
    keepdims=True,
    keep_maximum=True,
    keep_sum=True,
    maximum="row",
    base="exp",
    inside=False,
    log=False,
    divide=True,
    turned=False,
    lowered="before",
    summed="powers",
    unshifted_top=False,
):
    """Softmax with a switch for each mistake."""
    shift = {
        "row": lambda: x.max(axis, keepdims=keepdims and keep_maximum),
        "all": x.max,
        "none": lambda: 0.0,
        "mean": lambda: x.mean(axis, keepdims=True),
        "columns": lambda: x.max(axis=0),
    }[maximum]()
    power = {"exp": np.exp, "2": np.exp2, "none": lambda y: y}[base]
    x, shift = (shift, x) if turned else (x, shift)
    powers = {
        "before": lambda: power(x - shift),
        "after": lambda: power(x) - shift,
        "divided": lambda: power(x / shift),
        "clipped": lambda: power(np.clip(x, -50, 50)),
        "clipped_above": lambda: power(np.minimum(x, 50)),
    }[lowered]()
    terms = {
        "powers": lambda: powers,
        "mean": lambda: powers,
        "scores": lambda: x,
        "lowered": lambda: x - shift,
        "unshifted": lambda: power(x),
    }[summed]()
    total = terms.sum(axis if sum_axis is None else sum_axis[0], keepdims=keepdims and keep_sum)
    total = total / x.shape[-1] if summed == "mean" else total
    top = power(x) if unshifted_top else powers
    weights = power((x - shift) / total) if inside else top / (total if divide else 1.0)
    return np.log(weights) if log else weights


def softmax_cases():
    """Return small rows by hand, rows with very large and very low scores, then random ones."""
    rng = np.random.default_rng(5)
    shapes = [(2, 2), (3, 3), (4, 4), (1, 5), (5, 1), (2, 3), (3, 2), (4, 6), (6, 4), (3, 5)] * 3
    return [
        Case((array([[1, 2, 3]]),)),
        Case((array([[0, 1], [2, 5]]),)),
        Case((array([[1, 2, 3], [3, 0, 1]]),)),
        Case((array([[2, 0, 1], [0, 4, 1], [1, 1, 3]]),)),
        Case((array([[0], [2]]),)),
        Case((array([[1000, 999, 998]]),), extreme=True),
        Case((array([[-1000, -1001], [-2000, -2001]]),), extreme=True),
        Case((array([[1000, 999, 0], [1, 2, 3]]),), extreme=True),
        Case((array([[0, LOWEST, LOWEST], [1, 2, LOWEST]]),), extreme=True),
        *(Case((random_numbers(rng, *shape),), random=True) for shape in shapes),
    ]


SOFTMAX = Exercise(
    name="softmax",
    notebook="05",
    minutes=10,
    core=True,
    signature="softmax(x)",
    task="Turn each row of the scores x, (T, S), into weights: exp(x) divided by the sum of exp(x) over the row. Very large "
    "scores must not overflow.",
    reference=softmax,
    variant=softmax_variant,
    package_name="neo_np.gpt_neo.forward.softmax",
    also_right=(softmax_loop,),
    cases=softmax_cases,
    mistakes=(
        mistake(
            "overflow",
            ({"maximum": "none"}, {"maximum": "mean"}),
            "`exp` of a large score overflows: exp(1000) is inf, and inf / inf is nan.",
            "Softmax stays the same if you subtract one number from all scores of a row. Which number makes all of them at "
            "most 0?",
        ),
        mistake(
            "one_maximum",
            {"maximum": "all"},
            "you subtract the maximum of the whole array. In a row of much lower scores every `exp` becomes 0, and 0 / 0 is "
            "nan.",
            "Which maximum does each row need, so that its own largest score becomes 0?",
        ),
        mistake(
            "axis",
            ({"axis": 0}, {"sum_axis": (0,)}),
            "the sum goes down the columns (axis 0), so each column adds up to 1.",
            "One row holds all scores of one token. Which axis runs along a row?",
        ),
        mistake(
            "everything",
            ({"axis": None}, {"sum_axis": (None,)}, {"sum_axis": (None,), "maximum": "all"}),
            "you divide by the sum of the whole array, so all rows together add up to 1.",
            "Each row must add up to 1 by itself. Which argument of `sum` does that?",
        ),
        mistake(
            "no_keepdims",
            ({"keepdims": False}, {"keepdims": False, "maximum": "all"}, {"keep_maximum": False}, {"keep_sum": False}),
            "`sum` or `max` drops the axis: its result has shape (T,), and NumPy lines that up with the columns.",
            "What shape must the row sums have, so that each one meets its own row? (`keepdims` is the word to look up.)",
        ),
        mistake(
            "not_divided",
            ({"divide": False}, {"divide": False, "maximum": "none"}, {"divide": False, "maximum": "all"}),
            "the division by the sum is missing, so the rows do not add up to 1.",
            "By which number must a row of positive numbers be divided, so that it adds up to 1?",
        ),
        mistake(
            "division_inside",
            ({"inside": True}, {"inside": True, "maximum": "none"}),
            "the division happens inside `exp`: you compute exp(x / sum) and not exp(x) / sum.",
            "Which brackets close too late?",
        ),
        mistake(
            "no_exp",
            ({"base": "none", "maximum": "none"}, {"base": "none"}),
            "the scores themselves are divided by their sum, without `exp`.",
            "Scores may be negative, and weights may not. Which function makes every number positive?",
        ),
        mistake(
            "base_2", {"base": "2"}, "you use powers of 2 and not powers of e.", "Which function of NumPy is e to the power x?"
        ),
        mistake(
            "turned",
            ({"turned": True}, {"turned": True, "maximum": "none"}),
            "the sign is turned: the largest score of a row gets the smallest weight, as in exp(largest - x).",
            "What is larger: exp(3 - 1) or exp(1 - 3)? Which of them should belong to the larger score?",
        ),
        mistake(
            "logarithm",
            {"log": True},
            "the result is the logarithm of the softmax.",
            "Weights lie between 0 and 1. Which step takes you out of that range?",
        ),
        mistake(
            "sum_of_scores",
            ({"summed": "scores"}, {"summed": "lowered"}),
            "you divide by the sum of the scores and not by the sum of their `exp`.",
            "The weights must add up to 1. So what must be added up: x or exp(x)?",
        ),
        mistake(
            "sum_not_shifted",
            ({"summed": "unshifted"}, {"unshifted_top": True}),
            "the largest score is subtracted in only one of the two `exp`, so it does not cancel out.",
            "The factor exp(-m) cancels out if it is above the line and below it. Where is it in your code?",
        ),
        mistake(
            "subtracted_after_exp",
            {"lowered": "after"},
            "the largest score is subtracted from exp(x) and not from x.",
            "Where must you subtract, so that `exp` never gets a large number?",
        ),
        mistake(
            "divided_by_largest",
            {"lowered": "divided"},
            "the scores are divided by the largest one, which changes their differences.",
            "Which operation with the largest score keeps the differences between the scores?",
        ),
        mistake(
            "clipped",
            ({"lowered": "clipped"}, {"lowered": "clipped_above"}),
            "large scores are cut off at a limit, so those above it become equal.",
            "Which number can be subtracted from all scores of a row, so that they keep their differences and are at most 0?",
        ),
        mistake(
            "maximum_of_columns",
            {"maximum": "columns"},
            "the largest score of each column is subtracted, so the differences in a row change.",
            "Which axis runs along a row? And which number must be the same for all scores of a row?",
        ),
        mistake(
            "mean_for_sum",
            {"summed": "mean"},
            "you divide by the mean, so a row of S weights adds up to S.",
            "What must the weights of a row add up to? By what must they be divided for this?",
        ),
    ),
    blanks=(
        "largest = x.max(axis=..., keepdims=...)  # (T, 1)\n"
        "e = np.exp(...)  # (T, S), at most 1\n"
        "return e / ...  # the sum of each row, (T, 1)"
    ),
    hints=(
        "A weight must be positive, and the weights of a row must add up to 1. `exp` makes every score positive; a division "
        "by the row's sum does the rest. Before that, subtract the row's largest score, so that no `exp` is larger than 1.",
        "x is (T, S). The largest score of each row and the sum of each row must be (T, 1), so that they meet (T, S) row by "
        "row: "
        "`keepdims=True`. The result is (T, S) again.",
        "largest = x.max(axis=-1, keepdims=True)  # (T, 1)\n"
        "e = np.exp(...)  # (T, S), at most 1\n"
        "return e / e.sum(...)  # (T, 1) again",
    ),
    notes={
        "x.max(axis=-1, keepdims=True)": "The largest score of each row. keepdims leaves (T, 1), so that it meets (T, S) row "
        "by row.",
        "e.sum(axis=-1, keepdims=True)": "One sum for each row. The last axis holds the keys, whatever comes before it.",
    },
)


# causal_mask


def causal_mask(queries, keys):
    """Return 0 where a query may see a key (its own position or an earlier one), else the lowest float32."""
    return np.where(keys <= queries[:, None], np.float32(0), LOWEST)


def mask_of(visible, form):
    """Return the mask of the visible keys: form "added", or that of a mistake; a number is that of the hidden places."""
    return {
        "added": lambda: np.where(visible, 0.0, LOWEST),
        "factor": lambda: np.where(visible, 1.0, 0.0),
        "hidden_is_1": lambda: np.where(visible, 0.0, 1.0),
        "high": lambda: np.where(visible, 0.0, -LOWEST),
        "visible_is_1": lambda: np.where(visible, 1.0, LOWEST),
        "bool": lambda: visible,
        "int": lambda: visible.astype(int),
        "small": lambda: np.where(visible, 0.0, -1e-9),
        "minus_1": lambda: np.where(visible, 0, -1),
        "nothing": lambda: np.zeros(visible.shape),
    }.get(form, lambda: np.where(visible, 0.0, form))()


def causal_mask_variant(
    queries,
    keys,
    strict=False,
    upper=False,
    inverted=False,
    start=None,
    form="added",
    transposed=False,
    pairs=False,
    ahead=0,
):
    """causal_mask with a switch for each mistake."""
    T, S = len(queries), len(keys)
    queries, keys = {
        None: (queries, keys),
        "zero": (np.arange(T), np.arange(S)),
        "end": (np.arange(S - T, S), np.arange(S)),
    }[start]
    distance = (queries if pairs else queries[:, None]) - keys
    distance = -distance if upper else distance
    visible = distance > 0 if strict else distance >= -ahead
    visible = ~visible if inverted else visible
    mask = mask_of(visible, form)
    return mask.T if transposed else mask


def hidden_is_lowest(numbers):
    """Take every number below -10,000, and -inf, as -1e9: in a mask or a logit, each makes the weight 0. High ones likewise."""
    numbers = np.where(numbers < -1e4, -1e9, numbers)
    return np.where(numbers > 1e4, 1e9, numbers).astype(np.float32)


def causal_mask_cases():
    """Return masks of whole texts, and of the last tokens of longer texts."""
    sizes = [(1, 1), (2, 2), (3, 3), (2, 4), (1, 3), (3, 5), (4, 4), (2, 5), (4, 6), (1, 5), (5, 7), (6, 6)]
    cases = [Case((np.arange(S - T, S), np.arange(S))) for T, S in sizes]
    positions = [([5, 6], [4, 5, 6]), ([7, 8, 9], [7, 8, 9]), ([2], [0, 1, 2, 3]), ([0, 1, 2], [0, 1]), ([3, 5], [1, 3, 4, 5])]
    return cases + [Case((np.array(queries), np.array(keys)), extreme=True) for queries, keys in positions]


CAUSAL_MASK = Exercise(
    name="causal_mask",
    notebook="05",
    minutes=10,
    core=True,
    signature="causal_mask(queries, keys)",
    task="Return the mask, (T, S), that is added to the scores: 0.0 where the token at position queries[t] may look at "
    "position "
    "keys[s], and a very low number such as -1e9 where it may not. A token sees itself and the tokens before it. queries and "
    "keys are arrays of positions, (T,) and (S,).",
    reference=causal_mask,
    variant=causal_mask_variant,
    package_name="neo_np.gpt_neo.forward.causal_mask",
    cases=causal_mask_cases,
    compare_as=hidden_is_lowest,
    mistakes=(
        mistake(
            "strict",
            {"strict": True},
            "a token does not see itself.",
            "The first token has only itself to look at. What does its row of the mask look like?",
        ),
        mistake(
            "upper",
            {"upper": True},
            "the mask lets each token see itself and the future, and hides the past.",
            "While a text is written, which tokens exist already: those before or those after?",
        ),
        mistake(
            "inverted",
            {"inverted": True},
            "0 and the low number are exchanged: what may be seen is hidden, and what must be hidden can be seen.",
            "The mask is added to the scores. Which number leaves a score as it is?",
        ),
        mistake(
            "from_zero",
            ({"start": "zero"}, {"start": "end"}),
            "the mask counts rows and columns and does not look at the positions.",
            "If only the last 2 of 5 tokens ask, what is the position of the first row's token?",
        ),
        FACTOR,
        mistake(
            "hidden_is_1",
            {"form": "hidden_is_1"},
            "hidden places have 1: adding 1 to a score makes it larger.",
            "What must you add to a score so that `exp` of it becomes 0?",
        ),
        VISIBLE_IS_1,
        HIGH,
        BOOLEANS,
        mistake(
            "nothing_hidden",
            ({"form": "nothing"}, {"form": "small"}),
            "nothing is hidden: the mask is 0 everywhere, or as good as 0 (1e-9 is small, -1e9 is low).",
            "Which comparison says that a key lies in the future, and which number does a hidden place get?",
        ),
        NO_NEW_AXIS,
        TRANSPOSED,
        mistake(
            "one_ahead",
            {"ahead": 1},
            "each token also sees the one after it.",
            "What is queries minus keys for the next token? Should it be visible?",
        ),
        NOT_LOW_ENOUGH,
    ),
    hints=(
        "A key is visible if its position is not later than the query's. Compare every query with every key, then turn True "
        "and "
        "False into 0 and a very low number.",
        "queries[:, None] is (T, 1) and keys is (S,): comparing them gives (T, S), one row for each query.",
        "visible = keys <= ...  # (T, S), True or False\nreturn np.where(visible, ..., ...)  # 0.0 where visible, else very "
        "low",
    ),
    notes={"distance >= 0": "A key at distance 0 is the token itself; a negative distance is the future."},
)


# attend


def attend(q, k, v, mask):
    """Return softmax(q k^T + mask) v: for each query the mean of the values, weighted by how well the keys fit."""
    weights = softmax(q @ k.T + mask)
    return weights @ v


def attend_loop(q, k, v, mask):
    """Work out one query at a time."""
    rows = []
    for t in range(len(q)):
        scores = np.array([[q[t] @ key for key in k]]) + mask[t]
        rows.append(sum(weight * value for weight, value in zip(softmax(scores)[0], v)))
    return np.array(rows)


def attend_variant(
    q,
    k,
    v,
    mask,
    scale="none",
    masking="before",
    axis=-1,
    swap=False,
    values="v",
    give="mean",
    maximum="row",
    query_weights=False,
    normalize=True,
    upright=False,
    keys="k",
    keepdims=True,
):
    """Attend with a switch for each mistake."""
    compared = {"k": k, "v": v}[keys]
    scores = q @ compared if upright else compared @ q.T if swap else q @ compared.T
    scores = scores / {"none": 1.0, "sqrt": math.sqrt(q.shape[-1]), "D": q.shape[-1]}[scale]
    visible = mask == 0
    scores = {
        "before": lambda: scores + mask,
        "inverted": lambda: scores + np.where(visible, LOWEST, 0.0),
        "inverted_32": lambda: scores + np.where(visible, np.float32(-1e9), np.float32(0)),
        "inverted_64": lambda: scores + np.where(visible, -1e9, 0.0),
        "subtracted": lambda: scores - mask,
        "zero": lambda: np.where(visible, scores, 0.0),
        "multiplied": lambda: scores * mask,
        "multiplied_64": lambda: scores * mask.astype(np.float64),
        "counted": lambda: np.where(np.tri(*scores.shape) == 1, scores, LOWEST),
    }.get(masking, lambda: scores)()
    weights = softmax_variant(scores, axis=axis, maximum=maximum, keep_sum=keepdims) if normalize else scores
    weights = {"after": lambda: weights * visible, "added_after": lambda: weights + mask}.get(masking, lambda: weights)()
    if give == "weights":
        return weights
    weights = weights.T if query_weights else weights
    mean = weights @ {"v": v, "k": k, "q": q}[values]
    return mean / len(k) if give == "divided" else mean


def attend_cases():
    """Return heads with T = S = D, T = S, and all sizes different; masks that hide the future, something else, nothing."""
    rng = np.random.default_rng(55)
    sizes = [(1, 2, 2), (2, 2, 2), (3, 3, 3), (2, 3, 4), (3, 5, 2), (4, 4, 2), (4, 4, 3), (3, 4, 6), (5, 5, 4), (2, 6, 3)] * 2
    cases = [
        Case(
            (array([[1, 0], [0, 2]]), array([[1, 0], [1, 1]]), array([[1, 2], [3, 5]]), causal_mask(np.arange(2), np.arange(2)))
        ),
        Case(
            (
                array([[1, 1, 0], [0, 1, 2], [2, 0, 1]]),
                array([[0, 1, 1], [1, 0, 1], [1, 2, 0]]),
                array([[1, 0, 2], [0, 3, 1], [4, 1, 0]]),
                causal_mask(np.arange(3), np.arange(3)),
            )
        ),
    ]
    for T, S, D in sizes:
        mask = causal_mask(np.arange(S - T, S), np.arange(S))
        cases.append(Case((*(random_numbers(rng, n, D) / 2 for n in (T, S, S)), mask), random=True))
    q, k, v = (random_numbers(rng, 3, 2) for _ in range(3))
    cases.append(Case((q, k, v, np.zeros((3, 3), np.float32))))
    cases.append(Case((400 * q, 10 * k, v, causal_mask(np.arange(3), np.arange(3))), extreme=True))
    cases.append(Case((q, k, v, causal_mask(np.arange(3)[::-1], np.arange(3)))))
    return cases


ATTEND = Exercise(
    name="attend",
    notebook="05",
    minutes=15,
    core=True,
    signature="attend(q, k, v, mask)",
    task="One attention head. Compare each query with each key by a dot product, add the mask, turn each row of scores into "
    "weights "
    "with softmax, and use them to average the values. q (T, D), k and v (S, D), mask (T, S) -> (T, D).",
    reference=attend,
    variant=attend_variant,
    given=("softmax",),
    also_right=(attend_loop,),
    cases=attend_cases,
    mistakes=(
        mistake(
            "scaled",
            {"scale": "sqrt"},
            "the scores are divided by sqrt(D). Most models do divide, as the first transformer did; GPT-Neo does not.",
            "GPT-Neo was trained without the division. What happens to its weights if the scores are suddenly smaller?",
        ),
        mistake(
            "divided_by_D",
            {"scale": "D"},
            "the scores are divided by D.",
            "GPT-Neo uses the dot products as they are. Where do you change their size?",
        ),
        mistake(
            "no_mask",
            {"masking": "none"},
            "the mask has no effect: tokens see the future. Either it is not added, or the number added is too near to 0 "
            "(-1e-9).",
            "Where in your code does the mask meet the scores?",
        ),
        mistake(
            "mask_after_softmax",
            ({"masking": "after"}, {"masking": "added_after"}),
            "the mask comes after the softmax: the weights of a row that has hidden keys do not add up to 1 any more.",
            "If hidden scores are very low before the softmax, what are their weights, and what do the others add up to?",
        ),
        mistake(
            "mask_multiplied",
            ({"masking": "multiplied"}, {"masking": "multiplied_64"}),
            "the scores are multiplied by the mask: visible scores become 0, and hidden ones very large or very low.",
            "The mask is 0 where a key is visible. Which operation with 0 changes nothing?",
        ),
        mistake(
            "keys_not_transposed",
            {"upright": True},
            "`q @ k` takes the columns of k, and each query should meet the rows of k.",
            "(T, D) @ (?, ?) must give (T, S). Which of the two must be transposed?",
        ),
        mistake(
            "masked_score_is_0",
            {"masking": "zero"},
            "hidden scores are set to 0, and exp(0) is 1: a hidden token still gets weight.",
            "Which score gives the weight 0?",
        ),
        mistake(
            "mask_inverted",
            ({"masking": "inverted"}, {"masking": "inverted_32"}, {"masking": "inverted_64"}, {"masking": "subtracted"}),
            "the mask works the wrong way round: each token looks at those that it must not see.",
            "The mask is 0 where a key is visible. What should happen to the scores at these places?",
        ),
        mistake(
            "no_softmax",
            {"normalize": False},
            "the scores are used as weights: the softmax is missing.",
            "Weights are positive and add up to 1. Which function makes weights of a row of scores?",
        ),
        mistake(
            "query_axis",
            {"axis": 0},
            "the softmax runs over the queries (axis 0): the weights of one key add up to 1.",
            "Whose weights must add up to 1: those of one asking token, or those of one token that is looked at?",
        ),
        mistake(
            "swapped",
            {"swap": True},
            "q and k are exchanged: row t has the scores of key t and not of query t.",
            "In `a @ b.T`, the rows of which one become the rows of the result?",
        ),
        mistake(
            "keys_as_values",
            ({"values": "k"}, {"values": "q"}),
            "the weights average the keys (or the queries) and not the values.",
            "Keys say who fits. What says what is handed over?",
        ),
        mistake(
            "weights_returned",
            {"give": "weights"},
            "the result is the weights, and the last step is missing.",
            "The weights say how much of each value is wanted. What is the weighted mean?",
        ),
        mistake(
            "weights_transposed",
            {"query_weights": True},
            "the weights are transposed before they meet the values.",
            "Row t of the weights belongs to query t. Which product takes the mean over the keys for each row?",
        ),
        mistake(
            "overflow",
            {"maximum": "none"},
            "`exp` of a large score overflows, or every `exp` of a row is 0.",
            "Your own `softmax` takes care of this. Can you call it here?",
        ),
        mistake(
            "values_as_keys",
            ({"keys": "v"}, {"keys": "v", "values": "k"}),
            "the queries are compared with the values and not with the keys.",
            "Which of k and v says what a token has to offer, and which is handed over?",
        ),
        mistake(
            "mask_by_counting",
            {"masking": "counted"},
            "your code counts which keys come before, as `range(t + 1)` does, and does not look at the mask.",
            "Where does `mask` occur in your code? May it hide other keys than the later ones?",
        ),
        mistake(
            "averaged_twice",
            {"give": "divided"},
            "the weighted sum is divided by the number of keys; the weights add up to 1 already.",
            "If all values are 3, what is their weighted mean, and what does your function give?",
        ),
        mistake(
            "everything",
            {"axis": None},
            "the softmax runs over the whole table, so all weights together add up to 1.",
            "Whose weights must add up to 1: those of all tokens together, or those of one asking token?",
        ),
        mistake(
            "no_keepdims",
            ({"keepdims": False}, {"keepdims": False, "maximum": "none"}),
            "the sums of your own softmax have shape (T,), and NumPy lines that up with the columns.",
            "What shape must the sums have, so that each one meets its own row? Or can you call `softmax`?",
        ),
    ),
    hints=(
        "Four steps: scores, mask, weights, mean. The score of a query and a key is their dot product. The mask hides the "
        "future. "
        "Softmax makes weights of each row. The result is the mean of the values with these weights.",
        "q @ k.T is (T, S), and so are mask and weights. weights @ v is (T, D). GPT-Neo does not divide by sqrt(D).",
        "scores = q @ ...  # (T, S)\nweights = softmax(...)  # the mask is added before\nreturn ... @ v  # (T, D)",
    ),
)

EXERCISES = (SOFTMAX, CAUSAL_MASK, ATTEND)
