"""Worker of a Ray job: embeds blocks of sentences and writes their shards."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flowjax.encoder.embed import CHUNK
from flowjax.ray.blocks import SENTENCE, Columns
from flowjax.ray.embed import Embed, vector_array
from flowjax.ray.manifest import COUNTS, ROWS_OF_FILE, Folder, shard_name

# Key of the facts in the footer of a shard.
_FACTS = b"flowjax"


class Worker:
    """Callable class for `map_batches`: embeds a block, writes its shard and returns its counts.

    The name of the shard depends on the block only. A block that is embedded again, for example
    after the death of a node, hence replaces its own shard.
    """

    def __init__(
        self,
        out: str,
        columns: Columns,
        model: Any,
        options: dict[str, Any],
        job: str,
        resumed: bool,
    ) -> None:
        """Loads the model.

        Args:
            out: path or URL of the output folder.
            columns: columns of the shards.
            model: model of `Embed`.
            options: options of `Embed`.
            job: hash of the job, which the footers of the shards contain.
            resumed: True keeps the shards that an interrupted run of this job wrote.
        """
        self._folder, self._columns = Folder(out), columns
        self._embed = Embed(model, SENTENCE, **options)
        self._job, self._resumed = job, resumed

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Returns the row of the journal of a block.

        Args:
            rows: one row of `engine.read`.
        """
        (row,) = rows.to_pylist()
        table = pa.ipc.open_stream(row.pop("table")).read_all()
        name = shard_name(row["file"], row["index"])
        facts = self._facts(name) if self._resumed else None
        if facts is None or facts["job"] != self._job:
            facts = self._write(name, table, row["file"] * ROWS_OF_FILE + row["index"] * CHUNK)
        return pa.Table.from_pylist([{**row, **{key: facts[key] for key in COUNTS}}])

    def _write(self, name: str, table: pa.Table, first: int) -> dict[str, Any]:
        """Writes a shard and returns the facts in its footer."""
        vectors, counts = self._embed.vectors(table[SENTENCE].to_pylist())
        facts = {"job": self._job, **counts}
        if not len(table):  # an empty file
            return facts
        ids, kept = self._columns.id, self._columns.kept or pa.schema([])
        numbers = table[ids] if ids else pa.array(range(first, first + len(table)))
        names: Any = [name for name in kept.names if name != ids]
        others = [table[name] for name in names]
        shard = pa.table(
            [numbers, *others, vector_array(vectors)],
            ["id", *names, "vector"],
        ).replace_schema_metadata({_FACTS: json.dumps(facts)})
        sink = pa.BufferOutputStream()
        # Vectors hardly compress, and a dictionary of them is larger than the vectors.
        pq.write_table(shard, sink, compression="none", use_dictionary=names)
        self._folder.write(name, sink.getvalue().to_pybytes())
        return facts

    def _facts(self, name: str) -> dict[str, Any] | None:
        """Returns the facts in the footer of an existing shard."""
        folder = self._folder
        try:
            schema = pq.read_schema(f"{folder.root}/{name}", filesystem=folder.filesystem)
            facts: dict[str, Any] = json.loads(schema.metadata[_FACTS])
        except (OSError, pa.ArrowException, ValueError, KeyError, TypeError):
            return None
        return facts
