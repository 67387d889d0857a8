"""The command `python -m neo_np.explain`."""

import os
import subprocess
import sys

import pytest
from explain_helpers import page_data
from helpers import ROOT, byte_model

import neo_np
from neo_np.explain import command
from neo_np.explain.command import is_small, main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A checkpoint of a small random model."""
    folder = tmp_path_factory.mktemp("checkpoint") / "bytes"
    neo_np.save(byte_model(), folder)
    return folder


def run(folder, *arguments):
    """Run the command on the small model and return its exit status."""
    return main(["abc", "--model", str(folder), "--max-new-tokens", "4", *arguments])


def test_command_writes_the_page_and_says_where(folder, tmp_path, capsys):
    file = tmp_path / "run.html"
    assert run(folder, "--out", str(file)) == 0
    out, err = capsys.readouterr()
    assert out.startswith(f"{file}: ") and out.count("\n") == 1 and err == ""
    assert page_data(file.read_text(encoding="utf-8"))["prompt_length"] == 3


def test_command_writes_what_the_call_returns(folder, tmp_path):
    run(folder, "--out", str(tmp_path / "run.html"), "--temperature", "0.5", "--top-k", "7", "--seed", "3", "--theme", "dark")
    expected = neo_np.load(folder), "abc"
    call = command.explain(*expected, max_new_tokens=4, temperature=0.5, top_k=7, seed=3, theme="dark")
    assert (tmp_path / "run.html").read_text(encoding="utf-8") == call.html()


def test_command_never_overwrites_without_force(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(folder) == 0
    before = (tmp_path / "run.html").read_bytes()
    assert run(folder, "--seed", "1") == 2
    assert "run.html is there already" in capsys.readouterr().err
    assert (tmp_path / "run.html").read_bytes() == before
    assert run(folder, "--seed", "1", "--force") == 0
    assert (tmp_path / "run.html").read_bytes() != before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--num-beams", "2", "--greedy"], "a page explains one sequence"),
        (["--slide"], "a page explains one sequence"),
        (["--prompt-lookup-num-tokens", "2"], "a page explains one sequence"),
        (["--open", "cellar"], "open begins with 'cellar'"),
        (["--out", "/nowhere/at/all.html"], "does not exist"),
        (["--theme", "blue"], "invalid choice: 'blue'"),
    ],
    ids=str,
)
def test_command_refuses_in_one_line(folder, tmp_path, capsys, monkeypatch, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    try:
        status = run(folder, *arguments)
    except SystemExit as stop:
        status = stop.code
    err = capsys.readouterr().err
    assert status == 2 and sentence in err and err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_command_takes_continuation_open_ablate_and_timings(folder, tmp_path):
    file = tmp_path / "a.html"
    options = ["--continuation", "def", "--open", "why,layer=1", "--no-ablate", "--timings", "--out", str(file)]
    assert run(folder, *options) == 0
    data = page_data(file.read_text(encoding="utf-8"))
    assert data["mode"] == "given" and data["text"] == "abcdef"
    assert data["opening"]["panel"] == "why" and data["opening"]["layer"] == 1
    assert "timings" in data and "ablation.m" not in data


def test_small_models_are_known_by_their_config(folder):
    assert is_small(folder) and is_small(None)
    assert not is_small(ROOT / "weights" / "gpt-neo-125M")
    assert not is_small("no-such-model")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no execve")
def test_command_of_a_small_model_runs_with_one_blas_thread(folder, tmp_path):
    """The process is replaced: the same process id, with the variables set."""
    code = (
        "import os, sys\n"
        "from neo_np.explain import command\n"
        "command.main = lambda: print(os.getpid(), os.environ.get('OPENBLAS_NUM_THREADS')) or 0\n"
        "print(os.getpid(), flush=True)\n"
        f"sys.argv = ['explain', 'abc', '--model', {str(folder)!r}]\n"
        "command.main_in_new_environment()"
    )
    variables = {name: value for name, value in os.environ.items() if name not in command.ONE_THREAD}
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=variables, capture_output=True, text=True, check=True)
    first, second, *rest = found.stdout.split()
    assert first == second and rest == [first, "1"]


def test_module_runs_as_a_command(folder, tmp_path):
    arguments = [
        "-m",
        "neo_np.explain",
        "-",
        "--model",
        str(folder),
        "--max-new-tokens",
        "3",
        "--out",
        str(tmp_path / "a.html"),
    ]
    found = subprocess.run([sys.executable, *arguments], cwd=ROOT, input="abc\n", capture_output=True, text=True)
    assert (found.returncode, found.stderr) == (0, "")
    assert "a.html: 6 tokens" in found.stdout
