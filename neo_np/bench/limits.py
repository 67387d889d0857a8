"""What this machine could do at best: how fast it reads memory, which bounds decode, and multiplies, which bounds prefill.

Each is measured in a process of its own that takes turns with the other sides, with arrays of the model's sizes: a small
model lies in a cache, from which everything is faster. A way that NumPy has not may be faster still.
"""

from concurrent.futures import ThreadPoolExecutor
from math import prod

import numpy as np

from neo_np.bench.job import decode_steps
from neo_np.bench.measure import cores, seconds_per_call
from neo_np.gpt_neo.params import parameter_shapes

FLOAT = 4  # bytes
OUT_OF_CACHE = 2**28  # bytes of matrices that no cache holds


def weight_bytes(config):
    """Return the bytes of all weights in float32."""
    return FLOAT * sum(map(prod, parameter_shapes(config).values()))


def decode_bytes(config, batch, context):
    """Return the bytes that must be read for a token in each row of a batch, in the middle of the steps that are measured.

    All weights but the embeddings, of which a row is read; the output embedding, tied or not, is read whole. Then the keys
    and values that attention sees.
    """
    shapes = parameter_shapes(config)
    read = weight_bytes(config) - FLOAT * prod(shapes["wpe.weight"])
    if not config.tie_word_embeddings:
        read -= FLOAT * prod(shapes["wte.weight"])
    seen = context + (decode_steps(config, context) + 1) // 2
    keys = sum(min(seen, config.window(layer) or seen) for layer in range(config.num_layers))
    return read + batch * 2 * FLOAT * keys * config.hidden_size


def prefill_flop(config, tokens):
    """Return the floating-point operations of matrix products that a prompt needs; a multiplication and an addition are two.

    The matrices of the blocks for every token, the output embedding for the last one, and attention's two products for the
    keys that the masks let each query see. The last block owes the tokens before the last one only keys and values.
    """
    C, F = config.hidden_size, config.intermediate_size
    products = 0
    for layer in range(config.num_layers):
        queries = tokens if layer < config.num_layers - 1 else 1
        seen = np.minimum(np.arange(1, tokens + 1), config.window(layer) or tokens)[-queries:].sum()
        products += tokens * 2 * C * C + queries * (2 * C * C + 2 * C * F) + 2 * int(seen) * C
    return 2 * (products + config.vocab_size * C)


def decode(job):
    """Measure the tokens per second that reading memory as fast as can be would allow."""
    ways = reading_ways(np.ones((weight_bytes(job.config) // FLOAT // job.config.hidden_size, job.config.hidden_size), "f"))

    def run(case):
        batch, context = case
        seconds = min(seconds_per_call(way, job.turn / 3) for way in ways)
        return batch * weight_bytes(job.config) / seconds / decode_bytes(job.config, batch, context)

    return run


def reading_ways(matrix):
    """Return functions that read a whole matrix: BLAS in two orders, and one Python thread for each processor."""
    rows, columns = (np.ones(size, matrix.dtype) for size in matrix.shape)
    parts = np.array_split(matrix.reshape(-1), cores())
    threads = ThreadPoolExecutor(len(parts))
    return [
        lambda: matrix @ columns,
        lambda: rows @ matrix,
        lambda: list(threads.map(np.max, parts)),
        lambda: list(threads.map(np.sum, parts)),
    ]


def prefill(job):
    """Measure the tokens per second that multiplying matrices as fast as can be would allow."""
    C, F = job.config.hidden_size, job.config.intermediate_size
    products = [(C, 3 * C), (C, C), (C, F), (F, C)]  # q, k and v at once; the output of attention; the MLP

    def run(tokens):
        flop = sum(2 * tokens * prod(shape) for shape in products)
        seconds = sum(product_seconds(tokens, *shape, job) for shape in products)
        return tokens * flop / seconds / prefill_flop(job.config, tokens)

    return run


def product_seconds(tokens, inner, outer, job):
    """Return the seconds of (T, inner) @ (inner, outer) in the best of three orders and layouts.

    It takes a matrix after the other, as a model does with its layers, until there are more than any cache holds.
    """
    x = np.ones((tokens, inner), "f")
    copies = min(job.config.num_layers, OUT_OF_CACHE // (FLOAT * inner * outer) + 1)
    stored = [np.ones((outer, inner), "f") for _ in range(copies)]  # as the checkpoint has them
    turned = [np.ones((inner, outer), "f") for _ in range(copies)]
    ways = [
        lambda: [x @ weight.T for weight in stored],
        lambda: [weight @ x.T for weight in stored],
        lambda: [x @ weight for weight in turned],
    ]
    return min(seconds_per_call(way, job.turn / 3) for way in ways) / copies
