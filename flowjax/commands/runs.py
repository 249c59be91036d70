"""Run folders with `config.toml` and `metrics.jsonl`, and the progress bar of a training run."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowjax.commands.signals import stopping_loop
from flowjax.config import read_config, write_config
from flowjax.errors import FlowjaxError


def open_run(out: Path, config: Any, *, command: str, overwrite: bool) -> None:
    """Makes a run folder with its `config.toml`, or accepts an unfinished run of the same config.

    Process 0 does so, and the other processes wait for it.

    Raises:
        FlowjaxError: The folder holds a finished run, a run of another config, or other files.
    """
    from flowjax.parallel import processes

    with processes.first_alone() as first:
        if first:
            _open_run(out, config, command, overwrite)


def _open_run(out: Path, config: Any, command: str, overwrite: bool) -> None:
    file, partial = out / "config.toml", out / ".config.toml.partial"
    partial.unlink(missing_ok=True)  # left by a run that was killed while it wrote its config
    if out.exists() and any(out.iterdir()):
        if not file.exists():
            raise FlowjaxError(
                f"{out}: expected a new folder or a run, got a folder of other files"
            )
        if not overwrite and (out / "model").exists():
            raise FlowjaxError(
                f"{out}: expected a new folder, got a finished run; use --overwrite"
            )
        if not overwrite:
            check_same(read_config(file, type(config)), config, out)
            return
        shutil.rmtree(out)
    out.mkdir(parents=True, exist_ok=True)
    write_config(config, partial, f"flowjax {command} --config {file} --out {out}")
    os.replace(partial, file)


def check_same(found: Any, wanted: Any, out: Path) -> None:
    """Raises FlowjaxError with the first field in which two configs differ."""
    for table in dataclasses.fields(wanted):
        a, b = getattr(found, table.name), getattr(wanted, table.name)
        for field in dataclasses.fields(b):
            old, new = getattr(a, field.name), getattr(b, field.name)
            if old != new:
                raise FlowjaxError(
                    f"{out}: expected an unfinished run with {table.name}.{field.name} = {new!r}, "
                    f"got one with {old!r}; use that value, another folder, or --overwrite"
                )


@contextmanager
def recorded(
    out: Path, label: str, steps: int | None, note: Callable[[dict[str, float]], str]
) -> Iterator[Callable[[dict[str, float]], None]]:
    """Context manager for a training loop, which a signal stops after its current step.

    Args:
        out: the run folder.
        label: text of the progress bar.
        steps: total number of steps, or None if it is unknown.
        note: returns the text after the progress bar for a row of metrics.

    Yields:
        `on_step(row)`, which appends a row of metrics to `metrics.jsonl` (on process 0) and
        advances the progress bar.
    """
    from flowjax.parallel import processes
    from flowjax.progress import track

    file = _open_lines(out / "metrics.jsonl") if processes.is_first() else None
    seen = 0
    with stopping_loop(), track(label, steps, unit="steps") as advance:

        def on_step(row: dict[str, float]) -> None:
            nonlocal seen
            if file:
                file.write(json.dumps(row).encode() + b"\n")
            advance(int(row["step"]) - seen, note=note(row))
            seen = int(row["step"])

        try:
            yield on_step
        finally:
            if file:
                file.close()


def _open_lines(path: Path) -> Any:
    """Opens a file of lines for appending, unbuffered, and ends a line that a kill cut short."""
    file = path.open("a+b", buffering=0)
    if file.tell():
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.write(b"\n")
    return file


def fit_note(row: dict[str, float]) -> str:
    """Returns the text after the progress bar of a fit."""
    return f"{row['bits_per_dim']:.4f} bits/dim {row['rows_per_s']:,.0f} rows/s"
