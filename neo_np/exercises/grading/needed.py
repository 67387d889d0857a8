"""What an answer needs: the imports, constants and helpers of the same file that it uses, directly or through each other."""

import ast
import builtins
import copy
import functools
import math
import symtable
from collections.abc import Callable, Sequence
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
    taken, made, behind = {}, {}, {}
    borrowed, unknown, seen = [], [], set()

    def last(wanted, limit):
        found = (i for i in range(len(definitions) - 1, -1, -1) if i < limit and wanted in definitions[i].names)
        return next(found, None)

    def is_known(root):
        place = last(root, math.inf)
        return hasattr(builtins, root) if place is None else not imports_package(definitions[place].node)

    @functools.cache
    def clean(index):
        definition = definitions[index]
        node = plain(definition.node, keeps=lambda root: index != answer and is_known(root))
        return Definition(definition.cell, node, definition.names)

    def uses(index, limit):
        """Yield (name, place, limit there) of each name that a definition uses; place: None if the file does not define it."""
        node = clean(index).node
        within = limit if isinstance(node, DEFINING) else index
        for used in sorted(used_names(node) - others - {name}):
            place = last(used, within)
            yield used, last(used, limit) if place is None else place, within  # a lambda may use what comes later

    def is_from_package(used, place):
        return used == PACKAGE or (place is not None and imports_package(definitions[place].node))

    def reached(index, limit):
        """Return the places of all that a definition needs, itself included, and whether neo_np is among it."""
        waiting, found, with_package = [(index, limit)], set(), False
        while waiting:
            step = waiting.pop()
            if step not in found:
                found.add(step)
                for used, place, within in uses(*step):
                    with_package |= is_from_package(used, place)
                    waiting += [(place, within)] if place is not None else []
        return {place for place, _ in found}, with_package

    def take(index, limit):
        if (index, limit) in seen:
            return
        seen.add((index, limit))
        taken[index] = clean(index)
        for used, place, within in uses(index, limit):
            if is_from_package(used, place):
                borrowed.append(used)
            elif place is not None:
                places, with_package = set(), False
                if not isinstance(definitions[place].node, DEFINING):
                    places, with_package = reached(place, within)
                if with_package:
                    taken[place] = made[place] = clean(place)
                    behind.update((i, clean(i)) for i in places)
                else:
                    take(place, within)
            elif not hasattr(builtins, used) and used not in ALWAYS_THERE:
                unknown.append(used)

    take(answer, math.inf)
    for index, definition in enumerate(definitions):
        if definition.names == ("*",):
            if imports_package(definition.node):
                borrowed += unknown
            else:
                taken[index] = definition
    in_order = ([found[index] for index in sorted(found)] for found in (taken, made, behind))
    taken, made, behind = in_order
    return Needed(taken, list(dict.fromkeys(borrowed)), made, behind)


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
