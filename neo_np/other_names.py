"""Names that users of transformers and PyTorch type by habit, and what to write in neo_np.

This is one table for the hints in errors and for the documentation (`neo_np/generate/README.md` has the options of `generate`).
"""

import functools
import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

Function = TypeVar("Function", bound=Callable)

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
PIPELINE = 'neo_np.pipeline("text-generation")', "the same results as in transformers"
OPTIONS = "model.generate(prompt, **options)", "the options are keyword arguments; see neo_np.Options"
PROCESSOR = "model.generate(prompt, logits_processor=[f])", "f(logits, ids) returns logits; each usual processor is an option"
STOP = "model.generate(prompt, stop_strings=texts)", "or iterate over model.stream(prompt), and stop when you like"
CACHE = "model.new_cache()", "model.logits(ids, cache=cache) fills it"
NO_HEAD = "neo_np.load(name)", "other heads than a language model's are left out; model.hidden_states(ids)[-1] is their input"
HOOK = "model.logits(ids, hook=f)", "neo_np.hook_names(model.config) lists the names"
TREE = "model.params", "params.h[3].attn.attention.q_proj.weight is an array; params.flat() is a dict of all"
OPTIONAL_OUTPUTS = "model.attentions(ids)", "and model.hidden_states(ids): calls of their own"
FLAT = "params.flat()", "a dict of names and arrays"
COUNT = "neo_np.gpt_neo.params.count(params)", "repr(params) shows it too"
GENERATE = "model.generate(prompt)", "the options say how: do_sample, num_beams, ..."
OTHER = "config.other", "a dict of the entries that the forward pass does not use"
SPECIAL = "tokenizer.special_tokens", "a dict {token: id}"
ROLE_ID = 'tokenizer.role_id("mask_token")', "the id of the token with this role, or None"
ADDED = "tokenizer.added_tokens", "a dict {token: id}, beside tokenizer.special_tokens"
SETTINGS = "tokenizer.settings", "what tokenizer_config.json says"
LENGTH = "tokenizer.encode(text)[:length]", "ids are a plain list"
GRADIENTS = "neo_np.gpt_neo.backward.loss_and_gradients", "gradients are computed by a function, not recorded"

# {where it was written: {names there: (what to write here, one line why)}}
GROUPS = {
    "neo_np": {
        (
            "AutoModel AutoModelForCausalLM AutoModelWithLMHead GPTNeoModel GPTNeoForCausalLM "
            "GPTNeoPreTrainedModel GPT2Model GPT2LMHeadModel PreTrainedModel HookedTransformer GPTNeo "
            "from_pretrained load_model"
        ): LOAD,
        (
            "AutoTokenizer GPT2Tokenizer GPT2TokenizerFast GPTNeoTokenizer GPTNeoTokenizerFast "
            "PreTrainedTokenizer PreTrainedTokenizerFast AutoProcessor ByteLevelBPETokenizer"
        ): ("neo_np.Tokenizer.load(name)", "a loaded model has it too: model.tokenizer"),
        "AutoConfig GPTNeoConfig GPT2Config PretrainedConfig": ("neo_np.Config", "a loaded model has it too: model.config"),
        (
            "AutoModelForSequenceClassification AutoModelForTokenClassification "
            "AutoModelForQuestionAnswering GPTNeoForSequenceClassification GPTNeoForTokenClassification "
            "GPTNeoForQuestionAnswering"
        ): NO_HEAD,
        "GenerationConfig": OPTIONS,
        "LogitsProcessor LogitsProcessorList": PROCESSOR,
        "StoppingCriteria StoppingCriteriaList StopStringCriteria": STOP,
        "Cache DynamicCache StaticCache": CACHE,
        "BitsAndBytesConfig": MAPPED,
        "encode decode tokenize": ("model.tokenizer.encode(text)", "and model.tokenizer.decode(ids)"),
        "stream": ("model.stream(prompt)", "iterate over the pieces of text"),
        "save_pretrained": ("neo_np.save(model, folder)", "transformers loads that folder too"),
        "TextStreamer TextIteratorStreamer": ("model.stream(prompt)", "iterate over the pieces of text"),
        "set_seed manual_seed": SEED,
        (
            "Trainer TrainingArguments TrainerCallback DataCollatorForLanguageModeling "
            "DataCollatorWithPadding default_data_collator get_scheduler get_linear_schedule_with_warmup "
            "get_cosine_schedule_with_warmup AdamW"
        ): TRAIN,
        "Pipeline TextGenerationPipeline": PIPELINE,
        "no_grad inference_mode": ("leave it out", "nothing is recorded for gradients"),
        "tensor Tensor": ("numpy.array(ids)", "NumPy arrays and lists are taken everywhere"),
        "softmax": ("neo_np.gpt_neo.forward.softmax", "all formulas of the model are in that module"),
        "cross_entropy": ("model.loss(ids)", "the mean cross-entropy, in nats"),
    },
    "model": {
        "from_pretrained load": LOAD,
        "from_config": ("neo_np.Model(config, random_params(config))", "random_params is in neo_np.gpt_neo.params"),
        "save_pretrained save": ("neo_np.save(model, folder)", "transformers loads that folder too"),
        "push_to_hub": ("neo_np.save(model, folder)", "upload the folder with huggingface_hub"),
        "predict next_token unembed": ("model.logits(ids)", "the last row predicts the next token"),
        "greedy_search sample beam_search contrastive_search": GENERATE,
        "forward": ("model.logits(ids)", "hidden_states, attentions and loss are calls of their own"),
        "transformer base_model": ("model.hidden_states(ids)", "the weights are in model.params"),
        "wte wpe h ln_f layers blocks embed_tokens modules named_modules children get_submodule": TREE,
        "cfg num_layers num_heads hidden_size": ("model.config", "its sizes are in model.config"),
        "state_dict parameters named_parameters buffers named_buffers get_parameter": (
            "model.params.flat()",
            "a dict of names and arrays",
        ),
        "load_state_dict": ("neo_np.Model(config, neo_np.Params(named))", "params are made from a dict of names and arrays"),
        "num_parameters num_params n_params get_num_params get_memory_footprint": (
            "neo_np.gpt_neo.params.count(model.params)",
            "repr(model) shows it too",
        ),
        "eval train": NO_TRAINING_MODE,
        "to cuda cpu half float double bfloat16 device compile tie_weights share_memory": ONLY_NUMPY,
        "dtype": ("model.params.wte.weight.dtype", "all weights have the same precision"),
        "requires_grad_ zero_grad backward grad gradient_checkpointing_enable enable_input_require_grads": GRADIENTS,
        "get_input_embeddings W_E": ("model.params.wte.weight", "the token embedding, (V, C)"),
        "get_position_embeddings W_pos": ("model.params.wpe.weight", "the position embedding, (P, C)"),
        "set_input_embeddings set_output_embeddings": ("model.params.wte.weight[:] = array", "arrays can be changed"),
        "lm_head get_output_embeddings W_U": (
            "neo_np.gpt_neo.forward.output_embedding(model.params)",
            "in GPT-Neo it is the token embedding",
        ),
        "resize_token_embeddings": ("neo_np.Params(named)", "make the params again with a larger wte.weight, and the config"),
        "encode to_tokens": ("model.tokenizer.encode(text)", "the tokenizer does it"),
        "decode to_string": ("model.tokenizer.decode(ids)", "the tokenizer does it"),
        "to_str_tokens": ("model.tokenizer.token_strings(ids)", "the tokens as text"),
        "vocab_size": ("model.config.vocab_size", "sizes are in the config"),
        "device_map": ONLY_NUMPY,
        "register_forward_hook register_forward_pre_hook hooks hook_dict add_hook": HOOK,
        "reset_hooks": ("leave it out", "a hook is an argument of one call"),
        "prune_heads": ("model.logits(ids, hook=f)", "a hook can set the output of a head to 0"),
        "name_or_path": ("leave it out", "a model does not know the folder that it came from"),
        "run_with_cache": ("model.logits(ids, hook=seen.__setitem__)", "seen is a dict; each activation gets its name there"),
        "run_with_hooks": ("model.logits(ids, hook=f)", "an array that f returns replaces the activation"),
    },
    "tokenizer": {
        "from_pretrained from_file from_str": ("neo_np.Tokenizer.load(name)", "a folder, or the name of a checkpoint"),
        "save_pretrained save_vocabulary": ("tokenizer.save(folder)", "transformers reads it too"),
        "tokenize": ("tokenizer.token_strings(tokenizer.encode(text))", "the tokens as text"),
        "convert_ids_to_tokens": ("tokenizer.token_strings(ids)", "the tokens as text"),
        "convert_tokens_to_ids token_to_id": ("tokenizer.vocab[token]", "tokens are spelled in the byte alphabet there"),
        "ids_to_tokens decoder": ("tokenizer.id_to_token", "a dict {id: token}"),
        "convert_tokens_to_string": ("tokenizer.decode(ids)", "decode takes ids"),
        "encode_plus batch_encode_plus encode_ordinary prepare_for_model": ENCODE,
        "encode_batch": ("[tokenizer.encode(text) for text in texts]", "encode takes one text"),
        "batch_decode decode_batch": ("[tokenizer.decode(ids) for ids in rows]", "decode takes one row of ids"),
        "vocab_size get_vocab_size n_vocab": ("len(tokenizer)", "added tokens count too"),
        "get_vocab encoder": ("tokenizer.vocab", "a dict {token: id}"),
        "get_added_vocab added_tokens_encoder added_tokens_decoder": ADDED,
        "bpe bpe_ranks": ("tokenizer.watch(word)", "the merges of one word; all are in tokenizer.merges"),
        "pre_tokenizer": ("tokenizer.pre_tokenize(text)", "the words of a text, before merging"),
        "all_special_tokens special_tokens_map additional_special_tokens": SPECIAL,
        "all_special_ids": ("tokenizer.special_tokens.values()", "a dict {token: id}"),
        "eos_token eot_token": ("tokenizer.token_string(tokenizer.eos_token_id)", "roles are ids here"),
        "mask_token mask_token_id sep_token sep_token_id cls_token cls_token_id": ROLE_ID,
        "bos_token": ("tokenizer.token_string(tokenizer.bos_token_id)", "roles are ids here"),
        "pad_token": ("tokenizer.token_string(tokenizer.pad_token_id)", "roles are ids here"),
        "unk_token": ("leave it out", "every byte has a token, so nothing is unknown"),
        "unk_token_id": ("leave it out", "every byte has a token, so nothing is unknown"),
        "add_tokens add_special_tokens": (
            "neo_np.Tokenizer(vocab, merges, special_tokens, added_tokens)",
            "a tokenizer does not change; make a new one",
        ),
        "model_max_length": ("model.config.max_position_embeddings", "the model has it"),
        "pad padding_side enable_padding": PROMPTS,
        "truncation_side enable_truncation truncate": LENGTH,
        "add_bos_token add_eos_token add_prefix_space chat_template init_kwargs name_or_path": SETTINGS,
        "build_inputs_with_special_tokens num_special_tokens_to_add": (
            "tokenizer.encode(text)",
            "it adds the tokens that the checkpoint wants around a text",
        ),
        "clean_up_tokenization": ("leave it out", "the text comes back as it was"),
        "train_new_from_iterator train_from_iterator": (
            "neo_np.Tokenizer.train(texts, vocab_size)",
            "texts may be larger than memory",
        ),
        "vocab_file merges_file tokenizer_file tokenizer_object": (
            "neo_np.Tokenizer.load(folder)",
            "the folder of tokenizer.json, or of vocab.json and merges.txt",
        ),
        "apply_chat_template": ("write the turns into the prompt", "GPT-Neo has no chat format"),
        "is_fast backend_tokenizer": ("leave it out", "there is one tokenizer"),
    },
    "config": {
        "from_pretrained from_json_file": ("neo_np.load(name).config", "or Config.from_dict(entries)"),
        "save_pretrained to_json_file to_json_string to_diff_dict": (
            "config.to_dict()",
            "neo_np.save(model, folder) writes it as config.json",
        ),
        "update push_to_hub": ("dataclasses.replace(config, ...)", "a config does not change"),
        "num_hidden_layers n_layer n_layers": ("config.num_layers", "the name in config.json"),
        "num_attention_heads n_head n_heads": ("config.num_heads", "the name in config.json"),
        "n_embd d_model hidden_dim": ("config.hidden_size", "the name in config.json"),
        "head_dim d_head": ("config.head_size", "hidden_size / num_heads"),
        "n_inner d_mlp ffn_dim": ("config.intermediate_size", "the name in config.json"),
        "d_vocab n_vocab": ("config.vocab_size", "the name in config.json"),
        "n_positions n_ctx max_seq_len block_size": ("config.max_position_embeddings", "the name in config.json"),
        "attention_types": ("config.attention_layers", "one name for each layer"),
        "pad_token_id": ("model.tokenizer.pad_token_id", "the tokenizer has this role"),
        (
            "embed_dropout attention_dropout resid_dropout initializer_range use_cache architectures "
            "name_or_path id2label num_labels task_specific_params"
        ): OTHER,
        "model_type": ("leave it out", "it is always gpt_neo"),
        "torch_dtype dtype": ("model.params.wte.weight.dtype", "all weights have the same precision"),
        "output_attentions output_hidden_states return_dict": OPTIONAL_OUTPUTS,
    },
    "params": {
        "state_dict named_parameters parameters keys values items": FLAT,
        "numel num_parameters": COUNT,
        "transformer": ("params.h", "the names have no prefix"),
        "lm_head": ("neo_np.gpt_neo.forward.output_embedding(params)", "in GPT-Neo it is the token embedding"),
        "load_state_dict": ("neo_np.Params(named)", "params are made from a dict of names and arrays"),
    },
    # Attributes that are set by habit, of a tokenizer or a config.
    "assign": {
        "pad_token pad_token_id padding_side": PROMPTS,
        "eos_token eos_token_id": ("model.generate(prompt, eos_token_id=id)", "it is an option of each call"),
        "bos_token bos_token_id": ("model.generate(prompt, bos_token_id=id)", "it is an option of each call"),
        "use_cache": ("leave it out", "generate always uses a cache"),
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
        "past": ("cache=", "model.new_cache() makes one"),
        "head_mask": ("hook=", "a hook can set the output of a head to 0"),
        "cache_position": ("leave it out", "positions follow from mask and cache"),
        "num_logits_to_keep": ("logits_to_keep=", "the newer name"),
        "position_ids": ("leave it out", "positions follow from mask and cache"),
        "token_type_ids": ("leave it out", "GPT-Neo has none"),
        "inputs_embeds": ('hook=lambda name, x: embeds if name == "embed" else None', "a hook replaces the embeddings"),
    },
    "new_cache": {
        "batch_size max_batch_size": ("batch=", "the number of rows"),
        "max_length max_cache_len": ("capacity=", "the most tokens of a row"),
    },
    "load": {
        "device device_map low_cpu_mem_usage attn_implementation max_memory": ONLY_NUMPY,
        "torch_dtype dtype use_safetensors quantization_config load_in_8bit load_in_4bit": MAPPED,
        "cache_dir local_files_only force_download token use_auth_token proxies": LOCAL,
        "revision subfolder variant": ("neo_np.load(folder)", "download that version yourself"),
        "trust_remote_code": ("leave it out", "no code of a checkpoint is ever run"),
        "config state_dict": ("neo_np.Model(config, params)", "load reads both from the checkpoint"),
        "resume_download offload_folder use_flash_attention_2": ("leave it out", "it has no effect here"),
        "output_attentions output_hidden_states": OPTIONAL_OUTPUTS,
        "num_labels id2label ignore_mismatched_sizes": NO_HEAD,
        "from_tf from_flax": ("neo_np.load(folder)", "convert it to safetensors with transformers first"),
        "use_cache pad_token_id": OPTIONS,
        "use_fast legacy": ("leave it out", "there is one tokenizer"),
        "add_prefix_space": ("tokenizer.encode(text, add_prefix_space=True)", "it is an argument of encode"),
        "padding_side pad_token": PROMPTS,
        "model_max_length": ("model.config.max_position_embeddings", "the model has it"),
        "pretrained_model_name_or_path model path model_name checkpoint folder": (
            "neo_np.load(name)",
            "the name is the first argument",
        ),
    },
    "save": {
        "safe_serialization max_shard_size": ("leave it out", "one safetensors file is written"),
        "save_directory path": ("neo_np.save(model, folder)", "the folder is the second argument"),
        "push_to_hub": ("neo_np.save(model, folder)", "upload the folder with huggingface_hub"),
        "is_main_process save_function legacy_format": ("leave it out", "it has no effect here"),
    },
    "encode": {
        "return_tensors return_attention_mask return_token_type_ids": TO_ARRAY,
        "return_offsets_mapping": ("tokenizer.encode_with_offsets(text)", "it returns (ids, offsets)"),
        "padding pad_to_multiple_of": PROMPTS,
        "truncation max_length stride": LENGTH,
        "text_pair": ("tokenizer.encode(text + pair)", "GPT-Neo has no pairs of texts"),
        "allowed_special disallowed_special": (
            "split_special_tokens=True",
            "then special tokens in the text are ordinary text",
        ),
        "bos eos": ("[tokenizer.bos_token_id, *tokenizer.encode(text)]", "or as the checkpoint says"),
        "return_length": ("len(tokenizer.encode(text))", "ids are a plain list"),
        "is_split_into_words": ('tokenizer.encode(" ".join(words))', "encode takes one text"),
    },
    "decode": {
        "clean_up_tokenization_spaces": ("leave it out", "the text comes back as it was"),
        "spaces_between_special_tokens": ("leave it out", "the text comes back as it was"),
        "token_ids": ("tokenizer.decode(ids)", "the ids are the first argument"),
    },
}

# {where it was written: {name there: (what to write here, one line why)}}
OTHER_NAMES = {
    place: {name: answer for names, answer in groups.items() for name in names.split()} for place, groups in GROUPS.items()
}


def advice(place: str, name: str) -> str:
    """Return the sentence that says what to write for a name of `OTHER_NAMES`, or "" for an unknown name."""
    if name not in OTHER_NAMES[place]:
        return ""
    here, why = OTHER_NAMES[place][name]
    return f" In neo_np: {here} ({why})."


def no_attribute(place: str, owner: str, name: str, there: Iterable[str]) -> AttributeError:
    """Return the error for an attribute that does not exist, with the name to use, or else the names that are `there`."""
    return AttributeError(f"{owner} has no attribute {name!r}.{advice(place, name) or it_has(there, name)}")


def check_assigned(place: str, owner: str, name: str) -> None:
    """Raise AttributeError with the name to use for an attribute of another library, which nothing here would read."""
    if name in OTHER_NAMES["assign"] or name in OTHER_NAMES[place]:
        raise AttributeError(f"{owner} has no attribute {name!r} to set.{advice('assign', name) or advice(place, name)}")


def with_advice(place: str) -> Callable[[Function], Function]:
    """Let a function answer an argument that it does not have with a TypeError that names the one to use."""

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def checked(*arguments, **named):
            check_names(place, function.__name__, function, named)
            return function(*arguments, **named)

        return checked

    return decorate


def check_names(place: str, called: str, function: Any, named: Iterable[str]) -> None:
    """Raise TypeError with the name to use for the name of an argument that a function does not have."""
    code = function.__code__
    there = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    for name in named:
        if name not in there:
            hint = advice(place, name) or it_has([other for other in there if other not in ("self", "cls")], name)
            raise TypeError(f"{called}() has no argument {name!r}.{hint}")


def it_has(there: Iterable[str], name: str) -> str:
    """Return the sentence that lists the names that are there, or "" for a private name, which is no guess of a user."""
    return "" if name.startswith("_") else f" It has {', '.join(other for other in there if not other.startswith('_'))}."


def place_of(cls: type) -> str:
    """Return the place in `OTHER_NAMES` of `Model`, `Tokenizer` or `Config`, or of a subclass that a user has made of one."""
    own = next(base for base in cls.__mro__ if base.__module__.startswith("neo_np."))
    return own.__name__.lower()


class OtherNames(type):
    """The metaclass of `Model`, `Tokenizer` and `Config`: Model.from_pretrained and the like are answered with advice."""

    def __getattr__(cls, name: str) -> NoReturn:
        """Raise AttributeError with the name to use."""
        raise no_attribute(place_of(cls), cls.__name__, name, dir(cls))

    if not TYPE_CHECKING:

        def __call__(cls, *arguments, **named):
            """Make an object; raises TypeError with the call to use for a name, and for an argument that does not exist."""
            if cls.__init__.__module__.startswith("neo_np."):  # a subclass can take other arguments
                place = place_of(cls)
                if arguments and isinstance(arguments[0], str | os.PathLike):
                    raise TypeError(f"a {cls.__name__} is not made from a name or a file.{advice(place, 'from_pretrained')}")
                check_names(place, cls.__name__, cls.__init__, named)
            return super().__call__(*arguments, **named)
