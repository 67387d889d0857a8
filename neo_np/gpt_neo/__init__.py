"""The model: token ids to logits, and gradients back. Start with `forward.py`."""
