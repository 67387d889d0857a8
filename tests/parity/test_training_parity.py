"""Training against torch: gradients of autograd, AdamW's updates, clipping, and a hundred steps of the two side by side."""

import numpy as np
import pytest
import torch
import transformers
from pairs import distance, random_pair

from neo_np.gpt_neo.backward import loss_and_gradients
from neo_np.gpt_neo.forward import ACTIVATIONS
from neo_np.gpt_neo.params import random_params
from neo_np.train.data import random_windows
from neo_np.train.optimizer import AdamW, clip_gradients, decays, learning_rate
from neo_np.train.trainer import Trainer, TrainingOptions

GLOBAL, LOCAL = [[["global"], 4]], [[["local"], 4]]
MIXED = [[["global", "local"], 2]]
SHAPES = [
    {"num_layers": 4, "attention_types": MIXED},
    {"num_layers": 4, "attention_types": GLOBAL, "hidden_size": 64, "num_heads": 8},
    {"num_layers": 4, "attention_types": LOCAL, "window_size": 3, "intermediate_size": 20},
    {"num_layers": 4, "attention_types": MIXED, "window_size": 40, "max_position_embeddings": 200},  # several query blocks
    {"num_layers": 4, "attention_types": MIXED, "tie_word_embeddings": False},
    {"num_layers": 1, "attention_types": [[["local"], 1]], "window_size": 2, "num_heads": 1, "layer_norm_epsilon": 1e-3},
    *({"activation_function": name} for name in ACTIVATIONS),
]


def batches(model, count, batch=3, seed=0):
    """Return windows of random ids as long as the model takes, one token longer for the targets."""
    shape = (count, batch, model.config.max_position_embeddings + 1)
    return np.random.default_rng(seed).integers(0, model.config.vocab_size, shape)


def their_loss(reference, windows):
    """Return torch's mean cross-entropy of predicting each token of (B, T + 1) windows from those before it."""
    windows = torch.from_numpy(windows)
    logits = reference(windows[:, :-1]).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())


def without_prefix(reference):
    """Return {our name: parameter} of a model of transformers."""
    return {name.removeprefix("transformer."): p for name, p in reference.named_parameters()}


@pytest.mark.parametrize("std", [0.02, 0.1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_every_gradient_is_autograd_s(shape, std):
    reference, model = random_pair(1, std, **shape)
    [windows] = batches(model, 1)
    expected = their_loss(reference, windows)
    expected.backward()
    loss, gradients = loss_and_gradients(model.params, model.config, windows[:, :-1], windows[:, 1:])
    assert loss == pytest.approx(expected.item(), abs=2e-6)
    theirs = without_prefix(reference)
    assert gradients.keys() == theirs.keys()
    for name, gradient in gradients.items():
        assert gradient.dtype == np.float32
        assert distance(gradient, theirs[name].grad.numpy()) < 1e-5, name


def test_the_loss_is_the_one_of_labels():
    reference, model = random_pair(2)
    [windows] = batches(model, 1)
    ids = torch.from_numpy(windows[:, :-1])
    reference(ids, labels=ids).loss.backward()
    _, gradients = loss_and_gradients(model.params, model.config, windows[:, :-2], windows[:, 1:-1])
    for name, parameter in without_prefix(reference).items():
        assert distance(gradients[name], parameter.grad.numpy()) < 1e-5, name


def torch_adamw(named, decay_embeddings, **options):
    """Return torch's AdamW over {name: tensor} that decays the same parameters as ours."""
    decay = options.pop("weight_decay")
    groups = {True: [], False: []}
    for name, parameter in named.items():
        groups[decays(name, parameter, decay_embeddings)].append(parameter)
    return torch.optim.AdamW(
        [{"params": groups[True], "weight_decay": decay}, {"params": groups[False], "weight_decay": 0.0}], **options
    )


@pytest.mark.parametrize("decay_embeddings", [True, False])
@pytest.mark.parametrize(("betas", "eps"), [((0.9, 0.999), 1e-8), ((0.8, 0.95), 1e-3)])
def test_adamw_makes_the_updates_of_torch(betas, eps, decay_embeddings):
    rng = np.random.default_rng(0)
    shapes = {"wte.weight": (5, 3), "h.0.ln_1.weight": (3,), "h.0.mlp.c_fc.weight": (4, 3), "h.0.mlp.c_fc.bias": (4,)}
    ours = {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}
    theirs = {name: torch.tensor(array) for name, array in ours.items()}
    optimizer = AdamW(ours, betas, eps, weight_decay=0.3, decay_embeddings=decay_embeddings)
    reference = torch_adamw(theirs, decay_embeddings, lr=0.0, betas=betas, eps=eps, weight_decay=0.3)
    for step in range(30):
        gradients = {name: rng.standard_normal(shape, np.float32) * 10.0 ** -(step % 4) for name, shape in shapes.items()}
        rate = 0.1 / (step + 1)
        optimizer.update(ours, {name: g.astype(np.float32) for name, g in gradients.items()}, rate)
        for group in reference.param_groups:
            group["lr"] = rate
        for name, tensor in theirs.items():
            tensor.grad = torch.tensor(gradients[name].astype(np.float32))
        reference.step()
        for name, tensor in theirs.items():
            np.testing.assert_allclose(ours[name], tensor.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("max_norm", [0.5, 5.0, 50.0])
def test_clip_gradients_equals_torch(max_norm):
    rng = np.random.default_rng(0)
    gradients = {"a": rng.standard_normal((4, 5), np.float32), "b": rng.standard_normal(7, np.float32)}
    tensors = [torch.zeros(g.shape, requires_grad=True) for g in gradients.values()]
    for tensor, g in zip(tensors, gradients.values()):
        tensor.grad = torch.tensor(g)
    expected = torch.nn.utils.clip_grad_norm_(tensors, max_norm)
    assert clip_gradients(gradients, max_norm) == pytest.approx(expected.item(), rel=1e-6)
    for tensor, g in zip(tensors, gradients.values()):
        np.testing.assert_allclose(g, tensor.grad.numpy(), rtol=1e-5)


@pytest.mark.parametrize(("steps", "warmup_steps"), [(50, 10), (20, 0), (7, 1)])
def test_the_schedule_is_that_of_transformers(steps, warmup_steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = transformers.get_cosine_schedule_with_warmup(optimizer, warmup_steps, steps)
    for step in range(1, steps + 1):
        optimizer.step()
        schedule.step()
        assert learning_rate(step, steps, 0.5, warmup_steps) == pytest.approx(schedule.get_last_lr()[0], abs=1e-12)


def test_weights_begin_as_those_of_transformers():
    reference, model = random_pair(hidden_size=96, intermediate_size=500)
    fresh = transformers.GPTNeoForCausalLM(reference.config)
    ours = random_params(model.config, seed=1).flat()
    for name, parameter in without_prefix(fresh).items():
        theirs = parameter.detach().numpy()
        assert ours[name].dtype == np.float32
        assert ours[name].shape == theirs.shape
        if theirs.ndim == 1:
            np.testing.assert_array_equal(ours[name], theirs)
        else:
            assert ours[name].std() == pytest.approx(theirs.std(), rel=0.1)
            assert abs(ours[name].mean()) < 0.02 * 4 / np.sqrt(theirs.size)


def test_a_hundred_steps_follow_torch():
    """The same start, the same batches, AdamW with decay, warm-up, cosine and clipping: the same losses within 1e-3."""
    reference, model = random_pair(3, 0.02, num_layers=2, hidden_size=48, num_heads=4, vocab_size=60)
    named = {name: p.detach().numpy().copy() for name, p in without_prefix(reference).items()}
    model.params = type(model.params)(named)
    o = TrainingOptions(
        steps=100,
        batch_size=6,
        sequence_length=24,
        learning_rate=3e-3,
        warmup_steps=10,
        min_learning_rate=3e-4,
        micro_batch_size=2,
        clip=0.5,
        weight_decay=0.1,
        seed=7,
        threads=2,
    )
    text = np.random.default_rng(0).integers(0, 20, 300).cumsum() % 60  # something there is to learn
    trainer = Trainer(model, text, o)
    theirs = without_prefix(reference)
    optimizer = torch_adamw(theirs, True, lr=0.0, betas=o.betas, weight_decay=o.weight_decay)
    rng = np.random.default_rng(o.seed)
    losses = []
    for step in range(1, o.steps + 1):
        windows = random_windows(text, o.batch_size, o.sequence_length + 1, rng)
        rng.integers(2**63, size=3)  # the trainer draws a seed of dropout for each micro-batch
        optimizer.zero_grad()
        loss = their_loss(reference, windows)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(theirs.values(), o.clip)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, o.steps, o.learning_rate, o.warmup_steps, o.min_learning_rate)
        optimizer.step()
        entry = trainer.train_step()
        assert entry["loss"] == pytest.approx(loss.item(), abs=1e-3)
        assert entry["norm"] == pytest.approx(norm.item(), rel=0.02)
        losses.append(entry["loss"])
    assert losses[-1] < 0.8 * losses[0]
