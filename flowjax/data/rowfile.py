"""Random reads of rows from a file by `preadv`, so that resident memory stays constant.

A gather from a memory map leaves the pages around every row mapped. After a few batches, the
resident memory of the process equals the size of the file (see `benchmarks/store.md`).
"""

from __future__ import annotations

import mmap
import os
import weakref
from typing import Any

import numpy as np


class RowFile:
    """Reader of single rows from the file behind a memory-mapped array.

    Example:
        >>> import tempfile
        >>> path = os.path.join(tempfile.mkdtemp(), "x.npy")
        >>> np.save(path, np.arange(6).reshape(3, 2))
        >>> RowFile(np.load(path, mmap_mode="r")).read(np.array([2, 0])).tolist()
        [[4, 5], [0, 1]]
    """

    def __init__(self, rows: Any) -> None:
        """Opens the file behind `rows`, an array for which `can_read` returns True."""
        self._shape, self._dtype, self._offset = rows.shape, rows.dtype, rows.offset
        self._width = rows.shape[1] * rows.itemsize
        self._file = os.open(rows.filename, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    @staticmethod
    def can_read(rows: np.ndarray) -> bool:
        """Returns True if `rows` is a read-only map of whole rows and the system has `preadv`."""
        return (
            hasattr(os, "preadv")
            and isinstance(rows, np.memmap)
            and isinstance(rows.base, mmap.mmap)  # a view of another map has no known offset
            and rows.ndim == 2
            and rows.flags.c_contiguous
            and not rows.flags.writeable
            and rows.filename is not None
        )

    def read(self, numbers: np.ndarray) -> np.ndarray:
        """Returns the selected rows, shape `(len(numbers), d)`, in the order of `numbers`.

        Args:
            numbers: row indices, shape (m,).

        Raises:
            IndexError: A row number is out of range.
            OSError: The file was truncated after it was opened.
        """
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < self._shape[0]:
            raise IndexError(
                f"rows: expected numbers from 0 to {self._shape[0] - 1}, got {numbers.min()} to "
                f"{numbers.max()}"
            )
        rows = np.empty((len(numbers), self._shape[1]), self._dtype)
        view, at, width = rows.view(np.uint8).reshape(-1).data, 0, self._width
        for number in numbers.tolist():
            got = os.preadv(self._file, [view[at : at + width]], self._offset + number * width)
            if got != width:
                raise OSError(f"row {number}: expected {width} bytes, got {got}")
            at += width
        return rows
