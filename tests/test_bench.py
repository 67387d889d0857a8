"""The command `python -m neo_np.bench train`: what it measures and what it says; torch itself is met in tests/parity."""

import io
import json
import time

import pytest

from neo_np import bench

SMALL = "train --layers 1 --hidden-size 8 --heads 2 --vocab-size 20 --sequence-length 16 --batch-size 2 --steps 3".split()


def test_our_side_alone(capsys):
    began = time.perf_counter()
    assert bench.main([*SMALL, "--rounds", "4", "--json"]) == 0
    elapsed = time.perf_counter() - began
    result = json.loads(capsys.readouterr().out)
    [(side, found)] = result["sides"].items()
    assert side == "neo_np"
    assert len(found["tokens_per_second"]) == 4
    assert sum(3 * 2 * 16 / speed for speed in found["tokens_per_second"]) < elapsed  # the turns took part of the time
    assert 10 < found["peak_mb"] < 1000
    assert result["work"] | {"layers": 1, "batch_size": 2, "sequence_length": 16} == result["work"]
    assert "NumPy" in found["about"]


def test_the_report_gives_medians_ranges_memory_and_the_ratio():
    sides = {
        "neo_np": {"tokens_per_second": [100.0, 300.0, 1200.0], "peak_mb": 99.6, "about": "NumPy 2"},
        "torch": {"tokens_per_second": [150.0, 10.0, 200.0], "peak_mb": None, "about": "torch 2"},
    }
    lines = bench.report({"machine": "a machine", "work": {"layers": 4, "batch_size": 16}, "sides": sides}).splitlines()
    assert lines == [
        "training on a machine: layers 4, batch size 16",
        "neo_np: 300 tokens/s (100 to 1,200), peak memory 100 MB; NumPy 2",
        "torch: 150 tokens/s (10 to 200); torch 2",
        "neo_np is 2.00 x as fast as torch",
    ]


def test_the_sides_take_turns(monkeypatch):
    order = []

    class Side:
        def __init__(self, side):
            self.side, self.stdin = side, self
            self.stdout = io.StringIO('{"about": "x"}\n' + '{"seconds": 2.0, "peak_mb": 1.0}\n' * 3)

        def write(self, steps):
            order.append((self.side, steps))

        def flush(self): ...
        def kill(self): ...
        def communicate(self): ...

    monkeypatch.setattr(bench, "start", lambda side, arguments: Side(side))
    args = bench.build_parser().parse_args([*SMALL, "--rounds", "3"])
    result = bench.compare(["neo_np", "torch"], args, [])
    assert order == [("neo_np", "3\n"), ("torch", "3\n")] * 3
    assert result["sides"]["torch"]["tokens_per_second"] == [3 * 2 * 16 / 2.0] * 3


@pytest.mark.parametrize(
    ("words", "said"),
    [("No module named 'torch'", "pip install torch transformers"), ("out of memory", "out of memory")],
)
def test_a_side_that_dies_is_named_with_its_last_words(words, said, tmp_path, monkeypatch, capsys):
    (tmp_path / "torch.py").write_text(f'raise ModuleNotFoundError("{words}")')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert bench.main([*SMALL, "--rounds", "1", "--against", "torch"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: torch cannot be measured")
    assert said in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize("wrong", ["--rounds 0", "--heads 3", "--layers x", "--against nothing", "--vocab-size -1"])
def test_nonsense_is_one_line(wrong, capsys):
    try:
        assert bench.main([*SMALL, *wrong.split()]) == 2
    except SystemExit as left:  # argparse
        assert left.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
