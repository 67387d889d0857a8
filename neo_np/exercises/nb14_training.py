"""Exercises of notebook 14, training: adamw_step, clip, schedule."""

import math

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, array, mistake, random_numbers

# adamw_step


def adamw_step(p, g, m, v, step, learning_rate, decay, betas, eps):
    """Return the new (p, m, v): p moves against m, divided by the root of v, and shrinks by the decay."""
    b1, b2 = betas
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g**2
    m_hat = m / (1 - b1**step)
    v_hat = v / (1 - b2**step)
    return p - learning_rate * (m_hat / (np.sqrt(v_hat) + eps) + decay * p), m, v


def adamw_step_decay_first(p, g, m, v, step, learning_rate, decay, betas, eps):
    """Shrink p first, and correct the rate and the root instead of m and v."""
    m, v = m + (1 - betas[0]) * (g - m), v + (1 - betas[1]) * (g * g - v)
    rate, root = learning_rate / (1 - betas[0] ** step), np.sqrt(v) / math.sqrt(1 - betas[1] ** step)
    return p * (1 - learning_rate * decay) - rate * m / (root + eps), m, v


def adamw_step_variant(
    p,
    g,
    m,
    v,
    step,
    learning_rate,
    decay,
    betas,
    eps,
    corrected="m v",
    shift=0,
    decay_at="end",
    root="eps outside",
    correction="1 - b**t",
    squared="g g",
    m_weights="b, 1 - b",
    v_weights="b, 1 - b",
    mean_betas=(0, 1),
    correction_betas=(0, 1),
    sign=-1,
    direction="mean",
    kept="uncorrected",
    order=(0, 1, 2),
):
    """adamw_step with a switch for each mistake."""
    t = step + shift
    g = g + decay * p if decay_at == "gradient" else g
    b1, b2 = (betas[i] for i in mean_betas)
    m = running_mean(m, g, b1, m_weights)
    squares = {"g g": g * g, "g": g, "|g|": np.abs(g), "m m": m * m, "g m": g * m, "1 - b too": (1 - b2) * g * g}
    v = running_mean(v, squares[squared], b2, v_weights)
    divisor = {
        "1 - b**t": lambda b: 1 - b**t,
        "(1 - b)**t": lambda b: (1 - b) ** t,
        "1 - b t": lambda b: 1 - b * t,
        "1 - b": lambda b: 1 - b,
    }[correction]
    c1, c2 = (betas[i] for i in correction_betas)
    m_hat = m / divisor(c1) if "m" in corrected else m
    v_hat = v / divisor(c2) if "v" in corrected else v
    top = g if direction == "gradient" else m_hat
    change = {
        "eps outside": lambda: top / (np.sqrt(v_hat) + eps),
        "eps inside": lambda: top / np.sqrt(v_hat + eps),
        "no eps": lambda: top / np.sqrt(v_hat),
        "no root": lambda: top / (v_hat + eps),
        "eps after": lambda: top / np.sqrt(v_hat) + eps,
        "undivided": lambda: top,
    }[root]()
    shrunk = {
        "end": lambda: learning_rate * decay * p,
        "gradient": lambda: 0,
        "nowhere": lambda: 0,
        "no rate": lambda: decay * p,
        "grows": lambda: -learning_rate * decay * p,
        "late": lambda: learning_rate * decay * (p + sign * learning_rate * change),
    }[decay_at]()
    p = p + sign * learning_rate * change - shrunk
    result = (p, m, v) if kept == "uncorrected" else (p, m_hat, v_hat)
    return tuple(result[i] for i in order)


def running_mean(old, new, b, weights):
    """Return the running mean with these weights of the old and the new value."""
    return {
        "b, 1 - b": b * old + (1 - b) * new,
        "1 - b, b": (1 - b) * old + b * new,
        "b, 1": b * old + new,
        "no bracket": b * old + 1 - b * new,
    }[weights]


def adamw_step_cases():
    """Return first and later steps; rate, decay and eps are large, so that each of them can be seen in the result."""
    rng = np.random.default_rng(14)

    def random(step, *shape, betas=(0.8, 0.9), eps=0.5, rate=0.5, decay=0.25):
        p, g, m, v = (random_numbers(rng, *shape) for _ in range(4))
        m, v = (0 * m, 0 * v) if step == 1 else (m, np.abs(v) + 1)
        return Case((p, g, m, v, step, rate, decay, betas, eps), random=True)

    return [
        Case((array([1, 2]), array([2, -4]), array([0, 0]), array([0, 0]), 1, 0.5, 0.25, (0.8, 0.9), 0.5)),
        Case((array([1, 2]), array([2, -4]), array([1, 3]), array([4, 9]), 2, 0.5, 0.25, (0.8, 0.9), 0.5)),
        Case((array([1, -3]), array([3, 1]), array([0, 2]), array([1, 4]), 3, 0.5, 0.5, (0.8, 0.9), 1.0)),
        *(random(step, *shape) for step in (1, 2, 3, 7) for shape in [(2,), (3,), (2, 2), (2, 3)]),
        *(random(step, 2, 3, betas=(0.9, 0.95), eps=0.1, rate=0.25, decay=0.5) for step in (1, 2, 5, 20)),
    ]


def both_or_one(weights):
    """Return the ways to take these weights in both means, or in one of them."""
    return {"m_weights": weights, "v_weights": weights}, {"m_weights": weights}, {"v_weights": weights}


ADAMW_STEP = Exercise(
    name="adamw_step",
    notebook="14",
    minutes=15,
    core=True,
    signature="adamw_step(p, g, m, v, step, learning_rate, decay, betas, eps)",
    task="Return the new (p, m, v) after one step of AdamW. p: a parameter array, g: its gradient, betas: (b1, b2). The new m "
    "is b1 times the old one, plus 1 - b1 times g; v is the same with b2 and the square of g. Correct them: divide m by 1 - "
    "b1**step and v by 1 - b2**step; step counts from 1. Divide corrected m by (root of corrected v, plus eps), add decay "
    "times p, and move p by -learning_rate times this. Return m and v uncorrected.",
    reference=adamw_step,
    variant=adamw_step_variant,
    package_name="neo_np.train.optimizer.adamw",
    also_right=(adamw_step_decay_first,),
    cases=adamw_step_cases,
    mistakes=(
        mistake(
            "no_bias_correction",
            ({"corrected": ""}, {"corrected": "v"}, {"corrected": "m"}),
            "the correction of the first steps is missing, for m, for v, or for both.",
            "m begins with 0. After the first step it is only 1 - b1 times g. What must you divide it by to get g?",
        ),
        mistake(
            "decay_in_gradient",
            {"decay_at": "gradient"},
            "the decay is added to the gradient, so it goes through m and v. This is Adam with L2, and not AdamW.",
            "The W means: the decay acts on p by itself. Which numbers may m and v contain, then?",
        ),
        mistake(
            "decay_not_times_rate",
            {"decay_at": "no rate"},
            "the decay is not multiplied by the learning rate.",
            "What does the learning rate multiply: only the first term, or the whole bracket?",
        ),
        mistake(
            "eps_inside",
            {"root": "eps inside"},
            "eps is added under the root.",
            "What comes first, the root or the + eps? Where does the bracket of np.sqrt end?",
        ),
        mistake(
            "step_from_0",
            ({"shift": -1}, {"shift": 1}),
            "the correction uses another power than step, as if steps were counted from 0.",
            "step is 1 in the first call. Which power of b1 does the first correction need?",
        ),
        mistake(
            "no_decay",
            {"decay_at": "nowhere"},
            "the decay is missing.",
            "Where does your function use the argument decay?",
        ),
        mistake(
            "decay_grows",
            {"decay_at": "grows"},
            "the decay has the wrong sign, so it makes the parameters larger.",
            "Decay pulls p to 0. If the gradient is 0 and p is 2, must the new p be above or below 2?",
        ),
        mistake(
            "decay_too_late",
            {"decay_at": "late"},
            "the decay is taken from the new p, after the step.",
            "Which p is in the bracket, the one before the step or the one after it?",
        ),
        mistake(
            "no_eps",
            {"root": "no eps"},
            "eps is missing.",
            "If all gradients were 0 so far, what would you divide by?",
        ),
        mistake(
            "no_root",
            {"root": "no root"},
            "the root is missing: you divide by the mean of the squares.",
            "If all gradients are ten times larger, the step should stay the same. What does the square do?",
        ),
        mistake(
            "not_divided",
            {"root": "undivided"},
            "m is not divided by the root of v.",
            "Where does your new p use v?",
        ),
        mistake(
            "not_squared",
            ({"squared": "g"}, {"squared": "|g|"}),
            "v is a mean of the gradient and not of its square.",
            "Which power of g belongs in v? Can a mean of squares be negative?",
        ),
        mistake(
            "factor_squared",
            {"squared": "1 - b too"},
            "in v the factor 1 - b2 is squared together with the gradient.",
            "What belongs in the bracket that is squared: g, or (1 - b2) g?",
        ),
        mistake(
            "brackets_of_the_factor",
            both_or_one("no bracket"),
            "brackets are missing: `b * m + 1 - b * g` adds 1 and subtracts b times g.",
            "`*` comes before `-`. What is 1 - 0.9 * 2, and what is (1 - 0.9) * 2?",
        ),
        mistake(
            "exchanged_weights",
            both_or_one("1 - b, b"),
            "b and 1 - b are exchanged, for m, for v, or for both: the new value has almost the whole weight.",
            "b1 is usually 0.9. Should the old mean count nine tenths or one tenth?",
        ),
        mistake(
            "sum_not_mean",
            both_or_one("b, 1"),
            "the factor 1 - b of the new value is missing, in m, in v, or in both: that is a sum and not a mean.",
            "The two weights of a mean add up to 1. What do yours add up to?",
        ),
        mistake(
            "square_of_mean",
            ({"squared": "m m"}, {"squared": "g m"}),
            "v is made with m, and not only with the gradient.",
            "v is the mean of the squared gradients. Which of m and g may be in its line?",
        ),
        mistake(
            "wrong_correction",
            tuple({"correction": below} for below in ("(1 - b)**t", "1 - b t", "1 - b")),
            "the correction does not divide by 1 - b**step.",
            "With b = 0.9 the divisor is 0.1 in step 1 and 0.19 in step 2. What is yours in step 2?",
        ),
        mistake(
            "eps_after_the_division",
            {"root": "eps after"},
            "eps is added to the result of the division: brackets are missing.",
            "`a / b + eps` divides first. Which two numbers must be added before the division?",
        ),
        mistake(
            "betas_mixed",
            (
                {"mean_betas": (0, 0), "correction_betas": (0, 0)},
                {"mean_betas": (0, 0)},
                {"correction_betas": (0, 0)},
                {"correction_betas": (1, 1)},
                {"correction_betas": (1, 0)},
            ),
            "b1 and b2 are mixed up: one of them is used where the other belongs.",
            "b1 belongs to m and to its correction, b2 to v and to its correction. Which of your lines has the other one?",
        ),
        mistake(
            "betas_swapped",
            {"mean_betas": (1, 0), "correction_betas": (1, 0)},
            "b1 and b2 are exchanged.",
            "betas is (b1, b2). Which of them belongs to m?",
        ),
        mistake(
            "uphill",
            ({"sign": 1}, {"sign": 1, "decay_at": "grows"}),
            "the sign of the step is wrong: p moves with the gradient, so uphill.",
            "The slope is positive: the loss rises if p grows. In which direction should p move?",
        ),
        mistake(
            "gradient_for_mean",
            {"direction": "gradient"},
            "p moves by the new gradient and not by the mean m.",
            "Where does your new p use m?",
        ),
        mistake(
            "corrected_kept",
            {"kept": "corrected"},
            "the corrected m and v are returned, so the next step would correct them a second time.",
            "Which m does the next step need as its old m?",
        ),
        mistake(
            "other_order",
            tuple({"order": order} for order in ((1, 2, 0), (0, 2, 1), (1, 0, 2))),
            "the results come in another order.",
            "In which order does the task name them?",
        ),
    ),
    blanks=(
        "b1, b2 = betas\n"
        "m = b1 * m + ...\n"
        "v = b2 * v + ...\n"
        "m_hat = m / ...  # corrected; so is v_hat\n"
        "v_hat = v / ...\n"
        "p = p - learning_rate * (... + decay * p)\n"
        "return p, m, v"
    ),
    hints=(
        "Check each line with one number on paper. Let g be 2 in the first step and m be 0: m becomes 2 (1 - b1), and after "
        "the correction it must be 2 again. The weights of old and new always add up to 1.",
        "p, g, m and v have the same shape, so all is done entry by entry. Mind the order: the power before the 1 -, the "
        "root before the + eps, and the + eps before the division. `m *= b1` would change the input.",
        "b1, b2 = betas\n"
        "m = b1 * m + (1 - b1) * ...\n"
        "v = b2 * v + ...\n"
        "m_hat = m / (1 - ...)\n"
        "v_hat = v / ...\n"
        "p = p - learning_rate * (m_hat / ... + decay * p)  # the root of v_hat, and eps\n"
        "return p, m, v",
    ),
    notes={
        "m_hat = ": "The correction: both means begin with 0.",
        "+ eps": "Outside of the root.",
        "+ decay * p": "Inside the bracket, so times the learning rate; and beside the gradient, not in it.",
    },
)


# clip


def clip(gradients, max_norm):
    """Return the gradients, scaled by one factor if the norm of all of them together is above max_norm."""
    norm = np.sqrt(sum((g**2).sum() for g in gradients))
    if norm <= max_norm:
        return tuple(gradients)
    return tuple(g * (max_norm / norm) for g in gradients)


def clip_one_vector(gradients, max_norm):
    """Put all entries into one vector to find its length."""
    length = np.linalg.norm(np.concatenate([g.ravel() for g in gradients]))
    factor = max_norm / max(length, max_norm)
    return tuple(factor * g for g in gradients)


def norm_with_many_roots(gradients):
    """Take the root again after each array."""
    norm = 0.0
    for g in gradients:
        norm = np.sqrt(norm + (g**2).sum())
    return norm


NORMS = {
    "all": lambda gradients: np.sqrt(sum((g**2).sum() for g in gradients)),
    "squared": lambda gradients: sum((g**2).sum() for g in gradients),
    "absolute": lambda gradients: sum(np.abs(g).sum() for g in gradients),
    "largest": lambda gradients: max(np.abs(g).max() for g in gradients),
    "sums squared": lambda gradients: np.sqrt(sum(g.sum() ** 2 for g in gradients)),
    "added": lambda gradients: sum(np.sqrt((g**2).sum()) for g in gradients),
    "mean": lambda gradients: np.sqrt(np.mean(np.concatenate([g.ravel() ** 2 for g in gradients]))),
    "mean of each": lambda gradients: np.sqrt(sum((g**2).mean() for g in gradients)),
    "longest": lambda gradients: max(np.sqrt((g**2).sum()) for g in gradients),
    "of matrices": lambda gradients: np.sqrt(sum(np.linalg.norm(g, 2) ** 2 for g in gradients)),
    "first": lambda gradients: np.sqrt((gradients[0] ** 2).sum()),
    "last": lambda gradients: np.sqrt((gradients[-1] ** 2).sum()),
    "root in the loop": norm_with_many_roots,
}


def clip_variant(gradients, max_norm, norm="all", each=False, above="scaled", below="same", compared="norm"):
    """Clip with a switch for each mistake."""
    if each:
        return tuple(clip_variant((g,), max_norm, norm, False, above, below, compared)[0] for g in gradients)
    size = NORMS[norm](gradients)
    way = above if (size if compared == "norm" else size**2) > max_norm else below
    change = {
        "same": lambda g: g,
        "scaled": lambda g: g * (max_norm / size),
        "zeros": lambda g: 0 * g,
        "norm 1": lambda g: g / size,
        "upside down": lambda g: g * (size / max_norm),
        "entries": lambda g: np.clip(g, -max_norm, max_norm),
        "times the limit": lambda g: g * max_norm,
        "subtracted": lambda g: g - (size - max_norm),
    }[way]
    return tuple(change(g) for g in gradients)


def clip_cases():
    """Return gradients with a norm well above or well below the limit, with equal and with different shapes."""
    rng = np.random.default_rng(141)
    shapes = [((2,), (2,)), ((2,), (3,)), ((2, 2), (2,)), ((2, 3), (3,), (2,)), ((3, 2), (2, 2)), ((2,), (2,), (2,))]

    def random(factor, shapes):
        gradients = tuple(random_numbers(rng, *shape) for shape in shapes)
        return Case((gradients, float(np.round(factor * NORMS["all"](gradients), 1))), random=True)

    return [
        Case(((array([3]), array([4])), 1.0)),
        Case(((array([3]), array([4])), 10.0)),
        Case(((array([1, 2]), array([2, 4])), 2.0)),
        Case(((array([1, 2]), array([[2], [0]])), 4.0)),
        *(random(factor, group) for factor in (0.2, 0.6, 1.6, 3.0) for group in shapes),
    ]


CLIP = Exercise(
    name="clip",
    notebook="14",
    minutes=10,
    core=True,
    signature="clip(gradients, max_norm)",
    task="gradients is a tuple of arrays of any shapes. Their norm is the root of the sum of the squares of all entries, of "
    "all arrays together. Return a tuple of arrays: the gradients as they are if the norm is at most max_norm, else all of "
    "them scaled by the same factor, so that the norm becomes max_norm. The arrays that come in must not be changed.",
    reference=clip,
    variant=clip_variant,
    package_name="neo_np.train.optimizer.clip_gradients",
    also_right=(clip_one_vector,),
    cases=clip_cases,
    mistakes=(
        mistake(
            "each_by_itself",
            {"each": True},
            "each array is clipped by its own norm, so the direction of the step changes.",
            "How many norms does your function compute, and how many does the task name?",
        ),
        mistake(
            "scales_up",
            {"below": "scaled"},
            "small gradients are scaled up: the norm becomes max_norm in any case.",
            "The norm is 2 and max_norm is 10. What should happen?",
        ),
        mistake(
            "nothing_above",
            {"above": "same"},
            "nothing happens: gradients with a norm above max_norm come back as they were.",
            "Do you return new arrays? `g = g * factor` in a loop only names a new array g; the tuple still has the old one.",
        ),
        mistake(
            "turned_round",
            {"above": "same", "below": "scaled"},
            "the comparison is turned round: small gradients are scaled, and large ones are not.",
            "For which norms, above or below max_norm, does your `if` scale?",
        ),
        mistake(
            "zero_above",
            {"above": "zeros"},
            "gradients with a norm above max_norm become 0.",
            "The direction of a long step is still right. What should change: the direction, the length, or both?",
        ),
        mistake(
            "entries_clipped",
            {"above": "entries"},
            "each entry is cut at max_norm by itself, so the direction of the step changes.",
            "The gradient [3, 4] has the norm 5. Which gradient of norm 1 has the same direction?",
        ),
        mistake(
            "no_root",
            {"norm": "squared"},
            "the root is missing: you compare the sum of the squares.",
            "How long is the arrow from (0, 0) to (3, 4)?",
        ),
        mistake(
            "absolute_values",
            {"norm": "absolute"},
            "you add up absolute values and not squares.",
            "How long is the arrow from (0, 0) to (3, 4)? It is not 7.",
        ),
        mistake(
            "largest_entry",
            {"norm": "largest"},
            "you take the largest entry as the norm.",
            "How long is the arrow from (0, 0) to (3, 4)? It is not 4.",
        ),
        mistake(
            "norms_added",
            {"norm": "added"},
            "the norms of the arrays are added.",
            "Two arrays with the norms 3 and 4 have together the norm 5. What must be added before the root?",
        ),
        mistake(
            "mean_of_squares",
            ({"norm": "mean"}, {"norm": "mean of each"}),
            "you take the mean of the squares and not their sum.",
            "Does the length of an arrow contain a division by the number of its entries?",
        ),
        mistake(
            "one_array_only",
            ({"norm": "first"}, {"norm": "last"}, {"norm": "longest"}),
            "the norm is that of one array only.",
            "How many of the arrays are in your sum of squares when you take the root?",
        ),
        mistake(
            "sums_squared",
            {"norm": "sums squared"},
            "the entries of an array are added before they are squared.",
            "The gradient [3, -3] is not 0. Which comes first, the square or the sum?",
        ),
        mistake(
            "not_divided_by_norm",
            {"above": "times the limit"},
            "you multiply by max_norm and do not divide by the norm.",
            "The norm is 5 and max_norm is 2. Which factor makes 2 of 5?",
        ),
        mistake(
            "norm_of_a_matrix",
            {"norm": "of matrices"},
            "`np.linalg.norm(g, 2)` of a table is something else: how much the table can stretch an arrow.",
            "Without its second argument, which numbers does `np.linalg.norm` square and add up?",
        ),
        mistake(
            "subtracted",
            {"above": "subtracted"},
            "you subtract what is too much from each entry, so the direction of the step changes.",
            "The gradient [3, 4] has the norm 5. Which gradient of norm 1 has the same direction?",
        ),
        mistake(
            "root_in_the_loop",
            {"norm": "root in the loop"},
            "the root is taken again after each array.",
            "First add the squares of all arrays. How often do you need the root then, and how far is its line indented?",
        ),
        mistake(
            "squares_compared",
            {"compared": "square"},
            "the sum of the squares is compared with max_norm: you take the root too late.",
            "The norm is 3 and max_norm is 4. Are the gradients too long? What does your `if` compare?",
        ),
        mistake(
            "norm_1",
            {"above": "norm 1"},
            "the norm becomes 1, whatever max_norm is.",
            "g / norm has the norm 1. What turns 1 into max_norm?",
        ),
        mistake(
            "upside_down",
            {"above": "upside down"},
            "the factor is upside down, so long gradients become longer.",
            "The norm is 5 and max_norm is 1. Must the factor be 5 or 1/5?",
        ),
    ),
    hints=(
        "First the norm: squares, added up within each array and then over all arrays, then one root. After that one factor.",
        "`(g**2).sum()` is one number, whatever the shape of g. `sum(... for g in gradients)` adds these numbers. A line such "
        "as `g *= factor` changes the array that came in; `g * factor` makes another one.",
        "norm = np.sqrt(sum(... for g in gradients))\n"
        "if norm <= max_norm:\n"
        "    return gradients\n"
        "return tuple(g * ... for g in gradients)",
    ),
    notes={
        "np.vdot(g, g)": "The dot product of an array with itself: the sum of its squares.",
        "g *= ": "In place: the package's function changes its input, on purpose, to save memory.",
    },
)


# schedule


def schedule(step, steps, peak, warmup_steps, minimum):
    """Return a straight line up to the peak, then half a wave of a cosine down to the minimum."""
    if step <= warmup_steps:
        return peak * step / warmup_steps
    progress = (step - warmup_steps) / (steps - warmup_steps)
    return minimum + (peak - minimum) * (1 + math.cos(math.pi * progress)) / 2


def schedule_squared(step, steps, peak, warmup_steps, minimum):
    """Use cos^2 of the half angle, which is (1 + cos) / 2."""
    rest = max(0, step - warmup_steps) / (steps - warmup_steps)
    share = math.cos(math.pi * rest / 2) ** 2
    return min(1.0, step / warmup_steps) * peak if rest == 0 else share * peak + (1 - share) * minimum


def schedule_variant(
    step,
    steps,
    peak,
    warmup_steps,
    minimum,
    shift=0,
    warmup_shift=0,
    cosine_shift=0,
    length=0,
    floor="right",
    warmup="line",
    progress="after the warm-up",
    curve="cosine",
    angle=math.pi,
    border="line",
):
    """Schedule with a switch for each mistake. border: the part that computes step warmup_steps; both parts are right."""
    step = step + shift
    if warmup != "none" and (step < warmup_steps or (step == warmup_steps and border == "line")):
        up = step + warmup_shift
        return {
            "line": lambda: peak * up / warmup_steps,
            "flat": lambda: peak,
            "whole": lambda: peak * (up // warmup_steps),
            "of all steps": lambda: peak * up / steps,
            "from the minimum": lambda: minimum + (peak - minimum) * up / warmup_steps,
            "no peak": lambda: up / warmup_steps,
        }[warmup]()
    now = step + cosine_shift
    done = {
        "after the warm-up": lambda: (now - warmup_steps) / (steps - warmup_steps + length),
        "of all steps": lambda: now / steps,
        "not shortened": lambda: (now - warmup_steps) / steps,
        "whole": lambda: (now - warmup_steps) // (steps - warmup_steps + length),
        "no brackets": lambda: now - warmup_steps / steps - warmup_steps,
    }[progress]()
    share = {
        "cosine": lambda: (1 + math.cos(angle * done)) / 2,
        "twice": lambda: 1 + math.cos(angle * done),
        "line": lambda: 1 - done,
        "rising": lambda: (1 - math.cos(angle * done)) / 2,
        "flat": lambda: 1,
        "quarter": lambda: math.cos(angle * done / 2),
        "only cosine": lambda: math.cos(angle * done),
        "half of the cosine": lambda: 1 + math.cos(angle * done) / 2,
        "progress outside": lambda: (1 + math.cos(angle) * done) / 2,
    }[curve]()
    return {
        "right": lambda: minimum + (peak - minimum) * share,
        "none": lambda: peak * share,
        "added": lambda: minimum + peak * share,
        "cut": lambda: max(minimum, peak * share),
        "not added": lambda: (peak - minimum) * share,
        "turned": lambda: minimum + (minimum - peak) * share,
        "1 outside": lambda: minimum + 1 + (share - 1) * (peak - minimum),
    }[floor]()


def at_both_borders(*ways):
    """Return each way twice: step warmup_steps is computed by the line, or by the cosine."""
    return (*ways, *(way | {"border": "cosine"} for way in ways))


def schedule_cases():
    """Return all steps of a short run, then steps of longer ones."""
    longer = [(30, 1.0, 5, 0.1), (24, 0.6, 8, 0.3), (50, 2.0, 2, 0.5), (40, 0.5, 20, 0.0)]
    return [
        *(Case((step, 10, 1.0, 4, 0.2)) for step in range(1, 11)),
        *(
            Case((step, steps, peak, warmup, minimum))
            for steps, peak, warmup, minimum in longer
            for step in (1, warmup, warmup + 1, (steps + warmup) // 2, steps - 3, steps)
        ),
    ]


SCHEDULE = Exercise(
    name="schedule",
    notebook="14",
    minutes=10,
    signature="schedule(step, steps, peak, warmup_steps, minimum)",
    task="Return the learning rate of a step, one float. Steps are counted from 1 to steps. In the first warmup_steps steps it "
    "is step / warmup_steps of the peak. After them, progress grows in equal parts from 0 (at step warmup_steps) to 1 (at the "
    "last step), and the rate falls from the peak to the minimum: it is minimum plus the share (1 + cos(pi progress)) / 2 of "
    "the difference between the two.",
    reference=schedule,
    variant=schedule_variant,
    package_name="neo_np.train.optimizer.learning_rate",
    also_right=(schedule_squared,),
    cases=schedule_cases,
    mistakes=(
        mistake(
            "off_by_one",
            (
                *at_both_borders({"cosine_shift": -1}, {"cosine_shift": 1}),
                {"length": 1},
                {"length": -1},
                {"shift": 1},
                *at_both_borders({"cosine_shift": -1, "length": -1}),
            ),
            "the rate is that of a step before or after: a count is one too many or one too few.",
            "Which progress should the last step have, and which one does yours have?",
        ),
        mistake(
            "warmup_from_0",
            (*at_both_borders({"warmup_shift": -1}), {"shift": -1}),
            "the warm-up begins with the rate 0, so the first step changes nothing.",
            "The first step is step 1. Which part of the peak does it get?",
        ),
        mistake(
            "no_floor",
            {"floor": "none"},
            "the rate falls to 0: the minimum is ignored.",
            "Which rate should the last step have?",
        ),
        mistake(
            "minimum_added",
            at_both_borders({"floor": "added"}),
            "the minimum is added on top, so the rate after the warm-up begins above the peak.",
            "The cosine part falls from 1 to 0. By what must it be multiplied, so that minimum plus this begins with the peak?",
        ),
        mistake(
            "cut_at_minimum",
            {"floor": "cut"},
            "the rate falls towards 0 and is cut off at the minimum.",
            "The curve should reach the minimum only at its end. What does it fall to in the formula?",
        ),
        mistake(
            "no_warmup",
            ({"warmup": "none"}, {"warmup": "none", "progress": "of all steps"}, {"warmup": "flat"}),
            "the warm-up is missing.",
            "What is the rate of the first step?",
        ),
        mistake(
            "warmup_of_all_steps",
            at_both_borders({"warmup": "of all steps"}),
            "the warm-up is divided by the number of all steps, so it does not reach the peak.",
            "At which step should the rate be the peak?",
        ),
        mistake(
            "warmup_from_minimum",
            {"warmup": "from the minimum"},
            "the warm-up begins at the minimum.",
            "In the warm-up the rate is a part of the peak. Does the task name the minimum there?",
        ),
        mistake(
            "progress_of_all_steps",
            (*at_both_borders({"progress": "of all steps"}), {"progress": "not shortened"}),
            "progress is a part of all steps: the steps of the warm-up are not taken away.",
            "How many steps does the falling part have?",
        ),
        mistake(
            "brackets_of_progress",
            at_both_borders({"progress": "no brackets"}),
            "brackets are missing in the progress: `a - b / c - d` divides only b by c.",
            "Two differences are divided. Which brackets keep each difference together?",
        ),
        mistake(
            "brackets_of_share",
            at_both_borders({"curve": "half of the cosine"}, {"curve": "half of the cosine", "floor": "1 outside"}),
            "brackets are missing in the share: `1 + cos(...) / 2` halves only the cosine.",
            "What is (1 + cos(0)) / 2, and what is 1 + cos(0) / 2?",
        ),
        mistake(
            "minimum_not_added",
            at_both_borders({"floor": "not added"}),
            "the minimum is subtracted from the peak, and it is not added again.",
            "At the last step the share is 0. Which rate does your function give there, and which one should it be?",
        ),
        mistake(
            "difference_turned",
            at_both_borders({"floor": "turned"}),
            "the difference is minimum minus peak, so it is negative.",
            "With the share 1 the rate should be the peak. What is minimum plus your difference?",
        ),
        mistake(
            "warmup_without_peak",
            at_both_borders({"warmup": "no peak"}),
            "in the warm-up the peak is missing: the rate is step / warmup_steps itself.",
            "Which rate should the last step of the warm-up have if the peak is 0.01?",
        ),
        mistake(
            "progress_outside",
            at_both_borders({"curve": "progress outside"}),
            "progress is not inside the cosine: `cos(pi) * x` is -1 times x.",
            "Which number must be inside the brackets of the cosine: pi, or pi times progress?",
        ),
        mistake(
            "whole_numbers",
            ({"warmup": "whole"}, {"progress": "whole"}, {"warmup": "whole", "progress": "whole"}),
            "`//` rounds down to a whole number, here to 0 almost everywhere.",
            "What is 3 // 4 in Python, and what is 3 / 4?",
        ),
        mistake(
            "not_halved",
            at_both_borders({"curve": "twice"}),
            "the division by 2 is missing: 1 + cos goes from 2 to 0.",
            "What is 1 + cos(0)? Which share of the difference does the rate need there?",
        ),
        mistake(
            "no_decay",
            {"curve": "flat"},
            "after the warm-up the rate stays at the peak and does not fall.",
            "What should the rate be at the last step, and where does your function use `minimum`?",
        ),
        mistake(
            "straight_line",
            {"curve": "line"},
            "the rate falls in a straight line and not along a cosine.",
            "Where in your function is the cosine?",
        ),
        mistake(
            "rising",
            at_both_borders({"curve": "rising"}),
            "the cosine part rises from 0 to 1.",
            "The rate should begin with the peak and end with the minimum. Which sign must the cosine have?",
        ),
        mistake(
            "only_cosine",
            ({"curve": "only cosine"}, {"curve": "quarter"}),
            "the share is a cosine by itself, without 1 + and / 2.",
            "The cosine of pi is -1. Which share do you need at the end?",
        ),
        mistake(
            "wrong_angle",
            tuple({"angle": angle} for angle in (180.0, 2 * math.pi, math.pi / 2, 1.0)),
            "the angle of the cosine does not go from 0 to pi.",
            "`math.cos` counts in radians. Half a wave is an angle of pi. What do you multiply progress by?",
        ),
    ),
    hints=(
        "Two cases: a straight line during the warm-up, and after it half a wave of a cosine, from the peak to the minimum.",
        "All are plain numbers. progress = steps since the warm-up, divided by all the steps after the warm-up. `math.pi` and "
        "`math.cos` are in `import math`; `np.pi` and `np.cos` do the same. `/` divides, `//` would round down.",
        "if step <= warmup_steps:\n    return peak * ...\nprogress = (...) / (...)\nreturn minimum + (peak - minimum) * ...",
    ),
    notes={
        "peak * step / warmup_steps": "The warm-up.",
        "minimum + (peak - minimum)": "From the peak to the minimum.",
    },
)

EXERCISES = (ADAMW_STEP, CLIP, SCHEDULE)
