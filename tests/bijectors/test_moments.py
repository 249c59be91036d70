"""Tests of streamed moments."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowjax.bijectors.actnorm import mean_and_std
from flowjax.bijectors.moments import (
    covariance,
    merge,
    moments_of,
    no_moments,
    update,
    weighted_moments,
)
from flowjax.types import FlowjaxError


@settings(max_examples=20, derandomize=True, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=5), shift=st.sampled_from([0.0, 1e6]))
def test_streamed_and_merged_moments_equal_those_of_the_whole_batch(cuts, shift):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 5)) @ rng.standard_normal((5, 5)) + shift
    parts = np.split(x, sorted(cuts))
    whole = np.cov(x.T, bias=True)
    one_by_one = moments_of(parts, dim=5)
    np.testing.assert_allclose(one_by_one.mean, x.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(covariance(one_by_one), whole, rtol=1e-7)
    shards = [moments_of([part], dim=5) for part in parts]
    merged = shards[-1]
    for shard in shards[:-1]:
        merged = merge(merged, shard)
    assert merged.count == 60
    np.testing.assert_allclose(covariance(merged), whole, rtol=1e-7)


@pytest.mark.parametrize("weighted", [False, True])
def test_constant_columns_have_a_covariance_of_exactly_0(weighted):
    """Rounding errors of the means of parts are no spread."""
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(1, 50)), 220, axis=0)
    x[:, 0] = rng.normal(size=220)
    parts = np.split(x, [17, 90, 91])
    weights = [rng.random(len(part)) if weighted else None for part in parts]
    found = weighted_moments(zip(parts, weights, strict=True), dim=50)
    assert covariance(found)[0, 0] > 0.5 and not covariance(found)[1:].any()
    near = found._replace(m2=found.m2 + 1e-32 * found.count * np.diag(found.mean**2))
    assert not covariance(near)[1:].any()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: update(no_moments(3), np.ones((4, 2))), r"expected \(n, 3\), got \(4, 2\)"),
        (lambda: update(no_moments(2), [[0, 1], [2, np.nan]]), "got nan at row 1, column 1"),
        (lambda: merge(no_moments(3), no_moments(2)), "expected dim 3, got 2"),
        (lambda: covariance(no_moments(3)), "expected at least one example, got 0"),
    ],
)
def test_wrong_arguments_raise(call, text):
    with pytest.raises(FlowjaxError, match=text):
        call()


def test_constant_columns_get_1_or_the_smallest_standard_deviation():
    x = np.array([[0, 0, 7], [2, 8, 7]], np.float32)
    assert mean_and_std(x)[1].tolist() == [1, 4, 1]
    x[:, 0] *= 2
    assert mean_and_std(x, smallest=True)[1].tolist() == [2, 4, 2]
    assert mean_and_std(x[:, 2:], smallest=True)[1].tolist() == [1]
