"""The command `python -m neo_np.generate`: its output for every option, every input, and every way it can end."""

import ast
import builtins
import functools
import io
import json
import os
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

import numpy as np
import pytest
from helpers import ROOT, WORD_TOKENIZER, in_float64, random_model, word_model

import neo_np
from neo_np import Model
from neo_np.folders.find import DEFAULT_CHECKPOINT
from neo_np.generate import command
from neo_np.generate.command import main
from neo_np.generate.sequence import GeneratedSequence

PROMPT = "Once upon a time"
SHORT = ("--max-new-tokens", "12", "--seed", "7")
MODEL = (
    word_model()
)  # all but a few tests use it for the checkpoint that ships: whatever that one writes, the command is the same
IN_PROMPT = len(WORD_TOKENIZER.encode(PROMPT))
TOO_LARGE = MODEL.config.vocab_size  # as an id
FULL = "a" * (MODEL.config.max_position_embeddings - 6)  # a prompt with room for 6 tokens
THEN, SHIP, HIS, SO, WHO, FOREST = (  # end tokens in some tests
    WORD_TOKENIZER.vocab[f"Ġ{word}"] for word in ("then", "ship", "his", "so", "who", "forest")
)


@functools.cache
def load(name=None, tokenizer=None):
    """Return the model for the name of the checkpoint that ships, and load all others once."""
    if name in (None, DEFAULT_CHECKPOINT) and tokenizer is None:
        return MODEL
    return neo_np.load(name, tokenizer)


@pytest.fixture(autouse=True)
def model_of_words(monkeypatch):
    """Give the command in this process the model for the checkpoint that ships. A process of its own has the real one."""
    monkeypatch.setattr(command, "load_for_text", load)


class Result(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Return a function that runs the command in this process: arguments and standard input in, `Result` out."""
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)  # as if it were not installed
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))

    def run(*arguments, stdin=b""):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as exit:  # argparse raises it
            status = exit.code
        return Result(status, *capsys.readouterr())

    return run


def expected(prompt=PROMPT, model=MODEL, **options):
    """Return what `Model.generate` gives for options, with the command's defaults; None takes one of these out."""
    defaults = {"do_sample": True, "temperature": 0.9, "top_k": 50, "top_p": 0.95, "max_new_tokens": 12, "seed": 7}
    return model.generate(prompt, **defaults | options)


def start(*arguments, python=(), environment=(), **options):
    """Start the command as a process, with its streams as bytes in pipes and without PYTHON... variables."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    plain = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, *python, "-m", "neo_np.generate", *arguments]
    return subprocess.Popen(command, cwd=ROOT, env=plain | dict(environment), **pipes | options)


def read(process, length):
    """Read at least `length` bytes of a process's standard output."""
    seen = b""
    while len(seen) < length:
        piece = os.read(process.stdout.fileno(), 1000)
        assert piece, "it ended early"
        seen += piece
    return seen


# What it prints


NOT_SAMPLED = {"do_sample": False, "temperature": None, "top_k": None, "top_p": None}
HOT = "--temperature 3 ", {"temperature": 3.0}
GREEDY = "--greedy ", NOT_SAMPLED
LONG = "--greedy --max-new-tokens 40 ", NOT_SAMPLED | {"max_new_tokens": 40}
ENDS_EARLY = f"--greedy --eos-token-id {SO} ", NOT_SAMPLED | {"eos_token_id": SO}
STOPS = "--greedy --stop boy --stop ing ", NOT_SAMPLED | {"stop_strings": ["boy", "ing"]}
BEAMS = (
    f"--num-beams 3 --eos-token-id {THEN} --eos-token-id {WHO} ",
    NOT_SAMPLED | {"num_beams": 3, "eos_token_id": [THEN, WHO]},
)
LONG_BEAMS = BEAMS[0] + "--length-penalty 2 ", BEAMS[1] | {"length_penalty": 2.0}
MORE_ENDS = (
    f"--num-beams 3 --eos-token-id {HIS} --eos-token-id {WHO} --eos-token-id {FOREST} ",
    NOT_SAMPLED | {"num_beams": 3, "eos_token_id": [HIS, WHO, FOREST]},
)
OPTIONS = [  # other arguments with their meaning for `generate`, then the option with its meaning
    ("", {}, "--greedy", NOT_SAMPLED),
    (*BEAMS, "--sample --temperature 3", {"do_sample": True, "temperature": 3.0, "top_k": 50, "top_p": 0.95}),
    ("", {}, "--seed 8", {"seed": 8}),
    ("", {}, "--temperature 1.7", {"temperature": 1.7}),
    (*HOT, "--top-k 2", {"top_k": 2}),
    (*HOT, "--top-k 0", {"top_k": 0}),
    ("", {}, "--top-p 0.3", {"top_p": 0.3}),
    ("", {}, "--min-p 0.5", {"min_p": 0.5}),
    ("", {}, "--typical-p 0.2", {"typical_p": 0.2}),
    ("", {}, "--repetition-penalty 3", {"repetition_penalty": 3.0}),
    (*LONG, "--no-repeat-ngram-size 2", {"no_repeat_ngram_size": 2}),
    ("", {}, "--max-new-tokens 5", {"max_new_tokens": 5}),
    (*GREEDY, f"--eos-token-id {SHIP}", {"eos_token_id": SHIP}),
    (*ENDS_EARLY, f"--eos-token-id {THEN}", {"eos_token_id": [SO, THEN]}),
    (*ENDS_EARLY, "--min-new-tokens 9", {"min_new_tokens": 9}),
    (*ENDS_EARLY, f"--min-length {IN_PROMPT + 8}", {"min_length": IN_PROMPT + 8}),
    (*GREEDY, "--stop boy --stop ing", {"stop_strings": ["boy", "ing"]}),
    (*STOPS, "--cut-stop", {"cut_stop_string": True}),
    ("", {}, "--num-beams 3", NOT_SAMPLED | {"num_beams": 3}),
    (*BEAMS, "--length-penalty 3", {"length_penalty": 3.0}),
    (*MORE_ENDS, "--early-stopping true", {"early_stopping": True}),
    (*LONG_BEAMS, "--early-stopping never", {"early_stopping": "never"}),
]


@pytest.mark.parametrize(("before", "known", "option", "meaning"), OPTIONS, ids=[row[0] + row[2] for row in OPTIONS])
def test_option_has_the_effect_of_the_option_of_generate(run, before, known, option, meaning):
    text = expected(**known | meaning)
    assert text != expected(**known)  # an option without effect would show here
    assert run(PROMPT, *SHORT, *before.split(), *option.split()) == (0, text + "\n", "")


def test_generation_config_overrides_defaults_and_options_override_it(run, tmp_path):
    entries = {"max_new_tokens": 5, "temperature": 3.0, "top_k": 2, "top_p": 0.5}
    model = word_model(seed=1)
    model.generation_config = entries
    neo_np.save(model, tmp_path)
    sampled = {"do_sample": True, "seed": 7}
    assert run(PROMPT, "--seed", 7, "--model", tmp_path).out == model.generate(PROMPT, **entries, **sampled) + "\n"
    given = {"max_new_tokens": 12, "temperature": 0.5, "top_k": 9, "top_p": 0.9}
    arguments = "--max-new-tokens 12 --seed 7 --temperature 0.5 --top-k 9 --top-p 0.9".split()
    assert run(PROMPT, *arguments, "--model", tmp_path).out == model.generate(PROMPT, **given, **sampled) + "\n"


def test_max_length_includes_the_prompt(run):
    assert run(PROMPT, "--seed", 7, "--max-length", IN_PROMPT + 5).out == expected(max_new_tokens=5) + "\n"


def test_slide_continues_past_the_last_position(run):
    assert run(FULL, *SHORT).status == 2
    assert run(FULL, *SHORT, "--slide").out == expected(FULL, slide=True) + "\n"


def test_bad_word_is_never_written_at_the_beginning_or_after_a_space(run, tales, monkeypatch):
    monkeypatch.setattr(command, "load_for_text", lambda *names: tales)
    new = tales.tokenizer.encode(run(PROMPT, "--greedy", "--max-new-tokens", 40).out.removeprefix(PROMPT))
    words = sorted({token.strip() for token in tales.tokenizer.token_strings(new) if re.fullmatch(" [a-z]+", token)})
    assert len(words) > 2
    found = run(PROMPT, "--greedy", "--max-new-tokens", 40, *(f"--bad-word={word}" for word in words[:2]))
    assert found.status == 0
    new = [token.strip() for token in tales.tokenizer.token_strings(tales.tokenizer.encode(found.out.removeprefix(PROMPT)))]
    assert not set(words[:2]) & set(new)


def test_no_seed_each_run_differs(run):
    first, second = (run(PROMPT, "--max-new-tokens", 30).out for _ in range(2))
    assert first != second


def test_default_length_is_200_tokens_or_what_fits(run):
    found = json.loads(run(FULL, "--json", "--min-new-tokens", 6).out)
    assert len(found["sequences"][0]["ids"]) == 6
    found = json.loads(run(PROMPT, "--json", "--min-new-tokens", 200).out)
    assert len(found["sequences"][0]["ids"]) == 200


def test_several_texts_are_numbered(run):
    texts = expected(num_return_sequences=3)
    assert len(set(texts)) == 3
    shown = "".join(f"--- {number} of 3 ---\n{text}\n" for number, text in enumerate(texts, start=1))
    assert run(PROMPT, *SHORT, "--num-return-sequences", 3) == (0, shown, "")
    beams = expected(**NOT_SAMPLED, num_beams=3, num_return_sequences=2)
    assert run(PROMPT, *SHORT, "--num-beams", 3, "--num-return-sequences", 2).out.count(beams[1]) == 1


def test_model_and_tokenizer_may_be_names_or_folders(run, tales, tmp_path):
    other = random_model(vocab_size=len(tales.tokenizer), tokenizer=tales.tokenizer)
    neo_np.save(other, tmp_path / "other")
    text = other.generate(PROMPT, max_new_tokens=12)
    assert run(PROMPT, *SHORT, "--greedy", "--model", tmp_path / "other").out == text + "\n"
    for name in ("vocab.json", "merges.txt"):
        shutil.move(tmp_path / "other" / name, tmp_path / name)
    for source in (DEFAULT_CHECKPOINT.swapcase(), tmp_path):
        assert run(PROMPT, *SHORT, "--greedy", "--model", tmp_path / "other", "--tokenizer", source).out == text + "\n"


def test_stream_text_is_flushed_before_the_next_token(monkeypatch):
    """Before the model is asked for the next token, all text so far has left the process."""
    raw, seen, logits = io.BytesIO(), [], Model.logits

    def watch(*arguments, **options):
        seen.append(raw.getvalue().decode("utf-8"))
        return logits(*arguments, **options)

    monkeypatch.setattr(Model, "logits", watch)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="utf-8"))
    main([PROMPT, *SHORT])
    monkeypatch.undo()
    assert seen == [expected(max_new_tokens=n) if n else PROMPT for n in range(12)]


def test_stream_first_text_arrives_while_the_process_runs():
    with start(PROMPT, "--slide", "--max-new-tokens", "100000", "--min-new-tokens", "100000") as process:
        seen = read(process, 100)
        assert process.poll() is None
        assert seen.startswith(PROMPT.encode())
        process.kill()


@pytest.mark.slow
def test_start_first_word_within_half_a_second():
    def seconds():
        began = time.perf_counter()
        with start(PROMPT) as process:
            read(process, len(PROMPT) + 1)
            found = time.perf_counter() - began
            process.kill()
        return found

    assert statistics.median(seconds() for _ in range(5)) < 0.5


# Where the prompt comes from


@pytest.mark.parametrize("arguments", [[], ["-"]])
@pytest.mark.parametrize(
    ("stdin", "prompt"),
    [
        (b"Once upon a time\n", "Once upon a time"),
        (b"Once upon a time", "Once upon a time"),
        (b"Once upon a time\r\n", "Once upon a time"),
        (b"Once\nupon\n\n", "Once\nupon\n"),
        ("Größe 🙂".encode(), "Größe 🙂"),
    ],
)
def test_prompt_from_pipe_loses_its_last_line_end(run, arguments, stdin, prompt):
    assert run(*SHORT, *arguments, stdin=stdin) == (0, expected(prompt) + "\n", "")


@pytest.mark.parametrize("arguments", [[], ["--interactive"]])
def test_prompt_from_pipe_loses_its_byte_order_mark(run, arguments):
    with_mark, without = (run(*SHORT, *arguments, stdin=mark + b"The king\n") for mark in (b"\xef\xbb\xbf", b""))
    assert with_mark == without and without.status == 0 and "\ufeff" not in without.out


def test_prompt_argument_overrides_pipe(run):
    assert run(PROMPT, *SHORT, stdin=b"The king").out == expected() + "\n"


@pytest.mark.parametrize("arguments", [[""], []])
def test_prompt_empty_begins_a_text(run, arguments):
    assert run(*SHORT, *arguments) == (0, expected("") + "\n", "")


def test_prompt_from_real_pipe_is_read(tales):
    with start(*SHORT, stdin=subprocess.PIPE) as process:
        out, err = process.communicate(b"Once upon a time\n")
    assert (process.returncode, out.decode(), err) == (0, expected(model=tales) + os.linesep, b"")


def test_interactive_several_lines_continue_after_errors(run):
    lines = [PROMPT, "", "long " * 300, "The king"]
    found = run(*SHORT, "--interactive", stdin="\n".join(lines).encode())
    assert found.status == 0
    assert found.out.split("> ") == ["", expected() + "\n", "", "", expected("The king") + "\n", "\n"]
    assert re.fullmatch(rf"error: .*{MODEL.config.max_position_embeddings} positions.*\n", found.err)


WINDOWS = [b"\xef\xbb\xbf%s", b"%s\r\n", b"\xef\xbb\xbf%s\r\n", b"\xef\xbb\xbf%s\n"]


@pytest.mark.parametrize("form", WINDOWS)
def test_standard_input_of_windows_is_the_same_prompt(run, form):
    assert run(*SHORT, stdin=form % PROMPT.encode()).out == expected() + "\n"
    two_lines = run(*SHORT, stdin=form % b"The king\r\nand")
    assert two_lines.out == expected("The king\nand") + "\n"


def test_prompt_argument_of_windows_is_the_same_prompt(run):
    """As "$(cat prompt.txt)" gives it: the shell has cut the last line feed."""
    assert run("\ufeffThe king\r\nand\r", *SHORT).out == expected("The king\nand") + "\n"


@pytest.mark.parametrize("form", WINDOWS)
def test_interactive_input_of_windows_is_the_same_prompt(run, form):
    found = run(*SHORT, "--interactive", stdin=form % PROMPT.encode() + b"\r\nThe king\r\n")
    texts = [text for text in found.out.split("> ") if text]
    assert texts == [expected() + "\n", expected("The king") + "\n", "\n"]


def test_interactive_line_that_is_not_text_is_an_error_for_this_line(run):
    found = run(*SHORT, "--interactive", stdin=b"\xff\xfe\nThe king\n")
    assert (found.status, found.out.split("> ")) == (0, ["", "", expected("The king") + "\n", "\n"])
    assert re.fullmatch(r"error: .*\n", found.err)


# What else it can show


def log_softmax(logits):
    """In float64, straight from the definition."""
    logits = logits.astype(float)
    return logits - np.log(np.exp(logits - logits.max()).sum()) - logits.max()


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ([], {}),
        (["--num-return-sequences", "2"], {"num_return_sequences": 2}),
        (["--num-beams", "3", "--num-return-sequences", "2"], NOT_SAMPLED | {"num_beams": 3, "num_return_sequences": 2}),
        (["--greedy", "--repetition-penalty", "2"], NOT_SAMPLED | {"repetition_penalty": 2.0}),
        (["--greedy", "--eos-token-id", str(SHIP)], NOT_SAMPLED | {"eos_token_id": SHIP}),
        (["--stop", "r", "--cut-stop"], {"stop_strings": ["r"], "cut_stop_string": True}),
    ],
)
def test_json_has_texts_ids_and_log_probabilities(run, arguments, options):
    status, out, err = run(PROMPT, *SHORT, *arguments, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    texts = expected(**options)
    assert [sequence["text"] for sequence in found["sequences"]] == (texts if isinstance(texts, list) else [texts])
    assert found["prompt"] == PROMPT
    assert found["prompt_ids"] == MODEL.tokenizer.encode(PROMPT)
    assert found["seed"] == (7 if options.get("do_sample", True) else None)
    assert found["interrupted"] is False
    assert set(found["seconds"]) == {"load", "prefill", "decode"}
    assert all(0 <= seconds < 60 for seconds in found["seconds"].values())
    for sequence in found["sequences"]:
        whole = found["prompt_ids"] + sequence["ids"]
        text = MODEL.tokenizer.decode(whole, skip_special_tokens=True)
        assert text.startswith(sequence["text"]) if "--cut-stop" in arguments else text == sequence["text"]
        assert "".join(sequence["tokens"]) == MODEL.tokenizer.decode(sequence["ids"])
        logits = in_float64(MODEL).logits(whole)[len(found["prompt_ids"]) - 1 : -1]  # each token follows from those before it
        log_probabilities = [log_softmax(row)[id] for row, id in zip(logits, sequence["ids"])]
        np.testing.assert_allclose(sequence["log_probabilities"], log_probabilities, rtol=0, atol=1e-6 * np.ptp(logits))


def test_json_without_seed_names_the_one_it_drew(run):
    found = json.loads(run(PROMPT, "--json", "--max-new-tokens", 8).out)
    again = json.loads(run(PROMPT, "--json", "--max-new-tokens", 8, "--seed", found["seed"]).out)
    assert again["sequences"] == found["sequences"]


def test_json_of_a_sliding_text(run):
    found = json.loads(run(FULL, *SHORT, "--json", "--slide", "--min-new-tokens", 12).out)
    [sequence] = found["sequences"]
    assert len(sequence["ids"]) == len(sequence["log_probabilities"]) == 12
    found = json.loads(run(FULL, *SHORT, "--json", "--slide", "--min-new-tokens", 12, "--num-beams", 2).out)
    assert found["sequences"][0]["log_probabilities"] is None  # beams are scored in one pass over the text, and it is too long


def read_blocks(out):
    """Return what --show-probs printed: a list of (mark, token, percent, bar) for each token; and the text at the end."""
    *blocks, text = out.split("\n\n", 12)
    line = re.compile(r"^(.) ('.*'|\".*\") +([\d.]+)% ([█#]+)$", re.MULTILINE)
    rows = [
        [(mark, ast.literal_eval(token), float(percent), bar) for mark, token, percent, bar in line.findall(b)] for b in blocks
    ]
    assert [len(block.splitlines()) for block in blocks] == list(map(len, rows))
    return rows, text


def test_show_probs_greedy_shows_the_five_most_likely_and_marks_the_chosen(run):
    status, out, err = run(PROMPT, *SHORT, "--greedy", "--show-probs")
    assert (status, err) == (0, "")
    ids = MODEL.tokenizer.encode(PROMPT)
    blocks, text = read_blocks(out)
    assert (len(blocks), text) == (12, expected(**NOT_SAMPLED) + "\n")
    for block in blocks:
        probabilities = np.exp(log_softmax(MODEL.logits(ids)[-1]))
        likeliest = np.argsort(-probabilities)[:5]
        assert [token for _, token, _, _ in block] == MODEL.tokenizer.token_strings(likeliest)
        np.testing.assert_allclose([percent for _, _, percent, _ in block], 100 * probabilities[likeliest], atol=0.051)
        lengths = [len(bar) for _, _, _, bar in block]
        assert lengths == sorted(lengths, reverse=True) and max(lengths) <= 30
        assert [mark for mark, _, _, _ in block] == ["▶", " ", " ", " ", " "]  # the likeliest, since it is greedy
        ids.append(int(likeliest[0]))


def test_show_probs_sampling_shows_the_distribution_after_all_options(run):
    arguments = "--temperature", "2", "--top-k", "20", "--top-p", "1"
    ids = json.loads(run(PROMPT, *SHORT, *arguments, "--json").out)["sequences"][0]["ids"]
    blocks, _ = read_blocks(run(PROMPT, *SHORT, *arguments, "--show-probs").out)
    assert len(blocks) == len(ids) == 12
    for block, id in zip(blocks, ids):
        assert [token for mark, token, _, _ in block if mark == "▶"] == MODEL.tokenizer.token_strings([id])
        percents = [percent for _, _, percent, _ in block]
        assert percents[:5] == sorted(percents[:5], reverse=True) and sum(percents) <= 100.3
    assert {len(block) for block in blocks} == {5, 6}  # a chosen token that is not among the five is below them
    blocks, _ = read_blocks(run(PROMPT, *SHORT, "--top-k", "2", "--show-probs").out)
    for block in blocks:
        assert len(block) <= 2  # masked tokens are not shown
        assert sum(percent for _, _, percent, _ in block) == pytest.approx(100, abs=0.11)


@pytest.mark.parametrize("arguments", [[], ["--num-beams", "2"], ["--num-return-sequences", "2"], ["--json"], ["--show-probs"]])
def test_stats_are_printed_on_standard_error(run, arguments):
    plain, found = run(PROMPT, *SHORT, *arguments), run(PROMPT, *SHORT, *arguments, "--stats")
    assert found.status == 0
    if "--json" in arguments:
        assert json.loads(found.out)["sequences"] == json.loads(plain.out)["sequences"]
    else:
        assert found.out == plain.out
    written = 24 if "--num-return-sequences" in arguments else 12
    pattern = (
        rf"{written} tokens in .* s" if "--num-beams" in arguments else rf"prefill .* tokens/s; decode {written} .* tokens/s"
    )
    assert re.match(pattern, found.err) and found.err.count("\n") == 1


@pytest.mark.parametrize(
    "drafting", ["--prompt-lookup-num-tokens 6", f"--assistant-model {DEFAULT_CHECKPOINT} --num-assistant-tokens 3"]
)
def test_speculative_options_give_the_same_text(run, monkeypatch, drafting):
    model = word_model(seed=11)  # it repeats itself
    monkeypatch.setattr(command, "load_for_text", lambda *names: model)
    text = expected(model=model, **NOT_SAMPLED | {"max_new_tokens": 60})
    status, out, err = run(PROMPT, "--greedy", "--max-new-tokens", 60, "--stats", *drafting.split())
    assert (status, out) == (0, text + "\n")
    accepted, drafted = map(int, re.search(r"(\d+) of (\d+) drafted tokens accepted", err).groups())
    assert 0 < accepted <= drafted
    assert (accepted == drafted) == ("assistant" in drafting)  # the model predicts itself


def test_help_shows_defaults_and_two_examples(run):
    out = run("--help").out
    for option, default in {"max-new-tokens": 200, "temperature": 0.9, "top-k": 50, "top-p": 0.95, "num-beams": 1}.items():
        [described] = re.findall(rf"^  --{option} [A-Z]\b(.*?)(?=^  --|^\S)", out, re.M | re.S)
        assert " ".join(described.split()).endswith(f"(default: {default})")
    examples = re.findall(r"^  (python -m neo_np\.generate .*)$", out, re.M)
    assert len(examples) == 2 and out.rstrip().endswith(examples[-1])
    for example in examples:
        command.build_parser().parse_args(shlex.split(example)[3:])


def test_help_names_every_option(run):
    status, out, err = run("--help")
    assert (status, err) == (0, "")
    named = " ".join(row[0] + row[2] for row in OPTIONS)
    others = "max-length slide bad-word num-return-sequences model tokenizer interactive show-probs json stats help "
    others = (others + "prompt-lookup-num-tokens assistant-model num-assistant-tokens").split()
    assert set(re.findall(r"--[a-z-]+", out)) == set(re.findall(r"--[a-z-]+", named)) | {f"--{name}" for name in others}


# Ctrl-C


def interrupt(monkeypatch, owner, name, call):
    """Raise KeyboardInterrupt in the call of a function with this number, from 0."""
    calls, function = iter(range(10**6)), getattr(owner, name)

    def interrupted(*arguments, **options):
        if next(calls) == call:
            raise KeyboardInterrupt
        return function(*arguments, **options)

    monkeypatch.setattr(owner, name, interrupted)


@pytest.mark.parametrize("written", [0, 1, 5])
def test_ctrl_c_keeps_the_text_so_far(run, monkeypatch, written):
    text = PROMPT if written == 0 else expected(max_new_tokens=written)
    interrupt(monkeypatch, Model, "logits", written)
    assert run(PROMPT, *SHORT) == (130, text + "\n", "")


@pytest.mark.parametrize(
    ("owner", "name", "arguments"),
    [
        (Model, "logits", []),
        (Model, "logits", ["--num-return-sequences", "2"]),
        (Model, "logits", ["--num-beams", "2"]),
        (GeneratedSequence, "append", []),
        (GeneratedSequence, "append", ["--num-return-sequences", "2"]),
    ],
)
@pytest.mark.parametrize("written", [0, 1, 5])
@pytest.mark.parametrize("prompt", [PROMPT, ""])
def test_ctrl_c_json_is_complete(run, monkeypatch, owner, name, arguments, written, prompt):
    interrupt(monkeypatch, owner, name, written)
    status, out, err = run(prompt, *SHORT, *arguments, "--json")
    found = json.loads(out)
    assert (status, err, found["interrupted"]) == (130, "", True)
    for sequence in found["sequences"]:
        assert len(sequence["ids"]) == len(sequence["tokens"]) == len(sequence["log_probabilities"]) <= written + 1
        assert sequence["text"] == prompt + MODEL.tokenizer.decode(sequence["ids"])


@pytest.mark.parametrize("arguments", [["--num-beams", "2"], ["--num-return-sequences", "2"], ["--show-probs"], ["--stats"]])
def test_ctrl_c_prints_no_traceback(run, monkeypatch, arguments):
    interrupt(monkeypatch, Model, "logits", 5)
    found = run(PROMPT, *SHORT, *arguments)
    assert found.status == 130
    assert found.err.count("\n") == ("--stats" in arguments)


def test_ctrl_c_while_loading_is_silent(run, monkeypatch):
    interrupt(monkeypatch, command, "load_for_text", 0)
    assert run(PROMPT) == (130, "", "")


def test_ctrl_c_in_interactive_stops_only_one_text(run, monkeypatch):
    first = expected(max_new_tokens=3)
    interrupt(monkeypatch, Model, "logits", 3)
    found = run(*SHORT, "--interactive", stdin=b"Once upon a time\nThe king\n")
    monkeypatch.undo()
    assert found.status == 0
    assert found.out.split("> ") == ["", first + "\n", expected("The king") + "\n", "\n"]


def test_ctrl_c_at_the_interactive_prompt_ends_the_command(run, monkeypatch):
    interrupt(monkeypatch, builtins, "input", 0)
    assert run("--interactive") == (0, "\n", "")


def test_ctrl_c_in_a_real_process_ends_it_with_130():
    let_it_through = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a background process ignores it
    endless = "--slide", "--max-new-tokens", "100000", "--min-new-tokens", "100000"
    with start(PROMPT, *endless, preexec_fn=let_it_through) as process:
        seen = read(process, 100)
        process.send_signal(signal.SIGINT)
        rest, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (130, b"")
    assert (seen + rest).startswith(PROMPT.encode()) and rest.endswith(b"\n")


@pytest.mark.parametrize("module", ["generate", "evaluate"])
def test_ctrl_c_while_importing_is_silent(tmp_path, module):
    """The process is stopped inside an import: the module `regex` is one that waits."""
    (tmp_path / "regex.py").write_text("import time\nprint('here', flush=True)\ntime.sleep(60)\n", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", f"neo_np.{module}", PROMPT],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    with process:
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=20) == (b"", b"")
    assert process.returncode == 130


def test_ctrl_c_while_importing_raises_in_other_programs(tmp_path):
    """A program that imports neo_np keeps its own way to end."""
    (tmp_path / "regex.py").write_text("raise KeyboardInterrupt\n", encoding="utf-8")
    (tmp_path / "program.py").write_text(
        "try:\n    import neo_np\nexcept KeyboardInterrupt:\n    print('caught')\n", encoding="utf-8"
    )
    code = [sys.executable, "-m", "program", "neo_np"]
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    found = subprocess.run(code, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "caught\n")


# Errors and warnings


NONSENSE = [
    "--temperature 0",
    "--temperature -1",
    "--temperature nan",
    "--temperature inf",
    "--temperature hot",
    "--top-k -1",
    "--top-k 1.5",
    "--top-p 1.5",
    "--top-p nan",
    "--min-p -0.1",
    "--typical-p 0",
    "--repetition-penalty 0",
    "--no-repeat-ngram-size -2",
    "--max-new-tokens 0",
    "--max-new-tokens -5",
    "--max-new-tokens 1e3",
    "--max-new-tokens 99999999999999999999",
    "--max-length 3",
    "--max-length 1000",
    "--min-new-tokens -1",
    "--min-length -1",
    "--seed -1",
    "--seed x",
    "--eos-token-id -1",
    f"--eos-token-id {TOO_LARGE}",
    "--num-beams 0",
    "--num-return-sequences 0",
    "--num-return-sequences 2 --greedy",
    "--num-return-sequences 3 --num-beams 2",
    "--length-penalty nan --num-beams 2",
    "--early-stopping maybe --num-beams 2",
    "--greedy --sample",
    "--stop=",
    "--stop=\udcff",
    "--bad-word=",
    "--bad-word=\udcff",
    "--model nonsense",
    "--model someone/nonsense",
    "--model=",
    "--model \udcff",
    "--model README.md",
    "--model tests",
    "--model gpt-neo-125M --tokenizer nonsense",
    "--tokenizer nonsense",
    "--interactive",
    "--show-probs --json",
    "--show-probs --num-beams 2",
    "--show-probs --num-return-sequences 2",
    "--nonsense",
    "--max-new-tokens",
    "another-prompt",
    "another\nprompt",
    "--nonsense=a\nb",
]


@pytest.mark.parametrize("arguments", NONSENSE, ids=ascii)
def test_error_is_one_line_with_status_2(run, monkeypatch, arguments):
    monkeypatch.chdir(ROOT)
    status, out, err = run(PROMPT, *arguments.split(" "))
    assert (status, out) == (2, "")
    assert re.fullmatch(r"error: .+\n", err)


@pytest.mark.parametrize(
    ("arguments", "stdin", "match"),
    [
        (["a\udcffb"], b"", r"'a\\udcffb' is not UTF-8 text"),
        (["-"], b"ab\xff", r"standard input.*UTF-8.*byte 2"),
        ([], b"\xef\xbb\xbfab\xff", r"standard input.*UTF-8.*byte 5"),
        ([], "ab".encode("utf-16"), r"standard input.*UTF-16"),
        ([], b"ab\xff", r"standard input.*UTF-8.*byte 2"),
        (["long " * 300], b"", rf"\d+ tokens.*{MODEL.config.max_position_embeddings} positions"),
        (["--interactive", "--json"], b"", r"--interactive.*--json"),
    ],
)
def test_prompt_unusable_is_one_line_with_status_2(run, arguments, stdin, match):
    status, out, err = run(*arguments, stdin=stdin)
    assert (status, out) == (2, "")
    assert re.fullmatch(rf"error: .*{match}.*\n", err)


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["x", "--max_new_tokens", "5"], "did you mean --max-new-tokens?"),
        (["--max_new_tokens", "5", "x"], "did you mean --max-new-tokens?"),
        (["x", "--max-tokens=5"], "did you mean --max-new-tokens?"),
        (["x", "--max-new", "5"], "did you mean --max-new-tokens?"),
        (["x", "--do-sample"], "did you mean --sample?"),
        (["x", "--no-sample"], "did you mean --greedy?"),
        (["x", "--Temperature", "1"], "did you mean --temperature?"),
        (["x", "--temp", "1"], "did you mean --temperature?"),
        (["x", "-temperature", "1"], "did you mean --temperature?"),
        (["x", "--stop-strings", "a"], "did you mean --stop?"),
        (["x", "--num-samples", "2"], "did you mean --num-return-sequences?"),
        (["x", "--suppress-tokens", "2"], "model.generate(prompt, suppress_tokens=...)"),
        (["--prompt", "x"], "in quotes"),
        (["\u201cThe", "king\u201d"], 'in quotes, as in "The king"'),
        (["x", "-m", "tales"], "did you mean --model?"),
        (["x", "-o", "a.txt"], "> FILE"),
        (["x", "--output", "a.txt"], "> FILE"),
        (["x", "--device", "cuda"], "NumPy computes in float32, on the CPU"),
        (["The", "king"], 'in quotes, as in "The king"'),
        (["\u2014", "The", "king"], 'in quotes, as in "\u2014 The king"'),
        (["x", "\u2013max-new-tokens", "5"], "did you mean --max-new-tokens, with two hyphens?"),
        (["\u2014seed=3", "The", "king"], "did you mean --seed, with two hyphens?"),
        (["--", "x", "--seed", "3"], "options come before '--'"),
        (["The", "king", "of", "--seed", "3"], 'in quotes, as in "The king of"'),
        (["--seed", "3", "The", "old", "king"], 'in quotes, as in "The old king"'),
    ],
)
def test_unknown_argument_is_one_line_with_a_hint(run, arguments, hint):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert re.fullmatch(r"error: unrecognized arguments: .+\n", err) and hint in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--top-p 1.5", "--top-p is 1.5, and it must be a number from 0 to 1"),
        ("--temperature 0", "--temperature is 0.0, and it must be a number above 0: for the most likely token use --greedy"),
        ("--num-return-sequences 2 --greedy", "set --sample, or --num-beams to at least as many"),
        ("--num-return-sequences 3 --num-beams 2", "--num-beams 2 cannot give --num-return-sequences 3"),
        ("--max-length 3", "--max-length is 3, so there is no room for new ones: raise --max-length, or set --max-new-tokens"),
        ("--max-new-tokens 300", "continue with only the last tokens (--slide)"),
        ("--stop=", "--stop is ['']"),
        ("--stop ---", "argument --stop: expected one argument (if it begins with a hyphen, write --stop=-x)"),
        ("--bad-word=\udcff", "argument --bad-word: '\\udcff' is not UTF-8 text"),
        ("--assistant-model=", "argument --assistant-model: it is empty"),
        ("--max-new-tokens 3.0", "argument --max-new-tokens: '3.0' is not a whole number"),
        ("--temperature 0,8", "argument --temperature: '0,8' is not a number"),
        (f"--eos-token-id {TOO_LARGE}", f"--eos-token-id has the id {TOO_LARGE}"),
        (
            f"--prompt-lookup-num-tokens 2 --assistant-model {DEFAULT_CHECKPOINT}",
            "--assistant-model and --prompt-lookup-num-tokens are two",
        ),
    ],
)
def test_error_names_the_arguments_of_the_command(run, arguments, words):
    status, out, err = run(PROMPT, *arguments.split())
    assert (status, out) == (2, "")
    assert re.fullmatch(r"error: .+\n", err) and words in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("--greedy --top-k 3", "--top-k changes nothing here: it needs --sample"),
        ("--num-beams 2 --temperature 0.5", "--temperature changes nothing here: it needs --sample"),
        ("--length-penalty 2", "--length-penalty changes nothing here: it needs --num-beams above 1"),
        ("--early-stopping never", "--early-stopping changes nothing here: it needs --num-beams above 1"),
        ("--num-assistant-tokens 3", "--num-assistant-tokens changes nothing here: it needs --assistant-model"),
        ("--cut-stop", "--cut-stop changes nothing here: it needs --stop"),
        (r"--stop \n", r"--stop \n has a backslash and a letter: for a line break, bash and zsh take --stop $'\n'"),
        ("--max-length 40", "--max-length changes nothing here: --max-new-tokens overrides it"),
        ("--min-length 2 --min-new-tokens 2", "--min-length changes nothing here: --min-new-tokens overrides it"),
    ],
)
def test_option_that_is_ignored_says_so(run, arguments, words):
    status, _, err = run(PROMPT, *SHORT, *arguments.split())
    assert (status, err) == (0, f"warning: {words}.\n")


def test_error_of_the_generation_config_keeps_the_names_of_the_file(run, tmp_path):
    model = word_model(seed=1)
    model.generation_config = {"top_p": 1.5}
    neo_np.save(model, tmp_path)
    assert run(PROMPT, "--model", tmp_path).err.startswith("error: generation_config.json: top_p is 1.5")


def test_generation_config_null_is_as_if_missing(run, tmp_path):
    model = word_model(seed=1)
    neo_np.save(model, tmp_path / "plain")
    model.generation_config = dict.fromkeys(["temperature", "top_p", "do_sample", "max_new_tokens", "num_beams", "seed"])
    neo_np.save(model, tmp_path / "null")
    results = [run(PROMPT, *SHORT, "--model", tmp_path / name) for name in ("plain", "null")]
    assert results[0] == results[1] and results[0].status == 0


def test_generation_config_greedy_is_used(run, tmp_path):
    model = word_model(seed=1)
    model.generation_config = {"do_sample": False, "temperature": 0.0}
    neo_np.save(model, tmp_path)
    assert run(PROMPT, *SHORT, "--model", tmp_path) == (0, model.generate(PROMPT, max_new_tokens=12) + "\n", "")
    sampled = model.generate(PROMPT, max_new_tokens=12, do_sample=True, temperature=2.0, top_p=0.95, seed=7)
    assert run(PROMPT, *SHORT, "--sample", "--temperature", 2, "--model", tmp_path).out == sampled + "\n"


def test_generation_config_beams_are_used(run, tmp_path):
    model = word_model(seed=1)
    model.generation_config = {"num_beams": 3}
    neo_np.save(model, tmp_path)
    assert run(PROMPT, *SHORT, "--model", tmp_path).out == model.generate(PROMPT, max_new_tokens=12, num_beams=3) + "\n"
    assert run(PROMPT, *SHORT, "--show-probs", "--model", tmp_path).err.startswith("error: --show-probs follows one text")


class Terminal(io.TextIOWrapper):
    """Standard input of a terminal where nothing was typed."""

    def isatty(self):
        return True


@pytest.mark.parametrize("stdin", [Terminal(io.BytesIO()), None], ids=["terminal", "closed"])
def test_no_prompt_and_no_pipe_is_an_error(monkeypatch, capsys, stdin):
    monkeypatch.setattr(sys, "stdin", stdin)
    assert main([]) == 2
    assert re.fullmatch(r"error: no prompt.*--interactive.*\n", capsys.readouterr().err)


def test_interactive_closed_standard_input_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["--interactive"]) == 2
    assert re.fullmatch(r"error: .*\n", capsys.readouterr().err)


def test_interactive_terminal_is_told_how_to_end(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", Terminal(io.BytesIO(b"The king\n")))
    assert main(["--interactive", *SHORT]) == 0
    assert re.fullmatch(r"[^\n]*Ctrl-C[^\n]*Ctrl-D[^\n]*\n", capsys.readouterr().err)


def test_error_pickle_without_safetensors_is_one_line(run, tmp_path):
    shutil.copytree(ROOT / "weights" / DEFAULT_CHECKPOINT, tmp_path / "old")
    (tmp_path / "old" / "model.safetensors").rename(tmp_path / "old" / "pytorch_model.bin")
    status, out, err = run(PROMPT, "--model", tmp_path / "old")
    assert (status, out) == (2, "")
    assert re.fullmatch(r"error: .*import GPTNeoForCausalLM; .*from_pretrained.*; .*save_pretrained.*\n", err)


def test_warning_is_one_line_on_standard_error(run):
    status, out, err = run(PROMPT, *SHORT, "--greedy", "--temperature", "0.5")
    assert (status, out) == (0, expected(**NOT_SAMPLED) + "\n")
    assert err == "warning: --temperature changes nothing here: it needs --sample.\n"


def test_warnings_about_weights_are_one_line_each(run, tmp_path):
    model = word_model(seed=1)
    model.params.h[0].mlp.c_fc.bias[0] = np.inf  # wrong, but there is still a text
    model.params.h[0].mlp.c_proj.weight[:, 0] = 0
    neo_np.save(model, tmp_path)
    found = run(PROMPT, *SHORT, "--model", tmp_path)
    assert re.match(r"warning: .*model\.safetensors.*h\.0\.mlp\.c_fc\.bias.*infinite.*\n", found.err)
    assert all(re.match("warning: |error: ", line) for line in found.err.splitlines())


@pytest.mark.parametrize("options", [["-W", "error"], pytest.param([], marks=pytest.mark.slow)])
def test_real_process_has_no_warnings_of_python(options):
    with start(PROMPT, "--max-new-tokens", "1", python=options) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert out.startswith(PROMPT.encode())


# Jupyter


class JupyterStream(io.TextIOBase):
    """Standard output as ipykernel has it: only text, without an encoding to set and without a file."""

    encoding = "UTF-8"

    def __init__(self):
        self.pieces = []

    def write(self, text):
        self.pieces.append(text)
        return len(text)

    def fileno(self):
        raise io.UnsupportedOperation("fileno")


@pytest.mark.parametrize("arguments", [[], ["--json"], ["--show-probs"], ["--num-beams", "2"]])
def test_jupyter_main_prints_what_the_command_prints(run, monkeypatch, arguments):
    expected = run(PROMPT, *SHORT, *arguments)
    out, err = JupyterStream(), JupyterStream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert main([PROMPT, *SHORT, *arguments]) == 0
    found, plain = "".join(out.pieces), expected.out
    if "--json" in arguments:
        found, plain = json.loads(found)["sequences"], json.loads(plain)["sequences"]
    assert (found, err.pieces) == (plain, [])


def test_jupyter_error_is_one_line(monkeypatch):
    out, err = JupyterStream(), JupyterStream()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    assert main([PROMPT, "--top-p", "5"]) == 2
    assert re.fullmatch(r"error: --top-p is 5.0.*\n", "".join(err.pieces)) and out.pieces == []


def test_jupyter_interactive_takes_another_standard_input(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("The king\n"))
    assert main([*SHORT, "--interactive"]) == 0
    assert capsys.readouterr() == (f"> {expected('The king')}\n> \n", "")


# Progress


@pytest.mark.parametrize(
    "arguments", [["--num-beams", "2"], ["--num-return-sequences", "2"], ["--json"], ["--num-beams", "2", "--json"]]
)
def test_progress_without_terminal_is_a_line_now_and_then(run, monkeypatch, arguments):
    monkeypatch.setattr("neo_np.terminal.SECONDS_PER_LINE", 0)
    status, out, err = run(PROMPT, *SHORT, *arguments)
    assert status == 0 and "%" not in out
    percents = [int(number) for number in re.findall(r"^(?:searching|writing): (\d+)%$", err, re.M)]
    assert len(percents) == len(err.splitlines()) >= 5
    assert percents == sorted(percents) and 0 < percents[0] < percents[-1] <= 100


# Terminals that are not UTF-8, closed pipes, full disks


STRANGE = "Größe \u2019Ø🙂"  # no one of these encodings has all of it


@pytest.fixture(params=["ascii", "cp1252", "cp437", "koi8-r"])
def terminal(request, monkeypatch):
    """Run the command with standard output in an encoding; returns a function that gives back the text."""

    def on_terminal(*arguments):
        raw = io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=request.param))
        assert main([*arguments]) == 0
        sys.stdout.flush()
        return raw.getvalue().decode(request.param)

    on_terminal.encoding = request.param
    return on_terminal


def test_terminal_not_utf_8_text_is_escaped(terminal):
    text = expected(STRANGE).encode(terminal.encoding, "backslashreplace").decode(terminal.encoding)
    assert terminal(STRANGE, *SHORT).splitlines() == text.splitlines()


def test_terminal_not_utf_8_json_is_complete(terminal):
    found = json.loads(terminal(STRANGE, *SHORT, "--json"))
    assert found["prompt"] == STRANGE
    assert found["sequences"][0]["text"] == expected(STRANGE)


def test_terminal_not_utf_8_show_probs_uses_ascii_marks(terminal):
    blocks, _ = read_blocks(terminal(STRANGE, *SHORT, "--show-probs"))
    assert len(blocks) == 12
    assert all(sum(mark in ">▶" for mark, *_ in block) == 1 for block in blocks)


@pytest.mark.parametrize("encoding", ["cp1252", pytest.param("ascii", marks=pytest.mark.slow)])
def test_encoding_of_the_environment_is_used(tales, encoding):
    with start(*SHORT, "--json", stdin=subprocess.PIPE, environment={"PYTHONIOENCODING": encoding}) as process:
        out, err = process.communicate(STRANGE.encode())
    assert (process.returncode, err) == (0, b"")
    assert json.loads(out.decode(encoding))["sequences"][0]["text"] == expected(STRANGE, tales)


ENDLESS = ("--slide", "--max-new-tokens", "1000000", "--min-new-tokens", "1000000")


@pytest.mark.parametrize(
    "arguments",
    [
        ENDLESS,
        ("--json", *SHORT),
        ("--help",),
        pytest.param(("--num-beams", "2", *SHORT), marks=pytest.mark.slow),
        pytest.param(("--show-probs", *SHORT), marks=pytest.mark.slow),
    ],
)
def test_closed_pipe_ends_silently(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    with start(PROMPT, *arguments, stdout=writing) as process:
        os.close(writing)
        assert process.communicate(timeout=20)[1] == b""


def test_full_disk_is_one_line_with_status_2():
    with open("/dev/full", "wb") as full, start(PROMPT, *SHORT, stdout=full) as process:
        err = process.communicate()[1].decode()
    assert process.returncode == 2
    assert re.fullmatch(r"error: .*\n", err)


def test_main_without_arguments_reads_sys_argv(monkeypatch, run, capsys):
    monkeypatch.setattr(sys, "argv", ["neo_np.generate", PROMPT, *SHORT])
    assert command.main() == 0
    assert capsys.readouterr().out == expected() + "\n"
