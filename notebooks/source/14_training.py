# %% [markdown]
# # 14 Training
#
# **Question: can I grow one?**
#
# About {{minutes}} minutes (an estimate). You need notebooks 09, 12 and 13.
#
# You have all the parts. The forward pass turns ids into scores (notebook 09). The loss says how bad they are (12). The
# gradient says for each parameter which way is downhill (13). Training puts them into a loop: read a little text, compute
# the gradient, move every parameter a little downhill, and repeat. In this notebook you train a model of about 100,000
# parameters. It begins with random numbers and ends with something that tries to tell a tale. The computing takes from half
# a minute to some minutes: this depends on your computer.

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
import time

import figures
import measure
import numpy as np

import neo_np
from neo_np import Config, Model, Tokenizer
from neo_np.evaluate import text as evaluation
from neo_np.exercises import check, hint, predict, progress, reveal, show_source, solution
from neo_np.gpt_neo import backward, forward, loss
from neo_np.gpt_neo import params as parameters
from neo_np.train import data, optimizer

# %% [markdown]
# ## The text and its tokens
#
# We train on {{len(measure.tales("train"))}} of Grimm's tales and test on {{len(measure.tales("valid"))}} tales from another
# book, which the model never sees while it learns. A small model needs a small vocabulary: the token table has V rows, and
# they count as parameters. So we let byte-pair encoding (notebook 02) learn a vocabulary of 512 tokens from the tales: the
# special token `<|endoftext|>` with the id 0, the 256 bytes, and 255 merges.

# %%
V = 512
tokenizer = Tokenizer.train(measure.tales("train"), V)
END = tokenizer.special_tokens["<|endoftext|>"]  # 0


def ids_of(name):
    """Return the ids of all tales of a file, (N,): before each tale comes END."""
    return np.array([id for tale in measure.tales(name) for id in [END, *tokenizer.encode(tale)]])


train_ids, valid_ids = ids_of("train"), ids_of("valid")
print(f"{len(train_ids):,} tokens to learn from, {len(valid_ids):,} to test with")
print(tokenizer.token_strings(tokenizer.encode("Once upon a time there was a king")))

# %% [markdown]
# With so few merges, only the most frequent words are one token.
#
# ## A model of random numbers
#
# The model is a small GPT-Neo: two layers, one global and one local, and C = 56 channels in 4 heads. It can read T = 64
# tokens. `random_params` makes its arrays: gains are 1, biases are 0, and all other numbers are random and small (most are between
# -0.04 and 0.04).

# %%
T, C = 64, 56
config = Config(
    vocab_size=V,
    hidden_size=C,
    num_layers=2,
    num_heads=4,
    max_position_embeddings=T,
    attention_layers=["global", "local"],
    window_size=16,
    bos_token_id=END,
    eos_token_id=END,
)
params = parameters.random_params(config, seed=0)
number = parameters.count(params)
print(f"{number:,} parameters")
assert 80_000 < number < 130_000

# %% [markdown]
# How good is it? We cut 32 pieces of T + 1 tokens from the unseen tales. T tokens of a piece are read, and each of them
# predicts the one after it. Beside it we need the two baselines of notebook 12: log V, the loss of a model that
# gives all tokens the same probability, and the unigram model, which knows how often each token occurs.

# %%
pieces = valid_ids[: 32 * (T + 1)].reshape(32, T + 1)  # (B, T + 1)


def test_loss(params):
    """Return the mean surprise on the unseen pieces, in nats."""
    logits = forward.forward(params, config, pieces[:, :-1])  # (B, T, V)
    return float(loss.cross_entropy(logits, pieces[:, 1:]).mean())


counts = np.bincount(train_ids, minlength=V) + 1  # how often each id occurs, and one more
surprise_of_token = -np.log(counts / counts.sum())  # (V,)
unigram = float(surprise_of_token[pieces[:, 1:]].mean())
nothing = math.log(V)

# %% [markdown]
# **Predict:** the model has random parameters. It may guess evenly, it may know something by luck, or it may be sure of wrong tokens. Is its
# loss about `"log V"`, about `"unigram"`, or is it `"higher"` than both?

# %%
predict("14.1", ...)

# %%
at_start = test_loss(params)
nearest = "log V" if abs(at_start - nothing) < 0.1 else "unigram" if abs(at_start - unigram) < 0.1 else "higher"
print(f"random model {at_start:.2f}, log V {nothing:.2f}, unigram {unigram:.2f}")
assert abs(at_start - nothing) < 0.1

# %%
reveal("14.1", nearest)

# %% [markdown]
# It guesses evenly. Because its random numbers are small, all scores are near 0, and all tokens are about equally likely.
# With large random numbers it would be sure of wrong tokens. And this is how such a model writes:


# %%
def write(params, seed=0):
    """Return a text of 40 new tokens that a model with these parameters writes."""
    model = Model(config, params, tokenizer)
    text = model.generate("Once upon a time", max_new_tokens=40, do_sample=True, temperature=0.8, seed=seed)
    return " ".join(text.split())  # no line ends


print(write(params))

# %% [markdown]
# ## From a gradient to a step
#
# The simplest step is that of notebook 13. Each parameter p moves against its slope g:
#
# > p = p - rate × g
#
# The number *rate* is the **learning rate**: the step is this number times the slope. The rule by which parameters are changed is called
# the **optimizer**. The simplest one has two problems:
#
# - *Noise.* We compute the gradient from a few pieces of text, a batch, because the whole text would take too long. Another
#   batch gives another gradient. One of them may point uphill for the whole text; their mean points downhill.
# - *Different sizes.* The slope of one parameter may be a thousand times larger than that of another. One learning rate
#   cannot fit both. If it is small enough for the steep one, the gentle one hardly moves.
#
# The optimizer **AdamW** solves both. It keeps two numbers for each parameter: m, the mean of its last gradients, against
# the noise; and v, the mean of their *squares*. The root of v is the usual size of this parameter's gradient. The step is
# m divided by the root of v. So the size cancels out, and each parameter moves by about the learning rate, whether its
# slopes are large or small.
#
# The picture has a "model" of two parameters, a and b, and the loss is (a × a + 25 × b × b) / 2. It is a narrow valley: the
# slope for b is 25 × b, that for a is only a. Both optimizers make 20 steps from the same place. Each has a rate that suits
# it: 0.075 for the plain steps, 0.3 for AdamW. In the picture, the star is the lowest point of the valley, and each thin
# line joins points that have the same loss.

# %%
start = np.array([-4.0, 1.0])  # a and b


def slope(p):
    """Return the gradient of (a * a + 25 * b * b) / 2."""
    return np.array([1.0, 25.0]) * p


def height(p):
    """Return the loss."""
    return float((np.array([1.0, 25.0]) * p * p).sum() / 2)


plain, adam = [start], [start]
m, v = np.zeros(2), np.zeros(2)
for step in range(1, 21):
    plain.append(plain[-1] - 0.075 * slope(plain[-1]))
    # The arguments have their names here. What betas, decay and eps are comes below.
    p, m, v = optimizer.adamw(adam[-1], slope(adam[-1]), m, v, step, learning_rate=0.3, decay=0.0, betas=(0.8, 0.9), eps=1e-8)
    adam.append(p)

# %% tags=["figure"]
figure, panels = figures.new(8.4, 3.6, panels=2)
grid_a, grid_b = np.meshgrid(np.linspace(-4.6, 1.4, 80), np.linspace(-1.4, 1.4, 80))
for axes, path, name, (colour, dash, marker) in zip(panels, (plain, adam), ("plain steps", "AdamW"), figures.LINES):
    axes.contour(
        grid_a, grid_b, (grid_a**2 + 25 * grid_b**2) / 2, levels=[0.5, 2, 5, 10, 20], colors=[figures.GREY], linewidths=0.8
    )
    axes.plot(*np.array(path).T, color=colour, linestyle=dash, marker=marker, markersize=5, linewidth=1.6)
    axes.plot([0], [0], marker="*", markersize=14, color="black")
    axes.set(title=name, xlabel="a", ylabel="b")
figures.show(
    figure,
    f"Two paths of 20 steps through a narrow valley, from a = -4, b = 1, where the loss is {height(start):.1f}; the star is the lowest point, the thin lines have equal "
    f"loss. Left: plain steps jump from one side to the other and reach {height(plain[-1]):.2f}. Right: AdamW goes along the valley, overshoots, and ends at {height(adam[-1]):.2f}; its lowest point was {min(map(height, adam)):.2f}.",
)
assert height(adam[-1]) < height(plain[-1]) / 2

# %% [markdown]
# The plain steps cannot be longer: they already jump from one wall of the valley to the other. Along the valley they are far
# too short. AdamW moves about as fast in both directions. But it does not stop at the star: its m remembers the last slopes and carries it past the lowest point, and with a
# rate that stays the same its steps stay long. Smaller steps at the end help: this is the schedule below.
#
# ### The mean of the last gradients
#
# How do you keep a mean without keeping all gradients? With a **running mean**: nine parts of the old mean and one part of
# the new number. Old numbers fade away by themselves. Say the gradient is 2.0 in each step, and the mean begins with 0:

# %%
mean = 0.0
for step in range(1, 5):
    mean = 0.9 * mean + 0.1 * 2.0
    print(f"step {step}: mean {mean:.3f}, divided by {1 - 0.9**step:.3f} {mean / (1 - 0.9**step):.3f}")

# %% [markdown]
# The mean should be 2.0 all the time, but it begins with 0 and needs many steps to get there. We know how much is missing:
# after the first step, the numbers in the mean have only one tenth of the full weight, and after n steps they have 1 -
# 0.9^n of it. (Python writes a power with two stars; `^` is something else there.) So we divide by this number, and the
# mean is right from the first step on. This is called **bias correction**. ("Bias" here means an error in one direction. It
# is not the bias of a linear layer.) The uncorrected mean is kept for the next step.
#
# In AdamW the weight of the old m is called b1, that of the old v is b2. Usual values for language models are 0.9 and 0.95.
#
# ### Weight decay
#
# The W in AdamW is **weight decay**: in each step, a parameter is also pulled a little towards 0. What the loss does not
# need, fades away. The training below does this with embeddings and with the weights of linear layers. Gains and biases are left as they are: a gain that
# fades to 0 would switch its channel off. This pull has nothing to do with the gradient, so it goes neither into m nor into v. It is only
# multiplied by the learning rate, as the rest of the step is.
#
# And *eps* is a very small number. It is added to the root of v, so that nothing is divided by 0.
#
# ## Exercise: a step of AdamW
#
# All is done entry by entry, so it does not matter which shape the arrays have. The cases use large numbers for eps and
# decay, so that mistakes show.


# %% exercise="adamw_step"
@check
def adamw_step(p, g, m, v, step, learning_rate, decay, betas, eps):
    """Return the new (p, m, v) after one step of AdamW. p: a parameter array, g: its gradient, betas: (b1, b2). The
    new m is b1 times the old one, plus 1 - b1 times g; v is the same with b2 and the square of g. Correct them:
    divide m by 1 - b1**step and v by 1 - b2**step; step counts from 1. Divide corrected m by (root of corrected v,
    plus eps), add decay times p, and move p by -learning_rate times this. Return m and v uncorrected.
    """
    b1, b2 = betas
    m = b1 * m + ...
    v = b2 * v + ...
    m_hat = m / ...  # corrected; so is v_hat
    v_hat = v / ...
    p = p - learning_rate * (... + decay * p)
    return p, m, v


# %%
# hint("adamw_step")
# solution("adamw_step")

# %% [markdown]
# ## A limit for the step
#
# Now and then a batch has an unusual gradient, many times longer than the others. One such step can spoil what a hundred
# steps have learnt. So the gradient gets a limit. Think of all gradients as one long arrow, with as many entries as the model
# has parameters. The length of this arrow is called the **norm**: the root of the sum of all squares, as for the length of a
# row in notebook 03. If the norm is above the limit, the whole arrow is made shorter. This is **clipping**.
#
# Shorter, but with the same direction: all entries are multiplied by the *same* number. The arrow (3, 4) has the norm 5,
# because 9 + 16 = 25. With the limit 1 it becomes (0.6, 0.8).

# %%
windows = data.random_windows(train_ids, 16, T + 1, np.random.default_rng(0))
first_loss, gradients = backward.loss_and_gradients(params, config, windows[:, :-1], windows[:, 1:])
total = 0.0
for gradient in gradients.values():
    for entry in gradient.flat:
        total = total + float(entry) ** 2
print(f"{len(gradients)} arrays, together {sum(g.size for g in gradients.values()):,} entries, norm {math.sqrt(total):.2f}")
assert abs(optimizer.clip_gradients(gradients, math.inf) - math.sqrt(total)) < 1e-3  # the package returns the same norm

# %% [markdown]
# ## Exercise: clipping


# %% exercise="clip"
@check
def clip(gradients, max_norm):
    """gradients is a tuple of arrays of any shapes. Their norm is the root of the sum of the squares of all entries,
    of all arrays together. Return a tuple of arrays: the gradients as they are if the norm is at most max_norm,
    else all of them scaled by the same factor, so that the norm becomes max_norm. The arrays that come in must not
    be changed.
    """
    ...


# %%
# hint("clip")
# solution("clip")

# %% [markdown]
# ## The learning rate changes too
#
# A run has three phases, and each needs a different learning rate:
#
# - At the very beginning, m and v are means of only a few gradients. The correction above makes them right *on average*, but the gradient of one batch is noisy, and
#   so the step may go anywhere. So the rate begins near 0 and grows. This is the **warm-up**.
# - Then the rate is at its peak: here most is learnt.
# - Near the end, long steps only jump around the lowest point, as in the valley. So the rate gets smaller and smaller.
#
# The rule that gives a rate to each step is the **schedule**. The usual one has a straight line for the warm-up and half a
# wave of a cosine after it: it bends away from the peak slowly, falls, and comes to the minimum slowly. You need only two
# values of the cosine: cos(0) = 1 and cos(pi) = -1. So (1 + cos(pi × x)) / 2 goes
# from 1 to 0 while x goes from 0 to 1. (The angle is in radians, as in Python's `math.cos`: pi is half a turn.)

# %%
at = np.arange(1, 101)  # the steps of a short run
rates = [optimizer.learning_rate(int(step), 100, 0.01, 10, 0.001) for step in at]

# %% tags=["figure"]
figure, axes = figures.new(7.5, 3.0)
figures.lines(axes, {"": (at, np.array(rates))}, xlabel="step", ylabel="learning rate", markers=False)
axes.set_ylim(0, 0.0115)
figures.show(
    figure,
    f"The learning rate in a run of 100 steps with 10 steps of warm-up: {rates[0]:.3f} at step 1, {rates[9]:.3f} at step 10, {rates[54]:.4f} half-way down at step 55, "
    f"{rates[-1]:.3f} at step 100.",
)

# %% [markdown]
# ## Exercise: the schedule


# %% exercise="schedule"
@check
def schedule(step, steps, peak, warmup_steps, minimum):
    """Return the learning rate of a step, one float. Steps are counted from 1 to steps. In the first warmup_steps
    steps it is step / warmup_steps of the peak. After them, progress grows in equal parts from 0 (at step
    warmup_steps) to 1 (at the last step), and the rate falls from the peak to the minimum: it is minimum plus the
    share (1 + cos(pi progress)) / 2 of the difference between the two.
    """
    ...


# %%
# hint("schedule")
# solution("schedule")

# %% [markdown]
# ## The whole training loop
#
# Here it is. `random_windows` draws B pieces at random places of the text. Each piece has T + 1 tokens: the first T are
# read, the last T are the targets. `yield` hands out the loss after each step; the loop waits until it is asked for the next
# step. (A piece may begin in one tale and end in the next one. Then END is in its middle, and the model learns that anything may follow it.)


# %%
settings = {"betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 0.1}  # usual values for language models


def train(params, steps, peak, seed=0):
    """Train the parameters, which change in place; yield (step, loss of the batch) after each step."""
    rng, flat = np.random.default_rng(seed), params.flat()  # flat: {name: array}
    adamw = optimizer.AdamW(flat, **settings)  # it keeps m and v of every array; no decay for gains and biases
    for step in range(1, steps + 1):
        windows = data.random_windows(train_ids, 16, T + 1, rng)  # (B, T + 1)
        inputs, targets = windows[:, :-1], windows[:, 1:]  # (B, T) both
        batch_loss, gradients = backward.loss_and_gradients(params, config, inputs, targets)
        optimizer.clip_gradients(gradients, 1.0)
        rate = optimizer.learning_rate(step, steps, peak, steps // 10, peak / 10)
        adamw.update(flat, gradients, rate)
        yield step, batch_loss


# %% [markdown]
# This is the whole loop. Large models are trained with the same loop, on more text and on many machines.
#
# The run has 800 steps. In each one, a parameter moves by about the learning rate, 0.004 at its peak, and at the start most parameters are not larger than 0.04. To be as good as the unigram baseline, the model
# must find how often each token occurs; it needs to know nothing about the order of tokens.
#
# **Predict:** when will the loss on the unseen tales be below the unigram baseline? Write `"in the first quarter"`, `"later"`
# or `"never"`.

# %%
predict("14.2", ...)

# %% in_tests="STEPS, SHORT = 100, 110"
STEPS, SHORT = 800, 150  # steps of the long run and of the short ones

# %% tags=["varies"]
params = parameters.random_params(config, seed=0)
moments = [0, STEPS // 16, STEPS // 4, STEPS]  # when it writes a text
texts = {0: write(params)}
batch_losses, test_losses = [], {0: test_loss(params)}

began = time.process_time()
for step, batch_loss in train(params, STEPS, peak=0.004):
    batch_losses.append(batch_loss)
    if step % 10 == 0 or step in moments:
        test_losses[step] = test_loss(params)
    if step in moments:
        texts[step] = write(params)
print(f"{STEPS} steps in {time.process_time() - began:.0f} seconds of computing")

# %%
passed = next((step for step, value in test_losses.items() if value < unigram), None)
assert test_losses[STEPS] < unigram  # the claim that must hold in every run

# %%
reveal("14.2", "never" if passed is None else "in the first quarter" if passed <= STEPS / 4 else "later")

# %% tags=["figure", "varies"]
figure, axes = figures.new(8.2, 4.0)
every = np.array(list(test_losses))
smooth = [float(np.mean(batch_losses[max(0, step - 10) : step])) for step in every[1:]]
curves = {
    "  unseen tales": (every, np.array(list(test_losses.values()))),  # room for the circle
    "training text": (every[1:], np.array(smooth)),
    "log V": (every, np.full(len(every), nothing)),
    "unigram": (every, np.full(len(every), unigram)),
}
figures.lines(axes, curves, xlabel="step", ylabel="loss in nats")
for letter, step in zip("ABCD", moments):
    axes.annotate(
        letter, (step, test_losses[step]), (0, 12), textcoords="offset points", ha="center", fontsize=11, fontweight="bold"
    )
    axes.plot([step], [test_losses[step]], marker="o", markersize=10, fillstyle="none", color="black", markeredgewidth=1.5)
axes.set_ylim(min(smooth) - 0.2, nothing + 0.4)
marks = ", ".join(f"{letter} (step {step}) {test_losses[step]:.2f}" for letter, step in zip("ABCD", moments))
figures.show(
    figure,
    f"The loss in nats in {STEPS} steps. On unseen tales, at four marked moments: {marks}. On the training text it ends at {smooth[-1]:.2f}. "
    f"The baselines are log V = {nothing:.2f} and unigram = {unigram:.2f}.",
)

# %% [markdown] tags=["varies"]
# Read the curve from left to right. Up to B the loss falls from log V to about the unigram baseline. To reach it, a model only needs to know how often each token occurs, and no attention. At step
# {{passed}} the loss is below this baseline for the first time. To get far below it, a model must use the tokens before. Probably it first learns which token follows which, and then longer pieces; the texts below fit this, but we have not measured it.
# The end is at {{test_losses[STEPS]:.2f}} nats.
#
# The loss on the training text is lower in the end: {{smooth[-1]:.2f}}. Each token of it has been read
# {{STEPS * 16 * T / len(train_ids):.0f}} times on average, and the model begins to learn the tales by heart. If it then predicts text
# that it has not read worse and worse, this is called **overfitting**. A model is always judged by text that it has not read.
#
# The texts at the four moments, A to D:

# %% tags=["varies"]
for letter, step in zip("ABCD", moments):
    print(f"{letter}, step {step}: {texts[step]}\n")

# %% [markdown]
# A has tokens without any order. B has mostly frequent tokens, and still no order. C and D have real words beside invented
# ones, often in an order that English allows. It does not make sense, but it began with random numbers.
#
# ## Three learning rates
#
# The learning rate is the most important number of a run, and no formula gives it. One tries some. We make three short runs,
# from the same random numbers and with the same batches. Only the peak differs: 0.0003, 0.003 and 0.03.
#
# **Predict:** which run has the lowest loss at its end? Write `"small"`, `"middle"` or `"large"`.

# %%
predict("14.3", ...)

# %%
runs, ends = {}, {}
for name, peak in {"small": 0.0003, "middle": 0.003, "large": 0.03}.items():
    tried = parameters.random_params(config, seed=0)
    runs[name] = [batch_loss for _, batch_loss in train(tried, SHORT, peak)]
    ends[name] = test_loss(tried)
assert ends["middle"] < unigram and ends["middle"] + 0.1 < min(ends["small"], ends["large"])

# %%
reveal("14.3", min(ends, key=ends.get))

# %% tags=["figure", "varies"]
figure, axes = figures.new(8.0, 3.8)
curves = {}
for name, peak in {"small": "0.0003", "middle": "0.003", "large": "0.03"}.items():
    curves[f"{name}, {peak}"] = (np.arange(5, SHORT + 1), np.convolve(runs[name], np.ones(5) / 5, mode="valid"))
figures.lines(axes, curves, xlabel="step", ylabel="loss of the batch in nats")
axes.plot([1, SHORT], [unigram, unigram], color=figures.GREY, linewidth=1)
axes.annotate("unigram", (1, unigram), (0, -5), textcoords="offset points", va="top", color=figures.GREY)
shown = "; ".join(f"{name} {value:.2f}" for name, value in ends.items())
figures.show(
    figure,
    f"Three runs of {SHORT} steps with the peaks 0.0003, 0.003 and 0.03; each curve is a mean over 5 steps. The loss on unseen tales at the end: {shown} nats; "
    f"unigram {unigram:.2f}.",
)

# %% [markdown]
# The small rate goes in the right direction, but it needs more steps. The large rate learns how often each token occurs and
# then hardly more. The reason is not only that its steps are too long at the end: there the schedule has made them as short as the longest of the middle run. We have also let
# it train on from there with the small steps of another middle run (not shown here), and it hardly got better. The long steps at the beginning have led to parameters from which short steps do not get away.
# Between the two rates lies a range in which training works. A short peak in a curve may come from a single step that was too
# long; the next steps repair it.
#
# ## The real checkpoint: how far is it?
#
# The checkpoint of this course was made by the same loop, with a larger model, more text and more time. How far is our small
# model from it? The losses cannot be compared: the two have different tokens. But bits per byte can (notebook 12), because
# both read the same text. Each model reads at most 64 of its own tokens at a time, and each window scores 32 new ones.

# %%
shipped = neo_np.load()
tales = measure.tales("valid")
size = sum(len(tale.encode("utf-8")) for tale in tales)
tokens = [id for tale in tales for id in tokenizer.encode(tale)]
bits = {
    "log V": len(tokens) * nothing / math.log(2) / size,
    "unigram": float(surprise_of_token[tokens].sum()) / math.log(2) / size,
    "our model": evaluation.evaluate_text(Model(config, params, tokenizer), tales, 64, 32)["bits_per_byte"],
    "the checkpoint": evaluation.evaluate_text(shipped, tales, 64, 32)["bits_per_byte"],
}

# %% tags=["figure", "varies"]
figure, axes = figures.new(7.5, 2.5)
figures.bars(axes, list(bits), list(bits.values()), xlabel="bits per byte of unseen tales", marked=["log V", "unigram"])
shown = "; ".join(f"{name} {value:.2f}" for name, value in bits.items())
figures.show(figure, f"Bits per byte on {size:,} bytes of tales that neither model has seen: {shown}.")
assert bits["the checkpoint"] < bits["our model"] < bits["unigram"] < bits["log V"]

# %% [markdown]
# The checkpoint has {{round(parameters.count(shipped.params) / number)}} times as many parameters as ours. More parameters
# by themselves would probably help our model little: from a text of only {{len(train_ids):,}} tokens, it would learn more
# by heart, and not much that holds for other tales. A model, its text and the time of its training must grow together.
#
# ## Break it: targets that are not shifted
#
# A common mistake in a training loop is a small one: the targets are the inputs themselves, and not the tokens after
# them. All shapes are right, and no error appears.
#
# **Predict:** will the loss of the broken run be `"lower"` or `"higher"` than that of the right one?

# %%
predict("14.4", ...)

# %%
rng = np.random.default_rng(0)
broken = parameters.random_params(config, seed=0)
adamw, broken_losses = optimizer.AdamW(broken.flat(), **settings), []
for step in range(1, SHORT + 1):
    inputs = data.random_windows(train_ids, 16, T, rng)
    batch_loss, gradients = backward.loss_and_gradients(broken, config, inputs, inputs)  # the mistake
    optimizer.clip_gradients(gradients, 1.0)
    adamw.update(broken.flat(), gradients, optimizer.learning_rate(step, SHORT, 0.003, SHORT // 10, 0.0003))
    broken_losses.append(batch_loss)
true_loss = test_loss(broken)
assert broken_losses[-1] < ends["middle"] - 1 and true_loss > at_start

# %%
reveal("14.4", "lower" if broken_losses[-1] < runs["middle"][-1] else "higher")

# %% tags=["figure", "varies"]
figure, axes = figures.new(8.0, 3.4)
at = np.arange(1, SHORT + 1)
curves = {
    "right": (at, np.array(runs["middle"])),
    "not shifted": (at, np.array(broken_losses)),
    "unigram": (at, np.full(SHORT, unigram)),
}
figures.lines(axes, curves, xlabel="step", ylabel="loss that the loop shows")
axes.set(xlim=(0, SHORT + 1), ylim=(0, None))
figures.show(
    figure,
    f"The loss that two loops show in {SHORT} steps. With right targets it ends at {runs['middle'][-1]:.2f} nats, with targets that are not shifted at "
    f"{broken_losses[-1]:.2f}. But in truth the second model has {true_loss:.2f} nats on unseen tales.",
)

# %% tags=["varies"]
print(write(broken))

# %% [markdown] tags=["varies"]
# The loss falls to {{broken_losses[-1]:.2f}} nats. (The curve "right" is that of the middle run above, with its short peak if there was one.) This is too good to be true: the model has
# learnt to repeat the token that it has just read. In truth, when it must predict the *next* token, its loss is
# {{true_loss:.2f}} nats, worse than that of random numbers. So look at a text now and then, and be suspicious of a loss that is
# too low.
#
# ## The same in the package

# %%
show_source(
    optimizer.adamw,
    notes={
        "m_hat = ": "The correction: both means begin with 0.",
        "+ eps": "Outside of the root.",
        "+ decay * p": "Inside the bracket, so times the learning rate; and beside the gradient, not in it.",
    },
)
show_source(
    optimizer.clip_gradients,
    notes={
        "np.vdot(g, g)": "The dot product of an array with itself: the sum of its squares.",
        "g *= ": "In place: the package's function changes its input, on purpose, to save memory.",
    },
)
show_source(
    optimizer.learning_rate,
    notes={
        "peak * step / warmup_steps": "The warm-up.",
        "minimum + (peak - minimum)": "From the peak to the minimum.",
    },
)

# %% [markdown]
# The training command of the package, `python -m neo_np.train`, runs the same loop: see `train_step` in
# [trainer.py](../neo_np/train/trainer.py). It cuts each batch into parts for several processors, and it saves checkpoints, so
# that a run of many hours can be continued after a power cut. `python -m neo_np.train --help` shows its options.
#
# ## Three sentences to remember
#
# 1. Training is a loop: draw a batch, compute loss and gradient, clip, take a step.
# 2. AdamW divides the mean of the gradients by their usual size, so each parameter moves by about the learning rate.
# 3. A model is judged by text that it has not read, and against simple baselines.
#
# ## Two questions to recall
#
# 1. From notebook 13: why is a step that is too long harmful, although it goes downhill?
# 2. From notebook 12: why can losses be compared only between models with the same tokens?
#
# <details><summary>Answers</summary>
#
# 1. A slope is true only nearby. Far away the loss may be higher than before.
# 2. The loss is a mean per token. With longer tokens, one token holds more text and is harder to predict. Bits per byte do
#    not depend on the tokens.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [13 Backpropagation](13_backpropagation.ipynb). On: [15 Inside](15_inside.ipynb). All terms:
# [glossary](GLOSSARY.md). Source: [optimizer.py](../neo_np/train/optimizer.py), functions `adamw`, `clip_gradients` and
# `learning_rate`; [data.py](../neo_np/train/data.py), function `random_windows`; [trainer.py](../neo_np/train/trainer.py).
