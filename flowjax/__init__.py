"""Sentence embeddings from a frozen BERT, calibrated by normalizing flows, in JAX and Flax.

    model = flowjax.BertFlow()
    model.fit(sentences)
    vectors = model.encode(sentences)

Public names are imported at their first use, so `import flowjax` imports no heavy package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flowjax._installation import problem
from flowjax._lazy import lazy
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

_MODULES = {
    "ArraySource": "flowjax.data.arrays",
    "BertFlow": "flowjax.model",
    "Bijector": "flowjax.types",
    "FitResult": "flowjax.fitting.result",
    "Flow": "flowjax.types",
    "FlowTransformer": "flowjax.transformer",
    "FlowjaxError": "flowjax.errors",
    "SentenceEncoder": "flowjax.encoder.embed",
    "bijectors": "flowjax.bijectors",
    "check": "flowjax.calibration.check",
    "compare": "flowjax.compare",
    "evaluation": "flowjax.evaluation",
    "fit": "flowjax.fitting.fit",
    "flows": "flowjax.flows",
    "load_flow": "flowjax.saving.flow",
    "load_params": "flowjax.saving.params",
    "plots": "flowjax.plots",
    "save_flow": "flowjax.saving.flow",
    "save_params": "flowjax.saving.params",
    "sentence_transformers": "flowjax.sentence_transformers",  # imports torch if installed
    "training": "flowjax.training",
}

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
    __getattr__, __dir__ = lazy(__name__, _MODULES)
