"""Print the table of differences between neo_np and transformers of the README.

python tests/parity/measure.py
"""

import random
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2TokenizerFast, GPTNeoConfig, GPTNeoForCausalLM, logging

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

import neo_np  # noqa: E402
from neo_np import Config, Model, Params  # noqa: E402
from neo_np.folders.find import DEFAULT_CHECKPOINT  # noqa: E402

NEAR_TIE = 2e-4
TOKENS = 200
STRINGS = 10_000


def random_pair(seed, std, vocab_size, hidden_size, num_heads, attention_types, positions, window_size):
    """Return a GPT-Neo of transformers with all weights random, biases and gains too, and neo_np's over copies of them."""
    torch.manual_seed(seed)
    layers = sum(len(kinds) * times for kinds, times in attention_types)
    config = GPTNeoConfig(
        vocab_size=vocab_size,
        hidden_size=hidden_size,
        num_heads=num_heads,
        num_layers=layers,
        attention_types=attention_types,
        max_position_embeddings=positions,
        window_size=window_size,
        bos_token_id=0,
        eos_token_id=0,
    )
    reference = GPTNeoForCausalLM(config).eval()
    with torch.no_grad():
        for name, parameter in reference.named_parameters():
            parameter.normal_(1.0 if ".ln_" in name and name.endswith("weight") else 0.0, std)
    named = {name.removeprefix("transformer."): p.detach().numpy() for name, p in reference.named_parameters()}
    return reference, Model(Config.from_dict(config.to_dict()), Params(named))


def compare(name, reference, model, tokens, greedy=True):
    """Print one row: how far apart logits, hidden states, loss and greedy text are."""
    ids = np.random.default_rng(0).integers(0, model.config.vocab_size, tokens)
    batch = torch.tensor(ids)[None]
    with torch.no_grad():
        expected = reference(batch, labels=batch, output_hidden_states=True)
    states = model.hidden_states(ids)
    states = states[:-2] + states[-1:]  # transformers leaves out the one before the last layer norm
    hidden = max(distance(ours, theirs[0].numpy()) for ours, theirs in zip(states, expected.hidden_states))
    logits = np.abs(model.logits(ids) - expected.logits[0].numpy()).max()
    loss = abs(model.loss(ids) - expected.loss.item())
    text = f"{same_greedy(reference, model, ids[:8].tolist())} of {TOKENS}" if greedy else "-"
    print(f"| {name} | {tokens} | {logits:.1e} | {hidden:.1e} | {loss:.1e} | {text} |", flush=True)


def distance(ours, theirs):
    """Return the norm of the difference over the norm."""
    return float(np.linalg.norm(ours - theirs) / np.linalg.norm(theirs))


def same_greedy(reference, model, ids):
    """Return how many greedy tokens are equal before the first difference."""
    length = {"max_new_tokens": TOKENS, "min_new_tokens": TOKENS}
    with torch.no_grad():
        theirs = reference.generate(torch.tensor([ids]), pad_token_id=0, do_sample=False, **length)[0].tolist()
    ours = model.generate(ids, **length)
    return next((i for i, (a, b) in enumerate(zip(ours, theirs)) if a != b), len(ours)) - len(ids)


def same_ids(folder):
    """Return how many of some random strings get the ids that transformers gives them."""
    ours, theirs = neo_np.Tokenizer.load(folder), GPT2TokenizerFast.from_pretrained(folder)
    rng = random.Random(0)
    alphabets = ["abc DEF'stll", "0123 ", " \n\t\u00a0\u3000", "äéßñ", "日本語文字", "😀👍🏽\u200d", "\x00\x1b\x7f", "!?.,-_"]
    texts = ["".join(rng.choice(rng.choice(alphabets)) for _ in range(rng.randrange(40))) for _ in range(STRINGS)]
    return sum(ours.encode(text) == list(ids) for text, ids in zip(texts, theirs(texts)["input_ids"]))


def main():
    """Print the whole table."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    print("| model | tokens | logits, largest difference | hidden states, relative | loss | greedy tokens equal |")
    print("| --- | --- | --- | --- | --- | --- |")
    tales = ROOT / "weights" / DEFAULT_CHECKPOINT
    reference = GPTNeoForCausalLM.from_pretrained(tales, dtype=torch.float32).eval()
    compare(f"{DEFAULT_CHECKPOINT}, as shipped", reference, neo_np.load(tales), 256)
    small = {"vocab_size": 500, "hidden_size": 64, "num_heads": 4, "positions": 512, "window_size": 7}
    for kinds in (["global"], ["local"], ["global", "local"]):
        pair = random_pair(1, 0.1, attention_types=[[kinds, 4 // len(kinds)]], **small)
        compare(f"4 layers {' and '.join(kinds)}, std 0.1", *pair, 512)
    real = {"vocab_size": 50257, "hidden_size": 768, "num_heads": 12, "positions": 2048, "window_size": 256}
    pair = random_pair(2, 0.02, attention_types=[[["global", "local"], 6]], **real)
    compare("the shape of GPT-Neo 125M, std 0.02", *pair, 2048)
    print()
    for folder in (ROOT / "weights" / "gpt-neo-125M", tales):
        print(f"token ids, tables of {folder.name}: {same_ids(folder)} of {STRINGS} strings equal")


if __name__ == "__main__":
    main()
