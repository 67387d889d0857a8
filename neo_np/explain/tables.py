"""The tables that Python writes into the page: they are there without JavaScript, on paper and in an untrusted notebook."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np

Data = dict[str, Any]


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], name: str = "") -> str:
    """Return an HTML table whose first column heads the rows. The cells are HTML already; see `text`."""
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in heads)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>\n' for first, *cells in rows
    )
    mark = f' id="{name}"' if name else ""
    return f"<table{mark}><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def text(data: Data, id: int) -> str:
    """Return the visible text of a token as HTML."""
    return f'<span class="token">{escape(data["texts"][int(id)])}</span>'


def percent(share: float) -> str:
    """Return a probability in percent, with three significant digits."""
    return f"{100 * share:.3g} %"


def origin(data: Data, position: int) -> str:
    """Return where the token of a position comes from."""
    return "prompt" if position < data["prompt_length"] else "given" if data["mode"] == "given" else "generated"


def tokens_table(data: Data) -> str:
    """Return the table of all tokens: text, id, place, bytes and loss."""
    highest = max([*data["loss"], 1e-9])

    def loss_cell(position: int) -> str:
        if position == 0:
            return "none: nothing comes before it"
        loss = float(data["loss"][position - 1])
        return f'<span class="bar" style="width:{6 * loss / highest:.2f}em"></span> {loss:.3f}'

    rows = []
    for position, id in enumerate(data["ids"]):
        start, end = data["offsets"][position]
        cells = [text(data, id), str(id), f"{start} to {end}", data["bytes"][position] or "none", loss_cell(position)]
        rows.append([str(position), *cells, origin(data, position)])
    heads = ["position", "token", "id", "characters", "bytes", "loss (nats)", "from"]
    return table("All tokens. Loss is -log of the probability that the model gave the token.", heads, rows, "tokens-table")


def choices_table(data: Data) -> str:
    """Return the table of all choices: what the model and the processors made of each new token."""
    if len(data["choice.token"]) == 0:
        return "<p>No token was chosen or given after the prompt.</p>"
    last = {"sampled": "random number and interval", "greedy": "margin to the runner-up", "given": "removed by a processor"}
    heads = ["standing at", "next token", "rank", *data["columns"], "tokens kept", last[data["mode"]]]
    rows = []
    for step, token in enumerate(data["choice.token"]):
        position = data["prompt_length"] - 1 + step
        [column] = np.flatnonzero(data["choice.shown"][step] == token)
        stages = [
            percent(p) if kept else "<del>removed</del>"
            for p, kept in zip(data["choice.probabilities"][step][:, column], data["choice.kept"][step][:, column])
        ]
        kept = f"{data['choice.counts'][step][-1]} of {data['vocabulary']}"
        rows.append(
            [
                f"{position} {text(data, data['ids'][position])}",
                text(data, token),
                str(data["choice.rank"][step]),
                *stages,
                kept,
                how_chosen(data, step),
            ]
        )
    return table("All choices: the probability of the next token after each logits processor.", heads, rows)


def how_chosen(data: Data, step: int) -> str:
    """Return the last cell of a choice: the draw, the margin, or whether the given token was removed."""
    if data["mode"] == "given":
        return "yes" if data["choice.removed"][step] else "no"
    if data["mode"] == "greedy":
        return f"{data['choice.margin'][step]:.3f} above {text(data, data['choice.runner_up'][step])}"
    low, high = data["choice.low"][step], data["choice.high"][step]
    return f"{data['choice.uniform'][step]:.4f} in [{low:.4f}, {high:.4f})"


def station_names(data: Data) -> list[str]:
    """Return the names of the R stations of the residual stream."""
    layers = range(len(data["layers"]))
    return ["embedding", *(f"layer {i} {part}" for i in layers for part in ("attention", "MLP"))]


def lens_table(data: Data) -> str:
    """Return the table of the likeliest token at each station, for all positions."""
    rows = []
    for position, id in enumerate(data["ids"]):
        cells = []
        for top, probability in zip(data["lens.top"][:, position], data["lens.probability"][:, position]):
            shade = min(9, int(10 * probability))
            cells.append(f'<span class="p{shade}">{text(data, top)} {100 * probability:.0f}%</span>')
        rows.append([f"{position} {text(data, id)}", *cells])
    heads = ["standing at", *station_names(data)]
    return table("Logit lens: the likeliest next token at each station, with its probability.", heads, rows)


def heads_table(data: Data, position: int) -> str:
    """Return the table of the key that each head looks at most from one position."""
    rows = []
    for layer, heads in enumerate(data["attention"]):
        strongest = heads[:, position].argmax(axis=-1)
        cells = [
            f"{key} {text(data, data['ids'][key])} {percent(heads[head, position, key])}" for head, key in enumerate(strongest)
        ]
        rows.append([f"layer {layer} ({data['layers'][layer]})", *cells])
    caption = f"The token that each head looks at most, standing at position {position}."
    return table(caption, ["layer", *(f"head {head}" for head in range(data["heads"]))], rows)


def short_table(data: Data) -> str:
    """Return the table for notebooks: each token with its loss, and the token that the model found likeliest there."""
    rows = []
    for position, id in enumerate(data["ids"]):
        loss = f"{data['loss'][position - 1]:.2f}" if position else ""
        likeliest = f"{text(data, data['top.ids'][position, 0])} {percent(data['top.probabilities'][position, 0])}"
        rows.append([str(position), text(data, id), origin(data, position), loss, likeliest])
    heads = ["position", "token", "from", "loss (nats)", "likeliest next token"]
    return table("The tokens of the run", heads, rows)
