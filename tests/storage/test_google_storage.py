"""The same functions on `gs://`, on an emulator of Google Cloud Storage on loopback."""

import numpy as np
import pytest

from flowjax.commands.main import main
from flowjax.data.arrays import open_rows
from flowjax.data.sentences import open_source
from flowjax.errors import FlowjaxError
from flowjax.files import remote
from flowjax.saving import load_flow
from flowjax.training.checkpoint import saved_steps

X = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def bucket():
    gcsfs = pytest.importorskip("gcsfs")
    emulator = pytest.importorskip("gcp_storage_emulator.server")
    server = emulator.create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    port = server._api._httpd.server_address[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{port}")
        gcsfs.GCSFileSystem.clear_instance_cache()
        gcsfs.GCSFileSystem().mkdir("corpus")
        yield "gs://corpus"
        gcsfs.GCSFileSystem.clear_instance_cache()
    server.stop()


def test_sentences(bucket):
    for name in "ab":
        remote.write_remote(f"{bucket}/text/{name}.txt", f"One {name}.\nTwo.\n".encode())
    source = open_source(f"{bucket}/text/*.txt")
    assert list(source) == ["One a.", "Two.", "One b.", "Two."]
    remote.write_remote(f"{bucket}/text/b.txt", b"Other.\n")
    with pytest.raises(FlowjaxError, match=r"b\.txt: expected an object that does not change"):
        list(source)
    with pytest.raises(FlowjaxError, match="got no such file"):
        open_source(f"{bucket}/none.txt")
    with pytest.raises(FlowjaxError, match="got no such bucket"):
        open_source("gs://no-such-bucket/a.txt")


def test_a_run(bucket, tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "x.npy", X)
    remote.upload(tmp_path / "x.npy", f"{bucket}/x.npy")
    out = f"{bucket}/runs/mine"
    fit = [
        *("fit-array", f"{bucket}/x.npy", "--flow.name", "realnvp", "--flow.depth", "2"),
        *("--out", out, "--train.batch-size", "32", "--train.checkpoint-every", "10"),
        *("--train.steps", "20"),
    ]
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path))
        patch.setattr("flowjax.commands.fit_array.stop_requested", lambda: True)
        assert main(fit) == 130
    assert 0 < saved_steps(f"{out}/checkpoints")[-1] < 20
    (tmp_path / "other").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "other"))  # as on another machine
    assert main(fit) == 0
    assert f"on 600 x 3: {out}/model\n" in capsys.readouterr().out
    flow, params = load_flow(out)
    assert main(["transform", out, f"{bucket}/x.npy", "--out", f"{bucket}/z.npy"]) == 0
    z = flow.forward(params, X)[0]
    np.testing.assert_allclose(open_rows(f"{bucket}/z.npy"), z, atol=1e-5)
