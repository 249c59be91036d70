"""`flowjax plot`: a run's training curves."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from tyro.conf import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Draw a run's `metrics.jsonl` as `curves.png`."""

    run: Positional[Path]
    """A run folder."""
    out: Path | None = None
    """The picture; RUN/curves.png if left out."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax import plots

    path = plots.save(plots.loss_curves(read_metrics(args.run)), args.out or args.run / "curves.png")
    print(path)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The rows of a run's `metrics.jsonl`; a resumed run's repeated steps count once, the last.

    Raises:
        ValueError: no such file, or a line that is not JSON.
    """
    file = folder / "metrics.jsonl"
    if not file.exists():
        raise ValueError(f"{file}: expected a run's metrics, found no such file")
    rows: dict[int, dict[str, Any]] = {}
    lines = file.read_text("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            if number == len(lines):
                break  # the line that a kill cut short
            raise ValueError(f"{file}: line {number} is not JSON") from None
        rows = {step: r for step, r in rows.items() if step < row["step"]}
        rows[row["step"]] = row
    return list(rows.values())
