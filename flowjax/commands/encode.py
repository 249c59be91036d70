"""`flowjax encode`: writes the vectors of sentences to a file, one row per sentence."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjax.commands.flags import Positional
from flowjax.commands.outputs import check_output
from flowjax.commands.terminal import message
from flowjax.errors import FlowjaxError

if TYPE_CHECKING:
    import numpy as np

    from flowjax.data.sentences import SentenceSource


@dataclasses.dataclass(frozen=True)
class Args:
    """Write the calibrated vectors of sentences, one row per sentence.

    The same command resumes an interrupted one.
    """

    run: Positional[str]
    """Run or model folder; or the name or folder of an encoder, for plain vectors."""
    input: Positional[str]
    """Sentences: files (.txt, .jsonl, .json, .csv, .tsv, .parquet; also .gz, .xz, .bz2, .zst), as
    a path, as several paths separated by commas, or as a pattern in quotes ('parts/*.txt', sorted
    by name); tfds:NAME[/SPLIT][:COLUMN]; or - for standard input."""
    out: Path
    """Output file: .npy, .parquet or .safetensors."""
    column: str | None = None
    """Column of the sentences in the input; sentence or text by default."""
    batch_size: int | None = None
    """Sentences per batch; by default the batch size of the encoder."""
    normalize: bool = False
    """Scale each vector to unit length."""
    share: str = "0/1"
    """Shard i/k of the input, for k processes that encode one input together; i counts from 0.
    Process 0 waits for the other processes and writes the file."""
    overwrite: bool = False
    """Replace an existing file, and the partial results of an interrupted job of other input."""


def run(args: Args) -> None:
    """Runs the command.

    An embedding store next to the output file keeps the memory constant and lets the same command
    resume an interrupted job.
    """
    from flowjax.data.sentences import open_source
    from flowjax.data.store import EmbeddingStore, OtherStore
    from flowjax.data.vectors import SUFFIXES, write_vectors
    from flowjax.encoder.corpus import embed_in_store, hash_arrays
    from flowjax.encoder.embed import EncodeReport, SentenceEncoder
    from flowjax.encoder.sentence_model import unit
    from flowjax.model import BertFlow

    check_output(args.out, overwrite=args.overwrite, suffixes=SUFFIXES)
    share = parse_share(args.share)
    source = open_source(args.input, args.column)
    folder = Path(args.run)
    is_model = (folder / "model").is_dir() or (folder / "flow.safetensors").exists()
    model = BertFlow.load(folder) if is_model else None
    encoder = model.encoder if model else SentenceEncoder.from_pretrained(args.run)
    scratch = args.out.with_name(f".{args.out.name}.store")
    texts = None
    if args.out.suffix == ".parquet":
        texts = SavedStream(source, scratch) if source.is_stream else source

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
        shutil.rmtree(scratch, ignore_errors=True)  # a stream cannot be compared with the store
    begun = (scratch / "manifest.json").exists()
    try:
        store, facts = embed()
    except OtherStore:
        if not (args.overwrite and alone and not source.is_stream):
            raise
        shutil.rmtree(scratch)
        store, facts = embed()
    except ValueError:
        if alone and not begun:  # an error in the input: nothing to resume
            shutil.rmtree(scratch, ignore_errors=True)
        raise
    if share[0]:
        message(f"flowjax encode: shard {args.share} is complete; process 0 writes {args.out}")
        return
    write_vectors(args.out, store.vectors, texts)
    shutil.rmtree(scratch)
    report = EncodeReport(facts["sentences"], facts["empty"], facts["cut"])
    message(f"flowjax encode: {report}")
    print(f"{facts['sentences']} x {store.dim} float32: {args.out}")


def parse_share(text: str) -> tuple[int, int]:
    """Returns the numbers of a shard: `(1, 4)` for `"1/4"`.

    Raises:
        FlowjaxError: The text has another form.
    """
    i, slash, k = text.partition("/")
    if slash and i.isdecimal() and k.isdecimal() and int(i) < int(k):
        return int(i), int(k)
    raise FlowjaxError(f"--share: expected i/k with 0 <= i < k, such as 0/4, got {text!r}")


class SavedStream:
    """Source that saves the sentences of a stream to a file, so that they can be read again."""

    is_stream = True

    def __init__(self, stream: SentenceSource, folder: Path) -> None:
        self.name, self._stream = stream.name, stream
        self._file = folder / "sentences.jsonl"
        self._read = False

    def fingerprint(self) -> str | None:
        """Returns None, because a stream has no fingerprint."""
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
