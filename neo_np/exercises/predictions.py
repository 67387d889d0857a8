"""`predict` and `reveal`: a guess before the run, then guess and answer side by side."""

from typing import Any

import numpy as np

from neo_np.exercises.display import show
from neo_np.exercises.grids import number
from neo_np.exercises.messages import GOOD, NEUTRAL, Text, Title
from neo_np.exercises.record import read_record, update


def predict(name: str, guess: Any) -> None:
    """Keep a guess. name: notebook and number, such as "05.2". A guess of `...` or None is none."""
    if guess is ... or guess is None:
        show(
            [
                Title(
                    NEUTRAL,
                    f"Prediction {name}: put your guess in the place of `...`, then run this cell. A wrong guess is welcome.",
                )
            ]
        )
        return
    update("guesses", name, guess=in_words(guess), revealed=False)
    show([Title(NEUTRAL, f"Prediction {name}: your guess is {in_words(guess)}. Now run the next cell.")])


def reveal(name: str, value: Any) -> None:
    """Show the guess and the answer side by side; without a guess, ask for one and keep the answer hidden.

    A list holds several right answers, and each of them is a right guess. Texts are compared without spaces and case.
    """
    kept = read_record()["guesses"].get(name)
    if kept is None:
        show(
            [
                Title(
                    NEUTRAL,
                    f"Prediction {name}: first guess, then look. Fill in `predict({name!r}, ...)` above and run both cells.",
                )
            ]
        )
        return
    update("guesses", name, revealed=True)
    guess, answer = str(kept.get("guess")), in_words(value)
    several = [in_words(item) for item in value] if isinstance(value, list) else []
    if comparable(guess) in map(comparable, [answer, *several]):
        said = f"it is one of {answer}" if len(several) > 1 and comparable(guess) != comparable(answer) else f"it is {answer}"
        show([Title(GOOD, f"Prediction {name}: you guessed {guess}, and {said}.")])
    else:
        show(
            [
                Title(NEUTRAL, f"Prediction {name}: you guessed {guess}. It is {answer}."),
                Text("Why the difference? A wrong guess that you can explain teaches more than a right one."),
            ]
        )


def comparable(words):
    """Return a guess or an answer in words as it is compared: without quotation marks, spaces and case."""
    return "".join(words.split()).strip("“”").casefold()


def in_words(value):
    """Return a guess or an answer as a short text."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float):
        return number(value, 3).rstrip("0").rstrip(".")
    if isinstance(value, list):
        return ", ".join(in_words(item) for item in value)
    return f"“{value}”" if isinstance(value, str) else str(value)
