"""Config of `flowjax finetune`."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

from flowjax.config.ranges import SEED, Checked, Choice, Range
from flowjax.errors import FlowjaxError, check_that

OBJECTIVES = ("nli", "mnr", "simcse")
# Values of the fields that are None: SBERT (arXiv 1908.10084) for nli, and SimCSE (arXiv
# 2104.08821), supervised for mnr, all at the size of BERT-base.
DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "nli": {
        "encoder": {"pooling": "mean"},
        "train": {
            "epochs": 1.0,
            "batch_size": 16,
            "learning_rate": 2e-5,
            "warmup": 0.1,
            "weight_decay": 0.01,
            "select": "last",
        },
    },
    "mnr": {
        "encoder": {"pooling": "mean"},
        "train": {
            "epochs": 3.0,
            "batch_size": 512,
            "learning_rate": 5e-5,
            "warmup": 0.0,
            "weight_decay": 0.0,
            "select": "last",
        },
    },
    "simcse": {
        "encoder": {"pooling": "cls"},
        "train": {
            "epochs": 1.0,
            "batch_size": 64,
            "learning_rate": 3e-5,
            "warmup": 0.0,
            "weight_decay": 0.0,
            "select": "retrieval",
        },
    },
}


@dataclasses.dataclass(frozen=True)
class FinetuneEncoder(Checked):
    """Encoder to start from, and its use."""

    TABLE = "encoder"

    name: Annotated[str, "--encoder"] = "minibert"
    """Encoder: minibert-nli or minibert (embedded), a folder in Hugging Face's layout, or a name
    on the Hugging Face Hub."""
    pooling: Annotated[
        str | None,
        Choice(["cls", "mean", "pooler", "last2", "first_last", "embeddings_last"]),
    ] = None
    """Pooling; mean for nli and mnr, cls for simcse by default. sentence-transformers can load a
    result with cls or mean."""
    max_length: Annotated[int, Range(3)] = 64
    """Maximum number of tokens per sentence; longer sentences are truncated."""
    dropout: Annotated[float, Range(0, below=1)] = 0.1
    """Dropout rate of the hidden states and the attention weights."""
    dtype: Annotated[str, Choice(["float32", "bfloat16"])] = "float32"
    """Data type of the matrix products: float32 or bfloat16; parameters and sums are float32."""


@dataclasses.dataclass(frozen=True)
class FinetuneObjective(Checked):
    """Objective of the training."""

    TABLE = "objective"

    name: Annotated[str, "--objective", Choice(OBJECTIVES)] = "simcse"
    """Objective: nli (softmax over u, v and |u - v| with the three classes of NLI), mnr (multiple
    negatives ranking: entailments are positives, contradictions hard negatives), or simcse (two
    dropout passes of a sentence; needs no labels)."""
    temperature: Annotated[float, Range(above=0)] = 0.05
    """Divisor of the cosine similarities in mnr and simcse."""
    mlp: bool | None = None
    """Add a linear layer with tanh during the training of simcse; by default with pooling cls."""


@dataclasses.dataclass(frozen=True)
class FinetuneData(Checked):
    """Training data and development data."""

    TABLE = "data"

    train: Annotated[str, "--data"] = ""
    """Training data. For nli and mnr: labelled pairs or triplets in .jsonl, .json, .tsv, .csv,
    .txt (SNLI, MultiNLI), .parquet, or SentEval's s1.* (with s2.* and labels.* in its folder), as
    paths separated by commas, patterns in quotes, a folder (its files with train in their names),
    or tfds:NAME. For simcse: sentences, as in flowjax fit."""
    columns: str = ""
    """Names of the columns, separated by commas: two sentences and a label, or anchor, positive
    and negative; for simcse, the column of the sentences."""
    detokenize: bool | None = None
    """Join the tokens of a Penn Treebank tokenization, as in SentEval's SNLI; detected by default
    (nli and mnr)."""
    dir: Annotated[str, "--data-dir"] = ""
    """Folder with the files of STS-B: its dev split is measured during the training."""
    heldout: Annotated[int, Range(20)] = 1000
    """Number of sentences that are held out for the selection without labels."""


@dataclasses.dataclass(frozen=True)
class FinetuneTrain(Checked):
    """Settings of the training."""

    TABLE = "train"
    # A flag of one of these fields replaces the value of the other in a file.
    ALTERNATIVES = ("steps", "epochs")

    steps: Annotated[int | None, Range(1)] = None
    """Number of training steps."""
    epochs: Annotated[float | None, Range(above=0)] = None
    """Passes over the training data; 1 for nli and simcse, 3 for mnr by default."""
    batch_size: Annotated[int | None, Range(1)] = None
    """Examples per step, over all devices; 16 for nli, 512 for mnr, 64 for simcse by default."""
    accumulate: Annotated[int, Range(1)] = 1
    """Parts of a device's batch that are encoded one after another (gradient caching): less
    memory and a third more time. All in-batch negatives are kept."""
    learning_rate: Annotated[float | None, Range(above=0)] = None
    """Learning rate after the warm-up, before a linear decay to 0; 2e-5 for nli, 5e-5 for mnr,
    3e-5 for simcse by default. Small encoders need larger ones."""
    warmup: Annotated[float | None, Range(0, below=1)] = None
    """Fraction of the steps over which the learning rate rises from 0; 0.1 for nli by default."""
    weight_decay: Annotated[float | None, Range(0)] = None
    """Decoupled weight decay (AdamW); 0.01 for nli by default."""
    clip_norm: Annotated[float | None, Range(above=0)] = 1.0
    """Maximum global norm of the gradient; none disables clipping."""
    select: Annotated[str | None, Choice(["last", "retrieval", "stsb"])] = None
    """Checkpoint to write: last, retrieval (the best retrieval of related texts among held-out
    sentences, without labels), or stsb (the best Spearman correlation on STS-B dev, which uses its
    labels). By default retrieval for simcse and last for nli and mnr."""
    validate_every: Annotated[int | None, Range(1)] = None
    """Steps between measurements; a twentieth of the steps by default."""
    checkpoint_every: Annotated[int, Range(1)] = 500
    """Steps between checkpoints."""
    save_dtype: Annotated[str, Choice(["float32", "float16"])] = "float32"
    """Data type of the saved weights."""
    seed: Annotated[int, SEED] = 0
    """Seed of the head, the batches and the dropout."""

    def __post_init__(self) -> None:
        """Raises FlowjaxError if a field is out of range, or both steps and epochs are set."""
        super().__post_init__()
        if self.steps is not None and self.epochs is not None:
            raise FlowjaxError(
                f"train: expected either steps or epochs, got steps {self.steps} and epochs "
                f"{self.epochs:g}"
            )


@dataclasses.dataclass(frozen=True)
class FinetuneConfig:
    """Config of `flowjax finetune`."""

    encoder: FinetuneEncoder = FinetuneEncoder()
    objective: FinetuneObjective = FinetuneObjective()
    data: FinetuneData = FinetuneData()
    train: FinetuneTrain = FinetuneTrain()

    def resolved(self) -> FinetuneConfig:
        """Returns the config with the defaults of the objective in place of None.

        Returns:
            The config.

        Raises:
            FlowjaxError: Fields do not agree: simcse without dropout, or a selection by STS-B
                without its folder.

        Example:
            >>> config = FinetuneConfig(objective=FinetuneObjective("nli")).resolved()
            >>> config.encoder.pooling, config.train.batch_size, config.train.learning_rate
            ('mean', 16, 2e-05)
        """
        name = self.objective.name
        tables = DEFAULTS[name]
        encoder = _filled(self.encoder, tables["encoder"])
        defaults = dict(tables["train"])
        if self.train.steps is not None:
            del defaults["epochs"]
        train = _filled(self.train, defaults)
        mlp = self.objective.mlp
        if mlp is None:
            mlp = name == "simcse" and encoder.pooling == "cls"
        if name == "simcse":
            check_that(encoder.dropout > 0, "encoder.dropout", "a rate above 0 for simcse", 0)
        if train.select == "stsb":
            check_that(
                bool(self.data.dir),
                "data.dir",
                "the folder of STS-B for select stsb",
                self.data.dir,
            )
        objective = dataclasses.replace(self.objective, mlp=mlp)
        return FinetuneConfig(encoder, objective, self.data, train)


def _filled(table: Any, defaults: dict[str, Any]) -> Any:
    missing = {name: value for name, value in defaults.items() if getattr(table, name) is None}
    return dataclasses.replace(table, **missing)
