"""Does an answer use neo_np? In a notebook, a function finds what the cells above have imported."""

import dis
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType

PACKAGE = "neo_np"
USES_PACKAGE = "uses neo_np"  # the reason why an answer gets no points
GLOBAL_OR_IMPORT = "LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME"


def borrowed_name(function: object) -> str | None:
    """Return the first name of neo_np that a function uses, itself or through its helpers, or None."""
    if is_from_package(function):
        return getattr(function, "__name__", str(function))
    waiting, seen = [function], []
    while waiting:
        helper = waiting.pop()
        if not isinstance(helper, FunctionType) or helper in seen:
            continue
        seen.append(helper)
        for name in names_in(helper.__code__):
            value = helper.__globals__.get(name)
            if name.partition(".")[0] == PACKAGE or is_from_package(value):
                return name
            waiting.append(value)
    return None


def is_from_package(value: object) -> bool:
    """Return whether a value is a module, function, class or object of neo_np."""
    home = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return isinstance(home, str) and home.partition(".")[0] == PACKAGE


def names_in(code: CodeType) -> Iterator[str]:
    """Yield the global names and the modules that a code uses, in inner functions too."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in GLOBAL_OR_IMPORT:
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from names_in(constant)
