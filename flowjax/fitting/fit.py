"""Function `fit`, which trains a flow on arrays by maximum likelihood."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from flowjax import training
from flowjax.fitting import advice
from flowjax.fitting.length import training_steps
from flowjax.fitting.likelihood import finished_nll, measure
from flowjax.fitting.passes import finish_params, init_params, trained_part
from flowjax.fitting.rows import held_out, rows_of
from flowjax.fitting.validation import Record
from flowjax.parallel import devices as machines
from flowjax.parallel import processes
from flowjax.training.checkpoint import saved_steps
from flowjax.types import Array, Flow, FlowjaxError, Params, PRNGKey, trainable_mask


class FitResult(NamedTuple):
    """Result of `fit`.

    Attributes:
        params: parameters of the flow with the best validation, or the last parameters if there
            was no validation.
        metrics: about a hundred dicts, each with means over the steps since the previous dict:
            `step`, `nll_nats`, `bits_per_dim`, `log_det` and `log_base` (the two terms of the
            log-likelihood, in nats per example), `grad_norm`, `learning_rate` (of this step),
            `rows_per_s` (examples per second), and, after a validation, `validation_nll_nats` and
            `validation_bits_per_dim`. The means are those of the mini-batches and of the flow in
            training, without a closed form that comes last, such as the whitening of the latents
            of `glow`. The validation values include it.
        steps: number of training steps.
        likelihood: negative log-likelihood of the returned parameters and of a Gaussian on the
            same examples, see `likelihood.measure`; empty if `measured` was False.
    """

    params: Params
    metrics: list[dict[str, float]]
    steps: int
    likelihood: dict[str, float]


def nll_loss(flow: Flow) -> training.Loss:
    """Returns the loss of `fit`: the mean negative log-likelihood of a batch, in nats per example.

    Args:
        flow: flow to train.

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
        if flow.base is None:  # a hand-written flow
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
    measured: bool = True,
    on_step: Callable[[dict[str, float]], bool | None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> FitResult:
    """Fits a flow by maximum likelihood.

    A flow can be a worse density than a Gaussian: the default `glow` starts as a standardization
    and needs many steps to learn correlations. `flows.whitening_glow` with `validation` starts as
    the Gaussian and returns the parameters with the best validation, which includes the initial
    ones, so it is at least as good on the held-out examples. `patience` then ends the fit early.
    `FitResult.likelihood` has the likelihoods of the flow and of the Gaussian.

    Args:
        flow: flow from `flowjax.flows`, or a hand-written `Flow`.
        data: array of shape (n, d), a path to `.npy`, `.parquet` or an embedding store, or an
            `ArraySource`. Small arrays are kept on the devices; a large `.npy` is memory-mapped.
        key: JAX random key or an integer seed, for the parameters and the batches.
        batch_size: number of examples per step, over all devices.
        steps: number of steps. Give `steps` or `epochs` or neither: then the fit is one pass over
            the data long, but at least 1,000 steps, see `length.training_steps`.
        epochs: number of passes over the data; can be a fraction.
        optimizer: any optax transformation; None means `flowjax.training.default_optimizer()`.
        context: conditioning vectors, shape (n, c), for a conditional flow.
        validation: validation examples, shape (m, d), in any form that `data` accepts; or the
            fraction of the data, between 0 and 1, to hold out.
        validation_context: context of the validation examples, shape (m, c).
        validate_every: number of steps between validations; None means a twentieth of the run.
        patience: number of validations without improvement after which the run stops early; None
            means no early stopping.
        devices: devices, or their number; None means all.
        mapping: "shard_map" or "pmap"; the results are the same.
        accumulate: gradient-accumulation steps per device.
        precision: precision of the conditioners' matrix products during training: "float32",
            "bfloat16" or "tf32". All other computations are float32.
        checkpoint_dir: folder of the checkpoints. An interrupted run in this folder resumes,
            including its best validation and the number of validations since then.
        checkpoint_every: number of steps between checkpoints.
        keep: number of checkpoints to keep.
        resume: False raises an error if the folder has checkpoints.
        measured: False skips the measurement of `FitResult.likelihood` and the warning that
            depends on it.
        on_step: function called with each dict of metrics; the run ends if it returns True.
        stop: function called after each dispatch; if it returns True, the state is saved and
            `training.Stopped` is raised.

    Returns:
        A `FitResult`. It has 0 steps for a flow without trainable parameters, such as whitening.

    Raises:
        FlowjaxError: The data has a wrong shape or is not finite, both `steps` and `epochs` are
            given, a number is out of range, `patience` is given without `validation`,
            the batch size is not a multiple of the number of devices, or the checkpoints belong to
            another flow, optimizer or validation.
        flowjax.training.NonFinite: A loss or gradient is not finite. The last finite state was
            saved before.

    Warns:
        UserWarning: The examples are too few or all equal, or the fitted flow is a worse density
            than a Gaussian.

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
    steps = training_steps(source.size, batch_size, steps=steps, epochs=epochs)
    _warn(advice.about_data(source))
    trained = trained_part(flow)
    params = init_params(trained, init_key, source)
    if not any(jax.tree.leaves(trainable_mask(params))):
        params = finish_params(flow, params, source)
        return FitResult(params, [], 0, measure(flow, params, source, held) if measured else {})
    record = Record(
        trained,
        params,
        steps=steps,
        batch_size=batch_size,
        held_nll=None if held is None else finished_nll(flow, source, held),
        every=validate_every or max(1, steps // 20),
        patience=patience,
        on_step=on_step,
    )
    optimizer = training.freeze(optimizer or training.default_optimizer(), params)
    state = training.init_state(params, optimizer)

    with _open(checkpoint_dir, trained, keep, resume) as checkpoints:
        if checkpoints and (found := checkpoints.restore(record.saved(state))):
            state = record.restored(found[1])
            if record.ended:  # a run that stopped early stays stopped when `fit` is called again
                steps = int(state.step)
        else:
            record.validate(jax.tree.map(np.asarray, params))
        state = training.train(
            nll_loss(trained),
            optimizer,
            state,
            source,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            mesh=machines.make_mesh(devices),
            mapping=mapping,
            accumulate=accumulate,
            precision=precision,
            checkpoints=checkpoints,
            checkpoint_every=checkpoint_every,
            saved=record.saved,
            on_chunk=record.on_chunk,
            every=record.every,
            stop=stop,
        )
    last = machines.to_host(state)
    params = finish_params(flow, record.chosen(last.params), source)
    likelihood = measure(flow, params, source, held) if measured else {}
    if likelihood and source.size > source.dim:  # fewer examples are warned about above
        _warn(advice.about_likelihood(flow.name, likelihood))
    return FitResult(params, record.metrics, int(last.step), likelihood)


def _warn(text: str | None) -> None:
    """Warns the caller of `fit`, once in a job of several processes."""
    if text and processes.is_first():
        warnings.warn(text, UserWarning, stacklevel=3)


def _open(
    folder: str | Path | None, flow: Flow, keep: int, resume: bool
) -> AbstractContextManager[training.Checkpoints | None]:
    """Returns a context manager of the checkpoints of a fit, or of None without a folder.

    Only a flow with the same layers can resume the fit.
    """
    if folder is None:
        return nullcontext()
    about = "\n".join([f"{flow.name}: dim {flow.dim}", *flow.layers])
    if not resume and saved_steps(folder):
        raise FlowjaxError(
            "checkpoint_dir: expected a folder without checkpoints because of resume=False, got "
            f"{folder}"
        )
    return training.Checkpoints(folder, keep=keep, about=about)


def check_options(
    *, steps: int | None, epochs: float | None, validation: Any = None, **numbers: int | None
) -> None:
    """Raises FlowjaxError if an option of `fit` is out of range.

    The command line calls this function before it creates a run folder.

    Args:
        steps: number of steps; see `fit`.
        epochs: number of passes over the data; see `fit`.
        validation: validation examples or a fraction; `patience` requires it.
        **numbers: other options, such as `batch_size` and `patience`: integers of at least 1, or
            None.

    Example:
        >>> check_options(steps=10, epochs=None, batch_size=64)
    """
    if steps is not None and epochs is not None:
        raise FlowjaxError("fit: expected either steps or epochs, got both")
    if epochs is not None and not 0 < epochs < math.inf:
        raise FlowjaxError(f"epochs: expected a positive number, got {epochs}")
    for name, value in {"steps": steps, **numbers}.items():
        least = 0 if name == "steps" else 1
        try:
            fits = not isinstance(value, bool) and operator.index(value) >= least  # type: ignore[arg-type]
        except TypeError:
            fits = value is None
        if not fits:
            raise FlowjaxError(f"{name}: expected an integer of at least {least}, got {value}")
    if numbers.get("patience") is not None and validation is None:
        raise FlowjaxError("validation: expected a value if patience is given, got None")
