"""The tokenizer: published tables and encodings, the definition of BPE, properties for all texts, files good and bad."""

import hashlib
import json
import pickle
import re
import time
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import regex
from hypothesis import given
from hypothesis import strategies as st

import neo_np.tokenizer
from neo_np import NeoError, Tokenizer

GPT2 = Path(__file__).resolve().parent.parent.parent / "weights" / "gpt-neo-125M"
END = "<|endoftext|>"
HALF_EMOJI = 47249  # the first three of the four bytes of U+1F600; 222 is the fourth

# How the tables spell bytes: as the Latin-1 character, or, for the 68 that do not print, by U+0100 and what follows.
UNPRINTABLE = [*range(33), *range(127, 161), 173]
SPELLED = {byte: chr(256 + UNPRINTABLE.index(byte)) if byte in UNPRINTABLE else chr(byte) for byte in range(256)}

SPICE = [END, END[:-1], " ", "  ", " the", " 4", "\n", "\r\n", "\t", "\xa0", "\u3000", "\u200b", "\x00", "\x1c", "\x7f", "\x85"]
SPICE += "'s 'S ' don't Hello 123 ² ½ ٣ ! _ \xad é e\u0301 日本語 שלום \ufffd \ufeff \uffff 🇩🇪 👩\u200d👩\u200d👧".split()
SPICE += ["\U0001d518", "\U0001f600", "\U00020000", "\U000e0041", "\U000f0000", "\U0010ffff"]
TEXTS = st.lists(st.sampled_from(SPICE) | st.text(max_size=5), max_size=12).map("".join)
# The ids below 256 are the single bytes: a list of them is most often broken UTF-8.
ID_LISTS = st.lists(st.integers(0, 255) | st.integers(0, 50256) | st.sampled_from([50256, HALF_EMOJI, 222]), max_size=20)


@pytest.fixture(scope="module", params=["gpt2", "tales"])
def tokenizer(request, gpt2_tokenizer, tales):
    return {"gpt2": gpt2_tokenizer, "tales": tales.tokenizer}[request.param]


def slow_bpe(tokenizer, word):
    """The definition: of all neighbours, merge the pair of lowest rank, everywhere from left to right; repeat."""
    ranks = ranks_of(tokenizer)
    tokens = [SPELLED[byte] for byte in word.encode()]
    while pairs := [pair for pair in pairwise(tokens) if pair in ranks]:
        tokens = apply_rule(tokens, *min(pairs, key=ranks.get))
    return [tokenizer.vocab[token] for token in tokens]


def apply_rule(tokens, left, right):
    merged = []
    while tokens:
        here = 2 if tokens[:2] == [left, right] else 1
        merged.append("".join(tokens[:here]))
        tokens = tokens[here:]
    return merged


@cache
def ranks_of(tokenizer):
    return {pair: rank for rank, pair in enumerate(tokenizer.merges)}


# GPT-2's tables and published encodings


@pytest.mark.parametrize(
    ("file", "sha256"),
    [
        ("vocab.json", "196139668be63f3b5d6574427317ae82f612a97c5d1cdaf36ed2256dbf636783"),
        ("merges.txt", "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"),
    ],
)
def test_tables_are_the_published_ones(file, sha256):
    assert hashlib.sha256((GPT2 / file).read_bytes()).hexdigest() == sha256


def test_sizes_of_gpt2(gpt2_tokenizer):
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
def test_published_encodings(gpt2_tokenizer, text, ids):
    assert gpt2_tokenizer.encode(text) == ids
    assert gpt2_tokenizer.decode(ids) == text


def test_every_byte_has_its_published_id(gpt2_tokenizer):
    """GPT-2 numbers the bytes that print first, then the others: the space is 220, the newline 198."""
    printable = [byte for byte in range(256) if byte not in UNPRINTABLE]
    assert [gpt2_tokenizer.token_bytes(id) for id in range(256)] == [bytes([byte]) for byte in printable + UNPRINTABLE]
    assert gpt2_tokenizer.encode(" ") + gpt2_tokenizer.encode("\n") == [220, 198]


def test_each_control_character_is_its_byte(gpt2_tokenizer):
    for code in (*range(32), 127):
        assert gpt2_tokenizer.encode(chr(code)) == [188 + UNPRINTABLE.index(code)]


# Cutting into pre-tokens


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("I'll say we've  20% more!!", ["I", "'ll", " say", " we", "'ve", " ", " 20", "%", " more", "!!"]),
        ("It'S 'tis o'clock's", ["It", "'", "S", " '", "tis", " o", "'", "clock", "'s"]),  # only lower case; anywhere
        ("'m'd't're", ["'m", "'d", "'t", "'re"]),
        ("a1b²_½", ["a", "1", "b", "²", "_", "½"]),  # numbers of every kind, but not the underscore
        ("a \n\n b\n", ["a", " \n\n", " b", "\n"]),  # the last white space goes with the word, if it is a space
        ("a\n\nb\tc", ["a", "\n", "\n", "b", "\t", "c"]),
        ("x   ", ["x", "   "]),
        ("a\xa0b\u3000c\x85d", ["a", "\xa0", "b", "\u3000", "c", "\x85", "d"]),  # white space that is not the space
        ("a\x1cb\x00\u200b", ["a", "\x1c", "b", "\x00\u200b"]),  # Python's str.isspace counts U+001C, Unicode does not
        ("naïve e\u0301t 日本語", ["naïve", " e", "\u0301", "t", " 日本語"]),  # a combining mark is no letter
        ("<|endoftext|>", ["<|", "endoftext", "|>"]),
    ],
)
def test_pre_tokens(tokenizer, text, pieces):
    assert tokenizer.pre_tokenize(text) == pieces


@given(text=TEXTS)
def test_pre_tokens_joined_are_the_text(tokenizer, text):
    assert "".join(tokenizer.pre_tokenize(text)) == text


# Merging


@given(text=TEXTS)
def test_encode_is_bpe_by_definition_on_each_pre_token(tokenizer, text):
    """So merges never cross the border of a pre-token."""
    expected = [id for piece in tokenizer.pre_tokenize(text) for id in slow_bpe(tokenizer, piece)]
    assert tokenizer.encode(text, split_special_tokens=True) == expected


@given(text=TEXTS)
def test_merges_never_cross_the_border_of_a_pre_token(tokenizer, text):
    pieces = tokenizer.pre_tokenize(text)
    assert tokenizer.encode(text, True) == [id for piece in pieces for id in tokenizer.encode(piece, True)]


@given(
    pairs=st.lists(st.tuples(st.integers(0, 99), st.integers(0, 99)), max_size=30),
    words=st.lists(st.text("abc", max_size=40), max_size=10),
    order=st.randoms(use_true_random=False),
)
def test_encode_is_bpe_by_definition_for_any_merges(pairs, words, order):
    tokens, merges = ["a", "b", "c"], []
    for left, right in pairs:
        pair = tokens[left % len(tokens)], tokens[right % len(tokens)]
        if pair not in merges and len("".join(pair)) <= 40:
            merges.append(pair)
            tokens.append("".join(pair))
    order.shuffle(merges)  # stranger than what is ever learned: a token may come before its parts, or of two rules
    tokenizer = Tokenizer(bytes_vocab(dict.fromkeys(tokens[3:])), merges)
    for word in words:
        assert tokenizer.encode(word) == slow_bpe(tokenizer, word)


LONG_RUNS = {
    "spaces": lambda n: " " * n,
    "spaces before a word": lambda n: " " * (n - 1) + "x",
    "newlines": lambda n: "\n" * n,
    "letters": lambda n: "a" * n,
    "alternating letters": lambda n: "ab" * (n // 2),
    "random letters": lambda n: "".join(map(chr, np.random.default_rng(0).integers(97, 123, n))),
    "digits": lambda n: "0" * n,
    "dashes": lambda n: "-" * n,
    "emoji": lambda n: "\U0001f600" * n,
    "white space and apostrophes": lambda n: " '" * (n // 2),
}


@pytest.mark.parametrize("run", LONG_RUNS.values(), ids=LONG_RUNS)
def test_long_runs_take_linear_time(gpt2_tokenizer, run):
    """Four times the text may take ten times the time, for slow caches; quadratic merging would take sixteen."""

    def seconds(text):
        times = []
        for _ in range(3):
            start = time.process_time()
            gpt2_tokenizer.encode(text)
            times.append(time.process_time() - start)
        return min(times)

    short, long = seconds(run(25_000)), seconds(run(100_000))
    assert long < 0.8
    assert long < 10 * short


def test_cache_is_bounded_and_changes_nothing(gpt2_tokenizer, monkeypatch):
    monkeypatch.setattr(neo_np.tokenizer.merge, "CACHED_WORDS", 5)
    monkeypatch.setattr(neo_np.tokenizer.merge, "LONGEST_CACHED_WORD", 8)
    tokenizer = Tokenizer(gpt2_tokenizer.vocab, gpt2_tokenizer.merges)
    text = "a longwordindeed is merged anew each time, and only five of the short words of this sentence are kept"
    for _ in range(2):
        ids = tokenizer.encode(text)
        assert ids == gpt2_tokenizer.encode(text)
        ids.clear()  # the caller's list is not the cache's
    assert len(tokenizer._ids_of_chunk) == 5
    assert max(map(len, tokenizer._ids_of_chunk)) <= 8


def test_bounds_of_the_cache_are_small():
    assert neo_np.tokenizer.merge.CACHED_WORDS * neo_np.tokenizer.merge.LONGEST_CACHED_WORD < 10**7  # characters


def test_white_space_is_the_same_for_both_regular_expressions():
    every = [chr(code) for code in range(0x110000)]
    space, white = re.compile(neo_np.tokenizer.pretokenize.SPACE), regex.compile(r"\s")
    assert [char for char in every if space.match(char)] == [char for char in every if white.match(char)]


@given(TEXTS | st.text("ab1'!\n\t \x1c\xa0"))
def test_no_pre_token_crosses_the_border_of_a_chunk(text):
    chunks = neo_np.tokenizer.pretokenize.CHUNK.findall(text)
    words = [word for chunk in chunks for word in neo_np.tokenizer.pretokenize.PRE_TOKEN.findall(chunk)]
    assert words == neo_np.tokenizer.pretokenize.PRE_TOKEN.findall(text)


# Special tokens


@pytest.mark.parametrize(
    ("text", "special", "plain"),
    [
        (END, [50256], [27, 91, 437, 1659, 5239, 91, 29]),
        (f"a{END}b", [64, 50256, 65], [64, 27, 91, 437, 1659, 5239, 91, 29, 65]),
        (END + END, [50256, 50256], [27, 91, 437, 1659, 5239, 91, 6927, 91, 437, 1659, 5239, 91, 29]),
        (END[:-1], [27, 91, 437, 1659, 5239, 91], [27, 91, 437, 1659, 5239, 91]),
    ],
)
def test_end_of_text_is_one_token_or_plain_text(gpt2_tokenizer, text, special, plain):
    assert gpt2_tokenizer.encode(text) == special
    assert gpt2_tokenizer.encode(text, split_special_tokens=True) == plain


def test_added_tokens_are_found_longest_first_and_only_special_ones_split(tiny):
    tokenizer = Tokenizer(tiny.vocab, tiny.merges, {END: 261, "[PAD]": 1000, "[PAD][PAD]": 1001}, {"日本": 1002, " x": 1003})
    text = f"[PAD][PAD][PAD]日本 x{END}"
    assert tokenizer.encode(text) == [1001, 1000, 1002, 1003, 261]
    plain = [*tiny.encode("[PAD][PAD][PAD]", True), 1002, 1003, *tiny.encode(END, True)]
    assert tokenizer.encode(text, split_special_tokens=True) == plain
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == "日本 x"
    assert len(tokenizer) == len(tiny.vocab) + 4


# Back to text


@given(text=TEXTS, split=st.booleans())
def test_decode_undoes_encode(tokenizer, text, split):
    assert tokenizer.decode(tokenizer.encode(text, split_special_tokens=split)) == text


def test_decode_undoes_encode_for_every_character(gpt2_tokenizer):
    text = "".join(map(chr, (*range(0xD800), *range(0xE000, 0x110000))))
    assert gpt2_tokenizer.decode(gpt2_tokenizer.encode(text)) == text


@given(ids=ID_LISTS)
def test_decode_joins_the_bytes(gpt2_tokenizer, ids):
    data = b"".join(gpt2_tokenizer.token_bytes(id) for id in ids)
    assert gpt2_tokenizer.decode_bytes(ids) == data
    for errors in ("replace", "ignore", "backslashreplace"):
        assert gpt2_tokenizer.decode(ids, errors=errors) == data.decode("utf-8", errors)


def test_decode_of_half_a_character(gpt2_tokenizer):
    assert gpt2_tokenizer.decode([HALF_EMOJI, 222]) == "\U0001f600"
    assert gpt2_tokenizer.decode([HALF_EMOJI]) == "\ufffd"
    with pytest.raises(UnicodeDecodeError):
        gpt2_tokenizer.decode([HALF_EMOJI], errors="strict")


def test_decode_skips_special_tokens_on_demand(gpt2_tokenizer):
    ids = [50256, 15496, 50256, 995]
    assert gpt2_tokenizer.decode(ids) == f"{END}Hello{END} world"
    assert gpt2_tokenizer.decode(ids, skip_special_tokens=True) == "Hello world"
    # the halves meet once the special token between them is gone
    assert gpt2_tokenizer.decode([HALF_EMOJI, 50256, 222], skip_special_tokens=True) == "\U0001f600"


def test_decode_takes_any_iterable_of_integers(gpt2_tokenizer):
    for ids in ([15496, 995], (15496, 995), iter([15496, 995]), np.array([15496, 995]), np.array([15496, 995], np.uint16)):
        assert gpt2_tokenizer.decode(ids) == "Hello world"


@pytest.mark.parametrize("id", [-1, 50257, 2**70])
def test_unknown_ids_are_refused(gpt2_tokenizer, id):
    for call in (gpt2_tokenizer.token_bytes, gpt2_tokenizer.stream_decoder().push, lambda id: gpt2_tokenizer.decode([id])):
        with pytest.raises(NeoError, match=rf"{id} is not the id of a token.* 50257.* 50256"):
            call(id)


@pytest.mark.parametrize("id", [1.0, "1", None, [1]])
def test_a_single_id_must_be_an_integer(gpt2_tokenizer, id):
    for call in (gpt2_tokenizer.token_bytes, gpt2_tokenizer.token_string):
        with pytest.raises(NeoError, match="whole number"):
            call(id)


@pytest.mark.parametrize("ids", [5, None, "abc", "12", ["5"], [None], [1.5], [float("nan")], [[1, 2]], np.ones((2, 1), int)])
def test_decode_refuses_what_is_no_flat_list_of_integers(gpt2_tokenizer, ids):
    with pytest.raises(NeoError, match="flat list of token ids"):
        gpt2_tokenizer.decode(ids)


def test_token_strings_show_text_and_the_bytes_of_unfinished_characters(gpt2_tokenizer):
    strings = gpt2_tokenizer.token_strings(gpt2_tokenizer.encode(f"A é\n\U0001f600{END}"))
    assert strings == ["A", " é", "\n", r"\xf0\x9f\x98", r"\x80", END]
    assert gpt2_tokenizer.token_string(50256) == END


def test_token_spelled_outside_the_byte_alphabet_stands_for_its_own_characters(tiny):
    """Tables that others extended by hand hold such tokens."""
    tokenizer = Tokenizer(tiny.vocab | {"日本": 999, "a b": 1000, "\x80": 1001}, tiny.merges)
    assert tokenizer.decode([999, 1000, 1001]) == "日本a b\x80"


# Offsets


@given(text=TEXTS, split=st.booleans())
def test_offsets_say_which_characters_a_token_stands_for(tokenizer, text, split):
    ids, offsets = tokenizer.encode_with_offsets(text, split_special_tokens=split)
    assert ids == tokenizer.encode(text, split_special_tokens=split)
    data, end = text.encode(), 0
    expected = []
    for id in ids:
        begin, end = end, end + len(tokenizer.token_bytes(id))
        # "ignore" drops the character that the cut leaves unfinished, "replace" counts it as one
        expected.append((len(data[:begin].decode(errors="ignore")), len(data[:end].decode(errors="replace"))))
    assert offsets == expected


def test_offsets_of_shared_characters(gpt2_tokenizer):
    ids, offsets = gpt2_tokenizer.encode_with_offsets(f"hi \U0001f600{END}!")
    assert ids == [5303, 30325, 222, 50256, 0]
    assert offsets == [(0, 2), (2, 4), (3, 4), (4, 17), (17, 18)]
    assert gpt2_tokenizer.encode_with_offsets("") == ([], [])


# Streaming


@given(ids=ID_LISTS, skip=st.booleans())
def test_streamed_pieces_joined_are_the_decoded_text(gpt2_tokenizer, ids, skip):
    decoder = gpt2_tokenizer.stream_decoder(skip_special_tokens=skip)
    streamed = "".join([decoder.push(id) for id in ids] + [decoder.flush()])
    assert streamed == gpt2_tokenizer.decode(ids, skip_special_tokens=skip)


@given(text=TEXTS)
def test_stream_shows_each_character_as_soon_as_it_is_whole(gpt2_tokenizer, text):
    decoder, streamed, data = gpt2_tokenizer.stream_decoder(), "", b""
    for id in gpt2_tokenizer.encode(text):
        streamed += decoder.push(id)
        data += gpt2_tokenizer.token_bytes(id)
        assert streamed == data.decode(errors="ignore")  # the text is sound: only its end can be unfinished
    assert decoder.flush() == ""


def test_stream_holds_back_half_a_character_until_flush(gpt2_tokenizer):
    decoder = gpt2_tokenizer.stream_decoder()
    assert [decoder.push(HALF_EMOJI), decoder.push(222)] == ["", "\U0001f600"]
    assert [decoder.push(HALF_EMOJI), decoder.flush(), decoder.push(0), decoder.flush()] == ["", "\ufffd", "!", ""]
    assert [decoder.push_bytes(b"\xc3"), decoder.push_bytes(b"\xa9")] == ["", "é"]


# Watching


@given(word=st.text(st.characters(min_codepoint=97, max_codepoint=122), min_size=1).map(lambda word: " " + word))
def test_watch_shows_every_rule_at_work(tokenizer, word):
    (no_rule, tokens), *steps = tokenizer.watch(word)
    assert (no_rule, tokens) == (None, list(word))
    for rule, after in steps:
        left, right = tokenizer.merges[rule["rank"]]
        assert (rule["left"].replace(" ", "Ġ"), rule["right"].replace(" ", "Ġ")) == (left, right)
        assert after != tokens
        assert after == (tokens := apply_rule(tokens, rule["left"], rule["right"]))
    assert tokens == tokenizer.token_strings(tokenizer.encode(word))


def test_watch_known_words(gpt2_tokenizer):
    """The first merges of GPT-2's table are Ġ t, Ġ a, h e, i n (rank 3), r e."""
    assert gpt2_tokenizer.watch("in") == [(None, ["i", "n"]), ({"rank": 3, "left": "i", "right": "n"}, ["in"])]
    assert gpt2_tokenizer.watch("x") == [(None, ["x"])]
    assert gpt2_tokenizer.watch("\U0001f600")[0] == (None, [r"\xf0", r"\x9f", r"\x98", r"\x80"])
    assert gpt2_tokenizer.watch("\U0001f600")[-1][1] == [r"\xf0\x9f\x98", r"\x80"]


@pytest.mark.parametrize(("text", "count"), [("two words", 2), ("", 0), (END, 3)])
def test_watch_refuses_what_is_not_one_pre_token(gpt2_tokenizer, text, count):
    with pytest.raises(NeoError, match=rf"cut into {count} pre-tokens"):
        gpt2_tokenizer.watch(text)


# What is no text


@pytest.mark.parametrize("name", ["encode", "encode_with_offsets", "pre_tokenize", "watch"])
def test_lone_surrogates_and_other_types_are_refused(gpt2_tokenizer, name):
    call = getattr(gpt2_tokenizer, name)
    with pytest.raises(NeoError, match=r"lone surrogate, U\+D83D, at position 2"):
        call("ab\ud83dc")
    with pytest.raises(NeoError, match=r"lone surrogate, U\+DFFF, at position 0"):
        call("\udfff")
    for other in (b"ab", None, 5, ["ab"]):
        with pytest.raises(NeoError, match=f"one str, and got {type(other).__name__}"):
            call(other)


# Files


def bytes_vocab(more=()):
    """A vocabulary of the 256 bytes and more tokens."""
    return {token: id for id, token in enumerate([*SPELLED.values(), *more])}


@pytest.fixture
def tiny():
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("hell", "o"), ("Ġ", "hello")]
    return Tokenizer(bytes_vocab(["".join(pair) for pair in merges] + [END]), merges)


def tokenizer_json(tokenizer):
    """What transformers 5 writes for such a tokenizer."""
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False}
    added = [(t, id, True) for t, id in tokenizer.special_tokens.items()]
    added += [(t, id, False) for t, id in tokenizer.added_tokens.items()]
    only_the_text = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "A", "type_id": 0}}], "special_tokens": {}}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": id, "content": t, **flags, "normalized": not s, "special": s} for t, id, s in added],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": only_the_text,
        "decoder": byte_level | {"add_prefix_space": True},
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": "",
            "end_of_word_suffix": "",
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": tokenizer.vocab,
            "merges": [list(pair) for pair in tokenizer.merges],
        },
    }


def write_json(file, content):
    file.write_text(json.dumps(content), encoding="utf-8")


def tables(tokenizer):
    """Everything that makes two tokenizers equal."""
    return tokenizer.vocab, tokenizer.merges, tokenizer.special_tokens, tokenizer.added_tokens


def changed(nested, path, value):
    """A copy of nested dicts and lists with another value at a path such as `model.merges.0`."""
    nested = copy = json.loads(json.dumps(nested))
    *parents, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in parents:
        nested = nested[key]
    nested[last] = value
    return copy


def test_load_two_tables(tiny, tmp_path):
    write_json(tmp_path / "vocab.json", tiny.vocab)
    lines = "#version: 0.2\nh e\nl l\nhe ll\nhell o\nĠ hello\n"
    # other header, other line ends, no last line end: all in use
    for text in (lines, lines.replace("\n", "\r\n"), lines.rstrip(), lines.partition("\n")[2], lines + "\n"):
        (tmp_path / "merges.txt").write_bytes(text.encode())
        loaded = Tokenizer.load(str(tmp_path))
        assert tables(loaded) == tables(tiny)
        assert loaded.encode(f"hello hell{END}") == [259, 32, 258, 261]


@pytest.mark.parametrize("spell", [list, tuple, " ".join], ids=["pairs", "tuples", "strings"])
def test_load_tokenizer_json(tales, tmp_path, spell):
    merges = [spell(pair) for pair in tales.tokenizer.merges]
    write_json(tmp_path / "tokenizer.json", changed(tokenizer_json(tales.tokenizer), "model.merges", merges))
    loaded = Tokenizer.load(tmp_path)
    assert tables(loaded) == tables(tales.tokenizer)
    assert loaded.encode(f"Once upon a time{END}") == tales.tokenizer.encode(f"Once upon a time{END}")


def test_load_added_tokens(tiny, tmp_path):
    special, added = {END: 261, "[PAD]": 262}, {"newword": 263, "日本": 264}
    write_json(tmp_path / "tokenizer.json", tokenizer_json(Tokenizer(tiny.vocab, tiny.merges, special, added)))
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.special_tokens, loaded.added_tokens) == (special, added)
    assert loaded.encode("[PAD]newword日本") == [262, 263, 264]


def test_load_tokenizer_config_of_transformers_4(tiny, tmp_path):
    """It says of every token added later what kind it is, so added_tokens.json, which does not, is not needed."""
    tiny.save(tmp_path)
    tokens = {261: (END, True), 262: ("[PAD]", True), 263: ("newword", False), 258: ("hell", False)}
    tokens = {id: {"content": token, "special": special, "lstrip": False} for id, (token, special) in tokens.items()}
    write_json(tmp_path / "tokenizer_config.json", {"errors": "replace", "added_tokens_decoder": tokens})
    write_json(tmp_path / "added_tokens.json", {"[PAD]": 262, "newword": 263})
    loaded = Tokenizer.load(tmp_path)
    assert tables(loaded) == (tiny.vocab, tiny.merges, {END: 261, "[PAD]": 262}, {"newword": 263, "hell": 258})


def test_load_added_tokens_json_of_older_transformers(tiny, tmp_path):
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
def test_tokenizer_json_with_what_changes_no_id_is_taken(tiny, tmp_path, path, value):
    write_json(tmp_path / "tokenizer.json", changed(tokenizer_json(tiny), path, value))
    assert tables(Tokenizer.load(tmp_path)) == tables(tiny)


@pytest.mark.parametrize("key", ["model.type", "model.dropout", "model.ignore_merges", "normalizer", "added_tokens"])
def test_tokenizer_json_of_older_versions_lacks_keys(tiny, tmp_path, key):
    whole = tokenizer_json(tiny)
    parent = whole["model"] if key.startswith("model.") else whole
    del parent[key.removeprefix("model.")]
    write_json(tmp_path / "tokenizer.json", whole)
    loaded = Tokenizer.load(tmp_path)
    assert (loaded.vocab, loaded.merges) == (tiny.vocab, tiny.merges)


SPECIAL_FIRST = [{"SpecialToken": {"id": END, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]


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
        ("pre_tokenizer.add_prefix_space", True),
        ("pre_tokenizer.use_regex", False),
        ("post_processor", {"type": "TemplateProcessing", "single": SPECIAL_FIRST}),
        ("added_tokens.0.single_word", True),
        ("added_tokens.0.lstrip", True),
        ("added_tokens.0.rstrip", True),
    ],
)
def test_tokenizer_json_that_would_give_other_ids_is_refused(tiny, tmp_path, path, value):
    write_json(tmp_path / "tokenizer.json", changed(tokenizer_json(tiny), path, value))
    with pytest.raises(NeoError) as error:
        Tokenizer.load(tmp_path)
    for named in (str(tmp_path / "tokenizer.json"), path.split(".")[-1], END if "added" in path else ""):
        assert named in str(error.value)


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
        ("model.merges.2", ["q", "q"], "number 3 .*'q' .*'qq'"),
        ("added_tokens", [END], "not a byte-level BPE tokenizer.json"),
        ("added_tokens.0.id", "261", "not a vocabulary"),
        ("added_tokens.0.id", 0, "one id to several tokens"),  # which is another token's in the vocabulary
        ("added_tokens.0", {"id": 999, "content": "he", "special": True}, "'he'"),  # which is 256 in the vocabulary
        ("added_tokens.0.content", 5, "not a vocabulary"),
    ],
)
def test_damaged_tokenizer_json(tiny, tmp_path, path, value, message):
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
        ("merges.txt", b"h e\n\xff l\n", "cannot be read"),
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
        ("tokenizer_config.json", '{"added_tokens_decoder": {"262": {"content": "y", "lstrip": true}}}', "'y' has lstrip"),
        ("tokenizer.json", "{", "not valid JSON"),
        ("tokenizer.json", "[]", "not a byte-level BPE tokenizer.json"),
        ("tokenizer.json", "{}", "not a byte-level BPE tokenizer.json"),
    ],
)
def test_damaged_files(tiny, tmp_path, file, content, message):
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
def test_missing_files(tiny, tmp_path, present, message):
    tiny.save(tmp_path)
    for file in tmp_path.iterdir():
        if file.name not in present:
            file.unlink()
    with pytest.raises(NeoError, match=message) as error:
        Tokenizer.load(tmp_path)
    assert str(tmp_path) in str(error.value)
    with pytest.raises(NeoError, match="no tokenizer"):
        Tokenizer.load(tmp_path / "nowhere")


def test_tables_of_two_models_are_refused(tiny):
    with pytest.raises(NeoError, match=r"merge number 1 .*'x' \+ 'y'.*'xy'"):
        Tokenizer(tiny.vocab, [("x", "y")])
    with pytest.raises(NeoError, match=r"no token for 1 of the 256 bytes .*0x61"):
        Tokenizer({token: id for token, id in tiny.vocab.items() if token != "a"}, [])


def test_save_then_load_gives_an_equal_tokenizer(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    assert tables(Tokenizer.load(tmp_path)) == tables(tokenizer)
    assert list(Tokenizer.load(tmp_path).vocab) == list(tokenizer.vocab)


def test_saved_tables_hold_what_the_published_ones_hold(gpt2_tokenizer, tmp_path):
    gpt2_tokenizer.save(tmp_path)
    assert (tmp_path / "merges.txt").read_bytes() == (GPT2 / "merges.txt").read_bytes()
    saved, published = (json.loads((folder / "vocab.json").read_bytes()) for folder in (tmp_path, GPT2))
    assert saved == published


def test_save_then_load_keeps_added_tokens_and_what_they_are(tiny, tmp_path):
    special, added = {END: 261, "[PAD]": 262, "hell": 258}, {"newword": 263, "日本": 264, "hello": 259}
    tokenizer = Tokenizer(tiny.vocab, tiny.merges, special, added)
    tokenizer.save(tmp_path)
    assert tables(Tokenizer.load(tmp_path)) == tables(tokenizer)


def test_save_replaces_the_added_tokens_of_another_tokenizer(tiny, tmp_path):
    Tokenizer(tiny.vocab, tiny.merges, added_tokens={"newword": 262}).save(tmp_path)
    tiny.save(tmp_path)
    assert tables(Tokenizer.load(tmp_path)) == tables(tiny)
    write_json(tmp_path / "added_tokens.json", {"newword": 262})  # of an older transformers
    tiny.save(tmp_path)
    assert tables(Tokenizer.load(tmp_path)) == tables(tiny)


def test_tokenizer_can_be_pickled(tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    text = f"One morning, a king said: \U0001f600{END}"
    assert tables(copy) == tables(tokenizer)
    assert copy.encode_with_offsets(text) == tokenizer.encode_with_offsets(text)
    assert copy.decode(copy.encode(text), skip_special_tokens=True) == text.removesuffix(END)
