"""PCA whitening in closed form, from a batch or from streamed moments, with frozen parameters."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args

import jax.numpy as jnp
import numpy as np

from flowjax.bijectors.common import (
    check_batch,
    check_dim,
    constant_log_det,
    frozen,
    log_det_dtype,
    product,
    total,
)
from flowjax.bijectors.moments import (
    Moments,
    covariance,
    deviations,
    root_mean_square,
    scatter,
    varies,
)
from flowjax.errors import check_integer, check_number, check_that
from flowjax.types import FROZEN, Array, Bijector, Params, PRNGKey

ShrinkageName = Literal["likelihood", "auto", "ledoit_wolf"]
Shrinkage = float | ShrinkageName
"""Weight of the spherical covariance, or the name of the rule that computes it."""


class _Options(NamedTuple):
    """Options of `whitening`."""

    components: int | None = None
    power: float = 1.0
    shrinkage: Shrinkage = 0.0
    floor: float = 1e-6

    def check(self) -> _Options:
        """Returns the options; raises FlowjaxError if an option is out of range."""
        components, power, shrinkage, floor = self
        if components is not None:
            components = check_integer("components", components, least=1)
        power = check_number("power", power, 0, 1)
        if isinstance(shrinkage, str):
            named = shrinkage in get_args(ShrinkageName)
            expected = "a number in [0, 1], 'auto', 'likelihood' or 'ledoit_wolf'"
            check_that(named, "shrinkage", expected, shrinkage)
        else:
            shrinkage = check_number("shrinkage", shrinkage, 0, 1)
        floor = check_number("eigenvalue_floor", floor, above=0, below=1)
        return _Options(components, power, shrinkage, floor)


def _shrinkage(xp: ModuleType, cov: Any, count: int, rows: Any, shrinkage: Shrinkage) -> Any:
    """Returns the weight, in [0, 1], of the spherical covariance in the shrunk covariance."""
    if not isinstance(shrinkage, str):
        return shrinkage
    dim = cov.shape[0]
    square, trace = (cov * cov).sum(), xp.trace(cov)
    spread = square - trace**2 / dim  # 0 if the covariance is spherical
    safe = xp.where(spread > 0, spread, 1)
    if shrinkage == "auto":  # OAS, Chen et al. 2010, eq. 23
        top = (1 - 2 / dim) * square + trace**2
        weight = top / ((count + 1 - 2 / dim) * safe)
    elif shrinkage == "likelihood":
        values = xp.linalg.eigvalsh(cov / xp.where(trace > 0, trace, 1))
        weight = _likely_weight(xp, values, count)
    else:
        fourth = (xp.square(xp.square(rows).sum(axis=1))).sum() / count
        weight = (fourth - square) / (count * safe)
    return xp.where(spread > 0, xp.clip(weight, 0, 1), 1)


def _likely_weight(xp: ModuleType, values: Any, count: int) -> Any:
    """Returns the weight of the spherical covariance with the largest leave-one-out likelihood.

    In the likelihood, the Mahalanobis distance of each example is replaced by the mean distance,
    which depends on the eigenvalues only (Theiler 2012, section 3.3).

    Args:
        xp: NumPy or jax.numpy.
        values: eigenvalues of the sample covariance, divided by their sum.
        count: number of examples.
    """
    n = count - 1  # degrees of freedom of the deviations from the mean
    if n < 2:
        return 1.0
    values = xp.maximum(values, 0)
    weight = xp.concatenate([xp.zeros(1), xp.geomspace(1e-6, 1, 200)])
    one = (1 - weight) / (n - 1)  # weight of the example that is left out
    mixed = n * one[:, None] * values + weight[:, None] / len(values)
    safe = xp.where(mixed > 0, mixed, 1)
    distance = one * (values / safe).sum(axis=1)
    valid = (mixed > 0).all(axis=1) & (distance < 1)
    rest = xp.where(valid, 1 - distance, 1)
    loss = xp.log(safe).sum(axis=1) + xp.log(rest) + (values / safe).sum(axis=1) / rest
    return weight[xp.where(valid, loss, xp.inf).argmin()]


def _solve(
    xp: ModuleType, mean: Any, std: Any, corr: Any, count: int, rows: Any, options: _Options
) -> dict[str, Any]:
    """Returns the parameters of a whitening of power 1, computed with `xp` (NumPy or jax.numpy).

    The floor acts on the eigenvalues of the correlation matrix, which do not depend on the units
    of the columns. The principal axes are those of the covariance S = A A^T. They follow from the
    right singular vectors U of A, by `A U` and `A^-T U`. Both products have small relative errors
    for any units, in contrast to the small eigenvalues of S.

    Args:
        xp: NumPy or jax.numpy.
        mean: mean of each column, shape (dim,).
        std: standard deviation of each column, shape (dim,); 0 for a constant column.
        corr: correlation matrix, with zeros for constant columns.
        count: number of examples.
        rows: deviations from the mean, only for "ledoit_wolf".
        options: options of `whitening`.
    """
    components, _, shrinkage, floor = options
    dim = len(mean)
    kept = dim if components is None else components
    check_that(kept <= dim, "components", f"at most dim = {dim}", kept)
    weight = _shrinkage(xp, corr * xp.outer(std, std), count, rows, shrinkage)
    sphere = weight * xp.square(std).mean()
    scale = xp.sqrt((1 - weight) * xp.square(std) + sphere)
    largest = xp.where(scale.max() > 0, scale.max(), 1)
    scale = xp.where(scale > 0, scale, largest)  # a constant column gets the smallest eigenvalue
    ratio = std / scale
    corr = (1 - weight) * corr * xp.outer(ratio, ratio) + xp.diag(sphere / xp.square(scale))
    values, vectors = xp.linalg.eigh(corr)
    values = xp.maximum(values, xp.where(values[-1] > 0, floor * values[-1], 1))
    factor = scale[:, None] * (vectors * xp.sqrt(values))  # A
    _, turn = xp.linalg.eigh((factor / largest).T @ (factor / largest))
    axes, white = factor @ turn, (vectors / xp.sqrt(values) / scale[:, None]) @ turn
    root = xp.sqrt(xp.square(axes).sum(axis=0))  # of the eigenvalues of the covariance
    order = xp.argsort(-root)
    axes, white, root = axes[:, order], white[:, order], root[order]
    # The sign of an eigenvector is arbitrary; its largest entry is made positive.
    highest = xp.take_along_axis(axes, xp.abs(axes).argmax(axis=0)[None], axis=0)
    sign = xp.where(highest < 0, -1, 1)
    log_det = -xp.log(root[:kept]).sum()
    if kept == dim:  # exact for any units
        log_det = -xp.log(scale).sum() - 0.5 * xp.log(values).sum()
    params = {
        "mean": mean,
        "matrix": (sign * white)[:, :kept],
        "inverse": (sign * axes)[:, :kept].T,
        "log_det": log_det,
    }
    if kept < dim:
        params["log_noise"] = xp.log(xp.square(root[kept:]).mean())
    return params


def _in_units(xp: ModuleType, arrays: dict[str, Any], unit: Any) -> dict[str, Any]:
    """Returns whitening parameters for the data `unit * rows`, given the parameters for `rows`."""
    scaled = arrays | {
        "matrix": arrays["matrix"] / unit,
        "inverse": arrays["inverse"] * unit,
        "log_det": arrays["log_det"] - arrays["matrix"].shape[1] * xp.log(unit),
    }
    if "log_noise" in arrays:
        scaled["log_noise"] = arrays["log_noise"] + 2 * xp.log(unit)
    return scaled


def rescaled(xp: ModuleType, arrays: dict[str, Any], power: float) -> tuple[dict[str, Any], Any]:
    """Multiplies the latents of a whitening by sd^(1 - power), per principal axis.

    Args:
        xp: NumPy or jax.numpy.
        arrays: arrays of a whitening of power 1, see `whitening`.
        power: exponent of the standard deviations sd of the principal axes.

    Returns:
        `(arrays, log_std)`: the arrays of the whitening of this power, and the logarithms of the
        standard deviations of its latents, shape (components,).

    Example:
        >>> arrays = {"matrix": np.eye(2) / 3, "inverse": 3 * np.eye(2), "log_det": -np.log(9)}
        >>> half, log_std = rescaled(np, arrays, 0.5)
        >>> np.exp(2 * log_std).round(6).tolist(), float(half["log_det"] / arrays["log_det"])
        ([3.0, 3.0], 0.5)
    """
    inverse = arrays["inverse"]  # its rows are sd times the principal axes
    largest = xp.abs(inverse).max(axis=1)
    log_std = xp.log(largest) + 0.5 * xp.log(xp.square(inverse / largest[:, None]).sum(axis=1))
    log_std = (1 - power) * log_std
    changed = {
        "matrix": arrays["matrix"] * xp.exp(log_std),
        "inverse": inverse * xp.exp(-log_std)[:, None],
        "log_det": arrays["log_det"] + log_std.sum(),
    }
    return arrays | changed, log_std


def freeze(arrays: dict[str, Any], dtype: Any) -> Params:
    """Returns frozen parameters: the arrays, converted to `dtype`, under the key "frozen"."""
    wide = {"log_det": log_det_dtype()}  # a sum over coordinates
    return {FROZEN: {k: jnp.asarray(v, wide.get(k, dtype)) for k, v in arrays.items()}}


def whitening_from_moments(
    moments: Moments,
    *,
    components: int | None = None,
    power: float = 1.0,
    shrinkage: Shrinkage = 0.0,
    eigenvalue_floor: float = 1e-6,
) -> Params:
    """Returns the parameters of `whitening`, computed from streamed moments.

    Args:
        moments: moments of the data, see `flowjax.bijectors.moments`.
        components: number of leading components to keep, see `whitening`.
        power: exponent of the standard deviations, see `whitening`.
        shrinkage: weight of the spherical covariance, "auto" or "likelihood", see `whitening`.
            "ledoit_wolf" is not available, because it needs the examples.
        eigenvalue_floor: smallest relative eigenvalue of the correlation matrix, see `whitening`.

    Returns:
        `{"frozen": {...}}` in float32, or float64 if x64 is enabled.

    Raises:
        FlowjaxError: An option is out of range, shrinkage is "ledoit_wolf", or the moments have a
            count of 0.

    Example:
        >>> import numpy as np
        >>> from flowjax.bijectors import moments
        >>> batches = (np.random.default_rng(i).normal(size=(50, 3)) for i in range(4))
        >>> params = whitening_from_moments(moments.moments_of(batches, dim=3), components=2)
        >>> params["frozen"]["matrix"].shape
        (3, 2)
    """
    options = _Options(components, power, shrinkage, eigenvalue_floor).check()
    return freeze(_from_moments(moments, options), log_det_dtype())


def _from_moments(moments: Moments, options: _Options) -> dict[str, Any]:
    weight = options.shrinkage
    expected = "a number, 'auto' or 'likelihood' with moments"
    check_that(weight != "ledoit_wolf", "shrinkage", expected, weight)
    found = covariance(moments)
    std = np.sqrt(np.diag(found))
    std = np.where(varies(moments.mean, std, log_det_dtype()), std, 0)
    safe = np.where(std > 0, std, 1)
    corr = np.where(np.outer(std, std) > 0, found / safe / safe[:, None], 0)
    arrays = _solve(np, moments.mean, std, corr, moments.count, None, options)
    return rescaled(np, arrays, options.power)[0]


def whitening(
    *,
    components: int | None = None,
    power: float = 1.0,
    shrinkage: Shrinkage = 0.0,
    eigenvalue_floor: float = 1e-6,
    moments: Moments | None = None,
) -> Bijector:
    """Returns PCA whitening, `z = (x - mean) U diag(sd^-power)`, with frozen parameters.

    U holds the principal axes of the batch given to `init`, the eigenvectors of its covariance,
    and sd the standard deviations along them, largest first. With power = 1, the sample
    covariance of z on that batch, normalised by n, is I. Outside of jit, NumPy solves the
    eigenproblem in float64; inside of jit, it is solved in the dtype of the batch. The round trip
    data -> latent -> data is accurate to the precision of the dtype. The rounding error of
    latent -> data -> latent is larger by a factor of sqrt(largest / smallest eigenvalue) of the
    correlation matrix, at most 1000 with the default `eigenvalue_floor`.

    With k = `components` < dim, forward returns k coordinates, and inverse sets the dropped
    coordinates to their mean. The dropped coordinates are modelled as N(0, s I), where s is the
    mean of their eigenvalues, and log_det includes the log-density of this model, in nats. For
    power = 1, `log N(z; 0, I) + log_det` is therefore the log-density of probabilistic PCA at its
    maximum likelihood. The log_det of inverse is minus the log_det of forward at the returned
    point.

    Args:
        components: number of leading components to keep; None keeps all.
        power: exponent in [0, 1]: 1 whitens, 0 rotates, values in between whiten partially.
        shrinkage: weight in [0, 1] of the spherical covariance `tr(S) / dim I` in a convex
            combination with the sample covariance S. "likelihood" computes the weight with the
            largest leave-one-out likelihood, "auto" the weight of oracle approximating shrinkage
            (OAS), and "ledoit_wolf" the weight of Ledoit and Wolf; the last two minimise the
            squared error of the covariance. Use one of the names if n < dim.
        eigenvalue_floor: lower bound of the eigenvalues of the correlation matrix relative to the
            largest of them, in (0, 1). The bound does not depend on the units of the columns. It
            keeps the parameters finite for rank-deficient data. A constant column has the smallest
            eigenvalue, in the unit of the column with the largest variance. If all columns are
            constant, as for a batch of one example, the eigenvalues are set to 1.
        moments: moments of the data; None means the moments of the batch given to `init`.

    Returns:
        A bijector from `(n, dim)` to `(n, components or dim)`.

    Raises:
        FlowjaxError: An option is out of range. The `init` of the bijector raises it for
            components > dim, a wrong shape or values that are not finite.

    References:
        BERT-whitening, https://arxiv.org/abs/2103.15316; Tipping and Bishop, "Probabilistic
        principal component analysis", 1999; OAS, https://arxiv.org/abs/0907.4698; Ledoit and
        Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004;
        Theiler, "The incredible shrinking covariance estimator", 2012.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> x = jax.random.normal(jax.random.key(0), (100, 3)) * jnp.array([1.0, 5.0, 0.1])
        >>> layer = whitening()
        >>> z, _ = layer.forward(layer.init(jax.random.key(1), x), x)
        >>> bool(jnp.allclose(z.T @ z / 100, jnp.eye(3), atol=1e-3))
        True
    """
    options = _Options(components, power, shrinkage, eigenvalue_floor).check()

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        x = check_batch("x", x)
        if moments is not None:
            check_dim("x", x, len(moments.mean))
            return freeze(_from_moments(moments, options), x.dtype)
        xp, mean, rows, unit = deviations(x)
        std = root_mean_square(xp, rows)
        corr = scatter(rows / xp.where(std > 0, std, 1)) / len(rows)
        arrays = _solve(xp, mean, std, corr, len(rows), rows, options)
        return freeze(rescaled(xp, _in_units(xp, arrays, unit), options.power)[0], x.dtype)

    def init_inverse(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        p = init(key, x, context)[FROZEN]
        check_that(
            "log_noise" not in p, "components", "None for an inverted whitening", components
        )
        mean = -product(p["mean"], p["matrix"])
        opposite = {"mean": mean, "matrix": p["inverse"], "inverse": p["matrix"]}
        return freeze(opposite | {"log_det": -p["log_det"]}, mean.dtype)

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        p = frozen(params)
        x = check_dim("x", x, p["mean"].shape[0])
        centred = x - p["mean"]
        z = product(centred, p["matrix"])
        log_det = constant_log_det(x, p["log_det"])
        if "log_noise" in p:
            rest = (centred - product(z, p["inverse"])) * jnp.exp(-0.5 * p["log_noise"])
            log_det = log_det + _log_noise(p) - 0.5 * total(rest**2)
        return z, log_det

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        p = frozen(params)
        z = check_dim("z", z, p["matrix"].shape[1])
        log_det = constant_log_det(z, p["log_det"] + _log_noise(p))
        return product(z, p["inverse"]) + p["mean"], -log_det

    given = zip(_Options._fields[:3], options, _Options(), strict=False)
    text = ", ".join(f"{name}={value}" for name, value, default in given if value != default)
    layers = (f"whitening({text})" if text else "whitening",)
    return Bijector(
        init, forward, inverse, layers, lambda dim: components or dim, init_inverse=init_inverse
    )


def _log_noise(p: Params) -> Array | float:
    """Returns the log-density, in nats, of the dropped coordinates at their mean, or 0."""
    if "log_noise" not in p:
        return 0.0
    dropped = p["matrix"].shape[0] - p["matrix"].shape[1]
    log_noise: Array = p["log_noise"].astype(log_det_dtype())
    log_density: Array = -0.5 * dropped * (jnp.log(2 * jnp.pi) + log_noise)
    return log_density
