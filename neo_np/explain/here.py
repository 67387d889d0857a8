"""The panels at the position that the page shows first, written by Python: without JavaScript they are there too.

The script writes the same tables for every other position, with the same words.
"""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from neo_np.explain.sentences import Head, choice_lines, step_at, without_head
from neo_np.explain.tables import number_cell, table, text
from neo_np.explain.trace import CHOSEN, RUNNER_UP
from neo_np.explain.wording import Data, fixed, head_name, percent, placed, quoted, signed, station_names, words

LARGEST = 10  # rows that are shown of a table of contributions


def lines_html(lines: Iterable[Sequence[str | Head]]) -> str:
    """Return lines as a list in HTML."""
    items = ("".join(part if isinstance(part, str) else head_name(*part) for part in line) for line in lines)
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def choice_here(data: Data, position: int) -> str:
    """Return what the rules did, and the table of the likeliest tokens after each rule."""
    step, lines = step_at(data, position), [[line] for line in choice_lines(data, position)]
    if step is None:
        likeliest = zip(data["top.ids"][position], data["top.probabilities"][position])
        rows = [[text(data, id), number_cell(percent(p))] for id, p in likeliest]
        return lines_html(lines) + table(words("said"), words("said.heads"), rows)
    rows, removed = [], False
    for i, id in enumerate(data["choice.shown"][step]):
        if id >= 0:
            probabilities, kept = data["choice.probabilities"][step][:, i], data["choice.kept"][step][:, i]
            removed |= not kept.all()
            rows.append([text(data, id), *(choice_cell(probabilities, kept, column) for column in range(len(kept)))])
    rows.append([words("choice.kept"), *(number_cell(str(count)) for count in data["choice.counts"][step])])
    rows.append([words("choice.share"), *(number_cell(percent(share)) for share in data["choice.masses"][step])])
    source = words("choice.given" if data["mode"] == "given" else "choice.generated")
    caption = words("choice", source=source) + words("choice.struck") * removed
    return lines_html(lines) + table(caption, [words("choice.token"), *data["columns"]], rows)


def choice_cell(probabilities: np.ndarray, kept: np.ndarray, column: int) -> str:
    """Return the probability of a token after a rule, or its last one struck through if a rule has removed it."""
    if kept[column]:
        return number_cell(percent(probabilities[column]))
    last = probabilities[max(0, int(kept.argmin()) - 1)]
    return f'<td class="number"><del>{percent(last)}</del> {words("removed")}</td>'


def lens_here(data: Data, position: int) -> str:
    """Return the table of the logit lens at one position."""
    rows = []
    for row, name in enumerate(station_names(data)):
        number = {key: data[f"lens.{key}"][row, position] for key in ("top", "probability", "rank", "came", "entropy", "kl")}
        rows.append(
            [
                name,
                text(data, number["top"]),
                number_cell(percent(number["probability"])),
                number_cell(str(number["rank"])),
                number_cell(percent(number["came"])),
                bar(0, number["came"], 0, 1),
                number_cell(fixed(number["entropy"])),
                number_cell(fixed(number["kl"])),
            ]
        )
    return table(words("lens"), words("lens.heads", token=chosen_at(data, position)), rows)


def heads_table(data: Data, position: int) -> str:
    """Return the table of the key that each head looks at most from one position."""
    rows = []
    for layer, heads in enumerate(data["attention"]):
        strongest = heads[:, position].argmax(axis=-1)
        cells = [
            head_cell(layer, head, f"{key} {text(data, data['ids'][key])} {percent(heads[head, position, key])}")
            for head, key in enumerate(strongest)
        ]
        rows.append([f"layer {layer} ({data['layers'][layer]})", *cells])
    caption = words("heads", place=placed(data, position))
    return table(caption, [words("heads.layer"), *(f"head {head}" for head in range(data["heads"]))], rows, "heads-table")


def head_cell(layer: int, head: int, content: str, attribute: str = "") -> str:
    """Return a cell that selects a head, if the script runs. attribute: a further attribute of the td, after a space."""
    return f'<td data-layer="{layer}" data-head="{head}"{attribute}>{content}</td>'


def waterfall(data: Data, position: int, heads: Sequence[Head]) -> str:
    """Return the table of what each part adds to m. heads: those that are shown, however small their contributions are."""
    values, token = data["direct"][position, CHOSEN], chosen_at(data, position)
    more = values - data["direct"][position, RUNNER_UP]
    kept, rest, others = largest_rows(values, [data["parts"].index(head_name(*head)) for head in heads])
    steps = [(data["parts"][part], values[part], more[part]) for part in kept]
    steps += [(words("waterfall.others", count=others), rest, more.sum() - more[kept].sum())] if others else []
    ends = np.cumsum([0, *(x for _, x, _ in steps)])
    low, high, total = ends.min(), ends.max(), values.sum()
    steps.append((escape(words("waterfall.sum", token=token)), total, more.sum()))
    rows = [
        [name, number_cell(signed(x), x), bar(start, end, low, high), number_cell(signed(y), y)]
        for (name, x, y), start, end in zip(steps, [*ends[:-1], 0], [*ends[1:], total])
    ]
    other = quoted(data, data["candidates"][position, RUNNER_UP])
    return table(words("waterfall", token=token), words("waterfall.heads", token=token, other=other), rows, "waterfall")


def sources(data: Data, position: int, layer: int, head: int) -> str:
    """Return the table of what all heads, and one head, add through each source token."""
    by_head = data["source.chosen"][:, :, position, : position + 1]
    columns = by_head.sum(axis=(0, 1)), by_head[layer, head]
    heads = words("sources.heads", head=head_name(layer, head))
    return signed_table("sources", data, position, columns, heads)


def gradient(data: Data, position: int) -> str:
    """Return the table of gradient x embedding."""
    if position not in data["gradient.positions"]:
        return note("gradient", words("gradient.absent"))
    [row] = np.flatnonzero(data["gradient.positions"] == position)
    return signed_table("gradient", data, position, [data["gradient"][row, : position + 1]], words("gradient.heads"))


def signed_table(name: str, data: Data, position: int, columns: Sequence[np.ndarray], heads: Sequence[str]) -> str:
    """Return a table of signed numbers for each source token. The first column says which rows are shown."""
    kept, _, others = largest_rows(columns[0])
    largest = max(np.abs(column).max() for column in columns)
    shown = [(placed(data, key), [column[key] for column in columns]) for key in kept]
    if others:
        rest = [column.sum() - column[kept].sum() for column in columns]
        shown.append((words("tokens.others", count=others), rest))
    rows = [
        [escape(name), *(cell for x in values for cell in (number_cell(signed(x), x), bar(0, x, -largest, largest)))]
        for name, values in shown
    ]
    return table(words(name, token=chosen_at(data, position)), heads, rows, name)


def ablation(data: Data, position: int, layer: int, head: int) -> str:
    """Return the table of the changes without each head."""
    if "ablation.log_prob" not in data:
        return note("ablation", words("ablation.absent"))
    rows = []
    for row, changes in enumerate(data["ablation.log_prob"][:, :, position]):
        colours = [f' class="number {"plus" if change < 0 else "minus"}"' for change in changes]  # a head that helped is a plus
        cells = [head_cell(row, i, signed(x), colour) for i, (x, colour) in enumerate(zip(changes, colours))]
        rows.append([f"layer {row}", *cells])
    m = signed(data["ablation.m"][layer, head, position])
    change = without_head(data, (layer, head), position)
    caption = words("ablation", token=chosen_at(data, position), head=head_name(layer, head), m=m, change=change)
    return table(caption, [words("ablation.layer"), *(f"head {i}" for i in range(data["heads"]))], rows, "ablation")


def note(name: str, sentence: str) -> str:
    """Return an empty table whose caption says why it is empty."""
    return f'<table id="{name}"><caption>{escape(sentence)}</caption></table>'


def chosen_at(data: Data, position: int) -> str:
    """Return the token that follows a position, in quotation marks."""
    return quoted(data, data["candidates"][position, CHOSEN])


def largest_rows(values: np.ndarray, named: Sequence[int] = ()) -> tuple[list[int], float, int]:
    """Return the indices of the largest values by size and those named, in order, the sum of the others, and their number."""
    kept = sorted({*np.argsort(-np.abs(values), kind="stable")[:LARGEST].tolist(), *named})
    return kept, values.sum() - values[kept].sum(), len(values) - len(kept)


def bar(start: float, end: float, low: float, high: float) -> str:
    """Return a bar from one number to another, on a scale from low to high. It only repeats a number that is beside it."""
    if start == end:
        return '<span class="track" aria-hidden="true"></span>'
    scale = 100 / (high - low or 1)
    place = f"left:{scale * (min(start, end) - low):.2f}%;width:{scale * abs(end - start):.2f}%"
    kind = ' class="minus"' if end < start else ""
    return f'<span class="track" aria-hidden="true"><i{kind} style="{place}"></i></span>'
