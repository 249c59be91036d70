"""Text packed into rows of token ids, memory-mapped from one `.npy` file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.errors import FlowjaxError
from flowjax.files.text import read_lines

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class PackedRows:
    """Training examples (`training.ExampleSource`) read from packed rows, one batch at a time."""

    resident = None

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        self.size = len(rows)

    def read(self, rows: np.ndarray) -> dict[str, np.ndarray]:
        """Returns `{"ids": ...}`, the token ids of the selected rows.

        Args:
            rows: row indices, shape (m,).

        Returns:
            Dict with the array `ids`, shape (m, length), int32.
        """
        return {"ids": np.asarray(self._rows[rows], np.int32)}


def pack_text(
    paths: Iterable[str | Path],
    tokenizer: Tokenizer,
    out: str | Path,
    *,
    length: int = 128,
    shuffle_seed: int = 0,
) -> np.ndarray:
    """Tokenizes text files into full rows `[CLS] ... [SEP]` of one length, without padding.

    A `[SEP]` separates paragraphs. An incomplete row at the end of the last file is dropped. Rows
    are written in shuffled order, so that a prefix of the file is a random sample of the text.

    Args:
        paths: UTF-8 text files, plain or compressed, one paragraph per line.
        tokenizer: WordPiece tokenizer with `[CLS]` and `[SEP]`.
        out: `.npy` file to write. `out` + `.json` records the text, the tokenizer and the options;
            an existing file with an equal record is reused.
        length: number of tokens in a row, including special tokens.
        shuffle_seed: integer seed of the order of the rows.

    Returns:
        The memory-mapped array `(rows, length)`, uint16, or uint32 for a vocabulary of more than
        65,536 entries.

    Raises:
        FlowjaxError: The text does not fill a row or cannot be read, `length` is below 3, or the
            tokenizer lacks the special tokens.
    """
    files, out = [Path(p) for p in paths], Path(out)
    if not files:
        raise FlowjaxError("paths: expected text files, got none")
    if length < 3:
        raise FlowjaxError(f"length: expected at least 3 tokens, got {length}")
    record = {
        "files": [[p.name, p.stat().st_size] for p in files],
        "length": length,
        "vocab": tokenizer.get_vocab_size(),
        "tokenizer": hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:16],
        "seed": shuffle_seed,
    }
    first, last = (_special_id(tokenizer, token) for token in ("[CLS]", "[SEP]"))
    record_file = out.with_name(out.name + ".json")
    if out.exists() and _read_record(record_file) == record:
        return _mapped(out)
    dtype = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32
    parts = [ids for path in files for ids in _ids(path, tokenizer, last, dtype)]
    tokens = np.concatenate(parts) if parts else np.empty(0, dtype)
    del parts
    body, rows = length - 2, len(tokens) // (length - 2)
    if rows == 0:
        raise FlowjaxError(
            f"{files[0]}: expected text of at least {body} tokens, got {len(tokens)}"
        )
    packed = np.empty((rows, length), dtype)
    packed[:, 0], packed[:, -1] = first, last
    packed[:, 1:-1] = tokens[: rows * body].reshape(rows, body)
    packed = packed[np.random.default_rng(shuffle_seed).permutation(rows)]
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial.npy")
    np.save(partial, packed)
    os.replace(partial, out)  # an interrupted run leaves no incomplete `out`
    record_file.write_text(json.dumps(record), "utf-8")
    return _mapped(out)


def _mapped(path: Path) -> np.ndarray:
    rows: np.ndarray = np.load(path, mmap_mode="r")
    return rows


def _special_id(tokenizer: Tokenizer, token: str) -> int:
    number = tokenizer.token_to_id(token)
    if number is None:
        raise FlowjaxError(f"tokenizer: expected a tokenizer with {token}, got one without it")
    return number


def _read_record(path: Path) -> Any:
    """Returns the record of a packed file; None if it is missing or damaged."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _ids(path: Path, tokenizer: Tokenizer, separator: int, dtype: type) -> Iterator[np.ndarray]:
    """Yields the token ids of a file in chunks; each paragraph ends with `separator`."""
    lines = (line for line in read_lines(path) if line.strip())
    while chunk := list(islice(lines, 2000)):
        ids: list[int] = []
        for encoding in tokenizer.encode_batch_fast(chunk, add_special_tokens=False):
            ids += encoding.ids
            ids.append(separator)
        yield np.asarray(ids, dtype)
