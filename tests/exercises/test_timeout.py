"""Endless Python loops end, and nothing else is harmed: coverage, profilers, the thread that was interrupted."""

import contextlib
import itertools
import subprocess
import sys
import threading
import time

import pytest
from helpers import ROOT

from neo_np.exercises import diagnose, timeout
from neo_np.exercises.timeout import Overtime, within


def one_line():
    while True: pass  # fmt: skip  # noqa: E701


def several_lines():
    x = 0
    while True:
        x += 1
        x -= 1


def swallows_everything():
    while True:
        try:
            sum(range(10))
        except:  # noqa: E722
            pass


def swallows_inside_another_loop():
    while True:
        try:
            while True:
                pass
        except BaseException:
            pass


def suppresses():
    while True:
        with contextlib.suppress(BaseException):
            while True:
                pass


def always_cleans_up():
    while True:
        try:
            sum(range(10))
        finally:
            time.monotonic()


def endless_iterator():
    for _ in itertools.count():
        pass


def endless_generator():
    def numbers():
        while True:
            yield 1

    return sum(numbers())


def calls_a_helper():
    def helper(n):
        return helper(n - 1) if n else 0

    while True:
        helper(20)


def sleeps():
    while True:
        time.sleep(0.01)


def function_called_from_c():
    return sum(map(lambda i: i, itertools.count()))


def prints():
    while True:
        print(end="")


KINDS = [
    one_line, several_lines, always_cleans_up, endless_iterator, endless_generator, calls_a_helper, sleeps,
    function_called_from_c, prints,
]  # fmt: skip
if sys.version_info >= (3, 11):  # Python 3.10 raises nothing between two rounds of a loop whose body is a `try`
    KINDS += [pytest.param(swallows_everything, marks=pytest.mark.slow)]
if hasattr(sys, "monitoring"):  # Python 3.12; before it, the exception that a thread raises comes always inside the inner loop
    KINDS += [swallows_inside_another_loop, suppresses]


@pytest.mark.parametrize("endless", KINDS, ids=lambda f: f.__name__)
def test_within_endless_loop_ends_by_overtime(endless):
    threads = threading.active_count()
    with pytest.raises(Overtime):
        within(0.03, endless)
    assert threading.active_count() == threads
    for _ in range(1000):  # nothing arrives afterwards
        pass


def test_within_function_that_begins_late_ends_by_overtime(monkeypatch):
    """On a busy computer the time may run out before the function begins."""
    start = threading.Thread.start

    def start_and_wait(thread):
        start(thread)
        time.sleep(0.2)

    def long():
        end = time.monotonic() + 20
        while time.monotonic() < end:
            pass

    monkeypatch.setattr(threading.Thread, "start", start_and_wait)
    with pytest.raises(Overtime):
        within(0.03, long)


def test_within_function_that_ends_returns_its_value():
    assert within(5.0, lambda: 3) == 3


def test_within_function_that_raises_raises_the_same():
    with pytest.raises(ZeroDivisionError):
        within(5.0, lambda: 1 / 0)


def test_within_loop_in_c_calls_on_stuck(monkeypatch):
    """A sleep stands for a loop in C: the exception arrives only when it is over."""
    monkeypatch.setattr(timeout, "STUCK", 0.2)
    stuck = []
    with pytest.raises(Overtime):
        within(0.1, lambda: time.sleep(1.5), lambda: stuck.append(time.monotonic()))
    assert len(stuck) == 1


def no_thread(self):
    raise RuntimeError("can't start new thread")


def test_within_without_threads_returns_the_value(monkeypatch):
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    assert within(5.0, lambda: sum(i for i in range(1000))) == 499500


@pytest.mark.parametrize("endless", KINDS, ids=lambda f: f.__name__)
def test_within_without_threads_ends_loops_where_python_can(monkeypatch, endless):
    """sys.monitoring came with Python 3.12; before it, such a loop would not end, and a short one must still work."""
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    if hasattr(sys, "monitoring") and endless not in (sleeps, prints, function_called_from_c):
        with pytest.raises(Overtime):
            within(0.03, endless)
        assert not any(sys.monitoring.get_tool(tool) for tool in (3, 4))
    else:
        assert within(0.1, lambda: "fine") == "fine"


@pytest.mark.parametrize("watcher", ["sys.settrace(lambda *_: None)", "sys.setprofile(lambda *_: None)"])
def test_check_under_tracing_ends_and_keeps_the_tracer(watcher):
    """A pending exception that is taken back makes Python 3.11 hang under a profiler: so it is not taken back."""
    code = f"""
import sys, time
from neo_np.exercises import diagnose, diagnosis
{watcher}
before = sys.gettrace(), sys.getprofile()
print(diagnose("softmax", lambda x: x).passed, (sys.gettrace(), sys.getprofile()) == before)
def softmax(x):
    while True:
        pass
diagnosis.SECONDS = 0.1
print("stopped" in diagnose("softmax", softmax).message)
print(sum(range(10)), (sys.gettrace(), sys.getprofile()) == before)
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert run.stdout.split() == ["False", "True", "True", "45", "True"], run.stderr


def test_check_in_another_thread_stops_the_loop_there(monkeypatch):
    monkeypatch.setattr("neo_np.exercises.diagnosis.SECONDS", 0.5)
    found = []

    def softmax(x):
        while True:
            pass

    thread = threading.Thread(target=lambda: found.append(diagnose("softmax", softmax).message))
    thread.start()
    thread.join(30)
    assert "stopped after" in found[0] and "while True:" in found[0]
