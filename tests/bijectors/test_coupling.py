"""Tests of the masks of couplings."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from table import NET, key

from flowjax import bijectors as b


@pytest.mark.parametrize("dim", [2, 3, 5, 6])
@pytest.mark.parametrize("mask", ["half", "checkerboard"])
@pytest.mark.parametrize("swap", [False, True])
def test_masks(dim, mask, swap):
    """The identity half does not change; output i of the network applies to coordinate i."""
    part = b.coupling(
        "count", 1, lambda raw, x: (x + jnp.arange(1.0, x.shape[-1] + 1), None), None,
        conditioner=NET, mask=mask, swap=swap,
    )  # fmt: skip
    x = jnp.zeros((1, dim))
    result = part.forward(part.init(key(), x), x)[0][0]
    first = np.arange(dim) < dim - dim // 2 if mask == "half" else np.arange(dim) % 2 == 0
    where = first if swap else ~first
    wanted = np.zeros(dim)
    wanted[where] = np.arange(1, where.sum() + 1)
    np.testing.assert_array_equal(result, wanted)
