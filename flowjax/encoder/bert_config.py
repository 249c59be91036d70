"""The sizes of a BERT and of its relatives, as Hugging Face's `config.json` has them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn

ACTIVATIONS = {
    "gelu": lambda x: nn.gelu(x, approximate=False),
    "gelu_new": lambda x: nn.gelu(x, approximate=True),
    "gelu_pytorch_tanh": lambda x: nn.gelu(x, approximate=True),
    "relu": nn.relu,
}


class Family(NamedTuple):
    """What sets a relative of BERT apart; the module is the same for all.

    Attributes:
        offset: positions start behind the padding's id (RoBERTa: 2), not at 0.
        pooler: the family has a tanh layer over the first token.
        defaults: fields that this family's `config.json` may leave out or has no name for.
        names: our name of a field -> the family's.
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
# Fields that change what the model computes; any other value is refused rather than ignored.
_ONLY = {
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
}


@dataclasses.dataclass(frozen=True)
class BertConfig:
    """The sizes of a BERT, under the names of Hugging Face's `config.json`.

    A `type_vocab_size` of 0 means no token types, `relative_attention_num_buckets` of 0 no
    relative attention bias.

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
        """Refuses sizes that make no BERT."""
        if self.model_type not in FAMILIES:
            raise ValueError(
                f"config: model_type {self.model_type!r}, expected one of {', '.join(FAMILIES)}"
            )
        optional = ("type_vocab_size", "pad_token_id", "relative_attention_num_buckets")
        for field in dataclasses.fields(self):
            value, least = getattr(self, field.name), 0 if field.name in optional else 1
            if field.type == "int" and not (type(value) is int and value >= least):
                raise ValueError(
                    f"config: {field.name}: expected an integer of at least {least}, got {value!r}"
                )
        if self.hidden_size % self.num_attention_heads:
            raise ValueError(
                f"config: expected hidden_size divisible by num_attention_heads, got "
                f"{self.hidden_size} and {self.num_attention_heads}"
            )
        if self.hidden_act not in ACTIVATIONS:
            raise ValueError(
                f"config: hidden_act {self.hidden_act!r}, expected one of {sorted(ACTIVATIONS)}"
            )
        if self.max_length < 1:
            raise ValueError(
                f"config: max_position_embeddings: expected more than {self.first_position}, got "
                f"{self.max_position_embeddings}"
            )

    @property
    def first_position(self) -> int:
        """The row of the position table that the first token takes."""
        return self.pad_token_id + 1 if FAMILIES[self.model_type].offset else 0

    @property
    def max_length(self) -> int:
        """The most tokens that a row may have."""
        return self.max_position_embeddings - self.first_position

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BertConfig:
        """Reads a Hugging Face `config.json` (as a dict); fields that BERT has no use for pass.

        Raises:
            ValueError: another family, or a field that would change what is computed.
        """
        kind = values.get("model_type")
        if kind is None:  # Google's files and very old ones; never take another family for BERT
            made = values.get("architectures") or ["Bert"]
            kind = "bert" if str(made[0]).startswith("Bert") else made[0]
        if kind not in FAMILIES:
            raise ValueError(f"config: model_type {kind!r}, expected one of {', '.join(FAMILIES)}")
        for field, only in _ONLY.items():
            if values.get(field, only) != only:
                raise ValueError(f"config: {field} {values[field]!r}, expected {only!r}")
        family = FAMILIES[kind]
        found = dict(family.defaults)
        for each in dataclasses.fields(cls):
            value = values.get(family.names.get(each.name, each.name))
            if value is not None:
                found[each.name] = value
        return cls(**found)

    def to_dict(self) -> dict[str, Any]:
        """The `config.json` that transformers' model of this family reads."""
        names = FAMILIES[self.model_type].names
        stem = {"xlm-roberta": "XLMRoberta", "mpnet": "MPNet", "distilbert": "DistilBert"}
        result: dict[str, Any] = {
            "architectures": [stem.get(self.model_type, self.model_type.capitalize()) + "Model"]
        }
        for field in dataclasses.fields(self):
            result[names.get(field.name, field.name)] = getattr(self, field.name)
        if not self.relative_attention_num_buckets:
            del result["relative_attention_num_buckets"]
        if not self.type_vocab_size:
            del result["type_vocab_size"]
        return result
