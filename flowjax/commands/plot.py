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

    figure = curves(read_metrics(args.run))
    print(plots.save(figure, args.out or args.run / "curves.png"))


def curves(rows: list[dict[str, Any]]) -> Any:
    """The figure of a flow's run (all its metrics) or of a pretraining (nats).

    Raises:
        ValueError: there is no row, or none with a loss.
    """
    from flowjax import plots

    if any("bits_per_dim" in row for row in rows):
        return plots.fit_curves(rows)
    keys = [name for name in ("loss", "heldout_loss") if any(name in row for row in rows)]
    return plots.loss_curves(rows, keys=keys, unit="nats")


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
