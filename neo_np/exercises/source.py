"""`show_source`: a function's source with remarks."""

import inspect
import textwrap
from collections.abc import Callable

from neo_np.errors import NeoError
from neo_np.exercises.display import show
from neo_np.exercises.messages import Source


def show_source(function: Callable, notes: dict[str, str] | None = None) -> None:
    """Show the source of a function; notes: {"piece of the source": "remark"}, shown below the piece's line.

    A piece that also occurs in the docstring is the one in the code.
    Raises NeoError if a piece does not occur: then the source has changed and the remark may be wrong.
    """
    show([source_with(function, notes or {})])


def source_with(function, notes):
    """Return the source of a function as a part of a message."""
    source = textwrap.dedent(inspect.getsource(function)).removeprefix("@register_solution\n")
    code = source.index('"""', source.index('"""') + 3) if function.__doc__ else 0  # where the docstring ends
    remarks = {}
    for piece, remark in notes.items():
        if piece not in source:
            raise NeoError(f"the source of {function.__name__} has no {piece!r}: change the remark or the piece.")
        place = source.find(piece, code)
        before = source[: place if place >= 0 else source.index(piece)]
        remarks.setdefault(before.count("\n"), []).append((len(before) - before.rfind("\n") - 1, piece, remark))
    lines = tuple((line, tuple(remarks.get(number, ()))) for number, line in enumerate(source.rstrip("\n").split("\n")))
    return Source(f"{function.__module__}.{function.__name__}", lines)
