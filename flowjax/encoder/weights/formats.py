"""Which weights file of a folder is read: the formats, their order of preference, their shards."""

from __future__ import annotations

import importlib
import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np

# In order of preference: safe and mapped to memory first, the pickle last of Hugging Face's. Each
# may be sharded, with an index beside it of the same name and `.index.json`.
FORMATS = {
    "model.safetensors": "safetensors_file",
    "flax_model.msgpack": "flax_file",
    "pytorch_model.bin": "torch_file",
}
TENSORFLOW = "bert_model.ckpt.index"


def read_tensors(folder: str | Path) -> tuple[dict[str, np.ndarray], Path]:
    """Reads the weights of a model folder, from the first format of `FORMATS` that is there.

    Google's TensorFlow checkpoint (`bert_model.ckpt.index` and its data) comes after those.

    Args:
        folder: a model folder.

    Returns:
        `(tensors, file)`: name -> array, under Hugging Face's PyTorch names and in PyTorch's
        orientation; and the file, or the index of the shards, that they came from.

    Raises:
        ValueError: no weights, or a file that is damaged, incomplete or refused.
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
                    raise ValueError(f"{index}: names {shard}, which is not there")
                tensors |= _guarded(module, folder / shard)
            return tensors, index
    checkpoints = sorted(folder.glob("*.ckpt*.index"))
    if len(checkpoints) > 1:
        raise ValueError(
            f"{folder}: expected one TensorFlow checkpoint, got "
            f"{', '.join(file.name for file in checkpoints)}"
        )
    if checkpoints:
        return _guarded("tensorflow_file", checkpoints[0]), checkpoints[0]
    raise ValueError(
        f"{folder}: expected weights in {', '.join(FORMATS)} (or their shards with an index) or "
        f"{TENSORFLOW}, found none"
    )


def shard_names(index: Path) -> list[str]:
    """The files that an index of shards names, each once.

    Raises:
        ValueError: the index is damaged or names a file outside its folder.
    """
    try:
        names = sorted(set(json.loads(index.read_text("utf-8"))["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{index}: expected JSON with a weight_map: {error!r}") from None
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:
            raise ValueError(f"{index}: expected names of files beside it, got {name!r}")
    return names


def _guarded(module: str, file: Path) -> dict[str, np.ndarray]:
    """Reads one file; a format's libraries are imported when it is met."""
    read: Callable[[Path], dict[str, np.ndarray]] = importlib.import_module(
        f"flowjax.encoder.weights.{module}"
    ).read
    try:
        return read(file)
    except Exception as error:  # damaged bytes raise anything, from struct.error to MemoryError
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        reason = textwrap.shorten(str(error), 400)  # one line, also where it quotes the file
        raise ValueError(f"{file}: cannot be read: {kind}{reason}") from error
