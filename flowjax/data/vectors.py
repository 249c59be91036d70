"""Writers of vectors to `.npy`, `.parquet` and `.safetensors`, in constant memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from flowjax.data.arrays import release
from flowjax.data.formats import need_pyarrow
from flowjax.data.npy import float32_bytes, npy_header
from flowjax.errors import FlowjaxError
from flowjax.files.replace import replacing

SUFFIXES = (".npy", ".parquet", ".safetensors")
# Rows per copy, and per Parquet row group.
_ROWS = 8192


def write_vectors(
    path: str | Path, vectors: np.ndarray, sentences: Iterable[str] | None = None
) -> None:
    """Writes vectors as float32 in the format given by the file suffix.

    The file is written atomically and replaces an existing file.

    Args:
        path: `.npy`; `.parquet` with the columns `sentence` (if given) and `embedding`; or
            `.safetensors` with one tensor, `embeddings`.
        vectors: array, shape (n, d), read one block at a time.
        sentences: n sentences for the Parquet column.

    Raises:
        FlowjaxError: The suffix is unknown, the shape is not (n, d), the number of sentences is
            not n, or pyarrow is missing for Parquet.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "v.npy"
        >>> write_vectors(path, np.ones((2, 3), np.float32))
        >>> np.load(path).shape
        (2, 3)
    """
    path = Path(path)
    write = _WRITERS.get(path.suffix)
    if write is None:
        raise FlowjaxError(
            f"{path}: expected a name ending in {', '.join(SUFFIXES)}, got {path.suffix!r}"
        )
    if vectors.ndim != 2:
        raise FlowjaxError(f"vectors: expected shape (n, d), got {vectors.shape}")
    with replacing(path) as new:
        write(new, vectors, sentences)


def _blocks(vectors: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(vectors), _ROWS):
        yield vectors[start : start + _ROWS]
        release(vectors)


def _write_npy(path: Path, vectors: np.ndarray, _: Iterable[str] | None) -> None:
    with path.open("wb") as file:
        file.write(npy_header(*vectors.shape))
        for block in _blocks(vectors):
            file.write(float32_bytes(block))


def _write_safetensors(path: Path, vectors: np.ndarray, _: Iterable[str] | None) -> None:
    # A safetensors file holds the length of the header (8 bytes), the header (JSON), the values.
    tensor = {"dtype": "F32", "shape": vectors.shape, "data_offsets": [0, vectors.size * 4]}
    header = json.dumps({"embeddings": tensor}).encode()
    header = header.ljust(-(-len(header) // 8) * 8)
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        for block in _blocks(vectors):
            file.write(float32_bytes(block))


def _write_parquet(path: Path, vectors: np.ndarray, sentences: Iterable[str] | None) -> None:
    arrow, parquet = need_pyarrow("writing")
    fields = [("embedding", arrow.list_(arrow.float32(), vectors.shape[1]))]
    if sentences is not None:
        fields.insert(0, ("sentence", arrow.string()))
    schema = arrow.schema(fields)
    texts = iter(sentences if sentences is not None else ())
    with parquet.ParquetWriter(path, schema) as writer:
        for block in _blocks(vectors):
            flat = arrow.array(np.ascontiguousarray(block, np.float32).ravel())
            columns = [arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])]
            if sentences is not None:
                rows = list(islice(texts, len(block)))
                if len(rows) != len(block):
                    raise FlowjaxError(f"sentences: expected {len(vectors)} sentences, got fewer")
                columns.insert(0, arrow.array(rows, arrow.string()))
            writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
    if next(texts, None) is not None:
        raise FlowjaxError(f"sentences: expected {len(vectors)} sentences, got more")


_WRITERS: dict[str, Callable[[Path, np.ndarray, Iterable[str] | None], None]] = {
    ".npy": _write_npy,
    ".parquet": _write_parquet,
    ".safetensors": _write_safetensors,
}
