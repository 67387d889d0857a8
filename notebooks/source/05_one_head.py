# %% [markdown]
# # 05 One head
#
# **Question: who looks at whom?**
#
# About {{minutes}} minutes (an estimate). You need notebooks 00 to 04, above all the dot product and the linear layer.
#
# In "The king gave the princess a ring, and she ...", the word "she" means the princess. To continue, the model must carry
# information from one token to another. This is the work of **attention**, the only place in the whole model where tokens see
# each other. Attention is done by several **heads**. This notebook builds one head.

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
from neo_np.gpt_neo import forward

model = neo_np.load()
tokenizer, config, params = model.tokenizer, model.config, model.params
D = config.head_size  # the number of channels of one head

# %% [markdown]
# ## Query, key, value
#
# From the levelled stream, three linear layers make three rows for each token. (In GPT-Neo these three have no bias.) Each row has D
# numbers, here D = {{D}}:
#
# - The **query** q says what the token is looking for.
# - The **key** k says what the token has to offer.
# - The **value** v is what the token hands over, if it is looked at.
#
# Query and key are compared by a dot product, the **score**. A high score means that they fit. Then:
#
# 1. Scores of tokens that come later are hidden: while a text is written, these tokens do not exist yet.
# 2. The scores of each query are turned into **weights**: numbers from 0 to 1 that add up to 1.
# 3. The result for each token is the weighted mean of the values: each value times its weight, all added up.
#
# (Take care with the word *weight*: in attention it says how much a token looks at another one. In the files, `weight` is also the name
# of parameters that multiply.)
#
# Here is a head that is small enough for paper. D is 2, and the text has two tokens. The second token has the query (1, 0). The keys of the
# two tokens are (0, 1) and (2, 0). So its scores are 1 × 0 + 0 × 1 = 0 and 1 × 2 + 0 × 0 = 2. `exp` makes 1.00 and 7.39 of them, and
# after division by the sum, 8.39, the weights are 0.12 and 0.88. The values are (10, 0) and (0, 5). So the result is
#
# > 0.12 × (10, 0) + 0.88 × (0, 5) = (1.2, 4.4)
#
# The picture has the weights of one head of the real model. Each row belongs to the token that looks (its query), each
# column to the token that is looked at (its key). The hatched cells, those with slanted lines, are hidden: there the key
# comes after the query. We chose the head that looks most at the token before.

# %%
text = "The king gave her a ring"
ids = np.array(tokenizer.encode(text))
tokens = tokenizer.token_strings(ids)
T = len(ids)
attention = model.attentions(ids)  # for each layer: one (T, T) table for each head

backs = np.array([[head.diagonal(-1).mean() for head in layer] for layer in attention])  # weight on the token before
layer, head = (int(i) for i in np.unravel_index(backs.argmax(), backs.shape))  # row and column of the largest
weights = attention[layer][head]  # (T, T)
future = np.triu(np.ones((T, T), bool), 1)  # True above the diagonal, for keys that come after the query

# %% tags=["figure"]
figure, axes = figures.new(7.5, 4.6)
figures.matrix(
    axes,
    weights,
    rows=tokens,
    columns=tokens,
    hidden=future,
    limits=(0, 1),
    bar="weight",
    ylabel="looks (query)",
    xlabel="is looked at (key)",
)
figures.show(
    figure,
    f"Weights of head {head} in layer {layer} for {T} tokens; hatched cells are the future. Each row adds up to 1. The mean weight on the "
    f"token before is {backs[layer, head]:.2f}; the last token “{tokens[-1]}” gives “{tokens[-2]}” {weights[-1, -2]:.2f} and itself {weights[-1, -1]:.2f}.",
)
assert np.allclose(weights.sum(axis=-1), 1, atol=1e-5)

# %% [markdown]
# The first row has only one choice, so its weight is 1.00. Layers are counted from 0, like list items in Python; layer is
# another word for block. ("Linear layer" and "layer norm" are names of small parts, and not of blocks.)
#
# ## Softmax: from scores to weights
#
# You know the way from scores to probabilities from notebook 00: `exp`, then divide by the sum. This function is the softmax. There is
# one trap: exp(1000) is too large for a computer number, and the result is `inf`, infinity. Then `inf / inf` gives `nan`, "not a number".
# The way out: subtract the largest score of the row first. All results stay the same, because
#
# > exp(a - m) / (exp(a - m) + exp(b - m)) = exp(a) / (exp(a) + exp(b))
#
# a and b are two scores, m is the largest score; the factor exp(-m) is in every term, and it cancels out.
#
# **Predict:** softmax of the scores 0 and 0 gives 0.5 and 0.5. What is the first weight of softmax(1000, 1000)? Write a number.

# %%
predict("05.1", ...)

# %%
reveal("05.1", float(forward.softmax(np.array([[1000.0, 1000.0]]))[0, 0]))

# %% [markdown]
# ## Exercise: softmax


# %% exercise="softmax"
@check
def softmax(x):
    """Turn each row of the scores x, (T, S), into weights: exp(x) divided by the sum of exp(x) over the row. Very
    large scores must not overflow.
    """
    largest = x.max(axis=..., keepdims=...)  # (T, 1)
    e = np.exp(...)  # (T, S), at most 1
    return e / ...  # the sum of each row, (T, 1)


# %%
# hint("softmax")
# solution("softmax")

# %% [markdown]
# ## Exercise: hide the future
#
# The **mask** is a (T, S) table that is added to the scores before softmax: 0 where a token may look, and a very low number
# where it may not, because exp of a very low number is 0. A mask that hides the future is called **causal**. Its rows are queries
# and its columns are keys. (S is the number of keys. Here it is equal to T. In [notebook 11](11_generation.ipynb) it is not.)
#
# You get the positions of queries and keys as arrays. Why positions? A program that writes token by token has the keys of the earlier
# tokens already, and needs results only for the new tokens. For example, `queries` is [2, 3] and `keys` is [0, 1, 2, 3]. Then row 0 of the mask
# belongs to position 2, and it may look at the keys 0, 1 and 2.
#
# Remember broadcasting: `queries[:, None]` makes a column of shape (T, 1). And `np.where(condition, a, b)` gives a where the condition is
# True, and b where it is False:

# %%
print(np.where(np.array([3, -1, 5]) > 0, 1.0, -100.0))

# %% [markdown]
# Now write the mask.


# %% exercise="causal_mask"
@check
def causal_mask(queries, keys):
    """Return the mask, (T, S), that is added to the scores: 0.0 where the token at position queries[t] may look at
    position keys[s], and a very low number such as -1e9 where it may not. A token sees itself and the tokens before
    it. queries and keys are arrays of positions, (T,) and (S,).
    """
    ...


# %%
# hint("causal_mask")
# solution("causal_mask")

# %% [markdown]
# ## One head, slowly
#
# Now everything together, on the real checkpoint: the head of the picture, one query at a time.

# %%
q, k, v, z = measure.one_head(model, ids, layer, head)  # what the model computed: (T, D) each; z is the result

z_loop = np.zeros((T, D))
for t in range(T):
    scores = []
    for s in range(t + 1):  # itself and the tokens before
        score = 0.0
        for d in range(D):
            score = score + q[t, d] * k[s, d]
        scores.append(score)
    largest = max(scores)
    exps = [math.exp(score - largest) for score in scores]
    for s in range(t + 1):
        weight = exps[s] / sum(exps)
        z_loop[t] = z_loop[t] + weight * v[s]

assert np.allclose(z, z_loop, atol=1e-4)

# %% [markdown]
# The loop gives what the model computed.
#
# ## Exercise: attend
#
# Write the same without loops. The loop `for s in range(t + 1)` becomes the mask. Each of the four steps (scores, mask,
# softmax, weighted mean) becomes one operation on whole arrays. You may call `softmax`; the checker lends you a right one.


# %% exercise="attend"
@check
def attend(q, k, v, mask):
    """One attention head. Compare each query with each key by a dot product, add the mask, turn each row of scores
    into weights with softmax, and use them to average the values. q (T, D), k and v (S, D), mask (T, S) -> (T, D).
    """
    ...


# %%
# hint("attend")
# solution("attend")

# %% [markdown]
# ## The real checkpoint: to divide or not to divide
#
# Most transformers divide the scores by sqrt(D) before softmax. (**Transformer** is the name of this kind of model: blocks
# of attention and MLP.) The division keeps the scores small when D is large. GPT-Neo does not divide. It was trained
# without this division.
#
# **Predict:** we add the division to our trained model. Does its mean surprise get lower, stay the same, or get higher? Write `"lower"`,
# `"same"` or `"higher"`.

# %%
predict("05.2", ...)


# %%
def divided(name, array):
    """Divide the scores by sqrt(D)."""
    if name.endswith("attn.scores"):
        return array / math.sqrt(D)


pieces = measure.windows(model)
right, scaled = measure.surprise(model, pieces), measure.surprise(model, pieces, divided)

flat = measure.record(model, ids, divided)[f"h.{layer}.attn.weights"][head]
if scaled < right - 0.01:
    answer = "lower"
elif scaled > right + 0.01:
    answer = "higher"
else:
    answer = "same"
reveal("05.2", answer)

# %% tags=["figure"]
figure, panels = figures.new(8, 3.4, panels=2, width_ratios=[3, 2])
figures.matrix(
    panels[0], flat, rows=tokens, columns=tokens, hidden=future, limits=(0, 1), title="the same head, scores divided", size=9
)
figures.bars(panels[1], ["GPT-Neo", "divided"], [right, scaled], xlabel="mean surprise in nats", marked=["divided"])
figures.show(
    figure,
    f"With scores divided by sqrt({D}) = {math.sqrt(D):.1f}, the weights of the head become more equal: the largest weight of the last row is "
    f"{flat[-1].max():.2f} and not {weights[-1].max():.2f}. The mean surprise on unseen tales rises from {right:.2f} to {scaled:.2f} nats.",
)
assert scaled > right + 0.1 and flat[-1].max() < weights[-1].max()

# %% [markdown]
# The surprise rises from {{right:.2f}} to {{scaled:.2f}} nats. The division brings all scores nearer to 0, so the weights become more equal,
# and each token gets a more even mixture of all values. Neither choice is wrong by itself. But a model must run as it was trained.
#
# ## Break it: the wrong axis, and a look into the future
#
# Here are two common mistakes. First: softmax over axis 0, the queries, instead of the keys. Then the columns add up to 1,
# and not the rows. Second: the mask is forgotten. What a token predicts must not depend on what comes after it. So, to see
# the damage, we change only the *last* token of a text and look at which logits move. You need not read the code of the
# hooks.


# %%
last = {}  # the scores and the mask that the hook saw last


def queries_axis(name, array):
    """Let the softmax run over the queries."""
    if name.endswith(("attn.scores", "attn.mask")):
        last[name.split(".")[-1]] = array
    if name.endswith("attn.weights"):
        masked = last["scores"] + last["mask"]
        return forward.softmax(masked.swapaxes(-1, -2)).swapaxes(-1, -2).astype(array.dtype)


def no_mask(name, array):
    """Hide nothing."""
    if name.endswith("attn.mask"):
        return np.zeros_like(array)


axis_0 = measure.surprise(model, pieces, queries_axis)
changed = ids.copy()
changed[-1] = tokenizer.encode(" house")[0]
moved = {}
for name, hook in (("with the mask", None), ("without", no_mask)):
    before, after = model.logits(ids, hook=hook), model.logits(changed, hook=hook)
    moved[name] = np.abs(after - before).max(axis=-1)  # (T,) the largest change in each row

# %% tags=["figure"]
figure, panels = figures.new(8, 3.6, panels=2, width_ratios=[2, 3])
figures.bars(panels[0], ["right", "wrong axis"], [right, axis_0], xlabel="mean surprise in nats", marked=["wrong axis"])
table = np.stack(list(moved.values()), axis=1)
figures.matrix(
    panels[1], table, rows=tokens[:-1] + [" house"], columns=list(moved), title="change of the logits", hidden=table == 0
)
past = moved["without"][:-1].max()
figures.show(
    figure,
    f"Left: with softmax over the queries the mean surprise is {axis_0:.2f} nats instead of {right:.2f}. Right: the last token is changed. With the mask, the logits "
    f"of all {T - 1} earlier tokens change by exactly 0 (hatched). Without it they change by up to {past:.2f}: the future leaks into the past.",
)
assert moved["with the mask"][:-1].max() == 0 and past > 0.1 and axis_0 > right + 0.5

# %% [markdown]
# A model that sees the future in training looks wonderful there: the answer is in front of it. It fails when it has to write, because
# then there is no future. So the test "change a later token, the earlier logits must not move" belongs to every new model.
#
# ## The same in the package

# %%
show_source(
    forward.softmax,
    notes={
        "x.max(axis=-1, keepdims=True)": "The largest score of each row. keepdims leaves (T, 1), so that it meets (T, S) row by row.",
        "e.sum(axis=-1, keepdims=True)": "One sum for each row. The last axis holds the keys, whatever comes before it.",
    },
)
show_source(
    forward.attention,
    notes={
        "q @ k.swapaxes(-1, -2)": "All scores at once; swapaxes is .T for the last two axes.",
        "weights @ v": "The weighted means.",
    },
)

# %% [markdown]
# ## Three sentences to remember
#
# 1. Query and key decide who looks at whom, and the value is what is handed over.
# 2. weights = softmax(q k^T + mask), and each row of weights adds up to 1. (q k^T is the matrix product with the transpose, `q @ k.T` in Python.)
# 3. GPT-Neo does not divide the scores by sqrt(D), and the mask hides the future.
#
# ## Two questions to recall
#
# 1. From notebook 04: what is the residual stream, and what do blocks do to it?
# 2. From notebook 03: why are the rows of the same word at two places different?
#
# <details><summary>Answers</summary>
#
# 1. The (T, C) array that flows through the model; each block adds to it.
# 2. Because the embedding of the position is added, and the positions differ.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [04 Layer norm](04_layer_norm.ipynb). On: [06 Many heads](06_many_heads.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# {{source("gpt_neo.forward.softmax")}}, {{source("gpt_neo.forward.causal_mask")}} and {{source("gpt_neo.forward.attention")}}.
