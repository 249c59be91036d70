"""`flowjax encode`: writes the vectors of sentences to a file, one row per sentence."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from flowjax.commands.flags import Positional
from flowjax.commands.outputs import check_output
from flowjax.commands.terminal import message
from flowjax.config.ranges import Range
from flowjax.errors import FlowjaxError
from flowjax.files.lock import locked

if TYPE_CHECKING:
    import numpy as np

    from flowjax.data.sentences import SentenceSource

# Sentences of a stream, within the store.
SENTENCES = "sentences.jsonl"


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
    out: str
    """Output file: .npy, .parquet or .safetensors; with --engine ray a folder, or a URL such as
    s3://bucket/vectors, of Parquet shards."""
    column: str | None = None
    """Column of the sentences in the input; sentence or text by default."""
    pooling: str | None = None
    """Pooling of an encoder: cls, pooler, mean, last2, first_last or embeddings_last; by default
    the pooling in a folder of sentence-transformers, otherwise first_last."""
    max_length: Annotated[int | None, Range(3)] = None
    """Maximum number of tokens per sentence of an encoder; by default the length in a folder of
    sentence-transformers, otherwise 64."""
    batch_size: Annotated[int | None, Range(1)] = None
    """Sentences per batch; by default the batch size of the encoder."""
    normalize: bool = False
    """Scale each vector to unit length."""
    share: str = "0/1"
    """Shard i/k of the input, for k processes that encode one input together; i counts from 0.
    Process 0 waits for the other processes and writes the file."""
    overwrite: bool = False
    """Replace an existing file, and the partial results of an interrupted job of other input."""
    engine: Literal["store", "ray"] = "store"
    """store embeds in this process; ray distributes the work over a Ray cluster (extra ray)."""
    address: str | None = None
    """Address of the Ray cluster, or auto; by default RAY_ADDRESS, or Ray on this machine."""
    workers: Annotated[int | None, Range(1)] = None
    """Workers on the Ray cluster; by default one per GPU or TPU chip, or one per node."""
    carry: str | None = None
    """Columns that ray copies into the shards, separated by commas, or none; by default all
    columns but the sentences."""
    id_column: str | None = None
    """Column of ids for ray; by default id if the input has it, otherwise the file and row."""
    dtype: Literal["float32", "float16"] = "float32"
    """Numbers in the shards of ray."""


def run(args: Args) -> None:
    """Runs the command.

    An embedding store next to the output file keeps the memory constant and lets the same command
    resume an interrupted job.
    """
    from flowjax.data.vectors import SUFFIXES

    ray_only = ("address", "workers", "carry", "id_column", "dtype")
    defaults = {field.name: field.default for field in dataclasses.fields(Args)}
    for name in ("share",) if args.engine == "ray" else ray_only:
        if getattr(args, name) != defaults[name]:
            other = "store" if args.engine == "ray" else "ray"
            raise FlowjaxError(f"--{name.replace('_', '-')}: expected --engine {other}")
    if args.engine == "ray":
        _encode_on_ray(args)
        return
    out = Path(args.out)
    check_output(out, overwrite=args.overwrite, suffixes=SUFFIXES)
    share = parse_share(args.share)
    lock = out.with_name(f".{out.name}.{share[0]}.lock")
    with locked(lock, f"--out {out}"):
        _encode(args, out, share)


def _encode_on_ray(args: Args) -> None:
    from flowjax.encoder.counts import EncodeReport, warn_unknown

    try:
        from flowjax.ray.engine import encode
    except ImportError:  # pyarrow, which Ray needs
        raise FlowjaxError(
            "--engine ray: expected an installed Ray, got none; pip install 'bert-flowjax[ray]'"
        ) from None
    carry = None
    if args.carry is not None:
        carry = [name.strip() for name in args.carry.split(",") if name.strip()]
        carry = [] if carry == ["none"] else carry
    facts = encode(
        args.run,
        args.input,
        args.out,
        column=args.column,
        carry=carry,
        id_column=args.id_column,
        address=args.address,
        workers=args.workers,
        overwrite=args.overwrite,
        pooling=args.pooling,
        max_length=args.max_length,
        batch_size=args.batch_size,
        normalize=args.normalize,
        dtype=args.dtype,
    )
    counts = [facts[key] for key in ("sentences", "empty", "cut", "tokens", "unknown_tokens")]
    message(f"flowjax encode: {EncodeReport(*counts)}")
    warn_unknown(facts["unknown_tokens"], facts["tokens"], args.run)
    shape = f"{facts['rows']} x {facts['dim']} {facts['dtype']}"
    print(f"{shape} in {facts['shards']} shards: {args.out}")


def _encode(args: Args, out: Path, share: tuple[int, int]) -> None:
    from flowjax.data.manifest import OtherStore
    from flowjax.data.sentences import open_source
    from flowjax.data.store import EmbeddingStore
    from flowjax.data.vectors import write_vectors
    from flowjax.encoder.corpus import embed_in_store
    from flowjax.encoder.counts import EncodeReport, warn_unknown
    from flowjax.encoder.digest import hash_arrays
    from flowjax.encoder.similarity import unit
    from flowjax.loading import load_run

    source = open_source(args.input, args.column)
    model, encoder = load_run(args.run, pooling=args.pooling, max_length=args.max_length)
    scratch = out.with_name(f".{out.name}.store")
    texts = None
    if out.suffix == ".parquet":
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
        _remove(scratch)  # a stream cannot be compared with the store
    begun = (scratch / "manifest.json").exists()
    try:
        store, facts = embed()
    except OtherStore as error:
        if not (args.overwrite and alone and not source.is_stream):
            raise OtherStore(
                f"{error}; an interrupted job with --out {out} left this folder"
            ) from None
        _remove(scratch)
        store, facts = embed()
    except ValueError:
        if alone and not begun:  # an error in the input: nothing to resume
            _remove(scratch)
        raise
    if share[0]:
        message(f"flowjax encode: shard {args.share} is complete; process 0 writes {out}")
        return
    write_vectors(out, store.vectors, texts)
    _remove(scratch)
    counts = [facts[key] for key in ("sentences", "empty", "cut", "tokens", "unknown_tokens")]
    message(f"flowjax encode: {EncodeReport(*counts)}")
    warn_unknown(facts["unknown_tokens"], facts["tokens"], encoder.name)
    print(f"{facts['sentences']} x {store.dim} float32: {out}")


def _remove(store: Path) -> None:
    from flowjax.data.store import remove_store

    (store / SENTENCES).unlink(missing_ok=True)
    remove_store(store)


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
        self._file = folder / SENTENCES
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
