"""A fit that was stopped or killed resumes with equal results, or raises an error."""

import functools

import jax
import numpy as np
import optax
import pytest
from grids import grid

import flowjax
from flowjax import flows

fit = functools.partial(flowjax.fit, measured=False)


@pytest.fixture(scope="module")
def rows():
    x = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
    x[:, 1] += 0.5 * x[:, 0] ** 2
    return x @ np.diag([1.0, 2.0, 0.1, 5.0]).astype(np.float32) + 3


def small(dim=4, **options):
    return flows.realnvp(dim, **{"depth": 2, "width": 8, **options})


def test_checkpoints_resume(rows, tmp_path):
    whole = fit(small(), rows, key=0, batch_size=64, steps=30, devices=1)
    options = {"key": 0, "batch_size": 64, "devices": 1, "checkpoint_dir": tmp_path}
    fit(small(), rows, steps=12, **options)
    resumed = fit(small(), rows, steps=30, **options)
    assert equal(resumed.params, whole.params)
    with pytest.raises(ValueError, match="expected a folder without checkpoints"):
        fit(small(), rows, steps=30, resume=False, **options)


@pytest.fixture(scope="module")
def overfit():
    """A fit that is at its best at step 40, where patience does not end it before step 70."""
    x = np.random.default_rng(0).normal(size=(600, 4)).astype(np.float32)
    x[:, 3] = np.sin(2 * x[:, 0]) + 0.3 * x[:, 3]
    options = {"key": 0, "batch_size": 50, "steps": 400, "validate_every": 10, "patience": 3}

    def run(**others):
        return fit(
            small(width=16), x[:60], validation=x[60:], devices=1, optimizer=optax.adam(2e-3),
            **{**options, **others},
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def never_stopped(overfit):
    result = overfit()
    scores = validations(result)
    assert result.steps == 70 and min(scores, key=scores.get) == 40
    return result


def validations(result):
    name = "validation_nll_nats"
    return {row["step"]: row[name] for row in result.metrics if name in row}


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b)))


class Killed(Exception):
    """Simulates the death of the process: nothing is saved after it."""


def ended(how, at):
    """Options that end a fit, by a kill or a wish to stop, once it has told of step `at`."""
    told = []

    def on_step(row):
        told.append(row["step"])
        if how == "killed" and row["step"] >= at:
            raise Killed

    return {"on_step": on_step, "stop": lambda: how == "stopped" and told[-1:] >= [at]}


def test_resumed_with_validation_is_never_stopped(tmp_path, overfit, never_stopped):
    """Ended before the first validation, after the best one, and in the last of patience."""
    options = {"checkpoint_dir": tmp_path, "checkpoint_every": 7}
    ends = [("killed", 8), ("stopped", 44), ("killed", 70)]
    for how, at in ends:
        with pytest.raises((Killed, flowjax.training.Stopped)):
            overfit(**options, **ended(how, at))
    resumed = overfit(**options)
    assert resumed.steps == 70 and equal(resumed.params, never_stopped.params)
    assert validations(resumed) == {70: validations(never_stopped)[70]}


def test_a_run_that_patience_ended_is_at_its_end(tmp_path, overfit, never_stopped):
    first, again = (overfit(checkpoint_dir=tmp_path) for _ in range(2))
    assert first.steps == again.steps == 70 and again.metrics == []
    patient = overfit(checkpoint_dir=tmp_path, patience=4)  # resumes at step 70
    assert patient.steps == 80 and list(validations(patient)) == [80]
    for result in (first, again, patient):
        assert equal(result.params, never_stopped.params)


def test_a_finished_run_keeps_its_best(tmp_path, overfit, never_stopped):
    options = {"steps": 60, "patience": None, "checkpoint_dir": tmp_path}
    for _ in range(2):
        result = overfit(**options)
        assert result.steps == 60 and equal(result.params, never_stopped.params)


@pytest.mark.parametrize("first", ["with", "without"])
def test_checkpoints_with_and_without_validation_are_told_apart(rows, tmp_path, first):
    options = {"key": 0, "batch_size": 32, "steps": 4, "devices": 1, "checkpoint_dir": tmp_path}
    shares = [0.2, None] if first == "with" else [None, 0.2]
    fit(small(), rows, **options, validation=shares[0])
    with pytest.raises(ValueError, match=r"state\.best.*checkpoints of another .* validation"):
        fit(small(), rows, **options, validation=shares[1])


OTHERS = {
    "permutation": ({"permutation": "reverse"}, "expected 'reverse"),
    "mask": ({"mask": "checkerboard"}, "checkerboard"),
    "seed": ({"permutation": "lu", "seed": 1}, "seed=1"),
    "factor": (
        {"conditioner": flowjax.bijectors.glow_net(8, logscale_factor=1.0)},
        "logscale_factor=1",
    ),
    "activation": ({"conditioner": flowjax.bijectors.mlp(8, activation="tanh")}, "tanh"),
}


SLOW = ("permutation", "factor", "activation")


@pytest.mark.parametrize("name", grid(OTHERS, slow=SLOW))
def test_another_flow_does_not_go_on_from_there(rows, tmp_path, name):
    """Even where its parameters have the same shapes."""
    options = {"key": 0, "batch_size": 32, "steps": 2, "devices": 1, "checkpoint_dir": tmp_path}
    first = {"permutation": "lu", "seed": 0} if name == "seed" else {}
    fit(flows.glow(4, levels=1, depth=1, width=8, **first), rows, **options)
    others, said = OTHERS[name]
    with pytest.raises(ValueError, match=f"{said}.* checkpoints of another model"):
        fit(flows.glow(4, levels=1, depth=1, width=8, **others), rows, **options)


ANOTHER = {
    "data": ({"data": "scaled"}, "values of data: expected digest"),
    "number": ({"data": "fewer"}, r"data: expected 60 examples of x \(4,\), as in .*, got 59 "),
    "key": ({"key": 1}, "key: expected 0, as in .*, got 1;"),
    "batch": ({"batch_size": 20}, "batch_size: expected 30, as in .*, got 20;"),
    "context": ({"context": np.ones((60, 1))}, r"got 60 examples of context \(1,\), x"),
    "weights": ({"weights": np.arange(60)}, r"got 60 examples of weight \(\), x"),
    "validation": ({"validation": "scaled"}, "validation: expected 30 examples .* got 60"),
    "start": ({"params": 2}, "params: expected digest"),
    "loss": ({"loss": lambda flow, params, x, key: (x * 0).mean()}, "loss: expected"),
}


@pytest.mark.parametrize("name", ANOTHER)
def test_another_run_does_not_resume(rows, tmp_path, name):
    """The error is one line that names the difference; the same run, of more steps, resumes."""
    flow = flows.build(flowjax.bijectors.actnorm(), 4)
    forms = {"scaled": 100 * rows[:60] + 5, "fewer": rows[:59]}
    first = {"data": rows[:60], "key": 0, "batch_size": 30}
    first |= {"validation": rows[60:90]} if name == "validation" else {}
    first |= {"params": flow.init(jax.random.key(3), rows)} if name == "start" else {}
    first |= {"loss": neutral} if name == "loss" else {}
    options = {"devices": 1, "checkpoint_dir": tmp_path}
    fit(flow, steps=2, **first, **options)
    assert fit(flow, steps=3, **first, **options).steps == 3
    others, message = ANOTHER[name]
    change = {k: forms[v] if isinstance(v, str) else v for k, v in others.items()}
    if name == "start":
        change = {"params": flow.init(jax.random.key(3), 2 * rows)}
    with pytest.raises(flowjax.errors.FlowjaxError, match=message) as caught:
        fit(flow, steps=4, **{**first, **change}, **options)
    assert "\n" not in str(caught.value) and "in a new folder" in str(caught.value)


def neutral(flow, params, x, key):
    return -flow.log_prob(params, x).mean()


def test_a_run_resumes_with_another_power_of_the_latents(rows, tmp_path):
    """The map of the latents is not part of the training."""
    options = {"key": 0, "batch_size": 32, "devices": 1, "checkpoint_dir": tmp_path}
    ends = {}
    for power, steps in ((1, 2), (None, 4), (0.5, 4)):
        flow = flows.glow(4, levels=1, depth=1, width=8, latent_power=power)
        ends[power] = fit(flow, rows, steps=steps, **options).params
    assert equal(ends[0.5]["bijector"][0], ends[None]["bijector"])
