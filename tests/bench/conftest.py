"""Fixtures for the tests of the benchmarks."""

import pytest
from helpers import random_model

import neo_np
from neo_np import Tokenizer
from neo_np.bench import process

TEXT = "It's 12 o'clock,  said the king -- naïve as a child… 好\n\n\tand   so on  "


@pytest.fixture(scope="session")
def text():
    """A text with words, digits, white space and characters of several bytes."""
    return TEXT


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """The folder of a tiny checkpoint with a tokenizer, and a text beside it."""
    folder = tmp_path_factory.mktemp("bench")
    neo_np.save(random_model(tokenizer=Tokenizer.train([TEXT], 300), vocab_size=300), folder / "tiny")
    (folder / "text.txt").write_text(TEXT * 20, encoding="utf-8")
    return folder / "tiny"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    """Do not wait between measurements."""
    monkeypatch.setattr(process, "PAUSE", 0)
