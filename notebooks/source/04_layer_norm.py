# %% [markdown]
# # 04 Layer norm
#
# **Question: why level the numbers?**
#
# About {{minutes}} minutes (an estimate). You need notebooks 00, 01 and 03.
#
# Notebook 03 ended with an array x of shape (T, C): one row for each token. From here on, each block of the model *adds* something
# to x and passes it on. x flows through the whole model like a stream, so it is called the **residual stream**, or short the
# **stream**. ("Residual" because a block computes only the rest that must be added.)
#
# If many blocks add to the same numbers, their size changes from block to block, and from token to token. A part that reads
# the stream would see rows of one size in the first block and of another size in the last. So each part reads a levelled
# copy. (The usual word for "levelled" is *normalized*: the exercises and the code use it.) The aim is the same size
# everywhere, and not a small size: a levelled row may be larger than the row itself. This notebook builds the levelling,
# the **layer norm**, and a second small tool that is used everywhere: the **linear layer**.

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
import figures
import measure
import numpy as np

import neo_np
from neo_np.exercises import check, hint, predict, progress, reveal, show_source, solution
from neo_np.gpt_neo import forward

model = neo_np.load()
tokenizer, config, params = model.tokenizer, model.config, model.params
L = config.num_layers  # the number of blocks
eps = config.layer_norm_epsilon

# %% [markdown]
# ## Mean and variance
#
# Each row is levelled by itself. Two numbers describe a row of C numbers:
#
# - The mean says where its middle is: the sum divided by C.
# - The **variance** says how far the numbers are from the middle: the mean of the squared distances from the mean. The square
#   root of the variance is the **standard deviation**.
#
# Layer norm makes the mean 0 and the variance 1. Then it multiplies each channel by a parameter, the **gain** (called `weight` in
# the files), and adds another parameter, the **bias**. As a formula:
#
# > y = (x - m) / sqrt(v + eps) × weight + bias
#
# x is one row, (C,); m is its mean; v is its variance; weight and bias are (C,), one number for each channel;
# eps is a very small number, {{eps:g}}, so that a row of equal numbers is not divided by 0.
#
# The picture has one row of the real stream before and after, without weight and bias.

# %%
ids = np.array(tokenizer.encode("The king loved the king"))
stream = model.hidden_states(ids)  # the stream after the embeddings, and after each block
row = stream[1][-1].astype(float)  # after block 0, the last token
level = (row - row.mean()) / np.sqrt(row.var() + eps)

# %% tags=["figure"]
figure, panels = figures.new(8, 3.0, panels=2, sharey=True)
for axes, values, title in ((panels[0], row, "before"), (panels[1], level, "after")):
    axes.bar(np.arange(len(values)), values, width=1.0, color=figures.BLUE)
    axes.axhline(values.mean(), color=figures.ORANGE, linestyle="--", linewidth=2)
    axes.set(title=f"{title}: mean {figures.no_minus_zero(values.mean()):.2f}, variance {values.var():.2f}", xlabel="channel")
figures.show(
    figure,
    f"One row of {len(row)} numbers before and after the levelling. Before: mean {row.mean():.2f}, variance {row.var():.2f}, values from "
    f"{row.min():.1f} to {row.max():.1f}. After: mean {figures.no_minus_zero(level.mean()):.2f}, variance {level.var():.2f}, from {level.min():.1f} to {level.max():.1f}. "
    "The pattern of the bars stays the same.",
)

# %% [markdown]
# **Predict:** all numbers of a row are multiplied by 10. How many times as large are the numbers after layer norm (without weight and
# bias; ignore eps)? Write a number.

# %%
predict("04.1", ...)

# %%
ten = 10 * row
level_of_ten = (ten - ten.mean()) / np.sqrt(ten.var() + eps)
reveal("04.1", round(float((level_of_ten / level).mean()), 3))

# %% [markdown]
# Layer norm forgets how large a row is. It keeps only the pattern of its numbers.
#
# Now the slow loop, with weight and bias:

# %%
x = stream[1]  # (T, C): what block 1 reads
weight, bias = params.h[1].ln_1.weight, params.h[1].ln_1.bias  # of the first layer norm of block 1
T, C = x.shape

y_loop = np.zeros((T, C))
for t in range(T):
    mean = 0.0
    for c in range(C):
        mean = mean + x[t, c] / C
    variance = 0.0
    for c in range(C):
        variance = variance + (x[t, c] - mean) ** 2 / C
    for c in range(C):
        y_loop[t, c] = (x[t, c] - mean) / np.sqrt(variance + eps) * weight[c] + bias[c]

# %% [markdown]
# The package's function gives the same numbers:

# %%
assert np.allclose(forward.layer_norm(x, weight, bias, eps), y_loop, atol=1e-4)

# %% [markdown]
# ## Exercise: layer norm
#
# Write it without a loop. Take care of the shapes: mean and variance must meet their own row, as in notebook 01.


# %% exercise="layer_norm"
@check
def layer_norm(x, weight, bias, eps):
    """Bring each row of x, (T, C), to mean 0 and variance 1, then multiply by weight, (C,), and add bias, (C,). eps is
    added to the variance, so that a constant row does not divide by 0.
    """
    centered = x - ...  # (T, C), mean 0
    variance = ...  # (T, 1), the mean of the squares
    normed = centered / ...  # the root of variance + eps
    return normed * ... + ...


# %%
# hint("layer_norm")
# solution("layer_norm")

# %% [markdown]
# ## The linear layer
#
# The second tool mixes channels. A **linear layer** takes a row of numbers and makes a new row, maybe of another length. Each
# new number is a dot product of the row with a row of parameters, plus one more parameter, the bias:
#
# > y[j] = x[0] × weight[j, 0] + x[1] × weight[j, 1] + ... + bias[j]
#
# x is one row, (in,); weight is (out, in): one row for each output j; bias is (out,). For many rows at once, (T, in), this is a matrix
# product and an addition. Here is the slow loop:

# %%
x_small = np.array([[1.0, 2.0, 0.0], [0.0, 1.0, 3.0]])  # (T, in) = (2, 3)
w_small = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [2.0, 0.0, 1.0], [0.0, 0.0, 0.0]])  # (out, in) = (4, 3)
b_small = np.array([10.0, 20.0, 30.0, 40.0])  # (out,)

y_loop = np.zeros((2, 4))
for t in range(2):
    for j in range(4):
        for i in range(3):
            y_loop[t, j] = y_loop[t, j] + x_small[t, i] * w_small[j, i]
        y_loop[t, j] = y_loop[t, j] + b_small[j]

assert np.array_equal(forward.linear(x_small, w_small, b_small), y_loop)
print(y_loop)

# %% [markdown]
# ## Exercise: linear
#
# Write the loop as one line. The files keep the weight as (out, in): which shape does `@` need on its right side?


# %% exercise="linear"
@check
def linear(x, weight, bias):
    """Apply a linear layer: each output is the dot product of a row of x with a row of weight, plus that output's
    bias. x (T, in), weight (out, in) as in the checkpoint, bias (out,) -> (T, out).
    """
    ...


# %%
# hint("linear")
# solution("linear")

# %% [markdown]
# ## The real checkpoint: the size of the stream
#
# How large is the stream after each block? We measure the length of each row (the square root of the sum of its squares) and take the mean
# over the tokens of unseen tales.
#
# **Predict:** is the stream after the last block longer than after the embeddings? Write `True` or `False`.

# %%
predict("04.2", ...)

# %%
pieces = measure.windows(model)  # (8, 128) ids
states = model.hidden_states(pieces)[: L + 1]  # after the embeddings, and after each of the L blocks


def length(x):
    """Return the mean length of the rows."""
    return float(np.linalg.norm(x, axis=-1).mean())


sizes = [length(x) for x in states]
levelled = [length(forward.layer_norm(x, 1, 0, eps)) for x in states]  # gain 1, bias 0
reveal("04.2", sizes[-1] > sizes[0])

# %% tags=["figure"]
figure, axes = figures.new(7.5, 3.4)
curves = {"the stream": (np.arange(L + 1), sizes), "levelled": (np.arange(L + 1), levelled)}
figures.lines(axes, curves, ylabel="mean length of a row")
axes.set_xticks(range(L + 1), ["embeddings", *(f"block {i}" for i in range(L))])
shown = ", ".join(f"{value:.1f}" for value in sizes)
figures.show(
    figure,
    f"Mean length of a row of the stream after the embeddings and after each of {L} blocks: {shown}. Levelled, before gain and "
    f"bias, each row has the length {levelled[-1]:.1f}, which is the root of C = {config.hidden_size}.",
)
assert np.allclose(levelled, np.sqrt(config.hidden_size), rtol=1e-2)

# %% [markdown]
# The stream begins with a mean length of {{sizes[0]:.1f}} and ends with {{sizes[-1]:.1f}}. A levelled row always has the length
# {{levelled[-1]:.1f}}: C squared distances with the mean 1 add up to C, and the root of C = {{config.hidden_size}} is
# {{config.hidden_size**0.5:.1f}}. So every part of the model reads rows of one size, and the gains then set how strongly it uses each
# channel.
#
# The model has three kinds of layer norm: `ln_1` in front of attention and `ln_2` in front of the MLP, both in each block, and `ln_f`
# (f for *final*) at the end. ln_1 and ln_2 make copies for the part that reads them, and the stream itself stays as it is. ln_f comes
# after the last addition.
#
# ## Break it: the wrong axis
#
# `axis=-1` levels each token by itself. Along the axis of the tokens, each channel would be levelled over all tokens of the text, later
# ones included. (For one text, (T, C), the axis of the tokens is 0. Here several texts are computed together, (B, T, C), and it is -2.) We
# try both, and also no levelling at all. A hook (see notebook 03) replaces what each layer norm returns; you need not
# read its code.


# %%
def replace_norms(norm):
    """Return a hook that computes every layer norm by norm(x, weight, bias)."""
    last = {}

    def hook(name, array):
        place, _, part = name.rpartition(".")
        if part in ("ln_1", "ln_2", "ln_f"):
            branch = params.h[int(place.split(".")[1])] if place else params
            p = getattr(branch, part)
            return norm(last["stream"], p.weight, p.bias).astype(array.dtype)
        if name == "embed" or part == "resid_mid" or name in [f"h.{i}" for i in range(L)]:
            last["stream"] = array  # what the next layer norm reads

    return hook


def over_tokens(x, weight, bias):
    """Level each channel over the tokens: the wrong axis."""
    centered = x - x.mean(axis=-2, keepdims=True)
    return centered / np.sqrt(x.var(axis=-2, keepdims=True) + eps) * weight + bias


def no_levelling(x, weight, bias):
    """Use weight and bias only."""
    return x * weight + bias


ways = {
    "right": replace_norms(lambda x, weight, bias: forward.layer_norm(x, weight, bias, eps)),
    "over the tokens": replace_norms(over_tokens),
    "no levelling": replace_norms(no_levelling),
}
surprise = {name: measure.surprise(model, pieces, hook) for name, hook in ways.items()}
assert abs(surprise["right"] - measure.surprise(model, pieces)) < 1e-3  # our own layer norms change nothing

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.3)
figures.bars(
    axes, list(ways), list(surprise.values()), xlabel="mean surprise in nats", marked=["over the tokens", "no levelling"]
)
shown = "; ".join(f"{name} {value:.2f}" for name, value in surprise.items())
figures.show(
    figure,
    f"Mean surprise in nats on {pieces.size} tokens of unseen tales: {shown}. Knowing nothing gives {np.log(config.vocab_size):.2f}.",
)
assert surprise["over the tokens"] > surprise["right"] + 0.5 and surprise["no levelling"] > surprise["right"] + 0.5

# %% [markdown]
# The mean surprise rises from {{surprise["right"]:.2f}} to {{surprise["over the tokens"]:.2f}} nats with the wrong axis, and to
# {{surprise["no levelling"]:.2f}} without levelling. All shapes were right, and no error appeared. The wrong axis has a second fault: to
# level a token, it uses tokens that come later. While a text is being written, these do not exist yet.
#
# ## The same in the package

# %%
show_source(
    forward.layer_norm,
    notes={
        "/ C  # for": "A mean, written as sum / C. (C - 1 is for estimating from a sample; here the row is everything there is.)",
        "np.sqrt(variance + eps)": "eps lies inside the root.",
        "* weight + bias": "First the gain, then the bias: each channel has its own.",
    },
)
show_source(forward.linear, notes={"return x @ weight.T": "The files have one row for each output, (out, in)."})

# %% [markdown]
# ## Three sentences to remember
#
# 1. The residual stream is the (T, C) array to which every block adds.
# 2. Layer norm gives each row the mean 0 and the variance 1, then a gain and a bias for each channel.
# 3. A linear layer makes each output by a dot product with a row of its weight: `x @ weight.T + bias`.
#
# ## Two questions to recall
#
# 1. From notebook 03: what two rows are added for each token?
# 2. From notebook 02: why must the bytes of all tokens be joined before they are read as text?
#
# <details><summary>Answers</summary>
#
# 1. The embedding of the token and the embedding of its position.
# 2. Because a character may be cut into several tokens.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [03 Embeddings](03_embeddings.ipynb). On: [05 One head](05_one_head.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [forward.py](../neo_np/gpt_neo/forward.py), functions `layer_norm` and `linear`.
