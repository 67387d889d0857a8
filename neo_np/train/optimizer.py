"""AdamW, gradient clipping and the learning rate schedule.

Course: notebook 14.
"""

import math
from collections.abc import Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]
CACHED_NUMBERS = 2**15  # of each array, in one call of `adamw`


class AdamW:
    """Adam with decoupled weight decay, for all parameters of a model.

    m: the running mean of each gradient. v: the running mean of its square. Both are {name: array}. step: the number of
    updates. weight_decay is for matrices only: biases and layer-norm gains do not decay, embeddings only with
    decay_embeddings.
    """

    def __init__(
        self,
        params: Arrays,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
        decay_embeddings: bool = True,
    ):
        self.betas, self.eps = betas, eps
        self.step = 0
        self.m = {name: np.zeros_like(array) for name, array in params.items()}
        self.v = {name: np.zeros_like(array) for name, array in params.items()}
        self.decay = {name: weight_decay if decays(name, array, decay_embeddings) else 0.0 for name, array in params.items()}

    def update(self, params: Arrays, gradients: Arrays, learning_rate: float) -> None:
        """Change the params in place: one step against the gradients.

        It takes some rows of an array at a time, so that the temporary arrays of the formula stay in the processor's cache.
        """
        self.step += 1
        for name, g in gradients.items():
            p, m, v = params[name], self.m[name], self.v[name]
            count = max(1, CACHED_NUMBERS * len(p) // p.size)
            for i in range(0, len(p), count):
                rows = slice(i, i + count)
                p[rows], m[rows], v[rows] = adamw(
                    p[rows], g[rows], m[rows], v[rows], self.step, learning_rate, self.decay[name], self.betas, self.eps
                )


def adamw(p, g, m, v, step, learning_rate, decay, betas, eps):
    """Return the new (p, m, v) after one step: algorithm 2 of Loshchilov and Hutter 2017 (arXiv 1711.05101).

    learning_rate is the paper's eta, and its alpha is 1 here: so the decay is multiplied by the learning rate, as in PyTorch.
    p: a parameter. g: its gradient. m, v: see `AdamW`. They start at 0, so they are too small in the first steps; m_hat and
    v_hat correct that (Kingma and Ba 2014, arXiv 1412.6980, section 3).
    """
    b1, b2 = betas
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * (g * g)
    m_hat = m / (1 - b1**step)
    v_hat = v / (1 - b2**step)
    return p - learning_rate * (m_hat / (np.sqrt(v_hat) + eps) + decay * p), m, v


def decays(name: str, array: np.ndarray, decay_embeddings: bool = True) -> bool:
    """Return whether weight decay applies to this parameter: to matrices, not to biases and gains."""
    return array.ndim > 1 and (decay_embeddings or name not in ("wte.weight", "wpe.weight"))


def clip_gradients(gradients: Arrays, max_norm: float) -> float:
    """Scale gradients {name: array} in place so that their norm is at most max_norm; return the norm before.

    Pascanu et al. 2013 (arXiv 1211.5063), section 3.2. The norm is that of all gradients in one vector.
    """
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
    if norm > max_norm:
        for g in gradients.values():
            g *= max_norm / norm
    return norm


def learning_rate(step: int, steps: int, peak: float, warmup_steps: int, minimum: float = 0.0) -> float:
    """Return the learning rate of a step, counted from 1: a straight line up to the peak, then a cosine down to the minimum.

    Loshchilov and Hutter 2016 (arXiv 1608.03983), equation 5, without restarts.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    progress = (step - warmup_steps) / (steps - warmup_steps)  # 0 to 1
    return minimum + (peak - minimum) * 0.5 * (1 + math.cos(math.pi * progress))
