"""Config of `flowjax pretrain`."""

from __future__ import annotations

import dataclasses
from typing import Annotated

from flowjax.config.ranges import SEED, Checked, Choice, Range
from flowjax.errors import FlowjaxError


@dataclasses.dataclass(frozen=True)
class PretrainData(Checked):
    """Text of the pretraining."""

    TABLE = "data"

    tokenizer: str = ""
    """Folder of an existing tokenizer; by default a tokenizer is trained on the text."""
    tokenizer_lines: Annotated[int, Range(1)] = 280_000
    """Number of paragraphs that the tokenizer is trained on."""
    length: Annotated[int, Range(4)] = 128
    """Tokens per training sequence, special tokens included."""


@dataclasses.dataclass(frozen=True)
class PretrainModel(Checked):
    """Architecture and initialisation of the encoder."""

    TABLE = "model"

    layers: Annotated[int, Range(1)] = 3
    """Number of transformer layers."""
    width: Annotated[int, Range(1)] = 256
    """Size of the hidden states."""
    heads: Annotated[int, Range(1)] = 4
    """Attention heads per layer."""
    vocab_size: Annotated[int, Range(6)] = 12_000
    """Size of the vocabulary, if a tokenizer is trained."""
    dropout: Annotated[float, Range(0, below=1)] = 0.0
    """Dropout rate of the hidden states and the attention weights."""
    ppmi_rows: Annotated[int, Range(0)] = 400_000
    """Sequences whose word co-occurrences (PPMI) initialise the word embeddings, together with
    attention heads that attend to neighbouring tokens; 0 initialises everything at random."""
    ppmi_std: Annotated[float, Range(above=0)] = 0.05
    """Standard deviation of the word embeddings that are initialised from PPMI."""

    def __post_init__(self) -> None:
        """Raises FlowjaxError if a field is out of range, or the heads do not divide the width."""
        super().__post_init__()
        if self.width % self.heads:
            raise FlowjaxError(
                f"model.width: expected a multiple of {self.heads} heads, got {self.width}"
            )


@dataclasses.dataclass(frozen=True)
class PretrainTrain(Checked):
    """Settings of the masked-language-model training."""

    TABLE = "train"

    steps: Annotated[int, Range(1)] = 3_000
    """Number of training steps."""
    batch_size: Annotated[int, Range(1)] = 32
    """Sequences per step, over all devices."""
    accumulate: Annotated[int, Range(1)] = 1
    """Gradient-accumulation steps per device."""
    learning_rate: Annotated[float, Range(above=0)] = 1e-3
    """Learning rate between the warm-up and the decay."""
    warmup_steps: Annotated[int, Range(0)] = 150
    """Steps over which the learning rate rises from 0."""
    decay_steps: Annotated[int, Range(0)] = 750
    """Number of final steps over which the learning rate falls to 0. It is constant before them,
    so the total number of steps can be changed when a run is resumed."""
    weight_decay: Annotated[float, Range(0)] = 0.01
    """Decoupled weight decay (AdamW)."""
    clip_norm: Annotated[float, Range(above=0)] = 1.0
    """Maximum global norm of the gradient."""
    mask_rate: Annotated[float, Range(above=0, most=1)] = 0.2
    """Fraction of the tokens that are masked."""
    dtype: Annotated[str, Choice(["float32", "bfloat16"])] = "float32"
    """Data type of the matrix products: float32 or bfloat16; parameters and sums are float32."""
    save_dtype: Annotated[str, Choice(["float32", "float16"])] = "float16"
    """Data type of the saved weights."""
    seed: Annotated[int, SEED] = 0
    """Seed of the initialisation, the batches and the masks."""
    checkpoint_every: Annotated[int, Range(1)] = 250
    """Steps between checkpoints."""
    validate_every: Annotated[int, Range(0)] = 250
    """Steps between measurements of the held-out loss."""
    export_every: Annotated[int, Range(0)] = 0
    """Steps between exports of the encoder to encoders/STEP; 0 disables them."""

    def __post_init__(self) -> None:
        """Raises FlowjaxError if a field is out of range, or the schedule exceeds the steps."""
        super().__post_init__()
        if self.warmup_steps + self.decay_steps > self.steps:
            raise FlowjaxError(
                f"train.steps: expected at least {self.warmup_steps + self.decay_steps}, the sum "
                f"of warmup_steps and decay_steps, got {self.steps}"
            )


@dataclasses.dataclass(frozen=True)
class PretrainConfig:
    """Config of `flowjax pretrain`.

    Attributes:
        MAY_CHANGE: fields whose values may change when an unfinished run resumes.
    """

    MAY_CHANGE = frozenset(
        f"train.{name}"
        for name in ("steps", "decay_steps", "checkpoint_every", "validate_every", "export_every")
    )

    data: PretrainData = PretrainData()
    model: PretrainModel = PretrainModel()
    train: PretrainTrain = PretrainTrain()
