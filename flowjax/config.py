"""Configs: frozen dataclasses, read from TOML, every field checked by name and type.

Any field is overridden on the command line by a flag of its dotted name:
`--train.learning-rate 1e-4`. The docstrings below are the flags' help.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from tyro.conf import arg

T = TypeVar("T")
# How a field without a value is written where leaving it out would mean its default.
NONE = "none"


@dataclasses.dataclass(frozen=True)
class EncoderConfig:
    """The frozen encoder."""

    name: Annotated[str, arg(aliases=["--encoder"])] = "minibert"
    """`minibert`, a folder, or a name on the Hugging Face hub."""
    pooling: str = "first_last"
    """cls, pooler, mean, last2, first_last or embeddings_last."""
    max_length: int = 64
    """Tokens kept of a sentence."""
    batch_size: int = 64
    """Sentences in a batch."""
    special_tokens: bool = True
    """Whether means take [CLS] and [SEP] in, as the paper does."""
    dtype: str = "float32"
    """Of the matrix products: float32 or bfloat16."""

    def options(self) -> dict[str, Any]:
        """Keyword arguments of `SentenceEncoder.from_pretrained`."""
        values = dataclasses.asdict(self)
        del values["name"]
        return values


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """What the flow is fitted on."""

    fit: Annotated[str, arg(aliases=["--data"])] = "sample"
    """A file (.txt .jsonl .csv .tsv .parquet), tasks (`stsb,sickr`: all their sentences, labels
    unseen), `tfds:NAME[/SPLIT][:COLUMN]`, or `sample`, the embedded sentences."""
    dir: Annotated[str, arg(aliases=["--data-dir"])] = ""
    """Where the tasks' files are."""
    column: str | None = None
    """The file's column with the sentences; `sentence` or `text` if left out."""


@dataclasses.dataclass(frozen=True)
class FlowConfig:
    """The flow; a field left out is the recipe's own default."""

    name: Annotated[str, arg(aliases=["--flow"])] = "glow"
    """glow, glow_as_released, realnvp, neural_spline, whitening, standardize, whitening_glow."""
    levels: int | None = None
    depth: int | None = None
    width: int | None = None
    hidden_layers: int | None = None
    coupling: str | None = None
    permutation: str | None = None
    mask: str | None = None
    conditional_split: bool | None = None
    data_dependent_init: bool | None = None
    normalize: bool | None = None
    bins: int | None = None
    bound: float | None = None
    base: str | None = None
    whiten_latents: bool | None = None
    components: int | None = None
    beta: float | None = None
    shrinkage: float | str | None = None
    seed: int | None = None
    unroll: int | None = None
    checkpoint: bool | None = None

    def options(self) -> dict[str, Any]:
        """Keyword arguments of the recipe: the fields that are set."""
        values = dataclasses.asdict(self)
        del values["name"]
        return {k: v for k, v in values.items() if v is not None}


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The fit."""

    steps: int | None = None
    """Training steps, or"""
    epochs: float | None = None
    """passes over the rows; one if neither is given."""
    batch_size: int = 64
    """Rows a step, over all devices."""
    accumulate: int = 1
    """Parts a device's share of a batch is worked through in."""
    learning_rate: float = 1e-3
    schedule: str = "constant"
    """constant, or cosine (to a tenth of the learning rate)."""
    warmup_steps: int = 0
    weight_decay: float = 0.0
    clip_norm: float | None = 1.0
    optimizer: str = "adam"
    """adam, or adam_uncorrected: the released code's, without bias correction and on gradients of
    its loss, bits per dimension added up over the two sides of a pair."""
    validation: float = 0.0
    """Share of the rows kept aside to measure the likelihood on."""
    patience: int | None = None
    """Ends the run after this many validations without a better one."""
    seed: int = 0
    checkpoint_every: int = 500
    keep: int = 3
    """Checkpoints kept."""
    devices: int | None = None
    """How many devices; all if left out."""
    mapping: str = "shard_map"
    """How the step is mapped over them: shard_map or pmap."""
    precision: str = "float32"
    """Of the nets' matrix products while training: float32, bfloat16 or tf32."""


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """What `flowjax fit` reads."""

    encoder: EncoderConfig = EncoderConfig()
    data: DataConfig = DataConfig()
    flow: FlowConfig = FlowConfig()
    train: TrainConfig = TrainConfig()


@dataclasses.dataclass(frozen=True)
class FitArrayConfig:
    """What `flowjax fit-array` reads."""

    flow: FlowConfig = FlowConfig()
    train: TrainConfig = TrainConfig(batch_size=256)


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
    """Rows whose co-occurrences start the word embeddings, beside heads that look at neighbours; 0
    starts everything at random."""
    ppmi_std: float = 0.05


@dataclasses.dataclass(frozen=True)
class PretrainTrain:
    """The masked-LM training."""

    steps: int = 3_000
    batch_size: int = 32
    """Rows a step, over all devices."""
    accumulate: int = 1
    learning_rate: float = 1e-3
    warmup_steps: int = 150
    decay_steps: int = 750
    """The last steps, over which the rate falls to 0; before them it is constant, so that a run
    can be made longer or shorter while it is under way."""
    weight_decay: float = 0.01
    clip_norm: float = 1.0
    mask_rate: float = 0.2
    dtype: str = "float32"
    """Of the matrix products: float32 or bfloat16; parameters and sums are float32."""
    save_dtype: str = "float16"
    seed: int = 0
    checkpoint_every: int = 250
    validate_every: int = 250
    export_every: int = 0
    """Writes the encoder as it then is to `encoders/STEP` each so many steps; 0: never."""


@dataclasses.dataclass(frozen=True)
class PretrainConfig:
    """What `flowjax pretrain` reads."""

    data: PretrainData = PretrainData()
    model: PretrainModel = PretrainModel()
    train: PretrainTrain = PretrainTrain()


def read_config(path: str | Path, kind: type[T]) -> T:
    """Reads a TOML file into a config dataclass.

    Args:
        path: the file.
        kind: `FitConfig`, `PretrainConfig`, ...

    Raises:
        ValueError: missing, not TOML, an unknown table or field, or a value of another type.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; expected a config in TOML") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: expected a config in TOML: {error}") from None
    return _fill(kind(), values, str(path), "")


def write_config(config: Any, path: str | Path, head: str = "") -> None:
    """Writes a config as TOML, `head` as comment lines before it.

    TOML has no None: such a field is left out, or is `"none"` where its default is something else.
    """
    import tomli_w

    comment = "".join(f"# {line}\n" for line in head.splitlines())
    text = comment + tomli_w.dumps(_values(config))
    Path(path).write_text(text, "utf-8")


def _values(config: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            values[field.name] = _values(value)
        elif value is not None:
            values[field.name] = value
        elif field.default is not None:
            values[field.name] = NONE
    return values


def _fill(config: T, values: Mapping[str, Any], file: str, table: str) -> T:
    """`config` with these values; a table's own defaults stay, e.g. batch_size of `fit-array`."""
    hints = typing.get_type_hints(type(config))
    filled: dict[str, Any] = {}
    for name, value in values.items():
        where = f"{file}: {table}{name}"
        if name not in hints:
            known = ", ".join(hints)
            raise ValueError(f"{where}: no such {'field' if table else 'table'}; expected {known}")
        if dataclasses.is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                raise ValueError(f"{where}: expected a table [{name}], got {value!r}")
            filled[name] = _fill(getattr(config, name), value, file, f"{table}{name}.")
        else:
            filled[name] = _check(value, hints[name], where)
    return dataclasses.replace(config, **filled)  # type: ignore[type-var]


def _check(value: Any, wanted: Any, where: str) -> Any:
    """A field's value, or a ValueError that names it with the types it may have."""
    kinds = typing.get_args(wanted) if isinstance(wanted, types.UnionType) else (wanted,)
    allowed = [kind for kind in kinds if kind is not type(None)]
    may_be_none = len(allowed) < len(kinds) and str not in allowed
    if value == NONE and may_be_none:
        return None
    if float in allowed and type(value) is int:
        value = float(value)
    if type(value) not in allowed:
        expected = " or ".join(kind.__name__ for kind in allowed)
        expected += f' or "{NONE}"' if may_be_none else ""
        raise ValueError(f"{where}: expected {expected}, got {value!r}")
    return value
