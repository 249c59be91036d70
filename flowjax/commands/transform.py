"""`flowjax transform`: maps the rows of an array through a fitted flow."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowjax.commands.flags import Positional
from flowjax.commands.outputs import check_output
from flowjax.errors import FlowjaxError
from flowjax.files.lock import locked

if TYPE_CHECKING:
    import numpy as np

    from flowjax.data.arrays import ArraySource
    from flowjax.data.sentence_files import SentenceFile
    from flowjax.types import Flow, Params


@dataclasses.dataclass(frozen=True)
class Args:
    """Write the calibrated vectors of the rows of an array, from any model.

    The same command resumes an interrupted one.
    """

    run: Positional[str]
    """Run of flowjax fit-array or flowjax fit, or model folder."""
    input: Positional[str]
    """Plain vectors, shape (n, d): .npy, .parquet, .safetensors or an embedding store; a folder,
    or a pattern in quotes, of .parquet or .npy shards."""
    out: Path
    """Output file: .npy, .parquet or .safetensors; float32."""
    columns: str | None = None
    """Column of vectors in a .parquet file, or numeric columns separated by commas; tensor of a
    .safetensors file."""
    inverse: bool = False
    """Map calibrated vectors back to plain vectors."""
    normalize: bool = False
    """Scale each calibrated vector to unit length; not with --inverse."""
    overwrite: bool = False
    """Replace an existing file, and the partial results of an interrupted job of other input."""


def run(args: Args) -> None:
    """Runs the command.

    An embedding store next to the output file keeps the memory constant and lets the same command
    resume an interrupted job.
    """
    from flowjax.data.vectors import SUFFIXES

    if args.inverse and args.normalize:
        raise FlowjaxError("--normalize: expected none with --inverse, got both")
    check_output(args.out, overwrite=args.overwrite, suffixes=SUFFIXES)
    lock = args.out.with_name(f".{args.out.name}.0.lock")
    with locked(lock, f"--out {args.out}"):
        _transform(args)


def _transform(args: Args) -> None:
    from flowjax.data.blocks import RowBlocks
    from flowjax.data.manifest import OtherStore
    from flowjax.data.store import EmbeddingStore, remove_store
    from flowjax.data.vectors import write_vectors
    from flowjax.encoder.digest import hash_arrays, hash_text
    from flowjax.encoder.similarity import unit
    from flowjax.flows.arrays import ArrayCalls
    from flowjax.progress import track
    from flowjax.saving.flow import describe_flow

    flow, params = load_unconditional(args.run)
    latent = flow.latent_dim or flow.dim
    dim, out_dim = (latent, flow.dim) if args.inverse else (flow.dim, latent)
    source = open_plain(args.input, args.columns, dim, args.run)
    calls = ArrayCalls(flow)
    layers = json.dumps(describe_flow(flow, params), sort_keys=True, default=str)
    manifest = {
        "flow_hash": hash_text(layers, hash_arrays(params)),
        "inverse": args.inverse,
        "normalize": args.normalize,
        "shape": [source.size, source.dim],
    }

    def embed(blocks: Iterator[np.ndarray]) -> Iterator[tuple[np.ndarray, dict[str, int]]]:
        with track("transforming", source.size, unit="rows") as advance:
            for block in blocks:
                call = calls.inverse if args.inverse else calls.forward
                vectors = call(params, block)
                yield unit(vectors) if args.normalize else vectors, {}
                advance(len(block))

    scratch = args.out.with_name(f".{args.out.name}.store")

    def fill() -> EmbeddingStore:
        store = EmbeddingStore(scratch, manifest, dim=out_dim, notes={"source": args.input})
        store.fill(RowBlocks(source, store.block), embed)
        return store

    begun = (scratch / "manifest.json").exists()
    try:
        store = fill()
    except OtherStore as error:
        if not args.overwrite:
            raise OtherStore(
                f"{error}; an interrupted job with --out {args.out} left this folder"
            ) from None
        remove_store(scratch)
        store = fill()
    except ValueError:
        if not begun:  # an error in the input: nothing to resume
            remove_store(scratch)
        raise
    write_vectors(args.out, store.vectors, _sentences(args))
    remove_store(scratch)
    print(f"{source.size} x {out_dim} float32: {args.out}")


def _sentences(args: Args) -> SentenceFile | None:
    """Returns the column of the sentences of a Parquet file, which a Parquet output keeps."""
    from flowjax.data.parquet import has_text
    from flowjax.data.sentence_files import SentenceFile

    if Path(args.input).suffix != ".parquet" or args.out.suffix != ".parquet":
        return None
    kept = has_text(args.input, ["sentence"])
    return SentenceFile(Path(args.input), "sentence") if kept else None


def open_plain(name: str, columns: str | None, dim: int, run: str) -> ArraySource:
    """Returns the rows of an array file for a flow.

    Args:
        name: path of the file or the embedding store; also a folder or a pattern of shards.
        columns: columns or tensor of the file; None means the only one.
        dim: number of columns that the flow expects.
        run: name of the run, for error messages.

    Raises:
        FlowjaxError: The file is not an array of finite numbers of shape (n, dim).
    """
    from flowjax.data.arrays import ArraySource, open_rows
    from flowjax.data.shard_source import ShardSource
    from flowjax.data.shards import read_shards, shard_paths

    if paths := shard_paths(name):
        shards = ShardSource(read_shards(paths, columns), name=name)
        if shards.dim != dim:
            raise FlowjaxError(f"{name}: expected (n, {dim}) for {run}, got (n, {shards.dim})")
        return shards
    rows = open_rows(name, name, columns)
    if rows.ndim == 2 and rows.shape[1] != dim:
        raise FlowjaxError(f"{name}: expected (n, {dim}) for {run}, got {rows.shape}")
    return ArraySource(rows, name=name, resident=False)


def load_unconditional(folder: str) -> tuple[Flow, Params]:
    """Returns the flow and the parameters of a run or model folder, without its encoder.

    Raises:
        FlowjaxError: There is no saved flow, or it is conditional.
    """
    from flowjax.saving.flow import load_flow
    from flowjax.saving.folder import read_config

    flow, params = load_flow(folder)
    config: Any = read_config(folder)
    if config["flow"]["context_width"] is not None:
        raise FlowjaxError(
            f"{folder}: expected a flow without a context, got a conditional flow; use "
            "flowjax.load_flow in Python"
        )
    return flow, params
