"""Copies of the training state, from which the last state with a finite loss is computed again."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

# Seconds between copies: a copy takes far less time, and a replay takes at most about this time.
SECONDS = 10.0
_copy = jax.jit(lambda tree: jax.tree.map(jnp.copy, tree))


class Snapshots:
    """Copies of the state of a run on the devices.

    The update before a loss that is not finite may have made the parameters useless. A run
    therefore returns the parameters of the last finite loss: it repeats the steps after a copy,
    except the last one. The results are bitwise equal, because they do not depend on dispatches.

    Example:
        >>> snapshots = Snapshots(0, jnp.zeros(()))
        >>> snapshots.add(8, jnp.ones(()))
        >>> run = lambda state, start, stop: state + (stop - start)
        >>> float(snapshots.before(9, run)), float(snapshots.before(8, run))
        (1.0, 7.0)
    """

    def __init__(self, at: int, state: Any) -> None:
        """Copies the state at the start of the run.

        Args:
            at: step of the state.
            state: training state.
        """
        self._held = [(at, _copy(state))]
        self._began = time.perf_counter()

    @property
    def due(self) -> bool:
        """True if the last copy is older than `SECONDS`."""
        return time.perf_counter() - self._began > SECONDS

    def add(self, at: int, state: Any) -> None:
        """Copies a state. The copy before it is kept, because the next step may fail."""
        self._held = [*self._held[-1:], (at, _copy(state))]
        self._began = time.perf_counter()

    def drop(self, at: int) -> None:
        """Frees the copies that are not needed after `at` finished steps."""
        if at > self._held[-1][0]:
            self._held = self._held[-1:]

    def before(self, at: int, run: Callable[[Any, int, int], Any]) -> Any:
        """Returns the state one step before step `at`, or the first state of the run.

        Args:
            at: number of finished steps.
            run: `run(state, start, stop) -> state`; may free the buffers of its state.
        """
        start, state = next((s for s in reversed(self._held) if s[0] < at), self._held[0])
        return run(_copy(state), start, max(start, at - 1))
