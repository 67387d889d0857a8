"""Answers that do harm, each in its own process: whatever they do, the grader continues, and ends what they have started."""

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from exercises.grading_helpers import CAUSAL_MASK, HEAD, SOFTMAX, STRICT_MASK, dedented
from helpers import ROOT

from neo_np.exercises.grading import grader, process
from neo_np.exercises.grading.grader import grade, grade_all, read_submission
from neo_np.exercises.grading.process import Workers, result_of

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits of memory and /proc")


@pytest.fixture(autouse=True)
def one_try(monkeypatch):
    """Try only once what is slow or gives no result."""
    monkeypatch.setattr(grader, "TRIES", 1)


def graded(tmp_path, body, name="softmax", head=HEAD):
    """Return the grade of a function softmax(x) with this body."""
    file = tmp_path / "answer.py"
    file.write_text(head + f"def {name}(x):\n" + textwrap.indent(dedented(body), "    "), encoding="utf-8")
    return grade(file, name)


@pytest.mark.slow
def test_right_answer_in_its_own_process_gets_its_point(tmp_path):
    file = tmp_path / "answer.py"
    file.write_text(HEAD + SOFTMAX, encoding="utf-8")
    found = grade(str(file), "softmax")
    assert (found.file, found.exercise, found.points, found.mistake, found.remark) == (str(file), "softmax", 1, "", "")
    assert 0 < found.seconds < 10


# Each of these is wrong. What it prints, writes and returns is meant to look like a result.
FORGED = '{"mistake": "", "remark": "", "seconds": 0.1, "word": ""}'
ENDINGS = {
    "os._exit": "import os\nos._exit(0)",
    "every pipe": f"""
        import os
        for number in range(3, 64):
            try:
                os.write(number, b'''{FORGED}\n''')
            except OSError:
                pass
        os._exit(0)
    """,
}
MORE_ENDINGS = {
    "print": f"import os\nprint('''{FORGED}''', flush=True)\nos._exit(0)",
    "signal": "import os\nos.kill(os.getpid(), 9)",
    "abort": "import os\nos.abort()",
}


@pytest.mark.parametrize("body", ENDINGS.values(), ids=ENDINGS.keys())
def test_answer_that_ends_its_process_has_no_result(body, tmp_path):
    found = graded(tmp_path, body)
    assert (found.points, found.mistake) == (0, "no result")
    assert "ended its process" in found.remark


@pytest.mark.slow
@pytest.mark.parametrize("body", MORE_ENDINGS.values(), ids=MORE_ENDINGS.keys())
def test_answer_that_ends_its_process_in_another_way_has_no_result(body, tmp_path):
    assert graded(tmp_path, body).mistake == "no result"


@pytest.mark.slow
def test_answer_that_exits_is_an_error(tmp_path):
    found = graded(tmp_path, "import sys\nsys.exit(0)")
    assert (found.points, found.mistake) == (0, "error") and "SystemExit" in found.remark


def test_endless_loop_is_slow(tmp_path, monkeypatch):
    monkeypatch.setattr(grader, "SECONDS", 0.2)
    found = graded(tmp_path, "while True:\n    pass")
    assert ((found.points, found.mistake) == (0, "slow") and "while True:" in found.remark) or "never ends" in found.remark


@pytest.mark.slow
def test_loop_that_cannot_be_interrupted_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(grader, "WORKER_SECONDS", 3.0)
    begin = time.monotonic()
    assert graded(tmp_path, "import itertools\nreturn sum(itertools.count())").mistake == "no result"
    assert time.monotonic() - begin < 60


@linux
@pytest.mark.parametrize(
    "body",
    [
        "return np.ones(2**28).sum()",
        pytest.param("rows = []\nwhile True:\n    rows.append(bytearray(2**28))", marks=pytest.mark.slow),
    ],
)
def test_answer_that_takes_too_much_memory_is_an_error(body, tmp_path):
    found = graded(tmp_path, body)
    assert (found.points, found.mistake) == (0, "error") and "MemoryError" in found.remark


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(
            "return getattr(__import__('neo_np.gpt_neo.forward'), 'gpt_neo').forward.softmax(x)", marks=pytest.mark.slow
        ),
        "import importlib\nreturn importlib.import_module('neo_np' + '.gpt_neo.forward').softmax(x)",
    ],
)
def test_answer_that_hides_its_use_of_neo_np_is_refused(body, tmp_path):
    found = graded(tmp_path, body)
    assert (found.points, found.mistake, found.remark) == (
        0,
        "uses neo_np",
        "The answer uses `neo_np`. Write it yourself, with NumPy.",
    )


@pytest.mark.parametrize(
    "body",
    [
        "import os\nwhile True:\n    os.fork()",  # a fork bomb
        pytest.param("import subprocess\nsubprocess.Popen(['sleep', '60'])", marks=pytest.mark.slow),
    ],
)
def test_answer_that_starts_a_process_is_an_error(body, tmp_path):
    found = graded(tmp_path, body)
    assert (found.points, found.mistake) == (0, "error") and "may not start other processes" in found.remark


def is_running(number):
    """Return whether a process lives."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# Three ways to leave a child behind: in the group, in a session of its own, and in one of its own after its parent has died.
CHILDREN = {
    "in the group": "child = subprocess.Popen(sleep)",
    "in its own session": "child = subprocess.Popen(sleep, start_new_session=True)",
    "that ignores signals": "signal.signal(signal.SIGTERM, signal.SIG_IGN); child = subprocess.Popen(sleep)",
}


NO_RESULT = [pytest.param(end, marks=pytest.mark.slow) for end in ("os._exit(0)", "time.sleep(60)")]  # waits two seconds


@linux
@pytest.mark.parametrize("ends", ["print(json.dumps(dict(word=word)), flush=True)", *NO_RESULT])
@pytest.mark.parametrize("start", CHILDREN.values(), ids=CHILDREN.keys())
def test_worker_leaves_no_child_behind(start, ends, tmp_path):
    """The worker here is any program, because the real one lets no answer start a process."""
    file = tmp_path / "child"
    code = f"""
import json, os, signal, subprocess, sys, time
word = json.loads(sys.stdin.readline())["word"]
sleep = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
{start}
with open({str(file)!r}, "w") as opened:
    opened.write(str(child.pid))
{ends}
"""
    result = Workers().answer({}, 2.0, [sys.executable, "-S", "-c", code])
    assert bool(result) == ("word" in ends)
    deadline = time.monotonic() + 5
    while is_running(file.read_text()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_running(file.read_text())


@linux
@pytest.mark.slow
def test_worker_ends_when_the_grader_is_killed(tmp_path):
    """The answer sleeps for a minute, and its grader is killed meanwhile."""
    file, started = tmp_path / "answer.py", tmp_path / "started"
    body = f"import os, time\n    open({str(started)!r}, 'w').write(str(os.getpid()))\n    time.sleep(60)"
    file.write_text(f"def softmax(x):\n    {body}\n", encoding="utf-8")
    command = [sys.executable, "-m", "neo_np.exercises", "grade", str(file)]
    run = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (started.exists() and started.read_text()):
        time.sleep(0.02)
    run.kill()
    run.wait()
    deadline = time.monotonic() + 10
    while is_running(started.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(started.read_text())


def test_result_of_another_job_is_none():
    assert result_of(b'{"word": "a", "mistake": ""}\n', "a")["mistake"] == ""
    for line in (b"", b"\n", b"{", b"3", b"[]", b"null", b'"a"', b"{}", b'{"word": "b"}', b"\xff", b"[" * 50_000):
        assert result_of(line, "a") is None


def test_workers_after_stop_start_none():
    workers = Workers()
    workers.stop()
    assert workers.answer({}, 5.0, ["no such program"]) is None


class Recorded(Workers):
    """Workers that give prepared results and keep the jobs."""

    def __init__(self, *results):
        super().__init__()
        self.results, self.jobs = list(results), []

    def answer(self, job, seconds):
        self.jobs.append(job)
        return self.results.pop(0)


@pytest.mark.parametrize(
    ("results", "mistake"),
    [
        ([None, {"mistake": "", "remark": "", "seconds": 1}], ""),
        ([None, None], "no result"),
        ([{"mistake": "slow", "remark": "", "seconds": 1}, {"mistake": "", "remark": "", "seconds": 1}], ""),
        ([{"mistake": "slow", "remark": "", "seconds": 1}, None], "slow"),
        ([{"mistake": "strict", "remark": "", "seconds": 1}], "strict"),
    ],
)
def test_slow_or_missing_result_is_tried_once_more(results, mistake, tmp_path, monkeypatch):
    monkeypatch.setattr(grader, "TRIES", 2)
    file = tmp_path / "answer.py"
    file.write_text(HEAD + SOFTMAX, encoding="utf-8")
    workers = Recorded(*results)
    found = grader.grade_answer(read_submission(file), grader.find("softmax"), workers)
    assert (found.mistake, found.points) == (mistake, int(mistake == "")) and workers.results == []


@pytest.mark.slow
def test_one_bad_answer_harms_no_other(tmp_path):
    """The first answers patch NumPy and end their process; the last one is right."""
    file = tmp_path / "answer.py"
    broken = """
def next_token(logits):
    np.exp = np.max = None
    os._exit(0)

def causal_mask(queries, keys):
    np.where = np.abs = sys.settrace = None
    raise SystemExit
"""
    file.write_text(HEAD + "import os, sys\n" + broken + SOFTMAX, encoding="utf-8")
    exercises = [grader.find(name) for name in ("next_token", "causal_mask", "softmax")]
    found = grade_all([read_submission(file)], exercises, jobs=2)
    assert [g.mistake for g in found] == ["no result", "error", ""]


@pytest.mark.slow
def test_mistake_is_named(tmp_path):
    file = tmp_path / "answer.py"
    file.write_text(HEAD + STRICT_MASK, encoding="utf-8")
    found = grade(str(file), "causal_mask")
    assert (found.mistake, found.remark) == ("strict", "A token does not see itself.")


@pytest.mark.slow
def test_thirty_submissions_are_graded_by_two_processes(tmp_path):
    for number in range(30):
        text = HEAD + SOFTMAX + (STRICT_MASK if number % 3 else CAUSAL_MASK)
        (tmp_path / f"student_{number:02}.py").write_text(text, encoding="utf-8")
    submissions = [read_submission(file) for file in sorted(tmp_path.iterdir())]
    seen = []
    exercises = [grader.find("softmax"), grader.find("causal_mask")]
    found = grade_all(submissions, exercises, jobs=2, progress=lambda done, total: seen.append((done, total)))
    assert [g.mistake for g in found] == [m for n in range(30) for m in ("", "strict" if n % 3 else "")]
    assert seen == [(n, 60) for n in range(1, 61)]
    assert not process.marked("") and os.listdir(tmp_path)
