# %% [markdown]
# # 13 Backpropagation
#
# **Question: which way is downhill?**
#
# About {{minutes}} minutes (an estimate). You need notebooks 04, 05, 09 and 12. You need not know calculus: a slope is
# enough.
#
# The loss of notebook 12 depends on every parameter of the model. To make it smaller, we must know for each parameter: does
# the loss rise or fall if this number grows a little, and how fast? This is the **slope** of the loss for that parameter: the
# change of the loss, divided by the change of the parameter. (In mathematics it is called the **derivative**.) All slopes
# together, one for each parameter, are the **gradient**. It says which way is downhill: if each parameter is moved a little
# against its slope, the loss falls.
#
# This notebook computes the gradient in two ways: slowly by trying, and fast by a rule.

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
from neo_np import Params
from neo_np.exercises import check, hint, order_lines, predict, progress, reveal, show_source, solution
from neo_np.gpt_neo import backward, forward, loss

model = neo_np.load()
tokenizer, config = model.tokenizer, model.config
V = config.vocab_size
softmax = forward.softmax  # an exercise may call it

# %% [markdown]
# ## A slope, by trying
#
# We take the real model in float64, computer numbers with 16 digits, because we are going to look at small changes. The text
# is one sentence. The function `loss_with` runs the model with one parameter moved, and everything else as it is.

# %%
sentence = "Once upon a time there was a king who had three sons, and he loved them all very much."
ids = np.array([tokenizer.encode(sentence)])  # (1, T + 1)
inputs, targets = ids[:, :-1], ids[:, 1:]  # (1, T) both: what is read, and what came next
params = Params({name: array.astype(float) for name, array in model.params.flat().items()})


def loss_of(params):
    """Return the mean surprise of the sentence, in nats."""
    return float(loss.cross_entropy(forward.forward(params, config, inputs), targets).mean())


def loss_with(name, place, change):
    """Return the loss if one parameter is moved by `change`."""
    array = params.flat()[name]
    kept = array[place]
    array[place] = kept + change
    moved = loss_of(params)
    array[place] = kept
    return moved


start = loss_of(params)
print(f"loss of the sentence: {start:.4f} nats")

# %% [markdown]
# Which parameter shall we move? We look at the first 32 gains of the last layer norm, `ln_f`, and take the one with the
# steepest slope. (A gain is one number of the layer norm's `weight`.) The slope comes from two points: one a little above the
# present value and one a little below. Their difference in loss, divided by their distance, is the slope.
#
# > slope = (loss(p + h) - loss(p - h)) / 2h
#
# p is the parameter and h a small step. One could also compare with p itself, (loss(p + h) - loss(p)) / h. But the loss is a
# curve. With one point on each side, most of what the bend does cancels out, and the result is far more exact.

# %%
h = 1e-4
gain_slopes = [(loss_with("ln_f.weight", c, h) - loss_with("ln_f.weight", c, -h)) / (2 * h) for c in range(32)]
steepest = int(np.abs(gain_slopes).argmax())
slope = gain_slopes[steepest]
gain = float(params.ln_f.weight[steepest])
print(f"gain {steepest} of ln_f: value {gain:.2f}, slope {slope:+.4f} nats for each 1.0")

# %% [markdown]
# **Predict:** to lower the loss, should this gain grow or shrink? Write `"grow"` or `"shrink"`.

# %%
predict("13.1", ...)

# %%
reveal("13.1", "shrink" if slope > 0 else "grow")

# %%
changes = np.linspace(-8, 8, 33)
curve = np.array([loss_with("ln_f.weight", steepest, change) for change in changes])

# %% tags=["figure"]
figure, axes = figures.new(7.5, 3.3)
figures.lines(
    axes,
    {"loss": (changes, curve), "slope at 0": (changes, start + slope * changes)},
    xlabel="change of the parameter",
    ylabel="loss in nats",
)
axes.plot([0], [start], marker="o", markersize=11, fillstyle="none", color="black", markeredgewidth=2)
figures.show(
    figure,
    f"The loss of one sentence if one gain of ln_f, now {gain:.2f}, is moved by -8 to 8: from {curve[0]:.3f} over {start:.3f} (circle) to {curve[-1]:.3f} nats. "
    f"The dashed line has the slope at 0, {slope:+.4f}; near the circle it lies on the curve.",
)
distance = np.abs(curve - (start + slope * changes))
assert distance[np.abs(changes) <= 0.5].max() < 0.1 * abs(slope) < distance.max()

# %% [markdown]
# Near the circle the straight line lies on the curve. Far from it they differ: a slope is true only nearby.
#
# ## Exercise: the numerical gradient
#
# "Numerical" means: by trying with numbers. The exercise uses a large h, so that mistakes show.


# %% exercise="numerical_gradient"
@check
def numerical_gradient(f, x, h):
    """Return an array of the shape of x: for each entry, the slope of f if only this entry moves. Take (f(x with the
    entry + h) - f(x with the entry - h)) / 2h. f is a function of an array and returns one number; x has any shape
    and must not be changed.
    """
    gradient = np.zeros_like(x)
    for place in np.ndindex(x.shape):
        above, below = x.copy(), x.copy()
        above[place] += ...
        below[place] -= ...
        gradient[place] = ...  # the height, divided by the distance of the two points
    return gradient


# %%
# hint("numerical_gradient")
# solution("numerical_gradient")

# %% [markdown]
# This way is simple and nearly exact. But it needs two runs of the model for each parameter, and this small model has
# {{sum(array.size for array in params.flat().values()):,}} of them. The fast way needs only about as much time as a few runs,
# for all of them together. It is called **backpropagation**: the slopes are carried backwards, from the loss to the parameters.
#
# ## Backwards, step by step
#
# The model is a chain of steps. Here is the last part of it as a graph. Solid arrows carry values, each with the shape of its
# array. Dashed arrows carry slopes back: for each value, how the *loss* changes if this value grows. `dx` always means: the
# slopes of the loss for x. Because there is one slope for each number, dx has the same shape as x.

# %% tags=["figure"]
figure, axes = figures.new(8.4, 3.9)
figures.blank(axes, 16.8, 7.6)


def back(start, end, text, at):
    """Draw a dashed arrow with a text."""
    style = {
        "arrowstyle": "-|>",
        "color": figures.ORANGE,
        "linestyle": (0, (4, 2)),
        "shrinkA": 0,
        "shrinkB": 0,
        "linewidth": 1.6,
    }
    axes.annotate("", end, start, arrowprops=style)
    axes.text(*at, text, ha="center", va="center", fontsize=10, color="#9a3d00")


steps = {"stream x": 1.2, "layer norm": 5.0, "linear": 9.0, "cross-entropy": 13.0, "loss": 16.0}
for name, x in steps.items():
    value = name in ("stream x", "loss")
    figures.box(
        axes, x, 3, 1.5 if name == "loss" else 2.2, 1.3, name, figures.PALE_GREY if value else figures.PALE_BLUE, size=10
    )
edges = [
    (2.3, 3.9, "x", "(T, C)"),
    (6.1, 7.9, "y", "(T, C)"),
    (10.1, 11.9, "logits", "(T, V)"),
    (14.1, 15.25, "", "one\nnumber"),
]
for left, right, name, shape in edges:
    middle = (left + right) / 2
    figures.arrow(axes, (left, 3.25), (right, 3.25))
    axes.text(middle, 3.75 if name else 4.1, f"{name}\n{shape}".strip(), ha="center", va="center", fontsize=10)
    back((right, 2.75), (left, 2.75), f"d{name}\n{shape}" if name else "1", (middle, 2.2 if name else 2.45))
for name, shape, x in (("weight, bias", "(C,)", 5.0), ("wte", "(V, C)", 9.0), ("targets", "(T,)", 13.0)):
    figures.box(
        axes, x, 6.6, 2.2, 1.2, f"{name}\n{shape}", figures.PALE_GREEN if name != "targets" else figures.PALE_GREY, size=10
    )
    figures.arrow(axes, (x - 0.3, 6.0), (x - 0.3, 3.65))
    if name != "targets":
        slopes = "dweight,\ndbias" if name == "weight, bias" else "dwte"
        back((x + 0.3, 3.65), (x + 0.3, 6.0), f"{slopes}\n{shape}", (x + 1.4, 5.0))
axes.text(0.1, 0.9, "solid: values, forward", fontsize=10, ha="left")
axes.text(0.1, 0.2, "dashed: slopes, backward", fontsize=10, ha="left", color="#9a3d00")
T = inputs.shape[1]
figures.show(
    figure,
    f"The last steps of the model as a graph. Forward: x (T, C), layer norm with weight and bias (C,), y (T, C), linear with wte (V, C), logits (T, V), cross-entropy with the targets (T,), loss. "
    f"Backward, dashed: the slope 1, dlogits (T, V), dy (T, C), dx (T, C), and to the side dwte (V, C), dweight and dbias (C,). Here T = {T}, "
    f"C = {config.hidden_size}, V = {V}.",
)

# %% [markdown]
# Three rules are enough.
#
# *A sum and a product.* If y = a + b, a step of 1 in a moves y by 1, and so does a step of 1 in b: both slopes are 1. If y = w
# x, a step of 1 in x moves y by w, and a step of 1 in w moves y by x: in a product, the slope for one factor is the *other*
# factor.
#
# *Multiply* along a way: this is the **chain rule**. If x moves y, and y moves the loss, the slopes are multiplied. Say a
# step of 1 in x moves y by 3, and a step of 1 in y moves the loss by 2. Then a step of 1 in x moves the loss by 3 times 2 =
# 6. So each step of the model needs only one thing from the steps after it: the slopes for its *output*. It multiplies them by
# its own slopes and hands the result back. Its own slopes may contain values of the forward pass, such as w and x above. So these
# values are kept.
#
# *Add* where a value is used twice. Say x moves the loss in two ways: through a by 6, and through b by -1. A small step in x
# moves both, and both move the loss. The changes add up: 6 - 1 = 5. So if a value is used twice, its two slopes are added. It
# is so in every block: x goes through the part *and* past it, x + f(x).
#
# Here is the smallest example with all rules: w x + x², for x = 2 and w = 3. There is no loss in it: `dx` means the slope of
# the result for x. x is used in a = w x, with the slope w = 3. In b = x² = x times x it is both factors; each has the slope of
# the other one, 2, and together they give 4. In the picture the values are beside the solid arrows, and the slopes beside the
# dashed ones.

# %% tags=["figure"]
figure, axes = figures.new(8.0, 3.2)
figures.blank(axes, 16, 6.4)
for x, y, name, colour in (
    (1.4, 3.2, "x", figures.PALE_GREY),
    (7.2, 5.2, "a = w x\nw = 3", figures.PALE_BLUE),
    (7.2, 1.2, "b = x²", figures.PALE_BLUE),
    (13.4, 3.2, "a + b", figures.PALE_BLUE),
):
    figures.box(axes, x, y, 2.6, 1.2, name, colour)
for sign, y, forward_text, slope_text in ((1, 5.2, "6", "w = 3"), (-1, 1.2, "4", "2 + 2 = 4")):
    figures.arrow(axes, (2.8, 3.2 + 0.5 * sign), (5.8, y + 0.25 * sign))
    axes.text(4.0, 3.2 + 1.75 * sign, "2", ha="center", va="center", fontsize=11)
    back((5.8, y - 0.25 * sign), (2.8, 3.2 + 0.1 * sign), slope_text, (5.3, 3.2 + 0.55 * sign))
    figures.arrow(axes, (8.6, y + 0.25 * sign), (12.0, 3.2 + 0.5 * sign))
    back((12.0, 3.2 + 0.1 * sign), (8.6, y - 0.25 * sign), "1", (10.2, 3.2 + 0.55 * sign))
    axes.text(10.6, 3.2 + 1.75 * sign, forward_text, ha="center", va="center", fontsize=11)
axes.text(1.4, 2.0, "dx = 3 + 4 = 7", ha="center", va="center", fontsize=11, color="#9a3d00")
axes.text(13.4, 4.3, "10", ha="center", va="center", fontsize=11)
axes.text(13.4, 2.0, "1", ha="center", va="center", fontsize=11, color="#9a3d00")
figures.show(
    figure,
    "A graph in which x = 2 is used in two places: a = w x = 6 and b = x² = 4; their sum is 10. Backward: the slope 1 goes to a and to b; through a comes 1 times "
    "w = 3, through b comes 2 times x = 4, and dx is 3 + 4 = 7.",
)

# %% [markdown]
# The same with named steps, and beside it the numerical slope:

# %%
x, w = 2.0, 3.0

a = w * x  # forward
b = x * x
value = a + b

dvalue = 1.0  # backward: a step of 1 in the value is a step of 1 in the value
da, db = dvalue, dvalue  # a sum hands its slope to both
dx_through_a = da * w  # a product: the other factor is w
dx_through_b = db * x + db * x  # a product: x is both factors
dx = dx_through_a + dx_through_b
dw = da * x


def f(x):
    """Return the value for another x."""
    return w * x + x * x


numerical = (f(x + h) - f(x - h)) / (2 * h)
print(f"through a {dx_through_a}, through b {dx_through_b}, together {dx}; numerical {numerical:.6f}")
assert abs(dx - numerical) < 1e-6

# %% [markdown]
# ## The first step back: cross-entropy
#
# We begin at the loss. Its slope for itself is 1. How does the loss change with each score? We need the slopes of
#
# > surprise = log(exp(z[0]) + exp(z[1]) + ... + exp(z[V - 1])) - z[j]
#
# z is a row of scores, (V,), and j is the target. The slope of the log of a sum of exps for z[i] is exp(z[i]) divided by the
# sum: the probability p[i]. (This comes from a table of derivatives. You need not know it: below, it is compared with the
# numerical slopes.) The slope of -z[j] is -1 for i = j, else 0. Together:
#
# > dz[i] = p[i] - (1 if i = j, else 0)
#
# This is easy to read. The slope of the target is negative: its score should grow. A target that was improbable has a steeper
# slope than one that was probable. The slope of each other token is its own probability: its score should shrink. The loss is
# the mean over T positions, so all is divided by T.
#
# **Predict:** what is the sum of the slopes of one row? Write a number. (Try it with the formula, before any number is shown.)

# %%
predict("13.2", ...)

# %%
scores = np.array([[2.0, 1.0, 0.0, -1.0], [0.0, 3.0, 1.0, 1.0]])  # (T, V)
came = np.array([1, 1])
T, V_small = scores.shape

slopes = np.zeros((T, V_small))
for t in range(T):
    p = forward.softmax(scores[t])
    for i in range(V_small):
        target = 1.0 if i == came[t] else 0.0
        slopes[t, i] = (p[i] - target) / T

for t in range(T):  # the same by trying
    for i in range(V_small):
        above, below = scores.copy(), scores.copy()
        above[t, i] += h
        below[t, i] -= h
        difference = loss.cross_entropy(above, came).mean() - loss.cross_entropy(below, came).mean()
        assert abs(difference / (2 * h) - slopes[t, i]) < 1e-6

reveal("13.2", round(float(slopes[0].sum()), 6) + 0.0)
print(np.round(slopes, 3))

# %% [markdown]
# The probabilities add up to 1, and 1 is taken away at the target. It must be so: if all scores of a row grow by the same
# number, the probabilities stay as they are, and so does the loss.
#
# ## Exercise: cross_entropy_backward


# %% exercise="cross_entropy_backward"
@check
def cross_entropy_backward(logits, targets):
    """Return the gradient of the loss, (T, V): how the mean surprise of all T positions changes with each score. It is
    the probability (softmax of the row), minus 1 at the target, all divided by T. logits is (T, V); targets (T,)
    has the id of the token that came after each position. You may call softmax(x), which takes (T, V).
    """
    ...


# %%
# hint("cross_entropy_backward")
# solution("cross_entropy_backward")

# %% [markdown]
# With NumPy, without a loop: `np.eye(V)` is a table with ones on the diagonal, and its rows at the targets have a 1 at the
# target and 0 elsewhere.

# %%
one_hot = np.eye(V_small)[came]  # (T, V)
assert np.allclose((forward.softmax(scores) - one_hot) / T, slopes)

# %% [markdown]
# ## The second step back: a linear layer
#
# A linear layer multiplies: y[t, o] = x[t, 0] weight[o, 0] + x[t, 1] weight[o, 1] + ... + bias[o]. You know the slope of a
# product: for one factor it is the other factor. And every number is used several times, so its slopes are added:
#
# - x[t, i] is used in all outputs o of row t: dx[t, i] = dy[t, 0] weight[0, i] + dy[t, 1] weight[1, i] + ...
# - weight[o, i] is used in all rows t: dweight[o, i] = dy[0, o] x[0, i] + dy[1, o] x[1, i] + ...
# - bias[o] is used in all rows t, with the slope 1: dbias[o] = dy[0, o] + dy[1, o] + ...
#
# These sums are matrix products again. You need not learn where the transpose goes: if all sizes differ, the
# shapes allow only one way.

# %%
rng = np.random.default_rng(13)
x, weight, dy = rng.normal(size=(3, 2)), rng.normal(size=(4, 2)), rng.normal(size=(3, 4))  # (T, in), (out, in), (T, out)

dx, dweight, dbias = np.zeros(x.shape), np.zeros(weight.shape), np.zeros(len(weight))
for t in range(len(x)):
    for o in range(len(weight)):
        for i in range(x.shape[1]):
            dx[t, i] = dx[t, i] + dy[t, o] * weight[o, i]
            dweight[o, i] = dweight[o, i] + dy[t, o] * x[t, i]
        dbias[o] = dbias[o] + dy[t, o]

# %% [markdown]
# ## Exercise: linear_backward
#
# Write it with matrix products, without a loop.


# %% exercise="linear_backward"
@check
def linear_backward(dy, x, weight):
    """The forward pass was y = x @ weight.T + bias. dy, (T, out), is the gradient of the loss for y. Return the
    gradients (dx, dweight, dbias), with the shapes of x (T, in), weight (out, in) and bias (out,). The same weight
    and bias were used for all T rows.
    """
    ...


# %%
# hint("linear_backward")
# solution("linear_backward")

# %% [markdown]
# The sums of the loop as matrix products:

# %%
assert np.allclose(dx, dy @ weight)  # (T, out) @ (out, in)
assert np.allclose(dweight, dy.T @ x)  # (out, T) @ (T, in)
assert np.allclose(dbias, dy.sum(axis=0))

# %% [markdown]
# The package's function returns only dx and dweight, because the layers that make q, k and v have no bias in GPT-Neo. For the other
# linear layers, the package computes dbias by another function, `sum_over_rows`.
#
# ## The third step back: layer norm
#
# Layer norm is the hardest. Its forward pass has two steps, row by row: n = (x - mean) / s, with the standard deviation s, and
# then y = n weight + bias. (In notebook 04, `weight` was also called the gain.) We go back in the reverse order.
#
# *The second step* is a product and a sum, as in a linear layer. The same weight and bias are used in all T rows, so their
# slopes are added over the rows:
#
# - dn[t, c] = dy[t, c] weight[c]
# - dweight[c] = dy[0, c] n[0, c] + dy[1, c] n[1, c] + ...
# - dbias[c] = dy[0, c] + dy[1, c] + ...
#
# *The first step* uses each x[c] in three ways, and their three slopes are added:
#
# - directly: a step of 1 in x[c] moves n[c] by 1 / s. This gives dn / s.
# - through the mean of its row. A step of 1 in one entry moves the mean by 1 / C, and a larger mean makes *all* entries of n
#   smaller, by 1 / s for each 1. This gives -mean(dn) / s.
# - through s. If s grows by 1, each entry of n moves towards 0, by n / s: larger entries move more. And s itself moves by
#   n[c] / C if x[c] moves by 1: the entries that are far from the mean move s most. So n comes in twice: -n mean(dn n) / s.
#
# mean(...) is the mean over the C entries of the row. Together:
#
# > dx = (dn - mean(dn) - n * mean(dn * n)) / s
#
# Does it hold? We try it with numbers, for one row. Some value is needed in the place of the loss: we take the sum of dy * y,
# whose slope for y is dy.

# %%
row, weight, bias, dy = rng.normal(size=(4, 5))  # (C,) each, C = 5
centered = row - row.mean()
s = math.sqrt((centered**2).mean() + 1e-5)
n = centered / s
dn = dy * weight
three_ways = [dn / s, -dn.mean() / s * np.ones(5), -n * (dn * n).mean() / s]  # directly, through the mean, through s


def value_of(row):
    """Return the sum of dy * y for a row."""
    return float((dy * forward.layer_norm(row, weight, bias, 1e-5)).sum())


for c in range(5):
    step = np.zeros(5)
    step[c] = h
    numerical = (value_of(row + step) - value_of(row - step)) / (2 * h)
    assert abs(sum(way[c] for way in three_ways) - numerical) < 1e-6
    print(f"x[{c}]: " + " ".join(f"{way[c]:+.3f}" for way in three_ways) + f" = {numerical:+.3f}, numerical")

# %% [markdown]
# First a puzzle. The lines of the function are there, in the wrong order. A line can come only after the lines that make its
# names.

# %%
order_lines("layer_norm_backward")

# %%
# order_lines("layer_norm_backward", "")  # your order, as letters

# %% [markdown]
# ## Exercise: layer_norm_backward
#
# Now write it, without looking at the puzzle. The names are those of the text above.


# %% exercise="layer_norm_backward"
@check
def layer_norm_backward(dy, x, weight, eps):
    """The forward pass was y = n weight + bias, n = (x - mean) / s, s = sqrt(variance + eps), row by row. dy, (T, C),
    is the gradient of the loss for y. Return (dx, dweight, dbias), with the shapes of x (T, C), weight (C,) and
    bias (C,). Mean and s depend on x too.
    """
    ...


# %%
# hint("layer_norm_backward")
# solution("layer_norm_backward")

# %% [markdown]
# ## The real checkpoint: derived against numerical
#
# The other steps work in the same way: each function of `forward.py` has a partner in `backward.py`, and they are called in
# the reverse order. One call gives the gradient of every parameter of the model. (`fast=False` lets it run the formulas of
# `forward.py`, as `loss_of` does.) Is it right? We draw 40 parameters at random, from all over the model, and compare with the
# slow way.

# %%
start, gradients = backward.loss_and_gradients(params, config, inputs, targets, fast=False)
assert all(gradients[name].shape == array.shape for name, array in params.flat().items())

rng = np.random.default_rng(0)
names = rng.choice(list(gradients), 40)
places = [np.unravel_index(rng.integers(gradients[name].size), gradients[name].shape) for name in names]
derived = np.array([gradients[name][place] for name, place in zip(names, places)])
numerical = np.array([(loss_with(name, place, h) - loss_with(name, place, -h)) / (2 * h) for name, place in zip(names, places)])
worst = float(np.abs(derived - numerical).max() / np.abs(derived).max())

# %% [markdown]
# Before we look: a step against the gradient should lower the loss. All parameters move at once, each by its slope times the
# same small factor.
#
# **Predict:** we try larger and larger factors. What happens to the loss? Write `"falls"` if it falls further and further,
# `"falls then rises"`, or `"rises"`.

# %%
predict("13.3", ...)

# %%
factors = 10.0 ** np.linspace(-3, 2, 16)
after = []
for factor in factors:
    stepped = Params({name: array - factor * gradients[name] for name, array in params.flat().items()})
    after.append(loss_of(stepped))
after = np.array(after)
best = int(after.argmin())
reveal("13.3", "falls then rises" if 0 < best < 15 and after[-1] > start else "falls")

# %% tags=["figure"]
figure, panels = figures.new(8.4, 3.7, panels=2)
axes = panels[0]
edge = 1.15 * max(np.abs(derived).max(), np.abs(numerical).max())
axes.plot([-edge, edge], [-edge, edge], color=figures.GREY, linestyle="--", linewidth=1)
axes.plot(
    derived, numerical, linestyle="none", marker="o", markersize=6, fillstyle="none", color=figures.BLUE, markeredgewidth=1.5
)
axes.set(
    title="40 parameters of the model",
    xlabel="slope, derived",
    ylabel="slope, numerical",
    xlim=(-edge, edge),
    ylim=(-edge, edge),
)
axes.locator_params(nbins=5)
axes = panels[1]
figures.lines(axes, {"after": (factors, after), "before": (factors, np.full(16, start))}, at=None, title="one step downhill")
axes.set_xscale("log")
axes.xaxis.set_major_formatter(lambda value, place: f"{value:g}")
axes.set(xlabel="factor of the step", ylabel="loss in nats", ylim=(0, 3 * start))
axes.legend(frameon=False, loc="upper left")
figures.show(
    figure,
    f"Left: 40 random parameters, their slopes derived and numerical; all lie on the diagonal, with differences below a millionth of the largest slope. Right: the "
    f"loss of the sentence after one step against the gradient: {start:.2f} before, {after[best]:.2f} with the factor {factors[best]:.2g}, and more than before "
    f"with {factors[-1]:g}. (The picture ends at {3 * start:.1f} nats.)",
)
assert worst < 1e-6
assert after[0] < start and after[best] < start - 0.2 and after[-1] > start

# %% [markdown]
# The two ways agree; they differ by less than a millionth of the largest slope, which is rounding and the rest of the bend. And
# the step works: from {{start:.2f}} to {{after[best]:.2f}} nats for this sentence with the best of our factors. But a slope is true only
# nearby: a step that is too large lands somewhere else, and the loss is higher than before. Notebook 14 takes many small
# steps.
#
# ## Break it: a value that is used twice
#
# In GPT-Neo the token table wte is used twice: at the beginning it makes rows of ids, and at the end it makes scores of
# rows. So its gradient is a sum of two. A common mistake is to keep only one of them. We can see both parts if we give the
# model two tables with the same numbers: then each use has a gradient of its own.

# %%
# The table at the end is called lm_head, if it is a table of its own.
apart = Params({**params.flat(), "lm_head.weight": params.wte.weight.copy()})
_, parts = backward.loss_and_gradients(apart, config, inputs, targets, fast=False)
first_use, second_use = parts["wte.weight"], parts["lm_head.weight"]
assert np.allclose(first_use + second_use, gradients["wte.weight"], atol=1e-10)

spots = [(token, int(np.abs(first_use[token]).argmax())) for token in dict.fromkeys(inputs[0].tolist())][:10]
true = np.array([(loss_with("wte.weight", spot, h) - loss_with("wte.weight", spot, -h)) / (2 * h) for spot in spots])
uses = {
    "both uses added": np.array([gradients["wte.weight"][spot] for spot in spots]),
    "first use only": np.array([first_use[spot] for spot in spots]),
    "second use only": np.array([second_use[spot] for spot in spots]),
}
errors = {name: float(np.abs(values - true).max()) for name, values in uses.items()}

# %% tags=["figure"]
figure, axes = figures.new(7.5, 3.6)
edge = 1.15 * max(np.abs(true).max(), *(np.abs(values).max() for values in uses.values()))
axes.plot([-edge, edge], [-edge, edge], color=figures.GREY, linestyle="--", linewidth=1)
for (name, values), (colour, _, marker) in zip(uses.items(), figures.LINES):
    axes.plot(
        values,
        true,
        linestyle="none",
        marker=marker,
        markersize=8,
        fillstyle="none",
        color=colour,
        markeredgewidth=1.5,
        label=name,
    )
axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
axes.set(xlabel="slope, derived", ylabel="slope, numerical", xlim=(-edge, edge), ylim=(-edge, edge))
shown = "; ".join(f"{name} {value:.2f}" for name, value in errors.items())
figures.show(
    figure,
    f"Slopes of {len(spots)} entries of wte, derived and numerical. With both uses added, all lie on the diagonal; with one use only, not all do. The largest errors: {shown}.",
)
assert errors["both uses added"] < 1e-5 < 1e-2 < min(errors["first use only"], errors["second use only"])

# %% [markdown]
# Only with the sum do *all* points lie on the diagonal. A point with one use only may be near it: there the other use adds
# almost nothing. A gradient with a missing part has the right shape, and no error appears. The comparison with the numerical
# gradient finds such a mistake, if it looks at more than one entry. It belongs to every backward function that anybody writes.
#
# ## The same in the package

# %%
show_source(
    backward.cross_entropy_backward,
    notes={
        "np.exp(log_probs)": "The probabilities: the function gets their logs.",
        "-= 1.0": "Minus 1 at the target of each row. The division by the number of positions comes later.",
    },
)
show_source(
    backward.linear_backward,
    notes={"rows @ weight": "dx.", "rows.T @ x_rows": "dweight, a sum over all rows of all texts."},
)
show_source(
    backward.layer_norm_backward,
    notes={
        "dn = dy * weight": "First back through the gain.",
        "dn.sum(axis=-1, keepdims=True) / C": "The way through the mean.",
        "n * ((dn * n).sum(axis=-1, keepdims=True) / C)": "The way through s.",
    },
)
show_source(
    backward.block_backward,
    notes={
        "dmid = dy + dpart": "The stream goes past the part and through it: two slopes, added.",
        "return dmid + dpart": "And again.",
        'dropout_backward(dy, seen, prefix + "mlp.out")': "Dropout sets numbers to 0 at random in training. Without it, this changes nothing.",
    },
)

# %% [markdown]
# Now read [backward.py](../neo_np/gpt_neo/backward.py) beside [forward.py](../neo_np/gpt_neo/forward.py): for each function
# there is a partner, in the same order.
#
# ## Three sentences to remember
#
# 1. The gradient has one slope for each parameter, and a small step against it lowers the loss.
# 2. Backwards, slopes are multiplied along a way, and added if a value was used more than once.
# 3. Every backward function is compared with (f(x + h) - f(x - h)) / 2h.
#
# ## Two questions to recall
#
# 1. From notebook 12: why is the log of a probability not computed from the probability?
# 2. From notebook 09: what does a block do to the residual stream?
#
# <details><summary>Answers</summary>
#
# 1. A very small probability is rounded to 0. Its log would be minus infinity, and the surprise infinite.
# 2. It adds to it, twice: what attention and what the MLP make of a levelled copy.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [12 The loss](12_loss.ipynb). On: [14 Training](14_training.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [backward.py](../neo_np/gpt_neo/backward.py), functions `cross_entropy_backward`, `linear_backward`, `layer_norm_backward`
# and `block_backward`.
