"""`Dense` modules of sentence-transformers: a linear layer and an activation after the pooling."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from flowjax.encoder.weights.formats import read_tensors
from flowjax.errors import FlowjaxError, check_choice
from flowjax.files.json import field, read_object

_MODULES = "torch.nn.modules."
# Activations by the name of their class in PyTorch: the names of functions of NumPy and JAX.
_ACTIVATIONS = {f"{_MODULES}linear.Identity": "asarray", f"{_MODULES}activation.Tanh": "tanh"}


class Projection(NamedTuple):
    """Linear layer with an activation.

    Attributes:
        weight: shape (outputs, inputs), float32.
        bias: shape (outputs,), float32.
        activation: key of the supported activations, a class of PyTorch.
    """

    weight: np.ndarray
    bias: np.ndarray
    activation: str


def read_dense(folder: Path) -> Projection:
    """Reads a `Dense` module.

    Args:
        folder: folder of the module.

    Raises:
        FlowjaxError: A file is missing or damaged, or an option is not supported.
    """
    file = folder / "config.json"
    values = read_object(file)
    activation = field(values, "activation_function", str, file, f"{_MODULES}activation.Tanh")
    check_choice(f"{file}: activation_function", activation, _ACTIVATIONS)
    for key, wanted in (("module_input_name", "sentence_embedding"), ("use_residual", False)):
        if values.get(key) not in (None, wanted):
            raise FlowjaxError(f"{file}: expected {key} {wanted!r}, got {values[key]!r}"[:300])
    tensors, source = read_tensors(folder)
    weight, bias = (tensors.get(f"linear.{name}") for name in ("weight", "bias"))
    if weight is None or weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        raise FlowjaxError(f"{source}: expected linear.weight and linear.bias of a linear layer")
    if bias is None:
        bias = np.zeros(len(weight))
    return Projection(np.asarray(weight, np.float32), np.asarray(bias, np.float32), activation)


def write_dense(layer: Projection, folder: Path) -> None:
    """Writes a `Dense` module in the format of sentence-transformers."""
    from safetensors.numpy import save

    outputs, inputs = layer.weight.shape
    config: dict[str, Any] = {
        "in_features": inputs,
        "out_features": outputs,
        "bias": True,
        "activation_function": layer.activation,
    }
    tensors = {"linear.weight": layer.weight, "linear.bias": layer.bias}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
    (folder / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))


def apply_dense(layers: Sequence[Projection], vectors: Any, numpy: Any = np) -> Any:
    """Returns the outputs of `Dense` modules, shape (n, outputs of the last one), float32.

    Args:
        layers: linear layers, in order.
        vectors: pooled vectors, shape (n, inputs of the first one), float32.
        numpy: `numpy`, or `jax.numpy` for arrays of JAX.

    Example:
        >>> identity = "torch.nn.modules.linear.Identity"
        >>> layer = Projection(np.array([[2.0, 0.0]]), np.array([1.0]), identity)
        >>> apply_dense([layer], np.ones((3, 2))).tolist()
        [[3.0], [3.0], [3.0]]
    """
    for layer in layers:
        product = numpy.matmul(vectors, layer.weight.T)
        vectors = getattr(numpy, _ACTIVATIONS[layer.activation])(product + layer.bias)
    return numpy.asarray(vectors, np.float32)
