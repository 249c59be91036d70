"""`flowjax analyze`: report on a run's vectors: isotropy, word frequency, lexical similarity."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flowjax.commands.flags import Positional
from flowjax.commands.terminal import command_line, message
from flowjax.errors import FlowjaxError


@dataclasses.dataclass(frozen=True)
class Args:
    """Analyze the vectors of a run before and after the flow; write an HTML report."""

    run: Positional[Path]
    """Run or model folder."""
    out: Path = Path("report")
    """Folder of the report: index.html, report.json, tables as CSV and figures as PNG."""
    tasks: str = "sample"
    """Tasks, as in flowjax evaluate; the figures show the pairs of the first task."""
    data_dir: Path | None = None
    """Folder of the tasks' files."""
    rows: int = 5000
    """Maximum number of the run's vectors, drawn at random, for the isotropy metrics."""
    overwrite: bool = False
    """Replace an existing report."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.commands.evaluate import load_tasks
    from flowjax.commands.report_inputs import (
        ranked_words,
        reported_model,
        run_vectors,
        task_vectors,
    )
    from flowjax.model import BertFlow
    from flowjax.report import check_folder, write_report
    from flowjax.report.analysis import analysis_page

    if args.rows < 2:
        raise FlowjaxError(f"--rows: expected at least 2, got {args.rows}")
    check_folder(args.out, overwrite=args.overwrite)
    tasks = load_tasks(args.tasks, args.data_dir)
    model = BertFlow.load(args.run)
    message("1/3 reading the vectors of the run")
    vectors = run_vectors(model, args.run, fitted_sentences(args.run))
    for task in tasks:
        for note in task.notes:
            message(f"flowjax analyze: {task.name}: {note}")
    message("2/3 encoding the sentences of the tasks")
    encoded = task_vectors(model, tasks)
    message("3/3 computing metrics and drawing figures")
    page = analysis_page(
        reported_model(model),
        vectors,
        encoded,
        ranked_words(model.encoder, vectors.sentences),
        command=command_line("analyze", args),
        rows=args.rows,
    )
    index = write_report(page, args.out, overwrite=args.overwrite)
    show(page)
    print(index)


def show(page: Any) -> None:
    """Prints the main metrics of a report."""
    for fact in page.facts:
        print(f"{fact.label:<36} {fact.before:>8} -> {fact.after:>8}   ({fact.hint})")


def fitted_sentences(run: Path) -> Iterable[str] | None:
    """Returns the sentences that a run was fitted on, or None if its config or file is missing."""
    from flowjax.commands.fit import load_sentences
    from flowjax.config import FitConfig, read_config

    try:
        source = load_sentences(read_config(run / "config.toml", FitConfig))[0]
    except (ValueError, OSError):
        return None
    return None if source.is_stream else source
