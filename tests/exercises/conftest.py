"""Tests of the exercises keep progress in a folder of their own."""

import pytest


@pytest.fixture(autouse=True)
def progress_file(tmp_path, monkeypatch):
    """Let NEO_NP_PROGRESS name a file that does not exist yet."""
    file = tmp_path / "progress.json"
    monkeypatch.setenv("NEO_NP_PROGRESS", str(file))
    return file
