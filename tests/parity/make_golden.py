"""Write tests/golden/: small random GPT-Neo models and what transformers makes of them.

`python tests/parity/make_golden.py` writes the same files each time. tests/test_golden.py compares neo_np with them, without
torch or transformers.
"""

import itertools
import json
import os
import shutil
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

import numpy as np
import torch
from transformers import GPTNeoConfig, GPTNeoForCausalLM, logging
from transformers.modeling_outputs import CausalLMOutputWithPast

logging.disable_progress_bar()
FOLDER = Path(__file__).resolve().parent.parent / "golden"

SMALL = {
    "vocab_size": 64,
    "hidden_size": 24,
    "num_heads": 3,
    "num_layers": 2,
    "attention_types": [[["global", "local"], 1]],
    "window_size": 5,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": None,
}
MODELS = {
    "window_3": {"window_size": 3},
    "window_5": {"num_layers": 4, "attention_types": [[["global"], 1], [["local", "global"], 1], [["local"], 1]]},
    "window_7": {"window_size": 7, "attention_types": [[["local", "global"], 1]]},
    "window_1": {"window_size": 1},
    "window_beyond_text": {"window_size": 100, "attention_types": [[["local"], 2]]},
    "one_head": {"num_heads": 1, "hidden_size": 16},
    "gelu": {"activation_function": "gelu", "num_heads": 4},
    "relu_all_global": {"activation_function": "relu", "attention_types": [[["global"], 2]]},
    "silu_all_local": {"activation_function": "silu", "num_layers": 3, "attention_types": [[["local"], 3]]},
    "untied_narrow_mlp": {"tie_word_embeddings": False, "intermediate_size": 37},
    "epsilon": {"layer_norm_epsilon": 1e-3},
    "deep": {"num_layers": 6, "attention_types": [[["global", "local"], 3]], "hidden_size": 16, "num_heads": 2},
}
STD = {"deep": 0.02}  # the others: 0.1

EOS = [3, 9, 20, 33, 50, 51, 55, 62]
GREEDY = [{}, {"no_repeat_ngram_size": 2}]  # the second keeps random models from writing one word for ever
BEAMS = [
    {"num_beams": 2, "eos_token_id": EOS[0]},
    {"num_beams": 3, "eos_token_id": EOS, "no_repeat_ngram_size": 1, "length_penalty": 2.0, "num_return_sequences": 2},
    {
        "num_beams": 4,
        "eos_token_id": EOS,
        "no_repeat_ngram_size": 1,
        "length_penalty": 1.2,
        "early_stopping": True,
        "num_return_sequences": 3,
    },
    {
        "num_beams": 3,
        "eos_token_id": EOS,
        "no_repeat_ngram_size": 1,
        "length_penalty": -0.2,
        "early_stopping": "never",
        "num_return_sequences": 3,
    },
    {"num_beams": 4, "eos_token_id": EOS, "repetition_penalty": 1.2, "length_penalty": 1.2, "early_stopping": "never"},
    {"num_beams": 4, "eos_token_id": EOS, "no_repeat_ngram_size": 1, "length_penalty": 0.0, "num_return_sequences": 4},
    {"num_beams": 3, "eos_token_id": EOS, "no_repeat_ngram_size": 1, "early_stopping": True, "min_new_tokens": 6},
    {
        "num_beams": 5,
        "eos_token_id": EOS,
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "bad_words_ids": [[7], [8, 11]],
    },
]

# Options of one step of generation; with several, their order shows.
PROCESSED = {
    "repetition_penalty": {"repetition_penalty": 1.7},
    "repetition_reward": {"repetition_penalty": 0.6},
    "no_repeat_ngram_1": {"no_repeat_ngram_size": 1},
    "no_repeat_ngram_2": {"no_repeat_ngram_size": 2},
    "no_repeat_ngram_3": {"no_repeat_ngram_size": 3},
    "no_repeat_ngram_beyond_text": {"no_repeat_ngram_size": 50},
    "bad_words": {"bad_words_ids": [[5], [6, 1], [2, 3, 4], [1, 2, 3, 8], [3], [9, 3]], "eos_token_id": [3]},
    "min_length": {"min_length": 13, "eos_token_id": EOS},
    "min_length_reached": {"min_length": 12, "eos_token_id": EOS},
    "min_new_tokens": {"min_new_tokens": 1, "eos_token_id": 9},
    "min_length_gives_way": {"min_length": 99, "min_new_tokens": 0, "eos_token_id": 9},
    "temperature": {"do_sample": True, "top_k": 0, "temperature": 0.7},
    "top_k_1": {"do_sample": True, "top_k": 1},
    "top_k_7": {"do_sample": True, "top_k": 7},
    "top_k_beyond_vocabulary": {"do_sample": True, "top_k": 1000},
    "top_p_0": {"do_sample": True, "top_k": 0, "top_p": 0.0},
    "top_p": {"do_sample": True, "top_k": 0, "top_p": 0.8},
    "min_p": {"do_sample": True, "top_k": 0, "min_p": 0.05},
    "min_p_1": {"do_sample": True, "top_k": 0, "min_p": 1.0},
    "typical_p": {"do_sample": True, "top_k": 0, "typical_p": 0.4},
    "typical_p_low": {"do_sample": True, "top_k": 0, "typical_p": 0.01},
    "default_sampling": {"do_sample": True},
    "temperature_top_k_top_p": {"do_sample": True, "temperature": 1.5, "top_k": 20, "top_p": 0.7},
    "top_p_min_p_typical_p": {"do_sample": True, "top_k": 40, "top_p": 0.95, "min_p": 0.02, "typical_p": 0.9},
    "all_rules": {
        "do_sample": True,
        "repetition_penalty": 1.3,
        "no_repeat_ngram_size": 2,
        "bad_words_ids": [[5], [6, 1]],
        "min_length": 20,
        "eos_token_id": EOS,
        "temperature": 0.9,
        "top_k": 30,
        "top_p": 0.9,
        "min_p": 0.01,
        "typical_p": 0.95,
    },
    "beams": {"num_beams": 2, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_length": 20, "eos_token_id": 3},
    "beam_sampling_top_k": {"do_sample": True, "num_beams": 2, "top_k": 1},
    "beam_sampling_top_p": {"do_sample": True, "num_beams": 2, "top_k": 0, "top_p": 0.0, "eos_token_id": 9},
    "beam_sampling_min_p": {"do_sample": True, "num_beams": 2, "top_k": 0, "min_p": 1.0, "eos_token_id": EOS},
    "beam_sampling_typical_p": {"do_sample": True, "num_beams": 2, "top_k": 0, "typical_p": 0.001, "eos_token_id": EOS},
    "beam_sampling_all": {"do_sample": True, "num_beams": 3, "temperature": 0.5, "top_k": 9, "top_p": 0.6, "min_p": 0.2},
}  # fmt: skip


def random_model(seed, std, **changes):
    """Return a model of transformers with all its numbers random: fresh ones have biases of 0 and gains of 1."""
    config = GPTNeoConfig(**SMALL | changes, attn_implementation="eager")
    model = GPTNeoForCausalLM(config).eval()
    rng = np.random.default_rng(seed)
    for name, parameter in model.named_parameters():  # a tied lm_head is not named again
        mean = 1.0 if ".ln_" in name and name.endswith("weight") else 0.0
        parameter.data = torch.from_numpy((mean + std * rng.standard_normal(parameter.shape)).astype(np.float32))
    model.tie_weights()
    return model


def positions_from(mask):
    """Return position_ids that count from each row's first token, as a model needs them for left padding."""
    return (mask.cumsum(-1) - 1).clamp(min=0)


def record(model, ids):
    """Return {name: array} of a forward pass: ids, hidden states, attention maps, logits and loss."""
    last_block = []
    hook = model.transformer.h[-1].register_forward_hook(lambda module, given, out: last_block.append(out[0]))
    out = model(ids, labels=ids, output_hidden_states=True, output_attentions=True)
    hook.remove()
    *hidden, last = out.hidden_states  # transformers leaves out the one before the last layer norm
    return {
        "ids": ids.numpy(),
        "hidden_states": torch.stack([*hidden, last_block[0], last]).numpy(),  # (layers + 2, B, T, C)
        "attention_weights": torch.stack(out.attentions).numpy(),  # (layers, B, H, T, T)
        "logits": out.logits.numpy(),
        "loss": out.loss.numpy(),
    }


def record_padded(model, rng):
    """Return {name: array} for a batch of texts of different length, padded on the left."""
    mask = torch.tensor([[0] * (17 - length) + [1] * length for length in (17, 11, 1)])
    ids = torch.from_numpy(rng.integers(model.config.vocab_size, size=mask.shape))
    logits = model(ids, attention_mask=mask, position_ids=positions_from(mask)).logits
    return {"padded_ids": ids.numpy(), "padded_mask": mask.numpy(), "padded_logits": logits.numpy()}


def generate(model, prompt, **options):
    """Return what transformers' generate gives for one prompt; without the mask, a token 0 would pass for padding."""
    ids = torch.tensor([prompt])
    return model.generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=0, do_sample=False, **options)


def beam_search(model, prompt, new_tokens, options):
    """Return the results of transformers' beam search after one prompt: a list of lists of ids, the prompt included."""
    rows = generate(model, prompt, max_new_tokens=new_tokens, **options).tolist()
    eos = np.ravel(options.get("eos_token_id", []))
    # Shorter results are padded (with an end token where pad_token_id is 0); a text ends with its first end token.
    ends = [[place + 1 for place in range(len(prompt), len(row)) if row[place] in eos] for row in rows]
    return [row[: min(places, default=len(row))] for row, places in zip(rows, ends, strict=True)]


def greedy(model, rng, options, new_tokens=200):
    """Return a prompt and its greedy continuation, in which no choice was close."""
    while True:
        prompt = rng.integers(model.config.vocab_size, size=8).tolist()
        watched = {"max_new_tokens": new_tokens, "return_dict_in_generate": True, "output_scores": True}
        out = generate(model, prompt, **watched, **options)
        best, second = torch.stack(out.scores).topk(2).values[:, 0].T
        if (best - second).min() > 2e-4:
            return {"prompt": prompt, "options": options, "ids": out.sequences[0].tolist()}


def beams(model, rng, options, new_tokens=24, attempts=20):
    """Return a prompt and what beam search finds after it; a prompt for which rounding could not change that.

    The prompt is to show what length_penalty and early_stopping do, if such a one turns up.
    """
    shown = [name for name in ("length_penalty", "early_stopping") if name in options]
    for attempt in itertools.count():
        prompt = rng.integers(model.config.vocab_size, size=6).tolist()
        found = beam_search(model, prompt, new_tokens, options)
        simpler = [{name: value for name, value in options.items() if name != left_out} for left_out in shown]
        if attempt < attempts and any(beam_search(model, prompt, new_tokens, others) == found for others in simpler):
            continue
        if all(beam_search(shaken, prompt, new_tokens, options) == found for shaken in shaken_copies(model)):
            return {"prompt": prompt, "options": options, "ids": found}


def shaken_copies(model, copies=3, noise=1e-5):
    """Yield copies of a model with weights that differ by more than float32 rounding does."""
    for seed in range(copies):
        shaken = GPTNeoForCausalLM(model.config).eval()
        shaken.load_state_dict(model.state_dict())
        generator = torch.Generator().manual_seed(seed)
        for parameter in shaken.parameters():
            parameter.data *= 1 + noise * torch.randn(parameter.shape, generator=generator)
        yield shaken


class GivenLogits(GPTNeoForCausalLM):
    """A model that answers every prompt with the logits it was given, so that generate's rules can be watched."""

    def forward(self, input_ids, **_):
        """Return the logits (R, V) for R prompts, or for R prompts with several beams each."""
        beams = len(input_ids) // len(self.given)
        return CausalLMOutputWithPast(logits=self.given.repeat_interleave(beams, 0)[:, None].expand(-1, input_ids.shape[1], -1))


def processed(logits, ids, options):
    """Return what generate makes of logits (R, V) after ids (R, T), in its first step."""
    model = GivenLogits(GPTNeoConfig(**SMALL))
    model.given = torch.from_numpy(logits)
    torch.manual_seed(0)
    out = model.generate(
        torch.from_numpy(ids),
        attention_mask=torch.ones(ids.shape, dtype=int),
        max_new_tokens=100,
        use_cache=False,
        pad_token_id=0,
        return_dict_in_generate=True,
        output_scores=True,
        stopping_criteria=[lambda ids, scores: torch.ones(len(ids), dtype=bool)],
        **options,
    )
    return out.scores[0][:: options.get("num_beams", 1)].numpy()


def write_model(folder, seed, std, changes):
    """Write one model and what transformers makes of it."""
    model = random_model(seed, std, **changes)
    model.save_pretrained(folder)
    rng = np.random.default_rng(seed)
    ids = torch.from_numpy(rng.integers(model.config.vocab_size, size=(2, 24)))
    np.savez_compressed(folder / "expected.npz", **record(model, ids), **record_padded(model, rng))
    expected = {
        "greedy": [greedy(model, rng, options) for options in GREEDY],
        "beams": [beams(model, rng, options) for options in BEAMS[seed % 4 :: 4]],
    }
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")


def write_processed():
    """Write logits and texts, and what each of the PROCESSED options makes of them."""
    rng = np.random.default_rng(0)
    logits = (3 * rng.standard_normal((4, SMALL["vocab_size"]))).astype(np.float32)
    ids = rng.integers(SMALL["vocab_size"], size=(4, 12))
    # Texts in which n-grams recur and bad words are about to be completed.
    ids[1] = [1, 2, 3, 4, 1, 2, 3, 5, 6, 1, 2, 3]
    ids[2] = [6, 6, 6, 7, 7, 6, 6, 1, 3, 9, 6, 6]
    ids[3, -1] = 9
    # Beam search applies the rules to log probabilities.
    log_probs = torch.from_numpy(logits).log_softmax(-1).numpy()
    arrays = {"logits": logits, "log_probs": log_probs, "ids": ids}
    arrays |= {name: processed(logits, ids, options) for name, options in PROCESSED.items()}
    np.savez_compressed(FOLDER / "processed_logits.npz", **arrays)
    text = json.dumps(PROCESSED, indent=1)
    (FOLDER / "processed_logits.json").write_text(text + "\n", encoding="utf-8")


@torch.no_grad()
def main():
    """Write all golden files again."""
    torch.set_num_threads(1)  # the models are too small to share out
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    write_processed()
    for seed, (name, changes) in enumerate(MODELS.items()):
        write_model(FOLDER / name, seed, STD.get(name, 0.1), changes)
        print(name)


if __name__ == "__main__":
    main()
