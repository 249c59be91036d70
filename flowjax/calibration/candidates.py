"""Candidate transformations of plain vectors: closed forms, and a fitted flow, with powers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property, partial
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from flowjax import flows
from flowjax.bijectors.moments import Moments, covariance, varies
from flowjax.bijectors.whitening import whitening_from_moments
from flowjax.flows.arrays import ArrayCalls
from flowjax.types import FROZEN, Flow, Params

Transform = Callable[[np.ndarray], np.ndarray]
# OAS shrinkage changes a whitening noticeably only if there are few examples.
SHRINKAGE: Final = "auto"
# Recipes of `closed_form_candidates`.
CLOSED_FORMS: Final = ("identity", "center", "standardize", "whitening")


@dataclasses.dataclass(frozen=True)
class Candidate:
    """Transformation of plain vectors that a selection can choose.

    Attributes:
        name: "plain", "centred", "standardized", "whitening^0.5", "glow^0.5" and so on.
        power: exponent p of the division of each principal axis by sd^p, or None.
        coordinates: function from plain vectors to coordinates; the same object for all powers of
            a family.
        shift: vector that is subtracted from the coordinates, shape (k,), or 0.
        scale: factor of each coordinate, shape (k,).
        build: function that returns the flow and its params.
    """

    name: str
    power: float | None
    coordinates: Transform
    shift: Any
    scale: np.ndarray
    build: Callable[[], tuple[Flow, Params]]

    def transform(self, vectors: np.ndarray) -> np.ndarray:
        """Returns the vectors of the candidate, shape (n, k), as the flow does."""
        return self.scaled(self.coordinates(vectors))

    def scaled(self, coordinates: np.ndarray) -> np.ndarray:
        """Returns the vectors of the candidate from its coordinates."""
        latents: np.ndarray = (coordinates - self.shift) * self.scale
        return latents

    @cached_property
    def _built(self) -> tuple[Flow, Params]:
        return self.build()

    @property
    def flow(self) -> Flow:
        """The flow, with the options of its recipe."""
        return self._built[0]

    @property
    def params(self) -> Params:
        """Params of the flow."""
        return self._built[1]


def closed_form_candidates(moments: Moments, powers: Iterable[float]) -> list[Candidate]:
    """Returns the candidates that need only the moments of the plain vectors.

    Args:
        moments: moments of the vectors to fit on.
        powers: powers of the whitening.

    Returns:
        The candidates plain, centred, standardized and whitening^p for each power.

    Example:
        >>> from flowjax.bijectors.moments import moments_of
        >>> x = np.random.default_rng(0).normal(size=(90, 3)) * [1.0, 5.0, 0.1] + 7
        >>> found = closed_form_candidates(moments_of([x], 3), [0.5])
        >>> [candidate.name for candidate in found]
        ['plain', 'centred', 'standardized', 'whitening^0.5']
        >>> z = found[-1].transform(x)
        >>> ratio = x.std(axis=0)[1] / x.std(axis=0)[0]  # power 0.5: the square root of the ratio
        >>> bool(abs(z.std(axis=0)[0] / z.std(axis=0)[1] / ratio**0.5 - 1) < 0.1)
        True
    """
    dim, mean = len(moments.mean), moments.mean
    unit = np.ones(dim)

    def plain(x: np.ndarray) -> np.ndarray:
        return np.asarray(x, np.float32)

    def fixed(name: str, recipe: str, shift: Any, scale: np.ndarray, **options: Any) -> Candidate:
        build = partial(closed_form, recipe, moments, **options)
        return Candidate(name, None, plain, shift, scale, build)

    def whitening(power: float) -> Candidate:
        build = partial(closed_form, "whitening", moments, power=power, shrinkage=SHRINKAGE)
        return Candidate(f"whitening^{power:g}", power, principal, 0, sd ** (1 - power), build)

    white = whitening_from_moments(moments, shrinkage=SHRINKAGE)[FROZEN]
    centre, matrix = np.asarray(white["mean"]), np.asarray(white["matrix"])
    sd = 1 / np.linalg.norm(matrix, axis=0)

    def principal(x: np.ndarray) -> np.ndarray:
        coordinates: np.ndarray = (plain(x) - centre) @ matrix
        return coordinates

    std = np.sqrt(np.diag(covariance(moments)))
    varying = varies(mean, std, np.float32)
    return [
        fixed("plain", "identity", 0, unit, gaussian=True),
        fixed("centred", "center", mean, unit, shrinkage=SHRINKAGE),
        fixed("standardized", "standardize", mean, 1 / np.where(varying, std, 1)),
        *map(whitening, powers),
    ]


def flow_candidates(flow: Flow, params: Params, powers: Iterable[float]) -> list[Candidate]:
    """Returns the candidates of a fitted flow.

    Args:
        flow: fitted flow.
        params: params of the flow, from `fit`.
        powers: powers of the latents.

    Returns:
        `NAME^p` for each power if the flow has the option `latent_power`; otherwise one candidate
        with the name of the flow.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(90, 4)).astype(np.float32)
        >>> from flowjax.fitting.fit import fit
        >>> flow = flows.glow(4, levels=1, depth=1, width=4)
        >>> result = fit(flow, x, key=0, steps=1, measured=False)
        >>> [one.name for one in flow_candidates(flow, result.params, [0, 0.5])]
        ['glow^0', 'glow^0.5']
    """
    if not has_powers(flow):
        call, dim = _forward(flow, params), flow.latent_dim or flow.dim
        return [Candidate(flow.name, None, call, 0, np.ones(dim), lambda: (flow, params))]
    start = flows.at_power(flow, params, 0.0)
    mean, sd = (np.asarray(part) for part in flows.latent_moments(*start))
    call = _forward(*start)

    def candidate(power: float) -> Candidate:
        name = f"{flow.name}^{power:g}"
        scale = sd**-power
        return Candidate(
            name, power, call, power * mean, scale, partial(flows.at_power, flow, params, power)
        )

    return [candidate(power) for power in powers]


def has_powers(flow: Flow) -> bool:
    """Returns True if the latents of a flow have a power, see `flows.at_power`.

    Example:
        >>> has_powers(flows.glow(4)), has_powers(flows.glow(4, latent_power=None))
        (True, False)
    """
    return (flow.recipe.options or {}).get("latent_power") is not None


def transformed(
    candidates: Iterable[Candidate], vectors: Any
) -> Iterator[tuple[Candidate, list[np.ndarray]]]:
    """Yields each candidate with its vectors; the powers of a family share their coordinates.

    Args:
        candidates: candidates, with those of one family next to each other.
        vectors: sequence of arrays of plain vectors, shape (n, dim) each.
    """
    last, parts = None, []
    for candidate in candidates:
        if candidate.coordinates is not last:
            last, parts = candidate.coordinates, [candidate.coordinates(x) for x in vectors]
        yield candidate, [candidate.scaled(part) for part in parts]


def closed_form(name: str, moments: Moments, **options: Any) -> tuple[Flow, Params]:
    """Returns a closed-form flow with the params that follow from moments.

    Args:
        name: name of a recipe without trainable parameters.
        moments: moments of the vectors to fit on.
        **options: options of the recipe.
    """
    dim = len(moments.mean)
    flow = flows.make(name, dim, **options)
    params = flow.init(jax.random.key(0), jnp.zeros((2, dim)))
    if flow.closed_form is not None:
        params = flow.closed_form.set(params, moments)
    return flow, jax.tree.map(np.asarray, params)


def _forward(flow: Flow, params: Params) -> Transform:
    """Returns the compiled transformation of plain vectors."""
    calls = ArrayCalls(flow)
    return lambda x: calls.forward(params, x)
