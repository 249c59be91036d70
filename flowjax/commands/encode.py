"""`flowjax encode`: writes the vectors of sentences to a file, one row per sentence."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from flowjax.commands.flags import Positional
from flowjax.commands.outputs import check_output
from flowjax.commands.terminal import message
from flowjax.config.ranges import Range
from flowjax.errors import FlowjaxError
from flowjax.files.lock import locked

if TYPE_CHECKING:
    import numpy as np

    from flowjax.data.sentences import SentenceSource
    from flowjax.model import BertFlow

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
    out: Path
    """Output file: .npy, .parquet or .safetensors."""
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


def run(args: Args) -> None:
    """Runs the command.

    An embedding store next to the output file keeps the memory constant and lets the same command
    resume an interrupted job.
    """
    from flowjax.data.vectors import SUFFIXES

    check_output(args.out, overwrite=args.overwrite, suffixes=SUFFIXES)
    share = parse_share(args.share)
    lock = args.out.with_name(f".{args.out.name}.{share[0]}.lock")
    with locked(lock, f"--out {args.out}"):
        _encode(args, share)


def _encode(args: Args, share: tuple[int, int]) -> None:
    from flowjax.data.manifest import OtherStore
    from flowjax.data.sentences import open_source
    from flowjax.data.store import EmbeddingStore
    from flowjax.data.vectors import write_vectors
    from flowjax.encoder.corpus import embed_in_store
    from flowjax.encoder.counts import EncodeReport, warn_unknown
    from flowjax.encoder.digest import hash_arrays
    from flowjax.encoder.sentence_model import unit

    source = open_source(args.input, args.column)
    model, encoder = load_run(args.run, pooling=args.pooling, max_length=args.max_length)
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
        _remove(scratch)  # a stream cannot be compared with the store
    begun = (scratch / "manifest.json").exists()
    try:
        store, facts = embed()
    except OtherStore as error:
        if not (args.overwrite and alone and not source.is_stream):
            raise OtherStore(
                f"{error}; an interrupted job with --out {args.out} left this folder"
            ) from None
        _remove(scratch)
        store, facts = embed()
    except ValueError:
        if alone and not begun:  # an error in the input: nothing to resume
            _remove(scratch)
        raise
    if share[0]:
        message(f"flowjax encode: shard {args.share} is complete; process 0 writes {args.out}")
        return
    write_vectors(args.out, store.vectors, texts)
    _remove(scratch)
    counts = [facts[key] for key in ("sentences", "empty", "cut", "tokens", "unknown_tokens")]
    message(f"flowjax encode: {EncodeReport(*counts)}")
    warn_unknown(facts["unknown_tokens"], facts["tokens"], encoder.name)
    print(f"{facts['sentences']} x {store.dim} float32: {args.out}")


def load_run(name: str, **options: Any) -> tuple[BertFlow | None, Any]:
    """Returns the model and the encoder of a run or model folder, or `(None, encoder)`.

    Args:
        name: a run or model folder, or the name or folder of an encoder.
        **options: `pooling` and `max_length` of an encoder; None means the default.

    Raises:
        FlowjaxError: The run is unfinished, there is neither such a folder nor such an encoder, or
            an option is given for a run, which has its own.
    """
    from flowjax.encoder.embed import SentenceEncoder
    from flowjax.model import BertFlow

    folder, options = Path(name), {k: v for k, v in options.items() if v is not None}
    if any((folder / part).exists() for part in ("model", "config.toml", "flow.safetensors")):
        for option in options:
            raise FlowjaxError(
                f"--{option.replace('_', '-')}: expected the name of an encoder, got the run "
                f"{name}, which has its own"
            )
        model = BertFlow.load(folder)
        return model, model.encoder
    if not folder.exists() and folder.parent != Path() and folder.parent.is_dir():
        # Not a name on the hub, although it has the same form.
        raise FlowjaxError(
            f"{name}: expected a run or model folder, or an encoder, got no such folder"
        )
    return None, SentenceEncoder.from_pretrained(name, **options)


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
