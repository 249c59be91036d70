"""The default optimizer is `optax.adamw` after `optax.clip_by_global_norm`."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flowjax.training import default_optimizer
from flowjax.training.optimizers import global_norm

PARAMS = {"w": jnp.array([1.0, -2.0, 3.0]), "frozen": {"mean": jnp.array([5.0])}}
# Norms below and above 1, so that clipping changes the moments.
GRADIENTS = [{"w": jnp.array(g), "frozen": {"mean": jnp.zeros(1)}} for g in (
    [0.1, -0.2, 0.05], [6.0, -2.0, 3.0], [0.3, 0.1, -0.4]
)]  # fmt: skip


def updates(optimizer, **norm):
    state, found = optimizer.init(PARAMS), []
    for gradient in GRADIENTS:
        extra = {"grad_norm": global_norm(gradient)} if norm else {}
        change, state = optimizer.update(gradient, state, PARAMS, **extra)
        found.append(change)
    return found


@pytest.mark.parametrize("clip", [1.0, 0.5, None])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_updates(clip, decay):
    """Weight decay is decoupled: it does not pass through the moments of Adam."""
    not_frozen = {"w": True, "frozen": {"mean": False}}
    parts = [optax.adamw(1e-2, weight_decay=decay, mask=not_frozen)]
    parts = parts if clip is None else [optax.clip_by_global_norm(clip), *parts]
    wanted = updates(optax.chain(*parts))
    ours = default_optimizer(1e-2, weight_decay=decay, clip_norm=clip)
    for found in (updates(ours), *([updates(optax.with_extra_args_support(ours), norm=True)])):
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), found, wanted)
