"""The roofline: the speed at which this machine reads memory, which limits decode, and multiplies, which limits prefill.

Williams et al. 2009, "Roofline: an insightful visual performance model". Both speeds are measured in the same rounds as the
other backends, with arrays of the model's sizes: a small model stays in the processor's cache, where everything is faster.
The speeds are the best that NumPy reaches; other code may reach more.
"""

from concurrent.futures import ThreadPoolExecutor
from math import prod

import numpy as np

from neo_np.bench.job import decode_steps
from neo_np.bench.measure import seconds_per_call
from neo_np.gpt_neo.config import Config
from neo_np.gpt_neo.params import parameter_shapes
from neo_np.train.environment import processors

FLOAT = 4  # bytes
LARGER_THAN_CACHE = 2**28  # bytes; no cache holds so much


def weight_bytes(config: Config) -> int:
    """Return the bytes of all weights in float32."""
    return FLOAT * sum(map(prod, parameter_shapes(config).values()))


def decode_bytes(config: Config, batch: int, context: int) -> int:
    """Return the bytes that a step must read: all weights, and the keys and values that attention sees.

    A step writes one token in each row; the number of keys is that in the middle of the measured steps. Of the embeddings
    only one row is read, which is not counted; the output embedding is read whole, tied or not.
    """
    shapes = parameter_shapes(config)
    read = weight_bytes(config) - FLOAT * prod(shapes["wpe.weight"])
    if not config.tie_word_embeddings:
        read -= FLOAT * prod(shapes["wte.weight"])
    tokens = context + (decode_steps(config, context) + 1) // 2
    keys = sum(min(tokens, config.window(layer) or tokens) for layer in range(config.num_layers))
    return read + batch * 2 * FLOAT * keys * config.hidden_size


def prefill_flop(config: Config, tokens: int) -> int:
    """Return the floating-point operations of the matrix products that a prompt needs (one multiply-add is two).

    They are: the matrices of the blocks for every token, the output embedding for the last token, and the two products of
    attention for the keys that each query sees. In the last block, only the last token needs more than its key and value.
    """
    C, F = config.hidden_size, config.intermediate_size
    products = 0
    for layer in range(config.num_layers):
        queries = tokens if layer < config.num_layers - 1 else 1
        keys = np.minimum(np.arange(1, tokens + 1), config.window(layer) or tokens)[-queries:].sum()
        products += tokens * 2 * C * C + queries * (2 * C * C + 2 * C * F) + 2 * int(keys) * C
    return 2 * (products + config.vocab_size * C)


def decode(job):
    """Measure the tokens per second that the fastest way to read memory allows."""
    ways = ways_to_read(np.ones((weight_bytes(job.config) // FLOAT // job.config.hidden_size, job.config.hidden_size), "f"))

    def run(case):
        batch, context = case
        seconds = min(seconds_per_call(way, job.seconds / 3) for way in ways)
        return batch * weight_bytes(job.config) / seconds / decode_bytes(job.config, batch, context)

    return run


def ways_to_read(matrix: np.ndarray) -> list:
    """Return functions that read a whole matrix: two products of BLAS, and two sums in one thread for each processor."""
    rows, columns = (np.ones(size, matrix.dtype) for size in matrix.shape)
    parts = np.array_split(matrix.reshape(-1), processors())
    threads = ThreadPoolExecutor(len(parts))
    return [
        lambda: matrix @ columns,
        lambda: rows @ matrix,
        lambda: list(threads.map(np.max, parts)),
        lambda: list(threads.map(np.sum, parts)),
    ]


def prefill(job):
    """Measure the tokens per second that the fastest way to multiply matrices allows."""
    C, F = job.config.hidden_size, job.config.intermediate_size
    products = [(C, 3 * C), (C, C), (C, F), (F, C)]  # q, k and v at once; the output of attention; the MLP

    def run(tokens):
        flop = sum(2 * tokens * prod(shape) for shape in products)
        seconds = sum(product_seconds(tokens, *shape, job) for shape in products)
        return tokens * flop / seconds / prefill_flop(job.config, tokens)

    return run


def product_seconds(tokens, inner, outer, job):
    """Return the seconds of the product (T, inner) @ (inner, outer) in the fastest of three orders and layouts.

    A call multiplies with one matrix after the other, as the layers of a model do, so that they do not stay in the cache.
    """
    x = np.ones((tokens, inner), "f")
    copies = min(job.config.num_layers, LARGER_THAN_CACHE // (FLOAT * inner * outer) + 1)
    stored = [np.ones((outer, inner), "f") for _ in range(copies)]  # (out, in), as in the checkpoint
    transposed = [np.ones((inner, outer), "f") for _ in range(copies)]
    ways = [
        lambda: [x @ weight.T for weight in stored],
        lambda: [weight @ x.T for weight in stored],
        lambda: [x @ weight for weight in transposed],
    ]
    return min(seconds_per_call(way, job.seconds / 3) for way in ways) / copies
