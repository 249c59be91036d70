"""Text files as lines, with errors that name the file, the place and what was expected there."""

from __future__ import annotations

import math
from pathlib import Path


def read_lines(path: Path) -> list[str]:
    r"""Lines of a UTF-8 file, without their line ends.

    Only ``\n`` (and ``\r\n``) ends a line: ``str.splitlines`` also breaks at characters such as
    U+0085 and U+2028, which occur inside sentences and would shift input against gold scores.

    Args:
        path: The file.

    Returns:
        The lines, blank ones included; what follows the last line end only if it is not empty.

    Raises:
        ValueError: If the file cannot be read, is empty, or is not UTF-8 (names the byte offset).
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: expected a readable file, got: {error.strerror}") from error
    if not data:
        raise ValueError(f"{path}: expected lines of text, got an empty file")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path}: expected UTF-8, got byte 0x{data[error.start]:02x} at offset {error.start}"
        ) from error
    lines = text.removeprefix("\ufeff").split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def parse_score(text: str, path: Path, line: int) -> float:
    """A finite number, or a ValueError that names file and line."""
    try:
        score = float(text)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise ValueError(f"{path}, line {line}: expected a number as the score, got {text!r}")
    return score


def columns(row: list[str], wanted: tuple[str, ...], path: Path) -> tuple[int, ...]:
    """Positions of the wanted column names in a header row, or a ValueError that names them."""
    missing = [name for name in wanted if name not in row]
    if missing:
        raise ValueError(
            f"{path}, line 1: expected a header with the columns {', '.join(wanted)}, got {row!r}"
        )
    return tuple(row.index(name) for name in wanted)
