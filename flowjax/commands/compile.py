"""`flowjax compile`: compiles the programs of a run for chips that are not present."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from flowjax.commands.outputs import check_output
from flowjax.config import FinetuneConfig, FitConfig, PretrainConfig
from flowjax.config.ranges import Range
from flowjax.files.replace import replacing

if TYPE_CHECKING:
    from flowjax.commands.programs import Program
    from flowjax.parallel import CompiledProgram


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Options:
    """Options of the command besides the tables of a config."""

    target: str
    """Chips: v5e:AxB, v6e:AxB or v5p:AxBxC with the shape of the topology, such as v5e:16x16; or
    cpu:N. TPUs need pip install 'bert-flowjax[tpu]'."""
    what: str = ""
    """Programs, separated by commas: fit, log_prob, inverse, sample, encode; pretrain; or
    finetune. All of the config by default."""
    dim: Annotated[int | None, Range(1)] = None
    """Dimension of the vectors; by default that of the encoder."""
    batch: Annotated[int | None, Range(1)] = None
    """Examples per chip; by default the batch size of the config divided by the chips."""
    largest: bool = True
    """Find the largest batch that fits into the memory; compiles each program once more."""
    json: Path | None = None
    """Write the results to this file."""
    overwrite: bool = False
    """Replace the existing file of --json."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Args(_Options, FitConfig):
    """Compile the programs of a run for chips that are not present, and predict their cost.

    The predictions are lower bounds of the time, from the published peaks of a chip. `--config`
    takes a config of fit, fit-array, pretrain or finetune; by default that of fit.
    """

    CONFIG = FitConfig

    @staticmethod
    def for_config(file: str) -> type[_Options]:
        """Returns the class with the tables of a config file."""
        tables: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):  # `read_config` reports the error
            tables = tomllib.loads(Path(file).read_text("utf-8"))
        if "model" in tables:
            return PretrainArgs
        return FinetuneArgs if "objective" in tables else Args


@dataclasses.dataclass(frozen=True, kw_only=True)
class PretrainArgs(_Options, PretrainConfig):
    """Arguments with a config of `flowjax pretrain`."""

    CONFIG = PretrainConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class FinetuneArgs(_Options, FinetuneConfig):
    """Arguments with a config of `flowjax finetune`."""

    CONFIG = FinetuneConfig


def run(args: Args | PretrainArgs | FinetuneArgs) -> None:
    """Runs the command."""
    import jax

    if args.json is not None:
        check_output(args.json, overwrite=args.overwrite, suffixes=(".json",), flag="--json")
    kind, _, count = args.target.partition(":")
    with contextlib.suppress(RuntimeError):  # JAX has started, such as in a test
        jax.config.update("jax_platforms", "cpu")
        if kind == "cpu" and count.isdecimal() and int(count) > 0:
            jax.config.update("jax_num_cpu_devices", int(count))
    cached = jax.config.jax_enable_compilation_cache  # type: ignore[attr-defined]
    jax.config.update("jax_enable_compilation_cache", False)  # it would change compile times
    try:
        results = _results(args)
    finally:
        jax.config.update("jax_enable_compilation_cache", cached)
    if args.json is not None:
        with replacing(args.json) as new:
            new.write_text(json.dumps(results, indent=2) + "\n", "utf-8")


def _results(args: Args | PretrainArgs | FinetuneArgs) -> dict[str, Any]:
    from flowjax.commands.programs import programs
    from flowjax.parallel import largest_batch, open_target
    from flowjax.parallel.compiled import HOP_SECONDS

    target = open_target(args.target)
    names = tuple(name for name in args.what.split(",") if name)
    config = args.CONFIG(*(getattr(args, f.name) for f in dataclasses.fields(args.CONFIG)))
    found = []
    for program in programs(config, target, names, dim=args.dim, batch=args.batch):
        compiled = program.build(program.batch)
        most = largest_batch(program.build, program.batch, compiled) if args.largest else None
        found.append(facts(program, compiled, most))
        print("\n".join(lines(found[-1])), flush=True)
    chip = target.chip
    if chip is not None:
        print(f"peaks of {chip.kind}: {chip.source}; not measured")
    return {
        "target": target.name,
        "chips": target.size,
        "chip": chip._asdict() if chip else None,
        "assumed_seconds_per_hop": HOP_SECONDS,
        "programs": found,
    }


def facts(program: Program, compiled: CompiledProgram, most: int | None) -> dict[str, Any]:
    """Returns the results of a program as values of JSON."""
    chips = compiled.target.size
    bound = compiled.seconds_at_least()
    return {
        "program": program.name,
        "target": compiled.target.name,
        "chips": chips,
        "batch_per_chip": program.batch,
        "unit": program.unit,
        "compile_seconds": round(compiled.seconds, 2),
        "compile_cpu_seconds": round(compiled.cpu_seconds, 2),
        "argument_bytes": compiled.arguments,
        "scratch_bytes": compiled.scratch,
        "output_bytes": compiled.output,
        "aliased_bytes": compiled.aliased,
        "needed_bytes": compiled.needed,
        "fits": compiled.fits,
        "largest_batch_per_chip": most,
        "flops": compiled.flops,
        "bytes_moved": compiled.counts.bytes_moved,
        "bytes_at_least": compiled.bytes_at_least,
        "activation_bytes": compiled.activations,
        "collectives": compiled.counts.collectives,
        "operations": compiled.counts.operations,
        "float64": compiled.counts.float64,
        "host_callbacks": compiled.counts.callbacks,
        "seconds_at_least": bound,
        "examples_per_second_at_most": program.batch * chips / bound["total"] if bound else None,
        "efficiency_4_to_256": compiled.efficiency() if bound else None,
    }


def lines(found: dict[str, Any]) -> list[str]:
    """Returns the results of a program as lines of at most 80 columns."""
    step = "step" if found["program"] in ("fit", "pretrain", "finetune") else "call"
    memory = (
        f"{_bytes(found['argument_bytes'])} arguments, {_bytes(found['scratch_bytes'])} scratch, "
        f"{_bytes(found['output_bytes'])} output"
    )
    state = {True: "; fits", False: "; does not fit", None: ""}[found["fits"]]
    rows = [
        ("compile time", f"{found['compile_seconds']:.1f} s"),
        ("memory per chip", memory),
        ("needed per chip", f"{_bytes(found['needed_bytes'])}{state}"),
    ]
    if (most := found["largest_batch_per_chip"]) is not None:
        rows.append(("largest batch", f"{most:,} {found['unit']} per chip"))
    sent = ", ".join(f"{n} {op} of {_bytes(b)}" for op, (n, b) in found["collectives"].items())
    least = f"at least {_bytes(found['bytes_at_least'])} needed"
    rows += [
        ("operations", f"{found['flops']:.3g} per chip and {step}"),
        ("bytes moved", f"{_bytes(found['bytes_moved'])} per chip and {step}; {least}"),
        ("collectives", f"{sent or 'none'} per {step}"),
    ]
    if bound := found["seconds_at_least"]:
        parts = ", ".join(f"{name} {_time(bound[name])}" for name in bound if name != "total")
        rows += [
            (f"time per {step}", f"at least {_time(bound['total'])} ({parts})"),
            ("throughput", f"at most {found['examples_per_second_at_most']:,.0f} per second"),
            ("4 to 256 chips", f"efficiency {found['efficiency_4_to_256']:.2f}"),
        ]
    head = f"{found['program']}: {found['batch_per_chip']} {found['unit']} per chip, "
    head += f"{found['chips']} chip{'s' * (found['chips'] > 1)} of {found['target']}"
    return [head, *(f"  {name:<16} {text}" for name, text in rows)]


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.3g} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"
