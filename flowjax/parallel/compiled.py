"""Compilation of a program for chips that are not present, with its predicted cost."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

from flowjax.parallel import devices
from flowjax.parallel.flops import count_flops
from flowjax.parallel.hlo import Counts, count
from flowjax.parallel.targets import Target, open_target

# Assumed time of one hop between neighbouring chips; not published.
HOP_SECONDS = 1e-6


class CompiledProgram(NamedTuple):
    """A compiled program with its cost on one chip.

    Attributes:
        target: the chips.
        seconds: time of tracing and compilation.
        cpu_seconds: processor time of tracing and compilation, which other work on the machine
            hardly changes.
        arguments: bytes of the arguments.
        scratch: bytes of temporary buffers.
        output: bytes of the results.
        aliased: bytes of the results that reuse buffers of donated arguments.
        needed: bytes of memory that a call needs; if the compiler refuses a program that is too
            large, the bytes that it states.
        flops: floating-point operations, see `flops.count_flops`.
        bytes_at_least: bytes that a call has to move: arguments are read and results written once.
            For one step of a training program, see `commands.programs`.
        activations: bytes of the values that a training step keeps for its backward pass, written
            and read once; the compiler computes some of them again, and keeps others on the chip.
        counts: bytes moved, collectives and operations, see `hlo.Counts`.
        text: the compiled program; "" if the compiler refused it.
    """

    target: Target
    seconds: float
    cpu_seconds: float
    arguments: int
    scratch: int
    output: int
    aliased: int
    needed: int
    flops: float
    bytes_at_least: float
    activations: float
    counts: Counts
    text: str

    @property
    def fits(self) -> bool | None:
        """True if a call fits into the memory of a chip; None on CPUs."""
        chip = self.target.chip
        return None if chip is None else bool(self.text) and self.needed <= chip.memory

    @property
    def collective_bytes(self) -> int:
        """Bytes of the results of all collectives."""
        return sum(size for _, size in self.counts.collectives.values())

    def seconds_at_least(self, chips: int | None = None) -> dict[str, float]:
        """Returns lower bounds of the time of a call (one step of a training program).

        The bounds are `compute` (operations / peak rate), `memory` (bytes / bandwidth),
        `collectives`, and `total`: the larger of the first two, plus the collectives, because
        the update of the parameters needs all gradients. A collective of B bytes on n chips is
        counted as 2 (n - 1) / n B bytes over all links, and `HOP_SECONDS` for each hop along each
        axis of the torus. {} on CPUs.

        Args:
            chips: number of chips; None means those of the target.

        Returns:
            Lower bound, in seconds.
        """
        chip, n = self.target.chip, chips or self.target.size
        if chip is None:
            return {}
        compute, memory = self.flops / chip.flops, self.counts.bytes_moved / chip.bandwidth
        calls = sum(number for number, _ in self.counts.collectives.values())
        hops = chip.axes * n ** (1 / chip.axes) if n > 1 else 0
        volume = 2 * (n - 1) / n * self.collective_bytes / chip.interconnect
        collectives = volume + calls * hops * HOP_SECONDS if n > 1 else 0.0
        total = max(compute, memory) + collectives
        return {"compute": compute, "memory": memory, "collectives": collectives, "total": total}

    def efficiency(self, few: int = 4, many: int = 256) -> float | None:
        """Returns the predicted examples per second per chip on `many` chips, relative to `few`.

        The number of examples per chip is the same. None on CPUs.
        """
        if self.target.chip is None:
            return None
        return self.seconds_at_least(few)["total"] / self.seconds_at_least(many)["total"]


def compile_for(
    target: str | Target,
    function: Callable[..., Any],
    *args: Any,
    axes: Sequence[int | None] | None = None,
    steps: int = 1,
) -> CompiledProgram:
    """Compiles a function for chips that are not present, and returns its cost on one chip.

    Args:
        target: `"v5e:16x16"`, `"v5p:4x4x4"`, `"v6e:8x8"`, `"cpu:8"`, or a `Target`.
        function: function of arrays: a Python function, the result of `jax.jit`, or a step from
            `devices.data_parallel` with the mesh of the target.
        *args: pytrees of arrays or `jax.ShapeDtypeStruct`; only shapes and dtypes are used.
        axes: for each argument, the axis along which the arrays are divided among the chips, or
            None for an argument that every chip holds completely. Default: None for all.
        steps: iterations of a loop of variable length in the function, see `hlo.count`.

    Returns:
        The compiled program. A program that needs more memory than a chip has is returned
        without a text.

    Raises:
        FlowjaxError: The target is unknown, see `open_target`.

    References:
        Ahead-of-time compilation of MaxText, https://github.com/AI-Hypercomputer/maxtext.

    Example:
        >>> import jax.numpy as jnp
        >>> program = compile_for("cpu:1", lambda x, w: x @ w, jnp.ones((8, 4)), jnp.ones((4, 2)))
        >>> program.flops, program.arguments
        (128.0, 160)
    """
    place = open_target(target) if isinstance(target, str) else target
    each = zip(args, axes or [None] * len(args), strict=True)
    shapes = [devices.abstract(tree, place.mesh, axis) for tree, axis in each]
    call: Any = function if hasattr(function, "lower") else jax.jit(function)
    began = time.perf_counter(), time.process_time()
    traced = call.trace(*shapes)
    platform = place.mesh.devices.flat[0].platform
    flops = count_flops(traced.jaxpr, platform) / place.size
    lowered = traced.lower()
    try:
        compiled = lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        needed = _needed(str(error))
        none = Counts(0.0, {}, {}, False, False)
        return CompiledProgram(
            place, *_since(began), 0, 0, 0, 0, needed, flops, 0.0, 0.0, none, ""
        )
    seconds = _since(began)
    memory: Any = compiled.memory_analysis()
    sizes = (
        memory.argument_size_in_bytes,
        memory.temp_size_in_bytes,
        memory.output_size_in_bytes,
        memory.alias_size_in_bytes,
    )
    needed = sizes[0] + sizes[1] + sizes[2] - sizes[3] + memory.generated_code_size_in_bytes
    text = compiled.as_text() or ""
    least = float(sizes[0] + sizes[2])
    counts = count(text, steps)
    return CompiledProgram(place, *seconds, *sizes, needed, flops, least, 0.0, counts, text)


def _since(began: tuple[float, float]) -> tuple[float, float]:
    return time.perf_counter() - began[0], time.process_time() - began[1]


def _needed(message: str) -> int:
    """Returns the bytes that the compiler states for a program that is too large; else 0."""
    found = re.search(r"[Uu]sed ([\d.]+)([KMGT])", message)
    return int(float(found[1]) * 1024 ** (1 + "KMGT".index(found[2]))) if found else 0


def largest_batch(
    build: Callable[[int], CompiledProgram], batch: int, program: CompiledProgram | None = None
) -> int | None:
    """Returns the largest number of examples per chip whose program fits into memory.

    The program is compiled for one more size, and its memory is extrapolated: it consists of a
    constant part and a part proportional to the number of examples.

    Args:
        build: function from the number of examples per chip to the compiled program.
        batch: number of examples per chip.
        program: the program for `batch`, if it is already compiled.

    Returns:
        The largest number, rounded down to a multiple of 8 (below 8: to an integer). 0 if one
        example does not fit; None on CPUs, and if the size has no effect.
    """
    first = program or build(batch)
    if (chip := first.target.chip) is None:
        return None
    while not first.text and batch > 1:  # refused by the compiler
        batch = max(1, batch // 4)
        first = build(batch)
    if not first.text:
        return 0
    more = max(batch + 8, 4 * batch)
    second = build(more)
    if not second.text:
        more = max(batch + 1, batch * 5 // 4)
        second = build(more)
    slope = (second.needed - first.needed) / (more - batch)
    if slope <= 0 or not second.text:
        return None if second.text else batch
    most = int(batch + (chip.memory - first.needed) / slope)
    return max(0, most - most % 8 if most >= 8 else most)
