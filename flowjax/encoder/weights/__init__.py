"""Checkpoint files to params and back: one file format a module, errors that name the tensor."""

from flowjax.encoder.weights.folder import load_pretrained, save_pretrained
from flowjax.encoder.weights.formats import FORMATS, read_tensors
from flowjax.encoder.weights.layout import names
from flowjax.encoder.weights.params import to_params

__all__ = [
    "FORMATS",
    "load_pretrained",
    "names",
    "read_tensors",
    "save_pretrained",
    "to_params",
]
