"""The command `python -m neo_np.exercises grade`, as a teacher uses it."""

import csv
import io
import json
import re
import signal
import subprocess
import sys
import time

import pytest
from exercises.grading_helpers import ATTEND, CAUSAL_MASK, HEAD, SOFTMAX, STRICT_MASK, notebook
from helpers import ROOT

from neo_np.exercises import command, registry
from neo_np.exercises.grading import grader
from neo_np.exercises.grading.grader import Grade

SCALED = "The scores are divided, by 'sqrt(D)'."


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run the command in a folder of its own and return (status, output, errors)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            status = command.main([*map(str, arguments)])
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def no_process(monkeypatch):
    """Let every answer that is there be right except "attend", without starting a process; return the list of the jobs."""
    jobs = []

    def answer(self, job, seconds):
        jobs.append(job)
        if job["exercise"] == "attend":
            return {"mistake": "scaled", "remark": SCALED, "seconds": 0.5}
        return {"mistake": "", "remark": "", "seconds": 0.25}

    monkeypatch.setattr("neo_np.exercises.grading.process.Workers.answer", answer)
    return jobs


def test_table_has_version_points_mistakes_and_notes(run, no_process, tmp_path):
    (tmp_path / "ada.ipynb").write_text(notebook(HEAD, SOFTMAX, "def broken(:", ATTEND), encoding="utf-8")
    status, out, err = run("grade", "ada.ipynb", "--only", "05")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"registry [0-9a-f]{8}: \d+ exercises and 6 transfer exercises", out.splitlines()[0])
    assert out.splitlines()[1:] == [
        "",
        "ada.ipynb: 1 of 3 points",
        "  1  softmax      right",
        "  0  causal_mask  [missing] There is no function causal_mask in this file.",
        "  0  attend       [scaled] The scores are divided, by 'sqrt(D)'.",
        "  note: cell 3 was skipped, because it does not parse: invalid syntax in line 1.",
    ]


def test_csv_has_five_columns_and_the_version_beside_it(run, no_process, tmp_path):
    (tmp_path / 'a, "b".py').write_text(HEAD + SOFTMAX + ATTEND, encoding="utf-8")
    status, out, err = run("grade", 'a, "b".py', "--csv")
    assert status == 0 and re.match(r"registry [0-9a-f]{8}: ", err)
    assert list(csv.reader(io.StringIO(out))) == [
        ["file", "exercise", "points", "mistake", "seconds"],
        ['a, "b".py', "softmax", "1", "", "0.25"],
        ['a, "b".py', "attend", "0", "scaled", "0.5"],
    ]


def test_json_has_version_files_notes_and_exercises(run, no_process, tmp_path):
    (tmp_path / "a.py").write_text(HEAD + SOFTMAX + ATTEND, encoding="utf-8")
    (tmp_path / "b.ipynb").write_text("no notebook", encoding="utf-8")
    status, out, err = run("grade", "a.py", "b.ipynb", "--json")
    found = json.loads(out)
    assert (status, err) == (0, "") and found["registry"] == registry.registry_version()
    first, second = found["files"]
    assert first == {
        "file": "a.py",
        "points": 1,
        "of": 2,
        "notes": [],
        "exercises": [
            {"exercise": "softmax", "points": 1, "mistake": "", "remark": "", "seconds": 0.25},
            {
                "exercise": "attend",
                "points": 0,
                "mistake": "scaled",
                "remark": "The scores are divided, by 'sqrt(D)'.",
                "seconds": 0.5,
            },
        ],
    }
    assert (second["points"], second["of"]) == (0, 2) and "is no notebook of Jupyter" in second["notes"][0]
    assert [exercise["mistake"] for exercise in second["exercises"]] == ["unreadable", "unreadable"]


LECTURER = """
import numpy as np
from neo_np.exercises import Case, Exercise, mistake, register
register(Exercise(
    name="half", notebook="01", minutes=2, signature="half(x)", task="Halve.", reference=lambda x: x / 2,
    variant=lambda x, factor=0.5: x * factor, cases=lambda: [Case((np.arange(1.0, n),)) for n in (2, 3, 5)],
    mistakes=(mistake("doubled", {"factor": 2}, "you double.", "Why?"),), hints=("a", "b", "c"),
))
"""

UNREADABLE = {
    "empty.ipynb": (b"", "is empty (0 bytes)"),
    "old.ipynb": (b'{"nbformat": 3, "worksheets": []}', "is no notebook of Jupyter (version 4)"),
    "latin1.py": ("x = 'ö'".encode("latin-1"), "UTF-8"),
    "bytes.ipynb": (bytes(range(256)), "UTF-8"),
}


@pytest.mark.parametrize(("name", "data", "words"), [(name, *rest) for name, rest in UNREADABLE.items()], ids=UNREADABLE)
def test_file_that_cannot_be_read_is_unreadable_in_all_outputs_and_not_missing(run, no_process, name, data, words, tmp_path):
    (tmp_path / "a.py").write_text(SOFTMAX, encoding="utf-8")
    (tmp_path / name).write_bytes(data)
    _, out, err = run("grade", ".", "--csv")
    assert f"{name},softmax,0,unreadable,0.0" in out and f"note: {name}: " in err and words in err
    exercise = json.loads(run("grade", name, "--only", "softmax", "--json")[1])["files"][0]["exercises"][0]
    assert exercise["mistake"] == "unreadable" and words in exercise["remark"]
    table = " ".join(run("grade", name, "--only", "softmax")[1].split())
    assert "[unreadable] The file cannot be read: " in table and words in table


def test_exercise_of_one_file_only_gets_a_note_and_only_leaves_it_out(run, no_process, tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.py").write_text(SOFTMAX + "\ndef clip(x):\n    return x\n" * (name == "b"), encoding="utf-8")
    note = "note: only b.py has a function clip of notebook 14. If that is a helper, use --only.\n"
    assert run("grade", ".")[2] == note and run("grade", ".", "--csv")[2].endswith(note)
    assert run("grade", ".", "--only", "05")[2] == ""


def test_table_of_several_files_ends_with_a_line_for_each_exercise(run, no_process, tmp_path):
    for name, text in (("a", SOFTMAX + ATTEND), ("b", SOFTMAX), ("c", ATTEND)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    lines = run("grade", ".")[1].splitlines()
    assert lines[-4:] == [
        "",
        "all files:",
        "  softmax  2 of 3 right, 1 missing",
        "  attend   0 of 3 right, 2 scaled, 1 missing",
    ]


def test_registry_file_beside_the_submissions_is_none_of_them(run, no_process, own_registry, tmp_path):
    (tmp_path / "a.py").write_text(SOFTMAX, encoding="utf-8")
    (tmp_path / "lecturer.py").write_text(LECTURER + SOFTMAX.replace("@check", ""), encoding="utf-8")
    out = run("grade", ".", "--registry", "lecturer.py", "--csv", "--only", "softmax")[1]
    assert [line.split(",")[0] for line in out.splitlines()] == ["file", "a.py"]


def test_exercises_are_those_that_a_file_answers_or_those_of_only(run, no_process, tmp_path):
    (tmp_path / "a.py").write_text(HEAD + SOFTMAX, encoding="utf-8")
    (tmp_path / "b.py").write_text(HEAD + ATTEND + CAUSAL_MASK, encoding="utf-8")

    def graded(*arguments):
        return [tuple(row[:2]) for row in csv.reader(io.StringIO(run("grade", *arguments, "--csv")[1]))][1:]

    assert graded("a.py") == [("a.py", "softmax")]
    both = ["softmax", "causal_mask", "attend"]
    assert graded("a.py", "b.py") == [(file, name) for file in ("a.py", "b.py") for name in both]
    assert graded("a.py", "--only", "attend") == [("a.py", "attend")]
    chosen = graded("a.py", "--only", " attend , rms_norm", "--only", "softmax")
    assert chosen == [("a.py", name) for name in ("softmax", "attend", "rms_norm")]
    assert graded("a.py", "--only", "5,softmax") == [("a.py", n) for n in both]


def test_folder_stands_for_its_notebooks_and_scripts(run, no_process, tmp_path):
    for name in ("ada/05.ipynb", "bob.py", "notes.txt", ".ipynb_checkpoints/05.ipynb", "ada/.hidden.py"):
        (tmp_path / "class" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "class" / name).write_text(notebook(SOFTMAX) if "ipynb" in name else SOFTMAX, encoding="utf-8")
    out = run("grade", "class", "class/bob.py", "--csv")[1]
    assert [row.split(",")[0] for row in out.splitlines()[1:]] == ["class/ada/05.ipynb", "class/bob.py"]


def test_seed_is_given_to_the_workers(run, no_process, tmp_path):
    (tmp_path / "a.py").write_text(SOFTMAX, encoding="utf-8")
    assert run("grade", "a.py")[0] == run("grade", "a.py", "--seed", 7)[0] == 0
    assert [job["seed"] for job in no_process] == [None, 7]


def test_answer_that_uses_neo_np_is_refused_without_running_it(run, no_process, tmp_path):
    text = "from neo_np.gpt_neo.forward import softmax as theirs\ndef softmax(x):\n    return theirs(x)\n"
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    out = run("grade", "a.py")[1]
    assert "0  softmax  [uses neo_np] The answer uses `theirs`, which comes from neo_np." in out and no_process == []


@pytest.mark.parametrize(
    "text", ["import regex\ndef softmax(x):\n    return regex", "def softmax(x):\n    from regex import match\n    return x"]
)
def test_answer_that_uses_another_library_is_refused_without_running_it(run, no_process, text, tmp_path):
    (tmp_path / "a.py").write_text(text, encoding="utf-8")
    out = run("grade", "a.py")[1]
    assert "0  softmax  [uses a library] The answer uses the library `regex`. Write it with NumPy" in out and no_process == []


def test_answer_that_does_not_parse_is_named(run, no_process, tmp_path):
    text = notebook(HEAD, SOFTMAX, ATTEND.replace("@ v", "@ ("), "y = (")
    (tmp_path / "a.ipynb").write_text(text, encoding="utf-8")
    out = " ".join(run("grade", "a.ipynb", "--only", "05")[1].split())
    assert "0 attend [syntax] Python cannot read the function: '(' was never closed in line 3 of cell 3." in out
    assert "0 causal_mask [missing]" in out and no_process[0]["exercise"] == "softmax"


EMPTY = "has no function of an exercise."


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.py"], "missing.py does not exist: name .py or .ipynb files, or a folder of them."),
        (["a.txt"], "a.txt is neither a .py nor a .ipynb file: name files of these kinds."),
        (["folder"], "the folder folder has no .py and no .ipynb file"),
        (["empty.py"], f"empty.py {EMPTY}"),
        (["empty.ipynb"], f"empty.ipynb {EMPTY} empty.ipynb is empty (0 bytes): ask for the file again."),
        (["empty.py", "empty.ipynb"], "none of the files has a function of an exercise"),
        (["a.py", "--only", "sofmax"], "there is no exercise 'sofmax'. Did you mean 'softmax'?"),
        (["a.py", "--only", "softmax,99"], "there is no notebook 99 with exercises. There are 00, 01,"),
        (["a.py", "--only", "16"], "notebook 16 has no exercises. Those with exercises are 00, 01,"),
        (["a.py", "--only", ","], "--only has no name: give names of exercises or numbers of notebooks"),
        (["a.py", "--only", "rmsnorm"], "Did you mean 'rms_norm'?"),
        (["a.py", "--seed", "x"], "'x' is not a whole number, 0 or more"),
        (["a.py", "--jobs", "0"], "'0' is not a whole number above 0"),
        (["a.py", "--csv", "--json"], "not allowed with argument"),
        (["a.py", "--onyl", "05"], "did you mean --only?"),
        (["a.py", "--registry", "missing.py"], "missing.py cannot be read"),
        ([], "the following arguments are required: FILE"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, no_process, arguments, words, tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("a.txt", "empty.py", "empty.ipynb"):
        (tmp_path / name).touch()
    (tmp_path / "a.py").write_text(SOFTMAX, encoding="utf-8")
    status, out, err = run("grade", *arguments)
    assert (status, out) == (2, "") and err.startswith("error: ") and words in err and err.count("\n") == 1, err


def test_command_without_grade_says_so(run):
    status, _, err = run()
    assert status == 2 and "the first word must be grade (" in err
    assert "the first word must be grade, and it is 'grad'" in run("grad", "a.py")[2]


def test_help_shows_each_default_says_that_it_is_no_sandbox_and_has_two_examples_that_parse(run):
    parser = command.build_parser()
    kinds = next(action for action in parser._actions if action.choices)
    for action in kinds.choices["grade"]._actions:
        assert not action.option_strings or action.dest == "help" or "(default: " in action.help, action.dest
    for arguments in (["grade", "--help"], ["--help"]):
        status, out, _ = run(*arguments)
        examples = re.findall(r"^  python -m neo_np\.exercises (.*)$", out, re.M)
        assert status == 0 and len(examples) == 2
        assert [parser.parse_args(example.split()).command for example in examples] == ["grade"] * 2
    assert "This is no sandbox" in " ".join(run("grade", "--help")[1].split()).replace(
        "This is no sandbox", "This is no sandbox"
    )


def test_progress_is_shown(run, no_process, tmp_path, monkeypatch):
    (tmp_path / "a.py").write_text(SOFTMAX, encoding="utf-8")
    shown = io.StringIO()
    shown.isatty = lambda: True
    shown.reconfigure = lambda **options: None
    monkeypatch.setattr(sys, "stderr", shown)
    assert run("grade", "a.py")[0] == 0
    assert "grading" in shown.getvalue() and "100%" in shown.getvalue()


def test_registry_file_brings_exercises_to_the_command_and_its_workers(run, own_registry, tmp_path):
    (tmp_path / "lecturer.py").write_text(LECTURER, encoding="utf-8")
    (tmp_path / "a.py").write_text("def half(x):\n    return 2 * x\n", encoding="utf-8")
    before = registry.registry_version()
    status, out, _ = run("grade", "a.py", "--registry", "lecturer.py", "--csv")
    assert status == 0 and "a.py,half,0,doubled," in out
    assert registry.registry_version() != before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = 1\nraise ValueError('no')", "lecturer.py cannot be used in line 2: it stops with ValueError: no"),
        ("x = (", "it stops with SyntaxError"),
        ("exit()", "it stops with SystemExit"),
        ("x = 1", "lecturer.py cannot be used: it registers nothing"),
        (
            LECTURER.replace('{"factor": 2}', '{"fac": 2}'),
            "cannot make the mistake 'doubled': got an unexpected keyword argument 'fac'.",
        ),
        (LECTURER.replace('{"factor": 2}', '{"factor": 0.5}'), "the mistake 'doubled' of half changes no result"),
        (LECTURER.replace("x / 2", "x / 3"), "the reference and the variant of half differ in case 1"),
        (LECTURER.replace("(2, 3, 5)", "()"), "half has no cases"),
        (
            "from neo_np.exercises import register_solution\n@register_solution\ndef rms_norm(x, weight, eps):\n    return x",
            "this solution is not right. rms_norm: not yet.",
        ),
        (
            "from neo_np.exercises import register_solution\n@register_solution\ndef softmax(x):\n    return x",
            "softmax is no transfer exercise and has its solution",
        ),
    ],
)
def test_broken_registry_file_is_one_line_and_status_2(run, own_registry, text, words, tmp_path):
    (tmp_path / "lecturer.py").write_text(text, encoding="utf-8")
    (tmp_path / "a.py").write_text(SOFTMAX, encoding="utf-8")
    status, out, err = run("grade", "a.py", "--registry", "lecturer.py")
    assert (status, out) == (2, "") and words in err and err.count("\n") == 1, err


def test_grade_returns_what_the_command_prints(no_process, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.py").write_text(ATTEND, encoding="utf-8")
    assert grader.grade("a.py", "attend") == Grade("a.py", "attend", 0, "scaled", SCALED, 0.5)


def test_command_in_a_process_grades_a_notebook(tmp_path):
    (tmp_path / "a.ipynb").write_text(notebook("%matplotlib inline", HEAD, SOFTMAX, STRICT_MASK), encoding="utf-8")
    command_line = [sys.executable, "-m", "neo_np.exercises", "grade", str(tmp_path / "a.ipynb"), "--jobs", "2", "--csv"]
    done = subprocess.run(command_line, cwd=ROOT, capture_output=True, text=True)
    rows = [row[1:4] for row in csv.reader(io.StringIO(done.stdout))]
    assert done.returncode == 0 and rows == [
        ["exercise", "points", "mistake"],
        ["softmax", "1", ""],
        ["causal_mask", "0", "strict"],
    ]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_ctrl_c_ends_the_command_and_its_workers_silently(tmp_path):
    started = tmp_path / "started"
    body = f"import time\n    open({str(started)!r}, 'w').close()\n    time.sleep(60)"
    (tmp_path / "a.py").write_text(f"def softmax(x):\n    {body}\n", encoding="utf-8")
    command_line = [sys.executable, "-m", "neo_np.exercises", "grade", str(tmp_path / "a.py")]
    process = subprocess.Popen(command_line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not started.exists():
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, b"", b"")
