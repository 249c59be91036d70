"""Selection of the weights file of a model folder, by format, and reading of its shards."""

from __future__ import annotations

import importlib
import json
import textwrap
from pathlib import Path

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np

from flowjax.errors import FlowjaxError

# Maps each weights file of Hugging Face to its reader, in order of preference: memory-mapped
# first, pickle last. A file may be split into shards, listed in `FILE.index.json`.
FORMATS = {
    "model.safetensors": "safetensors_file",
    "flax_model.msgpack": "flax_file",
    "pytorch_model.bin": "torch_file",
}
TENSORFLOW = "bert_model.ckpt.index"


def read_tensors(folder: str | Path) -> tuple[dict[str, np.ndarray], Path]:
    """Reads the weights of a model folder, from the first existing format of `FORMATS`.

    If there is no such file, the function reads Google's TensorFlow checkpoint
    (`bert_model.ckpt.index` and its data).

    Args:
        folder: model folder.

    Returns:
        `(tensors, file)`: arrays by name, with the names and the orientation of Hugging Face's
        PyTorch weights, and their file or index of shards.

    Raises:
        FlowjaxError: The folder has no weights, or a file is damaged, incomplete or unsafe.
    """
    folder = Path(folder)
    for name, module in FORMATS.items():
        single, index = folder / name, folder / f"{name}.index.json"
        if single.exists():
            return _guarded(module, single), single
        if index.exists():
            tensors: dict[str, np.ndarray] = {}
            for shard in shard_names(index):
                if not (folder / shard).exists():
                    raise FlowjaxError(f"{index}: expected the shard {shard}, got no such file")
                tensors |= _guarded(module, folder / shard)
            return tensors, index
    checkpoints = sorted(folder.glob("*.ckpt*.index"))
    if len(checkpoints) > 1:
        found = ", ".join(file.name for file in checkpoints)
        raise FlowjaxError(f"{folder}: expected one TensorFlow checkpoint, got {found}")
    if checkpoints:
        return _guarded("tensorflow_file", checkpoints[0]), checkpoints[0]
    known = ", ".join(FORMATS)
    raise FlowjaxError(f"{folder}: expected weights in {known} or {TENSORFLOW}, got none")


def little_endian(dtype: str) -> np.dtype:
    """Returns the little-endian dtype with a given name; supports `bfloat16`."""
    return np.dtype(dtype).newbyteorder("<")


def shard_names(index: Path) -> list[str]:
    """Returns the distinct file names in an index of shards, sorted.

    Raises:
        FlowjaxError: The index is damaged or lists a file outside of its folder.
    """
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise FlowjaxError(f"{index}: expected JSON with a weight_map, got {error!r}") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise FlowjaxError(f"{index}: expected names of files in its folder, got {name!r}")
    return names


def _guarded(module: str, file: Path) -> dict[str, np.ndarray]:
    """Reads one weight file with the module of its format; all errors become FlowjaxError."""
    reader = importlib.import_module(f"flowjax.encoder.weights.{module}")
    try:
        tensors: dict[str, np.ndarray] = reader.read(file)
        return tensors
    except Exception as error:  # damaged files raise many types, even struct.error, MemoryError
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        reason = textwrap.shorten(str(error), 400)  # one line, even if it quotes the file
        raise FlowjaxError(f"{file}: cannot be read: {kind}{reason}") from error
