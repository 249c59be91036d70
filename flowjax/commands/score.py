"""`flowjax score`: the log-density of each sentence under a fitted flow."""

from __future__ import annotations

import dataclasses
import json
from itertools import islice

from tyro.conf import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Print the log-density (nats) of each sentence's vector, a line a sentence."""

    run: Positional[str]
    """A run or model folder."""
    input: Positional[str]
    """.txt, .jsonl, .csv, .tsv, .parquet, tfds:NAME, or - for standard input."""
    column: str | None = None
    """The input's column with the sentences."""
    json: bool = False
    """One JSON object a line."""


def run(args: Args) -> None:
    """Runs the command."""
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
