"""`FlowTransformer`: the checks of scikit-learn, and its use with scikit-learn's own classes."""

import pickle
import subprocess
import sys
import warnings

import jax
import numpy as np
import pytest
from grids import grid

import flowjax

pytest.importorskip("sklearn")
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from flowjax import FlowTransformer

ROWS = np.random.default_rng(0).normal([3, -200, 1, 0], [1, 0.1, 5, 2], (400, 4))
GLOW = {"flow": "glow", "steps": 5, "flow_options": {"levels": 1, "depth": 2, "width": 8}}


# Batches are drawn from the examples, so a weight of 2 and a repeated example give other batches.
DRAWN = {"check_sample_weight_equivalence_on_dense_data": "batches are drawn at random"}


def passes(estimator, expected=None):
    with warnings.catch_warnings():  # data of a few examples
        warnings.simplefilter("ignore", UserWarning)
        results = check_estimator(estimator, on_skip=None, expected_failed_checks=expected)
    # scikit-learn skips the checks for which a package, such as pandas, is not installed.
    others = {one["check_name"] for one in results if one["status"] not in ("passed", "skipped")}
    passed = sum(one["status"] == "passed" for one in results)
    assert passed > 40 and others <= {*(expected or {})}, others


def test_it_passes_the_checks_of_scikit_learn():
    passes(FlowTransformer())


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [{"flow": "identity"}, {"flow": "standardize"}, {"power": 1.0}, GLOW], ids=str
)
def test_other_flows_pass_the_checks_of_scikit_learn(options):
    passes(FlowTransformer(**options), DRAWN if options == GLOW else None)


def test_a_single_column_is_named_where_a_flow_needs_two():
    with pytest.raises(ValueError, match="X: got n_features = 1; dim: expected an integer of at"):
        FlowTransformer(**GLOW).fit(ROWS[:, :1])


@pytest.mark.parametrize("dtype", grid([np.float32, np.float64], slow=[np.float64]))
@pytest.mark.parametrize("options", [{}, GLOW], ids=["whitening", "glow"])
def test_it_equals_the_functions_of_the_flow(options, dtype):
    x = ROWS.astype(dtype)
    fitted = FlowTransformer(**options, power=0.25, random_state=3).fit(x)
    z, scores = fitted.transform(x), fitted.score_samples(x)
    assert z.dtype == scores.dtype == fitted.inverse_transform(z).dtype == dtype
    assert abs(z.mean(axis=0)).max() < 0.5
    with jax.enable_x64(dtype == np.float64):
        flow, params = fitted.flow_, fitted.params_
        np.testing.assert_allclose(z, flow.forward(params, x)[0], rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(scores, flow.log_prob(params, x), rtol=1e-4, atol=1e-3)
    tolerance = {np.float32: 1e-3, np.float64: 1e-9}[dtype]
    np.testing.assert_allclose(fitted.inverse_transform(z), x, atol=tolerance)
    assert fitted.score(x) == pytest.approx(scores.mean(), rel=1e-5)
    again = pickle.loads(pickle.dumps(fitted))
    for method in ("transform", "score_samples"):
        assert np.array_equal(getattr(again, method)(x), getattr(fitted, method)(x))
    assert np.array_equal(again.sample(5, random_state=1), fitted.sample(5, random_state=1))
    assert not np.array_equal(fitted.sample(5, random_state=1), fitted.sample(5, random_state=2))


def test_power_changes_the_variances_and_not_the_density():
    stds, scores = [], []
    for power in (0.0, 0.5, 1.0, None):
        fitted = FlowTransformer(power=power).fit(ROWS)
        stds.append(np.sort(fitted.transform(ROWS).std(axis=0)))
        scores.append(fitted.score(ROWS))
    np.testing.assert_allclose(stds[2], 1, rtol=1e-6)
    np.testing.assert_allclose(stds[1] ** 2, stds[0], rtol=1e-3)
    np.testing.assert_allclose(stds[3], stds[2], rtol=1e-6)  # None is the default of the recipe
    np.testing.assert_allclose(scores, scores[0], rtol=1e-6)
    for power in (0.5, 1.0):  # no effect
        fitted = FlowTransformer("standardize", power=power).fit(ROWS)
        np.testing.assert_allclose(fitted.transform(ROWS).std(axis=0), 1, rtol=1e-6)


def test_components_reduce_the_dimension_and_invert():
    fitted = FlowTransformer(flow_options={"components": 2}).fit(ROWS)
    z = fitted.transform(ROWS)
    assert z.shape == (400, 2)
    assert list(fitted.get_feature_names_out()) == ["flowtransformer0", "flowtransformer1"]
    back = fitted.inverse_transform(z)
    assert back.shape == ROWS.shape and fitted.sample(3).shape == (3, 4)
    np.testing.assert_allclose(fitted.transform(back), z, atol=1e-6)


def test_pipelines_and_grid_search():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 200)
    x = rng.normal(0, [1, 10, 10], (200, 3)) + 4 * labels[:, None] * [1, 0, 0]
    found = make_pipeline(FlowTransformer(), KMeans(2, random_state=0, n_init=4)).fit_predict(x)
    assert len(set(found)) == 2
    pipeline = make_pipeline(FlowTransformer(), LogisticRegression())
    grid = {
        "flowtransformer__flow": ["identity", "whitening"],
        "flowtransformer__power": [0.5, 1.0],
    }
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(x, labels)
    assert len(search.cv_results_["params"]) == 4 and search.score(x, labels) > 0.9


def test_pandas_names_and_output():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS, columns=list("abcd"))
    fitted = FlowTransformer().set_output(transform="pandas").fit(frame)
    assert list(fitted.feature_names_in_) == list("abcd")
    assert list(fitted.transform(frame).columns) == [f"flowtransformer{i}" for i in range(4)]
    with pytest.raises(ValueError, match="feature names"):
        fitted.transform(frame[list("bacd")])


def test_a_fitted_flow_is_saved_for_the_commands(tmp_path):
    fitted = FlowTransformer().fit(ROWS)
    flowjax.save_flow(tmp_path / "run", fitted.flow_, fitted.params_)
    flow, params = flowjax.load_flow(tmp_path / "run")
    np.testing.assert_allclose(flow.forward(params, ROWS)[0], fitted.transform(ROWS), atol=1e-3)


def test_a_flow_object_is_cloned_and_not_pickled():
    flow = flowjax.flows.standardize(4)
    fitted = clone(FlowTransformer(flow)).fit(ROWS)
    np.testing.assert_allclose(fitted.transform(ROWS).std(axis=0), 1, rtol=1e-6)
    with pytest.raises(ValueError, match=r"pickle: expected the name of a recipe .*save_flow"):
        pickle.dumps(fitted)
    with pytest.raises(ValueError, match=r"X: expected \(n, 4\) for the flow, got \(n, 3\)"):
        fitted.fit(ROWS[:, :3])


WRONG = {
    "flow: expected one of": {"flow": "glo"},
    "power: expected": {"power": "big"},
    "whitening: expected one of": {"flow_options": {"levles": 2}},
    "components: expected": {"flow_options": {"components": 9}},
    "validation: expected": {"flow": "glow", "validation": 2.0},
    "steps: expected": {"flow": "glow", "steps": -1},
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_options_are_errors_of_fit(message):
    with pytest.raises(flowjax.FlowjaxError, match=message):
        FlowTransformer(**WRONG[message]).fit(ROWS)


def test_without_scikit_learn_there_is_one_clear_error():
    code = """if True:
        import sys
        sys.modules["sklearn"] = sys.modules["sklearn.base"] = None
        import flowjax
        try:
            flowjax.FlowTransformer()
        except ValueError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert done.stdout.startswith("FlowTransformer: expected scikit-learn") and (
        "pip install 'bert-flowjax[sklearn]'" in done.stdout
    )
