"""Reading and writing files, and saying why a file cannot be read."""

import json
import os
import subprocess

import pytest

from neo_np import NeoError
from neo_np.files import decode_chunks, for_shell, is_there, open_file, read_json, read_text, write_json, write_text


@pytest.mark.parametrize("name", ["plain/path-1.txt", "with space", "$HOME", '"', "'", "\\", "`ls`", "a;b", "ü", "a\nb"])
def test_for_shell_gives_what_a_shell_reads_as_the_path(name):
    found = subprocess.run(["sh", "-c", f"printf %s {for_shell(name)}"], capture_output=True, text=True, check=True)
    assert found.stdout == name


def test_for_shell_of_a_simple_path_adds_nothing():
    assert for_shell("weights/gpt-neo-125M") == "weights/gpt-neo-125M"


@pytest.mark.parametrize("text", ["", "one\r\ntwo\n\nthree\r", "größe 🙂\u2028"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["no mark", "byte order mark"])
def test_read_text_gives_the_characters_without_the_byte_order_mark(tmp_path, text, mark):
    (tmp_path / "text").write_bytes(mark + text.encode("utf-8"))
    assert read_text(tmp_path / "text") == text


def test_read_text_of_another_encoding_names_the_byte(tmp_path):
    (tmp_path / "text").write_bytes("abc größe".encode("latin-1"))
    with pytest.raises(NeoError, match=r"text is not UTF-8 \(.* at byte 6\)"):
        read_text(tmp_path / "text")


def test_read_text_of_utf_16_says_what_it_is(tmp_path):
    """Windows PowerShell writes it when the output of a command goes into a file."""
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        mark = b"" if encoding == "utf-16" else "\ufeff".encode(encoding)
        (tmp_path / "text").write_bytes(mark + "größe".encode(encoding))
        with pytest.raises(NeoError, match=r"text is not UTF-8 \(it is UTF-16"):
            read_text(tmp_path / "text")


@pytest.mark.parametrize("size", [1, 2, 3, 100])
@pytest.mark.parametrize("text", ["", "\ufeff", "größe 🙂\ufeff", "\ufeff\ufeffa"])
def test_decode_chunks_of_any_size_give_the_text_without_the_first_mark(size, text):
    data = text.encode()
    chunks = [data[place : place + size] for place in range(0, len(data), size)]
    assert "".join(decode_chunks(chunks, "x")) == text.removeprefix("\ufeff")


@pytest.mark.parametrize("entries", [{}, {"größe": [1, None, 2.5]}, {"x": "\ud800"}])
def test_write_json_then_read_json_gives_the_same(tmp_path, entries):
    write_json(tmp_path / "file.json", entries)
    assert read_json(tmp_path / "file.json") == entries


def test_write_text_writes_line_feeds_and_utf_8(tmp_path):
    write_text(tmp_path / "text", "ü\n")
    assert (tmp_path / "text").read_bytes() == b"\xc3\xbc\n"


def test_read_json_with_a_byte_order_mark_reads_it(tmp_path):
    (tmp_path / "file.json").write_bytes(b"\xef\xbb\xbf" + json.dumps({"a": 1}).encode())
    assert read_json(tmp_path / "file.json") == {"a": 1}


UNREADABLE = {
    "missing": (lambda path: None, "cannot be read: No such file"),
    "folder": (lambda path: path.mkdir(), "is a folder"),
    "below a file": (lambda path: path.parent.rmdir() or path.parent.write_text("x"), "cannot be read: Not a directory"),
    "circle of links": (lambda path: path.symlink_to(path), "cannot be read: Too many"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "is no ordinary file"),
    "pipe": (lambda path: os.mkfifo(path), "is no ordinary file"),
    "pointer": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "is a pointer of Git LFS"),
}


@pytest.mark.skipif(os.name != "posix", reason="links, devices and pipes as Unix has them")
@pytest.mark.parametrize(("make", "reason"), UNREADABLE.values(), ids=UNREADABLE)
def test_open_file_of_what_cannot_be_read_says_why(tmp_path, make, reason):
    path = tmp_path / "inner" / "file"
    path.parent.mkdir()
    make(path)
    with pytest.raises(NeoError, match=f"^{path} {reason}[^\n]*$"):
        open_file(path)


@pytest.mark.parametrize("name", ["a\0b", "x" * 300])
def test_open_file_of_an_impossible_name_says_why(name):
    with pytest.raises(NeoError, match="cannot be read"):
        open_file(name)
    assert not is_there(name)


def test_open_file_begins_at_the_first_byte(tmp_path):
    (tmp_path / "file").write_bytes(b"version https://git-lfs")
    with open_file(tmp_path / "file") as opened:
        assert opened.read() == b"version https://git-lfs"
