"""Fast twins: each computes the same as the function of its name in `forward.py` or `backward.py`.

Those two are the specification; only results at padding may differ. A test holds each twin against its formula on random
shapes. The percentages are changes in time, measured with `python -m neo_np.bench --shape 125M` if nothing else is named.
"""

import math
from types import ModuleType

import numpy as np

from neo_np.gpt_neo import forward as formulas
from neo_np.gpt_neo.hooks import no_hook

FEW_ROWS = 256  # up to this many rows of x, weight @ x.T is faster than x @ weight.T
WEIGHT_ROWS = 4096  # a larger weight is multiplied in parts of this many rows (-5 % in `bench batch`, 8 prompts)
QUERY_BLOCK = 64  # queries that attend at a time
CACHED_NUMBERS = 100_000  # numbers whose temporary arrays fit into the processor's cache
JUST_BELOW_32_MIB = 2**25 - 2**16
SQRT_2_OVER_PI = math.sqrt(2 / math.pi)


def linear(x, weight, bias=None):
    """Return x @ weight.T + bias: (..., in) -> (..., out). For few rows, BLAS computes (weight @ x.T).T faster (-27 %)."""
    rows = x.reshape(-1, x.shape[-1])
    if len(rows) > FEW_ROWS:
        y = rows @ weight.T
    elif len(rows) == 1 or len(weight) <= WEIGHT_ROWS:
        y = weight.dot(rows.T).T  # for two matrices, `dot` has less overhead than `@`
    else:
        y = np.concatenate([weight[i : i + WEIGHT_ROWS] @ rows.T for i in range(0, len(weight), WEIGHT_ROWS)]).T
    if bias is not None:
        y += bias
    return y.reshape(*x.shape[:-1], len(weight))


def tanh_of_gelu_new(x):
    """Return tanh(sqrt(2/pi) (x + 0.044715 x^3)) in one array."""
    t = x * x
    t *= 0.044715 * SQRT_2_OVER_PI
    t += SQRT_2_OVER_PI
    t *= x
    return np.tanh(t, out=t)


def gelu_new(x):
    """Apply GELU in its tanh form, in one array instead of nine, which small models notice."""
    y = tanh_of_gelu_new(x)
    y += 1.0
    y *= x
    y *= 0.5
    return y


def gelu_new_backward(dy, x):
    """Return dx like the formula in `backward.py`, in 4 arrays instead of 19 (-7 % in `bench train` with two threads).

    1 - t^2 = (1 + t) (1 - t), so the derivative is 0.5 (1 + t) (1 + x (1 - t) du/dx), u = sqrt(2/pi) (x + 0.044715 x^3).
    """
    t = tanh_of_gelu_new(x)
    dx = x * x
    dx *= 3 * 0.044715 * SQRT_2_OVER_PI
    dx += SQRT_2_OVER_PI  # du/dx
    dx *= 1.0 - t
    dx *= x
    dx += 1.0
    t += 1.0
    dx *= t
    dx *= 0.5
    return dy * dx


ACTIVATIONS = {**formulas.ACTIVATIONS, "gelu_new": gelu_new}


def activate(x, name):
    """Apply the activation to some rows at a time: temporary arrays stay in the cache (-17 % at 2048 tokens).

    It may overwrite x, so it is only for a pass that does not keep "mlp.pre".
    """
    if x.size <= CACHED_NUMBERS:
        return ACTIVATIONS[name](x)
    rows = x.reshape(-1, x.shape[-1])  # a view: writing into rows changes x
    block = max(1, CACHED_NUMBERS // x.shape[-1])  # 32 rows for the 125M model
    for i in range(0, len(rows), block):
        rows[i : i + block] = ACTIVATIONS[name](rows[i : i + block])
    return x


def softmax(x):
    """Overwrite x with its softmax, which saves two arrays of the size of the scores."""
    x -= x.max(axis=-1, keepdims=True)
    np.exp(x, out=x)
    x /= x.sum(axis=-1, keepdims=True)
    return x


def query_blocks(T, S, window=None):
    """Yield (queries, keys) for every 64 queries: their slots, and the slots of the keys that at least one of them sees."""
    for start in range(S - T, S, QUERY_BLOCK):
        stop = min(start + QUERY_BLOCK, S)
        yield slice(start, stop), slice(0 if window is None else max(0, start - window + 1), stop)


def attention(q, k, v, window=None, padding=0, hook=no_hook):
    """Attend in blocks of 64 queries: fewer masked scores, less memory (-48 % at 2048 tokens).

    The hook sees "attn.weights" once for each block, and neither "attn.scores" nor "attn.mask".
    """
    T, S = q.shape[2], k.shape[2]
    z = np.empty_like(q)
    for queries, keys in query_blocks(T, S, window):
        rows = slice(queries.start - (S - T), queries.stop - (S - T))  # of q
        scores = q[:, :, rows] @ k[:, :, keys].swapaxes(-1, -2)  # (B, H, block, keys)
        if T > 1 or isinstance(padding, np.ndarray):  # a single query sees all the keys of its slice
            query_slots, key_slots = np.arange(queries.start, queries.stop), np.arange(keys.start, keys.stop)
            scores += formulas.causal_mask(query_slots, key_slots, window, padding)
        weights = hook("attn.weights", softmax(scores))
        z[:, :, rows] = weights @ v[:, :, keys]
    return z


def with_twins(**twins):
    """Return a second copy of the module `forward.py` in which these twins replace what has the same name.

    A function looks up the names that it calls in its own module. So every function of the copy calls the twins.
    """
    copy = ModuleType(formulas.__name__)
    formulas.__loader__.exec_module(copy)
    vars(copy).update(twins)
    return copy


inference = with_twins(linear=linear, attention=attention, activate=activate)  # the default
# The backward pass and a user's hook need "mlp.pre", which `activate` can overwrite; the hook sees every array whole.
training = with_twins(linear=linear, attention=attention, ACTIVATIONS=ACTIVATIONS)
hooked = with_twins(linear=linear, ACTIVATIONS=ACTIVATIONS)


def keep_freed_memory():
    """Let the C library reuse the memory of freed arrays instead of returning it to the system.

    A large array normally goes back to the system when it is freed, and the system must clear the memory of the next one.
    Freeing one block just under 32 MiB raises glibc's mmap threshold, so later arrays reuse heap memory (mallopt(3),
    M_MMAP_THRESHOLD). Other C libraries are not affected.
    """
    np.empty(JUST_BELOW_32_MIB, np.uint8)  # allocated and freed at once
