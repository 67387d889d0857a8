"""What the functions of notebook 15 show in the shipped model: the numbers of the sentences, measured by hooks."""

import re

import numpy as np

from neo_np.evaluate.heads import ordinary_ids
from neo_np.exercises import effects_inside as effects
from neo_np.exercises import nb15_inside as answers
from neo_np.exercises.effects_loss import sample_ids
from neo_np.gpt_neo.loss import cross_entropy, log_softmax


def numbers(text):
    """Return all numbers of a sentence."""
    return [float(x) for x in re.findall(r"\d+(?:\.\d+)?", text)]


def test_copied_by_names_the_head_with_the_highest_score(tales):
    head, layer, length, score = numbers(effects.copied_by(answers.induction_score))
    copy = np.random.default_rng(0).choice(ordinary_ids(tales), effects.LENGTH)
    best = max(
        (np.mean([weights[q, q - effects.LENGTH + 1] for q in range(effects.LENGTH, 2 * effects.LENGTH)]), i, h)
        for i, maps in enumerate(tales.attentions([*copy, *copy]))
        for h, weights in enumerate(maps)
    )
    assert (score, layer, head, length) == (round(float(best[0]), 2), *best[1:], effects.LENGTH)


def test_ablated_by_gives_the_surprise_without_the_head_that_matters_most(tales):
    head, layer, surprise, whole = numbers(effects.ablated_by(answers.ablate_head))
    ids, surprises = sample_ids(), []
    for h in range(tales.config.num_heads):

        def without(name, array, h=h):
            if name == "h.0.attn.z":
                return np.where(np.arange(array.shape[1])[:, None, None] == h, 0, array)
            return None

        surprises.append(cross_entropy(tales.logits(ids[:-1], hook=without), ids[1:]).mean())
    assert (head, layer) == (np.argmax(surprises), 0)
    assert surprise == round(max(surprises), 2)
    assert whole == round(float(cross_entropy(tales.logits(ids[:-1]), ids[1:]).mean()), 2)


def test_patched_by_gives_the_probability_of_a_run_patched_by_a_hook(tales):
    before, after, layer, patched = numbers(effects.patched_by(answers.patch))
    encode, seen = tales.tokenizer.encode, {}
    clean = [*encode(effects.KING), *encode(effects.REST)]
    position = len(encode(effects.KING)) - 1
    corrupted = clean.copy()
    corrupted[position] = encode(effects.OTHER_WORD)[-1]
    place = f"h.{int(layer)}"

    def patch(name, array):
        if name == place:
            array = array.copy()
            array[0, position] = seen[place][0, position]
            return array
        return None

    def probabilities(ids, hook=None):
        return np.exp(log_softmax(tales.logits(ids, hook=hook)[-1]))

    id = probabilities(clean, seen.__setitem__).argmax()
    expected = [probabilities(clean)[id], probabilities(corrupted)[id], probabilities(corrupted, patch)[id]]
    assert [before, after, patched] == [round(float(p), 2) for p in expected]
