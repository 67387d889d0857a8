"""Evaluation against transformers' loss, and against lm-evaluation-harness with its own Hugging Face model."""

import json
import random
import shutil
from types import SimpleNamespace

import datasets
import lm_eval
import numpy as np
import pytest
import torch
from helpers import ROOT, byte_tokenizer
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from pairs import random_pair
from transformers import AutoTokenizer, GPT2Tokenizer, GPTNeoForCausalLM

import neo_np
from neo_np import Tokenizer
from neo_np.evaluate.harness import harness_model
from neo_np.evaluate.tasks import evaluate_choices, evaluate_lambada
from neo_np.evaluate.text import evaluate_text, text_windows
from neo_np.folders.find import find_checkpoint

TEXTS = [
    (ROOT / "notebooks" / "data" / "valid.txt").read_text(encoding="utf-8")[:3000],  # more tokens than the model has positions
    "A short one.",
    "Ünï cödé: 🐸 and\n\ntwo  spaces ",
    "It ends.<|endoftext|>And begins.",
]
LAST_WORDS = [
    "The princess sat under the wheelbarrow",
    "said the old woman and " * 60 + "cat",
    "two  spaces",
    "Alone",
]
QUESTIONS = [
    {"context": "Once upon a time there was a", "choices": ["king", "queen who lived in a castle", "réw"], "label": 0},
    {"context": "Once upon a time there was a", "choices": ["x", "x and the king said to the queen"], "label": 0},
    {"context": "In the morning", "choices": ["z", "z and she said to the king"], "label": 1},
    {"context": "The king said: ", "choices": ["wheelbarrow", "yes", "x"], "label": 1},
    {"context": "", "choices": ["Once", "The"], "label": 0},
    {"context": "said the old woman and " * 60, "choices": ["the", "wheelbarrow"], "label": 0},
]


@pytest.fixture(scope="module")
def reference():
    """The shipped checkpoint in transformers."""
    return GPTNeoForCausalLM.from_pretrained(find_checkpoint(None), dtype=torch.float32)


@pytest.fixture(scope="module")
def tokenizer():
    return GPT2Tokenizer.from_pretrained(find_checkpoint(None))


@pytest.fixture(scope="module")
def last_words(tales):
    """LAST_WORDS, and a text whose last word is the one that the model would write."""
    written = tales.generate("Once upon a time there was", max_new_tokens=30)
    return [*LAST_WORDS, " ".join(written.split(" ")[:9])]


def transformers_loss(reference, ids, scored):
    """Return transformers' loss over the last `scored` ids, in all: labels of -100 are left out."""
    labels = [-100] * (len(ids) - scored) + ids[-scored:]
    with torch.no_grad():
        return reference(torch.tensor([ids]), labels=torch.tensor([labels])).loss.item() * scored


def test_loss_of_one_window(tales, reference, tokenizer):
    text = "Once upon a time there was a king who had three sons. " * 10
    ids = [tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]
    with torch.no_grad():
        expected = reference(torch.tensor([ids]), labels=torch.tensor([ids])).loss.item()
    assert evaluate_text(tales, [text])["loss"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(("window", "stride"), [(None, None), (100, 30), (255, 255)])
def test_loss_of_many_windows(tales, reference, tokenizer, window, stride):
    found = evaluate_text(tales, TEXTS, window, stride)
    total, tokens = 0.0, 0
    for text in TEXTS:
        ids = [tokenizer.bos_token_id, *tokenizer(text)["input_ids"]]
        tokens += len(ids) - 1
        for row, scored in text_windows(ids, found["window"], found["stride"]):
            if len(row) <= 256:
                total += transformers_loss(reference, row, scored)
            else:  # transformers feeds the last token too, which would be past the last position
                with torch.no_grad():
                    logits = reference(torch.tensor([row[:-1]])).logits[0, -scored:]
                total += torch.nn.functional.cross_entropy(logits, torch.tensor(row[-scored:]), reduction="sum").item()
    assert found["tokens"] == tokens
    assert found["loss"] == pytest.approx(total / tokens, abs=1e-5)


def task(name, rows, **entries):
    """Return a task of the harness over rows in memory."""
    return {
        "task": name,
        "custom_dataset": lambda **options: {"test": datasets.Dataset.from_list(rows)},
        "test_split": "test",
        **entries,
    }


def results(model, last_words):
    """Return ({task: {metric: value}}, {task: answers}) of a model of the harness on four small tasks."""
    text_rows = [{"text": text} for text in TEXTS]
    tasks = [
        task(
            "choices",
            QUESTIONS,
            output_type="multiple_choice",
            doc_to_text="{{context}}",
            doc_to_choice="{{choices}}",
            doc_to_target="label",
            metric_list=[{"metric": "acc"}, {"metric": "acc_norm"}],
        ),
        task(  # as lambada_openai has it
            "last_words",
            [{"text": text} for text in last_words],
            output_type="loglikelihood",
            doc_to_text="{{text.split(' ')[:-1]|join(' ')}}",
            doc_to_target="{{' '+text.split(' ')[-1]}}",
            metric_list=[{"metric": "acc"}, {"metric": "perplexity"}],
        ),
        task(
            "texts",
            text_rows,
            output_type="loglikelihood_rolling",
            doc_to_text="",
            doc_to_target=lambda row: row["text"],
            metric_list=[{"metric": "bits_per_byte"}],
        ),
        task(
            "writing",
            text_rows,
            output_type="generate_until",
            doc_to_text=lambda row: row["text"],
            doc_to_target="",
            generation_kwargs={"until": [".", "\n"], "max_gen_toks": 20},
            metric_list=[{"metric": "bypass"}],
        ),
    ]
    options = {"task_manager": TaskManager(include_defaults=False), "bootstrap_iters": 2, "log_samples": True}
    found = lm_eval.simple_evaluate(model=model, tasks=tasks, **options)
    answers = {name: [sample["resps"] for sample in samples] for name, samples in found["samples"].items()}
    return {name: found["results"][name] for name in answers}, answers


@pytest.fixture(scope="module")
def expected(reference, tokenizer, last_words):
    """The results of the harness's own model."""
    return results(HFLM(pretrained=reference, tokenizer=tokenizer, batch_size=3), last_words)


def test_evaluate_against_the_harness(tales, expected, last_words):
    measured, _ = expected
    choices, words = evaluate_choices(tales, QUESTIONS), evaluate_lambada(tales, last_words)
    text = evaluate_text(tales, TEXTS, stride=tales.config.max_position_embeddings)
    for found, wanted, names in [
        (choices, measured["choices"], ["acc", "acc_stderr", "acc_norm", "acc_norm_stderr"]),
        (words, measured["last_words"], ["acc", "acc_stderr"]),
    ]:
        assert {name: found[name] for name in names} == pytest.approx({name: wanted[f"{name},none"] for name in names})
    assert 0 < words["acc"] < 1
    assert words["perplexity"] == pytest.approx(measured["last_words"]["perplexity,none"], rel=1e-4)
    assert text["bits_per_byte"] == pytest.approx(measured["texts"]["bits_per_byte,none"], rel=1e-6)


def test_the_adapter_inside_the_harness(tales, expected, last_words):
    _, wanted = expected
    _, found = results(harness_model(tales, batch_size=3), last_words)
    assert found["writing"] == wanted["writing"]
    assert found["texts"] == [[[pytest.approx(score, rel=1e-5)]] for [[score]] in wanted["texts"]]
    for name in ("choices", "last_words"):
        for ours, theirs in zip(found[name], wanted[name], strict=True):
            assert [greedy for [(_, greedy)] in ours] == [greedy for [(_, greedy)] in theirs]
            np.testing.assert_allclose([s for [(s, _)] in ours], [s for [(s, _)] in theirs], rtol=1e-4)


# Request by request

PAIRS = [
    ("The king", "dom was great"),  # "The kingdom" has other tokens than "The king"
    ("Once upon a t", "ime there was"),
    ("was wh", "eelbarrow"),
    ("don", "'t do"),
    ("1", "234"),
    ("The king", " said"),
    ("Once upon a ", " time"),
    ("It was   ", "  night"),
    ("a\n\n", "\nb"),
    ("", "Once"),
    ("", "<|endoftext|>Once"),
    ("<|endoftext|>The king", " said"),
    ("The", "<|endoftext|>"),
    ("ü", "ber"),
    ("日", "本"),
    ("x" * 600, " y"),  # more tokens than the model's 256 positions
    ("said the old woman and " * 60, "the cat"),
]
SETTINGS = [
    {},
    {"add_bos_token": True},
    {"add_prefix_space": True},
    {"add_bos_token": True, "add_prefix_space": True},
    {"split_special_tokens": True},
]


def request(*arguments):
    """Return a request as the harness makes them."""
    return SimpleNamespace(args=arguments, task_name=None)


@pytest.fixture(scope="module", params=SETTINGS, ids=str)
def pair(request, tmp_path_factory):
    """The harness's own model and ours, with a tokenizer_config.json."""
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    shutil.copytree(find_checkpoint(None), folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "GPT2Tokenizer", **request.param}))
    reference = GPTNeoForCausalLM.from_pretrained(folder, dtype=torch.float32)
    theirs = HFLM(pretrained=reference, tokenizer=AutoTokenizer.from_pretrained(folder), batch_size=1)
    return theirs, harness_model(neo_np.load(folder))


def test_loglikelihood_of_each_pair_is_that_of_the_harness(pair):
    theirs, ours = pair
    requests = [request(*arguments) for arguments in PAIRS]
    for arguments, expected, found in zip(
        PAIRS, theirs.loglikelihood(requests, disable_tqdm=True), ours.loglikelihood(requests), strict=True
    ):
        assert found == (pytest.approx(expected[0], abs=2e-4, rel=1e-5), expected[1]), arguments


def test_loglikelihood_rolling_of_each_text_is_that_of_the_harness(pair):
    theirs, ours = pair
    requests = [request(text) for text in (*TEXTS, "", "x", "<|endoftext|>Once")]
    expected = theirs.loglikelihood_rolling(requests, disable_tqdm=True)
    assert ours.loglikelihood_rolling(requests) == pytest.approx(expected, rel=1e-5, abs=2e-4)


CONTEXTS = ["Once upon a time there was", "The king said:\n\n", "\n", "The end.", "a b. c. ", "<|endoftext|>", "king " * 300]
UNTIL = [
    [],
    "\n",
    ["\n\n"],
    [" ", "."],
    ["<|endoftext|>"],
    ["king", "ing"],
    ["ing", "king"],
    ["the", "he", "e"],
    ["e", "he", "the"],
]


def some_stop_texts(text, count):
    """Return random pairs of overlapping parts of a text, in both orders."""
    rng, found = random.Random(text), []
    for _ in range(count):
        place = rng.randrange(3, max(4, len(text) - 6))
        stops = [text[place - rng.randrange(4) : place + rng.randrange(1, 6)] for _ in range(2)]
        found += [stops, stops[::-1]]
    return found


@pytest.mark.parametrize("context", CONTEXTS)
def test_generate_until_of_each_request_is_that_of_the_harness(reference, tokenizer, tales, context):
    """Stop texts that begin in the context, that overlap, and that do not occur."""
    theirs, ours = HFLM(pretrained=reference, tokenizer=tokenizer, batch_size=1), harness_model(tales)
    [text] = ours.generate_until([request(context, {"until": [], "max_gen_toks": 30})])
    for until in [*UNTIL, *some_stop_texts(text, 8)]:
        options = {"until": until, "max_gen_toks": 30}
        expected = theirs.generate_until([request(context, dict(options))], disable_tqdm=True)
        assert ours.generate_until([request(context, options)]) == expected, until


@pytest.mark.parametrize(
    "options",
    [
        {"max_gen_toks": 5, "max_new_tokens": 9},
        {"max_new_tokens": 7},
        {"max_tokens": "7"},
        {"max_length": 12, "max_gen_toks": 30},
        {"max_gen_toks": 9, "temperature": 0.0},
        {"max_gen_toks": 9, "do_sample": False, "temperature": 0.7},
        {"max_gen_toks": 20, "repetition_penalty": 1.5},
        {"max_gen_toks": 20, "no_repeat_ngram_size": 2},
        {"max_gen_toks": 12, "num_beams": 3},
        {"max_gen_toks": 12, "min_new_tokens": 8},
    ],
    ids=str,
)
def test_generate_until_takes_the_options_of_the_harness(reference, tokenizer, tales, options):
    theirs, ours = HFLM(pretrained=reference, tokenizer=tokenizer, batch_size=1), harness_model(tales)
    expected = theirs.generate_until([request(CONTEXTS[0], dict(options))], disable_tqdm=True)
    assert ours.generate_until([request(CONTEXTS[0], options)]) == expected


@pytest.mark.parametrize("seed", range(4))
def test_generate_until_at_special_tokens_is_that_of_the_harness(tmp_path, seed):
    """A stop text may be a special token, or begin or end with one; such tokens are not in the answer."""
    special = [f"<|turn{i}|>" for i in range(60)]
    known = byte_tokenizer(*special)
    ids = {token: id for token, id in known.vocab.items() if token in special} | known.special_tokens
    reference, model = random_pair(seed, 0.3, vocab_size=len(known), max_position_embeddings=128, eos_token_id=256)
    model.tokenizer = Tokenizer(known.vocab, [], special_tokens=ids)
    model.tokenizer.save(tmp_path)
    theirs = HFLM(pretrained=reference, tokenizer=AutoTokenizer.from_pretrained(tmp_path), batch_size=1)
    ours, options = harness_model(model), {"max_gen_toks": 60, "no_repeat_ngram_size": 1}
    prompt = model.tokenizer.encode("abc")
    written = model.generate(prompt, max_new_tokens=60, no_repeat_ngram_size=1)[len(prompt) :]
    places = [i for i, id in enumerate(written) if model.tokenizer.id_to_token[id] in special]
    assert len(places) > 3
    for place in places[:4]:
        parts = written[place : place + 1], written[max(0, place - 1) : place + 1], written[place : place + 2]
        texts = [model.tokenizer.decode(part) for part in parts]
        for until in (texts[:1], texts[1:2], texts[2:], texts, texts[::-1]):
            until = [text for text in until if "\ufffd" not in text]
            expected = theirs.generate_until([request("abc", options | {"until": list(until)})], disable_tqdm=True)
            assert ours.generate_until([request("abc", options | {"until": until})]) == expected, until
