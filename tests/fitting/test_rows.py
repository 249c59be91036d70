"""All forms of the training data, and errors that name inconsistent arguments."""

import jax.numpy as jnp
import numpy as np
import pytest

import flowjax
from flowjax import flows
from flowjax.data.arrays import ArraySource
from flowjax.fitting.rows import held_out, rows_of

X = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
C = np.ones((40, 2), np.float32)


def test_validation_rows_in_any_form(tmp_path):
    np.save(tmp_path / "held.npy", X[30:])
    for given in (X[30:], tmp_path / "held.npy", ArraySource(X[30:])):
        source, held = held_out(ArraySource(X[:30]), given, None, seed=0)
        assert source.size == 30 and held.size == 10
    for share in (np.float32(0.25), jnp.float32(0.25)):
        assert held_out(ArraySource(X), share, None, seed=0)[1].size == 10
    assert held_out(ArraySource(X), None, None, seed=0)[1] is None


def test_a_share_has_its_rows_context():
    context = np.arange(40, dtype=np.float32)[:, None]
    source = ArraySource(np.repeat(context, 4, 1), context)
    for part in held_out(source, 0.25, None, seed=0):
        taken = part.take(np.arange(part.size))
        np.testing.assert_array_equal(taken["x"][:, :1], taken["context"])


def test_a_source_brings_its_own_context():
    assert "context" in rows_of(ArraySource(X, C), None, 4).take(np.arange(2))
    with pytest.raises(ValueError, match="context: expected None because data is an ArraySource"):
        rows_of(ArraySource(X), C, 4)


def test_a_one_hot_context_may_be_of_bools():
    taken = rows_of(X, C > 0, 4).take(np.arange(2))
    np.testing.assert_array_equal(taken["context"], 1)


def small():
    return flows.realnvp(4, depth=2, width=4)


BAD = {
    "steps": ({"steps": -1}, "steps: expected an integer of at least 0, got -1"),
    "half a step": ({"steps": 2.5}, "steps: expected an integer"),
    "epochs": ({"epochs": 0}, "epochs: expected a positive number, got 0"),
    "batch": ({"steps": 1, "batch_size": 0}, "batch_size: expected an integer of at least 1"),
    "patience": ({"steps": 1, "patience": 2}, "validation: expected a value if patience is given"),
    "context only": (
        {"steps": 1, "context": C, "validation": X},
        "validation_context: expected a context like data, got no context",
    ),
    "its context only": (
        {"steps": 1, "validation": X, "validation_context": C},
        "validation_context: expected no context like data, got a context",
    ),
    "a share's context": (
        {"steps": 1, "context": C, "validation": 0.2, "validation_context": C},
        "validation_context: expected None, because validation is not an array",
    ),
    "accumulate": ({"steps": 1, "accumulate": 0}, "accumulate: expected an integer"),
    "validations": (
        {"steps": 1, "validate_every": 1.5},
        "validate_every: expected an integer",
    ),
    "saves": ({"steps": 1, "checkpoint_every": -5}, "checkpoint_every: expected an integer"),
    "true": ({"steps": True}, "steps: expected an integer of at least 0, got True"),
    "no share": (
        {"steps": 1, "validation": 0},
        "validation: expected a fraction between 0 and 1 that splits 40 examples",
    ),
    "labels": ({"steps": 1, "context": C[:, 0]}, "context: expected rows of shape"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_together(name):
    options, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        flowjax.fit(small(), X, key=0, **{"batch_size": 4, "devices": 1, **options})


def test_a_key_may_be_any_integer():
    options = {"steps": 1, "batch_size": 4, "devices": 1}
    one, other = (flowjax.fit(small(), X, key=k, **options).metrics for k in (3, np.int64(3)))
    assert one[0]["nll_nats"] == other[0]["nll_nats"]
