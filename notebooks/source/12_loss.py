# %% [markdown]
# # 12 The loss
#
# **Question: how surprised is it?**
#
# About {{minutes}} minutes (an estimate). You need notebooks 00, 02 and 05.
#
# The model writes. But how good is it? Reading a few of its texts does not tell us much. We want one number, so that we can
# compare two models, or one model before and after a change. Training needs such a number too.
#
# You know it from notebook 00. We give the model a text that *people* have written, and ask at each token: how probable was
# the token that came? The surprise at this token is -log p, in nats. The mean surprise over a whole text is called the
# **loss**, and its longer name is **cross-entropy**. ("Loss", because it is what training tries to make small.) The token
# that came is called the **target** of the prediction.

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
import zlib
from collections import Counter

import figures
import measure
import numpy as np

import neo_np
from neo_np.evaluate import text as evaluation
from neo_np.exercises import check, hint, predict, progress, reveal, show_source, solution
from neo_np.gpt_neo import forward, loss

model = neo_np.load()
tokenizer, config = model.tokenizer, model.config
V = config.vocab_size

# %% [markdown]
# ## A text with its surprises
#
# Here is the beginning of a tale that the model has never seen. In the picture further below, the line under a token is
# thicker and darker if the token was more surprising.

# %%
tale = measure.tales("valid")[0]
ids = np.array(tokenizer.encode(tale)[:36])
tokens = tokenizer.token_strings(ids)
print(tokenizer.decode(ids))
print(tokens)

# %% [markdown]
# **Predict:** which of these tokens surprises the model most? Write one token of the list as a text, with its space if it
# begins with one, such as `" king"`.

# %%
predict("12.1", ...)

# %%
logits = model.logits(ids[:-1])  # (T, V): row t predicts the token after token t
targets = ids[1:]  # (T,) the tokens that came
surprises = loss.cross_entropy(logits, targets)  # (T,) in nats
hardest = int(surprises.argmax())
reveal("12.1", tokens[hardest + 1])

# %% tags=["figure"]
lines = 1 + sum(len(token) + 1.5 for token in tokens) // 60
figure, axes = figures.new(8.3, 0.3 + 0.75 * lines)
figures.underlined(axes, tokens, [None, *surprises.tolist()])
figures.show(
    figure,
    f"The first {len(ids)} tokens of a tale, each with a line below it and its surprise in nats: the thicker and darker the line, the larger the surprise. "
    f"The first token has no number, because nothing comes before it. The most surprising token is “{tokens[hardest + 1]}” with "
    f"{surprises[hardest]:.1f}; the mean is {surprises.mean():.2f}.",
)

# %% [markdown]
# Many thin lines belong to small words that grammar asks for, or to tokens that follow nearly always after the ones before.
# (If a word has several tokens, the rest of the word is often such a case.) Many thick lines belong to words with which
# something new begins. Nobody can foresee these, so no model reaches a loss of 0.
#
# Two kinds of thick lines are less expected. The first tokens may be hard, even those of a well-known beginning: with one token
# before it, the model does not know yet what kind of text it reads. And a comma may be hard: few rules say where a writer sets
# one.
#
# ## The log of a very small number
#
# Now we compute it ourselves. First as a slow loop, from softmax:

# %%
T = len(targets)
surprises_loop = []
for t in range(T):
    p = forward.softmax(logits[t].astype(float))  # (V,) in float64, numbers with 16 digits
    surprises_loop.append(-math.log(p[targets[t]]))

assert np.allclose(surprises, surprises_loop, atol=1e-4)

# %% [markdown]
# This works here, but it has a trap. A computer number cannot be as small as you like. In float32, the numbers of the model,
# everything below about 10^-45 becomes 0; in float64, everything below about 10^-324. Then the log is minus infinity, and one
# such token makes the loss of the whole text infinite.

# %%
far_apart = np.array([0.0, -2000.0])  # two scores
with np.errstate(divide="ignore"):
    print("p:", forward.softmax(far_apart), " -log p:", -np.log(forward.softmax(far_apart)))

# %% [markdown]
# (`np.errstate` hides NumPy's warning.) The true surprise of the second token is 2000 nats, and not infinite. The way out is
# to take the log first, on paper. Let z be the row of scores, (V,), from which its largest number was subtracted (notebook 05
# said why), and j the target. p[j] is a quotient, and the log of a quotient is a difference:
#
# > log p[j] = log( exp(z[j]) / S ) = z[j] - log S,  with S = exp(z[0]) + exp(z[1]) + ... + exp(z[V - 1])
#
# The largest score is now 0, exp(0) = 1, and no other exp is larger. So S lies between 1 and V, and log S is always an
# ordinary number.
#
# ## Exercise: cross-entropy


# %% exercise="cross_entropy"
@check
def cross_entropy(logits, targets):
    """Return the surprise at each position, (T,): -log p of the token that came, in nats. logits is (T, V); targets
    (T,) has the id of the token that came after each position. The scores may be thousands apart: take the log of
    the sum and not of the quotient.
    """
    shifted = logits - ...  # (T, V), the largest of each row is 0
    log_p = shifted - np.log(...)  # (T, V), the log of each probability
    return -log_p[..., targets]  # (T,), one number of each row


# %%
# hint("cross_entropy")
# solution("cross_entropy")

# %% [markdown]
# The same for our text, compared with the loop above; and the two scores that lie far apart:

# %%
z = logits - logits.max(axis=-1, keepdims=True)  # (T, V)
log_p = z - np.log(np.exp(z).sum(axis=-1, keepdims=True))  # (T, V)
by_numpy = -log_p[np.arange(T), targets]  # (T,)

assert np.allclose(by_numpy, surprises_loop, atol=1e-4)
print("far apart:", loss.cross_entropy(far_apart[None], np.array([1])))

# %% [markdown]
# ## Compared with what?
#
# A loss says little by itself. It needs a **baseline**: a very simple way to predict, which a good model must beat. Two are
# usual:
#
# - *Knows nothing*: each of the V tokens has the probability 1 / V. The surprise is always log V.
# - *Knows how often*: each token has the probability with which it occurs in the training text, whatever came before. This is
#   called the **unigram** model, from *one* token at a time.
#
# The unigram model needs only counts (`Counter` counts how often each id occurs). A token that the counted text does not have
# would get the probability 0, and an infinite surprise. So we add 1 to every count.

# %%
counts = np.ones(V)  # add one to each
for id, number in Counter(id for tale in measure.tales("train") for id in tokenizer.encode(tale)).items():
    counts[id] += number
unigram = -np.log(counts / counts.sum())  # (V,) the surprise of each token

pieces = measure.windows(model, number=24)  # (24, 128) tokens of unseen tales
by_token = loss.cross_entropy(model.logits(pieces)[:, :-1], pieces[:, 1:])  # (24, 127)
losses = {"knows nothing": math.log(V), "unigram": float(unigram[pieces[:, 1:]].mean()), "the model": float(by_token.mean())}

# %% [markdown]
# **Predict:** how many percent of the loss of "knows nothing" is the model's loss? Write a whole number, such as `50`.

# %%
predict("12.2", ...)

# %%
reveal("12.2", round(100 * losses["the model"] / losses["knows nothing"]))

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.1)
figures.bars(
    axes, list(losses), list(losses.values()), xlabel="loss: mean surprise in nats", marked=["knows nothing", "unigram"]
)
shown = "; ".join(f"{name} {value:.2f}" for name, value in losses.items())
figures.show(figure, f"The loss on {by_token.size} tokens of unseen tales, for two baselines and the model: {shown} nats.")
assert losses["the model"] < losses["unigram"] - 0.5 and losses["unigram"] < losses["knows nothing"] - 0.5

# %% [markdown]
# Counting takes the loss from {{losses["knows nothing"]:.2f}} to {{losses["unigram"]:.2f}} nats, and reading the text before
# each token takes it to {{losses["the model"]:.2f}}. In notebook 14 you will see a new model get below both baselines, one
# after the other, while it learns.
#
# ## Perplexity
#
# Nats are hard to imagine. So the loss is often turned back:
#
# > **perplexity** = exp(loss)
#
# It is a number of tokens. A model that knows nothing has the loss log V, and so the perplexity V: a choice among V equally
# likely tokens. A model with the perplexity 10 is, on average, as unsure as if it had to choose among 10 equally likely
# tokens. The unigram model has the perplexity {{math.exp(losses["unigram"]):.0f}}, our model has
# {{math.exp(losses["the model"]):.1f}}, of {{V}} tokens.
#
# ## Exercise: perplexity


# %% exercise="perplexity"
@check
def perplexity(surprises):
    """Return the perplexity, one float: e to the power of the mean surprise. surprises is an array of any shape, such
    as (T,) or (B, T), in nats.
    """
    ...


# %%
# hint("perplexity")
# solution("perplexity")

# %% [markdown]
# ## The real checkpoint: where is it surprised?
#
# A mean does not say where the surprises lie. Which tokens are the hardest? And does their place matter? Each row of `pieces`
# is a piece of a text; the model reads one piece at a time.
#
# **Predict:** is the mean surprise higher at the beginning or at the end of a piece? Write `"beginning"`, `"end"` or
# `"same"`.

# %%
predict("12.3", ...)

# %%
borders = [0, 4, 8, 16, 32, 64, pieces.shape[1] - 1]  # from the third on, each group is about twice as long as the one before
groups = [f"{low + 1}-{high}" for low, high in zip(borders, borders[1:])]
by_position = [float(by_token[:, low:high].mean()) for low, high in zip(borders, borders[1:])]
reveal("12.3", "beginning" if by_position[0] > by_position[-1] else "end")

order = np.argsort(-by_token, axis=None)[:8]  # the eight largest surprises of all
places = [np.unravel_index(i, by_token.shape) for i in order]
names = [
    "…" + "".join(tokenizer.token_strings(pieces[b, max(0, t - 2) : t + 1])) + " →" + tokenizer.token_string(pieces[b, t + 1])
    for b, t in places
]

# %% tags=["figure"]
figure, panels = figures.new(8.4, 3.7, panels=2, width_ratios=[1, 1])
worst = [float(by_token[place]) for place in places]
figures.bars(
    panels[0],
    [name.replace("\n", "⏎") for name in names],
    worst,
    title="the eight hardest tokens",
    xlabel="surprise in nats",
    decimals=1,
)
axes = panels[1]
figures.lines(
    axes,
    {"": (np.arange(len(groups)), by_position)},
    title="by position",
    xlabel="tokens before it",
    ylabel="mean surprise in nats",
)
axes.set_xticks(range(len(groups)), groups, rotation=45, ha="right", rotation_mode="anchor")
axes.set_ylim(0, 1.1 * max(by_position))
figures.show(
    figure,
    f"Left: the eight hardest tokens of {by_token.size}, each after the arrow, with the tokens just before it; the largest surprise is {worst[0]:.1f} nats. "
    f"Right: the mean surprise by the number of tokens before it: {by_position[0]:.2f} nats with {groups[0]} tokens before it, {by_position[-1]:.2f} with {groups[-1]}.",
)
assert by_position[0] > by_position[-1] + 0.3
assert by_position[0] - by_position[3] > by_position[3] - by_position[-1]

# %% [markdown]
# On the left, the token after each arrow is the one that came. A token without a space in front of it continues a word. A
# token with a space may be a whole word, or only the beginning of a longer one. To each of these eight the model had given
# a very small probability.
#
# With {{groups[0]}} tokens before it, a token costs {{by_position[0]:.2f}} nats on average; with {{groups[3]}} tokens before it,
# {{by_position[3]:.2f}}; with {{groups[-1]}} tokens, {{by_position[-1]:.2f}}. Text that is already there helps, and the first
# tokens of it help most. (The first point is a mean of only {{by_token[:, :4].size}} numbers. If the curve rises a little
# between two points, this may be chance.)
#
# ## Strided windows
#
# This matters in practice. The model can read at most {{config.max_position_embeddings}} tokens at once, and a book is
# longer. If we cut the book into pieces, the first tokens of every piece have hardly any tokens before them (they have
# little **context**), and the loss becomes too high. The way out: let the pieces overlap, and score in each piece only the
# tokens that are new. How far the end moves from piece to piece is called the **stride**. The smaller it is, the more
# context each token has, and the more the model must compute.
#
# The length of a piece is called the **window** here, as usual when a loss is measured. It is not the window W of a local layer
# (notebook 07): it says how many tokens the whole model reads at once.
#
# The picture has a text of 8 tokens, a to h, a window of 4 and a stride of 2. A row has up to 5 tokens. The hatched ones are
# scored: each is predicted from the tokens before it in its row. The last token of a row is never read, only predicted. The
# last row has only one new token; it moves back, so that it is full.

# %%
letters = list("abcdefgh")
rows = evaluation.text_windows(letters, 4, 2)
print(rows)

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.6)
for i, (row, scored) in enumerate(rows):
    start = letters.index(row[0])
    for j, letter in enumerate(row):
        new = j >= len(row) - scored
        figures.box(
            axes, start + j, -i, 0.9, 0.75, letter, figures.PALE_ORANGE if new else figures.PALE_BLUE, hatch="//" if new else ""
        )
        axes.texts[-1].set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 1.5})
    axes.text(-0.8, -i, f"row {i}", ha="right", va="center")
    axes.text(9, -i, f"scored: {scored}", ha="left", va="center")
axes.set(xlim=(-2.2, 11.6), ylim=(-len(rows) + 0.4, 0.6))
axes.axis("off")
scores = ", ".join(str(scored) for _, scored in rows)
figures.show(
    figure,
    f"{len(rows)} rows of a text of {len(letters)} tokens. Hatched tokens are scored, plain ones are only read: {scores} tokens are scored. "
    f"Each token but the first is scored exactly once. The last row scores only {rows[-1][1]}, and has {len(rows[-1][0])} tokens like the others.",
)
assert len(rows[-1][0]) == 5 and rows[-1][1] == 1
assert sum(scored for _, scored in rows) == len(letters) - 1

# %% [markdown]
# ## Exercise: text windows


# %% exercise="text_windows"
@check
def text_windows(ids, window, stride):
    """Return a list of rows (row_ids, scored). A row has at most window + 1 ids, and its last `scored` ids are
    predicted from those before them. The first row predicts as many ids as fit, each later row the next `stride`
    ids (at the end, the rest). Each id of the text but the first one is predicted exactly once, with as much
    context as fits. A text of one id has no rows.
    """
    ...


# %%
# hint("text_windows")
# solution("text_windows")

# %% [markdown]
# Now we measure a tale with several strides. The windows have only 64 tokens, although the model can read more, so that the
# difference is easy to see.

# %%
long_text = tokenizer.encode(measure.tales("valid")[1])[:1000]
strides = [64, 32, 16, 8]
stride_losses, computed = [], []
for stride in strides:
    nats = 0.0
    rows = evaluation.text_windows(long_text, 64, stride)
    for row, scored in rows:
        row = np.array(row)
        nats = nats + loss.cross_entropy(model.logits(row[:-1]), row[1:])[-scored:].sum()
    stride_losses.append(float(nats) / (len(long_text) - 1))
    computed.append(sum(len(row) - 1 for row, _ in rows))
for stride, value, number in zip(strides, stride_losses, computed):
    print(f"stride {stride:2}: loss {value:.3f} nats, {number} tokens computed")
assert stride_losses[-1] < stride_losses[0] and computed[-1] > 4 * computed[0]

# %% [markdown]
# From a stride of 64 to one of 8, the loss falls from {{stride_losses[0]:.3f}} to {{stride_losses[-1]:.3f}} nats, and the
# work becomes {{computed[-1] / computed[0]:.1f}} times as much. The first step, to half a window, brings
# {{stride_losses[0] - stride_losses[1]:.3f}} nats for {{computed[1] / computed[0]:.1f}} times the work; all further steps
# together bring {{stride_losses[1] - stride_losses[-1]:.3f}} nats, for {{computed[-1] / computed[1]:.1f}} times as much again.
# So half a window is a usual choice.
#
# It is the same model and the same text. So a loss is only comparable if window and stride are the same, and they should be
# written beside it.
#
# ## Bits per byte
#
# Something else makes losses hard to compare: the tokenizer. A model with longer tokens has fewer of them for the same text,
# and on average each one is harder to predict. Its loss *per token* is higher, even if it predicts the text just as well. So we spread
# the surprise of the whole text over something that does not depend on the tokenizer: its bytes. The unit is then usually the
# **bit**, the unit of surprise with logarithms to the base 2. One bit is log 2 = 0.693... nats (`math.log(2)`): the surprise
# when a coin shows heads.
#
# > **bits per byte** = (sum of all surprises in nats) / log 2 / (number of bytes in UTF-8)
#
# ## Exercise: bits per byte


# %% exercise="bits_per_byte"
@check
def bits_per_byte(surprises, text):
    """Return how many bits the model needs for each byte of a text, one float. surprises is (T,): the surprise of each
    token of the text, in nats. One bit is log 2 = 0.693... nats: use math.log(2). text is a str; count its bytes in
    UTF-8.
    """
    ...


# %%
# hint("bits_per_byte")
# solution("bits_per_byte")

# %% [markdown]
# Bits per byte have a second meaning. With a trick called arithmetic coding, a text can be stored in hardly more bits than its
# surprise has. So a model that predicts well can make files small. `zlib` is an ordinary program that makes files small; zip files
# are made by the same method.

# %%
scored_text = "".join(tokenizer.decode(piece[1:]) for piece in pieces)  # nothing predicts the first token of a piece
size = len(scored_text.encode("utf-8"))
bits = {
    "as a file": 8.0,
    "unigram": float(unigram[pieces[:, 1:]].sum()) / math.log(2) / size,
    "zlib": 8 * len(zlib.compress(scored_text.encode("utf-8"), 9)) / size,
    "the model": float(by_token.sum()) / math.log(2) / size,
}

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.4)
figures.bars(axes, list(bits), list(bits.values()), xlabel="bits per byte", marked=["as a file", "unigram", "zlib"])
shown = "; ".join(f"{name} {value:.2f}" for name, value in bits.items())
figures.show(figure, f"Bits for each of {size} bytes of unseen tales: {shown}.")
assert bits["the model"] < bits["unigram"] < bits["zlib"] < 8

# %% [markdown]
# With the model, a byte of these tales needs {{bits["the model"]:.2f}} bits, with zlib {{bits["zlib"]:.2f}}. Even the unigram
# model is better than zlib, with {{bits["unigram"]:.2f}}: it has counted other tales before, and its tokens are whole pieces of
# words. (To be fair: zlib brings no knowledge of tales with it, and the model's parameters are a large file.)
#
# ## Break it: exp before the mean
#
# Perplexity is exp of the mean. A common mistake is the other order: the mean of the exps. Both are one number for a text,
# and no error appears. We compute both for eight pieces of text.

# %%
right = np.exp(by_token[:8].mean(axis=-1))  # one perplexity for each piece
wrong = np.exp(by_token[:8]).mean(axis=-1)

# %% tags=["figure"]
figure, axes = figures.new(7.5, 3.3)
x = np.arange(1, 9)
curves = {"exp of the mean": (x, right), "mean of the exps": (x, wrong), "knows nothing": (x, np.full(8, V))}
figures.lines(axes, curves, xlabel="piece of text", ylabel="perplexity (logarithmic)", log=True)
axes.set_xticks(x)
axes.set_yticks(
    [y for n in range(6) for y in (10**n, 2 * 10**n, 5 * 10**n) if right.min() / 1.5 < y < 1.5 * max(V, wrong.max())]
)
axes.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
axes.minorticks_off()
axes.set_ylim(right.min() / 1.5, 1.5 * max(V, wrong.max()))
figures.show(
    figure,
    f"The perplexity of eight pieces of text, right and wrong. Exp of the mean: from {right.min():.1f} to {right.max():.1f}. Mean of the exps: from "
    f"{wrong.min():.0f} to {wrong.max():.0f}. Knowing nothing would give {V}.",
)
assert (wrong > right).all() and np.median(wrong / right) > 3
rare = np.exp(by_token[:8]).max(axis=-1).sum() / np.exp(by_token[:8]).sum()

# %% [markdown]
# The right values lie between {{right.min():.1f}} and {{right.max():.1f}}, the wrong ones between {{wrong.min():.0f}} and
# {{wrong.max():.0f}}. In the wrong order each token counts with 1 / p. So one very rare token outweighs a hundred good
# predictions: the hardest token of each piece makes up {{100 * rare:.0f}} % of the sum.
#
# ## The same in the package

# %%
show_source(
    loss.log_softmax,
    notes={
        "x - x.max(axis=-1, keepdims=True)": "The largest score of each row becomes 0.",
        "np.log(exp.sum": "The log of the sum, and no quotient.",
    },
)
show_source(
    loss.cross_entropy, notes={"np.take_along_axis": "One entry of each row, that of the target; it works for (B, T, V) too."}
)
show_source(
    evaluation.text_windows,
    notes={
        "window if scored == 1 else stride": "The first row may score all that it predicts.",
        "end - window - 1": "window ids are read, and one more is predicted.",
    },
)

# %% [markdown]
# `python -m neo_np.evaluate` measures loss, perplexity and bits per byte of a file with these functions.
#
# ## Three sentences to remember
#
# 1. The loss is the mean surprise, -log p of the token that came, computed as the log of the sum minus the score.
# 2. A loss needs a baseline (log V, unigram), and the same text, window and stride when it is compared.
# 3. Perplexity is exp of the mean surprise, and bits per byte are for comparing models with different tokenizers.
#
# ## Two questions to recall
#
# 1. From notebook 07: which tokens does a token see in a local layer with the window W?
# 2. From notebook 02: how many bytes can one character have in UTF-8?
#
# <details><summary>Answers</summary>
#
# 1. The last W tokens, itself included.
# 2. One to four: letters of English have one, ä has two, an emoji has four.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [11 Generation](11_generation.ipynb). On: [13 Backpropagation](13_backpropagation.ipynb). All terms:
# [glossary](GLOSSARY.md). Source: [loss.py](../neo_np/gpt_neo/loss.py), functions `log_softmax` and `cross_entropy`, and
# [text.py](../neo_np/evaluate/text.py), function `text_windows`.
