"""Encoding on a real Ray cluster of three nodes: every sentence exactly once, or one error."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytest.importorskip("ray.data")

import flowjax
from flowjax.errors import FlowjaxError
from flowjax.ray import encode

pytestmark = pytest.mark.faults
WORDS = "the a man dog plays runs guitar street music water blue old house walks rain sun".split()


def sentences(n, seed):
    random.seed(seed)
    return [
        f"{seed} {i} " + " ".join(random.choices(WORDS, k=random.randint(1, 5))) for i in range(n)
    ]


def write(folder, sizes):
    """Writes a text file of each size and returns the pattern and all sentences."""
    folder.mkdir(exist_ok=True)
    found = []
    for number, size in enumerate(sizes):
        found += (lines := sentences(size, number))
        (folder / f"{number:03d}.txt").write_text("".join(f"{line}\n" for line in lines))
    return f"{folder}/*.txt", found


def check_shards(out, texts, encoder):
    """Checks that the shards have the vector of every sentence once, in order."""
    table = pq.read_table(out / "shards")
    np.testing.assert_array_equal(np.stack(table["vector"].to_numpy()), encoder.encode(texts))
    assert len(np.unique(table["id"].to_numpy())) == len(texts)
    assert json.loads((out / "manifest.json").read_text())["rows"] == len(texts)
    assert sorted(os.listdir(out)) == ["job.json", "manifest.json", "shards"]


def test_vectors_equal_those_of_a_single_process(cluster, tmp_path):
    """Bit for bit: blocks have the same sentences, and hence the same padded batches."""
    rows = sentences(8192 + 700, 0)
    pq.write_table(
        pa.table({"text": rows, "topic": [i % 7 for i in range(len(rows))]}),
        tmp_path / "a.parquet",
        row_group_size=1000,
    )
    encoder = flowjax.SentenceEncoder.from_pretrained("minibert")
    facts = encode("minibert", tmp_path / "a.parquet", tmp_path / "out", workers=2)
    assert facts["shards"] == 2 and facts["sentences"] == len(rows) and facts["dim"] == 256
    table = pq.read_table(tmp_path / "out" / "shards")
    wanted = np.concatenate(list(encoder.encode_stream(rows)))
    np.testing.assert_array_equal(np.stack(table["vector"].to_numpy()), wanted)
    assert table["id"].to_pylist() == list(range(len(rows)))
    assert table["topic"].to_pylist() == [i % 7 for i in range(len(rows))]
    assert encode("minibert", tmp_path / "a.parquet", tmp_path / "out") == facts  # complete
    with pytest.raises(FlowjaxError, match="shards of another pooling"):
        encode("minibert", tmp_path / "a.parquet", tmp_path / "out", pooling="cls")


def test_many_files_and_a_changed_input(cluster, cheap, tmp_path):
    pattern, _ = write(tmp_path / "in", [60] * 5 + [0])
    encode(cheap(), pattern, tmp_path / "out", workers=2)
    table = pq.read_table(tmp_path / "out" / "shards")
    assert table["id"].to_pylist() == [(i // 60) * 2**40 + i % 60 for i in range(300)]
    (tmp_path / "in" / "000.txt").write_text("Other text.\n")
    with pytest.raises(FlowjaxError, match="shards of another input"):
        encode(cheap(), pattern, tmp_path / "out")
    encode(cheap(), pattern, tmp_path / "out", overwrite=True)
    assert pq.read_table(tmp_path / "out" / "shards").num_rows == 241


def test_object_storage_of_input_and_output(cluster, s3, cheap, tmp_path):
    if s3 is None:
        pytest.skip("needs moto and s3fs")
    import s3fs

    fs = s3fs.S3FileSystem()
    _, texts = write(tmp_path / "in", [50, 30])
    fs.put(f"{tmp_path}/in/", "corpus/in/", recursive=True)
    facts = encode(cheap(), f"{s3}/in/*.txt", f"{s3}/out", workers=1)
    assert facts["rows"] == 80 and encode(cheap(), f"{s3}/in/*.txt", f"{s3}/out") == facts
    fs.get("corpus/out/", f"{tmp_path}/out/", recursive=True)
    check_shards(tmp_path / "out", texts, cheap())
    fs.pipe_file("corpus/in/000.txt", b"Other text.\n")
    with pytest.raises(FlowjaxError, match="shards of another input"):
        encode(cheap(), f"{s3}/in/*.txt", f"{s3}/out")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("damaged", "b.parquet: expected a Parquet file, got"),
        ("column", "b.parquet: expected a column 'text', got 'body'"),
    ],
)
def test_a_wrong_input_file_is_one_error(cluster, cheap, tmp_path, kind, message):
    table = pa.table({"text": sentences(500, 0)})
    pq.write_table(table, tmp_path / "a.parquet")
    if kind == "column":
        table = table.rename_columns(["body"])
    pq.write_table(table, tmp_path / "b.parquet")
    if kind == "damaged":
        content = bytearray((tmp_path / "b.parquet").read_bytes())
        content[100:2000] = bytes(1900)
        (tmp_path / "b.parquet").write_bytes(content)
    with pytest.raises(FlowjaxError, match=message):
        encode(cheap(), f"{tmp_path}/*.parquet", tmp_path / "out", column="text", workers=1)
    assert not (tmp_path / "out" / "manifest.json").exists()


@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
def test_a_worker_that_the_kernel_kills(cluster, cheap, tmp_path, monkeypatch, always):
    pattern, texts = write(tmp_path / "in", [40] * 4)
    encoder = cheap(fatal=texts[90], mark="" if always else str(tmp_path / "mark"))
    if always:
        monkeypatch.setattr("flowjax.ray.engine.RESTARTS", 2)
        with pytest.raises(FlowjaxError, match=r"expected a finished job.*--batch-size"):
            encode(encoder, pattern, tmp_path / "out", workers=1)
        assert not (tmp_path / "out" / "manifest.json").exists()
        return
    encode(encoder, pattern, tmp_path / "out", workers=1)
    check_shards(tmp_path / "out", texts, cheap())


def test_as_many_workers_as_cpus(cluster, cheap, tmp_path):
    """Workers do not take the CPUs of the readers; 3 nodes have 6 CPUs."""
    pattern, texts = write(tmp_path / "in", [40] * 12)
    encode(cheap(), pattern, tmp_path / "out", workers=6)
    check_shards(tmp_path / "out", texts, cheap())


def test_a_full_disk_is_one_error_and_the_job_resumes(cluster, cheap, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", out]).returncode:
        pytest.skip("needs the right to mount a file system")
    try:
        pattern, texts = write(tmp_path / "in", [3000] * 6)
        with pytest.raises(OSError, match="No space left on device"):
            encode(cheap(), pattern, out, workers=1)
        assert not (out / "manifest.json").exists()
        before = {path: path.stat().st_mtime_ns for path in out.glob("shards/*.parquet")}
        assert 0 < len(before) < 6
        subprocess.run(["mount", "-o", "remount,size=64m", out], check=True)
        encode(cheap(), pattern, out, workers=1)
        check_shards(out, texts, cheap())
        assert {path: path.stat().st_mtime_ns for path in before} == before
    finally:
        subprocess.run(["umount", "-l", out], check=True)


def test_a_killed_node(cluster, cheap, options, tmp_path):
    pattern, texts = write(tmp_path / "in", [40] * 24)
    node = cluster.add_node(**options)

    def kill():  # while all workers work
        while len(list(tmp_path.glob("out/shards/*.parquet"))) < 8:
            time.sleep(0.1)
        cluster.remove_node(node, False)  # SIGKILL

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    encode(cheap(pause=1.0), pattern, tmp_path / "out", workers=4)
    killer.join()
    check_shards(tmp_path / "out", texts, cheap())


DRIVER = """
import sys
sys.path.insert(0, {tests!r})
import ray, conftest
ray.cloudpickle.register_pickle_by_value(conftest)
from flowjax.ray import encode
encode(conftest.Cheap(pause=1.0), {pattern!r}, {out!r}, workers=2, address={address!r})
"""


def test_a_killed_driver_resumes_and_keeps_finished_shards(cluster, cheap, tmp_path):
    pattern, texts = write(tmp_path / "in", [40] * 16)
    out = tmp_path / "out"
    code = DRIVER.format(
        tests=str(Path(__file__).parent), pattern=pattern, out=str(out), address=cluster.address
    )
    driver = subprocess.Popen([sys.executable, "-c", code])
    end = time.monotonic() + 240
    while len(list(out.glob("shards/*.parquet"))) < 4 and time.monotonic() < end:
        assert driver.poll() is None
        time.sleep(0.1)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    time.sleep(2)  # Ray ends the tasks of a dead driver
    before = {path: path.stat().st_mtime_ns for path in out.glob("shards/*.parquet")}
    assert 4 <= len(before) < 16 and not (out / "manifest.json").exists()
    encode(cheap(pause=1.0), pattern, out, workers=2)
    check_shards(out, texts, cheap())
    assert {path: path.stat().st_mtime_ns for path in before} == before
