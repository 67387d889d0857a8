"""Two tasks of lm-evaluation-harness: the last word of a text (LAMBADA), and multiple choice.

Course: notebook 16.
"""

import math
from collections.abc import Sequence

import numpy as np

from neo_np.errors import NeoError
from neo_np.evaluate.likelihood import BATCH_SIZE, Progress, Row, continuation_row, log_likelihoods
from neo_np.evaluate.text import exp
from neo_np.model import Model

DELIMITER = " "  # between a question and a choice


def evaluate_lambada(
    model: Model, texts: Sequence[str], batch_size: int = BATCH_SIZE, progress: Progress | None = None
) -> dict[str, float | None]:
    """Return how well the model guesses the last word of texts: lambada_openai of lm-evaluation-harness.

    Paperno et al. 2016 (arXiv 1606.06031). The last word is what follows the last space, with that space.
    Returns a dict of texts, acc (the share of texts in which every token of the word is the likeliest one), acc_stderr (its
    standard error) and perplexity (e to the mean of -log-likelihood over the words: per word, not per token).
    """
    pairs = [text.rpartition(" ") for text in texts]
    rows = [continuation_row(model, context, " " + word) for context, _, word in pairs]
    scores = log_likelihoods(model, not_empty(rows), batch_size, progress)
    acc = [greedy for _, greedy in scores]
    word_nats = -np.mean([log_likelihood for log_likelihood, _ in scores])
    return {"texts": len(texts), "acc": mean(acc), "acc_stderr": standard_error(acc), "perplexity": exp(word_nats)}


def evaluate_choices(
    model: Model, questions: Sequence[dict], batch_size: int = BATCH_SIZE, progress: Progress | None = None
) -> dict[str, float | None]:
    """Return how often the model finds the right choice: multiple_choice of lm-evaluation-harness.

    questions: dicts {"context": str, "choices": list of str, "label": index of the right one}. A choice follows the context
        after one space; its score is the log-likelihood of its tokens.
    Returns a dict of questions, acc (the share of questions in which the right choice has the highest score), acc_norm (the
    highest score per character of the choice, without the space before it), acc_stderr and acc_norm_stderr (standard errors).
    """
    pairs = [(question["context"], DELIMITER + choice) for question in questions for choice in question["choices"]]
    rows = [continuation_row(model, *pair) for pair in pairs]
    scores = iter(log_likelihoods(model, not_empty(rows), batch_size, progress))
    acc, acc_norm = [], []
    for question in questions:
        nats = np.array([next(scores)[0] for _ in question["choices"]])
        lengths = np.array([len(choice) for choice in question["choices"]])
        acc.append(int(nats.argmax()) == question["label"])
        acc_norm.append(int((nats / lengths).argmax()) == question["label"])
    return {
        "questions": len(questions),
        "acc": mean(acc),
        "acc_stderr": standard_error(acc),
        "acc_norm": mean(acc_norm),
        "acc_norm_stderr": standard_error(acc_norm),
    }


def not_empty(rows: list[Row]) -> list[Row]:
    """Return the rows; raises NeoError if there are none."""
    if not rows:
        raise NeoError("there is nothing to score: the list is empty.")
    return rows


def mean(hits: Sequence[bool]) -> float:
    """Return the share of hits."""
    return sum(hits) / len(hits)


def standard_error(hits: Sequence[bool]) -> float | None:
    """Return the standard error of the mean, sqrt(sum (x - mean)^2 / (n - 1) / n); None if n is 1."""
    if len(hits) < 2:
        return None
    return float(np.std(hits, ddof=1)) / math.sqrt(len(hits))
