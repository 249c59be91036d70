"""Calibration as the last module of a `SentenceTransformer`, saved and loaded with it.

    st = SentenceTransformer("intfloat/e5-base-v2")
    st.append(Calibration.fit(st, sentences))
    st.save("e5-calibrated")
    st = SentenceTransformer("e5-calibrated", trust_remote_code=True)

sentence-transformers is not a dependency of flowjax. Since version 6, it imports classes of other
packages only with `trust_remote_code=True`; `Calibration.dense` avoids this for an affine flow.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Unpack

import jax
import numpy as np

from flowjax import flows
from flowjax.errors import FlowjaxError
from flowjax.fitting.keywords import SentenceFitOptions
from flowjax.flows.arrays import ArrayCalls
from flowjax.flows.choices import FlowName
from flowjax.model import BertFlow
from flowjax.parallel.forks import check_process, mark_process
from flowjax.saving.flow import describe_flow, load_flow, save_flow
from flowjax.saving.folder import read_config
from flowjax.types import Flow, Params

try:
    _Module: Any = importlib.import_module("torch.nn").Module
except ImportError:  # `forward` is the only method that needs torch
    _Module = object

_KEY = "sentence_embedding"
# Largest relative deviation of an affine flow from its weights, in float32.
_AFFINE = 1e-3


class Calibration(_Module):  # type: ignore[misc]
    """Module of sentence-transformers that maps sentence vectors to calibrated vectors.

    JAX computes the flow, in float32; the result has the device and the dtype of the input. The
    module has no trainable parameters, and gradients do not pass through it.

    Attributes:
        flow: the flow.
        params: its parameters.
        fitted_on: facts about the fit, such as the data and the likelihood.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
        >>> flow = flows.whitening(3)
        >>> calibration = Calibration(flow, flow.init(jax.random.key(0), x))
        >>> calibration.transform(x).std(axis=0).round(1).tolist()
        [1.0, 1.0, 1.0]
    """

    def __init__(
        self, flow: Flow, params: Params, *, fitted_on: Mapping[str, Any] | None = None
    ) -> None:
        """Creates the module from a fitted flow.

        Args:
            flow: flow of a recipe, with the dimension of the vectors before this module.
            params: fitted parameters, for example of `flowjax.fit` or `BertFlow.params`.
            fitted_on: facts about the fit as JSON values, saved with the flow.

        Raises:
            FlowjaxError: The flow is conditional, or the parameters do not belong to it.
        """
        super().__init__()
        width = describe_flow(flow, params)["context_width"]
        if width is not None:
            raise FlowjaxError(f"flow: expected a flow without a context, got width {width}")
        mark_process()
        self.flow, self.params = flow, params
        self.fitted_on = dict(fitted_on or {})
        self._calls = ArrayCalls(flow)

    @classmethod
    def fit(
        cls,
        model: Any,
        sentences: str | Path | Iterable[str],
        *,
        flow: FlowName | Flow | None = None,
        flow_options: Mapping[str, Any] | None = None,
        seed: int = 0,
        **options: Unpack[SentenceFitOptions],
    ) -> Calibration:
        """Fits a calibration on the vectors of sentences, without labels.

        Args:
            model: the `SentenceTransformer`, or another object with a method `encode`.
            sentences: see `BertFlow.fit`.
            flow: name of a recipe or a `Flow`; None means the default of `BertFlow`.
            flow_options: keyword arguments of the recipe.
            seed: integer seed.
            **options: keyword arguments of `BertFlow.fit`.

        Raises:
            FlowjaxError: See `BertFlow.fit`.
        """
        chosen: dict[str, Any] = {} if flow is None else {"flow": flow}
        # `encode` truncates the vectors after the last module.
        truncated = getattr(model, "truncate_dim", None)
        if truncated is not None:
            model.truncate_dim = None
        try:
            fitted = BertFlow(model, flow_options=flow_options, seed=seed, **chosen)
            fitted.fit(sentences, **options)
        finally:
            if truncated is not None:
                model.truncate_dim = truncated
        return cls(fitted.flow, fitted.params, fitted_on=fitted.fitted_on)

    def transform(self, vectors: Any) -> np.ndarray:
        """Returns calibrated vectors, shape (n, latent dimension), float32.

        Args:
            vectors: array of shape (n, dim).

        Raises:
            FlowjaxError: The array has another shape.
        """
        check_process()
        return self._calls.forward(self.params, np.asarray(vectors, np.float32), _KEY)

    def forward(self, features: dict[str, Any], **kwargs: object) -> dict[str, Any]:
        """Replaces the sentence vectors, a torch tensor of shape (n, dim), by calibrated ones."""
        import torch

        x = features[_KEY]
        z = torch.from_numpy(self.transform(x.detach().to("cpu", torch.float32).numpy()))
        features[_KEY] = z.to(device=x.device, dtype=x.dtype)
        return features

    def get_embedding_dimension(self) -> int:
        """Returns the dimension of the calibrated vectors."""
        return self.flow.latent_dim or self.flow.dim

    def get_sentence_embedding_dimension(self) -> int:
        """Returns the dimension (older name in sentence-transformers)."""
        return self.get_embedding_dimension()

    def save(self, output_path: str, *args: object, **kwargs: object) -> None:
        """Writes the flow and its parameters to a folder; `flowjax.load_flow` reads it, too."""
        save_flow(output_path, self.flow, self.params, overwrite=True, fitted_on=self.fitted_on)

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        **kwargs: object,
    ) -> Calibration:
        """Loads the module from a folder or from a model on the Hugging Face hub.

        sentence-transformers calls this function.

        Raises:
            FlowjaxError: The folder does not exist or contains no flow.
        """
        folder: Any = Path(model_name_or_path, subfolder)
        if not folder.exists() and not Path(model_name_or_path).exists():
            from sentence_transformers.util import load_dir_path

            folder = load_dir_path(
                model_name_or_path,
                subfolder,
                token=token,
                cache_folder=cache_folder,
                revision=revision,
                local_files_only=local_files_only,
            )
        flow, params = load_flow(folder)
        return cls(flow, params, fitted_on=(read_config(folder) or {}).get("fitted_on"))

    def dense(self) -> Any:
        """Returns an affine calibration as a `Dense` module of sentence-transformers.

        The flows `identity`, `standardize` and `whitening` are affine. sentence-transformers loads
        a model with this module without flowjax and without `trust_remote_code`.

        Raises:
            FlowjaxError: The flow is not affine.
        """
        weights, bias = affine_weights(self.flow, self.params)
        import torch

        try:
            from sentence_transformers.sentence_transformer.modules import Dense
        except ImportError:  # before version 6
            from sentence_transformers.models import Dense
        return Dense(
            *weights.shape,
            activation_function=torch.nn.Identity(),
            init_weight=torch.from_numpy(np.ascontiguousarray(weights.T)),
            init_bias=torch.from_numpy(bias),
        )

    def extra_repr(self) -> str:
        """Returns the part of `repr` between the parentheses."""
        return f"flow={self.flow.name!r}, dim={self.flow.dim}"

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state without compiled functions, for pickle, copies and processes.

        Raises:
            FlowjaxError: The flow is a composed flow, which has no recipe.
        """
        name, options = self.flow.recipe
        if options is None:
            raise FlowjaxError(
                "pickle: expected the flow of a recipe, got a composed flow; use save and load"
            )
        recipe = (name, self.flow.dim, dict(options))
        rest = {key: value for key, value in self.__dict__.items() if key != "_calls"}
        return rest | {"flow": recipe, "params": jax.tree.map(np.asarray, self.params)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        name, dim, options = state["flow"]
        self.__dict__.update(state)
        self.flow = flows.make(name, dim, **options)
        self._calls = ArrayCalls(self.flow)


def affine_weights(flow: Flow, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(weights, bias)` of a flow with `z = x @ weights + bias`.

    Args:
        flow: the flow.
        params: its parameters.

    Returns:
        Weights, shape (dim, latent dimension), and bias, shape (latent dimension,), float32.

    Raises:
        FlowjaxError: The flow is not affine on samples of its density.

    Example:
        >>> flow, x = flows.standardize(2), np.array([[0.0, 1.0], [4.0, 3.0]])
        >>> weights, bias = affine_weights(flow, flow.init(jax.random.key(0), x))
        >>> weights.tolist(), bias.tolist()
        ([[0.5, 0.0], [0.0, 1.0]], [-1.0, -2.0])
    """
    calls = ArrayCalls(flow)
    bias = calls.forward(params, np.zeros((1, flow.dim)))[0]
    weights = calls.forward(params, np.eye(flow.dim)) - bias
    x = np.asarray(flow.sample(params, jax.random.key(0), 256))
    z = calls.forward(params, x)
    if np.abs(x @ weights + bias - z).max() > _AFFINE * np.abs(z).max():
        raise FlowjaxError(
            f"flow: expected an affine flow, such as whitening or standardize, got {flow.name}"
        )
    return weights, bias
