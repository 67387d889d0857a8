"""Which functions of a submission count, and what is taken along with them. Nothing here starts a process."""

import ast
import gc
import json

import pytest
from exercises.answers import read_styles
from exercises.grading_helpers import ATTEND, HEAD, SOFTMAX, dedented, definitions_in, judged, notebook
from helpers import ROOT

from neo_np import NeoError
from neo_np.exercises import passes
from neo_np.exercises.course import EXERCISES, find
from neo_np.exercises.grading.grader import earlier_answers
from neo_np.exercises.grading.left_out import left_out
from neo_np.exercises.grading.needed import answer_index, needed_by
from neo_np.exercises.grading.submission import Cell, definitions_of, read_cells
from neo_np.exercises.grading.worker import check

RIGHT = ("", "")
BODY = "e = np.exp(x - x.max(axis=-1, keepdims=True))\n    return e / e.sum(axis=-1, keepdims=True)"


def found(*cells):
    """Return the names that cells define, in their order."""
    return [name for definition in definitions_in(*cells)[0] for name in definition.names]


def taken(name, *cells, others=()):
    """Return the names of the definitions that are taken along with an answer."""
    return [n for definition in needed_by(name, definitions_in(*cells)[0], set(others)).definitions for n in definition.names]


def write(tmp_path, name, data):
    """Write a file and return it."""
    file = tmp_path / name
    file.write_bytes(data if isinstance(data, bytes) else data.encode())
    return file


# Reading


def test_read_cells_of_a_notebook_are_those_with_code(tmp_path):
    text = json.loads(notebook("x = 1\ny = 2", "z = 3"))
    text["cells"].insert(1, {"cell_type": "markdown", "source": "def softmax(x): text"})
    text["cells"].append({"cell_type": "code", "source": "w = 4"})  # a string is allowed too
    cells = read_cells(write(tmp_path, "a.ipynb", json.dumps(text)))
    assert [(cell.name, cell.source) for cell in cells] == [
        ("cell 1", "x = 1\ny = 2\n"),
        ("cell 3", "z = 3\n"),
        ("cell 4", "w = 4"),
    ]


def test_read_cells_of_a_notebook_with_outputs_ignores_them(tmp_path):
    text = json.loads(notebook("x = 1"))
    text["cells"][0]["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["def softmax(x): ..."]}]
    assert len(read_cells(write(tmp_path, "a.ipynb", json.dumps(text)))) == 1


NO_NOTEBOOKS = ["{", "[]", '{"cells": 3}', '{"cells": [3]}', '{"cells": [{"cell_type": "code"}]}', '{"worksheets": []}',
                "[" * 10**5, '{"cells": [{"cell_type": "code", "source": 3}]}']  # fmt: skip


@pytest.mark.parametrize("data", NO_NOTEBOOKS)
def test_read_cells_of_what_is_no_notebook_raises(data, tmp_path):
    with pytest.raises(NeoError, match=r"a\.ipynb is no notebook of Jupyter"):
        read_cells(write(tmp_path, "a.ipynb", data))


@pytest.mark.parametrize("name", ["a.py", "a.ipynb"])
def test_read_cells_of_an_empty_file_raises(name, tmp_path):
    with pytest.raises(NeoError, match=r"is empty \(1 bytes\): ask for the file again\."):
        read_cells(write(tmp_path, name, "\n"))


@pytest.mark.parametrize("begin", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a byte order mark"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("suffix", [".py", ".ipynb"])
def test_read_cells_with_any_line_ends_and_mark_gives_the_functions(begin, end, suffix, tmp_path):
    source = dedented(HEAD + SOFTMAX).replace("\n", end)
    text = source if suffix == ".py" else json.dumps({"cells": [{"cell_type": "code", "source": source}]})
    cells = read_cells(write(tmp_path, "a" + suffix, begin + text.encode()))
    assert judged("softmax", *(cell.source for cell in cells)) == RIGHT


def test_read_cells_of_other_encodings_raises(tmp_path):
    with pytest.raises(NeoError, match="UTF-16"):
        read_cells(write(tmp_path, "a.py", "x = 1".encode("utf-16")))


# Cells that do not parse


def test_cell_that_does_not_parse_is_skipped_and_said():
    definitions, skipped = definitions_in("x = 1", "def softmax(x:\n    return x", "y = 2")
    assert [definition.names for definition in definitions] == [("x",), ("y",)]
    [(cell, why)] = skipped
    assert cell.name == "cell 2" and "line 1" in why


@pytest.mark.parametrize(
    "source", ["x = 1\0", "(" * 500, "x = " + "-" * 100_000 + "1", "\tx = 1\n  y = 2", "def f(:", "print 'x'"]
)
def test_cell_with_any_fault_is_skipped(source):
    definitions, skipped = definitions_in(source, "y = 2")
    assert [definition.names for definition in definitions][-1] == ("y",) and len(skipped) <= 1


def test_script_with_one_broken_function_keeps_the_others_and_their_line_numbers(tmp_path):
    text = "import numpy as np\n\n@check\ndef linear(x, weight, bias)\n    return x\n" + SOFTMAX + "\nLAST = 1\n"
    definitions, skipped = definitions_of(read_cells(write(tmp_path, "a.py", text)))
    assert [name for definition in definitions for name in definition.names] == ["np", "softmax", "LAST"]
    assert len(skipped) == 1 and skipped[0][0].name == "a.py" and "in line 4" in skipped[0][1]
    for definition, line in zip(definitions, ["import numpy as np", "def softmax(x):", "LAST = 1"]):
        assert text.splitlines()[definition.node.lineno - 1] == line


def test_script_in_cells_loses_only_the_broken_one(tmp_path):
    text = "# %%\nimport numpy as np\n# %%\nthis is no Python\n# %%\n" + SOFTMAX
    cells = read_cells(write(tmp_path, "a.py", text))
    assert [d.names for cell in cells for d in definitions_in(cell.source)[0]] == [("np",), ("softmax",)]


# Magics


@pytest.mark.parametrize(
    "source",
    ["%matplotlib inline\nx = 1", "%%time\nx = 1", "!pip install numpy\nx = 1", "x = 1\n?x", "x = 1\nx?", "files = !ls\nx = 1",
     "x = 1\n%time print(x)", "if 1:\n    !pip install numpy\nx = 1", "a = (3\n% 2)\n%matplotlib inline\nx = 1",
     "text = '''\n%not a magic\n'''\nx = 1", "%load_ext a\n%load_ext b\n\n!ls | grep 'x'\nx = 1",
     "def f():\n    %time g()\n    return 1\nx = 1"],
)  # fmt: skip
def test_magics_are_dropped(source):
    definitions, skipped = definitions_in(source)
    assert skipped == [] and "x" in [name for definition in definitions for name in definition.names]


def test_magics_leave_the_line_numbers_as_they_are():
    definitions, _ = definitions_in("%%time\n!pip install a\nx = 1")
    assert definitions[0].node.lineno == 3


def test_percent_sign_that_continues_an_expression_is_no_magic():
    definitions, _ = definitions_in("x = (7\n% 4)")
    assert ast.unparse(definitions[0].node) == "x = 7 % 4"


# Which definition counts


def test_last_definition_wins():
    wrong = "def softmax(x):\n    return x"
    assert judged("softmax", HEAD, wrong, SOFTMAX) == RIGHT
    assert judged("softmax", HEAD, SOFTMAX, wrong)[0] != ""
    assert judged("softmax", HEAD + wrong + "\n" + SOFTMAX) == RIGHT


def test_stub_after_the_answer_wins_too():
    assert judged("softmax", HEAD, SOFTMAX, "def softmax(x):\n    ...")[0] == "not begun"


def test_answer_may_be_a_lambda():
    assert judged("merge_heads", HEAD, "merge_heads = lambda x: x.transpose(1, 0, 2).reshape(x.shape[1], -1)") == RIGHT


def test_answer_in_a_branch_is_found():
    assert judged("softmax", HEAD, "if True:\n" + "".join(f"    {line}\n" for line in SOFTMAX.splitlines())) == RIGHT


def test_answer_that_is_wrapped_again_is_the_function():
    assert judged("softmax", HEAD, SOFTMAX, "softmax = check(softmax)") == RIGHT


def test_answer_with_more_than_one_target_is_found():
    assert found("a, (b, *c) = 1, (2, 3)\nd = e = 4\nf: int = 5\ng: int\nh += 1\nx[0] = 1\ny.z = 2") == list("abcdefh")


@pytest.mark.filterwarnings("ignore:coroutine")
def test_async_answer_is_graded_and_wrong():
    mistake, remark = judged("softmax", HEAD, f"async def softmax(x):\n    {BODY}")
    gc.collect()  # the coroutine, which nobody awaits
    assert mistake and "coroutine" in remark


# Decorators


@pytest.mark.parametrize("decorator", ["@check", "@unknown_name", "@check\n@unknown.name(3)", "@exit", "@(lambda f: exit)"])
def test_decorators_of_an_answer_are_dropped(decorator):
    assert judged("softmax", HEAD, f"{decorator}\ndef softmax(x):\n    {BODY}") == RIGHT


def test_decorators_of_helpers_stay_if_they_are_known():
    cells = HEAD, """
        import functools
        from dataclasses import dataclass

        @dataclass
        class Rows:
            values: np.ndarray
            axis: int = -1

            @property
            def largest(self):
                return self.values.max(self.axis, keepdims=True)

        @check
        @unknown
        @functools.cache
        def axis():
            return -1
    """, """
        def softmax(x):
            e = np.exp(x - Rows(x).largest)
            return e / e.sum(axis(), keepdims=True)
    """  # fmt: skip
    assert judged("softmax", *cells) == RIGHT


# What is taken along


def test_needed_imports_constants_and_helpers_are_taken_along_and_nothing_else():
    cells = HEAD, """
        from math import inf as INFINITY, pi
        import os.path, json
        AXIS = -1
        OPTIONS = dict(axis=AXIS, keepdims=True)
        unused = open("never")
        print("never")
        raise SystemExit
        for AXIS in range(3):
            AXIS = 0
        def largest(x):
            return x.max(**OPTIONS)
        def never():
            return pi
        class Never: ...
    """, """
        def softmax(x):
            def inner(y):
                return np.exp(y - largest(y)) + 1 / INFINITY
            e = inner(x)
            return e / e.sum(**OPTIONS)
    """, "softmax(unused)"  # fmt: skip
    assert taken("softmax", *cells) == ["np", "INFINITY", "AXIS", "OPTIONS", "largest", "softmax"]
    assert judged("softmax", *cells) == RIGHT


def test_local_names_take_nothing_along():
    cells = "x = 1", "e = 2", "i = 3", "y = 4", "def softmax(x, *, y=y):\n    e = [i for i in x]\n    return e"
    assert taken("softmax", *cells) == ["y", "softmax"]


def test_global_statement_nested_function_and_class_take_their_names_along():
    cells = "n = 0\nA = 1\nB = 2\nC = 3\nD = 4\nE = 5", """
        def softmax(x):
            global n
            n += 1
            class Local(A):
                value = B
                def method(self):
                    return C
            return lambda: [D for _ in x if E]
    """  # fmt: skip
    assert sorted(taken("softmax", *cells)) == ["A", "B", "C", "D", "E", "n", "softmax"]


def test_constant_is_the_last_one_and_its_own_parts_are_those_before_it():
    cells = HEAD, "N = 1", "N = N + 1\nN += 1", "def softmax(x):\n    return right(x) if N == 3 else N", """
        def right(x):
            e = np.exp(x - x.max(axis=AXIS, keepdims=True))
            return e / e.sum(axis=AXIS, keepdims=True)
    """, "AXIS = 0", "AXIS = N - 4"  # fmt: skip
    assert judged("softmax", *cells) == RIGHT


def test_helper_that_is_defined_below_is_found():
    cells = HEAD, "later = lambda x: last(x)", "def softmax(x):\n    return later(x)", f"def last(x):\n    {BODY}"
    assert judged("softmax", *cells) == RIGHT


def test_helpers_that_call_each_other_end():
    cells = (
        "def a(n):\n    return b(n) if n else 0",
        "def b(n):\n    return a(n - 1)",
        HEAD,
        f"def softmax(x):\n    a(3)\n    {BODY}",
    )
    assert judged("softmax", *cells) == RIGHT


@pytest.mark.parametrize(
    ("cell", "line"),
    [
        ("table = {}\nfor i in range(10):\n    table[i] = i", "Line 2 of cell 1, `for i in range(10):`, changes `table`"),
        ("table = {}\nx = 3\ntable[0] = 1", "Line 3 of cell 1, `table[0] = 1`, changes `table`"),
        ("table = [0]\ntable.append(1)", "Line 2 of cell 1, `table.append(1)`, changes `table`"),
        ("while True:\n    table = 3\n    break", "Line 1 of cell 1, `while True:`, changes `table`"),
    ],
)
def test_statement_that_was_left_out_and_changes_what_an_answer_uses_is_said(cell, line):
    answer = "def softmax(x):\n    return table[1] * x"
    definitions, _ = definitions_in(cell, answer)
    cells = [Cell(f"cell {number}", source) for number, source in enumerate((cell, answer), 1)]
    assert left_out(cells, needed_by("softmax", definitions, set()).definitions).startswith(line)


def test_statement_that_was_left_out_and_changes_nothing_of_the_answer_is_not_said():
    sources = (
        "import numpy as np\nother = []\nother.append(1)\nnp.seterr(all='ignore')\nprint(3)",
        "def softmax(x):\n    return np.exp(x)",
    )
    cells = [Cell(f"cell {number}", source) for number, source in enumerate(sources, 1)]
    assert left_out(cells, needed_by("softmax", definitions_in(*sources)[0], set()).definitions) == ""


def test_star_imports_are_taken_along():
    assert judged("softmax", "from numpy import *", f"def softmax(x):\n    {BODY.replace('np.', '')}") == RIGHT
    assert judged("softmax", "from no_such_module import *", SOFTMAX) == RIGHT


def test_import_in_try_is_taken_along():
    cells = "try:\n    import no_such_module as np\nexcept ImportError:\n    import numpy as np", SOFTMAX
    assert judged("softmax", *cells) == RIGHT


def test_numpy_is_there_without_an_import():
    assert judged("softmax", SOFTMAX) == RIGHT


def test_display_in_an_answer_does_no_harm():
    assert judged("softmax", f"def softmax(x):\n    display(x)\n    {BODY}") == RIGHT


def test_error_in_what_an_answer_needs_is_named_with_its_place():
    mistake, remark = judged("softmax", "import no_such_module", SOFTMAX.replace("np.exp", "no_such_module.exp"))
    assert mistake == "error" and "No module named 'no_such_module'" in remark and "cell 1, line 1" in remark
    mistake, remark = judged("softmax", "A = 1\nB = A / 0", SOFTMAX.replace("x.max", "B + x.max"))
    assert mistake == "error" and "ZeroDivisionError" in remark and "line 2" in remark
    mistake, remark = judged("softmax", "import sys\nA = sys.exit(0)", SOFTMAX.replace("x.max", "A + x.max"))
    assert mistake == "error" and "SystemExit" in remark
    mistake, remark = judged("softmax", "def softmax(x, x):\n    return x")
    assert mistake == "error" and "SyntaxError" in remark


def test_endless_constant_is_slow():
    mistake, _ = judged(
        "softmax", "def endless():\n    while True: pass", "A = endless()", SOFTMAX.replace("x.max", "A + x.max"), seconds=0.2
    )
    assert mistake == "slow"


# Earlier answers


def test_earlier_answers_are_those_of_the_course():
    wrong = "def softmax(x):\n    return x"
    assert judged("attend", HEAD, wrong, ATTEND) == RIGHT
    assert judged("attend", HEAD, ATTEND) == RIGHT
    assert (
        judged(
            "attend", HEAD, wrong, "def weights(scores):\n    return softmax(scores)", ATTEND.replace("softmax(", "weights(")
        )
        == RIGHT
    )


def test_answers_to_other_exercises_come_from_the_course_too():
    wrong = "def center_rows(x):\n    return x"
    norm = """
        def layer_norm(x, weight, bias, eps):
            y = center_rows(x)
            return y / np.sqrt((y**2).mean(-1, keepdims=True) + eps) * weight + bias
    """
    assert judged("layer_norm", wrong, norm) == RIGHT
    own = "def center_rows(x, axis):\n    return x - x.mean(axis, keepdims=True)"  # a helper that happens to have that name
    assert judged("layer_norm", own, norm.replace("center_rows(x)", "center_rows(x, -1)")) == RIGHT


def test_named_mistake_is_the_remark():
    mistake, remark = judged("attend", HEAD, ATTEND.replace("k.T +", "k.T / np.sqrt(q.shape[-1]) +"))
    assert mistake == "scaled" and remark.startswith("The scores are divided")


# neo_np


IMPORTS = """
    import numpy as np
    import neo_np, neo_np.gpt_neo.forward as page
    from neo_np.gpt_neo import forward
    from neo_np.gpt_neo.forward import softmax as theirs, attention
    from neo_np.exercises import check
    model = neo_np.load()
    config = model.config
"""


def test_import_lines_of_the_notebook_are_ignored():
    assert judged("softmax", IMPORTS, SOFTMAX) == RIGHT
    assert judged("softmax", SOFTMAX, "from neo_np.gpt_neo.forward import softmax") == RIGHT
    assert judged("softmax", "from neo_np.gpt_neo.forward import *", SOFTMAX) == RIGHT


def test_types_from_neo_np_are_ignored():
    cells = (
        "from neo_np import Params",
        f"def softmax(x: Params, *y: Params) -> Params:\n    z: Params\n    w: Params = 1\n    {BODY}",
    )
    assert judged("softmax", *cells) == RIGHT
    assert judged("softmax", "from neo_np import Params", "N: Params = 1", SOFTMAX.replace("x - x", "x - 0 * N - x")) == RIGHT


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("return theirs(x)", ["theirs"]),
        ("return forward.softmax(x)", ["forward"]),
        ("return page.softmax(x)", ["page"]),
        ("return neo_np.gpt_neo.forward.softmax(x)", ["neo_np"]),
        ("import neo_np.gpt_neo.forward\n    return 1", ["neo_np"]),
        ("from neo_np.gpt_neo.forward import softmax as s\n    return s(x)", ["neo_np"]),
        ("def inner():\n        import numpy, neo_np.model\n    return inner()", ["neo_np"]),
        ("return helper(x)", ["theirs"]),
        ("return Helper()(x)", ["forward"]),
    ],
)
def test_answer_that_uses_neo_np_is_refused(body, names):
    helpers = """
        def helper(x):
            return theirs(x)
        class Helper:
            def __call__(self, x):
                return forward.softmax(x)
    """
    assert judged("softmax", IMPORTS, helpers, f"def softmax(x):\n    {body}")[0] == names


@pytest.mark.parametrize(
    ("made", "body"),
    [
        ("", "return model.logits(x)"),
        ("", "return config.num_heads + right(x)"),
        ("made = theirs", "return made(x)"),
        ("made = [theirs]", "return made[0](x)"),
        ("made = {'f': theirs}", "return made['f'](x)"),
        ("made = lambda x: theirs(x)", "return made(x)"),
        ("import functools\nmade = functools.partial(theirs)", "return made(x)"),
        ("def load():\n    import neo_np\n    return neo_np.load()\nmade = load()", "return made.logits(x)"),
    ],
)
def test_answer_that_uses_what_is_made_of_neo_np_is_refused_as_passes_does(made, body, capsys):
    right = f"def right(x):\n    {BODY}"
    mistake, remark = judged("softmax", IMPORTS, made, right, f"def softmax(x):\n    {body}")
    name = next(name for name in ("model", "config", "made") if name in body)
    assert (mistake, remark) == (
        "uses neo_np",
        f"The answer uses `{name}`, which comes from neo_np. Write it yourself, with NumPy.",
    )
    assert in_notebook("softmax", IMPORTS, made, right, f"def softmax(x):\n    {body}") is False


CONSTANTS = [
    "D = config.num_heads",
    "D = len(model.tokenizer.encode('a king'))",
    "params = model.params\nD = params.wte.weight.shape[1]",
    "def size(model):\n    return model.config.num_layers\nD = size(neo_np.load())",
    "import measure\nD = len(measure.tales('valid'))",
    "D = config.num_heads\nD = D + 1\nD += 1",
    "D, E = config.num_heads, config.num_layers",
    "D = model.logits([1, 2])[0, 0]",
]


@pytest.mark.parametrize("constant", CONSTANTS)
def test_constant_of_the_notebook_s_model_counts_as_the_number_that_it_is(constant):
    """`@check` and `passes` see only its value, so the grader computes it too."""
    right = SOFTMAX.replace("x - x", "0 * D + x - x").replace("@check", "")
    wrong = SOFTMAX.replace("return e", "return (9 + abs(D)) * e").replace("@check", "")
    assert judged("softmax", IMPORTS, constant, right) == RIGHT
    assert in_notebook("softmax", IMPORTS, constant, right) is True
    assert judged("softmax", IMPORTS, constant, wrong)[0] not in ("", "uses neo_np", "error")
    assert in_notebook("softmax", IMPORTS, constant, wrong) is False


def in_notebook(name, *cells):
    """Return what `passes` says about an answer after all cells have run, as in a notebook."""
    names = {"__name__": "notebook"}
    for cell in cells:
        exec(dedented(cell), names)
    return passes(name, names[name])


def test_answer_that_uses_a_star_import_of_neo_np_is_refused():
    cells = "from neo_np.gpt_neo.forward import *", "def attend(q, k, v, mask):\n    return attention(q, k, v)"
    assert judged("attend", *cells)[0] == ["attention"]


RIGHT_ANSWERS = [answer for answer in read_styles() if answer.mistake is None]


@pytest.mark.parametrize("file", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda file: file.stem)
def test_right_answers_in_the_notebook_of_the_course_use_nothing_of_neo_np(file):
    """The notebook itself loads a model and imports much of neo_np. Each exercise is found, and only as a stub."""
    cells = read_cells(file)
    definitions, skipped = definitions_of(cells)
    assert skipped == []
    for exercise in EXERCISES.values():
        if exercise.notebook == file.name[:2]:
            assert answer_index(exercise.name, definitions) is not None
            for answer in RIGHT_ANSWERS:
                if answer.exercise == exercise.name:
                    own = definitions_of([*cells, Cell("answer", answer.source)])[0]
                    needed = needed_by(exercise.name, own, set(earlier_answers(exercise, own)))
                    assert needed.borrowed == [] and needed.definitions[-1].cell.name == "answer"


def test_remark_on_a_broken_script_shows_the_line_of_the_answer(tmp_path):
    """Its pieces have one name; the text of a line must come from the right piece."""
    text = "def softmax(x):\n    return 1 / 0\n\ndef broken(:\n    pass\n\ndef helper():\n    return 1\n"
    cells = read_cells(write(tmp_path, "a.py", text))
    needed = needed_by("softmax", definitions_of(cells)[0], set())
    remark = check(find("softmax"), needed, 60.0)["remark"]
    assert "ZeroDivisionError" in remark and "in line 2: `return 1 / 0`" in remark
