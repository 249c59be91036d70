"""Sentence embeddings from a frozen BERT, calibrated by normalizing flows, in JAX and Flax.

    model = flowjax.BertFlow()
    model.fit(sentences)
    vectors = model.encode(sentences)

Public names are imported at their first use, so `import flowjax` imports no heavy package.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flowjax._installation import problem
from flowjax._version import __version__

if TYPE_CHECKING:
    from flowjax import bijectors, compare, evaluation, flows, plots, training
    from flowjax.calibration.check import check
    from flowjax.data.arrays import ArraySource
    from flowjax.encoder.embed import SentenceEncoder
    from flowjax.errors import FlowjaxError
    from flowjax.fitting.fit import fit
    from flowjax.fitting.result import FitResult
    from flowjax.model import BertFlow
    from flowjax.saving.flow import load_flow, save_flow
    from flowjax.saving.params import load_params, save_params
    from flowjax.transformer import FlowTransformer
    from flowjax.types import Bijector, Flow

_MODULE_OF = {
    "ArraySource": "flowjax.data.arrays",
    "BertFlow": "flowjax.model",
    "Bijector": "flowjax.types",
    "FitResult": "flowjax.fitting.result",
    "Flow": "flowjax.types",
    "FlowTransformer": "flowjax.transformer",
    "FlowjaxError": "flowjax.errors",
    "SentenceEncoder": "flowjax.encoder.embed",
    "check": "flowjax.calibration.check",
    "fit": "flowjax.fitting.fit",
    "load_flow": "flowjax.saving.flow",
    "load_params": "flowjax.saving.params",
    "save_flow": "flowjax.saving.flow",
    "save_params": "flowjax.saving.params",
}
_MODULES = (
    *("bijectors", "compare", "evaluation", "flows", "plots", "training"),
    "sentence_transformers",  # imports torch if it is installed
)

__all__ = [
    "ArraySource",
    "BertFlow",
    "Bijector",
    "FitResult",
    "Flow",
    "FlowTransformer",
    "FlowjaxError",
    "SentenceEncoder",
    "__version__",
    "bijectors",
    "check",
    "compare",
    "evaluation",
    "fit",
    "flows",
    "load_flow",
    "load_params",
    "plots",
    "save_flow",
    "save_params",
    "training",
]


if text := problem():
    raise ImportError(text)

if not TYPE_CHECKING:  # type checkers would accept any name

    def __getattr__(name: str) -> Any:
        """Imports a public name when it is used for the first time."""
        if name in _MODULE_OF:
            value = getattr(importlib.import_module(_MODULE_OF[name]), name)
        elif name in _MODULES:
            value = importlib.import_module(f"flowjax.{name}")
        else:
            raise AttributeError(f"module 'flowjax' has no attribute {name!r}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
