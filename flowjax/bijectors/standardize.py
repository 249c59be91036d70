"""Standardization of each coordinate, with frozen parameters."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
import numpy as np

from flowjax.bijectors.actnorm import diagonal, mean_and_std
from flowjax.bijectors.common import check_batch, check_dim, frozen
from flowjax.bijectors.moments import Moments, covariance, varies
from flowjax.bijectors.whitening import freeze
from flowjax.errors import check_choice
from flowjax.types import FROZEN, Array, Bijector, Params, PRNGKey


def standardize(
    *, moments: Moments | None = None, constant: Literal["one", "smallest"] = "one"
) -> Bijector:
    """Returns `z = (x - mean) / std` per coordinate, with frozen parameters.

    The mean and the standard deviation are computed from the batch given to `init`. Constant
    columns are centred and get scale 1, as do all columns of a batch of one example.

    Args:
        moments: moments of the data; None means the moments of the batch given to `init`.
        constant: standard deviation by which constant columns are divided. "one" is 1; "smallest"
            is the smallest standard deviation of the other columns of the batch, so that samples
            stay near the data in any unit.

    Returns:
        A bijector on `(n, dim)`; log_det is minus the sum of `log(std)`, in nats.

    Raises:
        FlowjaxError: Raised by the `init` of the bijector for a wrong shape or values that are not
            finite.

    References:
        "SN" in table 5 of BERT-flow, https://arxiv.org/abs/2011.05864.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> layer, x = standardize(), jnp.array([[1.0, 5.0], [3.0, 5.0]])
        >>> layer.forward(layer.init(jax.random.key(0), x), x)[0].tolist()
        [[-1.0, 0.0], [1.0, 0.0]]
    """
    check_choice("constant", constant, ("one", "smallest"))

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        x = check_batch("x", x)
        if moments is None:
            mean, std = mean_and_std(x, smallest=constant == "smallest")
        else:
            check_dim("x", x, len(moments.mean))
            wide = np.sqrt(np.diag(covariance(moments)))
            wide = np.where(varies(moments.mean, wide, x.dtype), wide, 1)
            mean, std = jnp.asarray(moments.mean), jnp.asarray(wide)
        return freeze({"mean": mean, "log_std": jnp.log(std)}, x.dtype)

    def init_inverse(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        p = init(key, x, context)[FROZEN]
        mean = -p["mean"] * jnp.exp(-p["log_std"])
        return freeze({"mean": mean, "log_std": -p["log_std"]}, mean.dtype)

    def parts(params: Params) -> tuple[Array, Array]:
        p = frozen(params)
        return -p["mean"], -p["log_std"]

    return diagonal(init, init_inverse, parts, "standardize")
