"""Folders of checkpoints: found by path or name, in the Hugging Face cache or on the hub."""
