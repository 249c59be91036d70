"""`.npy` files that are written piece by piece: the header has a fixed size and comes last."""

from __future__ import annotations

import numpy as np

# A page: rows begin at a page's start, so that writers on several machines share none of them.
HEADER_BYTES = 4096


def npy_header(rows: int, dim: int) -> bytes:
    """The first `HEADER_BYTES` bytes of a `.npy` file of `(rows, dim)` little-endian float32.

    Example:
        >>> import io
        >>> raw = npy_header(2, 1) + np.array([1, 2], "<f4").tobytes()
        >>> np.load(io.BytesIO(raw)).tolist()
        [[1.0], [2.0]]
    """
    spec = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}"
    magic = b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little")
    return magic + spec.encode().ljust(HEADER_BYTES - 11) + b"\n"


def float32_bytes(vectors: np.ndarray) -> bytes:
    """The rows as they stand in a file."""
    return np.ascontiguousarray(vectors, "<f4").tobytes()
