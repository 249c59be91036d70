"""Inputs of a pretraining run: tokenizer, packed text, model and initial parameters."""

from __future__ import annotations

import os
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from flowjax.config import PretrainConfig
from flowjax.encoder.bert import BertConfig
from flowjax.encoder.tokenizer import load_tokenizer, train_wordpiece
from flowjax.errors import FlowjaxError
from flowjax.files.text import read_lines
from flowjax.pretraining.cooccurrence import cooccurrence, ppmi_embeddings
from flowjax.pretraining.masked_lm import MaskedLM, Masking
from flowjax.pretraining.packed import pack_text
from flowjax.pretraining.starting_point import start_from

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Inputs(NamedTuple):
    """Inputs of a pretraining run.

    Attributes:
        tokenizer: tokenizer of the text.
        rows: packed training text, shape `(rows, length)`.
        heldout: packed held-out text, or None.
        model: masked language model.
        masking: masking rule.
        params: initial variables of the model.
    """

    tokenizer: Tokenizer
    rows: np.ndarray
    heldout: np.ndarray | None
    model: MaskedLM
    masking: Masking
    params: Any


def prepare(config: PretrainConfig, text: list[Path], heldout: list[Path], folder: Path) -> Inputs:
    """Prepares the inputs of a run; existing files in `folder` are reused.

    Args:
        config: configuration of the run.
        text: training files, one paragraph per line.
        heldout: held-out files; may be empty.
        folder: run folder, created if necessary.

    Raises:
        FlowjaxError: The text cannot be read or is too short, or the tokenizer lacks a special
            token.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = prepare_tokenizer(config, text, folder)
    length = config.data.length
    rows = pack_text(text, tokenizer, folder / "train.npy", length=length)
    held = None
    if heldout:
        held = pack_text(heldout, tokenizer, folder / "heldout.npy", length=length)
    sizes = bert_config(config, tokenizer.get_vocab_size())
    mask_id = tokenizer.token_to_id("[MASK]")
    if mask_id is None:
        raise FlowjaxError("tokenizer: expected a tokenizer with [MASK], got one without it")
    model = MaskedLM(sizes, dtype=jnp.dtype(config.train.dtype))
    masking = Masking(config.train.mask_rate, mask_id, sizes.vocab_size)
    params = initial_params(model, config.train.seed, rows, config, folder)
    return Inputs(tokenizer, rows, held, model, masking, params)


def prepare_tokenizer(config: PretrainConfig, paths: list[Path], folder: Path) -> Tokenizer:
    """Loads the tokenizer `data.tokenizer`, or trains a tokenizer on the text if it is empty.

    The trained tokenizer has at most `model.vocab_size` entries.
    """
    if config.data.tokenizer:
        return load_tokenizer(config.data.tokenizer)
    trained = folder / "tokenizer"
    if not (trained / "tokenizer.json").exists():
        lines_per_file = max(1, config.data.tokenizer_lines // len(paths))
        lines = chain.from_iterable(islice(read_lines(path), lines_per_file) for path in paths)
        tokenizer = train_wordpiece((line for line in lines if line), config.model.vocab_size)
        trained.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(trained / "tokenizer.json.partial"))
        os.replace(trained / "tokenizer.json.partial", trained / "tokenizer.json")
    return load_tokenizer(trained)


def bert_config(config: PretrainConfig, vocab_size: int) -> BertConfig:
    """Returns the `BertConfig` of the encoder to pretrain."""
    m = config.model
    return BertConfig(
        vocab_size=vocab_size,
        hidden_size=m.width,
        num_hidden_layers=m.layers,
        num_attention_heads=m.heads,
        intermediate_size=4 * m.width,
        max_position_embeddings=config.data.length,
        hidden_dropout_prob=m.dropout,
        attention_probs_dropout_prob=m.dropout,
        # BERT's 0.02 suits a width of 768; it makes the outputs of narrow layers almost zero.
        initializer_range=m.width**-0.5,
    )


def initial_params(
    model: MaskedLM, seed: int, rows: np.ndarray, config: PretrainConfig, folder: Path
) -> Any:
    """Returns the initial parameters of a run.

    The parameters are random. If `model.ppmi_rows` is set, the encoder starts from
    `starting_point.start_from`, with word embeddings that are stored in `folder / "ppmi.npy"`.
    """
    ids = jnp.zeros((1, 8), jnp.int32)
    params = model.init(jax.random.key(seed), ids, ids[:, :2])
    if not config.model.ppmi_rows:
        return params
    file = folder / "ppmi.npy"
    if not file.exists():
        counts = cooccurrence(rows[: config.model.ppmi_rows], model.config.vocab_size)
        table = ppmi_embeddings(
            counts, model.config.hidden_size, std=config.model.ppmi_std, seed=seed
        )
        np.save(folder / "ppmi.partial.npy", table)
        os.replace(folder / "ppmi.partial.npy", file)
    bert = start_from(params["params"]["bert"], model.config, np.load(file), seed=seed)
    return {"params": {**params["params"], "bert": bert}}
