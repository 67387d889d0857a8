"""`order_lines`: the lines of a function in the wrong order, to be put right."""

import random
import string
from collections.abc import Callable

from neo_np.errors import NeoError
from neo_np.exercises.beginning import source_of
from neo_np.exercises.course import find
from neo_np.exercises.diagnosis import RIGHT, examine
from neo_np.exercises.display import show
from neo_np.exercises.messages import BAD, GOOD, NEUTRAL, Code, Text, Title


def order_lines(name: str | Callable, order: str = "") -> None:
    """Show the lines of an exercise's reference in the wrong order; with an order such as "CAB", check it.

    Every order that gives a right function is right.
    """
    exercise = find(name)
    lettered = shuffled_lines(exercise)
    code = Code(f"def {exercise.signature}", "\n".join(f"{letter}  {line}" for letter, line in lettered.items()))
    letters = [letter for letter in order.upper() if not letter.isspace() and letter != ","]
    call = f'order_lines("{exercise.name}", "{"".join(lettered)}")'
    if not letters:
        show(
            [
                Title(NEUTRAL, f"{exercise.name}: put these lines in order"),
                code,
                Text(f"Write the letters in your order: `{call}`"),
            ]
        )
    elif sorted(letters) != sorted(lettered):
        show([Title(BAD, f"Use each of the letters {''.join(lettered)} once; yours are {''.join(letters)}."), code])
    elif is_right(exercise, [lettered[letter] for letter in letters]):
        show(
            [
                Title(GOOD, f"{exercise.name}: this order is right."),
                Code(f"def {exercise.signature}", "\n".join(lettered[x] for x in letters)),
            ]
        )
    else:
        show([Title(BAD, f"{exercise.name}: this order is not right yet."), code, Text(first_problem(lettered, letters))])


def body_lines(exercise):
    """Return the lines of the reference's body without its docstring, comments at the end of a line left out."""
    source = source_of(exercise.reference)
    if source is None:
        raise NeoError(f"the source of {exercise.name} is not there, so it has no puzzle.")
    lines = [line.partition("  #")[0].rstrip() for line in source.split("\n")[1:]]
    closing = next((i for i, line in enumerate(lines) if line.endswith('"""')), -1)
    body = [line for line in lines[closing + 1 :] if line.strip()]
    indent = min(len(line) - len(line.lstrip()) for line in body)
    return [line[indent:] for line in body]


def shuffled_lines(exercise):
    """Return {letter: line}, always in the same wrong order."""
    lines = body_lines(exercise)
    shuffled = list(lines)
    rng = random.Random(exercise.name)
    while shuffled == lines and len(set(lines)) > 1:
        rng.shuffle(shuffled)
    return dict(zip(string.ascii_uppercase, shuffled))


def is_right(exercise, lines):
    """Return whether these lines, as the body of the function, agree with the reference."""
    source = f"def {exercise.name}({', '.join(exercise.parameters)}):\n" + "\n".join(f"    {line}" for line in lines)
    namespace = dict(exercise.reference.__globals__)
    try:
        exec(compile(source, f"<{exercise.name}>", "exec"), namespace)
    except SyntaxError:
        return False
    return examine(exercise, namespace[exercise.name]).verdict == RIGHT


def first_problem(lettered, letters):
    """Say which line comes too early: one that uses a name that a later line makes."""
    lines = [lettered[letter] for letter in letters]
    for i, line in enumerate(lines):
        for later, other in zip(letters[i + 1 :], lines[i + 1 :]):
            made = other.partition("=")[0].strip()
            if made.isidentifier() and " = " in other and made in words(line.partition(" = ")[2] or line):
                return f"Line {letters[i]} uses `{made}`, which line {later} makes only afterwards."
    return "Read it line by line: which values are there at each line?"


def words(text):
    """Return the names in a piece of code."""
    return set("".join(char if char.isalnum() or char == "_" else " " for char in text).split())
