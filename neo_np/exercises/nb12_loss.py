"""Exercises of notebook 12, the loss: cross_entropy, perplexity, text_windows, bits_per_byte."""

import math

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, array, mistake, random_numbers

LOG_2 = math.log(2)
AXIS_0 = mistake(
    "axis_0",
    {"axis": 0},
    "the softmax runs down the columns, over the positions.",
    "Which axis has the V scores of one position?",
)
EVERYTHING = mistake(
    "everything",
    {"axis": None},
    "all scores of the table share one sum.",
    "The probabilities of each row add up to 1. How many sums do you need?",
)
NO_KEEPDIMS = mistake(
    "no_keepdims",
    {"keepdims": False},
    "the sums have shape (T,), and NumPy lines them up with the columns.",
    "What shape must they have, so that each one meets its own row?",
)

# cross_entropy


def cross_entropy(logits, targets):
    """Return -log softmax(logits)[target] for each row, without a division that could round to 0."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return -log_p[np.arange(len(targets)), targets]


def cross_entropy_loop(logits, targets):
    """Work out one row at a time, from the differences between each score and that of the target."""
    surprises = []
    for row, target in zip(logits.astype(float), targets):
        differences = row - row[target]
        largest = differences.max()
        surprises.append(largest + math.log(np.exp(differences - largest).sum()))
    return np.array(surprises)


def cross_entropy_variant(
    logits,
    targets,
    axis=-1,
    keepdims=True,
    shift=True,
    summed="shifted",
    way="logs",
    added=0.0,
    base=math.e,
    sign=-1,
    twice=False,
    again=False,
    pick="targets",
    give="each",
):
    """cross_entropy with a switch for each mistake."""
    if again:
        logits, targets = logits[:-1], targets[1:]
    if twice:
        e = np.exp(logits - logits.max(axis=-1, keepdims=True))
        logits = e / e.sum(axis=-1, keepdims=True)
    shifted = logits - (logits.max(axis, keepdims=keepdims) if shift else 0)
    total = np.exp(logits if summed == "logits" else shifted).sum(axis, keepdims=keepdims)
    total = total / logits.shape[1] if summed == "mean" else total
    log_p = {
        "logs": lambda: (shifted - np.log(total)) / math.log(base),
        "other_log": lambda: shifted - np.log(total) / math.log(base),
        "quotient": lambda: np.log(np.exp(shifted) / total + added) / math.log(base),
        "probability": lambda: np.exp(shifted) / total,
        "other_probability": lambda: np.exp(shifted) / total - 1,
        "scores": lambda: logits,
        "not_shifted": lambda: logits - np.log(total),
    }[way]()
    rows = np.arange(len(targets))
    picked = {
        "targets": lambda: log_p[rows, targets],
        "likeliest": lambda: log_p[rows, logits.argmax(axis=-1)],
        "columns": lambda: log_p[:, targets],
        "one_after": lambda: log_p[rows, (targets + 1) % logits.shape[1]],
        "first_row": lambda: log_p[0, targets],
        "row_before": lambda: log_p[rows - 1, targets],
        "V_rows": lambda: log_p[np.arange(logits.shape[1]), targets],
        "mean_of_all": lambda: (np.exp(log_p) * log_p).sum(axis=-1),
    }[pick]()
    return {"each": lambda: sign * picked, "mean": lambda: sign * picked.mean(), "sum": lambda: sign * picked.sum()}[give]()


def cross_entropy_cases():
    """Return tables with T = V and with T and V different, then scores so far apart that a probability rounds to 0."""
    rng = np.random.default_rng(12)

    def random(T, V):
        return Case((random_numbers(rng, T, V), rng.integers(0, V, T)), random=True)

    sizes = [(2, 2), (3, 3), (4, 4), (2, 3), (3, 2), (4, 3), (2, 5), (5, 4), (3, 6), (5, 5)] * 2
    return [
        Case((array([[0, 1, 2], [2, 1, 0]]), np.array([0, 1]))),
        Case((array([[1, 0, 3], [0, 2, 1], [4, 1, 0]]), np.array([0, 2, 1]))),
        Case((array([[0, 1], [3, 1], [2, -1]]), np.array([0, 1, 0]))),
        Case((array([[0, 0, 0, 0], [1, 3, 2, 0]]), np.array([3, 2]))),
        Case((array([[0, -2000, 1], [1, 0, -3000]]), np.array([1, 2])), extreme=True),
        Case((array([[2000, 1, 0], [0, 1, 3000]]), np.array([0, 2])), extreme=True),
        *(random(*size) for size in sizes),
    ]


CROSS_ENTROPY = Exercise(
    name="cross_entropy",
    notebook="12",
    minutes=12,
    core=True,
    signature="cross_entropy(logits, targets)",
    task="Return the surprise at each position, (T,): -log p of the token that came, in nats. logits is (T, V); targets (T,) "
    "has the id of the token that came after each position. The scores may be thousands apart: take the log of the sum and "
    "not of the quotient.",
    reference=cross_entropy,
    variant=cross_entropy_variant,
    package_name="neo_np.gpt_neo.loss.cross_entropy",
    also_right=(cross_entropy_loop,),
    cases=cross_entropy_cases,
    mistakes=(
        mistake(
            "log_of_0",
            {"way": "quotient"},
            "the log is taken of a probability that was rounded to 0, and log 0 is infinite.",
            "log(a / b) = log a - log b. If a is exp of a score, what is log a, without computing a?",
        ),
        mistake(
            "small_number_added",
            tuple({"way": "quotient", "added": 10.0**-n} for n in (6, 8, 9, 10, 12, 15)),
            "a small number is added so that log 0 cannot happen. So no surprise can be larger than a limit.",
            "If one score is 2000 below the others, the surprise is 2000. What is yours, and can you do without a quotient?",
        ),
        mistake(
            "overflow",
            {"shift": False},
            "the largest score of each row is not subtracted, so exp of a score is infinite, or a whole sum rounds to 0.",
            "What may you subtract from all scores of a row without changing the probabilities?",
        ),
        mistake(
            "sum_not_shifted",
            ({"summed": "logits"}, {"way": "not_shifted"}),
            "the score outside the sum and those in the sum differ: only one of the two was shifted.",
            "log p = z - log(sum of exp(z)). Which array must be z in both places?",
        ),
        mistake(
            "mean_for_sum",
            {"summed": "mean"},
            "the log is taken of the mean of the exponentials and not of their sum.",
            "The probabilities of a row add up to 1. By what must exp of a score be divided?",
        ),
        mistake(
            "one_minus_p",
            {"way": "other_probability"},
            "the result is 1 - p and not -log p.",
            "A token with the probability 1 in a million is a large surprise. How large can 1 - p become?",
        ),
        mistake(
            "entropy",
            {"pick": "mean_of_all"},
            "you average over all tokens, each with its probability: this is the entropy.",
            "The surprise is about one token only. Where does your result depend on `targets`?",
        ),
        mistake(
            "row_before",
            {"pick": "row_before"},
            "each target is looked up in the row before its own.",
            "Row t already predicts targets[t]. Must anything be subtracted from the row numbers?",
        ),
        mistake(
            "T_and_V_mixed",
            {"pick": "V_rows"},
            "the sizes T and V are mixed up: your function works only if both are equal.",
            "Which axis of logits has the positions, and which one has the tokens? Which of the two do your indices count?",
        ),
        mistake(
            "log2",
            ({"base": 2.0}, {"base": 2.0, "way": "other_log"}),
            "the logarithm has the base 2. That belongs to bits.",
            "Nats are asked for. Which function is the natural logarithm?",
        ),
        mistake(
            "log10",
            ({"base": 10.0}, {"base": 10.0, "way": "other_log"}),
            "the logarithm has the base 10.",
            "Nats are asked for. Which function is the natural logarithm?",
        ),
        mistake(
            "argmax_as_target",
            {"pick": "likeliest"},
            "you take the probability of the likeliest token and not of the token that came.",
            "Two ids belong to each row: the model's favourite and the target. Which one is the surprise about?",
        ),
        mistake(
            "sign",
            {"sign": 1},
            "the sign is wrong: log of a probability is negative, and the surprise is positive.",
            "What is log 0.5, and what should the surprise be?",
        ),
        mistake(
            "no_log",
            ({"way": "probability", "sign": 1}, {"way": "probability"}),
            "the result has probabilities: the log is missing.",
            "A token with the probability 1 is no surprise. Which function turns 1 into 0?",
        ),
        mistake(
            "no_softmax",
            ({"way": "scores"}, {"way": "scores", "sign": 1}),
            "you take the score of the target as it is. The scores of the other tokens count too.",
            "If all scores grow by 5, the surprise must not change. What happens to your result?",
        ),
        mistake(
            "softmax_twice",
            {"twice": True},
            "the scores go through softmax twice.",
            "Which of your lines turns scores into probabilities, and which one does it again?",
        ),
        mistake(
            "shifted_again",
            {"again": True},
            "you move the targets by one once more.",
            "targets[t] is already the token that came after position t. Does any row have to be left out?",
        ),
        mistake(
            "one_token_later",
            {"pick": "one_after"},
            "you take the token with the next id.",
            "Which column of row t belongs to the id targets[t]?",
        ),
        mistake(
            "whole_columns",
            {"pick": "columns"},
            "each target takes a whole column, so the result is (T, T).",
            "`table[:, ids]` takes columns. Which two lists of indices pick one number in each row? (Notebook 01.)",
        ),
        mistake(
            "first_row_only",
            {"pick": "first_row"},
            "all targets are looked up in the first row.",
            "Which row of the logits predicts targets[t]?",
        ),
        mistake(
            "mean",
            {"give": "mean"},
            "the result is the mean over all positions.",
            "How many numbers should come back?",
        ),
        mistake(
            "summed",
            {"give": "sum"},
            "the result is the sum over all positions.",
            "How many numbers should come back?",
        ),
        AXIS_0,
        EVERYTHING,
        NO_KEEPDIMS,
    ),
    blanks=(
        "shifted = logits - ...  # (T, V), the largest of each row is 0\n"
        "log_p = shifted - np.log(...)  # (T, V), the log of each probability\n"
        "return -log_p[..., targets]  # (T,), one number of each row"
    ),
    hints=(
        "log(a / b) = log a - log b. So the log of a probability is the score minus the log of a sum: no quotient is needed.",
        "shifted is (T, V): the scores minus the largest one of each row, (T, 1). The sum of exp(shifted) is (T, 1) too, and "
        "at least 1. Pick one number in each row with two lists of indices: log_p[rows, targets].",
        "shifted = logits - logits.max(axis=-1, keepdims=True)  # (T, V)\n"
        "log_p = shifted - np.log(...)  # the sum of exp(shifted) of each row, (T, 1)\n"
        "return -log_p[..., targets]  # (T,), one number of each row",
    ),
    notes={
        "log_softmax(logits)": "The log of the probability of every token, without a quotient.",
        "np.take_along_axis": "One entry of each row, that of the target; it works for (B, T, V) too.",
    },
)


# perplexity


def perplexity(surprises):
    """Return e to the power of the mean surprise."""
    return np.exp(surprises.mean())


def perplexity_product(surprises):
    """Return the geometric mean of 1 / p."""
    return float(np.prod(1 / np.exp(-surprises.astype(float)))) ** (1 / surprises.size)


def perplexity_variant(surprises, order="mean_first", base=math.e, mean="mean", sign=1, axis=None, divide=1.0):
    """Perplexity with a switch for each mistake."""
    surprises = surprises[1:] if mean == "without_first" and surprises.ndim == 1 else surprises
    surprises = np.log(surprises) if mean == "of_logs" else surprises
    if mean == "none":
        return base**surprises
    if order == "exp_first":
        return (base ** (sign * surprises / divide)).mean()
    if mean == "by_length":
        average = surprises.sum() / len(surprises)
    else:
        average = {"sum": np.sum, "median": np.median}.get(mean, np.mean)(surprises, axis=axis)
    if order in ("no_exp", "log", "minus_log", "times_e", "to_the_e"):
        average = sign * average / divide
        return {
            "no_exp": lambda: average,
            "log": lambda: np.log(average),
            "minus_log": lambda: -np.log(average),
            "times_e": lambda: math.e * average,
            "to_the_e": lambda: average**math.e,
        }[order]()
    result = base ** (sign * average / divide)
    return result.mean() if order == "mean_of_rows" else result


def perplexity_cases():
    """Return surprises of one text, (T,), and of several, (B, T), all of them between 0 and 6."""
    rng = np.random.default_rng(120)

    def random(*shape):
        return Case((np.round(6 * rng.random(shape), 1).astype(np.float32),), random=True)

    shapes = [(2,), (3,), (2, 2), (5,), (2, 3), (3, 2), (6,), (3, 3), (4,)] * 3
    return [
        Case((array([1, 3]),)),
        Case((array([0, 2, 4]),)),
        Case((array([0, 0, 0, 6]),)),
        Case((array([[1, 2], [3, 6]]),)),
        *(random(*shape) for shape in shapes),
    ]


PERPLEXITY = Exercise(
    name="perplexity",
    notebook="12",
    minutes=3,
    core=True,
    signature="perplexity(surprises)",
    task="Return the perplexity, one float: e to the power of the mean surprise. surprises is an array of any shape, such as "
    "(T,) or (B, T), in nats.",
    reference=perplexity,
    variant=perplexity_variant,
    also_right=(perplexity_product,),
    cases=perplexity_cases,
    mistakes=(
        mistake(
            "mean_of_exps",
            {"order": "exp_first"},
            "exp comes before the mean, so one rare token outweighs all others.",
            "Which comes first in the definition, the mean or e to the power?",
        ),
        mistake(
            "no_mean",
            {"mean": "none"},
            "the mean is missing: each token gets a number of its own.",
            "How many numbers should come back?",
        ),
        mistake(
            "base_2",
            ({"base": 2.0}, {"base": 10.0}),
            "the base is 2 or 10, and the surprises are in nats.",
            "Nats belong to the natural logarithm. Which base undoes it?",
        ),
        mistake(
            "summed",
            {"mean": "sum"},
            "the surprises are summed and not averaged, so a longer text has a larger perplexity.",
            "What must the sum be divided by?",
        ),
        mistake(
            "no_exp",
            {"order": "no_exp"},
            "the result is the mean surprise itself.",
            "A model that knows nothing has the surprise log V and the perplexity V. Which function makes V of log V?",
        ),
        mistake(
            "inverse",
            {"sign": -1},
            "the sign is wrong: the result is a probability, below 1.",
            "A perplexity counts equally likely tokens. Can it be smaller than 1?",
        ),
        mistake(
            "by_row",
            ({"axis": -1}, {"axis": 0}, {"axis": -1, "order": "mean_of_rows"}),
            "each row or column of (B, T) gets a perplexity of its own.",
            "How many numbers should come back, and over how many surprises is the mean?",
        ),
        mistake(
            "divided_by_rows",
            {"mean": "by_length"},
            "the sum is divided by `len(surprises)`, which counts only the rows of (B, T).",
            "How many numbers does an array of shape (2, 3) have, and what is its `len`?",
        ),
        mistake(
            "log_of_the_mean",
            ({"order": "log"}, {"order": "minus_log"}),
            "you take the log of the mean and not e to the power of it.",
            "The surprise log V should become V again. Which function undoes the log?",
        ),
        mistake(
            "times_e",
            ({"order": "times_e"}, {"order": "to_the_e"}),
            "the mean is multiplied by e, or it is raised to the power e.",
            "In e to the power 3, which number is below and which one is above? What does `np.exp(3)` compute?",
        ),
        mistake(
            "log_of_surprises",
            ({"mean": "of_logs"}, {"mean": "of_logs", "sign": -1}),
            "you take the log of the surprises, and they are logs already.",
            "A surprise is -log p. How do you get from the mean of such numbers to the perplexity?",
        ),
        mistake(
            "median",
            {"mean": "median"},
            "you take the median and not the mean.",
            "The mean of 0, 0, 0 and 6 is 1.5. What is the median?",
        ),
        mistake(
            "bits_in_the_exponent",
            {"divide": LOG_2},
            "the mean is turned into bits, and then e is raised to this power.",
            "Base 2 belongs to bits, and base e to nats. Which unit do the surprises have?",
        ),
        mistake(
            "first_left_out",
            {"mean": "without_first"},
            "the first surprise is left out.",
            "The first token of a text has no surprise at all. Does the array have an entry for it?",
        ),
    ),
    hints=(
        "Two steps: the mean of all surprises, then e to the power of it.",
        "The mean is one number, for (T,) and for (B, T): `surprises.mean()` without an axis.",
        "mean = ...  # one number\nreturn np.exp(...)",
    ),
)


# text_windows


def text_windows(ids, window, stride):
    """Return the rows (ids, scored) that predict each id except the first exactly once."""
    rows, end = [], 1
    while end < len(ids):
        start, end = end, min(end + (stride if rows else window), len(ids))
        rows.append((ids[max(0, end - window - 1) : end], end - start))
    return rows


def text_windows_by_id(ids, window, stride):
    """Find the row of each id first, then put the ids of a row together."""
    groups = {}
    for place in range(1, len(ids)):
        number = 0 if place <= window else 1 + (place - window - 1) // stride
        groups.setdefault(number, []).append(place)
    return [(ids[max(0, places[-1] - window) : places[-1] + 1], len(places)) for places in groups.values()]


def text_windows_variant(
    ids,
    window,
    stride,
    scored="new",
    begin=1,
    length=1,
    tail=True,
    first_step="window",
    step="stride",
    context="fits",
    grid=False,
    clipped=True,
    cut=None,
    counted="all",
    stop_at_end=False,
    order=(0, 1),
    empty_row=False,
    number=None,
):
    """text_windows with a switch for each mistake. A row has `window` ids and `length` more."""
    if cut:
        return [(row[order[0]], row[order[1]]) for row in pieces(ids, window, stride, cut, counted, stop_at_end)]
    rows, end = [], begin
    later = {"stride": stride, "window": window, "one": 1}[step]
    first = {"window": window + (length - 1) * begin, "stride": stride}[first_step]
    while end < len(ids) or (empty_row == "last" and end == len(ids)) or (empty_row == "first" and not rows):
        start, full = end, end + (later if rows else max(1, first))
        end = min(full, len(ids))
        if full > len(ids) and (not tail or (tail == "first" and rows)):
            break
        stop = full if grid else end
        low = {
            "fits": stop - window - length,
            "one_less": stop - window,
            "before_new": start - window,
            "by_stride": stop - stride,
            "none": start - 1,
            "new_only": start,
            "all": 0,
        }[context]
        row = ids[max(0, low) if clipped else low : end]
        count = {
            "new": end - start,
            "stride": stride,
            "first step": end - start if rows else full - start,
            "last step": full - start if rows else end - start,
            "all": len(row) - 1,
            "whole_rows": len(row),
            "step": full - start,
            "first_too": end - start + (start == begin),
            "end": end,
            "ids": ids[start:end],
        }[scored]
        rows.append(((row, count)[order[0]], (row, count)[order[1]]))
        if start == len(ids) or len(rows) == number or (empty_row == "second" and end == len(ids)):
            break
    if empty_row == "second" and len(rows) == 1:
        rows.append((rows[0][0], 0))
    return rows


def pieces(ids, window, stride, cut, counted, stop_at_end):
    """Return rows that start at fixed steps: "overlapping", "joined" (they share one id) or "apart".

    counted: "all" predictions of a row, the "new" ones, a whole "stride", or all "ids"; "few": at most a stride, in the first
    row too. stop_at_end: True for no row after the last id, "by one" for none that begins with it.
    """
    step, size = {"overlapping": (stride, window + 1), "joined": (window, window + 1), "apart": (window, window)}[cut]
    rows = []
    for start in range(0, len(ids) - (stop_at_end == "by one"), step):
        row = ids[start : start + size]
        predicted = len(row) - 1
        new = min(stride, predicted)
        later = {"all": predicted, "new": new, "few": new, "stride": stride, "ids": len(row)}[counted]
        rows.append((row, later if rows or counted in ("few", "ids") else predicted))
        if stop_at_end is True and start + size >= len(ids):
            break
    return rows


def text_windows_cases():
    """Return texts shorter than the window, texts of whole strides and others, a stride of 1 and one as long as the window."""
    sizes = [(9, 4, 2), (7, 4, 2), (8, 4, 2), (10, 3, 3), (11, 3, 2), (12, 5, 3), (9, 5, 1), (13, 4, 3), (17, 6, 4), (14, 5, 2)]
    rng = np.random.default_rng(121)
    return [
        Case(([7, 3, 5], 4, 2)),
        Case(([7, 3, 5, 8, 1], 4, 2)),
        Case(([7, 3, 5, 8, 1, 6, 2], 4, 2)),
        Case(([7, 3, 5, 8, 1, 6, 2, 9], 4, 2)),
        *(Case((rng.permutation(90)[:T].tolist(), window, stride)) for T, window, stride in sizes),
        Case(([7], 4, 2), extreme=True),
        Case(([4], 3, 3), extreme=True),
    ]


TEXT_WINDOWS = Exercise(
    name="text_windows",
    notebook="12",
    minutes=18,
    signature="text_windows(ids, window, stride)",
    task="Return a list of rows (row_ids, scored). A row has at most window + 1 ids, and its last `scored` ids are predicted "
    "from those before them. The first row predicts as many ids as fit, each later row the next `stride` ids (at the end, the "
    "rest). Each id of the text but the first one is predicted exactly once, with as much context as fits. "
    "A text of one id has no rows.",
    reference=text_windows,
    variant=text_windows_variant,
    package_name="neo_np.evaluate.text.text_windows",
    also_right=(text_windows_by_id,),
    cases=text_windows_cases,
    mistakes=(
        mistake(
            "overlap_scored_twice",
            ({"scored": "all"}, *({"cut": "overlapping", "stop_at_end": end} for end in (False, True, "by one"))),
            "every row counts all its predictions, so the ids in the overlap are scored twice.",
            "How many ids of the second row were scored in the first row already?",
        ),
        mistake(
            "unshifted",
            (
                {"begin": 0, "length": 0},
                {"begin": 0},
                {"begin": 0, "length": 0, "context": "none"},
                {"scored": "first_too"},
            ),
            "the first id of the text is scored too, as if it predicted itself.",
            "A prediction needs at least one id before it. From which id on can you score?",
        ),
        mistake(
            "first_id_of_rows_scored",
            {"scored": "whole_rows"},
            "every id of a row is scored, also its first one, which has nothing before it.",
            "How many predictions does a row of 5 ids hold?",
        ),
        mistake(
            "tail_dropped",
            ({"tail": False}, {"tail": "first"}),
            "the last ids are dropped if they are fewer than a whole step.",
            "Which ids at the end of the text are in no row, and may the last step be shorter than the others?",
        ),
        mistake(
            "one_short",
            ({"length": 0}, {"context": "one_less"}),
            "the rows have window ids. The model reads window ids, and the last one predicts one more.",
            "The last id of a row is only predicted and never read. How many ids may the row have, then?",
        ),
        mistake(
            "first_row_short",
            {"first_step": "stride"},
            "the first row predicts only `stride` ids.",
            "Nothing was scored before the first row. How many predictions fit into it?",
        ),
        mistake(
            "stride_ignored",
            {"step": "window"},
            "the end moves by a whole window each time.",
            "By how much should the end move from row to row?",
        ),
        mistake(
            "steps_of_1",
            {"step": "one"},
            "the end moves by one id each time.",
            "By how much should the end move from row to row?",
        ),
        mistake(
            "context_thrown_away",
            ({"context": "none"}, {"context": "new_only"}, {"context": "by_stride"}),
            "a row has few ids besides those that it scores: earlier ids that would fit are missing.",
            "How many ids fit into a row, and how many of them does yours have?",
        ),
        mistake(
            "rows_too_long",
            ({"context": "all"}, {"context": "before_new"}),
            "rows become longer than window + 1: they begin at the start of the text, or `window` ids before the new ones.",
            "How many ids can the model read at once?",
        ),
        mistake(
            "last_row_loses_context",
            {"grid": True},
            "the last row begins where a full row would, so it has less context than would fit.",
            "If the end moves by less than a stride, where may the row begin?",
        ),
        mistake(
            "scored_past_the_end",
            (
                *({"scored": way} for way in ("step", "first step", "last step")),
                {"cut": "overlapping", "counted": "new", "stop_at_end": True},
            ),
            "a row at the end of the text scores a whole step, although fewer ids are new in it.",
            "How many ids does the last row score, if the text ends in the middle of a step?",
        ),
        mistake(
            "always_the_stride",
            {"scored": "stride"},
            "every row scores `stride` ids, also the first one and the last one.",
            "Nothing was scored before the first row. How many of its ids are predicted? And how many in a short last row?",
        ),
        mistake(
            "returns_too_early",
            ({"number": 1}, {"number": 2}),
            "the rows stop before the text ends: the function returns inside its loop, or the loop is missing.",
            "How far is your `return` indented, and when should it be reached?",
        ),
        mistake(
            "negative_start",
            {"clipped": False},
            "the row begins at a negative place, and Python counts that from the end of the text.",
            "What is `ids[-2:5]`, and where should a row begin if there are fewer ids than fit?",
        ),
        mistake(
            "no_overlap",
            (
                *({"cut": "joined", "stop_at_end": end} for end in (False, True, "by one")),
                *({"cut": "apart", "stop_at_end": end} for end in (False, True, "by one")),
                {"cut": "apart", "counted": "ids"},
            ),
            "the rows do not overlap, so the first ids of each row have little or no context.",
            "By how much should the end move from row to row, and how many ids may a row have?",
        ),
        mistake(
            "turned_round",
            {"order": (1, 0)},
            "the two items of each row are in the wrong order.",
            "Which item of (row_ids, scored) comes first?",
        ),
        mistake(
            "end_for_count",
            {"scored": "end"},
            "the second item says where the row ends, and not how many ids it scores.",
            "What must the second items of all rows add up to?",
        ),
        mistake(
            "ids_for_count",
            {"scored": "ids"},
            "the second item has the ids themselves, and not their number.",
            "Which function counts the items of a list?",
        ),
        mistake(
            "rows_after_the_end",
            (
                {"empty_row": "last"},
                {"empty_row": "second"},
                *(
                    {"cut": "overlapping", "counted": counted, "stop_at_end": end}
                    for counted in ("new", "few", "stride")
                    for end in (False, "by one")
                ),
            ),
            "after the last id was scored, there are still more rows.",
            "When is the text finished: when the start of a row or when its end reaches the last id?",
        ),
        mistake(
            "nothing_to_predict",
            {"empty_row": "first"},
            "a text of one id gets a row, and nothing in this row is predicted.",
            "The first id has nothing before it. How many predictions does a text of one id hold?",
        ),
    ),
    hints=(
        "Keep one number, `end`: how far the text is scored. Each row moves it forward, and ends there.",
        "`end` begins with 1, because the first id has nothing before it. A row that ends at `end` begins at end - window - 1, "
        "or at 0.",
        "rows, end = [], 1\n"
        "while end < len(ids):\n"
        "    start = end  # scored up to here\n"
        "    end = min(..., len(ids))\n"
        "    rows.append((ids[max(0, ...) : end], ...))\n"
        "return rows",
    ),
    notes={
        "window if scored == 1 else stride": "The first row may score all that it predicts.",
        "end - window - 1": "window ids are read, and one more is predicted.",
    },
)


# bits_per_byte


def bits_per_byte(surprises, text):
    """Return all bits that the model needs for the text, divided by the number of its bytes in UTF-8."""
    return surprises.sum() / math.log(2) / len(text.encode("utf-8"))


def bits_per_byte_loop(surprises, text):
    """Add up the bits token by token."""
    bits = 0.0
    for nats in surprises.tolist():
        bits += nats * math.log2(math.e)
    return bits / sum(1 for _ in bytes(text, "utf-8"))


def bits_per_byte_variant(surprises, text, total="sum", divide=LOG_2, per="bytes", turned=False, last="none"):
    """bits_per_byte with a switch for each mistake."""
    nats = {
        "sum": surprises.sum,
        "mean": surprises.mean,
        "none": lambda: surprises,
        "logs": lambda: np.log2(surprises).sum(),
        "minus_logs": lambda: -np.log2(surprises).sum(),
        "log_of_sum": lambda: np.log2(surprises.sum()),
        "perplexity": lambda: np.exp(surprises.mean()),
    }[total]()
    count = {
        "bytes": lambda: len(text.encode()),
        "characters": lambda: len(text),
        "tokens": lambda: len(surprises),
        "words": lambda: len(text.split()),
        "nothing": lambda: 1,
        "bits": lambda: 8 * len(text.encode()),
        "utf-16": lambda: len(text.encode("utf-16")),
    }[per]()
    result = nats / divide / count
    result = {"none": result, "power": 2**result, "exp": np.exp(result), "whole": np.floor(result)}[last]
    return 1 / result if turned else result


def bits_per_byte_cases():
    """Return texts of ASCII only, and texts whose characters have two, three and four bytes."""
    rng = np.random.default_rng(1212)
    texts = ["a king", "Käse", "été à Paris", "a 🌙 at night", "so", "he said: “yes”", "naïve", "the end.", "Ö", "日本 no hon"]

    def random(text, T):
        return Case((np.round(6 * rng.random(T) + 0.1, 1).astype(np.float32), text), random=True)

    return [
        Case((array([1, 3]), "a king")),
        Case((array([2, 1, 4]), "Käse")),
        Case((array([2, 0.5, 1, 3]), "été")),
        Case((array([5]), "🌙")),
        *(random(text, T) for text, T in zip(texts * 3, [2, 3, 5, 4, 1, 6, 3, 2, 2, 7] * 3)),
    ]


BITS_PER_BYTE = Exercise(
    name="bits_per_byte",
    notebook="12",
    minutes=6,
    signature="bits_per_byte(surprises, text)",
    task="Return how many bits the model needs for each byte of a text, one float. surprises is (T,): the surprise of each "
    "token of the text, in nats. One bit is log 2 = 0.693... nats: use math.log(2). text is a str; count its bytes in UTF-8.",
    reference=bits_per_byte,
    variant=bits_per_byte_variant,
    also_right=(bits_per_byte_loop,),
    cases=bits_per_byte_cases,
    mistakes=(
        mistake(
            "per_token",
            ({"per": "tokens"}, {"total": "mean", "per": "nothing"}),
            "the bits are divided by the number of tokens.",
            "Another tokenizer cuts the same text into other tokens. Which count does not depend on the tokenizer?",
        ),
        mistake(
            "per_character",
            {"per": "characters"},
            "the bits are divided by the number of characters.",
            "How many bytes does ä have in UTF-8? `len(text)` counts characters.",
        ),
        mistake(
            "nats",
            {"divide": 1.0},
            "the result is in nats.",
            "A surprise of log 2 nats is 1 bit. How do you get from the first number to the second?",
        ),
        mistake(
            "rounded_log_2",
            ({"divide": 0.69}, {"divide": 0.693}, {"divide": 0.7}),
            "log 2 is rounded too much.",
            "log 2 is 0.693147... Which function of `math` gives it with all digits?",
        ),
        mistake(
            "log10",
            {"divide": math.log10(2)},
            "you divide by the logarithm of 2 to the base 10.",
            "One bit is log 2 nats. Which logarithm do nats belong to?",
        ),
        mistake(
            "log_of_surprises",
            ({"total": "logs", "divide": 1.0}, *({"total": way, "divide": 1.0} for way in ("log_of_sum", "minus_logs"))),
            "you take the log of the surprises, and they are logs already.",
            "A surprise of 2 log 2 nats is 2 bits. What does your line make of it?",
        ),
        mistake(
            "not_summed",
            {"total": "none"},
            "the surprises are not added up, so the result has one number for each token.",
            "How many numbers should come back for the whole text?",
        ),
        mistake(
            "perplexity_used",
            ({"total": "perplexity", "divide": 1.0}, {"last": "power"}, {"last": "exp"}),
            "there is a power in it, as in the perplexity. Bits are surprises in another unit, without any power.",
            "What must be added up over all tokens, in nats, before it becomes bits?",
        ),
        mistake(
            "times_log_2",
            {"divide": 1 / LOG_2},
            "you multiply by log 2 and do not divide by it.",
            "A surprise of log 2 = 0.693... nats is 1 bit. Must the number grow or shrink?",
        ),
        mistake(
            "mean_first",
            {"total": "mean"},
            "the mean surprise is divided by the number of bytes, so you divide by a count twice.",
            "All bits of the text are spread over all its bytes. Do you need the mean or the sum?",
        ),
        mistake(
            "all_bits",
            {"per": "nothing"},
            "the result has the bits of the whole text.",
            "How large would it be for a text that is twice as long? What must it be divided by?",
        ),
        mistake(
            "per_word",
            {"per": "words"},
            "the bits are divided by the number of words.",
            "What does `len(text.split())` count?",
        ),
        mistake(
            "bytes_per_bit",
            {"turned": True},
            "the quotient is upside down: bytes for each bit.",
            "A better model needs fewer bits. Must the result become larger or smaller?",
        ),
        mistake(
            "bits_per_bit",
            {"per": "bits"},
            "you divide by 8 once more, as if the bytes had to be turned into bits.",
            "The number of bits is divided by the number of bytes. Which number in your line is neither of them?",
        ),
        mistake(
            "whole_numbers",
            {"last": "whole"},
            "the result is rounded down to a whole number.",
            "What is the difference between `/` and `//`?",
        ),
        mistake(
            "utf_16",
            {"per": "utf-16"},
            "you count the bytes of UTF-16.",
            "Which encoding does the task name?",
        ),
    ),
    hints=(
        "Three steps: all nats of the text; turned into bits; divided by the number of bytes.",
        'One bit is log 2 = 0.693... nats, so divide by `math.log(2)`. `text.encode("utf-8")` is the text as bytes; `len` '
        "counts them.",
        'bits = surprises.sum() / ...\nreturn bits / len(...)  # text.encode("utf-8")',
    ),
)

EXERCISES = (CROSS_ENTROPY, PERPLEXITY, TEXT_WINDOWS, BITS_PER_BYTE)
