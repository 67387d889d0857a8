"""The files that describe the project to package indexes, readers and citations agree with the code."""

import re

from helpers import ROOT

import neo_np


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_version_in_changelog_and_citation_is_that_of_the_package():
    assert re.search(r"^## \[([\d.]+)\]", read("CHANGELOG.md"), re.M)[1] == neo_np.__version__
    assert re.search(r"^version: (.*)$", read("CITATION.cff"), re.M)[1] == neo_np.__version__
    assert 'attr = "neo_np.__version__"' in read("pyproject.toml")


def test_packages_in_pyproject_are_the_folders_with_modules():
    listed = re.search(r"^packages = \[(.*?)\]", read("pyproject.toml"), re.M | re.S)[1]
    folders = {file.parent.relative_to(ROOT) for file in (ROOT / "neo_np").rglob("*.py")}
    expected = {".".join(folder.parts) for folder in folders} | {"neo_np.weights"}
    assert sorted(re.findall(r'"(.*?)"', listed)) == sorted(expected)


def test_requirements_of_the_package_are_those_of_requirements_txt():
    listed = re.search(r"^dependencies = \[(.*?)\]", read("pyproject.toml"), re.M)[1]
    assert re.findall(r'"(.*?)"', listed) == [
        line for line in read("requirements.txt").split() if not line.startswith(("pytest", "hypothesis"))
    ]


def test_changelog_has_the_form_of_keep_a_changelog():
    versions = re.findall(r"^## (.*)$", read("CHANGELOG.md"), re.M)
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", version) for version in versions)
    kinds = set(re.findall(r"^### (.*)$", read("CHANGELOG.md"), re.M))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
