"""`flowjax plot`: training curves of a run."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from flowjax.commands.flags import Positional
from flowjax.errors import FlowjaxError


@dataclasses.dataclass(frozen=True)
class Args:
    """Draw the training curves of a run from its metrics.jsonl."""

    run: Positional[Path]
    """Run folder."""
    out: Path | None = None
    """Image file; RUN/curves.png by default."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax import plots

    figure = curves(read_metrics(args.run))
    print(plots.save(figure, args.out or args.run / "curves.png"))


def curves(rows: list[dict[str, Any]]) -> Any:
    """Draws all metrics of the fit of a flow, or the losses of a pretraining in nats.

    Raises:
        FlowjaxError: No row has a loss.
    """
    from flowjax import plots

    if any("bits_per_dim" in row for row in rows):
        return plots.fit_curves(rows)
    keys = [name for name in ("loss", "heldout_loss") if any(name in row for row in rows)]
    return plots.loss_curves(rows, keys=keys, unit="nats")


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Returns the rows of `metrics.jsonl`, with only the last row of each repeated step.

    Raises:
        FlowjaxError: No such file, or a line that is not JSON.
    """
    file = folder / "metrics.jsonl"
    if not file.exists():
        raise FlowjaxError(f"{file}: expected the metrics of a run, got no such file")
    rows: dict[int, dict[str, Any]] = {}
    lines = file.read_text("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except ValueError:
            if number == len(lines):
                break  # cut short when the run was killed
            raise FlowjaxError(f"{file}: expected JSON in line {number}") from None
        rows = {step: r for step, r in rows.items() if step < row["step"]}
        rows[row["step"]] = row
    return list(rows.values())
