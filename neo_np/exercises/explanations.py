"""Common errors of Python and NumPy in a student's function, each with one sentence that says what to do.

The first row of the table that fits is used: a pattern of the error's text, a pattern of the student's line, the sentence.
Two shapes that do not fit and names of earlier exercises are looked at more closely before.
"""

import re

import numpy as np

from neo_np.exercises.clashes import clash
from neo_np.exercises.course import EXERCISES

WRONG_INDEX = r"(slice|list|tuple) indices must be integers|arrays used as indices must be|only integers, slices"
ARRAY_FOR_NUMBER = (
    r"only (length-1|0-dimensional|size-1) arrays|only integer scalar arrays|must be real number, not (list|tuple|numpy)"
    r"|(float|int)\(\) argument must be .*'(list|tuple)'"
)
ARRAYS_ONLY = "|".join(name for name in dir(np.ndarray) if name[0] != "_" and not hasattr(list, name))  # such as T, mean, shape
TENSORS_ONLY = (
    "permute|unsqueeze|masked_fill|softmax|exp|log|sqrt|pow|abs|tanh|sigmoid|matmul|mm|norm|float|long|contiguous|topk|gather|t"
)
WRITES_INTO_ITEM = r"^[^=]*\]\s*[-+*/@]?=[^=]"
DIFFERENT_SHAPES = (
    "the items have different lengths or shapes, so they cannot become one array. If they should differ, take them one by "
    "one, as in `[a.sum() for a in arrays]`; if not, print their shapes."
)
OUT_OF_RANGE = r"IndexError|index .* is out of bounds|out of range"
EXPLANATIONS = (
    # whole numbers
    (
        r"'numpy\.float\d+' object cannot be interpreted as an integer|'float' object cannot be interpreted as an integer",
        "",
        "a size or a count must be an integer, and `/` always gives a float, such as 3.0: use `//`.",
    ),
    (
        WRONG_INDEX,
        r"/|mean|sqrt|float|\.0",
        "an index must be an integer, and `/`, `mean` and `sqrt` give floats: use `//` or `int(...)`.",
    ),
    (
        r"(list|tuple) indices must be integers or slices, not (tuple|list|numpy\.ndarray)",
        "",
        "a list or tuple takes one integer as its index: `np.array(...)` makes an array of it, which takes `[i, j]` too.",
    ),
    (WRONG_INDEX, "", "an index must be an integer or an array of integers."),
    # operators
    (r"'bitwise_xor'|operand type\(s\) for \^", "", "`^` is no power in Python: write `**`, such as `x ** 3`."),
    (
        r"'bitwise_(and|or)'|operand type\(s\) for [&|]|truth value of an array",
        r"[&|]",
        "`&` and `|` come before comparisons: put brackets around each comparison, such as `(a >= 0) & (a < 3)`.",
    ),
    (
        ARRAY_FOR_NUMBER + r"|'(list|numpy\.ndarray)' object cannot be interpreted|truth value of an array",
        r"range\([^<>]*\)",
        "`range` and `np.arange` take one number and not a whole array: did you mean `len(...)` of it?",
    ),
    (
        r"truth value of an array",
        r"\band\b|\bor\b|\bnot\b|[<>]=?[^<>]*[<>]",
        "`and`, `or`, `not` and chains such as `0 <= a < 3` take single values: for arrays write `&`, `|` and `~`, with each "
        "comparison in brackets.",
    ),
    (
        r"truth value of an array",
        r"\b(max|min|sorted)\b",
        "Python's `max`, `min` and `sorted` compare single numbers: for arrays use `np.max`, `np.min` and `np.sort`.",
    ),
    (
        r"truth value of an array",
        "",
        "`if`, `while` and `in` need one True or False, and this is a whole array: use `np.where`, or test its numbers singly.",
    ),
    # shapes
    (
        r"matmul: .*has 0",
        "",
        "`@` multiplies two arrays, and one side is no array: for a number write `*`, and of a group of parameters take the "
        "`.weight`.",
    ),
    (
        r"matmul: |not aligned",
        "",
        "`a @ b` needs as many columns in a as b has rows: (T, C) @ (C, S). Print both shapes.",
    ),
    (
        r"indexing arrays could not be broadcast",
        "",
        "two arrays of indices pick pairs, so they need the same length: print both lengths.",
    ),
    (
        r"non-broadcastable output",
        "",
        "`+=` and the like keep the shape of the left side, and the right side does not fit into it: print both shapes.",
    ),
    (
        r"could not broadcast input array",
        rf"^(?!{WRITES_INTO_ITEM}).*\bnp\.",
        DIFFERENT_SHAPES,
    ),
    (
        r"could not broadcast input array|could not be broadcast to indexing result",
        "",
        "what is written here has another shape than the place that it is written into: print both shapes.",
    ),
    (
        r"could not be broadcast",
        "",
        "these shapes do not fit. NumPy lines them up from the right: two sizes must be equal, or one of them 1. Print them.",
    ),
    (
        r"cannot reshape array",
        "",
        "`reshape` keeps all numbers: the new sizes, multiplied, must give as many numbers as the array has.",
    ),
    (
        r"axes don't match",
        r"\.transpose\(",
        "NumPy's `transpose` takes the new order of all axes, such as `(1, 0, 2)`. To exchange two axes, as PyTorch's "
        "`transpose(0, 1)` does, write `x.swapaxes(0, 1)`.",
    ),
    (r"view\(\) takes", "", "`view` with sizes belongs to PyTorch: NumPy's name is `x.reshape(...)`."),
    (
        r"axis \d+ is out of bounds|too many indices for array|axes don't match|axis\d: bad",
        "",
        "the array has fewer axes than this line needs: print its shape. `mean`, `sum`, `max` and an index such as `x[0]` take "
        "an axis away.",
    ),
    (
        r"setting an array element with a sequence",
        WRITES_INTO_ITEM,
        "a whole row is written into the place of one number: print both shapes.",
    ),
    (r"inhomogeneous shape|setting an array element with a sequence", "", DIFFERENT_SHAPES),
    (
        r"all (the )?input array|must match exactly|same number of dimensions|zero-dimensional arrays cannot be concatenated",
        "",
        "arrays that are joined must have equal shapes, except along the axis of `np.concatenate`. `a.ravel()` makes one row "
        "of an array of any shape.",
    ),
    # one number, or many
    (
        r"\bgenerator\b|'(map|zip|filter|enumerate|reversed)'",
        "",
        "`map`, `zip` and a `for` in round brackets give their items only in a loop: make a list of them with `list(...)` or "
        "`[... for ...]`.",
    ),
    (
        ARRAY_FOR_NUMBER,
        r"\bmath\.",
        "the functions of `math` take one number, and this is a whole array or list. If an array is meant, write `np.` for "
        "`math.`; if one number is meant, look at the line that makes it.",
    ),
    (
        ARRAY_FOR_NUMBER,
        "",
        "one number is needed here, and this is a whole array or list. Did you mean one of its numbers, or its length?",
    ),
    (
        r"object is not iterable|argument must be an iterable",
        r"\bfor\b|\bzip\b|\bsum\b|\blist\b",
        "a loop needs several items, and this is one value. Did you mean `range(...)`?",
    ),
    (
        r"'(int|float|numpy\.\w+)' object is not (subscriptable|iterable)|'(int|float|numpy\.\w+)' has no len"
        r"|invalid index to scalar|cannot unpack non-iterable",
        "",
        "one number is used here as if it were a list: print it. Did an index or a function already take it out of the array?",
    ),
    # lists and arrays
    (
        rf"'(list|tuple)' object has no attribute '({ARRAYS_ONLY})'",
        "",
        "a list or tuple is no array: `np.array(...)` makes an array of it, or take its items one by one in a loop.",
    ),
    (
        r"can only concatenate (list|tuple) \(not \"(float|int|numpy)"
        r"|operand type\(s\) for \+=?: '(int|float|numpy\.\w+)' and '(list|tuple)'",
        "",
        "`+` joins two lists or two tuples: `+ [i]` appends one item to a list. To add a number to every item, make an array "
        "with `np.array(...)`.",
    ),
    (
        r"operand type(?!.*'NoneType').*'(list|tuple)'|multiply sequence by non-int|type (list|tuple) doesn't define",
        "",
        "lists and tuples do not compute number by number: `np.array(...)` makes an array of them, or compute with one item "
        "after the other, as in `[2 * a for a in arrays]`.",
    ),
    (
        r"not supported between instances of .*'(list|tuple)'",
        "",
        "a whole list or tuple is compared with a number here: did you mean one of its items, or a number computed from them?",
    ),
    (
        r"'numpy\.ndarray' object has no attribute '(append|extend|index|pop|insert)'",
        "",
        "an array has no fixed end to append to: collect in a list, then make an array with `np.array(...)`.",
    ),
    # tuples, dicts, text
    (
        r"(too many|not enough) values to unpack",
        r"\bfor\b",
        "the items of the loop do not fit the names before `in`. A loop over a dict gives its keys only: for both write "
        "`for key, value in d.items():`.",
    ),
    (
        r"(too many|not enough) values to unpack",
        "",
        "the left side must have one name for each value on the right: print the value, or its shape.",
    ),
    (r"KeyError", "", "the dict has no such key yet. `d.get(key, 0)` gives 0 for a missing key."),
    (
        r"not in (list|tuple)$",
        "",
        "`index` finds only what is in the list: ask with `in` first, and say what happens if it is not there.",
    ),
    (
        r"unhashable type",
        "",
        "a list or an array cannot be a key of a dict: make a tuple of it, such as `(left, right)` or `tuple(...)`.",
    ),
    (
        r"'(tuple|str)' object (does not support item|has no attribute '(append|extend|insert|pop|remove|sort)')",
        "",
        "a tuple or a text cannot be changed: make a list of it with `list(...)`, or build a new one.",
    ),
    (r"dictionary changed size|Set changed size", "", "a dict must not grow in a loop over itself: loop over `list(d)`."),
    (
        r"bytes-like object|bytes found|concat str to bytes|\(not \"bytes\"\)|expected str instance, bytes|a bytes",
        "",
        'bytes and text do not mix: join bytes with `b"".join(...)`, and then make text of them with `.decode()`.',
    ),
    (r"UnicodeDecodeError", "", "these bytes are no whole characters. Are all bytes joined before they are read as text?"),
    (
        r"only concatenate (str|tuple|list)|expected str instance",
        "",
        "`+` and `join` put equal things together: text with text, a list with a list, a tuple with a tuple.",
    ),
    # None, brackets, names
    (
        r"NoneType",
        "",
        "one value is None. A function without `return` gives None, and so do `list.append` and `list.sort`. Or a value may be "
        "None on purpose, as the window of a global layer.",
    ),
    (
        r"'Params' object is not callable|Params has no attribute '(T|shape|ndim|size|dot)'|operand type.*'Params'",
        "",
        "this is a group of parameters, and neither a function nor an array: take the array in it, such as `.weight`.",
    ),
    (r"Params has no attribute", "", "there are no parameters with this name: the error lists the names that there are."),
    (r"'int' object is not callable", r"\.size\(", "PyTorch's `x.size(0)` is `x.shape[0]` in NumPy."),
    (
        r"'(numpy\.ndarray|list|dict|tuple|int|float|numpy\.\w+)' object is not callable",
        "",
        "round brackets call a function: take an element with square ones, `x[0]`, and write every `*` of a product.",
    ),
    (
        r"(function|method)\w*' object is not subscriptable|'(method|builtin_function_or_method|function)'",
        "",
        "a function is named here and not called: write round brackets, such as `x.mean()`.",
    ),
    (
        r"name '(torch|nn|F|scipy|special|tf)' is not defined|No module named",
        r"\b(torch|nn|F|scipy|special|tf)\.|import",
        "the course does without this library: everything can be written with NumPy (`np.`) and `math`.",
    ),
    (
        r"name '[A-Z]' is not defined",
        "",
        "the letters of the shapes are no names of Python: take sizes from a shape, such as `T, C = x.shape`.",
    ),
    (
        r"name '(np|math)' is not defined",
        "",
        "the cell with the imports was not run: run the notebook from its first cell.",
    ),
    (
        r"NameError",
        "",
        "nothing has this name. Compare it with your other lines and with the arguments, letter by letter.",
    ),
    (
        r"UnboundLocalError|cannot access local variable|referenced before assignment",
        "",
        "no line has given this name a value yet: an `if` that was never true, or a loop without a round, skips its lines. "
        "Give it a first value, or ask which case is missing.",
    ),
    # indices
    (
        r"IndexError.*(with size 0|empty)",
        "",
        "the array or list is empty here, so it has no item at all: print its shape or length.",
    ),
    (
        r"index -\d+ is out of bounds",
        "",
        "a negative index counts from the end, and the array is shorter than that: print its shape.",
    ),
    (
        OUT_OF_RANGE,
        r"^while\b",
        "the loop does not end at the last item: test the index first, as in `while i < len(...) and ...`.",
    ),
    (
        OUT_OF_RANGE,
        r"\[[^\[\]]*\w *\+ *1\b",
        "the index is too large: indices count from 0, so the last one is the length minus 1. What is the index with its "
        "`+ 1` in the last round?",
    ),
    (
        r"out of bounds for axis",
        "",
        "an index is too large for its axis, and the last one is the size minus 1. Is it meant for this axis (0 for rows, 1 "
        "for columns), and counted from the right end?",
    ),
    (
        OUT_OF_RANGE,
        "",
        "the index is too large: indices count from 0, so the last one is the length minus 1. Print the index and the length.",
    ),
    (
        r"argument '(dim|keepdim|unbiased)'|'(dim|keepdim|unbiased)' is an invalid keyword",
        "",
        "`dim`, `keepdim` and `unbiased` are PyTorch's names: NumPy calls them `axis`, `keepdims` and `ddof`.",
    ),
    (
        r"(missing \d+ required|takes .* positional argument|unexpected keyword|invalid keyword|multiple values for)",
        "",
        "a function is called with other arguments than it has: compare with its first line, or with `help(...)`.",
    ),
    (
        rf"'numpy\.ndarray' object has no attribute '({TENSORS_ONLY})'",
        "",
        "PyTorch has this method, and NumPy has functions for it, such as `np.exp(x)`, `np.where(...)` and `x[:, None]`.",
    ),
    (
        r"has no attribute",
        "",
        "this object has nothing with this name: look for a typing error, or print `type(...)` of it.",
    ),
    (
        r"FloatingPointError: invalid value encountered in log",
        "",
        "the log of a negative number does not exist, so it is nan: print the numbers that go into it.",
    ),
    (
        r"FloatingPointError: divide by zero encountered in log",
        "",
        "log 0 is minus infinity: print the numbers that go into it.",
    ),
    (
        r"FloatingPointError: invalid value encountered in sqrt",
        "",
        "the root of a negative number does not exist, so it is nan: print the numbers that go into it.",
    ),
    (
        r"FloatingPointError: invalid value encountered in multiply",
        "",
        "0 times infinity is nan. For a mask write `np.where(condition, a, b)`, which multiplies nothing.",
    ),
    (
        r"FloatingPointError: invalid value encountered in (subtract|add)",
        "",
        "infinity minus infinity is nan: print both sides.",
    ),
    (r"FloatingPointError: overflow encountered in exp", "", "exp of a large number is infinite: print what goes into it."),
    (
        r"FloatingPointError: (divide by zero|invalid value) encountered in (divide|scalar_divide|scalar divide|true_divide)",
        "",
        "something is divided by 0, or infinity by infinity: print what is above and below the fraction line.",
    ),
    (r"ZeroDivisionError", "", "something is divided by 0: print the number below the fraction line."),
    (r"RecursionError", "", "the function calls itself without an end."),
    (r"Cannot cast|same_kind", "", "`+=` and the like keep the type of an array: write `x = x + y`, or begin with floats."),
)


def explanation(place):
    """Return the sentence for an error, or "" if there is none. place: a `Place`, the error and the student's line."""
    closer = clash(place) or unknown_name(place)
    if closer:
        return closer
    for error, line, sentence in EXPLANATIONS:
        if re.search(error, place.what) and re.search(line, place.line):
            return sentence
    return ""


def unknown_name(place):
    """Return the sentence about a name that belongs to another exercise or to NumPy, else ""."""
    found = re.search(r"name '(\w+)' is not defined", place.what)
    name = found[1] if found else ""
    if name in EXERCISES:
        return (
            f"`{name}` is the exercise of notebook {EXERCISES[name].notebook}, and this one must do without it: write its "
            "steps into your function."
        )
    if name and re.search(rf"\b{name}\(", place.line) and callable(getattr(np, name, None)):
        return f"NumPy's function is called `np.{name}`."
    return ""
