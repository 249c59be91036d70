"""Arrays as training sources: resident on the device where they fit, else memory-mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

# Larger data stays on the host and is read a batch at a time.
RESIDENT_BYTES = 2 << 30


class ArraySource:
    """Rows `(n, d)` for a flow, with an optional context `(n, c)`.

    A `resident` source keeps its rows on every device, and a batch is a list of row numbers;
    another one is read from (mapped) host memory while the devices compute.
    """

    def __init__(
        self,
        rows: np.ndarray,
        context: np.ndarray | None = None,
        *,
        name: str = "data",
        resident: bool | None = None,
    ) -> None:
        """Takes rows as they are; `resident=None` decides by size.

        Raises:
            ValueError: not two-dimensional, empty, not numbers, or not finite (the first such row
                and column are named).
        """
        rows = check_rows(rows, name)
        if context is not None and len(context) != len(rows):
            raise ValueError(f"context: expected {len(rows)} rows, got {len(context)}")
        self.size, self.dim = rows.shape
        self.rows, self.context = rows, context
        small = rows.size * 4 <= RESIDENT_BYTES if resident is None else resident
        self.resident: Any = self._take(slice(None)) if small else None

    def read(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The vectors of these rows; nothing where they are resident."""
        return {} if self.resident is not None else self._take(rows)

    def _take(self, rows: Any) -> dict[str, np.ndarray]:
        taken = {"x": np.asarray(self.rows[rows], np.float32)}
        if self.context is not None:
            taken["context"] = np.asarray(self.context[rows], np.float32)
        return taken


def open_rows(data: Any, name: str = "data") -> np.ndarray:
    """Opens an array, a path to `.npy`, or a folder with an embedding store's `vectors.npy`.

    Raises:
        ValueError: no such file, or not an array.
    """
    if isinstance(data, (str, Path)):
        path = Path(data)
        if path.is_dir():
            path = path / "vectors.npy"
        if not path.exists():
            raise ValueError(f"{data}: expected a .npy file or an embedding store, found none")
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise ValueError(f"{path}: expected a .npy array: {error}") from None
    return np.asarray(data)


def check_rows(rows: Any, name: str = "data") -> np.ndarray:
    """Refuses what no flow can be fitted on, a block at a time so that mapped data stays on disk.

    Raises:
        ValueError: see `ArraySource`.

    Example:
        >>> check_rows(np.array([[1.0, np.nan]]))
        Traceback (most recent call last):
        ValueError: data: expected finite numbers, got nan at row 0, column 1
    """
    rows = rows if isinstance(rows, np.ndarray) else np.asarray(rows)
    if rows.ndim != 2 or 0 in rows.shape:
        raise ValueError(f"{name}: expected rows of shape (n, d), got {rows.shape}")
    if not np.issubdtype(rows.dtype, np.number) or np.iscomplexobj(rows):
        raise ValueError(f"{name}: expected real numbers, got dtype {rows.dtype}")
    step = max(1, (1 << 24) // rows.shape[1])
    for start in range(0, len(rows), step):
        finite = np.isfinite(rows[start : start + step])
        if not finite.all():
            row, column = np.argwhere(~finite)[0]
            value = rows[start + row, column]
            raise ValueError(
                f"{name}: expected finite numbers, got {value} at row {start + row}, column {column}"
            )
    return rows
