"""The sentences with numbers, for each position of the run: "In short", and what each rule did to the next token.

A line is a list of texts and heads, (layer, head). The script makes a button of each head; without JavaScript it is a text.
"""

from typing import Any

import numpy as np

from neo_np.explain.trace import CHOSEN
from neo_np.explain.wording import Data, fixed, percent, placed, quoted, signed, station_names

Head = tuple[int, int]
Line = list[str | Head]

SHOWN = 3  # heads or tokens in a line


def page_sentences(data: Data, opening: Data) -> dict[str, Any]:
    """Return all sentences: "where", "here" and "rules" have an entry for each position; "whole" is about the whole text."""
    positions = range(len(data["ids"]))
    by_source = data["source.chosen"].sum(axis=(0, 1))  # (T, T)
    return {
        "where": [where(data, position) for position in positions],
        "here": [lines_here(data, by_source, position) for position in positions],
        "whole": [token_before_line(data), opened_line(data, opening)],
        "rules": [choice_lines(data, position) for position in positions],
    }


def where(data: Data, position: int) -> str:
    """Return which position is selected, and which token follows."""
    chosen = quoted(data, data["candidates"][position, CHOSEN])
    standing = f"Standing at {quoted(data, data['ids'][position])} (position {position}), predicting what follows."
    if position == len(data["ids"]) - 1:
        return f"{standing} The text ends here; the likeliest next token is {chosen}."
    is_prompt, is_given = position + 1 < data["prompt_length"], data["mode"] == "given"
    how = "in the prompt" if is_prompt else "in the given continuation" if is_given else "as the model chose"
    return f"{standing} {chosen} follows, {how}."


# In short, at one position.


def lines_here(data: Data, by_source: np.ndarray, position: int) -> list[Line]:
    """Return the lines of "In short" at a position. by_source: (T, T) what all heads add, row = query, column = key."""
    step = step_at(data, position)
    drawn: list[Line] = [] if step is None else [[how_chosen(data, step)]]
    return [
        probability_line(data, position),
        *drawn,
        lens_line(data, position),
        ablation_line(data, position),
        direct_line(data, position),
        sources_line(data, by_source[position, : position + 1], position),
        kinds_line(data, position),
        before_line(data, position),
    ]


def probability_line(data: Data, position: int) -> Line:
    """Return how likely the next token was, and which was the likeliest."""
    rank, first = data["lens.rank"][-1, position], data["top.ids"][position, 0]
    best = "It was the likeliest token."
    if rank > 1:
        best = f"The likeliest was {quoted(data, first)} with {percent(data['top.probabilities'][position, 0])}."
    chosen = quoted(data, data["candidates"][position, CHOSEN])
    probability = percent(data["lens.came"][-1, position])
    return [
        f"The model gave {chosen} a probability of {probability}, rank {rank} in its vocabulary of {data['vocabulary']}. {best}"
    ]


def lens_line(data: Data, position: int) -> Line:
    """Return from which station on the lens has the model's answer."""
    differs = np.flatnonzero(data["lens.top"][:, position] != data["lens.top"][-1, position])
    station = station_names(data)[differs[-1] + 1 if len(differs) else 0]
    first = quoted(data, data["lens.top"][-1, position])
    return [f"By the logit lens, {first} is the likeliest token from “{station}” on (panel 3)."]


def ablation_line(data: Data, position: int) -> Line:
    """Return the heads without which the next token is less likely."""
    if "ablation.log_prob" not in data:
        return ["Which heads mattered? The model was not run without its heads, so the page does not say (panel 5c)."]
    chosen, change = quoted(data, data["candidates"][position, CHOSEN]), data["ablation.log_prob"][:, :, position]
    if found := largest(-change):
        heads = spelled(found, lambda head: signed(float(change[head])))
        return [f"Which heads mattered? Switching one head off lowers the log-probability of {chosen} most for: ", *heads, "."]
    return [f"Which heads mattered? Switching off one head never lowers the log-probability of {chosen}."]


def direct_line(data: Data, position: int) -> Line:
    """Return the heads that add most to the logit themselves, and those that take most away."""
    added = direct_of_heads(data, position)
    return [
        f"Heads that wrote directly for {quoted(data, data['candidates'][position, CHOSEN])}: ",
        *(spelled(largest(added), lambda head: signed(float(added[head]))) or ["none"]),
        ". Directly against it: ",
        *(spelled(largest(-added), lambda head: signed(float(added[head]))) or ["none"]),
        ". This is another question than the one before: a head can also act through later layers (panel 5).",
    ]


def sources_line(data: Data, sums: np.ndarray, position: int) -> Line:
    """Return the tokens from which the heads brought most for the next token, and most against it."""
    chosen = quoted(data, data["candidates"][position, CHOSEN])

    def tokens(sign: int) -> str:
        return ", ".join(f"{placed(data, key)} ({signed(sums[key])})" for (key,) in largest(sign * sums))

    for_it = (
        f"The heads brought most for {chosen} from: {tokens(1)}."
        if tokens(1)
        else f"No token pushed for {chosen} through the heads."
    )
    return [f"{for_it} Most against it: {tokens(-1)}." if tokens(-1) else f"{for_it} No token pushed against it."]


def kinds_line(data: Data, position: int) -> Line:
    """Return what all heads, all MLPs and the rest add to m, and which of them most."""
    direct = data["direct"][position, CHOSEN]
    heads, mlps = (
        direct_of_heads(data, position).sum(),
        sum(x for x, name in zip(direct, data["parts"]) if name.endswith("MLP")),
    )
    kinds = {"the heads": heads, "the MLPs": mlps, "the embeddings and biases": direct.sum() - heads - mlps}
    most = max(kinds, key=lambda name: kinds[name])
    push = f"Most of the push came from {most}" if kinds[most] > 0 else "Nothing pushed for it"
    added = ", ".join(f"{name} {signed(x)}" for name, x in kinds.items())
    return [
        f"Together: {added}. They add up to m = {signed(direct.sum())}, the logit of "
        f"{quoted(data, data['candidates'][position, CHOSEN])} minus the mean logit. {push} (panel 5a). "
        "An MLP sees this position only: it works on what attention has collected here."
    ]


def before_line(data: Data, position: int) -> Line:
    """Return which head looks most at the token before this position."""
    if position == 0:
        return ["This is the first token, so no head can look at a token before."]
    weights = data["attention"][:, :, position, position - 1]
    if not (found := largest(weights)):
        return ["From here, no head looks at the token before."]
    return [
        f"From here, the heads that look most at the token before, {placed(data, position - 1)}: ",
        *spelled(found, lambda head: percent(weights[head])),
        ".",
    ]


# In short, over the whole text.


def token_before_line(data: Data) -> Line:
    """Return the heads that look most at the token before, on average."""
    weights = data["patterns"][:, :, 1]
    heads = spelled(largest(weights), lambda head: percent(weights[head])) or ["none"]
    return ["Heads that look most at the token before, on average: ", *heads, "."]


def opened_line(data: Data, opening: Data) -> Line:
    """Return which head the page shows first, and why."""
    position, head = opening["position"], (opening["layer"], opening["head"])
    chosen = quoted(data, data["candidates"][position, CHOSEN])
    if head != strongest_head(data, position):
        reason = "because “open” asked for it"
    elif "ablation.log_prob" in data:
        change = signed(data["ablation.log_prob"][:, :, position][head])
        reason = f"because of all heads it helped {chosen} most: without it, the log-probability changes by {change}"
    else:
        reason = f"because of all heads it wrote most directly for {chosen}: {signed(direct_of_heads(data, position)[head])}"
    return ["The page opened on ", head, f", at position {position}, {reason}."]


def strongest_head(data: Data, position: int) -> Head:
    """Return the head without which the next token loses most; without ablation, the one that adds most directly."""
    if "ablation.log_prob" in data:
        helped = -data["ablation.log_prob"][:, :, position]
    else:
        helped = direct_of_heads(data, position)
    layer, head = np.unravel_index(helped.argmax(), helped.shape)
    return int(layer), int(head)


def direct_of_heads(data: Data, position: int) -> np.ndarray:
    """Return what each head adds directly to m of the next token: (L, H)."""
    columns = [column for column, name in enumerate(data["parts"]) if " head " in name]
    return data["direct"][position, CHOSEN, columns].reshape(len(data["layers"]), data["heads"])


def largest(values: np.ndarray) -> list[tuple[int, ...]]:
    """Return the indices of the largest values, at most three, and only of those above 0."""
    order = np.argsort(-values, axis=None, kind="stable")[:SHOWN]
    indices = [tuple(int(i) for i in np.unravel_index(flat, values.shape)) for flat in order]
    return [index for index in indices if values[index] > 0]


def spelled(heads: list, number: Any) -> Line:
    """Return heads with a number behind each, separated by commas."""
    return [part for i, head in enumerate(heads) for part in (", " if i else "", head, f" ({number(head)})") if part]


# The choice.


def step_at(data: Data, position: int) -> int | None:
    """Return the number of the choice that was made at a position; None if the next token was not chosen."""
    step = position - data["prompt_length"] + 1
    return step if 0 <= step < len(data["choice.token"]) else None


def choice_lines(data: Data, position: int) -> list[str]:
    """Return what each rule did to the next token, and how it was taken."""
    step = step_at(data, position)
    if step is None:
        ended = position == len(data["ids"]) - 1
        return [
            "The text ends here, so nothing was chosen."
            if ended
            else "The next token was in the prompt, so nothing was chosen here."
        ]
    rules = [f"{rule} {effect(data, step, column)}" for column, rule in enumerate(data["rules"]) if rule]
    return [*(rules or ["No rule (logits processor) was active."]), how_chosen(data, step)]


def effect(data: Data, step: int, column: int) -> str:
    """Return what one rule did: how many tokens it kept, and what became of the next token."""
    token, counts = data["choice.token"][step], data["choice.counts"][step]
    [shown] = np.flatnonzero(data["choice.shown"][step] == token)
    kept, p = data["choice.kept"][step][:, shown], data["choice.probabilities"][step][:, shown]
    stay = (
        "All tokens stay" if counts[column] == counts[column - 1] else f"{counts[column]} of {counts[column - 1]} tokens stay"
    )
    if not kept[column]:
        return f"{stay}, and {quoted(data, token)} is not among them."
    return f"{stay}; {quoted(data, token)}: {percent(p[column - 1])} → {percent(p[column])}."


def how_chosen(data: Data, step: int) -> str:
    """Return how the next token was taken."""
    token = quoted(data, data["choice.token"][step])
    if data["mode"] == "given":
        verdict = "removed" if data["choice.removed"][step] else "kept"
        return (
            f"{token} was given, not chosen: its rank is {data['choice.rank'][step]}, its probability "
            f"{percent(data['choice.probability'][step])}, and the rules would have {verdict} it."
        )
    if data["mode"] == "greedy":
        margin, other = fixed(data["choice.margin"][step]), quoted(data, data["choice.runner_up"][step])
        return (
            f"{token} was taken because it was the likeliest after all rules: "
            f"its logit is {margin} above that of the runner-up {other}."
        )
    low, high = data["choice.low"][step], data["choice.high"][step]
    return (
        f"{token} was drawn: the random number {data['choice.uniform'][step]:.5f} fell into its interval, "
        f"{low:.5f} to {high:.5f}. The interval is as wide as its last probability, {percent(high - low)}."
    )
