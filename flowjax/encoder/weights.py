"""Checkpoint files to params and back: a table of names, and errors that name the tensor."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowjax.encoder.bert import BertConfig

# Hugging Face's name of each tensor -> the path in our params. `{}` is the block's number;
# kernels are stored transposed in PyTorch.
_TABLE = {
    "embeddings.word_embeddings.weight": "embeddings/word_embeddings/embedding",
    "embeddings.position_embeddings.weight": "embeddings/position_embeddings/embedding",
    "embeddings.token_type_embeddings.weight": "embeddings/token_type_embeddings/embedding",
    "embeddings.LayerNorm.weight": "embeddings/LayerNorm/scale",
    "embeddings.LayerNorm.bias": "embeddings/LayerNorm/bias",
    "pooler.dense.weight": "pooler/kernel",
    "pooler.dense.bias": "pooler/bias",
}
_BLOCK = {
    "attention.self.query": "query",
    "attention.self.key": "key",
    "attention.self.value": "value",
    "attention.output.dense": "attention_output",
    "attention.output.LayerNorm": "attention_LayerNorm",
    "intermediate.dense": "intermediate",
    "output.dense": "output",
    "output.LayerNorm": "output_LayerNorm",
}
# Older files call a norm's weight gamma and its bias beta.
_OLD = {"gamma": "weight", "beta": "bias"}


def names(config: BertConfig) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Every tensor a BERT of this size has: name -> (path in the params, shape in the params)."""
    width, inner = config.hidden_size, config.intermediate_size
    rows = {
        "word": config.vocab_size,
        "position": config.max_position_embeddings,
        "token_type": config.type_vocab_size,
    }
    result: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name, path in _TABLE.items():
        if match := re.search(r"(\w+)_embeddings\.weight", name):
            shape: tuple[int, ...] = (rows[match[1]], width)
        else:
            shape = (width, width) if path.endswith("kernel") else (width,)
        result[name] = (path, shape)
    for i in range(config.num_hidden_layers):
        for name, path in _BLOCK.items():
            sizes = {"intermediate": (width, inner), "output": (inner, width)}
            kernel = sizes.get(path, (width, width))
            norm = path.endswith("LayerNorm")
            weight = ("scale", (width,)) if norm else ("kernel", kernel)
            result[f"encoder.layer.{i}.{name}.weight"] = (f"layer_{i}/{path}/{weight[0]}", weight[1])
            bias = (width,) if norm else kernel[1:]
            result[f"encoder.layer.{i}.{name}.bias"] = (f"layer_{i}/{path}/bias", bias)
    return result


def load_pretrained(folder: str | Path) -> tuple[dict[str, Any], BertConfig]:
    """Reads `config.json` and the weights of a Hugging Face folder.

    Args:
        folder: with `config.json` and `model.safetensors` (or its shards and index).

    Returns:
        `(params, config)`: float32 params for `Bert(config, with_pooler="pooler" in params)`.

    Raises:
        ValueError: a file is missing or damaged, a tensor is missing or has another shape.
    """
    folder = Path(folder)
    config_file = folder / "config.json"
    if not config_file.exists():
        raise ValueError(f"{folder}: expected a model folder with config.json, found none")
    try:
        config = BertConfig.from_dict(json.loads(config_file.read_text("utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{config_file}: {error}") from None
    return to_params(dict(_read_tensors(folder)), config, str(folder)), config


def to_params(
    tensors: Mapping[str, np.ndarray], config: BertConfig, source: str = "weights"
) -> dict[str, Any]:
    """Renames and transposes Hugging Face tensors to params.

    A prefix (`bert.`) and tensors of heads are passed over; the pooler may be missing.

    Raises:
        ValueError: a tensor is missing or has another shape than the config says.
    """
    found = {_canonical(name): value for name, value in tensors.items()}
    params: dict[str, Any] = {}
    missing = []
    for name, (path, shape) in names(config).items():
        if name not in found:
            if not name.startswith("pooler."):
                missing.append(name)
            continue
        value = np.asarray(found[name]).astype(np.float32)
        if path.endswith("kernel"):
            value = value.T
        if value.shape != shape:
            stored = shape[::-1] if path.endswith("kernel") else shape
            raise ValueError(
                f"{source}: tensor {name}: expected shape {stored} from config.json, got "
                f"{np.asarray(found[name]).shape}"
            )
        *parents, leaf = path.split("/")
        node = params
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = np.ascontiguousarray(value)
    if missing:
        raise ValueError(
            f"{source}: expected {len(names(config))} tensors of a BERT, {len(missing)} are "
            f"missing, the first {missing[0]!r}"
        )
    return params


def save_pretrained(
    params: Mapping[str, Any], config: BertConfig, folder: str | Path, *, dtype: Any = np.float32
) -> None:
    """Writes `config.json` and `model.safetensors` that `transformers.BertModel` reads too.

    Args:
        params: the encoder's params (what `Bert.init` gives under `"params"`).
        config: its sizes.
        folder: made if it does not exist.
        dtype: of the file: float32 or float16.
    """
    from safetensors.numpy import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, (path, _) in names(config).items():
        node: Any = params
        for part in path.split("/"):
            node = node.get(part) if node is not None else None
        if node is None:  # a pooler that was never trained
            continue
        value = np.asarray(node, dtype)
        tensors[name] = np.ascontiguousarray(value.T if path.endswith("kernel") else value)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=2) + "\n", "utf-8")


def _canonical(name: str) -> str:
    name = name.removeprefix("bert.")
    stem, _, last = name.rpartition(".")
    return f"{stem}.{_OLD.get(last, last)}"


def _read_tensors(folder: Path) -> Iterator[tuple[str, np.ndarray]]:
    from safetensors import SafetensorError

    index, single = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if single.exists():
        files = [single]
    elif index.exists():
        shards = json.loads(index.read_text("utf-8"))["weight_map"].values()
        files = [folder / name for name in sorted(set(shards))]
    else:
        raise ValueError(f"{folder}: expected weights in model.safetensors, found none")
    for file in files:
        if not file.exists():
            raise ValueError(f"{index}: names {file.name}, which is not there")
        try:
            yield from _read_safetensors(file)
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{file}: cannot be read: {error}") from None


def _read_safetensors(file: Path) -> Iterator[tuple[str, np.ndarray]]:
    import ml_dtypes  # noqa: F401  (gives NumPy its bfloat16)
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as opened:
        for name in opened.keys():  # noqa: SIM118  (not a dict)
            yield name, opened.get_tensor(name)
