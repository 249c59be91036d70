"""Device mesh, and the mapping of a per-device step over the mesh.

A step is written for one device and its shard of a batch, with collectives over the axis
`"data"`. `data_parallel` maps the step over the devices by `jit` of `jax.shard_map` (the default)
or by `jax.pmap`; the results are the same. Several processes (`processes.py`) use the same code,
because each process creates its shard of every global array from the rows that it read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from flowjax.errors import FlowjaxError, check_integer
from flowjax.literals import Mapping as Mapping
from flowjax.parallel.processes import gather, several, together

AXIS = "data"


class Step(Protocol):
    """Training step, of one device or mapped over all devices."""

    def __call__(self, state: Any, resident: Any, batch: Any, /) -> tuple[Any, Any]:
        """Returns the next state and the metrics, which are equal on all devices.

        Args:
            state: pytree of arrays, equal on all devices.
            resident: pytree of arrays, equal on all devices.
            batch: pytree of arrays of shape `(k, rows, ...)`, with the rows of one device, or of
                all devices if the step is mapped.
        """
        ...


def make_mesh(
    devices: Sequence[jax.Device] | int | None = None,  # pyright: ignore[reportInvalidTypeForm]
) -> Mesh:
    """Returns a mesh with one axis over the devices.

    Args:
        devices: devices, a number of visible devices, or None for all devices of all processes.

    Raises:
        FlowjaxError: The number is out of range, or a process has none of the devices.
    """
    visible = jax.devices()
    if devices is None:
        chosen = visible
    elif isinstance(devices, Sequence | np.ndarray):
        chosen = list(devices)
    else:
        chosen = visible[: check_integer("devices", devices, 1, len(visible))]
    if idle := {d.process_index for d in visible} - {d.process_index for d in chosen}:
        raise FlowjaxError(
            f"devices: expected at least one device of every process, got none of {sorted(idle)}"
        )
    return mesh_of(chosen)


def mesh_of(chosen: Sequence[Any]) -> Mesh:
    """Returns the mesh over devices, which may be those of a topology that is not present."""
    return Mesh(np.array(chosen), (AXIS,))


def local_mesh() -> Mesh:
    """Returns a mesh over the devices of this process."""
    return mesh_of(jax.local_devices())


def check_batch(batch_size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """Raises FlowjaxError if the batch cannot be divided among devices and micro-batches."""
    parts = mesh.size * accumulate
    if batch_size % parts:
        raise FlowjaxError(
            f"batch_size: expected a multiple of {parts} ({mesh.size} devices x {accumulate} "
            f"micro-batches), got {batch_size}"
        )


def local_rows(batch_size: int, mesh: Mesh) -> slice:
    """Returns the range of a global batch's rows that this process reads."""
    mine = [i for i, d in enumerate(mesh.devices.flat) if d.process_index == jax.process_index()]
    per_device = batch_size // mesh.size
    return slice(mine[0] * per_device, (mine[-1] + 1) * per_device)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies a pytree of host arrays to every device of the mesh."""
    return _place(tree, NamedSharding(mesh, PartitionSpec()))


def shard_rows(tree: Any, mesh: Mesh, axis: int = 0) -> Any:
    """Returns global arrays, sharded along `axis`, from the rows that each process passes."""
    return _place(tree, NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS)))


def abstract(tree: Any, mesh: Mesh, axis: int | None = None) -> Any:
    """Returns the shapes and dtypes of arrays on a mesh, for `jax.jit(...).lower`.

    Args:
        tree: pytree of arrays or `jax.ShapeDtypeStruct`.
        mesh: the mesh; its devices need not be present.
        axis: axis along which the arrays are sharded; None means that they are replicated.
    """
    spec = PartitionSpec() if axis is None else PartitionSpec(*[None] * axis, AXIS)
    sharding = NamedSharding(mesh, spec)
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(jnp.shape(x), jnp.result_type(x), sharding=sharding), tree
    )


def _place(tree: Any, sharding: NamedSharding) -> Any:
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    make: Any = jax.make_array_from_process_local_data
    return jax.tree.map(lambda x: make(sharding, np.asarray(x)), tree)


def mean(tree: Any) -> Any:
    """Returns the mean over all devices, inside of a mapped step."""
    # XLA would copy the tree for a mean over one device.
    return tree if jax.lax.axis_size(AXIS) == 1 else jax.lax.pmean(tree, AXIS)


def index() -> jax.Array:
    """Returns the index of the device on the mesh, inside of a mapped step."""
    return jax.lax.axis_index(AXIS)


def all_rows(x: jax.Array) -> jax.Array:
    """Returns the rows of all devices in the order of the devices, inside of a mapped step.

    The gradient of a row is the sum of its gradients on all devices.

    Args:
        x: rows of this device, shape `(rows, ...)`.

    Returns:
        Array of shape `(devices * rows, ...)`.
    """
    return x if jax.lax.axis_size(AXIS) == 1 else jax.lax.all_gather(x, AXIS, tiled=True)


def to_host(tree: Any) -> Any:
    """Copies a replicated pytree to NumPy arrays, from the first device of this process.

    Raises:
        LostProcess: A peer process died during the step that computes the arrays.
    """
    with together():
        return jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), tree)


def compile_together(call: Step, *args: Any) -> Step:
    """Compiles a mapped step and waits until all processes have compiled it.

    Without this barrier, a process that compiles slowly would exceed the timeout of the first
    collective (see `launch.initialize`).

    Args:
        call: step from `data_parallel`.
        *args: arguments of the call, or arrays of the same shapes.

    Returns:
        The compiled step; `call` itself if there is only one process.

    Raises:
        LostProcess: A peer process died.
    """
    if not several():
        return call
    compiled: Step = together()(call.lower(*args).compile())  # type: ignore[attr-defined]
    gather([0])
    return compiled


def data_parallel(step: Step, mesh: Mesh, mapping: Mapping = "shard_map") -> Step:
    """Maps a per-device step over the mesh.

    Args:
        step: step of one device; its collectives name the axis `"data"`.
        mesh: from `make_mesh`.
        mapping: `"shard_map"` or `"pmap"`.

    Returns:
        A jitted step over global arrays: `state` and `resident` are replicated, and `batch` is
        sharded along its second axis. The buffers of `state` are donated.

    Raises:
        FlowjaxError: `mapping` is unknown, or `"pmap"` with several processes.
    """
    if mapping == "shard_map":
        spec, rows = PartitionSpec(), PartitionSpec(None, AXIS)
        mapped = jax.shard_map(
            step, mesh=mesh, in_specs=(spec, spec, rows), out_specs=(spec, spec), check_vma=False
        )
        return jax.jit(mapped, donate_argnums=0)
    if mapping == "pmap":
        if jax.process_count() > 1:
            raise FlowjaxError("mapping: expected 'shard_map' for several processes, got 'pmap'")
        return _pmapped(step, mesh)
    raise FlowjaxError(f"mapping: expected 'shard_map' or 'pmap', got {mapping!r}")


def _pmapped(step: Step, mesh: Mesh) -> Step:
    """Maps a step by `jax.pmap`, with the arguments and results of the `shard_map` version."""
    size, devices = mesh.size, list(mesh.devices.flat)
    mapped = jax.pmap(step, AXIS, in_axes=(None, None, 1), out_axes=None, devices=devices)

    def split(x: jax.Array) -> jax.Array:
        return x.reshape(x.shape[0], size, x.shape[1] // size, *x.shape[2:])

    def run(state: Any, resident: Any, batch: Any) -> tuple[Any, Any]:
        done = mapped(state, resident, jax.tree.map(split, batch))
        placed: tuple[Any, Any] = replicate(done, mesh)
        return placed

    mapped_step: Step = jax.jit(run, donate_argnums=0)
    return mapped_step
