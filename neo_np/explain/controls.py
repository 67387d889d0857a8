"""The strip of tokens and the grid of all heads. The script draws into them and handles clicks and keys."""

from html import escape

from neo_np.explain.wording import Data, head_name, origin

CLEAR = 0.2  # mean weight from which on a head has a pattern


def strip(data: Data) -> str:
    """Return the tokens of the text as the options of a list box.

    If several tokens make one character, the last of them shows it too.
    """
    options = []
    for position, id in enumerate(data["ids"]):
        shown, whole = data["texts"][int(id)], data["characters"][position]
        is_end = position + 1 == len(data["ids"]) or data["offsets"][position + 1][0] >= data["offsets"][position][1]
        label = f"{position} {shown}{f', part of {whole}' if whole else ''} {origin(data, position)}"
        kind = "token" if position < data["prompt_length"] else "token new"
        attributes = f'role="option" class="{kind}" data-position="{position}" aria-label="{escape(label)}"'
        options.append(f"<span {attributes}>{escape(shown)}{f' = {escape(whole)}' if whole and is_end else ''}</span>")
    return "".join(options)


def heads_grid(data: Data) -> str:
    """Return the rows of the grid: a row for each layer, a cell with an empty picture for each head."""
    rows = []
    for layer, window in enumerate(data["windows"]):
        kind = "global" if window is None else f"local, window {window}"
        cells = "".join(grid_cell(layer, head, best_pattern(data, layer, head)) for head in range(data["heads"]))
        rows.append(f'<div role="row"><div role="rowheader">layer {layer} ({kind})</div>{cells}</div>')
    return "".join(rows)


def grid_cell(layer: int, head: int, pattern: str) -> str:
    """Return the cell of a head. The script draws into its canvas."""
    label = f"{head_name(layer, head)}, on average: {pattern}"
    attributes = f'role="gridcell" data-layer="{layer}" data-head="{head}" aria-label="{label}"'
    return f'<div {attributes}><canvas aria-hidden="true"></canvas>head {head}: {pattern}</div>'


def best_pattern(data: Data, layer: int, head: int) -> str:
    """Return what a head looks at most on average, such as "token before 82 %", or "mixed" if nothing is clear."""
    weights = data["patterns"][layer, head]
    best = int(weights.argmax())
    return "mixed" if weights[best] < CLEAR else f"{data['pattern_names'][best]} {100 * weights[best]:.0f} %"


def windows_html(data: Data) -> str:
    """Return a sentence for each size of a local window."""
    length = len(data["ids"])
    sentences = [
        f"A local layer sees the last {size} tokens, the query itself included. Keys outside the window are hatched."
        if size < length
        else f"The window of {size} tokens is {'as long as' if size == length else 'longer than'} the text of {length}, "
        "so it hides nothing here."
        for size in sorted({window for window in data["windows"] if window is not None})
    ]
    return "".join(f"<p>{sentence}</p>" for sentence in sentences)
