"""Measurements that several notebooks make: the surprise of the model on tales that it has never seen."""

from pathlib import Path

import numpy as np

from neo_np.gpt_neo import loss

DATA = Path(__file__).resolve().parent / "data"
END = "\n<|endoftext|>\n"


def tales(name):
    """Return the tales of a file as a list of str: "train" (read by the model in training) or "valid" (never seen)."""
    return (DATA / f"{name}.txt").read_text(encoding="utf-8").strip().split(END)


def windows(model, number=8, length=128, name="valid"):
    """Return ids (number, length): pieces of tales, each after the other."""
    ids = [id for tale in tales(name) for id in model.tokenizer.encode(tale)]
    return np.array(ids[: number * length]).reshape(number, length)


def surprise(model, ids, hook=None):
    """Return the mean surprise, in nats, of each token of ids (B, T) but the first one of each row."""
    logits = model.logits(ids, hook=hook)
    return float(loss.cross_entropy(logits[:, :-1], ids[:, 1:]).mean())
