"""The embedding store: vectors on disk, computed once, resumed where an interrupted job stopped.

A folder with `manifest.json` (what the vectors are of), `vectors.npy` (memory-mapped float32) and
`done.json` (how many rows are whole). Rows are written in order and flushed before `done` moves.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np


class EmbeddingStore:
    """Vectors `(n, dim)` float32 in a folder.

    Example:
        >>> import tempfile
        >>> store = EmbeddingStore(tempfile.mkdtemp(), {"encoder": "toy"}, rows=3, dim=2)
        >>> store.fill(lambda start: [np.ones((3 - start, 2), np.float32)])
        >>> store.vectors.shape
        (3, 2)
    """

    def __init__(
        self, folder: str | Path, manifest: Mapping[str, Any], *, rows: int, dim: int
    ) -> None:
        """Opens a store, or makes one.

        Args:
            folder: made if it does not exist.
            manifest: what the vectors are of: encoder, pooling, max_length, source and its hash.
            rows: how many vectors.
            dim: their width.

        Raises:
            ValueError: the folder holds vectors of something else.
        """
        self.folder, self.rows, self.dim = Path(folder), rows, dim
        wanted = {**manifest, "rows": rows, "dim": dim}
        manifest_file = self.folder / "manifest.json"
        if manifest_file.exists():
            found = json.loads(manifest_file.read_text("utf-8"))
            for name in sorted({*wanted, *found}):
                if wanted.get(name) != found.get(name):
                    raise ValueError(
                        f"{self.folder}: holds vectors of {name} {found.get(name)!r}, expected "
                        f"{wanted.get(name)!r}; use another folder or --overwrite"
                    )
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            np.lib.format.open_memmap(
                self.folder / "vectors.npy", mode="w+", dtype=np.float32, shape=(rows, dim)
            ).flush()
            _write_json(self.folder / "done.json", 0)
            _write_json(manifest_file, wanted)  # last: a store with a manifest is whole

    @property
    def done(self) -> int:
        """How many rows, from the first, are written."""
        return int(json.loads((self.folder / "done.json").read_text()))

    @property
    def vectors(self) -> np.ndarray:
        """The vectors, memory-mapped for reading."""
        return np.load(self.folder / "vectors.npy", mmap_mode="r")

    def fill(self, produce: Callable[[int], Iterable[np.ndarray]]) -> None:
        """Writes the rows that are missing.

        Args:
            produce: `produce(start)` yields `(m, dim)` arrays for the rows from `start` on.

        Raises:
            ValueError: it yields more or fewer rows than the store has.
        """
        start = self.done
        if start == self.rows:
            return
        target = np.lib.format.open_memmap(self.folder / "vectors.npy", mode="r+")
        for block in produce(start):
            if start + len(block) > self.rows:
                raise ValueError(f"{self.folder}: expected {self.rows} rows, got more")
            target[start : start + len(block)] = block
            target.flush()
            start += len(block)
            _write_json(self.folder / "done.json", start)
        if start != self.rows:
            raise ValueError(f"{self.folder}: expected {self.rows} rows, got {start}")


def _write_json(path: Path, value: Any) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=1), "utf-8")
    os.replace(partial, path)
