"""Configs of `flowjax fit` and `flowjax fit-array`."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from flowjax.config.flow import FlowConfig


# A string in `Annotated` is a second name of the field's flag.
@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """Settings of the frozen encoder."""

    name: Annotated[str, "--encoder"] = "minibert"
    """Encoder: minibert, a folder in Hugging Face's layout, or a name on the Hugging Face Hub."""
    pooling: str = "first_last"
    """Pooling: cls, pooler, mean, last2, first_last or embeddings_last."""
    max_length: int = 64
    """Maximum number of tokens per sentence; longer sentences are truncated."""
    batch_size: int = 64
    """Sentences per batch."""
    special_tokens: bool = True
    """Include [CLS] and [SEP] in mean pooling, as in the paper."""
    dtype: str = "float32"
    """Data type of the matrix products: float32 or bfloat16."""

    def options(self) -> dict[str, Any]:
        """Returns the keyword arguments of `SentenceEncoder.from_pretrained`."""
        values = dataclasses.asdict(self)
        del values["name"]
        return values


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Sentences that the flow is fitted on."""

    fit: Annotated[str, "--data"] = ""
    """Training data: files (.txt, .jsonl, .json, .csv, .tsv, .parquet), as a path, as several
    paths separated by commas, or as a pattern in quotes ('parts/*.txt', sorted by name); names of
    tasks (stsb,sickr), of which the labels are not used; a TensorFlow dataset
    (tfds:NAME[/SPLIT][:COLUMN]); or sample, the sentences in the package."""
    dir: Annotated[str, "--data-dir"] = ""
    """Folder of the tasks' files."""
    column: str | None = None
    """Column of the sentences in the file; sentence or text by default."""


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of the training."""

    steps: int | None = None
    """Number of training steps; takes precedence over the epochs."""
    epochs: float | None = None
    """Passes over the training data; fractions are allowed. If neither the steps nor the epochs
    are set: one pass, but at least 1,000 steps (or 200 passes, if these are fewer steps)."""
    batch_size: int = 64
    """Examples per step, over all devices."""
    accumulate: int = 1
    """Gradient-accumulation steps per device."""
    learning_rate: float = 1e-3
    """Learning rate after the warm-up."""
    schedule: str = "constant"
    """Learning-rate schedule: constant, or cosine (decays to a tenth of the learning rate)."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises from 0."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW)."""
    clip_norm: float | None = 1.0
    """Maximum global norm of the gradient; none disables clipping."""
    optimizer: str = "adam"
    """Optimizer: adam, or adam_uncorrected, which reproduces the released BERT-flow code: Adam
    without bias correction, and a loss summed over the two sentences of a pair."""
    validation: float = 0.0
    """Fraction of the data held out for validation."""
    patience: int | None = None
    """Number of validations without improvement after which the training stops."""
    seed: int = 0
    """Seed of the initialisation and the batches."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    keep: int = 3
    """Number of checkpoints kept."""
    devices: int | None = None
    """Number of devices; all by default."""
    mapping: str = "shard_map"
    """Parallelisation of the step over the devices: shard_map or pmap."""
    precision: str = "float32"
    """Precision of the networks' matrix products during training: float32, bfloat16 or tf32."""


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """Config of `flowjax fit`."""

    encoder: EncoderConfig = EncoderConfig()
    data: DataConfig = DataConfig()
    flow: FlowConfig = FlowConfig()  # noqa: RUF009 - frozen
    train: TrainConfig = TrainConfig()


@dataclasses.dataclass(frozen=True)
class FitArrayConfig:
    """Config of `flowjax fit-array`."""

    flow: FlowConfig = FlowConfig()  # noqa: RUF009 - frozen
    train: TrainConfig = TrainConfig(batch_size=256)
