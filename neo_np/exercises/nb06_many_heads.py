"""Exercises of notebook 06, many heads: split_heads, merge_heads, self_attention."""

import numpy as np

from neo_np.exercises.exercise import DEEP_TOLERANCE, Case, Exercise, mistake, random_numbers
from neo_np.exercises.nb04_layer_norm import linear
from neo_np.exercises.nb05_one_head import attend, causal_mask
from neo_np.gpt_neo.params import Params

# split_heads


def split_heads(x, num_heads):
    """Cut the channels into heads: (T, C) -> (H, T, D)."""
    T, C = x.shape
    return x.reshape(T, num_heads, C // num_heads).swapaxes(0, 1)


def split_heads_variant(x, num_heads, way="right"):
    """split_heads with a switch for each mistake."""
    T, C = x.shape
    H, D = num_heads, C // num_heads
    return {
        "right": lambda: x.reshape(T, H, D).swapaxes(0, 1),
        "no_swap": lambda: x.reshape(H, T, D),
        "not_swapped": lambda: x.reshape(T, H, D),
        "interleaved": lambda: x.reshape(T, D, H).transpose(2, 0, 1),
        "exchanged": lambda: x.reshape(T, D, H).swapaxes(0, 1),
        "exchanged_no_swap": lambda: x.reshape(D, T, H),
        "exchanged_outer_swap": lambda: x.reshape(T, D, H).swapaxes(0, 2),
        "D_before_T": lambda: x.reshape(T, H, D).transpose(1, 2, 0),
        "last_swap": lambda: x.reshape(T, H, D).swapaxes(1, 2),
        "outer_swap": lambda: x.reshape(T, H, D).swapaxes(0, 2),
        "turned_first": lambda: x.T.reshape(H, T, D),
        "turned_H_D_T": lambda: x.T.reshape(H, D, T),
        "tokens": lambda: x.reshape(H, T // H, C) if T % H == 0 else x.reshape(H, -1, C),
        "first_head": lambda: x[:, :D],
        "copies": lambda: np.stack([x[:, :D]] * H),
        "whole_copies": lambda: np.stack([x] * H),
        "backwards": lambda: x.reshape(T, H, D).swapaxes(0, 1)[::-1],
        "overlapping": lambda: np.stack([x[:, h : h + D] for h in range(H)]),
    }[way]()


def numbered(*shape):
    """Return an array of consecutive whole numbers from 1, float32: one sees where each of them goes."""
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def split_heads_cases():
    """Return numbered arrays: with T = H = D, with two sizes equal, and with all sizes different."""
    sizes = [
        (1, 2, 1),
        (2, 2, 1),
        (2, 2, 2),
        (3, 2, 2),
        (2, 2, 3),
        (2, 3, 2),
        (3, 3, 3),
        (4, 2, 3),
        (3, 2, 4),
        (5, 3, 2),
        (1, 4, 2),
    ]
    borders = [(3, 1, 4), (4, 4, 1)]
    return [Case((numbered(T, H * D), H)) for T, H, D in sizes] + [
        Case((numbered(T, H * D), H), extreme=True) for T, H, D in borders
    ]


SPLIT_HEADS = Exercise(
    name="split_heads",
    notebook="06",
    minutes=8,
    core=True,
    signature="split_heads(x, num_heads)",
    task="Cut the channels into heads: (T, C) -> (H, T, D) with D = C / H. Head 0 gets the first D channels of every token, "
    "head 1 "
    "the next D, and so on.",
    reference=split_heads,
    variant=split_heads_variant,
    package_name="neo_np.gpt_neo.forward.split_heads",
    cases=split_heads_cases,
    mistakes=(
        mistake(
            "reshape_without_swap",
            {"way": "no_swap"},
            "one `reshape` to (H, T, D) cuts the numbers in their order in memory, so a head gets whole tokens of others.",
            "In memory, a token's channels lie side by side. Which axis can `reshape` cut, and which axes must be exchanged "
            "afterwards?",
        ),
        mistake(
            "heads_behind_tokens",
            {"way": "not_swapped"},
            "the result is (T, H, D): the axis of the heads is not in front.",
            "Which two axes have to be exchanged?",
        ),
        mistake(
            "interleaved",
            {"way": "interleaved"},
            "the channels are dealt out like cards: head 0 gets channels 0, H, 2H, ...",
            "Head 0 gets the first D channels. Which comes first in `reshape`, H or D, so that neighbours stay together?",
        ),
        mistake(
            "H_and_D_exchanged",
            ({"way": "exchanged"}, {"way": "exchanged_no_swap"}, {"way": "exchanged_outer_swap"}),
            "the number of heads and the size of a head are exchanged.",
            "num_heads is H. What is D, if C channels are shared out to H heads?",
        ),
        mistake(
            "tokens_last",
            ({"way": "D_before_T"}, {"way": "turned_H_D_T"}),
            "each head is turned: (H, D, T) and not (H, T, D).",
            "Inside a head, what is a row: a token or a channel?",
        ),
        mistake(
            "wrong_swap",
            ({"way": "last_swap"}, {"way": "outer_swap"}),
            "the wrong axes are exchanged after `reshape`.",
            "After `reshape` the shape is (T, H, D), and (H, T, D) is wanted. Which two axes change places?",
        ),
        mistake(
            "turned_first",
            {"way": "turned_first"},
            "x is transposed before it is cut.",
            "Which axis of x has the channels?",
        ),
        mistake(
            "tokens_cut",
            {"way": "tokens"},
            "the tokens are shared out to the heads, and not the channels.",
            "Every head sees all tokens. What does it see only a part of?",
        ),
        mistake("one_head", {"way": "first_head"}, "the result is only one head.", "How many heads should come back?"),
        mistake(
            "copies",
            ({"way": "copies"}, {"way": "whole_copies"}),
            "every head gets the same channels.",
            "Which channels belong to head 1?",
        ),
        mistake("backwards", {"way": "backwards"}, "the heads come in the wrong order.", "Which channels belong to head 0?"),
        mistake(
            "overlapping",
            {"way": "overlapping"},
            "head h begins at channel h, so the heads share channels.",
            "Each head has D channels of its own. At which channel does head 1 begin?",
        ),
    ),
    blanks=(
        "T, C = x.shape\n"
        "D = ...  # channels of one head\n"
        "cut = x.reshape(T, ..., ...)  # neighbours stay together\n"
        "return cut.swapaxes(..., ...)  # (H, T, D)"
    ),
    hints=(
        "Cut the last axis in two, heads and channels of a head. Then exchange two axes, so that the heads come first.",
        "(T, C) -> reshape -> (T, H, D) -> swapaxes -> (H, T, D).",
        "T, C = x.shape\n"
        "D = C // ...  # channels of one head\n"
        "cut = x.reshape(T, num_heads, ...)  # (T, H, D)\n"
        "return cut.swapaxes(..., ...)  # (H, T, D)",
    ),
    notes={"swapaxes(1, 2)": "The same with the axis B in front: (B, T, H, D) -> (B, H, T, D)."},
)


# merge_heads


def merge_heads(x):
    """Put the heads side by side: (H, T, D) -> (T, C)."""
    H, T, D = x.shape
    return x.swapaxes(0, 1).reshape(T, H * D)


def overlapping(x):
    """Write head h at channel h on, so that the next head writes over most of it."""
    H, T, D = x.shape
    rows = np.zeros((T, H * D), x.dtype)
    for h in range(H):
        rows[:, h : h + D] = x[h]
    return rows


def merge_heads_variant(x, way="right"):
    """merge_heads with a switch for each mistake."""
    H, T, D = x.shape
    return {
        "right": lambda: x.swapaxes(0, 1).reshape(T, H * D),
        "no_swap": lambda: x.reshape(T, H * D),
        "not_joined": lambda: x.swapaxes(0, 1),
        "mean": lambda: x.mean(axis=0),
        "sum": lambda: x.sum(axis=0),
        "maximum": lambda: x.max(axis=0),
        "below": lambda: x.reshape(H * T, D),
        "tokens_joined": lambda: x.reshape(H, T * D),
        "interleaved": lambda: x.transpose(1, 2, 0).reshape(T, H * D),
        "last_swap": lambda: x.swapaxes(1, 2).reshape(T, H * D),
        "turned": lambda: x.transpose(2, 1, 0).reshape(T, H * D),
        "first": lambda: x[0],
        "backwards": lambda: x[::-1].swapaxes(0, 1).reshape(T, H * D),
        "flat": lambda: x.ravel(),
        "C_first": lambda: x.swapaxes(1, 2).reshape(H * D, T),
        "reshape_first": lambda: x.reshape(H * D, T).swapaxes(0, 1),
        "names_exchanged": lambda: x.swapaxes(0, 1).reshape(H, T * D),
        "overlapping": lambda: overlapping(x),
    }[way]()


def merge_heads_cases():
    """Return heads of numbered entries, the sizes as in split_heads."""
    return [Case((split_heads(*case.arguments) + 0,), extreme=case.extreme) for case in split_heads_cases()]


MERGE_HEADS = Exercise(
    name="merge_heads",
    notebook="06",
    minutes=6,
    core=True,
    signature="merge_heads(x)",
    task="Put the heads side by side: (H, T, D) -> (T, C) with C = H * D. It undoes split_heads.",
    reference=merge_heads,
    variant=merge_heads_variant,
    package_name="neo_np.gpt_neo.forward.merge_heads",
    cases=merge_heads_cases,
    mistakes=(
        mistake(
            "no_swap_back",
            ({"way": "no_swap"}, {"way": "reshape_first"}),
            "the axes are not exchanged before `reshape`, so a row mixes different tokens.",
            "`reshape` keeps the order in memory. Which axis must come first, so that a token's numbers lie side by side?",
        ),
        mistake(
            "mean",
            {"way": "mean"},
            "the heads are averaged.",
            "Are the numbers of a head still there in the mean? How many channels go in, and how many come out?",
        ),
        mistake("sum", {"way": "sum"}, "the heads are added up.", "How many channels go in, and how many come out?"),
        mistake(
            "not_joined",
            {"way": "not_joined"},
            "the axes are exchanged, (T, H, D), and the last step is missing.",
            "Which function makes one axis of two?",
        ),
        mistake(
            "one_below_the_other",
            ({"way": "below"}, {"way": "flat"}, {"way": "tokens_joined"}),
            "the heads or tokens are put one after the other, and not side by side.",
            "How many rows must the result have: one for each token, or one for each token of each head?",
        ),
        mistake(
            "interleaved",
            {"way": "interleaved"},
            "the channels of the heads are dealt out in turns: one of head 0, one of head 1, and so on.",
            "The first D channels are those of head 0. Which of the two axes H and D comes first before `reshape`?",
        ),
        mistake(
            "wrong_swap",
            ({"way": "last_swap"}, {"way": "turned"}, {"way": "C_first"}),
            "the wrong axes are exchanged.",
            "Before `reshape` the shape must be (T, H, D). Which two axes of (H, T, D) have to be exchanged?",
        ),
        mistake(
            "maximum",
            {"way": "maximum"},
            "the largest of the heads is taken.",
            "How many channels go in, and how many come out?",
        ),
        mistake("one_head", {"way": "first"}, "only head 0 is returned.", "What happens to the other heads?"),
        mistake("backwards", {"way": "backwards"}, "the heads come in the wrong order.", "Which head has the first channels?"),
        mistake(
            "names_exchanged",
            {"way": "names_exchanged"},
            "the sizes of x are read in the wrong order, so the result has H rows and not T.",
            "x is (H, T, D). Which of its sizes does x.shape give first?",
        ),
        mistake(
            "overlapping",
            {"way": "overlapping"},
            "head h begins at column h, so a head is written over the one before.",
            "Each head has D columns of its own. At which column does head 1 begin?",
        ),
    ),
    hints=(
        "First exchange two axes, so that the heads of one token lie side by side. Then make one axis of the last two.",
        "(H, T, D) -> swapaxes -> (T, H, D) -> reshape -> (T, H * D).",
        "H, T, D = x.shape\nside_by_side = x.swapaxes(..., ...)  # (T, H, D)\nreturn side_by_side.reshape(..., ...)",
    ),
    notes={"swapaxes(1, 2)": "Back to (B, T, H, D); after that, the heads of one token lie side by side."},
)


# self_attention


def self_attention(x, p, num_heads, mask):
    """Let every head attend by itself, put the heads side by side, and apply the output projection."""
    q = split_heads(x @ p.q_proj.weight.T, num_heads)
    k = split_heads(x @ p.k_proj.weight.T, num_heads)
    v = split_heads(x @ p.v_proj.weight.T, num_heads)
    heads = np.array([attend(q[h], k[h], v[h], mask) for h in range(num_heads)])  # (H, T, D)
    return linear(merge_heads(heads), p.out_proj.weight, p.out_proj.bias)


def self_attention_whole(x, p, num_heads, mask):
    """Let all heads attend at once."""
    q, k, v = (split_heads(x @ w.weight.T, num_heads) for w in (p.q_proj, p.k_proj, p.v_proj))
    scores = q @ k.swapaxes(1, 2) + mask
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return merge_heads(e / e.sum(axis=-1, keepdims=True) @ v) @ p.out_proj.weight.T + p.out_proj.bias


def self_attention_variant(
    x,
    p,
    num_heads,
    mask,
    scale="none",
    normalize="row",
    biases=1,
    k_from="k",
    v_from="v",
    q_from="q",
    split="right",
    merge="right",
    turned=(),
    masking="added",
    output=True,
    heads=None,
    keys="each head",
    residual=False,
):
    """self_attention with a switch for each mistake."""
    C, H = x.shape[-1], heads or num_heads
    weights = {name: getattr(p, f"{name}_proj").weight for name in ("q", "k", "v", "out")}
    weights = {name: w if name in turned else w.T for name, w in weights.items()} | {"x": np.eye(C, dtype=x.dtype)}
    q, k, v = (split_heads_variant(x @ weights[name], H, split) for name in (q_from, k_from, v_from))
    scores = (
        q
        @ (k.T if keys == "turned round" else k.swapaxes(1, 2))
        / {"none": 1.0, "sqrt_D": np.sqrt(C // H), "sqrt_C": np.sqrt(C)}[scale]
    )
    hidden = np.where(mask == 0, -1e9, 0.0)
    masks = {"added": mask, "none": 0.0, "inverted_64": hidden, "inverted_32": hidden.astype(np.float32), "subtracted": -mask}
    scores = scores + masks[masking]
    axes = {"row": (-1,), "all": (0, -1), "everything": (0, 1, 2), "heads": (0,), "queries": (1,)}[normalize]
    e = np.exp(scores - scores.max(axes, keepdims=True))
    z = e / e.sum(axes, keepdims=True) @ v
    z = merge_heads_variant(z, merge)
    z = z @ weights["out"] + biases * p.out_proj.bias if output else z
    return x + z if residual else z


def attention_params(rng, C, size=0.5):
    """Return random params of the attention part of a block."""
    named = {f"{name}_proj.weight": random_numbers(rng, C, C) * np.float32(size) for name in ("q", "k", "v", "out")}
    return Params({**named, "out_proj.bias": random_numbers(rng, C)})


def self_attention_cases():
    """Return random heads: with T = H = D, with all sizes different, with a mask that hides the future or more."""
    rng = np.random.default_rng(6)
    cases = []
    for T, H, D in [
        (1, 2, 2),
        (2, 2, 2),
        (3, 2, 2),
        (3, 3, 3),
        (4, 2, 3),
        (5, 3, 2),
        (3, 2, 4),
        (4, 2, 2),
        (2, 3, 2),
        (6, 2, 3),
    ]:
        mask = causal_mask(np.arange(T), np.arange(T))
        cases.append(Case((random_numbers(rng, T, H * D) / 2, attention_params(rng, H * D), H, mask), random=True))
    x, p = random_numbers(rng, 4, 4) / 2, attention_params(rng, 4)
    cases.append(Case((x, p, 2, np.zeros((4, 4), np.float32)), random=True))
    cases.append(Case((x, p, 1, causal_mask(np.arange(4), np.arange(4))), random=True))
    return cases


SELF_ATTENTION = Exercise(
    name="self_attention",
    notebook="06",
    minutes=20,
    signature="self_attention(x, p, num_heads, mask)",
    task="The attention part of a block: project x, (T, C), to queries, keys and values (p.q_proj.weight and so on; no "
    "bias), split them into heads, let each head attend with the mask (T, T), merge the heads, and apply p.out_proj.weight and "
    "p.out_proj.bias. You may call split_heads, merge_heads, linear and attend(q, k, v, mask), which takes one head at a time.",
    reference=self_attention,
    variant=self_attention_variant,
    package_name="neo_np.gpt_neo.forward.self_attention",
    given=("softmax", "attend", "split_heads", "merge_heads", "linear"),
    also_right=(self_attention_whole,),
    tolerance=DEEP_TOLERANCE,
    cases=self_attention_cases,
    mistakes=(
        mistake(
            "scaled",
            ({"scale": "sqrt_C"}, {"scale": "sqrt_D"}),
            "the scores are divided by a root. Most models do divide; GPT-Neo does not.",
            "Which division do you find in the formula of GPT-Neo's scores?",
        ),
        mistake(
            "over_all_heads",
            ({"normalize": "all"}, {"normalize": "everything"}),
            "the softmax runs over all heads together, so the heads share one sum.",
            "Each head looks by itself. Along which axis do its weights add up to 1?",
        ),
        mistake(
            "out_bias_lost",
            {"biases": 0},
            "the bias of the output projection is missing.",
            "q, k and v have no bias in GPT-Neo. Which projection has one?",
        ),
        mistake(
            "k_as_v",
            {"v_from": "k"},
            "the keys are used as values.",
            "Three projections, three different things. Which one is handed over?",
        ),
        mistake(
            "v_as_k",
            {"k_from": "v"},
            "the values are used as keys.",
            "Three projections, three different things. Which one is compared with the queries?",
        ),
        mistake(
            "q_as_k",
            ({"k_from": "q"}, {"q_from": "k"}),
            "queries and keys come from the same projection.",
            "What a token asks and what it offers are two things. Which two weights make them?",
        ),
        mistake(
            "q_and_k_exchanged",
            {"q_from": "k", "k_from": "q"},
            "queries and keys are exchanged.",
            "Which of the two belongs to the token that looks?",
        ),
        mistake(
            "unmerged_order",
            {"merge": "no_swap"},
            "the heads are merged by `reshape` without exchanging the axes.",
            "Which shape must z have before `reshape`, so that a token's heads lie side by side? Can you call merge_heads?",
        ),
        mistake(
            "split_without_swap",
            ({"split": "no_swap"}, {"split": "no_swap", "merge": "no_swap"}),
            "the heads are split by `reshape` without exchanging the axes.",
            "`reshape` by itself gives a head the channels of other tokens. Can you call split_heads?",
        ),
        mistake(
            "interleaved",
            ({"split": "interleaved"}, {"split": "interleaved", "merge": "interleaved"}),
            "the channels are dealt out to the heads in turns.",
            "Head 0 gets the first D channels. Can you call split_heads?",
        ),
        mistake(
            "weights_not_transposed",
            ({"turned": ("q", "k", "v", "out")}, {"turned": ("q", "k", "v")}, {"turned": ("out",)}),
            "weights are used without being transposed.",
            "The checkpoint has (out, in). Which of them do you multiply by `@ weight` and not by `@ weight.T`?",
        ),
        mistake(
            "no_mask",
            {"masking": "none"},
            "the mask has no effect: tokens see the future.",
            "Where does the mask meet the scores?",
        ),
        mistake(
            "mask_inverted",
            ({"masking": "inverted_32"}, {"masking": "inverted_64"}, {"masking": "subtracted"}),
            "the mask works the wrong way round.",
            "The mask is 0 where a key is visible. What should happen to the scores at these places?",
        ),
        mistake(
            "axis",
            ({"normalize": "queries"}, {"normalize": "heads"}),
            "the softmax runs along the wrong axis.",
            "The scores are (H, T, S). Along which axis must the weights add up to 1?",
        ),
        mistake(
            "all_heads_at_once",
            {"keys": "turned round"},
            "`attend` takes one head, (T, D), and it gets all heads at once, (H, T, D): `.T` turns round all three axes.",
            "How do you call `attend` once for each head and put the results together?",
        ),
        mistake(
            "no_output", {"output": False}, "the output projection is missing.", "Which of the four weights do you not use?"
        ),
        mistake("one_head", {"heads": 1}, "everything is done as one head.", "Where does your code use num_heads?"),
        mistake(
            "not_projected",
            ({"q_from": "x"}, {"k_from": "x"}, {"v_from": "x"}, {"q_from": "x", "k_from": "x", "v_from": "x"}),
            "x itself is used in the place of queries, keys or values.",
            "Which of the four weights do you not use?",
        ),
        mistake(
            "residual_inside",
            {"residual": True},
            "x is added to the result. The block does that later.",
            "What is the last step that the task names?",
        ),
        mistake(
            "one_projection",
            ({"k_from": "q", "v_from": "q"}, {"q_from": "k", "v_from": "k"}, {"q_from": "v", "k_from": "v"}),
            "queries, keys and values all come from the same projection.",
            "p has three weights for three different things. How many of them do you use?",
        ),
        mistake(
            "one_head_repeated",
            {"split": "copies"},
            "every head computes with the channels of head 0.",
            "Where does your loop over the heads use its number?",
        ),
    ),
    hints=(
        "Project three times, split into heads, attend, merge, project once more. Each step is a function that you have.",
        "x is (T, C); q, k and v are (H, T, D); each head gives (T, D); together (H, T, D) -> (T, C). Weights are (out, in).",
        "q = split_heads(x @ p.q_proj.weight.T, num_heads)  # (H, T, D)\n"
        "k = ...\n"
        "v = ...\n"
        "heads = np.array([attend(..., ..., ..., mask) for h in range(num_heads)])\n"
        "return linear(..., p.out_proj.weight, p.out_proj.bias)",
    ),
    notes={
        "p.out_proj.bias": "Only the output projection has a bias.",
        "if cache is not None": "With a cache, keys and values of earlier tokens are put in front. See notebook 11.",
    },
)

EXERCISES = (SPLIT_HEADS, MERGE_HEADS, SELF_ATTENTION)
