"""From an encoder's name to a folder of files: embedded, local, or on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

from flowjax.encoder.tokenizer import FILES as TOKENIZER_FILES
from flowjax.encoder.weights.formats import FORMATS, shard_names

EMBEDDED = ("minibert",)


def resolve(name: str | Path) -> Path:
    """Finds the folder with an encoder's `config.json`, weights and tokenizer.

    Args:
        name: `"minibert"` (embedded in the package), a local folder, or a name on the hub, which
            is fetched into Hugging Face's own cache: the config, the tokenizer and the weights in
            the first of `weights.FORMATS` that it has.

    Raises:
        ValueError: there is no such folder, and the hub does not know the name or cannot be
            reached.

    Example:
        >>> resolve("minibert").name
        'minibert'
    """
    if not str(name):  # which Path would take for the current folder
        raise ValueError(f"encoder: expected {_expected()}, got an empty name")
    if str(name) in EMBEDDED:
        return Path(str(files("flowjax") / "assets" / str(name)))
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ValueError(f"encoder {str(name)!r}: expected a folder with config.json, got a file")
    if str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
        raise ValueError(f"encoder {str(name)!r}: expected a folder with config.json, found none")
    return _from_hub(str(name))


def _expected() -> str:
    return f"an embedded name ({', '.join(EMBEDDED)}), a folder, or a name on the Hugging Face hub"


def _from_hub(name: str) -> Path:
    try:
        # transformers knows the cache, the tokens, the mirrors and the offline switch.
        from transformers.utils import cached_file

        _reach(name)

        def fetch(file: str, needed: bool = False) -> Path | None:
            found = cached_file(name, file, _raise_exceptions_for_missing_entries=needed)
            return Path(found) if found else None

        config = fetch("config.json", needed=True)
        for file in TOKENIZER_FILES:
            fetch(file)
        weights = _fetch_weights(fetch)
    except Exception as error:  # the hub's client raises its HTTP library's errors too
        reason = " ".join((str(error).strip() or type(error).__name__).split())
        raise ValueError(
            f"encoder {name!r}: expected {_expected()}; there is no such folder, and the hub "
            f"said: {reason}"
        ) from error
    if config is None or weights is None:
        missing = "config.json" if config is None else f"weights ({', '.join(FORMATS)})"
        raise ValueError(
            f"encoder {name!r}: expected {missing} under that name on the Hugging Face hub, got "
            f"none"
        )
    return config.parent


def _reach(name: str) -> None:
    """Asks the hub once for what is not in the cache; `cached_file` would retry for half a minute.

    Raises:
        Exception: the client's own: no such name, no access, no network.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.errors import EntryNotFoundError

    if not isinstance(try_to_load_from_cache(name, "config.json"), str):
        try:
            get_hf_file_metadata(hf_hub_url(name, "config.json"), timeout=10)
        except EntryNotFoundError:
            pass  # the name is there; that it has no config is said below


def _fetch_weights(fetch: Callable[..., Path | None]) -> Path | None:
    """Fetches the first format there is, whole or in shards."""
    for file in FORMATS:
        if (found := fetch(file)) is not None:
            return found
        if (index := fetch(f"{file}.index.json")) is not None:
            for shard in shard_names(index):
                fetch(shard, needed=True)
            return index
    return None
