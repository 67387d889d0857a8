"""The adapter for lm-evaluation-harness, without it: a stand-in for its base class, and requests as it makes them.

tests/parity/test_evaluate_parity.py runs the adapter inside the real program.
"""

import subprocess
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from helpers import byte_model

from neo_np import NeoError
from neo_np.evaluate.harness import harness_model
from neo_np.evaluate.text import evaluate_text


class LM:
    """A stand-in for `lm_eval.api.model.LM`; what it lacks is not needed here."""


@pytest.fixture(autouse=True)
def lm_eval(monkeypatch):
    module = ModuleType("lm_eval.api.model")
    module.LM = LM
    for name in ("lm_eval", "lm_eval.api", "lm_eval.api.model"):
        monkeypatch.setitem(sys.modules, name, module)


def requests(*arguments):
    return [SimpleNamespace(args=args) for args in arguments]


def slow_log_likelihood(model, ids, scored):
    """Return (log-likelihood, greedy) of the last `scored` ids, token by token."""
    total, greedy = 0.0, True
    for t in range(len(ids) - scored, len(ids)):
        logits = model.logits(ids[:t])[-1].astype(float)
        total += logits[ids[t]] - np.log(np.exp(logits).sum())
        greedy = greedy and logits.argmax() == ids[t]
    return total, greedy


def test_loglikelihood_equals_single_tokens(tales):
    encode = tales.tokenizer.encode
    likeliest = tales.generate(encode("Once upon a"), max_new_tokens=1)[-1]
    pairs = [
        ("Once upon a", " wheelbarrow"),
        ("Once upon a", tales.tokenizer.decode([likeliest])),
        ("Once upon a ", "king"),
        ("", "The king"),
    ]
    whole = [encode("Once upon a wheelbarrow"), [*encode("Once upon a"), likeliest], encode("Once upon a king")]
    rows = [(ids, len(ids) - len(encode("Once upon a"))) for ids in whole] + [([0, *encode("The king")], 2)]
    expected = [slow_log_likelihood(tales, *row) for row in rows]
    adapter = harness_model(tales, batch_size=3)
    found = adapter.loglikelihood(requests(*pairs))
    assert isinstance(adapter, LM)
    np.testing.assert_allclose([score for score, _ in found], [score for score, _ in expected], rtol=1e-5, atol=2e-6)
    assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
    assert found[1][1] and not found[0][1]


def test_loglikelihood_rolling_equals_evaluate_text(tales):
    texts = ["Once upon a time " * 100, "", "The king said nothing."]
    found = harness_model(tales).loglikelihood_rolling(requests(*((text,) for text in texts)))
    for text, score in zip(texts, found):
        if text:
            alone = evaluate_text(tales, [text], stride=tales.config.max_position_embeddings)
            assert score == pytest.approx(-alone["loss"] * alone["tokens"], rel=1e-6)
        else:
            assert score == 0


def test_generate_until_cuts_at_the_stop_texts(tales):
    def until(context, **options):
        return harness_model(tales).generate_until(requests((context, options)))[0]

    prompt = "Once upon a time there was"
    written = tales.generate(prompt, max_new_tokens=30)[len(prompt) :]
    first, second = written.split()[3], written.split()[5]
    assert until(prompt, max_gen_toks=30) == until(prompt, max_new_tokens=30, do_sample=False, temperature=0.0) == written
    assert until(prompt, max_gen_toks=30, until="no such text") == until(prompt, max_gen_toks=30, until=[""]) == written
    assert until(prompt, max_gen_toks=30, until=first) == written[: written.index(first)]
    assert until(prompt, max_gen_toks=30, until=[second, first]) == written[: written.index(first)]
    inside = [written[5:8], written[4:8]]  # the second begins first, but the text is cut in this order
    assert until(prompt, max_gen_toks=30, until=inside) == written[: written.index(inside[0])]
    assert until(prompt, max_gen_toks=30, until=inside[::-1]) == written[: written.index(inside[1])]
    assert until(prompt, max_gen_toks=30, until=[prompt[-12:] + written[:3]]) == written  # it begins in the context
    breaks = "The king said:\n\n"
    after = tales.generate(breaks, max_new_tokens=30)[len(breaks) :]
    assert until(breaks, max_gen_toks=30, until=["\n\n"]) == after.split("\n\n")[0]
    assert until(prompt, max_gen_toks=30, do_sample=False, temperature=0.8) == written
    plain = {"do_sample": True, "seed": 3, "max_new_tokens": 9}
    assert until(prompt, **plain) == tales.generate(prompt, temperature=1.0, **plain)[len(prompt) :]
    sampled = {"do_sample": True, "temperature": 0.8, "top_k": 5, "seed": 3, "max_new_tokens": 9}
    assert until(prompt, **sampled) == tales.generate(prompt, **sampled)[len(prompt) :]
    assert until(prompt, temperature=0.8, top_k=5, seed=3, max_gen_toks=9) == until(prompt, **sampled)
    long = prompt * tales.config.max_position_embeddings
    room = tales.tokenizer.encode(long)[30 - tales.config.max_position_embeddings :]  # 30 positions are to be written
    assert until(long, max_gen_toks=30) == tales.tokenizer.decode(tales.generate(room, max_new_tokens=30)[len(room) :])
    assert until("", max_gen_toks=9) == tales.generate("", max_new_tokens=9)


def test_generate_until_leaves_out_special_tokens(tales, monkeypatch):
    king = tales.tokenizer.encode(" king")
    monkeypatch.setattr(type(tales), "generate", lambda self, ids, **options: [*ids, *king, tales.config.eos_token_id])
    assert harness_model(tales).generate_until(requests(("x", {"max_gen_toks": 9}))) == [" king"]


def test_generate_until_refuses_impossible_options():
    adapter = harness_model(byte_model(max_position_embeddings=256))
    request = requests(("x", {"until": ["."], "temperature": 0.0}))
    options = dict(request[0].args[1])
    with pytest.raises(NeoError, match="the task wants 256 new tokens, and the model has 256 positions"):
        adapter.generate_until(request)
    assert request[0].args[1] == options  # the harness's own dict is left as it was
    with pytest.raises(NeoError, match="nonsense"):
        adapter.generate_until(requests(("x", {"max_gen_toks": 3, "nonsense": 1})))
    with pytest.raises(NeoError, match="max_new_tokens is 0"):
        adapter.generate_until(requests(("x", {"max_gen_toks": 0})))


def test_loglikelihood_rolling_without_a_begin_token_is_refused():
    model = byte_model(bos_token_id=None, eos_token_id=None)
    with pytest.raises(NeoError, match="no bos_token_id to begin with"):
        harness_model(model).loglikelihood_rolling(requests(("x",)))


def test_harness_model_without_lm_eval_is_refused(monkeypatch, tales):
    monkeypatch.setitem(sys.modules, "lm_eval.api.model", None)
    with pytest.raises(NeoError, match="lm_eval is not installed: pip install lm_eval"):
        harness_model(tales)


def test_import_of_the_adapter_does_not_import_lm_eval():
    code = "import sys, neo_np.evaluate.harness; print('lm_eval' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
