"""Adam without bias correction, against its formula in NumPy."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flowjax.optimizers import adam_uncorrected
from flowjax.types import trainable_mask


def run(optimizer, params, gradients):
    state = optimizer.init(params)
    for g in gradients:
        updates, state = optimizer.update(g, state, params)
        params = optax.apply_updates(params, updates)
    return params


@pytest.mark.parametrize("clip", [1.0, None])
def test_formula(clip):
    rng = np.random.default_rng(0)
    p, gradients = rng.standard_normal(5), 2 * rng.standard_normal((20, 5))
    got = run(
        adam_uncorrected(0.01, clip_norm=clip),
        jnp.asarray(p, jnp.float32),
        jnp.asarray(gradients, jnp.float32),
    )
    m, v = np.zeros(5), np.zeros(5)
    for g in gradients:
        g = g if clip is None else g / max(1, np.linalg.norm(g))
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        p = p - 0.01 * (m / (np.sqrt(v) + 1e-6) + 0.01 * p)
    np.testing.assert_allclose(got, p, atol=1e-5)
    assert np.linalg.norm(gradients, axis=1).min() > 1  # clipping has something to do


def test_early_steps_are_larger_than_corrected_ones():
    gradients = [jnp.ones(1)] * 13
    ours = run(adam_uncorrected(1e-3, weight_decay=0.0), jnp.zeros(1), gradients)
    corrected = run(optax.adam(1e-3), jnp.zeros(1), gradients)
    assert 4 < float(ours[0] / corrected[0]) < 6.6


def test_frozen_leaves_stay():
    params = {"frozen": {"mean": jnp.ones(2)}, "bias": jnp.ones(2)}
    zeros = {"frozen": {"mean": jnp.zeros(2)}, "bias": jnp.zeros(2)}
    after = run(adam_uncorrected(0.1, mask=trainable_mask), params, [zeros] * 3)
    np.testing.assert_array_equal(after["frozen"]["mean"], 1)
    assert (np.asarray(after["bias"]) < 1).all()
