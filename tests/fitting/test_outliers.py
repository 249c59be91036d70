"""Fits of data with a few outliers."""

from __future__ import annotations

import warnings

import jax
import numpy as np
import pytest

from flowjax import fit, flows
from flowjax.data.arrays import ArraySource
from flowjax.fitting.outliers import robust_range
from flowjax.fitting.passes import init_params

X = np.random.default_rng(0).normal(size=(1000, 2)).astype(np.float32)
SMALL = {"depth": 2, "width": 8, "hidden_layers": 1}
CASES = {
    "one example": (slice(7, 8), 1e6, "got 1 of 1000 outside, first 1e.06 at row 7, column 1"),
    "sentinels": (slice(3, None, 100), -999, "got 10 of 1000 .* first -999 at row 3, column 1"),
}


def damaged(case: str) -> np.ndarray:
    rows, value, _ = CASES[case]
    x = X.copy()
    x[rows, 1] = value
    return x


@pytest.mark.parametrize(
    ("case", "name"),
    [("one example", "realnvp"), ("one example", "glow"), ("sentinels", "whitening_glow")],
)
def test_the_other_examples_keep_their_density(case, name):
    x = damaged(case)
    flow = flows.make(name, 2, **SMALL, **({} if name == "realnvp" else {"levels": 1}))
    with pytest.warns(UserWarning, match=CASES[case][2]) as seen:
        params = fit(flow, x, key=0, steps=100, batch_size=256).params
    assert {w.filename for w in seen} == {__file__}  # the user's line
    others = x[np.abs(x).max(axis=1) < 100]
    assert -float(flow.log_prob(params, others).mean()) < 3.2  # the entropy is 2.84


@pytest.mark.parametrize("resident", [True, False])
def test_closed_forms_use_all_examples(resident):
    """A closed form is the maximum-likelihood Gaussian of all examples."""
    x = damaged("one example")
    source = ArraySource(x, resident=resident)
    with pytest.warns(UserWarning, match="they determine the initial scale"):
        params = init_params(flows.standardize(2), jax.random.key(0), source)
    frozen = params["bijector"]["frozen"]
    np.testing.assert_allclose(frozen["mean"], x.mean(axis=0, dtype=np.float64), rtol=1e-4)


@pytest.mark.parametrize(
    "x",
    [
        np.random.default_rng(1).standard_t(3, size=(2000, 2)),
        np.random.default_rng(1).lognormal(size=(2000, 2)),
        np.where(np.random.default_rng(1).uniform(size=(2000, 2)) < 0.9, 0.0, X[:1]),
        np.where(np.random.default_rng(1).uniform(size=(2000, 2)) < 0.2, 1e6, 1e-3),
        np.full((100, 2), 0.1),
        np.arange(6.0).reshape(1, 6),
    ],
    ids=["heavy tails", "skewed", "mostly zero", "two values", "constant", "one example"],
)
def test_ordinary_data_have_no_outliers(x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not robust_range(x).outside(x).any()


@pytest.mark.parametrize("side", [-1, 1])
def test_an_outlier_is_farther_than_100_robust_standard_deviations(side):
    x = np.random.default_rng(0).normal(5, 2, size=(9000, 1))
    low, centre, high = np.quantile(x, [0.25, 0.5, 0.75])
    robust = (high - low) / 1.349
    x[:2, 0] = centre + side * robust * np.array([98, 102])
    assert robust_range(x).outside(x)[:, 0].tolist() == [False, True] + [False] * 8998


@pytest.mark.parametrize(
    ("columns", "fraction", "far"),
    [(1, 0.09, True), (1, 0.11, False), (8, 0.055, True), (8, 0.08, False)],
)
def test_many_outliers_are_a_part_of_the_distribution(columns, fraction, far):
    """More than 10 % of a column, or more than half of the examples in any column."""
    x = np.random.default_rng(0).normal(size=(1000, columns))
    count = round(1000 * fraction)
    for column in range(columns):
        x[column * count : (column + 1) * count, column] = 1e6
    assert robust_range(x).outside(x).any() == far
