"""Embedding of files on a Ray cluster, into a folder of Parquet shards.

Ray Data streams the blocks of the files (`blocks.py`) to a pool of workers. A worker embeds a
block, writes its shard under a name that the block determines, and returns one row. These rows are
the journal. Ray's checkpoint holds their block numbers, so a resumed job skips finished blocks. A
block that is embedded twice, for example after the death of a node, replaces its own shard.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import pyarrow as pa

from flowjax.data.sentences import SentenceSource, open_source
from flowjax.encoder.digest import hash_arrays, hash_text
from flowjax.encoder.embed import CHUNK
from flowjax.errors import FlowjaxError, first_line
from flowjax.files.remote import is_remote
from flowjax.ray.blocks import SENTENCE, Columns, columns_of, read_blocks
from flowjax.ray.embed import Embed, EmbedOptions
from flowjax.ray.manifest import (
    BLOCKS_OF_FILE,
    CHECKPOINT,
    JOURNAL,
    Folder,
    begin,
    check_stamp,
    finished,
    is_complete,
    publish,
    stamp,
)
from flowjax.ray.worker import Worker

# pyright: reportAttributeAccessIssue=false
# Where Ray is not installed, pyright resolves `import ray` to this package.
try:
    import ray
    from ray.data.block import BlockMetadata
    from ray.data.checkpoint import CheckpointConfig
    from ray.data.datasource import Datasource, ReadTask
    from ray.exceptions import RayError, RayTaskError
except ImportError:
    if not TYPE_CHECKING:
        ray, Datasource = None, object

# Restarts of a worker that dies, before the job ends with an error. Calls are repeated without a
# limit: while Ray has not noticed the death of a node, each call fails at once.
RESTARTS = 8
# Rows of the journal per file.
_JOURNAL_ROWS = 32


def encode(
    model: Any,
    source: Any,
    out: str | Path,
    *,
    column: str | None = None,
    carry: list[str] | None = None,
    id_column: str | None = None,
    address: str | None = None,
    workers: int | None = None,
    overwrite: bool = False,
    **options: Unpack[EmbedOptions],
) -> dict[str, Any]:
    """Embeds the sentences of files on a Ray cluster, or resumes an interrupted job.

    Args:
        model: see `Embed`.
        source: paths, URLs or patterns of files; see `open_source`.
        out: folder or URL of the shards; all nodes must be able to write there.
        column: name of the column of sentences; `sentence` or `text` by default.
        carry: names of other columns to copy into the shards; None copies all but the sentences.
        id_column: name of the column of ids; by default `id` if the input has it, otherwise the
            ids are `file * 2**40 + row`.
        address: address of a Ray cluster, or "auto"; None starts Ray on this machine, unless Ray
            runs in this process or `RAY_ADDRESS` is set.
        workers: number of workers; by default one per GPU or TPU chip, or one per node.
        overwrite: True replaces the shards of another job.
        **options: `pooling`, `max_length`, `batch_size`, `normalize` and `dtype` of `Embed`.

    Returns:
        The manifest.

    Raises:
        FlowjaxError: Ray is not installed, the input cannot be read, `out` has the shards of
            another model or input, or there is no such cluster.
    """
    if ray is None:
        raise FlowjaxError(
            "Ray: expected an installed Ray, got none; pip install 'bert-flowjax[ray]', or leave "
            "out --engine ray"
        )
    embed = Embed(model, SENTENCE, **options)
    files = [{"path": path, "stamp": stamp(path)} for path in _paths(open_source(source, column))]
    columns = columns_of(files[0]["path"], Columns(column, None, id_column), carry)
    folder = Folder(out)
    job = {
        "version": 1,
        "block": CHUNK,
        **embed.encoder.describe(),
        "encoder_hash": embed.encoder.weights_hash,
        "flow_hash": hash_arrays(embed.model.params) if embed.model else None,
        "normalize": embed.normalize,
        "dtype": embed.dtype,
        "column": column,
        "columns": {field.name: str(field.type) for field in columns.kept or ()},
        "id_column": columns.id,
        "input": files,
    }
    done = begin(folder, job, overwrite=overwrite)
    if done is not None:
        return done
    blocks = finished(folder)
    left = [number for number in range(len(files)) if not is_complete(blocks.get(number))]
    if left:
        with _cluster(address, workers), _errors():
            _run(folder, _Files(files, left, columns), embed, workers, hash_text(json.dumps(job)))
    return publish(folder, job, embed.dim)


def _paths(source: SentenceSource) -> list[str]:
    files = getattr(source, "files", [source])
    paths = [getattr(file, "path", None) for file in files]
    if source.is_stream or not all(paths):
        raise FlowjaxError(
            f"{source.name}: expected files for Ray, got another source; write it to a file"
        )
    return [str(p) if is_remote(p) else os.path.abspath(str(p)) for p in paths]


class _Files(Datasource):  # type: ignore[misc]
    """Blocks of files, with one read task per file."""

    def __init__(self, files: list[dict[str, str]], left: list[int], columns: Columns) -> None:
        Datasource.__init__(self)  # for super(), mypy ignores untyped_calls_exclude
        self._files, self.left, self.columns = files, left, columns

    def get_name(self) -> str:
        return "Sentences"

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        metadata = BlockMetadata(None, None, None, None)
        return [
            ReadTask(partial(_read, number, self._files[number], self.columns), metadata)
            for number in self.left
        ]


def _read(number: int, file: Mapping[str, str], columns: Columns) -> Iterator[pa.Table]:
    """Yields one row per block: its numbers, and its table as bytes."""
    check_stamp(file["path"], file["stamp"])
    for block in read_blocks(file["path"], columns):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, block.table.schema) as writer:
            writer.write_table(block.table)
        yield pa.table(
            {
                "block": [number * BLOCKS_OF_FILE + block.number],
                "file": [number],
                "index": [block.number],
                "last": [block.last],
                "rows": [len(block.table)],
                "table": pa.array([sink.getvalue().to_pybytes()], pa.large_binary()),
            }
        )


def _run(folder: Folder, files: _Files, embed: Embed, workers: int | None, job: str) -> None:
    """Embeds the blocks that Ray's checkpoint does not hold."""
    context = ray.data.DataContext.get_current().copy()
    # One block of sentences is one row and one block of Ray.
    context.target_max_block_size = context.target_min_block_size = 1
    context.raise_original_map_exception = True  # with its type, for `_errors`
    context.checkpoint_config = config = CheckpointConfig(
        "block",
        f"{folder.root}/{CHECKPOINT}",
        override_filesystem=folder.filesystem,
        delete_checkpoint_on_success=False,
    )
    config.checkpoint_actor_memory_bytes = 64 << 20
    options = {name: getattr(embed, name) for name in ("batch_size", "normalize", "dtype")}
    number, resources = _workers(workers)
    model = ray.put(embed.model or embed.encoder)
    with ray.data.DataContext.current(context):
        rows = ray.data.read_datasource(files, override_num_blocks=len(files.left))
        rows.map_batches(
            Worker,
            fn_constructor_args=(folder.path, files.columns, model, options, job, folder.resumed),
            batch_size=1,
            batch_format="pyarrow",
            zero_copy_batch=True,
            compute=ray.data.ActorPoolStrategy(
                size=number,
                max_concurrent_calls_per_actor=2,
                enable_true_multi_threading=True,
            ),
            max_restarts=RESTARTS,
            max_task_retries=-1,
            **resources,
        ).write_parquet(
            f"{folder.root}/{JOURNAL}",
            filesystem=folder.filesystem,
            min_rows_per_file=_JOURNAL_ROWS,
        )


def _workers(number: int | None) -> tuple[int, dict[str, Any]]:
    """Returns the number of workers and the resources of each.

    A worker keeps its resources for the whole job. With a whole CPU each, the workers could take
    all CPUs, in particular those that remain after the death of a node, and no block would be
    read.
    """
    total = ray.cluster_resources()
    if gpus := int(total.get("GPU", 0)):
        return number or gpus, {"num_gpus": 1, "num_cpus": 0}
    if chips := int(total.get("TPU", 0)):
        return number or chips, {"resources": {"TPU": 1}, "num_cpus": 0}
    nodes = sum(node["Alive"] for node in ray.nodes())
    return number or nodes, {"num_cpus": 0.01, "scheduling_strategy": "SPREAD"}


@contextmanager
def _cluster(address: str | None, workers: int | None) -> Iterator[None]:
    """Context manager that connects to a cluster, or starts Ray on this machine."""
    if ray.is_initialized():
        yield
        return
    address = address or os.environ.get("RAY_ADDRESS")
    try:
        if address:
            ray.init(address=address)
        else:
            # Readers, writers and the filter of a resumed job run beside the workers.
            cpus = max(os.cpu_count() or 1, 4)
            ray.init(address="local", num_cpus=cpus, include_dashboard=False)
    except (OSError, RuntimeError, ValueError, RayError) as error:
        raise FlowjaxError(
            f"--address: expected a running Ray cluster, got: {first_line(error)}; start one "
            "with `ray start --head`"
        ) from None
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _errors() -> Iterator[None]:
    """Context manager that raises the error of a worker instead of Ray's error about it."""
    try:
        yield
    except RayError as error:
        for cause in _causes(error):
            if isinstance(cause, (FlowjaxError, MemoryError)):
                raise type(cause)(str(cause)) from None
            if isinstance(cause, OSError) and cause.errno is not None:
                raise OSError(cause.errno, cause.strerror, cause.filename) from None
        last = [cause for cause in _causes(error) if str(cause)][-1]
        advice = "repeat the command to resume"
        if not isinstance(error, RayTaskError):  # a worker or a node died
            advice += "; workers that run out of memory need a smaller --batch-size or --workers"
        raise FlowjaxError(
            f"Ray: expected a finished job, got {type(last).__name__}: {_brief(last)}; {advice}"
        ) from error


def _brief(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def _causes(error: BaseException | None) -> Iterable[BaseException]:
    while error is not None:
        yield error
        error = getattr(error, "cause", None) or error.__cause__ or error.__context__
