"""The message of a check, as a list of parts; `display.py` turns the parts into text or HTML."""

import itertools
from dataclasses import dataclass

from neo_np.exercises.diagnosis import ARGUMENTS, EXTREME, INTERRUPTED, NOT_BEGUN, RAISED, RANDOM, RIGHT, SLOW
from neo_np.exercises.grids import argument_grids, result_grids
from neo_np.exercises.naming import is_wrong
from neo_np.exercises.outcomes import BROKEN, SHAPE, TYPE, describe, same_contents

GOOD, BAD, NEUTRAL = "good", "bad", "neutral"


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
        return [*parts, Text("Replace each `...` by your own code, then run this cell."), next_hint(finding)]
    parts += mistakes_of(finding)
    if finding.shown:
        parts.append(table_of(finding))
        if finding.place and finding.shown.yours.error is None:
            parts.append(Text(f"In other cases your function stops with {error_of(finding.place)}"))
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
        return Title(BAD, f"{name}: not yet. Called twice with the same input, your function gives two different results.")
    return Title(BAD, f"{name}: not yet. {what_is_wrong(finding)}")


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
        return f"Your function returns {yours.found}, and {describe(expected)} was expected."
    if yours.kind == BROKEN:
        return "Your result has numbers that are not finite (inf or nan)."
    share = f" on {'all' if finding.failing == finding.total else f'{finding.failing} of'} {cases(finding.total)}"
    share = "" if finding.total == 1 else share
    return (
        f"The results are right, but the input is changed{share}."
        if only_changes_input(finding)
        else f"The result is wrong{share}."
    )


def mistakes_of(finding):
    """Return each named mistake in one sentence, with its question."""
    mistakes, parts = finding.mistakes, []
    if len(mistakes) == 1:
        parts = [Text(f"It looks like this: {mistakes[0].says}"), Question(mistakes[0].asks)]
    elif mistakes:
        parts = [Text(f"It looks like {'two' if len(mistakes) == 2 else 'three'} mistakes at once:")]
        for number, mistake in enumerate(mistakes, 1):
            says = mistake.says[0].upper() + mistake.says[1:]
            parts += [Text(f"{number}. {says}"), Question(mistake.asks)]
    if finding.partly == EXTREME:
        parts.append(
            Text("And there is something else: some special cases, such as very large numbers, are wrong in another way.")
        )
    if finding.partly == RAISED:
        parts.append(
            Text("And there is something else: this does not explain why your function stops with an error in other cases.")
        )
    return parts


def table_of(finding):
    """Return the case that is shown."""
    exercise, shown = finding.exercise, finding.shown
    yours, arguments = shown.yours, list(zip(exercise.parameters, shown.case.arguments))
    inputs = list(itertools.chain(*(argument_grids(name, value) for name, value in arguments)))
    heading = f"Case {shown.number} of {finding.total}"
    if yours.error is not None:
        return Table(f"{heading}, the inputs", inputs, [])
    if only_changes_input(finding):
        changed = [(name, after) for (name, before), after in zip(arguments, yours.after) if not same_contents(before, after)]
        return Table(heading, inputs, list(itertools.chain(*(argument_grids(f"{name} afterwards", x) for name, x in changed))))
    return Table(heading, inputs, result_grids(yours, shown.expected, exercise.tolerance))


def only_changes_input(finding):
    """Return whether the result that is shown is right, and the only mistake is that the input is changed."""
    shown = finding.shown
    return shown.yours.changed and not is_wrong(shown.yours, shown.expected, finding.exercise.tolerance)


def next_hint(finding):
    """Return the line that says how to get help."""
    return Text(f'`hint("{finding.exercise.name}")` shows the next hint.')
