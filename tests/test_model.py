"""The whole model: batches, padding, taps, loss, precision, what it refuses, and how much memory it takes."""

import math
import os
import platform
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest
from helpers import pad_left, random_model
from hypothesis import given
from hypothesis import strategies as st

import neo_np
from neo_np import Config, Model, NeoError, Params
from neo_np.gpt_neo import forward as layers
from neo_np.gpt_neo.loss import token_log_probs
from neo_np.gpt_neo.params import parameter_shapes

MODEL = random_model(num_layers=3, attention_layers=["global", "local", "local"])  # a window of 4, 32 positions
IDS = np.random.default_rng(1).integers(50, size=(3, 20))
ROWS = st.lists(st.lists(st.integers(0, 49), min_size=1, max_size=12), min_size=1, max_size=4)


# Logits


def test_logits_of_a_text_and_of_a_batch():
    assert MODEL.logits(IDS[0]).shape == (20, 50)
    assert MODEL.logits(IDS).shape == (3, 20, 50)
    np.testing.assert_allclose(MODEL.logits(IDS)[1], MODEL.logits(IDS[1]), atol=1e-5)
    np.testing.assert_array_equal(MODEL.logits(IDS[0].tolist()), MODEL.logits(IDS[0]))


@given(ROWS, st.integers(0, 49))
def test_left_padding_changes_nothing(rows, filler):
    ids, mask = pad_left(rows, filler)
    batched, hidden = MODEL.logits(ids, mask=mask), MODEL.hidden_states(ids, mask=mask)
    for b, row in enumerate(rows):
        text = slice(ids.shape[1] - len(row), None)
        np.testing.assert_allclose(batched[b, text], MODEL.logits(row), atol=1e-5)
        for state, alone in zip(hidden, MODEL.hidden_states(row), strict=True):
            np.testing.assert_allclose(state[b, text], alone, atol=1e-5)


@given(st.integers(0, 19), st.integers(0, 49))
def test_a_later_token_never_changes_earlier_logits(place, token):
    changed = IDS.copy()
    changed[:, place] = token
    np.testing.assert_allclose(MODEL.logits(changed)[:, :place], MODEL.logits(IDS)[:, :place], atol=1e-6)


def test_how_far_back_local_layers_see():
    """Through two local layers with a window of 4, a token reaches 2 * 3 places on; a global layer has no such border."""
    local = random_model(num_layers=2, attention_layers=["local", "local"])
    mixed = random_model(num_layers=2, attention_layers=["local", "global"])
    changed = IDS.copy()
    changed[:, 5] += 1
    for model, last in ((local, 5 + 2 * 3), (mixed, 19)):
        touched = np.abs(model.logits(changed % 50) - model.logits(IDS)).max(axis=(0, 2)) > 1e-6
        assert np.flatnonzero(touched).tolist() == list(range(5, last + 1))


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("keep", [1, 3, 20, 100])
def test_logits_to_keep_gives_the_logits_of_the_last_positions(keep, fast):
    seen = {}
    found = MODEL.logits(IDS, logits_to_keep=keep, fast=fast, hook=seen.__setitem__)
    np.testing.assert_allclose(found, MODEL.logits(IDS)[:, -keep:], atol=1e-5)
    kept = min(keep, 20)
    shapes = {"h.1": (3, 20, 24), "h.2.attn.k": (3, 3, 20, 8), "h.2.attn.q": (3, 3, kept, 8), "h.2": (3, kept, 24)}
    shapes |= {"h.2.attn.weights": (3, 3, kept, 20), "logits": (3, kept, 50)}  # the last block computes only what is kept
    assert {name: seen[name].shape for name in shapes} == shapes
    np.testing.assert_allclose(MODEL.logits(IDS, logits_to_keep=keep, fast=fast), found, atol=1e-5)
    assert MODEL.logits(IDS[0], logits_to_keep=keep, fast=fast).shape == (kept, 50)


@pytest.mark.parametrize("keep", [1, 3, 100])
def test_logits_to_keep_leaves_the_cache_complete(keep):
    mask = np.ones(IDS.shape, int)
    mask[1, :7] = mask[2, :18] = 0
    whole, part = MODEL.new_cache(3), MODEL.new_cache(3)
    expected = MODEL.logits(IDS, mask=mask, cache=whole)[:, -keep:]
    found = MODEL.logits(IDS, mask=mask, cache=part, logits_to_keep=keep)
    seen = mask[:, -keep:, None] == 1
    np.testing.assert_allclose(np.where(seen, found, 0), np.where(seen, expected, 0), atol=1e-5)
    np.testing.assert_allclose(part.k[..., :20, :], whole.k[..., :20, :], atol=1e-6)
    np.testing.assert_allclose(part.v[..., :20, :], whole.v[..., :20, :], atol=1e-6)
    assert part.length == 20


def test_a_text_may_fill_all_positions_and_no_more():
    ids = np.zeros(33, int)
    assert MODEL.logits(ids[:32]).shape == (32, 50)
    with pytest.raises(NeoError, match=r"the text is 33 tokens long and the model has 32 positions.*slide=True"):
        MODEL.logits(ids)
    with pytest.raises(NeoError, match="the text is 33 tokens long"):
        MODEL.loss(ids)
    padded, mask = pad_left([ids[:32], ids[:2]])
    wider = [np.concatenate([np.zeros((2, 5), int), array], axis=1) for array in (padded, mask)]
    assert MODEL.logits(wider[0], mask=wider[1]).shape == (2, 37, 50)  # padding takes no position


def test_the_output_embedding_is_the_token_embedding_or_one_of_its_own():
    x = MODEL.hidden_states(IDS)[-1]
    np.testing.assert_allclose(MODEL.logits(IDS), x @ MODEL.params.wte.weight.T, atol=1e-5)
    untied = random_model(tie_word_embeddings=False)
    x = untied.hidden_states(IDS)[-1]
    np.testing.assert_allclose(untied.logits(IDS), x @ untied.params.lm_head.weight.T, atol=1e-5)


def test_a_model_in_float64_stays_in_float64():
    model = random_model(dtype=np.float64)
    ids, mask = pad_left([[1, 2, 3], [4]])
    for arrays in ([model.logits(ids, mask=mask)], model.hidden_states(ids, mask=mask)):
        assert {array.dtype for array in arrays} == {np.dtype(np.float64)}
    seen = {}
    random_model().logits(ids, mask=mask, hook=seen.__setitem__, cache=random_model().new_cache(2))
    assert {array.dtype for array in seen.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(random_model().logits(IDS), model.logits(IDS), atol=1e-5)


@pytest.mark.parametrize("std", [0.02, 0.1])
def test_float32_is_within_1e_5_of_float64_in_every_hidden_state(std):
    short, long = (random_model(std=std, dtype=dtype).hidden_states(IDS) for dtype in (np.float32, np.float64))
    for found, exact in zip(short, long, strict=True):
        assert np.linalg.norm(found - exact) / np.linalg.norm(exact) < 1e-5


# Hidden states and hooks


BLOCK_HOOKS = [
    *"ln_1 attn.q attn.k attn.v attn.scores attn.mask attn.weights attn.z attn.out".split(),
    *"resid_mid ln_2 mlp.pre mlp.post mlp.out".split(),
]


def test_hooks_see_every_named_array_in_order_and_change_nothing():
    seen = {}
    logits = MODEL.logits(IDS, hook=seen.__setitem__)
    blocks = [name for layer in range(3) for name in [*(f"h.{layer}.{point}" for point in BLOCK_HOOKS), f"h.{layer}"]]
    assert list(seen) == ["embed", *blocks, "ln_f", "logits"]
    np.testing.assert_array_equal(logits, MODEL.logits(IDS))
    np.testing.assert_array_equal(seen["logits"], logits)
    shapes = {"embed": 24, "h.1.ln_1": 24, "h.1.mlp.pre": 96, "h.1.mlp.post": 96, "h.1": 24, "ln_f": 24, "logits": 50}
    assert {name: seen[name].shape for name in shapes} == {name: (3, 20, size) for name, size in shapes.items()}
    assert seen["h.1.attn.q"].shape == seen["h.1.attn.z"].shape == (3, 3, 20, 8)
    assert seen["h.1.attn.weights"].shape == (3, 3, 20, 20)


def test_hooks_of_a_text_have_a_batch_of_one():
    seen = {}
    MODEL.logits(IDS[0], hook=seen.__setitem__)
    assert seen["h.0"].shape == (1, 20, 24)


@pytest.mark.parametrize("name", ["embed", *(f"h.1.{point}" for point in BLOCK_HOOKS), "h.1", "ln_f", "logits"])
def test_an_array_that_a_hook_returns_replaces_the_activation(name):
    factor = 0 if name == "h.1.attn.mask" else 2
    changed = MODEL.logits(IDS, hook=lambda at, array: factor * array if at == name else None)
    assert np.abs(changed - MODEL.logits(IDS)).max() > 1e-4


def test_what_a_hook_changes_in_an_array_counts_too():
    def double_embeddings(name, array):
        if name == "embed":
            array *= 2

    expected = MODEL.logits(IDS, hook=lambda name, array: 2 * array if name == "embed" else None)
    np.testing.assert_array_equal(MODEL.logits(IDS, hook=double_embeddings), expected)
    assert np.abs(expected - MODEL.logits(IDS)).max() > 1e-4  # and the weights are what they were


@pytest.mark.parametrize(("returned", "found"), [(np.zeros((3, 20, 25)), r"\(3, 20, 25\)"), (0, "int")])
def test_a_hook_that_returns_no_such_array_is_refused(returned, found):
    with pytest.raises(
        NeoError, match=rf"hook must return None or an array of shape \(3, 20, 24\) for 'h.1.resid_mid'; it returned {found}"
    ):
        MODEL.logits(IDS, hook=lambda name, array: returned if name == "h.1.resid_mid" else None)


def test_a_hook_that_is_no_function_is_refused():
    with pytest.raises(NeoError, match=r"hook must be a function f\(name, array\), and it is {}"):
        MODEL.logits(IDS, hook={})


def test_an_ablated_part_adds_nothing_to_the_residual_stream():
    seen = {}

    def silence(name, array):
        seen[name] = array
        return np.zeros_like(array) if name in ("h.1.attn.out", "h.1.mlp.out") else None

    MODEL.logits(IDS, hook=silence)
    np.testing.assert_array_equal(seen["h.1"], seen["h.0"])


def test_patching_an_array_of_another_run_reproduces_that_run():
    other = {}
    expected = MODEL.logits(IDS[::-1], hook=other.__setitem__)
    patched = MODEL.logits(IDS, hook=lambda name, array: other[name] if name == "embed" else None)
    np.testing.assert_array_equal(patched, expected)


def test_hidden_states_are_embeddings_blocks_and_last_layer_norm():
    seen = {}
    MODEL.logits(IDS, hook=seen.__setitem__)
    states = MODEL.hidden_states(IDS)
    for state, name in zip(states, ["embed", "h.0", "h.1", "h.2", "ln_f"], strict=True):
        np.testing.assert_array_equal(state, seen[name])
    p = MODEL.params
    np.testing.assert_array_equal(states[0], p.wte.weight[IDS] + p.wpe.weight[:20])
    np.testing.assert_array_equal(states[4], layers.layer_norm(states[3], p.ln_f.weight, p.ln_f.bias, 1e-5))
    for state, alone in zip(states, MODEL.hidden_states(IDS[0]), strict=True):
        assert alone.shape == (20, 24)
        np.testing.assert_allclose(state[0], alone, atol=1e-5)


def test_tap_is_the_old_name_of_hook():
    seen, old = {}, {}
    MODEL.logits(IDS, hook=seen.__setitem__)
    MODEL.logits(IDS, tap=old.__setitem__)
    assert seen.keys() == old.keys()


def test_hook_names_do_not_depend_on_the_length_of_the_text():
    model = random_model(max_position_embeddings=200, window_size=20)
    for length in (1, 64, 65, 200):
        seen = {}
        model.logits(np.zeros(length, int), hook=seen.__setitem__)
        assert list(seen) == neo_np.hook_names(model.config)
        assert seen["h.1.attn.weights"].shape == (1, 3, length, length)


def test_hooking_a_long_text_changes_logits_by_rounding_only():
    model = random_model(max_position_embeddings=200, window_size=20)
    ids = np.random.default_rng(0).integers(50, size=200)
    np.testing.assert_allclose(model.logits(ids, hook=lambda name, array: None), model.logits(ids), atol=1e-5)


@given(ROWS)
def test_attentions_of_left_padded_rows_are_those_of_each_row(rows):
    ids, mask = pad_left(rows)
    for layer, weights in enumerate(MODEL.attentions(ids, mask=mask)):
        for b, row in enumerate(rows):
            np.testing.assert_allclose(weights[b, :, -len(row) :, -len(row) :], MODEL.attentions(row)[layer], atol=1e-5)


def test_an_interrupted_pass_leaves_the_cache_as_it_was():
    def interrupt(name, array):
        if name == "h.1.attn.z":
            raise KeyboardInterrupt

    cache = MODEL.new_cache(batch=3)
    mask = np.ones((3, 10), int)
    mask[1, :10] = 0
    MODEL.logits(IDS[:, :10], mask=mask, cache=cache)
    with pytest.raises(KeyboardInterrupt):
        MODEL.logits(IDS[::-1, 10:], mask=mask, cache=cache, hook=interrupt)
    assert (cache.length, cache.padding.tolist()) == (10, [0, 10, 0])
    found = MODEL.logits(IDS[:, 10:], cache=cache)
    np.testing.assert_allclose(found[[0, 2]], MODEL.logits(IDS)[[0, 2], 10:], atol=1e-5)
    np.testing.assert_allclose(found[1], MODEL.logits(IDS[1, 10:]), atol=1e-5)


# Loss


@given(ROWS.filter(lambda rows: max(map(len, rows)) > 1))
def test_loss_is_the_mean_surprise_of_each_token_after_the_first(rows):
    ids, mask = pad_left(rows)
    surprises = []
    for row in rows:
        for logits, token in zip(MODEL.logits(row)[:-1].astype(float), row[1:], strict=True):
            surprises.append(math.log(sum(math.exp(number) for number in logits)) - logits[token])
    loss = MODEL.loss(ids, mask=mask)
    assert type(loss) is float
    assert loss == pytest.approx(sum(surprises) / len(surprises), abs=1e-5)


def test_token_log_probs_do_not_depend_on_the_block_size(monkeypatch):
    hidden, targets = MODEL.hidden_states(IDS)[-1].reshape(-1, 24), IDS.reshape(-1)
    logits = hidden.astype(float) @ MODEL.params.wte.weight.T.astype(float)
    for block in (1, 7, 60, 256):
        monkeypatch.setattr("neo_np.gpt_neo.loss.POSITIONS_AT_A_TIME", block)
        log_probs, is_likeliest = token_log_probs(hidden, targets, MODEL.params)
        expected = [row[target] - math.log(sum(math.exp(x) for x in row)) for row, target in zip(logits, targets, strict=True)]
        np.testing.assert_allclose(log_probs, expected, atol=1e-5)
        assert is_likeliest.tolist() == [row.argmax() == target for row, target in zip(logits, targets, strict=True)]


@given(ROWS.filter(lambda rows: max(map(len, rows)) > 1), st.integers(0, 49))
def test_loss_of_rows_padded_on_the_right_is_that_of_rows_padded_on_the_left(rows, filler):
    longest = max(map(len, rows))
    ids = [row + [filler] * (longest - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    left_ids, left_mask = pad_left(rows)
    assert MODEL.loss(ids, mask=mask) == pytest.approx(MODEL.loss(left_ids, mask=left_mask), abs=1e-6)


def test_loss_with_labels_scores_only_the_places_that_have_one():
    labels = np.full(IDS.shape, -100)
    labels[:, 12:] = IDS[:, 12:]
    labels[0, 15] = 7  # another token than the text has
    surprises = [
        math.log(sum(math.exp(x) for x in row)) - row[label]
        for logits, given_labels in zip(MODEL.logits(IDS).astype(float), labels, strict=True)
        for row, label in zip(logits[:-1], given_labels[1:], strict=True)
        if label != -100
    ]
    assert len(surprises) == 3 * 8
    assert MODEL.loss(IDS, labels=labels) == pytest.approx(sum(surprises) / len(surprises), abs=1e-5)
    assert MODEL.loss(IDS, labels=IDS) == MODEL.loss(IDS)


@pytest.mark.parametrize("labels", [IDS[:, :-1], IDS.astype(float), IDS[0]])
def test_loss_with_labels_of_another_shape_or_type_is_refused(labels):
    with pytest.raises(NeoError, match=r"labels must be whole numbers, one for each id: shape \(3, 20\)"):
        MODEL.loss(IDS, labels=labels)


def test_loss_with_a_label_outside_the_vocabulary_is_refused():
    with pytest.raises(NeoError, match="id 50 is not a token of this model"):
        MODEL.loss([1, 2, 3], labels=[1, 50, 3])


def test_loss_of_a_model_that_knows_nothing_is_the_logarithm_of_the_vocabulary():
    model = random_model(tie_word_embeddings=False)
    model.params.lm_head.weight[:] = 0
    assert model.loss(IDS) == pytest.approx(math.log(50))


@pytest.mark.parametrize(
    ("ids", "mask"), [([7], None), ([[7], [8]], None), ([[1, 2, 7]], [[0, 0, 1]])], ids=["one", "one each", "padded"]
)
def test_loss_needs_two_tokens(ids, mask):
    with pytest.raises(NeoError, match="nothing is scored: the loss needs a token to predict and one before it"):
        MODEL.loss(ids, mask=mask)


# What is refused

BAD_IDS = [
    ("Once upon a time", r"takes token ids, not text: use model.tokenizer.encode\(text\)"),
    ([[1, 2], [3]], "rows of ids differ in length: pad the short ones on the left"),
    ([], "at least one; got float64"),
    (np.zeros((2, 0), int), r"at least one; got int64 of shape \(2, 0\)"),
    (3, r"ids must be whole numbers, \(T,\) or \(B, T\), at least one; got int64 of shape \(\)"),
    ([1.0, 2.0], "ids must be whole numbers.*got float64"),
    ([True, False], "ids must be whole numbers.*got bool"),
    (["a", "b"], "ids must be whole numbers"),
    ([None], "ids must be whole numbers"),
    (np.zeros((1, 1, 2), int), r"got int64 of shape \(1, 1, 2\)"),
    ([1, 50], "id 50 is not a token of this model: its ids are 0 to 49"),
    ([[0, 1], [-1, 0]], "id -1 is not a token of this model"),
    ([10**30], "ids must be whole numbers"),
]


@pytest.mark.parametrize("call", ["logits", "hidden_states", "loss"])
@pytest.mark.parametrize(("ids", "sentence"), BAD_IDS)
def test_bad_ids_are_refused(call, ids, sentence):
    with pytest.raises(NeoError, match=sentence):
        getattr(MODEL, call)(ids)


BAD_MASKS = [
    ([[1, 1]], r"mask must be 0 or 1 for each id: shape \(2, 3\); got int64 of shape \(1, 2\)"),
    ([1, 1, 1], r"mask must be 0 or 1 for each id: shape \(2, 3\); got int64 of shape \(3,\)"),
    ([[0, 1, 2], [1, 1, 1]], "mask must be 0 or 1 for each id; it has 2"),
    ([[0.5, 1, 1], [1, 1, 1]], "mask must be 0 or 1 for each id; it has 0.5"),
    ([[0, 1], [1]], "mask must be 0 or 1 for each id; its rows differ in length"),
    ([[1, 1, 0], [1, 1, 1]], "mask has a 0 after a 1: pad on the left"),
    ([[0, 0, 0], [1, 1, 1]], "mask leaves a row without a single token"),
]


@pytest.mark.parametrize("call", ["logits", "hidden_states", "loss"])
@pytest.mark.parametrize(("mask", "sentence"), BAD_MASKS)
def test_bad_masks_are_refused(call, mask, sentence):
    if call == "loss" and "after a 1" in sentence:
        return  # loss takes padding on the right
    with pytest.raises(NeoError, match=sentence):
        getattr(MODEL, call)([[1, 2, 3], [4, 5, 6]], mask=mask)


@pytest.mark.parametrize("mask", [[[False, True, True], [True, True, True]], np.array([[0, 1, 1], [1, 1, 1]], np.uint8)])
def test_masks_of_other_types(mask):
    expected = MODEL.logits([[1, 2, 3], [4, 5, 6]], mask=[[0, 1, 1], [1, 1, 1]])
    np.testing.assert_array_equal(MODEL.logits([[1, 2, 3], [4, 5, 6]], mask=mask), expected)


def test_numpy_numbers_are_sizes():
    ids = np.array([1, 2, 3])
    cache = MODEL.new_cache(batch=np.int64(1), capacity=np.int64(3))
    np.testing.assert_array_equal(MODEL.logits(ids, logits_to_keep=np.int64(2), cache=cache), MODEL.logits(ids)[-2:])


@pytest.mark.parametrize("keep", [-1, 1.0, True, None])
def test_bad_logits_to_keep_is_refused(keep):
    with pytest.raises(NeoError, match=f"logits_to_keep is {keep}, and it must be a whole number; 0 keeps all positions"):
        MODEL.logits([1, 2], logits_to_keep=keep)


@pytest.mark.parametrize("cache", [True, {}, "new"])
def test_what_is_no_cache_is_refused(cache):
    with pytest.raises(NeoError, match=r"cache .*new_cache"):
        MODEL.logits([1], cache=cache)


def test_a_cache_of_another_shape_is_refused():
    with pytest.raises(
        NeoError, match=r"\(layers, batch, heads, head size\) \(3, 2, 3, 8\), and this call needs \(3, 1, 3, 8\)"
    ):
        MODEL.logits([1], cache=MODEL.new_cache(batch=2))
    with pytest.raises(NeoError, match=r"\(2, 1, 3, 8\), and this call needs \(3, 1, 3, 8\)"):
        MODEL.logits([1], cache=random_model().new_cache())


def test_a_full_cache_says_how_to_get_a_larger_one():
    cache = MODEL.new_cache(capacity=5)
    MODEL.logits([1, 2, 3], cache=cache)
    with pytest.raises(NeoError, match=r"room for 5 tokens: it holds 3, and 3 more do not fit.*new_cache\(capacity=...\)"):
        MODEL.logits([1, 2, 3], cache=cache)
    assert cache.length == 3


def test_a_cache_with_more_room_than_the_model_has_positions():
    cache = MODEL.new_cache(capacity=40)
    MODEL.logits(np.zeros(32, int), cache=cache)
    with pytest.raises(NeoError, match="the text is 33 tokens long and the model has 32 positions"):
        MODEL.logits([0], cache=cache)
    assert cache.length == 32


def test_padding_after_the_text_has_begun_is_refused():
    cache = MODEL.new_cache(batch=2)
    MODEL.logits([[1, 2], [3, 4]], mask=[[0, 0], [0, 1]], cache=cache)
    MODEL.logits([[1, 2], [3, 4]], mask=[[0, 1], [1, 1]], cache=cache)
    with pytest.raises(NeoError, match="mask marks padding in a row whose text has begun"):
        MODEL.logits([[1], [3]], mask=[[0], [1]], cache=cache)


@pytest.mark.parametrize(
    "wanted", [{"batch": 0}, {"batch": -1}, {"batch": 1.5}, {"capacity": 0}, {"capacity": -5}, {"capacity": "9"}]
)
def test_a_cache_needs_room_for_something(wanted):
    with pytest.raises(NeoError, match=r"batch and capacity of a cache must be whole numbers above 0"):
        MODEL.new_cache(**wanted)


def test_repr_says_what_model_it_is():
    assert repr(MODEL) == "Model(GPT-Neo, 23,472 parameters, 3 layers, C=24, 3 heads, 50 tokens, 32 positions)"


# Memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have other ways with freed memory")
def test_memory_of_freed_arrays_is_kept_for_the_next():
    """In a process of its own, for what has been freed in this one has taught the C library already."""
    program = """
        import resource
        import numpy as np
        from neo_np import Config, Model
        from neo_np.gpt_neo.params import random_params

        def new_pages():
            "Return how many pages of memory ten rounds of five arrays, 15 MB together, had to ask for."
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            for _ in range(10):
                arrays = [np.ones(3_000_000, np.uint8) for _ in range(5)]
                del arrays
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

        without = new_pages()
        config = Config(50257, 8, 1, 2, 16, ["global"])
        Model(config, random_params(config))
        new_pages()
        print(without, new_pages())
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    without, kept = map(int, subprocess.check_output(command, env=environment, text=True).split())
    assert kept < 10 < without / 5  # pages may be larger than 4 KiB


@pytest.mark.slow
def test_a_prompt_of_2048_tokens_takes_less_than_400_megabytes_above_the_weights():
    """In the shape of GPT-Neo 125M, where scores of all queries at once would take 200 MB, and all logits 400.

    Two layers show what all twelve need, but for the other ten's share of the cache.
    """
    config = Config(50257, 768, 2, 12, 2048, ["global", "local"])
    model = Model(config, Params({name: np.full(shape, 0.01, np.float32) for name, shape in parameter_shapes(config).items()}))
    ids = np.arange(2048)
    tracemalloc.start()
    try:
        cache = model.new_cache()
        model.logits(ids, cache=cache, logits_to_keep=1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert cache.k.nbytes + cache.v.nbytes < peak  # the tracer does see NumPy's memory
    assert peak + 10 / 2 * (cache.k.nbytes + cache.v.nbytes) < 400e6
