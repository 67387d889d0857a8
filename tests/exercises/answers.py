"""Answers written as students would write them: right ones in several styles, each mistake as an edit, and free wrong ones.

styles/NN.txt has, for each exercise, right answers ("=== exercise / style") and edits of them ("--- mistake"): each line
"old => new" replaces a piece of the source. In both, \\n means a new line.
"""

import copy
import linecache
import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from neo_np import Params
from neo_np.exercises.course import find

HERE = Path(__file__).resolve().parent


class Answer(NamedTuple):
    """A source that answers an exercise; mistake: the name of the mistake in it, None if it is right."""

    exercise: str
    style: str
    mistake: str | None
    source: str


def read_styles(folder="styles"):
    """Return all answers of the files of styles."""
    answers = []
    for file in sorted((HERE / folder).glob("*.txt")):
        for block in file.read_text(encoding="utf-8").split("=== ")[1:]:
            head, *edits = block.rstrip("\n").split("\n--- ")
            title, _, source = head.partition("\n")
            exercise, style = title.split(" / ")
            answers.append(Answer(exercise, style, None, source))
            for edit in edits:
                mistake, *replacements = edit.rstrip("\n").split("\n")
                answers.append(Answer(exercise, style, mistake, edited(source, replacements, f"{title}: {mistake}")))
    return answers


def edited(source, replacements, title):
    """Return a source after the replacements; each must occur."""
    for line in replacements:
        if line:
            old, _, new = (line + " ").partition(" => ")
            old, new = (piece.replace("\\n", "\n") for piece in (old, new[:-1]))
            assert old in source, f"{title}: {old!r} does not occur"
            source = source.replace(old, new)
    return source


def read_wrong_answers():
    """Return [(exercise, what is wrong in words, source)] of wrong_answers.txt."""
    found = []
    for block in (HERE / "wrong_answers.txt").read_text(encoding="utf-8").split("\n## ")[1:]:
        head, _, source = block.partition("\n")
        exercise, _, wrong = head.partition(": ")
        found.append((exercise, wrong, source))
    return found


def function_of(exercise, source):
    """Return the function that a source defines, in a namespace with np, math and the functions that may be called."""
    file = f"<answer to {exercise} {hash(source)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    given = {name: find(name).reference for name in find(exercise).given}
    namespace = {"np": np, "math": math, **given}
    exec(compile(source, file, "exec"), namespace)
    return namespace[exercise]


def in_float64(function):
    """Return a function that computes with float64 copies of its arguments."""

    def converted(*arguments):
        return function(*map(float64, arguments))

    return converted


def float64(x):
    """Return an argument with all float arrays in it as float64."""
    if isinstance(x, np.ndarray):
        return x.astype(np.float64) if x.dtype.kind == "f" else x.copy()
    if isinstance(x, Params):
        return Params({name: float64(array) for name, array in x.flat().items()})
    if isinstance(x, list | tuple):
        return type(x)(float64(item) for item in x)
    return copy.deepcopy(x)
