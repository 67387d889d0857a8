"""Training: token files, AdamW, the training step, and runs that resume. `main` is the command."""

from neo_np.train.command import main

__all__ = ["main"]
