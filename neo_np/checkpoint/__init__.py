"""Checkpoints: folders in the Hugging Face format, found, downloaded, loaded as a `Model`, and saved."""
