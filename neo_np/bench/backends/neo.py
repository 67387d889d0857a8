"""neo_np itself: each function takes the job and returns run(case), which measures one case once."""

import sys
from dataclasses import replace

import numpy as np

from neo_np.bench.cases import CHUNK
from neo_np.bench.job import PROMPT, Job, decode_steps
from neo_np.bench.measure import peak_mb, seconds_per_call, seconds_to_output, timed
from neo_np.checkpoint import loading
from neo_np.errors import NeoError
from neo_np.generate.api import finished_sequences
from neo_np.generate.options import Options
from neo_np.generate.prompts import Prompt
from neo_np.model import Model
from neo_np.tokenizer.tokenizer import Tokenizer

DRAFT_TOKENS = 8


def start(job):
    """Measure the seconds from the start of `python -m neo_np.generate` until it writes its first token."""
    options = ["--model", job.folder, "--greedy", "--max-new-tokens", "1"]
    command = [sys.executable, "-m", "neo_np.generate", PROMPT, *options]
    return lambda case: seconds_to_output(command, len(PROMPT))


def load(job):
    """Measure the seconds from a folder to the first logits; every backend has its tokenizer before."""
    tokenizer = Tokenizer.load(job.folder)
    ids = tokenizer.encode(PROMPT)
    return lambda case: timed(lambda: loading.load(job.folder, tokenizer).logits(ids))


def prefill(job):
    """Measure the tokens of a prompt read per second: into a cache, with the logits of the last position."""
    model = loading.load(job.folder)

    def run(length):
        ids = job.ids(1, length)
        return length / seconds_per_call(lambda: read_prompt(model, ids), job.seconds)

    return run


def read_prompt(model, ids, extra_capacity=0):
    """Return a cache that has read ids (B, T), with capacity for more tokens."""
    cache = model.new_cache(batch=len(ids), capacity=ids.shape[1] + extra_capacity)
    model.logits(ids, cache=cache, logits_to_keep=1)
    return cache


def decode(job):
    """Measure the tokens per second that follow a context, one at a time in each row."""
    model, caches = loading.load(job.folder), {}

    def run(case):
        batch, context = case
        steps = decode_steps(model.config, context)
        ids = job.ids(batch, context + steps)
        if (batch, context) not in caches:
            caches[batch, context] = model.new_cache(batch, context + steps)
        return batch / decode_seconds(model, caches[batch, context], ids, steps, job)

    return run


def decode_seconds(model, cache, ids, steps, job):
    """Return the seconds of a step, in which each row reads its next id: the mean over the last `steps` of ids (B, T)."""
    return seconds_per_call(decode_function(model, cache, ids, steps), job.seconds) / steps


def decode_function(model, cache, ids, steps):
    """Fill the cache with all but the last `steps` of ids (B, T); return a function that reads those one by one."""
    context = ids.shape[1] - steps
    cache.crop(min(cache.length, context))
    for begin in range(cache.length, context, CHUNK):
        model.logits(ids[:, begin : min(begin + CHUNK, context)], cache=cache, logits_to_keep=1)

    def read_last():
        cache.crop(context)
        for step in range(context, context + steps):
            model.logits(ids[:, step : step + 1], cache=cache)

    return read_last


def batch(job):
    """Measure the new tokens per second of prompts of different lengths, continued greedily by `generate`."""
    model = loading.load(job.folder)

    def run(case):
        prompts, new = job.prompts(case)
        seconds = seconds_per_call(lambda: model.generate(prompts, max_new_tokens=new, min_new_tokens=new), job.seconds)
        return len(prompts) * new / seconds

    return run


def speculative(job):
    """Measure the tokens per second of a given text with prompt lookup, and the share of draft tokens accepted."""
    return write_given_text(job, {"prompt_lookup_num_tokens": DRAFT_TOKENS})


def plain(job):
    """Measure the tokens per second of the same text without draft tokens."""
    return write_given_text(job, {})


def write_given_text(job, options):
    """Return run(repeats): the model writes a given text, because a logits processor leaves it no other choice.

    So the text decides how many draft tokens are right, not what the model has learned. The time to read the prompt counts.
    """
    model = loading.load(job.folder)
    prompt, new = job.speculative_sizes()
    text = given_text(job, model.tokenizer)

    def run(repeats):
        ids = text[:prompt] * (new // prompt + 2) if repeats else text
        forced = {"logits_processor": [lambda logits, so_far: only(logits, ids[len(so_far)])], "eos_token_id": []}
        sequences = []

        def write():
            sequences[:] = finished_sequences(model, [Prompt(ids[:prompt])], Options(max_new_tokens=new, **forced, **options))

        speed = new / seconds_per_call(write, job.seconds)
        return {"value": speed, "accepted": sequences[0].accepted / max(sequences[0].drafted, 1)}

    return run


def given_text(job: Job, tokenizer: Tokenizer) -> list[int]:
    """Return the ids of the text that `speculative` writes; raises NeoError if the text is too short."""
    ids, needed = tokenizer.encode(job.text()), sum(job.speculative_sizes())
    if len(ids) < needed:
        raise NeoError(f"the text {job.text_file} has {len(ids)} tokens, and speculative needs {needed}: name a longer one.")
    return ids


def only(logits, token):
    """Make one token the only choice."""
    logits[:] = -np.inf
    logits[token] = 0.0
    return logits


def memory(job):
    """Measure the peak memory in MB of a process that loads the model, reads a long prompt and writes some tokens."""

    def run(length):
        model = loading.load(job.folder)
        steps = decode_steps(model.config, length)
        ids = job.ids(1, length + steps)
        cache = read_prompt(model, ids[:, :length], steps)
        for step in range(length, length + steps):
            model.logits(ids[:, step : step + 1], cache=cache)
        return peak_mb()

    return run


def growth(job):
    """Measure the milliseconds of a decoded token, or of a prefill, in a model whose layers are all of one kind."""
    model = loading.load(job.folder)
    layers = model.config.num_layers
    models = {
        kind: Model(replace(model.config, attention_layers=[kind] * layers), model.params) for kind in ("local", "global")
    }
    caches = {kind: model.new_cache() for kind, model in models.items()}

    def run(case):
        benchmark, kind, length = case
        if benchmark == "prefill":
            ids = job.ids(1, length)
            return 1000 * seconds_per_call(lambda: read_prompt(models[kind], ids), job.seconds)
        steps = decode_steps(model.config, length)
        return 1000 * decode_seconds(models[kind], caches[kind], job.ids(1, length + steps), steps, job)

    return run
