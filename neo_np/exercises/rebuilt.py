"""`write_with_answers`: the model built from the answers that passed."""

import numpy as np

from neo_np.exercises.calls import kept_apart
from neo_np.exercises.course import find
from neo_np.exercises.diagnosis import RIGHT, examine
from neo_np.exercises.display import show
from neo_np.exercises.messages import GOOD, NEUTRAL, Text, Title
from neo_np.exercises.own_model import NAMES, continue_text, drawing, functions_with, shipped_model
from neo_np.exercises.record import read_answers


def write_with_answers(prompt: str = "Once upon a time", max_new_tokens: int = 20, seed: int | None = None) -> None:
    """Write a text with the shipped checkpoint and the student's own functions; the references take the place of the others.

    Tokens are drawn. Without a seed, the number of own functions is the seed: each further function gives a new text.
    """
    own, broken = answers()
    written = []
    with kept_apart():
        continue_text(functions_with(own), prompt, max_new_tokens, written, drawing(len(own) if seed is None else seed))
    tokenizer = shipped_model().tokenizer
    text = tokenizer.decode(tokenizer.encode(prompt) + written)
    missing = [name for name in NAMES if name not in own and name not in broken]
    parts = [
        Title(GOOD if own else NEUTRAL, f"{len(own)} of {len(NAMES)} functions of this model are yours."),
        Text(f"It writes: “{text} …”"),
    ]
    if own:
        parts.append(Text("Yours: " + ", ".join(f"`{name}`" for name in own) + "."))
    if missing:
        parts.append(Text("From the course: " + ", ".join(f"`{name}`" for name in missing) + "."))
    if broken:
        text = ", ".join(f"`{name}`" for name in broken)
        parts.append(Text(f"Yours, but it needs something of its notebook that was not kept, so the course's is used: {text}."))
    show(parts)


def answers():
    """Return ({name: the student's function}, [names of kept answers that no longer run by themselves])."""
    own, broken = {}, []
    for name, source in read_answers().items():
        if name not in NAMES:
            continue
        namespace = {**find(name).reference.__globals__, "np": np}
        namespace.pop(name, None)
        try:
            exec(compile(source, f"<your {name}>", "exec"), namespace)
            works = examine(find(name), namespace.get(name)).verdict == RIGHT
        except Exception:  # the file may have been changed by hand
            works = False
        if works:
            own[name] = namespace[name]
        else:
            broken.append(name)
    return own, broken
