"""Random keys and initial parameters that a user passes to `fit`."""

from __future__ import annotations

import operator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.data.arrays import ArraySource
from flowjax.types import Flow, FlowjaxError, Params, PRNGKey


def random_key(key: Any) -> PRNGKey:
    """Returns a JAX random key.

    Args:
        key: integer from -2**63 to 2**63 - 1, key array of `jax.random.key`, or array of uint32 of
            `jax.random.PRNGKey`, also as a NumPy array.

    Raises:
        FlowjaxError: `key` has another type, shape or range.

    Example:
        >>> raw = np.asarray(jax.random.PRNGKey(3))
        >>> bool((jax.random.key_data(random_key(3)) == random_key(raw)).all())
        True
    """
    expected = "a JAX random key or an integer from -2**63 to 2**63 - 1"
    if isinstance(key, (jax.Array, np.ndarray)) and key.ndim:
        try:
            given = jnp.asarray(key)
            jax.random.bits(given)
        except (TypeError, ValueError):
            got = f"an array of {key.dtype} of shape {key.shape}"
            raise FlowjaxError(f"key: expected {expected}, got {got}") from None
        return given
    if isinstance(key, jax.Array) and jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return key
    try:
        if not isinstance(key, (bool, np.bool_)):
            return jax.random.key(operator.index(key))
    except (TypeError, OverflowError):
        pass
    raise FlowjaxError(f"key: expected {expected}, got {key!r}")


def given_params(flow: Flow, params: Any, source: ArraySource) -> Params:
    """Returns the parameters of a warm start for `trained_part(flow)`.

    Args:
        flow: flow that is fitted.
        params: parameters of `flow`, or of the flow in front of its final closed form.
        source: training examples; only their shapes matter.

    Raises:
        FlowjaxError: The structure or a shape differs from that of `flow.init`.

    Example:
        >>> from flowjax import flows
        >>> flow, source = flows.glow(2), ArraySource(np.array([[1.0, 1], [2, 2], [3, 1]]))
        >>> params = flow.init(jax.random.key(0), source.rows)
        >>> len(given_params(flow, params, source)["bijector"])
        2
    """
    if hasattr(params, "params") and hasattr(params, "metrics"):
        raise FlowjaxError(
            "params: expected a pytree of arrays, got a FitResult; pass its .params"
        )
    try:
        arrays = jax.tree.map(jnp.asarray, params)
    except (TypeError, ValueError) as error:
        raise FlowjaxError(f"params: expected a pytree of arrays, got: {error}") from None
    closed = flow.closed_form
    inner = None if closed is None else closed.inner
    if flow.bijector is None:  # a hand-written flow, whose `init` may not be traceable
        return arrays
    forms: list[Any] = [(flow, lambda p: p)]
    if closed is not None and inner is not None:
        forms = [(flow, closed.take), (inner, lambda p: p)]
    problems = []
    for form, part in forms:
        wanted = _shapes(form, source)
        problems.append(_difference(wanted, arrays))
        if problems[-1] is None:
            leaves = zip(jax.tree.leaves(arrays), jax.tree.leaves(wanted), strict=True)
            cast = [array.astype(like.dtype) for array, like in leaves]
            return part(jax.tree.unflatten(jax.tree.structure(wanted), cast))
    raise FlowjaxError(f"params{problems[0]}")


def _shapes(flow: Flow, source: ArraySource) -> Any:
    rows = source.take(np.zeros(1, np.int64))
    arguments = [rows["x"], *([rows["context"]] if "context" in rows else [])]
    return jax.eval_shape(flow.init, jax.random.key(0), *arguments)


def _difference(wanted: Any, found: Any) -> str | None:
    """Returns the first difference between two trees of arrays as text, or None."""
    shapes = [
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in leaves}
        for leaves in (jax.tree_util.tree_leaves_with_path(tree) for tree in (wanted, found))
    ]
    for path in dict.fromkeys([*shapes[0], *shapes[1]]):
        expected, got = (s.get(path, "nothing") for s in shapes)
        if expected != got:
            return f"{path}: expected {expected}, got {got}; params of another flow"
    return None
