"""Where the time goes: the time of a prompt, and of a token, in the functions that the model is made of.

The forward pass of `Model.logits` is the module `fast.inference`. A function of it that is replaced by one with a stopwatch is
called instead, because the other functions look it up in their module.
"""

import time
from unittest.mock import patch

from neo_np.bench.backends.neo import decode_function, read_prompt
from neo_np.bench.job import decode_steps
from neo_np.bench.measure import seconds_per_call
from neo_np.checkpoint.loading import load
from neo_np.gpt_neo import fast

# What each part is called, and its function. None of these functions calls another of them.
PARTS = {"linear": "linear", "attention": "attention", "layer norm": "layer_norm", "activation": "activate"}
REST = "the rest"


def parts(job):
    """Measure the milliseconds of a prompt, or of a token, in all and in each part."""
    model = load(job.folder)

    def run(case):
        kind, tokens = case
        if kind == "prefill":
            ids = job.ids(1, tokens)
            return milliseconds(lambda: read_prompt(model, ids), 1, job.seconds)
        steps = decode_steps(model.config, tokens)
        decode = decode_function(model, model.new_cache(), job.ids(1, tokens + steps), steps)
        return milliseconds(decode, steps, job.seconds)

    return run


def milliseconds(function, steps, seconds):
    """Return {"value": milliseconds of one of the function's steps, "parts": {part: milliseconds}}.

    The time that the stopwatches take is part of the rest. They also run in the warm-up call, which `value` leaves out. So only
    the share of each part is taken from them.
    """
    spent = dict.fromkeys(PARTS, 0.0)
    total = {"": 0.0}
    stopwatches = {name: timed_function(getattr(fast.inference, name), spent, part) for part, name in PARTS.items()}
    with patch.multiple(fast.inference, **stopwatches):
        value = 1000 * seconds_per_call(timed_function(function, total, ""), seconds) / steps
    spent[REST] = total[""] - sum(spent.values())
    return {"value": value, "parts": {part: value * part_seconds / total[""] for part, part_seconds in spent.items()}}


def timed_function(function, spent, part):
    """Return the function with a stopwatch: it adds the seconds of each call to spent[part]."""

    def call(*arguments):
        start = time.perf_counter()
        result = function(*arguments)
        spent[part] += time.perf_counter() - start
        return result

    return call
