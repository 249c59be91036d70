"""Table of Hugging Face's tensor names and their places in the parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from flowjax.encoder.bert_config import FAMILIES, BertConfig


class Place(NamedTuple):
    """Path and shape of a tensor in the parameters."""

    path: str
    shape: tuple[int, ...]


# Name of a part of a layer in the parameters -> name in the files of the family.
_BERT = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attention_output": "attention.output.dense",
    "attention_LayerNorm": "attention.output.LayerNorm",
    "intermediate": "intermediate.dense",
    "output": "output.dense",
    "output_LayerNorm": "output.LayerNorm",
}
_MPNET = _BERT | {
    "query": "attention.attn.q",
    "key": "attention.attn.k",
    "value": "attention.attn.v",
    "attention_output": "attention.attn.o",
    "attention_LayerNorm": "attention.LayerNorm",
}
_DISTILBERT = {
    "query": "attention.q_lin",
    "key": "attention.k_lin",
    "value": "attention.v_lin",
    "attention_output": "attention.out_lin",
    "attention_LayerNorm": "sa_layer_norm",
    "intermediate": "ffn.lin1",
    "output": "ffn.lin2",
    "output_LayerNorm": "output_layer_norm",
}
_LAYERS: dict[str, tuple[str, Mapping[str, str]]] = {
    "mpnet": ("encoder.layer", _MPNET),
    "distilbert": ("transformer.layer", _DISTILBERT),
}


def names(config: BertConfig) -> dict[str, Place]:
    """Returns the place of every tensor of an encoder, the pooler included, by tensor name.

    A kernel has the shape (in, out) in the parameters and (out, in) in PyTorch's files.

    Example:
        >>> config = BertConfig(hidden_size=4, num_attention_heads=2, intermediate_size=8)
        >>> names(config)["encoder.layer.3.intermediate.dense.weight"]
        Place(path='layer_3/intermediate/kernel', shape=(4, 8))
    """
    width, inner = config.hidden_size, config.intermediate_size
    result: dict[str, Place] = {}

    def table(name: str, path: str, rows: int, columns: int) -> None:
        if rows:
            result[f"{name}.weight"] = Place(f"{path}/embedding", (rows, columns))

    def norm(name: str, path: str) -> None:
        result[f"{name}.weight"] = Place(f"{path}/scale", (width,))
        result[f"{name}.bias"] = Place(f"{path}/bias", (width,))

    def dense(name: str, path: str, shape: tuple[int, int]) -> None:
        result[f"{name}.weight"] = Place(f"{path}/kernel", shape)
        result[f"{name}.bias"] = Place(f"{path}/bias", shape[1:])

    for kind, rows in (
        ("word_embeddings", config.vocab_size),
        ("position_embeddings", config.max_position_embeddings),
        ("token_type_embeddings", config.type_vocab_size),
    ):
        table(f"embeddings.{kind}", f"embeddings/{kind}", rows, width)
    norm("embeddings.LayerNorm", "embeddings/LayerNorm")
    table(
        "encoder.relative_attention_bias",
        "relative_attention_bias",
        config.relative_attention_num_buckets,
        config.num_attention_heads,
    )
    stem, parts = _LAYERS.get(config.model_type, ("encoder.layer", _BERT))
    sizes = {"intermediate": (width, inner), "output": (inner, width)}
    for i in range(config.num_hidden_layers):
        for ours, theirs in parts.items():
            name, path = f"{stem}.{i}.{theirs}", f"layer_{i}/{ours}"
            if ours.endswith("LayerNorm"):
                norm(name, path)
            else:
                dense(name, path, sizes.get(ours, (width, width)))
    if FAMILIES[config.model_type].pooler:
        dense("pooler.dense", "pooler", (width, width))
    return result
