"""Training loop: equal results for any devices, dispatch lengths, interruptions and resumes."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from grids import grid

from flowjax import training
from flowjax.data.arrays import ArraySource
from flowjax.errors import FlowjaxError
from flowjax.parallel import devices
from flowjax.training import snapshots
from flowjax.training.checkpoint import Checkpoints

ROWS = np.random.default_rng(0).normal(size=(203, 3)).astype(np.float32)


def loss(params, resident, batch, key):
    """Returns a regression loss with noise from the key, so that keys affect the result."""
    x = (batch if resident is None else jax.tree.map(lambda a: a[batch["rows"]], resident))["x"]
    noise = 0.1 * jax.random.normal(key, params["w"].shape)
    error = jnp.tanh(x @ (params["w"] + noise)) + params["b"] - x.sum(-1, keepdims=True)
    return (error**2).mean(), {"mean_error": error.mean()}


def start(optimizer):
    params = {"w": jnp.full((3, 1), 0.1), "b": jnp.zeros((1,))}
    return training.init_state(params, optimizer)


def run(steps=50, n_devices=1, resident=True, batch_size=16, state=None, **options):
    optimizer = optax.adam(0.05)
    losses = []

    def on_chunk(chunk, _):
        losses.extend(chunk.metrics["loss"][: chunk.stop - chunk.start].tolist())

    final = training.train(
        loss,
        optimizer,
        state or start(optimizer),
        ArraySource(ROWS, resident=resident),
        steps=steps,
        batch_size=batch_size,
        seed=7,
        mesh=devices.make_mesh(n_devices),
        on_chunk=options.pop("on_chunk", on_chunk),
        **options,
    )
    return devices.to_host(final), np.array(losses)


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)))


@pytest.fixture(scope="module")
def reference():
    return run()


def test_the_loss_decreases(reference):
    _, losses = reference
    assert losses[-10:].mean() < 0.5 * losses[:3].mean()
    assert len(losses) == 50


@pytest.mark.parametrize("n_devices", grid([2, 4, 8], default=[8]))
@pytest.mark.parametrize("mapping", ["shard_map", "pmap"])
def test_any_number_of_devices_gives_the_same_losses(reference, n_devices, mapping):
    state, losses = run(n_devices=n_devices, mapping=mapping)
    np.testing.assert_allclose(losses, reference[1], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(state.params["w"], reference[0].params["w"], atol=1e-5)


@pytest.mark.parametrize(("accumulate", "n_devices"), [(4, 1), (2, 4)])
def test_accumulation_equals_the_whole_batch(reference, accumulate, n_devices):
    _, losses = run(accumulate=accumulate, n_devices=n_devices)
    np.testing.assert_allclose(losses, reference[1], rtol=1e-5, atol=1e-5)


def test_streamed_rows_equal_resident_rows(reference):
    state, losses = run(resident=False)
    np.testing.assert_allclose(losses, reference[1], rtol=1e-6)
    assert int(state.step) == 50


@pytest.mark.parametrize("steps_per_call", [1, 3, 64])
def test_dispatch_lengths_do_not_change_the_result(reference, steps_per_call):
    state, losses = run(steps_per_call=steps_per_call)
    assert same(state, reference[0]) and np.array_equal(losses, reference[1])


@pytest.mark.parametrize("at", [1, 17, 49])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, reference, at):
    with Checkpoints(tmp_path) as checkpoints:
        run(steps=at, checkpoints=checkpoints)
    with Checkpoints(tmp_path) as checkpoints:
        step, state = checkpoints.restore(start(optax.adam(0.05)))
        assert step == at
        state, losses = run(state=state, checkpoints=checkpoints)
    assert same(state, reference[0])
    assert np.array_equal(losses, reference[1][at:])


@pytest.mark.parametrize(("before", "after"), [(8, 1), (1, 8)])
def test_resumed_on_another_number_of_devices(tmp_path, reference, before, after):
    with Checkpoints(tmp_path) as checkpoints:
        run(steps=20, n_devices=before, checkpoints=checkpoints)
        _, state = checkpoints.restore(start(optax.adam(0.05)))
    _, losses = run(state=state, n_devices=after)
    np.testing.assert_allclose(losses, reference[1][20:], rtol=1e-5, atol=1e-5)


def test_a_batch_that_does_not_divide_is_an_error():
    with pytest.raises(FlowjaxError, match="batch_size: expected a multiple of 8"):
        run(n_devices=8, batch_size=12)
    with pytest.raises(FlowjaxError, match=r"4 devices x 2 micro-batches\), got 12"):
        run(n_devices=4, batch_size=12, accumulate=2)


@pytest.mark.parametrize(("step", "word"), [(0, "initial parameters"), (3, "learning rate or")])
def test_the_advice_about_a_non_finite_loss_depends_on_the_step(step, word):
    """The learning rate has no effect on the first loss."""
    assert word in str(training.NonFinite(step, "loss nan", None))


@pytest.mark.parametrize("bad", ["loss", "gradient"])
@pytest.mark.parametrize("n_devices", [1, 8])
def test_non_finite_names_the_step_and_saves_the_state(tmp_path, bad, n_devices):
    at = 23
    good, _ = run(steps=at, n_devices=n_devices)

    def fails(params, resident, batch, key):
        """Returns `loss` with a NaN at step 23, in the value or in the gradient only."""
        value, aux = loss(params, resident, batch, key)
        hit = jax.random.uniform(key) == jax.random.uniform(
            jax.random.fold_in(jax.random.key(7), at)
        )
        if bad == "loss":
            return jnp.where(hit, jnp.nan, value), aux
        return value + jnp.where(hit, 0.0, 1.0) * 0 + _infinite_slope(params["b"][0], hit), aux

    optimizer = optax.adam(0.05)
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(training.NonFinite, match=f"step {at}:") as caught:
            training.train(
                fails,
                optimizer,
                start(optimizer),
                ArraySource(ROWS),
                steps=50,
                batch_size=16,
                seed=7,
                mesh=devices.make_mesh(n_devices),
                checkpoints=checkpoints,
            )
        assert caught.value.step == at
        assert f", and {tmp_path / str(at)} the state before" in str(caught.value)
        step, state = checkpoints.restore(start(optimizer))
    assert step == at
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(good)):
        np.testing.assert_allclose(a, b, rtol=1e-6)


@pytest.mark.parametrize("seconds", [0, 100])
def test_non_finite_holds_the_params_of_the_last_finite_loss(monkeypatch, seconds):
    """Also if an update made the parameters infinite; with few and with many copies."""
    monkeypatch.setattr(snapshots, "SECONDS", seconds)
    good, _ = run(steps=20)
    optimizer = optax.chain(
        optax.adam(0.05), optax.scale_by_schedule(lambda step: jnp.where(step < 20, 1.0, jnp.inf))
    )
    with pytest.raises(training.NonFinite, match="the attribute `params` of this") as caught:
        training.train(
            loss, optimizer, start(optimizer), ArraySource(ROWS), steps=50, batch_size=16, seed=7,
            mesh=devices.make_mesh(1), steps_per_call=3,
        )  # fmt: skip
    assert caught.value.step == 21 and "checkpoint" not in str(caught.value)
    for name, values in good.params.items():
        np.testing.assert_allclose(caught.value.params[name], values, rtol=1e-6)


def test_the_arrays_of_the_caller_stay():
    """Two runs from one state, of which two leaves are the same array."""
    shared = jnp.full((3, 1), 0.1)
    state = training.TrainState(jnp.int32(0), {"w": shared, "b": jnp.zeros(1), "c": shared}, ())

    def of(params, *rest):
        return loss({"w": params["w"] + params["c"], "b": params["b"]}, *rest)

    ends = [
        training.train(
            of, optax.sgd(0.1), training.init_state(state.params, optax.sgd(0.1)),
            ArraySource(ROWS), steps=3, batch_size=16, seed=7, mesh=devices.make_mesh(n),
        )
        for n in (1, 1, 8)
    ]  # fmt: skip
    assert shared.sum() > 0 and same(*(devices.to_host(end) for end in ends[:2]))


@jax.custom_jvp
def _infinite_slope(x, hit):
    return 0.0 * x


@_infinite_slope.defjvp
def _infinite_slope_jvp(primals, tangents):
    x, hit = primals
    return 0.0 * x, jnp.where(hit, jnp.inf, 0.0) * tangents[0]


def test_a_stop_request_saves_first(tmp_path, reference):
    asked = iter([False, False, True])
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(training.Stopped):
            run(checkpoints=checkpoints, stop=lambda: next(asked), steps_per_call=5)
        step, state = checkpoints.restore(start(optax.adam(0.05)))
        assert 0 < step < 50
        final, _ = run(state=state)
    assert same(final, reference[0])


def test_saved_is_called_after_on_chunk(tmp_path):
    """Every checkpoint is consistent: at `checkpoint_every`, at a stop request, at the end."""
    seen = [0]
    with Checkpoints(tmp_path, keep=9) as checkpoints:
        options = {
            "checkpoints": checkpoints,
            "checkpoint_every": 7,
            "on_chunk": lambda chunk, state: seen.append(chunk.stop) or False,
            "saved": lambda state: {"state": state, "seen": np.array(seen[-1])},
        }
        with pytest.raises(training.Stopped):
            run(stop=lambda: seen[-1] >= 10, steps_per_call=5, **options)
        like = {"state": start(optax.adam(0.05)), "seen": np.array(0)}
        step, found = checkpoints.restore(like)
        assert step == found["seen"] == found["state"].step >= 10
        run(state=found["state"], steps=20, **options)
        assert checkpoints.steps == [7, step, 14, 20]
        assert checkpoints.restore(like)[1]["seen"] == 20


def test_dispatches_end_at_boundaries():
    ends = []
    run(every=7, on_chunk=lambda chunk, state: ends.append(chunk.stop) or False)
    assert set(range(7, 50, 7)) <= set(ends) and ends[-1] == 50


def test_on_chunk_can_end_the_run():
    state, _ = run(on_chunk=lambda chunk, state: chunk.stop >= 10, steps_per_call=5)
    assert 10 <= int(state.step) < 20


def test_evaluate_weights_batches_by_their_size():
    def mean(params, resident, batch, key):
        return batch["x"].mean(), {"rows": jnp.float32(len(batch["rows"]))}

    scores = training.evaluate(mean, {}, ArraySource(ROWS, resident=False), batch_size=50)
    assert scores["loss"] == pytest.approx(float(ROWS.mean()), abs=1e-6)
