"""Loading a checkpoint: a folder in the Hugging Face format becomes a `Model`, and every file is checked."""

import os
from pathlib import Path
from typing import Any

from neo_np.checkpoint.tensors import load_params
from neo_np.errors import NeoError, warn
from neo_np.files import is_there, read_entries
from neo_np.folders.find import CONFIG, GENERATION_CONFIG, find_checkpoint, has_tokenizer
from neo_np.gpt_neo.config import Config
from neo_np.model import Model
from neo_np.other_names import with_advice
from neo_np.tokenizer.tokenizer import Tokenizer

# The entries of transformers' GenerationConfig that old checkpoints have in config.json.
GENERATION_ENTRIES = """
assistant_confidence_threshold assistant_early_exit assistant_ensemble_weight assistant_lookbehind bad_words_ids
begin_suppress_tokens cache_config cache_implementation compile_config constraints continuous_batching_config
decoder_start_token_id disable_compile diversity_penalty do_sample dola_layers early_stopping encoder_no_repeat_ngram_size
encoder_repetition_penalty epsilon_cutoff eta_cutoff exponential_decay_length_penalty force_words_ids forced_bos_token_id
forced_eos_token_id guidance_scale is_assistant length_penalty low_memory max_cache_len max_length max_matching_ngram_size
max_new_tokens max_time min_length min_new_tokens min_p no_repeat_ngram_size num_assistant_tokens
num_assistant_tokens_schedule num_beam_groups num_beams num_return_sequences output_logits output_scores penalty_alpha
prefill_chunk_size prompt_lookup_num_tokens remove_invalid_values renormalize_logits repetition_penalty
return_dict_in_generate sequence_bias speculation_type stop_strings suppress_tokens target_lookbehind temperature
token_healing top_h top_k top_p typical_p use_mtp watermarking_config
""".split()


@with_advice("load")
def load(name: str | os.PathLike | None = None, tokenizer: str | os.PathLike | Tokenizer | None = None) -> Model:
    """Load a checkpoint and return a `Model`, with its weights in float32.

    name: None for the checkpoint that ships; a folder; the name of a folder in the weights folder; or a name on the
        Hugging Face hub such as "EleutherAI/gpt-neo-125M" (looked for in the weights folder, then in the local Hugging Face
        cache, then downloaded if huggingface_hub is installed).
    tokenizer: None for the checkpoint's own; else a `Tokenizer`, or the folder or name of the checkpoint that has it.
    A folder without tokenizer files gives a warning and a model that takes token ids only.
    Raises NeoError, with the file and the tensor, for anything missing, damaged or contradictory.
    """
    folder = find_checkpoint(name)
    config = load_config(folder / CONFIG)
    params, config = load_params(folder, config)
    return Model(config, params, load_tokenizer(folder, tokenizer), load_generation_config(folder, config))


def load_for_text(name: str | os.PathLike | None = None, tokenizer: str | os.PathLike | Tokenizer | None = None) -> Model:
    """Load a checkpoint as `load` does; raises NeoError if it has no tokenizer and no other is given."""
    # `load` gives only a warning if the checkpoint's own tokenizer is missing, but an error if one that is named is missing.
    return load(name, name if tokenizer is None else tokenizer)


def load_tokenizer(folder: Path, wanted: str | os.PathLike | Tokenizer | None) -> Tokenizer | None:
    """Return the tokenizer of a folder, or the one that is wanted instead; None, with a warning, if there is none."""
    if isinstance(wanted, Tokenizer):
        return wanted
    if wanted is None and not has_tokenizer(folder):
        warn(f"{folder} holds no tokenizer, so this model takes token ids only. For text, load it with tokenizer=FOLDER.")
        return None
    return Tokenizer.load(folder if wanted is None else find_checkpoint(wanted, weights_wanted=False))


def load_config(file: Path) -> Config:
    """Read a config.json; raises NeoError naming the file and the entry that is missing or wrong."""
    entries = read_entries(file)
    try:
        return Config.from_dict(entries)
    except NeoError as error:
        raise NeoError(f"{file}: {error}") from None


def load_generation_config(folder: Path, config: Config) -> dict[str, Any]:
    """Return the checkpoint's own defaults for `generate`: generation_config.json, else what config.json has of them.

    A generation_config.json without entries means that no token ends a text, as in transformers.
    """
    if is_there(folder / GENERATION_CONFIG):
        return read_entries(folder / GENERATION_CONFIG) or {"eos_token_id": None}
    old = {name: config.other[name] for name in GENERATION_ENTRIES if config.other.get(name) is not None}
    if not old:
        return {}
    ids = {"bos_token_id": config.bos_token_id, "eos_token_id": config.eos_token_id}
    return {name: id for name, id in ids.items() if id is not None} | old
