"""Initialisation of inverted layers from data."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from bijectors.table import data

from flowjax import bijectors as b

PARTS = {
    "actnorm": b.actnorm,
    "actnorm, factor": lambda: b.actnorm(logscale_factor=3.0),
    "standardize": b.standardize,
    "whitening": b.whitening,
    "chain": lambda: b.chain(b.reverse(), b.actnorm(), b.affine_coupling()),
    "chain of two": lambda: b.chain(b.standardize(), b.permutation(seed=1), b.actnorm()),
    "inverse of the inverse": lambda: b.invert(b.invert(b.actnorm())),
    "repeat": lambda: b.repeat(b.chain(b.reverse(), b.actnorm()), 3),
}


@pytest.mark.parametrize(
    ("name", "outer"),
    [*((name, "once") for name in PARTS), ("actnorm", "repeat x4"), ("chain", "repeat x9")],
)
def test_an_inverted_layer_standardizes_its_data(name, outer):
    part = b.invert(PARTS[name]())
    if outer != "once":
        part = b.repeat(part, int(outer[-1]))
    x = 50 * data(3, rows=100) * np.array([1e-3, 1, 1e3]) + np.array([5, -7, 0])
    params = part.init(jax.random.key(0), x)
    z, log_det = part.forward(params, x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-3)
    back, minus = part.inverse(params, z)
    np.testing.assert_allclose((back - x) / x.std(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(minus, -log_det, atol=1e-3)


def test_init_of_a_whole_part_has_the_structure_of_the_part():
    for make in (b.actnorm, b.standardize, b.whitening, PARTS["chain"]):
        x = data(3)
        both = (part.init(jax.random.key(0), x) for part in (make(), b.invert(make())))
        assert len({jax.tree.structure(params) for params in both}) == 1
