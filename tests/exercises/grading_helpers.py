"""What the tests of grading share: submissions as files, and a check of one answer in this process."""

import json
import textwrap
from dataclasses import replace

from neo_np.exercises.course import find
from neo_np.exercises.grading.grader import earlier_answers
from neo_np.exercises.grading.needed import needed_by
from neo_np.exercises.grading.submission import Cell, definitions_of
from neo_np.exercises.grading.worker import check

HEAD = "import numpy as np\nfrom neo_np.exercises import check, hint\n"
SOFTMAX = """
@check
def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)
"""
CAUSAL_MASK = """
@check
def causal_mask(queries, keys):
    return np.where(keys[None, :] <= queries[:, None], 0.0, -1e9)
"""
STRICT_MASK = CAUSAL_MASK.replace("<=", "<")
ATTEND = """
@check
def attend(q, k, v, mask):
    return softmax(q @ k.T + mask) @ v
"""


def dedented(source):
    """Return an indented block as source."""
    return textwrap.dedent(source).strip("\n") + "\n"


def definitions_in(*sources):
    """Return (definitions, skipped) of sources as cells."""
    return definitions_of([Cell(f"cell {number}", dedented(source)) for number, source in enumerate(sources, 1)])


def judged(name, *cells, seconds=60.0):
    """Return (mistake, remark) of an answer in these cells, checked in this process; (borrowed names, "") if it uses neo_np."""
    definitions, _ = definitions_in(*cells)
    exercise = replace(find(name), given=tuple(earlier_answers(find(name), definitions)))
    needed = needed_by(name, definitions, set(exercise.given))
    if needed.borrowed:
        return needed.borrowed, ""
    result = check(exercise, needed, seconds)
    return result["mistake"], result["remark"]


def notebook(*cells, **other):
    """Return the text of a notebook with these cells of code."""
    made = [
        {"cell_type": "code", "source": dedented(cell).splitlines(keepends=True), "outputs": [], "metadata": {}}
        for cell in cells
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made} | other)
