"""Compiled functions of a flow for arrays of any number of rows, evaluated in blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.types import Flow, Params

# Rows per call of the flow.
ROWS = 4096


class ArrayCalls:
    """Forward, inverse and log-density of a flow on NumPy arrays of any length.

    Blocks of at most `ROWS` rows keep the memory constant. The last block is padded to a power of
    two, so that few shapes are compiled.

    Attributes:
        flow: the flow.

    Example:
        >>> from flowjax import flows
        >>> flow, x = flows.whitening(2), np.array([[1.0, 5.0], [3.0, 1.0], [2.0, 2.0]])
        >>> calls, params = ArrayCalls(flow), flow.init(jax.random.key(0), x)
        >>> z = calls.forward(params, x)
        >>> z.shape, bool(np.allclose(calls.inverse(params, z), x, atol=1e-5))
        ((3, 2), True)
    """

    def __init__(self, flow: Flow, least: int = 1) -> None:
        """Builds the functions; they are compiled at their first call.

        Args:
            flow: any flow without a context.
            least: smallest number of rows that the last block is padded to.
        """
        self.flow, self._least = flow, least
        self._latent_dim = flow.latent_dim or flow.dim
        self._calls: dict[str, Callable[..., Any]] = {
            "forward": jax.jit(lambda params, x: flow.forward(params, x)[0]),
            "inverse": jax.jit(lambda params, z: flow.inverse(params, z)[0]),
            "log_prob": jax.jit(flow.log_prob),
        }

    def forward(self, params: Params, x: Any, name: str = "vectors") -> np.ndarray:
        """Returns the latents of data vectors, shape (n, latent_dim).

        Args:
            params: fitted parameters.
            x: data vectors, shape (n, dim).
            name: name of the array in error messages.

        Raises:
            FlowjaxError: The array has another shape.
        """
        return self._through("forward", params, x, self.flow.dim, (self._latent_dim,), name)

    def inverse(self, params: Params, z: Any, name: str = "vectors") -> np.ndarray:
        """Returns the data vectors of latents, shape (n, dim).

        Args:
            params: fitted parameters.
            z: latents, shape (n, latent_dim).
            name: name of the array in error messages.

        Raises:
            FlowjaxError: The array has another shape.
        """
        return self._through("inverse", params, z, self._latent_dim, (self.flow.dim,), name)

    def log_prob(self, params: Params, x: Any, name: str = "vectors") -> np.ndarray:
        """Returns the log-densities of data vectors, shape (n,), in nats.

        Args:
            params: fitted parameters.
            x: data vectors, shape (n, dim).
            name: name of the array in error messages.

        Raises:
            FlowjaxError: The array has another shape.
        """
        return self._through("log_prob", params, x, self.flow.dim, (), name)

    def _through(
        self, call: str, params: Params, rows: Any, dim: int, tail: tuple[int, ...], name: str
    ) -> np.ndarray:
        rows = np.asarray(rows)
        if rows.ndim != 2 or rows.shape[1] != dim:
            raise FlowjaxError(f"{name}: expected (n, {dim}), got {rows.shape}")
        wide = rows.dtype == np.float64 and jnp.result_type(float) == np.float64
        dtype = np.float64 if wide else np.float32
        result = np.empty((len(rows), *tail), dtype)
        for start in range(0, len(rows), ROWS):
            block = np.asarray(rows[start : start + ROWS], dtype)
            size = min(ROWS, max(self._least, 1 << (len(block) - 1).bit_length()))
            padded = np.concatenate([block, np.repeat(block[:1], size - len(block), axis=0)])
            done = self._calls[call](params, jnp.asarray(padded))
            result[start : start + len(block)] = np.asarray(done)[: len(block)]
        return result
