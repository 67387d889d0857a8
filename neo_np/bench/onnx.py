"""The side of ONNX Runtime: the GPT-Neo of transformers as a graph, which takes the keys and values so far and returns all."""

import contextlib
import sys

import numpy as np

from neo_np.bench.job import decode_steps
from neo_np.bench.measure import seconds_per_call
from neo_np.bench.peers import load_model


def graph(folder):
    """Return a checkpoint as the bytes of an ONNX graph: (ids, keys, values) -> (last logits, keys, values).

    keys, values: an array (B, H, S, D) for each layer. It stays in memory, so no file is left behind however this ends.
    """
    import torch
    from transformers import DynamicCache

    class Step(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.model = load_model(folder)

        def forward(self, ids, keys, values):
            cache = DynamicCache()
            for layer, (k, v) in enumerate(zip(keys, values)):
                cache.update(k, v, layer)
            found = self.model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            layers = found.past_key_values.layers
            return found.logits, [layer.keys for layer in layers], [layer.values for layer in layers]

    step, any_size = Step().eval(), torch.export.Dim.DYNAMIC
    config = step.model.config
    shape = 2, config.num_heads, 5, config.hidden_size // config.num_heads
    keys, values = ([torch.zeros(shape) for _ in range(config.num_layers)] for _ in "kv")  # one array twice would be one input
    grows = [{0: any_size, 2: any_size}] * config.num_layers
    with contextlib.redirect_stdout(sys.stderr):  # it tells of its progress, where our answers go
        program = torch.onnx.export(
            step,
            (torch.zeros(2, 3, dtype=torch.long), keys, values),
            dynamic_shapes=({0: any_size, 1: any_size}, grows, grows),
            dynamo=True,
        )
    return program.model_proto.SerializeToString()


def sessions(job):
    """Return f(threads) -> (f(ids, past) -> [logits, *past]): past is a list of keys, then values, of every layer."""
    import onnxruntime

    model, made = graph(job.folder), {}

    def session(threads):
        if threads not in made:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = threads
            made[threads] = onnxruntime.InferenceSession(model, options)
        names = [given.name for given in made[threads].get_inputs()]
        return lambda ids, past: made[threads].run(None, dict(zip(names, [ids, *past])))

    return session


def nothing_yet(config, batch):
    """Return the keys and values of no tokens at all."""
    return [np.zeros((batch, config.num_heads, 0, config.head_size), "f")] * (2 * config.num_layers)


def prefill(job):
    """Measure the tokens of a prompt read per second: into a cache, with the logits of the last position."""
    session = sessions(job)

    def run(length, threads):
        step, ids = session(threads), job.ids(1, length)
        past = nothing_yet(job.config, 1)
        return length / seconds_per_call(lambda: step(ids, past), job.turn)

    return run


def decode(job):
    """Measure the tokens per second that follow a context, one at a time in each row."""
    session, contexts = sessions(job), {}

    def run(case, threads):
        step, (batch, context) = session(threads), case
        steps = decode_steps(job.config, context)
        ids = job.ids(batch, context + steps)
        if (batch, context) not in contexts:
            contexts[batch, context] = step(ids[:, :context], nothing_yet(job.config, batch))[1:]

        def write():
            past = contexts[batch, context]
            for place in range(context, context + steps):
                _, *past = step(ids[:, place : place + 1], past)

        return batch * steps / seconds_per_call(write, job.turn)

    return run
