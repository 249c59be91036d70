"""`flowjax score`: log-density of each sentence or row under a fitted flow."""

from __future__ import annotations

import dataclasses
import json
import re
from itertools import islice

from flowjax.commands.flags import Positional
from flowjax.errors import FlowjaxError

# Characters at which a reader of the output would begin a new line or a new column.
_LINE_ENDS = re.compile(r"\r\n|[\t\n\v\f\r\x1c-\x1e\x85\u2028\u2029]")


@dataclasses.dataclass(frozen=True)
class Args:
    """Print the log-density, in nats, of the vector of each sentence, one per line.

    Line ends and tabs in a sentence are printed as spaces; --json keeps them.

    For a run of flowjax fit-array: the log-density of each row of an array.
    """

    run: Positional[str]
    """Run or model folder."""
    input: Positional[str]
    """Sentences, as in flowjax encode; - is standard input. Rows: .npy, .parquet or an embedding
    store."""
    column: str | None = None
    """Column of the sentences; for rows, the column of vectors or numeric columns."""
    json: bool = False
    """Print one JSON object per line."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.saving.flow import holds_flow

    if holds_flow(args.run):
        _score_rows(args)
    else:
        _score_sentences(args)


def _score_sentences(args: Args) -> None:
    from flowjax.data.sentences import open_source
    from flowjax.encoder.embed import CHUNK
    from flowjax.model import BertFlow

    model = BertFlow.load(args.run)
    sentences = iter(open_source(args.input, args.column))
    scored = 0
    # Blocks keep the memory constant.
    while block := list(islice(sentences, CHUNK)):
        for sentence, value in zip(block, model.log_prob(block).tolist(), strict=True):
            if args.json:
                line = json.dumps({"sentence": sentence, "log_prob": value}, ensure_ascii=False)
                # JSON allows these line ends inside of strings; readers of lines may split there.
                print(_LINE_ENDS.sub(lambda end: f"\\u{ord(end[0]):04x}", line))
            else:
                print(f"{value:.4f}\t{_LINE_ENDS.sub(' ', sentence)}")
        scored += len(block)
    if not scored:
        raise FlowjaxError(f"{args.input}: expected sentences, got none")


def _score_rows(args: Args) -> None:
    import jax
    import numpy as np

    from flowjax.data.arrays import ArraySource, open_rows
    from flowjax.fitting.passes import ROWS
    from flowjax.saving.flow import load_flow

    flow, params = load_flow(args.run)
    rows = open_rows(args.input, args.input, args.column)
    source = ArraySource(rows, name=args.input, resident=False)
    if source.dim != flow.dim:
        raise FlowjaxError(f"{args.input}: expected (n, {flow.dim}), got (n, {source.dim})")
    log_prob = jax.jit(flow.log_prob)
    for start in range(0, source.size, ROWS):
        numbers = range(start, min(start + ROWS, source.size))
        values = log_prob(params, source.take(np.array(numbers))["x"]).tolist()
        for row, value in zip(numbers, values, strict=True):
            print(json.dumps({"row": row, "log_prob": value}) if args.json else f"{value:.4f}")
