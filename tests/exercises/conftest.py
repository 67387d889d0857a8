"""Tests of the exercises keep progress in a folder of their own."""

import pytest

from neo_np.exercises import course, diagnosis, effects, registry
from neo_np.exercises.grading import grader


@pytest.fixture(autouse=True)
def progress_file(tmp_path, monkeypatch):
    """Let NEO_NP_PROGRESS name a file that does not exist yet."""
    file = tmp_path / "progress.json"
    monkeypatch.setenv("NEO_NP_PROGRESS", str(file))
    return file


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Let the checker and the grader wait, so that a loaded computer fails no test. Tests of a limit set their own."""
    monkeypatch.setattr(diagnosis, "SECONDS", 60.0)
    monkeypatch.setattr(effects, "SECONDS", 60.0)
    monkeypatch.setattr(grader, "SECONDS", 60.0)
    monkeypatch.setattr(grader, "WORKER_SECONDS", 120.0)


@pytest.fixture
def own_registry():
    """Forget after the test which exercises and files it has registered."""
    before = [(kept, kept.copy()) for kept in (course.EXERCISES, course.TRANSFER, registry.LOADED)]
    yield
    for kept, copied in before:
        kept.clear()
        kept.extend(copied) if isinstance(kept, list) else kept.update(copied)
