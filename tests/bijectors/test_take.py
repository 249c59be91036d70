"""`take_columns`: values and derivatives, also for a batch of permutations and over devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from flowjax.bijectors import take
from flowjax.bijectors.take import take_columns

X = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
ORDERS = np.stack([np.random.default_rng(i).permutation(5) for i in range(3)])
INVERSES = np.argsort(ORDERS, axis=1)


def test_values_and_derivatives():
    order = np.array([2, 4, 3, 0, 1])  # no involution
    np.testing.assert_array_equal(take_columns(X, order), X[..., order])
    check_grads(lambda x: take_columns(x, order) ** 2, (X,), order=3, atol=0.1, rtol=0.1)
    matrix = jax.jacrev(lambda x: take_columns(x, order))(X[0, 0])
    np.testing.assert_array_equal(matrix, np.eye(5)[order])


@pytest.mark.parametrize("axes", [(0, 0), (0, None), (None, 0)])
def test_batches(axes):
    """Each of x and the order may have the batch axis, at any place."""
    one, pairs = axes
    x = X if one == 0 else X[1]
    orders, inverses = (ORDERS, INVERSES) if pairs == 0 else (ORDERS[1], INVERSES[1])
    wanted = [X[i if one == 0 else 1][:, ORDERS[i if pairs == 0 else 1]] for i in range(3)]
    found = jax.vmap(take_columns, (one, pairs, pairs))(x, orders, inverses)
    np.testing.assert_array_equal(found, wanted)

    def total(x, order, inverse):
        return (jnp.arange(5.0) * take_columns(x, order, inverse)).sum()

    forward, backward = (
        jax.vmap(d(total), (one, pairs, pairs))(x, orders, inverses)
        for d in (jax.jacfwd, jax.grad)
    )
    np.testing.assert_array_equal(forward, backward)
    at = [INVERSES[i if pairs == 0 else 1] for i in range(3)]
    np.testing.assert_array_equal(backward, [np.tile(a, (4, 1)) for a in at])
    nested = jax.vmap(jax.vmap(take_columns, (0, None, None)))(X, ORDERS, INVERSES)
    np.testing.assert_array_equal(nested, [X[i][:, ORDERS[i]] for i in range(3)])
    last = jax.vmap(take_columns, (2, 0, 0))(np.moveaxis(X, 0, 2), ORDERS, INVERSES)
    np.testing.assert_array_equal(last, [X[i][:, ORDERS[i]] for i in range(3)])


@pytest.mark.parametrize("shape", [(5,), (3, 1, 5)])
def test_the_product_of_a_tpu_has_the_same_bits(shape):
    order = np.broadcast_to(ORDERS[:, None], (3, 1, 5)) if len(shape) == 3 else ORDERS[0]
    wanted = take._index(X, jnp.asarray(order), None)
    np.testing.assert_array_equal(take._product(X, jnp.asarray(order), None), wanted)


def test_an_infinite_entry_affects_its_own_row_only_on_a_tpu():
    x, order = np.arange(12, dtype="f4").reshape(3, 4), np.array([2, 0, 3, 1])
    x[1, 2] = np.inf
    found = np.asarray(take._product(x, jnp.asarray(order), None))
    assert np.array_equal(found[[0, 2]], x[[0, 2]][:, order]) and not np.isfinite(found[1]).any()


def test_the_gradient_has_no_scatter():
    order = np.array([2, 4, 3, 0, 1])
    text = jax.jit(jax.grad(lambda x: (take_columns(x, order) ** 2).sum())).lower(X).as_text()
    assert '"stablehlo.gather"' in text and "scatter" not in text


def test_over_devices():
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:3]), ("data",))
    rows = jax.P("data")
    call = jax.shard_map(
        lambda x: take_columns(x, ORDERS[0]), mesh=mesh, in_specs=rows, out_specs=rows
    )
    np.testing.assert_array_equal(jax.jit(call)(X), X[..., ORDERS[0]])
