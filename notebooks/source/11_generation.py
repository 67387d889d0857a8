# %% [markdown]
# # 11 Generation
#
# **Question: why is it fast?**
#
# About {{minutes}} minutes (an estimate). You need notebook 05 (query, key, value), notebook 07 (windows) and notebook 10.
#
# To write 100 tokens, the model runs 100 times, and each time the text is one token longer. If every run computes the whole
# text, most of the work is done again and again. This notebook shows three ideas on which programs that write text are
# built: keep what does not change, follow several texts at once, and guess ahead.

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
from neo_np.exercises import check, hint, predict, progress, reveal, show_source, solution
from neo_np.generate import beam_search, speculative
from neo_np.gpt_neo import forward, loss
from neo_np.gpt_neo.cache import KVCache

model = neo_np.load()
tokenizer, config, params = model.tokenizer, model.config, model.params
L, D = config.num_layers, config.head_size
softmax = forward.softmax  # an exercise may call it

# %% [markdown]
# ## The past does not change
#
# We run the model on a text, and on the same text with one more token. Then we compare the keys and values of the tokens that both
# texts have.

# %%
text = "Once upon a time there was a king who had a daughter"
ids = tokenizer.encode(text)
longer = [*ids, tokenizer.encode(" and")[0]]
T = len(ids)

short_run, long_run = measure.record(model, ids), measure.record(model, longer)  # {name: array} of all that is computed
names = [f"h.{layer}.attn.{part}" for layer in range(L) for part in "kv"]
largest = max(np.abs(long_run[name][:, :T] - short_run[name]).max() for name in names)  # (H, T, D) each

assert largest < 1e-4
print(f"largest change of {len(names)} arrays of keys and values: {largest:.5f}")

# %% [markdown]
# Nothing changes, except for rounding. It must be so: the mask hides the future, so what a token computes can't depend on tokens that come
# later. So each new token needs only
#
# - its own row of the stream: its query, key and value, in every layer,
# - the keys and values of the earlier tokens, because its query meets all of them.
#
# The queries of earlier tokens are not needed any more: they have asked already. (So T, the number of queries, is 1 in each step, and S, the number of
# keys, grows with the text.) We keep all keys and values in memory. This
# memory is the **cache**, often called KV cache. The place for one token in it is a **slot**.
#
# **Predict:** a text has 99 tokens, and one more is read. Without a cache a head computes 100 times 100 scores. How many
# does it compute with a cache? Write a whole number.

# %%
predict("11.1", ...)

# %%
reveal("11.1", 1 * 100)  # one query meets 100 keys

# %% [markdown]
# ## One head with a cache, slowly
#
# We let one head of the real checkpoint read the text token by token. `kept_keys` and `kept_values` are its cache.

# %%
layer, head = 0, 0
q = short_run[f"h.{layer}.attn.q"][head]  # (T, D)
k = short_run[f"h.{layer}.attn.k"][head]
v = short_run[f"h.{layer}.attn.v"][head]

kept_keys, kept_values, z_loop = [], [], np.zeros((T, D))
for t in range(T):  # one new token at a time
    kept_keys.append(k[t])  # a new slot
    kept_values.append(v[t])
    scores = []
    for key in kept_keys:
        scores.append(float(q[t] @ key))
    exps = [math.exp(score - max(scores)) for score in scores]
    for e, value in zip(exps, kept_values):
        weight = e / sum(exps)
        z_loop[t] = z_loop[t] + weight * value

# %% [markdown]
# No mask is needed in the loop: the keys of the future are not in the cache yet.
#
# Is it the same as without a cache? Here are all tokens at once, with a mask, as in notebook 05:

# %%
t = np.arange(T)
z = forward.softmax(q @ k.T + forward.causal_mask(t, t)) @ v

assert np.allclose(z, z_loop, atol=1e-4)
assert np.allclose(z, short_run[f"h.{layer}.attn.z"][head], atol=1e-4)

# %% [markdown]
# ## The cost, measured
#
# Here is the time for one more token, measured on this computer, without and with a cache. `logits_to_keep=1` asks for the logits of the last token only, and
# `cache.crop(n)` keeps the first n slots, so that the same token can be read again. (Times differ from run to run, so your picture will differ
# from the one that came with the course.)

# %% tags=["varies"]
room = min(config.max_position_embeddings, 256)
lengths = [room // 8, room // 4, room // 2, 3 * room // 4, room]
long_text = measure.windows(model, number=1, length=room)[0]


def best_time(run, times=5):
    """Return the shortest of several times, in milliseconds: other programs can only make it longer."""
    found = []
    for _ in range(times):
        begin = time.perf_counter()
        run()
        found.append(1000 * (time.perf_counter() - begin))
    return min(found)


without, with_cache = [], []
for length in lengths:
    without.append(best_time(lambda: model.logits(long_text[:length], logits_to_keep=1)))
    cache = model.new_cache()
    model.logits(long_text[: length - 1], cache=cache)  # all but the last token are in the cache

    def one_token():
        """Read the last token, then forget it again."""
        model.logits(long_text[length - 1 : length], cache=cache)
        cache.crop(length - 1)

    with_cache.append(best_time(one_token))
assert without[-1] > 1.5 * with_cache[-1]

# %% tags=["figure", "varies"]
figure, axes = figures.new(7.5, 3.4)
curves = {"without cache": (lengths, without), "with cache": (lengths, with_cache)}
figures.lines(axes, curves, xlabel="tokens of the text", ylabel="milliseconds for one token")
axes.set_ylim(-0.06 * max(without))  # room for the label of the lower line
axes.set_xlim(0, 1.25 * room)
axes.set_xticks(lengths)
figures.show(
    figure,
    f"Measured time for one more token. With {lengths[0]} tokens it takes {without[0]:.1f} ms without a cache and {with_cache[0]:.1f} ms with one; "
    f"with {room} tokens {without[-1]:.1f} ms and {with_cache[-1]:.1f} ms.",
)

# %% [markdown]
# Without a cache the time grows with the text. With a cache it hardly grows, because nearly all of the work is the same for every
# token. Only the attention to the kept keys gets a little longer.
#
# The text that the model continues is called the **prompt**. With a cache, the prompt is read once, and then one token at a time. This loop and
# that of notebook 00 write the same text:

# %%
plain = list(ids)
for _ in range(12):
    plain.append(int(model.logits(plain)[-1].argmax()))  # the whole text, each time

cached = list(ids)
cache = model.new_cache()
last = model.logits(ids, cache=cache)[-1]  # the prompt is read once
for _ in range(12):
    cached.append(int(last.argmax()))
    last = model.logits(cached[-1:], cache=cache)[-1]  # only the new token

assert cached == plain
print(tokenizer.decode(cached))
print(cache)

# %% [markdown]
# ## Exercise: one step with a cache
#
# A small model with one head and no layer norm reads a new token. Three things can go wrong: the position of the new token,
# the place of its key and value, and what its query meets. (`np.concatenate([a, b])` makes one array: the rows of a, then
# the rows of b.)


# %% exercise="cached_step"
@check
def cached_step(id, keys, values, wte, wpe, wq, wk, wv):
    """One head reads one new token. keys and values, (S, D), have one row for each of the S tokens before it. x, (C,),
    is the new token, embedded at the next position (wte, wpe). Its query, key and value are wq @ x, wk @ x and wv @
    x. Compare the query with all S + 1 keys, and return the mean of the S + 1 values, (D,), weighted with the
    softmax of the scores. You may call softmax. Do not write into keys or values.
    """
    x = wte[id] + wpe[...]
    keys = np.concatenate([keys, [...]])  # (S + 1, D)
    values = np.concatenate([values, [...]])
    weights = softmax(...)  # (S + 1,)
    return weights @ ...


# %%
# hint("cached_step")
# solution("cached_step")

# %% [markdown]
# ## Several texts at once: beams
#
# Which 4 tokens are the likeliest continuation of a prompt? The probability of this new text is the product of the probabilities of its tokens:
#
# > p(text) = p(first) × p(second, after the first) × p(third, after both) × ...
#
# Such products get very small. So we take logarithms, which turn a product into a sum. The logarithm of a probability is called
# **log-probability**. It is 0 for a probability of 1, and negative for all others: the surprise with a minus sign. The log-probability of a text is the sum
# of the log-probabilities of its tokens.
#
# To try all texts of 4 tokens, we would need V × V × V × V of them, far too many. Greedy follows only one. **Beam search** follows a few, say 3. Each of these
# texts is called a **beam**. Each step continues all beams with all tokens. These are the candidates. From all candidates together, it keeps the best 3.
# So one beam may get two successors, and another one none.
#
# **Predict:** greedy took the likeliest token at each step. Can there be another text of the same length that is more likely? Write `True` or
# `False`.

# %%
predict("11.2", ...)


# %%
def log_probs(text):
    """Return the log-probability of each token that may follow a list of ids, (V,)."""
    return loss.log_softmax(model.logits(text)[-1].astype(float))


def follow(prompt, width, steps):
    """Return the tree of a beam search: for each step the candidates (score, text, kept), the best first."""
    beams, tree = [(0.0, prompt)], []
    for _ in range(steps):
        candidates = []
        for score, text in beams:
            after = log_probs(text)
            for id in np.argsort(-after)[: width + 2]:  # the picture shows `width` kept candidates and 2 dropped ones
                candidates.append((score + after[id], [*text, int(id)]))
        candidates.sort(key=lambda candidate: -candidate[0])
        beams = candidates[:width]
        tree.append([(score, text, place < width) for place, (score, text) in enumerate(candidates[: width + 2])])
    return tree


width, steps = 3, 4
beginnings = ["Once upon a time there was a", "The wolf came to the door and said", "One day the queen said to her",
              "The king had three sons, and the eldest", "In the middle of the forest there was", "The old woman gave the boy a",
              "The princess looked out of the window and saw", "The prince rode through the wood until he"]  # fmt: skip
for beginning in beginnings:  # the first one at which greedy and beam search differ
    prompt = tokenizer.encode(beginning)
    tree, one = follow(prompt, width, steps), follow(prompt, 1, steps)
    (best_score, best, _), (greedy_score, greedy, _) = tree[-1][0], one[-1][0]
    if best_score > greedy_score + 0.05:
        break

assert best_score > greedy_score + 0.05
# The package finds the same. (eos_token_id=[] means: no token ends the text.)
assert best == model.generate(prompt, num_beams=width, max_new_tokens=steps, eos_token_id=[])
assert greedy == model.generate(prompt, max_new_tokens=steps, eos_token_id=[])

# %%
reveal("11.2", bool(best_score > greedy_score))

# %% [markdown]
# ## The real checkpoint: beams as a tree
#
# Each column is one step. The blue boxes are kept, the hatched ones are the best of those that were dropped. Each box has its newest token and the
# log-probability of its whole new text; from the second step on, the token before it is written in front of it, so that equal tokens can be told apart.
# The thick line leads to the best text.

# %% tags=["figure"]
figure, axes = figures.new(8.4, 4.8)
figures.blank(axes, steps + 0.9, width + 2)
spots = {tuple(prompt): (0.35, (width + 2) / 2)}
way = [best[: len(prompt) + n] for n in range(steps + 1)]
figures.box(
    axes, *spots[tuple(prompt)], 0.6, 0.7, figures.visible(tokenizer.token_string(prompt[-1])), figures.PALE_GREY, size=10
)
for step, column in enumerate(tree):
    for place, (score, beam, kept) in enumerate(column):
        spot = spots[tuple(beam)] = (step + 1.38, width + 1.5 - place)
        x, y = spots[tuple(beam[:-1])]
        bold = beam in way
        half = 0.3 if step == 0 else 0.39
        axes.plot([x + half, spot[0] - 0.39], [y, spot[1]], color="black" if kept else figures.GREY, linewidth=3 if bold else 1,
                  linestyle="-" if kept else ":", zorder=0)  # fmt: skip
        colour, hatch = (figures.PALE_BLUE, "") if kept else ("white", "///")
        figures.box(axes, *spot, 0.78, 0.72, "", colour, hatch=hatch)
        newest = figures.visible(tokenizer.token_string(beam[-1]))
        earlier = figures.visible(tokenizer.token_string(beam[-2])).strip("␣") if step else ""
        label = f"{earlier}{newest}\n{score:.2f}"
        axes.text(
            *spot, label, ha="center", va="center", fontsize=10, bbox={"facecolor": colour, "edgecolor": "none", "pad": 1}
        )
winner, loser = (tokenizer.decode(found[len(prompt) :]) for found in (best, greedy))
figures.show(
    figure,
    f"Beam search with {width} beams after “{beginning}”: {steps} steps. The best text “{winner}” has the log-probability {best_score:.2f}. Greedy writes "
    f"“{loser}” with {greedy_score:.2f}.",
)

# %% [markdown]
# Greedy wrote "{{loser}}", with a log-probability of {{greedy_score:.2f}}. Beam search found "{{winner}}" with {{best_score:.2f}}: this text is
# {{math.exp(best_score - greedy_score):.1f}} times as likely. A token that is not the best one now may lead to better ones later.
#
# Is a likely text a good text? For a translation often yes. For a tale no: always taking what is likely easily ends in a loop, as you saw in notebook 10. There,
# drawing is better.
#
# In the exercise some texts have ended already: their last id is the end token. They are complete, so they stay as they are, and they compete
# with the others.


# %% exercise="beam_step"
@check
def beam_step(texts, scores, probabilities, end):
    """One step of beam search. texts: B lists of ids, the beams. scores: the log-probability of each. Row b of
    probabilities, (B, V): the probability of each token after text b. Candidates: a text that ends with the id
    `end`, as it is, with its score; any other text with each of the V tokens behind it. Return the B most likely
    candidates of all, the best first: only the texts, a list of lists.
    """
    ...


# %%
# hint("beam_step")
# solution("beam_step")

# %% [markdown]
# ## Guess ahead: drafts
#
# One run of the model can read several tokens at once, and row t of the logits says what follows token t. So one run can *check* several guessed tokens. Such a
# guess is called a **draft**. Drafts come from something cheap: a smaller model, or the text itself. If the last two tokens occurred earlier in the text, we guess
# that the same tokens follow as before. This is called **prompt lookup**.
#
# Then one run reads the text with all drafts. Row by row, we compare the draft with the token that the model itself would have written, here the likeliest one:
#
# - If they are equal, the draft is accepted.
# - At the first difference we stop. The model's own token takes the place of the wrong draft. All later drafts are dropped, because they
#   continue a text that is not ours.
# - If all drafts are accepted, the last row gives one more token.
#
# The whole method is called **speculative decoding**. The text is the same as without drafts. Only the number of runs is smaller.
#
# **Predict:** there are 5 drafts. The first 3 are right, the fourth is wrong. How many tokens does this run write? Write a whole number.

# %%
predict("11.3", ...)

# %%
reveal("11.3", 3 + 1)  # three drafts, and the model's own token in the place of the fourth

# %% [markdown]
# These three rules are the next exercise.


# %% exercise="accept_drafts"
@check
def accept_drafts(drafts, logits):
    """Return the tokens that one run of the model writes, a list of ids. drafts: K guessed tokens. logits, (K + 1, V):
    row i says what follows the text and the first i drafts. A draft is accepted if it is the likeliest token of its
    row. At the first draft that is not, write the likeliest token of its row and stop. If all K are accepted, also
    write the likeliest token of the last row.
    """
    ...


# %%
# hint("accept_drafts")
# solution("accept_drafts")

# %% [markdown]
# The slow loop, with a cache. `look_up` is prompt lookup. After each run, the cache must forget the slots of the drafts that were dropped: `crop` does this.


# %%
def look_up(ids, number=5, match=2):
    """Return the tokens that followed the last earlier occurrence of the last two tokens, at most `number`."""
    for place in range(len(ids) - match - 1, -1, -1):  # from the end
        if ids[place : place + match] == ids[-match:]:
            return ids[place + match :][:number]
    return []


def write_with_drafts(prompt, number):
    """Return the text and a list with (accepted, own token, dropped) of each run."""
    ids, cache, runs = list(prompt), model.new_cache(), []
    while len(ids) < len(prompt) + number:
        drafts = look_up(ids)
        fed = ids[cache.length :] + drafts
        rows = model.logits(fed, cache=cache, logits_to_keep=len(drafts) + 1)  # (drafts + 1, V)
        accepted = 0
        while accepted < len(drafts) and drafts[accepted] == rows[accepted].argmax():
            accepted += 1
        own = int(rows[accepted].argmax())
        ids = ids + drafts[:accepted] + [own]
        cache.crop(len(ids) - 1)  # the model's own token has not been read yet
        runs.append((drafts[:accepted], own, drafts[accepted:]))
    return ids[: len(prompt) + number], runs


number, tried = 60, []
for beginning in beginnings:
    prompt = tokenizer.encode(beginning)
    found, runs = write_with_drafts(prompt, number)
    assert found == model.generate(prompt, max_new_tokens=number, eos_token_id=[])  # greedy, without drafts
    tried.append((len(runs), beginning, found, runs))
mixed = [one for one in tried if any(run[0] for run in one[3]) and any(run[2] for run in one[3])]
count, beginning, found, runs = min(mixed)  # of those with accepted and dropped drafts, the text with the fewest runs
counts = sorted(one[0] for one in tried)
written = sum(len(run[0]) + 1 for run in runs)
rest = "The last run wrote more than was needed." if written > number else "Exactly these were needed."

all_accepted, all_dropped = (sum(len(run[part]) for run in runs) for part in (0, 2))
assert count < number and all_accepted > 0 and all_dropped > 0

# %% tags=["figure"]
figure, axes = figures.new(8.4, 5.6)
windows = [runs[i : i + 6] for i in range(max(1, len(runs) - 5))]
with_both = [i for i, six in enumerate(windows) if any(run[0] for run in six) and any(run[2] for run in six)]
begin = max(with_both or range(len(windows)), key=lambda i: (sum(bool(run[0] + run[2]) for run in windows[i]), -i))
shown = runs[begin : begin + 6]
figures.blank(axes, 7.85, 2.3 * len(shown))
for i, (accepted, own, dropped) in enumerate(shown):
    top = 2.3 * (len(shown) - i) - 0.6
    axes.text(0.1, top - 0.5, f"run {begin + i + 1}", va="center")
    drafted = [(id, figures.PALE_BLUE, "") for id in accepted] + [(id, "white", "////") for id in dropped]
    wrote = [(id, figures.PALE_BLUE, "") for id in accepted] + [(own, figures.PALE_GREEN, "..")]
    for y, name, kinds in ((top, "drafts", drafted), (top - 1, "written", wrote)):
        axes.text(1.65, y, name if kinds else "no drafts", ha="right", va="center", fontsize=10)
        for j, (id, colour, hatch) in enumerate(kinds):
            x = 2.25 + j
            figures.box(axes, x, y, 0.94, 0.84, "", colour, hatch=hatch)
            axes.text(x, y, f" {figures.visible(tokenizer.token_string(id))} ", ha="center", va="center", fontsize=9.5, weight="bold",
                      bbox={"facecolor": colour, "edgecolor": "none", "pad": 1})  # fmt: skip
axes.set_title("plain: accepted drafts   hatched: dropped drafts   dotted: the model's own token")
axes.title.set_fontsize(11)
figures.show(
    figure,
    f"Runs {begin + 1} to {begin + len(shown)} of {count} runs that write {number} tokens after “{beginning}”: the drafts of each run, and below them what the run writes. "
    f"In all runs {all_accepted} drafts were accepted and {all_dropped} dropped: {number / count:.1f} tokens for each run.",
)

# %% [markdown]
# {{number}} tokens in {{count}} runs: {{number / count:.1f}} tokens for each run. ({{all_accepted}} accepted drafts and
# {{count}} tokens of the model's own make {{written}}. {{rest}} The picture has only some of the runs. A run without drafts
# writes one token, as usual.) The more a text repeats itself, the more drafts are right. So the bad case of notebook 10, a
# loop, is the best case here. Of the {{len(beginnings)}} beginnings we show one that needs few runs. The middle one needed
# {{counts[len(counts) // 2]}} runs, and the worst one {{counts[-1]}}.
#
# Is it faster? A run with at most 5 drafts costs more than a run with one token. On large models it costs only a little more: most of the time goes into
# fetching the parameters from memory, and that happens once for each run, however many tokens it reads. So for a large model, fewer runs mean less time. For a
# small one it depends on the text.
#
# With sampling, drafts are checked by chance: each draft is accepted with such a probability that, in the end, every text is exactly as likely as
# without drafts. The package does that too.

# %% [markdown]
# ## Break it: a cache that forgets
#
# Here are three common mistakes with a cache. The model reads the first half of some unseen tales correctly, all at once.
# Then it reads the second half token by token, with a mistake, and we measure the mean surprise there.
#
# - *Position 0*: each new token is embedded at position 0, because it is the first one of its run.
# - *Slot overwritten*: the key and value of each new token are written over those of the token before it.
# - *New keys only*: the query of the new token meets only its own key.

# %%
batch = measure.windows(model, number=8, length=64)
half = batch.shape[1] // 2


def read_with_cache(position="right", slot="new", seen="all"):
    """Return the mean surprise of the tokens of the second half, read token by token, with switches for mistakes."""
    keys, values = kept_of_first_half()  # for each layer a list with the rows of each slot, (B, H, 1, D)
    surprises = []
    for t in range(half, batch.shape[1] - 1):
        x = params.wte.weight[batch[:, [t]]] + params.wpe.weight[t if position == "right" else 0]  # (B, 1, C)
        for layer in range(L):
            query, key, value = query_key_value(x, layer)
            if slot == "overwritten" and t > half:
                keys[layer].pop()
                values[layer].pop()
            keys[layer].append(key)
            values[layer].append(value)
            visible = 1 if seen == "new" else config.window(layer) or len(keys[layer])  # a local layer sees its window
            x = rest_of_block(x, layer, query, keys[layer][-visible:], values[layer][-visible:])
        surprises.append(loss.cross_entropy(measure.logit_lens(model, x[:, 0]), batch[:, t + 1]))
    return float(np.mean(surprises))


# %% tags=["helpers"]
# The three helpers of the cell above: what every layer does, as in notebooks 06 and 09. You need not read it.
def kept_of_first_half():
    """Return the keys and the values of the first half, read all at once: for each layer a list with an array for each slot."""
    run = {}
    model.logits(batch[:, :half], hook=run.__setitem__)
    return [[list(np.split(run[f"h.{layer}.attn.{part}"], half, axis=2)) for layer in range(L)] for part in "kv"]


def query_key_value(x, layer):
    """Return the query, key and value of one new token of each text in one layer, (B, H, 1, D) each."""
    p = params.h[layer]
    a = p.attn.attention
    normed = forward.layer_norm(x, p.ln_1.weight, p.ln_1.bias, config.layer_norm_epsilon)
    return [forward.split_heads(normed @ w.weight.T, config.num_heads) for w in (a.q_proj, a.k_proj, a.v_proj)]


def rest_of_block(x, layer, query, keys, values):
    """Return the stream after a block: attention to these keys and values, and the MLP."""
    p = params.h[layer]
    keys, values = np.concatenate(keys, axis=2), np.concatenate(values, axis=2)  # (B, H, S, D)
    z = forward.merge_heads(forward.softmax(query @ keys.swapaxes(-1, -2)) @ values)
    x = x + forward.linear(z, p.attn.attention.out_proj.weight, p.attn.attention.out_proj.bias)
    normed = forward.layer_norm(x, p.ln_2.weight, p.ln_2.bias, config.layer_norm_epsilon)
    return x + forward.mlp(normed, p.mlp, config.activation_function)


# %%
surprise = {
    "right": read_with_cache(),
    "position 0": read_with_cache(position="0"),
    "slot overwritten": read_with_cache(slot="overwritten"),
    "new keys only": read_with_cache(seen="new"),
}
whole = loss.cross_entropy(model.logits(batch)[:, half:-1], batch[:, half + 1 :]).mean()
assert abs(surprise["right"] - whole) < 1e-3  # the same as the whole text at once

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.6)
wrong = list(surprise)[1:]
figures.bars(axes, list(surprise), list(surprise.values()), xlabel="mean surprise in nats", marked=wrong)
values = "; ".join(f"{name} {value:.2f}" for name, value in surprise.items())
figures.show(
    figure,
    f"Mean surprise in nats on the second half of {len(batch)} pieces of unseen tales, read token by token with a cache: {values}. Knowing nothing gives "
    f"{math.log(config.vocab_size):.2f}.",
)
assert min(surprise[name] for name in wrong) > surprise["right"] + 0.02

# %% [markdown]
# With the right cache the surprise is {{surprise["right"]:.2f}} nats, as without a cache. The largest damage comes from
# *{{max(wrong, key=surprise.get)}}*, with {{max(surprise.values()):.2f}} nats. None of these mistakes raises an error. And the first token after the prompt
# is always right, because the prompt was read correctly in one go: the damage shows only from the second one on. So the test for every cache is: token by token must give the
# same logits as all at once.
#
# ## The same in the package
#
# `append` belongs to the class `KVCache`: `self` is the cache, and `self.length` is the number of slots that are filled.

# %%
show_source(
    KVCache.append,
    notes={
        "stop = self.length + k.shape[2]": "The new slots begin where the filled ones end.",
        "return self.k[layer, :, :, :stop]": "The query of the new token meets all keys, old and new.",
    },
)
show_source(
    beam_search.continuations,
    notes={
        "beam.score + process_logits(": "The score of the text so far, plus the log-probabilities of the new token.",
        "np.divmod(chosen, model.config.vocab_size)": "All candidates lie in one long row: which beam, and which token?",
    },
)
show_source(
    speculative.speculative_loop,
    notes={
        "zip(rows, [*draft, None])": "One row more than there are drafts.",
        "token != drafted.id": "At the first difference, stop. The model's own token has been written already.",
        "cache.crop(cache.length - len(draft) + accepted)": "Forget the slots of the drafts that were dropped.",
    },
)

# %% [markdown]
# ## Three sentences to remember
#
# 1. The past does not change, so keys and values are computed once and kept in the cache.
# 2. Beam search follows several texts and compares all their continuations by the sum of log-probabilities.
# 3. One run can check several drafts; at the first wrong one the model's own token takes its place, so the text stays the same.
#
# ## Two questions to recall
#
# 1. From notebook 10: why do removed tokens get the logit -inf and not 0?
# 2. From notebook 07: in a local layer, which slots of the cache does a new token need?
#
# <details><summary>Answers</summary>
#
# 1. exp(0) is 1, so a token with the logit 0 can still be drawn; exp(-inf) is 0.
# 2. Only the last W, its own included: the window.
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [10 Sampling](10_sampling.ipynb). On: [12 The loss](12_loss.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [cache.py](../neo_np/gpt_neo/cache.py), [beam_search.py](../neo_np/generate/beam_search.py) and
# [speculative.py](../neo_np/generate/speculative.py).
