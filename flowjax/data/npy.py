"""`.npy` files that are written in pieces, with a header of fixed size that is written last."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from flowjax.errors import FlowjaxError, first_line
from flowjax.files.replace import named

# One page: rows start on a page boundary, so processes on different machines share no page.
HEADER_BYTES = 4096


def npy_header(rows: int, dim: int) -> bytes:
    """Returns the header of a `.npy` file of a float32 array `(rows, dim)`: `HEADER_BYTES` bytes.

    Example:
        >>> import io
        >>> raw = npy_header(2, 1) + np.array([1, 2], "<f4").tobytes()
        >>> np.load(io.BytesIO(raw)).tolist()
        [[1.0], [2.0]]
    """
    spec = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {dim}), }}"
    magic = b"\x93NUMPY\x01\x00" + (HEADER_BYTES - 10).to_bytes(2, "little")
    return magic + spec.encode().ljust(HEADER_BYTES - 11) + b"\n"


def load_npy(path: str | Path) -> np.ndarray:
    """Returns the array of a `.npy` file, memory-mapped and read-only.

    Raises:
        FlowjaxError: The file is not a `.npy` array, or is damaged.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "x.npy"
        >>> np.save(path, np.ones(2))
        >>> load_npy(path).tolist()
        [1.0, 1.0]
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy parses the header as Python: any error, also SyntaxError
        # NumPy treats a file without the magic bytes as a pickle and advises to allow pickles.
        reason = "another kind of file" if "pickled" in str(error) else first_line(error)
        if "Python objects in dtype" in reason or "Object arrays" in reason:
            reason = "an array of Python objects"
        raise FlowjaxError(f"{path}: expected a .npy array, got: {reason}") from None
    if not isinstance(array, np.ndarray):  # an open archive: .npz, or a tensor of torch
        array.close()
        raise FlowjaxError(f"{path}: expected a .npy array, got: a zip archive")
    return array


def float32_bytes(vectors: np.ndarray) -> bytes:
    """Returns the rows as little-endian float32 bytes in row-major order."""
    return np.ascontiguousarray(vectors, "<f4").tobytes()


class NpyFile:
    """`.npy` file of float32 rows `(n, dim)` that several processes fill in any order.

    Example:
        >>> import tempfile
        >>> file = NpyFile(Path(tempfile.mkdtemp()) / "x.npy", dim=1)
        >>> file.path.touch()
        >>> file.write_rows(1, np.array([[5.0]]))
        >>> file.write_rows(0, np.array([[4.0]]))
        >>> file.finish(rows=2)
        >>> file.open(rows=2).tolist()
        [[4.0], [5.0]]
    """

    def __init__(self, path: Path, *, dim: int) -> None:
        """Stores the path and the number of columns, `dim`; does not touch the file."""
        self.path, self._dim = path, dim

    def write_rows(self, start: int, vectors: np.ndarray) -> None:
        """Writes rows, beginning at row index `start`, and flushes them to the disk."""
        self._write(HEADER_BYTES + start * self._dim * 4, float32_bytes(vectors))

    def finish(self, rows: int) -> None:
        """Writes the header of a file with `rows` rows."""
        self._write(0, npy_header(rows, self._dim))

    def check_size(self, rows: int, *, more: bool = False) -> None:
        """Checks that the file size matches `rows` rows.

        Args:
            rows: expected number of rows.
            more: True to accept a larger file.

        Raises:
            FlowjaxError: The file size does not match.
        """
        expected = HEADER_BYTES + rows * self._dim * 4
        size = self.path.stat().st_size if self.path.exists() else 0
        if size < expected or (size > expected and not more):
            raise FlowjaxError(
                f"{self.path}: expected {expected} bytes, got {size}; the file is damaged"
            )

    def open(self, rows: int) -> np.ndarray:
        """Returns the rows of a finished file, memory-mapped and read-only.

        Raises:
            FlowjaxError: The file size or the header does not match `rows`.
        """
        self.check_size(rows)
        if rows == 0:  # an empty file cannot be mapped
            return np.zeros((0, self._dim), np.float32)
        with self.path.open("rb") as file:
            if file.read(HEADER_BYTES) != npy_header(rows, self._dim):
                raise FlowjaxError(f"{self.path}: expected the header of {rows} rows; got another")
        return np.memmap(self.path, "<f4", "r", HEADER_BYTES, (rows, self._dim))

    def _write(self, place: int, data: bytes) -> None:
        # A full disk raises an error here; a write to a memory map would kill the process.
        with named(self.path), self.path.open("r+b", buffering=0) as file:
            file.seek(place)
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
            os.fsync(file.fileno())
