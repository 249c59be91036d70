"""`flowjax score`: log-density of each sentence or row under a fitted flow."""

from __future__ import annotations

import dataclasses
import json
from itertools import islice

from flowjax.commands.flags import Positional
from flowjax.errors import FlowjaxError


@dataclasses.dataclass(frozen=True)
class Args:
    """Print the log-density, in nats, of the vector of each sentence, one per line.

    For a run of flowjax fit-array: the log-density of each row of an array.
    """

    run: Positional[str]
    """Run or model folder."""
    input: Positional[str]
    """Sentences: .txt, .jsonl, .csv, .tsv, .parquet, tfds:NAME[/SPLIT][:COLUMN], or - for standard
    input. Rows: .npy, .parquet or an embedding store."""
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
                print(json.dumps({"sentence": sentence, "log_prob": value}, ensure_ascii=False))
            else:
                print(f"{value:.4f}\t{sentence}")
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
