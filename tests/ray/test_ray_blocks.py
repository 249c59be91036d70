"""Blocks of input files for Ray, `Embed`, and the manifest of shards: no cluster needed."""

import gzip
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import flowjax
from flowjax.errors import FlowjaxError
from flowjax.ray import Embed
from flowjax.ray import blocks as module
from flowjax.ray.blocks import SENTENCE, Columns, columns_of, read_blocks
from flowjax.ray.manifest import Folder, begin, check_stamp, stamp

ROWS = [{"id": i, "text": f"Sentence {i}, quoted.", "topic": f"t{i % 3}"} for i in range(11)]


def write(path, rows=ROWS):
    kind = path.name.split(".", 1)[1]
    if kind == "txt":
        path.write_text("".join(f"{row['text']}\n" for row in rows))
    elif kind == "csv":
        lines = [f'{row["id"]},"{row["text"]}",{row["topic"]}\n' for row in rows]
        path.write_text("id,text,topic\n" + "".join(lines))
    elif kind == "jsonl.gz":
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, rows)).encode()))
    elif kind == "json":
        path.write_text(json.dumps(rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
    return str(path)


@pytest.mark.parametrize("kind", ["txt", "csv", "jsonl.gz", "json", "parquet"])
def test_blocks_hold_every_row_once_and_in_order(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(module, "CHUNK", 4)
    path = write(tmp_path / f"a.{kind}")
    columns = columns_of(path, Columns(None), None)
    found = list(read_blocks(path, columns))
    assert [(b.number, b.last, len(b.table)) for b in found] == [
        (0, False, 4),
        (1, False, 4),
        (2, True, 3),
    ]
    table = pa.concat_tables(block.table for block in found)
    assert table[SENTENCE].to_pylist() == [row["text"] for row in ROWS]
    assert columns.id == (None if kind == "txt" else "id")
    if kind != "txt":
        assert table["topic"].to_pylist() == [row["topic"] for row in ROWS]
        assert [int(i) for i in table["id"].to_pylist()] == list(range(11))
        chosen = columns_of(path, Columns("text", None, "topic"), ["text"])
        assert chosen.kept.names == ["text", "topic"] and chosen.id == "topic"


def test_an_empty_file_is_one_empty_block(tmp_path):
    (tmp_path / "a.txt").write_text("")
    (block,) = read_blocks(str(tmp_path / "a.txt"), Columns(None, pa.schema([])))
    assert block.last and len(block.table) == 0


@pytest.mark.parametrize(
    ("kind", "columns", "carry", "message"),
    [
        ("csv", Columns("body"), None, "expected a column 'body', got 'id', 'text', 'topic'"),
        ("csv", Columns(None), ["label"], "expected a column 'label', got 'id'"),
        ("jsonl.gz", Columns(None, None, "key"), None, "expected a column 'key'"),
        ("parquet", Columns("id"), None, "expected text in 'id', got int64"),
        ("parquet", Columns(None, None, "topic"), None, "expected no column 'id'"),
        ("txt", Columns(None), ["label"], "expected a column 'label', got none"),
    ],
)
def test_wrong_columns_are_one_error(tmp_path, kind, columns, carry, message):
    path = write(tmp_path / f"a.{kind}")
    with pytest.raises(FlowjaxError, match=message):
        columns_of(path, columns, carry)


@pytest.mark.parametrize("kind", ["csv", "jsonl.gz", "parquet"])
def test_later_files_must_have_the_columns_and_types_of_the_first(tmp_path, kind):
    columns = columns_of(write(tmp_path / f"a.{kind}"), Columns(None), None)
    for i, (change, message) in enumerate(
        [(lambda row: row.pop("topic"), "topic"), (lambda row: row.update(id="x"), "one type")]
    ):
        rows = [dict(row) for row in ROWS]
        for row in rows:
            change(row)
        if kind == "csv" and (i or any("topic" not in row for row in rows)):
            continue  # cells of a CSV file are text
        path = write(tmp_path / f"b{i}.{kind}", rows)
        with pytest.raises(FlowjaxError, match=message):
            list(read_blocks(path, columns))


def test_embed_equals_the_encoder_in_each_batch_format():
    encoder = flowjax.SentenceEncoder.from_pretrained("minibert", pooling="mean")
    texts = ["A man plays.", "A dog runs.", ""]
    wanted = encoder.encode(texts)
    embed = Embed(encoder, "text", "v")
    batch = embed({"text": np.array(texts, object), "n": np.arange(3)})
    assert list(batch) == ["text", "n", "v"]
    np.testing.assert_array_equal(batch["v"], wanted)
    table = embed(pa.table({"text": [*texts[:2], None]}))
    assert table.schema.field("v").type == pa.list_(pa.float32(), 256)
    np.testing.assert_array_equal(np.stack(table["v"].to_numpy()), wanted)
    by_name = Embed("minibert", "text", pooling="mean", normalize=True, dtype="float16")
    half, counts = by_name.vectors(texts)
    unit = wanted / np.linalg.norm(wanted, axis=1, keepdims=True)
    np.testing.assert_allclose(half, unit, atol=1e-3)
    assert half.dtype == np.float16 and counts["empty"] == 1
    with pytest.raises(FlowjaxError, match="expected a column 'text', got 'body'"):
        embed({"body": np.array(texts)})


class Large:
    def encode(self, sentences):
        return np.full((len(sentences), 2), [1e6, -1e-3])


def test_float16_stays_finite():
    assert Embed(Large(), dtype="float16").vectors(["a"])[0].tolist()[0][0] == 65504.0


def test_a_folder_belongs_to_one_job(tmp_path):
    path = write(tmp_path / "a.txt")
    job = {"encoder_hash": "1", "input": [{"path": path, "stamp": stamp(path)}]}
    folder = Folder(tmp_path / "out")
    assert begin(folder, job, overwrite=False) is None and not folder.resumed
    assert begin(folder, job, overwrite=False) is None and folder.resumed
    (tmp_path / "out" / "shards" / "x.parquet").write_text("")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    for change in ({"encoder_hash": "2"}, {"input": [{"path": path, "stamp": "0 0"}]}):
        with pytest.raises(FlowjaxError, match=r"got shards of another (encoder|input)"):
            begin(folder, {**job, **change}, overwrite=False)
    (tmp_path / "a.txt").write_text("Another text.\n")
    with pytest.raises(FlowjaxError, match="expected the file that this job began with"):
        check_stamp(path, job["input"][0]["stamp"])
    with pytest.raises(FlowjaxError, match=r"vector shards only, got notes\.txt"):
        begin(folder, {**job, "encoder_hash": "2"}, overwrite=True)
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert (tmp_path / "out" / "shards" / "x.parquet").exists()
