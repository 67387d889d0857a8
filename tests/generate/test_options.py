"""Options: values that are refused, defaults, and the limits of length."""

import dataclasses
import math
import re

import numpy as np
import pytest
from helpers import ROOT, random_model

from neo_np import NeoError
from neo_np.generate.foreign_options import FOREIGN_OPTIONS
from neo_np.generate.options import Options, read_options

CONFIG = random_model(eos_token_id=[0, 7]).config  # 50 tokens, 32 positions

ABOVE_0 = "a whole number above 0"
FROM_0 = "a whole number, 0 or more"
SHARE = "a number from 0 to 1"
SWITCH = "True or False"
IDS = "a token id or a list of them"
WORDS = "a list of lists of token ids"
TEXTS = "a text or a list of texts, none empty"

NO_SENSE = [
    *[(name, value, ABOVE_0)
      for name in ("max_length", "max_new_tokens", "default_new_tokens", "num_beams", "num_return_sequences")
      for value in (0, -1, 2.0, True, "5")],
    *[(name, value, FROM_0) for name in ("min_length", "min_new_tokens", "top_k", "no_repeat_ngram_size", "seed")
      for value in (-1, 1.5, False, "5")],
    *[(name, value, SHARE) for name in ("top_p", "min_p") for value in (1.5, -1, math.nan, True, "0.5", [0.5])],
    *[("typical_p", value, "a number above 0 and up to 1") for value in (0, -0.5, 1.1, math.nan, True)],
    *[("temperature", value, "a number above 0") for value in (0, 0.0, -1, math.nan, math.inf, True, "hot")],
    *[("repetition_penalty", value, "a number above 0") for value in (0, -1.2, math.nan, math.inf, True)],
    *[("length_penalty", value, "a number from -50 to 50") for value in (math.inf, math.nan, True, "long")],
    *[("early_stopping", value, "True, False or 'never'") for value in ("always", 1, 0, 2)],
    *[(name, value, SWITCH) for name in ("do_sample", "cut_stop_string", "slide") for value in (1, "yes")],
    *[("eos_token_id", value, IDS) for value in (-1, 5.0, True, "<|endoftext|>", [0, -1], [[0]])],
    *[("bad_words_ids", value, WORDS) for value in (5, [5], [[]], [[1], []], [[1.5]], [[-1]], [["a"]], [[True]], "bad")],
    *[("stop_strings", value, TEXTS) for value in ("", [""], ["a", ""], [5], 5, True, b"stop")],
    *[(name, value, SHARE) for name in ("epsilon_cutoff", "eta_cutoff") for value in (1.5, -1, math.nan, True)],
    *[("top_h", value, "a number above 0 and up to 1") for value in (0, 1.5, math.nan)],
    *[("encoder_repetition_penalty", value, "a number above 0") for value in (0, -1, math.inf)],
    *[("encoder_no_repeat_ngram_size", value, FROM_0) for value in (-1, 1.5)],
    *[(name, value, "a list of token ids")
      for name in ("suppress_tokens", "begin_suppress_tokens") for value in (5, [-1], "a")],
    *[("forced_bos_token_id", value, "a token id") for value in (-1, [5], 1.5, True)],
    *[("forced_eos_token_id", value, IDS) for value in (-1, 1.5, [[1]])],
    *[("sequence_bias", value, "{(id, ...): bias}")
      for value in (5, {5: 1.0}, {(): 1.0}, {(1,): math.nan}, {(1,): math.inf}, {(-1,): 1.0}, [[[1], 1.0, 2]], [[1, 1.0]])],
    *[("exponential_decay_length_penalty", value, "(start, factor)") for value in (5, [1], [1.5, 1.1], [1, 0], [1, math.nan])],
    *[("renormalize_logits", value, SWITCH) for value in (1, "yes")],
    *[("logits_processor", value, "a list of functions") for value in (5, [5], ["f"], lambda logits, ids: logits)],
]  # fmt: skip


@pytest.mark.parametrize("name, value, wanted", NO_SENSE)
def test_options_wrong_value_raises_its_name(name, value, wanted):
    given = {"do_sample": True, "num_beams": 2} | {name: value}
    with pytest.raises(NeoError) as error:
        read_options(given, {}, CONFIG)
    assert str(error.value).startswith(f"{name} ")
    assert wanted in str(error.value)
    assert "\n" not in str(error.value)
    if name != "logits_processor":
        assert repr(value) in str(error.value)


OUTSIDE = [
    ("eos_token_id", 50),
    ("eos_token_id", [0, 50]),
    ("bos_token_id", 50),
    ("bad_words_ids", [[1], [2, 50]]),
    ("sequence_bias", {(2, 50): 1.0}),
    ("forced_bos_token_id", 50),
    ("forced_eos_token_id", [1, 50]),
    ("suppress_tokens", [50]),
    ("begin_suppress_tokens", [1, 50]),
]


@pytest.mark.parametrize("name, value", OUTSIDE)
def test_options_id_outside_the_vocabulary_raises_the_name(name, value):
    with pytest.raises(NeoError, match=rf"{name}.* 50 .*49"):
        read_options({name: value}, {}, CONFIG)


def test_stop_strings_lone_surrogate_raises():
    with pytest.raises(NeoError, match=r"stop_strings.*surrogate"):
        read_options({"stop_strings": ["end", "\ud800"]}, {}, CONFIG)


@pytest.mark.parametrize("name, meant", [("temprature", "temperature"), ("max_tokens", "max_new_tokens"), ("qqq", None)])
def test_options_unknown_name_raises_with_the_closest(name, meant):
    with pytest.raises(NeoError) as error:
        read_options({name: 1}, {}, CONFIG)
    assert repr(name) in str(error.value)
    assert (f"did you mean {meant!r}" if meant else name) in str(error.value)
    assert ("did you mean" in str(error.value)) == (meant is not None)


def test_num_return_sequences_without_sampling_or_beams_raises():
    with pytest.raises(NeoError, match="num_return_sequences 3 without sampling"):
        read_options({"num_return_sequences": 3}, {}, CONFIG)
    with pytest.raises(NeoError, match="num_beams 2 cannot give num_return_sequences 3"):
        read_options({"num_return_sequences": 3, "num_beams": 2}, {}, CONFIG)
    assert read_options({"num_return_sequences": 3, "num_beams": 3}, {}, CONFIG).num_beams == 3
    assert read_options({"num_return_sequences": 3, "do_sample": True}, {}, CONFIG).num_return_sequences == 3


def test_options_defaults_are_those_of_transformers():
    options = read_options({}, {}, CONFIG)
    assert (options.do_sample, options.num_beams, options.num_return_sequences) == (False, 1, 1)
    assert (options.temperature, options.top_k, options.top_p, options.min_p, options.typical_p) == (1, 50, 1, None, 1)
    assert (options.repetition_penalty, options.no_repeat_ngram_size, options.bad_words_ids) == (1, 0, None)
    assert (options.length_penalty, options.early_stopping) == (1, False)
    assert options.eos_ids == [0, 7]
    assert options.stops == []


def test_options_none_is_the_same_as_not_given():
    names = [field.name for field in dataclasses.fields(Options)]
    assert read_options(dict.fromkeys(names), {"top_k": 3, "top_p": None}, CONFIG) == read_options({}, {"top_k": 3}, CONFIG)


def test_options_numpy_numbers_are_accepted():
    given = {"top_k": np.int64(3), "top_p": np.float64(0.5), "temperature": np.float32(0.5), "eos_token_id": np.int32(4)}
    options = read_options({"do_sample": True, **given}, {}, CONFIG)
    assert (options.top_k, options.top_p, options.temperature, options.eos_ids) == (3, 0.5, 0.5, [4])


@pytest.mark.parametrize("array_like", [np.array, tuple, lambda values: [np.int64(value) for value in values]])
def test_options_array_likes_are_accepted(array_like):
    given = {"suppress_tokens": array_like([3, 4]), "bad_words_ids": [array_like([5, 6])], "eos_token_id": array_like([7])}
    options = read_options(given, {}, CONFIG)
    assert (options.suppress_tokens, options.bad_words_ids, options.eos_token_id) == ([3, 4], [[5, 6]], [7])


def test_generate_numpy_numbers_of_tokens_and_texts_are_accepted():
    model, count = random_model(), np.int64(3)
    expected = model.generate([1, 2], max_new_tokens=3, num_beams=3, num_return_sequences=3)
    assert model.generate([1, 2], max_new_tokens=count, num_beams=count, num_return_sequences=count) == expected


@pytest.mark.parametrize("stops, found", [("end", ["end"]), (["end", "fin"], ["end", "fin"]), (("end",), ["end"]), ([], [])])
def test_stop_strings_one_or_several_give_a_list(stops, found):
    assert read_options({"stop_strings": stops}, {}, CONFIG).stops == found


@pytest.mark.parametrize("eos, found", [(3, [3]), ([3, 4], [3, 4]), ((3,), [3]), ([], [])])
def test_eos_token_id_of_the_call_replaces_all_others(eos, found):
    assert read_options({"eos_token_id": eos}, {"eos_token_id": 9}, CONFIG).eos_ids == found


def test_generation_config_gives_defaults_and_the_call_wins():
    from_file = {"do_sample": True, "temperature": 0.5, "top_k": 7, "eos_token_id": 9, "transformers_version": "5.0.0"}
    options = read_options({"top_k": 3}, from_file, CONFIG)
    assert (options.do_sample, options.temperature, options.top_k, options.eos_ids) == (True, 0.5, 3, [9])


@pytest.mark.parametrize("name, value", [("top_p", 1.5), ("max_length", 0), ("eos_token_id", 1.5), ("stop_strings", 5)])
def test_generation_config_wrong_value_raises_the_name_of_the_file(name, value):
    with pytest.raises(NeoError, match=f"generation_config.json.*{name}"):
        read_options({}, {name: value}, CONFIG)
    with pytest.raises(NeoError) as error:
        read_options({name: value}, {"top_k": 5, name: 1}, CONFIG)
    assert "generation_config" not in str(error.value)


FOR_SAMPLING = {"temperature": 0.5, "top_k": 7, "top_p": 0.5, "min_p": 0.5, "typical_p": 0.5, "top_h": 0.5}
FOR_SAMPLING |= {"epsilon_cutoff": 0.1, "eta_cutoff": 0.1}
FOR_BEAMS = {"length_penalty": 2.0, "early_stopping": True}


@pytest.mark.parametrize("name, value", [*FOR_SAMPLING.items(), *FOR_BEAMS.items(), ("cut_stop_string", True)])
def test_options_without_effect_warn(name, value):
    why = "num_beams above 1" if name in FOR_BEAMS else "do_sample=True" if name in FOR_SAMPLING else "stop_strings"
    with pytest.warns(UserWarning, match=f"{name} changes nothing here: it needs {why}"):
        read_options({name: value}, {}, CONFIG)
    # In the following cases a warning would be an error.
    read_options({name: value, "do_sample": True, "num_beams": 2, "stop_strings": "a"}, {}, CONFIG)
    read_options({}, {name: value}, CONFIG)
    read_options({name: getattr(Options, name)}, {}, CONFIG)


@pytest.mark.parametrize("weak, strong", [("max_length", "max_new_tokens"), ("min_length", "min_new_tokens")])
def test_options_overridden_warn(weak, strong):
    with pytest.warns(UserWarning, match=f"{weak} changes nothing here: {strong} overrides it"):
        read_options({weak: 5, strong: 5}, {}, CONFIG)
    read_options({strong: 5}, {weak: 5}, CONFIG)


def test_options_without_effect_are_all_named():
    with pytest.warns(UserWarning) as warned:
        read_options({"temperature": 0.5, "top_p": 0.5, "length_penalty": 2.0}, {}, CONFIG)
    whole = " ".join(str(warning.message) for warning in warned)
    assert all(name in whole for name in ("temperature", "top_p", "length_penalty", "do_sample=True", "num_beams above 1"))


# ids in files that the model does not have


@pytest.mark.parametrize("eos, found", [(50, []), ([3, 50], [3]), (-1, []), ([-1, 7], [7]), (None, [])])
def test_generation_config_eos_outside_the_vocabulary_never_occurs(eos, found):
    assert read_options({}, {"eos_token_id": eos}, CONFIG).eos_ids == found


def test_eos_of_the_config_counts_only_without_a_generation_config():
    assert read_options({}, {}, CONFIG).eos_ids == [0, 7]
    assert read_options({}, {"top_k": 5}, CONFIG).eos_ids == []


def test_generation_config_ids_outside_the_vocabulary_need_no_suppression():
    from_file = {"suppress_tokens": [-1, 3, 50], "begin_suppress_tokens": [60], "bos_token_id": 50}
    options = read_options({}, from_file, CONFIG)
    assert (options.suppress_tokens, options.begin_suppress_tokens, options.bos_token_id) == ([3], [], 0)


# options of transformers that neo_np does not have


@pytest.mark.parametrize(
    "name, value",
    [("guidance_scale", 2), ("watermarking_config", {}), ("num_beam_groups", 2), ("penalty_alpha", 0.6), ("max_time", 1.0)],
)
def test_generation_config_absent_setting_warns_once_and_names_all(name, value):
    from_file = {name: value, "dola_layers": "high", "top_k": 5, "pad_token_id": 3, "output_scores": True, "return_x": 1}
    with pytest.warns(UserWarning) as warned:
        read_options({}, from_file, CONFIG)
    [warning] = warned
    assert name in str(warning.message) and "dola_layers" in str(warning.message)
    assert not any(other in str(warning.message) for other in ("top_k", "pad_token_id", "output_scores", "return_x"))


def test_generation_config_absent_settings_without_effect_do_not_warn():
    read_options({}, {"guidance_scale": None, "num_beam_groups": 1, "diversity_penalty": 0.0, "penalty_alpha": 0}, CONFIG)
    read_options({}, {"guidance_scale": 1.0, "token_healing": False, "use_cache": True, "low_memory": True}, CONFIG)


UNCHANGING = {"pad_token_id": 5, "use_cache": True, "return_dict_in_generate": False, "num_beam_groups": 1, "batch_size": 8}
UNCHANGING |= {"output_scores": False, "diversity_penalty": 0.0, "guidance_scale": 1.0, "streamer": None, "device": "cpu"}


@pytest.mark.parametrize(
    "name, value",
    [
        *UNCHANGING.items(),
        ("dtype", np.dtype("float32")),
        ("device", -1),
        ("attention_mask", [[1, 1]]),
        ("attention_mask", np.ones((2, 3))),
    ],
)
def test_foreign_option_that_changes_nothing_is_accepted(name, value):
    assert read_options({name: value}, {}, CONFIG) == read_options({}, {}, CONFIG)


@pytest.mark.parametrize(
    "name, value, hint",
    [
        ("streamer", object(), "model.stream"),
        ("attention_mask", [[0, 1]], "list of prompts"),
        ("attention_mask", [[1], [1, 1]], "list of prompts"),
        ("input_ids", [1, 2], "first argument"),
        ("return_dict_in_generate", True, "model.logits"),
        ("output_attentions", True, "model.attentions"),
        ("stopping_criteria", [], "stop_strings"),
        ("generation_config", object(), "by name"),
        ("guidance_scale", 2, "does not have it"),
        ("stop", ["a"], "stop_strings"),
        ("n", 3, "num_return_sequences"),
        ("device", "cuda", "CPU"),
        ("device", 0, "CPU"),
        ("dtype", np.dtype("float16"), "float32"),
    ],
)
def test_foreign_option_raises_with_what_to_do_instead(name, value, hint):
    with pytest.raises(NeoError, match=rf"^{name} is not an option of neo_np: .*{hint}"):
        read_options({name: value}, {}, CONFIG)


def test_foreign_options_are_no_options_of_neo_np():
    assert not {field.name for field in dataclasses.fields(Options)} & FOREIGN_OPTIONS.keys()


# limits(prompt_length, positions) -> (min_length, max_length), both with the prompt


@pytest.mark.parametrize(
    "given, limits",
    [
        ({}, (0, 30)),  # 20 new tokens
        ({"max_length": 25}, (0, 25)),
        ({"max_new_tokens": 4}, (0, 14)),
        ({"max_new_tokens": 4, "max_length": 25}, (0, 14)),  # new tokens win, as in transformers
        ({"min_length": 12}, (12, 30)),
        ({"min_new_tokens": 5}, (15, 30)),
        ({"min_new_tokens": 5, "min_length": 25}, (15, 30)),
        ({"min_new_tokens": 0, "min_length": 25}, (10, 30)),
        ({"max_new_tokens": 22}, (0, 32)),  # as many as the model has positions
        ({"max_new_tokens": 100, "slide": True}, (0, 110)),
        ({"max_length": 100, "slide": True}, (0, 100)),
    ],
)
def test_limits_count_the_prompt_unless_for_new_tokens(given, limits):
    assert Options(**given).limits(prompt_length=10, positions=32) == limits


@pytest.mark.parametrize("prompt_length, longest, slid", [(12, 32, 32), (20, 32, 40), (31, 32, 51)])
def test_limits_default_of_20_new_tokens_shrinks_to_what_fits(prompt_length, longest, slid):
    assert Options().limits(prompt_length, positions=32) == (0, longest)
    assert Options(slide=True).limits(prompt_length, positions=32) == (0, slid)


def test_limits_default_new_tokens_gives_way_to_given_limits():
    assert Options(default_new_tokens=5).limits(prompt_length=10, positions=32) == (0, 15)
    assert Options(default_new_tokens=256).limits(prompt_length=10, positions=32) == (0, 32)
    assert Options(default_new_tokens=5, max_new_tokens=7).limits(prompt_length=10, positions=32) == (0, 17)
    assert Options(default_new_tokens=5, max_length=30).limits(prompt_length=10, positions=32) == (0, 30)


@pytest.mark.parametrize("given", [{}, {"max_new_tokens": 1}, {"max_length": 33}])
def test_limits_prompt_that_fills_the_model_raises(given):
    with pytest.raises(NeoError, match=r"prompt has 32 tokens.* 32 positions.*no room.*slide=True"):
        Options(**given).limits(prompt_length=32, positions=32)


def test_limits_more_than_fits_raises():
    with pytest.raises(NeoError, match="prompt's 10 tokens and 30 new ones make 40, and the model has 32 positions"):
        Options(max_new_tokens=30).limits(prompt_length=10, positions=32)


@pytest.mark.parametrize("max_length", [9, 10])
def test_limits_max_length_within_the_prompt_raises(max_length):
    with pytest.raises(NeoError, match=f"prompt has 10 tokens and max_length is {max_length}.*max_new_tokens"):
        Options(max_length=max_length).limits(prompt_length=10, positions=32)


@pytest.mark.parametrize("given", [{"min_length": 16}, {"min_new_tokens": 6}])
def test_limits_minimum_above_the_maximum_warns(given):
    with pytest.warns(UserWarning, match="at least 16 tokens were asked for and at most 15"):
        assert Options(max_new_tokens=5, **given).limits(prompt_length=10, positions=32) == (16, 15)


# what the README and help() say about the options

README = (ROOT / "neo_np" / "generate" / "README.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| (`.*?`(?:, `.*?`)*) \| (.*) \|$", README, re.M))


@pytest.mark.parametrize("field", dataclasses.fields(Options), ids=lambda field: field.name)
def test_option_is_described_in_readme_and_help(field):
    assert ROWS[f"`{field.name}`"] == f"`{field.default!r}` | {field.metadata['meaning']}"
    assert f"{field.name}: {field.metadata['meaning']}" in Options.__doc__


@pytest.mark.parametrize("name, foreign", FOREIGN_OPTIONS.items(), ids=FOREIGN_OPTIONS)
def test_foreign_option_is_described_in_readme(name, foreign):
    assert f"`{name}`" in README
    if foreign.instead:
        assert any(f"`{name}`" in names and advice == foreign.instead for names, advice in ROWS.items())
