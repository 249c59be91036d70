"""Names that options accept. Each set is declared once; `typing.get_args` lists a `Literal`."""

from __future__ import annotations

from typing import Literal

Dtype = Literal["float32", "bfloat16"]
"""Data type of the matrix products of an encoder."""
Mapping = Literal["shard_map", "pmap"]
"""Parallelisation of a training step over the devices."""
Pooling = Literal["cls", "pooler", "mean", "last2", "first_last", "embeddings_last"]
"""Pooling of token vectors, see `flowjax.encoder.pooling.POOLINGS`."""
PoolingOrAuto = Literal[Pooling, "auto"]
"""Pooling, or the pooling that a folder of sentence-transformers names."""
Precision = Literal["float32", "bfloat16", "tf32"]
"""Precision of the matrix products of a flow during training."""
Quantization = Literal["float32", "int8", "uint8", "binary", "ubinary"]
"""Data type of the vectors that `encode` returns."""
Scale = Literal["cosine", "percentile"]
"""Scale of similarities."""

EMBEDDED = ("minibert-nli", "minibert")
"""Names of the encoders inside the package."""
DEFAULT_ENCODER = "minibert-nli"
"""Encoder of sentences if none is given."""
