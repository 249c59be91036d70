"""Conversion of tensors under Hugging Face's names to a parameter pytree."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
from flax.traverse_util import unflatten_dict

from flowjax.encoder.bert_config import BertConfig
from flowjax.encoder.weights.layout import names
from flowjax.errors import FlowjaxError

logger = logging.getLogger("flowjax")

# Older files name the weight of a norm gamma and its bias beta.
_OLD = {"gamma": "weight", "beta": "bias"}
_WORDS = "embeddings.word_embeddings.weight"
# Tensor name prefixes of the encoder; all other tensors belong to task heads.
_PARTS = ("embeddings", "encoder", "transformer", "pooler")
# Constants that older versions of transformers stored with the weights.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")


def to_params(
    tensors: Mapping[str, np.ndarray], config: BertConfig, source: str = "weights"
) -> dict[str, Any]:
    """Converts Hugging Face tensors to parameters.

    The function removes the common prefix, such as `bert.`, and skips and logs the tensors of task
    heads. The pooler may be missing.

    Args:
        tensors: arrays by name, in PyTorch's orientation, of any floating dtype.
        config: sizes of the model, from `config.json`.
        source: name of the file in error messages.

    Returns:
        float32 parameters of `Bert(config, with_pooler="pooler" in params)`.

    Raises:
        FlowjaxError: A tensor is missing, has another shape or dtype, or is not finite, or the
            encoder has further tensors (more layers, adapters).
    """
    found, heads = _strip(tensors, source)
    if config.num_hidden_layers > len(tensors):  # before the names of all layers are listed
        raise FlowjaxError(
            f"{source}: expected tensors of {config.num_hidden_layers} layers, got {len(tensors)} "
            "tensors"
        )
    places = names(config)
    missing = [name for name in places if name not in found and not name.startswith("pooler.")]
    surplus = sorted(found.keys() - places.keys())
    if missing or surplus:
        layers = f"a {config.model_type} with {config.num_hidden_layers} layers"
        got = (
            f"{len(surplus)} more: first {surplus[0]!r}"
            if not missing
            else (
                f"{len(tensors)} without {len(missing)} of them: first missing {missing[0]!r}, "
                f"first present {min(tensors, default=None)!r}"
            )
        )
        raise FlowjaxError(f"{source}: expected {len(places)} tensors of {layers}, got {got}")
    if heads:
        logger.debug("%s: skipped %d tensors of heads: %s", source, len(heads), min(heads))
    flat: dict[str, np.ndarray] = {}
    for name, (path, shape) in places.items():
        if name in found:
            kernel = path.endswith("kernel")
            value = _checked(found[name], shape[::-1] if kernel else shape, f"{source}: {name}")
            flat[path] = np.ascontiguousarray(value.T if kernel else value)
    params: dict[str, Any] = unflatten_dict(flat, sep="/")
    if len(params.get("pooler", ())) == 1:
        raise FlowjaxError(
            f"{source}: expected pooler.dense.weight and pooler.dense.bias, got one of them"
        )
    return params


def _strip(
    tensors: Mapping[str, np.ndarray], source: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns the encoder's tensors without their prefix, and the names of other tensors."""
    prefixes = sorted(n.removesuffix(_WORDS) for n in tensors if ("." + n).endswith("." + _WORDS))
    if len(prefixes) > 1:
        known = ", ".join(map(repr, prefixes))
        raise FlowjaxError(
            f"{source}: expected one encoder, got {len(prefixes)} with the prefixes {known}"
        )
    prefix = prefixes[0] if prefixes else ""
    found: dict[str, np.ndarray] = {}
    heads = []
    for name, value in tensors.items():
        bare = name.removeprefix(prefix)
        stem, _, last = bare.rpartition(".")
        bare = f"{stem}.{_OLD.get(last, last)}"
        if not name.startswith(prefix) or bare.split(".")[0] not in _PARTS:
            heads.append(name)
        elif bare in found:
            raise FlowjaxError(f"{source}: expected one tensor {bare}, got two names for it")
        elif bare not in _BUFFERS:
            found[bare] = value
    return found, heads


def _checked(value: np.ndarray, shape: tuple[int, ...], name: str) -> np.ndarray:
    """Returns `value` as float32 after checking its shape, its dtype and that it is finite."""
    if value.shape != shape:
        raise FlowjaxError(f"{name}: expected shape {shape} from config.json, got {value.shape}")
    if value.dtype.kind != "f" and value.dtype.name != "bfloat16":
        raise FlowjaxError(f"{name}: expected floating-point values, got {value.dtype}")
    value = value.astype(np.float32)
    others = int((~np.isfinite(value)).sum())
    if others:
        raise FlowjaxError(
            f"{name}: expected finite values, got {others} values that are NaN or infinite"
        )
    return value
