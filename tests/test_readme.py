"""What the READMEs show is what happens: their Python runs, their comments are true, their commands have options that exist."""

import functools
import importlib
import os
import re

import numpy as np
import pytest
from helpers import ROOT

import neo_np
from neo_np.generate import command

READMES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("**/README.md"))}
READMES = {name: text for name, text in READMES.items() if name == "README.md" or name.startswith(("neo_np/", "tests/"))}
# A line of code with the value or the shape that it gives in its comment: `ids = ...  # [1955, 699]: the tokens`.
SHOWN = re.compile(r"^(?:(\w+) = )?(\S.*?) +# ([(\[][\d, .]*[)\]])(?::.*|$)", re.M)
COMMANDS = re.findall(r"python -m neo_np\.(\w+)(?![\w`])([^\n#`]*)", "\n".join(READMES.values()))


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """A function that runs the Python of a README in a folder, once: gives the code, its variables and the folder."""

    @functools.cache
    def run(name):
        code, names = "".join(re.findall(r"```python\n(.*?)```", READMES[name], re.S)), {}
        folder, before = tmp_path_factory.mktemp("readme"), os.getcwd()
        os.chdir(folder)
        try:
            exec(code, names)
        finally:
            os.chdir(before)
        return code, names, folder

    return run


@pytest.mark.parametrize("name", READMES)
def test_python_of_a_readme_runs_and_gives_what_its_comments_say(name, executed, monkeypatch):
    code, names, folder = executed(name)
    monkeypatch.chdir(folder)
    for variable, expression, shown in SHOWN.findall(code):
        value = names[variable] if variable else eval(expression, names)
        assert (value.shape if isinstance(value, np.ndarray) else value) == eval(shown), expression


def test_readme_saves_a_model_that_loads(executed):
    _, names, folder = executed("README.md")
    assert repr(neo_np.load(folder / "weights" / "mine")) == repr(names["model"])


def test_readme_opens_with_a_story_that_the_command_writes(capsys):
    [(line, story)] = re.findall(r"```text\n\$ python -m neo_np.generate (.*?)\n(.*?)```", READMES["README.md"], re.S)
    prompt, options = re.fullmatch(r'"(.*?)" (.*)', line).groups()
    assert command.main([prompt, *options.split()]) == 0
    assert " ".join(capsys.readouterr().out.split()) == " ".join(story.split())


@pytest.mark.parametrize(("name", "line"), COMMANDS)
def test_command_in_a_readme_has_options_that_exist(name, line):
    parser = importlib.import_module(f"neo_np.{name}.command").build_parser()
    arguments = re.findall(r'"[^"]*"|\S+', line)
    parser.parse_args([argument.strip('"') for argument in arguments])


def test_readme_of_generate_names_every_option():
    text = READMES.get("neo_np/generate/README.md", READMES["README.md"])
    assert not [name for name in neo_np.Options.__dataclass_fields__ if f"`{name}`" not in text]


def test_readme_is_at_most_150_lines():
    assert len(READMES["README.md"].splitlines()) <= 150


@pytest.mark.parametrize("name", READMES)
def test_links_of_a_readme_lead_to_files(name):
    folder = (ROOT / name).parent
    for target in re.findall(r"\]\((?!http)([^)#]+)", READMES[name]):
        assert (folder / target).exists(), target
