"""The package as a whole: its public names, what it imports and in which order, what stands at the top of the repository."""

import ast
import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path

import pytest

import neo_np

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "neo_np"
FILES = sorted(PACKAGE.rglob("*.py"))

# The way through the house: a module imports those above it alone. (`__init__` gathers the public names.)
ORDER = """
errors merges tokenizer corpus layers attention cache params model hub checkpoint options sampling generate beam_search
speculative pipeline terminal command evaluate harness
training.data training.gradients training.optimizer training.loop training.runs train
bench.measure bench.job bench.ours bench.parts bench.peers bench.onnx bench.training bench.tokenizers bench.limits bench.works
bench.worker bench.rounds bench.report bench.plot bench.command bench.__main__
""".split()
ALWAYS = {"numpy", "regex", "safetensors"}
# Downloads, the harness's adapter, bench's picture and peers.
WITHIN_FUNCTIONS = {
    "huggingface_hub",
    "lm_eval",
    "matplotlib",
    "torch",
    "transformers",
    "tokenizers",
    "tiktoken",
    "onnxruntime",
}


def imported_modules(tree):
    """Return the full names of the modules that the statements of a syntax tree import, `from neo_np import x` as neo_np.x."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            package = node.module in ("neo_np", "neo_np.bench", "neo_np.training")
            found += [f"{node.module}.{alias.name}" for alias in node.names] if package else [node.module]
    return found


def without_functions(file):
    """Return the syntax tree of what runs when a file is imported: no function bodies, nothing under `__main__`."""

    class Remover(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            return None

        def visit_If(self, node):
            return None if "__main__" in ast.unparse(node.test) else self.generic_visit(node)

    return Remover().visit(ast.parse(file.read_text(encoding="utf-8")))


def test_the_public_names():
    assert sorted(neo_np.__all__) == [
        "Config",
        "Model",
        "NeoError",
        "Options",
        "Params",
        "Tokenizer",
        "load",
        "pipeline",
        "save",
    ]
    for name in neo_np.__all__:
        assert getattr(neo_np, name).__doc__, name
    assert re.fullmatch(r"\d+\.\d+\.\d+", neo_np.__version__)
    assert issubclass(neo_np.NeoError, ValueError)


def test_every_module_stands_in_the_order():
    names = [".".join(file.relative_to(PACKAGE).with_suffix("").parts) for file in FILES if file.stem != "__init__"]
    assert sorted(names) == sorted(ORDER)


@pytest.mark.parametrize("name", ORDER)
def test_a_module_imports_those_above_it_alone(name):
    inside = [
        module
        for module in imported_modules(without_functions(PACKAGE / f"{name.replace('.', '/')}.py"))
        if module.startswith("neo_np.")
    ]
    assert {module.removeprefix("neo_np.") for module in inside} <= set(ORDER[: ORDER.index(name)])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_a_file_imports_the_standard_library_and_three_packages(file):
    allowed = {*sys.stdlib_module_names, "neo_np", *ALWAYS}
    assert {module.split(".")[0] for module in imported_modules(without_functions(file))} <= allowed
    whole = ast.parse(file.read_text(encoding="utf-8"))
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
                assert ast.get_docstring(node), node.name
            if isinstance(node, ast.ClassDef):
                check(node.body)

    tree = ast.parse(file.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    check(tree.body)


def test_requirements_are_five_with_lower_bounds_alone():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    names = [re.fullmatch(r"([a-z]+)>=[\d.]+", line)[1] for line in lines]
    assert names == ["numpy", "regex", "safetensors", "pytest", "hypothesis"]


def test_the_top_of_the_repository_is_tidy():
    allowed = "README.md LICENSE pyproject.toml requirements.txt neo_np notebooks tests weights".split()
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").replace("/\n", "\n").split()
    found = [path.name for path in ROOT.iterdir() if not any(fnmatch(path.name, pattern) for pattern in [".*", *ignored])]
    assert set(found) <= set(allowed)
