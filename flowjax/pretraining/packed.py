"""Text packed into rows of token ids: what `pretrain` reads, memory-mapped from one `.npy`."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowjax.files.text import read_lines

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def pack_text(
    paths: Iterable[str | Path],
    tokenizer: Tokenizer,
    out: str | Path,
    *,
    length: int = 128,
    shuffle_seed: int = 0,
) -> np.ndarray:
    """Tokenizes text files into full rows `[CLS] ... [SEP]` of one length, without padding.

    Paragraphs follow each other with a `[SEP]` between them; what is left over at the end of the
    last file (less than a row) is dropped. Rows are written in a shuffled order, so that a prefix
    of the file is a fair sample of the text.

    Args:
        paths: UTF-8 text, a paragraph a line, plain or compressed.
        tokenizer: a WordPiece tokenizer with `[CLS]` and `[SEP]`.
        out: the `.npy` to write; `out` + `.json` records what it was made of. A file whose record
            agrees is reused.
        length: tokens in a row, special tokens included.
        shuffle_seed: the seed of the rows' order.

    Returns:
        The memory-mapped array `(rows, length)` uint16 (uint32 for a vocabulary over 65,536).

    Raises:
        ValueError: the text has less than one row, or cannot be read; a length without room for a
            word; a tokenizer without the special tokens.
    """
    files, out = [Path(p) for p in paths], Path(out)
    if not files:
        raise ValueError("paths: expected text files, got none")
    if length < 3:
        raise ValueError(f"length: expected at least 3 tokens, got {length}")
    for token in ("[CLS]", "[SEP]"):
        if tokenizer.token_to_id(token) is None:
            raise ValueError(f"tokenizer: expected one with {token}, got none")
    record = {
        "files": [[p.name, p.stat().st_size] for p in files],
        "length": length,
        "vocab": tokenizer.get_vocab_size(),
        "tokenizer": hashlib.sha256(tokenizer.to_str().encode()).hexdigest()[:16],
        "seed": shuffle_seed,
    }
    record_file = out.with_name(out.name + ".json")
    if out.exists() and _read_record(record_file) == record:
        return np.load(out, mmap_mode="r")
    dtype = np.uint16 if tokenizer.get_vocab_size() <= 1 << 16 else np.uint32
    parts = [ids for path in files for ids in _ids(path, tokenizer, dtype)]
    tokens = np.concatenate(parts) if parts else np.empty(0, dtype)
    del parts
    body, rows = length - 2, len(tokens) // (length - 2)
    if rows == 0:
        raise ValueError(f"{files[0]}: expected text of at least {body} tokens, got {len(tokens)}")
    packed = np.empty((rows, length), dtype)
    packed[:, 0] = tokenizer.token_to_id("[CLS]")
    packed[:, -1] = tokenizer.token_to_id("[SEP]")
    packed[:, 1:-1] = tokens[: rows * body].reshape(rows, body)
    packed = packed[np.random.default_rng(shuffle_seed).permutation(rows)]
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial.npy")
    np.save(partial, packed)
    os.replace(partial, out)  # a killed run leaves no file that looks whole
    record_file.write_text(json.dumps(record), "utf-8")
    return np.load(out, mmap_mode="r")


def _read_record(path: Path) -> Any:
    """What a file was made of; None where that is not known, so that it is made again."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _ids(path: Path, tokenizer: Tokenizer, dtype: type) -> Iterator[np.ndarray]:
    """Yields the ids of a file in chunks; each paragraph ends with `[SEP]`."""
    separator: Any = tokenizer.token_to_id("[SEP]")
    lines = (line for line in read_lines(path) if line.strip())
    while chunk := list(islice(lines, 2000)):
        ids: list[int] = []
        for encoding in tokenizer.encode_batch_fast(chunk, add_special_tokens=False):
            ids += encoding.ids
            ids.append(separator)
        yield np.asarray(ids, dtype)
