"""The three answers to "why this token", each against the model itself."""

import numpy as np
import pytest
from explain_helpers import CHANGES, make, of_text
from helpers import in_float64

from neo_np.explain.attribution import (
    ablate_heads,
    centered_logit,
    contributions_by_source,
    direct_contributions,
    embedding_gradients,
    gradient_times_embedding,
    part_names,
    strongest_neurons,
)
from neo_np.gpt_neo.loss import log_softmax

FLOAT64 = [name for name in CHANGES if name.startswith("float64")]


@pytest.fixture(params=[*CHANGES, "tales"])
def run(request):
    if request.param == "tales":
        model = in_float64(request.getfixturevalue("tales"))
        return model, of_text(model, "Once upon a time there was a boy")
    return make(request.param)


def rounding(trace):
    """Return how far numbers near 1 may be from the definition in the precision of the run."""
    return 1e-5 if trace.logits.dtype == np.float32 else 1e-10


def assert_adds_up(trace, parts, total):
    """Hold the sum of the parts within rounding: a small share of the sum of their sizes."""
    assert (np.abs(parts.sum(axis=-1) - total) <= rounding(trace) * np.abs(parts).sum(axis=-1)).all()


def test_direct_contributions_add_up_to_the_centered_logit(run):
    model, trace = run
    for tokens in trace.candidates.T:
        parts = direct_contributions(trace, tokens)
        assert parts.shape == (len(trace.ids), len(part_names(model.config)))
        logits = model.logits(trace.ids)
        assert_adds_up(trace, parts, np.array([row[token] - row.mean(dtype=float) for row, token in zip(logits, tokens)]))


def test_direct_contribution_of_a_head_is_what_removing_its_output_from_the_stream_changes(run):
    """With the scale of the last layer norm frozen, removing a head's output from the stream lowers m by its contribution."""
    model, trace = run
    config, params, (q, head, layer) = model.config, model.params, (len(trace.ids) - 2, model.config.num_heads - 1, 0)
    token = trace.candidates[q, 0]
    size = config.head_size
    columns = params.h[layer].attn.attention.out_proj.weight[:, head * size : (head + 1) * size].astype(float)
    x = trace.seen[f"h.{config.num_layers - 1}"][q].astype(float)
    scale = np.sqrt(x.var() + config.layer_norm_epsilon)
    head_output = columns @ trace.seen[f"h.{layer}.attn.z"][head, q]
    W = getattr(params, "lm_head", params.wte).weight.astype(float)

    def m(stream):
        logits = W @ ((stream - stream.mean()) / scale * params.ln_f.weight + params.ln_f.bias)
        return logits[token] - logits.mean()

    found = direct_contributions(trace, trace.candidates[:, 0])[q, part_names(config).index(f"layer {layer} head {head}")]
    assert found == pytest.approx(m(x) - m(x - head_output), rel=1e-5, abs=1e-6)


def test_contributions_by_source_add_up_to_those_of_the_heads(run):
    model, trace = run
    names = part_names(model.config)
    for tokens in trace.candidates.T:
        by_source, parts = contributions_by_source(trace, tokens), direct_contributions(trace, tokens)
        assert not np.triu(by_source, 1).any()
        for layer in range(model.config.num_layers):
            for head in range(model.config.num_heads):
                assert_adds_up(trace, by_source[layer, head], parts[:, names.index(f"layer {layer} head {head}")])


def test_neurons_add_up_to_the_mlp(run):
    """With F <= 8 all neurons are among the strongest; else each is checked by hand."""
    model, trace = run
    found, names = strongest_neurons(trace), part_names(model.config)
    direct = [direct_contributions(trace, tokens) for tokens in trace.candidates.T]
    for layer, p in enumerate(model.params.h):
        post = trace.seen[f"h.{layer}.mlp.post"]
        for q in (0, len(trace.ids) - 1):
            assert sorted(-np.abs(post[q]))[:8] == pytest.approx(-np.abs(found["activation"][layer, q]))
            assert found["above_0"][layer, q] == pytest.approx(sum(value > 0 for value in post[q]) / len(post[q]))
        # Without the last neuron the MLP's contribution falls by what that neuron adds.
        q, neuron = 1, found["index"][layer, 1, 0]
        x, out = trace.seen[f"h.{model.config.num_layers - 1}"][q].astype(float), p.mlp.c_proj.weight[:, neuron].astype(float)
        scale = np.sqrt(x.var() + model.config.layer_norm_epsilon)
        W = getattr(model.params, "lm_head", model.params.wte).weight.astype(float)
        change = W @ ((out - out.mean()) / scale * model.params.ln_f.weight) * post[q, neuron]
        for candidate in (0, 1):
            expected = change[trace.candidates[q, candidate]] - change.mean()
            assert found["adds"][layer, q, 0, candidate] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert names[-1] == "final layer norm bias" and len(direct[0].T) == len(names)


@pytest.mark.parametrize("name", FLOAT64)
def test_gradient_equals_central_differences(name):
    model, trace = make(name)
    positions = [3, len(trace.ids) - 1]
    found, step = embedding_gradients(trace, positions), 1e-5

    def m(embedding, position):
        logits = model.logits(trace.ids, hook=lambda name, array: embedding[None] if name == "embed" else None)[position]
        return logits[trace.candidates[position, 0]] - logits.mean()

    for gradient, position in zip(found, positions):
        expected = np.zeros_like(gradient)
        for index in np.ndindex(gradient.shape):
            change = np.zeros_like(gradient)
            change[index] = step
            up, down = m(trace.seen["embed"] + change, position), m(trace.seen["embed"] - change, position)
            expected[index] = (up - down) / (2 * step)
        assert np.abs(gradient - expected).max() <= 1e-6 * np.abs(expected).max()


def test_gradient_times_embedding_equals_the_gradients_one_by_one(run):
    _, trace = run
    positions = list(range(len(trace.ids)))
    found = gradient_times_embedding(trace, positions)
    for position in positions:
        [gradient] = embedding_gradients(trace, [position])
        expected = (gradient * trace.seen["embed"][: position + 1]).sum(axis=-1)
        assert np.abs(found[position, : position + 1] - expected).max() <= 1e-4 * np.abs(expected).max() + 1e-7
        assert not found[position, position + 1 :].any()


def test_ablation_equals_a_full_run_without_the_head(run):
    model, trace = run
    found, tokens = ablate_heads(trace), trace.candidates[:, 0]
    rows, before = np.arange(len(tokens)), model.logits(trace.ids)
    for layer in range(model.config.num_layers):
        for head in range(model.config.num_heads):

            def silence(name, z, layer=layer, head=head):
                if name == f"h.{layer}.attn.z":
                    z[:, head] = 0

            after = model.logits(trace.ids, hook=silence)
            expected = (log_softmax(after) - log_softmax(before))[rows, tokens]
            assert np.abs(found["log_prob"][layer, head] - expected).max() <= rounding(trace)
            expected = (after - after.mean(axis=-1, keepdims=True) - before + before.mean(axis=-1, keepdims=True))[rows, tokens]
            assert np.abs(found["m"][layer, head] - expected).max() <= rounding(trace)


def test_centered_logit_ignores_what_all_logits_share():
    logits = np.random.default_rng(0).standard_normal((4, 9))
    tokens = np.array([0, 3, 8, 1])
    assert centered_logit(logits + 5, tokens) == pytest.approx(centered_logit(logits, tokens))
