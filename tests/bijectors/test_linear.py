"""Tests of `linear_lu`: its initialisations and its fixed factors."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from table import data, key

from flowjax import bijectors as b
from flowjax.bijectors.linear import _mixing_rotation, _rotation


def test_pca_init_whitens_the_first_batch():
    part, x = b.linear_lu(init="pca"), data(6, rows=500) * 100 + 7
    z, _ = part.forward(part.init(key(), x), x)
    np.testing.assert_allclose(np.cov(np.asarray(z).T, bias=True), np.eye(6), atol=1e-2)
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-2)


def test_initial_matrix_is_a_rotation():
    part, x = b.linear_lu(seed=3), jnp.eye(8)
    matrix, log_det = part.forward(part.init(key(), x), x)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(8), atol=1e-5)
    np.testing.assert_allclose(log_det, 0, atol=1e-5)


def test_halves_are_mixed_by_every_rotation():
    for dim in (2, 3, 4, 7, 16):
        half = dim - dim // 2
        for seed in range(12):
            part, x = b.linear_lu(seed=seed), jnp.eye(dim)
            matrix = part.forward(part.init(key(), x), x)[0].T
            fraction = float((matrix[:half, :half] ** 2).sum() / half * dim / half)
            assert 0.499 < fraction < 1.001, (dim, seed, fraction)
            assert jnp.linalg.det(matrix) == pytest.approx(1, abs=1e-4), (dim, seed)


def test_constants_of_linear_lu_are_the_factors_of_its_map():
    """matrix[order] = L D U, and the diagonal D has the signs."""
    dim, part = 6, b.linear_lu(seed=3)
    order, signs = part.constants(dim)
    params = part.init(key(), jnp.eye(dim))
    matrix = np.asarray(part.forward(params, jnp.eye(dim))[0]).T
    triangles = np.asarray(params["triangles"])
    lower, upper = np.tril(triangles, -1) + np.eye(dim), np.triu(triangles, 1) + np.eye(dim)
    diagonal = signs * np.exp(params["log_diagonal"])
    np.testing.assert_allclose(matrix[order], lower * diagonal @ upper, atol=1e-5)


@pytest.mark.parametrize("dim", [1, 2, 5, 64])
def test_factors_multiply_to_the_rotation(dim):
    rotation = _mixing_rotation(dim, seed=3)
    order, triangles, diagonal = _rotation(dim, seed=3)
    lower, upper = np.tril(triangles, -1) + np.eye(dim), np.triu(triangles, 1) + np.eye(dim)
    np.testing.assert_allclose(lower * diagonal @ upper, rotation[order], atol=1e-13)


def test_constants_of_seed_0_are_pinned():
    """Saved flows depend on the random stream of NumPy, which may change between versions."""
    order, signs = b.linear_lu(seed=0).constants(6)
    assert order.tolist() == [2, 3, 4, 0, 1, 5] and signs.tolist() == [1, -1, -1, 1, -1, -1]
    assert b.permutation(seed=0).constants(6)[0].tolist() == [1, 4, 5, 0, 2, 3]


@pytest.mark.parametrize("dim", [5, 6])
def test_the_default_number_of_reflections_is_even(dim):
    """An even number has determinant 1 and can start as the identity."""
    layer, x = b.householder(init="identity"), data(dim)
    params = layer.init(key(), x)
    assert params["vectors"].shape == b.householder().init(key(), x)["vectors"].shape == (6, dim)
    np.testing.assert_allclose(layer.forward(params, x)[0], x, atol=1e-5)
