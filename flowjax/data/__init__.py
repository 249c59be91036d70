"""Data: sources of sentences, vectors on disk, shuffled batches."""

from flowjax.data.columns import dequantize

__all__ = ["dequantize"]
