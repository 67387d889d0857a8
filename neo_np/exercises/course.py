"""The course: its notebooks and the exercises of each."""

import difflib
from collections.abc import Callable

from neo_np.errors import NeoError
from neo_np.exercises import (
    nb00_whole_model,
    nb01_arrays,
    nb02_tokens,
    nb03_embeddings,
    nb04_layer_norm,
    nb05_one_head,
    nb06_many_heads,
    nb07_local_attention,
    nb08_mlp,
    nb09_stream,
    nb10_sampling,
    nb11_generation,
    nb12_loss,
    nb13_backpropagation,
    nb14_training,
    nb15_inside,
    transfer,
)
from neo_np.exercises.exercise import Exercise

NOTEBOOKS = {
    "00": "The whole model",
    "01": "Arrays",
    "02": "Tokens",
    "03": "Embeddings",
    "04": "Layer norm",
    "05": "One head",
    "06": "Many heads",
    "07": "Local attention",
    "08": "The MLP",
    "09": "The stream",
    "10": "Sampling",
    "11": "Generation",
    "12": "The loss",
    "13": "Backpropagation",
    "14": "Training",
    "15": "Inside",
    "16": "GPT-Neo 125M",
    "17": "Where next",
}
FILES = (
    nb00_whole_model,
    nb01_arrays,
    nb02_tokens,
    nb03_embeddings,
    nb04_layer_norm,
    nb05_one_head,
    nb06_many_heads,
    nb07_local_attention,
    nb08_mlp,
    nb09_stream,
    nb10_sampling,
    nb11_generation,
    nb12_loss,
    nb13_backpropagation,
    nb14_training,
    nb15_inside,
)
EXERCISES = {exercise.name: exercise for file in FILES for exercise in file.EXERCISES}
TRANSFER = {exercise.name: exercise for exercise in transfer.EXERCISES}


def register(exercise: Exercise) -> None:
    """Add an exercise to the course, or put it in the place of the one with the same name."""
    (TRANSFER if exercise.name in TRANSFER else EXERCISES)[exercise.name] = exercise


def find(name: str | Callable) -> Exercise:
    """Return the exercise with a name; a function means its own name. Raises NeoError for an unknown name."""
    name = getattr(name, "__name__", name)
    known = EXERCISES | TRANSFER
    if name in known:
        return known[name]
    near = difflib.get_close_matches(str(name), known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else f" The exercises are: {', '.join(EXERCISES)}."
    raise NeoError(f"there is no exercise {name!r}.{hint}")
