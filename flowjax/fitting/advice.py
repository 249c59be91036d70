"""Advice about a fit: meaningless data, and a flow that is a worse density than a Gaussian."""

from __future__ import annotations

import math
from collections.abc import Mapping

from flowjax.data.arrays import ArraySource

# A flow is worse than a Gaussian if its NLL is larger by more than this, in bits per dimension.
TOLERANCE = 0.01
REMEDY = (
    "use the flow whitening, or fit whitening_glow with validation (a fraction, such as 0.1) and "
    "patience, both with shrinkage='likelihood': whitening_glow starts as this Gaussian and keeps "
    "the parameters with the best validation"
)


def about_data(source: ArraySource) -> str | None:
    """Returns a warning if a fit on these examples is meaningless, or None.

    Args:
        source: training examples.

    Example:
        >>> import numpy as np
        >>> about_data(ArraySource(np.ones((500, 2))))  # doctest: +ELLIPSIS
        'data: expected different examples, got 500 equal examples; ...'
    """
    many = f"give many more examples than dimensions (here {source.dim})"
    if source.size == 1:
        return f"data: expected many examples, got 1; it does not determine a density: {many}"
    rows = source.take(source.spaced(math.ceil(source.size / 1000)))["x"]
    if (rows == rows[0]).all():
        return (
            f"data: expected different examples, got {source.size} equal examples; they do not "
            f"determine a density: {many}"
        )
    if source.size < source.dim:
        return (
            f"data: expected more examples than dimensions, got {source.size} examples of "
            f"dimension {source.dim}; the fit describes only these examples: {many}, or use the "
            "flow whitening with the option shrinkage='likelihood'"
        )
    return None


def about_likelihood(name: str, likelihood: Mapping[str, float]) -> str | None:
    """Returns a warning if a flow is a worse density than a Gaussian, or None.

    The densities are compared on the held-out examples, or on the training examples if none are
    held out.

    Args:
        name: name of the flow.
        likelihood: result of `likelihood.measure`.

    Example:
        >>> values = {"measured_examples": 9, "nll_nats": 3.0, "bits_per_dim": 2.2}
        >>> gaussian = {"gaussian_nll_nats": 2.9, "gaussian_bits_per_dim": 2.1}
        >>> print(about_likelihood("glow", values | gaussian))  # doctest: +ELLIPSIS
        glow: expected a better density than a Gaussian, got an NLL of 3 against 2.9 nats per ...
    """
    prefix, examples = _compared(likelihood)
    gaussian = likelihood.get(f"{prefix}gaussian_bits_per_dim")
    if gaussian is None or likelihood[f"{prefix}bits_per_dim"] <= gaussian + TOLERANCE:
        return None
    flow, other = (likelihood[f"{prefix}{kind}nll_nats"] for kind in ("", "gaussian_"))
    return (
        f"{name}: expected a better density than a Gaussian, got an NLL of {flow:.6g} against "
        f"{other:.6g} nats per example on the {examples}; {REMEDY}"
    )


def verdict(name: str, likelihood: Mapping[str, float]) -> str:
    """Returns one line that compares the likelihood of a flow with that of a Gaussian.

    Args:
        name: name of the flow.
        likelihood: result of `likelihood.measure`.

    Example:
        >>> values = {"measured_examples": 9, "nll_nats": 3.0, "bits_per_dim": 2.2}
        >>> gaussian = {"gaussian_nll_nats": 2.9, "gaussian_bits_per_dim": 2.1}
        >>> verdict("glow", values | gaussian)
        'NLL on the 9 training examples, nats per example: glow 3, Gaussian 2.9 (better)'
    """
    prefix, examples = _compared(likelihood)
    flow, bits = likelihood[f"{prefix}nll_nats"], likelihood[f"{prefix}bits_per_dim"]
    line = f"NLL on the {examples}, nats per example: {name} {flow:.6g}"
    if f"{prefix}gaussian_nll_nats" not in likelihood:
        return line
    gap = bits - likelihood[f"{prefix}gaussian_bits_per_dim"]
    signs = (" (better)", "") if gap < -TOLERANCE else ("", " (better)" if gap > TOLERANCE else "")
    other = likelihood[f"{prefix}gaussian_nll_nats"]
    return f"{line}{signs[0]}, Gaussian {other:.6g}{signs[1]}"


def _compared(likelihood: Mapping[str, float]) -> tuple[str, str]:
    """Returns the prefix of the keys of the compared examples, and a name of these examples."""
    held = "validation_nll_nats" in likelihood
    prefix, name = ("validation_", "held-out") if held else ("", "training")
    return prefix, f"{likelihood[prefix + 'measured_examples']:.0f} {name} examples"
