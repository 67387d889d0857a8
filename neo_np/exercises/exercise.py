"""What an exercise consists of: the task, a reference, cases, the usual mistakes and three hints."""

import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

RTOL, ATOL = 1e-4, 1e-5
DEEP_TOLERANCE = 1e-3, 1e-4  # for many steps in a row: float32 and float64 differ more


@dataclass(frozen=True)
class Case:
    """One call of the function. An extreme case tests a border, such as very large numbers; a random one may be simplified."""

    arguments: tuple
    extreme: bool = False
    random: bool = False


@dataclass(frozen=True, eq=False)
class Mistake:
    """A usual mistake.

    ways: keyword arguments with which the exercise's `variant` makes this mistake, one dict for each way of making it.
    says: what is wrong, as one sentence. asks: a question that leads out of it.
    """

    name: str
    ways: tuple[dict, ...]
    says: str
    asks: str


def mistake(name: str, ways: dict | tuple[dict, ...], says: str, asks: str) -> Mistake:
    """Return a `Mistake`; `ways` may be one dict if there is only one way."""
    return Mistake(name, (ways,) if isinstance(ways, dict) else tuple(ways), says, asks)


def unchanged(result):
    """Return the result itself: most exercises compare results as they are."""
    return result


@dataclass(frozen=True, eq=False)
class Exercise:
    """A function to write, and everything that is needed to check it.

    notebook: "00" to "17". minutes: estimated working time. core: False for an exercise that may be skipped.
    signature: such as "softmax(x)". task: one or more sentences, the docstring of the student's function.
    reference: the right function, plain NumPy or a loop. package_name: the same function in neo_np, as
    "neo_np.gpt_neo.forward.softmax", or None. given: names of other exercises whose functions an answer may call.
    cases: a function that returns the cases, smallest first. variant: the reference with a switch for each mistake.
    also_right: correct functions in other styles. hints: the idea, the shapes, a skeleton with blanks.
    blanks: lines with blanks for the stub of the first exercise of a notebook; the skeleton shows more than these lines.
    tolerance: (rtol, atol). compare_as: applied to results before they are compared.
    effect: a function of the student's function that returns one sentence about the model that ships, or None.
    notes: {"piece of the package's source": "remark"} for `show_source`.
    """

    name: str
    notebook: str
    minutes: int
    signature: str
    task: str
    reference: Callable
    variant: Callable
    cases: Callable[[], list[Case]]
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, str, str]
    core: bool = False
    package_name: str | None = None
    given: tuple[str, ...] = ()
    also_right: tuple[Callable, ...] = ()
    blanks: str = ""
    tolerance: tuple[float, float] = (RTOL, ATOL)
    compare_as: Callable = unchanged
    effect: Callable | None = None
    notes: dict[str, str] | None = None

    @property
    def parameters(self) -> list[str]:
        """The names of the function's parameters, as the signature has them."""
        return re.findall(r"\w+", self.signature.partition("(")[2])

    def stub(self, blanks: bool = False) -> str:
        """Return the source of the cell to fill in: the whole body missing, or (blanks) lines with blanks."""
        body = (self.blanks or self.hints[2]) if blanks else "..."
        task = textwrap.fill(self.task, 112, break_long_words=False, break_on_hyphens=False)
        docstring = f'"""{task}"""' if "\n" not in task else f'"""{task}\n"""'
        return f"@check\ndef {self.signature}:\n" + textwrap.indent(f"{docstring}\n{body}", "    ")


def random_numbers(rng, *shape):
    """Return normal random numbers with one decimal, float32: easy to read."""
    return np.round(2 * rng.normal(size=shape), 1).astype(np.float32)


def array(rows):
    """Return a float32 array."""
    return np.array(rows, np.float32)
