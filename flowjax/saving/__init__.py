"""Folders and files on disk for fitted flows, sentence models and parameter trees."""

from typing import TYPE_CHECKING

from flowjax._lazy import lazy

if TYPE_CHECKING:
    from flowjax.saving.flow import load_flow, save_flow
    from flowjax.saving.model import SavedModel, load_model, save_model
    from flowjax.saving.params import load_params, save_params

_MODULES = {
    "SavedModel": "flowjax.saving.model",
    "load_flow": "flowjax.saving.flow",
    "load_model": "flowjax.saving.model",
    "load_params": "flowjax.saving.params",
    "save_flow": "flowjax.saving.flow",
    "save_model": "flowjax.saving.model",
    "save_params": "flowjax.saving.params",
}

__all__ = [
    "SavedModel",
    "load_flow",
    "load_model",
    "load_params",
    "save_flow",
    "save_model",
    "save_params",
]

if not TYPE_CHECKING:  # type checkers would accept any name
    __getattr__, __dir__ = lazy(__name__, _MODULES)
