"""Calling a student's function: in its own namespace, with copies of the inputs, its printing kept apart."""

import builtins
import copy
import dis
import io
import linecache
import re
import sys
import threading
import warnings
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType, TracebackType

import numpy as np

from neo_np.exercises.outcomes import BROKEN, Outcome, outcome_of, same_contents
from neo_np.exercises.timeout import Overtime

PRINTED_AT_MOST = 2000


class Printed(io.StringIO):
    """What the last call printed. What does not fit is dropped, so that an endless loop cannot fill the memory."""

    def write(self, text):
        """Keep the text if there is room for it."""
        return super().write(text) if self.tell() < PRINTED_AT_MOST else len(text)

    def begin(self):
        """Forget the text of the call before."""
        self.seek(0)
        self.truncate()


def with_names(function, names):
    """Return the function with these names among its global names, and with itself under its own name.

    A function that calls itself finds the version of an earlier cell otherwise: its own name is bound after the check.
    """
    if not isinstance(function, FunctionType):
        return function
    namespace = {**function.__globals__, **names}
    copied = FunctionType(function.__code__, namespace, function.__name__, function.__defaults__, function.__closure__)
    copied.__kwdefaults__ = function.__kwdefaults__
    namespace[function.__name__] = copied
    return copied


def outside_names(function, given):
    """Return the names of the notebook that a function uses and that are no argument of it.

    Functions that it may call (`given`), imports, builtins and the function's own name do not count.
    """
    if not isinstance(function, FunctionType):
        return ()
    namespace, known = function.__globals__, {function.__name__, *given, *vars(builtins)}
    names = [name for name in dict.fromkeys(global_names(function.__code__)) if name in namespace and name not in known]
    return tuple(name for name in names if not is_imported(name, namespace))


def global_names(code, modules=False):
    """Yield the global names that some code reads, functions inside of it included. modules: those that it imports too."""
    operations = ("LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME")[: 3 if modules else 2]
    yield from (step.argval for step in dis.get_instructions(code) if step.opname in operations)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from global_names(constant, modules)


def is_imported(name, namespace):
    """Return whether a global is a module, a function or class of one, or what a module holds under the same name."""
    value = namespace[name]
    if isinstance(value, ModuleType):
        return True
    if isinstance(value, type | FunctionType):
        return value.__module__ != namespace.get("__name__")
    modules = [vars(module) for module in list(sys.modules.values()) if isinstance(module, ModuleType)]
    return any(names.get(name) is value for names in modules if names is not namespace)


def call(function, arguments, expected, compare_as):
    """Call a function with copies of the arguments and return the `Outcome`; only Overtime and an interrupt pass through."""
    copies = copy.deepcopy(arguments)
    try:
        result = function(*copies)
        if isinstance(result, np.ndarray | list | dict | tuple):  # the function may change it at the next call
            result = copy.deepcopy(result)
    except (Overtime, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit too: exit() in a cell
        return Outcome(BROKEN, error=error)
    return outcome_of(result, expected, compare_as, after=None if same_contents(arguments, copies) else copies)


STANDARD_OUTPUT = threading.RLock()  # it belongs to the whole process, so two threads take turns


@contextmanager
def kept_apart():
    """Yield a `Printed` that takes what is printed; NumPy's warnings are not shown. Other threads wait."""
    printed = Printed()
    with STANDARD_OUTPUT, redirect_stdout(printed), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield printed


@dataclass(frozen=True)
class Place:
    """A line of the student's code: number, text, what happened there, and the traceback that ends in it."""

    number: int
    line: str
    what: str
    trace: TracebackType | None = None

    @property
    def where(self):
        """The line in words, such as "line 3: `return x`", or "" if it is not known."""
        return f"line {self.number}" + (f": `{self.line}`" if self.line else "") if self.number else ""


def place_of(error, function):
    """Return the student's own line in which an error happened: the last one that lies in the function's file."""
    file = getattr(getattr(function, "__code__", None), "co_filename", None)
    text = re.sub(r"\bnp\.(?:u?int|float|str|bool)\w*\(([^()]*)\)", r"\1", str(error))  # a key such as np.int64(3)
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    trace, last = error.__traceback__, None
    while trace is not None:
        last = trace if trace.tb_frame.f_code.co_filename == file else last
        trace = trace.tb_next
    if last is None:
        return Place(0, "", what)
    return Place(last.tb_lineno, linecache.getline(file, last.tb_lineno).strip(), what, last)
