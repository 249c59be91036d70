"""Configs: frozen dataclasses, read from TOML, every field checked by name."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class PretrainData:
    """The text of a pretraining."""

    tokenizer: str = ""
    """Folder of a tokenizer to use; empty trains one on the text."""
    tokenizer_lines: int = 280_000
    """How many paragraphs the vocabulary is trained on."""
    length: int = 128
    """Tokens in a row, special tokens included."""


@dataclasses.dataclass(frozen=True)
class PretrainModel:
    """The encoder to pretrain."""

    layers: int = 3
    width: int = 256
    heads: int = 4
    vocab_size: int = 12_000
    """Size of the vocabulary, where one is trained."""
    dropout: float = 0.0
    ppmi_rows: int = 400_000
    """Rows whose co-occurrences start the word embeddings; 0 starts them at random."""
    ppmi_std: float = 0.05


@dataclasses.dataclass(frozen=True)
class PretrainTrain:
    """The masked-LM training."""

    steps: int = 4_000
    batch_size: int = 32
    """Rows a step, over all devices."""
    accumulate: int = 1
    learning_rate: float = 1e-3
    warmup_steps: int = 300
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    mask_rate: float = 0.15
    dtype: str = "float32"
    """Of the matrix products: float32 or bfloat16; parameters and sums are float32."""
    save_dtype: str = "float16"
    seed: int = 0
    checkpoint_every: int = 250
    validate_every: int = 250


@dataclasses.dataclass(frozen=True)
class PretrainConfig:
    """What `flowjax pretrain` reads."""

    data: PretrainData = PretrainData()
    model: PretrainModel = PretrainModel()
    train: PretrainTrain = PretrainTrain()
