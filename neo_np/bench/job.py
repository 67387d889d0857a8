"""The input that all backends share: a checkpoint, token ids, prompts and a text."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from neo_np.checkpoint.loading import load_config
from neo_np.errors import NeoError
from neo_np.files import read_text
from neo_np.gpt_neo.config import Config

PROMPT = "Once upon a time"
TEXT_LENGTH = 500_000  # characters
DECODE_STEPS = 16  # tokens that one call of decode writes
NEW_TOKENS = 64  # tokens that `batch` adds to each prompt
SPECULATIVE_PROMPT, SPECULATIVE_TOKENS = 64, 256  # tokens that `speculative` reads, and writes


@dataclass(frozen=True)
class Job:
    """The input of a run as plain data, which is sent to the process of each backend as JSON.

    folder: a checkpoint. seconds: how long one measurement repeats its call, at least. text_file: the text for the tokenizer,
    None for Python's own documentation. train: the sizes of the model that `train` measures.
    """

    folder: str
    seconds: float = 0.3
    text_file: str | None = None
    train: dict[str, int] = field(default_factory=dict)

    @cached_property
    def config(self) -> Config:
        """The checkpoint's `Config`."""
        return load_config(Path(self.folder) / "config.json")

    def ids(self, batch: int, length: int) -> np.ndarray:
        """Return random token ids (B, T), the same for every backend."""
        return np.random.default_rng(0).integers(self.config.vocab_size, size=(batch, length))

    def text(self) -> str:
        """Return the text for the tokenizer: the file, or half a megabyte of English from Python's own documentation."""
        if self.text_file is None:
            from pydoc_data.topics import topics  # what help("for") shows, and 80 such texts

            return "\n".join(topics[name] for name in sorted(topics))[:TEXT_LENGTH]
        text = read_text(self.text_file)
        if not text:
            raise NeoError(f"the text {self.text_file} is empty: name a file with some pages of text.")
        return text

    def prompts(self, number: int) -> tuple[list[list[int]], int]:
        """Return this number of lists of ids (at most 8) of different lengths, and the number of tokens to add to each."""
        positions = self.config.max_position_embeddings
        longest = max(min(128, positions // 2), 1)
        lengths = [max(longest * eighth // 8, 1) for eighth in range(1, number + 1)]
        return [self.ids(1, length)[0].tolist() for length in lengths], min(NEW_TOKENS, positions - longest)

    def speculative_sizes(self) -> tuple[int, int]:
        """Return the number of tokens that `speculative` reads, and writes, in the positions of the model."""
        positions = self.config.max_position_embeddings
        prompt = min(SPECULATIVE_PROMPT, positions // 4)
        return prompt, min(SPECULATIVE_TOKENS, positions - prompt)


def decode_steps(config: Config, context: int) -> int:
    """Return the number of tokens to decode after a context: 16, or fewer if the model has no more positions."""
    return min(DECODE_STEPS, config.max_position_embeddings - context)
