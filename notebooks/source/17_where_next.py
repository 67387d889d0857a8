# %% [markdown]
# # 17 Where next
#
# **Question: what did later models change?**
#
# About {{minutes}} minutes (an estimate). You need notebooks 04 to 09 and 11. There are no exercises here, only predictions.
#
# GPT-Neo is from 2021. The largest models of today have more than a thousand times as many parameters as GPT-Neo 125M. But their page of formulas is still the one that you have rebuilt, with
# four changes of about ten lines each. This notebook makes these four changes, checks each of them, and ends with a reading list. You need sine and cosine here, and nothing more of school
# mathematics than before.

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
from neo_np.checkpoint.loading import load_config
from neo_np.exercises import check, hint, predict, progress, reveal, show_source
from neo_np.folders.find import find_checkpoint
from neo_np.gpt_neo import activations, loss
from neo_np.gpt_neo import forward as formulas

model = neo_np.load()
tokenizer, config, params = model.tokenizer, model.config, model.params
H, D, L, eps = config.num_heads, config.head_size, config.num_layers, config.layer_norm_epsilon
rng = np.random.default_rng(0)

# %% [markdown]
# ## The same checkpoint in transformers
#
# The program library that most people use for such models is called transformers. It reads the same files as neo_np. So
# what you have learnt is not a toy: the same parameters, loaded there, give the same logits. If transformers is installed,
# the next cell shows it. (The outputs that came with the course were made without it.)

# %%
text = "Once upon a time there was a king who"
ids = tokenizer.encode(text)
try:
    import torch
    import transformers
except ImportError:
    print("transformers is not installed. To get it, run this line in a terminal, restart this notebook and run all cells:")
    print("    pip install torch transformers")
else:
    other = transformers.GPTNeoForCausalLM.from_pretrained(find_checkpoint(), dtype=torch.float32).eval()
    with torch.no_grad():
        logits = other(torch.tensor([ids])).logits[0].numpy()
        written = other.generate(torch.tensor([ids]), max_new_tokens=12, do_sample=False)[0].tolist()
    print(f"largest difference of the logits: {np.abs(logits - model.logits(ids)).max():.0e}")
    print("transformers writes:", tokenizer.decode(written))
print("neo_np writes:", model.generate(text, max_new_tokens=12))

# %% [markdown]
# The other way round it works too: `neo_np.save(model, "weights/mine")` writes a folder that transformers loads. So you can train a small model here and
# continue elsewhere, on a graphics card.
#
# ## Four changes
#
# This table has some models that were published with all their parameters. Hatched cells are as in GPT-Neo. Four of the five columns are the four changes, and each has a section below; you need not
# understand the words in the cells yet. (*Key heads*: how many heads of keys and values a layer has. *Local layers*: which layers have a window, notebook 07.)

# %%
table = {
    "GPT-Neo 2021": ("learned", "layer", "GELU", "H", "half"),
    "GPT-NeoX 2022": ("rotary", "layer", "GELU", "H", "none"),
    "LLaMA 2023": ("rotary", "RMS", "SwiGLU", "H", "none"),
    "Llama 2 70B 2023": ("rotary", "RMS", "SwiGLU", "H / 8", "none"),
    "Mistral 7B 2023": ("rotary", "RMS", "SwiGLU", "H / 4", "all"),
}
columns = ["positions", "norm", "MLP", "key heads", "local layers"]

# %% tags=["figure"]
figure, axes = figures.new(8, 3.4)
for i, row in enumerate(table.values()):
    for j, cell in enumerate(row):
        old = cell == table["GPT-Neo 2021"][j]
        figures.box(
            axes, j, -i, 0.94, 0.8, "", colour=figures.PALE_GREY if old else figures.PALE_BLUE, hatch="//" if old else ""
        )
        paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5} if old else None
        axes.text(j, -i, cell, ha="center", va="center", fontsize=11, bbox=paper)
axes.set(xlim=(-0.55, len(columns) - 0.45), ylim=(-len(table) + 0.45, 0.55))
axes.set_yticks(-np.arange(len(table)), list(table))
axes.set_xticks(range(len(columns)), columns)
axes.xaxis.tick_top()
axes.tick_params(length=0)
axes.spines[:].set_visible(False)
values = "; ".join(f"{name}: {', '.join(row)}" for name, row in table.items())
figures.show(
    figure,
    f"Five models and what they use for {', '.join(columns)}. {values}. H is the number of heads. Hatched: as in GPT-Neo.",
)

# %% [markdown]
# Local layers, which you know from notebook 07, were rare for some years, and are in use again. The four later models also divide the scores by
# sqrt(D) (notebook 05), and have a second table for the logits, which is not the token table. From LLaMA on, linear layers have no bias. (GPT-NeoX has two differences that the table does not show: its
# attention and its MLP read the same stream side by side, and only a quarter of the channels is turned.)
#
# ## Change 1: rotary positions
#
# GPT-Neo adds a row of the position table once, at the beginning. The table has an end: {{config.max_position_embeddings}} positions in our model, and a text
# can't be longer. And the sum of token and position is used for everything, although positions matter above all in attention: there a token looks for "the word before" or
# "near to me".
#
# **Rotary positions** need no table, so there is no last position. (That does not make long texts easy: a model has not been trained on distances that are longer than its training texts, and
# gets worse there.) Queries and keys are *turned*. Take two channels of a query as a point in the plane, (a, b). A token at
# position t turns this point by the angle t × speed around (0, 0):
#
# > a' = a cos(angle) - b sin(angle)
# >
# > b' = a sin(angle) + b cos(angle)
#
# a' and b' are the new channels. The angle is in *radians*: a half turn is 3.14, which is pi, and 1 radian is about 57 degrees. Why these formulas? The point (1, 0) goes to (cos(angle),
# sin(angle)): this is what cosine and sine mean. The point (0, 1) is a quarter turn ahead of it, so it goes to (-sin(angle), cos(angle)). And (a, b) is a times the first plus b times the second.
#
# Each pair of channels has a speed of its own: the first pair turns fast, like the second hand of a clock,
# and the last one slowly, like the hour hand. (Su et al. 2021, arXiv 2104.09864. Some programs pair channel 0 with channel D / 2, and so on. This is as good, but weights
# that were trained in one way must run in the same way.)


# %%
def rotate(x, positions, base=10000.0):
    """Turn each pair of channels of x, (..., T, D), by an angle that grows with the token's position, (T,)."""
    D = x.shape[-1]
    speeds = base ** (-np.arange(0, D, 2) / D)  # (D / 2,) from 1 down to nearly 1 / base
    angles = positions[:, None] * speeds  # (T, D / 2)
    a, b = x[..., 0::2], x[..., 1::2]  # (..., T, D / 2): the even channels and the odd ones
    turned = np.empty(x.shape)  # floats, also if x has integers
    turned[..., 0::2] = a * np.cos(angles) - b * np.sin(angles)
    turned[..., 1::2] = a * np.sin(angles) + b * np.cos(angles)
    return turned


# %% [markdown]
# The picture follows one point, (1, 0), through four tokens, in a fast pair and in a slower one.

# %%
paths = rotate(np.tile([1.0, 0.0], (4, 8)), np.arange(4))  # (T, D): four positions, eight pairs
fast, slow = paths[:, 0:2], paths[:, 2:4]  # the first pair, and the second one

# %% tags=["figure"]
figure, panels = figures.new(8, 3.9, panels=2)
for axes, path, title in zip(panels, (fast, slow), ("a fast pair", "a slower pair")):
    circle = np.linspace(0, 2 * math.pi, 200)
    axes.plot(np.cos(circle), np.sin(circle), color=figures.GREY, linewidth=0.8)
    for t, (a, b) in enumerate(path):
        axes.annotate("", (a, b), (0, 0), arrowprops={"arrowstyle": "->", "color": "black", "linewidth": 1.2})
        axes.text(
            1.16 * a,
            1.16 * b,
            f"t = {t}",
            ha="left" if a > 0.3 else "right" if a < -0.3 else "center",
            va="center",
            fontsize=10,
        )
    axes.set(title=title, xlim=(-1.6, 1.6), ylim=(-1.35, 1.35), aspect="equal", xlabel="a", ylabel="b")
degrees = [math.degrees(math.atan2(pair[1, 1], pair[1, 0])) for pair in (fast, slow)]
figures.show(
    figure,
    f"The point (1, 0) as an arrow at the positions t = 0, 1, 2 and 3. Left: the first pair of channels turns by {degrees[0]:.0f} degrees at each token. Right: the second of "
    f"eight pairs turns by {degrees[1]:.0f} degrees. All arrows keep their length.",
)
assert degrees[0] > 2 * degrees[1] > 0

# %% [markdown]
# In attention one line is new: `q, k = rotate(q, positions), rotate(k, positions)`, just before the scores. To check it, we turn each arrow in a second way: by its own angle, `atan2(b, a)`. An arrow
# at this angle is turned by t × speed: so afterwards its angle is the sum of both, and its length (`hypot(a, b)`) is as before. (If you know complex numbers: to turn a + bi means to multiply it by cos(angle) + i sin(angle).)

# %%
q, k = rng.standard_normal((2, 5, 8))  # five tokens, eight channels
positions = np.arange(5)
for t in range(5):
    for pair in range(4):
        a, b = q[t, 2 * pair : 2 * pair + 2]
        length, angle = math.hypot(a, b), math.atan2(b, a) + positions[t] / 10000 ** (2 * pair / 8)
        assert np.allclose(
            rotate(q, positions)[t, 2 * pair : 2 * pair + 2], [length * math.cos(angle), length * math.sin(angle)]
        )

# %% [markdown]
# **Predict:** a query at position 7 and a key at position 4 have some score. Both tokens move on by 100 positions, to 107 and 104. Does the score get
# `"smaller"`, `"larger"`, or does it stay the `"same"`?

# %%
predict("17.1", ...)


# %%
def score(query_position, key_position):
    """Return the score of the first query and the first key, turned to these positions."""
    turned_q, turned_k = rotate(q[:1], np.array([query_position])), rotate(k[:1], np.array([key_position]))
    return float((turned_q @ turned_k.T)[0, 0])


near, far = score(7, 4), score(107, 104)
reveal("17.1", "same" if abs(near - far) < 1e-9 else "smaller" if far < near else "larger")
for distance in range(4):
    assert all(math.isclose(score(t + distance, t), score(distance, 0), abs_tol=1e-9) for t in range(50))
assert np.allclose((rotate(q, positions) ** 2).sum(axis=-1), (q**2).sum(axis=-1))  # turning keeps the length

# %% [markdown]
# It stays the same. When both tokens move on by 100 positions, in each pair of channels the two points turn by the same angle, so the angle between them does not change, and neither does their dot product; the score is the sum over the pairs. So
# the positions enter a score only through the *distance* of the two tokens. Nothing of this was learnt: it is so by construction.
#
# The picture compares this with the position table. The same token is at eight places. On the left its query and key are turned. On the right are real scores of our
# checkpoint with its position table, in one head of the first layer. (How the scores on the left rise or fall with the distance depends on this query and this key: others give other numbers.)

# %%
T = 8
same = np.full(T, tokenizer.encode(" king")[0])
seen = measure.record(model, same)
learned = seen["h.0.attn.scores"]  # (H, T, T)
head = int(learned.std(axis=(-1, -2)).argmax())  # the head whose scores differ most
learned = learned[head]
q_token = np.repeat(seen["h.0.attn.q"][head][:1].astype(float), T, axis=0)  # (T, D): the query of the first place, T times
k_token = np.repeat(seen["h.0.attn.k"][head][:1].astype(float), T, axis=0)
turned = rotate(q_token, np.arange(T)) @ rotate(k_token, np.arange(T)).T
future = np.triu(np.ones((T, T), bool), 1)


def unequal(scores):
    """Return the largest difference between two scores of the same distance."""
    return max(float(np.ptp(scores.diagonal(-distance))) for distance in range(T - 1))


# %% tags=["figure"]
figure, panels = figures.new(8.2, 3.7, panels=2)
for axes, scores, title in zip(panels, (turned, learned), ("rotary positions", "the checkpoint's table")):
    figures.matrix(
        axes, scores, rows=range(T), columns=range(T), hidden=future, signed=True, decimals=1, title=title, size=9.5,
        ylabel="position of the query", xlabel="position of the key",
    )  # fmt: skip
figures.show(
    figure,
    f"Scores of the same token at {T} places; the future is hatched. Left: with rotary positions each diagonal has one value, for this query and key from {turned[0, 0]:+.1f} at distance 0 "
    f"to {turned[-1, 0]:+.1f} at distance {T - 1}. Right: with the position table of the checkpoint (layer 0, head {head}), scores of the same distance differ by up to "
    f"{unequal(learned):.1f}.",
)
assert unequal(turned) < 1e-6 < unequal(learned)

# %% [markdown]
# ## Change 2: RMS norm
#
# Layer norm (notebook 04) subtracts the mean, divides by the standard deviation, multiplies by the gain and adds the bias. **RMS norm** only
# divides and multiplies. It divides by the root of the mean of the squares, which is what RMS stands for. It has less to compute and no bias to learn, and works as well.
# (Zhang and Sennrich 2019, arXiv 1910.07467.)
#
# If you would like to write it yourself first: the next cell is an exercise, and `hint("rms_norm")` helps. The answer is in the cell after it. (To skip it, run the cell as it is.)


# %%
@check
def rms_norm(x, weight, eps):
    """RMS norm, as in Llama: divide each row of x, (T, C), by the root of its mean square, then multiply by weight,
    (C,). eps is added to the mean square, so that a row of zeros does not divide by 0.
    """
    ...


# %%
# hint("rms_norm")

# %% [markdown]
# Here is an answer.


# %%
def rms_norm(x, weight, eps):
    """Divide each row of x, (..., C), by the root of the mean of its squares, then multiply by weight, (C,)."""
    mean_square = (x * x).sum(axis=-1, keepdims=True) / x.shape[-1]  # (..., 1)
    return x / np.sqrt(mean_square + eps) * weight


# %% [markdown]
# If the mean of a row is 0, there is nothing to subtract, and the variance *is* the mean of the squares. So for such rows both norms must agree (with the bias 0). For other rows they differ.

# %%
x = rng.standard_normal((5, 8)) + 3
weight, none = rng.standard_normal(8), np.zeros(8)
centered = x - x.mean(axis=-1, keepdims=True)
assert np.allclose(rms_norm(centered, weight, 1e-5), formulas.layer_norm(centered, weight, none, 1e-5))
assert not np.allclose(rms_norm(x, weight, 1e-5), formulas.layer_norm(x, weight, none, 1e-5))

# %% [markdown]
# ## Change 3: SwiGLU
#
# The MLP (notebook 08) widens, activates and narrows. **SwiGLU** widens twice. One of the two results goes through the activation function *silu*, x / (1 + exp(-x)), and they are
# multiplied, number by number. So one part of the MLP decides how much of the other part goes through: it is a **gate**. (Shazeer 2020, arXiv 2002.05202. At the end he
# writes that he has no explanation why it works better.)


# %%
def swiglu(x, gate, up, down):
    """Apply the MLP with a gate: x (..., C); gate and up (F, C), down (C, F) -> (..., C)."""
    opened = activations.silu(formulas.linear(x, gate))  # (..., F)
    return formulas.linear(opened * formulas.linear(x, up), down)


gate, up, down = rng.standard_normal((6, 8)), rng.standard_normal((6, 8)), rng.standard_normal((8, 6))  # C = 8, F = 6
for row, result in zip(x, swiglu(x, gate, up, down)):
    loop = np.zeros(8)
    for neuron in range(6):
        opens = sum(row[c] * gate[neuron, c] for c in range(8))
        carries = sum(row[c] * up[neuron, c] for c in range(8))
        loop = loop + opens / (1 + math.exp(-opens)) * carries * down[:, neuron]
    assert np.allclose(result, loop)

# %% [markdown]
# **Predict:** GPT-Neo's MLP has two weights of the shapes (4C, C) and (C, 4C), so 8 × C × C numbers. SwiGLU has three weights. How wide may it be to have
# the same number? Write F as a multiple of C, such as `4.0`, with two decimals.

# %%
predict("17.2", ...)

# %%
reveal("17.2", 8 / 3)

# %% [markdown]
# 3 × F × C = 8 × C × C gives F = 8/3 × C, about 2.67 × C. The smallest LLaMA model has C = 4096 and F = 11008, which is 2.69 × C.
#
# ## Change 4: grouped queries
#
# The cache (notebook 11) keeps the keys and values of all tokens in all layers. With long texts and many users at once it needs more memory than the parameters: the picture below has the numbers. With
# **grouped queries** several heads share one head of keys and values. Each head still has queries of its own. The heads that share one form a **group**. G is the number of groups, and so the number of heads of keys and values. (Ainslie et al. 2023, arXiv 2305.13245; all heads sharing
# one is older: Shazeer 2019, arXiv 1911.02150.)


# %%
def grouped_attention(q, k, v):
    """Attend with q (B, H, T, D) and fewer heads of keys and values, (B, G, T, D): each serves H / G heads of queries."""
    share = q.shape[1] // k.shape[1]  # H / G
    return formulas.attention(q, np.repeat(k, share, axis=1), np.repeat(v, share, axis=1))


# %% [markdown]
# Two checks. With as many groups as heads, it is the old attention. With fewer, it must be the same as one head after the other, each with the keys and values of its group.

# %%
q, k, v = rng.standard_normal((3, 1, 6, 5, 4))  # B = 1, H = 6, T = 5, D = 4
assert np.array_equal(grouped_attention(q, k, v), formulas.attention(q, k, v))
for G in (1, 2, 3):
    result = grouped_attention(q, k[:, :G], v[:, :G])
    for h in range(6):
        group = h * G // 6
        for t in range(5):
            weights = np.exp([q[0, h, t] @ k[0, group, s] for s in range(t + 1)])
            mean = sum(weight * v[0, group, s] for s, weight in enumerate(weights)) / weights.sum()
            assert np.allclose(result[0, h, t], mean)

# %%
large = load_config(find_checkpoint("gpt-neo-125M", weights_wanted=False) / "config.json")  # the sizes of GPT-Neo 125M
groups = [G for G in range(large.num_heads, 0, -1) if large.num_heads % G == 0]
megabytes = [2 * large.num_layers * G * large.head_size * 4 * large.max_position_embeddings / 1e6 for G in groups]
C_large, F_large = large.hidden_size, large.intermediate_size
in_blocks = large.num_layers * (4 * C_large**2 + 2 * C_large * F_large)  # biases and norms are few
weights_in_mb = 4 * ((large.vocab_size + large.max_position_embeddings) * C_large + in_blocks) / 1e6

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.9)
labels = [f"{G} heads" if G > 1 else "1 head" for G in groups]
figures.bars(axes, labels, megabytes, xlabel="megabytes of cache for one text", decimals=0, marked=labels[1:])
figures.show(
    figure,
    f"The cache of a model with the sizes of GPT-Neo 125M for one text of {large.max_position_embeddings} tokens, by the number of heads of keys and values: "
    + ", ".join(f"{label} {size:.0f} MB" for label, size in zip(labels, megabytes))
    + f". The first bar is GPT-Neo as it is: {math.ceil(weights_in_mb / megabytes[0])} such texts need more memory than its parameters, {weights_in_mb:.0f} MB.",
)

# %% [markdown]
# ## All four together
#
# Here is the block of a later model, made of the four pieces. Compare it line by line with the `block` of notebook 09. In later models the scores are divided by sqrt(D); here the
# queries are, which gives the same scores.


# %%
def later_block(x, p, positions, num_heads, groups):
    """One block as in Llama 2: x (B, T, C) -> (B, T, C). p has the weights by their names."""
    normed = rms_norm(x, p["norm_1"], 1e-5)
    q = formulas.split_heads(formulas.linear(normed, p["q"]), num_heads)  # (B, H, T, D)
    k = formulas.split_heads(formulas.linear(normed, p["k"]), groups)  # (B, G, T, D)
    v = formulas.split_heads(formulas.linear(normed, p["v"]), groups)
    q, k = rotate(q, positions) / math.sqrt(q.shape[-1]), rotate(k, positions)
    x = x + formulas.linear(formulas.merge_heads(grouped_attention(q, k, v)), p["out"])
    return x + swiglu(rms_norm(x, p["norm_2"], 1e-5), p["gate"], p["up"], p["down"])


C, heads, kept, F = 24, 6, 2, 64  # kept: heads of keys and values
shapes = {
    "norm_1": (C,), "q": (C, C), "k": (C * kept // heads, C), "v": (C * kept // heads, C), "out": (C, C),
    "norm_2": (C,), "gate": (F, C), "up": (F, C), "down": (C, F),
}  # fmt: skip
p = {name: rng.standard_normal(shape) / math.sqrt(shape[-1]) for name, shape in shapes.items()}
x = rng.standard_normal((1, 7, C))  # one text of seven tokens

# %% [markdown]
# **Predict:** the block runs on seven tokens, once with the positions 0 to 6 and once with 1000 to 1006. Is the result the same, except for rounding? Write `True` or `False`.

# %%
predict("17.3", ...)

# %%
start, later = (later_block(x, p, first + np.arange(7), heads, kept) for first in (0, 1000))
reveal("17.3", bool(np.allclose(start, later)))
stretched = later_block(x, p, 2 * np.arange(7), heads, kept)  # other distances: the result must change
changed = x.copy()
changed[0, -1] += 1  # another last token: the earlier rows must not change
assert np.allclose(start, later) and not np.allclose(start, stretched)
assert np.allclose(later_block(changed, p, np.arange(7), heads, kept)[:, :-1], start[:, :-1])

# %% [markdown]
# It is the same, because only distances count. A whole model has, besides such blocks, only parts that you know: the token table before the first block, one more norm after the last one, and a table for the logits. And a change of the last token does not reach the rows before it: the mask still hides the future.
#
# ## The real checkpoint. Break it: a trained model with a new formula
#
# These formulas are good. So can we put them into our trained checkpoint? We try three of them, one at a time, on unseen tales:
#
# - *RMS norm* in the place of layer norm, with the checkpoint's gains and biases.
# - *rotary*: queries and keys are turned, in addition to the position table.
# - *shared*: all heads share one head of keys and values: the mean of theirs.
#
# (SwiGLU needs a third weight, and the checkpoint has none.)
#
# **Predict:** which of them harms least? Write `"RMS norm"`, `"rotary"` or `"shared"`.

# %%
predict("17.4", ...)

# %%
pieces = measure.windows(model)
places = np.arange(pieces.shape[1])


def rms_with_bias(x, weight, bias, eps):
    """RMS norm, and the bias of the layer norm whose place it takes."""
    return rms_norm(x, weight, eps) + bias


def turn(name, array):
    """Turn queries and keys."""
    return rotate(array, places) if name in ("attn.q", "attn.k") else array


def share(name, array):
    """Replace the keys of all heads, and the values, by their mean."""
    return np.repeat(array.mean(axis=1, keepdims=True), H, axis=1) if name in ("attn.k", "attn.v") else array


def changed_surprise(norm=formulas.layer_norm, hook=lambda name, array: array):
    """Return the mean surprise of the checkpoint on the pieces, with another norm or a hook in its attention."""
    x = formulas.embed(pieces, places, params.wte.weight, params.wpe.weight)
    for layer, p in enumerate(params.h):
        normed = norm(x, p.ln_1.weight, p.ln_1.bias, eps)
        x = x + formulas.self_attention(normed, p.attn.attention, H, config.window(layer), hook=hook)
        x = x + formulas.mlp(norm(x, p.ln_2.weight, p.ln_2.bias, eps), p.mlp, config.activation_function)
    x = norm(x, params.ln_f.weight, params.ln_f.bias, eps)
    logits = formulas.linear(x, formulas.output_embedding(params))
    return float(loss.cross_entropy(logits[:, :-1], pieces[:, 1:]).mean())


surprise = {
    "as trained": changed_surprise(),
    "RMS norm": changed_surprise(norm=rms_with_bias),
    "rotary": changed_surprise(hook=turn),
    "shared": changed_surprise(hook=share),
}
new = list(surprise)[1:]
reveal("17.4", min(new, key=surprise.get))

means = []  # for each norm: the share of the squared mean in the mean of the squares


def norm_and_keep_mean(x, weight, bias, eps):
    """Layer norm, which keeps how large the mean of its rows is."""
    means.append(float((x.mean(axis=-1) ** 2).mean() / (x**2).mean()))
    return formulas.layer_norm(x, weight, bias, eps)


changed_surprise(norm=norm_and_keep_mean)
assert len(means) == 2 * L + 1

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.6)
figures.bars(axes, list(surprise), list(surprise.values()), xlabel="mean surprise in nats", decimals=3, marked=new)
values = ", ".join(f"{name} {value:.3f}" for name, value in surprise.items())
figures.show(
    figure,
    f"Mean surprise of the checkpoint on {pieces.size} tokens of unseen tales, as trained and with one formula exchanged (hatched): {values} nats. Knowing nothing "
    f"gives {math.log(config.vocab_size):.2f}.",
)
assert abs(surprise["as trained"] - measure.surprise(model, pieces)) < 1e-3
assert min(surprise["rotary"], surprise["shared"]) > surprise["as trained"] + 0.01

# %% [markdown]
# As trained the surprise is {{surprise["as trained"]:.3f}} nats. *{{min(new, key=surprise.get)}}* harms least ({{min(surprise[name] for name in new):.3f}}), *{{max(new, key=surprise.get)}}*
# most ({{max(surprise[name] for name in new):.3f}}). How much RMS norm harms depends on one thing: how far the means of the rows are from 0, because that is all that
# layer norm takes away and RMS norm does not. Before the norms of our checkpoint, the square of the mean is at most {{f"{max(means):.1%}"}} of the mean of the squares. Why is it so little? Layer norm ignores the mean of
# a row, so the training has no reason to move it away from 0, where the random numbers of the beginning have put it. This is a good argument for RMS norm: what it leaves out had little to do. In the other two changes
# tokens look at other tokens than before (and with "shared" they also take a mean of values), while every head was trained for its own queries, keys and values.
#
# You saw the same in notebooks 05 and 07: a formula is good or bad only together with the training. A new formula usually needs a new model, or at least more training.
#
# ## The same in the package
#
# The page that you rebuilt, and the places where the four changes go:

# %%
show_source(
    formulas.self_attention,
    notes={
        "k_proj": "Grouped queries: k and v are split into fewer heads, from smaller projections.",
        "if cache is not None": "Rotary positions: turn q and k just before this line, so that the cache keeps turned keys.",
        "z = hook(": "Grouped queries: repeat k and v for the heads of their group just before this line.",
    },
)
show_source(
    formulas.block,
    notes={
        "layer_norm(x, p.ln_1.weight, p.ln_1.bias, eps)": "RMS norm: here, before the MLP, and once more after the last block.",
        "mlp(normed, p.mlp, config.activation_function, hook)": "SwiGLU: the same place, with three weights.",
    },
)

# %% [markdown]
# Source: {{source("gpt_neo.forward.attention")}}, {{source("gpt_neo.forward.layer_norm")}}, {{source("gpt_neo.forward.mlp")}},
# {{source("gpt_neo.activations.silu")}}, {{source("gpt_neo.cache.KVCache")}}.
#
# ## What you can do now
#
# - Train a model on texts of your own: `python -m neo_np.train my_texts/ --out runs/mine`.
# - A project for some days: copy the folder `neo_np`, and put RMS norm or rotary positions into its `gpt_neo`: into forward.py, into backward.py (you know how to check derivatives: notebook 13), and into fast.py,
#   which computes the same faster. Then train both versions on the same text and compare.
# - Look into a run: `python -m neo_np.explain "Once upon a time" --out run.html`.
# - Write the other exercises that are in no notebook: `hint("scaled_attend")`, `hint("sink_mask")`, `hint("min_p_probabilities")`, `hint("smoothed_cross_entropy")` and `hint("momentum_step")` show their tasks, as cells to copy.
#
# ## Reading list
#
# The parts of this course, in the words of those who made them or made them known:
#
# - Attention: Vaswani et al. 2017, "Attention Is All You Need" (arXiv 1706.03762). You can read all of it now.
# - A model that only continues texts: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners" (GPT-2).
# - Byte-pair encoding: Sennrich et al. 2016 (arXiv 1508.07909). Layer norm: Ba et al. 2016 (arXiv 1607.06450). GELU: Hendrycks and Gimpel 2016 (arXiv 1606.08415). Local layers: Child et al. 2019 (arXiv 1904.10509).
# - Top-p: Holtzman et al. 2019 (arXiv 1904.09751). Speculative decoding: Leviathan et al. 2022 (arXiv 2211.17192). AdamW: Loshchilov and Hutter 2017 (arXiv 1711.05101).
# - GPT-Neo: Black et al. 2021 (doi 10.5281/zenodo.5297715). Its texts: Gao et al. 2020, "The Pile" (arXiv 2101.00027).
# - Small models that write tales: Eldan and Li 2023, "TinyStories" (arXiv 2305.07759).
#
# Larger models:
#
# - How the loss falls with more parameters and more text: Kaplan et al. 2020 (arXiv 2001.08361) and Hoffmann et al. 2022 (arXiv 2203.15556).
# - GPT-3: Brown et al. 2020 (arXiv 2005.14165). GPT-NeoX: Black et al. 2022 (arXiv 2204.06745). LLaMA and Llama 2: Touvron et al. 2023 (arXiv 2302.13971 and 2307.09288). Mistral 7B: Jiang et al. 2023 (arXiv 2310.06825).
# - From continuing texts to answering questions: Ouyang et al. 2022 (arXiv 2203.02155).
# - Attention without large tables: Dao et al. 2022, "FlashAttention" (arXiv 2205.14135).
#
# Looking inside, and dangers:
#
# - Elhage et al. 2021, "A Mathematical Framework for Transformer Circuits" (transformer-circuits.pub), and Olsson et al. 2022 on induction heads (arXiv 2209.11895).
# - Bender et al. 2021, "On the Dangers of Stochastic Parrots" (doi 10.1145/3442188.3445922).
#
# Code that is made to be read: picoGPT (Jay Mody), minbpe, micrograd and nanoGPT (Andrej Karpathy), The Annotated Transformer (Alexander Rush), and
# the page that you know: [forward.py](../neo_np/gpt_neo/forward.py).
#
# ## Three sentences to remember
#
# 1. Later models keep the page of formulas: the residual stream, attention, the MLP, the logits.
# 2. With rotary positions, scores depend on positions only through the distance; RMS norm does not subtract the mean; SwiGLU has a gate; grouped queries make the cache small.
# 3. A formula belongs to the training: exchange it in a trained model, and the model usually gets worse, sometimes much
#    worse.
#
# ## Two questions to recall
#
# 1. From notebook 11: what does the cache keep, and why are queries not in it?
# 2. From notebook 16: why can the wording of a question change the answer of a language model?
#
# <details><summary>Answers</summary>
#
# 1. Keys and values of all earlier tokens in every layer. Earlier tokens have asked already: only the query of the new token is needed.
# 2. It gives probable continuations, and does not look up facts. Other words before it give other probabilities.
#
# </details>

# %%
progress()

# %% [markdown]
# This was the last notebook. You have rebuilt GPT-Neo, from the text to the next word and back to the gradient.
#
# Back: [16 GPT-Neo 125M](16_gpt_neo_125m.ipynb). All notebooks: [README](README.md). All terms: [glossary](GLOSSARY.md).
