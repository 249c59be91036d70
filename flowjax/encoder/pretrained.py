"""Loading and saving of the parts of an encoder: weights, tokenizer, settings, location."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from flowjax.encoder.bert_config import BertConfig
from flowjax.encoder.modules import Settings, read_settings, write_settings
from flowjax.encoder.resolve import Location, locate
from flowjax.encoder.tokenizer import load_tokenizer
from flowjax.encoder.weights import load_pretrained, save_pretrained, saved_files
from flowjax.errors import FlowjaxError
from flowjax.files.replace import check_replaceable, replacing_folder

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Parts(NamedTuple):
    """Parts of an encoder.

    Attributes:
        params: parameters of `Bert(config)`.
        config: sizes of the model.
        tokenizer: tokenizer of the model.
        settings: pooling, length and other settings; the length is never None.
        location: location of the files; None for an encoder that was built from parts.
    """

    params: Any
    config: BertConfig
    tokenizer: Tokenizer
    settings: Settings
    location: Location | None


def load_parts(name: str | Path, pooling: str, revision: str | None) -> Parts:
    """Loads the parts of an encoder; see `SentenceEncoder.from_pretrained`."""
    found = locate(name, revision)
    settings = read_settings(found.folder, pooling)
    folder = found.folder / settings.encoder
    params, config = load_pretrained(folder)
    tokenizer = load_tokenizer(folder, lower_case=settings.lower_case)
    length = min(settings.max_length or config.max_length, config.max_length)
    width = config.hidden_size
    for layer in settings.dense:
        if layer.weight.shape[1] != width:
            got = layer.weight.shape[1]
            raise FlowjaxError(f"{name}: expected a Dense module for dim {width}, got dim {got}")
        width = len(layer.weight)
    return Parts(params, config, tokenizer, settings._replace(max_length=length), found)


def save_parts(folder: str | Path, parts: Parts, *, overwrite: bool) -> None:
    """Writes the parts of an encoder; see `SentenceEncoder.save`."""
    check_replaceable(Path(folder), saved_files(Path(folder)), overwrite=overwrite)
    with replacing_folder(folder) as new:
        save_pretrained(parts.params, parts.config, new)
        parts.tokenizer.save(str(new / "tokenizer.json"))
        if parts.settings != Settings():
            write_settings(new, parts.settings, parts.config.hidden_size)
