"""Readers of text files: lines, CSV and TSV tables, JSON lines, JSON metadata."""

__all__: list[str] = []


def __dir__() -> list[str]:
    return __all__
