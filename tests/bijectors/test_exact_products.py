"""Products in full precision, and permutations, in the form that they have on a TPU."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from flowjax.bijectors.common import product
from flowjax.bijectors.products import exact_dot, in_parts


def test_parts_have_the_precision_of_float32():
    rng = np.random.default_rng(0)
    x, matrix = rng.normal(size=(32, 200)), rng.normal(size=(200, 64))
    for scale in (1.0, 1e-20, 1e15):
        a, b = (scale * x).astype("f4"), matrix.astype("f4")
        exact = a.astype("f8") @ b
        bound = np.abs(a.astype("f8")) @ np.abs(b) * 2.0**-23
        assert (np.abs(in_parts(a, b) - exact) < 4 * bound).all()


def full(x, matrix):
    return jnp.matmul(x, matrix, precision="highest")


def gradients(function, x, matrix):
    return jax.value_and_grad(lambda x, m: (function(x, m) ** 2).sum(), (0, 1))(x, matrix)


def test_derivatives_of_all_modes_and_the_second_order():
    x, matrix = jax.random.normal(jax.random.key(0), (3, 4)), jnp.ones((4, 2)).at[0, 1].set(-2)
    check_grads(lambda x, m: jnp.sin(exact_dot(x, m)), (x, matrix), order=2, atol=0.03, rtol=0.03)
    for rows in (x, x[0], x[None, :, None]):
        plain, ours = (gradients(f, rows, matrix) for f in (full, product))
        for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(ours)):
            np.testing.assert_allclose(a, b, rtol=1e-6)
    together = jax.vmap(product, (0, None))(x, matrix)
    np.testing.assert_allclose(together, product(x, matrix), rtol=1e-6)


def test_shards_may_share_the_matrix():
    """The gradient of a matrix that all devices hold is the sum over the devices."""
    mesh = jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",))
    rows, whole = jax.P("data"), jax.P()
    x, matrix = jax.random.normal(jax.random.key(0), (4, 3)), jnp.eye(3)[:, :2]

    def loss(x, matrix):
        return jax.grad(lambda m: jax.lax.psum((product(x, m) ** 2).sum(), "data"))(matrix)

    found = jax.shard_map(loss, mesh=mesh, in_specs=(rows, whole), out_specs=whole)(x, matrix)
    np.testing.assert_allclose(found, 2 * x.T @ x @ matrix, rtol=1e-5)
