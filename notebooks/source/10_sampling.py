# %% [markdown]
# # 10 Sampling
#
# **Question: how do you get from scores to a word?**
#
# About {{minutes}} minutes (an estimate). You need notebook 00 (logits, probability, surprise) and the softmax of notebook 05.
#
# The model gives V scores, the logits. A text needs one token. Who decides? Not the model: a few lines of code after it do.
# They are the reason why the same model can write dull, good or mad texts. This notebook builds them.

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
from neo_np.generate import logits_processors, sampling
from neo_np.gpt_neo import forward

model = neo_np.load()
tokenizer, config = model.tokenizer, model.config
V = config.vocab_size
softmax = forward.softmax  # some exercises may call it

# %% [markdown]
# ## Two steps: change the scores, then draw
#
# The simplest way is to take the likeliest token each time. This is called **greedy**. The other way is to draw a token at random, by its
# probability: a token with the probability 0.2 comes in one of five cases, on average. This is called **sampling**.
#
# Before the draw, the logits are usually changed a little. A function that takes logits and returns changed logits is a **logits
# processor**. Four of them are in nearly every program that writes with a language model:
#
# - **temperature**: divide all logits by a number. Below 1 the likely tokens gain, above 1 the unlikely ones.
# - **top-k**: keep only the k highest logits.
# - **top-p**: keep only the likeliest tokens, until their probabilities add up to p.
# - **repetition penalty**: lower the logits of tokens that are in the text already.
#
# To remove a token, a processor gives it the logit -inf (minus infinity): exp(-inf) is 0, and so is its probability.
#
# Here is what each of them does by itself to the eight likeliest tokens after one text. Removed tokens are hatched: their bars
# show the probability that they had before.

# %%
text = "The queen went into the forest with the king, and there she saw"
ids = tokenizer.encode(text)
logits = model.logits(ids)[-1]  # (V,), the row after the last token

ways = {
    "no processor": logits,
    "temperature 0.5": logits_processors.temperature(logits, ids, 0.5),
    "temperature 2": logits_processors.temperature(logits, ids, 2.0),
    "top-k, k = 5": logits_processors.top_k(logits, ids, 5),
    "top-p, p = 0.5": logits_processors.top_p(logits, ids, 0.5),
    "repetition penalty 1.5": logits_processors.repetition_penalty(logits, ids, 1.5),
}
plain = forward.softmax(logits)  # (V,), the probabilities without any processor
shown = np.argsort(-plain)[:8]  # the ids of the eight likeliest tokens
names = [figures.visible(name) for name in tokenizer.token_strings(shown)]
p = {way: forward.softmax(changed)[shown] for way, changed in ways.items()}

# %% tags=["figure"]
figure, grid = figures.grid(2, 3, 8.4, 5.8, sharey=True)
places = np.arange(len(shown))[::-1]
longest = max(values.max() for values in p.values())
for axes, (way, values) in zip(grid.flat, p.items()):
    for place, value, old in zip(places, values, plain[shown]):
        if value > 0:
            axes.barh(place, value, color=figures.BLUE, height=0.72)
            text_of_bar = f" {value:.2f}" if value >= 0.005 else " below 0.01"
            axes.text(value, place, text_of_bar, va="center", fontsize=10)
        else:
            axes.barh(place, old, facecolor="white", edgecolor=figures.GREY, hatch="////", height=0.72)
            axes.text(old, place, " removed", va="center", fontsize=10)
    axes.set_yticks(places, names)
    axes.tick_params(axis="y", length=0)
    axes.set(title=way, xlim=(0, 1.3 * longest))
for axes in grid[1]:
    axes.set_xlabel("probability")
kept = {way: int((forward.softmax(changed) > 0).sum()) for way, changed in ways.items()}
used = [name for name, id in zip(names, shown) if id in ids]
figures.show(
    figure,
    f"The eight likeliest tokens after “{text}”. “{names[0]}” has the probability {p['no processor'][0]:.2f}; with temperature 0.5 it has "
    f"{p['temperature 0.5'][0]:.2f}, with temperature 2 {p['temperature 2'][0]:.2f}. Top-k keeps {kept['top-k, k = 5']} tokens and top-p "
    f"{kept['top-p, p = 0.5']} of all {V}. The repetition penalty lowers {', '.join(used)}, which the text has already.",
)
assert p["temperature 0.5"][0] > p["no processor"][0] > p["temperature 2"][0]
assert kept["top-k, k = 5"] == 5 and used

# %% [markdown]
# After a processor, the probabilities of the kept tokens add up to 1 again, because softmax comes last. So each of them grows if others are
# removed.
#
# ## Temperature
#
# Two tokens have the logits a and b. Softmax divides exp(a) and exp(b) by the same sum. So the first token is exp(a) / exp(b) times as likely as
# the second one, and exp(a) / exp(b) = exp(a - b): only the difference of the logits counts. Divided by the temperature t, the
# difference is (a - b) / t.
#
# **Predict:** one token has the logit 3 and another the logit 2, so the first is exp(1) = 2.72 times as likely. How many times as likely
# is it at temperature 0.5? Write a number with two decimals.

# %%
predict("10.1", ...)

# %%
two = forward.softmax(np.array([[3.0, 2.0]]) / 0.5)[0]
reveal("10.1", float(two[0] / two[1]))

# %% [markdown]
# The difference 1 becomes 2, and exp(2) is 7.39. Very near to temperature 0, the likeliest token gets nearly all the probability: that is
# greedy again.
#
# ## Exercises: four processors
#
# Each function takes the logits of one row, (V,), and returns the new logits. Do not write into the array that you get: the caller
# may still need it.


# %% exercise="temperature"
@check
def temperature(logits, value):
    """Return the logits, (V,), at a temperature: `value` is a number above 0. Below 1 it makes the differences between
    logits larger, above 1 smaller. Logits go in and logits come out: softmax comes later.
    """
    changed = ...  # the logits at this temperature
    return changed  # (V,)


# %%
# hint("temperature")
# solution("temperature")

# %% [markdown]
# In the next exercise two tokens may have the same logit, just at the border. Whether both are kept is a *convention*: somebody has to
# decide. A well-known library with the name transformers keeps both, and so do we.
#
# `np.sort(x)` returns the numbers of x in increasing order. In the messages of the checker, -1e+09 means any very low
# number, -inf too.


# %% exercise="top_k"
@check
def top_k(logits, k):
    """Keep the k highest of the logits, (V,), and give all others a very low number such as -1e9 or -inf. The kept
    logits stay as they are, in their places. Logits that are equal to the k-th highest one are kept too, so ties
    can leave more than k. (1 <= k <= V)
    """
    ...


# %%
# hint("top_k")
# solution("top_k")

# %% [markdown]
# ## Top-p, slowly
#
# Top-k always keeps the same number of tokens. But sometimes three words are good, and sometimes a hundred. Top-p looks at the
# probabilities: it takes the likeliest token, then the next one, and stops as soon as their sum has reached p. (It is also called
# *nucleus sampling*.) First as a loop:

# %%
goal = 0.5
order = np.argsort(-plain)  # the ids, the likeliest first

total, nucleus = 0.0, []
for id in order:
    if total >= goal:  # those before this one are enough
        break
    nucleus.append(int(id))
    total = total + plain[id]

kept_by_package = [id for id in range(V) if ways["top-p, p = 0.5"][id] > -np.inf]
assert sorted(nucleus) == kept_by_package
print(len(nucleus), "tokens, with the sum", round(float(total), 3))

# %% [markdown]
# The token with which the sum reaches p is kept. So at least one token always stays, even if the likeliest one has more than p.
#
# In the loop, `total` is a **running sum**: the first number, the sum of the first two, of the first three, and so on. `np.cumsum` computes all
# of them at once. Now write top-p yourself, as a loop or without one.


# %% exercise="top_p"
@check
def top_p(logits, p):
    """logits is (V,). Keep the likeliest tokens until their probabilities add up to p; the token with which the sum
    reaches p is kept too. Give all others a very low logit such as -1e9 or -inf. The kept logits stay as they are,
    in their places. You may call softmax(x).
    """
    ...


# %%
# hint("top_p")
# solution("top_p")

# %% [markdown]
# Here is one way without a loop. For each token, the sum of those *before* it decides: the running sum without the token itself.

# %%
sorted_p = plain[order]
running = np.cumsum(sorted_p)
nucleus_at_once = order[running - sorted_p < goal]

assert nucleus == nucleus_at_once.tolist()

# %% [markdown]
# The last processor has a trap: logits can be negative. Then a division brings them nearer to 0, and that is *higher*.


# %% exercise="repetition_penalty"
@check
def repetition_penalty(logits, ids, penalty):
    """Make each token that is already in the text less likely. ids: the text so far, a list. Of each token in it,
    divide the logit by the penalty (a number above 1) if it is positive, and multiply it by the penalty if it is
    negative: once, however often the token occurs. Return the new logits, (V,).
    """
    ...


# %%
# hint("repetition_penalty")
# solution("repetition_penalty")

# %% [markdown]
# ## The draw
#
# How does a computer draw a token by its probability? It can draw a number u between 0 and 1, each equally likely. (Such a
# draw is called **uniform**.) So we lay the probabilities side by side on a line from 0 to 1. Each token gets a piece of the line, a **bin**, whose length
# is its probability. The token whose bin contains u is the one. Long bins are hit often.
#
# The right edges of the bins are the running sums. The slow way:

# %%
three = logits_processors.top_k(logits, ids, 3)  # only three bins have a length
probabilities = forward.softmax(three.astype(float))
rng = np.random.default_rng(0)
u = rng.random()  # 0 <= u < 1

edge, drawn = 0.0, None
for id in range(V):
    edge = edge + probabilities[id]
    if drawn is None and u < edge:
        drawn = id

print(f"u = {u:.3f} hits {tokenizer.token_string(drawn)!r}")

# %% tags=["figure"]
bins = np.flatnonzero(probabilities)
figure, axes = figures.new(8, 1.9)
left, colours, hatches = 0.0, (figures.PALE_BLUE, figures.PALE_ORANGE, figures.PALE_GREEN), ("", "//", "..")
for id, colour, hatch in zip(bins, colours, hatches):
    axes.barh(0, probabilities[id], left=left, color=colour, edgecolor="black", hatch=hatch, height=0.8)
    name = f"{figures.visible(tokenizer.token_string(int(id)))}\n{probabilities[id]:.2f}"
    box = {"facecolor": colour, "edgecolor": "none", "pad": 1.5}
    axes.text(left + probabilities[id] / 2, 0, name, ha="center", va="center", bbox=box)
    left += probabilities[id]
axes.annotate(f"u = {u:.2f}", (u, 0.4), (u, 1.0), ha="center", arrowprops={"arrowstyle": "-|>", "color": "black"})
axes.set(xlim=(-0.01, 1.01), ylim=(-0.5, 1.25), yticks=[], xlabel="the line from 0 to 1")
axes.spines["left"].set_visible(False)
figures.show(
    figure,
    "Three bins on the line from 0 to 1, in the order of the ids: "
    + ", ".join(f"“{tokenizer.token_string(int(id))}” {probabilities[id]:.2f}" for id in bins)
    + f". The draw u = {u:.2f} lies in the bin of “{tokenizer.token_string(drawn)}”.",
)

# %% [markdown]
# Two details decide whether it is exactly right:
#
# - A draw that lies exactly at an edge belongs to the bin on its right. Otherwise u = 0 could hit a first token that has the probability 0.
# - Computers round, so the last edge may be 0.9999999 and not 1. A draw above it must still hit a bin: the last one that has a length. The last
#   ids may be removed tokens, whose bins have the length 0.


# %% exercise="sample"
@check
def sample(probabilities, u):
    """Return the id that the draw u hits. The probabilities, (V,), lie side by side from 0 to 1, in the order of the
    ids, each as a bin of its length. A bin contains its left edge and not its right one. 0 <= u < 1. If rounding
    lets the sum end just below 1, what is missing belongs to the last bin that has a length: a token of probability
    0 is never drawn.
    """
    ...


# %%
# hint("sample")
# solution("sample")

# %% [markdown]
# Here is one way without a loop. `searchsorted` finds the place of u among the edges, and `side="right"` is the first detail: u exactly at an edge
# belongs to the bin on the right. All edges are divided by the last one, so that it is exactly 1, above every u: this is the second detail.

# %%
edges = np.cumsum(probabilities)
drawn_at_once = int(np.searchsorted(edges / edges[-1], u, side="right"))

assert drawn == drawn_at_once

# %% [markdown]
# ## How sure is the model? The entropy
#
# Before we look at the real checkpoint, one more number. In notebook 00 the surprise was -log p of the token that came. Before it comes, we do
# not know which one it will be. But we can say how surprised the model *expects* to be: the mean of all possible surprises, each
# weighted by its probability. This is the **entropy**:
#
# > entropy = sum over all tokens of p times (-log p)
#
# where p is the probability of a token. If one token has all the probability, the entropy is 0: no doubt at all.
#
# **Predict:** two tokens have the probability 0.5 each, all others 0. What is the entropy in nats? Write a number with two decimals (`math.log`
# is the logarithm).

# %%
predict("10.2", ...)


# %%
def entropy(logits):
    """Return the entropy in nats of each row of logits, (..., V) -> (...)."""
    p = forward.softmax(logits.astype(float))
    return (p * -np.log(np.where(p > 0, p, 1))).sum(axis=-1)  # 0 log 0 counts as 0


half = np.array([0.0, 0.0, -np.inf])
reveal("10.2", float(entropy(half)))

# %% [markdown]
# Each of the two has the surprise -log 0.5 = log 2, so their mean is log 2 = 0.69 too. In the same way, V tokens of equal probability have the entropy log V =
# {{math.log(V):.2f}} nats. It can't be larger. So exp(entropy) is a number of tokens: a choice among that many equally likely tokens has the same entropy.

# %%
pieces = measure.windows(model)
rows = model.logits(pieces)
expected, real = float(entropy(rows[:, :-1]).mean()), measure.surprise(model, pieces)
print(f"on unseen tales: mean entropy {expected:.2f} nats, mean surprise {real:.2f} nats")
assert abs(expected - real) < 1.5

# %% [markdown]
# On unseen tales the model expects a surprise of {{expected:.2f}} nats on average, and gets {{real:.2f}}. The difference is {{abs(real - expected):.2f}} nats: on average
# the model is {{"too sure" if real > expected else "not sure enough"}} by that much.
#
# ## The real checkpoint: caught in a loop
#
# Greedy writing has a famous weakness. We let the model write greedily after some beginnings, and look for a text whose end
# repeats the same piece again and again. (The token `<|endoftext|>` of notebook 02 is forbidden here, so that the model
# does not end its tale.) You need not read the code.

# %%
beginnings = ["Once upon a time", "There was once a king", "The old woman said", "One day the prince went", "In a village there lived",
              "The wolf was hungry", "The princess opened the door", "Far away, behind the hills,", "The giant laughed and", "A poor man had",
              "The witch gave her", "At night the stars", "'Who are you?' asked", "The three brothers", "The cat and the dog",
              "My son,"]  # fmt: skip
number, end = min(200, config.max_position_embeddings - 20), config.eos_token_ids


def period(ids, longest=60, least=24):
    """Return the length of the piece that the text repeats at its end, or 0. The repetition has at least `least` tokens."""
    for length in range(1, longest + 1):
        n = max(length, least)
        if len(ids) >= n + length and ids[-n:] == ids[-n - length : -length]:
            return length
    return 0


def loop_start(ids):
    """Return the index at which the repeated part begins."""
    length, start = period(ids), len(ids)
    while start > length and ids[start - 1] == ids[start - 1 - length]:
        start -= 1
    return start - length


prompts = [tokenizer.encode(beginning) for beginning in beginnings]
more = measure.windows(model, number=112, length=64)[:, :8].tolist()  # if no text is caught: 8 tokens from unseen tales
for i in range(0, len(more) + 1, 16):
    written = model.generate(prompts, max_new_tokens=number, suppress_tokens=end)
    looped = [text for text in written if period(text)]
    if looped:
        break
    prompts = more[i : i + 16]
assert looped
caught = min(looped, key=loop_start)  # the one that is caught first
prompt = next(prompt for prompt, text in zip(prompts, written) if text == caught)
start, piece = max(len(prompt), loop_start(caught)), period(caught)  # the loop can only begin with the first new token
repeats = (len(caught) - start) // piece
chances = forward.softmax(model.logits(caught)).max(axis=-1)  # chances[t]: the probability of token t + 1, the likeliest one
copies = chances[start - 1 : start - 1 + repeats * piece].reshape(repeats, piece).mean(axis=1)  # mean of each copy
assert copies[-1] > copies[0]
print(tokenizer.decode(caught[: start + 2 * piece]), "...")

# %% [markdown]
# {{len(looped)}} of {{len(written)}} texts ended in a loop. This one repeats a piece of {{piece}} tokens {{repeats}} times, until we stop it. Why? Repetitions
# make further repetitions more likely: the mean probability of a token is {{copies[0]:.2f}} in the first copy and {{copies[-1]:.2f}} in the last one. Probably
# attention finds the same words earlier in the text, with the same continuation. And greedy always takes the likeliest token.
#
# Now we draw from the same beginning, and look at the entropy at each step of both texts.

# %%
beginning, first = tokenizer.decode(prompt), len(prompt)
drawn_text = model.generate(prompt, max_new_tokens=number, do_sample=True, top_k=0, seed=1, suppress_tokens=end)
doubt = {"greedy": entropy(model.logits(caught))[first - 1 : -1], "drawn": entropy(model.logits(drawn_text))[first - 1 : -1]}
penalised = model.generate(prompt, max_new_tokens=number, repetition_penalty=1.3, suppress_tokens=end)
print("drawn:    ", tokenizer.decode(drawn_text[:50]).replace("\n", " "), "...")
print("penalised:", tokenizer.decode(penalised[:50]).replace("\n", " "), "...")
all_drawn = model.generate(prompts, max_new_tokens=number, do_sample=True, top_k=0, seed=1, suppress_tokens=end)
all_penalised = model.generate(prompts, max_new_tokens=number, repetition_penalty=1.3, suppress_tokens=end)
loops_drawn, loops_penalised = (sum(period(text) > 0 for text in texts) for texts in (all_drawn, all_penalised))
inside, outside = doubt["greedy"][start - first :].mean(), doubt["drawn"].mean()
in_copies = doubt["greedy"][start - first :][: repeats * piece].reshape(repeats, piece)  # a row for each copy
changes = np.abs(np.diff(in_copies, axis=0)).mean(axis=1)  # from each copy to the next one
assert changes[-1] <= changes[0]

# %% tags=["figure"]
figure, axes = figures.new(8, 3.6)
begins = max(0, start - first - 15)  # 60 steps, from a little before the loop
steps = np.arange(begins, min(begins + 60, number))
curves = {name: (steps, values[steps]) for name, values in doubt.items()}
figures.lines(axes, curves, xlabel="step", ylabel="entropy in nats", markers=False)
axes.axvspan(start - first, steps[-1], facecolor=figures.PALE_GREY, linewidth=0, zorder=0)
for copy_begins in range(start - first, steps[-1] + 1, piece if piece >= 4 else 60):
    axes.axvline(copy_begins, color="black", linewidth=1.2 if copy_begins == start - first else 0.5)
axes.set_ylim(0)
axes.set_title(f"grey: the greedy text repeats {piece} tokens" + (", one copy between two thin lines" if piece >= 4 else ""))
figures.show(
    figure,
    f"The entropy at {len(steps)} steps after “{beginning}”. From step {start - first} on, the greedy text repeats {piece} tokens; its mean entropy there is "
    f"{inside:.2f} nats up to step {number}. The drawn text has {outside:.2f} nats on average. Knowing nothing would be {math.log(V):.2f}.",
)
assert period(drawn_text) == 0 and max(loops_drawn, loops_penalised) < len(looped)
assert all((values >= 0).all() and (values < math.log(V)).all() for values in doubt.values())

# %% [markdown]
# After some copies the greedy curve repeats too: from the first copy to the second one, its values change by {{changes[0]:.2f}} nats on average, and between the last
# two copies by {{changes[-1]:.2f}}. Its mean entropy inside the loop is {{inside:.2f}} nats, as with {{math.exp(inside):.1f}} equally likely tokens at each step, and
# greedy took the likeliest one each time. (The drawn text has {{outside:.2f}} nats on average.)
#
# Drawing and the repetition penalty make loops rarer. Of the {{len(written)}} beginnings, {{len(looped)}} greedy texts ended in a loop; with the penalty it is
# {{loops_penalised}}, and {{loops_drawn}} of the drawn texts. This has a price: both also take less likely tokens, and such a text easily loses its thread.
#
# ## Break it: three common mistakes
#
# - *Set to 0*: top-k gives removed tokens the logit 0 and not -inf. We measure how much probability all removed tokens get together.
# - *Crossing dropped*: top-p drops the token with which the sum reaches p. We count the steps at which no token is kept.
# - *Multiplied*: the temperature 0.5 is multiplied, not divided by. We print a text.
#
# The first two are measured at {{pieces.size}} places of unseen tales.

# %%
flat = rows.reshape(-1, V).astype(float)  # one row for each place
k, goal = 20, 0.5
border = np.sort(flat, axis=-1)[:, -k]  # the k-th highest logit of each row
removed = flat < border[:, None]
zeroed = forward.softmax(np.where(removed, 0.0, flat))
leaked = float((zeroed * removed).sum(axis=-1).mean())

falling = np.sort(forward.softmax(flat), axis=-1)[:, ::-1]
running = np.cumsum(falling, axis=-1)
kept_right = (running - falling < goal).sum(axis=-1)
kept_wrong = (running < goal).sum(axis=-1)
empty = {"right": float((kept_right == 0).mean()), "dropped": float((kept_wrong == 0).mean())}
with np.errstate(invalid="ignore"):
    print("softmax of a row without any token:", forward.softmax(np.full(3, -np.inf)))

# %% tags=["figure"]
figure, panels = figures.new(8, 2.6, panels=2)
figures.bars(
    panels[0],
    ["-inf", "set to 0"],
    [0.0, leaked],
    xlabel="probability of removed tokens",
    marked=["set to 0"],
    title=f"top-k, k = {k}",
)
figures.bars(
    panels[1],
    list(empty),
    list(empty.values()),
    xlabel="share of steps without any token",
    marked=["dropped"],
    title=f"top-p, p = {goal}",
)
figures.show(
    figure,
    f"Left: if removed tokens get the logit 0, they keep {leaked:.3f} of the probability together; with -inf they have 0. Right: if the token that crosses p = {goal} "
    f"is dropped, no token is kept at {empty['dropped']:.0%} of the steps; in the right version this never happens.",
)
assert leaked > 1e-3 and empty["right"] == 0 and empty["dropped"] > 0.05

# %%
for name, value in (("temperature 0.5", 0.5), ("multiplied by 0.5", 1 / 0.5)):
    line = model.generate(
        "Once upon a time", max_new_tokens=30, do_sample=True, temperature=value, top_k=0, seed=0
    )  # top_k=0: no top-k
    print(f"{name}: {' '.join(line.split())}\n")

# %% [markdown]
# The logit 0 is an ordinary score. Softmax looks only at differences, so 0 means nothing by itself: here the removed tokens keep
# {{leaked:.3f}} of the probability. And a top-p that drops the crossing token has nothing to draw from at {{empty["dropped"]:.0%}} of the steps.
# Multiplying by 0.5 is the same as temperature 2.
#
# None of these mistakes raises an error by itself. Even with a row of nothing but -inf, softmax raises no error: it returns `nan`, "not a number".
# The draw that follows takes some token all the same, or stops with an error that says nothing of top-p.
#
# ## The same in the package
#
# In the package every processor gets the logits and the ids of the text so far. Top-k does not need the ids. (Skip `keep`: beam search needs it,
# notebook 11.)

# %%
show_source(
    logits_processors.top_k,
    notes={"logits < kth_highest": "A logit that is equal to the k-th highest is not lower, so ties are kept."},
)
show_source(
    sampling.draw,
    notes={
        "np.cumsum(weights, dtype=float)": "The right edges of the bins.",
        "cdf / cdf[-1]": "The last edge becomes exactly 1, so every draw hits a bin.",
        'side="right"': "A draw exactly at an edge belongs to the bin on its right.",
    },
)

# %% [markdown]
# (The package's top-p begins at the other end and removes the least likely tokens, as transformers does. `solution("top_p")` shows it.)
#
# In the package, all of this is one call. The processors run in a fixed order: first the repetition penalty, then temperature, top-k and
# top-p, then the draw. A `seed` makes the draws the same each time.

# %%
print(
    model.generate(
        text, max_new_tokens=30, do_sample=True, temperature=0.8, top_k=50, top_p=0.9, repetition_penalty=1.1, seed=0
    )
)

# %% [markdown]
# ## Three sentences to remember
#
# 1. The model gives scores, and a few lines of code choose the token: change the logits, softmax, draw.
# 2. A removed token has the logit -inf and not 0, and the token that crosses p is kept.
# 3. Entropy is the surprise that the model expects; greedy writing takes the likeliest token even if the entropy is high, and easily ends in a loop.
#
# ## Two questions to recall
#
# 1. From notebook 05: why does softmax subtract the largest score of a row?
# 2. From notebook 09: where do the logits come from?
#
# <details><summary>Answers</summary>
#
# 1. So that exp does not overflow; the results stay the same.
# 2. They are dot products of the last, levelled stream with the rows of the token table.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [09 The stream](09_stream.ipynb). On: [11 Generation](11_generation.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [logits_processors.py](../neo_np/generate/logits_processors.py) and [sampling.py](../neo_np/generate/sampling.py).
