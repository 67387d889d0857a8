"""What all sides are given: the checkpoint, the ids, the prompts and the text that they work on."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from neo_np.checkpoint.loading import load_config
from neo_np.errors import NeoError

PROMPT = "Once upon a time"
TEXT_LENGTH = 500_000  # characters
DECODE_STEPS = 16  # tokens that one measurement of decode takes
NEW_TOKENS = 64  # that each prompt of a batch is continued by
PASSAGE, WRITTEN = 64, 256  # tokens of a prompt, and how many are written after it, in speculative decoding


@dataclass(frozen=True)
class Job:
    """The work of a run as plain data, which travels to every side as JSON.

    folder: a checkpoint. turn: seconds that a turn fills at least. text_file: for the tokenizer, None for Python's own
    documentation. train: the sizes of training.
    """

    folder: str
    turn: float = 0.3
    text_file: str | None = None
    train: dict = field(default_factory=dict)

    @cached_property
    def config(self):
        """The checkpoint's `Config`."""
        return load_config(Path(self.folder) / "config.json")

    def ids(self, batch, length):
        """Return random token ids (B, T), the same for every side."""
        return np.random.default_rng(0).integers(self.config.vocab_size, size=(batch, length))

    def text(self):
        """Return the text for the tokenizer: the file, or half a megabyte of English that every Python has with it."""
        if self.text_file is None:
            from pydoc_data.topics import topics  # what help("for") shows, and 80 such texts

            return "\n".join(topics[name] for name in sorted(topics))[:TEXT_LENGTH]
        try:
            return Path(self.text_file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise NeoError(f"the text {self.text_file} cannot be read: {error}.") from None

    def prompts(self, number):
        """Return up to eight lists of ids of different lengths, and how many tokens to continue each by."""
        positions = self.config.max_position_embeddings
        longest = max(min(128, positions // 2), 1)
        lengths = [max(longest * eighth // 8, 1) for eighth in range(1, number + 1)]
        return [self.ids(1, length)[0].tolist() for length in lengths], min(NEW_TOKENS, positions - longest)


def batch_cases(config):
    """Return {what it is called: number of prompts}."""
    return {"1 prompt": 1, "8 prompts": 8}


def speculative_cases(config):
    """Return {what a text is called: whether it says its first passage over and over}."""
    return {"text that repeats itself": True, "ordinary text": False}


def decode_steps(config, context):
    """Return how many tokens to decode after a context: 16, or what the model has positions for."""
    return min(DECODE_STEPS, config.max_position_embeddings - context)


def prefill_cases(config):
    """Return {what a prompt is called: its tokens}: 8, 512, 2048 where they fit, and all positions of a smaller model."""
    positions = config.max_position_embeddings
    lengths = {n for n in (8, 512, 2048) if n <= positions} | {min(positions, 2048)}
    return {f"{n} tokens": n for n in sorted(lengths)}


def decode_cases(config):
    """Return {what it is called: (rows, tokens before)}: few tokens, and three quarters of all positions up to 2048."""
    positions = min(config.max_position_embeddings, 2048)
    contexts = min(8, positions // 4), positions * 3 // 4
    return {f"batch {batch} after {n} tokens": (batch, n) for batch in (1, 8) for n in contexts}


def memory_cases(config):
    """Return {what it is called: tokens of the prompt}: 2048, or as many as leave room to go on."""
    length = min(config.max_position_embeddings, 2048) - min(DECODE_STEPS, config.max_position_embeddings // 2)
    return {f"prefill {length}, decode {decode_steps(config, length)}": length}


def growth_cases(config):
    """Return {what it is called: (work, kind of attention, tokens)}: eight lengths up to all positions for each."""
    positions = min(config.max_position_embeddings, 2048)
    steps = min(DECODE_STEPS, positions // 8)
    works = [("decode", "local"), ("decode", "global"), ("prefill", "local")]
    cases = [
        (work, kind, positions * eighth // 8 - (steps if work == "decode" else 0))
        for work, kind in works
        for eighth in range(1, 9)
    ]
    return {f"{work} {kind}, {n} tokens": (work, kind, n) for work, kind, n in cases}
