"""Quantisation of vectors, with the results of sentence-transformers' `quantize_embeddings`."""

from __future__ import annotations

from typing import get_args

import numpy as np

from flowjax.errors import FlowjaxError, check_choice
from flowjax.literals import Quantization

PRECISIONS = get_args(Quantization)


def quantize(vectors: np.ndarray, precision: Quantization) -> np.ndarray:
    """Quantises vectors.

    Args:
        vectors: shape `(n, dim)`, float32.
        precision: "float32", "int8", "uint8", "binary" or "ubinary". `int8` and `uint8` divide the
            range of each dimension of `vectors` into 255 steps. `binary` and `ubinary` keep the
            signs, eight per byte.

    Returns:
        Quantised vectors, shape `(n, dim)`, or `(n, ceil(dim / 8))` for the signs.

    Raises:
        FlowjaxError: The precision is unknown, or 8-bit integers are requested for a single
            vector, which defines no range.

    Example:
        >>> quantize(np.array([[0, -1], [128, 9], [255, 254]], np.float32), "uint8").tolist()
        [[0, 0], [128, 10], [255, 255]]
    """
    check_choice("precision", precision, PRECISIONS)
    if precision == "float32":
        return vectors
    if precision.endswith("binary"):
        bits = np.packbits(vectors > 0, axis=1)
        return bits if precision == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)
    if not len(vectors):
        return vectors.astype(precision)
    if len(vectors) == 1:
        raise FlowjaxError(
            f"precision: expected at least two vectors for {precision!r}, got one vector"
        )
    low = vectors.min(0)
    step = (vectors.max(0) - low) / 255
    levels = np.clip(np.floor((vectors - low) / np.where(step == 0, 1, step)), 0, 255)
    quantized: np.ndarray = (levels if precision == "uint8" else levels - 128).astype(precision)
    return quantized
