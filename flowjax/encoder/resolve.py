"""Location of an encoder's files: embedded, in a local folder, or on the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from flowjax.encoder.auto_tokenizer import FILES as OTHER_TOKENIZER_FILES
from flowjax.encoder.modules import LENGTHS, MODULES, PROMPTS, read_steps
from flowjax.encoder.tokenizer import FILES as TOKENIZER_FILES
from flowjax.encoder.weights.formats import FORMATS, shard_names
from flowjax.errors import FlowjaxError
from flowjax.files.folders import fetch_folder
from flowjax.files.remote import is_remote
from flowjax.literals import EMBEDDED

# Seconds after which the hub counts as unreachable.
TIMEOUT = 5
_EXPECTED = (
    f"an embedded name ({', '.join(EMBEDDED)}), a folder, or a name on the Hugging Face hub"
)


class Location(NamedTuple):
    """Files of an encoder.

    Attributes:
        folder: folder with the files.
        by_name: True if the name gives the same files on every machine: an embedded encoder, or a
            revision on the hub.
        revision: commit on the hub, or None.
    """

    folder: Path
    by_name: bool
    revision: str | None = None


def resolve(name: str | Path, revision: str | None = None) -> Path:
    """Returns the folder with the `config.json`, weights and tokenizer of an encoder.

    `locate` has the arguments and errors.

    Example:
        >>> resolve("minibert").name
        'minibert'
    """
    return locate(name, revision).folder


def locate(name: str | Path, revision: str | None = None) -> Location:
    """Finds the files of an encoder, and downloads them if the name is on the hub.

    Args:
        name: `"minibert-nli"` or `"minibert"` (embedded), a local folder, the URL of a folder in
            object storage, or a name on the Hugging Face hub. Files from the hub are downloaded
            into Hugging Face's cache: the config, the tokenizer, the settings of
            sentence-transformers, and the weights in the first available format of
            `weights.FORMATS`. Files in the cache are used as they are.
        revision: branch, tag or commit on the hub; a name with a revision is never a local folder.

    Raises:
        FlowjaxError: The folder does not exist, and the hub has no such name or cannot be reached.
    """
    if not str(name):  # Path("") is the current folder
        raise FlowjaxError(f"encoder: expected {_EXPECTED}, got an empty name")
    if str(name) in EMBEDDED:
        return Location(Path(str(files("flowjax") / "assets" / str(name))), by_name=True)
    if is_remote(name):
        return Location(fetch_folder(name), by_name=False)
    if revision is None:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return Location(folder, by_name=False)
        if folder.exists():
            raise FlowjaxError(
                f"encoder {str(name)!r}: expected a folder with config.json, got a file"
            )
    if str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
        raise FlowjaxError(
            f"encoder {str(name)!r}: expected a folder with config.json, got no such folder"
        )
    return _from_hub(str(name), revision)


def _from_hub(name: str, revision: str | None) -> Location:
    hub = _Hub(name, revision)
    try:
        config = hub.fetch("config.json", needed=True)
        found = [hub.fetch(file) for file in TOKENIZER_FILES]
        if found[0] is None and found[2] is None:  # neither tokenizer.json nor vocab.txt
            for file in OTHER_TOKENIZER_FILES:
                hub.fetch(file)
        if hub.fetch(MODULES) is not None and config is not None:
            _fetch_settings(hub, config.parent)
        weights = _fetch_weights(hub.fetch)
        if weights is None and hub.error:
            raise hub.error
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
    return Location(config.parent, by_name=hub.commit is not None, revision=hub.commit)


class _Hub:
    """Files of one repository, from the local cache first.

    Attributes:
        commit: commit of the files, after the first one.
        error: error of an unreachable hub, after which only the cache is used.
    """

    def __init__(self, name: str, revision: str | None) -> None:
        self.name, self.revision = name, revision
        self.commit: str | None = None
        self.error: Exception | None = None
        self._reached = False

    def fetch(self, file: str, needed: bool = False) -> Path | None:
        """Returns the path of a file; None if it does not exist, or if the hub is unreachable.

        Raises:
            Exception: A file is needed and the hub does not have it or cannot be reached.
        """
        from huggingface_hub import try_to_load_from_cache

        # transformers supports the cache, access tokens, mirrors and the offline mode.
        from transformers.utils import cached_file  # type: ignore[attr-defined]

        revision = self.commit or self.revision
        found = try_to_load_from_cache(self.name, file, revision=revision)
        if found is None and self._online(needed):
            found = cached_file(
                self.name, file, revision=revision, _raise_exceptions_for_missing_entries=needed
            )
        if not isinstance(found, str):  # also the mark in the cache of a file that the hub lacks
            return None
        path = Path(found)
        if self.commit is None and path.parent.parent.name == "snapshots":
            self.commit = path.parent.name  # so that all files are of one commit
        return path

    def _online(self, needed: bool) -> bool:
        """Returns True if the hub can be reached; tries it once."""
        if not self._reached and self.error is None:
            try:
                _reach(self.name, self.revision)
                self._reached = True
            except Exception as error:  # the client also raises errors of its HTTP library
                self.error = error
        if needed and self.error:
            raise self.error
        return self._reached


def _reach(name: str, revision: str | None = None) -> None:
    """Fails soon if the hub cannot be reached; `cached_file` would retry for a minute per file.

    Raises:
        Exception: An error of the hub's client: no such name, no access, or no network.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.errors import EntryNotFoundError

    try:
        get_hf_file_metadata(hf_hub_url(name, "config.json", revision=revision), timeout=TIMEOUT)
    except EntryNotFoundError:
        pass  # the name exists; `_from_hub` reports the missing config


def _fetch_settings(hub: _Hub, folder: Path) -> None:
    """Downloads the settings of sentence-transformers that `modules.json` refers to."""
    hub.fetch(PROMPTS)
    next((name for name in LENGTHS if hub.fetch(name)), None)
    for kind, path in read_steps(folder):
        if kind in ("Pooling", "Dense"):
            hub.fetch(f"{path}/config.json")
        if kind == "Dense":
            _fetch_weights(lambda file, path=path, **options: hub.fetch(f"{path}/{file}"))


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
