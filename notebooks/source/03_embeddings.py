# %% [markdown]
# # 03 Embeddings
#
# **Question: how is a number a word?**
#
# About {{minutes}} minutes (an estimate). You need notebooks 00 to 02: tokens, ids, arrays, the dot product.
#
# An id is only a name: id 500 is not "more" than id 499. The model needs numbers that say something about a token. So each
# token of the vocabulary has its own row of C numbers, its **embedding**. A second table has a row for each **position**, which
# is the place in the text: the first token has position 0. The model adds both rows.

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
tokenizer, config = model.tokenizer, model.config
wte = model.params.wte.weight  # (V, C): weights of the token embeddings
wpe = model.params.wpe.weight  # (P, C): weights of the position embeddings
print("token table:   ", wte.shape)
print("position table:", wpe.shape)

# %% [markdown]
# The names `wte` and `wpe` are those of GPT-Neo's files. P, the number of positions, is the length of the longest text that the
# model can read: {{config.max_position_embeddings}} tokens.
#
# ## Similar rows
#
# How can you see what is in such a table? One row says nothing to a person. But two rows can be compared. The **length** of a row is
# the square root of the sum of its squared numbers. Divide each row by its length; then their dot product is the **cosine** of the angle
# between them. It is 1 for the same direction, 0 for a right angle, and -1 for opposite directions. So the cosine compares
# directions, and it does not matter how long the rows are.
#
# The picture shows the cosines of the first 64 rows of the position table. Row i and column j say how similar the positions i and j
# are.

# %%
first = wpe[:64].astype(float)
unit = first / np.linalg.norm(first, axis=-1, keepdims=True)  # norm is the length
cosines = unit @ unit.T  # (64, 64)
beside = np.array([cosines.diagonal(k).mean() for k in range(64)])  # the mean cosine at each distance k

# %% tags=["figure"]
figure, panels = figures.new(8, 3.7, panels=2)
figures.matrix(
    panels[0], cosines, numbers=False, bar="cosine", xlabel="position", ylabel="position", title="each position with each"
)
figures.lines(panels[1], {"": (np.arange(64), beside)}, xlabel="distance of two positions", ylabel="mean cosine", markers=False)
panels[1].set_title("by distance")
figures.show(
    figure,
    f"Cosines of the first 64 positions. Neighbours have {beside[1]:.2f} on average, positions at distance 8 have {beside[8]:.2f}, and at "
    f"distance 32 {beside[32]:.2f}. The bright diagonal is each position with itself, 1.00.",
)
assert beside[1] > max(beside[8], beside[16], beside[32])

# %% [markdown]
# Neighbouring positions have similar rows: the mean cosine is {{beside[1]:.2f}} at distance 1. Further away it is lower:
# {{beside[8]:.2f}} at distance 8, {{beside[16]:.2f}} at 16, and {{beside[32]:.2f}} at 32. (It need not fall at every step: the curve may have
# waves.) So the rows say something about which positions are near to each other. Nobody wrote this into the table. The rows are
# parameters: they were found in training.
#
# ## Looking up
#
# The slow loop: for each token, take the row of its id and the row of its position, and add them number by number.

# %%
ids = np.array(tokenizer.encode("The king loved the king"))
T, C = len(ids), config.hidden_size

x_loop = np.zeros((T, C), np.float32)
for t in range(T):
    token_row = wte[ids[t]]
    position_row = wpe[t]
    for c in range(C):
        x_loop[t, c] = token_row[c] + position_row[c]

# %% [markdown]
# The model has computed the same. In NumPy no loop is needed: an array of whole numbers as an index takes many rows at once. Here is a
# small table:

# %%
x = x_loop
assert np.allclose(x, model.hidden_states(ids)[0])  # the rows of the model, right after the embeddings

table = np.array([[0, 1], [10, 11], [20, 21]])  # (3, 2)
print(table[np.array([2, 0, 2, 1])])  # rows 2, 0, 2 and 1: (4, 2)

# %% [markdown]
# Back to the model. " king" occurs twice in our text.
#
# **Predict:** are the two rows of x for the two "king" tokens equal? Write `True` or `False`.

# %%
predict("03.1", ...)

# %%
kings = [t for t in range(T) if ids[t] == tokenizer.encode(" king")[0]]
assert len(kings) == 2
reveal("03.1", bool(np.array_equal(x[kings[0]], x[kings[1]])))

# %% [markdown]
# The token rows are equal, the position rows are not. So the same word at two places is not the same for the model.
#
# ## Exercise: embed


# %% exercise="embed"
@check
def embed(ids, wte, wpe):
    """Turn token ids, (T,), into rows of numbers, (T, C): the row of wte, (V, C), that belongs to the token, plus the
    row of wpe, (P, C), that belongs to its position. The first position is 0.
    """
    positions = np.arange(...)  # (T,)
    return wte[...] + wpe[...]


# %%
# hint("embed")
# solution("embed")

# %% [markdown]
# ## The real checkpoint: neighbours of a word
#
# Which tokens have rows in nearly the same direction as " king"?
#
# **Predict:** name one token that you expect among the five nearest, for example `" sword"`.

# %%
predict("03.2", ...)

# %%
king = tokenizer.encode(" king")[0]
cosine_of = {}
for id in range(len(wte)):
    dot = float(wte[id] @ wte[king])
    cosine_of[id] = dot / float(np.linalg.norm(wte[id]) * np.linalg.norm(wte[king]))

by_cosine = sorted(cosine_of, key=cosine_of.get, reverse=True)  # all ids, the one with the largest cosine first
order = [id for id in by_cosine if id != king][:8]
names, cosines = tokenizer.token_strings(order), np.array([cosine_of[id] for id in range(len(wte))])
reveal("03.2", names[:5])

# %% tags=["figure"]
figure, axes = figures.new(7.5, 3.2)
figures.bars(axes, names, cosines[order], xlabel="cosine to “ king”")
shown = "; ".join(f"“{name}” {cosines[id]:.2f}" for name, id in zip(names, order))
figures.show(
    figure,
    f"The eight tokens whose rows are most similar to the row of “ king”: {shown}. The mean over all tokens is {cosines.mean():.2f}.",
)

# %% [markdown]
# The nearest token is "{{names[0]}}" with a cosine of {{cosines[order[0]]:.2f}}; over all tokens the mean is {{cosines.mean():.2f}}.
# Words that can take each other's place in a tale tend to have similar rows. Why? The model uses the rows to predict. If two words
# are followed by similar texts, similar rows give good predictions for both. (A token without ␣ in front has no space before it. Often
# it is the end of a longer word, for example "peror" in " emperor". If this end occurs in one word only, then the end and
# the word are followed by the same texts. So its row may be similar to the rows of words of this kind.)
#
# ## Exercise: the nearest tokens
#
# Do the same without a loop over all tokens. `np.argsort` sorts places: `np.argsort([30, 10, 20])` gives 1, 2, 0, because the smallest
# number has the place 1. `np.linalg.norm(x, axis=-1)` gives the length of each row of x.


# %% exercise="nearest"
@check
def nearest(id, wte, k):
    """Return the ids of the k tokens that are most similar to token id, a list of int, the most similar first, without
    the token itself. Similarity is the cosine: the dot product of two rows of wte, (V, C), divided by their
    lengths.
    """
    ...


# %%
# hint("nearest")
# solution("nearest")

# %% [markdown]
# ## Break it: no positions
#
# What are positions good for? We take them away, and measure the surprise on pieces of tales that the model never saw in training.
# For this we use a **hook**: a function that the model calls with the name and the array of each step. If the hook returns an array,
# the model uses this array instead. The step of this notebook has the name `"embed"`.

# %%
pieces = measure.windows(model)  # (8, 128) ids
T = pieces.shape[1]


def no_positions(name, array):
    """Take the position rows away again."""
    if name == "embed":
        return array - wpe[:T]


def from_1(name, array):
    """Number the positions from 1 and not from 0."""
    if name == "embed":
        return array - wpe[:T] + wpe[1 : T + 1]


def backwards(name, array):
    """Number the positions from the end."""
    if name == "embed":
        return array - wpe[:T] + wpe[:T][::-1]


ways = {"right": None, "from 1": from_1, "no positions": no_positions, "backwards": backwards}
surprise = {name: measure.surprise(model, pieces, hook) for name, hook in ways.items()}

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.6)
figures.bars(
    axes, list(ways), list(surprise.values()), xlabel="mean surprise in nats", marked=["from 1", "no positions", "backwards"]
)
shown = "; ".join(f"{name} {value:.2f}" for name, value in surprise.items())
figures.show(
    figure, f"Mean surprise in nats on {pieces.size} tokens of unseen tales, with the positions used in four ways: {shown}."
)
assert surprise["right"] < surprise["no positions"] and surprise["right"] < surprise["backwards"]
assert surprise["from 1"] - surprise["right"] < (surprise["no positions"] - surprise["right"]) / 2

# %% [markdown]
# Without positions, the mean surprise rises from {{surprise["right"]:.2f}} to {{surprise["no positions"]:.2f}} nats. The
# model still sees which words occur, but it knows much less about their order. (It still sees a little of the order,
# because no token sees those that come after it: notebook 05.) With positions that are numbered backwards, the surprise is
# {{surprise["backwards"]:.2f}}. Positions that begin with 1 instead of 0 raise it less, to {{surprise["from 1"]:.2f}}: the
# distances between the tokens are still right. A model with this mistake still writes sentences, so it is hard to find by
# reading. A test finds it at once.
#
# ## The same in the package

# %%
show_source(
    forward.embed, notes={"wte[ids]": "Rows of the token table, by id.", "wpe[positions]": "Rows of the position table."}
)

# %% [markdown]
# In its shapes you see the letter **B**: the package computes several texts together, a **batch** of B texts. For one text, B is 1.
#
# ## Three sentences to remember
#
# 1. An embedding is a row of C parameters that stands for a token or a position.
# 2. The model starts with token row plus position row.
# 3. The cosine compares the directions of two rows: similar use gives similar rows.
#
# ## Two questions to recall
#
# 1. From notebook 02: which merge is done first, if several are possible?
# 2. From notebook 01: x has the shape (T, C) and y the shape (S, C). What has the shape (T, S), and what is in it?
#
# <details><summary>Answers</summary>
#
# 1. The one with the lowest rank, which was learnt first.
# 2. `x @ y.T`: the dot product of each row of x with each row of y.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [02 Tokens](02_tokens.ipynb). On: [04 Layer norm](04_layer_norm.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [forward.py](../neo_np/gpt_neo/forward.py), function `embed`.
