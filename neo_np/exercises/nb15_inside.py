"""Exercises of notebook 15, inside: induction_score, ablate_head, patch."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, array, mistake, random_numbers
from neo_np.exercises.nb04_layer_norm import linear
from neo_np.exercises.nb05_one_head import softmax
from neo_np.exercises.nb06_many_heads import merge_heads

# induction_score


def induction_score(weights, length):
    """Return the mean weight of the second copy's tokens on the token after their first occurrence: (H, S, S) -> (H,)."""
    S = weights.shape[-1]
    queries = np.arange(S - length, S)  # the second copy
    return weights[:, queries, queries - length + 1].mean(axis=-1)


def induction_score_diagonal(weights, length):
    """Cut off the rows of the second copy first; then the places lie on one diagonal."""
    rows = weights[:, -length:]
    start = weights.shape[-1] - 2 * length + 1
    return np.array([np.trace(head, start) for head in rows]) / length


def induction_score_variant(
    weights, length, beside=0, rows="second", keys="earlier", turned=False, taken="mean", over="tokens", axes="queries, keys"
):
    """induction_score with a switch for each mistake."""
    S = weights.shape[-1]
    if axes == "heads, queries":
        return np.diagonal(weights, 1 - length)[:, -length:].mean(axis=-1)
    if axes == "heads, queries in pairs":
        return weights[np.arange(S - length, S), np.arange(S - length, S) - length + 1].mean(axis=-1)
    query = {
        "second": np.arange(S - length, S),
        "one more": np.arange(S - length - 1, S),
        "without its first": np.arange(S - length + 1, S),
        "without its last": np.arange(S - length, S - 1),
        "from the front": np.arange(length, 2 * length),
        "from length": np.arange(length, S),
        "from length + 1": np.arange(length + 1, S),
        "all": np.arange(length - 1, S),
        "first of all": np.arange(length - 1, 2 * length - 1),
        "first": np.arange(length),
        "before the second": np.arange(S - 2 * length, S - length),
    }[rows]
    key = {
        "earlier": query - length + 1 + beside,
        "from 0": np.arange(len(query)),
        "from 1": np.arange(len(query)) + 1,
        "before": query - 1,
        "itself": query,
        "first token": 0 * query,
    }[keys]
    query, key = (key, query) if turned else (query, key)
    found = weights[:, query, key]  # (H, length)
    block = weights[:, S - length :, : S - length]
    return {
        "tokens": lambda: {
            "mean": lambda: found.mean(axis=-1),
            "sum": lambda: found.sum(axis=-1),
            "of length": lambda: found.sum(axis=-1) / length,
            "of length - 1": lambda: found.sum(axis=-1) / (length - 1),
            "of both copies": lambda: found.sum(axis=-1) / (2 * length),
            "of S": lambda: found.sum(axis=-1) / S,
            "of S - 1": lambda: found.sum(axis=-1) / (S - 1),
            "of the table": lambda: found.sum(axis=-1) / S**2,
            "of H": lambda: found.sum(axis=-1) / len(weights),
            "largest": lambda: found.max(axis=-1),
            "median": lambda: np.median(found, axis=-1),
            "how often most": lambda: (weights[:, query].argmax(axis=-1) == key).mean(axis=-1),
            "how often above a half": lambda: (found > 0.5).mean(axis=-1),
            "last": lambda: found[:, -1],
            "last of length": lambda: found[:, -1] / length,
            "crossed": lambda: weights[:, query[:, None], key].mean(axis=(1, 2)),
            "block": lambda: block.mean(axis=(1, 2)),
            "block, summed": lambda: block.sum(axis=-1).mean(axis=-1),
        }[taken](),
        "tokens, axis kept": lambda: found.mean(axis=-1, keepdims=True),
        "head 0": lambda: found[0].mean(),
        "heads": lambda: found.mean(axis=0),
        "heads so far": lambda: found.mean(axis=-1).cumsum(),
        "everything": lambda: found.mean(),
        "nothing": lambda: found,
    }[over]()


def induction_score_cases():
    """Return causal weights of H heads, with and without a first token before the two copies of `length` tokens."""
    rng = np.random.default_rng(15)

    def random(H, length, first=0):
        S = 2 * length + first
        scores = 2 * rng.normal(size=(H, S, S))
        future = np.triu(np.ones((S, S), bool), 1)
        return Case((np.round(softmax(np.where(future, -1e9, scores)), 3).astype(np.float32), length))

    copying = array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.25, 0.5, 0.25, 0], [0.125, 0.125, 0.75, 0]])
    backwards = array([[1, 0, 0, 0], [0.75, 0.25, 0, 0], [0.125, 0.375, 0.5, 0], [0, 0.25, 0.25, 0.5]])
    sizes = [(1, 2), (2, 2), (4, 2), (2, 3), (3, 3), (6, 3), (3, 4), (4, 4), (5, 4), (8, 4), (2, 5), (3, 6)]
    return [
        Case((np.stack([copying]), 2)),
        Case((np.stack([copying, backwards]), 2)),
        *(random(H, length, first) for H, length in sizes for first in (0, 1)),
    ]


INDUCTION_SCORE = Exercise(
    name="induction_score",
    notebook="15",
    minutes=8,
    signature="induction_score(weights, length)",
    task="weights (H, S, S): for each head, rows look (queries) and columns are looked at (keys). The text ends with two "
    "copies of the same random tokens, `length` tokens each; one token may come before both copies. Return for each head, "
    "(H,), the mean weight that a token of the second copy gives to the token after its first occurrence.",
    reference=induction_score,
    variant=induction_score_variant,
    package_name="neo_np.evaluate.heads.induction_score",
    also_right=(induction_score_diagonal,),
    cases=induction_score_cases,
    mistakes=(
        mistake(
            "off_by_one",
            ({"beside": -1}, {"beside": 1}, {"beside": -2}, {"keys": "from 0"}),
            "you look beside the right token: at the first occurrence itself, at the token before it, or two tokens after it.",
            "The text is a b a b, so length is 2. The second a is at place 2. At which place is the b after the first a?",
        ),
        mistake(
            "previous_token",
            {"keys": "before"},
            "you take the weight on the token before. That is the score of a previous-token head.",
            "How many places lie between a token of the second copy and the token after its first occurrence?",
        ),
        mistake(
            "first_copy",
            (
                *({"rows": rows} for rows in ("all", "first of all", "first", "before the second", "one more")),
                {"rows": "all", "taken": "of length"},
            ),
            "tokens of the first copy are counted, and these have no earlier occurrence.",
            "How many tokens has the second copy, and in which rows of the table are they?",
        ),
        mistake(
            "from_the_front",
            (
                {"rows": "from the front"},
                {"rows": "from length"},
                {"rows": "from length", "taken": "of length"},
                {"rows": "from length + 1"},
                {"rows": "from length + 1", "taken": "of length"},
                {"keys": "from 1"},
            ),
            "places are counted from the front, and there may be one token before both copies, or none.",
            "Take the texts a b a b and x a b a b, with the length 2. Which places has the second copy, counted from the end?",
        ),
        mistake(
            "one_left_out",
            (
                {"rows": "without its first"},
                {"rows": "without its last"},
                {"rows": "without its first", "taken": "of length"},
                {"rows": "without its last", "taken": "of length"},
            ),
            "one token of the second copy is left out: the first or the last one.",
            "How many queries are there, and how many tokens has a copy? A range ends before its second number.",
        ),
        mistake(
            "itself",
            {"keys": "itself"},
            "you take the weight that a token gives to itself.",
            "The query is a token of the second copy. In which copy is the key?",
        ),
        mistake(
            "first_token",
            {"keys": "first token"},
            "you take the weight on the first token of the text.",
            "The key changes with the query. By how much does it move if the query moves by one place?",
        ),
        mistake(
            "turned",
            {"turned": True},
            "every score is 0: you take the weights on later tokens, or fractions are cut off because an array has integers.",
            "Which of the two axes has the tokens that look? Which is larger, a query or its key?",
        ),
        mistake(
            "summed",
            tuple(
                {"taken": how} for how in ("sum", "of S", "of S - 1", "of the table", "of H", "of length - 1", "of both copies")
            ),
            "the weights are added up, and the sum is not divided by the number of tokens in the second copy.",
            "A head that gives the whole weight to the right token should have the score 1. Which score does yours give it?",
        ),
        mistake(
            "largest",
            ({"taken": "largest"}, {"taken": "median"}),
            "you take the largest of the weights, or the one in the middle, and not their mean.",
            "One token that looks at the right place makes no induction head. What says how all tokens do on average?",
        ),
        mistake(
            "counted",
            ({"taken": "how often most"}, {"taken": "how often above a half"}),
            "you count how often a token looks mainly at the right place. The score is the mean of the weights themselves.",
            "A token gives the weight 0.4 to the right place. How much does it add to your score?",
        ),
        mistake(
            "only_the_last",
            ({"taken": "last"}, {"taken": "last of length"}),
            "only the last token counts: the others are lost.",
            "Does the line in your loop add to the number, or replace it?",
        ),
        mistake(
            "whole_block",
            ({"taken": "block"}, {"taken": "block, summed"}, {"taken": "crossed"}),
            "you take a whole block of the table, each query with all keys, and not one diagonal.",
            "Each token of the second copy has one token that it should look at. How many weights does a row add to the mean?",
        ),
        mistake(
            "heads_mixed",
            ({"over": "heads"}, {"over": "everything"}, {"over": "heads so far"}),
            "the heads are mixed: a mean or a sum runs over them.",
            "Each head has a score of its own. Which axis must remain?",
        ),
        mistake(
            "one_head",
            {"over": "head 0"},
            "only the score of head 0 is returned.",
            "How many scores does the result have? How do you write an index for all heads?",
        ),
        mistake(
            "no_mean",
            {"over": "nothing"},
            "the mean is missing: there is one number for each token.",
            "The result is (H,). Over which axis do you take the mean?",
        ),
        mistake(
            "axis_kept",
            {"over": "tokens, axis kept"},
            "the result is (H, 1) and not (H,): the axis of the tokens is kept.",
            "Do you need `keepdims=True` here?",
        ),
        mistake(
            "wrong_axes",
            ({"axes": "heads, queries"}, {"axes": "heads, queries in pairs"}),
            "the first two axes are used, heads and queries. `np.diagonal` takes these if you name no others.",
            "Which two axes of (H, S, S) are the queries and the keys? Use `axis1=` and `axis2=`, or `weights[:, ...]`.",
        ),
    ),
    blanks=(
        "S = weights.shape[-1]\n"
        "queries = np.arange(..., S)  # the second copy\n"
        "keys = queries - ...\n"
        "return weights[:, queries, keys].mean(axis=...)"
    ),
    hints=(
        "Write down the text a b c a b c with its places 0 to 5. The second a, at place 3, should look at the b at place 1. "
        "How many places is that before, if length is 3? It is the same for each token of the second copy.",
        "The second copy is in the last `length` rows. `weights[:, queries, keys]` with two arrays of places takes one weight "
        "for each pair, for all heads: (H, length). Or use `np.diagonal` as for the token before: it is another diagonal.",
        "S = weights.shape[-1]\n"
        "queries = np.arange(S - length, S)  # the second copy\n"
        "keys = queries - ...\n"
        "return weights[:, queries, keys].mean(axis=-1)",
    ),
    notes={
        "1 - length": "The diagonal that lies length - 1 places below the main one.",
        "-length:": "Only the second copy: the last entries of the diagonal.",
    },
)


# ablate_head


def ablate_head(z, head, weight, bias):
    """Set the result of one head to 0, put all heads side by side, and apply the output projection."""
    z = z.copy()
    z[head] = 0
    return linear(merge_heads(z), weight, bias)


def ablate_head_subtracted(z, head, weight, bias):
    """Compute everything, then subtract the product of its channels and their columns of the weight."""
    D = z.shape[-1]
    whole = np.concatenate(list(z), axis=-1) @ weight.T + bias
    return whole - z[head] @ weight[:, head * D : (head + 1) * D].T


def ablate_head_variant(
    z, head, weight, bias, zeroed="head", shift=0, fill="zero", merge="right", turned=False, biases="once", give="out"
):
    """ablate_head with a switch for each mistake."""
    H, T, D = z.shape
    z = z.copy()
    head = head + shift
    own = slice(head * D, (head + 1) * D)
    filling = {
        "zero": lambda: 0,
        "mean": lambda: z[head].mean(axis=0),
        "mean of all its numbers": lambda: z[head].mean(),
        "mean of the heads": lambda: z.mean(axis=0),
        "one": lambda: 1,
    }[fill]()
    places = {
        "head": head,
        "head and out": head,
        "token": np.s_[:, head],
        "D tokens": np.s_[:, own],
        "channel": np.s_[..., head],
        "first token of it": np.s_[head, 0],
        "last token of it": np.s_[head, -1],
        "all": np.s_[:],
        "others": np.arange(H) != head,
        "those before": np.s_[:head],
        "those up to it": np.s_[: head + 1],
        "those from it on": np.s_[head:],
    }
    if zeroed in places:
        z[places[zeroed]] = filling
    merged = {
        "right": lambda: merge_heads(z),
        "no_swap": lambda: z.reshape(T, H * D),
        "heads_last": lambda: z.transpose(1, 2, 0).reshape(T, H * D),
        "tokens_last": lambda: z.swapaxes(1, 2).reshape(T, H * D),
    }[merge]()
    channels = {
        "every H-th": np.s_[head::H],
        "one channel": head,
        "H of them": np.s_[head * H : (head + 1) * H],
        "from head on": np.s_[head : head + D],
        "up to D": np.s_[head * D : D],
        "without its last": np.s_[head * D : (head + 1) * D - 1],
    }
    if zeroed in channels:
        merged[:, channels[zeroed]] = 0
    weight = weight if turned else weight.T  # (in, out)
    if zeroed == "columns":
        weight = weight.copy()
        weight[:, own] = 0
    times = {"once": 1, "never": 0, "other heads": H - 1, "all heads": H, "other channels": np.arange(H * D) // D != head}
    out = merged @ weight + times[biases] * bias
    if zeroed == "subtracted, untransposed":
        out = out - z[head] @ weight.T[own]
    outputs = {
        "out": np.s_[:, own],
        "head and out": np.s_[:, own],
        "out, one row": head,
        "out, one column": np.s_[:, head],
        "out, every H-th column": np.s_[:, head::H],
    }
    if zeroed in outputs:
        out[outputs[zeroed]] = 0
    return {"out": out, "merged": merged, "z": z}[give]


def ablate_head_cases():
    """Return heads with T = H = D, with T = H, T = D, and with sizes that all differ; the first, a middle and the last head."""
    rng = np.random.default_rng(151)
    sizes = [(2, 2, 2), (2, 3, 2), (2, 2, 3), (3, 3, 3), (3, 4, 2), (2, 4, 3), (4, 5, 2), (3, 5, 4), (3, 4, 3)]

    def random(H, T, D, head):
        z, weight, bias = (random_numbers(rng, *shape) for shape in ((H, T, D), (H * D, H * D), (H * D,)))
        return Case((z, head, weight / 2, bias), random=True)

    z = array([[[1], [2]], [[3], [5]]])  # H = 2, T = 2, D = 1
    return [
        Case((z, 0, array([[1, 2], [3, 1]]), array([1, -1]))),
        Case((z, 1, array([[1, 2], [3, 1]]), array([1, -1]))),
        *(random(H, T, D, head) for H, T, D in sizes for head in range(H)),
    ]


ABLATE_HEAD = Exercise(
    name="ablate_head",
    notebook="15",
    minutes=10,
    core=True,
    signature="ablate_head(z, head, weight, bias)",
    task="z (H, T, D) has the results of all heads of a layer. weight (C, C), outputs in rows, and bias (C,) are those of the "
    "output projection, C = H * D. Return what attention adds to the stream, (T, C), if the result of one head, number `head`, "
    "is set to 0. z must not be changed. You may call merge_heads(x) and linear(x, weight, bias).",
    reference=ablate_head,
    variant=ablate_head_variant,
    given=("merge_heads", "linear"),
    also_right=(ablate_head_subtracted,),
    cases=ablate_head_cases,
    mistakes=(
        mistake(
            "after_out_proj",
            tuple(
                {"zeroed": what}
                for what in ("out", "columns", "head and out", "out, one row", "out, one column", "out, every H-th column")
            ),
            "outputs of the output projection are set to 0, or rows of its weight. Each output is a mixture of all heads.",
            "Up to which step do the D numbers of a head lie side by side, separate from those of the others?",
        ),
        mistake(
            "wrong_axis",
            ({"zeroed": "token"}, {"zeroed": "channel"}, {"zeroed": "D tokens"}),
            "another axis is used: tokens or channels are set to 0 in every head.",
            "z is (H, T, D). Which axis has the heads, and how do you write an index for this axis?",
        ),
        mistake(
            "all_heads",
            {"zeroed": "all"},
            "all heads are set to 0, so only the bias remains.",
            "Which line says which head is meant?",
        ),
        mistake(
            "only_this_head",
            ({"zeroed": "others"}, {"zeroed": "others", "biases": "never"}),
            "the other heads are set to 0, and this one is kept: you return what the head adds.",
            "Ablation asks how the model does without the head. What is still there then?",
        ),
        mistake(
            "not_ablated",
            {"zeroed": "nothing"},
            "no head is set to 0.",
            "Does your line change the array that is merged, or a copy that nobody uses later?",
        ),
        mistake(
            "other_channels",
            tuple(
                {"zeroed": what}
                for what in ("every H-th", "one channel", "H of them", "from head on", "up to D", "without its last")
            ),
            "the channels that are set to 0 after merging are not those of the head.",
            "After merging, the channels of head 0 are the first D. Which are those of head 1?",
        ),
        mistake(
            "several_heads",
            ({"zeroed": "those before"}, {"zeroed": "those up to it"}, {"zeroed": "those from it on"}),
            "a slice takes the heads before this one, or those from this one on.",
            "What does z[:2] take, what z[2:], and what z[2]?",
        ),
        mistake(
            "one_token",
            ({"zeroed": "first token of it"}, {"zeroed": "last token of it"}),
            "the head is set to 0 for one token only.",
            "z[head] is (T, D). Which part of it must be 0?",
        ),
        mistake(
            "another_head",
            ({"shift": -1}, {"shift": 1}),
            "another head is set to 0: the count is off by one.",
            "Heads are counted from 0. What is z[0]?",
        ),
        mistake(
            "mean_in_its_place",
            ({"fill": "mean"}, {"fill": "mean of all its numbers"}, {"fill": "mean of the heads"}),
            "the head's result is replaced by a mean. There is such a thing, mean ablation, but the task wants 0.",
            "Which numbers must z[head] have?",
        ),
        mistake(
            "one_in_its_place",
            {"fill": "one"},
            "the head's result is set to 1 and not to 0.",
            "What does a head add that adds nothing?",
        ),
        mistake(
            "bias_lost",
            ({"biases": "never"}, {"biases": "other channels"}),
            "the bias of the output projection is missing, in all channels or in some.",
            "The bias belongs to no head. Does it go away with one?",
        ),
        mistake(
            "bias_for_each_head",
            ({"biases": "other heads"}, {"biases": "all heads"}),
            "the bias is added once for each head.",
            "The output projection is one linear layer for all heads together. How often does it add its bias?",
        ),
        mistake(
            "no_swap",
            ({"merge": "no_swap"}, {"merge": "heads_last"}, {"merge": "tokens_last"}),
            "the heads are merged by `reshape` while the axes are in a wrong order.",
            "Which shape must z have before `reshape`, so that the heads of a token lie together? Can you call merge_heads?",
        ),
        mistake(
            "untransposed",
            ({"turned": True}, {"zeroed": "subtracted, untransposed"}),
            "the weight is used without being transposed.",
            "The weight is (out, in). Can you call linear?",
        ),
        mistake(
            "not_projected",
            ({"give": "merged"}, {"give": "z"}),
            "the output projection is missing.",
            "The result must be what is added to the stream. Where do you use weight?",
        ),
        mistake(
            "changes_input",
            (),
            "your function changes an array that it gets, z or weight.",
            "Does your line write into this array or into a copy of it? The next run would lack the head too.",
        ),
    ),
    hints=(
        "The head must be taken out while its numbers are still separate from those of the others: before they are merged.",
        "z is (H, T, D), and z[head] is (T, D). `z.copy()` is an array that you may change. Then (H, T, D) -> merge_heads -> "
        "(T, C) -> linear -> (T, C).",
        "z = ...  # a copy\nz[...] = 0\nreturn linear(merge_heads(...), weight, bias)",
    ),
)


# patch


@dataclass(frozen=True)
class Layer:
    """A layer of a small model: it changes a stream (T, C) in place, and shows its formula."""

    text: str
    function: Callable

    def __call__(self, x):
        """Change x."""
        x[:] = self.function(x)

    def __repr__(self):
        """Return the formula."""
        return self.text


def patch(layers, clean, corrupted, layer, position):
    """Return the last stream of the corrupted run, in which one row after one layer is that of the clean run."""
    x = clean.copy()
    for change in layers[: layer + 1]:
        change(x)
    kept = x[position].copy()
    x = corrupted.copy()
    for number, change in enumerate(layers):
        change(x)
        if number == layer:
            x[position] = kept
    return x


def patch_recorded(layers, clean, corrupted, layer, position):
    """Record the whole stream after each layer, then begin the second run where it is patched."""
    recorded = []
    for start in (clean, corrupted):
        x, streams = start.copy(), []
        for change in layers:
            change(x)
            streams.append(x.copy())
        recorded.append(streams)
    x = recorded[1][layer].copy()
    x[position] = recorded[0][layer][position]
    for change in layers[layer + 1 :]:
        change(x)
    return x


def patch_variant(
    layers,
    clean,
    corrupted,
    layer,
    position,
    swapped=False,
    rows="one",
    kept_at=0,
    put_at=0,
    kept_from="copy",
    how="replaced",
    again="once",
    left_out="nothing",
    rest="run",
    give="stream",
):
    """Patch with a switch for each mistake."""
    clean, corrupted = (corrupted, clean) if swapped else (clean, corrupted)
    place = {
        "one": position,
        "all": np.s_[:],
        "up to": np.s_[: position + 1],
        "from": np.s_[position:],
        "column": np.s_[:, position],
        "next": position + 1,
        "earlier": position - 1,
        "first": 0,
        "last": -1,
    }[rows]
    streams, x = [clean.copy()], clean.copy()  # streams[n]: after n layers
    for change in layers:
        change(x)
        streams.append(x.copy())
    kept_after = min(layer + 1 + kept_at, len(layers))
    never = len(layers) + 1
    named = {"start": 0, "end": len(layers), "counted from 1": layer or never}
    put_after = named[put_at] if put_at in named else layer + 1 + put_at
    this_only = clean.copy()
    layers[layer](this_only)
    kept = {"copy": streams[kept_after], "alias": streams[-1], "input": clean, "this layer": this_only}[kept_from]
    missing = {
        "nothing": (),
        "next": (layer + 1,),
        "this": (layer,),
        "last": range(max(layer + 1, len(layers) - 1), len(layers)),
        "up to this": range(layer + 1),
        "all others": [number for number in range(len(layers)) if number != layer],
    }[left_out]
    x = corrupted.copy()

    def put(kept):
        new = {"replaced": kept[place], "added": x[place] + kept[place], "mean": (x[place] + kept[place]) / 2}
        x[place] = new.get(how, x[place])

    for done, change in enumerate([None, *layers]):
        if done and done - 1 not in missing:
            change(x)
        if done == put_after:
            put(kept)
            if rest == "nothing":
                break
            for repeated in {"run": [], "twice": layers[layer : layer + 1], "all": layers[: layer + 1]}[rest]:
                repeated(x)
        elif (done > put_after and again in ("same", "clean")) or (0 < done < put_after and again == "before"):
            put(kept if again == "same" else streams[done])
    return {"stream": x, "row": x[position]}[give]


LAYERS = {
    layer.text: layer
    for layer in (
        Layer("x += the first row", lambda x: x + x[:1]),
        Layer("x += the row before", lambda x: x + np.concatenate([0 * x[:1], x[:-1]])),
        Layer("x += running sum / 2", lambda x: x + x.cumsum(axis=0) / 2),
        Layer("x += relu(x), channels turned round", lambda x: x + np.maximum(x, 0)[:, ::-1]),
        Layer("x += tanh(x)", lambda x: x + np.tanh(x)),
    )
}
FIRST, BEFORE, RUNNING, RELU, TANH = LAYERS.values()


def patch_cases():
    """Return models of two to four layers, patched at each layer and at several positions; T = C and T different from C."""
    rng = np.random.default_rng(152)
    models = [(FIRST, TANH), (BEFORE, RELU), (RUNNING, TANH, BEFORE), (BEFORE, RELU, FIRST), (RELU, RUNNING, TANH, BEFORE)]

    def random(layers, T, C, layer, position):
        return Case((list(layers), random_numbers(rng, T, C), random_numbers(rng, T, C), layer, position), random=True)

    clean, corrupted = array([[1, 2], [3, 1]]), array([[1, 2], [-1, 0]])
    return [
        Case(([FIRST, BEFORE], clean, corrupted, 0, 1)),
        Case(([BEFORE, RELU], clean, array([[0, 1], [3, 1]]), 0, 0)),
        *(
            random(layers, T, C, layer, (number + layer) % T)
            for number, (T, C) in enumerate([(3, 3), (4, 3), (3, 4)])
            for layers in models
            for layer in range(len(layers))
        ),
    ]


PATCH = Exercise(
    name="patch",
    notebook="15",
    minutes=15,
    signature="patch(layers, clean, corrupted, layer, position)",
    task="layers is a list of functions. Each one changes a stream (T, C) in place and returns nothing. Let them change a copy "
    "of clean; after the layer with the number `layer` (from 0) keep row `position`. Then let all layers change a copy of "
    "corrupted; after the same layer, replace its row `position` by the kept row. Return this second stream after the last "
    "layer. clean and corrupted must not be changed.",
    reference=patch,
    variant=patch_variant,
    also_right=(patch_recorded,),
    tolerance=(1e-4, 1e-4),
    cases=patch_cases,
    mistakes=(
        mistake(
            "all_positions",
            ({"rows": "all"}, {"rows": "up to"}, {"rows": "from"}),
            "more than one row is replaced, or the stream of the clean run is returned.",
            "Patching asks what one position knows after this layer. How many rows may change?",
        ),
        mistake(
            "swapped",
            {"swapped": True},
            "clean and corrupted are exchanged: a corrupted row is put into the clean run.",
            "Which run is changed at one place, and from which one does the row come?",
        ),
        mistake(
            "aliased",
            {"kept_from": "alias"},
            "the kept row is the one after the last layer: you kept it too late, or it is no copy and later layers changed it.",
            "The layers change x in place. Does your recorded array have its own numbers, or those of x?",
        ),
        mistake(
            "not_run",
            ({"kept_from": "input"}, {"kept_from": "input", "put_at": "start"}),
            "the row comes from clean as it came in, and not from the clean run after the layer.",
            "Which layers has the kept row gone through?",
        ),
        mistake(
            "wrong_layer",
            (
                {"kept_at": -1},
                {"put_at": -1},
                {"kept_at": -1, "put_at": -1},
                {"kept_at": -1, "put_at": "counted from 1"},
                {"kept_at": 1, "put_at": 1},
                {"kept_at": 1},
                {"put_at": "end"},
                {"kept_from": "alias", "put_at": "end"},
            ),
            "the row is kept or put after another layer. Perhaps the count is off by one.",
            "layer is 0. How many layers has the stream gone through when its row is replaced?",
        ),
        mistake(
            "wrong_axis",
            {"rows": "column"},
            "a column is replaced: one channel of all tokens.",
            "x is (T, C). Which index takes all channels of one token?",
        ),
        mistake(
            "another_position",
            ({"rows": "next"}, {"rows": "earlier"}, {"rows": "first"}, {"rows": "last"}),
            "the row of another position is replaced.",
            "Positions are counted from 0. Which row is x[0]?",
        ),
        mistake(
            "added",
            ({"how": "added"}, {"how": "mean"}),
            "the clean row is added to the corrupted one, and does not replace it.",
            "After the layer, should anything of the corrupted row be left at this position?",
        ),
        mistake(
            "not_patched",
            {"how": "nothing"},
            "no row is replaced: this is the corrupted run as it is.",
            "Does your line write into the stream that the next layers change? Has the kept row its own numbers?",
        ),
        mistake(
            "patched_again",
            ({"again": "same"}, {"again": "clean"}, {"again": "before"}),
            "the row is replaced after other layers too.",
            "One layer is meant. How often does the line run that replaces the row?",
        ),
        mistake(
            "stops_there",
            ({"rest": "nothing"}, {"kept_at": -1, "put_at": -1, "rest": "nothing"}),
            "the layers after the patch are missing.",
            "What do the later layers make of the patched row? Which of them have you not called?",
        ),
        mistake(
            "layers_left_out",
            (
                {"left_out": "next"},
                {"left_out": "last"},
                {"left_out": "this"},
                {"left_out": "this", "kept_at": -1},
                {"left_out": "up to this"},
                {"left_out": "all others", "kept_from": "this layer"},
            ),
            "some layers never run.",
            "A stream goes through each layer once. Which numbers do your slices or ranges have, one after the other?",
        ),
        mistake(
            "layers_twice",
            ({"rest": "twice"}, {"rest": "all"}),
            "some layers run twice: after the patch you begin again with layers that have run.",
            "Layer number `layer` has run when the row is replaced. Which number is next?",
        ),
        mistake(
            "only_the_row",
            {"give": "row"},
            "only one row is returned.",
            "The result is the whole stream, (T, C). Other rows change too, if later layers look at the patched one.",
        ),
        mistake(
            "changes_input",
            (),
            "your function changes clean or corrupted.",
            "The layers change the array that they get. Which array do you hand to the first layer?",
        ),
    ),
    hints=(
        "Two runs, one after the other. The clean run may stop as soon as the row is kept. The corrupted run has all layers, "
        "and one row is replaced after one of them.",
        "x is (T, C), x[position] is (C,). A layer is called as `change(x)` and returns None: it changes x. So keep "
        "`x[position].copy()`, with its own numbers. `enumerate(layers)` gives the numbers of the layers too.",
        "x = clean.copy()\n"
        "for change in layers[: ...]:\n"
        "    change(x)\n"
        "kept = ...  # with its own numbers\n"
        "x = corrupted.copy()\n"
        "for number, change in enumerate(layers):\n"
        "    change(x)\n"
        "    if ...:\n"
        "        ...\n"
        "return x",
    ),
)

EXERCISES = (INDUCTION_SCORE, ABLATE_HEAD, PATCH)
