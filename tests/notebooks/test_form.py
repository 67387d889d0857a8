"""The form of every notebook: its sections, pictures, links, stubs, sizes; the glossary; what the scripts need."""

import io
import itertools
import os
import re
import subprocess
import sys

import build
import in_browser
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
NEED_MORE = (
    "14",
    "16",
    "17",
)  # training with files of its own, weights and libraries from outside: these may use what a browser lacks


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
def test_links_into_the_source_lead_to_the_line_that_defines_the_name(file):
    for name, path, line in re.findall(r"\[`(\w+)`\]\(([^)#]+)#L(\d+)\)", prose(read_built(file))):
        lines = (build.NOTEBOOKS / path).read_text(encoding="utf-8").splitlines()
        assert re.match(rf"(def|class) {name}\b", lines[int(line) - 1]), f"{name}: python notebooks/build.py --no-run"
        assert re.search(r"Course: notebook", "\n".join(lines[:25])), f"the docstring of {path} names no notebook"


def test_links_into_the_source_are_corrected_without_running_a_notebook():
    link = "[`softmax`](../neo_np/gpt_neo/forward.py#L1)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"See {link}.")])
    build.with_links_as_they_are_now(notebook)
    line = int(re.search(r"forward\.py#L(\d+)\)\.$", notebook.cells[0].source)[1])
    assert "def softmax(" in (build.NOTEBOOKS.parent / "neo_np/gpt_neo/forward.py").read_text().splitlines()[line - 1]


def test_link_to_a_name_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"there is no softmin in neo_np/gpt_neo/forward\.py"):
        build.source_link("gpt_neo.forward.softmin")


@pytest.mark.parametrize("file", [file for file in FILES if file.name[:2] not in NEED_MORE], ids=names)
def test_notebook_needs_nothing_that_a_browser_lacks(file):
    for cell in build.read(file).cells:
        if cell.cell_type == "code":
            [colab] = [line for line in build.FIRST_CELL.splitlines() if "git clone" in line]
            code = cell.source.replace(colab, "    pass") if "setup" in cell.metadata.get("tags", []) else cell.source
            assert in_browser.lacks(code) == []


@pytest.mark.parametrize("name", ["figures.py", "measure.py"])
def test_what_notebooks_import_needs_nothing_that_a_browser_lacks(name):
    assert in_browser.lacks((build.NOTEBOOKS / name).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "code",
    [
        "import threading",
        "import concurrent.futures as futures",
        "from multiprocessing import Pool",
        "import os\nos.system('ls')",
        "import os as o\no.popen('ls')",
        "from os import fork as f\nf()",
        "from os import *\nsystem('ls')",
        "import numpy as np\nnp.memmap('x')",
        "from numpy import memmap",
        "import numpy as np\nnp.load('x.npy', mmap_mode='r')",
        "import numpy as np\nnp.lib.format.open_memmap('x')",
        "def f():\n    import mmap",
        "import urllib.request",
        "__import__('socket')",
        "import importlib\nimportlib.import_module('socket')",
        "!ls",
        "%timeit 1",
        "get_ipython().system('ls')",
        "exec('import socket')",
    ],
)
def test_what_a_browser_lacks_is_found_in_every_form(code):
    assert in_browser.lacks(code)


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.environ.setdefault('A', '1')\nos.chdir('x')",
        "import numpy as np\nnp.load('x.npy')",
        "threading = 1  # a name is no thread",
        "print('import socket')",
        "model.system('ls')",
    ],
)
def test_ordinary_code_has_nothing_that_a_browser_lacks(code):
    assert in_browser.lacks(code) == []


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
    needed = {"check", "hint", "solution", "progress"} if build.exercises_of(build.read(file)) else {"progress"}
    assert called | needed <= imported


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


TEACHING = build.TEACHING.read_text(encoding="utf-8")


def test_teaching_has_the_times_and_recall_questions_of_the_notebooks():
    assert build.with_times(TEACHING) == TEACHING


def test_times_of_teaching_are_words_and_exercises():
    """Count again in another way: by the built notebooks and by the registry."""
    rows = re.findall(r"^\| \[(\d\d) [^]]+\]\(\S+\) \| (\d+) \| (\d+) \| (\d+) \| .+ \|$", TEACHING, re.M)
    assert [row[0] for row in rows] == NOTEBOOKS_IN_ORDER
    for (number, reading, exercises, both), file in zip(rows, FILES):
        assert int(exercises) == sum(e.minutes for e in EXERCISES.values() if e.notebook == number)
        assert int(reading) + int(exercises) == int(both) and int(both) % 5 == 0
        reading = len(prose(build.read(file)).split()) / 120 + code_lines(build.read(file)) / 10
        assert abs(int(both) - int(exercises) - reading) <= 2.6
    known = {number: int(both) for number, _, _, both in rows}
    plans = re.findall(r"^\| [^|]+ \| (\d\d(?:, \d\d)*) \| [^|]+ \| (\d+) \|$", TEACHING, re.M)
    assert len(plans) >= 20
    for numbers, total in plans:
        assert int(total) == sum(known.get(number, 0) for number in numbers.split(", "))


def code_lines(notebook):
    """Return how many lines of visible code a notebook has: by the script that a page without folded cells shows."""
    shown = [cell.source for cell in notebook.cells if cell.cell_type == "code" and "source_hidden" not in str(cell.metadata)]
    code = "\n".join(source for source in shown if not source.startswith("@check"))
    return len(re.findall(r"^ *[^\s#)\]}].*$", code, re.M))


@pytest.mark.parametrize("file", FILES, ids=names)
def test_code_to_read_is_visible_and_no_exercise(file):
    for cell in build.read(file).cells:
        hidden = cell.metadata.get("jupyter", {}).get("source_hidden", False)
        if cell.cell_type == "markdown" or hidden or cell.source.startswith("@check"):
            assert build.lines_to_read(cell) == 0
        elif not cell.source.startswith(("# hint", "# order_lines")):
            assert build.lines_to_read(cell) > 0, cell.source


def test_teaching_has_mistakes_limits_and_an_answered_board_question_for_every_notebook():
    sections = dict(re.findall(r"^### ((\d\d) .+?)\n", TEACHING, re.M))
    assert [number for number in sections.values() if number in NOTEBOOKS] == NOTEBOOKS_IN_ORDER
    for title, number in sections.items():
        assert NOTEBOOKS.get(number) in (None, title[3:])
        section = TEACHING.partition(f"### {title}\n")[2].partition("\n##")[0]
        kinds = re.findall(r"^- \*\*(.+?)\.\*\* \S", section, re.M)
        assert kinds == ["What learners get wrong", "Not yet", "Board question", "Answer"], title


def test_teaching_has_a_line_for_every_prediction():
    asked = [name for file in FILES for name in re.findall(r'^predict\("([\d.]+)"', file.read_text(encoding="utf-8"), re.M)]
    table = TEACHING.partition("## Predictions and what leads to them")[2].partition("\n## ")[0]
    assert re.findall(r"^\| (\d\d\.\d) \| .+ \| .{10,} \|$", table, re.M) == asked


def test_recall_questions_have_two_answers_in_every_notebook():
    rows = re.findall(r"^\| (\d\d) \| \*\*1\*\* (.+) \*\*2\*\* (.+) \| \*\*1\*\* (.+) \*\*2\*\* (.+) \|$", TEACHING, re.M)
    assert [row[0] for row in rows] == NOTEBOOKS_IN_ORDER
    text = {file.name[:2]: " ".join(prose(read_built(file)).split()) for file in FILES}
    for number, *cells in rows:
        assert all(cell in text[number] for cell in cells), number


def test_exam_has_a_second_version_of_every_core_exercise():
    table = TEACHING.partition("## Exams")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.{30,}) \| (.{10,}) \|$", table, re.M)
    core = [name for name, exercise in EXERCISES.items() if exercise.core]
    assert sorted(name for name, _, _ in rows if name in EXERCISES) == sorted(core)
    assert len({task for _, task, _ in rows}) == len(rows)


def test_links_of_the_pages_for_readers_lead_somewhere():
    for page in ("README.md", "TEACHING.md", "GRADING.md", "GLOSSARY.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", (build.NOTEBOOKS / page).read_text(encoding="utf-8")):
            assert (build.NOTEBOOKS / link).exists(), f"{page}: {link}"
