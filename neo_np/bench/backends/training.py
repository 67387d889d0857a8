"""Training: steps (forward, backward, clipping, AdamW) of a GPT-Neo with random weights on random tokens."""

import numpy as np

from neo_np.bench.measure import timed
from neo_np.gpt_neo.config import Config, check_size
from neo_np.gpt_neo.params import random_params
from neo_np.model import Model
from neo_np.train.environment import default_threads
from neo_np.train.trainer import Trainer, TrainingOptions


def train(job):
    """Measure the tokens per second of neo_np's training."""
    step = neo_step(job.train)
    return lambda case: tokens_per_second(step, job.train)


def torch_train(compile_model):
    """Measure the tokens per second of training the GPT-Neo of transformers in torch."""

    def backend(job):
        import torch

        step = torch_step(job.train, compile_model)

        def run(case, threads):
            torch.set_num_threads(threads)
            return tokens_per_second(step, job.train)

        return run

    return backend


def tokens_per_second(step, sizes):
    """Return the tokens per second of a number of steps."""
    seconds = sum(timed(step) for _ in range(sizes["steps"]))
    return sizes["steps"] * sizes["batch_size"] * sizes["sequence_length"] / seconds


def layer_kinds(sizes):
    """Return the kinds of the attention layers, global and local alternately."""
    return [("global", "local")[layer % 2] for layer in range(sizes["layers"])]


def neo_config(sizes: dict[str, int]) -> Config:
    """Return the config of the model to train; raises NeoError for sizes that do not fit together."""
    check_size("num_layers", sizes["layers"])  # before a list gets as many entries
    return Config(
        vocab_size=sizes["vocab_size"],
        hidden_size=sizes["hidden_size"],
        num_layers=sizes["layers"],
        num_heads=sizes["heads"],
        max_position_embeddings=sizes["sequence_length"],
        attention_layers=layer_kinds(sizes),
        window_size=sizes["window_size"],
        bos_token_id=None,
        eos_token_id=None,
    )


def neo_options(sizes: dict[str, int]) -> TrainingOptions:
    """Return the options of the training."""
    return TrainingOptions(
        steps=10**6,
        batch_size=sizes["batch_size"],
        sequence_length=sizes["sequence_length"],
        learning_rate=1e-3,
        warmup_steps=1000,
        threads=default_threads(),
    )


def neo_step(sizes):
    """Return a function that makes one training step of neo_np."""
    config, options = neo_config(sizes), neo_options(sizes)
    tokens = np.random.default_rng(0).integers(config.vocab_size, size=100 * (sizes["sequence_length"] + 1))
    return Trainer(Model(config, random_params(config)), tokens, options).train_step


def torch_step(sizes, compile_model):
    """Return a function that makes the same step in torch and returns the loss."""
    import torch
    import transformers

    config = transformers.GPTNeoConfig(
        vocab_size=sizes["vocab_size"],
        hidden_size=sizes["hidden_size"],
        num_layers=sizes["layers"],
        num_heads=sizes["heads"],
        max_position_embeddings=sizes["sequence_length"],
        attention_types=[[layer_kinds(sizes), 1]],
        window_size=sizes["window_size"],
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
        attn_implementation="eager",
    )
    model = transformers.GPTNeoForCausalLM(config).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    tokens = torch.randint(sizes["vocab_size"], (100, sizes["batch_size"], sizes["sequence_length"] + 1))
    forward = compile_model(model, dynamic=False)

    def step():
        windows = tokens[torch.randint(len(tokens), ())]
        logits = forward(windows[:, :-1]).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step
