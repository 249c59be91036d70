"""Encoder of a name, a folder, or an object of another package."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Unpack

from flowjax.encoder.adapter import EncoderAdapter
from flowjax.encoder.embed import SentenceEncoder
from flowjax.encoder.encode_options import PretrainedOptions
from flowjax.errors import FlowjaxError
from flowjax.literals import DEFAULT_ENCODER, PoolingOrAuto


def open_encoder(
    encoder: Any = DEFAULT_ENCODER,
    pooling: PoolingOrAuto = "auto",
    max_length: int | Literal["auto"] = "auto",
    **options: Unpack[PretrainedOptions],
) -> SentenceEncoder | EncoderAdapter:
    """Returns an encoder with the methods of `SentenceEncoder`.

    Args:
        encoder: "minibert-nli" or "minibert" (embedded), a local folder, a name on the Hugging
            Face hub, a `SentenceEncoder`, or another object with a method `encode`, such as a
            `SentenceTransformer`.
        pooling: pooling of an encoder that is given by name; see `SentenceEncoder`.
        max_length: maximum number of tokens of an encoder that is given by name.
        **options: other options of `SentenceEncoder.from_pretrained`.

    Returns:
        A `SentenceEncoder`, or an `EncoderAdapter` around another object.

    Raises:
        FlowjaxError: The encoder does not exist or has no `encode`, or an option is unknown or
            given together with an object.

    Example:
        >>> open_encoder("minibert").dim
        256
    """
    if isinstance(encoder, (str, Path)):
        return SentenceEncoder.from_pretrained(
            encoder, pooling=pooling, max_length=max_length, **options
        )
    for name in options:
        raise FlowjaxError(f"{name}: expected the name of an encoder, got an encoder with options")
    if isinstance(encoder, (SentenceEncoder, EncoderAdapter)):
        return encoder
    if callable(getattr(encoder, "encode", None)):
        return EncoderAdapter(encoder)
    got = type(encoder).__name__
    raise FlowjaxError(f"encoder: expected a name, a folder or an object with encode, got {got}")
