"""The command `python -m neo_np.bench`: what it measures and what it says; the peers themselves are met in tests/parity."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import random_model

import neo_np
from neo_np.bench import command, limits, measure, ours, parts, report, rounds, tokenizers
from neo_np.bench.job import Job, decode_cases, growth_cases, memory_cases, prefill_cases
from neo_np.bench.works import LIMIT, NEO, PLAIN, WORKS

QUICK = ["--seconds", "0.001"]
TRAIN = "--layers 1 --hidden-size 8 --heads 2 --vocab-size 20 --sequence-length 16 --batch-size 2 --steps 3".split()
TEXT = "It's 12 o'clock,  said the king -- naïve as a child… 好\n\n\tand   so on  "


@pytest.fixture(scope="module")
def tiny(tales, tmp_path_factory):
    """The folder of a tiny checkpoint with a tokenizer, and a text beside it."""
    folder = tmp_path_factory.mktemp("bench")
    neo_np.save(random_model(tokenizer=tales.tokenizer, vocab_size=2048), folder / "tiny")
    (folder / "text.txt").write_text(TEXT * 20, encoding="utf-8")
    return folder / "tiny"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(rounds, "PAUSE", 0)


def run_json(capsys, *arguments):
    assert command.main([*map(str, arguments), *QUICK, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_every_work_of_ours_is_measured_in_every_case_and_round(tiny, capsys):
    began = time.perf_counter()
    found = run_json(capsys, "--model", tiny, "--text", tiny.parent / "text.txt", "--rounds", 2, *TRAIN)
    elapsed = time.perf_counter() - began
    config = neo_np.load(tiny).config
    assert list(found["works"]) == list(WORKS)
    for name, work in found["works"].items():
        assert list(work["cases"]) == list(WORKS[name].cases(config)), name
        assert work["unit"] == WORKS[name].unit
        for sides in work["cases"].values():
            beside = {"prefill": [LIMIT], "decode": [LIMIT], "speculative": [PLAIN]}.get(name, [])
            assert list(sides) == [NEO, *beside]
            for entry in sides.values():
                assert len(entry["rounds"]) == 2
                assert min(entry["rounds"]) > 0
                assert entry["median"] == pytest.approx(sum(entry["rounds"]) / 2)
    works = {name: next(iter(work["cases"].values()))[NEO] for name, work in found["works"].items()}
    assert sum(works["start"]["rounds"] + works["load"]["rounds"]) < elapsed
    assert min(works["start"]["rounds"]) > max(works["load"]["rounds"])  # NumPy is imported in the first alone
    assert sum(3 * 2 * 16 / speed for speed in works["train"]["rounds"]) < elapsed
    assert 10 < works["memory"]["median"] < 1000
    speculative = found["works"]["speculative"]["cases"]
    assert speculative["text that repeats itself"][NEO]["accepted"] > speculative["ordinary text"][NEO]["accepted"]
    assert found["machine"]["numpy"] == np.__version__


def test_the_cases_of_a_large_and_of_a_tiny_model():
    large, small = random_model(max_position_embeddings=2048).config, random_model(max_position_embeddings=16).config
    assert list(prefill_cases(large).values()) == [8, 512, 2048]
    assert list(decode_cases(large).values()) == [(1, 8), (1, 1536), (8, 8), (8, 1536)]
    assert list(memory_cases(large)) == ["prefill 2032, decode 16"]
    assert [case[2] for case in growth_cases(large).values()][:8] == [240, 496, 752, 1008, 1264, 1520, 1776, 2032]
    assert list(prefill_cases(small).values()) == [8, 16]
    assert list(decode_cases(small).values()) == [(1, 4), (1, 12), (8, 4), (8, 12)]
    assert list(memory_cases(small).values()) == [8]


def counted(monkeypatch):
    """Make every turn two calls of one second each; return the list of (ids.shape, tokens in the cache before) of all calls."""
    calls, logits = [], neo_np.Model.logits

    def spy(self, ids, *rest, cache=None, **more):
        calls.append((np.shape(ids), cache.length if cache else 0))
        return logits(self, ids, *rest, cache=cache, **more)

    monkeypatch.setattr(neo_np.Model, "logits", spy)
    monkeypatch.setattr(ours, "seconds_per_call", lambda function, turn: (function(), function(), 1.0)[2])
    return calls


def test_prefill_reads_the_prompt_once_a_call(tiny, monkeypatch):
    calls = counted(monkeypatch)
    assert ours.prefill(Job(str(tiny)))(8) == 8.0
    assert calls == [((1, 8), 0)] * 2


def test_decode_takes_token_after_token_from_the_same_context(tiny, monkeypatch):
    calls, run = counted(monkeypatch), ours.decode(Job(str(tiny)))
    steps = [((8, 1), length) for length in range(24, 32)]
    assert run([8, 24]) == 8 * 8
    assert calls == [((8, 24), 0), *steps, *steps]
    calls.clear()
    assert run([8, 24]) == 8 * 8
    assert calls == [*steps, *steps]  # the context is in the cache


def test_growth_is_of_models_with_one_kind_of_layers(tiny, monkeypatch):
    calls, run = counted(monkeypatch), ours.growth(Job(str(tiny)))
    windows = []
    attention = neo_np.model.self_attention
    monkeypatch.setattr(neo_np.model, "self_attention", lambda *given: (windows.append(given[3]), attention(*given))[1])
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


def test_a_batch_is_eight_prompts_of_different_lengths(tiny, monkeypatch):
    given = []
    monkeypatch.setattr(neo_np.Model, "generate", lambda self, prompts, **options: given.append((prompts, options)))
    monkeypatch.setattr(ours, "seconds_per_call", lambda function, turn: (function(), 2.0)[1])
    assert ours.batch(Job(str(tiny)))(8) == 8 * 16 / 2
    [(prompts, options)] = given
    assert [len(prompt) for prompt in prompts] == [2, 4, 6, 8, 10, 12, 14, 16]
    assert options == {"max_new_tokens": 16, "min_new_tokens": 16}


def test_parts_watch_every_call_and_add_up_to_the_whole(tiny, monkeypatch):
    calls, clocked = Counter(), parts.clocked

    def counted(function, part, spent):
        call = clocked(function, part, spent)
        return lambda *given: (calls.update([part]), call(*given))[1]

    monkeypatch.setattr(parts, "clocked", counted)
    before = [dict(names) for places in parts.PARTS.values() for names, _ in places]
    run, cases = parts.parts(Job(str(tiny), turn=0.0)), parts.cases(random_model().config)
    works = [tuple(case[:2]) for case in cases.values()]
    assert list(dict.fromkeys(works)) == [("prefill", 32), ("decode", 8), ("decode", 24)]
    for work, tokens in dict.fromkeys(works):
        calls.clear()
        found = {part: run([work, tokens, part]) for *at, part in cases.values() if at == [work, tokens]}
        passes = 2 * (1 if work == "prefill" else min(16, 32 - tokens))  # each twice, one that does not count
        assert calls["linear"] == passes * (2 * 6 + 1)
        assert calls["attention"] == calls["activation"] == passes * 2
        assert calls["layer norm"] == passes * (2 * 2 + 1)
        whole = found.pop("all")
        assert whole["share"] == 1
        assert set(found) == {"linear", "attention", "layer norm", "activation", "the rest"}
        assert min(entry["value"] for entry in found.values()) > 0
        assert sum(entry["value"] for entry in found.values()) == pytest.approx(whole["value"])
        assert sum(entry["share"] for entry in found.values()) == pytest.approx(1)
    assert before == [dict(names) for places in parts.PARTS.values() for names, _ in places]


def test_parts_are_milliseconds_of_a_step(monkeypatch):
    monkeypatch.setattr(parts, "seconds_per_call", lambda function, turn: (function(), 2.0)[1])
    x = np.ones((1, 24))
    found = parts.divided(lambda: [parts.layers.linear(x, x) for _ in range(9)], steps=4, turn=0.0)
    assert found["all"] == 500.0
    assert 0 < found["linear"] < 500.0
    assert found["attention"] == 0


def test_a_turn_is_the_mean_of_the_calls_that_fill_it(monkeypatch):
    clock = SimpleNamespace(now=0.0, calls=0)
    monkeypatch.setattr(measure.time, "perf_counter", lambda: clock.now)

    def call():
        clock.calls += 1
        clock.now += 5.0 if clock.calls == 1 else clock.calls

    assert measure.seconds_per_call(call, turn=8.0) == (2 + 3 + 4) / 3  # the first, slow, does not count
    clock.calls = 0
    assert measure.seconds_per_call(call, turn=0.0) == 2.0  # there is always one that does


@pytest.mark.parametrize("tied", [True, False])
def test_the_limit_counts_every_weight_key_and_value_that_a_token_reads(tied):
    model = random_model(tie_word_embeddings=tied)
    named = model.params.flat()
    read = [a.nbytes for name, a in named.items() if name != "wpe.weight" and (tied or name != "wte.weight")]
    cache = model.new_cache(batch=3, capacity=32)
    seen = 26  # after 20 tokens there is room for 12 steps, and in the middle of them so many are seen
    assert limits.weight_bytes(model.config) == sum(a.nbytes for a in named.values())
    keys_and_values = [cache.k[0, :, :, :seen], cache.v[0, :, :, :seen], cache.k[1, :, :, -4:], cache.v[1, :, :, -4:]]
    assert limits.decode_bytes(model.config, 3, 20) == sum(read) + sum(a.nbytes for a in keys_and_values)


def test_the_limit_counts_every_product_that_a_prompt_needs():
    config = random_model().config  # C=24, F=96, V=50, a global layer and a local one that sees 4
    keys_and_values, others = [(24, 24)] * 2, [(24, 24)] * 2 + [(24, 96), (96, 24)]
    first = sum(2 * 5 * rows * columns for rows, columns in keys_and_values + others)
    first += sum(2 * 2 * 24 for query in range(5) for key in range(query + 1))
    # Of the last block, only the last token is wanted; for its sake, the keys and values of all are.
    last = sum(2 * 5 * rows * columns for rows, columns in keys_and_values)
    last += sum(2 * rows * columns for rows, columns in others)
    last += sum(2 * 2 * 24 for key in range(5) if key > 4 - 4)
    assert limits.prefill_flop(config, 5) == first + last + 2 * 50 * 24


def test_the_limits_are_rates_of_what_they_read_and_multiply(tiny, monkeypatch):
    job = Job(str(tiny))
    monkeypatch.setattr(limits, "seconds_per_call", lambda way, turn: (way(), 1.0)[1])
    read = limits.weight_bytes(job.config) / limits.decode_bytes(job.config, 8, 24)
    assert limits.decode(job)([8, 24]) == pytest.approx(8 * read)
    products = 2 * 8 * (4 * 24 * 24 + 2 * 24 * 96)
    assert limits.prefill(job)(8) == pytest.approx(8 * products / (4 / 2) / limits.prefill_flop(job.config, 8))
    matrix = np.arange(12.0, dtype="f").reshape(3, 4)
    assert [np.sum(way()) for way in limits.reading_ways(matrix)][:2] == [66, 66]


def test_encoder_py_gives_the_ids_that_the_tokenizer_gives(tales, gpt2_tokenizer):
    for tokenizer in (tales.tokenizer, gpt2_tokenizer):
        encode, decode = tokenizers.encoder_py(tokenizer)
        for text in (TEXT, "aaaaaaa", "", " ", "\x00ÿ", "the king " * 3):
            assert encode(text) == tokenizer.encode(text)
            assert decode(encode(text)) == text


def test_cold_is_a_new_tokenizer_and_warm_the_same(tiny, monkeypatch):
    made = []

    def make(tables):
        made.append(tokens := [])
        return lambda text: tokens.append(text) or [1], lambda ids: "text"

    monkeypatch.setattr(tokenizers, "timed", lambda function: (function(), 1.0)[1])
    monkeypatch.setattr(tokenizers, "seconds_per_call", lambda function, turn: (function(), 2.0)[1])
    job = Job(str(tiny), text_file=str(tiny.parent / "text.txt"))
    run, size = tokenizers.side(make)(job), len((TEXT * 20).encode("utf-8")) / 1e6
    assert (run("encode, cold"), run("encode, cold"), run("encode, warm")) == (size, size, size / 2)
    assert [len(tokens) for tokens in made] == [2, 1, 1]  # the first has met the text before the warm turn


def test_the_text_for_the_tokenizer_is_half_a_megabyte_of_english(tiny):
    text = Job(str(tiny)).text()
    assert 400_000 < len(text) <= 500_000
    words = text.lower().split()
    assert words.count("the") > len(words) / 40
    assert len(set(words)) > 5000


class FakeSide:
    """Answers with 10 tokens per second per thread, and notes down who was asked for what."""

    order = ()

    def __init__(self, work, name, job):
        self.work, self.name = work, name

    def ask(self, case, threads=None):
        self.order.append((self.name, case, threads))
        return {"value": 10.0 * (threads or 3), "peak_mb": 5.0}

    def stop(self):
        self.order.append((self.name, "stopped", None))


def test_the_sides_take_turns_after_one_that_does_not_count(tiny, monkeypatch):
    monkeypatch.setattr(rounds, "Side", FakeSide)
    monkeypatch.setattr(rounds, "cores", lambda: 4)
    FakeSide.order = []
    found = rounds.measure("decode", Job(str(tiny)), [NEO, "transformers", LIMIT], 2)
    cases = [(1, 8), (1, 24), (8, 8), (8, 24)]
    trials = [
        turn
        for case in cases
        for turn in [(NEO, case, None), *[("transformers", case, n) for n in (1, 1, 4, 4)], (LIMIT, case, None)]
    ]
    turns = [turn for case in cases for turn in [(NEO, case, None), ("transformers", case, 4), (LIMIT, case, None)]]
    stops = [(name, "stopped", None) for name in (LIMIT, "transformers", NEO)]
    assert FakeSide.order == trials + turns + turns + stops
    entry = {"rounds": [40.0, 40.0], "median": 40.0, "threads": 4, "peak_mb": 5.0}
    assert found["batch 8 after 24 tokens"]["transformers"] == entry


def test_the_best_number_of_threads_is_the_one_with_the_best_turn(monkeypatch):
    monkeypatch.setattr(rounds, "cores", lambda: 4)
    FakeSide.order = []
    assert rounds.best_threads(FakeSide("decode", "transformers", None), None) == 4
    assert rounds.best_threads(FakeSide("memory", "transformers", None), None) == 1  # the least is the best
    assert rounds.best_threads(FakeSide("decode", "tiktoken", None), None) is None


def entry(*values, **more):
    return {"rounds": list(values), "median": sorted(values)[len(values) // 2], "threads": None, "peak_mb": 99.6} | more


def test_the_table_gives_medians_ranges_ratios_and_shares(tiny):
    job = Job(str(tiny))
    sides = {NEO: entry(300.0, 1200.0, 100.0), "transformers": entry(150.0, 10.0, 200.0, threads=2), LIMIT: entry(400.0)}
    lines = report.table("decode", {"batch 1 after 8 tokens": sides}, job)
    assert lines[2].split() == "tokens/s, more is better median lowest highest ratio of limit".split()
    assert lines[3].split() == "batch 1 after 8 tokens neo_np 300 100 1,200 75%".split()
    assert lines[4].split() == "transformers, 2 threads 150 10.0 200 2.00 x 38%".split()
    rate = 400 * limits.decode_bytes(job.config, 1, 8) / 1e9
    assert lines[5].split() == f"limit 400 400 400 {rate:.1f} GB/s".split()
    assert max(map(len, lines)) < 100
    lines = report.table("start", {"": {NEO: entry(0.25), "transformers": entry(4.0, threads=1)}}, job)
    assert lines[3].split() == "neo_np 0.250 0.250 0.250".split()
    assert lines[4].split() == "transformers, 1 thread 4.00 4.00 4.00 16.00 x".split()
    weights = limits.weight_bytes(job.config) / 2**20
    lines = report.table("memory", {"long": {NEO: entry(50 + weights)}}, job)
    assert lines[3].endswith(" 50.0 MB")
    assert report.table("train", {"": {NEO: entry(7.0)}}, job)[3].endswith(" 100 MB")
    assert report.table("parts", {"after 8: linear": {NEO: entry(7.0, share=0.456)}}, job)[3].endswith(" 46%")


def test_what_is_printed_fits_a_hundred_columns_and_names_the_machine(tiny, capsys):
    assert command.main(["load", "--model", str(tiny), "--rounds", "1"]) == 0
    captured = capsys.readouterr()
    assert max(map(len, captured.out.splitlines())) <= 100
    assert f"NumPy {np.__version__}" in captured.out
    assert "model:   tiny: 2 layers, C=24, 3 heads, 2048 tokens, 32 positions" in captured.out
    assert "load: from the weights on disk" in captured.out


def test_a_shape_is_a_temporary_checkpoint_that_goes_however_it_ends(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(command.SHAPES, "125M", (1, 16, 2))
    monkeypatch.setattr(command.tempfile, "tempdir", str(tmp_path))
    met = []

    def interrupted(work, job, *rest):
        met.append((neo_np.load(job.folder).config, neo_np.load(job.folder).tokenizer.encode("king")))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "measure", interrupted)
    assert command.main(["prefill", "--shape", "125M"]) == 130
    [(config, ids)] = met
    assert (config.num_layers, config.hidden_size, config.intermediate_size, config.vocab_size) == (1, 16, 64, 50257)
    assert ids == [3364]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_ends_every_process(sent, status, tiny):
    arguments = [sys.executable, "-m", "neo_np.bench", "start", "--model", str(tiny), "--rounds", "1000"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()

    def running():
        return [pid for pid in os.listdir("/proc") if pid.isdigit() and str(tiny).encode() in command_line(pid)]

    while len(running()) < 2:  # the bench itself, and what it measures
        time.sleep(0.01)
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode == status
    assert running() == []


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def said(capsys, *arguments):
    """Return the one line that the command says of its error."""
    try:
        assert command.main([*map(str, arguments)]) == 2
    except SystemExit as left:  # argparse
        assert left.code == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    return captured.err


def test_a_side_that_dies_is_named_with_its_last_words(tiny, tmp_path, capsys):
    (tmp_path / "config.json").write_bytes((tiny / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"cut off")
    words = said(capsys, "prefill", "--model", tmp_path)
    assert words.startswith("error: neo_np cannot be measured in prefill: ")
    assert "is not a whole safetensors file" in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train --rounds 0", "whole number above 0"),
        ("train --heads 3 --hidden-size 8", "not divisible"),
        ("train --layers x", "whole number"),
        ("train --against nothing", "nothing"),
        ("prefill --against tiktoken", "it can be measured in tokenizer"),
        ("sleep", "start, load, prefill"),
        ("start --shape 7B", "125M"),
        ("start --shape 125M --model tales-2M", "not allowed with"),
        ("decode --plot x.png", "growth"),
        ("growth --plot /nowhere/at/all/x.png", "cannot be written"),
        ("tokenizer --text /nowhere.txt", "/nowhere.txt cannot be read"),
        ("decode --model /nowhere", "/nowhere"),
        ("decode --seconds -1", "0 or more"),
    ],
)
def test_nonsense_is_one_line(arguments, words, monkeypatch, capsys):
    monkeypatch.setattr(command, "import_pyplot", lambda: None)
    assert words in said(capsys, *arguments.split())


def test_what_is_not_installed_is_told_at_once(monkeypatch, capsys):
    monkeypatch.setattr(rounds, "find_spec", lambda name: None)
    assert "pip install transformers torch" in said(capsys, "start", "--against", "transformers")
    assert "pip install tiktoken" in said(capsys, "tokenizer", "--against", "tiktoken")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install matplotlib" in said(capsys, "growth", "--plot", "x.png")


def test_peers_choose_the_works_that_they_can_do():
    def works(*arguments):
        return command.chosen_works(command.build_parser().parse_args(arguments))

    assert works() == list(WORKS)
    assert works("--against", "transformers") == ["start", "load", "prefill", "decode", "batch", "memory"]
    assert works("--against", "torch", "tiktoken") == ["tokenizer", "train"]
    assert works("decode", "start", "--against", "transformers") == ["start", "decode"]
    assert works("growth", "train", "--against", "torch") == ["growth", "train"]


def test_speculative_decoding_writes_the_given_text(tiny, monkeypatch):
    """Both sides write the same text, the ordinary one or its first passage over and over, and only one of them guesses."""
    written, job = [], Job(str(tiny), 0.0, str(tiny.parent / "text.txt"))
    finished = ours.finished_sequences

    def spy(model, prompts, options):
        sequences = finished(model, prompts, options)
        written.append((options.prompt_lookup_num_tokens, prompts[0], sequences[0].new_ids))
        return sequences

    monkeypatch.setattr(ours, "finished_sequences", spy)
    ids = neo_np.load(tiny).tokenizer.encode((tiny.parent / "text.txt").read_text())
    passage, new = 8, 24  # of the 32 positions
    for side, guesses in ((ours.speculative, 8), (ours.plain, None)):
        run = side(job)
        for repeats, text in ((True, ids[:passage] * 4), (False, ids)):
            written.clear()
            run(repeats)
            assert all(entry == (guesses, text[:passage], text[passage : passage + new]) for entry in written)
