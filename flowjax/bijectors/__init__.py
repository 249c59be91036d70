"""Bijectors on vectors: functions that return a `Bijector` (see `flowjax.types`).

`chain`, `repeat`, `split` and `invert` combine bijectors; `flowjax.flows` defines complete flows.
The module `moments` contains functions for streamed means and covariances.
"""

from flowjax.bijectors import moments
from flowjax.bijectors.actnorm import actnorm
from flowjax.bijectors.autoregressive import masked_autoregressive
from flowjax.bijectors.bounded import (
    arctanh,
    inverse_softplus,
    logit,
    sigmoid,
    softplus,
    tanh,
)
from flowjax.bijectors.chain import chain, invert, repeat
from flowjax.bijectors.conditioner import mlp, residual
from flowjax.bijectors.coupling import additive_coupling, affine_coupling, coupling
from flowjax.bijectors.elementwise import elementwise
from flowjax.bijectors.glow_net import glow_net
from flowjax.bijectors.householder import householder
from flowjax.bijectors.linear import linear_lu
from flowjax.bijectors.made import made
from flowjax.bijectors.moments import Moments
from flowjax.bijectors.nets import Conditioner
from flowjax.bijectors.permutation import identity, permutation, reverse
from flowjax.bijectors.scalar import ScalarMap, affine_map
from flowjax.bijectors.spline import (
    circular_spline_map,
    rational_quadratic_spline,
    spline_coupling,
    spline_map,
)
from flowjax.bijectors.split import split
from flowjax.bijectors.standardize import standardize
from flowjax.bijectors.top import all_but_the_top
from flowjax.bijectors.whitening import whitening, whitening_from_moments

__all__ = [
    "Conditioner",
    "Moments",
    "ScalarMap",
    "actnorm",
    "additive_coupling",
    "affine_coupling",
    "affine_map",
    "all_but_the_top",
    "arctanh",
    "chain",
    "circular_spline_map",
    "coupling",
    "elementwise",
    "glow_net",
    "householder",
    "identity",
    "inverse_softplus",
    "invert",
    "linear_lu",
    "logit",
    "made",
    "masked_autoregressive",
    "mlp",
    "moments",
    "permutation",
    "rational_quadratic_spline",
    "repeat",
    "residual",
    "reverse",
    "sigmoid",
    "softplus",
    "spline_coupling",
    "spline_map",
    "split",
    "standardize",
    "tanh",
    "whitening",
    "whitening_from_moments",
]


def __dir__() -> list[str]:
    return sorted(__all__)
