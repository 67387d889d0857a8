"""What heads look at: the scores against slow loops, patterns made by hand, and a model whose heads are known."""

import math

import numpy as np
import pytest
from evaluate_helpers import END, ROOMY, TOKENIZER, small_model, token_log_probability

from neo_np import Config, Model, NeoError, Params
from neo_np.evaluate.heads import (
    distance_looked_back,
    evaluate_heads,
    first_token_attention,
    induction_score,
    previous_token_score,
)
from neo_np.gpt_neo.params import random_params

SCORES = "previous_token", "induction", "first_token", "distance"
WINDOW = 5


def random_weights(heads, size, seed=0):
    """Return attention weights (H, S, S): each query gives random weights, 1 together, to itself and the tokens before it."""
    weights = np.tril(np.random.default_rng(seed).random((heads, size, size)))
    return weights / weights.sum(axis=-1, keepdims=True)


def pattern(size, look_at):
    """Return attention weights (1, S, S) of a head that gives all its weight to the token at look_at(place)."""
    weights = np.zeros((1, size, size))
    for place in range(size):
        weights[0, place, max(0, look_at(place))] = 1
    return weights


def slow_scores(weights, length):
    """Return the four scores of one head from its weights (S, S), by loops over tokens."""
    size = len(weights)
    previous = [weights[q][q - 1] for q in range(1, size)]
    induction = []
    for q in range(size - length, size):  # the tokens of the second copy
        first_occurrence = q - length
        induction.append(weights[q][first_occurrence + 1])
    first = [weights[q][0] for q in range(1, size)]
    distance = [sum(weights[q][k] * (q - k) for k in range(q + 1)) for q in range(1, size)]
    return [sum(numbers) / len(numbers) for numbers in (previous, induction, first, distance)]


@pytest.mark.parametrize(("size", "length"), [(129, 64), (128, 64), (31, 15), (5, 2), (4, 2)])
def test_scores_of_random_weights_equal_slow_loops(size, length):
    weights = random_weights(3, size)
    found = [
        previous_token_score(weights),
        induction_score(weights, length),
        first_token_attention(weights),
        distance_looked_back(weights),
    ]
    expected = [slow_scores(head, length) for head in weights]
    np.testing.assert_allclose(np.transpose(found), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("look_at", "expected"),
    [
        (lambda place: place - 1, (1, 0, 1 / 20, 1)),
        (lambda place: place - 9, (0, 1, 9 / 20, (sum(range(1, 9)) + 9 * 12) / 20)),  # 10 tokens repeated: 9 places before
        (lambda place: 0, (1 / 20, 0, 1, sum(range(1, 21)) / 20)),
        (lambda place: place, (0, 0, 0, 0)),
    ],
    ids=["previous token", "induction", "first token", "itself"],
)
def test_scores_of_patterns_made_by_hand(look_at, expected):
    weights = pattern(21, look_at)
    found = previous_token_score(weights), induction_score(weights, 10), first_token_attention(weights)
    previous, induction, first = (score.item() for score in found)
    if expected[1] == 1:
        assert previous == 1 / 20  # the second token looks at the first, for want of others
    else:
        assert previous == pytest.approx(expected[0])
    assert induction == expected[1]
    assert first == pytest.approx(expected[2])
    assert distance_looked_back(weights).item() == pytest.approx(expected[3])


def copying_model(shifts, positions=129, vocab_size=50):
    """Return a model with one head in each layer: the head of layer i gives all its weight to the token shifts[i] before.

    The channels are the place of a token, the token, and the token that comes next. A head compares places, moves the token
    that it finds into the channels of the next token, and the output embedding reads these.
    """
    P, V = positions, vocab_size
    C = P + 2 * V
    config = Config(
        vocab_size=V,
        hidden_size=C,
        num_layers=len(shifts),
        num_heads=1,
        max_position_embeddings=P,
        attention_layers=["global"] * len(shifts),
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
        intermediate_size=1,
    )
    named = {name: np.zeros_like(array) for name, array in random_params(config).flat().items()}
    places, tokens, following = np.arange(P), np.arange(P, P + V), np.arange(P + V, C)
    named["wpe.weight"][places, places] = 1
    named["wte.weight"][np.arange(V), tokens] = 1
    named["lm_head.weight"][np.arange(V), following] = 100
    for name, array in named.items():
        if ".ln_" in f".{name}" and name.endswith("weight"):
            array[:] = 1
    for layer, shift in enumerate(shifts):
        at = f"h.{layer}.attn.attention"
        named[f"{at}.q_proj.weight"][places[: P - shift], places[shift:]] = 10
        named[f"{at}.k_proj.weight"][places, places] = 10
        if layer == len(shifts) - 1:
            named[f"{at}.v_proj.weight"][tokens, tokens] = 1
            named[f"{at}.out_proj.weight"][following, tokens] = 1
    return Model(config, Params(named))


def test_evaluate_heads_of_a_model_that_copies():
    """Layer 0 looks at the token before. Layer 1 looks at the token after the first occurrence and writes it."""
    found = evaluate_heads(copying_model([1, 63]))
    assert (found["sequences"], found["length"], found["seed"]) == (20, 64, 0)
    previous, induction = found["heads"]
    assert (previous["layer"], previous["head"], previous["attention"]) == (0, 0, "global")
    assert (previous["previous_token"], previous["induction"], previous["distance"]) == (1, 0, 1)
    assert previous["first_token"] == pytest.approx(1 / 128)  # only the second token looks at it
    assert (induction["layer"], induction["induction"]) == (1, 1)
    assert induction["previous_token"] < 0.1
    assert found["second_copy_loss"] < 0.01 and found["first_copy_loss"] > 3


@pytest.mark.parametrize("changes", [{}, {"bos_token_id": None, "eos_token_id": None}, {"tokenizer": None}], ids=str)
def test_evaluate_heads_equals_slow_loops(changes, monkeypatch):
    """The sequences are recorded on their way to the model; their weights come from a hook, their losses from logits."""
    model = small_model(std=0.3, num_layers=2, attention_layers=["global", "local"], window_size=WINDOW, **changes)
    sequences, original = [], Model.attentions
    monkeypatch.setattr(Model, "attentions", lambda self, ids: sequences.append(ids) or original(self, ids))
    with pytest.warns(UserWarning, match="only 32 positions: a copy has 15 tokens, not 64"):
        found = evaluate_heads(model, seed=3)
    begin = 0 if "bos_token_id" in changes else 1
    assert len(sequences) == found["sequences"] == 20 and found["length"] == 15 and found["seed"] == 3
    scores, first, second = np.zeros((2, 3, 4)), [], []
    for ids in sequences:
        assert len(ids) == begin + 30 and [END] * begin == ids[:begin].tolist()
        assert np.array_equal(ids[begin : begin + 15], ids[begin + 15 :]) and END not in ids[begin:]
        seen = {}
        model.logits(ids, hook=seen.__setitem__)
        for layer, head in np.ndindex(2, 3):
            scores[layer, head] += np.array(slow_scores(seen[f"h.{layer}.attn.weights"][0, head], 15)) / 20
        nats = [-token_log_probability(model, ids[:t], ids[t]) for t in range(1, len(ids))]
        first += nats[:-15]
        second += nats[-15:]
    for head in found["heads"]:
        assert [head[name] for name in SCORES] == pytest.approx(scores[head["layer"], head["head"]], rel=1e-9)
        assert head["attention"] == ["global", "local"][head["layer"]]
        assert head["attention"] == "global" or head["distance"] < WINDOW
    assert [(head["layer"], head["head"]) for head in found["heads"]] == list(np.ndindex(2, 3))
    assert found["first_copy_loss"] == pytest.approx(np.mean(first), rel=1e-9)
    assert found["second_copy_loss"] == pytest.approx(np.mean(second), rel=1e-9)


def test_evaluate_heads_draws_uniformly_from_ordinary_tokens(tales, monkeypatch):
    sequences = []
    weights = np.zeros((tales.config.num_layers, tales.config.num_heads, 129, 129))
    monkeypatch.setattr(Model, "attentions", lambda self, ids: sequences.append(ids) or weights)
    evaluate_heads(tales)
    assert all(len(ids) == 129 and ids[0] == tales.config.bos_token_id for ids in sequences)
    drawn, count = np.concatenate([ids[1:65] for ids in sequences]), len(tales.tokenizer)
    assert not set(drawn) & set(tales.tokenizer.special_tokens.values())
    assert abs(drawn.mean() - count / 2) < 5 * count / math.sqrt(12 * len(drawn))  # five standard deviations
    assert drawn.min() < 0.02 * count and drawn.max() > 0.98 * count


def test_evaluate_heads_depends_only_on_the_seed():
    assert evaluate_heads(ROOMY) == evaluate_heads(ROOMY, seed=0) != evaluate_heads(ROOMY, seed=1)


def test_evaluate_heads_reports_progress():
    calls = []
    evaluate_heads(ROOMY, progress=lambda *call: calls.append(call))
    assert calls == [(count, 20) for count in range(1, 21)]


def test_evaluate_heads_leaves_out_ids_without_a_token(monkeypatch):
    """A vocabulary with more rows than the tokenizer has tokens: the other rows are no tokens."""
    model, sequences = small_model(vocab_size=600), []
    original = Model.attentions
    monkeypatch.setattr(Model, "attentions", lambda self, ids: sequences.append(ids) or original(self, ids))
    with pytest.warns(UserWarning, match="a copy has 15 tokens"):
        evaluate_heads(model)
    assert max(map(max, sequences)) < len(TOKENIZER)


@pytest.mark.parametrize("positions", [1, 4])
def test_evaluate_heads_with_too_few_positions_is_refused(positions):
    with pytest.raises(NeoError, match=f"has {positions} positions, and the shortest sequence has 5 tokens"):
        evaluate_heads(small_model(max_position_embeddings=positions))


def test_evaluate_heads_of_untrained_heads_are_near_uniform():
    """Weights near 0 give equal attention: the scores are then sums of 1 / n, known in advance."""
    model = small_model(std=1e-4, max_position_embeddings=200, num_layers=1, attention_layers=["global"])
    found = evaluate_heads(model)
    uniform = np.tril(np.ones((129, 129))) / np.arange(1, 130)[:, None]
    for head in found["heads"]:
        assert [head[name] for name in SCORES] == pytest.approx(slow_scores(uniform, 64), rel=1e-3)
    assert found["first_copy_loss"] == pytest.approx(math.log(model.config.vocab_size), rel=1e-3)
