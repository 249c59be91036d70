"""`flowjax encode`: sentences in, a file of vectors out, a row a sentence."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tyro.conf import Positional

from flowjax.commands import common


@dataclasses.dataclass(frozen=True)
class Args:
    """Turn sentences into calibrated vectors, one row a sentence, in the input's order."""

    run: Positional[str]
    """A run or model folder; or an encoder's name, for its plain vectors."""
    input: Positional[str]
    """.txt, .jsonl, .csv, .tsv, .parquet (also .gz, .xz, .bz2), or - for standard input."""
    out: Path
    """The file to write: .npy, .parquet or .safetensors."""
    column: str | None = None
    """The input's column with the sentences."""
    batch_size: int | None = None
    """Sentences in a batch."""
    normalize: bool = False
    """Scale each vector to length 1."""
    overwrite: bool = False
    """Replace the file that is there."""


def run(args: Args) -> None:
    """Runs the command."""
    from flowjax.data.sentences import SentenceFile
    from flowjax.data.vectors import SUFFIXES, write_vectors
    from flowjax.encoder.embed import SentenceEncoder
    from flowjax.model import BertFlow

    common.new_file(args.out, args.overwrite, SUFFIXES)
    source = SentenceFile(args.input, args.column)
    folder = Path(args.run)
    is_model = (folder / "model").is_dir() or (folder / "flow.safetensors").exists()
    model = BertFlow.load(folder) if is_model else SentenceEncoder.from_pretrained(args.run)
    sentences = list(source)
    if not sentences:
        raise ValueError(f"{source.name}: expected sentences, found an empty file")
    vectors = model.encode(
        sentences, batch_size=args.batch_size, normalize_embeddings=args.normalize
    )
    write_vectors(args.out, vectors, sentences)
    report = model.encoder.report if isinstance(model, BertFlow) else model.report
    common.say(f"flowjax encode: {report}")
    print(f"{vectors.shape[0]} x {vectors.shape[1]} float32: {args.out}")
