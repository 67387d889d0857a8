"""`predict` and `reveal`: a guess before the run, then guess and answer side by side."""

import re
from typing import Any

import numpy as np

from neo_np.exercises.display import show
from neo_np.exercises.messages import GOOD, NEUTRAL, Text, Title
from neo_np.exercises.record import read_record, update

NUMBER = re.compile(r"([-+]?(?=\.?\d)\d*\.?(\d*)(?:e[-+]?\d+)?)(?:/(\d+))?(%?)")
PERCENTAGE = re.compile(r" *(\d+(?:\.\d+)?) *% *")
TWO_DECIMALS, SHARE, ROUNDING = 0.005, 0.02, 1e-9


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

    A list holds several right answers, and each of them is a right guess. Texts are compared without spaces and case. A float
    may be guessed rounded, and as a percentage: 0.41 as 41%. A value such as "41%" may also be guessed as 41 or 0.41.
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
    several = value if isinstance(value, list) else []
    if any(agree(guess, item) for item in [value, *several]):
        said = f"it is one of {answer}" if len(several) > 1 and not agree(guess, value) else f"it is {answer}"
        show([Title(GOOD, f"Prediction {name}: you guessed {guess}, and {said}.")])
    else:
        show(
            [
                Title(NEUTRAL, f"Prediction {name}: you guessed {guess}. It is {answer}."),
                Text("Why the difference? A wrong guess that you can explain teaches more than a right one."),
            ]
        )


def agree(guess, value):
    """Return whether a guess in words is this answer: the same words, or the same number in another form."""
    if comparable(guess) == comparable(in_words(value)):
        return True
    found = NUMBER.fullmatch(comparable(guess))
    value = value.item() if isinstance(value, np.generic) else value
    percentage = PERCENTAGE.fullmatch(value) if isinstance(value, str) else None
    if found is None or not (percentage or (isinstance(value, int | float) and not isinstance(value, bool))):
        return False
    guessed, divisor, percent = float(found[1]), float(found[3] or 1), found[4] == "%"
    if divisor == 0:
        return False
    plain, share = guessed / divisor, guessed / divisor / 100
    exact = float(percentage[1]) / 100 if percentage else float(value)
    if percentage and percent:
        meant = [share]
    elif percentage or percent:
        meant = [plain, share]
    else:
        meant = [plain]
    return any(near(number, exact, len(found[2] or ""), isinstance(value, int)) for number in meant)


def near(number, exact, decimals, whole):
    """Return whether a guessed number is right: exactly if the answer is a whole number, else when it is rounded.

    Two decimals are enough. Fewer are enough if the answer, rounded to them, is the guess and hardly changed.
    """
    apart = abs(number - exact)
    if whole:
        return apart < ROUNDING
    rounded = decimals > 0 and abs(number - round(exact, decimals)) < ROUNDING
    return apart <= TWO_DECIMALS + ROUNDING or (rounded and apart <= SHARE * abs(exact))


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
        words = f"{round(value, 3) + 0.0:.3f}"  # + 0.0: -0.0 becomes 0.0
        return words.rstrip("0").rstrip(".") if "." in words else words
    if isinstance(value, list):
        return ", ".join(in_words(item) for item in value)
    return f"“{value}”" if isinstance(value, str) else str(value)
