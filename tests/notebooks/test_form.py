"""The form of every notebook: its sections, pictures, links, stubs, sizes; the glossary; what the scripts need."""

import io
import itertools
import os
import re
import subprocess
import sys

import build
import nbformat
import numpy as np
import pytest
import running
from PIL import Image

import neo_np.exercises
from neo_np.exercises.course import EXERCISES, NOTEBOOKS

FILES = build.sources()
SECTIONS = (
    "Question:",
    "minutes (an estimate)",
    "Predict:",
    "The real checkpoint",
    "Break it",
    "in the package",
    "Three sentences",
    "Two questions",
)
# Runs a script whose text comes from standard input, under the name of a file.
RUN_FROM_INPUT = """
import sys
file = sys.argv[1]
exec(compile(sys.stdin.read(), file, "exec"), {"__name__": "__main__", "__file__": file})
"""
NO_SUCH_THING = "threading", "subprocess", "memmap", "urllib", "requests", "socket"


def names(file):
    return file.stem


def read_built(file):
    return nbformat.read(build.built(file), as_version=4)


def prose(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_notebooks_are_those_of_the_course():
    assert [file.name[:2] for file in FILES] == sorted(NOTEBOOKS)


def test_every_exercise_is_in_the_notebook_that_it_names():
    found = {name: file.name[:2] for file in FILES for name in build.exercises_of(build.read(file))}
    assert found == {name: exercise.notebook for name, exercise in EXERCISES.items()}


def test_readme_has_the_table_of_the_notebooks():
    assert build.table() in (build.NOTEBOOKS / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=names)
def test_source_has_the_stubs_of_the_registry_and_the_first_cell(file):
    text = file.read_text(encoding="utf-8")
    assert build.filled(text) == text


@pytest.mark.parametrize("file", FILES, ids=names)
def test_notebook_is_the_source_with_outputs_and_nothing_that_changes(file):
    notebook, source = read_built(file), build.read(file)
    assert [cell.id for cell in notebook.cells] == [cell.id for cell in source.cells]
    for cell in notebook.cells:
        assert cell.get("execution_count") is None
        assert "{{" not in cell.source or cell.cell_type == "code"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert build.built(file).stat().st_size <= 500_000
    nbformat.validate(notebook)


@pytest.mark.parametrize("file", FILES, ids=names)
def test_notebook_has_every_section_and_links_that_lead_somewhere(file):
    text = prose(read_built(file))
    for section in SECTIONS:
        assert section in text, section
    sentences = text.partition("## Three sentences")[2].partition("##")[0]
    assert re.findall(r"^(\d)\. ", sentences, re.M) == ["1", "2", "3"]
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert (build.NOTEBOOKS / link).exists(), link
    number = NOTEBOOKS_IN_ORDER.index(file.name[:2])
    for neighbour in NOTEBOOKS_IN_ORDER[max(0, number - 1) : number + 2]:
        assert neighbour == file.name[:2] or f"]({neighbour}_" in text


NOTEBOOKS_IN_ORDER = sorted(NOTEBOOKS)


@pytest.mark.parametrize("file", FILES, ids=names)
def test_pictures_are_three_small_and_have_texts_with_numbers(file):
    found = running.images(read_built(file))
    assert len(found) >= 3
    for png, alt, plain in found:
        assert len(png) <= 60_000 and len(alt) >= 40 and alt == plain and re.search(r"\d", alt), alt
        assert Image.open(io.BytesIO(png)).width <= 850


@pytest.mark.parametrize("file", FILES, ids=names)
def test_pages_have_the_texts_of_the_pictures(file):
    notebook = read_built(file)
    tags = re.findall(r'<img\b[^>]*src="data:image/png', build.page(notebook, "A title"))
    assert len(tags) == len(running.images(notebook))
    assert all(re.search(r'\balt="[^"]{40,}"', tag) for tag in tags)


@pytest.mark.parametrize("file", FILES, ids=names)
def test_notebook_needs_nothing_that_a_browser_lacks(file):
    for cell in build.read(file).cells:
        if cell.cell_type == "code":
            assert not [word for word in NO_SUCH_THING if re.search(rf"\b{word}\b", cell.source)]


@pytest.mark.parametrize("file", FILES, ids=names)
def test_every_exercise_is_followed_by_a_cell_with_its_hint_and_solution(file):
    cells = build.read(file).cells
    for cell, following in itertools.pairwise(cells):
        name = cell.metadata.get("exercise")
        while following.cell_type == "markdown" and name:  # notebook 00 explains the first hint cell before it
            following = cells[cells.index(following) + 1]
        if name:
            assert following.source == f'# hint("{name}")\n# solution("{name}")'


@pytest.mark.parametrize("file", FILES, ids=names)
def test_every_name_of_the_exercises_that_a_cell_calls_is_imported(file):
    """Commented calls count too: they are there to be uncommented."""
    code = "\n".join(cell.source for cell in build.read(file).cells if cell.cell_type == "code")
    imported = set(re.search(r"^from neo_np\.exercises import (.+)$", code, re.M)[1].split(", "))
    called = set(re.findall(r"^(?:# |@)?(\w+)(?:\(|$)", code, re.M)) & set(neo_np.exercises.__all__)
    assert called <= imported and {"check", "hint", "solution", "progress"} <= imported


@pytest.mark.parametrize("file", FILES, ids=names)
def test_predictions_come_before_the_picture_and_are_revealed_where_the_answer_is_computed(file):
    """Between `predict` and `reveal` no picture shows the answer, and every prediction is revealed once."""
    waiting, revealed = [], []
    for cell in build.read(file).cells:
        if cell.cell_type == "code":
            waiting += re.findall(r'^predict\("([\d.]+)"', cell.source, re.M)
            answers = re.findall(r'^reveal\("([\d.]+)"', cell.source, re.M)
            assert set(answers) <= set(waiting), answers
            waiting = [name for name in waiting if name not in answers]
            revealed += answers
            assert not waiting or "figures.show" not in cell.source, waiting
    assert not waiting and len(revealed) == len(set(revealed)) >= 1


@pytest.mark.parametrize("file", FILES, ids=names)
def test_source_runs_as_a_script_and_shows_checks_as_text(file, tmp_path):
    environment = {**os.environ, "NEO_NP_PROGRESS": str(tmp_path / "progress.json"), "PYTHONIOENCODING": "utf-8"}
    text = file.read_text(encoding="utf-8")
    shorter = running.shortened(text)
    command = [sys.executable, *(("-c", RUN_FROM_INPUT) if shorter != text else ()), str(file)]
    done = subprocess.run(command, input=shorter, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "[Picture: " in done.stdout
    for name in build.exercises_of(build.read(file)):
        assert f"{name}: not begun yet" in done.stdout


@pytest.mark.parametrize("file", FILES, ids=names)
def test_shortened_source_differs_only_in_the_cells_with_in_tests(file):
    text, cells = file.read_text(encoding="utf-8"), build.read(file).cells
    wanted = [cell.metadata["in_tests"] for cell in cells if "in_tests" in cell.metadata]
    pairs = zip(text.split("\n"), running.shortened(text).split("\n"), strict=True)
    assert [new for old, new in pairs if new != old] == wanted


def test_amounts_get_steadily_lighter_and_signs_differ_in_colour():
    import figures

    rgb = figures.AMOUNT(np.linspace(0, 1, 64))[:, :3]
    assert (np.diff(rgb @ [0.2126, 0.7152, 0.0722]) > 0).all()
    negative, middle, positive = figures.SIGNED([0.0, 0.5, 1.0])[:, :3]
    assert negative[2] > negative[0] and positive[0] > positive[2] and middle.min() > 0.98


def glossary_rows():
    """Return [(term, number of the notebook, link)] of the glossary."""
    glossary = (build.NOTEBOOKS / "GLOSSARY.md").read_text(encoding="utf-8")
    return re.findall(r"^\| \*\*(.+?)\*\* \| .+? \| \[(\d\d)\]\((\S+?)\) \|$", glossary, re.M)


def bold_terms(file):
    """Return the terms that a notebook explains: what its prose prints in bold, without titles such as "Predict:"."""
    text = prose(build.read(file)).replace("\n", " ")
    return [term.lower() for term in re.findall(r"\*\*(.+?)\*\*", text) if not re.search(r"[:?]", term)]


def test_glossary_has_every_term_with_the_notebook_that_explains_it_first():
    first = {}
    for file in FILES:
        for term in bold_terms(file):
            first.setdefault(singular(term), file.name[:2])
    rows = glossary_rows()
    assert [row[0].lower() for row in rows] == sorted(row[0].lower() for row in rows)
    assert len(rows) >= 60
    listed = {term.lower(): number for term, number, _ in rows}
    assert first == listed
    for _, number, link in rows:
        assert (build.NOTEBOOKS / link).exists() and link.startswith(number)


def singular(term):
    """Return a term as the glossary lists it: without the s of a plural that the prose needed."""
    return term[:-1] if term in PLURALS else term


PLURALS = (
    "tokens",
    "arrays",
    "channels",
    "parameters",
    "embeddings",
    "blocks",
    "merges",
    "words",
    "heads",
    "weights",
    "logits",
    "layers",
)
