"""TFDS builder of vectors, from an embedding store or from a file of an array."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from flowjax.data.arrays import check_rows, open_rows
from flowjax.data.tfds.common import InputOrderBuilder
from flowjax.errors import FlowjaxError

_KINDS = ("*.npy", "*.parquet", "*.safetensors")


class SentenceVectors(InputOrderBuilder):
    """Vectors of a manual folder, float32, in their order: an embedding store or one array file.

    The class is registered, so `tfds.builder("sentence_vectors")` finds it after
    `import flowjax.data.tfds.vectors`.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Give an embedding store, such as the folder embeddings of a run, or a folder with one "
        ".npy, .parquet or .safetensors file of shape (n, d)."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        # The dimension is unknown until the manual folder is read.
        vector = tfds.features.Tensor(shape=(None,), dtype=np.float32)
        return self.in_order({"vector": vector}, self.__doc__ or "")

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        folder = self.manual_folder(dl_manager)
        if folder is None:
            raise FlowjaxError(
                "sentence_vectors: expected a manual folder with an embedding store or a file of "
                "vectors, got none"
            )
        return {"train": self._generate_examples(_rows(find_vectors(folder)))}


def find_vectors(folder: Path) -> Path:
    """Returns the path of the vectors in a folder: the folder of a store, or a file.

    Args:
        folder: embedding store, or folder with one file of an array.

    Raises:
        FlowjaxError: The folder is no store and does not have exactly one file of an array.
    """
    if (folder / "manifest.json").exists():
        return folder
    files = sorted(file for kind in _KINDS for file in folder.glob(kind))
    if len(files) != 1:
        got = ", ".join(file.name for file in files) or "no such file"
        raise FlowjaxError(
            f"{folder}: expected an embedding store or one .npy, .parquet or .safetensors file, "
            f"got {got}"
        )
    return files[0]


def _rows(path: Path) -> Iterator[dict[str, np.ndarray]]:
    for row in check_rows(open_rows(path), str(path)):
        yield {"vector": np.asarray(row, np.float32)}


CLASSES = {"sentence_vectors": SentenceVectors}
