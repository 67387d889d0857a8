"""What neo_np says about its input: the one exception that it raises, and its warnings."""

import sys
import warnings
from types import FrameType


class NeoError(ValueError):
    """Bad input: one sentence that says what was wrong, where, what was expected and what to do."""


def warn(message: str) -> None:
    """Give a warning that shows the line of the user's code from which neo_np was called."""
    frame: FrameType | None = sys._getframe(1)
    level = 2  # the `stacklevel` of this frame; 1 is `warn` itself
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] == __package__:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)
