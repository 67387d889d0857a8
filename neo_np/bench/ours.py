"""Our side of every work: each function takes the job and returns run(case), which measures one turn of it."""

import sys
from dataclasses import replace

import numpy as np

import neo_np
from neo_np.bench.job import PASSAGE, PROMPT, WRITTEN, decode_steps
from neo_np.bench.measure import peak_mb, seconds_per_call, seconds_to_output, timed
from neo_np.generate.api import finished_sequences
from neo_np.generate.options import Options
from neo_np.generate.prompts import Prompt
from neo_np.model import Model
from neo_np.tokenizer.tokenizer import Tokenizer

CHUNK = 256  # tokens at a time that fill a cache
GUESSES = 8


def start(job):
    """Measure the seconds from the start of `python -m neo_np.generate` until its first token is written."""
    options = ["--model", job.folder, "--greedy", "--max-new-tokens", "1"]
    command = [sys.executable, "-m", "neo_np.generate", PROMPT, *options]
    return lambda case: seconds_to_output(command, len(PROMPT))


def load(job):
    """Measure the seconds from a folder to the first logits; the tokenizer is there before on every side."""
    tokenizer = Tokenizer.load(job.folder)
    ids = tokenizer.encode(PROMPT)
    return lambda case: timed(lambda: neo_np.load(job.folder, tokenizer).logits(ids))


def prefill(job):
    """Measure the tokens of a prompt read per second: into a cache, with the logits of the last position."""
    model = neo_np.load(job.folder)

    def run(length):
        ids = job.ids(1, length)
        return length / seconds_per_call(lambda: prefilled(model, ids), job.turn)

    return run


def prefilled(model, ids, room=0):
    """Return a cache that has read ids (B, T), with room for more."""
    cache = model.new_cache(batch=len(ids), capacity=ids.shape[1] + room)
    model.logits(ids, cache=cache, logits_to_keep=1)
    return cache


def decode(job):
    """Measure the tokens per second that follow a context, one at a time in each row."""
    model, caches = neo_np.load(job.folder), {}

    def run(case):
        batch, context = case
        steps = decode_steps(model.config, context)
        ids = job.ids(batch, context + steps)
        if (batch, context) not in caches:
            caches[batch, context] = model.new_cache(batch, context + steps)
        return batch / decode_seconds(model, caches[batch, context], ids, steps, job)

    return run


def decode_seconds(model, cache, ids, steps, job):
    """Return the seconds of a step that takes the next id of each row, over the last `steps` of ids (B, T)."""
    return seconds_per_call(decoding(model, cache, ids, steps), job.turn) / steps


def decoding(model, cache, ids, steps):
    """Return a function that takes the last `steps` of ids (B, T) one after the other; the cache then holds those before."""
    context = ids.shape[1] - steps
    cache.crop(min(cache.length, context))
    for begin in range(cache.length, context, CHUNK):
        model.logits(ids[:, begin : min(begin + CHUNK, context)], cache=cache, logits_to_keep=1)

    def write():
        cache.crop(context)
        for step in range(context, context + steps):
            model.logits(ids[:, step : step + 1], cache=cache)

    return write


def batch(job):
    """Measure the new tokens per second of prompts of different lengths, continued greedily by `generate`."""
    model = neo_np.load(job.folder)

    def run(case):
        prompts, new = job.prompts(case)
        seconds = seconds_per_call(lambda: model.generate(prompts, max_new_tokens=new, min_new_tokens=new), job.turn)
        return len(prompts) * new / seconds

    return run


def speculative(job):
    """Measure the tokens per second of a text that is written with guesses looked up, and the share of them accepted."""
    return writing(job, {"prompt_lookup_num_tokens": GUESSES})


def plain(job):
    """Measure the tokens per second of the same text without guesses."""
    return writing(job, {})


def writing(job, options):
    """Return run(repeats), which lets the model write a given text: a rule leaves it no other choice.

    So the guesses are as good as this text makes them, whatever the model has learnt. Reading the prompt is counted.
    """
    model = neo_np.load(job.folder)
    text, positions = model.tokenizer.encode(job.text()), model.config.max_position_embeddings
    passage = min(PASSAGE, positions // 4)
    new = min(WRITTEN, positions - passage)

    def run(repeats):
        ids = text[:passage] * (1 + new // passage + 1) if repeats else text
        rules = {"logits_processor": [lambda logits, so_far: only(logits, ids[len(so_far)])], "eos_token_id": []}
        sequences = []

        def write():
            sequences[:] = finished_sequences(model, [Prompt(ids[:passage])], Options(max_new_tokens=new, **rules, **options))

        speed = new / seconds_per_call(write, job.turn)
        return {"value": speed, "accepted": sequences[0].accepted / max(sequences[0].drafted, 1)}

    return run


def only(logits, token):
    """Return logits that leave one token as the only choice."""
    logits[:] = -np.inf
    logits[token] = 0.0
    return logits


def memory(job):
    """Measure the peak memory in MB of a process that loads the model, reads a long prompt and goes on for some tokens."""

    def run(length):
        model = neo_np.load(job.folder)
        steps = decode_steps(model.config, length)
        ids = job.ids(1, length + steps)
        cache = prefilled(model, ids[:, :length], steps)
        for step in range(length, length + steps):
            model.logits(ids[:, step : step + 1], cache=cache)
        return peak_mb()

    return run


def growth(job):
    """Measure the milliseconds of a decoded token, or of a prefill, with layers of one kind alone."""
    model = neo_np.load(job.folder)
    layers = model.config.num_layers
    models = {
        kind: Model(replace(model.config, attention_layers=[kind] * layers), model.params) for kind in ("local", "global")
    }
    caches = {kind: model.new_cache() for kind, model in models.items()}

    def run(case):
        work, kind, length = case
        if work == "prefill":
            ids = job.ids(1, length)
            return 1000 * seconds_per_call(lambda: prefilled(models[kind], ids), job.turn)
        steps = decode_steps(model.config, length)
        return 1000 * decode_seconds(models[kind], caches[kind], job.ids(1, length + steps), steps, job)

    return run
