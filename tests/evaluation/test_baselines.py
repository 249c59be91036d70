"""Calibration baselines: properties of fitted and of new vectors."""

import numpy as np
import pytest

from flowjax.evaluation.baselines import (
    null_top_singular_vectors,
    standardize,
    standardize_then_null,
    whiten,
)


@pytest.fixture
def x(rng):
    return rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6) * 5


def test_standardize(x):
    z = standardize(x)(x)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=0), 1, atol=1e-12)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_whiten_gives_unit_covariance_in_order_of_variance(x, k):
    z = whiten(x, k)(x)
    np.testing.assert_allclose(np.cov(z.T, bias=True).reshape(k, k), np.eye(k), atol=1e-9)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-10)
    _, singular, rows = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    expected = (x - x.mean(axis=0)) @ rows[:k].T / singular[:k] * np.sqrt(len(x))
    np.testing.assert_allclose(np.abs(z), np.abs(expected), atol=1e-8)  # the signs are arbitrary


def test_whiten_inverts_linear_maps_up_to_rotation(x, rng):
    y = x @ rng.normal(size=(6, 6)) + 3.0
    z, w = whiten(x)(x), whiten(y)(y)
    np.testing.assert_allclose(w @ w.T, z @ z.T, atol=1e-6)


@pytest.mark.parametrize("center", [False, True])
def test_nulling_removes_exactly_the_top_singular_vectors(x, center):
    mean = x.mean(axis=0) if center else 0.0
    rows = np.linalg.svd(x - mean, full_matrices=False)[2]
    z = null_top_singular_vectors(x, 2, center=center)(x)
    np.testing.assert_allclose(z @ rows[:2].T, 0, atol=1e-9)
    np.testing.assert_allclose(z @ rows[2:].T, (x - mean) @ rows[2:].T, atol=1e-9)


def test_nulling_with_k_0_is_the_identity(x):
    np.testing.assert_array_equal(null_top_singular_vectors(x, 0)(x), x)


def test_standardize_then_null_composes_both(x):
    z = standardize(x)(x)
    expected = null_top_singular_vectors(z, 2)(z)
    np.testing.assert_allclose(standardize_then_null(x, 2)(x), expected, atol=1e-12)


@pytest.mark.parametrize(
    "fit",
    [
        standardize,
        whiten,
        lambda x: null_top_singular_vectors(x, 1),
        lambda x: standardize_then_null(x, 1),
    ],
)
def test_transformations_act_on_each_row(fit, x):
    transform = fit(x)
    np.testing.assert_allclose(transform(x[:7]), transform(x)[:7], atol=1e-10)
    assert transform(x.astype(np.float32)).dtype == np.float64
    with pytest.raises(ValueError, match=r"vectors: expected shape \(m, 6\), got \(2, 5\)"):
        transform(np.ones((2, 5)))


def test_errors_of_degenerate_vectors(rng):
    flat = np.c_[rng.normal(size=(50, 2)), np.full(50, 7.0)]
    with pytest.raises(
        ValueError, match="expected no constant dimension, got 1, the first at index 2"
    ):
        standardize(flat)
    with pytest.raises(ValueError, match="expected a covariance of rank at least 3, got rank 2"):
        whiten(flat)
    assert whiten(flat, 2)(flat).shape == (50, 2)
    with pytest.raises(ValueError, match="k: expected 0 to 2"):
        null_top_singular_vectors(flat, 3)
    with pytest.raises(ValueError, match="k: expected 1 to 3"):
        whiten(flat, 0)
