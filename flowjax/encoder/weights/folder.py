"""Model folders in Hugging Face's layout: reading and writing of `config.json` and weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax.traverse_util import flatten_dict

from flowjax.encoder.bert_config import BertConfig
from flowjax.encoder.weights.formats import read_tensors
from flowjax.encoder.weights.layout import names
from flowjax.encoder.weights.params import to_params
from flowjax.errors import FlowjaxError
from flowjax.files.json import read_object
from flowjax.files.replace import replacing

# Google's folders have `bert_config.json`.
CONFIGS = ("config.json", "bert_config.json")
# Entry of the `config.json` of a saved encoder, by which its folder is recognised.
WRITER = {"saved_by": "flowjax"}
FILES = (
    *("config.json", "model.safetensors", "tokenizer.json", "modules.json"),
    *("1_Pooling/config.json", "sentence_bert_config.json", "config_sentence_transformers.json"),
    *(f"{i}_Dense/{name}" for i in range(2, 6) for name in ("config.json", "model.safetensors")),
)


def load_config(folder: str | Path) -> BertConfig:
    """Reads `config.json`, or Google's `bert_config.json`, of a model folder.

    Raises:
        FlowjaxError: The folder contains neither file, or the file is damaged or describes a model
            that is not supported.
    """
    folder = Path(folder)
    file = next((folder / name for name in CONFIGS if (folder / name).exists()), None)
    if file is None:
        raise FlowjaxError(f"{folder}: expected a model folder with config.json, got no such file")
    values = read_object(file)
    try:
        return BertConfig.from_dict(values)
    except FlowjaxError as error:
        raise FlowjaxError(f"{file}: {error}") from None


def load_pretrained(folder: str | Path) -> tuple[dict[str, Any], BertConfig]:
    """Reads the config and the weights of a model folder.

    Args:
        folder: folder with `config.json` and weights; the first existing format of
            `formats.FORMATS` is read.

    Returns:
        `(params, config)`: float32 parameters of `Bert(config, with_pooler="pooler" in params)`.

    Raises:
        FlowjaxError: A file is missing or damaged, or a tensor is missing or has another shape.

    Example:
        >>> import tempfile, jax, jax.numpy as jnp
        >>> from flowjax.encoder.bert import Bert
        >>> config = BertConfig(vocab_size=9, hidden_size=4, num_hidden_layers=1,
        ...                     num_attention_heads=2, intermediate_size=8)
        >>> params = Bert(config).init(jax.random.key(0), jnp.zeros((1, 2), int))["params"]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_pretrained(params, config, folder)
        ...     load_pretrained(folder)[1] == config
        True
    """
    config = load_config(folder)
    tensors, source = read_tensors(folder)
    return to_params(tensors, config, str(source)), config


def save_pretrained(
    params: Mapping[str, Any], config: BertConfig, folder: str | Path, *, dtype: Any = np.float32
) -> None:
    """Writes `config.json` and `model.safetensors`, which transformers can read.

    Args:
        params: parameters of the encoder, the value under `"params"` of `Bert.init`.
        config: sizes of the encoder.
        folder: folder to write to, created if necessary.
        dtype: dtype of the tensors in the file, float32 or float16.

    Raises:
        FlowjaxError: `params` lacks a tensor other than the pooler.
    """
    from safetensors.numpy import save

    found, tensors = flatten_dict(params, sep="/"), {}
    for name, (path, _) in names(config).items():
        if path in found:
            value = np.asarray(found[path], dtype)
            tensors[name] = np.ascontiguousarray(value.T if path.endswith("kernel") else value)
        elif not name.startswith("pooler."):  # optional: masked-LM training has none
            raise FlowjaxError(f"params: expected {path}, got parameters without it")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    content = save(tensors, metadata={"format": "pt"})
    with replacing(folder / "model.safetensors") as new:
        new.write_bytes(content)  # `save_file` of safetensors would ignore the umask
    text = json.dumps({**config.to_dict(), **WRITER}, indent=2) + "\n"
    with replacing(folder / "config.json") as new:
        new.write_text(text, "utf-8")


def saved_files(folder: Path) -> set[str] | None:
    """Returns the possible files of `save_pretrained` and of `SentenceEncoder.save`.

    Args:
        folder: folder of an encoder.

    Returns:
        Names of the files, or None if the `config.json` of the folder is missing or of other
        software.

    Example:
        >>> saved_files(Path("nowhere")) is None
        True
    """
    try:
        ours = WRITER.items() <= read_object(folder / "config.json").items()
    except FlowjaxError:
        return None
    return {*FILES} if ours else None
