"""neo_np as a package: built from a fresh clone, installed into a fresh environment, used from another folder."""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from helpers import ROOT

GENERATE = ["-m", "neo_np.generate", "Once upon a time", "--seed", "0", "--max-new-tokens", "20"]
SHIPPED = re.compile(r"weights/(tales-[^/]+/(.*\.json|merges\.txt|model\.safetensors|MODEL\.md)|gpt-neo-125M/[^/]+)")


def run(*command, cwd):
    """Run a command without this process's Python settings, and return its output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def fresh_python(folder):
    """Return the Python of a new virtual environment."""
    venv.create(folder, with_pip=True)
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def tracked_files():
    """Return the names of the repository's files, those that are new and not ignored included."""
    listed = run("git", "ls-files", "--cached", "--others", "--exclude-standard", cwd=ROOT).splitlines()
    return [name for name in listed if (ROOT / name).is_file()]


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """A fresh clone of the repository as it is now, in which somebody has worked: weights that must not be packaged."""
    work, folder = tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("clone") / "neo_np"
    for name in tracked_files():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, work / name)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    run(*git, "init", "--quiet", cwd=work)
    run(*git, "add", "--all", cwd=work)
    run(*git, "commit", "--quiet", "--message", "all", cwd=work)
    run(*git, "clone", "--quiet", work, folder, cwd=work)
    for name in ("gpt-neo-125M/model.safetensors", "gpt-neo-125M/.cache/x.json", "mine/config.json", "mine/model.safetensors"):
        (folder / "weights" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "weights" / name).write_text("{}")
    return folder


@pytest.fixture(scope="session")
def tools(tmp_path_factory):
    """The Python of an environment that builds packages."""
    python = fresh_python(tmp_path_factory.mktemp("tools"))
    run(python, "-m", "pip", "install", "--quiet", "build", cwd=python.parent)
    return python


@pytest.fixture(scope="session")
def packages(clone, tools, tmp_path_factory):
    """The folder with the source distribution, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("packages")
    run(tools, "-m", "build", "--outdir", folder, clone, cwd=folder)
    return folder


@pytest.fixture(scope="session")
def wheel(packages):
    return next(packages.glob("*.whl"))


@pytest.fixture(scope="session")
def python_with_wheel(wheel, tmp_path_factory):
    python = fresh_python(tmp_path_factory.mktemp("installed"))
    run(python, "-m", "pip", "install", "--quiet", wheel, cwd=python.parent)
    return python


def test_wheel_holds_the_package_and_what_ships_and_nothing_else(wheel):
    code = re.compile(r"neo_np/(.*\.(py|html|css|js)|py\.typed|exercises/transfer\.json)")
    expected = {name for name in tracked_files() if code.fullmatch(name)}
    expected |= {f"neo_np/{name}" for name in tracked_files() if SHIPPED.fullmatch(name)}
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert found == expected


def test_source_distribution_has_all_that_the_wheel_is_made_of(packages):
    with tarfile.open(next(packages.glob("*.tar.gz"))) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml"} <= found
    assert {name for name in tracked_files() if SHIPPED.fullmatch(name)} == {name for name in found if SHIPPED.fullmatch(name)}


@pytest.mark.parametrize("source", ["wheel", "source distribution", "folder", "git", "editable"])
def test_command_after_installing_from_any_source_works_in_any_folder(source, clone, packages, wheel, tmp_path):
    requirement = {
        "wheel": [wheel],
        "source distribution": [next(packages.glob("*.tar.gz"))],
        "folder": ["."],
        "git": [f"git+{clone.as_uri()}"],
        "editable": ["--editable", "."],
    }
    python = fresh_python(tmp_path / "environment")
    run(python, "-m", "pip", "install", "--quiet", *requirement[source], cwd=clone)
    (tmp_path / "elsewhere").mkdir()
    place = Path(run(python, "-c", "import neo_np; print(neo_np.__file__)", cwd=tmp_path / "elsewhere").strip())
    assert place.is_relative_to(clone if source == "editable" else tmp_path / "environment")
    story = run(python, *GENERATE, cwd=tmp_path / "elsewhere")
    assert story.startswith("Once upon a time ")
    assert story == run(python, *GENERATE, cwd=clone)  # there, the clone's own modules run


def test_tables_of_gpt_neo_125m_are_installed_and_the_weights_are_explained(python_with_wheel, tmp_path):
    code = """
import sys
import neo_np
from neo_np.folders.find import find_checkpoint
sys.modules["huggingface_hub"] = None
print(neo_np.Tokenizer.load(find_checkpoint("gpt-neo-125M", weights_wanted=False)).encode("Hello world"))
try:
    neo_np.load("gpt-neo-125M")
except neo_np.NeoError as error:
    print(error)
"""
    ids, error = run(python_with_wheel, "-c", code, cwd=tmp_path).splitlines()
    assert ids == "[15496, 995]"
    assert "'pip install huggingface_hub'" in error and "EleutherAI/gpt-neo-125M" in error


def test_types_of_the_public_surface_are_complete_for_a_program_that_uses_the_wheel(python_with_wheel, tmp_path):
    shutil.copy(Path(__file__).parent / "public_use.py", tmp_path)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python_with_wheel]
    run(*mypy, "--cache-dir", tmp_path / "cache", "public_use.py", cwd=tmp_path)
