"""Hands `SentenceEncoder` and `BertFlow` to the real mteb and sentence-transformers, unchanged.

    python benchmarks/mteb_check.py --stsb sts-test.csv [--pairs 200]

Needs `pip install mteb sentence-transformers`. mteb's own tasks are downloads; the task here has
the rows of STS-B's file, scored by mteb's code, so nothing is fetched. All models share one cache
of mteb, which returns the score of another model if two models have the same name and revision.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from pathlib import Path
from typing import ClassVar

import mteb
from datasets import Dataset, DatasetDict
from mteb.abstasks.sts import AbsTaskSTS
from mteb.abstasks.task_metadata import TaskMetadata
from mteb.cache import ResultCache
from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator

import flowjax


class LocalSTS(AbsTaskSTS):
    """STS-B's rows as a task of mteb."""

    metadata = TaskMetadata(
        name="LocalSTS",
        dataset={"path": "local/stsb", "revision": "1"},
        description="STS-B from a file",
        reference=None,
        type="STS",
        category="t2t",
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="cosine_spearman",
        date=None,
        domains=None,
        task_subtypes=None,
        license=None,
        annotations_creators=None,
        dialect=None,
        sample_creation=None,
        bibtex_citation=None,
    )
    rows: ClassVar[dict[str, list]] = {}

    def load_data(self, *args, **kwargs) -> None:
        self.dataset = DatasetDict({"test": Dataset.from_dict(self.rows)})
        self.data_loaded = True


def scores(model, rows: dict[str, list], cache: str) -> dict[str, float]:
    """Spearman x 100 of one model by mteb, by sentence-transformers, and by `flowjax` itself."""
    from flowjax.evaluation.correlation import spearman

    LocalSTS.rows = rows
    result = mteb.evaluate(model, [LocalSTS()], cache=ResultCache(cache), co2_tracker=False)
    evaluator = EmbeddingSimilarityEvaluator(
        rows["sentence1"],
        rows["sentence2"],
        rows["score"],
        main_similarity="cosine",
        write_csv=False,
    )
    a, b = model.encode(rows["sentence1"]), model.encode(rows["sentence2"])
    return {
        "mteb": 100 * result.task_results[0].scores["test"][0]["cosine_spearman"],
        "sentence-transformers": 100 * evaluator(model)["spearman_cosine"],
        "flowjax": 100 * spearman(model.similarity_pairwise(a, b), rows["score"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stsb", type=Path, required=True, help="sts-test.csv or another split")
    parser.add_argument("--pairs", type=int, default=200)
    args = parser.parse_args()
    with args.stsb.open(encoding="utf-8") as file:
        table = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))[: args.pairs]
    rows = {
        "sentence1": [row[5] for row in table],
        "sentence2": [row[6] for row in table],
        "score": [float(row[4]) for row in table],
    }
    encoder = flowjax.SentenceEncoder.from_pretrained("minibert")
    model = flowjax.BertFlow(encoder, flow="standardize")
    model.fit(rows["sentence1"] + rows["sentence2"])
    other = flowjax.BertFlow(encoder, flow="standardize")
    other.fit([text[:20] for text in rows["sentence1"]])
    models = {
        "SentenceEncoder": encoder,
        "BertFlow, standardize": model,
        "BertFlow, standardize, other text": other,
    }
    found = set()
    with tempfile.TemporaryDirectory() as cache:  # one cache for all: equal names differ in it
        for name, one in models.items():
            said = scores(one, rows, cache)
            print(f"{name}: " + ", ".join(f"{by} {score:.4f}" for by, score in said.items()))
            if max(said.values()) - min(said.values()) > 0.01:
                raise SystemExit(f"{name}: expected one Spearman from all three, got {said}")
            found.add(round(said["mteb"], 6))
    if len(found) < len(models):
        raise SystemExit(f"expected a score of its own for each model, got {sorted(found)}")


if __name__ == "__main__":
    main()
