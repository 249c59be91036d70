"""`flowjax search`: nearest sentences of a corpus to queries, by exact cosine similarity."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from flowjax.commands.flags import Positional
from flowjax.commands.terminal import json_line, one_line
from flowjax.config.ranges import Range
from flowjax.errors import FlowjaxError

if TYPE_CHECKING:
    import numpy as np

    from flowjax.data.sentences import SentenceSource


@dataclasses.dataclass(frozen=True)
class Args:
    """Print the sentences of a corpus that are nearest to queries.

    Each line has the cosine similarity of the calibrated vectors, the row number
    (from 0) and the sentence, separated by tabs; the query comes first if there
    are several. The search is exact and reads the corpus in blocks. To search a
    corpus often, write its vectors once with flowjax encode, and use --vectors.
    """

    run: Positional[str]
    """Run or model folder; or the name or folder of an encoder, for plain vectors."""
    corpus: Positional[str]
    """Sentences in any form that flowjax encode reads; or only vectors: a .npy file of flowjax
    encode, or an embedding store, such as RUN/embeddings."""
    query: Positional[tuple[str, ...]] = ()
    """Queries, each in quotes."""
    queries: Path | None = None
    """File of queries: .txt with one query per line, .jsonl, .csv, .tsv or .parquet."""
    top: Annotated[int, Range(1)] = 10
    """Number of sentences to print for each query."""
    vectors: Path | None = None
    """Vectors of the sentences of the corpus, a .npy or .parquet file of flowjax encode with the
    same RUN; otherwise the sentences are encoded."""
    column: str | None = None
    """Column of the sentences in the corpus; sentence or text by default."""
    scale: Literal["cosine", "percentile"] = "cosine"
    """Similarity to print: percentile is the fraction of random pairs of sentences of RUN that are
    less similar, in [0, 1]. The order is the same."""
    json: bool = False
    """Print one JSON object per line, with query, rank, cosine, row and sentence, and with
    percentile for that scale."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.evaluation.nearest import merge_block, none_found
    from flowjax.loading import load_run

    queries = read_queries(args)
    model, encoder = load_run(args.run)
    if args.column is not None and is_vectors(args.corpus):
        raise FlowjaxError(f"--column: expected a corpus of sentences, got {args.corpus}")
    null = (model or encoder).null if args.scale == "percentile" else None
    coded = (model or encoder).encode(queries)
    found, first = none_found(len(queries)), 0
    texts: dict[int, str | None] = {}
    for vectors, block in corpus_blocks(args, model, encoder):
        found = merge_block(found, coded, vectors, first, args.top)
        texts = {
            row: texts[row] if row < first else block[row - first] if block else None
            for row in sorted(set(found.rows.ravel().tolist()))
        }
        first += len(vectors)
    if not first:
        raise FlowjaxError(f"{args.corpus}: expected sentences, got none")
    for query, cosines, rows in zip(queries, found.cosines, found.rows, strict=True):
        for rank, (cosine, row) in enumerate(zip(cosines.tolist(), rows.tolist(), strict=True), 1):
            hit = {"query": query, "rank": rank, "cosine": cosine, "row": row}
            score = f"{cosine:.4f}"
            if null is not None:
                hit["percentile"] = float(null.percentile(cosine))
                score = f"{hit['percentile']:.6f}"
            if args.json:
                print(json_line(hit | {"sentence": texts[row]}))
                continue
            words = [score, str(row), texts[row] or ""]
            print("\t".join(map(one_line, [query] * (len(queries) > 1) + words)))


def read_queries(args: Args) -> list[str]:
    """Returns the queries of the command line and of the file of queries, without empty ones.

    Raises:
        FlowjaxError: There are no queries.
    """
    from flowjax.data.sentences import open_source

    texts = [*args.query, *(open_source(args.queries) if args.queries else ())]
    found = [text for text in texts if text.strip()]
    if not found:
        raise FlowjaxError("query: expected a query or --queries FILE, got none")
    return found


def is_vectors(corpus: str) -> bool:
    """Returns True for a .npy file or the folder of an embedding store."""
    return corpus.endswith(".npy") or (Path(corpus) / "manifest.json").exists()


def corpus_blocks(
    args: Args, model: Any, encoder: Any
) -> Iterator[tuple[np.ndarray, list[str] | None]]:
    """Yields blocks of vectors with their sentences, or with None for a corpus of vectors.

    Raises:
        FlowjaxError: The vectors have another dimension or number than the corpus.
    """
    from flowjax.data.arrays import open_rows, release
    from flowjax.data.sentences import open_source
    from flowjax.encoder.embed import CHUNK

    if not is_vectors(args.corpus) and args.vectors is None:
        yield from _encoded(open_source(args.corpus, args.column), model, encoder)
        return
    if is_vectors(args.corpus) and args.vectors is not None:
        raise FlowjaxError(f"--vectors: expected sentences as the corpus, got {args.corpus}")
    file = args.vectors or Path(args.corpus)
    rows = open_rows(file, str(file))
    plain = model is not None and (file / "manifest.json").exists()  # a store of the encoder
    dim = encoder.dim if plain or model is None else model.dim
    if rows.ndim != 2 or rows.shape[1] != dim:
        raise FlowjaxError(f"{file}: expected vectors (n, {dim}) of {args.run}, got {rows.shape}")
    sentences = iter(open_source(args.corpus, args.column)) if args.vectors else None
    for start in range(0, len(rows), CHUNK):
        block = rows[start : start + CHUNK]
        texts = list(islice(sentences, len(block))) if sentences else None
        if texts is not None and len(texts) < len(block):
            _differ(args, len(rows), f"{start + len(texts)}")
        yield (model.transform(block) if plain and model is not None else block), texts
        release(rows)
    if sentences is not None and next(sentences, None) is not None:
        _differ(args, len(rows), "more")


def _differ(args: Args, vectors: int, sentences: str) -> None:
    raise FlowjaxError(
        f"--vectors {args.vectors}: expected the vectors of the sentences in {args.corpus}, got "
        f"{vectors} vectors and {sentences} sentences"
    )


def _encoded(
    source: SentenceSource, model: Any, encoder: Any
) -> Iterator[tuple[np.ndarray, list[str]]]:
    """Yields the calibrated vectors of a source and their sentences, in blocks."""
    from flowjax.encoder.corpus import Counted, count_of

    pending: list[str] = []

    def noted() -> Iterator[str]:
        for sentence in source:
            pending.append(sentence)
            yield sentence

    total = count_of(source, skip_empty=False)
    for vectors in encoder.encode_stream(Counted(noted(), total), show_progress_bar=None):
        texts, pending[:] = pending[: len(vectors)], pending[len(vectors) :]
        yield (model.transform(vectors) if model else vectors), texts
