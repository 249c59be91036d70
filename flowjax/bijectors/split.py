"""Split of a multi-scale flow: half of the dimensions become latents (RealNVP, Glow)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from flowjax.bijectors.common import as_float, bounded, check_batch, check_bijector, total
from flowjax.bijectors.conditioner import mlp, name_of
from flowjax.bijectors.coupling import half
from flowjax.bijectors.nets import Conditioner, apply_net, init_net
from flowjax.types import Array, Bijector, Params, PRNGKey


def split(
    inner: Bijector, *, conditional: bool = False, conditioner: Conditioner | None = None
) -> Bijector:
    """Factors out half of the dimensions as latents and passes the rest to another bijector.

    The result is `z = concat(factored, inner(rest))`, where `rest` is the first half of x. The
    latents of nested splits are the factored-out dimensions of level 1, then of level 2, and so
    on, followed by the innermost latents. This is the order of BERT-flow's sentence vectors.

    If `conditional` is True, a network computes a mean and a bounded log-scale from `rest`, with
    which the factored-out dimensions are standardized. This is Glow's learned prior, implemented
    in the bijector.

    Args:
        inner: bijector of the first half.
        conditional: True standardizes the factored-out dimensions given the first half (and the
            context).
        conditioner: factory `out_features -> flax.linen.Module` of this network; None means
            `mlp()`.

    Returns:
        A bijector on `(n, dim)`, dim >= 2; for an odd dim, the first half is the larger half.

    Raises:
        FlowjaxError: `inner` is not a bijector. The `init` of the bijector raises it for dim < 2.

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
    inner = check_bijector("split", inner)
    factory = mlp() if conditioner is None else conditioner

    def prior(params: Params, rest: Array, dim: int, context: Array | None) -> tuple[Array, Array]:
        raw = apply_net(factory, 2 * dim, params, rest, context)
        return raw[..., :dim], bounded(raw[..., dim:])

    def init(key: PRNGKey, x: Array, context: Array | None = None) -> Params:
        x = check_batch("x", x, least=2)
        rest, outputs = x[:, : half(x.shape[1])], 2 * (x.shape[1] // 2)
        inner_key, prior_key = jax.random.split(key)
        params = {"inner": inner.init(inner_key, rest, context)}
        if conditional:
            params["prior"] = init_net(prior_key, factory, outputs, rest, context)
        return params

    def forward(params: Params, x: Array, context: Array | None = None) -> tuple[Array, Array]:
        x = as_float(x)
        rest, factored = jnp.split(x, [half(x.shape[-1])], axis=-1)
        z, log_det = inner.forward(params["inner"], rest, context)
        if conditional:
            mean, log_scale = prior(params["prior"], rest, factored.shape[-1], context)
            factored = (factored - mean) * jnp.exp(-log_scale)
            log_det = log_det - total(log_scale)
        return jnp.concatenate([factored, z], axis=-1), log_det

    def inverse(params: Params, z: Array, context: Array | None = None) -> tuple[Array, Array]:
        z = as_float(z)
        factored, z = jnp.split(z, [z.shape[-1] // 2], axis=-1)
        rest, log_det = inner.inverse(params["inner"], z, context)
        if conditional:
            mean, log_scale = prior(params["prior"], rest, factored.shape[-1], context)
            factored = factored * jnp.exp(log_scale) + mean
            log_det = log_det + total(log_scale)
        return jnp.concatenate([rest, factored], axis=-1), log_det

    first = f"split, conditional({name_of(factory)})" if conditional else "split"
    layers = (first, *("  " + line for line in inner.layers))
    return Bijector(
        init, forward, inverse, layers, constants=lambda dim: inner.constants(half(dim))
    )
