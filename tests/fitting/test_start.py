"""Keys, optimizers, batch sizes, starting parameters and losses that a user gives to `fit`."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import flowjax
from flowjax import bijectors, flows, training
from flowjax.errors import FlowjaxError
from flowjax.fitting.start import random_key
from flowjax.types import Bijector

X = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32) @ [[1.0, 0.5], [0.0, 2.0]]
FLOW = flows.build(bijectors.actnorm(), 2)  # compiles fast
OPTIONS = {"batch_size": 32, "steps": 3, "devices": 1, "measured": False}


def fit(flow=FLOW, **options):
    return flowjax.fit(flow, X, **{"key": 0, **OPTIONS, **options})


def equal(a, b):
    return jax.tree.all(jax.tree.map(np.array_equal, a, b))


@pytest.fixture(scope="module")
def default():
    return fit()


KEYS = {
    "integer": 7,
    "NumPy integer": np.int64(7),
    "jax integer": jnp.int32(7),
    "typed": jax.random.key(7),
    "raw": jax.random.PRNGKey(7),
    "raw in NumPy": np.asarray(jax.random.PRNGKey(7)),
}


def test_keys_of_every_kind_are_one_key():
    numbers = [jax.random.bits(random_key(key), (4,)) for key in KEYS.values()]
    assert all((n == numbers[0]).all() for n in numbers)
    for other in (-1, 2**63 - 1, jax.random.key(0, impl="rbg")):
        assert jax.random.bits(random_key(other)).dtype == jnp.uint32


BAD_KEYS = [2**64 + 5, -(2**64), 1.5, "seed", None, True, np.zeros(3, np.uint32), np.zeros(2)]
BAD_KEYS += [jax.random.split(jax.random.key(0))]


@pytest.mark.parametrize("key", BAD_KEYS, ids=str)
def test_another_key_is_an_error(key):
    with pytest.raises(FlowjaxError, match=r"^key: expected a JAX random key or an integer") as e:
        random_key(key)
    assert "\n" not in str(e.value)


def test_an_optimizer_may_be_a_learning_rate_or_a_schedule(default):
    for given in (jnp.asarray(1e-3), optax.constant_schedule(1e-3)):
        assert equal(fit(optimizer=given).params, default.params)
    rate = fit(optimizer=optax.linear_schedule(0.5, 0.1, 2)).metrics[-1]["learning_rate"]
    assert rate == pytest.approx(0.1)


BAD_OPTIMIZERS = [0, -1.0, math.nan, math.inf, "adam", optax.adam, True, np.ones(2), lambda: 1]


@pytest.mark.parametrize("optimizer", BAD_OPTIMIZERS, ids=range(len(BAD_OPTIMIZERS)))
def test_another_optimizer_is_an_error(optimizer):
    with pytest.raises(FlowjaxError, match=r"^optimizer: expected "):
        training.optimizer_from(optimizer)


NUMBERS = {
    "learning_rate": (training.default_optimizer, [0, -1, math.nan, math.inf, "1"], [1e-9, 1]),
    "weight_decay": (training.default_optimizer, [-0.5, math.nan], [0, 0.1]),
    "clip_norm": (training.default_optimizer, [0, -1, math.nan], [None, 1e-9]),
}


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_of_the_optimizers(name):
    make, bad, good = NUMBERS[name]
    for value in good:
        make(**{name: value})
    for value in bad:
        for of in (make, lambda **o: training.adam_uncorrected(**{"learning_rate": 0.1, **o})):
            with pytest.raises(FlowjaxError, match=f"^{name}: expected "):
                of(**{name: value})


FIT_NUMBERS = {
    "steps": ([-1, 1.5, math.nan, True, "3"], [0]),
    "epochs": ([0, -1, math.nan, math.inf, True, "1"], [0.01]),
    "batch_size": ([0, -5, 1.5, math.nan, False], [32]),
    "patience": ([0, -1, 0.5], [1]),
    "validate_every": ([0, -3, 2.5], [1]),
    "checkpoint_every": ([0, -5], [1]),
    "accumulate": ([0, -1, 0.5], [2]),
    "keep": ([0, -1, 1.5], [1]),
}


@pytest.mark.parametrize("name", FIT_NUMBERS)
def test_numbers_of_fit(name):
    bad, good = FIT_NUMBERS[name]
    others = {"steps": None} if name == "epochs" else {}
    others |= {"validation": 0.25} if name == "patience" else {}
    fit(**others, **{name: good[0]})
    for value in bad:
        with pytest.raises(FlowjaxError, match=f"^{name}: expected "):
            fit(**others, **{name: value})


def test_a_fit_validates_twenty_times_by_default():
    rows = fit(steps=40, validation=X).metrics
    validated = [row["step"] for row in rows if "validation_nll_nats" in row]
    assert validated == list(range(2, 41, 2))


def test_steps_and_epochs_together():
    with pytest.raises(FlowjaxError, match="expected either steps or epochs, got both"):
        fit(epochs=1)


@pytest.mark.parametrize("devices", [3, 7])
def test_the_default_batch_size_fits_the_devices(devices):
    result = fit(batch_size=None, devices=devices, steps=1)
    assert result.steps == 1
    with pytest.raises(FlowjaxError, match=f"batch_size: expected a multiple of {devices}"):
        fit(batch_size=256, devices=devices, steps=1)


def test_a_warm_start_continues_without_init(default):
    """Also from params with whitened latents, lists for tuples, and a part of the flow."""

    def fails(*args):
        raise AssertionError("init was called")

    again = fit(FLOW._replace(init=fails, bijector=None), params=default.params, steps=0)
    assert equal(again.params, default.params)
    far = jax.tree.map(lambda a: a + 0.5, default.params)
    more = fit(params=far, steps=50, optimizer=1e-2).params
    nll = [-float(FLOW.log_prob(params, X).mean()) for params in (far, more)]
    assert nll[1] < nll[0]
    glow = flows.glow(2, levels=1, depth=1, width=4)
    first = fit(glow)
    lists = {**first.params, "bijector": list(first.params["bijector"])}
    for start in (first.params, lists, glow.closed_form.take(first.params)):
        assert equal(fit(glow, params=start, steps=0).params, first.params)


BAD_PARAMS = {
    "another flow": (
        lambda: flows.build(bijectors.actnorm(), 3).init(jax.random.key(0), np.ones((2, 3))),
        r"\[.*\]: expected \(.*\), got \(.*\); params of another flow",
    ),
    "a FitResult": (lambda: fit(steps=1), "a FitResult; pass its .params"),
    "nothing in it": (lambda: {}, "expected .*, got nothing"),
    "text": (lambda: {"w": "text"}, "a pytree of arrays"),
}


@pytest.mark.parametrize("name", BAD_PARAMS)
def test_bad_params(name):
    make, message = BAD_PARAMS[name]
    with pytest.raises(FlowjaxError, match=f"^params.*{message}"):
        fit(params=make())


def test_a_user_s_flow_with_a_constant_can_be_fitted_twice():
    """The loop does not free the arrays that `init` closes over."""
    constant = jnp.ones(2)

    def forward(params, x, context=None):
        return x * jnp.exp(params), jnp.broadcast_to(params.sum(), x.shape[:-1])

    scale = Bijector(lambda key, x: constant, forward, forward)
    flow = flows.build(scale, 2)
    assert equal(fit(flow).params, fit(flow).params) and float(constant.sum()) == 2
    old = fit(flow).params
    warm = flow._replace(init=lambda *args: old)
    assert equal(fit(warm).params, fit(warm).params)


def test_nll_as_a_loss_of_the_user_gives_the_same_fit(default):
    own = fit(loss=lambda flow, params, x, key: -flow.log_prob(params, x).mean())
    assert equal(own.params, default.params)
    for row, other in zip(own.metrics, default.metrics, strict=True):
        assert row["loss"] == pytest.approx(other["nll_nats"], abs=1e-5)
    assert "nll_nats" not in own.metrics[0]


def test_reverse_kl_finds_a_target_that_the_data_does_not_show():
    def loss(flow, params, x, key):
        y, log_prob = flow.sample_and_log_prob(params, key, len(x))
        return (log_prob + 0.5 * ((y - 3) ** 2).sum(-1)).mean()

    flow = flows.glow(2, levels=1, depth=1, width=4)
    result = fit(flow, loss=loss, steps=400, optimizer=2e-2)
    y = np.asarray(flow.sample(result.params, jax.random.key(0), 2000))
    np.testing.assert_allclose(y.mean(0), 3, atol=0.3)
    np.testing.assert_allclose(y.std(0), 1, atol=0.3)
    white = result.params["bijector"][1]["frozen"]
    np.testing.assert_array_equal(white["mean"], 0)
    assert jax.tree.structure(result.params) == jax.tree.structure(flow.init(jax.random.key(0), X))


def test_a_loss_gets_context_and_weights():
    seen = {}

    def loss(flow, params, x, key, *, context, weights):
        seen.update(x=x.shape, context=context.shape, weights=weights.shape)
        return -(weights * flow.log_prob(params, x, context)).mean()

    both = {"context": X[:, :1], "weights": np.arange(64)}
    one, other = (fit(loss=given, **both).params for given in (loss, None))
    assert seen == {"x": (32, 2), "context": (32, 1), "weights": (32,)}
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


BAD_LOSSES = {
    "per example": (
        lambda f, p, x, k: f.log_prob(p, x),
        r"a scalar, .* got float32 of shape \(32",
    ),
    "integer": (lambda f, p, x, k: jnp.int32(1), "a scalar, .* got int32"),
    "arguments": (lambda params, x: 0.0, r"a function of \(flow, params, x, key\)"),
    "weights": (lambda f, p, x, k: 0.0, r"a function of \(flow, params, x, key, weights=\)"),
}


@pytest.mark.parametrize("name", BAD_LOSSES)
def test_bad_losses(name):
    loss, message = BAD_LOSSES[name]
    with pytest.raises(FlowjaxError, match=f"^loss: expected {message}"):
        fit(loss=loss, weights=np.ones(64) if name == "weights" else None)


def test_a_fit_that_diverges_or_stops_keeps_its_params():
    """Finished, of the structure of `init`, and with the likelihood of the good steps."""
    flow = flows.glow(2, levels=1, depth=1, width=4)
    init = flow.init(jax.random.key(0), X)
    good = fit(flow, steps=60)
    bad = optax.adam(lambda i: jnp.where(i >= 60, 1e30, 1e-3))
    with pytest.raises(training.NonFinite) as caught:
        fit(flow, steps=99, optimizer=bad)
    with pytest.raises(training.Stopped) as stopped:
        fit(flow, steps=99, stop=lambda: True)
    for error in (caught.value, stopped.value):
        assert jax.tree.structure(error.params) == jax.tree.structure(init)
        assert np.isfinite(np.asarray(flow.log_prob(error.params, X))).all()
    nll = [-float(flow.log_prob(p, X).mean()) for p in (caught.value.params, good.params)]
    assert nll[0] == pytest.approx(nll[1], abs=0.05)


CONTEXTS = {
    "labels": (np.arange(64), "context: .*one-hot vectors"),
    "list": ([1] * 64, "context: .*one-hot vectors"),
    "masked": (np.ma.masked_equal(X[:, :1] * 0, 0), "context: .*without masked values"),
    "NaN": (X[:, :1] * np.nan, "context: expected finite numbers, got nan at row 0, column 0"),
}


@pytest.mark.parametrize("name", CONTEXTS)
def test_errors_name_the_argument(name):
    context, message = CONTEXTS[name]
    with pytest.raises(FlowjaxError, match=f"^{message}"):
        fit(context=context)
    good = {"context": X[:, :1], "validation": X}
    with pytest.raises(FlowjaxError, match=f"^validation_{message}"):
        fit(**good, validation_context=context)
    if name in ("masked", "NaN"):
        rows = np.ma.concatenate([np.ma.asarray(context), X[:, :1]], axis=1)
        for argument, options in {"data": {}, "validation": {"validation": rows}}.items():
            with pytest.raises(FlowjaxError, match=f"^{argument}: expected"):
                flowjax.fit(FLOW, X if options else rows, key=0, **OPTIONS, **options)


def test_validation_errors_name_validation():
    for rows in (X[:0], X[:, :1], np.full((3, 2), 1e39)):
        with pytest.raises(FlowjaxError, match=r"^validation: expected"):
            fit(validation=rows)
    with pytest.raises(FlowjaxError, match=r"^validation_context: expected width 1 like data"):
        fit(context=X[:, :1], validation=X, validation_context=X)
