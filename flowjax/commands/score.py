"""`flowjax score`: the log-density of each sentence, or row, under a fitted flow."""

from __future__ import annotations

import dataclasses
import json
from itertools import islice

from tyro.conf import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Print the log-density (nats) of each sentence's vector, a line a sentence.

    Of a run of `fit-array`: of each row of an array, a line a row.
    """

    run: Positional[str]
    """A run or model folder."""
    input: Positional[str]
    """.txt, .jsonl, .csv, .tsv, .parquet, tfds:NAME, or - for standard input; for rows a .npy,
    .parquet or embedding store."""
    column: str | None = None
    """The input's column with the sentences (rows: the column of vectors, or numeric columns)."""
    json: bool = False
    """One JSON object a line."""


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
    # A block at a time: memory does not grow with the input.
    while block := list(islice(sentences, CHUNK)):
        for sentence, value in zip(block, model.log_prob(block).tolist(), strict=True):
            if args.json:
                print(json.dumps({"sentence": sentence, "log_prob": value}, ensure_ascii=False))
            else:
                print(f"{value:.4f}\t{sentence}")
        scored += len(block)
    if not scored:
        raise ValueError(f"{args.input}: expected sentences, found none")


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
        raise ValueError(f"{args.input}: expected (n, {flow.dim}), got (n, {source.dim})")
    log_prob = jax.jit(flow.log_prob)
    for start in range(0, source.size, ROWS):
        numbers = range(start, min(start + ROWS, source.size))
        values = log_prob(params, source.take(np.array(numbers))["x"]).tolist()
        for row, value in zip(numbers, values, strict=True):
            print(json.dumps({"row": row, "log_prob": value}) if args.json else f"{value:.4f}")
