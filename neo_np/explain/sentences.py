"""The sentences with numbers, for each position of the run: "In short", and what each rule did to the next token.

A line is a list of texts and heads, (layer, head). The script makes a button of each head; without JavaScript it is a text.
"""

from typing import Any

import numpy as np

from neo_np.explain.trace import CHOSEN, RUNNER_UP
from neo_np.explain.wording import Data, fixed, origin, percent, placed, quoted, signed, station_names

Head = tuple[int, int]
Line = list[str | Head]

SHOWN = 3  # heads or tokens in a line


def page_sentences(data: Data, opening: Data) -> dict[str, Any]:
    """Return all sentences: "whole" is about the whole text, the others have an entry for each position.

    An entry of "raised" has a text for each of the two candidates.
    """
    positions = range(len(data["ids"]))
    by_source = data["source.chosen"].sum(axis=(0, 1))  # (T, T)
    return {
        "where": [where(data, position) for position in positions],
        "candidates": [candidate_names(data, position) for position in positions],
        "here": [lines_here(data, by_source, position) for position in positions],
        "whole": [token_before_line(data), opened_line(data, opening)],
        "token": [token_line(data, position) for position in positions],
        "rules": [choice_lines(data, position) for position in positions],
        "raised": [[raised_line(data, position, candidate) for candidate in (CHOSEN, RUNNER_UP)] for position in positions],
        "embedding": [embedding_lines(data, position) for position in positions],
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


def candidate_names(data: Data, position: int) -> list[str]:
    """Return the two candidate tokens of a position, and what they are."""
    names = ["the next token", "the likeliest other token"]
    if position == len(data["ids"]) - 1:
        names = ["the likeliest next token", "the second likeliest"]
    elif origin(data, position + 1) == "generated":
        names[CHOSEN] = "the chosen token"
    return [f"{quoted(data, id)}, {name}" for id, name in zip(data["candidates"][position], names)]


# In short, at one position.


def lines_here(data: Data, by_source: np.ndarray, position: int) -> list[Line]:
    """Return the lines of "In short" at a position. by_source: (T, T) what all heads add, row = query, column = key."""
    step = step_at(data, position)
    drawn: list[Line] = [] if step is None else [*rules_lines(data, step), [how_chosen(data, step)]]
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
    """Return at which stations the next token is the likeliest; if the model's favourite is another, also where that one is."""
    chosen, top = data["candidates"][position, CHOSEN], data["lens.top"][:, position]
    token, first = quoted(data, chosen), quoted(data, top[-1])
    if top[-1] == chosen:
        return [f"By the logit lens, {token} is the likeliest token {last_lead(data, top)} (panel 3)."]
    spans = [" to ".join(f"“{station_names(data)[row]}”" for row in span) for span in runs(top == chosen)]
    led = f"the likeliest token after {', '.join(spans)} only" if spans else "never the likeliest token"
    return [
        f"By the logit lens, {token} is {led} (panel 3). "
        f"The final favourite, {first}, is the likeliest token {last_lead(data, top)}."
    ]


def last_lead(data: Data, top: np.ndarray) -> str:
    """Return from which station on the likeliest token is the final one. top: (R,) the likeliest token at each station."""
    start = runs(top == top[-1])[-1][0]
    return "in the model's answer only" if start == len(top) - 1 else f"from “{station_names(data)[start]}” on"


def runs(marks: np.ndarray) -> list[list[int]]:
    """Return the first and the last index of each run of True; of a run of one, its index."""
    before, after = np.concatenate([[False], marks[:-1]]), np.concatenate([marks[1:], [False]])
    starts, stops = np.flatnonzero(marks & ~before), np.flatnonzero(marks & ~after)
    return [sorted({int(start), int(stop)}) for start, stop in zip(starts, stops)]


def ablation_line(data: Data, position: int) -> Line:
    """Return the heads without which the next token is less likely."""
    if "ablation.log_prob" not in data:
        return ["Which heads mattered? The model was not run without its heads, so the page does not say (panel 5c)."]
    chosen, change = quoted(data, data["candidates"][position, CHOSEN]), data["ablation.log_prob"][:, :, position]
    if found := largest(-change):
        heads = spelled(found, lambda head: f"{signed(float(change[head]))}; without it {without_head(data, head, position)}")
        return [f"Which heads mattered? Switching one head off lowers the log-probability of {chosen} most for: ", *heads, "."]
    return [f"Which heads mattered? Switching off one head never lowers the log-probability of {chosen}."]


def without_head(data: Data, head: Head, position: int) -> str:
    """Return the probability of the next token, and what it is without a head."""
    before, change = data["lens.came"][-1, position], data["ablation.log_prob"][:, :, position][head]
    return f"{percent(before)} → {percent(before * np.exp(change))}"


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
    """Return the tokens through which the heads add most to m and take most from it; then the same for all paths."""
    chosen = quoted(data, data["candidates"][position, CHOSEN])
    heads, m = direct_of_heads(data, position).sum(), data["direct"][position, CHOSEN].sum()
    row = np.flatnonzero(data["gradient.positions"] == position)
    all_paths = "Panel 5b, which counts all paths, was not computed here."
    if len(row):
        all_paths = f"Counting all paths (5b), most {for_and_against(data, data['gradient'][row[0], : position + 1])}."
    return [
        f"Which tokens mattered for {chosen}? Through the heads, most {for_and_against(data, sums)}. "
        f"This is only what the heads wrote directly ({signed(heads)} of m = {signed(m)}). {all_paths}"
    ]


def for_and_against(data: Data, numbers: np.ndarray) -> str:
    """Return the tokens with the largest numbers above 0, and those with the largest below 0."""

    def tokens(sign: int) -> str:
        found = [f"{placed(data, key)} ({signed(numbers[key])})" for (key,) in largest(sign * numbers)]
        return ", ".join(found) or "none"

    return f"for: {tokens(1)}; most against: {tokens(-1)}"


def kinds_line(data: Data, position: int) -> Line:
    """Return what all heads, all MLPs and the rest add to m, and which of them most."""
    direct = data["direct"][position, CHOSEN]
    heads, mlps = (
        direct_of_heads(data, position).sum(),
        sum(x for x, name in zip(direct, data["parts"]) if name.endswith("MLP")),
    )
    kinds = {"the heads": heads, "the MLPs": mlps, "the embeddings and biases": direct.sum() - heads - mlps}
    most = max(kinds, key=lambda name: kinds[name])
    largest_part = f"The largest contribution is that of {most}" if kinds[most] > 0 else "None of them is above 0"
    added = ", ".join(f"{name} {signed(x)}" for name, x in kinds.items())
    return [
        f"Together: {added}. They add up to m = {signed(direct.sum())}, the logit of "
        f"{quoted(data, data['candidates'][position, CHOSEN])} minus the mean logit. {largest_part} (panel 5a). "
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
        change, without = signed(data["ablation.log_prob"][:, :, position][head]), without_head(data, head, position)
        reason = (
            f"because of all heads it helped {chosen} most: without it, the log-probability changes by {change} ({without})"
        )
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


def raised_line(data: Data, position: int, candidate: int) -> str:
    """Return the part that adds to m of a candidate and adds still more to m of the other one; "" if there is none."""
    added, other = data["direct"][position, candidate], data["direct"][position, 1 - candidate]
    excess = np.where(added > 0, other - added, 0)
    if excess.max() <= 0:
        return ""
    part, tokens = excess.argmax(), [quoted(data, id) for id in data["candidates"][position]]
    mine, theirs = f"{signed(added[part])} to {tokens[candidate]}", f"{signed(other[part])} to {tokens[1 - candidate]}"
    return (
        "A part can raise m and still lower the probability, if it raises other tokens more: "
        f"{data['parts'][part]} adds {mine} but {theirs}."
    )


def named_heads(lines: list[Line]) -> list[Head]:
    """Return the heads that some lines name."""
    return [part for line in lines for part in line if not isinstance(part, str)]


# The token itself, and its embedding.


def token_line(data: Data, position: int) -> str:
    """Return what is known about the token at a position itself."""
    id, (start, end) = data["ids"][position], data["offsets"][position]
    line = (
        f"Position {position}: {quoted(data, id)}, id {id}, bytes {data['bytes'][position] or 'none'}, "
        f"characters {start} to {end} of the text, from the {origin(data, position)} text."
    )
    if whole := data["characters"][position]:
        line += f" Its bytes are a part of “{whole}”."
    if position > 0:
        loss = data["loss"][position - 1]
        line += (
            f" One position earlier, standing at {placed(data, position - 1)}, the model gave it a probability of "
            f"{percent(np.exp(-loss))}: a loss of {fixed(loss)} nats."
        )
    return line


def embedding_lines(data: Data, position: int) -> list[str]:
    """Return how long the embeddings of a position are, and which tokens have embeddings near that of its token."""
    token = quoted(data, data["ids"][position])
    of_token, of_position = (fixed(x) for x in data["embedding.norms"][:, position])
    cosines = data["neighbours.cosine"][position]
    near = [f"{quoted(data, id)} ({x:.3f})" for id, x in zip(data["neighbours"][position], cosines) if x > -np.inf]
    return [
        f"The token embedding of {token} has length {of_token}, the embedding of position {position} has length {of_position}. "
        "The residual stream begins as their sum.",
        f"Tokens with the nearest embeddings, by cosine: {', '.join(near) or 'none'}.",
    ]


# The choice.


def step_at(data: Data, position: int) -> int | None:
    """Return the number of the choice that was made at a position; None if the next token was not chosen."""
    step = position - data["prompt_length"] + 1
    return step if 0 <= step < len(data["choice.token"]) else None


def rules_lines(data: Data, step: int) -> list[Line]:
    """Return a line with the probability of the next token after each rule; no line if there is no rule."""
    token = data["choice.token"][step]
    [shown] = np.flatnonzero(data["choice.shown"][step] == token)
    kept, p = data["choice.kept"][step][:, shown], data["choice.probabilities"][step][:, shown]
    seen = range(1, len(p) if kept.all() else int(kept.argmin()) + 1)  # a token that is removed stays removed
    steps = [f"{data['columns'][column]} → {percent(p[column]) if kept[column] else 'removed'}" for column in seen]
    if not steps:
        return []
    return [[f"What the rules did to the probability of {quoted(data, token)}: {percent(p[0])}, {', '.join(steps)} (panel 2)."]]


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
        f"{low:.5f} to {high:.5f}. The interval is as wide as the probability after all rules, {percent(high - low)}."
    )
