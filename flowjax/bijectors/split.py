"""Split: half of the coordinates go on, the other half leave as latents (RealNVP, Glow)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowjax.bijectors.common import as_float, bounded, check_batch, init_part, total
from flowjax.bijectors.conditioner import Conditioner, apply_net, init_net, mlp, name_of
from flowjax.bijectors.coupling import half
from flowjax.types import Array, Bijector, FlowjaxError, Params, PRNGKey


def split(
    inner: Bijector, *, conditional: bool = False, conditioner: Conditioner | None = None
) -> Bijector:
    """Returns a bijector whose second half of the coordinates leaves while the first goes on.

    `z = concat(left, inner(kept))`, so that nested splits give level 1's leavers, level 2's, ...,
    and last the innermost latent: the order of BERT-flow's sentence vectors. What leaves meets
    the base density as it is, or, with `conditional`, standardized by a mean and a bounded
    log-scale that a net reads off the kept half: Glow's learned prior, as part of the map.

    Args:
        inner: what the kept half goes through.
        conditional: standardize what leaves, given what stays (and the context).
        conditioner: factory `out_features -> flax.linen.Module` for that; None is `mlp()`.

    Returns:
        A bijector on `(n, dim)`, dim >= 2; for an odd dim the kept half is the larger one.

    Raises:
        FlowjaxError: at init, dim < 2.

    References:
        RealNVP, https://arxiv.org/abs/1605.08803, section 3.6; Glow,
        https://arxiv.org/abs/1807.03039.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> from flowjax.bijectors import reverse
        >>> layer, x = split(reverse()), jnp.array([[1.0, 2.0, 3.0, 4.0]])
        >>> layer.forward(layer.init(jax.random.key(0), x), x)[0].tolist()
        [[3.0, 4.0, 2.0, 1.0]]
    """
    factory = mlp() if conditioner is None else conditioner

    def prior(params: Params, kept: Array, dim: int, context: Array | None) -> tuple[Array, Array]:
        raw = apply_net(factory, 2 * dim, params, kept, context)
        return raw[..., :dim], bounded(raw[..., dim:])

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        x = check_batch("x", x)
        if x.shape[1] < 2:
            raise FlowjaxError(f"x: a split needs dim >= 2, got {x.shape}")
        size = half(x.shape[1])
        inner_key, prior_key = jax.random.split(key)
        params = {"inner": init_part(inner, inner_key, x[:, :size], context)}
        if conditional:
            out = 2 * (x.shape[1] - size)
            params["prior"] = init_net(prior_key, factory, out, x[:, :size], context)
        return params

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        x = as_float(x)
        kept, left = jnp.split(x, [half(x.shape[-1])], axis=-1)
        z, log_det = inner.forward(params["inner"], kept, context)
        if conditional:
            mean, log_scale = prior(params["prior"], kept, left.shape[-1], context)
            left = (left - mean) * jnp.exp(-log_scale)
            log_det = log_det - total(log_scale)
        return jnp.concatenate([left, z], axis=-1), log_det

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        z = as_float(z)
        size = half(z.shape[-1])
        left, z = z[..., : z.shape[-1] - size], z[..., z.shape[-1] - size :]
        kept, log_det = inner.inverse(params["inner"], z, context)
        if conditional:
            mean, log_scale = prior(params["prior"], kept, left.shape[-1], context)
            left = left * jnp.exp(log_scale) + mean
            log_det = log_det + total(log_scale)
        return jnp.concatenate([kept, left], axis=-1), log_det

    first = f"split, conditional({name_of(factory)})" if conditional else "split"
    return Bijector(
        init,
        forward,
        inverse,
        (first, *("  " + line for line in inner.layers)),
        constants=lambda dim: inner.constants(half(dim)),
    )
