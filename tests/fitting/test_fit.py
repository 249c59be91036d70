"""`fit`: likelihood goes up, frozen leaves stay, data comes in every form, errors are clear."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from grids import grid

import flowjax
from flowjax import bijectors, flows
from flowjax.bijectors.moments import moments_of
from flowjax.data.arrays import ArraySource, open_rows
from flowjax.fitting import passes
from flowjax.training.optimizers import default_optimizer, freeze
from flowjax.types import trainable_mask

KEY = jax.random.key(0)
# test_likelihood.py tests the measurement, which compiles two more programs in every fit.
fit = functools.partial(flowjax.fit, measured=False)


@pytest.fixture(scope="module")
def rows():
    x = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
    x[:, 1] += 0.5 * x[:, 0] ** 2
    return x @ np.diag([1.0, 2.0, 0.1, 5.0]).astype(np.float32) + 3


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)))


def small(dim=4, **options):
    return flows.realnvp(dim, **{"depth": 2, "width": 8, **options})


def test_the_likelihood_rises(rows):
    flow = small()
    result = fit(
        flow, rows, key=KEY, batch_size=64, steps=300, devices=1, optimizer=optax.adam(1e-2)
    )
    before = flow.log_prob(flow.init(jax.random.split(KEY)[0], rows), rows).mean()
    after = flow.log_prob(result.params, rows).mean()
    assert result.steps == 300 and after > before + 0.05
    last = result.metrics[-1]
    assert last["bits_per_dim"] == pytest.approx(last["nll_nats"] / np.log(2) / 4)


def test_the_same_key_gives_the_same_params(rows):
    a, b, c = (
        fit(small(), rows, key=k, batch_size=64, steps=10, devices=1).params for k in (1, 1, 2)
    )
    same = [np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b))]
    assert all(same)
    other = [np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(c))]
    assert not all(other)


def test_a_path_an_array_and_eight_devices_agree(rows, tmp_path):
    np.save(tmp_path / "x.npy", rows)
    results = [
        fit(small(), data, key=0, batch_size=64, steps=20, devices=n)
        for data, n in ((rows, 1), (tmp_path / "x.npy", 1), (str(tmp_path / "x.npy"), 8))
    ]
    for result in results[1:]:
        for x, y in zip(jax.tree.leaves(result.params), jax.tree.leaves(results[0].params)):
            np.testing.assert_allclose(x, y, atol=1e-5)


def test_epochs_count_rows(rows):
    result = fit(small(), rows, key=0, batch_size=60, epochs=0.5, devices=1)
    assert result.steps == 5


def test_closed_forms_take_no_steps(rows):
    result = fit(flows.whitening(4), rows, key=0, steps=100)
    assert result.steps == 0 and result.metrics == []
    z, _ = flows.whitening(4).forward(result.params, rows)
    np.testing.assert_allclose(np.cov(z.T, bias=True), np.eye(4), atol=1e-3)


def test_frozen_leaves_stay_also_under_weight_decay(rows):
    flow = flows.whitening_glow(4, levels=1, depth=1, width=4)
    start = flow.init(jax.random.split(KEY)[0], rows)
    result = fit(
        flow, rows, key=KEY, batch_size=64, steps=20, optimizer=optax.adamw(1e-2, weight_decay=0.5)
    )
    moved = 0
    for trains, a, b in zip(
        jax.tree.leaves(trainable_mask(start)),
        jax.tree.leaves(start),
        jax.tree.leaves(result.params),
    ):
        if trains:
            moved += not np.array_equal(a, b)
        else:
            assert np.array_equal(a, b)
    assert moved


def test_freeze_leaves_an_optimizer_alone_where_nothing_is_frozen():
    optimizer = optax.sgd(1.0)
    assert freeze(optimizer, {"w": jnp.ones(2)}) is optimizer


def test_validation_keeps_the_best_and_patience_ends(rows):
    train, held = rows[:40], rows[40:]
    result = fit(
        small(width=64), train, key=0, batch_size=40, steps=2000, validation=held,
        validate_every=20, patience=3, optimizer=optax.adam(1e-2), devices=1,
    )  # fmt: skip
    scores = [r["validation_nll_nats"] for r in result.metrics if "validation_nll_nats" in r]
    assert result.steps < 2000 and len(scores) >= 3
    flow = small(width=64)
    start = flow.init(jax.random.split(jax.random.key(0))[0], train)
    scores.insert(0, -float(flow.log_prob(start, held).mean()))
    best = -float(flow.log_prob(result.params, held).mean())
    assert best == pytest.approx(min(scores), abs=1e-4)
    assert scores[-1] > min(scores)


def test_validation_may_be_a_share(rows):
    result = fit(
        small(),
        rows,
        key=0,
        batch_size=32,
        steps=20,
        validation=0.25,
        validate_every=10,
        devices=1,
    )
    assert sum("validation_nll_nats" in row for row in result.metrics) == 2
    for share in (0.0, 1.5):
        with pytest.raises(
            ValueError, match="validation: expected a fraction between 0 and 1 that splits 600"
        ):
            fit(small(), rows, key=0, steps=1, validation=share)


def test_context_is_used():
    rng = np.random.default_rng(0)
    context = rng.integers(0, 2, (500, 1)).astype(np.float32)
    x = (10 * context + rng.normal(size=(500, 2))).astype(np.float32)
    flow = flows.realnvp(2, depth=2, width=8, base="conditional")
    result = fit(
        flow, x, key=0, batch_size=100, steps=150, context=context,
        optimizer=optax.adam(2e-2), devices=1,
    )  # fmt: skip
    right = flow.log_prob(result.params, x, context).mean()
    wrong = flow.log_prob(result.params, x, 1 - context).mean()
    assert right > wrong + 5


def test_rows_of_metrics_do_not_depend_on_the_speed(rows):
    result = fit(small(), rows, key=0, batch_size=32, steps=250, devices=1)
    assert [row["step"] for row in result.metrics] == list(range(2, 251, 2))


def test_on_step_can_end():
    seen = []
    x = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)
    flow = flows.build(bijectors.actnorm(), 4)
    result = fit(
        flow, x, key=0, batch_size=8, steps=10_000, devices=1,
        on_step=lambda row: seen.append(row) or len(seen) == 3,
    )  # fmt: skip
    assert 3 <= len(seen) and result.steps < 10_000


BAD = {
    "shape": (np.ones(5), {"steps": 1}, r"expected rows of shape \(n, d\)"),
    "dim": (np.ones((5, 3)), {"steps": 1}, r"expected \(n, 4\) for this flow, got \(n, 3\)"),
    "both": (np.ones((5, 4)), {"steps": 1, "epochs": 1}, "either steps or epochs"),
    "batch": (np.ones((5, 4)), {"steps": 1, "devices": 3}, "multiple of 3"),
    "patience": (
        np.ones((5, 4)),
        {"steps": 1, "patience": 0},
        "patience: expected an integer of at least 1",
    ),
    "path": ("nowhere.npy", {"steps": 1}, "nowhere.npy"),
    "context": (np.ones((5, 4)), {"steps": 1, "context": np.ones((4, 1))}, "expected 5 rows"),
    "validation": (np.ones((5, 4)), {"steps": 1, "validation": np.ones((2, 2))}, "validation"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    data, options, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        fit(small(), data, key=0, **{"batch_size": 4, "devices": 1, **options})


def test_metrics_hold_the_likelihoods_terms_and_the_rate(rows):
    rate = optax.linear_schedule(0.0, 1e-2, 100)
    result = fit(
        small(), rows, key=0, batch_size=32, steps=100, devices=1,
        optimizer=default_optimizer(rate, weight_decay=0.1),
    )  # fmt: skip
    for row in result.metrics:
        assert row["nll_nats"] == pytest.approx(-row["log_det"] - row["log_base"], abs=1e-4)
        assert row["learning_rate"] == pytest.approx(float(rate(row["step"] - 1)), rel=1e-5)
        assert row["grad_norm"] > 0 and row["rows_per_s"] > 0


def test_an_optimizer_that_keeps_its_rate_to_itself(rows):
    result = fit(
        small(), rows, key=0, batch_size=32, steps=2, optimizer=optax.sgd(1e-3), devices=1
    )
    assert "learning_rate" not in result.metrics[-1]


def test_the_default_optimizer_is_adam(rows):
    ours, plain = default_optimizer(1e-2, clip_norm=None), optax.adam(1e-2)
    a, b = (
        fit(small(), rows, key=0, batch_size=32, steps=20, optimizer=o, devices=1).params
        for o in (ours, plain)
    )
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)):
        np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("recipe", grid([flows.realnvp, flows.glow], slow=[flows.glow]))
def test_bfloat16_ends_where_float32_does(rows, recipe):
    flow, options = recipe(4, depth=2, width=32), {"batch_size": 64, "steps": 100, "devices": 1}
    scores, params = {}, {}
    for precision in ("float32", "bfloat16", "tf32"):
        params[precision] = fit(flow, rows, key=0, precision=precision, **options).params
        scores[precision] = float(flow.log_prob(params[precision], rows).mean())
    assert scores["bfloat16"] != scores["float32"]  # it did round
    for precision, score in scores.items():
        assert score == pytest.approx(scores["float32"], rel=1e-3)
        z, log_det = flow.forward(params[precision], rows)
        assert z.dtype == log_det.dtype == jnp.float32
        np.testing.assert_allclose(flow.inverse(params[precision], z)[0], rows, atol=1e-3)


def test_an_unknown_precision_is_named(rows):
    with pytest.raises(ValueError, match="precision: expected one of float32, bfloat16, tf32"):
        fit(small(), rows, key=0, batch_size=32, steps=1, precision="float8", devices=1)


CLOSED = {
    "whitening": flows.whitening(4),
    "components": flows.whitening(4, components=2, shrinkage="auto"),
    "power": flows.whitening(4, power=0.5),
    "center": flows.center(4),
    "all_but_the_top": flows.all_but_the_top(4),
    "standardize": flows.standardize(4),
    "whitening_glow": flows.whitening_glow(4, levels=1, depth=1, width=4),
    "ledoit_wolf": flows.whitening(4, shrinkage="ledoit_wolf"),
}


@pytest.mark.parametrize("name", CLOSED)
def test_streamed_init_is_that_of_all_rows(name, rows, tmp_path, monkeypatch):
    """With a sample of a few rows only, so that the moments must have come from all of them."""
    np.save(tmp_path / "x.npy", rows)
    mapped = ArraySource(open_rows(tmp_path / "x.npy"), resident=False)
    if name != "ledoit_wolf":  # needs the rows themselves
        monkeypatch.setattr(passes, "STREAMED_INIT_NUMBERS", 40)
    flow, key = CLOSED[name], jax.random.key(3)
    streamed = passes.init_params(flow, key, mapped)
    resident = passes.init_params(flow, key, ArraySource(rows, resident=True))
    for a, b in zip(jax.tree.leaves(streamed), jax.tree.leaves(resident)):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_given_moments_are_kept(rows):
    given = moments_of([rows[:100]], 4)
    flow = flows.whitening(4, moments=given)
    assert flow.closed_form is None
    params = passes.init_params(flow, KEY, ArraySource(rows, resident=False))
    np.testing.assert_allclose(
        jax.tree.leaves(params["bijector"]["frozen"]["mean"])[0], given.mean, rtol=1e-5
    )


def test_a_share_kept_aside_of_streamed_rows_is_that_of_resident_ones(rows):
    options = {"key": 0, "batch_size": 32, "steps": 20, "validation": 0.25, "devices": 1}
    a, b = (fit(small(), ArraySource(rows, resident=r), **options) for r in (True, False))
    for x, y in zip(jax.tree.leaves(a.params), jax.tree.leaves(b.params)):
        np.testing.assert_allclose(x, y, atol=1e-5)
    assert a.metrics[-1]["validation_nll_nats"] == pytest.approx(
        b.metrics[-1]["validation_nll_nats"], abs=1e-5
    )
