# %% [markdown]
# # 00 The whole model
#
# **Question: what happens between a text and the next word?**
#
# About {{minutes}} minutes (an estimate). You need Python with lists, loops and functions, and school mathematics. You
# do not need to know anything about language models.
#
# A language model reads a text and says which word could come next. In this course you rebuild one: GPT-Neo, a model of
# the same kind as the large ones behind today's chat programs. When you have done the exercises up to notebook 09, nearly
# all of its parts are functions that you wrote yourself. This first notebook shows the whole way from outside. You need not
# understand every step yet: later notebooks explain each one.
#
# How to use a notebook: run the cells from top to bottom, each with Shift+Enter. Some cells ask you to guess a result
# before you see it. Please do guess. A wrong guess that you can explain teaches more than a right one. Some cells are
# exercises: write a function, run the cell, and a checker tells you whether it is right. If it is wrong, the checker
# often knows which mistake you made. Nothing here needs the internet.

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
import numpy as np

import neo_np
from neo_np.exercises import check, hint, predict, progress, reveal, show_source, solution
from neo_np.gpt_neo import forward, loss
from neo_np.gpt_neo.params import count

model = neo_np.load()  # the small model that comes with the course

# %% [markdown]
# ## From text to numbers
#
# A model computes with numbers. So the first step turns the text into numbers. The text is cut into pieces called
# **tokens**. A token is a common word with the space before it, a part of a rarer word, or a sign such as a comma. All
# tokens that the model knows are its **vocabulary**. Each token has a number, its **id**. The program that goes from
# text to ids and back is the **tokenizer**.

# %%
text = "Once upon a time there was a"
ids = np.array(model.tokenizer.encode(text))
for id in ids:
    print(f"{id:6}  {model.tokenizer.token_string(id)!r}")

# %% [markdown]
# The text has become {{len(ids)}} ids. Look at the spaces: they belong to the token that follows them.
#
# Tables of numbers are kept in **arrays**. Python gets them from the library NumPy, which has the short name `np`. The **shape** of
# an array says how many numbers it has in each direction. The shape `(7, 10)` means 7 rows with 10 numbers each, and `(7,)` means
# one simple row of 7 numbers. In this course every size has a letter, and it is always the same one:
#
# - **T** is the number of tokens of the text, here {{len(ids)}}.
# - **V** is the number of tokens in the vocabulary, here {{model.config.vocab_size}}.
# - **C** is the number of values with which the model describes one token, here {{model.config.hidden_size}}. They are
#   called **channels**.
#
# So `ids` has the shape `(T,)`. The model turns it into an array of shape `(T, C)`: one row of C numbers for each token.

# %% [markdown]
# ## The way of the data
#
# Here is the whole model. (The code that draws a picture is folded in JupyterLab: click on the three dots if you want to see it.)
# Each solid box holds **parameters**: numbers that nobody wrote by hand. The picture shows how many there are; k means thousand.
# They were found in **training**: the model read many tales, and after each piece its parameters were changed a little, so
# that it would predict this piece better. Now they are fixed. A trained model, saved in files, is called a **checkpoint**.
#
# - Two tables, the **embeddings**, give each token its first row of C numbers.
# - Then come the **blocks**, also called **layers**. All blocks have the same form and different parameters. Each block reads the rows
#   and adds something to them. Inside a block, *attention* lets a token look at earlier tokens, and an *MLP* works on
#   each token by itself. Notebooks 05 to 08 explain both words.
# - At the end, each row is compared with the row of every token in the token table. The result is one score for each token: the
#   **logits**. A higher score means that the token is more likely to come next.

# %%
config, params = model.config, model.params
tables = {"tokens": params.wte.weight.size, "positions": params.wpe.weight.size}
blocks = {f"block {i}": count(block) for i, block in enumerate(params.h)}
parts = tables | blocks

# %% tags=["figure"]
figure, axes = figures.new(8, 3.6)
total, gap, last = sum(parts.values()), 0.032, 0.16
figures.blank(axes, 1 + gap * (len(parts) + 2) + last, 3.2)
x = gap
for number, (name, size) in enumerate(parts.items()):
    width = size / total
    colour, hatch = (figures.PALE_ORANGE, "") if name in tables else (figures.PALE_BLUE, "")
    axes.add_patch(figures.Rectangle((x, 1.0), width, 1.2, facecolor=colour, edgecolor="black"))
    if name == "positions":
        axes.annotate(f"position\ntable\n{size:,}", (x + width / 2, 1.0), (x + width / 2, 0.1), ha="center", fontsize=10,
                      arrowprops={"arrowstyle": "-"})  # fmt: skip
    else:
        label = "token\ntable" if name == "tokens" else name
        axes.text(x + width / 2, 1.6, f"{label}\n{size / 1000:,.0f}k", ha="center", va="center", fontsize=10)
    if name == "tokens":
        axes.text(x + width + gap / 2, 1.6, "+", ha="center", va="center", fontsize=12)
    else:
        figures.arrow(axes, (x + width, 1.6), (x + width + gap, 1.6))
    x += width + gap
axes.add_patch(
    figures.Rectangle((x, 1.0), last, 1.2, facecolor=figures.PALE_ORANGE, edgecolor="black", linestyle="--", hatch="//")
)
axes.text(x + last / 2, 1.6, "token table\nagain", ha="center", va="center", fontsize=10,
          bbox={"facecolor": figures.PALE_ORANGE, "edgecolor": "none", "pad": 2})  # fmt: skip
figures.arrow(axes, (x + last / 2, 1.0), (x + last / 2, 0.6))
axes.text(x + last / 2, 0.5, "logits (T, V)", ha="center", va="top", fontsize=11)
axes.text(gap, 2.75, "ids (T,)", ha="left", fontsize=11)
figures.arrow(axes, (gap + 0.04, 2.65), (gap + 0.04, 2.2))
axes.text((gap + x) / 2, 2.45, "each block reads rows (T, C) and adds to them", ha="center", fontsize=11)
axes.set_title("Solid boxes: areas show the number of parameters")
share = sum(blocks.values()) / total
figures.show(
    figure,
    f"The way of the data from left to right: ids of shape (T,), token table ({tables['tokens']:,} parameters) and position "
    f"table ({tables['positions']:,}), then {len(blocks)} blocks of {blocks['block 0']:,} parameters each, at the end a comparison "
    f"with the token table again, which gives logits of shape (T, V). The blocks hold {share:.0%} of the {total:,} parameters shown.",
)

# %% [markdown]
# This model has {{count(params):,}} parameters: those of the picture, and {{count(params) - total:,}} of one last small step, which
# notebook 04 explains. That is small: the smallest GPT-Neo of its inventors has 125 million, and the largest models of today
# have hundreds of billions and more. The main steps on the way of the data are the same.
#
# Now run the model:

# %%
logits = model.logits(ids)
print("ids:   ", ids.shape)
print("logits:", logits.shape)
assert logits.shape == (len(ids), config.vocab_size)

# %% [markdown]
# (An `assert` line says nothing if its condition is true, and it stops with an error if not.)
#
# There are {{len(ids)}} rows and not one. Rows and tokens are counted from 0, like list items in Python. Row `t` has the scores for the
# token that follows token `t`. So the model answers the question "what comes next?" at every place of the text at the same time. To
# continue the whole text, we need only the *last row*.
#
# **Predict:** which token does the model think is most likely after "{{text}}"? Write your guess in quotes, in
# the place of the three dots, for example `" king"`.

# %%
predict("00.1", ...)

# %%
best = int(logits[-1].argmax())  # argmax gives the place of the largest number
reveal("00.1", model.tokenizer.token_string(best))

# %% [markdown]
# ## From scores to probabilities
#
# A score can be any number, also a negative one. A **probability** lies between 0 and 1, and the probabilities of all
# possible next tokens add up to 1. Two steps lead from the scores to them:
#
# 1. `exp` makes every score positive, and a higher score becomes a larger number. (exp(x) is e to the power x, with
#    e = 2.718...)
# 2. Each result is divided by the sum of all results.
#
# First as a slow loop, so that each step can be seen:

# %%
scores = logits[-1].astype(float)  # (V,), the row of the last token; float: with more digits

total = 0.0
for score in scores:
    total = total + math.exp(score)

probabilities_loop = []
for score in scores:
    probabilities_loop.append(math.exp(score) / total)

print("sum of all probabilities:", round(sum(probabilities_loop), 6))

# %% [markdown]
# NumPy does the same for the whole array at once:

# %%
probabilities = np.exp(scores) / np.exp(scores).sum()

assert np.allclose(probabilities, probabilities_loop)

# %% [markdown]
# `np.allclose` compares two arrays and forgives tiny differences, because computers round. The `assert` line said nothing, so both ways
# gave the same numbers. Notebook 05 comes back to this function, which is called **softmax**.
#
# ## Exercise: the next token
#
# In exercises, fill in each `...` and run the cell. The line `@check` above a function calls the checker. As
# long as a `...` is there, the checker only reminds you of it.


# %% exercise="next_token"
@check
def next_token(logits):
    """Return the id of the likeliest next token, an int. logits is (T, V): row t has a score for each of the V tokens
    that could follow token t. The next token of the whole text follows the last one.
    """
    scores = logits[...]  # (V,), the row of the last token
    return int(...)  # the place of the largest score


# %% [markdown]
# Are you stuck? Remove the `#` in front of `hint` in the next cell. Run it up to three times: the hints say more and more.
# `solution` shows a right answer, but only after you have checked an answer of your own that gave a result.

# %%
# hint("next_token")
# solution("next_token")

# %% [markdown]
# ## The real checkpoint: five likely tokens
#
# The model never gives only one answer: it spreads the probability over all {{config.vocab_size}} tokens. The next picture shows
# the five likeliest ones: on the left after our text, on the right after the same text with one word changed. In pictures, the
# sign ␣ is a space.
#
# **Predict:** in the second text, "time" becomes "hill". How many of the five likeliest tokens are in both lists? Write a number from
# 0 to 5.

# %%
predict("00.2", ...)


# %%
def likeliest(text, number=5):
    """Return the likeliest next tokens of a text, as strings, with their probabilities."""
    scores = model.logits(model.tokenizer.encode(text))[-1].astype(float)
    p = np.exp(scores - scores.max())  # the division below removes what was subtracted; notebook 05 says why it is done
    p = p / p.sum()
    order = np.argsort(-p)[:number]  # the ids with the largest probabilities
    return model.tokenizer.token_strings(order), p[order]


texts = text, text.replace("time", "hill")
found = [likeliest(one) for one in texts]
in_both = len(set(found[0][0]) & set(found[1][0]))
reveal("00.2", in_both)

# %% tags=["figure"]
figure, panels = figures.new(8, 2.9, panels=2, sharex=True)
for axes, one, (names, p) in zip(panels, texts, found):
    figures.bars(axes, names, p, title=f"“{one}” ...", xlabel="probability")
    axes.title.set_fontsize(10)
in_words = ["; ".join(f"“{name}” {value:.2f}" for name, value in zip(names, p)) for names, p in found]
figures.show(figure, f"The five likeliest next tokens. After “{texts[0]}”: {in_words[0]}. After “{texts[1]}”: {in_words[1]}.")

# %% [markdown]
# Tokens in both lists: {{in_both}}. After the first text the likeliest token is "{{found[0][0][0]}}" with a probability of
# {{found[0][1][0]:.2f}}; after the second one it is "{{found[1][0][0]}}" with {{found[1][1][0]:.2f}}. One word in the middle of the text
# changes the probabilities of what comes next: the model does not look only at the last word.

# %% [markdown]
# ## Writing is predicting again and again
#
# To write a text, take the likeliest next token, put it at the end of the text, and ask again:

# %%
written = [int(id) for id in ids]
for step in range(12):
    scores = model.logits(np.array(written))[-1]
    written.append(int(scores.argmax()))
print(model.tokenizer.decode(written))

# %% [markdown]
# Always taking the likeliest token often gives dull text. [Notebook 10](10_sampling.ipynb) shows better ways. Here is what the model writes if each token
# is drawn at random, by its probability. (`temperature` and `seed` belong to the drawing: notebook 10.)

# %%
print(model.generate(text, max_new_tokens=40, do_sample=True, temperature=0.8, seed=0))

# %% [markdown]
# It is a small model that has read only tales. It knows how sentences sound, and it does not know what it is talking about.
#
# ## How good is a prediction? The surprise
#
# We need one number that says how well the model predicts a text. Look at each token that really came, and at the probability
# *p* that the model had given it before. If p is near 1, the model is not surprised. If p is near 0, it is very
# surprised. So we measure
#
# > **surprise** = -log p
#
# where p is the probability of the token that came, and log is the natural logarithm. p = 1 gives the surprise 0. p = 0.5
# gives 0.69, and p = 0.01 gives 4.6. For a whole text we take the **mean** of its surprises: their sum, divided by how many there are. The unit is called **nat**, from *natural* logarithm. Small is good.

# %%
sentence = "Once upon a time there was a king who had three sons, and he loved them all very much."
sentence_ids = np.array(model.tokenizer.encode(sentence))
logits = model.logits(sentence_ids)

surprises_loop = []
for t in range(len(sentence_ids) - 1):
    p = np.exp(logits[t]) / np.exp(logits[t]).sum()
    came = sentence_ids[t + 1]  # row t predicts token t + 1
    surprises_loop.append(-math.log(p[came]))

surprises = loss.cross_entropy(logits[:-1], sentence_ids[1:])  # the package does the same for all rows at once
assert np.allclose(surprises, surprises_loop, atol=1e-4)
print(f"mean surprise: {surprises.mean():.2f} nats for each token")

# %% [markdown]
# A model that knows nothing gives each of the {{config.vocab_size}} tokens the same probability, 1 / V. Its surprise is -log(1 / V), which
# is log V = {{math.log(config.vocab_size):.2f}} nats at every token. Ours has {{surprises.mean():.2f}} nats on this sentence, so it has
# learnt something.
#
# ## Break it: look at the wrong row
#
# Row `t` predicts the token *after* token `t`. A common mistake is to be off by one: to ask row `t` about token `t` itself,
# which it has already seen. Let us do that on purpose and look at the damage.

# %%
wrong = loss.cross_entropy(logits[1:], sentence_ids[1:])  # row t is asked about token t itself

# %% tags=["figure"]
figure, axes = figures.new(8, 3.9)
names = model.tokenizer.token_strings(sentence_ids[1:])
x = np.arange(len(names))
nothing = np.full(len(x), math.log(config.vocab_size))
curves = {"right row": (x, surprises), "wrong row": (x, wrong), "knows nothing": (x, nothing)}
figures.lines(axes, curves, ylabel="surprise in nats")
axes.set_xticks(x, [figures.visible(name) for name in names], rotation=60, ha="right", rotation_mode="anchor")
assert wrong.mean() > surprises.mean() + 1
figures.show(
    figure,
    f"The surprise of each token of a sentence. Asked in the right row, the model has {surprises.mean():.2f} nats on average; asked "
    f"one row too late, {wrong.mean():.2f}. A model that knows nothing would have {math.log(config.vocab_size):.2f}.",
)

# %% [markdown]
# One row too late, the mean surprise rises from {{surprises.mean():.2f}} to {{wrong.mean():.2f}} nats. A token seldom follows itself, so
# row `t` gives token `t` a low probability. No error message appeared: the shapes were right, and only the numbers were wrong. This is typical of mistakes in models. So we look at numbers and
# pictures, and not only at error messages.
#
# ## The same in the package
#
# Here is the function of the package that goes from ids to logits. It is only two lines long, because each step is a function of
# its own. At the end of notebook 09 you have written nearly all of them yourself. Skip the arguments `padding`, `cache`, `hook` and
# `keep`, and the letter B in the shapes: they are for several texts at once, for faster writing and for looking inside. Later
# notebooks explain them.

# %%
show_source(
    forward.forward,
    notes={
        "transformer(params, config, ids": "Embeddings, all blocks, and a last step: notebooks 03 to 09.",
        "output_embedding(params)": "The table that each row is compared with, which gives V scores: notebook 09.",
    },
)

# %% [markdown]
# ## Three sentences to remember
#
# 1. A text becomes ids, ids become rows of numbers, blocks add to these rows, and the last row becomes one score for
#    each possible next token.
# 2. Row t predicts the token after token t.
# 3. Surprise is -log p of the token that came: small is good, and a model that knows nothing has log V.
#
# ## Two questions to recall
#
# Answer them without looking up.
#
# 1. What is the shape of the logits of a text with 5 tokens, and which row says how the text continues?
# 2. A token came to which the model had given the probability 1. What is the surprise?
#
# <details><summary>Answers</summary>
#
# 1. (5, V); the last row, with the index 4 or -1.
# 2. -log 1 = 0: no surprise at all.
#
# </details>

# %%
progress()

# %% [markdown]
# On: [01 Arrays](01_arrays.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [forward.py](../neo_np/gpt_neo/forward.py), the whole model on one page.
