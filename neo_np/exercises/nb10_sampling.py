"""Exercises of notebook 10, sampling: temperature, top_k, top_p, repetition_penalty, sample."""

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, array, mistake, random_numbers
from neo_np.exercises.nb05_one_head import hidden_is_lowest, softmax

SETS_0 = mistake(
    "sets_0",
    ({"removed": 0.0}, {"removed": -1.0}),
    "removed tokens get an ordinary logit, 0 or -1. exp of it is far above 0: they can still be drawn.",
    "Which logit makes the probability 0?",
)

# temperature


def temperature(logits, value):
    """Divide the logits by the temperature: below 1 the differences grow, above 1 they shrink."""
    return logits / value


def temperature_loop(logits, value):
    """Divide one logit after the other."""
    return np.array([logit / value for logit in logits])


def temperature_variant(logits, value, step="divide", first="none", last="none"):
    """Temperature with a switch for each mistake."""
    before = {
        "none": lambda: logits,
        "softmax": lambda: softmax(logits),
        "log_softmax": lambda: np.log(softmax(logits)),
        "shift": lambda: logits - logits.max(),
    }[first]()
    changed = {
        "divide": lambda: before / value,
        "multiply": lambda: before * value,
        "subtract": lambda: before - value,
        "inverted": lambda: value / before,
        "multiply below 1": lambda: before * value if value < 1 else before / value,
        "whole": lambda: before // value,
        "whole numbers": lambda: (before / value).astype(int),
        "power": lambda: before ** (1 / value),
        "power_up": lambda: before**value,
        "by_sign": lambda: np.where(before > 0, before / value, before * value),
        "nothing": lambda: before,
    }[step]()
    return {
        "none": lambda: changed,
        "softmax": lambda: softmax(changed),
        "log_softmax": lambda: np.log(softmax(changed)),
        "exp": lambda: np.exp(changed),
        "old_total": lambda: np.exp(changed) / np.exp(logits).sum(),
    }[last]()


def temperature_cases():
    """Return short rows by hand, then random ones, with temperatures below and above 1."""
    rng = np.random.default_rng(10)
    by_hand = [([2, 1], 2.0), ([3, 1, 2], 0.5), ([4, -2, 1], 2.0), ([-1, -3, -2], 0.25), ([6, 5, 2, -1], 4.0)]
    sizes = [2, 3, 3, 4, 5, 6, 7, 4] * 2
    return [Case((array(logits), value)) for logits, value in by_hand] + [
        Case((random_numbers(rng, V) + np.float32(0.05), value), random=True)
        for V, value in zip(sizes, [0.5, 2.0, 0.8, 1.5, 0.7, 3.0, 0.25, 1.2] * 2)
    ]


TEMPERATURE = Exercise(
    name="temperature",
    notebook="10",
    minutes=5,
    core=True,
    signature="temperature(logits, value)",
    task="Return the logits, (V,), at a temperature: `value` is a number above 0. Below 1 it makes the differences between "
    "logits larger, above 1 smaller. Logits go in and logits come out: softmax comes later.",
    reference=temperature,
    variant=temperature_variant,
    package_name="neo_np.generate.logits_processors.temperature",
    also_right=(temperature_loop,),
    cases=temperature_cases,
    mistakes=(
        mistake(
            "multiplies",
            ({"step": "multiply"}, {"step": "multiply below 1"}),
            "you multiply by the temperature, so a low one makes the choice more random and not less.",
            "At temperature 0.5, should the differences between the logits become larger or smaller?",
        ),
        mistake(
            "on_probabilities",
            ({"first": "softmax"}, {"first": "softmax", "step": "nothing"}),
            "you divide the probabilities, not the logits. Dividing all of them by one number does not change their ratios.",
            "What happens to 0.6 and 0.3 if both are divided by 2 and then scaled to the sum 1?",
        ),
        mistake(
            "too_early",
            (
                {"last": "softmax"},
                {"last": "log_softmax"},
                {"last": "old_total"},
                {"first": "log_softmax"},
                {"first": "softmax", "last": "softmax"},
                {"first": "softmax", "step": "power"},
            ),
            "you normalise too early: the result is no longer logits. Other processors may follow, and softmax comes last.",
            "Which function turns logits into probabilities, and did the task ask for it?",
        ),
        mistake(
            "exponentials",
            {"last": "exp"},
            "the result is `exp` of the logits, the first half of a softmax.",
            "Logits may be negative, and your results are all positive. Which step makes them so?",
        ),
        mistake(
            "subtracts",
            {"step": "subtract"},
            "you subtract the temperature. Subtracting one number from all logits does not change their softmax.",
            "Which operation changes the differences between the logits?",
        ),
        mistake(
            "inverted",
            {"step": "inverted"},
            "you divide the temperature by the logits.",
            "What should be divided, and by what?",
        ),
        mistake(
            "shifted",
            {"first": "shift"},
            "you subtract the largest logit first. Softmax does this by itself, and here the logits should keep their signs.",
            "Which line can you leave out?",
        ),
        mistake(
            "power",
            ({"step": "power"}, {"step": "power_up"}),
            "you take a power of the logits. Probabilities can be raised to 1 / temperature; logits need another operation.",
            "Which operation makes all differences between the logits twice as large?",
        ),
        mistake(
            "by_sign",
            {"step": "by_sign"},
            "positive logits are divided and negative ones multiplied: that is the repetition penalty.",
            "Are all differences between the logits divided by the same number then?",
        ),
        mistake(
            "whole_numbers",
            ({"step": "whole"}, {"step": "whole numbers"}),
            "the results are cut to whole numbers.",
            "Which step loses the decimals? (`//` and `int` do.)",
        ),
    ),
    blanks="changed = ...  # the logits at this temperature\nreturn changed  # (V,)",
    hints=(
        "Softmax depends only on the differences between logits. To double every difference, divide all logits by 0.5.",
        "logits is (V,), value is one number, and the result is (V,).",
        "changed = logits / ...  # all differences are divided too\nreturn changed  # (V,)",
    ),
    notes={"logits / float(value)": "All differences between the logits are divided too."},
)


# top_k


def top_k(logits, k):
    """Keep the k highest logits, and those equal to the k-th; the others become -inf."""
    lowest_kept = np.sort(logits)[-k]
    return np.where(logits < lowest_kept, -np.inf, logits)


def top_k_loop(logits, k):
    """Keep each token for which fewer than k others are higher."""
    kept = [logit if sum(logits > logit) < k else -1e9 for logit in logits]
    return np.array(kept, logits.dtype)


def top_k_variant(logits, k, highest=True, rule="best", ties="kept", off=0, removed=-np.inf, give="logits"):
    """top_k with a switch for each mistake."""
    scores = logits if highest else -logits
    places, rising = np.arange(len(scores)), np.sort(scores)
    order = np.argsort(scores, kind="stable")[::-1] if ties == "last" else np.argsort(-scores, kind="stable")
    best = order[: max(k + off, 0)]
    kept = {
        "best": lambda: np.isin(scores, scores[best]) if ties == "kept" else np.isin(places, best),
        "above the k-th": lambda: scores > rising[-k],
        "below the k-th": lambda: scores < rising[-k],
        "from the one after -k": lambda: scores >= rising[-k + 1],
        "from falling[k]": lambda: scores >= rising[::-1][k],
        "above falling[k]": lambda: scores > rising[::-1][k],
        "from rising[k]": lambda: scores >= rising[k],
        "from rising[k - 1]": lambda: scores >= rising[k - 1],
        "unique": lambda: scores >= np.unique(scores)[-k],
        "few higher values": lambda: np.array([len(np.unique(scores[scores > score])) < k for score in scores]),
        "first": lambda: places < k,
        "above the place": lambda: scores >= order[k - 1],
        "above another place": lambda: scores >= np.argsort(scores)[-k],
        "above k": lambda: scores > k,
    }[rule]()
    base = softmax(logits) if give in ("probabilities", "probabilities and -inf") else logits
    chosen = np.where(kept, base, 0 if give == "probabilities" else removed)
    return {
        "renormalized": lambda: softmax(np.where(kept, logits, -np.inf)),
        "values": lambda: logits[kept],
        "sorted_values": lambda: np.sort(logits[kept])[::-1],
        "rising_values": lambda: np.sort(logits[kept]),
        "ids": lambda: best,
        "sorted": lambda: np.sort(chosen)[::-1],
        "mask": lambda: kept,
    }.get(give, lambda: chosen)()


def top_k_cases():
    """Return rows without ties, k = 1 and k = V among them, then three rows with ties.

    In the last row, not all equal logits fit into k. Which of them a wrong program keeps depends on its sort and may differ
    from row to row, so there is only one such row.
    """
    rng = np.random.default_rng(110)
    by_hand = [([1, 3, 2], 1), ([1, 3, 2], 2), ([5, -1, 2, 4], 2), ([-4, -1, -3, -2], 3), ([0.5, 4, -2, 3, 1], 3)]
    sizes = [(3, 2), (3, 3), (4, 1), (5, 3), (6, 2), (7, 4), (6, 5), (4, 4)] * 2
    ties = [([4, 1, 4, 3, 2], 3), ([2, 2, 1], 3), ([3, 1, 4, 3, 2], 2)]
    return [
        *(Case((array(logits), k)) for logits, k in by_hand),
        *(Case((rng.permutation(V).astype(np.float32) * 1.5 - V / 2 + np.float32(0.1), k)) for V, k in sizes),
        *(Case((array(logits), k), extreme=True) for logits, k in ties),
    ]


TOP_K = Exercise(
    name="top_k",
    notebook="10",
    minutes=8,
    signature="top_k(logits, k)",
    task="Keep the k highest of the logits, (V,), and give all others a very low number such as -1e9 or -inf. The kept logits "
    "stay as they are, in their places. Logits that are equal to the k-th highest one are kept too, so ties can leave more "
    "than k. (1 <= k <= V)",
    reference=top_k,
    variant=top_k_variant,
    package_name="neo_np.generate.logits_processors.top_k",
    also_right=(top_k_loop,),
    compare_as=hidden_is_lowest,
    cases=top_k_cases,
    mistakes=(
        SETS_0,
        mistake(
            "smallest",
            ({"highest": False}, {"rule": "below the k-th"}),
            "low logits are kept, and high ones are removed.",
            "In which direction does `sort` sort, and at which end are the likely tokens?",
        ),
        mistake(
            "ties_lost",
            ({"ties": "first"}, {"ties": "last"}, {"rule": "above falling[k]"}),
            "some logits that are equal to the k-th are lost. By convention, here as in transformers, ties are kept.",
            "Can you compare each logit with the k-th highest one, instead of choosing k places?",
        ),
        mistake(
            "one_short",
            ({"off": -1}, {"rule": "above the k-th"}, {"rule": "from the one after -k"}),
            "one token too few is kept.",
            "With k = 1, which token should be kept? Does your comparison keep a logit that is equal to the k-th?",
        ),
        mistake(
            "one_long",
            ({"off": 1}, {"rule": "from falling[k]"}),
            "one token too many is kept.",
            "In a sorted row, which index from the end has the k-th highest number?",
        ),
        mistake(
            "counted_from_below",
            ({"rule": "from rising[k]"}, {"rule": "from rising[k - 1]"}),
            "k is counted from the wrong end: `np.sort` puts the lowest logit first.",
            "In a sorted row of 5 logits, which index has the highest one, and which index has the second highest?",
        ),
        mistake(
            "equal_ones_counted_once",
            ({"rule": "unique"}, {"rule": "few higher values"}),
            "equal logits are counted as one, so too many tokens are kept.",
            "The logits are 4, 1, 4, 3, 2 and k is 3. Which is the third highest: 3 or 2?",
        ),
        mistake(
            "first_k",
            {"rule": "first"},
            "you keep the first k tokens of the vocabulary.",
            "Where in your code are the logits compared with each other?",
        ),
        mistake(
            "compared_with_an_id",
            ({"rule": "above the place"}, {"rule": "above another place"}),
            "you compare the logits with the id of the k-th token: `argsort` gives places and not logits.",
            "What is the difference between `np.sort(logits)[-k]` and `np.argsort(logits)[-k]`?",
        ),
        mistake(
            "compared_with_k",
            {"rule": "above k"},
            "you compare the logits with the number k itself.",
            "k says how many tokens are kept. What is the lowest logit among them?",
        ),
        mistake(
            "probabilities",
            ({"give": "probabilities"}, {"give": "renormalized"}, {"give": "probabilities and -inf"}),
            "the result is probabilities, and logits were asked for.",
            "Softmax comes last, after all processors. Which line is too much?",
        ),
        mistake(
            "only_the_kept",
            ({"give": "values"}, {"give": "sorted_values"}, {"give": "rising_values"}),
            "only the kept logits come back, so nobody knows which tokens they belong to.",
            "The result needs one number for each token. What do removed tokens get?",
        ),
        mistake(
            "ids_returned",
            ({"give": "ids"}, {"give": "mask"}),
            "the result says which tokens are kept, and their logits were asked for.",
            "`np.where(condition, a, b)` makes numbers of a condition. What are a and b here?",
        ),
        mistake(
            "in_sorted_order",
            {"give": "sorted"},
            "the result is sorted. A logit belongs to the token at its place, so the places must stay.",
            "Can you use the sorted row only to find the lowest logit that is kept?",
        ),
        mistake(
            "raised",
            {"removed": np.inf},
            "removed tokens get a very high number: they would get all the probability.",
            "What is exp of a very high number, and what is exp of a very low one?",
        ),
    ),
    hints=(
        "Find the k-th highest logit. Every logit that is lower is removed.",
        "np.sort(logits) is (V,), the lowest first. The comparison gives (V,) of True and False; np.where makes (V,) logits.",
        "lowest_kept = np.sort(logits)[...]  # one number\nreturn np.where(logits < ..., ..., logits)",
    ),
    notes={
        "logits < kth_highest": "A logit that is equal to the k-th highest is not lower, so ties are kept.",
        "-np.inf": "exp(-inf) is 0.",
    },
)


# top_p


def top_p(logits, p):
    """Keep the likeliest tokens until their probabilities reach p; the token that reaches it is kept."""
    order = np.argsort(-logits)  # the likeliest first
    probabilities = softmax(logits)[order]
    sum_before = np.cumsum(probabilities) - probabilities  # of those before each one
    result = np.full_like(logits, -np.inf)
    kept = order[sum_before < p]
    result[kept] = logits[kept]
    return result


def top_p_from_below(logits, p):
    """Remove the least likely tokens while their sum is at most 1 - p."""
    probabilities, result = softmax(logits.astype(float)), logits.copy()
    total = 0.0
    for id in np.argsort(logits, kind="stable"):
        total += probabilities[id]
        if total > 1 - p:
            break
        result[id] = -1e9
    return result


def top_p_variant(
    logits,
    p,
    weights="softmax",
    order="falling",
    inverted=False,
    crossing="kept",
    goal="p",
    rule="sum",
    places="ids",
    removed=-np.inf,
    give="logits",
):
    """top_p with a switch for each mistake."""
    values = {"softmax": softmax, "exp": np.exp, "logits": np.array}[weights](logits)
    way = {"falling": np.argsort(-logits), "rising": np.argsort(logits), "ids": np.arange(len(logits))}[order]
    target = {"p": p, "rest": 1 - p, "probabilities": values, "sorted_probabilities": values[way]}[goal]
    total = np.cumsum(values[way])
    kept_sorted = {
        "kept": lambda: total - values[way] < target,
        "kept_equal": lambda: total - values[way] <= target,
        "dropped": lambda: total < target,
        "rolled": lambda: np.roll(total, 1) < target,
        "dropped_but_one": lambda: (total < target) | (np.arange(len(way)) == 0),
        "one_more": lambda: np.concatenate([[True], (total - values[way] < target)[:-1]]),
        "previous": lambda: np.logical_and.accumulate(np.append(0, values[way][:-1]) < target),
        "first_reached": lambda: np.logical_and.accumulate(total - values[way] < target),
    }[crossing]()
    kept_sorted = ~kept_sorted if inverted else kept_sorted
    kept = {"ids": kept_sorted[np.argsort(way)], "sorted": kept_sorted, "rising": kept_sorted[::-1]}[places]
    kept = {
        "sum": lambda: kept,
        "each": lambda: values >= target,
        "share": lambda: values >= target * values.max(),
        "count": lambda: np.argsort(np.argsort(-logits)) < max(1, round(target * len(logits))),
    }[rule]()
    chosen = np.where(kept, logits, removed)
    return {
        "logits": lambda: chosen,
        "probabilities": lambda: np.where(kept, softmax(logits), 0),
        "probabilities and -inf": lambda: np.where(kept, softmax(logits), removed),
        "renormalized": lambda: softmax(np.where(kept, logits, -np.inf)),
        "values": lambda: logits[kept],
        "sorted": lambda: np.sort(chosen)[::-1],
        "mask": lambda: kept,
        "ids": lambda: way[kept_sorted],
    }[give]()


def far_from_borders(logits, p):
    """Return whether logits differ clearly, and no probability or running sum, right or wrong, is near p or 1 - p."""
    falling = np.sort(logits.astype(float))[::-1]
    ways = [softmax(falling), np.exp(falling), falling]
    numbers = np.concatenate([softmax(falling), *(np.cumsum(way) for way in ways), *(np.cumsum(way[::-1]) for way in ways)])
    return np.abs(numbers[:, None] - [p, 1 - p]).min() > 0.015 and np.diff(falling).max() < -0.05


def either_of_two(logits):
    """Return a row as `hidden_is_lowest` does; of two equal tokens, as in the last case, either one may be kept."""
    logits = hidden_is_lowest(logits)
    return np.sort(logits)[::-1] if logits.shape == (2,) else logits


def top_p_cases():
    """Return rows in which no sum is so near p that rounding decides; then removed tokens, and a sum equal to p."""
    rng = np.random.default_rng(1010)
    by_hand = [([1, 3, 2], 0.5), ([1, 3, 2], 0.8), ([3, 0, 2, 1], 0.7), ([-2, -1, -4, -3], 0.95), ([1.5, 0, 1, 2, 0.5], 0.6)]
    cases = [Case((array(logits), p)) for logits, p in by_hand]
    for V, p in [(3, 0.6), (4, 0.8), (5, 0.9), (5, 0.3), (6, 0.7), (7, 0.9), (8, 0.8), (4, 0.4), (6, 0.95)] * 2:
        logits = random_numbers(rng, V)
        while not far_from_borders(logits, p):
            logits = random_numbers(rng, V)
        cases.append(Case((logits, p)))
    at_border = array([0, 0]), 0.5  # both have exactly the probability 0.5, however it is computed
    return [*cases, *(Case(case, extreme=True) for case in [(array([3, -np.inf, 2, -np.inf, 1]), 0.8), at_border])]


TOP_P = Exercise(
    name="top_p",
    notebook="10",
    minutes=15,
    core=True,
    signature="top_p(logits, p)",
    task="logits is (V,). Keep the likeliest tokens until their probabilities add up to p; the token with which the sum "
    "reaches p is kept too. Give all others a very low logit such as -1e9 or -inf. The kept logits stay as they are, in their "
    "places. You may call softmax(x).",
    reference=top_p,
    variant=top_p_variant,
    package_name="neo_np.generate.logits_processors.top_p",
    given=("softmax",),
    also_right=(top_p_from_below,),
    compare_as=either_of_two,
    cases=top_p_cases,
    mistakes=(
        mistake(
            "drops_the_crossing",
            ({"crossing": "dropped"}, {"crossing": "dropped_but_one"}),
            "the token with which the sum crosses p is dropped. If the likeliest token has more than p, none at all remains.",
            "The sum of the tokens *before* a token decides whether it is still needed. Which sum do you compare with p?",
        ),
        mistake(
            "wrong_end",
            (
                {"order": "rising"},
                {"order": "rising", "crossing": "dropped"},
                {"inverted": True},
                {"inverted": True, "crossing": "dropped"},
            ),
            "you begin at the wrong end: the least likely tokens are kept.",
            "In which direction does `argsort` sort? Which token must be the first one in the sum?",
        ),
        mistake(
            "not_softmaxed",
            ({"weights": "logits"}, {"weights": "logits", "crossing": "first_reached"}, {"weights": "exp"}),
            "you add up logits, or `exp` of them, and not probabilities.",
            "Which numbers add up to 1, so that a sum can reach p?",
        ),
        mistake(
            "probabilities",
            ({"give": "probabilities"}, {"give": "renormalized"}, {"give": "probabilities and -inf"}),
            "the result is probabilities, and logits were asked for.",
            "The probabilities only decide which tokens stay. What should the kept tokens have in the result?",
        ),
        SETS_0,
        mistake(
            "equal_is_too_few",
            {"crossing": "kept_equal"},
            "a token is kept although the sum of those before it is already equal to p.",
            "Two tokens have the probability 0.5 each, and p is 0.5. How many are needed to reach p?",
        ),
        mistake(
            "p_overwritten",
            ({"goal": "probabilities"}, {"goal": "sorted_probabilities"}),
            "the sums are not compared with the limit: p has a new value, or the loop ends in its first round.",
            "Which two things have the name p in your function? Or is a `return` inside your loop?",
        ),
        mistake(
            "one_minus_p",
            {"goal": "rest"},
            "the kept tokens reach 1 - p and not p.",
            "With p = 0.9, should many tokens be kept or few?",
        ),
        mistake(
            "not_sorted",
            {"order": "ids"},
            "you add the probabilities in the order of the vocabulary.",
            "Which token must come first in the sum, and which function gives you that order?",
        ),
        mistake(
            "places_lost",
            ({"places": "sorted"}, {"places": "rising"}),
            "you find out which places of the *sorted* row are kept, and use them as places of the unsorted one.",
            "`order[0]` is the id of the likeliest token. How do you get from places in the sorted row to ids?",
        ),
        mistake(
            "in_sorted_order",
            {"give": "sorted"},
            "the result is sorted. A logit belongs to the token at its place, so the places must stay.",
            "`result[order[i]] = ...` writes to the place of a token. Where do you write?",
        ),
        mistake(
            "each_by_itself",
            ({"rule": "each"}, {"rule": "share"}, {"crossing": "previous"}),
            "each probability is compared with a limit by itself. Top-p compares their running sum.",
            "What does `np.cumsum` do, and what is it good for here?",
        ),
        mistake(
            "counts_tokens",
            {"rule": "count"},
            "you keep a share p of the tokens. Top-p means a share of the probability.",
            "If one token has the probability 0.9, how many tokens are needed for p = 0.8?",
        ),
        mistake(
            "likeliest_lost",
            {"crossing": "rolled"},
            "the likeliest token is lost: `np.roll` brings the last running sum, 1, to the front.",
            "What is the sum of the tokens before the likeliest one?",
        ),
        mistake(
            "one_more",
            {"crossing": "one_more"},
            "one token too many is kept, the one after the sum has reached p.",
            "For the token that crosses p: is the sum of those before it below p or not?",
        ),
        mistake(
            "only_the_kept",
            ({"give": "values"}, {"give": "ids"}, {"give": "mask"}),
            "the result is only the kept tokens, or only says which they are.",
            "The result needs one logit for each token. What do removed tokens get?",
        ),
    ),
    hints=(
        "Sort the tokens, the likeliest first, and add their probabilities up. A token is kept if the sum of those before it "
        "is still below p.",
        "order, the sorted probabilities and their running sum are all (V,). np.cumsum gives the running sum with the token "
        "itself; subtract its own probability to get the sum before it. order[...] leads back to the ids.",
        "order = np.argsort(...)  # the likeliest first\n"
        "probabilities = softmax(logits)[order]\n"
        "sum_before = np.cumsum(probabilities) - ...\n"
        "kept = order[...]  # ids\n"
        "result = np.full_like(logits, -np.inf)\n"
        "result[kept] = ...\n"
        "return result",
    ),
    notes={
        "np.cumsum(softmax(logits[order])) <= 1 - p": "From the other end, as transformers does it: the least likely tokens "
        "are removed while their sum is at most 1 - p.",
        "removed[-keep:] = False": "The likeliest token always stays.",
    },
)


# repetition_penalty


def repetition_penalty(logits, ids, penalty):
    """Divide the positive logits of the tokens in the text by the penalty, and multiply the negative ones, once each."""
    result = logits.copy()
    for id in set(ids):
        result[id] = logits[id] / penalty if logits[id] > 0 else logits[id] * penalty
    return result


def repetition_penalty_at_once(logits, ids, penalty):
    """Compute the penalty for all tokens, and take it for those of the text."""
    used = np.isin(np.arange(len(logits)), ids)
    lower = np.minimum(logits / penalty, logits * penalty)
    return np.where(used, lower, logits)


def repetition_penalty_variant(
    logits,
    ids,
    penalty,
    positive="divide",
    negative="multiply",
    count=False,
    which="used",
    form="logits",
    step="factor",
    give="all",
):
    """repetition_penalty with a switch for each mistake."""
    V = len(logits)
    counts = np.bincount(np.array(ids, int), minlength=V)
    if which == "places" and len(ids) > V:
        raise IndexError("more places than tokens")
    chosen = {
        "used": lambda: counts > 0,
        "all": lambda: np.ones(V, bool),
        "unused": lambda: counts == 0,
        "last": lambda: np.arange(V) == ids[-1],
        "first": lambda: np.arange(V) == ids[0],
        "lowest": lambda: np.arange(V) == min(ids),
        "repeated": lambda: counts > 1,
        "places": lambda: np.arange(V) < len(ids),
        "different places": lambda: np.arange(V) < len(set(ids)),
    }[which]()
    times = counts if count else np.ones(V, int)
    factor = penalty * np.maximum(times, 1) if count == "factor" else penalty**times
    values = np.array(logits) if form == "logits" else softmax(logits)

    def changed(how):
        return {"divide": values / factor, "multiply": values * factor, "leave": values}[how]

    lower = {
        "factor": lambda: np.where(values < 0, changed(negative), changed(positive)),
        "subtract": lambda: values - penalty * times,
        "subtract_log": lambda: values - np.log(penalty) * times,
        "subtract_share": lambda: values - np.abs(values) * (penalty - 1) * times,
        "forbid": lambda: np.full(V, -np.inf),
        "zero": lambda: np.zeros(V),
    }[step]()
    result = np.where(chosen, lower, values)
    if give != "all":
        return result[ids if give == "by_id" else np.unique(ids)]
    return {
        "rescaled": lambda: result / result.sum(),
        "log": lambda: np.log(result),
    }.get(form, lambda: result)()


def repetition_penalty_cases():
    """Return texts with repeated tokens, positive and negative logits among the used ones; T and V equal and different."""
    rng = np.random.default_rng(1100)
    by_hand = [([2, 4, -2], [1], 2.0), ([2, 4, -2], [2, 2], 2.0), ([3, -1, 2, 6], [0, 1, 1, 0], 2.0)]
    cases = [Case((array(logits), ids, penalty)) for logits, ids, penalty in by_hand]
    sizes = [(3, 4, 1.5), (4, 4, 2.0), (6, 4, 1.2), (5, 5, 1.3), (2, 6, 2.0), (5, 7, 1.1), (6, 6, 1.5)] * 2
    for T, V, penalty in sizes:
        while True:
            logits, ids = 2 * random_numbers(rng, V) + np.float32(0.05), rng.integers(0, V - 1, T).tolist()
            both_signs, repeats = len(set(logits[ids] > 0)) == 2, len(set(ids)) < T
            if both_signs and (repeats or T == 2):
                break
        cases.append(Case((logits, ids, penalty)))
    return cases


REPETITION_PENALTY = Exercise(
    name="repetition_penalty",
    notebook="10",
    minutes=8,
    signature="repetition_penalty(logits, ids, penalty)",
    task="Make each token that is already in the text less likely. ids: the text so far, a list. Of each token in it, divide "
    "the logit by the penalty (a number above 1) if it is positive, and multiply it by the penalty if it is negative: once, "
    "however often the token occurs. Return the new logits, (V,).",
    reference=repetition_penalty,
    variant=repetition_penalty_variant,
    package_name="neo_np.generate.logits_processors.repetition_penalty",
    also_right=(repetition_penalty_at_once,),
    compare_as=hidden_is_lowest,
    cases=repetition_penalty_cases,
    mistakes=(
        mistake(
            "divides_negatives",
            {"negative": "divide"},
            "negative logits are divided too. That brings them nearer to 0, so the token becomes *more* likely.",
            "Which is the lower score, -4 or -2? What must happen to -4 to become lower?",
        ),
        mistake(
            "by_count",
            ({"count": True}, {"count": "factor"}),
            "a token that occurs several times is penalised several times.",
            "What does a token that is in the text twice get, and how do you visit each token only once?",
        ),
        mistake(
            "all_tokens",
            {"which": "all"},
            "all tokens of the vocabulary are penalised.",
            "Which tokens are in the text? Where does your code use `ids`?",
        ),
        mistake(
            "new_tokens",
            {"which": "unused"},
            "the tokens that are *not* in the text are penalised.",
            "Which tokens should become less likely: the old ones or the new ones?",
        ),
        mistake(
            "last_only",
            {"which": "last"},
            "only the last token of the text is penalised.",
            "Which of the ids does your code visit?",
        ),
        mistake(
            "returns_too_early",
            ({"which": "first"}, {"which": "lowest"}),
            "only one token is penalised, the first one that the loop visits: `return` is inside the loop.",
            "How far is your `return` indented, and when should it be reached?",
        ),
        mistake(
            "repeated_only",
            {"which": "repeated"},
            "only tokens that occur at least twice are penalised.",
            "What should happen to a token that has come once?",
        ),
        mistake(
            "places_for_ids",
            ({"which": "places"}, {"which": "different places"}),
            "you visit the numbers 0, 1, 2, ..., the places in the text, and not the ids at these places.",
            "ids is [7, 3]. Which two logits should change, and which two does your function change?",
        ),
        mistake(
            "one_for_each_id",
            ({"give": "by_id"}, {"give": "unique"}),
            "only the logits of the tokens in the text come back, so nobody knows the other ones.",
            "The result needs V numbers. Into which places of a copy of the logits do the new ones belong?",
        ),
        mistake(
            "rewards",
            {"positive": "multiply", "negative": "divide"},
            "the tokens of the text become more likely: multiplication and division are exchanged.",
            "Which operation makes a positive number smaller?",
        ),
        mistake(
            "multiplies_positives",
            {"positive": "multiply"},
            "positive logits are multiplied, so these tokens become more likely.",
            "Which operation makes a positive number smaller, if the penalty is above 1?",
        ),
        mistake(
            "one_sign_left_out",
            ({"positive": "leave"}, {"negative": "leave"}),
            "only logits of one sign change: the positive or the negative ones stay as they are.",
            "Try a token with the logit 4 and one with -4. What should become of each?",
        ),
        mistake(
            "subtracts",
            ({"step": "subtract"}, {"step": "subtract_log"}, {"step": "subtract_share"}),
            "the penalty is subtracted: that would be another kind of penalty.",
            "Which two operations does the task name?",
        ),
        mistake(
            "forbidden",
            ({"step": "forbid"}, {"step": "zero"}),
            "the logits of the tokens in the text are replaced by a fixed number.",
            "The tokens should become less likely, each from the score that it has. What do you compute from its logit?",
        ),
        mistake(
            "on_probabilities",
            ({"form": "softmax"}, {"form": "rescaled"}, {"form": "log"}),
            "the penalty changes probabilities and not logits.",
            "Logits go in and logits come out. Which line turns them into something else?",
        ),
    ),
    hints=(
        "A positive logit gets lower if it is divided by a number above 1; a negative one gets lower if it is multiplied. "
        "Visit each token of the text once.",
        "logits is (V,). set(ids) has each id once. Write into a copy: `result = logits.copy()`.",
        "result = logits.copy()\n"
        "for id in ...:  # each token of the text once\n"
        "    result[id] = ... if logits[id] > 0 else ...\n"
        "return result",
    ),
    notes={
        "np.unique(np.asarray(ids, int))": "Each token once, however often it occurs.",
        "logits.copy()": "The caller's logits stay as they are.",
    },
)


# sample


def sample(probabilities, u):
    """Return the first id whose running sum is above u; the division makes the last sum exactly 1, in spite of rounding."""
    edges = np.cumsum(probabilities, dtype=float)
    return int(np.searchsorted(edges / edges[-1], u, side="right"))


def sample_loop(probabilities, u):
    """Walk along the bins until one ends above u; if none does, it is the last one that has a length."""
    total, last = 0.0, 0
    for id, probability in enumerate(probabilities):
        total += float(probability)
        if u < total:
            return id
        last = id if probability > 0 else last
    return last


FIRST_DRAWS = {seed: np.random.default_rng(seed).random() for seed in (0, 42)}  # what an answer with its own generator draws


def sample_variant(probabilities, u, rule="running", side="right", last="kept", order="ids", draw="u", shift=0, give="id"):
    """Sample with a switch for each mistake."""
    V = len(probabilities)
    place = {"u": u, "flipped": 1 - u}.get(draw, FIRST_DRAWS.get(draw))
    way = np.arange(V) if order == "ids" else np.argsort(-probabilities)
    edges = np.cumsum(probabilities[way], dtype=float)
    whole = edges / edges[-1] if last in ("kept", "lost", "clamped") else edges
    last_bin = V - 1 if last == "end" else int(np.flatnonzero(probabilities[way])[-1])
    found = {
        "running": lambda: int(np.searchsorted(whole, place, side=side)),
        "largest": lambda: int(probabilities.argmax()),
        "each": lambda: int((probabilities > place).argmax()),
        "each_or_last": lambda: next((i for i in range(V) if probabilities[i] > place), last_bin),
        "no_stop": lambda: int(np.flatnonzero(edges > place)[-1]),
        "uniform": lambda: int(place * V),
        "nearest": lambda: int(np.abs(edges - place).argmin()),
        "nearest_probability": lambda: int(np.abs(probabilities - place).argmin()),
    }[rule]()
    if last in ("lost", "end", "clamped"):
        found = min(found, V - 2 if last == "lost" else last_bin)
    if last == "past_error" and found == V:
        raise IndexError("no bin")
    if last == "past_zero":
        found %= V
    if last in ("none", "past_none") and found >= V - (last == "none"):
        return None
    found = int(way[found]) if order == "mapped" else found
    return {
        "id": lambda: found + shift,
        "sum": lambda: edges[found],
        "probability": lambda: probabilities[found],
    }[give]()


def sample_cases():
    """Return draws far from every edge, then draws exactly at an edge, then draws above a sum that ends just below 1."""
    rng = np.random.default_rng(1001)
    by_hand = [([0.4, 0.6], 0.7), ([0.2, 0.5, 0.3], 0.1), ([0.2, 0.5, 0.3], 0.6), ([0.2, 0.5, 0.3], 0.9)]
    cases = [Case((array(probabilities), u)) for probabilities, u in by_hand]
    for V in [3, 4, 4, 5, 5, 6, 6, 7, 8, 8] * 2:
        parts, u = rng.choice(np.arange(1, 20), V, replace=False), round(float(rng.random()), 2)
        probabilities = (parts / parts.sum()).astype(np.float32)
        while np.abs(np.concatenate([np.cumsum(probabilities), probabilities])[:, None] - [u, 1 - u]).min() < 0.01:
            u = round(float(rng.random()), 2)
        cases.append(Case((probabilities, u)))
    edges = [([0.125, 0.625, 0.25], 0.125), ([0.125, 0.625, 0.25], 0.75), ([0, 0.25, 0.75], 0.0), ([0.25, 0, 0.75], 0.25)]
    below = [([0.2, 0.3, 0.4999], 0.99995), ([0.5, 0.25, 0.2499], 0.99996), ([0.2, 0.3, 0.4999, 0], 0.99995)]
    return [*cases, *(Case((array(probabilities), u), extreme=True) for probabilities, u in edges + below)]


SAMPLE = Exercise(
    name="sample",
    notebook="10",
    minutes=10,
    core=True,
    signature="sample(probabilities, u)",
    task="Return the id that the draw u hits. The probabilities, (V,), lie side by side from 0 to 1, in the order of the ids, "
    "each as a bin of its length. A bin contains its left edge and not its right one. 0 <= u < 1. If rounding lets the sum end "
    "just below 1, what is missing belongs to the last bin that has a length: a token of probability 0 is never drawn.",
    reference=sample,
    variant=sample_variant,
    package_name="neo_np.generate.sampling.draw",
    also_right=(sample_loop,),
    cases=sample_cases,
    mistakes=(
        mistake(
            "argmax",
            {"rule": "largest"},
            "you always take the likeliest token, so the draw has no effect.",
            "Where does your code use u?",
        ),
        mistake(
            "wrong_side",
            {"side": "left"},
            "a draw exactly at an edge falls into the bin on its left. With u = 0, a token of probability 0 could be drawn.",
            "Is the first bin hit if u is equal to its right edge? (`<` and `<=`, or `side` of searchsorted)",
        ),
        mistake(
            "last_bin_lost",
            ({"last": "lost"}, {"last": "none"}),
            "the last token can never be drawn.",
            "Which u should give the last id, and what does your function do with it?",
        ),
        mistake(
            "past_the_end",
            ({"last": "past"}, {"last": "past_none"}, {"last": "past_error"}, {"last": "past_zero"}),
            "a draw above the last running sum finds no token. Rounding can let the sum end just below 1.",
            "The sum is 0.9999 and u is 0.99995. Which id should come back?",
        ),
        mistake(
            "removed_token_drawn",
            {"last": "end"},
            "a draw above the last running sum gives the last id, though its probability may be 0, as after top-k.",
            "The probabilities are 0.2, 0.3, 0.4999, 0 and u is 0.99995. Which is the last bin that has a length?",
        ),
        mistake(
            "no_stop",
            {"rule": "no_stop"},
            "the loop does not stop at the bin that is hit: a later bin takes its place, and the last id comes out.",
            "Which bin is the first one that ends above u? How does the loop end there (`break` or `return`)?",
        ),
        mistake(
            "draws_itself",
            ({"draw": 0}, {"draw": 42}),
            "your function draws a number of its own, so u has no effect.",
            "Which argument is the draw? Who has drawn it?",
        ),
        mistake(
            "no_running_sum",
            ({"rule": "each"}, {"rule": "each_or_last"}, {"rule": "nearest_probability"}),
            "each probability is compared with u by itself, and not the running sum.",
            "Where does the second bin begin and end, if the first two probabilities are 0.2 and 0.5?",
        ),
        mistake(
            "all_bins_equal",
            {"rule": "uniform"},
            "all bins have the same length, so the probabilities have no effect.",
            "How long should the bin of a token with the probability 0.5 be?",
        ),
        mistake(
            "nearest_edge",
            {"rule": "nearest"},
            "you take the running sum that is nearest to u.",
            "u = 0.25 lies in the bin from 0.2 to 0.7. Which of its edges is nearer, and does that decide which bin is hit?",
        ),
        mistake(
            "off_by_one",
            ({"shift": 1}, {"shift": -1}),
            "the id is off by one.",
            "What is the id of the first bin?",
        ),
        mistake(
            "sorted_first",
            {"order": "mapped"},
            "the bins are sorted first, the likeliest in front. This also draws correctly, but the same u gives another id.",
            "In which order does the task put the bins?",
        ),
        mistake(
            "rank_returned",
            {"order": "ranks"},
            "the probabilities are sorted first, and the result is a place in the sorted row and not an id.",
            "Does the order of the bins have to be changed at all?",
        ),
        mistake(
            "flipped",
            ({"draw": "flipped"}, {"draw": "flipped", "last": "clamped"}),
            "you count from the right end, as if the draw were 1 - u.",
            "u = 0 is the left end of the line. Which token has its bin there?",
        ),
        mistake(
            "number_returned",
            ({"give": "sum"}, {"give": "probability"}),
            "the result is a probability or a sum, and an id was asked for.",
            "You have found the right place. What is its number?",
        ),
    ),
    hints=(
        "Think of a line from 0 to 1, cut into bins. The right edges of the bins are the running sums of the probabilities. "
        "The token is the first one whose right edge lies above u.",
        "np.cumsum(probabilities) is (V,), the right edges. `np.searchsorted(edges, u, side=...)` gives one whole number; a "
        "loop is right too.",
        "edges = np.cumsum(...)  # (V,)\nreturn int(np.searchsorted(edges / ..., u, side=...))  # the last edge must be 1",
    ),
    notes={
        "np.cumsum(weights, dtype=float)": "The right edges of the bins.",
        "cdf / cdf[-1]": "The last edge becomes exactly 1, so every draw hits a bin.",
        'side="right"': "A draw exactly at an edge belongs to the bin on its right.",
    },
)

EXERCISES = (TEMPERATURE, TOP_K, TOP_P, REPETITION_PENALTY, SAMPLE)
