"""`flowjax score`: log-density of each sentence or row under a fitted flow."""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import Annotated, Any

from flowjax.commands.flags import Positional
from flowjax.commands.terminal import json_line, one_line
from flowjax.config.ranges import Range
from flowjax.errors import FlowjaxError

# A log-density in nats, and a sentence or the number of a row.
Scored = tuple[float, Any]


@dataclasses.dataclass(frozen=True)
class Args:
    """Print the log-density, in nats, of the vector of each sentence, one per line.

    Line ends and tabs in a sentence are printed as spaces; --json keeps them.

    For an array: the log-density of each row.
    """

    run: Positional[str]
    """Run or model folder."""
    input: Positional[str]
    """Sentences, as in flowjax encode; - is standard input. Or plain vectors: .npy, .safetensors,
    an embedding store, or .parquet with a column of vectors and without a column of sentences."""
    column: str | None = None
    """Column of the sentences; of an array, the column of vectors, numeric columns separated by
    commas, or the tensor."""
    top: Annotated[int | None, Range(1)] = None
    """Print only this many sentences or rows, those with the highest density, the highest
    first."""
    bottom: Annotated[int | None, Range(1)] = None
    """Print only this many sentences or rows, those with the lowest density, the lowest first:
    outliers."""
    json: bool = False
    """Print one JSON object per line."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.data.arrays import holds_rows
    from flowjax.saving.flow import holds_flow

    of_rows = holds_flow(args.run) or holds_rows(args.input, args.column)
    scored = selected(_rows(args) if of_rows else _sentences(args), args.top, args.bottom)
    for value, item in scored:
        if args.json:
            entry = {"row" if of_rows else "sentence": item, "log_prob": value}
            print(json_line(entry))
        elif isinstance(item, str):
            print(f"{value:.4f}\t{one_line(item)}")
        else:
            print(f"{value:.4f}" if args.top is args.bottom is None else f"{value:.4f}\t{item}")


def selected(scored: Iterable[Scored], top: int | None, bottom: int | None) -> Iterable[Scored]:
    """Returns the items with the highest or the lowest values in this order, or all items.

    Args:
        scored: `(value, item)` pairs; only the returned pairs are kept in memory.
        top: number of items with the highest values, or None.
        bottom: number of items with the lowest values, or None.

    Raises:
        FlowjaxError: Both numbers are given.

    Example:
        >>> selected([(2.0, "a"), (3.0, "b"), (1.0, "c")], None, 2)
        [(1.0, 'c'), (2.0, 'a')]
    """
    if top is not None and bottom is not None:
        raise FlowjaxError("--top: expected none if --bottom is given, got both")
    if bottom is not None:
        return heapq.nsmallest(bottom, scored, key=itemgetter(0))
    return scored if top is None else heapq.nlargest(top, scored, key=itemgetter(0))


def _sentences(args: Args) -> Iterator[Scored]:
    from flowjax.data.sentences import open_source
    from flowjax.encoder.embed import CHUNK
    from flowjax.model import BertFlow

    model = BertFlow.load(args.run)
    sentences = iter(open_source(args.input, args.column))
    scored = 0
    # Blocks keep the memory constant.
    while block := list(islice(sentences, CHUNK)):
        yield from zip(model.log_prob(block).tolist(), block, strict=True)
        scored += len(block)
    if not scored:
        raise FlowjaxError(f"{args.input}: expected sentences, got none")


def _rows(args: Args) -> Iterator[Scored]:
    from flowjax.commands.transform import load_unconditional, open_plain
    from flowjax.data.blocks import RowBlocks
    from flowjax.flows.arrays import ROWS, ArrayCalls

    flow, params = load_unconditional(args.run)
    source = open_plain(args.input, args.column, flow.dim, args.run)
    calls, row = ArrayCalls(flow), 0
    for block in RowBlocks(source, ROWS):
        values = calls.log_prob(params, block).tolist()
        yield from zip(values, range(row, row + len(block)), strict=True)
        row += len(block)
