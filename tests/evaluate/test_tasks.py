"""Last words and multiple choice against a slow loop over single tokens."""

import math
import statistics

import pytest
from evaluate_helpers import MODEL, slow_continuation

from neo_np import NeoError
from neo_np.evaluate import tasks
from neo_np.evaluate.tasks import evaluate_choices, evaluate_lambada


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
    monkeypatch.setattr(tasks, "log_likelihoods", lambda *arguments: [(score, False) for score in scores])
    for label in (0, 1):
        found = evaluate_choices(MODEL, [{"context": "x", "choices": choices, "label": label}])
        assert (found["acc"], found["acc_norm"]) == tuple(float(best == label) for best in likeliest)
        assert found["acc_stderr"] is found["acc_norm_stderr"] is None


def test_evaluate_lambada_perplexity_can_be_infinite(monkeypatch):
    monkeypatch.setattr(tasks, "log_likelihoods", lambda *arguments: [(-800.0, False)])
    assert evaluate_lambada(MODEL, ["a b"])["perplexity"] == math.inf


def test_evaluate_of_nothing_is_refused():
    for function in (evaluate_lambada, evaluate_choices):
        with pytest.raises(NeoError, match="nothing to score"):
            function(MODEL, [])
