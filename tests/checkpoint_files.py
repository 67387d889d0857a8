"""What tests of files share: checkpoint folders and ways to change them."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import neo_np
from neo_np import NeoError
from neo_np.folders.find import SHARD_INDEX, WEIGHTS


def edit_json(file, **changes):
    """Change entries of a JSON file; `...` takes one out."""
    entries = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    entries = {name: value for name, value in (entries | changes).items() if value is not ...}
    file.write_text(json.dumps(entries), encoding="utf-8")


def edit_tensors(folder, change):
    """Rewrite the weights of a folder as what `change` makes of {name: array}."""
    tensors = load_file(folder / WEIGHTS)
    save_file(change(tensors), folder / WEIGHTS)


def without(name):
    return lambda tensors: {other: array for other, array in tensors.items() if other != name}


def replace_tensor(name, array):
    return lambda tensors: tensors | {name: array}


def write_by_hand(file, header, data=b"", length=None):
    """Write a file as the safetensors format has it: the header's length, the header, the bytes of all tensors."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    length = len(header) if length is None else length
    file.write_bytes(length.to_bytes(8, "little") + header + data)


def shard(folder, number=3, directory="", **changes):
    """Spread the weights of a folder over shards with an index; `directory` is put before the names in the index."""
    tensors = load_file(folder / WEIGHTS)
    names = [f"model-{i + 1:05}-of-{number:05}.safetensors" for i in range(number)]
    weight_map = {tensor: directory + names[i % number] for i, tensor in enumerate(tensors)}
    for name in names:
        held = {tensor: tensors[tensor] for tensor, file in weight_map.items() if file == directory + name}
        save_file(held, folder / name)
    (folder / WEIGHTS).unlink()
    edit_json(folder / SHARD_INDEX, metadata={"total_size": 1}, weight_map=weight_map | changes)


def assert_same_arrays(found, expected):
    found, expected = found.flat(), expected.flat()
    assert list(found) == list(expected)
    for name, array in found.items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


def refused(match, *arguments, **options):
    """Load what must not load, and look for the words that the error must have."""
    with pytest.raises(NeoError, match=match) as caught:
        neo_np.load(*arguments, **options)
    assert "\n" not in str(caught.value)
