"""`flowjax score`: the log-density of each sentence under a fitted flow."""

from __future__ import annotations

import dataclasses
import json

from tyro.conf import Positional


@dataclasses.dataclass(frozen=True)
class Args:
    """Print the log-density (nats) of each sentence's vector, a line a sentence."""

    run: Positional[str]
    """A run or model folder."""
    input: Positional[str]
    """A file of sentences, or - for standard input."""
    column: str | None = None
    """The input's column with the sentences."""
    json: bool = False
    """One JSON object a line."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.data.sentences import SentenceFile
    from flowjax.model import BertFlow

    model = BertFlow.load(args.run)
    sentences = list(SentenceFile(args.input, args.column))
    if not sentences:
        raise ValueError(f"{args.input}: expected sentences, found an empty file")
    for sentence, value in zip(sentences, model.log_prob(sentences).tolist(), strict=True):
        if args.json:
            print(json.dumps({"sentence": sentence, "log_prob": value}, ensure_ascii=False))
        else:
            print(f"{value:.4f}\t{sentence}")
