"""Sizes of BERT and its relatives, under the names of Hugging Face's `config.json`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

from flowjax.encoder.activations import ACTIVATIONS
from flowjax.errors import check_choice, check_that
from flowjax.files.json import field, typed


class Family(NamedTuple):
    """Differences between BERT and a related model family.

    Attributes:
        offset: True if positions start after the id of the padding token (RoBERTa: at 2).
        pooler: True if the family has a pooler, a tanh layer over the first token.
        defaults: values of fields that the family's `config.json` omits.
        names: dict from field name of `BertConfig` to field name in the family's `config.json`.
    """

    offset: bool = False
    pooler: bool = True
    defaults: Mapping[str, Any] = {}
    names: Mapping[str, str] = {}


_ROBERTA = Family(offset=True, defaults={"pad_token_id": 1})
FAMILIES = {
    "bert": Family(),
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "camembert": _ROBERTA,
    "distilbert": Family(
        pooler=False,
        defaults={"num_hidden_layers": 6, "type_vocab_size": 0},
        names={
            "hidden_size": "dim",
            "num_hidden_layers": "n_layers",
            "num_attention_heads": "n_heads",
            "intermediate_size": "hidden_dim",
            "hidden_act": "activation",
            "hidden_dropout_prob": "dropout",
            "attention_probs_dropout_prob": "attention_dropout",
        },
    ),
    "mpnet": Family(
        offset=True,
        defaults={"pad_token_id": 1, "type_vocab_size": 0, "relative_attention_num_buckets": 32},
    ),
}
_MOST = (1 << 31) - 1  # positions and ids are int32
# Supported values of fields that change the computation; other values raise an error.
_ONLY = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """Sizes of a BERT, under the names of Hugging Face's `config.json`.

    A `type_vocab_size` of 0 means no token types. `relative_attention_num_buckets` of 0 means no
    relative position bias.

    Raises:
        FlowjaxError: A field is out of range or has another type.

    Example:
        >>> values = {"model_type": "roberta", "max_position_embeddings": 514}
        >>> config = BertConfig.from_dict(values)
        >>> config.first_position, config.max_length
        (2, 512)
    """

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    hidden_dropout_prob: float = 0.1
    attention_probs_dropout_prob: float = 0.1
    initializer_range: float = 0.02
    pad_token_id: int = 0
    relative_attention_num_buckets: int = 0
    model_type: str = "bert"

    def __post_init__(self) -> None:
        """Checks all fields."""
        check_choice("config: model_type", self.model_type, FAMILIES)
        check_choice("config: hidden_act", self.hidden_act, ACTIVATIONS)
        optional = ("type_vocab_size", "pad_token_id", "relative_attention_num_buckets")
        for each in dataclasses.fields(self):
            value, name = getattr(self, each.name), f"config: {each.name}"
            if each.type == "int":
                least = 0 if each.name in optional else 1
                valid = type(value) is int and least <= value <= _MOST
                check_that(valid, name, f"an integer from {least} to {_MOST}", value)
            elif each.type == "float":
                number = isinstance(value, (int, float)) and not isinstance(value, bool)
                positive = each.name in ("layer_norm_eps", "initializer_range")
                valid = number and (0 < value <= 1 if positive else 0 <= value < 1)  # not NaN
                kind = "above 0 and at most 1" if positive else "from 0 to below 1"
                check_that(valid, name, f"a number {kind}", value)
        check_that(
            self.pad_token_id < self.vocab_size,
            "config: pad_token_id",
            f"an id below vocab_size {self.vocab_size}",
            self.pad_token_id,
        )
        width, heads = self.hidden_size, self.num_attention_heads
        check_that(
            width % heads == 0, "config: hidden_size", f"a multiple of {heads} heads", width
        )
        least, value = self.first_position + 1, self.max_position_embeddings
        check_that(value >= least, "config: max_position_embeddings", f"at least {least}", value)

    @property
    def first_position(self) -> int:
        """Row index of the first token's position in the table of position embeddings."""
        return self.pad_token_id + 1 if FAMILIES[self.model_type].offset else 0

    @property
    def max_length(self) -> int:
        """Largest number of tokens in a row."""
        return self.max_position_embeddings - self.first_position

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BertConfig:
        """Converts the contents of a Hugging Face `config.json`; ignores irrelevant fields.

        Args:
            values: contents of a `config.json`.

        Returns:
            The sizes of the model.

        Raises:
            FlowjaxError: The model family is not supported, or a field has an unsupported value.
        """
        kind = field(values, "model_type", str, "config", None)
        if kind is None:  # Google's files and old files; another family must not be read as BERT
            classes = field(values, "architectures", list, "config", None) or ["Bert"]
            name = typed(classes[0], str, "config: architectures")
            kind = "bert" if name.startswith("Bert") else name
        family = FAMILIES.get(kind, Family())
        found: dict[str, Any] = dict(family.defaults)
        for each in dataclasses.fields(cls):
            value = values.get(family.names.get(each.name, each.name))
            if value is not None:
                found[each.name] = value
        found["model_type"] = kind
        config = cls(**found)
        for name, only in _ONLY.items():
            value = values.get(name, only)
            check_that(value == only, f"config: {name}", repr(only), value)
        return config

    def to_dict(self) -> dict[str, Any]:
        """Returns the contents of a `config.json` that transformers can read."""
        names = FAMILIES[self.model_type].names
        stem = {"xlm-roberta": "XLMRoberta", "mpnet": "MPNet", "distilbert": "DistilBert"}
        architecture = stem.get(self.model_type, self.model_type.capitalize()) + "Model"
        result: dict[str, Any] = {"architectures": [architecture]}
        for name, value in vars(self).items():
            if value or name not in ("relative_attention_num_buckets", "type_vocab_size"):
                result[names.get(name, name)] = value
        return result
