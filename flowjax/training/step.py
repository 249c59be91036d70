"""The pure training step: many batches on one device, up to the first that is not finite.

`training.train` runs it in dispatches; `devices.data_parallel` maps it over devices.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from flowjax.parallel import devices
from flowjax.training.optimizers import global_norm

Array = jax.Array
Loss = Callable[[Any, Any, Any, Array], tuple[Array, dict[str, Array]]]
Precision = Literal["float32", "bfloat16", "tf32"]
# What jax.default_matmul_precision calls them; `bijectors.products.policy_dot` reads it.
PRECISIONS = {"float32": "float32", "bfloat16": "bfloat16", "tf32": "tensorfloat32"}


class TrainState(NamedTuple):
    """All that the loop needs to go on: the step counts finished batches."""

    step: Array
    params: Any
    opt_state: Any


def init_state(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state at step 0.

    Example:
        >>> int(init_state({"w": jnp.zeros(3)}, optax.adam(1e-3)).step)
        0
    """
    return TrainState(jnp.zeros((), jnp.int32), params, optimizer.init(params))


def make_step(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    accumulate: int = 1,
    precision: Precision | None = None,
) -> Callable[[TrainState, Any, Any], tuple[TrainState, dict[str, Array]]]:
    """Builds the per-device step that runs many batches.

    Args:
        loss: `loss(params, resident, batch, key) -> (mean loss of this share, metrics)`; `batch`
            has `"rows"`, the data set's row numbers, besides what the source reads.
        optimizer: any optax transformation; its update is handed `grad_norm`, if it takes extra
            arguments (as `optimizers.clip_by_global_norm` does).
        seed: of the run; the key handed to the loss is a function of (seed, step) alone, the same
            on all devices.
        accumulate: a share is worked through in this many parts, one after the other.
        precision: of the nets' matrix products, gradients included: `"float32"`, `"bfloat16"`
            (factors rounded, sums float32) or `"tf32"` (where the device has it, else float32).
            Sums, log_det and the maps that must invert stay float32. None leaves JAX's setting.

    Returns:
        `step(state, (resident, n), batches)`, which runs the first `n` of the batches stacked in
        `batches` and stops before the first whose loss or gradient is not finite. Metrics are
        `(k,)` arrays; `done` tells how many steps were finished. A learning rate that the
        optimizer keeps in its state (`optax.inject_hyperparams`) is among them.

    Raises:
        ValueError: an unknown precision.

    Example:
        >>> def loss(params, resident, batch, key):
        ...     return jnp.square(params - batch["x"]).mean(), {}
        >>> sgd = optax.sgd(0.25)
        >>> call = devices.data_parallel(make_step(loss, sgd, seed=0), devices.make_mesh(1))
        >>> batches = {"rows": jnp.zeros((3, 2)), "x": jnp.ones((3, 2))}
        >>> state, metrics = call(init_state(jnp.zeros(()), sgd), (None, jnp.int32(2)), batches)
        >>> int(state.step), float(state.params), int(metrics["done"])
        (2, 0.75, 2)
    """
    if precision is not None and precision not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}")
    grad = jax.value_and_grad(loss, has_aux=True)
    optimizer = optax.with_extra_args_support(optimizer)

    def gradient(params: Any, resident: Any, batch: Any, key: Array) -> tuple[Any, Any]:
        if accumulate == 1:
            return grad(params, resident, batch, key)
        parts = jax.tree.map(lambda x: x.reshape(accumulate, -1, *x.shape[1:]), batch)
        return jax.tree.map(
            lambda x: x.mean(0), jax.lax.map(lambda b: grad(params, resident, b, key), parts)
        )

    def one(state: TrainState, resident: Any, batch: Any) -> tuple[TrainState, Any, Array]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        policy = (
            jax.default_matmul_precision(PRECISIONS[precision]) if precision else nullcontext()
        )
        with policy:
            share = gradient(state.params, resident, batch, key)
        (value, aux), grads = devices.mean(share)
        norm = global_norm(grads)
        ok = jnp.isfinite(value) & jnp.isfinite(norm)

        def updated(state: TrainState, grads: Any) -> TrainState:
            updates, opt_state = optimizer.update(
                grads, state.opt_state, state.params, grad_norm=norm
            )
            params = optax.apply_updates(state.params, updates)
            return TrainState(state.step + 1, params, opt_state)

        # a branch, not a `where` over the state: XLA would then copy it whole in every step
        state = jax.lax.cond(ok, updated, lambda state, _: state, state, grads)
        return state, {"loss": value, "grad_norm": norm, **_rate(state.opt_state), **aux}, ok

    def step(
        state: TrainState, resident: tuple[Any, Array], batches: Any
    ) -> tuple[TrainState, dict[str, Array]]:
        data, n = resident
        length = jax.tree.leaves(batches)[0].shape[0]

        def body(carry: Any) -> Any:
            i, state, log, _ = carry
            batch = jax.tree.map(lambda x: x[i], batches)
            state, metrics, ok = one(state, data, batch)
            return i + 1, state, jax.tree.map(lambda b, m: b.at[i].set(m), log, metrics), ok

        first = jax.tree.map(lambda x: x[0], batches)
        shapes = jax.eval_shape(lambda s, d, b: one(s, d, b)[1], state, data, first)
        log = jax.tree.map(lambda m: jnp.zeros((length, *m.shape), m.dtype), shapes)
        start = (jnp.zeros((), jnp.int32), state, log, jnp.array(True))
        i, state, log, ok = jax.lax.while_loop(lambda c: (c[0] < n) & c[3], body, start)
        return state, {**log, "done": i - (~ok).astype(jnp.int32), "ran": i}

    return step


def _rate(opt_state: Any) -> dict[str, Array]:
    """The learning rate of the step, where the optimizer's state has one number of that name."""
    found = optax.tree_utils.tree_get_all_with_path(
        opt_state, "learning_rate", filtering=lambda _, value: isinstance(value, jax.Array)
    )
    return {"learning_rate": found[0][1]} if len(found) == 1 else {}
