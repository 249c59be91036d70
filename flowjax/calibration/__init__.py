"""Calibration without labels: related pairs of a text, candidate transformations, selection."""

from flowjax.calibration.pairs import Pairs, dropped_words, halves, neighbours

__all__ = ["Pairs", "dropped_words", "halves", "neighbours"]


def __dir__() -> list[str]:
    return sorted(__all__)
