"""Measurements that several notebooks make: the surprise of the model on tales that it has never seen."""

from pathlib import Path

import numpy as np

from neo_np.gpt_neo import forward, loss

DATA = Path(__file__).resolve().parent / "data"
END = "\n<|endoftext|>\n"


def tales(name):
    """Return the tales of a file as a list of str: "train" (read by the model in training) or "valid" (never seen)."""
    return (DATA / f"{name}.txt").read_text(encoding="utf-8").strip().split(END)


def windows(model, number=8, length=128, name="valid"):
    """Return ids (number, length): pieces of tales, each after the other."""
    ids = [id for tale in tales(name) for id in model.tokenizer.encode(tale)]
    return np.array(ids[: number * length]).reshape(number, length)


def record(model, ids, hook=None):
    """Return {name: array} of every array that the model computes for one text, without the axis B; hook may replace arrays."""
    seen = {}

    def keep(name, array):
        changed = hook(name, array) if hook else None
        array = array if changed is None else changed
        seen[name] = array[0] if array.ndim > 2 else array  # the mask, (T, S), has no axis B
        return changed

    model.logits(ids, hook=keep)
    return seen


def one_head(model, ids, layer, head):
    """Return the queries, keys, values and results of one head for one text, (T, D) each."""
    seen = record(model, ids)
    return tuple(seen[f"h.{layer}.attn.{name}"][head] for name in ("q", "k", "v", "z"))


def logit_lens(model, x):
    """Return the logits (..., V) that the model would give if x, (..., C), were the stream after its last block."""
    params = model.params
    normed = forward.layer_norm(x, params.ln_f.weight, params.ln_f.bias, model.config.layer_norm_epsilon)
    return forward.linear(normed, forward.output_embedding(params))


def surprise(model, ids, hook=None):
    """Return the mean surprise, in nats, of each token of ids (B, T) but the first one of each row."""
    logits = model.logits(ids, hook=hook)
    return float(loss.cross_entropy(logits[:, :-1], ids[:, 1:]).mean())
