"""The tables that Python writes into the page: they are there without JavaScript, on paper and in an untrusted notebook."""

from collections.abc import Iterable, Sequence
from html import escape
from itertools import chain, count, repeat

import numpy as np

from neo_np.explain.wording import Data, origin, percent, station_names


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], name: str = "", positions: Iterable[int] = ()
) -> str:
    """Return an HTML table whose first column heads the rows. A cell is HTML already, see `text`, or a whole td.

    name: the table's id. positions: of each row, if the script shall select it by a click on the row.
    """
    head = "".join(f'<th scope="col">{escape(title)}</th>' for title in heads)
    marks = chain((f' data-position="{position}"' for position in positions), repeat(""))
    body = "".join(f"<tr{mark}>{row_html(cells)}</tr>\n" for mark, cells in zip(marks, rows))
    mark = f' id="{name}"' if name else ""
    return f"<table{mark}><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table>"


def row_html(cells: Sequence[str]) -> str:
    """Return the cells of a row, of which the first one heads it."""
    others = (cell if cell.startswith("<td") else f"<td>{cell}</td>" for cell in cells[1:])
    return f'<th scope="row">{cells[0]}</th>{"".join(others)}'


def number_cell(number: str, sign: float = 0) -> str:
    """Return a cell for a number; its colour says the sign, if there is one."""
    kind = " minus" if sign < 0 else " plus" if sign > 0 else ""
    return f'<td class="number{kind}">{escape(number)}</td>'


def text(data: Data, id: int) -> str:
    """Return the visible text of a token as HTML."""
    return f'<span class="token">{escape(data["texts"][int(id)])}</span>'


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
        whole = data["characters"][position]
        shown = f"{text(data, id)} (part of {escape(whole)})" if whole else text(data, id)
        cells = [shown, str(id), f"{start} to {end}", data["bytes"][position] or "none", loss_cell(position)]
        rows.append([str(position), *cells, origin(data, position)])
    heads = ["position", "token", "id", "characters", "bytes", "loss (nats)", "from"]
    caption = "All tokens. Loss is -log of the probability that the model gave the token, at the position before."
    return table(caption, heads, rows, "tokens-table", range(len(rows)))


def choices_table(data: Data) -> str:
    """Return the table of all choices: what the model and the processors made of each new token."""
    if len(data["choice.token"]) == 0:
        return "<p>No token was chosen or given after the prompt.</p>"
    last = {"sampled": "random number and interval", "greedy": "margin to the runner-up", "given": "removed by a rule"}
    heads = ["standing at", "next token", "rank", *data["columns"], "tokens kept", last[data["mode"]]]
    rows = []
    for step, token in enumerate(data["choice.token"]):
        position = data["prompt_length"] - 1 + step
        [column] = np.flatnonzero(data["choice.shown"][step] == token)
        stages = [
            escape(percent(p)) if kept else "<del>removed</del>"
            for p, kept in zip(data["choice.probabilities"][step][:, column], data["choice.kept"][step][:, column])
        ]
        left = f"{data['choice.counts'][step][-1]} of {data['vocabulary']}"
        rows.append(
            [
                f"{position} {text(data, data['ids'][position])}",
                text(data, token),
                str(data["choice.rank"][step]),
                *stages,
                left,
                how_chosen(data, step),
            ]
        )
    caption = "All choices: the probability of the next token after each rule (logits processor)."
    return table(caption, heads, rows, "choices-table", count(data["prompt_length"] - 1))


def how_chosen(data: Data, step: int) -> str:
    """Return the last cell of a choice: the draw, the margin, or whether the given token was removed."""
    if data["mode"] == "given":
        return "yes" if data["choice.removed"][step] else "no"
    if data["mode"] == "greedy":
        return f"{data['choice.margin'][step]:.3f} above {text(data, data['choice.runner_up'][step])}"
    low, high = data["choice.low"][step], data["choice.high"][step]
    return f"{data['choice.uniform'][step]:.4f} in [{low:.4f}, {high:.4f})"


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
    caption = "Logit lens: the likeliest next token at each station, with its probability."
    return table(caption, heads, rows, "lens-table", range(len(rows)))


def short_table(data: Data) -> str:
    """Return the table for notebooks: each token with its loss, and the token that the model found likeliest there."""
    rows = []
    for position, id in enumerate(data["ids"]):
        loss = f"{data['loss'][position - 1]:.2f}" if position else ""
        likeliest = f"{text(data, data['top.ids'][position, 0])} {escape(percent(data['top.probabilities'][position, 0]))}"
        rows.append([str(position), text(data, id), origin(data, position), loss, likeliest])
    heads = ["position", "token", "from", "loss (nats)", "likeliest next token"]
    return table("The tokens of the run", heads, rows)


def timings_table(data: Data) -> str:
    """Return the table of the seconds that each part of the run took."""
    rows = [[name, number_cell(f"{seconds:.3f}")] for name, seconds in data["timings"].items()]
    return table("Seconds of each part", ["part", "seconds"], rows)
