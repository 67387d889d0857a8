"""The package as a whole: its public names, what it imports and in which order, and the top of the repository."""

import ast
import functools
import graphlib
import importlib
import re
import subprocess
import sys
from fnmatch import fnmatch
from types import ModuleType

import pytest
from helpers import ROOT

import neo_np

PACKAGE = ROOT / "neo_np"
FILES = sorted(PACKAGE.rglob("*.py"))

# The way of the data. A module imports from its own part and from those before it; `command.py` and `__main__.py` come last.
PARTS = """
errors other_names files terminal folders tokenizer gpt_neo generate model checkpoint pipelines train evaluate
explain exercises bench
""".split()
PRINTING = {"terminal", "bench.worker", "exercises.display"}  # besides each command.py
ALWAYS = {"numpy", "regex", "safetensors"}
# Downloads, the harness's adapter, the picture and the peers of the benchmark.
WITHIN_FUNCTIONS = {
    "huggingface_hub",
    "lm_eval",
    "matplotlib",
    "openvino",
    "torch",
    "transformers",
    "tokenizers",
    "tiktoken",
    "onnxruntime",
}


def module_name(file):
    """Return the name of a file's module inside the package: generate.loop; an `__init__.py` has the name of its package."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}
PACKAGES = {module_name(file) for file in FILES if file.name == "__init__.py"}


@functools.cache
def parse(file):
    """Return the syntax tree of a file. All tests share it, so none changes it."""
    return ast.parse(file.read_text(encoding="utf-8"))


def imported_modules(tree):
    """Return the full names of the modules that the statements of a syntax tree import."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            found += [name if name.removeprefix("neo_np.") in MODULES else node.module for name in inner]
    return found


def modules_of_neo_np(tree):
    """Return the names inside the package of what a syntax tree imports from neo_np; "" means neo_np itself."""
    return {name.removeprefix("neo_np").lstrip(".") for name in imported_modules(tree) if name.split(".")[0] == "neo_np"}


def called_names(tree):
    """Return the names of the functions that a syntax tree calls by a plain name."""
    return [node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]


@functools.cache
def without_functions(file):
    """Return the syntax tree of a file without its functions. All tests share it, so none changes it."""

    class Remover(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            return None

    return Remover().visit(ast.parse(file.read_text(encoding="utf-8")))


def test_the_public_names():
    assert sorted(neo_np.__all__) == [
        "Config",
        "Model",
        "NeoError",
        "Options",
        "Params",
        "Tokenizer",
        "hook_names",
        "load",
        "pipeline",
        "save",
    ]
    for name in neo_np.__all__:
        assert getattr(neo_np, name).__doc__, name
    assert re.fullmatch(r"\d+\.\d+\.\d+", neo_np.__version__)
    assert issubclass(neo_np.NeoError, ValueError)


def test_import_graph_has_no_circle():
    """All imports count, those inside functions too."""
    graph = {name: modules_of_neo_np(parse(file)) for name, file in MODULES.items()}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


@pytest.mark.parametrize("name", sorted(set(MODULES) - PACKAGES))
def test_module_imports_modules_and_never_a_package(name):
    imported = modules_of_neo_np(parse(MODULES[name]))
    root = {""} if name == "__main__" else set()  # `python -m neo_np` has run `__init__.py` before
    assert not imported & PACKAGES - root
    assert imported == modules_of_neo_np(without_functions(MODULES[name])), "imports of neo_np stand at the top"


@pytest.mark.parametrize("name", sorted(set(MODULES) - PACKAGES))
def test_module_imports_from_its_own_part_and_those_before_it(name):
    part, last = name.split(".")[0], name.split(".")[-1]
    imported = modules_of_neo_np(parse(MODULES[name]))
    if last in ("command", "__main__"):
        return
    assert {module.split(".")[0] for module in imported} <= set(PARTS[: PARTS.index(part) + 1])
    assert not {module for module in imported if module.endswith((".command", ".__main__"))}


def test_no_attribute_of_a_package_hides_its_submodule():
    for name in MODULES:
        if not name.endswith("__main__"):
            importlib.import_module(f"neo_np.{name}".rstrip("."))
    for name in sorted(set(MODULES) - {""}):
        parent, _, last = f"neo_np.{name}".rpartition(".")
        if last != "__main__":
            assert isinstance(getattr(sys.modules[parent], last), ModuleType), f"{parent}.{last} is hidden"


def test_import_of_neo_np_leaves_out_what_most_users_do_not_need():
    code = "import sys, neo_np; print(*[name for name in sys.modules if name.startswith('neo_np.')])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert not {name.split(".")[1] for name in found} & {"train", "evaluate", "explain", "exercises", "bench"}


@pytest.mark.parametrize("name", sorted(MODULES))
def test_only_commands_print(name):
    assert "print" not in called_names(parse(MODULES[name])) or name in PRINTING or name.endswith("command")


def test_listing_of_the_package_is_short():
    assert len([path for path in PACKAGE.iterdir() if path.name != "__pycache__"]) <= 20


def test_forward_page_is_short_and_only_formulas():
    """At most 150 lines; no `out=`, no augmented assignment, no branch on a size, nothing of `fast`."""
    source = MODULES["gpt_neo.forward"].read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert len(source.splitlines()) <= 150
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.AugAssign)]
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "out"]
    conditions = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp | ast.While)]
    names = {child.attr for test in conditions for child in ast.walk(test) if isinstance(child, ast.Attribute)}
    calls = {
        child.func.id
        for test in conditions
        for child in ast.walk(test)
        if isinstance(child, ast.Call) and isinstance(child.func, ast.Name)
    }
    assert not names & {"shape", "size"} and "len" not in calls
    assert "gpt_neo.fast" not in modules_of_neo_np(tree)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_a_file_imports_the_standard_library_and_three_packages(file):
    allowed = {*sys.stdlib_module_names, "neo_np", *ALWAYS}
    assert {module.split(".")[0] for module in imported_modules(without_functions(file))} <= allowed
    whole = parse(file)
    assert {module.split(".")[0] for module in imported_modules(whole)} <= allowed | WITHIN_FUNCTIONS
    assert not {"pickle", "shelve", "marshal"} & set(imported_modules(whole))


def test_importing_and_loading_takes_in_nothing_heavy():
    heavy = "torch transformers tokenizers tiktoken hypothesis pytest matplotlib huggingface_hub"
    code = f"import sys, neo_np; neo_np.load().generate('Once'); print(*(set('{heavy}'.split()) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (found.stdout.strip(), found.stderr) == ("", "")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_every_public_function_and_class_says_what_it_is(file):
    def check(body):
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                is_overload = any(getattr(decorator, "id", "") == "overload" for decorator in node.decorator_list)
                assert ast.get_docstring(node) or is_overload, node.name
            if isinstance(node, ast.ClassDef):
                check(node.body)

    tree = parse(file)
    assert ast.get_docstring(tree)
    check(tree.body)


def test_requirements_are_five_with_lower_bounds_only():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    names = [re.fullmatch(r"([a-z]+)>=[\d.]+", line)[1] for line in lines]
    assert names == ["numpy", "regex", "safetensors", "pytest", "hypothesis"]


def test_the_top_of_the_repository_is_tidy():
    allowed = "README.md LICENSE pyproject.toml requirements.txt CHANGELOG.md CITATION.cff CONTRIBUTING.md".split()
    allowed += "neo_np notebooks tests weights".split()
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").replace("/\n", "\n").split()
    found = [path.name for path in ROOT.iterdir() if not any(fnmatch(path.name, pattern) for pattern in [".*", *ignored])]
    assert set(found) <= set(allowed)


def test_import_of_neo_np_leaves_out_what_is_slow_to_import():
    """`python -X importtime -c "import shutil"` shows what one takes. (Some versions of NumPy import some of them anyway.)"""
    slow = "numpy.random numpy.typing shutil tempfile difflib shlex importlib.util"
    code = (
        "import sys, numpy, regex, safetensors; before = set(sys.modules); import neo_np; "
        f"print(set('{slow}'.split()) & set(sys.modules) - before)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    assert found == "set()"
