# %% [markdown]
# # 07 Local attention
#
# **Question: how far does news travel?**
#
# About {{minutes}} minutes (an estimate). You need notebooks 05 and 06: mask, heads.
#
# In attention every token is compared with every earlier token. For a text of T tokens these are about T × T / 2
# comparisons: twice the text, four times the work. The design of GPT-Neo can save some of it. It has two kinds of layers,
# which alternate:
#
# - In a **global layer** a token sees all tokens before it, and itself.
# - In a **local layer** a token sees only the last W tokens, itself included. W is the **window**.

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
from neo_np.gpt_neo.params import random_params

model = neo_np.load()
tokenizer, config, params = model.tokenizer, model.config, model.params
L, W = config.num_layers, config.window_size
print("layers:", ", ".join(config.attention_layers))
print("window of the local layers:", W)

# %% [markdown]
# ## News travels like a cone
#
# Can a token learn about another one that is further away than the window? Yes, by passing on. With window 4, token 6 sees token 3 in
# layer 0. In layer 1, token 9 sees token 6, whose row now has something of token 3. To see it, we build a small model with random
# parameters. It has 4 layers, all local, with window 4. Then we change the token at position 3, and look which rows of the stream change
# after each layer.

# %%
small = neo_np.Config(
    vocab_size=50, hidden_size=16, num_layers=4, num_heads=2, max_position_embeddings=20, attention_layers=["local"] * 4,
    window_size=4, bos_token_id=0, eos_token_id=0, other={"initializer_range": 0.4},
)  # fmt: skip
random_model = neo_np.Model(small, random_params(small, seed=0))
T, place = 20, 3
text = np.arange(T)
changed = text.copy()
changed[place] = 40


def moved(model, ids, other_ids):
    """Return the size of the change / the size of the row: a row for the embeddings and for each block, a column for each token."""
    states = zip(model.hidden_states(ids)[:-1], model.hidden_states(other_ids)[:-1])  # the last one comes after ln_f
    return np.array([np.linalg.norm(b - a, axis=-1) / np.linalg.norm(a, axis=-1) for a, b in states])


cone = moved(random_model, text, changed)  # (1 + 4, T)
reached = (cone > 0).sum(axis=1)

# %% tags=["figure"]
figure, axes = figures.new(8, 3.0)
rows = ["embeddings", *(f"after layer {i}" for i in range(4))]
figures.matrix(
    axes,
    cone,
    rows=rows,
    columns=range(T),
    numbers=False,
    log=True,
    limits=(1e-3, 2),
    bar="change / size of the row",
    xlabel="position of the token",
)
figures.show(
    figure,
    f"The token at position {place} is changed. Hatched: the stream does not change at all. The number of changed rows is {reached[0]} after the "
    f"embeddings, then {', '.join(str(n) for n in reached[1:])} after layers 0 to 3: with window 4, each layer carries the news 3 tokens further.",
)
assert list(reached) == [1, 4, 7, 10, 13]

# %% [markdown]
# (The colour is the size of the change, divided by the size of the row before the change. It may be larger than 1. Hatched
# cells do not change at all.)
#
# **Predict:** how many tokens does news reach in a model of 3 local layers with window 5, the token itself included?

# %%
predict("07.1", ...)

# %%
reached = 1  # at first, only the token itself knows the news
for layer in range(3):
    reached = reached + 4  # the last one that knows it is seen by the 4 tokens after it
reveal("07.1", reached)

# %% [markdown]
# Each local layer carries news W - 1 tokens further: a token sees itself and W - 1 tokens before it. In a model whose L layers are all
# local, the number of tokens that news reaches is
#
# > L × (W - 1) + 1
#
# L is the number of layers, W the window, and the 1 is the token itself.
#
# ## The mask of a local layer
#
# A local layer is an ordinary layer with another mask. The slow loop:

# %%
T, window = 7, 3
positions = np.arange(T)

mask_loop = np.zeros((T, T))
for t in range(T):  # the query
    for s in range(T):  # the key
        distance = t - s
        in_the_future = distance < 0
        too_far_back = distance >= window
        if in_the_future or too_far_back:
            mask_loop[t, s] = -1e9

print((mask_loop == 0).astype(int))  # 1: the query may look at this key
assert np.array_equal(mask_loop == 0, forward.causal_mask(positions, positions, window) == 0)

# %% [markdown]
# In NumPy, `&` means "and" for each cell of a table of True and False, and `|` means "or". Put brackets around each comparison. Here are the
# numbers that are at least 3, but not as large as 10:

# %%
numbers = np.array([[1, 4, 9], [16, 3, 2]])
print((numbers >= 3) & (numbers < 10))

# %% [markdown]
# ## Exercises: the mask and the reach


# %% exercise="local_mask"
@check
def local_mask(queries, keys, window):
    """Return the mask, (T, S), of a local layer: 0.0 where the token at position queries[t] may look at position
    keys[s], and a very low number such as -1e9 where it may not. A token sees the last `window` tokens, itself
    included.
    """
    distance = queries[:, None] - ...  # (T, S)
    visible = (distance >= ...) & (distance < ...)
    return np.where(visible, ..., ...)


# %%
# hint("local_mask")
# solution("local_mask")

# %% [markdown]
# In the second exercise, do not forget the global layers, and that a text has only `length` tokens.


# %% exercise="reach"
@check
def reach(attention_layers, window, length):
    """Return how many tokens of a text of `length` tokens can change what the model says at the last position, the
    last token itself included: an int. attention_layers has "local" or "global" for each layer. A local layer sees
    the last `window` tokens, itself included; a global layer sees all.
    """
    ...


# %%
# hint("reach")
# solution("reach")

# %% [markdown]
# ## The real checkpoint: exactly zero
#
# Here are the weights of a local layer of our model, as the mean of its heads, on a text that is longer than the window. The
# scale is **logarithmic**: each step of the colour bar is a factor of ten, so that small weights can be seen too. Exact zeros cannot be on
# such a scale. They are hatched.
#
# **Predict:** the last token has position 99. How many tokens does it see in the local layer, itself included?

# %%
predict("07.2", ...)

# %%
T = 100
ids = measure.windows(model, number=1, length=T)[0]
local = config.attention_layers.index("local")  # the first local layer
weights = model.attentions(ids)[local].mean(axis=0)  # (T, T), mean of the heads
zero = weights == 0
seen = int((weights[-1] > 0).sum())
reveal("07.2", seen)

# %% tags=["figure"]
figure, axes = figures.new(6.4, 4.8)
figures.matrix(
    axes, weights, numbers=False, log=True, limits=(1e-4, 1), bar="weight", xlabel="key (is looked at)", ylabel="query (looks)"
)
axes.set_title(f"layer {local}, mean of {config.num_heads} heads")
figures.show(
    figure,
    f"The weights of layer {local}, a local layer with window {W}, for {T} tokens. From the diagonal to the left is a band of {W} visible keys; everything else is "
    f"hatched, because it is exactly 0: {int(zero.sum()):,} of {T * T:,} cells. The last token sees {seen} tokens.",
)
far = np.subtract.outer(np.arange(T), np.arange(T)) >= W
assert zero[far].all() and seen == min(T, W)

# %% [markdown]
# Beyond the window, every weight is exactly 0, and not only small. It could not be otherwise: `exp` of a very low number is 0 in the computer.
#
# And how far does news travel in the real model? We change one token and measure, as for the cone above.

# %%
place = 5
changed = ids.copy()
changed[place] = tokenizer.encode(" dragon")[0]
effect = moved(model, ids, changed)[:, place:]  # from the changed token on

# %% tags=["figure"]
figure, axes = figures.new(8, 0.42 * L + 1.9)
rows = ["embeddings", *(f"after layer {i} ({kind})" for i, kind in enumerate(config.attention_layers))]
figures.matrix(
    axes,
    effect,
    rows=rows,
    numbers=False,
    log=True,
    limits=(1e-4, 1),
    bar="change / size",
    xlabel="distance from the changed token",
)
last = effect[-1]
figures.show(
    figure,
    f"One token is changed; the size of the change divided by the size of the row, by layer and distance. At the last layer it is {last[0]:.2f} at the token itself, "
    f"{last[1]:.2f} at the next one, {np.median(last[2:12]):.3f} at distances 2 to 11 and {np.median(last[-40:]):.4f} at the 40 furthest (medians).",
)
assert last[0] > np.median(last[2:12]) > np.median(last[-40:]) > 0

# %% [markdown]
# The median is the middle value: half of the values are smaller. In principle the first global layer carries news to every later token. In fact most
# of the effect stays near: the change is {{np.median(last[2:12]):.3f}} of the size of a row at distances 2 to 11, and
# {{np.median(last[-40:]):.4f}} far away.
#
# ## Break it: other windows
#
# We replace the masks of the local layers, and in one case those of the global layers, and measure the mean surprise on longer pieces of tales:
#
# - *chunks*: the text is cut into pieces of W tokens, and in the local layers no token sees further than its own piece.
#   This is a common misunderstanding.
# - *window 4*: the local layers see only 4 tokens.
# - *all global*: the local layers see everything.
# - *all local*: the global layers get the window W too.


# %%
def with_masks(visible_in):
    """Return a hook that hides what visible_in(kind, distance, queries, keys) does not allow."""

    def hook(name, array):
        if name.endswith("attn.mask"):
            kind = config.attention_layers[int(name.split(".")[1])]
            queries, keys = np.arange(array.shape[-2])[:, None], np.arange(array.shape[-1])
            visible = (queries >= keys) & visible_in(kind, queries - keys, queries, keys)
            return np.where(visible, np.float32(0), forward.LOWEST)

    return hook


ways = {
    "right": with_masks(lambda kind, distance, q, k: (kind == "global") | (distance < W)),
    "chunks": with_masks(lambda kind, distance, q, k: (kind == "global") | (q // W == k // W)),
    "window 4": with_masks(lambda kind, distance, q, k: (kind == "global") | (distance < 4)),
    "all global": with_masks(lambda kind, distance, q, k: distance >= 0),
    "all local": with_masks(lambda kind, distance, q, k: distance < W),
}
pieces = measure.windows(model, number=4, length=240)
surprise = {name: measure.surprise(model, pieces, hook) for name, hook in ways.items()}
assert abs(surprise["right"] - measure.surprise(model, pieces)) < 1e-3

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.9)
wrong = [name for name in ways if name != "right"]
figures.bars(axes, list(ways), list(surprise.values()), decimals=3, xlabel="mean surprise in nats", marked=wrong)
worst = max(wrong, key=surprise.get)
shown = "; ".join(f"{name} {value:.3f}" for name, value in surprise.items())
figures.show(figure, f"Mean surprise in nats on {pieces.size} tokens of unseen tales, with five kinds of masks: {shown}.")
assert surprise["window 4"] > surprise["right"] and surprise["all global"] > surprise["right"] - 0.05

# %% [markdown]
# The largest damage comes from *{{worst}}*: {{surprise[worst]:.3f}} nats instead of {{surprise["right"]:.3f}}. Look at *all global*: there the local layers
# see *more* than in training, and the surprise is {{surprise["all global"]:.3f}}: a change of
# {{surprise["all global"] - surprise["right"]:+.3f}} nats. A model has learnt to use what it saw in training. What it sees beyond that is of
# little use to it, or disturbs it.
#
# ## The same in the package
#
# One function makes both masks:

# %%
show_source(
    forward.causal_mask,
    notes={
        "distance >= 0": "Not in the future.",
        "(window or math.inf)": "None means a global layer: no limit.",
        "key_slots >= first_slot": "For a batch of texts with different lengths; for one text it is always true.",
    },
)

# %% [markdown]
# ## Three sentences to remember
#
# 1. In a local layer a token sees the last W tokens, itself included; in a global layer it sees all earlier ones.
# 2. L local layers carry news over L × (W - 1) + 1 tokens, and one global layer is enough for all.
# 3. A model must run with the masks of its training; seeing more than in training hardly helps it.
#
# ## Two questions to recall
#
# 1. From notebook 06: why is `x.reshape(H, T, D)` wrong?
# 2. From notebook 05: what is a causal mask, and when is it added?
#
# <details><summary>Answers</summary>
#
# 1. It keeps the order in memory, so a head gets whole tokens and not its channels of all tokens.
# 2. A table with 0 for what may be seen and a very low number for the future; it is added to the scores before softmax.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [06 Many heads](06_many_heads.ipynb). On: [08 The MLP](08_mlp.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [forward.py](../neo_np/gpt_neo/forward.py), function `causal_mask`.
