"""The only file that names devices: the mesh, and the map of a per-device step over it.

A step is written once, for one device's share of the rows, with collectives over the axis
`"data"`. `data_parallel` maps it over the devices by `jit` of `jax.shard_map` (the default) or by
`jax.pmap`; both give the same numbers. Several processes (`processes.py`) need no other code:
every array here is made from each process's own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from flowjax.parallel.processes import gather, several, together

AXIS = "data"
Mapping = Literal["shard_map", "pmap"]


def make_mesh(devices: Sequence[jax.Device] | int | None = None) -> Mesh:
    """A one-axis mesh over the devices.

    Args:
        devices: the devices, how many of the visible ones, or None for all (every process's).

    Raises:
        ValueError: more devices are asked for than there are, or a process has none of them.
    """
    visible = jax.devices()
    if isinstance(devices, int):
        if not 1 <= devices <= len(visible):
            raise ValueError(f"devices: expected 1 to {len(visible)} (visible), got {devices}")
        devices = visible[:devices]
    chosen = visible if devices is None else devices
    if idle := {d.process_index for d in visible} - {d.process_index for d in chosen}:
        raise ValueError(f"devices: expected some of every process, got none of {sorted(idle)}")
    return Mesh(np.array(list(chosen)), (AXIS,))


def local_mesh() -> Mesh:
    """A one-axis mesh over this process's own devices, for work that it does by itself."""
    return Mesh(np.array(jax.local_devices()), (AXIS,))


def check_batch(batch_size: int, mesh: Mesh, accumulate: int = 1) -> None:
    """Refuses a global batch that devices (and accumulated parts) cannot share equally."""
    parts = mesh.size * accumulate
    if batch_size % parts:
        raise ValueError(
            f"batch_size: expected a multiple of {parts} ({mesh.size} devices x {accumulate} "
            f"accumulated), got {batch_size}"
        )


def local_rows(batch_size: int, mesh: Mesh) -> slice:
    """This process's share of a global batch's rows: what it has to read."""
    mine = [i for i, d in enumerate(mesh.devices.flat) if d.process_index == jax.process_index()]
    if not mine:
        return slice(0, 0)
    per_device = batch_size // mesh.size
    return slice(mine[0] * per_device, (mine[-1] + 1) * per_device)


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies a host tree to every device of the mesh."""
    sharding = NamedSharding(mesh, PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)

    def place(x: Any) -> jax.Array:
        host = np.asarray(x)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(place, tree)


def shard_rows(tree: Any, mesh: Mesh, axis: int = 0) -> Any:
    """Places this process's rows (along `axis`) on its devices, as one global array."""
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * axis, AXIS))
    if jax.process_count() == 1:
        return jax.device_put(tree, sharding)
    return jax.tree.map(lambda x: jax.make_array_from_process_local_data(sharding, x), tree)


def mean(tree: Any) -> Any:
    """The mean over all devices, inside of a mapped step; XLA would copy what a single one has."""
    return tree if jax.lax.axis_size(AXIS) == 1 else jax.lax.pmean(tree, AXIS)


def to_host(tree: Any) -> Any:
    """Copies a replicated tree to NumPy, from this process's first device.

    Raises:
        LostProcess: another process died during the step that makes it.
    """
    with together():
        return jax.tree.map(lambda x: np.asarray(x.addressable_data(0)), tree)


def compile_together(call: Callable[..., Any], *args: Any) -> Callable[..., Any]:
    """Compiles a jitted function for these arguments where there are several processes.

    Those that are slow at it are waited for: see `processes.initialize`.

    Returns:
        `call` compiled, for arguments like these; it raises `LostProcess` where one is gone.
    """
    if not several():
        return call
    compiled = together()(call.lower(*args).compile())  # type: ignore[attr-defined]
    gather([0])
    return compiled


def data_parallel(
    step: Callable[..., tuple[Any, Any]], mesh: Mesh, mapping: Mapping = "shard_map"
) -> Callable[..., tuple[Any, Any]]:
    """Maps a per-device step over the mesh.

    Args:
        step: `step(state, resident, batch) -> (state, metrics)` for one device; its collectives
            name the axis `"data"`. `state` and `metrics` are equal on all devices.
        mesh: from `make_mesh`.
        mapping: `"shard_map"` or `"pmap"`.

    Returns:
        A jitted function of the same signature over global arrays: `state` and `resident`
        replicated, `batch` `(k, rows, ...)` split along its rows. `state` is donated.
    """
    if mapping == "shard_map":
        spec, rows = PartitionSpec(), PartitionSpec(None, AXIS)
        mapped = jax.shard_map(
            step, mesh=mesh, in_specs=(spec, spec, rows), out_specs=(spec, spec), check_vma=False
        )
        return jax.jit(mapped, donate_argnums=0)
    if mapping == "pmap":
        if jax.process_count() > 1:
            raise ValueError("mapping: expected 'shard_map' for several processes, got 'pmap'")
        return _pmapped(step, mesh)
    raise ValueError(f"mapping: expected 'shard_map' or 'pmap', got {mapping!r}")


def _pmapped(step: Callable[..., tuple[Any, Any]], mesh: Mesh) -> Callable[..., tuple[Any, Any]]:
    """`jax.pmap` behind the same doors: replicated state in and out, rows split along axis 1."""
    size, devices = mesh.size, list(mesh.devices.flat)
    mapped = jax.pmap(step, AXIS, in_axes=(None, None, 1), out_axes=None, devices=devices)

    def split(x: jax.Array) -> jax.Array:
        return x.reshape(x.shape[0], size, x.shape[1] // size, *x.shape[2:])

    def run(state: Any, resident: Any, batch: Any) -> tuple[Any, Any]:
        return replicate(mapped(state, resident, jax.tree.map(split, batch)), mesh)

    return run
