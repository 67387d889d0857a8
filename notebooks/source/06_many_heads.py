# %% [markdown]
# # 06 Many heads
#
# **Question: why several heads?**
#
# About {{minutes}} minutes (an estimate). You need notebook 05: query, key, value, softmax, mask.
#
# One head gives each token one mixture of values. But a token may need several things at once: the word before it, the last noun, the
# beginning of the sentence. So each layer has several heads, H of them. They work side by side, each with its own queries, keys and values.
# At the end their results are put side by side, and one more linear layer mixes them.

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
L, H, D, C = config.num_layers, config.num_heads, config.head_size, config.hidden_size
print(f"{L} layers, {H} heads in each, {D} channels for each head, {C} channels together")
assert H * D == C

# %% [markdown]
# ## Cutting the channels
#
# The queries of all heads are computed together, as one table of shape (T, C), and so are the keys and the values. Then the
# C channels of such a table are divided among the heads: head 0 gets the first D channels of every token, head 1 the next
# D, and so on. So H heads of D channels make C = H × D channels. (The stream itself is not cut: each query is computed from
# all channels of the stream.)
#
# Here is a small example with T = 4 tokens, H = 3 heads and D = 2. Each letter is one channel; the digit is the token.

# %%
T_small, H_small, D_small = 4, 3, 2
letters = np.array([[f"{letter}{t}" for letter in "abcdef"] for t in range(T_small)])  # (T, C)
owner = np.array([[0, 0, 1, 1, 2, 2]] * T_small)  # the head of each channel

# %% tags=["figure"]
figure, panels = figures.new(8, 2.9, panels=4, width_ratios=[6.6, 2.6, 2.6, 2.6])
figures.cells(panels[0], letters, owner, title="(T, C) = (4, 6)", names=[f"token {t}" for t in range(T_small)])
for h in range(H_small):
    part = slice(h * D_small, (h + 1) * D_small)
    figures.cells(panels[h + 1], letters[:, part], owner[:, part], title=f"head {h}")
figures.show(
    figure,
    "Left: a table of 4 tokens with 6 channels a to f. Right: the three heads, shape (H, T, D) = (3, 4, 2). Head 0 has the channels a and b of "
    "all 4 tokens, head 1 has c and d, head 2 has e and f.",
)

# %% [markdown]
# Every head gets all tokens, but only its own channels. The result has three axes, `(H, T, D)`: a stack of H tables.
#
# The slow loop:

# %%
x = np.arange(24).reshape(4, 6)  # (T, C), numbered, so that we see where each number goes
T = len(x)

heads_loop = np.zeros((H_small, T, D_small), int)
for h in range(H_small):
    for t in range(T):
        for d in range(D_small):
            heads_loop[h, t, d] = x[t, h * D_small + d]
print(heads_loop)

# %% [markdown]
# NumPy needs two steps. **reshape** gives the same numbers another shape and keeps their order: it reads row by row. So one axis can be cut
# into two, or two neighbours can become one. **swapaxes** exchanges two axes, counted from 0. Here are both on other numbers:

# %%
row = np.arange(6)
table = row.reshape(2, 3)  # (6,) -> (2, 3)
print(table)
print(table.swapaxes(0, 1))  # (2, 3) -> (3, 2)

# %% [markdown]
# For the heads, (T, C) becomes (T, H, D): the last axis is cut into H pieces. Then (T, H, D) becomes (H, T, D).
#
# **Predict:** is `x.reshape(H, T, D)`, in one step, the same? Write `True` or `False`.

# %%
predict("06.1", ...)

# %%
one_step = x.reshape(H_small, T, D_small)
reveal("06.1", bool(np.array_equal(one_step, heads_loop)))

# %% [markdown]
# reshape does not know what is a token and what is a channel. `x.reshape(H, T, D)` simply takes the first T × D numbers for
# head 0, and these are channels of all heads, of the first tokens only. The shape is right, and the content is wrong.
#
# ## Exercises: split and merge


# %% exercise="split_heads"
@check
def split_heads(x, num_heads):
    """Cut the channels into heads: (T, C) -> (H, T, D) with D = C / H. Head 0 gets the first D channels of every
    token, head 1 the next D, and so on.
    """
    T, C = x.shape
    D = ...  # channels of one head
    cut = x.reshape(T, ..., ...)  # neighbours stay together
    return cut.swapaxes(..., ...)  # (H, T, D)


# %%
# hint("split_heads")
# solution("split_heads")

# %% [markdown]
# `merge_heads` goes the way back: the same steps in the opposite order.


# %% exercise="merge_heads"
@check
def merge_heads(x):
    """Put the heads side by side: (H, T, D) -> (T, C) with C = H * D. It undoes split_heads."""
    ...


# %%
# hint("merge_heads")
# solution("merge_heads")

# %% [markdown]
# ## The whole attention of a layer
#
# Now put it together. p has the parameters of one layer's attention:
#
# - `p.q_proj.weight`, `p.k_proj.weight`, `p.v_proj.weight`, each (C, C): three linear layers that make queries, keys and values for all heads at
#   once. In GPT-Neo they have no bias. (*proj* is short for **projection**, another word for a linear layer.)
# - `p.out_proj.weight` (C, C) and `p.out_proj.bias` (C,): the linear layer at the end, which mixes the results of the heads.
#
# Step by step, with a loop over the heads:

# %%
text = "Once upon a time there was a king who had a daughter, and the king"
ids = np.array(tokenizer.encode(text))
T = len(ids)
seen = measure.record(model, ids)  # what the model computes, by name

p = params.h[0].attn.attention
normed = seen["h.0.ln_1"]  # (T, C): the levelled stream
mask = forward.causal_mask(np.arange(T), np.arange(T))  # (T, T)

q = normed @ p.q_proj.weight.T  # (T, C)
k = normed @ p.k_proj.weight.T
v = normed @ p.v_proj.weight.T
merged_loop = np.zeros((T, C))
for h in range(H):
    own = slice(h * D, (h + 1) * D)  # the channels of head h
    weights = forward.softmax(q[:, own] @ k[:, own].T + mask)  # (T, T)
    merged_loop[:, own] = weights @ v[:, own]  # (T, D)
out_loop = merged_loop @ p.out_proj.weight.T + p.out_proj.bias

assert np.allclose(out_loop, seen["h.0.attn.out"], atol=1e-4)  # the model computed the same

# %% [markdown]
# ## Exercise: self-attention
#
# **Self-attention** means that queries, keys and values come from the same text. Write it with `split_heads`, `attend` and
# `merge_heads` in the place of the slices. You may call the functions of earlier exercises; the checker lends you right
# ones. `attend` is the function of notebook 05: it takes one head, (T, D), at a time. `np.array(results)` makes one array
# (H, T, D) of a list of H arrays (T, D).


# %% exercise="self_attention"
@check
def self_attention(x, p, num_heads, mask):
    """The attention part of a block: project x, (T, C), to queries, keys and values (p.q_proj.weight and so on; no
    bias), split them into heads, let each head attend with the mask (T, T), merge the heads, and apply
    p.out_proj.weight and p.out_proj.bias. You may call split_heads, merge_heads, linear and attend(q, k, v, mask),
    which takes one head at a time.
    """
    ...


# %%
# hint("self_attention")
# solution("self_attention")

# %% [markdown]
# NumPy can also compute all heads at once, without a loop. For arrays with three axes, `@` multiplies the last two axes, for each head by
# itself:

# %%
q_heads, k_heads, v_heads = [rows.reshape(T, H, D).swapaxes(0, 1) for rows in (q, k, v)]  # (H, T, D) each
weights = forward.softmax(q_heads @ k_heads.swapaxes(1, 2) + mask)  # (H, T, T)
z = weights @ v_heads  # (H, T, T) @ (H, T, D) -> (H, T, D)
merged = z.swapaxes(0, 1).reshape(T, C)
assert np.allclose(merged, merged_loop, atol=1e-4)

# %% [markdown]
# ## The real checkpoint: all maps
#
# Each small table shows the weights of one head, as in notebook 05: rows look, columns are looked at, bright means a high weight.

# %%
attention = model.attentions(ids)  # for each layer: (H, T, T)
before = np.array([[head.diagonal(-1).mean() for head in layer] for layer in attention])  # weight on the token before
first = np.array([[head[1:, 0].mean() for head in layer] for layer in attention])  # weight on the first token
itself = np.array([[head.diagonal()[1:].mean() for head in layer] for layer in attention])

looks = np.tril(np.array(attention), -2)  # (L, H, T, T): looks that go further back than the token before
looks[..., :1] = 0  # and not at the first one
bright = tuple(int(n) for n in np.unravel_index(looks.argmax(), looks.shape))  # layer, head, query, key
tokens = tokenizer.token_strings(ids)

# %% tags=["figure"]
figure, panels = figures.grid(L, H, 8, 0.95 * L + 0.4)
for i in range(L):
    for h in range(H):
        visible = np.ma.masked_array(attention[i][h], np.triu(np.ones((T, T), bool), 1))  # the future stays white
        panels[i, h].imshow(visible, cmap=figures.AMOUNT, vmin=0, vmax=1, interpolation="nearest")
        panels[i, h].set(xticks=[], yticks=[])
        if i == 0:
            panels[i, h].set_title(f"head {h}", fontsize=10)
    panels[i, 0].set_ylabel(f"layer {i}", fontsize=10)
back, begin, own = (tuple(int(n) for n in np.unravel_index(table.argmax(), table.shape)) for table in (before, first, itself))
figures.show(
    figure,
    f"The weights of all {L * H} heads on {T} tokens. Layer {back[0]} head {back[1]} looks most at the token before (mean weight {before[back]:.2f}), layer "
    f"{begin[0]} head {begin[1]} most at the first token ({first[begin]:.2f}), layer {own[0]} head {own[1]} most at the token itself ({itself[own]:.2f}).",
)

# %% [markdown]
# Heads are different: bright lines beside the diagonal are looks at the token before, and a bright first column is a look at the beginning of the text. In
# this text, head {{back[1]}} of layer {{back[0]}} puts {{before[back]:.2f}} of its weight on the token before. Nobody gave the heads these
# jobs. They came out of training. And many heads do nothing that has a simple name.
#
# Now we leave out the looks at the token itself, at the token before it and at the first token. The brightest cell of the
# others is in layer {{bright[0]}}, head {{bright[1]}}: there the
# token "{{tokens[bright[2]]}}" at position {{bright[2]}} looks at "{{tokens[bright[3]]}}" at position {{bright[3]}} with the weight
# {{looks[bright]:.2f}}. Here is this head, large:

# %% tags=["figure"]
figure, axes = figures.new(7.5, 5.2)
large = attention[bright[0]][bright[1]]
figures.matrix(
    axes, large, rows=tokens, columns=tokens, numbers=False, hidden=np.triu(np.ones((T, T), bool), 1), limits=(0, 1), bar="weight",
    title=f"layer {bright[0]}, head {bright[1]}", ylabel="looks (query)", xlabel="is looked at (key)",
)  # fmt: skip
most_seen = int(large[1:].sum(axis=0).argmax())
figures.show(
    figure,
    f"The weights of head {bright[1]} in layer {bright[0]} with the {T} tokens; the future is hatched. “{tokens[bright[2]]}” at position {bright[2]} gives "
    f"“{tokens[bright[3]]}” at position {bright[3]} the weight {looks[bright]:.2f}. The token that is looked at most is “{tokens[most_seen]}” at position {most_seen}.",
)

# %% [markdown]
# ## Does a head matter?
#
# We switch off one head at a time: its result z is set to 0. Then we measure the mean surprise on unseen tales.
#
# **Predict:** of the {{L * H}} heads, how many raise the mean surprise by less than 0.02 nats when they are switched off? Write a number.

# %%
predict("06.2", ...)


# %%
def without(layer, head):
    """Return a hook that switches off one head."""

    def hook(name, array):
        if name == f"h.{layer}.attn.z":  # (B, H, T, D)
            array = array.copy()
            array[:, head] = 0
            return array

    return hook


pieces = measure.windows(model, number=4)
right = measure.surprise(model, pieces)
rise = np.array([[measure.surprise(model, pieces, without(i, h)) - right for h in range(H)] for i in range(L)]).round(3)
reveal("06.2", int((rise < 0.02).sum()))

# %% tags=["figure"]
figure, axes = figures.new(7.5, 0.5 * L + 1.2)
figures.matrix(
    axes,
    rise,
    rows=[f"layer {i}" for i in range(L)],
    columns=[f"{h}" for h in range(H)],
    signed=True,
    decimals=3,
    xlabel="head",
    title="rise of the mean surprise without this head",
)
most = tuple(int(n) for n in np.unravel_index(rise.argmax(), rise.shape))
figures.show(
    figure,
    f"How much the mean surprise rises, in nats, when one head is switched off; with all heads it is {right:.3f}. The largest rise is {rise[most]:+.3f}, "
    f"by head {most[1]} of layer {most[0]}; the smallest is {figures.no_minus_zero(rise.min(), 3):+.3f}.",
)
assert rise.max() > 0.02

# %% [markdown]
# Head {{most[1]}} of layer {{most[0]}} matters most here: without it the mean surprise rises by {{rise[most]:.3f}} nats.
# {{int((rise < 0.02).sum())}} of {{L * H}} heads matter very little *one at a time*. That does not mean that they are useless: other heads may do
# the same work in their place.
#
# ## Break it: reshape without swap
#
# The most common mistake in this notebook is `x.reshape(H, T, D)`. All shapes fit, so no error appears. Left: what head 0
# gets in the small example. Right: the real model, with queries, keys and values cut in this wrong way.


# %%
def wrong_split(name, array):
    """Cut queries, keys and values with one reshape."""
    if name.endswith(("attn.q", "attn.k", "attn.v")):
        return forward.merge_heads(array).reshape(array.shape)  # back to (B, T, C), then cut wrongly


broken = measure.surprise(model, pieces, wrong_split)
mixed, mixed_owner = letters.reshape(H_small, T_small, D_small), owner.reshape(H_small, T_small, D_small)

# %% tags=["figure"]
figure, panels = figures.new(8, 2.9, panels=3, width_ratios=[2.6, 2.6, 6])
figures.cells(panels[0], letters[:, :2], owner[:, :2], title="head 0, right")
figures.cells(panels[1], mixed[0], mixed_owner[0], title="head 0, wrong")
figures.bars(panels[2], ["right", "no swap"], [right, broken], xlabel="mean surprise in nats", marked=["no swap"])
figures.show(
    figure,
    f"Head 0 should have the channels a and b of tokens 0 to 3. With one reshape it has all 6 channels of token 0, and two of token 1. In the real model "
    f"the mean surprise rises from {right:.2f} to {broken:.2f} nats.",
)
assert broken > right + 0.5

# %% [markdown]
# In the wrong head 0, the rows that should be four tokens are three pieces of token 0 and one of token 1. The mean surprise rises from
# {{right:.2f}} to {{broken:.2f}} nats. The shape (H, T, D) was right, so a test must compare the numbers. Another mistake, to forget the swap,
# gives the shape (T, H, D). It hides if a test has T = H. So test with sizes that all differ.
#
# ## The same in the package

# %%
show_source(forward.split_heads, notes={"swapaxes(1, 2)": "The same with the axis B in front: (B, T, H, D) -> (B, H, T, D)."})
show_source(
    forward.self_attention,
    notes={
        "if cache is not None": "With a cache, keys and values of earlier tokens are put in front: notebook 11.",
        "p.out_proj.bias": "Only the output projection has a bias.",
    },
)

# %% [markdown]
# You see calls such as `hook("attn.q", ...)`. These are the places where a hook can look in.
#
# ## Three sentences to remember
#
# 1. Each layer has H heads; each one has D = C / H channels of the queries, keys and values, and its own weights.
# 2. To split, cut the last axis with reshape, then exchange two axes: (T, C), (T, H, D), (H, T, D).
# 3. The results of the heads are put side by side, and the output projection mixes them.
#
# ## Two questions to recall
#
# 1. From notebook 05: which axis of the weights adds up to 1, that of the queries or that of the keys?
# 2. From notebook 04: over which axis does layer norm take mean and variance?
#
# <details><summary>Answers</summary>
#
# 1. The axis of the keys, the last one: for each query the weights add up to 1.
# 2. Over the last axis, the channels: each token by itself.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [05 One head](05_one_head.ipynb). On: [07 Local attention](07_local_attention.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [forward.py](../neo_np/gpt_neo/forward.py), functions `split_heads`, `merge_heads` and `self_attention`.
