"""Invertible maps for vectors: plain functions that return a `Bijector` (`flowjax.types`).

One part per file; `chain`, `repeat`, `split` and `invert` put parts together, and
`flowjax.flows` has the recipes. Every part is a row of `tests/bijectors/table.py`.
"""

from flowjax.bijectors.actnorm import actnorm
from flowjax.bijectors.chain import chain, invert, repeat
from flowjax.bijectors.conditioner import Conditioner, mlp, residual
from flowjax.bijectors.coupling import additive_coupling, affine_coupling, coupling
from flowjax.bijectors.glow_net import glow_net
from flowjax.bijectors.linear import linear_lu
from flowjax.bijectors.moments import (
    Moments,
    covariance,
    merge,
    moments_of,
    no_moments,
    update,
)
from flowjax.bijectors.permutation import identity, permutation, reverse
from flowjax.bijectors.spline import rational_quadratic_spline, spline_coupling
from flowjax.bijectors.split import split
from flowjax.bijectors.standardize import standardize
from flowjax.bijectors.whitening import whitening, whitening_from_moments

__all__ = [
    "Conditioner",
    "Moments",
    "actnorm",
    "additive_coupling",
    "affine_coupling",
    "chain",
    "coupling",
    "covariance",
    "glow_net",
    "identity",
    "invert",
    "linear_lu",
    "merge",
    "mlp",
    "moments_of",
    "no_moments",
    "permutation",
    "rational_quadratic_spline",
    "repeat",
    "residual",
    "reverse",
    "spline_coupling",
    "split",
    "standardize",
    "update",
    "whitening",
    "whitening_from_moments",
]
