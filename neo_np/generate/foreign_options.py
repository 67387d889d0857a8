"""Options that users of other libraries know, and that `generate` does not have: what to do instead.

Some of them change nothing here with certain values; with these they are accepted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from neo_np.errors import NeoError


def never(value: Any) -> bool:
    """Return False: no value of the option is accepted."""
    return False


def always(value: Any) -> bool:
    """Return True: the option changes nothing here, whatever its value."""
    return True


def only(*values: Any) -> Callable[[Any], bool]:
    """Return a check: the option changes nothing here if it has one of these values."""
    return lambda value: isinstance(value, bool | int | float | str) and value in values


def only_named(*names: str) -> Callable[[Any], bool]:
    """Return a check: the option changes nothing here if it has one of these names, also as an object of PyTorch."""
    return lambda value: str(value).removeprefix("torch.") in names


def all_ones(value: Any) -> bool:
    """Return whether an attention mask marks no padding."""
    try:
        return bool((np.asarray(value) == 1).all())
    except ValueError:  # rows of different length
        return False


class Foreign(NamedTuple):
    """An option of another library. changes_nothing: f(value). instead: the advice for all other values.

    in_file: if it is in generation_config.json with another value, transformers writes another text than neo_np.
    """

    changes_nothing: Callable[[Any], bool]
    instead: str = ""
    in_file: bool = False


PROMPT = "the prompt is the first argument, without a name: model.generate(prompt)"
MADE_HERE = "leave it out: neo_np computes it from the prompt"
OUTPUTS = "generate returns only texts or ids: model.logits(ids) gives the logits of a finished text"
STREAM = "iterate over model.stream(prompt), and stop when you like"
MASK = "write a function for logits_processor that sets the logits of other tokens to -inf"
ENTRIES = "give its entries as options, by name"
STOP = "use stop_strings"
TEXTS = "use num_return_sequences"
SEED = "use seed"
ABSENT = "neo_np does not have it"

FOREIGN_OPTIONS = {
    # Of transformers, without effect here.
    "pad_token_id": Foreign(always),
    "use_cache": Foreign(always),
    "cache_config": Foreign(always),
    "max_cache_len": Foreign(always),
    "prefill_chunk_size": Foreign(always),
    "compile_config": Foreign(always),
    "disable_compile": Foreign(always),
    "continuous_batching_config": Foreign(always),
    "low_memory": Foreign(always),
    "synced_gpus": Foreign(always),
    "remove_invalid_values": Foreign(always),
    "decoder_start_token_id": Foreign(always),
    "is_assistant": Foreign(always),
    "num_assistant_tokens_schedule": Foreign(always),
    "assistant_confidence_threshold": Foreign(always),
    "assistant_lookbehind": Foreign(always),
    "target_lookbehind": Foreign(always),
    "max_matching_ngram_size": Foreign(always),
    "transformers_version": Foreign(always),
    "_from_model_config": Foreign(always),
    "batch_size": Foreign(always),
    "num_workers": Foreign(always),
    "trust_remote_code": Foreign(always),
    "use_fast": Foreign(always),
    "framework": Foreign(always),
    # Of transformers, the prompt.
    "inputs": Foreign(never, PROMPT),
    "input_ids": Foreign(never, PROMPT),
    "text_inputs": Foreign(never, PROMPT),
    "text": Foreign(never, PROMPT),
    "inputs_embeds": Foreign(never, PROMPT),
    "attention_mask": Foreign(all_ones, "give a list of prompts of any lengths: generate pads them itself"),
    "position_ids": Foreign(never, MADE_HERE),
    "token_type_ids": Foreign(never, MADE_HERE),
    "past_key_values": Foreign(never, "generate makes its own cache; for a loop of your own use model.new_cache()"),
    "tokenizer": Foreign(never, "leave it out: the model brings its tokenizer"),
    "assistant_tokenizer": Foreign(never, "the assistant_model must have the same tokenizer as the model"),
    "padding": Foreign(only(False), "give a list of prompts of any lengths: generate pads them itself"),
    "truncation": Foreign(only(False), "shorten the prompt yourself, or use slide=True"),
    "handle_long_generation": Foreign(never, "use slide=True"),
    "add_special_tokens": Foreign(only(False), "write special tokens into the prompt itself"),
    "prefix": Foreign(only(""), "write it in front of the prompt"),
    # Of transformers, the result.
    "return_dict_in_generate": Foreign(only(False), OUTPUTS),
    "output_scores": Foreign(only(False), OUTPUTS),
    "output_logits": Foreign(only(False), OUTPUTS),
    "output_attentions": Foreign(only(False), "use model.attentions(ids) on a finished text"),
    "output_hidden_states": Foreign(only(False), "use model.hidden_states(ids) on a finished text"),
    "return_tensors": Foreign(only(False), "generate returns ids as lists: numpy.array(ids) makes an array"),
    "return_full_text": Foreign(only(True), 'use neo_np.pipeline("text-generation")'),
    "return_text": Foreign(only(True), "give token ids as prompt, and the result is token ids"),
    "return_type": Foreign(never, "give token ids as prompt, and the result is token ids"),
    "skip_special_tokens": Foreign(only(True), "give token ids as prompt, and decode the result with model.tokenizer.decode"),
    "clean_up_tokenization_spaces": Foreign(only(False), "neo_np leaves the text as it is"),
    "streamer": Foreign(never, STREAM),
    # Of transformers, the choice of tokens.
    "generation_config": Foreign(never, ENTRIES),
    "generate_kwargs": Foreign(never, ENTRIES),
    "logits_warper": Foreign(never, "use logits_processor"),
    "stopping_criteria": Foreign(never, "use stop_strings or eos_token_id, or stop iterating over model.stream(prompt)"),
    "max_time": Foreign(never, STREAM, in_file=True),
    "prefix_allowed_tokens_fn": Foreign(never, MASK),
    "constraints": Foreign(never, MASK, in_file=True),
    "force_words_ids": Foreign(never, MASK, in_file=True),
    "num_beam_groups": Foreign(only(1), "use num_beams", in_file=True),
    "diversity_penalty": Foreign(only(0), "use num_beams", in_file=True),
    "guidance_scale": Foreign(only(1), ABSENT, in_file=True),
    "negative_prompt_ids": Foreign(never, ABSENT),
    "negative_prompt_attention_mask": Foreign(never, ABSENT),
    "watermarking_config": Foreign(never, ABSENT, in_file=True),
    "penalty_alpha": Foreign(only(0), ABSENT, in_file=True),
    "dola_layers": Foreign(never, ABSENT, in_file=True),
    "token_healing": Foreign(only(False), ABSENT, in_file=True),
    "use_mtp": Foreign(only(False), ABSENT, in_file=True),
    "assistant_early_exit": Foreign(never, "use assistant_model or prompt_lookup_num_tokens"),
    "assistant_ensemble_weight": Foreign(never, ABSENT, in_file=True),
    "speculation_type": Foreign(never, "use assistant_model or prompt_lookup_num_tokens"),
    "custom_generate": Foreign(never, ABSENT),
    "cache_implementation": Foreign(lambda value: value != "quantized", ABSENT, in_file=True),
    # Of transformers, the device.
    "device": Foreign(only_named("cpu", "-1"), "neo_np runs on the CPU"),
    "device_map": Foreign(only_named("cpu", "auto"), "neo_np runs on the CPU"),
    "dtype": Foreign(only_named("float32", "auto"), "neo_np computes in float32"),
    "torch_dtype": Foreign(only_named("float32", "auto"), "neo_np computes in float32"),
    # Of other libraries.
    "stop": Foreign(never, STOP),
    "stop_sequence": Foreign(never, STOP),
    "stop_sequences": Foreign(never, STOP),
    "stop_words": Foreign(never, STOP),
    "stop_token": Foreign(never, STOP),
    "until": Foreign(never, STOP),
    "ignore_eos": Foreign(only(False), "use eos_token_id=[]"),
    "num_tokens": Foreign(never, "use max_new_tokens"),
    "temp": Foreign(never, "use temperature"),
    "greedy": Foreign(never, "use do_sample=False"),
    "n": Foreign(never, TEXTS),
    "num_samples": Foreign(never, TEXTS),
    "best_of": Foreign(only(1), TEXTS),
    "stream": Foreign(only(False), STREAM),
    "logprobs": Foreign(only(False), OUTPUTS),
    "beam_size": Foreign(never, "use num_beams"),
    "beam_width": Foreign(never, "use num_beams"),
    "logit_bias": Foreign(never, "use sequence_bias"),
    "frequency_penalty": Foreign(only(0), "use repetition_penalty"),
    "presence_penalty": Foreign(only(0), "use repetition_penalty"),
    "random_state": Foreign(never, SEED),
    "random_seed": Foreign(never, SEED),
    "generator": Foreign(never, SEED),
}


def leave_out_foreign(given: dict) -> dict:
    """Return the given options without those of other libraries; raises NeoError for one that would change something here."""
    for name, value in given.items():
        foreign = FOREIGN_OPTIONS.get(name)
        if foreign and value is not None and not foreign.changes_nothing(value):
            raise NeoError(f"{name} is not an option of neo_np: {foreign.instead}.")
    return {name: value for name, value in given.items() if name not in FOREIGN_OPTIONS}


def absent_settings(generation_config: dict) -> list[str]:
    """Return the names in a generation_config that change the text of transformers and that neo_np does not have."""
    return [
        name
        for name, value in generation_config.items()
        if name in FOREIGN_OPTIONS
        and FOREIGN_OPTIONS[name].in_file
        and value is not None
        and not FOREIGN_OPTIONS[name].changes_nothing(value)
    ]
