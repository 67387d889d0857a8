"""The page: one HTML file with the numbers, the tables, the style and the script, and nothing from elsewhere."""

import base64
import hashlib
import json
import re
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from neo_np.errors import NeoError
from neo_np.explain.pack import block, signed_block, weights_block
from neo_np.explain.tables import choices_table, heads_table, lens_table, short_table, tokens_table
from neo_np.explain.tokens import visible_line
from neo_np.explain.trace import CHOSEN

Data = dict[str, Any]

BUDGET = 10_000_000  # bytes of a page
THEMES = "auto", "light", "dark"
PANELS = "summary", "tokens", "choice", "lens", "attention", "why", "mlp", "residual", "timings", "method"
CANDIDATES = "chosen", "runner-up"
OPENING = "position=N, layer=N, head=N, candidate=chosen or candidate=runner-up"
# Left out in this order, if the page is too large.
OPTIONAL = {
    "source.runner_up": "the runner-up's contributions by source token",
    "source.chosen": "the chosen token's contributions by source token",
}


def read_opening(text: str | None) -> dict[str, Any]:
    """Return what the page shows first, from a text such as "attention,position=5,layer=1,head=2,candidate=runner-up"."""
    panel, *settings = (text or "summary").split(",")
    if panel not in PANELS:
        raise NeoError(f"open begins with {panel!r}, and it must begin with a panel: {', '.join(PANELS)}.")
    opening: dict[str, Any] = {"panel": panel}
    for setting in settings:
        name, _, value = setting.partition("=")
        if name == "candidate" and value in CANDIDATES:
            opening[name] = CANDIDATES.index(value)
        elif name in ("position", "layer", "head") and value.isdecimal():
            opening[name] = int(value)
        else:
            raise NeoError(f"open has {setting!r}, and it can have {OPENING}.")
    return opening


def complete_opening(opening: dict[str, Any], data: Data) -> dict[str, Any]:
    """Return what the page shows first, with what was left open.

    By default it is the last token of the prompt, and there the head that adds most to the chosen token.
    """
    limits = {"position": len(data["ids"]), "layer": len(data["layers"]), "head": data["heads"]}
    for name, limit in limits.items():
        if opening.get(name, 0) >= limit:
            raise NeoError(f"open has {name}={opening[name]}, and this run has {name}s 0 to {limit - 1}.")
    opening = {"position": data["prompt_length"] - 1, "candidate": CHOSEN} | opening
    return strongest_head(data, opening["position"]) | opening


def strongest_head(data: Data, position: int) -> dict[str, int]:
    """Return the layer and the head that add most to the chosen token at a position."""
    added = data["source.chosen"][:, :, position].sum(axis=-1)  # (L, H)
    layer, head = np.unravel_index(added.argmax(), added.shape)
    return {"layer": int(layer), "head": int(head)}


def page_html(data: Data, theme: str, opening: dict[str, Any]) -> str:
    """Return the page. Raises NeoError if it is too large even without the optional arrays."""
    left_out: list[str] = []
    for name in [*OPTIONAL, None]:
        html = render(data, theme, opening, left_out)
        if (size := len(html.encode("utf-8"))) <= BUDGET:
            return html
        if name is not None:
            left_out.append(name)
    raise NeoError(
        f"the page would have {size / 1e6:.1f} MB, and it has at most {BUDGET / 1e6:.0f} MB: "
        f"{len(data['ids'])} tokens are too many for this model, so shorten the text."
    )


def render(data: Data, theme: str, opening: dict[str, Any], left_out: list[str]) -> str:
    """Return the page without the arrays that are left out."""
    script, style = read_asset("page.js"), read_asset("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return fill(
        read_asset("page.html"),
        title=escape(f"neo_np run: {visible_line(data['text'][:60])}"),
        script_hash=f"sha256-{digest}",
        style=style,
        theme=theme,
        model=escape(data["model"]),
        options=escape(visible_line(describe_options(data))),
        left_out=f"<p>Left out to keep the file small: {' and '.join(OPTIONAL[name] for name in left_out)}.</p>"
        if left_out
        else "",
        tokens_table=tokens_table(data),
        choices_table=choices_table(data),
        lens_table=lens_table(data),
        heads_table=heads_table(data, opening["position"]),
        data=to_json({"opening": opening, "left_out": left_out} | packed(data, left_out)),
        script=script,
    )


def read_asset(name: str) -> str:
    """Return the text of a file beside this module."""
    return resources.files("neo_np.explain").joinpath(name).read_text(encoding="utf-8")


def fill(template: str, **parts: str) -> str:
    """Replace each {{name}} of a template, in one pass: braces within a part stay as they are."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def describe_options(data: Data) -> str:
    """Return how the text was made, in one sentence."""
    how = {
        "sampled": "tokens were drawn at random",
        "greedy": "the likeliest token was taken each time",
        "given": "the continuation was given (if it was a text, it was tokenized by itself)",
    }
    options = ", ".join(f"{name}={value}" for name, value in data["options"].items())
    return f"{len(data['ids'])} tokens, {data['prompt_length']} of them the prompt; {how[data['mode']]}. Options: {options}."


def packed(data: Data, left_out: list[str]) -> Data:
    """Return the data with every array as a block, without those that are left out."""
    packers = {"attention": weights_block, "source.chosen": signed_block, "source.runner_up": signed_block}
    return {
        name: packers.get(name, block)(value) if isinstance(value, np.ndarray) else value
        for name, value in data.items()
        if name not in left_out
    }


def to_json(data: Data) -> str:
    """Return JSON that is safe inside a script element: no < > & and no character beyond ASCII."""
    text = json.dumps(data, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def notebook_html(data: Data, html: str | None, path: Path | None) -> str:
    """Return what a notebook shows: a line of text, a table that survives in an untrusted notebook, and the page.

    html: the page, or None to show only its path.
    """
    if html is None:
        return f"<p>The page is in {escape(str(path))}.</p>"
    return (
        f"<p>{escape(data['model'])}: {len(data['ids'])} tokens, {data['prompt_length']} of them the prompt.</p>\n"
        f"<details><summary>The tokens as a table</summary>{short_table(data)}</details>\n"
        f'<iframe title="neo_np run" sandbox="allow-scripts" width="100%" height="800" srcdoc="{escape(html)}"></iframe>'
    )
