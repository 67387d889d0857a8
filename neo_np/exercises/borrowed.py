"""Does an answer use neo_np or another library? In a notebook, a function finds what the cells above have imported."""

import functools
import importlib.util
import re
import sys
from collections.abc import Callable, Collection, Sequence
from types import FunctionType, ModuleType

import numpy as np

from neo_np.exercises.calls import global_names

PACKAGE = "neo_np"
COURSE = PACKAGE, "figures", "measure"  # what the notebooks import; the last two are in their folder and use the package
USES_PACKAGE, USES_LIBRARY = "uses neo_np", "uses a library"  # why an answer gets no points


def borrowed_name(function: object, belongs: Callable[[str], bool], lent: Collection[str] = ()) -> str | None:
    """Return the first name in a function or its helpers that comes from a package which `belongs` knows, or None.

    lent: names that do not count.
    """
    if comes_from(function, belongs):
        return getattr(function, "__name__", str(function))
    waiting, seen = [function], []
    while waiting:
        helper = waiting.pop()
        if not isinstance(helper, FunctionType) or helper in seen:
            continue
        seen.append(helper)
        for name in global_names(helper.__code__, modules=True):
            if name in lent:
                continue
            value = helper.__globals__.get(name)
            if (value is None and belongs(name.partition(".")[0])) or comes_from(value, belongs):
                return name
            waiting.append(value)
    return None


def comes_from(value: object, belongs: Callable[[str], bool]) -> bool:
    """Return whether a module, function, class or object is of a package which `belongs` knows, or a collection holds one."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        return any(comes_from(part, belongs) for part in value)
    if isinstance(value, functools.partial):
        return comes_from(value.func, belongs)
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return isinstance(home, str) and belongs(home.partition(".")[0])


@functools.cache
def is_library(package: str) -> bool:
    """Return whether a package is installed beside Python and is neither NumPy nor part of the course, such as SciPy."""
    if package in ("numpy", "__main__", *COURSE) or package in sys.stdlib_module_names:
        return False
    try:
        place = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    return bool(place and re.search(r"(site|dist)-packages", place.origin or ""))


def is_data(value: object) -> bool:
    """Return whether a value is a number, a text, an array of numbers, or a collection of these."""
    if isinstance(value, dict):
        return all(is_data(part) for pair in value.items() for part in pair)
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(is_data, value))
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind != "O"
    return isinstance(value, bool | int | float | complex | str | bytes | range | slice | None)


def refusal(names: Sequence[str]) -> str:
    """Return the remark on an answer that uses these names of neo_np."""
    listed = " and ".join(f"`{name}`" for name in names)
    comes = "" if list(names) == [PACKAGE] else f", which {'comes' if len(names) == 1 else 'come'} from neo_np"
    return f"The answer uses {listed}{comes}. Write it yourself, with NumPy."


def refusal_of_library(name: str) -> str:
    """Return the remark on an answer that uses another library."""
    return f"The answer uses the library `{name}`. Write it with NumPy and the modules of Python itself."


def why_refused(function: object, lent: Collection[str]) -> str:
    """Return the remark on a function that uses neo_np or another library, "" if it does not.

    lent: names of earlier functions that the answer may use, whoever wrote them.
    """
    borrowed, library = borrowed_name(function, COURSE.__contains__, lent), borrowed_name(function, is_library, lent)
    return refusal([borrowed]) if borrowed else refusal_of_library(library) if library else ""
