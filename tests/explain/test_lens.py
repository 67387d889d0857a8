"""The logit lens, the residual stream, neighbours and patterns, each against a slow, obvious computation."""

import numpy as np
import pytest
from explain_helpers import CHANGES, make, of_text

from neo_np.explain.lens import lens_logits, logit_lens, top_tokens
from neo_np.explain.patterns import attention_patterns
from neo_np.explain.residual import embedding_norms, nearest_tokens, residual_stream
from neo_np.explain.trace import find_candidates, record, stream_names

TINY = np.finfo(float).tiny  # in place of 0, of which there is no log


@pytest.fixture(params=[*CHANGES, "tales"])
def run(request):
    if request.param == "tales":
        model = request.getfixturevalue("tales")
        return model, of_text(model)
    return make(request.param)


def test_last_row_of_the_lens_is_the_model_bit_for_bit(run):
    model, trace = run
    last = trace.seen[stream_names(model.config)[-1]]
    assert (lens_logits(last, model.params, model.config) == model.logits(trace.ids, hook=lambda name, array: None)).all()
    plain = model.logits(trace.ids, fast=False)
    found = lens_logits(last, model.params, model.config)
    assert np.abs(found - plain).max() <= 1e-4 * (plain.max() - plain.min())


def test_lens_equals_the_model_cut_short(run):
    """Each station's numbers equal those of a model whose other parts add nothing."""
    model, trace = run
    found, final = logit_lens(trace), softmax(model.logits(trace.ids))
    for row, name in enumerate(stream_names(model.config)):
        station = trace.seen[name]
        skip = f"h.{model.config.num_layers - 1}"
        logits = model.logits(trace.ids, hook=lambda name, x, s=station, skip=skip: s[None] if name == skip else None)
        p = softmax(logits)
        for q in range(len(trace.ids)):
            came = trace.candidates[q, 0]
            assert found["probability"][row, q] == pytest.approx(p[q, found["top"][row, q]], rel=1e-4)
            assert p[q, found["top"][row, q]] >= p[q].max() * (1 - 1e-5)
            # Tokens whose probability is equal up to rounding may stand before or behind it.
            before, beside = ((p[q] > p[q, came] * (1 + sign * 1e-5)).sum() for sign in (1, -1))
            assert 1 + before <= found["rank"][row, q] <= beside
            assert found["came"][row, q] == pytest.approx(p[q, came], rel=1e-3, abs=1e-12)
            assert found["entropy"][row, q] == pytest.approx(-(p[q] * np.log(np.maximum(p[q], TINY))).sum(), rel=1e-3, abs=1e-4)
            kl = (p[q] * (np.log(np.maximum(p[q], TINY)) - np.log(np.maximum(final[q], TINY)))).sum()
            assert found["kl"][row, q] == pytest.approx(kl, rel=1e-3, abs=1e-4)


def softmax(logits):
    e = np.exp(logits.astype(float) - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_top_tokens_are_sorted_with_their_probabilities(run):
    model, trace = run
    ids, probabilities = top_tokens(trace.logits, 10)
    p = softmax(model.logits(trace.ids))
    for q in range(len(trace.ids)):
        assert probabilities[q] == pytest.approx(sorted(p[q], reverse=True)[:10], rel=1e-4)
        assert probabilities[q] == pytest.approx(p[q, ids[q]], rel=1e-4)


def test_candidates_are_the_token_that_follows_and_the_likeliest_other():
    logits = np.array([[0.0, 3.0, 2.0, 9.0], [5.0, 1.0, 4.0, 9.0]])
    assert find_candidates([2, 1], logits).tolist() == [[1, 3], [3, 0]]
    assert find_candidates([2, 1], logits, without_token=[3]).tolist() == [[1, 2], [0, 2]]


def test_trace_cut_short_is_the_trace_of_the_shorter_text(run):
    model, trace = run
    shorter = record(model, trace.ids[:5].tolist())
    for name, array in trace.until(5).items():
        assert array.shape == shorter.seen[name].shape, name
        assert np.abs(array - shorter.seen[name]).max() < 1e-4, name


def test_residual_stream_has_the_lengths_of_the_recorded_vectors(run):
    model, trace = run
    found = residual_stream(trace)
    parts = ["embed", *(f"h.{i}.{part}" for i in range(model.config.num_layers) for part in ("attn.out", "mlp.out"))]
    for row, (part, name) in enumerate(zip(parts, stream_names(model.config))):
        for q in range(len(trace.ids)):
            x, last = trace.seen[name][q].astype(float), trace.seen[f"h.{model.config.num_layers - 1}"][q].astype(float)
            assert found["norm"][row, q] == pytest.approx(np.sqrt(sum(x * x)), rel=1e-5)
            assert found["update"][row, q] == pytest.approx(np.linalg.norm(trace.seen[part][q]), rel=1e-3)
            assert found["cosine"][row, q] == pytest.approx(x @ last / np.sqrt(sum(x * x) * sum(last * last)), abs=1e-5)
    norms = embedding_norms(trace)
    assert norms[0, 2] == pytest.approx(np.linalg.norm(model.params.wte.weight[trace.ids[2]]), rel=1e-5)
    assert norms[1, 2] == pytest.approx(np.linalg.norm(model.params.wpe.weight[2]), rel=1e-5)


def test_nearest_tokens_have_the_largest_cosines_and_a_text(run):
    model, trace = run
    wte, banned = model.params.wte.weight.astype(float), [0, 7]
    ids, cosines = nearest_tokens(model.params, trace.ids, banned)
    for q, id in enumerate(trace.ids):
        expected = {
            other: wte[id] @ wte[other] / np.linalg.norm(wte[id]) / np.linalg.norm(wte[other])
            for other in range(len(wte))
            if other != id and other not in banned
        }
        assert cosines[q] == pytest.approx(sorted(expected.values(), reverse=True)[:5], abs=1e-5)
        assert [expected[other] for other in ids[q]] == pytest.approx(cosines[q], abs=1e-5)


def test_attention_patterns_equal_a_slow_loop(run):
    _, trace = run
    ids = np.array([5, 6, 5, 6, 5, 7, 7, 5][: len(trace.ids)])
    attention = trace.attention[:, :, : len(ids), : len(ids)]
    found = attention_patterns(attention, ids)
    for layer, heads in enumerate(attention):
        for head, weights in enumerate(heads):
            late = range(2, len(ids))
            after = [[k for k in range(1, q) if ids[k - 1] == ids[q]] for q in range(len(ids))]
            expected = [
                np.mean([weights[q, q] for q in late]),
                np.mean([weights[q, q - 1] for q in late]),
                np.mean([weights[q, 0] for q in late]),
                np.mean([sum(weights[q, k] for k in keys) for q, keys in enumerate(after) if keys]),
            ]
            assert found[layer, head] == pytest.approx(expected, abs=1e-6)
