"""Finding checkpoints: folders, the weights folder, the local Hugging Face cache, the hub."""

import fnmatch
import os
import re
import shutil
import sys
import types
from pathlib import Path

import pytest

from neo_np import NeoError
from neo_np.folders import find
from neo_np.folders.find import DEFAULT_CHECKPOINT, find_checkpoint, how_to_get_weights

NAME = "EleutherAI/gpt-neo-125M"
TABLES = ["vocab.json", "merges.txt"]
COMPLETE = ["config.json", *TABLES, "model.safetensors"]


@pytest.fixture(autouse=True)
def no_network(tmp_path, monkeypatch):
    """An empty machine: no weights/, no cache, no huggingface_hub, all below tmp_path."""
    for variable in ("HF_HOME", "HF_HUB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))  # where Windows looks
    monkeypatch.setattr(find, "WEIGHTS_FOLDER", tmp_path / "weights")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def downloads(tmp_path, monkeypatch):
    """A huggingface_hub that notes down what it is asked for, and "downloads" it to tmp_path/downloaded."""
    calls = []

    def snapshot_download(name, allow_patterns=None, **others):
        calls.append((name, allow_patterns))
        return str(make(tmp_path / "downloaded"))

    module = types.ModuleType("huggingface_hub")
    module.snapshot_download = snapshot_download
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return calls


def make(folder, files=COMPLETE):
    """Make a folder with files of these names (find_checkpoint does not look into them) and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in files:
        (folder / name).write_text("{}")
    return folder


def make_cached(name=NAME, files=COMPLETE, commit="0123abc", main="0123abc", cache="home/.cache/huggingface/hub"):
    """Make a snapshot in a Hugging Face cache, links to blobs as it has them, and return its folder."""
    repository = Path(cache).absolute() / f"models--{name.replace('/', '--')}"
    make(repository / "blobs", [f"blob of {file}" for file in files])
    snapshot = make(repository / "snapshots" / commit, [])
    for file in files:
        (snapshot / file).unlink(missing_ok=True)
        (snapshot / file).symlink_to(repository / "blobs" / f"blob of {file}")
    if main:
        (make(repository / "refs", []) / "main").write_text(main)
    return snapshot


def test_find_without_a_name_gives_the_default_checkpoint(tmp_path):
    assert make(tmp_path / "weights" / DEFAULT_CHECKPOINT) == find_checkpoint()


@pytest.mark.parametrize("convert", [str, Path])
def test_find_of_a_folder_gives_it(tmp_path, convert):
    folder = make(tmp_path / "home" / "mine")
    assert find_checkpoint(convert(folder)) == folder
    assert find_checkpoint(convert("home/mine")).resolve() == folder
    assert find_checkpoint(convert("~/mine")) == folder


@pytest.mark.parametrize("name", ["mine", "MINE", "someone/Mine"])
def test_find_of_a_name_in_the_weights_folder_ignores_case(tmp_path, name):
    assert make(tmp_path / "weights" / "Mine") == find_checkpoint(name)


@pytest.mark.parametrize("name", [NAME, NAME.lower(), NAME.upper()])
def test_find_of_a_hub_name_ignores_case_in_weights_and_cache(tmp_path, name):
    cached = make_cached()
    assert find_checkpoint(name) == cached
    assert find_checkpoint(name) == cached  # and looking leaves no trace
    shipped = make(tmp_path / "weights" / "gpt-neo-125M", ["config.json", *TABLES])
    assert find_checkpoint(name) == cached  # what ships there has no weights yet
    assert find_checkpoint(name, weights_wanted=False) == shipped
    make(shipped)
    assert find_checkpoint(name) == shipped


def test_find_of_another_owner_does_not_give_what_ships(tmp_path):
    make(tmp_path / "weights" / "gpt-neo-125M")
    assert make_cached("someone/gpt-neo-125M") == find_checkpoint("someone/gpt-neo-125M")


def test_find_looks_in_folder_weights_cache_and_hub_in_this_order(tmp_path, downloads):
    make_cached(files=["config.json"])  # begun and not finished: no weights
    assert find_checkpoint(NAME) == tmp_path / "downloaded"
    cached = make_cached()
    assert find_checkpoint(NAME) == cached
    in_weights = make(tmp_path / "weights" / "gpt-neo-125M")
    assert find_checkpoint(NAME) == in_weights
    make(tmp_path / NAME)
    assert find_checkpoint(NAME) == Path(NAME)
    assert len(downloads) == 1


@pytest.mark.parametrize(
    ("environment", "cache"),
    [
        ({}, "home/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "{tmp}/xdg"}, "xdg/huggingface/hub"),
        ({"XDG_CACHE_HOME": "{tmp}/xdg", "HF_HOME": "{tmp}/hf"}, "hf/hub"),
        ({"HF_HOME": "~/hf"}, "home/hf/hub"),
        ({"HF_HOME": "{tmp}/hf", "HF_HUB_CACHE": "{tmp}/cache"}, "cache"),
    ],
)
def test_find_with_environment_variables_looks_in_that_cache(tmp_path, monkeypatch, environment, cache):
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value.format(tmp=tmp_path))
    assert make_cached(cache=cache) == find_checkpoint(NAME)


def test_find_of_several_snapshots_takes_main_else_the_newest():
    old, main, new = (make_cached(commit=commit, main="main-commit") for commit in ("old", "main-commit", "new"))
    for age, snapshot in enumerate((new, main, old)):
        os.utime(snapshot, (10**9 - age, 10**9 - age))
    assert find_checkpoint(NAME) == main
    reference = main.parent.parent / "refs" / "main"
    reference.write_text("gone\n")
    assert find_checkpoint(NAME) == new
    reference.unlink()
    assert find_checkpoint(NAME) == new
    (new / "config.json").unlink()
    assert find_checkpoint(NAME) == main


DAMAGED_CACHES = {
    "no snapshots": lambda repository: shutil.rmtree(repository / "snapshots"),
    "snapshots is a file": lambda repository: (
        shutil.rmtree(repository / "snapshots") or (repository / "snapshots").write_text("")
    ),
    "main is no text": lambda repository: (repository / "refs" / "main").write_bytes(b"\xff\xfe"),
    "main is a folder": lambda repository: (repository / "refs" / "main").unlink() or (repository / "refs" / "main").mkdir(),
    "main has a zero byte": lambda repository: (repository / "refs" / "main").write_bytes(b"a\0b"),
}


@pytest.mark.parametrize("damage", DAMAGED_CACHES.values(), ids=DAMAGED_CACHES)
def test_find_in_a_damaged_cache_finds_a_snapshot_or_names_all_places(damage):
    snapshot = make_cached()
    damage(snapshot.parent.parent)
    try:
        assert find_checkpoint(NAME) == snapshot
    except NeoError as error:
        assert re.search(rf"no checkpoint '{NAME}'.*huggingface.hub", str(error))


def test_find_with_an_unreadable_cache_names_all_places(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file" / "below"))
    (tmp_path / "file").write_text("")
    with pytest.raises(NeoError, match=r"no checkpoint 'someone/else'"):
        find_checkpoint("someone/else")


def test_load_of_gpt_neo_from_an_installed_package_advises_its_whole_name(tmp_path, monkeypatch):
    """The folder of an installed package is no place for 500 MB."""
    make(tmp_path / "weights" / "gpt-neo-125M", ["config.json", *TABLES])
    monkeypatch.setattr(find, "INSTALLED_WEIGHTS", tmp_path / "weights")
    sentence = how_to_get_weights(find_checkpoint("gpt-neo-125M"))
    assert f"whole name, {NAME}" in sentence and "hf download" not in sentence


ON_THE_HUB = """
.gitattributes README.md config.json flax_model.msgpack generation_config.json merges.txt model.safetensors tf_model.h5
pytorch_model.bin rust_model.ot special_tokens_map.json tokenizer.json tokenizer_config.json vocab.json added_tokens.json
model-00001-of-00002.safetensors model-00002-of-00002.safetensors model.safetensors.index.json model.fp16.safetensors
onnx/model.onnx chat_template.jinja additional_chat_templates/tool.jinja
""".split()
TO_LOAD = (
    "config.json generation_config.json merges.txt vocab.json tokenizer.json tokenizer_config.json special_tokens_map.json "
    "added_tokens.json chat_template.jinja additional_chat_templates/tool.jinja"
).split()
WEIGHTS = [name for name in ON_THE_HUB if re.fullmatch(r"model(-\d+-of-\d+)?\.safetensors(\.index\.json)?", name)]


@pytest.mark.parametrize(("weights_wanted", "expected"), [(True, TO_LOAD + WEIGHTS), (False, TO_LOAD)])
def test_download_asks_for_the_files_needed_only(tmp_path, downloads, weights_wanted, expected):
    assert find_checkpoint("someone/else", weights_wanted) == tmp_path / "downloaded"
    [(name, patterns)] = downloads
    assert name == "someone/else"
    asked = [file for file in ON_THE_HUB if any(fnmatch.fnmatchcase(file, pattern) for pattern in patterns)]
    assert sorted(asked) == sorted(expected)


@pytest.mark.parametrize("address", ["https://huggingface.co/some.one/else-2", "https://hf.co/some.one/else-2/tree/main"])
def test_find_by_the_address_of_a_page_names_the_model(downloads, address):
    with pytest.raises(NeoError, match=r"is the address of a page: give only the name of the model, 'some.one/else-2'\."):
        find_checkpoint(address)


def test_find_of_a_path_that_looks_like_a_name_says_how_names_are_given(downloads):
    with pytest.raises(NeoError, match=r"a name on the hub is given as a str\."):
        find_checkpoint(Path("someone/else"))


def test_find_of_a_name_that_ends_in_a_slash_is_the_name(tmp_path, downloads):
    assert find_checkpoint("someone/else/") == tmp_path / "downloaded"
    assert downloads[0][0] == "someone/else"


@pytest.mark.parametrize(
    "name", ["else", Path("someone/else"), "a/b/c", "https://huggingface.co/a/b", "C:\\a/b", "../b", "a b/c"]
)
def test_find_of_what_is_no_hub_name_does_not_download(downloads, name):
    with pytest.raises(NeoError, match=re.escape(repr(str(name)))):
        find_checkpoint(name)
    assert not downloads


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (OSError("We couldn't connect to 'https://huggingface.co'\nCheck your connection."), "We couldn't connect to"),
        (ValueError("  \n404 Client Error.\n\nRepository Not Found"), "404 Client Error"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_download_that_fails_is_one_sentence(downloads, monkeypatch, failure, reason):
    def fail(*_, **__):
        raise failure

    monkeypatch.setattr(sys.modules["huggingface_hub"], "snapshot_download", fail)
    with pytest.raises(NeoError, match=f"^'someone/else' .*could not be downloaded.*{reason}[^\n]*$"):
        find_checkpoint("someone/else")


def test_download_stopped_by_ctrl_c_ends(downloads, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["huggingface_hub"], "snapshot_download", interrupt)
    with pytest.raises(KeyboardInterrupt):
        find_checkpoint("someone/else")


def test_find_of_what_is_nowhere_names_all_places(tmp_path):
    make(tmp_path / "weights" / "this")
    make(tmp_path / "weights" / "that")
    for name in ("nonsense", "someone/nonsense"):
        with pytest.raises(NeoError, match=f"'{name}'.*weights.*that, this.*huggingface.hub") as caught:
            find_checkpoint(name)
        assert ("pip install huggingface_hub" in str(caught.value)) == ("/" in name)


def test_find_of_an_unfinished_download_gives_its_folder(tmp_path):
    assert make_cached(files=["config.json"]) == find_checkpoint(NAME)
    assert make(tmp_path / "weights" / "gpt-neo-125M", ["config.json"]) == find_checkpoint(NAME)


def test_find_of_a_lora_adapter_says_how_to_merge_it(tmp_path):
    make(tmp_path / "adapter", ["adapter_config.json", "adapter_model.safetensors", *TABLES])
    with pytest.raises(NeoError, match=r"adapter holds no checkpoint: it is a LoRA adapter.*merge_and_unload"):
        find_checkpoint(tmp_path / "adapter")
    assert find_checkpoint(tmp_path / "adapter", weights_wanted=False) == tmp_path / "adapter"
    make(tmp_path / "adapter", COMPLETE)  # peft writes adapters beside a model too
    assert find_checkpoint(tmp_path / "adapter") == tmp_path / "adapter"


def test_find_of_the_folder_of_transformers_trainer_names_its_newest_checkpoint(tmp_path):
    for step in (500, 1500, 1000):
        make(tmp_path / "out" / f"checkpoint-{step}", COMPLETE)
    (tmp_path / "out" / "checkpoint-2000").mkdir()  # not complete
    with pytest.raises(NeoError, match=r"its newest checkpoint is \S+checkpoint-1500\.$"):
        find_checkpoint(tmp_path / "out")


def test_find_of_a_file_names_its_folder(tmp_path):
    file = make(tmp_path / "mine") / "model.safetensors"
    with pytest.raises(NeoError, match=f"{re.escape(str(file))} is a file.*did you mean {re.escape(str(file.parent))}\\?"):
        find_checkpoint(file)


def test_find_of_a_file_in_no_checkpoint_suggests_nothing(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(NeoError, match=r"notes\.txt is a file, and a checkpoint is a folder\.$"):
        find_checkpoint(tmp_path / "notes.txt")


def test_find_of_a_deleted_step_names_the_newest_and_does_not_download(downloads, tmp_path, monkeypatch):
    """run/step-4 could be a name on the hub."""
    make(tmp_path / "run" / "step-8")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NeoError, match=f"there is no run/step-4: .*{re.escape(str(Path('run/step-8')))}"):
        find_checkpoint("run/step-4")
    assert not downloads


@pytest.mark.parametrize("name", ["", b"bytes", 5, [], {}, ["a/b"], True])
def test_find_of_what_is_no_name_is_refused(name):
    with pytest.raises(NeoError, match=f"folder.*{re.escape(repr(name))}"):
        find_checkpoint(name)


NONSENSE = {
    "zero byte": "\0",
    "surrogate": "\ud800",
    "unknown user": "~nobody-of-this-name/x",
    "no name": "someone/",
    "no owner": "/nonsense",
    "two lines": "a\nb",
    "a text": "Once upon a time " * 40,
    "a long owner": "a" * 300 + "/b",
}


@pytest.mark.parametrize("name", NONSENSE.values(), ids=NONSENSE)
def test_find_of_nonsense_is_one_sentence(name):
    with pytest.raises(NeoError, match=r"^[^\n]*$"):
        find_checkpoint(name)
    with pytest.raises(NeoError, match=r"^[^\n]*$"):
        find_checkpoint(Path(name))
