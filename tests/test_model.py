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
from helpers import random_model
from hypothesis import given
from hypothesis import strategies as st

from neo_np import Config, Model, NeoError, Params
from neo_np.gpt_neo import forward as layers
from neo_np.gpt_neo.params import parameter_shapes

MODEL = random_model(num_layers=3, attention_layers=["global", "local", "local"])  # a window of 4, 32 positions
IDS = np.random.default_rng(1).integers(50, size=(3, 20))
ROWS = st.lists(st.lists(st.integers(0, 49), min_size=1, max_size=12), min_size=1, max_size=4)


def pad_left(rows, filler=0):
    """Return rows of different length as ids and mask, (B, T) both."""
    longest = max(map(len, rows))
    ids = [[filler] * (longest - len(row)) + list(row) for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return np.array(ids), np.array(mask)


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


@pytest.mark.parametrize("keep", [1, 3, 20, 100])
def test_logits_to_keep_gives_the_last_positions_alone(keep):
    seen = {}
    found = MODEL.logits(IDS, logits_to_keep=keep, tap=seen.__setitem__)
    np.testing.assert_allclose(found, MODEL.logits(IDS)[:, -keep:], atol=1e-5)
    assert seen["logits"].shape == (3, min(keep, 20), 50)
    assert seen["h.2"].shape == (3, 20, 24)  # a tap is shown all positions of the blocks
    np.testing.assert_allclose(MODEL.logits(IDS, logits_to_keep=keep), found, atol=1e-5)
    assert MODEL.logits(IDS[0], logits_to_keep=keep).shape == (min(keep, 20), 50)


@pytest.mark.parametrize("keep", [1, 3, 100])
def test_the_last_block_goes_on_with_the_positions_that_are_kept(keep, monkeypatch):
    """And yet the cache holds the keys and values of all of them."""
    mask = np.ones(IDS.shape, int)
    mask[1, :7] = mask[2, :18] = 0
    rows, mlp = [], layers.mlp
    monkeypatch.setattr("neo_np.model.mlp", lambda x, *rest: rows.append(x.shape[1]) or mlp(x, *rest))
    whole, part = MODEL.new_cache(3), MODEL.new_cache(3)
    expected = MODEL.logits(IDS, mask=mask, cache=whole)[:, -keep:]
    found = MODEL.logits(IDS, mask=mask, cache=part, logits_to_keep=keep)
    assert rows == [20, 20, 20, 20, 20, min(keep, 20)]  # three blocks without `keep`, three with it
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
    random_model().logits(ids, mask=mask, tap=seen.__setitem__, cache=random_model().new_cache(2))
    assert {array.dtype for array in seen.values()} == {np.dtype(np.float32)}
    np.testing.assert_allclose(random_model().logits(IDS), model.logits(IDS), atol=1e-5)


@pytest.mark.parametrize("std", [0.02, 0.1])
def test_float32_is_within_1e_5_of_float64_in_every_hidden_state(std):
    short, long = (random_model(std=std, dtype=dtype).hidden_states(IDS) for dtype in (np.float32, np.float64))
    for found, exact in zip(short, long, strict=True):
        assert np.linalg.norm(found - exact) / np.linalg.norm(exact) < 1e-5


# Hidden states and taps


BLOCK_TAPS = (
    "ln_1 attn.q attn.k attn.v attn.scores attn.weights attn.heads attn.out mid ln_2 mlp.pre mlp.hidden mlp.out".split()
)


def test_taps_see_every_named_array_in_order_and_change_nothing():
    seen = {}
    logits = MODEL.logits(IDS, tap=seen.__setitem__)
    blocks = [name for layer in range(3) for name in [*(f"h.{layer}.{tap}" for tap in BLOCK_TAPS), f"h.{layer}"]]
    assert list(seen) == ["embed", *blocks, "ln_f", "logits"]
    np.testing.assert_array_equal(logits, MODEL.logits(IDS))
    np.testing.assert_array_equal(seen["logits"], logits)
    shapes = {"embed": 24, "h.1.ln_1": 24, "h.1.mlp.pre": 96, "h.1.mlp.hidden": 96, "h.1": 24, "ln_f": 24, "logits": 50}
    assert {name: seen[name].shape for name in shapes} == {name: (3, 20, size) for name, size in shapes.items()}
    assert seen["h.1.attn.q"].shape == seen["h.1.attn.heads"].shape == (3, 3, 20, 8)
    assert seen["h.1.attn.weights"].shape == (3, 3, 20, 20)


def test_taps_of_a_text_have_a_batch_of_one():
    seen = {}
    MODEL.logits(IDS[0], tap=seen.__setitem__)
    assert seen["h.0"].shape == (1, 20, 24)


@pytest.mark.parametrize("name", ["embed", *(f"h.1.{tap}" for tap in BLOCK_TAPS), "h.1", "ln_f", "logits"])
def test_what_a_tap_returns_goes_on_in_the_arrays_place(name):
    changed = MODEL.logits(IDS, tap=lambda at, array: 2 * array if at == name else None)
    assert np.abs(changed - MODEL.logits(IDS)).max() > 1e-4


def test_what_a_tap_changes_in_an_array_counts_too():
    def double_embeddings(name, array):
        if name == "embed":
            array *= 2

    expected = MODEL.logits(IDS, tap=lambda name, array: 2 * array if name == "embed" else None)
    np.testing.assert_array_equal(MODEL.logits(IDS, tap=double_embeddings), expected)
    assert np.abs(expected - MODEL.logits(IDS)).max() > 1e-4  # and the weights are what they were


@pytest.mark.parametrize(("returned", "found"), [(np.zeros((3, 20, 25)), r"\(3, 20, 25\)"), (0, "int")])
def test_a_tap_that_returns_no_such_array_is_refused(returned, found):
    with pytest.raises(NeoError, match=rf"tap must return None or an array of shape \(3, 20, 24\) for 'h.1.mid'; got {found}"):
        MODEL.logits(IDS, tap=lambda name, array: returned if name == "h.1.mid" else None)


def test_a_tap_that_is_no_function_is_refused():
    with pytest.raises(NeoError, match=r"tap must be a function f\(name, array\), and got {}"):
        MODEL.logits(IDS, tap={})


def test_an_ablated_part_adds_nothing_to_the_residual_stream():
    seen = {}

    def silence(name, array):
        seen[name] = array
        return np.zeros_like(array) if name in ("h.1.attn.out", "h.1.mlp.out") else None

    MODEL.logits(IDS, tap=silence)
    np.testing.assert_array_equal(seen["h.1"], seen["h.0"])


def test_patching_an_array_of_another_run_reproduces_that_run():
    other = {}
    expected = MODEL.logits(IDS[::-1], tap=other.__setitem__)
    patched = MODEL.logits(IDS, tap=lambda name, array: other[name] if name == "embed" else None)
    np.testing.assert_array_equal(patched, expected)


def test_hidden_states_are_embeddings_blocks_and_last_layer_norm():
    seen = {}
    MODEL.logits(IDS, tap=seen.__setitem__)
    states = MODEL.hidden_states(IDS)
    for state, name in zip(states, ["embed", "h.0", "h.1", "h.2", "ln_f"], strict=True):
        np.testing.assert_array_equal(state, seen[name])
    p = MODEL.params
    np.testing.assert_array_equal(states[0], p.wte.weight[IDS] + p.wpe.weight[:20])
    np.testing.assert_array_equal(states[4], layers.layer_norm(states[3], p.ln_f.weight, p.ln_f.bias, 1e-5))
    for state, alone in zip(states, MODEL.hidden_states(IDS[0]), strict=True):
        assert alone.shape == (20, 24)
        np.testing.assert_allclose(state[0], alone, atol=1e-5)


def test_an_interrupted_pass_leaves_the_cache_as_it_was():
    def interrupt(name, array):
        if name == "h.1.attn.heads":
            raise KeyboardInterrupt

    cache = MODEL.new_cache(batch=3)
    mask = np.ones((3, 10), int)
    mask[1, :10] = 0
    MODEL.logits(IDS[:, :10], mask=mask, cache=cache)
    with pytest.raises(KeyboardInterrupt):
        MODEL.logits(IDS[::-1, 10:], mask=mask, cache=cache, tap=interrupt)
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


def test_loss_of_a_text_longer_than_the_blocks_it_is_computed_in(monkeypatch):
    whole = MODEL.loss(IDS)
    for block in (1, 7, 19, 20):
        monkeypatch.setattr("neo_np.model.LOSS_BLOCK", block)
        assert MODEL.loss(IDS) == pytest.approx(whole, rel=1e-6)
    assert MODEL.loss(IDS[0]) == pytest.approx(MODEL.loss(IDS[:1]), rel=1e-6)


def test_loss_of_a_model_that_knows_nothing_is_the_logarithm_of_the_vocabulary():
    model = random_model(tie_word_embeddings=False)
    model.params.lm_head.weight[:] = 0
    assert model.loss(IDS) == pytest.approx(math.log(50))


@pytest.mark.parametrize(
    ("ids", "mask"), [([7], None), ([[7], [8]], None), ([[1, 2, 7]], [[0, 0, 1]])], ids=["one", "one each", "padded"]
)
def test_loss_needs_two_tokens(ids, mask):
    with pytest.raises(NeoError, match="the loss needs two tokens at least: one to look at and one to predict"):
        MODEL.loss(ids, mask=mask)


# What is refused

BAD_IDS = [
    ("Once upon a time", r"wants token ids, and got a text: use model.tokenizer.encode\(text\)"),
    ([[1, 2], [3]], "rows of ids differ in length: pad them on the left"),
    ([], "at least one; got float64"),
    (np.zeros((2, 0), int), r"at least one; got int64 \(2, 0\)"),
    (3, r"ids must be whole numbers, \(T,\) or \(B, T\) and at least one; got int64 \(\)"),
    ([1.0, 2.0], "ids must be whole numbers.*got float64"),
    ([True, False], "ids must be whole numbers.*got bool"),
    (["a", "b"], "ids must be whole numbers"),
    ([None], "ids must be whole numbers"),
    (np.zeros((1, 1, 2), int), r"got int64 \(1, 1, 2\)"),
    ([1, 50], "id 50 is no token of this model: its ids go from 0 to 49"),
    ([[0, 1], [-1, 0]], "id -1 is no token of this model"),
    ([10**30], "ids must be whole numbers"),
]


@pytest.mark.parametrize("call", ["logits", "hidden_states", "loss"])
@pytest.mark.parametrize(("ids", "sentence"), BAD_IDS)
def test_bad_ids_are_refused(call, ids, sentence):
    with pytest.raises(NeoError, match=sentence):
        getattr(MODEL, call)(ids)


BAD_MASKS = [
    ([[1, 1]], r"mask must be 0 or 1 for each id: shape \(2, 3\); got int64 \(1, 2\)"),
    ([1, 1, 1], r"mask must be 0 or 1 for each id: shape \(2, 3\); got int64 \(3,\)"),
    ([[0, 1, 2], [1, 1, 1]], "mask must be 0 or 1 for each id; it has 2"),
    ([[0.5, 1, 1], [1, 1, 1]], "mask must be 0 or 1 for each id; it has 0.5"),
    ([[0, 1], [1]], "mask must be 0 or 1 for each id; its rows differ in length"),
    ([[1, 1, 0], [1, 1, 1]], "mask has a 0 after a 1: padding belongs on the left"),
    ([[0, 0, 0], [1, 1, 1]], "mask leaves a row without a single token"),
]


@pytest.mark.parametrize("call", ["logits", "hidden_states", "loss"])
@pytest.mark.parametrize(("mask", "sentence"), BAD_MASKS)
def test_bad_masks_are_refused(call, mask, sentence):
    with pytest.raises(NeoError, match=sentence):
        getattr(MODEL, call)([[1, 2, 3], [4, 5, 6]], mask=mask)


@pytest.mark.parametrize("mask", [[[False, True, True], [True, True, True]], np.array([[0, 1, 1], [1, 1, 1]], np.uint8)])
def test_masks_of_other_types(mask):
    expected = MODEL.logits([[1, 2, 3], [4, 5, 6]], mask=[[0, 1, 1], [1, 1, 1]])
    np.testing.assert_array_equal(MODEL.logits([[1, 2, 3], [4, 5, 6]], mask=mask), expected)


@pytest.mark.parametrize("keep", [-1, 1.0, True, None])
def test_bad_logits_to_keep_is_refused(keep):
    with pytest.raises(NeoError, match=f"logits_to_keep is {keep}, and it must be a whole number, 0 for all positions"):
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
    with pytest.raises(NeoError, match=r"room for 5 tokens: 3 are in it and 3 more do not fit.*new_cache\(capacity=...\)"):
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
    with pytest.raises(NeoError, match=r"a cache needs room for something, and batch is .*, capacity .*"):
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
