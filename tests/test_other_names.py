"""Names of other libraries: each is answered with the name to use here, and the documentation has the same table."""

import copy
import dataclasses
import pickle
from pathlib import Path

import pytest
from helpers import ROOT

import neo_np
from neo_np.other_names import OTHER_NAMES

TITLES = {
    "neo_np": "from transformers import ...",
    "model": "model. ...",
    "tokenizer": "tokenizer. ...",
    "config": "config. ...",
    "params": "params. ...",
    "assign": "... = value",
    "forward": "model(...)",
    "new_cache": "DynamicCache(...)",
    "load": "from_pretrained(...)",
    "save": "save_pretrained(...)",
    "encode": "tokenizer(...)",
    "decode": "tokenizer.decode(...)",
}


def rows(*places):
    return [(place, name) for place in places for name in OTHER_NAMES[place]]


def markdown():
    """Return the table as the documentation has it: names with the same answer share a row."""
    lines = ["| there | here | why |", "| --- | --- | --- |"]
    for place, names in OTHER_NAMES.items():
        answers = {}
        for name, answer in names.items():
            answers.setdefault(answer, []).append(f"`{name}`")
        lines.append(f"| **{TITLES[place]}** | | |")
        for (here, why), there in answers.items():
            code = here if here[0].isalpha() and " " in here and "(" not in here else f"`{here}`"
            lines.append(f"| {', '.join(there)} | {code} | {why} |")
    return "\n".join(lines) + "\n"


def test_documentation_has_the_table():
    assert markdown() in (ROOT / "neo_np" / "README.md").read_text(encoding="utf-8"), markdown()


@pytest.mark.parametrize(("place", "name"), rows("neo_np", "model", "tokenizer", "config", "params"))
def test_attribute_of_another_library_is_answered(place, name, tales):
    objects = {
        "neo_np": [neo_np],
        "model": [neo_np.Model, tales],
        "tokenizer": [neo_np.Tokenizer, tales.tokenizer],
        "config": [neo_np.Config, tales.config],
        "params": [tales.params],
    }
    for owner in objects[place]:
        with pytest.raises((AttributeError, ImportError)) as error:
            getattr(owner, name)
        assert OTHER_NAMES[place][name][0] in str(error.value)
        assert repr(name) in str(error.value)


@pytest.mark.parametrize(("place", "name"), rows("assign", "model", "tokenizer"))
def test_attribute_of_another_library_that_is_set_is_answered(place, name, tales):
    """Nothing here would read it, so setting it in silence would mislead."""
    owners = {"assign": [tales.tokenizer, tales.config, tales], "model": [tales], "tokenizer": [tales.tokenizer]}
    for owner in owners[place]:
        with pytest.raises(AttributeError, match=f"{name!r}") as error:
            setattr(owner, name, 1)
        assert OTHER_NAMES["assign"].get(name, OTHER_NAMES[place][name])[0] in str(error.value)


def test_config_that_is_changed_names_how_to_change_it(tales):
    with pytest.raises(dataclasses.FrozenInstanceError, match=r"'num_layers' cannot be set.*dataclasses.replace\(config"):
        tales.config.num_layers = 3
    assert dataclasses.replace(tales.config, num_layers=tales.config.num_layers) == tales.config


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (lambda: neo_np.Model("tales-6M"), "neo_np.load(name)"),
        (lambda: neo_np.Tokenizer("vocab.json", "merges.txt"), "neo_np.Tokenizer.load(name)"),
        (lambda: neo_np.Tokenizer(vocab_file="vocab.json"), "neo_np.Tokenizer.load(folder)"),
        (lambda: neo_np.Config(Path("model")), "neo_np.load(name).config"),
        (lambda: neo_np.Config(n_layer=2), "config.num_layers"),
        (lambda: neo_np.Config(attention_types=[]), "config.attention_layers"),
        (lambda: neo_np.Model(nonsense=1), "It has config, params, tokenizer, generation_config"),
    ],
)
def test_object_made_as_in_another_library_is_answered(make, answer):
    with pytest.raises(TypeError) as error:
        make()
    assert answer in str(error.value)


def test_subclass_takes_arguments_and_attributes_of_its_own(tales):
    """Researchers extend the classes: names that other libraries use too must stay free for them."""

    class Probed(neo_np.Model):
        def __init__(self, name, model, device="cpu"):
            super().__init__(model.config, model.params, model.tokenizer)
            self.name, self.device, self.use_cache = name, device, True

    model = Probed("first", tales, device="none")
    assert (model.name, model.device, model.use_cache) == ("first", "none", True)
    assert model.generate("Once", max_new_tokens=3) == tales.generate("Once", max_new_tokens=3)


def test_subclass_without_arguments_of_its_own_is_answered_as_its_class_is(tales):
    class Probed(neo_np.Model):
        pass

    assert not hasattr(Probed, "nothing")
    with pytest.raises(AttributeError, match=r"Probed has no attribute 'from_pretrained'. In neo_np: neo_np.load\(name\)"):
        Probed.from_pretrained  # noqa: B018
    with pytest.raises(TypeError, match=r"a Probed is not made from a name or a file. In neo_np: neo_np.load\(name\)"):
        Probed("tales-6M")
    with pytest.raises(TypeError, match=r"Probed\(\) has no argument 'device'"):
        Probed(tales.config, tales.params, device="cpu")
    assert Probed(tales.config, tales.params).config is tales.config


@pytest.mark.parametrize(("place", "name"), rows("forward", "new_cache", "load", "save", "encode", "decode"))
def test_argument_of_another_library_is_answered(place, name, tales):
    calls = {
        "forward": [tales.logits, tales.hidden_states, tales.attentions, tales.loss],
        "new_cache": [tales.new_cache],
        "load": [neo_np.load, neo_np.Tokenizer.load],
        "save": [neo_np.save],
        "encode": [tales.tokenizer.encode],
        "decode": [tales.tokenizer.decode],
    }
    for call in calls[place]:
        if (call, name) == (tales.loss, "labels"):
            continue  # loss has labels
        for arguments in ([""],) if place in ("save", "encode") else ([""], []):
            with pytest.raises(TypeError) as error:
                call(*arguments, **{name: None})
            assert OTHER_NAMES[place][name][0] in str(error.value)


def test_import_of_another_librarys_name_is_answered():
    with pytest.raises(ImportError, match=r"neo_np has no 'AutoTokenizer'. In neo_np: neo_np.Tokenizer.load\(name\)"):
        from neo_np import AutoTokenizer  # noqa: F401


def test_unknown_attributes_and_arguments_are_answered_with_what_there_is(tales):
    nonsense = "nonsense"
    there = [
        (neo_np, "pipeline"),
        (neo_np.Model, "generate"),
        (tales, "generation_config"),
        (neo_np.Tokenizer, "encode"),
        (tales.tokenizer, "vocab"),
        (neo_np.Config, "to_dict"),
        (tales.config, "num_layers"),
        (tales.params, "wte"),
    ]
    for owner, name in there:
        assert not hasattr(owner, nonsense)
        with pytest.raises(AttributeError, match=rf"no (attribute )?'nonsense'\. It has .*\b{name}\b"):
            getattr(owner, nonsense)
        with pytest.raises(AttributeError, match=r"'_nonsense'\.$"):  # asked for by copy, pickle and Jupyter, not by people
            getattr(owner, f"_{nonsense}")
    for call, name in {
        tales.logits: "mask",
        tales.loss: "labels",
        tales.tokenizer.encode: "text",
        neo_np.load: "tokenizer",
    }.items():
        with pytest.raises(TypeError, match=rf"no argument 'nonsense'\. It has .*\b{name}\b"):
            call([1, 2], nonsense=1)


def test_config_and_params_can_be_copied(tales):
    for one in (tales.config, tales.params):
        assert repr(copy.deepcopy(one)) == repr(pickle.loads(pickle.dumps(one))) == repr(one)


def test_calls_of_model_and_tokenizer_name_the_right_call(tales):
    with pytest.raises(TypeError, match=r"model.logits\(ids\)"):
        tales([1, 2])
    with pytest.raises(TypeError, match=r"tokenizer.encode\(text\)"):
        tales.tokenizer("text")
