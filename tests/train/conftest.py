"""Fixtures of the tests of training."""

import os
import random
import subprocess

import pytest
from helpers import ROOT
from train_helpers import SMALL, WORDS, process_arguments

from neo_np.train import command


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """Tests kill processes but cut no power, so nothing depends on fsync."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def text(tmp_path):
    """A file of 1,500 random words."""
    (tmp_path / "text.txt").write_text(" ".join(random.Random(0).choices(WORDS, k=1500)))
    return tmp_path / "text.txt"


@pytest.fixture
def train(capsys):
    """Run the command in this process; gives (status, standard output, standard error)."""

    def run(*arguments):
        try:
            status = command.main([str(argument) for argument in arguments])
        except SystemExit as end:  # raised by argparse
            status = end.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """The folder of a run of `SMALL` that was never stopped; its text is text.txt beside it."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "text.txt").write_text(" ".join(random.Random(0).choices(WORDS, k=1500)))
    arguments = process_arguments(folder / "text.txt", "--out", folder / "run", *SMALL)
    subprocess.run(arguments, cwd=ROOT, capture_output=True, check=True)
    return folder / "run"
