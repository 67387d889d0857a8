"""`hint` and `solution`."""

import pydoc
from collections.abc import Callable

from neo_np.exercises.course import TRANSFER, find
from neo_np.exercises.display import show
from neo_np.exercises.messages import GOOD, NEUTRAL, Code, Text, Title
from neo_np.exercises.record import exercise_record, update
from neo_np.exercises.source import source_with
from neo_np.exercises.transfer import Stored

STAGES = "the idea", "the shapes", "a skeleton"


def hint(name: str | Callable) -> None:
    """Show the next of three hints for an exercise: the idea, the shapes, a skeleton of the code. The last one repeats."""
    exercise = find(name)
    number = min(int(exercise_record(exercise.name).get("hints", 0)), len(STAGES) - 1)
    update("exercises", exercise.name, hints=number + 1)
    text = exercise.hints[number]
    parts = [Title(NEUTRAL, f"{exercise.name}, hint {number + 1} of {len(STAGES)}: {STAGES[number]}")]
    if number == 0 and exercise.name in TRANSFER:  # it is in no notebook
        parts.append(Code("The task, as a cell to copy", exercise.stub()))
    if number + 1 < len(STAGES):
        parts += [Text(text), Text(f'Still stuck? `hint("{exercise.name}")` shows the next hint.')]
    else:
        parts.append(Code(f"def {exercise.signature}", text))
        if not isinstance(exercise.reference, Stored):
            parts.append(Text(f'After one check with a result, `solution("{exercise.name}")` opens.'))
    show(parts)


def solution(name: str | Callable) -> None:
    """Show the reference and the package's own function, once a check of the exercise has run to a result."""
    exercise = find(name)
    if isinstance(exercise.reference, Stored):
        show([Title(NEUTRAL, f"{exercise.name}: the package has no solution of this transfer exercise. Ask your lecturer.")])
        return
    if not exercise_record(exercise.name).get("ran"):
        show(
            [
                Title(NEUTRAL, f"{exercise.name}: the solution opens after one check in which your function returns a result."),
                Text(f'A wrong result is enough. `hint("{exercise.name}")` helps you to begin.'),
            ]
        )
        return
    parts = [Title(GOOD, f"{exercise.name}: one right answer"), source_with(exercise.reference, {})]
    if exercise.package_name:
        function = pydoc.locate(exercise.package_name)
        parts += [Text("And in the package:")]
        parts += [source_with(function, exercise.notes or {})]
    show(parts)
