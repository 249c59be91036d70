"""Losses of `fit`: the negative log-likelihood, and losses of the user."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from flowjax import training
from flowjax.types import Array, Flow, FlowjaxError, Params

# Function `(flow, params, x, key) -> scalar`, see `fit`.
UserLoss = Callable[..., Array]


def nll_loss(flow: Flow) -> training.Loss:
    """Returns the loss of `fit`: the mean negative log-likelihood of a batch, in nats per example.

    If the examples have weights, the mean is weighted.

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

    def loss(
        params: Params, resident: Any, batch: Any, key: Array
    ) -> tuple[Array, dict[str, Any]]:
        rows = rows_of_batch(resident, batch)
        weight = rows.get("weight")
        if flow.base is None:  # a hand-written flow
            log_prob = flow.log_prob(params, rows["x"], rows.get("context"))
            return -weighted_mean(log_prob, weight), {}
        log_base, log_det = flow.log_parts(params, rows["x"], rows.get("context"))
        terms = {
            "log_det": weighted_mean(log_det, weight),
            "log_base": weighted_mean(log_base, weight),
        }
        return -weighted_mean(log_base + log_det, weight), terms

    return loss


def user_loss(flow: Flow, loss: UserLoss) -> training.Loss:
    """Returns a user's loss in the form that the training loop calls.

    Args:
        flow: flow to train, the first argument of the loss.
        loss: function `loss(flow, params, x, key) -> scalar`. If the examples have a context or
            weights, it gets the keyword arguments `context` and `weights` as well.

    Returns:
        `loss(params, resident, batch, key) -> (loss, {})`. It raises FlowjaxError if the user's
        loss does not accept these arguments, or does not return a real scalar.

    Example:
        >>> from flowjax import flows
        >>> flow, x = flows.standardize(1), jnp.array([[-1.0], [1.0]])
        >>> of = user_loss(flow, lambda flow, params, x, key: (x**2).mean())
        >>> float(of({}, None, {"x": x}, None)[0])
        1.0
    """
    name = getattr(loss, "__name__", "loss")

    def of(params: Params, resident: Any, batch: Any, key: Array) -> tuple[Array, dict[str, Any]]:
        rows = rows_of_batch(resident, batch)
        given = {"context": rows.get("context"), "weights": rows.get("weight")}
        extra = {argument: value for argument, value in given.items() if value is not None}
        try:
            inspect.signature(loss).bind(flow, params, rows["x"], key, **extra)
        except TypeError as error:
            names = ", ".join(["flow, params, x, key", *(f"{k}=" for k in extra)])
            raise FlowjaxError(
                f"loss: expected a function of ({names}), got {name}: {error}"
            ) from None
        value = jnp.asarray(loss(flow, params, rows["x"], key, **extra))
        if value.shape != () or not jnp.issubdtype(value.dtype, jnp.floating):
            raise FlowjaxError(
                "loss: expected a scalar, the mean over the batch, got "
                f"{value.dtype} of shape {value.shape} from {name}"
            )
        return value, {}

    return of


def rows_of_batch(resident: Any, batch: Any) -> Any:
    """Returns the arrays of a batch by name: gathered from the resident arrays, or as read.

    Example:
        >>> resident = {"x": jnp.array([[1.0], [2.0]])}
        >>> rows_of_batch(resident, {"rows": jnp.array([1])})["x"].tolist()
        [[2.0]]
    """
    return batch if resident is None else jax.tree.map(lambda a: a[batch["rows"]], resident)


def weighted_mean(values: Array, weights: Array | None) -> Array:
    """Returns the mean of `weights * values`; values with weight 0 may be infinite.

    Args:
        values: shape (n,).
        weights: weights with a mean of 1 over all examples, shape (n,), or None.

    Example:
        >>> float(weighted_mean(jnp.array([2.0, jnp.inf]), jnp.array([2.0, 0.0])))
        2.0
    """
    if weights is None:
        return values.mean()
    return jnp.where(weights > 0, weights * jnp.where(weights > 0, values, 0), 0).mean()
