"""The picture of `growth`: how the time of a token, and of a prefill, grows with the text."""

from neo_np.errors import NeoError


def import_pyplot():
    """Return matplotlib.pyplot, which draws into files alone; raises NeoError where it is not installed."""
    try:
        import matplotlib
    except ImportError:
        raise NeoError("--plot draws with matplotlib, which is not installed: pip install matplotlib.") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def plot(growth, cases, config, file):
    """Draw the medians of `growth` into a file: milliseconds of a decoded token on the left, of a prefill on the right."""
    plt = import_pyplot()
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for axes, work, kind, colour in (
        (left, "decode", "global", "tab:orange"),
        (left, "decode", "local", "tab:blue"),
        (right, "prefill", "local", "tab:blue"),
    ):
        points = [(case[2], growth[label]["neo_np"]["median"]) for label, case in cases.items() if case[:2] == (work, kind)]
        axes.plot(*zip(*points), "o-", color=colour, label=f"all layers {kind}")
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
