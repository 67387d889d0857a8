"""The choices of a run, replayed: against generation itself and against slow, obvious computations."""

import numpy as np
import pytest
from explain_helpers import hostile_model
from helpers import random_model, word_model

from neo_np import NeoError
from neo_np.explain import explain
from neo_np.explain.choices import column_names, process_in_stages
from neo_np.explain.run import SAMPLING
from neo_np.generate import command
from neo_np.generate.logits_processors import make_logits_processors
from neo_np.generate.options import Options

OPTIONS = [
    {"temperature": 0.7, "top_k": 8, "top_p": 0.9},
    {"repetition_penalty": 1.4, "no_repeat_ngram_size": 2, "min_p": 0.05},
    {"typical_p": 0.8, "min_new_tokens": 4, "bad_words_ids": [[3], [5, 6]]},
    {"suppress_tokens": [7, 8, 9], "forced_eos_token_id": 11, "epsilon_cutoff": 0.002, "renormalize_logits": True},
    {"do_sample": False},
    {"do_sample": False, "repetition_penalty": 1.5, "no_repeat_ngram_size": 1},
]


@pytest.fixture(params=["words", "random", "float64", "untied", "padded"])
def model(request):
    if request.param == "words":
        return word_model()
    if request.param == "padded":
        return hostile_model()
    changes = {"float64": {"dtype": np.float64}, "untied": {"tie_word_embeddings": False}}.get(request.param, {})
    return random_model(seed=5, std=0.3, **changes)


@pytest.mark.parametrize(
    "options", [{"seed": seed} | options for options in OPTIONS[:4] for seed in (0, 1)] + OPTIONS[4:], ids=str
)
def test_replayed_choices_are_those_of_generate(model, options):
    prompt = [4, 9, 2]
    sampling = {"do_sample": True} if "seed" in options else {}
    run = explain(model, prompt, max_new_tokens=12, ablate=False, **sampling | options)
    expected = model.generate(prompt, max_new_tokens=12, **(SAMPLING if sampling else {}) | options | sampling)
    assert run.data["ids"].tolist() == expected
    assert run.data["choice.token"].tolist() == expected[len(prompt) :]
    assert len(run.data["choice.token"]) > 0
    if sampling:
        data = run.data
        rng = np.random.default_rng([options["seed"], 0])
        for step in range(len(data["choice.token"])):
            uniform = rng.random()
            assert data["choice.uniform"][step] == uniform
            assert data["choice.low"][step] <= uniform < data["choice.high"][step]
            [column] = np.flatnonzero(data["choice.shown"][step] == data["choice.token"][step])
            width = data["choice.high"][step] - data["choice.low"][step]
            assert width == pytest.approx(data["choice.probabilities"][step][-1, column], abs=1e-6)


def test_columns_show_what_each_processor_keeps(tales):
    run = explain(tales, "Once upon a time", max_new_tokens=6, ablate=False, temperature=0.7, top_k=20, top_p=0.8)
    data = run.data
    assert data["columns"] == ["model", "temperature 0.7", "top_k 20", "top_p 0.8"]
    assert (data["choice.counts"][:, :2] == tales.config.vocab_size).all()
    assert (data["choice.counts"][:, 2] == 20).all()
    assert (data["choice.masses"][:, :2] == pytest.approx(1, abs=1e-5)) and (data["choice.masses"][:, 3] >= 0.8 - 1e-6).all()
    for step, (shown, kept, p) in enumerate(zip(data["choice.shown"], data["choice.kept"], data["choice.probabilities"])):
        logits = tales.logits(data["ids"][: data["prompt_length"] + step])[-1].astype(float)
        model = np.exp(logits) / np.exp(logits).sum()
        cooled = np.exp(logits / 0.7) / np.exp(logits / 0.7).sum()
        top = np.sort(cooled)[-20:]
        assert p[0] == pytest.approx(model[shown], rel=1e-4)
        assert p[1] == pytest.approx(cooled[shown], rel=1e-4)
        assert data["choice.masses"][step, 2] == pytest.approx(top.sum(), rel=1e-4)
        assert (kept[2] == (cooled[shown] >= top[0] * (1 - 1e-6))).all()
        nucleus = [
            q for i, q in enumerate(sorted(top / top.sum(), reverse=True)) if sum(sorted(top / top.sum())[::-1][:i]) < 0.8
        ]
        assert data["choice.counts"][step, 3] == len(nucleus)
        assert data["choice.probability"][step] == pytest.approx(model[data["choice.token"][step]], rel=1e-4)
        assert data["choice.rank"][step] == 1 + (model > model[data["choice.token"][step]]).sum()


@pytest.mark.parametrize(
    "options", [{"top_k": 1}, {"top_p": 0.05}, {"temperature": 0.01}, {"top_k": 3}, {"forced_eos_token_id": 11}]
)
def test_shown_tokens_are_the_likeliest_or_can_be_chosen(tales, options):
    """No token fills up the rows: among tokens with the probability 0, none is likelier than another."""
    data = explain(tales, "Once upon a time", max_new_tokens=8, ablate=False, eos_token_id=[], **options).data
    for step, shown in enumerate(data["choice.shown"]):
        logits = tales.logits(data["ids"][: data["prompt_length"] + step])[-1]
        likeliest = np.argsort(-logits)[: len(shown)]
        others = [id for id in shown if id not in likeliest]
        last = data["choice.probabilities"][step][-1]
        assert all(last[list(shown).index(id)] > 0 for id in others)
        assert len(shown) == len(set(shown)) == 12


def test_greedy_margin_is_the_distance_to_the_second_logit(tales):
    run = explain(tales, "Once upon a time", max_new_tokens=5, ablate=False, do_sample=False)
    for step, margin in enumerate(run.data["choice.margin"]):
        logits = tales.logits(run.data["ids"][: run.data["prompt_length"] + step])[-1]
        second, first = np.sort(logits)[-2:]
        assert margin == pytest.approx(first - second, abs=1e-4)
        assert logits[run.data["choice.runner_up"][step]] == pytest.approx(second, abs=1e-4)


def test_padded_ids_are_removed_in_the_first_column():
    model = hostile_model(padding=7)
    run = explain(model, [1, 2], max_new_tokens=4, eos_token_id=[])
    assert run.data["columns"][:2] == ["model", "ids without a token"]
    assert (run.data["choice.counts"][:, 1] == model.config.vocab_size - 7).all()
    assert not np.isin(run.data["candidates"], run.data["without_text"]).any()
    assert not np.isin(run.data["neighbours"], run.data["without_text"]).any()


@pytest.mark.parametrize("options", OPTIONS[:3], ids=str)
def test_given_continuation_says_what_the_processors_would_have_done(tales, options):
    text = " there was a little zebra"
    run = explain(tales, "Once upon a time", text, ablate=False, **options)
    data = run.data
    ids = tales.tokenizer.encode("Once upon a time")
    assert data["ids"].tolist() == ids + tales.tokenizer.encode(text)
    assert data["mode"] == "given" and np.isnan(data["choice.uniform"]).all()
    settings = Options(do_sample=True, eos_token_id=0, **SAMPLING | options)
    shortest = len(ids) + options.get("min_new_tokens", 0)
    processors = make_logits_processors(settings, ids, shortest, 99)
    logits = tales.logits(data["ids"])
    for step, token in enumerate(data["choice.token"]):
        position = len(ids) + step
        scores = logits[position - 1]
        for processor in processors:
            scores = processor(scores, data["ids"][:position].tolist())
        assert data["choice.removed"][step] == (scores[token] == -np.inf)
        assert data["choice.rank"][step] == 1 + (logits[position - 1] > logits[position - 1][token]).sum()
    assert data["choice.removed"].any()


def test_continuation_may_be_ids_or_empty(tales):
    given = explain(tales, "Once", [5, 6, 7], ablate=False)
    assert given.data["ids"].tolist()[-3:] == [5, 6, 7]
    nothing = explain(tales, "Once upon a time", "")
    assert len(nothing.data["choice.token"]) == 0
    assert "No token was chosen" in nothing.html()


def test_processor_that_forgets_its_work_is_refused(tales):
    calls = []

    def moody(logits, ids):
        calls.append(1)
        logits[len(calls) % 50] += 100
        return logits

    with pytest.raises(NeoError, match="another result for the same logits"):
        explain(tales, "Once", max_new_tokens=3, ablate=False, logits_processor=[moody])


def test_processor_of_the_users_own_has_a_column(tales):
    def only_the_first_hundred(logits, ids):
        logits[100:] = -np.inf
        return logits

    run = explain(tales, "Once", max_new_tokens=3, ablate=False, logits_processor=[only_the_first_hundred], do_sample=False)
    assert run.data["columns"] == ["model", "only_the_first_hundred"]
    assert (run.data["choice.counts"][:, 1] == 100).all()


def test_column_names_say_the_numbers():
    options = Options(
        do_sample=True, temperature=0.5, top_k=9, repetition_penalty=1.2, bad_words_ids=[[1]], eos_token_id=0, min_p=0.1
    )
    assert column_names(make_logits_processors(options, [1], 7, 9, [3]), [3]) == [
        "model",
        "ids without a token",
        "repetition_penalty 1.2",
        "bad_words",
        "min_length 7",
        "temperature 0.5",
        "top_k 9",
        "min_p 0.1",
    ]


def test_stages_end_with_the_scores_of_generation(tales):
    processors = make_logits_processors(Options(do_sample=True, **SAMPLING), [1, 2, 3], 0, 9)
    logits = tales.logits([1, 2, 3])[-1]
    stages = process_in_stages(logits, [1, 2, 3], processors)
    assert (stages[0] == logits).all() and len(stages) == len(processors) + 1


def test_defaults_are_those_of_the_command():
    assert SAMPLING == {name: value for name, value in command.DEFAULTS.items() if name in SAMPLING}
    assert set(command.DEFAULTS) == {*SAMPLING, "default_new_tokens"}
