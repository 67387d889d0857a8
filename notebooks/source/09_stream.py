# %% [markdown]
# # 09 The stream
#
# **Question: what would it say after each layer?**
#
# About {{minutes}} minutes (an estimate). You need notebooks 03 to 08. Now all parts come together.

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
from neo_np.exercises import check, hint, predict, progress, reveal, show_source, solution, write_with_answers
from neo_np.gpt_neo import forward as formulas
from neo_np.gpt_neo import loss

model = neo_np.load()
tokenizer, config, params = model.tokenizer, model.config, model.params
L, eps = config.num_layers, config.layer_norm_epsilon

# %% [markdown]
# ## Everything adds to the stream
#
# You know the residual stream from notebook 04: the array x of shape (T, C) that flows through the model. Each block does the same two
# steps. It levels a copy, lets a part work on it, and *adds* the result to x:
#
# > x = x + attention(ln_1(x))
# >
# > x = x + mlp(ln_2(x))
#
# ln_1 and ln_2 are the two layer norms of the block. x itself is never replaced. At the end, `ln_f` levels x, and each row
# is compared with every row of the token table wte by a dot product. These dot products are the logits. So the same table
# is used twice: to turn ids into rows, and to turn rows into scores. This is called *tied* embeddings: the input and the
# output share one table.
#
# Because blocks only add, the stream has the same channels after every block. So we can try to stop early: take the stream after some
# block, apply `ln_f`, compare with the token table, and see what the model would say at this point. This is the **logit lens**. (You will
# write it yourself; here `measure.logit_lens` does it.)

# %%
text = "Once upon a time there was a king who had"
ids = np.array(tokenizer.encode(text))
states = model.hidden_states(ids)[: L + 1]  # after the embeddings and after each block

shown = slice(-7, None)  # the last seven tokens
lens = [measure.logit_lens(model, x)[shown] for x in states]  # L + 1 arrays (7, V)
likeliest = np.array([np.exp(loss.log_softmax(logits)).max(axis=-1) for logits in lens])  # (L + 1, 7)
said = [tokenizer.token_strings(logits.argmax(axis=-1)) for logits in lens]

# %% tags=["figure"]
figure, axes = figures.new(8.4, 0.5 * (L + 1) + 1.5)
figures.matrix(
    axes, likeliest, rows=["embeddings", *(f"after block {i}" for i in range(L))], columns=tokenizer.token_strings(ids)[shown],
    numbers=False, limits=(0, 1), bar="probability", xlabel="token that has just been read",
)  # fmt: skip
for i, row in enumerate(said):
    for j, token in enumerate(row):
        axes.text(
            j,
            i,
            figures.visible(token),
            ha="center",
            va="center",
            fontsize=10,
            color=figures.readable_on(figures.AMOUNT(likeliest[i, j])),
        )
last = "; ".join(
    f"{'after the embeddings' if i == 0 else f'after block {i - 1}'} “{row[-1]}” ({likeliest[i, -1]:.2f})"
    for i, row in enumerate(said)
)
figures.show(
    figure,
    f"The likeliest next token after each block, with its probability as colour. At the last token “{tokenizer.token_string(ids[-1])}”: {last}.",
)

# %% [markdown]
# Read a column from top to bottom, for example the last one. Right after the embeddings, the model would say "{{said[0][-1]}}"; after the
# last block it says "{{said[-1][-1]}}". Why does the first row often repeat the token that was just read? There the stream is that token's own row of the table
# wte, plus a position. It is compared with all rows of the same table, and a row fits itself well. Step by step, the stream turns from
# "what did I read" into "what comes next".
#
# ## One block, step by step
#
# The model gives each step a name. Here are the steps of the first block with the shapes of their results, in the order in which
# the model computes them. (*resid_mid* is the stream in the middle of the block; "h.0" is the stream after block 0.)

# %%
seen = measure.record(model, ids)
for name, array in seen.items():
    if name == "embed" or name.startswith("h.0"):
        print(f"{name:20} {array.shape}")

assert np.allclose(seen["h.0.resid_mid"], seen["embed"] + seen["h.0.attn.out"], atol=1e-4)

# %% [markdown]
# The last line checks the first of the two sums: the stream in the middle is the stream before plus what attention made.
#
# ## Exercise: one block
#
# Your function works on one text, x of shape (T, C), and gets its mask. You may call `layer_norm`, `self_attention` and `mlp`; the checker
# lends you right ones.


# %% exercise="block"
@check
def block(x, p, config, mask):
    """One block. Add to the stream x, (T, C), what attention makes of its normalized copy (p.ln_1, p.attn.attention),
    then add what the MLP makes of the new stream's normalized copy (p.ln_2, p.mlp). config has layer_norm_epsilon
    and num_heads. You may call layer_norm(x, weight, bias, eps), self_attention(x, p, num_heads, mask) and mlp(x,
    p).
    """
    eps = config.layer_norm_epsilon
    normed = layer_norm(x, p.ln_1.weight, p.ln_1.bias, eps)
    x = x + self_attention(..., p.attn.attention, config.num_heads, mask)
    normed = ...
    return x + ...


# %%
# hint("block")
# solution("block")

# %% [markdown]
# ## Exercise: the whole model


# %% exercise="forward"
@check
def forward(params, config, ids):
    """The whole model: ids (T,) -> logits (T, V). Embed the ids (params.wte.weight, params.wpe.weight). Run all
    blocks, params.h, each with its mask: config.window(layer) is None for a global layer, else the window. Apply
    the last layer norm, params.ln_f. The logits are dot products with the rows of params.wte.weight. You may call
    embed, block, layer_norm, causal_mask, local_mask.
    """
    ...


# %%
# hint("forward")
# solution("forward")

# %% [markdown]
# ## Exercise: the logit lens


# %% exercise="logit_lens"
@check
def logit_lens(streams, layer, params, config):
    """Return the logits, (T, V), that the model would give if block `layer` were its last one. streams[0] is the
    embeddings, streams[1] the stream after block 0, and so on. Apply the last layer norm, params.ln_f, then take
    dot products with the rows of params.wte.weight. You may call layer_norm(x, weight, bias, eps).
    """
    ...


# %%
# hint("logit_lens")
# solution("logit_lens")

# %% [markdown]
# ## The whole model, written out
#
# Compare with your own answers: here is the forward pass from ids to logits, with the functions of the package. (The package's functions have a first axis B for
# several texts, so we take a batch of one text: `ids[None]` has the shape (1, T).)

# %%
batch = ids[None]  # (1, T)
positions = np.arange(len(ids))

x = params.wte.weight[batch] + params.wpe.weight[positions]  # (1, T, C): notebook 03
for layer in range(L):
    p = params.h[layer]
    normed = formulas.layer_norm(x, p.ln_1.weight, p.ln_1.bias, eps)  # notebook 04; the next line: 05 to 07
    x = x + formulas.self_attention(normed, p.attn.attention, config.num_heads, config.window(layer))
    normed = formulas.layer_norm(x, p.ln_2.weight, p.ln_2.bias, eps)
    x = x + formulas.mlp(normed, p.mlp, config.activation_function)  # notebook 08
x = formulas.layer_norm(x, params.ln_f.weight, params.ln_f.bias, eps)
logits = x @ params.wte.weight.T  # (1, T, V)

assert np.allclose(logits[0], model.logits(ids), atol=1e-3)

# %% [markdown]
# This is all. A language model is these few lines, and everything else is parameters.

# %% [markdown]
# ## The real checkpoint: the surprise after each block
#
# If the model stopped after each block, how surprised would it be by unseen tales?
#
# **Predict:** does the surprise fall with every block? Write `True` or `False`.

# %%
predict("09.1", ...)

# %%
pieces = measure.windows(model)
streams = model.hidden_states(pieces)[: L + 1]


def lens_surprise(x):
    """Return the mean surprise if x, (B, T, C), were the stream after the last block."""
    return float(loss.cross_entropy(measure.logit_lens(model, x)[:, :-1], pieces[:, 1:]).mean())


by_layer = [lens_surprise(x) for x in streams]
reveal("09.1", bool((np.diff(by_layer) < 0).all()))
nothing = np.log(config.vocab_size)

# %% tags=["figure"]
figure, axes = figures.new(7.5, 3.4)
places = np.arange(L + 1)
curves = {"logit lens": (places, by_layer), "knows nothing": (places, np.full(L + 1, nothing))}
figures.lines(axes, curves, ylabel="mean surprise in nats")
axes.set_ylim(0)
axes.set_xticks(places, ["embed-\ndings", *(f"block {i}" for i in range(L))])
values = ", ".join(f"{value:.2f}" for value in by_layer)
figures.show(
    figure,
    f"The mean surprise of the logit lens on unseen tales, after the embeddings and after each of {L} blocks: {values} nats. Knowing nothing gives "
    f"{nothing:.2f}. The last value is that of the whole model.",
)
assert abs(by_layer[-1] - measure.surprise(model, pieces)) < 1e-3 and by_layer[-1] < by_layer[0]

# %% [markdown]
# After the embeddings the lens has {{by_layer[0]:.2f}} nats, at the end {{by_layer[-1]:.2f}}. At first it may be worse than "knows nothing":
# training has only looked at the logits at the end, and nothing made the early stream a good prediction. Right after the embeddings, the stream
# says mainly "I have just read this token", and the same token rarely comes twice in a row.
#
# ## Break it: four mistakes in the model
#
# Here are four mistakes that are easy to make when you write the whole model, one at a time:
#
# - *no ln_f*: the last layer norm is forgotten.
# - *restarted*: after each block the stream is replaced by what the block's two parts computed: it is not added to the stream.
# - *reversed*: the blocks run in the wrong order.
# - *norms exchanged*: ln_1 and ln_2 change places.


# %%
def own_forward(order=None, add=True, last_norm=True, norms=("ln_1", "ln_2")):
    """Return the mean surprise of the model on the pieces, with switches for mistakes."""
    x = params.wte.weight[pieces] + params.wpe.weight[: pieces.shape[1]]
    for layer in order or range(L):
        p = params.h[layer]
        first, second = (getattr(p, name) for name in norms)
        start = x
        normed = formulas.layer_norm(x, first.weight, first.bias, eps)
        x = x + formulas.self_attention(normed, p.attn.attention, config.num_heads, config.window(layer))
        normed = formulas.layer_norm(x, second.weight, second.bias, eps)
        x = x + formulas.mlp(normed, p.mlp, config.activation_function)
        x = x if add else x - start
    if last_norm:
        x = formulas.layer_norm(x, params.ln_f.weight, params.ln_f.bias, eps)
    return float(loss.cross_entropy((x @ params.wte.weight.T)[:, :-1], pieces[:, 1:]).mean())


surprise = {
    "right": own_forward(),
    "no ln_f": own_forward(last_norm=False),
    "restarted": own_forward(add=False),
    "reversed": own_forward(order=list(reversed(range(L)))),
    "norms exchanged": own_forward(norms=("ln_2", "ln_1")),
}
assert abs(surprise["right"] - by_layer[-1]) < 1e-3

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.9)
figures.bars(axes, list(surprise), list(surprise.values()), xlabel="mean surprise in nats", marked=list(surprise)[1:])
values = "; ".join(f"{name} {value:.2f}" for name, value in surprise.items())
figures.show(
    figure,
    f"Mean surprise in nats on {pieces.size} tokens of unseen tales, right and with four mistakes: {values}. Knowing nothing gives {nothing:.2f}.",
)
assert min(list(surprise.values())[1:]) > surprise["right"] + 0.3

# %% [markdown]
# Every one of these mistakes runs without an error. The smallest damage is {{min(list(surprise.values())[1:]) - surprise["right"]:.2f}} nats, the largest
# {{max(surprise.values()) - surprise["right"]:.2f}}. *Norms exchanged* looks harmless, because both layer norms level in the same way. But
# each has its own gains and biases, and they were trained for the part that reads them: with the other norm, some channels become
# too large and others too small. A comparison with numbers that are known to be right finds them all. So this project compares
# its model with an independent program, number by number.
#
# ## The same in the package

# %%
show_source(
    formulas.block,
    notes={
        "x[:, -keep:] + attended": "The stream is added to, never replaced.",
        "return x + mlp(": "The MLP reads the new stream.",
    },
)
show_source(
    formulas.transformer,
    notes={
        "embed(ids, positions": "Notebook 03.",
        "layer_norm(x, params.ln_f.weight": "The last layer norm, once, after all blocks.",
    },
)

# %% [markdown]
# Now read the whole page: [forward.py](../neo_np/gpt_neo/forward.py). You have written nearly every function in it. Only
# small helpers are new: `activate` looks up the activation function by its name, `output_embedding` gives the token table,
# `no_hook` and `under` serve the hooks. And `padding`, `cache` and `keep` make it work for several texts and for faster
# writing: [notebook 11](11_generation.ipynb).
#
# ## Your own model
#
# The checker has kept every answer that passed. The next cell builds the whole model from them, and takes the functions of the course for those
# that are missing. Then it writes. Each token is drawn by its probability, and the number of your functions is the seed of the drawing: with
# each further function of yours the model tells another tale.

# %%
write_with_answers("Once upon a time", max_new_tokens=40)

# %% [markdown]
# ## Three sentences to remember
#
# 1. Blocks only add to the stream, so it can be read after every block.
# 2. A block adds twice: first x = x + attention(ln_1(x)), then x = x + mlp(ln_2(x)).
# 3. The logits are dot products of the last, levelled stream with the rows of the token table.
#
# ## Two questions to recall
#
# 1. From notebook 08: what is missing in an MLP without an activation function?
# 2. From notebook 07: why can news reach a token outside of the window?
#
# <details><summary>Answers</summary>
#
# 1. The bend: two linear layers in a row are only one linear layer.
# 2. Because tokens pass it on from layer to layer, and because global layers see everything.
#
# </details>

# %%
progress()

# %% [markdown]
# You have come from a text to the logits. The second part of the course leads from the logits back to text, and then to training.
#
# Back: [08 The MLP](08_mlp.ipynb). On: [10 Sampling](10_sampling.ipynb). All notebooks: [README](README.md). All terms: [glossary](GLOSSARY.md). Source:
# {{source("gpt_neo.forward.block")}}, {{source("gpt_neo.forward.transformer")}} and {{source("gpt_neo.forward.forward")}}.
