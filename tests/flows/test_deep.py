"""Deep stacks of affine layers invert and sample, also away from the training data."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from flowjax import fit, flows
from flowjax.bijectors import affine_coupling
from flowjax.flows.choices import log_scale_bound

SLOW = [
    pytest.param("maf", 32, marks=pytest.mark.slow),
    pytest.param("realnvp", 64, marks=pytest.mark.slow),
    pytest.param("glow", 32, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "depth"), [("realnvp", 32), *SLOW])
def test_held_out_data_come_back_and_samples_stay_near_the_data(name, depth):
    rng = np.random.default_rng(0)
    x = np.sinh(0.3 * rng.normal(size=(2500, 19)) @ rng.normal(size=(19, 19))).astype(np.float32)
    options = {"levels": 2, "coupling": "affine"} if name == "glow" else {}
    flow = flows.make(name, 19, depth=depth, width=32, unroll=1, **options)
    params = fit(flow, x[:2000], key=0, steps=100, batch_size=256, measured=False).params
    back = jax.jit(lambda x: flow.inverse(params, flow.forward(params, x)[0])[0])(x[2000:])
    assert np.abs((back - x[2000:]) / x.std(axis=0)).max() < 0.01
    samples = jax.jit(lambda key: flow.sample(params, key, 5000))(jax.random.key(1))
    assert np.abs(samples).max() < 10 * np.abs(x).max()


def test_the_bound_limits_the_log_scale_of_each_layer():
    assert [log_scale_bound(n) for n in (1, 8, 16, 32)] == [2, 2, 1, 0.5]
    layer, x = affine_coupling(bound=0.25), np.full((4, 2), 3.0, np.float32)
    params = jax.tree.map(lambda leaf: 100 + leaf, layer.init(jax.random.key(0), x))
    _, log_det = layer.forward(params, x)
    np.testing.assert_allclose(np.abs(log_det), 0.25, rtol=1e-5)
    with pytest.raises(ValueError, match=r"bound: expected a number in \(0, inf\), got 0"):
        affine_coupling(bound=0)
