"""Location of an encoder's files: embedded, in a local folder, or on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from flowjax.encoder.tokenizer import FILES as TOKENIZER_FILES
from flowjax.encoder.weights.formats import FORMATS, shard_names
from flowjax.errors import FlowjaxError

EMBEDDED = ("minibert",)
_EXPECTED = (
    f"an embedded name ({', '.join(EMBEDDED)}), a folder, or a name on the Hugging Face hub"
)


def resolve(name: str | Path) -> Path:
    """Returns the folder with the `config.json`, weights and tokenizer of an encoder.

    Args:
        name: `"minibert"` (embedded in the package), a local folder, or a name on the Hugging Face
            hub. Files from the hub are downloaded into Hugging Face's cache: the config, the
            tokenizer, and the weights in the first available format of `weights.FORMATS`.

    Raises:
        FlowjaxError: The folder does not exist, and the hub has no such name or cannot be reached.

    Example:
        >>> resolve("minibert").name
        'minibert'
    """
    if not str(name):  # Path("") is the current folder
        raise FlowjaxError(f"encoder: expected {_EXPECTED}, got an empty name")
    if str(name) in EMBEDDED:
        return Path(str(files("flowjax") / "assets" / str(name)))
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise FlowjaxError(
            f"encoder {str(name)!r}: expected a folder with config.json, got a file"
        )
    if str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
        raise FlowjaxError(
            f"encoder {str(name)!r}: expected a folder with config.json, got no such folder"
        )
    return _from_hub(str(name))


def _from_hub(name: str) -> Path:
    try:
        # transformers supports the cache, access tokens, mirrors and the offline mode.
        from transformers.utils import cached_file

        _reach(name)

        def fetch(file: str, needed: bool = False) -> Path | None:
            found = cached_file(name, file, _raise_exceptions_for_missing_entries=needed)
            return Path(found) if found else None

        config = fetch("config.json", needed=True)
        for file in TOKENIZER_FILES:
            fetch(file)
        weights = _fetch_weights(fetch)
    except Exception as error:  # the client also raises errors of its HTTP library
        reason = " ".join((str(error).strip() or type(error).__name__).split())
        raise FlowjaxError(
            f"encoder {name!r}: expected {_EXPECTED}; got no folder, and from the hub: {reason}"
        ) from error
    if config is None or weights is None:
        missing = "config.json" if config is None else f"weights ({', '.join(FORMATS)})"
        raise FlowjaxError(
            f"encoder {name!r}: expected {missing} under that name on the hub, got no such file"
        )
    return config.parent


def _reach(name: str) -> None:
    """Fails immediately if the hub cannot be reached; `cached_file` would retry for 30 seconds.

    Raises:
        Exception: An error of the hub's client: no such name, no access, or no network.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    if not isinstance(try_to_load_from_cache(name, "config.json"), str):
        try:
            get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=10)
        except EntryNotFoundError:
            pass  # the name exists; `_from_hub` reports the missing config


def _fetch_weights(fetch: Callable[..., Path | None]) -> Path | None:
    """Downloads the weights in the first available format, as one file or in shards."""
    for file in FORMATS:
        if (found := fetch(file)) is not None:
            return found
        if (index := fetch(f"{file}.index.json")) is not None:
            for shard in shard_names(index):
                fetch(shard, needed=True)
            return index
    return None
