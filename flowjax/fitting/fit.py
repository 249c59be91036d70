"""Function `fit`, which trains a flow on arrays by maximum likelihood."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import jax
import numpy as np
import optax

from flowjax import training
from flowjax.bijectors.moments import Moments
from flowjax.data.arrays import ArraySource
from flowjax.errors import warn
from flowjax.fitting import advice
from flowjax.fitting.length import training_steps
from flowjax.fitting.likelihood import finished_nll, measure
from flowjax.fitting.losses import UserLoss, nll_loss, rows_of_batch, user_loss
from flowjax.fitting.options import batch_size_for, check_options
from flowjax.fitting.passes import finish_params, init_params, trained_part
from flowjax.fitting.result import FitResult
from flowjax.fitting.rows import about_columns, held_out, rows_of
from flowjax.fitting.start import given_params, random_key
from flowjax.fitting.validation import Record
from flowjax.parallel import devices as machines
from flowjax.parallel import processes
from flowjax.progress import track_steps
from flowjax.training.checkpoint import saved_steps
from flowjax.training.identity import arrays_digest, source_identity
from flowjax.types import Flow, FlowjaxError, Params, PRNGKey, trainable_mask


def fit(
    flow: Flow,
    data: Any,
    *,
    key: PRNGKey | int,
    batch_size: int | None = None,
    steps: int | None = None,
    epochs: float | None = None,
    optimizer: optax.GradientTransformation | optax.ScalarOrSchedule | None = None,
    loss: UserLoss | None = None,
    params: Params | None = None,
    context: Any = None,
    weights: Any = None,
    validation: Any = None,
    validation_context: Any = None,
    validation_weights: Any = None,
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
    show_progress_bar: bool | None = None,
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
        data: array of shape (n, d); the path of a `.npy`, `.parquet` or `.safetensors` file or an
            embedding store; or an `ArraySource`. Small arrays are kept on the devices; a
            large `.npy` is memory-mapped. Computations are in float32, or in float64 if the data
            is float64 and x64 is enabled.
        key: JAX random key or an integer seed, for the parameters and the batches.
        batch_size: number of examples per step, over all devices. None means 256, or the next
            multiple of the devices and micro-batches.
        steps: number of steps. Give `steps` or `epochs` or neither: then the fit is one pass over
            the data long, but at least 1,000 steps, see `length.training_steps`.
        epochs: number of passes over the data; can be a fraction.
        optimizer: any optax transformation; or the learning rate, a number or a schedule, of
            `flowjax.training.default_optimizer`, which None means too.
        loss: function `loss(flow, params, x, key) -> scalar` that is minimised instead of the
            negative log-likelihood: its mean over the batch `x`, shape (batch, d). `flow` is the
            flow without a closed form that comes last, such as the whitening of the latents of
            `glow`, and this closed form stays the identity. With `context` and `weights`, the
            loss also gets the keyword arguments `context`, shape (batch, c), and `weights`, shape
            (batch,), which have a mean of 1 over all examples; the loss must apply the weights.
            `key` differs from step to step, and is the same on all devices. The metrics have
            `loss` instead of `nll_nats`. Validations still measure the log-likelihood.
        params: parameters with which the training starts (warm start), such as those of a
            `FitResult`; `flow.init` is not called. Frozen parameters stay as they are.
        context: conditioning vectors, shape (n, c), for a conditional flow.
        weights: weights of the examples in the log-likelihood, shape (n,): at least 0 and not all
            0. Only their ratios matter; an example of weight 2 counts as two examples. They
            apply to closed forms, moments, the training, and a held-out fraction as well.
        validation: validation examples, shape (m, d), in any form that `data` accepts; or the
            fraction of the data, between 0 and 1, to hold out.
        validation_context: context of the validation examples, shape (m, c).
        validation_weights: weights of the validation examples, shape (m,).
        validate_every: number of steps between validations; None means a twentieth of the run.
        patience: number of validations without improvement after which the run stops early; None
            means no early stopping.
        devices: devices, or their number; None means all.
        mapping: "shard_map" or "pmap"; the results are the same.
        accumulate: gradient-accumulation steps per device.
        precision: precision of the conditioners' matrix products during training: "float32",
            "bfloat16" or "tf32". All other computations are float32.
        checkpoint_dir: folder of the checkpoints. An interrupted run in this folder resumes,
            including its best validation and the number of validations since then. A run with
            another key, batch size, flow or other examples is an error.
        checkpoint_every: number of steps between checkpoints.
        keep: number of checkpoints to keep.
        resume: False raises an error if the folder has checkpoints.
        measured: False skips the measurement of `FitResult.likelihood` and the warning that
            depends on it.
        on_step: function called with each dict of metrics; the run ends if it returns True.
        show_progress_bar: True shows a progress bar; None shows the bar after two seconds, on a
            terminal and in Jupyter only.
        stop: function called after each dispatch; if it returns True, the state is saved and
            `training.Stopped` is raised.

    Returns:
        A `FitResult`. It has 0 steps for a flow without trainable parameters, such as whitening.

    Raises:
        FlowjaxError: The data has a wrong shape or is not finite, both `steps` and `epochs` are
            given, a number is out of range, `patience` is given without `validation`, the batch
            size is not a multiple of the number of devices, `params` has another structure, the
            optimizer or the loss fails, or the checkpoints belong to another run.
        flowjax.training.NonFinite: A loss or gradient is not finite. The error has the parameters
            of the best validation or, without one, of the last finite loss.

    Warns:
        UserWarning: The examples are too few or all equal, a column has outliers, does not vary,
            has few distinct values or loses them in float32, or the fitted flow is a worse
            density than a Gaussian.

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
        keep=keep,
    )
    key, optimizer = random_key(key), training.optimizer_from(optimizer)
    mesh = machines.make_mesh(devices)
    batch_size = batch_size or batch_size_for(mesh.size, accumulate)
    whole = rows_of(data, context, flow.dim, weights=weights)
    init_key, seed_key = jax.random.split(key)
    seed = int(jax.random.bits(seed_key, dtype=np.uint32))
    source, held = held_out(whole, validation, validation_context, seed, validation_weights)
    steps = training_steps(source.size, batch_size, steps=steps, epochs=epochs)
    texts = [advice.about_data(source), *about_columns(whole)]
    if held is not None and source is whole:
        texts += about_columns(held, discrete=False)
    for text in texts:
        _warn(text)
    run = training.run_identity(whole, key=key, batch_size=batch_size)
    run |= {} if held is None else source_identity(held, "validation")
    run |= {"loss": getattr(loss, "__qualname__", str(type(loss)))} if loss else {}
    trained = trained_part(flow)
    if params is None:
        params = init_params(trained, init_key, source)
    else:
        params = given_params(flow, params, source)
        run["params"] = arrays_digest(params)
    finish = _finishing(flow, source, whitens=loss is None)
    if not any(jax.tree.leaves(trainable_mask(params))):
        params = finish(params)
        return FitResult(params, [], 0, measure(flow, params, source, held) if measured else {})
    validated = trained if loss else flow
    record = Record(
        trained,
        params,
        steps=steps,
        batch_size=batch_size,
        held_nll=None if held is None else finished_nll(validated, source, held),
        every=validate_every or max(1, steps // 20),
        patience=patience,
        on_step=None,
        is_nll=loss is None,
    )
    optimizer = training.freeze(optimizer, params)
    state = training.init_state(params, optimizer)

    with (
        _last_params(record, finish),
        _open(checkpoint_dir, trained, run, keep, resume) as checkpoints,
        track_steps(
            "fitting", steps, _note, show_progress_bar=show_progress_bar, on_step=on_step
        ) as record.on_step,
    ):
        if checkpoints and (found := checkpoints.restore(record.saved(state))):
            state = record.restored(found[1])
            if record.ended:  # a run that stopped early stays stopped when `fit` is called again
                steps = int(state.step)
        else:
            record.validate(jax.tree.map(np.asarray, params))
        state = training.train(
            nll_loss(trained) if loss is None else user_loss(trained, loss),
            optimizer,
            state,
            source,
            steps=steps,
            batch_size=batch_size,
            seed=seed,
            mesh=mesh,
            mapping=mapping,
            accumulate=accumulate,
            precision=precision,
            checkpoints=checkpoints,
            checkpoint_every=checkpoint_every,
            saved=record.saved,
            on_chunk=record.on_chunk,
            every=record.every,
            stop=stop,
            assemble=rows_of_batch,
        )
    last = machines.to_host(state)
    params = finish(record.chosen(last.params))
    likelihood = measure(flow, params, source, held) if measured else {}
    if (
        likelihood and loss is None and source.size > source.dim
    ):  # fewer examples are warned about above
        _warn(advice.about_likelihood(flow.name, likelihood))
    return FitResult(params, record.metrics, int(last.step), likelihood)


def _note(row: dict[str, float]) -> str:
    """Returns the text after the progress bar."""
    return f"{row['bits_per_dim']:.4f} bits/dim" if "bits_per_dim" in row else f"{row['loss']:.4f}"


def _warn(text: str | None) -> None:
    """Warns the caller of `fit`, once in a job of several processes."""
    if text and processes.is_first():
        warn(text)


def _finishing(flow: Flow, source: ArraySource, whitens: bool) -> Callable[[Params], Params]:
    """Returns the function from trained params to the params of the result.

    Args:
        flow: flow that is fitted.
        source: training examples.
        whitens: False sets a closed form that comes last to the identity.
    """

    def finish(params: Params) -> Params:
        inner = trained_part(flow)
        if whitens or inner is flow or flow.closed_form is None:
            return finish_params(flow, params, source)
        dim = inner.latent_dim or inner.dim
        unit = Moments(1, np.zeros(dim), np.eye(dim))
        return jax.tree.map(np.asarray, flow.closed_form.set(params, unit))

    return finish


@contextmanager
def _last_params(record: Record, finish: Callable[[Params], Params]) -> Iterator[None]:
    """Completes the params of an interrupted run, which its exception holds."""
    try:
        yield
    except (training.NonFinite, training.Stopped) as error:
        error.params = finish(record.chosen(error.params))
        raise


def _open(
    folder: str | Path | None, flow: Flow, run: dict[str, str], keep: int, resume: bool
) -> AbstractContextManager[training.Checkpoints | None]:
    """Returns a context manager of the checkpoints of a fit, or of None without a folder.

    Only the same run of a flow with the same layers can resume.
    """
    if folder is None:
        return nullcontext()
    about = "\n".join([f"{flow.name}: dim {flow.dim}", *flow.layers])
    if not resume and saved_steps(folder):
        raise FlowjaxError(
            "checkpoint_dir: expected a folder without checkpoints because of resume=False, got "
            f"{folder}"
        )
    return training.Checkpoints(folder, keep=keep, about=about, run=run)
