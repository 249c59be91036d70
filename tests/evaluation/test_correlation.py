"""Correlations and cosine against scipy and against textbook formulas."""

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st

from flowjax.evaluation import average_ranks, cosine, pearson, spearman

NUMBERS = st.lists(st.integers(-9, 9), min_size=2, max_size=60)


@given(NUMBERS)
def test_ranks_count_smaller_values_and_half_of_equal_ones(values):
    x = np.array(values)
    expected = (x < x[:, None]).sum(1) + ((x == x[:, None]).sum(1) + 1) / 2
    np.testing.assert_array_equal(average_ranks(values), expected)


@given(NUMBERS, st.randoms(use_true_random=False))
def test_correlations_equal_scipys_with_many_ties(x, random):
    y = [random.randint(-3, 3) for _ in x]
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    assert spearman(x, y) == pytest.approx(scipy.stats.spearmanr(x, y)[0], abs=1e-12)
    assert pearson(x, y) == pytest.approx(scipy.stats.pearsonr(x, y)[0], abs=1e-12)


def test_proportional_samples_have_correlation_exactly_one(rng):
    for n in (2, 3, 10, 1000):
        x = rng.normal(size=n)
        assert pearson(x, 4 * x) == spearman(x, x**3) == 1.0
        assert pearson(x, -x) == spearman(x, -x) == -1.0


@given(st.permutations(range(12)))
def test_spearman_without_ties_is_the_textbook_formula(order):
    d = np.arange(12) - np.array(order)
    expected = 1 - 6 * (d**2).sum() / (12 * (12**2 - 1))
    assert spearman(np.arange(12), order) == pytest.approx(expected, abs=1e-12)


@given(NUMBERS)
def test_spearman_depends_on_the_order_only(x):
    assume(len(set(x)) > 1)
    assert spearman(x, np.exp(np.array(x) / 3.0)) == pytest.approx(1.0, abs=1e-12)
    assert spearman(x, -(np.array(x) ** 3)) == pytest.approx(-1.0, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1.0, 1e3, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cosine_equals_scipys_at_any_scale(rng, scale, dtype):
    a, b = (rng.normal(size=(50, 7)).astype(dtype) * dtype(scale) for _ in range(2))
    u, v = a.astype(np.float64) / scale, b.astype(np.float64) / scale
    expected = [1 - scipy.spatial.distance.cosine(*rows) for rows in zip(u, v, strict=True)]
    np.testing.assert_allclose(cosine(a, b), expected, atol=1e-12)


def test_equal_rows_tie_at_exactly_one(rng):
    x = rng.normal(size=(500, 33))
    np.testing.assert_array_equal(cosine(x, x), 1.0)
    np.testing.assert_array_equal(cosine(x, -x), -1.0)


def test_errors_of_undefined_values():
    x = np.ones((3, 2))
    zero = np.array([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    with pytest.raises(ValueError, match=r"vectors2: .*got zeros in 2 rows, the first at index 1"):
        cosine(x, zero)
    with pytest.raises(
        ValueError, match=r"vectors1: .*NaN or infinity in 1 rows, the first at index 2"
    ):
        cosine(np.array([[1.0, 1], [1, 1], [np.nan, 1]]), x)
    with pytest.raises(ValueError, match=r"vectors2: expected shape \(3, 2\) .*got \(2, 2\)"):
        cosine(x, x[:2])
    with pytest.raises(ValueError, match=r"y: expected numbers that differ, got only 0.5"):
        spearman([1, 2, 3], [0.5, 0.5, 0.5 + 1e-16])
    with pytest.raises(ValueError, match="x: expected at least 2"):
        pearson([1.0], [1.0])
    with pytest.raises(ValueError, match="y: expected finite"):
        spearman([1, 2], [1, np.inf])
    with pytest.raises(ValueError, match="y: expected 2 numbers like x, got 3"):
        spearman([1, 2], [1, 2, 3])
