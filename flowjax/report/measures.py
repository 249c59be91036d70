"""The tables of `flowjax analyze`: isotropy, word frequency, lexical similarity, baselines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from flowjax.compare import Calibration
from flowjax.encoder.embed import CHUNK, SentenceEncoder
from flowjax.evaluation import (
    alignment,
    evaluate_vectors,
    flat_rows,
    frequency_table,
    isotropy_report,
    lexical_correlations,
    null_top_singular_vectors,
    spearman,
    standardize,
    standardize_then_null,
    whiten,
)
from flowjax.report.blocks import Column, Table
from flowjax.report.inputs import TaskVectors

# Table 5's: how many top singular vectors are nulled, without and after standardizing.
NATSV, SN_NATSV = (1, 10), (1, 6)
NEIGHBOURS = (3, 5, 7)


def isotropy_table(
    name: str,
    caption: str,
    clouds: Mapping[str, np.ndarray],
    positives: Mapping[str, tuple[np.ndarray, np.ndarray]] | None = None,
    notes: Sequence[str] = (),
) -> Table:
    """How evenly each cloud of vectors fills its space.

    Args:
        name: The table's.
        caption: The table's.
        clouds: Named `(n, d)` vectors.
        positives: Under the same names, both sides of pairs that mean the same, for alignment.
        notes: More of them.
    """
    rows = []
    for kind, vectors in clouds.items():
        row: dict[str, Any] = {"vectors": kind, "n": len(vectors), **isotropy_report(vectors)}
        if positives is not None and len(positives[kind][0]):
            row["alignment"] = alignment(*positives[kind])
        rows.append(row)
    columns = [
        Column("vectors", "vectors", left=True),
        Column("mean_cosine", "mean cosine", 3),
        Column("isotropy_score", "isotropy score", 3, best="max"),
        Column("isoscore", "IsoScore", 3, best="max"),
        Column("uniformity", "uniformity", 2, best="min"),
        Column("top_variance", "first PC's share", 3, best="min"),
        Column("mean_norm", "mean norm", 2),
    ]
    if positives is not None:
        columns.insert(5, Column("alignment", "alignment", 3))
    return Table(name, caption, columns, rows, notes)


def word_table(encoder: SentenceEncoder, sentences: Iterable[str] | None) -> Table:
    """The paper's table 1 on an encoder's word embeddings.

    Args:
        encoder: Any.
        sentences: Text to rank words by; None ranks them by their place in the vocabulary.
    """
    vocabulary = encoder.tokenizer.get_vocab()
    added = encoder.tokenizer.get_added_tokens_decoder()
    words = np.array(
        sorted(
            i for word, i in vocabulary.items()
            if i not in added and not re.fullmatch(r"\[\w+\]|</?\w+>", word)
        )
    )  # fmt: skip
    embeddings = np.asarray(encoder.params["embeddings"]["word_embeddings"]["embedding"])
    if sentences is None:
        order = "Rank is the place in the vocabulary, as the run's sentences cannot be had."
    else:
        counts = _count(encoder, sentences, len(embeddings))[words]
        order = (
            f"Rank is by count in the {len(list(sentences)):,} sentences of the run; "
            f"{int((counts > 0).sum()):,} of {len(words):,} tokens occur there, the others follow "
            "in the vocabulary's order."
        )
        words = words[np.argsort(-counts, kind="stable")]
    rows = frequency_table(embeddings[words], neighbours=NEIGHBOURS)
    for row in rows:
        row["ranks"] = f"{row['low']:,} to {row['high']:,}"
    columns = [
        Column("ranks", "frequency rank", left=True),
        Column("words", "tokens"),
        Column("norm", "mean norm", 2),
        *(Column(f"l2_{k}", f"L2, k = {k}", 2) for k in NEIGHBOURS),
        *(Column(f"dot_{k}", f"dot, k = {k}", 2) for k in NEIGHBOURS),
    ]
    notes = [order, "L2, dot: mean distance and mean dot product of a token's k nearest others."]
    return Table("words", "Word embeddings by frequency rank", columns, rows, notes)


def lexical_table(tasks: Sequence[TaskVectors], maps: Mapping[str, Calibration]) -> Table | None:
    """The paper's table 6: edit distance and gold against each similarity; None without gold."""
    rows = []
    for found in tasks:
        if found.task.metric != "correlation":
            continue
        for split in found.task.splits:
            pairs = found.task.pairs(split)
            measures = {"gold": pairs.gold, **found.cosines(maps, pairs)}
            edits = lexical_correlations(pairs.sentences1, pairs.sentences2, measures)
            for name, values in measures.items():
                names = (name, "gold")
                rows.append(
                    {
                        "measure": name,
                        "task": found.task.name,
                        "split": split,
                        "pairs": len(pairs),
                        "edit": edits[name],
                        "gold": 100.0 * spearman(values, pairs.gold, names),
                    }
                )
    if not rows:
        return None
    columns = [
        Column("measure", "similarity", left=True),
        Column("edit", "with edit distance", 2),
        Column("gold", "with gold", 2),
        Column("task", "task", left=True),
        Column("split", "split", left=True),
        Column("pairs", "pairs"),
    ]
    notes = ["Spearman x 100; edit distance in words, lower-cased; all pairs of a split pooled."]
    return Table("lexical", "Correlation with edit distance and with gold", columns, rows, notes)


def baseline_table(
    fitted: np.ndarray, tasks: Sequence[TaskVectors], name: str, flow: Calibration
) -> Table:
    """The paper's table 5: calibrations without a flow, fitted on the same vectors, and the flow.

    Args:
        fitted: `(n, d)` plain vectors to fit on.
        tasks: To score on.
        name: The flow's.
        flow: The flow.
    """
    k = max(1, fitted.shape[1] // 3)
    makers: dict[str, Any] = {
        "plain": lambda: lambda x: x,
        "standardize (SN)": lambda: standardize(fitted),
        **{f"NATSV k={k}": lambda k=k: null_top_singular_vectors(fitted, k) for k in NATSV},
        **{f"SN + NATSV k={k}": lambda k=k: standardize_then_null(fitted, k) for k in SN_NATSV},
        "whitening": lambda: whiten(fitted),
        f"whitening-{k}": lambda: whiten(fitted, k),
        f"{name} (fitted flow)": lambda: flow,
    }
    notes = [
        "Spearman x 100 (QNLI: AUC x 100). NATSV k: top k singular vectors nulled; whitening-"
        f"{k}: the first {k} components only. Each fitted on the same {len(fitted):,} vectors, "
        "labels unseen."
    ]
    rows, columns = [], {}
    for method, make in makers.items():
        row: dict[str, Any] = {"method": method}
        try:
            map_ = make()
        except ValueError as error:  # too few vectors for this one: the others still count
            notes.append(f"{method}: not defined here ({error}).")
        else:
            for place, label, value in _scores(tasks, map_):
                row[place], columns[place] = value, label
        rows.append(row)
    shown = [Column(place, label, 2, best="max") for place, label in columns.items()]
    head = Column("method", "vectors", left=True)
    return Table("baselines", "Calibration baselines", [head, *shown], rows, notes)


def _scores(tasks: Sequence[TaskVectors], map_: Calibration) -> Iterable[tuple[str, str, float]]:
    """Key, label and main number of every split (and aggregation) of every task."""
    for found in tasks:
        scores = evaluate_vectors(found.task, found.sentences, map_(found.plain))
        results = {found.task.name: {split: {"": each} for split, each in scores.items()}}
        for row in flat_rows(results, subsets=False):
            parts = [row["task"], row["split"]]
            parts += [row["aggregation"]] if row["aggregation"] != "-" else []
            value = row["auc"] if "auc" in row else row["spearman"]
            yield "_".join(parts), " ".join(parts), value


def _count(encoder: SentenceEncoder, sentences: Iterable[str], size: int) -> np.ndarray:
    """How often each token id occurs."""
    texts = list(sentences)
    counts = np.zeros(size, np.int64)
    for start in range(0, len(texts), CHUNK):
        block = encoder.tokenizer.encode_batch_fast(
            texts[start : start + CHUNK], add_special_tokens=False
        )
        ids = [i for encoding in block for i in encoding.ids]
        counts += np.bincount(np.asarray(ids, np.int64), minlength=size)
    return counts
