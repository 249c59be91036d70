"""Examples that initialise a flow: spread over the source, and drawn by their weights."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from flowjax import bijectors, flows
from flowjax.data.arrays import ArraySource
from flowjax.fitting import passes

FLOW = flows.build(bijectors.actnorm(), 1)
SORTED = np.arange(1000.0, dtype=np.float32)[:, None]


@pytest.mark.parametrize("weighted", [False, True])
def test_few_examples_of_sorted_data_have_the_moments_of_all(monkeypatch, weighted):
    """The first examples of the file would not."""
    monkeypatch.setattr(passes, "STREAMED_INIT_NUMBERS", 50)
    weights = np.where(SORTED[:, 0] < 500, 3.0, 1.0) if weighted else None
    source = ArraySource(SORTED, weights=weights, resident=False)
    params = passes.init_params(FLOW, jax.random.key(0), source)["bijector"]
    mean = np.average(SORTED[:, 0], weights=weights)
    std = np.sqrt(np.average((SORTED[:, 0] - mean) ** 2, weights=weights))
    assert -params["bias"][0] == pytest.approx(mean, abs=3 if weighted else 11)
    assert np.exp(-params["log_scale"][0]) == pytest.approx(std, rel=0.02)


def test_examples_of_weight_0_are_never_drawn():
    weights = np.tile([0.0, 2.0], 500)
    rows = passes._first_rows(ArraySource(SORTED, weights=weights), 3)
    assert (rows % 2 == 1).all() and len(rows) == 333


def test_the_mean_nll_weights_blocks_by_their_size(monkeypatch):
    """The last block is smaller than the others."""
    monkeypatch.setattr(passes, "ROWS", 300)
    weights = np.linspace(0, 1, 1000)
    plain, weighted = ArraySource(SORTED), ArraySource(SORTED, weights=weights)
    found = passes.mean_nll(lambda params, x, context: -x.mean(), {}, plain)
    assert found == pytest.approx(SORTED.mean(), rel=1e-6)
    found = passes.mean_nll(lambda p, x, c, w: -(w * x[:, 0]).mean(), {}, weighted)
    assert found == pytest.approx(np.average(SORTED[:, 0], weights=weights), rel=1e-5)
