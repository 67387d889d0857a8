"""A time limit for a student's function: an endless Python loop ends after some seconds.

A timer thread raises `Overtime` in the thread that runs the function, again and again until the function ends: so it also
ends loops that catch every exception. What survives that (a loop that catches everything around an inner loop), and code in
a browser, in which no thread can start, is stopped by `sys.monitoring` at a jump of the code (Python 3.12 and later).
Nothing here uses sys.settrace, which belongs to debuggers and to coverage. A loop inside C, such as sum(itertools.count()),
cannot be stopped from Python: `on_stuck` is called, to tell the student what to do.
"""

import ctypes
import sys
import threading
import time

AGAIN, FEW = 0.05, 10  # seconds between two attempts; attempts after which sys.monitoring helps
STUCK = 2.0  # seconds without effect after which the loop must be inside C


class Overtime(BaseException):
    """The function ran longer than the time limit. It is no Exception, so `except Exception` does not catch it."""


def within(seconds, function, on_stuck=lambda: None):
    """Return function(), or raise `Overtime` in it after this many seconds. on_stuck: called if that has no effect."""
    done, raised = threading.Event(), threading.Event()
    arguments = threading.get_ident(), seconds, done, raised, on_stuck
    timer = threading.Thread(target=_interrupt, args=arguments, daemon=True)
    try:
        timer.start()
    except RuntimeError:
        return _within_monitored(seconds, function)
    try:
        return _running(function)
    finally:
        _end(timer, done, raised)


def _running(function):
    """Call the function. The timer looks for this frame: as long as it is there, the function has not ended."""
    return function()


def _is_running(thread_id):
    """Return whether the thread is inside `_running`."""
    frame = sys._current_frames().get(thread_id)
    while frame is not None and frame.f_code is not _running.__code__:
        frame = frame.f_back
    return frame is not None


def _interrupt(thread_id, seconds, done, raised, on_stuck):
    """Raise `Overtime` in a thread until it is done."""
    wait, attempts, stop_monitoring = seconds, 0, None
    while not done.wait(wait):
        wait = AGAIN
        if not _is_running(thread_id):  # it has ended just now, or a busy computer has not let it begin
            continue
        raised.set()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(Overtime))
        attempts += 1
        if attempts == FEW:
            stop_monitoring = _monitor(thread_id, time.monotonic())
        if attempts == round(STUCK / AGAIN):
            on_stuck()
    if stop_monitoring:
        stop_monitoring()


def _end(timer, done, raised):
    """Stop the timer. An Overtime that arrives only now came too late and is dropped.

    Taking it back by PyThreadState_SetAsyncExc(thread_id, NULL) would leave a flag set in Python 3.11, with which the
    interpreter hangs under a profiler or coverage.
    """
    while True:
        try:
            done.set()
            timer.join()
            for _ in range(100 if raised.is_set() else 0):  # Python delivers it at a jump of the code
                pass
            return
        except Overtime:
            continue


def _within_monitored(seconds, function):
    """Do the same without a thread. Before Python 3.12 the function runs without a limit."""
    stop = _monitor(threading.get_ident(), time.monotonic() + seconds)
    try:
        return _running(function)
    finally:
        if stop:
            stop()


def _monitor(thread_id, deadline):
    """Raise `Overtime` at every jump that the thread makes in `_running` after the deadline; return a function that ends this.

    Returns None if Python has no sys.monitoring or others use all of its places.
    """
    monitoring = getattr(sys, "monitoring", None)
    free = [tool for tool in (4, 3) if monitoring and monitoring.get_tool(tool) is None]  # 0 to 2 and 5 have owners
    if not free:
        return None
    tool = free[0]

    def at_jump(*_):
        if time.monotonic() > deadline and threading.get_ident() == thread_id and _is_running(thread_id):
            raise Overtime

    def stop():
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)

    monitoring.use_tool_id(tool, "neo_np.exercises")
    for name in ("JUMP", "BRANCH", "BRANCH_LEFT"):  # of the last two, each Python has one
        if hasattr(monitoring.events, name):
            monitoring.register_callback(tool, getattr(monitoring.events, name), at_jump)
            monitoring.set_events(tool, monitoring.get_events(tool) | getattr(monitoring.events, name))
    return stop
