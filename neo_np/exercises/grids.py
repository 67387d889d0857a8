"""Values as grids of short texts, with a mark on each entry that differs."""

import itertools
import re
from dataclasses import dataclass, replace

import numpy as np

from neo_np.exercises.outcomes import comparable, equal, is_float, plain
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.params import Params

ROWS, COLUMNS, ITEMS, KEYS, LONGEST_TEXT = 8, 8, 12, 6, 90


@dataclass(frozen=True)
class Grid:
    """A value to show: its label, and rows of (text, differs)."""

    label: str
    rows: tuple


def one_cell(label, text, differs=False):
    """Return a grid of one cell; a long text is cut."""
    text = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 2] + " …"
    return Grid(label, (((text, differs),),))


def argument_grids(label, value):
    """Return the grids of an argument."""
    if isinstance(value, Params):
        shapes = [f"{name} {array.shape}" for name, array in value.flat().items()]
        more = f", and {len(shapes) - 4} more" if len(shapes) > 4 else ""
        return [one_cell(label, ", ".join(shapes[:4]) + more)]
    if isinstance(value, Config):
        layers = ", ".join(value.attention_layers)
        return [one_cell(label, f"{value.num_heads} heads, layers {layers}, eps {value.layer_norm_epsilon}")]
    if isinstance(value, np.ndarray) and value.ndim and value.size <= ROWS * COLUMNS * 2:
        return array_grids(label, value, np.zeros(value.shape, bool), decimals_for(value))
    if isinstance(value, np.ndarray):
        return [one_cell(label, f"an array of shape {value.shape}")]
    if isinstance(value, tuple) and value and all(isinstance(part, np.ndarray) for part in value):
        return list(itertools.chain(*(argument_grids(f"{label}[{i}]", part) for i, part in enumerate(value))))
    return [one_cell(label, repr(plain(value)))]


def result_grids(outcome, expected, tolerance):
    """Return the grids of both results, differing entries marked."""
    yours = outcome.value
    if isinstance(expected, tuple) and isinstance(yours, tuple):
        return part_grids(outcome, expected, tolerance)
    if is_float(expected) and is_float(yours) and np.shape(yours) == np.shape(expected):
        rtol, atol = tolerance
        with np.errstate(all="ignore"):
            differs = ~(np.abs(np.subtract(yours, expected, dtype=float)) <= atol + rtol * np.abs(expected))
        yours, expected, differs = map(np.atleast_1d, (outcome.raw, expected, differs))
        decimals = decimals_for(yours, expected, differs)
        unmarked = np.zeros(differs.shape, bool)
        start = first_place(differs)
        return array_grids("yours", yours, differs, decimals, start) + array_grids(
            "expected", expected, unmarked, decimals, start
        )
    if isinstance(expected, dict) and isinstance(yours, dict):
        return dict_grids(yours, expected)
    if isinstance(expected, list) and isinstance(yours, list):
        expected = comparable(expected)
        return [list_grid("yours", yours, expected), list_grid("expected", expected, expected[: len(yours)])]
    yours = outcome.raw if isinstance(outcome.raw, np.ndarray) else yours  # as it was before `compare_as`
    if isinstance(expected, tuple) and any(isinstance(part, np.ndarray) for part in expected):
        parts = [plain_grids(f"expected[{i}]", part) for i, part in enumerate(expected)]
        return plain_grids("yours", yours) + list(itertools.chain(*parts))
    return plain_grids("yours", yours) + plain_grids("expected", expected)


def part_grids(outcome, expected, tolerance):
    """Return the grids of those parts of a tuple that differ; the labels have the number of the part, from 0."""
    grids = []
    for i, (yours, other) in enumerate(zip(outcome.value, expected)):
        if not equal(yours, other, tolerance):
            part = replace(outcome, value=yours, raw=outcome.raw[i])
            for grid in result_grids(part, other, tolerance):
                grids.append(replace(grid, label=re.sub(r"^\w+", rf"\g<0>[{i}]", grid.label)))
    return grids


def plain_grids(label, value):
    """Return the grids of a result that cannot be compared entry by entry: all of it is marked."""
    if isinstance(value, np.ndarray) and value.size <= ROWS * COLUMNS * 2 and value.dtype.kind in "fiub":
        whole = np.atleast_1d(value)
        return array_grids(f"{label} {value.shape}", whole, np.zeros(whole.shape, bool), decimals_for(whole))
    if isinstance(value, np.ndarray):
        return [one_cell(label, f"an array of shape {value.shape}", label == "yours")]
    if isinstance(value, list | tuple) and value and all(isinstance(part, np.ndarray) for part in value[:ITEMS]):
        return list(itertools.chain(*(plain_grids(f"{label}[{i}]", part) for i, part in enumerate(value[:ITEMS]))))
    return [one_cell(label, repr(plain(value)), label == "yours")]


def first_place(differs):
    """Return the row and column, of the last two axes, at which a crop begins that shows the first difference."""
    first = np.argwhere(np.atleast_2d(differs))[0][-2:] if differs.any() else (0, 0)
    return tuple(max(0, int(place) - limit + 1) for place, limit in zip(first, (ROWS, COLUMNS)))


def array_grids(label, values, differs, decimals, start=(0, 0)):
    """Return one grid for an array of one or two axes, else one for each index of the first axis."""
    if values.ndim > 2:
        parts = [array_grids(f"{label}[{i}]", values[i], differs[i], decimals, start) for i in range(min(len(values), ROWS))]
        return list(itertools.chain(*parts))
    values, differs = np.atleast_2d(values), np.atleast_2d(differs)
    top, left = start
    rows = [
        tuple((number(x, decimals), bool(mark)) for x, mark in zip(row[left:], marks[left:]))[:COLUMNS]
        for row, marks in zip(values[top:], differs[top:])
    ][:ROWS]
    cut = values.shape[1] > left + COLUMNS
    return [Grid(label, tuple(row + ((("…", False),) if cut else ()) for row in rows))]


def decimals_for(values, others=None, differs=None):
    """Return how many decimals to show: as few as give the numbers exactly, at most 3; more if marked pairs look the same."""
    finite = np.abs(np.concatenate([np.ravel(x) for x in (values, others) if x is not None]).astype(float))
    finite = finite[np.isfinite(finite) & (finite < 1e5)]
    decimals = next((n for n in range(3) if np.allclose(finite, np.round(finite, n), rtol=0, atol=1e-6)), 3)
    if others is not None:
        pairs = list(zip(values[differs], others[differs]))
        while decimals < 7 and any(number(a, decimals) == number(b, decimals) for a, b in pairs):
            decimals += 1
    return decimals


def number(x, decimals):
    """Return a number as a short text."""
    if isinstance(x, np.generic):
        x = x.item()
    if not isinstance(x, float):
        return repr(x)
    if not np.isfinite(x):
        return str(x)
    return f"{x:.0e}" if abs(x) >= 1e5 else f"{x:.{decimals}f}"


def list_grid(label, items, others):
    """Return the items of a list as one row; items that differ from the other list's are marked."""
    differs = [i >= len(others) or item != others[i] for i, item in enumerate(items)]
    first = max(0, (differs.index(True) if True in differs else 0) - COLUMNS + 1)
    cells = [(repr(plain(item)), mark) for item, mark in zip(items, differs)][first : first + ITEMS] or [("[]", bool(others))]
    more = [("…", False)] if len(items) > first + ITEMS else []
    return Grid(label, ((*cells, *more),))


def dict_grids(yours, expected):
    """Return the first keys at which two dicts differ, with both values."""
    keys = [key for key in {**expected, **yours} if key not in yours or key not in expected or yours[key] != expected[key]]

    def rows(values, mark):
        texts = [(repr(plain(key)), repr(plain(values[key])) if key in values else "missing") for key in keys[:KEYS]]
        shown = [((key, False), (text, mark)) for key, text in texts]
        return tuple(shown) + (((("…", False), (f"{len(keys) - KEYS} more", False)),) if len(keys) > KEYS else ())

    return [Grid("yours", rows(yours, True)), Grid("expected", rows(expected, False))]
