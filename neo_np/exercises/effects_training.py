"""One sentence for each function of notebook 14: what it does with the gradients of the shipped model, or in a run."""

import math

import numpy as np

from neo_np.exercises.effects_loss import sample_ids
from neo_np.exercises.own_model import shipped_model
from neo_np.gpt_neo.backward import loss_and_gradients
from neo_np.gpt_neo.params import Params

RATE = 1e-4


def sample_gradients(params):
    """Return the mean surprise of a sentence and its gradients {name: array}."""
    ids = sample_ids()[None]
    return loss_and_gradients(params, shipped_model().config, ids[:, :-1], ids[:, 1:])


def trained_by(adamw_step):
    """Take one step with all parameters of the shipped model."""
    params = shipped_model().params
    before, gradients = sample_gradients(params)
    stepped = {}
    for name, p in params.flat().items():
        zeros = np.zeros_like(p)
        stepped[name] = adamw_step(p.copy(), gradients[name], zeros, zeros, 1, RATE, 0.1, (0.9, 0.95), 1e-8)[0]
    after, _ = sample_gradients(Params(stepped))
    return (
        f"One step of all parameters of the shipped model with your adamw_step: the surprise of one sentence changes from "
        f"{before:.2f} to {after:.2f} nats."
    )


def clipped_by(clip):
    """Clip the gradients of a sentence."""
    _, gradients = sample_gradients(shipped_model().params)
    arrays = tuple(gradients.values())
    before, after = (math.sqrt(sum(float((g**2).sum()) for g in group)) for group in (arrays, clip(arrays, 1.0)))
    return f"For one sentence the gradients of the shipped model have the norm {before:.2f}; your clip makes it {after:.2f}."


def rates_by(schedule):
    """Say the rates of a run."""
    rates = ", ".join(f"{schedule(step, 400, 0.01, 20, 0.001):.4f}" for step in (1, 20, 210, 400))
    return f"A run of 400 steps with your schedule has these learning rates at the steps 1, 20, 210 and 400: {rates}."


EFFECTS = {"adamw_step": trained_by, "clip": clipped_by, "schedule": rates_by}
