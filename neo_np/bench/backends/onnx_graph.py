"""ONNX Runtime and OpenVINO: both run the GPT-Neo of transformers, exported as one ONNX graph.

A session is a function (ids, past) -> [logits, *past]; past is the list of keys, then values, of every layer.
"""

import contextlib
import sys

import numpy as np

from neo_np.bench.backends.hugging_face import load_model
from neo_np.bench.job import decode_steps
from neo_np.bench.measure import seconds_per_call


def export(folder):
    """Return a checkpoint as the bytes of an ONNX graph: (ids, keys, values) -> (last logits, keys, values).

    keys, values: an array (B, H, S, D) for each layer. The graph stays in memory, so it leaves no file behind.
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
            result = self.model(ids, past_key_values=cache, use_cache=True, logits_to_keep=1)
            layers = result.past_key_values.layers
            return result.logits, [layer.keys for layer in layers], [layer.values for layer in layers]

    step, any_size = Step().eval(), torch.export.Dim.DYNAMIC
    config = step.model.config
    shape = 2, config.num_heads, 5, config.hidden_size // config.num_heads
    keys, values = ([torch.zeros(shape) for _ in range(config.num_layers)] for _ in "kv")  # the same array twice is one input
    cache_sizes = [{0: any_size, 2: any_size}] * config.num_layers
    with contextlib.redirect_stdout(sys.stderr):  # the export prints its progress, and standard output is for answers
        program = torch.onnx.export(
            step,
            (torch.zeros(2, 3, dtype=torch.long), keys, values),
            dynamic_shapes=({0: any_size, 1: any_size}, cache_sizes, cache_sizes),
            dynamo=True,
        )
    return program.model_proto.SerializeToString()


def onnx_runtime(graph, threads):
    """Return a session of ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options)
    names = [entry.name for entry in session.get_inputs()]
    return lambda ids, past: session.run(None, dict(zip(names, [ids, *past])))


def openvino(graph, threads):
    """Return a session of OpenVINO, in float32. Its default is bfloat16 on processors that have it."""
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    model = core.compile_model(core.read_model(graph), "CPU", settings)
    return lambda ids, past: list(model([ids, *past]).values())


def sessions(job, make_session):
    """Export the job's model; return f(threads) -> session, which makes each session once."""
    graph, made = export(job.folder), {}

    def session(threads):
        if threads not in made:
            made[threads] = make_session(graph, threads)
        return made[threads]

    return session


def empty_past(config, batch):
    """Return the keys and values of no tokens."""
    return [np.zeros((batch, config.num_heads, 0, config.head_size), "f")] * (2 * config.num_layers)


def prefill(make_session):
    """Measure the tokens of a prompt read per second: into a cache, with the logits of the last position."""

    def backend(job):
        session = sessions(job, make_session)

        def run(length, threads):
            step, ids = session(threads), job.ids(1, length)
            past = empty_past(job.config, 1)
            return length / seconds_per_call(lambda: step(ids, past), job.seconds)

        return run

    return backend


def decode(make_session):
    """Measure the tokens per second that follow a context, one at a time in each row."""

    def backend(job):
        session, contexts = sessions(job, make_session), {}

        def run(case, threads):
            step, (batch, context) = session(threads), case
            steps = decode_steps(job.config, context)
            ids = job.ids(batch, context + steps)
            if (batch, context) not in contexts:
                contexts[batch, context] = step(ids[:, :context], empty_past(job.config, batch))[1:]

            def read_last():
                past = contexts[batch, context]
                for position in range(context, context + steps):
                    _, *past = step(ids[:, position : position + 1], past)

            return batch * steps / seconds_per_call(read_last, job.seconds)

        return run

    return backend
