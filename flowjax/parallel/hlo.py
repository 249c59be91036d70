"""Counts in the text of a compiled program: bytes moved, collectives, and operations.

`Compiled.cost_analysis` counts the body of every loop once, and counts buffers in on-chip memory
as well. The counts here multiply the body of a loop by its number of iterations, if the program
states it, and count the main memory only; of a conditional, the branch that moves the most bytes
counts. The loop over the steps of a dispatch has a variable length, so its body counts once: the
collectives of a training program are those of one step.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

COLLECTIVES = ("all-reduce", "all-gather", "reduce-scatter", "collective-permute", "all-to-all")
_FREE = {"parameter", "constant", "tuple", "get-tuple-element", "bitcast", "iota", "after-all",
         "partition-id", "replica-id", "while", "conditional", "call", "opt-barrier",
         "copy-done", "slice-done", "dynamic-slice-done", "all-reduce-done", "all-gather-done",
         "async-done"}  # fmt: skip
_BITS = {"pred": 8, "token": 0, "opaque": 0}
_ARRAY = re.compile(r"([a-z][a-z0-9]*)\[([\d,]*)\](?:\{([^}]*)\})?")
_CALLED = re.compile(
    r"(?:calls|to_apply|body|condition|true_computation|false_computation)=%?([\w.\-]+)"
)
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


class Instruction(NamedTuple):
    """Instruction of a program.

    Attributes:
        name: name of the result.
        shape: text of the type of the result.
        op: operation.
        operands: names of the operands.
        rest: text after the operation.
        root: True for the result of the computation.
    """

    name: str
    shape: str
    op: str
    operands: tuple[str, ...]
    rest: str
    root: bool


class Counts(NamedTuple):
    """Counts of a program, see the module.

    Attributes:
        bytes_moved: bytes read from and written to the main memory. Work outside of a loop of
            variable length is divided by its `steps`.
        collectives: number and bytes of the collectives, by operation.
        operations: number of instructions by operation, also inside of fusions.
        float64: True if any array is float64 or complex128.
        callbacks: True if the program calls the host.
    """

    bytes_moved: float
    collectives: dict[str, tuple[int, int]]
    operations: dict[str, int]
    float64: bool
    callbacks: bool


def count(text: str, steps: int = 1) -> Counts:
    """Returns the counts of a compiled program.

    Args:
        text: `jax.stages.Compiled.as_text()`.
        steps: iterations of the loop of variable length, if the program is a loop over steps.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> text = jax.jit(jnp.sin).lower(jnp.ones((8, 4))).compile().as_text()
        >>> found = count(text)
        >>> found.bytes_moved, found.collectives, found.callbacks
        (256.0, {}, False)
    """
    parts, entry = _computations(text)
    collectives: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    moved = 0.0
    for name, times, inside in _executed(parts, entry):
        for i in parts[name]:
            op = i.op.removesuffix("-start")
            if op in COLLECTIVES:
                collectives[op] += times
                sizes[op] += times * _collective_bytes(i)
        moved += times * _moved_by(name, parts) / (1 if inside else steps)
    operations = Counter(_operation(i) for part in parts.values() for i in part)
    return Counts(
        moved,
        {op: (number, sizes[op]) for op, number in collectives.items()},
        dict(operations),
        bool(re.search(r"\b(f64|c128)\[", text)),
        bool(re.search(r"\b(infeed|outfeed|send|recv)\(|callback", _without_metadata(text))),
    )


def _without_metadata(text: str) -> str:
    return re.sub(r"metadata=\{[^}]*\}", "", text)


def _operation(i: Instruction) -> str:
    target = re.search(r'custom_call_target="([^"]*)"', i.rest) if i.op == "custom-call" else None
    return f"custom-call {target[1]}" if target else i.op


def _computations(text: str) -> tuple[dict[str, list[Instruction]], str]:
    """Returns the instructions of each computation, and the name of the main computation."""
    parts: dict[str, list[Instruction]] = {}
    entry, current = "", None
    for line in text.splitlines():
        if line.endswith("{") and " = " not in line.partition("(")[0]:
            head = re.match(r"(ENTRY )?%?([\w.\-]+)", line)
            if head and head[2] != "HloModule":
                current = head[2]
                parts[current] = []
                entry = current if head[1] else entry
        elif current and (instruction := _instruction(line)):
            parts[current].append(instruction)
    return parts, entry


def _instruction(line: str) -> Instruction | None:
    head = re.match(r"\s+(ROOT )?%?([\w.\-]+) = ", line)
    if not head:
        return None
    rest = line[head.end() :]
    end = _closing(rest) if rest.startswith("(") else rest.find(" ")
    shape, rest = rest[:end], rest[end:].lstrip()
    op, _, rest = rest.partition("(")
    inside = rest[: _closing("(" + rest) - 1]
    operands = tuple(re.findall(r"%([\w.\-]+)", inside))
    return Instruction(head[2], shape, op, operands, rest, bool(head[1]))


def _closing(text: str) -> int:
    """Returns the index after the parenthesis that closes the one at index 0."""
    depth = 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if depth == 0:
            return i + 1
    return len(text)


def _executed(
    parts: dict[str, list[Instruction]], entry: str, inside: bool = False
) -> Iterator[tuple[str, int, bool]]:
    """Yields each executed computation, outside of fusions, and how often a call runs it.

    The third value is True inside of a loop of variable length.
    """
    for i in parts.get(entry, []):
        if i.op not in ("while", "call", "conditional", "async-start"):
            continue
        names = _CALLED.findall(i.rest)
        if branches := _BRANCHES.search(i.rest):
            names += re.findall(r"%?([\w.\-]+)", branches[1])
        if i.op == "conditional":
            names = [max(names, key=lambda name: _moved_by(name, parts), default="")]
        known = _trips(i, parts) if i.op == "while" else 1
        for name in names:
            deeper = _executed(parts, name, inside or not known)
            yield from ((part, (known or 1) * n, of) for part, n, of in deeper)
    yield entry, 1, inside


def _moved_by(name: str, parts: dict[str, list[Instruction]]) -> int:
    """Returns the bytes that the instructions of a computation move."""
    found = {i.name: i for i in parts.get(name, [])}
    return sum(_moved(i, found, parts) for i in found.values())


def _trips(loop: Instruction, parts: dict[str, list[Instruction]]) -> int:
    """Returns the number of iterations of a loop; 0 if it is not a constant."""
    if known := _TRIPS.search(loop.rest):
        return int(known[1])
    condition = re.search(r"condition=%?([\w.\-]+)", loop.rest)
    part = parts.get(condition[1], []) if condition else []
    values = {i.name: i.rest.partition(")")[0] for i in part if i.op == "constant"}
    root = part[-1] if part else None
    if root and root.op == "compare" and "direction=LT" in root.rest and len(root.operands) == 2:
        limit = values.get(root.operands[1], "")
        return int(limit) if limit.isdecimal() else 0
    return 0


def _arrays(shape: str) -> list[tuple[int, bool]]:
    """Returns the bytes of each array in a type, and True if it is in the main memory."""
    found = []
    for kind, dims, layout in _ARRAY.findall(shape):
        width = re.search(r"\d+", kind)
        bits = _BITS.get(kind, int(width[0]) if width else 32)
        if kind.startswith("c"):  # complex64 has two halves of 32 bits: the name is the sum
            bits = int(width[0]) if width else 64
        size = bits
        for dim in filter(None, dims.split(",")):
            size *= int(dim)
        found.append((size // 8, "S(" not in layout))
    return found


def _main(shape: str) -> int:
    return sum(size for size, is_main in _arrays(shape) if is_main)


def _collective_bytes(i: Instruction) -> int:
    arrays = [size for size, _ in _arrays(i.shape)]
    if i.op == "all-gather-start":  # operands and results
        arrays = arrays[len(arrays) // 2 :]
    return sum(arrays)


def _moved(
    i: Instruction, found: dict[str, Instruction], parts: dict[str, list[Instruction]]
) -> int:
    """Returns the bytes that an instruction outside of fusions reads and writes."""
    if i.op in _FREE:
        return 0
    shapes = [found[name].shape if name in found else "" for name in i.operands]
    if i.op in ("dynamic-slice", "slice"):
        return 2 * _main(i.shape)
    if i.op == "dynamic-update-slice":
        return 2 * _main(shapes[1])
    if i.op in ("slice-start", "dynamic-slice-start"):  # operands, result, state
        done = _arrays(i.shape)[len(shapes)]
        return done[0] * (1 + done[1])
    if i.op in ("copy-start", "async-start"):
        return _main(shapes[0]) + sum(s for s, main in _arrays(i.shape)[:1] if main)
    if i.op == "fusion" and (called := _CALLED.search(i.rest)):
        return _fused(i, shapes, parts, called[1])
    return _main(i.shape) + sum(map(_main, shapes))


def _fused(
    i: Instruction, shapes: list[str], parts: dict[str, list[Instruction]], called: str
) -> int:
    """Returns the bytes that a fusion moves; of an array that it slices, only the slices."""
    moved = 0
    written = _main(i.shape)
    for place, shape in enumerate(shapes):
        if size := _main(shape):
            read, in_place = _read(place, size, parts, called)
            moved += read
            written -= max(0, size - read) if in_place else 0
    return moved + max(0, written)


def _read(
    place: int, size: int, parts: dict[str, list[Instruction]], called: str
) -> tuple[int, bool]:
    """Returns the bytes that a fusion uses of one operand, and True if it updates it in place.

    Args:
        place: index of the operand.
        size: bytes of the operand.
        parts: instructions of all computations.
        called: name of the computation of the fusion.
    """
    body = parts.get(called, [])
    inner = {one.name: one for one in body}
    names = {
        one.name
        for one in body
        if one.op == "parameter" and one.rest.partition(")")[0] == str(place)
    }
    ops, used = set(), 0
    for one in body:
        if not names & {*one.operands}:
            continue
        if one.op == "bitcast":
            names.add(one.name)
            continue
        ops.add(one.op)
        first = one.operands[0] in names
        if first and one.op in ("dynamic-slice", "slice"):
            used += _total(one.shape)
        elif first and one.op == "dynamic-update-slice":
            used += _total(inner[one.operands[1]].shape)
        elif one.op == "fusion" and (deeper := _CALLED.search(one.rest)):
            for at, name in enumerate(one.operands):
                used += _read(at, size, parts, deeper[1])[0] if name in names else 0
        else:
            used += size
    return min(size, used), ops == {"dynamic-update-slice"}


def _total(shape: str) -> int:
    return sum(size for size, _ in _arrays(shape))
