"""The references of the exercises on loss, gradients and training against torch: cross-entropy, autograd, AdamW, clipping."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from neo_np.exercises.nb12_loss import cross_entropy
from neo_np.exercises.nb13_backpropagation import (
    cross_entropy_backward,
    layer_norm_backward,
    linear_backward,
    numerical_gradient,
)
from neo_np.exercises.nb14_training import adamw_step, clip

sizes, seeds = st.integers(1, 6), st.integers(0, 2**32 - 1)


def tensors(seed, *shapes):
    """Return normal random tensors in float64 that keep their gradients."""
    rng = np.random.default_rng(seed)
    return [torch.from_numpy(rng.standard_normal(shape)).requires_grad_() for shape in shapes]


def assert_gradients(found, inputs):
    """Hold what a backward function returned against the gradients that autograd left at the inputs."""
    for gradient, x in zip(found, inputs, strict=True):
        assert gradient.shape == tuple(x.shape)
        np.testing.assert_allclose(gradient, x.grad.numpy(), rtol=1e-9, atol=1e-11)


def arrays(*inputs):
    """Return tensors as arrays."""
    return [x.detach().numpy() for x in inputs]


@given(seeds, sizes, sizes)
def test_cross_entropy_and_its_gradient_are_torch_s(seed, T, V):
    [logits] = tensors(seed, (T, V))
    targets = torch.from_numpy(np.random.default_rng(seed).integers(0, V, T))
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    expected.mean().backward()
    np.testing.assert_allclose(cross_entropy(*arrays(logits), targets.numpy()), expected.detach().numpy(), atol=1e-12)
    assert_gradients([cross_entropy_backward(*arrays(logits), targets.numpy())], [logits])


@given(seeds, sizes, sizes, sizes)
def test_linear_backward_is_autograd_s(seed, T, i, o):
    x, weight, bias, dy = tensors(seed, (T, i), (o, i), (o,), (T, o))
    torch.nn.functional.linear(x, weight, bias).backward(dy.detach())
    assert_gradients(linear_backward(*arrays(dy, x, weight)), [x, weight, bias])


@given(seeds, sizes, st.integers(2, 6), st.floats(0.01, 1))
def test_layer_norm_backward_is_autograd_s(seed, T, C, eps):
    x, weight, bias, dy = tensors(seed, (T, C), (C,), (C,), (T, C))
    torch.nn.functional.layer_norm(x, (C,), weight, bias, eps).backward(dy.detach())
    assert_gradients(layer_norm_backward(*arrays(dy, x, weight), eps), [x, weight, bias])


@given(seeds, sizes, sizes)
def test_numerical_gradient_is_near_autograd_s(seed, T, C):
    [x] = tensors(seed, (T, C))
    (torch.tanh(x) ** 3).sum().backward()
    found = numerical_gradient(lambda a: (np.tanh(a) ** 3).sum(), *arrays(x), 1e-5)
    np.testing.assert_allclose(found, x.grad.numpy(), atol=1e-9)


@given(seeds, sizes, st.integers(1, 5), st.floats(0, 0.5))
def test_adamw_step_repeated_is_torch_s(seed, C, steps, decay):
    [p] = tensors(seed, (C,))
    gradients = np.random.default_rng(seed + 1).standard_normal((steps, C))
    optimizer = torch.optim.AdamW([p], lr=0.1, betas=(0.8, 0.9), eps=0.01, weight_decay=decay)
    found, m, v = p.detach().numpy().copy(), np.zeros(C), np.zeros(C)
    for step, g in enumerate(gradients, 1):
        p.grad = torch.from_numpy(g)
        optimizer.step()
        found, m, v = adamw_step(found, g, m, v, step, 0.1, decay, (0.8, 0.9), 0.01)
    np.testing.assert_allclose(found, p.detach().numpy(), atol=1e-12)


@given(seeds, st.lists(sizes, min_size=1, max_size=4), st.floats(0.1, 5))
def test_clip_is_torch_s(seed, lengths, max_norm):
    inputs = tensors(seed, *((length,) for length in lengths))
    for x in inputs:
        x.grad = x.detach().clone()
    found = clip(tuple(arrays(*inputs)), max_norm)
    torch.nn.utils.clip_grad_norm_(inputs, max_norm)
    for g, x in zip(found, inputs, strict=True):
        np.testing.assert_allclose(g, x.grad.numpy(), rtol=1e-4)  # torch adds 1e-6 to the norm
