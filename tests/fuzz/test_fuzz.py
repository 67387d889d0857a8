"""A few thousand damaged inputs, and proof that the fuzzer notices a mistake."""

import subprocess
import sys

import pytest
from fuzz.fuzz import Fuzzer
from helpers import ROOT

from neo_np.checkpoint import loading
from neo_np.evaluate import json_lines

COUNT = 4000


def test_any_damage_gives_a_result_or_a_neo_error():
    command = [sys.executable, ROOT / "tests" / "fuzz" / "fuzz.py", "--count", str(COUNT)]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout + found.stderr
    assert f"{COUNT} inputs" in found.stdout


@pytest.mark.parametrize(("module", "name"), [(loading, "load_config"), (json_lines, "read_json_line")])
def test_fuzzer_notices_an_exception_that_is_no_neo_error(tmp_path, monkeypatch, module, name):
    fuzzer = Fuzzer(tmp_path)

    def fail(*_):
        raise KeyError(name)

    monkeypatch.setattr(module, name, fail)
    failures = [outcome.failure for outcome in map(fuzzer.run, range(40)) if outcome.failure]
    assert any(isinstance(failure, KeyError) and failure.args == (name,) for failure in failures)
