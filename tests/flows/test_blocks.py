"""Evaluation in blocks gives the same numbers and derivatives as evaluation at once."""

from __future__ import annotations

import jax
import jax.export
import numpy as np
import pytest

from flowjax import flows
from flowjax.flows import blocks

N, DIM = 23, 4  # five blocks of five examples; the last block repeats two


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 4 * DIM)


def flow_and_rows(context=None):
    flow = flows.realnvp(DIM, depth=2, width=8)
    x = jax.random.normal(jax.random.key(0), (N, DIM))
    first = None if context is None else np.broadcast_to(context, (N, context.shape[-1]))
    params = flow.init(jax.random.key(1), x, first)
    noise = lambda leaf: leaf + 0.1 * jax.random.normal(jax.random.key(2), leaf.shape)  # noqa: E731
    return flow, jax.tree.map(noise, params), x


def is_looped(f, *args):
    return " scan[" in str(jax.make_jaxpr(f)(*args))


@pytest.mark.parametrize("width", [None, (2,), (N, 2)])
def test_blocks_change_the_program_and_not_the_numbers(width):
    context = None if width is None else jax.random.normal(jax.random.key(3), width)
    flow, params, x = flow_and_rows(context)
    for f in (flow.forward, flow.inverse, flow.log_prob):
        assert is_looped(f, params, x, context)
        got, want = jax.jit(f)(params, x, context), f(params, x, context)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), got, want)


def test_samples_are_drawn_in_blocks():
    flow, params, _ = flow_and_rows()
    draw = lambda params, key: flow.sample(params, key, N)  # noqa: E731
    key = jax.random.key(4)
    assert is_looped(draw, params, key)
    np.testing.assert_allclose(jax.jit(draw)(params, key), draw(params, key), atol=1e-5)


def test_derivatives_are_equal_to_those_without_blocks(monkeypatch):
    flow, params, x = flow_and_rows()

    def loss(params, x):
        return -flow.log_prob(params, x).mean()

    def second(params, x):
        return jax.jvp(lambda p: jax.grad(loss)(p, x), (params,), (params,))[1]

    derivatives = {
        "params": jax.value_and_grad(loss),
        "both": jax.grad(loss, argnums=(0, 1)),
        "forward mode": lambda p, x: jax.jvp(lambda x: loss(p, x), (x,), (x,)),
        "second": second,
    }
    got = {}
    for name, f in derivatives.items():
        assert is_looped(f, params, x), name
        got[name] = jax.jit(f)(params, x)
    monkeypatch.setattr(blocks, "BLOCK", 1 << 19)
    for name, f in derivatives.items():
        want = jax.jit(f)(params, x)
        for a, b in zip(*map(jax.tree.leaves, (got[name], want)), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5, err_msg=name)


def test_few_examples_and_calls_outside_of_jit_are_evaluated_at_once(monkeypatch):
    flow, params, x = flow_and_rows()
    assert not is_looped(flow.log_prob, params, x[:7])
    monkeypatch.setattr(jax.lax, "map", None)  # outside of jit, each call would compile the loop
    assert flow.log_prob(params, x).shape == (N,)


def test_a_symbolic_number_of_examples_is_evaluated_at_once():
    flow, params, x = flow_and_rows()
    (rows,) = jax.export.symbolic_shape("rows")
    exported = jax.export.export(jax.jit(flow.log_prob))(
        params, jax.ShapeDtypeStruct((rows, DIM), x.dtype)
    )
    np.testing.assert_allclose(exported.call(params, x), flow.log_prob(params, x), atol=1e-5)


def test_a_context_may_be_a_list():
    context = np.ones((N, 2)).tolist()
    flow, params, x = flow_and_rows(np.ones((N, 2), np.float32))
    whole = flow.log_prob(params, x, context)
    np.testing.assert_allclose(
        jax.jit(lambda p, x: flow.log_prob(p, x, context))(params, x), whole, atol=1e-5
    )
