"""The tokenizer's files: read in all the forms that are in use, written so that nothing is lost, refused when damaged."""

import json
import warnings

import pytest
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_cases import END, bytes_vocab, changed, tables, tiny_tokenizer, tokenizer_json, write_json

from neo_np import NeoError, Tokenizer
from neo_np.folders.find import DEFAULT_CHECKPOINT, TOKENIZER_FILES
from neo_np.tokenizer import files, tokenizer_config
from neo_np.tokenizer import tables as tables_module

GPT2 = ROOT / "weights" / "gpt-neo-125M"


@pytest.fixture
def tiny():
    return tiny_tokenizer()


@pytest.fixture(scope="module", params=["gpt2", "tales"])
def tokenizer(request, gpt2_tokenizer, tales):
    return {"gpt2": gpt2_tokenizer, "tales": tales.tokenizer}[request.param]


# Reading the tables


def test_load_vocab_and_merges_in_all_forms_in_use(tiny, tmp_path):
    write_json(tmp_path / "vocab.json", tiny.vocab)
    lines = "#version: 0.2\nh e\nl l\nhe ll\nhell o\nĠ hello\n"
    # other header, other line ends, no last line end, a byte order mark: all in use
    for text in (
        lines,
        lines.replace("\n", "\r\n"),
        lines.replace("\n", "\r"),
        lines.rstrip(),
        lines.partition("\n")[2],
        lines + "\n",
        "\ufeff" + lines,
        "\ufeff" + lines.replace("\n", "\r\n"),
        "\ufeff" + lines.partition("\n")[2],
    ):
        (tmp_path / "merges.txt").write_bytes(text.encode())
        loaded = Tokenizer.load(str(tmp_path))
        assert tables(loaded) == tables(tiny)
        assert loaded.encode(f"hello hell{END}") == [259, 32, 258, 261]


@pytest.mark.parametrize("spell", [list, tuple, " ".join], ids=["pairs", "tuples", "strings"])
def test_load_tokenizer_json_gives_its_tables(tales, tmp_path, spell):
    merges = [spell(pair) for pair in tales.tokenizer.merges]
    write_json(tmp_path / "tokenizer.json", changed(tokenizer_json(tales.tokenizer), "model.merges", merges))
    loaded = Tokenizer.load(tmp_path)
    assert tables(loaded) == tables(tales.tokenizer)
    assert loaded.encode(f"Once upon a time{END}") == tales.tokenizer.encode(f"Once upon a time{END}")


def test_load_added_tokens_of_tokenizer_json_keep_their_kind(tiny, tmp_path):
    special, added = {END: 261, "[PAD]": 262}, {"newword": 263, "日本": 264}
    write_json(tmp_path / "tokenizer.json", tokenizer_json(Tokenizer(tiny.vocab, tiny.merges, special, added)))
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.special_tokens, loaded.added_tokens) == (special, added)
    assert loaded.encode("[PAD]newword日本") == [262, 263, 264]


def test_load_added_tokens_decoder_says_what_kind_a_token_is(tiny, tmp_path):
    """It says of every token added later what kind it is, so added_tokens.json, which does not, is not needed."""
    tiny.save(tmp_path)
    tokens = {261: (END, True), 262: ("[PAD]", True), 263: ("newword", False), 258: ("hell", False)}
    tokens = {id: {"content": token, "special": special, "lstrip": False} for id, (token, special) in tokens.items()}
    write_json(tmp_path / "tokenizer_config.json", {"errors": "replace", "added_tokens_decoder": tokens})
    write_json(tmp_path / "added_tokens.json", {"[PAD]": 262, "newword": 263})
    loaded = Tokenizer.load(tmp_path)
    assert tables(loaded) == (tiny.vocab, tiny.merges, {END: 261, "[PAD]": 262}, {"newword": 263, "hell": 258})


def test_load_added_tokens_json_without_kinds_makes_ordinary_tokens(tiny, tmp_path):
    tiny.save(tmp_path)
    vocab = {token: id for token, id in tiny.vocab.items() if token != END}
    write_json(tmp_path / "vocab.json", vocab)
    write_json(tmp_path / "added_tokens.json", {END: 261, "newword": 262})
    write_json(tmp_path / "tokenizer_config.json", {"errors": "replace"})
    loaded = Tokenizer.load(tmp_path)
    assert tables(loaded) == (vocab, tiny.merges, {END: 261}, {"newword": 262})
    assert loaded.encode(f"newword{END}") == [262, 261]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("post_processor", None),
        ("post_processor", {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False}),
        ("model.continuing_subword_prefix", None),
        ("model.end_of_word_suffix", None),
        ("model.dropout", 0.0),
        ("added_tokens.0.normalized", True),
    ],
)
def test_load_tokenizer_json_option_that_changes_no_id_is_taken(tiny, tmp_path, path, value):
    write_json(tmp_path / "tokenizer.json", changed(tokenizer_json(tiny), path, value))
    assert tables(Tokenizer.load(tmp_path)) == tables(tiny)


@pytest.mark.parametrize("key", ["model.type", "model.dropout", "model.ignore_merges", "normalizer", "added_tokens"])
def test_load_tokenizer_json_of_an_older_version_lacks_keys(tiny, tmp_path, key):
    whole = tokenizer_json(tiny)
    parent = whole["model"] if key.startswith("model.") else whole
    del parent[key.removeprefix("model.")]
    write_json(tmp_path / "tokenizer.json", whole)
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.vocab, loaded.merges) == (tiny.vocab, tiny.merges)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.type", "Unigram"),
        ("model.dropout", 0.1),
        ("model.byte_fallback", True),
        ("model.ignore_merges", True),
        ("model.continuing_subword_prefix", "##"),
        ("model.end_of_word_suffix", "</w>"),
        ("normalizer", {"type": "NFC"}),
        ("pre_tokenizer", None),
        ("pre_tokenizer.type", "Whitespace"),
        ("pre_tokenizer.use_regex", False),
        ("post_processor", {"type": "Unknown"}),
    ],
)
def test_load_tokenizer_json_option_that_gives_other_ids_raises(tiny, tmp_path, path, value):
    write_json(tmp_path / "tokenizer.json", changed(tokenizer_json(tiny), path, value))
    with pytest.raises(NeoError) as error:
        Tokenizer.load(tmp_path)
    assert str(tmp_path / "tokenizer.json") in str(error.value)
    assert path.split(".")[-1] in str(error.value)


# Roles, added tokens and settings in the files beside the tables


def with_files(folder, tokenizer, **files):
    """Write a tokenizer and more files: tokenizer_config={"pad_token": ...} becomes tokenizer_config.json."""
    tokenizer.save(folder)
    for name, content in files.items():
        write_json(folder / f"{name}.json", content)
    return Tokenizer.load(folder)


FLAGS = {"lstrip": False, "rstrip": False, "normalized": False, "single_word": False}


@pytest.mark.parametrize("pad", ["[PAD]", {"content": "[PAD]", **FLAGS}, {"content": "[PAD]", "__type": "AddedToken", **FLAGS}])
@pytest.mark.parametrize("file", ["tokenizer_config", "special_tokens_map"])
@pytest.mark.parametrize("added", [True, False])
def test_load_role_makes_its_token_special(tiny, tmp_path, pad, file, added):
    """With an id in added_tokens.json or without one; then it is the next."""
    loaded = with_files(tmp_path, tiny, **{file: {"pad_token": pad}}, **({"added_tokens": {"[PAD]": 262}} if added else {}))
    assert loaded.pad_token_id == 262
    assert loaded.special_tokens == {END: 261, "[PAD]": 262}
    assert loaded.encode("[PAD]hello[PAD]") == [262, 259, 262]
    assert loaded.decode([262, 259, 261, 262], skip_special_tokens=True) == "hello"


def test_load_roles_without_ids_get_them_in_the_order_of_transformers(tiny, tmp_path):
    config = {"pad_token": "[PAD]", "image_token": "<img>", "additional_special_tokens": ["<a>", "<b>"], "cls_token": "[CLS]"}
    loaded = with_files(tmp_path, tiny, tokenizer_config=config | {"bos_token": "<s>"})
    assert loaded.encode("<s>[PAD][CLS]<img><a><b>") == [262, 263, 264, 265, 266, 267]
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id) == (262, 261, 263)
    assert loaded.role_id("image_token") == 265
    assert set(loaded.special_tokens) == {END, "<s>", "[PAD]", "[CLS]", "<img>", "<a>", "<b>"}


def test_load_special_tokens_map_wins_over_roles_in_tokenizer_config(tiny, tmp_path):
    config, old = {"pad_token": "<p1>", "eos_token": "<e1>"}, {"pad_token": "<p2>"}
    loaded = with_files(tmp_path, tiny, tokenizer_config=config, special_tokens_map=old)
    assert loaded.settings.roles["pad_token"] == "<p2>"
    assert loaded.settings.roles["eos_token"] == "<e1>"
    assert "<p1>" not in loaded.special_tokens


def test_load_added_tokens_decoder_makes_special_tokens_map_count_no_more(tiny, tmp_path):
    config = {"added_tokens_decoder": {"262": {"content": "[PAD]", "special": True}}}
    loaded = with_files(tmp_path, tiny, tokenizer_config=config, special_tokens_map={"pad_token": "[PAD]"})
    assert loaded.pad_token_id is None
    assert loaded.special_tokens == {END: 261, "[PAD]": 262}


def test_load_null_role_is_no_role(tiny, tmp_path):
    loaded = with_files(tmp_path, tiny, tokenizer_config={"bos_token": None, "add_bos_token": True})
    assert (loaded.bos_token_id, loaded.eos_token_id) == (None, 261)
    assert loaded.encode("hello") == [259]


def test_load_roles_of_a_class_without_defaults_are_only_those_named(tiny, tmp_path):
    write_json(tmp_path / "tokenizer.json", tokenizer_json(tiny))
    write_json(tmp_path / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": END})
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.bos_token_id, loaded.eos_token_id, loaded.pad_token_id) == (None, None, 261)


@pytest.mark.parametrize(("name", "warns"), [("GPT2TokenizerFast", False), (None, False), ("Qwen2Tokenizer", True), (7, True)])
def test_load_of_a_class_that_may_have_other_tokens_warns(tiny, tmp_path, name, warns):
    tiny.save(tmp_path)
    write_json(tmp_path / "tokenizer_config.json", {"tokenizer_class": name})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert Tokenizer.load(tmp_path).encode("hello") == tiny.encode("hello")
    assert [f"tokenizer_class is {name!r}" in str(warning.message) for warning in caught] == [True] * warns


def test_load_tables_beside_tokenizer_json_takes_the_added_tokens_there(tiny, tmp_path):
    tiny.save(tmp_path)
    more = Tokenizer(tiny.vocab, tiny.merges, {END: 261, "[PAD]": 262}, {"newword": 263})
    write_json(tmp_path / "tokenizer.json", tokenizer_json(more))
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.special_tokens, loaded.added_tokens) == ({END: 261, "[PAD]": 262}, {"newword": 263})


@pytest.mark.parametrize(
    ("config", "text", "ids"),
    [
        ({"add_prefix_space": True}, "hello", [260]),
        ({"add_prefix_space": False}, "hello", [259]),
        ({"add_prefix_space": None}, "hello", [259]),
        ({"add_bos_token": True}, "hello", [261, 259]),
        ({"add_eos_token": True}, "hello", [259, 261]),
        ({"add_bos_token": True, "add_eos_token": True, "add_prefix_space": True}, "hello", [261, 260, 261]),
        ({"add_bos_token": True, "bos_token": "<s>"}, "hello", [262, 259]),
        ({"split_special_tokens": True}, END[:2] + END, [60, 124, *(ord(char) for char in END)]),
    ],
)
def test_load_setting_in_tokenizer_config_is_used_and_saved(tiny, tmp_path, config, text, ids):
    loaded = with_files(tmp_path, tiny, tokenizer_config=config)
    assert loaded.encode(text) == ids
    loaded.save(tmp_path)
    assert Tokenizer.load(tmp_path).encode(text) == ids


ONLY_TEXT, BYTE_LEVEL = {"Sequence": {"id": "A", "type_id": 0}}, {"type": "ByteLevel", "trim_offsets": False}
BOS, PAD = {"SpecialToken": {"id": END, "type_id": 0}}, {"SpecialToken": {"id": "[PAD]", "type_id": 0}}
OF_TEMPLATE = {END: {"id": END, "ids": [261], "tokens": [END]}, "[PAD]": {"id": "[PAD]", "ids": [262], "tokens": ["[PAD]"]}}


def template(*parts):
    return {"type": "TemplateProcessing", "single": list(parts), "pair": [], "special_tokens": OF_TEMPLATE}


@pytest.mark.parametrize(
    ("path", "value", "ids"),
    [
        ("pre_tokenizer.add_prefix_space", True, [260]),
        ("post_processor", BYTE_LEVEL, [259]),
        ("post_processor", template(ONLY_TEXT), [259]),
        ("post_processor", template(BOS, ONLY_TEXT), [261, 259]),
        ("post_processor", template(ONLY_TEXT, BOS), [259, 261]),
        ("post_processor", template(BOS, PAD, ONLY_TEXT, PAD, BOS), [261, 262, 259, 262, 261]),
        ("post_processor", {"type": "Sequence", "processors": [BYTE_LEVEL, template(BOS, ONLY_TEXT, PAD)]}, [261, 259, 262]),
        ("post_processor", {"type": "BertProcessing", "cls": ["[PAD]", 262], "sep": [END, 261]}, [262, 259, 261]),
        ("post_processor", {"type": "RobertaProcessing", "cls": [END, 261], "sep": [END, 261]}, [261, 259, 261]),
    ],
)
def test_load_setting_in_tokenizer_json_is_used_and_saved(tiny, tmp_path, path, value, ids):
    tokenizer = Tokenizer(tiny.vocab, tiny.merges, {END: 261, "[PAD]": 262})
    write_json(tmp_path / "tokenizer.json", changed(tokenizer_json(tokenizer), path, value))
    write_json(tmp_path / "tokenizer_config.json", {"add_bos_token": True})  # tokenizer.json wins
    loaded = Tokenizer.load(tmp_path)
    assert loaded.encode("hello") == ids
    (tmp_path / "saved").mkdir()
    loaded.save(tmp_path / "saved")
    again = Tokenizer.load(tmp_path / "saved")
    assert again.encode("hello") == ids
    assert (tables(again), again.settings.roles) == (tables(loaded), loaded.settings.roles)


@pytest.mark.parametrize("flag", ["single_word", "lstrip", "rstrip", "normalized"])
@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("value", [True, False])
def test_load_flag_of_an_added_token_is_kept_and_saved(tiny, tmp_path, flag, special, value):
    entry = {"content": "[z]", "special": special, flag: value}
    loaded = with_files(tmp_path, tiny, tokenizer_config={"added_tokens_decoder": {"262": entry}})
    usual = flag == "normalized" and not special
    assert loaded.settings.flags == ({} if value == usual else {"[z]": {flag: value}})
    assert with_files(tmp_path, loaded).settings.flags == loaded.settings.flags
    written = json.loads((tmp_path / "tokenizer_config.json").read_bytes())["added_tokens_decoder"]["262"]
    assert written[flag] is value


def test_load_empty_added_token_is_ignored(tiny, tmp_path):
    loaded = with_files(tmp_path, tiny, added_tokens={"": 262, "[PAD]": 263}, special_tokens_map={"pad_token": ""})
    assert (loaded.added_tokens, loaded.pad_token_id) == ({"[PAD]": 263}, None)


# Names


def test_load_name_of_a_checkpoint_finds_its_folder(tales):
    folder = ROOT / "weights" / DEFAULT_CHECKPOINT
    for name in (DEFAULT_CHECKPOINT, DEFAULT_CHECKPOINT.swapcase(), None, folder, str(folder)):
        assert tables(Tokenizer.load(name)) == tables(tales.tokenizer)


def test_load_unknown_name_raises_as_load_does(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for name in ("nowhere", "", 5):
        with pytest.raises(NeoError, match="checkpoint"):
            Tokenizer.load(name)


# Damaged and missing files


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("model", None, "not a byte-level BPE tokenizer.json"),
        ("model.vocab", [["a", 0.5]], "not a vocabulary"),
        ("model.vocab.he", "256", "not a vocabulary"),
        ("model.vocab.he", 0, "one id to several tokens"),
        ("model.vocab", {"a": 0}, "no token for 255 of the 256 bytes"),
        ("model.merges", None, "not a byte-level BPE tokenizer.json"),
        ("model.merges.2", ["h", "e", "l"], r"\('h', 'e', 'l'\)"),
        ("model.merges.2", "he", r"\('he',\)"),
        ("model.merges.2", 5, "int"),
        ("model.merges.2", [["h"], ["e"]], r"\(\['h'\], \['e'\]\)"),
        ("model.merges", [[]], r"pair of tokens, found \(\)"),
        ("model.merges", [[], ["h", "e"]], r"pair of tokens, found \(\)"),
        ("model.merges", [""], r"pair of tokens, found \(''"),
        ("model.merges", [None], "NoneType"),
        ("model.merges", [{}], r"pair of tokens, found \(\)"),
        ("model.merges", "he", r"\('h',\)"),
        ("model.merges.2", ["q", "q"], "number 3 .*'q' .*'qq'"),
        ("added_tokens", [END], "not a byte-level BPE tokenizer.json"),
        ("added_tokens.0.id", "261", "not a vocabulary"),
        ("added_tokens.0.id", 0, "one id to several tokens"),  # which is another token's in the vocabulary
        ("added_tokens.0", {"id": 999, "content": "he", "special": True}, "'he'"),  # which is 256 in the vocabulary
        ("added_tokens.0.content", 5, "not a vocabulary"),
        ("added_tokens.0.lstrip", "yes", "lstrip 'yes', expected true or false"),
        ("added_tokens", {"a": 1}, "not a byte-level BPE tokenizer.json"),
        ("post_processor", "ByteLevel", "not a byte-level BPE tokenizer.json"),
        ("post_processor", {"type": "TemplateProcessing"}, "not a byte-level BPE tokenizer.json"),
        ("post_processor", {"type": "BertProcessing", "cls": ["x", "y"], "sep": ["x", 1]}, "'y' where an id should be"),
        ("post_processor", {"type": "BertProcessing", "cls": [], "sep": []}, "not a byte-level BPE tokenizer.json"),
        ("post_processor", {"type": "BertProcessing", "cls": ["x", 999], "sep": ["x", 1]}, "the id 999 is put around"),
        ("post_processor", {"type": "TemplateProcessing", "single": [], "special_tokens": {}}, "the text 0 times"),
        ("model.vocab", {}, "no token for 256 of the 256 bytes"),
    ],
)
def test_load_damaged_tokenizer_json_raises_with_the_reason(tiny, tmp_path, path, value, message):
    write_json(tmp_path / "tokenizer.json", changed(tokenizer_json(tiny), path, value))
    with pytest.raises(NeoError, match=message) as error:
        Tokenizer.load(tmp_path)
    assert str(tmp_path / "tokenizer.json") in str(error.value)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("vocab.json", "{", "not valid JSON"),
        ("vocab.json", b'{"\xff": 1}', "not UTF-8"),
        ("vocab.json", "[]", "not a vocabulary"),
        ("vocab.json", '{"a": -1}', "not a vocabulary"),
        ("vocab.json", '{"a": "1"}', "not a vocabulary"),
        ("vocab.json", '{"a": 1.0}', "not a vocabulary"),
        ("vocab.json", '{"a": true}', "not a vocabulary"),
        ("vocab.json", '{"a": 1, "b": 1}', "one id to several tokens"),
        ("vocab.json", '{"a": 1, "b": 2}', "no token for 254 of the 256 bytes"),
        ("vocab.json", json.dumps({t: id for t, id in bytes_vocab().items() if t != "Ġ"}), "no token for 1 .* 0x20"),
        ("merges.txt", "#version: 0.2\nh e\nl l x\n", "line 3.* 'l l x'"),
        ("merges.txt", "#version: 0.2\nh\n", "line 2.* 'h'"),
        ("merges.txt", "#version: 0.2\nh  e\n", "line 2.* 'h  e'"),
        ("merges.txt", "h e\nx x\n", "number 2 .*'x' .*'xx'"),
        ("merges.txt", b"h e\n\xff l\n", "not UTF-8"),
        ("merges.txt", "h e\n".encode("utf-16"), "not UTF-8 .*UTF-16"),
        ("vocab.json", '{"\\ud800": 1}', "lone surrogate"),
        ("added_tokens.json", "{", "not valid JSON"),
        ("added_tokens.json", "[]", "not a vocabulary"),
        ("added_tokens.json", '{"newword": "262"}', "not a vocabulary"),
        ("added_tokens.json", '{"newword": -1}', "not a vocabulary"),
        ("added_tokens.json", '{"newword": 5}', "one id to several tokens"),  # it is another token's in vocab.json
        ("tokenizer_config.json", "{", "not valid JSON"),
        ("tokenizer_config.json", '{"added_tokens_decoder": []}', "added_tokens_decoder"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"x": {"content": "y"}}}', "added_tokens_decoder"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"262": {}}}', "'content'"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"-1": {"content": "y"}}}', "ids from 0 on"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"5": {"content": "y"}}}', "one id to several tokens"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"262": {"content": "y y", "lstrip": 1}}}', "'y y' has lstrip 1"),
        ("tokenizer_config.json", '{"added_tokens_decoder": {"262": {"content": "\\ud800"}}}', "lone surrogate"),
        ("tokenizer_config.json", "[]", "must hold one JSON object"),
        ("tokenizer_config.json", '{"pad_token": 5}', "pad_token must be a token"),
        ("tokenizer_config.json", '{"pad_token": {"lstrip": true}}', "pad_token must be a token"),
        ("tokenizer_config.json", '{"additional_special_tokens": [5]}', "must be a token"),
        ("tokenizer_config.json", '{"additional_special_tokens": "x"}', "must be a list of tokens"),
        ("tokenizer_config.json", '{"extra_special_tokens": {"x_token": 1}}', "x_token must be a token"),
        ("tokenizer_config.json", '{"add_prefix_space": "no"}', "add_prefix_space is 'no', expected true or false"),
        ("tokenizer_config.json", '{"add_bos_token": 1}', "add_bos_token is 1, expected true or false"),
        ("tokenizer_config.json", '{"split_special_tokens": []}', "split_special_tokens is"),
        ("special_tokens_map.json", "{", "not valid JSON"),
        ("special_tokens_map.json", "[]", "must hold one JSON object"),
        ("special_tokens_map.json", '{"bos_token": [1]}', "bos_token must be a token"),
        ("chat_template.jinja", b"\xff", "not UTF-8"),
        ("tokenizer.json", "{", "not valid JSON"),
        ("tokenizer.json", "[]", "not a byte-level BPE tokenizer.json"),
        ("tokenizer.json", "{}", "not a byte-level BPE tokenizer.json"),
    ],
)
def test_load_damaged_file_raises_with_the_reason(tiny, tmp_path, file, content, message):
    if file != "tokenizer.json":
        tiny.save(tmp_path)
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(NeoError, match=message) as error:
        Tokenizer.load(tmp_path)
    assert str(tmp_path / file) in str(error.value)


@pytest.mark.parametrize(
    ("present", "message"),
    [
        ((), "vocab.json and merges.txt missing"),
        (("vocab.json",), "merges.txt missing"),
        (("merges.txt",), "vocab.json missing"),
    ],
)
def test_load_missing_file_raises_with_its_name(tiny, tmp_path, present, message):
    tiny.save(tmp_path)
    for file in tmp_path.iterdir():
        if file.name not in present:
            file.unlink()
    with pytest.raises(NeoError, match=message) as error:
        Tokenizer.load(tmp_path)
    assert str(tmp_path) in str(error.value)
    with pytest.raises(NeoError, match="no tokenizer"):
        Tokenizer.load(tmp_path / "nowhere")


# Writing


def test_save_then_load_gives_an_equal_tokenizer(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    assert tables(Tokenizer.load(tmp_path)) == tables(tokenizer)
    assert list(Tokenizer.load(tmp_path).vocab) == list(tokenizer.vocab)


def test_save_tables_of_gpt2_are_the_published_ones(gpt2_tokenizer, tmp_path):
    gpt2_tokenizer.save(tmp_path)
    assert (tmp_path / "merges.txt").read_bytes() == (GPT2 / "merges.txt").read_bytes()
    saved, published = (json.loads((folder / "vocab.json").read_bytes()) for folder in (tmp_path, GPT2))
    assert saved == published


def test_save_then_load_added_tokens_keep_their_kind(tiny, tmp_path):
    special, added = {END: 261, "[PAD]": 262, "hell": 258}, {"newword": 263, "日本": 264, "hello": 259}
    tokenizer = Tokenizer(tiny.vocab, tiny.merges, special, added)
    tokenizer.save(tmp_path)
    assert tables(Tokenizer.load(tmp_path)) == tables(tokenizer)


def test_save_into_a_folder_of_another_tokenizer_replaces_its_files(tiny, tmp_path):
    Tokenizer(tiny.vocab, tiny.merges, added_tokens={"newword": 262}).save(tmp_path)
    tiny.save(tmp_path)
    assert tables(Tokenizer.load(tmp_path)) == tables(tiny)
    write_json(tmp_path / "added_tokens.json", {"newword": 262})  # of an older transformers
    tiny.save(tmp_path)
    assert tables(Tokenizer.load(tmp_path)) == tables(tiny)


def test_save_with_the_settings_of_gpt2_writes_two_files(tiny, tmp_path):
    with_files(tmp_path, tiny).save(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["merges.txt", "vocab.json"]


def test_save_keeps_entries_that_mean_nothing_here(tiny, tmp_path):
    config = {"model_max_length": 2048, "padding_side": "left", "chat_template": "{{ x }}", "errors": "strict", "é": [1, None]}
    loaded = with_files(tmp_path, tiny, tokenizer_config=config)
    (tmp_path / "saved").mkdir()
    loaded.save(tmp_path / "saved")
    written = json.loads((tmp_path / "saved" / "tokenizer_config.json").read_bytes())
    assert {name: written[name] for name in config} == config
    assert written["tokenizer_class"] == "GPT2Tokenizer"


def test_save_writes_the_roles_of_special_tokens_map(tiny, tmp_path):
    old = {"pad_token": {"content": "[PAD]", **FLAGS, "lstrip": True}, "additional_special_tokens": ["<a>"]}
    loaded = with_files(tmp_path, tiny, special_tokens_map=old)
    loaded.save(tmp_path)
    assert not (tmp_path / "special_tokens_map.json").exists()
    again = Tokenizer.load(tmp_path)
    assert (tables(again), again.settings.flags) == (tables(loaded), {"[PAD]": {"lstrip": True}})
    assert again.pad_token_id == loaded.pad_token_id
    written = json.loads((tmp_path / "tokenizer_config.json").read_bytes())
    assert (written["pad_token"], written["additional_special_tokens"]) == ("[PAD]", ["<a>"])


def test_save_keeps_the_chat_template_file(tiny, tmp_path):
    tiny.save(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ messages }}", encoding="utf-8")
    loaded = Tokenizer.load(tmp_path)
    loaded.save(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_bytes())["chat_template"] == "{{ messages }}"


def test_save_without_end_of_text_says_that_there_are_no_roles(tmp_path):
    """transformers would make `<|endoftext|>` a new token."""
    Tokenizer(bytes_vocab(), []).save(tmp_path)
    written = json.loads((tmp_path / "tokenizer_config.json").read_bytes())
    assert [written[role] for role in ("bos_token", "eos_token", "unk_token")] == [None] * 3


def test_save_beside_tokenizer_json_raises(tiny, tmp_path):
    """It would win when the folder is loaded, and it may be the only copy."""
    write_json(tmp_path / "tokenizer.json", tokenizer_json(tiny))
    before = (tmp_path / "tokenizer.json").read_bytes()
    with pytest.raises(NeoError, match="choose another folder"):
        Tokenizer.load(tmp_path).save(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["tokenizer.json"]
    assert (tmp_path / "tokenizer.json").read_bytes() == before


def test_tokenizer_files_are_all_that_is_read_and_written():
    """Downloads ask for these names, and saving a checkpoint moves or deletes these files."""
    names = {files.TOKENIZER_JSON, tables_module.VOCAB, tables_module.MERGES, tokenizer_config.CONFIG}
    names |= {tokenizer_config.CHAT_TEMPLATE, tokenizer_config.OLD_ROLES, tokenizer_config.OLD_ADDED}
    assert names == set(TOKENIZER_FILES)


# Property: whatever the settings are, they come back


NAMES = ["[PAD]", "<s>", "newword", " x", "日本", "<a>"]
ROLES = ["bos_token", "eos_token", "unk_token", "pad_token", "cls_token", "image_token"]
TOKEN_FLAGS = st.dictionaries(st.sampled_from(["single_word", "lstrip", "rstrip", "normalized", "special"]), st.booleans())


@given(
    roles=st.dictionaries(st.sampled_from(ROLES), st.sampled_from([*NAMES, END, None])),
    flags=st.dictionaries(st.sampled_from(NAMES), TOKEN_FLAGS),
    settings=st.dictionaries(
        st.sampled_from(["add_prefix_space", "add_bos_token", "add_eos_token", "split_special_tokens"]), st.booleans()
    ),
    text=st.lists(st.sampled_from([*NAMES, END, "hello", " ", "a"])).map("".join),
)
def test_save_then_load_any_settings_give_the_same_ids(tmp_path_factory, roles, flags, settings, text):
    folder, tiny = tmp_path_factory.mktemp("tokenizer"), tiny_tokenizer()
    entries = {262 + n: {"content": token, **token_flags} for n, (token, token_flags) in enumerate(flags.items())}
    config = {**roles, **settings, "added_tokens_decoder": entries}
    loaded = with_files(folder, tiny, tokenizer_config=config)
    again = with_files(folder, loaded)
    assert tables(again) == tables(loaded)
    assert again.settings.roles == loaded.settings.roles
    assert again.encode_with_offsets(text) == loaded.encode_with_offsets(text)
    ids = again.encode(text)
    assert again.decode(ids, skip_special_tokens=True) == loaded.decode(ids, skip_special_tokens=True)
