"""From an encoder's name to a folder of files: embedded, local, or on the Hugging Face hub."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

EMBEDDED = ("minibert",)
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def resolve(name: str | Path) -> Path:
    """Finds the folder with an encoder's `config.json`, weights and tokenizer.

    Args:
        name: `"minibert"` (embedded in the package), a local folder, or a name on the hub, which
            is fetched into Hugging Face's own cache.

    Raises:
        ValueError: there is no such folder, and the hub does not know the name or cannot be
            reached.
    """
    if str(name) in EMBEDDED:
        return Path(str(files("flowjax") / "assets" / str(name)))
    folder = Path(name).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists() or str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
        raise ValueError(f"encoder {str(name)!r}: expected a folder with config.json, found none")
    return _from_hub(str(name))


def _from_hub(name: str) -> Path:
    import json

    # transformers knows the cache, the tokens, the mirrors and the offline switch.
    from transformers.utils import cached_file

    def fetch(file: str, needed: bool) -> Path | None:
        found = cached_file(name, file, _raise_exceptions_for_missing_entries=needed)
        return Path(found) if found else None

    try:
        config = fetch("config.json", needed=True)
        for file in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            fetch(file, needed=False)
        for file in _WEIGHTS:
            if (found := fetch(file, needed=False)) is not None:
                if file.endswith("index.json"):
                    for shard in set(json.loads(found.read_text("utf-8"))["weight_map"].values()):
                        fetch(shard, needed=True)
                break
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(
            f"encoder {name!r}: expected an embedded name ({', '.join(EMBEDDED)}), a folder, or a "
            f"name on the Hugging Face hub; no such folder, and the hub said: {reason}"
        ) from None
    if config is None:
        raise ValueError(f"encoder {name!r}: the Hugging Face hub has no config.json of that name")
    return config.parent
