"""One sentence about what a student's function does in the shipped model."""

import itertools

import numpy as np

from neo_np.exercises import effects_generation, effects_inside, effects_loss, effects_training
from neo_np.exercises.calls import kept_apart, with_names
from neo_np.exercises.diagnosis import RIGHT
from neo_np.exercises.own_model import (
    NAMES,
    PROMPT,
    continue_text,
    drawing,
    functions_with,
    prompt_for,
    shipped_model,
    surprise,
)
from neo_np.exercises.prepared import given_functions
from neo_np.exercises.timeout import Overtime, within
from neo_np.tokenizer.byte_alphabet import spell, unspell

SECONDS, TOKENS = 3.0, 16
SAMPLE = (
    "Once upon a time there was a king who had a beautiful daughter. The princess loved the forest, and the forest loved her."
)


def effect_of(finding, function):
    """Return the sentence for a finding, or None if there is nothing to say or the shipped model cannot be loaded."""
    exercise = finding.exercise
    own = with_names(function, given_functions(exercise))
    try:
        shipped_model()
        with kept_apart():
            return sentence(finding, own)
    except Overtime:
        return (
            f"In the shipped model your function needed more than {SECONDS:.0f} seconds, so this try was stopped. A loop over "
            "numbers is slow there, and NumPy can do it in one step. On a busy computer, run the cell again."
        )
    except (Exception, KeyboardInterrupt):  # a wrong function may raise anything on larger inputs
        return None


def sentence(finding, own):
    """Return the sentence: a text or a result for a right answer, the change in surprise for a named mistake."""
    exercise = finding.exercise
    if finding.verdict == RIGHT:
        effect = exercise.effect or EFFECTS.get(exercise.name)
        if effect:
            return within(SECONDS, lambda: effect(own))
        return text_with(exercise.name, {exercise.name: own}) if exercise.name in NAMES else None
    if finding.mistakes and exercise.name in NAMES:
        return within(SECONDS, lambda: surprise_with({exercise.name: own}, len(finding.mistakes)))
    return None


def text_with(name, own, choose=None):
    """Return the sentence with the text that the model writes with these functions; tokens are drawn, or `choose` takes them.

    Beginning and seed depend on the exercise only.
    """
    written, prompt = [], prompt_for(name)
    try:
        within(SECONDS, lambda: continue_text(functions_with(own), prompt, TOKENS, written, choose or drawing(name)))
    except Overtime:
        if not written:
            raise
    tokenizer = shipped_model().tokenizer
    text = " ".join(tokenizer.decode(tokenizer.encode(prompt) + written).split())
    return f"With your {name} the shipped model writes: “{text} …”"


def surprise_with(own, mistakes):
    """Return the sentence about the surprise with and without these functions."""
    right, wrong = surprise(functions_with({})), surprise(functions_with(own))
    this = "this mistake" if mistakes == 1 else "these mistakes"
    if not np.isfinite(wrong):
        return f"With {this} the shipped model gives no numbers at all (nan)."
    if round(wrong, 2) == round(right, 2):
        return f"With {this} the shipped model hardly changes: one sentence surprises it by {right:.2f} nats per token."
    said = f"With {this} one sentence surprises the shipped model by {wrong:.2f} nats per token instead of {right:.2f}."
    return said if wrong > right else f"{said} One sentence is a small sample: on a longer text a mistake seldom helps."


# Exercises whose function is not a part of the model, or not one by itself.


def layer_norm_with(center_rows):
    """Return layer_norm written with the student's center_rows."""

    def layer_norm(x, weight, bias, eps):
        centered = center_rows(x)
        return centered / np.sqrt((centered**2).mean(axis=-1, keepdims=True) + eps) * weight + bias

    return layer_norm


def attend_with(pairwise_dots):
    """Return attend written with the student's pairwise_dots."""

    def attend(q, k, v, mask):
        scores = pairwise_dots(q, k) + mask
        e = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True) @ v

    return attend


def surprise_by(pick_targets):
    """Say the surprise of a sentence, picked by the student's function."""
    ids = shipped_model().tokenizer.encode(SAMPLE)
    logits = shipped_model().logits(ids)[:-1]
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    picked = pick_targets(e / e.sum(axis=-1, keepdims=True), np.array(ids[1:]))
    return f"Picked by your function: the words of one sentence have a mean surprise of {-np.log(picked).mean():.2f} nats."


def quoted(items):
    """Return texts in quotation marks, separated by commas."""
    return ", ".join(f"“{item}”" for item in items)


def spelled(byte_table):
    """Spell a word in the characters of the student's table."""
    table = byte_table()
    return "In the tables of the shipped model, “ été” is spelled " + quoted(["".join(table[b] for b in " été".encode())]) + "."


def pairs_counted(count_pairs):
    """Say which pairs of letters are the most frequent in a text."""
    words = SAMPLE.split()
    counts = count_pairs({tuple(word): words.count(word) for word in words})
    best = sorted(counts, key=lambda pair: (-counts[pair], pair))[:3]
    return (
        "In one sentence the most frequent pairs are " + ", ".join(f"{a} + {b} ({counts[a, b]} times)" for a, b in best) + "."
    )


def plain(tokens):
    """Return tokens of the tables as text."""
    return [unspell(token).decode("utf-8", "replace") for token in tokens]


def merged_by(merge):
    """Cut a word with the merges of the shipped tokenizer, each done by the student's function."""
    tokens = list(spell(" princesses"))
    for pair in shipped_model().tokenizer.merges:
        if pair in itertools.pairwise(tokens):
            tokens = merge(tokens, pair)
    return f"With your merge the shipped tokenizer cuts “ princesses” into {quoted(plain(tokens))}."


def encoded_by(encode_word):
    """Cut two words with the merges of the shipped tokenizer."""
    merges = shipped_model().tokenizer.merges
    return (
        "With your encode_word the shipped tokenizer cuts "
        + " and ".join(
            f"“{word}” into {quoted(plain(encode_word(spell(word), merges)))}" for word in (" princess", " Rumpelstiltskin")
        )
        + "."
    )


def decoded_by(decode):
    """Read the ids of a text."""
    tokenizer = shipped_model().tokenizer
    ids = tokenizer.encode("A café at night: 🌙")
    text = decode(ids, {id: tokenizer.token_bytes(id) for id in ids})
    return f"Your decode reads {len(ids)} ids of the shipped tokenizer as “{text}”."


def neighbours_by(nearest):
    """List the neighbours of a word."""
    model = shipped_model()
    king = model.tokenizer.encode(" king")[-1]
    best = nearest(king, model.params.wte.weight, 5)
    words = quoted(model.tokenizer.token_string(int(id)) for id in best)
    return f"In the shipped model, the nearest tokens to “ king” are {words}."


def reach_by(reach):
    """Say how far the local layers of the shipped model reach."""
    config = shipped_model().config
    local = [kind for kind in config.attention_layers if kind == "local"]
    far = reach(local, config.window_size, config.max_position_embeddings)
    return (
        f"The {len(local)} local layers of the shipped model (window {config.window_size}) would reach {far} tokens by "
        "themselves; its global layers reach all."
    )


def lens_by(logit_lens):
    """Say what the shipped model would say after each layer."""
    model = shipped_model()
    streams = model.hidden_states(model.tokenizer.encode(PROMPT))[:-1]
    best = [int(logit_lens(streams, i, model.params, model.config)[-1].argmax()) for i in range(len(streams) - 1)]
    said = quoted(model.tokenizer.token_string(id) for id in best)
    return f"After “{PROMPT}” the shipped model would say, layer by layer: {said}."


EFFECTS = {
    "next_token": lambda own: text_with("next_token", {}, own),
    "center_rows": lambda own: text_with("center_rows", {"layer_norm": layer_norm_with(own)}),
    "pairwise_dots": lambda own: text_with("pairwise_dots", {"attend": attend_with(own)}),
    "pick_targets": surprise_by,
    "byte_table": spelled,
    "count_pairs": pairs_counted,
    "merge": merged_by,
    "encode_word": encoded_by,
    "decode": decoded_by,
    "nearest": neighbours_by,
    "reach": reach_by,
    "logit_lens": lens_by,
    **effects_generation.EFFECTS,
    **effects_inside.EFFECTS,
    **effects_loss.EFFECTS,
    **effects_training.EFFECTS,
}
