"""Flows: recipes that return a `Flow` (`flowjax.types`), and `make`, which calls one by name."""

from flowjax.flows.base import conditional_normal, normal, student_t
from flowjax.flows.build import bits_per_dim, build
from flowjax.flows.couplings import neural_spline, realnvp
from flowjax.flows.elementwise import elementwise_spline
from flowjax.flows.glow import glow, glow_as_released
from flowjax.flows.learned_base import diagonal_normal, mixture, uniform
from flowjax.flows.masked import iaf, maf
from flowjax.flows.powers import at_power, latent_moments
from flowjax.flows.recipe import RECIPES, make
from flowjax.flows.removal import all_but_the_top, center
from flowjax.flows.simple import identity, standardize
from flowjax.flows.whitened import whitening, whitening_glow
from flowjax.types import Base, describe

__all__ = [
    "RECIPES",
    "Base",
    "all_but_the_top",
    "at_power",
    "bits_per_dim",
    "build",
    "center",
    "conditional_normal",
    "describe",
    "diagonal_normal",
    "elementwise_spline",
    "glow",
    "glow_as_released",
    "iaf",
    "identity",
    "latent_moments",
    "maf",
    "make",
    "mixture",
    "neural_spline",
    "normal",
    "realnvp",
    "standardize",
    "student_t",
    "uniform",
    "whitening",
    "whitening_glow",
]


def __dir__() -> list[str]:
    return sorted(__all__)
