"""A line that makes a new value and keeps it nowhere, such as `x.swapaxes(0, 1)` without `x =` in front."""

import ast

from neo_np.exercises.beginning import first_line, source_of

# Methods of arrays, texts and bytes that make a new value and leave the old one as it is.
MAKES_NEW = frozenset(
    "swapaxes transpose reshape ravel flatten astype copy round clip sum mean max min std var cumsum argmax argsort dot "
    "replace strip split join decode encode".split()
)
# NumPy's functions that change an array or a setting.
WRITES = frozenset("copyto put place putmask fill_diagonal put_along_axis seterr set_printoptions".split())


def first_unkept(function, given):
    """Return (line number, line) of the first statement that makes a new value and keeps it nowhere, or None.

    given: names of the functions of other exercises, which change nothing.
    """
    source = source_of(function)
    if source is None:
        return None
    definition = ast.parse(source).body[0]
    lines = source.splitlines()
    numbers = [node.lineno for node in ast.walk(definition) if isinstance(node, ast.Expr) and makes_new(node.value, given)]
    return (first_line(function) + min(numbers) - 1, lines[min(numbers) - 1].strip()) if numbers else None


def makes_new(value, given):
    """Return whether the value of a statement is a new one: an operation, or a call of a function that only computes."""
    if isinstance(value, ast.BinOp | ast.UnaryOp | ast.Compare):
        return True
    called = value.func if isinstance(value, ast.Call) else None
    if isinstance(called, ast.Name):
        return called.id in given
    if isinstance(called, ast.Attribute) and isinstance(called.value, ast.Name) and called.value.id == "np":
        return called.attr not in WRITES and all(keyword.arg != "out" for keyword in value.keywords)
    return isinstance(called, ast.Attribute) and called.attr in MAKES_NEW
