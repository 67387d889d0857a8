"""The pictures of the notebooks: one style, readable in grey and for colour-blind people, each with its text.

    figure, axes = figures.new()
    figures.matrix(axes, weights, rows=tokens, columns=tokens)
    figures.show(figure, "Weights of 6 tokens: the last one looks most at ...")

Amounts are shown in `cividis`, which gets steadily lighter; signed values run from blue (negative) over white to orange and
carry their signed number or a hatching. Every line has its own dash, marker and label. Pictures are PNG: a notebook that is not
trusted yet shows no SVG.
"""

import html
import io
import sys

import matplotlib as mpl
import numpy as np
from matplotlib.colors import LinearSegmentedColormap, LogNorm, Normalize, TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from PIL import Image

BLUE, ORANGE, GREEN, PURPLE, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#767676", "#000000"
PALE_BLUE, PALE_ORANGE, PALE_GREEN, PALE_PURPLE, PALE_GREY = "#cfe5f3", "#fbe0cc", "#cdeee0", "#f6e3ee", "#ececec"
PALE = PALE_BLUE, PALE_ORANGE, PALE_GREEN, PALE_PURPLE, PALE_GREY, "#ffffff"
HATCHES = "", "..", "//", "xx", "--", "oo"
LINES = ((BLUE, "-", "o"), (ORANGE, "--", "s"), (GREEN, "-.", "^"), (PURPLE, ":", "D"), (BLACK, (0, (5, 1, 1, 1, 1, 1)), "v"))
SIGNED = LinearSegmentedColormap.from_list("signed", [BLUE, "#ffffff", ORANGE])
AMOUNT = mpl.colormaps["cividis"]
STYLE = {
    "font.size": 11,
    "axes.titlesize": 12,
    "axes.labelsize": 11,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "white",
    "hatch.linewidth": 0.6,
    "text.parse_math": False,
}
DPI, MOST_BYTES, SHORTEST_TEXT = 100, 60_000, 40


def new(width=7.5, height=3.5, panels=1, **options):
    """Return a new figure and its axes: one, or a list for several panels side by side."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False, **options)[0]
    return figure, axes[0] if panels == 1 else list(axes)


def grid(rows, columns, width=7.5, height=6.0, **options):
    """Return a new figure and a two-dimensional array of axes."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots(rows, columns, squeeze=False, **options)


def show(figure, text):
    """Show a figure with a text that says in numbers what is seen: as alternative text and as a caption.

    In a terminal only the text is printed.
    """
    if len(text) < SHORTEST_TEXT:
        raise ValueError(f"a figure needs a text of at least {SHORTEST_TEXT} characters, for those who cannot see it: {text!r}")
    text = text.replace("\n", "⏎")
    image = png(figure)
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or not hasattr(shell, "kernel"):
        print(f"[Picture: {text}]")
        return
    display = sys.modules["IPython.display"].display
    display({"image/png": image, "text/plain": text}, metadata={"image/png": {"alt": text}}, raw=True)
    caption = f'<p style="max-width:60em;margin:0 0 8px 0"><b>Picture:</b> {html.escape(text)}</p>'
    display({"text/html": caption, "text/plain": f"Picture: {text}"}, raw=True)


def png(figure):
    """Return a figure as PNG in 256 colours at most; raises ValueError if it is too large."""
    file, small = io.BytesIO(), io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    Image.open(file).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    if small.tell() > MOST_BYTES:
        raise ValueError(f"the picture has {small.tell()} bytes, and {MOST_BYTES} are allowed: make it smaller or simpler.")
    return small.getvalue()


def readable_on(colour):
    """Return black or white, whichever can be read better on a colour."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
    return "white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.18 else "black"


def matrix(
    axes,
    values,
    rows=None,
    columns=None,
    title=None,
    signed=False,
    decimals=2,
    numbers=True,
    limits=None,
    log=False,
    hidden=None,
    bar=None,
    xlabel=None,
    ylabel=None,
    size=10,
):
    """Draw a matrix as coloured cells. hidden: a boolean matrix of cells that are hatched and not coloured.

    numbers: write each value into its cell. signed: negative values blue, positive ones orange. log: a logarithmic scale;
    values that are exactly 0 count as hidden. bar: the label of a colour bar.
    """
    values = np.asarray(values, float)
    hidden = np.zeros(values.shape, bool) if hidden is None else np.asarray(hidden)
    hidden = hidden | (values <= 0) if log else hidden
    shown = np.ma.masked_array(values, hidden)
    low, high = limits or (shown.min(), shown.max())
    if signed:
        edge = limits[1] if limits else max(float(abs(shown).max()), 1e-12)
        norm, colours = TwoSlopeNorm(0, -edge, edge), SIGNED
    else:
        norm, colours = LogNorm(low, high) if log else Normalize(low, max(high, low + 1e-12)), AMOUNT
    image = axes.imshow(shown, cmap=colours, norm=norm, aspect="auto", interpolation="nearest")
    for i, j in np.argwhere(hidden) if values.size <= 900 else []:
        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor="white", edgecolor="#999999", hatch="////", linewidth=0))
    if values.size > 900 and hidden.any():
        axes.contourf(hidden, levels=[0.5, 1.5], colors=["#ffffff"], hatches=["////"], extend="neither")
    if signed and not numbers:
        for i, j in np.argwhere(~hidden & (values < 0)):
            axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, edgecolor="#00000066", hatch="...", linewidth=0))
    if numbers:
        for i, j in np.argwhere(~hidden):
            text = f"{no_minus_zero(values[i, j], decimals):{'+' if signed else ''}.{decimals}f}"
            colour = readable_on(colours(norm(values[i, j])))
            axes.text(j, i, text, ha="center", va="center", color=colour, fontsize=size)
    label_cells(axes, values.shape, rows, columns)
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
    if bar:
        scale = axes.figure.colorbar(image, ax=axes, label=bar)
        if log:
            scale.ax.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
    return image


def no_minus_zero(value, decimals=2):
    """Return a number, rounded, so that it is not printed as -0.00."""
    return round(float(value), decimals) + 0.0


def label_cells(axes, shape, rows, columns):
    """Write the names of rows and columns beside a matrix."""
    for names, ticks, length in ((rows, axes.set_yticks, shape[0]), (columns, axes.set_xticks, shape[1])):
        if names is not None:
            ticks(range(length), [visible(name) for name in names])
    if columns is not None and max(len(str(name)) for name in columns) > 3:
        axes.tick_params(axis="x", labelrotation=45)
        for label in axes.get_xticklabels():
            label.set(ha="right", rotation_mode="anchor")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def visible(token):
    """Return a token with the spaces at its ends and its line ends made visible."""
    text = str(token)
    inner = text.strip(" ")
    left = len(text) - len(text.lstrip(" "))
    return ("␣" * left + inner + "␣" * (len(text) - left - len(inner))).replace("\n", "⏎")


def lines(axes, curves, title=None, xlabel=None, ylabel=None, markers=True, at="end", log=False):
    """Draw curves {label: (x, y)}: each has its own colour, dash and marker.

    at: "end" writes each label at the end of its line; with None the caller writes the labels.
    """
    ends = []
    for (label, (x, y)), (colour, dash, marker) in zip(curves.items(), LINES):
        every = 1 if len(x) <= 32 else len(x) // 8
        axes.plot(
            x, y, color=colour, linestyle=dash, marker=marker if markers else None, markevery=every, label=label, linewidth=2
        )
        ends.append((float(y[-1]), float(x[-1]), label, colour))
    if log:
        axes.set_yscale("log")
    if at == "end":
        low, high = axes.get_ylim()
        scale = np.log if log else np.asarray
        step, used = 0.085 * (scale(high) - scale(low)), -np.inf
        for y, x, label, colour in sorted(ends):
            place = max(scale(y), used + step)
            used = place
            axes.annotate(
                label, (x, np.exp(place) if log else place), (6, 0), textcoords="offset points", color=colour, va="center"
            )
    axes.set(title=title, xlabel=xlabel, ylabel=ylabel)


def bars(axes, labels, values, title=None, xlabel=None, decimals=2, marked=(), signed=False, top=None):
    """Draw horizontal bars with their numbers, the first one on top. marked: labels whose bars are hatched and orange."""
    places = np.arange(len(values))[::-1]
    for place, label, value in zip(places, labels, values):
        colour, hatch = (ORANGE, "//") if label in marked else (BLUE, "")
        axes.barh(place, value, color=colour, hatch=hatch, edgecolor="white", height=0.72)
        text = f" {value:{'+' if signed else ''}.{decimals}f} "
        axes.text(value, place, text, va="center", ha="right" if value < 0 else "left", fontsize=10)
    axes.set_yticks(places, [visible(label) for label in labels])
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.18)
    if top is not None:
        axes.set_xlim(0, top)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(title=title, xlabel=xlabel)


def underlined(axes, tokens, values, width=74, top=None):
    """Write tokens as running text in lines of `width` letters; each has a line below it, the thicker the larger its value.

    The number is written below the line. A value of None has a dotted line. top: the value of the thickest line.
    """
    top = top or max(value for value in values if value is not None)
    x, y = 0.0, 0
    for token, value in zip(tokens, values):
        text = visible(token.removeprefix(" "))
        wide = max(len(text), 3.2)
        x += 1.1 if token.startswith(" ") else 0.35
        if x + wide > width:
            x, y = 0.0, y + 1
        middle, below = x + wide / 2, -y - 0.22
        axes.text(middle, -y, text, ha="center", va="center", fontsize=12, family="monospace")
        if value is None:
            axes.plot([x, x + wide], [below, below], color=GREY, linestyle=":", linewidth=1.2)
        else:
            thick = 0.03 + 0.17 * min(value / top, 1)
            colour = AMOUNT(1 - 0.8 * min(value / top, 1))
            axes.add_patch(Rectangle((x, below - thick), wide, thick, facecolor=colour, edgecolor="black", linewidth=0.4))
            axes.text(middle, -y - 0.47, f"{value:.1f}", ha="center", va="top", fontsize=10)
        x += wide
    axes.set(xlim=(-0.5, width + 0.5), ylim=(-y - 0.85, 0.3))
    axes.axis("off")


def cells(axes, letters, groups, title=None, names=None, size=11):
    """Draw a table of letters whose cells are coloured and hatched by group (whole numbers of the same shape)."""
    letters, groups = np.asarray(letters), np.asarray(groups)
    rows, columns = letters.shape
    for i in range(rows):
        for j in range(columns):
            kind = int(groups[i, j]) % len(PALE)
            axes.add_patch(
                Rectangle((j, rows - 1 - i), 1, 1, facecolor=PALE[kind], edgecolor="black", hatch=HATCHES[kind], linewidth=0.8)
            )
            box = {"facecolor": PALE[kind], "edgecolor": "none", "pad": 1.5}
            axes.text(j + 0.5, rows - 0.5 - i, str(letters[i, j]), ha="center", va="center", fontsize=size, bbox=box)
    for i, name in enumerate(names or []):
        axes.text(-0.15, rows - 0.5 - i, visible(name), ha="right", va="center", fontsize=10)
    axes.set(xlim=(-0.1, columns + 0.1), ylim=(-0.1, rows + 0.1), title=title)
    axes.set_aspect("equal")
    axes.axis("off")


def box(axes, x, y, width, height, text, colour=PALE_BLUE, size=11, hatch=""):
    """Draw a box with a text in it; x and y are its centre."""
    corner = x - width / 2, y - height / 2
    axes.add_patch(
        FancyBboxPatch(
            corner, width, height, boxstyle="round,pad=0,rounding_size=0.06", facecolor=colour, edgecolor="black", hatch=hatch
        )
    )
    axes.text(x, y, text, ha="center", va="center", fontsize=size)


def arrow(axes, start, end, text="", colour="black", side="right", size=10):
    """Draw an arrow from start to end, with a text beside its middle."""
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 0, "linewidth": 1.4}
    )
    if text:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        offset = {"right": (6, 0), "left": (-6, 0), "above": (0, 6), "below": (0, -6)}[side]
        ha = {"right": "left", "left": "right"}.get(side, "center")
        va = {"above": "bottom", "below": "top"}.get(side, "center")
        axes.annotate(text, (x, y), offset, textcoords="offset points", ha=ha, va=va, fontsize=size)


def blank(axes, width, height):
    """Turn axes into an empty canvas from (0, 0) to (width, height)."""
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.axis("off")
