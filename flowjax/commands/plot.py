"""`flowjax plot`: training curves of a run."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

from flowjax.commands.flags import Positional
from flowjax.commands.outputs import check_output
from flowjax.errors import FlowjaxError
from flowjax.files.json import field, parse_object, typed
from flowjax.files.text import read_lines


@dataclasses.dataclass(frozen=True)
class Args:
    """Draw the training curves of a run from its metrics.jsonl."""

    run: Positional[Path]
    """Run folder."""
    out: Path | None = None
    """Image file (.png, .svg or .pdf); RUN/curves.png by default, which is replaced."""
    overwrite: bool = False
    """Replace the existing file of --out."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax import plots

    if args.out is not None:
        check_output(args.out, overwrite=args.overwrite, suffixes=(".png", ".svg", ".pdf"))
    figure = curves(read_metrics(args.run))
    print(plots.save(figure, args.out or args.run / "curves.png"))


def curves(rows: list[dict[str, Any]]) -> Any:
    """Returns the figure of the metrics of the fit of a flow, or of the losses of a pretraining.

    Raises:
        FlowjaxError: No row has a loss.
    """
    from flowjax import plots
    from flowjax.plots._style import drawn
    from flowjax.plots.training import panels_of

    if any("bits_per_dim" in row for row in rows):
        panels = len(panels_of(rows))
        return drawn(partial(plots.fit_curves, rows), panels, size=(4.2, 3.4))
    keys = [name for name in ("loss", "heldout_loss") if any(name in row for row in rows)]
    draw = partial(plots.loss_curves, rows, keys=keys, unit="nats")
    return drawn(draw, size=(6.4, 3.9))


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Returns the rows of `metrics.jsonl`, with only the last row of each repeated step.

    Raises:
        FlowjaxError: No such file, or a line that is not an object of numbers.
    """
    file = folder / "metrics.jsonl"
    if not file.exists():
        raise FlowjaxError(f"{file}: expected the metrics of a run, got no such file")
    rows: dict[int, dict[str, Any]] = {}
    lines = list(read_lines(file))
    for number, line in enumerate(lines, 1):
        name = f"{file}: line {number}"
        try:
            row = parse_object(line, name)
        except FlowjaxError:
            if number == len(lines):
                break  # cut short when the run was killed
            raise
        step = field(row, "step", int, name)
        for key, value in row.items():
            if not isinstance(value, float):  # a float may be NaN or infinite
                typed(value, float, f"{name}: {key}")
        rows = {old: r for old, r in rows.items() if old < step}
        rows[step] = row
    return list(rows.values())
