# %% [markdown]
# # 02 Tokens
#
# **Question: why doesn't the model read letters?**
#
# About {{minutes}} minutes (an estimate). You need notebook 00. The exercises use no arrays, only lists and dicts.
#
# A model could read letter by letter. Then every text would have very many tokens, and one token would say very little
# about the text. It could read word by word. Then the vocabulary would be huge, and a word that it has never seen would
# have no id. **Byte-pair encoding** takes the middle way: frequent pieces become tokens, and everything else is put
# together from smaller pieces.

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
from collections import Counter

import figures
import measure
import numpy as np

import neo_np
from neo_np.exercises import check, hint, predict, progress, reveal, show_source, solution
from neo_np.gpt_neo import loss
from neo_np.tokenizer import byte_alphabet, learn
from neo_np.tokenizer import merge as merge_module

model = neo_np.load()
tokenizer = model.tokenizer

# %% [markdown]
# ## How a word is cut
#
# The tokenizer starts with the single letters of a word (with its bytes, as you will soon see). It has a list of
# **merges**: pairs of pieces that may be joined. The list has the order in which they were learnt. Again and again, it
# looks for the pair of neighbours that comes first in this list, and joins it, until no pair of neighbours is in the list.
# Here is one word, step by step, from top to bottom:

# %%
word = " princesses"
steps = tokenizer.watch(word)  # for each step: the rule of the merge, and the tokens after it

# %% tags=["figure"]
figure, axes = figures.new(8, 0.5 * len(steps) + 0.4)
figures.blank(axes, len(word) + 5.5, len(steps))
for row, (rule, tokens) in enumerate(steps):
    place, y = 0, len(steps) - row - 1
    for token in tokens:
        new = rule is not None and token == rule["left"] + rule["right"]
        face, hatch = (figures.PALE_ORANGE, "") if new else (figures.PALE_BLUE, "")
        line = 2.2 if new else 0.9
        axes.add_patch(
            figures.Rectangle(
                (place + 0.04, y + 0.12), len(token) - 0.08, 0.76, facecolor=face, edgecolor="black", linewidth=line
            )
        )
        axes.text(place + len(token) / 2, y + 0.5, figures.visible(token), ha="center", va="center")
        place += len(token)
    text = (
        "letters"
        if rule is None
        else f"merge {rule['rank']}: {figures.visible(rule['left'])} + {figures.visible(rule['right'])}"
    )
    axes.text(place + 0.3, y + 0.5, text, va="center", fontsize=10)
last = ", ".join(f"“{token}”" for token in steps[-1][1])
figures.show(
    figure,
    f"The merges of “{word}”: from {len(steps[0][1])} letters to {len(steps[-1][1])} token{'s' * (len(steps[-1][1]) > 1)} in {len(steps) - 1} "
    f"steps; the new piece of each step has a thick border. The first merge has the number {steps[1][0]['rank']}, the result is {last}.",
)

# %% [markdown]
# The number of a merge is its place in the list, also called its **rank**. A low rank means: learnt early, because the pair is
# frequent.
#
# **Predict:** into how many tokens is " Rumpelstiltskin" cut, the rare name from a tale? Write a number.

# %%
predict("02.1", ...)

# %%
pieces = tokenizer.token_strings(tokenizer.encode(" Rumpelstiltskin"))
reveal("02.1", len(pieces))

# %% [markdown]
# ## Bytes
#
# Unicode, the table of the characters of all scripts, has more than 150,000 of them. A tokenizer with an id for each one
# would need a huge table. So GPT-Neo begins with bytes. A **byte** is a number from 0 to 255. **UTF-8** is the usual way to
# write characters as bytes: English letters take one byte, é takes two, and most emojis take four. No character takes more
# than four. (Some emojis are several characters.)

# %%
for character in ["a", "é", "王", "🌙"]:
    print(character, list(character.encode("utf-8")))

# %% [markdown]
# 256 different bytes are enough to write every text of the world. No character is unknown.
#
# The list of merges is a text file, and some bytes, such as the space or the end of a line, cannot be seen in a
# file. So each byte is shown as one visible character, by a fixed table, the **byte alphabet**. The code of a character is its number
# in Unicode: `chr(97)` is "a". If the character with the code of a byte is visible, it is used for this byte: "a" for the byte 97. The
# other bytes get characters with codes from 256 on. The space (byte 32) becomes "Ġ".

# %%
print(byte_alphabet.spell(" the king"))

# %% [markdown]
# ## How the merges are learnt
#
# First a fixed pattern cuts the training text into **words**. Here, a word is a row of letters, of digits or of signs, with the space before
# it. No token crosses the border of a word.

# %%
print(tokenizer.pre_tokenize("The king's 12 sons, all of them, slept."))

# %% [markdown]
# Then the merges are learnt from the words and their counts. The rule is simple:
#
# 1. Count all pairs of neighbours, in all words.
# 2. Join the most frequent pair, everywhere. Put it at the end of the list of merges.
# 3. Repeat.
#
# Here is the slow loop, on {{len(measure.tales("train"))}} tales by the brothers Grimm. To join a pair is one of the exercises
# below, so here the package does it. (The tokenizer of our model has learnt from more text, so its list has another order.)

# %%
counts = Counter()  # a dict whose counts begin at 0
for tale in measure.tales("train"):
    counts.update(byte_alphabet.spell(word) for word in tokenizer.pre_tokenize(tale))

words = [(list(word), count) for word, count in counts.items()]  # each word as a list of letters, and its count
merges = []
for step in range(8):
    pairs = Counter()
    for tokens, count in words:
        for left, right in zip(tokens, tokens[1:]):
            pairs[left, right] += count
    best = max(pairs, key=pairs.get)
    merges.append(best)
    print(f"step {step}: {best[0]} + {best[1]}  ({pairs[best]} times)")
    words = [(merge_module.merge_pair(tokens, best, best[0] + best[1]), count) for tokens, count in words]

assert merges == learn.learn_merges_fast(counts, 8)  # the package's fast version finds the same

# %% [markdown]
# The tokenizer of our model learnt {{len(tokenizer.merges)}} merges in this way, from much more text. With 256 bytes
# and {{len(tokenizer.special_tokens)}} special token, this makes {{len(tokenizer)}} tokens. The special token `<|endoftext|>` marks the
# border of two tales.
#
# ## Exercises: count, merge, encode
#
# These three functions are the heart of a tokenizer. Their tokens are pieces of text and not ids, so they can be tested with any
# letters. In the first one, `words` is a dict, and not a list as in the loop above.


# %% exercise="count_pairs"
@check
def count_pairs(words):
    """Count how often each pair of neighbouring tokens occurs. words is {tuple of tokens: how often the word occurs};
    the result is {(left, right): count}, such as {("l", "o"): 7}. No pair reaches from one word into the next.
    """
    counts = {}
    for tokens, times in words.items():
        for pair in zip(...):
            counts[pair] = counts.get(pair, 0) + ...
    return counts


# %%
# hint("count_pairs")
# solution("count_pairs")


# %% exercise="merge"
@check
def merge(tokens, pair):
    """Return a new list in which each pair of neighbours (left, right) of tokens is joined into one token left +
    right, from left to right. tokens is a list of str, pair is a tuple of two str.
    """
    ...


# %%
# hint("merge")
# solution("merge")


# %% exercise="encode_word"
@check
def encode_word(word, merges):
    """Cut a word into tokens. Begin with its characters. As long as some pair of neighbours is in the list merges,
    merge the pair that comes first in the list (it was learnt first). You may call merge(tokens, pair). Returns a
    list of str.
    """
    ...


# %%
# hint("encode_word")
# solution("encode_word")

# %% [markdown]
# ## From ids back to text
#
# To **decode** is to go back from ids to text. Each id stands for some bytes. There is one trap: a character may be cut into
# several tokens.

# %%
for id in tokenizer.encode("A café at night: 🌙"):
    print(f"{id:6}  {tokenizer.token_bytes(id)}")

# %% [markdown]
# The emoji became several tokens, and none of them is a character by itself. In Python, `b"..."` is a value of the type `bytes`; `\xf0`
# in it is one byte, the number 240, written in hexadecimal. `.decode("utf-8")` makes text of it. Bytes that are not valid UTF-8 are an error, or, with `errors="replace"`, they become the
# **replacement character** �:

# %%
half = "é".encode()[:1]  # the first of the two bytes of é
print(half, half.decode("utf-8", errors="replace"))

# %% [markdown]
# Just as `"".join(...)` makes one text of many, `b"".join(...)` makes one `bytes` of many.
#
# ## Exercise: decode


# %% exercise="decode"
@check
def decode(ids, token_bytes):
    """Return the text of token ids as a str. token_bytes is {id: bytes}. Some tokens are only a part of a character.
    Bytes that are no UTF-8 become the replacement character, as with errors="replace".
    """
    ...


# %%
# hint("decode")
# solution("decode")

# %% [markdown]
# ## Exercise: the byte alphabet (optional)
#
# This one takes some care and little thought. You may skip it. Above you saw the table at work: the space became "Ġ".


# %% exercise="byte_table"
@check
def byte_table():
    """Return {byte: character} for all 256 bytes. The printable bytes (33 to 126, 161 to 172, 174 to 255) are shown as
    the character with the same code. All others, in increasing order, get the characters with the codes 256, 257,
    258, and so on.
    """
    ...


# %%
# hint("byte_table")
# solution("byte_table")

# %% [markdown]
# ## The real checkpoint: bytes per token
#
# The more bytes a token holds on average, the fewer tokens the model must read. We compare four texts: the beginning of a tale in
# English, a number with many digits, a sentence in German, and five emojis.
#
# **Predict:** which of these four texts has the most bytes in each token? Write `"tale"`, `"number"`, `"German"` or `"emoji"`.

# %%
predict("02.2", ...)

# %%
texts = {
    "tale": measure.tales("valid")[0][:400],
    "number": "31415926535897932384626433832795",
    "German": "Es war einmal ein Müller, der hatte eine schöne Tochter.",
    "emoji": "🌙🐺👑🏰🌲",
}
bytes_per_token = {name: len(text.encode()) / len(tokenizer.encode(text)) for name, text in texts.items()}
reveal("02.2", max(bytes_per_token, key=bytes_per_token.get))

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.5)
figures.bars(axes, list(bytes_per_token), list(bytes_per_token.values()), xlabel="bytes per token")
shown = "; ".join(f"{name} {value:.2f}" for name, value in bytes_per_token.items())
figures.show(figure, f"Mean number of bytes in a token: {shown}. A token of an English tale holds the most.")
assert max(bytes_per_token, key=bytes_per_token.get) == "tale"

# %% [markdown]
# An English tale has {{bytes_per_token["tale"]:.2f}} bytes in each token, because the merges were learnt from such
# tales. The German sentence has {{bytes_per_token["German"]:.2f}}, and the number {{bytes_per_token["number"]:.2f}}. Time
# is spent for each token, and often money too. So the same text costs more in a language that the tokenizer has hardly seen.
#
# ## Break it: the same letters, other tokens
#
# The model has only ever seen words that were cut by its own merges in the right order. What if we cut the same text in another
# way? We cut a tale in three ways:
#
# - *right order*: always the merge with the lowest rank first.
# - *leftmost first*: join the first pair from the left that is in the list, whatever its rank.
# - *letters*: no merges at all, only single bytes.
#
# The texts have different numbers of tokens, so we compare the surprise for each *byte*.


# %%
def leftmost_first(word):
    """Cut a word with the model's merges, joining the leftmost pair that is in the list."""
    tokens = list(byte_alphabet.spell(word))
    known = set(tokenizer.merges)
    i = 0
    while i < len(tokens) - 1:
        if (tokens[i], tokens[i + 1]) in known:
            tokens[i : i + 2] = [tokens[i] + tokens[i + 1]]
            i = 0
        else:
            i += 1
    return [tokenizer.vocab[token] for token in tokens]


def letters(word):
    """Cut a word into its bytes."""
    return [tokenizer.vocab[character] for character in byte_alphabet.spell(word)]


text = measure.tales("valid")[0][:220]
ways = {"right order": tokenizer.encode, "leftmost first": leftmost_first, "letters": letters}
nats_per_byte, numbers = {}, {}
for name, cut in ways.items():
    ids = np.array([id for word in tokenizer.pre_tokenize(text) for id in cut(word)])
    assert tokenizer.decode(ids) == text  # each way gives the same text back
    surprises = loss.cross_entropy(model.logits(ids)[:-1], ids[1:])
    nats_per_byte[name], numbers[name] = surprises.sum() / len(text.encode()), len(ids)

# %% tags=["figure"]
figure, axes = figures.new(7.5, 2.2)
figures.bars(
    axes,
    list(ways),
    list(nats_per_byte.values()),
    xlabel="surprise in nats for each byte",
    marked=["leftmost first", "letters"],
)
shown = "; ".join(f"{name} {value:.2f} nats per byte ({numbers[name]} tokens)" for name, value in nats_per_byte.items())
figures.show(figure, f"The surprise of the same text, cut in three ways: {shown}.")
assert (
    nats_per_byte["right order"] < nats_per_byte["leftmost first"] and nats_per_byte["right order"] < nats_per_byte["letters"]
)

# %% [markdown]
# The text is the same to the last letter. With the right tokens the model has {{nats_per_byte["right order"]:.2f}} nats
# for each byte, with the leftmost pair first {{nats_per_byte["leftmost first"]:.2f}}, and with single letters
# {{nats_per_byte["letters"]:.2f}}. The model does not know letters: it knows tokens. This is one reason why language models
# count the letters of a word badly.
#
# ## The same in the package
#
# `merge_steps` is the loop of your `encode_word`, on ids:

# %%
show_source(
    merge_module.merge_steps,
    notes={
        "found := [": "The ranks of all pairs of neighbours that have a rule. The loop ends if there is none.",
        "rules[min(found)]": "The rule with the lowest rank: the pair, and the id that replaces it.",
        "merge_pair(ids, pair, merged_id)": "Your merge, on ids.",
        "yield pair, ids": "`yield` hands out this step, then the loop continues.",
    },
)

# %% [markdown]
# ## Three sentences to remember
#
# 1. A text is cut into words, words into bytes, and bytes are joined by merges, the lowest rank first.
# 2. Merges are learnt by joining the most frequent pair of neighbours again and again.
# 3. Join the bytes of all tokens before you read them as characters.
#
# ## Two questions to recall
#
# 1. From notebook 00: how is the surprise of a token computed?
# 2. From notebook 01: what are the shapes of `x.mean(axis=-1)` and `x.mean(axis=-1, keepdims=True)` for x of shape (5, 8)?
#
# <details><summary>Answers</summary>
#
# 1. -log p, where p is the probability that the model gave to the token that came.
# 2. (5,) and (5, 1).
#
# </details>

# %%
progress()

# %% [markdown]
# Back: [01 Arrays](01_arrays.ipynb). On: [03 Embeddings](03_embeddings.ipynb). All terms: [glossary](GLOSSARY.md). Source:
# [merge.py](../neo_np/tokenizer/merge.py), [learn.py](../neo_np/tokenizer/learn.py),
# [byte_alphabet.py](../neo_np/tokenizer/byte_alphabet.py).
