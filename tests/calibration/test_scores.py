"""Null distribution of fitted models: false-positive rates, other sources, folders, pickles."""

import pickle
import warnings

import numpy as np
import pytest

import flowjax
from flowjax.bijectors.moments import moments_of
from flowjax.calibration import scores as scores_module
from flowjax.calibration.scores import (
    FALSE_ALARM,
    difference,
    is_other_source,
    scores_of_fit,
    source_distance,
)
from flowjax.errors import FlowjaxError
from flowjax.evaluation.null import random_pairs

WORDS = "the a of river town water music paper light stone old new green fast quiet".split()


def texts(n, seed=0, words=WORDS):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(words, 8)) + f" {rng.integers(10**6)}." for _ in range(n)]


@pytest.fixture(scope="module")
def encoder():
    return flowjax.SentenceEncoder.from_pretrained("minibert", max_length=24)


@pytest.fixture(scope="module")
def model(encoder):
    model = flowjax.BertFlow(encoder, flow="whitening", flow_options={"components": 24})
    model.fit(texts(400))
    return model


@pytest.fixture
def fresh(model):
    """A copy, so that a test can recalibrate it."""
    return pickle.loads(pickle.dumps(model))


def rows(n, dim=24, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    axes = np.random.default_rng(9).normal(size=(dim, dim))
    return (scale * rng.standard_t(6, size=(n, dim)) @ axes + 3).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("center", {}),
        ("whitening", {}),
        ("whitening", {"power": 0.5}),
        ("glow", {"levels": 1, "depth": 1, "width": 8}),
        ("whitening_glow", {"levels": 1, "depth": 1, "width": 8}),
    ],
)
def test_nominal_rates_on_unseen_vectors(name, options):
    """Few vectors per dimension, so that fitted and unseen vectors differ."""
    fitted, unseen = rows(240), rows(3000, seed=1)
    flow = flowjax.flows.make(name, 24, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params = flowjax.fit(flow, fitted, key=0, steps=5, batch_size=40).params
    scores = scores_of_fit(flow, params, fitted)
    z = np.asarray(flow.forward(params, unseen)[0])
    cosines, _ = random_pairs(z, plain=unseen, seed=1)
    for rate, tolerance in ((0.05, 0.2), (0.01, 0.35)):
        measured = (cosines > scores.null.threshold(rate)).mean()
        assert measured == pytest.approx(rate, rel=tolerance)
    distance, margin = source_distance(scores, flow.log_prob(params, unseen))
    assert distance < margin + 0.05
    other, margin = source_distance(scores, flow.log_prob(params, rows(300, scale=3.0)))
    assert other > 0.3 > margin


def test_false_alarms_are_rare_for_any_number_of_sentences():
    fitted = rows(2000)
    flow = flowjax.flows.make("whitening", 24)
    params = flowjax.fit(flow, fitted, key=0).params
    scores, unseen = scores_of_fit(flow, params, fitted), rows(40_000, seed=2)
    log_prob = np.asarray(flow.log_prob(params, unseen))
    for size in (1, 2, 5, 20, 100, 1000):
        found = [source_distance(scores, part) for part in log_prob.reshape(-1, size)[:2000]]
        assert np.mean([d > margin for d, margin in found]) <= 3 * FALSE_ALARM
        alarms = [is_other_source(scores, part) for part in log_prob.reshape(-1, size)[:2000]]
        assert np.mean(alarms) <= 3 * FALSE_ALARM
    assert source_distance(scores, np.zeros(0)) == (0, 1)


def test_the_scales_have_one_order(model):
    a, b = texts(6, seed=3), texts(5, seed=4)
    cosines, ranks = model.similarity(a, b), model.similarity(a, b, scale="percentile")
    assert ranks.dtype == np.float64 and ranks.shape == (6, 5) and 0 < ranks.min() < 1
    assert np.array_equal(np.argsort(cosines, axis=None), np.argsort(ranks, axis=None))
    np.testing.assert_allclose(model.null.percentile(cosines), ranks, atol=1e-5)
    vectors = [model.encode(a), model.encode(b)]
    np.testing.assert_allclose(model.similarity(*vectors, scale="percentile"), ranks, atol=1e-5)
    paired = model.similarity_pairwise(a[:5], b, scale="percentile")
    np.testing.assert_allclose(paired, np.diagonal(ranks[:5]), atol=1e-5)
    assert model.similarity(a[0], b[0], scale="percentile") == pytest.approx(ranks[0, 0], abs=1e-5)
    cosine = model.threshold(0.01)
    assert np.array_equal(cosines > cosine, ranks > 0.99)
    torch = pytest.importorskip("torch")
    tensor = model.similarity(torch.from_numpy(vectors[0]), vectors[1], scale="percentile")
    np.testing.assert_allclose(tensor.numpy(), ranks, atol=1e-5)


def test_folders_and_pickles_keep_the_scores(model, fresh, tmp_path):
    model.save(tmp_path / "m")
    loaded = flowjax.BertFlow.load(tmp_path / "m")
    for copy in (loaded, fresh):
        assert copy.threshold(0.01) == model.threshold(0.01)
        assert np.array_equal(copy.scores.log_prob, model.scores.log_prob)
    file = tmp_path / "m" / "scores.safetensors"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    with pytest.raises(FlowjaxError, match=r"scores.safetensors: expected the saved content"):
        flowjax.BertFlow.load(tmp_path / "m")


def test_a_model_without_scores_names_the_remedy(model, fresh, encoder, tmp_path):
    fresh.scores = None
    fresh.save(tmp_path / "old")
    old = flowjax.BertFlow.load(tmp_path / "old")
    few = flowjax.BertFlow(encoder, flow="standardize")
    few.fit(["One.", "Two.", "Three."] * 20)
    for bare in (old, few, encoder):
        for call in (
            lambda m: m.threshold(0.01),
            lambda m: m.similarity("a", "b", scale="percentile"),
        ):
            with pytest.raises(FlowjaxError, match=r"compute it with model.recalibrate"):
                call(bare)
    assert old.similarity("a b", "b a") == pytest.approx(model.similarity("a b", "b a"))
    old.recalibrate(texts(60, seed=5))
    assert 0 < old.similarity("a b", "b a", scale="percentile") < 1
    with pytest.raises(FlowjaxError, match="scale: expected one of cosine, percentile"):
        model.similarity("a", "b", scale="rank")
    with pytest.raises(FlowjaxError, match="expected at least 30 distinct sentences, got 3"):
        model.recalibrate(["One.", "Two.", "Three."] * 20)
    with pytest.raises(FlowjaxError, match="expected a fitted model"):
        flowjax.BertFlow(encoder, flow="whitening").recalibrate(texts(60))


def test_another_source_warns_until_recalibrated(fresh):
    other = [f"{a} {b}!" for a in ("Goal", "Yes", "Stop", "Run") for b in range(40)]
    same = texts(160, seed=6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.similarity(same, same, scale="percentile")
        fresh.similarity(other, other)
    with pytest.warns(UserWarning, match="got another source .* call model.recalibrate") as seen:
        fresh.similarity(other[:80], other[80:], scale="percentile")
    assert {w.filename for w in seen} == {__file__}  # the user's line
    before = fresh.encode(other[:3])
    null = fresh.recalibrate(other)
    assert null is fresh.null and null.sentences == 160
    assert np.array_equal(fresh.encode(other[:3]), before)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fresh.similarity(other[:80], other[80:], scale="percentile")


def test_recalibrate_reads_files_and_serves_plain_vectors(encoder, tmp_path):
    (tmp_path / "t.txt").write_text("\n".join(texts(90)), "utf-8")
    own = flowjax.SentenceEncoder.from_pretrained("minibert", max_length=24)
    assert own.recalibrate(tmp_path / "t.txt").sentences == 90
    cosines = own.similarity(texts(9), texts(9, seed=1))
    rates = own.similarity(texts(9), texts(9, seed=1), scale="percentile")
    assert np.array_equal(cosines > own.threshold(0.2), rates > 0.8)


def test_a_selection_has_scores(encoder):
    model = flowjax.BertFlow(encoder, flow="whitening")
    model.fit(texts(300), select=True)
    assert model.scores.null.sentences > 250
    model.fit(texts(100), measured=False)
    assert model.scores is None


def test_moments_without_a_part_with_another_mean():
    x = np.concatenate([rows(30), rows(9, seed=1) + 50])
    found = difference(moments_of([x], 24), moments_of([x[30:]], 24))
    wanted = moments_of([x[:30]], 24)
    assert found.count == 30
    np.testing.assert_allclose(found.mean, wanted.mean, atol=1e-4)
    np.testing.assert_allclose(found.m2, wanted.m2, rtol=1e-3, atol=1.0)


def test_densities_include_the_determinant_of_the_new_whitening():
    """Vectors of three times the spread of the fitted ones: the new whitening divides by three."""
    x = rows(480)
    flow = flowjax.flows.make("whitening_glow", 24, levels=1, depth=1, width=8)
    params = flowjax.fit(flow, x, key=0, steps=1, batch_size=40, measured=False).params
    near = scores_of_fit(flow, params, x).log_prob
    wide = scores_of_fit(flow, params, 3 * (x - x.mean(0)) + x.mean(0)).log_prob
    assert np.median(near) - np.median(wide) == pytest.approx(24 * np.log(3), abs=2)


@pytest.mark.parametrize(("size", "count"), [(240, 10), (600, 5)])
def test_few_vectors_per_dimension_have_more_folds(size, count, monkeypatch):
    found = []

    def noted(vectors, folds, **options):
        found.extend(np.unique(folds))
        return null_of(vectors, folds=folds, **options)

    null_of = scores_module.null_of
    monkeypatch.setattr(scores_module, "null_of", noted)
    flow, x = flowjax.flows.make("whitening", 24), rows(size)
    scores_of_fit(flow, flowjax.fit(flow, x, key=0, measured=False).params, x)
    assert found == list(range(count))
