"""The pipelines: the form of their results, and the defaults of transformers' pipeline."""

import numpy as np
import pytest
from helpers import byte_model, random_model, word_model

import neo_np
from neo_np import Model, NeoError
from neo_np.folders.find import DEFAULT_CHECKPOINT

PROMPT = "Once upon a time"
MODEL = word_model(max_position_embeddings=64)


@pytest.fixture(scope="module")
def generator():
    return neo_np.pipeline("text-generation", model=MODEL)


def model_with(**generation_config):
    """Return the same model with other generation defaults."""
    return Model(MODEL.config, MODEL.params, MODEL.tokenizer, generation_config)


def length_of(text):
    return len(MODEL.tokenizer.encode(text))


# text-generation


def test_text_generation_one_prompt_gives_a_list_of_its_texts(generator):
    options = {"max_new_tokens": 5, "seed": 0}
    [result] = generator(PROMPT, **options)
    assert result == {"generated_text": MODEL.generate(PROMPT, do_sample=True, temperature=0.7, **options)}
    several = generator(PROMPT, num_return_sequences=3, **options)
    assert [list(one) for one in several] == [["generated_text"]] * 3
    texts = [one["generated_text"] for one in several]
    assert texts[0] == result["generated_text"]
    assert len(set(texts)) == 3 and all(text.startswith(PROMPT) for text in texts)


@pytest.mark.parametrize("form", [list, tuple])
def test_text_generation_list_of_prompts_gives_a_list_of_lists(generator, form):
    prompts, options = [PROMPT, "The king", ""], {"max_new_tokens": 5, "do_sample": False}
    assert generator(form(prompts), **options) == [generator(prompt, **options) for prompt in prompts]
    assert generator(form(prompts[:1]), **options) == [generator(PROMPT, **options)]
    beams = {"num_beams": 3, "num_return_sequences": 2, **options}
    assert generator(form(prompts), **beams) == [generator(prompt, **beams) for prompt in prompts]


def test_text_generation_return_full_text_false_leaves_the_prompt_out(generator):
    options = {"max_new_tokens": 5, "do_sample": False}
    whole = generator([PROMPT, " The  king"], **options)
    new = generator([PROMPT, " The  king"], return_full_text=False, **options)
    for prompt, [long], [short] in zip([PROMPT, " The  king"], whole, new):
        assert long["generated_text"] == prompt + short["generated_text"]


def test_text_generation_defaults_sample_256_tokens_at_temperature_0_7(generator):
    """Sampling at temperature 0.7 for 256 new tokens, or the positions of this model that the prompt leaves."""
    room = min(256, MODEL.config.max_position_embeddings - length_of(PROMPT))
    expected = MODEL.generate(PROMPT, do_sample=True, temperature=0.7, max_new_tokens=room, seed=3)
    assert generator(PROMPT, seed=3) == [{"generated_text": expected}]
    assert length_of(expected) > 20 + length_of(PROMPT)


def test_text_generation_short_prompt_keeps_its_room_beside_a_long_one(generator):
    prompts = ["The king", PROMPT * 3]
    assert generator(prompts, do_sample=False)[0] == generator(prompts[0], do_sample=False)


def test_text_generation_writes_256_tokens_if_they_fit():
    model = byte_model(max_position_embeddings=300)
    chosen = []

    def count(logits, ids):
        chosen.append(len(ids))
        return logits

    options = {"eos_token_id": [], "logits_processor": [count], "do_sample": False}
    neo_np.pipeline("text-generation", model)(PROMPT, **options)
    assert len(chosen) == 256
    chosen.clear()
    sliding = neo_np.pipeline("text-generation", byte_model())
    sliding(PROMPT, slide=True, **options)
    assert len(chosen) == 256


def test_text_generation_prompt_that_fills_the_model_raises(generator):
    positions = MODEL.config.max_position_embeddings
    with pytest.raises(NeoError, match=f"{positions} positions"):
        generator(" a" * positions)


def test_text_generation_max_length_replaces_the_default_length(generator):
    [result] = generator(PROMPT, max_length=24, do_sample=False)
    assert result["generated_text"] == MODEL.generate(PROMPT, max_length=24)


def test_text_generation_call_overrides_generation_config_overrides_defaults():
    greedy = neo_np.pipeline("text-generation", model_with(do_sample=False, max_new_tokens=7))
    assert greedy(PROMPT) == [{"generated_text": MODEL.generate(PROMPT, max_new_tokens=7)}]
    assert greedy(PROMPT, max_new_tokens=3) == [{"generated_text": MODEL.generate(PROMPT, max_new_tokens=3)}]
    short = neo_np.pipeline("text-generation", model_with(max_length=24, temperature=0.1))
    expected = MODEL.generate(PROMPT, do_sample=True, temperature=0.1, max_length=24, seed=0)
    assert short(PROMPT, seed=0) == [{"generated_text": expected}]


def test_text_generation_none_is_the_same_as_not_given(generator):
    nulls = dict.fromkeys(["do_sample", "temperature", "max_length", "max_new_tokens"])
    expected = generator(PROMPT, seed=0)
    assert generator(PROMPT, seed=0, **nulls) == expected
    assert neo_np.pipeline("text-generation", model_with(**nulls))(PROMPT, seed=0) == expected


def test_text_generation_wrong_options_raise(generator):
    with pytest.raises(NeoError, match="top_p is 2"):
        generator(PROMPT, top_p=2)
    with pytest.raises(NeoError, match="did you mean 'max_new_tokens'"):
        generator(PROMPT, max_new_token=2)


def test_text_generation_options_that_change_nothing_are_accepted(generator):
    unchanging = {"batch_size": 4, "pad_token_id": 0, "use_cache": True, "return_dict_in_generate": False, "num_workers": 0}
    options = {"max_new_tokens": 3, "do_sample": False}
    assert generator(PROMPT, **unchanging, **options) == generator(PROMPT, **options)


def test_text_generation_prompt_by_name_or_missing_has_a_hint(generator):
    with pytest.raises(NeoError, match="text_inputs is not an option of neo_np: the prompt is the first argument"):
        generator(text_inputs=PROMPT)
    with pytest.raises(NeoError, match="takes one text or a list of texts; got None"):
        generator()


def test_pipeline_device_of_the_cpu_is_accepted_and_others_raise():
    extract = neo_np.pipeline("feature-extraction", model=MODEL, device="cpu", torch_dtype="auto", batch_size=2)
    assert extract(PROMPT, batch_size=2) == neo_np.pipeline("feature-extraction", model=MODEL)(PROMPT)
    with pytest.raises(NeoError, match="device is not an option of neo_np: neo_np runs on the CPU"):
        neo_np.pipeline("text-generation", model=MODEL, device="cuda")
    with pytest.raises(NeoError, match=r"unknown option 'max_new_tokens'.*in the call"):
        neo_np.pipeline("text-generation", model=MODEL, max_new_tokens=5)
    with pytest.raises(NeoError, match="unknown option 'top_k'"):
        extract(PROMPT, top_k=5)


# feature-extraction


def test_feature_extraction_gives_the_last_hidden_states():
    extract = neo_np.pipeline("feature-extraction", model=MODEL)
    texts = [PROMPT, "The king"]
    for text in texts:
        expected = MODEL.hidden_states(MODEL.tokenizer.encode(text))[-1]
        features = extract(text)
        assert isinstance(features, list) and isinstance(features[0][0][0], float)
        np.testing.assert_array_equal(np.array(features, np.float32), expected[None])  # (1, T, C)
        np.testing.assert_array_equal(extract(text, return_tensors=True), expected[None])
    assert extract(texts) == [extract(text) for text in texts]
    arrays = extract(texts, return_tensors=True)
    assert [array.shape for array in arrays] == [(1, length_of(text), MODEL.config.hidden_size) for text in texts]


def test_feature_extraction_empty_text_raises():
    with pytest.raises(NeoError, match="text is empty"):
        neo_np.pipeline("feature-extraction", model=MODEL)("")


# both


@pytest.mark.parametrize("task", ["text-generation", "feature-extraction"])
@pytest.mark.parametrize("texts", [[], (), 5, None, [5], ["a", None], [["a"]], b"a", {"text": "a"}])
def test_pipeline_other_than_texts_raises(task, texts):
    with pytest.raises(NeoError, match="a pipeline takes one text or a list of texts"):
        neo_np.pipeline(task, model=MODEL)(texts)


@pytest.mark.parametrize("task", ["translation", None, ["text-generation"]])
def test_pipeline_unknown_task_raises(task):
    with pytest.raises(NeoError, match=r"unknown task .*text-generation and feature-extraction"):
        neo_np.pipeline(task, model=MODEL)


def test_pipeline_model_may_be_a_model_a_name_a_folder_or_none(tales, tmp_path):
    neo_np.save(tales, tmp_path)
    expected = neo_np.pipeline("text-generation", tales)(PROMPT, seed=0, max_new_tokens=5)
    for model in (None, DEFAULT_CHECKPOINT, tmp_path, str(tmp_path)):
        assert neo_np.pipeline("text-generation", model=model)(PROMPT, seed=0, max_new_tokens=5) == expected


def test_pipeline_of_a_model_takes_its_own_tokenizer_and_no_other(tales, gpt2_tokenizer):
    options = {"max_new_tokens": 3, "do_sample": False}
    [plain], [given] = (
        neo_np.pipeline("text-generation", model=tales, **tokenizer)(PROMPT, **options)
        for tokenizer in ({}, {"tokenizer": tales.tokenizer})
    )
    assert plain == given
    with pytest.raises(NeoError, match="leave tokenizer out"):
        neo_np.pipeline("text-generation", model=tales, tokenizer=gpt2_tokenizer)


def test_pipeline_tokenizer_of_another_checkpoint_is_used(tales, tmp_path):
    neo_np.save(Model(tales.config, tales.params), tmp_path)
    found = neo_np.pipeline("text-generation", model=tmp_path, tokenizer=DEFAULT_CHECKPOINT)(PROMPT, seed=0, max_new_tokens=5)
    assert found == neo_np.pipeline("text-generation", tales)(PROMPT, seed=0, max_new_tokens=5)


def test_pipeline_model_without_tokenizer_or_with_two_raises(tales):
    with pytest.raises(NeoError, match="no tokenizer"):
        neo_np.pipeline("text-generation", model=random_model())
    with pytest.raises(NeoError, match="leave tokenizer out"):
        neo_np.pipeline("text-generation", model=tales, tokenizer=DEFAULT_CHECKPOINT)
