"""`flowjax evaluate`: agreement of cosine similarities with gold scores or labels."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from flowjax.commands.flags import Positional
from flowjax.commands.outputs import check_output
from flowjax.commands.terminal import command_line, message
from flowjax.errors import FlowjaxError
from flowjax.files.replace import replacing

SAMPLE_NOTE = (
    "a single annotator scored the embedded pairs; use them to try the commands, and other tasks "
    "to compare methods"
)


@dataclasses.dataclass(frozen=True)
class Args:
    """Evaluate plain, standardized, whitened and calibrated vectors on tasks.

    Standardization and whitening are fitted on the training data of the run.
    """

    run: Positional[str]
    """Run or model folder."""
    tasks: str = "stsb"
    """Tasks, separated by commas: stsb, sickr, sts12 to sts16, qnli; sample (embedded pairs); or
    files of labelled pairs (.tsv, .txt, .csv or .jsonl, also .gz, .xz, .bz2 or .zst)."""
    columns: str | None = None
    """Columns of the files in --tasks with the score and the two sentences, such as label,a,b;
    positions such as 3,1,2 for a file without a header. By default score (or label), sentence1,
    sentence2."""
    delimiter: str | None = None
    """Text between the cells of the files in --tasks, such as ';' or '||'; by default a tab for
    .tsv and .txt, and a comma for .csv."""
    data_dir: Path | None = None
    """Folder of the tasks' files."""
    json: Path | None = None
    """JSON file for the results."""
    report: Path | None = None
    """Folder for an HTML report with tables and figures."""
    format: Literal["png", "svg", "pdf"] = "png"
    """Format of the figures; a page contains PNG if the format is pdf."""
    subsets: bool = False
    """Print a row for each subset of STS12 to STS16 too."""
    overwrite: bool = False
    """Replace the existing file of --json and report of --report."""


def run(args: Args) -> None:
    """Runs the command."""
    from rich.console import Console

    from flowjax.compare import compare
    from flowjax.evaluation import rich_table, verdict
    from flowjax.model import BertFlow

    if args.json is not None:
        check_output(args.json, overwrite=args.overwrite, suffixes=(".json",), flag="--json")
    if args.report is not None:
        from flowjax.report import check_folder

        check_folder(args.report, overwrite=args.overwrite, flag="--report")
    model = BertFlow.load(args.run)
    tasks = load_tasks(args.tasks, args.data_dir, args.columns, args.delimiter)
    plain: dict[str, Any] = {}
    report = compare(model, tasks, keep=plain)
    for task, notes in report["notes"].items():
        for note in notes:
            message(f"flowjax evaluate: {task}: {note}")
    fitted = report["model"]
    title = f"{fitted['encoder']}, {fitted['pooling']}, fitted on {fitted.get('data', '?')}"
    # rich cuts tables to 80 columns if the output is not a terminal.
    console = Console() if Console().is_terminal else Console(width=160)
    console.print(rich_table(report, subsets=args.subsets, title=title))
    message(verdict(report, model.vectors_name), sys.stdout)
    if args.json is not None:
        with replacing(args.json) as new:
            new.write_text(json.dumps(report, indent=2) + "\n", "utf-8")
    if args.report is not None:
        print(write_page(args, model, report, tasks, plain))


def write_page(
    args: Args,
    model: Any,
    results: Mapping[str, Any],
    tasks: list[Any],
    plain: Mapping[str, Any],
) -> Path:
    """Writes the HTML report and returns the path of its page."""
    from flowjax.commands.analyze import fitted_config, fitted_sentences
    from flowjax.commands.plot import read_metrics
    from flowjax.commands.report_inputs import reported_model, task_vectors
    from flowjax.report import write_report
    from flowjax.report.evaluation import evaluation_page

    metrics = Path(args.run) / "metrics.jsonl"
    rows = read_metrics(metrics.parent) if metrics.exists() else []
    config = fitted_config(Path(args.run))
    page = evaluation_page(
        reported_model(model, config),
        results,
        task_vectors(model, tasks, plain, fitted_sentences(config)),
        command=command_line("evaluate", args),
        metrics=rows,
    )
    options: dict[str, Any] = {"flag": "--report", "image": args.format}
    return write_report(page, args.report, overwrite=args.overwrite, **options)  # type: ignore[arg-type]


def load_tasks(
    names: str, data_dir: Path | None, columns: str | None = None, delimiter: str | None = None
) -> list[Any]:
    """Reads the tasks of a comma-separated list of names and files.

    Args:
        names: value of `--tasks`.
        data_dir: folder of the tasks' files.
        columns: value of `--columns`, see `evaluation.load_pairs`.
        delimiter: value of `--delimiter`; `tab` is a tab.

    Raises:
        FlowjaxError: An unknown or repeated task, missing files, or options without effect.
    """
    from flowjax.data.sample import pairs_file
    from flowjax.evaluation import TASKS, load_pairs, load_task
    from flowjax.files.text import split_suffix

    chosen = None if columns is None else [name.strip() for name in columns.split(",")]
    if chosen and all(name.isdecimal() for name in chosen):
        chosen = [int(name) for name in chosen]  # type: ignore[misc]
    cells = {"tab": "\t", "\\t": "\t"}.get(delimiter or "", delimiter)
    wanted = list(filter(None, names.split(",")))
    stems = Counter(split_suffix(name)[0] for name in wanted)
    tasks, files = [], 0
    for name in wanted:
        if name == "sample":
            sample = load_pairs(pairs_file(), name="sample")
            tasks.append(dataclasses.replace(sample, notes=(SAMPLE_NOTE,)))
        elif name in TASKS:
            if data_dir is None:
                raise FlowjaxError(f"--tasks {name}: expected --data-dir, the folder of its files")
            tasks.append(load_task(name, data_dir))
        elif Path(name).exists():
            stem = split_suffix(name)[0]  # many data sets name their file test.tsv
            own = f"{Path(name).absolute().parent.name}/{stem}" if stems[stem] > 1 else stem
            tasks.append(load_pairs(name, name=own, columns=chosen, delimiter=cells))
            files += 1
        else:
            raise FlowjaxError(f"--tasks {name}: expected {', '.join(TASKS)}, sample or a file")
    if not tasks:
        raise FlowjaxError(f"--tasks: expected at least one task, got {names!r}")
    if not files and (columns is not None or delimiter is not None):
        raise FlowjaxError(f"--columns, --delimiter: expected a file in --tasks, got {names}")
    known = [task.name for task in tasks]
    if twice := sorted({name for name in known if known.count(name) > 1}):
        raise FlowjaxError(f"--tasks {names}: expected different names, got {twice} twice")
    return tasks
