"""`fit`: a flow on rows, by maximum likelihood, with the one training loop."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import optax

from flowjax import training
from flowjax.fitting.passes import finish_params, init_params
from flowjax.fitting.rows import held_out, rows_of
from flowjax.fitting.validation import Record
from flowjax.parallel import devices as machines
from flowjax.training.checkpoint import Checkpoints
from flowjax.training.optimizers import default_optimizer, freeze
from flowjax.types import Flow, FlowjaxError, Params, PRNGKey, trainable_mask

Array = jax.Array


class FitResult(NamedTuple):
    """What `fit` gives.

    Attributes:
        params: the flow's; with validation data those of the best validation, else the last.
        metrics: about a hundred dicts, means over the steps since the one before: `step`,
            `nll_nats`, `bits_per_dim`, `log_det` and `log_base` (the terms of the log-likelihood,
            nats a row), `grad_norm`, `learning_rate` (of that step), `rows_per_s`, and
            `validation_nll_nats` where it was measured.
        steps: how many were taken.
    """

    params: Params
    metrics: list[dict[str, float]]
    steps: int


def nll_loss(flow: Flow) -> training.Loss:
    """Returns the loop's loss: the mean negative log-likelihood of a batch's rows, in nats.

    Args:
        flow: to train.

    Returns:
        `loss(params, resident, batch, key) -> (loss, {"log_det": ..., "log_base": ...})`.

    Example:
        >>> import jax.numpy as jnp
        >>> from flowjax import flows
        >>> flow, x = flows.standardize(2), jnp.array([[-1.0, 0.0], [1.0, 2.0]])
        >>> loss, terms = nll_loss(flow)(flow.init(jax.random.key(0), x), None, {"x": x}, None)
        >>> round(float(loss), 4), round(float(terms["log_base"]), 4)  # log(2 pi) + 1
        (2.8379, -2.8379)
    """

    def loss(params: Params, resident: Any, batch: Any, key: Array) -> tuple[Array, dict]:
        rows = batch if resident is None else jax.tree.map(lambda a: a[batch["rows"]], resident)
        if flow.log_parts is None:
            return -flow.log_prob(params, rows["x"], rows.get("context")).mean(), {}
        log_base, log_det = flow.log_parts(params, rows["x"], rows.get("context"))
        terms = {"log_det": log_det.mean(), "log_base": log_base.mean()}
        return -(log_base + log_det).mean(), terms

    return loss


def fit(
    flow: Flow,
    data: Any,
    *,
    key: PRNGKey | int,
    batch_size: int = 256,
    steps: int | None = None,
    epochs: float | None = None,
    optimizer: optax.GradientTransformation | None = None,
    context: Any = None,
    validation: Any = None,
    validation_context: Any = None,
    validate_every: int | None = None,
    patience: int | None = None,
    devices: Any = None,
    mapping: machines.Mapping = "shard_map",
    accumulate: int = 1,
    precision: training.Precision = "float32",
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int = 1000,
    keep: int = 3,
    resume: bool = True,
    on_step: Callable[[dict[str, float]], bool | None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> FitResult:
    """Fits a flow by maximum likelihood.

    Args:
        flow: from `flowjax.flows`, or any `Flow`.
        data: `(n, d)` array, a path to `.npy`, `.parquet` or an embedding store, or an
            `ArraySource`. Small data stays on the devices; a large `.npy` is memory-mapped and
            read as it is needed.
        key: a PRNG key or an integer: of the parameters and the batches.
        batch_size: rows of a step, over all devices.
        steps: how many steps, or
        epochs: how often each row is seen, fractions too.
        optimizer: any optax transformation; `default_optimizer()` if left out.
        context: `(n, c)` beside the data, for a conditional flow.
        validation: `(m, d)` rows whose likelihood is measured on the way, in any form that data
            may have; or the share of the data (between 0 and 1) to keep aside for that.
        validation_context: `(m, c)`.
        validate_every: steps between validations; a twentieth of the run if left out.
        patience: ends the run after this many validations without a better one.
        devices: which ones, or how many; all if left out.
        mapping: `"shard_map"` or `"pmap"`: the same numbers.
        accumulate: parts a device's share of a batch is worked through in.
        precision: of the nets' matrix products while training: `"float32"`, `"bfloat16"` or
            `"tf32"`. Everything else, and what is done with the params later, is float32.
        checkpoint_dir: where to save; a run that was stopped there goes on, with the best
            params and the patience so far.
        checkpoint_every: steps between saves.
        keep: checkpoints kept.
        resume: False refuses a folder that has checkpoints.
        on_step: called with each of these dicts; True ends the run.
        stop: asked after each dispatch; True saves and raises `training.Stopped`.

    Returns:
        A `FitResult`. A flow without trainable parameters (whitening) takes no steps.

    Raises:
        ValueError: data of the wrong shape or not finite, both or neither of steps and epochs or
            one out of range, a patience without validation or below 1, a batch that does not
            divide over the devices, checkpoints of another model, optimizer or validation.
        flowjax.training.NonFinite: with the step, after saving the last good state.

    Example:
        >>> import jax, flowjax
        >>> x = jax.random.normal(jax.random.key(0), (256, 2)) * jax.numpy.array([1.0, 0.1])
        >>> flow = flowjax.flows.realnvp(2, depth=2, width=8)
        >>> result = flowjax.fit(flow, x, key=0, batch_size=64, steps=20)
        >>> result.steps, len(result.metrics) > 0
        (20, True)
    """
    check_options(
        steps=steps,
        epochs=epochs,
        validation=validation,
        batch_size=batch_size,
        accumulate=accumulate,
        patience=patience,
        validate_every=validate_every,
        checkpoint_every=checkpoint_every,
    )
    source = rows_of(data, context, flow.dim)
    key = key if isinstance(key, jax.Array) else jax.random.key(operator.index(key))
    init_key, seed_key = jax.random.split(key)
    seed = int(jax.random.bits(seed_key))
    source, held = held_out(source, validation, validation_context, seed)
    if steps is None:
        steps = max(1, round(float(epochs or 0) * source.size / batch_size))
    params = init_params(flow, init_key, source)
    if not any(jax.tree.leaves(trainable_mask(params))):
        return FitResult(params, [], 0)
    record = Record(
        flow,
        params,
        steps=steps,
        batch_size=batch_size,
        held=held,
        every=validate_every or max(1, steps // 20),
        patience=patience,
        on_step=on_step,
    )
    loop: dict[str, Any] = {
        "batch_size": batch_size,
        "seed": seed,
        "mesh": machines.make_mesh(devices),
        "mapping": mapping,
        "accumulate": accumulate,
        "precision": precision,
        "checkpoint_every": checkpoint_every,
        "saved": record.saved,
        "on_chunk": record.on_chunk,
        "every": record.every,
        "stop": stop,
    }
    optimizer = freeze(optimizer or default_optimizer(), params)
    state = training.init_state(params, optimizer)
    if checkpoint_dir is None:
        state = training.train(nll_loss(flow), optimizer, state, source, steps=steps, **loop)
    else:
        with Checkpoints(checkpoint_dir, keep=keep, about=_about(flow)) as checkpoints:
            if checkpoints.steps and not resume:
                raise FlowjaxError(
                    f"checkpoint_dir: {checkpoint_dir} has checkpoints already, expected none "
                    "with resume=False"
                )
            if found := checkpoints.restore(record.saved(state)):
                state = record.restored(found[1])
            state = training.train(
                nll_loss(flow),
                optimizer,
                state,
                source,
                # One that patience has ended goes no further when it is called again.
                steps=int(state.step) if record.ended else steps,
                checkpoints=checkpoints,
                **loop,
            )
    last = machines.to_host(state)
    params = finish_params(flow, record.chosen(last.params), source)
    return FitResult(params, record.metrics, int(last.step))


def check_options(
    *, steps: int | None, epochs: float | None, validation: Any = None, **numbers: int | None
) -> None:
    """Raises FlowjaxError for numbers that no fit can use; the command asks before it makes a run.

    Args:
        steps: as in `fit`, like all others.
        epochs: or this.
        validation: what a patience needs beside it.
        **numbers: `batch_size`, `patience` and the like, whole ones of at least 1, or None.

    Example:
        >>> check_options(steps=10, epochs=None, batch_size=64)
    """
    if (steps is None) == (epochs is None):
        raise FlowjaxError("fit: expected either steps or epochs, got both or neither")
    if epochs is not None and not 0 < epochs < math.inf:
        raise FlowjaxError(f"epochs: expected a positive number, got {epochs}")
    for name, value in {"steps": steps, **numbers}.items():
        least = 0 if name == "steps" else 1
        try:
            fits = not isinstance(value, bool) and operator.index(value) >= least  # type: ignore[arg-type]
        except TypeError:
            fits = value is None
        if not fits:
            raise FlowjaxError(f"{name}: expected a whole number of at least {least}, got {value}")
    if numbers.get("patience") is not None and validation is None:
        raise FlowjaxError("patience: expected validation beside it, got none")


def _about(flow: Flow) -> str:
    """What a checkpoint is of: the map and the density; what comes after training may differ."""
    return "\n".join([f"{flow.name}: dim {flow.dim}", *flow.layers])
