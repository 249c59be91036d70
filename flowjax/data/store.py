"""The embedding store: vectors on disk, computed once, resumed where an interrupted job stopped.

A folder with `manifest.json` (what the vectors are of), `vectors.npy` (float32, a row a sentence,
in the input's order) and a journal for each writer. The source is read in blocks; block k's rows
have their fixed place in the file, are flushed there, and only then does a journal line say so.
Hence a kill at any moment loses at most the blocks in work, several processes write one file
without waiting for each other, and a source of unknown length just makes the file longer. The
header with the number of rows is written when all blocks are there.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowjax.data.blocks import Blocks
from flowjax.data.journal import Done, Journal, read_journals
from flowjax.data.manifest import (
    OtherStore,
    check_same,
    create_manifest,
    made_of,
    read_manifest,
    replace_manifest,
)
from flowjax.data.npy import HEADER_BYTES, float32_bytes, npy_header
from flowjax.data.sentences import fingerprint

# Sentences that are embedded together; a kill loses at most so many for each process.
BLOCK = 8192
Embed = Callable[[Iterator[list[str]]], Iterable[tuple[np.ndarray, Mapping[str, int]]]]


class EmbeddingStore:
    """Vectors `(n, dim)` float32 in a folder.

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
        """Opens a store to be filled, or makes one.

        Args:
            folder: made if it does not exist.
            manifest: what the vectors are of, and what must agree: encoder, pooling, max_length,
                and `source_hash`, a hash of the source, or None for a stream.
            dim: the vectors' width.
            block: sentences that are embedded together.
            notes: recorded, but not compared: the source's name, versions.

        Raises:
            ValueError: the folder holds vectors of something else.
        """
        self.folder, self.dim, self.block = Path(folder), dim, block
        wanted = {**manifest, "dim": dim, "block": block}
        if not (self.folder / "manifest.json").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            create_manifest(self.folder, {**wanted, "notes": dict(notes or {})})
        self.manifest = read_manifest(self.folder)
        check_same(self.folder, self.manifest, wanted)

    @classmethod
    def open(cls, folder: str | Path) -> EmbeddingStore:
        """Opens a store for reading.

        Raises:
            ValueError: there is none.
        """
        found = read_manifest(Path(folder))
        return cls(folder, made_of(found), dim=found["dim"], block=found["block"])

    @property
    def complete(self) -> bool:
        """Whether all rows are written; looks at the disk, as another process may be at work."""
        if "result" not in self.manifest:
            self.manifest = read_manifest(self.folder)
        return "result" in self.manifest

    @property
    def counts(self) -> dict[str, int]:
        """`rows` and `empty` (left out), and what the encoder counted; of a complete store."""
        return {k: v for k, v in self._result().items() if k != "hash"}

    @property
    def hash(self) -> str:
        """Of the sentences, in their order."""
        return self._result()["hash"]

    @property
    def vectors(self) -> np.ndarray:
        """The vectors, memory-mapped for reading.

        Raises:
            ValueError: they are not all there.
        """
        rows = self._result()["rows"]
        path = self.folder / "vectors.npy"
        expected = HEADER_BYTES + rows * self.dim * 4
        size = path.stat().st_size if path.exists() else 0
        if size != expected:
            raise ValueError(
                f"{path}: expected {expected} bytes, got {size}; the store is damaged"
            )
        if rows == 0:  # an empty file cannot be mapped
            return np.zeros((0, self.dim), np.float32)
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def fill(
        self,
        sentences: Iterable[str],
        embed: Embed,
        *,
        share: tuple[int, int] = (0, 1),
        skip_empty: bool = False,
        on_rows: Callable[[int], None] = lambda rows: None,
    ) -> None:
        """Writes the rows that are missing.

        Args:
            sentences: the source, from its beginning; what is stored already is compared.
            embed: takes an iterator of blocks and yields for each, in order, its `(m, dim)`
                vectors and counts that are added up over all blocks.
            share: `(i, k)`: this is process i of k, which writes every k-th block. The store is
                complete when all have done theirs.
            skip_empty: leaves sentences without words out, and counts them.
            on_rows: called with the number of rows just written, or found written.

        Raises:
            ValueError: the source is not the one that was stored, or vectors that are of another
                shape or not finite.
        """
        if self.complete and self.manifest.get("source_hash") is not None:
            return  # the manifest has said that it is the same source
        if not 0 <= share[0] < share[1]:
            raise ValueError(f"share: expected (i, k) with 0 <= i < k, got {share}")
        done = read_journals(self.folder)
        (self.folder / "vectors.npy").open("ab").close()
        size = (self.folder / "vectors.npy").stat().st_size
        if done.blocks and size < HEADER_BYTES + done.rows_until(self.block) * self.dim * 4:
            raise ValueError(f"{self.folder}/vectors.npy: expected more rows; it is damaged")
        blocks = Blocks(sentences, self.block, skip_empty=skip_empty)
        todo: deque[tuple[int, list[str]]] = deque()

        def missing() -> Iterator[list[str]]:
            for k, block in enumerate(blocks):
                if k in done.blocks:
                    self._compare(k, block, done)
                    on_rows(len(block))
                elif k % share[1] == share[0]:
                    todo.append((k, block))
                    yield block

        with (
            (self.folder / "vectors.npy").open("r+b", buffering=0) as file,
            Journal(self.folder, share[0]) as journal,
        ):
            for vectors, counts in embed(missing()):
                k, block = todo.popleft()
                self._check(vectors, k, len(block))
                _write(file, HEADER_BYTES + k * self.block * self.dim * 4, float32_bytes(vectors))
                line = {"block": k, "rows": len(block), "hash": fingerprint(block)}
                journal.write({**line, "counts": dict(counts)})
                on_rows(len(block))
            if todo:
                raise ValueError(f"embed: expected vectors of {len(todo)} more blocks, got none")
            end = {"rows": blocks.rows, "empty": blocks.empty, "hash": str(blocks.hash)}
            done = read_journals(self.folder)  # with what others have written meanwhile
            if any(other != end for other in done.ends) or done.beyond(blocks.rows, self.block):
                raise OtherStore(self._changed("it ends elsewhere"))
            if not done.ends:
                journal.write(end)
        self._finish()

    def wait(self, timeout: float = 600.0) -> None:
        """Waits until the other processes have written their shares.

        Args:
            timeout: seconds without a new block of any of them after which they count as gone.

        Raises:
            TimeoutError: nothing came for so long; says what is missing.
        """
        heard, blocks = time.monotonic(), -1
        while not self.complete:
            done = read_journals(self.folder)
            if len(done.blocks) != blocks:
                heard, blocks = time.monotonic(), len(done.blocks)
            elif time.monotonic() - heard > timeout:
                left = done.missing(self.block)
                raise TimeoutError(
                    f"{self.folder}: expected the other processes' shares, got no new block for "
                    f"{timeout:g} s ({blocks} blocks are there, "
                    f"{'an unknown number' if left is None else left} to come); start those that "
                    "have died again, nothing is lost"
                )
            time.sleep(min(0.2, timeout))

    def _finish(self) -> None:
        """Writes the header, then the result, if all blocks are there; twice does no harm."""
        done = read_journals(self.folder)
        if done.missing(self.block) != 0:
            return
        result = dict(done.ends[0])
        for line in done.blocks.values():
            for name, count in line["counts"].items():
                result[name] = result.get(name, 0) + count
        with (self.folder / "vectors.npy").open("r+b", buffering=0) as file:
            _write(file, 0, npy_header(result["rows"], self.dim))
        replace_manifest(self.folder, {**self.manifest, "result": result})

    def _result(self) -> dict[str, Any]:
        if not self.complete:
            done = read_journals(self.folder)
            left = done.missing(self.block)
            raise ValueError(
                f"{self.folder}: expected a complete store, got {len(done.blocks)} blocks of "
                f"{self.block} rows, {'an unknown number' if left is None else left} to come; "
                "run what made it again"
            )
        return self.manifest["result"]

    def _compare(self, k: int, block: list[str], done: Done) -> None:
        known = done.blocks[k]
        if len(block) != known["rows"] or fingerprint(block) != known["hash"]:
            first = k * self.block
            raise OtherStore(self._changed(f"rows {first} to {first + known['rows']} differ"))

    def _changed(self, how: str) -> str:
        return (
            f"{self.folder}: expected the source it was begun with, got another ({how}); "
            "use another folder or --overwrite"
        )

    def _check(self, vectors: np.ndarray, k: int, rows: int) -> None:
        if vectors.shape != (rows, self.dim):
            raise ValueError(f"embed: expected vectors {(rows, self.dim)}, got {vectors.shape}")
        if not np.isfinite(vectors).all():
            row = int(np.argwhere(~np.isfinite(vectors))[0, 0])
            row += k * self.block
            raise ValueError(f"embed: expected finite vectors, got others at row {row}")


def _write(file: Any, place: int, data: bytes) -> None:
    """Writes bytes at a place of an unbuffered file, through to the disk.

    Not through a memory map: there a full disk is no error but kills the process.
    """
    file.seek(place)
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
    os.fsync(file.fileno())
