"""Bijectors on vectors: functions that return a `Bijector` (see `flowjax.types`).

`chain`, `repeat`, `split` and `invert` combine bijectors; `flowjax.flows` defines complete flows.
The module `moments` contains functions for streamed means and covariances.
"""

from flowjax.bijectors import moments
from flowjax.bijectors.actnorm import actnorm
from flowjax.bijectors.chain import chain, invert, repeat
from flowjax.bijectors.conditioner import Conditioner, mlp, residual
from flowjax.bijectors.coupling import additive_coupling, affine_coupling, coupling
from flowjax.bijectors.glow_net import glow_net
from flowjax.bijectors.linear import linear_lu
from flowjax.bijectors.moments import Moments
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
    "glow_net",
    "identity",
    "invert",
    "linear_lu",
    "mlp",
    "moments",
    "permutation",
    "rational_quadratic_spline",
    "repeat",
    "residual",
    "reverse",
    "spline_coupling",
    "split",
    "standardize",
    "whitening",
    "whitening_from_moments",
]
