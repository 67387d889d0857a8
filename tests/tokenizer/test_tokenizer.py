"""The tokenizer as a whole: published tables and encodings, ids to text and back, offsets, roles, what is no text."""

import hashlib
import pickle

import numpy as np
import pytest
from helpers import ROOT
from hypothesis import given
from hypothesis import strategies as st
from tokenizer_cases import END, HALF_EMOJI, ID_LISTS, TEXTS, UNPRINTABLE, bytes_vocab, tables, tiny_tokenizer

from neo_np import NeoError, Tokenizer
from neo_np.tokenizer.byte_alphabet import byte_ids
from neo_np.tokenizer.merge import merge_pair, merge_rules, merge_steps
from neo_np.tokenizer.settings import Settings

GPT2 = ROOT / "weights" / "gpt-neo-125M"


@pytest.fixture(scope="module", params=["gpt2", "tales"])
def tokenizer(request, gpt2_tokenizer, tales):
    return {"gpt2": gpt2_tokenizer, "tales": tales.tokenizer}[request.param]


# GPT-2's tables and published encodings


@pytest.mark.parametrize(
    ("file", "sha256"),
    [
        ("vocab.json", "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"),
        ("merges.txt", "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"),
    ],
)
def test_tables_of_gpt2_are_the_published_ones(file, sha256):
    assert hashlib.sha256((GPT2 / file).read_bytes()).hexdigest() == sha256


def test_len_of_gpt2_is_the_published_one(gpt2_tokenizer):
    assert (len(gpt2_tokenizer), len(gpt2_tokenizer.merges)) == (50257, 50000)
    assert gpt2_tokenizer.special_tokens == {END: 50256}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("Hello world", [15496, 995]),  # this and the next: the documentation of transformers' GPT2Tokenizer
        (" Hello world", [18435, 995]),
        ("hello world", [31373, 995]),  # this and all below: the tests of tiktoken
        ("hello " + END, [31373, 220, 50256]),
        ("", []),
        ("0", [15]),
        ("00", [405]),
        ("000", [830]),
        ("0000", [2388]),
        ("00000", [20483]),
        ("0000000", [24598]),
        ("0" * 8, [8269]),
        ("0" * 9, [10535, 830]),
        ("0" * 15, [8269, 24598]),
        ("0" * 16, [25645]),
        ("0" * 17, [8269, 10535, 830]),
    ],
)
def test_encode_published_example_gives_the_published_ids(gpt2_tokenizer, text, ids):
    assert gpt2_tokenizer.encode(text) == ids
    assert gpt2_tokenizer.decode(ids) == text


def test_token_bytes_of_the_first_256_ids_are_in_the_published_order(gpt2_tokenizer):
    """GPT-2 numbers the bytes that print first, then the others: the space is 220, the newline 198."""
    printable = [byte for byte in range(256) if byte not in UNPRINTABLE]
    assert [gpt2_tokenizer.token_bytes(id) for id in range(256)] == [bytes([byte]) for byte in printable + UNPRINTABLE]
    assert gpt2_tokenizer.encode(" ") + gpt2_tokenizer.encode("\n") == [220, 198]


def test_encode_control_character_gives_its_byte(gpt2_tokenizer):
    for code in (*range(32), 127):
        assert gpt2_tokenizer.encode(chr(code)) == [188 + UNPRINTABLE.index(code)]


# text -> ids


@given(text=TEXTS)
def test_encode_any_text_merges_each_pre_token_by_the_simple_loop(tokenizer, text):
    """So chunks, cache and heap change nothing, and no token crosses the border of a pre-token."""
    rules, id_of_byte, expected = merge_rules(tokenizer.merges, tokenizer.vocab), byte_ids(tokenizer.vocab), []
    for word in tokenizer.pre_tokenize(text):
        *_, (_, ids) = merge_steps([id_of_byte[byte] for byte in word.encode()], *rules)
        expected += ids
    assert tokenizer.encode(text, split_special_tokens=True) == expected


@pytest.mark.parametrize(
    ("text", "special", "plain"),
    [
        (END, [50256], [27, 91, 437, 1659, 5239, 91, 29]),
        (f"a{END}b", [64, 50256, 65], [64, 27, 91, 437, 1659, 5239, 91, 29, 65]),
        (END + END, [50256, 50256], [27, 91, 437, 1659, 5239, 91, 6927, 91, 437, 1659, 5239, 91, 29]),
        (END[:-1], [27, 91, 437, 1659, 5239, 91], [27, 91, 437, 1659, 5239, 91]),
    ],
)
def test_encode_end_of_text_is_one_token_or_plain_text(gpt2_tokenizer, text, special, plain):
    assert gpt2_tokenizer.encode(text) == special
    assert gpt2_tokenizer.encode(text, split_special_tokens=True) == plain


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ((["a", "b"],), "got list: encode its texts one by one."),
        ((b"a",), r"got bytes: use text.decode\(\)."),
        ((None,), "got NoneType."),
        (("a", "b"), "encode takes one text; the second one, 'b'"),
        (("a", ["b"]), "encode takes one text; the second one"),
    ],
)
def test_encode_of_something_else_than_one_text_is_refused(gpt2_tokenizer, arguments, advice):
    for encode in (gpt2_tokenizer.encode, gpt2_tokenizer.encode_with_offsets):
        with pytest.raises(NeoError, match=advice):
            encode(*arguments)


def test_encode_bad_text_raises(gpt2_tokenizer):
    for call in (
        gpt2_tokenizer.encode,
        gpt2_tokenizer.encode_with_offsets,
        gpt2_tokenizer.pre_tokenize,
        gpt2_tokenizer.watch,
    ):
        with pytest.raises(NeoError, match=r"lone surrogate, U\+D83D, at position 2"):
            call("ab\ud83dc")
        with pytest.raises(NeoError, match=r"lone surrogate, U\+DFFF, at position 0"):
            call("\udfff")
        for other in (b"ab", None, 5, ["ab"]):
            with pytest.raises(NeoError, match=f"one str, and got {type(other).__name__}"):
                call(other)


def test_call_raises_with_the_right_call(gpt2_tokenizer):
    for arguments in ((), ("text",), (["text"],)):
        with pytest.raises(TypeError, match=r"tokenizer\.encode\(text\)"):
            gpt2_tokenizer(*arguments, return_tensors="pt")


# Settings: the values are those of transformers, see tests/parity/test_tokenizer_files_parity.py


@pytest.mark.parametrize(
    ("settings", "text", "ids", "offsets"),
    [
        ({}, "Hello world", [15496, 995], [(0, 5), (5, 11)]),
        ({"add_prefix_space": True}, "Hello world", [18435, 995], [(0, 5), (5, 11)]),
        ({"add_prefix_space": True}, " Hello", [18435], [(0, 6)]),
        ({"add_prefix_space": True}, "\nHello", [220, 198, 15496], [(0, 1), (0, 1), (1, 6)]),
        ({"add_prefix_space": True}, "", [], []),
        (
            {"add_prefix_space": True},
            f"Hello{END}world{END} x",
            [18435, 50256, 995, 50256, 2124],
            [(0, 5), (5, 18), (18, 23), (23, 36), (36, 38)],
        ),
        ({"before": (50256,)}, "Hello world", [50256, 15496, 995], [(0, 0), (0, 5), (5, 11)]),
        ({"before": (50256,)}, "", [50256], [(0, 0)]),
        ({"after": (50256,)}, "Hello world", [15496, 995, 50256], [(0, 5), (5, 11), (0, 0)]),
        ({"split_special_tokens": True}, f"!{END}"[:3], [0, 27, 91], [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_encode_settings_change_the_ids_as_in_transformers(gpt2_tokenizer, settings, text, ids, offsets):
    tokenizer = Tokenizer(gpt2_tokenizer.vocab, gpt2_tokenizer.merges, settings=Settings(**settings))
    assert tokenizer.encode(text) == ids
    assert tokenizer.encode_with_offsets(text) == (ids, offsets)


def test_encode_arguments_win_over_settings(gpt2_tokenizer):
    settings = Settings(add_prefix_space=True, split_special_tokens=True, before=(50256,), after=(0,))
    tokenizer = Tokenizer(gpt2_tokenizer.vocab, gpt2_tokenizer.merges, settings=settings)
    text = f"Hello{END}"
    assert tokenizer.encode(text) == [50256, *gpt2_tokenizer.encode(f" Hello{END}", True), 0]
    assert tokenizer.encode(text, False, False, False) == gpt2_tokenizer.encode(text) == [15496, 50256]
    assert tokenizer.encode_with_offsets(text, False, False, False) == gpt2_tokenizer.encode_with_offsets(text)


def test_tokenizer_id_around_texts_without_a_token_raises(gpt2_tokenizer):
    with pytest.raises(NeoError, match="50257"):
        Tokenizer(gpt2_tokenizer.vocab, gpt2_tokenizer.merges, settings=Settings(before=(50257,)))


def test_roles_of_gpt2_are_end_of_text(gpt2_tokenizer):
    ids = gpt2_tokenizer.bos_token_id, gpt2_tokenizer.eos_token_id, gpt2_tokenizer.pad_token_id
    assert ids == (50256, 50256, None)
    assert gpt2_tokenizer.role_id("unk_token") == 50256
    assert gpt2_tokenizer.role_id("cls_token") is None


def test_roles_without_end_of_text_are_none():
    tokenizer = Tokenizer(bytes_vocab(), [])
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (None, None, None)


# ids -> text


@given(text=TEXTS, split=st.booleans())
def test_decode_of_encoded_text_is_the_text(tokenizer, text, split):
    assert tokenizer.decode(tokenizer.encode(text, split_special_tokens=split)) == text


@pytest.mark.parametrize("step", [31, pytest.param(1, marks=pytest.mark.slow)])
def test_decode_every_character_comes_back(gpt2_tokenizer, step):
    """Beyond the first 65,536, of which most are no characters yet, one in `step`: 31 is prime, so all last bytes occur."""
    text = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x10000), *range(0x10000, 0x110000, step))))
    assert gpt2_tokenizer.decode(gpt2_tokenizer.encode(text)) == text


@given(ids=ID_LISTS)
def test_decode_any_ids_joins_their_bytes(gpt2_tokenizer, ids):
    data = b"".join(gpt2_tokenizer.token_bytes(id) for id in ids)
    assert gpt2_tokenizer.decode_bytes(ids) == data
    for errors in ("replace", "ignore", "backslashreplace"):
        assert gpt2_tokenizer.decode(ids, errors=errors) == data.decode("utf-8", errors)


def test_decode_half_a_character_gives_a_replacement_character(gpt2_tokenizer):
    assert gpt2_tokenizer.decode([HALF_EMOJI, 222]) == "\U0001f600"
    assert gpt2_tokenizer.decode([HALF_EMOJI]) == "\ufffd"
    with pytest.raises(UnicodeDecodeError):
        gpt2_tokenizer.decode([HALF_EMOJI], errors="strict")


def test_decode_skip_special_tokens_leaves_them_out(gpt2_tokenizer):
    ids = [50256, 15496, 50256, 995]
    assert gpt2_tokenizer.decode(ids) == f"{END}Hello{END} world"
    assert gpt2_tokenizer.decode(ids, skip_special_tokens=True) == "Hello world"
    # the halves meet once the special token between them is gone
    assert gpt2_tokenizer.decode([HALF_EMOJI, 50256, 222], skip_special_tokens=True) == "\U0001f600"


def test_decode_any_iterable_of_integers_is_taken(gpt2_tokenizer):
    for ids in ([15496, 995], (15496, 995), iter([15496, 995]), np.array([15496, 995]), np.array([15496, 995], np.uint16)):
        assert gpt2_tokenizer.decode(ids) == "Hello world"


@pytest.mark.parametrize("id", [-1, 50257, 2**70])
def test_decode_unknown_id_raises(gpt2_tokenizer, id):
    for call in (gpt2_tokenizer.token_bytes, gpt2_tokenizer.stream_decoder().push, lambda id: gpt2_tokenizer.decode([id])):
        with pytest.raises(NeoError, match=rf"{id} is not the id of a token.* 50257.* 50256"):
            call(id)


@pytest.mark.parametrize("id", [1.0, "1", None, [1]])
def test_token_bytes_of_what_is_no_integer_raises(gpt2_tokenizer, id):
    for call in (gpt2_tokenizer.token_bytes, gpt2_tokenizer.token_string):
        with pytest.raises(NeoError, match="whole number"):
            call(id)


@pytest.mark.parametrize("ids", [5, None, "abc", "12", ["5"], [None], [1.5], [float("nan")], [[1, 2]], np.ones((2, 1), int)])
def test_decode_what_is_no_flat_list_of_integers_raises(gpt2_tokenizer, ids):
    with pytest.raises(NeoError, match="flat list of token ids"):
        gpt2_tokenizer.decode(ids)


def test_token_strings_show_bytes_of_unfinished_characters(gpt2_tokenizer):
    strings = gpt2_tokenizer.token_strings(gpt2_tokenizer.encode(f"A é\n\U0001f600{END}"))
    assert strings == ["A", " é", "\n", r"\xf0\x9f\x98", r"\x80", END]
    assert gpt2_tokenizer.token_string(50256) == END


def test_decode_token_outside_the_byte_alphabet_is_its_own_text():
    """Tables that others extended by hand have such tokens."""
    tiny = tiny_tokenizer()
    tokenizer = Tokenizer(tiny.vocab | {"日本": 999, "a b": 1000, "\x80": 1001}, tiny.merges)
    assert tokenizer.decode([999, 1000, 1001]) == "日本a b\x80"


def test_decode_ids_far_apart_take_little_memory():
    """A list with one place for each id up to the highest would take terabytes."""
    tokenizer = Tokenizer(bytes_vocab() | {"ab": 10**12}, [("a", "b")])
    assert tokenizer.decode(tokenizer.encode("cabc")) == "cabc"


# Offsets


@given(text=TEXTS, split=st.booleans())
def test_offsets_any_text_give_the_characters_of_each_token(tokenizer, text, split):
    ids, offsets = tokenizer.encode_with_offsets(text, split_special_tokens=split)
    assert ids == tokenizer.encode(text, split_special_tokens=split)
    data, end = text.encode(), 0
    expected = []
    for id in ids:
        begin, end = end, end + len(tokenizer.token_bytes(id))
        # "ignore" drops a character that the cut leaves unfinished, "replace" counts it as one
        expected.append((len(data[:begin].decode(errors="ignore")), len(data[:end].decode(errors="replace"))))
    assert offsets == expected


def test_offsets_of_a_shared_character_are_the_whole_character(gpt2_tokenizer):
    ids, offsets = gpt2_tokenizer.encode_with_offsets(f"hi \U0001f600{END}!")
    assert ids == [5303, 30325, 222, 50256, 0]
    assert offsets == [(0, 2), (2, 4), (3, 4), (4, 17), (17, 18)]
    assert gpt2_tokenizer.encode_with_offsets("") == ([], [])


# Watching


@given(word=st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1).map(lambda word: " " + word))
def test_watch_any_word_shows_every_rule_at_work(tokenizer, word):
    (no_rule, tokens), *steps = tokenizer.watch(word)
    assert (no_rule, tokens) == (None, list(word))
    for rule, after in steps:
        left, right = tokenizer.merges[rule["rank"]]
        assert (rule["left"].replace(" ", "Ġ"), rule["right"].replace(" ", "Ġ")) == (left, right)
        assert after != tokens
        assert after == (tokens := merge_pair(tokens, (rule["left"], rule["right"]), rule["left"] + rule["right"]))
    assert tokens == tokenizer.token_strings(tokenizer.encode(word))


def test_watch_known_word_shows_its_published_rules(gpt2_tokenizer):
    """The first merges of GPT-2's table are Ġ t, Ġ a, h e, i n (rank 3), r e."""
    assert gpt2_tokenizer.watch("in") == [(None, ["i", "n"]), ({"rank": 3, "left": "i", "right": "n"}, ["in"])]
    assert gpt2_tokenizer.watch("x") == [(None, ["x"])]
    assert gpt2_tokenizer.watch("\U0001f600")[0] == (None, [r"\xf0", r"\x9f", r"\x98", r"\x80"])
    assert gpt2_tokenizer.watch("\U0001f600")[-1][1] == [r"\xf0\x9f\x98", r"\x80"]


@pytest.mark.parametrize(("text", "count"), [("two words", 2), ("", 0), (END, 3)])
def test_watch_what_is_not_one_pre_token_raises(gpt2_tokenizer, text, count):
    with pytest.raises(NeoError, match=rf"cut into {count} pre-tokens"):
        gpt2_tokenizer.watch(text)


# Tables


def test_tokenizer_tables_of_two_models_raise():
    tiny = tiny_tokenizer()
    with pytest.raises(NeoError, match=r"merge number 1 .*'x' \+ 'y'.*'xy'"):
        Tokenizer(tiny.vocab, [("x", "y")])
    with pytest.raises(NeoError, match=r"no token for 1 of the 256 bytes .*0x61"):
        Tokenizer({token: id for token, id in tiny.vocab.items() if token != "a"}, [])


@pytest.mark.parametrize(
    ("special", "added", "message"),
    [
        ({"": 300}, {}, "the id 300 is empty"),
        ({}, {"": 300}, "the id 300 is empty"),
        ({"\ud800": 300}, {}, r"'\\ud800' has a lone surrogate"),
        ({"x y": 0}, {}, "one id to several tokens"),
        ({}, {"a": 300}, "'a' has the id 300, and the vocabulary gives it 97"),
    ],
)
def test_tokenizer_bad_added_token_raises(special, added, message):
    with pytest.raises(NeoError, match=message):
        Tokenizer(bytes_vocab(), [], special, added)


def test_pickled_tokenizer_is_an_equal_tokenizer(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    text = f"One morning, a king said: \U0001f600{END}"
    assert tables(copy) == tables(tokenizer)
    assert copy.encode_with_offsets(text) == tokenizer.encode_with_offsets(text)
    assert copy.decode(copy.encode(text), skip_special_tokens=True) == text.removesuffix(END)
