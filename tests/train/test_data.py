"""Training data: the token file, by one process and by several, what can go wrong while writing it, random windows."""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from helpers import ROOT

from neo_np import NeoError, Tokenizer
from neo_np.tokenizer.byte_alphabet import BYTE_TO_CHAR
from neo_np.tokenizer.settings import Settings
from neo_np.train import data
from neo_np.train.data import load_tokens, random_windows, repeat_passages, tokenize_files

END = "<|endoftext|>"


@pytest.fixture
def files(tmp_path):
    """Two files, of three documents and of one, the last one long."""
    texts = [f"Once.\n{END}\nUpon a time\n{END}\n\nthere 日本 was\n", "a king and a queen, \n" * 300]
    for name, text in zip("ab", texts):
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8", newline="")
    return [tmp_path / "a.txt", tmp_path / "b.txt"]


@pytest.fixture
def small_pieces(monkeypatch):
    """Make a small text behave like a large one: pieces of 100 bytes, jobs of two or three pieces; processes for any text."""
    monkeypatch.setattr("neo_np.files.CHUNK", 100)
    monkeypatch.setattr("neo_np.train.data.JOB_SIZE", 250)
    monkeypatch.setattr("neo_np.train.data.WORTH_PROCESSES", 0)


def expected_tokens(tokenizer):
    documents = ["Once.", "Upon a time", "there 日本 was\n", "a king and a queen, \n" * 300]
    return [id for document in documents for id in tokenizer.encode(END + document)]


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_tokenize_files_puts_the_end_token_before_each_document(files, tales, tmp_path, small_pieces, processes):
    tokens = tokenize_files(files, tales.tokenizer, tmp_path / "tokens.npy", processes)
    assert tokens.tolist() == expected_tokens(tales.tokenizer)
    assert isinstance(tokens, np.memmap) and tokens.dtype == np.uint16
    np.testing.assert_array_equal(np.load(tmp_path / "tokens.npy"), tokens)  # NumPy's own reader
    assert sorted(os.listdir(tmp_path)) == ["a.txt", "b.txt", "tokens.npy"]


def test_tokenize_files_with_a_prefix_space_begins_only_documents_with_one(files, tales, tmp_path, small_pieces):
    """And the tokens that the checkpoint wants around each text are not there, neither at documents nor at pieces."""
    tables, end = tales.tokenizer, tales.tokenizer.special_tokens[END]
    settings = Settings(add_prefix_space=True, before=(end, end), after=(end,))
    tokenizer = Tokenizer(tables.vocab, tables.merges, settings=settings)
    tokens = tokenize_files(files, tokenizer, tmp_path / "tokens.npy")
    documents = [" Once.", " Upon a time", " there 日本 was\n", " a king and a queen, \n" + "a king and a queen, \n" * 299]
    assert tokens.tolist() == [id for document in documents for id in (end, *tables.encode(document))]


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_tokenize_files_with_any_start_method(files, tales, tmp_path, small_pieces, monkeypatch, method):
    context = multiprocessing.get_context(method)
    monkeypatch.setattr(multiprocessing, "Process", context.Process)
    tokens = tokenize_files(files, tales.tokenizer, tmp_path / "tokens.npy", 2)
    assert tokens.tolist() == expected_tokens(tales.tokenizer)


def test_tokenize_files_of_a_small_text_starts_no_process(files, tales, tmp_path, monkeypatch):
    monkeypatch.setattr(multiprocessing, "Process", None)
    assert len(tokenize_files(files, tales.tokenizer, tmp_path / "tokens.npy", 4))


def test_tokenize_files_holds_little_text_in_memory(files, tales, tmp_path, small_pieces, monkeypatch):
    """With two processes, no more than two jobs and the next one have been read and not yet been written."""
    jobs, read, written, ahead = data.jobs, [], [], []
    monkeypatch.setattr("neo_np.train.data.jobs", lambda files: (read.append(job) or job for job in jobs(files)))

    def on_progress(*call):
        ahead.append(len(read) - len(written))
        written.append(call)

    tokenize_files(files, tales.tokenizer, tmp_path / "tokens.npy", 2, on_progress)
    assert len(read) > 10 and max(ahead) <= 3


@pytest.mark.parametrize(("end_id", "dtype"), [(65_535, np.uint16), (65_536, np.uint32), (100_000, np.uint32)])
def test_tokenize_files_with_large_ids_uses_four_bytes(files, tmp_path, end_id, dtype):
    vocab = {char: byte for byte, char in BYTE_TO_CHAR.items()} | {END: end_id}
    tokens = tokenize_files(files, Tokenizer(vocab, []), tmp_path / "tokens.npy")
    assert tokens.dtype == dtype
    assert tokens[:4].tolist() == [end_id, *b"Onc"]


def test_tokenize_files_progress_rises_to_the_total(files, tales, tmp_path, small_pieces):
    calls = []
    tokenize_files(files, tales.tokenizer, tmp_path / "tokens.npy", 2, lambda *call: calls.append(call))
    total = sum(file.stat().st_size for file in files)
    done = [call[0] for call in calls]
    assert len(calls) > 10 and done == sorted(done) and 0 < done[0] < total / 10
    assert calls[-1] == (total, total) == (calls[0][1],) * 2
    assert total - done[-2] == 2 * len(END) + 5  # the two separators, with their line breaks


# What can go wrong


def assert_refused(message, tmp_path, *arguments):
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(NeoError, match=message):
        tokenize_files(*arguments)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("processes", [1, 2])
def test_tokenize_files_refuses_what_cannot_be_tokenized(files, tales, tmp_path, small_pieces, processes):
    out = tmp_path / "tokens.npy"
    (tmp_path / "blank.txt").write_text(f" \n{END}\n")
    (tmp_path / "latin.txt").write_bytes(b"Once upon a \xe9")
    (tmp_path / "old.npy").write_bytes(b"old")
    tokenizer = tales.tokenizer
    assert_refused("no text in .*blank.txt", tmp_path, [tmp_path / "blank.txt"], tokenizer, out, processes)
    assert_refused(
        "latin.txt is not UTF-8", tmp_path, [*files, tmp_path / "latin.txt"], tokenizer, tmp_path / "old.npy", processes
    )
    assert (tmp_path / "old.npy").read_bytes() == b"old"
    assert_refused("gone.txt cannot be read", tmp_path, [tmp_path / "gone.txt"], tokenizer, out, processes)
    assert_refused(
        "tokens.npy cannot be written: No such", tmp_path, files, tokenizer, tmp_path / "no" / "tokens.npy", processes
    )
    assert_refused("tokens.npy cannot be written: Not a", tmp_path, files, tokenizer, files[0] / "tokens.npy", processes)
    without_end = Tokenizer(tokenizer.vocab, tokenizer.merges, special_tokens={})
    assert_refused("no special token", tmp_path, files, without_end, out, processes)
    damaged = Tokenizer({char: byte for byte, char in BYTE_TO_CHAR.items()} | {END: 2**32}, [])
    assert_refused("the tokenizer has the id 4294967296", tmp_path, files, damaged, out, processes)
    assert_refused("processes must be at least 1", tmp_path, files, tokenizer, out, 0)


def test_tokenize_files_on_a_full_disk_is_refused(files, tales, tmp_path):
    """The system lets a file grow to 1,000 bytes: the failure of a write that has begun."""
    limits, action = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        assert_refused(
            "tokens.npy cannot be written: File too large", tmp_path, files, tales.tokenizer, tmp_path / "tokens.npy"
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, action)


def test_tokenize_files_with_a_killed_process_is_refused(files, tales, tmp_path, small_pieces):
    def kill(*_):
        max(multiprocessing.active_children(), key=lambda process: process.pid).kill()

    assert_refused("came to a sudden end", tmp_path, files, tales.tokenizer, tmp_path / "tokens.npy", 2, kill)
    assert not multiprocessing.active_children()


ENDLESS = """
import itertools, sys, neo_np
from neo_np.train import data
if __name__ == "__main__":
    data.WORTH_PROCESSES = 0
    data.jobs = lambda files: itertools.repeat([("Once upon a time", True)])
    data.tokenize_files([sys.argv[1]], neo_np.load().tokenizer, sys.argv[2], 2, lambda *_: print(flush=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["SIGINT", "SIGKILL"])
def test_tokenize_files_that_is_stopped_leaves_no_process(files, tmp_path, kind):
    """Ctrl-C goes to all processes of a terminal, and only one answers it; the others end with it, even if it is killed."""
    command = [sys.executable, "-c", ENDLESS, str(files[0]), str(tmp_path / "tokens.npy")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, start_new_session=True) as process:
        process.stdout.readline()
        if kind == "SIGINT":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.kill()
        errors = process.communicate(timeout=60)[1]  # ends when nobody holds the pipe any more
    assert errors.count("Traceback") == (kind == "SIGINT")
    assert os.path.exists(tmp_path / "tokens.npy.part") == (kind == "SIGKILL")


# Reading


def test_load_tokens_refuses_other_files(tmp_path):
    file = tmp_path / "tokens.npy"
    with pytest.raises(NeoError, match="cannot be read: No such file"):
        load_tokens(file)
    for content in (b"", b"Once upon a time", b"PK\x03\x04"):
        file.write_bytes(content)
        with pytest.raises(NeoError, match="is not a complete token file"):
            load_tokens(file)
    np.save(file, np.arange(1000, dtype=np.uint16))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(NeoError, match="is not a complete token file"):
        load_tokens(file)
    for array in (np.zeros(3), np.zeros((2, 2), np.uint16), np.zeros(3, np.int64), np.array([None])):
        np.save(file, array, allow_pickle=True)
        with pytest.raises(NeoError, match="is not"):
            load_tokens(file)


def test_random_windows_start_everywhere_equally_often():
    tokens = np.arange(100, 110, dtype=np.uint16)
    windows = random_windows(tokens, 7000, 4, np.random.default_rng(0))
    assert windows.shape == (7000, 4) and windows.dtype == np.int64
    np.testing.assert_array_equal(windows, windows[:, :1] + np.arange(4))
    starts, counts = np.unique(windows[:, 0], return_counts=True)
    assert starts.tolist() == [100, 101, 102, 103, 104, 105, 106]
    assert abs(counts - 1000).max() < 5 * 30  # five standard deviations
    np.testing.assert_array_equal(windows, random_windows(tokens, 7000, 4, np.random.default_rng(0)))
    assert random_windows(tokens, 2, 10, np.random.default_rng()).tolist() == [list(range(100, 110))] * 2


def test_random_windows_of_a_large_batch_take_little_more_memory_than_their_tokens():
    tokens, B, T = np.arange(100, dtype=np.uint16), 100_000, 4
    tracemalloc.start()
    random_windows(tokens, B, T, np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * B + 2 * (2 + 8) * B * T


def test_random_windows_of_too_few_tokens_are_refused():
    with pytest.raises(NeoError, match="10 tokens, and one window takes 11"):
        random_windows(np.arange(10), 1, 11, np.random.default_rng())


def shortest_period(row):
    """Return the smallest p with row[i] == row[i + p] for all i."""
    return next(p for p in range(1, len(row) + 1) if np.array_equal(row[p:], row[: len(row) - p]))


def test_repeat_passages_repeats_in_the_windows_themselves():
    """Half of the passages are the beginning of their window (ids below 500 here), the others are random ids."""
    rng, T = np.random.default_rng(0), 65
    before = rng.integers(500, size=(4000, T))
    windows = before.copy()
    repeat_passages(windows, 0.25, 1000, rng)
    changed = np.flatnonzero((windows != before).any(axis=1))
    assert abs(len(changed) - 1000) < 5 * np.sqrt(4000 * 0.25 * 0.75)  # five standard deviations
    periods = np.array([shortest_period(windows[row]) for row in changed])
    assert periods.min() == 4 and periods.max() == 21  # T / 3
    assert abs(np.mean(periods < 9) - 0.5) < 0.1  # the logarithm is uniform: half of them below sqrt(4 * 21)
    own = [np.array_equal(windows[row, :p], before[row, :p]) for row, p in zip(changed, periods)]
    assert abs(np.mean(own) - 0.5) < 0.1
    others = np.concatenate([windows[row, :p] for row, p, is_own in zip(changed, periods, own) if not is_own])
    assert others.min() < 20 and others.max() > 980 and abs(others.mean() - 500) < 20


@pytest.mark.parametrize(("share", "changed"), [(0.0, 0), (1.0, 50)])
def test_repeat_passages_of_none_and_of_all(share, changed):
    before = np.random.default_rng(0).integers(500, size=(50, 33))
    windows = before.copy()
    repeat_passages(windows, share, 500, np.random.default_rng(1))
    assert (windows != before).any(axis=1).sum() == changed
