"""What a call gave, reduced to what can be compared: a value, a shape, a type, or "raises or not finite"."""

from dataclasses import dataclass

import numpy as np

from neo_np.gpt_neo.params import Params

VALUE, SHAPE, TYPE, BROKEN = "value", "shape", "type", "broken"
NUMBER_KINDS = {"f": "floats", "i": "integers", "u": "integers", "b": "booleans", "c": "complex numbers", "O": "objects"}


@dataclass(frozen=True)
class Outcome:
    """What one call gave.

    kind: VALUE; SHAPE or TYPE if that is not the expected one; BROKEN if the call raised or its numbers are not finite.
    found: the shape or type in words. after: the arguments after the call, if the call changed them, else None.
    raw: a result as it was before `compare_as`.
    """

    kind: str
    value: object = None
    found: str = ""
    error: BaseException | None = None
    after: tuple | None = None
    raw: object = None

    @property
    def changed(self):
        """Whether the call changed its inputs."""
        return self.after is not None


def outcome_of(result, expected, compare_as, after=None):
    """Return the `Outcome` of a call that gave this result."""
    found = describe(result)
    if not same_type(result, expected):
        return Outcome(TYPE, comparable(result), found, after=after, raw=result)
    if isinstance(expected, tuple):
        parts = [outcome_of(part, other, compare_as) for part, other in zip(result, expected)]
        kind = next((kind for kind in (BROKEN, SHAPE) if kind in [part.kind for part in parts]), VALUE)
        return Outcome(kind, tuple(part.value for part in parts), found, after=after, raw=result)
    if is_float(expected):
        with np.errstate(all="ignore"):  # a float64 may be too large for compare_as
            value = compare_as(np.asarray(result))
        if not np.isfinite(value).all():
            return Outcome(BROKEN, value, found, after=after, raw=result)
        kind = VALUE if value.shape == np.shape(expected) else SHAPE
        return Outcome(kind, value, found, after=after, raw=result)
    value = comparable(result)
    right_shape = not isinstance(expected, np.ndarray | int | np.integer) or np.shape(value) == np.shape(expected)
    return Outcome(VALUE if right_shape else SHAPE, value, found, after=after, raw=result)


def same_type(result, expected):
    """Return whether a result has the expected type; float32 and float64 are one type, so are list, tuple and 1-D array."""
    if isinstance(expected, np.ndarray | np.generic | int | float):
        return isinstance(result, np.ndarray | np.generic | int | float) and number_kind(result) == number_kind(expected)
    if isinstance(expected, list):
        one = isinstance(result, list | tuple) or (isinstance(result, np.ndarray) and result.ndim == 1)
        return one and all(same_type(a, expected[0]) for a in result if expected)
    if isinstance(expected, tuple):
        one = isinstance(result, list | tuple) and len(result) == len(expected)
        return one and all(map(same_type, result, expected))
    return isinstance(result, type(expected))


def number_kind(x):
    """Return "floats", "integers" and so on for an array or a number."""
    return NUMBER_KINDS.get(np.asarray(x).dtype.kind, "objects")


def is_float(x):
    """Return whether x is a float or an array of floats."""
    return isinstance(x, np.ndarray | np.generic | float) and number_kind(x) == "floats"


def comparable(result):
    """Return a result in a form that `==` compares: NumPy's integers as int, a tuple or 1-D array as a list."""
    if isinstance(result, np.ndarray) and result.ndim != 1:
        return result if result.ndim else result.item()
    if isinstance(result, np.generic):
        return result.item()
    if isinstance(result, list | tuple | np.ndarray):
        return [comparable(x) for x in result]
    return result


def plain(x):
    """Return a value with Python's own numbers and lists, floats with six digits: its text has no `np.float32(...)`."""
    if isinstance(x, np.ndarray | np.generic):
        return plain(x.tolist())
    if isinstance(x, list):
        return [plain(item) for item in x]
    if type(x) is tuple:
        return tuple(plain(item) for item in x)
    if type(x) is dict:
        return {plain(key): plain(value) for key, value in x.items()}
    return float(f"{x:.6g}") if type(x) is float else x


def describe(x):
    """Return what x is, in words: "an array of floats of shape (2, 3)", "a list of 3 items", "None"."""
    if x is None:
        return "None"
    if isinstance(x, tuple) and any(isinstance(part, np.ndarray) for part in x):
        return f"a tuple of {len(x)} arrays of shapes {', '.join(str(np.shape(part)) for part in x)}"
    if isinstance(x, np.ndarray):
        return f"an array of {number_kind(x)} of shape {x.shape}"
    if isinstance(x, np.generic):
        x = x.item()
    if isinstance(x, list | tuple | dict | set):
        return f"a {type(x).__name__} of {len(x)} {items(x)}{'' if len(x) == 1 else 's'}"
    name = {"str": "a text (str)", "int": "an integer", "bool": "a boolean", "float": "a float", "bytes": "bytes"}
    return name.get(type(x).__name__, f"a {type(x).__name__}")


def items(x):
    """Return "integer", "float" or "text" if all items of a list or tuple are that, else "item"."""
    kinds = {type(item.item() if isinstance(item, np.generic) else item) for item in x}
    names = {int: "integer", float: "float", str: "text"}
    return names.get(kinds.pop(), "item") if len(kinds) == 1 and isinstance(x, list | tuple) else "item"


def equal(a, b, tolerance):
    """Return whether two values agree: numbers within the tolerance (b is the reference), everything else exactly."""
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(equal(x, y, tolerance) for x, y in zip(a, b))
    if is_float(a) and is_float(b):
        if np.shape(a) != np.shape(b):
            return False
        rtol, atol = tolerance
        with np.errstate(all="ignore"):
            return bool((np.abs(np.subtract(a, b, dtype=float)) <= atol + rtol * np.abs(b)).all())
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    try:
        return bool(a == b)
    except ValueError:  # arrays within lists
        return False


def right(outcome, expected, tolerance):
    """Return whether an outcome is what was expected, inputs unchanged."""
    return outcome.kind == VALUE and not outcome.changed and equal(outcome.value, expected, tolerance)


def right_in_another_type(outcome, expected, compare_as, tolerance):
    """Return whether a result has the right numbers in another type, such as integers for floats."""
    if outcome.kind != TYPE or not isinstance(expected, np.ndarray | np.generic | int | float):
        return False
    if not isinstance(outcome.raw, np.ndarray | np.generic | int | float | list | tuple):
        return False
    try:
        converted = np.asarray(outcome.raw).astype(float)
        return equal(compare_as(converted), np.asarray(expected, float), tolerance)
    except (TypeError, ValueError):  # rows of different lengths, or objects that are no numbers
        return False


def cut_to_integers(outcome, expected):
    """Return whether an array of integers has the expected floats without the digits after the point."""
    yours = outcome.raw
    if outcome.kind != TYPE or not is_float(expected) or not isinstance(yours, np.ndarray) or yours.dtype.kind not in "iu":
        return False
    if yours.shape != np.shape(expected):
        return False
    sides = [np.trunc(expected + side) == yours for side in (-1e-4, 1e-4)]  # a sum of 3.0 may be 2.9999998 for another order
    return bool((sides[0] | sides[1]).all())


def same_contents(a, b):
    """Return whether two arguments hold the same: exactly equal arrays, lists, dicts or params."""
    if isinstance(a, Params):
        a, b = vars(a), vars(b)
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if isinstance(a, dict):
        return list(a) == list(b) and all(same_contents(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_contents, a, b))
    return a == b
