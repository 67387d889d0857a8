"""What the README of the benchmarks shows exists."""

import re

import pytest
from helpers import ROOT

from neo_np.bench import command
from neo_np.bench.benchmarks import BENCHMARKS, PEERS

FOLDER = ROOT / "neo_np" / "bench"
README = (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", re.findall(r"^    python -m neo_np\.bench([^\n#]*)", README, re.M))
def test_command_has_options_benchmarks_and_peers_that_exist(line):
    args = command.build_parser().parse_args(line.split())
    command.check_names(args)
    assert command.chosen_benchmarks(args)


def test_table_names_every_benchmark_with_its_peers():
    rows = re.findall(r"^\| `(\w+)` \| .*? \| (.*?) ?\|$", README, re.M)
    assert {name: peers.split(", ") if peers else [] for name, peers in rows} == {
        name: [backend for backend in benchmark.backends if backend in PEERS] for name, benchmark in BENCHMARKS.items()
    }


def test_map_names_every_file():
    files = {file.relative_to(FOLDER).as_posix() for file in FOLDER.rglob("*.py") if not file.name.startswith("__")}
    assert set(re.findall(r"\]\(([\w/]+\.py)\)", README)) == files


def test_picture_exists():
    [picture] = re.findall(r"\]\((\w+\.png)\)", README)
    assert (FOLDER / picture).is_file()
