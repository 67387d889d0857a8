# %% [markdown]
# # 08 The MLP
#
# **Question: what does a token do by itself?**
#
# About {{minutes}} minutes (an estimate). You need notebook 04: linear layer, layer norm, stream.
#
# Attention moves information between tokens. Then each block has a second part that works on each token by itself: the **MLP** (short for
# *multilayer perceptron*, an old name for linear layers with something between them). It takes the row of one token, C numbers, makes F
# numbers of it, changes each of these by a function, and makes C numbers again, which are added to the stream. F is the **MLP width**.

# %% tags=["setup"]
# This cell finds the files of the course. Run it first; you need not read it.
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # with small arrays, one thread is the fastest
here = Path(globals().get("__file__", "notebook")).resolve()
root = next((folder for folder in here.parents if (folder / "neo_np").is_dir()), None)
if root is None:  # opened by itself, for example on Colab
    os.system("git clone --depth 1 https://github.com/OWNER/neo_np neo_np_course")
    root = Path("neo_np_course").resolve()
    os.chdir(root / "notebooks")
sys.path[:0] = [str(root), str(root / "notebooks")]

# %%
import math

import figures
import measure
import numpy as np

import neo_np
from neo_np.exercises import check, hint, predict, progress, reveal, show_source, solution
from neo_np.gpt_neo import activations, forward
from neo_np.gpt_neo.params import count

model = neo_np.load()
tokenizer, config, params = model.tokenizer, model.config, model.params
L, C, F = config.num_layers, config.hidden_size, config.intermediate_size
print(f"C = {C}, F = {F}, activation function: {config.activation_function}")

# %% [markdown]
# ## The activation function
#
# Why is something needed between the two linear layers? Two linear layers in a row are only one linear layer. For example,
# 3 × (2x + 1) + 4 is 6x + 7: one factor and one bias, as in a single layer. The
# **activation function** between them bends the line. It is applied to each number by itself.
#
# GPT-Neo uses a form of **GELU**. It leaves large positive numbers as they are, makes numbers far below 0 nearly 0, and goes smoothly from one
# to the other. The exact GELU is x times the probability that a random number of the normal distribution (the bell curve with mean 0 and variance 1) is smaller than x.
# GPT-Neo takes a formula that is quicker to compute and nearly equal, and calls it `gelu_new`:
#
# > gelu_new(x) = 0.5 × x × (1 + tanh(sqrt(2 / pi) × (x + 0.044715 × x × x × x)))
#
# x is one number; tanh is a function that grows smoothly from -1 to 1; pi = 3.14159...; 0.044715 was chosen to come near to the exact
# GELU.
#
# Left: gelu_new beside two other activation functions. **relu** is 0 for negative numbers and x for the others; **silu** is x / (1 + exp(-x)).
# Right: gelu_new minus the exact GELU.

# %%
x = np.linspace(-4, 4, 161)
new, exact = forward.gelu_new(x), activations.gelu(x)
difference = new - exact
largest = np.abs(difference).max()
where = abs(x[np.abs(difference).argmax()])

# %% tags=["figure"]
figure, panels = figures.new(8, 3.5, panels=2, width_ratios=[3, 2])
curves = {"relu": (x, activations.relu(x)), "gelu_new": (x, new), "silu": (x, activations.silu(x))}
figures.lines(panels[0], curves, xlabel="x", title="three activation functions", at=None)
panels[0].set(xlim=(-4, 1.3), ylim=(-0.55, 1.2))
for place, label, colour, up in (
    (-3.4, "relu", figures.BLUE, 8),
    (-0.9, "gelu_new", figures.ORANGE, 44),
    (-2.4, "silu", figures.GREEN, -26),
):
    height = float(np.interp(place, x, curves[label][1]))
    panels[0].annotate(label, (place, height), (0, up), textcoords="offset points", color=colour, ha="center",
                       arrowprops={"arrowstyle": "-", "color": colour, "shrinkB": 0})  # fmt: skip
figures.lines(panels[1], {"": (x, 1e4 * difference)}, xlabel="x", markers=False)
panels[1].set_title("gelu_new minus GELU, times 10,000", fontsize=11)
figures.show(
    figure,
    f"Left: relu, gelu_new and silu from x = -4 to 1.3; at x = -1 they are {activations.relu(-1.0):.2f}, {forward.gelu_new(-1.0):.2f} and {activations.silu(-1.0):.2f}. "
    f"Right: gelu_new differs from the exact GELU by at most {largest:.5f}, at x = {where:.1f} and -{where:.1f}.",
)

# %% [markdown]
# The largest difference is {{largest:.5f}}, at |x| = {{where:.1f}}. It looks like nothing, but a model should compute exactly what it was trained
# with. The two are mixed up often, because both are called GELU.
#
# **Predict:** what is gelu_new(-10), rounded to three digits after the point?

# %%
predict("08.1", ...)

# %%
reveal("08.1", figures.no_minus_zero(forward.gelu_new(-10.0), 3))

# %% [markdown]
# ## Exercise: gelu_new


# %% exercise="gelu_new"
@check
def gelu_new(x):
    """Return 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x))) for each number of x, an array of any
    shape.
    """
    inside = math.sqrt(2 / math.pi) * (x + ...)
    return 0.5 * x * (... + np.tanh(inside))


# %%
# hint("gelu_new")
# solution("gelu_new")

# %% [markdown]
# ## One token, slowly
#
# Each of the F numbers in the middle is called a **neuron**. A neuron has two patterns of C parameters each, and does this:
#
# 1. It compares the row of the token with its first pattern, by a dot product, and adds its bias: how much is the row like my pattern?
# 2. The activation function decides how strongly it **fires**: from a number far below 0 it makes about 0.
# 3. It multiplies its second pattern by this number, and adds it to the result.
#
# The two linear layers have the names `c_fc`, with a weight of shape (F, C), and `c_proj`, with a weight of shape (C, F). The patterns of
# neuron f are row f of the first weight, and column f of the second one.

# %%
ids = np.array(tokenizer.encode("The king loved the king"))
seen = measure.record(model, ids)  # what the model computes, by name
p = params.h[0].mlp
row = seen["h.0.ln_2"][-1]  # (C,): the levelled stream of the last token

out_loop = np.zeros(C)
for f in range(F):
    pre = float(row @ p.c_fc.weight[f] + p.c_fc.bias[f])  # how much like the pattern of neuron f
    fires = 0.5 * pre * (1 + math.tanh(math.sqrt(2 / math.pi) * (pre + 0.044715 * pre**3)))
    out_loop = out_loop + fires * p.c_proj.weight[:, f]  # what neuron f adds
out_loop = out_loop + p.c_proj.bias

assert np.allclose(out_loop, seen["h.0.mlp.out"][-1], atol=1e-3)  # the model computed the same

# %% [markdown]
# Nothing here mixes tokens: the row of a token is all that counts.
#
# ## Exercise: mlp
#
# Now all neurons and all tokens at once. Steps 1, 2 and 3 become three operations on whole arrays.


# %% exercise="mlp"
@check
def mlp(x, p):
    """The MLP of a block: a linear layer that widens x, (T, C), to (T, F) (p.c_fc.weight, p.c_fc.bias), gelu_new, and
    a linear layer back to (T, C) (p.c_proj.weight, p.c_proj.bias). You may call linear(x, weight, bias) and
    gelu_new(x).
    """
    ...


# %%
# hint("mlp")
# solution("mlp")

# %% [markdown]
# ## The real checkpoint: what makes a neuron fire?
#
# The MLPs hold {{sum(count(block.mlp) for block in params.h) / count(params):.0%}} of all parameters. What do their neurons
# look for? We run the model over tales and note for each neuron of one layer at which tokens it fires most. Then we choose
# three neurons by a rule, so that nobody picks the nicest ones by hand. For each neuron, we take the eight places where it
# fires most, and count how many of them have the same token. The three neurons with the highest counts are chosen. (Each of
# the three must have a different token. Tokens with fewer than four characters do not count, the space included.)
#
# **Predict:** name one word at which you expect one of these three neurons to fire, for example `" king"`.

# %%
predict("08.2", ...)

# %%
pieces = measure.windows(model, number=24, length=128, name="train")
layer = L // 2
kept = {}


def keep(name, array):
    """Keep how strongly the neurons of the layer fire."""
    if name == f"h.{layer}.mlp.post":
        kept["post"] = array


model.logits(pieces, hook=keep)
fires = kept["post"].reshape(-1, F)  # (all tokens, F)
at = pieces.reshape(-1)

top = np.argsort(-fires, axis=0)[:8]  # (8, F): the places where each neuron fires most
top_tokens = at[top]
agree = np.array([np.bincount(column).max() for column in top_tokens.T])  # how many of the 8 are the same token
strength = np.take_along_axis(fires, top, axis=0).mean(axis=0)  # how strongly it fires there

chosen, words = [], []
for f in np.lexsort((-strength, -agree)):
    word = int(np.bincount(top_tokens[:, f]).argmax())
    if word not in words and len(tokenizer.token_string(word)) > 3:  # short tokens are left out
        chosen.append(int(f))
        words.append(word)
    if len(chosen) == 3:
        break

reveal("08.2", tokenizer.token_strings(words))

# %% tags=["figure"]
figure, panels = figures.grid(1, 3, 8.4, 3.1)
lines = []
for axes, f in zip(panels[0], chosen):
    places = top[:5, f]
    contexts = ["…" + tokenizer.decode(at[max(0, t - 3) : t + 1]).replace("\n", " ")[-24:] for t in places]
    axes.barh(np.arange(5)[::-1], fires[places, f], color=figures.BLUE, height=0.4)
    for i, context in enumerate(contexts):
        axes.text(0, 4.45 - i, context, fontsize=10, va="center")
    axes.set(title=f"neuron {f}", xlabel="fires", yticks=[], ylim=(-0.5, 4.8))
    lines.append(
        f"neuron {f} fires most at “{tokenizer.token_string(at[places[0]])}” ({fires[places[0], f]:.1f}), {agree[f]} of its 8 strongest places are one token"
    )
figures.show(
    figure,
    f"The five places where three neurons of layer {layer} fire most; the last token of each text is the place. "
    + "; ".join(lines)
    + ".",
)
often = (fires > 0).mean()
mixed = (agree <= 4).mean()

# %% [markdown]
# In the picture, the last token of each line is the place where the neuron fires. The three chosen neurons fire most at the
# tokens {{", ".join(f"“{word}”" for word in tokenizer.token_strings(words))}}. On average a neuron is above 0 for
# {{often:.0%}} of the tokens. Be careful with stories about neurons: we searched among {{F}} for the clearest ones. For
# {{mixed:.0%}} of them, no token has more than four of the eight strongest places.
#
# ## Break it: another activation function
#
# What if we run the trained model with another function between the linear layers?

# %%
unseen = measure.windows(model)


def with_activation(function):
    """Return a hook that computes the activations by another function."""
    last = {}

    def hook(name, array):
        if name.endswith("mlp.pre"):
            last["pre"] = array.copy()
        if name.endswith("mlp.post"):
            return function(last["pre"]).astype(array.dtype)

    return hook


ways = {
    "gelu_new": forward.gelu_new,
    "exact GELU": activations.gelu,
    "silu": activations.silu,
    "relu": activations.relu,
    "none": lambda x: x,
    "twice": lambda x: forward.gelu_new(forward.gelu_new(x)),
}
surprise = {name: measure.surprise(model, unseen, with_activation(function)) for name, function in ways.items()}
right = surprise["gelu_new"]
assert abs(right - measure.surprise(model, unseen)) < 1e-3

# %% tags=["figure"]
figure, axes = figures.new(7.5, 3.2)
figures.bars(axes, list(ways), list(surprise.values()), decimals=3, xlabel="mean surprise in nats", marked=list(ways)[1:])
shown = "; ".join(f"{name} {value:.3f}" for name, value in surprise.items())
figures.show(figure, f"Mean surprise in nats on {unseen.size} tokens of unseen tales with six activation functions: {shown}.")
assert abs(surprise["exact GELU"] - right) < 0.01 and surprise["none"] > right + 0.5

# %% [markdown]
# The exact GELU changes almost nothing: {{surprise["exact GELU"]:.3f}} nats and {{right:.3f}}. Without an activation function, the mean
# surprise is {{surprise["none"]:.2f}}; knowing nothing gives {{math.log(config.vocab_size):.2f}}. This number shows only that the function
# does not fit these parameters, because the model was trained with another one. Why a model needs a bend at all is another question, and
# the answer is at the beginning of this notebook: without it, an MLP can only do what one linear layer can do.
#
# ## The same in the package

# %%
show_source(forward.gelu_new, notes={"(x * x * x)": "NumPy's x**3 is slow: it calls a general power function."})
show_source(
    forward.mlp, notes={"activate(pre, activation_function)": "The config names the activation; in GPT-Neo it is gelu_new."}
)

# %% [markdown]
# ## Three sentences to remember
#
# 1. The MLP works on each token by itself: widen, activate, narrow.
# 2. A neuron compares the row with its first pattern, fires if it fits, and adds its second pattern.
# 3. Without the activation function, two linear layers are only one.
#
# ## Two questions to recall
#
# 1. From notebook 07: how many tokens does a local layer with window W see?
# 2. From notebook 06: what happens to the results of the heads at the end of attention?
#
# <details><summary>Answers</summary>
#
# 1. W, the token itself included (fewer at the beginning of the text).
# 2. They are put side by side, and the output projection, a linear layer, mixes them.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [07 Local attention](07_local_attention.ipynb). On: [09 The stream](09_stream.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [forward.py](../neo_np/gpt_neo/forward.py), functions `gelu_new` and `mlp`; [activations.py](../neo_np/gpt_neo/activations.py).
