"""Table of Hugging Face's tensor names and their places in the parameters."""

from __future__ import annotations

from typing import NamedTuple

from flowjax.encoder.bert_config import FAMILIES, BertConfig


class Place(NamedTuple):
    """Path and shape of a tensor in the parameters."""

    path: str
    shape: tuple[int, ...]


# Maps each part of a layer in the parameters to its names in files of BERT, MPNet and DistilBERT.
_LAYER = {
    "query": ("attention.self.query", "attention.attn.q", "attention.q_lin"),
    "key": ("attention.self.key", "attention.attn.k", "attention.k_lin"),
    "value": ("attention.self.value", "attention.attn.v", "attention.v_lin"),
    "attention_output": ("attention.output.dense", "attention.attn.o", "attention.out_lin"),
    "attention_LayerNorm": ("attention.output.LayerNorm", "attention.LayerNorm", "sa_layer_norm"),
    "intermediate": ("intermediate.dense", "intermediate.dense", "ffn.lin1"),
    "output": ("output.dense", "output.dense", "ffn.lin2"),
    "output_LayerNorm": ("output.LayerNorm", "output.LayerNorm", "output_layer_norm"),
}
_COLUMNS = {"mpnet": 1, "distilbert": 2}  # other families have BERT's names


def names(config: BertConfig) -> dict[str, Place]:
    """Returns a dict from the name of every tensor of an encoder to its place in the parameters.

    A kernel has the shape (in, out) in the parameters and (out, in) in PyTorch's files.

    Args:
        config: sizes of the model.

    Returns:
        Mapping from the names in the file to the path and the shape of a parameter.

    Example:
        >>> config = BertConfig(hidden_size=4, num_attention_heads=2, intermediate_size=8)
        >>> names(config)["encoder.layer.3.intermediate.dense.weight"]
        Place(path='layer_3/intermediate/kernel', shape=(4, 8))
    """
    width, inner = config.hidden_size, config.intermediate_size
    result: dict[str, Place] = {}

    def table(name: str, rows: int, columns: int) -> None:
        if rows:
            path = name.removeprefix("encoder.").replace(".", "/")
            result[f"{name}.weight"] = Place(f"{path}/embedding", (rows, columns))

    def norm(name: str, path: str) -> None:
        result[f"{name}.weight"] = Place(f"{path}/scale", (width,))
        result[f"{name}.bias"] = Place(f"{path}/bias", (width,))

    def dense(name: str, path: str, shape: tuple[int, int]) -> None:
        result[f"{name}.weight"] = Place(f"{path}/kernel", shape)
        result[f"{name}.bias"] = Place(f"{path}/bias", shape[1:])

    table("embeddings.word_embeddings", config.vocab_size, width)
    table("embeddings.position_embeddings", config.max_position_embeddings, width)
    table("embeddings.token_type_embeddings", config.type_vocab_size, width)
    norm("embeddings.LayerNorm", "embeddings/LayerNorm")
    buckets, heads = config.relative_attention_num_buckets, config.num_attention_heads
    table("encoder.relative_attention_bias", buckets, heads)
    stem = "transformer.layer" if config.model_type == "distilbert" else "encoder.layer"
    column = _COLUMNS.get(config.model_type, 0)
    sizes = {"intermediate": (width, inner), "output": (inner, width)}
    for i in range(config.num_hidden_layers):
        for ours, theirs in _LAYER.items():
            name, path = f"{stem}.{i}.{theirs[column]}", f"layer_{i}/{ours}"
            if ours.endswith("LayerNorm"):
                norm(name, path)
            else:
                dense(name, path, sizes.get(ours, (width, width)))
    if FAMILIES[config.model_type].pooler:
        dense("pooler.dense", "pooler", (width, width))
    return result
