"""Vectors to files: `.npy`, `.parquet`, `.safetensors`; whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SUFFIXES = (".npy", ".parquet", ".safetensors")


def write_vectors(
    path: str | Path, vectors: np.ndarray, sentences: Sequence[str] | None = None
) -> None:
    """Writes `(n, d)` vectors in the format that the name says.

    Args:
        path: `.npy`; `.parquet` with the columns `sentence` (where given) and `embedding`; or
            `.safetensors` with one tensor, `embeddings`.
        vectors: float32.
        sentences: n of them, for Parquet.

    Raises:
        ValueError: another suffix, or Parquet without pyarrow.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "v.npy"
        >>> write_vectors(path, np.ones((2, 3), np.float32))
        >>> np.load(path).shape
        (2, 3)
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    try:
        if path.suffix == ".npy":
            with partial.open("wb") as file:
                np.save(file, vectors)
        elif path.suffix == ".safetensors":
            from safetensors.numpy import save_file

            save_file({"embeddings": np.ascontiguousarray(vectors)}, partial)
        elif path.suffix == ".parquet":
            _write_parquet(partial, vectors, sentences)
        else:
            raise ValueError(f"{path}: expected a name ending in {', '.join(SUFFIXES)}")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _write_parquet(path: Path, vectors: np.ndarray, sentences: Sequence[str] | None) -> None:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ValueError(
            f"{path.name}: writing Parquet needs pyarrow: pip install 'bert-flowjax[parquet]'"
        ) from None
    flat = pyarrow.array(np.ascontiguousarray(vectors).ravel())
    columns = {"embedding": pyarrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
    if sentences is not None:
        columns = {"sentence": pyarrow.array(list(sentences)), **columns}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
