"""Adam without bias correction, compared with its formula in NumPy."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import optax
import pytest

from flowjax import training
from flowjax.data.arrays import ArraySource
from flowjax.parallel import devices
from flowjax.training.released import adam_uncorrected
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
    assert np.linalg.norm(gradients, axis=1).min() > 1  # every gradient is clipped


def test_early_steps_are_larger_than_corrected_ones():
    gradients = [jnp.ones(1)] * 13
    ours = run(adam_uncorrected(1e-3, weight_decay=0.0), jnp.zeros(1), gradients)
    corrected = run(optax.adam(1e-3), jnp.zeros(1), gradients)
    assert 4 < float(ours[0] / corrected[0]) < 6.6


def test_the_loop_accepts_its_state():
    """The loop donates the state, which XLA refuses if two moments share a buffer."""

    def loss(params, resident, batch, key):
        return jnp.square(params - batch["x"]).mean(), {}

    optimizer = adam_uncorrected(0.1)
    source = ArraySource(np.ones((8, 1)), resident=False)
    options = {"steps": 2, "batch_size": 8, "seed": 0, "mesh": devices.make_mesh(1)}
    state = training.init_state(jnp.zeros(1), optimizer)
    assert int(training.train(loss, optimizer, state, source, **options).step) == 2


def test_frozen_leaves_do_not_change():
    params = {"frozen": {"mean": jnp.ones(2)}, "bias": jnp.ones(2)}
    zeros = {"frozen": {"mean": jnp.zeros(2)}, "bias": jnp.zeros(2)}
    after = run(adam_uncorrected(0.1, mask=trainable_mask), params, [zeros] * 3)
    np.testing.assert_array_equal(after["frozen"]["mean"], 1)
    assert (np.asarray(after["bias"]) < 1).all()


@pytest.mark.parametrize("known", [True, False])
def test_a_scaled_gradient_is_clipped_in_the_new_unit(known):
    """`gradient_scale` equals a loss in other units; `grad_norm` is the unscaled norm."""
    params, gradient, scale = jnp.ones(3), jnp.array([6.0, -2.0, 3.0]), 0.02  # of norm 7
    for clip in (0.1, 0.2, 7.0, None):
        scaled = adam_uncorrected(0.1, clip_norm=clip, eps=1e-2, gradient_scale=scale)
        given = {"grad_norm": jnp.float32(7.0)} if known else {}
        got, _ = scaled.update(gradient, scaled.init(params), params, **given)
        plain = adam_uncorrected(0.1, clip_norm=clip, eps=1e-2)
        expected, _ = plain.update(scale * gradient, plain.init(params), params)
        np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_command_trains_on_the_loss_of_the_released_code():
    """The loss adds the bits per dimension of a pair: nats per example times 2 / (dim ln 2)."""
    from flowjax.commands.fit import make_optimizer
    from flowjax.config import TrainConfig

    gradient = jnp.array([6.0, -2.0, 3.0])
    config = TrainConfig(optimizer="adam_uncorrected", learning_rate=0.1, weight_decay=0.01)
    steps = []
    for optimizer in (
        make_optimizer(config, None, dim=16),
        adam_uncorrected(0.1, gradient_scale=2 / (16 * np.log(2))),
        adam_uncorrected(0.1, gradient_scale=1 / (16 * np.log(2))),
    ):
        params, state = jnp.zeros(3), optimizer.init(jnp.zeros(3))
        for size in (1e-5, 1.0, 0.5):  # eps and clipping make the scale matter
            step, state = optimizer.update(size * gradient, state, params)
        steps.append(np.asarray(step))
    np.testing.assert_array_equal(steps[0], steps[1])
    assert np.abs(steps[0] - steps[2]).max() > 1e-4
