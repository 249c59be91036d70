"""Types of the flow library: `Bijector`, `Base` and `Flow` are NamedTuples of pure functions.

**Orientation of the whole library: forward is data -> latent.** `forward(params, x)`
maps data `x` to the latent `z` and returns `log_det = log |det dz/dx|`; `inverse` maps `z` to
data and returns `log |det dx/dz|`, minus the forward log_det at the same point. Hence

    log p(x) = log base(z) + log_det,    (z, log_det) = forward(params, x)          [nats]

zuko, nflows and the Glow paper have the same orientation; distrax and TFP have the opposite one.

Arrays have shape `(n, dim)`. All functions except `init` also accept one vector `(dim,)` or more
leading axes; log_det then has the shape of the leading axes. `log_det` and `log_prob` are at least
float32, and float64 if x64 is enabled. Params are plain pytrees of floating-point arrays, so that
`jax.grad` works on all of them; leaves under a dict key `"frozen"` are not trained.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.errors import FlowjaxError as FlowjaxError

Array = jax.Array
PRNGKey = jax.Array
Params = Any  # a pytree (dicts, tuples, lists) of floating-point arrays

FROZEN = "frozen"
_MOMENTS = ("mean", "log_std")  # of a context


class InitFn(Protocol):
    """Signature of `init`, a pure function."""

    def __call__(self, key: PRNGKey, x: Array, /, context: Array | None = None) -> Params:
        """Returns initial parameters, a pytree of floating-point arrays.

        Args:
            key: JAX random key.
            x: first batch, shape (n, dim), from which actnorm and whitening compute parameters.
            context: conditioning vectors, shape (n, width), or None.
        """
        ...


class TransformFn(Protocol):
    """Signature of `forward` and `inverse`."""

    def __call__(
        self, params: Params, x: Array, /, context: Array | None = None
    ) -> tuple[Array, Array]:
        """Returns the transformed vectors, shape (..., output dim), and log_det, shape (...).

        Args:
            params: parameters as returned by `init`.
            x: input vectors, shape (..., dim).
            context: conditioning vectors, shape (..., width) or (width,), or None.
        """
        ...


class LogProbFn(Protocol):
    """Signature of `log_prob`."""

    def __call__(self, params: Params, x: Array, /, context: Array | None = None) -> Array:
        """Returns log-densities, shape (n,), in nats."""
        ...


def _no_constants(dim: int) -> tuple[np.ndarray, ...]:
    return ()


def _same_dim(dim: int) -> int:
    return dim


class Bijector(NamedTuple):
    """Invertible transformation with its log-determinant; forward is data -> latent.

    Attributes:
        init: `init(key, x, context=None) -> params`. Pure.
        forward: `forward(params, x, context=None) -> (z, log_det)`.
        inverse: `inverse(params, z, context=None) -> (x, log_det)`.
        layers: lines of the printed summary, one per layer.
        output_dim: `output_dim(dim) -> int`, the dimension of the latents for data of dimension
            `dim`.
        constants: `constants(dim) -> arrays`, the integer arrays (permutations and signs) that
            the bijector draws with NumPy's generator. NumPy may change its random streams between
            versions, so a saved flow stores a hash of these arrays.
        init_inverse: like `init`, but for data that `inverse` maps, as in `bijectors.invert`. None
            means that `init` serves both directions.
    """

    init: InitFn
    forward: TransformFn
    inverse: TransformFn
    layers: tuple[str, ...] = ()
    output_dim: Callable[[int], int] = _same_dim
    constants: Callable[[int], tuple[np.ndarray, ...]] = _no_constants
    init_inverse: InitFn | None = None

    def __repr__(self) -> str:
        """Returns the lines of the summary; the default would print addresses of functions."""
        return f"Bijector({'; '.join(line.strip() for line in self.layers) or 'hand-written'})"


class Base(NamedTuple):
    """Base density over latents of shape (n, latent_dim), as pure functions.

    Attributes:
        init: `init(key, z, context=None) -> params`; `z` is a `jax.ShapeDtypeStruct`.
        log_prob: `log_prob(params, z, context=None) -> (n,)`, in nats.
        sample: `sample(params, key, shape, dtype, context=None)`, an array of shape `shape`.
        line: description of the base in the summary of a flow.
    """

    init: InitFn
    log_prob: LogProbFn
    sample: Callable[..., Array]
    line: str

    def __repr__(self) -> str:
        """Returns the line of the summary."""
        return f"Base({self.line})"


class Recipe(NamedTuple):
    """Name and keyword arguments with which `flowjax.flows.make` builds a flow again.

    Attributes:
        name: name of the recipe, or any name for a composed flow.
        options: all keyword arguments, including defaults; None for a composed flow.
    """

    name: str = "flow"
    options: Mapping[str, Any] | None = None


class ClosedForm(NamedTuple):
    """Frozen bijector of a flow whose parameters `fit` computes from moments of all examples.

    Attributes:
        set: function `set(params, moments) -> params` that inserts the computed parameters.
        inner: flow in front of the frozen bijector, if that bijector comes last. `fit` trains
            `inner`, and then calls `set(inner_params, moments of the latents of inner)`. None if
            the frozen bijector comes first: `fit` then calls `set(params, moments of the data)`
            before the training.
        take: function `take(params) -> inner_params` that removes the parameters that `set`
            added, if there is an `inner`.
    """

    set: Callable[[Params, Any], Params]
    inner: Flow | None = None
    take: Callable[[Params], Params] | None = None


class Flow(NamedTuple):
    """Distribution over vectors of dimension `dim`, with a bijector and a base density.

    A hand-written flow needs only the first six attributes.

    Attributes:
        init: `init(key, x, context=None) -> params`.
        forward: `forward(params, x, context=None) -> (z, log_det)`.
        inverse: `inverse(params, z, context=None) -> (x, log_det)`.
        log_prob: `log_prob(params, x, context=None) -> (n,)`, in nats.
        sample: `sample(params, key, n, context=None) -> (n, dim)`. A context of shape (n, width)
            gives one sample for each vector. If n is a tuple, that many samples are drawn for each
            context vector: `(1000,)` and a context (m, width) give (1000, m, dim).
        dim: dimension of the data vectors.
        sample_and_log_prob: like `sample`, but returns `(samples, log-densities)`.
        latent_dim: dimension of the latents, smaller than `dim` if a whitening drops components;
            None means `dim`.
        bijector: the bijector, with parameters `params["bijector"]`.
        base: the base density, with parameters `params["base"]`. If the params have an entry
            `"context"`, the bijector and the base get the standardized context.
        recipe: name and options of the recipe that built the flow.
        closed_form: frozen bijector that `fit` computes from moments, or None.
    """

    init: InitFn
    forward: TransformFn
    inverse: TransformFn
    log_prob: LogProbFn
    sample: Callable[..., Array]
    dim: int
    sample_and_log_prob: Callable[..., tuple[Array, Array]] | None = None
    latent_dim: int | None = None
    bijector: Bijector | None = None
    base: Base | None = None
    recipe: Recipe = Recipe()
    closed_form: ClosedForm | None = None

    def __repr__(self) -> str:
        """Returns the name, the dimension and the options of the recipe that are not None."""
        options = self.recipe.options or {}
        given = "".join(
            f", {key}={value!r}" for key, value in options.items() if value is not None
        )
        return f"Flow({self.name}, dim={self.dim}{given})"

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return self.recipe.name

    @property
    def layers(self) -> tuple[str, ...]:
        """Lines of the summary: one per layer, data side first, and one for the base density."""
        lines = () if self.bijector is None else self.bijector.layers
        return lines if self.base is None else (*lines, self.base.line)

    def log_parts(
        self, params: Params, x: Array, context: Array | None = None
    ) -> tuple[Array, Array]:
        """Returns `(log_base, log_det)`, the two terms of `log_prob`, shape (n,) each, in nats.

        The flow must have a `base`.
        """
        base: Any = self.base
        z, log_det = self.forward(params, x, context)
        return base.log_prob(params["base"], z, standardized_context(params, context)), log_det

    def describe(self, params: Params = None) -> str:
        """Returns the summary of the flow, see `flowjax.flows.describe`."""
        return describe(self, params)


def standardized_context(params: Params, context: Any) -> Any:
    """Returns the context, standardized with the frozen `params["context"]` of a flow.

    Args:
        params: params of a flow. Without an entry `"context"`, the context is returned unchanged.
        context: conditioning vectors, shape (..., width), or None.

    Raises:
        FlowjaxError: The width of the context differs from its width in `init`.

    Example:
        >>> frozen = {"mean": jnp.array([2000.0]), "log_std": jnp.log(jnp.array([10.0]))}
        >>> context = standardized_context({"context": {"frozen": frozen}}, jnp.array([[1990.0]]))
        >>> round(float(context[0, 0]), 4)
        -1.0
    """
    if context is None or not isinstance(params, Mapping) or "context" not in params:
        return context
    mean, log_std = (jax.lax.stop_gradient(params["context"][FROZEN][k]) for k in _MOMENTS)
    shape = jnp.shape(context)
    if shape[-1:] != mean.shape:
        raise FlowjaxError(f"context: expected the width of init, {mean.shape[0]}, got {shape}")
    return (jnp.asarray(context) - mean) * jnp.exp(-log_std)


def describe(flow: Flow, params: Params = None) -> str:
    """Returns the summary of a flow as text: one line per layer, data side first.

    Args:
        flow: the flow to describe.
        params: parameters of the flow; if given, the first line includes the parameter count.

    Returns:
        The name and the dim in the first line, followed by one line per layer; layers inside of
        repeat and split are indented.

    Example:
        >>> from flowjax import flows
        >>> print(flows.glow(8, levels=1, depth=2, width=4).describe())
        glow: dim 8
          standardize
          repeat x2
            actnorm
            permutation(seed=0)
            additive_coupling(mlp(width=4, depth=2))
          whitening(power=0.5) of the latents, computed at the end of fit
          base normal, scaled to the remaining variances
    """
    head = f"{flow.name}: dim {flow.dim}"
    if flow.latent_dim is not None and flow.latent_dim != flow.dim:
        head += f" -> {flow.latent_dim}"
    if params is not None:
        total = sum(leaf.size for leaf in jax.tree.leaves(params))
        trained = sum(
            leaf.size
            for leaf, trains in zip(
                jax.tree.leaves(params), jax.tree.leaves(trainable_mask(params)), strict=True
            )
            if trains
        )
        head += f", {total:,} parameters, {trained:,} trained"
    return "\n".join([head, *("  " + line for line in flow.layers)])


def trainable_mask(params: Params) -> Params:
    """Returns a pytree of bools: False for every leaf under a dict key `"frozen"`, else True.

    Pass the mask to the optimizer (`optax.masked`, the `mask` of weight decay). The gradients of
    frozen leaves are zero, but weight decay would change these leaves.

    Args:
        params: any pytree of arrays.

    Returns:
        A pytree of the same structure with one bool per leaf.

    Example:
        >>> import jax.numpy as jnp
        >>> trainable_mask({"frozen": {"mean": jnp.zeros(3)}, "bias": jnp.zeros(3)})
        {'bias': True, 'frozen': {'mean': False}}
    """

    def trains(path: tuple[Any, ...], _: Any) -> bool:
        return not any(getattr(entry, "key", None) == FROZEN for entry in path)

    return jax.tree_util.tree_map_with_path(trains, params)
