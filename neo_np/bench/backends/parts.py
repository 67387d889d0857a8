"""Where the time goes: that of a prompt, and of a token, divided among the functions that the model is made of."""

import contextlib
import time
from unittest.mock import patch

import neo_np
from neo_np import model
from neo_np.bench import ours
from neo_np.bench.job import decode_cases, decode_steps
from neo_np.bench.measure import seconds_per_call
from neo_np.gpt_neo import activations
from neo_np.gpt_neo import forward as attention
from neo_np.gpt_neo import forward as layers

ALL, REST = "all", "the rest"
# Where each function is looked up when it is called: in which dict, under which key. None of them calls another.
PARTS = {
    "linear": [(vars(module), "linear") for module in (layers, attention, model)],
    "attention": [(vars(attention), "attention")],
    "layer norm": [(vars(model), "layer_norm")],
    "activation": [(activations.ACTIVATIONS, name) for name in activations.ACTIVATIONS],
}


def cases(config):
    """Return {what it is called: (work, tokens, part)}: a prompt of 512 tokens, and a token after contexts as in decode."""
    works = [("prompt of", "prefill", min(512, config.max_position_embeddings))]
    works += [("after", "decode", context) for batch, context in decode_cases(config).values() if batch == 1]
    parts = ALL, *PARTS, REST
    return {f"{name} {tokens}: {part}": (work, tokens, part) for name, work, tokens in works for part in parts}


def parts(job):
    """Measure the milliseconds of a prompt, or of a token: when all of it is asked for, those of each part are found too."""
    loaded, found = neo_np.load(job.folder), {}

    def run(case):
        work, tokens, part = case
        if part == ALL and work == "prefill":
            ids = job.ids(1, tokens)
            found.update(divided(lambda: ours.prefilled(loaded, ids), 1, job.turn))
        elif part == ALL:
            steps = decode_steps(loaded.config, tokens)
            write = ours.decoding(loaded, loaded.new_cache(), job.ids(1, tokens + steps), steps)
            found.update(divided(write, steps, job.turn))
        return {"value": found[part], "share": found[part] / found[ALL]}

    return run


def divided(function, steps, turn):
    """Return {part: milliseconds of a step} of a function that takes so many; the clocks themselves count as the rest."""
    spent = dict.fromkeys((ALL, *PARTS), 0.0)
    with contextlib.ExitStack() as at_end:
        for part, places in PARTS.items():
            for names, name in places:
                at_end.enter_context(patch.dict(names, {name: clocked(names[name], part, spent)}))
        seconds = seconds_per_call(clocked(function, ALL, spent), turn)
    spent[REST] = 2 * spent[ALL] - sum(spent.values())
    return {part: 1000 * seconds / steps * total / spent[ALL] for part, total in spent.items()}


def clocked(function, part, spent):
    """Return the function, which now adds the seconds of each call to spent[part]."""

    def call(*given):
        began = time.perf_counter()
        result = function(*given)
        spent[part] += time.perf_counter() - began
        return result

    return call
