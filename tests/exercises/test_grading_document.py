"""notebooks/GRADING.md says what happens: its code runs, its output is that of the command, its tables are complete."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
from exercises.grading_helpers import HEAD, SOFTMAX, STRICT_MASK, notebook
from helpers import ROOT

from neo_np.exercises import command, load_registry
from neo_np.exercises.course import TRANSFER, find
from neo_np.exercises.diagnosis import ANOTHER_TYPE, ARGUMENTS, NOT_BEGUN, RANDOM, SLOW
from neo_np.exercises.grading import grader, worker

FILE = ROOT / "notebooks" / "GRADING.md"
TEXT = FILE.read_text(encoding="utf-8")
TEMPLATE, PASSES, OWN_EXERCISE, *TASKS, OWN_SOLUTION = re.findall(r"```python\n(.*?)```", TEXT, re.S)
SECONDS = grader.SECONDS  # before a fixture makes it longer
COMMANDS = re.findall(r"python -m neo_np\.exercises ([^\n`]*)", TEXT)


@pytest.fixture
def submissions(tmp_path, monkeypatch):
    """Be in a folder with the notebook of a student, who has one right and one wrong answer."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "submissions").mkdir()
    for name in ("submissions/ada.ipynb", "05_one_head.ipynb"):
        (tmp_path / name).write_text(notebook(HEAD, SOFTMAX, STRICT_MASK), encoding="utf-8")


@pytest.mark.slow
def test_output_in_the_document_is_that_of_the_command(submissions, capsys):
    shown = re.search(r"^    registry .*?(?=^\S)", TEXT, re.M | re.S)[0].rstrip().splitlines()
    assert command.main(["grade", "submissions", "--only", "05"]) == 0
    out = capsys.readouterr().out.splitlines()
    assert [line[4:] for line in shown[1:]] == out[1:]
    pattern = r"registry [0-9a-f]{8}: \d+ exercises and 6 transfer exercises"
    assert re.fullmatch(pattern, shown[0].strip()) and re.fullmatch(pattern, out[0])


@pytest.mark.parametrize("line", COMMANDS)
def test_command_in_the_document_has_options_that_exist(line):
    assert command.build_parser().parse_args(line.split()).command == "grade"


def test_document_has_every_option_and_every_reason():
    options = {name for name in re.findall(r"--\w+", TEXT)}
    kinds = next(action for action in command.build_parser()._actions if action.choices)
    known = {name for action in kinds.choices["grade"]._actions for name in action.option_strings if name.startswith("--")}
    assert options == known - {"--help"}
    reasons = {
        NOT_BEGUN,
        ARGUMENTS,
        RANDOM,
        SLOW,
        ANOTHER_TYPE.name,
        grader.MISSING,
        grader.UNREADABLE,
        grader.SYNTAX,
        grader.NO_RESULT,
    }
    reasons |= {worker.USES_PACKAGE, grader.USES_LIBRARY, worker.ERROR, worker.NOT_NAMED}
    paragraph = re.search(r"In the brackets is the mistake.*?\n\n", TEXT, re.S)[0]
    assert set(re.findall(r"`(.*?)`", paragraph)) == reasons


def test_document_has_the_limits_of_the_code():
    assert f"after {SECONDS:.0f} seconds" in TEXT and worker.MEMORY == 2**30 and "1 GB of memory" in TEXT and grader.TRIES == 2
    assert "**This is no sandbox.**" in TEXT


@pytest.mark.slow
def test_template_has_six_lines_and_tests_each_exercise(submissions):
    names = {}
    exec(TEMPLATE, names)
    assert len(TEMPLATE.splitlines()) == 6
    assert names["test_answer"].pytestmark[0].args == ("exercise", ["softmax", "causal_mask", "attend"])
    names["test_answer"]("softmax")
    with pytest.raises(AssertionError):
        names["test_answer"]("causal_mask")
    with pytest.raises(AssertionError):
        names["test_answer"]("attend")


@pytest.mark.slow
def test_template_run_by_pytest_shows_the_mistake(submissions, tmp_path):
    (tmp_path / "test_answers.py").write_text(TEMPLATE, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command_line = [sys.executable, "-m", "pytest", "-q", "test_answers.py", "-p", "no:cacheprovider"]
    done = subprocess.run(command_line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "2 failed, 1 passed" in done.stdout and "A token does not see itself." in done.stdout


def test_cell_for_nbgrader_and_otter_passes_a_right_answer_only(capsys):
    def layer_norm(x, weight, bias, eps):
        centered = x - x.mean(-1, keepdims=True)
        return centered / np.sqrt((centered**2).mean(-1, keepdims=True) + eps) * weight + bias

    exec(PASSES, {"layer_norm": layer_norm})
    with pytest.raises(AssertionError):
        exec(PASSES, {"layer_norm": lambda x, weight, bias, eps: x})
    assert "layer_norm: not yet." in capsys.readouterr().out


def test_own_exercise_is_graded_by_the_command(submissions, own_registry, tmp_path, capsys):
    (tmp_path / "lecturer.py").write_text(OWN_EXERCISE, encoding="utf-8")
    (tmp_path / "exam.py").write_text("def half(x):\n    return x * 2\n", encoding="utf-8")
    line = next(line for line in COMMANDS if "lecturer.py" in line)
    assert command.main([*line.split(), "--csv"]) == 0
    assert "exam.py,half,0,doubled," in capsys.readouterr().out


def test_own_solution_of_a_transfer_exercise_is_right(own_registry, tmp_path):
    (tmp_path / "lecturer.py").write_text(OWN_SOLUTION, encoding="utf-8")
    load_registry(tmp_path / "lecturer.py")
    assert find("rms_norm").reference.__name__ == "rms_norm"


def test_table_of_transfer_exercises_is_complete():
    rows = re.findall(r"^\| `(.*?)` \| (\d\d) \|", TEXT, re.M)
    assert rows == [(exercise.signature, exercise.notebook) for exercise in TRANSFER.values()]


def test_tasks_of_transfer_exercises_are_their_stubs():
    assert [task.rstrip("\n") for task in TASKS] == [exercise.stub() for exercise in TRANSFER.values()]
    assert TASKS[0] in (ROOT / "notebooks" / "source" / "17_where_next.py").read_text(
        encoding="utf-8"
    )  # the only one in a notebook


def test_links_of_the_document_lead_to_files():
    for target in re.findall(r"\]\((?!http)([^)#]+)", TEXT):
        assert (FILE.parent / target).exists(), target
