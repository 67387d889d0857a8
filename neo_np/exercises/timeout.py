"""A time limit for a student's function: an endless Python loop ends after some seconds.

A timer thread raises `Overtime` in the thread that runs the function, again and again until the function ends: so it also
ends loops that catch every exception. If no thread can be started (in a browser), `sys.monitoring` looks at the clock at
every jump of the code. Nothing here uses sys.settrace, which belongs to debuggers and to coverage. A loop inside C, such as
sum(itertools.count()), cannot be stopped from Python: `on_stuck` is called to tell the student what to do.
"""

import ctypes
import sys
import threading
import time

AGAIN, STUCK = 0.05, 2.0  # seconds between two attempts; seconds without effect after which the loop must be inside C


class Overtime(BaseException):
    """The function ran longer than the time limit. It is no Exception, so `except Exception` does not catch it."""


def within(seconds, function, on_stuck=lambda: None):
    """Return function(), or raise `Overtime` in it after this many seconds."""
    done = threading.Event()
    thread_id = threading.get_ident()
    timer = threading.Thread(target=_interrupt, args=(done, thread_id, seconds, on_stuck), daemon=True)
    try:
        timer.start()
    except RuntimeError:
        return _within_monitored(seconds, function)
    try:
        return function()
    finally:
        _end(done, timer, thread_id)


def _interrupt(done, thread_id, seconds, on_stuck):
    """Raise `Overtime` in a thread until it is done."""
    wait, attempts = seconds, 0
    while not done.wait(wait):
        _raise_in(thread_id, Overtime)
        wait, attempts = AGAIN, attempts + 1
        if attempts == round(STUCK / AGAIN):
            on_stuck()


def _end(done, timer, thread_id):
    """Stop the timer. An Overtime that arrives in the middle of this came too late and is dropped."""
    while True:
        try:
            done.set()
            timer.join()
            _raise_in(thread_id, None)  # takes back one that has not arrived yet
            return
        except Overtime:
            continue


def _raise_in(thread_id, exception):
    pointer = None if exception is None else ctypes.py_object(exception)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), pointer)


def _within_monitored(seconds, function):
    """Do the same with sys.monitoring (Python 3.12), without a thread; older Pythons run the function without a limit."""
    monitoring = getattr(sys, "monitoring", None)
    free = [tool for tool in (4, 3) if monitoring and monitoring.get_tool(tool) is None]  # 0 to 2 and 5 have owners
    if not free:
        return function()
    tool, deadline = free[0], time.monotonic() + seconds

    def look_at_the_clock(*_):
        if time.monotonic() > deadline:
            raise Overtime

    names = [name for name in ("JUMP", "BRANCH", "BRANCH_LEFT") if hasattr(monitoring.events, name)]
    events = [getattr(monitoring.events, name) for name in names]
    monitoring.use_tool_id(tool, "neo_np.exercises")
    try:
        for event in events:
            monitoring.register_callback(tool, event, look_at_the_clock)
        monitoring.set_events(tool, sum(events))
        return function()
    finally:
        monitoring.set_events(tool, 0)
        monitoring.free_tool_id(tool)
