"""Examples in Parquet and npy shards: the order, the reader, errors, fits and resumes."""

import json
from itertools import pairwise

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import flowjax
from flowjax import flows
from flowjax.commands.main import main
from flowjax.data import shard_source
from flowjax.data.shard_source import ShardSource, open_examples
from flowjax.data.shards import read_shards, shard_paths
from flowjax.data.vectors import write_vectors
from flowjax.data.windows import WindowOrder
from flowjax.errors import FlowjaxError
from flowjax.training import Stopped

X = np.random.default_rng(0).normal(size=(3000, 4)).astype(np.float32)
CUTS = [0, 900, 1000, 2500, 3000]


def write(folder, kind, x=X, cuts=CUTS, row_group=64):
    folder.mkdir(parents=True)
    for i, (a, b) in enumerate(pairwise(cuts)):
        if kind == "npy":
            np.save(folder / f"{i}.npy", x[a:b])
            continue
        flat = pyarrow.array(x[a:b].ravel())
        vectors = pyarrow.FixedSizeListArray.from_arrays(flat, x.shape[1])
        table = pyarrow.table({"id": np.arange(a, b), "vector": vectors})
        pyarrow.parquet.write_table(table, folder / f"{i}.parquet", row_group_size=row_group)
    return folder


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(shard_source, "RESIDENT_BYTES", 1000)
    monkeypatch.setattr(shard_source, "WINDOW_BYTES", 16 * 512)


@pytest.mark.parametrize("lanes, groups", [(16, [7] * 100), (1, [5, 9]), (4, [20] * 16)])
def test_order_is_a_shuffle_and_a_function_of_the_step(lanes, groups):
    order = WindowOrder(groups, window=40)
    n = order.size
    assert order.lanes(32) == lanes and order.lanes(3) == 1
    steps = max(9, 3 * n // 32)
    rows = order.batches_rows(0, steps, 32, seed=5)
    assert (order.batches_rows(7, 9, 32, seed=5) == rows[7:9]).all()
    counts = np.bincount(rows.ravel(), minlength=n)
    assert counts.max() - counts.min() <= 2 and counts.sum() == steps * 32
    assert (rows != order.batches_rows(0, steps, 32, seed=6)).any()
    epoch = -(-n // 32)
    assert (rows[:epoch] != rows[epoch : 2 * epoch]).any()
    if lanes > 1:  # each process reads the lanes of its part of the batch
        bounds = [n * k // lanes for k in range(lanes + 1)]
        parts = rows.reshape(steps, lanes, -1)
        assert all(
            ((parts[:, k] >= bounds[k]) & (parts[:, k] < bounds[k + 1])).all()
            for k in range(lanes)
        )


def test_order_mixes_sorted_data():
    """Batch means of sorted examples vary little more than those of a global shuffle."""
    order = WindowOrder([64] * 200, window=2048)
    rows = order.batches_rows(0, 100, 128, seed=0) / order.size
    spread = rows.mean(axis=1).std()
    assert spread < 1.5 * 12**-0.5 / 128**0.5


@pytest.mark.parametrize("row_group", [64, 10_000])
@pytest.mark.parametrize("kind", ["parquet", "npy"])
def test_rows_are_those_of_one_array(tmp_path, kind, row_group):
    folder = write(tmp_path / "x", kind, row_group=row_group)
    source = ShardSource(read_shards(shard_paths(folder)))
    rows = np.random.default_rng(1).integers(0, len(X), 500)
    assert (source.take(rows)["x"] == X[rows]).all()
    assert (np.concatenate(list(source.blocks(77))) == X).all()
    halves = [np.concatenate(list(source.blocks(77, (i, 2)))) for i in range(2)]
    assert (np.concatenate(halves) == X).all()
    assert len(np.unique(source.probe(200))) > 100
    assert (source.order is None) == (kind == "npy")  # npy: the batches of one array
    if kind == "parquet":
        rest, held = source.split(700, seed=1)
        both = np.concatenate([*rest.blocks(99), *held.blocks(99)])
        assert held.size == 700 and (np.sort(both, axis=0) == np.sort(X, axis=0)).all()
        assert {tuple(x) for x in both.tolist()} == {tuple(x) for x in X.tolist()}


def test_small_shards_become_one_array(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_source, "RESIDENT_BYTES", 1 << 30)
    source = open_examples(str(write(tmp_path / "x", "parquet") / "*.parquet"))
    assert type(source).__name__ == "ArraySource" and (source.rows == X).all()
    assert open_examples(shard_paths(write(tmp_path / "y", "npy"))).size == len(X)


def test_float16_stays_small_and_lists_of_any_length_are_read(tmp_path):
    write(tmp_path / "half", "parquet", X.astype(np.float16))
    files = read_shards(shard_paths(tmp_path / "half"))
    assert files[0].dtype == np.float16
    found = ShardSource(files).take(np.arange(5))["x"]
    assert found.dtype == np.float32 and np.allclose(found, X[:5], atol=2e-3)
    (tmp_path / "list").mkdir()
    table = pyarrow.table({"v": [[1.0, 2.0], [3.0, 4.0]]})
    pyarrow.parquet.write_table(table, tmp_path / "list" / "a.parquet")
    assert ShardSource(read_shards(shard_paths(tmp_path / "list"))).dim == 2


def test_result_of_ray_needs_its_manifest(tmp_path):
    folder = tmp_path / "vectors"
    write(folder / "shards", "parquet")
    with pytest.raises(FlowjaxError, match=r"shards without manifest\.json; repeat"):
        open_examples(folder)
    manifest = {"format": "flowjax vectors", "version": 1, "rows": len(X), "dim": 4}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert open_examples(folder).size == open_examples(folder / "shards").size == len(X)
    (folder / "shards" / "1.parquet").unlink()
    with pytest.raises(FlowjaxError, match="expected 3000 rows in all shards, as in manifest"):
        open_examples(folder)


def _bad(folder, kind):
    if kind == "nan":
        x = X.copy()
        x[905, 2] = np.nan
        write(folder, "parquet", x)
    else:
        write(folder, "npy" if kind == "mixed" else "parquet")
    if kind == "mixed":
        write_vectors(folder / "z.parquet", X)
    if kind == "dimension":
        write_vectors(folder / "z.parquet", X[:, :2])
    if kind == "damaged":
        (folder / "2.parquet").write_bytes(b"PAR1 and no more")
    if kind == "text":
        table = pyarrow.table({"text": ["a"]})
        pyarrow.parquet.write_table(table, folder / "z.parquet")


@pytest.mark.parametrize(
    "kind, message",
    [
        ("nan", r"1\.parquet: expected finite numbers, got nan at row 5, column 2"),
        ("mixed", r"all \.parquet or all \.npy, got files \.npy, \.parquet"),
        ("dimension", r"z\.parquet: expected 4 columns like .*0\.parquet, got 2"),
        ("damaged", r"2\.parquet: expected a Parquet file"),
        ("text", r"z\.parquet: expected one list column of numbers"),
    ],
)
def test_errors_name_the_shard(tmp_path, kind, message):
    _bad(tmp_path / "x", kind)
    with pytest.raises(FlowjaxError, match=message):
        list(open_examples(tmp_path / "x").blocks(100))


def test_a_shard_that_changes_is_an_error(tmp_path):
    folder = write(tmp_path / "x", "parquet")
    source = open_examples(folder)
    write_vectors(folder / "3.parquet", X[:500])
    with pytest.raises(FlowjaxError, match=r"3\.parquet: expected the file that was opened first"):
        list(source.blocks(100))


def test_no_shard_matches(tmp_path):
    with pytest.raises(FlowjaxError, match=r"\*\.parquet: expected shards, .*got no such file"):
        open_examples(f"{tmp_path}/*.parquet")
    write(tmp_path / "x", "parquet")
    with pytest.raises(FlowjaxError, match="context: expected None for shards"):
        open_examples(tmp_path / "x", X)


def test_fits_resume_bit_for_bit(tmp_path):
    folder = write(tmp_path / "x", "parquet")
    flow = flows.realnvp(4, depth=2, width=8)

    def fit(**options):
        options |= {"batch_size": 64, "steps": 24, "checkpoint_every": 8, "measured": False}
        result = flowjax.fit(flow, folder, key=0, validation=0.2, **options)
        return {k: v for k, v in result.metrics[-1].items() if k != "rows_per_s"}

    whole = fit()
    with pytest.raises(Stopped):
        fit(checkpoint_dir=tmp_path / "c", stop=lambda: True)
    assert fit(checkpoint_dir=tmp_path / "c") == whole


def test_command(tmp_path, capsys):
    folder = write(tmp_path / "x", "parquet")
    out = tmp_path / "run"
    args = ["--flow.name", "whitening", "--out", str(out)]
    assert main(["fit-array", f"{folder}/*.parquet", *args]) == 0
    assert f"3000 x 4: {out}/model" in capsys.readouterr().out
    np.save(tmp_path / "whole.npy", X)
    for data in ("x", "whole.npy"):
        assert (
            main(["transform", str(out), f"{tmp_path}/{data}", "--out", f"{tmp_path}/z{data}.npy"])
            == 0
        )
    assert (np.load(tmp_path / "zx.npy") == np.load(tmp_path / "zwhole.npy.npy")).all()
