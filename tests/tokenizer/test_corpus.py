"""Reading text: which files, where documents end, and that cutting a text into pieces changes no token."""

import os
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import neo_np.files
from neo_np import NeoError
from neo_np.tokenizer.corpus import documents, read_pieces, text_files

END = "<|endoftext|>"
SPACES = "".join(map(chr, range(0x2000, 0x200B))) + " \n\r\t\v\f\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000"
SPICE = [END, END, END[:7], END[7:], f"\n{END}\n", "\n", "\r\n", "\r", " ", "  ", "\t", "\xa0", "\u3000", "\x1c", "\x85"]
SPICE += ["Once upon", "don't", " 's", "42", "...", "é", "日本", "\u0301", "😀", "\ufeff", "\x00"]
TEXTS = st.lists(st.sampled_from(SPICE) | st.text(max_size=4), max_size=20).map("".join)


@pytest.fixture(scope="module")
def write(tmp_path_factory):
    file = tmp_path_factory.mktemp("corpus") / "text.txt"

    def write(text):
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        return file

    return write


@pytest.fixture
def tiny_chunks(monkeypatch):
    return lambda size: monkeypatch.setattr(neo_np.files, "CHUNK", size)


def slow_documents(text):
    """Cut at every separator, take the line breaks beside it away, leave out what is blank."""
    parts = text.removeprefix("\ufeff").split(END)
    for i in range(len(parts)):
        if i > 0:
            parts[i] = parts[i].lstrip("\r\n")
        if i < len(parts) - 1:
            parts[i] = parts[i].rstrip("\r\n")
    return [part for part in parts if part.strip(SPACES)]


@given(TEXTS, st.integers(1, 12) | st.just(2**20))
@example(f"a\n{END}\r\n\nb", 1)  # line breaks that come after the separator
def test_documents_any_text_are_what_is_between_separators(write, text, chunk):
    file = write(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neo_np.files, "CHUNK", chunk)
        assert list(documents(file)) == slow_documents(text)


@given(TEXTS, st.integers(1, 12))
def test_read_pieces_any_text_has_the_tokens_of_its_documents(write, gpt2_tokenizer, text, chunk):
    file = write(text)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neo_np.files, "CHUNK", chunk)
        for piece, starts in read_pieces(file):
            if starts:
                found.append([])
            found[-1] += gpt2_tokenizer.encode(piece)
    assert found == [gpt2_tokenizer.encode(document) for document in slow_documents(text)]


def test_documents_of_a_corpus_file_have_no_layout(write):
    file = write(f"one,\n\ntwo\n{END}\nthree\n{END}\n{END}\n \n{END}four\n")
    assert list(documents(file)) == ["one,\n\ntwo", "three", "four\n"]


def test_documents_text_without_separator_is_one_document(write):
    text = "\n\n  Title\r\n\r\nwords\rmore\n\n"
    assert list(documents(write(text))) == [text]
    assert list(documents(write(b"\xef\xbb\xbf" + text.encode()))) == [text]
    assert list(documents(write("a\ufeffb"))) == ["a\ufeffb"]


@pytest.mark.parametrize("text", ["", "\n \n", f"{END}", f"\n{END}\n{END} \n", "\ufeff"])
def test_documents_blank_text_has_none(write, text):
    assert list(documents(write(text))) == []


def test_read_pieces_long_document_comes_in_small_pieces(write, tiny_chunks):
    tiny_chunks(100)
    text = "Once upon a time there was a king. " * 1000
    pieces = list(read_pieces(write(text)))
    assert "".join(piece for piece, _ in pieces) == text
    assert max(len(piece) for piece, _ in pieces) < 200
    assert [starts for _, starts in pieces] == [True] + [False] * (len(pieces) - 1)


@pytest.mark.parametrize("chunk", [1, 3, 5, 2**20])
@pytest.mark.parametrize("before", ["", "abc", "\ufeff日本 ", "é" * 10])
@pytest.mark.parametrize("broken", [b"\xff", b"\xe6\x97", b"\xed\xa0\x80", b"\x80"])
@pytest.mark.parametrize("after", ["", " and more"])
def test_documents_not_utf8_raises_with_its_place(write, tiny_chunks, chunk, before, broken, after):
    tiny_chunks(chunk)
    file = write(before.encode() + broken + after.encode())
    with pytest.raises(NeoError, match=re.escape(f"{file} is not UTF-8") + rf".* at byte {len(before.encode())}\)"):
        list(documents(file))


def test_documents_missing_file_raises_with_its_name(tmp_path):
    with pytest.raises(NeoError, match=r"gone\.txt cannot be read: No such file"):
        list(documents(tmp_path / "gone.txt"))


# Which files


def test_text_files_folder_means_the_text_files_in_it(tmp_path, monkeypatch):
    for name in ("b/2.txt", "b/1.txt", "b/a/3.txt", "b/notes.md", "c.md", "a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    (tmp_path / "b" / "folder.txt").mkdir()
    names = ["b/1.txt", "b/2.txt", "b/a/3.txt"]
    assert text_files(tmp_path / "b") == [tmp_path / name for name in names]
    assert text_files(str(tmp_path)) == [tmp_path / name for name in ["a.txt", *names]]
    assert text_files([tmp_path / "c.md", str(tmp_path / "b")]) == [tmp_path / name for name in ["c.md", *names]]
    (tmp_path / "many").mkdir()
    many = [tmp_path / "many" / f"{letter}.txt" for letter in "abcdefghijklmnop"]
    for file in (*many[1::2], *many[-2::-2]):
        file.write_text("text")
    assert text_files(tmp_path / "many") == many
    (tmp_path / "windows").mkdir()
    (tmp_path / "windows" / "NOTES.TXT").write_text("text")
    assert text_files(tmp_path / "windows") == [tmp_path / "windows" / "NOTES.TXT"]
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert text_files("~/c.md") == [tmp_path / "c.md"]


def test_text_files_leave_out_runs_and_checkpoints(tmp_path):
    """A run may write into the folder of the text: the merges.txt of its checkpoints is no text."""
    run, checkpoint, parts = tmp_path / "runs" / "mine", tmp_path / "model", tmp_path / "runs" / "mine" / ".step-9.part"
    for folder in (run / "step-8", checkpoint, parts, tmp_path / "texts"):
        folder.mkdir(parents=True)
        (folder / "merges.txt").write_text("t h")
    for file in (run / "train.npy", run / "log.jsonl", run / "step-8" / "config.json", checkpoint / "config.json"):
        file.write_text("{}")
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "config.json").write_text("{}")  # a config without weights is no checkpoint
    assert text_files(tmp_path) == [tmp_path / "a.txt", tmp_path / "texts" / "merges.txt"]
    (run / "train.npy").unlink()  # to save space; its checkpoints stay checkpoints
    parts.rename(run / "other")
    assert text_files(run) == [run / "other" / "merges.txt"]
    for folder in (checkpoint, run / "step-8"):
        with pytest.raises(NeoError, match=r"holds no \*\.txt file"):
            text_files(folder)
    assert text_files(run / "step-8" / "merges.txt") == [run / "step-8" / "merges.txt"]  # a file that is named is read


def test_text_files_path_without_text_raises_with_its_name(tmp_path):
    (tmp_path / "empty").mkdir()
    for paths, message in [
        (tmp_path / "gone", "gone does not exist"),
        ([tmp_path / "empty"], r"empty holds no \*.txt file"),
        (os.devnull, "is no ordinary file"),
        ("https://example.org/a.txt", "^https://example.org/a.txt is an address"),
        ([], "no text files were named"),
    ]:
        with pytest.raises(NeoError, match=message):
            text_files(paths)
