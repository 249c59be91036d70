"""Embedding of large corpora on a Ray cluster (extra `ray`): `Embed` for `map_batches`."""

from typing import TYPE_CHECKING

from flowjax._lazy import lazy

if TYPE_CHECKING:
    from flowjax.ray.embed import Embed
    from flowjax.ray.engine import encode

_MODULES = {"Embed": "flowjax.ray.embed", "encode": "flowjax.ray.engine"}

__all__ = ["Embed", "encode"]

if not TYPE_CHECKING:  # type checkers would accept any name
    __getattr__, __dir__ = lazy(__name__, _MODULES)
