"""Containers of labelled sentence pairs: `Pairs` of one subset, `PairTask` of one benchmark."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain

import numpy as np

from flowjax.errors import FlowjaxError


@dataclass(frozen=True, eq=False)
class Pairs:
    """Sentence pairs of one subset with their gold scores.

    Attributes:
        sentences1: first sentence of each of the n scored pairs.
        sentences2: second sentence of each scored pair.
        gold: gold scores, shape (n,), float64; for QNLI 1 for entailment and 0 otherwise.
        unscored: pairs without a gold score, which are counted but not evaluated.

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
            got = f"{len(self.sentences2)} and {gold.shape}"
            raise FlowjaxError(f"pairs: expected {n} second sentences and gold scores, got {got}")
        if not np.isfinite(gold).all():
            raise FlowjaxError("gold: expected finite scores, got NaN or infinity")

    def __len__(self) -> int:
        return len(self.sentences1)

    @property
    def skipped(self) -> int:
        """Number of pairs without a gold score."""
        return len(self.unscored)


@dataclass(frozen=True, eq=False)
class PairTask:
    """Labelled pairs of a benchmark task, by split and subset.

    Attributes:
        name: key of the task in results, such as `"stsb"`.
        splits: `{split: {subset: Pairs}}`; the only subset of a task without subsets has the name
            of the task.
        metric: `"correlation"` (Spearman and Pearson) or `"auc"` (QNLI).
        grouped: True if the scores of the subsets are aggregated as all, mean and wmean (STS12 to
            STS16).
        notes: sentences about skipped pairs and missing files, to be printed.
        source: path of the file or folder that the task was read from.
    """

    name: str
    splits: Mapping[str, Mapping[str, Pairs]]
    metric: str = "correlation"
    grouped: bool = False
    notes: tuple[str, ...] = ()
    source: str = ""

    def check_splits(self, splits: Iterable[str] | None) -> tuple[str, ...]:
        """Returns the names of the given splits, or of all splits for None.

        Args:
            splits: names of splits; None means all.

        Returns:
            Names of the splits.

        Raises:
            FlowjaxError: A split does not exist; the message lists the existing splits.
        """
        wanted = tuple(self.splits) if splits is None else tuple(splits)
        unknown = [split for split in wanted if split not in self.splits]
        if unknown:
            names = ", ".join(self.splits)
            raise FlowjaxError(f"{self.name}: expected splits among {names}, got {unknown}")
        return wanted

    def pairs(self, split: str) -> Pairs:
        """Returns all pairs of a split, in the order of its subsets."""
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
        """Returns the sentences of all pairs, the "target" data that the paper fits a flow on.

        The paper (arXiv 2011.05864) uses both sentences of every train, validation and test pair,
        without the gold scores. A sentence that occurs in several pairs is repeated.

        Args:
            splits: names of the splits; all splits if None.
            unscored: True to include pairs without a gold score. The pair counts of the paper for
                STS12 to STS16 exclude them.
            unique: True to return each distinct sentence once, at its first position.

        Returns:
            The sentences in file order, each pair's first sentence before its second.

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
                pairs = chain(scored, part.unscored if unscored else ())
                found += chain.from_iterable(pairs)
        return list(dict.fromkeys(found)) if unique else found

    def counts(self) -> dict[str, dict[str, dict[str, int]]]:
        """Returns the numbers of scored and skipped pairs.

        Returns:
            `{split: {subset: {"pairs", "skipped"}}}`.
        """
        return {
            split: {name: {"pairs": len(p), "skipped": p.skipped} for name, p in subsets.items()}
            for split, subsets in self.splits.items()
        }
