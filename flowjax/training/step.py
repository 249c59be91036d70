"""The pure training step of one device, which runs many batches per call.

`devices.data_parallel` maps the step over the devices; `training.train` calls it.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from flowjax.errors import FlowjaxError
from flowjax.literals import Precision as Precision
from flowjax.parallel import devices
from flowjax.training.adapted import adapted, extra_arguments
from flowjax.training.optimizers import global_norm
from flowjax.types import trainable_mask

Array = jax.Array
# Names in jax.default_matmul_precision, which `bijectors.products.policy_dot` reads.
PRECISIONS = {"float32": "float32", "bfloat16": "bfloat16", "tf32": "tensorfloat32"}


class Loss(Protocol):
    """Loss function of a batch."""

    def __call__(
        self, params: Any, resident: Any, batch: Any, key: Array, /
    ) -> tuple[Array, dict[str, Array]]:
        """Returns the mean loss of the examples in `batch`, and scalar metrics by name.

        Args:
            params: parameters.
            resident: arrays of the source that stay on the device, or None.
            batch: dict of arrays: `"rows"`, the row indices of the examples, and the arrays that
                the source reads.
            key: JAX key of the step.
        """
        ...


class TrainState(NamedTuple):
    """State of a training run.

    Attributes:
        step: number of finished batches.
        params: parameters.
        opt_state: state of the optimizer.
    """

    step: Array
    params: Any
    opt_state: Any


def init_state(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state at step 0.

    Args:
        params: parameters; the state has copies of them, because a step frees its buffers.
        optimizer: optax transformation.

    Returns:
        The state before the first step.

    Raises:
        FlowjaxError: The `init` of the optimizer fails.

    Example:
        >>> int(init_state({"w": jnp.zeros(3)}, optax.adam(1e-3)).step)
        0
    """
    state = TrainState(jnp.zeros((), jnp.int32), params, adapted(optimizer).init(params))
    copied: TrainState = jax.tree.map(lambda x: jnp.array(x, copy=True), state)
    return copied


def make_step(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    accumulate: int = 1,
    precision: Precision | None = None,
    assemble: Callable[[Any, Any], Any] | None = None,
) -> Callable[[TrainState, Any, Any], tuple[TrainState, dict[str, Array]]]:
    """Returns the step of one device, which runs many batches per call.

    Args:
        loss: loss function, see `Loss`.
        optimizer: optax transformation. If its `update` takes extra arguments, it is passed
            `value`, `grad`, `value_fn` and the other arguments that optimizers of optax need, and
            `grad_norm`, the global norm of the gradients.
        seed: integer seed of the run; the key passed to the loss depends only on the seed and the
            step, and is the same on all devices.
        accumulate: number of micro-batches per device over which gradients are accumulated.
        precision: precision of the conditioners' matrix products, gradients included:
            `"float32"`, `"bfloat16"` (rounded factors, float32 sums) or `"tf32"` (float32 on
            devices without TF32). Log-determinants, sums and linear bijectors stay float32. None
            keeps the setting of JAX.
        assemble: function `(resident, batches) -> batches` that is called once, before the loop
            over the batches; the loss then gets None as the resident arrays. Default: the loss
            selects the rows of each batch.

    Returns:
        `step(state, (resident, n), batches) -> (state, metrics)`, which runs the first `n` of
        the stacked `batches` and stops before the first batch whose loss or gradient is not
        finite. Metrics are arrays with one value per batch, and two integers: `done`, the number
        of finished batches, and `ran`, which also counts a batch that was not finite. A learning
        rate in the optimizer's state (`optax.inject_hyperparams`) is one of the metrics.

    Raises:
        FlowjaxError: `precision` is unknown.

    Example:
        A hand-written training loop on all devices, with five batches per call:

        >>> import numpy as np
        >>> from flowjax import flows, training
        >>> x = np.random.default_rng(0).normal(size=(320, 2)).astype(np.float32)
        >>> flow = flows.realnvp(2, depth=2, width=8)
        >>> params = flow.init(jax.random.key(0), x)
        >>> def loss(params, resident, batch, key):
        ...     log_prob = flow.log_prob(params, batch["x"])
        ...     return -log_prob.mean(), {"worst": log_prob.min()}
        >>> optimizer = training.freeze(training.default_optimizer(1e-2), params)
        >>> step = training.make_step(loss, optimizer, seed=0)
        >>> call = devices.data_parallel(step, devices.make_mesh())
        >>> state, rng = training.init_state(params, optimizer), np.random.default_rng(1)
        >>> for epoch in range(4):
        ...     batches = {"x": rng.permutation(x).reshape(5, 64, 2)}
        ...     state, metrics = call(state, (None, 5), batches)
        ...     assert metrics["done"] == 5, "a loss or gradient is not finite"
        >>> int(state.step), metrics["loss"].shape, metrics["worst"].shape
        (20, (5,), (5,))
        >>> fitted = devices.to_host(state.params)
    """
    if precision is not None and precision not in PRECISIONS:
        raise FlowjaxError(
            f"precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}"
        )
    grad = jax.value_and_grad(loss, has_aux=True)
    optimizer = adapted(optimizer)

    def part_means(f: Any, params: Any, resident: Any, batch: Any, key: Array) -> Any:
        """Returns the mean of `f` over the micro-batches."""
        if accumulate == 1:
            return f(params, resident, batch, key)
        parts = jax.tree.map(lambda x: x.reshape(accumulate, -1, *x.shape[1:]), batch)
        return jax.tree.map(
            lambda x: x.mean(0), jax.lax.map(lambda b: f(params, resident, b, key), parts)
        )

    # One trace gives the shapes of the metrics and the body of the loop.
    @partial(jax.jit, inline=True)
    def one(state: TrainState, resident: Any, batch: Any) -> tuple[TrainState, Any, Array]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        with jax.default_matmul_precision(PRECISIONS[precision]) if precision else nullcontext():
            local = part_means(grad, state.params, resident, batch, key)
        (value, aux), grads = _mean(local, state.params)
        norm = global_norm(grads)
        ok = jnp.isfinite(value) & jnp.isfinite(norm)

        def value_fn(params: Any) -> Array:
            # The gradient of the inner mean, over equal params, is the mean of the gradients.
            value, _ = part_means(loss, devices.mean(params), resident, batch, key)
            mean: Array = devices.mean(value)
            return mean

        def updated(state: TrainState, grads: Any) -> TrainState:
            extra = extra_arguments(value, grads, norm, value_fn)
            updates, opt_state = optimizer.update(grads, state.opt_state, state.params, **extra)
            params = optax.apply_updates(state.params, updates)
            return TrainState(state.step + 1, params, opt_state)

        # With `where`, XLA would copy the whole state in every step (benchmarks/scale.md).
        state = jax.lax.cond(ok, updated, lambda state, _: state, state, grads)
        return state, {"loss": value, "grad_norm": norm, **_rate(state.opt_state), **aux}, ok

    def step(
        state: TrainState, resident: tuple[Any, Array], batches: Any
    ) -> tuple[TrainState, dict[str, Array]]:
        data, n = resident
        if assemble is not None and data is not None:
            batches, data = assemble(data, batches), None
        length = jax.tree.leaves(batches)[0].shape[0]

        def body(carry: Any) -> Any:
            i, state, log, _ = carry
            batch = jax.tree.map(lambda x: x[i], batches)
            state, metrics, ok = one(state, data, batch)
            put = partial(jax.lax.dynamic_update_index_in_dim, index=i, axis=0)
            return i + 1, state, jax.tree.map(put, log, metrics), ok

        first = jax.tree.map(lambda x: x[0], batches)
        shapes = jax.eval_shape(one, state, data, first)[1]
        log = jax.tree.map(lambda m: jnp.zeros((length, *m.shape), m.dtype), shapes)
        start = (jnp.zeros((), jnp.int32), state, log, jnp.array(True))
        i, state, log, ok = jax.lax.while_loop(lambda c: (c[0] < n) & c[3], body, start)
        return state, {**log, "done": i - (~ok).astype(jnp.int32), "ran": i}

    return step


def _mean(local: Any, params: Any) -> Any:
    """Returns the mean of loss, metrics and gradients over all devices.

    The gradients of frozen leaves are zeros, which are not sent.
    """
    values, grads = local
    leaves, structure = jax.tree.flatten(grads)
    trains = jax.tree.leaves(trainable_mask(params))
    sent = [leaf for leaf, trained in zip(leaves, trains, strict=True) if trained]
    values, sent = devices.mean((values, sent))
    means = iter(sent)
    whole = [
        next(means) if trained else jnp.zeros_like(leaf)
        for leaf, trained in zip(leaves, trains, strict=True)
    ]
    return values, jax.tree.unflatten(structure, whole)


def _rate(opt_state: Any) -> dict[str, Array]:
    """Returns the learning rate, if the optimizer's state has exactly one value of that name."""
    found = optax.tree_utils.tree_get_all_with_path(
        opt_state, "learning_rate", filtering=lambda _, value: isinstance(value, jax.Array)
    )
    return {"learning_rate": found[0][1]} if len(found) == 1 else {}
