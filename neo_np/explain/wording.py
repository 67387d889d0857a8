"""The words that Python and the page's script both write: captions, headings, numbers, tokens. Each is here once."""

import re
from typing import Any

Data = dict[str, Any]

# Captions and headings of the tables at one position. {names} are filled in. The script gets them with the data.
WORDS: dict[str, Any] = {
    "said": "What the model would have said, by the pass over the whole text",
    "said.heads": ["token", "model"],
    "choice": "Probabilities, {source}.",
    "choice.given": "from the pass over the whole text",
    "choice.generated": "as generated",
    "choice.struck": " A token that a rule removed is struck through, with its last probability.",
    "choice.token": "token",
    "choice.kept": "tokens kept",
    "choice.share": "share of the column to the left that was kept",
    "removed": "removed",
    "lens": "The last row is the model's own prediction. Entropy and KL are in nats.",
    "lens.heads": [
        "station",
        "likeliest",
        "its probability",
        "rank of {token}",
        "probability of {token}",
        "as a bar",
        "entropy",
        "KL to the final",
    ],
    "heads": "The token that each head looks at most, standing at {place}.",
    "heads.layer": "layer",
    "explained": "Explained here: {token}",
    "waterfall": "Direct contributions to m of {token}",
    "waterfall.heads": ["part", "adds", "as a bar", "{token} minus {other}"],
    "waterfall.others": "the {count} other parts together",
    "waterfall.sum": "m of {token}",
    "sources": "What the heads add to m of {token}, by source token",
    "sources.heads": ["token looked at", "all heads", "as a bar", "{head}", "as a bar"],
    "tokens.others": "the {count} other tokens together",
    "gradient": "Gradient \u00d7 embedding of m of {token}",
    "gradient.heads": ["input token", "product", "as a bar"],
    "gradient.absent": "For a model of this size, gradients are computed for new tokens only. Select a later token.",
    "ablation": "Change of the log-probability of {token} without each head. "
    "Without {head}, m changes by {m}, and the probability changes: {change}.",
    "ablation.layer": "without",
    "ablation.absent": "The model was not run without its heads: ask for it with ablate=True, or --ablate.",
    "left out": "These numbers were left out to keep the file small.",
}


def words(name: str, **parts: Any) -> Any:
    """Return a text or a list of texts of WORDS with its {names} filled in."""
    found = WORDS[name]
    return found.format(**parts) if isinstance(found, str) else [one.format(**parts) for one in found]


def percent(share: float) -> str:
    """Return a probability in percent, with three significant digits; below 0.01 % it only says so."""
    return "< 0.01 %" if 0 < share < 1e-4 else f"{100 * share:.3g} %"


def fixed(x: float) -> str:
    """Return a number with three decimals, or with an exponent if that would hide it."""
    if abs(x) >= 1000 or 0 < abs(x) < 0.0005:
        return re.sub(r"e([-+])0", r"e\1", f"{x:.2e}")
    return f"{x:.3f}"


def signed(x: float) -> str:
    """Return a number like `fixed`, always with its sign."""
    return ("\N{MINUS SIGN}" if x < 0 else "+") + fixed(abs(x))


def quoted(data: Data, id: int) -> str:
    """Return the visible text of a token in quotation marks."""
    return f"“{data['texts'][int(id)]}”"


def placed(data: Data, position: int) -> str:
    """Return a position and its token."""
    return f"{position} {quoted(data, data['ids'][position])}"


def head_name(layer: int, head: int) -> str:
    """Return the name of a head."""
    return f"layer {layer} head {head}"


def origin(data: Data, position: int) -> str:
    """Return where the token of a position comes from."""
    return "prompt" if position < data["prompt_length"] else "given" if data["mode"] == "given" else "generated"


def station_names(data: Data) -> list[str]:
    """Return the names of the R stations of the residual stream."""
    layers = range(len(data["layers"]))
    names = ["embedding", *(f"layer {i} {part}" for i in layers for part in ("attention", "MLP"))]
    return [*names[:-1], f"{names[-1]} = the model's answer"]
