"""`flowjax check`: does calibration help on these sentences or vectors?"""

from __future__ import annotations

import dataclasses
import json
import shlex
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from flowjax.commands.flags import Positional
from flowjax.commands.terminal import command_line
from flowjax.config.ranges import SEED, Range
from flowjax.errors import FlowjaxError
from flowjax.literals import DEFAULT_ENCODER


@dataclasses.dataclass(frozen=True)
class Args:
    """Measure without labels whether calibration helps on sentences or vectors.

    Prints one sentence of advice with its interval, and a table. Related
    sentences are neighbours in a document; without documents, a sentence and a
    copy of it with dropped words.
    """

    text: Positional[str] = ""
    """Text: files (.txt, .jsonl, .json, .csv, .tsv, .parquet; also .gz, .xz, .bz2, .zst), as a
    path, as several paths separated by commas, or as a pattern in quotes;
    tfds:NAME[/SPLIT][:COLUMN]; sample; or - for standard input. Blank lines separate documents;
    otherwise a line of several sentences is a document."""
    encoder: str = DEFAULT_ENCODER
    """Encoder: minibert-nli or minibert (embedded), a folder, or a name on the Hugging Face
    Hub."""
    column: str | None = None
    """Column of the text in the input; sentence or text by default."""
    array: str = ""
    """Vectors instead of text: .npy, .parquet, .safetensors, or an embedding store."""
    neighbours: bool = False
    """The rows of --array are consecutive sentences."""
    documents: str = ""
    """File with the number of the document of each row of --array, whose rows are consecutive
    sentences."""
    pairs: tuple[str, ...] = ()
    """Two files of vectors, LEFT RIGHT, whose rows are related pairs; with or without --array."""
    pooling: str = "auto"
    """Pooling: cls, pooler, mean, last2, first_last, embeddings_last, or auto: the pooling in a
    folder of sentence-transformers, otherwise first_last."""
    max_length: Annotated[int | None, Range(3)] = None
    """Maximum number of tokens per sentence; by default the length in a folder of
    sentence-transformers, otherwise 64."""
    prompt: str = ""
    """Text in front of every sentence, such as 'query: '."""
    flow: str = "glow"
    """Name of the flow, as in flowjax fit."""
    steps: Annotated[int | None, Range(1)] = None
    """Training steps of the flow; by default as in flowjax fit."""
    rows: Annotated[int, Range(200)] = 5000
    """Maximum number of sentences or rows; a random sample of a larger input is used."""
    seed: Annotated[int, SEED] = 0
    """Seed of the sample, the division, the fit and the intervals."""
    out: Path | None = None
    """Folder of an HTML page with figures: index.html, report.json, check.csv, and figures."""
    format: Literal["png", "svg", "pdf"] = "png"
    """Format of the figures; a page contains PNG if the format is pdf."""
    overwrite: bool = False
    """Replace an existing page."""
    json: bool = False
    """Print the advice, the table and the facts as JSON."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.calibration.check import check
    from flowjax.report import check_folder

    given = [bool(args.text), bool(args.array or args.pairs)]
    if sum(given) != 1:
        got = "both" if all(given) else "none"
        raise FlowjaxError(f"TEXT: expected text, or --array or --pairs, got {got}")
    if args.text.endswith((".npy", ".npz", ".safetensors")):
        raise FlowjaxError(f"{args.text}: expected text, got vectors; use --array {args.text}")
    if args.pairs and len(args.pairs) != 2:
        raise FlowjaxError(f"--pairs: expected two files, LEFT RIGHT, got {len(args.pairs)}")
    if args.out is not None:
        check_folder(args.out, overwrite=args.overwrite)
    found = check(
        _source(args),
        args.encoder,
        column=None if args.text == "sample" else args.column,
        array=args.array or None,
        neighbours=args.neighbours,
        documents=args.documents or None,
        pairs=args.pairs or None,
        pooling=cast(Any, args.pooling),
        max_length=args.max_length or "auto",
        prompt=args.prompt,
        flow=cast(Any, args.flow),
        steps=args.steps,
        most=args.rows,
        seed=args.seed,
    )
    page = None
    if args.out is not None:
        command = command_line("check", args, positional="text")
        page = found.save(args.out, overwrite=args.overwrite, command=command, image=args.format)
    if args.json:
        print(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
        return
    print(found)
    if found.recommended not in (None, "plain"):
        print(f"\nfit it: {fit_command(args, *found.recipe)}")
    if page is not None:
        print(f"\n{page}")


def fit_command(args: Args, name: str, options: dict[str, Any]) -> str:
    """Returns the command that fits a recipe on the data of a check.

    Example:
        >>> fit_command(Args("a.txt"), "whitening", {"power": 0.5})
        'flowjax fit --data a.txt --flow whitening --flow.power 0.5 --out RUN'
    """
    words = ["flowjax", "fit", "--data", args.text]
    if args.array or args.pairs:
        words = ["flowjax", "fit-array", args.array or "ROWS.npy"]
    for flag, given, default in (
        ("--encoder", args.encoder, DEFAULT_ENCODER),
        ("--encoder.pooling", args.pooling, "auto"),
        ("--encoder.max-length", args.max_length, None),
        ("--data.column", args.column, None),
    ):
        words += [flag, str(given)] if args.text and given != default else []
    words += ["--flow", name]
    for key, value in options.items():
        words += [f"--flow.{key.replace('_', '-')}", str(value)]
    return shlex.join([*words, "--out", "RUN"])


def _source(args: Args) -> Any:
    if args.text != "sample":
        return args.text or None
    from flowjax.data.sample import sentences_file

    return sentences_file()
