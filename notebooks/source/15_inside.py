# %% [markdown]
# # 15 Inside
#
# **Question: what does a head do?**
#
# About {{minutes}} minutes (an estimate). You need notebooks 06, 07, 09 and 12.
#
# In notebook 06 you saw that heads look at different places, and that nobody gave them their jobs. Now we ask what single
# heads of the trained model do. There are four ways to ask: look at the attention weights, switch a head off, replace a part of
# one run by the same part of another run, and cut one logit into the parts that add up to it. Each way answers a different
# question, and none of them explains the whole model. We follow one mechanism that is well understood: how the model copies.

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
from neo_np.evaluate import heads
from neo_np.exercises import check, hint, predict, progress, reveal, show_source, solution
from neo_np.explain import attribution, trace
from neo_np.gpt_neo import loss

model = neo_np.load()
tokenizer, config, params = model.tokenizer, model.config, model.params
L, H, D, C, V = config.num_layers, config.num_heads, config.head_size, config.hidden_size, config.vocab_size
W = config.window_size
kinds = config.attention_layers  # "global" or "local", for each layer
END = tokenizer.special_tokens["<|endoftext|>"]
N, SEQUENCES = 24, 8  # random tokens in a copy; how many texts of them
print(f"{L} layers with {H} heads each: {L * H} heads. Local layers see {W} tokens.")

# %% [markdown]
# ## How can a model copy?
#
# A text has the name "Trild". The name has two tokens, " Tr" and "ild". Later the name comes again, and the model has just
# read the second " Tr". The name was in no training text, so the parameters cannot know what comes next. But the text itself
# says it: the first time, "ild" came after " Tr". Two heads in two layers can find it:
#
# - A **previous-token head** looks from each token at the token before. So it writes "I come after Tr" into the row of "ild" in the stream.
# - An **induction head** in a later layer looks from the second " Tr" for a token whose row says "I come after Tr". It finds "ild" and
#   hands it over to the row of the second " Tr". So "ild" becomes a likely next token.

# %% tags=["figure"]
figure, axes = figures.new(8.2, 3.0)
figures.blank(axes, 10, 4)
words = ["called", " Tr", "ild", "and", "...", "day", " Tr", "?"]
for place, word in enumerate(words):
    colour = figures.PALE_ORANGE if word in (" Tr", "ild") else figures.PALE_GREY
    figures.box(axes, 0.75 + 1.2 * place, 1.0, 1.0, 0.6, figures.visible(word), colour)
    axes.text(0.75 + 1.2 * place, 0.45, "next" if word == "?" else f"{place}", ha="center", fontsize=10)
figures.box(axes, 3.15, 2.45, 2.5, 0.7, "row of “ild”:\nI come after “␣Tr”", figures.PALE_BLUE, 10)
figures.box(axes, 7.95, 2.45, 2.5, 0.7, "row of “␣Tr”: who\ncomes after “␣Tr”?", figures.PALE_BLUE, 10)
figures.arrow(axes, (1.95, 1.32), (2.75, 2.08))
axes.text(0.0, 1.8, "1. previous-token head:\n“␣Tr” is handed to “ild”", fontsize=10, va="center")
figures.arrow(axes, (3.15, 1.32), (3.15, 2.08))
figures.arrow(axes, (7.95, 1.32), (7.95, 2.08))
figures.arrow(axes, (4.42, 2.6), (6.68, 2.6), "2. induction head:\n“ild” is handed over", side="above")
figures.arrow(axes, (8.6, 2.08), (9.1, 1.32))
axes.text(9.45, 1.8, "3. “ild” is\nexpected", fontsize=10, ha="center", va="center")
figures.show(
    figure,
    "How two heads copy. The text has the tokens called, Tr, ild, and, ..., day, Tr at the places 0 to 6. Arrow 1: a previous-token head hands Tr (place 1) to "
    "ild (place 2). Arrow 2: an induction head lets the second Tr (place 6) find ild, and hands ild over. Arrow 3: ild is expected as the next token.",
)

# %% [markdown]
# So far this is only an idea of how it could work. Does the trained model have such heads? To find out, we need a text on which
# nothing else helps: tokens drawn at random. The text is `<|endoftext|>`, then {{N}} random tokens, then the same {{N}} tokens
# again. In the first copy no token can be predicted. In the second copy only copying helps. (`python -m neo_np.evaluate heads` does the same
# with {{heads.LENGTH}} tokens in a copy.)

# %%
rng = np.random.default_rng(0)


def repeated(length):
    """Return the ids of END, of random tokens (ordinary ones, END is none of them), and of the same again: (1 + 2 * length,)."""
    copy = rng.choice(heads.ordinary_ids(model), length)
    return np.array([END, *copy, *copy])


sequences = np.stack([repeated(N) for _ in range(SEQUENCES)])  # (SEQUENCES, S)
S = sequences.shape[1]
print(f"{SEQUENCES} sequences of {S} tokens. One begins with", tokenizer.token_strings(sequences[0])[:6])

# %% [markdown]
# ## A score for each head
#
# A picture of weights shows one text. To compare many heads on many texts, we use one number for each head, a mean over many
# tokens. It is called the score of the head. (The scores of notebook 05, dot products of queries and keys, are something else.)
# The score for previous-token heads is the mean weight that a token gives to the token before. The slow loop, for the heads of
# layer 0 and one sequence:

# %%
weights = model.attentions(sequences[0])[0]  # of layer 0, (H, S, S): queries in rows, keys in columns

before_loop = np.zeros(H)
for h in range(H):
    for query in range(1, S):
        before_loop[h] = before_loop[h] + weights[h, query, query - 1]
before_loop = before_loop / (S - 1)

# %% [markdown]
# These places lie on one line, just below the diagonal of the table. `np.diagonal` takes such a line out: the second argument
# says how far to the right of the diagonal (so -1 is one place below it), `axis1` and `axis2` say which axes are rows and
# columns.

# %%
before = np.diagonal(weights, -1, axis1=1, axis2=2).mean(axis=-1)  # (H, S - 1) -> (H,)
assert np.allclose(before, before_loop, atol=1e-6)

# %% [markdown]
# ## Exercise: the induction score
#
# A token of the second copy has come before, in the first copy: that is its first occurrence. An induction head looks at the token
# *after* the first occurrence, because the same token will come next. Which places of the table are these? `weights[:, queries,
# keys]` takes one place for each pair of a query and a key, in all heads: (H, number of pairs). (Notebook 12 picked from `log_p` in
# this way.) You may also use `np.diagonal`.


# %% exercise="induction_score"
@check
def induction_score(weights, length):
    """weights (H, S, S): for each head, rows look (queries) and columns are looked at (keys). The text ends with two
    copies of the same random tokens, `length` tokens each; one token may come before both copies. Return for each
    head, (H,), the mean weight that a token of the second copy gives to the token after its first occurrence.
    """
    S = weights.shape[-1]
    queries = np.arange(..., S)  # the second copy
    keys = queries - ...
    return weights[:, queries, keys].mean(axis=...)


# %%
# hint("induction_score")
# solution("induction_score")

# %% [markdown]
# ## The real checkpoint: what do its heads look at?
#
# Four scores for all heads, as means over the {{SEQUENCES}} sequences: the weight on the token before, the induction score, the weight on
# the first token of the text, and the mean distance between a token and those it looks at (each distance counts by its weight).
#
# **Predict:** how many of the {{L * H}} heads give, on average, more than half of their weight to the token before? Write a number.

# %%
predict("15.1", ...)

# %%
scores = np.mean([[heads.head_scores(w, N) for w in model.attentions(ids)] for ids in sequences], axis=0)  # (L, H, 4)
previous, induction, first, distance = np.moveaxis(scores, -1, 0)  # (L, H) each
best_previous, best_induction = (tuple(int(n) for n in np.unravel_index(s.argmax(), s.shape)) for s in (previous, induction))
reveal("15.1", int((previous > 0.5).sum()))

# %% tags=["figure"]
figure, panels = figures.grid(2, 2, 8.4, 0.72 * L + 1.8)
labels = [f"{i} {kind}" for i, kind in enumerate(kinds)]
shown = (
    (previous, "weight on the token before", 2),
    (induction, "induction score", 2),
    (first, "weight on the first token", 2),
    (distance, "mean distance in tokens", 1),
)
for number, (axes, (values, title, decimals)) in enumerate(zip(panels.flat, shown)):
    limits = (0, 1) if decimals == 2 else None
    rows = labels if number % 2 == 0 else [f"{i}" for i in range(L)]
    bottom = "head" if number > 1 else None
    figures.matrix(
        axes, values, rows, [f"{h}" for h in range(H)], title, decimals=decimals, limits=limits, xlabel=bottom, size=10
    )
figures.show(
    figure,
    f"Four scores of the {L * H} heads on random tokens that are repeated; rows are layers, columns are heads. The highest weight on the token before: layer "
    f"{best_previous[0]} head {best_previous[1]}, {previous.max():.2f}. The highest induction score: layer {best_induction[0]} head {best_induction[1]}, {induction.max():.2f}. "
    f"Weights on the first token reach from {first.min():.2f} to {first.max():.2f}, mean distances from {distance.min():.1f} to {distance.max():.1f} tokens.",
)
assert previous.max() > 0.5 and induction.max() > 0.25
assert any(previous[i].max() > 0.5 for i in range(best_induction[0]))  # a previous-token head comes before it

# %% [markdown]
# Heads of both kinds are there. Nobody programmed them: training made them. It had help: in one part of the training, one text in five was a
# short passage that is repeated again and again ([MODEL.md](../weights/tales-6M/MODEL.md)). Before this part, no head copied. Other models, even small ones
# of two layers, form such heads from ordinary text if they read enough of it (Olsson et al. 2022, arXiv 2209.11895).
#
# Head {{best_previous[1]}} of layer {{best_previous[0]}} gives
# {{previous.max():.2f}} of its weight to the token before. Head {{best_induction[1]}} of layer {{best_induction[0]}} has the
# induction score {{induction.max():.2f}}, and {{int((induction > 0.25).sum())}} of all heads have a score above 0.25. (A head that looks at all tokens
# equally would have {{float((1 / np.arange(N + 2, S + 1)).mean()):.2f}}.) An earlier layer has a previous-token head. This fits the idea above, but it does not prove it yet.
#
# Here are the weights of these two heads on one sequence. The previous-token head has a line just below the diagonal. The
# induction head has a stripe: most tokens of the second copy look {{N - 1}} tokens back. The rows below the dashed line are
# the second copy.

# %% tags=["figure"]
figure, panels = figures.new(8.4, 4.1, panels=2, width_ratios=[1, 1.16])
maps = model.attentions(sequences[0])
future = np.triu(np.ones((S, S), bool), 1)
for axes, (layer, head), name in zip(panels, (best_previous, best_induction), ("previous-token head", "induction head")):
    last = axes is panels[1]
    figures.matrix(axes, maps[layer][head], numbers=False, hidden=future, limits=(0, 1), bar="weight" if last else None,
                   title=f"{name}: layer {layer} head {head}", xlabel="is looked at (key)", ylabel=None if last else "looks (query)")  # fmt: skip
    axes.set(xticks=[0, N // 2, N, 3 * N // 2, 2 * N], yticks=[0, N // 2, N, 3 * N // 2, 2 * N])
    axes.axhline(N + 0.5, color="white", linestyle="--", linewidth=1)
rests = [float(maps[best_induction[0]][best_induction[1]][part, 0].mean()) for part in (slice(1, N + 1), slice(N + 1, S))]
assert rests[0] > rests[1]  # the first copy has nothing to copy
assert (maps[best_induction[0]][best_induction[1]][N + 1 :].argmax(axis=-1) == np.arange(2, N + 2)).mean() > 0.5
stripe = [float(maps[best_induction[0]][best_induction[1]][q, q - N + 1]) for q in range(N + 1, S)]
figures.show(
    figure,
    f"The weights of two heads on one sequence of {S} tokens; the future is hatched, and the second copy begins below the dashed line. Left: the line below the diagonal "
    f"has the mean {float(np.diagonal(maps[best_previous[0]][best_previous[1]], -1).mean()):.2f}. Right: the stripe {N - 1} places below the diagonal has the mean {np.mean(stripe):.2f} in the second copy.",
)

# %% [markdown]
# ### Does it help?
#
# **Predict:** by how many nats is the mean loss of the second copy lower than that of the first one? Write a number.

# %%
predict("15.2", ...)

# %%
losses = loss.cross_entropy(model.logits(sequences)[:, :-1], sequences[:, 1:])  # (SEQUENCES, S - 1)
first_copy, second_copy = losses[:, :N].mean(axis=0), losses[:, N:].mean(axis=0)  # (N,) both
gain = float(first_copy.mean() - second_copy.mean())
assert gain > 1 and first_copy.mean() > np.log(V)
reveal("15.2", round(gain, 1))

# %% tags=["figure"]
figure, axes = figures.new(8.0, 3.3)
at = np.arange(1, N + 1)
figures.lines(axes, {"first copy": (at, first_copy), "second copy": (at, second_copy), "log V": (at, np.full(N, np.log(V)))},
              xlabel="place of the token in its copy", ylabel="loss in nats")  # fmt: skip
axes.set_ylim(0, None)
figures.show(
    figure,
    f"The loss at each place of the two copies, a mean over {SEQUENCES} sequences. First copy: {first_copy.mean():.2f} nats on average; second copy: {second_copy.mean():.2f}, "
    f"with {second_copy[0]:.2f} at its first token and {second_copy[1:].mean():.2f} after it. log V is {np.log(V):.2f}.",
)

# %% [markdown]
# On the first copy the loss is {{first_copy.mean():.2f}} nats. A model that knows nothing has log V = {{f"{np.log(V):.2f}"}}. Ours is worse here: it has
# learnt to expect sentences, and random tokens are not sentences. On the second copy the loss is {{second_copy.mean():.2f}}. The first token of the second
# copy cannot be copied yet, because nothing says that a copy begins: its loss is {{second_copy[0]:.2f}}. After it the loss is {{second_copy[1:].mean():.2f}}: the model
# copies well, but not perfectly.
#
# ### How far back?
#
# In a local layer a token sees {{W}} tokens, itself included (notebook 07). In the copies of {{N}} tokens, the token to copy is {{N - 1}} tokens back:
# a local head could see it. Now we take copies of {{W + 8}} tokens. The token to copy is {{W + 7}} tokens back.
#
# **Predict:** what is now the highest induction score of a head in a local layer? Write a number.

# %%
predict("15.3", ...)

# %%
assert N - 1 < W
far = np.mean([[heads.induction_score(w, W + 8) for w in model.attentions(repeated(W + 8))] for _ in range(4)], axis=0)
is_local = np.array([kind == "local" for kind in kinds])
highest = {
    f"copies of {length}, {kind} layers": float(table[is_local == (kind == "local")].max())
    for length, table in ((N, induction), (W + 8, far))
    for kind in ("local", "global")
}
assert far[is_local].max() == 0.0
reveal("15.3", float(far[is_local].max()))
for name, value in highest.items():
    print(f"{name}: highest induction score {value:.2f}")

# %% [markdown]
# Exactly 0, because the mask hides everything that far back. Only a head in a global layer can look at a token at such a distance. (In
# the short copies a local head could do it too. The first line says whether this model has such a head.)
#
# ## Are the two heads one machine?
#
# A previous-token head looks back, and an induction head copies. That does not prove that the second one *needs* the first
# one. So we switch the previous-token heads off and look at the induction head. Switching a part of a model off, to see what it
# is needed for, is called **ablation**. Here the head's result z becomes 0, as in notebook 06. If several heads do the same work,
# one can replace another. So we switch off, together, all heads of earlier layers that give more than half of their weight to the token before.
#
# An ablation needs a comparison. Perhaps *any* missing head would harm. So we also switch off each other head of the same layer, one at a time.
#
# **Predict:** without the previous-token heads, how much of the induction score of the induction head remains? Write
# `"more than half"` or `"less than half"`.

# %%
predict("15.4", ...)


# %%
def without(*places):
    """Return a hook that sets the results of some heads to 0; each place is (layer, head)."""

    def hook(name, array):
        off = [head for layer, head in places if name == f"h.{layer}.attn.z"]
        if off:
            array = array.copy()  # (B, H, T, D)
            array[:, off] = 0
            return array

    return hook


partners = [(i, h) for i, h in np.ndindex(L, H) if i < best_induction[0] and previous[i, h] > 0.5]
partner = max(partners, key=lambda place: previous[place])
name = f"h.{best_induction[0]}.attn.weights"


def score_with(hook):
    """Return the induction score of the induction head in a model that is changed by a hook."""
    runs = [measure.record(model, ids, hook)[name] for ids in sequences]  # (H, S, S) each
    return float(np.mean([heads.induction_score(w, N)[best_induction[1]] for w in runs]))


score_without = score_with(without(*partners))
share = score_without / induction[best_induction]
compared = [score_with(without((partner[0], h))) for h in range(H) if (partner[0], h) not in partners]
assert share < 0.8 and min(compared) > score_without
reveal("15.4", "less than half" if share < 0.5 else "more than half")
print(f"induction score with all heads {induction[best_induction]:.2f}")
print(f"without {', '.join(f'layer {i} head {h}' for i, h in partners)}: {score_without:.2f}")
print(f"without another head of layer {partner[0]}: {min(compared):.2f} to {max(compared):.2f}")

# %% [markdown]
# The score falls from {{induction[best_induction]:.2f}} to {{score_without:.2f}}. Without any other head of layer {{partner[0]}} it is at least {{min(compared):.2f}}. So they work together: the induction head needs what the
# previous-token head wrote into the stream, directly or through the layers between them.
#
# ## Exercise: ablate a head
#
# Where exactly must the 0 be? You get z, the results of all heads for one text, and the weight and bias of the output projection.


# %% exercise="ablate_head"
@check
def ablate_head(z, head, weight, bias):
    """z (H, T, D) has the results of all heads of a layer. weight (C, C), outputs in rows, and bias (C,) are those of
    the output projection, C = H * D. Return what attention adds to the stream, (T, C), if the result of one head,
    number `head`, is set to 0. z must not be changed. You may call merge_heads(x) and linear(x, weight, bias).
    """
    ...


# %%
# hint("ablate_head")
# solution("ablate_head")

# %% [markdown]
# ## A name in a tale
#
# Random tokens are no real text. Now a tale: a man has an invented name, and the name comes again. We make it
# from the tokens " Tr" and "ild". In the *clean* text the man is called "Trild". In the *corrupted* text he is called
# "Trem", and everything else is the same. Both texts end with a second " Tr", and we ask for the log-probability of "ild" as the next token.

# %%
TR, ILD, EM = (tokenizer.encode(piece)[-1] for piece in (" Tr", "ild", "em"))
begin = [END, *tokenizer.encode("Once upon a time there was a poor man. His name was")]
middle = tokenizer.encode(", and the name of his wife was Anna. Then came")
clean, corrupted = (np.array([*begin, TR, second, *middle, TR]) for second in (ILD, EM))
T, name_place = len(clean), len(begin) + 1  # the place of "ild" or "em"
tokens = tokenizer.token_strings(clean)
for name, ids in (("clean", clean), ("corrupted", corrupted)):
    print(f"{name}: {tokenizer.decode(ids[1:])!r}")


def log_p(ids, hook=None):
    """Return the log-probability of "ild" as the token after a text."""
    return float(loss.log_softmax(model.logits(ids, hook=hook)[-1])[ILD])


log_p_clean, log_p_corrupted = log_p(clean), log_p(corrupted)
print(f"log p of {tokenizer.token_string(ILD)!r}: clean {log_p_clean:.2f}, corrupted {log_p_corrupted:.2f}")
assert log_p_clean > log_p_corrupted + 0.5

# %% [markdown]
# Only the earlier name makes the difference of {{log_p_clean - log_p_corrupted:.1f}} nats: a probability of
# {{f"{np.exp(log_p_clean):.3f}"}} against {{f"{np.exp(log_p_corrupted):.5f}"}}.
#
# Which head finds the name? It is not enough that a head looks from the last token at "{{tokens[name_place]}}": it could do so for another reason, for
# example because the token is rare. So we need a third text, a *control*: the first " Tr" becomes " Fl", and "{{tokens[name_place]}}" stays. An induction head looks at
# "{{tokens[name_place]}}" *because* " Tr" comes before it. So in the control text it should not look at it. We take the head whose weight on
# "{{tokens[name_place]}}" falls most from the clean text to the control text.
#
# **Predict:** is it the head with the highest induction score on random tokens? Write `True` or `False`.

# %%
predict("15.5", ...)

# %%
control = clean.copy()
control[name_place - 1] = tokenizer.encode(" Fl")[-1]
rows, control_rows = (np.array([w[:, -1] for w in model.attentions(ids)]) for ids in (clean, control))  # (L, H, T)
fall = (rows - control_rows)[:, :, name_place]  # (L, H): of the weight that the last token gives to the name
finder = tuple(int(n) for n in np.unravel_index(fall.argmax(), fall.shape))
on_name, on_name_control = rows[finder][name_place], control_rows[finder][name_place]
rank = int((induction > induction[finder]).sum()) + 1  # 1: the highest induction score
assert fall[finder] > 0.1
reveal("15.5", finder == best_induction)

# %% tags=["figure"]
figure, panels = figures.new(8.4, 2.7, panels=2)
sentences = []
for axes, title, ids, seen_by in zip(panels, ("clean text", "control text"), (clean, control), (rows, control_rows)):
    most = seen_by[finder].argsort()[::-1][:5]
    names = [f"{token.strip() or token} at {t}" for t, token in zip(most, tokenizer.token_strings(ids[most]))]
    marked = [name for name, t in zip(names, most) if t == name_place]
    figures.bars(axes, names, seen_by[finder][most], title=title, marked=marked, xlabel="weight", top=1.25)
    sentences.append(f"{title}: {', '.join(f'{name} {seen_by[finder][t]:.2f}' for name, t in zip(names, most))}")
figures.show(
    figure,
    f"The five tokens at which head {finder[1]} of layer {finder[0]} looks most from the last token, “{tokens[-1]}” at {T - 1}. In the {sentences[0]}. In the {sentences[1]}. "
    f"The second part of the first name, at {name_place}, is hatched.",
)

# %% [markdown]
# Head {{finder[1]}} of layer {{finder[0]}} gives "{{tokens[name_place]}}" the weight {{on_name:.2f}}, and
# {{on_name_control:.2f}} in the control text. Its induction score on random tokens is {{induction[finder]:.2f}}: number
# {{rank}} of {{L * H}}. The weight in the control text need not be 0, because a head may have more than one reason to look
# at a token. What counts is how much the weight falls.
#
# ## Switch off each head
#
# Ablation of every head, one at a time. The left table shows how much the loss of the second copy of random tokens rises: a large plus
# means that the model copies worse without this head. The right table shows how much the log-probability of "ild" changes in the tale:
# there a large *minus* means that it copies worse. For the right table we use the package's function, which computes H runs together, each
# without another head of one layer.
#
# **Predict:** of the {{L * H}} heads, how many raise the loss of the second copy by more than 0.1 nats if they are switched off? Write a number.

# %%
predict("15.6", ...)

# %%
few = sequences[:4]


def second_loss(hook=None):
    """Return the mean loss of the second copy."""
    logits = model.logits(few, hook=hook)[:, N:-1]
    return float(loss.cross_entropy(logits, few[:, N + 1 :]).mean())


whole = second_loss()
rise = np.array([[second_loss(without((i, h))) - whole for h in range(H)] for i in range(L)])
seen = trace.record(model, [*clean, ILD])  # what the model computes for the clean text, with "ild" as the token that follows
change = attribution.ablate_heads(seen)["log_prob"][:, :, T - 1]  # (L, H)
assert abs(log_p(clean, without(finder)) - log_p_clean - change[finder]) < 1e-2  # the same as with our hook
reveal("15.6", int((rise > 0.1).sum()))

# %% tags=["figure"]
figure, panels = figures.new(8.4, 0.4 * L + 1.4, panels=2)
for axes, table, title in zip(panels, (rise, change), ("rise of the loss, second copy", "change of log p of the name")):
    rows_shown = [f"layer {i}" for i in range(L)] if axes is panels[0] else [f"{i}" for i in range(L)]
    figures.matrix(axes, table, rows_shown, [f"{h}" for h in range(H)], title, signed=True, decimals=1, xlabel="head")
top_rise, top_change = (tuple(int(n) for n in np.unravel_index(table.argmax(), table.shape)) for table in (rise, -change))
figures.show(
    figure,
    f"What happens without each head, in nats. Left: the loss of the second copy, {whole:.2f} with all heads, rises most without head {top_rise[1]} of layer {top_rise[0]}: "
    f"{rise[top_rise]:+.1f}. Right: the log-probability of the name, {log_p_clean:.2f} with all heads, falls most without head {top_change[1]} of layer {top_change[0]}: {change[top_change]:+.1f}.",
)
assert rise.max() > 0.1 and change.min() < -0.1

# %% [markdown]
# Without head {{top_rise[1]}} of layer {{top_rise[0]}} the loss of the second copy rises by {{rise[top_rise]:.1f}} nats.
# {{int((np.abs(rise) < 0.1).sum())}} of {{L * H}} heads change it by less than 0.1. And head {{finder[1]}} of layer
# {{finder[0]}}, which found the name, changes the log-probability of the name by {{f"{change[finder]:+.1f}"}}. Compare this
# with the {{log_p_clean - log_p_corrupted:.1f}} nats between the clean and the corrupted text. If several heads do the same
# work, none of them is missed much while the others are there. A test: we switch off all heads with an induction score
# above 0.25 together.

# %%
inductive = [(i, h) for i, h in np.ndindex(L, H) if induction[i, h] > 0.25]
together, one_by_one = second_loss(without(*inductive)) - whole, float(sum(rise[place] for place in inductive))
assert together > one_by_one
print(f"{len(inductive)} induction heads. Rise of the loss without all of them: {together:.1f} nats.")
print(f"Sum of the rises if only one at a time is switched off: {one_by_one:.1f} nats.")

# %% [markdown]
# Together they are missed more than one by one: they share the work. So be careful with conclusions:
#
# - A head that is not missed may still do the work. Others do it too.
# - If a head is missed, we still do not know *what* it did.
# - In training, the later layers have hardly ever seen a head whose result is 0. A part of the harm may come from that. So some people replace the
#   result by its mean over many texts and not by 0 (mean ablation).
# - The right table is about one text. A change of 0.1 or 0.2 there can be chance.
#
# ## Which part of the run carries the name?
#
# **Activation patching** asks about places. ("Activations" are the arrays that a run computes.) We run the corrupted text, but
# after one layer we replace one row of the stream, that of one position, by the row of the clean run. Then the later layers run as usual. How much of the clean answer comes
# back? We divide the gain in log-probability by the whole difference: (patched - corrupted) / (clean - corrupted). 0 means: as in the corrupted run. 1 means: as in the clean run. In this
# way we see in which row the information about the name is, layer by layer.
#
# **Predict:** if we patch right after the embedding, one single row brings back everything. Which token does the clean text have in this row? Write the token.

# %%
predict("15.7", ...)

# %%
clean_seen = measure.record(model, clean)
stations = ["embed", *(f"h.{i}" for i in range(L))]  # the stream after the embedding and after each layer


def patched(station, position):
    """Return a hook that replaces one row of the stream at one station by that of the clean run."""

    def hook(name, array):
        if name == station:  # (B, T, C)
            array = array.copy()
            array[0, position] = clean_seen[station][position]
            return array

    return hook


places = range(name_place, T)  # before the name, both runs are equal
back = np.array([[log_p(corrupted, patched(station, t)) for t in places] for station in stations])
back = (back - log_p_corrupted) / (log_p_clean - log_p_corrupted)  # (L + 1, T - name_place)
assert abs(back[0, 0] - 1) < 0.02 and abs(back[-1, -1] - 1) < 0.02
reveal("15.7", tokens[name_place + int(back[0].argmax())])

# %% tags=["figure"]
figure, axes = figures.new(8.4, 0.4 * L + 2.0)
names = [f"{tokens[t].strip() or tokens[t]} {t}" for t in places]
stages = ["embedding", *(f"after layer {i}" for i in range(L))]
colours = np.where(np.abs(back) < 0.02, 0, back)  # no hatching where hardly anything happens
figures.matrix(axes, colours, stages, names, signed=True, numbers=False, limits=(-1, 1), bar="share that comes back")
for i, j in np.argwhere(np.abs(back) >= 0.1):
    axes.text(j, i, f"{back[i, j]:.1f}", ha="center", va="center", fontsize=10)
moved = int((back[:, -1] > 0.5).argmax())  # the first station at which the last row brings back more than half
figures.show(
    figure,
    f"How much of the clean answer comes back when one row of the stream is patched; rows are stations, columns are tokens from the name (position {name_place}) to the last one "
    f"(position {T - 1}). At the name: {back[0, 0]:.1f} after the embedding, {back[-1, 0]:.1f} after the last layer. At the last token: {back[0, -1]:.1f} and {back[-1, -1]:.1f}. "
    "Numbers of 0.1 and more are written.",
)

# %% [markdown]
# Read the picture from top to bottom. At first the information is in the row of the name: the embedding of this token is the only thing that differs.
# At the end it must be in the row of the last token, because this row makes the logits. After layer {{moved - 1}}, the last row brings back
# more than half: attention has carried the information there. Attention is the only part that moves information between rows.
#
# The numbers of one line of the picture need not add up to 1. Two rows can both have the information, and each of them can be enough.
#
# ## Exercise: patching
#
# In the exercise the layers are small functions that change the stream in place. This makes a mistake easy: you "keep" an array,
# and the next layer changes this same array.


# %% exercise="patch"
@check
def patch(layers, clean, corrupted, layer, position):
    """layers is a list of functions. Each one changes a stream (T, C) in place and returns nothing. Let them change a
    copy of clean; after the layer with the number `layer` (from 0) keep row `position`. Then let all layers change
    a copy of corrupted; after the same layer, replace its row `position` by the kept row. Return this second stream
    after the last layer. clean and corrupted must not be changed.
    """
    ...


# %%
# hint("patch")
# solution("patch")

# %% [markdown]
# ## Taking the logit apart
#
# The last stream is a sum: the embeddings, and what each attention and each MLP has added (notebook 09). The output projection is linear, so what attention
# adds is again a sum: one part for each head, and the bias. A logit is the dot product of a row of
# the token table with this stream, after the last layer norm. So the logit is a sum too, with one number for each part. This is **direct logit attribution**. Three details:
#
# - If all logits grow by the same amount, softmax does not change. So we explain m, the logit of "ild" minus the mean of all logits.
# - Layer norm divides the stream by a number s, which depends on all parts. We take s as it was in this run. Then the parts add up exactly.
# - The biases are parts too. So there are {{L * H}} heads, {{L}} attention biases, {{L}} MLPs, 2 embeddings (token and position) and the bias of the last layer norm: {{L * H + 2 * L + 3}} parts.

# %%
following = seen.candidates[:, trace.CHOSEN]  # at each position the token that follows
parts = attribution.direct_contributions(seen, following)[T - 1]  # (P,) what each part adds to m of "ild"
m = float(attribution.centered_logit(seen.logits, following)[T - 1])
part_names = attribution.part_names(config)
assert abs(parts.sum() - m) <= 1e-5 * np.abs(parts).sum()
print(f"{len(parts)} parts; their sum is {parts.sum():.4f}, and m is {m:.4f}")

# %% tags=["figure"]
figure, axes = figures.new(7.8, 4.0)
largest = np.abs(parts).argsort()[::-1][:10]
rest = float(parts.sum() - parts[largest].sum())
labels = [part_names[i] for i in largest] + [f"the other {len(parts) - 10}"]
figures.bars(axes, labels, [*parts[largest], rest], signed=True, marked=labels[-1:], xlabel="adds to m")
values = ", ".join(f"{part_names[i]} {parts[i]:+.2f}" for i in largest)
figures.show(
    figure,
    f"The ten parts that add most to m = {m:.2f} of “{tokenizer.token_string(ILD)}”, by size: {values}. The other {len(parts) - 10} parts together (hatched): {rest:+.2f}.",
)

# %% [markdown]
# The largest contribution is that of {{part_names[int(parts.argmax())]}}: {{f"{parts.max():+.2f}"}}. Compare with the ablation. The previous-token head (layer {{partner[0]}} head {{partner[1]}}) adds
# {{f"{parts[part_names.index(f'layer {partner[0]} head {partner[1]}')]:+.2f}"}} directly, and without it log p changes by {{f"{change[partner]:+.2f}"}}. There is no contradiction: a direct contribution leaves out all that a head does
# *through* later parts. A previous-token head writes mainly what other heads read.
#
# ## How many heads do we understand?
#
# Call a head clear if it gives more than half of its weight to the token before or to the first token, if its induction score is above
# 0.25, or if its mean distance is below 0.5 (then it looks at the token itself).
#
# Why at the first token? The usual explanation: weights must add up to 1, so a head that has nothing to do puts its weight where it does
# no harm. The induction head in the picture above fits this: it gives the first token {{rests[0]:.2f}} of its weight in the first copy, which has nothing to copy,
# and {{rests[1]:.2f}} in the second copy.

# %%
clear = (previous > 0.5) | (induction > 0.25) | (first > 0.5) | (distance < 0.5)
pieces = measure.windows(model, number=2)
right = measure.surprise(model, pieces)
unnamed = [(i, h) for i in range(L) for h in range(H) if not clear[i, h]]
need = {place: measure.surprise(model, pieces, without(place)) - right for place in unnamed}
worst = max(need, key=need.get)
assert L * H // 8 < len(unnamed) < L * H and need[worst] > 0
print(f"{len(unnamed)} of {L * H} heads are not clear by these scores.")
print(
    f"Of these, head {worst[1]} of layer {worst[0]} is missed most on tales: without it the surprise rises by {need[worst]:.3f} nats."
)

# %% [markdown]
# {{len(unnamed)}} of {{L * H}} heads have no clear job by these scores. That does not mean that they do nothing: without head
# {{worst[1]}} of layer {{worst[0]}} the model is worse on tales by {{need[worst]:.3f}} nats. Their work has no simple name, or has one that we have not
# looked for, or is shared by many heads. The scores are also measured on random tokens: on tales the same head may do
# something else. If you report such scores, say this too.
#
# ## Break it: ablation after the output projection
#
# A common mistake: D channels, those from head * D on, are set to 0 in the *result* of attention, after the output
# projection. All shapes are right. But there no channel belongs to one head: each one is a mixture of all heads.
#
# **Predict:** if head {{partner[1]}} of layer {{partner[0]}} is set to 0 in the right place, before the output projection, how many of the {{C}} channels
# of attention's result change? Write a number.

# %%
predict("15.8", ...)


# %%
def wrongly_without(layer, head):
    """Return a hook that sets the channels of a head to 0 after the output projection: the mistake."""

    def hook(name, array):
        if name == f"h.{layer}.attn.out":  # (B, T, C)
            array = array.copy()
            array[..., head * D : (head + 1) * D] = 0
            return array

    return hook


out_name = f"h.{partner[0]}.attn.out"
runs = [measure.record(model, clean, hook)[out_name] for hook in (None, without(partner), wrongly_without(*partner))]
changed = [int((run != runs[0]).any(axis=0).sum()) for run in runs[1:]]
wrong = np.array([second_loss(wrongly_without(partner[0], h)) - whole for h in range(H)])
bias = params.h[partner[0]].attn.attention.out_proj.bias
no_heads = measure.record(model, clean, without(*[(partner[0], h) for h in range(H)]))[out_name]
assert np.allclose(no_heads, bias)  # without all heads, only the bias is left
assert changed[1] <= D < changed[0] and np.abs(wrong - rise[partner[0]]).max() > 0.05
reveal("15.8", changed[0])

# %% tags=["figure"]
figure, panels = figures.new(8.4, 0.33 * H + 1.0, panels=2)
edge = max(0.1, float(max(np.abs(wrong).max(), np.abs(rise[partner[0]]).max())))
for axes, values, title in zip(panels, (rise[partner[0]], wrong), ("right: before the projection", "wrong: after it")):
    figures.bars(axes, [f"head {h}" for h in range(H)], values, title=title, xlabel="rise of the loss in nats", signed=True,
                 marked=[f"head {partner[1]}"])  # fmt: skip
    axes.set_xlim(min(0, float(min(wrong.min(), rise[partner[0]].min()))) - 0.35 * edge, 1.35 * edge)
figures.show(
    figure,
    f"How much the loss of the second copy rises when a head of layer {partner[0]} is ablated; the previous-token head, head {partner[1]}, is hatched. Right way: {rise[partner]:+.2f} for this head. "
    f"Wrong way: {wrong[partner[1]]:+.2f}. The values of all heads: right {', '.join(f'{v:+.2f}' for v in rise[partner[0]])}; wrong {', '.join(f'{v:+.2f}' for v in wrong)}.",
)

# %% [markdown]
# The right ablation changes {{changed[0]}} of {{C}} channels, because the output projection spreads a head over all of
# them. The wrong one changes {{changed[1]}} channels, and takes away a small piece of *every* head. For the previous-token
# head (hatched) it says {{f"{wrong[partner[1]]:+.2f}"}} nats instead of {{f"{rise[partner]:+.2f}"}}. No error appears. But
# a check finds it: ablate all heads of the layer in the same run. The right way gives the bias of the output projection in
# each row (the cell above asserts it). The wrong way gives 0 everywhere.
#
# ## The same in the package

# %%
show_source(
    heads.induction_score,
    notes={
        "1 - length": "The diagonal that lies length - 1 places below the main one.",
        "-length:": "Only the second copy: the last entries of the diagonal.",
    },
)
show_source(
    attribution.without_each_head,
    notes={
        "np.eye": "Run h of the batch lacks head h: 0 at this place, 1 everywhere else.",
        'name == "attn.z"': "Before the output projection.",
        "later in range": "The layers after it work with what is there.",
    },
)

# %% [markdown]
# All of this for any text, on one page: `from neo_np.explain import explain`, then `explain(model, "Once upon a time")`. In the terminal: `python -m neo_np.evaluate heads`.
# {{source("gpt_neo.hooks.hook_names")}} lists every array that a hook can see or replace.
#
# ## Three sentences to remember
#
# 1. A previous-token head and an induction head copy together: one writes what came before, the other one looks for it.
# 2. Ablation says whether a part is missed, patching says where the information is, attribution says what is added directly: three questions, three answers.
# 3. Many heads have no simple name; and a score or a picture shows where a head looks, not what it does.
#
# ## Two questions to recall
#
# 1. From notebook 07: in a local layer with W = 8, which is the earliest token that token 100 sees?
# 2. From notebook 09: why can the last stream be cut into parts that add up?
#
# <details><summary>Answers</summary>
#
# 1. Token 93: it sees tokens 93 to 100. The window counts the token itself.
# 2. Each block only adds to the stream, so the last stream is the embedding plus everything that was added.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [14 Training](14_training.ipynb). On: [16 GPT-Neo 125M](16_gpt_neo_125m.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [heads.py](../neo_np/evaluate/heads.py), [attribution.py](../neo_np/explain/attribution.py), [hooks.py](../neo_np/gpt_neo/hooks.py).
