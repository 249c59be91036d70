"""`flowjax encode`: sentences in, a file of vectors out, a row a sentence."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tyro.conf import Positional

from flowjax.commands import common

if TYPE_CHECKING:
    import numpy as np

    from flowjax.data.sentences import SentenceSource


@dataclasses.dataclass(frozen=True)
class Args:
    """Turn sentences into calibrated vectors, one row a sentence, in the input's order."""

    run: Positional[str]
    """A run or model folder; or an encoder's name, for its plain vectors."""
    input: Positional[str]
    """.txt, .jsonl, .csv, .tsv, .parquet (also .gz, .xz, .bz2), tfds:NAME[/SPLIT][:COLUMN],
    or - for standard input."""
    out: Path
    """The file to write: .npy, .parquet or .safetensors."""
    column: str | None = None
    """The input's column with the sentences."""
    batch_size: int | None = None
    """Sentences in a batch."""
    normalize: bool = False
    """Scale each vector to length 1."""
    share: str = "0/1"
    """i/k: this is process i (from 0) of k that encode one input together; process 0 waits for
    the others and writes the file."""
    overwrite: bool = False
    """Replace the file that is there, and what an interrupted job of other input left."""


def run(args: Args) -> None:
    """Runs the command.

    Vectors go into a store beside the output first: memory stays flat, and the same command again
    goes on where an interrupted one stopped.
    """
    from flowjax.data.sentences import open_source
    from flowjax.data.store import EmbeddingStore, OtherStore
    from flowjax.data.vectors import SUFFIXES, write_vectors
    from flowjax.encoder.corpus import embed_in_store, hash_arrays
    from flowjax.encoder.embed import SentenceEncoder
    from flowjax.encoder.sentence_model import unit
    from flowjax.model import BertFlow

    common.new_file(args.out, args.overwrite, SUFFIXES)
    share = parse_share(args.share)
    source = open_source(args.input, args.column)
    folder = Path(args.run)
    is_model = (folder / "model").is_dir() or (folder / "flow.safetensors").exists()
    model = BertFlow.load(folder) if is_model else None
    encoder = model.encoder if model else SentenceEncoder.from_pretrained(args.run)
    scratch = args.out.with_name(f".{args.out.name}.store")
    texts = None
    if args.out.suffix == ".parquet":
        texts = Kept(source, scratch) if source.is_stream else source

    def then(vectors: np.ndarray) -> np.ndarray:
        vectors = model.transform(vectors) if model else vectors
        return unit(vectors) if args.normalize else vectors

    def embed() -> tuple[EmbeddingStore, dict[str, Any]]:
        return embed_in_store(
            encoder,
            texts or source,
            scratch,
            skip_empty=False,
            then=then,
            dim=model.dim if model else None,
            extra={
                "flow_hash": hash_arrays(model.params) if model else None,
                "normalize": args.normalize,
            },
            batch_size=args.batch_size,
            share=share,
            wait=share[0] == 0,
        )

    alone = share[1] == 1
    if args.overwrite and alone and source.is_stream:
        shutil.rmtree(scratch, ignore_errors=True)  # it cannot be read a second time
    begun = (scratch / "manifest.json").exists()
    try:
        store, facts = embed()
    except OtherStore:
        if not (args.overwrite and alone and not source.is_stream):
            raise
        shutil.rmtree(scratch)
        store, facts = embed()
    except ValueError:
        if alone and not begun:  # a mistake in the input: nothing worth going on with
            shutil.rmtree(scratch, ignore_errors=True)
        raise
    if share[0]:
        common.say(f"flowjax encode: share {args.share} is done; process 0 writes {args.out}")
        return
    write_vectors(args.out, store.vectors, texts)
    shutil.rmtree(scratch)
    counts = [f"{facts['sentences']} sentences"]
    if facts["empty"]:
        counts.append(f"{facts['empty']} empty (their vector is that of no words)")
    if facts["cut"]:
        counts.append(f"{facts['cut']} cut at max_length")
    common.say(f"flowjax encode: {', '.join(counts)}")
    print(f"{facts['sentences']} x {store.dim} float32: {args.out}")


def parse_share(text: str) -> tuple[int, int]:
    """`"1/4"` to `(1, 4)`.

    Raises:
        ValueError: not of that form.
    """
    i, slash, k = text.partition("/")
    if slash and i.isdecimal() and k.isdecimal() and int(i) < int(k):
        return int(i), int(k)
    raise ValueError(f"--share: expected i/k with 0 <= i < k, such as 0/4, got {text!r}")


class Kept:
    """A stream whose sentences are kept in a file on the way, to be read a second time."""

    is_stream = True

    def __init__(self, stream: SentenceSource, folder: Path) -> None:
        self.name, self._stream = stream.name, stream
        self._file = folder / "sentences.jsonl"
        self._read = False

    def fingerprint(self) -> str | None:
        """None: it is a stream."""
        return None

    def __iter__(self) -> Iterator[str]:
        if self._read:
            with self._file.open(encoding="utf-8") as file:
                yield from map(json.loads, file)
            return
        with self._file.open("w", encoding="utf-8") as file:
            for sentence in self._stream:
                file.write(json.dumps(sentence) + "\n")
                yield sentence
        self._read = True
