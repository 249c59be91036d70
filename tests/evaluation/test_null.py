"""Null distribution of cosines: order, tails, thresholds, closed form."""

import numpy as np
import pytest
from scipy import stats

from flowjax.errors import FlowjaxError
from flowjax.evaluation.null import (
    Null,
    fit_null,
    isotropic_false_positive_rate,
    isotropic_threshold,
    isotropy_distance,
    null_of,
    random_pairs,
)

RATES = (0.5, 0.05, 0.01, 1e-3, 1e-4, 1e-6, 1e-12)


def vectors(kind, n=600, dim=32, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, dim))
    shifts = {"isotropic": 0, "cone": 3, "narrow": 100, "clusters": 2 * rng.normal(size=(5, dim))}
    shift = shifts[kind]
    return x + (shift[rng.integers(0, 5, n)] if kind == "clusters" else shift)


@pytest.fixture(scope="module", params=["isotropic", "cone", "narrow", "clusters"])
def null(request):
    return null_of(vectors(request.param))


def test_percentiles_increase_strictly_and_without_jumps(null):
    grid = np.unique(np.concatenate([np.linspace(-1, 1, 20_001), null.quantiles]))
    below, above = null.percentile(grid), null.false_positive_rate(grid)
    assert below[0] == 0 and below[-1] == 1
    assert (np.diff(below) > 0).all() and (np.diff(above) < 0).all()
    np.testing.assert_allclose(below + above, 1, atol=1e-12)
    near = np.float32(0.999) + np.arange(5, dtype=np.float32) * np.float32(2**-24)
    assert (np.diff(null.percentile(near)) > 0).all()  # also for neighbouring float32 numbers
    for joint in null.quantiles[[0, -1]]:
        step = null.percentile(np.array([joint - 1e-9, joint, joint + 1e-9]))
        assert np.ptp(step) < 1e-5
    assert null.percentile(np.full((2, 3), 0.5)).shape == (2, 3)
    assert null.percentile(1.0000001) == 1


def test_thresholds_invert_the_rates_and_decrease(null):
    found = [null.threshold(rate) for rate in RATES]
    assert sorted(found) == found and found[-1] <= 1
    np.testing.assert_allclose(null.false_positive_rate(found), RATES, rtol=1e-3)
    copy = Null.from_arrays(null.arrays())
    assert [copy.threshold(rate) for rate in RATES] == found


@pytest.mark.parametrize("rate", [0, 1, -0.1, 2, np.nan, "0.1", True, None, np.array([0.1, 0.2])])
def test_a_rate_out_of_range_is_named(null, rate):
    with pytest.raises(FlowjaxError, match=r"false_positive_rate: expected a number in \(0, 1\)"):
        null.threshold(rate)


@pytest.mark.parametrize("dim", [8, 300])
def test_the_tail_of_an_exact_space_and_the_closed_form(dim):
    exact = stats.beta((dim - 1) / 2, (dim - 1) / 2)
    null = null_of(np.random.default_rng(1).normal(size=(4000, dim)))
    for rate in (0.05, 0.01, 1e-3, 1e-4, 1e-5):
        wanted = 2 * exact.isf(rate) - 1
        assert isotropic_threshold(dim, rate) == pytest.approx(wanted, abs=1e-9)
        assert isotropic_false_positive_rate(dim, wanted) == pytest.approx(rate)
        # Beyond the sample, the exponential tail is cautious.
        limits = (0.9, 1.1) if rate >= 1e-3 else (0.5, 4)
        measured = float(isotropic_false_positive_rate(dim, null.threshold(rate)))
        assert limits[0] < rate / measured < limits[1] if measured else rate < 1e-4
    found = isotropy_distance(null, dim)
    assert found["distance"] < 3 * found["exact"] < 0.01
    assert null.effective_dim == pytest.approx(dim, rel=0.02)
    assert isotropy_distance(null_of(vectors("cone")), 32)["distance"] > 0.5


@pytest.mark.parametrize("shape", [0.0, 0.3])
def test_a_tail_is_recovered(shape):
    y = stats.genpareto.rvs(shape, scale=0.02, size=200_000, random_state=0)
    null = fit_null(np.tanh(y), 1000)
    beyond = stats.genpareto.isf(1e-5, shape, scale=0.02)
    assert np.log10(null.false_positive_rate(np.tanh(beyond))) == pytest.approx(-5, abs=0.4)


def test_pairs_of_identical_sentences_are_excluded():
    x = vectors("isotropic", n=200)
    repeated = np.concatenate([x, 3 * x, x[:50] + 1e-9])
    cosines, distinct = random_pairs(repeated)
    assert distinct == 200 and cosines.max() < 0.99
    close = x + 1e-5 * np.random.default_rng(0).normal(size=x.shape)  # of other plain vectors
    kept, _ = random_pairs(np.concatenate([x, close]), plain=vectors("cone", n=400))
    assert kept.max() > 0.9999
    folds = np.arange(200) % 4
    assert len(random_pairs(x, folds=folds)[0]) == 4 * 50 * 49 // 2
    assert np.array_equal(random_pairs(x, seed=3)[0], random_pairs(x, seed=3)[0])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((100, 3)), "at least 30 distinct sentences, got 1"),
        (np.eye(20), "at least 30 distinct sentences, got 20"),
        (np.eye(40), "expected cosines that differ, got equal ones"),
        (np.full((100, 3), np.nan), "vectors: expected finite numbers"),
        (np.ones(100), r"vectors: expected shape \(n, d\)"),
    ],
)
def test_useless_vectors_are_named(x, message):
    with pytest.raises(FlowjaxError, match=message):
        null_of(x)


@pytest.mark.parametrize("damage", ["missing", "nan", "decreasing", "short"])
def test_damaged_arrays_are_named(damage):
    arrays = null_of(vectors("isotropic", n=60)).arrays()
    if damage == "missing":
        del arrays["upper"]
    elif damage == "nan":
        arrays["counts"] = arrays["counts"] * np.nan
    elif damage == "decreasing":
        arrays["quantiles"] = arrays["quantiles"][::-1]
    else:
        arrays["levels"] = arrays["levels"][:-1]
    with pytest.raises(FlowjaxError, match=r"here: expected (at least 2 finite|increasing)"):
        Null.from_arrays(arrays, "here")


def test_few_and_discrete_cosines():
    few = null_of(vectors("isotropic", n=30))
    assert few.sentences == 30 and 0 < few.threshold(0.01) < few.threshold(1e-4) < 1
    discrete = fit_null(np.random.default_rng(0).choice([-0.5, 0.0, 0.5], 3000), 90)
    assert (np.diff(discrete.percentile(np.linspace(-1, 1, 500))) > 0).all()
