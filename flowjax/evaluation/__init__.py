"""Evaluation of sentence vectors: similarity tasks, isotropy, lexical bias, baselines, tables.

All functions take NumPy arrays and compute in float64. The package imports neither JAX nor flows
nor encoders: an encoder is any function from sentences to vectors, and a flow is any function from
vectors to vectors. "The paper" in docstrings is BERT-flow, arXiv 2011.05864.
"""

from flowjax.evaluation.baselines import (
    null_top_singular_vectors,
    standardize,
    standardize_then_null,
    whiten,
)
from flowjax.evaluation.correlation import average_ranks, cosine, pearson, spearman
from flowjax.evaluation.frequency import frequency_table
from flowjax.evaluation.isotropy import (
    alignment,
    isoscore,
    isotropy_report,
    isotropy_score,
    mean_cosine,
    singular_spectrum,
    uniformity,
)
from flowjax.evaluation.lexical import edit_distances, lexical_correlations
from flowjax.evaluation.locate import load_task
from flowjax.evaluation.pair_files import load_pairs
from flowjax.evaluation.qnli import roc_auc, score_qnli
from flowjax.evaluation.registry import STS_YEARS, TASKS, TaskSpec
from flowjax.evaluation.retrieval import bootstrap_difference, random_cosines
from flowjax.evaluation.sts import (
    Lookup,
    evaluate_task,
    evaluate_vectors,
    score_pairs,
    score_similarities,
)
from flowjax.evaluation.summary import average, summarize_seeds
from flowjax.evaluation.table import by_vectors, flat_rows, markdown_table, rich_table
from flowjax.evaluation.tasks import Pairs, PairTask
from flowjax.evaluation.verdict import verdict

__all__ = [
    "Lookup",
    "PairTask",
    "Pairs",
    "STS_YEARS",
    "TASKS",
    "TaskSpec",
    "alignment",
    "average",
    "average_ranks",
    "bootstrap_difference",
    "by_vectors",
    "cosine",
    "edit_distances",
    "evaluate_task",
    "evaluate_vectors",
    "flat_rows",
    "frequency_table",
    "isoscore",
    "isotropy_report",
    "isotropy_score",
    "lexical_correlations",
    "load_pairs",
    "load_task",
    "markdown_table",
    "mean_cosine",
    "null_top_singular_vectors",
    "pearson",
    "random_cosines",
    "rich_table",
    "roc_auc",
    "score_pairs",
    "score_qnli",
    "score_similarities",
    "singular_spectrum",
    "spearman",
    "standardize",
    "standardize_then_null",
    "summarize_seeds",
    "uniformity",
    "verdict",
    "whiten",
]


def __dir__() -> list[str]:
    return sorted(__all__)
