"""Data, models, runs and checkpoints in object storage, on a server with faults."""

import gzip
import os
import socket
import subprocess
import sys

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import flowjax
from flowjax import flows
from flowjax.commands.main import main
from flowjax.data.arrays import open_rows
from flowjax.data.sentences import open_source, read_sentences
from flowjax.data.vectors import write_vectors
from flowjax.errors import FlowjaxError
from flowjax.files import folders, remote
from flowjax.saving import load_flow, save_flow
from flowjax.training.checkpoint import Checkpoints, saved_steps

X = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
TEXT = "".join(f"Sentence {i} is here.\n" for i in range(20_000))


def put(url, content):
    remote.write_remote(url, content)
    return url


def test_sentences_of_all_formats_and_patterns(bucket, storage, tmp_path):
    put(f"{bucket}/t/a.txt", TEXT.encode())
    put(f"{bucket}/t/b.txt.gz", gzip.compress(b"Two."))
    put(f"{bucket}/t/c.jsonl", b'{"text": "Three."}\n')
    put(f"{bucket}/t/d.csv", b'id,text\n1,"Four."\n')
    table = pyarrow.table({"text": ["Five.", "Six."]})
    pyarrow.parquet.write_table(table, tmp_path / "e.parquet")
    put(f"{bucket}/t/e.parquet", (tmp_path / "e.parquet").read_bytes())
    storage.cuts = 2
    found, _ = read_sentences(f"{bucket}/t/*")
    assert storage.cuts == 0  # both cuts were repeated by the library
    assert found == [*TEXT.splitlines(), "Two.", "Three.", "Four.", "Five.", "Six."]
    assert open_source(f"{bucket}/t/a.txt,{bucket}/t/d.*").fingerprint()


def test_an_object_that_changes_between_two_passes(bucket):
    url = put(f"{bucket}/a.txt", b"One.\nTwo.\n")
    source = open_source(url)
    assert list(source) == ["One.", "Two."]
    put(url, b"One.\nOther.\n")
    with pytest.raises(FlowjaxError, match=r"a\.txt: expected an object that does not change"):
        list(source)


def test_arrays(bucket, storage, tmp_path):
    np.save(tmp_path / "x.npy", X)
    write_vectors(tmp_path / "x.parquet", X)
    write_vectors(tmp_path / "x.safetensors", X)
    for name in ("x.npy", "x.parquet", "x.safetensors"):
        put(f"{bucket}/{name}", (tmp_path / name).read_bytes())
        storage.cuts, storage.after = 1, 3000
        assert (open_rows(f"{bucket}/{name}") == X).all()
        assert not storage.cuts
    storage.after = 50_000


def test_errors_are_one_line(bucket, storage, monkeypatch):
    put(f"{bucket}/a.txt", b"One.")
    cases = {
        f"{bucket}/none.txt": "no such file",
        f"{bucket}/*.csv": "no matching file",
        "s3://no-such-bucket-here/a.txt": "no such bucket",
        "nope://bucket/a.txt": "expected a URL that fsspec can open",
    }
    for url, text in cases.items():
        with pytest.raises(FlowjaxError, match=text) as error:
            list(open_source(url))
        assert url.rpartition("/")[0] in str(error.value) and "\n" not in str(error.value)
    storage.refused = 3
    assert list(open_source(f"{bucket}/a.txt")) == ["One."]
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 2)
    storage.refused = 1000
    with pytest.raises(FlowjaxError, match=r"a\.txt: expected an answer .* \(after retries\)"):
        list(open_source(f"{bucket}/a.txt"))
    storage.refused = 0
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", "/nonexistent")
    s3fs.S3FileSystem.clear_instance_cache()
    with pytest.raises(FlowjaxError, match="expected credentials of the storage system, got none"):
        list(open_source(f"{bucket}/a.txt"))
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="module")
def fitted():
    flow = flows.realnvp(3, depth=2, width=8)
    import jax

    return flow, flow.init(jax.random.key(0), X)


def test_flow_folders(bucket, storage, fitted):
    flow, params = fitted
    url = f"{bucket}/runs/model"
    save_flow(url, flow, params)
    again, found = load_flow(url)
    assert np.allclose(again.log_prob(found, X[:5]), flow.log_prob(params, X[:5]))
    with pytest.raises(FlowjaxError, match="expected a new folder, got an existing folder"):
        save_flow(url, flow, params)
    save_flow(url, flow, params, overwrite=True)
    load_flow(f"{bucket}/runs")  # a run folder
    put(f"{url}/own.txt", b"")
    with pytest.raises(FlowjaxError, match=r"only saved files to overwrite, got own\.txt"):
        save_flow(url, flow, params, overwrite=True)
    remote.remove_remote(f"{url}/config.json")
    with pytest.raises(FlowjaxError, match="expected a saved flow"):
        load_flow(url)
    with pytest.raises(FlowjaxError, match="got no such folder"):
        load_flow(f"{bucket}/nowhere")


def test_an_interrupted_upload_is_no_model(bucket, fitted, monkeypatch):
    flow, params = fitted
    save_flow(f"{bucket}/model", flow, params)
    upload = remote.upload
    monkeypatch.setattr(remote, "upload", lambda path, url: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_flow(f"{bucket}/model", flow, params, overwrite=True)
    monkeypatch.setattr(remote, "upload", upload)
    with pytest.raises(FlowjaxError, match="expected a saved flow"):
        load_flow(f"{bucket}/model")


def test_checkpoints(bucket, storage):
    url = f"{bucket}/run/checkpoints"
    state = {"w": np.random.default_rng(0).normal(size=20_000)}
    with Checkpoints(url, keep=2) as checkpoints:
        assert checkpoints.restore(state) is None
        for step in (1, 2, 3):
            storage.cut_uploads = 1  # repeated by the library
            checkpoints.save(step, {"w": state["w"] + step})
    assert saved_steps(url) == [2, 3]
    remote.remove_remote(f"{url}/3/complete.json")  # an interrupted copy
    storage.cuts = 1
    with Checkpoints(url) as checkpoints:
        step, found = checkpoints.restore(state)
    assert step == 2 and (found["w"] == state["w"] + 2).all() and not storage.cuts


def test_runs_resume_and_other_commands_read_them(bucket, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    np.save(tmp_path / "x.npy", X)
    data = put(f"{bucket}/x.npy", (tmp_path / "x.npy").read_bytes())
    out = f"{bucket}/runs/mine"
    fit = [
        *("fit-array", data, "--flow.name", "realnvp", "--flow.depth", "2", "--out", out),
        *("--train.batch-size", "32", "--train.checkpoint-every", "10", "--train.steps", "20"),
    ]
    monkeypatch.setattr("flowjax.commands.fit_array.stop_requested", lambda: True)
    assert main(fit) == 130
    first = saved_steps(f"{out}/checkpoints")
    assert first and 0 < first[-1] < 20
    assert "model/config.json" not in remote.entries_of(out)
    monkeypatch.undo()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))  # as on another machine
    assert main(fit) == 0
    assert saved_steps(f"{out}/checkpoints")[-1] == 20
    names = remote.entries_of(out)
    assert {"config.toml", "metrics.jsonl", "model/config.json"} <= set(names)
    assert main(fit) == 2  # a finished run
    text = capsys.readouterr()
    assert f"on 600 x 3: {out}/model\n" in text.out and f"transform {out} ROWS" in text.out
    assert f"fit-array: {out}: expected a new folder, got a finished run" in text.err
    assert remote.entries_of(out) == names
    target = f"{bucket}/calibrated.npy"
    assert main(["transform", out, data, "--out", target]) == 0
    assert capsys.readouterr().out.endswith(f"float32: {target}\n")
    assert open_rows(target).shape == X.shape
    assert main(["transform", out, data, "--out", target]) == 2
    assert main(["info", out]) == 0
    assert main([*fit, "--overwrite"]) == 0
    assert len(saved_steps(f"{out}/checkpoints")) > 0


def test_shards_larger_than_memory(bucket, storage, tmp_path, monkeypatch):
    monkeypatch.setattr("flowjax.data.shard_source.RESIDENT_BYTES", 100)
    flow, results = flows.realnvp(3, depth=2, width=8), []
    for kind in ("parquet", "npy"):
        for i in range(3):
            local = tmp_path / f"{i}.{kind}"
            write_vectors(local, X[200 * i : 200 * (i + 1)])
            put(f"{bucket}/{kind}/{i}.{kind}", local.read_bytes())
        storage.cuts, storage.after = 2, 1000
        result = flowjax.fit(flow, f"{bucket}/{kind}", key=0, steps=8, batch_size=32)
        results.append(result.metrics[-1]["nll_nats"])
    storage.after = 50_000
    assert results[0] == results[1]


def test_without_the_extra_one_line_says_how_to_install():
    code = (
        "import sys; sys.modules['s3fs'] = None\n"
        "from flowjax.commands.main import main\n"
        "sys.exit(main(['info', 's3://bucket/run']))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 2
    assert "pip install 'bert-flowjax[storage]'" in run.stderr and run.stderr.count("\n") == 1


def test_the_embedding_store_needs_a_disk(bucket):
    url = f"{bucket}/v.npy"
    put(f"{bucket}/a.txt", b"One.")
    assert main(["encode", "minibert", f"{bucket}/a.txt", "--out", url, "--share", "0/2"]) == 2
    assert folders.url_of("runs/mine") is None


WORKER = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from flowjax.parallel import launch
launch.initialize()
import flowjax
from flowjax.data import shard_source
from flowjax.training import Stopped
shard_source.RESIDENT_BYTES, shard_source.WINDOW_BYTES = 1000, 8192
flow = flowjax.flows.realnvp(3, depth=2, width=8)
folder = sys.argv[2]
stop = sys.argv[3] == "stop"
options = {"checkpoint_dir": f"{folder}/{sys.argv[4]}", "stop": lambda: stop, "measured": False}
try:
    result = flowjax.fit(flow, f"{folder}/x", key=0, batch_size=64, steps=16, **options)
    print("nll", result.metrics[-1]["nll_nats"])
except Stopped as error:
    print("stopped", error.step)
launch.leave(0)
"""


def test_two_processes_without_a_shared_disk_resume_as_one(bucket, tmp_path):
    table = pyarrow.table({"vector": pyarrow.FixedSizeListArray.from_arrays(X.ravel(), 3)})
    pyarrow.parquet.write_table(table, tmp_path / "a.parquet", row_group_size=8)
    put(f"{bucket}/x/a.parquet", (tmp_path / "a.parquet").read_bytes())

    def start(name, count=1, **job):
        (tmp_path / name).mkdir()
        env = os.environ | {"JAX_PLATFORMS": "cpu", **job}
        args = ["stop" if count > 1 else "go", "alone" if name == "alone" else "c"]
        command = [sys.executable, "-c", WORKER, tmp_path / name, bucket, *args]
        return subprocess.Popen(command, env=env, text=True, stdout=subprocess.PIPE)

    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    job = {"JAX_COORDINATOR_ADDRESS": address, "JAX_NUM_PROCESSES": "2"}
    both = [start(f"{i}", 2, JAX_PROCESS_ID=f"{i}", **job) for i in range(2)]
    # Gloo writes to standard output too.
    last = [process.communicate(timeout=600)[0].splitlines()[-1] for process in both]
    assert last == ["stopped 1"] * 2
    assert saved_steps(f"{bucket}/c") == [1]
    found = [start(name).communicate(timeout=600)[0] for name in ("resumed", "alone")]
    values = [float(text.removeprefix("nll ")) for text in found]
    assert values[0] == pytest.approx(values[1], abs=1e-5)
