"""Tensors under Hugging Face's names to a params pytree: prefixes, heads, what is missing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from flowjax.encoder.bert_config import BertConfig
from flowjax.encoder.weights.layout import names

logger = logging.getLogger("flowjax")

# Older files call a norm's weight gamma and its bias beta.
_OLD = {"gamma": "weight", "beta": "bias"}
_WORDS = "embeddings.word_embeddings.weight"
# Parts of the encoder itself; whatever else a file holds belongs to a head.
_PARTS = ("embeddings", "encoder", "transformer", "pooler")
# Constants that older versions stored among the weights.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")


def to_params(
    tensors: Mapping[str, np.ndarray], config: BertConfig, source: str = "weights"
) -> dict[str, Any]:
    """Renames and transposes Hugging Face tensors to params.

    Whatever prefix (`bert.`) the word embeddings have is taken off. Tensors of heads are passed
    over and counted in the log; the pooler may be missing.

    Args:
        tensors: name -> array in PyTorch's orientation, any floating dtype.
        config: the sizes that `config.json` says.
        source: what errors call the file.

    Returns:
        float32 params for `Bert(config, with_pooler="pooler" in params)`.

    Raises:
        ValueError: a tensor is missing, has another shape or dtype, is not finite, or belongs to
            an encoder of another make (more blocks, adapters).
    """
    found, heads = _strip(tensors, source)
    places = names(config)
    missing = [name for name in places if name not in found and not name.startswith("pooler.")]
    if missing:
        raise ValueError(
            f"{source}: expected {len(places)} tensors of a {config.model_type} with "
            f"{config.num_hidden_layers} blocks, {len(missing)} are missing, the first "
            f"{missing[0]!r}; got {len(tensors)}, the first {min(tensors, default=None)!r}"
        )
    surplus = sorted(found.keys() - places.keys())
    if surplus:
        raise ValueError(
            f"{source}: expected {len(places)} tensors of a {config.model_type} with "
            f"{config.num_hidden_layers} blocks, got {len(surplus)} more in the encoder, the "
            f"first {surplus[0]!r}"
        )
    if heads:
        logger.info("%s: passed over %d tensors of heads, as %s", source, len(heads), min(heads))
    params: dict[str, Any] = {}
    for name, (path, shape) in places.items():
        if name not in found:
            continue
        kernel = path.endswith("kernel")
        value = _checked(found[name], shape[::-1] if kernel else shape, f"{source}: {name}")
        *parents, leaf = path.split("/")
        node = params
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = np.ascontiguousarray(value.T if kernel else value)
    if "pooler" in params and len(params["pooler"]) == 1:
        raise ValueError(f"{source}: expected both pooler.dense.weight and .bias, got one of them")
    return params


def _strip(
    tensors: Mapping[str, np.ndarray], source: str
) -> tuple[dict[str, np.ndarray], list[str]]:
    """The encoder's tensors without their prefix, and the names of the others."""
    prefixes = sorted(n.removesuffix(_WORDS) for n in tensors if ("." + n).endswith("." + _WORDS))
    if len(prefixes) > 1:
        raise ValueError(
            f"{source}: expected one encoder, got {len(prefixes)}, under "
            f"{', '.join(repr(p) for p in prefixes)}"
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
            raise ValueError(f"{source}: expected one tensor {bare}, got it under two names")
        elif bare not in _BUFFERS:
            found[bare] = value
    return found, heads


def _checked(value: np.ndarray, shape: tuple[int, ...], what: str) -> np.ndarray:
    """`value` as float32, once its shape, dtype and values are what they should be."""
    if value.shape != shape:
        raise ValueError(f"{what}: expected shape {shape} from config.json, got {value.shape}")
    if value.dtype.kind != "f" and value.dtype.name != "bfloat16":
        raise ValueError(f"{what}: expected floating-point numbers, got {value.dtype}")
    value = value.astype(np.float32)
    if not np.isfinite(value).all():
        raise ValueError(
            f"{what}: expected finite numbers, got {int((~np.isfinite(value)).sum())} others"
        )
    return value
