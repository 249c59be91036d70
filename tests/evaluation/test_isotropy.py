"""Isotropy scores against direct implementations of their definitions."""

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.special

from flowjax.evaluation import (
    alignment,
    cosine,
    isoscore,
    isotropy_report,
    isotropy_score,
    mean_cosine,
    singular_spectrum,
    uniformity,
)


def rotation(rng, d):
    return np.linalg.qr(rng.normal(size=(d, d)))[0]


def exact_cloud(variances):
    """Returns points on the axes with mean 0 and a covariance proportional to the given one."""
    axes = np.diag(np.sqrt(variances))
    return np.concatenate([axes, -axes])


def test_mean_cosine_of_all_pairs(rng):
    x = rng.normal(size=(40, 5)) + 1.0
    expected = np.mean(
        [cosine(x[i : i + 1], x[j : j + 1])[0] for i in range(40) for j in range(40) if i != j]
    )
    assert mean_cosine(x, pairs=None) == pytest.approx(expected, abs=1e-12)


def test_mean_cosine_of_random_pairs_is_seeded_and_never_pairs_a_row_with_itself(rng):
    x = rng.normal(size=(2000, 16)) + 0.5
    exact = mean_cosine(x, pairs=None)
    assert mean_cosine(x, seed=3) == mean_cosine(x, seed=3) != mean_cosine(x, seed=4)
    assert mean_cosine(x, pairs=50_000) == pytest.approx(exact, abs=0.01)
    assert mean_cosine(np.array([[1.0, 0.0], [0.0, 1.0]]), pairs=999) == 0.0


def test_spectrum_squares_are_the_covariances_eigenvalues(rng):
    x = rng.normal(size=(200, 6)) * [5, 4, 3, 2, 1, 0.1] + 9
    expected = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    np.testing.assert_allclose(singular_spectrum(x) ** 2 / 200, expected, rtol=1e-8)
    assert singular_spectrum(x, center=False)[0] > singular_spectrum(x)[0]


def test_isotropy_score_by_definition(rng):
    x = rng.normal(size=(100, 4)) * [0.2, 0.5, 1.0, 2.0] + [0.5, 0, 0, 0]
    columns = np.linalg.svd(x, full_matrices=False)[2]  # eigenvectors of X^T X up to signs
    z = [np.exp(sign * x @ c).sum() for c in columns for sign in (1, -1)]
    assert isotropy_score(x) == pytest.approx(min(z) / max(z), rel=1e-9)
    assert isotropy_score(x @ rotation(rng, 4)) == pytest.approx(isotropy_score(x), rel=1e-9)


def test_isotropy_score_does_not_overflow(rng):
    assert isotropy_score(rng.normal(size=(50, 4)) * 1e4 + 1e5) == 0.0


@pytest.mark.parametrize(("k", "d"), [(1, 8), (3, 8), (8, 8), (2, 5), (1, 2), (50, 100)])
def test_isoscore_is_the_fraction_of_dimensions_used(k, d):
    # Rudman et al.: k equal variances of d give exactly (k - 1) / (d - 1).
    cloud = exact_cloud(np.r_[np.ones(k), np.zeros(d - k)])
    assert isoscore(cloud) == pytest.approx((k - 1) / (d - 1), abs=1e-9)


def test_isoscore_by_the_papers_steps_and_its_invariances(rng):
    x = rng.normal(size=(300, 7)) * [3, 2, 2, 1, 1, 0.5, 0.1]
    diagonal = np.linalg.eigvalsh(np.cov(x.T))
    unit = diagonal / np.linalg.norm(diagonal) * np.sqrt(7)
    delta = np.linalg.norm(unit - np.ones(7)) / np.sqrt(2 * (7 - np.sqrt(7)))
    phi = (7 - delta**2 * (7 - np.sqrt(7))) ** 2 / 7**2
    assert isoscore(x) == pytest.approx((7 * phi - 1) / (7 - 1), abs=1e-10)
    assert isoscore(100 * x @ rotation(rng, 7) + 5) == pytest.approx(isoscore(x), abs=1e-9)


def test_isoscore_with_fewer_points_than_dimensions(rng):
    assert 0.0 <= isoscore(rng.normal(size=(5, 50))) < 0.1


def test_alignment_and_uniformity_by_definition(rng):
    x, y = rng.normal(size=(2, 300, 5)) * 3
    u, v = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, y))
    gaps = np.linalg.norm(u - v, axis=1)
    assert alignment(x, y) == pytest.approx((gaps**2).mean(), abs=1e-10)
    assert alignment(x, y, alpha=1.0) == pytest.approx(gaps.mean(), abs=1e-8)
    assert alignment(x, 7 * x) == pytest.approx(0.0, abs=1e-14)
    squared = scipy.spatial.distance.pdist(u, "sqeuclidean")
    for t in (2.0, 0.5):
        expected = scipy.special.logsumexp(-t * squared) - np.log(squared.size)
        assert uniformity(x, t=t) == pytest.approx(expected, abs=1e-9)


def test_uniformity_over_several_blocks(rng):
    x = rng.normal(size=(1300, 3))
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    squared = scipy.spatial.distance.pdist(u, "sqeuclidean")
    assert uniformity(x) == pytest.approx(np.log(np.exp(-2 * squared).mean()), abs=1e-9)


def test_every_score_prefers_the_round_cloud(rng):
    round_ = isotropy_report(rng.normal(size=(800, 12)))
    cone = isotropy_report(rng.normal(size=(800, 12)) * np.geomspace(1, 0.05, 12) + 2.0)
    assert abs(round_["mean_cosine"]) < 0.05 < 0.8 < cone["mean_cosine"]
    assert round_["isotropy_score"] > 0.9 > cone["isotropy_score"]
    assert round_["isoscore"] > 0.9 > cone["isoscore"]
    assert round_["uniformity"] < cone["uniformity"]
    assert round_["top_variance"] < cone["top_variance"]


@pytest.mark.parametrize("score", [mean_cosine, isoscore, uniformity])
def test_errors_of_too_few_rows(score):
    with pytest.raises(ValueError, match="expected at least 2 rows"):
        score(np.ones((1, 3)))
    with pytest.raises(ValueError, match=r"zeros|all rows equal"):
        score(np.zeros((4, 3)))
