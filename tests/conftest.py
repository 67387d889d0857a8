"""Fixtures and settings that all tests share."""

import gc
import os
import signal
from pathlib import Path

# Before NumPy is imported: for models as small as most here, BLAS threads only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import pytest
from hypothesis import settings

import neo_np

# Started in the background (`pytest &` in a script, `nohup pytest`), Python and what it starts would ignore these signals.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

settings.register_profile("local", max_examples=25, deadline=None)  # other ones in each run
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_finish():
    """Leave what collection has made out of every later garbage collection: thousands of tests live until the end."""
    gc.freeze()


@pytest.fixture(scope="session")
def tales():
    """The checkpoint that ships."""
    return neo_np.load()


@pytest.fixture(scope="session")
def gpt2_tokenizer():
    """The tokenizer of GPT-Neo 125M."""
    return neo_np.Tokenizer.load(ROOT / "weights" / "gpt-neo-125M")
