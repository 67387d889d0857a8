"""What an answer needs: the imports, constants and helpers of the same file that it uses, directly or through each other."""

import ast
import builtins
import copy
import functools
import math
import symtable
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neo_np.exercises.borrowed import COURSE, PACKAGE, is_library
from neo_np.exercises.grading.submission import DEFINING, Definition

ALWAYS_THERE = {"np": np, "display": print}  # the import of np may be in a cell that was skipped; Jupyter has display


@dataclass(frozen=True)
class Needed:
    """The definitions that an answer needs, itself included, in the order of the file.

    borrowed: the names of neo_np that the answer uses. made: those of the definitions that compute something with neo_np, such
    as `D = model.config.head_size`. behind: what these need, themselves included; it runs first, while neo_np is still there.
    """

    definitions: list[Definition]
    borrowed: list[str]
    made: list[Definition]
    behind: list[Definition]


def is_import(definition: Definition) -> bool:
    """Return whether a definition is an import."""
    return isinstance(definition.node, ast.Import | ast.ImportFrom)


def imports_package(node: ast.AST) -> bool:
    """Return whether a node is an import from neo_np, or of a module that the notebooks of the course have beside them."""
    if isinstance(node, ast.ImportFrom):
        return (node.module or "").partition(".")[0] in COURSE
    return isinstance(node, ast.Import) and any(alias.name.partition(".")[0] in COURSE for alias in node.names)


def libraries_in(definitions: Sequence[Definition]) -> list[str]:
    """Return the libraries beside NumPy that definitions import, inner functions included."""
    names = []
    for node in (child for definition in definitions for child in ast.walk(definition.node)):
        if isinstance(node, ast.ImportFrom) and not node.level:
            names.append(node.module or "")
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return list(dict.fromkeys(package for name in names if is_library(package := name.partition(".")[0])))


def answer_index(name: str, definitions: list[Definition]) -> int | None:
    """Return the place of the answer to an exercise: the last definition of its name, or None.

    Imports do not count, and neither does `name = check(name)`, which is a decorator in another form.
    """
    found = (
        index
        for index in range(len(definitions) - 1, -1, -1)
        if name in definitions[index].names
        and not is_import(definitions[index])
        and (isinstance(definitions[index].node, DEFINING) or name not in used_names(definitions[index].node))
    )
    return next(found, None)


def needed_by(name: str, definitions: list[Definition], others: set[str]) -> Needed:
    """Return what the answer with this name needs. others: names that come from the course, such as earlier answers.

    The last definition of a name counts, as in a notebook. For an assignment, it is the last one before it.
    """
    answer = answer_index(name, definitions)
    assert answer is not None, "the caller has found the answer"
    search = Search(Uses(definitions, answer, others | {name}))
    search.take(answer, math.inf)
    for index, definition in enumerate(definitions):
        if definition.names == ("*",):  # it may define each name that nothing else defines
            if imports_package(definition.node):
                search.borrowed += search.unknown
            else:
                search.taken.add(index)
    taken, made, behind = (
        [search.uses.clean(index) for index in sorted(found)] for found in (search.taken, search.made, search.behind)
    )
    return Needed(taken, list(dict.fromkeys(search.borrowed)), made, behind)


class Uses:
    """Which definition of a file uses which other one. A definition is named by its place, the index in the list.

    ignored: names that are not looked up. limit: only definitions before this place are considered.
    """

    def __init__(self, definitions: list[Definition], answer: int, ignored: set[str]):
        self.definitions, self.answer, self.ignored = definitions, answer, ignored
        self.clean = functools.cache(self._clean)

    def last(self, name: str, limit: float) -> int | None:
        """Return the place of the last definition of a name, or None."""
        places = (place for place in range(len(self.definitions) - 1, -1, -1) if place < limit)
        return next((place for place in places if name in self.definitions[place].names), None)

    def is_known(self, name: str) -> bool:
        """Return whether a name is defined in the file or by Python, and not imported from neo_np."""
        place = self.last(name, math.inf)
        return hasattr(builtins, name) if place is None else not imports_package(self.definitions[place].node)

    def _clean(self, place: int) -> Definition:
        """Return a definition without types and without decorators that are not there when the answer is checked."""
        definition = self.definitions[place]
        node = plain(definition.node, keeps=lambda name: place != self.answer and self.is_known(name))
        return Definition(definition.cell, node, definition.names)

    def of(self, place: int, limit: float) -> Iterator[tuple[str, int | None, float]]:
        """Yield (name, its place, the limit there) for each name that a definition uses; place None: not in this file."""
        node = self.clean(place).node
        within = limit if isinstance(node, DEFINING) else place
        for name in sorted(used_names(node) - self.ignored):
            found = self.last(name, within)
            yield name, self.last(name, limit) if found is None else found, within  # a lambda may use what comes later

    def is_from_package(self, name: str, place: int | None) -> bool:
        """Return whether a name is neo_np, or is imported from it."""
        return name == PACKAGE or (place is not None and imports_package(self.definitions[place].node))

    def reached(self, place: int, limit: float) -> tuple[set[int], bool]:
        """Return the places of all that a definition needs, itself included, and whether neo_np is among it."""
        waiting, found, with_package = [(place, limit)], set(), False
        while waiting:
            step = waiting.pop()
            if step not in found:
                found.add(step)
                for name, next_place, within in self.of(*step):
                    with_package |= self.is_from_package(name, next_place)
                    waiting += [(next_place, within)] if next_place is not None else []
        return {place for place, _ in found}, with_package


class Search:
    """A search for what an answer needs. The sets hold places; see `Needed` for what they mean. unknown: names not found."""

    def __init__(self, uses: Uses):
        self.uses = uses
        self.taken: set[int] = set()
        self.made: set[int] = set()
        self.behind: set[int] = set()
        self.borrowed: list[str] = []
        self.unknown: list[str] = []
        self._seen: set[tuple[int, float]] = set()

    def take(self, place: int, limit: float) -> None:
        """Take a definition and all that it needs."""
        if (place, limit) in self._seen:
            return
        self._seen.add((place, limit))
        self.taken.add(place)
        for name, next_place, within in self.uses.of(place, limit):
            if self.uses.is_from_package(name, next_place):
                self.borrowed.append(name)
            elif next_place is not None:
                self.take_used(next_place, within)
            elif not hasattr(builtins, name) and name not in ALWAYS_THERE:
                self.unknown.append(name)

    def take_used(self, place: int, limit: float) -> None:
        """Take a definition that another one uses. If it computed something with neo_np, what it needs runs first."""
        if not isinstance(self.uses.definitions[place].node, DEFINING):
            places, with_package = self.uses.reached(place, limit)
            if with_package:
                self.taken.add(place)
                self.made.add(place)
                self.behind |= places
                return
        self.take(place, limit)


def plain(node: ast.stmt, keeps: Callable[[str], bool]) -> ast.stmt:
    """Return a statement without the decorators whose first name `keeps` refuses, and without types (those of a class stay)."""
    node = copy.deepcopy(node)
    if isinstance(node, DEFINING):
        node.decorator_list = [decorator for decorator in node.decorator_list if keeps(first_name(decorator))]
    fields = [child for parent in ast.walk(node) if isinstance(parent, ast.ClassDef) for child in parent.body]
    for child in ast.walk(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            child.returns = None
        if isinstance(child, ast.arg):
            child.annotation = None
        if isinstance(child, ast.AnnAssign) and child not in fields:
            child.annotation = ast.copy_location(ast.Constant(None), child)
    return node


def first_name(node: ast.expr) -> str:
    """Return the name with which an expression such as `functools.lru_cache(maxsize=9)` begins, or ""."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else ""


def used_names(node: ast.stmt) -> set[str]:
    """Return the global names that a statement uses, and "neo_np" if it imports something from there inside a function."""
    names = {PACKAGE} if any(map(imports_package, ast.walk(node))) else set()
    if isinstance(node, ast.AugAssign):
        names |= {child.id for child in ast.walk(node.target) if isinstance(child, ast.Name)}
    try:
        table = symtable.symtable(ast.unparse(node), "", "exec")
    except (SyntaxError, ValueError, RecursionError):  # it will not compile either, and the worker says so
        return names
    return names | {symbol.get_name() for symbol in table.get_symbols() if symbol.is_referenced()} | inner_globals(table)


def inner_globals(table: symtable.SymbolTable) -> set[str]:
    """Return the global names in the functions and classes of a table."""
    names: set[str] = set()
    for child in table.get_children():
        names |= {symbol.get_name() for symbol in child.get_symbols() if symbol.is_global()} | inner_globals(child)
    return names
