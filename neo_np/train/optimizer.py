"""AdamW, the clipping of gradients, and the schedule of the learning rate."""

import math

import numpy as np


class AdamW:
    """Adam with decoupled weight decay (Kingma and Ba 2014, arXiv 1412.6980; Loshchilov and Hutter 2017, arXiv 1711.05101).

    m: the running mean of each gradient, v: that of its square, both {name: array}; step: how many updates there were.
    weight_decay is for matrices alone: biases and the gains of layer norms do not decay, and the embeddings only with
    decay_embeddings.
    """

    def __init__(self, params, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1, decay_embeddings=True):
        self.betas, self.eps = betas, eps
        self.step = 0
        self.m = {name: np.zeros_like(array) for name, array in params.items()}
        self.v = {name: np.zeros_like(array) for name, array in params.items()}
        self.decay = {name: weight_decay if decays(name, array, decay_embeddings) else 0.0 for name, array in params.items()}

    def update(self, params, gradients, learning_rate):
        """Change the params, {name: array}, in place: one step against the gradients.

        m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2;  p = p - rate decay p - rate m' / (sqrt(v') + eps). m' and v' are
        m / (1 - b1^step) and v / (1 - b2^step), which makes up for their beginning at 0.
        """
        self.step += 1
        b1, b2 = self.betas
        m_rate, v_scale = learning_rate / (1 - b1**self.step), math.sqrt(1 - b2**self.step)
        for name, g in gradients.items():
            p, m, v = params[name], self.m[name], self.v[name]
            m *= b1
            m += (1 - b1) * g
            v *= b2
            v += (1 - b2) * np.square(g)
            size = np.sqrt(v)
            size /= v_scale
            size += self.eps
            p *= 1 - learning_rate * self.decay[name]
            p -= m_rate * (m / size)


def decays(name, array, decay_embeddings=True):
    """Return whether weight decay is for this parameter: for matrices, not for biases and gains."""
    return array.ndim > 1 and (decay_embeddings or name not in ("wte.weight", "wpe.weight"))


def clip_gradients(gradients, most):
    """Scale gradients {name: array} in place so that their global norm is at most so much; return the norm there was.

    Pascanu et al. 2013 (arXiv 1211.5063), section 3.2. The norm is that of all gradients laid into one vector.
    """
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
    if norm > most:
        for g in gradients.values():
            g *= most / norm
    return norm


def learning_rate(step, steps, peak, warmup_steps, last=0.0):
    """Return the rate of a step, counted from 1: up to the peak in a straight line, then down to `last` along a cosine.

    Loshchilov and Hutter 2016 (arXiv 1608.03983), equation 5, without restarts.
    """
    if step <= warmup_steps:
        return peak * step / warmup_steps
    progress = (step - warmup_steps) / (steps - warmup_steps)  # 0 to 1
    return last + (peak - last) * 0.5 * (1 + math.cos(math.pi * progress))
