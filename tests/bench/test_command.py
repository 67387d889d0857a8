"""The command `python -m neo_np.bench`: what it measures, what it prints, and how it ends."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT

import neo_np
from neo_np.bench import command, plot, rounds
from neo_np.bench.benchmarks import BENCHMARKS, NEO, PEERS, PLAIN, ROOFLINE
from neo_np.folders.find import DEFAULT_CHECKPOINT

QUICK = ["--seconds", "0.001"]
TRAIN = "--layers 1 --hidden-size 8 --heads 2 --vocab-size 20 --sequence-length 16 --batch-size 2 --steps 3".split()


def run_json(capsys, *arguments):
    assert command.main([*map(str, arguments), *QUICK, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


@pytest.fixture(scope="module")
def everything(tiny):
    """The result of all benchmarks in two rounds, and the seconds that it took."""
    arguments = ["--model", tiny, "--text", tiny.parent / "text.txt", "--rounds", "2", *TRAIN, *QUICK, "--json"]
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "neo_np.bench", *map(str, arguments)], cwd=ROOT, capture_output=True, check=True
    )
    return json.loads(done.stdout), time.perf_counter() - start


@pytest.mark.slow
def test_every_benchmark_is_measured_in_every_case_and_round(everything, tiny):
    found, _ = everything
    config = neo_np.load(tiny).config
    assert list(found["benchmarks"]) == list(BENCHMARKS)
    for name, benchmark in found["benchmarks"].items():
        assert list(benchmark["cases"]) == list(BENCHMARKS[name].cases(config)), name
        assert benchmark["unit"] == BENCHMARKS[name].unit
        for entries in benchmark["cases"].values():
            others = {"prefill": [ROOFLINE], "decode": [ROOFLINE], "speculative": [PLAIN]}.get(name, [])
            assert list(entries) == [NEO, *others]
            for entry in entries.values():
                assert len(entry["rounds"]) == 2
                assert min(entry["rounds"]) > 0
                assert entry["median"] == pytest.approx(sum(entry["rounds"]) / 2)
    assert found["machine"]["numpy"] == np.__version__


@pytest.mark.slow
def test_results_fit_into_the_time_that_they_took(everything):
    found, elapsed = everything
    first = {name: next(iter(benchmark["cases"].values()))[NEO] for name, benchmark in found["benchmarks"].items()}
    assert sum(first["start"]["rounds"] + first["load"]["rounds"]) < elapsed
    assert sum(3 * 2 * 16 / speed for speed in first["train"]["rounds"]) < elapsed
    assert 10 < first["memory"]["median"] < 1000


@pytest.mark.slow
def test_start_takes_longer_than_load_because_it_imports_numpy(everything):
    cases = {name: next(iter(everything[0]["benchmarks"][name]["cases"].values()))[NEO] for name in ("start", "load")}
    assert min(cases["start"]["rounds"]) > max(cases["load"]["rounds"])


@pytest.mark.slow
def test_tables_fit_a_hundred_columns_and_name_machine_and_duration(tiny, capsys):
    assert command.main(["load", "--model", str(tiny), "--rounds", "1"]) == 0
    captured = capsys.readouterr()
    assert max(map(len, captured.out.splitlines())) <= 100
    assert f"NumPy {np.__version__}" in captured.out
    assert "model:   tiny: 2 layers, C=24, 3 heads, 300 tokens, 32 positions" in captured.out
    assert re.search(r"takes:   about \d+ s", captured.out)
    assert "load: from the weights on disk" in captured.out


def fake_measure(monkeypatch, error=None):
    """Measure two cases of a benchmark in no time, note what has been printed before each, and end with an error."""
    printed = []

    def measure(name, job, backends, rounds, peer_seconds):
        for label in ("8 tokens", "32 tokens"):
            printed.append(sys.stdout.getvalue() if hasattr(sys.stdout, "getvalue") else "")
            yield label, {backend: {"rounds": [5.0], "median": 5.0, "threads": None, "peak_mb": 1.0} for backend in backends}
        if error:
            raise error

    monkeypatch.setattr(command, "measure", measure)
    return printed


def test_rows_are_printed_when_their_case_is_done(tiny, monkeypatch, capsys):
    printed = fake_measure(monkeypatch)
    assert command.main(["prefill", "--model", str(tiny)]) == 0
    assert [text.count("GFLOP/s") for text in printed] == [0, 1]
    assert capsys.readouterr().out.count("GFLOP/s") == 2


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt(), 130), (neo_np.NeoError("peer died."), 2), (SystemExit(143), 143)]
)
def test_interrupted_run_prints_what_it_has(error, status, tiny, monkeypatch, capsys):
    fake_measure(monkeypatch, error)
    for options in ([], ["--json"]):
        try:
            assert command.main(["prefill", "--model", str(tiny), *options]) == status
        except SystemExit as left:
            assert left.code == status
    out = capsys.readouterr().out
    assert out[: out.index("{\n")].count("GFLOP/s") == 2
    found = json.loads(out[out.index("{\n") :])
    assert found["benchmarks"]["prefill"]["cases"]["32 tokens"][ROOFLINE] == {
        "rounds": [5.0],
        "median": 5.0,
        "threads": None,
        "peak_mb": 1.0,
        "ratio": 1.0,
    }


def test_ratio_needs_rounds_of_both_sides():
    entry, faster, none = (
        {"rounds": [6.0], "median": 6.0},
        {"rounds": [2.0], "median": 2.0},
        {"rounds": [], "note": "no answer"},
    )
    assert command.with_ratios("decode", {NEO: entry, "openvino": none}) == {NEO: entry, "openvino": none}
    assert command.with_ratios("decode", {NEO: entry, "openvino": faster})["openvino"]["ratio"] == 3.0
    assert command.with_ratios("start", {NEO: entry, "openvino": faster})["openvino"]["ratio"] == 1 / 3


def test_shape_is_a_temporary_checkpoint_that_is_removed_however_it_ends(monkeypatch, tmp_path):
    monkeypatch.setitem(command.SHAPES, "125M", (1, 16, 2))
    monkeypatch.setattr(command.tempfile, "tempdir", str(tmp_path))
    met = []

    def interrupted(name, job, *rest):
        model = neo_np.load(job.folder)
        met.append((model.config, model.tokenizer.encode("king")))
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "measure", interrupted)
    assert command.main(["prefill", "--shape", "125M"]) == 130
    [(config, ids)] = met
    assert (config.num_layers, config.hidden_size, config.intermediate_size, config.vocab_size) == (1, 16, 64, 50257)
    assert ids == [3364]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked up in /proc")
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.slow)])
def test_signal_ends_every_process(sent, status, tiny):
    arguments = [sys.executable, "-m", "neo_np.bench", "start", "--model", str(tiny), "--rounds", "1000"]
    process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()

    def running():
        return [pid for pid in os.listdir("/proc") if pid.isdigit() and str(tiny).encode() in read_command_line(pid)]

    while len(running()) < 2:  # the command itself, and what it measures
        time.sleep(0.03)
    process.send_signal(sent)
    process.communicate(timeout=60)
    assert process.returncode == status
    deadline = time.monotonic() + 10  # on a busy machine, what it measures ends a little later
    while running() and time.monotonic() < deadline:
        time.sleep(0.03)
    assert running() == []


def read_command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def error_of(capsys, *arguments):
    """Return the one line that the command prints for an error."""
    try:
        assert command.main([*map(str, arguments)]) == 2
    except SystemExit as left:  # argparse
        assert left.code == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train --rounds 0", "whole number above 0"),
        ("train --heads 3 --hidden-size 8", "--hidden-size 8 is not divisible by --heads 3"),
        ("train --layers 1000000000", "--layers is 1000000000, and neo_np takes up to"),
        ("train --batch-size 2000000000", "training needs at least"),
        ("growth --plot=", "argument --plot: it is empty"),
        ("train --layers x", "whole number"),
        ("train --against nothing", "there is no peer 'nothing': choose from transformers, torch"),
        ("train --against transfomers", "did you mean 'transformers'?"),
        ("--against torch train", "benchmarks come before --against"),
        ("prefill --against tiktoken", "it can do tokenizer"),
        ("sleep", "there is no benchmark 'sleep': choose from start, load, prefill"),
        ("prefil", "did you mean 'prefill'?"),
        ("start --shape 7B", "125M"),
        (f"start --shape 125M --model {DEFAULT_CHECKPOINT}", "not allowed with"),
        ("start --round 3", "--rounds"),
        ("start --peer_seconds 3", "did you mean --peer-seconds?"),
        ("decode --plot x.png", "growth"),
        ("growth --plot /nowhere/at/all/x.png", "there is no folder /nowhere/at/all"),
        ("growth --plot /", "it is a folder"),
        ("tokenizer --text /nowhere.txt", "/nowhere.txt cannot be read"),
        ("decode --model /nowhere", "/nowhere"),
        ("decode --seconds -1", "0 or more"),
        ("decode --peer-seconds 0", "above 0"),
    ],
)
def test_mistake_is_one_line_at_once(arguments, words, capsys):
    assert words in error_of(capsys, *arguments.split())


@pytest.mark.parametrize(
    ("benchmark", "text", "words"),
    [
        ("tokenizer", b"", "is empty"),
        ("speculative", b"The king.", "needs 32: name a longer one"),
        ("tokenizer", b"\xff", "not UTF-8"),
    ],
)
def test_text_that_cannot_be_used_is_refused_at_once(benchmark, text, words, tiny, tmp_path, capsys):
    (tmp_path / "text.txt").write_bytes(text)
    assert words in error_of(capsys, benchmark, "--model", tiny, "--text", tmp_path / "text.txt")


@pytest.mark.parametrize(
    ("arguments", "warning"),
    [
        (["--layers", "2"], "--layers changes nothing here: it needs train."),
        (["--text", "x.txt"], "--text changes nothing here: it needs tokenizer or speculative."),
        (["--peer-seconds", "3"], "--peer-seconds changes nothing here: it needs --against."),
    ],
)
def test_option_that_changes_nothing_is_named(arguments, warning, tiny, monkeypatch, capsys):
    fake_measure(monkeypatch)
    assert command.main(["prefill", "--model", str(tiny), *arguments]) == 0
    assert capsys.readouterr().err == f"warning: {warning}\n"


def test_package_that_is_not_installed_is_named_at_once(monkeypatch, capsys):
    monkeypatch.setattr(rounds, "find_spec", lambda name: None)
    assert "pip install transformers torch" in error_of(capsys, "start", "--against", "transformers")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install matplotlib" in error_of(capsys, "growth", "--plot", "x.png")


def test_picture_in_a_forbidden_folder_is_refused_at_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(plot.os, "access", lambda path, mode: Path(path) != tmp_path)
    assert "no permission" in error_of(capsys, "growth", "--plot", tmp_path / "x.png")


def test_picture_is_drawn_from_the_results_of_growth(tiny, monkeypatch, tmp_path):
    drawn = []
    fake_measure(monkeypatch)
    monkeypatch.setattr(plot, "import_pyplot", lambda: None)
    monkeypatch.setattr(command, "check_picture", lambda file: drawn.append(("checked", file)))
    monkeypatch.setattr(command, "plot", lambda cases, *rest: drawn.append((list(cases), rest[-1])))
    assert command.main(["growth", "--model", str(tiny), "--plot", "x.png"]) == 0
    assert drawn == [("checked", "x.png"), (["8 tokens", "32 tokens"], "x.png")]


def test_chosen_benchmarks_are_those_that_the_peers_can_do():
    def chosen(*arguments):
        return command.chosen_benchmarks(command.build_parser().parse_args(arguments))

    assert list(chosen()) == list(BENCHMARKS)
    assert list(chosen("--against", "transformers")) == ["start", "load", "prefill", "decode", "batch", "memory"]
    assert list(chosen("--against", "torch", "tiktoken")) == ["tokenizer", "train"]
    assert chosen("decode", "start", "--against", "transformers") == {
        "start": [NEO, "transformers"],
        "decode": [NEO, "transformers", ROOFLINE],
    }
    assert chosen("growth", "train", "--against", "torch") == {"growth": [NEO], "train": [NEO, "torch"]}
    assert chosen("prefill", "--against", "openvino", "torch.compile", "openvino") == {
        "prefill": [NEO, "openvino", "torch.compile", ROOFLINE]
    }


def test_every_peer_can_do_something():
    able = {backend for benchmark in BENCHMARKS.values() for backend in benchmark.backends}
    assert able == {NEO, ROOFLINE, PLAIN, *PEERS}


def test_help_has_the_benchmarks_a_default_for_each_option_and_two_examples():
    text = command.build_parser().format_help()
    assert all(f"  {name}" in text for name in BENCHMARKS)
    options, examples = text.split("examples:")
    assert examples.count("python -m neo_np.bench") == 2
    assert len(re.findall(r"^  --(?!help|shape)", options, re.M)) == options.count("(default:") - 1  # BENCHMARK has one, too
