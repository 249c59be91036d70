"""Tests of `pool_packed` with one sentence per row: every pooling equals plain NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjax.encoder.pooling import POOLINGS, layers_of, pool_packed
from flowjax.errors import FlowjaxError

RANDOM = np.random.default_rng(0)
STATES = RANDOM.standard_normal((4, 3, 5, 6)).astype(np.float32)  # embeddings and 3 layers
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])


def pool(states, mask, pooling):
    return pool_packed(states, jnp.asarray(mask, int), pooling, slots=1)[:, 0]


def masked_mean(state):
    return np.stack([row[m > 0].mean(0) for row, m in zip(state, MASK, strict=True)])


EXPECTED = {
    "cls": STATES[3][:, 0],
    "pooler": STATES[3][:, 0],  # the input of the pooler
    "mean": masked_mean(STATES[3]),
    "last2": masked_mean((STATES[3] + STATES[2]) / 2),
    "first_last": masked_mean((STATES[1] + STATES[3]) / 2),
    "embeddings_last": masked_mean((STATES[0] + STATES[3]) / 2),
}


def test_every_pooling_of_the_contract_is_here():
    assert set(EXPECTED) == set(POOLINGS)


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_pooling_equals_numpy(pooling, dtype):
    states = [STATES[3] if i == "pooler" else STATES[i] for i in layers_of(pooling)]
    vectors = pool([jnp.asarray(s, dtype) for s in states], MASK, pooling)
    assert vectors.dtype == jnp.float32
    limit = 1e-6 if dtype == jnp.float32 else 2e-2
    np.testing.assert_allclose(vectors, EXPECTED[pooling], rtol=0, atol=limit)


def test_a_row_without_tokens_gives_zeros():
    vectors = pool([jnp.asarray(STATES[3])], MASK * 0, "mean")
    np.testing.assert_array_equal(vectors, 0)


@given(st.integers(0, 4), st.floats(-1e30, 1e30))
def test_padding_never_counts(first, value):
    """Values at padding do not change the mean."""
    mask = np.arange(5)[None] <= first
    state = np.where(mask[..., None], STATES[3][:1], np.float32(value))
    got = pool([jnp.asarray(state)], mask, "mean")
    np.testing.assert_allclose(got[0], STATES[3][0, : first + 1].mean(0), rtol=0, atol=1e-6)


def test_an_unknown_pooling_is_an_error():
    for call in (layers_of, lambda name: pool([jnp.zeros((1, 1, 1))], jnp.ones((1, 1)), name)):
        with pytest.raises(
            FlowjaxError, match=r"pooling: expected one of cls, .*, got 'last2avg'"
        ):
            call("last2avg")
