"""Checkpoints: folders in the Hugging Face format, loaded as a `Model`, and saved."""
