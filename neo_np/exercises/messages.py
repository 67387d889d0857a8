"""The message of a check, as a list of parts; `display.py` turns the parts into text or HTML."""

import itertools
from dataclasses import dataclass

import numpy as np

from neo_np.exercises.diagnosis import ARGUMENTS, EXTREME, INTERRUPTED, NOT_BEGUN, RAISED, RANDOM, RIGHT, SLOW
from neo_np.exercises.explanations import explanation
from neo_np.exercises.grids import argument_grids, result_grids
from neo_np.exercises.naming import is_wrong
from neo_np.exercises.outcomes import BROKEN, SHAPE, TYPE, describe, is_float, same_contents, same_type

GOOD, BAD, NEUTRAL = "good", "bad", "neutral"
DIFFERS = "≠"
ON_RANDOM_RESULTS = "The arguments must decide the result: draw no random numbers, and keep nothing from one call to the next."
LARGE = 100  # exp of a larger float32 is infinite


@dataclass(frozen=True)
class Title:
    """The first line. tone: GOOD, BAD or NEUTRAL."""

    tone: str
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph; pieces between backticks are code."""

    text: str


@dataclass(frozen=True)
class Question:
    """The question that leads out of a mistake."""

    text: str


@dataclass(frozen=True)
class Code:
    """Lines of code or of printed text, shown as they are, under a short heading."""

    heading: str
    text: str


@dataclass(frozen=True)
class Source:
    """A function's source: heading, and lines of (text, ((column, piece, remark), ...))."""

    heading: str
    lines: tuple


@dataclass(frozen=True)
class Table:
    """A case: heading, the grids of the inputs, the grids of both results."""

    heading: str
    inputs: list
    results: list


def message_of(finding):
    """Return the parts of the message of a finding."""
    parts = [title_of(finding)]
    if finding.verdict == NOT_BEGUN:
        return [*parts, *blanks_of(finding), next_hint(finding)]
    parts += mistakes_of(finding)
    if finding.outside:
        parts.append(Text(about_outside(finding.outside)))
    if finding.unkept:
        parts.append(Text(about_unkept(*finding.unkept)))
    if finding.shown:
        elsewhere = finding.place and finding.shown.yours.error is None and not not_finite(finding)
        if not elsewhere:
            parts += about_error(finding)
        parts.append(table_of(finding))
        if elsewhere:
            parts += [Text(f"In other cases your function stops with {error_of(finding.place)}"), *about_error(finding)]
    if finding.printed:
        parts.append(Code("Your function printed", finding.printed.rstrip("\n")))
    if finding.verdict != RIGHT:
        parts.append(next_hint(finding))
    return parts


def title_of(finding):
    """Return the verdict in one line."""
    name, verdict, place = finding.exercise.name, finding.verdict, finding.place
    if verdict == RIGHT:
        return Title(GOOD, f"{name}: right. It agrees with the reference on {cases(finding.total)}.")
    if verdict == NOT_BEGUN and finding.blanks:
        return Title(NEUTRAL, f"{name}: not finished yet. {number_of_blanks(finding.blanks)}")
    if verdict == NOT_BEGUN:
        return Title(NEUTRAL, f"{name}: not begun yet.")
    if verdict == ARGUMENTS:
        return Title(BAD, f"{name}: not yet. {finding.detail}")
    if verdict == SLOW:
        where = f" Look at {place.where}." if place.where else ""
        return Title(BAD, f"{name}: stopped after {finding.detail} seconds. Is there a loop that never ends?{where}")
    if verdict == INTERRUPTED:
        return Title(NEUTRAL, f"{name}: you stopped it{' in ' if place.where else ''}{place.where}.")
    if verdict == RANDOM:
        says = "Called twice with the same input, your function gives two different results."
        return Title(BAD, f"{name}: not yet. {says}{finding.detail or f' {ON_RANDOM_RESULTS}'}")
    return Title(BAD, f"{name}: not yet. {what_is_wrong(finding)}")


def number_of_blanks(blanks):
    """Return the sentence that says how many blanks are left, and in which lines."""
    places = " and ".join(f"line {number}" for number in sorted({number for number, _ in blanks}))
    return f"One `...` is left in {places}." if len(blanks) == 1 else f"{len(blanks)} `...` are left in {places}."


def blanks_of(finding):
    """Return what to do about blanks, with the lines in which they are left."""
    parts = [Text("Replace each `...` by your own code, then run this cell.")]
    if finding.blanks:
        lines = [f"line {number}: {line}" for number, line in sorted(set(finding.blanks))]
        parts.append(Code("Still to fill in", "\n".join(lines)))
    return parts


def about_outside(names):
    """Return the sentence about names of the notebook that a function uses."""
    listed = ", ".join(f"`{name}`" for name in names)
    argument = "is not one of its arguments" if len(names) == 1 else "are not its arguments"
    return (
        f"Your function uses {listed} of the notebook, which {argument}. With other inputs it fails or "
        "computes with wrong values: use the arguments only, for example sizes from `x.shape`."
    )


def about_unkept(number, line):
    """Return the sentence about a line that makes a new value and keeps it nowhere."""
    return f"Line {number}, `{line}`, makes a new value and keeps it nowhere. Is `name =` or `return` missing in front?"


def about_error(finding):
    """Return what helps with the error of a finding, if there is one and it is a common one."""
    said = explanation(finding.place) if finding.place else ""
    return [Text(f"About the error: {said}")] if said else []


def error_of(place):
    """Return an error and its line, as the end of a sentence."""
    return f"`{place.what}`{' in ' if place.where else ''}{place.where}."


def cases(number):
    """Return "1 case" or "40 cases"."""
    return f"{number} case{'' if number == 1 else 's'}"


def what_is_wrong(finding):
    """Return the sentence of the verdict on a wrong answer: a wrong type or shape is said before anything else."""
    yours, expected = finding.shown.yours, finding.shown.expected
    if yours.error is not None:
        return f"Your function stops with {error_of(finding.place)}"
    if yours.kind == TYPE and yours.value is None:
        return "Your function returns None. Does it end with a `return` line?"
    if yours.kind in (TYPE, SHAPE):
        advice = " `np.array(...)` makes an array of a list." if is_list_for_array(yours, expected) else ""
        if yours.found == describe(expected):
            place, found, wanted = deeper(yours.raw, expected)
            return f"In your result, `result{place}` is {found}, and {wanted} was expected.{advice}"
        return f"Your function returns {yours.found}, and {describe(expected)} was expected.{advice}"
    if yours.kind == BROKEN:
        begin = f" They begin in {finding.place.where}." if not_finite(finding) and finding.place.where else ""
        return f"Your result has numbers that are not finite (inf or nan).{begin}"
    share = f" on {'all' if finding.failing == finding.total else f'{finding.failing} of'} {cases(finding.total)}"
    share = "" if finding.total == 1 else share
    if finding.only_changed:
        return f"The results are right, but the input is changed{share}."
    if shows_changed_input(finding):
        return "In the case below the result is right, but the input is changed; other cases are wrong."
    return f"The result is wrong{share}."


def deeper(result, expected):
    """Return where two values with the same description differ in type: the index, what is there, and what was expected."""
    many = list | tuple | np.ndarray
    if isinstance(result, many) and isinstance(expected, list | tuple) and len(expected):
        others = expected if isinstance(expected, tuple) else [expected[0]] * len(result)
        for i, (item, other) in enumerate(zip(result, others)):
            if not same_type(item, other):
                place, found, wanted = deeper(item, other)
                return f"[{i}]{place}", found, wanted
    return "", describe(result), describe(expected)


def not_finite(finding):
    """Return whether the place of a finding is where the result that is shown stops being finite."""
    return bool(finding.place and finding.shown and finding.shown.yours.kind == BROKEN and not finding.shown.yours.error)


def is_list_for_array(yours, expected):
    """Return whether a list or tuple of numbers or rows came back where an array was expected."""
    if not isinstance(expected, np.ndarray) or not isinstance(yours.raw, list | tuple):
        return False
    return not any(isinstance(item, np.ndarray) and item.shape == expected.shape for item in yours.raw)


def mistakes_of(finding):
    """Return each named mistake in one sentence, with its question."""
    mistakes, parts = finding.mistakes, []
    if len(mistakes) == 1:
        parts = [Text(f"Probable mistake: {mistakes[0].says}"), Question(mistakes[0].asks)]
    elif mistakes:
        parts = [Text(f"Probably {'two' if len(mistakes) == 2 else 'three'} mistakes at once:")]
        for number, mistake in enumerate(mistakes, 1):
            says = mistake.says[0].upper() + mistake.says[1:]
            parts += [Text(f"{number}. {says}"), Question(mistake.asks)]
    if finding.partly == EXTREME:
        parts.append(Text(f"And there is something else: {special(finding)} wrong in another way."))
    if finding.partly == RAISED:
        parts.append(Text("In other cases your function stops with an error. This may be the same mistake or another one."))
    return parts


def special(finding):
    """Return the subject of the sentence about failing extreme cases: what all of them have in common."""
    exercise = finding.exercise
    rows = [case.arguments for case in finding.extreme]
    for i, name in enumerate(exercise.parameters):
        values = [arguments[i] for arguments in rows]
        if all(isinstance(x, np.ndarray) and is_float(x) and np.abs(x[np.isfinite(x)]).max(initial=0) >= LARGE for x in values):
            return f"cases with very large numbers in `{name}` are"
        if all(isinstance(x, np.ndarray | list | tuple | dict) and len(x) == 0 for x in values):
            return f"cases with an empty `{name}` are"
    return "a special case is" if len(rows) == 1 else "some special cases are"


def table_of(finding):
    """Return the case that is shown."""
    exercise, shown = finding.exercise, finding.shown
    yours, arguments = shown.yours, list(zip(exercise.parameters, shown.case.arguments))
    inputs = list(itertools.chain(*(argument_grids(name, value) for name, value in arguments)))
    heading = f"Case {shown.number} of {finding.total}"
    if yours.error is not None:
        return Table(f"{heading}, the inputs", inputs, [])
    if shows_changed_input(finding):
        changed = [(name, after) for (name, before), after in zip(arguments, yours.after) if not same_contents(before, after)]
        return Table(heading, inputs, list(itertools.chain(*(argument_grids(f"{name} afterwards", x) for name, x in changed))))
    results = result_grids(yours, shown.expected, exercise.tolerance)
    marked = any(differs for grid in results for row in grid.rows for _, differs in row)
    return Table(f"{heading} ({DIFFERS} marks what differs)" if marked else heading, inputs, results)


def shows_changed_input(finding):
    """Return whether the result of the case that is shown is right and only its input is changed."""
    yours, expected = finding.shown.yours, finding.shown.expected
    return yours.changed and not is_wrong(yours, expected, finding.exercise.tolerance)


def next_hint(finding):
    """Return the line that says how to get help."""
    return Text(f'`hint("{finding.exercise.name}")` shows the next hint.')
