"""Running a notebook in a test: without a network, with the exercise cells filled in some way."""

import base64
import importlib
import inspect
import random
import re

import build
import nbformat

from neo_np.exercises.course import find

# The first cell of every notebook in the tests: only addresses of this machine can be reached.
GUARD = """
import ipaddress
import socket

def guarded(connect):
    def call(self, address, *rest):
        if self.family in (socket.AF_INET, socket.AF_INET6):
            host = address[0]
            if host != "localhost" and not ipaddress.ip_address(host).is_loopback:
                raise RuntimeError(f"a notebook wants to reach {address}")
        return connect(self, address, *rest)
    return call

def no_names(host, *rest, **options):
    if host not in ("localhost", "127.0.0.1", "::1", None, ""):
        raise RuntimeError(f"a notebook looks up {host}")
    return real_names(host, *rest, **options)

real_names, socket.getaddrinfo = socket.getaddrinfo, no_names
socket.socket.connect = guarded(socket.socket.connect)
socket.socket.connect_ex = guarded(socket.socket.connect_ex)
"""


def run(notebook, progress_file=None, plain=True):
    """Execute a notebook behind the guard and return its cells by id, without the guard.

    A cell with in_tests="some code" runs this code in place of its own: a shorter training, for example.
    plain: as `build.execute` has it.
    """
    sources = [cell.source for cell in notebook.cells]
    for cell in notebook.cells:
        cell.source = cell.metadata.get("in_tests", cell.source)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(GUARD, id="guard"))
    build.execute(notebook, progress_file, plain)
    del notebook.cells[0]
    for cell, source in zip(notebook.cells, sources):
        if "in_tests" in cell.metadata:
            cell.source = source
    return {cell.id: cell for cell in notebook.cells}


def shortened(text):
    """Return the text of a source file in which the cells with in_tests have this code; all other lines stay where they are."""
    return re.sub(r'^(# %% .*in_tests="(.+)"\n).+$', r"\1\2", text, flags=re.M)


def texts(cell):
    """Return what a cell shows as text: streams, and the plain text of displays; pictures count by their texts."""
    shown = []
    for output in cell.get("outputs", []):
        shown.append(output["text"] if output["output_type"] == "stream" else output.get("data", {}).get("text/plain", ""))
        assert output["output_type"] != "error"
    return "\n".join(shown)


NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")


def same(found, expected):
    """Return whether two texts agree; numbers may differ by one unit of their last digit, as rounding does elsewhere."""
    if NUMBER.sub("#", found) != NUMBER.sub("#", expected):
        return False
    for a, b in zip(NUMBER.findall(found), NUMBER.findall(expected)):
        digits = len(b.partition(".")[2])
        if abs(float(a.replace(",", "")) - float(b.replace(",", ""))) > 1.001 * 10**-digits * (digits > 0):
            return False
    return True


def solution(name):
    """Return the source of a cell with the right answer: the reference, with the names of its module that it needs."""
    reference = find(name).reference
    module = importlib.import_module(reference.__module__)
    needed = [
        other
        for other in reference.__code__.co_names
        if other in vars(module) and other not in ("np", "math") and other not in find(name).given
    ]
    imports = f"import math\nfrom {module.__name__} import {', '.join(needed)}\n" if needed else "import math\n"
    return f"{imports}\n@check\n{inspect.getsource(reference)}"


def mistaken(name, mistake, way):
    """Return the source of a cell with one mistake: the exercise's variant with its switches."""
    exercise = find(name)
    signature = exercise.signature.partition("(")[2].rstrip(")")
    variant = exercise.variant
    arguments = ", ".join([*exercise.parameters, *(f"{key}={value!r}" for key, value in way.items())])
    first = f"from {variant.__module__} import {variant.__name__} as wrong"
    return f"{first}\n\n@check\ndef {name}({signature}):\n    return wrong({arguments})\n"


def chosen_mistake(name, notebook):
    """Return (mistake, way) for an exercise, always the same for a notebook's name."""
    rng = random.Random(f"{notebook} {name}")
    return rng.choice([(mistake, way) for mistake in find(name).mistakes for way in mistake.ways])


def images(notebook):
    """Return [(png bytes, alternative text)] of all pictures of a notebook."""
    found = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                found.append(
                    (base64.b64decode(output.data["image/png"]), output.metadata["image/png"]["alt"], output.data["text/plain"])
                )
    return found
