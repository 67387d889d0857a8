"""Arrays as base64 blocks, small enough for one HTML file. All numbers are little-endian.

Attention weights lie in [0, 1] and are 0 above the diagonal: 16-bit codes of the lower triangle, row by row, are within 7.7e-6
of them. Signed contributions by source are 16-bit codes too, with a scale for each row. All else is float32 or int32.
"""

import base64
from typing import Any

import numpy as np

Block = dict[str, Any]  # {"type", "shape", "base64"}, and "scales", a block, if the codes are signed

WEIGHT_STEPS, SIGNED_STEPS = 2**16 - 1, 2**15 - 1


def block(array: np.ndarray) -> Block:
    """Return an array as a block: floats as float32, integers as int32, truth values as bytes."""
    kinds = {"f": "<f4", "i": "<i4", "u": "<i4", "b": "u1"}
    return encode(array.astype(kinds[array.dtype.kind]))


def encode(array: np.ndarray) -> Block:
    """Return an array as a block in its own type."""
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
    return {"type": array.dtype.str.lstrip("<|"), "shape": list(array.shape), "base64": data}


def weights_block(weights: np.ndarray) -> Block:
    """Return attention weights as a block of 16-bit codes: (L, H, T, T) -> (L, H, T (T + 1) / 2)."""
    return encode(np.rint(lower_triangle(weights) * WEIGHT_STEPS).astype("<u2"))


def signed_block(rows: np.ndarray) -> Block:
    """Return signed numbers as a block of 16-bit codes; a number is its code times its row's scale.

    (L, H, T, T) -> codes (L, H, T (T + 1) / 2), scales (L, H, T).
    """
    scales = (np.abs(rows).max(axis=-1) / SIGNED_STEPS).astype("<f4")
    codes = np.rint(rows / np.where(scales, scales, 1)[..., None]).clip(-SIGNED_STEPS, SIGNED_STEPS)
    return encode(lower_triangle(codes).astype("<i2")) | {"scales": encode(scales)}


def lower_triangle(matrices: np.ndarray) -> np.ndarray:
    """Return the lower triangle, row by row: (..., T, T) -> (..., T (T + 1) / 2)."""
    rows, columns = np.tril_indices(matrices.shape[-1])
    return matrices[..., rows, columns]


def weights_bytes(layers: int, heads: int, length: int) -> int:
    """Return the size of the attention weights in the page: two bytes a weight, and base64 makes 4 bytes of 3."""
    return layers * heads * length * (length + 1) // 2 * 2 * 4 // 3
