"""Evaluation against transformers' loss, and against lm-evaluation-harness with its own Hugging Face model."""

import datasets
import lm_eval
import numpy as np
import pytest
import torch
from lm_eval.models.huggingface import HFLM
from lm_eval.tasks import TaskManager
from transformers import GPT2Tokenizer, GPTNeoForCausalLM

from neo_np.evaluate.harness import harness_model
from neo_np.evaluate.tasks import evaluate_choices, evaluate_lambada
from neo_np.evaluate.text import evaluate_text, text_windows
from neo_np.folders.find import find_checkpoint

TEXTS = [
    "Once upon a time there was a king who had three sons. " * 25,  # more tokens than the model's 256 positions
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
            else:  # transformers computes logits for the last token too, which would stand past the last position
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
