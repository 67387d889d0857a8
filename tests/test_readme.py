"""What the README shows is what happens."""

import re
from pathlib import Path

import pytest

import neo_np
from neo_np.bench import command as bench
from neo_np.evaluate import command as evaluate
from neo_np.generate import command
from neo_np.train import command as train

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")


def test_the_python_lines_run_and_give_what_their_comments_say(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    code = "".join(re.findall(r"```python\n(.*?)```", README, re.S))
    names = {}
    exec(code, names)
    [(text, ids)] = re.findall(r"encode\((.*?)\) +# (\[.*\])", code)
    assert names["model"].tokenizer.encode(eval(text)) == eval(ids)
    shapes = [names["logits"].shape, names["seen"]["h.1.attn.weights"].shape]
    shapes += [names["gradients"]["h.0.attn.attention.q_proj.weight"].shape]
    assert [eval(shape) for shape in re.findall(r"# (\(.*?\)):", code)] == shapes
    assert repr(neo_np.load(tmp_path / "weights" / "mine")) == repr(names["model"])


def test_the_story_it_opens_with_is_what_the_command_writes(capsys):
    [(line, story)] = re.findall(r"```text\n\$ python -m neo_np.generate (.*?)\n(.*?)```", README, re.S)
    prompt, options = re.fullmatch(r'"(.*?)" (.*)', line).groups()
    assert command.main([prompt, *options.split()]) == 0
    assert " ".join(capsys.readouterr().out.split()) == " ".join(story.split())


PARSERS = {"generate": command, "train": train, "evaluate": evaluate, "bench": bench}


@pytest.mark.parametrize(("name", "line"), re.findall(r"python -m neo_np\.(\w+)(?![\w`])([^\n#`]*)", README))
def test_every_command_has_options_that_exist(name, line):
    arguments = re.findall(r'"[^"]*"|\S+', line)
    PARSERS[name].build_parser().parse_args([argument.strip('"') for argument in arguments])


def test_the_map_names_every_file():
    package = Path(neo_np.__file__).parent
    [the_map] = re.findall(r"## A map of the code\n(.*?)\n## ", README, re.S)
    assert sorted(re.findall(r"\(neo_np/([\w/]+\.py)\)", the_map)) == sorted(
        file.relative_to(package).as_posix() for file in package.rglob("*.py") if file.name != "__init__.py"
    )


def test_every_option_of_generate_is_named():
    assert all(f"`{name}`" in README for name in neo_np.Options.__dataclass_fields__)
