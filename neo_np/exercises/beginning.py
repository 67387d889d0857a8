"""Has the student begun, and finished? A blank `...` in the source, an empty body or NotImplementedError mean: not yet."""

import ast
import inspect
import textwrap


def source_of(function):
    """Return the source of a function without its decorators, or None if Python does not have it."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
        definition = ast.parse(source).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        return None
    if not isinstance(definition, ast.FunctionDef):
        return None
    return "".join(source.splitlines(keepends=True)[definition.lineno - 1 :])


def not_begun(function):
    """Return whether the function still has a blank, or no body at all."""
    source = source_of(function)
    if source is None:
        return False
    definition = ast.parse(source).body[0]
    return is_empty(definition) or bool(blanks_of(definition))


def blanks_left(exercise, function):
    """Return [(line number, line), ...] of the blanks of a function in which the student has begun to write, else []."""
    source = source_of(function)
    definition = ast.parse(source).body[0] if source else None
    if definition is None or is_empty(definition) or code_of(definition) in map(code_of, stubs(exercise)):
        return []
    lines, first = source.splitlines(), first_line(function)
    return [(first + blank.lineno - 1, lines[blank.lineno - 1].strip()) for blank in blanks_of(definition)]


def first_line(function):
    """Return the number of the line with `def`, in the file or cell of the function."""
    lines, start = inspect.getsourcelines(function)
    return max(start, 1) + len(lines) - len(source_of(function).splitlines())


def stubs(exercise):
    """Return the definitions of both stubs of an exercise, as syntax trees; none if a hint is no Python."""
    try:
        return [ast.parse(exercise.stub(blanks)).body[0] for blanks in (False, True)]
    except SyntaxError:
        return []


def code_of(definition):
    """Return a definition's body without texts, as one text that is equal for equal code."""
    return "\n".join(ast.dump(node) for node in definition.body if not is_text(node))


def is_empty(definition):
    """Return whether a definition has no body: nothing but texts, `...`, `return ...`, pass or NotImplementedError."""
    body = [node for node in definition.body if not is_text(node)]
    empty = all(isinstance(node, ast.Pass) or is_blank(getattr(node, "value", None)) for node in body)
    return empty or is_not_implemented(body[0])


def blanks_of(definition):
    """Return the nodes of a definition that are blanks."""
    return [node for node in blanks_and_slices(definition) if is_blank(node)]


def is_text(node):
    """Return whether a statement is only a text, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def is_not_implemented(node):
    """Return whether a statement is `raise NotImplementedError`."""
    return isinstance(node, ast.Raise) and "NotImplementedError" in ast.unparse(node)


def blanks_and_slices(node):
    """Yield the nodes of a syntax tree; not the `...` of x[..., 0] and x[...] = y, which are NumPy's own."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.Subscript) and child is node.slice:
            if isinstance(child, ast.Tuple):
                for item in child.elts:
                    if not is_blank(item):
                        yield from blanks_and_slices(item)
                continue
            if is_blank(child) and isinstance(node.ctx, ast.Store):
                continue
        yield from blanks_and_slices(child)


def is_blank(node):
    """Return whether a node is `...`."""
    return isinstance(node, ast.Constant) and node.value is Ellipsis
