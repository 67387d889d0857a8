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
from neo_np.explain.controls import heads_grid, strip, windows_html
from neo_np.explain.here import ablation, choice_here, gradient, heads_table, lens_here, lines_html, note, sources, waterfall
from neo_np.explain.pack import block, signed_block, weights_block
from neo_np.explain.sentences import named_heads, page_sentences, strongest_head
from neo_np.explain.tables import choices_table, lens_table, short_table, timings_table, tokens_table
from neo_np.explain.tokens import visible_line
from neo_np.explain.trace import CHOSEN
from neo_np.explain.wording import WORDS, Data, origin, quoted, station_names, words

BUDGET = 10_000_000  # bytes of a page
THEMES = "auto", "light", "dark"
PANELS = "summary", "tokens", "choice", "lens", "attention", "why", "mlp", "residual", "timings", "method"
CANDIDATES = "chosen", "runner-up"
OPENING = "position=N, layer=N, head=N, candidate=chosen or candidate=runner-up"
# Left out in this order, if the page is too large.
OPTIONAL = {
    "source.runner_up": "the contributions to the likeliest other token by source token",
    "source.chosen": "the contributions to the next token by source token",
}


def read_opening(text: str | None, timings: bool) -> dict[str, Any]:
    """Return what the page shows first, from a text such as "attention,position=5,layer=1,head=2,candidate=runner-up".

    timings: whether this run has them.
    """
    panel, *settings = (text or "summary").split(",")
    if panel not in PANELS:
        raise NeoError(f"open begins with {panel!r}, and it must begin with a panel: {', '.join(PANELS)}.")
    if panel == "timings" and not timings:
        raise NeoError("open names the panel timings, and this run has none: ask for them with timings=True, or --timings.")
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


def check_opening(opening: dict[str, Any], **limits: int) -> None:
    """Raise NeoError if the page is to open at something that the run does not have; limits: how many of each it has."""
    for name, limit in limits.items():
        if opening.get(name, 0) >= limit:
            raise NeoError(f"open has {name}={opening[name]}, and this run has {name}s 0 to {limit - 1}.")


def complete_opening(opening: dict[str, Any], data: Data) -> dict[str, Any]:
    """Complete what the page shows first: by default the last token of the prompt, and the head that helped most there.

    Raises NeoError if this run has no such position.
    """
    check_opening(opening, position=len(data["ids"]))
    opening = {"position": data["prompt_length"] - 1, "candidate": CHOSEN} | opening
    layer, head = strongest_head(data, opening["position"])
    return {"layer": layer, "head": head} | opening


def page_html(data: Data, theme: str, opening: dict[str, Any]) -> str:
    """Return the page. Raises NeoError if it is too large even without the optional arrays."""
    for count in range(len(OPTIONAL) + 1):
        html = render(data, theme, opening, left_out=list(OPTIONAL)[:count])
        if (size := len(html.encode("utf-8"))) <= BUDGET:
            return html
    raise NeoError(
        f"the page would have {size / 1e6:.1f} MB, and it has at most {BUDGET / 1e6:.0f} MB: "
        f"{len(data['ids'])} tokens are too many for this model, so shorten the text."
    )


def render(data: Data, theme: str, opening: dict[str, Any], left_out: list[str]) -> str:
    """Return the page without the arrays that are left out."""
    sentences = page_sentences(data, opening)
    script, style = read_asset("page.js"), read_asset("page.css")
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    return fill(
        read_asset("page.html"),
        title=escape(f"neo_np run: {visible_line(data['text'][:60])}"),
        script_hash=f"sha256-{digest}",
        style=style,
        theme=theme,
        model=escape(data["model"]),
        options=escape(visible_line(describe_run(data))),
        text=escape(visible_line(data["text"])),
        left_out=left_out_line(left_out),
        vocabulary=str(data["vocabulary"]),
        channels=str(data["channels"]),
        strip=strip(data),
        heads=heads_grid(data),
        windows=windows_html(data),
        tokens_table=tokens_table(data),
        choices_table=choices_table(data),
        lens_table=lens_table(data),
        **first_view(data, opening, sentences, left_out),
        timings=timings_table(data) if "timings" in data else "",
        timings_hidden="" if "timings" in data else "hidden",
        method="9" if "timings" in data else "8",
        data=to_json(
            {"opening": opening, "wording": WORDS, "sentences": sentences, "stations": station_names(data)}
            | {"origins": [origin(data, position) for position in range(len(data["ids"]))]}
            | packed(data, left_out)
        ),
        script=script,
    )


def first_view(data: Data, opening: dict[str, Any], sentences: Data, left_out: list[str]) -> dict[str, str]:
    """Return the parts of the page that show the first position, which the script replaces: {name: HTML}."""
    position, head = opening["position"], (opening["layer"], opening["head"])
    is_ablated, is_left_out = "ablation.log_prob" in data, "source.chosen" in left_out
    return {
        "where": escape(sentences["where"][position]),
        "short": lines_html(sentences["here"][position]),
        "whole": lines_html(sentences["whole"]),
        "choice": choice_here(data, position),
        "lens": lens_here(data, position),
        "heads_table": heads_table(data, position),
        "explained": escape(words("explained", token=quoted(data, data["candidates"][position, CHOSEN]))),
        "raised": escape(sentences["raised"][position][CHOSEN]),
        "waterfall": waterfall(data, position, [*named_heads(sentences["here"][position]), head]),
        "sources": note("sources", WORDS["left out"]) if is_left_out else sources(data, position, *head),
        "gradient": gradient(data, position),
        "ablation": ablation(data, position, *head),
        "ablated": "The model ran again once for each head, with that head's output set to 0 everywhere." if is_ablated else "",
    }


def left_out_line(left_out: list[str]) -> str:
    """Return a line that says what is not in the page, if something is not."""
    if not left_out:
        return ""
    return f"<p>Left out to keep the file small: {' and '.join(OPTIONAL[name] for name in left_out)}.</p>"


def read_asset(name: str) -> str:
    """Return the text of a file beside this module."""
    return resources.files("neo_np.explain").joinpath(name).read_text(encoding="utf-8")


def fill(template: str, **parts: str) -> str:
    """Replace each {{name}} of a template, in one pass: braces within a part stay as they are."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def describe_run(data: Data) -> str:
    """Return how the text was made, in a few sentences."""
    how = {
        "sampled": "tokens were drawn at random",
        "greedy": "the likeliest token was taken each time",
        "given": "the continuation was given (if it was a text, it was tokenized by itself)",
    }
    is_only_prompt = data["mode"] == "given" and len(data["ids"]) == data["prompt_length"]
    made = "there is no continuation, so only the prompt is explained" if is_only_prompt else how[data["mode"]]
    sentences = [f"{len(data['ids'])} tokens, {data['prompt_length']} of them the prompt; {made}."]
    if data["prompt_is_empty"]:
        first = data["texts"][int(data["ids"][0])]
        sentences.append(f"The prompt was empty, so the text begins with the token {first}.")
    if data["options"] and not is_only_prompt:
        options = ", ".join(f"{name}={value}" for name, value in data["options"].items())
        name = "Options whose effect on the continuation is shown" if data["mode"] == "given" else "Options"
        sentences.append(f"{name}: {options}.")
    return " ".join(sentences)


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
