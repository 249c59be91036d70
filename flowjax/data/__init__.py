"""Data: sources of sentences, vectors on disk, shuffled batches."""

from typing import TYPE_CHECKING

from flowjax._lazy import lazy

if TYPE_CHECKING:
    from flowjax.data.arrays import ArraySource, open_rows
    from flowjax.data.columns import dequantize
    from flowjax.data.sentences import open_source
    from flowjax.data.store import EmbeddingStore

_MODULES = {
    "ArraySource": "flowjax.data.arrays",
    "EmbeddingStore": "flowjax.data.store",
    "dequantize": "flowjax.data.columns",
    "open_rows": "flowjax.data.arrays",
    "open_source": "flowjax.data.sentences",
}

__all__ = [
    "ArraySource",
    "EmbeddingStore",
    "dequantize",
    "open_rows",
    "open_source",
]

if not TYPE_CHECKING:  # type checkers would accept any name
    __getattr__, __dir__ = lazy(__name__, _MODULES)
