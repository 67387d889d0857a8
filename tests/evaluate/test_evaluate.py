"""Evaluation: each number against a slow, obvious loop over single tokens, and what the command prints and refuses."""

import io
import json
import math
import statistics
import sys
import tracemalloc

import numpy as np
import pytest
from helpers import random_model
from hypothesis import given
from hypothesis import strategies as st

import neo_np
from neo_np import NeoError, Tokenizer
from neo_np.evaluate import command as evaluate
from neo_np.evaluate import likelihood
from neo_np.evaluate.likelihood import continuation_row, log_likelihoods
from neo_np.evaluate.tasks import evaluate_choices, evaluate_lambada
from neo_np.evaluate.text import evaluate_text, text_windows
from neo_np.tokenizer.byte_alphabet import BYTE_TO_CHAR
from neo_np.tokenizer.special_tokens import END_OF_TEXT

# Bytes, two merged tokens and the end of text, so that tokens, characters and bytes are three different lengths.
VOCAB = {char: byte for byte, char in BYTE_TO_CHAR.items()} | {"th": 256, "the": 257, END_OF_TEXT: 258}
TOKENIZER = Tokenizer(VOCAB, [("t", "h"), ("th", "e")])
END = VOCAB[END_OF_TEXT]
DOCUMENTS = ["the thé of the house, " * 5, "thé", "then there was " * 3, "x", ""]


def small_model(**changes):
    """Return a random model in float64, so that only rounding of no account tells batches from each other."""
    entries = {"vocab_size": 259, "bos_token_id": END, "eos_token_id": END, "dtype": np.float64, "tokenizer": TOKENIZER}
    return random_model(**entries | changes)


MODEL = small_model(std=0.3)
NO_BEGIN = small_model(std=0.3, bos_token_id=None, eos_token_id=None)


def token_log_probability(model, before, id):
    """Return log p(id | the ids before it), from the logits of the last position alone."""
    logits = model.logits(np.array(before))[-1].astype(float)
    return logits[id] - math.log(np.exp(logits - logits.max()).sum()) - logits.max()


def slow_continuation(model, ids, scored):
    """Return (log-likelihood, greedy) of the last `scored` ids, token by token."""
    ids = ids[-model.config.max_position_embeddings - 1 :]
    places = range(len(ids) - scored, len(ids))
    greedy = all(model.logits(np.array(ids[:t]))[-1].argmax() == ids[t] for t in places)
    return sum(token_log_probability(model, ids[:t], ids[t]) for t in places), greedy


def slow_text(model, ids, window, stride):
    """Return the log-likelihood of all ids but the first: each by the first window that ends at it or later."""
    total, ends = 0.0, [*range(window, len(ids) - 1, stride), len(ids) - 1]
    for t in range(1, len(ids)):
        end = next(end for end in ends if end >= t)
        total += token_log_probability(model, ids[max(0, end - window) : t], ids[t])
    return total


# Log-likelihoods


def test_log_likelihoods_equal_single_tokens_in_every_batch_size():
    rng = np.random.default_rng(0)
    lengths = [(2, 1), (33, 32), (9, 3), (33, 1), (50, 20), (80, 32), (9, 8), (2, 1), (20, 5)]
    rows = [(rng.integers(259, size=length).tolist(), scored) for length, scored in lengths]
    for ids, scored in rows[6:]:  # what the model itself would write, so that greedy is not always False
        for t in range(len(ids) - scored, len(ids)):
            ids[t] = int(MODEL.logits(ids[:t])[-1].argmax())
    expected = [slow_continuation(MODEL, *row) for row in rows]
    assert [greedy for _, greedy in expected] == [False] * 6 + [True] * 3
    for batch_size in (1, 2, 4, 100):
        found = log_likelihoods(MODEL, rows, batch_size)
        np.testing.assert_allclose([score for score, _ in found], [score for score, _ in expected], rtol=1e-12)
        assert [greedy for _, greedy in found] == [greedy for _, greedy in expected]
        assert {type(value) for result in found for value in result} == {float, bool}


def test_log_likelihoods_with_one_wrong_token_are_not_greedy():
    ids = [5, 6, 7]
    for _ in range(6):
        ids.append(int(MODEL.logits(ids)[-1].argmax()))
    for wrong in (3, 5, 8):
        changed = [*ids[:wrong], ids[wrong] ^ 1, *ids[wrong + 1 :]]
        assert not log_likelihoods(MODEL, [(changed, 6)])[0][1]


def test_log_likelihoods_use_an_untied_head():
    model = small_model(tie_word_embeddings=False)
    ids = TOKENIZER.encode("the house")
    assert log_likelihoods(model, [(ids, 3)])[0][0] == pytest.approx(slow_continuation(model, ids, 3)[0], rel=1e-12)


def test_log_likelihoods_never_hold_all_logits():
    model = random_model(vocab_size=5000, hidden_size=6, max_position_embeddings=1024)
    rows = [(np.arange(1025), 1024)] * 4
    tracemalloc.start()
    log_likelihoods(model, rows, batch_size=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 1024 * 5000 * 4 / 2  # half of the logits of all the positions


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (([([1, 2], 2)],), "2 tokens are to be scored after at least one other, and there is room for 2 in all: .* 32 pos"),
        (([([1, 2], 0)],), "0 tokens are to be scored"),
        (([(range(100), 33)],), "33 tokens .* room for 33 in all"),
        (([([1, 259], 1)],), "id 259 is no token of this model"),
        (([([259, 1], 1)],), "id 259 is no token of this model"),
        (([], 0), "batch_size is 0, and it must be a whole number above 0"),
        (([], 2.0), "batch_size is 2.0"),
    ],
)
def test_log_likelihoods_refuse_rows_that_cannot_be_scored(arguments, expected):
    with pytest.raises(NeoError, match=expected):
        log_likelihoods(MODEL, *arguments)


def test_log_likelihoods_refuse_nan():
    model = small_model()
    model.params.ln_f.bias[0] = np.nan
    with pytest.raises(NeoError, match="not numbers"):
        log_likelihoods(model, [([1, 2], 1)])


def test_log_likelihoods_report_progress_in_tokens():
    seen = []
    log_likelihoods(MODEL, [([1, 2, 3], 1), ([1, 2], 1), ([1] * 5, 1)], 2, lambda *numbers: seen.append(numbers))
    assert seen == [(8, 10), (10, 10)]  # the longest rows first, so that those of like length share a batch


# Context and continuation


@pytest.mark.parametrize(
    ("context", "continuation", "expected"),
    [
        ("in the", " house", (["i", "n", " ", "the"], [" ", "h", "o", "u", "s", "e"])),
        ("in the ", "x", (["i", "n", " ", "the"], [" ", "x"])),  # the space goes over to the continuation
        ("a \n\t", " x", (["a"], [" ", "\n", "\t", " ", "x"])),
        ("", "the", ([END_OF_TEXT], ["the"])),
        (" ", "the", ([END_OF_TEXT], [" ", "the"])),
        ("", END_OF_TEXT + "the", ([END_OF_TEXT], ["the"])),  # it begins with the begin token already
        ("t", "hex", (["the"], ["x"])),  # encoded as one text, and cut after as many tokens as the context alone has
    ],
)
def test_continuation_row_splits_as_the_harness(context, continuation, expected):
    ids, scored = continuation_row(MODEL, context, continuation)
    assert (TOKENIZER.token_strings(ids[:-scored]), TOKENIZER.token_strings(ids[-scored:])) == expected


def test_continuation_row_without_a_token_to_score_is_refused():
    with pytest.raises(NeoError, match="'he' after 't' adds no token"):
        continuation_row(MODEL, "t", "he")
    with pytest.raises(NeoError, match="'' after '' adds no token"):
        continuation_row(MODEL, "", "")
    with pytest.raises(NeoError, match="'the' has no context, and the model has no bos_token_id"):
        continuation_row(NO_BEGIN, "", "the")
    with pytest.raises(NeoError, match="no tokenizer"):
        continuation_row(small_model(tokenizer=None), "a", "b")


# Text


@given(st.integers(0, 60), st.integers(1, 12), st.data())
def test_text_windows_score_each_token_once_with_context(length, window, data):
    stride = data.draw(st.integers(1, window))
    scored = 1
    for ids, count in text_windows(list(range(length)), window, stride):
        assert ids == list(range(ids[0], ids[-1] + 1))
        assert len(ids) <= window + 1
        assert len(ids) - count >= min(scored, window - stride + 1)
        assert ids[-count:] == list(range(scored, scored + count))
        scored += count
    assert scored == max(length, 1)


def test_text_windows_of_the_docstring():
    assert [("".join(ids), n) for ids, n in text_windows("abcdefgh", 4, 2)] == [("abcde", 4), ("cdefg", 2), ("defgh", 1)]


@pytest.mark.parametrize(("window", "stride"), [(None, None), (32, 32), (8, 3), (5, 1), (1, 1)])
def test_evaluate_text_equals_single_tokens(window, stride):
    found = evaluate_text(MODEL, DOCUMENTS, window, stride, batch_size=3)
    window, stride = window or 32, stride or 16
    texts = [[END, *TOKENIZER.encode(document)] for document in DOCUMENTS if document]
    tokens, size = sum(len(ids) - 1 for ids in texts), sum(len(document.encode()) for document in DOCUMENTS)
    nats = -sum(slow_text(MODEL, ids, window, stride) for ids in texts)
    counted = {"documents": 4, "tokens": tokens, "unscored": 0, "bytes": size, "window": window, "stride": stride}
    measured = {"loss": nats / tokens, "perplexity": math.exp(nats / tokens), "bits_per_byte": nats / math.log(2) / size}
    assert {name: found[name] for name in counted} == counted
    assert found == pytest.approx(counted | measured, rel=1e-12)


def test_evaluate_text_with_window_1_has_stride_1():
    assert evaluate_text(MODEL, DOCUMENTS, window=1) == evaluate_text(MODEL, DOCUMENTS, window=1, stride=1)


def test_evaluate_text_without_a_begin_token_leaves_the_first_token_unscored():
    found = evaluate_text(NO_BEGIN, DOCUMENTS, 8, 4)
    texts = [TOKENIZER.encode(document) for document in DOCUMENTS if document]
    nats = -sum(slow_text(NO_BEGIN, ids, 8, 4) for ids in texts)
    first_tokens = len("the" + "the" + "the" + "x") - 1  # "thé" begins with "th"
    size = sum(len(document.encode()) for document in DOCUMENTS) - first_tokens
    assert (found["documents"], found["unscored"], found["bytes"]) == (4, 4, size)
    assert found["tokens"] == sum(len(ids) - 1 for ids in texts)
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / size, rel=1e-12)


def test_evaluate_text_with_only_an_eos_token_begins_with_it():
    eos_alone = small_model(std=0.3, bos_token_id=None, eos_token_id=[END, 7])
    assert evaluate_text(eos_alone, ["the house"]) == evaluate_text(MODEL, ["the house"])


def test_evaluate_text_of_one_window_equals_model_loss(tales):
    text = "Once upon a time there was a king."
    ids = tales.tokenizer.encode(text)
    found = evaluate_text(tales, [text])
    assert found["loss"] == pytest.approx(tales.loss([tales.config.bos_token_id, *ids]), rel=1e-6)
    assert evaluate_text(tales, [ids]) == evaluate_text(tales, [np.array(ids)]) == found


def test_evaluate_text_does_not_depend_on_batch_size(tales):
    documents = ["Once upon a time " * 100, "The king said nothing. " * 7, "A", "She looked, and looked " * 30]
    expected = evaluate_text(tales, documents, stride=100, batch_size=1)
    for batch_size in (2, 3, 50):
        assert evaluate_text(tales, documents, stride=100, batch_size=batch_size) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("model", "documents", "options", "expected"),
    [
        (MODEL, [], {}, "there is no text to score"),
        (MODEL, [""], {}, "there is no text to score"),
        (NO_BEGIN, ["x"], {}, "there is no text to score"),
        (MODEL, ["x"], {"window": 33}, "window is 33, .* from 1 to the model's 32 positions"),
        (MODEL, ["x"], {"window": 0}, "window is 0"),
        (MODEL, ["x"], {"window": 8, "stride": 9}, "stride is 9, .* from 1 to the window of 8 tokens"),
        (MODEL, ["x"], {"stride": 0}, "stride is 0"),
        (MODEL, ["x"], {"stride": 1.5}, "stride is 1.5"),
        (small_model(tokenizer=None), ["x"], {}, "this model has no tokenizer"),
    ],
)
def test_evaluate_text_refuses_what_cannot_be_evaluated(model, documents, options, expected):
    with pytest.raises(NeoError, match=expected):
        evaluate_text(model, documents, **options)


# Last words and multiple choice


def likeliest_text(model, beginning, word_count):
    """Return a text of which the model itself has written all but the beginning, up to the end of a word."""
    written = model.generate(beginning, max_new_tokens=30)
    return " ".join(written.split(" ")[: len(beginning.split(" ")) + word_count])


def test_evaluate_lambada_equals_single_tokens(tales):
    texts = [likeliest_text(tales, "Once upon a time", 3), "The princess sat under the wheelbarrow", "Alone"]
    texts += [likeliest_text(tales, "The king said", 5), "said the old woman and " * 60 + "cat", "two  spaces"]
    rows = []
    for text in texts:
        context = " ".join(text.split(" ")[:-1]).rstrip()
        whole = tales.tokenizer.encode(text if " " in text else " " + text)
        rows.append(([0, *whole], len(whole)) if not context else (whole, len(whole) - len(tales.tokenizer.encode(context))))
    expected = [slow_continuation(tales, *row) for row in rows]
    acc = [float(greedy) for _, greedy in expected]
    assert 0 < sum(acc) < len(texts)
    found = evaluate_lambada(tales, texts, batch_size=4)
    assert found.pop("perplexity") == pytest.approx(math.exp(-statistics.mean(score for score, _ in expected)), rel=1e-4)
    error = statistics.stdev(acc) / math.sqrt(len(acc))
    assert found == pytest.approx({"texts": len(texts), "acc": statistics.mean(acc), "acc_stderr": error})


def test_evaluate_choices_equals_single_tokens(tales):
    questions = [
        {"context": "Once upon a time there was a", "choices": ["king", "queen who lived in a great castle"], "label": 0},
        {"context": "Once upon a time there was a", "choices": ["x", "x and the king said to the queen"], "label": 0},
        {"context": "The king said: ", "choices": ["wheelbarrow", "yes", "x"], "label": 1},
        {"context": "", "choices": ["Once", "The"], "label": 0},
        {"context": "said the old woman and " * 60, "choices": ["the", "wheelbarrow"], "label": 0},
        {"context": "One", "choices": ["alone"], "label": 0},
    ]
    acc, acc_norm = [], []
    for question in questions:
        scores = []
        for choice in question["choices"]:
            bare = question["context"].rstrip()
            whole = tales.tokenizer.encode(question["context"] + " " + choice)
            scored = len(whole) - len(tales.tokenizer.encode(bare))
            scores.append(slow_continuation(tales, whole if bare else [0, *whole], scored)[0])
        per_character = [score / len(choice) for score, choice in zip(scores, question["choices"])]
        acc.append(float(scores.index(max(scores)) == question["label"]))
        acc_norm.append(float(per_character.index(max(per_character)) == question["label"]))
    assert acc != acc_norm
    expected = {"questions": len(questions), "acc": statistics.mean(acc), "acc_norm": statistics.mean(acc_norm)}
    expected["acc_stderr"] = statistics.stdev(acc) / math.sqrt(len(acc))
    expected["acc_norm_stderr"] = statistics.stdev(acc_norm) / math.sqrt(len(acc_norm))
    assert evaluate_choices(tales, questions, batch_size=4) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("choices", "scores", "likeliest"),
    [
        (["éé", "abc"], [-5.0, -6.0], (0, 1)),  # by bytes, -5/4 and -6/3, the first would win acc_norm
        (["a", "abcde"], [-2.0, -9.0], (0, 1)),  # with the space, -2/2 and -9/6, it would too
        (["ab", "cd"], [-1.0, -1.0], (0, 0)),  # the first of equals
    ],
)
def test_evaluate_choices_divides_by_characters(monkeypatch, choices, scores, likeliest):
    monkeypatch.setattr(likelihood, "log_likelihoods", lambda *arguments: [(score, False) for score in scores])
    for label in (0, 1):
        found = evaluate_choices(MODEL, [{"context": "x", "choices": choices, "label": label}])
        assert (found["acc"], found["acc_norm"]) == tuple(float(best == label) for best in likeliest)
        assert found["acc_stderr"] is found["acc_norm_stderr"] is None


def test_evaluate_lambada_perplexity_can_be_infinite(monkeypatch):
    monkeypatch.setattr(likelihood, "log_likelihoods", lambda *arguments: [(-800.0, False)])
    assert evaluate_lambada(MODEL, ["a b"])["perplexity"] == math.inf


def test_evaluate_of_nothing_is_refused():
    for function in (evaluate_lambada, evaluate_choices):
        with pytest.raises(NeoError, match="nothing to score"):
            function(MODEL, [])


# The command


@pytest.fixture
def run(monkeypatch, capsys, tales, tmp_path):
    """The command, run in this process: arguments in; exit status, output and error output out."""
    monkeypatch.setattr(neo_np, "load", lambda *names: tales)

    def run(*arguments):
        monkeypatch.chdir(tmp_path)
        try:
            status = evaluate.main([str(argument) for argument in arguments])
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


def test_text_command_prints_table_and_json(run, tmp_path, tales):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts/1.txt").write_text("The king\n<|endoftext|>\nThe queen said " + "no " * 2000, encoding="utf-8")
    (tmp_path / "texts/2.txt").write_text("said nothing.", encoding="utf-8")
    expected = evaluate_text(tales, ["The king", "The queen said " + "no " * 2000, "said nothing."], 64, 16)
    status, out, err = run("text", "texts/1.txt", "texts/2.txt", "--window", 64, "--stride", 16)
    assert ([line.split() for line in out.splitlines()], status, err) == (as_table(expected), 0, "")
    status, out, err = run("text", "texts", "--window", "64", "--stride", "16", "--batch-size", "1", "--json")
    found = json.loads(out)
    assert (status, err, found.pop("model")) == (0, "", repr(tales))
    assert found == pytest.approx(expected, rel=1e-6)


def test_lambada_command_prints_table(run, tmp_path, tales):
    texts = ["The king said nothing", "Ünï cödé\u2028 x"]
    write_lines(tmp_path / "words.jsonl", [{"text": text, "more": [1]} for text in texts])
    status, out, err = run("lambada", "words.jsonl")
    assert (status, err) == (0, "")
    assert [line.split() for line in out.splitlines()] == as_table(evaluate_lambada(tales, texts))


def test_choices_command_prints_table_and_json(run, tmp_path, tales):
    (tmp_path / "q.jsonl").write_text("\ufeff" + json.dumps(CHOICES) + "\n\n", encoding="utf-8")
    status, out, err = run("choices", "q.jsonl", "--json", "--batch-size", 1)
    assert (status, err) == (0, "")
    assert json.loads(out) == {"model": repr(tales), **evaluate_choices(tales, [CHOICES])}
    status, out, _ = run("choices", "q.jsonl")
    assert [line.split() for line in out.splitlines()] == as_table(evaluate_choices(tales, [CHOICES]))


def test_command_loads_model_and_tokenizer_by_name(run, tmp_path, monkeypatch, tales):
    asked = []
    monkeypatch.setattr(neo_np, "load", lambda *names: asked.append(names) or tales)
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
        (("lambada", "latin.jsonl"), "latin.jsonl cannot be read as UTF-8 text: "),
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
    for kind, words in [("text", "UTF-8 bytes"), ("lambada", "last space"), ("choices", "per character")]:
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
