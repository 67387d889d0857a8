"""tasks."""

import math

import numpy as np

from neo_np.errors import NeoError
from neo_np.evaluate.likelihood import BATCH_SIZE, continuation_row, log_likelihoods
from neo_np.evaluate.text import exp

DELIMITER = " "  # between a question and its answer


def evaluate_lambada(model, texts, batch_size=BATCH_SIZE, progress=None):
    """Return a dict that says how well the model guesses the last word of texts: lambada_openai of lm-evaluation-harness.

    Paperno et al. 2016 (arXiv 1606.06031). The word is what stands after the last space, with that space.
    texts, acc (the share where every token of the word is the likeliest one), acc_stderr (its standard error), perplexity
    (e to the mean over the words of -log-likelihood: per word, not per token).
    """
    pairs = [text.rpartition(" ") for text in texts]
    rows = [continuation_row(model, context, " " + word) for context, _, word in pairs]
    results = log_likelihoods(model, some(rows), batch_size, progress)
    acc = [greedy for _, greedy in results]
    word_nats = -np.mean([log_likelihood for log_likelihood, _ in results])
    return {"texts": len(texts), "acc": mean(acc), "acc_stderr": standard_error(acc), "perplexity": exp(word_nats)}


def evaluate_choices(model, questions, batch_size=BATCH_SIZE, progress=None):
    """Return a dict that says how often the model finds the right choice: multiple_choice of lm-evaluation-harness.

    questions: dicts {"context": str, "choices": list of str, "label": index of the right one}. A choice follows the context
        after one space; its score is the log-likelihood of its tokens.
    questions, acc (the share where the right choice has the highest score), acc_norm (the highest score per
    character of the choice, the space before it not counted), acc_stderr and acc_norm_stderr (standard errors).
    """
    pairs = [(question["context"], DELIMITER + choice) for question in questions for choice in question["choices"]]
    results = iter(log_likelihoods(model, some([continuation_row(model, *pair) for pair in pairs]), batch_size, progress))
    acc, acc_norm = [], []
    for question in questions:
        scores = np.array([next(results)[0] for _ in question["choices"]])
        lengths = np.array([len(choice) for choice in question["choices"]])
        acc.append(int(scores.argmax()) == question["label"])
        acc_norm.append(int((scores / lengths).argmax()) == question["label"])
    return {
        "questions": len(questions),
        "acc": mean(acc),
        "acc_stderr": standard_error(acc),
        "acc_norm": mean(acc_norm),
        "acc_norm_stderr": standard_error(acc_norm),
    }


def some(rows):
    """Return the rows; raises NeoError where there are none."""
    if not rows:
        raise NeoError("there is nothing to score: the list is empty.")
    return rows


def mean(hits):
    """Return the share of hits."""
    return sum(hits) / len(hits)


def standard_error(hits):
    """Return the standard error of the mean, sqrt(sum (x - mean)^2 / (n - 1) / n); None for a single x."""
    if len(hits) < 2:
        return None
    return float(np.std(hits, ddof=1)) / math.sqrt(len(hits))
