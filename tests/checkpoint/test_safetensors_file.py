"""Reading safetensors files: every dtype, every kind of damage, and as little memory as possible."""

import math
import os
import re
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest
from checkpoint_files import assert_same_arrays, edit_tensors, refused, write_by_hand
from helpers import ROOT, byte_tokenizer, examples, random_model
from hypothesis import given
from hypothesis import strategies as st

import neo_np
from neo_np import NeoError
from neo_np.checkpoint import safetensors_file
from neo_np.checkpoint.loading import load_config
from neo_np.folders.find import WEIGHTS
from neo_np.gpt_neo.params import parameter_shapes


def float16_value(bits):
    return struct.unpack("<e", bits.to_bytes(2, "little"))[0]


def bfloat16_value(bits):
    """The number by the definition of the format: 1 bit of sign, 8 of exponent, 7 of fraction."""
    sign, exponent, fraction = (-1.0 if bits >> 15 else 1.0), bits >> 7 & 0xFF, bits & 0x7F
    if exponent == 0xFF:
        return math.nan if fraction else sign * math.inf
    if exponent == 0:
        return sign * math.ldexp(fraction, -126 - 7)
    return sign * math.ldexp(128 + fraction, exponent - 127 - 7)


@pytest.mark.parametrize(("dtype", "value"), [("F16", float16_value), ("BF16", bfloat16_value)])
def test_read_tensor_of_every_16_bit_number_gives_its_value(dtype, value, tmp_path, monkeypatch):
    monkeypatch.setattr(safetensors_file, "CHUNK", 1000)  # so that small tensors are read in several pieces, too
    model = random_model(vocab_size=2048, hidden_size=32, num_heads=4, tokenizer=byte_tokenizer())
    neo_np.save(model, tmp_path)
    header, data = {}, bytearray()
    for name, array in model.params.flat().items():
        raw = np.arange(2**16, dtype="<u2").tobytes() if name == "wte.weight" else array.tobytes()
        stored = dtype if name == "wte.weight" else "F32"
        header[name] = {"dtype": stored, "shape": array.shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    write_by_hand(tmp_path / WEIGHTS, header, data)

    with pytest.warns(UserWarning, match=r"wte\.weight"):  # NaN and infinity are among the numbers
        found = neo_np.load(tmp_path).params
    expected = np.array([value(bits) for bits in range(2**16)])
    assert found.wte.weight.dtype == np.float32
    np.testing.assert_array_equal(found.wte.weight.ravel(), expected)
    assert np.signbit(found.wte.weight.ravel()[2**15])  # minus zero equals zero, but for its sign
    model.params.wte.weight = found.wte.weight
    assert_same_arrays(found, model.params)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize("name", ["h.1.mlp.c_fc.bias", "h.0.mlp.c_proj.weight", "wte.weight"])
def test_read_tensor_of_numbers_that_are_not_finite_warns(model, folder, monkeypatch, name, number, place):
    monkeypatch.setattr(safetensors_file, "CHUNK", 7)

    def damage(tensors):
        tensors[f"transformer.{name}"].reshape(-1)[place] = number
        return tensors

    edit_tensors(folder, damage)
    with pytest.warns(UserWarning, match=rf"model\.safetensors.*{name}.*NaN or infinite") as caught:
        loaded = neo_np.load(folder)
    assert [warning.filename for warning in caught] == [__file__]
    np.testing.assert_equal(loaded.params.flat()[name].reshape(-1)[place], np.float32(number))


@pytest.mark.filterwarnings("error")
def test_read_tensor_of_large_numbers_does_not_warn(folder):
    """3e38 is a float32, and the sum of two of them is none any more."""

    def enlarge(tensors):
        tensors["transformer.wte.weight"][:] = 3e38
        tensors["transformer.h.0.ln_1.bias"][:] = -3e38
        return tensors

    edit_tensors(folder, enlarge)
    assert neo_np.load(folder).params.wte.weight.min() > 2.9e38


@pytest.mark.parametrize(
    "kept", ["nothing", "half a length", "length", "half a header", "header", "half the data", "all but a byte"]
)
def test_read_header_of_a_file_that_was_cut_off_is_refused(folder, kept):
    file = folder / WEIGHTS
    whole = file.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    sizes = [0, 4, 8, start // 2, start, (start + len(whole)) // 2, len(whole) - 1]
    places = ["nothing", "half a length", "length", "half a header", "header", "half the data", "all but a byte"]
    file.write_bytes(whole[: dict(zip(places, sizes))[kept]])
    refused(re.escape(str(file)), folder)


def test_read_header_of_a_file_with_bytes_to_spare_is_refused(folder):
    with open(folder / WEIGHTS, "ab") as file:
        file.write(b"\0")
    refused(re.escape(str(folder / WEIGHTS)), folder)


def entry(dtype="F32", shape=(2,), offsets=(0, 8)):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


BAD_HEADERS = {
    "no JSON": b"not JSON",
    "no UTF-8": b'{"\xff":1}',
    "unfinished": b'{"a":',
    "a list": [],
    "a number": 5,
    "no entry": {"a": 1},
    "empty entry": {"a": {}},
    "unknown dtype": {"a": entry("X9")},
    "negative shape": {"a": entry(shape=[-2])},
    "fractional shape": {"a": entry(shape=[2.5])},
    "huge shape": {"a": entry(shape=[2**62, 2**62])},
    "shape and bytes differ": {"a": entry(shape=[3])},
    "beyond the end": {"a": entry(offsets=[8, 16])},
    "backwards": {"a": entry(offsets=[8, 0])},
    "negative offset": {"a": entry(offsets=[-8, 0])},
    "one offset": {"a": entry(offsets=[0])},
    "overlapping": {"a": entry(), "b": entry()},
    "hole": {"a": entry(shape=[1], offsets=[4, 8])},
    "odd metadata": {"__metadata__": {"format": 1}, "a": entry()},
    "deep": b"[" * 10**5,
    "twice": b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
}


@pytest.mark.parametrize("header", BAD_HEADERS.values(), ids=BAD_HEADERS)
def test_read_header_that_makes_no_sense_is_refused(folder, header):
    write_by_hand(folder / WEIGHTS, header, bytes(8))
    refused(re.escape(str(folder / WEIGHTS)), folder)


@pytest.mark.parametrize("length", [0, 1, 10**8, 10**9, 2**63 - 1, 2**63, 2**64 - 1])
def test_read_header_of_a_wrong_length_is_refused(folder, length):
    write_by_hand(folder / WEIGHTS, {"a": entry()}, bytes(8), length=length)
    refused(re.escape(str(folder / WEIGHTS)), folder)


likely_bytes = st.sampled_from(list(b'0123456789{}[]",:.-_abcdeF')) | st.integers(0, 255)


@examples(3)
@given(
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), likely_bytes), min_size=1, max_size=3), st.none() | st.floats(0, 1)
)
def test_load_of_a_damaged_weight_file_gives_a_model_or_a_clear_error(small_folder, changes, cut):
    file = small_folder / WEIGHTS
    whole = file.read_bytes()
    start = 8 + int.from_bytes(whole[:8], "little")
    damaged = bytearray(whole)
    for place, byte in changes:
        damaged[int(place * start)] = byte  # in the header: any other byte is a number as good as the one before
    file.write_bytes(damaged[: None if cut is None else int(cut * len(whole))])
    try:
        neo_np.load(small_folder)
    except NeoError as error:
        assert str(file) in str(error)
    finally:
        file.write_bytes(whole)


PEAK = """
import sys
import neo_np

def memory(field):
    with open("/proc/self/status") as status:
        return 1024 * int(next(line for line in status if line.startswith(field)).split()[1])

before = memory("VmRSS")
model = neo_np.load(sys.argv[1])
print(memory("VmHWM") - before, sum(array.nbytes for array in model.params.flat().values()))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "head"), [("F32", True), ("F16", False)], ids=["F32 with equal head", "F16"])
def test_load_never_holds_weights_twice(tmp_path, dtype, head):
    """The peak of resident memory, mapped pages counted, of loading the 125M shape: at most 1.3 x its float32 size."""
    for name in ("config.json", "vocab.json", "merges.txt"):
        shutil.copy(ROOT / "weights" / "gpt-neo-125M" / name, tmp_path)
    shapes = parameter_shapes(load_config(tmp_path / "config.json"))
    shapes |= {"lm_head.weight": shapes["wte.weight"]} if head else {}
    header, end = {}, 0
    for name, shape in shapes.items():
        start, end = end, end + math.prod(shape) * (4 if dtype == "F32" else 2)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}
    write_by_hand(tmp_path / WEIGHTS, header)
    os.truncate(tmp_path / WEIGHTS, (tmp_path / WEIGHTS).stat().st_size + end)  # zeros, which take no disk
    found = subprocess.run([sys.executable, "-c", PEAK, tmp_path], cwd=ROOT, capture_output=True, text=True, check=True)
    peak, size = map(int, found.stdout.split())
    assert size == 4 * 125_198_592
    assert peak <= 1.3 * size


def test_map_file_lets_arrays_change_and_leaves_the_file_alone(model, tmp_path):
    neo_np.save(model, tmp_path / "saved")
    before = (tmp_path / "saved" / WEIGHTS).read_bytes()
    loaded = neo_np.load(tmp_path / "saved")
    for array in loaded.params.flat().values():
        array += 1.0
    assert (tmp_path / "saved" / WEIGHTS).read_bytes() == before
    neo_np.save(loaded, tmp_path / "saved")  # over the very file that is mapped
    again = neo_np.load(tmp_path / "saved").params.flat()
    assert all(np.array_equal(again[name], array) for name, array in loaded.params.flat().items())


def test_map_file_that_fails_is_replaced_by_reading(model, folder, monkeypatch):
    """Some file systems map no files, such as that of Python in a browser."""

    def fail(*_, **__):
        raise OSError(19, "No such device")

    monkeypatch.setattr(np, "memmap", fail)
    assert_same_arrays(neo_np.load(folder).params, model.params)


@pytest.mark.parametrize(("dtype", "maps"), [(np.float16, False), (np.float32, os.name == "posix")])
def test_map_file_maps_only_float32_weights(tmp_path, monkeypatch, dtype, maps):
    mapped = []
    memmap = np.memmap
    monkeypatch.setattr(np, "memmap", lambda file, **options: mapped.append(file) or memmap(file, **options))
    neo_np.save(random_model(vocab_size=257, tokenizer=byte_tokenizer(), dtype=dtype), tmp_path)
    neo_np.load(tmp_path)
    assert mapped == ([tmp_path / WEIGHTS] if maps else [])


def test_read_tensor_without_memory_for_it_says_so(folder, monkeypatch):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(np, "memmap", lambda *_, **__: (_ for _ in ()).throw(OSError()))
    monkeypatch.setattr(np, "empty", fail)
    refused(r"model\.safetensors: there is no memory for the tensor wte\.weight, which takes 0\.0 GB", folder)


def test_read_tensor_of_a_float64_beyond_float32_is_infinite_and_warned_of(model, folder):
    wide = model.params.wte.weight.astype(np.float64)
    wide[3, 4] = 1e300
    edit_tensors(folder, lambda tensors: tensors | {"transformer.wte.weight": wide})
    with pytest.warns(UserWarning, match=r"wte\.weight.*NaN or infinite") as caught:
        loaded = neo_np.load(folder)
    assert len(caught) == 1
    assert loaded.params.wte.weight[3, 4] == np.inf
