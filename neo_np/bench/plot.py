"""The picture of `growth`: the time of a token, and of a prefill, against the length of the text."""

import os
from io import BytesIO
from pathlib import Path

from neo_np.errors import NeoError
from neo_np.gpt_neo.config import Config


def import_pyplot():
    """Return matplotlib.pyplot, set to draw only into files; raises NeoError if it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise NeoError("--plot draws with matplotlib, which is not installed: pip install matplotlib.") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def check_picture(file: str) -> None:
    """Raise NeoError if a picture cannot be drawn into the file; called before minutes of measuring."""
    path = Path(file)
    folder = path.absolute().parent
    if path.is_dir():
        raise NeoError(f"the picture {file} cannot be written: it is a folder; name a file, such as growth.png.")
    if not folder.is_dir():
        raise NeoError(f"the picture {file} cannot be written: there is no folder {path.parent}.")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise NeoError(f"the picture {file} cannot be written: you have no permission to write there.")
    plt = import_pyplot()
    figure = plt.figure()
    try:
        figure.savefig(BytesIO(), format=path.suffix.removeprefix("."))
    except Exception as error:  # an unknown kind of picture, or one that needs what is not installed, such as LaTeX
        raise NeoError(f"the picture {file} cannot be drawn: {error}: choose a name that ends in .png.") from None
    finally:
        plt.close(figure)


def plot(growth: dict[str, dict], cases: dict[str, tuple], config: Config, file: str) -> None:
    """Draw the medians of `growth` into a file: milliseconds of a decoded token on the left, of a prefill on the right."""
    plt = import_pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for axes, benchmark, kind, colour in (
        (left, "decode", "global", "tab:orange"),
        (left, "decode", "local", "tab:blue"),
        (right, "prefill", "local", "tab:blue"),
    ):
        curve = {case[2]: growth[label]["neo_np"]["median"] for label, case in cases.items() if case[:2] == (benchmark, kind)}
        axes.plot(curve.keys(), curve.values(), "o-", color=colour, label=f"all layers {kind}")
    left.set(title="one decoded token", xlabel="tokens before it", ylabel="milliseconds")
    right.set(title="prefill", xlabel="tokens of the prompt", ylabel="milliseconds")
    for axes in (left, right):
        axes.set(xlim=(0, None), ylim=(0, 1.15 * axes.dataLim.ymax))
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
    figure.suptitle(f"GPT-Neo, {config.num_layers} layers, C={config.hidden_size}, window {config.window_size}")
    try:
        figure.savefig(file, dpi=120)
    except (OSError, ValueError) as error:
        raise NeoError(f"the picture {file} cannot be written: {error}.") from None
    finally:
        plt.close(figure)
