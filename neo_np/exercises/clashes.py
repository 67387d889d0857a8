"""Why two shapes do not fit, and whether a transpose or one more axis would mend it."""

import ast
import linecache
import re
from contextlib import suppress

import numpy as np

# Expressions of these parts call nothing, so they can be evaluated once more.
PURE = ast.Name, ast.Attribute, ast.Subscript, ast.Constant, ast.Slice, ast.Tuple, ast.BinOp, ast.UnaryOp
PURE += ast.expr_context, ast.operator, ast.unaryop
PRODUCTS = "matmul", "dot"
MATMUL_ERROR, BROADCAST_ERROR = r"matmul: |not aligned", r"operands could not be broadcast together with shapes"


def clash(place):
    """Return the sentence about two shapes that do not fit, or "" if the error is another one or has no two shapes."""
    step = failing_step(place.trace) if place.trace else None
    if re.search(MATMUL_ERROR, place.what):
        shapes = shapes_in(place.what) or sides(step, place.trace)
        return matmul_clash(*shapes) if len(shapes) == 2 else ""
    if re.search(BROADCAST_ERROR, place.what):
        if step is None and place.trace and only_sum_adds(place):
            return "`sum` adds whole arrays entry by entry, so they need equal shapes. For one number take `.sum()` of each."
        shapes = shapes_in(place.what)
        multiplied = isinstance(step, ast.BinOp) and isinstance(step.op, ast.Mult)
        return broadcast_clash(*shapes, multiplied) if len(shapes) == 2 else ""
    return ""


def shapes_in(text):
    """Return the shapes that an error names, such as (3, 2) in "shapes (3,2) (3,)"."""
    named = re.findall(r"\(((?:\d+,?)*)\)", text.partition("shapes ")[2])
    return [tuple(int(size) for size in sizes.split(",") if size) for sizes in named]


def failing_step(trace):
    """Return the first operation or product of the failing line whose two sides do not fit, as a syntax tree, or None."""
    line = linecache.getline(trace.tb_frame.f_code.co_filename, trace.tb_lineno).strip()
    for step in parts_of(line):
        shapes = sides(step, trace)
        fit = multiplies if is_product(step) and () not in shapes else broadcasts
        if len(shapes) == 2 and not fit(*shapes):
            return step
    return None


def parts_of(line):
    """Return all parts of a line as syntax trees, the outer ones first; none if the line is only a piece of a statement."""
    with suppress(SyntaxError):
        return list(ast.walk(ast.parse(line + " pass" * line.endswith(":"))))  # such as `for row in a @ b:`
    return []


def only_sum_adds(place):
    """Return whether Python's `sum` added two arrays: no other operation of its line can have raised the error."""
    parts = parts_of(place.line)
    loops = [part for part in parts if isinstance(part, ast.GeneratorExp)]  # an error in one of them has a frame of its own
    in_loops = {id(part) for loop in loops for part in ast.walk(loop)}
    steps = [part for part in parts if isinstance(part, ast.BinOp) and id(part) not in in_loops]
    sums = [part for part in parts if isinstance(part, ast.Call) and ast.unparse(part.func) == "sum"]
    others = [step for step in steps if not isinstance(step.right, ast.Constant)]
    return bool(sums) and not others and place.trace.tb_frame.f_code.co_name != "<genexpr>"


def is_product(step):
    """Return whether a step is a matrix product: `a @ b`, np.matmul(a, b) or np.dot(a, b)."""
    return isinstance(getattr(step, "op", None), ast.MatMult) or getattr(getattr(step, "func", None), "attr", "") in PRODUCTS


def sides(step, trace):
    """Return the shapes of both sides of an operation or product, () if finding them would call something."""
    if isinstance(step, ast.BinOp):
        nodes = [step.left, step.right]
    elif isinstance(step, ast.Call) and is_product(step) and len(step.args) == 2:
        nodes = step.args
    else:
        return ()
    if not all(isinstance(part, PURE) for node in nodes for part in ast.walk(node)):
        return ()
    frame = trace.tb_frame
    with suppress(Exception):  # a name that has another value by now
        values = [eval(compile(ast.Expression(node), "", "eval"), frame.f_globals, frame.f_locals) for node in nodes]
        return tuple(map(np.shape, values))
    return ()


def matmul_clash(a, b):
    """Return the sentence about a @ b of these shapes."""
    if () in (a, b):
        return "`@` multiplies two arrays, and one side is a single number here: for a number write `*`."
    said = f"`a @ b` needs as many columns in a as b has rows, and here it is {a} @ {b}."
    if not (multiplies(transposed(a), b) or multiplies(a, transposed(b))):
        return f"{said} Which of the two has another shape than you meant?"
    how = "`.T` exchanges rows and columns" if max(len(a), len(b)) < 3 else "`swapaxes(-1, -2)` exchanges the last two axes"
    return f"{said} Must one of them be transposed? {how}."


def broadcast_clash(a, b, multiplied):
    """Return the sentence about two shapes that cannot be broadcast. multiplied: whether they meet in a product with `*`."""
    said = f"{a} and {b} do not fit. NumPy lines shapes up from the right: two sizes must be equal, or one of them 1."
    if multiplied and multiplies(a, b) and len(a) + len(b) > 2:
        return f"{said} Is the matrix product `@` meant?"
    if len(a) == len(b) == 1:
        return f"{said} For a table of all pairs, one of them needs `[:, None]`."
    if len(a) != len(b) and one_axis_mends(*sorted((a, b), key=len)):
        return f"{said} Does the smaller one need `[:, None]`, or the line that made it `keepdims=True`?"
    if len(a) == len(b) == 2 and (broadcasts(transposed(a), b) or broadcasts(a, transposed(b))):
        return f"{said} Must one of them be transposed? `.T` exchanges rows and columns."
    return f"{said} Which of the two has another shape than you meant?"


def transposed(shape):
    """Return a shape with its last two sizes exchanged."""
    return shape[:-2] + shape[-2:][::-1]


def multiplies(a, b):
    """Return whether a @ b works for these shapes."""
    return a[-1] == (b[-2] if len(b) > 1 else b[0]) and broadcasts(a[:-2], b[:-2])


def broadcasts(a, b):
    """Return whether two shapes can be broadcast."""
    try:
        np.broadcast_shapes(a, b)
    except ValueError:
        return False
    return True


def one_axis_mends(smaller, larger):
    """Return whether an axis of size 1, put into the smaller shape, lets it be broadcast to the larger one."""
    wider = [(*smaller[:i], 1, *smaller[i:]) for i in range(1, len(smaller) + 1)]
    return len(larger) - len(smaller) == 1 and any(broadcasts(a, larger) and all(np.less_equal(a, larger)) for a in wider)
