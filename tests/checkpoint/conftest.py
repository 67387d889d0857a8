"""Checkpoint folders for the tests to change."""

import pytest
from helpers import byte_tokenizer, random_model

import neo_np


@pytest.fixture
def model():
    return random_model(vocab_size=2048, tokenizer=byte_tokenizer())


@pytest.fixture
def folder(model, tmp_path):
    """A checkpoint folder for one test."""
    neo_np.save(model, tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory):
    """A checkpoint folder for all examples of a property, which must leave it as it was."""
    folder = tmp_path_factory.mktemp("small")
    neo_np.save(random_model(vocab_size=257, hidden_size=6, tokenizer=byte_tokenizer()), folder)
    return folder
