"""Log-likelihoods against a slow loop over single tokens."""

import tracemalloc

import numpy as np
import pytest
from evaluate_helpers import END, END_OF_TEXT, MODEL, NO_BEGIN, TOKENIZER, slow_continuation, small_model
from helpers import random_model

from neo_np import NeoError, Tokenizer
from neo_np.evaluate.likelihood import begin_token, continuation_row, log_likelihoods
from neo_np.tokenizer.settings import Settings


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
        (([([1, 259], 1)],), "id 259 is not a token of this model"),
        (([([259, 1], 1)],), "id 259 is not a token of this model"),
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
    with pytest.raises(NeoError, match="are NaN"):
        log_likelihoods(model, [([1, 2], 1)])


def test_log_likelihoods_report_progress_in_tokens():
    seen = []
    log_likelihoods(MODEL, [([1, 2, 3], 1), ([1, 2], 1), ([1] * 5, 1)], 2, lambda *numbers: seen.append(numbers))
    assert seen == [(8, 10), (10, 10)]  # the longest rows first, so that those of similar length share a batch


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
        ("t", "hex", (["t"], ["x"])),  # "thex" is "the", "x": the context's one token, then all but the first of "thex"
        ("th", "ex", (["th"], ["x"])),
        ("a t", "hex", (["a", " ", "t"], ["x"])),
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


def test_continuation_row_of_a_tokenizer_that_adds_a_begin_token_has_it_once():
    settings = Settings(before=(END,))
    adding = small_model(tokenizer=Tokenizer(TOKENIZER.vocab, TOKENIZER.merges, settings=settings))
    for context, continuation in (("of the", " theme"), ("a ", "b"), (END_OF_TEXT + "a", " b")):
        ids, scored = continuation_row(MODEL, context.removeprefix(END_OF_TEXT), continuation)
        assert continuation_row(adding, context, continuation) == ([END, *ids], scored)
    assert continuation_row(adding, "", "the") == continuation_row(MODEL, "", "the")


def test_begin_token_is_the_tokenizer_s_and_inside_the_vocabulary():
    roles = {"bos_token": "the", "eos_token": "th"}
    tokenizer = Tokenizer(TOKENIZER.vocab, TOKENIZER.merges, special_tokens={"the": 257, "th": 256}, settings=Settings(roles))
    assert begin_token(small_model(tokenizer=tokenizer)) == 257
    assert begin_token(small_model(tokenizer=tokenizer, vocab_size=257, bos_token_id=5)) == 256  # 257 is outside
    assert begin_token(small_model(tokenizer=tokenizer, vocab_size=256, bos_token_id=None, eos_token_id=[999, 7])) == 7
    assert begin_token(small_model(tokenizer=tokenizer, vocab_size=256, bos_token_id=50256, eos_token_id=50256)) is None
    assert begin_token(small_model(tokenizer=None, bos_token_id=None, eos_token_id=9)) == 9
    assert begin_token(small_model(tokenizer=tokenizer, bos_token_id=None, eos_token_id=None)) is None
