"""Exercises of notebook 07, local attention: local_mask, reach."""

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, mistake
from neo_np.exercises.nb05_one_head import (
    BOOLEANS,
    FACTOR,
    HIGH,
    LOWEST,
    NO_NEW_AXIS,
    NOT_LOW_ENOUGH,
    TRANSPOSED,
    VISIBLE_IS_1,
    hidden_is_lowest,
    mask_of,
)

# local_mask


def local_mask(queries, keys, window):
    """Return 0 where a query may see a key (one of the last `window` tokens, itself included), else the lowest float32."""
    distance = queries[:, None] - keys
    return np.where((distance >= 0) & (distance < window), np.float32(0), LOWEST)


def local_mask_variant(
    queries,
    keys,
    window,
    longest=0,
    causal=True,
    chunks=False,
    strict=False,
    upper=False,
    inverted=False,
    start=None,
    form="added",
    use_window=True,
    hole=False,
    pairs=False,
    future=False,
    half=False,
    transposed=False,
):
    """local_mask with a switch for each mistake."""
    if start == "zero":
        queries, keys = np.arange(len(queries)), np.arange(len(keys))
    distance = (queries if pairs else queries[:, None]) - keys
    distance = -distance if upper else distance
    near = np.abs(distance) < window + longest if not causal else distance < window + longest
    near = distance >= window if hole else np.abs(distance) <= window // 2 if half else near
    near = (queries if pairs else queries[:, None]) // window == keys // window if chunks else near
    seen = near | (not use_window)
    ahead = distance >= -window if future == "near" else future
    visible = seen & ((distance > 0 if strict else distance >= 0) | (not causal) | ahead)
    visible = ~visible if inverted else visible
    mask = mask_of(visible, form)
    return mask.T if transposed else mask


def local_mask_cases():
    """Return masks of whole texts and of the last tokens of longer texts, with windows from 1 to more than the text."""
    sizes = [
        (3, 3, 2),
        (2, 2, 1),
        (4, 4, 2),
        (5, 5, 3),
        (4, 4, 3),
        (3, 6, 2),
        (2, 5, 3),
        (6, 6, 4),
        (1, 4, 2),
        (5, 7, 2),
        (7, 7, 3),
    ]
    borders = [(3, 3, 1), (3, 3, 5), (4, 4, 4)]
    shifted = [([7, 8, 9], [5, 6, 7, 8, 9], 3), ([4, 5], [4, 5], 2), ([9], [6, 7, 8, 9], 3), ([5, 6, 7], [4, 5, 6, 7], 2)]
    return [
        *(Case((np.arange(S - T, S), np.arange(S), W)) for T, S, W in sizes),
        *(Case((np.array(queries), np.array(keys), W)) for queries, keys, W in shifted),
        *(Case((np.arange(S - T, S), np.arange(S), W), extreme=True) for T, S, W in borders),
    ]


LOCAL_MASK = Exercise(
    name="local_mask",
    notebook="07",
    minutes=10,
    core=True,
    signature="local_mask(queries, keys, window)",
    task="Return the mask, (T, S), of a local layer: 0.0 where the token at position queries[t] may look at position "
    "keys[s], and a "
    "very low number such as -1e9 where it may not. A token sees the last `window` tokens, itself included.",
    reference=local_mask,
    variant=local_mask_variant,
    package_name="neo_np.gpt_neo.forward.causal_mask",
    cases=local_mask_cases,
    compare_as=hidden_is_lowest,
    mistakes=(
        mistake(
            "one_long",
            {"longest": 1},
            "the window is one token too long.",
            "With a window of 1, which tokens does a token see? What is the distance to itself?",
        ),
        mistake(
            "one_short",
            {"longest": -1},
            "the window is one token too short.",
            "With a window of 1, which tokens does a token see? What is the distance to itself?",
        ),
        mistake(
            "not_causal",
            (
                {"causal": False},
                {"causal": False, "longest": 1},
                {"causal": False, "longest": -1},
                {"future": True},
                {"future": "near"},
            ),
            "the window reaches into the future too.",
            "Which sign has the distance of a key that lies in the future?",
        ),
        mistake(
            "chunks",
            {"chunks": True},
            "the text is cut into pieces of `window` tokens, and a token sees only its own piece.",
            "The first token of a piece sees only itself with your mask. What should the window do from token to token?",
        ),
        mistake(
            "strict",
            {"strict": True},
            "a token does not see itself.",
            "Is the token itself one of the last `window` tokens?",
        ),
        mistake(
            "no_window",
            {"use_window": False},
            "the window has no effect: every earlier token is visible.",
            "Where does your code compare the distance with `window`?",
        ),
        mistake(
            "upper",
            {"upper": True},
            "the distance has the wrong sign, so the window lies in the future.",
            "Query 5 and key 3: what should the distance be, and what is it in your code?",
        ),
        mistake(
            "inverted",
            {"inverted": True},
            "0 and the low number are exchanged.",
            "The mask is added to the scores. Which number leaves a score as it is?",
        ),
        mistake(
            "beyond_the_window",
            {"hole": True},
            "only tokens beyond the window are visible.",
            "Should the distance be smaller than the window, or larger?",
        ),
        mistake(
            "from_zero",
            {"start": "zero"},
            "the mask counts rows and columns and does not look at the positions.",
            "If only the last 2 of 5 tokens ask, what is the position of the first row's token?",
        ),
        FACTOR,
        BOOLEANS,
        VISIBLE_IS_1,
        HIGH,
        TRANSPOSED,
        NO_NEW_AXIS,
        mistake(
            "nothing_hidden",
            ({"form": "small"}, {"form": "nothing"}),
            "nothing is hidden: the mask is 0 everywhere, or as good as 0 (1e-9 is small, -1e9 is low).",
            "Which two comparisons say that a key is hidden, and which number does a hidden place get?",
        ),
        mistake(
            "both_sides",
            {"half": True, "causal": False},
            "half of the window lies before the token and half after it.",
            "Which sign has the distance of a key that lies in the future?",
        ),
        NOT_LOW_ENOUGH,
        mistake(
            "itself_not_counted",
            {"strict": True, "longest": 1},
            "a token sees the `window` tokens before it, and not itself.",
            "With a window of 1, which tokens does a token see? What is the distance to itself?",
        ),
    ),
    blanks=(
        "distance = queries[:, None] - ...  # (T, S)\n"
        "visible = (distance >= ...) & (distance < ...)\n"
        "return np.where(visible, ..., ...)"
    ),
    hints=(
        "Work out the distance of each query and key: query minus key. Two conditions: not in the future, and nearer than "
        "the window.",
        "queries[:, None] - keys is (T, S). The token itself has the distance 0, so a window of W allows the distances 0 to "
        "W - 1.",
        "distance = queries[:, None] - keys  # (T, S)\n"
        "visible = (distance >= ...) & (distance < ...)\n"
        "return np.where(visible, 0.0, ...)  # hidden: a very low number",
    ),
    notes={"(window or math.inf)": "None means a global layer: no limit."},
)


# reach


def reach(attention_layers, window, length):
    """Follow the news backwards: how many of the tokens can change what the last position says, itself included."""
    first = length - 1
    for kind in reversed(attention_layers):
        first = 0 if kind == "global" else max(0, first - (window - 1))
    return length - first


def reach_formula(attention_layers, window, length):
    """Use the formula: L (W - 1) + 1, at most the length, and the whole length with a global layer."""
    if "global" in attention_layers:
        return length
    return min(length, len(attention_layers) * (window - 1) + 1)


def reach_variant(attention_layers, window, length, count="right", globals_as="everything", cap=True, shift=0, layers="all"):
    """Reach with a switch for each mistake."""
    attention_layers = {"all": attention_layers, "first": attention_layers[:1], "last": attention_layers[-1:]}[layers]
    if globals_as == "only_if_all":
        globals_as = "left_out" if "local" in attention_layers else "everything"
    if globals_as in ("only_the_first", "only_the_last"):
        looked_at = attention_layers[0 if globals_as == "only_the_first" else -1]
        globals_as = "everything" if looked_at == "global" else "local"
    if cap == "never":
        seen = 1
        for kind in attention_layers:
            seen = length if kind == "global" else seen + window - 1
        return seen
    kinds = [kind for kind in attention_layers if kind == "local"] if globals_as == "left_out" else list(attention_layers)
    L, W = len(kinds), window
    if globals_as == "everything" and "global" in kinds:
        return length + shift
    far = {
        "right": L * (W - 1) + 1,
        "L_W": L * W,
        "W": W,
        "itself_missing": L * (W - 1),
        "power": W**L,
        "L_plus_1": L * (W + 1) + 1,
        "L_W_plus_1": L * W + 1,
        "L_W_minus_1": L * W - 1,
        "layers_plus_1": (L + 1) * (W - 1) + 1,
        "layers_minus_1": (L - 1) * (W - 1) + 1,
        "sum": L + W,
    }[count]
    return {True: min(length, far), False: far, "max": max(length, far)}[cap] + shift


def reach_cases():
    """Return layers with windows from 1 to 64; short texts and global layers are the borders of the formula."""
    local = [(1, 3), (2, 3), (3, 2), (2, 4), (4, 4), (3, 5), (5, 3), (2, 64), (6, 2), (3, 8)]
    mixed = [["global"], ["local", "global"], ["global", "local"], ["local", "global", "local"], ["global", "local"] * 2]
    return [
        *(Case((["local"] * L, W, L * W + 9)) for L, W in local),
        *(Case((kinds, 4, 30)) for kinds in mixed),
        *(Case((["local"] * L, W, T)) for L, W, T in [(3, 4, 13), (2, 5, 12)]),
        *(
            Case((["local"] * L, W, T), extreme=True)
            for L, W, T in [(4, 8, 10), (2, 64, 100), (3, 5, 12), (2, 4, 3), (1, 1, 9)]
        ),
        Case((["local"] * 4, 1, 50), extreme=True),
    ]


REACH = Exercise(
    name="reach",
    notebook="07",
    minutes=8,
    signature="reach(attention_layers, window, length)",
    task="Return how many tokens of a text of `length` tokens can change what the model says at the last position, the last "
    "token "
    'itself included: an int. attention_layers has "local" or "global" for each layer. A local layer sees the last `window` '
    "tokens, "
    "itself included; a global layer sees all.",
    reference=reach,
    variant=reach_variant,
    also_right=(reach_formula,),
    cases=reach_cases,
    mistakes=(
        mistake(
            "layers_times_window",
            {"count": "L_W"},
            "you count window tokens for each layer, and the token itself is counted in each of them.",
            "With a window of 1, news does not travel at all. What does your formula give for 4 layers of window 1?",
        ),
        mistake(
            "one_window",
            {"count": "W"},
            "you count the window of one layer only.",
            "The second layer looks at tokens that have looked back already. How far did they see?",
        ),
        mistake(
            "global_ignored",
            ({"globals_as": way} for way in ("left_out", "local", "only_if_all", "only_the_first", "only_the_last")),
            "global layers are left out, or counted as local ones (all of them or some).",
            "How far does news travel in one global layer?",
        ),
        mistake(
            "itself_missing",
            {"count": "itself_missing"},
            "the last token itself is not counted.",
            "Without any layer, which token does the result depend on?",
        ),
        mistake(
            "longer_than_the_text",
            ({"cap": False}, {"cap": "never"}),
            "the result is larger than the text.",
            "Can more tokens count than there are?",
        ),
        mistake(
            "power",
            {"count": "power"},
            "you raise the window to a power, as if the layers multiplied.",
            "How many tokens does one more layer add?",
        ),
        mistake(
            "off_by_one",
            (
                {"count": "L_W_plus_1"},
                {"count": "L_W_minus_1"},
                {"shift": 1},
                {"shift": -1},
                {"count": "L_plus_1"},
                {"count": "layers_plus_1"},
            ),
            "the count is off: each layer adds window - 1 tokens to the 1 that is there.",
            "What does your formula give for one layer of window 3? Count on your fingers.",
        ),
        mistake(
            "one_layer_too_few",
            {"count": "layers_minus_1"},
            "one layer is missing.",
            "How far does a model of one layer see, and what does your formula give?",
        ),
        mistake("added", {"count": "sum"}, "layers and window are added.", "How many tokens does one more layer add?"),
        mistake(
            "one_layer_read",
            ({"layers": "first"}, {"layers": "last"}),
            "only the first or only the last layer decides.",
            "Is your `return` inside the loop? What have the tokens already seen that the last layer looks at?",
        ),
        mistake(
            "max_for_min",
            {"cap": "max"},
            "you take the larger of the two numbers, so the result is never smaller than the text.",
            "The text is long and the window is short. Should the result be `min` or `max` of both numbers?",
        ),
    ),
    hints=(
        "Go backwards from the last token. Each local layer reaches window - 1 tokens further back. A global layer reaches the "
        "beginning.",
        "All three arguments are small: a list of str and two ints. The result is an int between 1 and length.",
        'if "global" in attention_layers:\n'
        "    return ...\n"
        "far = 1 + len(attention_layers) * ...  # the token itself, and what each layer adds\n"
        "return min(..., far)",
    ),
)

EXERCISES = (LOCAL_MASK, REACH)
