"""What the values of options must be: each check is a function, with the words for the error message."""

import math
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np

from neo_np.generate.language_model import LanguageModel


class Check(NamedTuple):
    """What a value must be: `wanted` in words, for the error message, and `holds` as a function."""

    wanted: str
    holds: Callable[[Any], bool]


def is_whole(value: Any) -> bool:
    """Return whether a value is an integer, of Python or NumPy; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Return whether a value is a real number, of Python or NumPy; True and False are not."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_id(value: Any) -> bool:
    """Return whether a value can be a token id."""
    return is_whole(value) and value >= 0


def is_list_of(value: Any, holds: Callable[[Any], bool]) -> bool:
    """Return whether a value is a list or tuple whose elements all pass a check."""
    return isinstance(value, list | tuple) and all(map(holds, value))


def is_word(value: Any) -> bool:
    """Return whether a value is a list of token ids that is not empty."""
    return is_list_of(value, is_id) and len(value) > 0


def is_pair(value: Any) -> bool:
    """Return whether a value is a list or tuple of two."""
    return isinstance(value, list | tuple) and len(value) == 2


def is_bias(value: Any) -> bool:
    """Return whether a value is a pair (token ids, bias). The bias may be -inf, which forbids the sequence."""
    return is_pair(value) and is_word(value[0]) and is_number(value[1]) and value[1] < math.inf


def pairs(value: Any) -> Any:
    """Return a dict as the list of its pairs, and anything else unchanged."""
    return list(value.items()) if isinstance(value, dict) else value


def is_decay(value: Any) -> bool:
    """Return whether a value is a pair (start, factor) of a length penalty."""
    return is_pair(value) and is_whole(value[0]) and is_number(value[1]) and 0 < value[1] < math.inf


def is_text(value: Any) -> bool:
    """Return whether a value is a text that is not empty and that UTF-8 can encode (a lone surrogate cannot be encoded)."""
    return isinstance(value, str) and value != "" and not any("\ud800" <= char <= "\udfff" for char in value)


FROM_0 = Check("a whole number, 0 or more", lambda x: is_whole(x) and x >= 0)
FROM_1 = Check("a whole number above 0", lambda x: is_whole(x) and x >= 1)
SHARE = Check("a number from 0 to 1", lambda x: is_number(x) and 0 <= x <= 1)
SHARE_ABOVE_0 = Check("a number above 0 and up to 1", lambda x: is_number(x) and 0 < x <= 1)
FACTOR = Check("a number above 0 (1 is off)", lambda x: is_number(x) and 0 < x < math.inf)
TEMPERATURE = Check("a number above 0", lambda x: is_number(x) and 0 <= x < math.inf)  # 0 is an error only with do_sample
EXPONENT = Check("a number from -50 to 50", lambda x: is_number(x) and -50 <= x <= 50)
SWITCH = Check("True or False", lambda x: isinstance(x, bool | np.bool_))
EARLY_STOPPING = Check("True, False or 'never'", lambda x: isinstance(x, bool) or x == "never")
ID = Check("a token id", is_id)
ID_LIST = Check("a list of token ids", lambda x: is_list_of(x, is_id))
IDS = Check("a token id or a list of them", lambda x: is_id(x) or is_list_of(x, is_id))
WORDS = Check("a list of lists of token ids, none empty", lambda x: is_list_of(x, is_word))
BIASES = Check("{(id, ...): bias} or [[[id, ...], bias], ...], each bias a number", lambda x: is_list_of(pairs(x), is_bias))
DECAY = Check("(start, factor), a whole number and a number above 0", is_decay)
TEXTS = Check("a text or a list of texts, none empty, without lone surrogates", lambda x: is_text(x) or is_list_of(x, is_text))
FUNCTIONS = Check("a list of functions f(logits, ids) -> logits", lambda x: is_list_of(x, callable))
MODEL = Check("a Model, as neo_np.load returns it", lambda x: isinstance(x, LanguageModel))
