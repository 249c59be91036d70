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

    def _repr_html_(self) -> str:
        """Returns the summary that Jupyter shows: likelihoods and the curve of the training."""
        names = {
            "nll_nats": "flow",
            "gaussian_nll_nats": "Gaussian",
            "validation_nll_nats": "flow, held out",
            "validation_gaussian_nll_nats": "Gaussian, held out",
        }
        cells = "".join(
            f"<tr><td>{names[key]}</td><td>{value:.2f}</td></tr>"
            for key, value in self.likelihood.items()
            if key in names
        )
        head = "<tr><th></th><th>negative log-likelihood, nats per example</th></tr>"
        table = f"<table>{head}{cells}</table>" if cells else ""
        curve = _curve([row["nll_nats"] for row in self.metrics if "nll_nats" in row])
        return f"<div><b>FitResult</b>: {self.steps:,} steps{table}{curve}</div>"


def _curve(values: list[float], width: int = 240, height: int = 60) -> str:
    """Returns an SVG line of the values over their index, or nothing for fewer than two values."""
    shown = np.asarray(values, np.float64)
    if len(shown) < 2 or not np.isfinite(shown).all():
        return ""
    low, high = np.quantile(shown, [0, 0.95])  # the first values are much larger than the rest
    x = np.linspace(2, width - 2, len(shown))
    y = np.clip((shown - low) / max(high - low, 1e-12), 0, 1) * (4 - height) + height - 2
    points = " ".join(f"{a:.0f},{b:.0f}" for a, b in zip(x, y, strict=True))
    return (
        f'<svg width="{width}" height="{height}" role="img" '
        f'aria-label="negative log-likelihood during the training, {low:.1f} at the lowest">'
        f'<polyline points="{points}" fill="none" stroke="currentColor"/></svg>'
    )
