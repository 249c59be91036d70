"""Targets of ahead-of-time compilation: chips that need not be present on this machine."""

from __future__ import annotations

import importlib.util
import math
import os
import re
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from flowjax.errors import FlowjaxError, first_line
from flowjax.parallel.devices import mesh_of


class Chip(NamedTuple):
    """Published peaks of one chip.

    Attributes:
        kind: name in JAX, `device.device_kind`.
        flops: peak rate of bfloat16 matrix products, in operations per second.
        memory: size of the memory, in bytes.
        bandwidth: bandwidth of the memory, in bytes per second.
        interconnect: bandwidth of all links to other chips, in bytes per second.
        axes: number of dimensions of the topology.
        source: web page of the values.
    """

    kind: str
    flops: float
    memory: float
    bandwidth: float
    interconnect: float
    axes: int
    source: str


_DOCS = "https://cloud.google.com/tpu/docs/"
# The pages state the interconnect in Gbit/s (1600, 4800, 3200), summed over the links of a chip.
CHIPS = {
    "v5e": Chip("TPU v5 lite", 197e12, 16e9, 819e9, 200e9, 2, _DOCS + "v5e"),
    "v5p": Chip("TPU v5", 459e12, 95e9, 2765e9, 600e9, 3, _DOCS + "v5p"),
    "v6e": Chip("TPU v6 lite", 918e12, 32e9, 1600e9, 400e9, 2, _DOCS + "v6e"),
}
# Environment of libtpu on a machine without a TPU: no query of the metadata server of a cloud
# machine, no lock file (only the compiler is used), and no log.
_LIBTPU = {
    "TPU_SKIP_MDS_QUERY": "1",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TPU_STDERR_LOG_LEVEL": "3",
    "TPU_MIN_LOG_LEVEL": "3",
}


class Target(NamedTuple):
    """Chips for which programs are compiled.

    Attributes:
        name: name as given, such as `"v5e:16x16"`.
        mesh: mesh with the axis `"data"` over all chips.
        chip: published peaks of a chip; None for CPUs.
    """

    name: str
    mesh: Mesh
    chip: Chip | None

    @property
    def size(self) -> int:
        """Number of chips."""
        return int(self.mesh.size)


def open_target(name: str) -> Target:
    """Returns the chips of a target; the chips need not be present.

    TPU targets need libtpu (`pip install 'bert-flowjax[tpu]'`). On a machine without a TPU, set
    `JAX_PLATFORMS=cpu` before JAX starts, because JAX would otherwise look for the TPU.

    Args:
        name: `v5e:AxB`, `v6e:AxB` or `v5p:AxBxC` with the shape of the topology, or `cpu:N`.

    Returns:
        The target.

    Raises:
        FlowjaxError: The target is unknown, libtpu is not installed or knows no such topology, or
            this process has fewer than N CPU devices.

    Example:
        >>> open_target("cpu:1").size
        1
    """
    kind, _, shape = name.partition(":")
    axes = CHIPS[kind].axes if kind in CHIPS else 1
    if kind not in (*CHIPS, "cpu") or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", shape):
        raise FlowjaxError(
            "target: expected v5e:AxB, v6e:AxB, v5p:AxBxC or cpu:N, such as v5e:16x16, got "
            f"{name!r}"
        )
    sizes = [int(size) for size in shape.split("x")]
    if len(sizes) != axes:
        example = "x".join(["4"] * axes)
        raise FlowjaxError(
            f"target: expected {axes} dimension{'s' * (axes > 1)} for {kind}, such as "
            f"{kind}:{example}, got {name!r}"
        )
    if kind == "cpu":
        visible = jax.devices("cpu")
        if sizes[0] > len(visible):
            raise FlowjaxError(
                f"target: expected at most cpu:{len(visible)}, got {name!r}; set "
                f"JAX_NUM_CPU_DEVICES={sizes[0]} before JAX starts"
            )
        return Target(name, mesh_of(visible[: sizes[0]]), None)
    if sizes[0] % 2 or sizes[1] % 2:
        raise FlowjaxError(
            f"target: expected even numbers A and B (a host of {kind} has 2 x 2 chips), such as "
            f"{kind}:{'x'.join(['4'] * axes)}, got {name!r}"
        )
    return Target(name, mesh_of(_tpus(name, math.prod(sizes))), CHIPS[kind])


def _tpus(name: str, count: int) -> list[Any]:
    """Returns the chips of a TPU topology."""
    from jax.experimental import topologies

    if importlib.util.find_spec("libtpu") is None:
        raise FlowjaxError(
            f"target {name}: expected the package libtpu, the compiler for TPUs, got none; run "
            "pip install 'bert-flowjax[tpu]'"
        )
    for variable, value in _LIBTPU.items():
        os.environ.setdefault(variable, value)
    try:
        found = list(topologies.get_topology_desc(topology_name=name, platform="tpu").devices)
    except (RuntimeError, ValueError, NotImplementedError) as error:
        raise FlowjaxError(
            f"target: expected a topology that libtpu knows, got {name!r}: {first_line(error)}"
        ) from None
    if len(found) != count:
        raise FlowjaxError(f"target: expected {count} chips in {name}, got {len(found)}")
    return found
