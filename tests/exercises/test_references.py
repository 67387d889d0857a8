"""Each reference is the package's own function; each variant without switches is the reference."""

import importlib
import math
import pydoc
import re

import numpy as np
import pytest
from helpers import byte_model, random_model
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neo_np.evaluate import heads
from neo_np.evaluate.text import evaluate_text, text_windows
from neo_np.exercises import nb00_whole_model as nb00
from neo_np.exercises import nb02_tokens as nb02
from neo_np.exercises import nb03_embeddings as nb03
from neo_np.exercises import nb04_layer_norm as nb04
from neo_np.exercises import nb05_one_head as nb05
from neo_np.exercises import nb06_many_heads as nb06
from neo_np.exercises import nb07_local_attention as nb07
from neo_np.exercises import nb08_mlp as nb08
from neo_np.exercises import nb09_stream as nb09
from neo_np.exercises import nb10_sampling as nb10
from neo_np.exercises import nb11_generation as nb11
from neo_np.exercises import nb12_loss as nb12
from neo_np.exercises import nb13_backpropagation as nb13
from neo_np.exercises import nb14_training as nb14
from neo_np.exercises import nb15_inside as nb15
from neo_np.exercises.calls import call, kept_apart
from neo_np.exercises.course import EXERCISES
from neo_np.exercises.outcomes import right
from neo_np.exercises.own_model import functions_with, logits_of, shipped_model
from neo_np.exercises.prepared import prepared_cases
from neo_np.generate import logits_processors, speculative
from neo_np.generate.sampling import draw
from neo_np.gpt_neo import backward, loss
from neo_np.gpt_neo import forward as package
from neo_np.tokenizer.byte_alphabet import byte_to_char
from neo_np.tokenizer.learn import learn_merges
from neo_np.tokenizer.merge import merge_pair
from neo_np.train import optimizer

sizes = st.integers(1, 6)
seeds = st.integers(0, 2**32 - 1)


def numbers(seed, *shape):
    """Return normal random numbers, float32."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def close(found, expected, rtol=1e-5, atol=1e-6):
    """Assert that two arrays are equal up to rounding."""
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol)


def model_of(seed, heads=2, size=3, layers=("global", "local"), window=2):
    """Return a small random model."""
    kinds = list(layers)
    return random_model(seed, hidden_size=heads * size, num_heads=heads, num_layers=len(kinds), attention_layers=kinds,
                        window_size=window, std=0.5)  # fmt: skip


@given(seeds, sizes, sizes)
def test_softmax_on_random_rows_equals_the_package(seed, T, S):
    x = 5 * numbers(seed, T, S)
    close(nb05.softmax(x), package.softmax(x))


@given(st.lists(st.integers(0, 20), min_size=1, max_size=6), st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_causal_mask_at_any_positions_equals_the_package(queries, keys):
    queries, keys = np.array(queries), np.array(keys)
    assert np.array_equal(nb05.causal_mask(queries, keys), package.causal_mask(queries, keys))


@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=6),
    st.lists(st.integers(0, 20), min_size=1, max_size=6),
    st.integers(1, 9),
)
def test_local_mask_equals_the_causal_mask_with_a_window(queries, keys, window):
    queries, keys = np.array(queries), np.array(keys)
    assert np.array_equal(nb07.local_mask(queries, keys, window), package.causal_mask(queries, keys, window))


@given(seeds, sizes, sizes, st.floats(1e-6, 1))
def test_layer_norm_on_random_rows_equals_the_package(seed, T, C, eps):
    x, weight, bias = numbers(seed, T, C), numbers(seed + 1, C), numbers(seed + 2, C)
    close(nb04.layer_norm(x, weight, bias, eps), package.layer_norm(x, weight, bias, eps), rtol=1e-4, atol=1e-5)


@given(seeds, sizes, sizes, sizes)
def test_linear_on_random_rows_equals_the_package(seed, T, i, o):
    x, weight, bias = numbers(seed, T, i), numbers(seed + 1, o, i), numbers(seed + 2, o)
    close(nb04.linear(x, weight, bias), package.linear(x, weight, bias))


@given(seeds, sizes, st.integers(1, 9))
def test_embed_of_a_text_equals_the_package_at_positions_from_zero(seed, T, V):
    ids = np.random.default_rng(seed).integers(0, V, T)
    wte, wpe = numbers(seed, V, 4), numbers(seed + 1, 6, 4)
    close(nb03.embed(ids, wte, wpe), package.embed(ids[None], np.arange(T), wte, wpe)[0])


@given(seeds, sizes, sizes, sizes)
def test_heads_split_and_merged_equal_the_package(seed, T, H, D):
    x = numbers(seed, T, H * D)
    heads = nb06.split_heads(x, H)
    assert np.array_equal(heads, package.split_heads(x[None], H)[0])
    assert np.array_equal(nb06.merge_heads(heads), package.merge_heads(heads[None])[0])


@given(seeds, sizes, sizes, st.integers(1, 3), st.one_of(st.none(), st.integers(1, 4)))
def test_self_attention_of_random_weights_equals_the_package(seed, T, D, H, window):
    p = model_of(seed % 1000, H, D).params.h[0].attn.attention
    x, t = numbers(seed, T, H * D), np.arange(T)
    mask = nb05.causal_mask(t, t) if window is None else nb07.local_mask(t, t, window)
    close(nb06.self_attention(x, p, H, mask), package.self_attention(x[None], p, H, window)[0], 1e-4, 1e-5)


@given(seeds, sizes, sizes)
def test_attend_of_one_head_equals_the_attention_of_the_package(seed, T, D):
    q, k, v = (numbers(seed + i, T, D) for i in range(3))
    mask = nb05.causal_mask(np.arange(T), np.arange(T))
    close(nb05.attend(q, k, v, mask), package.attention(q[None, None], k[None, None], v[None, None])[0, 0])


@given(st.lists(st.floats(-20, 20, width=32), min_size=1, max_size=8))
def test_gelu_new_of_any_numbers_equals_the_package(values):
    x = np.array(values, np.float32)
    close(nb08.gelu_new(x), package.gelu_new(x))


@given(seeds, sizes)
def test_mlp_of_random_weights_equals_the_package(seed, T):
    p = model_of(seed % 1000).params.h[0].mlp
    x = numbers(seed, T, 6)
    close(nb08.mlp(x, p), package.mlp(x[None], p, "gelu_new")[0], 1e-4, 1e-5)


@given(seeds, sizes, st.integers(0, 1))
def test_block_of_random_weights_equals_the_package(seed, T, layer):
    model = model_of(seed % 1000)
    x, t = numbers(seed, T, 6), np.arange(T)
    mask = nb07.local_mask(t, t, 2) if layer else nb05.causal_mask(t, t)
    found = nb09.block(x, model.params.h[layer], model.config, mask)
    close(found, package.block(x[None], model.params.h[layer], model.config, layer)[0], 1e-4, 1e-5)


@given(seeds, sizes, st.lists(st.sampled_from(["global", "local"]), min_size=1, max_size=3))
def test_forward_of_a_random_model_equals_the_package(seed, T, layers):
    model = model_of(seed % 1000, layers=layers)
    ids = np.random.default_rng(seed).integers(0, 50, T)
    found = nb09.forward(model.params, model.config, ids)
    close(found, package.forward(model.params, model.config, ids[None])[0], 1e-3, 1e-4)


@given(seeds, sizes)
def test_logit_lens_of_the_last_layer_is_the_model(seed, T):
    model = model_of(seed % 1000)
    ids = np.random.default_rng(seed).integers(0, 50, T)
    streams = model.hidden_states(ids)[:-1]
    close(nb09.logit_lens(streams, 1, model.params, model.config), model.logits(ids), 1e-3, 1e-4)


def test_byte_table_equals_the_alphabet_of_the_package():
    assert nb02.byte_table() == byte_to_char()


@given(st.lists(st.sampled_from(["a", "b", "aa", "ab"]), max_size=12), st.tuples(*[st.sampled_from(["a", "b", "aa"])] * 2))
def test_merge_of_any_tokens_equals_the_package(tokens, pair):
    assert nb02.merge(tokens, pair) == merge_pair(tokens, pair, "".join(pair))


@given(st.text(alphabet="abc thequickbrownfox", max_size=12))
def test_encode_word_with_the_shipped_merges_equals_the_tokenizer(text):
    tokenizer = shipped_model().tokenizer
    for word in text.split():
        tokens = nb02.encode_word(word, tokenizer.merges)
        assert [tokenizer.vocab[token] for token in tokens] == tokenizer.encode(word)


@given(st.lists(st.integers(0, 2047), max_size=12))
def test_decode_of_any_ids_equals_the_tokenizer(ids):
    tokenizer = shipped_model().tokenizer
    assert nb02.decode(ids, {id: tokenizer.token_bytes(id) for id in ids}) == tokenizer.decode(ids)


@given(st.dictionaries(st.text(alphabet="ab", min_size=2, max_size=6), st.integers(1, 5), min_size=1))
def test_count_pairs_knows_the_first_merge_that_is_learned(words):
    counts = nb02.count_pairs({tuple(word): times for word, times in words.items()})
    first = learn_merges(words, 1)[0]
    assert counts[first] == max(counts.values())


@given(seeds, sizes, sizes)
def test_next_token_is_the_greedy_choice(seed, T, V):
    logits = numbers(seed, T, V)
    assert nb00.next_token(logits) == int(logits[-1].argmax())


@given(st.lists(st.sampled_from(["local", "global"]), min_size=1, max_size=4), st.integers(1, 4), st.integers(1, 9))
def test_reach_is_the_number_of_tokens_that_change_the_last_output(layers, window, length):
    """Change one input at a time in a model of masks only, and look at the last output."""
    t = np.arange(length)
    flows = np.eye(length)
    for kind in layers:
        mask = package.causal_mask(t, t, window if kind == "local" else None)
        flows = np.exp(mask) @ flows
    assert nb07.reach(layers, window, length) == np.count_nonzero(flows[-1]) == nb07.reach_formula(layers, window, length)


penalties = st.floats(1.01, 3)


class OneDraw:
    """A random generator whose next number is known."""

    def __init__(self, u):
        self.u = u

    def random(self):
        return self.u


@given(seeds, sizes, st.floats(0.1, 5))
def test_temperature_of_random_logits_equals_the_package(seed, V, value):
    logits = numbers(seed, V)
    close(nb10.temperature(logits, value), logits_processors.temperature(logits, [], value))


@given(seeds, st.data())
def test_top_k_of_logits_with_ties_equals_the_package(seed, data):
    logits = np.round(2 * numbers(seed, data.draw(sizes)))  # whole numbers: some are equal
    k = data.draw(st.integers(1, len(logits)))
    assert np.array_equal(nb10.top_k(logits, k), logits_processors.top_k(logits, [], k))


@given(seeds, sizes, st.floats(0.05, 0.95))
def test_top_p_of_random_logits_equals_the_package(seed, V, p):
    logits = 2 * numbers(seed, V)
    assume(np.abs(np.cumsum(np.sort(package.softmax(logits.astype(float)))) - (1 - p)).min() > 1e-5)
    assert np.array_equal(nb10.top_p(logits, p), logits_processors.top_p(logits, [], p))


@given(seeds, sizes, penalties, st.data())
def test_repetition_penalty_of_any_text_equals_the_package(seed, V, penalty, data):
    logits, ids = numbers(seed, V), data.draw(st.lists(st.integers(0, V - 1), min_size=1, max_size=8))
    found = nb10.repetition_penalty(logits, ids, penalty)
    close(found, logits_processors.repetition_penalty(logits, ids, penalty))


@given(st.lists(st.integers(0, 8), min_size=1, max_size=8).filter(any), st.integers(0, 63))
def test_sample_with_draws_on_the_edges_equals_the_package(parts, u):
    """Probabilities in eighths of a sum, draws in 64ths: many draws lie exactly at an edge."""
    probabilities = np.array(parts) / sum(parts)
    assert nb10.sample(probabilities, u / 64) == draw(probabilities, OneDraw(u / 64))


@given(seeds, sizes, sizes, sizes)
def test_cached_step_equals_the_last_row_of_the_attention_of_the_whole_text(seed, T, C, D):
    ids = np.random.default_rng(seed).integers(0, 5, T)
    wte, wpe, *weights = (numbers(seed + i, *shape) for i, shape in enumerate([(5, C), (6, C), *[(D, C)] * 3]))
    x = package.embed(ids[None], np.arange(T), wte, wpe)
    q, k, v = (x @ w.T for w in weights)
    found = nb11.cached_step(ids[-1], k[0, :-1], v[0, :-1], wte, wpe, *weights)
    close(found, package.attention(q[:, None], k[:, None], v[:, None])[0, 0, -1], 1e-4, 1e-5)


@given(seeds, st.integers(1, 4), st.integers(1, 4))
def test_beam_steps_with_a_random_model_equal_the_beam_search_of_the_package(seed, beams, steps):
    model = model_of(seed % 1000)
    texts, scores = [[1, 2]] * beams, [0.0] + [-1e9] * (beams - 1)  # at first all beams are one text

    def log_probs(text):
        logits = model.logits(text)[-1].astype(float)
        return logits - np.log(np.exp(logits).sum())

    for _ in range(steps):
        rows = {tuple(text): log_probs(text) for text in texts}
        table = np.array([rows[tuple(text)] for text in texts])
        new = nb11.beam_step(texts, scores, np.exp(table), end=-1)
        before = {tuple(text): score for text, score in reversed(list(zip(texts, scores)))}
        scores = [before[tuple(text[:-1])] + rows[tuple(text[:-1])][text[-1]] for text in new]
        texts = new
    assert texts[0] == model.generate([1, 2], num_beams=beams, max_new_tokens=steps, eos_token_id=[])


@given(seeds, st.integers(0, 5), st.integers(1, 4), st.data())
def test_accept_drafts_equals_the_verification_of_the_package(seed, K, V, data):
    logits = numbers(seed, K + 1, V)
    drafts = data.draw(st.lists(st.integers(0, V - 1), min_size=K, max_size=K))
    expected = []
    for row, draft in zip(logits, [*map(speculative.DraftToken, drafts), None]):
        expected.append(speculative.verify(row, draft, None))
        if draft is None or expected[-1] != draft.id:
            break
    assert nb11.accept_drafts(drafts, logits) == expected


def test_erf_form_of_gelu_differs_by_what_the_message_says():
    x = np.linspace(-6, 6, 120_001)
    exact = 0.5 * x * (1 + np.array([math.erf(value / math.sqrt(2)) for value in x]))
    difference = np.abs(nb08.gelu_new(x) - exact)
    assert 4.65e-4 < difference.max() < 4.75e-4
    assert abs(abs(x[difference.argmax()]) - 2.7) < 0.1


@given(seeds, sizes, st.integers(2, 9))
def test_cross_entropy_of_any_logits_equals_the_package(seed, T, V):
    logits, targets = 100 * numbers(seed, T, V), np.random.default_rng(seed).integers(0, V, T)
    close(nb12.cross_entropy(logits, targets), loss.cross_entropy(logits, targets), 1e-4, 1e-4)


@given(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=3), st.integers(1, 12), st.data())
@settings(max_examples=25)
def test_perplexity_and_bits_per_byte_of_windows_equal_the_evaluation_of_texts(texts, window, data):
    model, surprises = byte_model(num_layers=1, attention_layers=["global"]), []
    stride = data.draw(st.integers(1, window))
    for text in texts:
        ids = [model.config.bos_token_id, *model.tokenizer.encode(text)]
        for row, scored in nb12.text_windows(ids, window, stride):
            row = np.array(row)
            surprises += list(nb12.cross_entropy(model.logits(row[:-1]), row[1:])[-scored:])
    expected = evaluate_text(model, texts, window, stride)
    assert nb12.perplexity(np.array(surprises)) == pytest.approx(expected["perplexity"], rel=1e-4)
    assert nb12.bits_per_byte(np.array(surprises), "".join(texts)) == pytest.approx(expected["bits_per_byte"], rel=1e-4)


@given(st.integers(0, 40), st.integers(1, 12), st.data())
def test_text_windows_of_any_sizes_equal_the_package(length, window, data):
    ids, stride = list(range(length)), data.draw(st.integers(1, window))
    assert nb12.text_windows(ids, window, stride) == text_windows(ids, window, stride)


@given(seeds, sizes, st.integers(2, 9))
def test_cross_entropy_backward_of_any_logits_equals_the_package_divided_by_the_positions(seed, T, V):
    logits, targets = 3 * numbers(seed, T, V), np.random.default_rng(seed).integers(0, V, T)
    expected = backward.cross_entropy_backward(loss.log_softmax(logits), targets) / T
    close(nb13.cross_entropy_backward(logits, targets), expected)


@given(seeds, sizes, sizes, sizes)
def test_linear_backward_of_any_arrays_equals_the_package(seed, T, i, o):
    dy, x, weight = numbers(seed, T, o), numbers(seed + 1, T, i), numbers(seed + 2, o, i)
    expected = (*backward.linear_backward(dy, x, weight), backward.sum_over_rows(dy))
    for found, other in zip(nb13.linear_backward(dy, x, weight), expected, strict=True):
        close(found, other, 1e-4, 1e-5)


@given(seeds, sizes, st.integers(2, 6), st.floats(0.01, 1))
def test_layer_norm_backward_of_any_rows_equals_the_package(seed, T, C, eps):
    dy, x, weight = numbers(seed, T, C), numbers(seed + 1, T, C), numbers(seed + 2, C)
    expected = backward.layer_norm_backward(dy, x, weight, eps)
    for found, other in zip(nb13.layer_norm_backward(dy, x, weight, eps), expected, strict=True):
        close(found, other, 1e-3, 1e-4)


@given(seeds, sizes, st.integers(2, 5))
def test_numerical_gradient_of_the_mean_surprise_is_the_derived_one(seed, T, V):
    logits, targets = numbers(seed, T, V).astype(float), np.random.default_rng(seed).integers(0, V, T)
    found = nb13.numerical_gradient(lambda x: nb12.cross_entropy(x, targets).mean(), logits, 1e-5)
    close(found, nb13.cross_entropy_backward(logits, targets), 1e-6, 1e-9)


@given(seeds, sizes, sizes, st.integers(1, 50), st.floats(0, 1), st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)))
def test_adamw_step_of_any_arrays_equals_the_package(seed, T, C, step, decay, betas):
    p, g, m, v = (numbers(seed + i, T, C) for i in range(4))
    arguments = p, g, m, v * v, step, 0.1, decay, betas, 1e-3
    for found, expected in zip(nb14.adamw_step(*arguments), optimizer.adamw(*arguments), strict=True):
        close(found, expected)


@given(seeds, st.lists(st.tuples(sizes, sizes), min_size=1, max_size=4), st.floats(0.1, 10))
def test_clip_of_any_arrays_equals_the_package(seed, shapes, max_norm):
    gradients = {str(i): numbers(seed + i, *shape) for i, shape in enumerate(shapes)}
    found = nb14.clip(tuple(gradients.values()), max_norm)
    optimizer.clip_gradients(gradients, max_norm)
    for clipped, expected in zip(found, gradients.values(), strict=True):
        close(clipped, expected)


@given(st.data(), st.floats(0.01, 2), st.floats(0, 1))
def test_schedule_of_any_run_equals_the_package(data, peak, minimum):
    steps = data.draw(st.integers(2, 60))
    warmup, step = data.draw(st.integers(1, steps - 1)), data.draw(st.integers(1, steps))
    expected = optimizer.learning_rate(step, steps, peak, warmup, minimum)
    assert nb14.schedule(step, steps, peak, warmup, minimum) == pytest.approx(expected, rel=1e-6, abs=1e-9)


@given(seeds, sizes, st.integers(2, 6), st.integers(0, 1))
def test_induction_score_of_any_weights_equals_the_package(seed, H, length, first):
    S = 2 * length + first
    weights = package.softmax(numbers(seed, H, S, S))
    close(nb15.induction_score(weights, length), heads.induction_score(weights, length))


@given(seeds, sizes, sizes, st.integers(1, 3))
def test_ablate_head_of_random_weights_equals_the_package_with_a_hook(seed, T, D, H):
    p = model_of(seed % 1000, H, D).params.h[0].attn.attention
    x, head = numbers(seed, 1, T, H * D), seed % H
    kept = (np.arange(H) != head)[:, None, None]
    seen = {}

    def without(name, array):
        seen[name] = array
        return array * kept if name == "attn.z" else array

    [expected] = package.self_attention(x, p, H, hook=without)
    close(nb15.ablate_head(seen["attn.z"][0], head, p.out_proj.weight, p.out_proj.bias), expected, 1e-4, 1e-5)


@given(seeds, st.integers(1, 5), st.integers(0, 1), st.data())
def test_patch_of_a_model_equals_its_run_with_a_hook(seed, T, layer, data):
    model, position = model_of(seed % 1000), data.draw(st.integers(0, T - 1))
    clean, corrupted = np.random.default_rng(seed).integers(0, model.config.vocab_size, (2, T))

    def layer_of(number):
        def change(x):
            x[:] = package.block(x[None], model.params.h[number], model.config, number)[0]

        return change

    row = model.hidden_states(clean)[layer + 1][position]

    def with_row(name, array):
        if name == f"h.{layer}":
            array[0, position] = row
        if name == "h.1":
            seen.append(array[0].copy())

    seen = []
    model.logits(corrupted, hook=with_row)
    starts = (model.hidden_states(ids)[0] for ids in (clean, corrupted))
    close(nb15.patch([layer_of(0), layer_of(1)], *starts, layer, position), seen[0], 1e-4, 1e-5)


def test_model_of_references_equals_the_shipped_model():
    ids = shipped_model().tokenizer.encode("Once upon a time there was a king")
    close(logits_of(functions_with({}), ids), shipped_model().logits(ids), 1e-3, 1e-3)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_variant_without_switches_and_other_styles_equal_the_reference(exercise):
    with kept_apart():
        for case, expected in prepared_cases(exercise):
            for function in (exercise.reference, exercise.variant, *exercise.also_right):
                outcome = call(function, case.arguments, expected, exercise.compare_as)
                assert right(outcome, expected, exercise.tolerance), (function.__name__, case, outcome)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_package_name_leads_to_a_function_of_the_package(exercise):
    if exercise.package_name is None:
        assert exercise.notes is None
    else:
        module, _, name = exercise.package_name.rpartition(".")
        assert module.startswith("neo_np.")
        others = "byte_to_char causal_mask merge_pair merge_steps draw adamw clip_gradients learning_rate".split()
        assert name in (*others, exercise.name)
        assert callable(pydoc.locate(exercise.package_name))


@pytest.mark.parametrize("name", [name for name, exercise in EXERCISES.items() if exercise.package_name])
def test_source_of_an_exercise_names_its_notebook(name):
    exercise = EXERCISES[name]
    module = importlib.import_module(exercise.package_name.rpartition(".")[0])
    first, last = re.search(r"Course: notebooks? (\d\d)(?: to (\d\d))?\.", module.__doc__).groups()
    assert first <= exercise.notebook <= (last or first)
