"""Logits to text: logits processors, sampling, the loop, beam search, speculative decoding."""

from neo_np.generate.api import generate, stream

__all__ = ["generate", "stream"]
