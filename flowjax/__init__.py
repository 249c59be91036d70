"""Sentence embeddings from a frozen BERT, calibrated by normalizing flows, in JAX and Flax.

    model = flowjax.BertFlow()
    model.fit(sentences)
    vectors = model.encode(sentences)

Names are loaded when they are first used: `import flowjax` alone imports nothing heavy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from flowjax._version import __version__

if TYPE_CHECKING:
    from flowjax import bijectors, flows
    from flowjax.encoder.embed import SentenceEncoder
    from flowjax.errors import FlowjaxError
    from flowjax.fitting.fit import FitResult, fit
    from flowjax.model import BertFlow
    from flowjax.saving.flow import load_flow, save_flow
    from flowjax.types import Bijector, Flow

_WHERE = {
    "Bijector": "flowjax.types",
    "Flow": "flowjax.types",
    "FlowjaxError": "flowjax.errors",
    "BertFlow": "flowjax.model",
    "FitResult": "flowjax.fitting.fit",
    "fit": "flowjax.fitting.fit",
    "SentenceEncoder": "flowjax.encoder.embed",
    "load_flow": "flowjax.saving.flow",
    "save_flow": "flowjax.saving.flow",
}
_MODULES = ("bijectors", "flows", "evaluation", "plots")

__all__ = [
    "BertFlow",
    "Bijector",
    "FitResult",
    "Flow",
    "FlowjaxError",
    "SentenceEncoder",
    "__version__",
    "bijectors",
    "fit",
    "flows",
    "load_flow",
    "save_flow",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first asked for."""
    if name in _WHERE:
        value = getattr(importlib.import_module(_WHERE[name]), name)
    elif name in _MODULES:
        value = importlib.import_module(f"flowjax.{name}")
    else:
        raise AttributeError(f"module 'flowjax' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
