"""safetensors_file."""

import json
import os
import sys
import warnings

import numpy as np
from safetensors import SafetensorError, safe_open

from neo_np.errors import NeoError

CHUNK = 2**20  # numbers converted at a time
FLOAT_SIZE = 4  # bytes of a float32, at a multiple of which it must lie in memory


def read_header(file):
    """Return {name: entry} for the tensors of a safetensors file, data_offsets counted from its start."""
    try:
        with safe_open(file, framework="numpy"):
            pass  # opening checks the header against itself and against the size of the file
        with open(file, "rb") as f:
            length = int.from_bytes(f.read(8), "little")
            header = json.loads(f.read(length))
    except (OSError, SafetensorError) as error:
        raise NeoError(f"{file} is not a whole safetensors file ({error}): it is cut off or damaged, fetch it anew.") from None
    header.pop("__metadata__", None)
    for entry in header.values():
        entry["data_offsets"] = [8 + length + offset for offset in entry["data_offsets"]]
    return header


def widen_bfloat16(bits):
    """Return float32 numbers from bfloat16 bits: bfloat16 is the upper half of a float32, and the lower half is zero."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


# For each dtype of the file: how NumPy reads it and how it becomes float32.
DTYPES = {
    "F64": ("<f8", lambda numbers: numbers.astype(np.float32)),
    "F32": ("<f4", lambda numbers: numbers),
    "F16": ("<f2", lambda numbers: numbers.astype(np.float32)),
    "BF16": ("<u2", widen_bfloat16),
}


def read_chunks(file, entry):
    """Yield (slice, float32 numbers) until the whole tensor, laid flat, has been read."""
    stored, to_float32 = DTYPES[entry["dtype"]]
    size = int(np.prod(entry["shape"]))
    with open(file, "rb") as f:
        f.seek(entry["data_offsets"][0])
        for start in range(0, size, CHUNK):
            numbers = np.fromfile(f, stored, min(CHUNK, size - start))
            yield slice(start, start + numbers.size), to_float32(numbers)


def read_tensor(name, file, entry, mapped):
    """Return one tensor as float32, with a warning where numbers are NaN or infinite; mapped: {file: its bytes or None}."""
    begin, end = entry["data_offsets"]
    if mapped[file] is not None and entry["dtype"] == "F32" and begin % FLOAT_SIZE == 0:
        array = mapped[file][begin:end].view(np.float32).reshape(entry["shape"])
    else:
        array = np.empty(entry["shape"], np.float32)
        for part, numbers in read_chunks(file, entry):
            array.reshape(-1)[part] = numbers
    if not all_finite(array):
        warnings.warn(f"{file}: the tensor {name} has numbers that are NaN or infinite; expect nonsense.", stacklevel=4)
    return array


def all_finite(array):
    """Return whether no number is NaN or infinite.

    Sums of rows tell it fast, and as a product BLAS makes them on all processors; where one overflows, all is looked at.
    """
    with np.errstate(all="ignore"):
        sums = array @ np.ones(array.shape[-1], array.dtype)
        return bool(np.isfinite(sums).all() or np.isfinite(array).all())


def map_file(file):
    """Return the bytes of a file mapped into memory, or None where float32 numbers could not be used as they lie there.

    The system reads each part when it is first looked at, and what is changed in the array stays out of the file ("c").
    Windows would not let a mapped file be replaced, as `save` does.
    """
    return np.asarray(np.memmap(file, mode="c")) if sys.byteorder == "little" and os.name == "posix" else None


def holds(file, entry, array):
    """Return whether a tensor in a file equals an array, without holding it in memory."""
    flat = array.reshape(-1)
    return all(np.array_equal(flat[part], numbers) for part, numbers in read_chunks(file, entry))
