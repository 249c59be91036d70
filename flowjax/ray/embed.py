"""Callable class that adds vectors to the batches of a Ray data set."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from flowjax.encoder.opened import open_encoder
from flowjax.encoder.similarity import unit
from flowjax.errors import FlowjaxError, check_choice
from flowjax.loading import load_run
from flowjax.model import BertFlow

DTYPES = ("float32", "float16")


class EmbedOptions(TypedDict, total=False):
    """Options of `Embed` for the vectors, see there."""

    pooling: str | None
    max_length: int | None
    batch_size: int | None
    normalize: bool
    dtype: str


class Embed:
    """Adds the vectors of a sentence column to batches; for `Dataset.map_batches`.

    A worker loads the model once. The same class works on CPUs, GPUs and TPUs; Ray assigns the
    devices (`num_gpus=1` or `resources={"TPU": 1}`).

    Example:
        >>> embed = Embed("minibert", column="text")
        >>> batch = embed({"text": np.array(["One sentence.", "Another one."])})
        >>> batch["vector"].shape, batch["vector"].dtype
        ((2, 256), dtype('float32'))
    """

    def __init__(
        self,
        model: Any,
        column: str = "sentence",
        output: str = "vector",
        *,
        pooling: str | None = None,
        max_length: int | None = None,
        batch_size: int | None = None,
        normalize: bool = False,
        dtype: str = "float32",
    ) -> None:
        """Loads the model.

        Args:
            model: run or model folder, name or folder of an encoder, a `BertFlow`, an encoder
                object, or a Ray reference to one of these objects (`ray.put(model)`), which needs
                no disk that all nodes share.
            column: name of the column of sentences. A null is an empty sentence.
            output: name of the new column of vectors.
            pooling: pooling of an encoder that is given by name.
            max_length: maximum number of tokens of an encoder that is given by name.
            batch_size: sentences per batch of the encoder; None means the encoder's own.
            normalize: True scales each vector to unit length.
            dtype: dtype of the vectors, float32 or float16.

        Raises:
            FlowjaxError: The model does not exist, or an option is unknown.
        """
        check_choice("dtype", dtype, DTYPES)
        self.model, self.encoder = open_model(model, pooling=pooling, max_length=max_length)
        self.column, self.output = column, output
        self.batch_size, self.normalize, self.dtype = batch_size, normalize, dtype
        self._lock = threading.Lock()

    def __call__(self, batch: Any) -> Any:
        """Returns the batch with the column of vectors.

        Args:
            batch: dict of arrays, pandas DataFrame or pyarrow table, as in `batch_format`.

        Raises:
            FlowjaxError: The batch has no such column, or the column has other values than text.
        """
        names = list(getattr(batch, "column_names", batch))
        if self.column not in names:
            got = ", ".join(map(repr, names)) or "none"
            raise FlowjaxError(f"batch: expected a column {self.column!r}, got {got}")
        column = batch[self.column]
        texts = column.to_pylist() if hasattr(column, "to_pylist") else column
        vectors, _ = self.vectors(texts)
        if isinstance(batch, dict):
            return {**batch, self.output: vectors}
        if hasattr(batch, "assign"):
            return batch.assign(**{self.output: list(vectors)})
        return batch.append_column(self.output, vector_array(vectors))

    def vectors(self, sentences: Iterable[str | None]) -> tuple[np.ndarray, dict[str, int]]:
        """Returns the vectors of sentences and the counts of the encoder.

        Several threads may call this method; they embed one after another.

        Args:
            sentences: n strings; None is an empty sentence.

        Returns:
            The vectors, shape (n, dim), and the counts of an `EncodeReport` by name.

        Raises:
            FlowjaxError: A sentence is not a string.
        """
        texts = ["" if text is None else text for text in sentences]
        with self._lock:
            stream = self.encoder.encode_stream(texts, self.batch_size, False)
            vectors = np.concatenate([np.zeros((0, self.encoder.dim), np.float32), *stream])
            counts = asdict(self.encoder.report)
        if self.model is not None and len(vectors):
            vectors = self.model.transform(vectors)
        vectors = unit(vectors) if self.normalize else vectors
        if self.dtype == "float16":
            # Larger numbers become infinite, so they are limited to the range of float16.
            largest = float(np.finfo(np.float16).max)
            vectors = np.clip(vectors, -largest, largest)
        return vectors.astype(self.dtype, copy=False), counts

    @property
    def dim(self) -> int:
        """Dimension of the vectors."""
        return int((self.model or self.encoder).dim)


def open_model(model: Any, **options: Any) -> tuple[BertFlow | None, Any]:
    """Returns a model and its encoder, or `(None, encoder)`.

    Args:
        model: see `Embed`.
        **options: `pooling` and `max_length` of an encoder that is given by name.

    Raises:
        FlowjaxError: There is no such model, or an option is given for a model that has its own.
    """
    ray: Any = sys.modules.get("ray")
    reference = getattr(ray, "ObjectRef", None)
    if reference is not None and isinstance(model, reference):
        model = ray.get(model)
    if isinstance(model, BertFlow):
        return model, model.encoder
    if isinstance(model, (str, Path)):
        return load_run(str(model), **options)
    return None, open_encoder(model)


def vector_array(vectors: np.ndarray) -> Any:
    """Returns vectors of shape (n, dim) as a pyarrow array of fixed-size lists."""
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(vectors).ravel())
    return pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
