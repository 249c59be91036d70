"""Likelihood of the finished flow and of a Gaussian, length of a fit, and advice."""

import pickle
import warnings

import jax
import numpy as np
import optax
import pytest

import flowjax
from flowjax import flows
from flowjax.data.arrays import ArraySource
from flowjax.fitting import advice, likelihood
from flowjax.fitting.length import training_steps

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def rows():
    x = np.random.default_rng(0).normal(size=(400, 3)).astype(np.float32)
    return x @ np.array([[1, 2, 0], [0, 1, 3], [0, 0, 0.1]], np.float32) + 5


@pytest.fixture(scope="module")
def fits(rows):
    """Fits of a Glow with whitened latents: resident and not, held-out array and fraction."""
    flow = flows.glow(3, levels=1, depth=1, width=4)
    options = {"key": 0, "batch_size": 50, "steps": 40, "validate_every": 10, "devices": 1}
    return flow, {
        "array": flowjax.fit(flow, rows[100:], validation=rows[:100], **options),
        "streamed": flowjax.fit(
            flow, ArraySource(rows, resident=False), validation=0.25, **options
        ),
    }


def nll(flow, params, x):
    return -float(flow.log_prob(params, x).mean())


def test_the_likelihood_is_that_of_the_returned_parameters(fits, rows):
    flow, found = fits
    params, measured = found["array"].params, found["array"].likelihood
    gaussian = flows.whitening(3)
    start = gaussian.init(jax.random.key(0), rows[100:])
    for prefix, x in (("", rows[100:]), ("validation_", rows[:100])):
        assert measured[f"{prefix}examples"] == measured[f"{prefix}measured_examples"] == len(x)
        for name, expected in (("", nll(flow, params, x)), ("gaussian_", nll(gaussian, start, x))):
            value = measured[f"{prefix}{name}nll_nats"]
            assert value == pytest.approx(expected, abs=1e-3)
            bits = measured[f"{prefix}{name}bits_per_dim"]
            assert bits == pytest.approx(value / (3 * np.log(2)))


@pytest.mark.parametrize("name", ["array", "streamed"])
def test_validation_is_that_of_the_finished_flow(fits, name):
    """Without the whitening of the latents, the validation is nats away."""
    result = fits[1][name]
    scores = [r["validation_nll_nats"] for r in result.metrics if "validation_nll_nats" in r]
    assert len(scores) == 4
    best = result.likelihood["validation_nll_nats"]
    assert best <= min(scores) + 1e-4
    assert min(abs(score - best) for score in scores) < 0.05
    assert result.likelihood["examples"] == 300


def test_a_glow_after_a_whitening_is_no_worse_than_the_gaussian(rows):
    """The initial parameters are validated too, also if each step makes the flow worse."""
    result = flowjax.fit(
        flows.whitening_glow(3, levels=1, depth=1, width=4), rows, key=0, batch_size=50,
        steps=20, validation=0.25, optimizer=optax.sgd(-1e-3), devices=1,
    )  # fmt: skip
    measured = result.likelihood
    assert measured["validation_nll_nats"] <= measured["validation_gaussian_nll_nats"] + 1e-4


def test_large_sources_are_measured_on_some_examples(rows, monkeypatch):
    monkeypatch.setattr(likelihood, "MEASURED", 150)
    flow = flows.whitening(3)
    params = flow.init(jax.random.key(0), rows)
    found = likelihood.measure(flow, params, ArraySource(rows), ArraySource(rows[:100]))
    assert found["examples"] == 400 and found["measured_examples"] == 134
    assert found["validation_measured_examples"] == 100
    assert found["nll_nats"] == pytest.approx(nll(flow, params, rows[::3]), abs=1e-4)
    monkeypatch.setattr(likelihood, "GAUSSIAN_DIM", 2)
    assert not any(
        "gaussian" in key for key in likelihood.measure(flow, params, ArraySource(rows))
    )


STEPS = [
    ((2_000, 256), {}, 1000),
    ((1_000_000, 64), {}, 15_625),
    ((50, 64), {}, 200),
    ((1, 256), {}, 200),
    ((2_000, 200), {"epochs": 1}, 10),
    ((2_000, 256), {"epochs": 1}, 8),  # 7.8
    ((2_000, 256), {"epochs": 0.3}, 2),  # 2.3
    ((2_000, 256), {"epochs": 0.01}, 1),
    ((2_000, 200), {"steps": 3}, 3),
    ((2_000, 200), {"steps": 0}, 0),
]


@pytest.mark.parametrize(("sizes", "given", "expected"), STEPS)
def test_steps_of_a_fit(sizes, given, expected):
    assert training_steps(*sizes, **given) == expected


def test_the_default_length(rows):
    result = flowjax.fit(
        flows.realnvp(3, depth=2, width=4), rows[:20], key=0, batch_size=100, devices=1
    )
    assert result.steps == 200
    with pytest.raises(ValueError, match="expected either steps or epochs, got both"):
        flowjax.fit(flows.realnvp(3), rows, key=0, steps=1, epochs=1)


MEANINGLESS = {
    "one": (np.ones((1, 3)), "data: expected many examples, got 1;"),
    "equal": (np.ones((500, 3)), "data: expected different examples, got 500 equal examples;"),
    "few": (np.eye(3)[:2], "data: expected more examples than dimensions, got 2 examples of"),
    "enough": (np.eye(3), None),
}


@pytest.mark.parametrize("name", MEANINGLESS)
def test_meaningless_data_gives_one_warning(name):
    x, expected = MEANINGLESS[name]
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        flowjax.fit(flows.whitening(3), x, key=0)
    texts = [str(w.message) for w in seen if "data: expected" in str(w.message)]
    found = [text for text in texts if "columns" not in text]  # other warnings name columns
    assert len(found) == (expected is not None)
    assert not found or found[0].startswith(expected)


def test_a_flow_worse_than_a_gaussian_gives_a_warning(rows):
    flow = flows.realnvp(3, depth=2, width=4)
    with pytest.warns(
        UserWarning, match="realnvp: expected a better density than a Gaussian"
    ) as seen:
        result = flowjax.fit(flow, rows, key=0, batch_size=50, steps=2, devices=1)
    assert {w.filename for w in seen} == {__file__}  # the user's line
    assert "Gaussian" in advice.verdict("realnvp", result.likelihood)
    assert advice.verdict("realnvp", result.likelihood).endswith("(better)")
    result = flowjax.fit(flow, rows, key=0, batch_size=50, steps=2, devices=1, measured=False)
    assert result.likelihood == {}


def test_a_result_unpacks_to_three_values_and_keeps_its_likelihood():
    result = flowjax.FitResult({"a": 1.0}, [], 3, {"nll_nats": 2.0})
    params, metrics, steps = result
    assert (params, metrics, steps) == ({"a": 1.0}, [], 3)
    assert pickle.loads(pickle.dumps(result)).likelihood == {"nll_nats": 2.0}


def test_the_gaussian_of_few_examples_is_shrunk():
    """An unshrunk covariance is a poor density of held-out examples, which any flow would beat."""
    x = np.random.default_rng(0).normal(size=(460, 40)).astype(np.float32)
    train, held = ArraySource(x[:60]), ArraySource(x[60:])

    def held_nll(flow):
        params = flow.init(jax.random.key(0), train.rows)
        return likelihood.measure(flow, params, train, held)

    plain = held_nll(flows.whitening(40))
    shrunk = held_nll(flows.whitening(40, shrinkage="likelihood"))
    gaussian = plain["validation_gaussian_nll_nats"]
    assert gaussian == pytest.approx(shrunk["validation_nll_nats"], abs=1e-3)
    assert gaussian < plain["validation_nll_nats"] - 5
    assert "shrinkage='likelihood'" in advice.about_likelihood("whitening", plain)
    assert "shrinkage='likelihood'" in advice.about_data(ArraySource(x[:9]))
