"""`python -m neo_np.bench --against ...` runs the peers on the same work as ours."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tiktoken
import tokenizers as hugging_face_tokenizers
import torch
import transformers
from make_golden import random_model

import neo_np
from neo_np.bench import command, plot
from neo_np.bench.backends import hugging_face, neo, onnx_graph, tokenizers, training
from neo_np.bench.benchmarks import BENCHMARKS, THREADED
from neo_np.bench.cases import growth_cases
from neo_np.bench.job import Job
from neo_np.bench.rounds import Measurement
from neo_np.folders.find import DEFAULT_CHECKPOINT

SIZES = {"layers": 2, "hidden_size": 24, "heads": 3, "window_size": 4, "vocab_size": 50, "sequence_length": 32, "batch_size": 2}
TABLES = Path(neo_np.__file__).parent.parent / "weights"
TEXT = "It's 12 o'clock,  said the king -- naïve as a child… 好\n\n\tand   so on  " * 3


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The folder of a tiny checkpoint with a tokenizer."""
    folder = tmp_path_factory.mktemp("bench") / "tiny"
    tokenizer = neo_np.Tokenizer.load(TABLES / DEFAULT_CHECKPOINT)
    random_model(0, 0.1, vocab_size=len(tokenizer)).save_pretrained(folder)
    tokenizer.save(folder)
    return str(folder)


@pytest.fixture
def one_thread(monkeypatch):
    """Let threaded peers measure with one thread, without looking for the best number."""
    warm_up = Measurement.warm_up

    def warm_up_with_one_thread(self):
        if self.process.name in THREADED:
            self.ask(1)
            self.entry["threads"] = 1
        else:
            warm_up(self)

    monkeypatch.setattr(Measurement, "warm_up", warm_up_with_one_thread)


def run_json(capsys, *arguments):
    assert command.main([*arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_transformers_is_measured_in_all_benchmarks_that_it_can_do(tiny, capsys, one_thread):
    found = run_json(capsys, "--model", tiny, "--against", "transformers", "--rounds", "1", "--seconds", "0.001")
    assert list(found["benchmarks"]) == ["start", "load", "prefill", "decode", "batch", "memory"]
    for benchmark in found["benchmarks"].values():
        for entries in benchmark["cases"].values():
            assert list(entries)[:2] == ["neo_np", "transformers"]
            mine, theirs = entries["neo_np"]["median"], entries["transformers"]["median"]
            assert entries["transformers"]["threads"] == 1
            assert min(mine, theirs) > 0
            assert entries["transformers"]["ratio"] == pytest.approx(
                theirs / mine if benchmark["unit"] in ("s", "MB") else mine / theirs
            )
    assert f"transformers {transformers.__version__}" in found["peers"]["transformers"]


def recorded(monkeypatch, module):
    """Make every measurement two calls; return the list of (ids.shape, tokens in the cache before) that either model gets."""
    calls = []
    monkeypatch.setattr(module, "seconds_per_call", lambda function, seconds: (function(), function(), 1.0)[2])
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


EAGER = {"prefill": hugging_face.prefill(hugging_face.eager), "decode": hugging_face.decode(hugging_face.eager)}


@pytest.mark.parametrize("benchmark", ["prefill", "decode", "memory"])
def test_both_libraries_make_the_same_calls(benchmark, tiny, monkeypatch):
    job, calls = Job(tiny), []
    cases = list(BENCHMARKS[benchmark].cases(job.config).values())
    for module, backend, threads in (
        (neo, getattr(neo, benchmark), []),
        (hugging_face, EAGER.get(benchmark, hugging_face.memory), [1]),
    ):
        seen = recorded(monkeypatch, module)
        run = backend(job)
        values = [run(case, *threads) for case in cases]
        assert benchmark == "memory" or run(cases[0], *threads) == values[0]
        calls.append((seen, values if benchmark != "memory" else None))
        monkeypatch.undo()
    assert len(calls[0][0]) > 3
    assert calls[0] == calls[1]


def test_compiled_model_reads_the_same_tokens_and_gives_the_same_logits(tiny, monkeypatch):
    """Compiled without a C++ compiler, by the first half of torch.compile: graphs that Python runs."""
    results, compile_model = [], torch.compile
    job = Job(tiny)

    def half_compiled(model, dynamic):
        compiled = compile_model(model, dynamic=dynamic, backend="eager")
        return lambda ids, **more: results.append((ids, compiled(ids, **more))) or results[-1][1]

    monkeypatch.setattr(torch, "compile", half_compiled)
    monkeypatch.setattr(hugging_face, "seconds_per_call", lambda function, seconds: (function(), 1.0)[1])
    model = neo_np.load(tiny)
    assert hugging_face.prefill(hugging_face.compiled)(job)(8, 1) == 8
    np.testing.assert_allclose(results[-1][1].logits[:, -1], model.logits(job.ids(1, 8))[:, -1], atol=1e-4)
    results.clear()
    assert hugging_face.decode(hugging_face.compiled)(job)([8, 24], 1) == 8 * 16
    ids = job.ids(8, 40)
    assert [step.tolist() for step, _ in results] == [ids[:, i : i + 1].tolist() for i in range(24, 40)]
    np.testing.assert_allclose(results[-1][1].logits[:, -1], model.logits(ids)[:, -1], atol=1e-4)


def test_both_libraries_load_the_same_weights_and_ids(tiny):
    job = Job(tiny)
    ids = job.ids(2, 20)
    with torch.inference_mode():
        expected = hugging_face.load_model(tiny)(torch.from_numpy(ids)).logits
    assert expected.dtype == torch.float32
    np.testing.assert_allclose(neo_np.load(tiny).logits(ids), expected, atol=1e-4)


def test_both_libraries_continue_the_batch_alike(tiny, monkeypatch):
    written = []
    for module, threads, owner in ((neo, [], neo_np.Model), (hugging_face, [1], transformers.GPTNeoForCausalLM)):
        generate = owner.generate
        monkeypatch.setattr(
            owner, "generate", lambda *a, generate=generate, **k: written.append(generate(*a, **k)) or written[-1]
        )
        monkeypatch.setattr(module, "seconds_per_call", lambda function, seconds: (function(), 1.0)[1])
        assert module.batch(Job(tiny))(8, *threads) == 8 * 64
    mine, theirs = written
    assert [row[-64:] for row in mine] == [row[-64:] for row in theirs.tolist()]


@pytest.fixture(scope="module")
def graph(tiny):
    """The tiny checkpoint as an ONNX graph."""
    return onnx_graph.export(tiny)


@pytest.mark.parametrize("make_session", [onnx_graph.onnx_runtime, onnx_graph.openvino])
def test_onnx_graph_computes_the_same_from_any_past(make_session, graph, tiny):
    job, model = Job(tiny), neo_np.load(tiny)
    ids, step = job.ids(2, 20), make_session(graph, 1)
    logits, *past = step(ids[:, :12], onnx_graph.empty_past(job.config, 2))
    np.testing.assert_allclose(logits[:, 0], model.logits(ids)[:, 11], atol=1e-4)
    logits, *past = step(ids[:, 12:13], past)
    np.testing.assert_allclose(logits[:, 0], model.logits(ids)[:, 12], atol=1e-4)
    assert {array.shape for array in past} == {(2, 3, 13, 8)}


@pytest.mark.parametrize("make_session", [onnx_graph.onnx_runtime, onnx_graph.openvino])
def test_onnx_backends_read_each_token_after_the_same_context(make_session, graph, tiny, monkeypatch):
    calls, job = [], Job(tiny)

    def spy(graph, threads):
        session = make_session(graph, threads)
        return lambda ids, past: calls.append((ids.tolist(), past[0].shape[2])) or session(ids, past)

    monkeypatch.setattr(onnx_graph, "export", lambda folder: graph)
    monkeypatch.setattr(onnx_graph, "seconds_per_call", lambda function, seconds: (function(), 1.0)[1])
    ids = job.ids(8, 40)
    run = onnx_graph.decode(spy)(job)
    assert run([8, 24], 1) == 8 * 16
    steps = [(ids[:, i : i + 1].tolist(), i) for i in range(24, 40)]
    assert calls == [(ids[:, :24].tolist(), 0), *steps]
    assert onnx_graph.prefill(spy)(job)(8, 1) == 8
    assert calls[-1] == (job.ids(1, 8).tolist(), 0)


@pytest.mark.parametrize("peer", ["onnxruntime", "openvino"])
def test_peer_with_an_onnx_graph_is_measured(peer, tiny, capsys, one_thread):
    found = run_json(capsys, "decode", "--model", tiny, "--against", peer, "--rounds", "1", "--seconds", "0.001")
    for entries in found["benchmarks"]["decode"]["cases"].values():
        assert list(entries) == ["neo_np", peer, "roofline"]
        assert entries[peer]["median"] > 0
    assert peer in found["peers"][peer]


@pytest.mark.parametrize("folder", [DEFAULT_CHECKPOINT, "gpt-neo-125M"])
def test_all_tokenizers_give_the_same_ids(folder):
    tables = neo_np.Tokenizer.load(TABLES / folder)
    for make in (tokenizers.neo, tokenizers.hugging_face, tokenizers.tiktoken, tokenizers.encoder_py):
        encode, decode = make(tables)
        assert encode(TEXT) == tables.encode(TEXT)
        assert decode(encode(TEXT)) == TEXT


def test_tokenizers_are_measured(capsys, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    options = ["--text", str(tmp_path / "text.txt"), "--rounds", "1", "--seconds", "0.001"]
    found = run_json(capsys, "--against", "tokenizers", "tiktoken", "encoder.py", *options)
    assert [list(entries) for entries in found["benchmarks"]["tokenizer"]["cases"].values()] == [
        ["neo_np", "tokenizers", "tiktoken", "encoder.py"]
    ] * 3
    assert found["peers"]["tiktoken"] == f"tiktoken {tiktoken.__version__}"
    assert found["peers"]["tokenizers"] == f"tokenizers {hugging_face_tokenizers.__version__}"


def test_training_is_measured_against_torch(capsys):
    options = [f"--{name.replace('_', '-')}={value}" for name, value in SIZES.items()]
    found = run_json(capsys, "train", *options, "--rounds=2", "--steps=2", "--against=torch")
    [entries] = found["benchmarks"]["train"]["cases"].values()
    assert list(entries) == ["neo_np", "torch"]
    assert all(len(entry["rounds"]) == 2 for entry in entries.values())
    assert entries["torch"]["ratio"] == pytest.approx(entries["neo_np"]["median"] / entries["torch"]["median"])
    assert f"torch {torch.__version__}" in found["peers"]["torch"]


def test_both_libraries_make_steps_that_learn():
    """Both see random tokens, of which only the frequency can be learned: each of the fifty is as frequent, ln 50 nats."""
    ours, theirs = training.neo_step(SIZES), training.torch_step(SIZES, hugging_face.eager)
    for _ in range(20):
        losses = ours()["loss"], theirs()
    assert losses == pytest.approx([math.log(50)] * 2, abs=0.1)


def test_picture_has_a_curve_for_each_kind_of_attention(tiny, tmp_path, monkeypatch):
    config, drawn = Job(tiny).config, []
    cases = growth_cases(config)
    found = {label: {"neo_np": {"median": float(number)}} for number, label in enumerate(cases)}
    axes = type(plot.import_pyplot().gca())
    draw = axes.plot
    monkeypatch.setattr(
        axes, "plot", lambda self, x, y, *how, **more: drawn.append((tuple(x), tuple(y))) or draw(self, x, y, *how, **more)
    )
    plot.plot(found, cases, config, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").read_bytes().startswith(b"\x89PNG")
    lengths = tuple(range(32, 257, 32))
    assert drawn[2] == (lengths, tuple(map(float, range(16, 24))))
    assert drawn[0] == (tuple(n - 16 for n in lengths), tuple(map(float, range(8, 16))))


@pytest.mark.parametrize(("name", "words"), [("x.xyz", "Format 'xyz' is not supported"), ("x", "Format '' is not supported")])
def test_picture_of_an_unknown_kind_is_refused_before_measuring(name, words, tmp_path, capsys):
    assert command.main(["growth", "--plot", str(tmp_path / name)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert list(tmp_path.iterdir()) == []


def test_picture_that_can_be_drawn_is_accepted_and_not_written_yet(tmp_path):
    plot.check_picture(tmp_path / "x.png")
    plot.check_picture(tmp_path / "x.SVG")
    assert list(tmp_path.iterdir()) == []
