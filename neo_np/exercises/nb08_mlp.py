"""Exercises of notebook 08, the MLP: gelu_new, mlp."""

import math

import numpy as np

from neo_np.exercises.exercise import Case, Exercise, array, mistake, random_numbers
from neo_np.exercises.nb04_layer_norm import linear
from neo_np.gpt_neo.activations import gelu, relu, silu
from neo_np.gpt_neo.params import Params

ROOT = math.sqrt(2 / math.pi)

# gelu_new


def gelu_new(x):
    """Return 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
    return 0.5 * x * (1 + np.tanh(ROOT * (x + 0.044715 * x**3)))


def gelu_new_loop(x):
    """Work out each number by itself."""
    flat = [0.5 * v * (1 + math.tanh(ROOT * (v + 0.044715 * v * v * v))) for v in x.ravel().tolist()]
    return np.array(flat, np.float32).reshape(x.shape)


def gelu_new_variant(
    x,
    form="tanh",
    cubic=0.044715,
    power=3,
    root=ROOT,
    half=0.5,
    one=1.0,
    factor=True,
    cube_of="x",
    sign=1,
    inner_root=True,
    linear_term=1,
    function="tanh",
    outer=1,
    flat=False,
):
    """gelu_new with a switch for each mistake."""
    if form != "tanh":
        other = {
            "sigmoid_1.702": lambda: x / (1 + np.exp(-1.702 * x)),
            "gelu": gelu,
            "relu": relu,
            "silu": silu,
            "tanh_only": np.tanh,
        }
        return other[form]() if form == "sigmoid_1.702" else other[form](x)
    y = (cubic * x) ** 3 if cube_of == "product" else cubic * (3 * x if power == "times" else x**power)
    y = cubic + x**3 if cube_of == "added" else y
    inside = root * (x * linear_term + sign * y) if inner_root else root * x + sign * y
    function = {
        "tanh": np.tanh,
        "none": lambda z: z,
        "tan": np.tan,
        "arctan": np.arctan,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    }[function]
    bent = outer * function(inside)
    y = {
        True: lambda: half * x * (one + bent),
        False: lambda: half * (one + bent),
        "first term": lambda: half * x * one + bent,
    }[factor]()
    return y.ravel() if flat else y


def gelu_new_cases():
    """Return single numbers, rows and tables between -6 and 6."""
    rng = np.random.default_rng(8)
    return [
        Case((array([1]),)),
        Case((array([-1, 0, 2]),)),
        Case((array([[0.5, -0.5], [3, -3]]),)),
        Case((array([-2.7, 2.7, -2.2, 2.2]),)),
        Case((np.linspace(-5, 5, 11, dtype=np.float32),)),
        Case((array([100, -100, 1000]),), extreme=True),
        *(Case((random_numbers(rng, *shape),), random=True) for shape in [(3,), (2, 4), (4, 3), (3, 5), (6,), (2, 2)] * 3),
    ]


GELU_NEW = Exercise(
    name="gelu_new",
    notebook="08",
    minutes=8,
    core=True,
    signature="gelu_new(x)",
    task="Return 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x))) for each number of x, an array of any shape.",
    reference=gelu_new,
    variant=gelu_new_variant,
    package_name="neo_np.gpt_neo.forward.gelu_new",
    also_right=(gelu_new_loop,),
    cases=gelu_new_cases,
    mistakes=(
        mistake(
            "erf_form",
            {"form": "gelu"},
            "this is the exact GELU with erf. The tanh form of GPT-Neo differs from it by at most 0.00047, at x = 2.7 and "
            "-2.7.",
            "The checkpoint was trained with the tanh form. Which formula does the task give?",
        ),
        mistake(
            "sigmoid_form",
            {"form": "sigmoid_1.702"},
            "this is the approximation x * sigmoid(1.702 * x).",
            "There are three GELUs in use. Which function does the task's formula contain?",
        ),
        mistake(
            "relu",
            {"form": "relu"},
            "this is ReLU: 0 for all negative numbers.",
            "What does GELU give for -0.5: exactly 0, or a little less?",
        ),
        mistake(
            "no_cubic",
            {"cubic": 0.0},
            "the cubic term is missing.",
            "What is added to x inside the bracket?",
        ),
        mistake(
            "only_cubic",
            {"linear_term": 0},
            "inside tanh the x itself is missing.",
            "What is the cubic term added to?",
        ),
        mistake(
            "square_for_cube",
            ({"power": 2}, {"power": 1}, {"power": 4}),
            "x is raised to another power than the third one.",
            "How many times is x multiplied in 0.044715 * x * x * x? Which sign has x * x for negative x?",
        ),
        mistake(
            "no_root",
            (
                {"root": 2 / math.pi},
                {"root": 1.0},
                {"root": math.sqrt(2) / math.pi},
                {"root": math.sqrt(math.pi / 2)},
                {"root": math.sqrt(2 * math.pi)},
            ),
            "the factor sqrt(2 / pi), about 0.798, is missing or different.",
            "What does your factor give as a number? It should be 0.7979.",
        ),
        mistake(
            "no_half",
            {"half": 1.0},
            "the factor 0.5 is missing.",
            "For large x, GELU is nearly x. What does your function give for 5?",
        ),
        mistake(
            "no_one",
            {"one": 0.0},
            "the 1 in front of tanh is missing.",
            "For large negative x, GELU is nearly 0. What does your function give for -5?",
        ),
        mistake(
            "no_x",
            {"factor": False},
            "the factor x in front is missing: yours is a number between 0 and 1.",
            "For large x, GELU is nearly x. What does your function give for 5?",
        ),
        mistake(
            "bracket",
            {"inner_root": False},
            "sqrt(2 / pi) multiplies x only, and not the cubic term.",
            "Where does the bracket after sqrt(2 / pi) end?",
        ),
        mistake(
            "cube_of_product",
            {"cube_of": "product"},
            "0.044715 is raised to the third power too.",
            "Which does Python do first in 0.044715 * x ** 3? Where are your brackets?",
        ),
        mistake(
            "digits",
            ({"cubic": 0.44715}, {"cubic": 0.0044715}, {"cubic": 0.04715}, {"cubic": 0.044175}, {"cubic": 0.447715}),
            "the number 0.044715 is mistyped.",
            "Compare it digit by digit with the task.",
        ),
        mistake(
            "times_3",
            {"power": "times"},
            "you multiply x by 3; the formula has the third power, x * x * x.",
            "How does Python write a power: with `*`, `**` or `^`?",
        ),
        mistake(
            "no_constant",
            {"cubic": 1.0},
            "the factor 0.044715 of the cubic term is missing.",
            "What is x * x * x multiplied by in the formula?",
        ),
        mistake("minus", {"sign": -1}, "the cubic term is subtracted.", "Which sign is in the bracket?"),
        mistake("silu", {"form": "silu"}, "this is SiLU, x * sigmoid(x).", "Which function does the task's formula contain?"),
        mistake("tanh", {"form": "tanh_only"}, "this is tanh itself.", "What surrounds tanh in the task's formula?"),
        mistake(
            "other_function",
            ({"function": "tan"}, {"function": "arctan"}, {"function": "sigmoid"}),
            "another function is used in the place of tanh.",
            "tanh(5) is nearly 1, and tanh(-5) is nearly -1. What does your function give there?",
        ),
        mistake(
            "one_minus",
            {"outer": -1},
            "tanh is subtracted from the 1, and it must be added.",
            "For large x, GELU is nearly x. What does your function give for 5?",
        ),
        mistake(
            "bracket_left_out",
            {"factor": "first term"},
            "0.5 * x multiplies only the 1 and not tanh: a bracket is missing.",
            "Which bracket surrounds 1 + tanh(...) in the task?",
        ),
        mistake(
            "flat",
            {"flat": True},
            "the result is one long row, so the shape of x is lost.",
            "x may be a table. How can the result get the shape of x?",
        ),
        mistake(
            "plus_for_times",
            {"cube_of": "added"},
            "0.044715 is added to the third power of x, and it must multiply it.",
            "Which sign is between 0.044715 and x * x * x in the formula?",
        ),
        mistake(
            "half_for_one",
            {"one": 0.5},
            "0.5 is added to tanh in the bracket, and 1 must be added.",
            "For large x, tanh is 1 and GELU is nearly x. What does your bracket give there?",
        ),
        mistake(
            "x_twice",
            {"linear_term": 2},
            "x is added twice in the bracket.",
            "The line has `x +` already. What comes after it?",
        ),
        mistake("no_tanh", {"function": "none"}, "the tanh is missing.", "What bends the line in the formula?"),
    ),
    blanks="inside = math.sqrt(2 / math.pi) * (x + ...)\nreturn 0.5 * x * (... + np.tanh(inside))",
    hints=(
        "Write the formula from the inside to the outside: the cube, the bracket, tanh, and what surrounds it.",
        "Everything is elementwise: the result has the shape of x. np.tanh takes arrays; math.sqrt and math.pi are plain "
        "numbers.",
        "inside = math.sqrt(2 / math.pi) * (x + 0.044715 * ...)  # the cube\nreturn 0.5 * x * (... + np.tanh(inside))",
    ),
    notes={"(x * x * x)": "NumPy's x**3 is slow: it calls a general power function."},
)


# mlp


def mlp(x, p):
    """Widen, activate, narrow: (T, C) -> (T, F) -> (T, C)."""
    return linear(gelu_new(linear(x, p.c_fc.weight, p.c_fc.bias)), p.c_proj.weight, p.c_proj.bias)


def mlp_loop(x, p):
    """Work out one token at a time."""
    rows = []
    for row in x:
        hidden = [gelu_new_loop(np.array([row @ w + b]))[0] for w, b in zip(p.c_fc.weight, p.c_fc.bias)]
        rows.append([np.array(hidden) @ w + b for w, b in zip(p.c_proj.weight, p.c_proj.bias)])
    return np.array(rows, np.float32)


def mlp_variant(
    x,
    p,
    start="none",
    middle="gelu",
    end="none",
    fc_bias=1,
    proj_bias=1,
    residual=False,
    turned=False,
    upright="none",
    activation="tanh",
    give="all",
    late_bias=False,
    neurons="all",
):
    """Mlp with a switch for each mistake."""
    function = {"none": lambda y: y, "gelu": lambda y: gelu_new_variant(y, activation)}
    function["twice"] = lambda y: gelu_new_variant(gelu_new_variant(y, activation), activation)
    proj_bias = len(p.c_fc.bias) if proj_bias == "for each neuron" else proj_bias
    w1, w2, b1, b2 = p.c_fc.weight, p.c_proj.weight, fc_bias * p.c_fc.bias, proj_bias * p.c_proj.bias
    if turned in ("layers", "weights"):
        w1, w2 = w2, w1
        b1, b2 = (b2, b1) if turned == "layers" else (b1, b2)
    first = w2 if turned == "weights upright" else w1 if upright in ("both", "first") else w1.T
    second = w1 if turned == "weights upright" else w2 if upright in ("both", "second") else w2.T
    hidden = function[start](x) @ first
    hidden = function[middle](hidden) + b1 if late_bias else function[middle](hidden + b1)
    if give == "hidden":
        return hidden
    if neurons == "last":
        hidden, second = hidden[:, -1:], second[-1:]
    y = function[end](hidden @ second + b2)
    return x + y if residual else y


def mlp_cases():
    """Return random MLPs, wide and not, and one with F = C."""
    rng = np.random.default_rng(88)
    cases = []
    for T, C, F in [
        (1, 2, 3),
        (2, 2, 2),
        (2, 2, 4),
        (3, 3, 3),
        (3, 2, 5),
        (2, 3, 4),
        (4, 3, 6),
        (3, 4, 8),
        (2, 4, 4),
        (5, 2, 3),
    ] * 2:
        named = {"c_fc.weight": (F, C), "c_fc.bias": (F,), "c_proj.weight": (C, F), "c_proj.bias": (C,)}
        p = Params({name: random_numbers(rng, *shape) for name, shape in named.items()})
        cases.append(Case((random_numbers(rng, T, C), p), random=True))
    return cases


MLP = Exercise(
    name="mlp",
    notebook="08",
    minutes=8,
    signature="mlp(x, p)",
    task="The MLP of a block: a linear layer that widens x, (T, C), to (T, F) (p.c_fc.weight, p.c_fc.bias), gelu_new, and a "
    "linear "
    "layer back to (T, C) (p.c_proj.weight, p.c_proj.bias). You may call linear(x, weight, bias) and gelu_new(x).",
    reference=mlp,
    variant=mlp_variant,
    package_name="neo_np.gpt_neo.forward.mlp",
    given=("linear", "gelu_new"),
    also_right=(mlp_loop,),
    cases=mlp_cases,
    mistakes=(
        mistake(
            "activation_last",
            {"middle": "none", "end": "gelu"},
            "the activation comes last, after both linear layers.",
            "Two linear layers in a row could be one. What must be between them?",
        ),
        mistake(
            "no_activation",
            {"middle": "none"},
            "there is no activation.",
            "Two linear layers in a row could be one. What must be between them?",
        ),
        mistake(
            "activation_twice",
            ({"middle": "twice"}, {"end": "gelu"}),
            "the activation is applied twice.",
            "How many times does `gelu_new` occur in your function, and where should it be?",
        ),
        mistake(
            "no_bias",
            ({"fc_bias": 0, "proj_bias": 0}, {"fc_bias": 0}, {"proj_bias": 0}),
            "a bias is missing.",
            "Both layers have one. Which of p.c_fc.bias and p.c_proj.bias do you not use?",
        ),
        mistake(
            "residual_inside",
            {"residual": True},
            "x is added to the result. The block does that later.",
            "What does the task's last step give?",
        ),
        mistake(
            "layers_exchanged",
            ({"turned": "weights upright"}, {"turned": "layers"}, {"turned": "weights"}),
            "c_fc and c_proj are exchanged.",
            "c_fc.weight is (F, C). Which product makes (T, F) of (T, C)?",
        ),
        mistake(
            "not_transposed",
            ({"upright": "both"}, {"upright": "first"}, {"upright": "second"}),
            "a weight is not transposed: the rows of x meet its columns.",
            "Weights are (out, in) in the checkpoint. What must be on the right of `@`? Can you call linear?",
        ),
        mistake(
            "activation_first",
            ({"start": "gelu", "middle": "none"}, {"start": "gelu"}),
            "the activation is applied to x, before the first linear layer.",
            "Which of the arrays (T, C) and (T, F) does gelu_new get?",
        ),
        mistake(
            "other_activation",
            (
                {"activation": "relu"},
                {"activation": "gelu"},
                {"activation": "silu"},
                {"activation": "sigmoid_1.702"},
                {"activation": "tanh_only"},
            ),
            "another activation is used (such as ReLU or the exact GELU).",
            "Which activation does GPT-Neo's config name?",
        ),
        mistake(
            "hidden_returned",
            {"give": "hidden"},
            "the second linear layer is missing.",
            "How wide is the result, and how wide should it be?",
        ),
        mistake(
            "bias_after_activation",
            {"late_bias": True},
            "the bias of the first layer is added after the activation.",
            "A linear layer is a product and a bias. Which of its two steps comes too late?",
        ),
        mistake(
            "overwritten",
            {"neurons": "last"},
            "only the last neuron counts: each one overwrites what the others added.",
            "What was in the result before, and where does it go: `=` or `+=`?",
        ),
        mistake(
            "bias_for_each_neuron",
            {"proj_bias": "for each neuron"},
            "the second bias is added once for each neuron.",
            "How often must p.c_proj.bias be added? Is it inside your loop?",
        ),
    ),
    hints=(
        "Three steps: widen, activate, narrow.",
        "x is (T, C), after c_fc (T, F), after gelu_new (T, F), after c_proj (T, C).",
        "hidden = linear(x, ..., ...)  # (T, F)\nactive = ...  # (T, F)\nreturn linear(active, ..., ...)",
    ),
    notes={"activate(pre, activation_function)": "The config names the activation; in GPT-Neo it is gelu_new."},
)

EXERCISES = (GELU_NEW, MLP)
