"""Objects in object storage (`s3://`, `gs://`, other URLs of fsspec), opened in this module only.

fsspec transfers the bytes and repeats failed requests. Each error of a storage system becomes one
line with the URL. A file is complete or an error: the number of bytes and the version of the
object (its ETag or generation) are compared with those at its opening.
"""

from __future__ import annotations

import atexit
import io
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from flowjax.errors import FlowjaxError, first_line

# `Path("s3://bucket/key")` has one slash after the scheme. A scheme of one letter is a drive.
_URL = re.compile(r"([a-z][a-z0-9+.-]+):/+(?=[^/])")
_INSTALL = "pip install 'bert-flowjax[storage]'"
# Bytes per request.
_BLOCK = 8 << 20
# Entries of `fs.info` that change with the content of an object.
_VERSION = ("ETag", "etag", "md5Hash", "generation", "mtime", "created", "size")


def is_remote(path: Any) -> bool:
    """Returns True if a path is the URL of an object or a prefix in object storage.

    Example:
        >>> is_remote("s3://bucket/a.txt"), is_remote(Path("s3://bucket/a.txt"))
        (True, True)
        >>> is_remote("data/a.txt"), is_remote("tfds:imdb"), is_remote(["s3://bucket/a.txt"])
        (False, False, False)
    """
    return isinstance(path, (str, Path)) and _URL.match(str(path)) is not None


def as_url(path: str | Path) -> str:
    """Returns a URL with two slashes after the scheme, which a `Path` shortens.

    Example:
        >>> as_url(Path("s3://bucket/runs/"))
        's3://bucket/runs'
    """
    return _URL.sub(r"\1://", str(path), count=1)


def join(folder: str | Path, name: str) -> str:
    """Returns the URL of a name below a prefix.

    Example:
        >>> join("s3://bucket/run/", "config.toml")
        's3://bucket/run/config.toml'
    """
    return f"{as_url(folder).rstrip('/')}/{name}"


def filesystem(url: str | Path) -> tuple[Any, str]:
    """Returns the fsspec file system of a URL, and the path of the URL in it.

    Raises:
        FlowjaxError: fsspec or the package of the storage system is not installed; the message
            contains the command that installs it.
    """
    url = as_url(url)
    try:
        from fsspec.core import url_to_fs

        fs, path = url_to_fs(url, use_listings_cache=False)  # a listing must be of now
    except ImportError:
        scheme = url.partition(":")[0]
        raise FlowjaxError(
            f"{url}: expected installed packages for {scheme}://, got none; {_INSTALL}"
        ) from None
    except ValueError as error:
        raise FlowjaxError(
            f"{url}: expected a URL that fsspec can open, such as s3:// or gs://, got: "
            f"{first_line(error)}"
        ) from None
    return fs, path


@contextmanager
def reported(url: str | Path) -> Iterator[None]:
    """Context manager that raises each error of a storage system as one `FlowjaxError`.

    Args:
        url: URL of the object in the message.
    """
    try:
        yield
    except FlowjaxError:
        raise
    except Exception as error:  # botocore, aiohttp and google.auth have own hierarchies
        raise FlowjaxError(f"{as_url(url)}: {_reason(error)}") from None


def _reason(error: Exception) -> str:
    text, kind = first_line(error), type(error).__name__
    if isinstance(error, FileNotFoundError):
        bucket = "bucket" in text.lower()
        return f"expected an existing object, got no such {'bucket' if bucket else 'object'}"
    if "Credential" in kind or "credentials" in text.lower():
        return (
            "expected credentials of the storage system, got none; set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or GOOGLE_APPLICATION_CREDENTIALS, or log in with its tool"
        )
    if isinstance(error, PermissionError):
        return f"expected access, got: {text or 'access denied'}; check the credentials"
    if kind == "FileExpired" or "PreconditionFailed" in text:
        return _CHANGED
    return f"expected an answer of the storage system, got: {text or kind} (after retries)"


_CHANGED = (
    "expected an object that does not change while it is read, got a new version; start again"
)


def version(url: str | Path) -> str:
    """Returns text that changes with the content of an object: its ETag or generation, and size.

    Raises:
        FlowjaxError: There is no such object, or the storage system cannot be reached.
    """
    fs, path = filesystem(url)
    with reported(url):
        info = fs.info(path)
        if info["type"] != "file":
            raise FileNotFoundError(path)
    return _version_of(info)


def _version_of(info: dict[str, Any]) -> str:
    return " ".join(str(info[key]) for key in _VERSION if info.get(key) is not None)


def check_version(url: str | Path, expected: str) -> None:
    """Raises FlowjaxError if an object has another version than at its opening."""
    if version(url) != expected:
        raise FlowjaxError(f"{as_url(url)}: {_CHANGED}")


def kind_of(url: str | Path) -> str | None:
    """Returns "file" for an object, "folder" for a prefix with objects, None for neither.

    Raises:
        FlowjaxError: The bucket does not exist, or the storage system cannot be reached.
    """
    fs, path = filesystem(url)
    with reported(url):
        try:
            kind = fs.info(path)["type"]
        except FileNotFoundError as error:
            if "bucket" in str(error).lower():
                raise
            return None
    return "file" if kind == "file" else "folder"


def matching(pattern: str | Path) -> list[str]:
    """Returns the URLs of the objects that match a pattern, sorted.

    Args:
        pattern: URL with `*`, `?`, `[...]` or `**`.

    Raises:
        FlowjaxError: The bucket does not exist, or the storage system cannot be reached.
    """
    fs, path = filesystem(pattern)
    with reported(pattern):
        found = fs.glob(path, detail=True)
    return sorted(
        fs.unstrip_protocol(name) for name, info in found.items() if info["type"] == "file"
    )


def entries_of(url: str | Path) -> dict[str, str]:
    """Returns the objects below a prefix: their names relative to it, and their versions.

    Raises:
        FlowjaxError: The bucket does not exist, or the storage system cannot be reached.
    """
    fs, path = filesystem(url)
    root = path.rstrip("/") + "/"
    with reported(url):
        found = fs.find(path, detail=True)
    return {
        name.removeprefix(root): _version_of(info)
        for name, info in sorted(found.items())
        if name.startswith(root) and not name.endswith("/")
    }


class _Reader(io.RawIOBase):
    """Stream of an object that raises errors as one line and never ends early."""

    def __init__(self, url: str) -> None:
        self._url = url
        fs, path = filesystem(url)
        with reported(url):
            self._file = fs.open(path, "rb", block_size=_BLOCK)
            self._size = int(self._file.size)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = 0) -> int:
        return int(self._file.seek(offset, whence))

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        with reported(self._url):
            data = self._file.read(len(view))
            at = self._file.tell()
        if len(data) < len(view) and at < self._size:
            raise FlowjaxError(f"{self._url}: expected {self._size} bytes, got only {at}")
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed and hasattr(self, "_file"):
            self._file.close()
        super().close()


def open_remote(url: str | Path) -> IO[bytes]:
    """Opens an object for reading bytes; it can seek.

    Raises:
        FlowjaxError: There is no such object, the storage system cannot be reached, or the object
            changes while it is read (also raised by the stream).
    """
    return io.BufferedReader(_Reader(as_url(url)), 1 << 20)


def temporary_folder() -> Path:
    """Returns a new folder in `TMPDIR`, which is deleted when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix="flowjax-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def download(url: str | Path) -> Path:
    """Returns a local copy of an object, which is deleted when the process ends.

    The copy is in `TMPDIR` and has the name of the object. An unchanged object is downloaded once.

    Raises:
        FlowjaxError: The object cannot be read, or the folder of temporary files is too small.
    """
    url = as_url(url)
    found = version(url)
    path, known = _copies.get(url, (None, ""))
    if path is None or known != found:
        path = temporary_folder() / url.rpartition("/")[2]
        fetch(url, path)
        check_version(url, found)
        _copies[url] = path, found
    return path


def downloaded() -> dict[Path, str]:
    """Returns the URLs of the local copies that `download` made in this process."""
    return {path: url for url, (path, _) in _copies.items()}


def fetch(url: str | Path, path: Path) -> None:
    """Copies an object to a local file; an interrupted copy leaves no file.

    Raises:
        FlowjaxError: The object cannot be read, or the disk is too small.
    """
    from flowjax.files.replace import replacing

    path.parent.mkdir(parents=True, exist_ok=True)
    with open_remote(url) as file, replacing(path) as new, new.open("wb") as copy:
        size, free = file.seek(0, io.SEEK_END), shutil.disk_usage(path.parent).free
        if size > free:
            raise FlowjaxError(
                f"{as_url(url)}: expected {size:,} free bytes in {path.parent}, got {free:,}; "
                "set TMPDIR to another folder"
            )
        file.seek(0)
        shutil.copyfileobj(file, copy, _BLOCK)


def upload(path: Path, url: str | Path) -> None:
    """Copies a local file to an object, which appears when all its bytes have arrived.

    Raises:
        FlowjaxError: The object cannot be written, or has another size afterwards.
    """
    fs, place = filesystem(url)
    with reported(url):
        fs.put_file(str(path), place)
        size = int(fs.info(place)["size"])
    if size != path.stat().st_size:
        raise FlowjaxError(
            f"{as_url(url)}: expected {path.stat().st_size} bytes after the copy, got {size}"
        )


# Path and version of the downloaded copies, by URL.
_copies: dict[str, tuple[Path, str]] = {}


def read_remote(url: str | Path) -> bytes:
    """Returns the content of a small object; see `open_remote`."""
    with open_remote(url) as file:
        return file.read()


def write_remote(url: str | Path, content: bytes) -> None:
    """Writes a small object in one request.

    Raises:
        FlowjaxError: The object cannot be written.
    """
    fs, path = filesystem(url)
    with reported(url):
        fs.pipe_file(path, content)


def remove_remote(url: str | Path) -> None:
    """Removes an object if it exists."""
    fs, path = filesystem(url)
    with reported(url):
        try:
            fs.rm_file(path)
        except FileNotFoundError:
            pass
