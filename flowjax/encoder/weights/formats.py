"""Selection of the weights file of a model folder, by format, and reading of its shards."""

from __future__ import annotations

import glob
import importlib
import math
import textwrap
from pathlib import Path

import ml_dtypes  # noqa: F401  (registers bfloat16 with NumPy)
import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.files.json import field, inner_path, read_object

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
    values = field(read_object(index), "weight_map", dict, index).values()
    names = {inner_path(name, f"{index}: weight_map") for name in values}
    for name in names:
        if Path(name).name != name or not name:
            raise FlowjaxError(f"{index}: weight_map: expected names of files, got {name[:80]!r}")
    return sorted(names)


def _guarded(module: str, file: Path) -> dict[str, np.ndarray]:
    """Reads one weight file with the module of its format; all errors become FlowjaxError."""
    reader = importlib.import_module(f"flowjax.encoder.weights.{module}")
    try:
        tensors: dict[str, np.ndarray] = reader.read(file)
        _check_total(tensors, file)
        return tensors
    except Exception as error:  # damaged files raise many types, even struct.error, MemoryError
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        reason = textwrap.shorten(str(error), 400)  # one line, even if it quotes the file
        raise FlowjaxError(f"{file}: cannot be read: {kind}{reason}") from error


def _check_total(tensors: dict[str, np.ndarray], file: Path) -> None:
    """Raises FlowjaxError if the tensors are much larger than the files that store them.

    The arrays may be views that share their bytes; a copy of each, as parameters, would then need
    much more memory than the files.
    """
    stem = str(file).removesuffix(".index")
    data = [file, *file.parent.glob(f"{glob.escape(Path(stem).name)}.data-*")]
    stored = sum(each.stat().st_size for each in data)
    total = sum(math.prod(tensor.shape) * tensor.itemsize for tensor in tensors.values())
    # Checkpoints store tied embeddings once, for two names.
    if total > 4 * stored + 1024:
        raise FlowjaxError(f"expected tensors of at most {4 * stored} bytes, got {total}")
