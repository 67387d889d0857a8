# %% [markdown]
# # 01 Arrays
#
# **Question: how do you compute with thousands of numbers in one line?**
#
# About {{minutes}} minutes (an estimate). You need notebook 00 and Python. If you know NumPy well, take the self-test: run the
# first two code cells, then do the three exercises of this notebook. If you pass them without a hint, continue with notebook 02.

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
import numpy as np

import neo_np
from neo_np.exercises import check, hint, predict, progress, reveal, show_source, solution
from neo_np.gpt_neo import forward, loss

model = neo_np.load()

# %% [markdown]
# ## Arrays, shapes, axes
#
# An **array** is a table of numbers. Its **shape** lists its sizes. Each direction of the table is an **axis**, counted from
# 0: axis 0 goes down from row to row, axis 1 goes to the right from column to column. The last axis is also called -1.
#
# Here is an array with T = 3 rows and C = 4 columns:

# %%
x = np.array([[1.0, 2.0, 6.0, 3.0], [0.0, 4.0, 5.0, 7.0], [7.0, 9.0, 5.0, 3.0]])
print("shape:             ", x.shape)
print("row 1:             ", x[1])
print("column 2:          ", x[:, 2])
print("row 0, column 3:   ", x[0, 3])
print("the last row:      ", x[-1])

# %% [markdown]
# The colon in `x[:, 2]` means "all rows". A function such as `mean` takes away the axis that you name: `mean(axis=0)` runs down the
# rows and leaves one number for each column.
#
# **Predict:** what is the shape of `x.mean(axis=1)`, for our x of shape (3, 4)? Write it as a text such as `"(5,)"`.

# %%
predict("01.1", ...)

# %%
reveal("01.1", x.mean(axis=1).shape)
print(x.mean(axis=1))

# %% [markdown]
# With `axis=1` the columns are gone and one number for each row stays. The option `keepdims=True` keeps the axis with
# the size 1: the result has the shape (3, 1) and not (3,). You will see now why this matters.
#
# ## Broadcasting
#
# `x + y` adds number by number. The shapes need not be equal. NumPy lines them up *from the right*. An axis of size 1, or a
# missing axis on the left, is stretched: the same numbers are used again and again. This is called **broadcasting**.

# %% tags=["figure"]
figure, panels = figures.new(8, 4.6, panels=2)
whole = np.arange(12).reshape(3, 4)
for axes, small, name in (
    (panels[0], np.array([[10, 20, 30, 40]]), "(4,)"),
    (panels[1], np.array([[10], [20], [30]]), "(3, 1)"),
):
    figures.blank(axes, 6.4, 11.6)
    for top, values, stretched in (
        (11.2, whole, False),
        (7.4, np.broadcast_to(small, (3, 4)), True),
        (3.4, whole + small, False),
    ):
        for i, j in np.ndindex(3, 4):
            real = not stretched or (i < small.shape[0] and j < small.shape[1])
            group = (j if name == "(4,)" else i) if top != 11.2 else 5
            face, hatch = (figures.PALE[group], figures.HATCHES[group]) if real and group < 5 else ("white", "")
            edge = "black" if real else "#999999"
            axes.add_patch(
                figures.Rectangle((1.4 + j, top - 1 - i), 1, 1, facecolor=face, edgecolor=edge, linestyle="-" if real else ":")
            )
            axes.text(1.9 + j, top - 0.5 - i, values[i, j], ha="center", va="center", color="black" if real else "#767676")
    axes.text(0.6, 9.7, "(3, 4)", ha="center", va="center")
    axes.text(0.6, 5.9, f"+\n{name}", ha="center", va="center")
    axes.text(0.6, 1.9, "=\n(3, 4)", ha="center", va="center")
    axes.set_title(f"(3, 4) + {name}")
figures.show(
    figure,
    "Broadcasting. Left: a table of shape (3, 4) plus a row of shape (4,), the numbers 10 20 30 40, which is used again for each "
    "of the 3 rows. Right: the same table plus a column of shape (3, 1), the numbers 10 20 30, which is used again for each of "
    "the 4 columns. Dotted cells are the copies that NumPy only imagines.",
)

# %% [markdown]
# Left, the shape (4,) is lined up with the columns: each *column* gets its own number. Right, the shape (3, 1) is
# stretched to the right: each *row* gets its own number. If you want to subtract from each row its own mean, the means
# need the shape (3, 1). So you write `keepdims=True`.
#
# Here is another example: each number as a share of its row, so that each row adds up to 1. First the slow loop:

# %%
T, C = x.shape
shares_loop = np.zeros((T, C))
for t in range(T):
    row_sum = 0.0
    for c in range(C):
        row_sum = row_sum + x[t, c]
    for c in range(C):
        shares_loop[t, c] = x[t, c] / row_sum
print(shares_loop.round(2))

# %% [markdown]
# And the NumPy line:

# %%
shares = x / x.sum(axis=-1, keepdims=True)  # (3, 4) / (3, 1)
assert np.allclose(shares, shares_loop)

# %% [markdown]
# Shapes that do not fit give an error. You will meet it often, so here it is once on purpose. (`try` and `except` catch the
# error, so that the notebook runs on.)

# %%
try:
    x / x.sum(axis=-1)  # (3, 4) / (3,)
except ValueError as error:
    print(error)

# %% [markdown]
# Read the shapes in the message from the right: 4 and 3 are not equal, and neither of them is 1.
#
# ## Exercise: center the rows
#
# Now you: subtract, from each row, its mean. Fill in the blanks.


# %% exercise="center_rows"
@check
def center_rows(x):
    """Subtract from each row of x, (T, C), the mean of that row. Return a new array and leave x as it is."""
    mean = x.mean(axis=..., keepdims=...)  # (T, 1)
    return x - ...


# %% [markdown]
# Remove the `#` if you want a hint.

# %%
# hint("center_rows")
# solution("center_rows")

# %% [markdown]
# ## The dot product
#
# How similar are two rows of numbers? A simple measure is the **dot product**: multiply the numbers pair by pair, and add
# the products. For a = (1, 2) and b = (3, 1) it is 1 * 3 + 2 * 1 = 5. It is large if both rows have large numbers in the
# same places with the same signs, and negative if most of these signs differ.
#
# The **matrix product**, written `@` in Python, makes many dot products at once: `(x @ z)[i, j]` is the dot product of row i
# of x with *column* j of z. The two axes in the middle must be equal: `(T, C) @ (C, S)` gives `(T, S)`. (S is one more size, here the
# number of columns of z.) The **transpose** `y.T` exchanges rows and columns: if y is (S, C), then y.T is (C, S).

# %%
a = np.array([[1.0, 2.0], [0.0, 1.0], [4.0, 1.0]])  # (3, 2)
b = np.array([[3.0, 1.0], [1.0, 5.0]])  # (2, 2)

dots_loop = np.zeros((3, 2))
for i in range(3):
    for j in range(2):
        for c in range(2):
            dots_loop[i, j] = dots_loop[i, j] + a[i, c] * b[j, c]  # row i of a with row j of b

assert dots_loop[2, 1] == a[2] @ b[1]  # with two simple rows, @ is one dot product
print(dots_loop)

# %% [markdown]
# In the exercise, write all of them as one matrix product.
#
# ## Exercise: all pairs


# %% exercise="pairwise_dots"
@check
def pairwise_dots(x, y):
    """Return a table with the dot product of each row of x with each row of y: x (T, C), y (S, C) -> (T, S)."""
    ...


# %%
# hint("pairwise_dots")
# solution("pairwise_dots")

# %% [markdown]
# ## Picking one number from each row
#
# Arrays can be an index too. `x[[0, 2]]` gives the rows 0 and 2. With two arrays as an index, NumPy reads them in pairs:
# `x[[0, 1, 2], [3, 0, 2]]` gives the three numbers x[0, 3], x[1, 0] and x[2, 2]. If you need a row of whole numbers, `np.arange` makes it:
# `np.arange(4)` is the array 0, 1, 2, 3.
#
# **Predict:** what does `x[[0, 1, 2], [3, 0, 2]]` give? Look at x above and write three numbers, such as `[1, 1, 1]`.

# %%
predict("01.2", ...)

# %%
picked = x[[0, 1, 2], [3, 0, 2]]
reveal("01.2", picked.astype(int))

# %% [markdown]
# This is what the surprise of notebook 00 needs: from each row of probabilities, take the one of the token that came.
#
# ## Exercise: pick the targets


# %% exercise="pick_targets"
@check
def pick_targets(table, ids):
    """Return one number from each row of the table: table[t, ids[t]] for each t. table (T, V), ids (T,) whole numbers
    -> (T,).
    """
    ...


# %%
# hint("pick_targets")
# solution("pick_targets")

# %% [markdown]
# ## The real checkpoint: rows of the token table
#
# The token table of the model has the shape (V, C): one row of C numbers for each token of the vocabulary. Here are six
# tokens. The table below has the dot product of each with each, by one matrix product. Each row was divided by its own length first, so
# that only its direction counts. Length is meant as in geometry: the square root of the sum of the squared numbers. Notebook 03 explains this.

# %%
words = [" king", " queen", " man", " woman", " house", " tree"]
ids = [model.tokenizer.encode(word)[0] for word in words]
assert model.tokenizer.token_strings(ids) == words
rows = model.params.wte.weight[ids].astype(float)  # (6, C)
rows = rows / np.sqrt((rows * rows).sum(axis=-1, keepdims=True))  # (6, C) / (6, 1)
table = rows @ rows.T  # (6, C) @ (C, 6) -> (6, 6)

# %% tags=["figure"]
figure, panels = figures.new(8, 3.8, panels=2)
figures.matrix(
    panels[0],
    rows[:, :6] * 10,
    rows=words,
    columns=range(6),
    signed=True,
    decimals=1,
    title=f"6 of {rows.shape[1]} channels (times 10)",
)
figures.matrix(panels[1], table, rows=words, columns=words, signed=True, limits=(-1, 1), title="dot products")
others = table - 2 * np.eye(6)
i, j = np.unravel_index(others.argmax(), others.shape)
figures.show(
    figure,
    f"Left: the first 6 of {rows.shape[1]} channels of six tokens. Right: their dot products; each token with itself gives 1.00. The "
    f"largest of two different tokens is {table[i, j]:.2f}, between “{words[i]}” and “{words[j]}”; the smallest is {table.min():.2f}.",
)

# %% [markdown]
# The most similar two are "{{words[i]}}" and "{{words[j]}}" with {{table[i, j]:.2f}}. Nobody told the model what these words mean. It
# found rows that help it to predict what comes next.
#
# ## Break it: without keepdims
#
# What happens if you forget `keepdims=True`? For an array of shape (3, 4) NumPy refuses: (3, 4) and (3,) do not fit. But for a
# square array of shape (3, 3) it says nothing, and lines up the three means with the *columns*.

# %%
square = np.array([[1.0, 2.0, 6.0], [0.0, 4.0, 5.0], [7.0, 9.0, 5.0]])
right = square - square.mean(axis=-1, keepdims=True)  # (3, 3) - (3, 1)
wrong = square - square.mean(axis=-1)  # (3, 3) - (3,)

# %% tags=["figure"]
figure, panels = figures.new(7.5, 2.9, panels=3)
for axes, values, title in zip(panels, (square, right, wrong), ("x", "right: rows centered", "wrong: no keepdims")):
    figures.matrix(axes, values, rows=range(3), columns=range(3), signed=True, decimals=1, title=title, limits=(-9, 9))
sums = ", ".join(f"{value:+.1f}" for value in wrong.sum(axis=1))
figures.show(
    figure,
    f"A square array, its centered rows, and the result without keepdims. In the right one each row adds up to 0. In the wrong "
    f"one the rows add up to {sums}.",
)
assert np.allclose(right.sum(axis=1), 0) and not np.allclose(wrong.sum(axis=1), 0)

# %% [markdown]
# No error, wrong numbers. A good habit: test a function on an array whose sizes are all different, *and* look at a
# property that must hold. Here each centered row must add up to 0.
#
# ## The same in the package
#
# You find these operations everywhere in the package. Here are three functions that use what you just learnt. You need not
# understand them completely yet. (In the shapes, `...` means: whatever axes come before, so a function works for one text and for many at once.
# `None` in an index adds an axis of size 1. `eps` is a very small number: notebook 04.)

# %%
show_source(
    forward.layer_norm, notes={"x.sum(axis=-1, keepdims=True) / C": "The mean of each row, (..., 1): it meets its own row."}
)
show_source(
    forward.linear, notes={"return x @ weight.T": "A matrix product: all dot products of rows of x and rows of weight."}
)
show_source(loss.cross_entropy, notes={"np.take_along_axis": "Picks one number from each row, like your pick_targets."})

# %% [markdown]
# ## Three sentences to remember
#
# 1. `axis=` names the axis that disappears, and `keepdims=True` keeps it with the size 1.
# 2. Shapes are lined up from the right; an axis of size 1 is stretched.
# 3. `x @ y.T` has the dot product of each row of x with each row of y.
#
# ## Two questions to recall
#
# 1. From notebook 00: which row of the logits predicts token 3?
# 2. From notebook 00: what are V, T and C?
#
# <details><summary>Answers</summary>
#
# 1. Row 2. Row t predicts the token after token t.
# 2. The number of tokens in the vocabulary; the number of tokens of the text; the number of channels, the values that describe one
#    token.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [00 The whole model](00_whole_model.ipynb). On: [02 Tokens](02_tokens.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [forward.py](../neo_np/gpt_neo/forward.py), [loss.py](../neo_np/gpt_neo/loss.py).
