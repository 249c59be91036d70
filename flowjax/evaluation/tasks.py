"""Graded sentence pairs: the containers that every reader fills and every score reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Pairs:
    """Sentence pairs of one subset with their human scores.

    Attributes:
        sentences1: First sentence of each scored pair, ``n`` of them.
        sentences2: Second sentence of each scored pair, ``n`` of them.
        gold: Human scores ``(n,)`` float64; for QNLI 1 is entailment and 0 is not.
        unscored: Pairs that the file holds without a gold score: never evaluated, but counted.

    Example:
        >>> pairs = Pairs(("A cat.",), ("A dog.",), [2.5], unscored=(("x", "y"),))
        >>> len(pairs), pairs.skipped, pairs.gold.dtype
        (1, 1, dtype('float64'))
    """

    sentences1: tuple[str, ...]
    sentences2: tuple[str, ...]
    gold: np.ndarray
    unscored: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        gold = np.asarray(self.gold, dtype=np.float64)
        object.__setattr__(self, "sentences1", tuple(self.sentences1))
        object.__setattr__(self, "sentences2", tuple(self.sentences2))
        object.__setattr__(self, "gold", gold)
        n = len(self.sentences1)
        if len(self.sentences2) != n or gold.shape != (n,):
            raise ValueError(
                f"pairs: expected {n} second sentences and gold of shape ({n},), "
                f"got {len(self.sentences2)} and {gold.shape}"
            )
        if not np.isfinite(gold).all():
            raise ValueError(f"gold: expected finite scores, got {(~np.isfinite(gold)).sum()} not")

    def __len__(self) -> int:
        return len(self.sentences1)

    @property
    def skipped(self) -> int:
        """How many pairs of the file have no gold score."""
        return len(self.unscored)


@dataclass(frozen=True, eq=False)
class PairTask:
    """A benchmark: splits of subsets of graded pairs.

    Attributes:
        name: Its key in results, such as ``"stsb"``.
        splits: ``{split: {subset: Pairs}}``; a task without subsets has one, named like the task.
        metric: ``"correlation"`` (Spearman and Pearson) or ``"auc"`` (QNLI).
        grouped: True where the field reports over subsets as all, mean and wmean (STS12 to 16).
        notes: What was skipped or is missing, one sentence each; meant to be printed.
        source: Where it was read.
    """

    name: str
    splits: Mapping[str, Mapping[str, Pairs]]
    metric: str = "correlation"
    grouped: bool = False
    notes: tuple[str, ...] = ()
    source: str = ""

    def check_splits(self, splits: Iterable[str] | None) -> tuple[str, ...]:
        """The wanted splits (all for None), or a ValueError that lists those there are."""
        wanted = tuple(self.splits) if splits is None else tuple(splits)
        unknown = [split for split in wanted if split not in self.splits]
        if unknown:
            there = ", ".join(self.splits)
            raise ValueError(f"{self.name}: expected splits among {there}, got {unknown}")
        return wanted

    def pairs(self, split: str) -> Pairs:
        """All pairs of one split, its subsets one after the other."""
        self.check_splits([split])
        parts = list(self.splits[split].values())
        return Pairs(
            tuple(s for part in parts for s in part.sentences1),
            tuple(s for part in parts for s in part.sentences2),
            np.concatenate([part.gold for part in parts]) if parts else np.zeros(0),
            tuple(pair for part in parts for pair in part.unscored),
        )

    def sentences(
        self, splits: Iterable[str] | None = None, *, unscored: bool = False, unique: bool = False
    ) -> list[str]:
        """Sentences to fit a flow on: the paper's "target" set, gold scores never looked at.

        The paper (arXiv 2011.05864) fits on train + validation + test, both sentences of every
        pair, so a sentence that occurs in several pairs counts several times.

        Args:
            splits: Which splits; all of them when None.
            unscored: Also the sentences of pairs without a gold score. False by default: the
                paper's pair counts for STS12 to 16 are those of the scored pairs.
            unique: Each distinct sentence once, at its first place.

        Returns:
            The sentences, first and second of each pair side by side, in file order.

        Example:
            >>> task = PairTask("t", {"test": {"t": Pairs(("a", "b"), ("b", "c"), [1, 2])}})
            >>> task.sentences()
            ['a', 'b', 'b', 'c']
            >>> task.sentences(unique=True)
            ['a', 'b', 'c']
        """
        found: list[str] = []
        for split in self.check_splits(splits):
            for part in self.splits[split].values():
                scored = zip(part.sentences1, part.sentences2, strict=True)
                found += [sentence for pair in scored for sentence in pair]
                if unscored:
                    found += [sentence for pair in part.unscored for sentence in pair]
        return list(dict.fromkeys(found)) if unique else found

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """``{split: {subset: {"pairs", "skipped"}}}``."""
        return {
            split: {name: {"pairs": len(p), "skipped": p.skipped} for name, p in subsets.items()}
            for split, subsets in self.splits.items()
        }
