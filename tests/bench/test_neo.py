"""What neo_np does in each benchmark."""

import numpy as np
import pytest

import neo_np
from neo_np.bench.backends import neo
from neo_np.bench.job import Job
from neo_np.gpt_neo import fast


@pytest.fixture
def calls(monkeypatch):
    """Make every measurement two calls of one second each; return the (ids.shape, tokens in the cache before) of all calls."""
    calls, logits = [], neo_np.Model.logits

    def spy(self, ids, *rest, cache=None, **more):
        calls.append((np.shape(ids), cache.length if cache else 0))
        return logits(self, ids, *rest, cache=cache, **more)

    monkeypatch.setattr(neo_np.Model, "logits", spy)
    monkeypatch.setattr(neo, "seconds_per_call", lambda function, seconds: (function(), function(), 1.0)[2])
    return calls


def test_prefill_reads_the_prompt_once_in_a_call(tiny, calls):
    assert neo.prefill(Job(str(tiny)))(8) == 8.0
    assert calls == [((1, 8), 0)] * 2


def test_decode_reads_token_after_token_from_the_same_context(tiny, calls):
    run = neo.decode(Job(str(tiny)))
    steps = [((8, 1), length) for length in range(24, 32)]
    assert run([8, 24]) == 8 * 8
    assert calls == [((8, 24), 0), *steps, *steps]
    calls.clear()
    assert run([8, 24]) == 8 * 8
    assert calls == [*steps, *steps]  # the context is in the cache


def test_growth_measures_models_with_layers_of_one_kind(tiny, calls, monkeypatch):
    run, windows, attention = neo.growth(Job(str(tiny))), [], fast.inference.attention
    monkeypatch.setattr(
        fast.inference, "attention", lambda q, k, v, window, *rest: windows.append(window) or attention(q, k, v, window, *rest)
    )
    assert run(["decode", "local", 16]) == 1000 / 16
    assert set(windows) == {4}
    assert run(["prefill", "local", 16]) == 1000
    assert set(windows) == {4}
    windows.clear()
    run(["decode", "global", 8])
    assert set(windows) == {None}
    calls.clear()
    run(["decode", "global", 16])
    assert calls[:2] == [((1, 1), 16), ((1, 1), 17)]  # what is in the cache is not read again


def test_speculative_writes_the_given_text_with_drafts_and_plain_without(tiny, monkeypatch):
    written, job = [], Job(str(tiny), 0.0, str(tiny.parent / "text.txt"))
    finished = neo.finished_sequences

    def spy(model, prompts, options):
        sequences = finished(model, prompts, options)
        written.append((options.prompt_lookup_num_tokens, sequences[0].ids))
        return sequences

    monkeypatch.setattr(neo, "finished_sequences", spy)
    ids = neo_np.load(tiny).tokenizer.encode((tiny.parent / "text.txt").read_text(encoding="utf-8"))
    prompt, total = 8, 32
    for backend, draft_tokens in ((neo.speculative, 8), (neo.plain, None)):
        run = backend(job)
        for repeats, text in ((True, ids[:prompt] * 4), (False, ids)):
            written.clear()
            result = run(repeats)
            assert all(call == (draft_tokens, text[:total]) for call in written)
            assert result["accepted"] == (0 if draft_tokens is None else pytest.approx(result["accepted"]))
    run = neo.speculative(job)
    assert run(True)["accepted"] > run(False)["accepted"]


def test_only_leaves_one_token_to_choose():
    assert neo.only(np.array([1.0, 2.0, 3.0]), 1).tolist() == [-np.inf, 0.0, -np.inf]
