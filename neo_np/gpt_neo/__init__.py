"""The model: token ids to logits, and back (gradients). Start with `forward.py`."""
