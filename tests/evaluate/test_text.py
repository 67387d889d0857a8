"""Loss and bits per byte of texts against a slow loop over single tokens."""

import math

import numpy as np
import pytest
from evaluate_helpers import END, MODEL, NO_BEGIN, TOKENIZER, small_model, token_log_probability
from hypothesis import given
from hypothesis import strategies as st

from neo_np import NeoError, Tokenizer
from neo_np.evaluate.text import evaluate_text, text_windows
from neo_np.tokenizer.settings import Settings

DOCUMENTS = ["the thé of the house, " * 5, "thé", "then there was " * 3, "x", ""]


def slow_text(model, ids, window, stride):
    """Return the log-likelihood of all ids but the first: each by the first window that ends at it or later."""
    total, ends = 0.0, [*range(window, len(ids) - 1, stride), len(ids) - 1]
    for t in range(1, len(ids)):
        end = next(end for end in ends if end >= t)
        total += token_log_probability(model, ids[max(0, end - window) : t], ids[t])
    return total


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


def test_evaluate_text_with_tokens_around_each_text_scores_the_text_itself():
    """The begin token is there already, and an end token is no text."""
    settings = Settings(before=(END,), after=(END,))
    around = small_model(std=0.3, tokenizer=Tokenizer(TOKENIZER.vocab, TOKENIZER.merges, settings=settings))
    documents = ["the theme", "of this"]
    assert evaluate_text(around, documents) == evaluate_text(MODEL, documents)
