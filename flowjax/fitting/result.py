"""Result of `fit`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import numpy as np

from flowjax.types import Params


class _Fitted(NamedTuple):
    """The three values that a `FitResult` unpacks to."""

    params: Params
    metrics: list[dict[str, float]]
    steps: int


class FitResult(_Fitted):
    """Result of `fit`, a tuple `(params, metrics, steps)` with the attribute `likelihood`.

    Attributes:
        params: parameters of the flow with the best validation, or the last parameters if there
            was no validation.
        metrics: about a hundred dicts, each with means over the steps since the previous dict:
            `step`, `nll_nats`, `bits_per_dim`, `log_det` and `log_base` (the two terms of the
            log-likelihood, in nats per example), `grad_norm`, `learning_rate` (of this step),
            `rows_per_s` (examples per second), and, after a validation, `validation_nll_nats` and
            `validation_bits_per_dim`. The means are those of the mini-batches and of the flow in
            training, without a closed form that comes last, such as the whitening of the latents
            of `glow`. The validation values include it.
        steps: number of training steps.
        likelihood: negative log-likelihood of the returned parameters and of a Gaussian on the
            same examples, see `likelihood.measure`; empty if `measured` was False.
    """

    # Unlike the other three, no entry of the tuple: `params, metrics, steps = fit(...)`.
    likelihood: Mapping[str, float] = MappingProxyType({})

    def __new__(
        cls, params: Params, metrics: list[Any], steps: int, likelihood: Any = None
    ) -> FitResult:
        """Returns the result; `likelihood` is a dict or None."""
        result = super().__new__(cls, params, metrics, steps)
        result.likelihood = likelihood or {}
        return result

    def __repr__(self) -> str:
        """Returns the numbers of steps, parameters and metrics, and the likelihood."""
        count = sum(np.size(leaf) for leaf in jax.tree.leaves(self.params))
        values = ", ".join(f"{key}: {value:.4g}" for key, value in self.likelihood.items())
        return (
            f"FitResult(steps={self.steps}, params=<{count} numbers>, "
            f"metrics=<{len(self.metrics)} rows>, likelihood={{{values}}})"
        )
