"""Configs of `flowjax fit` and `flowjax fit-array`."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from flowjax.config.flow import FlowConfig
from flowjax.config.ranges import SEED, Checked, Choice, Range
from flowjax.errors import FlowjaxError
from flowjax.literals import DEFAULT_ENCODER


# A string in `Annotated` is a second name of the field's flag; see `ranges.py` for the rules.
@dataclasses.dataclass(frozen=True)
class EncoderConfig(Checked):
    """Settings of the frozen encoder."""

    TABLE = "encoder"

    name: Annotated[str, "--encoder"] = DEFAULT_ENCODER
    """Encoder: minibert-nli or minibert (embedded), a folder in Hugging Face's layout, or a name
    on the Hugging Face Hub."""
    pooling: str = "auto"
    """Pooling: cls, pooler, mean, last2, first_last, embeddings_last, or auto: the pooling in a
    folder of sentence-transformers, otherwise first_last; the flow auto selects first_last or
    embeddings_last."""
    max_length: Annotated[int | None, Range(3)] = None
    """Maximum number of tokens per sentence; longer sentences are truncated. Default: the length
    in a folder of sentence-transformers, otherwise 64."""
    batch_size: Annotated[int, Range(1)] = 64
    """Sentences per batch."""
    special_tokens: bool = True
    """Include [CLS] and [SEP] in mean pooling, as in the paper."""
    dtype: Annotated[str, Choice(["float32", "bfloat16"])] = "float32"
    """Data type of the matrix products: float32 or bfloat16."""

    def options(self) -> dict[str, Any]:
        """Returns the keyword arguments of `SentenceEncoder.from_pretrained`."""
        values = dataclasses.asdict(self)
        del values["name"]
        return {name: value for name, value in values.items() if value is not None}


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
class TrainConfig(Checked):
    """Settings of the training."""

    TABLE = "train"
    # A flag of one of these fields replaces the value of the other in a file.
    ALTERNATIVES = ("steps", "epochs")

    steps: Annotated[int | None, Range(1)] = None
    """Number of training steps."""
    epochs: Annotated[float | None, Range(above=0)] = None
    """Passes over the training data; fractions are allowed. If neither the steps nor the epochs
    are set: one pass, but at least 1,000 steps (or 200 passes, if these are fewer steps)."""
    batch_size: Annotated[int, Range(1)] = 64
    """Examples per step, over all devices."""
    accumulate: Annotated[int, Range(1)] = 1
    """Gradient-accumulation steps per device."""
    learning_rate: Annotated[float, Range(above=0)] = 1e-3
    """Learning rate after the warm-up."""
    schedule: Annotated[str, Choice(["constant", "cosine"])] = "constant"
    """Learning-rate schedule: constant, or cosine (decays to a tenth of the learning rate)."""
    warmup_steps: Annotated[int, Range(0)] = 0
    """Steps over which the learning rate rises from 0."""
    weight_decay: Annotated[float, Range(0)] = 0.0
    """Decoupled weight decay (AdamW)."""
    clip_norm: Annotated[float | None, Range(above=0)] = 1.0
    """Maximum global norm of the gradient; none disables clipping."""
    optimizer: Annotated[str, Choice(["adam", "adam_uncorrected"])] = "adam"
    """Optimizer: adam, or adam_uncorrected, which reproduces the released BERT-flow code: Adam
    without bias correction, and a loss summed over the two sentences of a pair."""
    validation: Annotated[float, Range(0, below=1)] = 0.0
    """Fraction of the data held out for validation."""
    patience: Annotated[int | None, Range(1)] = None
    """Number of validations without improvement after which the training stops."""
    seed: Annotated[int, SEED] = 0
    """Seed of the initialisation and the batches."""
    checkpoint_every: Annotated[int, Range(1)] = 500
    """Steps between checkpoints."""
    keep: Annotated[int, Range(1)] = 3
    """Number of checkpoints kept."""
    devices: Annotated[int | None, Range(1)] = None
    """Number of devices; all by default."""
    mapping: Annotated[str, Choice(["shard_map", "pmap"])] = "shard_map"
    """Parallelisation of the step over the devices: shard_map or pmap."""
    precision: Annotated[str, Choice(["float32", "bfloat16", "tf32"])] = "float32"
    """Precision of the networks' matrix products during training: float32, bfloat16 or tf32."""

    def __post_init__(self) -> None:
        """Raises FlowjaxError if a field is out of range, or both steps and epochs are set."""
        super().__post_init__()
        if self.steps is not None and self.epochs is not None:
            raise FlowjaxError(
                f"train: expected either steps or epochs, got steps {self.steps} and epochs "
                f"{self.epochs:g}"
            )
        if self.patience is not None and not self.validation:
            raise FlowjaxError(
                "train.validation: expected a fraction above 0 if patience is given, got 0"
            )


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

    flow: FlowConfig = FlowConfig(name="glow")  # noqa: RUF009 - frozen
    train: TrainConfig = TrainConfig(batch_size=256)
