"""`python -m neo_np.bench --against ...` runs the peers on the same work as ours."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tiktoken
import tokenizers as hugging_face
import torch
import transformers
from make_golden import random_model

import neo_np
from neo_np.bench import command, onnx, ours, peers, plot, rounds, tokenizers, training
from neo_np.bench.job import Job, growth_cases
from neo_np.bench.works import WORKS

SIZES = {"layers": 2, "hidden_size": 24, "heads": 3, "window_size": 4, "vocab_size": 50, "sequence_length": 32, "batch_size": 2}
TABLES = Path(neo_np.__file__).parent.parent / "weights"
TEXT = "It's 12 o'clock,  said the king -- naïve as a child… 好\n\n\tand   so on  " * 3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a tiny checkpoint with a tokenizer."""
    folder = tmp_path_factory.mktemp("bench") / "tiny"
    random_model(0, 0.1, vocab_size=2048).save_pretrained(folder)
    neo_np.Tokenizer.load(TABLES / "tales-2M").save(folder)
    return str(folder)


def run_json(capsys, *arguments):
    assert command.main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_transformers_is_measured_in_all_that_it_can_do(tiny, capsys, monkeypatch):
    monkeypatch.setattr(rounds, "best_threads", lambda side, case: 1 if side.name == "transformers" else None)
    found = run_json(capsys, "--model", tiny, "--against", "transformers", "--rounds", "1", "--seconds", "0.001")
    assert list(found["works"]) == ["start", "load", "prefill", "decode", "batch", "memory"]
    for work in found["works"].values():
        for sides in work["cases"].values():
            assert list(sides)[:2] == ["neo_np", "transformers"]
            mine, theirs = sides["neo_np"]["median"], sides["transformers"]["median"]
            assert sides["transformers"]["threads"] == 1
            assert min(mine, theirs) > 0
            assert sides["transformers"]["ratio"] == pytest.approx(
                theirs / mine if work["unit"] in ("s", "MB") else mine / theirs
            )
    assert f"transformers {transformers.__version__}" in found["peers"]["transformers"]


def recorded(monkeypatch, module):
    """Make every turn two calls; return the list of (ids.shape, tokens in the cache before) that either model gets."""
    calls = []
    monkeypatch.setattr(module, "seconds_per_call", lambda function, turn: (function(), function(), 1.0)[2])
    logits, forward = neo_np.Model.logits, transformers.GPTNeoForCausalLM.forward

    def our_spy(self, ids, *rest, cache=None, **more):
        calls.append((np.shape(ids), cache.length if cache else 0))
        return logits(self, ids, *rest, cache=cache, **more)

    def their_spy(self, ids, *rest, past_key_values=None, **more):
        calls.append((tuple(ids.shape), past_key_values.get_seq_length() if past_key_values else 0))
        return forward(self, ids, *rest, past_key_values=past_key_values, **more)

    monkeypatch.setattr(neo_np.Model, "logits", our_spy)
    monkeypatch.setattr(transformers.GPTNeoForCausalLM, "forward", their_spy)
    return calls


@pytest.mark.parametrize("work", ["prefill", "decode", "memory"])
def test_both_make_the_same_calls(work, tiny, monkeypatch):
    job, calls = Job(tiny), []
    for module, threads in ((ours, []), (peers, [1])):
        seen = recorded(monkeypatch, module)
        run = getattr(module, work)(job)
        values = [run(case, *threads) for case in WORKS[work].cases(job.config).values()]
        assert work == "memory" or run(next(iter(WORKS[work].cases(job.config).values())), *threads) == values[0]
        calls.append((seen, values if work != "memory" else None))
        monkeypatch.undo()
    assert len(calls[0][0]) > 3
    assert calls[0] == calls[1]


def test_both_load_the_same_weights_and_ids(tiny):
    job = Job(tiny)
    ids = job.ids(2, 20)
    with torch.inference_mode():
        expected = peers.load_model(tiny)(torch.from_numpy(ids)).logits
    assert expected.dtype == torch.float32
    np.testing.assert_allclose(neo_np.load(tiny).logits(ids), expected, atol=1e-4)


def test_the_batch_is_continued_alike(tiny, monkeypatch):
    written = []
    for module, threads, owner in ((ours, [], neo_np.Model), (peers, [1], transformers.GPTNeoForCausalLM)):
        generate = owner.generate
        monkeypatch.setattr(
            owner, "generate", lambda *a, generate=generate, **k: written.append(generate(*a, **k)) or written[-1]
        )
        monkeypatch.setattr(module, "seconds_per_call", lambda function, turn: (function(), 1.0)[1])
        assert module.batch(Job(tiny))(8, *threads) == 8 * 64
    mine, theirs = written
    assert [row[-64:] for row in mine] == [row[-64:] for row in theirs.tolist()]


def test_the_graph_of_onnx_computes_the_same_from_any_past(tiny):
    job, model = Job(tiny), neo_np.load(tiny)
    ids, step = job.ids(2, 20), onnx.sessions(job)(1)
    logits, *past = step(ids[:, :12], onnx.nothing_yet(job.config, 2))
    np.testing.assert_allclose(logits[:, 0], model.logits(ids)[:, 11], atol=1e-4)
    logits, *past = step(ids[:, 12:13], past)
    np.testing.assert_allclose(logits[:, 0], model.logits(ids)[:, 12], atol=1e-4)
    assert {array.shape for array in past} == {(2, 3, 13, 8)}


def test_onnxruntime_is_measured(tiny, capsys, monkeypatch):
    monkeypatch.setattr(rounds, "best_threads", lambda side, case: 1 if side.name == "onnxruntime" else None)
    found = run_json(capsys, "decode", "--model", tiny, "--against", "onnxruntime", "--rounds", "1", "--seconds", "0.001")
    for sides in found["works"]["decode"]["cases"].values():
        assert list(sides) == ["neo_np", "onnxruntime", "limit"]
        assert sides["onnxruntime"]["median"] > 0


@pytest.mark.parametrize("folder", ["tales-2M", "gpt-neo-125M"])
def test_all_tokenizers_give_the_same_ids(folder):
    tables = neo_np.Tokenizer.load(TABLES / folder)
    for make in (tokenizers.ours, tokenizers.hugging_face, tokenizers.tiktoken, tokenizers.encoder_py):
        encode, decode = make(tables)
        assert encode(TEXT) == tables.encode(TEXT)
        assert decode(encode(TEXT)) == TEXT


def test_tokenizers_are_measured(capsys, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    options = ["--text", str(tmp_path / "text.txt"), "--rounds", "1", "--seconds", "0.001"]
    found = run_json(capsys, "--against", "tokenizers", "tiktoken", "encoder.py", *options)
    assert [list(sides) for sides in found["works"]["tokenizer"]["cases"].values()] == [
        ["neo_np", "tokenizers", "tiktoken", "encoder.py"]
    ] * 3
    assert found["peers"]["tiktoken"] == f"tiktoken {tiktoken.__version__}"
    assert found["peers"]["tokenizers"] == f"tokenizers {hugging_face.__version__}"


def test_training_is_measured_against_torch(capsys):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SIZES.items()]
    found = run_json(capsys, "train", *options, "--rounds=2", "--steps=2", "--against=torch")
    [sides] = found["works"]["train"]["cases"].values()
    assert list(sides) == ["neo_np", "torch"]
    assert all(len(entry["rounds"]) == 2 for entry in sides.values())
    assert sides["torch"]["ratio"] == pytest.approx(sides["neo_np"]["median"] / sides["torch"]["median"])
    assert f"torch {torch.__version__}" in found["peers"]["torch"]


def test_both_sides_make_steps_that_learn():
    """Both see random tokens, of which nothing can be learned but that each of the fifty comes as often: ln 50 nats."""
    ours, theirs = training.neo_trainer(SIZES), training.torch_trainer(SIZES)
    for _ in range(20):
        losses = ours()["loss"], theirs()
    assert losses == pytest.approx([math.log(50)] * 2, abs=0.1)


def test_the_picture_has_a_curve_for_each_kind(tiny, tmp_path, monkeypatch):
    config, drawn = Job(tiny).config, []
    cases = growth_cases(config)
    found = {label: {"neo_np": {"median": float(number)}} for number, label in enumerate(cases)}
    axes = type(plot.import_pyplot().gca())
    draw = axes.plot
    monkeypatch.setattr(axes, "plot", lambda self, x, y, *how, **more: drawn.append((x, y)) or draw(self, x, y, *how, **more))
    plot.plot(found, cases, config, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    lengths = tuple(range(32, 257, 32))
    assert drawn[2] == (lengths, tuple(map(float, range(16, 24))))
    assert drawn[0] == (tuple(n - 16 for n in lengths), tuple(map(float, range(8, 16))))
