"""Configs: frozen dataclasses, read from TOML, with names and types checked.

Each field is also a flag with its dotted name: `--train.learning-rate 1e-4`. The docstrings of the
fields are the help texts of the flags.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import docstring_parser

from flowjax.errors import FlowjaxError
from flowjax.flows import RECIPES

T = TypeVar("T")
# Text for None in a file; TOML has no null, and a field that is left out takes its default.
NONE = "none"
# Types of values that a TOML file and a flag can have.
SIMPLE = (bool, int, float, str)


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
    """Include [CLS] and [SEP] in the means, as in the paper."""
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

    fit: Annotated[str, "--data"] = "sample"
    """Training data: a file (.txt, .jsonl, .csv, .tsv, .parquet), the sentences of tasks without
    their labels (stsb,sickr), tfds:NAME[/SPLIT][:COLUMN], or sample (embedded sentences)."""
    dir: Annotated[str, "--data-dir"] = ""
    """Folder of the tasks' files."""
    column: str | None = None
    """Column of the sentences in the file; sentence or text by default."""


@dataclasses.dataclass(frozen=True)
class _FlowName:
    """Settings of the flow; an option has the default of its recipe."""

    name: Annotated[str, "--flow"] = "glow"
    """Recipe: glow, glow_as_released, realnvp, neural_spline, whitening, standardize,
    whitening_glow or identity."""

    def options(self) -> dict[str, Any]:
        """Returns the keyword arguments of the recipe: the fields that are set."""
        values = dataclasses.asdict(self)
        del values["name"]
        return {k: v for k, v in values.items() if v is not None}


def _option_fields() -> list[tuple[str, Any, Any]]:
    """Returns a field per recipe option whose value can stand in a TOML file."""
    found: dict[str, tuple[str, Any, Any]] = {}
    for function in RECIPES.values():
        hints = typing.get_type_hints(function)
        documented = docstring_parser.parse(function.__doc__ or "").params
        texts = {param.arg_name: param.description for param in documented}
        for name in inspect.signature(function).parameters:
            kinds = typing.get_args(hints[name]) or (hints[name],)
            simple = [kind for kind in kinds if kind in SIMPLE or _is_literal(kind)]
            if _is_literal(hints[name]):
                simple = [hints[name]]
            if simple and name not in ("dim", *found):
                kind = functools.reduce(operator.or_, [*simple, type(None)])
                text = " ".join((texts.get(name) or "").split())
                text = text[:1].upper() + text[1:]
                field = dataclasses.field(default=None, metadata={"help": text})
                found[name] = (name, kind, field)
    return list(found.values())


def _is_literal(kind: Any) -> bool:
    return typing.get_origin(kind) is typing.Literal


if TYPE_CHECKING:
    FlowConfig = _FlowName
else:  # the options are declared once, in the signatures of the recipes
    FlowConfig = dataclasses.make_dataclass(
        "FlowConfig", _option_fields(), bases=(_FlowName,), frozen=True
    )
    FlowConfig.__doc__ = _FlowName.__doc__


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """Settings of the training."""

    steps: int | None = None
    """Number of training steps; takes precedence over the epochs."""
    epochs: float | None = None
    """Passes over the training data; fractions are allowed. 1 if neither this nor the number of
    steps is given."""
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
    """Optimizer: adam, or adam_uncorrected (Adam without bias correction on the loss of the
    released BERT-flow code, the bits per dimension summed over the two sentences of a pair)."""
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


def read_config(path: str | Path, kind: type[T]) -> T:
    """Reads a TOML file into a config dataclass; missing fields keep their defaults.

    Args:
        path: the file.
        kind: `FitConfig`, `PretrainConfig`, ...

    Raises:
        FlowjaxError: No such file, not TOML, an unknown table or field, or a value of a wrong
            type.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise FlowjaxError(f"{path}: expected a config in TOML, got no such file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FlowjaxError(f"{path}: expected a config in TOML: {error}") from None
    return _fill(kind(), values, str(path), "")


def write_config(config: Any, path: str | Path, head: str = "") -> None:
    """Writes a config as TOML, after the lines of `head` as comments.

    A field that is None is left out if None is its default, and is written as "none" otherwise.
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
    """Returns `config` with these values; the other fields keep the values of `config`."""
    hints = typing.get_type_hints(type(config))
    filled: dict[str, Any] = {}
    for name, value in values.items():
        where = f"{file}: {table}{name}"
        if name not in hints:
            kind = "field" if table else "table"
            raise FlowjaxError(f"{where}: expected a {kind} among {', '.join(hints)}")
        if dataclasses.is_dataclass(hints[name]):
            if not isinstance(value, Mapping):
                raise FlowjaxError(f"{where}: expected a table [{name}], got {value!r}")
            filled[name] = _fill(getattr(config, name), value, file, f"{table}{name}.")
        else:
            filled[name] = _check(value, hints[name], where)
    return dataclasses.replace(config, **filled)  # type: ignore[type-var]


def _check(value: Any, wanted: Any, where: str) -> Any:
    """Returns a field's value; raises FlowjaxError if it has none of the wanted types."""
    union = typing.get_origin(wanted) in (typing.Union, types.UnionType)
    kinds = typing.get_args(wanted) if union else (wanted,)
    allowed = [kind for kind in kinds if kind is not type(None)]
    words = [word for kind in allowed if _is_literal(kind) for word in typing.get_args(kind)]
    may_be_none = len(allowed) < len(kinds) and str not in allowed and NONE not in words
    if value == NONE and may_be_none:
        return None
    if float in allowed and type(value) is int:
        value = float(value)
    if type(value) not in allowed and value not in words:
        names = [kind.__name__ for kind in allowed if not _is_literal(kind)]
        expected = " or ".join([*names, *words])
        expected += f' or "{NONE}"' if may_be_none else ""
        raise FlowjaxError(f"{where}: expected {expected}, got {value!r}")
    return value
