"""Statements that are not run although they change what an answer uses, such as a loop that fills a table."""

import ast
from collections.abc import Sequence

from neo_np.exercises.grading.needed import is_import, used_names
from neo_np.exercises.grading.submission import DEFINING, Cell, Definition, bound_names, parse, statements


def left_out(cells: Sequence[Cell], needed: Sequence[Definition]) -> str:
    """Return a sentence about the first statement that was left out and changes a name which an answer uses, or ""."""
    used = {name for definition in needed for name in used_names(definition.node)}
    for definition in needed:
        if isinstance(definition.node, DEFINING) or is_import(definition):
            used -= set(definition.names)
    for cell in cells:
        tree = parse(cell)
        for node in [] if isinstance(tree, str) else statements(tree.body):
            changed = sorted(used & changed_names(node)) if not bound_names(node) else []
            if changed:
                line = f"Line {node.lineno} of {cell.name}, `{ast.unparse(node).splitlines()[0]:.60}`,"
                return f"{line} changes `{changed[0]}` and was not run: only definitions are."
    return ""


def changed_names(node: ast.stmt) -> set[str]:
    """Return the names that a statement assigns, changes in part, or calls a method of."""
    names = set()
    for child in ast.walk(node):
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            names.add(child.id)
        changes = isinstance(child, ast.Subscript | ast.Attribute) and isinstance(child.ctx, ast.Store)
        if changes or (isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute)):
            names |= {part.id for part in ast.walk(child.value if changes else child.func.value) if isinstance(part, ast.Name)}
    return names
