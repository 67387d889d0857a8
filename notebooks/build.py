"""Build the notebooks: source/*.py (jupytext's percent format) becomes *.ipynb with outputs.

    python notebooks/build.py               # all notebooks
    python notebooks/build.py 05 06         # these
    python notebooks/build.py --html pages  # pages for a browser too, from the notebooks that are built
    python notebooks/build.py --no-run      # only the tables and the links into the source, after a change of the package

The first cell and the stubs of the exercises come from here and from `neo_np.exercises`: the build writes them into the source.
In the prose, `{{expression}}` is replaced by the value that the expression has at that place of the notebook, so no number
of the checkpoint is written by hand. `{{minutes}}` is the estimated time, and `{{source("gpt_neo.forward.softmax")}}` a link
to the line that defines this function. The tables of README.md and TEACHING.md are written too.
"""

import argparse
import ast
import asyncio
import hashlib
import html
import os
import re
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
NOTEBOOKS = Path(__file__).resolve().parent
sys.path.insert(0, str(NOTEBOOKS.parent))

import jupytext
import nbformat
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbconvert.preprocessors import TagRemovePreprocessor
from traitlets.config import Config

from neo_np.exercises.course import find

SOURCE, TEACHING = NOTEBOOKS / "source", NOTEBOOKS / "TEACHING.md"
REPOSITORY = "https://github.com/OWNER/neo_np"  # where a notebook that was opened by itself, as on Colab, gets the other files
FIRST_CELL = f"""
# This cell finds the files of the course. Run it first; you need not read it.
import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # with small arrays, one thread is the fastest
here = Path(globals().get("__file__", "notebook")).resolve()
root = next((folder for folder in here.parents if (folder / "neo_np").is_dir()), None)
if root is None:  # opened by itself, for example on Colab
    os.system("git clone --depth 1 {REPOSITORY} neo_np_course")
    root = Path("neo_np_course").resolve()
    os.chdir(root / "notebooks")
sys.path[:0] = [str(root), str(root / "notebooks")]
""".strip()
# Runs before each notebook. What is committed is made without transformers and the weights of GPT-Neo 125M, on every machine.
PLAIN = f"""
import sys

sys.modules["transformers"] = None
sys.path.insert(0, {str(NOTEBOOKS.parent)!r})
import neo_np
from neo_np.errors import NeoError

def without_125m(name=None, *rest, **options):
    if "125m" in str(name).lower():
        raise NeoError("its weights are not used here")
    return any_model(name, *rest, **options)

any_model, neo_np.load = neo_np.load, without_125m
"""
FOLDED = {"figure", "setup", "helpers"}  # tags of cells whose code JupyterLab folds, and pages leave out
WORDS_A_MINUTE, LINES_A_MINUTE, MOST_BYTES = 120, 10, 500_000
EXPRESSION = re.compile(r"\{\{(.+?)\}\}")
SOURCE_NAME = re.compile(r'\{\{source\("([\w.]+)"\)\}\}')
SOURCE_LINK = re.compile(r"\[`(\w+)`\]\(\.\./neo_np/([\w/]+)\.py#L\d+\)")
CELL = re.compile(r"^(?=# %%)", re.M)
TABLE = re.compile(r"(^\| notebook \|.*\n\|[ -|]+\n)(?:.+\n)+", re.M)
PLAN = re.compile(r"^(\| [^|]+ \| (\d\d(?:, \d\d)*) \| [^|]+ \|) \d+ \|$", re.M)  # when, notebooks, what, minutes
EXERCISE = re.compile(r'exercise="(\w+)"')


def sources(wanted=()):
    """Return the source files, in order: all, or those whose names begin with the wanted numbers."""
    files = sorted(SOURCE.glob("[0-9][0-9]_*.py"))
    return [file for file in files if not wanted or file.name[:2] in wanted]


def built(file):
    """Return the path of the notebook that is built from a source file."""
    return NOTEBOOKS / f"{file.stem}.ipynb"


def filled(text):
    """Return a source with the first cell and the stubs as they must be: blanks in the first stub, the others whole."""
    cells, seen = CELL.split(text), 0
    for i, cell in enumerate(cells):
        header, _, body = cell.partition("\n")
        name, wanted = EXERCISE.search(header), None
        if name:
            wanted = find(name[1]).stub(blanks=seen == 0)
            seen += 1
        elif 'tags=["setup"]' in header:
            wanted = FIRST_CELL
        if wanted and body.rstrip() != wanted:
            cells[i] = f"{header}\n{wanted}\n\n"
    return "".join(cells)


def read(file):
    """Return the notebook of a source file, not executed, with cell ids that depend on its content only."""
    notebook = jupytext.reads(file.read_text(encoding="utf-8"), fmt="py:percent")
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    known = set()
    for cell in notebook.cells:
        id = f"exercise-{cell.metadata['exercise']}" if "exercise" in cell.metadata else digest(cell.source)
        while id in known:
            id = digest(id)
        known.add(id)
        cell.id = id
        if FOLDED & set(cell.metadata.get("tags", [])):
            cell.metadata["jupyter"] = {"source_hidden": True}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = cell.source.replace("{{minutes}}", str(minutes(notebook)))
            cell.source = SOURCE_NAME.sub(lambda found: source_link(found[1]), cell.source)
    return notebook


def source_link(name):
    """Return a link to the line that defines a function or class of neo_np, named such as "gpt_neo.forward.softmax"."""
    module, _, function = name.rpartition(".")
    file = f"neo_np/{module.replace('.', '/')}.py"
    tree = ast.parse((NOTEBOOKS.parent / file).read_text(encoding="utf-8"))
    lines = [node.lineno for node in tree.body if getattr(node, "name", None) == function]
    if not lines:
        raise ValueError(f"{{{{source({name!r})}}}}: there is no {function} in {file}")
    return f"[`{function}`](../{file}#L{lines[0]})"


def with_links_as_they_are_now(notebook):
    """Return a notebook whose links into the source lead to the lines of today."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = SOURCE_LINK.sub(lambda found: source_link(f"{found[2].replace('/', '.')}.{found[1]}"), cell.source)
    return notebook


def digest(text):
    """Return a short cell id for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def minutes(notebook):
    """Return the estimated time for a notebook: its words and lines, and what each exercise says of itself; in steps of 5."""
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    lines = sum(map(lines_to_read, notebook.cells))
    exercises = sum(find(name).minutes for name in exercises_of(notebook))
    return 5 * round((words / WORDS_A_MINUTE + lines / LINES_A_MINUTE + exercises) / 5)


def lines_to_read(cell):
    """Return how many lines of code of a cell are to be read, comments not counted: none if it is folded or an exercise."""
    exercise = "exercise" in cell.metadata or cell.source.startswith("@check")
    if cell.cell_type != "code" or exercise or FOLDED & set(cell.metadata.get("tags", [])):
        return 0
    return sum(not line.lstrip().startswith(("#", ")", "]", "}")) for line in cell.source.splitlines() if line.strip())


def exercises_of(notebook):
    """Return the names of a notebook's exercises, in order."""
    return [cell.metadata["exercise"] for cell in notebook.cells if "exercise" in cell.metadata]


class Executor(NotebookClient):
    """Runs a notebook, and fills in the numbers of its prose where they are due."""

    async def async_execute_cell(self, cell, cell_index, *arguments, **options):
        """Execute a code cell; in a markdown cell, replace each {{expression}} by its value."""
        if cell.cell_type == "markdown":
            expressions = dict.fromkeys(EXPRESSION.findall(cell.source))
            if expressions:
                values = await self.values_of(expressions)
                cell.source = EXPRESSION.sub(lambda found: values[found[1]], cell.source)
        return await super().async_execute_cell(cell, cell_index, *arguments, **options)

    async def values_of(self, expressions):
        """Return {expression: its value as text}."""
        asked = {expression: f'f"""{{{expression}}}"""' for expression in expressions}
        reply = await self.kc.execute_interactive(
            "", silent=True, store_history=False, user_expressions=asked, output_hook=lambda message: None
        )
        values = {}
        for expression, found in reply["content"]["user_expressions"].items():
            if found["status"] != "ok":
                raise ValueError(f"{{{{{expression}}}}}: {found['ename']}: {found['evalue']}")
            values[expression] = ast.literal_eval(found["data"]["text/plain"])
        return values


def execute(notebook, progress_file=None, plain=True):
    """Run a notebook in a new kernel, in the folder of the notebooks; its progress goes to a file of its own.

    plain: without transformers and GPT-Neo 125M, even if they are there.
    """
    if plain:
        notebook.cells.insert(0, nbformat.v4.new_code_cell(PLAIN, id="plain"))
    if sys.platform == "win32":
        asyncio.set_event_loop_policy(asyncio.WindowsSelectorEventLoopPolicy())
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "NEO_NP_PROGRESS": str(progress_file or Path(folder) / "progress.json"),
            "PYTHONHASHSEED": "0",
        }
        client = Executor(notebook, timeout=300, coalesce_streams=True, record_timing=False)
        client.execute(env=environment, cwd=str(NOTEBOOKS))
    notebook.cells = [cell for cell in notebook.cells if cell.id != "plain"]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.execution_count = None
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = None
    return notebook


def write(notebook, path):
    """Write a notebook; raises ValueError if it is too large."""
    text = nbformat.writes(notebook) + "\n"
    if len(text.encode()) > MOST_BYTES:
        raise ValueError(f"{path.name} has {len(text.encode())} bytes, and {MOST_BYTES} are allowed.")
    path.write_text(text, encoding="utf-8")


def page(notebook, title):
    """Return a notebook as an HTML page: images have their alternative text, and folded code is left out."""
    settings = Config({"TagRemovePreprocessor": {"enabled": True, "remove_input_tags": FOLDED}})
    exporter = HTMLExporter(template_name="lab", config=settings)
    exporter.register_preprocessor(TagRemovePreprocessor(config=settings), enabled=True)
    body, _ = exporter.from_notebook_node(notebook)
    texts = iter(
        output.metadata["image/png"]["alt"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    )

    def with_text(found):
        tag = re.sub(r'\salt="[^"]*"', "", found[0])
        return tag.replace("<img", f'<img alt="{html.escape(next(texts))}"', 1)

    body = re.sub(r'<img\b[^>]*src="data:image/png[^>]*>', with_text, body)
    body = body.replace("<title>Notebook</title>", f"<title>{html.escape(title)}</title>")
    return re.sub(r'href="(\d\d_\w+)\.ipynb', r'href="\1.html', body)


def table():
    """Return the rows of the README's table: notebook, question, exercises, minutes."""
    rows = []
    for file in sources():
        notebook = read(file)
        first = next(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        question = re.search(r"\*\*Question: (.+?)\*\*", first)[1]
        names = ", ".join(f"`{name}`{'*' * find(name).core}" for name in exercises_of(notebook)) or "predictions only"
        title = first.split("\n")[0].lstrip("# ")
        rows.append(f"| [{title}]({file.stem}.ipynb) | {question} | {names} | {minutes(notebook)} |")
    return "\n".join(rows)


def syllabus():
    """Return the rows of the syllabus for teachers: notebook, minutes of reading, of exercises, of both, and what it needs."""
    rows = []
    for file in sources():
        notebook = read(file)
        first = next(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
        needs = re.search(r"You need (.+?)\.(?:\s|$)", first, re.S)[1].replace("\n", " ")
        exercises = sum(find(name).minutes for name in exercises_of(notebook))
        title, both = first.split("\n")[0].lstrip("# "), minutes(notebook)
        rows.append(f"| [{title}]({file.stem}.ipynb) | {both - exercises} | {exercises} | {both} | {needs} |")
    return "\n".join(rows)


def recall():
    """Return the rows of the recall questions for teachers: number of the notebook, its two questions, their answers."""
    rows = []
    for file in sources():
        prose = "\n".join(cell.source for cell in read(file).cells if cell.cell_type == "markdown")
        asked = prose.partition("## Two questions to recall")[2].partition("</details>")[0]
        parts = [re.split(r"^\d\. ", part, flags=re.M)[1:] for part in asked.split("<details>")]
        cells = [
            " ".join(f"**{i}** {' '.join(item.split()).replace('|', '/')}" for i, item in enumerate(items, 1))
            for items in parts
        ]
        rows.append(f"| {file.name[:2]} | {' | '.join(cells)} |")
    return "\n".join(rows)


def with_times(text):
    """Return TEACHING.md with the syllabus, the minutes of each row of a plan and the recall questions as they are now."""
    known = {file.name[:2]: minutes(read(file)) for file in sources()}
    rows = iter((syllabus(), recall()))
    text = TABLE.sub(lambda found: found[1] + next(rows) + "\n", text)
    return PLAN.sub(lambda row: f"{row[1]} {sum(known.get(number, 0) for number in row[2].split(', '))} |", text)


def main():
    """Build what the command line asks for."""
    parser = argparse.ArgumentParser(description="Build the notebooks of the course.")
    parser.add_argument("numbers", nargs="*", help="numbers of notebooks, such as 05 (default: all)")
    parser.add_argument("--html", metavar="FOLDER", type=Path, help="also write a page for each notebook into this folder")
    parser.add_argument("--no-run", action="store_true", help="take the outputs of the notebooks as they are")
    arguments = parser.parse_args()
    readme = NOTEBOOKS / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(TABLE.sub(lambda found: found[1] + table() + "\n", text), encoding="utf-8")
    TEACHING.write_text(with_times(TEACHING.read_text(encoding="utf-8")), encoding="utf-8")
    for file in sources(arguments.numbers):
        if not arguments.no_run:
            text = file.read_text(encoding="utf-8")
            if filled(text) != text:
                file.write_text(filled(text), encoding="utf-8")
            write(execute(read(file)), built(file))
            print(f"{built(file).name}: {built(file).stat().st_size:,} bytes", flush=True)
        else:
            write(with_links_as_they_are_now(nbformat.read(built(file), as_version=4)), built(file))
        if arguments.html:
            arguments.html.mkdir(parents=True, exist_ok=True)
            notebook = nbformat.read(built(file), as_version=4)
            title = next(cell.source for cell in notebook.cells if cell.cell_type == "markdown").split("\n")[0].lstrip("# ")
            (arguments.html / f"{file.stem}.html").write_text(page(notebook, title), encoding="utf-8")


if __name__ == "__main__":
    main()
