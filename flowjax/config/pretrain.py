"""Config of `flowjax pretrain`."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class PretrainData:
    """Text of the pretraining."""

    tokenizer: str = ""
    """Folder of an existing tokenizer; by default a tokenizer is trained on the text."""
    tokenizer_lines: int = 280_000
    """Number of paragraphs that the tokenizer is trained on."""
    length: int = 128
    """Tokens per training sequence, special tokens included."""


@dataclasses.dataclass(frozen=True)
class PretrainModel:
    """Architecture and initialisation of the encoder."""

    layers: int = 3
    """Number of transformer layers."""
    width: int = 256
    """Size of the hidden states."""
    heads: int = 4
    """Attention heads per layer."""
    vocab_size: int = 12_000
    """Size of the vocabulary, if a tokenizer is trained."""
    dropout: float = 0.0
    """Dropout rate of the hidden states and the attention weights."""
    ppmi_rows: int = 400_000
    """Sequences whose word co-occurrences (PPMI) initialise the word embeddings, together with
    attention heads that attend to neighbouring tokens; 0 initialises everything at random."""
    ppmi_std: float = 0.05
    """Standard deviation of the word embeddings that are initialised from PPMI."""


@dataclasses.dataclass(frozen=True)
class PretrainTrain:
    """Settings of the masked-language-model training."""

    steps: int = 3_000
    """Number of training steps."""
    batch_size: int = 32
    """Sequences per step, over all devices."""
    accumulate: int = 1
    """Gradient-accumulation steps per device."""
    learning_rate: float = 1e-3
    """Learning rate between the warm-up and the decay."""
    warmup_steps: int = 150
    """Steps over which the learning rate rises from 0."""
    decay_steps: int = 750
    """Number of final steps over which the learning rate falls to 0. It is constant before them,
    so the total number of steps can be changed when a run is resumed."""
    weight_decay: float = 0.01
    """Decoupled weight decay (AdamW)."""
    clip_norm: float = 1.0
    """Maximum global norm of the gradient."""
    mask_rate: float = 0.2
    """Fraction of the tokens that are masked."""
    dtype: str = "float32"
    """Data type of the matrix products: float32 or bfloat16; parameters and sums are float32."""
    save_dtype: str = "float16"
    """Data type of the saved weights."""
    seed: int = 0
    """Seed of the initialisation, the batches and the masks."""
    checkpoint_every: int = 250
    """Steps between checkpoints."""
    validate_every: int = 250
    """Steps between measurements of the held-out loss."""
    export_every: int = 0
    """Steps between exports of the encoder to encoders/STEP; 0 disables them."""


@dataclasses.dataclass(frozen=True)
class PretrainConfig:
    """Config of `flowjax pretrain`."""

    data: PretrainData = PretrainData()
    model: PretrainModel = PretrainModel()
    train: PretrainTrain = PretrainTrain()
