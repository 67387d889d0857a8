"""The checker names mistakes: each of the lists, written in several styles, and most of the free wrong answers."""

import functools
import itertools
import re
import textwrap

import pytest
from exercises.answers import function_of, in_float64, read_styles, read_wrong_answers

from neo_np.exercises import diagnose
from neo_np.exercises.calls import kept_apart
from neo_np.exercises.course import EXERCISES
from neo_np.exercises.naming import candidates, is_wrong, named
from neo_np.exercises.outcomes import BROKEN, equal
from neo_np.exercises.prepared import prepared_cases

ANSWERS = read_styles()
STYLES = sorted({(answer.exercise, answer.style) for answer in ANSWERS})
NAIVE_FIRST = [pytest.param(*pair, marks=[pytest.mark.slow] if pair[1] != "naive" else []) for pair in STYLES]
WRONG = read_wrong_answers()

# The mistakes that the course must know, under the names that the registry gives them.
LISTED = {
    "next_token": "first_row flattened wrong_axis",
    "center_rows": "axis_0 no_keepdims changes_input",
    "pairwise_dots": "star_for_at transposed_partner wrong_axis",
    "pick_targets": "whole_columns off_by_one flattened",
    "byte_table": "identity space_left_out wrong_start",
    "count_pairs": "unordered across_words word_counts_ignored",
    "merge": "from_the_right first_place_only keeps_second_half changes_input",
    "encode_word": "longest_match leftmost_first stops_after_one",
    "decode": "each_by_itself strict joined_with_spaces",
    "embed": "no_positions from_1 position_by_id",
    "nearest": "dot_for_cosine returns_itself ascending",
    "layer_norm": "n_minus_1 eps_outside no_eps sum_for_mean time_axis no_root bias_first",
    "linear": "untransposed no_bias bias_twice",
    "softmax": "overflow axis everything no_keepdims",
    "causal_mask": "strict upper inverted",
    "attend": "scaled no_mask mask_after_softmax masked_score_is_0 query_axis swapped mask_inverted",
    "split_heads": "reshape_without_swap interleaved H_and_D_exchanged",
    "merge_heads": "no_swap_back mean sum",
    "self_attention": "scaled over_all_heads out_bias_lost k_as_v unmerged_order",
    "local_mask": "one_long one_short not_causal chunks",
    "reach": "layers_times_window one_window global_ignored",
    "gelu_new": "erf_form sigmoid_form relu no_cubic",
    "mlp": "activation_last no_activation activation_twice",
    "block": "post_norm parallel no_residual ln_1_twice",
    "forward": "no_ln_f residual_restarted layers_reversed",
    "logit_lens": "no_ln_f wrong_layer last_position_only",
    "temperature": "multiplies on_probabilities too_early",
    "top_k": "sets_0 smallest ties_lost",
    "top_p": "drops_the_crossing wrong_end not_softmaxed probabilities",
    "repetition_penalty": "divides_negatives by_count all_tokens",
    "sample": "argmax wrong_side last_bin_lost",
    "cached_step": "position_0 slot_overwritten new_keys_only",
    "beam_step": "probabilities_added best_of_each finished_go_on",
    "accept_drafts": "all_accepted correction_forgotten goes_on_after_a_miss",
    "cross_entropy": "log_of_0 log2 argmax_as_target",
    "perplexity": "mean_of_exps base_2 summed",
    "bits_per_byte": "per_token per_character nats",
    "text_windows": "overlap_scored_twice unshifted tail_dropped",
    "numerical_gradient": "one_sided not_divided changes_input",
    "cross_entropy_backward": "of_the_mean sign no_mean probabilities_only",
    "linear_backward": "transposed bias_not_summed dx_uses_x",
    "layer_norm_backward": "mean_constant variance_constant gain_forgotten",
    "adamw_step": "no_bias_correction decay_in_gradient decay_not_times_rate eps_inside step_from_0",
    "clip": "each_by_itself scales_up nothing_above",
    "schedule": "off_by_one warmup_from_0 no_floor",
    "induction_score": "off_by_one previous_token first_copy",
    "ablate_head": "after_out_proj wrong_axis all_heads",
    "patch": "all_positions swapped aliased",
}
CORE = """
next_token center_rows count_pairs merge encode_word decode embed layer_norm linear softmax causal_mask attend split_heads
merge_heads local_mask gelu_new block forward
temperature top_p sample cached_step
cross_entropy perplexity numerical_gradient cross_entropy_backward linear_backward
adamw_step clip
ablate_head
""".split()

# What a teacher calls each of the free wrong answers, in their order: the name in the registry.
TRUE_NAMES = """
first_row flattened score everything axis_0 no_keepdims same_number_only transposed_partner whole_columns flattened
whole_rows identity byte_added word_counts_ignored last_pair_missing across_words keeps_second_half first_place_only
from_the_right last_token_lost longest_match stops_after_one leftmost_first each_by_itself strict from_1 no_positions
dot_for_cosine returns_itself distance n_minus_1+eps_outside no_eps no_root time_axis no_gain_and_bias rms_norm
untransposed no_bias everything overflow+axis overflow one_maximum division_inside strict upper from_zero scaled no_mask
mask_after_softmax reshape_without_swap heads_behind_tokens sum no_swap_back scaled+out_bias_lost one_long
layers_times_window sigmoid_form no_activation post_norm no_ln_f
multiplies too_early on_probabilities sets_0 smallest one_short drops_the_crossing wrong_end each_by_itself probabilities
divides_negatives by_count subtracts argmax wrong_side+removed_token_drawn last_bin_lost no_running_sum+removed_token_drawn
position_0 slot_overwritten new_key_missing scaled probabilities_added best_of_each finished_go_on
all_accepted correction_forgotten goes_on_after_a_miss wrong_row
overflow+log_of_0 argmax_as_target log2+log_of_0 mean base_2 mean_of_exps summed per_token per_character nats
overlap_scored_twice unshifted+last_row_loses_context tail_dropped one_sided changes_input bracket_missing no_mean sign
of_the_mean weight_transposed transposed+bias_not_summed dx_uses_x mean_constant+variance_constant gain_forgotten
dweight_from_x
decay_in_gradient no_bias_correction decay_not_times_rate+eps_inside each_by_itself entries_clipped scales_up+no_root
warmup_from_0 no_floor+progress_of_all_steps straight_line
off_by_one first_copy previous_token after_out_proj wrong_axis all_heads aliased all_positions swapped
""".split()


def ids(items):
    """Return a readable name for each parameter."""
    return [" ".join(item[:2]) for item in items]


@functools.cache
def outcomes_of(exercise, candidate):
    """Return the outcomes of a candidate for all cases."""
    with kept_apart():
        return [candidate.outcome(i, *prepared) for i, prepared in enumerate(prepared_cases(exercise))]


def failing_first(exercise, outcomes):
    """Return the numbers of all cases, the failing ones first, and how many fail."""
    prepared = prepared_cases(exercise)
    wrong = [i for i, (_, expected) in enumerate(prepared) if is_wrong(outcomes[i], expected, exercise.tolerance)]
    return wrong + [i for i in range(len(prepared)) if i not in wrong], len(wrong)


def differ(exercise, one, other):
    """Return whether two candidates have different outcomes in at least one case."""
    cases = enumerate(prepared_cases(exercise))
    pairs = ([candidate.outcome(i, *prepared) for candidate in (one, other)] for i, prepared in cases)
    return any(
        a.kind != b.kind or a.changed != b.changed or (a.kind != BROKEN and not equal(a.value, b.value, exercise.tolerance))
        for a, b in pairs
    )


def assert_answers_get_their_names(exercise, style, change=lambda function: function):
    """Check that each answer of an exercise in this style passes or gets the name of its mistake, and no other."""
    for answer in ANSWERS:
        if (answer.exercise, answer.style) != (exercise, style):
            continue
        if change is in_float64 and answer.mistake == "changes_input":  # a copy in float64 hides that the input is changed
            continue
        verdict = diagnose(exercise, change(function_of(exercise, answer.source)))
        if answer.mistake is None:
            assert verdict.passed, verdict.message
        else:
            assert (verdict.passed, verdict.mistakes) == (False, (answer.mistake,)), answer.source + verdict.message


@pytest.mark.parametrize(("exercise", "style"), NAIVE_FIRST, ids=ids(STYLES))
def test_answers_in_one_style_pass_or_get_the_name_of_their_mistake(exercise, style):
    assert_answers_get_their_names(exercise, style)


@pytest.mark.slow
@pytest.mark.parametrize(("exercise", "style"), STYLES, ids=ids(STYLES))
def test_answers_in_float64_pass_or_get_the_name_of_their_mistake(exercise, style):
    assert_answers_get_their_names(exercise, style, in_float64)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_every_mistake_is_written_in_three_styles_and_so_is_the_right_answer(exercise):
    has_floats = exercise.notebook != "02" and exercise.name not in ("reach", "text_windows", "schedule")
    for mistake in [None, *(mistake.name for mistake in exercise.mistakes)]:
        styles = [answer.style for answer in ANSWERS if (answer.exercise, answer.mistake) == (exercise.name, mistake)]
        assert len(set(styles)) >= 2 + (not has_floats or mistake == "changes_input"), mistake  # float64 is one more


def test_the_lists_are_complete():
    assert LISTED.keys() == EXERCISES.keys()
    assert [name for name, exercise in EXERCISES.items() if exercise.core] == CORE
    for name, exercise in EXERCISES.items():
        names = [mistake.name for mistake in exercise.mistakes]
        assert len(set(names)) == len(names)
        assert set(LISTED[name].split()) <= set(names), name
    assert sum(len(mistakes.split()) for mistakes in LISTED.values()) == 163
    assert sum(len(exercise.mistakes) for exercise in EXERCISES.values()) >= 390


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_mistakes_are_told_apart(exercise):
    single = [candidate for candidate in candidates(exercise) if len(candidate.mistakes) == 1]
    with kept_apart():
        for one, other in itertools.combinations(single, 2):
            if one.mistakes != other.mistakes:
                assert differ(exercise, one, other), (one.switches, other.switches)


def simplest_names(exercise, candidate):
    """Return the only smallest set of mistakes whose outcomes equal those of the candidate, () if there are several."""
    for fewest in (1, 2):
        others = [other for other in candidates(exercise) if len(other.mistakes) == fewest]
        with kept_apart():
            equal_ones = {other.mistakes for other in others if not differ(exercise, candidate, other)}
        if equal_ones:
            return equal_ones.pop() if len(equal_ones) == 1 else ()


@pytest.mark.slow
@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_two_mistakes_are_both_named_unless_something_simpler_gives_the_same(exercise):
    for candidate in candidates(exercise):
        outcomes = outcomes_of(exercise, candidate)
        order, failing = failing_first(exercise, outcomes)
        found = named(exercise, outcomes, prepared_cases(exercise), order) if failing else ()
        if failing == 0 or all(outcome.kind == BROKEN for outcome in outcomes):  # two wrongs that make a right, or no numbers
            assert len(candidate.mistakes) == 2, candidate.switches
        else:
            assert found == simplest_names(exercise, candidate), candidate.switches


def test_most_free_wrong_answers_are_named():
    assert len(WRONG) == len(TRUE_NAMES) >= 122
    named_answers = 0
    for (exercise, wrong, source), names in zip(WRONG, TRUE_NAMES):
        verdict = diagnose(exercise, function_of(exercise, source))
        assert not verdict.passed, wrong
        if verdict.mistakes:
            named_answers += 1
            assert set(verdict.mistakes) == set(names.split("+")), wrong
    assert named_answers >= 0.8 * len(WRONG)


SLIPS = [
    ("next_token", "return int(max(logits[-1]))", "score"),
    ("pairwise_dots", "return y @ x.T", "transposed_partner"),
    (
        "count_pairs",
        "c = {}\nfor word, n in words:\n    for p in zip(word, word[1:]):\n        c[p] += n\nreturn c",
        "keys_only",
    ),
    (
        "count_pairs",
        "row, c = [(t, n) for w, n in words.items() for t in w], {}\n"
        "for (a, n), (b, _) in zip(row, row[1:]):\n    c[a, b] = c.get((a, b), 0) + n\nreturn c",
        "across_words",
    ),
    ("nearest", "s = wte @ wte[id] / len(wte)\nreturn [int(i) for i in np.argsort(-s) if i != id][:k]", "dot_for_cosine"),
    (
        "nearest",
        "n = np.linalg.norm(wte, axis=1)\nc = wte @ wte[id] / n / n[id]\n"
        "return sorted([float(x) for x in c], reverse=True)[1 : k + 1]",
        "cosines_returned",
    ),
    ("linear", "return weight @ x.T + bias", "turned"),
    ("layer_norm", "m = x.mean(1, keepdims=True)\nreturn (x - m) / np.sqrt(m**2 + eps) * weight + bias", "square_of_mean"),
    ("softmax", "e = np.exp(x - x.max(1, keepdims=True))\nreturn e / e.sum(1)", "no_keepdims"),
    ("softmax", "e = np.exp(x.max(1, keepdims=True) - x)\nreturn e / e.sum(1, keepdims=True)", "turned"),
    ("causal_mask", "return np.where(queries >= keys, 0.0, -1e9)", "no_new_axis"),
    ("attend", "return softmax(q @ k + mask) @ v", "keys_not_transposed"),
    ("attend", "return softmax(q @ k.T * mask) @ v", "mask_multiplied"),
    (
        "self_attention",
        "q, k, v = (split_heads(x @ w.weight.T, num_heads) for w in (p.q_proj, p.k_proj, p.v_proj))\n"
        "return linear(merge_heads(attend(q, k, v, mask)), p.out_proj.weight, p.out_proj.bias)",
        "all_heads_at_once",
    ),
    (
        "mlp",
        "a, b = p.c_proj, p.c_fc\nreturn linear(gelu_new(linear(x, a.weight, a.bias)), b.weight, b.bias)",
        "layers_exchanged",
    ),
    (
        "mlp",
        "a, b = p.c_fc, p.c_proj\nreturn linear(linear(gelu_new(x), a.weight, a.bias), b.weight, b.bias)",
        "activation_first",
    ),
    ("mlp", "return gelu_new(x @ p.c_fc.weight + p.c_fc.bias) @ p.c_proj.weight + p.c_proj.bias", "not_transposed"),
    (
        "logit_lens",
        "x = layer_norm(streams[-1], params.ln_f.weight, params.ln_f.bias, config.layer_norm_epsilon)\n"
        "return x @ params.wte.weight.T",
        "wrong_layer",
    ),
    ("temperature", "return np.where(logits > 0, logits / value, logits * value)", "by_sign"),
    ("top_k", "return np.where(logits < np.sort(logits)[k], -np.inf, logits)", "counted_from_below"),
    ("top_k", "return np.where(logits < np.sort(logits)[-k], -1, logits)", "sets_0"),
    ("top_k", "return np.where(logits < np.unique(logits)[-k], -np.inf, logits)", "equal_ones_counted_once"),
    ("top_k", "return np.where(logits < np.sort(logits)[::-1][k], -np.inf, logits)", "one_long"),
    (
        "top_p",
        "order = np.argsort(-logits)\nprobs = softmax(logits)[order]\nkept = order[np.cumsum(probs) - probs <= p]\n"
        "out = np.full(len(logits), -np.inf)\nout[kept] = logits[kept]\nreturn out",
        "equal_is_too_few",
    ),
    (
        "top_p",
        "p = softmax(logits)\norder = np.argsort(-logits)\nbefore = np.cumsum(p[order]) - p[order]\n"
        "out = np.full(len(logits), -np.inf)\nout[order[before < p]] = logits[order[before < p]]\nreturn out",
        "p_overwritten",
    ),
    ("repetition_penalty", "old = logits[ids]\nreturn np.where(old > 0, old / penalty, old * penalty)", "one_for_each_id"),
    (
        "repetition_penalty",
        "out = logits.copy()\nfor id in range(len(ids)):\n"
        "    out[id] = out[id] / penalty if out[id] > 0 else out[id] * penalty\nreturn out",
        "places_for_ids",
    ),
    (
        "sample",
        "order = np.argsort(probabilities)[::-1]\nedges = np.cumsum(probabilities[order])\n"
        "return int(order[np.searchsorted(edges / edges[-1], u, side='right')])",
        "sorted_first",
    ),
    (
        "sample",
        "u, edges = np.random.default_rng(0).random(), np.cumsum(probabilities)\n"
        "return int(np.searchsorted(edges / edges[-1], u, side='right'))",
        "draws_itself",
    ),
    (
        "sample",
        "edge = 0\nfor i in range(len(probabilities)):\n    edge += probabilities[i]\n    if u < edge:\n        drawn = i\n"
        "return drawn",
        "no_stop",
    ),
    (
        "sample",
        "edge, drawn = 0, None\nfor i, p in enumerate(probabilities):\n    edge += p\n    if u < edge:\n        drawn = i\n"
        "return drawn",
        "no_stop",
    ),
    (
        "sample",
        "edge = 0\nfor i, p in enumerate(probabilities):\n    edge += p\n    if u < edge:\n        return i\n"
        "return len(probabilities) - 1",
        "removed_token_drawn",
    ),
    (
        "sample",
        "i = np.searchsorted(np.cumsum(probabilities), u, side='right')\nreturn min(int(i), len(probabilities) - 1)",
        "removed_token_drawn",
    ),
    *[
        (
            "cached_step",
            f"x = wte[id] + wpe[{place}]\nkeys = np.concatenate([keys, [{key}]])\n"
            f"values = np.concatenate([values, [{value}]])\nreturn softmax(keys @ {query}) @ {rows}",
            mistake,
        )
        for place, key, value, query, rows, mistake in [
            ("len(keys)", "x", "x", "(wq @ x)", "values", "token_in_the_cache"),
            ("len(keys)", "wk @ x", "wv @ x", "x", "values", "query_exchanged"),
            ("len(keys)", "wk @ x", "wv @ x", "(wq @ x)", "keys", "keys_averaged"),
            ("-1", "wk @ x", "wv @ x", "(wq @ x)", "values", "last_position"),
            ("len(keys[0])", "wk @ x", "wv @ x", "(wq @ x)", "values", "position_by_width"),
        ]
    ],
    *[
        (
            "beam_step",
            "found = []\nfor text, score, row in zip(texts, scores, probabilities):\n"
            f"    if {ended}:\n        found.append((score, text))\n    else:\n"
            f"        found += [(score + np.log(row[i]), {new}) for i in {tokens}]\n"
            f"found = sorted(found, key=lambda pair: -pair[0])[:len(texts)]\nreturn {result}",
            mistake,
        )
        for ended, tokens, new, result, mistake in [
            ("end in text", "range(len(row))", "text + [i]", "[text for _, text in found]", "end_anywhere"),
            ("text[-1] == end", "range(len(row))", "[i]", "[text for _, text in found]", "text_forgotten"),
            ("text[-1] == end", "range(len(texts))", "text + [i]", "[text for _, text in found]", "rows_for_tokens"),
            ("text[-1] == end", "np.argsort(-row)[:2]", "text + [i]", "[text for _, text in found]", "few_candidates"),
            (
                "text[-1] == end",
                "range(len(row))",
                "text + [i]",
                "[text for _, text in found], [score for score, _ in found]",
                "not_the_texts",
            ),
        ]
    ],
    *[
        ("accept_drafts", body, mistake)
        for body, mistake in [
            (
                "n = 0\nwhile drafts[n] == logits[n].argmax():\n    n += 1\nreturn drafts[:n] + [int(logits[n].argmax())]",
                "no_bound",
            ),
            (
                "new = []\nfor i in range(len(logits)):\n    own = int(logits[i].argmax())\n    new.append(own)\n"
                "    if own != drafts[i]:\n        break\nreturn new",
                "no_bound",
            ),
            (
                "n = 0\nwhile n < len(drafts) and drafts[n] == logits[n].argmax():\n    n += 1\n"
                "return drafts[:n] + [int(logits[n + 1].argmax())]",
                "correction_from_last_row",
            ),
            (
                "best, n = logits.argmax(axis=0), 0\nwhile n < len(drafts) and drafts[n] == best[n]:\n    n += 1\n"
                "return drafts[:n] + [int(best[n])]",
                "not_by_rows",
            ),
            (
                "new = []\nfor d, row in zip(drafts, logits):\n    own = int(np.argmax(logits))\n    new.append(own)\n"
                "    if own != d:\n        return new\nreturn new + [int(np.argmax(logits))]",
                "not_by_rows",
            ),
            (
                "new = []\nfor d, row in zip(drafts, logits):\n    if row[d] <= 0:\n        return new + [int(row.argmax())]\n"
                "    new.append(d)\nreturn new + [int(logits[-1].argmax())]",
                "positive_accepted",
            ),
        ]
    ],
    ("cross_entropy", "z = logits - logits.max()\nreturn np.log(np.exp(z).sum(1)) - z[range(len(z)), targets]", "overflow"),
    (
        "cross_entropy",
        "z = logits - logits.max(1)[:, None]\nlog_p = z - np.log(np.exp(logits).sum(1))[:, None]\n"
        "return -log_p[range(len(z)), targets]",
        "sum_not_shifted",
    ),
    ("perplexity", "return math.exp(surprises.sum() / len(surprises))", "divided_by_rows"),
    ("perplexity", "return np.exp(sum(surprises) / len(surprises))", "by_row"),
    (
        "text_windows",
        "rows, end = [], 1\nwhile end < len(ids):\n"
        "    start, end = end, min(len(ids), end + (stride if rows else window))\n"
        "    rows.append((ids[max(end - window, 0) : end], end - start))\nreturn rows",
        "one_short",
    ),
    (
        "text_windows",
        "rows = []\nfor start in range(0, len(ids), stride):\n    row = ids[start : start + window + 1]\n"
        "    rows.append((row, len(row) - 1))\nreturn rows",
        "overlap_scored_twice",
    ),
    (
        "text_windows",
        "rows = []\nfor start in range(0, len(ids), stride):\n    row = ids[start : start + window + 1]\n"
        "    rows.append((row, stride if rows else len(row) - 1))\nreturn rows",
        "rows_after_the_end",
    ),
    (
        "text_windows",
        "rows = []\nfor start in range(0, len(ids), stride):\n    row = ids[start : start + window + 1]\n"
        "    rows.append((row, min(stride, len(row) - 1) if rows else len(row) - 1))\n    if start + window + 1 >= len(ids):\n"
        "        break\nreturn rows",
        "scored_past_the_end",
    ),
    (
        "text_windows",
        "rows, done = [], 1\nwhile done < len(ids):\n"
        "    end = min(len(ids), done + (stride if rows else window))\n"
        "    rows.append((ids[done:end], end - done))\n    done = end\nreturn rows",
        "context_thrown_away",
    ),
    (
        "text_windows",
        "rows, done = [(ids[: window + 1], min(window, len(ids) - 1))], window + 1\n"
        "while done + stride <= len(ids):\n"
        "    end = done + stride\n    rows.append((ids[end - window - 1 : end], stride))\n    done = end\n"
        "return rows",
        "tail_dropped",
    ),
    (
        "text_windows",
        "rows, done = [], 1\nwhile done < len(ids):\n"
        "    end = min(len(ids), done + (stride if rows else window))\n"
        "    rows.append((ids[max(0, end - window - 1) : end], end - done + (done == 1)))\n    done = end\n"
        "return rows",
        "unshifted",
    ),
    (
        "numerical_gradient",
        "up, down, g = x.copy(), x.copy(), np.zeros_like(x)\nfor i in np.ndindex(x.shape):\n"
        "    up[i] += h\n"
        "    down[i] -= h\n    g[i] = (f(up) - f(down)) / (2 * h)\nreturn g",
        "not_moved_back",
    ),
    ("cross_entropy_backward", "p = softmax(logits)\nreturn (p - np.eye(4)[targets]) / 2", "numbers_of_the_example"),
    ("linear_backward", "return x @ weight.T @ weight, dy.T @ x, dy.sum(0)", "dx_uses_x"),
    ("linear_backward", "return dy @ weight, dy.T @ x, dy.sum()", "bias_over_everything"),
    (
        "layer_norm_backward",
        "s = np.sqrt(x.var(1, keepdims=True) + eps)\n"
        "n, dn = (x - x.mean(1, keepdims=True)) / s, dy * weight\n"
        "a, b = dn.mean(1, keepdims=True), n * dn.mean(1, keepdims=True) * n.mean(1, keepdims=True)\n"
        "return (dn - a - b) / s, (dy * n).sum(0), dy.sum(0)",
        "variance_constant",
    ),
    (
        "layer_norm_backward",
        "s = np.sqrt(x.var(1, keepdims=True) + eps)\n"
        "n, dn = (x - x.mean(1, keepdims=True)) / s, dy * weight\n"
        "a, b = dn.mean(1, keepdims=True), n * (dn * n).mean(1, keepdims=True)\n"
        "return (dn - a - b) * s, (dy * n).sum(0), dy.sum(0)",
        "not_divided",
    ),
]


@pytest.mark.parametrize(("exercise", "body", "mistake"), SLIPS, ids=[f"{slip[0]} {slip[2]}" for slip in SLIPS])
def test_slips_that_are_easily_made_are_named(exercise, body, mistake):
    source = f"def {EXERCISES[exercise].signature}:\n" + textwrap.indent(body, "    ")
    assert diagnose(exercise, function_of(exercise, source)).mistakes == (mistake,)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_sentences_are_short_and_end_as_sentences_do(exercise):
    for mistake in exercise.mistakes:
        assert mistake.says[-1] == "." and len(mistake.says) <= 150, mistake.says
        assert mistake.asks[-1] in "?.)", mistake.asks
        assert len(mistake.asks) <= 160, mistake.asks
        assert mistake.says[0] in "`" or not mistake.says[0].isupper() or re.match(r"[A-Z]{2}", mistake.says), mistake.says
    assert len(exercise.hints) == 3 and all(exercise.hints)
    assert len(exercise.task) <= 450


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_cases_are_the_same_every_time_and_grow(exercise):
    first, second = exercise.cases(), exercise.cases()
    assert repr([case.arguments for case in first]) == repr([case.arguments for case in second])
    if len(first) > 1:
        assert len(repr(first[0].arguments)) <= len(repr(first[-1].arguments)) or first[-1].extreme
    assert first[0].extreme is False
