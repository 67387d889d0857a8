"""The command `python -m neo_np.explain`."""

import os
import subprocess
import sys

import pytest
from explain_helpers import page_data
from helpers import ROOT, byte_model

import neo_np
from neo_np.explain import command
from neo_np.explain import run as explain_run
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


def test_command_on_a_full_disk_keeps_the_older_page(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(folder) == 0
    before = (tmp_path / "run.html").read_bytes()

    def fail(file, text):
        file.write_text(text[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(explain_run, "write_text", fail)
    for out in ("run.html", "other.html"):
        capsys.readouterr()
        assert run(folder, "--force", "--out", out) == 2
        assert capsys.readouterr().err == f"error: {out} cannot be written: No space left on device.\n"
    assert os.listdir(tmp_path) == ["run.html"] and (tmp_path / "run.html").read_bytes() == before


def test_command_replaces_what_a_link_names(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.html").touch()
    (tmp_path / "link.html").symlink_to("run.html")
    assert run(folder, "--force", "--out", "link.html") == 0
    assert (tmp_path / "link.html").is_symlink() and (tmp_path / "run.html").stat().st_size > 1000


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes in folders")
def test_command_never_writes_into_a_pipe(folder, tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    assert run(folder, "--force", "--out", str(tmp_path / "pipe")) == 2
    assert "pipe is a pipe: name a file" in capsys.readouterr().err


def test_command_without_permission_to_write_says_so_at_once(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert run(folder) == 2
    assert capsys.readouterr().err == "error: run.html cannot be written: permission denied. Choose another --out.\n"


@pytest.mark.parametrize("option", ["--max-new-tokens=3", "--seed=0", "--stop=a", "--max-length=9"])
def test_command_with_a_continuation_names_what_is_ignored(folder, tmp_path, capsys, monkeypatch, option):
    monkeypatch.chdir(tmp_path)
    assert run(folder, "--continuation", " a", option) == 0
    name = option.partition("=")[0]
    assert f"warning: {name} changes nothing here: the --continuation is given.\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--num-beams", "2", "--greedy"], "a page explains one text"),
        (["--slide"], "a page explains one text"),
        (["--prompt-lookup-num-tokens", "2"], "a page explains one text"),
        (["--num-assistant-tokens", "2"], "a page explains one text"),
        (["--open", "cellar"], "error: --open begins with 'cellar'"),
        (["--open", "why,layer=9"], "error: --open has layer=9"),
        (["--continuation", " " + "d" * 98], "prompt and continuation have 3 + 99 tokens"),
        (["--out", "/nowhere/at/all.html"], "does not exist"),
        (["--out", "."], ". is a folder: name a file"),
        (["--out", ".", "--force"], ". is a folder: name a file"),
        (["--out", ""], "argument --out: it is empty"),
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


@pytest.mark.parametrize("new", [["--max-new-tokens", "4"], ["--max-length", "900"], []], ids=str)
@pytest.mark.parametrize("length", [47, 48, 60])
def test_prompt_too_long_gets_advice_that_the_command_can_follow(folder, tmp_path, capsys, length, new):
    """The model has 48 positions."""
    status = main(["a" * length, "--model", str(folder), "--out", str(tmp_path / "a.html"), *new])
    err = capsys.readouterr().err
    if length == 47 and not new:
        assert (status, err) == (0, "")  # one token fits
    else:
        assert status == 2 and "positions" in err and "shorten the prompt" in err and "slide" not in err


def test_help_names_no_option_that_is_always_refused(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert "--temperature" in out and "--continuation" in out
    for refused in ("slide", "num-beams", "num-return", "lookup", "assistant", "speculative", "several texts"):
        assert refused not in out


@pytest.mark.parametrize(
    ("prompt", "continuation", "joined"),
    [
        ("a time", "there was", "a timethere was"),
        ("It ends.", "Then", "It ends.Then"),
        ("a time", " there", None),
        ("a time ", "there", None),
        ("a time", ", there", None),
        ("", "there", None),
        ("\u4ece\u524d", "\u6709", None),  # Chinese has no spaces
        ("a time", "", None),
    ],
)
def test_missing_space_before_a_continuation_is_said(folder, tmp_path, capsys, prompt, continuation, joined):
    arguments = ["--continuation", continuation, "--no-ablate", "--out", str(tmp_path / "a.html")]
    assert main([prompt, "--model", str(folder), *arguments]) == 0
    err = capsys.readouterr().err
    hint = f"warning: --continuation does not begin with a space, so the text reads '{joined}'"
    assert err.startswith(hint) if joined else err == ""


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
    variables = {name: value for name, value in os.environ.items() if name not in command.ONE_BLAS_THREAD}
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
