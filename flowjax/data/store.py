"""Embedding store: a folder with the vectors of a source, computed once and resumable.

The folder holds `manifest.json` (the inputs that determine the vectors), `vectors.npy` (float32,
one row per sentence, in the source's order) and one journal per process. The source is cut into
blocks of equal size, and each block has a fixed place in `vectors.npy`. A block's rows are written
and flushed to the disk before its journal line. A killed process therefore loses at most its
unfinished block, and several processes write one file without locks. The `.npy` header has a fixed
size and is written last, because the length of a stream is unknown until its end.

`benchmarks/store.md` compares this layout with one file per block.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from flowjax.data.blocks import Blocks, RowBlocks
from flowjax.data.durable import sync
from flowjax.data.fingerprint import fingerprint
from flowjax.data.journal import append, read_journals
from flowjax.data.manifest import (
    OtherStore,
    check_same,
    identity,
    read_manifest,
    write_manifest,
)
from flowjax.data.npy import NpyFile
from flowjax.errors import FlowjaxError
from flowjax.files.lock import locked
from flowjax.files.remote import as_url, is_remote

# Sentences per block; a killed process loses at most one block.
BLOCK = 8192
# Patterns of the files in a store.
FILES = ("manifest.json", ".manifest.*.partial", "vectors.npy", "journal-*.jsonl", ".lock-*")
Embed = Callable[[Iterator[Any]], Iterable[tuple[np.ndarray, Mapping[str, int]]]]


def _on_disk(folder: str | Path) -> Path:
    if is_remote(folder):
        raise FlowjaxError(
            f"{as_url(folder)}: expected a folder on a disk, because an embedding store is "
            "memory-mapped, got object storage; flowjax encode --engine ray writes shards there"
        )
    return Path(folder)


def remove_store(folder: Path) -> None:
    """Deletes the files of an embedding store, and the folder if no other file is in it."""
    for file in folder.glob("*"):
        if any(fnmatch(file.name, pattern) for pattern in FILES):
            file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        folder.rmdir()


class EmbeddingStore:
    """Folder with vectors, shape (n, dim), float32, that several processes can write.

    Example:
        >>> import tempfile
        >>> def lengths(blocks):
        ...     for block in blocks:
        ...         sizes = np.array([[len(s)] for s in block])
        ...         yield sizes, {"long": int((sizes > 4).sum())}
        >>> store = EmbeddingStore(tempfile.mkdtemp(), {"encoder": "toy"}, dim=1, block=2)
        >>> store.fill(["One.", "Three.", "Two."], lengths)
        >>> store.vectors.tolist(), store.counts
        ([[4.0], [6.0], [4.0]], {'rows': 3, 'empty': 0, 'long': 1})
        >>> len(store), store[1].tolist(), store[[2, 0]].shape
        (3, [6.0], (2, 1))
    """

    def __init__(
        self,
        folder: str | Path,
        manifest: Mapping[str, Any],
        *,
        dim: int,
        block: int = BLOCK,
        notes: Mapping[str, Any] | None = None,
    ) -> None:
        """Creates a store, or opens an existing store of the same inputs.

        Args:
            folder: folder of the store, created if it does not exist.
            manifest: inputs that determine the vectors: encoder, pooling, max_length, and
                `source_hash`, a hash of the source (None for a stream). They must equal the inputs
                of an existing store.
            dim: dimension of the vectors.
            block: number of sentences per block.
            notes: further entries of the manifest that are not compared: source name, versions.

        Raises:
            OtherStore: The folder holds the vectors of other inputs.
            FlowjaxError: The manifest is damaged, or the folder has a `vectors.npy` but no
                manifest.
        """
        self.folder, self.dim, self.block = _on_disk(folder), dim, block
        wanted = {**manifest, "dim": dim, "block": block}
        used = (self.folder / "vectors.npy").exists()
        # Another process may write the manifest now, but writes it before the vectors.
        if not (self.folder / "manifest.json").exists():
            if used:
                raise FlowjaxError(
                    f"{self.folder}: expected a new folder or an embedding store, got a folder "
                    "with another vectors.npy"
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            new = {**wanted, "notes": dict(notes or {})}
            write_manifest(self.folder, new, replace=False)
        self.manifest = read_manifest(self.folder)
        check_same(self.folder, self.manifest, wanted)
        self._file = NpyFile(self.folder / "vectors.npy", dim=dim)
        self._mapped: np.ndarray | None = None

    @classmethod
    def open(cls, folder: str | Path) -> EmbeddingStore:
        """Opens an existing store for reading.

        Args:
            folder: folder of the store.

        Returns:
            The store.

        Raises:
            FlowjaxError: The folder holds no store, or its manifest is damaged.
        """
        found = read_manifest(_on_disk(folder))
        return cls(folder, identity(found), dim=found["dim"], block=found["block"])

    @property
    def complete(self) -> bool:
        """True if all rows are written; the manifest is read again until then."""
        if "result" not in self.manifest:
            self.manifest = read_manifest(self.folder)
        return "result" in self.manifest

    @property
    def counts(self) -> dict[str, int]:
        """Counts of a complete store: `rows`, `empty` (omitted sentences), and encoder counts."""
        return {k: v for k, v in self._result().items() if k != "hash"}

    @property
    def hash(self) -> str:
        """Hash of the stored sentences in their order."""
        text_hash: str = self._result()["hash"]
        return text_hash

    @property
    def vectors(self) -> np.ndarray:
        """Vectors `(n, dim)` of a complete store, memory-mapped and read-only.

        Raises:
            FlowjaxError: The store is incomplete or damaged.
        """
        return self._file.open(self._result()["rows"])

    def __len__(self) -> int:
        """Number of vectors of a complete store."""
        rows: int = self._result()["rows"]
        return rows

    def __getitem__(self, rows: Any) -> np.ndarray:
        """Returns a copy of one vector, shape (dim,), or of several, shape (n, dim).

        A store is a random-access data source of grain and a map-style data set of PyTorch.

        Args:
            rows: index, which may be negative; or a slice, a list or an array of indices.

        Raises:
            IndexError: An index is out of range.
            FlowjaxError: The store is incomplete or damaged.
        """
        if self._mapped is None:
            self._mapped = self.vectors
        return np.array(self._mapped[rows])

    def __getstate__(self) -> dict[str, Any]:
        """Returns the state for worker processes, which map the file themselves."""
        return {**self.__dict__, "_mapped": None}

    def fill(
        self,
        sentences: Iterable[str] | RowBlocks,
        embed: Embed,
        *,
        share: tuple[int, int] = (0, 1),
        skip_empty: bool = False,
    ) -> None:
        """Writes the missing rows.

        Args:
            sentences: all sentences of the source, or blocks of rows of `self.block` rows; the
                stored blocks are compared with them.
            embed: function that takes an iterator of blocks, lists or arrays. For each block in
                order, the function yields the vectors, shape (m, dim), and a dict of counts, which
                are summed over all blocks.
            share: `(i, k)`: this process is process i of k and writes every k-th block. The store
                is complete when all k processes have finished.
            skip_empty: True to omit and count sentences that are only white space.

        Raises:
            OtherStore: The source differs from the source of the stored vectors.
            FlowjaxError: The vectors have another shape or are not finite, the store is damaged,
                or another process writes the same shard.
        """
        if not 0 <= share[0] < share[1]:
            raise FlowjaxError(f"share: expected (i, k) with 0 <= i < k, got {share}")
        if self.complete and self.manifest.get("source_hash") is not None:
            return  # the source was compared already by its hash in the manifest
        with locked(self.folder / f".lock-{share[0]}", self.folder):
            self._fill(sentences, embed, share, skip_empty)

    def missing_rows(self, total: int, share: tuple[int, int] = (0, 1)) -> int:
        """Returns the number of rows that `fill` writes.

        Args:
            total: number of rows of the source.
            share: see `fill`.

        Returns:
            Number of rows.
        """
        done = read_journals(self.folder).blocks
        firsts = range(share[0] * self.block, total, share[1] * self.block)
        return sum(min(self.block, total - i) for i in firsts if i // self.block not in done)

    def _fill(
        self,
        sentences: Iterable[str] | RowBlocks,
        embed: Embed,
        share: tuple[int, int],
        skip_empty: bool,
    ) -> None:
        done = read_journals(self.folder).blocks
        journal = self.folder / f"journal-{share[0]}.jsonl"
        for path in (self._file.path, journal):
            path.touch()
        sync(self.folder)
        if done:
            last = max(done)
            self._file.check_size(last * self.block + done[last]["rows"], more=True)
        blocks: Blocks | RowBlocks = (
            sentences
            if isinstance(sentences, RowBlocks)
            else Blocks(sentences, self.block, skip_empty=skip_empty)
        )
        todo: deque[tuple[int, Any]] = deque()

        def missing() -> Iterator[Any]:
            for k, block in enumerate(blocks):
                if k in done:
                    self._compare(k, block, done[k])
                elif k % share[1] == share[0]:
                    todo.append((k, block))
                    yield block

        for vectors, counts in embed(missing()):
            k, block = todo.popleft()
            self._check_vectors(vectors, k, len(block))
            self._file.write_rows(k * self.block, vectors)
            line = {"block": k, "rows": len(block), "hash": fingerprint(block)}
            append(journal, {**line, "counts": dict(counts)})
        if todo:
            raise FlowjaxError(f"embed: expected the vectors of {len(todo)} more blocks, got none")
        end = {"rows": blocks.rows, "empty": blocks.empty, "hash": str(blocks.hash)}
        self._finish(journal, end)

    def wait(self, timeout: float = 600.0) -> None:
        """Waits until the other processes have written their blocks.

        Args:
            timeout: seconds without a new block after which the wait ends.

        Raises:
            TimeoutError: No new block appeared for `timeout` seconds.
        """
        heard, blocks = time.monotonic(), -1
        while not self.complete:
            done = read_journals(self.folder)
            if len(done.blocks) != blocks:
                heard, blocks = time.monotonic(), len(done.blocks)
            elif time.monotonic() - heard > timeout:
                raise TimeoutError(
                    f"{self.folder}: expected blocks of the other processes, got no new block for "
                    f"{timeout:g} s ({done.progress(self.block)}); restart the processes that "
                    "died, they keep the finished blocks"
                )
            time.sleep(min(0.2, timeout))

    def _finish(self, journal: Path, end: dict[str, Any]) -> None:
        """Writes the header and the result if all blocks are finished.

        Two processes may both write them, with equal contents.
        """
        done = read_journals(self.folder)  # includes new blocks of other processes
        beyond = any(k * self.block >= end["rows"] for k in done.blocks)
        if beyond or any(other != end for other in done.ends):
            raise self._other_source("the length or the order differs")
        if not done.ends:
            append(journal, end)
        if len(done.blocks) * self.block < end["rows"]:
            return
        result = dict(end)
        for line in done.blocks.values():
            for name, count in line["counts"].items():
                result[name] = result.get(name, 0) + count
        self._file.finish(result["rows"])
        write_manifest(self.folder, {**self.manifest, "result": result})

    def _result(self) -> dict[str, Any]:
        if not self.complete:
            progress = read_journals(self.folder).progress(self.block)
            raise FlowjaxError(
                f"{self.folder}: expected a complete store, got {progress}; repeat the command "
                "that began it"
            )
        result: dict[str, Any] = self.manifest["result"]
        return result

    def _other_source(self, how: str) -> OtherStore:
        return OtherStore(
            f"{self.folder}: expected the source of the stored vectors, got another source "
            f"({how}); use another folder or --overwrite"
        )

    def _compare(self, k: int, block: Any, line: dict[str, Any]) -> None:
        if len(block) != line["rows"] or fingerprint(block) != line["hash"]:
            first = k * self.block
            raise self._other_source(f"rows {first} to {first + line['rows']} differ")

    def _check_vectors(self, vectors: np.ndarray, k: int, rows: int) -> None:
        if vectors.shape != (rows, self.dim):
            wanted = (rows, self.dim)
            raise FlowjaxError(f"embed: expected vectors of shape {wanted}, got {vectors.shape}")
        finite = np.isfinite(vectors).all(axis=1)
        if not finite.all():
            row = k * self.block + int(np.argmin(finite))
            raise FlowjaxError(f"embed: expected finite vectors, got NaN or inf at row {row}")
