"""Settings for the tests against transformers, torch, tokenizers and tiktoken."""

import os

# Before transformers is imported: nothing is looked up on the network, and its advice stays out of the reports.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import torch

torch.set_num_threads(1)  # for models as small as most here, threads only wait for each other


def pytest_configure(config):
    """Let the libraries warn as they like; a warning of ours is still an error."""
    config.addinivalue_line("filterwarnings", "default")
    config.addinivalue_line("filterwarnings", "error:::neo_np")
