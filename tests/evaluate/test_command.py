"""The command `python -m neo_np.evaluate`: what it prints and what it refuses."""

import io
import json
import re
import sys

import pytest
from evaluate_helpers import ROOMY, small_model
from helpers import word_model

import neo_np
from neo_np.evaluate import command
from neo_np.evaluate.heads import evaluate_heads
from neo_np.evaluate.tasks import evaluate_choices, evaluate_lambada
from neo_np.evaluate.text import evaluate_text

MODEL = word_model()


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """The command, run in this process: arguments in; exit status, output and error output out."""
    monkeypatch.setattr(command, "load_for_text", lambda *names: MODEL)

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        try:
            status = command.main([str(argument) for argument in arguments])
        except SystemExit as leaving:  # argparse's way out
            status = leaving.code
        return status, *capsys.readouterr()

    return run


CHOICES = {"context": "The king", "choices": ["said", "wheelbarrow"], "label": 0}


def write_lines(file, lines):
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def as_table(result):
    shown = {int: "{:,}".format, float: "{:,.4f}".format, type(None): lambda _: "-"}
    return [[name, shown[type(value)](value)] for name, value in result.items()]


def test_text_command_prints_table_and_json(run, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/1.txt").write_text("The king\n<|endoftext|>\nThe queen said " + "no " * 400, encoding="utf-8")
    (tmp_path / "texts/2.txt").write_text("said nothing.", encoding="utf-8")
    expected = evaluate_text(MODEL, ["The king", "The queen said " + "no " * 400, "said nothing."], 64, 16)
    status, out, err = run("text", "texts/1.txt", "texts/2.txt", "--window", 64, "--stride", 16)
    assert ([line.split() for line in out.splitlines()], status, err) == (as_table(expected), 0, "")
    status, out, err = run("text", "texts", "--window", "64", "--stride", "16", "--batch-size", "1", "--json")
    found = json.loads(out)
    assert (status, err, found.pop("model")) == (0, "", repr(MODEL))
    assert found == pytest.approx(expected, rel=1e-6)


def test_lambada_command_prints_table(run, tmp_path):
    texts = ["The king said nothing", "Ünï cödé\u2028 x"]
    write_lines(tmp_path / "words.jsonl", [{"text": text, "more": [1]} for text in texts])
    status, out, err = run("lambada", "words.jsonl")
    assert (status, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == as_table(evaluate_lambada(MODEL, texts))


def test_choices_command_prints_table_and_json(run, tmp_path):
    (tmp_path / "q.jsonl").write_text("\ufeff" + json.dumps(CHOICES) + "\n\n", encoding="utf-8")
    status, out, err = run("choices", "q.jsonl", "--json", "--batch-size", 1)
    assert (status, err) == (0, "")
    assert json.loads(out) == {"model": repr(MODEL), **evaluate_choices(MODEL, [CHOICES])}
    status, out, _ = run("choices", "q.jsonl")
    assert [line.split() for line in out.splitlines()] == as_table(evaluate_choices(MODEL, [CHOICES]))


def test_heads_command_prints_table_and_json(run, monkeypatch):
    monkeypatch.setattr(command, "load", lambda *names: ROOMY)
    expected = evaluate_heads(ROOMY, seed=2)
    status, out, err = run("heads", "--seed", 2)
    assert (status, err) == (0, "")
    numbers, table = out.split("\n\n")
    heads = expected.pop("heads")
    assert [line.split() for line in numbers.splitlines()] == as_table(expected)
    titles, *lines = [line.split() for line in table.splitlines()]
    assert titles == "layer head attention previous induction first distance".split()
    for line, head in zip(lines, heads, strict=True):
        shown = [f"{value:.3f}" if isinstance(value, float) else str(value) for value in head.values()]
        assert line == shown
    status, out, err = run("heads", "--seed", 2, "--json")
    assert (status, err) == (0, "")
    assert json.loads(out) == {"model": repr(ROOMY), **expected, "heads": heads}


def test_heads_command_with_few_positions_says_so(run, monkeypatch):
    monkeypatch.setattr(command, "load", lambda *names: small_model())
    status, out, err = run("heads")
    assert status == 0 and out.splitlines()[1].split() == ["length", "15"]
    assert err == "warning: the model has only 32 positions: a copy has 15 tokens, not 64.\n"


def test_command_loads_model_and_tokenizer_by_name(run, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(command, "load_for_text", lambda *names: asked.append(names) or MODEL)
    write_lines(tmp_path / "q.jsonl", [CHOICES])
    run("choices", "q.jsonl", "--model", "some", "--tokenizer", "other")
    run("choices", "q.jsonl")
    assert asked == [("some", "other"), (None, None)]


@pytest.mark.parametrize(
    ("kind", "line", "expected"),
    [
        ("lambada", '{"text": "half', "is not JSON"),
        ("lambada", "[" * 100000, "is not JSON"),
        ("lambada", '{"txt": "a b"}', 'should be {"text": "..."}'),
        ("lambada", '"a b"', "should be"),
        ("lambada", "[]", "should be"),
        ("lambada", "3", "should be"),
        ("lambada", '{"text": 3}', "should be"),
        ("lambada", '{"text": ""}', "should be"),
        ("lambada", '{"text": "a \\ud800"}', "should be"),
        ("choices", json.dumps(CHOICES | {"label": 2}), "should be"),
        ("choices", json.dumps(CHOICES | {"label": -1}), "should be"),
        ("choices", json.dumps(CHOICES | {"label": True}), "should be"),
        ("choices", json.dumps(CHOICES | {"label": "0"}), "should be"),
        ("choices", json.dumps(CHOICES | {"choices": "ab"}), "should be"),
        ("choices", json.dumps(CHOICES | {"choices": ["a", 1]}), "should be"),
        ("choices", json.dumps(CHOICES | {"choices": ["a", ""]}), "should be"),
        ("choices", json.dumps(CHOICES | {"choices": []}), "should be"),
        ("choices", json.dumps(CHOICES | {"context": None}), "should be"),
        ("choices", '{"context": "a", "choices": ["a"]}', 'should be {"context": "...", "choices": ["...", ...], "label": 0}'),
    ],
)
def test_command_names_a_wrong_line(run, tmp_path, kind, line, expected):
    right = json.dumps({"text": "a b"} if kind == "lambada" else CHOICES)
    (tmp_path / "bad.jsonl").write_text(f"{right}\n\n{line}\n{right}\n", encoding="utf-8")
    status, out, err = run(kind, "bad.jsonl")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"error: bad.jsonl, line 3 {expected}")


def test_command_refuses_files_without_lines(run, tmp_path):
    (tmp_path / "empty.jsonl").write_text("\n", encoding="utf-8")
    (tmp_path / "latin.jsonl").write_bytes('{"text": "é"}'.encode("latin-1"))
    for arguments, expected in [
        (("lambada", "empty.jsonl"), 'empty.jsonl is empty: each line should be {"text": "..."}'),
        (("lambada", "latin.jsonl"), "latin.jsonl is not UTF-8 (invalid continuation byte at byte 10)"),
        (("choices", "none.jsonl"), "none.jsonl cannot be read"),
        (("text", "none.txt"), "none.txt does not exist"),
    ]:
        status, out, err = run(*arguments)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"error: {expected}")


def test_command_with_wrong_arguments_prints_one_line(run, tmp_path):
    write_lines(tmp_path / "q.jsonl", [CHOICES])
    for arguments in [(), ("nothing",), ("text",), ("lambada",), ("choices", "q.jsonl", "--batch-size", 0)]:
        status, out, err = run(*arguments)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert err.startswith("error: ")


def test_help_defines_the_numbers(run):
    for kind, words in [
        ("text", "UTF-8 bytes"),
        ("lambada", "last space"),
        ("choices", "per character"),
        ("heads", "2209.11895"),
    ]:
        status, out, _ = run(kind, "--help")
        assert status == 0
        assert words in " ".join(out.split())


def test_command_shows_progress(run, tmp_path, monkeypatch):
    write_lines(tmp_path / "q.jsonl", [CHOICES] * 3)
    assert run("choices", "q.jsonl", "--batch-size", 4)[2] == ""
    shown = io.StringIO()
    shown.isatty = lambda: True
    shown.reconfigure = lambda **options: None
    monkeypatch.setattr(sys, "stderr", shown)
    assert run("choices", "q.jsonl", "--batch-size", 4)[0] == 0
    assert "evaluating" in shown.getvalue() and "100%" in shown.getvalue()


@pytest.mark.parametrize("kind", ["text", "lambada", "choices", "heads"])
def test_help_shows_each_default_and_two_examples_that_parse(run, kind):
    parser = command.build_parser()
    kinds = next(action for action in parser._actions if action.choices)
    for action in kinds.choices[kind]._actions:
        assert not action.option_strings or action.dest == "help" or "(default: " in action.help, action.dest
    _, out, _ = run(kind, "--help")
    examples = re.findall(r"^  python -m neo_np\.evaluate (.*)$", out, re.M)
    assert len(examples) == 2 and [parser.parse_args(example.split()).kind for example in examples] == [kind] * 2


def test_command_names_its_options_in_errors(run, tmp_path):
    (tmp_path / "a.txt").write_text("The king said nothing.")
    assert run("text", "a.txt", "--window", 9999)[2].startswith("error: --window is 9999, and it must be ")
    assert run("text", "a.txt", "--window", 8, "--stride", 9)[2].startswith("error: --stride is 9, and it must be ")
    assert "did you mean --stride?" in run("text", "a.txt", "--strid", 9)[2]


def test_command_on_a_checkpoint_without_tokenizer_evaluates_heads_and_refuses_texts(monkeypatch, capsys, tmp_path):
    neo_np.save(small_model(tokenizer=None), tmp_path / "bare")
    (tmp_path / "text.txt").write_text("a text")
    assert command.main(["heads", "--model", str(tmp_path / "bare"), "--json"]) == 0
    assert "--tokenizer FOLDER" in capsys.readouterr().err
    assert command.main(["text", "--model", str(tmp_path / "bare"), str(tmp_path / "text.txt")]) == 2
    assert re.fullmatch(r"error: \S+ holds no tokenizer .* --tokenizer FOLDER .*\n", capsys.readouterr().err)
