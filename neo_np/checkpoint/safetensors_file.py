"""Reading safetensors files, whose format is: the header's length, a JSON header, the bytes of all tensors.

The `safetensors` package checks the header. Reading with NumPy, rather than through that package, can map float32 weights into
memory, and reads bfloat16, which NumPy does not have.
"""

import json
import math
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from neo_np.errors import NeoError, warn
from neo_np.files import open_file

CHUNK = 2**20  # numbers converted at a time
FLOAT_SIZE = 4  # bytes of a float32; its address in memory must be a multiple of this

Entry = dict[str, Any]  # "dtype", "shape" and "data_offsets" of one tensor


def read_header(file: Path) -> dict[str, Entry]:
    """Return {name: entry} for the tensors of a safetensors file, with data_offsets counted from the start of the file."""
    with open_file(file) as opened:
        length = int.from_bytes(opened.read(8), "little")
        try:
            with safe_open(file, framework="numpy"):
                pass  # opening checks the header, and that the file is as long as the header says
            header = json.loads(opened.read(length))
        except (OSError, SafetensorError) as error:
            raise NeoError(
                f"{file} is not a whole safetensors file ({error}): it is damaged or cut off, download or copy it again."
            ) from None
    header.pop("__metadata__", None)
    for entry in header.values():
        entry["data_offsets"] = [8 + length + offset for offset in entry["data_offsets"]]
    return header


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Return float32 numbers from bfloat16 bits, which are the upper half of a float32 whose lower half is zero."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


# For each dtype of the file: how NumPy reads it, and how it becomes float32.
DTYPES: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "F64": ("<f8", lambda numbers: numbers.astype(np.float32)),
    "F32": ("<f4", lambda numbers: numbers),
    "F16": ("<f2", lambda numbers: numbers.astype(np.float32)),
    "BF16": ("<u2", widen_bfloat16),
}


def read_chunks(file: Path, entry: Entry) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield (slice, float32 numbers) until the whole tensor, as one flat array, has been read."""
    stored, to_float32 = DTYPES[entry["dtype"]]
    size = math.prod(entry["shape"])
    with open(file, "rb") as opened:
        opened.seek(entry["data_offsets"][0])
        for start in range(0, size, CHUNK):
            numbers = np.fromfile(opened, stored, min(CHUNK, size - start))
            with np.errstate(all="ignore"):  # a float64 beyond float32 becomes infinite, and `read_tensor` warns
                converted = to_float32(numbers)
            yield slice(start, start + numbers.size), converted


def read_tensor(name: str, file: Path, entry: Entry, mapped: np.ndarray | None) -> np.ndarray:
    """Return one tensor as float32, with a warning if numbers are NaN or infinite.

    mapped: the bytes of the file from `map_file`, or None to read them.
    """
    begin, end = entry["data_offsets"]
    if mapped is not None and entry["dtype"] == "F32" and begin % FLOAT_SIZE == 0:
        array = mapped[begin:end].view(np.float32).reshape(entry["shape"])
    else:
        try:
            array = np.empty(entry["shape"], np.float32)
        except MemoryError:
            size = FLOAT_SIZE * math.prod(entry["shape"]) / 1e9
            raise NeoError(
                f"{file}: there is no memory for the tensor {name}, which takes {size:.1f} GB: close other programs, or use a "
                "smaller model."
            ) from None
        for part, numbers in read_chunks(file, entry):
            array.reshape(-1)[part] = numbers
    if not all_finite(array):
        warn(f"{file}: the tensor {name} has numbers that are NaN or infinite, so the logits mean nothing: get the file again.")
    return array


def all_finite(array: np.ndarray) -> bool:
    """Return whether no number is NaN or infinite.

    Sums of rows show it fast: as a matrix product they run on all processors. If a sum overflows, every number is checked.
    """
    with np.errstate(all="ignore"):
        sums = array @ np.ones(array.shape[-1], array.dtype)
        return bool(np.isfinite(sums).all() or np.isfinite(array).all())


def map_file(file: Path, header: dict[str, Entry]) -> np.ndarray | None:
    """Return the bytes of a file mapped into memory, or None if its tensors must be read.

    The system then reads each part when it is first used. Changes to the array do not reach the file ("c", copy on write).
    Only float32 numbers can be used as they are in the file; Windows does not let `save` replace a mapped file; and some
    systems cannot map files at all, such as Python in a browser.
    """
    has_float32 = any(entry["dtype"] == "F32" for entry in header.values())
    if not has_float32 or sys.byteorder != "little" or os.name != "posix":
        return None
    try:
        return np.asarray(np.memmap(file, mode="c"))
    except OSError:
        return None


def same_numbers(left: tuple[Path, Entry], right: tuple[Path, Entry]) -> bool:
    """Return whether two tensors of one shape, each given as (file, entry), hold equal numbers, whatever their dtypes."""
    pairs = zip(read_chunks(*left), read_chunks(*right))
    return all(np.array_equal(numbers, others) for (_, numbers), (_, others) in pairs)
