"""Showing a message: HTML in Jupyter, text in a terminal. IPython is used only if it is already loaded."""

import html
import os
import re
import sys
import textwrap

from neo_np.exercises.messages import BAD, GOOD, NEUTRAL, Code, Question, Table, Text, Title

WIDTH = 100
SIGNS = {GOOD: "✓", BAD: "✗", NEUTRAL: "○"}
DIFFERS = "≠"
PLAIN_SIGNS = str.maketrans({"✓": "+", "✗": "x", "○": "o", "≠": "!", "…": "~", "└": "`", "“": '"', "”": '"'})
ANSI = {GOOD: "\033[32m", BAD: "\033[31m", NEUTRAL: "\033[36m", "mark": "\033[33m"}
# Colours that can be read on white and on black, and by colour-blind people.
COLOURS = {GOOD: "#2e8b57", BAD: "#d55e00", NEUTRAL: "#3a87ad"}
MARKED = "background:#ffd9a8;color:#000;font-weight:bold"


def show(parts):
    """Show a message where the student is working."""
    text = as_text(parts)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is not None and hasattr(shell, "kernel"):
        bundle = {"text/plain": text, "text/html": as_html(parts)}
        sys.modules["IPython.display"].display(bundle, raw=True)
        return
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    text = as_text(parts, colour)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        text.encode(encoding)
    except UnicodeEncodeError:  # an old Windows console
        text = text.translate(PLAIN_SIGNS).encode(encoding, "backslashreplace").decode(encoding)
    print(text)


def as_text(parts, colour=False):
    """Return a message as text."""
    return "\n".join(text_of(part, colour) for part in parts)


def text_of(part, colour):
    """Return one part as text, all but the title indented."""
    if isinstance(part, Title):
        return painted(f"{SIGNS[part.tone]} {part.text}", part.tone, colour)
    if isinstance(part, Text):
        return wrapped(part.text, "  ")
    if isinstance(part, Question):
        return wrapped(f"Question: {part.text}", "  ")
    if isinstance(part, Code):
        return f"  {part.heading}:\n" + textwrap.indent(part.text, "    ", lambda line: True)
    grids = part.inputs + part.results
    width = max((len(grid.label) for grid in grids), default=0)
    return "\n".join([f"  {part.heading}:", *(grid_text(grid, width, colour) for grid in grids)])


def wrapped(text, indent):
    """Return a paragraph in lines of at most WIDTH characters; pieces between backticks are not broken."""
    return textwrap.fill(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def grid_text(grid, label_width, colour):
    """Return a grid as lines: the label, then aligned columns."""
    columns = max(map(len, grid.rows), default=0)
    widths = [max(len(row[c][0]) for row in grid.rows if c < len(row)) for c in range(columns)]
    marked = any(differs for row in grid.rows for _, differs in row)
    lines = []
    for number, row in enumerate(grid.rows):
        cells = [cell_text(text, widths[c], differs, marked, colour) for c, (text, differs) in enumerate(row)]
        label = grid.label if number == 0 else ""
        lines.append(f"    {label:{label_width}}  {' '.join(cells)}".rstrip())
    return "\n".join(lines)


def cell_text(text, width, differs, marked, colour):
    """Return one cell, as wide as its column; every cell of a grid with marks has room for the sign."""
    sign = DIFFERS if differs else " " if marked else ""
    cell = f"{text:>{width}}{sign}"
    return painted(cell, "mark", colour) if differs else cell


def painted(text, tone, colour):
    """Return text in a terminal's colour."""
    return f"{ANSI[tone]}{text}\033[0m" if colour else text


def as_html(parts):
    """Return a message as HTML that brings its own style."""
    tone = parts[0].tone if isinstance(parts[0], Title) else NEUTRAL
    style = f"border-left:4px solid {COLOURS[tone]};padding:4px 12px;margin:4px 0;max-width:60em;line-height:1.5"
    return f'<div style="{style}">' + "".join(html_of(part) for part in parts) + "</div>"


def html_of(part):
    """Return one part as HTML."""
    if isinstance(part, Title):
        return f'<div><b style="color:{COLOURS[part.tone]}">{SIGNS[part.tone]}</b> <b>{inline(part.text)}</b></div>'
    if isinstance(part, Text):
        return f"<div>{inline(part.text)}</div>"
    if isinstance(part, Question):
        return f"<div><b>Question:</b> <i>{inline(part.text)}</i></div>"
    if isinstance(part, Code):
        return f'<div>{inline(part.heading)}:<pre style="margin:2px 0 6px 16px">{html.escape(part.text)}</pre></div>'
    boxes = "".join(grid_html(grid) for grid in part.inputs) + "".join(grid_html(grid) for grid in part.results)
    return f'<div style="margin-top:4px">{html.escape(part.heading)}:</div><div style="display:flex;flex-wrap:wrap">{boxes}</div>'


def inline(text):
    """Return a paragraph as HTML: pieces between backticks become code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def grid_html(grid):
    """Return a grid as a small table under its label."""
    rows = "".join("<tr>" + "".join(map(cell_html, row)) + "</tr>" for row in grid.rows)
    return (
        '<table style="margin:4px 20px 8px 0;border-collapse:collapse;font-family:monospace">'
        f'<caption style="text-align:left;font-weight:bold">{html.escape(grid.label)}</caption>{rows}</table>'
    )


def cell_html(cell):
    """Return one cell; an entry that differs has a colour and a sign."""
    text, differs = cell
    style = "padding:1px 6px;text-align:right;border:1px solid #8886;white-space:pre;" + (MARKED if differs else "")
    return f'<td style="{style}">{html.escape(text)}{DIFFERS if differs else ""}</td>'
