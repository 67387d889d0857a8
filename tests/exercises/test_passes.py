"""`passes`, one line for the tests of nbgrader and otter."""

import re
from types import FunctionType

import numpy as np
import pytest
import regex
from exercises.answers import function_of

import neo_np
from neo_np import NeoError
from neo_np.exercises import check, passes
from neo_np.gpt_neo import forward
from neo_np.gpt_neo.forward import softmax as theirs


def right(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def test_passes_right_answer_is_true_and_silent(capsys):
    assert passes("softmax", right) is True
    assert capsys.readouterr().out == ""


def test_passes_wrong_answer_is_false_and_shows_the_mistake(capsys):
    function = function_of(
        "causal_mask", "def causal_mask(queries, keys):\n    return np.where(keys[None] < queries[:, None], 0, -1e9)"
    )
    assert passes("causal_mask", function) is False
    assert "a token does not see itself" in capsys.readouterr().out


def test_passes_of_no_function_is_false(capsys):
    for answer in (None, 3, ...):
        assert passes("softmax", answer) is False
        assert "must be a function" in capsys.readouterr().out


def test_passes_unknown_exercise_raises():
    with pytest.raises(NeoError, match="Did you mean 'softmax'"):
        passes("sofmax", right)


def by_name(x):
    return theirs(x)


def by_module(x):
    return forward.softmax(x)


def by_package(x):
    return neo_np.gpt_neo.forward.softmax(x)


def by_helper(x):
    return by_module(x)


def by_import(x):
    from neo_np.gpt_neo.forward import softmax

    return softmax(x)


def by_inner_function(x):
    def inner():
        return theirs(x)

    return inner()


def in_list(x):
    return [theirs(row) for row in x]


ALIAS = theirs


def by_alias(x):
    return ALIAS(x)


@pytest.mark.parametrize(
    "function", [theirs, by_name, by_module, by_package, by_helper, by_import, by_inner_function, in_list, by_alias]
)
def test_passes_answer_that_uses_neo_np_is_false_and_says_so(function, capsys):
    assert passes("softmax", function) is False
    shown = " ".join(capsys.readouterr().out.split())
    assert "which comes from neo_np. Write it yourself" in shown or "uses `neo_np`. Write it yourself" in shown


def by_library(x):
    return right(x) if regex.match("", "") else x


def by_inner_library(x):
    import regex as r

    return right(x) if r.match("", "") else x


LIBRARY_FUNCTION = [regex.match]


def by_collection(x):
    return right(x) if LIBRARY_FUNCTION[0]("", "") else x


@pytest.mark.parametrize("function", [by_library, by_inner_library, by_collection])
def test_passes_answer_that_uses_another_library_is_false_and_check_says_the_same(function, capsys):
    assert passes("softmax", function) is False
    assert re.search(r"softmax: The answer uses the library `\S+`\. Write it with NumPy", capsys.readouterr().out)
    check(renamed(function, "softmax"))
    shown = " ".join(capsys.readouterr().out.split())
    assert "softmax: right." in shown and "But it gets no points. The answer uses the library" in shown


def renamed(function, name):
    """Return a copy of a function under another name."""
    return FunctionType(function.__code__, function.__globals__, name)


def test_check_of_an_answer_that_uses_neo_np_says_that_it_gets_no_points(capsys):
    check(renamed(by_name, "softmax"))
    assert "But it gets no points. The answer uses `theirs`" in " ".join(capsys.readouterr().out.split())


def test_passes_answer_that_uses_modules_of_python_is_true():
    def softmax(x):
        import math

        return right(x) + 0 * math.sqrt(4) + 0 * len(re.findall("a", "b"))

    assert passes("softmax", softmax)


def test_passes_attribute_with_the_name_of_something_of_neo_np_is_no_use_of_it():
    """`p.forward` is an attribute; only the global name `forward` is a module here."""

    class Place:
        forward = 0.0

    def softmax(x):
        return right(x) + Place.forward

    assert passes("softmax", softmax)


def test_answer_may_use_a_lent_function_of_the_package_and_no_other(capsys):
    """The notebooks bind the package's softmax, which these two exercises may call."""
    source = """
def cross_entropy_backward(logits, targets):
    p = softmax(logits)
    p[np.arange(len(targets)), targets] -= 1
    return p / len(targets)
"""
    backward = function_of("cross_entropy_backward", source)
    backward.__globals__.update(np=np, softmax=theirs)
    assert passes("cross_entropy_backward", backward) and capsys.readouterr().out == ""
    assert check(backward) is backward and "no points" not in capsys.readouterr().out
    backward.__globals__["softmax"] = lambda x: forward.softmax(x)
    assert passes("cross_entropy_backward", backward)
    loss = function_of("cross_entropy", "def cross_entropy(logits, targets):\n    return theirs(logits).sum()")
    loss.__globals__["theirs"] = theirs
    assert not passes("cross_entropy", loss) and "`theirs`, which comes from neo_np" in capsys.readouterr().out
