"""Showing a message: HTML in Jupyter, text in a terminal. IPython is used only if it is already loaded."""

import html
import os
import re
import sys
import textwrap

from neo_np.exercises.messages import BAD, DIFFERS, GOOD, NEUTRAL, Code, Question, Source, Text, Title

WIDTH = 100
SIGNS = {GOOD: "✓", BAD: "✗", NEUTRAL: "○"}
PLAIN_SIGNS = str.maketrans({"✓": "+", "✗": "x", "○": "o", "≠": "!", "…": "~", "└": "`", "“": '"', "”": '"'})
ANSI = {GOOD: "\033[32m", BAD: "\033[31m", NEUTRAL: "\033[36m", "mark": "\033[33m"}
LOOP_IN_C = (
    "Your function is busy inside NumPy or another C function and cannot be stopped from here: choose Kernel > Interrupt "
    "(in a terminal: Ctrl-C). If that has no effect, choose Kernel > Restart."
)
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


def warning_on(screen):
    """Return a function that tells the student about a loop that cannot be stopped from here."""

    def warn():
        print(LOOP_IN_C, file=screen)

    return warn


def as_text(parts, colour=False):
    """Return a message as text."""
    return "\n".join(text_of(part, colour) for part in parts)


def text_of(part, colour):
    """Return one part as text, all but the title indented."""
    if isinstance(part, Title):
        return painted(wrapped(f"{SIGNS[part.tone]} {part.text}", "  ").strip(), part.tone, colour)
    if isinstance(part, Text):
        return wrapped(part.text, "  ")
    if isinstance(part, Question):
        return wrapped(f"Question: {part.text}", "  ")
    if isinstance(part, Code):
        return f"  {part.heading}:\n" + textwrap.indent(part.text, "    ", lambda line: True)
    if isinstance(part, Source):
        return "\n".join([f"  {part.heading}:", *(source_line(*line, colour) for line in part.lines)])
    width = max((len(grid.label) for grid in part.inputs + part.results), default=0)
    inputs = [grid_text(grid, width, colour) for grid in part.inputs]
    results = [grid_text(grid, width, colour, *layout(part.results)) for grid in part.results]
    return "\n".join([f"  {part.heading}:", *inputs, *results])


def source_line(line, remarks, colour):
    """Return a line of source with its remarks below, each under its piece."""
    lines = [f"    {line}".rstrip()]
    for column, _, remark in remarks:
        indent = " " * (4 + min(column, WIDTH // 2))
        first, *others = wrapped(remark, indent + "  ").split("\n")
        note = "\n".join([f"{indent}└ {first.strip()}", *others])
        lines.append(painted(note, NEUTRAL, colour))
    return "\n".join(lines)


def wrapped(text, indent):
    """Return a paragraph in lines of at most WIDTH characters; a piece between backticks is not broken if it fits a line."""
    room = WIDTH - len(indent)
    whole = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", "\0") if len(code[0]) <= room else code[0], text)
    lines = textwrap.wrap(whole, room, break_long_words=False, break_on_hyphens=False)
    return "\n".join(indent + line for line in lines).replace("\0", " ")


def layout(grids):
    """Return the widths of the columns of all grids together, and whether an entry is marked."""
    rows = [row for grid in grids for row in grid.rows]
    columns = max(map(len, rows), default=0)
    widths = [max(len(row[c][0]) for row in rows if c < len(row)) for c in range(columns)]
    return widths, any(differs for row in rows for _, differs in row)


def grid_text(grid, label_width, colour, widths=None, marked=False):
    """Return a grid as lines: the label, then aligned columns; with marks, every cell has room for the sign."""
    widths = widths or layout([grid])[0]
    lines = []
    for number, row in enumerate(grid.rows):
        cells = [cell_text(text, widths[c], differs, marked, colour) for c, (text, differs) in enumerate(row)]
        label = grid.label if number == 0 else ""
        lines.append(f"    {label:{label_width}}  {' '.join(cells)}".rstrip())
    return "\n".join(lines)


def cell_text(text, width, differs, marked, colour):
    """Return one cell, as wide as its column, with the sign if it differs."""
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
    if isinstance(part, Source):
        lines = "".join(source_line_html(*line) for line in part.lines)
        return f'<div>{inline(part.heading)}:<pre style="margin:2px 0 6px 16px;white-space:pre-wrap">{lines}</pre></div>'
    boxes = "".join(grid_html(grid) for grid in part.inputs) + "".join(grid_html(grid) for grid in part.results)
    return (
        f'<div style="margin-top:4px">{html.escape(part.heading)}:</div><div style="display:flex;flex-wrap:wrap">{boxes}</div>'
    )


def source_line_html(line, remarks):
    """Return a line of source as HTML: pieces with a remark are marked, the remark follows below."""
    shown, end = "", 0
    for column, piece, _ in sorted(remarks):
        piece = piece.partition("\n")[0]
        shown += html.escape(line[end:column]) + f'<span style="{MARKED}">{html.escape(piece)}</span>'
        end = column + len(piece)
    shown += html.escape(line[end:]) + "\n"
    style = f"color:{COLOURS[NEUTRAL]};white-space:normal;font-family:sans-serif;margin:0 0 4px"
    for column, _, remark in remarks:
        shown += f'<div style="{style} {column}ch">└ {inline(remark)}</div>'
    return shown


def inline(text):
    """Return a paragraph as HTML: pieces between backticks become code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text, quote=False))


def grid_html(grid):
    """Return a grid as a small table under its label."""
    rows = "".join("<tr>" + "".join(map(cell_html, row)) + "</tr>" for row in grid.rows)
    return (
        '<table style="margin:4px 20px 8px 0;border-collapse:collapse;font-family:monospace">'
        '<caption style="text-align:left;font-weight:bold;white-space:nowrap">'
        f"{html.escape(grid.label)}</caption>{rows}</table>"
    )


def cell_html(cell):
    """Return one cell; an entry that differs has a colour and a sign."""
    text, differs = cell
    style = "padding:1px 6px;text-align:right;border:1px solid #8886;white-space:pre;" + (MARKED if differs else "")
    return f'<td style="{style}">{html.escape(text)}{DIFFERS if differs else ""}</td>'
