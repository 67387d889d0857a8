"""Reading a submission, a script or a notebook: its cells, and the statements that define a name. Nothing is run here."""

import ast
import json
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neo_np.errors import NeoError
from neo_np.files import read_text

# %matplotlib inline, %%time, !pip install, x = !ls, ?name, name?
MAGIC = re.compile(r"\s*([%!?]|[\w, ]+=\s*[%!])|.*\?\s*$")
BEGINS_A_PIECE = re.compile(r"# ?%%|@|(async )?def |class ")
DEFINING = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True)
class Cell:
    """A piece of a submission that is parsed by itself. name: such as "cell 3"; source: its lines."""

    name: str
    source: str


@dataclass(frozen=True)
class Definition:
    """A statement that binds names: a function, a class, an import of one name, or an assignment."""

    cell: Cell
    node: ast.stmt
    names: tuple[str, ...]


def read_cells(file: Path) -> list[Cell]:
    """Return the cells of code of a .py or .ipynb file. Raises NeoError if it is empty, unreadable or no notebook."""
    text = read_text(file)
    if not text.strip():
        raise NeoError(f"{file.name} is empty ({file.stat().st_size} bytes): ask for the file again.")
    return notebook_cells(file, text) if file.suffix.lower() == ".ipynb" else script_cells(file, text)


def notebook_cells(file: Path, text: str) -> list[Cell]:
    """Return the cells of code of a notebook, numbered as Jupyter counts all cells, from 1. Outputs are not read."""
    try:
        cells = json.loads(text)["cells"]
        sources = [("".join(cell["source"]), cell["cell_type"]) for cell in cells]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise NeoError(f"{file.name} is no notebook of Jupyter (version 4): open it in Jupyter and save it again.") from None
    return [Cell(f"cell {number}", source) for number, (source, kind) in enumerate(sources, 1) if kind == "code"]


def script_cells(file: Path, text: str) -> list[Cell]:
    """Return a script as one cell. If it does not parse, cut it at each definition, so that only the broken ones are lost.

    Each piece keeps the numbers of its lines: empty lines take the place of what comes before it.
    """
    whole = Cell(file.name, text)
    if not isinstance(parse(whole), str):
        return [whole]
    lines, starts = text.splitlines(keepends=True), [0]
    for number, line in enumerate(lines):
        if BEGINS_A_PIECE.match(line) and number and not lines[number - 1].startswith("@"):
            starts.append(number)
    return [Cell(file.name, "\n" * a + "".join(lines[a:b])) for a, b in zip(starts, [*starts[1:], len(lines)])]


def parse(cell: Cell) -> ast.Module | str:
    """Return the syntax tree of a cell without its magics, or a sentence that says why the cell does not parse.

    A line is taken for a magic only if Python stops there: `% b` may also continue an expression.
    """
    lines = cell.source.splitlines(keepends=True)
    while True:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return ast.parse("".join(lines))
        except SyntaxError as error:
            number = (error.lineno or 0) - 1
            if not (0 <= number < len(lines) and MAGIC.match(lines[number])):
                return f"{error.msg} in line {error.lineno}" if error.lineno else error.msg
            lines[number] = re.match(r"\s*", lines[number].rstrip())[0] + "pass\n"
        except (ValueError, RecursionError, MemoryError) as error:  # a zero byte, or thousands of brackets
            return str(error) or "it is nested too deeply"


def definitions_of(cells: list[Cell]) -> tuple[list[Definition], list[tuple[Cell, str]]]:
    """Return the definitions of all cells in their order, and the cells that do not parse, each with the reason."""
    definitions, skipped = [], []
    for cell in cells:
        tree = parse(cell)
        if isinstance(tree, str):
            skipped.append((cell, tree))
        else:
            definitions += [Definition(cell, node, names) for node in statements(tree.body) if (names := bound_names(node))]
    return definitions, skipped


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a body, also those in the branches of `if`, `try` and `with`; an import once for each name."""
    for node in body:
        if isinstance(node, ast.If | ast.Try | ast.With):
            for part in ("body", "handlers", "orelse", "finalbody"):
                for child in getattr(node, part, []):
                    yield from statements(child.body if isinstance(child, ast.ExceptHandler) else [child])
        elif isinstance(node, ast.Import):
            yield from (ast.copy_location(ast.Import([alias]), node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (ast.copy_location(ast.ImportFrom(node.module, [alias], node.level), node) for alias in node.names)
        else:
            yield node


def bound_names(node: ast.stmt) -> tuple[str, ...]:
    """Return the names that a definition binds; () for other statements. A star import binds "*"."""
    if isinstance(node, DEFINING):
        return (node.name,)
    if isinstance(node, ast.Import | ast.ImportFrom):
        name = node.names[0].name
        return (node.names[0].asname or (name.partition(".")[0] if isinstance(node, ast.Import) else name),)
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) or node.value is None:
        return ()
    stored = [child for target in targets for child in ast.walk(target) if isinstance(child, ast.Name)]
    return tuple(name.id for name in stored if isinstance(name.ctx, ast.Store))
