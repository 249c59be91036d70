"""Local copies of folders in object storage, and copies of local folders there.

Memory maps, locks and appends need a disk, so a command works in a local copy of its run folder.
The file `config.json` of a model lists all files of its folder. It is uploaded last and removed
first, so an interrupted copy is never taken for a complete model.
"""

from __future__ import annotations

import getpass
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from flowjax.errors import FlowjaxError
from flowjax.files import remote
from flowjax.files.replace import entries

# Files that describe the other files of their folder.
LAST = "config.json"
# Parts of run folders that are large and that only their own run reads.
PRIVATE = ("checkpoints/", "embeddings/")
# URL of each folder that `local_copy` returned.
_copies: dict[Path, str] = {}
# Downloaded folders and the versions of their objects, by URL.
_fetched: dict[str, tuple[Path, dict[str, str]]] = {}


def fetch_folder(url: str | Path) -> Path:
    """Returns a local copy of a model or run folder, deleted when the process ends.

    Checkpoints and embedding stores are left out. An unchanged folder is downloaded once.

    Raises:
        FlowjaxError: There is no such folder, the storage system cannot be reached, or an object
            changes meanwhile.
    """
    url = remote.as_url(url).rstrip("/")
    found = {k: v for k, v in remote.entries_of(url).items() if not k.startswith(PRIVATE)}
    if not found:
        raise FlowjaxError(f"{url}: expected a folder of a run or model, got no such folder")
    folder, known = _fetched.get(url, (None, {}))
    if folder is None or known != found:
        folder = remote.temporary_folder() / url.rpartition("/")[2]  # part of messages
        pull(url, folder, found)
        _fetched[url] = folder, found
    return folder


def pull(url: str, folder: Path, names: Iterable[str]) -> None:
    """Copies objects below a URL into a local folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        remote.fetch(remote.join(url, name), folder / name)


def push(folder: Path, url: str, *, replaces: Iterable[str] = ()) -> None:
    """Copies all files of a local folder to a URL.

    Args:
        folder: local folder.
        url: URL of the copy.
        replaces: names of the objects of an earlier copy, which are removed.

    Raises:
        FlowjaxError: An object cannot be written.
    """
    Published(folder, url, known=dict.fromkeys(replaces)).update()


class Published:
    """Copy of a local folder in object storage, which `update` keeps equal to the folder.

    Attributes:
        folder: local folder.
        url: URL of the copy.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        *,
        known: Mapping[str, Any] | None = None,
        keeps: Callable[[str], bool] = lambda name: True,
    ) -> None:
        """Stores the folders without copying a file.

        Args:
            folder: local folder.
            url: URL of the copy.
            known: objects that exist at the URL, with the `facts` of the equal local files, or
                None for other content.
            keeps: function that returns True for the relative path of a file to copy.
        """
        self.folder, self.url, self._keeps = folder, url, keeps
        self._known = dict(known or {})

    def update(self) -> None:
        """Copies new and changed files and removes the objects of deleted files.

        Raises:
            FlowjaxError: An object cannot be written or removed.
        """
        found = {n: facts(self.folder / n) for n in filter(self._keeps, entries(self.folder))}
        gone = {name for name in self._known if name not in found}
        changed = {name for name in found if found[name] != self._known.get(name)}
        ends = {
            name
            for name in self._known
            if _is_last(name)
            and any(other.startswith(name.removesuffix(LAST)) for other in gone | changed)
        }
        for name in (*sorted(ends), *sorted(gone - ends)):
            remote.remove_remote(remote.join(self.url, name))
            self._known.pop(name)
        # The outermost list of files comes last.
        last = sorted(filter(_is_last, changed | (ends - gone)), key=len, reverse=True)
        for name in (*sorted(changed - set(last)), *last):
            remote.upload(self.folder / name, remote.join(self.url, name))
            self._known[name] = found[name]


def facts(file: Path) -> tuple[int, int]:
    """Returns the size and the time of the last change of a file."""
    found = file.stat()
    return found.st_size, found.st_mtime_ns


def _is_last(name: str) -> bool:
    return name.rpartition("/")[2] == LAST


def local_copy(url: str | Path) -> Path:
    """Returns the local folder that stands for a URL in this process; see `url_of`.

    The folder is in `TMPDIR`. Its name depends on the user and the URL only, so a repeated command
    finds the files of an interrupted one.

    Example:
        >>> url_of(local_copy("s3://bucket/runs/mine") / "checkpoints")
        's3://bucket/runs/mine/checkpoints'
    """
    url = remote.as_url(url).rstrip("/")
    digest = hashlib.sha256(url.encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"flowjax-{getpass.getuser()}-{digest}"
    folder /= url.rpartition("/")[2]
    _copies[folder] = url
    return folder


def url_of(path: str | Path) -> str | None:
    """Returns the URL of a path in object storage or in a folder of `local_copy`; else None.

    Example:
        >>> url_of("runs/mine"), url_of(Path("s3://bucket/runs"))
        (None, 's3://bucket/runs')
    """
    if remote.is_remote(path):
        return remote.as_url(path)
    path = Path(path)
    for folder, url in _copies.items():
        if path == folder or folder in path.parents:
            inside = path.relative_to(folder).as_posix()
            return url if inside == "." else remote.join(url, inside)
    return None


def with_urls(text: str) -> str:
    """Returns a text with the URLs in place of the paths of their local copies.

    Example:
        >>> with_urls(f"{local_copy('s3://bucket/runs/mine') / 'model'}: expected a new folder")
        's3://bucket/runs/mine/model: expected a new folder'
    """
    fetched = {folder: url for url, (folder, _) in _fetched.items()}
    for path, url in (_copies | fetched | remote.downloaded()).items():
        text = text.replace(str(path), url)
    return text
