"""`flowjax analyze`: report on a run's vectors: isotropy, word frequency, lexical similarity."""

from __future__ import annotations

import dataclasses
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from flowjax.commands.flags import Positional
from flowjax.commands.terminal import command_line, message
from flowjax.config.ranges import Range
from flowjax.errors import FlowjaxError

if TYPE_CHECKING:
    from flowjax.config import FitConfig
    from flowjax.report.blocks import Page


@dataclasses.dataclass(frozen=True)
class Args:
    """Analyze the vectors of a run before and after the flow; write a page.

    With --array: the vectors of any model, without text; also for a run of
    flowjax fit-array.
    """

    run: Positional[Path]
    """Run or model folder."""
    out: Path = Path("report")
    """Folder of the report: index.html, report.json, tables as CSV, and figures."""
    format: Literal["png", "svg", "pdf"] = "png"
    """Format of the figures; a page contains PNG if the format is pdf."""
    tasks: str = ""
    """Tasks, as in flowjax evaluate; the figures show the pairs of the first task. By default the
    tasks that the run was fitted on; without tasks, only the vectors of the run are analyzed."""
    columns: str | None = None
    """Columns of the files in --tasks, as in flowjax evaluate."""
    delimiter: str | None = None
    """Text between the cells of the files in --tasks, as in flowjax evaluate."""
    data_dir: Path | None = None
    """Folder of the tasks' files. For the tasks that the run was fitted on, the default is the
    folder in the config of the run."""
    array: str = ""
    """Plain vectors to analyze instead of those of the run: .npy, .parquet, .safetensors or an
    embedding store; not with --tasks."""
    array_columns: str | None = None
    """Column of vectors or numeric columns of a .parquet file; tensor of a .safetensors file."""
    rows: Annotated[int, Range(2)] = 5000
    """Maximum number of vectors, drawn at random, for the isotropy metrics."""
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
    from flowjax.encoder.embed import SentenceEncoder
    from flowjax.model import BertFlow
    from flowjax.report import check_folder
    from flowjax.report.analysis import analysis_page
    from flowjax.saving.flow import holds_flow

    check_folder(args.out, overwrite=args.overwrite)
    if args.array:
        page = _array_page(args)
        print(_written(page, args))
        return
    config = fitted_config(args.run)
    tasks = []
    if args.tasks or args.columns or args.delimiter:
        tasks = load_tasks(args.tasks, args.data_dir, args.columns, args.delimiter)
    elif names := fitted_tasks(config):
        folder = args.data_dir or (Path(config.data.dir) if config and config.data.dir else None)
        try:
            tasks = load_tasks(names, folder)
        except FlowjaxError as error:
            message(
                f"flowjax analyze: {names}: omitted the tasks that the run was fitted on: {error}"
            )
    if holds_flow(args.run):
        raise FlowjaxError(
            f"{args.run}: expected a model of sentences, got a flow of arrays; give the vectors "
            "with --array"
        )
    model = BertFlow.load(args.run)
    encoder = model.encoder
    if not isinstance(encoder, SentenceEncoder):  # its weights would not be in the folder
        raise FlowjaxError(f"{args.run}: expected an encoder with weights, got {encoder.name}")
    steps = 3 if tasks else 2
    message(f"1/{steps} reading the vectors of the run")
    vectors = run_vectors(model, args.run, fitted_sentences(config))
    for task in tasks:
        for note in task.notes:
            message(f"flowjax analyze: {task.name}: {note}")
    if tasks:
        message("2/3 encoding the sentences of the tasks")
    encoded = task_vectors(model, tasks, fitted_on=fitted_sentences(config))
    message(f"{steps}/{steps} computing metrics and drawing figures")
    page = analysis_page(
        reported_model(model, config),
        vectors,
        encoded,
        ranked_words(encoder, vectors.sentences),
        command=command_line("analyze", args),
        rows=args.rows,
    )
    print(_written(page, args))


def _array_page(args: Args) -> Page:
    from flowjax.commands.array_report import page_of_array

    for flag in ("tasks", "columns", "delimiter", "data_dir"):
        if getattr(args, flag):
            raise FlowjaxError(
                f"--{flag.replace('_', '-')}: expected none with --array, which has no text, got "
                f"{getattr(args, flag)}"
            )
    command = command_line("analyze", args)
    return page_of_array(
        str(args.run), args.array, args.array_columns, command=command, rows=args.rows
    )


def _written(page: Page, args: Args) -> Path:
    """Writes a report, prints its main metrics, and returns the path of its page."""
    from flowjax.report import write_report

    index = write_report(page, args.out, overwrite=args.overwrite, image=args.format)
    show(page)
    return index


def show(page: Page) -> None:
    """Prints the main metrics of a report."""
    for fact in page.facts:
        values = ", ".join(f"{kind} {value}" for kind, value in fact.values)
        print(textwrap.fill(f"{fact.label}: {values} ({fact.hint})", 80, subsequent_indent="    "))


def fitted_config(run: Path) -> FitConfig | None:
    """Returns the config of a run, or None for a model folder or a run of another command."""
    from flowjax.config import FitConfig, read_config

    try:
        return read_config(run / "config.toml", FitConfig)
    except (ValueError, OSError):
        return None


def fitted_tasks(config: FitConfig | None) -> str:
    """Returns the names of the tasks that a run was fitted on; empty if it was fitted on files."""
    from flowjax.evaluation import TASKS

    wanted = config.data.fit if config else ""
    return wanted if all(name in TASKS or wanted == "sample" for name in wanted.split(",")) else ""


def fitted_sentences(config: FitConfig | None) -> Iterable[str] | None:
    """Returns the sentences that a run was fitted on, or None if its config or file is missing."""
    from flowjax.commands.fit import load_sentences

    if config is None:
        return None
    try:
        source = load_sentences(config)[0]
    except (ValueError, OSError):
        return None
    return None if source.is_stream else source
