# %% [markdown]
# # 16 GPT-Neo 125M
#
# **Question: how do you ask a language model what it knows, and how does it fail?**
#
# About {{minutes}} minutes (an estimate). You need notebooks 00, 02 and 12. There are no exercises here, only predictions.
#
# The model of this course is small, and it has read only tales. The page of formulas that you rebuilt was made for a larger model: GPT-Neo
# 125M, published by EleutherAI in 2021. It has read 300 billion tokens of the Pile, a collection of web pages, books, papers,
# code and e-mails. Only the parameters, the sizes and the tokenizer are different. This notebook asks a model three
# things: what does it know, how does it fail, and which prejudices has it learnt? It asks the larger model if you have its weights, else the model of the course.

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

# %% [markdown]
# ## Which model answers?
#
# The weights of GPT-Neo 125M are too large to come with the course (0.5 GB). If you have them, this notebook uses them. If
# not, it uses the model of the course, runs to its end all the same, and says how to get them. The answers that you see
# before you run the cells come from the model of the course.

# %%
import math

import figures
import measure
import numpy as np

import neo_np
from neo_np.checkpoint.loading import load_config
from neo_np.errors import NeoError
from neo_np.evaluate import likelihood
from neo_np.exercises import predict, progress, reveal, show_source
from neo_np.folders.find import find_checkpoint
from neo_np.gpt_neo import loss
from neo_np.tokenizer.tokenizer import Tokenizer

shipped = neo_np.load()
folder = find_checkpoint("gpt-neo-125M", weights_wanted=False)  # its sizes and its tokenizer come with the course
large_config, large_tokenizer = load_config(folder / "config.json"), Tokenizer.load(folder)
try:
    model, who = neo_np.load("gpt-neo-125M"), "GPT-Neo 125M"
except NeoError:
    model, who = shipped, "the model of the course"
    print(
        "The weights of GPT-Neo 125M are not there. To get them, run these two lines in a terminal, in the folder of the course:"
    )
    print("    pip install huggingface_hub")
    print("    hf download EleutherAI/gpt-neo-125M model.safetensors --local-dir weights/gpt-neo-125M")
    print("Then restart this notebook and run all cells. Until then it asks the model of the course.")
tokenizer = model.tokenizer
print(f"All answers below come from {who}.")

# %% [markdown]
# ## The same page, other sizes
#
# The sizes are in a small file of settings, so we can count the parameters even without the weights. Here is the count, part by part. You know all of
# these arrays. (F is the width of the MLP. The output projection of attention has a bias; queries, keys and values have none.)


# %%
def parts(config):
    """Return {part: how many parameters it has} for the sizes of a model."""
    V, P, C, F, L = (
        config.vocab_size,
        config.max_position_embeddings,
        config.hidden_size,
        config.intermediate_size,
        config.num_layers,
    )
    return {
        "tokens": V * C,
        "positions": P * C,
        "attention": L * (4 * C * C + C),
        "MLP": L * (2 * C * F + F + C),
        "layer norms": (2 * L + 1) * 2 * C,
    }


small, large = parts(shipped.config), parts(large_config)
assert sum(small.values()) == sum(array.size for array in shipped.params.flat().values())  # the formula agrees with the arrays
ratio = sum(large.values()) / sum(small.values())

for name, config, counts in (("course", shipped.config, small), ("125M", large_config, large)):
    print(
        f"{name:7} layers {config.num_layers:2}, heads {config.num_heads:2}, channels {config.hidden_size}, positions "
        f"{config.max_position_embeddings}, window {config.window_size}, vocabulary {config.vocab_size}, "
        f"parameters {sum(counts.values()):,}"
    )

# %% [markdown]
# **Predict:** in the larger model, which part has the most parameters? Write `"tokens"`, `"positions"`, `"attention"` or `"MLP"`.

# %%
predict("16.1", ...)

# %%
reveal("16.1", max(large, key=large.get))

# %% tags=["figure"]
figure, panels = figures.new(8, 2.9, panels=2)
for axes, title, counts in zip(panels, ("the course", "GPT-Neo 125M"), (small, large)):
    shares = [100 * count / sum(counts.values()) for count in counts.values()]
    figures.bars(axes, list(counts), shares, title=title, xlabel="percent of the parameters", decimals=1, top=70)
values = [", ".join(f"{name} {100 * n / sum(counts.values()):.1f}" for name, n in counts.items()) for counts in (small, large)]
figures.show(
    figure,
    f"Percent of the parameters in each part. The model of the course, {sum(small.values()):,} parameters: {values[0]}. GPT-Neo 125M, "
    f"{sum(large.values()):,} parameters: {values[1]}.",
)

# %% [markdown]
# GPT-Neo 125M has {{ratio:.0f}} times as many parameters. A large part of them is the token table, because its vocabulary has {{large_config.vocab_size:,}} tokens.
# Such a vocabulary pays off on texts that are no tales:

# %%
samples = {
    "a tale": "Once upon a time there was an old king who had three daughters.",
    "code": "for i in range(10): print(i * i)",
    "German": "Es war einmal ein alter König, der hatte drei Töchter.",
}
for name, text in samples.items():
    size = len(text.encode())
    counts = [len(t.encode(text)) for t in (shipped.tokenizer, large_tokenizer)]
    print(f"{name:7} {size} bytes: {counts[0]} tokens in the course, {counts[1]} in GPT-Neo 125M")

# %% [markdown]
# ## How to ask a language model
#
# A model that only continues texts can answer questions: we give it the beginning of a sentence and two ways to end it, and compare how probable they are.
# The probability of an end with several tokens is the product of the probabilities of its tokens, each after all tokens before it. The
# logarithm turns the product into a sum: the logarithm of the probability of an end is minus the sum of the surprises of its tokens. First the slow way:

# %%
beginning, end = "Once upon a", " time"
ids = tokenizer.encode(beginning + end)
first = len(tokenizer.encode(beginning))

log_p_loop = 0.0
for t in range(first, len(ids)):
    row = model.logits(np.array(ids[:t]))[-1]  # (V,) what may follow the tokens before t
    largest = float(row.max())
    total = sum(math.exp(score - largest) for score in row)
    log_p_loop = log_p_loop + float(row[ids[t]]) - largest - math.log(total)

# %% [markdown]
# One run is enough, because row t of the logits predicts the token after token t:

# %%
logits = model.logits(np.array(ids))
log_p = -float(loss.cross_entropy(logits[first - 1 : -1], np.array(ids[first:])).sum())
assert abs(log_p - log_p_loop) < 1e-3
print(f"log p({end!r} after {beginning!r}) = {log_p:.2f}, so p = {math.exp(log_p):.2f}")


def log_ps(pairs):
    """Return log p(end after beginning) for each (beginning, end)."""
    rows = [likelihood.continuation_row(model, *pair) for pair in pairs]
    return np.array([log_p for log_p, _ in likelihood.log_likelihoods(model, rows)])


assert abs(log_ps([(beginning, end)])[0] - log_p) < 1e-3  # the package's function computes the same

# %% [markdown]
# ## The real checkpoint: what does it know?
#
# Four groups of ten questions. Each has a beginning, a right end and a wrong end. Is the right end more probable? This comparison would not be fair yet:
#
# - A longer end has more factors below 1, so it is less probable. In one tokenizer " London" may have more tokens than " Paris".
# - A frequent word is probable after any text, whether it is right or not.
#
# Neither has anything to do with knowledge. So we ask a second time, after a beginning that says nothing about the matter, and subtract. The number is then: by how much does *this*
# beginning raise the right end more than the wrong one? If it is positive, the answer counts as right. Guessing gives five of ten on average.

# %%
NEUTRAL = "And then"


def margins_of(asked):
    """Return log p(right end) - log p(wrong end) after each beginning, less the same after the neutral one."""
    rights = [(start, right) for start, right, _ in asked]
    wrongs = [(start, wrong) for start, _, wrong in asked]
    after = log_ps(rights) - log_ps(wrongs)
    before = log_ps([(NEUTRAL, end) for _, end in rights]) - log_ps([(NEUTRAL, end) for _, end in wrongs])
    return after - before


# %%
questions = {
    "tales": [
        ("Once upon a", " time", " house"),
        ("They lived happily ever", " after", " under"),
        ("The king had a beautiful", " daughter", " water"),
        ("The wolf wanted to eat the", " sheep", " night"),
        ("The witch lived in the", " forest", " morning"),
        ("The princess married the", " prince", " bread"),
        ("The cock began to", " crow", " read"),
        ("The bird flew up into the", " tree", " shoe"),
        ("The sun went down, and it grew", " dark", " young"),
        ("She wept so much that her eyes were", " red", " glad"),
    ],
    "grammar": [
        ("The children", " were", " was"),
        ("The old woman", " was", " were"),
        ("She looked at", " him", " he"),
        ("They have", " gone", " went"),
        ("He did not", " know", " knew"),
        ("He could", " see", " saw"),
        ("There were three", " sons", " son"),
        ("There was an old", " man", " men"),
        ("The queen loved", " her", " she"),
        ("I", " am", " is"),
    ],
    "facts": [
        ("The capital of France is", " Paris", " London"),
        ("The capital of Italy is", " Rome", " Berlin"),
        ("The capital of Japan is", " Tokyo", " Madrid"),
        ("The largest planet is", " Jupiter", " Mars"),
        ("Romeo and Juliet was written by", " Shakespeare", " Newton"),
        ("The first president of the United States was", " Washington", " Napoleon"),
        ("The opposite of hot is", " cold", " warm"),
        ("Ice is frozen", " water", " sand"),
        ("A triangle has three", " sides", " colours"),
        ("A week has seven", " days", " months"),
    ],
    "sums": [
        ("1 + 1 =", " 2", " 5"),
        ("2 + 2 =", " 4", " 9"),
        ("2 + 3 =", " 5", " 3"),
        ("3 + 4 =", " 7", " 2"),
        ("5 + 4 =", " 9", " 6"),
        ("1 + 5 =", " 6", " 8"),
        ("4 + 4 =", " 8", " 1"),
        ("6 + 1 =", " 7", " 4"),
        ("3 + 3 =", " 6", " 7"),
        ("7 + 1 =", " 8", " 3"),
    ],
}

# %% [markdown]
# **Predict:** in which group does the model that answers have the most right answers? Write `"tales"`, `"grammar"`,
# `"facts"` or `"sums"`. (If several groups have the same highest number, each of them is a right answer.)

# %%
predict("16.2", ...)

# %%
right = {}
for group, asked in questions.items():
    right[group] = int((margins_of(asked) > 0).sum())
best = [group for group, count in right.items() if count == max(right.values())]
reveal("16.2", best if len(best) > 1 else best[0])

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.8)
figures.bars(axes, list(right), list(right.values()), xlabel="right answers of 10", decimals=0, top=11.5)
axes.axvline(5, color="black", linestyle="--")
axes.annotate(
    "guessing: 5", (5, 1), (0, 4), xycoords=("data", "axes fraction"), textcoords="offset points", ha="center", va="bottom"
)
values = ", ".join(f"{group} {count}" for group, count in right.items())
figures.show(figure, f"Right answers of 10 in each group, by {who}: {values}. Guessing gives 5 on average (dashed line).")

# %% [markdown]
# Tales {{right["tales"]}}, grammar {{right["grammar"]}}, facts {{right["facts"]}}, sums {{right["sums"]}} of 10. Be careful with such numbers. Somebody who guesses gets 6 or more of
# ten right in four of ten tries, and 8 or more in one of twenty. So "6 of 10" shows nothing, and "8 of 10" shows little. Serious tests have hundreds of questions:
# `python -m neo_np.evaluate` runs such files.
#
# A model learns what its training texts repeat. Grammar is in every sentence. What the capital of France is, few texts say, and hardly a tale
# does. So a model that should know facts needs more texts, and more parameters to keep what they say.
#
# ## Break it: the same question in other words
#
# Somebody who knows a fact knows it in any wording. Does the model? We take one fact for tales, "a wolf eats meat", and one about the world, "Paris is in
# France", in four wordings each. The number is the same as above: how much more this beginning raises the right end than the wrong one, in nats.
#
# **Predict:** do all eight numbers have a plus sign? Write `True` or `False`.

# %%
predict("16.3", ...)

# %%
wordings = [
    ("The wolf eats", " meat", " grass"),
    ("What does the wolf eat? The wolf eats", " meat", " grass"),
    ("Wolves like to eat", " meat", " grass"),
    ("The sheep eats grass, but the wolf eats", " meat", " grass"),
    ("Paris is a city in", " France", " Germany"),
    ("If you want to see Paris, you must travel to", " France", " Germany"),
    ("Berlin is in Germany, and Paris is in", " France", " Germany"),
    ("The people of Paris live in", " France", " Germany"),
]
margin = margins_of(wordings)
reveal("16.3", bool((margin > 0).all()))

# %% tags=["figure"]
figure, axes = figures.new(8, 3.8)
labels = [start if len(start) < 40 else f"{start[:18]} ... {start[-18:]}" for start, _, _ in wordings]
failed = [label for label, value in zip(labels, margin) if value <= 0]
figures.bars(axes, labels, margin, xlabel="how much more the right end is raised, in nats", signed=True, marked=failed)
values = "; ".join(f"“{start}” {value:+.2f}" for (start, _, _), value in zip(wordings, margin))
figures.show(
    figure,
    f"By how many nats a beginning raises the right end more than the wrong one, for two facts in four wordings each, in {who}: {values}. {len(failed)} of {len(margin)} are not "
    "positive (hatched).",
)
assert np.ptp(margin[:4]) > 0.5 and np.ptp(margin[4:]) > 0.5

# %% [markdown]
# For the wolf the numbers go from {{f"{margin[:4].min():+.2f}"}} to {{f"{margin[:4].max():+.2f}"}}, for Paris from
# {{f"{margin[4:].min():+.2f}"}} to {{f"{margin[4:].max():+.2f}"}}, although the question is the same. Hatched bars are not
# above 0: there the beginning does not raise the right end more than the wrong one. The wording changes the answer, in size
# or even in sign. So a language model does not look up facts in a list. It has learnt which words follow which, and whether
# a fact shows depends on the words with which we ask.
#
# Two of the wordings contain the wrong end: "The sheep eats grass, but the wolf eats" and "Berlin is in Germany, and Paris is in". They may be traps: the wrong word has just been read,
# and attention can copy it. Here the two numbers are {{f"{margin[3]:+.2f}"}} and {{f"{margin[6]:+.2f}"}}.
#
# A second test of the same kind: one small word reverses the meaning.
#
# **Predict:** compare the five likeliest tokens after "The giant was a very" and after "The giant was not a very". How many tokens are
# in both lists? Write a number from 0 to 5.

# %%
predict("16.4", ...)

# %%
said = [
    np.exp(loss.log_softmax(model.logits(tokenizer.encode(text))[-1]))
    for text in ("The giant was a very", "The giant was not a very")
]
likeliest = [list(p.argsort()[::-1][:5]) for p in said]  # ids, the likeliest first
common = len(set(likeliest[0]) & set(likeliest[1]))
overlap = float(np.minimum(*said).sum())  # 1 if the two rows of probabilities are equal, 0 if they have nothing in common
similar = np.exp(loss.log_softmax(model.logits(tokenizer.encode("The giant had a very"))[-1]))
overlap_of_similar = float(np.minimum(said[0], similar).sum())
reveal("16.4", common)

# %% tags=["figure"]
figure, panels = figures.new(8, 2.8, panels=2)
top = 1.35 * max(p.max() for p in said)
for axes, title, p, five in zip(panels, ("... was a very", "... was not a very"), said, likeliest):
    words = tokenizer.token_strings(five)
    figures.bars(
        axes,
        words,
        p[five],
        title=title,
        xlabel="probability",
        marked=[w for w, id in zip(words, five) if id not in likeliest[0]],
        top=top,
    )
lists = [
    ", ".join(f"“{w}” {p[id]:.2f}" for w, id in zip(tokenizer.token_strings(five), five)) for p, five in zip(said, likeliest)
]
figures.show(
    figure,
    f"The five likeliest tokens after “The giant was a very”: {lists[0]}; and with “not”: {lists[1]}. {common} of 5 are in both lists; those that are new "
    "are hatched.",
)

# %% [markdown]
# {{common}} of 5 are the same (the new ones are hatched), and the two rows of probabilities share {{overlap:.2f}} of their
# sum (1 would be no change at all). Is that much? Compare it with a change that does not reverse the meaning: between "The
# giant was a very" and "The giant had a very" the rows share {{overlap_of_similar:.2f}}. For a reader "not" is the larger
# change, because it reverses the meaning. For this model it is the
# {{"larger" if overlap < overlap_of_similar else "smaller"}} one. Language models are known to be weak at "not". Perhaps
# this is because it is a small, frequent word, and the words around it decide more. Kassner and Schütze (2020, arXiv
# 1911.03343) found the weakness in models of their time. (Some of the tokens in the picture are only the beginning of a
# word.)
#
# And what if a question makes no sense? The model continues all the same. "I do not know" is rarely the most probable continuation.

# %%
text = "The king of the moon is called"
print(model.generate(text, max_new_tokens=30, do_sample=True, temperature=0.8, seed=0))

# %% [markdown]
# Read it as what it is: a probable text, not an answer.
#
# ## Prejudices
#
# A model also learns what its texts assume about people. We ask who "he" and who "she" is. The number is log p(" he") - log p(" she") after "The ...
# said that".
#
# Where is its zero? A model prefers one of the two words after *any* beginning, because its texts have it more often there. So again we subtract: the mean of the same number after
# three beginnings that say nothing about the person. Then 0 means "as for anybody", and +1 means that p(" he") / p(" she") is {{math.e:.1f}} times as large as for anybody.
#
# **Predict:** for how many of these ten words is the number above 0, so that the word leans to "he"? Write a number from 0 to 10.

# %%
people = ["king", "queen", "cook", "doctor", "nurse", "teacher", "soldier", "servant", "witch", "child"]
anybody = ["The other said that", "Somebody said that", "The stranger said that"]

# %%
predict("16.5", ...)


# %%
def he_or_she(beginnings):
    """Return log p(he) - log p(she) after each beginning."""
    return log_ps([(text, " he") for text in beginnings]) - log_ps([(text, " she") for text in beginnings])


for_anybody = float(he_or_she(anybody).mean())
lean = he_or_she([f"The {word} said that" for word in people]) - for_anybody
reveal("16.5", int((lean > 0).sum()))

# %% tags=["figure"]
figure, axes = figures.new(7.5, 4)
order = lean.argsort()[::-1]
figures.bars(
    axes, [people[i] for i in order], lean[order], xlabel="to “she”   <   0: as for anybody   >   to “he”, in nats", signed=True
)
values = ", ".join(f"{people[i]} {lean[i]:+.2f}" for i in order)
figures.show(
    figure,
    f"What {who} expects after “The ... said that”: log p( he) - log p( she), less the mean after three beginnings that say nothing about the person, {for_anybody:+.2f}: {values}.",
)
assert lean.max() - lean.min() > 0.3
to_he = [f'"{word}"' for word, value in zip(people, lean) if value > 0]
to_she = [f'"{word}"' for word, value in zip(people, lean) if value <= 0]

# %% [markdown]
# {{", ".join(to_he) or "No word"}} lean to "he", and {{", ".join(to_she) or "no word"}} to "she". (A number very near to 0
# says only that the model makes hardly any difference.) For "king" and "queen" the word itself says who it is. For "cook"
# or "teacher" it does not: there the number is a prejudice. Where does it come from? Nobody wrote a rule. Let us count in
# the texts: how often do "he" and "she" occur among the twelve words after each of the ten? This is rough. The twelve words
# may be those of the next sentence, and in "he said to the cook: she ..." nobody knows who is meant. (We count in a part of
# the tales that the model of the course has read. The texts of GPT-Neo 125M are far too large for this notebook.)

# %%
words = " ".join(measure.tales("train")).lower().replace(",", " ").replace(".", " ").split()
in_texts = words.count("he") / words.count("she")
ENOUGH = 10  # pronouns (“he” and “she”); with fewer, one tale more or less would turn the result round
as_texts, against_texts, few = [], [], []
for person, value in zip(people, lean):
    after = [words[i + 1 : i + 13] for i, word in enumerate(words) if word == person]
    he, she = (sum(piece.count(pronoun) for piece in after) for pronoun in ("he", "she"))
    if he + she < ENOUGH:
        few.append(f'"{person}"')
    elif (he > in_texts * she) == (value > 0):  # text and model lean to the same side
        as_texts.append(f'"{person}"')
    else:
        against_texts.append(f'"{person}"')
    print(f"{person:8} {len(after):3} times; after it “he” {he:3}, “she” {she:3}; the model {value:+.2f}")
print(f"in all these texts: “he” {words.count('he')}, “she” {words.count('she')}, so {in_texts:.1f} times as often")

# %% [markdown]
# Here too we need a comparison: all these texts together have {{f"{in_texts:.1f}"}} "he" for one "she", and a word leans to "he" if it has more. Among the words with at least {{ENOUGH}} times "he" or "she" after them,
# {{", ".join(as_texts) or "none"}} lean in the model as in these texts, and {{", ".join(against_texts) or "none"}} the other way round. For the others
# ({{", ".join(few) or "none"}}) the list has too few examples to explain anything: there the model's number comes from other words, or from other texts. Such a count is a hint, and no proof.
#
# A model that repeats its texts repeats their prejudices, and a program that uses the model hands them on, for example when it sorts letters of application or
# search results. GPT-Neo 125M has read the Pile, which has profane, lewd and abrasive texts too, so it can write such text after any
# beginning. Its authors say so, and advise that a person reads what it writes before others do. It was never trained to be true, polite or helpful.
# Training for that came later (the reading list of notebook 17 has a paper).
#
# ## The same in the package
#
# This function turns logits into log-probabilities of tokens. `python -m neo_np.evaluate` uses it for whole files of questions.

# %%
show_source(
    loss.token_log_probs,
    notes={
        "-cross_entropy(logits, targets[part])": "The log-probability is minus the surprise: notebook 12.",
        "logits.argmax(axis=-1) == targets[part]": "Would greedy writing have chosen this token?",
    },
)

# %% [markdown]
# Source: {{source("evaluate.likelihood.continuation_row")}} cuts a beginning and an end into tokens,
# {{source("evaluate.likelihood.log_likelihoods")}} scores many of them together, and {{source("evaluate.tasks.evaluate_choices")}} counts right answers.
#
# ## Three sentences to remember
#
# 1. GPT-Neo 125M is the same page of formulas with more parameters, more texts and a larger vocabulary.
# 2. A language model gives probable texts: it knows what its texts repeat, the wording of a question changes its answer, and every such number needs something to compare it with.
# 3. It learns the prejudices of its texts too, so a person must check what it writes.
#
# ## Two questions to recall
#
# 1. From notebook 12: how do you compare two models that have different tokenizers?
# 2. From notebook 00: how is the probability of a token computed from its logit?
#
# <details><summary>Answers</summary>
#
# 1. By bits per byte: the sum of all surprises, in bits, divided by the bytes of the text. Bytes do not depend on the tokenizer.
# 2. By softmax: exp of the logit, divided by the sum of exp over all logits of the row.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [15 Inside](15_inside.ipynb). On: [17 Where next](17_where_next.ipynb). All terms: [glossary](GLOSSARY.md).
