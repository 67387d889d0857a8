"""Names that users of transformers and PyTorch type by habit, and what to write in neo_np.

This is one table for the hints in errors and for the documentation (`neo_np/generate/README.md` has the options of `generate`).
"""

from typing import Any, NoReturn

LOAD = "neo_np.load(name)", "one call for config, weights and tokenizer"
ONLY_NUMPY = "leave it out", "everything runs in NumPy, on the CPU"
NO_TRAINING_MODE = "leave it out", "a model has no training mode; dropout exists only in neo_np.train"
SEED = "model.generate(prompt, do_sample=True, seed=0)", "each call has its own random numbers"
TRAIN = "python -m neo_np.train", "training is a command"
MAPPED = "leave it out", "float32 weights are mapped from the file; all others become float32"
LOCAL = "leave it out", "neo_np looks in the weights folder, then in the Hugging Face cache, then downloads"
ENCODE = "tokenizer.encode(text)", "it returns a list of ids"
TO_ARRAY = "numpy.array(tokenizer.encode(text))", "ids are plain lists"
PROMPTS = "model.generate([text, text])", "generate pads a list of prompts itself"
GRADIENTS = "neo_np.gpt_neo.backward.loss_and_gradients", "gradients are computed by a function, not recorded"

# {where it was written: {name there: (what to write here, one line why)}}
OTHER_NAMES = {
    "neo_np": {
        **dict.fromkeys(
            "AutoModel AutoModelForCausalLM GPTNeoModel GPTNeoForCausalLM GPT2LMHeadModel from_pretrained".split(), LOAD
        ),
        **dict.fromkeys(
            "AutoTokenizer GPT2Tokenizer GPT2TokenizerFast PreTrainedTokenizerFast".split(),
            ("neo_np.Tokenizer.load(name)", "a loaded model has it too: model.tokenizer"),
        ),
        **dict.fromkeys("AutoConfig GPTNeoConfig".split(), ("neo_np.Config", "a loaded model has it too: model.config")),
        "GenerationConfig": ("model.generate(prompt, **options)", "the options are keyword arguments; see neo_np.Options"),
        **dict.fromkeys(
            "TextStreamer TextIteratorStreamer".split(), ("model.stream(prompt)", "iterate over the pieces of text")
        ),
        **dict.fromkeys("set_seed manual_seed".split(), SEED),
        **dict.fromkeys("Trainer TrainingArguments".split(), TRAIN),
        "TextGenerationPipeline": ('neo_np.pipeline("text-generation")', "the same results as in transformers"),
        "no_grad": ("leave it out", "nothing is recorded for gradients"),
    },
    "model": {
        "from_pretrained": LOAD,
        "from_config": ("neo_np.Model(config, random_params(config))", "random_params is in neo_np.gpt_neo.params"),
        "save_pretrained": ("neo_np.save(model, folder)", "transformers loads that folder too"),
        "push_to_hub": ("neo_np.save(model, folder)", "upload the folder with huggingface_hub"),
        "forward": ("model.logits(ids)", "hidden_states, attentions and loss are calls of their own"),
        "transformer": ("model.hidden_states(ids)", "the weights are in model.params"),
        **dict.fromkeys(
            "state_dict parameters named_parameters".split(), ("model.params.flat()", "a dict of names and arrays")
        ),
        "load_state_dict": ("neo_np.Model(config, neo_np.Params(named))", "params are made from a dict of names and arrays"),
        "num_parameters": ("neo_np.gpt_neo.params.count(model.params)", "repr(model) shows it too"),
        **dict.fromkeys("eval train".split(), NO_TRAINING_MODE),
        **dict.fromkeys("to cuda cpu half float bfloat16 device compile tie_weights".split(), ONLY_NUMPY),
        "dtype": ("model.params.wte.weight.dtype", "all weights have the same precision"),
        **dict.fromkeys("requires_grad_ zero_grad backward grad".split(), GRADIENTS),
        "get_input_embeddings": ("model.params.wte.weight", "the token embedding, (V, C)"),
        **dict.fromkeys(
            "lm_head get_output_embeddings".split(),
            ("neo_np.gpt_neo.forward.output_embedding(model.params)", "in GPT-Neo it is the token embedding"),
        ),
        "resize_token_embeddings": ("neo_np.Params(named)", "make the params again with a larger wte.weight, and the config"),
        "encode": ("model.tokenizer.encode(text)", "the tokenizer does it"),
        "decode": ("model.tokenizer.decode(ids)", "the tokenizer does it"),
        "vocab_size": ("model.config.vocab_size", "sizes are in the config"),
        "device_map": ONLY_NUMPY,
        "register_forward_hook": (
            "model.logits(ids, hook=f)",
            "neo_np.hook_names(model.config) lists the names",
        ),
        "run_with_cache": ("model.logits(ids, hook=seen.__setitem__)", "seen is a dict; each activation gets its name there"),
        "run_with_hooks": ("model.logits(ids, hook=f)", "an array that f returns replaces the activation"),
    },
    "tokenizer": {
        "from_pretrained": ("neo_np.Tokenizer.load(name)", "a folder, or the name of a checkpoint"),
        "save_pretrained": ("tokenizer.save(folder)", "transformers reads it too"),
        "tokenize": ("tokenizer.token_strings(tokenizer.encode(text))", "the tokens as text"),
        "convert_ids_to_tokens": ("tokenizer.token_strings(ids)", "the tokens as text"),
        "convert_tokens_to_ids": ("tokenizer.vocab[token]", "tokens are spelled in the byte alphabet there"),
        "convert_tokens_to_string": ("tokenizer.decode(ids)", "decode takes ids"),
        **dict.fromkeys("encode_plus batch_encode_plus".split(), ENCODE),
        "batch_decode": ("[tokenizer.decode(ids) for ids in rows]", "decode takes one row of ids"),
        "vocab_size": ("len(tokenizer)", "added tokens count too"),
        "get_vocab": ("tokenizer.vocab", "a dict {token: id}"),
        **dict.fromkeys("all_special_tokens special_tokens_map".split(), ("tokenizer.special_tokens", "a dict {token: id}")),
        "all_special_ids": ("tokenizer.special_tokens.values()", "a dict {token: id}"),
        "eos_token": ("tokenizer.token_string(tokenizer.eos_token_id)", "roles are ids here"),
        "bos_token": ("tokenizer.token_string(tokenizer.bos_token_id)", "roles are ids here"),
        "pad_token": ("tokenizer.token_string(tokenizer.pad_token_id)", "roles are ids here"),
        "unk_token": ("leave it out", "every byte has a token, so nothing is unknown"),
        "unk_token_id": ("leave it out", "every byte has a token, so nothing is unknown"),
        **dict.fromkeys(
            "add_tokens add_special_tokens".split(),
            ("neo_np.Tokenizer(vocab, merges, special_tokens, added_tokens)", "a tokenizer does not change; make a new one"),
        ),
        "model_max_length": ("model.config.max_position_embeddings", "the model has it"),
        **dict.fromkeys("pad padding_side".split(), PROMPTS),
        "train_new_from_iterator": ("neo_np.Tokenizer.train(texts, vocab_size)", "texts may be larger than memory"),
        "apply_chat_template": ("write the turns into the prompt", "GPT-Neo has no chat format"),
        "is_fast": ("leave it out", "there is one tokenizer"),
    },
    # Keyword arguments of model.logits, hidden_states, attentions and loss.
    "forward": {
        "input_ids": ("model.logits(ids)", "the ids are the first argument"),
        "attention_mask": ("mask=", "0 for padding, 1 for text"),
        "labels": ("model.loss(ids, labels=labels)", "the loss is a call of its own"),
        "past_key_values": ("cache=", "model.new_cache() makes one"),
        "use_cache": ("cache=model.new_cache()", "you keep the cache and give it again"),
        "output_attentions": ("model.attentions(ids)", "a call of its own"),
        "output_hidden_states": ("model.hidden_states(ids)", "a call of its own"),
        "return_dict": ("leave it out", "each call returns arrays"),
        "num_logits_to_keep": ("logits_to_keep=", "the newer name"),
        "position_ids": ("leave it out", "positions follow from mask and cache"),
        "token_type_ids": ("leave it out", "GPT-Neo has none"),
        "inputs_embeds": ('hook=lambda name, x: embeds if name == "embed" else None', "a hook replaces the embeddings"),
    },
    "load": {
        **dict.fromkeys("device device_map low_cpu_mem_usage attn_implementation max_memory".split(), ONLY_NUMPY),
        **dict.fromkeys("torch_dtype dtype use_safetensors quantization_config load_in_8bit load_in_4bit".split(), MAPPED),
        **dict.fromkeys("cache_dir local_files_only force_download token use_auth_token proxies".split(), LOCAL),
        **dict.fromkeys("revision subfolder variant".split(), ("neo_np.load(folder)", "download that version yourself")),
        "trust_remote_code": ("leave it out", "no code of a checkpoint is ever run"),
        "config": ("neo_np.Model(config, params)", "load reads the config of the checkpoint"),
        "pretrained_model_name_or_path": ("neo_np.load(name)", "the name is the first argument"),
        "model": ("neo_np.load(name)", "the name is the first argument"),
    },
    "encode": {
        **dict.fromkeys("return_tensors return_attention_mask return_token_type_ids".split(), TO_ARRAY),
        "return_offsets_mapping": ("tokenizer.encode_with_offsets(text)", "it returns (ids, offsets)"),
        **dict.fromkeys("padding pad_to_multiple_of".split(), PROMPTS),
        **dict.fromkeys("truncation max_length stride".split(), ("tokenizer.encode(text)[:length]", "ids are a plain list")),
        "text_pair": ("tokenizer.encode(text + pair)", "GPT-Neo has no pairs of texts"),
        "is_split_into_words": ('tokenizer.encode(" ".join(words))', "encode takes one text"),
    },
    "decode": {
        "clean_up_tokenization_spaces": ("leave it out", "the text comes back as it was"),
        "spaces_between_special_tokens": ("leave it out", "the text comes back as it was"),
        "token_ids": ("tokenizer.decode(ids)", "the ids are the first argument"),
    },
}


def advice(place: str, name: str) -> str:
    """Return the sentence that says what to write for a name of `OTHER_NAMES`, or "" for an unknown name."""
    if name not in OTHER_NAMES[place]:
        return ""
    here, why = OTHER_NAMES[place][name]
    return f" In neo_np: {here} ({why})."


def no_attribute(place: str, owner: str, name: str) -> AttributeError:
    """Return the error for an attribute that does not exist, with the name to use."""
    return AttributeError(f"{owner} has no attribute {name!r}.{advice(place, name)}")


def refuse_arguments(place: str, function: str, others: dict[str, Any]) -> None:
    """Raise TypeError for the first argument that a function does not have, with the one to use."""
    for name in others:
        raise TypeError(f"{function}() has no argument {name!r}.{advice(place, name)}")


class ModelNames(type):
    """The metaclass of `Model`: Model.from_pretrained and the like are answered with advice."""

    def __getattr__(cls, name: str) -> NoReturn:
        """Raise AttributeError with the name to use."""
        raise no_attribute("model", "Model", name)


class TokenizerNames(type):
    """The metaclass of `Tokenizer`: Tokenizer.from_pretrained and the like are answered with advice."""

    def __getattr__(cls, name: str) -> NoReturn:
        """Raise AttributeError with the name to use."""
        raise no_attribute("tokenizer", "Tokenizer", name)
