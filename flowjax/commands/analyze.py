"""`flowjax analyze`: isotropy, word frequency, lexical similarity and baselines, as a web page."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tyro.conf import Positional

from flowjax.commands import common


@dataclasses.dataclass(frozen=True)
class Args:
    """Measure a run's vectors before and after, and write a page with tables and pictures."""

    run: Positional[Path]
    """A run or model folder."""
    out: Path = Path("report")
    """A folder for index.html, report.json, and the tables and pictures as CSV and PNG."""
    tasks: str = "sample"
    """As in `flowjax evaluate`; the first gives the pairs of the pictures."""
    data_dir: Path | None = None
    """Where the tasks' files are."""
    rows: int = 5000
    """At most this many of the run's vectors, drawn at random, are measured for isotropy."""
    overwrite: bool = False
    """Replace a report that is there."""


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
        raise ValueError(f"--rows {args.rows}: expected at least 2")
    check_folder(args.out, overwrite=args.overwrite)
    tasks = load_tasks(args.tasks, args.data_dir)
    model = BertFlow.load(args.run)
    common.say("1/3 reading the run's vectors")
    vectors = run_vectors(model, args.run, fitted_sentences(args.run))
    for task in tasks:
        for note in task.notes:
            common.say(f"flowjax analyze: {task.name}: {note}")
    common.say("2/3 encoding the tasks' sentences")
    encoded = task_vectors(model, tasks)
    common.say("3/3 measuring and drawing")
    page = analysis_page(
        reported_model(model),
        vectors,
        encoded,
        ranked_words(model.encoder, vectors.sentences),
        command=common.typed("analyze", args),
        rows=args.rows,
    )
    index = write_report(page, args.out, overwrite=args.overwrite)
    show(page)
    print(index)


def show(page: Any) -> None:
    """The page's first numbers, for the terminal."""
    for fact in page.facts:
        print(f"{fact.label:<36} {fact.before:>8} -> {fact.after:>8}   ({fact.hint})")


def fitted_sentences(run: Path) -> Iterable[str] | None:
    """What a run was fitted on, where its config still leads there."""
    from flowjax.commands.fit import load_sentences
    from flowjax.config import FitConfig, read_config

    try:
        source = load_sentences(read_config(run / "config.toml", FitConfig))[0]
    except (ValueError, OSError):
        return None
    return None if source.is_stream else source
