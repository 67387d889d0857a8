"""The exercises of the course in notebooks/, and a checker that names the mistake.

>>> from neo_np.exercises import check
>>> @check
... def softmax(x): ...
"""

from neo_np.exercises.checker import Verdict, check, diagnose, passes
from neo_np.exercises.course import register
from neo_np.exercises.exercise import Case, Exercise, Mistake, mistake
from neo_np.exercises.grading.grader import Grade, grade
from neo_np.exercises.hints import hint, solution
from neo_np.exercises.overview import progress
from neo_np.exercises.predictions import predict, reveal
from neo_np.exercises.puzzles import order_lines
from neo_np.exercises.rebuilt import write_with_answers
from neo_np.exercises.registry import load_registry, register_solution
from neo_np.exercises.source import show_source

__all__ = [
    "Case",
    "Exercise",
    "Grade",
    "Mistake",
    "Verdict",
    "check",
    "diagnose",
    "grade",
    "hint",
    "load_registry",
    "mistake",
    "order_lines",
    "passes",
    "predict",
    "progress",
    "register",
    "register_solution",
    "reveal",
    "show_source",
    "solution",
    "write_with_answers",
]
