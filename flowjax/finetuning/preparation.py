"""Inputs of a fine-tuning run: encoder, examples, token ids and held-out measures."""

from __future__ import annotations

import logging
import math
from typing import Any, NamedTuple

import numpy as np

from flowjax.config import FinetuneConfig
from flowjax.encoder.embed import CHUNK, SentenceEncoder
from flowjax.encoder.modules import Settings
from flowjax.encoder.pretrained import Parts, load_parts
from flowjax.errors import FlowjaxError, check_integer
from flowjax.finetuning.examples import Examples, mnr_examples, nli_examples, simcse_examples
from flowjax.finetuning.selection import Measures
from flowjax.finetuning.source import TokenTable
from flowjax.parallel import devices

logger = logging.getLogger("flowjax")


class Inputs(NamedTuple):
    """Inputs of a run.

    Attributes:
        parts: parts of the encoder; the settings are those of the result.
        examples: training examples.
        table: token ids of the texts of the examples.
        measures: measures on held-out sentences.
        counts: counts of texts and examples, for the log and the report.
        steps: number of training steps.
    """

    parts: Parts
    examples: Examples
    table: TokenTable
    measures: Measures
    counts: dict[str, Any]
    steps: int


def prepare(config: FinetuneConfig) -> Inputs:
    """Reads the encoder and the data of a run, and logs their counts.

    Args:
        config: config of the run, resolved.

    Raises:
        FlowjaxError: The encoder or the data cannot be used, or a number does not fit them.
    """
    train, data = config.train, config.data
    devices.check_batch(batch_size_of(config), devices.make_mesh(), train.accumulate)
    encoder, parts = load_encoder(config)
    examples = read_examples(config)
    held: list[str] = []
    if train.select == "retrieval":
        chosen = held_numbers(examples.texts, data.heldout, train.seed)
        held = [examples.texts[i] for i in chosen]
        examples = examples.without(chosen)
    count = len(examples.sentences)
    check_integer("train.batch_size", batch_size_of(config), 1, max(1, count))
    measures = Measures(encoder, held, data.dir, train.seed)
    encoder.report = type(encoder.report)()
    tokens = [
        ids
        for start in range(0, len(examples.texts), CHUNK)
        for ids in encoder.tokenize(examples.texts[start : start + CHUNK])
    ]
    counts: dict[str, Any] = {
        "examples": count,
        "sentences": len(tokens),
        "truncated": encoder.report.cut,
    }
    counts |= {"left_out": examples.left_out}
    logger.info(
        "%s: %d examples of %d distinct sentences, %d truncated to %d tokens",
        *(data.train, count, len(tokens), encoder.report.cut, config.encoder.max_length),
    )
    for reason, number in examples.left_out.items():
        logger.info("%s: %d rows are no examples: %s", data.train, number, reason)
    steps = train.steps or max(1, math.ceil((train.epochs or 1) * count / batch_size_of(config)))
    return Inputs(parts, examples, TokenTable.of(tokens), measures, counts, steps)


def batch_size_of(config: FinetuneConfig) -> int:
    """Returns the number of examples of a step of a resolved config."""
    return config.train.batch_size or 1


def load_encoder(config: FinetuneConfig) -> tuple[SentenceEncoder, Parts]:
    """Returns the encoder at the start, and its parts with the settings of the result."""
    options = config.encoder
    pooling = options.pooling or "mean"
    parts = load_parts(options.name, pooling, None)
    check_integer("encoder.max_length", options.max_length, 3, parts.config.max_length)
    # The saved tokenizer lower-cases the text, and the training uses no prompts.
    settings = Settings(pooling, options.max_length)
    parts = parts._replace(settings=settings)
    chosen: dict[str, Any] = {
        "pooling": pooling,
        "max_length": options.max_length,
        "dtype": options.dtype,
    }
    model = (parts.params, parts.config, parts.tokenizer)
    return SentenceEncoder(*model, name=options.name, **chosen), parts


def read_examples(config: FinetuneConfig) -> Examples:
    """Returns the training examples of the objective of a config."""
    data = config.data
    if not data.train:
        raise FlowjaxError("--data: expected files to train on, got none")
    columns = [name.strip() for name in data.columns.split(",") if name.strip()]
    if config.objective.name == "simcse":
        if len(columns) > 1:
            raise FlowjaxError(f"data.columns: expected one column, got {data.columns!r}")
        return simcse_examples(data.train, *columns)
    read = nli_examples if config.objective.name == "nli" else mnr_examples
    return read(data.train, columns=columns, joined=data.detokenize)


def held_numbers(texts: list[str], count: int, seed: int) -> np.ndarray:
    """Returns the numbers of the texts that are held out, at most a tenth of all."""
    count = min(count, len(texts) // 10)
    return np.sort(np.random.default_rng(seed).choice(len(texts), count, replace=False))
