"""Errors of Python and NumPy are explained in one sentence; names of the notebook and wrong types are told."""

import ast
import re
import textwrap

import numpy as np
import pytest
from exercises.answers import function_of

from neo_np.exercises import diagnose
from neo_np.exercises.clashes import failing_step
from neo_np.exercises.course import find
from neo_np.exercises.explanations import EXPLANATIONS


def message(exercise, body, **names):
    """Return the message about a function with this body, in one line. names: what the notebook holds besides."""
    source = f"def {find(exercise).signature}:\n" + textwrap.indent(textwrap.dedent(body).strip(), "    ") + "\n"
    function = function_of(exercise, source)
    function.__globals__.update(names)
    return " ".join(diagnose(exercise, function).message.split())


@pytest.mark.parametrize(
    ("exercise", "body", "advice"),
    [
        ("split_heads", "T, C = x.shape\nD = C / num_heads\nreturn x.reshape(T, num_heads, D)", "use `//`"),
        ("split_heads", "return [x[:, h * x.shape[1] / num_heads :] for h in range(num_heads)]", "use `//`"),
        ("next_token", "return logits[-1][logits[-1].mean()]", "use `//` or `int(...)`"),
        ("next_token", 'return logits["last"]', "an index must be an integer"),
        ("gelu_new", "return 0.5 * x * (1 + np.tanh(x + 0.044715 * x^3))", "write `**`"),
        ("gelu_new", "return 0.5 * x * (1 + math.tanh(x))", "write `np.` for `math.`"),
        ("local_mask", "d = queries[:, None] - keys\nreturn np.where(d >= 0 and d < window, 0.0, -1e9)", "write `&`"),
        ("local_mask", "d = queries[:, None] - keys\nreturn np.where(0 <= d < window, 0.0, -1e9)", "write `&`"),
        ("local_mask", "d = queries[:, None] - keys\nreturn np.where(d >= 0 & d < window, 0.0, -1e9)", "brackets around each"),
        ("softmax", "return np.exp(x - max(x))", "`np.max`"),
        ("softmax", "if x > 0:\n    return x", "need one True or False"),
        ("causal_mask", "return np.where(queries >= keys, 0.0, -1e9)", "one of them needs `[:, None]`"),
        ("attend", "return softmax(q @ k + mask) @ v", "here it is (2, 4) @ (3, 4). Must one of them be transposed? `.T`"),
        ("attend", "return softmax(np.dot(q, k) + mask) @ v", "Must one of them be transposed? `.T`"),
        ("attend", "return softmax(np.matmul(q, k) + mask) @ v", "Must one of them be transposed? `.T`"),
        (
            "linear_backward",
            "return dy @ weight.T, dy.T @ x, dy.sum(0)",
            "(2, 3) @ (2, 3). Must one of them be transposed?",
        ),
        ("linear", "return x @ bias", "another shape than you meant?"),
        ("attend", "w = softmax(q @ k.T + mask)\nreturn w @ w.sum() @ v", "for a number write `*`"),
        ("linear_backward", "return dy * weight, dy * x, dy.sum(0)", "Is the matrix product `@` meant?"),
        ("softmax", "return x / x.sum(axis=1)", "or the line that made it `keepdims=True`?"),
        ("linear", "return x + bias", "another shape than you meant?"),
        ("linear_backward", "return dy + dy.T, dy.T @ x, dy.sum(0)", "`.T` exchanges rows and columns"),
        ("merge_heads", "H, T, D = x.shape\nreturn x.reshape(T, T, D, H)", "`reshape` keeps all numbers"),
        ("softmax", "return x / x.sum(axis=1).sum(axis=1)", "fewer axes than this line needs"),
        ("softmax", "s = x.sum(axis=-1)\nreturn x / s[:, 0]", "fewer axes than this line needs"),
        ("merge_heads", "return x.swapaxes(2, 3)", "fewer axes than this line needs"),
        ("merge_heads", "return x.transpose(0, 1).reshape(len(x[0]), -1)", "write `x.swapaxes(0, 1)`"),
        ("split_heads", "return np.transpose(x.reshape(len(x), num_heads, -1), (0, 1))", "the new order of all axes"),
        ("split_heads", "T, C = x.shape\nreturn x.view(T, num_heads, C // num_heads)", "NumPy's name is `x.reshape(...)`"),
        ("split_heads", "return x.reshape(x.size(0), num_heads, -1).swapaxes(0, 1)", "`x.shape[0]` in NumPy"),
        ("split_heads", "return x.reshape(len(x), num_heads, -1).permute(1, 0, 2)", "PyTorch has this method"),
        ("attend", "return softmax((q @ k.T).masked_fill(mask < 0, -1e9)) @ v", "PyTorch has this method"),
        ("layer_norm", "return (x - x.mean(dim=-1, keepdim=True)) * weight + bias", "calls them `axis`, `keepdims`"),
        ("layer_norm", "return (x - np.mean(x, dim=-1)) * weight + bias", "calls them `axis`, `keepdims`"),
        ("softmax", "return F.softmax(x, dim=-1)", "the course does without this library"),
        ("softmax", "return torch.softmax(x, -1)", "the course does without this library"),
        ("softmax", "import a_library_of_another_course\nreturn x", "the course does without this library"),
        ("mlp", "return p.c_proj(gelu_new(p.c_fc(x)))", "take the array in it, such as `.weight`"),
        ("mlp", "return gelu_new(x @ p.c_fc.T) @ p.c_proj.T", "take the array in it, such as `.weight`"),
        ("mlp", "return gelu_new(x @ p.c_fc) @ p.c_proj", "of a group of parameters take the `.weight`"),
        ("mlp", "return linear(gelu_new(x), p.c_fc.weight, p.c_fc)", "neither a function nor an array"),
        ("self_attention", "return linear(x, p.q_proj.weight, p.q_proj.bias)", "the error lists the names that there are"),
        ("embed", "return wte[ids] + wpe[np.arange(ids)]", "did you mean `len(...)`"),
        ("embed", "return wte[ids] + wpe[range(ids)]", "did you mean `len(...)`"),
        ("next_token", "return int(logits)", "one number is needed here"),
        ("self_attention", "return merge_heads([split_heads(x, num_heads)[0]])", "`np.array(...)` makes an array of it"),
        ("softmax", "rows = [[1.0, 2.0]]\nreturn rows / 2", "lists and tuples do not compute number by number"),
        ("softmax", "rows = [1.0, 2.0]\nreturn rows * 0.5", "lists and tuples do not compute number by number"),
        ("softmax", "rows = [[1.0, 2.0]]\nreturn rows[0, 1]", "a list or tuple takes one integer as its index"),
        ("pick_targets", "y = np.zeros(0)\ny.append(1)\nreturn y", "collect in a list"),
        ("count_pairs", "for tokens, count in words:\n    pass\nreturn {}", "`for key, value in d.items():`"),
        ("merge", "left, right, more = pair\nreturn tokens", "one name for each value"),
        ("count_pairs", "c = {}\nfor w in words:\n    c[w] += 1\nreturn c", "`d.get(key, 0)`"),
        ("count_pairs", "c = {}\nfor w in words:\n    c[list(w)] = 1\nreturn c", "a list or an array cannot be a key"),
        ("merge", "pair[0] = tokens[0]\nreturn tokens", "make a list of it"),
        ("count_pairs", "for w in words:\n    words[w + w] = 1\nreturn words", "loop over `list(d)`"),
        ("decode", 'return "".join(token_bytes[i] for i in ids)', "bytes and text do not mix"),
        ("decode", 'return b"" + "a"', "bytes and text do not mix"),
        ("decode", 't = ""\nfor i in ids:\n    t += token_bytes[i]\nreturn t', "bytes and text do not mix"),
        ("decode", "return str([token_bytes[i].decode() for i in ids] + [bytes([200]).decode()])", "no whole characters"),
        ("merge", "return tokens + pair", "put equal things together"),
        ("forward", "w = config.window(0)\nreturn np.arange(3) < w", "None on purpose"),
        ("merge", "new = [].append(tokens[0])\nreturn new[0]", "`list.append`"),
        ("softmax", "return np.exp(x(0))", "take an element with square ones"),
        ("softmax", "return x / x.sum[0]", "write round brackets"),
        ("softmax", "return x - x.max", "write round brackets"),
        ("layer_norm", "return x.sum(axis=-1) / C", "`T, C = x.shape`"),
        ("softmax", "e = np.exp(x)\nreturn E / e.sum()", "`T, C = x.shape`"),
        ("softmax", "largest = x.max()\nreturn x - lagrest", "letter by letter"),
        ("count_pairs", "for w in words:\n    total = total + 1\nreturn total", "Give it a first value"),
        ("merge", "return [tokens[i + 1] for i in range(len(tokens))]", "with its `+ 1` in the last round?"),
        ("top_k", "b = np.sort(logits)[k]\nreturn np.where(logits < b, -1e9, logits)", "counted from the right end?"),
        (
            "cross_entropy_backward",
            "p = softmax(logits)\np[targets] -= 1\nreturn p / len(p)",
            "meant for this axis (0 for rows",
        ),
        ("merge", "return tokens[len(tokens)]", "Print the index and the length."),
        ("merge", "i = 0\nwhile tokens[i] != '?':\n    i += 1\nreturn tokens", "the loop does not end at the last item"),
        ("softmax", "return x[:0][0]", "is empty here"),
        ("softmax", "return x[-7]", "a negative index counts from the end"),
        ("cross_entropy", "return logits[range(logits.shape[1]), targets]", "two arrays of indices pick pairs"),
        ("softmax", "y = np.zeros(2)\ny[:] = np.zeros(3)\nreturn y", "another shape than the place"),
        ("softmax", "y = np.zeros(2)\ny += np.zeros((3, 2))\nreturn y", "keep the shape of the left side"),
        ("beam_step", "return [t + 1 for t in texts]", "`+ [i]` appends one item"),
        (
            "perplexity",
            "return math.exp(sum(surprises) / len(surprises))",
            "if one number is meant, look at the line that makes it",
        ),
        ("layer_norm", "return softmax(x)", "`softmax` is the exercise of notebook 05, and this one must do without it"),
        ("softmax", "return exp(x)", "NumPy's function is called `np.exp`"),
        ("softmax", "for v in x[:0]:\n    y = v\nreturn y", "a loop without a round"),
        (
            "cross_entropy",
            "z = logits - logits.max(1)[:, None]\nreturn np.log(z.sum(1)) - z[range(len(z)), targets]",
            "log of a negative",
        ),
        ("softmax", "return np.exp(x) / (x - x)", "something is divided by 0"),
        ("softmax", "return np.exp(x - x + 1000)", "exp of a large number is infinite"),
        ("softmax", "return x.sum(axes=1)", "other arguments than it has"),
        ("attend", "return softmax(q, k)", "other arguments than it has"),
        ("softmax", "return x.exp()", "PyTorch has this method"),
        ("softmax", "return np.expp(x)", "nothing with this name"),
        ("merge", "return merge(tokens, pair)", "calls itself without an end"),
        ("reach", "return length // 0", "divided by 0"),
        ("pick_targets", "ids += 0.5\nreturn table[0]", "keep the type of an array"),
        ("split_heads", "return np.array([[1.0], [1.0, 2.0]])", "different lengths"),
        ("softmax", "y = np.zeros(2)\ny[0] = [1.0, 2.0]\nreturn y", "written into the place of one number"),
        ("clip", "return None - [0.5]", "None on purpose"),
        ("softmax", "return np.sqrt(sum(x) + x.T)", "Does the smaller one need `[:, None]`"),
        ("softmax", "return sum(np.exp(x) * x.T)", "Must one of them be transposed?"),
        ("softmax", "return sum(np.exp(row) * x.T for row in x)", "Does the smaller one need `[:, None]`"),
        ("softmax", "return np.sum(np.exp(x) * x.T)", "Must one of them be transposed?"),
        ("reach", "return sum(window)", "one value"),
        ("encode_word", "return [word[merges.index(('?', '?'))]]", "ask with `in` first"),
        ("reach", "return window[0]", "as if it were a list"),
        ("reach", "return len(length)", "as if it were a list"),
    ],
)
def test_common_error_is_explained_in_one_sentence(exercise, body, advice):
    said = message(exercise, body)
    assert "About the error: " in said, said
    assert advice in said.split("About the error: ")[1], said


def test_nothing_given_to_math_is_not_called_an_array():
    said = message("gelu_new", "import math\nreturn math.sqrt(None)")
    assert "must be real number, not NoneType" in said and "whole array" not in said


@pytest.mark.parametrize(
    ("operations", "advice"),
    [
        (
            "gradients ** 2; [*gradients] ** 2; gradients * 0.5; np.float64(2) * gradients; gradients - gradients; "
            "[*gradients] / max_norm; -gradients; abs(gradients); round(gradients); gradients @ gradients",
            "lists and tuples do not compute number by number",
        ),
        ("gradients + 1; [*gradients] + 0.5; max_norm + gradients", "`+ [i]` appends one item"),
        ("gradients.mean(); [*gradients].mean(); gradients.shape; [*gradients].ravel()", "take its items one by one in a loop"),
        ("gradients[:, 0]; list(gradients)[:, 0]", "takes one integer as its index"),
        ("gradients > max_norm; max_norm < [*gradients]; max(gradients, max_norm)", "compared with a number"),
        ("math.sqrt(gradients); float(gradients); int([*gradients])", "a whole array or list"),
        (
            "np.array(gradients); np.array([*gradients]); np.sum(gradients); np.square(gradients); np.linalg.norm(gradients); "
            "np.array(gradients, dtype=object) ** 2; np.clip(gradients, -1, 1)",
            "take them one by one",
        ),
        ("np.stack(gradients); np.concatenate(gradients); np.hstack(gradients)", "`a.ravel()` makes one row"),
        (
            "sum(gradients); np.sqrt(sum(g**2 for g in gradients)); sum(g**2 for g in gradients) ** 0.5",
            "take `.sum()` of each",
        ),
        (
            "np.mean(g for g in gradients); math.sqrt(g for g in gradients); len(g for g in gradients); "
            "map(np.sum, gradients) ** 2; zip(gradients)[0]",
            "make a list of them",
        ),
    ],
)
def test_lists_of_arrays_used_as_an_array_are_explained(operations, advice):
    for operation in operations.split("; "):
        said = message("clip", f"return {operation}")
        assert advice in said.partition("About the error: ")[2], (operation, said)


def test_error_of_other_cases_is_named_before_it_is_explained():
    said = message("clip", "return np.array(gradients)")
    assert "Your function returns an array of floats of shape (2, 1)" in said
    assert said.index("In other cases your function stops with `ValueError") < said.index("About the error: ")


def test_text_of_an_error_keeps_the_functions_that_it_names():
    assert "`ValueError: np.zeros(3) is no row`" in message("softmax", "raise ValueError('np.zeros(3) is no row')")
    assert "`KeyError: 3`" in message("count_pairs", "return {}[np.int64(3)]")


def test_error_that_the_table_does_not_know_is_shown_without_advice():
    assert "About the error" not in message("softmax", "raise ValueError('mine')")


def test_every_sentence_is_short_and_has_a_pattern():
    for error, line, sentence in EXPLANATIONS:
        assert error and sentence[-1] in ".?" and len(sentence) <= 200, sentence
        assert re.compile(error) and re.compile(line)


@pytest.mark.parametrize(
    ("exercise", "body", "names", "used"),
    [
        ("embed", "return wte[ids] + wpe[np.arange(T)]", {"T": 5}, "`T`"),
        ("pick_targets", "return table[np.arange(T), ids]", {"T": 7}, "`T`"),
        ("layer_norm", "m = x.sum(-1, keepdims=True) / C\nreturn (x - m) * weight + bias", {"C": 2}, "`C`"),
        ("softmax", "return [np.exp(v) / total for v in x]", {"total": 3.0}, "`total`"),
        ("linear", "f = lambda y: y @ weight.T * scale\nreturn f(x) + bias", {"scale": 1.0}, "`scale`"),
        ("linear", "return mine(x, weight) + bias", {"mine": eval("lambda x, w: x @ w.T", {"__name__": None})}, "`mine`"),
        ("softmax", "return a + b", {"a": 1.0, "b": 2.0}, "`a`, `b`"),
    ],
)
def test_name_of_the_notebook_is_told(exercise, body, names, used):
    kind = "is not one of its arguments" if len(names) == 1 else "are not its arguments"
    assert f"Your function uses {used} of the notebook, which {kind}." in message(exercise, body, **names)


def test_name_of_the_notebook_is_told_although_the_answer_is_right():
    said = message("linear", "return x @ weight.T * one + bias", one=1.0)
    assert said.startswith("✓ linear: right.") and "uses `one` of the notebook" in said


@pytest.mark.parametrize(
    ("exercise", "body", "names"),
    [
        ("attend", "return softmax(q @ k.T + mask) @ v", {"T": 3, "softmax": None}),  # k.T is an attribute; softmax is lent
        ("linear", "T = len(x)\nreturn x @ weight.T + bias", {"T": 3}),
        ("linear", "return sqrt(4) * x @ weight.T + bias", {"sqrt": np.sqrt}),
        ("linear", "return x @ weight.T + pi", {"pi": __import__("math").pi}),
        ("linear", "return Counter(x)", {"Counter": __import__("collections").Counter}),
        ("merge", "return tokens if len(tokens) < 2 else merge(tokens[1:], pair)", {"merge": None}),
        ("linear", "return sum(weight @ row for row in x)", {"row": 3}),
    ],
)
def test_imports_lent_functions_and_own_names_are_not_told(exercise, body, names):
    assert "of the notebook" not in message(exercise, body, **names)


@pytest.mark.parametrize(
    ("exercise", "body"),
    [
        ("causal_mask", "return np.where(keys <= queries[:, None], 0, -1000000000)"),
        ("causal_mask", "return np.where(keys <= queries[:, None], 0, -10**6)"),
        ("next_token", "return float(logits[-1].argmax())"),
        ("center_rows", "return (x - x.mean(axis=1, keepdims=True)).astype(object)"),
        ("center_rows", "return [[v - sum(row) / len(row) for v in row] for row in x]"),
        ("pick_targets", "return [table[t, id] for t, id in enumerate(ids)]"),
        ("reach", "local = len(attention_layers) * (window - 1) + 1\n"
                  "return min(length, float('inf') if 'global' in attention_layers else local) * 1.0"),
    ],
)  # fmt: skip
def test_right_numbers_of_another_type_are_told_as_that(exercise, body):
    said = message(exercise, body)
    assert "Probable mistake: the numbers are right, and their type is another one" in said, said


@pytest.mark.parametrize(
    ("exercise", "body"),
    [
        ("center_rows", "y = np.zeros(x.shape, int)\ny[:] = x - x.mean(axis=1, keepdims=True)\nreturn y"),
        ("pairwise_dots", "y = x @ y.T\nreturn y.astype(np.int64)"),
        (
            "linear",
            "y = np.full((len(x), len(weight)), 0)\nfor t, row in enumerate(x):\n    y[t] = weight @ row + bias\nreturn y",
        ),
    ],
)
def test_results_in_an_array_of_integers_are_told_as_cut(exercise, body):
    assert "Probable mistake: the digits after the point are lost" in message(exercise, body)


def test_other_integers_are_not_told_as_cut():
    assert "digits after the point" not in message("center_rows", "return np.round(x).astype(int)")


@pytest.mark.parametrize("body", ["return [0.0 for id in ids]", "return (table[0, 0],)"])
def test_list_for_an_array_is_told_how_to_become_one(body):
    assert "`np.array(...)` makes an array of a list." in message("pick_targets", body).split("Case")[0]


def test_tuple_with_the_array_in_it_is_not_told_to_become_an_array():
    said = message("softmax", "return np.exp(x), x").split("Case")[0]
    assert "a tuple of 2 arrays" in said and "np.array" not in said


@pytest.mark.parametrize(
    ("exercise", "body", "said"),
    [
        ("beam_step", "return [(t, 0.5) for t in texts]", "`result[0][0]` is a list of 1 integer, and an integer was expected"),
        ("text_windows", "return [(1, ids)]", "`result[0][0]` is an integer, and a list of 3 integers was expected"),
        ("text_windows", "return [(ids, [1])]", "`result[0][1]` is a list of 1 integer, and an integer was expected"),
        ("linear_backward", "return dy @ weight, dy.T @ x, dy.sum(0).astype(int)", "`result[2]` is an array of integers"),
    ],
)
def test_wrong_type_inside_of_the_result_is_told_with_its_place(exercise, body, said):
    assert f"In your result, {said}" in message(exercise, body)


@pytest.mark.parametrize(
    ("exercise", "body"),
    [
        ("perplexity", "return [np.exp(surprises.mean())]"),
        ("perplexity", "return surprises.mean()"),
        ("linear_backward", "return dy @ weight, dy.T @ x"),
        ("nearest", "return [(np.float32(0.5), np.int64(1))] * k"),
        ("count_pairs", "return {p: np.int64(3) for w in words for p in zip(w, w[1:])}"),
        ("count_pairs", "return {}[np.int64(3)]"),
        ("merge", "return [np.str_(t) for t in tokens] + [np.float32(1)]"),
    ],
)
def test_message_has_plain_numbers(exercise, body):
    assert not re.search(r"np\.\w+\(|array\(|dtype", message(exercise, body).partition("Case ")[2])


WINDOWS = """
    rows, end = [], 1
    while end < len(ids):
        start, end = end, min(end + (1 if rows else window), len(ids))
        rows.append((ids[max(0, end - window - 1) : end], end - start))
    return rows or [(ids, 1)]
"""


@pytest.mark.parametrize(
    ("exercise", "body", "special"),
    [
        ("softmax", "return np.where(abs(x) > 500, 7.0, np.exp(x) / np.exp(x).sum(0))", "cases with very large numbers in `x`"),
        ("text_windows", WINDOWS, "some special cases"),
        ("accept_drafts", "return [*drafts, int(logits[-1].argmax())] if drafts else [5]", "cases with an empty `drafts`"),
    ],
)
def test_special_cases_are_called_what_they_are(exercise, body, special):
    assert f"And there is something else: {special} are wrong in another way." in message(exercise, body)


@pytest.mark.parametrize(
    ("exercise", "body"),
    [
        (
            "top_p",
            "order = np.argsort(-logits)\nout = np.full(len(logits), -np.inf)\n"
            "kept = order[np.cumsum(softmax(logits)[order]) <= p]\nout[kept] = logits[kept]\nreturn out",
        ),
        (
            "text_windows",
            "return [(ids[i : i + window + 1], len(ids[i : i + window + 1]) - 1) for i in range(0, len(ids) - 1, window)]",
        ),
    ],
)
def test_special_cases_that_are_right_or_explained_are_not_called_wrong(exercise, body):
    said = message(exercise, body)
    assert "Probable mistake" in said and "something else" not in said


def test_case_with_a_wrong_shape_is_shown_first():
    body = "l = logits[ids]\nreturn np.where(l > 0, l / penalty, l * penalty)"
    assert "returns an array of floats of shape (1,), and an array of floats of shape (3,) was expected" in message(
        "repetition_penalty", body
    )
    assert "of shape (3,) was expected" in message("top_k", "return np.sort(logits)[::-1][:k]")


def test_lists_are_described_with_what_they_hold():
    said = message("nearest", "return [0.5] * k")
    assert "returns a list of 1 float, and a list of 1 integer was expected" in said


def test_input_changed_beside_an_error_is_not_called_right():
    body = """
    for i in range(len(tokens)):
        if i + 1 < len(tokens) and (tokens[i], tokens[i + 1]) == pair:
            tokens[i : i + 2] = [pair[0] + pair[1]]
        if pair == ("a", "a"):
            tokens[i + 9]
    return tokens
    """
    said = message("merge", body)
    assert (
        "The results are right" not in said and "the result is right, but the input is changed; other cases are wrong" in said
    )
    assert "stops with `IndexError: list index out of range`" in said


def test_wrong_results_beside_a_changed_input_are_not_called_right():
    said = message("center_rows", "x += 1\nreturn np.cos(x)")
    assert "your function changes the array" in said and "are right" not in said and "The result is wrong" in said


def test_masks_are_shown_as_the_task_names_them():
    said = message("causal_mask", "return np.full((2, 2), -1e9)")
    assert "-1e+09" in said and "e+38" not in said
    assert "e+38" not in message("local_mask", "return np.where(queries[:, None] < keys, -1e9, 0.0)")


@pytest.mark.parametrize(
    ("line", "operation"),
    [
        ("softmax(q @ k + mask) @ v", "q @ k"),
        ("softmax(np.matmul(q, k) + mask) @ v", "np.matmul(q, k)"),
        ("q @ k.T, q * v, v", "q * v"),
        ("q @ k.T, q + k[:1]", None),
        ("[q @ row for row in q @ k]", "q @ k"),
    ],
)
def test_operation_that_does_not_fit_is_found_in_the_line(line, operation):
    function = function_of("attend", f"def attend(q, k, v, mask, np=np):\n    return {line}, missing")
    q, k, v = np.ones((2, 4)), np.ones((3, 4)), np.ones((3, 5))
    with pytest.raises((ValueError, NameError)) as raised:
        function(q, k, v, 0)
    trace = raised.tb
    while trace.tb_next:
        trace = trace.tb_next
    found = failing_step(trace)
    assert (found and ast.unparse(found)) == operation


@pytest.mark.parametrize(
    ("exercise", "body", "line"),
    [
        ("split_heads", "y = x.reshape(len(x), num_heads, -1)\ny.swapaxes(0, 1)\nreturn y", "Line 3, `y.swapaxes(0, 1)`,"),
        ("mlp", "h = linear(x, p.c_fc.weight, p.c_fc.bias)\ngelu_new(h)\nreturn h", "Line 3, `gelu_new(h)`,"),
        ("center_rows", "mean = x.mean(axis=1, keepdims=True)\nx - mean", "Line 3, `x - mean`,"),
        ("softmax", "if len(x):\n    np.exp(x)\nreturn x", "Line 3, `np.exp(x)`,"),
    ],
)
def test_line_that_keeps_its_value_nowhere_is_told(exercise, body, line):
    assert f"{line} makes a new value and keeps it nowhere." in message(exercise, body)


@pytest.mark.parametrize(
    ("exercise", "body"),
    [
        ("softmax", "np.exp(x, out=x)\nreturn x"),
        ("softmax", "np.copyto(x, 0)\nprint(x)\nreturn x"),
        ("merge", "new = []\nnew.append(pair)\nreturn new"),
        ("merge", "def step():\n    return tokens\nstep()\nreturn tokens[1:]"),
    ],
)
def test_line_that_changes_something_is_not_told_as_unkept(exercise, body):
    assert "keeps it nowhere" not in message(exercise, body)


def test_right_answer_with_an_unkept_value_passes_without_a_remark():
    said = message("next_token", "logits[-1].max()\nreturn int(logits[-1].argmax())")
    assert "right" in said and "keeps it nowhere" not in said
