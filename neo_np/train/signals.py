"""Signals that stop a run: they set an event, and training ends between two steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def stopping_on_signals(stop: threading.Event) -> Iterator[None]:
    """Set the event on Ctrl-C, SIGTERM and SIGHUP (the terminal was closed). A second Ctrl-C raises KeyboardInterrupt.

    SIGHUP stays ignored under nohup. Only the main thread can handle signals; in any other this does nothing.
    """

    def on_signal(number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in STOPPING:
            if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
